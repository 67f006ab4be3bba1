// The token endpoint: how this client proves itself, what it asks, and how strictly the answer is read.
#pragma once

#include <string>

#include "base/entropy.h"
#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/spec.h"
#include "idp/fetch.h"
#include "idp/oidc/discovery.h"

namespace daypass::idp::oidc {

constexpr std::size_t max_token_reply_bytes = std::size_t{256} * 1024;

/// One authorization code and what binds it to this login.
struct CodeGrant {
  base::Secret code;
  base::Secret verifier;     ///< PKCE (RFC 7636)
  std::string redirect_uri;  ///< as in the authorization request (RFC 6749 section 4.1.3)
};

/// The request that trades a code for tokens, authenticated as `spec` says. `secret` is the client secret or the PEM
/// key. Errors: "token_endpoint.client_key" (private_key_jwt: no usable key).
base::Result<Request> token_request(const Discovery& discovery, const core::IdpSpec& spec, const base::Secret& secret,
                                    const CodeGrant& grant, base::WallTime now, base::Entropy& entropy);

/// The same for a refresh token (RFC 6749 section 6).
base::Result<Request> refresh_request(const Discovery& discovery, const core::IdpSpec& spec, const base::Secret& secret,
                                      const base::Secret& refresh_token, base::WallTime now, base::Entropy& entropy);

struct Tokens {
  std::string id_token;
  base::Secret access_token;
  base::Secret refresh_token = {};  ///< empty: the provider gave none
};

/// Reads the answer and wipes its body. Errors: "token_endpoint." + "refused" (with the provider's error code),
/// "status", "content_type", "syntax", "shape", "token_type", "access_token", "refresh_token", "id_token_missing".
base::Result<Tokens> parse_token_reply(Reply reply);
/// The same, to a refresh token: no ID token need come (OpenID Connect Core 12.2). "idp.over" (Code::ended) when the
/// provider says that the sign-in is over: the error code invalid_grant (RFC 6749 section 5.2), and nothing else.
base::Result<Tokens> parse_refresh_reply(Reply reply);

/// The public half of a private_key_jwt key, for the provider's registration. Error: "token_endpoint.client_key".
base::Result<base::json::Value> client_key_jwk(const base::Secret& pem);

/// An error answer of a provider made safe to show (RFC 6749 sections 4.1.2.1 and 5.2): "invalid_grant (code expired)".
/// The code has letters, digits and "_-." only, at most 64; the description is visible ASCII, at most 200.
std::string shown_oauth_error(std::string_view code, std::string_view description);

}  // namespace daypass::idp::oidc
