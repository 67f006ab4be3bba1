// The audit log: its records, its checkpoints, and proofs that leave the house.
#include <filesystem>

#include "app/cli/audit_files.h"
#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "base/encoding.h"
#include "config/config.h"
#include "core/audit.h"
#include "core/audit_ocsf.h"
#include "crypto/ed25519.h"
#include "engine/audit_proof.h"

#ifndef DAYPASS_VERSION
#define DAYPASS_VERSION "unknown"
#endif

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
namespace json = base::json;

namespace {

constexpr const char* unread = "the audit log can't be read";

/// The server's log, page by page. Size and root are those that the last page told.
struct ServerLog {
  Client& client;
  std::uint64_t from = 0, size = 0;
  std::string root_hex;
  std::vector<std::string> page;
  std::size_t at = 0;
  bool told = false;

  Result<std::optional<std::string>> next() {
    if (at == page.size()) {
      if (told && from >= size) return std::optional<std::string>();
      DP_TRY(const json::Value answer, client.call("GET", "/audit?from=" + std::to_string(from) + "&limit=1000"));
      told = true;
      size = static_cast<std::uint64_t>(answer.int_or("size", 0));
      root_hex = answer.string_or("root");
      page.clear();
      at = 0;
      for (const auto& record : items(answer, "records")) page.push_back(text_of(record));
      from += page.size();
      if (page.empty()) return std::optional<std::string>();
    }
    return std::optional(std::move(page[at++]));
  }
  NextRecord reader() {
    return [this] { return next(); };
  }
};

struct ServerHead {
  std::string checkpoint, key, origin;
  std::uint64_t size = 0;
};
Result<ServerHead> make_checkpoint(Client& client) {
  DP_TRY(const json::Value answer, client.call("POST", "/audit/checkpoint"));
  return ServerHead{answer.string_or("checkpoint"), answer.string_or("key"), answer.string_or("origin"),
                    static_cast<std::uint64_t>(answer.int_or("size", 0))};
}

/// A document to keep: the same whatever -o says, as a table can't be verified.
int print_document(Io& io, const Globals& g, const json::Value& document) {
  if (g.json())
    print_json(io, *document.as_object());
  else
    io.out(json::dump_pretty(document));
  return Exit::done;
}

}  // namespace

int audit_tail(Io& io, const Globals& g, std::size_t n) {
  Client client(io, g);
  const auto head = client.call("GET", "/audit?from=0&limit=1");
  if (!head.ok()) return fail(io, g, head.error(), unread, client.request_id());
  const auto size = static_cast<std::uint64_t>(head->int_or("size", 0));
  ServerLog log{client, size > n ? size - n : 0, 0, {}, {}, 0, false};
  std::string out;
  json::Array list;
  for (;;) {
    const auto record = log.next();
    if (!record.ok()) return fail(io, g, record.error(), unread, client.request_id());
    if (!*record) break;
    const auto event = core::audit_from_canonical(**record);
    if (!event.ok()) return fail(io, g, event.error(), unread);
    if (g.json()) {
      if (auto v = json::parse(**record); v.ok()) list.push_back(std::move(*v));
      continue;
    }
    const std::string who = event->actor.empty() ? "(erased)" : event->actor;
    std::string facts;
    for (const auto& [key, value] : event->facts)
      facts += " " + key + "=" + (value.as_string() != nullptr ? *value.as_string() : json::dump(value));
    for (const auto& [name, cover] : event->covers)
      if (!cover.digest.empty() && name != core::covered_actor)
        facts += " " + name.substr(core::covered_fact.size()) + "=(erased)";
    out += base::to_rfc3339(event->at) + "  " + event->action + " " + event->outcome + "  " + who + "  " +
           event->object + " " + facts + "\n";
  }
  if (g.json())
    print_json(io, {{"size", log.size}, {"records", std::move(list)}});
  else
    io.out(out);
  return Exit::done;
}

