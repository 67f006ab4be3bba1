#include "tlog/tiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace daypass::tlog {
namespace {

using base::Code;
using base::Error;
using base::Result;
using testing::ElementsAre;

std::vector<Hash> leaves_of(std::size_t count) {
  std::vector<Hash> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(leaf_hash("record " + std::to_string(i)));
  return out;
}

/// Tiles as a log keeps them: level 0 from its records, the others as they grew.
class Shelf {
 public:
  explicit Shelf(std::vector<Hash> leaves) : leaves_(std::move(leaves)) { grow(leaves_.size()); }
  Shelf(std::vector<Hash> leaves, std::initializer_list<std::size_t> steps) : leaves_(std::move(leaves)) {
    for (const std::size_t n : steps) grow(n);
  }
  void grow(std::size_t to) {
    GrowingTiles growing;
    const auto sink = growing.sink();
    while (frontier.size() < to) frontier.append(leaves_[frontier.size()], sink);
    for (const auto& [key, growth] : growing.growth()) {
      std::string& tile = upper[key];
      ASSERT_EQ(tile.size(), growth.from * hash_size);
      tile += growth.hashes;
    }
  }
  ReadTile reader() {
    return [this](const Tile& tile) -> Result<std::string> {
      ++reads;
      if (tile.level != 0) {
        const auto it = upper.find({tile.level, tile.index});
        if (it == upper.end()) return Error{Code::internal, "test.tile", "there is no " + tile_path(tile)};
        return it->second.substr(0, tile.width * hash_size);
      }
      std::string out;
      for (unsigned i = 0; i < tile.width; ++i) out += leaves_[tile.index * tile_width + i];
      return out;
    };
  }
  Frontier frontier;
  std::map<GrowingTiles::Key, std::string> upper;
  std::size_t reads = 0;

 private:
  std::vector<Hash> leaves_;
};

TEST(TilePaths, AreThoseOfTheSpecification) {
  EXPECT_EQ(tile_path({0, 0}), "tile/0/000");
  EXPECT_EQ(tile_path({1, 1234067}), "tile/1/x001/x234/067");
  EXPECT_EQ(tile_path({0, 1234067, 12}), "tile/0/x001/x234/067.p/12");
  EXPECT_EQ(tile_path({2, 1000, 1}), "tile/2/x001/000.p/1");
  EXPECT_EQ(tile_path({0, 999, 255}), "tile/0/999.p/255");
  EXPECT_EQ(bundle_path(1234067, 256), "tile/entries/x001/x234/067");
  EXPECT_EQ(bundle_path(5, 8), "tile/entries/005.p/8");
}

TEST(TilePaths, ReadBack) {
  for (const unsigned level : {0U, 1U, 7U})
    for (const std::uint64_t index : {0ULL, 1ULL, 999ULL, 1000ULL, 67ULL, 1234067ULL, 999'999'999ULL, 1ULL << 54U})
      for (const unsigned width : {1U, 9U, 255U, 256U}) {
        const Tile tile{level, index, width};
        const auto read = parse_tile_path(tile_path(tile));
        ASSERT_TRUE(read.ok()) << tile_path(tile);
        EXPECT_EQ(*read, (TilePath{false, tile}));
        const auto bundle = parse_tile_path(bundle_path(index, width));
        ASSERT_TRUE(bundle.ok());
        EXPECT_EQ(*bundle, (TilePath{true, {0, index, width}}));
      }
}

TEST(TilePaths, HaveOneSpelling) {
  for (const char* path : {"",
                           "tile",
                           "tile/",
                           "tile/0",
                           "tile/0/",
                           "tile/0/0",
                           "tile/0/00",
                           "tile/0/0000",
                           "tile/00/000",
                           "tile/8/000",
                           "tile/64/000",
                           "tile/-1/000",
                           "tile/a/000",
                           "tile/0/x000/067",
                           "tile/0/x001",
                           "tile/0/x001/",
                           "tile/0/001/002",
                           "tile/0/x1/002",
                           "tile/0/x001/x002",
                           "tile/0/000.p/0",
                           "tile/0/000.p/256",
                           "tile/0/000.p/01",
                           "tile/0/000.p/",
                           "tile/0/000.p/1/",
                           "tile/0/000.p",
                           "tile/0/000/",
                           "tile/0/ 00",
                           "tile/entries/",
                           "tile/entries/0",
                           "/tile/0/000",
                           "tile/0/+01",
                           "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
                           "tile/0/x004/x611/x686/x018/x427/x387/905"})
    EXPECT_FALSE(parse_tile_path(path).ok()) << path;
}

TEST(Tiles, OfALogOf70000AreThoseOfTheSpecification) {
  std::map<std::pair<unsigned, unsigned>, int> count;  // level, width
  ASSERT_TRUE(each_tile(70'000, [&](const Tile& tile) {
                ++count[{tile.level, tile.width}];
                return base::Status();
              }).ok());
  EXPECT_EQ(count, (std::map<std::pair<unsigned, unsigned>, int>{
                       {{0, 256}, 273}, {{0, 112}, 1}, {{1, 256}, 1}, {{1, 17}, 1}, {{2, 1}, 1}}));
  EXPECT_EQ(width_of(256, 0, 0), 256U);
  EXPECT_EQ(width_of(256, 0, 1), 0U);
  EXPECT_EQ(width_of(256, 1, 0), 1U);
  EXPECT_EQ(width_of(255, 1, 0), 0U);
  EXPECT_EQ(width_of(0, 0, 0), 0U);
  EXPECT_EQ(width_of(max_size, 7, 0), 64U);
  EXPECT_EQ(width_of(max_size, 8, 0), 0U);
}

