// What policy said about one request, and the facts it saw.
#pragma once

#include <string>
#include <vector>

#include "core/identity.h"
#include "core/limits.h"

namespace daypass::core {

/// Where a request comes from and what it asks. Everything here becomes Cedar context.
struct AccessRequest {
  TargetId target;
  std::vector<RoleId> roles;  ///< empty: every permitted role that is not elevated
  std::string reason;
  std::optional<Millis> wanted_duration;
  std::string client_address;  ///< textual IP address
};

enum class Verdict { allow, deny, needs_approval };

/// The decision on one role.
struct RoleDecision {
  RoleId role;
  Verdict verdict = Verdict::deny;
  Offers offers;                      ///< when allowed: at least one
  std::vector<std::string> policies;  ///< deciding policy ids: permits when allowed, forbids when denied by one
  std::vector<std::string> erred;     ///< policies that could not be evaluated
  std::string why;                    ///< one sentence for the person who asked
  std::string ask;                    ///< denied: what to ask for, and naming which policy; may be empty
};

/// The decision on a whole request: allowed when every role asked for is (or, with none named, at least one).
struct Decision {
  Verdict verdict = Verdict::deny;
  std::vector<RoleDecision> roles;  ///< the permitted ones when allowed; else all that were looked at
  Offers offers;                    ///< of the grant: those that cover every role in `roles`
  std::int64_t policy_version = 0;
  std::string record;  ///< id of the sealed decision record, empty until it is stored
  std::string why;
  std::string ask;  ///< denied: what to ask for; may be empty
};

}  // namespace daypass::core
