// What is a policy and what is not, and what a person is told about it.
#include <thread>

#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using testing::expect_verdicts;
using testing::policy_with;
using testing::verdict;

std::string check_of(std::string_view text) {
  const auto set = PolicySet::parse(text, "t.cedar");
  return set.ok() ? "ok" : set.error().check;
}

void expect_checks(std::string_view expected, const std::vector<std::string_view>& texts) {
  for (const auto text : texts) EXPECT_EQ(check_of(text), expected) << text;
}

TEST(CedarParser, Heads) {
  expect_checks(
      "ok", {"", " ", "//x", "permit(principal,action,resource);", "permit(principal,action,resource,);",
             "permit (principal , action , resource) // c\n ;", "permit(principal == User::\"a\", action, resource);",
             "permit(principal in User::\"a\", action, resource);", "permit(principal is User, action, resource);",
             "permit(principal is User in User::\"a\", action, resource);",
             "permit(principal == ((User::\"a\")), action, resource);",
             "permit(principal, action == A::Action::\"a\", resource);", "permit(principal, action in [], resource);",
             "permit(principal, action in [Action::\"a\",], resource);",
             "permit(principal, action in ([(Action::\"a\")]), resource);",
             "permit(principal is principal, action, resource);",
             "permit(principal,action,resource) when {true} when {true} unless {false};",
             "permit(principal,action,resource)when{true}unless{false};"});
  expect_checks("cedar.syntax", {"permit(principal,action,resource)",
                                 "permit();",
                                 "permit(principal,action);",
                                 "permit(action,principal,resource);",
                                 "permit(principal,principal,action,resource);",
                                 "permit(principal = User::\"a\",action,resource);",
                                 "permit(principal in [User::\"a\"],action,resource);",
                                 "permit(principal is User == User::\"a\",action,resource);",
                                 "permit(principal is (User),action,resource);",
                                 "permit(principal is User::\"a\",action,resource);",
                                 "permit((principal),action,resource);",
                                 "permit(principal,action == [Action::\"a\"],resource);",
                                 "permit(principal,action is Action,resource);",
                                 "permit(principal,action in [[Action::\"a\"]],resource);",
                                 "permit(principal,action in [,],resource);",
                                 "permit(principal,action,resource == \"a\");",
                                 "permit(principal,action,resource == principal);",
                                 "permit(principal,action,resource != Doc::\"a\");",
                                 "permit(principal:User,action,resource);",
                                 "permit(principal,action,resource,,);",
                                 "permit(principal,action,resource) when {};",
                                 "permit(principal,action,resource) when true;",
                                 "permit(principal,action,resource) advice {true};",
                                 "permit(principal,action,resource) When {true};",
                                 "Permit(principal,action,resource);",
                                 "allow(principal,action,resource);",
                                 ";",
                                 "permit(principal,action,resource);;",
                                 "permit",
                                 "permit(",
                                 "permit(principal is User in User::\"a\" in User::\"b\",action,resource);",
                                 "permit(principal,action == ?action,resource);",
                                 "permit(principal == ?resource,action,resource);"});
  expect_checks("cedar.action_type", {"permit(principal,action == Foo::\"a\",resource);",
                                      "permit(principal,action in [Foo::\"a\"],resource);",
                                      "permit(principal,action in Action::B::\"a\",resource);"});
  expect_checks(
      "cedar.reserved",
      {"permit(principal is in,action,resource);", "permit(principal == __cedar::\"a\",action,resource);",
       "permit(principal is __cedar::String,action,resource);", "permit(principal == A::if::\"a\",action,resource);"});
  expect_checks("cedar.template", {"permit(principal == ?principal,action,resource);",
                                   "permit(principal in (?principal),action,resource in ?resource);",
                                   "permit(principal is User in ?principal,action,resource);",
                                   "permit(principal,action,resource) when { ?resource == 1 };"});
}

