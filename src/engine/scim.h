// One request of a SCIM client and its answer, without HTTP.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/secret.h"
#include "core/ids.h"
#include "engine/world.h"

namespace daypass::engine {

struct ScimRequest {
  enum class What : std::uint8_t { provider, resource_types, schemas, users, groups };
  core::TenantId tenant;
  std::string idp;
  base::Secret token;  ///< empty: none came
  std::string method;  ///< "GET", "POST", "PUT", "PATCH", "DELETE"
  What what = What::users;
  std::string id;  ///< empty: all of them
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;  ///< not parsed: the token comes first
  std::string base;  ///< the URL before /Users
};

struct ScimAnswer {
  base::json::Value body;  ///< null: there is nothing to say
  bool created = false;
  std::string location;  ///< of one user or group
};

/// The one answer to who has no token, whatever else is not there.
base::Error no_scim_token();
/// Reads a token that a provider presents. Errors: those of the secret, "scim.token_short".
base::Result<base::Secret> scim_token(const Catalog& catalog, const core::TenantId& tenant,
                                      const std::string& reference);

}  // namespace daypass::engine
