// Proofs and frontiers from a stranger: refused or verified without harm, and no proof holds for a record that is not
// there.
// parses: tlog/tree.cc
#include <cstddef>
#include <cstdint>
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

std::vector<tlog::Hash> hashes(std::string_view bytes) {
  std::vector<tlog::Hash> out;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), tlog::hash_size)))
    out.emplace_back(bytes.substr(0, tlog::hash_size));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view whole(reinterpret_cast<const char*>(data), size);
  if (const auto frontier = tlog::Frontier::parse(whole); frontier.ok()) {
    DP_ASSERT(frontier->serialise() == whole);
    DP_ASSERT(frontier->root().size() == tlog::hash_size);
  }

  std::string_view rest = whole;
  const std::uint64_t a = number(rest);
  const std::uint64_t b = number(rest);
  const auto proof = hashes(rest);
  // Nobody finds a preimage: these roots are of logs that hold neither the leaf nor the older log.
  const tlog::Hash root = tlog::leaf_hash("the only record");
  const tlog::Hash stranger = tlog::leaf_hash("another record");
  for (const std::uint64_t n : {b, b % 64}) {
    DP_ASSERT(!tlog::verify_inclusion(stranger, a, n, proof, root).ok());
    DP_ASSERT(!tlog::verify_inclusion(stranger, a % 64, n, proof, root).ok());
    if (a != 0) DP_ASSERT(!tlog::verify_consistency(a, stranger, n, root, proof).ok());
    if (a % 64 != 0) DP_ASSERT(!tlog::verify_consistency(a % 64, stranger, n, root, proof).ok());
  }
  return 0;
}
