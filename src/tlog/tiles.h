// A log's Merkle tree as tiles (C2SP tlog-tiles): which there are, what they are called, and proofs in O(log size) from
// whatever hands tiles out. Pure: reading is a callback.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tlog/tree.h"

namespace daypass::tlog {

inline constexpr unsigned tile_height = 8;
inline constexpr unsigned tile_width = 256;  ///< hashes, or records, of a full one
/// The highest level at which a log of max_size has a tile.
inline constexpr unsigned max_tile_level = 7;
/// The longest record that an entry bundle can hold, in bytes.
inline constexpr std::size_t max_entry = 65535;

/// Hashes [256 index, 256 index + width) of the level: at level 0 those of records, above it those of the full tiles
/// of the level below.
struct Tile {
  unsigned level = 0;
  std::uint64_t index = 0;
  unsigned width = tile_width;  ///< 1 to 256; below 256 it is partial
  auto operator<=>(const Tile&) const = default;
};

/// The width of that tile in a log of `size` records; 0: there is none.
unsigned width_of(std::uint64_t size, unsigned level, std::uint64_t index);

/// Every tile of a log of `size` records, level by level; stops at the first error of `fn` and returns it.
base::Status each_tile(std::uint64_t size, const std::function<base::Status(const Tile&)>& fn);

/// "tile/1/x001/x234/067", partial: "tile/1/x001/x234/067.p/12".
std::string tile_path(const Tile& tile);
/// "tile/entries/x001/x234/067.p/12": the records of a tile of level 0.
std::string bundle_path(std::uint64_t index, unsigned width);

struct TilePath {
  bool entries = false;  ///< the bundle of records; level is 0
  Tile tile;
  bool operator==(const TilePath&) const = default;
};
/// Reads both back; one spelling for each. Error: "tlog.path".
base::Result<TilePath> parse_tile_path(std::string_view path);

/// One record with its length before it (two bytes, big-endian), as a bundle holds it. Requires at most max_entry
/// bytes.
std::string bundle_entry(std::string_view record);
/// The records of a bundle, of which there must be exactly `width`. Error: "tlog.bundle".
base::Result<std::vector<std::string>> parse_bundle(std::string_view bytes, unsigned width);

/// The tile's hashes one after the other, exactly width * 32 bytes. Anything else is refused by who asked.
using ReadTile = std::function<base::Result<std::string>(const Tile& tile)>;

/// Roots and proofs of a log of `size` records. Each call reads O(log size) tiles, each of them once in the life of
/// this object. What comes out is only as good as the tiles: verify it against a root that is trusted.
/// Errors: those of the callback; "tlog.tile" (a tile has the wrong size).
class TiledTree {
 public:
  TiledTree(std::uint64_t size, ReadTile read);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  base::Result<Hash> root();
  /// Of record `index`, from the leaf up. Error besides: "tlog.index" (not below size).
  base::Result<std::vector<Hash>> inclusion_proof(std::uint64_t index);
  /// That the log of `old_size` is its beginning. Error besides: "tlog.index" (it is larger).
  base::Result<std::vector<Hash>> consistency_proof(std::uint64_t old_size);

 private:
  base::Result<Hash> node(unsigned level, std::uint64_t index);
  base::Result<Hash> range(std::uint64_t begin, std::uint64_t end);
  base::Result<std::string_view> tile(unsigned level, std::uint64_t index);

  std::uint64_t size_;
  ReadTile read_;
  std::map<std::pair<unsigned, std::uint64_t>, std::string> tiles_;
};

/// The hashes above the leaves that become known while a log grows: what tiles of level 1 and up gain. Give its
/// sink() to Frontier::append.
class GrowingTiles {
 public:
  struct Growth {
    unsigned from = 0;   ///< how many hashes the tile had before
    std::string hashes;  ///< what comes behind them
  };
  using Key = std::pair<unsigned, std::uint64_t>;  ///< level, index
  Frontier::OnNode sink();
  [[nodiscard]] const std::map<Key, Growth>& growth() const noexcept { return growth_; }

 private:
  std::map<Key, Growth> growth_;
};

}  // namespace daypass::tlog
