// What an account leaves behind, in one database or several: dropped, or handed to the heir without its teeth.
#include <gtest/gtest.h>

#include "conformance/target_postgres_world.h"

namespace daypass::test {
namespace {

class PgClear : public ::testing::TestWithParam<AdminKind> {
 protected:
  PgWorld& world = PgWorld::of(GetParam());
  PgServer& server = *world.server;

  static std::vector<core::RoleSpec> maker() { return {PgWorld::role("maker", "makers", "made")}; }
  void expect_gone(const PgWorld::Made& made) {
    EXPECT_EQ(world.leftovers(made.account.name), "");
    EXPECT_EQ(world.look(made), core::Presence::absent);
  }
  void run(PgClient& client, const std::string& sql) {
    const auto done = client.run(sql);
    EXPECT_TRUE(done.ok()) << done.error().check << ": " << done.error().message << " in " << sql;
  }
  std::string orders(const std::string& sql) { return server.value(sql, "orders"); }
  /// For objects of account `name`.
  std::string owner_of(const std::string& table) {
    return orders("SELECT relowner::regrole FROM pg_class WHERE oid = to_regclass('" + table + "')");
  }
};
INSTANTIATE_TEST_SUITE_P(Admin, PgClear,
                         ::testing::Values(AdminKind::limited, AdminKind::superuser, AdminKind::confined),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(PgClear, WhatAReaderCanLeaveIsDropped) {
  const auto made = world.make();
  {
    auto session = world.client(made.account.name);
    run(session, "CREATE TEMP TABLE t AS SELECT 1 AS i");
    run(session, "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    run(session, "SELECT lo_from_bytea(0, 'left behind')");
    run(session, "SELECT lo_create(0) FROM generate_series(1, 20)");
    run(session, "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC");
    run(session, "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT EXECUTE ON FUNCTIONS TO PUBLIC");
    run(session, "ALTER ROLE CURRENT_USER SET work_mem = '1MB'");
    run(session, "ALTER ROLE CURRENT_USER IN DATABASE orders SET search_path = 'evil'");
    run(session, "LISTEN something; DECLARE c CURSOR WITH HOLD FOR SELECT 1; SELECT pg_advisory_lock(1)");
  }
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  EXPECT_EQ(orders("SELECT count(*) FROM pg_largeobject_metadata"), "0");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_default_acl"), "0");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_db_role_setting WHERE setrole <> 0"), "0");
}

TEST_P(PgClear, ObjectsInSeveralDatabasesAndRightsGivenByOthers) {
  const auto made = world.make();
  const std::string& name = made.account.name;
  server.sql("GRANT CONNECT ON DATABASE billing TO " + name);
  server.sql("CREATE TABLE app.theirs (i int); GRANT SELECT (i), INSERT ON app.theirs TO " + name, "orders");
  server.sql("CREATE TABLE theirs (i int); GRANT SELECT ON theirs TO " + name + "; CREATE SCHEMA s AUTHORIZATION " +
                 name + "; CREATE TABLE s.t (i int); ALTER TABLE s.t OWNER TO " + name +
                 "; CREATE VIEW s.v AS SELECT * FROM s.t; ALTER VIEW s.v OWNER TO " + name +
                 "; CREATE TYPE s.e AS ENUM ('a'); ALTER TYPE s.e OWNER TO " + name +
                 "; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO " + name,
             "billing");
  if (GetParam() != AdminKind::superuser) {
    // Nobody but their owner or a superuser can take these back; access is over, and the operator is told.
    EXPECT_TRUE(world.revoke(made).starts_with("pg.foreign_grants")) << world.revoke(made);
    EXPECT_EQ(world.login(made.account.name, first_password), nullptr);
    server.sql("DROP OWNED BY " + name, "orders");
    EXPECT_TRUE(world.revoke(made).starts_with("pg.foreign_grants")) << world.revoke(made);
    EXPECT_EQ(server.value("SELECT to_regnamespace('s') IS NULL", "billing"), "t");
    server.sql("DROP OWNED BY " + name, "billing");
  }
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  EXPECT_EQ(server.value("SELECT to_regnamespace('s') IS NULL AND to_regclass('theirs') IS NOT NULL", "billing"), "t");
  EXPECT_EQ(
      orders("SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.theirs'::regclass AND attacl IS NOT NULL AND"
             " cardinality(attacl) > 0"),
      "0");
  server.sql("DROP TABLE app.theirs", "orders");
  server.sql("DROP TABLE theirs", "billing");
}

TEST_P(PgClear, AccountsThatSharedTheirTablesEndInEitherOrder) {
  const auto one = world.make(maker());
  const auto other = world.make(maker());
  {
    auto session = world.client(one.account.name);
    run(session, "CREATE TABLE work.shared (i int); GRANT SELECT ON work.shared TO " + other.account.name);
  }
  {
    auto session = world.client(other.account.name);
    run(session, "CREATE TABLE work.back (i int); GRANT SELECT (i) ON work.back TO " + one.account.name);
  }
  EXPECT_EQ(world.revoke(other), "");
  expect_gone(other);
  EXPECT_EQ(world.look(one), core::Presence::present);
  EXPECT_EQ(world.revoke(one), "");
  expect_gone(one);
  EXPECT_EQ(owner_of("work.shared") + owner_of("work.back"), "mademade");
  server.sql("DROP TABLE work.shared, work.back", "orders");
}

TEST(PgClearMany, SoManyObjectsThatOneTransactionCouldNotDropThem) {
  PgWorld::Options options;
  options.settings = {"max_connections = 40", "max_locks_per_transaction = 10"};
  PgWorld world(options);
  const auto made = world.make();
  {
    auto session = world.client(made.account.name);
    for (int i = 0; i < 20; ++i)
      ASSERT_EQ(session.state_of("SELECT count(lo_create(0)) FROM generate_series(1, 500)"), "");
  }
  const auto at_once = world.server->try_sql("BEGIN; DROP OWNED BY " + made.account.name + "; ROLLBACK", "orders");
  ASSERT_FALSE(at_once.ok()) << "too few for this test to mean anything";
  EXPECT_EQ(at_once.error().check, "53200");
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(world.leftovers(made.account.name), "");
  EXPECT_EQ(world.server->value("SELECT count(*) FROM pg_largeobject_metadata", "orders"), "0");
}

TEST_P(PgClear, AnHeirGetsTablesAndTheirData) {
  const auto made = world.make(maker());
  {
    auto session = world.client(made.account.name);
    run(session,
        "CREATE TYPE work.mood AS ENUM ('sad', 'glad'); CREATE DOMAIN work.small AS int CHECK (VALUE < 100);"
        "CREATE TABLE work.t (id int GENERATED ALWAYS AS IDENTITY, n serial, m work.mood, s work.small DEFAULT 5,"
        " at timestamptz DEFAULT now(), twice int GENERATED ALWAYS AS (5 * 2) STORED, u uuid DEFAULT "
        "gen_random_uuid());"
        "INSERT INTO work.t (m) VALUES ('glad'), ('sad'); CREATE INDEX ON work.t (m); CREATE SEQUENCE work.seq;"
        "CREATE TABLE work.p (i int, j int) PARTITION BY RANGE (i); CREATE TABLE work.p1 PARTITION OF work.p FOR "
        "VALUES FROM"
        " (0) TO (10); INSERT INTO work.p VALUES (3, 4); CREATE TABLE work.child () INHERITS (work.t);"
        "ALTER TABLE work.t ADD PRIMARY KEY (id); CREATE TABLE work.fk (r int REFERENCES work.t); SELECT "
        "lo_create(4711);"
        "COMMENT ON TABLE work.t IS 'kept'");
  }
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  for (const char* table : {"work.t", "work.p", "work.p1", "work.child", "work.fk", "work.seq"})
    EXPECT_EQ(owner_of(table), "made") << table;
  EXPECT_EQ(orders("SELECT count(*) || ' ' || sum(twice) || ' ' || max(m) || ' ' || min(s) FROM work.t"),
            "2 20 glad 5");
  EXPECT_EQ(orders("SELECT j FROM work.p1"), "4");
  EXPECT_EQ(orders("SELECT lomowner::regrole FROM pg_largeobject_metadata WHERE oid = 4711"), "made");
  EXPECT_EQ(orders("SELECT string_agg(DISTINCT typowner::regrole::text, ' ') FROM pg_type WHERE typnamespace ="
                   " 'work'::regnamespace"),
            "made");
  // Defaults that do no harm are kept: the tables still work.
  server.sql("INSERT INTO work.t (m) VALUES ('sad'); INSERT INTO work.fk SELECT max(id) FROM work.t", "orders");
  server.sql(
      "DROP TABLE work.t, work.p, work.child, work.fk; DROP SEQUENCE work.seq; DROP TYPE work.mood; DROP DOMAIN"
      " work.small; SELECT lo_unlink(4711)",
      "orders");
}

TEST_P(PgClear, AnHeirGetsNoCodeAndNoGrants) {
  const auto made = world.make(maker());
  {
    auto session = world.client(made.account.name);
    run(session,
        "CREATE TABLE work.t (i int); CREATE TABLE work.u (i int);"
        "CREATE FUNCTION work.boom() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'fired as %', current_user; "
        "END$$;"
        "CREATE FUNCTION work.five() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 5';"
        "CREATE PROCEDURE work.proc() LANGUAGE sql AS 'SELECT 1';"
        "CREATE AGGREGATE work.agg (int) (SFUNC = int4pl, STYPE = int);"
        "CREATE OPERATOR work.## (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int);"
        "CREATE TRIGGER tr BEFORE INSERT ON work.t FOR EACH ROW EXECUTE FUNCTION work.boom();"
        "ALTER TABLE work.t ALTER COLUMN i SET DEFAULT work.five();"
        "ALTER TABLE work.t ADD COLUMN trap xml DEFAULT query_to_xml('SELECT pg_sleep(0)', true, true, '');"
        "ALTER TABLE work.t ADD CHECK (pg_backend_pid() > 0), ADD CHECK (i < 1000000);"
        "CREATE RULE ru AS ON UPDATE TO work.t DO ALSO INSERT INTO work.u VALUES (1);"
        "CREATE VIEW work.v AS SELECT * FROM work.t; CREATE MATERIALIZED VIEW work.m AS SELECT * FROM work.u;"
        "ALTER TABLE work.u ENABLE ROW LEVEL SECURITY; ALTER TABLE work.u FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY po ON work.u USING (work.five() = 5);"
        "CREATE DOMAIN work.d AS int DEFAULT pg_backend_pid() CHECK (pg_backend_pid() > VALUE);"
        "CREATE TABLE work.w (d work.d, e int); INSERT INTO work.w VALUES (1, 2);"
        "CREATE INDEX ON work.w (e); CREATE STATISTICS work.st ON d, e FROM work.w;"
        "GRANT ALL ON work.t, work.v TO PUBLIC; GRANT SELECT (i) ON work.u TO readers; GRANT SELECT ON work.u TO "
        "writers WITH"
        " GRANT OPTION; GRANT EXECUTE ON FUNCTION work.five() TO PUBLIC; GRANT USAGE ON TYPE work.d TO readers");
  }
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  EXPECT_EQ(orders("SELECT count(*) FROM pg_proc WHERE pronamespace = 'work'::regnamespace"), "0");
  EXPECT_EQ(
      orders("SELECT count(*) FROM pg_class WHERE relnamespace = 'work'::regnamespace AND relkind IN ('v', 'm', 'f')"),
      "0");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), "0");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_policy"), "0");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_rules WHERE schemaname = 'work'"), "0");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_operator WHERE oprnamespace = 'work'::regnamespace"), "0");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_attrdef d WHERE adrelid IN ('work.t'::regclass, 'work.w'::regclass)"), "0");
  EXPECT_EQ(
      orders(
          "SELECT string_agg(pg_get_constraintdef(oid), ' ') FROM pg_constraint WHERE contype = 'c' AND connamespace ="
          " 'work'::regnamespace"),
      "CHECK ((i < 1000000))");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_class c, aclexplode(relacl) a WHERE relnamespace = 'work'::regnamespace AND"
                   " a.grantee <> 'made'::regrole"),
            "0");
  EXPECT_EQ(orders("SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid, aclexplode(attacl) x WHERE"
                   " relnamespace = 'work'::regnamespace"),
            "0");
  // A superuser that uses what was left sets nothing off.
  server.sql("INSERT INTO work.t VALUES (1); UPDATE work.t SET i = 2; INSERT INTO work.w VALUES (3, 4)", "orders");
  EXPECT_EQ(orders("SELECT relrowsecurity AND NOT relforcerowsecurity FROM pg_class WHERE oid = 'work.u'::regclass"),
            "t");
  server.sql("DROP TABLE work.t, work.u, work.w; DROP DOMAIN work.d", "orders");
}

