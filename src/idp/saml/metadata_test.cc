// What is read of a provider's metadata, and what vouches for it.
#include "idp/saml/metadata.h"

#include <gtest/gtest.h>

#include "idp/saml/scripted_idp.h"

namespace daypass::idp::saml {
namespace {

using testing::fresh_key;
using testing::ScriptedIdp;

const base::WallTime now = base::parse_rfc3339("2026-11-29T12:00:00Z").value();

class SamlMetadata : public ::testing::Test {
 protected:
  MetadataWanted wanted{.entity_id = "https://idp.example/saml", .now = now, .trust = {}, .loopback_http = false};
  ScriptedIdp idp;

  std::string check(const std::string& text) const {
    const auto read = parse_metadata(text, wanted);
    return read.ok() ? "ok" : read.error().check;
  }
  static std::string replaced(std::string text, std::string_view what, std::string_view with) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return at == std::string::npos ? text : text.replace(at, what.size(), with);
  }
};

TEST_F(SamlMetadata, SaysWhereAndWithWhichKeys) {
  const auto read = parse_metadata(idp.metadata(" validUntil=\"2026-12-01T00:00:00Z\" cacheDuration=\"PT6H\""), wanted);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->entity_id, "https://idp.example/saml");
  ASSERT_NE(read->sign_on_by(redirect_binding), nullptr);
  EXPECT_EQ(read->sign_on_by(redirect_binding)->location, "https://idp.example/sso");
  EXPECT_EQ(read->sign_on_by(post_binding), nullptr);
  ASSERT_EQ(read->signing.size(), 1U);
  EXPECT_EQ(read->signing[0], idp.key.certificate());
  EXPECT_EQ(read->valid_until, base::parse_rfc3339("2026-12-01T00:00:00Z").value());
  EXPECT_EQ(read->cache_duration, std::chrono::hours(6));
  EXPECT_FALSE(read->wants_signed_requests);
}

TEST_F(SamlMetadata, OfTheEntityThatIsWanted) {
  const std::string open = "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\"";
  const std::string close = "</md:EntitiesDescriptor>";
  const std::string mine = idp.metadata();
  const std::string other = idp.metadata({}, "https://other.example");
  EXPECT_EQ(check(open + ">" + other + mine + close), "ok");
  EXPECT_EQ(check(open + ">" + other + open + ">" + mine + close + close), "ok");
  EXPECT_EQ(check(open + ">" + mine + mine + close), "saml_metadata.entity");
  EXPECT_EQ(check(other), "saml_metadata.entity");
  EXPECT_EQ(check(open + " validUntil=\"2026-11-29T12:00:00Z\">" + mine + close), "saml_metadata.expired");
  EXPECT_EQ(check(open + ">" + open + ">" + open + ">" + open + ">" + mine + close + close + close + close),
            "saml_metadata.shape");
  wanted.entity_id.clear();
  EXPECT_EQ(check(other), "ok");
  EXPECT_EQ(check(open + ">" + other + mine + close), "saml_metadata.entity");
}

TEST_F(SamlMetadata, IsRefusedByName) {
  const std::string good = idp.metadata();
  EXPECT_EQ(check("<html/>"), "saml_metadata.shape");
  EXPECT_EQ(check("<html>"), "xml.syntax");
  EXPECT_EQ(check("<!DOCTYPE x>" + good), "xml.forbidden");
  EXPECT_EQ(check(idp.metadata(" validUntil=\"2026-11-29T12:00:00Z\"")), "saml_metadata.expired");
  EXPECT_EQ(check(idp.metadata(" validUntil=\"tomorrow\"")), "saml_metadata.shape");
  EXPECT_EQ(check(idp.metadata(" cacheDuration=\"P1M\"")), "saml_metadata.duration");
  EXPECT_EQ(check(replaced(good, "https://idp.example/sso", "http://idp.example/sso")), "saml_metadata.location");
  EXPECT_EQ(check(replaced(good, "https://idp.example/sso", "javascript:alert(1)")), "saml_metadata.location");
  EXPECT_EQ(check(replaced(good, "bindings:HTTP-Redirect", "bindings:SOAP")), "saml_metadata.no_sign_on");
  EXPECT_EQ(check(replaced(good, "protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"",
                           "protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:1.1:protocol\"")),
            "saml_metadata.no_sign_on");
  EXPECT_EQ(check(replaced(good, "use=\"signing\"", "use=\"encryption\"")), "saml_metadata.no_key");
  EXPECT_EQ(check(replaced(good, "<ds:X509Certificate>", "<ds:X509Certificate>!")), "x509.base64");
  wanted.loopback_http = true;
  EXPECT_EQ(check(replaced(good, "https://idp.example/sso", "http://127.0.0.1:8080/sso")), "ok");
}

