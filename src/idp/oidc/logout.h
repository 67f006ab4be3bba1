// OpenID Connect Back-Channel Logout 1.0: a provider says, server to server, that somebody has signed out there.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "crypto/jose.h"
#include "idp/oidc/verify.h"

namespace daypass::idp::oidc {

struct LogoutToken {
  std::string sub;  ///< empty when only a session is named
  std::string sid;  ///< empty: every session of `sub`
  std::string jti;
  base::WallTime issued_at{};
  base::WallTime expires_at{};
};

/// Verifies a logout token (section 2.6). Of `expect`, issuer, client_id, now and alg count.
/// Errors: "jws.*", and "logout_token." with alg, typ, syntax, iss, aud, azp, exp_missing, exp, iat_missing, iat, nbf,
/// nonce (it has one), events, jti, sub, sid, subject (names neither).
base::Result<LogoutToken> verify_logout_token(std::string_view token, const crypto::KeySet& keys, const Expect& expect);

}  // namespace daypass::idp::oidc
