#include "idp/oidc/discovery.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace daypass::idp::oidc {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;

Object document(const std::string& issuer = "https://id.example") {
  return {{"issuer", issuer},
          {"authorization_endpoint", issuer + "/authorize?p=1"},
          {"token_endpoint", issuer + "/token"},
          {"jwks_uri", issuer + "/jwks"}};
}

std::string check_of(const Object& text, const std::string& issuer = "https://id.example") {
  const auto result = parse_discovery(base::json::dump(text), issuer);
  return result.ok() ? "" : result.error().check;
}

Object with(std::string name, Value value) {
  Object out = document();
  out.set(std::move(name), std::move(value));
  return out;
}

Object without(std::string_view name) {
  Object out = document();
  out.erase(name);
  return out;
}

TEST(Discovery, ReadsWhatALoginNeeds) {
  Object text = document();
  text.set("userinfo_endpoint", "https://other.example/userinfo");
  text.set("end_session_endpoint", "https://id.example/end?p=1");
  text.set("authorization_response_iss_parameter_supported", true);
  text.set("token_endpoint_auth_methods_supported", Array{"client_secret_basic", "private_key_jwt"});
  text.set("token_endpoint_auth_signing_alg_values_supported", Array{"RS256"});
  text.set("x_unknown", Object{{"a", 1}});
  const auto result = parse_discovery(base::json::dump(text), "https://id.example");
  ASSERT_TRUE(result.ok()) << result.error().message;
  const Discovery expected{"https://id.example",
                           "https://id.example/authorize?p=1",
                           "https://id.example/token",
                           "https://id.example/jwks",
                           "https://other.example/userinfo",
                           "https://id.example/end?p=1",
                           true,
                           {"client_secret_basic", "private_key_jwt"},
                           {"RS256"}};
  EXPECT_EQ(*result, expected);
}

TEST(Discovery, IssuerMustBeOursToTheByte) {
  EXPECT_EQ(check_of(document()), "");
  for (const char* other :
       {"https://id.example/", "https://ID.example", "http://id.example", "https://id.example.evil.example", ""})
    EXPECT_EQ(check_of(with("issuer", other)), "discovery.issuer") << other;
  EXPECT_EQ(check_of(without("issuer")), "discovery.issuer");
  EXPECT_EQ(check_of(with("issuer", nullptr)), "discovery.issuer");
  EXPECT_EQ(check_of(with("issuer", "https://login.microsoftonline.com/{tenantid}/v2.0"),
                     "https://login.microsoftonline.com/common/v2.0"),
            "discovery.issuer_template");
}

TEST(Discovery, EndpointsMustBeHttps) {
  for (const char* name : {"authorization_endpoint", "token_endpoint", "jwks_uri"}) {
    EXPECT_EQ(check_of(without(name)), "discovery.endpoint") << name;
    for (const Value& value : std::initializer_list<Value>{
             "http://id.example/x", "https://user@id.example/x", "https://id.example\\@evil.example/x", "https:///x",
             "https://id.example/x#f", "/x", "javascript:alert(1)", "https://id.example/x y", "ftp://id.example", 7,
             nullptr, Array{"https://id.example/x"}, "http://127.0.0.1/x", "https://id.example:0/x",
             "https://id.example:99999/x", "https://" + std::string(2048, 'a')})
      EXPECT_EQ(check_of(with(name, value)), "discovery.endpoint") << name << " " << base::json::dump(value);
  }
  EXPECT_EQ(check_of(with("userinfo_endpoint", "http://id.example/x")), "discovery.endpoint");
  EXPECT_EQ(check_of(with("end_session_endpoint", "http://id.example/x")), "discovery.endpoint");
  EXPECT_EQ(check_of(with("jwks_uri", "https://keys.other.example:8443/certs?x=1")), "");
}

TEST(Discovery, ALoopbackIssuerMayUseHttpOnLoopbackAlone) {
  const std::string issuer = "http://127.0.0.1:8080/demo";
  EXPECT_EQ(check_of(document(issuer), issuer), "");
  Object text = document(issuer);
  text.set("token_endpoint", "http://id.example/token");
  EXPECT_EQ(check_of(text, issuer), "discovery.endpoint");
  text.set("token_endpoint", "http://127.0.0.1.evil.example/token");
  EXPECT_EQ(check_of(text, issuer), "discovery.endpoint");
  text.set("token_endpoint", "http://localhost/token");
  EXPECT_EQ(check_of(text, issuer), "");
  // An https issuer on loopback has no reason to step down.
  const std::string secure = "https://127.0.0.1:8443";
  text = document(secure);
  text.set("token_endpoint", "http://127.0.0.1/token");
  EXPECT_EQ(check_of(text, secure), "discovery.endpoint");
}

