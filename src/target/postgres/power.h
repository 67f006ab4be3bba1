// How accounts are changed: by the rights of the admin login itself, or through functions that a DBA installed, which
// let a confined login do this and nothing else (installed.h). One interface, two implementations; whoever looks at the
// server, waits or decides stands outside. Safe from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "target/postgres/clear.h"
#include "target/postgres/connection.h"
#include "target/postgres/settings.h"
#include "target/target.h"

namespace daypass::target::postgres {

/// The account that a change is about; plain texts.
struct Whom {
  std::string name;
  std::string mark;
  core::GrantId grant;
};

/// One provisioning, ready to be carried out.
struct Making {
  Whom whom;
  std::string verifier;
  base::WallTime valid_until;
  int connections = 0;
  const Membership& membership;
  bool deep = false;   ///< a group is in other roles: the dearer guard is needed
  bool known = false;  ///< this process made it: no use in trying CREATE first
  /// Asked when the server's guard contradicts the verdict on the groups: judges them anew.
  std::function<base::Result<bool>()> judge_again;
};

/// What acting for an account is needed for.
enum class Errand { sessions, prepared, objects };

class Power {
 public:
  virtual ~Power() = default;

  /// Makes the account or brings it to the wanted state; its oid. Errors: "pg.foreign_role", "pg.account_ending",
  /// "pg.account_changed", "pg.account_busy", those of `judge_again`, and what to_error says.
  virtual base::Result<std::int64_t> make(Connection& connection, Making making, const Deadline& deadline) const = 0;

  // Statements without a semicolon, to stand behind guards in one message. 42704: there is no such role.
  [[nodiscard]] virtual std::string shut(const Connection& connection, const Whom& whom) const = 0;
  [[nodiscard]] virtual std::string drop(const Connection& connection, const Whom& whom) const = 0;
  /// Yields how many sessions were told to end.
  [[nodiscard]] virtual std::string kill(const Connection& connection, const Whom& whom, std::int64_t oid) const = 0;
  [[nodiscard]] virtual std::string kill_orphans(std::int64_t oid) const = 0;

  /// Takes the account out of all roles and everybody out of it, but for what only falls with the role; how many
  /// memberships that are.
  virtual Outcome<std::int64_t> strip(Connection& connection, const Whom& whom, std::int64_t oid,
                                      const Deadline& deadline) const = 0;
  /// Lets whoever carries out `errand` act for the account. May be repeated.
  virtual Outcome<void> act_for(Connection& connection, const Whom& whom, Errand errand,
                                const Deadline& deadline) const = 0;
  /// Ends the process if it is a login to this account, which is in no other role by now; whether it was.
  virtual Outcome<bool> end_login(Connection& connection, const Whom& whom, int pid,
                                  const Deadline& deadline) const = 0;
  /// See clear.h. `home` is a connection to where the driver works, `there` one to the database that is cleared.
  virtual base::Status clear(Connection& home, Connection& there, const Leaver& leaver,
                             const Deadline& deadline) const = 0;

  /// What the login, and whatever it works through, must and must not be for accounts with these memberships to be made
  /// and taken away. `there` is a connection to the target's own database.
  virtual base::Result<std::vector<Finding>> examine(Connection& home, Connection& there,
                                                     const std::vector<Membership>& wanted,
                                                     const Deadline& deadline) const = 0;
};

std::unique_ptr<Power> login_power(const TargetSettings& settings);
std::unique_ptr<Power> function_power(const TargetSettings& settings, const std::string& instance);

// What both say.
base::Error foreign_role(const std::string& name);
base::Error account_busy(const std::string& name);
base::Error account_ending(const std::string& name);
base::Error account_changed(const std::string& name);

/// "(1, 2)" for the guard of the account's advisory lock.
std::string lock_of(const std::string& account);
/// The account's lock is taken. By one of our own connections: busy. By anybody else: `lock` becomes a statement that
/// does nothing, so that every other keeps its place.
base::Status ignore_strangers_lock(Connection& connection, std::string& lock, const std::string& name,
                                   const Deadline& deadline);

}  // namespace daypass::target::postgres
