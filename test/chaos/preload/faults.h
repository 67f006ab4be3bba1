// What the driver of test/e2e/chaos writes and the preloaded library reads: a file of eight numbers, mapped by both.
#pragma once

#include <atomic>
#include <cstdint>

namespace daypass::chaos {

struct Faults {
  std::atomic<std::int64_t> wall_ns;  ///< added to the wall clock
  std::atomic<std::int64_t>
      frozen;  ///< not 0: wall and boot clock stand still where they were (a mutant: nobody could notice)
  std::atomic<std::int64_t> sync_errno;  ///< not 0: syncs of the store's files fail with it
  std::atomic<std::int64_t> sync_after;  ///< so many of them succeed before
  std::atomic<std::int64_t> syncs;       ///< counted
  std::atomic<std::int64_t> refused;     ///< of these, failed
  std::atomic<std::int64_t> wall_reads;  ///< how often the wall clock was asked for
  std::atomic<std::int64_t> unused;
};

}  // namespace daypass::chaos
