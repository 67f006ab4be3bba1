// Security events in a world where nothing breaks but what a test breaks: when a transmitter is polled, and that it is
// told of nothing that is not recorded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "crypto/jose.h"
#include "sim/steady.h"

namespace daypass::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

const core::TenantId tenant("default");

class Signals : public Steady {
 protected:
  Signals() : Steady(7) {}
  ModelTransmitter& tr = *(world.transmitter = std::make_shared<ModelTransmitter>());

  void SetUp() override {
    world.start();
    auto files = PolicyText::files(0);
    std::string& toml = files["tenant.toml"];
    const std::string first = "issuer = \"https://idp.example\"\n";
    toml.replace(toml.find(first), first.size(),
                 first +
                     "signals = { transmitter = \"https://tr.example\", audience = \"us\", push_tokens = "
                     "[\"env:X\"], poll_url = \"https://tr.example/poll\", poll_token = \"env:Y\" }\n");
    bool applied = false;
    world.act([&] {
      world.engine()->apply(tenant, files, "operator", false, [&](base::Result<engine::Applied> r) {
        applied = r.ok() && r->problems.empty();
        if (r.ok())
          for (const auto& p : r->problems) ADD_FAILURE() << p.render();
      });
    });
    world.run_for(seconds(2));
    ASSERT_TRUE(applied);
    world.oracle.policy_applied(0);
  }
  /// Signs in at the provider, now; the token.
  std::string signed_in(const std::string& user) {
    const std::string verifier(43, 'v'), back = "http://127.0.0.1:7777/";
    const auto begun = ask<engine::LoginBegun>([&](auto done) {
      base::json::Object then{
          {"kind", "code"}, {"redirect_uri", back}, {"state", "s"}, {"challenge", crypto::pkce_s256(verifier)}};
      engine().begin_login({tenant, "demo", "https://daypass.example/cb", "chrome", std::move(then), false},
                           std::move(done));
    });
    EXPECT_TRUE(begun.ok());
    if (!begun.ok()) return "";
    idp::Callback callback{{{"state", begun->url.substr(begun->url.find("state=") + 6)},
                            {"user", user},
                            {"signed_in", base::to_rfc3339(world.wall())}}};
    const auto finished = ask<engine::LoginFinished>(
        [&](auto done) { engine().finish_login({tenant, "demo", callback, "chrome", "10.0.0.7"}, std::move(done)); });
    EXPECT_TRUE(finished.ok()) << finished.error().check;
    if (!finished.ok()) return "";
    const std::size_t at = finished->redirect.find("code=") + 5;
    const auto token = ask<engine::Token>([&](auto done) {
      engine().redeem_code(tenant, finished->redirect.substr(at, finished->redirect.find('&') - at), verifier, back,
                           std::move(done));
    });
    EXPECT_TRUE(token.ok());
    if (!token.ok()) return "";
    world.oracle.wants_logout(token->session.id);
    return std::string(token->token.reveal());
  }
  bool lives(const std::string& token) { return engine().authenticate(tenant, token).ok(); }
  std::string push(const std::string& jti, const std::string& authorization = "Bearer good",
                   const std::string& idp = "demo") {
    std::string answer = "none";
    world.act([&] {
      engine().push_event(tenant, idp, base::Secret(std::string_view(authorization)), jti,
                          [&](base::Result<engine::SignalTaken> r) {
                            answer = r.ok() ? std::to_string(r->sessions_ended) : r.error().check;
                          });
    });
    world.run_for(seconds(1));
    return answer;
  }
};

TEST_F(Signals, ArePolledWhileSomebodyIsSignedInOrSignsIn) {
  world.run_for(minutes(5));
  EXPECT_EQ(tr.polls, 0) << "nobody is there";
  const std::string ann = signed_in("ann");
  EXPECT_GE(tr.polls, 1);
  // Every 7.5 to 10 seconds, while the login lasts.
  world.run_for(minutes(15));
  EXPECT_GE(tr.polls, 85);
  EXPECT_LE(tr.polls, 122);
  tr.queue["a"] = {"ann", world.wall()};
  world.run_for(seconds(12));
  EXPECT_FALSE(lives(ann));
  EXPECT_THAT(tr.acknowledged, ElementsAre("a")) << "though nobody is signed in any more";
  const int then = tr.polls;
  world.run_for(minutes(20));
  EXPECT_LE(tr.polls, then + 1);
  const int idle = tr.polls;
  (void)signed_in("bob");
  EXPECT_GT(tr.polls, idle);
}

