#include "net/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <mutex>

#include "base/assert.h"
#include "net/socket_stream.h"

namespace daypass::net {

namespace asio = boost::asio;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr base::Millis kFirstBackoff{10};
constexpr base::Millis kMostBackoff{1000};
constexpr int kBurst = 64;  // connections accepted before other work on the thread gets its turn

Error listen_error(int errno_value, const std::string& address) {
  const std::string why = std::strerror(errno_value);
  switch (errno_value) {
    case EADDRINUSE:
      return Error(Code::conflict, "net.address_in_use", "can't listen on " + address + ": the address is in use",
                   "stop what listens on " + address + ", or choose another address");
    case EADDRNOTAVAIL:
      return Error(Code::invalid, "net.address_not_here",
                   "can't listen on " + address + ": not an address of this machine",
                   "use an address that `ip address` shows");
    case EACCES:
    case EPERM:
      return Error(Code::denied, "net.permission", "can't listen on " + address + ": " + why,
                   "ports below 1024 need CAP_NET_BIND_SERVICE; a socket file needs a folder that is writable");
    default:
      return Error(Code::internal, "net.listen", "can't listen on " + address + ": " + why);
  }
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

/// No descriptor or no memory: it passes, but not at once.
bool is_exhaustion(int errno_value) {
  return errno_value == EMFILE || errno_value == ENFILE || errno_value == ENOBUFS || errno_value == ENOMEM;
}

}  // namespace

struct Listener::Impl : std::enable_shared_from_this<Impl> {
  Impl(IoThreads& t, const base::Log& l, ListenOptions o) : threads(t), log(l), options(std::move(o)) {}
  ~Impl() {
    for (const int fd : fds) {
      if (fd >= 0) ::close(fd);
    }
  }

  IoThreads& threads;
  const base::Log& log;
  ListenOptions options;
  OnAccept on_accept;
  std::string address;
  std::string path;  // of a unix socket
  struct stat file{};
  std::uint16_t port = 0;

  std::mutex mutex;      // guards fds and started
  std::vector<int> fds;  // one for each acceptor; -1 once its loop has closed it
  bool started = false;
  std::atomic<bool> stopping = false;
  std::atomic<std::size_t> connections = 0;
  std::atomic<std::int64_t> warned_at = std::numeric_limits<std::int64_t>::min();  // seconds; see warn_full
  std::size_t next = 0;  // thread that gets the next connection; touched by the one dealing acceptor only

  /// Counts a connection as long as its stream lives.
  struct Ticket {
    explicit Ticket(std::shared_ptr<Impl> i) : impl(std::move(i)) { ++impl->connections; }
    ~Ticket() { --impl->connections; }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    std::shared_ptr<Impl> impl;
  };

  /// Says when a descriptor is closed, so that stop() never shuts down a number that has a new owner.
  struct Acceptor {
    Acceptor(Impl& i, io_context& io, std::size_t n) : impl(i), index(n), descriptor(io) {
      const std::lock_guard lock(impl.mutex);
      descriptor.assign(impl.fds[index]);
    }
    ~Acceptor() {
      const std::lock_guard lock(impl.mutex);
      impl.fds[index] = -1;
      boost::system::error_code ignored;
      descriptor.close(ignored);
    }
    Acceptor(const Acceptor&) = delete;
    Acceptor& operator=(const Acceptor&) = delete;
    Impl& impl;
    std::size_t index;
    asio::posix::stream_descriptor descriptor;
  };

