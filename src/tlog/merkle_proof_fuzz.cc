// Proofs and frontiers from a stranger: refused or verified without harm, and no proof holds for a record that is not
// there. What a tree proves of itself holds, and nothing else does: no other place, no changed hash, no other root.
// parses: tlog/tree.cc
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "tlog/tree.h"

using namespace daypass;

namespace {

std::uint64_t number(std::string_view& bytes) {
  std::uint64_t out = 0;
  for (int i = 0; i < 8 && !bytes.empty(); ++i, bytes.remove_prefix(1))
    out = out << 8U | static_cast<unsigned char>(bytes[0]);
  return out;
}

// Either it is no proof, or it leads somewhere else: never another answer.
void refused(const base::Status& status) {
  DP_ASSERT(!status.ok() && (status.error().check == "tlog.proof" || status.error().check == "tlog.root"));
  DP_ASSERT(!status.error().message.empty());
}

std::vector<tlog::Hash> hashes(std::string_view bytes) {
  std::vector<tlog::Hash> out;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), tlog::hash_size)))
    out.emplace_back(bytes.substr(0, tlog::hash_size));
  return out;
}

// A log of up to 64 records and its beginning, and the proofs of both: by the tree from scratch and by the frontier
// that grew. `change` names a bit of the proof.
void honest(std::size_t size, std::size_t old_size, std::size_t index, std::size_t change) {
  static const auto all = [] {
    std::vector<tlog::Hash> out;
    for (int i = 0; i < 64; ++i) out.push_back(tlog::leaf_hash("record " + std::to_string(i)));
    return out;
  }();
  const std::span<const tlog::Hash> leaves = std::span(all).first(size);
  tlog::Frontier frontier, old_frontier;
  for (const auto& leaf : leaves) {
    frontier.append(leaf);
    if (frontier.size() == old_size) old_frontier = frontier;
  }
  const tlog::Hash root = frontier.root(), old_root = old_frontier.root();
  DP_ASSERT(frontier.size() == size && root == tlog::root_of(leaves));
  DP_ASSERT(tlog::Frontier::parse(frontier.serialise()).value() == frontier);
  const tlog::Hash stranger = tlog::leaf_hash("another record");
  const auto changed = [change](std::vector<tlog::Hash> proof) {
    tlog::Hash& hash = proof[change / 256 % proof.size()];
    hash[change / 8 % tlog::hash_size] ^= static_cast<char>(1U << change % 8);
    return proof;
  };

  if (index < size) {
    const auto proof = tlog::inclusion_proof(leaves, index);
    DP_ASSERT(tlog::verify_inclusion(leaves[index], index, size, proof, root).ok());
    refused(tlog::verify_inclusion(stranger, index, size, proof, root));
    refused(tlog::verify_inclusion(leaves[index], index, size, proof, stranger));
    refused(tlog::verify_inclusion(leaves[index], (index + 1) % (size + 1), size, proof, root));
    auto longer = proof;
    longer.push_back(stranger);
    refused(tlog::verify_inclusion(leaves[index], index, size, longer, root));
    if (!proof.empty()) {
      refused(tlog::verify_inclusion(leaves[index], index, size, changed(proof), root));
      refused(tlog::verify_inclusion(leaves[index], index, size, std::span(proof).first(proof.size() - 1), root));
    }
  }

  const auto proof = tlog::consistency_proof(leaves, old_size);
  DP_ASSERT(tlog::verify_consistency(old_size, old_root, size, root, proof).ok());
  refused(tlog::verify_consistency(old_size, stranger, size, root, proof));
  // Every log is an extension of the empty one.
  if (old_size != 0 || size == 0) refused(tlog::verify_consistency(old_size, old_root, size, stranger, proof));
  if (old_size != size) refused(tlog::verify_consistency(size, root, old_size, old_root, proof));
  auto longer = proof;
  longer.push_back(stranger);
  refused(tlog::verify_consistency(old_size, old_root, size, root, longer));
  if (!proof.empty()) {
    refused(tlog::verify_consistency(old_size, old_root, size, root, changed(proof)));
    refused(tlog::verify_consistency(old_size, old_root, size, root, std::span(proof).first(proof.size() - 1)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view whole(reinterpret_cast<const char*>(data), size);
  if (const auto frontier = tlog::Frontier::parse(whole); frontier.ok()) {
    DP_ASSERT(frontier->serialise() == whole);
    DP_ASSERT(frontier->root().size() == tlog::hash_size);
  } else {
    DP_ASSERT(frontier.error().check == "tlog.frontier");
  }

  std::string_view rest = whole;
  const std::uint64_t a = number(rest);
  const std::uint64_t b = number(rest);
  const auto proof = hashes(rest);
  // Nobody finds a preimage: these roots are of logs that hold neither the leaf nor the older log.
  const tlog::Hash root = tlog::leaf_hash("the only record");
  const tlog::Hash stranger = tlog::leaf_hash("another record");
  for (const std::uint64_t n : {b, b % 64}) {
    refused(tlog::verify_inclusion(stranger, a, n, proof, root));
    refused(tlog::verify_inclusion(stranger, a % 64, n, proof, root));
    if (a != 0) refused(tlog::verify_consistency(a, stranger, n, root, proof));
    if (a % 64 != 0) refused(tlog::verify_consistency(a % 64, stranger, n, root, proof));
  }

  const std::size_t records = b % 65;
  honest(records, a % (records + 1), a / 65 % 64, (a >> 16U) % 65536);
  return 0;
}
