// Policy JSON: what each construct is written as, what is taken and refused (both the official engine's verdicts), and
// that text, JSON and canonical text mean the same.
#include <gtest/gtest.h>

#include "cedar/policy_json.h"
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

namespace json = base::json;
using namespace testing;

std::string body_json(std::string_view condition) {
  const auto set = PolicySet::parse(policy_with(condition), "t");
  if (!set.ok()) return set.error().message;
  const auto written = policy_to_json(set->policies()[0]);
  return written.ok() ? json::dump(*written->pointer("/conditions/0/body")) : written.error().check;
}

std::string with_body(std::string_view body) {
  return R"({"effect":"permit","principal":{"op":"All"},"action":{"op":"All"},"resource":{"op":"All"},)"
         R"("conditions":[{"kind":"when","body":)" +
         std::string(body) + "}]}";
}

std::string with_member(std::string_view key, std::string_view value) {
  json::Value policy = json_of(with_body(R"({"Value":true})"));
  if (value.empty())
    policy.as_object()->erase(key);
  else
    policy.as_object()->set(std::string(key), json_of(value));
  return json::dump(policy);
}

// The condition's canonical text, or the check and message of the error.
std::string read_back(std::string_view policy_json, const ParseOptions& options = {}) {
  const auto set = policies_from_json(json_of(policy_json), "p.json", options);
  if (!set.ok()) return set.error().check + " " + set.error().message;
  const Policy& policy = set->templates().empty() ? set->policies()[0] : set->templates()[0];
  return std::string(policy.text());
}
std::string condition_back(std::string_view body) {
  const std::string text = read_back(with_body(body));
  const std::size_t at = text.find("when { ");
  return at == std::string::npos ? text : text.substr(at + 7, text.size() - at - 10);
}

TEST(CedarPolicyJson, WritesEachConstruct) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"context has a", R"({"has":{"left":{"Var":"context"},"attr":"a"}})"},
      {"context has \"a b\"", R"({"has":{"left":{"Var":"context"},"attr":"a b"}})"},
      {"context has a.b", R"({"&&":{"left":{"has":{"left":{"Var":"context"},"attr":"a"}},)"
                          R"("right":{"has":{"left":{".":{"left":{"Var":"context"},"attr":"a"}},"attr":"b"}}}})"},
      {"-1", R"({"Value":-1})"},
      {"--1", R"({"neg":{"arg":{"Value":-1}}})"},
      {"-(1)", R"({"neg":{"arg":{"Value":1}}})"},
      {"-9223372036854775808", R"({"Value":-9223372036854775808})"},
      {"!true", R"({"!":{"arg":{"Value":true}}})"},
      {"1 + 2 - 3 * 4", R"({"-":{"left":{"+":{"left":{"Value":1},"right":{"Value":2}}},)"
                        R"("right":{"*":{"left":{"Value":3},"right":{"Value":4}}}}})"},
      {"1 - 2 - 3", R"({"-":{"left":{"-":{"left":{"Value":1},"right":{"Value":2}}},"right":{"Value":3}}})"},
      {"true && false && true",
       R"({"&&":{"left":{"&&":{"left":{"Value":true},"right":{"Value":false}}},"right":{"Value":true}}})"},
      {"1 > 2", R"({">":{"left":{"Value":1},"right":{"Value":2}}})"},
      {"a::B::\"x\\n\"", R"({"Value":{"__entity":{"type":"a::B","id":"x\n"}}})"},
      {"principal is A::B", R"({"is":{"left":{"Var":"principal"},"entity_type":"A::B"}})"},
      {"principal is A in B::\"c\"",
       R"({"is":{"left":{"Var":"principal"},"entity_type":"A","in":{"Value":{"__entity":{"type":"B","id":"c"}}}}})"},
      {"\"x\" like \"a*\\*é\"",
       R"({"like":{"left":{"Value":"x"},"pattern":[{"Literal":"a"},"Wildcard",{"Literal":"*"},{"Literal":"é"}]}})"},
      {"\"x\" like \"\"", R"({"like":{"left":{"Value":"x"},"pattern":[]}})"},
      {"[1].contains(1)", R"({"contains":{"left":{"Set":[{"Value":1}]},"right":{"Value":1}}})"},
      {"[].isEmpty()", R"({"isEmpty":{"arg":{"Set":[]}}})"},
      {"principal.getTag(\"t\")", R"({"getTag":{"left":{"Var":"principal"},"right":{"Value":"t"}}})"},
      {"ip(\"1\").isIpv4(2)", R"({"isIpv4":[{"ip":[{"Value":"1"}]},{"Value":2}]})"},
      {"ip()", R"({"ip":[]})"},
      {"{a: 1, \"b c\": {}}", R"({"Record":{"a":{"Value":1},"b c":{"Record":{}}}})"},
      {"context[\"c d\"]", R"({".":{"left":{"Var":"context"},"attr":"c d"}})"},
      {"if true then 1 else 2", R"({"if-then-else":{"if":{"Value":true},"then":{"Value":1},"else":{"Value":2}}})"},
      {"{\"__entity\": {type: \"A\"}}", R"({"Record":{"__entity":{"Record":{"type":{"Value":"A"}}}}})"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(body_json(text), expected) << text;
}

