// The story: what the product is for, told by doing it. Every step is checked; the first that is not so ends it.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>

#include "app/demo/stage.h"
#include "base/encoding.h"
#include "net/http_client.h"

namespace daypass::app::demo {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

/// What a browser does: follows redirects, keeps cookies, and presses one button.
Status browse(const std::string& start, const std::string& account) {
  net::HttpClient client;
  std::map<std::string, std::string> cookies;  // all on one host, told apart by name
  std::string url = start;
  for (int hop = 0; hop < 12; ++hop) {
    net::HttpFetch fetch("GET", url);
    fetch.egress.allow_loopback_http = true;
    std::string cookie;
    for (const auto& [name, value] : cookies) cookie += (cookie.empty() ? "" : "; ") + name + "=" + value;
    if (!cookie.empty()) fetch.headers.emplace_back("cookie", cookie);
    DP_TRY(const net::HttpReply reply, client.fetch(fetch));
    for (const auto& [name, value] : reply.headers) {
      if (name != "set-cookie") continue;
      const std::string pair = value.substr(0, value.find(';'));
      cookies.insert_or_assign(pair.substr(0, pair.find('=')), pair.substr(pair.find('=') + 1));
    }
    if (reply.status >= 300 && reply.status < 400) {
      const auto location = reply.header("location");
      if (!location) return Error{Code::internal, "story.browser", "a redirect without a location"};
      url = std::string(*location);
      continue;
    }
    if (reply.status != 200)
      return Error{Code::internal, "story.browser",
                   "the browser was shown status " + std::to_string(reply.status) + ": " + reply.body.substr(0, 300)};
    // The sign-in page of the demo's identity provider: press the button of `account`.
    const std::string button = "account=" + account;
    const std::size_t at = reply.body.find(button);
    if (at == std::string::npos) return {};  // the last page: signed in
    const std::size_t from = reply.body.rfind("href=\"", at) + 6;
    std::string link = reply.body.substr(from, reply.body.find('"', from) - from);
    for (std::size_t amp = link.find("&amp;"); amp != std::string::npos; amp = link.find("&amp;", amp + 1))
      link.erase(amp + 1, 4);
    url = url.substr(0, url.find('?')) + link;
  }
  return Error{Code::internal, "story.browser", "the browser was sent around in circles"};
}

std::string find_url(const std::string& text) {
  const std::size_t at = text.find("http://");
  if (at == std::string::npos) return {};
  const std::size_t end = text.find_first_of(" \r\n", at);
  return end == std::string::npos ? std::string() : text.substr(at, end - at);
}

class Teller {
 public:
  Teller(Stage& stage, const base::Clock& clock) : stage_(stage), clock_(clock), started_(clock.mono()) {}

  void chapter(const std::string& text) {
    const auto s = std::chrono::duration_cast<base::Millis>(clock_.mono() - started_).count();
    std::printf("\n[%6.2f s] %s\n", static_cast<double>(s) / 1000, text.c_str());
    std::fflush(stdout);
  }
  static void say(const std::string& text) {
    std::size_t from = 0;
    while (from < text.size()) {
      const std::size_t end = std::min(text.find('\n', from), text.size());
      std::printf("    %s\n", text.substr(from, end - from).c_str());
      from = end + 1;
    }
    std::fflush(stdout);
  }
  /// Runs our own command line as `person`, whose login lives in a folder of its own.
  Result<Outcome> daypass(const std::string& person, std::vector<std::string> args,
                          base::Millis deadline = std::chrono::seconds(30)) {
    Command command = base_command(person, std::move(args));
    command.deadline = deadline;
    std::string shown = "$ daypass";
    for (std::size_t i = 1; i < command.args.size(); ++i)
      shown += " " + (command.args[i].find(' ') == std::string::npos ? command.args[i] : "\"" + command.args[i] + "\"");
    say(shown);
    DP_TRY(Outcome done, run(command, clock_));
    if (done.timed_out) return Error{Code::timeout, "story.timeout", shown + " did not end in time"};
    say(done.out);
    say(done.err);
    return done;
  }
  /// `daypass login`, with us as the browser it would have opened.
  Status login(const std::string& person) {
    Command command = base_command(person, {"login", "--no-browser"});
    say("$ daypass login");
    bool visited = false;
    Status browsed;
    command.on_stderr = [&](const std::string& text) {
      const std::string url = find_url(text);
      if (visited || url.empty()) return;
      visited = true;
      browsed = browse(url, person);
    };
    DP_TRY(const Outcome done, run(command, clock_));
    if (!browsed.ok()) return browsed;
    say(done.out);
    if (done.exit_code != 0)
      return Error{Code::internal, "story.login",
                   "login ended with exit code " + std::to_string(done.exit_code) + ": " + done.err.substr(0, 600)};
    return {};
  }
  static Status expect(bool so, const std::string& what) {
    if (so) {
      std::printf("    ✓ %s\n", what.c_str());
      std::fflush(stdout);
      return {};
    }
    return Error{Code::internal, "story.expected", "it is not so that " + what};
  }

