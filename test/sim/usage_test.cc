// What was given and never used, over months of virtual time.
#include <gmock/gmock.h>

#include <string>

#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using engine::UnusedRights;
using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using State = UnusedRights::Role::State;

const core::TenantId tenant("default");

class Usage : public Steady {
 protected:
  Usage() : Steady(13) {}

  void SetUp() override {
    world.start();
    world.servers.at("pg/orders").objects[core::RoleId("pg/orders/reader")] = {{"public", "orders", true, false},
                                                                               {"public", "audit", true, false}};
    world.servers.at("pg/orders").objects[core::RoleId("pg/orders/writer")] = {{"public", "orders", false, true}};
    story.apply(0);
    world.run_for(seconds(2));
  }
  Result<UnusedRights> report(int days = 30) {
    return ask<UnusedRights>([&](auto done) { engine().unused_rights(tenant, days, std::move(done)); });
  }
  /// Of one role; fails the test when there is none.
  UnusedRights::Role role(const std::string& name, int days = 30) {
    const auto all = report(days);
    EXPECT_TRUE(all.ok()) << check_of(all);
    if (all.ok())
      for (const auto& one : all->roles)
        if (one.role.str() == name) return one;
    ADD_FAILURE() << "no " << name;
    return {};
  }
  void work(std::vector<engine::NamedObject> names) {
    world.gate.names = std::move(names);
    Steady::work(0);
    ASSERT_EQ(world.gate.connections().size(), 1U);
    world.gate.hang_up(world.gate.connections().begin()->first);
    world.run_for(seconds(2));
  }
  void days(int n) {
    world.suspend(hours(24) * n);
    world.run_for(seconds(90));
  }
};

TEST_F(Usage, SaysWhichRolesNobodyTookAndWhichOfTheirTablesNobodyUsed) {
  EXPECT_EQ(role("pg/orders/reader").state, State::early) << "observed since today";
  work({{"", "orders", true, false}});
  days(29);
  EXPECT_EQ(role("pg/orders/writer").state, State::early);
  days(1);
  work({{"public", "orders", true, false}, {"", "no_table_of_it", true, true}});
  const auto reader = role("pg/orders/reader");
  EXPECT_EQ(reader.state, State::partly);
  EXPECT_EQ(reader.grants, 2U);
  EXPECT_EQ(reader.connections, 2U);
  ASSERT_EQ(reader.objects.size(), 2U);
  EXPECT_FALSE(reader.objects[0].unused);
  EXPECT_TRUE(reader.objects[1].unused);
  EXPECT_EQ(reader.objects[1].object.name, "audit");
  EXPECT_THAT(reader.hint, ::testing::HasSubstr("its group gives more than was used"));
  const auto writer = role("pg/orders/writer");
  EXPECT_EQ(writer.state, State::unwanted);
  EXPECT_EQ(writer.grants, 0U);
  ASSERT_EQ(writer.policies.size(), 1U);
  EXPECT_EQ(writer.policies[0].id, "data-write");
  EXPECT_EQ(writer.policies[0].to, "whoever is in Group::\"demo/data\"");
  EXPECT_TRUE(writer.policies[0].this_alone);
  EXPECT_THAT(writer.hint, ::testing::HasSubstr("take out data-write (policies/all.cedar:"));
  days(40);
  EXPECT_EQ(role("pg/orders/reader").state, State::unwanted) << "nobody has taken it since";
  EXPECT_EQ(role("pg/orders/reader", 60).state, State::partly);
  EXPECT_EQ(check_of(report(0)), "report.days");
  EXPECT_EQ(check_of(report(3651)), "report.days");
}

TEST_F(Usage, WhatWasGivenAndNotUsedIsTold) {
  days(31);
  work({});
  EXPECT_EQ(role("pg/orders/reader").state, State::unused);
  EXPECT_EQ(role("pg/orders/writer").state, State::unwanted);
}

TEST_F(Usage, OutlivesACrashFromTheMinuteOn) {
  work({{"public", "audit", true, false}});
  world.run_for(seconds(70));
  world.crash(seconds(3));
  world.run_for(seconds(5));
  const auto reader = role("pg/orders/reader");
  EXPECT_EQ(reader.grants, 1U);
  EXPECT_FALSE(reader.objects[1].unused);
  // And is counted once, whether it was written down already or not.
  work({{"public", "audit", true, false}});
  EXPECT_EQ(role("pg/orders/reader").grants, 2U);
  world.run_for(seconds(70));
  EXPECT_EQ(role("pg/orders/reader").grants, 2U);
}

TEST_F(Usage, IsWrittenDownOnceTheStoreTakesIt) {
  work({{"public", "audit", true, false}});
  world.fail_commits(1'000'000, "store.full");
  world.run_for(seconds(70));
  world.fail_commits(0, "");
  world.run_for(seconds(70));
  world.crash(seconds(3));
  world.run_for(seconds(5));
  EXPECT_EQ(role("pg/orders/reader").grants, 1U);
  EXPECT_FALSE(role("pg/orders/reader").objects[1].unused);
}

TEST_F(Usage, ATargetThatDoesNotAnswerLeavesWhatItGivesUnsaid) {
  work({{"public", "orders", true, false}});
  world.servers.at("pg/orders").hooks.fault = [](const char*, const core::GrantId&) { return Fault::refused; };
  const auto reader = role("pg/orders/reader");
  EXPECT_EQ(reader.state, State::unclear);
  EXPECT_NE(reader.unreachable, "");
  EXPECT_TRUE(reader.objects.empty());
}

}  // namespace
}  // namespace daypass::sim
