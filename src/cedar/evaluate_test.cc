// What expressions mean. Each verdict was asked from the official engine, 4.10.
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using testing::expect_verdicts;
using testing::verdict;

TEST(CedarEvaluate, LogicStopsAtTheOperandThatDecides) {
  expect_verdicts("true", {"true || 1", "false || true", "true && true", "!false", "!!true", "!!!!true",
                           "!true == false", "(if true then true else 1.a)", "if false then 1.a else true"});
  expect_verdicts("false", {"false && 1", "false && 1.a", "true && false", "false || false && true"});
  expect_verdicts("error: type error: expected bool, got long",
                  {"true && 1", "1 && true", "1 || true", "false || 1", "!1", "if 1 then true else false", "1"});
}

TEST(CedarEvaluate, BothOperandsAreEvaluatedBeforeTypesAreLookedAt) {
  expect_verdicts("error: type error: expected record or entity, got long",
                  {"1 in 1.a", "\"a\" * 1.a == 1", "1 < 2.a", "1.contains(1.a)", "1.hasTag(1.a)",
                   "principal.hasTag(1.a)", "[1, 2.a] == []", "{a: 1.a} == {}", "[1.a].contains(1)"});
  // Of two bad operands the left one is told.
  expect_verdicts("error: type error: expected string, got long", {"ip(1).isInRange(1.a)"});
}

TEST(CedarEvaluate, ArithmeticIsCheckedInt64) {
  expect_verdicts("true", {"1 + 2 * 3 == 7", "1 - 2 - 3 == -4", "2 - -1 == 3", "2--1 == 3", "2---1 == 1", "- -1 == 1",
                           "----1 == 1", "-1 + 2 == 1", "-principal.n == -1", "007 == 7", "10 - 2 + 3 - 1 == 10",
                           "-9223372036854775808 == -9223372036854775807 - 1", "- 9223372036854775808 < 0",
                           "9223372036854775807 > 9223372036854775806"});
  expect_verdicts("error: integer overflow",
                  {"9223372036854775807 + 1 == 1", "-9223372036854775808 - 1 == 1", "4611686018427387904 * 2 == 1",
                   "-(-9223372036854775808) == 1", "--9223372036854775808 == 1", "1 + 9223372036854775807 - 1 == 1"});
  expect_verdicts("error: type error: expected long",
                  {"\"a\" + 1 == 1", "1 + \"a\" == 1", "true * true == 1", "-true == 1"});
}

TEST(CedarEvaluate, EqualityNeverErrs) {
  expect_verdicts("true", {"1 != \"a\"", "principal != 1", "[1, 2] == [2, 1, 1]", "[[1], [1, 1]] == [[1]]",
                           "{a: 1, b: 2} == {b: 2, a: 1}", "principal == User::\"a\"", "principal == principal.e",
                           "decimal(\"1.0\") == decimal(\"1.00\")", "datetime(\"2024-01-01\") != duration(\"1d\")",
                           "1 != datetime(\"1970-01-01\")", "context == {n: 7, flag: true}", "[] == []", "{} == {}",
                           "principal.set == [2, 1]"});
  expect_verdicts("false",
                  {"1 == true", "\"1\" == 1", "{} == []", "User::\"a\" == Group::\"a\"", "\"é\" == \"e\\u{301}\""});
}

TEST(CedarEvaluate, OrderIsForLongDatetimeAndDuration) {
  expect_verdicts("true", {"1 < 2", "2 <= 2", "2 >= 2", "3 > 2", "datetime(\"2024-01-01\") < datetime(\"2024-01-02\")",
                           "duration(\"1d\") > duration(\"1h\")", "duration(\"24h\") >= duration(\"1d\")"});
  expect_verdicts("error: type error",
                  {"\"a\" < \"b\"", "true < false", "1 < \"a\"", "\"a\" < 1", "datetime(\"2024-01-01\") < 1",
                   "datetime(\"2024-01-01\") < duration(\"1d\")", "decimal(\"1.0\") < decimal(\"2.0\")",
                   "ip(\"1.1.1.1\") < ip(\"1.1.1.2\")", "principal < principal", "[1] < [2]"});
}

TEST(CedarEvaluate, InIsReflexiveAndKnowsSets) {
  expect_verdicts("true", {"principal in principal", "principal in Group::\"g\"", "principal in Group::\"top\"",
                           "Zed::\"q\" in Zed::\"q\"", "Zed::\"q\" in [Zed::\"p\", Zed::\"q\"]",
                           "principal in [Zed::\"q\", Group::\"top\"]", "action in Action::\"view\""});
  expect_verdicts("false", {"principal in []", "Zed::\"q\" in []", "Group::\"g\" in principal",
                            "Zed::\"q\" in Group::\"g\"", "principal in Group::\"x\"", "action in Action::\"other\""});
  expect_verdicts("error: type error", {"principal in 1", "1 in principal", "1 in 1", "principal in {a: 1}",
                                        "principal in [Group::\"g\", 1]", "principal in [1, Group::\"g\"]", "1 in []"});
}

