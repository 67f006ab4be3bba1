#include "app/cli/watchdog.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

namespace daypass::app::cli {

namespace {

base::Millis third_of(const std::string& microseconds) {
  constexpr base::Millis usual = std::chrono::seconds(10);
  std::int64_t us = 0;
  const char* end = microseconds.data() + microseconds.size();
  if (const auto read = std::from_chars(microseconds.data(), end, us);
      read.ec != std::errc() || read.ptr != end || us <= 0)
    return usual;
  return std::clamp(base::Millis(us / 3000), base::Millis(1), usual);
}

}  // namespace

void notify(const Io& io, const std::string& what) {
  const std::string path = io.var("NOTIFY_SOCKET");
  if (path.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  (void)::sendto(fd, what.data(), what.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size()));
  ::close(fd);
}

Watchdog::Watchdog(const Io& io) : io_(io), every_(third_of(io.var("WATCHDOG_USEC"))) {}

void Watchdog::look(std::uint64_t rounds) {
  if (std::exchange(seen_, rounds) != rounds) notify(io_, "WATCHDOG=1");
}

}  // namespace daypass::app::cli
