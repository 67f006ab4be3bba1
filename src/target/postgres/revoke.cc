#include "target/postgres/revoke.h"

#include <charconv>

#include "target/postgres/names.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Millis;
using base::Status;

/// A login that takes longer than this between its LOGIN test and its place in pg_stat_activity is looked at by name.
constexpr auto login_patience = Millis(20);
constexpr int most_rounds = 50;
/// With less than this left another look would only run into the deadline and cost the connection.
constexpr auto too_late = Millis(20);

/// Another transaction keeps a row that we need; the account's own one may, on purpose.
bool is_blocked(const Failure& f) {
  return f.is(sqlstate::lock_not_available) || f.is(sqlstate::deadlock) || f.is(sqlstate::internal_error);
}

/// "7,9"
std::set<int> pids(std::string_view list) {
  std::set<int> out;
  const char* at = list.data();
  for (const char* const end = at + list.size(); at != end;) {
    int pid = 0;
    const auto [rest, error] = std::from_chars(at, end, pid);
    if (error == std::errc()) out.insert(pid);
    at = rest == end ? end : rest + 1;  // behind the comma
  }
  return out;
}

/// Stands where the lock's guard was, so that every statement keeps its place.
constexpr const char* no_lock = "SELECT 1;\n";

/// The role and every role it is in, as rolname.
constexpr const char* closure_of =
    "WITH RECURSIVE c(oid) AS (SELECT oid FROM pg_roles WHERE oid = %OID%"
    " UNION SELECT m.roleid FROM pg_auth_members m JOIN c ON m.member = c.oid) ";

std::string with_oid(std::string text, std::int64_t oid) {
  for (std::size_t at = 0; (at = text.find("%OID%", at)) != std::string::npos;)
    text.replace(at, 5, std::to_string(oid));
  return text;
}

}  // namespace

Revocation::Revocation(Pool& pool, const Power& power, Connection& connection, const base::Log& log, Subject subject,
                       const Deadline& deadline)
    : pool_(pool), power_(power), c_(connection), log_(log), subject_(std::move(subject)), deadline_(deadline) {
  keys_ = lock_of(subject_.whom.name);
  lock_ = "EXECUTE dp_lock" + keys_ + ";\n";
  look_ = "EXECUTE dp_look(" + c_.literal(subject_.whom.name) + ")";
  mine_ = "EXECUTE dp_mine(" + c_.literal(subject_.whom.name) + ", " + c_.literal(subject_.whom.mark) + ");\n";
}

Error Revocation::failed(const Failure& failure) const {
  return to_error(failure, "revoke " + subject_.whom.name);
}

Error Revocation::foreign() const {
  return foreign_role(subject_.whom.name);
}

Error Revocation::busy() const {
  return account_busy(subject_.whom.name);
}

Status Revocation::run() {
  DP_TRY(const Shut shut, shut_out());
  if (shut == Shut::absent) return end_orphans();
  for (int round = 0; round < most_rounds; ++round) {
    if (sessions_ || prepared_ || objects_ || !starting_.empty()) {
      // Only now: an account that nobody uses loses its memberships with the role itself, in one transaction less.
      DP_CHECK(strip_memberships());
      DP_CHECK(end_sessions());
      if (prepared_) DP_CHECK(end_prepared(false));
      if (objects_) DP_CHECK(clear());
    }
    DP_TRY(const bool dropped, drop());
    if (dropped) return {};
    if (deadline_.left() <= too_late)
      return Error{Code::timeout, "pg.timeout", "there was not enough time to remove " + subject_.whom.name};
  }
  return busy();
}

base::Result<Revocation::Shut> Revocation::shut_out() {
  for (;;) {
    // The look behind the COMMIT sees every login that passed the LOGIN test before it: in pg_stat_activity, or under
    // way. This commit need not reach the disk by itself: a crash ends every session, and nobody was told "done" yet.
    const auto reply = c_.run("BEGIN;\nSET LOCAL synchronous_commit = off;\n" + lock_ + mine_ +
                                  power_.shut(c_, subject_.whom) + ";\nCOMMIT;\n" + look_,
                              deadline_);
    if (reply) return note((*reply)[6]) ? Shut::done : Shut::absent;
    const Failure& failure = reply.error();
    if (failure.is(sqlstate::undefined_object)) return Shut::absent;
    if (failure.is(sqlstate::bad_text)) {
      if (failure.statement != 2) return foreign();
      DP_CHECK(wait_for_lock());
      continue;
    }
    if (!is_blocked(failure) || deadline_.left() <= too_late) return failed(failure);
    DP_CHECK(unblock());
  }
}

/// Takes in a row of dp_look; false when there is no such role.
bool Revocation::note(const Rows& row) {
  if (row.null(0, 0)) return false;
  oid_ = row.number(0, 0);
  starting_ = pids(row.at(0, 1));
  sessions_ = row.yes(0, 2);
  prepared_ = row.yes(0, 3);
  objects_ = row.yes(0, 4);
  return true;
}

