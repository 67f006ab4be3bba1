// A store that is short of room, in a world where only that breaks: nothing is given, everything still ends.
#include <gmock/gmock.h>

#include <string>

#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using std::chrono::seconds;

const core::TenantId tenant("default");

class Room : public Steady {
 protected:
  Room() : Steady(23) {}

  void SetUp() override {
    start_applied();
    for (const std::size_t n : {0U, 1U}) work(n);
    ASSERT_EQ(world.gate.connections().size(), 2U);
  }
  std::string extend(std::size_t n) {
    store::Selector mine;
    mine.session = story.people[n].session->id;
    const auto grants = ask<std::vector<core::Grant>>([&](auto done) { engine().list_grants(mine, std::move(done)); });
    if (!grants.ok() || grants->empty()) return "none";
    return check_of(ask<core::Grant>([&](auto done) {
      engine().extend_grant(*story.people[n].session, grants->front().id, std::chrono::minutes(50), "10.0.0.7",
                            std::move(done));
    }));
  }
  std::string sign_in() {
    return check_of(ask<engine::DeviceStarted>([&](auto done) { engine().start_device(tenant, std::move(done)); }));
  }
  std::string logout(std::size_t n) {
    world.oracle.wants_logout(story.people[n].session->id);
    return check_of(ask<engine::LoggedOut>([&](auto done) {
      engine().logout(tenant, story.people[n].session->id, core::EndReason::logout, "them", std::move(done));
    }));
  }
};

TEST_F(Room, ShortOfItNothingIsGivenAndEverythingEnds) {
  EXPECT_EQ(credential(0), "ok");
  world.store.room.low = true;
  world.store.room.why = "nearly full";
  EXPECT_FALSE(engine().health().ready);
  EXPECT_THAT(engine().health().why, testing::HasSubstr("nearly full"));
  EXPECT_EQ(credential(0), "access.no_room");
  EXPECT_EQ(extend(0), "access.no_room");
  EXPECT_EQ(sign_in(), "access.no_room");
  EXPECT_EQ(check_of(ask<engine::TenantInfo>(
                [&](auto done) { engine().create_tenant(core::TenantId("other"), "", "operator", std::move(done)); })),
            "access.no_room");
  EXPECT_EQ(check_of(ask<engine::SecretInfo>([&](auto done) {
              engine().set_secret(tenant, "name", base::Secret("value"), "operator", std::move(done));
            })),
            "access.no_room");
  // What is given already goes on, and ends as ever.
  story.connect(0);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.refusals["access.no_room"], 0U);
  EXPECT_EQ(logout(0), "ok");
  world.run_for(seconds(5));
  EXPECT_EQ(world.gate.connections().size(), 1U);
  story.connect(1);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.connections().size(), 2U) << "joins the grant that is there";
  // A new grant is not given, and the refusal is not written down.
  std::vector<core::GrantId> theirs;
  for (const auto& [id, grant] : world.store.grants())
    if (grant.session == story.people[1].session->id && grant.state == core::GrantState::active) theirs.push_back(id);
  for (const auto& one : theirs) {
    world.oracle.wants_end(one);
    EXPECT_EQ(check_of(ask<core::Grant>([&](auto done) {
                engine().end_grant(one, {}, core::EndReason::admin, "operator", std::move(done));
              })),
              "ok");
  }
  world.run_for(seconds(5));
  EXPECT_TRUE(world.gate.connections().empty());
  story.connect(1);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.refusals["access.no_room"], 1U);
  for (const auto& [id, grant] : world.store.grants()) EXPECT_EQ(grant.state, core::GrantState::closed);
  world.store.room = {};
  story.connect(1);
  world.run_for(seconds(3));
  EXPECT_EQ(world.gate.connections().size(), 1U);
  EXPECT_TRUE(engine().health().ready);
}

