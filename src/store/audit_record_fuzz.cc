// Records of the audit log as a damaged or hostile store would hand them out: what is accepted has exactly one
// spelling.
// parses: core/audit.cc store/audit_leaf.cc
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "core/audit.h"
#include "store/audit_leaf.h"

using namespace daypass;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto read = core::audit_from_canonical(bytes);
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
  event.facts.set(piece(3), piece(0));
  const auto again = core::audit_from_canonical(core::canonical(event));
  DP_ASSERT(!again.ok() || core::canonical(*again) == core::canonical(event));
  return 0;
}
