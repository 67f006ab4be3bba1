#include "idp/saml/metadata.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"
#include "idp/printable.h"
#include "idp/saml/names.h"
#include "idp/url.h"

namespace daypass::idp::saml {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using crypto::xml::Document;
using crypto::xml::dsig_ns;
using crypto::xml::Element;
using crypto::xml::trimmed;

namespace {

constexpr std::size_t max_keys = 8;
constexpr std::size_t max_nesting = 4;

Error bad(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::invalid, "saml_metadata." + std::move(check), std::move(message), std::move(hint)};
}

bool is_md(const Element& element, std::string_view name) {
  return element.is(metadata_ns, name);
}

// The way from the root to the wanted entity: each step's validity counts.
using Way = std::vector<const Element*>;

Status find_entity(const Element& at, std::string_view entity_id, Way& way, std::vector<Way>& found) {
  if (way.size() == max_nesting) return bad("shape", "EntitiesDescriptor nested deeper than 3");
  way.push_back(&at);
  if (is_md(at, "EntityDescriptor")) {
    const std::string* id = at.attribute("entityID");
    if (id != nullptr && (entity_id.empty() || *id == entity_id)) found.push_back(way);
  } else if (is_md(at, "EntitiesDescriptor")) {
    for (const Element& child : at.children)
      if (is_md(child, "EntityDescriptor") || is_md(child, "EntitiesDescriptor"))
        DP_CHECK(find_entity(child, entity_id, way, found));
  } else {
    return bad("shape", "the document is neither an EntityDescriptor nor an EntitiesDescriptor of SAML 2.0",
               "fetch the identity provider's SAML metadata, not its certificate or a web page");
  }
  way.pop_back();
  return {};
}

Status read_validity(const Element& element, base::WallTime now, IdpMetadata& out) {
  if (const std::string* until = element.attribute("validUntil")) {
    const auto time = base::parse_rfc3339(*until);
    if (!time.ok()) return bad("shape", "a validUntil that is no time in UTC");
    if (*time <= now)
      return bad("expired", "the metadata was valid until " + base::to_rfc3339(*time),
                 "fetch the identity provider's metadata again");
    out.valid_until = out.valid_until ? std::min(*out.valid_until, *time) : *time;
  }
  if (const std::string* cache = element.attribute("cacheDuration")) {
    const auto duration = parse_xs_duration(*cache);
    if (!duration) return bad("duration", "a cacheDuration that can't be read: " + printable(*cache, 32));
    out.cache_duration = out.cache_duration ? std::min(*out.cache_duration, *duration) : *duration;
  }
  return {};
}

Status read_endpoints(const Element& descriptor, std::string_view name, bool loopback_http,
                      std::vector<Endpoint>& out) {
  for (const Element& element : descriptor.children) {
    if (!is_md(element, name)) continue;
    const std::string* binding = element.attribute("Binding");
    const std::string* location = element.attribute("Location");
    if (binding == nullptr || location == nullptr) return bad("shape", "an endpoint without Binding or Location");
    if (*binding != redirect_binding && *binding != post_binding) continue;
    const std::string* response = element.attribute("ResponseLocation");
    Endpoint endpoint{*binding, *location, response == nullptr ? *location : *response};
    for (const std::string& url : {endpoint.location, endpoint.response_location}) {
      const auto parsed = parse_url(url);
      if (!parsed || !acceptable(*parsed, loopback_http))
        return bad("location", "an endpoint that is no https URL: " + printable(url, 80));
    }
    const bool first = std::ranges::none_of(out, [&](const Endpoint& e) { return e.binding == *binding; });
    if (first) out.push_back(std::move(endpoint));
  }
  return {};
}

Status read_keys(const Element& descriptor, const MetadataTrust& trust, IdpMetadata& out) {
  bool left_out = false;
  for (const Element& key : descriptor.children) {
    if (!is_md(key, "KeyDescriptor")) continue;
    const std::string* use = key.attribute("use");
    if (use != nullptr && *use != "signing") continue;
    const Element* info = key.child(dsig_ns, "KeyInfo");
    if (info == nullptr) return bad("shape", "a KeyDescriptor without KeyInfo");
    for (const Element& data : info->children) {
      // Of a chain the first is the signer's own.
      const Element* holder = data.is(dsig_ns, "X509Data") ? data.child(dsig_ns, "X509Certificate") : nullptr;
      if (holder == nullptr) continue;
      DP_TRY(auto certificate, Certificate::from_base64(holder->text));
      if (!trust.fingerprints.empty() &&
          std::ranges::find(trust.fingerprints, certificate.sha256()) == trust.fingerprints.end()) {
        left_out = true;
        continue;
      }
      if (std::ranges::find(out.signing, certificate) != out.signing.end()) continue;
      if (out.signing.size() == max_keys) return bad("shape", "more than 8 signing keys");
      out.signing.push_back(std::move(certificate));
    }
  }
  if (!out.signing.empty()) return {};
  if (left_out)
    return bad("fingerprint", "no signing certificate of the metadata has a pinned fingerprint",
               "compare metadata_sha256 with the certificate that the identity provider shows its administrators");
  return bad("no_key", "the metadata names no signing certificate");
}

Result<IdpMetadata> read_entity(const Way& way, const MetadataWanted& wanted) {
  IdpMetadata out;
  for (const Element* step : way) DP_CHECK(read_validity(*step, wanted.now, out));
  const Element& entity = *way.back();
  out.entity_id = *entity.attribute("entityID");
  const Element* descriptor = nullptr;
  for (const Element& role : entity.children) {
    if (!is_md(role, "IDPSSODescriptor")) continue;
    const std::string* protocols = role.attribute("protocolSupportEnumeration");
    if (protocols == nullptr) return bad("shape", "an IDPSSODescriptor that does not say which protocol it is for");
    if ((" " + *protocols + " ").find(" " + std::string(protocol_ns) + " ") == std::string::npos) continue;
    if (descriptor != nullptr) return bad("shape", "more than one IDPSSODescriptor for SAML 2.0");
    descriptor = &role;
  }
  if (descriptor == nullptr)
    return bad("no_sign_on", "the entity is no identity provider for SAML 2.0",
               "this may be a service provider's metadata");
  DP_CHECK(read_validity(*descriptor, wanted.now, out));
  if (const std::string* wants = descriptor->attribute("WantAuthnRequestsSigned"))
    out.wants_signed_requests = *wants == "true" || *wants == "1";
  DP_CHECK(read_endpoints(*descriptor, "SingleSignOnService", wanted.loopback_http, out.sign_on));
  DP_CHECK(read_endpoints(*descriptor, "SingleLogoutService", wanted.loopback_http, out.logout));
  if (out.sign_on.empty()) return bad("no_sign_on", "the metadata names no place to sign in by redirect or POST");
  DP_CHECK(read_keys(*descriptor, wanted.trust, out));
  return out;
}

const Endpoint* by(const std::vector<Endpoint>& endpoints, std::string_view binding) noexcept {
  const auto at = std::ranges::find(endpoints, binding, &Endpoint::binding);
  return at == endpoints.end() ? nullptr : &*at;
}

}  // namespace

