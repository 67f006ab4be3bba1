// The ID token verifier: a pure function from bytes, keys and expectations to claims, or to the one check that failed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/jose.h"

namespace daypass::idp::oidc {

/// What a token must say. Nothing here turns a check off; an optional that is set adds one.
struct Expect {
  std::string issuer;     ///< compared byte by byte
  std::string client_id;  ///< must be in `aud`
  /// As sent in the authorization request. The login always sets it; only the command line may leave it out.
  std::optional<std::string> nonce;
  base::WallTime now{};
  /// When set, the token is signed with it and nothing else (3.1.3.7, step 7).
  std::optional<crypto::Alg> alg;
  /// When set and the token has `at_hash`, they must fit (OpenID Connect Core 3.1.3.6).
  std::optional<std::string_view> access_token;
  /// When set, `auth_time` must be there and not older (plus the leeway).
  std::optional<base::Millis> max_age;
  /// When set, an `auth_time` that is there must not be earlier: a fresh sign-in was asked for.
  std::optional<base::WallTime> authenticated_since;
};

constexpr base::Seconds leeway{30};                ///< for clocks that differ
constexpr base::Seconds max_token_age{24 * 3600};  ///< an ID token comes straight from the token endpoint

/// Verifies an ID token (OpenID Connect Core 3.1.3.7) and gives its claims as they are.
/// Errors: "jws.*" of crypto::verify_jws, then in this order
///   "id_token.alg"          signed with another algorithm than the expected one
///   "id_token.typ"          the header says it is another kind of token (RFC 8725 section 3.11)
///   "id_token.syntax"       the payload is not a JSON object
///   "id_token.iss"          missing, or not the issuer
///   "id_token.aud"          missing, malformed, or without our client id
///   "id_token.azp"          not our client id, or missing beside further audiences
///   "id_token.exp_missing", "id_token.exp"
///   "id_token.iat_missing", "id_token.iat"   in the future, or more than a day old
///   "id_token.nbf"
///   "id_token.nonce_missing", "id_token.nonce"
///   "id_token.at_hash"
///   "id_token.sub"          missing, not a string, empty, longer than 255, or not printable ASCII
///   "id_token.auth_time"    malformed, missing where asked for, or too old
/// Times are whole seconds; a number with a fraction fails the check of its claim.
base::Result<base::json::Value> verify_id_token(std::string_view token, const crypto::KeySet& keys,
                                                const Expect& expect);

/// Whether it is signed with the algorithm that is expected. Error: "id_token.alg".
base::Status check_alg(crypto::Alg alg, const Expect& expect);

/// Whether claims are of the issuer, for us, and of now: what every signed token of a provider must be. Errors: those
/// of verify_id_token from iss to nbf.
base::Status check_issued_for_us(const base::json::Value& claims, const Expect& expect);

/// `daypass oidc verify`, after app/ has read its arguments and files.
struct VerifyCommand {
  std::string jwks;  ///< text of the JWK Set
  std::string issuer;
  std::string audience;
  std::optional<std::string> nonce;
  std::optional<base::WallTime> now;  ///< default: the clock's
  std::string token;                  ///< white space around it is ignored
};
/// The verified claims as indented JSON, for stdout. An error is the one failed check: print it, exit 1.
base::Result<std::string> run_verify(const VerifyCommand& command, const base::Clock& clock);

/// `daypass jose verify`: the signature alone. The payload as it was signed, for stdout.
base::Result<std::string> run_jose_verify(std::string_view jwks, std::string_view token);

}  // namespace daypass::idp::oidc
