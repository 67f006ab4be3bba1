// One record of the audit log: what changed, who did it, to what, with which outcome. One per state change.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/time.h"
#include "core/ids.h"

namespace daypass::core {

struct AuditEvent {
  std::uint64_t seq = 0;  ///< position in the tenant's log, from 0; given by the store
  base::WallTime at{};
  TenantId tenant;
  std::string actor;    ///< "corp/8f3a…", "operator", "daypass" (the system itself)
  std::string action;   ///< "login.finished", "grant.opened", "grant.active", "grant.ended", "grant.closed", …
  std::string object;   ///< "pg/orders", a grant id, a session id
  std::string outcome;  ///< "ok", "denied", "failed"
  base::json::Object facts;
  bool operator==(const AuditEvent&) const = default;
};

/// The record's one spelling, whose bytes are the log's leaf (RFC 6962 hashes them): compact JSON, members in fixed
/// order.
std::string canonical(const AuditEvent& event);
/// Reads canonical() back. Error: "audit.record".
base::Result<AuditEvent> audit_from_canonical(std::string_view bytes);

}  // namespace daypass::core
