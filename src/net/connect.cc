#include "net/connect.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "net/egress.h"
#include "net/socket_stream.h"

namespace daypass::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

using Steady = std::chrono::steady_clock;

struct Address {
  sockaddr_storage data{};
  socklen_t size = 0;
};

Error timeout_error(const std::string& where) {
  return Error(Code::timeout, "net.timeout", "no connection to " + where + " in time");
}

base::Millis left_until(Steady::time_point end) {
  return std::max(base::Millis(0), std::chrono::ceil<base::Millis>(end - Steady::now()));
}

std::vector<Address> literal(const std::string& host, std::uint16_t port) {
  Address address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.data);
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.size = sizeof v4;
    return {address};
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.data);
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.size = sizeof v6;
    return {address};
  }
  return {};
}

struct Lookup {
  explicit Lookup(io_context& io) : resolver(io), done(io) {}
  tcp::resolver resolver;
  Event done;
  std::vector<Address> found;
  std::string why;
};

/// Names through the resolver's own thread. A lookup can't be called back once it hangs, so that the waiter leaves it
/// behind when time is up; its state lives on by itself.
awaitable<Result<std::vector<Address>>> resolve(io_context& io, const std::string& host, std::uint16_t port,
                                                base::Millis timeout) {
  auto lookup = std::make_shared<Lookup>(io);
  const auto finish = [lookup](const boost::system::error_code& code, const tcp::resolver::results_type& results) {
    if (code) lookup->why = code.message();
    for (const auto& entry : results) {
      Address address;
      address.size = static_cast<socklen_t>(entry.endpoint().size());
      std::memcpy(&address.data, entry.endpoint().data(), address.size);
      lookup->found.push_back(address);
    }
    lookup->done.set();
  };
  lookup->resolver.async_resolve(host, std::to_string(port), tcp::resolver::numeric_service, finish);
  const bool answered = co_await lookup->done.wait(timeout);
  if (!answered) co_return timeout_error(host);
  if (lookup->found.empty())
    co_return Error(Code::unavailable, "net.resolve", "can't resolve " + host + ": " + lookup->why,
                    "check the name and this machine's DNS");
  co_return std::move(lookup->found);
}

awaitable<Result<StreamPtr>> connect_address(io_context& io, const Address& address, const std::string& where,
                                             base::Millis timeout) {
  OwnedFd fd(::socket(address.data.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0)
    co_return Error(Code::exhausted, "net.connect", std::string("can't make a socket: ") + std::strerror(errno));
  const int raw = fd.get();
  const auto* target = reinterpret_cast<const sockaddr*>(&address.data);
  int outcome = ::connect(raw, target, address.size) == 0 ? 0 : errno;
  const bool pending = outcome == EINPROGRESS;
  if (outcome != 0 && !pending)
    co_return Error(Code::unavailable, "net.connect", "can't connect to " + where + ": " + std::strerror(outcome));
  if (pending) {
    Result<std::unique_ptr<SocketStream>> half_open = SocketStream::adopt(io, std::move(fd));
    if (!half_open) co_return half_open.error();
    const std::unique_ptr<SocketStream> waiting = std::move(half_open).value();
    Status writable;
    bool expired = false;
    {
      const Deadline deadline(*waiting, timeout);
      writable = co_await waiting->wait_writable();
      expired = deadline.expired();
    }
    if (expired) co_return timeout_error(where);
    if (!writable) co_return writable.error();
    socklen_t size = sizeof outcome;
    if (::getsockopt(raw, SOL_SOCKET, SO_ERROR, &outcome, &size) != 0) outcome = errno;
    if (outcome != 0)
      co_return Error(Code::unavailable, "net.connect", "can't connect to " + where + ": " + std::strerror(outcome));
    // A stream learns its peer when it adopts a socket, and this one had none yet.
    fd = OwnedFd(waiting->release());
  }
  Result<std::unique_ptr<SocketStream>> stream = SocketStream::adopt(io, std::move(fd));
  if (!stream) co_return stream.error();
  co_return StreamPtr(std::move(stream).value());
}

/// Which of a name's addresses may be tried, and what is said when none of them may.
struct Filter {
  std::function<bool(AddressClass)> allows;
  Error none;
};

awaitable<Result<StreamPtr>> connect_filtered(io_context& io, std::string host, std::uint16_t port,
                                              base::Millis timeout, std::optional<Filter> filter) {
  const std::string where = (host.contains(':') ? "[" + host + "]" : host) + ":" + std::to_string(port);
  const Steady::time_point end = Steady::now() + timeout;
  std::vector<Address> addresses = literal(host, port);
  if (addresses.empty()) {
    if (host.empty() || host.size() > 253 || host.find('\0') != std::string::npos)
      co_return Error(Code::invalid, "net.resolve", "the host name is empty or malformed");
    Result<std::vector<Address>> found = co_await resolve(io, host, port, timeout);
    if (!found) co_return found.error();
    addresses = std::move(found).value();
  }
  if (filter) {
    std::erase_if(addresses, [&](const Address& address) {
      return !filter->allows(classify(reinterpret_cast<const sockaddr*>(&address.data), address.size));
    });
    if (addresses.empty()) co_return filter->none;
  }
  Error last = timeout_error(where);
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const base::Millis left = left_until(end);
    if (left == base::Millis(0)) break;
    // Each address gets its share, so that a dead first one doesn't use up all the time.
    const base::Millis share = left / static_cast<base::Millis::rep>(addresses.size() - i);
    Result<StreamPtr> stream = co_await connect_address(io, addresses[i], where, share);
    if (stream) co_return std::move(stream).value();
    last = stream.error();
  }
  co_return last;
}

}  // namespace

awaitable<Result<StreamPtr>> connect_tcp(io_context& io, std::string host, std::uint16_t port, base::Millis timeout,
                                         bool public_only) {
  std::optional<Filter> filter;
  if (public_only)
    filter.emplace(
        [](AddressClass c) { return c == AddressClass::global; },
        Error(Code::denied, "net.private", host + ":" + std::to_string(port) + " is no address of the internet",
              "the operator says which hosts of a private network a tenant may name: daypass tenants set"));
  co_return co_await connect_filtered(io, std::move(host), port, timeout, std::move(filter));
}

awaitable<Result<StreamPtr>> connect_guarded(io_context& io, std::string host, std::uint16_t port, base::Millis timeout,
                                             EgressPolicy policy, bool secure) {
  std::string name = host;
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  Error none(Code::denied, "net.egress", "no address of " + host + " may be connected to",
             "it must be on the internet, or be named as a private host");
  std::optional<Filter> filter(
      std::in_place,
      [policy = std::move(policy), name, secure](AddressClass c) { return may_connect(policy, c, name, secure); },
      std::move(none));
  co_return co_await connect_filtered(io, std::move(host), port, timeout, std::move(filter));
}

awaitable<Result<StreamPtr>> connect_unix(io_context& io, std::string path, base::Millis timeout) {
  Address address;
  auto& local = reinterpret_cast<sockaddr_un&>(address.data);
  if (path.empty() || path.size() >= sizeof local.sun_path || path.find('\0') != std::string::npos)
    co_return Error(Code::invalid, "net.path_too_long", "a socket path has 1 to 107 bytes: " + path);
  local.sun_family = AF_UNIX;
  path.copy(local.sun_path, path.size());
  address.size = sizeof local;
  co_return co_await connect_address(io, address, path, timeout);
}

}  // namespace daypass::net
