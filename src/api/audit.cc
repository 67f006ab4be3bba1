// The audit log over REST: records, checkpoints, proofs, and the receipt of a revocation.
#include "api/api.h"
#include "base/encoding.h"
#include "net/ask.h"

namespace daypass::api {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

/// A first checkpoint of a long log reads all of it.
constexpr base::Millis patience = std::chrono::seconds(55);

HttpResponse problem(const Error& error, const Call& call) {
  return HttpResponse::problem(error, call.request.request_id);
}

base::Result<std::uint64_t> whole_number(std::string_view text, std::string_view name) {
  if (text.empty() || text.size() > 12 || text.find_first_not_of("0123456789") != std::string_view::npos)
    return Error{Code::invalid, "query.number", std::string(name) + " must be a whole number"};
  return static_cast<std::uint64_t>(std::stoull(std::string(text)));
}

base::Result<std::uint64_t> number_of(const Call& call, std::string_view name, std::uint64_t fallback) {
  DP_TRY(const auto text, call.request.query_one(name));
  if (!text) return fallback;
  return whole_number(*text, name);
}

json::Object view_of(const engine::AuditHead& head) {
  return {{"checkpoint", head.checkpoint},
          {"key", head.key},
          {"origin", head.origin},
          {"size", head.size},
          {"root", base::hex_encode(head.root)},
          {"at", base::to_rfc3339(head.at)}};
}

json::Object view_of(const engine::ForwardStatus& f) {
  json::Object out{{"name", f.name},
                   {"kind", f.kind},
                   {"host", f.host},
                   {"format", f.format},
                   {"next", f.next},
                   {"size", f.size},
                   {"lag", f.size > f.next ? f.size - f.next : 0},
                   {"failures", static_cast<std::uint64_t>(f.failures)}};
  if (f.behind_since) out.set("behind_since", base::to_rfc3339(*f.behind_since));
  if (f.sent_at) out.set("sent_at", base::to_rfc3339(*f.sent_at));
  if (f.failures != 0) {
    out.set("check", f.check);
    out.set("why", f.why);
  }
  if (f.next_try) out.set("next_try", base::to_rfc3339(*f.next_try));
  return out;
}

}  // namespace

awaitable<HttpResponse> Api::audit(Call call) {
  const auto from = number_of(call, "from", 0);
  const auto limit = number_of(call, "limit", 1000);
  if (!from.ok()) co_return problem(from.error(), call);
  if (!limit.ok()) co_return problem(limit.error(), call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<std::vector<std::string>>)> read =
      [this, call, f = *from, n = std::min<std::uint64_t>(*limit, 1000)](
          engine::Done<std::vector<std::string>> done) mutable { engine_.audit(call.tenant, f, n, std::move(done)); };
  const auto records = co_await net::ask<std::vector<std::string>>(*io, std::move(read));
  if (!records.ok()) co_return problem(records.error(), call);
  using Head = std::pair<std::uint64_t, std::string>;
  std::move_only_function<void(engine::Done<Head>)> read_head = [this, call](engine::Done<Head> done) mutable {
    engine_.audit_head(call.tenant, std::move(done));
  };
  const auto head = co_await net::ask<Head>(*io, std::move(read_head));
  if (!head.ok()) co_return problem(head.error(), call);
  // Each record to the byte: whoever verifies makes its leaf from it.
  json::Array out;
  for (const auto& record : *records) out.emplace_back(record);
  co_return HttpResponse::json(
      200, json::Object{{"size", head->first}, {"root", base::hex_encode(head->second)}, {"records", std::move(out)}});
}

awaitable<HttpResponse> Api::audit_checkpoint(Call call) {
  const bool make = call.request.method == "POST";
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::AuditHead>)> start =
      [this, call, make](engine::Done<engine::AuditHead> done) mutable {
        if (make)
          engine_.checkpoint_audit(call.tenant, std::move(done));
        else
          engine_.audit_checkpoint(call.tenant, std::move(done));
      };
  const auto head = co_await net::ask<engine::AuditHead>(*io, std::move(start), patience);
  if (!head.ok()) co_return problem(head.error(), call);
  co_return HttpResponse::json(200, view_of(*head));
}

