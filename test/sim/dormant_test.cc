// After a restart: grants of which nobody hears lie in the store, and are there all the same whoever asks for them.
#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using core::GrantState;
using std::chrono::minutes;
using std::chrono::seconds;

const core::TenantId tenant("default");

class Dormant : public Steady {
 protected:
  Dormant() : Steady(11) {}

  /// Ann has a grant on each target, Bob has one; nobody is connected, and the process has started anew.
  void SetUp() override {
    start_applied();
    for (const std::size_t n : {0U, 1U}) {
      story.sign_in(n);
      world.run_for(seconds(5));
    }
    open(0, "pg/orders");
    open(0, "pg/stock");
    open(1, "pg/orders");
    ASSERT_EQ(count(GrantState::active), 3U);
    restart();
  }
  void open(std::size_t n, const std::string& target) {
    story.get_credential(n, target, {});
    world.run_for(Millis(200));
    const std::size_t before = world.gate.connections().size();
    world.gate.connect(story.people[n].credentials.back());
    world.run_for(seconds(2));
    ASSERT_EQ(world.gate.connections().size(), before + 1);
    story.hang_up();
    world.run_for(seconds(1));
  }
  void restart() {
    world.crash(seconds(1));
    world.run_for(seconds(3));
    ASSERT_NE(world.engine(), nullptr);
  }
  [[nodiscard]] std::size_t count(GrantState state, const std::string& principal = {}) const {
    std::size_t n = 0;
    for (const auto& [id, g] : world.store.grants())
      n += g.state == state && (principal.empty() || g.principal == principal) ? 1U : 0U;
    return n;
  }
  std::int64_t in_memory() { return engine().metrics().grants_in_memory; }
};

TEST_F(Dormant, TheyAreCountedAndNotRead) {
  EXPECT_EQ(in_memory(), 0);
  EXPECT_EQ(engine().metrics().grants_active, 3);
  world.run_for(minutes(2));
  EXPECT_EQ(in_memory(), 0) << "nobody asked, and none is due";
  EXPECT_EQ(count(GrantState::active), 3U);
}

TEST_F(Dormant, AConnectionJoinsTheOneThatIsThere) {
  world.gate.connect(story.people[0].credentials.front());
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.connections().size(), 1U);
  EXPECT_EQ(world.store.grants().size(), 3U) << "no other grant was opened";
  EXPECT_EQ(in_memory(), 2) << "all of this login, none of the other";
}

TEST_F(Dormant, ALogoutEndsAllOfTheLoginAndNothingElse) {
  const core::SessionId session = story.people[0].session->id;
  world.oracle.wants_logout(session);
  const auto out = ask<engine::LoggedOut>(
      [&](auto done) { engine().logout(tenant, session, core::EndReason::logout, "demo/ann", std::move(done)); });
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->grants_ended, 2);
  world.run_for(seconds(3));
  EXPECT_EQ(count(GrantState::closed, "demo/ann"), 2U);
  EXPECT_EQ(count(GrantState::active), 1U);
  EXPECT_EQ(in_memory(), 0) << "what was closed is forgotten, what is Bob's was not read";
}

TEST_F(Dormant, ALogoutIsOwedThemWhileTheStoreBreaks) {
  const core::SessionId session = story.people[0].session->id;
  world.fail_commits(6, "store.io");
  story.log_out(0, core::EndReason::logout);
  world.run_for(minutes(1));
  EXPECT_EQ(count(GrantState::closed, "demo/ann"), 2U);
  EXPECT_EQ(count(GrantState::active), 1U);
}

TEST_F(Dormant, APolicyDecidesThemAgain) {
  story.apply(3);  // nothing on pg/orders any more
  world.run_for(seconds(5));
  EXPECT_EQ(count(GrantState::closed), 2U);
  EXPECT_EQ(count(GrantState::active), 1U);
}

TEST_F(Dormant, ATargetThatHasThemIsNotGivenUp) {
  auto files = PolicyText::files(0);
  std::string& toml = files.at("tenant.toml");
  const auto at = toml.find("db.example");
  ASSERT_NE(at, std::string::npos);
  toml.replace(at, 10, "db-new.example");
  const auto applied =
      ask<engine::Applied>([&](auto done) { engine().apply(tenant, files, "operator", true, std::move(done)); });
  ASSERT_TRUE(applied.ok());
  ASSERT_FALSE(applied->problems.empty());
  EXPECT_THAT(applied->problems.front().render(), testing::HasSubstr("of its grants are not closed"));
  EXPECT_EQ(in_memory(), 0) << "counted, not read";
}

TEST_F(Dormant, TheirTimeComesThoughNobodyAsks) {
  // Idle since the start, not since they were used: Bob's 150 s, Ann's 3 minutes and, by another offer, 270 s.
  world.run_for(seconds(140));
  EXPECT_EQ(count(GrantState::active), 3U);
  world.run_for(seconds(140));
  EXPECT_EQ(count(GrantState::closed), 3U);
  for (const auto& [id, g] : world.store.grants()) EXPECT_EQ(g.end_reason, core::EndReason::idle);
  EXPECT_EQ(engine().metrics().grants_active, 0);
}

TEST_F(Dormant, AnAccountThatIsGoneEndsItsGrant) {
  auto& accounts = world.servers.at("pg/stock").accounts;
  const auto mine = std::ranges::find_if(accounts, [&](const auto& item) {
    return item.second.mark == world.servers.at("pg/stock").instance && item.second.grant.tenant == tenant &&
           world.store.grants().contains(item.second.grant);
  });
  ASSERT_NE(mine, accounts.end());
  accounts.erase(mine);
  restart();  // compared once after the start
  world.run_for(seconds(5));
  EXPECT_EQ(count(GrantState::closed), 1U);
  EXPECT_EQ(count(GrantState::active), 2U);
}

TEST_F(Dormant, WhatWasCutOffIsTakenUpAtOnce) {
  // Connected when the process dies, and one that is being revoked.
  world.gate.connect(story.people[1].credentials.front());
  world.run_for(seconds(2));
  ASSERT_EQ(world.gate.connections().size(), 1U);
  restart();
  EXPECT_EQ(in_memory(), 1) << "it had a connection";
  EXPECT_EQ(count(GrantState::active), 3U);
  for (const auto& [id, g] : world.store.grants()) EXPECT_EQ(g.connections, 0) << "the loss is on record";
}

TEST_F(Dormant, ADeletedTenantLeavesNoneBehind) {
  std::vector<std::pair<std::string, std::string>> accounts;
  for (const auto& [id, g] : world.store.grants()) accounts.emplace_back(g.target.str(), g.account);
  for (const auto& [target, account] : accounts) ASSERT_NE(world.servers.at(target).find(account), nullptr);
  for (const std::size_t n : {0U, 1U}) world.oracle.wants_logout(story.people[n].session->id);
  world.oracle.freezing();  // an administrator ends everything
  const auto deleted =
      ask<engine::TenantInfo>([&](auto done) { engine().delete_tenant(tenant, "operator", std::move(done)); });
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->grants, 3U);
  world.run_for(seconds(20));
  for (const auto& [target, account] : accounts)
    EXPECT_EQ(world.servers.at(target).find(account), nullptr) << account << " is left";
}

}  // namespace
}  // namespace daypass::sim
