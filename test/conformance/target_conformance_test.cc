// The suite on a real PostgreSQL, with an admin login that may only make roles, with a superuser, and with a login that
// may do nothing but call installed functions.
#include "conformance/target_postgres_world.h"
#include "conformance/target_suite.h"

namespace daypass::test {

INSTANTIATE_TEST_SUITE_P(Postgres, TargetSuite,
                         ::testing::Values([]() -> TargetWorld& { return PgWorld::limited(); },
                                           []() -> TargetWorld& { return PgWorld::superuser(); },
                                           []() -> TargetWorld& { return PgWorld::confined(); }),
                         [](const auto& instance) { return to_string(static_cast<AdminKind>(instance.index)); });

}  // namespace daypass::test
