// Signing in with a browser that is a thread: PKCE, state, refusals, the device flow, and what is kept.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <thread>

#include "app/cli/test_support.h"
#include "base/encoding.h"
#include "crypto/jose.h"
#include "net/http_client.h"

namespace daypass::app::cli {
namespace {

using testing_support::HttpRequest;
using testing_support::HttpResponse;

class LoginTest : public testing_support::User {
 protected:
  LoginTest() {
    usual_answers();
    io.err = [this](std::string_view text) {
      err += text;
      // The address stands in a line of its own.
      const std::size_t at = err.find("  " + server.url() + "/t/default/oauth/authorize?");
      if (at == std::string::npos || browser.joinable()) return;
      const std::string url = err.substr(at + 2, err.find('\n', at) - at - 2);
      browser = std::thread([this, url] { browse(url); });
    };
    server.on("GET /t/default/oauth/authorize", [this](const HttpRequest& request) {
      const auto value = [&](const char* name) { return request.query_one(name).value().value_or(""); };
      challenge = value("code_challenge");
      EXPECT_EQ(value("code_challenge_method"), "S256");
      EXPECT_EQ(value("client_id"), "daypass-cli");
      EXPECT_TRUE(value("redirect_uri").starts_with("http://127.0.0.1:"));
      redirect = value("redirect_uri");
      net::Pairs back = answer;
      for (auto& [name, text] : back)
        if (text == "STATE") text = value("state");
      return HttpResponse::redirect(redirect + "?" + net::encode_query(back));
    });
    server.on("POST /t/default/oauth/token", [this](const HttpRequest& request) {
      const auto form = request.form().value();
      const auto value = [&](const char* name) {
        const auto* v = net::find(form, name);
        return v == nullptr ? std::string() : *v;
      };
      if (value("code") != "the-code" || crypto::pkce_s256(value("code_verifier")) != challenge ||
          value("redirect_uri") != redirect)
        return HttpResponse::json(
            400, base::json::Object{{"error", "invalid_grant"}, {"error_description", "the code is not good"}});
      return HttpResponse::json(200, token());
    });
  }
  ~LoginTest() override {
    if (browser.joinable()) browser.join();
  }
  static base::json::Object token() {
    return {{"access_token", "secret-token"},
            {"token_type", "Bearer"},
            {"principal", "demo/dana"},
            {"display", "Dana"},
            {"ends_at", "2026-03-01T20:00:00Z"}};
  }
  void browse(const std::string& url) {
    net::HttpClient client;
    net::HttpFetch first("GET", url);
    first.egress.allow_loopback_http = true;
    const auto moved = client.fetch(first);
    if (!moved.ok() || !moved->header("location")) return;
    net::HttpFetch second("GET", std::string(*moved->header("location")));
    second.egress.allow_loopback_http = true;
    if (const auto last = client.fetch(second); last.ok()) page = last->body;
  }
  int login(std::vector<std::string> more = {}) {
    std::vector<std::string> args{"login", "--no-browser"};
    args.insert(args.end(), more.begin(), more.end());
    const int code = run(args);
    if (browser.joinable()) browser.join();
    return code;
  }
  [[nodiscard]] std::string logins() const { return home + "/.local/state/daypass/logins.json"; }