TEST(CedarParser, Annotations) {
  expect_checks("ok", {"@a permit(principal,action,resource);", "@a(\"x\")@b permit(principal,action,resource);",
                       "@if(\"x\") @__cedar @permit permit(principal,action,resource);",
                       "@ a ( \"x\" ) permit(principal,action,resource);"});
  expect_checks("cedar.duplicate_annotation",
                {"@a(\"x\") @a(\"y\") permit(principal,action,resource);", "@a @a permit(principal,action,resource);"});
  expect_checks("cedar.syntax",
                {"@a() permit(principal,action,resource);", "@a(1) permit(principal,action,resource);",
                 "@a(\"x\",) permit(principal,action,resource);", "@\"a\" permit(principal,action,resource);",
                 "@a::b permit(principal,action,resource);", "@a(\"x\");", "@a"});
  expect_checks("cedar.escape",
                {"@a(\"\\q\") permit(principal,action,resource);", "@a(\"\\*\") permit(principal,action,resource);"});
  const auto set = PolicySet::parse("@b(\"1h\\n\") @a\npermit(principal, action, resource);", "t.cedar");
  ASSERT_TRUE(set.ok());
  const Policy& policy = set->policies().front();
  EXPECT_EQ(*policy.annotation("b"), "1h\n");
  EXPECT_EQ(*policy.annotation("a"), "");
  EXPECT_EQ(policy.annotation("c"), nullptr);
  EXPECT_EQ(policy.annotation_order(), (std::vector<std::string>{"b", "a"}));
}

TEST(CedarParser, Precedence) {
  expect_verdicts("parse: cedar.syntax", {"1 < 2 < 3",
                                          "1 == 1 == true",
                                          "1 in 2 in 3",
                                          "\"a\" like \"b\" == true",
                                          "principal is User == true",
                                          "principal has a == true",
                                          "principal has a has b",
                                          "A::\"x\" is A in C::\"d\" in C::\"e\"",
                                          "true && if true then true else false",
                                          "principal == if true then 1 else 2",
                                          "!!!!!true",
                                          "-----1 == 1",
                                          "!-1 == 1",
                                          "-!true",
                                          "1 = 1",
                                          "1 / 1 == 1",
                                          "1 % 1 == 1",
                                          "true & true",
                                          "(1, 2)",
                                          "()",
                                          "true,",
                                          "if true then 1",
                                          "true true",
                                          "principal..a",
                                          "principal.1",
                                          "principal.\"a\""});
  expect_verdicts("true",
                  {"if true then true else false && false", "(if true then true else true) || false",
                   "true || (if true then false else false)", "((1 < 2)) == true",
                   "decimal(if true then \"1.0\" else \"2.0\") == decimal(\"1.0\",)", "1 + 1 == 2 && 2 * 2 == 4 || 1.a",
                   "!(1 == 2)", "if true then if true then true else false else 1.a"});
}

TEST(CedarParser, Names) {
  expect_verdicts(
      "parse: cedar.reserved",
      {"principal.if == 3", "principal has if", "principal has a.if", "{if: 1} == 1", "{in: 1} == 1",
       "principal.__cedar == 1", "principal has __cedar", "{__cedar: 1} == 1", "__cedar::\"a\" == principal",
       "A::__cedar::\"a\" == principal", "is::\"a\" == principal", "A::in::\"a\" == principal",
       "principal is __cedar::User", "context.like", "principal.if()", "__cedar", "true::decimal(\"1.0\") == 1"});
  expect_verdicts("false",
                  {"A::__cedarx::\"a\" == principal", "permit::\"a\" == principal", "principal::\"a\" == principal",
                   "context has permit.when.unless", "principal is principal"});
  expect_verdicts("parse: cedar.unknown_variable", {"foo", "User", "User::a", "decimal == 1", "A::B{a: 1}", "aé == 1"});
  expect_verdicts("parse: cedar.unknown_function",
                  {"foo(1)", "foo::ip(\"1.1.1.1\") == 1", "1.foo()", "contains([1], 1)", "isIpv4(ip(\"1.1.1.1\"))",
                   "\"1.1.1.1\".ip()", "principal()", "context::contains(1)", "error(\"x\")", "unknown(\"x\")"});
  expect_verdicts("parse: cedar.arity",
                  {"principal.contains()", "[1].contains(1, 2)", "[1].isEmpty(1)", "principal.hasTag()"});
  expect_verdicts("parse: cedar.syntax",
                  {"decimal(\"1.0\")(1) == 1", "User::\"a\"(1) == 1", "1(1)", "context[\"offset\"](1)",
                   "[1].contains(1)(2)", "principal.a::b", "A::{a: 1}", "ip(,)"});
}