TEST_P(PgClear, OthersObjectsAreNeverDroppedWithIt) {
  const auto made = world.make(maker());
  {
    auto session = world.client(made.account.name);
    run(session,
        "CREATE FUNCTION work.handy(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';"
        "CREATE VIEW work.v AS SELECT 1 AS one");
  }
  server.sql("CREATE VIEW app.relies AS SELECT * FROM work.v", "orders");
  EXPECT_TRUE(world.revoke(made).starts_with("pg.foreign_dependents")) << world.revoke(made);
  // Access is over all the same, and nothing of others is gone.
  EXPECT_EQ(world.login(made.account.name, first_password), nullptr);
  EXPECT_EQ(orders("SELECT one FROM app.relies"), "1");
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_auth_members WHERE member = '" + made.account.name + "'::regrole"),
            "0");
  EXPECT_EQ(world.look(made), core::Presence::present);
  server.sql("DROP VIEW app.relies", "orders");
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
}

TEST_P(PgClear, ATriggerPutOnSomebodysTableGoes) {
  const auto made = world.make(maker());
  server.sql("CREATE TABLE app.target (i int); GRANT TRIGGER ON app.target TO makers", "orders");
  {
    auto session = world.client(made.account.name);
    run(session,
        "CREATE FUNCTION work.boom() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'fired as %', current_user; "
        "END$$;"
        "CREATE TRIGGER tr BEFORE INSERT ON app.target FOR EACH ROW EXECUTE FUNCTION work.boom()");
  }
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  server.sql("INSERT INTO app.target VALUES (1); DROP TABLE app.target", "orders");
}

