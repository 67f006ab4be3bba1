#include "tlog/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"

namespace daypass::tlog {
namespace {

using base::hex_decode;
using base::hex_encode;
using testing::ElementsAre;
using testing::IsEmpty;

/// The tree of eight records that the Certificate Transparency projects publish with its roots and proofs.
std::vector<Hash> ct_leaves(std::size_t count = 8) {
  std::vector<Hash> out;
  for (const char* record :
       {"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"})
    if (out.size() < count) out.push_back(leaf_hash(*hex_decode(record)));
  return out;
}

constexpr std::array ct_roots{"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                              "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                              "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                              "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                              "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                              "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                              "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                              "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                              "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

std::vector<std::string> in_hex(const std::vector<Hash>& hashes) {
  std::vector<std::string> out;
  for (const auto& h : hashes) out.push_back(hex_encode(h));
  return out;
}

std::vector<Hash> leaves_of(std::size_t count) {
  std::vector<Hash> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(leaf_hash("record " + std::to_string(i)));
  return out;
}

TEST(MerkleTree, KnownRoots) {
  Frontier frontier;
  EXPECT_EQ(hex_encode(frontier.root()), ct_roots[0]);
  const auto all = ct_leaves();
  for (std::size_t n = 0; n <= all.size(); ++n) {
    EXPECT_EQ(hex_encode(root_of(ct_leaves(n))), ct_roots[n]) << n;
    EXPECT_EQ(hex_encode(frontier.root()), ct_roots[n]) << n;
    if (n < all.size()) frontier.append(all[n]);
  }
}

TEST(MerkleTree, KnownInclusionProofs) {
  EXPECT_THAT(inclusion_proof(ct_leaves(1), 0), IsEmpty());
  EXPECT_THAT(in_hex(inclusion_proof(ct_leaves(8), 0)),
              ElementsAre("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                          "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"));
  EXPECT_THAT(in_hex(inclusion_proof(ct_leaves(8), 5)),
              ElementsAre("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"));
  EXPECT_THAT(in_hex(inclusion_proof(ct_leaves(3), 2)),
              ElementsAre("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"));
}

TEST(MerkleTree, KnownConsistencyProofs) {
  EXPECT_THAT(consistency_proof(ct_leaves(1), 1), IsEmpty());
  EXPECT_THAT(in_hex(consistency_proof(ct_leaves(8), 6)),
              ElementsAre("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"));
  EXPECT_THAT(in_hex(consistency_proof(ct_leaves(5), 2)),
              ElementsAre("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                          "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"));
}

TEST(MerkleTree, LeafAndNodeNeverCollide) {
  // Second preimage: the two children of a node, offered as one record.
  const auto leaves = leaves_of(2);
  EXPECT_NE(leaf_hash(leaves[0] + leaves[1]), root_of(leaves));
  EXPECT_NE(leaf_hash("\x01" + leaves[0] + leaves[1]), root_of(leaves));
}

TEST(Frontier, IsTheRootAtEverySizeAndSurvivesItsSerialisation) {
  const auto leaves = leaves_of(300);
  Frontier frontier;
  for (std::size_t n = 0; n < leaves.size(); ++n) {
    ASSERT_EQ(frontier.size(), n);
    ASSERT_EQ(frontier.root(), root_of(std::span(leaves).first(n))) << n;
    const auto again = Frontier::parse(frontier.serialise());
    ASSERT_TRUE(again.ok()) << n;
    ASSERT_EQ(*again, frontier);
    frontier = *again;
    frontier.append(leaves[n]);
  }
}

TEST(Frontier, RefusesWhatIsNotOne) {
  Frontier frontier;
  for (const auto& leaf : leaves_of(7)) frontier.append(leaf);
  const std::string good = frontier.serialise();
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(Frontier::parse(good.substr(0, n)).ok()) << n;
  EXPECT_FALSE(Frontier::parse(good + '\0').ok());
  EXPECT_FALSE(Frontier::parse(std::string(8, '\xff') + std::string(64 * hash_size, 'x')).ok());
  std::string wrong_size = good;
  wrong_size[7] = 3;
  const auto refused = Frontier::parse(wrong_size);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().check, "tlog.frontier");
}

TEST(InclusionProof, EveryRecordOfEverySizeUpTo70) {
  const auto leaves = leaves_of(70);
  for (std::size_t size = 1; size <= leaves.size(); ++size) {
    const auto log = std::span(leaves).first(size);
    const Hash root = root_of(log);
    for (std::size_t index = 0; index < size; ++index) {
      const auto proof = inclusion_proof(log, index);
      ASSERT_TRUE(verify_inclusion(leaves[index], index, size, proof, root).ok()) << index << " of " << size;
      // The same proof holds for no other position and for no other record.
      if (size > 24) continue;
      for (std::size_t other = 0; other < size; ++other)
        if (other != index) {
          ASSERT_FALSE(verify_inclusion(leaves[index], other, size, proof, root).ok()) << other;
          ASSERT_FALSE(verify_inclusion(leaves[other], index, size, proof, root).ok()) << other;
        }
    }
  }
}

TEST(InclusionProof, TamperedIsRefused) {
  const auto leaves = leaves_of(70);
  for (const std::size_t size : {2U, 7U, 8U, 13U, 70U}) {
    const auto log = std::span(leaves).first(size);
    const Hash root = root_of(log);
    for (std::size_t index = 0; index < size; ++index) {
      const auto proof = inclusion_proof(log, index);
      for (std::size_t i = 0; i < proof.size(); ++i) {
        auto flipped = proof;
        flipped[i][i % hash_size] ^= 1;
        EXPECT_EQ(verify_inclusion(leaves[index], index, size, flipped, root).error().check, "tlog.root");
        auto shorter = proof;
        shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_EQ(verify_inclusion(leaves[index], index, size, shorter, root).error().check, "tlog.proof");
        auto cut = proof;
        cut[i].pop_back();
        EXPECT_EQ(verify_inclusion(leaves[index], index, size, cut, root).error().check, "tlog.proof");
      }
      auto longer = proof;
      longer.push_back(root);
      EXPECT_FALSE(verify_inclusion(leaves[index], index, size, longer, root).ok());
      std::string other_root = root;
      other_root[31] ^= 1;
      EXPECT_EQ(verify_inclusion(leaves[index], index, size, proof, other_root).error().check, "tlog.root");
      EXPECT_FALSE(verify_inclusion(leaves[index], index, size, proof, "").ok());
    }
    EXPECT_EQ(verify_inclusion(leaves[0], size, size, {}, root).error().check, "tlog.proof");
  }
  EXPECT_FALSE(verify_inclusion(leaves[0], 0, 0, {}, empty_root()).ok());
}

TEST(ConsistencyProof, EveryPairOfSizesUpTo70) {
  const auto leaves = leaves_of(70);
  for (std::size_t size = 0; size <= leaves.size(); ++size) {
    const auto log = std::span(leaves).first(size);
    const Hash root = root_of(log);
    for (std::size_t old = 0; old <= size; ++old) {
      const Hash old_root = root_of(log.first(old));
      const auto proof = consistency_proof(log, old);
      ASSERT_TRUE(verify_consistency(old, old_root, size, root, proof).ok()) << old << " in " << size;
      if (old == size) continue;
      std::string other = old_root;
      other[0] ^= 1;
      ASSERT_FALSE(verify_consistency(old, other, size, root, proof).ok()) << old << " in " << size;
      other = root;
      other[0] ^= 1;
      ASSERT_EQ(verify_consistency(old, old_root, size, other, proof).ok(), old == 0) << old << " in " << size;
    }
  }
}

TEST(ConsistencyProof, TamperedIsRefused) {
  const auto leaves = leaves_of(70);
  for (const std::size_t size : {2U, 7U, 8U, 13U, 64U, 70U}) {
    const auto log = std::span(leaves).first(size);
    const Hash root = root_of(log);
    for (std::size_t old = 1; old < size; ++old) {
      const Hash old_root = root_of(log.first(old));
      const auto proof = consistency_proof(log, old);
      for (std::size_t i = 0; i < proof.size(); ++i) {
        auto flipped = proof;
        flipped[i][i % hash_size] ^= 1;
        EXPECT_EQ(verify_consistency(old, old_root, size, root, flipped).error().check, "tlog.root")
            << old << " " << size;
        auto shorter = proof;
        shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_FALSE(verify_consistency(old, old_root, size, root, shorter).ok());
      }
      auto longer = proof;
      longer.push_back(root);
      EXPECT_FALSE(verify_consistency(old, old_root, size, root, longer).ok());
      EXPECT_FALSE(verify_consistency(old, old_root, size, root, {}).ok()) << old << " " << size;
    }
    EXPECT_FALSE(verify_consistency(size, root, size - 1, root, {}).ok());
  }
}

TEST(ConsistencyProof, ARewrittenRecordHasNone) {
  const auto leaves = leaves_of(20);
  auto rewritten = leaves;
  rewritten[3] = leaf_hash("not what it was");
  const Hash old_root = root_of(std::span(leaves).first(12));
  EXPECT_FALSE(verify_consistency(12, old_root, 20, root_of(rewritten), consistency_proof(rewritten, 12)).ok());
}

}  // namespace
}  // namespace daypass::tlog
