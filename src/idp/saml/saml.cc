#include "idp/saml/saml.h"

#include <algorithm>
#include <utility>

#include "idp/mapping.h"
#include "idp/saml/names.h"
#include "idp/saml/provider.h"
#include "idp/url.h"

namespace daypass::idp::saml {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t max_entity_id = 1024;  // saml-core section 8.3.6
constexpr std::size_t max_sp_keys = 4;

Error bad(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::invalid, "idp." + std::move(check), std::move(message), std::move(hint)};
}

bool is_entity_id(std::string_view text) {
  return !text.empty() && text.size() <= max_entity_id && std::ranges::all_of(text, [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("\"<>\\^`{|}").find(c) == std::string_view::npos;
  });
}

bool is_fingerprint(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Status check_metadata(const core::SamlSpec& saml) {
  for (const auto& fingerprint : saml.metadata_sha256)
    if (!is_fingerprint(fingerprint))
      return bad("metadata_sha256", "a fingerprint in metadata_sha256 is not 64 digits of lower-case hexadecimal",
                 "openssl x509 -in idp.crt -noout -fingerprint -sha256, without the colons");
  if (!saml.metadata_by_url()) return {};
  const auto url = parse_url(saml.metadata);
  if (!url || !acceptable(*url, true))
    return bad("metadata", "metadata is neither an https URL nor file:/path",
               "write where the identity provider's metadata is");
  // Whoever answers for that URL would otherwise choose the keys that we believe.
  if (saml.metadata_sha256.empty() && saml.metadata_signer.empty() && !url->loopback())
    return bad(
        "metadata_trust", "nothing vouches for metadata that comes from a URL",
        "pin the provider's signing certificate with metadata_sha256, or the metadata's with metadata_signer, or "
        "download it and write file:/path");
  return {};
}

class SamlDriver final : public Driver {
 public:
  explicit SamlDriver(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  [[nodiscard]] std::string protocol() const override { return "saml"; }

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
    if (spec.protocol != "saml") return bad("protocol", "the protocol of " + spec.name + " is not saml");
    if (!is_entity_id(spec.issuer))
      return bad("issuer", "issuer must be the identity provider's entityID: 1 to 1024 visible characters",
                 "copy it from the first line of its metadata");
    DP_CHECK(check_metadata(spec.saml));
    if (!spec.saml.sp_entity_id.empty() && !is_entity_id(spec.saml.sp_entity_id))
      return bad("sp_entity_id", "sp_entity_id must be a URI of visible characters");
    if (spec.saml.sp_keys.size() > max_sp_keys) return bad("sp_keys", "more than 4 sp_keys");
    if (spec.session_max <= Millis(0)) return bad("session_max", "session_max must be longer than nothing");
    return Mapping::compile(spec);
  }

  std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<Driver> make_saml_driver(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                                         Fetch fetch, SecretSource secrets) {
  return std::make_unique<SamlDriver>(
      std::make_shared<Shared>(clock, entropy, log, std::move(fetch), std::move(secrets)));
}

}  // namespace daypass::idp::saml
