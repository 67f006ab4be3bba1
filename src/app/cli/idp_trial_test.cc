// daypass idp test: what is sent, what is shown of what came of it, and what never is.
#include <gmock/gmock.h>

#include "app/cli/test_support.h"

namespace daypass::app::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing_support::HttpRequest;
using testing_support::HttpResponse;

constexpr const char* path = " /t/default/api/v1/idps/corp/test";
constexpr const char* waiting =
    R"({"id":"t1","idp":"corp","state":"waiting","url":"https://dp.example/t/default/idp/corp/test?key=k","redirect_uri":"https://dp.example/t/default/idp/corp/callback","warnings":["w"]})";

class IdpTrial : public testing_support::User {
 protected:
  IdpTrial() {
    log_in();
    folder = home + "/tenant";
    write("tenant/tenant.toml", "# mine\n");
    server.on(std::string("POST") + path, waiting);
  }
  /// Two answers that nothing came yet, then this.
  void comes(const std::string& outcome) {
    server.on(std::string("GET") + path + "/t1", [this, outcome](const HttpRequest&) {
      const auto text = ++looks < 3 ? R"({"id":"t1","state":"waiting"})" : outcome.c_str();
      return HttpResponse::json(200, base::json::parse(text).value());
    });
  }
  std::string folder;
  int looks = 0;
};

TEST_F(IdpTrial, ShowsClaimsWhatTheyBecomeAndWhatThatGives) {
  comes(
      R"({"id":"t1","state":"passed","claims":{"sub":"d1","name":"D\u202eana","groups":["data","all staff"]},"identity":{"principal":"corp/d1","display":"Dana","groups":["data"],"attributes":{"team":"x"},"auth_time":"2026-03-01T11:59:00Z"},"session_ends_at":"2026-03-01T20:00:00Z","roles":[{"role":"pg/orders/reader","verdict":"allow","why":"permitted by data-read","policies":["data-read"]},{"role":"pg/orders/writer","verdict":"deny","why":"no permit matches","policies":[]}],"administers":false})");
  std::string sent;
  server.on(std::string("POST") + path, [&sent](const HttpRequest& request) {
    sent = request.body;
    return HttpResponse::json(200, base::json::parse(waiting).value());
  });
  ASSERT_EQ(run({"idp", "test", "corp", "--dir", folder, "--no-browser"}), 0) << err;
  EXPECT_THAT(sent, HasSubstr(R"("tenant.toml":"# mine\n")"));
  EXPECT_THAT(err, HasSubstr("warning: w\n"));
  EXPECT_THAT(err, HasSubstr("https://dp.example/t/default/idp/corp/callback, which must be registered there"));
  EXPECT_THAT(err, HasSubstr("\n  https://dp.example/t/default/idp/corp/test?key=k\n"));
  EXPECT_THAT(err, HasSubstr("Next: daypass apply " + folder));
  EXPECT_EQ(pauses, (std::vector<base::Millis>(2, std::chrono::seconds(1))));
  EXPECT_THAT(out, HasSubstr("  groups  [\"data\",\"all staff\"]\n"));
  EXPECT_THAT(out, Not(HasSubstr("\u202e"))) << "a stranger's text turns no line around";
  EXPECT_THAT(out, HasSubstr("User::\"corp/d1\""));
  EXPECT_THAT(out, HasSubstr("Group::\"corp/data\""));
  EXPECT_THAT(out, HasSubstr("✓  pg/orders/reader"));
  EXPECT_THAT(out, HasSubstr("data-read  permitted by data-read"));
  EXPECT_THAT(out, HasSubstr("✗  pg/orders/writer"));
  EXPECT_THAT(out, HasSubstr("✗  to administer the tenant"));
}

TEST_F(IdpTrial, NamesTheFirstCheckThatFailedAndShowsTheClaims) {
  comes(
      R"({"id":"t1","state":"failed","claims":{"sub":"d1"},"error":{"check":"mapping.required","message":"the claim groups is missing","hint":"add it there"}})");
  EXPECT_EQ(run({"idp", "test", "corp", "--no-browser"}), Exit::failed);
  EXPECT_THAT(err, HasSubstr("daypass: the test of corp failed\n  why:     the claim groups is missing "
                             "(mapping.required)\n  do:      add it there\n"));
  EXPECT_THAT(out, HasSubstr("sub  \"d1\""));
  EXPECT_THAT(out, Not(HasSubstr("What it would give")));
  EXPECT_EQ(run({"idp", "test", "corp", "--no-browser", "-o", "json"}), Exit::failed);
  EXPECT_EQ(document().find("error")->string_or("check"), "mapping.required");
}

TEST_F(IdpTrial, WhatFailsBeforeAnybodySignsInNeedsNoBrowser) {
  server.on(
      std::string("POST") + path,
      R"({"id":"t1","idp":"corp","state":"failed","error":{"check":"discovery.fetch","message":"no answer","hint":""}})");
  EXPECT_EQ(run({"idp", "test", "corp"}), Exit::failed);
  EXPECT_THAT(err, HasSubstr("(discovery.fetch)"));
  EXPECT_THAT(err, Not(HasSubstr("Sign in here")));
}

TEST_F(IdpTrial, ProblemsOfTheFolderAreAllShown) {
  server.on(std::string("POST") + path,
            R"({"id":"","state":"waiting","problems":[{"text":"a.toml:1: no"},{"text":"a.toml:2: nor that"}]})", 422);
  EXPECT_EQ(run({"idp", "test", "corp", "--dir", folder}), Exit::usage);
  EXPECT_THAT(err, HasSubstr("a.toml:1: no\na.toml:2: nor that\nNothing was tested: 2 problems.\n"));
  EXPECT_EQ(run({"idp", "test", "corp", "--dir", home + "/none"}), Exit::failed);
  EXPECT_THAT(err, HasSubstr("the folder that has tenant.toml"));
}

TEST_F(IdpTrial, GivesUpAfterTenMinutes) {
  server.on(std::string("GET") + path + "/t1", R"({"id":"t1","state":"waiting"})");
  server.clock.step = std::chrono::minutes(4);
  EXPECT_EQ(run({"idp", "test", "corp", "--no-browser"}), Exit::unreachable);
  EXPECT_THAT(err, HasSubstr("idp_test.timeout"));
}

}  // namespace
}  // namespace daypass::app::cli
