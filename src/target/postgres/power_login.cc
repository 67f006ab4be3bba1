// The admin login's own rights: CREATEROLE and pg_signal_backend, or a superuser's.
#include <algorithm>

#include "target/postgres/group.h"
#include "target/postgres/names.h"
#include "target/postgres/power.h"

namespace daypass::target::postgres {
namespace {

using base::Result;
using base::Status;

/// The texts of one provisioning, ready for SQL.
struct Texts {
  std::string role, lock, mine, mark, options, groups;
};

std::string group_guard(const Connection& c, const Membership& membership, bool deep) {
  return std::string(deep ? "EXECUTE dp_group_deep(" : "EXECUTE dp_group(") + c.array(membership.groups) + ");\n";
}

/// `mine` raises when the role is not ours, so it may only stand where the role exists.
Texts texts_for(const Connection& c, const Making& m) {
  Texts t;
  t.role = c.ident(m.whom.name);
  t.lock = "EXECUTE dp_lock" + lock_of(m.whom.name) + ";\n";
  t.mark = c.literal(m.whom.mark);
  t.mine = "EXECUTE dp_mine(" + c.literal(m.whom.name) + ", " + t.mark + ");\n";
  t.groups = group_guard(c, m.membership, m.deep);
  t.options = " PASSWORD " + c.literal(m.verifier) + " VALID UNTIL " + c.literal(base::to_rfc3339(m.valid_until)) +
              " CONNECTION LIMIT " + std::to_string(m.connections);
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

/// Undoes the transaction that look() opened; a connection that can't do that is of no more use.
void roll_back(Connection& c, const Deadline& deadline) {
  if (!c.run("ROLLBACK", deadline)) c.spoil();
}

class LoginPower final : public Power {
 public:
  explicit LoginPower(const TargetSettings& settings) : settings_(settings) {}

  Result<std::int64_t> make(Connection& c, Making m, const Deadline& deadline) const override {
    const std::string& name = m.whom.name;
    const std::string doing = "make the account " + name;
    Texts t = texts_for(c, m);
    // Which guard spoke, by its place among the statements. Success: what it said is no reason any more, so once again.
    const auto heed = [&](const Failure& failure, std::size_t lock_at) -> Status {
      if (!failure.is(sqlstate::bad_text)) return to_error(failure, doing);
      if (failure.statement > lock_at + 1) return foreign_role(name);
      if (failure.statement == lock_at) return ignore_strangers_lock(c, t.lock, name, deadline);
      DP_TRY(m.deep, m.judge_again());
      t.groups = group_guard(c, m.membership, m.deep);
      return {};
    };
    for (int round = 0; round < 5; ++round) {
      // CREATE first saves a round trip; an account that is known to be there would only fill the server's log with
      // errors.
      if (round > 0 || !m.known) {
        const auto created = create(c, t, m.membership, deadline);
        if (created) return *created;
        if (!created.error().is(sqlstate::duplicate_object) && !created.error().is(sqlstate::unique_violation)) {
          DP_CHECK(heed(created.error(), 0));
          continue;
        }
      }
      const auto existing = look(c, t, m.membership, name, deadline);
      if (!existing) {
        DP_CHECK(heed(existing.error(), 1));
        continue;
      }
      if (existing->oid != 0 && existing->can_login && !existing->powerful) {
        const auto altered = alter(c, t, m.membership, *existing, deadline);
        if (!altered) return to_error(altered.error(), doing);
        return existing->oid;
      }
      roll_back(c, deadline);
      if (existing->oid == 0) continue;  // dropped between the two looks
      if (!existing->can_login) return account_ending(name);
      return account_changed(name);
    }
    return account_busy(name);
  }

  std::string shut(const Connection& c, const Whom& whom) const override {
    return "ALTER ROLE " + c.ident(whom.name) + " NOLOGIN VALID UNTIL '1970-01-01 00:00:00+00'";
  }
  std::string drop(const Connection& c, const Whom& whom) const override { return "DROP ROLE " + c.ident(whom.name); }
  std::string kill(const Connection& /*c*/, const Whom& /*whom*/, std::int64_t oid) const override {
    return "EXECUTE dp_kill(" + std::to_string(oid) + ")";
  }
  std::string kill_orphans(std::int64_t oid) const override {
    const std::string text = std::to_string(oid);
    return "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_get_activity(NULL) a WHERE a.usesysid = " + text +
           " AND NOT EXISTS (SELECT 1 FROM pg_roles WHERE oid = " + text + ")";
  }

  Outcome<std::int64_t> strip(Connection& c, const Whom& /*whom*/, std::int64_t oid,
                              const Deadline& deadline) const override {
    const std::string text = std::to_string(oid);
    const auto list = c.run(
        "SELECT format('REVOKE %I FROM %I', g.rolname, u.rolname) FROM pg_auth_members m JOIN pg_roles g ON"
        " g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member WHERE m.member = " +
            text + " OR (m.roleid = " + text + " AND u.rolname <> current_user)",
        deadline);
    if (!list) return std::unexpected(list.error());
    std::int64_t stay = 0;
    for (int i = 0; i < list->front().size(); ++i) {
      // One by one, and none decides: what somebody else granted only falls with the role itself, at DROP ROLE.
      const auto reply = c.run(list->front().text(i, 0), deadline);
      if (!reply && reply.error().unknown()) return std::unexpected(reply.error());
      if (!reply) ++stay;
    }
    return stay;
  }

  /// Makes the admin login a member of the account. A superuser acts for everybody.
  Outcome<void> act_for(Connection& c, const Whom& whom, Errand /*errand*/, const Deadline& deadline) const override {
    if (c.facts().superuser) return {};
    const auto reply = c.run("GRANT " + c.ident(whom.name) + " TO CURRENT_USER" +
                                 (c.facts().version >= 160000 ? " WITH INHERIT TRUE, SET TRUE" : ""),
                             deadline);
    if (!reply) return std::unexpected(reply.error());
    return {};
  }

  /// As the account, which by now is a member of nothing, one may end exactly the account's own processes and is
  /// refused for all others.
  Outcome<bool> end_login(Connection& c, const Whom& whom, int pid, const Deadline& deadline) const override {
    if (auto joined = act_for(c, whom, Errand::sessions, deadline); !joined) return std::unexpected(joined.error());
    const auto reply = c.run("BEGIN;\nSET LOCAL ROLE " + c.ident(whom.name) + ";\nSELECT pg_terminate_backend(" +
                                 std::to_string(pid) + ");\nCOMMIT",
                             deadline);
    if (reply) return (*reply)[2].size() == 1 && (*reply)[2].yes(0, 0);
    if (reply.error().is(sqlstate::insufficient_privilege)) return false;
    return std::unexpected(reply.error());
  }

  Status clear(Connection& /*home*/, Connection& there, const Leaver& leaver, const Deadline& deadline) const override {
    return clear_database(there, leaver, deadline);
  }

  Result<std::vector<Finding>> examine(Connection& /*home*/, Connection& there, const std::vector<Membership>& wanted,
                                       const Deadline& deadline) const override {
    std::vector<Finding> out = examine_admin(there, settings_);
    const auto add = [&](std::vector<Finding> more) {
      for (auto& finding : more) out.push_back(std::move(finding));
    };
    for (const auto& group : groups_in(wanted)) {
      DP_TRY(auto admin, examine_group_admin(there, group, "current_user", deadline));
      add(std::move(admin));
    }
    for (const auto& membership : wanted) {
      DP_TRY(auto heir, examine_heir(there, membership, "current_user", deadline));
      add(std::move(heir));
    }
    return out;
  }

 private:
  TargetSettings settings_;
};

}  // namespace

std::unique_ptr<Power> login_power(const TargetSettings& settings) {
  return std::make_unique<LoginPower>(settings);
}

// ---- what both say ----

base::Error foreign_role(const std::string& name) {
  return {base::Code::conflict, "pg.foreign_role", "there is a role " + name + " that does not carry this grant's mark",
          "Daypass leaves it alone; look who made it or changed its comment"};
}

base::Error account_busy(const std::string& name) {
  return {base::Code::unavailable, "pg.account_busy", "another process is working on " + name, "try again"};
}

// Only a revocation takes LOGIN away, and what has begun to end is never brought back.
base::Error account_ending(const std::string& name) {
  return {base::Code::conflict, "pg.account_ending", name + " is being revoked", "open a new grant"};
}

base::Error account_changed(const std::string& name) {
  return {base::Code::conflict, "pg.account_changed", name + " was given attributes that Daypass never gives",
          "look who changed it"};
}

std::string lock_of(const std::string& account) {
  const auto [first, second] = lock_keys(account);
  return "(" + std::to_string(first) + ", " + std::to_string(second) + ")";
}

Status ignore_strangers_lock(Connection& c, std::string& lock, const std::string& name, const Deadline& deadline) {
  const auto holders = c.run("EXECUTE dp_holder" + lock_of(name), deadline);
  if (!holders) return to_error(holders.error(), "make the account " + name);
  if (holders->front().number(0, 0) > 0) return account_busy(name);
  lock = "SELECT 1;\n";
  return {};
}

}  // namespace daypass::target::postgres
