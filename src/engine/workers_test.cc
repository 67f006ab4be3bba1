#include "engine/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <set>

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

// Targets of many tenants are dead: those hold three quarters of what takes access away, and no more.
TEST(WorkerPools, DeadTargetsOfManyLeaveThreadsForTheRevocationsOfOthers) {
  idp::testing::HandClock clock;
  std::promise<void> released;
  const std::shared_future<void> release = released.get_future().share();
  std::latch hanging(6), together(2);
  std::atomic<int> started = 0;
  Pools world({.revoke = 8, .provision = 1, .idp = 1}, clock);
  const auto revoke = [&](const std::string& tenant, std::function<void()> work) {
    world.pools.run(Workers::Pool::revoke, core::TenantId(tenant), std::move(work),
                    [](const base::Error& e) { ADD_FAILURE() << e.check; });
  };
  for (int i = 0; i < 5; ++i) {
    const auto tried = std::make_shared<std::promise<void>>();
    revoke("dead-" + std::to_string(i), [&clock, tried] {
      clock.advance(std::chrono::seconds(20));
      tried->set_value();
    });
    tried->get_future().wait();
  }
  for (int i = 0; i < 50; ++i)
    revoke("dead-" + std::to_string(i % 5), [&] {
      if (started.fetch_add(1) < 6) hanging.count_down();
      release.wait();
    });
  hanging.wait();
  const auto all = std::make_shared<std::promise<void>>();
  for (int i = 0; i < 2; ++i)
    revoke("other-" + std::to_string(i), [&together, all, i] {
      together.arrive_and_wait();
      if (i == 0) all->set_value();
    });
  auto served = all->get_future();
  EXPECT_EQ(served.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(started, 6);
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

/// Takes many at a time and notes how many; some can't go with the others, and one hangs until it is let go.
class CrowdTarget final : public target::Target {
 public:
  explicit CrowdTarget(std::size_t at_once) : at_once_(at_once) {}
  [[nodiscard]] target::Caps caps() const override { return {.at_once = at_once_}; }
  base::Result<std::string> provision(const target::Provision&, base::Millis) override { return std::string(); }
  base::Status revoke(const target::Account& a, const std::vector<core::RoleSpec>&, std::string_view,
                      base::Millis) override {
    if (a.name == "first") entered.count_down(), release.get_future().wait();
    ++alone;
    return {};
  }
  base::Result<core::Presence> verify(const target::Account&, std::string_view, base::Millis) override {
    ++alone;
    return core::Presence::absent;
  }
  std::set<std::size_t> revoke_together(const std::vector<target::Leaving>& many, base::Millis) override {
    EXPECT_LE(many.size(), at_once_);
    ++batches;
    std::set<std::size_t> gone;
    for (std::size_t i = 0; i < many.size(); ++i)
      if (!many[i].account.name.ends_with("7")) gone.insert(i);
    return gone;
  }
  std::vector<base::Result<core::Presence>> verify_all(const std::vector<target::Leaving>& many,
                                                       base::Millis) override {
    ++batches;
    // One answer short: whoever is not answered for is not said to be absent.
    return std::vector<base::Result<core::Presence>>(many.size() - 1, core::Presence::absent);
  }
  base::Result<std::vector<target::Owned>> list_owned(base::Millis) override { return std::vector<target::Owned>(); }
  base::Result<std::vector<target::Stranger>> list_strangers(base::Millis) override {
    return std::vector<target::Stranger>();
  }
  base::Result<std::vector<target::Holdings>> holdings(const std::vector<core::RoleSpec>& roles,
                                                       base::Millis) override {
    return std::vector<target::Holdings>(roles.size());
  }
  base::Result<std::vector<target::Finding>> check(const std::vector<core::RoleSpec>&, base::Millis) override {
    return std::vector<target::Finding>();
  }
  base::Result<std::string> server_identity(base::Millis) override { return std::string("crowd"); }
  [[nodiscard]] target::Upstream upstream(const std::string&, base::Secret) const override { return {}; }

  std::latch entered{1};
  std::promise<void> release;
  std::atomic<int> alone = 0, batches = 0;

 private:
  std::size_t at_once_;
};

Job job_on(const std::shared_ptr<target::Target>& target, core::IntentKind kind, const std::string& name) {
  Job job;
  job.intent = core::Intent{{core::TenantId("a"), "gr_" + name}, 1, kind, 0, {}, {}};
  job.account = {job.intent.grant, name};
  job.target_id = core::TargetId("pg/x");
  job.target = target;
  return job;
}

/// Sends the first, which holds the only thread, and then `count` more; waits until each was reported, once.
std::map<std::string, core::GrantEvent> crowd(CrowdTarget& target, const std::shared_ptr<target::Target>& shared,
                                              core::IntentKind kind, int count) {
  std::mutex mutex;
  std::map<std::string, core::GrantEvent> reported;
  std::latch all(count + 1);
  Pools world({.revoke = 1, .provision = 1, .idp = 1});
  world.pools.report_to([&](const core::Intent& intent, core::GrantEvent result) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(reported.emplace(intent.grant.id, std::move(result)).second) << intent.grant.id << " reported twice";
    all.count_down();
  });
  world.pools.dispatch(job_on(shared, core::IntentKind::revoke, "first"));
  target.entered.wait();
  for (int i = 0; i < count; ++i) world.pools.dispatch(job_on(shared, kind, "n" + std::to_string(i)));
  target.release.set_value();
  all.wait();
  return reported;
}

TEST(WorkerPools, RevocationsThatWaitForOneTargetAreMadeTogether) {
  const auto target = std::make_shared<CrowdTarget>(10);
  const auto reported = crowd(*target, target, core::IntentKind::revoke, 40);
  EXPECT_EQ(target->batches, 4);
  EXPECT_EQ(target->alone, 1 + 4) << "those that could not go with the others, each by itself";
  for (const auto& [id, result] : reported) {
    const auto* tried = std::get_if<event::RevokeTried>(&result);
    ASSERT_NE(tried, nullptr) << id;
    EXPECT_TRUE(tried->ok) << id;
  }
}

TEST(WorkerPools, WhoeverIsNotAnsweredForIsNotAbsent) {
  const auto target = std::make_shared<CrowdTarget>(10);
  const auto reported = crowd(*target, target, core::IntentKind::verify, 20);
  EXPECT_EQ(target->batches, 2);
  int absent = 0, unknown = 0;
  for (const auto& [id, result] : reported)
    if (const auto* seen = std::get_if<event::Verified>(&result))
      ++(seen->presence == core::Presence::absent ? absent : unknown);
  EXPECT_EQ(absent, 18);
  EXPECT_EQ(unknown, 2);
}

TEST(WorkerPools, ATargetThatTakesOneAtATimeIsAskedOneAtATime) {
  const auto target = std::make_shared<CrowdTarget>(1);
  crowd(*target, target, core::IntentKind::revoke, 5);
  EXPECT_EQ(target->batches, 0);
  EXPECT_EQ(target->alone, 6);
}

}  // namespace
}  // namespace daypass::engine
