// PATCH (RFC 7644 section 3.5.2) as Okta and Entra ID send it: parsed whole before anything is changed, then carried
// out on a copy, so that all of it happens or nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "idp/scim/filter.h"

namespace daypass::idp::scim {

struct Operation {
  enum class What : std::uint8_t { add, replace, remove } what = What::add;
  Path path;
  json::Value value;
};

/// Which members join and leave, whatever a group has: of a large one nothing else need be known.
struct MembersChange {
  bool cleared = false;              ///< those who are not named leave
  std::map<std::string, bool> said;  ///< id → whether a member afterwards
  [[nodiscard]] bool empty() const noexcept { return !cleared && said.empty(); }
};

struct Patch {
  std::vector<Operation> operations;  ///< of a group: but for its members
  MembersChange members;
};

/// Errors: "scim.syntax", "scim.path", "scim.filter", "scim.value", "scim.target" (remove without a path),
/// "scim.mutability", "scim.too_many".
base::Result<Patch> parse_patch(Kind kind, const json::Value& body, std::size_t most_members);

/// `resource` changed, canonical again. Errors: "scim.value", "scim.target" (no value fits the path's brackets).
base::Result<json::Object> apply(Kind kind, json::Object resource, const Patch& patch);

}  // namespace daypass::idp::scim
