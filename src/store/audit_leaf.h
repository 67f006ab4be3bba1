// What of an audit record is hashed. A record says things of persons, and a person can be erased, but the log can never
// change: so the leaf holds, in place of each such value, SHA-256 over a random salt and the value. The record as it is
// stored and shown has value and salt, from which anybody can make the leaf again; once both are gone, nobody can say
// what stood there, and the leaf is what it was.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/entropy.h"
#include "base/result.h"
#include "core/audit.h"
#include "tlog/tree.h"

namespace daypass::store {

/// Covers what the event says of persons (core::said_of_persons), with a fresh salt of 16 bytes for each value.
void cover_persons(core::AuditEvent& event, base::Entropy& entropy);
/// Erases the values of these covers: of each the digest stays.
void erase_covered(core::AuditEvent& event, const std::vector<std::string>& covers);

/// The leaf: the record's canonical bytes with every covered value erased; without covers the record itself.
std::string leaf_of(const core::AuditEvent& event);
/// The same of a record's bytes. Error: "audit.record".
base::Result<std::string> leaf_of(std::string_view record);

/// A record as it is appended: `record` is stored, `hash` is of its leaf.
struct LogEntry {
  std::string record;
  tlog::Hash hash;
};
/// The entry of an event whose seq is given. Record and leaf have at most tlog::max_entry bytes, so that an entry
/// bundle can hold them; facts that are too large give way to their size and SHA-256: a change is never lost for what
/// is said of it. Bytes that are not UTF-8 are written as U+FFFD, as in all JSON (base/json.h). Error: "audit.record" (it
/// could not be read back, or is too large without its facts).
base::Result<LogEntry> entry_of(core::AuditEvent& event);

}  // namespace daypass::store
