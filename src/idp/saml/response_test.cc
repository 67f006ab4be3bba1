// A Response is believed for what it signed, or refused by the name of one check.
#include "idp/saml/response.h"

#include <gtest/gtest.h>

#include <functional>

#include "idp/saml/scripted_idp.h"

namespace daypass::idp::saml {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::Encrypting;
using testing::fresh_key;
using testing::Say;
using testing::ScriptedIdp;

const base::WallTime now = base::parse_rfc3339("2026-11-29T12:00:00Z").value();

class SamlResponse : public ::testing::Test {
 protected:
  static ScriptedIdp& idp() {
    static ScriptedIdp one;
    one.encrypt_for = ours().front().certificate();
    return one;
  }
  static const std::vector<KeyPair>& ours() {
    static const std::vector<KeyPair> keys = {fresh_key("RSA")};
    return keys;
  }
  static Say honest() {
    Say say;
    say.now = now;
    return say;
  }
  static base::Result<Assertion> verify(const std::string& xml, const std::function<void(Expected&)>& change = {}) {
    const std::vector<Certificate> keys = {idp().key.certificate()};
    Expected expected;
    expected.issuer = "https://idp.example/saml";
    expected.keys = keys;
    expected.sp_entity_id = "https://daypass.example/t/default/idp/corp/metadata";
    expected.acs = "https://daypass.example/t/default/idp/corp/callback";
    expected.request_id = "_r1";
    expected.now = now;
    expected.decryption = ours();
    if (change) change(expected);
    return verify_response(xml, expected);
  }
  static std::string check(const std::string& xml, const std::function<void(Expected&)>& change = {}) {
    const auto assertion = verify(xml, change);
    return assertion.ok() ? "ok" : assertion.error().check;
  }
  static std::string said(const std::function<void(Say&)>& change) {
    Say say = honest();
    change(say);
    return check(idp().response(say));
  }
  /// So many more statements about authentication, each of a session of its own.
  static std::string sessions(int count) {
    std::string out;
    for (int i = 0; i < count; ++i)
      out += "<saml:AuthnStatement AuthnInstant=\"2026-11-29T11:59:00Z\" SessionIndex=\"_x" + std::to_string(i) +
             "\"></saml:AuthnStatement>";
    return out;
  }
  static std::string replaced(std::string text, std::string_view what, std::string_view with) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return at == std::string::npos ? text : text.replace(at, what.size(), with);
  }
};

TEST_F(SamlResponse, IsReadFromWhatWasSigned) {
  for (const bool response : {true, false})
    for (const bool assertion : {true, false}) {
      if (!response && !assertion) continue;
      Say say = honest();
      say.sign_response = response;
      say.sign_assertion = assertion;
      say.session_until = minutes(30);
      const auto read = verify(idp().response(say));
      ASSERT_TRUE(read.ok()) << read.error().check << ": " << read.error().message;
      EXPECT_EQ(read->issuer, "https://idp.example/saml");
      EXPECT_EQ(read->id, "_a1");
      EXPECT_EQ(read->name_id, "e7f1");
      EXPECT_EQ(read->name_id_format, persistent_format);
      EXPECT_EQ(read->session_indexes, std::vector<std::string>{"_s1"});
      EXPECT_EQ(read->authn_instant, now - seconds(10));
      EXPECT_EQ(read->authn_context, "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken");
      EXPECT_EQ(read->session_not_on_or_after, now + minutes(30));
      EXPECT_EQ(read->not_on_or_after, now + minutes(5));
      EXPECT_EQ(base::json::dump(read->claims()),
                R"({"department":"data","groups":["a","b"],"NameID":"e7f1","NameID.Format":")" +
                    std::string(persistent_format) + "\"}");
    }
}

