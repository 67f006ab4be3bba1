// One instant by which a whole call must be over, however many statements and connections it needs.
#pragma once

#include <poll.h>

#include <algorithm>

#include "base/time.h"

namespace daypass::target::postgres {

class Deadline {
 public:
  Deadline(const base::Clock& clock, base::Millis budget)
      : clock_(&clock), at_(clock.mono() + std::max(budget, base::Millis(0))) {}
  /// Rounded up, so that "0 left" means passed.
  [[nodiscard]] base::Millis left() const {
    return std::max(std::chrono::ceil<base::Millis>(at_ - clock_->mono()), base::Millis(0));
  }
  [[nodiscard]] bool passed() const { return left() == base::Millis(0); }
  /// This deadline, moved forward by `reserve`: what is left over pays for the cleaning up.
  [[nodiscard]] Deadline minus(base::Millis reserve) const { return {*clock_, left() - reserve}; }
  /// The earlier of this deadline and `limit` from now.
  [[nodiscard]] Deadline within(base::Millis limit) const { return {*clock_, std::min(left(), limit)}; }
  /// Waits a little for the server to do something that it does not announce.
  void pause(base::Millis wanted) const { poll(nullptr, 0, static_cast<int>(std::min(wanted, left()).count())); }

 private:
  const base::Clock* clock_;
  base::MonoTime at_;
};

}  // namespace daypass::target::postgres
