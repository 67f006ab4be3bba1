// Who somebody is, as an identity provider asserted it and a verifier checked it. Holds no token.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "core/ids.h"

namespace daypass::core {

/// A mapped attribute: string, long, boolean or set of string. Nothing else reaches a policy.
using AttributeValue = std::variant<std::string, std::int64_t, bool, std::set<std::string>>;
using Attributes = std::map<std::string, AttributeValue>;

enum class PrincipalKind { person, agent, workload };

/// Identity key is (tenant, idp, subject): never an e-mail address, never linked across identity providers.
struct Identity {
  TenantId tenant;
  std::string idp;      ///< the identity provider's name in this tenant
  std::string subject;  ///< the provider's stable identifier for the person (OIDC: sub)
  PrincipalKind kind = PrincipalKind::person;
  std::optional<std::string> acting_for;
  std::string display;  ///< for people to read; decides nothing
  Attributes attributes;
  std::set<std::string> groups;  ///< as mapped; become Group::"<idp>/<group>"
  base::WallTime auth_time{};    ///< when the person authenticated at the provider
  std::string acr;
  std::vector<std::string> amr;
  std::vector<std::string> idp_sessions;    ///< sid, or every SessionIndex: each is enough for a logout signal
  std::optional<base::WallTime> not_after;  ///< the provider's own end of the session
  bool operator==(const Identity&) const = default;

  /// "<idp>/<subject>": the id of the Cedar entity User::"…" and of the audit log's actor.
  [[nodiscard]] std::string principal() const { return idp + "/" + subject; }
};

base::json::Value to_json(const Attributes& attributes);
base::Result<Attributes> attributes_from_json(const base::json::Value& value);
base::json::Value to_json(const Identity& identity);
/// Reads back what to_json wrote. Error: "identity.shape".
base::Result<Identity> identity_from_json(const base::json::Value& value);

}  // namespace daypass::core
