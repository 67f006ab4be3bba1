// SocketStream: a Stream on a plain socket. Private to the room: everybody else holds a Stream.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <optional>
#include <string>

#include "net/stream.h"

namespace daypass::net {

/// Closes a descriptor that nobody has taken.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) noexcept : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  ~OwnedFd() { reset(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// Error of a broken connection, by error code.
base::Error stream_error(const boost::system::error_code& code);
base::Error stream_error(int errno_value);
/// "net.closed".
base::Error closed_error();

class SocketStream final : public Stream {
 public:
  // The concrete executor spares every operation the type-erased one.
  using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, io_context::executor_type>;

  /// Takes a connected, non-blocking socket. `ticket` is released when the stream goes. Error: "net.reset".
  static base::Result<std::unique_ptr<SocketStream>> adopt(io_context& io, OwnedFd fd,
                                                           std::shared_ptr<void> ticket = {});

  awaitable<base::Result<std::size_t>> read_some(std::span<char> buffer) override;
  awaitable<base::Result<std::size_t>> peek(std::span<char> buffer) override;
  awaitable<base::Status> write_all(std::string_view data) override;
  Attempt try_read(std::span<char> buffer) noexcept override;
  Attempt try_write(std::string_view data) noexcept override;
  Attempt try_write(std::string_view first, std::string_view second) noexcept override;
  [[nodiscard]] bool write_blocked() const noexcept override { return false; }
  awaitable<base::Status> wait_readable() override;
  awaitable<base::Status> wait_writable() override;
  base::Status shutdown() noexcept override;
  void interrupt() noexcept override;
  void close() noexcept override;
  void abort() noexcept override;
  [[nodiscard]] bool is_open() const noexcept override { return fd_ >= 0; }
  [[nodiscard]] const std::string& peer() const noexcept override { return peer_; }
  [[nodiscard]] const std::string& peer_ip() const noexcept override { return peer_ip_; }
  [[nodiscard]] std::optional<std::uint32_t> peer_uid() const noexcept override { return peer_uid_; }
  [[nodiscard]] int native_fd() const noexcept override { return fd_; }
  [[nodiscard]] const TlsInfo* tls_info() const noexcept override { return nullptr; }
  [[nodiscard]] io_context& context() const noexcept override { return io_; }

  /// Gives the descriptor away; the stream is closed then.
  [[nodiscard]] int release() noexcept;
  [[nodiscard]] bool usable() const noexcept { return fd_ >= 0 && !interrupted_; }

 private:
  SocketStream(io_context& io, std::shared_ptr<void> ticket);
  void learn_peer();

  io_context& io_;
  std::shared_ptr<void> ticket_;  // before the socket: released after the descriptor is closed
  Socket socket_;
  int fd_ = -1;
  bool interrupted_ = false;
  std::optional<std::uint32_t> peer_uid_;
  std::string peer_;
  std::string peer_ip_;
};

}  // namespace daypass::net