 private:
  Command base_command(const std::string& person, std::vector<std::string> args) {
    Command command;
    command.stop = &stage_.interrupted;
    command.args = {"/proc/self/exe"};
    for (auto& arg : args) command.args.push_back(std::move(arg));
    // A person's files live apart from the others' and from those of whoever runs the demo.
    command.env["HOME"] = stage_.folder + "/" + person;
    command.env["XDG_STATE_HOME"] = stage_.folder + "/" + person + "/state";
    command.env["XDG_CONFIG_HOME"] = stage_.folder + "/" + person + "/config";
    command.env["XDG_RUNTIME_DIR"] = "";
    command.env["DAYPASS_SERVER"] = stage_.server->public_url();
    command.env["DAYPASS_SOCKET"] = person == "operator" ? stage_.server->socket_path() : "";
    command.env["NO_COLOR"] = "1";
    command.env["PSQLRC"] = "/dev/null";
    command.env["PAGER"] = "cat";
    return command;
  }
  Stage& stage_;
  const base::Clock& clock_;
  base::MonoTime started_;
};

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  const std::size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

bool contains(const std::string& text, std::string_view what) {
  return text.find(what) != std::string::npos;
}

Status nothing_left(Stage& stage) {
  DP_TRY(const auto roles,
         stage.postgres->query("postgres", "SELECT rolname FROM pg_roles WHERE rolname LIKE 'dp\\_%'"));
  DP_CHECK(Teller::expect(roles.empty(), "pg_roles shows no role of ours"));
  DP_TRY(const auto backends,
         stage.postgres->query("postgres", "SELECT usename FROM pg_stat_activity WHERE usename LIKE 'dp\\_%'"));
  return Teller::expect(backends.empty(), "pg_stat_activity shows no session of ours");
}

Status tell(Stage& stage, const base::Clock& clock) {
  Teller t(stage, clock);
  t.chapter("Dana, of the data department, signs in at her organisation's identity provider");
  DP_CHECK(t.login("dana"));
  DP_TRY(const Outcome status, t.daypass("dana", {"status"}));
  DP_CHECK(Teller::expect(status.exit_code == 0 && contains(status.out, "demo/dana"), "she is signed in as demo/dana"));

  t.chapter("What may she have now, and why?");
  DP_TRY(const Outcome list, t.daypass("dana", {"ls", "--all"}));
  DP_CHECK(
      Teller::expect(list.exit_code == 0 && contains(list.out, "pg/orders/reader") && contains(list.out, "data-read"),
                     "ls names the role and the policy that gives it"));

  t.chapter("She connects. The role is made for this session; it did not exist a second ago");
  DP_CHECK(nothing_left(stage));
  DP_TRY(const Outcome who, t.daypass("dana", {"connect", "pg/orders", "--", "-XAtc", "SELECT current_user"}));
  const std::string role = trimmed(who.out);
  DP_CHECK(
      Teller::expect(who.exit_code == 0 && role.starts_with("dp_"), "current_user is " + (role.empty() ? "…" : role)));
  DP_TRY(const auto known,
         stage.postgres->query("postgres", "SELECT rolname FROM pg_roles WHERE rolname LIKE 'dp\\_%'"));
  DP_CHECK(Teller::expect(known.size() == 1 && known.front() == role,
                          "that role is on the server now, and no other of ours"));
  DP_TRY(const Outcome read, t.daypass("dana", {"connect", "pg/orders", "--", "-XAtc", "SELECT count(*) FROM orders"}));
  DP_CHECK(Teller::expect(read.exit_code == 0 && trimmed(read.out) == "5000", "she reads the orders"));
  DP_TRY(const Outcome write, t.daypass("dana", {"connect", "pg/orders", "--", "-XAtc", "DELETE FROM orders"}));
  DP_CHECK(Teller::expect(write.exit_code != 0 && contains(write.err, "permission denied"),
                          "she can't delete them: writing is an elevated role, named explicitly"));

  t.chapter("She ends the grant; then she takes one for four seconds, and it ends while her query runs");
  DP_TRY(const Outcome grants, t.daypass("dana", {"grants", "ls", "-o", "name"}));
  const std::string id = trimmed(grants.out);
  DP_TRY(const Outcome ended, t.daypass("dana", {"grants", "end", id}));
  DP_CHECK(Teller::expect(ended.exit_code == 0, "the grant is closed: its account is proven gone"));
  DP_CHECK(nothing_left(stage));
  DP_TRY(const Outcome cut,
         t.daypass("dana", {"connect", "pg/orders", "--for", "4s", "--", "-XAtc", "SELECT pg_sleep(120)"},
                   std::chrono::seconds(40)));
  DP_CHECK(Teller::expect(cut.exit_code != 0 && contains(cut.err, "its time is up"),
                          "psql was cut in the middle of its query, and says which grant ended and why"));
  for (int i = 0; i < 100; ++i) {
    DP_TRY(const auto left,
           stage.postgres->query("postgres", "SELECT rolname FROM pg_roles WHERE rolname LIKE 'dp\\_%'"));
    if (left.empty()) break;
  }
  DP_CHECK(nothing_left(stage));

  t.chapter("Sam, of support, signs in and asks for the same");
  DP_CHECK(t.login("sam"));
  DP_TRY(const Outcome refused, t.daypass("sam", {"connect", "pg/orders", "--", "-XAtc", "SELECT 1"}));
  DP_CHECK(Teller::expect(refused.exit_code == 3, "he is refused: exit code 3"));
  DP_CHECK(Teller::expect(contains(refused.err, "data-read") && contains(refused.err, "Group::\"demo/data\""),
                          "he is told by which policy, and what to ask for"));

  t.chapter("What the auditor sees");
  DP_TRY(const Outcome log, t.daypass("operator", {"audit", "tail", "-n", "60"}));
  for (const char* action : {"login.finished", "credential.issued", "grant.opened", "grant.active", "connection.opened",
                             "grant.ended", "grant.closed", "access.denied"})
    DP_CHECK(Teller::expect(contains(log.out, action), std::string("the audit log has ") + action));
  DP_TRY(const Outcome verified, t.daypass("operator", {"audit", "verify"}));
  DP_CHECK(Teller::expect(verified.exit_code == 0, "the audit log verifies: every record and the root"));
  DP_TRY(const Outcome out, t.daypass("dana", {"logout"}));
  DP_CHECK(Teller::expect(out.exit_code == 0, "Dana logs out; with the login ends whatever it owned"));
  t.chapter("The end. Everything real, and nothing left behind.");
  return {};
}

}  // namespace

bool play(Stage& stage, const base::Clock& clock) {
  const Status told = tell(stage, clock);
  if (told.ok()) return true;
  std::fprintf(stderr, "\nThe story stops here: %s\n%s\n", told.error().message.c_str(), told.error().hint.c_str());
  return false;
}

}  // namespace daypass::app::demo