namespace {

int export_tiles(Io& io, const Globals& g, Client& client, const std::string& folder) {
  constexpr const char* what = "the audit log was not exported";
  if (folder.empty())
    return fail(
        io, g,
        {Code::invalid, "audit.folder", "tiles are a folder of files", "name one that is not there yet: --to FOLDER"},
        what);
  std::error_code failed;
  if (std::filesystem::exists(folder, failed))
    return fail(io, g, {Code::conflict, "audit.folder", folder + " is there already", "name a new folder"}, what);
  const auto head = make_checkpoint(client);
  if (!head.ok()) return fail(io, g, head.error(), what, client.request_id());
  ServerLog log{client, 0, 0, {}, {}, 0, false};
  if (const auto written = write_tiles(folder, log.reader(), head->checkpoint, head->size); !written.ok())
    return fail(io, g, written.error(), what, client.request_id());
  if (g.json())
    print_json(io, {{"folder", folder}, {"size", head->size}, {"origin", head->origin}, {"key", head->key}});
  else
    io.err("Exported " + std::to_string(head->size) + " records of " + head->origin + " to " + folder + "\nkey " +
           head->key + "\n");
  return Exit::done;
}

}  // namespace

int audit_export(Io& io, const Globals& g, const std::string& format, const std::string& folder) {
  Client client(io, g);
  if (format == "tiles") return export_tiles(io, g, client, folder);
  const bool ocsf = format == "ocsf";
  ServerLog log{client, 0, 0, {}, {}, 0, false};
  json::Array records;
  for (;;) {
    auto record = log.next();
    if (!record.ok()) return fail(io, g, record.error(), unread, client.request_id());
    if (!*record) break;
    json::Value value(std::move(**record));
    if (ocsf) {
      const auto event = core::audit_from_canonical(*value.as_string());
      if (!event.ok()) return fail(io, g, event.error(), unread);
      value = core::to_ocsf(*event, DAYPASS_VERSION);
    }
    if (g.json())
      records.push_back(std::move(value));
    else
      io.out((ocsf ? json::dump(value) : *value.as_string()) + "\n");
  }
  if (g.json()) print_json(io, {{"size", log.size}, {"root", log.root_hex}, {"records", std::move(records)}});
  return Exit::done;
}

int audit_checkpoint(Io& io, const Globals& g) {
  Client client(io, g);
  const auto answer = client.call("POST", "/audit/checkpoint");
  if (!answer.ok()) return fail(io, g, answer.error(), "there is no checkpoint", client.request_id());
  if (g.json())
    print_json(io, *answer->as_object());
  else
    io.out(answer->string_or("checkpoint"));
  return Exit::done;
}

namespace {

std::string state_of(const json::Value& f, base::WallTime now) {
  const auto since = base::parse_rfc3339(f.string_or("behind_since"));
  if (f.int_or("failures", 0) == 0) return f.int_or("lag", 0) == 0 ? "has everything" : "under way";
  const auto next = base::parse_rfc3339(f.string_or("next_try"));
  return "fails" + (since.ok() ? ", behind since " + relative(*since, now) : std::string()) +
         (next.ok() ? ", next try " + relative(*next, now) : std::string()) + ": " + f.string_or("why") + " (" +
         f.string_or("check") + ")";
}

}  // namespace

