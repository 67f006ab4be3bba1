// daypass-sim: random worlds, as many as time allows. A red checker prints its seed and the world's history, and is
// exit code 1.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sim/story.h"

namespace {

using namespace daypass::sim;

struct Options {
  std::uint64_t first = 1, seeds = 0;
  bool one = false;
  bool keep_going = false;
  int seconds = 60;
  unsigned threads = 2;
  Mutant mutant = Mutant::none;
};

struct Tally {
  std::mutex mutex;
  Table table{};
  std::vector<std::uint64_t> events;
  std::size_t admitted = 0, refused = 0;
  std::optional<std::pair<std::uint64_t, Outcome>> red;
  std::map<std::string, std::vector<std::uint64_t>> by_checker;
};

/// Plays the seed once more, telling all. False: red.
bool print_history(std::uint64_t seed, const Options& options) {
  const Outcome again = play({.seed = seed, .mutant = options.mutant, .history = true});
  const std::size_t from = options.one || again.history.size() < 300 ? 0 : again.history.size() - 300;
  for (std::size_t i = from; i < again.history.size(); ++i) fmt::print("{}\n", again.history[i]);
  if (!again.checker.empty())
    fmt::print("seed {}: RED {}: {}\n", seed, again.checker, again.what);
  else
    fmt::print("seed {}: green, {} events\n", seed, again.events);
  return again.checker.empty();
}

/// The table, and its least cell in words.
std::string print_table(const Tally& tally) {
  fmt::print("\n{:<26}", "transition x fault");
  for (const auto& name : fault_names) fmt::print(" {:>13}", name);
  fmt::print("\n");
  std::uint64_t least = UINT64_MAX;
  std::string where;
  for (std::size_t m = 0; m < move_count; ++m) {
    fmt::print("{:<26}", move_names[m]);
    for (std::size_t f = 0; f < fault_count; ++f) {
      fmt::print(" {:>13}", tally.table[m][f]);
      if (f != 0 && tally.table[m][f] < least) {
        least = tally.table[m][f];
        where = std::string(move_names[m]) + " x " + std::string(fault_names[f]);
      }
    }
    fmt::print("\n");
  }
  fmt::print(
      "(\"none\" is no fault and no cell: it counts the moves that met none. A revocation is only made again after "
      "one, so\n"
      "\"revoking, again\" x \"none\" is 0 by construction. Every other cell can be reached, and counts.)\n\n");
  return fmt::format("{} ({})", least, where);
}

int usage() {
  fmt::print(stderr,
             "usage: daypass-sim [--seeds N] [--seconds S] [--first X] [--seed X] [--mutant NAME] [--threads T] "
             "[--keep-going 1]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (i + 1 >= argc) return usage();
    const std::string value = argv[++i];
    if (key == "--mutant") {
      const auto mutant = mutant_from(value);
      if (!mutant) return usage();
      o.mutant = *mutant;
      continue;
    }
    const std::uint64_t number = std::strtoull(value.c_str(), nullptr, 10);
    if (key == "--seeds")
      o.seeds = number;
    else if (key == "--seconds")
      o.seconds = static_cast<int>(number);
    else if (key == "--first")
      o.first = number;
    else if (key == "--seed")
      o.first = number, o.one = true;
    else if (key == "--keep-going")
      o.keep_going = number != 0;
    else if (key == "--threads")
      o.threads = std::max(1U, static_cast<unsigned>(number));
    else
      return usage();
  }
  if (o.one) {
    return print_history(o.first, o) ? 0 : 1;
  }
  Tally tally;
  std::atomic<std::uint64_t> next{o.first};
  const auto began = std::chrono::steady_clock::now();
  const auto until = began + std::chrono::seconds(o.seconds);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < o.threads; ++t)
    threads.emplace_back([&] {
      for (;;) {
        const std::uint64_t seed = next++;
        // A number of seeds asked for is played however long it takes; else time decides.
        if (o.seeds != 0 ? seed >= o.first + o.seeds : std::chrono::steady_clock::now() >= until) return;
        Outcome outcome = play({.seed = seed, .mutant = o.mutant});
        const std::lock_guard lock(tally.mutex);
        if (tally.red && !o.keep_going) return;
        tally.events.push_back(outcome.events);
        tally.admitted += outcome.admitted;
        tally.refused += outcome.refused;
        for (std::size_t m = 0; m < move_count; ++m)
          for (std::size_t f = 0; f < fault_count; ++f) tally.table[m][f] += outcome.table[m][f];
        if (outcome.checker.empty()) continue;
        tally.by_checker[outcome.checker].push_back(seed);
        if (!tally.red) tally.red.emplace(seed, std::move(outcome));
      }
    });
  for (auto& thread : threads) thread.join();
  const double cpu = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  if (tally.red && o.keep_going) {
    for (const auto& [checker, seeds] : tally.by_checker) {
      fmt::print("{:>6} red seeds: {:<24}", seeds.size(), checker);
      for (std::size_t i = 0; i < seeds.size() && i < 8; ++i) fmt::print(" {}", seeds[i]);
      fmt::print("\n");
    }
    print_table(tally);
    return 1;
  }
  if (tally.red) {
    print_history(tally.red->first, o);
    fmt::print("replay with: make sim SEED={}\n", tally.red->first);
    return 1;
  }
  if (tally.events.empty()) return usage();
  std::nth_element(tally.events.begin(), tally.events.begin() + static_cast<std::ptrdiff_t>(tally.events.size() / 2),
                   tally.events.end());
  const std::string least = print_table(tally);
  const auto seeds = static_cast<double>(tally.events.size());
  fmt::print("seeds:        {} in {:.1f} s, {:.1f}/s ({:.1f} per second of processor time)\n", tally.events.size(),
             took, seeds / took, seeds / cpu);
  fmt::print("events:       median {} per seed; clients let in {}, refused {}\n", tally.events[tally.events.size() / 2],
             tally.admitted, tally.refused);
  fmt::print("minimum cell: {}\n", least);
  fmt::print("all checkers green\n");
  return 0;
}
