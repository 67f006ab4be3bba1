#include "idp/mapping.h"

#include <gtest/gtest.h>

#include "idp/printable.h"

namespace daypass::idp {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;
using core::AttributeType;
using core::IdpSpec;
using core::MappingRule;
using Set = std::set<std::string>;

IdpSpec spec_with(std::vector<MappingRule> rules, std::string groups_from = "") {
  IdpSpec spec;
  spec.name = "corp";
  spec.attributes = std::move(rules);
  spec.groups_from = std::move(groups_from);
  return spec;
}

Object claims_with(std::string name, Value value) {
  return {{"sub", "alice"}, {std::move(name), std::move(value)}};
}

MappingRule rule(std::string from, AttributeType type, bool required = false, std::string pattern = "") {
  return {"a", std::move(from), type, required, std::move(pattern)};
}

/// The one attribute, or the check that failed, or "absent".
std::string outcome(const MappingRule& r, const Value& claims) {
  const auto mapped = map_claims(spec_with({r}), claims);
  if (!mapped.ok()) return mapped.error().check;
  const auto at = mapped->attributes.find("a");
  if (at == mapped->attributes.end()) return "absent";
  return base::json::dump(core::to_json(mapped->attributes));
}

std::string groups_outcome(const IdpSpec& spec, const Value& claims) {
  const auto mapped = map_claims(spec, claims);
  if (!mapped.ok()) return mapped.error().check;
  std::string out;
  for (const auto& group : mapped->groups) out += (out.empty() ? "" : ",") + group;
  return "[" + out + "]";
}

TEST(Mapping, EachTypeTakesItsOwnAndNothingElse) {
  const std::vector<std::pair<std::string, Value>> values = {{"null", nullptr},
                                                             {"true", true},
                                                             {"7", 7},
                                                             {"7.5", 7.5},
                                                             {"7.0", 7.0},
                                                             {"\"7\"", "7"},
                                                             {"list", Array{"x"}},
                                                             {"object", Object{{"x", 1}}},
                                                             {"list of numbers", Array{1, 2}},
                                                             {"huge", 1e300}};
  const auto takes = [](AttributeType type, const std::string& name) {
    switch (type) {
      case AttributeType::string:
        return name == "\"7\"";
      case AttributeType::integer:
        return name == "7";
      case AttributeType::boolean:
        return name == "true";
      case AttributeType::string_set:
        return name == "list" || name == "\"7\"";
    }
    return false;
  };
  for (const AttributeType type :
       {AttributeType::string, AttributeType::integer, AttributeType::boolean, AttributeType::string_set})
    for (const auto& [name, value] : values) {
      const std::string got = outcome(rule("c", type), claims_with("c", value));
      if (takes(type, name))
        EXPECT_TRUE(got.starts_with("{")) << name << " as type " << static_cast<int>(type) << ": " << got;
      else
        EXPECT_EQ(got, "mapping.type") << name << " as type " << static_cast<int>(type);
    }
}

TEST(Mapping, MissingIsNotNullAndNullIsNotEmpty) {
  const Object missing{{"sub", "alice"}};
  EXPECT_EQ(outcome(rule("c", AttributeType::string_set), missing), "absent");
  EXPECT_EQ(outcome(rule("c", AttributeType::string_set, true), missing), "mapping.required");
  EXPECT_EQ(outcome(rule("c", AttributeType::string_set), claims_with("c", nullptr)), "mapping.type");
  const auto empty = map_claims(spec_with({rule("c", AttributeType::string_set)}), claims_with("c", Array{}));
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(std::get<Set>(empty->attributes.at("a")), Set{});
  EXPECT_EQ(outcome(rule("c", AttributeType::string_set, true), claims_with("c", Array{})), "mapping.required");
  EXPECT_EQ(outcome(rule("c", AttributeType::string), claims_with("c", nullptr)), "mapping.type");
}

TEST(Mapping, ATypeErrorNamesAttributeExpectedAndFound) {
  const auto mapped = map_claims(spec_with({rule("c", AttributeType::string_set)}), claims_with("c", Array{"x", 5}));
  ASSERT_FALSE(mapped.ok());
  EXPECT_EQ(mapped.error().code, base::Code::denied);
  EXPECT_NE(mapped.error().message.find("attribute a"), std::string::npos);
  EXPECT_NE(mapped.error().message.find("a list of strings"), std::string::npos);
  EXPECT_NE(mapped.error().message.find("integer"), std::string::npos);
}

TEST(Mapping, PointersAndBareNames) {
  const Object claims{{"sub", "alice"},
                      {"realm_access", Object{{"roles", Array{"b", "a", "b"}}}},
                      {"https://example.com/team", "red"},
                      {"a.b", "dotted"},
                      {"a/b", "slashed"},
                      {"m~n", "tilde"},
                      {"list", Array{"zero", "one"}},
                      {"", "empty"}};
  const auto string = [&](const std::string& from) { return outcome(rule(from, AttributeType::string), claims); };
  EXPECT_EQ(outcome(rule("/realm_access/roles", AttributeType::string_set), claims), R"({"a":["a","b"]})");
  EXPECT_EQ(string("https://example.com/team"), R"({"a":"red"})");
  EXPECT_EQ(string("a.b"), R"({"a":"dotted"})");
  EXPECT_EQ(string("/a~1b"), R"({"a":"slashed"})");
  EXPECT_EQ(string("a/b"), R"({"a":"slashed"})");
  EXPECT_EQ(string("/m~0n"), R"({"a":"tilde"})");
  EXPECT_EQ(string("/list/1"), R"({"a":"one"})");
  EXPECT_EQ(string("/list/2"), "absent");
  EXPECT_EQ(string("/list/01"), "mapping.type");
  EXPECT_EQ(string("/list/x"), "mapping.type");
  EXPECT_EQ(string("/"), R"({"a":"empty"})");
  EXPECT_EQ(string("/realm_access/none"), "absent");
  EXPECT_EQ(string("/nothing/roles"), "absent");
  // What stands in the way is not "missing".
  EXPECT_EQ(string("/a.b/roles"), "mapping.type");
}

TEST(Mapping, PatternsAreAnchoredAndCaptureAtMostOnce) {
  const auto one = [](const std::string& pattern, const std::string& value, bool required = false) {
    return outcome(rule("c", AttributeType::string, required, pattern), claims_with("c", value));
  };
  EXPECT_EQ(one("project1", "aproject1"), "absent");
  EXPECT_EQ(one("project1", "project1b"), "absent");
  EXPECT_EQ(one("project1", "project1"), R"({"a":"project1"})");
  EXPECT_EQ(one("a|b", "ab"), "absent");
  EXPECT_EQ(one("(?:dept|team)-(.*)", "team-red"), R"({"a":"red"})");
  EXPECT_EQ(one("x(y)?", "x"), "absent");
  EXPECT_EQ(one("a.*", "a\nb"), "absent");
  EXPECT_EQ(one("project1", "project2", true), "mapping.pattern");
  EXPECT_EQ(
      outcome(rule("c", AttributeType::string_set, false, "app-(.*)"), claims_with("c", Array{"app-x", "y", "app-z"})),
      R"({"a":["x","z"]})");
  EXPECT_EQ(outcome(rule("c", AttributeType::string_set, true, "app-(.*)"), claims_with("c", Array{"y"})),
            "mapping.required");
}

TEST(Mapping, LimitsHold) {
  const std::string longest(max_string_bytes, 'x');
  EXPECT_TRUE(outcome(rule("c", AttributeType::string), claims_with("c", longest)).starts_with("{"));
  EXPECT_EQ(outcome(rule("c", AttributeType::string), claims_with("c", longest + "x")), "mapping.too_long");
  EXPECT_EQ(outcome(rule("c", AttributeType::string_set), claims_with("c", Array{longest + "x"})), "mapping.too_long");
  Array many;
  for (std::size_t i = 0; i < max_set_entries; ++i) many.emplace_back("g" + std::to_string(i));
  EXPECT_TRUE(outcome(rule("c", AttributeType::string_set), claims_with("c", many)).starts_with("{"));
  many.emplace_back("one more");
  EXPECT_EQ(outcome(rule("c", AttributeType::string_set), claims_with("c", many)), "mapping.too_many");
  // Duplicates are one entry, and a pattern may bring a long list below the limit.
  many.back() = "g0";
  EXPECT_TRUE(outcome(rule("c", AttributeType::string_set), claims_with("c", many)).starts_with("{"));
  for (int i = 0; i < 5000; ++i) many.emplace_back("h" + std::to_string(i));
  EXPECT_TRUE(outcome(rule("c", AttributeType::string_set, false, "g.*"), claims_with("c", many)).starts_with("{"));
  while (many.size() <= max_list_entries) many.emplace_back("h");
  EXPECT_EQ(outcome(rule("c", AttributeType::string_set, false, "g.*"), claims_with("c", many)), "mapping.too_many");

  std::vector<MappingRule> rules;
  Array big;
  for (int i = 0; i < 20; ++i) big.emplace_back(longest.substr(8) + std::to_string(i));
  for (std::size_t i = 0; i < 4; ++i)
    rules.push_back({"a" + std::to_string(i), "c", AttributeType::string_set, false, ""});
  const auto mapped = map_claims(spec_with(rules), claims_with("c", big));
  ASSERT_FALSE(mapped.ok());
  EXPECT_EQ(mapped.error().check, "mapping.too_large");
}

TEST(Mapping, CompileRefusesWhatCanNotWork) {
  const auto check = [](IdpSpec spec) {
    const auto compiled = Mapping::compile(spec);
    return compiled.ok() ? std::string() : compiled.error().check;
  };
  const auto named = [](const std::string& name) { return MappingRule{name, "c", AttributeType::string, false, ""}; };
  EXPECT_EQ(check(spec_with({named("team")})), "");
  EXPECT_EQ(check(spec_with({named("")})), "mapping.attribute_name");
  EXPECT_EQ(check(spec_with({named("1a")})), "mapping.attribute_name");
  EXPECT_EQ(check(spec_with({named("a-b")})), "mapping.attribute_name");
  EXPECT_EQ(check(spec_with({named(std::string(65, 'a'))})), "mapping.attribute_name");
  for (const char* own : {"groups", "idp", "subject", "acr", "amr", "auth_time", "tenant"})
    EXPECT_EQ(check(spec_with({named(own)})), "mapping.attribute_name") << own;
  EXPECT_EQ(check(spec_with({named("a"), named("a")})), "mapping.duplicate");
  EXPECT_EQ(check(spec_with({rule("", AttributeType::string)})), "mapping.from");
  EXPECT_EQ(check(spec_with({rule("/a~2", AttributeType::string)})), "mapping.from");
  EXPECT_EQ(check(spec_with({rule("/a~", AttributeType::string)})), "mapping.from");
  EXPECT_EQ(check(spec_with({rule(std::string(257, 'a'), AttributeType::string)})), "mapping.from");
  EXPECT_EQ(check(spec_with({rule("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", AttributeType::string)})),
            "mapping.from");
  EXPECT_EQ(check(spec_with({rule("c", AttributeType::integer, false, "x")})), "mapping.pattern_type");
  EXPECT_EQ(check(spec_with({rule("c", AttributeType::string, false, "(")})), "mapping.pattern_syntax");
  EXPECT_EQ(check(spec_with({rule("c", AttributeType::string, false, "(a)(b)")})), "mapping.pattern_syntax");
  EXPECT_EQ(check(spec_with({rule("c", AttributeType::string, false, "(?=a)")})), "mapping.pattern_syntax");
  EXPECT_EQ(check(spec_with({rule("c", AttributeType::string, false, std::string(257, 'a'))})),
            "mapping.pattern_syntax");
  // Within 256 bytes, but the automaton would take more memory than a pattern may.
  EXPECT_EQ(check(spec_with({rule("c", AttributeType::string, false, "((?:[a-z]{50}[0-9]{50}){9}){9}")})),
            "mapping.pattern_syntax");
  std::vector<MappingRule> rules;
  for (std::size_t i = 0; i <= max_attributes; ++i) rules.push_back(named("a" + std::to_string(i)));
  EXPECT_EQ(check(spec_with(rules)), "mapping.too_many_attributes");
  rules.pop_back();
  EXPECT_EQ(check(spec_with(rules)), "");

  IdpSpec spec = spec_with({});
  spec.groups_pattern = "x";
  EXPECT_EQ(check(spec), "mapping.from");
  spec = spec_with({});
  spec.groups_required = true;
  EXPECT_EQ(check(spec), "mapping.from");
  for (const char* claim : {"email", "/email", "preferred_username", "upn", "/unique_name", "/user/email"}) {
    spec = spec_with({});
    spec.subject_from = claim;
    EXPECT_EQ(check(spec), "mapping.subject_from") << claim;
  }
}

TEST(Mapping, SubjectIsAPlainStringOrNobody) {
  IdpSpec spec = spec_with({});
  EXPECT_EQ(map_claims(spec, Object{{"sub", "alice"}})->subject, "alice");
  spec.subject_from = "/oid";
  EXPECT_EQ(map_claims(spec, Object{{"sub", "alice"}, {"oid", "o-1"}})->subject, "o-1");
  const auto refused = [&](const Value& oid) {
    const auto mapped = map_claims(spec, Object{{"sub", "alice"}, {"oid", oid}});
    return !mapped.ok() && mapped.error().check == "mapping.subject";
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused(nullptr));
  EXPECT_TRUE(refused(7));
  EXPECT_TRUE(refused(Array{"o-1"}));
  EXPECT_TRUE(refused(std::string(256, 'a')));
  EXPECT_TRUE(refused("o\n1"));
  EXPECT_TRUE(refused("\u00f6"));
  EXPECT_EQ(map_claims(spec, Object{{"sub", "alice"}}).error().check, "mapping.subject");
  EXPECT_EQ(map_claims(spec, Array{}).error().check, "mapping.type");
}

TEST(Mapping, DisplayFallsBackAndIsSafeToShow) {
  IdpSpec spec = spec_with({});
  const auto display = [&](const Object& more) {
    Object claims{{"sub", "alice"}};
    for (const auto& [key, value] : more) claims.set(key, value);
    return map_claims(spec, claims)->display;
  };
  EXPECT_EQ(display({}), "alice");
  EXPECT_EQ(display({{"email", "a@example.com"}}), "a@example.com");
  EXPECT_EQ(display({{"email", "a@example.com"}, {"name", "Alice"}}), "Alice");
  EXPECT_EQ(display({{"name", 7}}), "alice");
  EXPECT_EQ(display({{"name", "\u202eecilA\x1b[2J\n"}}), "ecilA[2J");
  EXPECT_EQ(display({{"name", "\u200b\n"}}), "alice");
  EXPECT_EQ(display({{"name", std::string(254, 'x') + "\u20ac"}}), std::string(254, 'x'));
  spec.display_from = "nickname";
  EXPECT_EQ(display({{"nickname", "Al"}, {"name", "Alice"}}), "Al");
  EXPECT_EQ(display({{"name", "Alice"}}), "Alice");
}

TEST(Mapping, Groups) {
  IdpSpec spec = spec_with({}, "groups");
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", Array{"b", "a"})), "[a,b]");
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", "only")), "[only]");
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", Array{})), "[]");
  EXPECT_EQ(groups_outcome(spec, Object{{"sub", "alice"}}), "[]");
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", nullptr)), "mapping.type");
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", Object{{"name", "a"}})), "mapping.type");
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", Array{Object{{"name", "a"}}})), "mapping.type");
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", Array{"a", ""})), "mapping.type");
  spec.groups_pattern = "/app/(.+)";
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", Array{"/app/a", "/other/b", "/app/c"})), "[a,c]");
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", Array{"/other/b"})), "[]");
  spec.groups_required = true;
  EXPECT_EQ(groups_outcome(spec, claims_with("groups", Array{"/other/b"})), "mapping.required");
  EXPECT_EQ(groups_outcome(spec, Object{{"sub", "alice"}}), "mapping.required");
}

TEST(Mapping, OverageIsNeverNoGroups) {
  const IdpSpec spec = spec_with({}, "groups");
  const auto with = [](Object more) {
    more.set("sub", "alice");
    return Value(std::move(more));
  };
  const std::vector<std::pair<std::string, Value>> cases = {
      {"distributed claim", with({{"_claim_names", Object{{"groups", "src1"}}},
                                  {"_claim_sources", Object{{"src1", Object{{"endpoint", "https://evil.example"}}}}}})},
      {"names without sources", with({{"_claim_names", Object{{"groups", "src1"}}}})},
      {"malformed names", with({{"_claim_names", "groups"}})},
      {"names null", with({{"_claim_names", nullptr}})},
      {"hasgroups", with({{"hasgroups", true}})},
      {"hasgroups as text", with({{"hasgroups", "true"}})},
      {"hasgroups null", with({{"hasgroups", nullptr}})},
      {"groups:src1", with({{"groups:src1", Object{{"endpoint", "https://graph.example"}}}})},
      {"groups names a source", with({{"groups", "src1"}, {"_claim_sources", Object{{"src1", Object{}}}}})},
      {"link object", with({{"groups", Object{{"endpoint", "https://graph.example"}}}})},
      {"odata link", with({{"groups", Object{{"@odata.nextLink", "https://graph.example"}}}})},
      {"link claim", with({{"http://schemas.microsoft.com/claims/groups.link", "https://graph.example"}})},
      {"part here, part elsewhere", with({{"groups", Array{"a"}}, {"_claim_names", Object{{"groups", "src1"}}}})},
  };
  for (const auto& [name, claims] : cases) {
    EXPECT_EQ(groups_outcome(spec, claims), "mapping.overage") << name;
    const auto compiled = Mapping::compile(spec);
    EXPECT_TRUE(compiled->groups_overage(claims)) << name;
  }
  EXPECT_EQ(groups_outcome(spec, with({{"hasgroups", false}})), "[]");
  EXPECT_EQ(groups_outcome(spec, with({{"hasgroups", true}, {"groups", Array{"a"}}})), "[a]");

  // An object on the way to the groups is not the groups: the marker holds until they are there.
  const IdpSpec nested = spec_with({}, "/realm_access/roles");
  const Value half = with({{"groups:src1", "x"}, {"realm_access", Object{{"other", "y"}}}});
  EXPECT_TRUE(Mapping::compile(nested)->groups_overage(half));
  const Value whole = with({{"groups:src1", "x"}, {"realm_access", Object{{"roles", Array{"a"}}}}});
  EXPECT_EQ(groups_outcome(nested, whole), "[a]");
  EXPECT_EQ(groups_outcome(spec, with({{"_claim_names", Object{{"address", "src1"}}}})), "[]");
  // Groups emitted under another name: the marker still speaks of groups.
  const IdpSpec roles = spec_with({}, "roles");
  EXPECT_EQ(groups_outcome(roles, with({{"_claim_names", Object{{"groups", "src1"}}}})), "mapping.overage");
  EXPECT_EQ(groups_outcome(roles, with({{"hasgroups", true}})), "mapping.overage");
  EXPECT_EQ(groups_outcome(roles, with({{"roles", Array{"admin"}}, {"hasgroups", true}})), "[admin]");
  // Without mapped groups it is nobody's business.
  EXPECT_EQ(groups_outcome(spec_with({}), with({{"hasgroups", true}})), "[]");
}

TEST(Mapping, AReferenceInTheClaimsPlaceIsNeverAbsent) {
  const Object claims{{"sub", "alice"},
                      {"_claim_names", Object{{"team", "src1"}}},
                      {"_claim_sources", Object{{"src1", Object{{"JWT", "e30.e30.e30"}}}}}};
  EXPECT_EQ(outcome(rule("team", AttributeType::string), claims), "mapping.overage");
  EXPECT_EQ(outcome(rule("/team/name", AttributeType::string), claims), "mapping.overage");
  EXPECT_EQ(outcome(rule("other", AttributeType::string), claims), "absent");
}

TEST(Mapping, FetchedGroupsTakeTheReferencesPlace) {
  const IdpSpec spec = spec_with({rule("team", AttributeType::string)}, "groups");
  const auto compiled = Mapping::compile(spec);
  const std::vector<Object> overages = {
      {{"sub", "alice"}, {"_claim_names", Object{{"groups", "src1"}}}, {"_claim_sources", Object{{"src1", Object{}}}}},
      {{"sub", "alice"}, {"hasgroups", true}},
      {{"sub", "alice"}, {"groups:src1", "x"}},
      {{"sub", "alice"}, {"groups", "src1"}, {"_claim_sources", Object{{"src1", Object{}}}}},
      {{"sub", "alice"}, {"groups", Object{{"endpoint", "https://evil.example"}}}}};
  for (const auto& claims : overages) {
    const Value filled = with_fetched_groups(claims, compiled->groups_claim(), {"g2", "g1"});
    EXPECT_FALSE(compiled->groups_overage(filled)) << base::json::dump(claims);
    EXPECT_EQ(groups_outcome(spec, filled), "[g1,g2]") << base::json::dump(claims);
  }
  // A reference to another claim is not fetched with it.
  const Value filled = with_fetched_groups(
      Object{{"sub", "alice"}, {"_claim_names", Object{{"groups", "src1"}, {"team", "src2"}}}}, "groups", {"g1"});
  EXPECT_EQ(groups_outcome(spec, filled), "mapping.overage");
}

TEST(Mapping, NamesOfItsClaims) {
  IdpSpec spec = spec_with({}, "/realm_access/roles");
  EXPECT_EQ(Mapping::compile(spec)->groups_claim(), "");
  EXPECT_EQ(Mapping::compile(spec)->subject_claim(), "sub");
  spec.groups_from = "/groups";
  spec.subject_from = "/oid";
  EXPECT_EQ(Mapping::compile(spec)->groups_claim(), "groups");
  EXPECT_EQ(Mapping::compile(spec)->subject_claim(), "oid");
  EXPECT_EQ(Mapping::compile(spec_with({}))->groups_claim(), "");
}

TEST(Printable, DropsWhatMisleadsAndCutsAtCharacters) {
  EXPECT_EQ(printable("Zo\u00eb \u4e16 \U0001F600", 64), "Zo\u00eb \u4e16 \U0001F600");
  EXPECT_EQ(printable("a\x01\x7f\u0085\u200b\u2028\u202e\u2066\ufeffb", 64), "ab");
  EXPECT_EQ(printable("a\xff\xc0\x80z", 64), "az");
  EXPECT_EQ(printable("\u20ac\u20ac", 5), "\u20ac");
  EXPECT_EQ(printable("\xe2\x82", 5), "");
}

}  // namespace
}  // namespace daypass::idp
