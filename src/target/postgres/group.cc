#include "target/postgres/group.h"

#include "target/postgres/group_rules.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using Grade = Finding::Grade;

/// All rules in one round trip.
base::Result<std::vector<Finding>> apply(Connection& connection, const std::vector<Rule>& rules,
                                         const std::string& subject, const char* all_well, const Deadline& deadline) {
  std::string sql;
  for (const auto& rule : rules) sql += rule.sql + ";\n";
  const auto reply = connection.run(sql, deadline);
  if (!reply) return to_error(reply.error(), "look at role " + subject);
  std::vector<Finding> out;
  for (std::size_t i = 0; i < rules.size(); ++i)
    for (int row = 0; row < (*reply)[i].size(); ++row)
      out.push_back({rules[i].grade, rules[i].check, subject, (*reply)[i].text(row, 0), (*reply)[i].text(row, 1)});
  if (out.empty()) out.push_back({Grade::ok, all_well, subject, "may be used", ""});
  return out;
}

}  // namespace

base::Result<std::vector<Finding>> examine_group(Connection& connection, const std::string& group, bool creates,
                                                 const Deadline& deadline) {
  return apply(connection, group_rules(connection.literal(group), creates, connection.facts().version), group,
               "pg.group_role", deadline);
}

base::Result<std::vector<Finding>> examine_heir(Connection& connection, const Membership& membership,
                                                const std::string& actor, const Deadline& deadline) {
  if (membership.heir.empty()) return std::vector<Finding>{};
  return apply(connection,
               heir_rules(connection.literal(membership.heir), connection.array(membership.groups), actor,
                          connection.facts().version),
               membership.heir, "pg.heir", deadline);
}

base::Result<std::vector<Finding>> examine_group_admin(Connection& connection, const std::string& group,
                                                       const std::string& actor, const Deadline& deadline) {
  if (connection.facts().version < 160000) return std::vector<Finding>{};
  const auto reply =
      connection.run("SELECT format('GRANT %I TO %I WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;', r.rolname, " + actor +
                         "), " + actor + " FROM pg_roles r WHERE r.rolname = " + connection.literal(group) +
                         " AND NOT pg_has_role(" + actor + ", r.oid, 'MEMBER WITH ADMIN OPTION')",
                     deadline);
  if (!reply) return to_error(reply.error(), "look at the admin login");
  std::vector<Finding> out;
  if (reply->front().size() > 0)
    out.push_back({Grade::fail, "pg.admin.group_admin", group,
                   reply->front().text(0, 1) + " lacks the ADMIN OPTION on this group", reply->front().text(0, 0)});
  return out;
}

std::vector<Finding> examine_prepared(const Connection& connection) {
  const auto& facts = connection.facts();
  std::vector<Finding> out;
  // 14 and older let a session revoke its own role from the admin; 15 lets it prepare a transaction as the group.
  // Either keeps the role's row locked with no session left to end, and only a superuser may roll such a transaction
  // back.
  if (facts.version < 160000 && facts.prepared_max > 0 && !facts.superuser)
    out.push_back(
        {Grade::fail, "pg.server.prepared_transactions", "max_prepared_transactions",
         "a session can block its own revocation with a prepared transaction that only a superuser may roll back",
         "ALTER SYSTEM SET max_prepared_transactions = 0; -- and restart the server"});
  return out;
}

std::vector<Finding> examine_admin(const Connection& connection, const TargetSettings& settings) {
  const auto& facts = connection.facts();
  const std::string& user = settings.admin_user;
  const std::string quoted = connection.ident(user);
  std::vector<Finding> out;
  if (!facts.createrole)
    out.push_back(
        {Grade::fail, "pg.admin.createrole", user, "may not make roles", "ALTER ROLE " + quoted + " CREATEROLE;"});
  if (!facts.may_signal)
    out.push_back({Grade::fail, "pg.admin.signal", user,
                   "may not end the sessions of others, so access could not be taken away",
                   "GRANT pg_signal_backend TO " + quoted + ";"});
  for (auto& finding : examine_prepared(connection)) out.push_back(std::move(finding));
  return out;
}

base::Result<bool> is_in_roles(Connection& connection, const std::vector<std::string>& groups,
                               const Deadline& deadline) {
  const auto reply = connection.run(
      "SELECT EXISTS (SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = ANY (" +
          connection.array(groups) + "))",
      deadline);
  if (!reply) return to_error(reply.error(), "look at the groups");
  return reply->front().yes(0, 0);
}

std::set<std::string> groups_in(const std::vector<Membership>& memberships) {
  std::set<std::string> out;
  for (const auto& membership : memberships) out.insert(membership.groups.begin(), membership.groups.end());
  return out;
}

base::Status first_failure(const std::vector<Finding>& findings) {
  for (const auto& finding : findings)
    if (finding.grade == Grade::fail)
      return Error{Code::unavailable, finding.check, finding.subject + ": " + finding.message, finding.fix};
  return {};
}

}  // namespace daypass::target::postgres
