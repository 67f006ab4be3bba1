// `daypass target check`: what is right and wrong with a server, its admin login and the groups that roles name.
#include <algorithm>
#include <cstdlib>

#include "target/postgres/postgres_target.h"

namespace daypass::target::postgres {
namespace {

using base::Result;
using Grade = Finding::Grade;

/// The server's clock against ours: VALID UNTIL is judged by theirs.
Finding clock_finding(std::int64_t server_ms, base::WallTime ours) {
  const std::int64_t apart = std::abs(server_ms - ours.time_since_epoch().count());
  Finding out{Grade::ok, "pg.server.clock", "clock", "the clocks agree within " + std::to_string(apart) + " ms", ""};
  if (apart <= 5'000) return out;
  out.grade = apart > 30'000 ? Grade::fail : Grade::warn;
  out.message =
      "the server's clock is " + std::to_string(apart / 1000) + " s away from ours, so accounts end early or late";
  out.fix = "run an NTP client on both machines";
  return out;
}

/// What can't be mended by a right more or less, of a login that uses its own.
void login_findings(const Connection& c, const TargetSettings& settings, std::vector<Finding>& out) {
  const auto& facts = c.facts();
  if (facts.superuser)
    out.push_back({Grade::warn, "pg.admin.superuser", settings.admin_user,
                   "is a superuser: who steals this login owns the server and its machine",
                   "a confined login: broker = \"functions\" and daypass target installer; or, on 16 and later, CREATE "
                   "ROLE … LOGIN CREATEROLE, and GRANT pg_signal_backend TO it"});
  else if (facts.version < 160000 && facts.createrole)
    out.push_back(
        {Grade::warn, "pg.admin.createrole_os", settings.admin_user,
         "on PostgreSQL 15 and older CREATEROLE is as good as the server's own account on its machine: it may make "
         "itself a member of pg_execute_server_program",
         "a confined login: broker = \"functions\" and daypass target installer; or guard this one as you guard root"});
}

/// What pg_hba.conf should say, and what it does say where we may look.
Result<std::vector<Finding>> hba_findings(Connection& c, const TargetSettings& settings,
                                          const std::vector<std::string>& groups, const Deadline& deadline) {
  std::vector<Finding> out;
  // The admin login first: on 16 and later its ADMIN OPTION makes it a member of each group, and "+group" means it,
  // too.
  std::string lines = std::string(settings.tls             ? "hostssl"
                                  : settings.unix_socket() ? "local"
                                                           : "host") +
                      " all \"" + settings.admin_user + "\" " +
                      (settings.unix_socket() ? "" : "<Daypass's address>/32 ") + "scram-sha-256\n";
  for (const auto& group : groups) {
    const std::string who = "\"" + settings.database + "\" \"+" + group + "\"";
    lines += settings.tls ? "hostssl " + who + " <gateway's address>/32 scram-sha-256 clientcert=verify-ca\n"
             : settings.unix_socket() ? "local " + who + " scram-sha-256\n"
                                      : "host " + who + " 127.0.0.1/32 scram-sha-256\n";
    lines += "host all \"+" + group + "\" all reject\nlocal all \"+" + group + "\" reject\n";
  }
  out.push_back(
      {Grade::ok, "pg.server.hba", "pg_hba.conf",
       "a user may change the password of the account and so log in past the gateway; only pg_hba.conf can stop that",
       lines});
  const auto allowed = c.run("SELECT has_function_privilege('pg_hba_file_rules()', 'EXECUTE')", deadline);
  if (!allowed) return to_error(allowed.error(), "look at pg_hba.conf");
  if (!allowed->front().yes(0, 0)) return out;
  const auto rules = c.run(
      "SELECT line_number FROM pg_hba_file_rules WHERE auth_method = 'trust' AND (database && ARRAY['all', 'sameuser', "
      "'samerole', " +
          c.literal(settings.database) + "]) AND (user_name && ('{all}'::text[] || ARRAY(SELECT '+' || g FROM unnest(" +
          c.array(groups) + ") g)))",
      deadline);
  if (!rules) return to_error(rules.error(), "look at pg_hba.conf");
  for (int i = 0; i < rules->front().size(); ++i)
    out.push_back({Grade::warn, "pg.server.hba_trust", "pg_hba.conf",
                   "line " + rules->front().text(i, 0) + " lets accounts in without a password, and so past their end",
                   "use scram-sha-256 there"});
  return out;
}

Result<std::vector<Finding>> server_findings(Connection& c, const base::Clock& clock, const Deadline& deadline) {
  const auto reply = c.run(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, current_setting('password_encryption'),"
      " has_function_privilege('pg_control_system()', 'EXECUTE'), current_setting('max_prepared_transactions'), "
      "current_user",
      deadline);
  if (!reply) return to_error(reply.error(), "look at the server");
  const Rows& row = reply->front();
  std::vector<Finding> out{clock_finding(row.number(0, 0), clock.wall())};
  if (row.at(0, 1) != "scram-sha-256")
    out.push_back({Grade::warn, "pg.server.password_encryption", "password_encryption",
                   "is " + row.text(0, 1) + ": a password that a user sets is kept in a form that can be replayed",
                   "ALTER SYSTEM SET password_encryption = 'scram-sha-256';"});
  if (!row.yes(0, 2))
    out.push_back({Grade::fail, "pg.server.identity", "pg_control_system()",
                   "the admin login may not read the server's identity, so nobody can tell two tenants' servers apart",
                   "GRANT EXECUTE ON FUNCTION pg_control_system() TO " + c.ident(row.at(0, 4)) + ";"});
  if (row.number(0, 3) > 0 && c.facts().version < 160000 && c.facts().superuser)
    out.push_back({Grade::warn, "pg.server.prepared", "max_prepared_transactions",
                   "a session can become its group (SET ROLE) and leave a prepared transaction of the group behind",
                   "ALTER SYSTEM SET max_prepared_transactions = 0; -- and restart the server"});
  return out;
}

}  // namespace

Result<std::vector<Finding>> PostgresTarget::check(const std::vector<core::RoleSpec>& roles, Millis budget) {
  const Deadline deadline(clock_, budget);
  std::map<std::string, bool> groups;  // group → some role of it creates
  std::vector<Membership> wanted;
  for (const auto& role : roles) {
    DP_TRY(Membership one, membership_of({role}));
    groups[one.groups.front()] = groups[one.groups.front()] || !one.heir.empty();
    wanted.push_back(std::move(one));
  }
  std::vector<Finding> out;
  // The first lease ends what an earlier process left; the look itself is at the database that sessions work in.
  auto connection = [&]() -> Result<std::unique_ptr<Connection>> {
    DP_TRY(const Pool::Lease lease, pool_.lease(Purpose::verify, deadline));
    return pool_.open(settings_.database, "check", deadline);
  }();
  if (!connection.ok()) {
    const auto& e = connection.error();
    out.push_back({Grade::fail, e.check, spec_subject(), e.message, e.hint});
    return out;
  }
  Connection& c = **connection;
  out.push_back(
      {Grade::ok, "pg.connect", spec_subject(), "PostgreSQL " + std::to_string(c.facts().version / 10000), ""});
  login_findings(c, settings_, out);
  const auto add = [&](Result<std::vector<Finding>> more) -> base::Status {
    if (!more.ok()) return std::move(more).error();
    for (auto& finding : *more) out.push_back(std::move(finding));
    return {};
  };
  DP_CHECK(add(examine_power(c, wanted, deadline)));
  DP_CHECK(add(server_findings(c, clock_, deadline)));
  std::vector<std::string> names;
  for (const auto& [group, creates] : groups) names.push_back(group);
  DP_CHECK(add(hba_findings(c, settings_, names, deadline)));
  for (const auto& [group, creates] : groups) DP_CHECK(add(examine_group(c, group, creates, deadline)));
  retest(deadline);
  return out;
}

std::string PostgresTarget::spec_subject() const {
  return settings_.host + ":" + std::to_string(settings_.port);
}

}  // namespace daypass::target::postgres