  void warn_full();
  Status bind_tcp(const std::string& host, std::uint16_t wanted);
  Status bind_unix(std::uint32_t mode);
  Status clear_stale_socket() const;
  void deliver(std::size_t thread, OwnedFd fd);
  /// Accepts what is there. Returns 0, or the errno that says to rest.
  int accept_burst(int fd, std::size_t thread);
  static awaitable<void> accept_loop(std::shared_ptr<Impl> self, std::size_t index);
};

Status Listener::Impl::bind_tcp(const std::string& host, std::uint16_t wanted) {
  sockaddr_storage where{};
  socklen_t size = 0;
  auto& v4 = reinterpret_cast<sockaddr_in&>(where);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(where);
  in_port_t* port_field = nullptr;
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    size = sizeof v4;
    port_field = &v4.sin_port;
    address = host;
  } else if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    size = sizeof v6;
    port_field = &v6.sin6_port;
    address = "[" + host + "]";
  } else {
    return Error(Code::invalid, "net.address", "not an IP address to listen on: " + host,
                 "give a literal such as 127.0.0.1, 0.0.0.0 or ::");
  }
  *port_field = htons(wanted);
  const std::string asked = address + ":" + std::to_string(wanted);
  const std::size_t count = options.acceptor_per_thread ? threads.size() : 1;
  for (std::size_t i = 0; i < count; ++i) {
    OwnedFd fd(::socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return listen_error(errno, asked);
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (where.ss_family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, host == "::" ? 0 : 1);
    // The first binds alone and shares the port only afterwards: with SO_REUSEPORT from the start, a second server of
    // this user would be let in silently.
    if (i > 0) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), size) != 0) return listen_error(errno, asked);
    if (i == 0 && count > 1) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (::listen(fd.get(), options.backlog) != 0) return listen_error(errno, asked);
    if (i == 0) {
      socklen_t got = sizeof where;
      if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&where), &got) != 0) return listen_error(errno, asked);
      port = ntohs(*port_field);
    }
    fds.push_back(fd.release());
  }
  address += ":" + std::to_string(port);
  return {};
}

Status Listener::Impl::clear_stale_socket() const {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return errno == ENOENT ? Status() : listen_error(errno, path);
  if (!S_ISSOCK(found.st_mode))
    return Error(Code::conflict, "net.not_a_socket",
                 "can't listen on " + path + ": something that is no socket is there",
                 "remove it, or choose another path");
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  path.copy(where.sun_path, sizeof where.sun_path - 1);
  const OwnedFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (probe.get() < 0) return listen_error(errno, path);
  const bool refused = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 &&
                       (errno == ECONNREFUSED || errno == ENOENT);
  if (!refused) return listen_error(EADDRINUSE, path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return listen_error(errno, path);
  return {};
}

Status Listener::Impl::bind_unix(std::uint32_t mode) {
  sockaddr_un where{};
  if (path.empty() || path.size() >= sizeof where.sun_path || path.find('\0') != std::string::npos)
    return Error(Code::invalid, "net.path_too_long", "a socket path has 1 to 107 bytes: " + path,
                 "choose a shorter path");
  DP_CHECK(clear_stale_socket());
  where.sun_family = AF_UNIX;
  path.copy(where.sun_path, path.size());
  OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return listen_error(errno, path);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) return listen_error(errno, path);
  // Nobody can connect between bind and listen, so the mode is right before the first one can.
  if (::chmod(path.c_str(), mode) != 0 || ::lstat(path.c_str(), &file) != 0 ||
      ::listen(fd.get(), options.backlog) != 0) {
    const int why = errno;
    ::unlink(path.c_str());
    return listen_error(why, path);
  }
  address = path;
  fds.push_back(fd.release());
  return {};
}

void Listener::Impl::deliver(std::size_t thread, OwnedFd fd) {
  auto ticket = std::make_shared<Ticket>(shared_from_this());
  Result<std::unique_ptr<SocketStream>> stream =
      SocketStream::adopt(threads.at(thread), std::move(fd), std::move(ticket));
  if (stream && !stopping) on_accept(std::move(stream).value());
}

void Listener::Impl::warn_full() {
  // Once a second at most: a flood of connections must not become a flood of log lines.
  const auto now = std::chrono::duration_cast<base::Seconds>(base::SystemClock().mono().time_since_epoch()).count();
  if (warned_at.exchange(now) == now) return;
  log.warn("connections are refused: too many", {{"listener", address}, {"limit", options.max_connections}});
}

