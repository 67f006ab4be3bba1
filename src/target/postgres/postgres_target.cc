#include "target/postgres/postgres_target.h"

#include "base/json.h"
#include "core/grant.h"
#include "target/postgres/names.h"
#include "target/postgres/revoke.h"
#include "target/postgres/revoke_many.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
namespace json = base::json;

constexpr std::size_t most_remembered = 100'000;
constexpr auto verdict_lasts = std::chrono::minutes(5);

/// A rule's answer, as against the server's silence.
bool is_verdict(const Error& error) {
  return error.check.starts_with("pg.group_role.") || error.check.starts_with("pg.heir.") ||
         error.check.starts_with("pg.admin.") || error.check.starts_with("pg.server.") ||
         error.check.starts_with("pg.broker.");
}

}  // namespace

std::string Handle::text() const {
  json::Object out{{"oid", oid}};
  if (given) {
    json::Array groups;
    for (const auto& group : given->groups) groups.emplace_back(group);
    out.set("groups", std::move(groups));
    out.set("heir", given->heir);
  }
  return json::dump(out);
}

Handle Handle::parse(std::string_view text) {
  Handle out;
  const auto parsed = json::parse(text, {.bytes = 65536, .depth = 4, .nodes = 2000, .members = 8});
  if (!parsed.ok()) return out;
  out.oid = parsed->int_or("oid", 0);
  if (out.oid < 0 || out.oid > 0xffffffffLL) out.oid = 0;
  const json::Value* groups = parsed->find("groups");
  if (groups == nullptr || groups->as_array() == nullptr) return out;
  Membership given{{}, parsed->string_or("heir")};
  for (const auto& group : *groups->as_array())
    if (const auto* name = group.as_string(); name != nullptr && is_identifier(*name)) given.groups.push_back(*name);
  if (given.heir.empty() || is_identifier(given.heir)) out.given = std::move(given);
  return out;
}

PostgresTarget::PostgresTarget(TargetSettings settings, Pool::Password password, const base::Clock& clock,
                               base::Entropy& entropy, const base::Log& log, std::string instance, std::string nonce)
    : settings_(settings),
      clock_(clock),
      entropy_(entropy),
      log_(log),
      instance_(instance),
      power_(settings.functions ? function_power(settings, instance) : login_power(settings)),
      pool_(std::move(settings), std::move(password), clock, log, std::move(instance), std::move(nonce)) {}

Status PostgresTarget::own_name(const Account& account) const {
  // The name goes into statements and derives from the grant: any other name is a mistake that must not reach the
  // server.
  const auto grant = core::parse_grant(account.grant.tenant, account.grant.id);
  if (grant.ok() && core::parse_tenant(account.grant.tenant.str()).ok() &&
      core::account_name(instance_, account.grant) == account.name)
    return {};
  return Error{Code::invalid, "pg.account_name",
               "\"" + account.name + "\" is not the account of grant " + account.grant.str()};
}

Status PostgresTarget::revoke(const Account& account, const std::vector<core::RoleSpec>& roles, std::string_view handle,
                              Millis budget) {
  DP_CHECK(own_name(account));
  const Deadline whole(clock_, budget);
  const Deadline work = whole.minus(std::min<Millis>(budget / 4, std::chrono::seconds(2)));
  const Handle note = Handle::parse(handle);
  Revocation::Subject subject{
      instance_, {account.name, mark(instance_, account.grant), account.grant}, note.oid, note.given};
  if (!subject.given && !roles.empty()) {
    DP_TRY(subject.given, membership_of(roles));
  }
  DP_TRY(const Turns::Turn turn, turns_.take(account.name, work));
  // A CREATE that is still on its way would make the role after we have seen that there is none.
  DP_CHECK(pool_.settle(account.name, work));
  for (int attempt = 0;; ++attempt) {
    bool reused = false;
    const Status done = [&]() -> Status {
      DP_TRY(const Pool::Lease lease, pool_.lease(Purpose::revoke, work));
      reused = lease.reused();
      Status status = Revocation(pool_, *power_, *lease, log_, subject, work).run();
      if (status.ok()) remember(account.name, false);
      if (!status.ok() && !lease->usable()) pool_.condemn(account.name, *lease);
      return status;
    }();
    if (done.ok() || done.error().check != "pg.connection_lost") return done;
    // Every step may be repeated; a connection that the server had closed while idle costs one more try.
    const bool again = pool_.settle(account.name, whole).ok() && reused && attempt < 3 && !work.passed();
    if (!again) return done;
  }
}

