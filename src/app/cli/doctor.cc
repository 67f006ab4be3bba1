// `daypass doctor`: what could be wrong, from this machine outward. Each check says how to mend it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "app/cli/setup.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
namespace json = base::json;

namespace {

enum class Grade { pass, skip, warn, fail };
constexpr std::string_view grade_names[] = {"pass", "skip", "warn", "fail"};

struct Check {
  std::string name;
  Grade grade = Grade::pass;
  std::string message = {}, fix = {};
  std::vector<Check> parts = {};

  /// A group is as bad as its worst part.
  void add(Check part) {
    if (part.grade == Grade::fail || (part.grade == Grade::warn && grade != Grade::fail)) grade = part.grade;
    parts.push_back(std::move(part));
  }
};

Check broken(std::string name, const Error& e) {
  return {std::move(name), Grade::fail, e.message + " (" + e.check + ")", e.hint};
}

json::Value to_json(const Check& c) {
  json::Object out{{"name", c.name}, {"grade", grade_names[static_cast<int>(c.grade)]}};
  if (!c.message.empty()) out.set("message", c.message);
  if (!c.fix.empty()) out.set("fix", c.fix);
  if (!c.parts.empty()) {
    json::Array parts;
    for (const auto& part : c.parts) parts.push_back(to_json(part));
    out.set("checks", std::move(parts));
  }
  return out;
}

void to_text(const Check& c, std::size_t depth, std::string& out) {
  const std::string indent(depth * 2, ' ');
  if (depth == 0)
    out += c.name + "\n";
  else
    out += indent + std::string(grade_names[static_cast<int>(c.grade)]) + "  " + c.name +
           (c.message.empty() ? "" : ": " + c.message) + "\n";
  if (!c.fix.empty() && c.grade != Grade::pass) out += indent + "      fix: " + c.fix + "\n";
  for (const auto& part : c.parts) to_text(part, depth + 1, out);
}

/// What a program says on stdout, at most 4 KiB within 5 seconds; nullopt when it can't be run or fails.
std::optional<std::string> output_of(const std::string& program, const char* argument) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  std::string name = program, arg = argument;
  char* argv[] = {name.data(), arg.data(), nullptr};
  char* no_environment[] = {nullptr};
  pid_t pid = -1;
  const int spawned = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, no_environment);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string out;
  bool ended = false;
  while (spawned == 0 && out.size() < 4096) {
    pollfd wait{ends[0], POLLIN, 0};
    std::array<char, 1024> buffer;
    const int ready = ::poll(&wait, 1, 5000);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    const ssize_t n = ::read(ends[0], buffer.data(), buffer.size());
    ended = n == 0;
    if (n <= 0) break;
    out.append(buffer.data(), static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  if (spawned != 0) return std::nullopt;
  if (!ended) ::kill(pid, SIGKILL);
  int state = 0;
  while (::waitpid(pid, &state, 0) < 0 && errno == EINTR) {
  }
  return ended && WIFEXITED(state) && WEXITSTATUS(state) == 0 ? std::optional(out) : std::nullopt;
}

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), the one form that servers may send.
std::optional<base::WallTime> http_time(const std::string& text) {
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || !text.ends_with(" GMT")) return std::nullopt;
  const std::size_t month = months.find(std::string_view(text).substr(8, 3));
  if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
  const std::string number = std::to_string(month / 3 + 1);
  const auto parsed = base::parse_rfc3339(text.substr(12, 4) + "-" + (number.size() == 1 ? "0" : "") + number + "-" +
                                          text.substr(5, 2) + "T" + text.substr(17, 8) + "Z");
  return parsed.ok() ? std::optional(*parsed) : std::nullopt;
}

Check check_clock(const Io& io, const std::string& date) {
  const auto theirs = http_time(date);
  if (!theirs)
    return {"clock", Grade::warn, "the server sent no date to compare with", "is a proxy between here and the server?"};
  const base::WallTime ours = io.clock->wall();
  const auto away = std::chrono::duration_cast<base::Seconds>(*theirs > ours ? *theirs - ours : ours - *theirs);
  const std::string text = base::to_string(std::chrono::duration_cast<base::Millis>(away));
  // The header has whole seconds, and the answer took its time.
  if (away <= std::chrono::seconds(5)) return {"clock", Grade::pass, "agrees with the server's to " + text, ""};
  const std::string side = *theirs > ours ? " behind the server's" : " ahead of the server's";
  return {"clock", away > std::chrono::minutes(5) ? Grade::fail : Grade::warn, "this machine's clock is " + text + side,
          "turn time synchronisation on: timedatectl set-ntp true"};
}

