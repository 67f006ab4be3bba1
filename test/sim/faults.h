// The vocabulary of what goes wrong, and the dice that decide when. Owns nothing else.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string_view>

namespace daypass::sim {

/// Small and fast, the same on every machine (SplitMix64's step): a seed is a whole world.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {
    // Neighbouring seeds must not be the same stream, one step on.
    state_ = next() ^ (seed << 32U);
    state_ = next();
  }
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31U);
  }
  /// From `low` to `high`, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
  }
  /// True `per_mille` times in a thousand.
  bool chance(std::int64_t per_mille) { return between(0, 999) < per_mille; }

 private:
  std::uint64_t state_;
};

enum class Fault : std::uint8_t {
  none,
  // of a target's call
  refused,      ///< an error, nothing done
  answer_lost,  ///< done, and the caller hears of a timeout
  late,         ///< the caller hears of a timeout; done a while after
  lie,          ///< "done", and nothing was
  half,         ///< an error after half of the work
  stalled,      ///< takes the whole budget, then a timeout
  twice,        ///< done, and once more a while after
  // of the world
  crash,
  store_fails,
  store_unbegun,  ///< it does not even begin a transaction
  store_slow,
  clock_forward,
  clock_back,
  suspend,
};
constexpr std::size_t fault_count = 15;
using Faults = std::bitset<fault_count>;
constexpr std::array<std::string_view, fault_count> fault_names{
    "none",  "refused",     "answer lost",   "late",       "lie",           "half",       "stalled", "twice",
    "crash", "store fails", "store unbegun", "store slow", "clock forward", "clock back", "suspend"};

}  // namespace daypass::sim
