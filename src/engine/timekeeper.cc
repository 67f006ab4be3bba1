#include "engine/timekeeper.h"

#include <algorithm>

namespace daypass::engine {

void Timekeeper::start(base::WallTime wall, base::MonoTime mono, base::WallTime high_water) {
  // Set back while nobody ran: go on from what was already said, at the boot clock's pace.
  last_ = reference_ = std::max(wall, high_water);
  mono_ = mono;
  follow_ = 0;
  judge(wall);
}

base::WallTime Timekeeper::read(base::WallTime wall, base::MonoTime mono) {
  const base::Millis elapsed = std::max(base::Millis(0), std::chrono::duration_cast<base::Millis>(mono - mono_));
  // Only what was counted: the rest of a millisecond is not lost, however often somebody asks.
  mono_ += elapsed;
  follow_ += elapsed.count();
  const base::Millis follow(follow_ / 1000);
  follow_ %= 1000;
  reference_ += elapsed;
  reference_ += std::clamp<base::Millis>(wall - reference_, -follow, follow);
  const base::WallTime pace = last_ + elapsed;
  // Ahead by a little: run slower for as long, rather than going back. Ahead by much, somebody set the clock back.
  const bool drifts = pace - wall <= tolerance;
  last_ = std::max(wall, drifts ? pace - std::min(follow, elapsed) : pace);
  judge(wall);
  return last_;
}

void Timekeeper::judge(base::WallTime wall) {
  skew_ = wall - reference_;
  // It agrees again with the boot clock, but what it said meanwhile can't be unsaid.
  if (skew_ <= tolerance && -skew_ <= tolerance && last_ - wall > tolerance) skew_ = wall - last_;
  trusted_ = skew_ <= tolerance && -skew_ <= tolerance;
}

}  // namespace daypass::engine
