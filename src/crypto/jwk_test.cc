#include "crypto/jose.h"
#include "crypto/test_support.h"
#include "crypto/test_vectors.h"

namespace daypass::crypto {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;
using testing::json;
using testing::key_set;
using testing::refusal;
using testing::with;

Value rsa() {
  return Object{{"kty", "RSA"}, {"n", testing::rfc7515_a2_n}, {"e", "AQAB"}};
}
Value p256() {
  return Object{{"kty", "EC"}, {"crv", "P-256"}, {"x", testing::rfc7515_a3_x}, {"y", testing::rfc7515_a3_y}};
}
Value p384() {
  return Object{{"kty", "EC"}, {"crv", "P-384"}, {"x", testing::other_p384_x}, {"y", testing::other_p384_y}};
}
Value ed25519() {
  return Object{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", testing::rfc8037_x}};
}

std::string import(const Value& jwk) {
  return refusal(PublicKey::from_jwk(jwk));
}
std::string number(std::string bytes) {
  return base::base64url_encode(bytes);
}

std::vector<Alg> allowed(const Value& jwk) {
  const auto key = PublicKey::from_jwk(jwk);
  EXPECT_TRUE(key.ok()) << (key.ok() ? "" : key.error().message);
  std::vector<Alg> out;
  for (const Alg alg : all_algs)
    if (key.ok() && key->allows(alg)) out.push_back(alg);
  return out;
}

TEST(Jwk, TypeDecidesWhatAKeyMayVerify) {
  EXPECT_EQ(allowed(rsa()), (std::vector{Alg::rs256, Alg::ps256}));
  EXPECT_EQ(allowed(p256()), (std::vector{Alg::es256}));
  EXPECT_EQ(allowed(p384()), (std::vector{Alg::es384}));
  EXPECT_EQ(allowed(ed25519()), (std::vector{Alg::eddsa}));
}

TEST(Jwk, DeclaredAlgNarrowsIt) {
  EXPECT_EQ(allowed(with(rsa(), {{"alg", "RS256"}})), (std::vector{Alg::rs256}));
  EXPECT_EQ(allowed(with(rsa(), {{"alg", "PS256"}})), (std::vector{Alg::ps256}));
  EXPECT_EQ(allowed(with(ed25519(), {{"alg", "EdDSA"}})), (std::vector{Alg::eddsa}));
  EXPECT_EQ(allowed(with(ed25519(), {{"alg", "Ed25519"}})), (std::vector{Alg::eddsa}));
  for (const char* alg : {"none", "HS256", "RS384", "ES256", "rs256", "RSA-OAEP", "", "EdDSA"})
    EXPECT_EQ(import(with(rsa(), {{"alg", alg}})), "jwk.alg") << alg;
  EXPECT_EQ(import(with(p256(), {{"alg", "ES384"}})), "jwk.alg");
  EXPECT_EQ(import(with(p256(), {{"alg", "RS256"}})), "jwk.alg");
  EXPECT_EQ(import(with(p384(), {{"alg", "ES256"}})), "jwk.alg");
  EXPECT_EQ(import(with(rsa(), {{"alg", 256}})), "jwk.alg");
}

TEST(Jwk, RefusesKeysForOtherPurposes) {
  EXPECT_EQ(import(with(rsa(), {{"use", "sig"}})), "ok");
  EXPECT_EQ(import(with(rsa(), {{"use", "enc"}})), "jwk.use");
  EXPECT_EQ(import(with(rsa(), {{"use", true}})), "jwk.use");
  EXPECT_EQ(import(with(rsa(), {{"key_ops", Array{"verify"}}})), "ok");
  EXPECT_EQ(import(with(rsa(), {{"key_ops", Array{"sign", "verify"}}})), "ok");
  EXPECT_EQ(import(with(rsa(), {{"key_ops", Array{"sign"}}})), "jwk.key_ops");
  EXPECT_EQ(import(with(rsa(), {{"key_ops", Array{}}})), "jwk.key_ops");
  EXPECT_EQ(import(with(rsa(), {{"key_ops", Array{"verify", "verify"}}})), "jwk.key_ops");
  EXPECT_EQ(import(with(rsa(), {{"key_ops", Array{"verify", 1}}})), "jwk.key_ops");
  EXPECT_EQ(import(with(rsa(), {{"key_ops", "verify"}})), "jwk.key_ops");
}

TEST(Jwk, RefusesPrivateAndSymmetricKeys) {
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    Object jwk = *rsa().as_object();
    jwk.set(name, "AQ");
    EXPECT_EQ(import(jwk), "jwk.private") << name;
  }
  EXPECT_EQ(import(with(p256(), {{"d", "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}})), "jwk.private");
  EXPECT_EQ(import(with(ed25519(), {{"d", testing::rfc8037_d}})), "jwk.private");
  EXPECT_EQ(import(Object{{"kty", "oct"}, {"k", "c2VjcmV0"}, {"alg", "HS256"}}), "jwk.private");
  EXPECT_EQ(import(Object{{"kty", "oct"}}), "jwk.private");
}

TEST(Jwk, RefusesOtherTypesAndCurves) {
  for (const Value& jwk : {Value("text"), Value(), Value(Array{}), Value(Object{}), with(rsa(), {{"kty", "rsa"}}),
                           with(rsa(), {{"kty", 1}}), with(rsa(), {{"kty", "AKP"}})})
    EXPECT_EQ(import(jwk), "jwk.kty") << base::json::dump(jwk);
  for (const char* curve : {"P-521", "secp256k1", "Ed25519", "p-256", ""})
    EXPECT_EQ(import(with(p256(), {{"crv", curve}})), "jwk.crv") << curve;
  for (const char* curve : {"Ed448", "X25519", "P-256", ""})
    EXPECT_EQ(import(with(ed25519(), {{"crv", curve}})), "jwk.crv") << curve;
  EXPECT_EQ(import(with(p256(), {{"crv", nullptr}})), "jwk.crv");
  EXPECT_EQ(import(with(ed25519(), {{"crv", nullptr}})), "jwk.crv");
}

TEST(Jwk, BoundsTheRsaModulus) {
  const auto modulus = [](int bits) {  // odd, with exactly this many bits
    std::string n(static_cast<std::size_t>((bits + 7) / 8), '\xff');
    n[0] = static_cast<char>(0xff >> (n.size() * 8 - static_cast<std::size_t>(bits)));
    return with(rsa(), {{"n", number(n)}});
  };
  for (const int bits : {2048, 2049, 3072, 4096, 8192}) EXPECT_EQ(import(modulus(bits)), "ok") << bits;
  for (const int bits : {8, 512, 1024, 2047, 8193, 16384}) EXPECT_EQ(import(modulus(bits)), "jwk.n") << bits;
  EXPECT_EQ(import(with(rsa(), {{"n", nullptr}})), "jwk.n");
  EXPECT_EQ(import(with(rsa(), {{"n", ""}})), "jwk.n");
  EXPECT_EQ(import(with(rsa(), {{"n", 7}})), "jwk.n");
  EXPECT_EQ(import(with(rsa(), {{"n", std::string(testing::rfc7515_a2_n) + "="}})), "jwk.n");
  const std::string n = *base::base64url_decode(testing::rfc7515_a2_n);
  EXPECT_EQ(import(with(rsa(), {{"n", number(std::string(1, '\0') + n)}})), "jwk.n") << "leading zero";
  EXPECT_EQ(import(with(rsa(), {{"n", number(n.substr(0, 255) + '\x02')}})), "jwk.n") << "even";
}

TEST(Jwk, BoundsTheRsaExponent) {
  using namespace std::string_literals;
  for (const std::string& e : {"\x05"s, "\x11"s, "\x01\x00\x01"s, "\xff\xff\xff\xff\xff\xff\xff\xff"s})
    EXPECT_EQ(import(with(rsa(), {{"e", number(e)}})), "ok") << base::hex_encode(e);
  for (const std::string& e : {""s, "\x00"s, "\x01"s, "\x02"s, "\x03"s, "\x04"s, "\x01\x00\x00"s, "\x00\x01\x00\x01"s,
                               "\x01\x00\x00\x00\x00\x00\x00\x00\x01"s})
    EXPECT_EQ(import(with(rsa(), {{"e", number(e)}})), "jwk.e") << base::hex_encode(e);
  EXPECT_EQ(import(with(rsa(), {{"e", nullptr}})), "jwk.e");
  EXPECT_EQ(import(with(rsa(), {{"e", 65537}})), "jwk.e");
  EXPECT_EQ(import(with(rsa(), {{"e", "AQAB="}})), "jwk.e");
}

TEST(Jwk, WantsPointsOnTheCurve) {
  const std::string x = *base::base64url_decode(testing::rfc7515_a3_x);
  const std::string y = *base::base64url_decode(testing::rfc7515_a3_y);
  const auto point = [](const std::string& px, const std::string& py) {
    return import(with(p256(), {{"x", number(px)}, {"y", number(py)}}));
  };
  EXPECT_EQ(point(x, y), "ok");
  std::string off = y;
  off[31] = static_cast<char>(off[31] ^ 1);
  EXPECT_EQ(point(x, off), "jwk.point");
  EXPECT_EQ(point(y, x), "jwk.point");
  EXPECT_EQ(point(std::string(32, '\0'), std::string(32, '\0')), "jwk.point");
  EXPECT_EQ(point(std::string(32, '\xff'), y), "jwk.point") << "not below the field's prime";
  EXPECT_EQ(point(x.substr(1), y), "jwk.point");
  EXPECT_EQ(point(x, std::string(1, '\0') + y), "jwk.point");
  EXPECT_EQ(import(with(p256(), {{"y", nullptr}})), "jwk.point");
  EXPECT_EQ(import(with(p256(), {{"x", 1}})), "jwk.point");
  EXPECT_EQ(import(with(p384(), {{"crv", "P-256"}})), "jwk.point");
  EXPECT_EQ(import(with(p256(), {{"crv", "P-384"}})), "jwk.point");
  EXPECT_EQ(import(with(p384(), {{"x", testing::other_p384_y}})), "jwk.point");
}

TEST(Jwk, WantsEd25519PointsThatAKeyMayBe) {
  // For y = 2 to 65, whether such a point exists: computed from RFC 8032's formula by other means.
  const std::string exists = "0111100110001110110101111111101101010110111000100110111110111101";
  for (std::size_t i = 0; i < exists.size(); ++i) {
    std::string encoded(32, '\0');
    encoded[0] = static_cast<char>(i + 2);
    EXPECT_EQ(import(with(ed25519(), {{"x", number(encoded)}})), exists[i] == '1' ? "ok" : "jwk.point")
        << "y = " << i + 2;
    encoded[31] = '\x80';  // the other root
    EXPECT_EQ(import(with(ed25519(), {{"x", number(encoded)}})), exists[i] == '1' ? "ok" : "jwk.point")
        << "y = " << i + 2;
  }
  // Small order, both signs; then y not below p = 2^255 - 19.
  for (const char* y : {"0000000000000000000000000000000000000000000000000000000000000000",
                        "0100000000000000000000000000000000000000000000000000000000000000",
                        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
                        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
                        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                        "f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"})
    EXPECT_EQ(import(with(ed25519(), {{"x", number(*base::hex_decode(y))}})), "jwk.point") << y;
  EXPECT_EQ(import(with(ed25519(), {{"x", number(std::string(31, 'a'))}})), "jwk.point");
  EXPECT_EQ(import(with(ed25519(), {{"x", number(std::string(33, 'a'))}})), "jwk.point");
  EXPECT_EQ(import(with(ed25519(), {{"x", nullptr}})), "jwk.point");
}

TEST(Jwk, KidIsAShortString) {
  EXPECT_EQ(PublicKey::from_jwk(with(rsa(), {{"kid", "a"}}))->kid(), "a");
  EXPECT_EQ(PublicKey::from_jwk(rsa())->kid(), "");
  for (const Value& kid : {Value(""), Value(7), Value(Object{}), Value(std::string(1025, 'k'))})
    EXPECT_EQ(import([&] {
                Object jwk = *rsa().as_object();
                jwk.set("kid", kid);
                return jwk;
              }()),
              "jwk.kid");
}

TEST(Jwk, WritesBackWhatMattersAndNothingElse) {
  const Value full = with(p256(), {{"kid", "a"}, {"alg", "ES256"}, {"x5c", Array{"AAAA"}}, {"note", "x"}});
  EXPECT_EQ(PublicKey::from_jwk(full)->to_jwk(), with(p256(), {{"kid", "a"}, {"alg", "ES256"}, {"use", "sig"}}));
  for (const Value& jwk : {rsa(), p256(), p384(), ed25519()}) {
    const Value written = PublicKey::from_jwk(jwk)->to_jwk();
    EXPECT_EQ(written, with(jwk, {{"use", "sig"}}));
    EXPECT_EQ(PublicKey::from_jwk(written)->to_jwk(), written);
  }
}

// RFC 7638 section 3.1, RFC 8037 appendix A.3.
TEST(Jwk, Thumbprint) {
  EXPECT_EQ(thumbprint(*ed25519().as_object()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
  const std::string n =
      "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
      "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
      "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
      "nqDKgw";
  EXPECT_EQ(thumbprint({{"n", n}, {"kty", "RSA"}, {"e", "AQAB"}}), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

TEST(KeySet, LeavesOutWhatItCannotUseAndSaysWhy) {
  const KeySet set = key_set({with(rsa(), {{"kid", "a"}}), with(rsa(), {{"kid", "b"}, {"use", "enc"}}),
                              Object{{"kty", "oct"}, {"k", "AQ"}}, "nonsense", with(p256(), {{"kid", "c"}})});
  ASSERT_EQ(set.keys().size(), 2U);
  EXPECT_EQ(set.keys()[0].kid(), "a");
  EXPECT_EQ(set.keys()[1].kid(), "c");
  EXPECT_EQ(set.left_out(), 3U);
  EXPECT_EQ(set.first_left_out(), "keys[1]: jwk.use: key is not for signatures");
  EXPECT_TRUE(set.has_kid("c"));
  EXPECT_FALSE(set.has_kid("b"));
  EXPECT_FALSE(key_set({rsa()}).has_kid(""));
  EXPECT_EQ(key_set({rsa()}).first_left_out(), "");
}

TEST(KeySet, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "not json", R"({"keys":[]} x)", R"({"keys":[],"keys":[]})",
                           R"({"keys":[{"kty":"RSA","kty":"EC"}]})", "{\"keys\":\"\xff\"}"})
    EXPECT_EQ(refusal(KeySet::parse(text)), "jwks.syntax") << text;
  for (const char* text : {"[]", "null", "{}", R"({"keys":{}})", R"({"keys":null})", R"({"Keys":[]})"})
    EXPECT_EQ(refusal(KeySet::parse(text)), "jwks.shape") << text;
  EXPECT_EQ(refusal(KeySet::parse(R"({"keys":[]})")), "ok");
}

TEST(KeySet, IsBounded) {
  const auto of = [](std::size_t count) {
    return refusal(KeySet::parse(base::json::dump(Object{{"keys", Array(count, Value(Object{}))}})));
  };
  EXPECT_EQ(of(KeySet::max_keys), "ok");
  EXPECT_EQ(of(KeySet::max_keys + 1), "jwks.too_many_keys");
  EXPECT_EQ(refusal(KeySet::parse(R"({"keys":[]})" + std::string(KeySet::max_bytes - 11, ' '))), "ok");
  EXPECT_EQ(refusal(KeySet::parse(R"({"keys":[]})" + std::string(KeySet::max_bytes - 10, ' '))), "jwks.too_large");
  EXPECT_EQ(refusal(KeySet::parse(R"({"keys":)" + std::string(100, '[') + std::string(100, ']') + "}")), "jwks.syntax");
}

}  // namespace
}  // namespace daypass::crypto
