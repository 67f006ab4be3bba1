// daypass-powercuts [--seeds N | --seconds S] [--first N] [--seed N] [--mutant NAME]: worlds on a disk that loses
// power. One process plays one world at a time: SQLite has one default VFS. A red one prints its seed and history, and
// is exit code 1.
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "chaos/power_cuts.h"

namespace {

using namespace daypass::chaos;

int usage() {
  fmt::print(stderr,
             "usage: daypass-powercuts [--seeds N | --seconds S] [--first N] [--seed N] "
             "[--mutant swallows-sync|forgets-names|answers-early]\n");
  return 2;
}

int tell(std::uint64_t seed, DiskMutant mutant) {
  const PowerCuts played = play_power_cuts(seed, mutant, true);
  for (const auto& line : played.history) fmt::print("{}\n", line);
  fmt::print("seed {}: {}\n", seed, played.checker.empty() ? "green" : "RED " + played.checker + ": " + played.what);
  return played.checker.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seeds = 0, first = 1, one = 0;
  double seconds = 60;
  DiskMutant mutant = DiskMutant::none;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i], value = argv[i + 1];
    if (key == "--seeds")
      seeds = std::strtoull(value.c_str(), nullptr, 10);
    else if (key == "--seconds")
      seconds = std::strtod(value.c_str(), nullptr);
    else if (key == "--first")
      first = std::strtoull(value.c_str(), nullptr, 10);
    else if (key == "--seed")
      one = std::strtoull(value.c_str(), nullptr, 10);
    else if (key == "--mutant" && value == "swallows-sync")
      mutant = DiskMutant::swallows_sync;
    else if (key == "--mutant" && value == "forgets-names")
      mutant = DiskMutant::forgets_names;
    else if (key == "--mutant" && value == "answers-early")
      mutant = DiskMutant::answers_early;
    else
      return usage();
  }
  if (argc % 2 == 0) return usage();
  if (one != 0) return tell(one, mutant);
  CrashDisk::Tally disk;
  std::uint64_t played = 0, commits = 0, reopened = 0, unheard = 0, forgotten = 0;
  const auto began = std::chrono::steady_clock::now();
  const auto ran = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  for (std::uint64_t seed = first; seeds != 0 ? seed < first + seeds : ran() < seconds; ++seed) {
    const PowerCuts outcome = play_power_cuts(seed, mutant);
    if (!outcome.checker.empty()) {
      tell(seed, mutant);
      fmt::print("again with: daypass-powercuts --seed {}\n", seed);
      return 1;
    }
    ++played;
    disk += outcome.disk;
    commits += outcome.commits;
    reopened += outcome.reopened;
    unheard += outcome.unheard;
    forgotten += outcome.forgotten;
  }
  fmt::print(
      "power cuts: {} worlds in {:.0f} s, next seed {}; {} commits acknowledged, power lost {} times, compared {} "
      "times\n",
      played, ran(), first + played, commits, disk.cuts, reopened);
  fmt::print("  changes not synced when it went: {} ({} lost, {} torn, {} kept); names changed: {}\n", disk.pending,
             disk.lost, disk.torn, disk.kept, disk.names);
  fmt::print("  transactions cut off in their commit: {}, of which {} were there afterwards\n", unheard + forgotten,
             unheard);
  for (const auto& [what, n] : disk.during) fmt::print("  during a {}: {}\n", what, n);
  return 0;
}
