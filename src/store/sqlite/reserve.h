// Room on the disk that is kept for the end of access: a file of blocks that are really there, given up when the store
// finds its disk full.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace daypass::store::sqlite {

/// Bytes that an ordinary process can still write to the file system of `path`; nullopt when it can't be asked.
std::optional<std::uint64_t> free_bytes(const std::string& path) noexcept;

class Reserve {
 public:
  /// `<store>.reserve` of so many bytes; none when `wanted` is 0. Nothing is made yet. For one thread at a time.
  Reserve(const std::string& store, std::uint64_t wanted) : path_(store + ".reserve"), wanted_(wanted) {}

  /// Makes it, or takes the one that is there, all of its blocks on the disk. Error: "store.reserve".
  base::Status make();
  /// Gives the room back to the file system. Whether there was any.
  bool give_up() noexcept;
  /// Bytes; 0: there is none.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint64_t wanted() const noexcept { return wanted_; }
  /// False when it was removed or cut short by others; then it is none.
  bool still_there() noexcept;

 private:
  std::string path_;
  std::uint64_t wanted_, size_ = 0;
};

}  // namespace daypass::store::sqlite
