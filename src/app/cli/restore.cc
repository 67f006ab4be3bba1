// After a restore: what differs between the store and the world, and the operator's word that it may go on.
#include "app/cli/client.h"
#include "app/cli/commands.h"

namespace daypass::app::cli {

namespace json = base::json;

namespace {

std::string meaning(const json::Value& difference) {
  const std::string kind = difference.string_or("kind");
  if (kind == "unknown_account") return "made since the backup; left alone until its own end, then removed";
  if (kind == "closed_grant") return "its grant is closed; removed";
  if (kind == "later_end") return "extended since the backup; ends with its login";
  return "ended since the backup; stays ended";
}

std::string told(const json::Value& answer) {
  std::string out = "The store was restored: " + answer.string_or("why") + "\n";
  for (const auto& log : items(answer, "logs"))
    out += "tenant " + log.string_or("tenant") + ": its log has " + std::to_string(log.int_or("records", 0)) +
           " records, and had " + std::to_string(log.int_or("seen", 0)) + "\n";
  std::vector<std::vector<std::string>> rows{{"TENANT", "TARGET", "ACCOUNT", "GRANT", "WHAT"}};
  for (const auto& target : items(answer, "targets")) {
    const std::string tenant = target.string_or("tenant"), name = target.string_or("target");
    if (const std::string why = target.string_or("unreachable"); !why.empty())
      rows.push_back({tenant, name, "?", "", "can't be looked at: " + why});
    for (const auto& d : items(target, "differences"))
      rows.push_back({tenant, name, d.string_or("account"), d.string_or("grant"), meaning(d)});
  }
  out += rows.size() > 1 ? table(rows)
                         : "No target that was looked at so far differs (" +
                               std::to_string(items(answer, "targets").size()) + " looked at)\n";
  return out;
}

}  // namespace

int admin_restore(Io& io, const Globals& g, bool confirm) {
  Client client(io, g);
  const auto answer = client.operate("GET", "/restore");
  if (!answer.ok()) return fail(io, g, answer.error(), "the server can't be asked", client.request_id());
  const bool waits = answer->bool_or("quarantined", false);
  if (!confirm || !waits) {
    if (g.json()) {
      print_json(io, *answer->as_object());
    } else if (!waits) {
      io.out("The store is in use; no restore waits to be confirmed.\n");
    } else {
      io.out(told(*answer));
      io.err(
          "Nothing is given and nothing taken away until: daypass admin restore --confirm\n"
          "That ends every login, and with it every grant that the store believes in: some have ended since the "
          "backup.\n");
    }
    return waits ? Exit::waiting : Exit::done;
  }
  const json::Value body(json::Object{});
  const auto confirmed = client.operate("POST", "/restore/confirm", &body);
  if (!confirmed.ok()) return fail(io, g, confirmed.error(), "the restore was not confirmed", client.request_id());
  if (g.json())
    print_json(io, *confirmed->as_object());
  else
    io.out("The store is in use. " + std::to_string(confirmed->int_or("logins_ended", 0)) +
           " logins of the backup have ended; people sign in again.\n");
  return Exit::done;
}

}  // namespace daypass::app::cli