TEST_F(SamlMetadata, FingerprintsLeaveOtherKeysOut) {
  wanted.trust.fingerprints = {idp.key.certificate().sha256()};
  EXPECT_EQ(check(idp.metadata()), "ok");
  ScriptedIdp evil;
  EXPECT_EQ(check(evil.metadata()), "saml_metadata.fingerprint");
  // Beside the pinned key, one that somebody added.
  const std::string good = idp.metadata();
  const std::string bad = evil.metadata();
  const auto descriptor = [](const std::string& xml) {
    const std::size_t at = xml.find("<md:KeyDescriptor");
    return xml.substr(at, xml.find("</md:KeyDescriptor>") + 19 - at);
  };
  const auto read = parse_metadata(replaced(good, descriptor(good), descriptor(bad) + descriptor(good)), wanted);
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->signing.size(), 1U);
  EXPECT_EQ(read->signing[0], idp.key.certificate());
}

TEST_F(SamlMetadata, ASignerVouchesForEveryByte) {
  const auto signer = fresh_key("P-256");
  wanted.trust.signers = {signer.certificate()};
  // Canonical, as sign_enveloped wants it.
  std::string xml =
      "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" ID=\"_m\" "
      "entityID=\"https://idp.example/saml\"><md:IDPSSODescriptor "
      "protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"><md:KeyDescriptor><ds:KeyInfo "
      "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data><ds:X509Certificate>" +
      idp.key.certificate().to_base64() +
      "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService "
      "Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" "
      "Location=\"https://idp.example/post\"></md:SingleSignOnService></md:IDPSSODescriptor></md:EntityDescriptor>";
  EXPECT_EQ(check(xml), "xmldsig.missing");
  const std::string good = crypto::xml::sign_enveloped(signer, xml, "_m", xml.find("<md:IDPSSODescriptor"));
  EXPECT_EQ(check(good), "ok");
  EXPECT_EQ(check(replaced(good, "idp.example/post", "evil.example/post")), "xmldsig.digest");
  EXPECT_EQ(check(crypto::xml::sign_enveloped(fresh_key("P-256"), xml, "_m", xml.find("<md:IDPSSODescriptor"))),
            "xmldsig.signature");
  // Signed metadata around something that nobody signed.
  const std::string around =
      "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">" + good + "</md:EntitiesDescriptor>";
  EXPECT_EQ(check(around), "xmldsig.missing");
}

TEST(XsDuration, WithoutMonths) {
  using std::chrono::hours;
  using std::chrono::seconds;
  const std::pair<std::string_view, base::Millis> good[] = {{"PT6H", hours(6)},
                                                            {"P7D", hours(168)},
                                                            {"P1DT1H1M1S", seconds(90'061)},
                                                            {"PT0S", seconds(0)},
                                                            {" PT1.5S ", seconds(1)}};
  for (const auto& [text, value] : good) EXPECT_EQ(parse_xs_duration(text), value) << text;
  for (const std::string_view bad : {"", "P", "PT", "6H", "P6H", "PT6D", "P1Y", "P1M", "-PT1H", "PT1H1H", "PT1M1H",
                                     "P1D1D", "PT1", "PTH", "PT1.5H", "PT1.S", "P99999999D", "PT9999999999S", "P1DT"})
    EXPECT_EQ(parse_xs_duration(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace daypass::idp::saml