TEST(Discovery, WhatIsAdvertisedMustBeWhatALoginUses) {
  struct Case {
    std::string name;
    Value good, bad;
    std::string check;
  };
  const std::vector<Case> cases = {
      {"response_types_supported", Array{"code", "id_token"}, Array{"id_token"}, "discovery.response_types"},
      {"response_modes_supported", Array{"query", "form_post"}, Array{"form_post"}, "discovery.response_modes"},
      {"grant_types_supported", Array{"authorization_code"}, Array{"implicit"}, "discovery.grant_types"},
      {"code_challenge_methods_supported", Array{"plain", "S256"}, Array{"plain"}, "discovery.pkce"},
      {"id_token_signing_alg_values_supported", Array{"HS256", "RS256"}, Array{"HS256", "none"}, "discovery.alg"},
      {"require_pushed_authorization_requests", false, true, "discovery.par_required"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(check_of(with(c.name, c.good)), "") << c.name;
    EXPECT_EQ(check_of(with(c.name, c.bad)), c.check) << c.name;
    EXPECT_EQ(check_of(with(c.name, "code")), "discovery.shape") << c.name;
    EXPECT_EQ(check_of(with(c.name, nullptr)), "discovery.shape") << c.name;
  }
  EXPECT_EQ(check_of(with("response_types_supported", Array{})), "discovery.response_types");
  EXPECT_EQ(check_of(with("response_types_supported", Array{"code", 1})), "discovery.shape");
  EXPECT_EQ(check_of(with("authorization_response_iss_parameter_supported", "true")), "discovery.shape");
  Array many;
  for (int i = 0; i < 257; ++i) many.emplace_back("code");
  EXPECT_EQ(check_of(with("response_types_supported", many)), "discovery.shape");
}

TEST(Discovery, HostileTextIsRefused) {
  const auto check = [](const std::string& text) {
    const auto result = parse_discovery(text, "https://id.example");
    return result.ok() ? std::string() : result.error().check;
  };
  EXPECT_EQ(check(""), "discovery.syntax");
  EXPECT_EQ(check("[]"), "discovery.syntax");
  EXPECT_EQ(check("<html>"), "discovery.syntax");
  EXPECT_EQ(check(std::string(100'000, '[')), "discovery.syntax");
  EXPECT_EQ(check(R"({"issuer":"https://id.example","issuer":"https://evil.example"})"), "discovery.syntax");
  EXPECT_EQ(check(base::json::dump(with("x", std::string(max_discovery_bytes, 'x')))), "discovery.syntax");
}

TEST(Discovery, UrlFollowsTheStandard) {
  EXPECT_EQ(discovery_url("https://id.example"), "https://id.example/.well-known/openid-configuration");
  EXPECT_EQ(discovery_url("https://id.example/t/"), "https://id.example/t/.well-known/openid-configuration");
}

TEST(CheckIssuer, OneTenantsOwnHttpsIssuer) {
  const auto check = [](const std::string& issuer) {
    const auto status = check_issuer(issuer);
    return status.ok() ? std::string() : status.error().check;
  };
  for (const char* good : {"https://id.example", "https://id.example:8443/realms/corp/", "http://127.0.0.1:9000",
                           "http://localhost:9000/x", "http://[::1]:9000", "https://accounts.google.com",
                           "https://login.microsoftonline.com/8b5c1f64-5d9a-4d0e-9a44-3a8f0d4f1c11/v2.0"})
    EXPECT_EQ(check(good), "") << good;
  for (const char* bad :
       {"", "id.example", "accounts.google.com", "http://id.example", "http://127.0.0.1.example",
        "https://id.example?x=1", "https://id.example#x", "https://a@id.example", "https://id.example/ "})
    EXPECT_EQ(check(bad), "idp.issuer") << bad;
  for (const char* shared :
       {"https://login.microsoftonline.com/{tenantid}/v2.0", "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0", "https://login.microsoftonline.com/consumers/v2.0",
        "https://login.microsoftonline.com/common"})
    EXPECT_EQ(check(shared), "idp.issuer_template") << shared;
}

TEST(CheckClient, TheProviderMustOfferWhatIsConfigured) {
  Discovery discovery;
  core::IdpSpec spec;
  spec.client_auth = core::ClientAuth::private_key_jwt;
  EXPECT_TRUE(check_client(discovery, spec).ok());
  discovery.client_auth_methods = {"client_secret_basic"};
  EXPECT_EQ(check_client(discovery, spec).error().check, "discovery.client_auth");
  spec.client_auth = core::ClientAuth::none;
  EXPECT_TRUE(check_client(discovery, spec).ok());
  spec.userinfo = true;
  EXPECT_EQ(check_client(discovery, spec).error().check, "discovery.userinfo");
  discovery.userinfo_endpoint = "https://id.example/userinfo";
  EXPECT_TRUE(check_client(discovery, spec).ok());
}

}  // namespace
}  // namespace daypass::idp::oidc