TEST_P(PgClear, WithoutTheRolesNoDataIsDropped) {
  const auto made = world.make(maker());
  {
    auto session = world.client(made.account.name);
    run(session, "CREATE TABLE work.precious AS SELECT 42 AS answer");
  }
  // What reconciliation knows of an account whose grant is lost: its name.
  const auto blind = world.target().revoke(made.account, {}, "", plenty);
  ASSERT_FALSE(blind.ok());
  EXPECT_EQ(blind.error().check, "pg.heir_unknown");
  EXPECT_EQ(world.login(made.account.name, first_password), nullptr);
  EXPECT_EQ(orders("SELECT answer FROM work.precious"), "42");
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(owner_of("work.precious"), "made");
  server.sql("DROP TABLE work.precious", "orders");
}

TEST_P(PgClear, ALockedTableDelaysAndDoesNotLose) {
  const auto made = world.make(maker());
  {
    auto session = world.client(made.account.name);
    run(session, "CREATE TABLE work.busy AS SELECT 1 AS one");
  }
  auto reader = PgClient::connect(server.conninfo(PgServer::superuser(), server.superuser_password(), "orders"));
  ASSERT_TRUE(reader.ok());
  run(*reader, "BEGIN; SELECT * FROM work.busy");
  EXPECT_TRUE(world.revoke(made).starts_with("pg.locked"));
  EXPECT_EQ(world.login(made.account.name, first_password), nullptr);
  run(*reader, "COMMIT");
  EXPECT_EQ(world.revoke(made), "");
  EXPECT_EQ(owner_of("work.busy"), "made");
  server.sql("DROP TABLE work.busy", "orders");
}

TEST_P(PgClear, ADatabaseGivenToItIsNotDropped) {
  const auto made = world.make();
  server.sql("CREATE DATABASE gift OWNER " + made.account.name);
  EXPECT_TRUE(world.revoke(made).starts_with("pg.owns_shared")) << world.revoke(made);
  server.sql("ALTER DATABASE gift OWNER TO postgres");
  EXPECT_EQ(world.revoke(made), "");
  expect_gone(made);
  server.sql("DROP DATABASE gift");
}

}  // namespace
}  // namespace daypass::test
