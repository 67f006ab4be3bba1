#include "core/ids.h"

#include <algorithm>

#include "base/encoding.h"

namespace daypass::core {
namespace {

using base::Code;
using base::Error;

bool is_name(std::string_view s, std::size_t longest, bool underscore) {
  if (s.empty() || s.size() > longest) return false;
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alnum(s.front())) return false;
  return std::all_of(s.begin(), s.end(), [&](char c) { return alnum(c) || c == '-' || (underscore && c == '_'); });
}

std::string shown(std::string_view text) {
  return "\"" + std::string(text.substr(0, 80)) + "\"";
}

}  // namespace

SessionId new_session_id(base::Entropy& entropy) {
  return SessionId("ls_" + base::random_base32(entropy, 26));
}
CredentialId new_credential_id(base::Entropy& entropy) {
  return CredentialId("dp-" + base::random_base32(entropy, 16));
}
ConnectionId new_connection_id(base::Entropy& entropy) {
  return ConnectionId("cx_" + base::random_base32(entropy, 16));
}
GrantId new_grant_id(const TenantId& tenant, base::Entropy& entropy) {
  return {tenant, "gr_" + base::random_base32(entropy, 26)};
}

base::Result<TenantId> parse_tenant(std::string_view text) {
  if (!is_name(text, 31, false))
    return Error{Code::invalid, "id.tenant", shown(text) + " is not a tenant name",
                 "use 1 to 31 of a-z, 0-9 and -, beginning with a letter or digit"};
  return TenantId(std::string(text));
}

base::Result<TargetId> parse_target(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || !is_name(text.substr(0, slash), 16, false) ||
      !is_name(text.substr(slash + 1), 40, true))
    return Error{Code::invalid, "id.target", shown(text) + " is not a target",
                 "write it like pg/orders: <kind>/<name>"};
  return TargetId(std::string(text));
}

base::Result<RoleId> parse_role(std::string_view text) {
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos || !parse_target(text.substr(0, slash)).ok() ||
      !is_name(text.substr(slash + 1), 40, true))
    return Error{Code::invalid, "id.role", shown(text) + " is not a role",
                 "write it like pg/orders/reader: <kind>/<name>/<role>"};
  return RoleId(std::string(text));
}

base::Result<GrantId> parse_grant(const TenantId& tenant, std::string_view id) {
  const bool good = id.size() == 29 && id.starts_with("gr_") && std::all_of(id.begin() + 3, id.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
                    });
  if (!good) return Error{Code::not_found, "id.grant", shown(id) + " is not a grant", "daypass grants ls shows yours"};
  return GrantId{tenant, std::string(id)};
}

TargetId target_of(const RoleId& role) {
  return TargetId(role.str().substr(0, role.str().rfind('/')));
}
std::string kind_of(const TargetId& target) {
  return target.str().substr(0, target.str().find('/'));
}

}  // namespace daypass::core
