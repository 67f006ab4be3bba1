// What would have to be otherwise for a decision to turn: for administrators who ask why.
#pragma once

#include <string>
#include <vector>

#include "core/decision.h"
#include "engine/world.h"

namespace daypass::engine {

/// One fact, as it is and as it would have to be; both in Cedar's spelling, or "missing".
struct Change {
  std::string fact;  ///< "context.mfa", "principal.clearance", `principal in Group::"corp/data"`
  std::string now;
  std::string would_be;
  bool operator==(const Change&) const = default;
};

/// The fewest changes of facts that turn the verdict on `role`: one where one is enough, else two; none when neither
/// turns it or the search came to its bound (4,000 questions, fewer over many policies). Tried are the values that the
/// policies themselves compare with, what the person could do first (sign in anew, give a reason), then groups and
/// attributes, then the role and the target. An attribute that the person's identity provider does not map is left
/// alone. Every answer was verified by deciding again. Requires a role of the tenant. Pure.
std::vector<Change> smallest_flip(const Tenant& tenant, const core::Identity& who, const core::AccessRequest& request,
                                  const core::RoleId& role, base::WallTime now);

}  // namespace daypass::engine
