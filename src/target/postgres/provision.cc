// Making an account, or bringing an own one to a wanted state.
#include <algorithm>

#include "crypto/scram.h"
#include "target/postgres/names.h"
#include "target/postgres/postgres_target.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Millis;
using base::Result;
using base::Status;

constexpr std::size_t least_password = 16;  // bytes; 128 random bits take at least as many
constexpr int extra_connections = 2;        // the gate counts exactly; the server's limit is the net below

/// The texts of one provisioning, ready for SQL.
struct Texts {
  std::string role, keys, lock, mine, mark, options, groups;
};

std::string group_guard(const Connection& c, const Membership& membership, bool deep) {
  return std::string(deep ? "EXECUTE dp_group_deep(" : "EXECUTE dp_group(") + c.array(membership.groups) + ");\n";
}

/// `mine` raises when the role is not ours, so it may only stand where the role exists.
Texts texts_for(const Connection& c, const Provision& wanted, const std::string& mark_text, const std::string& verifier,
                const Membership& membership, bool deep) {
  const std::string& name = wanted.account.name;
  const auto [first, second] = lock_keys(name);
  Texts t;
  t.role = c.ident(name);
  t.keys = "(" + std::to_string(first) + ", " + std::to_string(second) + ")";
  t.lock = "EXECUTE dp_lock" + t.keys + ";\n";
  t.mark = c.literal(mark_text);
  t.mine = "EXECUTE dp_mine(" + c.literal(name) + ", " + t.mark + ");\n";
  t.groups = group_guard(c, membership, deep);
  t.options = " PASSWORD " + c.literal(verifier) + " VALID UNTIL " + c.literal(base::to_rfc3339(wanted.valid_until)) +
              " CONNECTION LIMIT " + std::to_string(wanted.connections + extra_connections);
  return t;
}

std::string grant(const Connection& c, const std::string& group, const std::string& role) {
  // 16: rights flow by the membership's own option, and SET FALSE keeps the session from becoming the group.
  return "GRANT " + c.ident(group) + " TO " + role +
         (c.facts().version >= 160000 ? " WITH INHERIT TRUE, SET FALSE" : "") + ";\n";
}

Outcome<std::int64_t> create(Connection& c, const Texts& t, const Membership& membership, const Deadline& deadline) {
  std::string sql = t.lock + t.groups + "CREATE ROLE " + t.role +
                    " LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT NOREPLICATION NOBYPASSRLS" + t.options;
  if (c.facts().version < 160000) {
    sql += " IN ROLE ";
    for (const auto& group : membership.groups)
      sql += (&group == membership.groups.data() ? "" : ", ") + c.ident(group);
  }
  sql += ";\nCOMMENT ON ROLE " + t.role + " IS " + t.mark + ";\n";
  if (c.facts().version >= 160000)
    for (const auto& group : membership.groups) sql += grant(c, group, t.role);
  sql += "SELECT to_regrole(" + c.literal(t.role) + ")::oid";
  const auto reply = c.run(sql, deadline);
  if (!reply) return std::unexpected(reply.error());
  return reply->back().number(0, 0);
}

struct Existing {
  std::int64_t oid = 0;  ///< 0: there is no such role
  bool can_login = false;
  bool powerful = false;
  std::vector<std::string> groups;
  std::string strip;  ///< REVOKEs of what it is in beyond `groups` wanted, and of who is in it
};

/// Opens the transaction that `alter` or a ROLLBACK ends. 22P02 at statement 3: the role is not ours.
Outcome<Existing> look(Connection& c, const Texts& t, const Membership& membership, const std::string& name,
                       const Deadline& deadline) {
  const std::string r = c.literal(name);
  const auto reply =
      c.run("BEGIN;\n" + t.lock + t.groups + t.mine +
                "SELECT oid, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR"
                " rolbypassrls FROM pg_roles WHERE rolname = " +
                r + ";\nSELECT g.rolname, g.rolname = ANY (" + c.array(membership.groups) +
                "), format('REVOKE %I FROM %I;', g.rolname, a.rolname) FROM pg_auth_members m"
                " JOIN pg_roles a ON a.oid = m.member JOIN pg_roles g ON g.oid = m.roleid WHERE a.rolname = " +
                r +
                ";\nSELECT format('REVOKE %I FROM %I;', a.rolname, u.rolname) FROM pg_auth_members m"
                " JOIN pg_roles a ON a.oid = m.roleid JOIN pg_roles u ON u.oid = m.member"
                " WHERE u.rolname <> current_user AND a.rolname = " +
                r,
            deadline);
  if (!reply) return std::unexpected(reply.error());
  Existing out;
  const Rows& role = (*reply)[4];
  if (role.size() == 0) return out;
  out.oid = role.number(0, 0);
  out.can_login = role.yes(0, 1);
  out.powerful = role.yes(0, 2);
  const Rows& groups = (*reply)[5];
  for (int i = 0; i < groups.size(); ++i)
    if (groups.yes(i, 1))
      out.groups.push_back(groups.text(i, 0));
    else
      out.strip += groups.text(i, 2) + "\n";
  const Rows& members = (*reply)[6];
  for (int i = 0; i < members.size(); ++i) out.strip += members.text(i, 0) + "\n";
  return out;
}

/// Ends the transaction that look() opened. A password changed by the user is set back, too.
Outcome<Reply> alter(Connection& c, const Texts& t, const Membership& membership, const Existing& existing,
                     const Deadline& deadline) {
  std::string sql = "ALTER ROLE " + t.role + t.options + ";\n" + existing.strip;
  for (const auto& group : membership.groups)
    if (std::ranges::find(existing.groups, group) == existing.groups.end()) sql += grant(c, group, t.role);
  return c.run(sql + "COMMIT", deadline);
}

