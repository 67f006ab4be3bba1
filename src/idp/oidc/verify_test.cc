#include "idp/oidc/verify.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "idp/oidc/scripted_op.h"

namespace daypass::idp::oidc {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;
using crypto::Alg;
using crypto::KeySet;
using crypto::SigningKey;
using testing::HandClock;

constexpr std::int64_t now = 1'800'000'000;
constexpr std::string_view access_token = "SlAV32hkKG";

Object good() {
  return {
      {"iss", "https://id.example"}, {"aud", "client-1"}, {"sub", "24400320"}, {"iat", now - 10}, {"exp", now + 300},
      {"nonce", "n-0S6_WzA2Mj"}};
}

Expect expected() {
  Expect expect;
  expect.issuer = "https://id.example";
  expect.client_id = "client-1";
  expect.nonce = "n-0S6_WzA2Mj";
  expect.now = base::WallTime(base::Seconds(now));
  return expect;
}

KeySet keys_of(const std::vector<SigningKey>& keys) {
  Array list;
  for (const auto& key : keys) list.push_back(key.public_jwk());
  return KeySet::parse(base::json::dump(Object{{"keys", list}})).value();
}

const SigningKey& signing_key() {
  static const SigningKey key = SigningKey::generate(Alg::es256);
  return key;
}

std::string check_of(const Object& claims, const Expect& expect = expected(), std::string_view typ = "JWT") {
  const auto result =
      verify_id_token(signing_key().sign(base::json::dump(claims), typ), keys_of({signing_key()}), expect);
  return result.ok() ? "" : result.error().check;
}

Object with(std::string name, Value value) {
  Object claims = good();
  claims.set(std::move(name), std::move(value));
  return claims;
}

Object without(std::string_view name) {
  Object claims = good();
  claims.erase(name);
  return claims;
}

TEST(VerifyIdToken, GivesTheClaimsAsTheyAre) {
  for (const Alg alg : {Alg::rs256, Alg::ps256, Alg::es256, Alg::es384, Alg::eddsa}) {
    const SigningKey key = SigningKey::generate(alg);
    Object claims = good();
    claims.set("at_hash", crypto::half_hash(alg, access_token));
    Expect expect = expected();
    expect.access_token = access_token;
    const auto result = verify_id_token(key.sign(base::json::dump(claims)), keys_of({key}), expect);
    ASSERT_TRUE(result.ok()) << crypto::to_string(alg) << ": " << result.error().message;
    EXPECT_EQ(*result, Value(claims));
  }
}

struct Case {
  std::string name;
  Object claims;
  std::string check;
};

TEST(VerifyIdToken, EachFailingClaimNamesItsCheck) {
  const std::vector<Case> cases = {
      {"iss missing", without("iss"), "id_token.iss"},
      {"iss other", with("iss", "https://evil.example"), "id_token.iss"},
      {"iss with a slash", with("iss", "https://id.example/"), "id_token.iss"},
      {"iss in another case", with("iss", "https://ID.example"), "id_token.iss"},
      {"iss as a list", with("iss", Array{"https://id.example"}), "id_token.iss"},
      {"aud missing", without("aud"), "id_token.aud"},
      {"aud other", with("aud", "client-2"), "id_token.aud"},
      {"aud a prefix", with("aud", "client-"), "id_token.aud"},
      {"aud list without us", with("aud", Array{"a", "b"}), "id_token.aud"},
      {"aud empty list", with("aud", Array{}), "id_token.aud"},
      {"aud list with a number", with("aud", Array{"client-1", 7}), "id_token.aud"},
      {"aud null", with("aud", nullptr), "id_token.aud"},
      {"aud list with others, no azp", with("aud", Array{"client-1", "client-2"}), "id_token.azp"},
      {"azp other", with("azp", "client-2"), "id_token.azp"},
      {"azp no string", with("azp", 1), "id_token.azp"},
      {"exp missing", without("exp"), "id_token.exp_missing"},
      {"exp passed", with("exp", now - 30), "id_token.exp"},
      {"exp as a string", with("exp", std::to_string(now + 300)), "id_token.exp"},
      {"exp with a fraction", with("exp", static_cast<double>(now) + 300.5), "id_token.exp"},
      {"exp beyond any time", with("exp", INT64_MAX), "id_token.exp"},
      {"exp negative", with("exp", -1), "id_token.exp"},
      {"exp null", with("exp", nullptr), "id_token.exp"},
      {"iat missing", without("iat"), "id_token.iat_missing"},
      {"iat ahead", with("iat", now + 31), "id_token.iat"},
      {"iat a day ago", with("iat", now - 24 * 3600 - 31), "id_token.iat"},
      {"iat with an exponent", with("iat", 1.8e9), "id_token.iat"},
      {"nbf ahead", with("nbf", now + 31), "id_token.nbf"},
      {"nbf no number", with("nbf", "soon"), "id_token.nbf"},
      {"nonce missing", without("nonce"), "id_token.nonce_missing"},
      {"nonce other", with("nonce", "n-other"), "id_token.nonce"},
      {"nonce empty", with("nonce", ""), "id_token.nonce"},
      {"nonce no string", with("nonce", 5), "id_token.nonce"},
      {"at_hash no string", with("at_hash", 5), "id_token.at_hash"},
      {"sub missing", without("sub"), "id_token.sub"},
      {"sub empty", with("sub", ""), "id_token.sub"},
      {"sub a number", with("sub", 24400320), "id_token.sub"},
      {"sub too long", with("sub", std::string(256, 'a')), "id_token.sub"},
      {"sub not ASCII", with("sub", "m\u00fcller"), "id_token.sub"},
      {"sub with a line end", with("sub", "a\nb"), "id_token.sub"},
      {"auth_time no number", with("auth_time", "today"), "id_token.auth_time"},
      {"auth_time ahead", with("auth_time", now + 31), "id_token.auth_time"},
  };
  for (const auto& c : cases) EXPECT_EQ(check_of(c.claims), c.check) << c.name;
}

TEST(VerifyIdToken, AcceptsWhatTheStandardAllows) {
  const std::vector<Case> cases = {
      {"aud as a list of one", with("aud", Array{"client-1"}), ""},
      {"azp ours", with("azp", "client-1"), ""},
      {"exp within the leeway", with("exp", now - 29), ""},
      {"iat within the leeway", with("iat", now + 30), ""},
      {"nbf within the leeway", with("nbf", now + 30), ""},
      {"auth_time", with("auth_time", now - 3600), ""},
      {"sub of 255", with("sub", std::string(255, 'a')), ""},
  };
  for (const auto& c : cases) EXPECT_EQ(check_of(c.claims), c.check) << c.name;
  Object others = with("aud", Array{"client-1", "client-2"});
  others.set("azp", "client-1");
  EXPECT_EQ(check_of(others), "");
}

TEST(VerifyIdToken, OtherKindsOfTokensAreRefusedByTheirType) {
  EXPECT_EQ(check_of(good(), expected(), "at+jwt"), "id_token.typ");
  EXPECT_EQ(check_of(good(), expected(), "logout+jwt"), "id_token.typ");
  EXPECT_EQ(check_of(good(), expected(), "jwt"), "");
  EXPECT_EQ(check_of(good(), expected(), ""), "");
}

TEST(VerifyIdToken, AnExpectedNonceThatIsEmptyMatchesNothing) {
  Expect expect = expected();
  expect.nonce = "";
  EXPECT_EQ(check_of(with("nonce", ""), expect), "id_token.nonce");
  EXPECT_EQ(check_of(without("nonce"), expect), "id_token.nonce_missing");
}

TEST(VerifyIdToken, AtHashBindsTheAccessToken) {
  Expect expect = expected();
  expect.access_token = access_token;
  EXPECT_EQ(check_of(with("at_hash", crypto::half_hash(Alg::es256, access_token)), expect), "");
  EXPECT_EQ(check_of(with("at_hash", crypto::half_hash(Alg::es256, "another")), expect), "id_token.at_hash");
  EXPECT_EQ(check_of(with("at_hash", ""), expect), "id_token.at_hash");
  // Core 3.1.3.6: in the code flow it may be left out.
  EXPECT_EQ(check_of(good(), expect), "");
}

TEST(VerifyIdToken, MaxAgeNeedsARecentAuthTime) {
  Expect expect = expected();
  expect.max_age = std::chrono::minutes(5);
  EXPECT_EQ(check_of(good(), expect), "id_token.auth_time");
  EXPECT_EQ(check_of(with("auth_time", now - 330), expect), "");
  EXPECT_EQ(check_of(with("auth_time", now - 331), expect), "id_token.auth_time");
}

TEST(VerifyIdToken, AFreshSignInMustNotBeOlderThanItsRequest) {
  Expect expect = expected();
  expect.authenticated_since = base::WallTime(base::Seconds(now - 60));
  EXPECT_EQ(check_of(with("auth_time", now - 20), expect), "");
  EXPECT_EQ(check_of(with("auth_time", now - 91), expect), "id_token.auth_time");
}

TEST(VerifyIdToken, PayloadMustBeAJsonObject) {
  for (const std::string_view payload : {"[]", "null", "\"sub\"", "{", "{\"sub\":\"a\",\"sub\":\"b\"}", "not json"}) {
    const auto result = verify_id_token(signing_key().sign(payload), keys_of({signing_key()}), expected());
    ASSERT_FALSE(result.ok()) << payload;
    EXPECT_EQ(result.error().check, "id_token.syntax") << payload;
  }
}

TEST(VerifyIdToken, TheSignatureIsCheckedBeforeAnyClaim) {
  const std::string token = signing_key().sign(base::json::dump(with("iss", "https://evil.example")));
  const auto stranger = SigningKey::generate(Alg::es256);
  auto result = verify_id_token(token, keys_of({stranger}), expected());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().check, "jws.kid_unknown");

