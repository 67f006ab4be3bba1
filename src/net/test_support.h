// For the tests of this room: certificates, a blocking client that can misbehave, and a way to run coroutines.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/secret.h"
#include "net/io.h"
#include "net/stream.h"

namespace daypass::net::testing_support {

struct TestIdentity {
  std::string certificate_pem;
  std::string key_pem;
  [[nodiscard]] base::Secret key() const { return base::Secret(key_pem); }
};

/// Self-signed P-256 certificate for `names` ("DNS:localhost", "IP:127.0.0.1"), its own trust anchor.
TestIdentity make_identity(const std::vector<std::string>& names);

/// Runs the tasks on one fresh thread-less context until all are done; rethrows what they throw.
class Loop {
 public:
  io_context& io() noexcept { return io_; }
  void add(awaitable<void> task);
  /// Returns when no work is left.
  void run();

 private:
  io_context io_{1};
  std::exception_ptr failure_;
};

/// A blocking connection for tests, by plain system calls. Receives give up after 20 s (then the test fails).
class RawClient {
 public:
  static RawClient tcp(std::uint16_t port);
  static RawClient unix_socket(const std::string& path);
  explicit RawClient(int fd);
  RawClient(RawClient&& other) noexcept;
  ~RawClient();
  RawClient& operator=(RawClient&&) = delete;

  void send(std::string_view bytes) const;
  /// Bytes until the text contains `end`, or the stream ends.
  std::string receive_until(std::string_view end);
  /// One HTTP response: head and as much body as content-length says.
  std::string receive_response();
  /// Everything up to the end of the stream; "<reset>" is added when it ended by a reset.
  std::string receive_all();
  void end_sending() const;
  [[nodiscard]] int fd() const noexcept { return fd_; }
  int release() noexcept;

 private:
  int fd_;
  std::string buffer_;
};

/// A listening socket on loopback whose connections are handled by a function on threads of its own.
class RawServer {
 public:
  using Handle = std::function<void(RawClient&)>;
  explicit RawServer(Handle handle);
  ~RawServer();
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] int accepted() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::uint16_t port_ = 0;
};

/// Keeps log lines and lets tests wait for them.
class LogLines {
 public:
  LogLines();
  [[nodiscard]] const base::Log& log() const noexcept { return log_; }
  /// Waits up to 20 s for `count` lines that contain `text`.
  bool wait_for(std::string_view text, std::size_t count = 1);
  std::size_t count(std::string_view text);
  std::string all();

 private:
  base::SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
  base::Log log_;
};

/// Waits up to 20 s for `condition`, polling; for states that have no event.
bool eventually(const std::function<bool()>& condition);

/// A fresh folder, removed with its content at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace daypass::net::testing_support