Error foreign(const std::string& name) {
  return {Code::conflict, "pg.foreign_role", "there is a role " + name + " that does not carry this grant's mark",
          "Daypass leaves it alone; look who made it"};
}

Error busy(const std::string& name) {
  return {Code::unavailable, "pg.account_busy", "another process is working on " + name, "try again"};
}

/// The account's lock is taken. By one of our own connections: busy. By anybody else: it no longer counts.
Status ignore_strangers_lock(Connection& c, Texts& t, const std::string& name, const Deadline& deadline) {
  const auto holders = c.run("EXECUTE dp_holder" + t.keys, deadline);
  if (!holders) return to_error(holders.error(), "make the account " + name);
  if (holders->front().number(0, 0) > 0) return busy(name);
  t.lock = "SELECT 1;\n";  // in its place, so that every statement keeps its own
  return {};
}

/// Undoes the transaction that look() opened; a connection that can't do that is of no more use.
void roll_back(Connection& c, const Deadline& deadline) {
  if (!c.run("ROLLBACK", deadline)) c.spoil();
}

}  // namespace

base::Result<std::string> PostgresTarget::provision(const Provision& wanted, Millis budget) {
  DP_CHECK(own_name(wanted.account));
  if (wanted.password.size() < least_password)
    return Error{Code::invalid, "pg.password", "an account's password needs at least 128 random bits"};
  if (wanted.connections < 1 || wanted.connections > 100'000)
    return Error{Code::invalid, "pg.connections", "an account needs 1 to 100000 connections"};
  DP_TRY(const Membership membership, membership_of(wanted.roles));
  const Deadline whole(clock_, budget);
  // What an unknown outcome leaves on the server must be ended within the same call.
  const Deadline work = whole.minus(std::min<Millis>(budget / 4, std::chrono::seconds(2)));
  DP_TRY(const Turns::Turn turn, turns_.take(wanted.account.name, work));
  DP_CHECK(pool_.settle(wanted.account.name, work));
  DP_TRY(bool deep, allowed(membership, work));
  // No access is given while the line that takes it away is not open.
  DP_CHECK(pool_.warm(Purpose::revoke, work));
  for (int attempt = 0;; ++attempt) {
    bool reused = false;
    auto made = [&]() -> Result<std::string> {
      DP_TRY(const Pool::Lease lease, pool_.lease(Purpose::provision, work));
      reused = lease.reused();
      auto outcome = make(*lease, wanted, membership, deep, work);
      if (!outcome.ok() && outcome.error().code == Code::timeout) pool_.condemn(wanted.account.name, *lease);
      return outcome;
    }();
    if (made.ok() || made.error().code != Code::timeout) return made;
    const Status settled = pool_.settle(wanted.account.name, whole);
    // An idle connection that the server had closed long ago: once the fence holds, the work may be done again.
    const bool again =
        settled.ok() && reused && attempt < 3 && made.error().check == "pg.connection_lost" && !work.passed();
    if (!again) return made;
  }
}

base::Result<std::string> PostgresTarget::make(Connection& c, const Provision& wanted, const Membership& membership,
                                               bool deep, const Deadline& deadline) {
  const std::string& name = wanted.account.name;
  const std::string doing = "make the account " + name;
  // One iteration: the server repeats the verifier's own count in CREATE ROLE, and stretching adds nothing to a random
  // secret.
  const std::string verifier = crypto::make_verifier(wanted.password, 1, entropy_).to_text();
  Texts t = texts_for(c, wanted, mark(instance_, wanted.account.grant), verifier, membership, deep);
  // Which guard spoke, by its place among the statements. Success: what it said is no reason any more, so once again.
  const auto heed = [&](const Failure& failure, std::size_t lock_at) -> Status {
    if (!failure.is(sqlstate::bad_text)) return to_error(failure, doing);
    if (failure.statement > lock_at + 1) return foreign(name);
    if (failure.statement == lock_at) return ignore_strangers_lock(c, t, name, deadline);
    forget(membership);
    DP_TRY(deep, allowed(membership, deadline));
    t.groups = group_guard(c, membership, deep);
    return {};
  };
  for (int round = 0; round < 5; ++round) {
    // CREATE first saves a round trip; an account that is known to be there would only fill the server's log with
    // errors.
    if (round > 0 || !made_here(name)) {
      const auto created = create(c, t, membership, deadline);
      if (created) {
        remember(name, true);
        return Handle{*created, membership}.text();
      }
      if (!created.error().is(sqlstate::duplicate_object) && !created.error().is(sqlstate::unique_violation)) {
        DP_CHECK(heed(created.error(), 0));
        continue;
      }
    }
    const auto existing = look(c, t, membership, name, deadline);
    if (!existing) {
      DP_CHECK(heed(existing.error(), 1));
      continue;
    }
    if (existing->oid != 0 && existing->can_login && !existing->powerful) {
      const auto altered = alter(c, t, membership, *existing, deadline);
      if (!altered) return to_error(altered.error(), doing);
      remember(name, true);
      return Handle{existing->oid, membership}.text();
    }
    roll_back(c, deadline);
    if (existing->oid == 0) continue;  // dropped between the two looks
    // Only a revocation takes LOGIN away, and what has begun to end is never brought back.
    if (!existing->can_login)
      return Error{Code::conflict, "pg.account_ending", name + " is being revoked", "open a new grant"};
    return Error{Code::conflict, "pg.account_changed", name + " was given attributes that Daypass never gives",
                 "look who changed it"};
  }
  return busy(name);
}

}  // namespace daypass::target::postgres
