// Port: one target. Makes, looks at and removes ephemeral accounts. Every call blocks at most `budget`, and may be
// repeated: the account's name derives from the grant's id, so a repeat meets its own work. It touches only what it
// made.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/grant.h"
#include "core/spec.h"

namespace daypass::target {

using base::Millis;

/// What a driver can do; data, never a stub method.
struct Caps {
  bool keeps_deadline = false;  ///< the target itself refuses logins after the end
  bool cuts_sessions = false;   ///< revoke ends live sessions on the target
  std::size_t at_once = 1;      ///< how many accounts revoke_together and verify_all take at a time
};

struct Account {
  core::GrantId grant;
  std::string name;  ///< core::account_name
};

struct Provision {
  Account account;
  std::vector<core::RoleSpec> roles;
  base::Secret password;  ///< at least 128 random bits
  base::WallTime valid_until;
  int connections = 0;  ///< most at once, as the gate counts them
};

/// An account that is to go, and what is known of it.
struct Leaving {
  Account account;
  std::vector<core::RoleSpec> roles;
  std::string handle;
};

/// An account that carries this instance's mark.
struct Owned {
  std::string name;
  std::string grant;  ///< "gr_…", from the mark; empty when unreadable
  std::string tenant;
  std::optional<base::WallTime> valid_until;
};

/// An account that carries a mark which is another installation's, or does not fit its name. For people to see; nothing
/// is ever done to it.
struct Stranger {
  std::string name;
  std::string instance, tenant, grant;  ///< as the mark says; the last two empty when it can't be read or is copied
  std::optional<base::WallTime> valid_until;
};

/// A table, or what is like one, that a role lets its holder at. What everybody may do anyway is not the role's.
struct Object {
  std::string schema, name;
  bool readable = false, writable = false;
};
struct Holdings {
  std::vector<Object> objects;  ///< in order
  bool all = true;              ///< false: there are more
};

/// One finding of `check`: a right that is missing or a group role that may not be used.
struct Finding {
  enum class Grade { ok, warn, fail } grade = Grade::ok;
  std::string check;    ///< stable name, e.g. "pg.group_role.createrole"
  std::string subject;  ///< the role, database or setting it is about
  std::string message;
  std::string fix;  ///< the SQL or command that mends it
};

/// Where a gate connects on a grant's behalf.
struct Upstream {
  std::string host;
  std::uint16_t port = 0;
  std::string database;
  std::string user;
  base::Secret password;
  bool tls = true;          ///< false only for loopback and unix sockets
  std::string ca_file;      ///< PEM; empty: the system's
  std::string server_name;  ///< what the certificate must say
  std::string client_cert_file, client_key_file;
  bool public_only = false;  ///< whoever named the host may not lead us into a private network
};

inline constexpr std::size_t most_holdings = 1000;

/// Errors are "<driver>.<what>"; "<driver>.connect" and "<driver>.timeout" say that the target gave no answer.
class Target {
 public:
  virtual ~Target() = default;
  [[nodiscard]] virtual Caps caps() const = 0;
  /// Makes the account, or brings an own one to this state (a later `valid_until` is how `extend` works).
  /// The handle is the driver's note for later calls. Code::timeout: what the target holds now is unknown.
  virtual base::Result<std::string> provision(const Provision& wanted, Millis budget) = 0;
  /// Ends live sessions, removes what the account owns and the account. Absent already: success.
  virtual base::Status revoke(const Account& account, const std::vector<core::RoleSpec>& roles, std::string_view handle,
                              Millis budget) = 0;
  /// Over another connection than the one that revokes: is the account, or a session of it, still there?
  virtual base::Result<core::Presence> verify(const Account& account, std::string_view handle, Millis budget) = 0;
  /// Takes away as many of these as can be done in one go, at most caps().at_once, all of this target; which, by their
  /// place. Those are gone as if revoke() had said so; of the others nothing is said, and revoke() is for them. A
  /// driver that takes one at a time leaves it as it is.
  virtual std::set<std::size_t> revoke_together(const std::vector<Leaving>& many, Millis budget);
  /// verify() for each, in their order; one that could not be looked at is an error or `unknown`.
  virtual std::vector<base::Result<core::Presence>> verify_all(const std::vector<Leaving>& many, Millis budget);
  virtual base::Result<std::vector<Owned>> list_owned(Millis budget) = 0;
  /// Apart from list_owned(), so that nobody who takes away ever holds one of these.
  virtual base::Result<std::vector<Stranger>> list_strangers(Millis budget) = 0;
  /// What each of the roles gives, in their order; at most most_holdings of one.
  virtual base::Result<std::vector<Holdings>> holdings(const std::vector<core::RoleSpec>& roles, Millis budget) = 0;
  /// Tests the admin login, each right it needs, and each role's group.
  virtual base::Result<std::vector<Finding>> check(const std::vector<core::RoleSpec>& roles, Millis budget) = 0;
  /// A text that tells two targets on one server apart from two servers (PostgreSQL: the system identifier).
  virtual base::Result<std::string> server_identity(Millis budget) = 0;
  [[nodiscard]] virtual Upstream upstream(const std::string& account, base::Secret password) const = 0;
};

inline std::set<std::size_t> Target::revoke_together(const std::vector<Leaving>&, Millis) {
  return {};
}

inline std::vector<base::Result<core::Presence>> Target::verify_all(const std::vector<Leaving>& many, Millis budget) {
  std::vector<base::Result<core::Presence>> out;
  for (const auto& one : many) out.push_back(verify(one.account, one.handle, budget));
  return out;
}

/// Resolves a reference of a tenant; given by app/, the only room that reads files and the environment for secrets.
using SecretSource = std::function<base::Result<base::Secret>(const core::TenantId&, const core::SecretRef&)>;

/// A driver: builds a Target from a spec. Error: check "target.setting", with the key and a hint.
class Driver {
 public:
  virtual ~Driver() = default;
  [[nodiscard]] virtual std::string kind() const = 0;  ///< "pg"
  [[nodiscard]] virtual base::Status validate(const core::TargetSpec& spec,
                                              const std::vector<core::RoleSpec>& roles) const = 0;
  virtual base::Result<std::shared_ptr<Target>> make(const core::TenantId& tenant, const core::TargetSpec& spec) = 0;
};

}  // namespace daypass::target
