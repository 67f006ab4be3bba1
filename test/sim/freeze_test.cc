// Freezing, in a world where only that breaks which a test breaks.
#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using std::chrono::seconds;

const core::TenantId tenant("default");

class Freezing : public Steady {
 protected:
  Freezing() : Steady(9) {}

  void SetUp() override {
    start_applied();
    for (const std::size_t n : {0U, 1U}) work(n);
    ASSERT_EQ(world.gate.connections().size(), 2U);
  }

  Result<engine::Frozen> freeze(std::optional<core::TenantId> where, const std::string& why = "incident 42",
                                const std::string& actor = "operator") {
    world.oracle.freezing();
    return ask<engine::Frozen>([&](auto done) { engine().freeze(where, why, actor, std::move(done)); });
  }
  std::string thaw(std::optional<core::TenantId> where, const std::string& actor = "operator") {
    return check_of(ask<void>([&](auto done) { engine().thaw(where, actor, std::move(done)); }));
  }
  std::size_t refused_frozen() const {
    const auto it = world.gate.refusals.find("access.frozen");
    return it == world.gate.refusals.end() ? 0 : it->second;
  }
  /// What a thaw must give back: the same login, the same credential, a new grant.
  void works_again(std::size_t n) {
    const std::size_t before = world.gate.admitted;
    story.connect(n);
    world.run_for(seconds(3));
    EXPECT_EQ(world.gate.admitted, before + 1);
  }
};

TEST_F(Freezing, EndsEverythingAndGivesNothingUntilItIsThawed) {
  const auto frozen = freeze({});
  ASSERT_TRUE(frozen.ok()) << check_of(frozen);
  EXPECT_EQ(frozen->grants_ended, 2U);
  EXPECT_TRUE(world.gate.connections().empty());
  EXPECT_EQ(credential(0), "access.frozen");
  story.connect(0);
  world.run_for(seconds(3));
  EXPECT_EQ(refused_frozen(), 1U);
  for (const auto& [id, grant] : world.store.grants()) EXPECT_EQ(grant.state, core::GrantState::closed);
  EXPECT_TRUE(engine().authenticate(tenant, story.people[0].token).ok()) << "somebody must be able to look";
  world.crash(seconds(3));
  world.run_for(seconds(5));
  story.connect(1);
  world.run_for(seconds(3));
  EXPECT_EQ(refused_frozen(), 2U) << "a restart thaws nothing";
  ASSERT_TRUE(engine().frozen().has_value());
  EXPECT_EQ(engine().frozen()->why, "incident 42");
  EXPECT_EQ(thaw({}), "ok");
  works_again(0);
  EXPECT_EQ(thaw({}), "freeze.none");
}

TEST_F(Freezing, IsThereWhileTheStoreRefuses) {
  world.fail_commits(1'000'000, "store.full");
  world.oracle.freezing();
  std::string answer = "none";
  engine().freeze({}, "incident 42", "operator", [&](const Result<engine::Frozen>& r) { answer = check_of(r); });
  world.run_for(Millis(200));
  EXPECT_TRUE(world.gate.connections().empty()) << "cut before anything is written";
  world.run_for(seconds(2));
  EXPECT_EQ(answer, "freeze.unrecorded");
  world.fail_commits(0, "");
  world.run_for(seconds(3));
  EXPECT_EQ(credential(0), "access.frozen");
  world.crash(seconds(3));
  world.run_for(seconds(5));
  EXPECT_EQ(credential(1), "access.frozen") << "written down as soon as the store took it";
  for (const auto& [id, grant] : world.store.grants()) EXPECT_EQ(grant.state, core::GrantState::closed);
}

TEST_F(Freezing, IsOfOneTenantOrOfAll) {
  EXPECT_EQ(check_of(freeze(core::TenantId("nobody"))), "tenant.unknown");
  world.oracle.knows(core::TenantId("other"));
  const auto made = ask<engine::TenantInfo>(
      [&](auto done) { engine().create_tenant(core::TenantId("other"), "", "operator", std::move(done)); });
  ASSERT_TRUE(made.ok());
  const auto other = freeze(core::TenantId("other"));
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->grants_ended, 0U);
  EXPECT_EQ(engine().tenants_frozen(), 1U);
  EXPECT_EQ(world.gate.connections().size(), 2U) << "another tenant's freeze is nothing to us";
  EXPECT_EQ(credential(0), "ok");
  EXPECT_TRUE(freeze(tenant).ok());
  EXPECT_TRUE(world.gate.connections().empty());
  EXPECT_TRUE(freeze({}).ok());
  EXPECT_EQ(thaw({}), "ok");
  EXPECT_EQ(credential(0), "access.frozen") << "by itself it is frozen still";
  EXPECT_EQ(thaw(tenant), "ok");
  works_again(0);
}

TEST_F(Freezing, OnlyTheOperatorLiftsTheOperators) {
  EXPECT_TRUE(freeze(tenant, "a drill", "demo/ann").ok());
  EXPECT_EQ(thaw(tenant, "demo/ann"), "ok");
  EXPECT_TRUE(freeze(tenant).ok());
  const auto again = freeze(tenant, "a drill", "demo/ann");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->freeze.why, "incident 42");
  const auto log = ask<std::vector<std::string>>([&](auto done) { engine().audit(tenant, 0, 1000, std::move(done)); });
  ASSERT_TRUE(log.ok());
  const auto last = std::find_if(log->rbegin(), log->rend(),
                                 [](const auto& r) { return r.find("access.frozen") != std::string::npos; });
  ASSERT_NE(last, log->rend());
  EXPECT_THAT(*last, testing::HasSubstr("demo/ann")) << "who asked, not whose freeze stays";
  EXPECT_EQ(thaw(tenant, "demo/ann"), "freeze.operator");
  EXPECT_EQ(credential(0), "access.frozen");
  EXPECT_EQ(thaw(tenant), "ok");
  works_again(0);
}

TEST_F(Freezing, HasAReasonThatPeopleCanRead) {
  for (const std::string& bad : {std::string(), std::string(201, 'x'), std::string("\x1b[2J"), std::string("\xff")})
    EXPECT_EQ(check_of(freeze({}, bad)), "freeze.reason");
  EXPECT_EQ(world.gate.connections().size(), 2U);
}

}  // namespace
}  // namespace daypass::sim
