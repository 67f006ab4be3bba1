// The engine over the real SQLite store, on a disk that loses power: some worlds of many (`make chaos` plays
// thousands).
#include <gtest/gtest.h>

#include "chaos/power_cuts.h"

namespace daypass::chaos {
namespace {

TEST(PowerCuts, WhatWasAcknowledgedIsThere) {
  constexpr std::uint64_t worlds = 25;
  CrashDisk::Tally disk;
  std::uint64_t commits = 0, unheard = 0, forgotten = 0;
  for (std::uint64_t seed = 1; seed <= worlds; ++seed) {
    const PowerCuts played = play_power_cuts(seed);
    ASSERT_TRUE(played.checker.empty()) << "seed " << seed << ": RED " << played.checker << ": " << played.what;
    disk += played.disk;
    commits += played.commits;
    unheard += played.unheard;
    forgotten += played.forgotten;
  }
  // Green because nothing was at stake would be worth nothing.
  EXPECT_GT(disk.cuts, 2 * worlds);
  EXPECT_GT(disk.lost, worlds);
  EXPECT_GT(disk.torn, worlds);
  EXPECT_GT(disk.during["write"], 0U);
  EXPECT_GT(disk.during["sync"], 0U);
  EXPECT_GT(unheard, 0U);
  EXPECT_GT(forgotten, 0U);
  EXPECT_GT(commits, 50 * worlds);
}

class EachDiskMutant : public ::testing::TestWithParam<DiskMutant> {};

TEST_P(EachDiskMutant, TurnsItRed) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed)
    if (play_power_cuts(seed, GetParam()).checker == "acknowledged") return;
  ADD_FAILURE() << "40 worlds were green";
}

std::string name_of(const ::testing::TestParamInfo<DiskMutant>& info) {
  switch (info.param) {
    case DiskMutant::swallows_sync:
      return "swallows_sync";
    case DiskMutant::forgets_names:
      return "forgets_names";
    case DiskMutant::answers_early:
      return "answers_early";
    case DiskMutant::none:
      break;
  }
  return "none";
}

INSTANTIATE_TEST_SUITE_P(Mutants, EachDiskMutant,
                         ::testing::Values(DiskMutant::swallows_sync, DiskMutant::forgets_names,
                                           DiskMutant::answers_early),
                         name_of);

TEST(PowerCuts, ASeedIsAWorld) {
  const PowerCuts a = play_power_cuts(3, DiskMutant::none, true), b = play_power_cuts(3, DiskMutant::none, true);
  EXPECT_EQ(a.history, b.history);
  EXPECT_FALSE(a.history.empty());
}

}  // namespace
}  // namespace daypass::chaos