Result<core::Presence> PostgresTarget::verify(const Account& account, std::string_view handle, Millis budget) {
  DP_CHECK(own_name(account));
  const Deadline deadline(clock_, budget);
  const std::string oid = std::to_string(Handle::parse(handle).oid);
  // While an old process may still be at work, nothing that a look shows is certain.
  if (!pool_.settle(account.name, deadline).ok()) return core::Presence::unknown;
  DP_TRY(const auto reply, ask(
                               [&](const Connection& c) {
                                 const std::string name = c.literal(account.name);
                                 return "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = " + name +
                                        ") OR EXISTS (SELECT 1 FROM pg_stat_activity WHERE usename = " + name +
                                        " OR (usename IS NULL AND usesysid = " + oid +
                                        ")) OR EXISTS (SELECT 1 FROM pg_prepared_xacts WHERE owner = " + name +
                                        ") OR EXISTS (SELECT 1 FROM pg_prepared_xact() p WHERE p.ownerid = " + oid +
                                        " AND NOT EXISTS (SELECT 1 FROM pg_roles r WHERE r.oid = p.ownerid))";
                               },
                               deadline));
  if (!reply) return to_error(reply.error(), "look for " + account.name);
  return reply->front().yes(0, 0) ? core::Presence::present : core::Presence::absent;
}

std::set<std::size_t> PostgresTarget::revoke_together(const std::vector<Leaving>& many, Millis budget) {
  if (settings_.functions) return {};
  const Deadline work(clock_, budget);
  std::vector<Turns::Turn> turns;
  std::vector<ManyRevocations::Subject> subjects;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < many.size(); ++i) {
    const Account& account = many[i].account;
    if (!own_name(account).ok()) continue;
    // Never waiting for one turn while holding another; nor for the end of an old process.
    auto turn = turns_.take(account.name, Deadline(clock_, Millis(0)));
    if (!turn.ok() || pool_.condemned(account.name)) continue;
    turns.push_back(std::move(*turn));
    subjects.push_back({account.name, mark(instance_, account.grant)});
    places.push_back(i);
  }
  std::set<std::size_t> out;
  if (subjects.size() < 2) return out;
  const auto lease = pool_.lease(Purpose::revoke, work);
  if (!lease.ok()) return out;
  const auto gone = ManyRevocations(**lease, subjects, work).run();
  if (!gone) {
    // Whatever it was doing, it may still do to any of them: nobody says anything of these before it has ended.
    if (!(*lease)->usable())
      for (const auto& subject : subjects) pool_.condemn(subject.name, **lease);
    return out;
  }
  for (const std::size_t place : *gone) {
    remember(subjects[place].name, false);
    out.insert(places[place]);
  }
  return out;
}

std::vector<Result<core::Presence>> PostgresTarget::verify_all(const std::vector<Leaving>& many, Millis budget) {
  const Deadline deadline(clock_, budget);
  std::vector<Result<core::Presence>> out(many.size(), Result<core::Presence>(core::Presence::unknown));
  std::vector<std::size_t> asked;
  for (std::size_t i = 0; i < many.size(); ++i) {
    if (Status own = own_name(many[i].account); !own.ok()) out[i] = std::move(own).error();
    // While an old process may still be at work, nothing that a look shows is certain.
    else if (pool_.settle(many[i].account.name, deadline).ok())
      asked.push_back(i);
  }
  if (asked.empty()) return out;
  const auto reply = ask(
      [&](const Connection& c) {
        std::string rows;
        for (const std::size_t i : asked)
          rows += std::string(rows.empty() ? "" : ", ") + "(" + std::to_string(i) + ", " +
                  c.literal(many[i].account.name) + "::name, " + std::to_string(Handle::parse(many[i].handle).oid) +
                  "::oid)";
        // What verify() asks, of each.
        return "WITH a AS MATERIALIZED (SELECT usename, usesysid FROM pg_stat_activity) SELECT v.place, EXISTS (SELECT "
               "1 FROM pg_roles WHERE rolname = v.name) OR EXISTS (SELECT 1 FROM a WHERE"
               " a.usename = v.name OR (a.usename IS NULL AND a.usesysid = v.oid)) OR EXISTS (SELECT 1 FROM"
               " pg_prepared_xacts WHERE owner = v.name) OR EXISTS (SELECT 1 FROM pg_prepared_xact() p WHERE"
               " p.ownerid = v.oid AND NOT EXISTS (SELECT 1 FROM pg_roles r WHERE r.oid = p.ownerid)) FROM (VALUES " +
               rows + ") v(place, name, oid)";
      },
      deadline);
  for (const std::size_t i : asked) {
    if (!reply.ok())
      out[i] = reply.error();
    else if (!*reply)
      out[i] = to_error((*reply).error(), "look for " + many[i].account.name);
  }
  if (!reply.ok() || !*reply) return out;
  const Rows& rows = (*reply)->front();
  // A row that does not come says nothing, and that is what it stays at.
  for (int row = 0; row < rows.size(); ++row) {
    const auto place = static_cast<std::size_t>(rows.number(row, 0));
    if (place < out.size()) out[place] = rows.yes(row, 1) ? core::Presence::present : core::Presence::absent;
  }
  return out;
}

