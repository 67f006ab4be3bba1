// The formatter: its layout, which is close to the official engine's, and what it must never do: lose a comment, change
// a policy, or have something left to say to its own output.
#include "cedar/format.h"

#include <gtest/gtest.h>

#include "cedar/policy_json.h"
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

std::string formatted(std::string_view text, const FormatOptions& options = {}) {
  const auto out = format_policies(text, "t.cedar", options);
  if (!out.ok()) return out.error().check + ": " + out.error().message;
  const auto again = format_policies(*out, "t.cedar", options);
  EXPECT_TRUE(again.ok()) << *out;
  if (again.ok()) EXPECT_EQ(*again, *out);
  const auto before = PolicySet::parse(text, "t", {.templates = true});
  const auto after = PolicySet::parse(*out, "t", {.templates = true});
  EXPECT_TRUE(before.ok() && after.ok()) << *out;
  if (before.ok() && after.ok()) EXPECT_EQ(*policies_to_json(*after), *policies_to_json(*before)) << *out;
  return *out;
}

// Byte for byte what the official formatter makes of them.
TEST(CedarFormat, OrdinaryPolicies) {
  EXPECT_EQ(formatted("permit(principal,action,resource);"), "permit (principal, action, resource);\n");
  EXPECT_EQ(formatted("permit(principal==User::\"alice\",action,resource);forbid(principal,action,resource)when{"
                      "principal.a};"),
            "permit (\n"
            "  principal == User::\"alice\",\n"
            "  action,\n"
            "  resource\n"
            ");\n\n"
            "forbid (principal, action, resource)\n"
            "when { principal.a };\n");
  EXPECT_EQ(formatted("@id(\"x\") @bare permit(principal == User::\"alice\",action in [Action::\"a\",Action::\"b\"],"
                      "resource in Folder::\"some very long folder name which is wide wide wide wide wide wide\");"),
            "@id(\"x\")\n"
            "@bare\n"
            "permit (\n"
            "  principal == User::\"alice\",\n"
            "  action in [Action::\"a\", Action::\"b\"],\n"
            "  resource in\n"
            "    Folder::\"some very long folder name which is wide wide wide wide wide wide\"\n"
            ");\n");
  EXPECT_EQ(
      formatted("permit(principal,action,resource) when { principal.department == \"engineering\" || "
                "(principal.level >= 5 && resource.owner == principal && context.mfa) || context.time < 1000 || "
                "[1,2,3].contains(context.x)} unless { if context.aaaaaaaaaaaaaaaaaaa then "
                "context.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb else context.ccccccccccccccccccccccccccccccccccccc };"),
      "permit (principal, action, resource)\n"
      "when\n"
      "{\n"
      "  principal.department == \"engineering\" ||\n"
      "  (principal.level >= 5 && resource.owner == principal && context.mfa) ||\n"
      "  context.time < 1000 ||\n"
      "  [1, 2, 3].contains(context.x)\n"
      "}\n"
      "unless\n"
      "{\n"
      "  if\n"
      "    context.aaaaaaaaaaaaaaaaaaa\n"
      "  then\n"
      "    context.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
      "  else\n"
      "    context.ccccccccccccccccccccccccccccccccccccc\n"
      "};\n");
  EXPECT_EQ(formatted("permit(principal,action,resource) when { context.a == {\"a\":1,b:2,} && context.b == [1,2,] && "
                      "!(context.a) && -context.b < - 5 && context has a.b.c && context.s like \"a*b\" && "
                      "principal is User in Group::\"x\" };"),
            "permit (principal, action, resource)\n"
            "when\n"
            "{\n"
            "  context.a == { \"a\": 1, b: 2 } &&\n"
            "  context.b == [1, 2] &&\n"
            "  !(context.a) &&\n"
            "  -context.b < -5 &&\n"
            "  context has a.b.c &&\n"
            "  context.s like \"a*b\" &&\n"
            "  principal is User in Group::\"x\"\n"
            "};\n");
  EXPECT_EQ(formatted("permit(principal,action,resource) when { context.a == {\"aaaaaaaaaaaaaaaaaaaaaaaaaa\":"
                      "1111111111111111,bbbbbbbbbbbbbbbbbbbbbbbbbbbbb:222222222222222222,} };"),
            "permit (principal, action, resource)\n"
            "when\n"
            "{\n"
            "  context.a == {\n"
            "    \"aaaaaaaaaaaaaaaaaaaaaaaaaa\": 1111111111111111,\n"
            "    bbbbbbbbbbbbbbbbbbbbbbbbbbbbb: 222222222222222222\n"
            "  }\n"
            "};\n");
  EXPECT_EQ(formatted("permit(principal == ?principal,action,resource in (?resource),);"),
            "permit (\n  principal == ?principal,\n  action,\n  resource in (?resource)\n);\n");
  EXPECT_EQ(formatted(""), "");
}

TEST(CedarFormat, ConditionsOnTheirOwnLine) {
  EXPECT_EQ(formatted("permit(principal,action,resource) when { principal.department == \"HardwareEngineering\" && "
                      "principal.jobLevel >= 5 };"),
            "permit (principal, action, resource)\n"
            "when\n"
            "{ principal.department == \"HardwareEngineering\" && principal.jobLevel >= 5 };\n");
}