TEST(CedarParser, RightHandSides) {
  expect_verdicts("parse: cedar.syntax", {"principal has \"r\".x",
                                          "principal has (r)",
                                          "principal has r.x.\"y\"",
                                          "principal has a + b",
                                          "principal has a[\"b\"]",
                                          "principal has a.b()",
                                          "principal has a::b",
                                          "principal has -a",
                                          "principal has 1",
                                          "\"a\" like principal",
                                          "\"a\" like (\"a\")",
                                          "\"a\" like \"a\" + \"b\"",
                                          "principal is (User)",
                                          "principal is \"User\"",
                                          "principal is User::\"a\"",
                                          "principal[a]",
                                          "principal[(\"a\")]",
                                          "principal[1]",
                                          "principal[\"a\",]",
                                          "{(\"a\"): 1} == 1",
                                          "{1: 1} == 1",
                                          "{a.b: 1} == 1",
                                          "{a = 1} == 1",
                                          "[,] == []",
                                          "{,} == {}"});
  expect_verdicts("true", {"principal has n && true", "principal has r . x", "[1,] == [1]", "{a: 1,} == {a: 1}"});
  expect_verdicts("parse: cedar.duplicate_key",
                  {"{a: 1, a: 2} == {}", "{a: 1, \"a\": 2} == {}", "{b: {a: 1, \"\\x61\": 2}} == {}",
                   "{\"\\0\": 1, \"\\u{0}\": 2} == {}"});
}

TEST(CedarParser, StringsAndEscapes) {
  expect_verdicts("true", {"\"\\x61\\u{62}\" == \"ab\"", "\"\\u{1_f}\" == \"\\u{1f}\"", "\"\\u{1_}\" == \"\\u{1}\"",
                           "\"\\u{00002a}\" == \"*\"", "\"\\x7f\" == \"\\u{7f}\"", "\"\\'\\\"\\\\\" == \"'\\\"\\\\\"",
                           "\"a\nb\" == \"a\\nb\"", "\"\t\\t\" == \"\\t\t\"", "User::\"\\x61\" == principal",
                           "\"\u00a0\" == \"\\u{a0}\"", "\"\\u{10FFFF}\" != \"\""});
  EXPECT_EQ(verdict(std::string_view("\"\0\" == \"\\0\"", 11)), "true");
  expect_verdicts("parse: cedar.escape",
                  {"\"\\q\" == 1",          "\"\\u{}\" == 1",     "\"\\u{_1}\" == 1",   "\"\\u{0000001}\" == 1",
                   "\"\\u{110000}\" == 1",  "\"\\u{d800}\" == 1", "\"\\x80\" == 1",     "\"\\x7\" == 1",
                   "\"\\u0041\" == 1",      "\"\\X41\" == 1",     "\"\\u{1\" == 1",     "\"a\rb\" == 1",
                   "\"a\r\nb\" == 1",       "\"\\\r\" == 1",      "\"a\\*b\" == 1",     "User::\"\\*\" == 1",
                   "principal has \"\\*\"", "{\"\\*\": 1} == 1",  "\"a\" like \"\\q\"", "\"a\" like \"\r\""});
  expect_verdicts("parse: cedar.syntax",
                  {"\"a\\\nb\" == 1", "'a' == 1", "\"abc", "$", "1.0 == 1", "1_0 == 10", "0x1 == 1", "1e3 == 1",
                   "\ufefftrue", "\u200btrue", "true/*x*/", "principal ? 1 : 2", "-/**/1 == 1"});
  expect_verdicts("true",
                  {"\u00a0true", "\u2028true", "\u0085true", "\vtrue\f", "true//x\r", "true //x\n", "\u3000true"});
}

TEST(CedarParser, Integers) {
  expect_verdicts("parse: cedar.integer",
                  {"9223372036854775808 == 1", "-(9223372036854775808) == 1", "-9223372036854775809 == 1",
                   "-9223372036854775808.a == 1", "99999999999999999999999999 == 1", "18446744073709551616 == 1"});
  expect_verdicts(
      "true", {"-9223372036854775808 < 0", "9223372036854775807 > 0", "00000000000000000000000000000000000001 == 1"});
  EXPECT_TRUE(PolicySet::parse(policy_with("---9223372036854775808 == 1"), "t").ok());
}

