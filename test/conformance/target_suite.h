// What every target driver must do, as one suite: a driver's test file gives it a TargetWorld and instantiates it.
// Included by that one file only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "conformance/target_world.h"

namespace daypass::test {

class TargetSuite : public ::testing::TestWithParam<std::function<TargetWorld&()>> {
 protected:
  TargetWorld& world = GetParam()();
  target::Target& target = world.target();

  std::string provision(const target::Account& account, const std::string& password = first_password) {
    auto handle = target.provision(world.wanted(account, password), plenty);
    EXPECT_TRUE(handle.ok()) << handle.error().check << ": " << handle.error().message;
    return handle.ok() ? *handle : std::string();
  }
  void revoke(const target::Account& account, const std::string& handle = {}) {
    const auto done = target.revoke(account, world.roles(), handle, plenty);
    EXPECT_TRUE(done.ok()) << done.error().check << ": " << done.error().message;
  }
  core::Presence look(const target::Account& account, const std::string& handle = {}) {
    const auto seen = target.verify(account, handle, plenty);
    EXPECT_TRUE(seen.ok()) << seen.error().message;
    return seen.ok() ? *seen : core::Presence::unknown;
  }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TargetSuite);

TEST_P(TargetSuite, AnAccountComesGoesAndIsSeen) {
  const auto account = world.new_account();
  EXPECT_EQ(look(account), core::Presence::absent);
  EXPECT_EQ(world.login(account.name, first_password), nullptr);
  const std::string handle = provision(account);
  EXPECT_EQ(look(account, handle), core::Presence::present);
  auto session = world.login(account.name, first_password);
  ASSERT_NE(session, nullptr);
  EXPECT_TRUE(session->alive());
  revoke(account, handle);
  EXPECT_FALSE(session->alive());
  EXPECT_EQ(look(account, handle), core::Presence::absent);
  EXPECT_EQ(world.login(account.name, first_password), nullptr);
}

TEST_P(TargetSuite, AWrongPasswordIsRefused) {
  const auto account = world.new_account();
  provision(account);
  EXPECT_EQ(world.login(account.name, second_password), nullptr);
  revoke(account);
}

TEST_P(TargetSuite, ProvisioningAgainMeetsItsOwnWork) {
  const auto account = world.new_account();
  const std::string first = provision(account);
  EXPECT_EQ(provision(account), first);
  EXPECT_NE(world.login(account.name, first_password), nullptr);
  EXPECT_EQ(provision(account, second_password), first);
  EXPECT_EQ(world.login(account.name, first_password), nullptr);
  EXPECT_NE(world.login(account.name, second_password), nullptr);
  revoke(account, first);
}

TEST_P(TargetSuite, ExtendingMovesTheEndAndKeepsSessions) {
  const auto account = world.new_account();
  auto wanted = world.wanted(account);
  wanted.valid_until = world.clock.wall() + std::chrono::minutes(1);
  ASSERT_TRUE(target.provision(wanted, plenty).ok());
  auto session = world.login(account.name, first_password);
  ASSERT_NE(session, nullptr);
  wanted.valid_until = world.clock.wall() + std::chrono::hours(2);
  ASSERT_TRUE(target.provision(wanted, plenty).ok());
  EXPECT_TRUE(session->alive());
  const auto owned = target.list_owned(plenty);
  ASSERT_TRUE(owned.ok());
  bool found = false;
  for (const auto& one : *owned)
    if (one.name == account.name) {
      found = true;
      EXPECT_EQ(one.grant, account.grant.id);
      EXPECT_EQ(one.tenant, account.grant.tenant.str());
      if (target.caps().keeps_deadline) {
        EXPECT_EQ(one.valid_until, wanted.valid_until);
      }
    }
  EXPECT_TRUE(found);
  revoke(account);
}

TEST_P(TargetSuite, TheEndHoldsWithoutUs) {
  if (!target.caps().keeps_deadline) GTEST_SKIP() << "this target keeps no deadline";
  const auto account = world.new_account();
  auto wanted = world.wanted(account);
  wanted.valid_until = world.clock.wall() - std::chrono::seconds(1);
  ASSERT_TRUE(target.provision(wanted, plenty).ok());
  EXPECT_EQ(world.login(account.name, first_password), nullptr);
  revoke(account);
}

TEST_P(TargetSuite, RevokingTheAbsentSucceedsAsOftenAsOneLikes) {
  const auto account = world.new_account();
  revoke(account);
  const std::string handle = provision(account);
  for (int i = 0; i < 5; ++i) revoke(account, i % 2 == 0 ? handle : "");
  EXPECT_EQ(look(account, handle), core::Presence::absent);
}

TEST_P(TargetSuite, RevokingOneLeavesTheOther) {
  const auto one = world.new_account();
  const auto other = world.new_account("another");
  provision(one);
  provision(other);
  auto session = world.login(other.name, first_password);
  ASSERT_NE(session, nullptr);
  revoke(one);
  EXPECT_TRUE(session->alive());
  EXPECT_EQ(look(other), core::Presence::present);
  revoke(other);
}

/// Whatever is done together is done as well as alone; what is in use, owns something, is not there or not ours is for
/// revoke(), and keeps none of the others.
TEST_P(TargetSuite, ManyLeaveTogetherAndNobodyElse) {
  std::vector<target::Leaving> many;
  for (int i = 0; i < 12; ++i) {
    const auto account = world.new_account();
    many.push_back({account, world.roles(), provision(account)});
  }
  const auto bystander = world.new_account();
  provision(bystander);
  auto session = world.login(many[3].account.name, first_password);
  auto beside = world.login(bystander.name, first_password);
  ASSERT_TRUE(session != nullptr && beside != nullptr);
  many.push_back({world.new_account(), world.roles(), ""});  // never made
  many.push_back({{world.new_account().grant, "postgres"}, world.roles(), ""});
  const auto gone = target.revoke_together(many, plenty);
  for (const std::size_t i : gone) {
    ASSERT_LT(i, 12U);
    EXPECT_EQ(look(many[i].account, many[i].handle), core::Presence::absent) << i;
    EXPECT_EQ(world.login(many[i].account.name, first_password), nullptr) << i;
  }
  EXPECT_FALSE(gone.contains(3)) << "it is in use";
  if (target.caps().at_once > 1) {
    EXPECT_EQ(gone.size(), 11U);
  }
  const auto seen = target.verify_all(many, plenty);
  ASSERT_EQ(seen.size(), many.size());
  for (std::size_t i = 0; i < 13; ++i) {
    ASSERT_TRUE(seen[i].ok()) << seen[i].error().message;
    const bool absent = gone.contains(i) || i == 12;
    EXPECT_EQ(*seen[i], absent ? core::Presence::absent : core::Presence::present) << i;
  }
  EXPECT_FALSE(seen[13].ok()) << "a name that is not the grant's";
  EXPECT_TRUE(beside->alive());
  EXPECT_EQ(look(bystander), core::Presence::present);
  for (std::size_t i = 0; i < 12; ++i)
    if (!gone.contains(i)) revoke(many[i].account, many[i].handle);
  EXPECT_FALSE(session->alive());
  revoke(bystander);
}

TEST_P(TargetSuite, NobodyIsSaidToBeGoneWhereNobodyAnswers) {
  std::vector<target::Leaving> many;
  for (int i = 0; i < 3; ++i) {
    const auto account = world.new_account();
    many.push_back({account, world.roles(), provision(account)});
  }
  world.freeze();
  EXPECT_TRUE(target.revoke_together(many, std::chrono::milliseconds(400)).empty());
  for (const auto& one : target.verify_all(many, std::chrono::milliseconds(400)))
    EXPECT_TRUE(!one.ok() || *one == core::Presence::unknown);
  world.thaw();
  for (const auto& one : many) revoke(one.account, one.handle);
  for (const auto& one : target.verify_all(many, plenty)) {
    ASSERT_TRUE(one.ok());
    EXPECT_EQ(*one, core::Presence::absent);
  }
}

TEST_P(TargetSuite, AnyHandleWillDo) {
  const auto account = world.new_account();
  provision(account);
  for (const char* handle : {"", "{", "null", "{\"oid\":-1}", "{\"oid\":99999999999999}", "[]"}) {
    EXPECT_EQ(look(account, handle), core::Presence::present) << handle;
  }
  revoke(account, "\xff not json");
  EXPECT_EQ(look(account, "{\"groups\":[1]}"), core::Presence::absent);
}

TEST_P(TargetSuite, ANameThatIsNotTheGrantsIsRefused) {
  auto account = world.new_account();
  account.name = "postgres";
  const auto made = target.provision(world.wanted(account), plenty);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, base::Code::invalid);
  EXPECT_FALSE(target.revoke(account, world.roles(), "", plenty).ok());
  EXPECT_FALSE(target.verify(account, "", plenty).ok());
}

