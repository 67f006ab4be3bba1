// Taking away from a user who does not want to go: sessions in every state, logins under way, locks, prepared
// transactions.
#include <gtest/gtest.h>

#include <libpq-fe.h>
#include <poll.h>

#include <atomic>
#include <csignal>
#include <set>
#include <thread>

#include "conformance/target_postgres_world.h"

namespace daypass::test {
namespace {

class PgRevoke : public ::testing::TestWithParam<AdminKind> {
 protected:
  PgWorld& world = PgWorld::of(GetParam());

  void expect_gone(const PgWorld::Made& made) {
    EXPECT_EQ(world.leftovers(made.account.name), "");
    EXPECT_EQ(world.look(made), core::Presence::absent);
  }
};
INSTANTIATE_TEST_SUITE_P(Admin, PgRevoke,
                         ::testing::Values(AdminKind::limited, AdminKind::superuser, AdminKind::confined),
                         [](const auto& p) { return to_string(p.param); });

/// Connects without waiting for the end of it.
class SlowLogin {
 public:
  explicit SlowLogin(const std::string& conninfo) : conn_(PQconnectStart(conninfo.c_str())) {}
  ~SlowLogin() { PQfinish(conn_); }
  SlowLogin(const SlowLogin&) = delete;
  SlowLogin& operator=(const SlowLogin&) = delete;
  /// Goes on until it would have to wait for `patience_ms`; true when logged in.
  bool proceed(int patience_ms) {
    while (state_ != PGRES_POLLING_OK && state_ != PGRES_POLLING_FAILED) {
      pollfd fd{PQsocket(conn_), static_cast<short>(state_ == PGRES_POLLING_READING ? POLLIN : POLLOUT), 0};
      if (poll(&fd, 1, patience_ms) == 0) break;
      state_ = PQconnectPoll(conn_);
    }
    return state_ == PGRES_POLLING_OK;
  }
  /// Logged in, and still served.
  bool works() {
    if (!proceed(10'000)) return false;
    PGresult* result = PQexec(conn_, "SELECT 1");
    const bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
    PQclear(result);
    return good;
  }
  /// Waits until the server has closed the connection.
  bool closed(int timeout_ms) {
    for (int waited = 0; waited < timeout_ms && PQstatus(conn_) != CONNECTION_BAD; waited += 10) {
      if (!proceed(10) && state_ != PGRES_POLLING_FAILED) continue;
      pollfd fd{PQsocket(conn_), POLLIN, 0};
      if (poll(&fd, 1, 10) > 0) (void)PQconsumeInput(conn_);
    }
    return PQstatus(conn_) == CONNECTION_BAD;
  }

 private:
  PGconn* conn_;
  PostgresPollingStatusType state_ = PGRES_POLLING_WRITING;
};

TEST_P(PgRevoke, EndsSessionsInEveryState) {
  const auto made = world.make();
  auto& name = made.account.name;
  std::vector<PgClient> clients;
  clients.push_back(world.client(name));  // idle
  clients.push_back(world.client(name));
  clients.back().send("SELECT pg_sleep(600)");
  clients.push_back(world.client(name));
  ASSERT_TRUE(clients.back().run("BEGIN; SELECT * FROM app.orders WHERE id = 1").ok());
  clients.push_back(world.client(name));
  clients.back().send("SELECT count(*) FROM generate_series(1, 100000000000) g");
  clients.push_back(world.client(name));
  clients.back().send("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000000)) TO STDOUT");
  clients.push_back(world.client(name));
  ASSERT_TRUE(clients.back().run("CREATE TEMP TABLE mine AS SELECT generate_series(1, 100) i").ok());
  world.await("SELECT count(*) = 3 FROM pg_stat_activity WHERE state = 'active' AND usename = '" + name + "'");
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  for (auto& client : clients) EXPECT_TRUE(client.wait_closed(5000));
}

TEST_P(PgRevoke, ASessionThatHoldsItsOwnRoleIsEndedFirst) {
  const auto made = world.make();
  auto holder = world.client(made.account.name);
  // The row that NOLOGIN must change is locked until this transaction ends, and it never will.
  ASSERT_TRUE(holder.run("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine-now-mine-now'").ok());
  auto second = world.client(made.account.name);
  second.send("ALTER ROLE CURRENT_USER SET work_mem = '1MB'");
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  EXPECT_TRUE(holder.wait_closed(5000));
}

std::vector<target::Leaving> leaving(const std::vector<PgWorld::Made>& made) {
  std::vector<target::Leaving> out;
  for (const auto& one : made) out.push_back({one.account, one.roles, one.handle});
  return out;
}

// Each that is in somebody's way stays as it was or is at least shut out; the others go, and revoke() does the rest.
TEST_P(PgRevoke, TogetherGoTheSimpleOnesOnly) {
  std::vector<PgWorld::Made> made;
  for (int i = 0; i < 8; ++i) made.push_back(world.make());
  const auto name = [&](std::size_t i) { return made[i].account.name; };
  auto owner = world.client(name(1));
  ASSERT_TRUE(owner.run("CREATE TEMP TABLE mine AS SELECT 1 AS i").ok());
  world.server->sql("COMMENT ON ROLE " + name(2) + " IS 'taken over by somebody'");
  auto holder = world.client(name(3));
  ASSERT_TRUE(holder.run("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine-now-mine-now'").ok());
  world.server->sql("DROP ROLE " + name(4));
  world.server->sql("CREATE SCHEMA owned_" + name(5) + " AUTHORIZATION " + name(5), "orders");
  const auto gone = world.target().revoke_together(leaving(made), plenty);
  const bool one_by_one = world.target().caps().at_once == 1;
  EXPECT_EQ(gone, one_by_one ? std::set<std::size_t>() : (std::set<std::size_t>{0, 6, 7}));
  for (const std::size_t i : gone) expect_gone(made[i]);
  EXPECT_EQ(world.server->value("SELECT rolcanlogin FROM pg_roles WHERE rolname = '" + name(2) + "'"), "t")
      << "it is not ours any more";
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (i == 2 || gone.contains(i)) continue;
    EXPECT_EQ(world.revoke(made[i]), "") << i;
    expect_gone(made[i]);
  }
  EXPECT_TRUE(world.revoke(made[2]).starts_with("pg.foreign_role"));
  world.server->sql("DROP ROLE " + name(2));
}

// While a login is under way that may be any of theirs, nobody is said to be gone.
TEST_P(PgRevoke, TogetherWaitsForNoLoginThatHides) {
  std::vector<PgWorld::Made> made;
  for (int i = 0; i < 4; ++i) made.push_back(world.make());
  SlowLogin hidden(world.conninfo(made[1].account.name, first_password) + " options='-c post_auth_delay=60'");
  ASSERT_FALSE(hidden.proceed(500));
  world.await(
      "SELECT count(DISTINCT pid) = 1 FROM pg_locks WHERE pid NOT IN (SELECT pid FROM pg_stat_activity"
      " WHERE coalesce(state, '') <> 'starting')");
  EXPECT_EQ(world.target().revoke_together(leaving(made), plenty), std::set<std::size_t>());
  for (const auto& one : made) {
    EXPECT_EQ(world.revoke(one), "");
    expect_gone(one);
  }
  EXPECT_TRUE(hidden.closed(5000));
}

TEST_P(PgRevoke, ALoginThatHidesIsFound) {
  const auto made = world.make();
  const auto bystander = world.make();
  // Past the LOGIN test, and for a minute not in pg_stat_activity: any client may ask for that.
  SlowLogin hidden(world.conninfo(made.account.name, first_password) + " options='-c post_auth_delay=60'");
  SlowLogin other(world.conninfo(bystander.account.name, first_password) + " options='-c post_auth_delay=2'");
  ASSERT_FALSE(hidden.proceed(500));
  ASSERT_FALSE(other.proceed(500));
  const auto hiding =
      "SELECT count(DISTINCT pid) = 2 FROM pg_locks WHERE pid NOT IN (SELECT pid FROM pg_stat_activity"
      " WHERE coalesce(state, '') <> 'starting')";
  world.await(hiding);
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  EXPECT_TRUE(hidden.closed(5000));
  EXPECT_TRUE(other.works()) << "somebody else's login was ended";
  EXPECT_EQ(world.revoke(bystander), "");
}

TEST_P(PgRevoke, ALoginStormDoesNotOutliveTheAccount) {
  std::atomic<int> logins = 0;
  for (int round = 0; round < 5; ++round) {
    const auto made = world.make();
    std::atomic<bool> stop = false;
    std::vector<std::thread> storm;
    for (int i = 0; i < 6; ++i)
      storm.emplace_back([&] {
        while (!stop) {
          auto client = PgClient::connect(world.conninfo(made.account.name, first_password));
          if (!client.ok()) continue;
          ++logins;
          (void)client->run("BEGIN; ALTER ROLE CURRENT_USER SET work_mem = '1MB'; SELECT pg_sleep(600)");
        }
      });
    const int before = logins;
    while (logins < before + 3) poll(nullptr, 0, 5);
    EXPECT_EQ(world.revoke(made), "");
    expect_gone(made);
    stop = true;
    for (auto& thread : storm) thread.join();
    expect_gone(made);
  }
  EXPECT_GE(logins, 15);
}

TEST_P(PgRevoke, ASessionOfADroppedRoleIsEnded) {
  const auto made = world.make();
  auto session = world.client(made.account.name);
  world.server->sql("DROP ROLE " + made.account.name);
  EXPECT_EQ(world.look(made), core::Presence::present);
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_TRUE(session.wait_closed(5000));
  expect_gone(made);
}

TEST_P(PgRevoke, AStrangersAdvisoryLockIsNoObstacle) {
  const auto made = world.make();
  auto session = world.client(made.account.name);
  // The keys are no secret: whoever polls pg_locks while a grant is extended sees them.
  auto observer =
      PgClient::connect(world.server->conninfo(PgServer::superuser(), world.server->superuser_password(), "orders"));
  ASSERT_TRUE(observer.ok());
  std::atomic<bool> stop = false;
  std::thread extending([&] {
    while (!stop) (void)world.target().provision(world.wanted(made.account), plenty);
  });
  PgRows keys;
  while (keys.empty())
    keys = observer->run("SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory'").value();
  stop = true;
  extending.join();
  const auto as_int = [](const std::string& text) {
    return std::to_string(static_cast<std::int32_t>(std::stoll(text)));
  };
  ASSERT_TRUE(session.run("SELECT pg_advisory_lock(" + as_int(keys[0][0]) + ", " + as_int(keys[0][1]) + ")").ok());
  EXPECT_TRUE(world.target().provision(world.wanted(made.account), plenty).ok());
  auto accomplice_role = world.make();
  auto accomplice = world.client(accomplice_role.account.name);
  (void)session.run("SELECT pg_advisory_unlock_all()");
  ASSERT_TRUE(accomplice.run("SELECT pg_advisory_lock(" + as_int(keys[0][0]) + ", " + as_int(keys[0][1]) + ")").ok());
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  EXPECT_EQ(world.revoke(accomplice_role), "");
}

TEST_P(PgRevoke, OnlyMarkedRolesAreTouched) {
  auto& server = *world.server;
  const auto made = world.make();
  const auto absent = world.new_account();
  // A role with the very name, a comment that was copied, one that is nearly right, and one of a sister installation.
  server.sql("CREATE ROLE " + absent.name + " LOGIN PASSWORD 'not-ours-not-ours'");
  const auto mark = "daypass " + world.instance() + " " + made.account.grant.str();
  server.sql("CREATE ROLE analyst LOGIN; COMMENT ON ROLE analyst IS '" + mark + "'");
  server.sql("CREATE ROLE dp_" + world.instance() + "_lookalike LOGIN; COMMENT ON ROLE dp_" + world.instance() +
             "_lookalike IS '" + mark + "'");
  const std::string state =
      "SELECT string_agg(concat(rolname, rolcanlogin, rolvaliduntil, rolconnlimit), ',' ORDER BY rolname)"
      " FROM pg_roles WHERE rolname IN ('analyst', '" +
      absent.name + "', 'dp_" + world.instance() + "_lookalike')";
  const std::string before = server.value(state);
  for (const char* comment : {"", "daypass", "daypass cnf001 default/gr_", "daypass other1 default/x"}) {
    server.sql("COMMENT ON ROLE " + absent.name + " IS '" + comment + "'");
    const PgWorld::Made fake{absent, world.roles(), ""};
    EXPECT_TRUE(world.revoke(fake).starts_with("pg.foreign_role")) << world.revoke(fake);
    const auto provisioned = world.target().provision(world.wanted(absent), plenty);
    ASSERT_FALSE(provisioned.ok());
    EXPECT_EQ(provisioned.error().check, "pg.foreign_role");
    EXPECT_EQ(provisioned.error().code, base::Code::conflict);
    EXPECT_EQ(world.look(fake), core::Presence::present) << "it can't be said to be absent";
  }
  const auto owned = world.target().list_owned(plenty);
  ASSERT_TRUE(owned.ok());
  for (const auto& one : *owned) {
    EXPECT_NE(one.name, "analyst");
    EXPECT_NE(one.name, absent.name);
    if (one.name.ends_with("_lookalike")) {
      EXPECT_EQ(one.grant, "") << "a copied mark names no grant here";
    }
  }
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(server.value(state), before);
  server.sql("DROP ROLE analyst; DROP ROLE " + absent.name + "; DROP ROLE dp_" + world.instance() + "_lookalike");
}

TEST_P(PgRevoke, WhatHasBegunToEndIsNotBroughtBack) {
  const auto made = world.make();
  world.server->sql("ALTER ROLE " + made.account.name + " NOLOGIN");
  const auto again = world.target().provision(world.wanted(made.account), plenty);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().check, "pg.account_ending");
  EXPECT_EQ(world.server->value("SELECT rolcanlogin FROM pg_roles WHERE rolname = '" + made.account.name + "'"), "f");
  EXPECT_EQ(world.revoke(made), "");
}

TEST_P(PgRevoke, AFrozenBackendIsNoSuccess) {
  const auto made = world.make();
  auto session = world.client(made.account.name);
  PgServer::signal(session.backend_pid(), SIGSTOP);
  const auto done = world.target().revoke(made.account, made.roles, made.handle, std::chrono::seconds(1));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().check, "pg.backend_alive");
  EXPECT_EQ(world.look(made), core::Presence::present);
  EXPECT_EQ(world.login(made.account.name, first_password), nullptr) << "new logins are refused all the same";
  PgServer::signal(session.backend_pid(), SIGCONT);
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
}

TEST_P(PgRevoke, ManyAtOnce) {
  std::vector<PgWorld::Made> made(24);
  const auto parallel = [&](auto work) {
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 8; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t i = t; i < made.size(); i += 8) work(made[i]);
      });
    for (auto& thread : threads) thread.join();
  };
  parallel([&](auto& one) { one = world.make(); });
  parallel([&](auto& one) { EXPECT_EQ(world.revoke(one), ""); });
  for (const auto& one : made) expect_gone(one);
}

