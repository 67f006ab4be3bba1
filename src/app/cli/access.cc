// Getting access: what one may have, psql with a role made for this session, credentials for other clients, grants.
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "app/cli/setup.h"
#include "net/http.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

std::string joined(const json::Value* list) {
  std::string out;
  if (list != nullptr && list->as_array() != nullptr)
    for (const auto& item : *list->as_array())
      if (item.as_string() != nullptr) out += (out.empty() ? "" : ", ") + *item.as_string();
  return out;
}

Result<json::Value> want(Client& client, const WantOptions& o) {
  json::Object body{{"target", o.target}};
  if (!o.roles.empty()) {
    json::Array roles;
    for (const auto& role : o.roles) roles.emplace_back(role);
    body.set("roles", std::move(roles));
  }
  if (!o.for_.empty()) body.set("for", o.for_);
  if (!o.reason.empty()) body.set("reason", o.reason);
  const json::Value value(std::move(body));
  auto answer = client.call("POST", "/credentials", &value);
  // A policy may know whom to ask; where it doesn't, there is still a place to look.
  if (!answer.ok() && answer.error().code == Code::denied && answer.error().hint.empty())
    return Error{Code::denied, answer.error().check, answer.error().message,
                 "daypass ls --all says what there is, and why not"};
  return answer;
}

/// A file that exists only as long as a descriptor to it: nothing to clean up, nothing left by kill -9.
int memory_file(const std::string& content, const char* name) {
  const int fd = ::memfd_create(name, 0);
  if (fd < 0) return -1;
  ::fchmod(fd, 0600);
  if (::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    ::close(fd);
    return -1;
  }
  return fd;
}

pid_t child = -1;  // for the signal handler, which can take no argument
void pass_on(int number) {
  if (child > 0) ::kill(child, number);
}

int run_client(const std::string& program, const std::vector<std::string>& args,
               const std::map<std::string, std::string>& env) {
  std::vector<std::string> pairs;
  for (const auto& [name, value] : env) pairs.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  std::vector<std::string> copy = args;
  for (auto& a : copy) argv.push_back(a.data());
  argv.push_back(nullptr);
  for (auto& p : pairs) envp.push_back(p.data());
  envp.push_back(nullptr);
  // Ctrl-C belongs to psql (it cancels a query); we only wait. A terminal sends it to both of us.
  struct sigaction ignore{}, forward{};
  ignore.sa_handler = SIG_IGN;
  forward.sa_handler = pass_on;
  ::sigaction(SIGINT, &ignore, nullptr);
  ::sigaction(SIGQUIT, &ignore, nullptr);
  child = ::fork();
  if (child < 0) return -1;
  if (child == 0) {
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGQUIT, SIG_DFL);
    ::execve(program.c_str(), argv.data(), envp.data());
    ::_exit(127);
  }
  ::sigaction(SIGTERM, &forward, nullptr);
  ::sigaction(SIGHUP, &forward, nullptr);
  int state = 0;
  while (::waitpid(child, &state, 0) < 0 && errno == EINTR) {
  }
  child = -1;
  return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

std::string limits_of(const json::Value& role, std::string_view key) {
  const json::Value* offers = role.find("offers");
  std::string out;
  if (offers == nullptr || offers->as_array() == nullptr) return out;
  for (const auto& offer : *offers->as_array()) {
    const json::Value* v = offer.find(key);
    if (v == nullptr) continue;
    out += (out.empty() ? "" : " | ") + (v->as_string() != nullptr ? *v->as_string() : json::dump(*v));
  }
  return out;
}

}  // namespace

