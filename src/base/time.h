// Time as types. Wall time is for records, tokens and targets; boot time is for durations; nobody else reads a clock.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace daypass::base {

using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;

/// UTC wall time in milliseconds since 1970.
using WallTime = std::chrono::sys_time<Millis>;

/// Time since boot, suspend included; never steps. Tag type only: read it through a Clock.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock, duration>;
  static constexpr bool is_steady = true;
};
using MonoTime = BootClock::time_point;

/// Port. Read once per engine turn and passed down as `now`; tests and the simulator inject their own.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime wall() const = 0;
  [[nodiscard]] virtual MonoTime mono() const = 0;
};

/// CLOCK_REALTIME and CLOCK_BOOTTIME. Stateless, safe from any thread.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall() const override;
  [[nodiscard]] MonoTime mono() const override;
};

/// "2026-11-24T15:31:41Z", with ".123" only when the milliseconds are not zero (RFC 3339, UTC).
std::string to_rfc3339(WallTime t);

/// Accepts RFC 3339 with `Z` or a numeric offset, up to nanoseconds (truncated to ms). Error: "time.syntax".
Result<WallTime> parse_rfc3339(std::string_view text);

/// "1h30m", "90s", "10m", "2d", "500ms": descending units, each at most once, no sign, at most 3650 days.
/// Error: "duration.syntax".
Result<Millis> parse_duration(std::string_view text);

/// The shortest spelling that parse_duration takes back: "1h30m", "0s".
std::string to_string(Millis d);

}  // namespace daypass::base
