// Which group roles may be used: the rules, each with a name of its own, and the SQL that mends what breaks one.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "target/postgres/connection.h"
#include "target/postgres/settings.h"
#include "target/target.h"

namespace daypass::target::postgres {

/// Tests one group role, with every role it is in and with what PUBLIC may do. `connection` must be to the target's own
/// database. `creates`: sessions may make tables, so CREATE on schemas is no failure. One finding of grade ok when
/// nothing is wrong. Checks: "pg.group_role.<rule>", see group_rules.cc.
base::Result<std::vector<Finding>> examine_group(Connection& connection, const std::string& group, bool creates,
                                                 const Deadline& deadline);

/// Tests the role that inherits tables: "pg.heir.<rule>".
base::Result<std::vector<Finding>> examine_heir(Connection& connection, const Membership& membership,
                                                const Deadline& deadline);

/// What the admin login must be able to do for an account to be made and taken away: "pg.admin.<right>".
std::vector<Finding> examine_admin(const Connection& connection, const TargetSettings& settings);
/// 16 and later: only who has the ADMIN OPTION on a group may make somebody its member.
base::Result<std::vector<Finding>> examine_group_admin(Connection& connection, const std::string& group,
                                                       const Deadline& deadline);

/// Whether one of the groups is itself in a role: then that role must be looked at, too.
base::Result<bool> is_in_roles(Connection& connection, const std::vector<std::string>& groups,
                               const Deadline& deadline);

/// The first finding that forbids, as an Error; success when there is none.
base::Status first_failure(const std::vector<Finding>& findings);

}  // namespace daypass::target::postgres
