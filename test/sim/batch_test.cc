// What one batch takes, in a world where nothing breaks.
#include <gtest/gtest.h>

#include "sim/steady.h"

namespace daypass::sim {
namespace {

const core::TenantId tenant("default");

class Batches : public Steady {
 protected:
  Batches() : Steady(3) {}
  void SetUp() override { start_applied(); }
  void turn() { engine().turn(std::chrono::nanoseconds(0)); }
};

// Ten thousand revocations report at once. Who asks meanwhile is answered by the next batch, not behind them.
TEST_F(Batches, WhoAsksDoesNotWaitForTheReportsOfWorkers) {
  const core::Intent intent{{tenant, "gr_" + std::string(26, 'z')}, 1, core::IntentKind::revoke, 0, {}, {}};
  for (int i = 0; i < 10'000; ++i) engine().finished(intent, core::event::RevokeTried{1, true, {}});
  for (int i = 0; i < 5; ++i) turn();
  bool answered = false;
  engine().list_grants({}, [&](const base::Result<std::vector<core::Grant>>&) { answered = true; });
  for (int i = 0; i < 2 && !answered; ++i) turn();
  EXPECT_TRUE(answered);
  // And none of them is forgotten.
  const auto turns = engine().metrics().turns.load();
  for (int i = 0; i < 300; ++i) turn();
  EXPECT_GE(engine().metrics().turns.load() - turns, 10'000 / 64 - 7);
}

}  // namespace
}  // namespace daypass::sim
