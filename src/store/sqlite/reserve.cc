#include "store/sqlite/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace daypass::store::sqlite {

using base::Code;
using base::Error;
using base::Status;

std::optional<std::uint64_t> free_bytes(const std::string& path) noexcept {
  struct statvfs found{};
  if (statvfs(path.c_str(), &found) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(found.f_bavail) * found.f_frsize;
}

namespace {

/// st_blocks counts 512 bytes each, whatever the file system's own blocks are.
bool holds(const struct stat& found, std::uint64_t bytes) {
  return S_ISREG(found.st_mode) && static_cast<std::uint64_t>(found.st_size) >= bytes &&
         static_cast<std::uint64_t>(found.st_blocks) * 512 >= bytes;
}

}  // namespace

Status Reserve::make() {
  size_ = 0;
  if (wanted_ == 0) return {};
  const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return Error{Code::internal, "store.reserve", path_ + " can't be made: " + std::strerror(errno),
                 "look at who owns it"};
  struct stat found{};
  int failed = fstat(fd, &found) != 0 ? errno : 0;
  if (failed == 0 && !holds(found, wanted_)) failed = posix_fallocate(fd, 0, static_cast<off_t>(wanted_));
  // A hole would be no reserve.
  if (failed == 0 && (fstat(fd, &found) != 0 || !holds(found, wanted_))) failed = ENOSPC;
  if (failed == 0 && static_cast<std::uint64_t>(found.st_size) > wanted_ &&
      ftruncate(fd, static_cast<off_t>(wanted_)) != 0)
    failed = errno;
  close(fd);
  if (failed != 0) {
    unlink(path_.c_str());
    return Error{Code::exhausted, "store.reserve",
                 "there is no room to keep " + std::to_string(wanted_ >> 20U) +
                     " MiB for the end of access: " + std::strerror(failed),
                 "free space on the store's file system"};
  }
  size_ = wanted_;
  return {};
}

bool Reserve::give_up() noexcept {
  size_ = 0;
  if (wanted_ == 0) return false;
  // Cut first: somebody may hold it open, and a removed file keeps its blocks until they let go.
  const bool cut = truncate(path_.c_str(), 0) == 0;
  unlink(path_.c_str());
  return cut;
}

bool Reserve::still_there() noexcept {
  struct stat found{};
  if (size_ != 0 && (lstat(path_.c_str(), &found) != 0 || !holds(found, wanted_))) size_ = 0;
  return size_ != 0;
}

}  // namespace daypass::store::sqlite