  net::Pairs answer{{"code", "the-code"}, {"state", "STATE"}};
  std::string challenge, redirect, page;
  std::thread browser;
};

TEST_F(LoginTest, KeepsTheTokenInAFileOfOnesOwnAndPrintsItNowhere) {
  ASSERT_EQ(login({"-o", "json"}), 0) << err;
  EXPECT_EQ(document().string_or("principal"), "demo/dana");
  EXPECT_NE(page.find("close this window"), std::string::npos);
  EXPECT_EQ(mode(logins()), 0600U);
  EXPECT_EQ(mode(home + "/.local/state/daypass"), 0700U);
  EXPECT_NE(read(logins()).find("secret-token"), std::string::npos);
  EXPECT_EQ((out + err).find("secret-token"), std::string::npos);
  // The next command speaks with it.
  server.on("GET /t/default/api/v1/grants", [](const HttpRequest& request) {
    EXPECT_EQ(request.bearer().value_or(""), "secret-token");
    return HttpResponse::json(200, base::json::Object{{"grants", base::json::Array{}}});
  });
  EXPECT_EQ(run({"grants", "ls"}), 0) << err;
}

TEST_F(LoginTest, AnAnswerToAnotherSignInIsRefused) {
  answer = {{"code", "the-code"}, {"state", "somebody-elses"}};
  EXPECT_EQ(login(), Exit::denied);
  EXPECT_NE(err.find("login.state"), std::string::npos) << err;
  EXPECT_EQ(server.count("POST /t/default/oauth/token"), 0U);
  EXPECT_FALSE(testing_support::fs::exists(logins()));
}

TEST_F(LoginTest, ARefusalIsReportedHereAndOnThePage) {
  answer = {{"error", "access_denied"}, {"state", "STATE"}};
  EXPECT_EQ(login(), Exit::denied);
  EXPECT_NE(err.find("access_denied"), std::string::npos) << err;
  EXPECT_NE(page.find("refused"), std::string::npos) << page;
}

TEST_F(LoginTest, ACodeThatTheServerRefusesIsNoLogin) {
  answer = {{"code", "another-code"}, {"state", "STATE"}};
  EXPECT_EQ(login({"-o", "json"}), Exit::login_needed);
  EXPECT_EQ(document().find("error")->string_or("message"), "the code is not good");
  EXPECT_FALSE(testing_support::fs::exists(logins()));
}

TEST_F(LoginTest, AServerThatIsAwayIsSaidBeforeAnyBrowserOpens) {
  io.env["DAYPASS_SERVER"] = "http://127.0.0.1:1";
  EXPECT_EQ(login(), Exit::unreachable);
  EXPECT_NE(err.find("http://127.0.0.1:1 (from DAYPASS_SERVER)"), std::string::npos) << err;
  EXPECT_EQ(err.find("Sign in here"), std::string::npos) << err;
}

TEST_F(LoginTest, GivesUpAfterFiveMinutes) {
  server.clock.step = std::chrono::minutes(6);
  io.err = [this](std::string_view text) { err += text; };  // nobody comes
  EXPECT_EQ(login(), Exit::unreachable);
  EXPECT_NE(err.find("nobody signed in within 5 minutes"), std::string::npos) << err;
  EXPECT_NE(err.find("--device"), std::string::npos) << err;
}

TEST_F(LoginTest, OneAtATime) {
  testing_support::fs::create_directories(home + "/.local/state/daypass");
  const int fd = ::open((home + "/.local/state/daypass/login.lock").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(login(), Exit::failed);
  EXPECT_NE(err.find("login.in_progress"), std::string::npos) << err;
  ::close(fd);
  EXPECT_EQ(login(), 0) << err;
}

TEST_F(LoginTest, OnADeviceItWaitsAsLongAsItIsTold) {
  server.on(
      "POST /t/default/oauth/device_authorization",
      R"({"device_code":"dc","user_code":"ABCD-EFGH","verification_uri":"http://x/device","expires_in":600,"interval":2})");
  int polls = 0;
  server.on("POST /t/default/oauth/token", [&polls](const HttpRequest&) {
    ++polls;
    if (polls == 1) return HttpResponse::json(400, base::json::Object{{"error", "authorization_pending"}});
    if (polls == 2) return HttpResponse::json(400, base::json::Object{{"error", "slow_down"}});
    return HttpResponse::json(200, token());
  });
  ASSERT_EQ(run({"login", "--device"}), 0) << err;
  EXPECT_NE(err.find("ABCD-EFGH"), std::string::npos) << err;
  EXPECT_EQ(pauses,
            (std::vector<base::Millis>{std::chrono::seconds(2), std::chrono::seconds(2), std::chrono::seconds(7)}));
}

TEST_F(LoginTest, RenewsTheServicesOfPsql) {
  ASSERT_EQ(login(), 0) << err;
  ASSERT_EQ(run({"setup", "psql"}), 0) << err;
  const std::string before = read(home + "/.local/state/daypass/pgpass");
  usual_answers("ls_2");
  ASSERT_EQ(login(), 0) << err;
  EXPECT_NE(err.find("Renewed: 3 services for psql"), std::string::npos) << err;
  EXPECT_NE(read(home + "/.local/state/daypass/pgpass"), before);
  // What cannot be renewed does not spoil the login.
  usual_answers("ls_3");
  server.on("GET /t/default/api/v1/roles", "{}", 503);
  EXPECT_EQ(login(), 0) << err;
  EXPECT_NE(err.find("daypass setup psql"), std::string::npos) << err;
}

TEST_F(LoginTest, LogoutForgetsTheTokenEvenWhenTheServerHas) {
  log_in();
  server.on("DELETE /t/default/api/v1/session", [](const HttpRequest& request) {
    return HttpResponse::problem({base::Code::unauthenticated, "token.unknown", "this login has ended"},
                                 request.request_id);
  });
  EXPECT_EQ(run({"logout", "-o", "json"}), 0) << err;
  EXPECT_EQ(document().int_or("grants_ended", -1), 0);
  EXPECT_EQ(read(logins()).find("token-of-a-test"), std::string::npos);
}

TEST_F(LoginTest, LogoutGoesOnToTheProviderOnlyWhenItIsAskedTo) {
  const std::string url = server.url() + "/t/default/logout?handle=one";
  const auto answers = [&](const std::string& to) {
    log_in();
    err.clear();
    server.on("DELETE /t/default/api/v1/session",
              R"({"grants_ended":1,"provider":"Example Corp","provider_logout_url":")" + to + "\"}");
  };
  answers(url);
  EXPECT_EQ(run({"logout"}), 0);
  EXPECT_EQ(err.find(url), std::string::npos) << err;
  EXPECT_NE(err.find("signed in at Example Corp: next time, daypass logout --provider"), std::string::npos) << err;
  answers(url);
  EXPECT_EQ(run({"logout", "--provider", "--no-browser"}), 0);
  EXPECT_NE(err.find("Sign out at Example Corp here, within 5 minutes:\n\n  " + url + "\n"), std::string::npos) << err;
  answers(url);
  EXPECT_EQ(run({"logout", "-o", "json"}), 0);
  EXPECT_EQ(document().string_or("provider_logout_url"), url);
  // An address elsewhere is opened nowhere, and the login is forgotten all the same.
  for (const std::string& evil :
       {std::string("https://evil.example/t/default/logout"), server.url() + "/t/other/logout",
        server.url() + "/t/default/a b", std::string("--help")}) {
    answers(evil);
    EXPECT_EQ(run({"logout", "--provider", "--no-browser"}), Exit::denied) << evil;
    EXPECT_NE(err.find("logout.address"), std::string::npos) << err;
    EXPECT_EQ(read(logins()).find("token-of-a-test"), std::string::npos);
  }
  log_in();
  server.on("DELETE /t/default/api/v1/session", R"({"grants_ended":0})");
  EXPECT_EQ(run({"logout", "--provider"}), Exit::not_found);
  EXPECT_NE(err.find("not at the identity provider"), std::string::npos) << err;
  EXPECT_EQ(run({"logout", "--no-browser"}), Exit::usage);
}

TEST_F(LoginTest, LogoutKeepsTheTokenWhenTheServerIsAway) {
  log_in();
  server.on("DELETE /t/default/api/v1/session", "{}", 503);
  EXPECT_EQ(run({"logout"}), Exit::unreachable);
  EXPECT_NE(read(logins()).find("token-of-a-test"), std::string::npos);
}

TEST_F(LoginTest, AFileThatOthersCanReadIsNotUsed) {
  log_in();
  testing_support::fs::permissions(logins(), testing_support::fs::perms::others_read,
                                   testing_support::fs::perm_options::add);
  EXPECT_EQ(run({"ls"}), Exit::failed);
  EXPECT_NE(err.find("chmod 600"), std::string::npos) << err;
}

}  // namespace
}  // namespace daypass::app::cli
