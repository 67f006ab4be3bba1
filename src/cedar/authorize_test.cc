// Decisions over several policies, and the account of one.
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using Ids = std::vector<std::string>;
using testing::json_of;
using testing::request;
using testing::world;

Answer ask(std::string_view policies, const Request& with = request()) {
  const auto set = PolicySet::parse(policies, "t.cedar");
  EXPECT_TRUE(set.ok()) << policies;
  return set.ok() ? testing::BothEvaluators(*set).authorize(world(), with) : Answer{};
}

TEST(CedarAuthorize, NothingMeansDeny) {
  const Answer answer = ask("");
  EXPECT_EQ(answer.decision, Decision::deny);
  EXPECT_TRUE(answer.reasons.empty() && answer.errors.empty());
}

TEST(CedarAuthorize, PermitsAreAllReasons) {
  const Answer answer =
      ask("permit(principal,action,resource); permit(principal,action,resource) when { false };"
          "permit(principal in Group::\"top\",action == Action::\"view\",resource is Doc);");
  EXPECT_EQ(answer.decision, Decision::allow);
  EXPECT_EQ(answer.reasons, (Ids{"policy0", "policy2"}));
  EXPECT_EQ(answer.satisfied_permits, answer.reasons);
}

TEST(CedarAuthorize, ForbidWinsAndPermitsAreStillTold) {
  const Answer answer =
      ask("forbid(principal,action,resource); permit(principal,action,resource);"
          "forbid(principal == User::\"a\",action,resource); forbid(principal,action,resource) unless { true };");
  EXPECT_EQ(answer.decision, Decision::deny);
  EXPECT_EQ(answer.reasons, (Ids{"policy0", "policy2"}));
  EXPECT_EQ(answer.satisfied_permits, (Ids{"policy1"}));
  EXPECT_EQ(answer.satisfied_forbids, (Ids{"policy0", "policy2"}));
}

TEST(CedarAuthorize, ErrorsNeverAbortAndAreAllTold) {
  const Answer answer = ask(
      "permit(principal,action,resource) when { 1 };\nforbid(principal,action,resource) when { true && resource.x };\n"
      "permit(principal,action,resource);\npermit(principal,action,resource) unless { context.zz };");
  EXPECT_EQ(answer.decision, Decision::allow);
  EXPECT_EQ(answer.reasons, (Ids{"policy2"}));
  ASSERT_EQ(answer.errors.size(), 3U);
  EXPECT_EQ(answer.errors[0].policy, "policy0");
  EXPECT_EQ(answer.errors[1].policy, "policy1");
  EXPECT_EQ(answer.errors[1].message, "entity Doc::\"d\" does not exist");
  EXPECT_EQ(answer.errors[1].line, 2U);
  EXPECT_EQ(answer.errors[1].column, 50U);
  EXPECT_EQ(answer.errors[2].policy, "policy3");
  EXPECT_EQ(answer.erred_forbids, (Ids{"policy1"}));
}

TEST(CedarAuthorize, ScopeComesBeforeConditionsAndConditionsInOrder) {
  EXPECT_TRUE(ask("permit(principal == User::\"b\",action,resource) when { 1 };").errors.empty());
  EXPECT_TRUE(ask("permit(principal,action,resource) when { false } when { 1 };").errors.empty());
  EXPECT_TRUE(ask("permit(principal,action,resource) unless { true } when { 1 };").errors.empty());
  EXPECT_EQ(ask("permit(principal,action,resource) when { 1 } when { false };").errors.size(), 1U);
  EXPECT_EQ(ask("permit(principal,action,resource) when { true } unless { false } unless { 1 };").errors.size(), 1U);
}

TEST(CedarAuthorize, Scopes) {
  const auto allowed = [](std::string_view head) {
    return ask("permit(" + std::string(head) + ");").decision == Decision::allow;
  };
  EXPECT_TRUE(allowed("principal == User::\"a\", action, resource"));
  EXPECT_FALSE(allowed("principal == Group::\"g\", action, resource"));
  EXPECT_TRUE(allowed("principal in User::\"a\", action, resource"));
  EXPECT_TRUE(allowed("principal in Group::\"top\", action, resource"));
  EXPECT_FALSE(allowed("principal in Group::\"x\", action, resource"));
  EXPECT_TRUE(allowed("principal is User, action, resource"));
  EXPECT_TRUE(allowed("principal is User in Group::\"g\", action, resource"));
  EXPECT_FALSE(allowed("principal is Group in Group::\"g\", action, resource"));
  EXPECT_FALSE(allowed("principal is User in Group::\"x\", action, resource"));
  EXPECT_TRUE(allowed("principal, action in [Action::\"x\", Action::\"view\"], resource"));
  EXPECT_FALSE(allowed("principal, action in [], resource"));
  EXPECT_FALSE(allowed("principal, action in [Action::\"x\"], resource"));
  EXPECT_FALSE(allowed("principal, action == A::Action::\"view\", resource"));
  EXPECT_TRUE(allowed("principal, action, resource == Doc::\"d\""));
  EXPECT_TRUE(allowed("principal, action, resource in Doc::\"d\""));
  EXPECT_FALSE(allowed("principal, action, resource == Doc::\"D\""));
}