TEST_P(TargetSuite, AFrozenTargetCostsTheBudgetAndNoMore) {
  const auto live = world.new_account();
  const std::string handle = provision(live);
  const auto account = world.new_account();
  world.freeze();
  constexpr auto budget = std::chrono::milliseconds(800);
  const auto timed = [&](const char* what, auto call) {
    const auto from = std::chrono::steady_clock::now();
    const auto outcome = call();
    const auto took = std::chrono::steady_clock::now() - from;
    EXPECT_FALSE(outcome.ok()) << what;
    EXPECT_LT(took, budget + std::chrono::milliseconds(700)) << what;
  };
  timed("provision", [&] { return target.provision(world.wanted(account), budget); });
  timed("revoke", [&] { return target.revoke(live, world.roles(), handle, budget); });
  const auto from = std::chrono::steady_clock::now();
  const auto seen = target.verify(live, handle, budget);
  EXPECT_LT(std::chrono::steady_clock::now() - from, budget + std::chrono::milliseconds(700));
  EXPECT_TRUE(!seen.ok() || *seen == core::Presence::unknown);
  timed("list_owned", [&] { return target.list_owned(budget); });
  world.thaw();
  revoke(account);
  EXPECT_EQ(look(account), core::Presence::absent);
  revoke(live, handle);
  EXPECT_EQ(look(live, handle), core::Presence::absent);
}

TEST_P(TargetSuite, ATargetThatWasAwayIsTakenUpAgain) {
  const auto account = world.new_account();
  const std::string handle = provision(account);
  world.stop();
  const auto made = target.provision(world.wanted(world.new_account()), std::chrono::seconds(2));
  ASSERT_FALSE(made.ok());
  EXPECT_FALSE(target.revoke(account, world.roles(), handle, std::chrono::seconds(2)).ok());
  EXPECT_FALSE(target.verify(account, handle, std::chrono::seconds(2)).ok());
  world.start();
  EXPECT_EQ(look(account, handle), core::Presence::present);
  revoke(account, handle);
  EXPECT_EQ(look(account, handle), core::Presence::absent);
  // Connections that broke while idle are no failure either.
  world.stop();
  world.start();
  const auto next = world.new_account();
  const std::string note = provision(next);
  revoke(next, note);
}

}  // namespace daypass::test
