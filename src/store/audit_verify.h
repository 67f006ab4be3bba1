// Verification of a tenant's audit log against its head: what `daypass audit verify` runs, on any driver.
#pragma once

#include <cstdint>
#include <string>

#include "store/store.h"

namespace daypass::store {

struct AuditReport {
  std::uint64_t records = 0;
  std::string root_hex;  ///< RFC 6962 root, 64 lower-case hexadecimal digits
  bool operator==(const AuditReport&) const = default;
};

/// Reads the whole log, hashes every record anew and compares the root with the stored head. Memory does not grow with
/// the log. Finds a changed, dropped, added or reordered record and a cut tail; whoever can rewrite records and head
/// together is found only by comparing the root with one kept elsewhere. Errors, each naming the first record that does
/// not fit: "audit.leaf" (not the bytes that were appended, or of another tenant), "audit.gap" (missing, out of place,
/// or beyond the head), "audit.root" (all are in place, and give another root).
base::Result<AuditReport> verify_audit(Reader& reader, const core::TenantId& tenant);

}  // namespace daypass::store
