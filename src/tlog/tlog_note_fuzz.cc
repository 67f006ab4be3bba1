// Notes, checkpoints, verifier keys, proofs, tile paths and entry bundles from a stranger: what is accepted has one
// spelling, and nothing that nobody signed ever opens. What a log writes itself reads back and proves its records,
// from tiles that may be damaged: then it proves what it would have proved, or nothing.
// parses: tlog/note.cc tlog/tiles.cc
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "tlog/note.h"
#include "tlog/tiles.h"

using namespace daypass;

namespace {

const tlog::NoteKey key{"example.com/log", std::string(32, 'k')};

std::string record(std::uint64_t index) {
  return "record " + std::to_string(index);
}

// A log that has grown until it has a full tile above its records: heads of it, and its tiles.
struct Log {
  static constexpr std::uint64_t most = 66'000;
  Log() {
    tlog::Frontier frontier;
    tlog::GrowingTiles growing;
    const auto sink = growing.sink();
    for (std::uint64_t i = 0; i < most; ++i) {
      if (i % step == 0) roots.push_back(frontier.root());
      leaves.push_back(tlog::leaf_hash(record(i)));
      frontier.append(leaves.back(), sink);
    }
    for (const auto& [place, growth] : growing.growth()) {
      DP_ASSERT(growth.from == 0);
      tiles[place] = growth.hashes;
    }
  }
  // Between two sizes whose root is kept.
  static constexpr std::uint64_t step = 7;
  std::vector<tlog::Hash> roots, leaves;
  std::map<tlog::GrowingTiles::Key, std::string> tiles;
};

const Log& log() {
  static const Log it;
  return it;
}

// The first `size` records of it. `harm` is done to the tile that is read as the `nth`.
enum class Harm : std::uint8_t { none, bit, cut, absent };
tlog::ReadTile reader(Harm harm, unsigned nth, unsigned bit) {
  return [=, reads = 0U](const tlog::Tile& tile) mutable -> base::Result<std::string> {
    std::string out;
    if (tile.level == 0) {
      for (unsigned i = 0; i < tile.width; ++i) out += log().leaves[tile.index * tlog::tile_width + i];
    } else {
      out = log().tiles.at({tile.level, tile.index}).substr(0, tile.width * tlog::hash_size);
    }
    if (reads++ != nth) return out;
    if (harm == Harm::absent) return base::Error{base::Code::unavailable, "fuzz.absent", "there is no such tile"};
    if (harm == Harm::cut) out.pop_back();
    if (harm == Harm::bit) out[bit / 8 % out.size()] ^= static_cast<char>(1U << bit % 8);
    return out;
  };
}

// Of a tree over damaged tiles: each proof is the honest one, or does not verify. And of one record the whole text.
void prove(std::uint64_t size, std::uint64_t old_size, std::uint64_t index, Harm harm, unsigned nth, unsigned bit) {
  const tlog::Hash& root = log().roots[size / Log::step];
  const tlog::Hash& old_root = log().roots[old_size / Log::step];
  tlog::TiledTree honest(size, reader(Harm::none, 0, 0));
  DP_ASSERT(honest.root().value() == root);
  const auto refused = [&](const base::Error& error) {
    DP_ASSERT((harm == Harm::cut && error.check == "tlog.tile") ||
              (harm == Harm::absent && error.check == "fuzz.absent"));
  };

  tlog::TiledTree harmed(size, reader(harm, nth, bit));
  if (index >= size) {
    DP_ASSERT(harmed.inclusion_proof(index).error().check == "tlog.index");
  } else {
    const auto proof = honest.inclusion_proof(index).value();
    DP_ASSERT(tlog::verify_inclusion(log().leaves[index], index, size, proof, root).ok());
    if (const auto other = harmed.inclusion_proof(index); !other.ok())
      refused(other.error());
    else
      DP_ASSERT(*other == proof || !tlog::verify_inclusion(log().leaves[index], index, size, *other, root).ok());

    // The same as a text that anybody can keep, under a signature.
    const auto sign = [](std::string_view text) { return std::string(64, static_cast<char>(text.size())); };
    const auto text = tlog::checkpoint_text({key.name, size, root});
    const auto verify = [&](std::string_view public_key, std::string_view message, std::string_view signature) {
      return public_key == key.public_key && message == text && signature == sign(text);
    };
    const tlog::RecordProof whole{index, proof, tlog::sign_note(text, key, sign)};
    std::string written = tlog::proof_text(whole);
    const auto read = tlog::parse_proof(written);
    DP_ASSERT(read.ok() && *read == whole);
    DP_ASSERT(tlog::verify_record(record(index), *read, key, verify).value().size == size);
    DP_ASSERT(!tlog::verify_record(record(index + 1), *read, key, verify).ok());
    written[bit / 8 % written.size()] ^= static_cast<char>(1U << bit % 8);
    if (const auto changed = tlog::parse_proof(written); changed.ok()) {
      // The head that was signed, and none else; a changed index or hash leads elsewhere.
      const auto head = tlog::verify_record(record(index), *changed, key, verify);
      DP_ASSERT(!head.ok() || (*changed == whole && head->root == root));
    }
  }

  tlog::TiledTree again(size, reader(harm, nth, bit));
  if (old_size > size) {
    DP_ASSERT(again.consistency_proof(old_size).error().check == "tlog.index");
  } else {
    const auto proof = honest.consistency_proof(old_size).value();
    DP_ASSERT(tlog::verify_consistency(old_size, old_root, size, root, proof).ok());
    if (const auto other = again.consistency_proof(old_size); !other.ok())
      refused(other.error());
    else
      DP_ASSERT(*other == proof || !tlog::verify_consistency(old_size, old_root, size, root, *other).ok());
  }
}

// Each tile has a path that reads back, and as many hashes as the log has for it.
void name_tiles(std::uint64_t size) {
  std::uint64_t records = 0;
  const auto seen = tlog::each_tile(size, [&](const tlog::Tile& tile) -> base::Status {
    if (tile.level == 0) records += tile.width;
    DP_ASSERT(tlog::width_of(size, tile.level, tile.index) == tile.width);
    DP_ASSERT(tlog::parse_tile_path(tlog::tile_path(tile)).value() == (tlog::TilePath{false, tile}));
    if (tile.level != 0) return {};
    const auto bundle = tlog::parse_tile_path(tlog::bundle_path(tile.index, tile.width));
    DP_ASSERT(bundle.value() == (tlog::TilePath{true, tile}));
    return {};
  });
  DP_ASSERT(seen.ok() && records == size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);

  // A verifier that believes everything shows what the parser alone lets through.
  const auto believe = [](std::string_view, std::string_view, std::string_view) { return true; };
  const auto doubt = [](std::string_view, std::string_view, std::string_view) { return false; };
  DP_ASSERT(!tlog::open_note(bytes, key, doubt).ok());
  if (const auto text = tlog::open_note(bytes, key, believe); text.ok()) {
    DP_ASSERT(bytes.starts_with(*text) && bytes.substr(text->size()).starts_with("\n\xe2\x80\x94 "));
    if (const auto head = tlog::open_checkpoint(bytes, key, believe); head.ok()) {
      DP_ASSERT(text->starts_with(tlog::checkpoint_text(*head)));
    }
  }
  if (const auto head = tlog::parse_checkpoint(bytes); head.ok())
    DP_ASSERT(bytes.starts_with(tlog::checkpoint_text(*head)));
  if (const auto read = tlog::NoteKey::parse(bytes); read.ok()) DP_ASSERT(read->text() == bytes);
  if (const auto proof = tlog::parse_proof(bytes); proof.ok()) {
    if (bytes.find("\nextra ") != 22) DP_ASSERT(tlog::proof_text(*proof) == bytes);
    DP_ASSERT(!tlog::verify_record("a record", *proof, key, doubt).ok());
  }
  if (const auto path = tlog::parse_tile_path(bytes); path.ok())
    DP_ASSERT((path->entries ? tlog::bundle_path(path->tile.index, path->tile.width) : tlog::tile_path(path->tile)) ==
              bytes);
  if (!bytes.empty()) {
    const unsigned width = static_cast<unsigned char>(bytes[0]);
    if (const auto records = tlog::parse_bundle(bytes.substr(1), width); records.ok()) {
      std::string again;
      for (const auto& record : *records) again += tlog::bundle_entry(record);
      DP_ASSERT(again == bytes.substr(1));
    }
  }
  // What is too short for a note is numbers: two sizes, a record, what harm is done, and where.
  if (size >= 12 && size < 24) {
    const auto number = [&](std::size_t at) {
      std::uint64_t out = 0;
      for (const char c : bytes.substr(at, 3)) out = out << 8U | static_cast<unsigned char>(c);
      return out;
    };
    const auto length = number(0) % Log::most / Log::step * Log::step;
    const auto old_length = number(3) % Log::most / Log::step * Log::step;
    prove(length, old_length, number(6) % Log::most, static_cast<Harm>(data[9] % 4U), data[9] / 4U % 4U,
          data[10] * 256U + data[11]);
    name_tiles(length % 2048);
  }
  return 0;
}