const Endpoint* IdpMetadata::sign_on_by(std::string_view binding) const noexcept {
  return by(sign_on, binding);
}
const Endpoint* IdpMetadata::logout_by(std::string_view binding) const noexcept {
  return by(logout, binding);
}

std::optional<base::Millis> parse_xs_duration(std::string_view text) {
  text = trimmed(text);
  if (!text.starts_with('P') || text.size() > 40) return std::nullopt;
  text.remove_prefix(1);
  bool time = false;
  bool any = false;
  std::string_view units = "DHMS";
  std::int64_t total = 0;
  while (!text.empty()) {
    if (text.front() == 'T') {
      if (time || text.size() == 1) return std::nullopt;
      time = true;
      units = "HMS";
      text.remove_prefix(1);
      continue;
    }
    std::int64_t number = 0;
    std::size_t digits = 0;
    for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
      if (digits == 9) return std::nullopt;
      number = number * 10 + (text[digits] - '0');
    }
    if (digits == 0 || digits == text.size()) return std::nullopt;
    char unit = text[digits];
    if (unit == '.') {  // a fraction of a second, which nobody needs here
      const std::size_t end = text.find_first_not_of("0123456789", digits + 1);
      if (end == std::string_view::npos || end == digits + 1 || text[end] != 'S') return std::nullopt;
      digits = end;
      unit = 'S';
    }
    const std::size_t at = units.find(unit);
    if (at == std::string_view::npos || (unit == 'D') == time) return std::nullopt;
    units.remove_prefix(at + 1);
    constexpr std::array<std::pair<char, std::int64_t>, 4> seconds = {
        {{'D', 86'400}, {'H', 3600}, {'M', 60}, {'S', 1}}};
    total += number * std::ranges::find(seconds, unit, &std::pair<char, std::int64_t>::first)->second;
    any = true;
    text.remove_prefix(digits + 1);
  }
  if (!any || total > std::int64_t{3650} * 86'400) return std::nullopt;
  return std::chrono::seconds(total);
}

Result<IdpMetadata> parse_metadata(std::string_view text, const MetadataWanted& wanted) {
  const crypto::xml::Limits limits{.bytes = max_metadata_bytes, .depth = 32, .elements = 100'000, .attributes = 64};
  DP_TRY(auto document, Document::parse(text, limits));
  if (!wanted.trust.signers.empty()) {
    DP_TRY(const std::string octets, crypto::xml::verify_enveloped(document, document.root(), wanted.trust.signers));
    DP_TRY(document, Document::parse(octets, limits));
  }
  Way way;
  std::vector<Way> found;
  DP_CHECK(find_entity(document.root(), wanted.entity_id, way, found));
  if (found.size() != 1)
    return bad("entity",
               (found.empty() ? "no entity " : "several entities ") +
                   base::json::quote(printable(wanted.entity_id, 200)) + " in the metadata",
               "write the entityID of the metadata as \"issuer\"");
  return read_entity(found.front(), wanted);
}

}  // namespace daypass::idp::saml
