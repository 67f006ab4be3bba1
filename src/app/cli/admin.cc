// For administrators and the operator: policy, targets, sessions.
#include <algorithm>

#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "config/config.h"
#include "net/http.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

int show_applied(Io& io, const Globals& g, const json::Value& applied, bool dry_run) {
  const auto lines = [&](const char* key) -> const json::Array& { return items(applied, key); };
  if (g.json()) {
    json::Object out = *applied.as_object();
    out.set("dry_run", dry_run);
    print_json(io, std::move(out));
  }
  for (const auto& p : lines("problems")) io.err(p.string_or("text") + "\n");
  for (const auto& w : lines("warnings")) io.err("warning: " + text_of(w) + "\n");
  if (!lines("problems").empty()) {
    io.err("Nothing was changed: " + std::to_string(lines("problems").size()) + " problems.\n");
    return Exit::usage;
  }
  if (!g.json())
    for (const auto& line : lines("plan")) io.out(text_of(line) + "\n");
  return Exit::done;
}

}  // namespace

Result<std::map<std::string, std::string>> read_tenant_folder(const std::string& folder) {
  auto files = config::read_folder(folder);
  constexpr const char* hint = "name the folder that has tenant.toml and policies/";
  if (!files.ok())
    return Error{files.error().code, files.error().check, files.error().message,
                 files.error().hint.empty() ? hint : files.error().hint};
  // Else the plan would be to remove all that there is.
  if (std::none_of(files->begin(), files->end(), [](const auto& file) { return file.first.ends_with(".toml"); }))
    return Error{Code::invalid, "apply.no_tenant", folder + " has no tenant.toml", hint};
  return files;
}

int apply(Io& io, const Globals& g, const std::string& folder, bool dry_run, bool yes) {
  const auto files = read_tenant_folder(folder);
  if (!files.ok()) return fail(io, g, files.error(), folder + " can't be applied");
  Client client(io, g);
  json::Object texts;
  for (const auto& [name, text] : *files) texts.set(name, text);
  const auto send = [&](bool dry) {
    const json::Value body(json::Object{{"files", texts}, {"dry_run", dry}});
    return client.call("POST", "/apply", &body, std::chrono::seconds(90));
  };
  auto plan = send(true);
  if (!plan.ok()) return fail(io, g, plan.error(), folder + " can't be applied", client.request_id());
  const bool nothing = items(*plan, "plan").empty();
  const bool bad = !items(*plan, "problems").empty();
  if (dry_run || bad || nothing) {
    const int code = show_applied(io, g, *plan, true);
    if (!bad && nothing)
      io.err("Nothing to change: the server has it so already (version " + std::to_string(plan->int_or("version", 0)) +
             ").\n");
    return code;
  }
  if (!yes) {
    if (!io.in_is_tty)
      return fail(io, g,
                  {Code::invalid, "apply.confirm", "nobody is there to confirm the plan",
                   "daypass apply " + folder + " --dry-run shows it, --yes applies it"},
                  folder + " was not applied");
    Globals plain = g;
    plain.output = "table";
    (void)show_applied(io, plain, *plan, true);
    io.err("Apply this? [y/N] ");
    const std::string answer = io.in();
    if (!answer.starts_with("y") && !answer.starts_with("Y")) {
      io.err("Nothing was changed.\n");
      return Exit::failed;
    }
  }
  const auto applied = send(false);
  if (!applied.ok()) return fail(io, g, applied.error(), folder + " was not applied", client.request_id());
  const int code = show_applied(io, g, *applied, false);
  if (code == Exit::done)
    io.err("Applied: version " + std::to_string(applied->int_or("version", 0)) + ", " +
           std::to_string(applied->int_or("grants_ended", 0)) + " grants ended by it.\n");
  return code;
}

int target_check(Io& io, const Globals& g, const std::string& target) {
  Client client(io, g);
  const auto answer = client.call("POST", "/targets/" + target + "/check");
  if (!answer.ok()) return fail(io, g, answer.error(), "target " + target, client.request_id());
  const bool good = answer->bool_or("ok", false);
  if (g.json()) {
    print_json(io, *answer->as_object());
    return good ? Exit::done : Exit::failed;
  }
  std::string out;
  for (const auto& f : items(*answer, "findings")) {
    const std::string grade = f.string_or("grade");
    out += (grade == "ok"     ? "✓ "
            : grade == "warn" ? "! "
                              : "✗ ") +
           f.string_or("subject") + (f.string_or("subject").empty() ? "" : ": ") + f.string_or("message") + "  (" +
           f.string_or("check") + ")\n";
    if (grade != "ok" && !f.string_or("fix").empty()) out += "    fix: " + f.string_or("fix") + "\n";
  }
  io.out(out);
  return good ? Exit::done : Exit::failed;
}

int sessions_ls(Io& io, const Globals& g) {
  Client client(io, g);
  const auto answer = client.call("GET", "/sessions");
  if (!answer.ok()) return fail(io, g, answer.error(), "sessions can't be listed", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  std::vector<std::vector<std::string>> rows{{"ID", "WHO", "NAME", "CLIENT", "SINCE", "ENDS"}};
  for (const auto& s : items(*answer, "sessions")) {
    const auto since = base::parse_rfc3339(s.string_or("started_at")),
               ends = base::parse_rfc3339(s.string_or("ends_at"));
    rows.push_back({s.string_or("id"), s.string_or("principal"), s.string_or("display"), s.string_or("client"),
                    since.ok() ? relative(*since, io.clock->wall()) : "",
                    ends.ok() ? relative(*ends, io.clock->wall()) : ""});
  }
  io.out(table(rows));
  return Exit::done;
}

int sessions_end(Io& io, const Globals& g, const std::string& id) {
  Client client(io, g);
  const auto answer = client.call("POST", "/sessions/" + id + "/end");
  if (!answer.ok()) return fail(io, g, answer.error(), "session " + id, client.request_id());
  if (g.json())
    print_json(io, *answer->as_object());
  else
    io.err("Ended; " + std::to_string(answer->int_or("grants_ended", 0)) + " grants ended with it.\n");
  return Exit::done;
}

int sessions_revalidate(Io& io, const Globals& g, const std::string& id) {
  Client client(io, g);
  const auto answer = client.call("POST", "/sessions/" + id + "/revalidate");
  if (!answer.ok()) return fail(io, g, answer.error(), "session " + id + " can't be revalidated", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  const std::string state = answer->string_or("state"), why = answer->string_or("why");
  const std::string ended = std::to_string(answer->int_or("grants_ended", 0)) + " grants ended with it.\n";
  if (state == "ended")
    io.err("Ended" + (why.empty() ? std::string() : ": " + why) + "; " + ended);
  else if (state == "changed")
    io.err("Goes on; what the identity provider says of the person has changed; " + ended);
  else
    io.err("Goes on; nothing has changed.\n");
  return Exit::done;
}

}  // namespace daypass::app::cli