Result<std::vector<Owned>> PostgresTarget::list_owned(Millis budget) {
  const Deadline deadline(clock_, budget);
  DP_TRY(const auto reply,
         ask(
             [&](const Connection& c) {
               return "SELECT rolname, comment, CASE WHEN isfinite(rolvaliduntil) THEN (extract(epoch FROM "
                      "rolvaliduntil) *"
                      " 1000)::bigint END FROM (SELECT *, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles"
                      " WHERE starts_with(rolname, " +
                      c.literal(name_prefix(instance_)) + ")) r WHERE starts_with(comment, " +
                      c.literal(mark_prefix(instance_)) + ") ORDER BY rolname";
             },
             deadline));
  if (!reply) return to_error(reply.error(), "list accounts");
  const Rows& rows = reply->front();
  std::vector<Owned> out;
  for (int i = 0; i < rows.size(); ++i) {
    Owned& one = out.emplace_back();
    one.name = rows.text(i, 0);
    // A mark that does not belong to this name is shown without a grant: nothing will ever be done to the role.
    if (const auto grant = read_mark(instance_, one.name, rows.at(i, 1))) {
      one.grant = grant->id;
      one.tenant = grant->tenant.str();
    }
    if (!rows.null(i, 2)) one.valid_until = base::WallTime(Millis(rows.number(i, 2)));
  }
  // Called every few minutes: the lines for taking away are kept open, and groups that are in use are looked at again.
  if (const Status warm = pool_.warm(Purpose::revoke, deadline); !warm.ok())
    log_.warn("no connection for revocations", {{"check", warm.error().check}, {"error", warm.error().message}});
  retest(deadline);
  return out;
}

Result<std::string> PostgresTarget::server_identity(Millis budget) {
  const Deadline deadline(clock_, budget);
  // Over a line of its own, to where the address leads now: whoever asks decides anew whether that server may be used.
  pool_.learn_server_anew();
  std::string grantee;
  DP_TRY(const auto reply, ask(
                               [&](const Connection& c) {
                                 grantee = c.ident(settings_.admin_user);
                                 return std::string("SELECT system_identifier FROM pg_control_system()");
                               },
                               deadline));
  if (reply) return "postgresql:" + reply->front().text(0, 0);
  Error error = to_error(reply.error(), "read the server's identity");
  if (reply.error().is(sqlstate::insufficient_privilege)) {
    error.check = "pg.server.identity";
    error.hint = "GRANT EXECUTE ON FUNCTION pg_control_system() TO " + grantee + ";";
  }
  return error;
}

Upstream PostgresTarget::upstream(const std::string& account, base::Secret password) const {
  Upstream out;
  out.host = settings_.host;
  out.port = settings_.port;
  out.database = settings_.database;
  out.user = account;
  out.password = std::move(password);
  out.tls = settings_.tls;
  out.ca_file = settings_.ca_file;
  out.server_name = settings_.tls ? settings_.host : "";
  out.client_cert_file = settings_.gate_cert;
  out.client_key_file = settings_.gate_key;
  out.public_only = settings_.public_only;
  return out;
}

// ---- the verdict on groups ----

Result<std::vector<Finding>> PostgresTarget::examine_power(Connection& there, const std::vector<Membership>& wanted,
                                                           const Deadline& deadline) {
  if (settings_.maintenance_database == settings_.database) return power_->examine(there, there, wanted, deadline);
  DP_TRY(const auto home, pool_.open(settings_.maintenance_database, "check", deadline));
  return power_->examine(*home, there, wanted, deadline);
}

Result<bool> PostgresTarget::test(const Membership& membership, const Deadline& deadline) {
  DP_TRY(const auto connection, pool_.open(settings_.database, "check", deadline));
  for (const auto& group : membership.groups) {
    DP_TRY(const auto findings, examine_group(*connection, group, !membership.heir.empty(), deadline));
    DP_CHECK(first_failure(findings));
  }
  DP_TRY(const auto power, examine_power(*connection, {membership}, deadline));
  DP_CHECK(first_failure(power));
  return is_in_roles(*connection, membership.groups, deadline);
}

Result<bool> PostgresTarget::allowed(const Membership& membership, const Deadline& deadline) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = verdicts_.find(membership);
    if (found != verdicts_.end() && clock_.mono() - found->second.at < verdict_lasts) return found->second.deep;
  }
  Result<bool> deep = test(membership, deadline);
  // "The server does not answer" is no verdict.
  if (!deep.ok() && !is_verdict(deep.error())) return deep;
  const std::lock_guard lock(mutex_);
  verdicts_.insert_or_assign(membership, Verdict{deep, clock_.mono()});
  return deep;
}

void PostgresTarget::forget(const Membership& membership) {
  const std::lock_guard lock(mutex_);
  verdicts_.erase(membership);
}

bool PostgresTarget::made_here(const std::string& account) {
  const std::lock_guard lock(mutex_);
  return made_.contains(account);
}

void PostgresTarget::remember(const std::string& account, bool exists) {
  const std::lock_guard lock(mutex_);
  if (!exists)
    made_.erase(account);
  else if (made_.size() < most_remembered)
    made_.insert(account);
}

void PostgresTarget::retest(const Deadline& deadline) {
  std::vector<Membership> known;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [membership, verdict] : verdicts_) known.push_back(membership);
  }
  for (const auto& membership : known) {
    forget(membership);
    if (const auto status = allowed(membership, deadline); !status.ok())
      log_.warn("a group role may not be used", {{"check", status.error().check}, {"error", status.error().message}});
  }
}

}  // namespace daypass::target::postgres
