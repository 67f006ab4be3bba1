// The OpenID Connect relying party as a driver of the idp port.
#pragma once

#include <memory>

#include "base/entropy.h"
#include "base/log.h"
#include "base/time.h"
#include "idp/fetch.h"
#include "idp/idp.h"

namespace daypass::idp::oidc {

/// The driver "oidc". Discovery documents and keys are cached per (tenant, issuer) and outlive a reload. Safe from any
/// thread; `clock`, `entropy` and `log` outlive it, and so do the providers that it made.
///
/// validate() errors: "idp.protocol", "idp.issuer", "idp.issuer_template" (a multi-tenant issuer), "idp.client_id",
/// "idp.client_secret", "idp.scopes", "idp.id_token_alg", "idp.overage_url", "idp.session_max", and those of
/// Mapping::compile.
///
/// begin() errors: "discovery.*", "oidc.redirect_uri".
/// finish() errors, in the order of the checks:
///   "oidc.pending"               the pending login is not ours, or the provider's settings have changed since
///   "oidc.duplicate_parameter", "oidc.too_large"
///   "oidc.iss"                   RFC 9207: the answer comes from another issuer (compared before anything else)
///   "oidc.state_missing", "oidc.state"
///   "oidc.iss_missing"           the provider promised `iss` in its metadata and did not send it
///   "oidc.idp_error"             the provider refused; its error code is in the message
///   "oidc.code"
///   "discovery.*", "token_endpoint.*", "jwks.*", "jws.*", "id_token.*", "userinfo.*", "overage.*", "mapping.*"
std::unique_ptr<Driver> make_oidc_driver(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                                         Fetch fetch, SecretSource secrets);

}  // namespace daypass::idp::oidc