  // The payload of one token under the signature of another.
  const std::string other = signing_key().sign(base::json::dump(good()));
  const std::string spliced = token.substr(0, token.rfind('.')) + other.substr(other.rfind('.'));
  result = verify_id_token(spliced, keys_of({signing_key()}), expected());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().check, "jws.signature");

  const std::string none =
      base::base64url_encode(R"({"alg":"none"})") + "." + base::base64url_encode(base::json::dump(good())) + ".";
  result = verify_id_token(none, keys_of({signing_key()}), expected());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().check, "jws.alg_not_allowed");
}

TEST(VerifyIdToken, MessagesShowNoControlCharacters) {
  const auto result = verify_id_token(signing_key().sign(base::json::dump(with("iss", "https://x\u202e\x1b[31m"))),
                                      keys_of({signing_key()}), expected());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message.find('\x1b'), std::string::npos);
  EXPECT_EQ(result.error().message.find("\u202e"), std::string::npos);
}

TEST(RunVerify, PrintsTheClaimsOrTheOneFailedCheck) {
  const HandClock clock;
  VerifyCommand command;
  command.jwks = base::json::dump(Object{{"keys", Array{signing_key().public_jwk()}}});
  command.issuer = "https://id.example";
  command.audience = "client-1";
  command.token = "  " + signing_key().sign(base::json::dump(good())) + "\n";
  const auto printed = run_verify(command, clock);
  ASSERT_TRUE(printed.ok()) << printed.error().message;
  EXPECT_EQ(base::json::parse(*printed).value(), Value(good()));
  EXPECT_TRUE(printed->ends_with("}\n"));

  command.nonce = "another";
  EXPECT_EQ(run_verify(command, clock).error().check, "id_token.nonce");
  command.nonce = "n-0S6_WzA2Mj";
  EXPECT_TRUE(run_verify(command, clock).ok());
  command.now = base::WallTime(base::Seconds(now + 3600));
  EXPECT_EQ(run_verify(command, clock).error().check, "id_token.exp");
  command.jwks = "{}";
  EXPECT_EQ(run_verify(command, clock).error().check, "jwks.shape");
}

TEST(RunJoseVerify, ChecksTheSignatureAlone) {
  const std::string jwks = base::json::dump(Object{{"keys", Array{signing_key().public_jwk()}}});
  EXPECT_EQ(run_jose_verify(jwks, signing_key().sign("any bytes") + "\n").value(), "any bytes");
  std::string broken = signing_key().sign("any bytes");
  broken[broken.size() - 10] = broken[broken.size() - 10] == 'A' ? 'B' : 'A';
  EXPECT_EQ(run_jose_verify(jwks, broken).error().check, "jws.signature");
}

}  // namespace
}  // namespace daypass::idp::oidc
