#include "engine/decide.h"

#include <gtest/gtest.h>

#include "engine/question.h"
#include "engine/test_support.h"

namespace daypass::engine {
namespace {

using core::RoleId;
using core::TargetId;
using core::Verdict;
using std::chrono::hours;
using std::chrono::minutes;
using test::person;
using test::tenant;

const base::WallTime now{std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + hours(10)};

core::AccessRequest ask(std::vector<std::string> roles = {}, const char* target = "pg/orders") {
  core::AccessRequest r;
  r.target = TargetId(target);
  for (auto& role : roles) r.roles.emplace_back(role);
  r.client_address = "10.0.0.7";
  return r;
}

const std::string read = R"(
@id("read") @duration("1h") @idle("5m") @connections("2")
permit (principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/reader");
)";
const std::string write = R"(
@id("write") @duration("40m")
permit (principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/writer");
)";
const std::string schema = R"(
@id("schema")
permit (principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/schema");
)";

TEST(Decide, NobodyGetsAnythingByDefault) {
  const auto d = decide(*tenant(""), person("corp", "ann", {"data"}), ask(), now);
  EXPECT_EQ(d.verdict, Verdict::deny);
  EXPECT_FALSE(d.why.empty());
  EXPECT_TRUE(d.offers.empty());
}

TEST(Decide, AnOfferCarriesItsAnnotations) {
  const auto d = decide(*tenant(read), person("corp", "ann", {"data"}), ask(), now);
  ASSERT_EQ(d.verdict, Verdict::allow);
  ASSERT_EQ(d.offers.size(), 1U);
  EXPECT_EQ(d.offers[0], (core::Offer{"read", hours(1), minutes(5), 2}));
  EXPECT_EQ(d.policy_version, 4);
  ASSERT_EQ(d.roles.size(), 1U);
  EXPECT_EQ(d.roles[0].role, RoleId("pg/orders/reader"));
}

TEST(Decide, SilentAnnotationsTakeTheTargetsAndTheCapBinds) {
  const auto d = decide(*tenant(write), person("corp", "ann", {"data"}), ask(), now);
  ASSERT_EQ(d.offers.size(), 1U);
  EXPECT_EQ(d.offers[0], (core::Offer{"write", minutes(20), minutes(10), 3}))
      << "40m cut to the role's cap; the rest is the target's";
}

TEST(Decide, SatisfiedPermitsAreAlternatives) {
  const auto d = decide(*tenant(read + R"(
@id("burst") @duration("10m") @connections("9") permit (principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/reader");)"),
                        person("corp", "ann", {"data"}), ask(), now);
  ASSERT_EQ(d.offers.size(), 2U);
  EXPECT_EQ(core::longest(d.offers), hours(1));
  EXPECT_EQ(core::most_connections(d.offers, minutes(0)), 9);
}

TEST(Decide, SeveralRolesGetWhatCoversAll) {
  const auto d = decide(*tenant(read + write), person("corp", "ann", {"data"}), ask(), now);
  ASSERT_EQ(d.roles.size(), 2U);
  ASSERT_EQ(d.offers.size(), 1U);
  EXPECT_EQ(d.offers[0], (core::Offer{"read+write", minutes(20), minutes(5), 2}));
}

TEST(Decide, ElevatedRolesAreNamedOrNotGiven) {
  const auto t = tenant(read + schema);
  const auto ann = person("corp", "ann", {"data"});
  ASSERT_EQ(decide(*t, ann, ask(), now).roles.size(), 1U);
  const auto named = decide(*t, ann, ask({"pg/orders/schema"}), now);
  ASSERT_EQ(named.verdict, Verdict::allow);
  EXPECT_EQ(named.roles[0].role, RoleId("pg/orders/schema"));
  EXPECT_EQ(decide(*tenant(schema), ann, ask(), now).verdict, Verdict::deny)
      << "only elevated ones: none without naming";
}

TEST(Decide, NamedMeansAllOrNothing) {
  const auto t = tenant(read);
  const auto ann = person("corp", "ann", {"data"});
  EXPECT_EQ(decide(*t, ann, ask({"pg/orders/reader", "pg/orders/writer"}), now).verdict, Verdict::deny);
  EXPECT_EQ(decide(*t, ann, ask({"pg/orders/nothing"}), now).verdict, Verdict::deny);
  EXPECT_EQ(decide(*t, ann, ask({"pg/stock/reader"}), now).verdict, Verdict::deny) << "a role of another target";
  EXPECT_EQ(decide(*t, ann, ask({"pg/orders/reader", "pg/orders/reader"}), now).verdict, Verdict::deny) << "twice";
  EXPECT_EQ(decide(*t, ann, ask({}, "pg/nowhere"), now).verdict, Verdict::deny);
}

TEST(Decide, ForbidWins) {
  const auto d = decide(*tenant(read + R"(@id("freeze") forbid (principal, action, resource in Target::"pg/orders");)"),
                        person("corp", "ann", {"data"}), ask(), now);
  EXPECT_EQ(d.verdict, Verdict::deny);
  EXPECT_NE(d.why.find("freeze"), std::string::npos);
}

TEST(Decide, AForbidThatCantBeEvaluatedForbids) {
  const auto d = decide(
      *tenant(read +
              R"(@id("odd") forbid (principal, action, resource) when { context.weekday + 9223372036854775807 > 0 };)"),
      person("corp", "ann", {"data"}), ask(), now);
  EXPECT_EQ(d.verdict, Verdict::deny);
  EXPECT_NE(d.why.find("odd"), std::string::npos);
}

TEST(Decide, APermitThatCantBeEvaluatedPermitsNothing) {
  const auto t =
      tenant(R"(@id("odd") permit (principal, action, resource) when { context.weekday + 9223372036854775807 > 0 };)");
  EXPECT_EQ(decide(*t, person("corp", "ann", {"data"}), ask(), now).verdict, Verdict::deny);
}

TEST(Decide, AGroupOfOneProviderIsNoGroupOfAnother) {
  const auto t = tenant(read);
  EXPECT_EQ(decide(*t, person("partner", "ann", {"data"}), ask(), now).verdict, Verdict::deny);
  EXPECT_EQ(decide(*t, person("partner", "ann", {"corp/data"}), ask(), now).verdict, Verdict::deny);
  EXPECT_EQ(decide(*t, person("corp", "ann", {}), ask(), now).verdict, Verdict::deny);
}

TEST(Decide, PoliciesSeeAttributesContextAndTarget) {
  const auto t = tenant(R"(
@id("all") permit (principal, action == Action::"assume", resource is Role)
when { principal has level && principal.level >= 3 && principal.groups.contains("data") && principal.idp == "corp" &&
       resource.target.env == "prod" && resource.team == "sales" && context.mfa &&
       context has client_ip && context.client_ip.isInRange(ip("10.0.0.0/8")) &&
       context.requested_duration <= duration("2h") && context.reason like "*ticket*" };)");
  core::Identity ann = person("corp", "ann", {"data"});
  ann.attributes["level"] = std::int64_t{3};
  ann.amr = {"pwd", "otp"};
  core::AccessRequest r = ask({"pg/orders/reader"});
  r.reason = "ticket 7";
  r.wanted_duration = hours(1);
  EXPECT_EQ(decide(*t, ann, r, now).verdict, Verdict::allow);
  core::AccessRequest far = r;
  far.client_address = "192.168.0.1";
  EXPECT_EQ(decide(*t, ann, far, now).verdict, Verdict::deny);
  core::AccessRequest nowhere = r;
  nowhere.client_address = "not an address";
  EXPECT_EQ(decide(*t, ann, nowhere, now).verdict, Verdict::deny);
  core::Identity weak = ann;
  weak.amr = {"pwd"};
  EXPECT_EQ(decide(*t, weak, r, now).verdict, Verdict::deny);
  core::AccessRequest stock = ask({"pg/stock/reader"}, "pg/stock");
  stock.reason = "ticket 7";
  EXPECT_EQ(decide(*t, ann, stock, now).verdict, Verdict::deny) << "env is test there";
}

TEST(Decide, TheAddressOfAConnectionHasNoPortAndNoBrackets) {
  EXPECT_EQ(address_of("192.0.2.7:5432"), "192.0.2.7");
  EXPECT_EQ(address_of("[2001:db8::1]:5432"), "2001:db8::1");
  EXPECT_EQ(address_of("unix"), "unix");
  const auto t = tenant(
      R"(@id("v6") permit (principal, action == Action::"assume", resource)
when { context has client_ip && context.client_ip.isInRange(ip("2001:db8::/32")) };)");
  core::AccessRequest r = ask({"pg/orders/reader"});
  r.client_address = address_of("[2001:db8::1]:5432");
  EXPECT_EQ(decide(*t, person("corp", "ann", {}), r, now).verdict, Verdict::allow);
}

TEST(Decide, APolicyKnowsWhatKindOfPrincipalAsksAndForWhom) {
  const auto t = tenant(
      R"(@id("agent") permit (principal, action == Action::"assume", resource)
when { principal.kind == "agent" && principal has acting_for && principal.acting_for == "corp/bob" && context.weekday == 2 };)");
  core::Identity agent = person("corp", "robot", {});
  agent.attributes["kind"] = std::string("agent");
  agent.attributes["acting_for"] = std::string("corp/bob");
  EXPECT_EQ(decide(*t, agent, ask(), now).verdict, Verdict::deny) << "a mapping does not say what Daypass says";
  agent.kind = core::PrincipalKind::agent;
  EXPECT_EQ(decide(*t, agent, ask(), now).verdict, Verdict::deny) << "it acts for nobody";
  agent.acting_for = "corp/bob";
  EXPECT_EQ(decide(*t, agent, ask(), now).verdict, Verdict::allow);
  EXPECT_EQ(decide(*t, agent, ask(), now + hours(24)).verdict, Verdict::deny) << "a Wednesday";
}

TEST(Decide, WhatSomebodyMapsDoesNotReplaceWhatDaypassSays) {
  core::Identity mallory = person("partner", "mallory", {});
  mallory.attributes["idp"] = std::string("corp");
  mallory.attributes["groups"] = std::set<std::string>{"data"};
  const auto t = tenant(
      R"(@id("x") permit (principal, action == Action::"assume", resource) when { principal.idp == "corp" || principal.groups.contains("data") };)");
  EXPECT_EQ(decide(*t, mallory, ask(), now).verdict, Verdict::deny);
}

TEST(Decide, TellsTheRefusedWhatToAskFor) {
  const auto d = decide(*tenant(read), person("corp", "bob", {"support"}), ask({"pg/orders/reader"}), now);
  EXPECT_EQ(d.verdict, Verdict::deny);
  EXPECT_NE(d.ask.find("corp/data"), std::string::npos) << d.ask;
  EXPECT_NE(d.why.find("read"), std::string::npos) << d.why;
}

TEST(DecideAll, LooksAtEveryRole) {
  const auto all = decide_all(*tenant(read + schema), person("corp", "ann", {"data"}), ask(), now);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].verdict, Verdict::allow);
  EXPECT_EQ(all[1].verdict, Verdict::deny);
  EXPECT_EQ(all[2].verdict, Verdict::allow);
}

TEST(MayAdminister, IsAPolicyOfItsOwn) {
  const auto t = tenant(
      R"(@id("adm") permit (principal in Group::"corp/admins", action == Action::"administer", resource == Tenant::"default");)" +
      read);
  EXPECT_TRUE(may_administer(*t, person("corp", "root", {"admins"}), {}, now));
  EXPECT_FALSE(may_administer(*t, person("corp", "ann", {"data"}), {}, now));
  EXPECT_EQ(decide(*t, person("corp", "root", {"admins"}), ask(), now).verdict, Verdict::deny)
      << "administering is not access";
  const auto broken = tenant(
      R"(@id("adm") permit (principal, action == Action::"administer", resource); @id("no") forbid (principal, action, resource) when { context.weekday + 9223372036854775807 > 0 };)");
  EXPECT_FALSE(may_administer(*broken, person("corp", "root", {"admins"}), {}, now));
}

TEST(Explain, KeepsTextFromThoseWhoAreNoAdministrators) {
  const auto t = tenant(read);
  const auto bob = person("corp", "bob", {"support"});
  const std::string brief = base::json::dump(explain(*t, bob, ask(), RoleId("pg/orders/reader"), now, false));
  const std::string full = base::json::dump(explain(*t, bob, ask(), RoleId("pg/orders/reader"), now, true));
  EXPECT_NE(brief.find("\"deny\""), std::string::npos);
  EXPECT_EQ(brief.find("principal in"), std::string::npos) << brief;
  EXPECT_EQ(brief.find("\"text\""), std::string::npos) << brief;
  EXPECT_NE(brief.find("\"ask\":\"ask for membership in Group"), std::string::npos) << brief;
  EXPECT_NE(full.find("principal in Group::\\\"corp/data"), std::string::npos) << full;
}

TEST(Facts, ReadBackAndDecideTheSame) {
  core::Identity ann = person("corp", "ann", {"data"});
  ann.attributes["level"] = std::int64_t{3};
  core::AccessRequest r = ask({"pg/orders/reader"});
  r.wanted_duration = minutes(7);
  r.reason = "why";
  const auto text = base::json::parse(base::json::dump(facts_of(ann, r, now)));
  ASSERT_TRUE(text.ok());
  const auto back = facts_from_json(*text);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->who, ann);
  EXPECT_EQ(back->at, now);
  EXPECT_EQ(back->request.roles, r.roles);
  EXPECT_EQ(back->request.wanted_duration, r.wanted_duration);
  for (const char* member : {"v", "identity", "request", "at"}) {
    base::json::Value v = *text;
    v.as_object()->erase(member);
    EXPECT_FALSE(facts_from_json(v).ok()) << member;
  }
}

}  // namespace
}  // namespace daypass::engine
