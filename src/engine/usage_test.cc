#include "engine/usage.h"

#include <gtest/gtest.h>

#include "engine/test_support.h"

namespace daypass::engine {
namespace {

using std::chrono::days;
using State = UnusedRights::Role::State;
using Day = RoleUse::Day;

const Day today = std::chrono::floor<days>(base::parse_rfc3339("2026-11-29T10:00:00Z").value());
const base::WallTime now = base::parse_rfc3339("2026-11-29T10:00:00Z").value();

ConnectionStats naming(std::vector<NamedObject> named, bool all = true) {
  ConnectionStats stats;
  stats.named = std::move(named);
  stats.named_all = all;
  return stats;
}

struct Judge {
  std::shared_ptr<const Tenant> tenant = test::tenant(R"(
@id("one") permit(principal in Group::"corp/data", action == Action::"assume", resource == Role::"pg/orders/reader");
@id("wide") permit(principal == User::"corp/ann", action, resource in Target::"pg/orders") when { context.mfa };
@id("all") permit(principal, action == Action::"assume", resource is Role);
@id("other") permit(principal, action == Action::"assume", resource in Target::"pg/stock");
@id("admins") permit(principal in Group::"corp/admins", action == Action::"administer", resource);
@id("no") forbid(principal, action == Action::"assume", resource == Role::"pg/orders/reader") unless { context.mfa };
)");
  RoleUse use;
  target::Holdings gives{{{"public", "orders", true, true}, {"sales", "stock", true, false}}, true};
  explicit Judge(int observed = 100) { use.since = today - days(observed); }
  [[nodiscard]] UnusedRights::Role operator()(int n = 30) const {
    return judge_use(*tenant, core::RoleId("pg/orders/reader"), use, gives, n, now);
  }
};

TEST(RoleUse, IsKeptAsText) {
  RoleUse use;
  use.note_given(today);
  use.note_connection(naming({{"public", "a\"b", true, false}, {"", "größe", false, true}}, false), today + days(1));
  const auto back = RoleUse::parse(use.text());
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, use);
  EXPECT_EQ(back->since, today);
  EXPECT_EQ(back->unread, today + days(1));
  for (const char* bad : {"", "{}", "[]", R"({"since":"x"})", R"({"since":99999999999})"})
    EXPECT_FALSE(RoleUse::parse(bad).ok()) << bad;
  const auto half = RoleUse::parse(R"({"since":20000,"grants":-1,"named":[1,["a"],["a","b",null,20001],[1,2,3,4]]})");
  ASSERT_TRUE(half.ok());
  EXPECT_EQ(half->grants, 0U);
  EXPECT_EQ(half->named.size(), 1U);
}

TEST(RoleUse, AddsUpAndKeepsTheLastDay) {
  RoleUse stored, minute;
  stored.since = today - days(9);
  stored.note_connection(naming({{"s", "a", true, false}}), today - days(5));
  minute.note_given(today);
  minute.note_connection(naming({{"s", "a", false, true}, {"s", "b", true, false}}), today);
  stored.add(minute);
  EXPECT_EQ(stored.since, today - days(9));
  EXPECT_EQ(stored.connections, 2U);
  EXPECT_EQ(stored.grants, 1U);
  const RoleUse::Last a = stored.named.at({"s", "a"});
  EXPECT_EQ(a.read, today - days(5));
  EXPECT_EQ(a.written, today);
  RoleUse older;
  older.note_connection(naming({{"s", "a", false, true}}), today - days(30));
  stored.add(older);
  EXPECT_EQ(stored.named.at({"s", "a"}).written, today) << "late is not later";
}

TEST(RoleUse, IsBoundedAndSaysSo) {
  RoleUse use;
  use.since = today;
  for (std::size_t i = 0; i < RoleUse::most_named; ++i)
    use.note_connection(naming({{"s", "t" + std::to_string(i), true, false}}), today);
  EXPECT_FALSE(use.unread);
  use.note_connection(naming({{"s", "one more", true, false}}), today + days(1));
  EXPECT_EQ(use.named.size(), RoleUse::most_named);
  EXPECT_EQ(use.unread, today + days(1));
  EXPECT_LT(use.text().size(), 64U * 1024);
  // What no report looks back to makes room.
  use.note_connection(naming({{"s", "later", true, false}}), today + days(4000));
  EXPECT_TRUE(use.named.contains({"s", "later"}));
}

TEST(JudgeUse, FromNeverTakenToUsed) {
  Judge judge;
  EXPECT_EQ(judge().state, State::unwanted);
  EXPECT_EQ(Judge(29)().state, State::early);
  EXPECT_EQ(Judge(30)().state, State::unwanted) << "thirty whole days";
  judge.use.note_given(today - days(3));
  EXPECT_EQ(judge().state, State::unused);
  judge.use.note_connection(naming({{"public", "elsewhere", true, true}}), today - days(3));
  EXPECT_EQ(judge().state, State::unused) << "what it does not give is not its use";
  judge.use.note_connection(naming({{"public", "orders", true, false}}), today - days(2));
  const auto partly = judge();
  EXPECT_EQ(partly.state, State::partly);
  EXPECT_FALSE(partly.objects[0].unused);
  EXPECT_TRUE(partly.objects[1].unused);
  EXPECT_EQ(partly.used, today - days(2));
  judge.use.note_connection(naming({{"", "stock", true, false}}), today - days(1));
  EXPECT_EQ(judge().state, State::used) << "without a schema it may be any of that name";
  EXPECT_EQ(judge(1).state, State::unwanted) << "not today";
}

TEST(JudgeUse, AWriteIsNoUseOfARightToRead) {
  Judge judge;
  judge.use.note_connection(naming({{"sales", "stock", false, true}, {"public", "orders", false, true}}), today);
  const auto role = judge();
  EXPECT_FALSE(role.objects[0].unused);
  EXPECT_TRUE(role.objects[1].unused) << "it may not write there, so another role let it";
  judge.gives.objects = {{"sales", "journal", false, true}};
  judge.use.note_connection(naming({{"sales", "journal", true, false}}), today);
  EXPECT_TRUE(judge().objects[0].unused) << "nor read here";
}

TEST(JudgeUse, WhatCouldNotBeReadIsNoProof) {
  Judge judge;
  judge.use.note_connection(naming({}, false), today);
  EXPECT_EQ(judge().state, State::unclear);
  EXPECT_EQ(judge().unread, today);
  judge.use.unread = today - days(90);
  EXPECT_EQ(judge().state, State::unused) << "long ago";
}

TEST(JudgeUse, WithoutTablesTheConnectionsCount) {
  Judge judge;
  judge.gives.objects.clear();
  EXPECT_EQ(judge().state, State::unwanted);
  judge.use.note_connection(naming({}), today);
  EXPECT_EQ(judge().state, State::used);
  const auto silent = judge_use(*judge.tenant, core::RoleId("pg/orders/reader"), judge.use,
                                base::Error{base::Code::timeout, "pg.timeout", "no answer"}, 30, now);
  EXPECT_EQ(silent.state, State::unclear);
  EXPECT_EQ(silent.unreachable, "no answer");
}

TEST(JudgeUse, MoreThanIsListedIsNeverAllUsed) {
  Judge judge;
  judge.gives.all = false;
  judge.use.note_connection(naming({{"public", "orders", true, false}, {"sales", "stock", true, false}}), today);
  EXPECT_EQ(judge().state, State::unclear);
  judge.gives.all = true;
  EXPECT_EQ(judge().state, State::used);
  judge.gives.all = false;
  judge.gives.objects.push_back({"public", "third", true, false});
  EXPECT_EQ(judge().state, State::partly);
}

TEST(JudgeUse, NamesThePoliciesThatGiveIt) {
  const auto role = Judge()();
  ASSERT_EQ(role.policies.size(), 3U) << "no forbid, none of another target, none for administering";
  EXPECT_EQ(role.policies[0].id, "one");
  EXPECT_EQ(role.policies[0].file, "policies/p.cedar");
  EXPECT_EQ(role.policies[0].line, 2U);
  EXPECT_EQ(role.policies[0].to, "whoever is in Group::\"corp/data\"");
  EXPECT_TRUE(role.policies[0].this_alone);
  EXPECT_FALSE(role.policies[0].conditions);
  EXPECT_EQ(role.policies[1].id, "wide");
  EXPECT_EQ(role.policies[1].to, "User::\"corp/ann\"");
  EXPECT_TRUE(role.policies[1].conditions);
  EXPECT_FALSE(role.policies[1].this_alone);
  EXPECT_EQ(role.policies[2].to, "");
  EXPECT_EQ(role.hint,
            "take out one (policies/p.cedar:2), and narrow wide (policies/p.cedar:3), all (policies/p.cedar:4), which "
            "give more than this role");
  const auto tenant = test::tenant(R"(@id("x") permit(principal, action, resource in Target::"pg/stock");)");
  EXPECT_TRUE(giving_policies(*tenant, core::RoleId("pg/orders/reader")).empty());
  RoleUse use;
  use.since = today - days(100);
  EXPECT_EQ(judge_use(*tenant, core::RoleId("pg/orders/reader"), use, target::Holdings{}, 30, now).hint,
            "no policy gives it: take it out of the tenant's roles");
}

}  // namespace
}  // namespace daypass::engine
