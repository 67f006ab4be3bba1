// After the sign-in: what is kept of it beside the refresh token, and what a provider may say of it later (OpenID
// Connect Core 12). Pure; the asking is Provider::renew.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/spec.h"

namespace daypass::idp::oidc {

/// What is known of a sign-in: the token that asks after it, and the claims that later ones are held against.
struct SignIn {
  base::Secret refresh_token;
  base::json::Value claims;
};

/// One text of them, to be kept sealed. Of the ID token's claims, those that are the token's own; where userinfo (null:
/// it was not asked) adds to them, also the others, but for those that userinfo has said too: it will be asked again.
base::Secret keep_sign_in(const core::IdpSpec& spec, std::string_view subject_claim, const base::Secret& refresh_token,
                          const base::json::Value& id_claims, const base::json::Value& userinfo);

/// Reads it back. Error: "oidc.refresh": it is none of ours, or the provider's issuer or client has changed since: one
/// provider's token is never sent to another.
base::Result<SignIn> read_sign_in(const core::IdpSpec& spec, const base::Secret& kept);

/// Holds the claims of an ID token that came for a refresh token, verified by verify_id_token already, against the
/// sign-in (Core 12.2), and completes them with what only the sign-in said. Errors: "id_token.sub", "id_token.nonce",
/// "id_token.auth_time", "id_token.sid" (other than at the sign-in), "id_token.iat" (older than the one before it, or
/// than the question by more than 5 minutes).
base::Result<base::json::Value> same_sign_in(base::json::Value claims, const base::json::Value& before,
                                             base::WallTime asked_at);

}  // namespace daypass::idp::oidc