int ls(Io& io, const Globals& g, bool all) {
  Client client(io, g);
  const auto answer = client.call("GET", "/roles");
  if (!answer.ok()) return fail(io, g, answer.error(), "roles can't be listed", client.request_id());
  json::Array shown;
  for (const auto& role : items(*answer, "roles"))
    if (all || role.string_or("verdict") == "allow") shown.push_back(role);
  if (g.json()) {
    print_json(io, {{"roles", std::move(shown)}});
    return Exit::done;
  }
  if (g.output == "name") {
    std::string out;
    for (const auto& role : shown) out += role.string_or("role") + "\n";
    io.out(out);
    return Exit::done;
  }
  if (shown.empty()) {
    io.err("There is no role that you may have now. daypass ls --all shows what there is, and why not.\n");
    return Exit::done;
  }
  std::vector<std::vector<std::string>> rows{{"ROLE", "NOW", "FOR", "IDLE", "CONNS", "WHY"}};
  for (const auto& role : shown) {
    const bool may = role.string_or("verdict") == "allow";
    std::string why = role.string_or("why");
    if (!may && !role.string_or("ask").empty()) why += "; " + role.string_or("ask");
    rows.push_back({role.string_or("role"), may ? (role.bool_or("elevated", false) ? "by name" : "yes") : "no",
                    limits_of(role, "duration"), limits_of(role, "idle"), limits_of(role, "connections"), why});
  }
  io.out(table(rows));
  return Exit::done;
}

namespace {

/// For a shell's `export` or an env file: quoted only when it must be.
std::string shell_word(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::strchr("_./:-", c) != nullptr;
  });
  if (plain) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

int creds(Io& io, const Globals& globals, const WantOptions& o) {
  Globals g = globals;
  if (o.format == "json") g.output = "json";
  Client client(io, g);
  const auto answer = want(client, o);
  if (!answer.ok()) return fail(io, g, answer.error(), "no credential for " + o.target, client.request_id());
  const std::string host = answer->string_or("host"), port = std::to_string(answer->int_or("port", 0)),
                    db = answer->string_or("database"), user = answer->string_or("user"),
                    password = answer->string_or("password");
  if (g.json()) {
    json::Object out = *answer->as_object();
    print_json(io, std::move(out));
    return Exit::done;
  }
  if (o.format == "url") {
    io.out("postgresql://" + net::percent_encode(user) + ":" + net::percent_encode(password) + "@" + host + ":" + port +
           "/" + net::percent_encode(db) + "?sslmode=require\n");
    return Exit::done;
  }
  if (o.format == "env") {
    io.out("PGHOST=" + shell_word(host) + "\nPGPORT=" + port + "\nPGDATABASE=" + shell_word(db) +
           "\nPGUSER=" + shell_word(user) + "\nPGPASSWORD=" + shell_word(password) + "\nPGSSLMODE=require\n");
    return Exit::done;
  }
  io.out(table({{"host", host},
                {"port", port},
                {"database", db},
                {"user", user},
                {"password", password},
                {"roles", joined(answer->find("roles"))},
                {"works until", answer->string_or("login_ends_at")}}));
  io.err("Shown once. A connection with it opens a grant, decided anew each time; it ends with your login.\n");
  return Exit::done;
}

int connect(Io& io, const Globals& g, const WantOptions& o) {
  const std::string kind = o.target.substr(0, o.target.find('/'));
  if (kind != o.target && kind != "pg")
    return fail(
        io, g,
        {Code::invalid, "connect.kind", "daypass connect knows no client for " + o.target, "daypass creds " + o.target},
        "no client");
  // Before anything is asked for: a credential that nobody can use would still have been given.
  const auto psql = find_program(io, "psql");
  if (!psql)
    return fail(io, g,
                {Code::not_found, "connect.psql_missing", "psql is not installed",
                 "apt-get install postgresql-client, or daypass creds " + o.target},
                "no client");
  Client client(io, g);
  const auto answer = want(client, o);
  if (!answer.ok()) return fail(io, g, answer.error(), "no access to " + o.target, client.request_id());
  const std::string host = answer->string_or("host"), port = std::to_string(answer->int_or("port", 0)),
                    db = answer->string_or("database"), user = answer->string_or("user");
  const int pass = memory_file(
      "*:*:*:" + passfile_escape(user) + ":" + passfile_escape(answer->string_or("password")) + "\n", "pgpass");
  const int ca = memory_file(answer->string_or("ca_pem"), "gate-ca");
  if (pass < 0 || ca < 0)
    return fail(io, g, {Code::internal, "connect.memfd", std::string("no memory file: ") + std::strerror(errno)},
                "no access to " + o.target);
  auto env = io.env;
  // libpq reads the password from a file that lives in our memory alone; never from the environment or the arguments.
  env["PGPASSFILE"] = "/proc/self/fd/" + std::to_string(pass);
  env["PGHOST"] = host;
  env["PGPORT"] = port;
  env["PGDATABASE"] = db;
  env["PGUSER"] = user;
  env["PGSSLMODE"] = "verify-full";
  env["PGSSLROOTCERT"] = "/proc/self/fd/" + std::to_string(ca);
  env["PGGSSENCMODE"] = "disable";
  env["PGAPPNAME"] = "daypass connect";
  env.erase("PGPASSWORD");
  env.erase("PGSERVICE");
  std::vector<std::string> args{"psql"};
  args.insert(args.end(), o.rest.begin(), o.rest.end());
  const int code = run_client(*psql, args, env);
  ::close(pass);
  ::close(ca);
  return code;
}

