#include "cedar/validate.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cedar/schema_entities.h"
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using testing::json_of;

constexpr std::string_view world_text =
    "entity A {o?: Long, r: {x?: A, y: Long}, s: Set<A>, department: String} tags A; entity B;\n"
    "entity Color enum [\"red\", \"green\"];\n"
    "namespace N {entity C; action n;}\n"
    "action g; action a in [g] appliesTo {principal: A, resource: B, context: {o?: {p?: Long}}};\n"
    "action z in [N::Action::\"n\"] appliesTo {principal: A, resource: B};\n";

const Schema& world() {
  static const Schema schema = [] {
    auto read = Schema::parse(world_text, "world");
    EXPECT_TRUE(read.ok());
    return read.ok() ? *read : Schema();
  }();
  return schema;
}

ValidationResult validated(std::string_view text, const ValidateOptions& options = {}) {
  auto policies = PolicySet::parse(text, "p.cedar");
  EXPECT_TRUE(policies.ok()) << text;
  return policies.ok() ? validate(*policies, world(), options) : ValidationResult();
}

// The kinds of what is found, errors before warnings: "unexpected_type", "-impossible".
std::string kinds(const ValidationResult& result) {
  std::set<std::string> found;
  for (const auto& one : result.errors) found.insert(one.diagnostic.check.substr(6));
  std::string out;
  for (const auto& kind : found) out += (out.empty() ? "" : " ") + kind;
  found.clear();
  for (const auto& one : result.warnings) found.insert("-" + one.diagnostic.check.substr(6));
  for (const auto& kind : found) out += (out.empty() ? "" : " ") + kind;
  return out;
}
std::string verdict(std::string_view condition, const ValidateOptions& options = {}) {
  return kinds(validated(testing::policy_with(condition), options));
}

// Verdicts asked from the official engine.
TEST(Validate, Conditions) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"1 == \"a\"", "-impossible"},
      {"1 == 2", "-impossible"},
      {"\"a\" in [resource]", "unexpected_type"},
      {"principal.getTag(\"a\") == principal", "unsafe_tag"},
      {"principal has r.x.o", ""},
      {"principal has o.p", "unexpected_type"},
      {"principal has r.y.z", "unexpected_type"},
      {"context has o.p && context.o.p > 1", ""},
      {"context has o.p.q", "unexpected_type"},
      {"action in principal", "-impossible"},
      {"action in [Action::\"a\", Action::\"g\"]", ""},
      {"action in N::Action::\"n\"", ""},
      {"Action::\"z\" in N::Action::\"n\"", ""},
      {"principal.s.contains(resource)", "incompatible_types"},
      {"[1, \"a\"] == [1]", "incompatible_types"},
      {"principal has \"if\"", "-impossible"},
      {"principal is C", "unknown_entity_type -impossible"},
      {"principal is A in resource", "-impossible"},
      {"resource.hasTag(\"x\") && resource.getTag(\"x\") == 1", "-impossible"},
      {"principal.hasTag(\"x\") && principal.getTag(\"x\") == principal", ""},
      {"principal.hasTag(\"x\") && principal.getTag(\"y\") == principal", "unsafe_tag"},
      {"!(1)", "unexpected_type"},
      {"if true then 1 else 2", "unexpected_type"},
      {"(if principal has o then principal.o else \"a\") == 1", "incompatible_types"},
      {"datetime(\"2024-01-01\") < duration(\"1h\")", "unexpected_type"},
      {"decimal(\"1.0\") < decimal(\"2.0\")", "unexpected_type"},
      {"ip(if true then \"1.2.3.4\" else \"a\").isIpv4()", "not_literal"},
      {"ip(\"zz\").isIpv4()", "bad_literal"},
      {"ip(\"::1\", 1).isIpv4()", "wrong_arity"},
      {"{a: 1} == {a: 1, b: 2}", "incompatible_types"},
      {"{} has a", "-impossible"},
      {"principal.s == []", "empty_set"},
      {"principal like \"x\"", "unexpected_type"},
      {"action == Action::\"nope\"", "unknown_action -impossible"},
      {"action has x", "-impossible"},
      {"action.x == 1", "unknown_attribute"},
      {"context == {}", "incompatible_types"},
      {"principal == resource", "-impossible"},
      {"principal != resource", ""},
      {"true == (1 == 1)", ""},
      {"(if 1 == 1 then true else 3)", ""},
      // Two literals are compared whatever their types, and so is what `&&` and `||` of boolean literals come to.
      {"1 == true", "-impossible"},
      {"1 == (true && true)", "-impossible"},
      {"B::\"x\" != (false || (true && true))", ""},
      {"(false && true) == \"a\"", "-impossible"},
      {"1 == !false", "incompatible_types"},
      {"1 == (1 == 1)", "incompatible_types"},
      {"1 == (true || principal.b)", "incompatible_types"},
      {"1 == (if true then true else false)", "incompatible_types"},
      {"principal.s == (true && true)", "incompatible_types"},
      {"[1].contains(true && true)", "incompatible_types"},
      {"principal.o == 1", "optional_attribute"},
      {"principal has o && principal.o == 1", ""},
      {"!(principal has o) || principal.o == 1", "optional_attribute"},
      {"(principal has o || true) && principal.o == 1", "optional_attribute"},
      {"(true && principal has o) && principal.o == 1", ""},
      {"(principal has o || principal has o) && principal.o == 1", ""},
      {"if principal has o then principal.o == 1 else false", ""},
      {"Color::\"red\" == Color::\"blue\"", "bad_enum_id -impossible"},
      {"principal.department == \"x\" && principal[\"is\u200bAdmin\"]", "unknown_attribute -confusable_name"},
      {"principal.department == \"say_\u04bbello\"", "-mixed_script"},
      {"principal.department == \"\u202e\"", "-bidi"},
      {"principal == A::\"say_\u04bbello\"", "-mixed_script_name"},
      {"principal == A::\"\u202e\"", "-bidi_name"},
  };
  for (const auto& [condition, expected] : cases) EXPECT_EQ(verdict(condition), expected) << condition;
}

