// daypass idp test: a sign-in at a provider of which nothing is kept, and all that came of it.
#include <algorithm>

#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "idp/printable.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

constexpr base::Millis between = std::chrono::seconds(1);

/// What a provider says is a stranger's text, and this is a terminal.
std::string safe(std::string_view text) {
  return idp::printable(text, 8192);
}

std::string groups_of(const json::Value& identity, const std::string& idp) {
  std::string out;
  for (const auto& group : items(identity, "groups"))
    out += (out.empty() ? "" : ", ") + ("Group::" + safe(json::quote(idp + "/" + text_of(group))));
  return out.empty() ? "none" : out;
}

void show_claims(std::string& out, const json::Value& answer) {
  const json::Value* claims = answer.find("claims");
  if (claims == nullptr || claims->as_object() == nullptr) return;
  out += "What the provider says, verified:\n";
  std::size_t width = 0;
  for (const auto& [name, value] : *claims->as_object()) width = std::max(width, name.size());
  for (const auto& [name, value] : *claims->as_object())
    out += "  " + safe(name) + std::string(width - name.size() + 2, ' ') + safe(json::dump(value)) + "\n";
}

void show_identity(std::string& out, const json::Value& answer, const std::string& idp) {
  const json::Value* who = answer.find("identity");
  if (who == nullptr) return;
  std::vector<std::vector<std::string>> rows{{"  principal", "User::" + safe(json::quote(who->string_or("principal")))},
                                             {"  shown as", safe(json::quote(who->string_or("display")))},
                                             {"  groups", groups_of(*who, idp)}};
  if (const json::Value* attributes = who->find("attributes"); attributes != nullptr && attributes->as_object())
    for (const auto& [name, value] : *attributes->as_object())
      rows.push_back({"  " + safe(name), safe(json::dump(value))});
  rows.push_back({"  signed in there", who->string_or("auth_time", "not said (no auth_time)")});
  rows.push_back({"  would last until", answer.string_or("session_ends_at")});
  out += "What policies would see:\n" + table(rows);
}

void show_roles(std::string& out, const json::Value& answer) {
  out += "What it would give:\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& role : items(answer, "roles")) {
    std::string by;
    for (const auto& policy : items(role, "policies")) by += (by.empty() ? "" : ", ") + text_of(policy);
    const bool allowed = role.string_or("verdict") == "allow";
    rows.push_back({std::string("  ") + (allowed ? "✓" : "✗"), role.string_or("role"), by, role.string_or("why")});
  }
  const bool administers = answer.bool_or("administers", false);
  rows.push_back({std::string("  ") + (administers ? "✓" : "✗"), "to administer the tenant", "", ""});
  out += table(rows);
}

/// Waits for the end of it.
Result<json::Value> outcome(Io& io, Client& client, const std::string& path, const std::string& id) {
  const auto until = io.clock->mono() + std::chrono::minutes(10);
  for (;;) {
    DP_TRY(json::Value answer, client.call("GET", path + "/" + id));
    if (answer.string_or("state") != "waiting") return answer;
    if (io.clock->mono() >= until)
      return Error{Code::timeout, "idp_test.timeout", "nobody came back from the provider within 10 minutes",
                   "is the redirect URI registered there as it is shown above?"};
    io.pause(between);
  }
}

}  // namespace

int idp_test(Io& io, const Globals& g, const IdpTest& what) {
  const std::string failed = "the test of " + what.name + " failed";
  json::Object body;
  if (!what.folder.empty()) {
    const auto files = read_tenant_folder(what.folder);
    if (!files.ok()) return fail(io, g, files.error(), what.folder + " can't be tested");
    json::Object texts;
    for (const auto& [name, text] : *files) texts.set(name, text);
    body.set("files", std::move(texts));
  }
  Client client(io, g);
  const std::string path = "/idps/" + what.name + "/test";
  const json::Value request(std::move(body));
  auto answer = client.call("POST", path, &request);
  if (!answer.ok()) return fail(io, g, answer.error(), failed, client.request_id());
  if (const auto& problems = items(*answer, "problems"); !problems.empty()) {
    if (g.json()) print_json(io, *answer->as_object());
    for (const auto& p : problems) io.err(p.string_or("text") + "\n");
    io.err("Nothing was tested: " + std::to_string(problems.size()) + " problems.\n");
    return Exit::usage;
  }
  for (const auto& warning : items(*answer, "warnings")) io.err("warning: " + text_of(warning) + "\n");
  if (answer->string_or("state") == "waiting") {
    const std::string url = answer->string_or("url");
    const auto browser = what.no_browser ? std::nullopt : browser_of(io);
    io.err("The provider sends the browser back to " + answer->string_or("redirect_uri") +
           ", which must be registered there.\nSign in here" + (browser ? ", if no browser opens" : "") + ":\n\n  " +
           url + "\n\nWaiting for you (Ctrl-C gives up) ...\n");
    if (browser) open_browser(*browser, url);
    answer = outcome(io, client, path, answer->string_or("id"));
    if (!answer.ok()) return fail(io, g, answer.error(), failed, client.request_id());
  }
  const bool passed = answer->string_or("state") == "passed";
  if (g.json()) {
    print_json(io, *answer->as_object());
  } else {
    std::string out;
    show_claims(out, *answer);
    show_identity(out, *answer, what.name);
    if (passed) show_roles(out, *answer);
    io.out(out);
  }
  if (const json::Value* error = answer->find("error"); !passed && error != nullptr) {
    Globals people = g;
    people.output = "table";
    (void)fail(io, people,
               {Code::invalid, error->string_or("check"), error->string_or("message"), error->string_or("hint")},
               failed);
    return Exit::failed;
  }
  io.err("Nobody was signed in, and nothing was saved." +
         (what.folder.empty() ? std::string() : " Next: daypass apply " + what.folder) + "\n");
  return Exit::done;
}

}  // namespace daypass::app::cli
