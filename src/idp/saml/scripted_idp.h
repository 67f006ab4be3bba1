// For tests alone: a SAML identity provider in memory. It says what it is told to, and signs it. Never part of a
// library or of the binary.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/time.h"
#include "crypto/xml_test_support.h"
#include "idp/idp.h"
#include "idp/saml/message.h"
#include "idp/saml/names.h"
#include "idp/test_support.h"
#include "idp/url.h"

namespace daypass::idp::saml::testing {

using crypto::xml::escaped_attribute;
using crypto::xml::escaped_content;
using crypto::xml::testing::encrypt;
using crypto::xml::testing::Encrypting;
using crypto::xml::testing::fresh_key;
using crypto::xml::testing::fresh_pem;

/// What one Response says; the defaults are an honest answer to `request`. Empty strings leave the thing out.
struct Say {
  std::string request = "_r1";
  std::string issuer = "https://idp.example/saml";
  std::string response_issuer = "https://idp.example/saml";
  std::string acs = "https://daypass.example/t/default/idp/corp/callback";
  std::string audience = "https://daypass.example/t/default/idp/corp/metadata";
  base::WallTime now{};
  std::string destination = acs, recipient = acs;
  std::string response_answers = request, subject_answers = request;
  std::string status = "urn:oasis:names:tc:SAML:2.0:status:Success";
  std::string name_id = "e7f1", name_id_format = std::string(persistent_format);
  std::string confirmation = std::string(bearer);
  base::Millis since = std::chrono::seconds(-5), until = std::chrono::minutes(5),
               confirmed_until = std::chrono::minutes(5);
  base::Millis signed_in = std::chrono::seconds(-10);
  std::optional<base::Millis> session_until;
  std::string session_index = "_s1";
  std::string attributes =
      "<saml:AttributeStatement><saml:Attribute Name=\"department\"><saml:AttributeValue>data</saml:AttributeValue>"
      "</saml:Attribute><saml:Attribute Name=\"groups\"><saml:AttributeValue>a</saml:AttributeValue>"
      "<saml:AttributeValue>b</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>";
  std::string more_conditions, before_conditions, in_response;  ///< XML put there
  std::string assertion_id = "_a1", response_id = "_p1";
  bool sign_response = true, sign_assertion = true;
  std::optional<Encrypting> encrypting;
};

/// What one LogoutResponse says; the defaults are an honest answer to `request`. Empty strings leave the thing out.
struct SayLogout {
  std::string request = "_l1";
  std::string issuer = "https://idp.example/saml";
  std::string destination = "https://daypass.example/t/default/idp/corp/logout";
  std::string status = std::string(success), second, message;
  std::string id = "_lr1", version = "2.0", element = "LogoutResponse", more;  ///< `more`: XML behind the status
  base::WallTime now{};
  bool sign = true;
};

class ScriptedIdp {
 public:
  ScriptedIdp() : key(fresh_key("P-256")) {}

  crypto::xml::KeyPair key;
  std::string sso = "https://idp.example/sso";
  std::string logout_services;  ///< XML

  [[nodiscard]] std::string metadata(std::string_view more = {},
                                     std::string_view entity = "https://idp.example/saml") const {
    return "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"" + std::string(entity) +
           "\"" + std::string(more) +
           "><md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">" +
           "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data>"
           "<ds:X509Certificate>" +
           key.certificate().to_base64() + "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>" +
           logout_services + "<md:SingleSignOnService Binding=\"" + std::string(redirect_binding) + "\" Location=\"" +
           sso + "\"/></md:IDPSSODescriptor></md:EntityDescriptor>";
  }

  [[nodiscard]] std::string assertion(const Say& say) const {
    const auto attribute = [](std::string_view name, const std::string& value) {
      return value.empty() ? std::string() : " " + std::string(name) + "=\"" + escaped_attribute(value) + "\"";
    };
    const auto at = [&](base::Millis offset) { return base::to_rfc3339(say.now + offset); };
    std::string out = "<saml:Assertion xmlns:saml=\"" + std::string(assertion_ns) + "\"" +
                      attribute("ID", say.assertion_id) + attribute("IssueInstant", at({})) +
                      " Version=\"2.0\"><saml:Issuer>" + escaped_content(say.issuer) + "</saml:Issuer>";
    const std::size_t signature = out.size();
    out += "<saml:Subject>";
    if (!say.name_id.empty())
      out += "<saml:NameID" + attribute("Format", say.name_id_format) + ">" + escaped_content(say.name_id) +
             "</saml:NameID>";
    out += "<saml:SubjectConfirmation" + attribute("Method", say.confirmation) + "><saml:SubjectConfirmationData" +
           attribute("InResponseTo", say.subject_answers) + attribute("NotOnOrAfter", at(say.confirmed_until)) +
           attribute("Recipient", say.recipient) +
           "></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>" + say.before_conditions +
           "<saml:Conditions" + attribute("NotBefore", at(say.since)) + attribute("NotOnOrAfter", at(say.until)) + ">";
    if (!say.audience.empty())
      out += "<saml:AudienceRestriction><saml:Audience>" + escaped_content(say.audience) +
             "</saml:Audience></saml:AudienceRestriction>";
    out += say.more_conditions + "</saml:Conditions><saml:AuthnStatement" +
           attribute("AuthnInstant", at(say.signed_in)) + attribute("SessionIndex", say.session_index) +
           (say.session_until ? attribute("SessionNotOnOrAfter", at(*say.session_until)) : "") +
           "><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken"
           "</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>" +
           say.attributes + "</saml:Assertion>";
    return say.sign_assertion ? crypto::xml::sign_enveloped(key, out, say.assertion_id, signature) : out;
  }