namespace {

std::vector<std::string> grant_row(const json::Value& grant, base::WallTime now) {
  const auto ends = base::parse_rfc3339(grant.string_or("ends_at"));
  const std::string state = grant.string_or("state");
  return {grant.string_or("id"),
          joined(grant.find("roles")),
          state,
          std::to_string(grant.int_or("connections", 0)),
          state == "closed" || state == "revoking" ? grant.string_or("end_reason")
                                                   : (ends.ok() ? relative(*ends, now) : ""),
          grant.string_or("principal"),
          grant.string_or("account")};
}

int one_grant(Io& io, const Globals& g, const json::Value& grant) {
  if (g.json()) {
    print_json(io, {{"grant", grant}});
    return Exit::done;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, value] : *grant.as_object())
    rows.push_back({key, value.as_string() != nullptr ? *value.as_string() : json::dump(value)});
  io.out(table(rows));
  return Exit::done;
}

}  // namespace

int grants_ls(Io& io, const Globals& g, bool all, bool closed, bool overdue) {
  Client client(io, g);
  std::string query;
  for (const auto& [flag, name] : {std::pair(all, "all"), std::pair(closed, "closed"), std::pair(overdue, "overdue")})
    if (flag) query += std::string(query.empty() ? "?" : "&") + name + "=true";
  const auto answer = client.call("GET", "/grants" + query);
  if (!answer.ok()) return fail(io, g, answer.error(), "grants can't be listed", client.request_id());
  const json::Array& list = items(*answer, "grants");
  if (g.json()) {
    print_json(io, {{"grants", list}});
    return Exit::done;
  }
  std::vector<std::vector<std::string>> rows{{"ID", "ROLES", "STATE", "CONNS", "ENDS", "WHO", "ACCOUNT"}};
  std::string names;
  for (const auto& grant : list) {
    rows.push_back(grant_row(grant, io.clock->wall()));
    names += grant.string_or("id") + "\n";
  }
  if (g.output == "name")
    io.out(names);
  else if (list.empty())
    io.err("No grants are running.\n");
  else
    io.out(table(rows));
  return Exit::done;
}

int grants_show(Io& io, const Globals& g, const std::string& id) {
  Client client(io, g);
  const auto answer = client.call("GET", "/grants/" + id);
  if (!answer.ok()) return fail(io, g, answer.error(), "grant " + id, client.request_id());
  return one_grant(io, g, *answer);
}

int grants_extend(Io& io, const Globals& g, const std::string& id, const std::string& by) {
  Client client(io, g);
  const json::Value body(json::Object{{"for", by}});
  const auto answer = client.call("POST", "/grants/" + id + "/extend", &body);
  if (!answer.ok()) return fail(io, g, answer.error(), "grant " + id + " can't be extended", client.request_id());
  if (!g.json()) io.err("Extended until " + answer->string_or("ends_at") + ".\n");
  return one_grant(io, g, *answer);
}

int grants_end(Io& io, const Globals& g, const std::string& id) {
  Client client(io, g);
  const auto answer = client.call("POST", "/grants/" + id + "/end");
  if (!answer.ok()) return fail(io, g, answer.error(), "grant " + id + " can't be ended", client.request_id());
  const bool gone = answer->string_or("state") == "closed";
  if (g.json())
    print_json(io, {{"grant", *answer}});
  else
    io.err(gone ? "Ended: connections cut, account " + answer->string_or("account") + " proven gone.\n"
                : "Ended: connections cut; the account is still being removed, and that goes on until it is proven "
                  "gone.\n");
  return Exit::done;
}

}  // namespace daypass::app::cli
