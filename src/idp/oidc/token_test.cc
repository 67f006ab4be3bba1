#include "idp/oidc/token.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/jose.h"
#include "idp/oidc/scripted_op.h"

namespace daypass::idp::oidc {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;
using core::ClientAuth;
using crypto::Alg;
using crypto::SigningKey;
using testing::form_fields;

const base::WallTime now{base::Seconds(1'800'000'000)};

struct World {
  Discovery discovery;
  core::IdpSpec spec;
  base::SeededEntropy entropy{1};
  World() {
    discovery.issuer = "https://id.example";
    discovery.token_endpoint = "https://id.example/token";
    spec.client_id = "client 1:x";
  }
  base::Result<Request> make(std::string_view secret) {
    const CodeGrant grant{base::Secret(std::string_view("the/code+1")), base::Secret(std::string_view("verifier")),
                          "https://dp.example/cb?x=1"};
    return token_request(discovery, spec, base::Secret(secret), grant, now, entropy);
  }
};

TEST(TokenRequest, BasicFormEncodesBothParts) {
  World w;
  const auto request = w.make("s&cret:\u00fc").value();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.url, "https://id.example/token");
  EXPECT_EQ(request.content_type, "application/x-www-form-urlencoded");
  const std::string pair = "client%201%3Ax:s%26cret%3A%C3%BC";
  EXPECT_TRUE(request.authorization.equals("Basic " + base::base64_encode(pair)));
  const auto fields = form_fields(request.body.reveal());
  const std::map<std::string, std::string> expected = {{"grant_type", "authorization_code"},
                                                       {"code", "the/code+1"},
                                                       {"redirect_uri", "https://dp.example/cb?x=1"},
                                                       {"code_verifier", "verifier"}};
  EXPECT_EQ(fields, expected);
}

TEST(TokenRequest, PostAndNone) {
  World w;
  w.spec.client_auth = ClientAuth::post;
  auto request = w.make("s&cret").value();
  EXPECT_TRUE(request.authorization.empty());
  auto fields = form_fields(request.body.reveal());
  EXPECT_EQ(fields.at("client_id"), "client 1:x");
  EXPECT_EQ(fields.at("client_secret"), "s&cret");

  w.spec.client_auth = ClientAuth::none;
  request = w.make("").value();
  EXPECT_TRUE(request.authorization.empty());
  fields = form_fields(request.body.reveal());
  EXPECT_EQ(fields.at("client_id"), "client 1:x");
  EXPECT_FALSE(fields.contains("client_secret"));
  EXPECT_EQ(fields.at("code_verifier"), "verifier");
}

TEST(TokenRequest, PrivateKeyJwtNamesTheIssuerAndNothingElse) {
  World w;
  w.spec.client_auth = ClientAuth::private_key_jwt;
  for (const Alg alg : {Alg::es256, Alg::es384, Alg::eddsa, Alg::rs256}) {
    const SigningKey key = SigningKey::generate(alg);
    const auto pem = key.to_pem();
    const auto request = w.make(pem.reveal()).value();
    EXPECT_TRUE(request.authorization.empty());
    const auto fields = form_fields(request.body.reveal());
    EXPECT_EQ(fields.at("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    EXPECT_FALSE(fields.contains("client_secret"));
    const auto keys =
        crypto::KeySet::parse(base::json::dump(Object{{"keys", Array{client_key_jwk(pem).value()}}})).value();
    const auto jws = crypto::verify_jws(fields.at("client_assertion"), keys);
    ASSERT_TRUE(jws.ok()) << crypto::to_string(alg) << ": " << jws.error().message;
    EXPECT_EQ(jws->alg, alg);
    const Value claims = base::json::parse(jws->payload).value();
    EXPECT_EQ(*claims.find("aud"), Value("https://id.example"));
    EXPECT_EQ(claims.string_or("iss"), "client 1:x");
    EXPECT_EQ(claims.string_or("sub"), "client 1:x");
    EXPECT_EQ(claims.int_or("iat", 0), 1'800'000'000);
    EXPECT_EQ(claims.int_or("exp", 0), 1'800'000'060);
    EXPECT_GE(claims.string_or("jti").size(), 22U);
    const auto again = form_fields(w.make(pem.reveal()).value().body.reveal());
    EXPECT_NE(again.at("client_assertion"), fields.at("client_assertion")) << "jti must be new";
  }
}

TEST(TokenRequest, PrivateKeyJwtUsesAnAlgorithmThatTheProviderTakes) {
  World w;
  w.spec.client_auth = ClientAuth::private_key_jwt;
  const auto rsa = SigningKey::generate(Alg::rs256).to_pem();
  const auto alg_with = [&](std::vector<std::string> taken, const base::Secret& pem) {
    w.discovery.client_auth_algs = std::move(taken);
    const auto request = w.make(pem.reveal());
    if (!request.ok()) return request.error().check;
    const std::string assertion = form_fields(request->body.reveal()).at("client_assertion");
    const auto header = base::base64url_decode(assertion.substr(0, assertion.find('.'))).value();
    return base::json::parse(header).value().string_or("alg");
  };
  EXPECT_EQ(alg_with({}, rsa), "RS256");
  EXPECT_EQ(alg_with({"PS256"}, rsa), "PS256");
  EXPECT_EQ(alg_with({"ES256", "RS256"}, rsa), "RS256");
  EXPECT_EQ(alg_with({"ES256"}, rsa), "token_endpoint.client_key");
  EXPECT_EQ(alg_with({}, base::Secret(std::string_view("no key"))), "token_endpoint.client_key");
}

std::string outcome(int status, std::string media_type, std::string body) {
  const auto tokens = parse_token_reply({status, std::move(media_type), std::move(body)});
  return tokens.ok() ? tokens->id_token + " " + std::string(tokens->access_token.reveal()) : tokens.error().check;
}

std::string outcome(const Object& body) {
  return outcome(200, "application/json", base::json::dump(body));
}

TEST(TokenReply, ReadsStrictly) {
  const Object good{{"access_token", "at"}, {"token_type", "bEARER"}, {"id_token", "a.b.c"}, {"expires_in", 60}};
  EXPECT_EQ(outcome(good), "a.b.c at");
  const auto with = [&](std::string name, Value value) {
    Object out = good;
    out.set(std::move(name), std::move(value));
    return out;
  };
  const auto without = [&](std::string_view name) {
    Object out = good;
    out.erase(name);
    return out;
  };
  EXPECT_EQ(outcome(without("id_token")), "token_endpoint.id_token_missing");
  EXPECT_EQ(outcome(with("id_token", 7)), "token_endpoint.id_token_missing");
  EXPECT_EQ(outcome(with("id_token", "")), "token_endpoint.id_token_missing");
  EXPECT_EQ(outcome(without("token_type")), "token_endpoint.shape");
  EXPECT_EQ(outcome(with("token_type", "DPoP")), "token_endpoint.token_type");
  EXPECT_EQ(outcome(without("access_token")), "token_endpoint.access_token");
  EXPECT_EQ(outcome(with("access_token", "")), "token_endpoint.access_token");
  EXPECT_EQ(outcome(with("access_token", "a b")), "token_endpoint.access_token");
  EXPECT_EQ(outcome(with("access_token", "a\r\nX: y")), "token_endpoint.access_token");
  EXPECT_EQ(outcome(200, "text/html", base::json::dump(good)), "token_endpoint.content_type");
  EXPECT_EQ(outcome(200, "application/json", "[]"), "token_endpoint.syntax");
  EXPECT_EQ(outcome(200, "application/json", R"({"id_token":"a","id_token":"b"})"), "token_endpoint.syntax");
  EXPECT_EQ(outcome(302, "", ""), "token_endpoint.status");
  EXPECT_EQ(outcome(500, "text/html", "<h1>"), "token_endpoint.status");
  EXPECT_EQ(outcome(201, "application/json", base::json::dump(good)), "token_endpoint.status");
}

TEST(TokenReply, RefusalsSayWhatTheProviderSaid) {
  const auto error = [](int status, const Object& body) {
    return parse_token_reply({status, "application/json", base::json::dump(body)}).error();
  };
  auto e = error(400, {{"error", "invalid_grant"}, {"error_description", "code \x1b[31mexpired"}});
  EXPECT_EQ(e.check, "token_endpoint.refused");
  EXPECT_EQ(e.code, base::Code::unauthenticated);
  EXPECT_NE(e.message.find("invalid_grant (code [31mexpired)"), std::string::npos) << e.message;
  EXPECT_EQ(error(401, {{"error", "invalid_client"}}).code, base::Code::unavailable);
  EXPECT_EQ(error(400, {{"error", "invalid_request"}}).code, base::Code::invalid);
  EXPECT_EQ(error(503, {{"error", "server_error"}}).code, base::Code::unavailable);
}

TEST(ShownOauthError, IsBoundedAndPlain) {
  EXPECT_EQ(shown_oauth_error("access_denied", ""), "access_denied");
  EXPECT_EQ(shown_oauth_error("<script>alert(1)</script>", ""), "scriptalert1script");
  EXPECT_EQ(shown_oauth_error("", "x"), "unspecified (x)");
  EXPECT_EQ(shown_oauth_error(std::string(1000, 'a'), std::string(1000, 'b')).size(), 64 + 3 + 200);
  EXPECT_EQ(shown_oauth_error("e", "a\u202eb\nc"), "e (abc)");
}

}  // namespace
}  // namespace daypass::idp::oidc
