// The store's files: their place and permissions, and the lock that makes one process their owner.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace daypass::store::sqlite {

/// Holds `<path>.lock` for the process that owns the store; the kernel lets go of it however the process ends.
class OwnerLock {
 public:
  /// Error: "store.in_use" (which process, and what to do), "store.path".
  static base::Result<std::unique_ptr<OwnerLock>> take(const std::string& path);
  OwnerLock(const OwnerLock&) = delete;
  OwnerLock& operator=(const OwnerLock&) = delete;
  ~OwnerLock();

 private:
  explicit OwnerLock(int fd) : fd_(fd) {}
  int fd_;
};

/// Which file a path leads to.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};
/// All zero when there is none. Never opens the file: closing it again would drop SQLite's own locks on it.
FileIdentity identity_of(const std::string& path) noexcept;

/// The path without symbolic links, so that two names of one store mean one lock. Error: "store.path".
base::Result<std::string> canonical_path(const std::string& path);

/// Makes the file (0600, durable in its folder) when it is missing; SQLite gives its companions the same mode. Call it
/// only under the OwnerLock. Errors: "store.path", "store.permissions" (others may read or write it), "store.full".
base::Status prepare_file(const std::string& path);

}  // namespace daypass::store::sqlite
