// What a provider tells of its people, in a world where only the store breaks, and only when a test says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "crypto/jose.h"
#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using std::chrono::seconds;
using What = engine::ScimRequest::What;
namespace json = base::json;

const core::TenantId tenant("default");
const std::string token = "what is in env:SCIM, long enough";

class Scim : public Steady {
 protected:
  Scim() : Steady(7) {}

  void SetUp() override {
    world.start();
    ASSERT_EQ(apply("groups = \"groups\"\n", "[idp.scim]\ntokens = [\"env:SCIM\"]\n"), "ok");
  }

  /// The folder with `before` and `after` around the provider's own keys; the first problem, or "ok".
  std::string apply(const std::string& before, const std::string& after) {
    auto files = PolicyText::files(0);
    std::string& text = files.at("tenant.toml");
    const std::string groups = "groups = \"groups\"\n";
    text.replace(text.find(groups), groups.size(), before);
    text.insert(text.find("[[target]]"), after);
    const auto applied = ask<engine::Applied>(
        [&](auto done) { engine().apply(tenant, std::move(files), "operator", false, std::move(done)); });
    if (!applied.ok()) return applied.error().check;
    return applied->problems.empty() ? "ok" : applied->problems.front().message;
  }
  Result<engine::ScimAnswer> scim(const std::string& method, What what, const std::string& id, const std::string& body,
                                  const std::string& bearer = token, const std::string& idp = "demo") {
    return ask<engine::ScimAnswer>([&](auto done) {
      engine::ScimRequest r;
      r.tenant = tenant;
      r.idp = idp;
      r.token = base::Secret(bearer);
      r.method = method;
      r.what = what;
      r.id = id;
      r.body = body;
      r.base = "https://d.example/scim/v2";
      engine().scim(std::move(r), std::move(done));
    });
  }
  /// The id of somebody new.
  std::string told(const std::string& subject, bool active = true) {
    const auto made = scim(
        "POST", What::users, "",
        json::dump(json::Object{{"userName", subject + "@corp.example"}, {"externalId", subject}, {"active", active}}));
    EXPECT_TRUE(made.ok()) << made.error().message;
    return made.ok() ? made->body.string_or("id") : "";
  }
  std::string set_active(const std::string& id, bool active) {
    const auto r =
        scim("PATCH", What::users, id,
             json::dump(json::Object{
                 {"Operations", json::Array{json::Object{{"op", "replace"}, {"path", "active"}, {"value", active}}}}}));
    return r.ok() ? "ok" : r.error().check;
  }
  std::string sign_in(const std::string& user) {
    const auto begun = ask<engine::LoginBegun>([&](auto done) {
      engine().begin_login({tenant, "demo", "https://d.example/cb", "chrome",
                            json::Object{{"kind", "code"},
                                         {"redirect_uri", "http://127.0.0.1:7777/"},
                                         {"state", "s"},
                                         {"challenge", crypto::pkce_s256(std::string(43, 'v'))}},
                            false},
                           std::move(done));
    });
    EXPECT_TRUE(begun.ok());
    const std::string state = begun->url.substr(begun->url.find("state=") + 6);
    const auto finished = ask<engine::LoginFinished>([&](auto done) {
      engine().finish_login({tenant, "demo", {{{"state", state}, {"user", user}}}, "chrome", "10.0.0.7"},
                            std::move(done));
    });
    return finished.ok() ? "ok" : finished.error().check;
  }
  std::vector<engine::LoginSession> sessions() { return engine().login_sessions(tenant); }
};

TEST_F(Scim, WhoIsDeactivatedIsOutAndStaysOutUntilActivated) {
  const std::string id = told("ann");
  EXPECT_EQ(sign_in("ann"), "ok");
  EXPECT_EQ(sign_in("bob"), "ok") << "whom nobody told of";
  EXPECT_EQ(set_active(id, false), "ok");
  ASSERT_EQ(sessions().size(), 1U);
  EXPECT_EQ(sessions()[0].who.subject, "bob");
  EXPECT_EQ(sign_in("ann"), "login.deactivated");
  world.crash(seconds(1));
  world.run_for(seconds(5));
  EXPECT_EQ(sign_in("ann"), "login.deactivated");
  EXPECT_EQ(set_active(id, true), "ok");
  EXPECT_EQ(sign_in("ann"), "ok");
  EXPECT_TRUE(scim("DELETE", What::users, id, "").ok());
  EXPECT_EQ(sessions().size(), 1U);
  EXPECT_EQ(sign_in("ann"), "login.deactivated");
  told("ann");
  EXPECT_EQ(sign_in("ann"), "ok");
}

TEST_F(Scim, NothingIsAcknowledgedThatIsNotRecorded) {
  const std::string id = told("ann");
  EXPECT_EQ(sign_in("ann"), "ok");
  world.fail_commits(1, "store.full");
  EXPECT_EQ(set_active(id, false), "store.full");
  world.run_for(seconds(5));
  EXPECT_TRUE(sessions().empty()) << "an end that was begun is owed";
  EXPECT_EQ(set_active(id, false), "ok") << "the provider says it again";
  EXPECT_EQ(sign_in("ann"), "login.deactivated");
}