TEST(CedarPolicyJson, WritesHeadsAndAnnotations) {
  const auto set = PolicySet::parse(
      "@a @b(\"\") @c(\"x\") permit(principal is A in B::\"b\",action in [Action::\"x\"],resource == C::\"c\");"
      "forbid(principal in ?principal,action in Action::\"x\",resource is C in ?resource) unless { true };",
      "t", {.templates = true});
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(json::dump(*policy_to_json(set->policies()[0])),
            R"({"effect":"permit","principal":{"op":"is","entity_type":"A","in":{"entity":{"type":"B","id":"b"}}},)"
            R"("action":{"op":"in","entity":{"type":"Action","id":"x"}},)"
            R"("resource":{"op":"==","entity":{"type":"C","id":"c"}},"conditions":[],)"
            R"("annotations":{"a":null,"b":"","c":"x"}})");
  EXPECT_EQ(json::dump(*policy_to_json(set->templates()[0])),
            R"({"effect":"forbid","principal":{"op":"in","slot":"?principal"},)"
            R"("action":{"op":"in","entity":{"type":"Action","id":"x"}},)"
            R"("resource":{"op":"is","entity_type":"C","in":{"slot":"?resource"}},)"
            R"("conditions":[{"kind":"unless","body":{"Value":true}}]})");
}

