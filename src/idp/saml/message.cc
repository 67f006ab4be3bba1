// Everything is written in exclusive canonical form at once, attributes in order of their names and no element without
// an end tag, so that a signature needs no canonicalizer.
#include "idp/saml/message.h"

#include <zlib.h>

#include <array>

#include "base/assert.h"
#include "base/encoding.h"
#include "crypto/xml.h"
#include "idp/saml/names.h"
#include "idp/url.h"

namespace daypass::idp::saml {

using base::Code;
using base::Error;
using base::Result;
using crypto::xml::escaped_attribute;
using crypto::xml::escaped_content;

namespace {

std::string attribute(std::string_view name, std::string_view value) {
  return " " + std::string(name) + "=\"" + escaped_attribute(value) + "\"";
}

std::string issuer(const ServiceProvider& sp) {
  return "<saml:Issuer" + attribute("xmlns:saml", assertion_ns) + ">" + escaped_content(sp.entity_id) +
         "</saml:Issuer>";
}

struct Message {
  std::string xml;
  std::string id;
  std::size_t signature_at = 0;
};

Message authn_request(const ServiceProvider& sp, const SignInRequest& request) {
  Message out;
  out.id = request.id;
  out.xml = "<samlp:AuthnRequest" + attribute("xmlns:samlp", protocol_ns) +
            attribute("AssertionConsumerServiceURL", sp.acs) + attribute("Destination", request.destination) +
            (request.force ? attribute("ForceAuthn", "true") : "") + attribute("ID", request.id) +
            attribute("IssueInstant", base::to_rfc3339(request.now)) + attribute("ProtocolBinding", post_binding) +
            attribute("Version", "2.0") + ">" + issuer(sp);
  out.signature_at = out.xml.size();
  if (!request.name_id_format.empty())
    out.xml += "<samlp:NameIDPolicy" + attribute("AllowCreate", "true") + attribute("Format", request.name_id_format) +
               "></samlp:NameIDPolicy>";
  out.xml += "</samlp:AuthnRequest>";
  return out;
}

// saml-bindings section 3.4.4.1: what is signed are these very bytes, in this order.
std::string redirect_query(const ServiceProvider& sp, std::string_view name, const Message& message,
                           std::string_view relay_state) {
  std::string query = std::string(name) + "=" + form_encode(base::base64_encode(deflate(message.xml)));
  if (!relay_state.empty()) query += "&RelayState=" + form_encode(relay_state);
  if (sp.keys.empty()) return query;
  query += "&SigAlg=" + form_encode(sp.keys.front().algorithm());
  return query + "&Signature=" + form_encode(base::base64_encode(sp.keys.front().sign(query)));
}

Carried carry(const ServiceProvider& sp, std::string_view name, const Message& message, const Endpoint& endpoint,
              std::string_view relay_state) {
  Carried out{endpoint.location, {}};
  if (endpoint.binding == redirect_binding) {
    out.url += out.url.find('?') == std::string::npos ? '?' : '&';
    out.url += redirect_query(sp, name, message, relay_state);
    return out;
  }
  const std::string xml =
      sp.keys.empty() ? message.xml
                      : crypto::xml::sign_enveloped(sp.keys.front(), message.xml, message.id, message.signature_at);
  out.form.emplace_back(name, base::base64_encode(xml));
  if (!relay_state.empty()) out.form.emplace_back("RelayState", relay_state);
  return out;
}

std::string key_descriptor(const KeyPair& key, std::string_view use) {
  return "<md:KeyDescriptor" + attribute("use", use) + "><ds:KeyInfo" + attribute("xmlns:ds", crypto::xml::dsig_ns) +
         "><ds:X509Data><ds:X509Certificate>" + key.certificate().to_base64() +
         "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>";
}

std::string endpoint(std::string_view element, std::string_view binding, std::string_view location,
                     std::string_view more) {
  return "<md:" + std::string(element) + attribute("Binding", binding) + attribute("Location", location) +
         std::string(more) + "></md:" + std::string(element) + ">";
}

}  // namespace

Carried sign_in(const ServiceProvider& sp, const SignInRequest& request, const Endpoint& to,
                std::string_view relay_state) {
  return carry(sp, "SAMLRequest", authn_request(sp, request), to, relay_state);
}

Carried sign_out(const ServiceProvider& sp, const SignOutRequest& request, const Endpoint& to) {
  DP_ASSERT(!sp.keys.empty());  // saml-profiles section 4.4.3.1: by browser it is signed
  const auto given = [](std::string_view name, const std::string& value) {
    return value.empty() ? std::string() : attribute(name, value);
  };
  Message out;
  out.id = request.id;
  out.xml = "<samlp:LogoutRequest" + attribute("xmlns:samlp", protocol_ns) + attribute("Destination", to.location) +
            attribute("ID", request.id) + attribute("IssueInstant", base::to_rfc3339(request.now)) +
            attribute("NotOnOrAfter", base::to_rfc3339(request.now + max_logout_age)) +
            attribute("Reason", logout_by_user) + attribute("Version", "2.0") + ">" + issuer(sp);
  out.signature_at = out.xml.size();
  out.xml += "<saml:NameID" + attribute("xmlns:saml", assertion_ns) + given("Format", request.who.format) +
             given("NameQualifier", request.who.name_qualifier) +
             given("SPNameQualifier", request.who.sp_name_qualifier) + ">" + escaped_content(request.who.name) +
             "</saml:NameID>";
  for (const auto& index : request.session_indexes)
    out.xml += "<samlp:SessionIndex>" + escaped_content(index) + "</samlp:SessionIndex>";
  out.xml += "</samlp:LogoutRequest>";
  return carry(sp, "SAMLRequest", out, to, {});
}

Carried logout_reply(const ServiceProvider& sp, const LogoutReply& answer, const Endpoint& to,
                     std::string_view relay_state) {
  Endpoint back = to;
  back.location = to.response_location;
  Message out;
  out.id = answer.id;
  out.xml = "<samlp:LogoutResponse" + attribute("xmlns:samlp", protocol_ns) + attribute("Destination", back.location) +
            attribute("ID", answer.id) + attribute("InResponseTo", answer.in_response_to) +
            attribute("IssueInstant", base::to_rfc3339(answer.now)) + attribute("Version", "2.0") + ">" + issuer(sp);
  out.signature_at = out.xml.size();
  out.xml += "<samlp:Status><samlp:StatusCode" + attribute("Value", success) +
             "></samlp:StatusCode></samlp:Status></samlp:LogoutResponse>";
  return carry(sp, "SAMLResponse", out, back, relay_state);
}

std::string describe(const ServiceProvider& sp, std::string_view id, base::WallTime now) {
  const bool sign = !sp.keys.empty();
  std::string xml = "<md:EntityDescriptor" + attribute("xmlns:md", metadata_ns) + attribute("ID", id) +
                    attribute("cacheDuration", "PT1H") + attribute("entityID", sp.entity_id) +
                    attribute("validUntil", base::to_rfc3339(now + std::chrono::hours(24 * 7))) + ">";
  const std::size_t at = xml.size();
  xml += "<md:SPSSODescriptor" + attribute("AuthnRequestsSigned", sign ? "true" : "false") +
         attribute("WantAssertionsSigned", "true") + attribute("protocolSupportEnumeration", protocol_ns) + ">";
  for (const KeyPair& key : sp.keys) xml += key_descriptor(key, "signing");
  for (const KeyPair& key : sp.keys)
    if (key.is_rsa()) xml += key_descriptor(key, "encryption");
  xml += endpoint("SingleLogoutService", redirect_binding, sp.slo, {});
  xml += endpoint("SingleLogoutService", post_binding, sp.slo, {});
  xml += "<md:NameIDFormat>" + std::string(persistent_format) + "</md:NameIDFormat>";
  xml += endpoint("AssertionConsumerService", post_binding, sp.acs,
                  attribute("index", "0") + attribute("isDefault", "true"));
  xml += "</md:SPSSODescriptor></md:EntityDescriptor>";
  return sign ? crypto::xml::sign_enveloped(sp.keys.front(), xml, id, at) : xml;
}

std::string deflate(std::string_view text) {
  z_stream stream{};
  DP_ASSERT(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int end = ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  DP_ASSERT(end == Z_STREAM_END);
  return out;
}

Result<std::string> inflate(std::string_view packed, std::size_t most) {
  z_stream stream{};
  DP_ASSERT(inflateInit2(&stream, -MAX_WBITS) == Z_OK);
  struct End {
    z_stream& stream;
    ~End() { inflateEnd(&stream); }
  } guard{stream};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  std::array<char, 16 * 1024> chunk{};
  for (;;) {
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    const int code = ::inflate(&stream, Z_NO_FLUSH);
    const std::size_t got = chunk.size() - stream.avail_out;
    if (out.size() + got > most)
      return Error{Code::invalid, "saml.deflate",
                   "the message unpacks to more than " + std::to_string(most) + " bytes"};
    out.append(chunk.data(), got);
    if (code == Z_STREAM_END && stream.avail_in == 0) return out;
    if (code != Z_OK || got == 0)
      return Error{Code::invalid, "saml.deflate", "the message is not compressed as SAML has it"};
  }
}

}  // namespace daypass::idp::saml
