// The engine's `now`: never goes back, and a step of the wall clock that the boot clock does not confirm is noticed.
#pragma once

#include "base/time.h"

namespace daypass::engine {

/// now = max(wall, what was said before + boot time since): durations run on the boot clock whatever the wall clock
/// does. A wall clock that runs ahead may end grants early; one that is set back lengthens nothing. Small differences
/// are followed at one part in a thousand, so that NTP's work does not add up to a step.
class Timekeeper {
 public:
  /// `high_water`: the latest `now` an earlier process wrote down.
  void start(base::WallTime wall, base::MonoTime mono, base::WallTime high_water);
  base::WallTime read(base::WallTime wall, base::MonoTime mono);
  /// False while the wall clock disagrees by more than `tolerance` with the boot clock, or with what was said on its
  /// word before: nothing is issued then.
  [[nodiscard]] bool trusted() const noexcept { return trusted_; }
  /// How far the wall clock is ahead of (positive) or behind what the boot clock says.
  [[nodiscard]] base::Millis skew() const noexcept { return skew_; }
  /// Whether `now` rests on more than a step of the wall clock that nothing confirms. What does not is never written
  /// down: a restart after the clock was put right must not inherit the error.
  [[nodiscard]] bool confirmed() const noexcept { return last_ - reference_ <= tolerance; }
  static constexpr base::Millis tolerance = std::chrono::seconds(30);

 private:
  void judge(base::WallTime wall);
  base::WallTime reference_{};  ///< the wall clock as the boot clock confirms it
  base::MonoTime mono_{};       ///< up to which boot time is counted, in whole milliseconds
  base::WallTime last_{};
  base::Millis::rep follow_ = 0;  ///< thousandths of a millisecond that may be followed
  base::Millis skew_{0};
  bool trusted_ = true;
};

}  // namespace daypass::engine