TEST(CedarPolicyJson, ReadsExpressions) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"Value":"a\u0000\n\"é"})", "\"a\\0\\n\\\"é\""},
      {R"({"Value":[1,"a",[true]]})", "[1, \"a\", [true]]"},
      {R"({"Value":{"a":1,"if":{"c d":2}}})", "{a: 1, \"if\": {\"c d\": 2}}"},
      {R"({"Value":{"__entity":{"type":"A","id":"b","x":1}}})", "A::\"b\""},
      {R"({"Value":{"__entity":{"type":"A","id":"b","__entity":{"type":"C","id":"d"}}}})", "A::\"b\""},
      {R"({"Value":{"__entity":"x"}})", "{__entity: \"x\"}"},
      {R"({"Value":{"__entity":{"type":"A","id":1}}})", "{__entity: {type: \"A\", id: 1}}"},
      {R"({"Value":{"__extn":{"fn":"ip","arg":"zz"}}})", "ip(\"zz\")"},
      {R"({"Value":{"__extn":{"fn":"ip","args":[]}}})", "ip()"},
      {R"({"Value":{"__extn":{"fn":"ip","arg":"1.2.3.4","args":["zz"]}}})", "ip(\"1.2.3.4\")"},
      {R"({"Value":{"__extn":{"fn":"ip"}}})", "{__extn: {fn: \"ip\"}}"},
      {R"({"Value":{"__extn":{"fn":"isIpv4","arg":{"__extn":{"fn":"ip","arg":"1"}}}}})", "ip(\"1\").isIpv4()"},
      {R"({"neg":{"arg":{"Value":1}}})", "-(1)"},
      {R"({"neg":{"arg":{"Value":-1}}})", "-(-1)"},
      {R"({"-":{"left":{"Value":1},"right":{"Value":-2}}})", "1 - -2"},
      {R"({"-":{"left":{"Value":1},"right":{"-":{"left":{"Value":1},"right":{"Value":2}}}}})", "1 - (1 - 2)"},
      {R"({"-":{"left":{"-":{"left":{"Value":1},"right":{"Value":1}}},"right":{"Value":2}}})", "1 - 1 - 2"},
      {R"({"has":{"left":{"Var":"context"},"attr":["a"]}})", "context has a"},
      {R"({"has":{"left":{"Var":"context"},"attr":["a","b"]}})", "context has a.b"},
      {R"({"has":{"left":{"Var":"context"},"attr":"if"}})", "context has \"if\""},
      {R"({"has":{"left":{"Var":"context"},"attr":["a","b c"]}})", "context has a && context.a has \"b c\""},
      {R"({"has":{"left":{"Var":"context"},"attr":"a","x":1}})", "context has a"},
      {R"({"!":{"arg":{"has":{"left":{"Value":-1},"attr":["a b","c"]}}}})", "!(-1 has \"a b\" && (-1)[\"a b\"] has c)"},
      {R"({".":{"left":{"neg":{"arg":{"Value":1}}},"attr":"a"}})", "(-(1)).a"},
      {R"({".":{"left":{"Value":-1},"attr":""}})", "(-1)[\"\"]"},
      {R"({"like":{"left":{"Value":"x"},"pattern":["Wildcard",{"Literal":"ab*"},{"Wildcard":null}]}})",
       "\"x\" like \"*ab\\**\""},
      {R"({"is":{"left":{"Var":"context"},"entity_type":"A","in":null}})", "context is A"},
      {R"({"isIpv4":[{"Value":1},{"Value":2}]})", "1.isIpv4(2)"},
      {R"({"==":{"left":{"==":{"left":{"Value":1},"right":{"Value":2}}},"right":{"Value":3}}})", "(1 == 2) == 3"},
      {R"({"&&":{"left":{"||":{"left":{"Value":true},"right":{"Value":false}}},)"
       R"("right":{"if-then-else":{"if":{"Value":true},"then":{"Value":1},"else":{"Value":2}}}}})",
       "(true || false) && (if true then 1 else 2)"},
      {R"({"!":{"arg":{"!":{"arg":{"Value":true}}}}})", "!(!true)"},
  };
  for (const auto& [body, expected] : cases) EXPECT_EQ(condition_back(body), expected) << body;
}

