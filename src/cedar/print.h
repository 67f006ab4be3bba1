// Policies as canonical text: what was read from JSON gets a text of its own, so that it has places. Internal to the
// room.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cedar/policy.h"

namespace daypass::cedar {

/// Whether `name` can stand as an attribute's name without quotes.
bool is_plain_name(std::string_view name) noexcept;

/// Appends the policy to `out` as text that parses to an equal policy. With `placed`, which must hold the policy's own
/// expressions and scope, every part's span there becomes its place in `out`. Stops when `out` gets longer than
/// `limit`; then false. A path of `has` whose names need quotes has no spelling of its own and is spelled out with
/// `&&`.
bool print_policy(const Policy& policy, Policy::Data* placed, std::size_t limit, std::string& out);

}  // namespace daypass::cedar
