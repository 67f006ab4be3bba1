#include "tlog/tree.h"

#include <algorithm>
#include <bit>

#include "crypto/digest.h"

namespace daypass::tlog {

using base::Code;
using base::Error;
using base::Status;

namespace {

constexpr std::size_t size_bytes = 8;

/// The largest power of two below `n` (RFC 6962 calls it k): where a tree of n > 1 leaves splits.
std::size_t split(std::size_t n) {
  return std::bit_floor(n - 1);
}

bool all_hashes(std::span<const Hash> hashes) {
  return std::ranges::all_of(hashes, [](const Hash& h) { return h.size() == hash_size; });
}

Error not_a_proof(std::string why) {
  return {Code::invalid, "tlog.proof", "the proof does not fit: " + std::move(why)};
}
Error other_root(std::string_view which) {
  return {Code::invalid, "tlog.root", "the proof leads to another " + std::string(which) + " than the one given"};
}

/// SUBPROOF(m, leaves, whole) of RFC 6962 section 2.1.2. `whole`: the verifier knows the root of these m leaves
/// already.
void subproof(std::vector<Hash>& out, std::span<const Hash> leaves, std::size_t m, bool whole) {
  if (m == leaves.size()) {
    if (!whole) out.push_back(root_of(leaves));
    return;
  }
  const std::size_t k = split(leaves.size());
  if (m <= k) {
    subproof(out, leaves.first(k), m, whole);
    out.push_back(root_of(leaves.subspan(k)));
  } else {
    subproof(out, leaves.subspan(k), m - k, false);
    out.push_back(root_of(leaves.first(k)));
  }
}

/// Where a verifier stands: the node's number at its level, and the number of the last node of that level.
struct Place {
  std::uint64_t node;
  std::uint64_t last;
  void up() {
    node >>= 1U;
    last >>= 1U;
  }
  [[nodiscard]] bool right() const { return (node & 1U) != 0; }
  /// The sibling is to the left: either this is a right child, or it is a lone last node that moves up until it is one.
  [[nodiscard]] bool sibling_is_left() const { return right() || node == last; }
  void skip_lone_levels() {
    while (!right() && node != 0) up();
  }
};

}  // namespace

Hash leaf_hash(std::string_view record) {
  std::string input;
  input.reserve(1 + record.size());
  input += '\x00';
  input += record;
  return crypto::sha256(input);
}

Hash node_hash(std::string_view left, std::string_view right) {
  DP_ASSERT(left.size() == hash_size && right.size() == hash_size);
  std::string input;
  input.reserve(1 + 2 * hash_size);
  input += '\x01';
  input += left;
  input += right;
  return crypto::sha256(input);
}

Hash empty_root() {
  return crypto::sha256({});
}

Hash root_of(std::span<const Hash> leaves) {
  if (leaves.empty()) return empty_root();
  if (leaves.size() == 1) return leaves.front();
  const std::size_t k = split(leaves.size());
  return node_hash(root_of(leaves.first(k)), root_of(leaves.subspan(k)));
}

base::Result<Frontier> Frontier::parse(std::string_view bytes) {
  const auto damaged = [](std::string why) {
    return Error{Code::internal, "tlog.frontier", "the head of an audit log is damaged: " + std::move(why)};
  };
  if (bytes.size() < size_bytes) return damaged("too short for a size");
  Frontier out;
  for (const char c : bytes.substr(0, size_bytes)) out.size_ = out.size_ << 8U | static_cast<unsigned char>(c);
  if (out.size_ > max_size) return damaged("size out of range");
  const auto count = static_cast<std::size_t>(std::popcount(out.size_));
  if (bytes.size() != size_bytes + count * hash_size)
    return damaged("not one hash for each perfect subtree of " + std::to_string(out.size_) + " records");
  for (std::size_t i = 0; i < count; ++i) out.hashes_.emplace_back(bytes.substr(size_bytes + i * hash_size, hash_size));
  return out;
}

std::string Frontier::serialise() const {
  std::string out;
  out.reserve(size_bytes + hashes_.size() * hash_size);
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(size_ >> static_cast<unsigned>(shift) & 0xffU);
  for (const Hash& hash : hashes_) out += hash;
  return out;
}

void Frontier::append(Hash leaf, const OnNode& completed) {
  DP_ASSERT(leaf.size() == hash_size && size_ < max_size);
  // Each trailing one bit of the size is a perfect subtree as large as what is being added: the two become one.
  unsigned level = 0;
  for (std::uint64_t bits = size_; (bits & 1U) != 0; bits >>= 1U) {
    leaf = node_hash(hashes_.back(), leaf);
    hashes_.pop_back();
    ++level;
    if (completed) completed(level, size_ >> level, leaf);
  }
  hashes_.push_back(std::move(leaf));
  ++size_;
}

Hash Frontier::root() const {
  if (hashes_.empty()) return empty_root();
  Hash root = hashes_.back();
  for (std::size_t i = hashes_.size() - 1; i-- > 0;) root = node_hash(hashes_[i], root);
  return root;
}

std::vector<Hash> inclusion_proof(std::span<const Hash> leaves, std::uint64_t index) {
  DP_ASSERT(index < leaves.size());
  std::vector<Hash> path;
  while (leaves.size() > 1) {
    const std::size_t k = split(leaves.size());
    const bool in_left = index < k;
    path.push_back(root_of(in_left ? leaves.subspan(k) : leaves.first(k)));
    leaves = in_left ? leaves.first(k) : leaves.subspan(k);
    if (!in_left) index -= k;
  }
  std::ranges::reverse(path);  // collected from the root down
  return path;
}

std::vector<Hash> consistency_proof(std::span<const Hash> leaves, std::uint64_t old_size) {
  DP_ASSERT(old_size <= leaves.size());
  std::vector<Hash> out;
  if (old_size != 0) subproof(out, leaves, static_cast<std::size_t>(old_size), true);
  return out;
}

Status verify_inclusion(std::string_view leaf, std::uint64_t index, std::uint64_t size, std::span<const Hash> proof,
                        std::string_view root) {
  if (index >= size || size > max_size) return not_a_proof("the position is not below the size");
  if (leaf.size() != hash_size || root.size() != hash_size || !all_hashes(proof))
    return not_a_proof("a hash has the wrong size");
  Place at{index, size - 1};
  Hash hash(leaf);
  for (const Hash& sibling : proof) {
    if (at.last == 0) return not_a_proof("it is too long");
    if (at.sibling_is_left()) {
      hash = node_hash(sibling, hash);
      at.skip_lone_levels();
    } else {
      hash = node_hash(hash, sibling);
    }
    at.up();
  }
  if (at.last != 0) return not_a_proof("it is too short");
  if (hash != root) return other_root("root");
  return {};
}

Status verify_consistency(std::uint64_t old_size, std::string_view old_root, std::uint64_t new_size,
                          std::string_view new_root, std::span<const Hash> proof) {
  if (old_size > new_size || new_size > max_size) return not_a_proof("the older size is the larger one");
  if (old_root.size() != hash_size || new_root.size() != hash_size || !all_hashes(proof))
    return not_a_proof("a hash has the wrong size");
  if (old_size == 0 || old_size == new_size) {
    // Nothing to prove but the roots themselves: every log extends the empty one, and equal sizes mean equal roots.
    if (!proof.empty()) return not_a_proof("it is too long");
    if (old_root != (old_size == 0 ? empty_root() : Hash(new_root))) return other_root("older root");
    if (new_size == 0 && new_root != empty_root()) return other_root("newer root");
    return {};
  }
  Place at{old_size - 1, new_size - 1};
  while (at.right()) at.up();
  // A perfect old tree is a node of the new one, which the verifier has: the proof leaves it out.
  const bool perfect = std::has_single_bit(old_size);
  if (!perfect && proof.empty()) return not_a_proof("it is too short");
  Hash old_hash = perfect ? Hash(old_root) : proof.front();
  Hash new_hash = old_hash;
  for (const Hash& sibling : perfect ? proof : proof.subspan(1)) {
    if (at.last == 0) return not_a_proof("it is too long");
    if (at.sibling_is_left()) {
      old_hash = node_hash(sibling, old_hash);
      new_hash = node_hash(sibling, new_hash);
      at.skip_lone_levels();
    } else {
      new_hash = node_hash(new_hash, sibling);
    }
    at.up();
  }
  if (at.last != 0) return not_a_proof("it is too short");
  if (old_hash != old_root) return other_root("older root");
  if (new_hash != new_root) return other_root("newer root");
  return {};
}

}  // namespace daypass::tlog
