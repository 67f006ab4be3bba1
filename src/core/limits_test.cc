#include "core/limits.h"

#include <gtest/gtest.h>

#include <random>

namespace daypass::core {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const WallTime t0{std::chrono::sys_days(std::chrono::year(2026) / 11 / 24)};

TEST(Limits, DeadlineIsTheLatestThatSomeOfferGives) {
  const Offers offers{{"a", minutes(60), minutes(5), 1}, {"b", minutes(20), minutes(15), 3}};
  EXPECT_EQ(deadline(offers, t0, t0 + minutes(60), t0, 0), t0 + minutes(15)) << "b: idle longest";
  EXPECT_EQ(deadline(offers, t0, t0 + minutes(60), t0 + minutes(18), 0), t0 + minutes(23)) << "a: b is over by age";
  EXPECT_EQ(deadline(offers, t0, t0 + minutes(60), t0 + minutes(18), 2), t0 + minutes(20)) << "only b covers two";
  EXPECT_EQ(deadline(offers, t0, t0 + minutes(10), t0 + minutes(9), 0), t0 + minutes(10)) << "never past ends_at";
  EXPECT_EQ(deadline(offers, t0, t0 + minutes(60), t0, 4), std::nullopt);
  EXPECT_EQ(deadline({}, t0, t0 + minutes(60), t0, 0), std::nullopt);
}

TEST(Limits, IdlenessIsNamedOnlyWhereBusynessWouldHelp) {
  const Offers offers{{"a", minutes(60), minutes(5), 1}};
  EXPECT_TRUE(ends_by_idleness(offers, t0, t0 + minutes(60), t0, 0));
  EXPECT_FALSE(ends_by_idleness(offers, t0, t0 + minutes(60), t0 + minutes(58), 0));
  EXPECT_FALSE(ends_by_idleness(offers, t0, t0 + minutes(5), t0, 0)) << "both at once: it is age";
}

TEST(Limits, MostConnectionsForgetsOffersThatAreOver) {
  const Offers offers{{"a", minutes(60), minutes(5), 1}, {"b", minutes(20), minutes(15), 3}};
  EXPECT_EQ(most_connections(offers, minutes(0)), 3);
  EXPECT_EQ(most_connections(offers, minutes(20)), 1);
  EXPECT_EQ(most_connections(offers, minutes(60)), 0);
  EXPECT_EQ(longest(offers), minutes(60));
  EXPECT_EQ(longest({}), Millis(0));
}

TEST(Combine, TakesTheSmallerOfEachPairAndDropsTheDominated) {
  const Offers a{{"a1", minutes(60), minutes(5), 2}, {"a2", minutes(10), minutes(30), 4}};
  const Offers b{{"b", minutes(30), minutes(10), 3}};
  const Offers both = combine(a, b);
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0], (Offer{"a1+b", minutes(30), minutes(5), 2}));
  EXPECT_EQ(both[1], (Offer{"a2+b", minutes(10), minutes(10), 3}));
  EXPECT_TRUE(combine(a, {}).empty()) << "one of two roles without an offer gives nothing";
  const Offers dominated = combine({{"x", minutes(10), minutes(5), 1}, {"y", minutes(20), minutes(5), 1}},
                                   {{"z", minutes(60), minutes(60), 9}});
  ASSERT_EQ(dominated.size(), 1U);
  EXPECT_EQ(dominated[0].duration, minutes(20));
}

TEST(Combine, CoversExactlyWhatBothCover) {
  std::mt19937 rng(7);
  const auto pick = [&](unsigned n) { return static_cast<int>(rng() % n); };
  const auto some = [&] {
    Offers out;
    for (int i = pick(3); i >= 0; --i)
      out.push_back({"p" + std::to_string(pick(3)), minutes(1 + pick(6)), minutes(1 + pick(6)), 1 + pick(4)});
    return out;
  };
  const auto covers = [](const Offers& offers, int age, int idle, int connections) {
    for (const auto& o : offers)
      if (minutes(age) < o.duration && minutes(idle) < o.idle && connections <= o.connections) return true;
    return false;
  };
  for (int i = 0; i < 2000; ++i) {
    const Offers a = some(), b = some();
    const Offers both = combine(a, b);
    for (int age = 0; age < 7; ++age)
      for (int idle = 0; idle < 7; ++idle)
        for (int n = 0; n < 5; ++n)
          ASSERT_EQ(covers(both, age, idle, n), covers(a, age, idle, n) && covers(b, age, idle, n))
              << age << " " << idle << " " << n;
  }
}

TEST(Limits, AnotherOfferNeverTakesAway) {
  std::mt19937 rng(8);
  const auto pick = [&](unsigned n) { return static_cast<int>(rng() % n); };
  for (int i = 0; i < 3000; ++i) {
    Offers offers{{"a", minutes(1 + pick(60)), minutes(1 + pick(20)), 1 + pick(4)}};
    const WallTime ends = t0 + minutes(pick(90)), last = t0 + minutes(pick(30));
    const int n = pick(5);
    const auto first = deadline(offers, t0, ends, last, n);
    offers.push_back({"b", minutes(1 + pick(60)), minutes(1 + pick(20)), 1 + pick(4)});
    const auto second = deadline(offers, t0, ends, last, n);
    if (first) ASSERT_TRUE(second && *second >= *first);
  }
}

TEST(Limits, JsonReadsBack) {
  const Offers offers{{"a", minutes(60), seconds(5), 1}, {"b+c", minutes(20), minutes(15), 3}};
  const auto back = offers_from_json(to_json(offers));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, offers);
  EXPECT_FALSE(offers_from_json(base::json::Value("x")).ok());
}

}  // namespace
}  // namespace daypass::core
