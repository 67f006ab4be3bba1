// Hostile discovery documents and key sets. What is taken must hold every promise that a login relies on.
// parses: idp/oidc/discovery.cc
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "crypto/jose.h"
#include "idp/oidc/discovery.h"
#include "idp/url.h"

namespace oidc = daypass::idp::oidc;

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
    if (!document->userinfo_endpoint.empty()) {
      const auto url = daypass::idp::parse_url(document->userinfo_endpoint);
      DP_ASSERT(url && daypass::idp::acceptable(*url, loopback));
    }
  }
  const auto keys = daypass::crypto::KeySet::parse(text);
  if (keys.ok()) DP_ASSERT(keys->keys().size() <= daypass::crypto::KeySet::max_keys);
  // Any text as an issuer of a tenant's settings, and as a URL: the two must agree on what is acceptable.
  const std::string issuer(text.substr(0, 4096));
  if (oidc::check_issuer(issuer).ok()) {
    const auto url = daypass::idp::parse_url(issuer);
    DP_ASSERT(url && daypass::idp::acceptable(*url, true) && url->query.empty());
  }
  return 0;
}
