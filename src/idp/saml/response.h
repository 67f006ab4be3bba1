// One Response of an identity provider, from octets of a stranger to an assertion that may be believed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/xml_signature.h"

namespace daypass::idp::saml {

using crypto::xml::Certificate;
using crypto::xml::KeyPair;

constexpr std::size_t max_response_bytes = std::size_t{256} * 1024;  ///< of XML, decoded
constexpr base::Millis clock_skew = std::chrono::seconds(60);

/// What a Response must fit. The spans outlive the call.
struct Expected {
  std::string issuer;  ///< the identity provider's entityID
  std::span<const Certificate> keys;
  std::string sp_entity_id;
  std::string acs;                        ///< our URL that it was posted to
  std::optional<std::string> request_id;  ///< nullopt: nobody asked, so it must answer nothing
  base::WallTime now;
  std::span<const KeyPair> decryption;
};

/// One attribute. A value is text, or null where the assertion holds no plain text (xsi:nil, elements).
struct Attribute {
  std::string name;
  std::vector<base::json::Value> values;
  bool operator==(const Attribute&) const = default;
};

/// What one assertion says, all of it read from octets that a key of the provider signed.
struct Assertion {
  std::string id;
  std::string issuer;
  std::string name_id;
  std::string name_id_format;  ///< empty when not there, as the next two
  std::string name_qualifier;
  std::string sp_name_qualifier;
  std::vector<std::string> session_indexes;  ///< of all AuthnStatements; empty: it has no name for its session
  base::WallTime authn_instant{};
  std::string authn_context;  ///< AuthnContextClassRef; empty when not there
  std::optional<base::WallTime> session_not_on_or_after;
  base::WallTime not_on_or_after{};  ///< past it (and the skew) the assertion is worth nothing: how long to remember it
  std::vector<Attribute> attributes;  ///< names unique, in order of their first appearance

  /// `{name: value or [values], …}`, with "NameID" and "NameID.Format" among the names: what a mapping reads.
  [[nodiscard]] base::json::Value claims() const;
};

/// Verifies in this order: XML, layout, the Response's signature, decryption, the assertion's signature, and only then
/// what they say (saml-profiles-2.0-os section 4.1.4.3). A signature that is there must verify; at least one must be.
/// What was signed is parsed anew, and nothing else is believed.
/// Errors: "xml.*", "xmldsig.*", "xmlenc.*", and "saml.shape", "saml.version", "saml.assertions" (not exactly one),
/// "saml.advice", "saml.unsigned", "saml.unauthenticated_encryption", "saml.destination", "saml.in_response_to",
/// "saml.issuer", "saml.status", "saml.subject", "saml.name_id", "saml.encrypted_id", "saml.subject_confirmation",
/// "saml.recipient", "saml.conditions", "saml.audience", "saml.not_yet_valid", "saml.expired", "saml.authn_statement",
/// "saml.session_over", "saml.encrypted_attribute", "saml.attributes".
base::Result<Assertion> verify_response(std::string_view xml, const Expected& expected);

/// The base64 of a form field, white space allowed, to XML. Errors: "saml.too_large", "saml.base64".
base::Result<std::string> decode_response(std::string_view field);

}  // namespace daypass::idp::saml
