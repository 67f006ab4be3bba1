#include "idp/saml/logout.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "idp/printable.h"
#include "idp/saml/message.h"
#include "idp/saml/names.h"
#include "idp/saml/response.h"

namespace daypass::idp::saml {

using base::Code;
using base::Error;
using base::Result;
using crypto::xml::Document;
using crypto::xml::Element;
using crypto::xml::trimmed;

namespace {

constexpr crypto::xml::Limits limits{.bytes = max_response_bytes, .depth = 16, .elements = 1000, .attributes = 32};
constexpr std::size_t max_sessions = 64;
constexpr std::size_t max_name = 1024;
constexpr std::size_t max_relay_state = 80;  // saml-bindings section 3.4.3

Error bad(std::string check, std::string message) {
  return Error{Code::invalid, "saml." + std::move(check), std::move(message)};
}

/// %XX and "+" undone, strictly.
std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      std::string digits(text.substr(i + 1, 2));
      std::ranges::transform(digits, digits.begin(),
                             [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
      const auto byte = base::hex_decode(digits);
      if (!byte) return std::nullopt;
      out += *byte;
      i += 2;
    }
  }
  return out;
}

/// The parameters that count, as they came.
struct Query {
  std::optional<std::string_view> request, relay_state, algorithm, signature;
};

Result<Query> read_query(std::string_view raw) {
  Query out;
  while (!raw.empty()) {
    const std::size_t end = std::min(raw.find('&'), raw.size());
    const std::string_view field = raw.substr(0, end);
    raw.remove_prefix(std::min(end + 1, raw.size()));
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = field.substr(0, equals);
    std::optional<std::string_view>* slot = name == "SAMLRequest"  ? &out.request
                                            : name == "RelayState" ? &out.relay_state
                                            : name == "SigAlg"     ? &out.algorithm
                                            : name == "Signature"  ? &out.signature
                                                                   : nullptr;
    // A name in another spelling would be read by somebody else as the same.
    const auto plain = unescaped(name);
    if (slot == nullptr && plain &&
        (*plain == "SAMLRequest" || *plain == "RelayState" || *plain == "SigAlg" || *plain == "Signature"))
      return bad("duplicate_parameter", "a parameter is spelled in another way");
    if (slot == nullptr) continue;
    if (*slot) return bad("duplicate_parameter", "the query has " + std::string(name) + " twice");
    *slot = field.substr(equals + 1);
  }
  return out;
}

struct Opened {
  std::string xml;  ///< vouched for
  std::string relay_state;
};

Result<Opened> from_query(const LogoutMessage& message, const LogoutExpected& expected) {
  if (message.raw_query.size() > max_response_bytes) return bad("too_large", "a query of more than 256 KiB");
  DP_TRY(const Query query, read_query(message.raw_query));
  if (!query.request) return bad("logout_shape", "the query has no SAMLRequest");
  if (!query.algorithm || !query.signature) return bad("unsigned", "the logout request is not signed");
  std::string octets = "SAMLRequest=" + std::string(*query.request);
  if (query.relay_state) octets += "&RelayState=" + std::string(*query.relay_state);
  octets += "&SigAlg=" + std::string(*query.algorithm);
  const auto algorithm = unescaped(*query.algorithm);
  const auto encoded = unescaped(*query.signature);
  const auto signature = encoded ? base::base64_decode(*encoded) : std::nullopt;
  if (!algorithm || !signature) return bad("base64", "the signature of the query can't be read");
  DP_CHECK(crypto::xml::verify_octets(*algorithm, octets, *signature, expected.keys));
  const auto request = unescaped(*query.request);
  const auto packed = request ? base::base64_decode(*request) : std::nullopt;
  if (!packed) return bad("base64", "the SAMLRequest is not base64");
  Opened out;
  DP_TRY(out.xml, inflate(*packed, max_response_bytes));
  if (query.relay_state) {
    const auto relay = unescaped(*query.relay_state);
    if (!relay) return bad("base64", "the RelayState can't be read");
    out.relay_state = *relay;
  }
  return out;
}

Result<Opened> from_form(const LogoutMessage& message, const LogoutExpected& expected) {
  std::optional<std::string> request;
  Opened out;
  for (const auto& [name, value] : message.fields) {
    if (name == "RelayState") out.relay_state = value;
    if (name != "SAMLRequest") continue;
    if (request) return bad("duplicate_parameter", "the form has SAMLRequest twice");
    request = value;
  }
  if (!request) return bad("logout_shape", "the form has no SAMLRequest");
  DP_TRY(const std::string xml, decode_response(*request));
  DP_TRY(const auto document, Document::parse(xml, limits));
  DP_TRY(out.xml, crypto::xml::verify_enveloped(document, document.root(), expected.keys));
  return out;
}

}  // namespace

Result<LogoutRequest> verify_logout_request(const LogoutMessage& message, const LogoutExpected& expected) {
  DP_TRY(const Opened opened, message.posted ? from_form(message, expected) : from_query(message, expected));
  if (opened.relay_state.size() > max_relay_state) return bad("too_large", "a RelayState of more than 80 bytes");
  DP_TRY(const auto document, Document::parse(opened.xml, limits));
  const Element& root = document.root();
  if (!root.is(protocol_ns, "LogoutRequest")) return bad("logout_shape", "this is no SAML 2.0 LogoutRequest");
  const auto attribute = [&](std::string_view name) {
    const std::string* value = root.attribute(name);
    return value == nullptr ? std::string() : *value;
  };
  LogoutRequest out;
  out.relay_state = opened.relay_state;
  out.id = attribute("ID");
  if (attribute("Version") != "2.0" || out.id.empty() || out.id.size() > max_name || !root.only_elements())
    return bad("logout_shape", "the LogoutRequest is not laid out as SAML 2.0 has it");
  const Element* issuer = root.child(assertion_ns, "Issuer");
  if (root.count(assertion_ns, "Issuer") != 1 || issuer->text != expected.issuer)
    return bad("logout_issuer", "the LogoutRequest is not of the identity provider");
  if (attribute("Destination") != expected.destination)
    return bad("logout_destination",
               "the LogoutRequest was meant for " + base::json::quote(printable(attribute("Destination"), 120)));
  const auto issued = base::parse_rfc3339(attribute("IssueInstant"));
  if (!issued.ok()) return bad("logout_shape", "the LogoutRequest does not say when it was made");
  out.issued_at = *issued;
  const std::string until = attribute("NotOnOrAfter");
  const auto end = base::parse_rfc3339(until);
  if (expected.now - max_logout_age > *issued || *issued > expected.now + clock_skew ||
      (!until.empty() && (!end.ok() || expected.now - clock_skew >= *end)))
    return bad("logout_expired", "the LogoutRequest is too old, or of the future");
  const Element* name = root.child(assertion_ns, "NameID");
  if (root.count(assertion_ns, "NameID") != 1 || !name->children.empty())
    return bad("logout_name", "the LogoutRequest does not say whom in a NameID that can be read");
  out.name_id = trimmed(name->text);
  if (out.name_id.empty() || out.name_id.size() > max_name)
    return bad("logout_name", "a NameID that is empty or too long");
  for (const Element& child : root.children) {
    if (!child.is(protocol_ns, "SessionIndex")) continue;
    const std::string index(trimmed(child.text));
    if (!child.children.empty() || index.empty() || index.size() > max_name ||
        out.session_indexes.size() == max_sessions)
      return bad("logout_shape", "a SessionIndex that can't be read, or too many");
    out.session_indexes.push_back(index);
  }
  return out;
}

}  // namespace daypass::idp::saml
