// Whoever steals the confined login's password has this: every statement that it could try, refused with its SQLSTATE,
// beside a twin that is allowed; and after each attempt the server's roles, memberships, rights and functions are what
// they were.
#include <gtest/gtest.h>

#include "conformance/target_postgres_world.h"
#include "crypto/scram.h"

namespace daypass::test {
namespace {

constexpr const char* login_password = "the-admin-login-of-the-tests";

/// In the texts: $S the schema, $T the tenant, $A and $G a live account and its grant, $D and $E one that is shut, $N a
/// grant that has no account, $M the name it would have, $V a verifier, $O another instance's schema.
struct Attempt {
  const char* what;
  const char* before;  ///< run first as the login, and must work; "" none
  const char* sql;
  const char* state;  ///< the SQLSTATE that refuses it
  const char* twin;   ///< run as the login in a transaction that is undone, and must work
};

// What the twin of most misuses is: the right use of the same function.
constexpr const char* make = "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['readers'])";
constexpr const char* extend = "SELECT $S.provision('$T', '$G', '$V', now() + interval '2 hours', 6, ARRAY['readers'])";
constexpr const char* take_away =
    "SELECT $S.shut('$T', '$G'); SELECT $S.strip('$T', '$G'); SELECT $S.remove('$T', '$G')";
constexpr const char* shut_out = "SELECT $S.shut('$T', '$G')";
constexpr const char* read_lists = "SELECT * FROM $S.groups, $S.settings, $S.heirs";
constexpr const char* look = "SELECT rolname, rolvaliduntil FROM pg_roles WHERE rolname = '$A'";

const std::vector<Attempt> by_its_own_rights{
    {"a superuser", "", "CREATE ROLE evil SUPERUSER", "42501", make},
    {"a role", "", "CREATE ROLE evil LOGIN", "42501", make},
    {"a role with an account's name", "", "CREATE ROLE $M LOGIN", "42501", make},
    {"itself a superuser", "", "ALTER ROLE CURRENT_USER SUPERUSER", "42501", look},
    {"itself CREATEROLE", "", "ALTER ROLE CURRENT_USER CREATEROLE", "42501", look},
    {"itself BYPASSRLS", "", "ALTER ROLE CURRENT_USER BYPASSRLS", "42501", look},
    {"itself INHERIT", "", "ALTER ROLE CURRENT_USER INHERIT", "42501", look},
    {"the password of postgres", "", "ALTER ROLE postgres PASSWORD 'mine-now'", "42501", extend},
    {"the password of an account, plainly", "", "ALTER ROLE $A PASSWORD 'mine-now'", "42501", extend},
    {"an account for ever", "", "ALTER ROLE $A VALID UNTIL 'infinity'", "42501", extend},
    {"an account renamed", "", "ALTER ROLE $A RENAME TO evil", "42501", look},
    {"a group that logs in", "", "ALTER ROLE readers LOGIN", "42501", look},
    {"the keeper logs in", "", "ALTER ROLE $S_keeper LOGIN PASSWORD 'mine-now'", "42501", look},
    {"an account dropped past the functions", "", "DROP ROLE $A", "42501", take_away},
    {"a group dropped", "", "DROP ROLE makers", "42501", take_away},
    {"the mark on postgres", "", "COMMENT ON ROLE postgres IS 'daypass cnf001 $T/$G'", "42501", look},
    {"the mark off an account", "", "COMMENT ON ROLE $A IS NULL", "42501", look},
    {"server files", "", "GRANT pg_write_server_files TO CURRENT_USER", "42501", look},
    {"server programs for an account", "", "GRANT pg_execute_server_program TO $A", "42501", extend},
    {"a group for itself", "", "GRANT readers TO CURRENT_USER", "42501", extend},
    {"an account for itself", "", "GRANT $A TO CURRENT_USER", "42501", extend},
    {"the keeper for itself", "", "GRANT $S_keeper TO CURRENT_USER", "42501", look},
    {"SET ROLE to the keeper", "", "SET ROLE $S_keeper", "42501", "SET ROLE NONE"},
    {"SET ROLE to the clearer", "", "SET ROLE $S_clearer", "42501", "SET ROLE NONE"},
    {"SET ROLE to the prober", "", "SET ROLE $S_prober", "42501", "SET ROLE NONE"},
    {"SET ROLE to an account", "", "SET ROLE $A", "42501", "SET ROLE NONE"},
    {"SET ROLE to a shut account", "", "SET ROLE $D", "42501", "SET ROLE NONE"},
    {"session of the keeper", "", "SET SESSION AUTHORIZATION $S_keeper", "42501", "SET SESSION AUTHORIZATION DEFAULT"},
    {"a table in the schema", "", "CREATE TABLE $S.settings2 (i int)", "42501", "CREATE TEMP TABLE settings2 (i int)"},
    {"a function in the schema", "", "CREATE FUNCTION $S.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "42501",
     "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
    {"a function replaced", "",
     "CREATE OR REPLACE FUNCTION $S.account_oid(p_tenant text, p_grant text) RETURNS oid LANGUAGE sql AS 'SELECT "
     "10::oid'",
     "42501", look},
    {"a function without its search_path", "", "ALTER FUNCTION $S.shut(text, text) RESET ALL", "42501", shut_out},
    {"a function of its own", "", "ALTER FUNCTION $S.shut(text, text) OWNER TO CURRENT_USER", "42501", shut_out},
    {"a function dropped", "", "DROP FUNCTION $S.shut_oid(text, text)", "42501", shut_out},
    {"the schema", "", "ALTER SCHEMA $S OWNER TO CURRENT_USER", "42501", look},
    {"the schema dropped", "", "DROP SCHEMA $S CASCADE", "42501", look},
    {"a group on the list", "", "INSERT INTO $S.groups VALUES ('postgres')", "42501", read_lists},
    {"an heir on the list", "", "INSERT INTO $S.heirs VALUES ('readers')", "42501", read_lists},
    {"longer lives", "", "UPDATE $S.settings SET longest = '100 years'", "42501", read_lists},
    {"no settings", "", "DELETE FROM $S.settings", "42501", read_lists},
    {"the lists emptied", "", "TRUNCATE $S.groups", "42501", read_lists},
    {"a trigger on the list",
     "CREATE FUNCTION pg_temp.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
     "CREATE TRIGGER t BEFORE INSERT ON $S.groups FOR EACH ROW EXECUTE FUNCTION pg_temp.t()", "42501", read_lists},
    {"verifiers", "", "SELECT rolpassword FROM pg_authid", "42501", look},
    {"verifiers by another name", "", "SELECT passwd FROM pg_shadow", "42501", look},
    {"a table that nobody granted it", "", "SELECT * FROM app.orders", "42501", look},
    {"statements of others", "",
     "SELECT 1 / count(query)::int FROM pg_stat_activity WHERE usename = 'postgres' AND query"
     " NOT LIKE '<insufficient%'",
     "22012", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'postgres'"},
    {"a program", "", "COPY (SELECT 1) TO PROGRAM 'id'", "42501", "SELECT 1"},
    {"a file of the server", "CREATE TEMP TABLE c (t text)", "COPY c FROM '/etc/passwd'", "42501",
     "INSERT INTO c VALUES ('mine')"},
    {"a file read", "", "SELECT pg_read_file('/etc/passwd')", "42501", "SELECT current_setting('server_version')"},
    {"a large object as a file", "", "SELECT lo_export(lo_create(0), '/tmp/daypass-attack')", "42501",
     "SELECT lo_create(0)"},
    {"a DO block", "", "DO $do$BEGIN EXECUTE 'CREATE ROLE evil'; END$do$", "42501", "DO $do$BEGIN PERFORM 1; END$do$"},
    {"the server's settings", "", "ALTER SYSTEM SET archive_command = 'true'", "42501", "SET work_mem = '1MB'"},
    {"a database", "", "CREATE DATABASE evil", "42501", look},
    {"a database's settings", "", "ALTER DATABASE orders SET search_path = evil", "42501", look},
    {"an event trigger", "",
     "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION suppress_redundant_updates_trigger()", "42501",
     look},
    {"default privileges of the keeper", "",
     "ALTER DEFAULT PRIVILEGES FOR ROLE $S_keeper GRANT ALL ON FUNCTIONS TO PUBLIC", "42501",
     "ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC"},
    {"what the keeper owns", "", "REASSIGN OWNED BY $S_keeper TO CURRENT_USER", "42501", look},
    {"what an account owns", "", "DROP OWNED BY $A", "42501", take_away},
    {"the roles locked", "", "BEGIN; LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE", "42501", look},
    {"a session of a superuser ended", "",
     "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'", "42501",
     "SELECT pg_terminate_backend(0)"},
    {"a session of an account ended past the functions", "",
     "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$A'", "42501",
     "SELECT $S.end_sessions('$T', '$G')"},
};

const std::vector<Attempt> by_the_functions{
    {"a name with a quote", "",
     "SELECT $S.provision('$T', 'gr_\"; DROP ROLE readers; --', '$V', now(), 6, ARRAY['readers'])", "PD001", make},
    {"a name with an apostrophe", "", "SELECT $S.shut('$T', 'gr_'' OR true --aaaaaaaaaaaaa')", "PD001", shut_out},
    {"a name of 29 bytes that is none", "", "SELECT $S.shut('$T', 'gr_\"abcdefghijklmnopqrstuvw\"')", "PD001",
     shut_out},
    {"letters of another script", "",
     "SELECT $S.provision('$T', U&'gr_\\FF41bcdefghijklmnopqrstuvwxyz', '$V', now(), 6,"
     " ARRAY['readers'])",
     "PD001", make},
    {"capitals", "", "SELECT $S.shut('$T', upper('$G'))", "PD001", shut_out},
    {"a name that would be cut", "",
     "SELECT $S.provision('$T', 'gr_' || repeat('a', 90), '$V', now(), 6, ARRAY['readers'])", "PD001", make},
    {"a name with a line end", "", "SELECT $S.shut('$T', '$G' || E'\\n')", "PD001", shut_out},
    {"a tenant that ends the mark", "",
     "SELECT $S.provision('a/gr_x'' IS NULL; --', '$N', '$V', now(), 6, ARRAY['readers'])", "PD001", make},
    {"no grant", "", "SELECT $S.shut('$T', NULL)", "PD001", shut_out},
    {"no tenant", "", "SELECT $S.shut(NULL, '$G')", "PD001", shut_out},
    {"an account of another tenant", "", "SELECT $S.shut('other', '$G')", "PD002", shut_out},
    {"a group that is not on the list", "",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['readers', 'unlisted'])", "PD005",
     make},
    {"postgres as a group", "",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['postgres'])", "PD005", make},
    {"server programs as a group", "",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['pg_execute_server_program'])", "PD005",
     make},
    {"the keeper as a group", "",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['$S_keeper'])", "PD005", make},
    {"an account as a group", "", "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['$A'])",
     "PD005", make},
    {"SQL as a group", "",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['readers; ALTER ROLE $A SUPERUSER'])",
     "PD005", make},
    {"a group and NULL", "",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['readers', NULL])", "PD001", make},
    {"no group", "", "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY[]::text[])", "PD001",
     make},
    {"groups in two dimensions", "",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY[ARRAY['readers'], ARRAY['unlisted']])",
     "PD001", make},
    {"an account for ever", "", "SELECT $S.provision('$T', '$G', '$V', 'infinity', 6, ARRAY['readers'])", "PD007",
     extend},
    {"an account for ten years", "",
     "SELECT $S.provision('$T', '$G', '$V', now() + interval '10 years', 6, ARRAY['readers'])", "PD007", extend},
    {"an account from the beginning", "", "SELECT $S.provision('$T', '$G', '$V', '-infinity', 6, ARRAY['readers'])",
     "PD007", extend},
    {"an account without an end", "", "SELECT $S.provision('$T', '$G', '$V', NULL, 6, ARRAY['readers'])", "PD007",
     extend},
    {"connections without a limit", "",
     "SELECT $S.provision('$T', '$G', '$V', now() + interval '1 hour', -1, ARRAY['readers'])", "PD007", extend},
    {"connections unsaid", "",
     "SELECT $S.provision('$T', '$G', '$V', now() + interval '1 hour', NULL, ARRAY['readers'])", "PD007", extend},
    {"very many connections", "",
     "SELECT $S.provision('$T', '$G', '$V', now() + interval '1 hour', 5000, ARRAY['readers'])", "PD007", extend},
    {"a plain password", "",
     "SELECT $S.provision('$T', '$N', 'correct-horse', now() + interval '1 hour', 6, ARRAY['readers'])", "PD001", make},
    {"no password", "", "SELECT $S.provision('$T', '$N', NULL, now() + interval '1 hour', 6, ARRAY['readers'])",
     "PD001", make},
    {"an MD5 password", "",
     "SELECT $S.provision('$T', '$N', 'md5' || md5('x'), now() + interval '1 hour', 6, ARRAY['readers'])", "PD001",
     make},
    {"SQL behind the verifier", "",
     "SELECT $S.provision('$T', '$N', '$V'' SUPERUSER --', now() + interval '1 hour', 6, ARRAY['readers'])", "PD001",
     make},
    {"a verifier that burns the server's time", "",
     "SELECT $S.provision('$T', '$N', replace('$V', '$1:', '$999999:'), now() + interval '1 hour', 6, "
     "ARRAY['readers'])",
     "PD001", make},
    {"an account brought back", "",
     "SELECT $S.provision('$T', '$E', '$V', now() + interval '1 hour', 6, ARRAY['readers'])", "PD003", extend},
    {"a live account dropped", "", "SELECT $S.remove('$T', '$G')", "PD008", take_away},
    {"a live account stripped", "", "SELECT $S.strip('$T', '$G')", "PD008", take_away},
    {"a live account cleared", "", "SELECT $S.clear('$T', '$G', NULL, true)", "PD008",
     "SELECT $S.shut('$T', '$G'); SELECT $S.release('$T', '$G'); SELECT $S.clear('$T', '$G', NULL, true)"},
    {"an account that nobody released cleared", "", "SELECT $S.clear('$T', '$E', NULL, true)", "42501",
     "SELECT $S.release('$T', '$E'); SELECT $S.clear('$T', '$E', NULL, true)"},
    {"an heir that is not on the list", "", "SELECT $S.clear('$T', '$E', 'readers', true)", "PD005",
     "SELECT $S.release('$T', '$E'); SELECT $S.clear('$T', '$E', 'made', true)"},
    {"itself as the heir", "", "SELECT $S.clear('$T', '$E', 'dp_admin', true)", "PD005",
     "SELECT $S.release('$T', '$E'); SELECT $S.clear('$T', '$E', 'made', true)"},
    {"an account cleared with no word on its heir", "", "SELECT $S.clear('$T', '$E', NULL, NULL)", "PD001",
     "SELECT $S.release('$T', '$E'); SELECT $S.clear('$T', '$E', NULL, true)"},
    {"a process ended for a live account", "", "SELECT $S.end_login('$T', '$G', 1)", "PD008",
     "SELECT $S.end_login('$T', '$E', pg_backend_pid())"},
    {"an account lent without a reason", "", "SELECT $S.lend('$T', '$E')", "PD008", "SELECT $S.release('$T', '$E')"},
    {"what is not there", "", "SELECT $S.shut('$T', '$N')", "42704", shut_out},
    {"an old snapshot", "", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT $S.shut('$T', '$G')", "PD009", shut_out},
    {"a serializable snapshot", "", "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT $S.shut('$T', '$G')", "PD009",
     shut_out},
    {"another instance's accounts", "", "SELECT $O.shut('$T', '$G')", "42501", shut_out},
    {"another instance's lists", "", "SELECT * FROM $O.groups", "42501", read_lists},
    {"the helper that strips", "", "SELECT $S.strip_but('postgres'::regrole, '{}')", "42501", shut_out},
    {"the helper that terminates", "", "SELECT $S.terminate(pg_backend_pid())", "42501",
     "SELECT $S.end_login('$T', '$E', pg_backend_pid())"},
    {"the helper that judges", "", "SELECT $S.groups_fit(ARRAY['readers'])", "42501", make},
    {"the helper that names", "", "SELECT $S.account_name('$T', '$G')", "42501", shut_out},
    // Shadowing: everything that the functions name, made again by the caller in front of it.
    {"catalogs of its own",
     "CREATE TEMP TABLE pg_roles AS SELECT * FROM pg_catalog.pg_roles WHERE false; CREATE TEMP TABLE settings (only_one"
     " bool, version int, longest interval, connections int); INSERT INTO settings VALUES (true, 1, '100 years', "
     "100000);"
     " CREATE TEMP TABLE groups (name text); INSERT INTO groups VALUES ('unlisted'); SET search_path = pg_temp, "
     "pg_catalog",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['unlisted'])", "PD005", make},
    {"a clock of its own",
     "CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT"
     " ''3000-01-01''::timestamptz'; SET search_path = pg_temp, pg_catalog",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '3 days', 6, ARRAY['readers'])", "PD007", make},
    {"operators of its own",
     "CREATE FUNCTION pg_temp.yes(timestamptz, timestamptz) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE FUNCTION"
     " pg_temp.yes(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR pg_temp.<= (FUNCTION ="
     " pg_temp.yes, LEFTARG = timestamptz, RIGHTARG = timestamptz); CREATE OPERATOR pg_temp.~ (FUNCTION = pg_temp.yes,"
     " LEFTARG = text, RIGHTARG = text); CREATE OPERATOR pg_temp.= (FUNCTION = pg_temp.yes, LEFTARG = text, RIGHTARG ="
     " text); SET search_path = pg_temp, pg_catalog",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '3 days', 6, ARRAY['readers'])", "PD007", make},
    {"a pattern of its own",
     "CREATE FUNCTION pg_temp.yes(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR pg_temp.~"
     " (FUNCTION = pg_temp.yes, LEFTARG = text, RIGHTARG = text); SET search_path = pg_temp, pg_catalog",
     "SELECT $S.provision('$T', '$N', 'correct-horse', now() + interval '1 hour', 6, ARRAY['readers'])", "PD001", make},
    {"types of its own",
     "CREATE DOMAIN pg_temp.\"oid\" AS text; CREATE DOMAIN pg_temp.\"text\" AS pg_catalog.text DEFAULT 'x'; SET "
     "search_path ="
     " pg_temp, pg_catalog",
     "SELECT $S.shut('other', '$G')", "PD002", shut_out},
    {"format of its own",
     "CREATE FUNCTION pg_temp.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT ''ALTER ROLE $A"
     " SUPERUSER'''; SET search_path = pg_temp, pg_catalog",
     "SELECT $S.provision('$T', '$E', '$V', now(), 6, ARRAY['readers'])", "PD003", make},
    // A caller's settings change nothing about what the functions take for granted.
    {"other rules for texts", "SET standard_conforming_strings = off; SET backslash_quote = on",
     "SELECT $S.provision('$T', '$N', 'SCRAM-SHA-256', now() + interval '1 hour', 6, ARRAY['readers'])", "PD001", make},
    {"other rules for times",
     "SET datestyle = 'SQL, DMY'; SET timezone = 'Pacific/Auckland'; SET intervalstyle = 'sql_standard'",
     "SELECT $S.provision('$T', '$N', '$V', now() + interval '25 hours', 6, ARRAY['readers'])", "PD007", make},
    {"other rules for names",
     "SET quote_all_identifiers = on; SET transform_null_equals = on; SET plpgsql.extra_errors = 'all'",
     "SELECT $S.shut('other', '$G')", "PD002", shut_out},
    {"a read-only transaction", "SET default_transaction_read_only = on", "SELECT $S.shut('$T', '$G')", "25006",
     shut_out},
};

class PgAttack : public ::testing::Test {
 protected:
  void SetUp() override {
    server.sql("CREATE ROLE unlisted NOLOGIN");
    // A sister instance on the same server, with a login of its own.
    sister_ = world.installation();
    sister_.names = {"oth001", "dp_other"};
    world.run_parts(target::postgres::install_parts(sister_));
    live_ = world.make();
    shut_ = world.make();
    absent_ = world.new_account();
    server.sql("ALTER ROLE " + shut_.account.name + " NOLOGIN; REVOKE readers FROM " + shut_.account.name);
    if (world.at_least(16))  // by whoever granted it
      server.sql("REVOKE readers FROM " + shut_.account.name + " GRANTED BY daypass_cnf001_keeper");
    verifier_ = crypto::make_verifier(base::Secret("a-password-of-the-attacker"), 1, world.entropy).to_text();
  }
  void TearDown() override {
    EXPECT_EQ(world.revoke(live_), "");
    EXPECT_EQ(world.revoke(shut_), "");
    world.run_parts(target::postgres::uninstall_parts(sister_));
    server.sql("DROP OWNED BY dp_other; DROP ROLE dp_other; DROP ROLE unlisted", "orders");
  }

