// The parts of the validator that look at one policy. Internal to the room.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cedar/policy.h"
#include "cedar/schema.h"
#include "cedar/typecheck.h"

namespace daypass::cedar {

/// A policy as one list of terms: its scope, spelled out as expressions, and its conditions.
struct PolicyTerms {
  ExprTree tree;
  std::vector<PolicyTerm> terms;
};
PolicyTerms terms_of(const Policy& policy);

/// Text in names and strings that may deceive a reader.
void check_strings(const PolicyTerms& policy, std::vector<TypeProblem>& warnings);

struct LevelCheck {
  const Schema& schema;
  const TypeTable& types;      ///< lies over the schema's
  const TypeChecker& checker;  ///< has just checked the policy and found nothing
  const PolicyTerms& policy;
  const EntityUid& action;
  std::uint32_t max_level;
};
/// How far from the request the policy looks, in the environment that was checked last.
void check_level(const LevelCheck& what, std::vector<TypeProblem>& problems);

}  // namespace daypass::cedar
