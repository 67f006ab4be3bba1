// Unknown outcomes: whatever an answer was lost to, the account's state is known before anybody says anything about it.
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <thread>

#include "conformance/target_postgres_world.h"
#include "support/tcp_cutter.h"

namespace daypass::test {
namespace {

using Hurt = TcpCutter::Hurt;

class PgFence : public ::testing::TestWithParam<AdminKind> {
 protected:
  PgWorld& world = PgWorld::of(GetParam());
  PgServer& server = *world.server;
  TcpCutter cutter{world.server->port()};
  std::shared_ptr<target::Target> target = world.new_target(cutter.port());

  /// What stands in the message that changes something, by the way it is done.
  std::string words(const char* own, const char* through_functions) const {
    return GetParam() == AdminKind::confined ? through_functions : own;
  }
  std::string create = words("CREATE ROLE \"dp_", ".provision(");

  bool exists(const std::string& account) {
    return server.value("SELECT count(*) FROM pg_roles WHERE rolname = '" + account + "'") != "0";
  }
  core::Presence look(const target::Account& account, const std::string& handle = {}) {
    const auto seen = target->verify(account, handle, plenty);
    return seen.ok() ? *seen : core::Presence::unknown;
  }
};
INSTANTIATE_TEST_SUITE_P(Admin, PgFence,
                         ::testing::Values(AdminKind::limited, AdminKind::superuser, AdminKind::confined),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(PgFence, AProvisionWhoseMessageIsLostAtAnyPointEndsWell) {
  // The connection has been used, so a loss counts as one that the server may have closed while idle: done again.
  const auto warm = world.new_account();
  const auto first = target->provision(world.wanted(warm), plenty);
  ASSERT_TRUE(first.ok()) << first.error().message;
  for (const Hurt how : {Hurt::lose_request, Hurt::lose_answer}) {
    for (const bool extends : {false, true}) {
      const std::string at = extends ? words("ALTER ROLE \"dp_", ".provision(") : create;
      const auto account = world.new_account();
      if (extends) {
        ASSERT_TRUE(target->provision(world.wanted(account), plenty).ok());
      }
      cutter.arm(how, at);
      const auto made = target->provision(world.wanted(account), plenty);
      EXPECT_TRUE(cutter.fired());
      ASSERT_TRUE(made.ok()) << at << ": " << made.error().check << ": " << made.error().message;
      EXPECT_NE(world.login(account.name, first_password), nullptr);
      ASSERT_TRUE(target->revoke(account, world.roles(), *made, plenty).ok());
      EXPECT_EQ(world.leftovers(account.name), "");
    }
  }
  ASSERT_TRUE(target->revoke(warm, world.roles(), *first, plenty).ok());
}

TEST_P(PgFence, ARevokeWhoseMessageIsLostAtAnyPointEndsWell) {
  const auto warm = world.new_account();
  ASSERT_TRUE(target->provision(world.wanted(warm), plenty).ok());
  for (const Hurt how : {Hurt::lose_request, Hurt::lose_answer})
    for (const auto& at : {words("NOLOGIN", ".shut("), words("dp_kill", ".end_sessions("),
                           words("DROP OWNED", ".clear("), words("DROP ROLE \"dp_", ".remove(")}) {
      const auto account = world.new_account();
      const auto made = target->provision(world.wanted(account), plenty);
      ASSERT_TRUE(made.ok()) << made.error().message;
      auto session = world.client(account.name);
      ASSERT_EQ(session.state_of("SELECT lo_create(0)"), "");
      cutter.arm(how, at);
      auto done = target->revoke(account, world.roles(), *made, plenty);
      EXPECT_TRUE(cutter.fired()) << at;
      if (!done.ok()) {
        EXPECT_EQ(done.error().code, base::Code::timeout) << done.error().message;
        done = target->revoke(account, world.roles(), *made, plenty);
      }
      EXPECT_TRUE(done.ok()) << at << ": " << done.error().message;
      EXPECT_EQ(look(account, *made), core::Presence::absent);
      EXPECT_EQ(world.leftovers(account.name), "");
    }
  ASSERT_TRUE(target->revoke(warm, world.roles(), "", plenty).ok());
}

TEST_P(PgFence, ACreateThatArrivesLateFindsItsProcessGone) {
  const auto account = world.new_account();
  ASSERT_TRUE(target->list_owned(plenty).ok());
  ASSERT_TRUE(target->check(world.roles(), plenty).ok());
  cutter.arm(Hurt::hold_request, create);
  const auto made = target->provision(world.wanted(account), std::chrono::seconds(2));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, base::Code::timeout);
  EXPECT_TRUE(cutter.fired());
  ASSERT_TRUE(target->revoke(account, world.roles(), "", plenty).ok());
  EXPECT_EQ(look(account), core::Presence::absent);
  // The statement reaches the server now, after "absent" was said.
  cutter.release();
  while (!cutter.settled()) poll(nullptr, 0, 1);
  world.await(
      "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE '%:provision' AND state <> 'idle'");
  EXPECT_FALSE(exists(account.name));
}

TEST_P(PgFence, AnAnswerThatNeverComesIsATimeoutAndTheAccountIsFenced) {
  const auto account = world.new_account();
  cutter.arm(Hurt::hold_answer, create);
  const auto from = std::chrono::steady_clock::now();
  const auto made = target->provision(world.wanted(account), std::chrono::seconds(2));
  EXPECT_LT(std::chrono::steady_clock::now() - from, std::chrono::seconds(3));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, base::Code::timeout);
  // Asked again, it meets its own work.
  const auto again = target->provision(world.wanted(account), plenty);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_NE(world.login(account.name, first_password), nullptr);
  ASSERT_TRUE(target->revoke(account, world.roles(), *again, plenty).ok());
}

TEST_P(PgFence, AFenceThatCannotBeClosedKeepsTheAccountUnknown) {
  const auto account = world.new_account();
  ASSERT_TRUE(target->list_owned(plenty).ok());
  cutter.arm(Hurt::hold_request, create);
  // The server process that waits for the CREATE can't be ended: it is stopped.
  std::thread freezer([&] {
    while (!cutter.fired()) poll(nullptr, 0, 1);
    for (const auto& row :
         server.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'dp_admin' AND application_name LIKE"
                    " '%:provision'"))
      PgServer::signal(std::stoi(row.front()), SIGSTOP);
  });
  const auto made = target->provision(world.wanted(account), std::chrono::seconds(2));
  freezer.join();
  ASSERT_FALSE(made.ok());
  const auto seen = target->verify(account, "", std::chrono::milliseconds(500));
  EXPECT_TRUE(!seen.ok() || *seen == core::Presence::unknown) << "absent was said while a CREATE was on its way";
  EXPECT_FALSE(target->revoke(account, world.roles(), "", std::chrono::milliseconds(500)).ok());
  for (const auto& row :
       server.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'dp_admin' AND application_name LIKE"
                  " '%:provision'"))
    PgServer::signal(std::stoi(row.front()), SIGCONT);
  EXPECT_TRUE(target->revoke(account, world.roles(), "", plenty).ok());
  EXPECT_EQ(look(account), core::Presence::absent);
  cutter.release();
  while (!cutter.settled()) poll(nullptr, 0, 1);
  world.await(
      "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE '%:provision' AND state <> 'idle'");
  EXPECT_FALSE(exists(account.name));
}