int audit_forward_ls(Io& io, const Globals& g) {
  Client client(io, g);
  const auto answer = client.call("GET", "/audit/forwards");
  if (!answer.ok()) return fail(io, g, answer.error(), "receivers can't be listed", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  std::vector<std::vector<std::string>> rows{{"NAME", "TO", "FORMAT", "SENT", "LAG", "STATE"}};
  for (const auto& f : items(*answer, "forwards")) {
    if (g.output == "name") {
      io.out(f.string_or("name") + "\n");
      continue;
    }
    rows.push_back({f.string_or("name"), f.string_or("kind") + " at " + f.string_or("host"), f.string_or("format"),
                    std::to_string(f.int_or("next", 0)), std::to_string(f.int_or("lag", 0)),
                    state_of(f, io.clock->wall())});
  }
  if (g.output != "name") io.out(table(rows));
  return Exit::done;
}

int audit_forward_retry(Io& io, const Globals& g, const std::string& name) {
  Client client(io, g);
  const auto answer = client.call("POST", "/audit/forwards/" + name + "/retry");
  if (!answer.ok()) return fail(io, g, answer.error(), name + " is not tried", client.request_id());
  if (g.json())
    print_json(io, *answer->as_object());
  else
    io.err("Tried now; daypass audit forward ls says what comes of it.\n");
  return Exit::done;
}

int audit_erase(Io& io, const Globals& g, const std::string& person, bool yes) {
  const std::string what = person + " was not erased";
  if (!yes)
    if (const auto stopped =
            typed_name(io, g, person,
                       "What the log and the store say of " + person +
                           " goes for good: who acted, from where, in which groups, their closed "
                           "grants, the statements of their connections.\nThat something happened "
                           "stays, and the log verifies as before. Copies elsewhere are yours to see to.",
                       "person.confirm", what))
      return *stopped;
  Client client(io, g);
  const json::Value body(json::Object{{"person", person}});
  const auto answer = client.call("POST", "/persons/erase", &body);
  if (!answer.ok()) return fail(io, g, answer.error(), what, client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  const auto count = [&](std::string_view key) { return std::to_string(answer->int_or(key, 0)); };
  io.err("Erased from " + count("records") + " records, with " + count("grants") + " grants and " + count("decisions") +
         " decisions (" + answer->string_or("id") + "); named in " + count("notes") + " other places.\n");
  if (answer->int_or("kept", 0) > 0)
    io.err(count("kept") + " records name them where nothing can be erased: an older release wrote them.\n");
  if (!answer->bool_or("scrubbed", false))
    io.err(
        "The store was in use all the time: what was erased may stand in its files until it is written on. Do it "
        "again later.\n");
  return Exit::done;
}

int audit_key(Io& io, const Globals& g) {
  Client client(io, g);
  const auto head = make_checkpoint(client);
  if (!head.ok()) return fail(io, g, head.error(), "there is no key", client.request_id());
  if (g.json())
    print_json(io, {{"key", head->key}, {"origin", head->origin}});
  else
    io.out(head->key + "\n");
  return Exit::done;
}

int audit_prove(Io& io, const Globals& g, const std::string& id, const std::string& format) {
  Client client(io, g);
  const auto answer = client.call("GET", "/audit/records/" + id + "/proof");
  if (!answer.ok()) return fail(io, g, answer.error(), "record " + id + " is not proven", client.request_id());
  if (format != "tlog-proof") return print_document(io, g, *answer);
  const json::Value* record = answer->pointer("/records/0");
  tlog::RecordProof proof{static_cast<std::uint64_t>(record == nullptr ? -1 : record->int_or("index", -1)),
                          {},
                          answer->string_or("checkpoint")};
  if (record != nullptr)
    for (const auto& hash : items(*record, "path"))
      proof.path.push_back(base::base64_decode(text_of(hash)).value_or(""));
  const std::string text = tlog::proof_text(proof);
  if (g.json())
    print_json(io, {{"proof", text}});
  else
    io.out(text);
  return Exit::done;
}

int grants_receipt(Io& io, const Globals& g, const std::string& id) {
  Client client(io, g);
  const auto answer = client.call("GET", "/grants/" + id + "/receipt");
  if (!answer.ok()) return fail(io, g, answer.error(), "there is no receipt of grant " + id, client.request_id());
  return print_document(io, g, *answer);
}

namespace {

/// What `audit verify` found; exit 1 when something is wrong, as the question was "is it whole?".
int told(Io& io, const Globals& g, const Result<json::Object>& found, const std::string& text,
         const std::string& request_id = {}) {
  if (!found.ok()) {
    const int code = fail(io, g, found.error(), "the audit log does not verify", request_id);
    // A server that can't be reached, a login that is missing, are no verdict.
    const bool verdict = found.error().code == Code::invalid || found.error().code == Code::internal;
    return verdict ? int{Exit::failed} : code;
  }
  if (g.json()) {
    json::Object out{{"ok", true}};
    for (const auto& [key, value] : *found) out.set(key, value);
    print_json(io, std::move(out));
  } else {
    io.out("ok: " + text + "\n");
  }
  return Exit::done;
}

Result<json::Value> read_document(const std::string& file) {
  DP_TRY(const std::string text, config::read_file(file));
  return json::parse(text);
}

int verify_receipt(Io& io, const Globals& g, const std::string& file, const tlog::NoteKey& key) {
  std::string text;
  const auto found = [&]() -> Result<json::Object> {
    DP_TRY(const json::Value document, read_document(file));
    DP_TRY(const engine::Shown shown, engine::verify_proof(document, key));
    json::Object out{{"origin", shown.head.origin}, {"size", shown.head.size}};
    text = std::to_string(shown.events.size()) + " records stand in the log of " + shown.head.origin + " (" +
           std::to_string(shown.head.size) + " records)";
    json::Array indexes;
    for (const auto& event : shown.events) {
      indexes.emplace_back(event.seq);
      text += "\n" + std::to_string(event.seq) + "  " + base::to_rfc3339(event.at) + "  " + event.action + "  " +
              event.object;
    }
    out.set("records", std::move(indexes));
    if (!shown.receipt) return out;
    const engine::RevocationReceipt& r = *shown.receipt;
    text += "\n" + (r.principal.empty() ? "(erased)" : r.principal) + " on " + r.target + " as " + r.account +
            ": created " + base::to_rfc3339(r.created_at) + ", cut " + base::to_rfc3339(r.cut_at) + " (" +
            r.end_reason + "), verified absent " + base::to_rfc3339(r.verified_absent_at) + "\n" +
            engine::receipt_statement;
    out.set("grant", r.grant);
    out.set("created_at", base::to_rfc3339(r.created_at));
    out.set("cut_at", base::to_rfc3339(r.cut_at));
    out.set("verified_absent_at", base::to_rfc3339(r.verified_absent_at));
    out.set("statement", engine::receipt_statement);
    return out;
  }();
  return told(io, g, found, text);
}

/// Asks the server for the proof alone: its log may be of any size.
Result<json::Object> verify_quickly(Client& client, const std::vector<KnownHead>& heads, const tlog::NoteKey& key,
                                    std::string& text) {
  DP_CHECK(client.call("POST", "/audit/checkpoint"));
  std::uint64_t newest = 0;
  for (const auto& old : heads) {
    DP_TRY(const json::Value answer, client.call("GET", "/audit/consistency?from=" + std::to_string(old.head.size)));
    DP_TRY(const tlog::Checkpoint now,
           tlog::open_checkpoint(answer.string_or("checkpoint"), key, crypto::ed25519_verify));
    std::vector<tlog::Hash> path;
    for (const auto& hash : items(answer, "path")) path.push_back(base::base64_decode(text_of(hash)).value_or(""));
    if (const auto extends = tlog::verify_consistency(old.head.size, old.head.root, now.size, now.root, path);
        !extends.ok())
      return Error{Code::invalid, "audit.fork",
                   "the server's log of " + std::to_string(now.size) + " records does not begin with that of " +
                       old.from + ": " + extends.error().message,
                   "keep both checkpoints, and compare with another copy of the log"};
    newest = now.size;
  }
  text = "the server's log of " + std::to_string(newest) + " records begins with that of each checkpoint";
  return json::Object{{"size", newest}, {"checkpoints", static_cast<std::uint64_t>(heads.size())}};
}

std::string verdict_text(const LogVerdict& v, const std::vector<KnownHead>& heads) {
  std::string text = std::to_string(v.records) + " records, root " + base::hex_encode(v.root);
  if (!heads.empty())
    text += "\n" + std::to_string(heads.size()) + (heads.size() == 1 ? " checkpoint" : " checkpoints") + " of " +
            heads.front().head.origin + ", covering " + std::to_string(v.covered) + " of them";
  return text;
}

/// The whole log, of a file or of the server, against the heads, and against the root that is told apart from them.
Result<json::Object> verify_whole(Client& client, const AuditVerify& o, const std::vector<KnownHead>& heads,
                                  std::string& text) {
  ServerLog server{client, 0, 0, {}, {}, 0, false};
  NextRecord next = server.reader();
  if (!o.log.empty()) {
    DP_TRY(next, open_log(o.log));
  }
  DP_TRY(const LogVerdict v, verify_records(next, heads));
  if (o.log.empty() && v.records < server.size)
    return Error{Code::invalid, "audit.gap",
                 "only " + std::to_string(v.records) + " of " + std::to_string(server.size) + " records are there",
                 "compare with a copy of the log"};
  const std::string wanted = !o.root.empty() ? o.root : o.log.empty() ? server.root_hex : "";
  const std::string root = base::hex_encode(v.root);
  if (!wanted.empty() && root != wanted)
    return Error{Code::invalid, "audit.root", "the records make root " + root + ", not " + wanted,
                 "compare with a copy of the log"};
  text = verdict_text(v, heads);
  json::Object out{{"records", v.records}, {"root", root}};
  std::error_code failed;
  if (o.log.empty() || !std::filesystem::is_directory(o.log, failed)) {
    out.set("erased", v.erased);
    out.set("accounted", v.accounted);
    if (v.erased + v.accounted > 0)
      text +=
          "\n" + std::to_string(v.erased) + " records lack values that were erased; the log says so of " +
          std::to_string(v.accounted) +
          (v.erased > v.accounted ? ": the others were left out by somebody else, or behind the end of this copy" : "");
  }
  if (!heads.empty()) {
    out.set("covered", v.covered);
    out.set("origin", heads.front().head.origin);
  }
  return out;
}

Result<std::vector<KnownHead>> read_heads(const AuditVerify& o) {
  std::vector<KnownHead> heads;
  if (o.checkpoints.empty()) return heads;
  DP_TRY(const tlog::NoteKey key, read_note_key(o.key));
  for (const auto& file : o.checkpoints) {
    DP_TRY(KnownHead head, read_checkpoint(file, key));
    heads.push_back(std::move(head));
  }
  return heads;
}

Status check_options(const AuditVerify& o) {
  const auto wrong = [](std::string check, std::string why, std::string hint) -> Status {
    return Error{Code::invalid, std::move(check), std::move(why), std::move(hint)};
  };
  if ((!o.checkpoints.empty() || !o.receipt.empty()) && o.key.empty())
    return wrong("audit.key_missing", "a checkpoint is only as good as the key that signed it",
                 "give the one that was kept elsewhere: --key KEY (daypass audit key shows it)");
  if (!o.log.empty() && o.root.empty() && o.checkpoints.empty())
    return wrong("audit.root_missing", "a file alone proves nothing",
                 "give a checkpoint that was kept elsewhere, --checkpoint FILE --key KEY, or a root, --root HEX");
  if (o.quick && (o.checkpoints.empty() || !o.log.empty()))
    return wrong("audit.quick", "--quick asks the server about a checkpoint that was kept", "give --checkpoint FILE");
  return {};
}

}  // namespace

Result<std::string> verify_audit(Client& client) {
  std::string text;
  DP_CHECK(verify_whole(client, {}, {}, text));
  return text;
}

int audit_verify(Io& io, const Globals& g, const AuditVerify& o) {
  if (const auto good = check_options(o); !good.ok())
    return fail(io, g, good.error(), "the audit log can't be verified");
  if (!o.receipt.empty()) {
    const auto key = read_note_key(o.key);
    if (!key.ok()) return fail(io, g, key.error(), "the receipt can't be verified");
    return verify_receipt(io, g, o.receipt, *key);
  }
  Client client(io, g);
  std::string text;
  const auto found = [&]() -> Result<json::Object> {
    DP_TRY(const std::vector<KnownHead> heads, read_heads(o));
    if (!o.quick) return verify_whole(client, o, heads, text);
    DP_TRY(const tlog::NoteKey key, read_note_key(o.key));
    return verify_quickly(client, heads, key, text);
  }();
  return told(io, g, found, text, client.request_id());
}

}  // namespace daypass::app::cli