  std::string filled(std::string text) const {
    const std::vector<std::pair<std::string, std::string>> values{{"$S", "daypass_cnf001"},
                                                                  {"$O", "daypass_oth001"},
                                                                  {"$T", "default"},
                                                                  {"$A", live_.account.name},
                                                                  {"$G", live_.account.grant.id},
                                                                  {"$D", shut_.account.name},
                                                                  {"$E", shut_.account.grant.id},
                                                                  {"$N", absent_.grant.id},
                                                                  {"$M", absent_.name},
                                                                  {"$V", verifier_}};
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      bool found = false;
      for (const auto& [key, value] : values)
        if (text.compare(i, 2, key) == 0) {
          out += value;
          ++i;
          found = true;
          break;
        }
      if (!found) out += text[i];
    }
    return out;
  }
  PgClient as_login() { return world.client("dp_admin", login_password); }

  /// Everything that says who may do what.
  std::string snapshot() {
    const char* const roles =
        "SELECT string_agg(concat_ws('|', a.rolname, a.rolsuper, a.rolinherit, a.rolcreaterole, a.rolcreatedb, "
        "a.rolcanlogin,"
        " a.rolreplication, a.rolbypassrls, a.rolconnlimit, a.rolpassword, a.rolvaliduntil, shobj_description(a.oid,"
        " 'pg_authid'), (SELECT string_agg(array_to_string(setconfig, ','), ';') FROM pg_db_role_setting s WHERE "
        "s.setrole ="
        " a.oid)), E'\\n' ORDER BY a.rolname) FROM pg_authid a";
    const char* const members =
        "SELECT string_agg(m::text, E'\\n' ORDER BY m::text) FROM (SELECT roleid::regrole, member::regrole, "
        "to_jsonb(m) -"
        " 'oid' FROM pg_auth_members m) m";
    const char* const databases =
        "SELECT string_agg(concat_ws('|', datname, datdba::regrole, datacl), E'\\n' ORDER BY datname) FROM pg_database";
    const char* const here =
        "SELECT concat_ws(E'\\n', (SELECT string_agg(concat_ws('|', nspname, nspowner::regrole, nspacl), E'\\n' ORDER "
        "BY"
        " nspname) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'), (SELECT string_agg(concat_ws('|', proname,"
        " proowner::regrole, proacl, proconfig, md5(prosrc)), E'\\n' ORDER BY proname, proargtypes) FROM pg_proc WHERE"
        " pronamespace = 'daypass_cnf001'::regnamespace), (SELECT string_agg(concat_ws('|', relname, relowner::regrole,"
        " relacl), E'\\n' ORDER BY relname) FROM pg_class WHERE relnamespace = 'daypass_cnf001'::regnamespace),"
        " (SELECT string_agg(d::text, E'\\n' ORDER BY d.oid) FROM pg_default_acl d), (SELECT string_agg(g.name, ',' "
        "ORDER BY"
        " 1) FROM daypass_cnf001.groups g), (SELECT string_agg(h.name, ',' ORDER BY 1) FROM daypass_cnf001.heirs h),"
        " (SELECT s::text FROM daypass_cnf001.settings s), (SELECT count(*) FROM pg_largeobject_metadata))";
    return server.value(roles) + "\n" + server.value(members) + "\n" + server.value(databases) + "\n" +
           server.value(here, "orders");
  }

