#include "idp/cached.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <stdexcept>
#include <thread>

#include "idp/test_support.h"

namespace daypass::idp {
namespace {

using base::Code;
using base::Error;
using base::Millis;
using base::MonoTime;
using base::Result;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HandClock;

constexpr Cached<int>::Policy policy{
    .fresh = minutes(10), .usable = hours(1), .between = seconds(10), .first_retry = seconds(1), .patience = Millis(0)};
const Error timed_out{Code::timeout, "test.timeout", "too slow"};
const Error down{Code::unavailable, "test.down", "no answer"};

struct World {
  HandClock clock;
  std::atomic<int> loads{0};
  std::atomic<bool> fails{false};
  Cached<int> cached{clock, policy, timed_out, [this](MonoTime) -> Result<int> {
                       const int n = ++loads;
                       if (fails) return down;
                       return n;
                     }};
  [[nodiscard]] MonoTime soon(Millis budget = seconds(5)) const { return clock.mono() + budget; }
  Result<int> get(int least = 0) {
    auto got = cached.get(soon(), [&](int v) { return v >= least; });
    if (!got.ok()) return std::move(got).error();
    return *got->value;
  }
};

TEST(Cached, FetchesOnceWhileFresh) {
  World w;
  EXPECT_EQ(w.get().value(), 1);
  EXPECT_EQ(w.get().value(), 1);
  w.clock.advance(minutes(10) - Millis(1));
  EXPECT_EQ(w.get().value(), 1);
  w.clock.advance(Millis(1));
  EXPECT_EQ(w.get().value(), 2);
}

TEST(Cached, LastGoodServesWhileFetchingFailsAndNotForEver) {
  World w;
  EXPECT_EQ(w.get().value(), 1);
  w.fails = true;
  w.clock.advance(minutes(11));
  EXPECT_EQ(w.get().value(), 1);
  EXPECT_EQ(w.loads, 2);
  EXPECT_EQ(w.get().value(), 1);
  EXPECT_EQ(w.loads, 2) << "a failed fetch is not repeated at once";
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.get().value(), 1);
  EXPECT_EQ(w.loads, 3);
  w.clock.advance(hours(1));
  EXPECT_EQ(w.get().error(), down);
  w.fails = false;
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.get().value(), 5);
}

TEST(Cached, AFirstFailureIsSharedForAMoment) {
  World w;
  w.fails = true;
  EXPECT_EQ(w.get().error(), down);
  EXPECT_EQ(w.get().error(), down);
  EXPECT_EQ(w.loads, 1);
  w.clock.advance(seconds(1));
  w.fails = false;
  EXPECT_EQ(w.get().value(), 2);
}

TEST(Cached, AValueThatDoesNotSufficeIsFetchedAgainAtMostOnceInTenSeconds) {
  World w;
  EXPECT_EQ(w.get().value(), 1);
  EXPECT_EQ(w.get(100).value(), 1) << "too soon: the best there is";
  EXPECT_EQ(w.loads, 1);
  w.clock.advance(seconds(10));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(w.get(100).value(), 2);
  EXPECT_EQ(w.loads, 2);
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.get(3).value(), 3);
}

TEST(Cached, NoTimeLeftIsATimeoutUnlessSomethingServes) {
  World w;
  EXPECT_EQ(w.cached.get(w.clock.mono(), [](int) { return true; }).error(), timed_out);
  EXPECT_EQ(w.loads, 0);
  EXPECT_EQ(w.get().value(), 1);
  w.clock.advance(minutes(20));
  EXPECT_EQ(*w.cached.get(w.clock.mono(), [](int) { return true; })->value, 1);
  EXPECT_EQ(w.loads, 1);
}

TEST(Cached, RefreshSaysHowTheLastFetchEnded) {
  World w;
  EXPECT_TRUE(w.cached.refresh(w.soon()).ok());
  w.fails = true;
  EXPECT_TRUE(w.cached.refresh(w.soon()).ok()) << "a moment ago it was well";
  w.clock.advance(seconds(10));
  EXPECT_EQ(w.cached.refresh(w.soon()).error(), down);
  EXPECT_EQ(w.get().value(), 1) << "and the last good one still serves";
}