Check check_tls(const Place& place) {
  if (!place.socket.empty()) return {"tls", Grade::skip, "the operator's socket needs none", ""};
  if (place.server.starts_with("https://"))
    return {"tls", Grade::pass, "the server's certificate is valid for its name", ""};
  return {"tls", Grade::pass, "plain http, which is used to loopback addresses alone", ""};
}

Check check_psql(const Io& io) {
  const auto program = find_program(io, "psql");
  if (!program)
    return {"psql", Grade::warn, "not installed: daypass connect needs it, other clients work",
            "apt-get install postgresql-client"};
  auto version = output_of(*program, "--version");
  if (!version)
    return {"psql", Grade::warn, *program + " does not say its version", "try it: " + *program + " --version"};
  while (version->ends_with('\n')) version->pop_back();
  return {"psql", Grade::pass, *version + ", " + *program, ""};
}

/// The session when the server knows this login.
Check check_login(Io& io, Client& client, std::optional<json::Value>& session) {
  if (client.by_socket()) return {"login", Grade::skip, "the operator's socket needs none", ""};
  auto answer = client.call("GET", "/session");
  if (!answer.ok()) return broken("login", answer.error());
  const auto ends = base::parse_rfc3339(answer->string_or("ends_at"));
  Check out{"login", Grade::pass,
            answer->string_or("principal") + (ends.ok() ? ", ends " + relative(*ends, io.clock->wall()) : ""), ""};
  session = std::move(*answer);
  return out;
}

std::optional<Check> check_services(const Io& io, const std::optional<json::Value>& session) {
  const auto kept = psql_session(io);
  if (!kept || !session) return std::nullopt;
  if (*kept == session->string_or("id")) return Check{"psql services", Grade::pass, "renewed with this login", ""};
  return Check{"psql services", Grade::warn, "they belong to another login and are refused", "daypass setup psql"};
}

Check check_ready(Client& client) {
  const auto answer = client.get("/readyz?verbose=true");
  if (!answer.ok()) return broken("ready", answer.error());
  if (answer->status == 200) return {"ready", Grade::pass, "gives access", ""};
  return {"ready", Grade::fail, answer->body.string_or("why", "answered " + std::to_string(answer->status)),
          "the server's log says more"};
}

/// Nothing where the server does not say.
std::optional<Check> check_room(Client& client) {
  const auto answer = client.get("/readyz?verbose=true");
  if (!answer.ok() || answer->body.find("free_bytes") == nullptr) return std::nullopt;
  const auto mib = [&](const char* key) { return std::to_string(answer->body.int_or(key, 0) >> 20U) + " MiB"; };
  const std::string text =
      mib("free_bytes") + " are left, " + mib("reserved_bytes") + " are kept for the end of access";
  if (!answer->body.bool_or("space", true))
    return Check{"room for the store", Grade::fail, text, "free space on the file system of the server's data_dir"};
  return Check{"room for the store", Grade::pass, text, ""};
}

Check check_idps(Client& client) {
  Check group{"identity providers"};
  const auto list = client.call("GET", "/idps");
  if (!list.ok()) return broken(group.name, list.error());
  for (const auto& idp : items(*list, "idps")) {
    const std::string name = idp.string_or("name");
    const auto probe = client.call("POST", "/idps/" + name + "/probe");
    group.add(probe.ok() ? Check{name, Grade::pass, idp.string_or("issuer") + ": metadata and keys are there", ""}
                         : broken(name, probe.error()));
  }
  if (group.parts.empty())
    group.add(
        {"none", Grade::warn, "nobody can sign in", "add an [[idp]] to the tenant's folder, then daypass apply DIR"});
  return group;
}