TEST(CedarRequest, Json) {
  Request before = request();
  before.context.emplace("ip", Value::ipaddr("10.0.0.1").value());
  const auto after = Request::from_json(json_of(base::json::dump(before.to_json())));
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->principal, before.principal);
  EXPECT_EQ(after->resource, before.resource);
  EXPECT_EQ(after->context, before.context);
  const auto text =
      Request::from_json(json_of(R"({"principal": "User::\"a\"", "action": "Action::\"v\"", "resource": "D::\"d\""})"));
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->action, (EntityUid{"Action", "v"}));
  EXPECT_EQ(Request::from_json(json_of(R"({"principal": "User::\"a\""})")).error().check, "cedar.request_json");
  // The whole context can't be an escape that is no record.
  EXPECT_FALSE(Request::from_json(json_of(R"({"principal": "U::\"a\"", "action": "U::\"a\"", "resource": "U::\"a\"",
                                             "context": {"__entity": {"type": "U", "id": "a"}}})"))
                   .ok());
}

TEST(CedarExplain, TellsEachPart) {
  const auto set = PolicySet::parse(
      "permit(principal in Group::\"g\", action, resource == Doc::\"e\")\n"
      "when { context.flag && context.n == 8 && context.zz }\n"
      "unless { context.zz }\nunless { false };",
      "t.cedar");
  ASSERT_TRUE(set.ok());
  const Explanation why = explain(set->policies().front(), world(), request());
  using Outcome = ExplainedPart::Outcome;
  EXPECT_FALSE(why.satisfied);
  EXPECT_FALSE(why.erred);  // the scope failed first
  ASSERT_EQ(why.parts.size(), 6U);
  EXPECT_EQ(why.parts[0].outcome, Outcome::held);
  EXPECT_EQ(why.parts[0].text, "principal in Group::\"g\"");
  EXPECT_EQ(why.parts[1].text, "action");
  EXPECT_EQ(why.parts[2].outcome, Outcome::failed);
  EXPECT_EQ(why.parts[2].column, 41U);
  EXPECT_EQ(why.parts[3].outcome, Outcome::failed);
  EXPECT_EQ(why.parts[3].line, 2U);
  ASSERT_EQ(why.parts[3].terms.size(), 3U);
  EXPECT_EQ(why.parts[3].terms[0].outcome, Outcome::held);
  EXPECT_EQ(why.parts[3].terms[1].outcome, Outcome::failed);
  EXPECT_EQ(why.parts[3].terms[1].text, "context.n == 8");
  EXPECT_EQ(why.parts[3].terms[2].outcome, Outcome::not_reached);
  EXPECT_EQ(why.parts[4].outcome, Outcome::erred);
  EXPECT_EQ(why.parts[4].error, "the record has no attribute \"zz\"");
  EXPECT_EQ(why.parts[5].outcome, Outcome::held);
  EXPECT_EQ(to_string(why.parts[5].kind), "unless");
  EXPECT_EQ(to_string(why.parts[3].terms[2].outcome), "not_reached");
}

TEST(CedarExplain, SatisfiedAndErred) {
  const auto set = PolicySet::parse(
      "forbid(principal,action,resource) when { true };"
      "forbid(principal,action,resource) when { (true && 1) };",
      "t.cedar");
  ASSERT_TRUE(set.ok());
  EXPECT_TRUE(explain(set->policies()[0], world(), request()).satisfied);
  const Explanation erred = explain(set->policies()[1], world(), request());
  EXPECT_TRUE(erred.erred);
  ASSERT_EQ(erred.parts[3].terms.size(), 2U);
  EXPECT_EQ(erred.parts[3].terms[1].error, "type error: expected bool, got long");
}

}  // namespace
}  // namespace daypass::cedar