TEST(CedarPolicyJson, RefusesExpressionsWithTheirPlace) {
  const std::string at = "p.json:1:1: /conditions/0/body";
  const std::pair<std::string_view, std::string> cases[] = {
      {"{}", "cedar.policy_json " + at + ": an expression has one member, not 0"},
      {R"({"Value":1,"Var":"context"})", "cedar.policy_json " + at + ": an expression has one member, not 2"},
      {"null", "cedar.policy_json " + at + ": an expression is an object, not null"},
      {"[]", "cedar.policy_json " + at + ": an expression is an object, not array"},
      {R"({"Foo":[]})", "cedar.unknown_function " + at + ": there is no operator or function \"Foo\""},
      {R"({"a::ip":[]})", "cedar.unknown_function " + at},
      {R"({"Var":"x"})", "cedar.policy_json " + at + "/Var: a variable is"},
      {R"({"Slot":"?principal"})", "cedar.template " + at + "/Slot: a slot can't stand in a condition"},
      {R"({"Value":null})", "cedar.policy_json " + at + "/Value: null"},
      {R"({"Value":{"a/b~":[null]}})", "cedar.policy_json " + at + "/Value/a~1b~0/0: null"},
      {R"({"Value":1.5})", "cedar.policy_json " + at + "/Value: a number that is not"},
      {R"({"Value":9223372036854775808})", "cedar.policy_json " + at + "/Value: a number that is not"},
      {R"({"Value":{"__entity":{"type":"A b","id":"b"}}})", "cedar.entity_uid " + at + "/Value/__entity: "},
      {R"({"Value":{"__expr":"x"}})", "cedar.policy_json " + at + "/Value: the `__expr` escape"},
      {R"({"Value":{"__extn":{"fn":"foo","arg":"x"}}})", "cedar.unknown_function " + at + "/Value/__extn/fn: "},
      {R"({"Value":{"__extn":{"fn":"ip","arg":null}}})", "cedar.policy_json " + at + "/Value/__extn/arg: null"},
      {R"({"!":{"arg":{"Value":true},"x":1}})", "cedar.policy_json " + at + "/!: an operator with one side has no"},
      {R"({"!":{}})", "cedar.policy_json " + at + "/!: the member \"arg\" is missing"},
      {R"({"-":{"arg":{"Value":1}}})", "cedar.policy_json " + at + "/-: an operator with two sides has no member"},
      {R"({"==":{"left":{"Value":1}}})", "cedar.policy_json " + at + "/==: the member \"right\" is missing"},
      {R"({"&&":{"left":{"&&":{"left":{"Value":1},"right":{}}},"right":{"Value":1}}})",
       "cedar.policy_json " + at + "/&&/left/&&/right: an expression has one member"},
      {R"({"has":{"left":{"Var":"context"},"attr":[]}})", "cedar.policy_json " + at + "/has/attr: attr is"},
      {R"({"has":{"left":{"Var":"context"},"attr":["a",1]}})", "cedar.policy_json " + at + "/has/attr: attr is"},
      {R"({".":{"left":{"Var":"context"},"attr":["a"]}})", "cedar.policy_json " + at + "/./attr: a string"},
      {R"({"like":{"left":{"Value":"x"},"pattern":"a*b"}})", "cedar.policy_json " + at + "/like/pattern: "},
      {R"({"like":{"left":{"Value":"x"},"pattern":[{"Literal":"a","x":1}]}})",
       "cedar.policy_json " + at + "/like/pattern/0: "},
      {R"({"is":{"left":{"Var":"context"},"entity_type":"if"}})", "cedar.policy_json " + at + "/is/entity_type: "},
      {R"({"if-then-else":{"if":{"Value":true},"then":{"Value":1}}})",
       "cedar.policy_json " + at + "/if-then-else: the member \"else\" is missing"},
      {R"({"Set":{}})", "cedar.policy_json " + at + "/Set: an array"},
      {R"({"Record":[]})", "cedar.policy_json " + at + "/Record: a record is an object"},
      {R"({"contains":[{"Value":1},{"Value":2}]})", "cedar.policy_json " + at + "/contains: "},
      {R"({"isEmpty":{"left":{"Value":1}}})", "cedar.policy_json " + at + "/isEmpty: "},
      {R"({"ip":{"arg":{"Value":1}}})", "cedar.policy_json " + at + "/ip: an array"},
      {R"({"isIpv4":[]})", "cedar.arity " + at + "/isIpv4: the method `isIpv4` needs a receiver"},
      {R"({"unknown":[{"Value":"x"}]})", "cedar.unknown_function " + at},
  };
  for (const auto& [body, expected] : cases) {
    const std::string got = condition_back(body);
    EXPECT_TRUE(got.starts_with(expected)) << body << "\n  expected " << expected << "\n  got      " << got;
  }
}

struct MemberCase {
  std::string_view key, value;
  std::string_view expected;  // a policy's text, or how the error begins
};