TEST_P(PgRevoke, ProvisionAndRevokeOfOneAccountNeverEndWithAccess) {
  for (int round = 0; round < 20; ++round) {
    const auto account = world.new_account();
    std::thread giving([&] { (void)world.target().provision(world.wanted(account), plenty); });
    const auto done = world.target().revoke(account, world.roles(), "", plenty);
    giving.join();
    EXPECT_TRUE(done.ok()) << done.error().message;
    // Whichever came first, one more revocation is the end of it.
    EXPECT_TRUE(world.target().revoke(account, world.roles(), "", plenty).ok());
    EXPECT_EQ(world.leftovers(account.name), "");
  }
}

// ---- prepared transactions ----

class PgPrepared : public ::testing::TestWithParam<AdminKind> {
 protected:
  void SetUp() override {
    if (GetParam() == AdminKind::superuser) {
      world_ = &PgWorld::superuser();
      return;
    }
    if (!PgWorld::of(GetParam()).at_least(16))
      GTEST_SKIP() << "15 and older: refused with an admin login that is no superuser";
    const auto with_prepared = [](AdminKind kind) {
      PgWorld::Options options;
      options.admin = kind;
      options.max_prepared_transactions = 20;
      return options;
    };
    if (GetParam() == AdminKind::confined) {
      static PgWorld confined{with_prepared(AdminKind::confined)};
      world_ = &confined;
    } else {
      static PgWorld limited{with_prepared(AdminKind::limited)};
      world_ = &limited;
    }
  }
  void expect_gone(const PgWorld::Made& made) {
    EXPECT_EQ(world_->leftovers(made.account.name), "");
    EXPECT_EQ(world_->look(made), core::Presence::absent);
    EXPECT_EQ(world_->server->value("SELECT count(*) FROM pg_prepared_xacts"), "0");
  }
  PgWorld* world_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Admin, PgPrepared,
                         ::testing::Values(AdminKind::limited, AdminKind::superuser, AdminKind::confined),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(PgPrepared, AreRolledBack) {
  const auto made = world_->make({PgWorld::role("writer", "writers")});
  auto session = world_->client(made.account.name);
  ASSERT_TRUE(
      session.run("BEGIN; UPDATE app.orders SET item = 'stolen' WHERE id = 7; PREPARE TRANSACTION 'it''s \"mine\"'")
          .ok());
  ASSERT_TRUE(session.run("BEGIN; DELETE FROM app.orders WHERE id = 8; PREPARE TRANSACTION 'another'").ok());
  EXPECT_EQ(world_->look(made), core::Presence::present);
  EXPECT_EQ(world_->revoke(made), "");
  expect_gone(made);
  EXPECT_EQ(world_->server->value("SELECT count(*) FROM pg_prepared_xacts"), "0");
  EXPECT_EQ(world_->server->value("SELECT item FROM app.orders WHERE id = 7", "orders"), "item 7");
}

TEST_P(PgPrepared, InAnotherDatabaseAreRolledBackThere) {
  const auto made = world_->make();
  world_->server->sql("GRANT CONNECT ON DATABASE billing TO readers");  // after the check has let it pass
  {
    auto session = world_->client(made.account.name, first_password, "billing");
    ASSERT_TRUE(session.run("BEGIN; SELECT lo_create(0); PREPARE TRANSACTION 'far away'").ok());
  }
  world_->server->sql("REVOKE CONNECT ON DATABASE billing FROM readers");
  EXPECT_EQ(world_->revoke(made), "");
  expect_gone(made);
  EXPECT_EQ(world_->server->value("SELECT count(*) FROM pg_prepared_xacts"), "0");
}

TEST_P(PgPrepared, ThatLockTheRoleAreRolledBackFirst) {
  const auto made = world_->make();
  {
    auto session = world_->client(made.account.name);
    ASSERT_TRUE(
        session.run("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine-now-mine-now'; PREPARE TRANSACTION 'lock'").ok());
  }
  EXPECT_EQ(world_->revoke(made), "");
  expect_gone(made);
}

TEST_P(PgPrepared, AsTheGroupThatLockTheRoleAreRolledBackToo) {
  if (world_->at_least(16)) GTEST_SKIP() << "16 has no way to become the group: SET FALSE";
  const auto made = world_->make();
  {
    auto session = world_->client(made.account.name);
    ASSERT_TRUE(session
                    .run("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine-now-mine-now'; SET ROLE readers;"
                         "PREPARE TRANSACTION 'lock as the group'")
                    .ok());
  }
  EXPECT_EQ(world_->server->value("SELECT owner FROM pg_prepared_xacts"), "readers");
  EXPECT_EQ(world_->revoke(made), "");
  expect_gone(made);
  EXPECT_EQ(world_->server->value("SELECT count(*) FROM pg_prepared_xacts"), "0");
}

}  // namespace
}  // namespace daypass::test