  void try_all(const std::vector<Attempt>& attempts) {
    const std::string before = snapshot();
    for (const auto& one : attempts) {
      SCOPED_TRACE(std::string(one.what) + ": " + one.sql);
      {
        auto client = as_login();
        if (*one.before != '\0') {
          ASSERT_EQ(client.state_of(filled(one.before)), "") << one.before;
        }
        EXPECT_EQ(client.state_of(filled(one.sql)), one.state);
        (void)client.run("ROLLBACK");
      }
      {
        auto client = as_login();
        // With the same set-up: it stops what is meant to be stopped, and nothing else.
        const bool read_only = std::string_view(one.before).find("read_only") != std::string_view::npos;
        if (*one.before != '\0' && !read_only) {
          ASSERT_EQ(client.state_of(filled(one.before)), "");
        }
        ASSERT_EQ(client.state_of("BEGIN"), "");
        EXPECT_EQ(client.state_of(filled(one.twin)), "") << "the twin: " << one.twin;
        EXPECT_EQ(client.state_of("ROLLBACK"), "");
      }
      ASSERT_EQ(snapshot(), before);
    }
  }

  PgWorld& world = PgWorld::confined();
  PgServer& server = *world.server;
  target::postgres::Installation sister_;
  PgWorld::Made live_, shut_;
  target::Account absent_;
  std::string verifier_;
};