/// Waits while another of our own connections works on the account. Anybody else's lock is no reason to wait.
Status Revocation::wait_for_lock() {
  const auto holders = c_.run("EXECUTE dp_holder" + keys_, deadline_);
  if (!holders) return failed(holders.error());
  if (holders->front().number(0, 0) == 0) {
    lock_ = no_lock;
    return {};
  }
  if (deadline_.left() <= too_late) return busy();
  deadline_.pause(Millis(20));
  return {};
}

/// The row is held by somebody's transaction. A session of the account can do that (ALTER ROLE on itself, and wait),
/// and so can a transaction that it prepared, even as a group that it had become: those are ended first, whatever else.
Status Revocation::unblock() {
  const auto mine = c_.run(mine_, deadline_);
  if (!mine) return mine.error().is(sqlstate::bad_text) ? foreign() : failed(mine.error());
  if (mine->front().size() == 0) return {};
  oid_ = mine->front().number(0, 0);
  const auto killed = c_.run(power_.kill(c_, subject_.whom, oid_), deadline_);
  if (!killed && killed.error().is(sqlstate::undefined_object)) return {};
  if (!killed) {
    if (!killed.error().is(sqlstate::insufficient_privilege)) return failed(killed.error());
    DP_CHECK(act_for(Errand::sessions));
  }
  return c_.facts().prepared_max > 0 ? end_prepared(true) : Status{};
}

Status Revocation::act_for(Errand errand) {
  if (acting_.contains(errand)) return {};
  const auto done = power_.act_for(c_, subject_.whom, errand, deadline_);
  if (!done) return failed(done.error());
  acting_.insert(errand);
  return {};
}

Status Revocation::strip_memberships() {
  if (stripped_) return {};
  const auto stay = power_.strip(c_, subject_.whom, oid_, deadline_);
  if (!stay) return failed(stay.error());
  if (*stay > 0)
    log_.warn("memberships stay until the role is dropped", {{"account", subject_.whom.name}, {"count", *stay}});
  stripped_ = true;
  return {};
}

/// Terminates until a look finds neither a session nor one of the logins that were under way.
Status Revocation::end_sessions() {
  const std::string kill = power_.kill(c_, subject_.whom, oid_);
  bool patience_over = false;
  const Deadline patience = deadline_.within(login_patience);
  for (auto step = Millis(1);; step = std::min(step * 2, Millis(10))) {
    if (!starting_.empty()) {
      const auto now = c_.run(look_, deadline_);
      if (!now) return failed(now.error());
      const auto seen = pids(now->front().at(0, 1));
      std::erase_if(starting_, [&](int pid) { return !seen.contains(pid); });
      patience_over = patience_over || patience.passed();
      if (!starting_.empty() && patience_over) DP_CHECK(end_hidden());
    }
    const auto killed = c_.run(kill, deadline_);
    if (!killed) {
      const bool again = killed.error().is(sqlstate::insufficient_privilege) && !acting_.contains(Errand::sessions);
      if (!again) return failed(killed.error());
      DP_CHECK(act_for(Errand::sessions));
      continue;
    }
    if (killed->front().number(0, 0) == 0 && starting_.empty()) break;
    if (deadline_.left() <= too_late)
      return Error{Code::timeout, "pg.backend_alive", "sessions of " + subject_.whom.name + " do not end",
                   "a server process may be stuck; look at pg_stat_activity"};
    deadline_.pause(step);
  }
  sessions_ = false;
  return {};
}

/// Logins that hang between their LOGIN test and pg_stat_activity (a client may ask for that: post_auth_delay). Whose
/// they are can't be seen, but the server knows.
Status Revocation::end_hidden() {
  for (auto it = starting_.begin(); it != starting_.end();) {
    const auto ours = power_.end_login(c_, subject_.whom, *it, deadline_);
    if (!ours) return failed(ours.error());
    it = *ours ? std::next(it) : starting_.erase(it);
  }
  return {};
}

/// Rolls back what the account prepared; with `blockers` also what a group it is in prepared, where that holds roles:
/// no group may log in, so such a transaction comes from an account that had become the group (15 and older).
Status Revocation::end_prepared(bool blockers) {
  const std::string where =
      "p.owner = (SELECT rolname FROM pg_roles WHERE oid = %OID%)" +
      std::string(
          blockers
              ? " OR (p.owner IN (SELECT rolname FROM c JOIN pg_roles USING (oid)) AND EXISTS (SELECT 1 FROM pg_locks t"
                " JOIN pg_locks r ON r.virtualtransaction = t.virtualtransaction AND r.pid IS NULL WHERE t.pid IS NULL"
                " AND t.locktype = 'transactionid' AND t.transactionid = p.transaction AND r.relation IN"
                " ('pg_authid'::regclass, 'pg_auth_members'::regclass, 'pg_db_role_setting'::regclass,"
                " 'pg_shdescription'::regclass, 'pg_shdepend'::regclass)))"
              : "");
  const auto list = c_.run(with_oid(closure_of + ("SELECT p.database, quote_ident(p.owner), quote_literal(p.gid)"
                                                  " FROM pg_prepared_xacts p WHERE " +
                                                  where),
                                    oid_),
                           deadline_);
  if (!list) return failed(list.error());
  if (list->front().size() > 0) DP_CHECK(act_for(Errand::prepared));
  for (int i = 0; i < list->front().size(); ++i)
    DP_CHECK(roll_back_prepared(list->front().text(i, 0), list->front().text(i, 1), list->front().text(i, 2)));
  prepared_ = false;
  return {};
}