TEST_F(SamlResponse, RefusesEachLie) {
  const struct {
    const char* name;
    std::function<void(Say&)> lie;
    const char* check;
  } lies[] = {
      {"honest", [](Say&) {}, "ok"},
      {"nothing signed", [](Say& s) { s.sign_response = s.sign_assertion = false; }, "saml.unsigned"},
      {"assertion of another issuer", [](Say& s) { s.issuer = "https://evil.example"; }, "saml.issuer"},
      {"response of another issuer", [](Say& s) { s.response_issuer = "https://evil.example"; }, "saml.issuer"},
      {"response without issuer", [](Say& s) { s.response_issuer.clear(); }, "ok"},
      {"another destination", [](Say& s) { s.destination = "https://other.example"; }, "saml.destination"},
      {"no destination", [](Say& s) { s.destination.clear(); }, "saml.destination"},
      {"no destination, response not signed", [](Say& s) { s.destination.clear(), s.sign_response = false; }, "ok"},
      {"another destination, response not signed",
       [](Say& s) { s.destination = "https://other.example", s.sign_response = false; }, "saml.destination"},
      {"another recipient", [](Say& s) { s.recipient = "https://other.example"; }, "saml.recipient"},
      {"no recipient", [](Say& s) { s.recipient.clear(); }, "saml.recipient"},
      {"another request", [](Say& s) { s.response_answers = "_r2"; }, "saml.in_response_to"},
      {"no request", [](Say& s) { s.response_answers.clear(); }, "saml.in_response_to"},
      {"subject of another request", [](Say& s) { s.subject_answers = "_r2"; }, "saml.in_response_to"},
      {"subject of no request", [](Say& s) { s.subject_answers.clear(); }, "saml.in_response_to"},
      {"another audience", [](Say& s) { s.audience = "https://other.example"; }, "saml.audience"},
      {"audience with a tail", [](Say& s) { s.audience += "/"; }, "saml.audience"},
      {"no audience", [](Say& s) { s.audience.clear(); }, "saml.audience"},
      {"not all restrictions name us",
       [](Say& s) {
         s.more_conditions =
             "<saml:AudienceRestriction><saml:Audience>urn:other</saml:Audience></saml:AudienceRestriction>";
       },
       "saml.audience"},
      {"a session with a long name", [](Say& s) { s.session_index = std::string(1024, 's'); }, "ok"},
      {"a session with a longer one", [](Say& s) { s.session_index = std::string(1025, 's'); }, "saml.authn_statement"},
      {"64 sessions", [](Say& s) { s.attributes = sessions(63); }, "ok"},
      {"65 sessions", [](Say& s) { s.attributes = sessions(64); }, "saml.authn_statement"},
      {"one use, no proxies",
       [](Say& s) {
         s.more_conditions =
             "<saml:OneTimeUse></saml:OneTimeUse><saml:ProxyRestriction Count=\"0\"></saml:ProxyRestriction>";
       },
       "ok"},
      {"a condition of their own", [](Say& s) { s.more_conditions = "<saml:Condition></saml:Condition>"; },
       "saml.conditions"},
      {"failed", [](Say& s) { s.status = "urn:oasis:names:tc:SAML:2.0:status:Responder"; }, "saml.status"},
      {"over", [](Say& s) { s.since = -minutes(5), s.until = -seconds(61); }, "saml.expired"},
      {"just over", [](Say& s) { s.since = -minutes(5), s.until = -seconds(59); }, "ok"},
      {"confirmation over", [](Say& s) { s.confirmed_until = -seconds(61); }, "saml.expired"},
      {"to come", [](Say& s) { s.since = seconds(61); }, "saml.not_yet_valid"},
      {"just to come", [](Say& s) { s.since = seconds(59); }, "ok"},
      {"signed in tomorrow", [](Say& s) { s.signed_in = minutes(2); }, "saml.authn_statement"},
      {"session over", [](Say& s) { s.session_until = seconds(0); }, "saml.session_over"},
      {"valid at no time", [](Say& s) { s.since = s.until = seconds(1); }, "saml.conditions"},
      {"two subjects", [](Say& s) { s.before_conditions = "<saml:Subject></saml:Subject>"; }, "saml.shape"},
      {"no ID", [](Say& s) { s.response_id.clear(), s.sign_response = false; }, "saml.shape"},
      {"holder of key", [](Say& s) { s.confirmation = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"; },
       "saml.subject_confirmation"},
      {"advice", [](Say& s) { s.attributes = "<saml:Advice></saml:Advice>" + s.attributes; }, "saml.advice"},
      {"another assertion inside",
       [](Say& s) {
         s.attributes +=
             "<saml:AttributeStatement><saml:Attribute "
             "Name=\"x\"><saml:AttributeValue><saml:Assertion></saml:Assertion></saml:AttributeValue></"
             "saml:Attribute></saml:AttributeStatement>";
       },
       "saml.assertions"},
      {"a decision", [](Say& s) { s.attributes += "<saml:AuthzDecisionStatement></saml:AuthzDecisionStatement>"; },
       "saml.shape"},
      {"encrypted attribute",
       [](Say& s) {
         s.attributes =
             "<saml:AttributeStatement><saml:EncryptedAttribute></saml:EncryptedAttribute></saml:AttributeStatement>";
       },
       "saml.encrypted_attribute"},
      {"no name", [](Say& s) { s.name_id.clear(); }, "ok"},
  };
  for (const auto& c : lies) EXPECT_EQ(said(c.lie), c.check) << c.name;
}

TEST_F(SamlResponse, NamesEverySessionOnce) {
  Say say = honest();
  say.session_index = " _s1\n";
  say.attributes = sessions(2) + sessions(1);
  const auto read = verify(idp().response(say));
  ASSERT_TRUE(read.ok()) << read.error().check;
  EXPECT_EQ(read->session_indexes, (std::vector<std::string>{"_s1", "_x0", "_x1"}));
  say.session_index.clear();
  say.attributes.clear();
  EXPECT_TRUE(verify(idp().response(say))->session_indexes.empty());
}

TEST_F(SamlResponse, AnswersNothingWhenNobodyAsked) {
  Say say = honest();
  const auto nobody = [](Expected& e) { e.request_id.reset(); };
  EXPECT_EQ(check(idp().response(say), nobody), "saml.in_response_to");
  say.response_answers.clear();
  EXPECT_EQ(check(idp().response(say), nobody), "saml.in_response_to");
  say.subject_answers.clear();
  EXPECT_EQ(check(idp().response(say), nobody), "ok");
}

// Signature wrapping: the signed thing is kept somewhere, and another one stands where the reader looks.
TEST_F(SamlResponse, SignatureWrappingIsRefused) {
  Say honest_say = honest();
  honest_say.sign_response = false;
  Say evil_say = honest_say;
  evil_say.sign_assertion = false;
  evil_say.name_id = "admin";
  evil_say.assertion_id = "_evil";
  const std::string good = idp().assertion(honest_say);
  const std::string evil = idp().assertion(evil_say);
  const std::string signature =
      good.substr(good.find("<ds:Signature "), good.find("</ds:Signature>") + 15 - good.find("<ds:Signature "));
  const std::string original = replaced(good, signature, "");
  const auto in = [&](const std::string& inside) { return check(idp().around(inside, honest_say)); };
  EXPECT_EQ(in(good), "ok");
  EXPECT_EQ(in(evil), "saml.unsigned");
  EXPECT_EQ(in(good + evil), "saml.assertions");
  EXPECT_EQ(in(evil + good), "saml.assertions");
  // The evil one carries the signature of the good one, which lies in its Object, its subject or its advice.
  const std::string carrying = replaced(evil, "<saml:Subject>", signature + "<saml:Subject>");
  EXPECT_EQ(in(carrying), "xmldsig.reference");
  const std::string same_id = replaced(carrying, "_evil", "_a1");
  EXPECT_EQ(in(same_id), "xmldsig.digest");
  EXPECT_EQ(in(replaced(same_id, "</ds:Signature>", "<ds:Object>" + original + "</ds:Object></ds:Signature>")),
            "saml.shape");
  EXPECT_EQ(in(replaced(carrying, "</ds:Signature>", "<ds:Object>" + original + "</ds:Object></ds:Signature>")),
            "xmldsig.shape");
  EXPECT_EQ(in(replaced(carrying, "<saml:Conditions", "<saml:Advice>" + original + "</saml:Advice><saml:Conditions")),
            "saml.advice");
  EXPECT_EQ(in(replaced(evil, "</saml:Subject>", good + "</saml:Subject>")), "saml.unsigned");
  EXPECT_EQ(check(idp().around(evil, honest_say)), "saml.unsigned");
  // In an extension of the Response, or beside it.
  const std::string around = idp().around(evil, honest_say);
  EXPECT_EQ(
      check(replaced(around, "<samlp:Status>", "<samlp:Extensions>" + good + "</samlp:Extensions><samlp:Status>")),
      "saml.shape");
  EXPECT_EQ(check(replaced(idp().around(good, honest_say), "<samlp:Status>", signature + "<samlp:Status>")),
            "xmldsig.reference");
  // A signed Response inside an unsigned one.
  EXPECT_EQ(check(replaced(around, "</samlp:Response>", idp().response(honest()) + "</samlp:Response>")), "saml.shape");
}

TEST_F(SamlResponse, ASignatureThatIsThereMustHold) {
  const std::string good = idp().response(honest());
  EXPECT_EQ(check(replaced(good, "e7f1", "admin")), "xmldsig.digest");
  Say say = honest();
  say.sign_response = false;
  std::string inner = idp().assertion(say);
  inner = replaced(inner, "e7f1", "admin");
  say.sign_response = true;
  EXPECT_EQ(check(idp().around(inner, say)), "xmldsig.digest") << "the Response vouches for a broken signature";
  ScriptedIdp other;
  EXPECT_EQ(check(other.response(honest())), "xmldsig.signature");
}

TEST_F(SamlResponse, MayBeEncrypted) {
  for (const bool response : {true, false}) {
    Say say = honest();
    say.sign_response = response;
    say.encrypting = Encrypting{};
    EXPECT_EQ(check(idp().response(say)), "ok");
    say.sign_assertion = false;
    EXPECT_EQ(check(idp().response(say)), response ? "ok" : "saml.unsigned");
    say.sign_assertion = true;
    say.encrypting->cipher = "AES-128-CBC";
    say.encrypting->cipher_uri = "http://www.w3.org/2001/04/xmlenc#aes128-cbc";
    say.encrypting->key = 16;
    EXPECT_EQ(check(idp().response(say)), response ? "ok" : "saml.unauthenticated_encryption");
  }
  Say say = honest();
  say.encrypting = Encrypting{};
  const auto no_key = [](Expected& e) { e.decryption = {}; };
  EXPECT_EQ(check(idp().response(say), no_key), "xmlenc.no_key");
}

TEST_F(SamlResponse, APlaintextStandsByItself) {
  Say say = honest();
  say.sign_assertion = false;
  const std::string plain = replaced(idp().assertion(say), " xmlns:saml=\"" + std::string(assertion_ns) + "\"", "");
  const std::string wrapped = "<saml:EncryptedAssertion xmlns:saml=\"" + std::string(assertion_ns) + "\">" +
                              testing::encrypt(plain, *idp().encrypt_for) + "</saml:EncryptedAssertion>";
  EXPECT_EQ(check(idp().around(wrapped, say)), "xmlenc.decrypt");
  // What is not one element, or no XML, gives the answer of a wrong key.
  for (const std::string_view odd : {"x", "<a/><b/>", "</decrypted><decrypted>", "<a>", ""}) {
    say.encrypting = Encrypting{};
    const std::string inside = "<saml:EncryptedAssertion xmlns:saml=\"" + std::string(assertion_ns) + "\">" +
                               testing::encrypt(odd, *idp().encrypt_for) + "</saml:EncryptedAssertion>";
    say.sign_response = false;
    EXPECT_EQ(check(idp().around(inside, say)), "xmlenc.decrypt") << odd;
  }
}

TEST_F(SamlResponse, AttributesAreTextOrKnownNotToBe) {
  Say say = honest();
  say.attributes =
      "<saml:AttributeStatement>"
      "<saml:Attribute Name=\"one\"><saml:AttributeValue>1</saml:AttributeValue></saml:Attribute>"
      "<saml:Attribute Name=\"none\"></saml:Attribute>"
      "<saml:Attribute Name=\"empty\"><saml:AttributeValue></saml:AttributeValue></saml:Attribute>"
      "<saml:Attribute Name=\"nil\"><saml:AttributeValue xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
      "xsi:nil=\"true\"></saml:AttributeValue></saml:Attribute>"
      "<saml:Attribute Name=\"odd\"><saml:AttributeValue><x></x></saml:AttributeValue></saml:Attribute>"
      "<saml:Attribute "
      "Name=\"named\"><saml:AttributeValue><saml:NameID>n1</saml:NameID></saml:AttributeValue></saml:Attribute>"
      "<saml:Attribute Name=\"one\"><saml:AttributeValue>2</saml:AttributeValue></saml:Attribute>"
      "<saml:Attribute Name=\"NameID\"><saml:AttributeValue>admin</saml:AttributeValue></saml:Attribute>"
      "</saml:AttributeStatement>";
  const auto read = verify(idp().response(say));
  ASSERT_TRUE(read.ok()) << read.error().check;
  EXPECT_EQ(
      base::json::dump(read->claims()),
      R"({"one":["1","2"],"none":[],"empty":"","nil":null,"odd":null,"named":"n1","NameID":"e7f1","NameID.Format":")" +
          std::string(persistent_format) + "\"}");
  std::string many = "<saml:AttributeStatement>";
  for (int i = 0; i < 257; ++i) many += "<saml:Attribute Name=\"a" + std::to_string(i) + "\"></saml:Attribute>";
  say.attributes = many + "</saml:AttributeStatement>";
  EXPECT_EQ(check(idp().response(say)), "saml.attributes");
}

