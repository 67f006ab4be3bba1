// Policies in Cedar's policy JSON (EST), both ways, and as canonical text.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cedar/policy.h"

namespace daypass::cedar {

/// Policy JSON nests at most this deep when written: two levels for an operator, and `a && b && c` is one in another.
inline constexpr std::size_t max_json_nesting = 1024;

/// `{"effect", "principal", "action", "resource", "conditions", "annotations"?}`, as the official engine writes it for
/// the same text; a link is written with its slots filled. Errors: "cedar.too_deep" (nests deeper than
/// max_json_nesting), "cedar.too_large" (a path `x has a.b` repeats `x`; more than 1,000,000 parts repeated).
base::Result<base::json::Value> policy_to_json(const Policy& policy);
/// `{"staticPolicies": {id: policy}, "templates": {id: policy}, "templateLinks": [{"templateId", "newId", "values"}]}`.
/// Errors as for one policy.
base::Result<base::json::Value> policies_to_json(const PolicySet& policies);

/// Reads what policies_to_json writes (each of the three members may be missing), or one policy, which is then called
/// `policy0` or by its `@id` when the options say so. Reads what the official engine reads, but refuses extension
/// functions that do not exist and methods without a receiver, which there fail when they are evaluated. A policy's
/// text and places are those of its canonical text. `file` names the document in diagnostics, whose messages begin with
/// the JSON pointer of what is wrong; one error is told per policy. Options hold as for text: `templates`,
/// `max_policies` (links count too), `max_bytes` of canonical text. Nesting is bounded by max_nesting.
/// Errors: "cedar.policy_json", "cedar.too_deep", "cedar.too_large", "cedar.too_many", "cedar.template",
/// "cedar.unknown_function", "cedar.arity", "cedar.action_type", "cedar.entity_uid", "cedar.duplicate_id" and those of
/// PolicySet::link.
base::Result<PolicySet> policies_from_json(const base::json::Value& json, std::string file,
                                           const ParseOptions& options = {},
                                           std::vector<Diagnostic>* diagnostics = nullptr);

/// Canonical text, without comments: parses to an equal policy. A link is written with its slots filled.
std::string policy_to_text(const Policy& policy);

}  // namespace daypass::cedar
