// Templates and links: where slots may stand, how both are numbered, what a link decides, and how both are validated.
// Verdicts are the official engine's.
#include <gtest/gtest.h>

#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using namespace testing;

constexpr ParseOptions with_templates{.templates = true};

PolicySet parsed(std::string_view text) {
  auto set = PolicySet::parse(text, "t.cedar", with_templates);
  EXPECT_TRUE(set.ok()) << (set.ok() ? "" : set.error().message);
  return set.ok() ? std::move(*set) : PolicySet();
}

std::string check_of(std::string_view text) {
  auto set = PolicySet::parse(text, "t.cedar", with_templates);
  return set.ok() ? "ok" : set.error().check;
}

TEST(CedarTemplate, SlotsStandInTheHeadOnly) {
  for (const auto* good : {"permit(principal == ?principal,action,resource);",
                           "permit(principal in (?principal),action,resource in ?resource);",
                           "permit(principal is A::B in ?principal,action,resource == ?resource) when { true };"})
    EXPECT_EQ(check_of(good), "ok") << good;
  for (const auto* bad :
       {"permit(principal == ?resource,action,resource);", "permit(principal == ?foo,action,resource);",
        "permit(principal is ?principal,action,resource);", "permit(principal in [?principal],action,resource);",
        "permit(principal,action == ?action,resource);", "permit(principal,action in ?principal,resource);",
        "permit(principal,action in [?principal],resource);", "permit(principal,action,resource in ?principal);"})
    EXPECT_EQ(check_of(bad), "cedar.syntax") << bad;
  for (const auto* bad : {"permit(principal == ?principal,action,resource) when { principal == ?principal };",
                          "permit(principal,action,resource) when { ?resource == 1 };"})
    EXPECT_EQ(check_of(bad), "cedar.template") << bad;
}

// Policies and templates are counted together, in the order of the text; links are not.
TEST(CedarTemplate, Numbers) {
  const std::string policy = "permit(principal,action,resource);";
  const std::string slotted = "forbid(principal == ?principal,action,resource);";
  PolicySet set = parsed(policy + slotted + policy);
  ASSERT_EQ(set.size(), 2U);
  ASSERT_EQ(set.templates().size(), 1U);
  EXPECT_EQ(set.policies()[1].id(), "policy2");
  EXPECT_EQ(set.templates()[0].id(), "policy1");
  EXPECT_TRUE(set.templates()[0].is_template());
  EXPECT_EQ(set.find("policy1"), nullptr);
  ASSERT_NE(set.find_template("policy1"), nullptr);
  ASSERT_TRUE(set.link("policy1", "l", {{"?principal", {"User", "a"}}}).ok());
  ASSERT_TRUE(set.add(policy, "u.cedar", with_templates).ok());
  EXPECT_EQ(set.policies().back().id(), "policy3");
  // What fails leaves nothing behind, templates neither.
  EXPECT_FALSE(set.add(slotted + "permit(", "v.cedar", with_templates).ok());
  ASSERT_TRUE(set.link("policy1", "policy4", {{"?principal", {"User", "a"}}}).ok());
  EXPECT_EQ(set.add(slotted, "v.cedar", with_templates).error().check, "cedar.duplicate_id");
  EXPECT_EQ(set.templates().size(), 1U);
  EXPECT_EQ(set.find_template("policy4"), nullptr);
  EXPECT_NE(set.find("policy4"), nullptr);
}

TEST(CedarTemplate, TakesCountTogether) {
  ParseOptions two = with_templates;
  two.max_policies = 2;
  const std::string slotted = "permit(principal == ?principal,action,resource);";
  EXPECT_TRUE(PolicySet::parse(slotted + slotted, "t", two).ok());
  EXPECT_EQ(PolicySet::parse(slotted + slotted + slotted, "t", two).error().check, "cedar.too_many");
}

TEST(CedarTemplate, ALinkDecidesAndATemplateDoesNot) {
  PolicySet set = parsed(
      "@id(\"readers\")\npermit(principal in ?principal, action, resource == ?resource)\n"
      "when { principal.missing };");
  EXPECT_EQ(authorize(set, world(), request()).decision, Decision::deny);
  EXPECT_TRUE(authorize(set, world(), request()).errors.empty());
  EXPECT_FALSE(explain(set.templates()[0], world(), request()).satisfied);
  const SlotValues slots{{"?principal", {"Group", "top"}}, {"?resource", {"Doc", "d"}}};
  ASSERT_TRUE(set.link("policy0", "top reads d", slots).ok());
  const Policy& link = set.policies()[0];
  ASSERT_NE(link.template_id(), nullptr);
  EXPECT_EQ(*link.template_id(), "policy0");
  EXPECT_EQ(link.slots(), slots);
  EXPECT_FALSE(link.is_template());
  EXPECT_EQ(link.principal().entities, (std::vector<EntityUid>{{"Group", "top"}}));
  EXPECT_EQ(*link.annotation("id"), "readers");
  // The error's place is the template's.
  const Answer answer = authorize(set, world(), request());
  ASSERT_EQ(answer.errors.size(), 1U);
  EXPECT_EQ(answer.errors[0].policy, "top reads d");
  EXPECT_EQ(answer.errors[0].line, 3U);
  EXPECT_EQ(explain(link, world(), request()).parts[0].text, "principal in ?principal");
}

