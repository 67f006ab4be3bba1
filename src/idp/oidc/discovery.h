// The provider's metadata (OpenID Connect Discovery 1.0, RFC 8414): hostile text in, the few facts that a login needs
// out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/spec.h"

namespace daypass::idp::oidc {

constexpr std::size_t max_discovery_bytes = std::size_t{256} * 1024;

struct Discovery {
  std::string issuer;
  std::string authorization_endpoint;
  std::string token_endpoint;
  std::string jwks_uri;
  std::string userinfo_endpoint;                 ///< empty when the provider has none
  std::string end_session_endpoint;              ///< the same
  bool iss_parameter = false;                    ///< promises `iss` in every authorization response (RFC 9207)
  std::vector<std::string> client_auth_methods;  ///< empty: not said
  std::vector<std::string> client_auth_algs;     ///< for private_key_jwt; empty: not said
  bool operator==(const Discovery&) const = default;
};

/// Whether `issuer` is one that a tenant may configure: https, or http on loopback, without query and fragment.
/// Errors: "idp.issuer", "idp.issuer_template".
base::Status check_issuer(const std::string& issuer);

/// Where the document lies (Discovery 4.1).
std::string discovery_url(std::string_view issuer);

/// Reads and checks a document. What it advertises must be what a login uses; what it does not say is not held against
/// it. Errors: "discovery.syntax", "discovery.shape" (a member of the wrong type), "discovery.issuer_template",
/// "discovery.issuer" (not exactly ours), "discovery.endpoint" (missing, or no https URL), "discovery.response_types",
/// "discovery.response_modes", "discovery.grant_types", "discovery.pkce" (S256 is not offered), "discovery.alg",
/// "discovery.par_required".
base::Result<Discovery> parse_discovery(std::string_view text, const std::string& issuer);

/// Whether the provider offers what this tenant's settings need. Errors: "discovery.client_auth", "discovery.userinfo".
base::Status check_client(const Discovery& discovery, const core::IdpSpec& spec);

/// "client_secret_basic", …: the method's name in OAuth.
std::string_view method_name(core::ClientAuth method) noexcept;

}  // namespace daypass::idp::oidc
