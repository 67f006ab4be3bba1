// From verified claims to an Identity: userinfo merged beneath the ID token, groups fetched for an overage, who it is.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "core/identity.h"
#include "core/spec.h"
#include "idp/fetch.h"
#include "idp/mapping.h"

namespace daypass::idp::oidc {

constexpr std::size_t max_userinfo_bytes = std::size_t{256} * 1024;
constexpr std::size_t max_groups_bytes = std::size_t{1} << 20U;

/// Reads a userinfo answer (OpenID Connect Core 5.3.2). Errors: "userinfo.status", "userinfo.content_type" (only JSON
/// is read; a signed or encrypted answer is refused), "userinfo.syntax", "userinfo.sub" (another person's).
base::Result<base::json::Value> parse_userinfo(const Reply& reply, std::string_view sub);

/// Whether a claim is taken from the ID token alone: about the token, the person's key and the authentication.
bool tokens_own(std::string_view claim, std::string_view subject_claim);

/// The ID token's claims, and beneath them those of userinfo that the ID token does not have. The token is signed for
/// this login and userinfo is not, so a claim that is in both is the token's, and claims about the token, the person's
/// key and the authentication (iss sub aud exp iat nbf nonce azp at_hash c_hash acr amr auth_time sid jti oid tid
/// session_expiry, and `subject_claim`) are never taken from userinfo. References to values held elsewhere are kept
/// from both.
base::json::Value merge_userinfo(base::json::Value id_claims, const base::json::Value& userinfo,
                                 std::string_view subject_claim);

/// Reads {"value": ["id", …]} as Microsoft Graph's getMemberObjects answers. A further page (@odata.nextLink) means
/// that the list is not all, and is refused. Errors: "overage.status", "overage.syntax", "overage.shape",
/// "overage.paged".
base::Result<std::vector<std::string>> parse_groups_reply(const Reply& reply);

/// Entra ID names the directory in the issuer and again in `tid`: both must be the same. Error: "id_token.tid".
base::Status check_directory(const base::json::Value& id_claims, const std::string& issuer);

/// The Identity of verified ID token claims. `auth_time` is the epoch when the provider did not say when the person
/// authenticated: the token's age is no evidence of that, so a policy on freshness refuses. `session_expiry` becomes
/// not_after (OpenID Connect Enterprise Extensions, draft 01).
/// Errors: "id_token.acr", "id_token.amr", "id_token.sid", "id_token.session_expiry" (malformed, or over already).
base::Result<core::Identity> make_identity(const core::TenantId& tenant, const core::IdpSpec& spec,
                                           const base::json::Value& id_claims, Mapped mapped, base::WallTime now);

}  // namespace daypass::idp::oidc
