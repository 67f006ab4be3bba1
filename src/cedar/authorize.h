// Decisions: one request against all policies, and the account of why one policy did or did not apply.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cedar/entities.h"
#include "cedar/policy.h"
#include "cedar/value.h"

namespace daypass::cedar {

struct Request {
  EntityUid principal;
  EntityUid action;
  EntityUid resource;
  Record context;

  /// `{"principal", "action", "resource", "context"}`, for decision records.
  [[nodiscard]] base::json::Value to_json() const;
  /// Entities as objects or as text `Type::"id"`. Errors: "cedar.request_json" and those of the parts.
  static base::Result<Request> from_json(const base::json::Value& json);
};

enum class Decision : std::uint8_t { deny, allow };
std::string_view to_string(Decision decision) noexcept;  ///< "deny", "allow"

/// A policy whose evaluation failed; it counts as not satisfied.
struct PolicyError {
  std::string policy;   ///< id
  std::string message;  ///< what failed
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

/// All ids are in file order, and complete: every policy is evaluated.
struct Answer {
  Decision decision = Decision::deny;
  std::vector<std::string> reasons;  ///< the satisfied forbids, else the satisfied permits, else nothing
  std::vector<PolicyError> errors;
  std::vector<std::string> satisfied_permits;
  std::vector<std::string> satisfied_forbids;
  /// Cedar skips a forbid that fails; who must fail closed denies when this is not empty.
  std::vector<std::string> erred_forbids;
};

/// Never fails: what goes wrong in a policy is part of the answer.
Answer authorize(const PolicySet& policies, const Entities& entities, const Request& request);

/// One test of a policy's head, for the uid in its place. Cannot fail.
bool holds(const ScopeTest& test, const Entities& entities, const EntityUid& uid) noexcept;

/// One part of a policy, looked at by itself.
struct ExplainedPart {
  enum class Kind : std::uint8_t { principal, action, resource, when, unless, term };
  enum class Outcome : std::uint8_t {
    held,         ///< lets the policy apply: a true scope test or `when`, a false `unless`; for a term: true
    failed,       ///< keeps the policy from applying; for a term: false
    erred,        ///< its evaluation failed, see `error`
    not_reached,  ///< a term after the one that decided
  };
  Kind kind = Kind::principal;
  Outcome outcome = Outcome::failed;
  std::string text;  ///< source text
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string error;
  std::vector<ExplainedPart> terms;  ///< for a condition `a && b && …`: each operand, in order
};
std::string_view to_string(ExplainedPart::Kind kind) noexcept;
std::string_view to_string(ExplainedPart::Outcome outcome) noexcept;

struct Explanation {
  std::string policy;
  Effect effect = Effect::permit;
  bool satisfied = false;            ///< as authorize() sees it
  bool erred = false;                ///< as authorize() sees it: the first part that does not hold erred
  std::vector<ExplainedPart> parts;  ///< principal, action, resource, then every condition, all evaluated
};

Explanation explain(const Policy& policy, const Entities& entities, const Request& request);

}  // namespace daypass::cedar
