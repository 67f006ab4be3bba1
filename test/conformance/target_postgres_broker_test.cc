// The installation of a confined login: what is wrong with it is found, named and mended; it can be made again and
// taken away; it refuses to confine what it can't.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "conformance/target_postgres_world.h"

namespace daypass::test {
namespace {

using Grade = target::Finding::Grade;
using Findings = std::vector<target::Finding>;
namespace pg = target::postgres;

class PgBroker : public ::testing::Test {
 protected:
  static std::vector<core::RoleSpec> roles() {
    return {PgWorld::role("reader", "readers"), PgWorld::role("maker", "makers", "made")};
  }
  Findings check(PgWorld& in) {
    auto found = in.new_target()->check(roles(), plenty);
    EXPECT_TRUE(found.ok()) << found.error().message;
    return found.ok() ? std::move(found).value() : Findings{};
  }
  static std::string failures(const Findings& findings) {
    std::string out;
    for (const auto& f : findings)
      if (f.grade == Grade::fail) out += f.check + " (" + f.subject + ": " + f.message + ") ";
    return out;
  }
  static bool has(const Findings& findings, const std::string& name) {
    return std::ranges::any_of(findings, [&](const auto& f) { return f.check == name && f.grade == Grade::fail; });
  }
  std::string provision_check(PgWorld& in) {
    const auto account = in.new_account();
    auto wanted = in.wanted(account);
    wanted.roles = {roles().back()};
    const auto fresh = in.new_target();
    const auto made = fresh->provision(wanted, plenty);
    if (!made.ok()) return made.error().check;
    EXPECT_TRUE(fresh->revoke(account, wanted.roles, *made, plenty).ok());
    return "";
  }
  std::string refused(const std::string& sql, const std::string& database = "orders") {
    const auto done = server.try_sql(sql, database);
    return done.ok() ? "" : done.error().check;
  }

