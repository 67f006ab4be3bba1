#include "engine/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <latch>
#include <memory>

#include "base/log.h"
#include "idp/test_support.h"

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
  explicit Pools(WorkerPools::Sizes sizes) : Pools(sizes, real) {}
  Pools(WorkerPools::Sizes sizes, const base::Clock& clock) : pools(vault, clock, log, sizes) { pools.start(); }
  base::SystemClock real;
  base::SystemEntropy entropy;
  base::Log log{real, base::Level::error, base::log_to_nowhere()};
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

// The provider of many tenants is down: those who were slow to be served hold half of the threads, however many they
// are.
TEST(WorkerPools, TenantsThatHangLeaveHalfOfTheThreadsToThoseThatDoNot) {
  idp::testing::HandClock clock;
  std::promise<void> released;
  const std::shared_future<void> release = released.get_future().share();
  std::latch hanging(8), together(8);
  std::atomic<int> started = 0;
  Pools world({.revoke = 1, .provision = 1, .idp = 16}, clock);
  const auto wish = [&](const std::string& tenant, std::function<void()> work) {
    world.pools.run(Workers::Pool::idp, core::TenantId(tenant), std::move(work),
                    [](const base::Error& e) { ADD_FAILURE() << e.check; });
  };
  for (int i = 0; i < 10; ++i) {
    const auto served = std::make_shared<std::promise<void>>();
    wish("slow-" + std::to_string(i), [&clock, served] {
      clock.advance(std::chrono::seconds(2));
      served->set_value();
    });
    served->get_future().wait();
  }
  for (int i = 0; i < 100; ++i)
    wish("slow-" + std::to_string(i % 10), [&] {
      if (started.fetch_add(1) < 8) hanging.count_down();
      release.wait();
    });
  hanging.wait();
  // Each of these waits for the seven others: all at once, or never.
  const auto all = std::make_shared<std::promise<void>>();
  for (int i = 0; i < 8; ++i)
    wish("other-" + std::to_string(i), [&together, all, i] {
      together.arrive_and_wait();
      if (i == 0) all->set_value();
    });
  auto served = all->get_future();
  EXPECT_EQ(served.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(started, 8);
  released.set_value();
  served.wait();
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
