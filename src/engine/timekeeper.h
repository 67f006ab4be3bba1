// The engine's `now`: never goes back, and a step of the wall clock that the boot clock does not confirm is noticed.
#pragma once

#include "base/time.h"

namespace daypass::engine {

/// now = max(wall, wall at start + boot time since, everything said before). A wall clock that runs ahead may end grants
/// early; one that is set back lengthens nothing.
class Timekeeper {
 public:
  /// `high_water`: the latest `now` an earlier process wrote down.
  void start(base::WallTime wall, base::MonoTime mono, base::WallTime high_water);
  base::WallTime read(base::WallTime wall, base::MonoTime mono);
  /// False while wall and boot clock disagree by more than `tolerance`: nothing is issued then.
  [[nodiscard]] bool trusted() const noexcept { return trusted_; }
  /// How far the wall clock is ahead of (positive) or behind what the boot clock says.
  [[nodiscard]] base::Millis skew() const noexcept { return skew_; }
  static constexpr base::Millis tolerance = std::chrono::seconds(30);

 private:
  base::WallTime anchor_wall_{};
  base::MonoTime anchor_mono_{};
  base::WallTime last_{};
  base::Millis skew_{0};
  bool trusted_ = true;
};

}  // namespace daypass::engine
