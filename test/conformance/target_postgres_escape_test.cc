// A hostile user with a direct connection tries every way out: of the account's rights while it lives, of its end
// after.
#include <gtest/gtest.h>

#include <algorithm>

#include "conformance/target_postgres_world.h"

namespace daypass::test {
namespace {

class PgEscape : public ::testing::TestWithParam<AdminKind> {
 protected:
  PgWorld& world = PgWorld::of(GetParam());
  PgServer& server = *world.server;

  static std::string text_of(const base::Result<PgRows>& rows) {
    if (!rows.ok()) return "ERROR " + rows.error().check;
    return rows->empty() || rows->front().empty() ? "" : rows->front().front();
  }
  void refused(PgClient& client, const std::string& sql) {
    EXPECT_NE(client.state_of(sql), "") << "this worked: " << sql;
    (void)client.run("ROLLBACK");
  }
};
INSTANTIATE_TEST_SUITE_P(Admin, PgEscape,
                         ::testing::Values(AdminKind::limited, AdminKind::superuser, AdminKind::confined),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(PgEscape, IntoAnotherRole) {
  const auto made = world.make();
  const auto other = world.make({PgWorld::role("writer", "writers")});
  auto session = world.client(made.account.name);
  for (const std::string& role : {std::string("postgres"), std::string("dp_admin"), std::string("writers"),
                                  other.account.name, std::string("pg_read_all_data"), std::string("made")}) {
    refused(session, "SET ROLE " + role);
    refused(session, "SELECT set_config('role', '" + role + "', false)");
    refused(session, "DO $$BEGIN EXECUTE 'SET ROLE " + role + "'; END$$");
    refused(session, "SET SESSION AUTHORIZATION " + role);
    refused(session, "ALTER ROLE CURRENT_USER SET role = '" + role + "'; SET ROLE " + role);
  }
  for (const char* sql : {"RESET ROLE", "RESET SESSION AUTHORIZATION", "DISCARD ALL", "RESET ALL", "SET ROLE NONE",
                          "SET SESSION AUTHORIZATION DEFAULT"}) {
    EXPECT_EQ(session.state_of(sql), "") << sql;
    EXPECT_EQ(text_of(session.run("SELECT current_user || session_user")), made.account.name + made.account.name)
        << sql;
  }
  // 15 and older let a member become the group, which has the same rights and no more; 16 does not.
  if (world.at_least(16))
    refused(session, "SET ROLE readers");
  else
    EXPECT_EQ(session.state_of("SET ROLE readers"), "");
  refused(session, "UPDATE app.orders SET item = 'changed'");
  refused(session, "GRANT readers TO " + other.account.name);
  refused(session, "SET ROLE postgres");
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(world.revoke(other), "");
}

TEST_P(PgEscape, ByChangingRoles) {
  const auto made = world.make();
  const auto other = world.make();
  server.sql(
      "CREATE ROLE accomplice LOGIN PASSWORD 'accomplice-accomplice'; GRANT CONNECT ON DATABASE orders TO accomplice");
  auto session = world.client(made.account.name);
  for (const char* attribute : {"SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS",
                                "VALID UNTIL 'infinity'", "CONNECTION LIMIT 1000", "NOINHERIT"})
    refused(session, std::string("ALTER ROLE CURRENT_USER ") + attribute);
  refused(session, "ALTER ROLE " + made.account.name + " RENAME TO somebody");
  refused(session, "COMMENT ON ROLE " + made.account.name + " IS 'daypass cnf001 default/x'");
  refused(session, "COMMENT ON ROLE " + made.account.name + " IS NULL");
  refused(session, "COMMENT ON ROLE readers IS 'daypass'");
  refused(session, "ALTER ROLE " + other.account.name + " PASSWORD 'taken-over-taken-over'");
  refused(session, "ALTER ROLE readers LOGIN");
  refused(session, "DROP ROLE " + other.account.name);
  refused(session, "CREATE ROLE helper LOGIN");
  refused(session, "GRANT readers TO accomplice");
  refused(session, "GRANT pg_read_server_files TO CURRENT_USER");
  // 14 and older: a role administers itself and may lend its rights; they end with it.
  const std::string lent = session.state_of("GRANT " + made.account.name + " TO accomplice");
  EXPECT_EQ(lent.empty(), !world.at_least(15)) << lent;
  // Not an error, only without effect.
  (void)session.run("GRANT SELECT ON app.orders TO accomplice");
  (void)session.run("GRANT USAGE ON SCHEMA app TO PUBLIC");
  if (world.at_least(15)) {
    auto accomplice = world.client("accomplice", "accomplice-accomplice");
    refused(accomplice, "SELECT * FROM app.orders");
  }
  (void)session.run("DROP OWNED BY readers");
  (void)session.run("DROP OWNED BY readers CASCADE");
  auto witness = world.client(other.account.name);
  EXPECT_EQ(witness.state_of("SELECT * FROM app.orders"), "") << "the group lost its rights";
  EXPECT_EQ(world.revoke(made), "");
  auto accomplice = world.client("accomplice", "accomplice-accomplice");
  refused(accomplice, "SELECT * FROM app.orders");
  EXPECT_EQ(world.revoke(other), "");
  server.sql("REVOKE CONNECT ON DATABASE orders FROM accomplice; DROP ROLE accomplice");
}

TEST_P(PgEscape, ByAPasswordOfItsOwn) {
  const auto made = world.make();
  const std::string own = "a-password-that-the-user-knows";
  {
    auto session = world.client(made.account.name);
    EXPECT_EQ(session.state_of("ALTER ROLE CURRENT_USER PASSWORD '" + own + "'"), "");
  }
  // Known and documented: while the grant lasts this logs in past the gateway, unless pg_hba.conf says otherwise.
  EXPECT_NE(world.login(made.account.name, own), nullptr);
  // An extension sets it back.
  ASSERT_TRUE(world.target().provision(world.wanted(made.account), plenty).ok());
  EXPECT_EQ(world.login(made.account.name, own), nullptr);
  {
    auto session = world.client(made.account.name);
    EXPECT_EQ(session.state_of("ALTER ROLE CURRENT_USER PASSWORD '" + own + "'"), "");
  }
  // The end is the server's and not the user's to change.
  server.sql("ALTER ROLE " + made.account.name + " VALID UNTIL '2001-01-01'");
  EXPECT_EQ(world.login(made.account.name, own), nullptr);
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(world.login(made.account.name, own), nullptr);
  EXPECT_EQ(world.login(made.account.name, first_password), nullptr);
}

TEST_P(PgEscape, ByLeavingCodeBehind) {
  const auto made = world.make();
  auto session = world.client(made.account.name);
  for (const char* schema : {"public", "app", "work", "pg_catalog"}) {
    refused(session, std::string("CREATE TABLE ") + schema + ".t (i int)");
    refused(session,
            std::string("CREATE FUNCTION ") + schema + ".f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'");
    refused(session, std::string("CREATE VIEW ") + schema + ".v AS SELECT 1");
    refused(session, std::string("CREATE TYPE ") + schema + ".ty AS ENUM ('a')");
  }
  refused(session, "CREATE SCHEMA mine");
  refused(session, "CREATE EXTENSION plperl");
  refused(session, "CREATE EXTENSION hstore");
  refused(session, "CREATE LANGUAGE plpythonu");
  refused(
      session,
      "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()");
  refused(session, "CREATE PUBLICATION p FOR ALL TABLES");
  refused(session, "CREATE PUBLICATION p");
  refused(session, "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p WITH (connect = false)");
  refused(session, "CREATE FOREIGN DATA WRAPPER w");
  refused(session, "CREATE DATABASE d");
  refused(session, "CREATE TABLESPACE ts LOCATION '/tmp'");
  refused(session, "ALTER DATABASE orders SET search_path = evil");
  refused(session, "ALTER SYSTEM SET archive_command = 'true'");
  refused(session, "ALTER ROLE CURRENT_USER SET session_preload_libraries = 'evil'");
  // What runs as whoever writes to the table next: refused without TRIGGER, which no group may have.
  EXPECT_EQ(session.state_of("CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'as %',"
                             " current_user; END$$"),
            "");
  refused(session, "CREATE TRIGGER t BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION pg_temp.f()");
  refused(session, "CREATE RULE r AS ON INSERT TO app.orders DO INSTEAD NOTHING");
  refused(session, "CREATE POLICY p ON app.orders USING (true)");
  refused(session, "ALTER TABLE app.orders DISABLE TRIGGER ALL");
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(world.leftovers(made.account.name), "");
  server.sql("BEGIN; INSERT INTO app.orders VALUES (-1, 'x'); ROLLBACK", "orders");
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_proc WHERE proname = 'f'", "orders"), "0");
}

TEST_P(PgEscape, IntoTheMachineAndTheServer) {
  const auto made = world.make();
  auto session = world.client(made.account.name);
  for (const char* sql : {"COPY (SELECT 1) TO PROGRAM 'id'",
                          "COPY (SELECT 1) TO '/tmp/daypass-escape'",
                          "CREATE TEMP TABLE c (t text)",
                          "SELECT pg_read_file('/etc/passwd')",
                          "SELECT pg_read_binary_file('/etc/passwd')",
                          "SELECT pg_ls_dir('/')",
                          "SELECT pg_stat_file('/etc/passwd')",
                          "SELECT lo_import('/etc/passwd')",
                          "SELECT lo_export(lo_create(0), '/tmp/x')",
                          "SELECT * FROM pg_authid",
                          "SELECT * FROM pg_shadow",
                          "SELECT pg_reload_conf()",
                          "SELECT pg_rotate_logfile()",
                          "SET session_replication_role = replica",
                          "SET log_statement = 'none'",
                          "LOAD 'dblink'",
                          "SELECT pg_switch_wal()",
                          "LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE",
                          "LOCK TABLE pg_roles IN ACCESS EXCLUSIVE MODE",
                          "SELECT pg_create_physical_replication_slot('s')",
                          "SELECT pg_hba_file_rules()"}) {
    if (std::string_view(sql).starts_with("CREATE TEMP")) {
      EXPECT_EQ(session.state_of(sql), "");
      refused(session, "COPY c FROM '/etc/passwd'");
      refused(session, "COPY c FROM PROGRAM 'id'");
      continue;
    }
    refused(session, sql);
  }
  for (const auto& row : server.sql("SELECT pid FROM pg_stat_activity WHERE usename IN ('dp_admin', 'postgres')")) {
    // "f" when that one has ended by itself meanwhile.
    EXPECT_NE(text_of(session.run("SELECT pg_terminate_backend(" + row.front() + ")")), "t");
    EXPECT_NE(text_of(session.run("SELECT pg_cancel_backend(" + row.front() + ")")), "t");
  }
  for (const char* database : {"postgres", "billing", "template1"})
    EXPECT_FALSE(PgClient::connect(world.conninfo(made.account.name, first_password, database)).ok()) << database;
  EXPECT_FALSE(PgClient::connect(world.conninfo(made.account.name, first_password) + " replication=database").ok());
  EXPECT_EQ(world.revoke(made), "");
}

TEST_P(PgEscape, ThroughTheServerBackToItself) {
  if (!server.try_sql("CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw", "orders").ok())
    GTEST_SKIP() << "this server has no dblink";
  server.sql("CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '" +
                 std::to_string(server.port()) + "', dbname 'orders'); GRANT USAGE ON FOREIGN SERVER back TO readers",
             "orders");
  const auto made = world.make();
  auto session = world.client(made.account.name);
  const std::string address = "host=127.0.0.1 dbname=orders port=" + std::to_string(server.port());
  refused(session, "SELECT dblink_connect('dbname=orders user=postgres')");
  refused(session, "SELECT dblink_connect('" + address + " user=postgres')");
  refused(session, "SELECT dblink_connect_u('dbname=orders user=postgres')");
  // As itself it gets in, from the server's own address; the sessions are the account's and end with it.
  const std::string self = address + " user=" + made.account.name + " password=" + first_password;
  EXPECT_EQ(session.state_of("SELECT dblink_connect('a', '" + self + "')"), "");
  EXPECT_EQ(session.state_of("SELECT dblink_send_query('a', 'SELECT pg_sleep(600)')"), "");
  EXPECT_EQ(session.state_of("CREATE USER MAPPING FOR CURRENT_USER SERVER back OPTIONS (user '" + made.account.name +
                             "', password '" + first_password + "')"),
            "");
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(world.leftovers(made.account.name), "");
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_user_mapping", "orders"), "0");
  server.sql("DROP EXTENSION dblink; DROP EXTENSION postgres_fdw CASCADE", "orders");
}

TEST_P(PgEscape, ByStoppingWhatComesAfter) {
  // One user must not be able to keep others from getting the role.
  const auto made = world.make();
  auto session = world.client(made.account.name);
  EXPECT_EQ(session.state_of("ALTER DEFAULT PRIVILEGES FOR ROLE readers GRANT ALL ON TABLES TO PUBLIC"), "");
  EXPECT_EQ(session.state_of(
                "CREATE TEMP TABLE lure (i int); GRANT ALL ON lure TO readers WITH GRANT OPTION; GRANT TRIGGER ON"
                " lure TO PUBLIC; SELECT lo_create(816); GRANT SELECT ON LARGE OBJECT 816 TO readers WITH GRANT"
                " OPTION"),
            "");
  if (!world.at_least(16)) {
    EXPECT_EQ(
        session.state_of("SET ROLE readers; SELECT lo_create(815); CREATE TEMP TABLE held (i int); CREATE FUNCTION"
                         " pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER ROLE readers PASSWORD 'x'"),
        "");
  }
  const auto again = world.new_target();
  const auto extended = again->provision(world.wanted(made.account), plenty);
  EXPECT_TRUE(extended.ok()) << extended.error().check << ": " << extended.error().message;
  const auto findings = again->check(world.roles(), plenty);
  ASSERT_TRUE(findings.ok());
  EXPECT_TRUE(std::ranges::any_of(*findings, [](const auto& f) {
    return f.check == "pg.group_role.left_behind" && f.grade == target::Finding::Grade::warn;
  }));
  EXPECT_EQ(world.revoke(made), "");
  server.sql("ALTER DEFAULT PRIVILEGES FOR ROLE readers REVOKE ALL ON TABLES FROM PUBLIC", "orders");
  if (!world.at_least(16)) server.sql("SELECT lo_unlink(815); ALTER ROLE readers PASSWORD NULL", "orders");
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_shdepend WHERE refobjid = 'readers'::regrole AND deptype = 'o'"),
            "0");
}

TEST_P(PgEscape, PastTheConnectionLimit) {
  const auto made = world.make();
  std::vector<PgClient> held;
  for (int i = 0; i < 20; ++i) {
    auto client = PgClient::connect(world.conninfo(made.account.name, first_password));
    if (!client.ok()) break;
    held.push_back(std::move(client).value());
  }
  EXPECT_EQ(held.size(), 6U) << "4 allowed by the grant, and 2 more";
  EXPECT_EQ(world.revoke(made), "");
  for (auto& client : held) EXPECT_TRUE(client.wait_closed(5000));
}

TEST(PgHba, AdmitsTheGroupOnlyFromTheGateway) {
  // The gateway uses the unix socket here; every other way in is closed to the group, whatever the password.
  PgWorld::Options options;
  // The admin login first: on 16 and later it is a member of the group itself.
  options.hba = {"host all dp_admin 127.0.0.1/32 scram-sha-256", "local orders +readers scram-sha-256",
                 "host all +readers all reject", "local all +readers reject"};
  PgWorld world(options);
  const auto made = world.make();
  auto session = PgClient::connect(world.server->conninfo(made.account.name, first_password, "orders", false));
  ASSERT_TRUE(session.ok());
  ASSERT_EQ(session->state_of("ALTER ROLE CURRENT_USER PASSWORD 'known-to-the-user-now'"), "");
  EXPECT_EQ(world.login(made.account.name, "known-to-the-user-now"), nullptr);
  EXPECT_FALSE(
      PgClient::connect(world.server->conninfo(made.account.name, "known-to-the-user-now", "postgres", false)).ok());
  EXPECT_EQ(world.revoke(made), "");
}

}  // namespace
}  // namespace daypass::test
