// Accounts on targets that nobody answers for.
#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "net/http.h"

namespace daypass::app::cli {

namespace json = base::json;

namespace {

std::string meaning(const json::Value& account) {
  const std::string kind = account.string_or("kind");
  if (kind == "other_installation") return "of installation " + account.string_or("instance") + "; never touched";
  if (kind == "copied_mark") return "carries a mark that is not its own; never touched";
  const std::string what = kind == "closed_grant" ? "its grant is closed" : "the store never heard of it";
  if (account.bool_or("removed", false)) return what + "; removed";
  const std::string left = account.string_or("left");
  return left.empty() ? what : what + "; still there: " + left;
}

std::string told(const json::Value& answer) {
  std::vector<std::vector<std::string>> rows{{"TENANT", "TARGET", "ACCOUNT", "UNTIL", "WHAT"}};
  for (const auto& target : items(answer, "targets")) {
    const std::string tenant = target.string_or("tenant"), name = target.string_or("target");
    if (const std::string why = target.string_or("unreachable"); !why.empty())
      rows.push_back({tenant, name.empty() ? "?" : name, "?", "", "can't be looked at: " + why});
    for (const auto& a : items(target, "accounts"))
      rows.push_back({tenant, name, a.string_or("account"), a.string_or("valid_until"), meaning(a)});
  }
  return rows.size() > 1 ? table(rows) : "";
}

}  // namespace

int admin_orphans(Io& io, const Globals& g, bool fix) {
  Client client(io, g);
  const std::string tenant = g.tenant.empty() ? io.var("DAYPASS_TENANT") : g.tenant;
  const json::Value body(tenant.empty() ? json::Object{} : json::Object{{"tenant", tenant}});
  constexpr auto patience = std::chrono::seconds(125);
  const auto answer =
      fix ? client.operate("POST", "/orphans/remove", &body, patience)
          : client.operate("GET", "/orphans" + (tenant.empty() ? "" : "?" + net::encode_query({{"tenant", tenant}})),
                           nullptr, patience);
  if (!answer.ok())
    return fail(io, g, answer.error(), fix ? "no orphan was removed" : "the server can't be asked",
                client.request_id());
  const auto count = [&](std::string_view key) { return answer->int_or(key, 0); };
  const auto left = count("orphans"), unreachable = count("unreachable");
  if (g.json()) {
    print_json(io, *answer->as_object());
  } else {
    io.out(told(*answer));
    const auto looked = static_cast<std::int64_t>(items(*answer, "targets").size()) - unreachable;
    io.err(std::to_string(looked) + " targets looked at, " + std::to_string(left) + " orphans" +
           (fix ? " left, " + std::to_string(count("removed")) + " removed" : "") +
           (unreachable > 0 ? "; " + std::to_string(unreachable) + " could not be looked at" : "") + "\n");
    if (left > 0 && !fix) io.err("Look whose they are, then: daypass admin orphans --fix\n");
  }
  if (left > 0) return Exit::failed;
  return unreachable > 0 ? Exit::unreachable : Exit::done;
}

}  // namespace daypass::app::cli