awaitable<HttpResponse> Api::audit_proof(Call call) {
  const auto index = whole_number(call.args.at(0), "the record");
  if (!index.ok()) co_return problem(index.error(), call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::AuditProof>)> start =
      [this, call, i = *index](engine::Done<engine::AuditProof> done) mutable {
        engine_.prove_audit(call.tenant, {i}, std::move(done));
      };
  const auto proof = co_await net::ask<engine::AuditProof>(*io, std::move(start), patience);
  if (!proof.ok()) co_return problem(proof.error(), call);
  co_return HttpResponse::json(200, engine::to_json(*proof));
}

awaitable<HttpResponse> Api::audit_consistency(Call call) {
  const auto text = call.request.query_required("from");
  if (!text.ok()) co_return problem(text.error(), call);
  const auto from = whole_number(*text, "from");
  if (!from.ok()) co_return problem(from.error(), call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::AuditConsistency>)> start =
      [this, call, n = *from](engine::Done<engine::AuditConsistency> done) mutable {
        engine_.audit_consistency(call.tenant, n, std::move(done));
      };
  const auto proof = co_await net::ask<engine::AuditConsistency>(*io, std::move(start), patience);
  if (!proof.ok()) co_return problem(proof.error(), call);
  json::Object out = view_of(proof->head);
  json::Array path;
  for (const auto& hash : proof->path) path.emplace_back(base::base64_encode(hash));
  out.set("from", proof->from);
  out.set("path", std::move(path));
  co_return HttpResponse::json(200, std::move(out));
}

awaitable<HttpResponse> Api::audit_forwards(Call call) {
  auto* io = co_await net::current_io();
  using All = std::vector<engine::ForwardStatus>;
  std::move_only_function<void(engine::Done<All>)> start = [this, call](engine::Done<All> done) mutable {
    engine_.forwards(call.tenant, std::move(done));
  };
  const auto all = co_await net::ask<All>(*io, std::move(start));
  if (!all.ok()) co_return problem(all.error(), call);
  json::Array out;
  for (const auto& one : *all) out.emplace_back(view_of(one));
  co_return HttpResponse::json(200, json::Object{{"forwards", std::move(out)}});
}

awaitable<HttpResponse> Api::retry_forward(Call call) {
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::ForwardStatus>)> start =
      [this, call](engine::Done<engine::ForwardStatus> done) mutable {
        engine_.retry_forward(call.tenant, call.args.at(0), std::move(done));
      };
  const auto one = co_await net::ask<engine::ForwardStatus>(*io, std::move(start));
  if (!one.ok()) co_return problem(one.error(), call);
  co_return HttpResponse::json(200, view_of(*one));
}

awaitable<HttpResponse> Api::erase_person(Call call) {
  const auto body = call.request.json();
  if (!body.ok()) co_return problem(body.error(), call);
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::PersonErased>)> start =
      [this, tenant = call.tenant, person = body->string_or("person"),
       actor = call.caller.actor()](engine::Done<engine::PersonErased> done) mutable {
        engine_.erase_person(tenant, std::move(person), std::move(actor), std::move(done));
      };
  const auto gone = co_await net::ask<engine::PersonErased>(*io, std::move(start), patience);
  if (!gone.ok()) co_return problem(gone.error(), call);
  co_return HttpResponse::json(200, json::Object{{"id", gone->id},
                                                 {"records", static_cast<std::uint64_t>(gone->records)},
                                                 {"grants", static_cast<std::uint64_t>(gone->grants)},
                                                 {"decisions", static_cast<std::uint64_t>(gone->decisions)},
                                                 {"notes", static_cast<std::uint64_t>(gone->notes)},
                                                 {"kept", static_cast<std::uint64_t>(gone->kept)},
                                                 {"scrubbed", gone->scrubbed}});
}

awaitable<HttpResponse> Api::grant_receipt(Call call) {
  const auto id = core::parse_grant(call.tenant, call.args.at(0));
  if (!id.ok()) co_return problem(id.error(), call);
  std::optional<std::string> principal;
  if (!call.caller.administers) principal = call.caller.session->who.principal();
  auto* io = co_await net::current_io();
  std::move_only_function<void(engine::Done<engine::RevocationReceipt>)> start =
      [this, id = *id, principal](engine::Done<engine::RevocationReceipt> done) mutable {
        engine_.grant_receipt(id, principal, std::move(done));
      };
  const auto receipt = co_await net::ask<engine::RevocationReceipt>(*io, std::move(start), patience);
  if (!receipt.ok()) co_return problem(receipt.error(), call);
  co_return HttpResponse::json(200, engine::to_json(*receipt));
}

}  // namespace daypass::api