TEST_F(Room, OutOfTheReserveNobodyEvenJoins) {
  world.store.room.low = world.store.room.reserve_used = true;
  story.connect(1);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.refusals["access.no_room"], 1U);
  EXPECT_EQ(world.gate.connections().size(), 2U) << "who is there stays";
  EXPECT_EQ(logout(0), "ok");
  EXPECT_EQ(logout(1), "ok");
  world.run_for(seconds(5));
  EXPECT_TRUE(world.gate.connections().empty());
}

TEST_F(Room, ALostStoreGivesNothingAndStillCuts) {
  world.store.room.lost = true;
  world.store.room.why = "its file was cut short";
  world.fail_commits(1'000'000, "store.lost");
  EXPECT_FALSE(engine().health().ready);
  EXPECT_THAT(engine().health().why, testing::HasSubstr("its file was cut short"));
  EXPECT_EQ(credential(0), "store.lost");
  story.connect(1);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.refusals["store.lost"], 1U);
  EXPECT_EQ(logout(0), "store.lost") << "not written down, and said so";
  EXPECT_EQ(world.gate.connections().size(), 1U);
  world.fail_commits(0, "");
  world.store.room = {};
  world.run_for(seconds(5));
}

class Out : public Room {
 protected:
  core::Grant of(std::size_t n) {
    for (const auto& [id, grant] : world.store.grants())
      if (grant.session == story.people[n].session->id) return grant;
    return {};
  }
  bool on_target(std::size_t n) { return world.servers.at("pg/orders").find(of(n).account) != nullptr; }
};
class Unbegun : public Out, public ::testing::WithParamInterface<bool> {};

// A disk that is full refuses the transaction itself, before anything of it ran; what is read then may fail as well.
TEST_P(Unbegun, WhatEndsIsCutAndTheTargetToldAndWrittenDownLater) {
  world.fail_begins(1'000'000, "store.full", GetParam());
  world.oracle.wants_end(of(0).id);
  EXPECT_EQ(check_of(ask<core::Grant>([&](auto done) {
              engine().end_grant(of(0).id, {}, core::EndReason::admin, "operator", std::move(done));
            })),
            "store.full")
      << "not written down, and said so";
  EXPECT_EQ(world.gate.connections().size(), 1U);
  EXPECT_EQ(logout(1), "store.full");
  EXPECT_TRUE(world.gate.connections().empty());
  EXPECT_FALSE(engine().authenticate(tenant, story.people[1].token).ok());
  for (const std::size_t n : {0U, 1U}) {
    EXPECT_EQ(of(n).state, core::GrantState::active) << "nothing is kept";
    EXPECT_FALSE(on_target(n)) << "the account is gone all the same";
    story.connect(n);
  }
  EXPECT_EQ(credential(0), "store.full") << "nothing new is given";
  EXPECT_TRUE(world.gate.connections().empty());
  EXPECT_FALSE(engine().health().ready);
  world.fail_begins(0, "", false);
  world.run_for(seconds(5));
  for (const std::size_t n : {0U, 1U}) EXPECT_EQ(of(n).state, core::GrantState::closed);
  EXPECT_EQ(of(0).end_note, "operator");
  EXPECT_TRUE(engine().health().ready);
}

class Broken : public Out {
 protected:
  /// Both come in one batch: the first breaks it, the second ends the second one's grant.
  std::string end_behind(const std::function<void()>& first) {
    world.oracle.wants_end(of(1).id);
    first();
    auto answer = std::make_shared<std::string>("none");
    engine().end_grant(of(1).id, {}, core::EndReason::admin, "operator",
                       [answer](const Result<core::Grant>& r) { *answer = check_of(r); });
    world.run_for(seconds(1));
    return *answer;
  }
  void are_out_and_written_down_later(const std::vector<std::size_t>& who) {
    EXPECT_EQ(world.gate.connections().size(), 2U - who.size()) << "who ends is cut";
    for (const std::size_t n : who) EXPECT_FALSE(on_target(n)) << "and the account is gone";
    world.fail_commits(0, "");
    world.store.saves_left.reset();
    world.run_for(seconds(5));
    for (const std::size_t n : who) EXPECT_EQ(of(n).state, core::GrantState::closed);
    for (const std::size_t n : who) EXPECT_EQ(of(n).end_note, "operator");
  }
};

