// Listener: a listening socket (TCP or unix) and its accept loop. Survives a full descriptor table.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "net/io.h"
#include "net/stream.h"

namespace daypass::net {

struct ListenOptions {
  ListenOptions() = default;
  std::size_t max_connections = 10'000;  ///< open streams of this listener; more are refused (see `refusal`)
  std::string refusal;                   ///< sent, if it fits at once, to a connection that is refused
  int backlog = 1024;
  /// TCP: an acceptor per io thread (SO_REUSEPORT), so that a connection is accepted where it lives. Otherwise one
  /// acceptor on thread 0 deals connections out in turn. A port that somebody else has is refused either way.
  bool acceptor_per_thread = true;
};

/// The socket listens from listen_*() on; connections wait in the backlog until start().
class Listener {
 public:
  using OnAccept = std::function<void(StreamPtr)>;

  /// `address`: IPv4 or IPv6 literal; port 0 takes a free one (see port()). `threads` and `log` outlive the listener.
  /// Errors: "net.address" (not a literal), "net.address_in_use", "net.address_not_here", "net.permission",
  /// "net.listen".
  static base::Result<std::unique_ptr<Listener>> listen_tcp(IoThreads& threads, const base::Log& log,
                                                            std::string address, std::uint16_t port,
                                                            ListenOptions options = {});
  /// Makes the socket file with `mode` before anyone can connect. An existing socket file is replaced only when nobody
  /// answers on it; anything else there is left alone. Removed again at stop(), if it is still ours.
  /// Errors: "net.path_too_long", "net.address_in_use", "net.not_a_socket", "net.permission", "net.listen".
  static base::Result<std::unique_ptr<Listener>> listen_unix(IoThreads& threads, const base::Log& log, std::string path,
                                                             std::uint32_t mode, ListenOptions options = {});
  /// Stops.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Begins to accept; once. `on_accept` runs on the io thread that the stream lives on, and must not throw.
  void start(OnAccept on_accept);
  /// From any thread, idempotent: new connections are refused by the kernel from here on. A callback that has begun
  /// on another thread may still be running. Accepted streams live on.
  void stop() noexcept;

  /// The bound TCP port; 0 for unix sockets.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// "127.0.0.1:5432", "[::1]:5432" or the path.
  [[nodiscard]] const std::string& address() const noexcept;
  /// Streams accepted here that are still open.
  [[nodiscard]] std::size_t connections() const noexcept;

 private:
  struct Impl;
  explicit Listener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace daypass::net