TEST_F(Scim, ASubjectIsComparedAsItsAttributeIs) {
  ASSERT_EQ(apply("groups = \"groups\"\n", "[idp.scim]\ntokens = [\"env:SCIM\"]\nsubject = \"userName\"\n"), "ok");
  EXPECT_EQ(sign_in("eve"), "ok");
  const auto made = scim("POST", What::users, "", R"({"userName":"EVE","active":false})");
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_TRUE(sessions().empty()) << "a userName has no case";
  EXPECT_EQ(sign_in("eve"), "login.deactivated");
  // Told apart by another attribute from now on: what was said still holds.
  ASSERT_EQ(apply("groups = \"groups\"\n", "[idp.scim]\ntokens = [\"env:SCIM\"]\n"), "ok");
  EXPECT_EQ(sign_in("eve"), "login.deactivated");
  // And when the table is gone.
  ASSERT_EQ(apply("groups = \"groups\"\n", ""), "ok");
  EXPECT_EQ(sign_in("eve"), "login.deactivated");
  EXPECT_EQ(scim("GET", What::users, "", "").error().check, "scim.token");
}

TEST_F(Scim, GroupsThatAreToldTakeThePlaceOfThoseOfClaims) {
  ASSERT_EQ(apply("", "[idp.scim]\ntokens = [\"env:SCIM\"]\ngroups = true\n"), "ok");
  const std::string ann = told("ann");
  EXPECT_EQ(sign_in("ann"), "ok");
  EXPECT_TRUE(sessions().at(0).who.groups.empty()) << "claims say data";
  const auto made = scim("POST", What::groups, "", R"({"displayName":"data","members":[{"value":")" + ann + "\"}]}");
  ASSERT_TRUE(made.ok()) << made.error().message;
  const std::string id = made->body.string_or("id");
  EXPECT_THAT(sessions().at(0).who.groups, testing::ElementsAre("data"));
  const auto change = [&](const std::string& operation) {
    const auto r = scim("PATCH", What::groups, id, R"({"Operations":[)" + operation + "]}");
    return r.ok() ? "ok" : r.error().check;
  };
  EXPECT_EQ(change(R"({"op":"replace","value":{"displayName":"Data"}})"), "ok");
  EXPECT_THAT(sessions().at(0).who.groups, testing::ElementsAre("Data"));
  EXPECT_EQ(change(R"({"op":"remove","path":"members[value eq \")" + ann + R"(\"]"})"), "ok");
  EXPECT_TRUE(sessions().at(0).who.groups.empty());
  EXPECT_EQ(change(R"({"op":"add","path":"members","value":[{"value":")" + ann + R"("}]})"), "ok");
  // What the provider says anew of the person does not bring its claims back.
  core::Identity again = sessions().at(0).who;
  again.groups = {"support"};
  again.display = "Ann A.";
  const auto renewed = ask<engine::Renewal>(
      [&](auto done) { engine().renew(tenant, sessions().at(0).id, again, "demo", std::move(done)); });
  ASSERT_TRUE(renewed.ok()) << renewed.error().check;
  EXPECT_THAT(sessions().at(0).who.groups, testing::ElementsAre("Data"));
  EXPECT_TRUE(scim("DELETE", What::groups, id, "").ok());
  EXPECT_TRUE(sessions().at(0).who.groups.empty());
}

TEST_F(Scim, ATokenThatCantBeUsedOrASubjectThatIsNoneIsToldAtApply) {
  EXPECT_THAT(apply("groups = \"groups\"\n", "[idp.scim]\ntokens = [\"env:SCIM\"]\nsubject = \"emails\"\n"),
              testing::HasSubstr("no attribute of a SCIM user that could name a person"));
}

TEST_F(Scim, WithoutATokenThereIsOneAnswer) {
  for (const std::string& bearer : {std::string(), std::string("x"), token + "x", token.substr(1)})
    EXPECT_EQ(scim("GET", What::users, "", "", bearer).error(), engine::no_scim_token()) << bearer;
  EXPECT_EQ(scim("GET", What::users, "", "", token, "other").error(), engine::no_scim_token());
  EXPECT_TRUE(scim("GET", What::users, "", "").ok());
}

TEST_F(Scim, ADeletedTenantTakesItsDirectoryAlong) {
  told("ann", false);
  ASSERT_TRUE(scim("POST", What::groups, "", R"({"displayName":"data"})").ok());
  const auto deleted =
      ask<engine::TenantInfo>([&](auto done) { engine().delete_tenant(tenant, "operator", std::move(done)); });
  ASSERT_TRUE(deleted.ok());
  world.run_for(std::chrono::minutes(1));
  EXPECT_EQ(scim("GET", What::users, "", "").error().check, "scim.token");
  const auto reader = world.store.snapshot().value();
  for (const char* kind : {"scim_user", "scim_group", "scim_index", "scim_person", "scim_member", "scim_count"})
    EXPECT_TRUE(reader->list(tenant, kind, "", "", 10, world.wall()).value().empty()) << kind;
}

}  // namespace
}  // namespace daypass::sim