TEST(CedarPolicyJson, HeadsAndMembers) {
  const MemberCase cases[] = {
      {"effect", "\"allow\"", "cedar.policy_json p.json:1:1: /effect: an effect is"},
      {"effect", "", "cedar.policy_json p.json:1:1: the document: the member \"effect\" is missing"},
      {"conditions", "", "cedar.policy_json p.json:1:1: the document: the member \"conditions\""},
      {"conditions", "null", "cedar.policy_json p.json:1:1: /conditions: "},
      {"conditions", R"([{"kind":"if","body":{"Value":true}}])", "cedar.policy_json p.json:1:1: /conditions/0/kind: "},
      {"conditions", R"([{"kind":"when"}])", "cedar.policy_json p.json:1:1: /conditions/0: the member \"body\""},
      {"conditions", R"([{"kind":"when","body":{"Value":true},"x":1}])", "cedar.policy_json p.json:1:1: /conditions/0"},
      {"extra", "1", "cedar.policy_json p.json:1:1: the document: a policy has no member \"extra\""},
      {"annotations", R"({"a":"x","b":null,"if":""})", "@a(\"x\")\n@b\n@if(\"\")\npermit("},
      {"annotations", R"({"a b":"x"})", "cedar.policy_json p.json:1:1: /annotations: \"a b\" is no annotation's name"},
      {"annotations", R"({"":"x"})", "cedar.policy_json"},
      {"annotations", R"({"1":"x"})", "cedar.policy_json"},
      {"annotations", R"({"a":1})", "cedar.policy_json p.json:1:1: /annotations/a: "},
      {"annotations", "null", "cedar.policy_json p.json:1:1: /annotations: "},
      {"principal", "\"All\"", "cedar.policy_json p.json:1:1: /principal: "},
      {"principal", R"({"op":"all","x":1})", "permit(principal, action, resource)"},
      {"principal", R"({"op":"=="})", "cedar.policy_json p.json:1:1: /principal: the member \"entity\""},
      {"principal", R"({"op":"==","entity":{"__entity":{"type":"A","id":"b"}},"x":1})",
       "permit(principal == A::\"b\","},
      {"principal", R"({"op":"==","entity":"A::\"b\""})", "cedar.entity_uid p.json:1:1: /principal/entity: "},
      {"principal", R"({"op":"==","entity":null,"slot":"?principal"})", "cedar.entity_uid"},
      {"principal", R"({"op":"==","entity":{"type":"A","id":"b"},"slot":"?x"})", "permit(principal == A::\"b\","},
      {"principal", R"({"op":"in","entities":[]})", "cedar.policy_json"},
      {"principal", R"({"op":"is","entity_type":"A","in":null})", "permit(principal is A,"},
      {"principal", R"({"op":"is","entity_type":"A","in":{}})", "cedar.policy_json p.json:1:1: /principal/in: "},
      {"principal", R"({"op":"is","entity_type":"A","slot":"?principal"})", "cedar.policy_json"},
      {"principal", R"({"op":"is","entity_type":" A"})", "cedar.policy_json p.json:1:1: /principal/entity_type: "},
      {"principal", R"({"op":"eq"})", "cedar.policy_json p.json:1:1: /principal/op: "},
      {"principal", R"({"op":"==","slot":"?principal"})", "cedar.template p.json:1:1: /principal/slot: "},
      {"action", R"({"op":"is","entity_type":"Action"})", "cedar.policy_json"},
      {"action", R"({"op":"==","entity":{"type":"A","id":"b"}})", "cedar.action_type p.json:1:1: /action/entity: "},
      {"action", R"({"op":"==","entity":{"type":"N::Action","id":"b"}})",
       "permit(principal, action == N::Action::\"b\""},
      {"action", R"({"op":"in","entities":[]})", "permit(principal, action in [], resource)"},
      {"action", R"({"op":"in","entities":[{"type":"X","id":"b"}]})", "cedar.action_type"},
      {"action", R"({"op":"in","entity":{"type":"Action","id":"b"},"entities":[]})",
       "permit(principal, action in Action::\"b\","},
      {"action", R"({"op":"in","slot":"?principal"})", "cedar.policy_json"},
  };
  for (const MemberCase& one : cases) {
    const std::string got = read_back(with_member(one.key, one.value));
    EXPECT_TRUE(got.starts_with(one.expected)) << one.key << " " << one.value << "\n  got " << got;
  }
  const MemberCase templates[] = {
      {"principal", R"({"op":"==","slot":"?principal"})", "permit(principal == ?principal,"},
      {"principal", R"({"op":"==","slot":"?resource"})", "cedar.policy_json p.json:1:1: /principal/slot: "},
      {"principal", R"({"op":"==","slot":"x"})", "cedar.policy_json"},
      {"principal", R"({"op":"is","entity_type":"A","in":{"slot":"?resource"}})",
       "permit(principal is A in ?principal,"},
      {"resource", R"({"op":"in","slot":"?resource"})", "permit(principal, action, resource in ?resource)"},
      {"action", R"({"op":"==","slot":"?action"})", "cedar.policy_json"},
  };
  for (const MemberCase& one : templates) {
    const std::string got = read_back(with_member(one.key, one.value), {.templates = true});
    EXPECT_TRUE(got.starts_with(one.expected)) << one.key << " " << one.value << "\n  got " << got;
  }
}