TEST_F(PgAttack, NothingByTheLoginsOwnRights) {
  ASSERT_GE(by_its_own_rights.size() + by_the_functions.size(), 40U);
  // Those whose sessions are to be ended.
  auto postgres = world.client("postgres", server.superuser_password());
  auto account = world.client(live_.account.name);
  try_all(by_its_own_rights);
}

TEST_F(PgAttack, NothingThroughTheFunctionsThatTheyAreNotFor) {
  try_all(by_the_functions);
}

TEST_F(PgAttack, WhatIsMadeIsAnAccountAndNothingMore) {
  auto client = as_login();
  if (world.at_least(16)) {
    ASSERT_EQ(client.state_of("SET createrole_self_grant = 'set, inherit'"), "");
  }
  ASSERT_EQ(client.state_of(filled(make)), "");
  EXPECT_EQ(server.value(
                "SELECT concat_ws(' ', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,"
                " rolbypassrls, rolconnlimit, rolvaliduntil <= now() + interval '1 hour', left(rolpassword, 14),"
                " shobj_description(oid, 'pg_authid')) FROM pg_authid WHERE rolname = '" +
                absent_.name + "'"),
            "f t f f t f f 6 t SCRAM-SHA-256$ daypass cnf001 default/" + absent_.grant.id);
  EXPECT_EQ(server.value("SELECT string_agg(roleid::regrole::text, ' ') FROM pg_auth_members WHERE member = '" +
                         absent_.name + "'::regrole"),
            "readers");
  // Whoever made it is its administrator on 16, and neither inherits from it nor becomes it.
  if (world.at_least(16)) {
    EXPECT_EQ(
        server.value("SELECT string_agg(concat_ws(' ', member::regrole, admin_option, inherit_option, set_option), ';')"
                     " FROM pg_auth_members WHERE roleid = '" +
                     absent_.name + "'::regrole"),
        "daypass_cnf001_keeper t f f");
    EXPECT_EQ(server.value("SELECT concat_ws(' ', inherit_option, set_option) FROM pg_auth_members WHERE member = '" +
                           absent_.name + "'::regrole"),
              "t f");
  }
  auto session = world.client(absent_.name, "a-password-of-the-attacker");
  EXPECT_EQ(session.state_of("SELECT daypass_cnf001.shut('default', '" + absent_.grant.id + "')"), "42501")
      << "an account may not call the functions";
  const PgWorld::Made made{absent_, world.roles(), ""};
  EXPECT_EQ(world.revoke(made), "");
}

