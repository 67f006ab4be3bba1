// Feed: bytes that go one way, to a receiver that answers nothing (syslog); blocking, for workers.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "net/egress.h"
#include "net/io.h"

namespace daypass::net {

struct FeedTarget {
  FeedTarget() = default;
  std::string host;  ///< name or address, without brackets
  std::uint16_t port = 0;
  bool tls = true;      ///< else plain text, which the guard lets go to loopback alone
  std::string ca_file;  ///< trust this PEM file instead of the system's roots
  EgressPolicy egress;
  base::Millis timeout{10'000};  ///< for all of it
};

/// Port, so that tests can receive without a socket.
class Feeder {
 public:
  virtual ~Feeder() = default;
  /// Ok when all of `bytes` has left for the other side, and the other side then closed the connection as asked, or at
  /// least its kernel has acknowledged every byte. Errors: those of connect_guarded and connect_tls, "net.reset",
  /// "net.timeout", "net.unacknowledged".
  virtual base::Status send(const FeedTarget& to, std::string bytes) = 0;
};

/// One connection for each call, on one of the io threads. Not to be called from one of them.
class TcpFeeder final : public Feeder {
 public:
  explicit TcpFeeder(IoThreads& threads) : threads_(threads) {}
  base::Status send(const FeedTarget& to, std::string bytes) override;

 private:
  IoThreads& threads_;
};

}  // namespace daypass::net
