// The compiled evaluator against the reference: by hand where the index or the code has a corner, and at random.
#include "cedar/compile.h"

#include <iostream>
#include <random>
#include <thread>

#include "cedar/decide_generator.h"
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using testing::BothEvaluators;
using testing::DecideGenerator;
using testing::request;
using testing::world;
using Ids = std::vector<std::string>;

PolicySet parsed(std::string_view text) {
  auto set = PolicySet::parse(text, "t.cedar");
  EXPECT_TRUE(set.ok()) << text;
  return set.ok() ? std::move(*set) : PolicySet();
}

Ids permits(std::string_view text, const Request& asked = request()) {
  return BothEvaluators(parsed(text)).authorize(world(), asked).satisfied_permits;
}

TEST(CedarCompiled, EveryKindOfScopeFindsItsPolicies) {
  EXPECT_EQ(permits("permit(principal, action, resource);"
                    "permit(principal == User::\"a\", action, resource);"
                    "permit(principal in User::\"a\", action, resource);"
                    "permit(principal in Group::\"top\", action, resource);"
                    "permit(principal is User, action, resource);"
                    "permit(principal is User in Group::\"g\", action, resource);"
                    "permit(principal, action == Action::\"view\", resource);"
                    "permit(principal, action in [Action::\"x\", Action::\"view\", Action::\"view\"], resource);"
                    "permit(principal, action, resource is Doc);"
                    "permit(principal, action, resource in Doc::\"d\");")
                .size(),
            10U);
  EXPECT_EQ(permits("permit(principal == Group::\"g\", action, resource);"
                    "permit(principal in Group::\"x\", action, resource);"
                    "permit(principal is Group, action, resource);"
                    "permit(principal is Group in Group::\"g\", action, resource);"
                    "permit(principal is User in Group::\"x\", action, resource);"
                    "permit(principal, action == Action::\"x\", resource);"
                    "permit(principal, action in [], resource);"
                    "permit(principal, action, resource == User::\"a\");"
                    "permit(principal, action, resource is User in Doc::\"d\");"),
            Ids());
}

TEST(CedarCompiled, AnActionMetTwiceDecidesOnce) {
  const auto entities = Entities::build({{{"Action", "view"}, {}, {{"Action", "read"}, {"Action", "all"}}, {}}});
  const auto set = parsed("permit(principal, action in [Action::\"read\", Action::\"all\"], resource);");
  const Answer answer = BothEvaluators(set).authorize(*entities, request());
  EXPECT_EQ(answer.satisfied_permits, Ids{"policy0"});
}

TEST(CedarCompiled, CandidatesAreThoseWhoseScopeFits) {
  std::string text;
  for (int i = 0; i < 500; ++i)
    text += "permit(principal in Group::\"g" + std::to_string(i) + "\", action, resource == Doc::\"d\");\n";
  text += "permit(principal in Group::\"g\", action, resource == Doc::\"d\") when { false };";
  const auto compiled = CompiledPolicies::compile(parsed(text));
  Scratch scratch;
  const auto found = candidates(*compiled, world(), request(), scratch);
  EXPECT_EQ(std::vector<std::uint32_t>(found.begin(), found.end()), std::vector<std::uint32_t>{500});
}

// Each group and each role is named often, the two together once.
TEST(CedarCompiled, APairIsSelectiveWhereNeitherIs) {
  std::string text;
  for (int group = 0; group < 20; ++group)
    for (int role = 0; role < 20; ++role)
      text += "permit(principal in Group::\"" + std::to_string(group) + "\", action, resource in Role::\"" +
              std::to_string(role) + "\");\n";
  text += "permit(principal == Group::\"3\", action, resource in Role::\"4\");";
  const auto entities = Entities::build(
      {{{"User", "a"}, {}, {{"Group", "3"}, {"Group", "7"}}, {}}, {{"Doc", "d"}, {}, {{"Role", "4"}}, {}}});
  EXPECT_EQ(BothEvaluators(parsed(text)).authorize(*entities, request()).satisfied_permits,
            (Ids{"policy64", "policy144"}));
}

