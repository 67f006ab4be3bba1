#include "engine/timekeeper.h"

#include <gtest/gtest.h>

#include <random>

namespace daypass::engine {
namespace {

using base::Millis;
using base::MonoTime;
using base::WallTime;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const WallTime w0{std::chrono::sys_days(std::chrono::year(2026) / 11 / 24)};
const MonoTime m0{hours(5)};

Timekeeper started() {
  Timekeeper t;
  t.start(w0, m0, {});
  return t;
}

TEST(Timekeeper, FollowsTheWallClock) {
  Timekeeper t = started();
  EXPECT_EQ(t.read(w0 + hours(3), m0 + hours(3)), w0 + hours(3));
  EXPECT_TRUE(t.trusted());
  EXPECT_EQ(t.skew(), Millis(0));
}

TEST(Timekeeper, AStepForwardEndsEarlyAndIsNotTrusted) {
  Timekeeper t = started();
  EXPECT_EQ(t.read(w0 + hours(9), m0 + seconds(1)), w0 + hours(9));
  EXPECT_FALSE(t.trusted());
  EXPECT_FALSE(t.confirmed());
  EXPECT_GT(t.skew(), hours(8));
}

TEST(Timekeeper, AStepBackLengthensNothing) {
  Timekeeper t = started();
  EXPECT_EQ(t.read(w0 - hours(9), m0 + seconds(10)), w0 + seconds(10));
  EXPECT_FALSE(t.trusted());
  EXPECT_TRUE(t.confirmed()) << "the boot clock says so";
  EXPECT_EQ(t.read(w0 - hours(9) + minutes(10), m0 + minutes(10)), w0 + minutes(10));
}

TEST(Timekeeper, ForwardAndBackDoesNotStopTime) {
  Timekeeper t = started();
  const WallTime ahead = t.read(w0 + hours(24 * 365), m0 + seconds(1));
  // Put right again. What was said can't be unsaid, and durations go on running.
  EXPECT_EQ(t.read(w0 + minutes(1), m0 + minutes(1)), ahead + seconds(59));
  EXPECT_FALSE(t.trusted()) << "nothing is issued on a time that is a year ahead";
  EXPECT_FALSE(t.confirmed());
  EXPECT_EQ(t.read(w0 + minutes(61), m0 + minutes(61)), ahead + seconds(59) + hours(1));
}

TEST(Timekeeper, ManySmallStepsAreAStep) {
  Timekeeper back = started();
  Timekeeper ahead = started();
  bool back_noticed = false, ahead_noticed = false;
  WallTime last{};
  for (int i = 1; i <= 600; ++i) {
    // The wall clock stands still, or runs at three times its speed, half a second at a time.
    const WallTime now = back.read(w0, m0 + milliseconds(500) * i);
    EXPECT_GE(now, last);
    last = now;
    back_noticed = back_noticed || !back.trusted();
    ahead.read(w0 + milliseconds(1500) * i, m0 + milliseconds(500) * i);
    ahead_noticed = ahead_noticed || !ahead.trusted();
  }
  EXPECT_TRUE(back_noticed);
  EXPECT_TRUE(ahead_noticed);
  EXPECT_GE(last, w0 + milliseconds(500) * 600 * 999 / 1000 - seconds(1)) << "five minutes are five minutes";
}

TEST(Timekeeper, FollowsSlowDriftBothWays) {
  for (const double rate : {1.0005, 0.9995}) {
    Timekeeper t = started();
    WallTime now{};
    for (int i = 1; i <= 24 * 3600; ++i) {
      now = t.read(w0 + Millis(static_cast<std::int64_t>(1000.0 * i * rate)), m0 + seconds(i));
      ASSERT_TRUE(t.trusted()) << i << " s at rate " << rate;
    }
    const WallTime wall = w0 + Millis(static_cast<std::int64_t>(1000.0 * 24 * 3600 * rate));
    EXPECT_LE(std::chrono::abs(now - wall), seconds(1));
  }
}

TEST(Timekeeper, AskedOftenIsAskedWell) {
  Timekeeper t = started();
  WallTime now{};
  // Ten reads in each millisecond: what is left of each must not be lost.
  for (int i = 1; i <= 100'000; ++i) now = t.read(w0 - hours(1), m0 + std::chrono::microseconds(100) * i);
  EXPECT_GE(now, w0 + seconds(10) - milliseconds(1));
}

TEST(Timekeeper, ARestartGoesOnFromWhatWasSaid) {
  Timekeeper t;
  t.start(w0, m0, w0 + hours(1));
  EXPECT_FALSE(t.trusted());
  EXPECT_EQ(t.read(w0 + seconds(5), m0 + seconds(5)), w0 + hours(1) + seconds(5));
  Timekeeper near;
  near.start(w0, m0, w0 + seconds(5));
  EXPECT_TRUE(near.trusted());
}

TEST(Timekeeper, NeverGoesBackAndNeverStands) {
  std::mt19937_64 rng(3);
  for (int life = 0; life < 300; ++life) {
    Timekeeper t = started();
    MonoTime m = m0;
    WallTime last = w0;
    Millis offset{0};
    for (int i = 0; i < 200; ++i) {
      const Millis ran(static_cast<std::int64_t>(rng() % 20'000));
      m += std::chrono::duration_cast<std::chrono::nanoseconds>(ran);
      if (rng() % 10 == 0) offset = Millis(static_cast<std::int64_t>(rng() % 20'000'000) - 10'000'000);
      const WallTime now = t.read(w0 + std::chrono::duration_cast<Millis>(m - m0) + offset, m);
      ASSERT_GE(now, last + ran - ran / 1000 - Millis(21));
      last = now;
    }
  }
}

}  // namespace
}  // namespace daypass::engine