TEST(Validate, Scopes) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"permit(principal, action, resource);", ""},
      {"permit(principal == A::\"x\", action == Action::\"a\", resource);", ""},
      {"permit(principal == B::\"x\", action == Action::\"a\", resource);", "never_applies -impossible"},
      {"permit(principal in B::\"x\", action, resource);", "never_applies -impossible"},
      {"permit(principal is Nope, action, resource);", "never_applies unknown_entity_type -impossible"},
      {"permit(principal, action == Action::\"g\", resource);", "never_applies -impossible"},
      {"permit(principal, action in Action::\"g\", resource);", ""},
      {"permit(principal, action in [Action::\"a\", Action::\"nope\"], resource);", "never_applies unknown_action"},
      {"permit(principal, action in [], resource);", "empty_set never_applies"},
      {"permit(principal, action, resource == Color::\"blue\");", "bad_enum_id never_applies -impossible"},
  };
  for (const auto& [policy, expected] : cases) EXPECT_EQ(kinds(validated(policy)), expected) << policy;
}

TEST(Validate, PlaceCaretAndHint) {
  const std::string_view text =
      "permit(principal, action, resource)\nwhen { principal.departement == \"x\" &&\n  resource.bad < 1 };";
  const auto result = validated(text);
  ASSERT_EQ(result.errors.size(), 2U);
  EXPECT_EQ(result.errors[0].policy, "policy0");
  EXPECT_EQ(render(result.errors[0].diagnostic, text),
            "p.cedar:2:8: principal has no attribute \"departement\"\n"
            "  when { principal.departement == \"x\" &&\n         ^^^^^^^^^^^^^^^^^^^^^\n"
            "  hint: did you mean \"department\"?\n");
  EXPECT_EQ(result.errors[1].diagnostic.line, 3U);
  EXPECT_EQ(result.errors[1].diagnostic.hint, "type B has no attributes");
}

TEST(Validate, EveryPolicyIsLookedAtAndTellsOnce) {
  const auto result = validated(
      "permit(principal, action, resource) when { principal.x };\n"
      "permit(principal, action, resource);\n"
      "forbid(principal, action, resource) unless { resource.y == resource.y };\n");
  ASSERT_EQ(result.errors.size(), 3U);  // one in the first, two places in the third; each though there are two actions
  EXPECT_EQ(result.errors[0].policy, "policy0");
  EXPECT_EQ(result.errors[2].policy, "policy2");
  EXPECT_FALSE(result.ok());
}

TEST(Validate, LimitOfProblems) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "permit(principal, action, resource) when { principal.x };\n";
  EXPECT_EQ(validated(text, {.max_level = std::nullopt, .max_problems = 7}).errors.size(), 7U);
}

