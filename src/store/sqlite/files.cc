#include "store/sqlite/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

namespace daypass::store::sqlite {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

Error path_error(const std::string& path, const std::string& why, std::string hint) {
  return {Code::invalid, "store.path", "the store " + path + " can't be opened: " + why, std::move(hint)};
}

Error system_error(const std::string& path, int number) {
  if (number == ENOSPC || number == EDQUOT)
    return {Code::unavailable, "store.full", "the disk that holds the store " + path + " is full",
            "free space on the store's file system"};
  return path_error(path, std::strerror(number),
                    "check that its folder exists and belongs to the user that runs Daypass");
}

/// "process 1234", as the owner wrote it into the lock file; vague when that could not be written.
std::string owner_of(int fd) {
  char text[32];
  const ssize_t size = pread(fd, text, sizeof text, 0);
  long pid = 0;
  if (size > 0 && std::from_chars(text, text + size, pid).ec == std::errc() && pid > 0)
    return "process " + std::to_string(pid);
  return "another process";
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace

Result<std::unique_ptr<OwnerLock>> OwnerLock::take(const std::string& path) {
  const std::string lock_path = path + ".lock";
  for (;;) {
    Descriptor fd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.get() < 0) return system_error(path, errno);
    // flock, not a POSIX record lock: that one is gone as soon as anything in the process closes the file.
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return system_error(path, errno);
      return Error{Code::conflict, "store.in_use", "the store " + path + " is in use by " + owner_of(fd.get()),
                   "stop the server that has it open, or name another file for this one"};
    }
    struct stat held{};
    if (fstat(fd.get(), &held) != 0) return system_error(path, errno);
    // Somebody may have removed the file between open and flock: a lock on a file without a name keeps nobody out.
    if (identity_of(lock_path) != FileIdentity{held.st_dev, held.st_ino}) continue;
    // For people and the next one's message only. On a full disk the store must open all the same.
    const std::string pid = std::to_string(getpid()) + "\n";
    if (ftruncate(fd.get(), 0) == 0) [[maybe_unused]]
      const ssize_t written = pwrite(fd.get(), pid.data(), pid.size(), 0);
    return std::unique_ptr<OwnerLock>(new OwnerLock(fd.release()));
  }
}

OwnerLock::~OwnerLock() {
  close(fd_);
}

FileIdentity identity_of(const std::string& path) noexcept {
  struct stat found{};
  if (stat(path.c_str(), &found) != 0) return {};
  return {found.st_dev, found.st_ino};
}

Result<std::string> canonical_path(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path given(path);
  if (path.empty() || !given.has_filename() || path.find('\0') != std::string::npos)
    return path_error(path, "this is not the name of a file", "name a file, such as /var/lib/daypass/daypass.db");
  if (fs::exists(given, failed)) {
    const fs::path whole = fs::canonical(given, failed);
    if (!failed) return whole.string();
    return system_error(path, failed.value());
  }
  const fs::path folder = fs::canonical(given.has_parent_path() ? given.parent_path() : fs::path("."), failed);
  if (failed) return system_error(path, failed.value());
  return (folder / given.filename()).string();
}

Status prepare_file(const std::string& path) {
  struct stat found{};
  if (lstat(path.c_str(), &found) == 0) {
    if (!S_ISREG(found.st_mode))
      return path_error(path, "it is not a regular file", "name a file, or one that does not exist yet");
    if ((found.st_mode & 0077U) != 0)
      return Error{Code::invalid, "store.permissions", "the store " + path + " may be read or written by other users",
                   "chmod 600 " + path};
    return {};
  }
  if (errno != ENOENT) return system_error(path, errno);
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return system_error(path, errno);
  // The name must outlive a power cut as surely as the first commit does.
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || fsync(directory.get()) != 0) return system_error(path, errno);
  return {};
}

}  // namespace daypass::store::sqlite
