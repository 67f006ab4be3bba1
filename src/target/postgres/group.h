// Which group roles may be used: the rules, each with a name of its own, and the SQL that mends what breaks one.
#pragma once

#include <set>
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

/// Tests the role that inherits tables: "pg.heir.<rule>". `actor` is an SQL expression for the role that hands over.
base::Result<std::vector<Finding>> examine_heir(Connection& connection, const Membership& membership,
                                                const std::string& actor, const Deadline& deadline);

/// What the admin login must be able to do for an account to be made and taken away: "pg.admin.<right>".
std::vector<Finding> examine_admin(const Connection& connection, const TargetSettings& settings);
/// 16 and later: only who has the ADMIN OPTION on a group may make somebody its member. `actor` as above.
base::Result<std::vector<Finding>> examine_group_admin(Connection& connection, const std::string& group,
                                                       const std::string& actor, const Deadline& deadline);
/// 15 and older: what a prepared transaction can do to an admin login that is no superuser.
std::vector<Finding> examine_prepared(const Connection& connection);

/// Whether one of the groups is itself in a role: then that role must be looked at, too.
base::Result<bool> is_in_roles(Connection& connection, const std::vector<std::string>& groups,
                               const Deadline& deadline);

/// Each group once, in order.
std::set<std::string> groups_in(const std::vector<Membership>& memberships);

/// The first finding that forbids, as an Error; success when there is none.
base::Status first_failure(const std::vector<Finding>& findings);

}  // namespace daypass::target::postgres