TEST(Tiles, GrowTheSameInStepsAsAtOnce) {
  const auto leaves = leaves_of(66'000);
  const Shelf at_once(leaves);
  const Shelf in_steps(leaves, {1, 255, 256, 257, 512, 60'000, 65'535, 65'536, 66'000});
  EXPECT_EQ(at_once.upper, in_steps.upper);
  EXPECT_EQ(at_once.frontier, in_steps.frontier);
  EXPECT_EQ(at_once.upper.size(), 3U);  // two of level 1, one of level 2
}

TEST(TiledTree, GivesTheProofsOfTheWholeTree) {
  const auto leaves = leaves_of(1100);
  Shelf shelf(leaves);
  for (const std::size_t size :
       {1U, 2U, 3U, 7U, 8U, 255U, 256U, 257U, 300U, 511U, 512U, 513U, 768U, 1023U, 1024U, 1100U}) {
    const auto log = std::span(leaves).first(size);
    TiledTree tree(size, shelf.reader());
    const auto root = tree.root();
    ASSERT_TRUE(root.ok()) << size << root.error().message;
    ASSERT_EQ(*root, root_of(log));
    for (std::size_t i = 0; i < size; i += size > 300 ? 37 : 1) {
      const auto proof = tree.inclusion_proof(i);
      ASSERT_TRUE(proof.ok());
      ASSERT_EQ(*proof, inclusion_proof(log, i)) << i << " of " << size;
    }
    for (std::size_t old = 0; old <= size; old += size > 300 ? 41 : 1) {
      const auto proof = tree.consistency_proof(old);
      ASSERT_TRUE(proof.ok());
      ASSERT_EQ(*proof, consistency_proof(log, old)) << old << " of " << size;
    }
  }
}

TEST(TiledTree, ReadsFewTilesOfALargeLog) {
  const std::size_t size = 70'000;
  const auto leaves = leaves_of(size);
  Shelf shelf(leaves);
  const Hash root = shelf.frontier.root();
  std::size_t most = 0;
  for (std::size_t i = 0; i < size; i += 997) {
    shelf.reads = 0;
    TiledTree tree(size, shelf.reader());
    const auto proof = tree.inclusion_proof(i);
    ASSERT_TRUE(proof.ok());
    EXPECT_TRUE(verify_inclusion(leaves[i], i, size, *proof, root).ok()) << i;
    most = std::max(most, shelf.reads);
  }
  EXPECT_LE(most, 5U);  // of level 0 the record's and the last; of level 1 both; of level 2 the one
  for (const std::size_t old : {1U, 255U, 256U, 257U, 65'535U, 65'536U, 65'537U, 69'999U}) {
    TiledTree older(old, shelf.reader()), newer(size, shelf.reader());
    const auto old_root = older.root();
    const auto proof = newer.consistency_proof(old);
    ASSERT_TRUE(old_root.ok() && proof.ok()) << old;
    EXPECT_TRUE(verify_consistency(old, *old_root, size, root, *proof).ok()) << old;
  }
}

TEST(TiledTree, RefusesWhatTheLogDoesNotHave) {
  Shelf shelf(leaves_of(10));
  TiledTree tree(10, shelf.reader());
  EXPECT_EQ(tree.inclusion_proof(10).error().check, "tlog.index");
  EXPECT_EQ(tree.consistency_proof(11).error().check, "tlog.index");
  TiledTree empty(0, shelf.reader());
  EXPECT_EQ(*empty.root(), empty_root());
  EXPECT_EQ(empty.inclusion_proof(0).error().check, "tlog.index");
}

TEST(TiledTree, RefusesATileOfTheWrongSizeAndPassesErrorsOn) {
  for (const int by : {-1, 1, -32, 32}) {
    Shelf shelf(leaves_of(300));
    TiledTree tree(300, [&](const Tile& tile) -> Result<std::string> {
      auto bytes = *shelf.reader()(tile);
      bytes.resize(bytes.size() + static_cast<std::size_t>(by));
      return bytes;
    });
    EXPECT_EQ(tree.root().error().check, "tlog.tile") << by;
  }
  TiledTree none(300, [](const Tile&) -> Result<std::string> { return Error{Code::internal, "test.gone", "gone"}; });
  EXPECT_EQ(none.inclusion_proof(3).error().check, "test.gone");
}

TEST(TiledTree, AChangedTileGivesNoProofThatVerifies) {
  const auto leaves = leaves_of(600);
  Shelf shelf(leaves);
  const Hash root = shelf.frontier.root();
  for (std::size_t byte = 0; byte < 2 * hash_size; ++byte) {
    TiledTree tree(600, [&](const Tile& tile) -> Result<std::string> {
      auto bytes = *shelf.reader()(tile);
      if (tile.level == 1) bytes[byte] ^= 1;
      return bytes;
    });
    EXPECT_FALSE(verify_inclusion(leaves[599], 599, 600, *tree.inclusion_proof(599), root).ok()) << byte;
  }
}

TEST(Bundles, HoldRecordsWithTheirLengths) {
  const std::string long_one(max_entry, 'x');
  const std::string bytes = bundle_entry("ab") + bundle_entry("") + bundle_entry(long_one);
  EXPECT_EQ(bytes.substr(0, 6), std::string("\x00\x02"
                                            "ab"
                                            "\x00\x00",
                                            6));
  const auto read = parse_bundle(bytes, 3);
  ASSERT_TRUE(read.ok());
  EXPECT_THAT(*read, ElementsAre("ab", "", long_one));
  EXPECT_EQ(parse_bundle(bytes, 2).error().check, "tlog.bundle");
  EXPECT_EQ(parse_bundle(bytes, 4).error().check, "tlog.bundle");
  const std::string two = bundle_entry("ab") + bundle_entry("c");
  for (std::size_t n = 0; n < two.size(); ++n) EXPECT_FALSE(parse_bundle(two.substr(0, n), 2).ok()) << n;
  EXPECT_TRUE(parse_bundle("", 0).ok());
}

}  // namespace
}  // namespace daypass::tlog
