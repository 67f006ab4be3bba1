// A real target, its driver and a client of it, as the suite for all drivers and the tests of one driver see them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "core/grant.h"
#include "target/target.h"

namespace daypass::test {

/// A client's open session on the target, as the account.
class TargetSession {
 public:
  virtual ~TargetSession() = default;
  /// True while the session can still do its work.
  virtual bool alive() = 0;
};

/// A real target, its driver, and a client of it.
class TargetWorld {
 public:
  virtual ~TargetWorld() = default;
  virtual target::Target& target() = 0;
  virtual std::vector<core::RoleSpec> roles() = 0;
  virtual std::string instance() = 0;
  /// nullptr when the target refuses.
  virtual std::unique_ptr<TargetSession> login(const std::string& account, const std::string& password) = 0;
  /// Stops answering without closing anything, and comes back.
  virtual void freeze() = 0;
  virtual void thaw() = 0;
  /// Goes away and comes back with the same data.
  virtual void stop() = 0;
  virtual void start() = 0;

  target::Account new_account(const std::string& tenant = "default") {
    base::SystemEntropy entropy;
    const core::GrantId grant = core::new_grant_id(core::TenantId(tenant), entropy);
    return {grant, core::account_name(instance(), grant)};
  }
  target::Provision wanted(const target::Account& account,
                           const std::string& password = "correct-horse-battery-staple") {
    target::Provision out;
    out.account = account;
    out.roles = roles();
    out.password = base::Secret(password);
    out.valid_until = clock.wall() + std::chrono::hours(1);
    out.connections = 4;
    return out;
  }
  base::SystemClock clock;
};

constexpr auto plenty = std::chrono::seconds(30);
inline const std::string first_password = "correct-horse-battery-staple";
inline const std::string second_password = "an-entirely-different-password";

}  // namespace daypass::test
