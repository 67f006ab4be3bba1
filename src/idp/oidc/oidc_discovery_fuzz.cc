// Hostile discovery documents and key sets. What is taken must hold every promise that a login relies on.
// parses: idp/oidc/discovery.cc
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "crypto/jose.h"
#include "idp/oidc/discovery.h"
#include "idp/url.h"

namespace oidc = daypass::idp::oidc;
namespace core = daypass::core;

namespace {

/// What a tenant's settings may ask for: refused exactly where the document does not offer it.
void check_clients(const oidc::Discovery& document) {
  using core::ClientAuth;
  for (const ClientAuth method : {ClientAuth::basic, ClientAuth::post, ClientAuth::private_key_jwt, ClientAuth::none}) {
    const auto& offered = document.client_auth_methods;
    const bool taken = method == ClientAuth::none || offered.empty() ||
                       std::ranges::find(offered, oidc::method_name(method)) != offered.end();
    for (const bool userinfo : {false, true}) {
      core::IdpSpec spec;
      spec.client_auth = method;
      spec.userinfo = userinfo;
      const auto status = oidc::check_client(document, spec);
      DP_ASSERT(status.ok() == (taken && (!userinfo || !document.userinfo_endpoint.empty())));
      if (!status.ok()) DP_ASSERT(status.error().check == (taken ? "discovery.userinfo" : "discovery.client_auth"));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string issuer : {"https://id.example", "http://127.0.0.1:8080"}) {
    const bool loopback = issuer.starts_with("http:");
    const auto document = oidc::parse_discovery(text, issuer);
    if (!document.ok()) {
      DP_ASSERT(document.error().check.starts_with("discovery."));
      continue;
    }
    DP_ASSERT(document->issuer == issuer);
    for (const auto& endpoint : {document->authorization_endpoint, document->token_endpoint, document->jwks_uri}) {
      const auto url = daypass::idp::parse_url(endpoint);
      DP_ASSERT(url && daypass::idp::acceptable(*url, loopback));
    }
    for (const auto& endpoint : {document->userinfo_endpoint, document->end_session_endpoint}) {
      const auto url = daypass::idp::parse_url(endpoint);
      DP_ASSERT(endpoint.empty() || (url && daypass::idp::acceptable(*url, loopback)));
    }
    check_clients(*document);
  }
  const auto keys = daypass::crypto::KeySet::parse(text);
  if (keys.ok()) DP_ASSERT(keys->keys().size() <= daypass::crypto::KeySet::max_keys);
  // Any text as an issuer of a tenant's settings, and as a URL: the two must agree on what is acceptable.
  const std::string issuer(text.substr(0, 4096));
  if (const auto status = oidc::check_issuer(issuer); status.ok()) {
    const auto url = daypass::idp::parse_url(issuer);
    DP_ASSERT(url && daypass::idp::acceptable(*url, true) && url->query.empty());
    // Its document lies under it, one slash between, with nothing else changed.
    const std::string at = oidc::discovery_url(issuer);
    const auto document = issuer.size() + 64 < daypass::idp::max_url_bytes ? daypass::idp::parse_url(at) : url;
    DP_ASSERT(document && document->host == url->host && document->port == url->port);
    DP_ASSERT(at == issuer + (issuer.ends_with('/') ? "" : "/") + ".well-known/openid-configuration");
  } else {
    DP_ASSERT(status.error().check.starts_with("idp.issuer"));
  }
  return 0;
}
