// What the room's fuzzers share: a small world to decide in, and what must hold of any policies. Fuzzers only.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cedar/cedar.h"

namespace daypass::cedar::fuzzing {

inline void require(bool condition) {
  if (!condition) std::abort();
}

inline const Entities& world() {
  static const Entities entities = [] {
    Entity user{{"User", "a"}, {}, {{"Group", "g"}}, {{"t", Value::long_(1)}}};
    user.attrs = {{"n", Value::long_(1)},
                  {"s", Value::string("xyz")},
                  {"b", Value::boolean(true)},
                  {"e", Value::entity("User", "a")},
                  {"r", Value::record({{"x", Value::record({{"y", Value::long_(INT64_MIN)}})}})},
                  {"set", Value::set({Value::long_(1), Value::string("a")})},
                  {"ip", Value::ipaddr("10.0.0.1/8").value()},
                  {"d", Value::decimal("1.5").value()},
                  {"dt", Value::datetime(INT64_MIN)},
                  {"du", Value::duration(std::chrono::milliseconds(INT64_MAX))}};
    Entity group{{"Group", "g"}, {}, {{"Group", "top"}}, {}};
    return Entities::build({std::move(user), std::move(group)}).value();
  }();
  return entities;
}

inline const Request& request() {
  static const Request fixed{{"User", "a"},
                             {"Action", "view"},
                             {"Doc", "d"},
                             {{"n", Value::long_(INT64_MAX)}, {"a", Value::entity("User", "a")}}};
  return fixed;
}

inline void require_good(const std::vector<Diagnostic>& diagnostics, std::string_view text) {
  for (const Diagnostic& one : diagnostics) {
    require(!one.check.empty() && !one.message.empty() && one.line > 0 && one.column > 0);
    require(!render(one, text).empty());
  }
}

/// Both decide the same, policy by policy.
inline void require_same_answers(const PolicySet& a, const PolicySet& b) {
  const Answer first = authorize(a, world(), request());
  const Answer second = authorize(b, world(), request());
  require(first.satisfied_permits == second.satisfied_permits && first.satisfied_forbids == second.satisfied_forbids);
  require(first.errors.size() == second.errors.size());
  for (std::size_t i = 0; i < first.errors.size(); ++i) require(first.errors[i].policy == second.errors[i].policy);
}

/// JSON and back, and canonical text and back, give the same policies. `spelled_out`: a path of `has` may be there that
/// has no text of its own, whose `&&` may nest too deep and is other JSON.
inline void require_round_trips(const PolicySet& set, bool spelled_out) {
  const ParseOptions options{.templates = true, .max_bytes = std::size_t{64} << 20U};
  const auto json = policies_to_json(set);
  require(json.ok() || json.error().check == "cedar.too_deep" || json.error().check == "cedar.too_large");
  if (!json.ok()) return;
  const auto read = policies_from_json(*json, "json", options);
  // What JSON writes out may be higher than the tree it came from: each name of a path is a level.
  require(read.ok() || read.error().check == "cedar.too_deep");
  if (!read.ok()) return;
  require(*policies_to_json(*read) == *json);
  require_same_answers(set, *read);
  for (const Policy& policy : set.policies()) {
    const auto again = PolicySet::parse(policy_to_text(policy), "text", options);
    if (spelled_out && !again.ok() && again.error().check == "cedar.too_deep") continue;
    require(again.ok() && again->size() == 1);
    require(*policy_to_json(again->policies()[0]) == *policy_to_json(policy));
  }
}

}  // namespace daypass::cedar::fuzzing
