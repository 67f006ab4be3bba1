// HttpServer: HTTP/1.1 over any listener (TCP, TLS, unix). Owns connections, their limits and the graceful end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/entropy.h"
#include "base/log.h"
#include "base/time.h"
#include "net/http.h"
#include "net/io.h"
#include "net/listener.h"
#include "net/tls.h"

namespace daypass::net {

struct HttpLimits {
  HttpLimits() = default;
  std::size_t header_bytes = 16 * 1024;  ///< request line and headers; beyond: 431
  std::size_t header_count = 64;         ///< beyond: 431
  std::size_t body_bytes = 1 << 20;      ///< beyond: 413
  std::size_t connections = 2'000;       ///< over all listeners; beyond: 503
  base::Millis tls_time{10'000};         ///< for the handshake
  base::Millis header_time{10'000};  ///< from a request's first byte (or the connection) to its last header; then 408
  base::Millis body_time{30'000};    ///< for the body; then 408
  base::Millis write_time{30'000};   ///< for a response, or one piece of a streamed one
  base::Millis idle_time{60'000};    ///< between requests
  base::Millis linger_time{1'000};   ///< how long to swallow what a refused client still sends
};

/// Serves `handler`. Its exceptions stop here: logged, and answered by a 500 problem with check "http.internal".
/// Requests of one connection are handled one after the other, on its io thread.
class HttpServer {
 public:
  HttpServer(HttpHandler handler, HttpLimits limits, const base::Log& log, const base::Clock& clock,
             base::Entropy& entropy);
  /// Stops at once. Not on an io thread; before the IoThreads are stopped or destroyed.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Takes the listener and starts it.
  void serve(std::unique_ptr<Listener> listener);
  void serve_tls(std::unique_ptr<Listener> listener, TlsServerContext context);

  /// Stops accepting, closes idle connections, lets requests in flight finish, and after `most` resets what is left.
  /// Blocks; true when nothing had to be reset. Not on an io thread. Idempotent.
  bool drain(base::Millis most);

  [[nodiscard]] std::size_t connections() const noexcept;
  [[nodiscard]] std::uint64_t requests() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace daypass::net