TEST(CedarTemplate, LinkErrors) {
  PolicySet set = parsed(
      "permit(principal,action,resource);permit(principal == ?principal,action,resource);"
      "permit(principal,action,resource in ?resource);");
  const EntityUid user{"User", "a"};
  const auto check = [&](std::string_view from, std::string id, const SlotValues& slots) {
    const std::size_t before = set.size();
    const auto linked = set.link(from, std::move(id), slots);
    EXPECT_EQ(set.size(), before + (linked.ok() ? 1U : 0U));
    return linked.ok() ? "ok" : linked.error().check;
  };
  EXPECT_EQ(check("nothing", "l", {{"?principal", user}}), "cedar.unknown_template");
  EXPECT_EQ(check("policy0", "l", {}), "cedar.unknown_template");
  EXPECT_EQ(check("policy1", "l", {}), "cedar.missing_slot");
  EXPECT_EQ(check("policy2", "l", {{"?principal", user}}), "cedar.missing_slot");
  EXPECT_EQ(check("policy1", "l", {{"?principal", user}, {"?resource", user}}), "cedar.extra_slot");
  EXPECT_EQ(check("policy1", "l", {{"?principal", user}, {"principal", user}}), "cedar.extra_slot");
  EXPECT_EQ(check("policy1", "policy0", {{"?principal", user}}), "cedar.duplicate_id");
  EXPECT_EQ(check("policy1", "policy1", {{"?principal", user}}), "cedar.duplicate_id");
  EXPECT_EQ(check("policy1", "", {{"?principal", user}}), "ok");
  EXPECT_EQ(check("policy1", "l", {{"?principal", user}}), "ok");
  EXPECT_EQ(check("policy2", "l", {{"?resource", user}}), "cedar.duplicate_id");
}

struct LinkCase {
  std::string_view head;
  EntityUid principal;
  std::string_view template_checks;
  std::string_view link_checks;
};

// The template is checked whole, a link only for what its slots hold.
TEST(CedarTemplate, Validation) {
  const auto schema = Schema::parse(
      "entity U in [G]; entity G; entity R; entity E enum [\"a\"];"
      "action a appliesTo {principal: [U, E], resource: [R], context: {}};",
      "s");
  ASSERT_TRUE(schema.ok());
  const LinkCase cases[] = {
      {"principal == ?principal,action,resource", {"U", "a"}, "", ""},
      {"principal == ?principal,action,resource", {"X", "a"}, "", "unknown_entity_type never_applies"},
      {"principal == ?principal,action,resource", {"R", "a"}, "", "never_applies"},
      {"principal == ?principal,action,resource", {"E", "zz"}, "", ""},
      {"principal in ?principal,action,resource", {"G", "a"}, "", ""},
      {"principal in ?principal,action,resource", {"Action", "zz"}, "", "never_applies"},
      {"principal is R in ?principal,action,resource", {"G", "a"}, "never_applies", "never_applies"},
      {"principal is Z in ?principal,action,resource",
       {"G", "a"},
       "unknown_entity_type never_applies",
       "never_applies"},
      {"principal is U in ?principal,action == Action::\"z\",resource",
       {"U", "a"},
       "never_applies unknown_action",
       "never_applies"},
  };
  for (const LinkCase& one : cases) {
    PolicySet set = parsed("permit(" + std::string(one.head) + ");");
    ASSERT_TRUE(set.link("policy0", "l", {{"?principal", one.principal}}).ok());
    std::string of_template;
    std::string of_link;
    for (const ValidationProblem& problem : validate(set, *schema).errors) {
      std::string& out = problem.policy == "l" ? of_link : of_template;
      out += (out.empty() ? "" : " ") + problem.diagnostic.check.substr(6);
    }
    EXPECT_EQ(of_template, one.template_checks) << one.head;
    EXPECT_EQ(of_link, one.link_checks) << one.head << " " << one.principal.to_string();
  }
  PolicySet wrong = parsed("permit(principal in ?principal,action,resource) when { principal.foo };");
  ASSERT_TRUE(wrong.link("policy0", "l", {{"?principal", {"G", "a"}}}).ok());
  const auto found = validate(wrong, *schema);
  ASSERT_FALSE(found.errors.empty());
  for (const ValidationProblem& problem : found.errors) EXPECT_EQ(problem.policy, "policy0");
  PolicySet never = parsed("permit(principal in ?principal,action,resource) when { false };");
  ASSERT_TRUE(never.link("policy0", "l", {{"?principal", {"G", "\u202e"}}}).ok());
  const auto warned = validate(never, *schema);
  ASSERT_EQ(warned.warnings.size(), 1U);
  EXPECT_EQ(warned.warnings[0].policy, "policy0");
  EXPECT_EQ(warned.warnings[0].diagnostic.check, "cedar.impossible");
}

}  // namespace
}  // namespace daypass::cedar