TEST_F(Broken, WhatEndsBehindAReloadThatIsNotKeptIsCut) {
  world.fail_commits(1'000'000, "store.io");
  EXPECT_EQ(end_behind([&] {
              engine().change_tenant(tenant, {"another name", {}}, "operator",
                                     [](const Result<engine::TenantInfo>& r) { EXPECT_FALSE(r.ok()); });
            }),
            "store.io");
  are_out_and_written_down_later({1});
}

TEST_F(Broken, WhatEndsBehindTheChangeThatBrokeTheStoreIsCut) {
  world.store.saves_left = 0;
  world.oracle.wants_end(of(0).id);
  EXPECT_EQ(end_behind([&] {
              engine().end_grant(of(0).id, {}, core::EndReason::admin, "operator",
                                 [](const Result<core::Grant>& r) { EXPECT_FALSE(r.ok()); });
            }),
            "store.full");
  are_out_and_written_down_later({0, 1});
}

TEST_F(Broken, WhoWaitsForAnAccountThatCanNotBeWrittenDownIsTold) {
  story.sign_in(2);
  world.run_for(seconds(5));
  story.get_credential(2, "pg/orders", {});
  world.run_for(Millis(200));
  world.servers.at("pg/orders").hooks.fault = [&](const char* call, const core::GrantId&) {
    if (std::string_view(call) == "provision") world.fail_commits(1'000'000, "store.io");
    return Fault::none;
  };
  const auto refused = world.gate.refused;
  story.connect(2);
  world.run_for(seconds(3));
  EXPECT_EQ(world.gate.refused, refused + 1) << "and not kept waiting";
  EXPECT_EQ(world.gate.connections().size(), 2U);
  world.servers.at("pg/orders").hooks.fault = [](const char*, const core::GrantId&) { return Fault::none; };
  world.fail_commits(0, "");
  world.run_for(seconds(5));
  story.connect(2);
  world.run_for(seconds(3));
  EXPECT_EQ(world.gate.connections().size(), 3U);
}

TEST_P(Unbegun, NobodysAccessEndsBecauseItsRecordCanNotBeRead) {
  world.fail_begins(1'000'000, "store.io", GetParam());
  // Both grants are decided on again, from records that nobody sees now.
  story.apply(5);
  world.run_for(seconds(2));
  EXPECT_EQ(world.gate.connections().size(), 2U);
  world.fail_begins(0, "", false);
  world.run_for(seconds(5));
  EXPECT_EQ(world.gate.connections().size(), 2U);
  for (const auto& [id, grant] : world.store.grants()) EXPECT_EQ(grant.state, core::GrantState::active);
}

TEST_P(Unbegun, AFreezeTellsTheTargetsThoughSomeGrantsLieInTheStoreAlone) {
  while (!world.gate.connections().empty()) {
    story.hang_up();
    world.run_for(seconds(1));
  }
  // Only one of them is heard of after the restart.
  world.crash(seconds(1));
  world.run_for(seconds(3));
  story.connect(0);
  world.run_for(seconds(2));
  ASSERT_EQ(world.gate.connections().size(), 1U);
  ASSERT_TRUE(on_target(0));
  world.fail_begins(1'000'000, "store.io", GetParam());
  world.oracle.freezing();
  EXPECT_EQ(
      check_of(ask<engine::Frozen>([&](auto done) { engine().freeze(tenant, "drill", "operator", std::move(done)); })),
      "freeze.unrecorded");
  EXPECT_TRUE(world.gate.connections().empty());
  EXPECT_FALSE(on_target(0));
  world.fail_begins(0, "", false);
  world.run_for(seconds(5));
  for (const std::size_t n : {0U, 1U}) EXPECT_EQ(of(n).state, core::GrantState::closed);
}

INSTANTIATE_TEST_SUITE_P(Reads, Unbegun, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "FailToo" : "Work"; });

}  // namespace
}  // namespace daypass::sim