std::string set_error(std::string_view text, const ParseOptions& options = {.templates = true}) {
  const auto set = policies_from_json(json_of(text), "p.json", options);
  return set.ok() ? "ok" : set.error().check + " " + set.error().message;
}

TEST(CedarPolicyJson, Sets) {
  const std::string fixed = with_body(R"({"Value":true})");
  const std::string slotted = R"({"effect":"permit","principal":{"op":"==","slot":"?principal"},"action":{"op":"All"},)"
                              R"("resource":{"op":"All"},"conditions":[]})";
  const auto link = [](std::string_view rest) {
    return R"("templateLinks":[{"templateId":"t","newId":"l","values":)" + std::string(rest) + "}]";
  };
  const std::string user = R"({"?principal":{"type":"User","id":"a"}})";
  const std::string both = R"({"staticPolicies":{"s":)" + fixed + R"(},"templates":{"t":)" + slotted + "},";
  EXPECT_EQ(set_error("{\"staticPolicies\":{}}"), "ok");
  EXPECT_EQ(set_error(both + link(user) + "}"), "ok");
  const std::pair<std::string, std::string_view> cases[] = {
      {both + link("{}") + "}", "cedar.missing_slot p.json:1:1: /templateLinks/0: nothing given for ?principal"},
      {both + link(R"({"?x":{"type":"User","id":"a"}})") + "}",
       "cedar.policy_json p.json:1:1: /templateLinks/0/values: "},
      {both + link(R"({"?principal":"User::\"a\""})") + "}",
       "cedar.entity_uid p.json:1:1: /templateLinks/0/values/?principal: "},
      {both + R"("templateLinks":[{"templateId":"s","newId":"l","values":{}}]})", "cedar.unknown_template"},
      {both + R"("templateLinks":[{"templateId":"t","newId":"s","values":)" + user + "}]}", "cedar.duplicate_id"},
      {both + R"("templateLinks":[{"templateId":"t","newId":"l"}]})",
       "cedar.policy_json p.json:1:1: /templateLinks/0: "},
      {both + R"("templateLinks":[{"templateId":"t","newId":"l","values":{},"x":1}]})", "cedar.policy_json"},
      {both + R"("templateLinks":{}})", "cedar.policy_json p.json:1:1: /templateLinks: "},
      {R"({"staticPolicies":{"s":)" + slotted + "}}", "cedar.template p.json:1:1: /staticPolicies/s: "},
      {R"({"templates":{"s":)" + fixed + "}}", "cedar.policy_json p.json:1:1: /templates/s: "},
      {R"({"staticPolicies":{"s":)" + fixed + R"(},"templates":{"s":)" + slotted + "}}",
       "cedar.duplicate_id p.json:1:1: /templates/s: "},
      {R"({"staticPolicies":{},"foo":1})", "cedar.policy_json p.json:1:1: the document: a policy set has no member"},
      {R"({"staticPolicies":[]})", "cedar.policy_json p.json:1:1: /staticPolicies: "},
      {"[]", "cedar.policy_json p.json:1:1: the document: a policy is an object"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string got = set_error(text);
    EXPECT_TRUE(got.starts_with(expected)) << text << "\n  got " << got;
  }
  EXPECT_TRUE(set_error(both + link(user) + "}", {}).starts_with("cedar.template p.json:1:1: /templates/t"));
  EXPECT_EQ(set_error(both + link(user) + "}", {.templates = true, .max_policies = 3}), "ok");
  EXPECT_TRUE(set_error(both + link(user) + "}", {.templates = true, .max_policies = 2})
                  .starts_with("cedar.too_many p.json:1:1: /templateLinks/0"));
  EXPECT_TRUE(set_error(both + link(user) + "}", {.templates = true, .max_bytes = 60})
                  .starts_with("cedar.too_large p.json:1:1: /templates/t"));
}