int Listener::Impl::accept_burst(int fd, std::size_t thread) {
  const bool deals = fds.size() == 1 && threads.size() > 1;
  for (int i = 0; i < kBurst && !stopping; ++i) {
    OwnedFd accepted(::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (accepted.get() < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
      if (is_exhaustion(errno)) return errno;
      if (errno == EINVAL || errno == EBADF) return stopping ? 0 : errno;
      continue;  // this one connection failed before it was accepted (accept(2))
    }
    if (connections >= options.max_connections) {
      if (!options.refusal.empty())
        (void)::send(accepted.get(), options.refusal.data(), options.refusal.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      warn_full();
      continue;
    }
    if (!deals) {
      deliver(thread, std::move(accepted));
      continue;
    }
    const std::size_t to = next++ % threads.size();
    asio::post(threads.at(to), [self = shared_from_this(), to, moved = std::move(accepted)]() mutable {
      self->deliver(to, std::move(moved));
    });
  }
  return 0;
}

awaitable<void> Listener::Impl::accept_loop(std::shared_ptr<Impl> self, std::size_t index) {
  io_context& io = self->threads.at(index);
  Acceptor acceptor(*self, io, index);
  base::Millis rest = kFirstBackoff;
  while (!self->stopping) {
    const auto [code] = co_await acceptor.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                                                asio::as_tuple(asio::use_awaitable));
    if (code || self->stopping) break;
    const int why = self->accept_burst(acceptor.descriptor.native_handle(), index);
    if (why == 0) {
      rest = kFirstBackoff;
      continue;
    }
    // The connection stays in the backlog, so the socket stays readable: without a rest this loop would spin.
    self->log.warn("can't accept connections for now",
                   {{"listener", self->address}, {"why", std::strerror(why)}, {"rest_ms", std::int64_t{rest.count()}}});
    co_await sleep_for(io, rest);
    rest = std::min(rest * 2, kMostBackoff);
  }
}

Result<std::unique_ptr<Listener>> Listener::listen_tcp(IoThreads& threads, const base::Log& log, std::string address,
                                                       std::uint16_t port, ListenOptions options) {
  auto impl = std::make_shared<Impl>(threads, log, std::move(options));
  DP_CHECK(impl->bind_tcp(address, port));
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Result<std::unique_ptr<Listener>> Listener::listen_unix(IoThreads& threads, const base::Log& log, std::string path,
                                                        std::uint32_t mode, ListenOptions options) {
  auto impl = std::make_shared<Impl>(threads, log, std::move(options));
  impl->path = std::move(path);
  DP_CHECK(impl->bind_unix(mode));
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Listener::Listener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() {
  stop();
}

void Listener::start(OnAccept on_accept) {
  {
    const std::lock_guard lock(impl_->mutex);
    DP_ASSERT(!impl_->started);
    impl_->started = true;
    impl_->on_accept = std::move(on_accept);
  }
  for (std::size_t i = 0; i < impl_->fds.size(); ++i) spawn(impl_->threads.at(i), Impl::accept_loop(impl_, i));
}

void Listener::stop() noexcept {
  if (impl_->stopping.exchange(true)) return;
  {
    const std::lock_guard lock(impl_->mutex);
    // The kernel refuses from here on, and the loops wake up to close what they have.
    for (int& fd : impl_->fds) {
      if (fd >= 0) ::shutdown(fd, SHUT_RDWR);
      if (fd >= 0 && !impl_->started) ::close(std::exchange(fd, -1));
    }
  }
  struct stat now{};
  if (!impl_->path.empty() && ::lstat(impl_->path.c_str(), &now) == 0 && now.st_dev == impl_->file.st_dev &&
      now.st_ino == impl_->file.st_ino)
    ::unlink(impl_->path.c_str());
}

std::uint16_t Listener::port() const noexcept {
  return impl_->port;
}
const std::string& Listener::address() const noexcept {
  return impl_->address;
}
std::size_t Listener::connections() const noexcept {
  return impl_->connections;
}

}  // namespace daypass::net
