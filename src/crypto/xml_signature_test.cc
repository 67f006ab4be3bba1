// Enveloped signatures: what is signed verifies and comes back to the byte; every other shape is refused by name.
#include "crypto/xml_signature.h"

#include <gtest/gtest.h>

#include <functional>

#include "crypto/xml_test_support.h"

namespace daypass::crypto::xml {
namespace {

using testing::fresh_key;
using testing::fresh_pem;

const std::string plain = "<a:root xmlns:a=\"urn:a\" ID=\"_1\"><a:first>one</a:first><a:second>two</a:second></a:root>";

class XmlSignature : public ::testing::Test {
 protected:
  static const KeyPair& rsa() {
    static const KeyPair key = fresh_key();
    return key;
  }
  static std::string signed_by(const KeyPair& key) {
    return sign_enveloped(key, plain, "_1", plain.find("<a:second>"));
  }
  static std::string replaced(std::string text, std::string_view what, std::string_view with) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return at == std::string::npos ? text : text.replace(at, what.size(), with);
  }
  static std::string check(const std::string& xml, std::vector<Certificate> keys = {rsa().certificate()}) {
    const auto document = Document::parse(xml);
    if (!document.ok()) return document.error().check;
    const auto octets = verify_enveloped(*document, document->root(), keys);
    return octets.ok() ? *octets == plain ? "ok" : "other octets" : octets.error().check;
  }
};

TEST_F(XmlSignature, GivesBackTheOctetsThatWereSigned) {
  EXPECT_EQ(check(signed_by(rsa())), "ok");
  EXPECT_EQ(check("<?xml version=\"1.0\"?>\n" + signed_by(rsa())), "ok");
  for (const char* group : {"P-256", "P-384", "P-521"}) {
    const KeyPair key = fresh_key(group);
    EXPECT_EQ(check(signed_by(key), {key.certificate()}), "ok") << group;
    EXPECT_EQ(check(signed_by(key), {rsa().certificate(), fresh_key(group).certificate(), key.certificate()}), "ok");
  }
}

TEST_F(XmlSignature, IsOfOneOfTheKeysOrOfNobody) {
  EXPECT_EQ(check(signed_by(rsa()), {}), "xmldsig.signature");
  EXPECT_EQ(check(signed_by(rsa()), {fresh_key().certificate()}), "xmldsig.signature");
  EXPECT_EQ(check(signed_by(rsa()), {fresh_key("P-256").certificate()}), "xmldsig.signature");
  EXPECT_EQ(check(signed_by(rsa()), {fresh_key().certificate(), rsa().certificate()}), "ok");
  EXPECT_EQ(check(plain), "xmldsig.missing");
}

TEST_F(XmlSignature, CoversEverything) {
  const std::string good = signed_by(rsa());
  EXPECT_EQ(check(replaced(good, "one", "One")), "xmldsig.digest");
  EXPECT_EQ(check(replaced(good, "</a:root>", " </a:root>")), "xmldsig.digest");
  EXPECT_EQ(check(replaced(good, "<a:first>", "<a:first x=\"1\">")), "xmldsig.digest");
  // Ways to write the same document are the same document.
  EXPECT_EQ(check(replaced(good, "<a:first>one</a:first>", "<a:first\n>&#111;ne</a:first  >")), "ok");
  std::string value = good;
  const std::size_t at = value.find("<ds:SignatureValue>") + 19;
  value[at] = value[at] == 'A' ? 'B' : 'A';
  EXPECT_EQ(check(value), "xmldsig.signature");
}

TEST_F(XmlSignature, HasOneShape) {
  const std::string good = signed_by(rsa());
  const std::string exclusive = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:Transform>";
  const std::string reference =
      good.substr(good.find("<ds:Reference"), good.find("</ds:SignedInfo>") - good.find("<ds:Reference"));
  const std::string info =
      good.substr(good.find("<ds:SignedInfo"), good.find("<ds:SignatureValue>") - good.find("<ds:SignedInfo"));
  const std::string signature =
      good.substr(good.find("<ds:Signature "), good.find("<a:second>") - good.find("<ds:Signature "));
  const struct {
    const char* name;
    std::string xml;
    const char* check;
  } cases[] = {
      {"two signatures", replaced(good, "<a:second>", signature + "<a:second>"), "xmldsig.shape"},
      {"signed info twice", replaced(good, "<ds:SignatureValue>", info + "<ds:SignatureValue>"), "xmldsig.shape"},
      {"reference twice", replaced(good, "</ds:SignedInfo>", reference + "</ds:SignedInfo>"), "xmldsig.shape"},
      {"object", replaced(good, "</ds:Signature>", "<ds:Object></ds:Object></ds:Signature>"), "xmldsig.shape"},
      {"text in signed info", replaced(good, "<ds:Reference", "x<ds:Reference"), "xmldsig.shape"},
      {"element in the digest", replaced(good, "<ds:DigestValue>", "<ds:DigestValue><x/>"), "xmldsig.shape"},
      {"reference to nothing", replaced(good, "URI=\"#_1\"", "URI=\"\""), "xmldsig.reference"},
      {"no reference", replaced(good, " URI=\"#_1\"", ""), "xmldsig.reference"},
      {"another reference", replaced(good, "URI=\"#_1\"", "URI=\"#_2\""), "xmldsig.reference"},
      {"an expression", replaced(good, "URI=\"#_1\"", "URI=\"#xpointer(id('_1'))\""), "xmldsig.reference"},
      {"a file", replaced(good, "URI=\"#_1\"", "URI=\"file:///etc/passwd\""), "xmldsig.reference"},
      {"three transforms", replaced(good, exclusive, exclusive + exclusive), "xmldsig.transform"},
      {"one transform", replaced(good, exclusive, ""), "xmldsig.transform"},
      {"xpath",
       replaced(good, exclusive,
                "<ds:Transform "
                "Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>1</ds:XPath></ds:Transform>"),
       "xmldsig.transform"},
      {"xslt", replaced(good, exclusive, "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/>"),
       "xmldsig.transform"},
      {"with comments",
       replaced(good, exclusive, "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#WithComments\"/>"),
       "xmldsig.transform"},
      {"inclusive",
       replaced(good, "CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"",
                "CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\""),
       "xmldsig.transform"},
      {"sha-1 digest",
       replaced(good, "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1"),
       "xmldsig.algorithm"},
      {"sha-1",
       replaced(good, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
                "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
       "xmldsig.algorithm"},
      {"hmac",
       replaced(good, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
                "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
       "xmldsig.algorithm"},
      {"another method's length",
       replaced(good, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></ds:SignatureMethod>",
                "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"><ds:HMACOutputLength>1</ds:HMACOutputLength></"
                "ds:SignatureMethod>"),
       "xmldsig.shape"},
      {"short digest", replaced(good, "<ds:DigestValue>", "<ds:DigestValue>AAAA"), "xmldsig.digest"},
      {"no base64", replaced(good, "<ds:SignatureValue>", "<ds:SignatureValue>!"), "xmldsig.signature"},
      {"two elements of the ID", replaced(good, "<a:first>", "<a:first ID=\"_1\">"), "xmldsig.id"},
      {"another spelling of the ID", replaced(good, "<a:first>", "<a:first Id=\"_1\">"), "xmldsig.id"},
      {"no ID", replaced(good, " ID=\"_1\"", ""), "xmldsig.id"},
      {"another ID", replaced(good, " ID=\"_1\"", " ID=\"_2\""), "xmldsig.reference"},
  };
  for (const auto& c : cases) EXPECT_EQ(check(c.xml), c.check) << c.name;
}

TEST_F(XmlSignature, KeyInfoIsNotLookedAt) {
  std::string good = signed_by(rsa());
  const std::size_t at = good.find("<ds:KeyInfo>");
  const std::size_t end = good.find("</ds:KeyInfo>") + 13;
  const std::string without = good.substr(0, at) + good.substr(end);
  EXPECT_EQ(check(without), "ok");
  const auto with = [&](std::string_view inside) {
    return check(good.substr(0, at) + "<ds:KeyInfo>" + std::string(inside) + "</ds:KeyInfo>" + good.substr(end));
  };
  EXPECT_EQ(with("<ds:KeyName>anything</ds:KeyName>text"), "ok");
  // What others would follow or count is no name of a key.
  EXPECT_EQ(with("<x xmlns=\"urn:x\"/>"), "xmldsig.shape");
  EXPECT_EQ(with("<ds:RetrievalMethod URI=\"#_1\"/>"), "xmldsig.shape");
  EXPECT_EQ(with("<ds:X509Data><ds:Transforms/></ds:X509Data>"), "xmldsig.shape");
  // What has to hold something and holds nothing, or holds text where elements belong.
  EXPECT_EQ(with(""), "xmldsig.shape");
  EXPECT_EQ(with("text"), "xmldsig.shape");
  EXPECT_EQ(with("<ds:X509Data/>"), "xmldsig.shape");
  EXPECT_EQ(with("<ds:X509Data>text</ds:X509Data>"), "xmldsig.shape");
  EXPECT_EQ(with("<ds:X509Data>text<ds:X509SKI>AA==</ds:X509SKI></ds:X509Data>"), "xmldsig.shape");
  EXPECT_EQ(with("<ds:X509Data><ds:X509SKI>AA==</ds:X509SKI></ds:X509Data>"), "ok");
  EXPECT_EQ(with("<ds:KeyName><ds:KeyName>a</ds:KeyName></ds:KeyName>"), "xmldsig.shape");
  EXPECT_EQ(with("<ds:KeyInfo><ds:KeyName>a</ds:KeyName></ds:KeyInfo>"), "xmldsig.shape");
  EXPECT_EQ(with("<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AA==</ds:Modulus><ds:Exponent>AQAB</ds:Exponent>"
                 "</ds:RSAKeyValue></ds:KeyValue>"),
            "ok");
  // The attacker's own certificate beside the attacker's own signature.
  EXPECT_EQ(check(signed_by(fresh_key())), "xmldsig.signature");
}

TEST_F(XmlSignature, PrefixesMayBeInclusive) {
  // As OpenSAML writes it. The list adds declarations to what is digested, so such a document is made elsewhere; here
  // it has to be read as far as the digest.
  const std::string exclusive = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:Transform>";
  const auto with = [&](std::string_view inside) {
    return replaced(signed_by(rsa()), exclusive,
                    "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">" + std::string(inside) +
                        "</ds:Transform>");
  };
  EXPECT_EQ(
      check(with("<c:InclusiveNamespaces xmlns:c=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xs\"/>")),
      "xmldsig.signature");
  std::string many = "a";
  for (int i = 0; i < 16; ++i) many += " a";
  for (const std::string& list : {many, std::string(129, 'a')})
    EXPECT_EQ(check(with("<c:InclusiveNamespaces xmlns:c=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"" +
                         list + "\"/>")),
              "xmldsig.transform")
        << "work for each element, before anybody knows who asks for it";
  EXPECT_EQ(check(with("<c:InclusiveNamespaces xmlns:c=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>")),
            "xmldsig.transform");
  EXPECT_EQ(check(with("<c:Other xmlns:c=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xs\"/>")),
            "xmldsig.transform");
}

TEST_F(XmlSignature, LeavesOpensslsErrorQueueAsItWas) {
  ERR_clear_error();
  EXPECT_EQ(check(signed_by(fresh_key())), "xmldsig.signature");
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(XmlDetachedSignature, IsOfTheseOctets) {
  for (const char* kind : {"RSA", "P-256", "P-384"}) {
    const KeyPair key = fresh_key(kind);
    const std::vector<Certificate> keys = {fresh_key().certificate(), key.certificate()};
    const std::string signature = key.sign("SAMLRequest=x");
    EXPECT_TRUE(verify_octets(key.algorithm(), "SAMLRequest=x", signature, keys).ok()) << kind;
    EXPECT_EQ(verify_octets(key.algorithm(), "SAMLRequest=y", signature, keys).error().check, "xmldsig.signature");
    EXPECT_EQ(verify_octets(key.algorithm(), "SAMLRequest=x", signature.substr(1), keys).error().check,
              "xmldsig.signature");
    EXPECT_EQ(
        verify_octets("http://www.w3.org/2000/09/xmldsig#rsa-sha1", "SAMLRequest=x", signature, keys).error().check,
        "xmldsig.algorithm");
  }
}

TEST(XmlKeys, AreOfSomeSize) {
  EXPECT_EQ(KeyPair::from_pem(base::Secret(fresh_pem("RSA", 1024))).error().check, "x509.key");
  EXPECT_EQ(KeyPair::from_pem(base::Secret(fresh_pem("secp256k1"))).error().check, "x509.key");
  const std::string one = fresh_pem("P-256");
  const std::string two = fresh_pem("P-256");
  const std::size_t at = one.find("-----BEGIN CERTIFICATE");
  EXPECT_EQ(
      KeyPair::from_pem(base::Secret(one.substr(0, at) + two.substr(two.find("-----BEGIN CERTIFICATE")))).error().check,
      "key.pair");
  EXPECT_EQ(KeyPair::from_pem(base::Secret(one.substr(0, at))).error().check, "x509.pem");
  EXPECT_EQ(KeyPair::from_pem(base::Secret(one.substr(at))).error().check, "key.pem");
  const Certificate certificate = Certificate::from_pem(one).value();
  EXPECT_EQ(Certificate::from_base64("\n " + certificate.to_base64() + "\n").value(), certificate);
  EXPECT_EQ(
      Certificate::from_base64(base::base64_encode(*base::base64_decode(certificate.to_base64()) + "x")).error().check,
      "x509.der");
  EXPECT_EQ(Certificate::from_base64("A").error().check, "x509.base64");
  EXPECT_EQ(Certificate::from_base64("AAAA").error().check, "x509.der");
  EXPECT_EQ(certificate.sha256().size(), 64U);
}

}  // namespace
}  // namespace daypass::crypto::xml
