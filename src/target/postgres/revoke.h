// Taking one account away, step by step; owns the order of the steps.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "target/postgres/pool.h"
#include "target/postgres/power.h"
#include "target/postgres/settings.h"

namespace daypass::target::postgres {

/// One revocation over one connection. Every step may be repeated, and a repeat begins at the first.
class Revocation {
 public:
  struct Subject {
    std::string instance;
    Whom whom;
    std::int64_t known_oid = 0;       ///< from the handle; 0: unknown
    std::optional<Membership> given;  ///< nullopt: nobody knows whether there is an heir
  };
  Revocation(Pool& pool, const Power& power, Connection& connection, const base::Log& log, Subject subject,
             const Deadline& deadline);

  /// Success: no such role any more, no session of it. Errors: "pg.foreign_role", "pg.account_busy",
  /// "pg.backend_alive", "pg.prepared_transaction", those of clear.h, and what to_error says.
  base::Status run();

 private:
  enum class Shut { done, absent };
  base::Result<Shut> shut_out();
  bool note(const Rows& row);
  base::Status wait_for_lock();
  base::Status unblock();
  base::Status act_for(Errand errand);
  base::Status strip_memberships();
  base::Status end_sessions();
  base::Status end_hidden();
  base::Status end_prepared(bool blockers);
  base::Status roll_back_prepared(const std::string& database, const std::string& owner, const std::string& gid);
  base::Status clear();
  base::Result<bool> drop();
  base::Status end_orphans();
  [[nodiscard]] base::Error failed(const Failure& failure) const;
  [[nodiscard]] base::Error foreign() const;
  [[nodiscard]] base::Error busy() const;

  Pool& pool_;
  const Power& power_;
  Connection& c_;
  const base::Log& log_;
  Subject subject_;
  Deadline deadline_;
  std::string keys_;         ///< of the advisory lock, "(1, 2)"
  std::string lock_, mine_;  ///< the guards, as statements
  std::string look_;
  std::int64_t oid_ = 0;
  std::set<int> starting_;  ///< logins that were under way when NOLOGIN was committed
  bool sessions_ = false, prepared_ = false, objects_ = false;
  bool stripped_ = false;
  std::set<Errand> acting_;  ///< what may be done for the account already
};

}  // namespace daypass::target::postgres