TEST(Cached, OneFetchForManyCallers) {
  HandClock clock;
  std::atomic<int> loads{0};
  std::promise<void> open;
  const std::shared_future<void> gate = open.get_future().share();
  std::latch inside(1);
  Cached<int> cached{clock, policy, timed_out, [&](MonoTime) -> Result<int> {
                       ++loads;
                       inside.count_down();
                       gate.wait();
                       return 7;
                     }};
  std::vector<std::future<int>> callers;
  for (int i = 0; i < 8; ++i)
    callers.push_back(std::async(
        std::launch::async, [&] { return *cached.get(clock.mono() + minutes(1), [](int) { return true; })->value; }));
  inside.wait();
  open.set_value();
  for (auto& caller : callers) EXPECT_EQ(caller.get(), 7);
  EXPECT_EQ(loads, 1);
}

TEST(Cached, AWaiterKeepsToItsOwnDeadline) {
  HandClock clock;
  std::promise<void> open;
  std::latch inside(1);
  Cached<int> cached{clock, policy, timed_out, [&](MonoTime) -> Result<int> {
                       inside.count_down();
                       open.get_future().wait();
                       return 7;
                     }};
  auto slow = std::async(std::launch::async,
                         [&] { return *cached.get(clock.mono() + minutes(1), [](int) { return true; })->value; });
  inside.wait();
  // The fetch goes on, and this caller gives up after its own few milliseconds.
  EXPECT_EQ(cached.get(clock.mono() + Millis(20), [](int) { return true; }).error(), timed_out);
  open.set_value();
  EXPECT_EQ(slow.get(), 7);
}

/// Ten milliseconds pass between one reading and the next once it is told to.
class PassingClock final : public base::Clock {
 public:
  [[nodiscard]] base::WallTime wall() const override { return {}; }
  [[nodiscard]] MonoTime mono() const override {
    if (passes) at += Millis(10);
    return MonoTime(at);
  }
  mutable base::BootClock::duration at = hours(1);
  bool passes = false;
};

TEST(Cached, APatientCallerGetsItsTurn) {
  PassingClock clock;
  int loads = 0;
  Cached<int>::Policy patient = policy;
  patient.patience = Millis(50);
  Cached<int> cached{clock, patient, timed_out, [&](MonoTime) -> Result<int> { return ++loads; }};
  const MonoTime deadline(hours(2));
  const auto get = [&](int least) { return *cached.get(deadline, [&](int v) { return v >= least; })->value; };
  EXPECT_EQ(get(1), 1);
  clock.at += seconds(9);
  EXPECT_EQ(get(2), 1) << "a second is longer than its patience";
  clock.at += Millis(980);
  clock.passes = true;
  EXPECT_EQ(get(2), 2) << "ten milliseconds are not";
}

TEST(Cached, NobodyIsPatientTwice) {
  HandClock clock;  // stands still: the turn never comes
  int loads = 0;
  Cached<int>::Policy patient = policy;
  patient.patience = seconds(20);
  patient.between = Millis(5);
  Cached<int> cached{clock, patient, timed_out, [&](MonoTime) -> Result<int> { return ++loads; }};
  const auto get = [&](int least) {
    return *cached.get(clock.mono() + seconds(5), [&](int v) { return v >= least; })->value;
  };
  EXPECT_EQ(get(1), 1);
  EXPECT_EQ(get(2), 1);
  EXPECT_EQ(loads, 1);
}

TEST(Cached, AThrowingLoadLeavesNobodyWaiting) {
  HandClock clock;
  bool throws = true;
  Cached<int> cached{clock, policy, timed_out, [&](MonoTime) -> Result<int> {
                       if (std::exchange(throws, false)) throw std::runtime_error("no memory");
                       return 7;
                     }};
  const auto any = [](int) { return true; };
  EXPECT_THROW((void)cached.get(clock.mono() + seconds(5), any), std::runtime_error);
  EXPECT_EQ(cached.get(clock.mono() + seconds(5), any).error(), timed_out);
  clock.advance(seconds(1));
  EXPECT_EQ(*cached.get(clock.mono() + seconds(5), any)->value, 7);
}

}  // namespace
}  // namespace daypass::idp