// Every policy's first error is told, not the document's first only.
TEST(CedarPolicyJson, TellsOneErrorAPolicy) {
  std::vector<Diagnostic> found;
  const auto set = policies_from_json(json_of(R"({"staticPolicies":{"a":{},"b":)" + with_body(R"({"Value":true})") +
                                              R"(,"c":)" + with_body("{}") + "}}"),
                                      "p.json", {}, &found);
  EXPECT_FALSE(set.ok());
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(found[0].message.starts_with("/staticPolicies/a: ")) << found[0].message;
  EXPECT_TRUE(found[1].message.starts_with("/staticPolicies/c/conditions/0/body: ")) << found[1].message;
}

// What came from JSON has a text, and its errors a place in it.
TEST(CedarPolicyJson, ErrorsAndExplanationsHavePlaces) {
  const auto set = policies_from_json(
      json_of(R"({"staticPolicies":{"one":)" + with_body(R"({"Value":true})") + R"(,"two":)" +
              with_body(R"({"&&":{"left":{"Value":true},"right":{"==":{"left":{".":{"left":{"Var":"principal"},)"
                        R"("attr":"no"}},"right":{"Value":1}}}}})") +
              "}}"),
      "p.json");
  ASSERT_TRUE(set.ok());
  const Answer answer = authorize(*set, world(), request());
  ASSERT_EQ(answer.errors.size(), 1U);
  EXPECT_EQ(answer.errors[0].policy, "two");
  EXPECT_EQ(answer.errors[0].line, 5U);
  EXPECT_EQ(answer.errors[0].column, 16U);
  const Explanation why = explain(*set->find("two"), world(), request());
  EXPECT_EQ(why.parts[3].text, "when { true && principal.no == 1 }");
  EXPECT_EQ(why.parts[3].terms[1].text, "principal.no == 1");
  EXPECT_EQ(set->find("two")->file(), "p.json");
}

std::string nested(std::size_t levels) {
  std::string text = R"({"Value":true})";
  for (std::size_t i = 1; i < levels; ++i) text = R"({"!":{"arg":)" + text + "}}";
  return text;
}

TEST(CedarPolicyJson, Bounds) {
  EXPECT_TRUE(read_back(with_body(nested(max_nesting))).starts_with("permit("));
  EXPECT_TRUE(
      read_back(with_body(nested(max_nesting + 1))).starts_with("cedar.too_deep p.json:1:1: /conditions/0/body"));
  // Chains of one operator do not nest, in JSON neither, but JSON has to write them nested.
  std::string chain = "1";
  for (int i = 0; i < 500; ++i) chain += " + 1";
  auto set = PolicySet::parse(policy_with(chain + " == 501"), "t");
  ASSERT_TRUE(set.ok());
  const auto written = policy_to_json(set->policies()[0]);
  ASSERT_TRUE(written.ok());
  const auto again = policies_from_json(*written, "p.json");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->policies()[0].text(), policy_to_text(set->policies()[0]));
  for (int i = 0; i < 100'000; ++i) chain += " + 1";
  set = PolicySet::parse(policy_with(chain + " == 501"), "t");
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(policy_to_json(set->policies()[0]).error().check, "cedar.too_deep");
  // Each path repeats what stands before it: 2^60 nodes.
  std::string paths = "context";
  for (int i = 0; i < 60; ++i) paths = "(" + paths + " has a.b)";
  set = PolicySet::parse(policy_with(paths), "t");
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(policy_to_json(set->policies()[0]).error().check, "cedar.too_large");
  std::string odd = R"({"Var":"context"})";
  for (int i = 0; i < 60; ++i) odd = R"({"has":{"left":)" + odd + R"(,"attr":["a b","c"]}})";
  EXPECT_TRUE(read_back(with_body(odd)).starts_with("cedar.too_large"));
  std::string names = "\"a b\"";
  for (std::size_t i = 1; i < max_nesting; ++i) names += ",\"c\"";
  EXPECT_TRUE(read_back(with_body(R"({"has":{"left":{"Var":"context"},"attr":[)" + names + "]}}"))
                  .starts_with("cedar.too_deep"));
}