TEST_F(PgAttack, ALookAlikeIsLeftAlone) {
  auto client = as_login();
  const std::string before_all = snapshot();
  server.sql("CREATE ROLE " + absent_.name + " LOGIN PASSWORD 'not-ours-not-ours'");
  const std::vector<std::pair<std::string, const char*>> disguises{
      {"COMMENT ON ROLE $M IS NULL", "PD002"},
      {"COMMENT ON ROLE $M IS 'daypass cnf001 default/$G'", "PD002"},
      {"COMMENT ON ROLE $M IS 'daypass cnf001 default/$N '", "PD002"},
      {"COMMENT ON ROLE $M IS 'daypass oth001 default/$N'", "PD002"},
      {"COMMENT ON ROLE $M IS 'Daypass cnf001 default/$N'", "PD002"},
      {"COMMENT ON ROLE $M IS 'daypass cnf001 default/$N'; ALTER ROLE $M CREATEDB", "PD004"},
      {"COMMENT ON ROLE $M IS 'daypass cnf001 default/$N'; ALTER ROLE $M NOCREATEDB SUPERUSER", "PD004"},
      {"COMMENT ON ROLE $M IS 'daypass cnf001 default/$N'; ALTER ROLE $M NOSUPERUSER REPLICATION", "PD004"},
  };
  const std::vector<const char*> verbs{"$S.provision('$T', '$N', '$V', now() + interval '1 hour', 6, ARRAY['readers'])",
                                       "$S.shut('$T', '$N')",
                                       "$S.strip('$T', '$N')",
                                       "$S.end_sessions('$T', '$N')",
                                       "$S.end_login('$T', '$N', 1)",
                                       "$S.lend('$T', '$N')",
                                       "$S.release('$T', '$N')",
                                       "$S.clear('$T', '$N', NULL, true)",
                                       "$S.remove('$T', '$N')"};
  for (const auto& [disguise, state] : disguises) {
    server.sql(filled(disguise));
    const std::string before = snapshot();
    for (const char* verb : verbs) EXPECT_EQ(client.state_of(filled(std::string("SELECT ") + verb)), state) << verb;
    EXPECT_EQ(snapshot(), before) << disguise;
  }
  // The twin: with its own mark, and nothing beyond LOGIN, it is an account.
  server.sql(filled("ALTER ROLE $M NOREPLICATION"));
  if (world.at_least(16))
    server.sql(filled("GRANT $M TO daypass_cnf001_keeper WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"));
  EXPECT_EQ(client.state_of(filled("SELECT $S.shut('$T', '$N'); SELECT $S.remove('$T', '$N')")), "");
  EXPECT_EQ(snapshot(), before_all);
}