TEST(Validate, Levels) {
  const std::tuple<std::string_view, std::uint32_t, std::string_view> cases[] = {
      {"context has o.p", 0, ""},
      {"principal.department == \"x\"", 0, "level"},
      {"principal.department == \"x\"", 1, ""},
      {"principal in A::\"x\"", 0, "level"},
      {"A::\"x\".department == \"x\"", 1, "level_literal"},
      {"Action::\"a\" in Action::\"g\"", 1, "level_literal"},  // in the environment of the other action
      {"principal.r has x && principal.r.x.department == \"x\"", 1, "level"},
      {"principal.r has x && principal.r.x.department == \"x\"", 2, ""},
      {"principal has r.x.department", 1, "level"},
      {"principal has r.x.department", 2, ""},
      {"principal.hasTag(\"t\") && principal.getTag(\"t\").department == \"x\"", 1, "level"},
      {"principal.hasTag(\"t\") && principal.getTag(\"t\").department == \"x\"", 2, ""},
      {"{a: principal, b: principal.s}.a.department == \"x\"", 0, "level"},
      {"{a: principal, b: 1}.a.department == \"x\"", 1, ""},
      {"(if principal has o then principal else principal).department == \"x\"", 1, ""},
      {"false && principal.department == \"x\"", 0, "-impossible"},
      {"principal.nope", 0, "unknown_attribute"},
  };
  for (const auto& [condition, level, expected] : cases)
    EXPECT_EQ(verdict(condition, {.max_level = level, .max_problems = 100}), expected) << condition << " at " << level;
}

TEST(Validate, DeepAndWidePoliciesAreChecked) {
  std::string deep = "principal.department == \"x\"";
  for (int i = 0; i < 120; ++i) deep = "!(" + deep + ")";
  EXPECT_EQ(verdict(deep), "");
  std::string wide = "true";
  for (int i = 0; i < 20000; ++i) wide += " && principal has o";
  EXPECT_EQ(verdict(wide), "");
  std::string path = "principal";
  for (int i = 0; i < 100; ++i) path += ".r.x";
  EXPECT_EQ(verdict(path + ".department == \"x\""), "optional_attribute");
}

TEST(Validate, TooManyEnvironments) {
  std::string text;
  std::string names;
  for (int i = 0; i < 1100; ++i) {
    text += "entity E" + std::to_string(i) + ";";
    names += (i == 0 ? "E" : ", E") + std::to_string(i);
  }
  const auto schema =
      Schema::parse(text + "action a appliesTo {principal: [" + names + "], resource: [" + names + "]};", "s");
  ASSERT_TRUE(schema.ok());
  const auto policies = PolicySet::parse("permit(principal, action, resource);", "p");
  ASSERT_TRUE(policies.ok());
  EXPECT_EQ(kinds(validate(*policies, *schema)), "too_many");
}

// Entities and requests.

std::string entities_check(std::string_view text) {
  const auto read = entities_from_json(json_of(text), world());
  return read.ok() ? "" : read.error().check;
}

TEST(SchemaEntities, EscapesMayBeLeftOut) {
  const auto schema = Schema::parse(
      "entity U in G {ip: ipaddr, at?: datetime, boss: U, all: Set<U>, r: {d: decimal}} tags duration; entity G;"
      "action g; action a in g appliesTo {principal: U, resource: U, context: {from: ipaddr}};",
      "s");
  ASSERT_TRUE(schema.ok());
  const auto read = entities_from_json(json_of(R"json([{"uid": {"type": "U", "id": "x"},
      "parents": [{"type": "G", "id": "g"}],
      "attrs": {"ip": "10.0.0.1", "at": {"fn": "datetime", "arg": "2024-01-01"}, "boss": {"type": "U", "id": "y"},
                "all": [{"__entity": {"type": "U", "id": "z"}}], "r": {"d": {"__extn": {"fn": "decimal", "arg": "1.5"}}}},
      "tags": {"t": "1h"}}])json"),
                                       *schema);
  ASSERT_TRUE(read.ok()) << read.error().message;
  const Entity* user = read->find({"U", "x"});
  ASSERT_NE(user, nullptr);
  EXPECT_EQ(user->attrs.at("ip"), *Value::ipaddr("10.0.0.1"));
  EXPECT_EQ(user->attrs.at("boss"), Value::entity("U", "y"));
  EXPECT_EQ(user->attrs.at("r").as_record()->at("d"), *Value::decimal("1.5"));
  EXPECT_EQ(user->tags.at("t"), *Value::duration_text("1h"));
  // The actions are there, in their groups.
  EXPECT_TRUE(read->is_in({"Action", "a"}, {"Action", "g"}));
  const auto request =
      request_from_json(json_of(R"json({"principal": {"type": "U", "id": "x"}, "action": "Action::\"a\"",
      "resource": {"type": "U", "id": "y"}, "context": {"from": "::1"}})json"),
                        *schema);
  ASSERT_TRUE(request.ok()) << request.error().message;
  EXPECT_EQ(request->context.at("from"), *Value::ipaddr("::1"));
}

