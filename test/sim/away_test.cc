// Others that are away for long: revocation is tried for ever, once a minute at the slowest, and done within a minute
// of their return; a freeze asks nobody.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const core::TenantId tenant("default");

class Away : public Steady, public ::testing::WithParamInterface<Millis> {
 protected:
  Away() : Steady(11) {}
  bool away = false;
  std::vector<MonoTime> tries;  ///< to revoke, while the target is away

  void SetUp() override {
    start_applied();
    for (auto& [name, server] : world.servers)
      server.hooks.fault = [this](const char* call, const core::GrantId&) {
        if (!away) return Fault::none;
        if (std::string_view(call) == "revoke") tries.push_back(world.now());
        return Fault::refused;
      };
    work(0);
    ASSERT_EQ(world.oracle.live_grants().size(), 1U);
  }
};

TEST_P(Away, ATargetIsAskedAgainForEver) {
  const core::GrantId id = *world.oracle.live_grants().begin();
  away = true;
  world.oracle.wants_end(id);
  (void)ask<core::Grant>(
      [&](auto done) { engine().end_grant(id, {}, core::EndReason::admin, "operator", std::move(done)); });
  EXPECT_TRUE(world.gate.connections().empty()) << "cut at once, target or not";
  world.run_for(GetParam());
  EXPECT_EQ(world.store.grant(id)->state, core::GrantState::revoking);
  EXPECT_GE(engine().metrics().revocations_overdue.load(), 1);
  ASSERT_GE(tries.size(), static_cast<std::size_t>(GetParam() / minutes(1)) / 2);
  // Less and less often, and never more than a minute apart (and what a worker takes to hear of it).
  Millis widest{};
  for (std::size_t i = 1; i < tries.size(); ++i)
    widest = std::max(widest, std::chrono::duration_cast<Millis>(tries[i] - tries[i - 1]));
  EXPECT_LE(widest, minutes(1) + seconds(5));
  EXPECT_LE(tries.size(), static_cast<std::size_t>(GetParam() / minutes(1)) + 12);

  away = false;
  world.run_for(minutes(1) + seconds(5));
  EXPECT_EQ(world.store.grant(id)->state, core::GrantState::closed);
  EXPECT_EQ(engine().metrics().revocations_overdue.load(), 0);
}

INSTANTIATE_TEST_SUITE_P(For, Away, ::testing::Values(minutes(20), hours(2), hours(24)));

}  // namespace
}  // namespace daypass::sim
