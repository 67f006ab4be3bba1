#include "engine/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <latch>
#include <memory>

#include "base/log.h"

namespace daypass::engine {
namespace {

namespace event = core::event;

TEST(Unreached, IsWhatGaveNoAnswer) {
  for (const char* check : {"pg.connect: refused", "pg.timeout: no answer: none", "ssh.connect"}) {
    EXPECT_TRUE(unreached(event::ProvisionFailed{1, check})) << check;
    EXPECT_TRUE(unreached(event::ExtendFailed{1, check})) << check;
  }
  for (const char* check : {"pg.account_busy: x", "pg.sql: pg.connect", "pg.group_role: a.timeout", ""}) {
    EXPECT_FALSE(unreached(event::ProvisionFailed{1, check})) << check;
    EXPECT_FALSE(unreached(event::ExtendFailed{1, check})) << check;
  }
  EXPECT_FALSE(unreached(event::Provisioned{1, "pg.connect"}));
  EXPECT_FALSE(unreached(event::RevokeTried{1, false, "pg.connect: refused"})) << "revocation is never held back";
}

/// Pools without an engine, for work that is no intent.
struct Pools {
  explicit Pools(WorkerPools::Sizes sizes) : pools(vault, clock, log, sizes) { pools.start(); }
  base::SystemClock clock;
  base::SystemEntropy entropy;
  base::Log log{clock, base::Level::error, base::log_to_nowhere()};
  crypto::Sealer sealer = crypto::Sealer::make(base::Secret(std::string(32, 'k')), entropy).value();
  Vault vault{sealer, entropy};
  WorkerPools pools;
};

// One tenant's identity provider hangs; whoever signs in at another's is served at once.
TEST(WorkerPools, ATenantThatHangsLeavesThreadsToOthers) {
  std::latch hanging(2);
  std::promise<void> released;
  const std::shared_future<void> release = released.get_future().share();
  std::atomic<int> refused = 0;
  Pools world({.revoke = 1, .provision = 1, .idp = 16});  // last: its threads end before what they use
  for (int i = 0; i < 100; ++i)
    world.pools.run(
        Workers::Pool::idp, core::TenantId("slow"),
        [&, i] {
          if (i < 2) hanging.count_down();
          release.wait();
        },
        [&](const base::Error&) { ++refused; });
  hanging.wait();  // its share, and no more will run
  for (int i = 0; i < 50; ++i) {
    const auto served = std::make_shared<std::promise<void>>();
    world.pools.run(
        Workers::Pool::idp, core::TenantId("other"), [served] { served->set_value(); },
        [&](const base::Error&) { ++refused; });
    served->get_future().wait();
  }
  EXPECT_EQ(refused, 0);
  released.set_value();
}

TEST(WorkerPools, ATenantFillsItsOwnPartOfTheQueueOnly) {
  std::promise<void> released;
  const std::shared_future<void> release = released.get_future().share();
  std::latch started(1);
  std::atomic<int> refused = 0;
  Pools world({.revoke = 1, .provision = 1, .idp = 8, .queue = 100, .queue_per_peer = 10});
  const auto wish = [&](const char* tenant, std::function<void()> work) {
    world.pools.run(Workers::Pool::idp, core::TenantId(tenant), std::move(work), [&](const base::Error& e) {
      EXPECT_EQ(e.check, "engine.busy");
      ++refused;
    });
  };
  wish("slow", [&] {
    started.count_down();
    release.wait();
  });
  started.wait();
  for (int i = 0; i < 30; ++i) wish("slow", [&] { release.wait(); });
  EXPECT_EQ(refused, 20);
  const auto served = std::make_shared<std::promise<void>>();
  wish("other", [served] { served->set_value(); });
  served->get_future().wait();
  EXPECT_EQ(refused, 20);
  released.set_value();
}

}  // namespace
}  // namespace daypass::engine
