// The audit log's Merkle tree (RFC 6962 section 2.1, SHA-256): hashes, the frontier that grows with each record, the
// root, and proofs with their verification. Pure functions of bytes: no store, no network, no clock.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace daypass::tlog {

/// 32 raw bytes. A hash of any other size is never equal to one that this room made, and proofs that hold one are
/// refused.
using Hash = std::string;
inline constexpr std::size_t hash_size = 32;

/// The largest log: sizes and positions fit a signed 64-bit column.
inline constexpr std::uint64_t max_size = std::uint64_t{1} << 62U;

/// SHA-256(0x00 || record). The prefix keeps a record from passing for a node (RFC 6962 section 2.1).
Hash leaf_hash(std::string_view record);
/// SHA-256(0x01 || left || right). Both must have 32 bytes.
Hash node_hash(std::string_view left, std::string_view right);
/// Root of the log without records: SHA-256 of nothing.
Hash empty_root();

/// The root of these leaf hashes, computed from scratch.
Hash root_of(std::span<const Hash> leaves);

/// All that must be kept to append and to know the root: the roots of the perfect subtrees that the log consists of,
/// one for each set bit of its size, largest first.
class Frontier {
 public:
  Frontier() = default;

  /// Reads serialise() back: exactly 8 + 32 * popcount(size) bytes. Error: "tlog.frontier".
  static base::Result<Frontier> parse(std::string_view bytes);
  /// Size (8 bytes, big-endian), then the hashes.
  [[nodiscard]] std::string serialise() const;

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::span<const Hash> hashes() const noexcept { return hashes_; }

  /// Told of each perfect subtree of two leaves and more when it is complete: its level (2^level leaves), its number at
  /// that level, its root.
  using OnNode = std::function<void(unsigned level, std::uint64_t index, const Hash& hash)>;
  /// Adds the next record by its leaf_hash (32 bytes). O(log size), amortised one node hash.
  void append(Hash leaf, const OnNode& completed = {});
  /// The root of all appended so far.
  [[nodiscard]] Hash root() const;

  bool operator==(const Frontier&) const = default;

 private:
  std::uint64_t size_ = 0;
  std::vector<Hash> hashes_;
};

/// PATH(index, leaves) of RFC 6962 section 2.1.1: the siblings from the leaf up to the root. Requires index <
/// leaves.size().
std::vector<Hash> inclusion_proof(std::span<const Hash> leaves, std::uint64_t index);
/// PROOF(old_size, leaves) of RFC 6962 section 2.1.2. Requires old_size <= leaves.size(); empty for 0 and for all of
/// them.
std::vector<Hash> consistency_proof(std::span<const Hash> leaves, std::uint64_t old_size);

/// Does the record with this leaf hash stand at `index` of the log of `size` records with `root`? (RFC 9162
/// section 2.1.3.2) Errors: "tlog.proof" (it can't be a proof for this place: wrong length, wrong hash size, index not
/// below size), "tlog.root" (it leads to another root).
base::Status verify_inclusion(std::string_view leaf, std::uint64_t index, std::uint64_t size,
                              std::span<const Hash> proof, std::string_view root);
/// Is the log of `new_size` an extension of the one of `old_size`, nothing changed, dropped or moved? (RFC 9162 section
/// 2.1.4.2) Errors: "tlog.proof", "tlog.root".
base::Status verify_consistency(std::uint64_t old_size, std::string_view old_root, std::uint64_t new_size,
                                std::string_view new_root, std::span<const Hash> proof);

}  // namespace daypass::tlog
