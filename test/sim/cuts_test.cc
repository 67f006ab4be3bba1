// What ends together is cut together, in a world where nothing breaks but what a test breaks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "sim/steady.h"

namespace daypass::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

const core::TenantId tenant("default");

/// Ann is signed in three times, and has a connection under each login.
class Cuts : public Steady {
 protected:
  Cuts() : Steady(5) {}

  void SetUp() override {
    start_applied();
    for (int i = 0; i < 3; ++i) {
      story.people[0].credentials.clear();
      work(0);
    }
    ASSERT_EQ(world.gate.connections().size(), 3U);
    for (const auto& session : engine().login_sessions(tenant)) world.oracle.wants_logout(session.id);
    for (const auto& [id, grant] : world.store.grants()) world.oracle.wants_end(id);
    world.gate.cuts.clear();
  }
  std::string signal() {
    const auto taken = ask<engine::SignalTaken>([&](auto done) {
      engine().logout_signal(
          tenant, "demo", idp::LogoutMessage{{{"at", base::to_rfc3339(world.wall())}, {"user", "ann"}}, "", true, ""},
          std::move(done));
    });
    return taken.ok() ? std::to_string(taken->sessions_ended) : check_of(taken);
  }
  std::size_t accounts() {
    std::size_t n = 0;
    for (const auto& [id, grant] : world.store.grants())
      if (world.servers.at(grant.target.str()).find(grant.account) != nullptr) ++n;
    return n;
  }
};

TEST_F(Cuts, OfOneSignalComeTogether) {
  EXPECT_EQ(signal(), "3");
  EXPECT_THAT(world.gate.cuts, ElementsAre(3));
  EXPECT_THAT(world.gate.connections(), IsEmpty());
}

TEST_F(Cuts, OfAFreezeComeTogether) {
  world.oracle.freezing();
  EXPECT_EQ(check_of(ask<engine::Frozen>(
                [&](auto done) { engine().freeze({}, "incident 42", "operator", std::move(done)); })),
            "ok");
  EXPECT_THAT(world.gate.cuts, ElementsAre(3));
}

TEST_F(Cuts, OfNewPoliciesComeTogether) {
  story.apply(4);
  world.run_for(seconds(2));
  EXPECT_THAT(world.gate.cuts, ElementsAre(3));
}

TEST_F(Cuts, OfADeletedTenantComeTogether) {
  EXPECT_EQ(check_of(ask<engine::TenantInfo>(
                [&](auto done) { engine().delete_tenant(tenant, "operator", std::move(done)); })),
            "ok");
  EXPECT_THAT(world.gate.cuts, ElementsAre(3));
}

TEST_F(Cuts, OfTheSameInstantComeTogether) {
  // Asleep past the ends of all.
  world.suspend(PolicyText::longest);
  world.run_for(seconds(1));
  EXPECT_THAT(world.gate.cuts, ElementsAre(3));
}

// The first save finds the disk full, and with it the whole batch: no end of those that were cut may be lost.
TEST_F(Cuts, AreOwedWhereTheStoreBreaksInTheMiddle) {
  for (const int saves : {0, 1}) {
    SCOPED_TRACE(saves);
    ASSERT_EQ(accounts(), 3U);
    world.store.saves_left = saves;
    EXPECT_NE(signal(), "3");
    EXPECT_THAT(world.gate.connections(), IsEmpty());
    world.run_for(minutes(1));
    EXPECT_EQ(accounts(), 0U) << "their target is told, recorded or not";
    world.store.saves_left.reset();
    world.run_for(seconds(10));
    for (const auto& [id, grant] : world.store.grants()) EXPECT_EQ(grant.state, core::GrantState::closed);
    if (saves == 0) SetUp();
  }
}

TEST_F(Cuts, OfTheSameInstantAreOwedWhereTheStoreBreaksInTheMiddle) {
  world.store.saves_left = 1;
  world.suspend(PolicyText::longest);
  world.run_for(seconds(5));
  EXPECT_THAT(world.gate.connections(), IsEmpty());
  EXPECT_EQ(accounts(), 0U) << "their target is told, recorded or not";
  world.store.saves_left.reset();
  world.run_for(seconds(10));
  for (const auto& [id, grant] : world.store.grants()) EXPECT_EQ(grant.state, core::GrantState::closed);
}

}  // namespace
}  // namespace daypass::sim