TEST(CedarParser, NestingIsBoundedAndRefusedCleanly) {
  const auto nested = [](std::size_t n, const std::string& open, const std::string& inner, const std::string& close) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += open;
    out += inner;
    for (std::size_t i = 0; i < n; ++i) out += close;
    return out;
  };
  EXPECT_EQ(verdict(nested(max_nesting - 1, "(", "true", ")")), "true");
  EXPECT_EQ(verdict(nested(max_nesting - 2, "[", "1", "]") + " == 1"), "false");
  EXPECT_EQ(verdict(nested(max_nesting - 3, "{a: ", "1", "}") + " == 1"), "false");
  EXPECT_EQ(verdict("{} has " + nested(max_nesting - 1, "a.", "a", "")), "false");
  for (const std::size_t n : {max_nesting, max_nesting + 1, std::size_t{20'000}}) {
    EXPECT_EQ(verdict(nested(n, "(", "true", ")")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict(nested(n, "[", "1", "]")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict(nested(n, "{a:", "1", "}")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict(nested(n, "!(", "true", ")")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict("context" + nested(n, ".a", "", "")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict("context" + nested(n, ".a()", "", "")), "parse: cedar.unknown_function") << n;
    EXPECT_EQ(verdict("context" + nested(n, ".isIpv4()", "", "")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict("1" + nested(n, " + 1 - 1", "", "") + " == 1"), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict(nested(n, "if true then ", "true", " else true")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict(nested(n, "ip(", "1", ")")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(verdict("context has a" + nested(n, ".a", "", "")), "parse: cedar.too_deep") << n;
    EXPECT_EQ(check_of("permit(principal == " + nested(n + 1, "(", "User::\"a\"", ")") + ",action,resource);"),
              "cedar.too_deep");
    // Unclosed: the end of the text must not confuse the way back.
    EXPECT_EQ(verdict(nested(n, "(", "", "")), "parse: cedar.too_deep") << n;
  }
}

TEST(CedarParser, TheDeepestTreeFitsASmallStack) {
  // Daypass's threads have 8 MB; the limit must hold far below that, with sanitizers too.
  std::string text = "true";
  for (std::size_t i = 0; i + 1 < max_nesting / 4; ++i) text = "[{a: " + text + "}].contains(1) || false";
  std::string deep = "1";
  for (std::size_t i = 0; i < max_nesting - 3; ++i) deep = "{a: " + deep + "}";
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, std::size_t{4} << 20U);
  pthread_t thread{};
  std::string verdicts[2] = {text, deep + " == " + deep};
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* arg) -> void* {
                  for (auto* v = static_cast<std::string*>(arg); v != static_cast<std::string*>(arg) + 2; ++v)
                    *v = verdict(*v);
                  return nullptr;
                },
                verdicts),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  EXPECT_EQ(verdicts[0], "false");
  EXPECT_EQ(verdicts[1], "true");
}

TEST(CedarParser, SizesAreBounded) {
  ParseOptions options;
  options.max_bytes = 100;
  EXPECT_EQ(PolicySet::parse(std::string(101, ' '), "t", options).error().check, "cedar.too_large");
  EXPECT_TRUE(PolicySet::parse(std::string(100, ' '), "t", options).ok());
  options = {};
  options.max_policies = 2;
  const std::string one = "permit(principal,action,resource);";
  auto set = PolicySet::parse(one + one, "t", options);
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->add(one, "u", options).error().check, "cedar.too_many");
  EXPECT_EQ(set->size(), 2U);
}

TEST(CedarParser, Utf8IsRequired) {
  const std::string text = "permit(principal,action,resource);\n// é \xff\n";
  std::vector<Diagnostic> diagnostics;
  ASSERT_FALSE(PolicySet::parse(text, "t.cedar", {}, &diagnostics).ok());
  ASSERT_EQ(diagnostics.size(), 1U);
  EXPECT_EQ(diagnostics[0].check, "cedar.utf8");
  EXPECT_EQ(diagnostics[0].line, 2U);
  EXPECT_EQ(diagnostics[0].column, 6U);
  for (const std::string_view bad :
       {"\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\x80"})
    EXPECT_EQ(verdict(std::string(bad) + " == 1"), "parse: cedar.utf8") << bad.size();
}

TEST(CedarParser, AllErrorsInOneRun) {
  const std::string text =
      "permit(principal, action, resource) when { principl == User::\"a\" && context.foo(1) };\n"
      "forbid(principal, action resource);\n"
      "@x @x permit(principal, action == Foo::\"a\", resource) when { \"é\" == \"\\q\" };\n"
      "permit(principal, action, resource) when { 1 = 1 };\n"
      "permit(principal, action, resource);\n"
      "permit(principal, action, resource) when { $ };\n"
      "permit(principal, action, resource) when { true }\n";
  std::vector<Diagnostic> found;
  const auto set = PolicySet::parse(text, "roles.cedar", {}, &found);
  ASSERT_FALSE(set.ok());
  std::vector<std::string> got;
  for (const Diagnostic& d : found)
    got.push_back(std::to_string(d.line) + ":" + std::to_string(d.column) + " " + d.check);
  EXPECT_EQ(got,
            (std::vector<std::string>{"1:44 cedar.unknown_variable", "1:77 cedar.unknown_function", "2:26 cedar.syntax",
                                      "3:5 cedar.duplicate_annotation", "3:35 cedar.action_type", "3:70 cedar.escape",
                                      "4:46 cedar.syntax", "6:44 cedar.syntax", "8:1 cedar.syntax"}));
  EXPECT_EQ(set.error().check, "cedar.unknown_variable");
  EXPECT_EQ(set.error().message, "roles.cedar:1:44: there is no variable `principl` (and 8 more)");
  EXPECT_EQ(set.error().hint, "did you mean `principal`?");
}

TEST(CedarParser, OneDiagnosticIsAlwaysKept) {
  ParseOptions options;
  options.max_diagnostics = 0;
  EXPECT_FALSE(PolicySet::parse("permit(principal,action,resource) when { foo };", "t", options).ok());
  options.max_diagnostics = 3;
  std::vector<Diagnostic> found;
  std::string text;
  for (int i = 0; i < 10; ++i) text += "permit(principal,action,resource) when { foo };";
  EXPECT_FALSE(PolicySet::parse(text, "t", options, &found).ok());
  EXPECT_EQ(found.size(), 3U);
}

TEST(CedarParser, RenderShowsThePlace) {
  const std::string text = "// first\npermit(principal, action, resource) when {\n\t\"日本\" == contxt.x\n};";
  std::vector<Diagnostic> found;
  ASSERT_FALSE(PolicySet::parse(text, "roles.cedar", {}, &found).ok());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(render(found[0], text),
            "roles.cedar:3:10: there is no variable `contxt`\n"
            "   \"日本\" == contxt.x\n"
            "           ^^^^^^\n"
            "  hint: did you mean `context`?\n");
}

TEST(CedarParser, RenderIsSafeOnATerminal) {
  const std::string text = "permit(principal, action, resource) when { \"\x1b[2J\u202e\" == foo };";
  std::vector<Diagnostic> found;
  ASSERT_FALSE(PolicySet::parse(text, "t", {}, &found).ok());
  const std::string shown = render(found[0], text);
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
  EXPECT_EQ(shown.find("\u202e"), std::string::npos);
  // A very long line is shown around the place only.
  const std::string wide = "permit(principal, action, resource) when { " + std::string(100'000, ' ') + "foo };";
  found.clear();
  ASSERT_FALSE(PolicySet::parse(wide, "t", {}, &found).ok());
  EXPECT_LT(render(found[0], wide).size(), 500U);
  // A line that is not there must not hurt.
  EXPECT_EQ(render({"t", 9, 7, "x", "m", "", 3}, "a"), "t:9:7: m\n");
}

TEST(CedarPolicySet, IdsAndPlaces) {
  const std::string text =
      "permit(principal,action,resource);\n\n// second\n@id(\"readers\")\nforbid(principal,action,resource)\n;";
  auto set = PolicySet::parse(text, "a.cedar");
  ASSERT_TRUE(set.ok());
  ASSERT_TRUE(set->add("permit(principal,action,resource);", "b.cedar").ok());
  ASSERT_EQ(set->size(), 3U);
  EXPECT_EQ(set->policies()[0].id(), "policy0");
  EXPECT_EQ(set->policies()[1].id(), "policy1");
  EXPECT_EQ(set->policies()[1].line(), 4U);
  EXPECT_EQ(set->policies()[1].column(), 1U);
  EXPECT_EQ(set->policies()[1].text(), "@id(\"readers\")\nforbid(principal,action,resource)\n;");
  EXPECT_EQ(set->policies()[2].id(), "policy2");
  EXPECT_EQ(set->policies()[2].file(), "b.cedar");
  EXPECT_EQ(set->find("policy1")->effect(), Effect::forbid);
  EXPECT_EQ(set->find("policy7"), nullptr);
}

TEST(CedarPolicySet, IdsByAnnotation) {
  ParseOptions options;
  options.ids_from_annotation = true;
  const std::string tail = " permit(principal,action,resource);";
  auto set = PolicySet::parse("@id(\"readers\")" + tail + tail, "a.cedar", options);
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->policies()[0].id(), "readers");
  EXPECT_EQ(set->policies()[1].id(), "policy1");
  std::vector<Diagnostic> found;
  const auto failed =
      set->add(tail + "\n@id(\"readers\")" + tail + "\n@id(\"policy1\")" + tail, "b.cedar", options, &found);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().check, "cedar.duplicate_id");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].message, "the policy id \"readers\" is taken by a.cedar:1");
  EXPECT_EQ(found[0].line, 2U);
  // Nothing of the failed text stays.
  EXPECT_EQ(set->size(), 2U);
  EXPECT_EQ(set->find("policy2"), nullptr);
  EXPECT_EQ(set->find("readers")->file(), "a.cedar");
  ASSERT_TRUE(set->add(tail, "c.cedar", options).ok());
  EXPECT_EQ(set->find("policy2")->file(), "c.cedar");
  for (const std::string_view bad : {"@id", "@id(\"\")", "@id(\"a\\nb\")", "@id(\"\\u{1b}[2J\")"})
    EXPECT_EQ(PolicySet::parse(std::string(bad) + tail, "t", options).error().check, "cedar.bad_id") << bad;
}

TEST(CedarEntityUid, Text) {
  const auto uid = parse_entity_uid("A::B::\"x\\\"y\\u{e9}\"");
  ASSERT_TRUE(uid.ok());
  EXPECT_EQ(uid->type, "A::B");
  EXPECT_EQ(uid->id, "x\"yé");
  EXPECT_EQ(uid->to_string(), "A::B::\"x\\\"yé\"");
  EXPECT_EQ(*parse_entity_uid(" User :: \"\" // c"), (EntityUid{"User", ""}));
  for (const std::string_view bad :
       {"", "User", "User::", "User::a", "\"a\"", "::\"a\"", "User::\"a", "User::\"a\" x", "if::\"a\"",
        "A::__cedar::\"a\"", "User::\"\\q\"", "User::\"a\"::\"b\"", "User:: \"\xff\"", "1::\"a\""})
    EXPECT_FALSE(parse_entity_uid(bad).ok()) << bad;
  for (const std::string& id : {std::string("a\nb\t\r"), std::string("\0\x1f\x7f", 3), std::string("\\\"'é\u202e")}) {
    const EntityUid round{"T", id};
    ASSERT_TRUE(parse_entity_uid(round.to_string()).ok());
    EXPECT_EQ(*parse_entity_uid(round.to_string()), round);
  }
  for (const std::string_view good : {"User", "A::B", "_x1", "__cedarx", "permit", "principal"})
    EXPECT_TRUE(is_type_name(good)) << good;
  for (const std::string_view bad :
       {"", "A::", "::A", "A:B", "A:: B", " A", "A ", "1A", "in", "A::true", "__cedar", "é", "A::B\n"})
    EXPECT_FALSE(is_type_name(bad)) << bad;
}

}  // namespace
}  // namespace daypass::cedar
