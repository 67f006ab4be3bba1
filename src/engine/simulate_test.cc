#include "engine/simulate.h"

#include <gtest/gtest.h>

#include "engine/test_support.h"

namespace daypass::engine {
namespace {

using core::RoleId;
using test::person;
using test::tenant;

const base::WallTime noon = base::parse_rfc3339("2026-03-03T12:00:00Z").value();

Facts facts(const std::string& subject, std::set<std::string> groups, std::vector<std::string> roles = {},
            const char* target = "pg/orders") {
  Facts out;
  out.who = person("corp", subject, std::move(groups));
  out.request.target = core::TargetId(target);
  for (auto& role : roles) out.request.roles.emplace_back(role);
  out.at = noon;
  return out;
}

const std::string data =
    R"(@id("data") permit (principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/reader");)";
const std::string all =
    R"(@id("all") permit (principal, action == Action::"assume", resource == Role::"pg/orders/reader");)";
const std::string night = R"(@id("night") forbid (principal, action == Action::"assume", resource is Role)
  unless { context.time.toTime() >= duration("13h") };)";

TEST(Replay, NamesWhoGainsAndByWhichPolicy) {
  const auto before = tenant(data), after = tenant(all);
  const Replay replay(before.get(), *after);
  Simulated out;
  replay.add("dc_1", facts("ann", {"data"}, {"pg/orders/reader"}), out);
  replay.add("dn_2", facts("bob", {}, {"pg/orders/reader"}), out);
  EXPECT_EQ(out.newly_allowed, 1U);
  EXPECT_EQ(out.newly_denied, 0U);
  EXPECT_EQ(out.unchanged, 1U);
  ASSERT_EQ(out.shifts.size(), 1U);
  EXPECT_EQ(out.shifts[0].record, "dn_2");
  EXPECT_EQ(out.shifts[0].principal, "corp/bob");
  EXPECT_TRUE(out.shifts[0].allowed);
  EXPECT_EQ(out.shifts[0].policies, std::vector<std::string>{"all"});
  EXPECT_EQ(out.unchanged_by, (std::map<std::string, std::size_t>{{"all", 1}}));
}

TEST(Replay, ALossIsTheForbidsElseThePermitsThatAreGone) {
  const auto before = tenant(all), forbidden = tenant(all + night), gone = tenant(data);
  Simulated out;
  Replay(before.get(), *forbidden).add("dc_1", facts("bob", {}, {"pg/orders/reader"}), out);
  Replay(before.get(), *gone).add("dc_2", facts("bob", {}, {"pg/orders/reader"}), out);
  ASSERT_EQ(out.shifts.size(), 2U);
  EXPECT_EQ(out.newly_denied, 2U);
  EXPECT_EQ(out.shifts[0].policies, std::vector<std::string>{"night"});
  EXPECT_EQ(out.shifts[1].policies, std::vector<std::string>{"all"});
  EXPECT_FALSE(out.shifts[1].why.empty());
}

TEST(Replay, TheTimeIsThatOfTheRecord) {
  const auto before = tenant(all), after = tenant(all + night);
  Facts late = facts("bob", {}, {"pg/orders/reader"});
  late.at = noon + std::chrono::hours(1);
  Simulated out;
  Replay(before.get(), *after).add("dc_1", late, out);
  EXPECT_EQ(out.unchanged, 1U);
}

TEST(Replay, WithoutNamesEveryRoleThatIsNotElevated) {
  const auto before = tenant(""), after = tenant(all);
  Simulated out;
  Replay(before.get(), *after).add("dn_1", facts("bob", {}), out);
  EXPECT_EQ(out.newly_allowed, 1U);
  EXPECT_EQ(out.unchanged, 1U) << "the writer; the schema role is elevated";
  EXPECT_EQ(out.unchanged_by, (std::map<std::string, std::size_t>{{"no policy", 1}}));
  Simulated first;
  Replay(nullptr, *after).add("dn_1", facts("bob", {}), first);
  EXPECT_EQ(first.newly_allowed, 1U) << "nothing is in force yet";
}

TEST(Replay, ARoleThatIsGoneIsDenied) {
  const auto before = tenant(all);
  core::TenantSpec without = test::spec("");
  without.roles.erase(without.roles.begin());
  const auto after = compile(without, test::catalog()).tenant;
  Simulated out;
  Replay(before.get(), *after).add("dc_1", facts("bob", {}, {"pg/orders/reader"}), out);
  ASSERT_EQ(out.shifts.size(), 1U);
  EXPECT_NE(out.shifts[0].why.find("no role"), std::string::npos) << out.shifts[0].why;
}

TEST(Replay, TheListIsBoundedAndTheCountsAreNot) {
  const auto before = tenant(""), after = tenant(all);
  const Replay replay(before.get(), *after);
  Simulated out;
  for (std::size_t i = 0; i < Simulated::max_shifts + 5; ++i)
    replay.add("dn_" + std::to_string(i), facts("bob", {}, {"pg/orders/reader"}), out);
  EXPECT_EQ(out.shifts.size(), Simulated::max_shifts);
  EXPECT_EQ(out.newly_allowed, Simulated::max_shifts + 5);
}

}  // namespace
}  // namespace daypass::engine
