// Logout tokens: each promise of Back-Channel Logout 1.0, and that no other token of the provider passes for one.
#include "idp/oidc/logout.h"

#include <gtest/gtest.h>

#include <functional>

namespace daypass::idp::oidc {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;
using crypto::Alg;
using crypto::SigningKey;

class LogoutTokens : public ::testing::Test {
 protected:
  const SigningKey key = SigningKey::generate(Alg::es256);
  const crypto::KeySet keys =
      crypto::KeySet::parse(base::json::dump(Object{{"keys", Array{key.public_jwk()}}})).value();
  static constexpr std::int64_t now = 1'800'000'000;

  static Object honest() {
    return {{"iss", "https://id.example"},
            {"aud", "client-1"},
            {"iat", now},
            {"exp", now + 120},
            {"jti", "j1"},
            {"sub", "alice"},
            {"sid", "s1"},
            {"events", Object{{"http://schemas.openid.net/event/backchannel-logout", Object{}}}}};
  }
  base::Result<LogoutToken> verify(const Object& claims, std::string_view typ = "logout+jwt") const {
    Expect expect;
    expect.issuer = "https://id.example";
    expect.client_id = "client-1";
    expect.now = base::WallTime(base::Seconds(now));
    return verify_logout_token(key.sign(base::json::dump(claims), typ), keys, expect);
  }
  std::string with(const std::string& name, const Value& value) const {
    Object claims = honest();
    claims.set(name, value);
    const auto read = verify(claims);
    return read.ok() ? "ok" : read.error().check;
  }
  std::string without(std::initializer_list<std::string_view> names) const {
    Object claims = honest();
    for (const auto name : names) claims.erase(name);
    const auto read = verify(claims);
    return read.ok() ? "ok" : read.error().check;
  }
};

TEST_F(LogoutTokens, NameAPersonOrASession) {
  const auto read = verify(honest());
  ASSERT_TRUE(read.ok()) << read.error().check;
  EXPECT_EQ(read->sub, "alice");
  EXPECT_EQ(read->sid, "s1");
  EXPECT_EQ(read->jti, "j1");
  EXPECT_EQ(read->issued_at, base::WallTime(base::Seconds(now)));
  EXPECT_EQ(without({"sid"}), "ok");
  EXPECT_EQ(without({"sub"}), "ok");
  EXPECT_EQ(without({"sub", "sid"}), "logout_token.subject");
}

TEST_F(LogoutTokens, AreRefusedByName) {
  EXPECT_EQ(with("iss", "https://evil.example"), "logout_token.iss");
  EXPECT_EQ(with("aud", "client-2"), "logout_token.aud");
  EXPECT_EQ(with("exp", now - 60), "logout_token.exp");
  EXPECT_EQ(without({"exp"}), "logout_token.exp_missing");
  EXPECT_EQ(with("iat", now + 60), "logout_token.iat");
  EXPECT_EQ(without({"iat"}), "logout_token.iat_missing");
  EXPECT_EQ(without({"jti"}), "logout_token.jti");
  EXPECT_EQ(with("jti", 7), "logout_token.jti");
  EXPECT_EQ(with("nonce", "n"), "logout_token.nonce");
  EXPECT_EQ(with("nonce", Value()), "logout_token.nonce");
  EXPECT_EQ(without({"events"}), "logout_token.events");
  EXPECT_EQ(with("events", Object{{"http://schemas.openid.net/event/other", Object{}}}), "logout_token.events");
  EXPECT_EQ(with("events", Object{{"http://schemas.openid.net/event/backchannel-logout", true}}),
            "logout_token.events");
  EXPECT_EQ(with("sub", ""), "logout_token.sub");
  EXPECT_EQ(with("sid", Array{"s1"}), "logout_token.sid");
}

TEST_F(LogoutTokens, AreSignedWithTheRegisteredAlgorithm) {
  Expect expect;
  expect.issuer = "https://id.example";
  expect.client_id = "client-1";
  expect.now = base::WallTime(base::Seconds(now));
  const std::string token = key.sign(base::json::dump(honest()), "logout+jwt");
  expect.alg = Alg::es256;
  EXPECT_TRUE(verify_logout_token(token, keys, expect).ok());
  expect.alg = Alg::rs256;
  EXPECT_EQ(verify_logout_token(token, keys, expect).error().check, "logout_token.alg");
}

TEST_F(LogoutTokens, AreNoOtherToken) {
  EXPECT_TRUE(verify(honest(), "JWT").ok());
  EXPECT_TRUE(verify(honest(), "").ok());
  EXPECT_EQ(verify(honest(), "at+jwt").error().check, "logout_token.typ");
  Object id_token = honest();
  id_token.erase("events");
  id_token.set("nonce", "n");
  EXPECT_EQ(verify(id_token, "JWT").error().check, "logout_token.nonce");
  const SigningKey other = SigningKey::generate(Alg::es256);
  Expect expect;
  EXPECT_EQ(verify_logout_token(other.sign(base::json::dump(honest())), keys, expect).error().check, "jws.kid_unknown");
}

}  // namespace
}  // namespace daypass::idp::oidc
