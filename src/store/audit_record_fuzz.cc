// Records of the audit log as a damaged or hostile store would hand them out: what is accepted has exactly one
// spelling. And events as they are appended: who is erased from one is named nowhere in it, and the leaf stays.
// parses: core/audit.cc store/audit_leaf.cc
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "core/audit.h"
#include "store/audit_leaf.h"
#include "tlog/tiles.h"

using namespace daypass;

namespace {

// Whoever is named in it can be forgotten.
void forget(const core::AuditEvent& event) {
  const std::string leaf = store::leaf_of(event);
  for (const std::string& who : {event.actor, base::json::Value(event.facts).string_or("principal")}) {
    if (!core::is_person(who)) continue;
    DP_ASSERT(core::names(event, who));
    core::AuditEvent less = event;
    store::erase_covered(less, core::said_of(event, who));
    DP_ASSERT(!core::names(less, who) && core::said_of(less, who).empty());
    DP_ASSERT(store::leaf_of(less) == leaf);
  }
}

// Appended: the record reads back, what is not UTF-8 as U+FFFD, and its hash is that of the event's leaf.
void append(core::AuditEvent event) {
  const auto entry = store::entry_of(event);
  if (!entry.ok()) {
    DP_ASSERT(entry.error().check == "audit.record");
    return;
  }
  DP_ASSERT(entry->record.size() <= tlog::max_entry);
  const auto back = core::audit_from_canonical(entry->record);
  DP_ASSERT(back.ok() && core::canonical(*back) == entry->record);
  DP_ASSERT(store::leaf_of(*back) == store::leaf_of(event));
  DP_ASSERT(entry->hash == tlog::leaf_hash(store::leaf_of(event)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto read = core::audit_from_canonical(bytes);
  DP_ASSERT(store::leaf_of(bytes).ok() == read.ok());
  if (read.ok()) {
    DP_ASSERT(core::canonical(*read) == bytes);
    // The leaf stays what it is, whatever is erased.
    const std::string leaf = store::leaf_of(*read);
    for (const auto& [name, cover] : read->covers) {
      core::AuditEvent less = *read;
      store::erase_covered(less, {name});
      DP_ASSERT(store::leaf_of(less) == leaf);
      const auto back = core::audit_from_canonical(core::canonical(less));
      DP_ASSERT(back.ok() && *back == less);
    }
  } else {
    DP_ASSERT(read.error().check == "audit.record");
  }

  // The other way round: whatever texts an event holds, its record reads back to the same bytes or not at all.
  core::AuditEvent event;
  const auto piece = [&](std::size_t part) { return std::string(bytes.substr(size / 4 * part, size / 4)); };
  event.tenant = core::TenantId("north");
  event.actor = piece(0);
  event.action = piece(1);
  event.object = piece(2);
  event.facts.set(piece(2), piece(1));
  event.facts.set(piece(3), piece(0));
  const auto again = core::audit_from_canonical(core::canonical(event));
  DP_ASSERT(!again.ok() || core::canonical(*again) == core::canonical(event));

  // Written by us: covered, and at some sizes larger than an entry bundle can hold, by its facts or by all.
  core::AuditEvent ours = read.ok() ? *read : event;
  ours.covers.clear();
  base::SeededEntropy entropy(size);
  store::cover_persons(ours, entropy);
  forget(ours);
  if (size % 64 == 0) ours.facts.set("note", std::string(tlog::max_entry, 'n'));
  if (size % 128 == 0) ours.object.assign(tlog::max_entry, 'o');
  store::cover_persons(ours, entropy);
  append(ours);
  return 0;
}
