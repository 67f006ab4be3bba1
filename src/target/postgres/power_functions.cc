// Through the functions of an installation: the login itself may do nothing to a role.
#include "target/postgres/clear_queries.h"
#include "target/postgres/installation.h"
#include "target/postgres/installed.h"
#include "target/postgres/names.h"
#include "target/postgres/power.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

class FunctionPower final : public Power {
 public:
  FunctionPower(const TargetSettings& settings, const std::string& instance)
      : settings_(settings), names_{instance, settings.admin_user} {}

  Result<std::int64_t> make(Connection& c, Making m, const Deadline& deadline) const override {
    const std::string& name = m.whom.name;
    std::string lock = "EXECUTE dp_lock" + lock_of(name) + ";\n";
    const std::string call =
        called(c, "provision", m.whom,
               ", " + c.literal(m.verifier) + ", " + c.literal(base::to_rfc3339(m.valid_until)) + "::timestamptz, " +
                   std::to_string(m.connections) + ", " + c.array(m.membership.groups));
    bool unfit = false;
    for (int round = 0; round < 5; ++round) {
      const auto reply = c.run(lock + call, deadline);
      if (reply) return reply->back().number(0, 0);
      const Failure& failure = reply.error();
      if (failure.is(sqlstate::bad_text) && failure.statement == 0) {
        DP_CHECK(ignore_strangers_lock(c, lock, name, deadline));
      } else if (failure.is(raised::unfit) && !unfit) {
        unfit = true;
        // Says which rule it is and how to mend that. Success: what was wrong is so no longer.
        DP_TRY(const bool deep, m.judge_again());
        static_cast<void>(deep);  // the function looks deep in any case
      } else if (!failure.is(sqlstate::duplicate_object) && !failure.is(sqlstate::unique_violation)) {
        return refusal(failure, name);
      }
    }
    return account_busy(name);
  }

  std::string shut(const Connection& c, const Whom& whom) const override { return called(c, "shut", whom); }
  std::string drop(const Connection& c, const Whom& whom) const override { return called(c, "remove", whom); }
  std::string kill(const Connection& c, const Whom& whom, std::int64_t /*oid*/) const override {
    return called(c, "end_sessions", whom);
  }
  std::string kill_orphans(std::int64_t oid) const override {
    return "SELECT " + names_.schema() + ".end_orphans(" + std::to_string(oid) + ")";
  }

  Outcome<std::int64_t> strip(Connection& c, const Whom& whom, std::int64_t /*oid*/,
                              const Deadline& deadline) const override {
    const auto reply = c.run(called(c, "strip", whom), deadline);
    if (!reply) return std::unexpected(reply.error());
    return reply->front().number(0, 0);
  }

  Outcome<void> act_for(Connection& c, const Whom& whom, Errand errand, const Deadline& deadline) const override {
    if (errand == Errand::sessions) return {};  // the functions can do that by themselves, or nobody can
    const auto reply = c.run(called(c, errand == Errand::prepared ? "lend" : "release", whom), deadline);
    if (!reply) return std::unexpected(reply.error());
    return {};
  }

  Outcome<bool> end_login(Connection& c, const Whom& whom, int pid, const Deadline& deadline) const override {
    const auto reply = c.run(called(c, "end_login", whom, ", " + std::to_string(pid)), deadline);
    if (!reply) return std::unexpected(reply.error());
    return reply->front().yes(0, 0);
  }

  Status clear(Connection& home, Connection& there, const Leaver& leaver, const Deadline& deadline) const override {
    DP_CHECK(release_fellows(home, there, leaver, deadline));
    const Whom whom{leaver.name, "", leaver.grant};
    const std::string call = "BEGIN;\nSET LOCAL lock_timeout = '2s';\nSELECT did, kept FROM " + names_.schema() +
                             ".clear(" + arguments(there, whom) + ", " +
                             (leaver.heir.empty() ? "NULL" : there.literal(leaver.heir)) + ", " +
                             (leaver.heir_known ? "true" : "false") + ");\nCOMMIT";
    std::string before;
    for (;;) {
      const auto reply = there.run(call, deadline);
      if (!reply) return why_not_cleared(there, leaver, reply.error());
      const Rows& row = (*reply)[2];
      if (row.null(0, 0)) return row.null(0, 1) ? Status{} : foreign_grants(there, leaver, row.text(0, 1));
      if (row.at(0, 0) == before) return clear_stuck(there, leaver);
      before = row.text(0, 0);
    }
  }

  Result<std::vector<Finding>> examine(Connection& home, Connection& there, const std::vector<Membership>& wanted,
                                       const Deadline& deadline) const override {
    return examine_installation(home, there, names_, settings_, wanted, deadline);
  }

 private:
  [[nodiscard]] std::string arguments(const Connection& c, const Whom& whom) const {
    return c.literal(whom.grant.tenant.str()) + ", " + c.literal(whom.grant.id);
  }
  [[nodiscard]] std::string called(const Connection& c, const char* function, const Whom& whom,
                                   const std::string& more = {}) const {
    return "SELECT " + names_.schema() + "." + function + "(" + arguments(c, whom) + more + ")";
  }

  [[nodiscard]] Error refusal(const Failure& failure, const std::string& name) const {
    if (failure.is(raised::foreign)) return foreign_role(name);
    if (failure.is(raised::ending)) return account_ending(name);
    if (failure.is(raised::changed)) return account_changed(name);
    Error error = to_error(failure, "make the account " + name);
    if (failure.is(raised::unlisted) || failure.is(raised::unfit)) error.check = "pg.broker.group";
    if (failure.is(raised::limit)) {
      error.check = "pg.broker.limit";
      error.hint = "a shorter grant, or another limit from daypass target installer";
    }
    return error;
  }

  [[nodiscard]] static Error why_not_cleared(Connection& c, const Leaver& leaver, const Failure& failure) {
    if (failure.is(raised::data)) return heir_unknown(c, leaver, failure.message);
    if (failure.is(raised::dependents)) return foreign_dependents(c, leaver, failure.message);
    Error error = clear_failed(c, leaver, failure);
    if (failure.is(raised::unlisted) || failure.is(raised::unfit)) error.check = "pg.broker.heir";
    return error;
  }

  /// Rights on tables of another account of ours: taking them back is acting for that account.
  Status release_fellows(Connection& home, Connection& there, const Leaver& leaver, const Deadline& deadline) const {
    std::string query = fellows("'" + names_.clearer() + "'::name");
    constexpr std::string_view key = "%OID%";
    for (std::size_t at = 0; (at = query.find(key, at)) != std::string::npos;)
      query.replace(at, key.size(), std::to_string(leaver.oid));
    const auto reply = there.run(query, deadline);
    if (!reply) return clear_failed(there, leaver, reply.error());
    const Rows& rows = reply->front();
    for (int i = 0; i < rows.size(); ++i) {
      const auto grant = read_mark(names_.instance, rows.at(i, 0), rows.at(i, 1));
      if (!grant) continue;
      const auto released = home.run(called(home, "release", {rows.text(i, 0), "", *grant}), deadline);
      if (!released && !released.error().is(sqlstate::undefined_object))
        return clear_failed(there, leaver, released.error());
    }
    return {};
  }

  TargetSettings settings_;
  Installed names_;
};

}  // namespace

std::unique_ptr<Power> function_power(const TargetSettings& settings, const std::string& instance) {
  return std::make_unique<FunctionPower>(settings, instance);
}

}  // namespace daypass::target::postgres