  [[nodiscard]] std::string response(const Say& say) const {
    std::string inside = assertion(say);
    if (say.encrypting)
      inside = "<saml:EncryptedAssertion xmlns:saml=\"" + std::string(assertion_ns) + "\">" +
               encrypt(inside, *encrypt_for, *say.encrypting) + "</saml:EncryptedAssertion>";
    return around(inside, say);
  }

  /// A Response around some XML. With a signature, it must be in canonical form.
  [[nodiscard]] std::string around(const std::string& inside, const Say& say) const {
    const auto attribute = [](std::string_view name, const std::string& value) {
      return value.empty() ? std::string() : " " + std::string(name) + "=\"" + escaped_attribute(value) + "\"";
    };
    std::string out = "<samlp:Response xmlns:samlp=\"" + std::string(protocol_ns) + "\"" +
                      attribute("Destination", say.destination) + attribute("ID", say.response_id) +
                      attribute("InResponseTo", say.response_answers) +
                      attribute("IssueInstant", base::to_rfc3339(say.now)) + " Version=\"2.0\">";
    if (!say.response_issuer.empty())
      out += "<saml:Issuer xmlns:saml=\"" + std::string(assertion_ns) + "\">" + escaped_content(say.response_issuer) +
             "</saml:Issuer>";
    const std::size_t signature = out.size();
    out += "<samlp:Status><samlp:StatusCode Value=\"" + say.status + "\"></samlp:StatusCode></samlp:Status>" + inside +
           say.in_response + "</samlp:Response>";
    return say.sign_response ? crypto::xml::sign_enveloped(key, out, say.response_id, signature) : out;
  }

  [[nodiscard]] std::string logout_response(const SayLogout& say) const {
    std::size_t signature = 0;
    const std::string out = unsigned_logout(say, signature);
    return say.sign ? crypto::xml::sign_enveloped(key, out, say.id, signature) : out;
  }
  /// The same by redirect: the query.
  [[nodiscard]] std::string logout_query(const SayLogout& say) const {
    std::size_t signature = 0;
    std::string out = "SAMLResponse=" + form_encode(base::base64_encode(deflate(unsigned_logout(say, signature))));
    if (!say.sign) return out;
    out += "&SigAlg=" + form_encode(key.algorithm());
    return out + "&Signature=" + form_encode(base::base64_encode(key.sign(out)));
  }

  std::optional<crypto::xml::Certificate> encrypt_for;

 private:
  [[nodiscard]] static std::string unsigned_logout(const SayLogout& say, std::size_t& signature) {
    const auto attribute = [](std::string_view name, const std::string& value) {
      return value.empty() ? std::string() : " " + std::string(name) + "=\"" + escaped_attribute(value) + "\"";
    };
    const auto code = [](const std::string& value, const std::string& inside) {
      return "<samlp:StatusCode Value=\"" + value + "\">" + inside + "</samlp:StatusCode>";
    };
    const std::string root = "samlp:" + say.element;
    std::string out = "<" + root + " xmlns:samlp=\"" + std::string(protocol_ns) + "\"" +
                      attribute("Destination", say.destination) + attribute("ID", say.id) +
                      attribute("InResponseTo", say.request) + attribute("IssueInstant", base::to_rfc3339(say.now)) +
                      attribute("Version", say.version) + ">";
    if (!say.issuer.empty())
      out += "<saml:Issuer xmlns:saml=\"" + std::string(assertion_ns) + "\">" + escaped_content(say.issuer) +
             "</saml:Issuer>";
    signature = out.size();
    if (!say.status.empty())
      out += "<samlp:Status>" + code(say.status, say.second.empty() ? "" : code(say.second, "")) +
             (say.message.empty() ? ""
                                  : "<samlp:StatusMessage>" + escaped_content(say.message) + "</samlp:StatusMessage>") +
             "</samlp:Status>";
    return out + say.more + "</" + root + ">";
  }
};

}  // namespace daypass::idp::saml::testing