TEST_F(PgAttack, AGroupOnTheListThatTurnsBadIsRefused) {
  auto client = as_login();
  for (const auto& [bad, good] : std::vector<std::pair<std::string, std::string>>{
           {"ALTER ROLE readers CREATEDB", "ALTER ROLE readers NOCREATEDB"},
           {"ALTER ROLE readers LOGIN", "ALTER ROLE readers NOLOGIN"},
           {"ALTER ROLE readers SUPERUSER", "ALTER ROLE readers NOSUPERUSER"},
           {"GRANT pg_execute_server_program TO readers", "REVOKE pg_execute_server_program FROM readers"},
           {"GRANT pg_signal_backend TO unlisted; GRANT unlisted TO readers",
            "REVOKE pg_signal_backend FROM unlisted; REVOKE unlisted FROM readers"},
           {"GRANT unlisted TO readers WITH ADMIN OPTION", "REVOKE unlisted FROM readers"},
           {"GRANT daypass_cnf001_clearer TO readers", "REVOKE daypass_cnf001_clearer FROM readers"},
       }) {
    server.sql(bad);
    const std::string before = snapshot();
    EXPECT_EQ(client.state_of(filled(make)), "PD006") << bad;
    EXPECT_EQ(snapshot(), before) << bad;
    server.sql(good);
    EXPECT_EQ(client.state_of(filled(std::string("BEGIN; ") + make + "; ROLLBACK")), "") << good;
  }
}

