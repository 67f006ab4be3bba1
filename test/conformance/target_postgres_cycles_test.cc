// An account after the other, each used and taken away: the server's catalogs are as they were before the first, so
// that there is no number of accounts after which the next one fails. DAYPASS_CYCLES says how many (20).
#include <gtest/gtest.h>

#include <cstdlib>

#include "conformance/target_postgres_world.h"

namespace daypass::test {
namespace {

class PgCycles : public ::testing::TestWithParam<AdminKind> {};
INSTANTIATE_TEST_SUITE_P(Admin, PgCycles,
                         ::testing::Values(AdminKind::limited, AdminKind::superuser, AdminKind::confined),
                         [](const auto& p) { return to_string(p.param); });

/// All that a role can leave in a cluster's shared catalogs and in its database's lists of rights, row by row.
std::string catalogs(PgWorld& world) {
  return world.server->value(
      "SELECT concat_ws(chr(10),"
      " (SELECT string_agg(rolname || rolcanlogin || rolconnlimit, ',' ORDER BY rolname) FROM pg_authid),"
      " (SELECT string_agg(roleid::regrole || '<' || member::regrole || '<' || grantor::regrole, ','"
      "   ORDER BY roleid, member, grantor) FROM pg_auth_members),"
      " (SELECT count(*) FROM pg_shdepend), (SELECT count(*) FROM pg_shdescription),"
      " (SELECT count(*) FROM pg_db_role_setting), (SELECT count(*) FROM pg_default_acl),"
      " (SELECT count(*) FROM pg_init_privs),"
      " (SELECT string_agg(datname || coalesce(datacl::text, ''), ',' ORDER BY datname) FROM pg_database),"
      " (SELECT string_agg(nspname || coalesce(nspacl::text, ''), ',' ORDER BY oid) FROM pg_namespace"
      "   WHERE nspname !~ '^pg_(toast_)?temp_'),"
      " (SELECT string_agg(relname || coalesce(relacl::text, ''), ',' ORDER BY oid) FROM pg_class"
      "   WHERE relnamespace::regnamespace::text !~ '^pg_(toast_)?temp_'),"
      " (SELECT string_agg(proname || coalesce(proacl::text, ''), ',' ORDER BY oid) FROM pg_proc))",
      "orders");
}

TEST_P(PgCycles, LeaveTheServerAsItWas) {
  PgWorld& world = PgWorld::of(GetParam());
  const char* wanted = std::getenv("DAYPASS_CYCLES");
  const int cycles = wanted == nullptr ? 20 : std::atoi(wanted);
  const auto cycle = [&] {
    const auto made = world.make();
    ASSERT_TRUE(world.client(made.account.name).run("SELECT 1").ok());
    ASSERT_EQ(world.revoke(made), "");
    ASSERT_EQ(world.look(made), core::Presence::absent);
  };
  // The first may bring what stays: the instance's own roles, say.
  cycle();
  const std::string before = catalogs(world);
  for (int i = 0; i < cycles && !HasFatalFailure(); ++i) cycle();
  EXPECT_EQ(catalogs(world), before) << "after " << cycles << " cycles";
}

}  // namespace
}  // namespace daypass::test
