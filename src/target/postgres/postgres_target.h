// One PostgreSQL target: the port's verbs over a pool of connections. Safe from any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/log.h"
#include "target/postgres/group.h"
#include "target/postgres/pool.h"
#include "target/postgres/power.h"
#include "target/postgres/settings.h"
#include "target/postgres/turn.h"
#include "target/target.h"

namespace daypass::target::postgres {

/// The driver's note about one account, kept with the grant.
struct Handle {
  std::int64_t oid = 0;             ///< 0: unknown
  std::optional<Membership> given;  ///< nullopt: unknown
  [[nodiscard]] std::string text() const;
  /// Whatever can't be read is unknown: the note helps, nothing rests on it.
  static Handle parse(std::string_view text);
};

class PostgresTarget final : public Target {
 public:
  PostgresTarget(TargetSettings settings, Pool::Password password, const base::Clock& clock, base::Entropy& entropy,
                 const base::Log& log, std::string instance, std::string nonce);

  /// Each account of a batch takes a few of the server's shared locks until its transaction ends. What is installed for
  /// a confined login takes one at a time.
  [[nodiscard]] Caps caps() const override {
    return {.keeps_deadline = true, .cuts_sessions = true, .at_once = settings_.functions ? 1U : 100U};
  }
  base::Result<std::string> provision(const Provision& wanted, Millis budget) override;
  base::Status revoke(const Account& account, const std::vector<core::RoleSpec>& roles, std::string_view handle,
                      Millis budget) override;
  base::Result<core::Presence> verify(const Account& account, std::string_view handle, Millis budget) override;
  std::set<std::size_t> revoke_together(const std::vector<Leaving>& many, Millis budget) override;
  std::vector<base::Result<core::Presence>> verify_all(const std::vector<Leaving>& many, Millis budget) override;
  base::Result<std::vector<Owned>> list_owned(Millis budget) override;
  base::Result<std::vector<Stranger>> list_strangers(Millis budget) override;
  base::Result<std::vector<Holdings>> holdings(const std::vector<core::RoleSpec>& roles, Millis budget) override;
  base::Result<std::vector<Finding>> check(const std::vector<core::RoleSpec>& roles, Millis budget) override;
  base::Result<std::string> server_identity(Millis budget) override;
  [[nodiscard]] Upstream upstream(const std::string& account, base::Secret password) const override;

 private:
  struct Verdict {
    base::Result<bool> deep;  ///< may be used; true: a group is in other roles, so the dearer guard is needed
    base::MonoTime at;
  };

  [[nodiscard]] base::Status own_name(const Account& account) const;
  /// One reading query over the verify lane, asked again when an idle connection turns out to be broken. `make_sql`
  /// gets the connection, for quoting. The outer Result is for "no connection", the inner one for the query.
  template <class MakeSql>
  base::Result<Outcome<Reply>> ask(const MakeSql& make_sql, const Deadline& deadline);
  base::Result<std::string> make(Connection& connection, const Provision& wanted, const Membership& membership,
                                 bool deep, const Deadline& deadline);
  /// The cached answer to "may accounts be made with these groups?", asked anew after five minutes.
  base::Result<bool> allowed(const Membership& membership, const Deadline& deadline);
  base::Result<std::vector<Finding>> examine_power(Connection& there, const std::vector<Membership>& wanted,
                                                   const Deadline& deadline);
  base::Result<bool> test(const Membership& membership, const Deadline& deadline);
  void retest(const Deadline& deadline);
  [[nodiscard]] std::string spec_subject() const;
  [[nodiscard]] bool made_here(const std::string& account);
  void remember(const std::string& account, bool exists);
  /// Forgets the answer: a guard on the server has just contradicted it.
  void forget(const Membership& membership);

  TargetSettings settings_;
  const base::Clock& clock_;
  base::Entropy& entropy_;
  const base::Log& log_;
  std::string instance_;
  std::unique_ptr<Power> power_;
  Pool pool_;

  Turns turns_;  ///< the server's advisory lock does the same between processes
  std::mutex mutex_;
  std::map<Membership, Verdict> verdicts_;
  std::set<std::string> made_;  ///< accounts that this process made: an extension need not try CREATE first
};

template <class MakeSql>
base::Result<Outcome<Reply>> PostgresTarget::ask(const MakeSql& make_sql, const Deadline& deadline) {
  for (int attempt = 0;; ++attempt) {
    DP_TRY(const Pool::Lease lease, pool_.lease(Purpose::verify, deadline));
    auto reply = lease->run(make_sql(*lease), deadline);
    const bool again = !reply && reply.error().kind == Failure::Kind::lost && lease.reused() && attempt < 3;
    if (!again) return reply;
  }
}

}  // namespace daypass::target::postgres
