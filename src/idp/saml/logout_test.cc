// Single logout, begun by the provider and begun here: by POST and by redirect, each promise of it.
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

// What is signed by POST are canonical octets, and content has other references than attributes.
TEST_F(SamlLogout, OursHoldsWhateverTheProviderCallsThem) {
  const std::string name = "a\"b>c\td&e<f\rg", index = "s\">1";
  const ServiceProvider sp{"https://idp.example/saml", "https://daypass.example/acs", "", std::span(&idp.key, 1)};
  for (const std::string_view binding : {redirect_binding, post_binding}) {
    const Carried ours = sign_out(sp, {"_o1", now, {name, {}, {}, {}}, {index}},
                                  {std::string(binding), "https://daypass.example/t/default/idp/corp/logout", ""});
    const auto read =
        verify(binding == post_binding ? LogoutMessage{ours.form, "", true, {}}
                                       : LogoutMessage{{}, ours.url.substr(ours.url.find('?') + 1), false, {}});
    ASSERT_TRUE(read.ok()) << binding << ": " << read.error().check;
    EXPECT_EQ(read->name_id, name);
    EXPECT_EQ(read->session_indexes, std::vector{index});
  }
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

class SamlLogoutResponse : public ::testing::Test {
 protected:
  using Say = testing::SayLogout;
  const testing::ScriptedIdp idp;
  [[nodiscard]] static LogoutMessage posted(const std::string& xml) {
    return {{{"SAMLResponse", base::base64_encode(xml)}}, "", true, {}};
  }
  [[nodiscard]] static LogoutMessage visited(std::string query) { return {{}, std::move(query), false, {}}; }
  [[nodiscard]] base::Result<LogoutResponse> verify(const LogoutMessage& message) const {
    const std::vector<crypto::xml::Certificate> keys = {idp.key.certificate()};
    return verify_logout_response(message, {.issuer = "https://idp.example/saml",
                                            .keys = keys,
                                            .destination = "https://daypass.example/t/default/idp/corp/logout",
                                            .now = now});
  }
  [[nodiscard]] std::string check(const LogoutMessage& message) const {
    const auto read = verify(message);
    return read.ok() ? "ok" : read.error().check;
  }
  /// By POST and by redirect it is the same.
  [[nodiscard]] base::Result<LogoutResponse> read(const std::function<void(Say&)>& change) const {
    Say say;
    say.now = now;
    change(say);
    auto post = verify(posted(idp.logout_response(say)));
    const std::string redirect = check(visited(idp.logout_query(say)));
    EXPECT_EQ(redirect, post.ok() ? "ok" : post.error().check);
    return post;
  }
  [[nodiscard]] std::string said(const std::function<void(Say&)>& change) const {
    const auto got = read(change);
    return got.ok() ? "ok" : got.error().check;
  }
};

TEST_F(SamlLogoutResponse, SaysWhatTheLogoutCameTo) {
  const auto outcome = [&](const std::string& status, const std::string& second, const std::string& message = {}) {
    const auto got = read([&](Say& s) { s.status = status, s.second = second, s.message = message; });
    EXPECT_TRUE(got.ok()) << got.error().check;
    EXPECT_EQ(got->in_response_to, "_l1");
    return *got;
  };
  const std::string responder = "urn:oasis:names:tc:SAML:2.0:status:Responder";
  EXPECT_EQ(outcome(std::string(success), "").outcome, LogoutOutcome::signed_out);
  EXPECT_EQ(outcome(std::string(success), std::string(partial_logout)).outcome, LogoutOutcome::partly);
  EXPECT_EQ(outcome(responder, std::string(partial_logout)).outcome, LogoutOutcome::partly);
  const auto refused = outcome(responder, "urn:oasis:names:tc:SAML:2.0:status:RequestDenied", "not now");
  EXPECT_EQ(refused.outcome, LogoutOutcome::refused);
  EXPECT_TRUE(refused.why.starts_with("urn:oasis:names:tc:SAML:2.0:status:RequestDenied: not now")) << refused.why;
  // Success inside a failure, or with something beside it, is none.
  EXPECT_EQ(outcome(responder, std::string(success)).outcome, LogoutOutcome::refused);
  EXPECT_EQ(outcome(std::string(success), "urn:x").outcome, LogoutOutcome::refused);
  EXPECT_EQ(outcome("urn:oasis:names:tc:SAML:2.0:status:success", "").outcome, LogoutOutcome::refused);
}

TEST_F(SamlLogoutResponse, EachLieIsRefused) {
  EXPECT_EQ(said([](Say&) {}), "ok");
  EXPECT_EQ(said([](Say& s) { s.request.clear(); }), "saml.logout_in_response_to");
  EXPECT_EQ(said([](Say& s) { s.issuer = "https://evil.example"; }), "saml.logout_issuer");
  EXPECT_EQ(said([](Say& s) { s.issuer.clear(); }), "saml.logout_issuer");
  EXPECT_EQ(said([](Say& s) { s.destination = "https://daypass.example/t/default/idp/other/logout"; }),
            "saml.logout_destination");
  EXPECT_EQ(said([](Say& s) { s.destination.clear(); }), "saml.logout_destination");
  EXPECT_EQ(said([](Say& s) { s.version = "1.1"; }), "saml.logout_shape");
  EXPECT_EQ(said([](Say& s) { s.now = now - minutes(6); }), "saml.logout_expired");
  EXPECT_EQ(said([](Say& s) { s.now = now + minutes(2); }), "saml.logout_expired");
  EXPECT_EQ(said([](Say& s) { s.status.clear(); }), "saml.logout_shape");
  EXPECT_EQ(said([](Say& s) { s.more = "<samlp:Status></samlp:Status>"; }), "saml.logout_shape");
  EXPECT_EQ(said([](Say& s) { s.element = "Response"; }), "saml.logout_shape");
  EXPECT_EQ(said([](Say& s) { s.element = "LogoutRequest"; }), "saml.logout_shape");
}

TEST_F(SamlLogoutResponse, IsSignedByTheProvider) {
  Say say;
  say.now = now;
  say.sign = false;
  EXPECT_EQ(check(posted(idp.logout_response(say))), "xmldsig.missing");
  EXPECT_EQ(check(visited(idp.logout_query(say))), "saml.unsigned");
  say.sign = true;
  const testing::ScriptedIdp other;
  EXPECT_EQ(check(posted(other.logout_response(say))), "xmldsig.signature");
  EXPECT_EQ(check(visited(other.logout_query(say))), "xmldsig.signature");
  std::string changed = idp.logout_response(say);
  changed.replace(changed.find("_l1"), 3, "_l2");
  EXPECT_EQ(check(posted(changed)), "xmldsig.digest");
  // Signed for one binding is not signed for the other, and neither is a request an answer.
  const std::string query = idp.logout_query(say);
  EXPECT_EQ(check(visited(query.substr(0, query.find("&SigAlg")))), "saml.unsigned");
  EXPECT_EQ(check(visited("SAMLRequest" + query.substr(query.find('=')))), "saml.logout_shape");
  EXPECT_EQ(check(visited("SAMLRequest=x&" + query)), "saml.logout_shape");
  EXPECT_EQ(check(visited(query + "&SAMLResponse=x")), "saml.duplicate_parameter");
  EXPECT_EQ(check(visited(query + "&SAML%52esponse=x")), "saml.duplicate_parameter");
  EXPECT_EQ(check(visited(query + "&RelayState=x")), "xmldsig.signature") << "it was signed without";
  EXPECT_EQ(check({{{"SAMLRequest", base::base64_encode(idp.logout_response(say))}}, "", true, {}}),
            "saml.logout_shape");
}

}  // namespace
}  // namespace daypass::idp::saml
