// What Cedar is asked: one person, one request and one instant as entities and context. The tenant's schema (schema.h)
// says the same of their types.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cedar/cedar.h"
#include "core/decision.h"
#include "engine/world.h"

namespace daypass::engine {

cedar::Entity user_entity(const core::Identity& who);
cedar::Entity target_entity(const core::TargetSpec& target);
cedar::Entity role_entity(const core::RoleSpec& role);
/// A tenant's targets and roles: what every decision knows, made once. `role` and `target`, where given, stand in for
/// the tenant's of the same name.
std::shared_ptr<const cedar::Entities> resources_of(const core::TenantSpec& spec, const core::RoleSpec* role = nullptr,
                                                    const core::TargetSpec* target = nullptr);
/// The address of a peer as the gate names it: "192.0.2.7:5432" → "192.0.2.7", "[2001:db8::1]:5432" → "2001:db8::1".
std::string address_of(const std::string& peer);
cedar::Record context_of(const core::Identity& who, const core::AccessRequest& request, base::WallTime now);

/// Whether that is access: allowed, and no prohibition that could not be evaluated.
bool allows(const cedar::Answer& answer) noexcept;

/// Built once, asked for many roles. Outlives neither the tenant nor the identity.
struct Question {
  const Tenant& tenant;
  const core::Identity& who;
  cedar::EntityUid principal;
  cedar::Entities entities;
  cedar::Record context;

  /// `resources`: others than the tenant's own, for who asks what would be.
  Question(const Tenant& t, const core::Identity& identity, const core::AccessRequest& request, base::WallTime now,
           std::shared_ptr<const cedar::Entities> resources = nullptr);
  /// Whether `principal` may assume the role.
  [[nodiscard]] cedar::Request ask(const core::RoleId& role) const;
};

}  // namespace daypass::engine
