#include "tlog/tiles.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

namespace daypass::tlog {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view entries_prefix = "tile/entries/";
constexpr std::string_view tile_prefix = "tile/";
constexpr std::string_view partial_mark = ".p/";

Error bad_path() {
  return {Code::invalid, "tlog.path", "that is not the path of a tile or of an entry bundle"};
}
Error bad_index(std::string why) {
  return {Code::invalid, "tlog.index", std::move(why)};
}

/// How many hashes a level has in a log of `size` records.
std::uint64_t hashes_at(std::uint64_t size, unsigned level) {
  return level > max_tile_level ? 0 : size >> (tile_height * level);
}

std::string three_digits(std::uint64_t n) {
  std::string out = std::to_string(n);
  return std::string(3 - out.size(), '0') + out;
}

/// 1234067 → x001/x234/067
std::string index_path(std::uint64_t index) {
  std::string out = three_digits(index % 1000);
  while ((index /= 1000) != 0) out = "x" + three_digits(index % 1000) + "/" + out;
  return out;
}

std::string with_width(std::string path, unsigned width) {
  DP_ASSERT(width >= 1 && width <= tile_width);
  return width == tile_width ? path : path + std::string(partial_mark) + std::to_string(width);
}

/// Decimal without sign and superfluous zeroes, at most `most`.
std::optional<std::uint64_t> decimal(std::string_view text, std::uint64_t most) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t out = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failed != std::errc() || end != text.data() + text.size() || out > most) return std::nullopt;
  return out;
}

std::optional<std::uint64_t> parse_index(std::string_view text) {
  std::uint64_t out = 0;
  bool first = true;
  for (;;) {
    const bool more = text.starts_with('x');
    if (more) text.remove_prefix(1);
    if (text.size() < 3 || out > max_size / 1000) return std::nullopt;
    std::uint64_t group = 0;
    for (const char c : text.substr(0, 3)) {
      if (c < '0' || c > '9') return std::nullopt;
      group = group * 10 + static_cast<std::uint64_t>(c - '0');
    }
    // x000/067 would be a second spelling of 067.
    if (first && more && group == 0) return std::nullopt;
    out = out * 1000 + group;
    text.remove_prefix(3);
    if (!more) return text.empty() && out <= max_size ? std::optional(out) : std::nullopt;
    if (!text.starts_with('/')) return std::nullopt;
    text.remove_prefix(1);
    first = false;
  }
}

}  // namespace

unsigned width_of(std::uint64_t size, unsigned level, std::uint64_t index) {
  const std::uint64_t all = hashes_at(size, level);
  if (index > all / tile_width) return 0;
  return static_cast<unsigned>(std::min<std::uint64_t>(tile_width, all - index * tile_width));
}

Status each_tile(std::uint64_t size, const std::function<Status(const Tile&)>& fn) {
  for (unsigned level = 0; level <= max_tile_level; ++level)
    for (std::uint64_t index = 0;; ++index) {
      const unsigned width = width_of(size, level, index);
      if (width == 0) break;
      DP_CHECK(fn({level, index, width}));
    }
  return {};
}

std::string tile_path(const Tile& tile) {
  return with_width(std::string(tile_prefix) + std::to_string(tile.level) + "/" + index_path(tile.index), tile.width);
}

std::string bundle_path(std::uint64_t index, unsigned width) {
  return with_width(std::string(entries_prefix) + index_path(index), width);
}

Result<TilePath> parse_tile_path(std::string_view path) {
  TilePath out;
  if (path.starts_with(entries_prefix)) {
    out.entries = true;
    path.remove_prefix(entries_prefix.size());
  } else {
    if (!path.starts_with(tile_prefix)) return bad_path();
    path.remove_prefix(tile_prefix.size());
    const auto level = decimal(path.substr(0, path.find('/')), max_tile_level);
    if (!level || path.size() < 2) return bad_path();
    out.tile.level = static_cast<unsigned>(*level);
    path.remove_prefix(2);
  }
  if (const std::size_t at = path.find(partial_mark); at != std::string_view::npos) {
    const auto width = decimal(path.substr(at + partial_mark.size()), tile_width - 1);
    if (!width || *width == 0) return bad_path();
    out.tile.width = static_cast<unsigned>(*width);
    path = path.substr(0, at);
  }
  const auto index = parse_index(path);
  if (!index) return bad_path();
  out.tile.index = *index;
  return out;
}

std::string bundle_entry(std::string_view record) {
  DP_ASSERT(record.size() <= max_entry);
  std::string out;
  out.reserve(2 + record.size());
  out += static_cast<char>(record.size() >> 8U);
  out += static_cast<char>(record.size() & 0xffU);
  out += record;
  return out;
}

