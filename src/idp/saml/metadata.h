// What an identity provider says of itself (saml-metadata-2.0-os): where to send people, and which keys are its own.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "crypto/xml_signature.h"

namespace daypass::idp::saml {

using crypto::xml::Certificate;

struct Endpoint {
  std::string binding;
  std::string location;
  std::string response_location;  ///< of single logout; the location where none is given
  bool operator==(const Endpoint&) const = default;
};

struct IdpMetadata {
  std::string entity_id;
  std::vector<Endpoint> sign_on;  ///< HTTP-Redirect and HTTP-POST only, at most one of each
  std::vector<Endpoint> logout;
  std::vector<Certificate> signing;  ///< in document order, 1 to 8
  std::optional<base::WallTime> valid_until;
  std::optional<base::Millis> cache_duration;
  base::MonoTime read_at{};  ///< set by whoever fetched it
  bool wants_signed_requests = false;

  [[nodiscard]] const Endpoint* sign_on_by(std::string_view binding) const noexcept;
  [[nodiscard]] const Endpoint* logout_by(std::string_view binding) const noexcept;
};

/// What vouches for metadata that came over a network. Empty: the document itself is trusted, a file.
struct MetadataTrust {
  std::vector<Certificate> signers;       ///< one of them must have signed the whole document
  std::vector<std::string> fingerprints;  ///< SHA-256, lower-case hex, of the certificates that may sign assertions
};

struct MetadataWanted {
  std::string entity_id;  ///< empty: the only one that there is
  base::WallTime now;
  MetadataTrust trust;
  bool loopback_http = false;  ///< http locations on loopback are taken (demo, tests)
};

constexpr std::size_t max_metadata_bytes = std::size_t{4} * 1024 * 1024;

/// Reads an EntityDescriptor, alone or inside EntitiesDescriptor, and of it the one IDPSSODescriptor for SAML 2.0. With
/// `trust.signers` only the octets that were signed are read; with `trust.fingerprints` other certificates are left
/// out. Errors: "xml.*", "xmldsig.*", "saml_metadata.shape", "saml_metadata.entity" (none or several of that name),
/// "saml_metadata.expired", "saml_metadata.no_sign_on", "saml_metadata.no_key", "saml_metadata.fingerprint",
/// "saml_metadata.location", "saml_metadata.duration", and "x509.*" with what is wrong with a certificate.
base::Result<IdpMetadata> parse_metadata(std::string_view text, const MetadataWanted& wanted);

/// xs:duration without years and months, as cacheDuration has it: "PT6H", "P7D". nullopt: not one, negative, or longer
/// than ten years.
std::optional<base::Millis> parse_xs_duration(std::string_view text);

}  // namespace daypass::idp::saml