TEST_F(Signals, AreAcknowledgedWhenTheyAreRecordedAndNotBefore) {
  const std::string ann = signed_in("ann");
  world.fail_commits(1'000'000, "store.io");
  tr.queue["a"] = {"ann", world.wall()};
  world.run_for(minutes(2));
  EXPECT_FALSE(lives(ann)) << "it is cut all the same";
  EXPECT_THAT(tr.acknowledged, IsEmpty());
  world.fail_commits(0, "");
  world.run_for(minutes(6));
  EXPECT_THAT(tr.acknowledged, ElementsAre("a"));
  EXPECT_THAT(tr.queue, IsEmpty());
}

TEST_F(Signals, ToldAgainAfterACrashDoNothing) {
  const std::string ann = signed_in("ann");
  tr.deaf = true;
  tr.queue["a"] = {"ann", world.wall()};
  world.run_for(seconds(12));
  EXPECT_FALSE(lives(ann));
  world.crash(seconds(1));
  world.run_for(seconds(10));
  const std::string again = signed_in("ann");
  const std::size_t told = tr.acknowledged.size();
  world.run_for(seconds(30));
  EXPECT_TRUE(lives(again));
  EXPECT_GT(tr.acknowledged.size(), told) << "it was told again";
}

TEST_F(Signals, OfYesterdayEndNoSignInOfToday) {
  const auto yesterday = world.wall() - std::chrono::hours(20);
  tr.queue["before"] = {"ann", yesterday};
  const std::string ann = signed_in("ann"), bob = signed_in("bob");
  EXPECT_THAT(tr.queue, IsEmpty()) << "told while they signed in";
  tr.queue["late"] = {"ann", yesterday};
  world.run_for(seconds(12));
  EXPECT_TRUE(lives(ann));
  tr.queue["now"] = {"bob", world.wall()};
  world.run_for(seconds(12));
  EXPECT_TRUE(lives(ann));
  EXPECT_FALSE(lives(bob));
  EXPECT_THAT(tr.queue, IsEmpty());
}

TEST_F(Signals, ThatAreWrongAreToldSoAndThoseThatWaitWait) {
  const std::string ann = signed_in("ann");
  for (const char* jti : {"forged", "idle", "later"}) tr.queue[jti] = {"ann", world.wall()};
  tr.queue["z"] = {"ann", world.wall()};
  world.run_for(seconds(40));
  EXPECT_FALSE(lives(ann)) << "behind the others";
  EXPECT_THAT(tr.refused, ElementsAre("forged jws.signature"));
  EXPECT_THAT(tr.acknowledged, Contains("idle"));
  EXPECT_THAT(tr.acknowledged, Contains("z"));
  EXPECT_THAT(tr.acknowledged, Not(Contains("later")));
  EXPECT_TRUE(tr.queue.contains("later"));
}

TEST_F(Signals, OfATransmitterThatIsDownAreAskedForLessAndLess) {
  const std::string ann = signed_in("ann");
  tr.down = true;
  const int then = tr.polls;
  world.run_for(minutes(30));
  EXPECT_GE(tr.polls, then + 6);
  EXPECT_LE(tr.polls, then + 18);
  tr.down = false;
  tr.queue["a"] = {"ann", world.wall()};
  world.run_for(minutes(6));
  EXPECT_FALSE(lives(ann));
}

TEST_F(Signals, AreTakenUpAgainAfterARestart) {
  const std::string ann = signed_in("ann");
  world.crash(seconds(5));
  tr.queue["a"] = {"ann", world.wall()};
  world.run_for(seconds(30));
  EXPECT_FALSE(lives(ann));
  EXPECT_THAT(tr.acknowledged, ElementsAre("a"));
}

TEST_F(Signals, ArePushedByWhoeverMay) {
  tr.down = true;  // what is polled says nothing here
  const std::string ann = signed_in("ann");
  tr.queue["a"] = {"ann", world.wall()};
  EXPECT_EQ(push("a", ""), "signals.authorization");
  EXPECT_EQ(push("a", "Bearer bad"), "signals.authorization");
  EXPECT_EQ(push("a", "Bearer good", "nothing"), "signals.authorization");
  EXPECT_EQ(push("forged"), "jws.signature");
  EXPECT_EQ(push("idle"), "0");
  EXPECT_TRUE(lives(ann));
  EXPECT_EQ(push("a"), "1");
  EXPECT_FALSE(lives(ann));
  const std::string again = signed_in("ann");
  EXPECT_EQ(push("a"), "0") << "told before";
  EXPECT_TRUE(lives(again));
  world.fail_commits(1'000'000, "store.io");
  tr.queue["b"] = {"ann", world.wall()};
  EXPECT_EQ(push("b"), "store.io") << "not recorded, not acknowledged";
  EXPECT_FALSE(lives(again)) << "it is cut all the same";
  world.fail_commits(0, "");
  world.run_for(seconds(5));
  EXPECT_FALSE(lives(again));
}

}  // namespace
}  // namespace daypass::sim
