// What a tenant keeps at the server to itself, for its administrators. A secret comes from a file or a pipe, never from
// the arguments, which everybody on the machine can read.
#include "app/secrets.h"
#include "app/cli/client.h"
#include "app/cli/commands.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
namespace json = base::json;

int secrets_ls(Io& io, const Globals& g) {
  Client client(io, g);
  const auto answer = client.call("GET", "/secrets");
  if (!answer.ok()) return fail(io, g, answer.error(), "secrets can't be listed", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  std::vector<std::vector<std::string>> rows{{"SECRET", "KIND", "SET", "BY"}};
  for (const auto& s : items(*answer, "secrets")) {
    const auto at = base::parse_rfc3339(s.string_or("set_at"));
    rows.push_back({s.string_or("name"), s.string_or("kind"), at.ok() ? relative(*at, io.clock->wall()) : "",
                    s.string_or("set_by")});
  }
  if (g.output == "name")
    for (std::size_t i = 1; i < rows.size(); ++i) io.out(rows[i][0] + "\n");
  else
    io.out(table(rows));
  return Exit::done;
}

int secrets_set(Io& io, const Globals& g, const std::string& name, const std::string& file) {
  const std::string what = "secret " + name + " was not kept";
  std::string value;
  if (!file.empty()) {
    const auto read = resolve_secret({"file:" + file});
    if (!read.ok()) return fail(io, g, read.error(), what);
    value = read->reveal();
  } else if (io.in_is_tty) {
    return fail(io, g,
                Error{Code::invalid, "secret.input", "what is typed here would be seen",
                      "name a file with --file, or pipe it in"},
                what);
  } else {
    value = io.in();
    if (value.ends_with('\n')) value.pop_back();
  }
  Client client(io, g);
  const json::Value body(json::Object{{"value", value}});
  const auto answer = client.call("PUT", "/secrets/" + name, &body);
  if (!answer.ok()) return fail(io, g, answer.error(), what, client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  io.out("tenant:" + name + "\n");
  return Exit::done;
}

int secrets_make_key(Io& io, const Globals& g, const std::string& name) {
  Client client(io, g);
  const json::Value body(json::Object{{"kind", "rsa"}});
  const auto answer = client.call("POST", "/secrets/" + name + "/key", &body);
  if (!answer.ok()) return fail(io, g, answer.error(), "key " + name + " was not made", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  io.out(answer->string_or("certificate"));
  io.err("Next: name it in the settings, e.g. sp_keys = [\"tenant:" + name + "\"], and daypass apply DIR\n");
  return Exit::done;
}

int secrets_rm(Io& io, const Globals& g, const std::string& name) {
  Client client(io, g);
  const auto answer = client.call("DELETE", "/secrets/" + name);
  if (!answer.ok()) return fail(io, g, answer.error(), "secret " + name + " was not removed", client.request_id());
  if (g.json()) print_json(io, *answer->as_object());
  return Exit::done;
}

}  // namespace daypass::app::cli
