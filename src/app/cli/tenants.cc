// Tenants as a whole: for the operator, on the server.
#include "app/cli/client.h"
#include "app/cli/commands.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
namespace json = base::json;

int tenants_ls(Io& io, const Globals& g) {
  Client client(io, g);
  const auto answer = client.operate("GET", "/tenants");
  if (!answer.ok()) return fail(io, g, answer.error(), "tenants can't be listed", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  std::vector<std::vector<std::string>> rows{{"TENANT", "NAME", "STATE", "MADE"}};
  for (const auto& t : items(*answer, "tenants")) {
    const auto made = base::parse_rfc3339(t.string_or("created_at"));
    rows.push_back({t.string_or("id"), t.string_or("display"), t.string_or("state"),
                    made.ok() ? relative(*made, io.clock->wall()) : ""});
  }
  if (g.output == "name")
    for (std::size_t i = 1; i < rows.size(); ++i) io.out(rows[i][0] + "\n");
  else
    io.out(table(rows));
  return Exit::done;
}

int tenants_create(Io& io, const Globals& g, const std::string& id, const std::string& display) {
  Client client(io, g);
  const json::Value body(json::Object{{"id", id}, {"display", display}});
  const auto answer = client.operate("POST", "/tenants", &body);
  if (!answer.ok()) return fail(io, g, answer.error(), "tenant " + id + " was not made", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  io.out(id + "\n");
  io.err("Next: daypass --socket … --tenant " + id + " apply DIR\n");
  return Exit::done;
}

int tenants_set(Io& io, const Globals& g, const std::string& id, const std::string& display,
                const std::optional<std::vector<std::string>>& hosts) {
  json::Object change;
  if (!display.empty()) change.set("display", display);
  if (hosts) {
    json::Array list;
    for (const auto& host : *hosts) list.emplace_back(host);
    change.set("private_hosts", std::move(list));
  }
  if (change.empty())
    return fail(io, g,
                Error{Code::invalid, "tenant.change", "nothing was said to change",
                      "give --display, --private-host or --no-private-hosts"},
                "tenant " + id + " was not changed");
  Client client(io, g);
  const json::Value body(std::move(change));
  const auto answer = client.operate("PATCH", "/tenants/" + id, &body);
  if (!answer.ok()) return fail(io, g, answer.error(), "tenant " + id + " was not changed", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  io.out(id + "\n");
  return Exit::done;
}

int tenants_delete(Io& io, const Globals& g, const std::string& id, bool yes) {
  const std::string failed = "tenant " + id + " was not deleted";
  if (!yes)
    if (const auto stopped = typed_name(io, g, id,
                                        "Everything of tenant " + id +
                                            " ends now and is erased: logins, grants, settings, decisions. Only its "
                                            "audit log stays.",
                                        "tenant.confirm", failed))
      return *stopped;
  Client client(io, g);
  const auto answer = client.operate("DELETE", "/tenants/" + id);
  if (!answer.ok()) return fail(io, g, answer.error(), failed, client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  io.err("Tenant " + id + " has ended; " + std::to_string(answer->int_or("grants", 0)) +
         " grants are being revoked. It is gone from daypass tenants ls when nothing of it is left.\n");
  return Exit::done;
}

}  // namespace daypass::app::cli
