// Preloaded into a server under test (LD_PRELOAD): its wall clock can be moved, its syncs can fail. Where
// DAYPASS_CHAOS_FAULTS names no file it changes nothing.
#include "faults.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

using daypass::chaos::Faults;

Faults* mapped() {
  const char* path = std::getenv("DAYPASS_CHAOS_FAULTS");
  const int fd = path == nullptr ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* at = mmap(nullptr, sizeof(Faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return at == MAP_FAILED ? nullptr : static_cast<Faults*>(at);
}
Faults* faults() {
  static Faults* const found = mapped();
  return found;
}

constexpr std::int64_t second = 1'000'000'000;

void add(timespec* ts, std::int64_t ns) {
  const std::int64_t whole = ts->tv_sec * second + ts->tv_nsec + ns;
  ts->tv_sec = whole / second;
  ts->tv_nsec = whole % second;
}

/// The kernel's own; libc's is this library's by now.
int really(clockid_t id, timespec* ts) {
  return static_cast<int>(syscall(SYS_clock_gettime, id, ts));
}

/// Where a clock stood when it was frozen.
bool frozen_at(clockid_t id, timespec* ts) {
  Faults* f = faults();
  const bool wall = id == CLOCK_REALTIME, boot = id == CLOCK_BOOTTIME;
  if (f == nullptr || f->frozen == 0 || (!wall && !boot)) return false;
  static std::atomic<std::int64_t> stood[2];
  std::int64_t at = stood[wall ? 0 : 1];
  if (at == 0) {
    timespec now{};
    really(id, &now);
    std::int64_t mine = now.tv_sec * second + now.tv_nsec;
    stood[wall ? 0 : 1].compare_exchange_strong(at, mine);
    at = stood[wall ? 0 : 1];
  }
  *ts = {};
  add(ts, at);
  return true;
}

/// True: this sync is to fail (errno is set).
bool fails(int fd) {
  Faults* f = faults();
  if (f == nullptr) return false;
  char link[64], path[512];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return false;
  path[n] = '\0';
  if (std::strstr(path, "daypass.db") == nullptr) return false;
  ++f->syncs;
  if (f->sync_errno == 0) return false;
  if (f->sync_after > 0) {
    --f->sync_after;
    return false;
  }
  ++f->refused;
  errno = static_cast<int>(f->sync_errno);
  return true;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t id, timespec* ts) noexcept {
  if (frozen_at(id, ts)) return 0;
  const int code = really(id, ts);
  Faults* f = faults();
  if (code != 0 || f == nullptr || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) return code;
  ++f->wall_reads;
  add(ts, f->wall_ns);
  return 0;
}

int gettimeofday(timeval* __restrict tv, void* __restrict) noexcept {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  *tv = {ts.tv_sec, ts.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* out) noexcept {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  if (out != nullptr) *out = ts.tv_sec;
  return ts.tv_sec;
}

int fsync(int fd) {
  return fails(fd) ? -1 : static_cast<int>(syscall(SYS_fsync, fd));
}
int fdatasync(int fd) {
  return fails(fd) ? -1 : static_cast<int>(syscall(SYS_fdatasync, fd));
}
}
