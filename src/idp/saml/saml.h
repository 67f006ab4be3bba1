// The SAML 2.0 service provider as a driver of the idp port: web browser single sign-on and single logout.
#pragma once

#include <memory>

#include "base/entropy.h"
#include "base/log.h"
#include "base/time.h"
#include "idp/fetch.h"
#include "idp/idp.h"

namespace daypass::idp::saml {

/// The driver "saml". Metadata is cached per provider object. Safe from any thread; `clock`, `entropy` and `log`
/// outlive it and what it made.
///
/// validate() errors: "idp.protocol", "idp.issuer", "idp.metadata", "idp.metadata_sha256", "idp.metadata_trust" (a URL
/// that nothing vouches for), "idp.sp_entity_id", "idp.sp_keys", "idp.session_max", and those of Mapping::compile.
///
/// begin() errors: "saml.redirect_uri", "saml.sp_key_missing" (the provider wants signed requests), "key.*",
/// "secret.*", and those of the metadata: "saml_metadata.*", "xml.*", "xmldsig.*", "x509.*". finish() errors, in the
/// order of the checks:
///   "saml.pending"       the pending login is not ours, or the provider's settings have changed since
///   "saml.not_posted", "saml.duplicate_parameter", "saml.relay_state", "saml.no_response"
///   "saml.too_large", "saml.base64", the metadata's, and those of verify_response()
///   "saml.name_id"       the subject's name is one that changes hands or changes every time
///   "saml.stale_login"   a fresh sign-in was asked for, and this one is older
///   "mapping.*"
/// finish_unasked(): "idp.unasked" (not switched on), and the same without the first and "saml.relay_state".
/// begin_logout(): "saml.logout_settings" (they have changed since the sign-in), "idp.no_logout", "key.*", "secret.*"
/// and those of the metadata. logout_answer(): the metadata's, and those of verify_logout_response().
std::unique_ptr<Driver> make_saml_driver(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                                         Fetch fetch, SecretSource secrets);

}  // namespace daypass::idp::saml