TEST(CedarCompiled, OneScratchServesManySets) {
  Scratch scratch;
  const auto none = CompiledPolicies::compile(PolicySet());
  const auto some =
      CompiledPolicies::compile(parsed("forbid(principal, action, resource == Doc::\"e\");"
                                       "permit(principal == User::\"a\", action, resource);"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(decide(*none, world(), request(), scratch).decision, Decision::deny);
    const Decided decided = decide(*some, world(), request(), scratch);
    EXPECT_EQ(decided.decision, Decision::allow);
    ASSERT_EQ(decided.permits.size(), 1U);
    EXPECT_EQ(decided.permits[0], 1U);
    Request other = request();
    other.principal.id = "nobody";
    EXPECT_EQ(decide(*some, world(), other, scratch).decision, Decision::deny);
  }
}

TEST(CedarCompiled, VerdictStopsAtTheFirstForbid) {
  const auto compiled =
      CompiledPolicies::compile(parsed("permit(principal, action, resource);"
                                       "forbid(principal, action, resource) when { 1.a };"
                                       "forbid(principal, action, resource);"
                                       "forbid(principal, action, resource);"));
  Scratch scratch;
  const Decided decided = decide(*compiled, world(), request(), scratch, Thoroughness::verdict);
  EXPECT_EQ(decided.decision, Decision::deny);
  EXPECT_EQ(decided.forbids.size(), 1U);
  EXPECT_TRUE(decided.permits.empty());
  EXPECT_TRUE(decided.forbid_erred);
}

TEST(CedarCompiled, WhatErrsBeforeItRunsErrsOnlyWhenReached) {
  testing::expect_verdicts("true", {"true || ip(\"zz\").isIpv4()", "if true then true else 1 + true == 1",
                                    "context.flag || (9223372036854775807 + 1 == 0)"});
  testing::expect_verdicts("error: malformed", {"context.flag && ip(\"zz\").isIpv4()", "context.n == ip(\"zz\")"});
  testing::expect_verdicts("error: integer overflow",
                           {"context.flag && 9223372036854775807 + 1 == 0", "context.n + 9223372036854775807 == 0"});
}

TEST(CedarCompiled, ValuesMadeOnTheWay) {
  testing::expect_verdicts(
      "true", {"[context.n, 8].contains(7)", "{a: {b: context.n}}.a.b == 7", "[{a: context.n}] == [{a: 7}]",
               "[[context.n], [7]] == [[7]]", "{e: principal}.e.n == 1", "{e: principal} has e.r.x.y",
               "principal in [Group::\"x\", {g: Group::\"top\"}.g]", "ip({s: \"10.0.0.1\"}.s).isIpv4()",
               "[principal.s, \"q\"].containsAll([\"xyz\"])", "[ip(\"1.1.1.1\"), context.n].contains(7)"});
}

// Deep trees, wide sets: the stack is as large as the code says.
TEST(CedarCompiled, WideAndDeep) {
  std::string wide = "[context.n";
  for (int i = 0; i < 5000; ++i) wide += ", " + std::to_string(i);
  EXPECT_EQ(testing::verdict(wide + "].contains(4999)"), "true");
  std::string deep = "context.n";
  for (int i = 0; i < 120; ++i) deep = "(1 + " + deep + ")";
  EXPECT_EQ(testing::verdict(deep + " == 127"), "true");
}

TEST(CedarCompiled, ThreadsShareOneSet) {
  const auto compiled =
      CompiledPolicies::compile(parsed("permit(principal in Group::\"top\", action, resource) when { "
                                       "[context.n].contains(7) && principal.s like \"x*\" };"));
  const auto work = [&] {
    for (int i = 0; i < 500; ++i) EXPECT_EQ(authorize(*compiled, world(), request()).decision, Decision::allow);
  };
  std::thread other(work);
  work();
  other.join();
}

std::size_t knob(const char* name, std::size_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

// DAYPASS_DECIDE_REQUESTS and DAYPASS_DECIDE_SEED widen and replay it.
TEST(CedarCompiled, AgreesWithTheReferenceAtRandom) {
  const std::size_t wanted = knob("DAYPASS_DECIDE_REQUESTS", 5000);
  const std::size_t first = knob("DAYPASS_DECIDE_SEED", 1);
  std::size_t requests = 0, allowed = 0, erred = 0, satisfied = 0;
  std::size_t seed = first;
  for (; requests < wanted && !HasFailure(); ++seed) {
    std::mt19937_64 random(seed);
    DecideGenerator generator([&](std::size_t n) { return static_cast<std::size_t>(random() % n); });
    const std::string text = generator.policies();
    const auto set = PolicySet::parse(text, "random.cedar");
    ASSERT_TRUE(set.ok()) << "seed " << seed << ": " << set.error().message << "\n" << text;
    const BothEvaluators evaluators(*set);
    const Entities entities = generator.entities();
    for (int i = 0; i < 8; ++i, ++requests) {
      const Request asked = generator.request();
      const Answer answer = evaluators.authorize(entities, asked);
      allowed += answer.decision == Decision::allow ? 1U : 0U;
      erred += answer.errors.empty() ? 0U : 1U;
      satisfied += answer.satisfied_permits.size() + answer.satisfied_forbids.size();
      if (HasFailure()) FAIL() << "seed " << seed << ", request " << i << "\n" << text;
    }
  }
  std::cout << requests << " requests, seeds " << first << " to " << seed - 1 << ": " << allowed << " allowed, "
            << erred << " with errors, " << satisfied << " policies satisfied\n";
  // A generator that only makes policies that don't apply would prove nothing.
  if (wanted < 1000) return;
  EXPECT_GT(allowed, requests / 10);
  EXPECT_GT(erred, requests / 10);
}

}  // namespace
}  // namespace daypass::cedar
