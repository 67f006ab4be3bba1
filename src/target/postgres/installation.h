// What of an installation is on a server, compared with what should be.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "target/postgres/connection.h"
#include "target/postgres/installed.h"
#include "target/postgres/settings.h"
#include "target/target.h"

namespace daypass::target::postgres {

/// Looks at the login, the roles behind the functions, the functions in `home` and `there` (may be one connection) and
/// the lists. Findings "pg.broker.<what>": login, roles, installed, functions, execute, version, group, group_admin,
/// heir; one of grade ok, "pg.broker", that says the version and the limits.
base::Result<std::vector<Finding>> examine_installation(Connection& home, Connection& there, const Installed& names,
                                                        const TargetSettings& settings,
                                                        const std::vector<Membership>& wanted,
                                                        const Deadline& deadline);

}  // namespace daypass::target::postgres