TEST(CedarFormat, CommentsStay) {
  EXPECT_EQ(
      formatted("// head\n\n\n// second\npermit( // after paren\nprincipal, // p\naction, resource // r\n) // close\n"
                "when // w\n{ // open\n context.a // a\n && // and\n context.b // b\n // last\n} // brace\n; // semi\n"
                "// eof"),
      "// head\n\n"
      "// second\n"
      "permit ( // after paren\n"
      "  principal, // p\n"
      "  action,\n"
      "  resource // r\n"
      ") // close\n"
      "when // w\n"
      "{ // open\n"
      "  context.a // a\n"
      "  && // and\n"
      "  context.b // b\n"
      "// last\n"
      "} // brace\n"
      "; // semi\n"
      "// eof\n");
  EXPECT_EQ(formatted("// only\n\n\n  // comments   \t\n"), "// only\n\n// comments\n");
  EXPECT_EQ(
      formatted("@a // why\n// more\n@b(\"x\")permit(principal,action,resource);//end\n//next\n@c permit(principal,"
                "action,resource);"),
      "@a // why\n// more\n@b(\"x\")\npermit (principal, action, resource); //end\n\n//next\n@c\npermit (principal, "
      "action, resource);\n");
  EXPECT_EQ(formatted("permit(principal,action,resource) when { [1, // one\n 2, // two\n] == [\n// none\n] };"),
            "permit (principal, action, resource)\n"
            "when\n"
            "{\n"
            "  [\n"
            "    1, // one\n"
            "    2, // two\n"
            "  ] == [\n"
            "  // none\n"
            "  ]\n"
            "};\n");
}

TEST(CedarFormat, LineEndsAndStrings) {
  EXPECT_EQ(formatted("permit(principal,action,resource)\r\n// c\r\n\r\nwhen { true };\r\n"),
            "permit (principal, action, resource)\n// c\nwhen { true };\n");
  EXPECT_EQ(formatted("permit(principal,action,resource) when { \"two\nlines // no comment\" == \"\\u{41}\" };"),
            "permit (principal, action, resource)\nwhen { \"two\nlines // no comment\" == \"\\u{41}\" };\n");
  // Names of other scripts count as what they show.
  EXPECT_EQ(
      formatted("permit(principal,action,resource) when { \"漢字漢字\" == \"éééééééééé\" && 1 == 1 };", {.width = 45}),
      "permit (principal, action, resource)\nwhen { \"漢字漢字\" == \"éééééééééé\" && 1 == 1 };\n");
}

TEST(CedarFormat, LongChainsBreakBeforeTheirDots) {
  EXPECT_EQ(
      formatted("permit(principal,action,resource) when { principal.aaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbb"
                "[\"ccc ccccccc\"].ddddddddddddddd.contains(1) };"),
      "permit (principal, action, resource)\n"
      "when\n"
      "{\n"
      "  principal.aaaaaaaaaaaaaaaaaaaaaaaa\n"
      "    .bbbbbbbbbbbbbbbbbbbbbb\n"
      "    [\"ccc ccccccc\"]\n"
      "    .ddddddddddddddd\n"
      "    .contains(1)\n"
      "};\n");
  EXPECT_EQ(
      formatted("permit(principal,action,resource) when { 1 + 2 * 3 - 4 == context.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + "
                "context.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb + context.ccccccccccccc};"),
      "permit (principal, action, resource)\n"
      "when\n"
      "{\n"
      "  1 + 2 * 3 - 4 ==\n"
      "    context.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa +\n"
      "      context.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb +\n"
      "      context.ccccccccccccc\n"
      "};\n");
}

TEST(CedarFormat, RefusesWhatDoesNotParse) {
  std::vector<Diagnostic> found;
  const auto out = format_policies("permit(principal,action,resource) when {};\nforbid(", "t.cedar", {}, &found);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().check, "cedar.syntax");
  EXPECT_EQ(found.size(), 2U);
  EXPECT_EQ(format_policies("permit(principal,action,resource);", "t", {.max_bytes = 10}).error().check,
            "cedar.too_large");
}

TEST(CedarFormat, NestsAsDeepAsTheParser) {
  const auto deep = [](std::size_t n) {
    return testing::policy_with(std::string(n, '(') + "true" + std::string(n, ')'));
  };
  EXPECT_TRUE(formatted(deep(max_nesting - 1)).starts_with("permit ("));
  EXPECT_TRUE(formatted(deep(max_nesting)).starts_with("cedar.too_deep"));
  // Deep lists of many elements: lines are indented by half the width at most.
  std::string text = std::string(200, '[');
  for (int i = 0; i < 2000; ++i) text += "1,";
  text += std::string(200, ']');
  const std::string out = formatted(testing::policy_with(text + " == 1"));
  EXPECT_LT(out.size(), 2000U * 44 + 400 * 44);
}

}  // namespace
}  // namespace daypass::cedar