TEST_F(PgAttack, NoProcessOfOthersIsEnded) {
  auto client = as_login();
  auto postgres = world.client("postgres", server.superuser_password());
  auto account = world.client(live_.account.name);
  server.sql(
      "CREATE ROLE bystander LOGIN PASSWORD 'bystander-bystander'; GRANT CONNECT ON DATABASE orders TO bystander");
  auto bystander = world.client("bystander", "bystander-bystander");
  const auto value = [&](const std::string& sql) {
    const auto rows = client.run(filled(sql));
    return rows.ok() ? rows->front().front() : "ERROR " + rows.error().check;
  };
  // For an account that is shut, the pid of somebody else: the server says whose it is.
  for (PgClient* other : {&postgres, &account, &bystander, &client})
    EXPECT_EQ(value("SELECT $S.end_login('$T', '$E', " + std::to_string(other->backend_pid()) + ")"), "f");
  EXPECT_EQ(value("SELECT $S.end_sessions('$T', '$E')"), "0");
  // Orphans are sessions whose role is gone; none of these is.
  for (const char* role : {"postgres", "bystander", "$A", "dp_admin"})
    EXPECT_EQ(value("SELECT $S.end_orphans('" + filled(role) + "'::regrole)"), "0") << role;
  EXPECT_EQ(value("SELECT $S.end_orphans(NULL)"), "0");
  EXPECT_EQ(value("SELECT $S.end_orphans(0)"), "0");
  for (PgClient* other : {&postgres, &account, &bystander}) EXPECT_EQ(other->state_of("SELECT 1"), "");
  // The twin: the live account's own.
  EXPECT_EQ(value("SELECT $S.end_sessions('$T', '$G')"), "1");
  EXPECT_TRUE(account.wait_closed(5000));
  EXPECT_EQ(bystander.state_of("SELECT 1"), "");
  EXPECT_EQ(server.value("SELECT count(*) FROM pg_auth_members WHERE member = 'daypass_cnf001_prober'::regrole"), "0");
  bystander = world.client("postgres", server.superuser_password());
  server.sql("REVOKE CONNECT ON DATABASE orders FROM bystander; DROP ROLE bystander");
}

