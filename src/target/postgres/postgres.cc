#include "target/postgres/postgres.h"

#include "base/encoding.h"
#include "target/postgres/names.h"
#include "target/postgres/postgres_target.h"

namespace daypass::target::postgres {
namespace {

class PostgresDriver final : public Driver {
 public:
  PostgresDriver(const base::Clock& clock, base::Entropy& entropy, const base::Log& log, SecretSource secrets,
                 std::string instance)
      : clock_(clock),
        entropy_(entropy),
        log_(log),
        secrets_(std::move(secrets)),
        instance_(std::move(instance)),
        nonce_(base::random_base32(entropy, 8)) {
    DP_ASSERT(is_instance(instance_));
  }

  [[nodiscard]] std::string kind() const override { return "pg"; }

  [[nodiscard]] base::Status validate(const core::TargetSpec& spec,
                                      const std::vector<core::RoleSpec>& roles) const override {
    DP_TRY(const TargetSettings settings, parse_target(spec));
    for (const auto& role : roles) {
      DP_TRY(const RoleSettings one, parse_role(role));
      for (const auto& name : {one.group, one.creates})
        if (name == settings.admin_user)
          return base::Error{base::Code::invalid, "target.setting",
                             role.id.str() + ": " + name + " is the admin login itself"};
    }
    return {};
  }

  base::Result<std::shared_ptr<Target>> make(const core::TenantId& tenant, const core::TargetSpec& spec) override {
    DP_TRY(TargetSettings settings, parse_target(spec));
    // Read anew for each connection, so that a changed password needs no restart.
    Pool::Password password = [secrets = secrets_, tenant,
                               ref = settings.admin_password]() -> base::Result<base::Secret> {
      if (ref.ref.empty()) return base::Secret();
      return secrets(tenant, ref);
    };
    if (const auto there = password(); !there.ok()) return there.error();
    return std::shared_ptr<Target>(std::make_shared<PostgresTarget>(std::move(settings), std::move(password), clock_,
                                                                    entropy_, log_, instance_, nonce_));
  }

 private:
  const base::Clock& clock_;
  base::Entropy& entropy_;
  const base::Log& log_;
  SecretSource secrets_;
  std::string instance_;
  std::string nonce_;  ///< of this process: what carries another one was left behind by an earlier process
};

}  // namespace

std::unique_ptr<Driver> make_postgres_driver(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                                             SecretSource secrets, std::string instance) {
  return std::make_unique<PostgresDriver>(clock, entropy, log, std::move(secrets), std::move(instance));
}

}  // namespace daypass::target::postgres
