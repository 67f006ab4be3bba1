#include "engine/timekeeper.h"

#include <algorithm>

namespace daypass::engine {

void Timekeeper::start(base::WallTime wall, base::MonoTime mono, base::WallTime high_water) {
  anchor_wall_ = wall;
  anchor_mono_ = mono;
  last_ = std::max(wall, high_water);
  skew_ = wall - std::max(wall, high_water);
  trusted_ = -skew_ <= tolerance;
  // Set back while nobody ran: go on from what was already said, at the boot clock's pace.
  if (high_water > wall) anchor_wall_ = high_water;
}

base::WallTime Timekeeper::read(base::WallTime wall, base::MonoTime mono) {
  const base::WallTime expected = anchor_wall_ + std::chrono::duration_cast<base::Millis>(mono - anchor_mono_);
  skew_ = wall - expected;
  trusted_ = skew_ <= tolerance && -skew_ <= tolerance;
  // Small drift is NTP doing its work: follow it, or a month of it would look like a step.
  constexpr base::Millis drift = std::chrono::seconds(1);
  if (skew_ > base::Millis(0) && skew_ <= drift) {
    anchor_wall_ = wall;
    anchor_mono_ = mono;
  } else if (skew_ < base::Millis(0) && -skew_ <= drift) {
    // Behind by a little: hold still for as long, rather than going back.
    anchor_wall_ = wall;
    anchor_mono_ = mono;
  }
  last_ = std::max({last_, wall, expected});
  return last_;
}

}  // namespace daypass::engine