Check check_targets(Client& client) {
  Check group{"targets"};
  const auto list = client.call("GET", "/targets");
  if (!list.ok()) return broken(group.name, list.error());
  for (const auto& target : items(*list, "targets")) {
    const std::string name = target.string_or("target");
    const auto answer = client.call("POST", "/targets/" + name + "/check");
    if (!answer.ok()) {
      group.add(broken(name, answer.error()));
      continue;
    }
    Check one{name};
    std::size_t good = 0;
    for (const auto& f : items(*answer, "findings")) {
      const std::string grade = f.string_or("grade"), subject = f.string_or("subject");
      if (grade == "ok")
        ++good;
      else
        one.add({f.string_or("check"), grade == "warn" ? Grade::warn : Grade::fail,
                 (subject.empty() ? "" : subject + ": ") + f.string_or("message"), f.string_or("fix")});
    }
    one.message = std::to_string(good) + " of " + std::to_string(good + one.parts.size()) + " findings are good";
    group.add(std::move(one));
  }
  if (group.parts.empty())
    group.add({"none", Grade::warn, "there is nothing to give access to",
               "add a [[target]] to the tenant's folder, then daypass apply DIR"});
  return group;
}

Check check_audit(Client& client) {
  const auto verified = verify_audit(client);
  return verified.ok() ? Check{"audit log", Grade::pass, *verified, ""} : broken("audit log", verified.error());
}

}  // namespace

int doctor(Io& io, const Globals& g) {
  Client client(io, g);
  const Place& place = client.place();
  Check here{"this machine"}, server{"server"};
  here.add({"address", Grade::pass,
            client.by_socket() ? "the operator's socket " + place.socket + ", tenant " + place.tenant
                               : place.server + " (from " + place.origin + "), tenant " + place.tenant,
            ""});
  here.add(check_psql(io));
  std::optional<json::Value> session;
  const auto version = client.get("/api/v1/version");
  const bool there = version.ok() && version->status == 200 && version->body.find("version") != nullptr;
  if (!there) {
    server.add(version.ok()
                   ? Check{"reachable", Grade::fail, place.server + " answers, but not as a Daypass server does",
                           "--server or DAYPASS_SERVER names another"}
                   : broken("reachable", version.error()));
    // Whether a login is there can be said without the server.
    const auto kept = load_login(io, place);
    if (!kept.ok())
      here.add(broken("login", kept.error()));
    else if (*kept && (*kept)->ends_at <= io.clock->wall())
      here.add(
          {"login", Grade::fail, "the login ended " + relative((*kept)->ends_at, io.clock->wall()), "daypass login"});
    else if (!client.by_socket())
      here.add({"login", Grade::skip,
                *kept ? "kept until " + base::to_rfc3339((*kept)->ends_at) + "; the server can't be asked"
                      : "nobody is logged in",
                ""});
  } else {
    here.add(check_clock(io, version->date));
    here.add(check_tls(place));
    here.add(check_login(io, client, session));
    if (auto services = check_services(io, session)) here.add(std::move(*services));
    const std::string theirs = version->body.string_or("version");
    server.add(theirs == DAYPASS_VERSION
                   ? Check{"version", Grade::pass, theirs, ""}
                   : Check{"version", Grade::warn, "the server has " + theirs + ", this is " + DAYPASS_VERSION,
                           "install the same version here"});
    server.add(check_ready(client));
    if (auto room = check_room(client)) server.add(std::move(*room));
    if (client.by_socket() || (session && session->bool_or("administers", false))) {
      server.add(check_idps(client));
      server.add(check_targets(client));
      server.add(check_audit(client));
    } else {
      server.add({"the rest", Grade::skip,
                  "identity providers, targets and the audit log are checked for administrators", ""});
    }
  }
  const bool good = here.grade != Grade::fail && server.grade != Grade::fail;
  if (g.json()) {
    print_json(io, {{"ok", good}, {"checks", json::Array{to_json(here), to_json(server)}}});
  } else {
    std::string out;
    to_text(here, 0, out);
    to_text(server, 0, out);
    io.out(out);
  }
  return good ? Exit::done : Exit::failed;
}

}  // namespace daypass::app::cli
