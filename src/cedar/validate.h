// The strict validator: whether policies can go wrong under a schema, told before they run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cedar/policy.h"
#include "cedar/schema.h"

namespace daypass::cedar {

/// One thing found in one policy.
/// Errors have the checks "cedar.unknown_entity_type", "cedar.unknown_action", "cedar.bad_enum_id",
/// "cedar.never_applies", "cedar.unexpected_type", "cedar.incompatible_types", "cedar.unknown_attribute",
/// "cedar.optional_attribute", "cedar.unsafe_tag", "cedar.no_tags", "cedar.empty_set", "cedar.not_literal",
/// "cedar.bad_literal", "cedar.wrong_arity", "cedar.level" and "cedar.level_literal"; and "cedar.too_many".
/// Warnings: "cedar.impossible", "cedar.mixed_script", "cedar.mixed_script_name", "cedar.bidi", "cedar.bidi_name" and
/// "cedar.confusable_name".
struct ValidationProblem {
  std::string policy;  ///< id
  Diagnostic diagnostic;
  bool operator==(const ValidationProblem&) const = default;
};

struct ValidationResult {
  std::vector<ValidationProblem> errors;  ///< of templates, then of policies, each in their order and that of the text
  std::vector<ValidationProblem> warnings;
  /// Warnings do not count.
  [[nodiscard]] bool ok() const noexcept { return errors.empty(); }
};

struct ValidateOptions {
  /// Also check that no policy looks further than this many steps from the request's own entities: 0 looks at no
  /// entity, 1 at principal, action and resource, 2 at entities that those name. Checked for policies without other
  /// errors.
  std::optional<std::uint32_t> max_level;
  std::size_t max_problems = 1000;  ///< errors and warnings each; reporting stops there
};

/// Checks every policy in every request environment of the schema: each action with each pair of its principal and
/// resource types. A policy that passes can err at run time only by overflow, by entities that are missing, or where
/// entities and request were not checked against the schema. Templates are checked for all entities that could fill
/// their slots; of a link only whether its entities have known types and leave an action that it can apply to. At most
/// 1,000,000 environments are looked at per policy.
ValidationResult validate(const PolicySet& policies, const Schema& schema, const ValidateOptions& options = {});

}  // namespace daypass::cedar
