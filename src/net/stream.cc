#include "net/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "net/socket_stream.h"

namespace daypass::net {

namespace asio = boost::asio;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr auto kUse = asio::as_tuple(asio::use_awaitable);

/// A call's outcome: `moved` as recv and send return it.
Attempt attempt_of(ssize_t moved, bool reading) noexcept {
  if (moved > 0) return {Attempt::Kind::bytes, static_cast<std::size_t>(moved), 0};
  // Sending nothing moves nothing, and is done.
  if (moved == 0) return {reading ? Attempt::Kind::eof : Attempt::Kind::bytes, 0, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {Attempt::Kind::would_block, 0, 0};
  return {Attempt::Kind::error, 0, errno};
}

void tune_tcp(int fd) noexcept {
  const auto set = [fd](int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  // A peer that vanished without a word is noticed after about two minutes.
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
}

}  // namespace

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void OwnedFd::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error closed_error() {
  return Error(Code::unavailable, "net.closed", "the connection was closed on this side");
}

Error stream_error(const boost::system::error_code& code) {
  if (code == asio::error::operation_aborted || code == asio::error::bad_descriptor) return closed_error();
  return Error(Code::unavailable, "net.reset", "the connection broke: " + code.message());
}

Error stream_error(int errno_value) {
  return stream_error(boost::system::error_code(errno_value, boost::system::system_category()));
}

SocketStream::SocketStream(io_context& io, std::shared_ptr<void> ticket)
    : io_(io), ticket_(std::move(ticket)), socket_(io) {}

Result<std::unique_ptr<SocketStream>> SocketStream::adopt(io_context& io, OwnedFd fd, std::shared_ptr<void> ticket) {
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local), &size) != 0) return stream_error(errno);
  std::unique_ptr<SocketStream> stream(new SocketStream(io, std::move(ticket)));
  const bool tcp = local.ss_family == AF_INET || local.ss_family == AF_INET6;
  if (tcp) tune_tcp(fd.get());
  boost::system::error_code code;
  const asio::generic::stream_protocol protocol(local.ss_family, tcp ? IPPROTO_TCP : 0);
  stream->socket_.assign(protocol, fd.get(), code);
  if (code) return stream_error(code);
  stream->fd_ = fd.release();
  stream->learn_peer();
  return stream;
}

void SocketStream::learn_peer() {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    peer_ = "gone";  // it has left already; the first read says so
    return;
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    peer_ip_ = text.data();
    peer_ = peer_ip_ + ":" + std::to_string(ntohs(v4.sin_port));
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text.data(), text.size());
      peer_ip_ = text.data();
      peer_ = peer_ip_ + ":" + std::to_string(ntohs(v6.sin6_port));
    } else {
      ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
      peer_ip_ = text.data();
      peer_ = "[" + peer_ip_ + "]:" + std::to_string(ntohs(v6.sin6_port));
    }
  } else {
    peer_ = "unix";
    ucred who{};
    socklen_t length = sizeof who;
    if (::getsockopt(fd_, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && length == sizeof who) peer_uid_ = who.uid;
  }
}

awaitable<Result<std::size_t>> SocketStream::read_some(std::span<char> buffer) {
  if (!usable()) co_return closed_error();
  const auto [code, count] = co_await socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), kUse);
  if (interrupted_) co_return closed_error();
  if (code == asio::error::eof) co_return std::size_t{0};
  if (code) co_return stream_error(code);
  co_return count;
}

awaitable<Result<std::size_t>> SocketStream::peek(std::span<char> buffer) {
  if (!usable()) co_return closed_error();
  const auto [code, count] =
      co_await socket_.async_receive(asio::buffer(buffer.data(), buffer.size()), asio::socket_base::message_peek, kUse);
  if (interrupted_) co_return closed_error();
  if (code == asio::error::eof) co_return std::size_t{0};
  if (code) co_return stream_error(code);
  co_return count;
}

awaitable<Status> SocketStream::write_all(std::string_view data) {
  while (!data.empty()) {
    if (!usable()) co_return closed_error();
    const Attempt direct = try_write(data);
    if (direct.kind == Attempt::Kind::error) co_return stream_error(direct.errno_value);
    data.remove_prefix(direct.count);
    if (direct.ok()) continue;
    const auto [code, count] = co_await socket_.async_write_some(asio::buffer(data.data(), data.size()), kUse);
    if (interrupted_) co_return closed_error();
    if (code) co_return stream_error(code);
    data.remove_prefix(count);
  }
  co_return Status();
}

