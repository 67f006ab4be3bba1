// SCIM's own envelopes (RFC 7644 sections 3.4.2 and 3.12): lists and errors.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace daypass::idp::scim {

inline constexpr std::string_view media_type = "application/scim+json",
                                  error_urn = "urn:ietf:params:scim:api:messages:2.0:Error",
                                  list_urn = "urn:ietf:params:scim:api:messages:2.0:ListResponse",
                                  patch_urn = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

base::json::Value list_response(base::json::Array resources, std::size_t total, std::size_t start);

/// `detail` says what failed, what to do, the check and the request: providers show their administrators no more of it.
base::json::Value error_response(const base::Error& error, int status, std::string_view request_id);

/// The errors of this room, by RFC 7644's scimType: "scim.filter" invalidFilter, "scim.path" invalidPath, "scim.value"
/// invalidValue, "scim.syntax" invalidSyntax, "scim.target" noTarget, "scim.mutability" mutability, "scim.uniqueness"
/// uniqueness, "scim.too_many" tooMany. Empty: it has none.
std::string_view scim_type(std::string_view check) noexcept;

}  // namespace daypass::idp::scim