TEST_F(PgAttack, NobodyElseMayCall) {
  server.sql("CREATE ROLE stranger LOGIN PASSWORD 'stranger-stranger'; GRANT CONNECT ON DATABASE orders TO stranger");
  auto stranger = world.client("stranger", "stranger-stranger");
  auto sister = [&] {
    server.sql("ALTER ROLE dp_other PASSWORD 'the-other-login'");
    return world.client("dp_other", "the-other-login");
  }();
  auto client = as_login();
  // A GRANT without the grant option is no error, and no grant either.
  const std::string before = snapshot();
  (void)client.run("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA daypass_cnf001 TO PUBLIC");
  (void)client.run("GRANT EXECUTE ON FUNCTION daypass_cnf001.shut(text, text) TO stranger");
  (void)client.run("GRANT USAGE ON SCHEMA daypass_cnf001 TO stranger");
  (void)client.run("GRANT SELECT ON ALL TABLES IN SCHEMA daypass_cnf001 TO stranger");
  EXPECT_EQ(snapshot(), before);
  auto account = world.client(live_.account.name);
  for (PgClient* who : {&stranger, &sister, &account})
    for (const char* sql : {"SELECT $S.shut('$T', '$G')", "SELECT $S.end_orphans(1)", make, "SELECT * FROM $S.settings",
                            "SELECT $S.clear('$T', '$E', NULL, true)"})
      EXPECT_EQ(who->state_of(filled(sql)), "42501") << sql;
  EXPECT_EQ(client.state_of(filled(std::string("BEGIN; ") + shut_out + "; ROLLBACK")), "");
  // The sister's login has its own functions, and with them reaches nothing of ours.
  EXPECT_EQ(sister.state_of(filled("SELECT $O.shut('$T', '$G')")), "42704");
  EXPECT_EQ(snapshot().find("stranger=X"), std::string::npos);
  stranger = as_login();
  server.sql("REVOKE CONNECT ON DATABASE orders FROM stranger; DROP ROLE stranger");
}

}  // namespace
}  // namespace daypass::test
