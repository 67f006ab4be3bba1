// The names of things: distinct types, so that a tenant is never passed where a target belongs.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/entropy.h"
#include "base/id.h"
#include "base/result.h"

namespace daypass::core {

using TenantId = base::Id<struct TenantTag>;          ///< [a-z0-9][a-z0-9-]{0,30}, e.g. "default"
using SessionId = base::Id<struct SessionTag>;        ///< "ls_…": one sign-in of one identity
using CredentialId = base::Id<struct CredentialTag>;  ///< "dp-…": the user name a client connects with
using ConnectionId = base::Id<struct ConnectionTag>;  ///< "cx_…": one client at the gate
using TargetId = base::Id<struct TargetTag>;          ///< "<kind>/<name>", e.g. "pg/orders"
using RoleId = base::Id<struct RoleTag>;              ///< "<kind>/<name>/<role>", e.g. "pg/orders/reader"

/// A grant's id carries its tenant, so nothing can be looked up by the bare id.
struct GrantId {
  TenantId tenant;
  std::string id;  ///< "gr_" and 26 characters of [a-z2-7] (130 random bits)
  auto operator<=>(const GrantId&) const = default;
  /// "<tenant>/<id>": for keys and logs.
  [[nodiscard]] std::string str() const { return tenant.str() + "/" + id; }
};

SessionId new_session_id(base::Entropy& entropy);
CredentialId new_credential_id(base::Entropy& entropy);
ConnectionId new_connection_id(base::Entropy& entropy);
GrantId new_grant_id(const TenantId& tenant, base::Entropy& entropy);

/// Errors: "id.tenant", "id.target", "id.role", "id.grant", each with the rule it broke.
base::Result<TenantId> parse_tenant(std::string_view text);
base::Result<TargetId> parse_target(std::string_view text);
base::Result<RoleId> parse_role(std::string_view text);
base::Result<GrantId> parse_grant(const TenantId& tenant, std::string_view id);

/// "pg/orders/reader" → "pg/orders". Requires a parsed id.
TargetId target_of(const RoleId& role);
/// "pg/orders" → "pg". Requires a parsed id.
std::string kind_of(const TargetId& target);

}  // namespace daypass::core

template <>
struct std::hash<daypass::core::GrantId> {
  std::size_t operator()(const daypass::core::GrantId& g) const noexcept {
    return std::hash<std::string>()(g.id) ^ (std::hash<std::string>()(g.tenant.str()) << 1U);
  }
};
