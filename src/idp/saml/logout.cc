#include "idp/saml/logout.h"

#include <algorithm>
#include <array>
#include <map>
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
using base::Status;
using crypto::xml::Document;
using crypto::xml::Element;
using crypto::xml::trimmed;

namespace {

constexpr crypto::xml::Limits limits{.bytes = max_response_bytes, .depth = 16, .elements = 1000, .attributes = 32};
constexpr std::size_t max_sessions = 64;
constexpr std::size_t max_name = 1024;
constexpr std::size_t max_relay_state = 80;  // saml-bindings section 3.4.3

Error bad(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::invalid, "saml." + std::move(check), std::move(message), std::move(hint)};
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

constexpr std::array<std::string_view, 5> parameters = {"SAMLRequest", "SAMLResponse", "RelayState", "SigAlg",
                                                        "Signature"};

/// The parameters that count, as they came.
using Query = std::map<std::string_view, std::string_view>;

Result<Query> read_query(std::string_view raw) {
  Query out;
  while (!raw.empty()) {
    const std::size_t end = std::min(raw.find('&'), raw.size());
    const std::string_view field = raw.substr(0, end);
    raw.remove_prefix(std::min(end + 1, raw.size()));
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = field.substr(0, equals);
    if (std::ranges::find(parameters, name) == parameters.end()) {
      // A name in another spelling would be read by somebody else as the same.
      const auto plain = unescaped(name);
      if (plain && std::ranges::find(parameters, *plain) != parameters.end())
        return bad("duplicate_parameter", "a parameter is spelled in another way");
      continue;
    }
    if (!out.emplace(name, field.substr(equals + 1)).second)
      return bad("duplicate_parameter", "the query has " + std::string(name) + " twice");
  }
  return out;
}

/// Which of the two messages is read: what its parameter, its root element and people call it.
struct Kind {
  std::string_view parameter, element;
};
constexpr Kind request_kind{"SAMLRequest", "LogoutRequest"}, response_kind{"SAMLResponse", "LogoutResponse"};

struct Opened {
  std::string xml;  ///< vouched for
  std::string relay_state;
};

Result<Opened> from_query(const Kind& kind, const LogoutMessage& message, const LogoutExpected& expected) {
  if (message.raw_query.size() > max_response_bytes) return bad("too_large", "a query of more than 256 KiB");
  DP_TRY(const Query query, read_query(message.raw_query));
  const std::string name(kind.parameter);
  if (!query.contains(kind.parameter) || (query.contains("SAMLRequest") && query.contains("SAMLResponse")))
    return bad("logout_shape", "the query has no " + name + ", or also its opposite");
  if (!query.contains("SigAlg") || !query.contains("Signature"))
    return bad("unsigned", "the " + std::string(kind.element) + " is not signed",
               "let the identity provider sign its logout messages");
  std::string octets = name + "=" + std::string(query.at(kind.parameter));
  const auto relay_state = query.find("RelayState");
  if (relay_state != query.end()) octets += "&RelayState=" + std::string(relay_state->second);
  octets += "&SigAlg=" + std::string(query.at("SigAlg"));
  const auto algorithm = unescaped(query.at("SigAlg"));
  const auto encoded = unescaped(query.at("Signature"));
  const auto signature = encoded ? base::base64_decode(*encoded) : std::nullopt;
  if (!algorithm || !signature) return bad("base64", "the signature of the query can't be read");
  DP_CHECK(crypto::xml::verify_octets(*algorithm, octets, *signature, expected.keys));
  const auto text = unescaped(query.at(kind.parameter));
  const auto packed = text ? base::base64_decode(*text) : std::nullopt;
  if (!packed) return bad("base64", "the " + name + " is not base64");
  Opened out;
  DP_TRY(out.xml, inflate(*packed, max_response_bytes));
  if (relay_state != query.end()) {
    const auto relay = unescaped(relay_state->second);
    if (!relay) return bad("base64", "the RelayState can't be read");
    out.relay_state = *relay;
  }
  return out;
}

Result<Opened> from_form(const Kind& kind, const LogoutMessage& message, const LogoutExpected& expected) {
  std::optional<std::string> text;
  Opened out;
  for (const auto& [name, value] : message.fields) {
    if (name == "RelayState") out.relay_state = value;
    if (name != kind.parameter) continue;
    if (text) return bad("duplicate_parameter", "the form has " + name + " twice");
    text = value;
  }
  if (!text) return bad("logout_shape", "the form has no " + std::string(kind.parameter));
  DP_TRY(const std::string xml, decode_response(*text));
  DP_TRY(const auto document, Document::parse(xml, limits));
  DP_TRY(out.xml, crypto::xml::verify_enveloped(document, document.root(), expected.keys));
  return out;
}

std::string attribute(const Element& element, std::string_view name) {
  const std::string* value = element.attribute(name);
  return value == nullptr ? std::string() : *value;
}

/// A message that a key of the provider vouches for, parsed anew, and what both kinds must say.
struct Read {
  Document document;
  std::string relay_state;
  base::WallTime issued_at{};
};

Result<Read> read(const Kind& kind, const LogoutMessage& message, const LogoutExpected& expected) {
  DP_TRY(Opened opened, message.posted ? from_form(kind, message, expected) : from_query(kind, message, expected));
  if (opened.relay_state.size() > max_relay_state) return bad("too_large", "a RelayState of more than 80 bytes");
  DP_TRY(auto document, Document::parse(opened.xml, limits));
  const Element& root = document.root();
  const std::string what(kind.element);
  if (!root.is(protocol_ns, kind.element)) return bad("logout_shape", "this is no SAML 2.0 " + what);
  const std::string id = attribute(root, "ID");
  if (attribute(root, "Version") != "2.0" || id.empty() || id.size() > max_name || !root.only_elements())
    return bad("logout_shape", "the " + what + " is not laid out as SAML 2.0 has it");
  const Element* issuer = root.child(assertion_ns, "Issuer");
  if (root.count(assertion_ns, "Issuer") != 1 || issuer->text != expected.issuer)
    return bad("logout_issuer", "the " + what + " is not of the identity provider");
  if (attribute(root, "Destination") != expected.destination)
    return bad("logout_destination",
               "the " + what + " was meant for " + base::json::quote(printable(attribute(root, "Destination"), 120)),
               "write " + expected.destination + " as the single logout URL at the identity provider");
  const auto issued = base::parse_rfc3339(attribute(root, "IssueInstant"));
  if (!issued.ok()) return bad("logout_shape", "the " + what + " does not say when it was made");
  if (expected.now - max_logout_age > *issued || *issued > expected.now + clock_skew)
    return bad("logout_expired", "the " + what + " is too old, or of the future",
               "compare the clocks of the two machines");
  return Read{std::move(document), std::move(opened.relay_state), *issued};
}

/// Only what says success, and nothing beside it, is one.
Status read_status(const Element& root, LogoutResponse& out) {
  const Element* status = root.child(protocol_ns, "Status");
  const Element* code = status == nullptr ? nullptr : status->child(protocol_ns, "StatusCode");
  if (code == nullptr || root.count(protocol_ns, "Status") != 1 || status->count(protocol_ns, "StatusCode") != 1 ||
      code->count(protocol_ns, "StatusCode") > 1)
    return bad("logout_shape", "the LogoutResponse does not have exactly one status");
  const Element* second = code->child(protocol_ns, "StatusCode");
  const std::string top = attribute(*code, "Value");
  const std::string detail = second == nullptr ? std::string() : attribute(*second, "Value");
  if (top == success && second == nullptr) {
    out.outcome = LogoutOutcome::signed_out;
  } else if (detail == partial_logout) {
    out.outcome = LogoutOutcome::partly;
  } else {
    out.outcome = LogoutOutcome::refused;
    out.why = printable(detail.empty() ? top : detail, 120);
    if (const Element* message = status->child(protocol_ns, "StatusMessage"))
      out.why += ": " + printable(trimmed(message->text), 200);
  }
  return {};
}

}  // namespace

Result<LogoutRequest> verify_logout_request(const LogoutMessage& message, const LogoutExpected& expected) {
  DP_TRY(const Read got, read(request_kind, message, expected));
  const Element& root = got.document.root();
  LogoutRequest out;
  out.relay_state = got.relay_state;
  out.id = attribute(root, "ID");
  out.issued_at = got.issued_at;
  const std::string until = attribute(root, "NotOnOrAfter");
  const auto end = base::parse_rfc3339(until);
  if (!until.empty() && (!end.ok() || expected.now - clock_skew >= *end))
    return bad("logout_expired", "the LogoutRequest is over");
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

Result<LogoutResponse> verify_logout_response(const LogoutMessage& message, const LogoutExpected& expected) {
  DP_TRY(const Read got, read(response_kind, message, expected));
  const Element& root = got.document.root();
  LogoutResponse out;
  out.in_response_to = attribute(root, "InResponseTo");
  if (out.in_response_to.empty() || out.in_response_to.size() > max_name)
    return bad("logout_in_response_to", "the LogoutResponse answers no request");
  DP_CHECK(read_status(root, out));
  return out;
}

}  // namespace daypass::idp::saml