Status Revocation::roll_back_prepared(const std::string& database, const std::string& owner, const std::string& gid) {
  std::unique_ptr<Connection> other;
  if (database != c_.facts().database) {
    DP_TRY(other, pool_.open(database, "clear", deadline_));
  }
  Connection& c = other ? *other : c_;
  // Neither statement may stand in a transaction block, so they go one by one; only its owner or a superuser may do
  // this.
  const bool switched = !c.facts().superuser;
  if (switched)
    if (const auto reply = c.run("SET ROLE " + owner, deadline_); !reply) return failed(reply.error());
  const auto reply = c.run("ROLLBACK PREPARED " + gid, deadline_);
  if (switched && !c.run("RESET ROLE", deadline_)) c.spoil();
  if (reply || reply.error().is(sqlstate::undefined_object)) return {};
  return failed(reply.error());
}

Status Revocation::clear() {
  DP_CHECK(act_for(Errand::objects));
  const Leaver leaver{subject_.instance,
                      subject_.whom.name,
                      subject_.whom.grant,
                      oid_,
                      subject_.given ? subject_.given->heir : "",
                      subject_.given.has_value()};
  const auto list = c_.run(
      with_oid("SELECT DISTINCT coalesce(db.datname, current_database()) FROM pg_shdepend d LEFT JOIN pg_database db"
               " ON db.oid = d.dbid WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = %OID%"
               " AND d.classid <> 'pg_auth_members'::regclass",
               oid_),
      deadline_);
  if (!list) return failed(list.error());
  for (int i = 0; i < list->front().size(); ++i) {
    const std::string database = list->front().text(i, 0);
    if (database == c_.facts().database) {
      DP_CHECK(power_.clear(c_, c_, leaver, deadline_));
      continue;
    }
    DP_TRY(const auto other, pool_.open(database, "clear", deadline_));
    DP_CHECK(power_.clear(c_, *other, leaver, deadline_));
  }
  const auto left = c_.run(
      with_oid(
          "SELECT pg_describe_object(classid, objid, 0) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND"
          " refobjid = %OID% AND dbid = 0 AND deptype = 'o' AND classid <> 'pg_auth_members'::regclass",
          oid_),
      deadline_);
  if (!left) return failed(left.error());
  if (left->front().size() > 0)
    return Error{Code::conflict, "pg.owns_shared", subject_.whom.name + " owns " + left->front().text(0, 0),
                 "somebody gave it to the account; give it to another role"};
  objects_ = false;
  return {};
}

/// True when the role is gone. False: something came back or was in the way, and the flags say what.
base::Result<bool> Revocation::drop() {
  // Durable: whoever has read "absent" must not meet the role again after a crash.
  const auto reply = c_.run(mine_ + power_.drop(c_, subject_.whom), deadline_);
  if (reply) return true;
  const Failure& failure = reply.error();
  if (failure.is(sqlstate::undefined_object)) return true;
  if (failure.is(sqlstate::bad_text)) return foreign();
  if (is_blocked(failure)) {
    DP_CHECK(unblock());
  } else if (!failure.is(sqlstate::dependent_objects)) {
    return failed(failure);
  }
  const auto look = c_.run(look_, deadline_);
  if (!look) return failed(look.error());
  if (!note(look->front())) return true;
  starting_.clear();  // those that are under way now meet NOLOGIN
  return false;
}

/// The role is gone, but not by us: a session of it may have been left running.
Status Revocation::end_orphans() {
  if (subject_.known_oid == 0) return {};
  const std::string kill = power_.kill_orphans(subject_.known_oid);
  for (auto step = Millis(1);; step = std::min(step * 2, Millis(10))) {
    const auto killed = c_.run(kill, deadline_);
    if (!killed) return failed(killed.error());
    if (killed->front().number(0, 0) == 0) return {};
    if (deadline_.left() <= too_late)
      return Error{Code::timeout, "pg.backend_alive",
                   "sessions of the dropped role " + subject_.whom.name + " do not end",
                   "a server process may be stuck; look at pg_stat_activity"};
    deadline_.pause(step);
  }
}

}  // namespace daypass::target::postgres
