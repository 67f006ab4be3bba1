// One seed: a random world of the simulator over the real SQLite store, on a disk that loses power again and again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chaos/crash_disk.h"

namespace daypass::chaos {

enum class DiskMutant { none, swallows_sync, forgets_names, answers_early };

struct PowerCuts {
  std::string checker, what;  ///< empty: green
  CrashDisk::Tally disk;
  std::uint64_t commits = 0, reopened = 0, unheard = 0, forgotten = 0;
  std::vector<std::string> history;
};
PowerCuts play_power_cuts(std::uint64_t seed, DiskMutant mutant = DiskMutant::none, bool history = false);

}  // namespace daypass::chaos