TEST(CedarEvaluate, IsComparesWholeTypeNames) {
  expect_verdicts("true",
                  {"principal is User", "resource is Doc", "A::B::\"x\" is A::B", "principal is User in Group::\"g\"",
                   "principal is User in [Group::\"g\"]", "action is Action"});
  expect_verdicts("false", {"principal is Use", "principal is A::User", "A::B::\"x\" is B", "principal is Group in 1",
                            "principal is Group in 1.a", "principal is User in Group::\"x\""});
  expect_verdicts("error: type error", {"1 is User", "principal is User in 1", "1 is User in 1", "{} is User"});
}

TEST(CedarEvaluate, MissingEntitiesHaveNothing) {
  expect_verdicts("false", {"Zed::\"q\" has n", "Zed::\"q\" has n.x", "Zed::\"q\".hasTag(\"t\")", "resource has n",
                            "action has n", "resource in Group::\"g\""});
  expect_verdicts("error: entity",
                  {"Zed::\"q\".n == 1", "Zed::\"q\".getTag(\"t\") == 1", "resource.n == 1", "action.n == 1"});
}

TEST(CedarEvaluate, AttributesAndHas) {
  expect_verdicts("true",
                  {"principal.n == 1", "principal[\"n\"] == 1", "principal[\"if\"] == 3", "principal[\"\"] == 4",
                   "principal has n", "principal has \"if\"", "principal has \"\"", "principal has r.x.y",
                   "principal has e.e.e.n", "principal.e.e.n == 1", "{a: {b: 1}} has a.b", "{\"a b\": 1}[\"a b\"] == 1",
                   "{\"if\": 1}[\"if\"] == 1", "principal has \"\\u{6e}\"", "context has flag", "context.flag",
                   "{permit: 1, principal: 2}.principal == 2", "(principal . r [ \"x\" ]) . y == 1"});
  expect_verdicts(
      "false", {"principal has z", "principal has z.n.x", "principal has r.x.z", "principal has r.z.x", "context has x",
                "principal has permit", "principal has contains", "{} has a", "principal has \"r.x\""});
  expect_verdicts("error: type error: expected record or entity",
                  {"1 has n", "\"a\" has n", "[] has a", "true.a", "1.a", "\"a\".a", "[1].a", "principal has n.x",
                   "principal has r.x.y.z", "-1.a == 1"});
  expect_verdicts("error: User::\"a\" has no attribute", {"principal.z", "principal.contains", "principal.principal"});
  expect_verdicts("error: the record has no attribute", {"context.x", "{a: 1}.b", "principal.r.z"});
}

TEST(CedarEvaluate, TagsAreANamespaceOfTheirOwn) {
  expect_verdicts("true", {"principal.hasTag(\"t\")", "principal.getTag(\"t\") == 1", "!principal.hasTag(\"n\")",
                           "!(principal has t)"});
  expect_verdicts("error: User::\"a\" has no tag", {"principal.getTag(\"n\") == 1"});
  expect_verdicts("error: type error",
                  {"principal.hasTag(1)", "1.hasTag(\"t\")", "1.getTag(\"t\")", "{t: 1}.hasTag(\"t\")"});
}

TEST(CedarEvaluate, Sets) {
  expect_verdicts("true",
                  {"[1].contains(1)", "[1, true, \"a\", principal, {a: 1}].contains({a: 1})", "[1].containsAll([])",
                   "[1].containsAny([1, 2])", "[1, 2].containsAll([2, 1, 1])", "[].isEmpty()", "![1].isEmpty()",
                   "[decimal(\"1.0\")].contains(decimal(\"1.00\"))", "[[]].contains([])", "[1,].contains(1)"});
  expect_verdicts("false",
                  {"[1].contains(\"1\")", "[].containsAny([])", "[1].containsAll([1, 2])", "[1].containsAny([])"});
  expect_verdicts("error: type error: expected set", {"1.contains(1)", "[1].containsAll(1)", "[1].containsAny({})",
                                                      "1.containsAny(1)", "1.isEmpty()", "{}.isEmpty()"});
}

TEST(CedarEvaluate, LikeMatchesCodePoints) {
  expect_verdicts("true", {"\"a\" like \"a\"", "\"a\" like \"*\"", "\"\" like \"\"", "\"\" like \"*\"",
                           "\"a\" like \"**a**\"", "\"*\" like \"\\*\"", "\"a*b\" like \"a\\*b\"", "\"é\" like \"é\"",
                           "\"日本\" like \"日*\"", "\"日本\" like \"*本\"", "\"abcbc\" like \"a*bc\"",
                           "\"aXbXc\" like \"a*b*c\"", "\"a\" like \"\\u{2a}\"", "\"a\" like \"\\x2a\"",
                           "principal.s like \"x*\"", "\"a\\0b\" like \"a\\0*\"", "\"xabab\" like \"*ab\""});
  expect_verdicts(
      "false", {"\"a\" like \"\\*\"", "\"A\" like \"a\"", "\"\" like \"a*\"", "\"ab\" like \"ab*ab\"",
                "\"aXb\" like \"a\\0b\"", "\"é\" like \"e\\u{301}\"", "\"ab\" like \"*a\"", "\"aba\" like \"ab*ba\""});
  expect_verdicts("error: type error: expected string", {"1 like \"a\"", "principal like \"a\""});
}