Result<std::vector<std::string>> parse_bundle(std::string_view bytes, unsigned width) {
  const auto bad = [](std::string why) { return Error{Code::invalid, "tlog.bundle", "an entry bundle " + why}; };
  std::vector<std::string> out;
  while (!bytes.empty()) {
    if (out.size() == width) return bad("holds more than " + std::to_string(width) + " records");
    if (bytes.size() < 2) return bad("ends within a length");
    const std::size_t size =
        static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) << 8U | static_cast<unsigned char>(bytes[1]);
    if (bytes.size() < 2 + size) return bad("ends within a record");
    out.emplace_back(bytes.substr(2, size));
    bytes.remove_prefix(2 + size);
  }
  if (out.size() != width) return bad("holds " + std::to_string(out.size()) + " records, not " + std::to_string(width));
  return out;
}

TiledTree::TiledTree(std::uint64_t size, ReadTile read) : size_(size), read_(std::move(read)) {
  DP_ASSERT(size <= max_size);
}

Result<Hash> TiledTree::root() {
  if (size_ == 0) return empty_root();
  return range(0, size_);
}

Result<std::vector<Hash>> TiledTree::inclusion_proof(std::uint64_t index) {
  if (index >= size_)
    return bad_index("record " + std::to_string(index) + " is not one of the " + std::to_string(size_) + " there are");
  std::vector<Hash> out;
  std::uint64_t begin = 0, end = size_;
  while (end - begin > 1) {
    const std::uint64_t middle = begin + std::bit_floor(end - begin - 1);
    const bool left = index < middle;
    DP_TRY(Hash sibling, left ? range(middle, end) : range(begin, middle));
    out.push_back(std::move(sibling));
    (left ? end : begin) = middle;
  }
  std::ranges::reverse(out);  // collected from the root down
  return out;
}

Result<std::vector<Hash>> TiledTree::consistency_proof(std::uint64_t old_size) {
  if (old_size > size_)
    return bad_index("a log of " + std::to_string(size_) + " records can't begin with " + std::to_string(old_size));
  std::vector<Hash> out;
  if (old_size == 0 || old_size == size_) return out;
  // SUBPROOF of RFC 6962 section 2.1.2, from the root down; what it collects is told in the other direction.
  std::uint64_t begin = 0, end = size_;
  while (old_size != end) {
    const std::uint64_t middle = begin + std::bit_floor(end - begin - 1);
    const bool left = old_size <= middle;
    DP_TRY(Hash sibling, left ? range(middle, end) : range(begin, middle));
    out.push_back(std::move(sibling));
    (left ? end : begin) = middle;
  }
  // The verifier has the old root itself, so a subtree that is all of the old log is left out.
  if (begin != 0) {
    DP_TRY(Hash last, range(begin, end));
    out.push_back(std::move(last));
  }
  std::ranges::reverse(out);
  return out;
}

/// The root over the leaves [begin, end); `begin` is a multiple of the power of two at or above their number.
Result<Hash> TiledTree::range(std::uint64_t begin, std::uint64_t end) {
  const std::uint64_t count = end - begin;
  if (std::has_single_bit(count)) {
    const auto level = static_cast<unsigned>(std::countr_zero(count));
    return node(level, begin >> level);
  }
  const std::uint64_t middle = begin + std::bit_floor(count);
  DP_TRY(const Hash left, range(begin, middle));
  DP_TRY(const Hash right, range(middle, end));
  return node_hash(left, right);
}

/// The root of the perfect subtree over the leaves [index * 2^level, (index + 1) * 2^level).
Result<Hash> TiledTree::node(unsigned level, std::uint64_t index) {
  const unsigned above = level % tile_height;
  const std::uint64_t first = index << above;
  DP_TRY(const std::string_view hashes, tile(level / tile_height, first / tile_width));
  const std::size_t count = std::size_t{1} << above;
  const std::size_t at = (first % tile_width) * hash_size;
  DP_ASSERT(at + count * hash_size <= hashes.size());
  std::vector<Hash> row;
  for (std::size_t i = 0; i < count; ++i) row.emplace_back(hashes.substr(at + i * hash_size, hash_size));
  return root_of(row);
}

Result<std::string_view> TiledTree::tile(unsigned level, std::uint64_t index) {
  const std::pair key{level, index};
  if (const auto it = tiles_.find(key); it != tiles_.end()) return std::string_view(it->second);
  const Tile wanted{level, index, width_of(size_, level, index)};
  DP_ASSERT(wanted.width != 0);
  DP_TRY(std::string bytes, read_(wanted));
  if (bytes.size() != wanted.width * hash_size)
    return Error{Code::internal, "tlog.tile", tile_path(wanted) + " has the wrong size"};
  return std::string_view(tiles_.emplace(key, std::move(bytes)).first->second);
}

Frontier::OnNode GrowingTiles::sink() {
  return [this](unsigned level, std::uint64_t index, const Hash& hash) {
    if (level % tile_height != 0) return;
    const auto at = static_cast<unsigned>(index % tile_width);
    Growth& growth = growth_.try_emplace({level / tile_height, index / tile_width}, Growth{at, {}}).first->second;
    growth.hashes += hash;
  };
}

}  // namespace daypass::tlog
