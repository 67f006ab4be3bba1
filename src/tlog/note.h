// Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-proof): a log's head as a text that anybody
// can keep, and a proof of one record as a text of its own. Signing and verifying are callbacks: keys live above.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tlog/tree.h"

namespace daypass::tlog {

inline constexpr std::size_t max_note = std::size_t{64} * 1024;  ///< bytes
inline constexpr std::size_t max_signatures = 100;

/// The Ed25519 key of a note, which its text names in full: "NAME+8 hexadecimal digits+base64(0x01 || key)".
struct NoteKey {
  std::string name;        ///< not empty, without white space and '+'
  std::string public_key;  ///< 32 bytes

  /// Error: "note.key" (not such a text, another kind of key, or an id that does not fit).
  static base::Result<NoteKey> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  /// The first four bytes of SHA-256(name || 0x0a || 0x01 || public_key): a name, no proof.
  [[nodiscard]] std::uint32_t id() const;
  bool operator==(const NoteKey&) const = default;
};

/// 64 bytes: the Ed25519 signature (RFC 8032) of `message` under a key that the caller knows.
using SignNote = std::function<std::string(std::string_view message)>;
/// Whether `signature` is that of `message` under the 32 bytes of `public_key`.
using VerifyNote =
    std::function<bool(std::string_view public_key, std::string_view message, std::string_view signature)>;

/// `text` (ends in a newline, well-formed UTF-8, no other control character) with one signature.
std::string sign_note(std::string_view text, const NoteKey& key, const SignNote& sign);
/// The text of a note that `key` has signed. Signatures of other keys are ignored; one that bears the key's name and id
/// and does not verify refuses the note. Errors: "note.shape", "note.unsigned" (none of this key), "note.signature".
base::Result<std::string> open_note(std::string_view note, const NoteKey& key, const VerifyNote& verify);

/// A log's head.
struct Checkpoint {
  std::string origin;  ///< which log; one line, not empty
  std::uint64_t size = 0;
  Hash root;
  bool operator==(const Checkpoint&) const = default;
};
/// The three lines that are signed.
std::string checkpoint_text(const Checkpoint& checkpoint);
/// Extension lines of other logs are accepted and forgotten. Error: "checkpoint.shape".
base::Result<Checkpoint> parse_checkpoint(std::string_view text);
/// Opens the note, and requires the key's name to be the origin. Errors: those of open_note and parse_checkpoint,
/// "checkpoint.origin".
base::Result<Checkpoint> open_checkpoint(std::string_view note, const NoteKey& key, const VerifyNote& verify);

/// That one record stands in the log of a checkpoint.
struct RecordProof {
  std::uint64_t index = 0;
  std::vector<Hash> path;  ///< from the leaf up
  std::string checkpoint;  ///< the signed note
  bool operator==(const RecordProof&) const = default;
};
/// c2sp.org/tlog-proof@v1
std::string proof_text(const RecordProof& proof);
/// Error: "tlog.proof_text".
base::Result<RecordProof> parse_proof(std::string_view text);
/// Does `record` stand there? The checkpoint that says so. Errors: those of open_checkpoint and verify_inclusion.
base::Result<Checkpoint> verify_record(std::string_view record, const RecordProof& proof, const NoteKey& key,
                                       const VerifyNote& verify);

}  // namespace daypass::tlog