// Text, its canonical text and its JSON are one policy.
TEST(CedarPolicyJson, TextAndJsonMeanTheSame) {
  for (const std::string_view condition :
       {"(true && false) && (true && (1 == 1))", "(1 + 2) + 3 - (4 - 5) == 6 * (7 * 8) * -9", "!(!(!!true))",
        "(if true then {a: 1} else {a: 2}).a == 1", "[(if true then 1 else 2), -(-(1)), --1]", "(-1).isIpv4()", "-1.a",
        "(principal is User) == (principal is User in Group::\"g\")", "(context has n) has n",
        "\"\\u{1F600}\\0\\x7f\\*\" == \"a\"", "\"a\" like \"\\u{1F600}\\0*\\*\\\\\"", "-9223372036854775808 < 0",
        "{\"if\": 1, \"a b\": 2, c: 3}[\"a b\"] == 2", "User::\"\\\"\\n\" == principal",
        "ip(1, 2).isInRange() || [1].containsAll([])"}) {
    auto from = PolicySet::parse(policy_with(condition), "t");
    if (!from.ok()) from = PolicySet::parse(policy_with("true"), "t");  // an escape of patterns only
    const Policy& policy = from->policies()[0];
    const auto written = policy_to_json(policy);
    ASSERT_TRUE(written.ok()) << condition;
    const auto text = PolicySet::parse(policy_to_text(policy), "t");
    ASSERT_TRUE(text.ok()) << policy_to_text(policy);
    EXPECT_EQ(*policy_to_json(text->policies()[0]), *written) << condition;
    const auto read = policies_from_json(*written, "p.json");
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(*policy_to_json(read->policies()[0]), *written) << condition;
    EXPECT_EQ(read->policies()[0].text(), policy_to_text(read->policies()[0]));
  }
}

// The places that reading JSON makes up are those that parsing the canonical text finds.
TEST(CedarPolicyJson, PlacesAreThoseOfTheText) {
  const auto set = PolicySet::parse(
      "@a(\"b\") permit(principal is A in B::\"c\",action in [Action::\"x\"],resource) when { (1 + -(2)) * 3 == 4 && "
      "!(context has a.b) && [1, {x: ip(\"1\").isIpv4()}].contains(\"a\" like \"b*\") } unless { context[\"a b\"] };",
      "t");
  ASSERT_TRUE(set.ok());
  const auto read = policies_from_json(*policies_to_json(*set), "p");
  ASSERT_TRUE(read.ok());
  const Policy& ours = read->policies()[0];
  const auto parsed = PolicySet::parse(ours.source().text, "p");
  ASSERT_TRUE(parsed.ok());
  const Policy& theirs = parsed->policies()[0];
  ASSERT_EQ(ours.exprs().size(), theirs.exprs().size());
  const auto spans = [](const ExprTree& tree) {
    std::multimap<std::pair<std::uint32_t, std::uint32_t>, Op> out;
    for (ExprId e = 0; e < tree.size(); ++e) out.emplace(std::pair(tree.span(e).begin, tree.span(e).end), tree.op(e));
    return out;
  };
  EXPECT_EQ(spans(ours.exprs()), spans(theirs.exprs()));
  EXPECT_EQ(ours.principal().span, theirs.principal().span);
  EXPECT_EQ(ours.action().span, theirs.action().span);
  EXPECT_EQ(ours.resource().span, theirs.resource().span);
  EXPECT_EQ(ours.conditions()[1].span, theirs.conditions()[1].span);
  EXPECT_EQ(ours.text(), theirs.text());
}

}  // namespace
}  // namespace daypass::cedar
