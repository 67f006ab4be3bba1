// Which groups and logins are accepted: each rule broken once, found under its name, mended by the SQL that the finding
// gives.
#include <gtest/gtest.h>

#include <algorithm>

#include "conformance/target_postgres_world.h"

namespace daypass::test {
namespace {

using Grade = target::Finding::Grade;
using Findings = std::vector<target::Finding>;

/// The rules for groups and heirs are the same however accounts are made.
class PgCheck : public ::testing::TestWithParam<AdminKind> {
 protected:
  PgWorld& world = PgWorld::of(GetParam());
  PgServer& server = *world.server;

  Findings check(target::Target& target, const std::vector<core::RoleSpec>& roles) {
    auto found = target.check(roles, plenty);
    EXPECT_TRUE(found.ok()) << found.error().message;
    return found.ok() ? std::move(found).value() : Findings{};
  }
  Findings check(const std::vector<core::RoleSpec>& roles) { return check(world.target(), roles); }
  static const target::Finding* find(const Findings& findings, const std::string& name) {
    const auto it = std::ranges::find_if(findings, [&](const auto& f) { return f.check == name; });
    return it == findings.end() ? nullptr : &*it;
  }
  static std::string failures(const Findings& findings) {
    std::string out;
    for (const auto& f : findings)
      if (f.grade == Grade::fail) out += f.check + " (" + f.subject + ": " + f.message + ") ";
    return out;
  }
  std::string provision_check(const std::vector<core::RoleSpec>& roles) {
    const auto account = world.new_account();
    auto wanted = world.wanted(account);
    wanted.roles = roles;
    const auto made = world.target().provision(wanted, plenty);
    if (!made.ok()) return made.error().check;
    EXPECT_TRUE(world.target().revoke(account, roles, *made, plenty).ok());
    return "";
  }
};

INSTANTIATE_TEST_SUITE_P(Admin, PgCheck, ::testing::Values(AdminKind::limited, AdminKind::confined),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(PgCheck, AServerThatIsSetUpWellHasNoFailure) {
  const auto findings = check({PgWorld::role("reader", "readers"), PgWorld::role("writer", "writers"),
                               PgWorld::role("maker", "makers", "made")});
  EXPECT_EQ(failures(findings), "");
  for (const char* name : {"pg.connect", "pg.server.clock", "pg.server.hba", "pg.group_role"}) {
    ASSERT_NE(find(findings, name), nullptr) << name;
    EXPECT_EQ(find(findings, name)->grade, Grade::ok) << name;
  }
  if (GetParam() == AdminKind::confined) {
    ASSERT_NE(find(findings, "pg.broker"), nullptr);
    EXPECT_EQ(find(findings, "pg.broker")->grade, Grade::ok);
    EXPECT_EQ(find(findings, "pg.admin.createrole_os"), nullptr);
  } else if (!world.at_least(16)) {
    ASSERT_NE(find(findings, "pg.admin.createrole_os"), nullptr);
    EXPECT_EQ(find(findings, "pg.admin.createrole_os")->grade, Grade::warn);
  }
  // A role that creates has CREATE on its schema: said, and allowed.
  ASSERT_NE(find(findings, "pg.group_role.create_schema"), nullptr);
  EXPECT_EQ(find(findings, "pg.group_role.create_schema")->subject, "makers");
  EXPECT_EQ(find(findings, "pg.group_role.create_schema")->grade, Grade::warn);
}

struct Broken {
  const char* check;
  const char* by;     ///< SQL in the target's database, as superuser
  const char* undo;   ///< where the finding's own SQL can't do it all: "" none
  int from = 130000;  ///< the oldest version that knows it
};

TEST_P(PgCheck, EveryRuleIsFoundRefusesAndIsMended) {
  const std::vector<Broken> cases{
      {"pg.group_role.login", "ALTER ROLE readers LOGIN", ""},
      {"pg.group_role.superuser", "ALTER ROLE readers SUPERUSER", ""},
      {"pg.group_role.createrole", "ALTER ROLE readers CREATEROLE", ""},
      {"pg.group_role.createdb", "ALTER ROLE readers CREATEDB", ""},
      {"pg.group_role.replication", "ALTER ROLE readers REPLICATION", ""},
      {"pg.group_role.bypassrls", "ALTER ROLE readers BYPASSRLS", ""},
      {"pg.group_role.predefined", "GRANT pg_execute_server_program TO readers", ""},
      {"pg.group_role.predefined", "GRANT pg_read_server_files TO readers", ""},
      {"pg.group_role.predefined", "GRANT pg_write_server_files TO readers", ""},
      {"pg.group_role.predefined", "GRANT pg_signal_backend TO readers", ""},
      {"pg.group_role.owns", "CREATE TABLE app.own (i int); ALTER TABLE app.own OWNER TO readers",
       "DROP TABLE app.own"},
      {"pg.group_role.owns", "CREATE SCHEMA own AUTHORIZATION readers", "DROP SCHEMA own"},
      {"pg.group_role.admin_option", "CREATE ROLE inner_role; GRANT inner_role TO readers WITH ADMIN OPTION",
       "DROP ROLE inner_role"},
      {"pg.group_role.grant_option", "GRANT SELECT ON app.orders TO readers WITH GRANT OPTION", ""},
      {"pg.group_role.grant_option", "GRANT SELECT (id) ON app.orders TO readers WITH GRANT OPTION", ""},
      {"pg.group_role.grant_option", "GRANT USAGE ON SCHEMA app TO readers WITH GRANT OPTION", ""},
      {"pg.group_role.grant_option", "GRANT TEMPORARY ON DATABASE orders TO readers WITH GRANT OPTION", ""},
      {"pg.group_role.grant_option", "GRANT EXECUTE ON FUNCTION now() TO readers WITH GRANT OPTION",
       "REVOKE ALL ON FUNCTION now() FROM readers"},
      {"pg.group_role.create_schema", "GRANT CREATE ON SCHEMA app TO readers", ""},
      {"pg.group_role.public_create", "GRANT CREATE ON SCHEMA public TO PUBLIC", ""},
      {"pg.group_role.create_database", "GRANT CREATE ON DATABASE orders TO readers", ""},
      {"pg.group_role.public_create_database", "GRANT CREATE ON DATABASE orders TO PUBLIC", ""},
      {"pg.group_role.connect", "GRANT CONNECT ON DATABASE billing TO readers", ""},
      {"pg.group_role.public_connect", "GRANT CONNECT ON DATABASE billing TO PUBLIC", ""},
      {"pg.group_role.trigger", "GRANT TRIGGER ON app.orders TO readers", ""},
      {"pg.group_role.trigger", "GRANT TRIGGER ON app.orders TO PUBLIC", ""},
      {"pg.group_role.functions", "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO readers", ""},
      {"pg.group_role.functions", "GRANT EXECUTE ON FUNCTION lo_export(oid, text) TO PUBLIC", ""},
      {"pg.group_role.create_server", "CREATE FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN DATA WRAPPER w TO readers",
       "DROP FOREIGN DATA WRAPPER w"},
      {"pg.group_role.reads_passwords", "GRANT SELECT ON pg_authid TO readers", ""},
      {"pg.group_role.alter_system", "GRANT ALTER SYSTEM ON PARAMETER work_mem TO readers", "", 150000},
      // Through a role that it is in.
      {"pg.group_role.createdb", "CREATE ROLE outer_role CREATEDB; GRANT outer_role TO readers",
       "DROP ROLE outer_role"},
      {"pg.group_role.create_schema",
       "CREATE ROLE outer_role; GRANT CREATE ON SCHEMA app TO outer_role; GRANT outer_role TO"
       " readers",
       "DROP ROLE outer_role"},
      {"pg.group_role.predefined",
       "CREATE ROLE outer_role; GRANT pg_execute_server_program TO outer_role; GRANT outer_role TO readers",
       "DROP ROLE outer_role"},
      {"pg.group_role.owns",
       "CREATE ROLE outer_role; CREATE TABLE app.own (i int); ALTER TABLE app.own OWNER TO outer_role;"
       " GRANT outer_role TO readers",
       "DROP TABLE app.own; DROP ROLE outer_role"},
  };
  const auto roles = world.roles();
  ASSERT_EQ(provision_check(roles), "");
  for (const auto& one : cases) {
    if (server.version() < one.from) continue;
    SCOPED_TRACE(std::string(one.check) + " by " + one.by);
    server.sql(one.by, "orders");
    const auto findings = check(roles);  // also what provision will go by
    const auto* finding = find(findings, one.check);
    ASSERT_NE(finding, nullptr) << failures(findings);
    EXPECT_EQ(finding->grade, Grade::fail);
    EXPECT_EQ(finding->subject, "readers");
    const std::string refusal = provision_check(roles);
    EXPECT_TRUE(refusal.starts_with("pg.group_role.")) << refusal;
    ASSERT_FALSE(finding->fix.empty());
    if (finding->fix.find('<') == std::string::npos) server.sql(finding->fix, "orders");
    if (*one.undo != '\0') server.sql(one.undo, "orders");
    const auto after = check(roles);
    EXPECT_EQ(failures(after), "");
    ASSERT_EQ(provision_check(roles), "");
  }
}

TEST_P(PgCheck, AGroupThatTurnsBadBetweenChecksIsRefusedByTheServerItself) {
  const auto roles = world.roles();
  ASSERT_EQ(provision_check(roles), "");
  // The verdict is minutes old; the guard in the transaction is not.
  server.sql("ALTER ROLE readers CREATEROLE");
  EXPECT_EQ(provision_check(roles), "pg.group_role.createrole");
  server.sql("ALTER ROLE readers NOCREATEROLE");
  ASSERT_TRUE(world.target().list_owned(plenty).ok());
  EXPECT_EQ(provision_check(roles), "");
  server.sql("GRANT pg_signal_backend TO readers");
  EXPECT_EQ(provision_check(roles), "pg.group_role.predefined");
  server.sql("REVOKE pg_signal_backend FROM readers");
  ASSERT_TRUE(world.target().list_owned(plenty).ok());
  EXPECT_EQ(provision_check(roles), "");
}

TEST_P(PgCheck, ReconciliationTestsGroupsAgain) {
  const auto roles = world.roles();
  ASSERT_EQ(provision_check(roles), "");
  server.sql("GRANT TRIGGER ON app.orders TO readers", "orders");
  ASSERT_TRUE(world.target().list_owned(plenty).ok());
  EXPECT_EQ(provision_check(roles), "pg.group_role.trigger");
  server.sql("REVOKE TRIGGER ON app.orders FROM readers", "orders");
  ASSERT_TRUE(world.target().list_owned(plenty).ok());
  EXPECT_EQ(provision_check(roles), "");
}

TEST_P(PgCheck, AMissingGroupIsNamed) {
  const std::vector<core::RoleSpec> roles{PgWorld::role("ghost", "no\"such; group")};
  const auto findings = check(roles);
  const auto* finding = find(findings, "pg.group_role.exists");
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->fix, "CREATE ROLE \"no\"\"such; group\" NOLOGIN;");
  EXPECT_EQ(provision_check(roles), "pg.group_role.exists");
}

TEST_P(PgCheck, AnHeirMustBeHarmless) {
  const std::vector<core::RoleSpec> roles{PgWorld::role("maker", "makers", "made")};
  const std::vector<Broken> cases{
      {"pg.heir.login", "ALTER ROLE made LOGIN", ""},
      {"pg.heir.attributes", "ALTER ROLE made CREATEDB", ""},
      {"pg.heir.member", "GRANT readers TO made", ""},
      {"pg.heir.group", "GRANT made TO makers", "REVOKE made FROM makers"},
      {"pg.heir.create", "REVOKE CREATE ON SCHEMA work FROM made", ""},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.check);
    server.sql(one.by, "orders");
    const auto findings = check(roles);
    const auto* finding = find(findings, one.check);
    ASSERT_NE(finding, nullptr) << failures(findings);
    EXPECT_EQ(finding->grade, Grade::fail);
    const auto fresh = world.new_target();
    auto wanted = world.wanted(world.new_account());
    wanted.roles = roles;
    EXPECT_FALSE(fresh->provision(wanted, plenty).ok());
    if (finding->fix.find('<') == std::string::npos) server.sql(finding->fix, "orders");
    if (*one.undo != '\0') server.sql(one.undo, "orders");
    EXPECT_EQ(failures(check(roles)), "");
  }
  EXPECT_NE(find(check({PgWorld::role("maker", "makers", "nobody")}), "pg.heir.exists"), nullptr);
}

TEST_P(PgCheck, MissingRightsOfTheAdminLoginAreNamed) {
  const auto roles = world.roles();
  std::vector<std::pair<const char*, const char*>> cases{
      {"pg.server.identity", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"}};
  if (GetParam() == AdminKind::limited)  // the confined one has no such right: target_postgres_broker_test.cc
    cases.insert(cases.end(), {{"pg.admin.createrole", "ALTER ROLE dp_admin NOCREATEROLE"},
                               {"pg.admin.signal", "REVOKE pg_signal_backend FROM dp_admin"}});
  for (const auto& [name, by] : cases) {
    SCOPED_TRACE(name);
    server.sql(by, "orders");
    const auto fresh = world.new_target();
    const auto findings = check(*fresh, roles);
    const auto* finding = find(findings, name);
    ASSERT_NE(finding, nullptr) << failures(findings);
    EXPECT_EQ(finding->grade, Grade::fail);
    if (std::string_view(name).starts_with("pg.admin.")) {
      const auto made = fresh->provision(world.wanted(world.new_account()), plenty);
      ASSERT_FALSE(made.ok());
      EXPECT_EQ(made.error().check, name);
    } else {
      const auto identity = fresh->server_identity(plenty);
      ASSERT_FALSE(identity.ok());
      EXPECT_EQ(identity.error().check, name);
    }
    server.sql(finding->fix, "orders");
    EXPECT_EQ(failures(check(*fresh, roles)), "");
  }
  server.sql("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC", "orders");
}

TEST_P(PgCheck, OnSixteenTheAdminOptionIsNeeded) {
  if (!world.at_least(16)) GTEST_SKIP() << "15 and older: CREATEROLE is enough";
  const bool confined = GetParam() == AdminKind::confined;
  server.sql(std::string("REVOKE ADMIN OPTION FOR readers FROM ") + (confined ? "daypass_cnf001_keeper" : "dp_admin"));
  const auto fresh = world.new_target();
  const auto findings = check(*fresh, world.roles());
  const auto* finding = find(findings, confined ? "pg.broker.group_admin" : "pg.admin.group_admin");
  ASSERT_NE(finding, nullptr);
  server.sql(finding->fix);
  EXPECT_EQ(failures(check(*fresh, world.roles())), "");
}

TEST_P(PgCheck, PreparedTransactionsWithALimitedAdminAreRefused) {
  if (world.at_least(16)) GTEST_SKIP() << "16 and later: the admin login can act for every account";
  PgWorld::Options options;
  options.admin = GetParam();
  options.max_prepared_transactions = 5;
  PgWorld other(options);
  const auto findings = check(other.target(), other.roles());
  const auto* finding = find(findings, "pg.server.prepared_transactions");
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->grade, Grade::fail);
  EXPECT_FALSE(other.target().provision(other.wanted(other.new_account()), plenty).ok());
}

TEST_P(PgCheck, IdentityIsTheServersOwn) {
  const auto mine = world.target().server_identity(plenty);
  ASSERT_TRUE(mine.ok());
  EXPECT_EQ(*mine, "postgresql:" + server.value("SELECT system_identifier FROM pg_control_system()"));
  EXPECT_EQ(world.new_target()->server_identity(plenty).value(), *mine);
}

TEST_P(PgCheck, ALoginThatDoesNotWorkIsAFinding) {
  auto spec = world.spec();
  spec.settings.set("admin_user", "nobody_at_all");
  auto made = world.new_driver()->make(core::TenantId("default"), spec);
  ASSERT_TRUE(made.ok());
  const auto findings = check(**made, world.roles());
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].check, "pg.login");
  EXPECT_EQ(findings[0].grade, Grade::fail);
  spec.settings.set("port", std::int64_t{1});
  auto nowhere = world.new_driver()->make(core::TenantId("default"), spec);
  EXPECT_EQ(check(**nowhere, world.roles())[0].check, "pg.connect");
}

TEST_P(PgCheck, NothingSecretIsLogged) {
  const auto made = world.make();
  EXPECT_EQ(world.revoke(made), "");
  const std::string logged = world.log_text() + server.log_text();
  EXPECT_EQ(logged.find(first_password), std::string::npos);
  EXPECT_EQ(logged.find("the-admin-login-of-the-tests"), std::string::npos);
  // Verifiers may be in the server's log, where its operator logs statements; they are of random secrets and log nobody
  // in.
  EXPECT_EQ(world.log_text().find("SCRAM-SHA-256$"), std::string::npos);
}

}  // namespace
}  // namespace daypass::test