TEST(SchemaEntities, WhatDoesNotConformIsRefused) {
  const std::string good = R"("attrs": {"r": {"y": 1}, "s": [], "department": "d"}, "parents": [])";
  const auto one = [](const std::string& uid, const std::string& rest) {
    return R"([{"uid": {"type": ")" + uid + R"(", "id": "x"}, )" + rest + "}]";
  };
  EXPECT_EQ(entities_check(one("A", good)), "");
  EXPECT_EQ(entities_check(one("Aa", good)), "cedar.entity_type");
  EXPECT_EQ(entities_check(one("A", R"("attrs": {}, "parents": [])")), "cedar.entity_attribute");
  EXPECT_EQ(entities_check(one("B", R"("attrs": {"x": 1}, "parents": [])")), "cedar.entity_attribute");
  EXPECT_EQ(entities_check(one("A", R"("attrs": {"r": {"y": "1"}, "s": [], "department": "d"}, "parents": [])")),
            "cedar.entity_attribute");
  EXPECT_EQ(entities_check(one("A", R"("attrs": {"r": {"y": 1, "z": 1}, "s": [], "department": "d"}, "parents": [])")),
            "cedar.entity_attribute");
  EXPECT_EQ(entities_check(one("A", good + R"(, "tags": {"t": {"type": "A", "id": "y"}})")), "");
  EXPECT_EQ(entities_check(one("A", good + R"(, "tags": {"t": 1})")), "cedar.entity_uid");
  EXPECT_EQ(entities_check(one("B", R"("attrs": {}, "parents": [], "tags": {"t": 1})")), "cedar.entity_tag");
  EXPECT_EQ(entities_check(one("B", R"("attrs": {}, "parents": [{"type": "A", "id": "x"}])")), "cedar.entity_parent");
  EXPECT_EQ(entities_check(one("Color", R"("attrs": {}, "parents": [])")), "cedar.enum_id");
  EXPECT_EQ(entities_check(
                R"([{"uid": {"type": "Action", "id": "a"}, "attrs": {}, "parents": [{"type": "Action", "id": "g"}]}])"),
            "");
  EXPECT_EQ(entities_check(R"([{"uid": {"type": "Action", "id": "a"}, "attrs": {}, "parents": []}])"),
            "cedar.entity_action");
  EXPECT_EQ(entities_check(R"([{"uid": {"type": "Action", "id": "q"}, "attrs": {}, "parents": []}])"),
            "cedar.entity_action");
}

TEST(SchemaEntities, Requests) {
  const auto check = [](Request request) {
    const auto status = check_request(request, world());
    return status.ok() ? "" : status.error().check;
  };
  EXPECT_EQ(check({{"A", "x"}, {"Action", "a"}, {"B", "x"}, {}}), "");
  EXPECT_EQ(check({{"Z", "x"}, {"Action", "a"}, {"B", "x"}, {}}), "cedar.request_principal");
  EXPECT_EQ(check({{"B", "x"}, {"Action", "a"}, {"B", "x"}, {}}), "cedar.request_principal");
  EXPECT_EQ(check({{"A", "x"}, {"Action", "q"}, {"B", "x"}, {}}), "cedar.request_action");
  EXPECT_EQ(check({{"A", "x"}, {"Action", "a"}, {"A", "x"}, {}}), "cedar.request_resource");
  EXPECT_EQ(check({{"A", "x"}, {"Action", "a"}, {"B", "x"}, {{"n", Value::long_(1)}}}), "cedar.request_context");
  EXPECT_EQ(check({{"A", "x"}, {"Action", "a"}, {"B", "x"}, {{"o", Value::long_(1)}}}), "cedar.request_context");
  EXPECT_EQ(check({{"Color", "x"}, {"Action", "a"}, {"B", "x"}, {}}), "cedar.enum_id");
}

}  // namespace
}  // namespace daypass::cedar