TEST_P(PgFence, WhatADeadProcessLeftRunningIsEndedFirst) {
  const auto account = world.new_account();
  // An earlier process of this instance: its connection still works on a statement.
  auto old = PgClient::connect(server.conninfo("dp_admin", "the-admin-login-of-the-tests", "orders") +
                               " application_name='daypass:cnf001:oldnonce:provision'");
  auto stranger = PgClient::connect(server.conninfo("dp_admin", "the-admin-login-of-the-tests", "orders") +
                                    " application_name='daypass:other1:oldnonce:provision'");
  ASSERT_TRUE(old.ok() && stranger.ok());
  old->send("SELECT pg_sleep(600); CREATE ROLE " + account.name);
  world.await("SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%" + account.name +
              "%' AND pid <> pg_backend_pid()");
  EXPECT_EQ(look(account), core::Presence::absent);
  EXPECT_EQ(
      server.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'daypass:cnf001:oldnonce:%'"),
      "0");
  EXPECT_TRUE(old->wait_closed(5000));
  EXPECT_EQ(stranger->state_of("SELECT 1"), "") << "another instance's connection was ended";
}

TEST_P(PgFence, AServerThatRestartsIsNoMystery) {
  const auto account = world.new_account();
  const auto made = target->provision(world.wanted(account), plenty);
  ASSERT_TRUE(made.ok());
  world.stop();
  EXPECT_FALSE(target->provision(world.wanted(account), std::chrono::seconds(1)).ok());
  const auto seen = target->verify(account, *made, std::chrono::seconds(1));
  EXPECT_TRUE(!seen.ok() || *seen == core::Presence::unknown);
  world.start();
  EXPECT_TRUE(target->provision(world.wanted(account), plenty).ok());
  EXPECT_TRUE(target->revoke(account, world.roles(), *made, plenty).ok());
  EXPECT_EQ(look(account), core::Presence::absent);
}

}  // namespace
}  // namespace daypass::test