TEST(CedarEvaluate, ExtensionCallsErrWhenTheyRun) {
  expect_verdicts("error: malformed", {"ip(\"zz\").isIpv4()", "decimal(\"1\") == 1", "datetime(\"2024-13-01\") == 1",
                                       "duration(\"1\") == 1"});
  expect_verdicts("error: `", {"ip() == 1", "ip(\"1.1.1.1\", \"\") == 1", "ip(\"1.1.1.1\").isInRange()",
                               "ip(\"1.1.1.1\").isInRange(ip(\"::\"), 1)", "ip(\"1.1.1.1\").isIpv4(1)",
                               "datetime(\"1970-01-01\").offset(duration(\"-9223372036854775808ms\")).toDate() == 1",
                               "datetime(\"2024-01-01\").offset(duration(\"9223372036854775807ms\")) == 1"});
  expect_verdicts("error: type error",
                  {"ip(1) == 1", "true.isIpv4()", "ip(\"1.1.1.1\").isInRange(\"a\")", "decimal(\"1.0\").lessThan(2)",
                   "2.lessThan(decimal(\"1.0\"))", "1.toDays() == 1", "duration(\"1d\").toDate() == 1",
                   "1.offset(1) == 1", "datetime(\"2024-01-01\").offset(1) == 1"});
  expect_verdicts("true", {"true || ip(\"zz\").isIpv4()", "true || ip()"});
}

TEST(CedarEvaluate, ExtensionMethods) {
  expect_verdicts("true",
                  {"ip(\"1.1.1.1\").isInRange(ip(\"1.1.1.0/24\"))", "ip(\"10.0.0.0/8\").isInRange(ip(\"10.0.0.5/8\"))",
                   "ip(\"10.0.0.0/9\").isInRange(ip(\"10.0.0.0/8\"))", "ip(\"::1\").isInRange(ip(\"::/0\"))",
                   "!ip(\"10.0.0.0/7\").isInRange(ip(\"10.0.0.0/8\"))", "!ip(\"1.1.1.1\").isInRange(ip(\"::/0\"))",
                   "ip(\"1.1.1.1\").isIpv4()", "ip(\"::\").isIpv6()", "ip(\"127.0.0.0/8\").isLoopback()",
                   "!ip(\"127.0.0.1/7\").isLoopback()", "ip(\"::1\").isLoopback()", "!ip(\"::1/127\").isLoopback()",
                   "ip(\"224.0.0.0/4\").isMulticast()", "!ip(\"224.0.0.0/3\").isMulticast()",
                   "ip(\"ff00::/9\").isMulticast()", "!ip(\"ff00::/7\").isMulticast()"});
  expect_verdicts(
      "true",
      {"decimal(\"1.0\").lessThan(decimal(\"1.1\"))", "decimal(\"1.0\").lessThanOrEqual(decimal(\"1.0\"))",
       "decimal(\"-0.5\").lessThan(decimal(\"0.0\"))", "decimal(\"1.1\").greaterThan(decimal(\"1.0\"))",
       "decimal(\"1.1\").greaterThanOrEqual(decimal(\"1.1\"))", "!decimal(\"1.0\").lessThan(decimal(\"1.0\"))"});
  expect_verdicts("true", {"principal.dt.toTime() == duration(\"0ms\")",
                           "datetime(\"1969-12-31T23:59:59.999Z\").toDate() == datetime(\"1969-12-31\")",
                           "datetime(\"1969-12-31T23:59:59.999Z\").toTime() == duration(\"86399999ms\")",
                           "datetime(\"2024-01-02\").durationSince(datetime(\"2024-01-01\")) == duration(\"1d\")",
                           "datetime(\"2024-01-01\").offset(duration(\"-1d\")) == datetime(\"2023-12-31\")",
                           "duration(\"-1500ms\").toSeconds() == -1", "duration(\"-1ms\").toSeconds() == 0",
                           "duration(\"1500ms\").toMilliseconds() == 1500", "duration(\"25h\").toDays() == 1",
                           "duration(\"90m\").toHours() == 1", "duration(\"90s\").toMinutes() == 1"});
}

TEST(CedarEvaluate, LongChainsAreNoNesting) {
  std::string any = "false";
  std::string all = "true";
  std::string sum = "0";
  for (int i = 0; i < 20'000; ++i) {
    any += " || false";
    all += " && true";
    sum += " + 1";
  }
  EXPECT_EQ(verdict(any + " || true"), "true");
  EXPECT_EQ(verdict(all + " && false"), "false");
  EXPECT_EQ(verdict(sum + " == 20000"), "true");
}

}  // namespace
}  // namespace daypass::cedar
