// What systemd is told of the server (sd_notify(3) without its library), its watchdog among it: the server is alive as
// long as its engine's thread makes rounds.
#pragma once

#include <cstdint>
#include <string>

#include "app/cli/context.h"

namespace daypass::app::cli {

/// One datagram to the socket that systemd names; nothing without one.
void notify(const Io& io, const std::string& what);

class Watchdog {
 public:
  explicit Watchdog(const Io& io);
  /// How often look() is to be called: three times in what systemd waits (WATCHDOG_USEC), every 10 s when it says
  /// nothing.
  [[nodiscard]] base::Millis every() const { return every_; }
  /// `rounds` as the engine's metrics have them. Says "alive" when they went on since the last look. Whoever is stuck
  /// is started anew; whose store is full or gone is not: cutting and revoking go on without it, and a new process
  /// could not even begin.
  void look(std::uint64_t rounds);

 private:
  const Io& io_;
  base::Millis every_;
  std::uint64_t seen_ = 0;
};

}  // namespace daypass::app::cli
