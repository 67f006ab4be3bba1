// Notes, checkpoints, verifier keys, proofs, tile paths and entry bundles from a stranger: what is accepted has one
// spelling, and nothing that nobody signed ever opens.
// parses: tlog/note.cc tlog/tiles.cc
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "tlog/note.h"
#include "tlog/tiles.h"

using namespace daypass;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);

  const tlog::NoteKey key{"example.com/log", std::string(32, 'k')};
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
  return 0;
}
