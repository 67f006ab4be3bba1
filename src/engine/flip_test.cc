#include "engine/flip.h"

#include <gtest/gtest.h>

#include "engine/decide.h"
#include "engine/test_support.h"

namespace daypass::engine {
namespace {

using core::RoleId;
using test::person;
using test::tenant;

const base::WallTime now = base::parse_rfc3339("2026-03-03T12:00:00Z").value();  // a Tuesday

struct Asked {
  core::Identity who = person("corp", "ann", {});
  core::AccessRequest request;
  base::WallTime at = now;
};

std::string flip(const std::string& policies, const Asked& asked = {}, const char* role = "pg/orders/reader") {
  std::string out;
  for (const auto& c : smallest_flip(*tenant(policies), asked.who, asked.request, RoleId(role), asked.at))
    out += (out.empty() ? "" : "; ") + c.fact + ": " + c.now + " -> " + c.would_be;
  return out;
}

std::string permit(const std::string& condition, const std::string& scope = "principal") {
  return "permit (" + scope + ", action == Action::\"assume\", resource is Role)" +
         (condition.empty() ? "" : " when { " + condition + " }") + ";";
}

TEST(Flip, OneFactWhereOneIsEnough) {
  EXPECT_EQ(flip(permit("context.mfa")), "context.mfa: false -> true");
  EXPECT_EQ(flip(permit("principal has level && principal.level >= 3")), "principal.level: missing -> 3");
  EXPECT_EQ(flip(permit("principal has level && principal.level > 3")), "principal.level: missing -> 4");
  EXPECT_EQ(flip(permit("", "principal in Group::\"corp/data\"")), "principal in Group::\"corp/data\": false -> true");
  EXPECT_EQ(flip(permit("principal.groups.contains(\"ops\")")), "principal in Group::\"corp/ops\": false -> true");
  EXPECT_EQ(flip(permit("context.reason like \"INC-*\"")), "context.reason: \"\" -> \"INC-\"");
  EXPECT_EQ(flip(permit("context.reason != \"\"")), "context.reason: \"\" -> \"some reason\"");
  EXPECT_EQ(flip(permit("resource.team == \"ops\"")), "resource.team: \"sales\" -> \"ops\"");
  EXPECT_EQ(flip(permit("resource.target.env == \"lab\"")), "resource.target.env: \"prod\" -> \"lab\"");
  EXPECT_EQ(flip(permit("context has client_ip && context.client_ip.isInRange(ip(\"10.0.0.0/8\"))")),
            "context.client_ip: missing -> 10.0.0.0");
  EXPECT_EQ(flip(permit("context.requested_duration <= duration(\"30m\")")), "context.requested_duration: 1h -> 30m");
}

TEST(Flip, TheNextTimeThatFits) {
  EXPECT_EQ(flip(permit("context.time.toTime() >= duration(\"18h\")")),
            "context.time: 2026-03-03T12:00:00Z -> 2026-03-03T18:00:00Z");
  EXPECT_EQ(flip(permit("context.weekday == 6")), "context.time: 2026-03-03T12:00:00Z -> 2026-03-07T12:00:00Z");
  EXPECT_EQ(flip(permit("context.time < datetime(\"2026-03-01\")")),
            "context.time: 2026-03-03T12:00:00Z -> 2026-02-28T23:59:59Z");
  Asked stale;
  stale.who.auth_time = now - std::chrono::hours(2);
  EXPECT_EQ(flip(permit("context.time.durationSince(context.auth_time) <= duration(\"15m\")"), stale),
            "context.auth_time: 2026-03-03T10:00:00Z -> 2026-03-03T12:00:00Z");
}

TEST(Flip, TwoFactsWhereOneIsNotEnough) {
  EXPECT_EQ(flip(permit("context.mfa && principal has level && principal.level == 2")),
            "context.mfa: false -> true; principal.level: missing -> 2");
  EXPECT_EQ(flip(permit("context.mfa && context.reason == \"x\" && principal.groups.contains(\"g\")")), "")
      << "three are not looked for";
}

TEST(Flip, APermissionTurnsToo) {
  Asked asked;
  asked.who = person("corp", "ann", {"data"});
  EXPECT_EQ(flip(permit("", "principal in Group::\"corp/data\""), asked),
            "principal in Group::\"corp/data\": true -> false");
}

TEST(Flip, WhatNobodyCanChangeIsNotProposed) {
  EXPECT_EQ(flip(permit("", "principal in Group::\"partner/data\"")), "") << "a group of another identity provider";
  EXPECT_EQ(flip(permit("principal.idp == \"partner\"")), "");
  EXPECT_EQ(flip(permit("principal has nothing && context.mfa")), "") << "an attribute that is not mapped";
  EXPECT_EQ(flip("permit (principal, action == Action::\"assume\", resource == Role::\"pg/stock/reader\") when { "
                 "context.mfa };"),
            "");
  EXPECT_EQ(flip(""), "");
}

TEST(Flip, AProhibitionThatCantBeEvaluatedIsNoPermission) {
  EXPECT_EQ(flip(permit("context.mfa") +
                 "forbid (principal, action, resource) when { context.weekday + 9223372036854775807 > 0 };"),
            "");
}

TEST(Flip, ManyPoliciesEndTheSearchAndNotTheServer) {
  std::string text;
  for (int i = 0; i < 3'000; ++i)
    text += permit("principal.groups.contains(\"a" + std::to_string(i) + "\") && context.mfa && context.reason == \"r" +
                   std::to_string(i) + "\"");
  EXPECT_EQ(flip(text), "");
}

TEST(Flip, IsPartOfAnAdministratorsExplanation) {
  const auto t = tenant(permit("context.mfa"));
  const auto ann = person("corp", "ann", {});
  const auto full = explain(*t, ann, {}, RoleId("pg/orders/reader"), now, true);
  ASSERT_NE(full.find("flip"), nullptr);
  EXPECT_EQ(base::json::dump(*full.find("flip")),
            R"({"verdict":"allow","changes":[{"fact":"context.mfa","now":"false","would_be":"true"}]})");
  const auto brief = explain(*t, ann, {}, RoleId("pg/orders/reader"), now, false);
  EXPECT_EQ(brief.find("flip"), nullptr);
  EXPECT_EQ(base::json::dump(brief).find("context.mfa"), std::string::npos);
  EXPECT_NE(brief.string_or("ask").find("policy policy0"), std::string::npos) << brief.string_or("ask");
}

}  // namespace
}  // namespace daypass::engine