TEST_F(SamlResponse, OddXmlIsRefused) {
  const std::string good = idp().response(honest());
  EXPECT_EQ(check(""), "xml.syntax");
  EXPECT_EQ(check("<x/>"), "saml.shape");
  EXPECT_EQ(check(replaced(good, "e7f1", "e7<!-- -->f1")), "xml.forbidden");
  EXPECT_EQ(check("<!DOCTYPE x>" + good), "xml.forbidden");
  EXPECT_EQ(check(replaced(good, " Version=\"2.0\"", " Version=\"1.1\"")), "saml.version");
  EXPECT_EQ(check(replaced(good, "</samlp:Status>", "</samlp:Status>x")), "saml.shape");
  EXPECT_EQ(check(replaced(good, "ID=\"_a1\"", "ID=\"_p1\"")), "saml.shape");
  EXPECT_EQ(check(replaced(good, "</samlp:Status>", "<samlp:StatusCode Value=\"x\"/></samlp:Status>")),
            "xmldsig.digest");
  Say loose = honest();
  loose.sign_response = false;
  EXPECT_EQ(check(replaced(idp().response(loose), "</samlp:Status>", "<samlp:StatusCode Value=\"x\"/></samlp:Status>")),
            "saml.shape");
  EXPECT_EQ(check(good + std::string(max_response_bytes, ' ')), "xml.too_large");
}

TEST(SamlForm, IsBase64) {
  EXPECT_EQ(decode_response("PHgv\r\n Pg==").value(), "<x/>");
  EXPECT_EQ(decode_response("").error().check, "saml.base64");
  EXPECT_EQ(decode_response("PHgvPg").error().check, "saml.base64");
  EXPECT_EQ(decode_response("PHgvPg=*").error().check, "saml.base64");
  EXPECT_EQ(decode_response(std::string(max_response_bytes * 2, 'A')).error().check, "saml.too_large");
}

}  // namespace
}  // namespace daypass::idp::saml
