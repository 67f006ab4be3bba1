// Freeze and thaw, for the hour in which nobody knows yet what is wrong.
#include "app/cli/client.h"
#include "app/cli/commands.h"

namespace daypass::app::cli {

namespace json = base::json;

namespace {

/// At the operator's socket no tenant is all of them; a login is always one tenant's.
bool means_all(const Io& io, const Globals& g, const Client& client) {
  return client.by_socket() && g.tenant.empty() && io.var("DAYPASS_TENANT").empty();
}

std::string name_of(const Client& client, bool all) {
  return all ? std::string("every tenant") : "tenant " + client.place().tenant;
}

}  // namespace

int freeze(Io& io, const Globals& g, const std::string& reason) {
  Client client(io, g);
  const bool all = means_all(io, g, client);
  const json::Value body(json::Object{{"reason", reason}});
  const auto answer = all ? client.operate("PUT", "/freeze", &body) : client.call("PUT", "/freeze", &body);
  if (!answer.ok())
    return fail(io, g, answer.error(),
                answer.error().check == "freeze.unrecorded"
                    ? "the freeze of " + name_of(client, all) + " is not recorded"
                    : name_of(client, all) + " was not frozen",
                client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  io.out(name_of(client, all) + " is frozen: " + answer->string_or("reason") + "\n");
  io.err(std::to_string(answer->int_or("grants_ended", 0)) +
         " grants ended. Nothing new is given until daypass thaw; logins go on.\n");
  return Exit::done;
}

int thaw(Io& io, const Globals& g) {
  Client client(io, g);
  const bool all = means_all(io, g, client);
  const auto answer = all ? client.operate("DELETE", "/freeze") : client.call("DELETE", "/freeze");
  if (!answer.ok()) return fail(io, g, answer.error(), name_of(client, all) + " was not thawed", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  io.out(name_of(client, all) + " is thawed\n");
  if (answer->bool_or("frozen", false))
    io.err("Access stays frozen by " + answer->string_or("by") + ": " + answer->string_or("reason") + "\n");
  else if (all)
    io.err("A tenant that was frozen by itself stays frozen: daypass --socket … --tenant NAME thaw\n");
  return Exit::done;
}

}  // namespace daypass::app::cli
