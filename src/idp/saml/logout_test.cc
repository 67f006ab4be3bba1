// Single logout begun by the provider: by POST and by redirect, each promise of it.
#include "idp/saml/logout.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "idp/saml/scripted_idp.h"
#include "idp/url.h"

namespace daypass::idp::saml {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const base::WallTime now = base::parse_rfc3339("2026-11-29T12:00:00Z").value();

class SamlLogout : public ::testing::Test {
 protected:
  const testing::ScriptedIdp idp;
  struct Say {
    std::string issuer = "https://idp.example/saml", destination = "https://daypass.example/t/default/idp/corp/logout";
    std::string version = "2.0", id = "_l1", name = "e7f1", more = "<samlp:SessionIndex>_s1</samlp:SessionIndex>";
    base::WallTime at = now;
    std::string until;
  };
  [[nodiscard]] static std::string xml(const Say& say, std::size_t* at = nullptr) {
    std::string out = "<samlp:LogoutRequest xmlns:samlp=\"" + std::string(protocol_ns) + "\" Destination=\"" +
                      say.destination + "\" ID=\"" + say.id + "\" IssueInstant=\"" + base::to_rfc3339(say.at) + "\"" +
                      (say.until.empty() ? "" : " NotOnOrAfter=\"" + say.until + "\"") + " Version=\"" + say.version +
                      "\"><saml:Issuer xmlns:saml=\"" + std::string(assertion_ns) + "\">" + say.issuer +
                      "</saml:Issuer>";
    if (at != nullptr) *at = out.size();
    return out + "<saml:NameID xmlns:saml=\"" + std::string(assertion_ns) + "\">" + say.name + "</saml:NameID>" +
           say.more + "</samlp:LogoutRequest>";
  }
  [[nodiscard]] LogoutMessage posted(const Say& say, bool sign = true) const {
    std::size_t at = 0;
    std::string text = xml(say, &at);
    if (sign) text = crypto::xml::sign_enveloped(idp.key, text, say.id, at);
    return {{{"SAMLRequest", base::base64_encode(text)}, {"RelayState", "r"}}, "", true, {}};
  }
  [[nodiscard]] std::string query(const Say& say, const std::string& relay = "r r") const {
    std::string out = "SAMLRequest=" + form_encode(base::base64_encode(deflate(xml(say))));
    if (!relay.empty()) out += "&RelayState=" + form_encode(relay);
    out += "&SigAlg=" + form_encode(idp.key.algorithm());
    return out + "&Signature=" + form_encode(base::base64_encode(idp.key.sign(out)));
  }
  [[nodiscard]] base::Result<LogoutRequest> verify(const LogoutMessage& message) const {
    const std::vector<crypto::xml::Certificate> keys = {idp.key.certificate()};
    return verify_logout_request(message, {.issuer = "https://idp.example/saml",
                                           .keys = keys,
                                           .destination = "https://daypass.example/t/default/idp/corp/logout",
                                           .now = now});
  }
  [[nodiscard]] std::string check(const LogoutMessage& message) const {
    const auto read = verify(message);
    return read.ok() ? "ok" : read.error().check;
  }
  [[nodiscard]] std::string said(const std::function<void(Say&)>& change) const {
    Say say;
    change(say);
    const std::string post = check(posted(say));
    EXPECT_EQ(check({{}, query(say), false, {}}), post);
    return post;
  }
};

TEST_F(SamlLogout, SaysWhomAndWhichSessions) {
  for (const LogoutMessage& message : {posted({}), LogoutMessage{{}, query({}, "r"), false, {}}}) {
    const auto read = verify(message);
    ASSERT_TRUE(read.ok()) << read.error().check;
    EXPECT_EQ(read->id, "_l1");
    EXPECT_EQ(read->name_id, "e7f1");
    EXPECT_EQ(read->session_indexes, std::vector<std::string>{"_s1"});
    EXPECT_EQ(read->issued_at, now);
    EXPECT_EQ(read->relay_state, "r");
  }
  EXPECT_EQ(verify({{}, query({}), false, {}})->relay_state, "r r");
  EXPECT_TRUE(verify({{}, query({}, ""), false, {}}).ok());
}

TEST_F(SamlLogout, EachLieIsRefused) {
  EXPECT_EQ(said([](Say& s) { s.issuer = "https://evil.example"; }), "saml.logout_issuer");
  EXPECT_EQ(said([](Say& s) { s.destination = "https://evil.example"; }), "saml.logout_destination");
  EXPECT_EQ(said([](Say& s) { s.version = "1.1"; }), "saml.logout_shape");
  EXPECT_EQ(said([](Say& s) { s.at = now - minutes(6); }), "saml.logout_expired");
  EXPECT_EQ(said([](Say& s) { s.at = now + minutes(2); }), "saml.logout_expired");
  EXPECT_EQ(said([](Say& s) { s.until = "2026-11-29T11:58:00Z"; }), "saml.logout_expired");
  EXPECT_EQ(said([](Say& s) { s.until = "tomorrow"; }), "saml.logout_expired");
  EXPECT_EQ(said([](Say& s) { s.name = " "; }), "saml.logout_name");
  EXPECT_EQ(said([](Say& s) { s.more = "<samlp:SessionIndex></samlp:SessionIndex>"; }), "saml.logout_shape");
  EXPECT_EQ(said([](Say& s) { s.more.clear(); }), "ok");
}

TEST_F(SamlLogout, IsSigned) {
  EXPECT_EQ(check(posted({}, false)), "xmldsig.missing");
  const testing::ScriptedIdp other;
  std::size_t at = 0;
  const std::string text = xml({}, &at);
  EXPECT_EQ(check({{{"SAMLRequest", base::base64_encode(crypto::xml::sign_enveloped(other.key, text, "_l1", at))}},
                   "",
                   true,
                   {}}),
            "xmldsig.signature");
  const std::string good = query({});
  EXPECT_EQ(check({{}, good.substr(0, good.find("&SigAlg")), false, {}}), "saml.unsigned");
  EXPECT_EQ(check({{}, good.substr(0, good.find("&Signature")), false, {}}), "saml.unsigned");
  std::string moved = good;
  moved.replace(moved.find("r%20r"), 5, "other");
  EXPECT_EQ(check({{}, moved, false, {}}), "xmldsig.signature");
}

// Row 8: what is verified is what is read.
TEST_F(SamlLogout, ParametersAreThereOnceAndSpelledPlainly) {
  const std::string good = query({});
  EXPECT_EQ(check({{}, good + "&SAMLRequest=x", false, {}}), "saml.duplicate_parameter");
  EXPECT_EQ(check({{}, good + "&SAML%52equest=x", false, {}}), "saml.duplicate_parameter");
  EXPECT_EQ(check({{}, good + "&Relay%53tate=x", false, {}}), "saml.duplicate_parameter");
  EXPECT_EQ(check({{}, good + "&other=x", false, {}}), "ok");
  EXPECT_EQ(check({{}, "", false, {}}), "saml.logout_shape");
  LogoutMessage twice = posted({});
  twice.fields.push_back(twice.fields[0]);
  EXPECT_EQ(check(twice), "saml.duplicate_parameter");
  EXPECT_EQ(check({{}, "SAMLRequest=%zz&SigAlg=x&Signature=AAAA", false, {}}), "xmldsig.algorithm");
}

}  // namespace
}  // namespace daypass::idp::saml
