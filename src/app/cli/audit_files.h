// Audit logs, checkpoints and keys as files, and their verification against checkpoints alone: no server is asked.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tlog/note.h"

namespace daypass::app::cli {

/// The next record of a log; nullopt behind the last.
using NextRecord = std::function<base::Result<std::optional<std::string>>()>;

/// A head that somebody vouches for, and where it came from.
struct KnownHead {
  tlog::Checkpoint head;
  std::string from;
};

struct LogVerdict {
  std::uint64_t records = 0;
  tlog::Hash root;
  std::uint64_t covered = 0;  ///< by the largest head; what is behind is nobody's word
  /// Records of which something was left out, and how many of them the log says were changed for that. An export may
  /// leave out what it likes, and end before it is accounted for; tiles leave out all.
  std::uint64_t erased = 0, accounted = 0;
};

/// Hashes every record anew and compares the root at each head's size: all heads must be of this log and of one
/// history. Memory does not grow with the log. Errors: "audit.leaf" (not a record, or of another tenant), "audit.gap"
/// (missing or out of place), "audit.fork" (the records up to a head give another root, or two heads differ),
/// "audit.rollback" (the log is shorter than a head).
base::Result<LogVerdict> verify_records(const NextRecord& next, std::vector<KnownHead> heads);

/// An export: a file of JSON Lines, or a folder of C2SP tiles. Error: "audit.file".
base::Result<NextRecord> open_log(const std::string& path);
/// A verifier key as text, or a file that holds one. Error: "note.key".
base::Result<tlog::NoteKey> read_note_key(const std::string& text_or_file);
/// Errors: "audit.file", those of tlog::open_checkpoint.
base::Result<KnownHead> read_checkpoint(const std::string& file, const tlog::NoteKey& key);

/// Writes the log of `checkpoint` (a signed note of `size` records) below `folder` as C2SP tlog-tiles lays it out:
/// checkpoint, tile/<level>/…, tile/entries/…. Errors: "audit.file", "audit.gap" (there are fewer records).
base::Status write_tiles(const std::string& folder, const NextRecord& next, const std::string& checkpoint,
                         std::uint64_t size);

}  // namespace daypass::app::cli
