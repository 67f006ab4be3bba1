// The suite on a real PostgreSQL, with an admin login that may only make roles and with a superuser.
#include "conformance/target_postgres_world.h"
#include "conformance/target_suite.h"

namespace daypass::test {

INSTANTIATE_TEST_SUITE_P(Postgres, TargetSuite,
                         ::testing::Values([]() -> TargetWorld& { return PgWorld::limited(); },
                                           []() -> TargetWorld& { return PgWorld::superuser(); }),
                         [](const auto& instance) { return instance.index == 0 ? "limited" : "superuser"; });

}  // namespace daypass::test
