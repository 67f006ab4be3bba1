// What the room's tests share: a small world and one-line evaluation.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "cedar/cedar.h"
#include "cedar/compile_test_support.h"

namespace daypass::cedar::testing {

inline base::json::Value json_of(std::string_view text) {
  base::json::Limits limits;
  limits.depth = 600;
  auto value = base::json::parse(text, limits);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? std::move(*value) : base::json::Value();
}

/// User::"a" in Group::"g" in Group::"top", with one attribute of each kind and a tag; Doc::"d" is not in the store.
inline const Entities& world() {
  static const Entities entities = [] {
    auto built = Entities::from_json(json_of(R"json([
      {"uid": {"type": "User", "id": "a"}, "parents": [{"type": "Group", "id": "g"}], "tags": {"t": 1},
       "attrs": {"n": 1, "s": "xyz", "b": true, "if": 3, "": 4, "e": {"__entity": {"type": "User", "id": "a"}},
                 "r": {"x": {"y": 1}}, "set": [1, 2, 2], "dt": {"__extn": {"fn": "datetime", "arg": "2024-01-01"}}}},
      {"uid": {"type": "Group", "id": "g"}, "parents": [{"type": "Group", "id": "top"}], "attrs": {}}])json"));
    EXPECT_TRUE(built.ok());
    return built.ok() ? std::move(*built) : Entities();
  }();
  return entities;
}

inline Request request() {
  Request out{{"User", "a"}, {"Action", "view"}, {"Doc", "d"}, {}};
  out.context.emplace("n", Value::long_(7));
  out.context.emplace("flag", Value::boolean(true));
  return out;
}

inline std::string policy_with(std::string_view condition) {
  return "permit(principal, action, resource) when { " + std::string(condition) + " };";
}

/// "true", "false", "error: …" or "parse: check".
inline std::string verdict(std::string_view condition) {
  std::vector<Diagnostic> diagnostics;
  const auto set = PolicySet::parse(policy_with(condition), "t.cedar", {}, &diagnostics);
  if (!set.ok()) return "parse: " + set.error().check;
  const Answer answer = BothEvaluators(*set).authorize(world(), request());
  if (!answer.errors.empty()) return "error: " + answer.errors.front().message;
  return answer.decision == Decision::allow ? "true" : "false";
}

inline void expect_verdicts(std::string_view expected, const std::vector<std::string_view>& conditions) {
  for (const auto condition : conditions) {
    const std::string got = verdict(condition);
    EXPECT_TRUE(got.starts_with(expected)) << condition << "\n  expected " << expected << ", got " << got;
  }
}

}  // namespace daypass::cedar::testing