  PgWorld& world = PgWorld::confined();
  PgServer& server = *world.server;
};

struct Damage {
  const char* check;
  const char* by;
  const char* undo = "";  ///< what the installer does not do: taking power from a login that somebody gave some
  int from = 130000;
};

TEST_F(PgBroker, WhatIsWrongWithAnInstallationIsFoundRefusesAndIsMended) {
  const std::vector<Damage> cases{
      {"pg.broker.installed", "DROP SCHEMA daypass_cnf001 CASCADE"},
      {"pg.broker.installed", "REVOKE USAGE ON SCHEMA daypass_cnf001 FROM dp_admin"},
      {"pg.broker.installed", "GRANT CREATE ON SCHEMA daypass_cnf001 TO dp_admin"},
      {"pg.broker.functions", "DROP FUNCTION daypass_cnf001.lend(text, text)"},
      {"pg.broker.functions",
       "CREATE OR REPLACE FUNCTION daypass_cnf001.groups_fit(p_groups text[]) RETURNS void LANGUAGE plpgsql AS 'BEGIN "
       "END'"},
      {"pg.broker.functions", "ALTER FUNCTION daypass_cnf001.shut(text, text) RESET search_path"},
      {"pg.broker.functions", "ALTER FUNCTION daypass_cnf001.shut(text, text) SECURITY INVOKER"},
      {"pg.broker.functions", "ALTER FUNCTION daypass_cnf001.shut(text, text) OWNER TO postgres"},
      {"pg.broker.functions", "CREATE FUNCTION daypass_cnf001.more() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
      {"pg.broker.execute", "GRANT EXECUTE ON FUNCTION daypass_cnf001.shut(text, text) TO PUBLIC"},
      {"pg.broker.execute",
       "GRANT EXECUTE ON FUNCTION daypass_cnf001.provision(text, text, text, timestamptz, int, text[])"
       " TO writers"},
      {"pg.broker.execute", "REVOKE EXECUTE ON FUNCTION daypass_cnf001.shut(text, text) FROM dp_admin"},
      {"pg.broker.version", "UPDATE daypass_cnf001.settings SET version = 0"},
      {"pg.broker.version", "DELETE FROM daypass_cnf001.settings"},
      {"pg.broker.group", "DELETE FROM daypass_cnf001.groups WHERE name = 'makers'"},
      {"pg.broker.heir", "DELETE FROM daypass_cnf001.heirs"},
      {"pg.heir.admin", "REVOKE made FROM daypass_cnf001_clearer"},
      {"pg.broker.group_admin", "REVOKE makers FROM daypass_cnf001_keeper", "", 160000},
      {"pg.broker.roles", "ALTER ROLE daypass_cnf001_keeper NOCREATEROLE"},
      {"pg.broker.roles", "ALTER ROLE daypass_cnf001_keeper LOGIN"},
      {"pg.broker.roles", "ALTER ROLE daypass_cnf001_clearer CREATEDB"},
      {"pg.broker.roles", "REVOKE pg_signal_backend FROM daypass_cnf001_keeper"},
      {"pg.broker.roles", "CREATE ROLE outsider; GRANT daypass_cnf001_keeper TO outsider"},
      {"pg.broker.login", "ALTER ROLE dp_admin CREATEROLE", "ALTER ROLE dp_admin NOCREATEROLE"},
      {"pg.broker.login", "ALTER ROLE dp_admin BYPASSRLS", "ALTER ROLE dp_admin NOBYPASSRLS"},
      {"pg.broker.login", "GRANT pg_read_all_data TO dp_admin", "REVOKE pg_read_all_data FROM dp_admin", 140000},
      {"pg.broker.login", "GRANT readers TO dp_admin", "REVOKE readers FROM dp_admin"},
      {"pg.broker.login", "ALTER ROLE dp_admin INHERIT"},
  };
  ASSERT_EQ(failures(check(world)), "");
  for (const auto& one : cases) {
    if (server.version() < one.from) continue;
    SCOPED_TRACE(std::string(one.check) + " by " + one.by);
    server.sql(one.by, "orders");
    const auto findings = check(world);
    EXPECT_TRUE(has(findings, one.check)) << failures(findings);
    for (const auto& f : findings)
      if (f.check == one.check) {
        EXPECT_FALSE(f.fix.empty());
      }
    EXPECT_NE(provision_check(world), "");
    if (*one.undo != '\0') server.sql(one.undo, "orders");
    world.install();
    EXPECT_EQ(failures(check(world)), "");
    EXPECT_EQ(provision_check(world), "");
  }
  server.sql("DROP ROLE outsider");
}

TEST_F(PgBroker, TheFixIsTheCommandThatWritesTheScript) {
  server.sql("DROP SCHEMA daypass_cnf001 CASCADE", "orders");
  const auto findings = check(world);
  const auto found = std::ranges::find(findings, "pg.broker.installed", &target::Finding::check);
  ASSERT_NE(found, findings.end());
  EXPECT_EQ(found->fix,
            "daypass target installer --instance cnf001 --login 'dp_admin' --home 'orders' --group 'makers' --group"
            " 'readers' --heir 'made' > install.sql, and as a superuser: psql -X -f install.sql");
  world.install();
  EXPECT_EQ(failures(check(world)), "");
}

TEST_F(PgBroker, InstallingAgainIsAnUpgradeUnderLiveAccounts) {
  const auto made = world.make();
  auto session = world.client(made.account.name);
  world.install();
  world.install();
  EXPECT_EQ(session.state_of("SELECT count(*) FROM app.orders"), "");
  EXPECT_EQ(world.look(made), core::Presence::present);
  auto wanted = world.wanted(made.account);
  EXPECT_TRUE(world.target().provision(wanted, plenty).ok());
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_TRUE(session.wait_closed(5000));
}

TEST_F(PgBroker, WhatIsNoLongerNamedIsNoLongerAllowed) {
  const auto made = world.make({PgWorld::role("writer", "writers")});
  auto fewer = world.installation();
  fewer.groups = {"readers"};
  fewer.heirs = {};
  fewer.longest = std::chrono::minutes(30);
  world.run_parts(pg::install_parts(fewer));
  EXPECT_EQ(server.value("SELECT string_agg(name, ',') FROM daypass_cnf001.groups", "orders"), "readers");
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_auth_members WHERE member = 'daypass_cnf001_clearer'::regrole"), "0");
  const auto account = world.new_account();
  auto wanted = world.wanted(account);
  const auto fresh = world.new_target();
  const auto too_long = fresh->provision(wanted, plenty);
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.error().check, "pg.broker.limit");
  wanted.valid_until = world.clock.wall() + std::chrono::minutes(20);
  EXPECT_TRUE(fresh->provision(wanted, plenty).ok());
  wanted.roles = {PgWorld::role("maker", "makers", "made")};
  EXPECT_EQ(fresh->provision(wanted, plenty).error().check, "pg.broker.group");
  // Taking away is for whatever there is.
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_TRUE(fresh->revoke(account, world.roles(), "", plenty).ok());
  world.install();
  EXPECT_EQ(failures(check(world)), "");
}

TEST_F(PgBroker, ADatabaseWithoutItsPartIsToldAndTheRevocationGoesOnLater) {
  auto part = world.installation();
  const auto parts = pg::uninstall_parts(part);
  const auto billing = std::ranges::find(parts, "billing", &pg::Part::database);
  ASSERT_NE(billing, parts.end());
  server.sql(billing->sql, "billing");
  const auto made = world.make();
  server.sql("CREATE SCHEMA s AUTHORIZATION " + made.account.name, "billing");
  EXPECT_TRUE(world.revoke(made).starts_with("pg.")) << world.revoke(made);
  EXPECT_EQ(world.login(made.account.name, first_password), nullptr);
  EXPECT_EQ(world.look(made), core::Presence::present);
  world.install();
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(server.value("SELECT to_regnamespace('s') IS NULL", "billing"), "t");
}

TEST_F(PgBroker, ItRefusesToConfineWhatItCannot) {
  const auto install = [&](auto change) {
    auto wanted = world.installation();
    wanted.names = {"ref001", "dp_refused"};
    wanted.databases = {};
    change(wanted);
    return refused(pg::install_parts(wanted).front().sql);
  };
  const auto plain = [](auto&) {};
  server.sql("CREATE ROLE dp_refused LOGIN SUPERUSER");
  EXPECT_EQ(install(plain), "P0001") << "a superuser stays one";
  server.sql("ALTER ROLE dp_refused NOSUPERUSER CREATEROLE");
  EXPECT_EQ(install(plain), "P0001");
  server.sql("ALTER ROLE dp_refused NOCREATEROLE; GRANT readers TO dp_refused");
  EXPECT_EQ(install(plain), "P0001");
  server.sql("REVOKE readers FROM dp_refused");
  EXPECT_EQ(install([](auto& w) { w.groups = {"no such \"group\""}; }), "P0001");
  EXPECT_EQ(install([](auto& w) { w.heirs = {"dp_admin"}; }), "P0001") << "an heir that may log in";
  server.sql("ALTER ROLE writers CREATEDB");
  EXPECT_EQ(install(plain), "PD006") << "a group that may not be given";
  server.sql("ALTER ROLE writers NOCREATEDB; CREATE ROLE squatter");
  server.sql("CREATE SCHEMA daypass_ref001 AUTHORIZATION squatter", "orders");
  EXPECT_EQ(install(plain), "P0001") << "a schema that is somebody's";
  server.sql("DROP SCHEMA daypass_ref001; DROP ROLE squatter", "orders");
  // Nothing of all that was left behind; and as it should be, it works.
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_roles WHERE starts_with(rolname::text, 'daypass_ref001')"), "0");
  EXPECT_EQ(install(plain), "");
  auto by_another = PgClient::connect(world.conninfo("dp_admin", "the-admin-login-of-the-tests"));
  ASSERT_TRUE(by_another.ok());
  EXPECT_EQ(by_another->state_of(pg::install_parts(world.installation()).front().sql), "P0001") << "no superuser";
  auto wanted = world.installation();
  wanted.names = {"ref001", "dp_refused"};
  wanted.databases = {};
  world.run_parts(pg::uninstall_parts(wanted));
  server.sql("DROP ROLE dp_refused");
}

TEST_F(PgBroker, TakenAwayItLeavesNothing) {
  PgWorld::Options options;
  options.admin = AdminKind::confined;
  PgWorld other(options);
  const auto made = other.make();
  const auto parts = pg::uninstall_parts(other.installation());
  // Not while an account is left: nobody could end it any more.
  EXPECT_THROW(other.run_parts(parts), std::runtime_error);
  other.install();
  EXPECT_EQ(other.revoke(made), "");
  other.run_parts(parts);
  other.run_parts(parts);
  EXPECT_EQ(
      other.server->value("SELECT string_agg(rolname, ' ') FROM pg_roles WHERE starts_with(rolname::text, 'daypass_')"),
      "NULL");
  for (const char* database : {"orders", "billing"})
    EXPECT_EQ(
        other.server->value("SELECT count(*) FROM pg_namespace WHERE starts_with(nspname::text, 'daypass_')", database),
        "0");
  other.server->sql("DROP ROLE dp_admin");
}

TEST_F(PgBroker, FromALoginWithPowerToOneWithout) {
  // The accounts that the old login made are looked after by the new one.
  PgWorld::Options options;
  PgWorld other(options);
  const auto made = other.make();
  auto session = other.client(made.account.name);
  auto wanted = other.installation();
  wanted.names.login = "dp_confined";
  other.run_parts(pg::install_parts(wanted));
  other.server->sql("ALTER ROLE dp_confined PASSWORD 'the-admin-login-of-the-tests'");
  auto spec = other.spec();
  spec.settings.set("admin_user", "dp_confined");
  spec.settings.set("broker", "functions");
  auto target = other.new_driver()->make(core::TenantId("default"), spec);
  ASSERT_TRUE(target.ok());
  const auto owned = (*target)->list_owned(plenty);
  ASSERT_TRUE(owned.ok());
  ASSERT_EQ(owned->size(), 1U);
  const auto done = (*target)->revoke(made.account, made.roles, made.handle, plenty);
  EXPECT_TRUE(done.ok()) << done.error().check << ": " << done.error().message;
  EXPECT_TRUE(session.wait_closed(5000));
  EXPECT_EQ(other.leftovers(made.account.name), "");
}

TEST_F(PgBroker, WorkingInAnotherDatabaseThanThatOfTheSessions) {
  PgWorld::Options options;
  options.admin = AdminKind::confined;
  options.maintenance_database = "billing";
  PgWorld other(options);
  EXPECT_EQ(failures(check(other)), "");
  const auto made = other.make({PgWorld::role("maker", "makers", "made")});
  {
    auto session = other.client(made.account.name);
    ASSERT_EQ(session.state_of("CREATE TABLE work.t AS SELECT 1 AS one"), "");
  }
  EXPECT_EQ(other.revoke(made), "");
  EXPECT_EQ(other.server->value("SELECT relowner::regrole FROM pg_class WHERE relname = 't'", "orders"), "made");
  // Only where it is worked from can accounts be made.
  EXPECT_EQ(other.server->value("SELECT count(*) FROM pg_proc WHERE pronamespace = 'daypass_cnf001'::regnamespace AND"
                                " proname = 'provision'",
                                "orders"),
            "0");
  other.server->sql("DROP SCHEMA daypass_cnf001 CASCADE", "orders");
  EXPECT_TRUE(has(check(other), "pg.broker.installed"));
}

TEST_F(PgBroker, TheScriptIsOneThatPsqlRuns) {
  const std::string name = "we\"ird 'base' \\ $1 :x";
  auto wanted = world.installation();
  wanted.names = {"psq001", "dp \"psql\" 'login'"};
  wanted.databases = {name};
  server.sql("CREATE DATABASE \"we\"\"ird 'base' \\ $1 :x\"");
  const auto psql = [&](const std::vector<pg::Part>& parts) {
    char path[] = "/tmp/daypass-installer-XXXXXX";
    const int fd = ::mkstemp(path);
    ::close(fd);
    std::ofstream(path) << pg::script_of(parts, "-- a heading\n");
    const std::string command = "PGPASSWORD='" + server.superuser_password() + "' psql -X -q -h 127.0.0.1 -p " +
                                std::to_string(server.port()) + " -U postgres -d postgres -f " + path + " >" + path +
                                ".out 2>&1";
    const int status =
        std::system(command.c_str());  // NOLINT(cert-env33-c,concurrency-mt-unsafe): words of this test alone
    std::string said((std::istreambuf_iterator<char>(std::ifstream(std::string(path) + ".out").rdbuf())), {});
    ::unlink(path);
    ::unlink((std::string(path) + ".out").c_str());
    return status == 0 ? std::string() : "failed: " + said;
  };
  ASSERT_TRUE(pg::judge(wanted).ok());
  EXPECT_EQ(psql(pg::install_parts(wanted)), "");
  EXPECT_EQ(psql(pg::install_parts(wanted)), "") << "a second time";
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_proc WHERE pronamespace = 'daypass_psq001'::regnamespace", name),
            "5");
  EXPECT_EQ(psql(pg::uninstall_parts(wanted)), "");
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'daypass_psq001'", name), "0");
  // One that fails stops the script.
  wanted.groups = {"no such group"};
  EXPECT_NE(psql(pg::install_parts(wanted)), "");
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_roles WHERE starts_with(rolname::text, 'daypass_psq001')"), "0");
  server.sql("DROP ROLE \"dp \"\"psql\"\" 'login'\"");
  server.sql("DROP DATABASE \"we\"\"ird 'base' \\ $1 :x\"");
}

}  // namespace
}  // namespace daypass::test
