// `daypass saml verify`: what is printed, where, and with which exit code.
#include "app/cli/test_support.h"
#include "base/encoding.h"
#include "idp/saml/scripted_idp.h"

namespace daypass::app::cli {
namespace {

using idp::saml::testing::Encrypting;
using idp::saml::testing::fresh_pem;
using idp::saml::testing::Say;
using idp::saml::testing::ScriptedIdp;
namespace json = base::json;

class SamlCommand : public testing_support::User {
 protected:
  SamlCommand() { say.now = base::parse_rfc3339("2026-03-01T12:00:00Z").value(); }
  int verify(const std::string& response, std::vector<std::string> more = {}) {
    std::vector<std::string> args{"saml",           "verify",
                                  "--idp-metadata", write("idp.xml", idp.metadata()),
                                  "--sp-entity-id", say.audience,
                                  "--acs",          say.acs,
                                  "--now",          "2026-03-01T12:00:00Z"};
    if (!response.empty()) args.insert(args.end(), {"--response", response});
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  ScriptedIdp idp;
  Say say;
};

TEST_F(SamlCommand, PrintsWhoTheResponseNames) {
  const std::string xml = idp.response(say);
  for (const std::string& form : {xml, base::base64_encode(xml), "\n" + xml}) {
    ASSERT_EQ(verify(write("r", form), {"--request-id", "_r1"}), 0) << err;
    const auto printed = json::parse(out).value();
    EXPECT_EQ(printed.string_or("issuer"), "https://idp.example/saml");
    EXPECT_EQ(printed.string_or("name_id"), "e7f1");
    EXPECT_EQ(json::dump(*printed.find("session_indexes")), R"(["_s1"])");
    EXPECT_EQ(printed.string_or("assertion_id"), "_a1");
    EXPECT_TRUE(printed.find("not_after")->is_null());
    EXPECT_EQ(json::dump(*printed.find("attributes")), R"({"department":["data"],"groups":["a","b"]})");
    EXPECT_EQ(err, "");
  }
}

TEST_F(SamlCommand, NamesTheOneCheckThatFailed) {
  EXPECT_EQ(verify(write("r", idp.response(say)), {"--request-id", "_r2"}), 1);
  EXPECT_EQ(out, "");
  EXPECT_NE(err.find("saml.in_response_to"), std::string::npos) << err;
  EXPECT_EQ(verify(write("r", "%"), {"-o", "json"}), 1);
  EXPECT_EQ(json::parse(out)->pointer("/error/check")->as_string()->substr(), "saml.base64") << out;
}

TEST_F(SamlCommand, SaysWhatALogoutCameTo) {
  const std::string slo = "https://daypass.example/t/default/idp/corp/logout";
  const auto logout = [&](const std::string& message, const std::string& request = "_l1") {
    return run({"saml", "verify", "--idp-metadata", write("idp.xml", idp.metadata()), "--slo", slo, "--now",
                "2026-03-01T12:00:00Z", "--request-id", request, "--response", write("r", message)});
  };
  idp::saml::testing::SayLogout said;
  said.now = say.now;
  for (const std::string& form :
       {idp.logout_response(said), base::base64_encode(idp.logout_response(said)), idp.logout_query(said) + "\n"}) {
    ASSERT_EQ(logout(form), 0) << err;
    EXPECT_EQ(json::parse(out)->string_or("outcome"), "signed_out");
    EXPECT_EQ(logout(form, "_l2"), 1);
    EXPECT_NE(err.find("logout.state"), std::string::npos) << err;
  }
  said.status = "urn:oasis:names:tc:SAML:2.0:status:Responder";
  said.second = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";
  ASSERT_EQ(logout(idp.logout_response(said)), 0) << err;
  EXPECT_EQ(json::parse(out)->string_or("outcome"), "partly");
  said.sign = false;
  EXPECT_EQ(logout(idp.logout_response(said)), 1);
  EXPECT_NE(err.find("xmldsig.missing"), std::string::npos) << err;
}

TEST_F(SamlCommand, CantBeginWithoutWhatItNeeds) {
  const std::string good = write("r", idp.response(say));
  EXPECT_EQ(verify("nowhere"), 2);
  EXPECT_EQ(verify(good, {"--slo", "https://x"}), 2);
  EXPECT_EQ(run({"saml", "verify", "--idp-metadata", write("m", idp.metadata()), "--response", good, "--now",
                 "2026-03-01T12:00:00Z"}),
            2);
  EXPECT_EQ(verify(good, {"--sp-key", "/nowhere"}), 2);
  EXPECT_EQ(verify(good, {"--sp-key", write("key", "no key")}), 2);
  EXPECT_EQ(run({"saml", "verify", "--idp-metadata", write("m", "<html/>"), "--response", good, "--sp-entity-id", "x",
                 "--acs", "y", "--now", "2026-03-01T12:00:00Z"}),
            2);
  EXPECT_NE(err.find("saml_metadata.shape"), std::string::npos) << err;
  EXPECT_EQ(run({"saml", "verify", "--idp-metadata", write("m", idp.metadata()), "--response", good, "--sp-entity-id",
                 "x", "--acs", "y", "--now", "noon"}),
            2);
}

TEST_F(SamlCommand, DecryptsWithAPrivateKeyAlone) {
  const std::string pem = fresh_pem("RSA");
  idp.encrypt_for = crypto::xml::Certificate::from_pem(pem).value();
  say.encrypting = Encrypting{};
  const std::string response = write("r", idp.response(say));
  const std::string key = write("sp.pem", pem.substr(0, pem.find("-----BEGIN CERTIFICATE")));
  EXPECT_EQ(verify(response, {"--request-id", "_r1", "--sp-key", key}), 0) << err;
  EXPECT_EQ(verify(response, {"--request-id", "_r1"}), 1);
  EXPECT_NE(err.find("xmlenc.no_key"), std::string::npos) << err;
}

TEST_F(SamlCommand, ABatchAnswersLineByLine) {
  std::vector<std::string> lines = {R"({"response":")" + base::base64_encode(idp.response(say)) + "\"}", "", "no json",
                                    R"({"response":"PHgvPg=="})"};
  io.line = [&lines]() -> std::optional<std::string> {
    if (lines.empty()) return std::nullopt;
    std::string line = lines.front();
    lines.erase(lines.begin());
    return line;
  };
  EXPECT_EQ(verify("", {"--batch", "--request-id", "_r1"}), 0) << err;
  std::vector<std::string> checks;
  for (std::size_t at = 0, end = 0; (end = out.find('\n', at)) != std::string::npos; at = end + 1) {
    const auto answer = json::parse(out.substr(at, end - at)).value();
    const json::Value* check = answer.pointer("/error/check");
    checks.push_back(check == nullptr ? answer.string_or("name_id") : *check->as_string());
  }
  EXPECT_EQ(checks, (std::vector<std::string>{"e7f1", "saml.base64", "saml.shape"}));
}

}  // namespace
}  // namespace daypass::app::cli
