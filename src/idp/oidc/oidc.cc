#include "idp/oidc/oidc.h"

#include <algorithm>
#include <utility>

#include "crypto/jose.h"
#include "idp/mapping.h"
#include "idp/oidc/discovery.h"
#include "idp/oidc/provider.h"
#include "idp/printable.h"
#include "idp/url.h"

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t max_client_id = 255;
constexpr std::size_t max_scopes = 32;
constexpr std::size_t max_scope = 128;

Error bad(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::invalid, "idp." + std::move(check), std::move(message), std::move(hint)};
}

/// RFC 6749 appendix A: VSCHAR for client ids, NQCHAR for scopes.
bool visible(std::string_view text, bool space, std::string_view without = {}) {
  return std::ranges::all_of(text, [&](char c) {
    return ((c > 0x20 && c < 0x7f) || (space && c == ' ')) && without.find(c) == std::string_view::npos;
  });
}

Status check_scopes(const std::vector<std::string>& scopes) {
  if (scopes.size() > max_scopes) return bad("scopes", "more than 32 scopes");
  for (const auto& scope : scopes)
    if (scope.empty() || scope.size() > max_scope || !visible(scope, false, "\"\\"))
      return bad("scopes",
                 "the scope " + base::json::quote(printable(scope, 64)) + " is not one word of visible ASCII");
  return {};
}

Status check_overage(const core::IdpSpec& spec, const Mapping& mapping) {
  if (spec.overage == core::Overage::refuse) {
    if (!spec.overage_url.empty()) return bad("overage_url", "overage_url means nothing while overage is \"refuse\"");
    return {};
  }
  const auto url = parse_url(spec.overage_url);
  if (!url || !acceptable(*url, Reach::of(spec, spec.issuer).loopback_http))
    return bad("overage_url", "overage = \"fetch\" needs an overage_url, an https URL",
               "for Entra ID: https://graph.microsoft.com/v1.0/me/getMemberObjects");
  if (mapping.groups_claim().empty())
    return bad("overage_url", "overage = \"fetch\" needs groups_from to name one claim",
               "set groups_from = \"groups\"");
  return {};
}

class OidcDriver final : public Driver {
 public:
  explicit OidcDriver(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  [[nodiscard]] std::string protocol() const override { return "oidc"; }

  [[nodiscard]] Status validate(const core::IdpSpec& spec) const override {
    DP_CHECK(compiled(spec));
    return {};
  }

  Result<std::shared_ptr<IdentityProvider>> make(const core::TenantId& tenant, const core::IdpSpec& spec) override {
    DP_TRY(auto mapping, compiled(spec));
    return std::shared_ptr<IdentityProvider>(std::make_shared<Provider>(shared_, tenant, spec, std::move(mapping)));
  }

 private:
  static Result<Mapping> compiled(const core::IdpSpec& spec) {
    if (spec.protocol != "oidc") return bad("protocol", "the protocol of " + spec.name + " is not oidc");
    DP_CHECK(check_issuer(spec.issuer));
    if (spec.client_id.empty() || spec.client_id.size() > max_client_id || !visible(spec.client_id, true))
      return bad("client_id", "client_id must be 1 to 255 visible ASCII characters");
    const bool secret = !spec.client_secret.ref.empty();
    if (spec.client_auth == core::ClientAuth::none && secret)
      return bad("client_secret", "a client without authentication has no client_secret",
                 "remove it, or set client_auth");
    if (spec.client_auth != core::ClientAuth::none && !secret)
      return bad("client_secret", "client_secret is missing",
                 "refer to it as file:/path or env:NAME, or set client_auth = \"none\"");
    DP_CHECK(check_scopes(spec.scopes));
    if (!spec.id_token_alg.empty() && !crypto::parse_alg(spec.id_token_alg))
      return bad("id_token_alg", "id_token_signed_response_alg is none of RS256, PS256, ES256, ES384, EdDSA");
    if (spec.session_max <= Millis(0)) return bad("session_max", "session_max must be longer than nothing");
    DP_TRY(auto mapping, Mapping::compile(spec));
    DP_CHECK(check_overage(spec, mapping));
    return mapping;
  }

  std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<Driver> make_oidc_driver(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                                         Fetch fetch, SecretSource secrets) {
  return std::make_unique<OidcDriver>(
      std::make_shared<Shared>(clock, entropy, log, std::move(fetch), std::move(secrets)));
}

}  // namespace daypass::idp::oidc