Attempt SocketStream::try_read(std::span<char> buffer) noexcept {
  ssize_t count = 0;
  do count = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  while (count < 0 && errno == EINTR);
  return attempt_of(count, true);
}

Attempt SocketStream::try_write(std::string_view data) noexcept {
  ssize_t count = 0;
  do count = ::send(fd_, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  while (count < 0 && errno == EINTR);
  return attempt_of(count, false);
}

Attempt SocketStream::try_write(std::string_view first, std::string_view second) noexcept {
  // sendmsg reads only; iovec has no const form.
  std::array<iovec, 2> parts{iovec{const_cast<char*>(first.data()), first.size()},
                             iovec{const_cast<char*>(second.data()), second.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ssize_t count = 0;
  do count = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (count < 0 && errno == EINTR);
  return attempt_of(count, false);
}

awaitable<Status> SocketStream::wait_readable() {
  if (!usable()) co_return closed_error();
  const auto [code] = co_await socket_.async_wait(asio::socket_base::wait_read, kUse);
  if (interrupted_) co_return closed_error();
  if (code) co_return stream_error(code);
  co_return Status();
}

awaitable<Status> SocketStream::wait_writable() {
  if (!usable()) co_return closed_error();
  const auto [code] = co_await socket_.async_wait(asio::socket_base::wait_write, kUse);
  if (interrupted_) co_return closed_error();
  if (code) co_return stream_error(code);
  co_return Status();
}

Status SocketStream::shutdown() noexcept {
  if (fd_ < 0) return closed_error();
  if (::shutdown(fd_, SHUT_WR) != 0) return stream_error(errno);
  return {};
}

void SocketStream::interrupt() noexcept {
  interrupted_ = true;
  boost::system::error_code ignored;
  if (fd_ >= 0) socket_.cancel(ignored);
}

void SocketStream::close() noexcept {
  interrupted_ = true;
  fd_ = -1;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

int SocketStream::release() noexcept {
  interrupted_ = true;
  fd_ = -1;
  boost::system::error_code ignored;
  return socket_.release(ignored);
}

void SocketStream::abort() noexcept {
  if (fd_ >= 0) {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  close();
}

awaitable<Status> read_exact(Stream& stream, std::span<char> buffer) {
  while (!buffer.empty()) {
    const Result<std::size_t> count = co_await stream.read_some(buffer);
    if (!count) co_return count.error();
    if (*count == 0) co_return Error(Code::unavailable, "net.eof", "the peer closed the connection in mid-message");
    buffer = buffer.subspan(*count);
  }
  co_return Status();
}

Result<std::pair<StreamPtr, StreamPtr>> stream_pair(io_context& io) {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) != 0) return stream_error(errno);
  OwnedFd left(fds[0]);
  OwnedFd right(fds[1]);
  DP_TRY(StreamPtr first, SocketStream::adopt(io, std::move(left)));
  DP_TRY(StreamPtr second, SocketStream::adopt(io, std::move(right)));
  return std::pair<StreamPtr, StreamPtr>(std::move(first), std::move(second));
}

struct Deadline::State : std::enable_shared_from_this<State> {
  using Steady = std::chrono::steady_clock;
  explicit State(Stream& s) : stream(&s), timer(s.context()) {}

  void arm() {
    armed = true;
    timer.expires_at(due);
    timer.async_wait([self = shared_from_this()](const boost::system::error_code&) { self->fire(); });
  }
  void fire() {
    armed = false;
    if (stream == nullptr || due == Steady::time_point::max()) return;
    // Moved since the timer was armed (a later time), or armed anew for an earlier one (which cancels this wait).
    if (Steady::now() < due) return arm();
    expired = true;
    stream->interrupt();
  }

  Stream* stream;
  asio::steady_timer timer;
  Steady::time_point due = Steady::time_point::max();
  bool armed = false;
  bool expired = false;
};

Deadline::Deadline(Stream& stream) : state_(std::make_shared<State>(stream)) {}
Deadline::Deadline(Stream& stream, base::Millis timeout) : Deadline(stream) {
  set(timeout);
}

Deadline::~Deadline() {
  state_->stream = nullptr;
  state_->timer.cancel();
}

void Deadline::set(base::Millis timeout) {
  State& state = *state_;
  state.due = State::Steady::now() + timeout;
  if (!state.armed) {
    state.arm();
  } else if (state.due < state.timer.expiry()) {
    state.timer.cancel();  // fire() sees that it is too early and arms it for the new time
  }
}

void Deadline::clear() noexcept {
  state_->due = State::Steady::time_point::max();
}
bool Deadline::expired() const noexcept {
  return state_->expired;
}

}  // namespace daypass::net
