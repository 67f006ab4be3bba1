#include <atomic>
#include <functional>
#include <thread>

#include "crypto/digest.h"
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
using testing::token;
using testing::with;

const SigningKey& signer(Alg alg) {
  static const std::vector<SigningKey> keys = [] {
    std::vector<SigningKey> out;
    for (const Alg a : all_algs) out.push_back(SigningKey::generate(a));
    return out;
  }();
  return keys[static_cast<std::size_t>(alg)];
}

Value jwk(Alg alg, const char* kid) {
  return with(signer(alg).public_jwk(), {{"kid", kid}});
}

/// One key of each algorithm, each named after it.
const KeySet& all_keys() {
  static const KeySet set = key_set({jwk(Alg::rs256, "RS256"), jwk(Alg::ps256, "PS256"), jwk(Alg::es256, "ES256"),
                                     jwk(Alg::es384, "ES384"), jwk(Alg::eddsa, "EdDSA")});
  return set;
}

std::string verdict(std::string_view compact, const KeySet& keys = all_keys()) {
  return refusal(verify_jws(compact, keys));
}

std::string header(std::string_view alg, std::string_view kid) {
  return R"({"alg":")" + std::string(alg) + R"(","kid":")" + std::string(kid) + R"("})";
}
std::string good(Alg alg) {
  return token(signer(alg), header(to_string(alg), to_string(alg)));
}

/// The three parts of a token, changed and put together again.
std::string changed(const std::string& compact,
                    const std::function<void(std::string&, std::string&, std::string&)>& change) {
  const std::size_t first = compact.find('.');
  const std::size_t second = compact.find('.', first + 1);
  std::string head = *base::base64url_decode(compact.substr(0, first));
  std::string payload = *base::base64url_decode(compact.substr(first + 1, second - first - 1));
  std::string signature = *base::base64url_decode(compact.substr(second + 1));
  change(head, payload, signature);
  return base::base64url_encode(head) + "." + base::base64url_encode(payload) + "." + base::base64url_encode(signature);
}
std::string with_signature(const std::string& compact, const std::function<void(std::string&)>& change) {
  return changed(compact, [&](auto&, auto&, auto& signature) { change(signature); });
}

// ---- what others signed ----

TEST(Jws, Rfc7515Examples) {
  const KeySet rsa = key_set({Object{{"kty", "RSA"}, {"n", testing::rfc7515_a2_n}, {"e", "AQAB"}}});
  const KeySet ec =
      key_set({Object{{"kty", "EC"}, {"crv", "P-256"}, {"x", testing::rfc7515_a3_x}, {"y", testing::rfc7515_a3_y}}});
  const auto a2 = verify_jws(testing::rfc7515_a2_rs256, rsa);
  ASSERT_TRUE(a2.ok()) << a2.error().check;
  EXPECT_EQ(a2->payload, testing::rfc7515_payload);
  EXPECT_EQ(a2->kid, "");
  EXPECT_EQ(a2->alg, Alg::rs256);
  const auto a3 = verify_jws(testing::rfc7515_a3_es256, ec);
  ASSERT_TRUE(a3.ok()) << a3.error().check;
  EXPECT_EQ(a3->payload, testing::rfc7515_payload);
  EXPECT_EQ(verdict(testing::rfc7515_a2_rs256, ec), "jws.alg_key_mismatch");
  EXPECT_EQ(verdict(testing::rfc7515_a3_es256, rsa), "jws.alg_key_mismatch");
  EXPECT_EQ(verdict(testing::rfc7515_a1_hs256, rsa), "jws.alg_not_allowed");
  EXPECT_EQ(verdict(testing::rfc7515_a5_none, rsa), "jws.alg_not_allowed");
}

TEST(Jws, Rfc8037Example) {
  const KeySet keys = key_set({Object{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", testing::rfc8037_x}}});
  const auto verified = verify_jws(testing::rfc8037_a4_eddsa, keys);
  ASSERT_TRUE(verified.ok()) << verified.error().check;
  EXPECT_EQ(verified->payload, "Example of Ed25519 signing");
}

TEST(Jws, SignaturesOfAnotherImplementation) {
  const KeySet rsa = key_set({Object{{"kty", "RSA"}, {"kid", "r"}, {"n", testing::other_rsa_n}, {"e", "AQAB"}}});
  EXPECT_EQ(verdict(testing::other_ps256, rsa), "ok");
  EXPECT_EQ(verdict(testing::other_ps256_salt20, rsa), "jws.signature");
  EXPECT_EQ(verdict(testing::other_ps256_salt_max, rsa), "jws.signature");
  EXPECT_EQ(verdict(testing::other_ps256_mgf1_sha1, rsa), "jws.signature");
  EXPECT_EQ(verdict(testing::other_rs256_sha384, rsa), "jws.signature");
  const KeySet ec = key_set({Object{
      {"kty", "EC"}, {"crv", "P-384"}, {"kid", "e"}, {"x", testing::other_p384_x}, {"y", testing::other_p384_y}}});
  EXPECT_EQ(verdict(testing::other_es384, ec), "ok");
}

// ---- every algorithm ----

class JwsAlg : public ::testing::TestWithParam<Alg> {};
INSTANTIATE_TEST_SUITE_P(Jws, JwsAlg, ::testing::ValuesIn(all_algs),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST_P(JwsAlg, VerifiesAndRefusesEveryChange) {
  const std::string compact = good(GetParam());
  ASSERT_EQ(verdict(compact), "ok");
  const std::size_t second = compact.rfind('.');
  const std::size_t size = base::base64url_decode(compact.substr(second + 1))->size();
  for (std::size_t i = 0; i < size; i += size > 100 ? 17 : 3) {
    EXPECT_EQ(verdict(with_signature(compact, [&](auto& s) { s[i] = static_cast<char>(s[i] ^ 1); })), "jws.signature")
        << i;
  }
  EXPECT_EQ(verdict(changed(compact, [](auto&, auto& payload, auto&) { payload += ' '; })), "jws.signature");
  EXPECT_EQ(verdict(changed(compact, [](auto&, auto& payload, auto&) { payload[2] = 'S'; })), "jws.signature");
  EXPECT_EQ(verdict(changed(compact, [](auto& head, auto&, auto&) { head.insert(1, " "); })), "jws.signature");
}

TEST_P(JwsAlg, SignatureHasOneLength) {
  const std::string compact = good(GetParam());
  using namespace std::string_literals;
  EXPECT_EQ(verdict(with_signature(compact, [](auto& s) { s.clear(); })), "jws.signature");
  EXPECT_EQ(verdict(with_signature(compact, [](auto& s) { s.pop_back(); })), "jws.signature");
  EXPECT_EQ(verdict(with_signature(compact, [](auto& s) { s += '\0'; })), "jws.signature");
  EXPECT_EQ(verdict(with_signature(compact, [](auto& s) { s.insert(0, 1, '\0'); })), "jws.signature");
  EXPECT_EQ(verdict(with_signature(compact, [](auto& s) { s += s; })), "jws.signature");
  EXPECT_EQ(verdict(with_signature(compact, [](auto& s) { s.assign(s.size(), '\0'); })), "jws.signature");
  EXPECT_EQ(verdict(with_signature(compact, [](auto& s) { s.assign(s.size(), '\xff'); })), "jws.signature");
}

// The signature is right for the key in every case here; only what the header says is not.
TEST_P(JwsAlg, AlgorithmIsBoundToTheKey) {
  const SigningKey& key = signer(GetParam());
  const std::string_view kid = to_string(GetParam());
  for (const Alg other : all_algs)
    if (other != GetParam())
      EXPECT_EQ(verdict(token(key, header(to_string(other), kid))), "jws.alg_key_mismatch") << to_string(other);
  for (const char* alg : {"none",  "None",  "NONE",  "nOnE",   "HS256", "HS384", "HS512",  "RS1", "RS384",    "RS512",
                          "PS384", "PS512", "ES512", "ES256K", "Ed448", "rs256", "RS256 ", "",    "RSA-OAEP", "dir"})
    EXPECT_EQ(verdict(token(key, header(alg, kid))), "jws.alg_not_allowed") << alg;
}

TEST_P(JwsAlg, KeyOfAnotherIssuerIsNotEnough) {
  const SigningKey stranger = SigningKey::generate(GetParam());
  EXPECT_EQ(verdict(token(stranger, header(to_string(GetParam()), to_string(GetParam())))), "jws.signature");
  EXPECT_EQ(verdict(stranger.sign("{}")), "jws.kid_unknown");
}

TEST(Jws, HmacWithThePublicKeyIsNoSignature) {
  const Value rsa = jwk(Alg::rs256, "RS256");
  const PkeyPtr key = private_key_from_pem(signer(Alg::rs256).to_pem());
  const BioPtr out(BIO_new(BIO_s_mem()));
  ASSERT_EQ(i2d_PUBKEY_bio(out.get(), key.get()), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  const std::string der(data, static_cast<std::size_t>(size));
  const std::string pem = "-----BEGIN PUBLIC KEY-----\n" + base::base64_encode(der) + "\n-----END PUBLIC KEY-----\n";
  for (const std::string& secret : {pem, der, base::json::dump(rsa), rsa.string_or("n"),
                                    *base::base64url_decode(rsa.string_or("n")), std::string()}) {
    for (const char* alg : {"HS256", "RS256"}) {
      const std::string text = base::base64url_encode(header(alg, "RS256")) + "." + base::base64url_encode("{}");
      EXPECT_EQ(verdict(text + "." + base::base64url_encode(hmac_sha256(secret, text))),
                alg[0] == 'H' ? "jws.alg_not_allowed" : "jws.signature");
    }
  }
}

TEST(Jws, Pss256AndPkcs1DoNotStandForEachOther) {
  const KeySet both = key_set({with(signer(Alg::rs256).public_jwk(), {{"kid", "k"}, {"alg", nullptr}})});
  for (const auto& [said, done] : {std::pair{Alg::rs256, Alg::ps256}, std::pair{Alg::ps256, Alg::rs256}}) {
    const std::string text = base::base64url_encode(header(to_string(said), "k")) + ".e30";
    const auto sign = [&](Alg alg) {
      return text + "." + base::base64url_encode(testing::raw_signature(signer(Alg::rs256), text, alg));
    };
    EXPECT_EQ(verdict(sign(said), both), "ok");
    EXPECT_EQ(verdict(sign(done), both), "jws.signature");
  }
}

// ---- ECDSA forms ----

TEST(Jws, EcdsaSignatureIsTwoFieldsAndNeitherIsZero) {
  for (const Alg alg : {Alg::es256, Alg::es384}) {
    const std::size_t field = alg == Alg::es256 ? 32 : 48;
    const std::string compact = good(alg);
    EXPECT_EQ(verdict(with_signature(compact, [&](auto& s) { s = ecdsa_raw_to_der(s, field); })), "jws.signature")
        << "DER";
    EXPECT_EQ(verdict(with_signature(compact, [&](auto& s) { s.replace(0, field, field, '\0'); })), "jws.signature");
    EXPECT_EQ(verdict(with_signature(compact, [&](auto& s) { s.replace(field, field, field, '\0'); })),
              "jws.signature");
    EXPECT_EQ(verdict(with_signature(compact, [&](auto& s) { s = s.substr(field) + s.substr(0, field); })),
              "jws.signature");
    // r and s of the other curve's size.
    EXPECT_EQ(verdict(with_signature(compact,
                                     [&](auto& s) {
                                       s = std::string(16, '\0') + s.substr(0, field) + std::string(16, '\0') +
                                           s.substr(field);
                                     })),
              "jws.signature");
  }
  // r = s = n and r = s = n + 1 of P-256: zero and one once reduced.
  for (const char* order : {"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
                            "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552"})
    EXPECT_EQ(verdict(with_signature(good(Alg::es256),
                                     [&](auto& s) { s = *base::hex_decode(order) + *base::hex_decode(order); })),
              "jws.signature");
}

// A DER signature can have 64 bytes (short r and s): then the length says nothing, and the form must.
TEST(Jws, DerOfTheRightLengthIsStillNotRawForm) {
  const std::string text = base::base64url_encode(header("ES256", "ES256")) + "." + base::base64url_encode("{}");
  std::string der = ecdsa_raw_to_der(testing::raw_signature(signer(Alg::es256), text, Alg::es256), 32);
  der.resize(64, '\0');
  EXPECT_EQ(verdict(text + "." + base::base64url_encode(der)), "jws.signature");
}

TEST(Jws, EcdsaConversionKeepsLeadingZeros) {
  std::string raw(64, '\0');
  raw[31] = 1;
  raw[63] = '\x80';
  EXPECT_EQ(base::hex_encode(ecdsa_raw_to_der(raw, 32)), "300702010102020080");
  EXPECT_EQ(ecdsa_der_to_raw(ecdsa_raw_to_der(raw, 32), 32), raw);
  EXPECT_EQ(ecdsa_raw_to_der(raw.substr(1), 32), "");
  EXPECT_EQ(ecdsa_raw_to_der(std::string(64, '\0'), 32), "");
}

// ---- shape and encoding ----

TEST(Jws, HasThreeParts) {
  const std::string compact = good(Alg::es256);
  const std::string head = compact.substr(0, compact.find('.'));
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("..."), head, head + ".e30", compact + ".",
        "." + compact, compact + ".e30", std::string("a.b"), std::string(".e30.AA"), head + "..AA"})
    EXPECT_EQ(verdict(text), "jws.shape") << text;
  EXPECT_EQ(verdict(head + ".e30.AA.AA.AA"), "jws.shape") << "JWE";
  EXPECT_EQ(verdict(head + ".e30."), "jws.signature") << "an empty signature is an invalid one";
}

TEST(Jws, Base64urlHasOneSpelling) {
  const std::string compact = good(Alg::es256);
  EXPECT_EQ(verdict(compact + "="), "jws.base64url");
  EXPECT_EQ(verdict(compact + "\n"), "jws.base64url");
  EXPECT_EQ(verdict(" " + compact), "jws.base64url");
  EXPECT_EQ(verdict(compact + std::string(1, '\0')), "jws.base64url");
  // 64 bytes leave four spare bits in the last character: all other 15 spellings must go.
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const std::size_t at = alphabet.find(compact.back());
  ASSERT_EQ(at % 16, 0U);
  for (std::size_t i = 1; i < 16; ++i)
    EXPECT_EQ(verdict(compact.substr(0, compact.size() - 1) + alphabet[at + i]), "jws.base64url");
  // The standard alphabet in each part.
  const std::string text = base::base64url_encode(R"({"alg":"ES256","kid":"ES256","a":"?>?>"})");
  EXPECT_EQ(verdict(text + ".e30/.AA"), "jws.base64url");
  EXPECT_EQ(verdict(text + ".e30.+A"), "jws.base64url");
  EXPECT_EQ(verdict("+" + text.substr(1) + ".e30.AA"), "jws.base64url");
}

TEST(Jws, IsBounded) {
  const SigningKey& key = signer(Alg::eddsa);
  EXPECT_EQ(verdict(token(key, header("EdDSA", "EdDSA"), std::string(45'000, 'x'))), "ok");
  EXPECT_EQ(verdict(token(key, header("EdDSA", "EdDSA"), std::string(50'000, 'x'))), "jws.too_large");
  EXPECT_EQ(verdict(std::string(max_jws_bytes + 1, '.')), "jws.too_large");
  EXPECT_EQ(verdict(std::string(max_jws_bytes, '.')), "jws.shape");
  EXPECT_EQ(verdict(token(key, R"({"alg":"EdDSA","kid":"EdDSA","a":")" + std::string(7000, 'a') + "\"}")),
            "jws.header");
  EXPECT_EQ(
      verdict(token(key, R"({"alg":"EdDSA","kid":"EdDSA","a":)" + std::string(20, '[') + std::string(20, ']') + "}")),
      "jws.header");
  std::string many = R"({"alg":"EdDSA","kid":"EdDSA")";
  for (int i = 0; i < 40; ++i) many += ",\"a" + std::to_string(i) + "\":1";
  EXPECT_EQ(verdict(token(key, many + "}")), "jws.header");
}

// ---- header ----

struct HeaderCase {
  const char* text;
  const char* check;
};

class JwsHeader : public ::testing::TestWithParam<HeaderCase> {};
INSTANTIATE_TEST_SUITE_P(
    Jws, JwsHeader,
    ::testing::Values(
        HeaderCase{R"({"alg":"EdDSA","kid":"EdDSA"})", "ok"}, HeaderCase{R"({"alg":"Ed25519","kid":"EdDSA"})", "ok"},
        HeaderCase{R"( {"kid" : "EdDSA" , "alg" : "EdDSA" } )", "ok"},
        HeaderCase{R"({"alg":"EdDSA","kid":"EdDSA","typ":"JWT","cty":"x","x5t":"AA","x5t#S256":"AA"})", "ok"},
        HeaderCase{R"({"alg":"EdDSA"})", "ok"}, HeaderCase{R"({"\u0061lg":"EdDSA"})", "ok"},
        // not an object of unique names
        HeaderCase{"", "jws.shape"}, HeaderCase{"{", "jws.header"}, HeaderCase{"[]", "jws.header"},
        HeaderCase{"null", "jws.header"}, HeaderCase{"\"EdDSA\"", "jws.header"},
        HeaderCase{R"({"alg":"EdDSA"}x)", "jws.header"}, HeaderCase{"\xef\xbb\xbf{\"alg\":\"EdDSA\"}", "jws.header"},
        HeaderCase{"{\"alg\":\"EdDSA\",\"a\":\"\xff\"}", "jws.header"},
        HeaderCase{R"({"alg":"EdDSA","alg":"EdDSA"})", "jws.header"},
        HeaderCase{R"({"alg":"none","alg":"EdDSA"})", "jws.header"},
        HeaderCase{R"({"alg":"EdDSA","\u0061lg":"none"})", "jws.header"},
        HeaderCase{R"({"alg":"EdDSA","kid":"EdDSA","kid":"x"})", "jws.header"},
        HeaderCase{R"({"alg":"EdDSA","a":{"b":1,"b":2}})", "jws.header"}, HeaderCase{"{'alg':'EdDSA'}", "jws.header"},
        HeaderCase{R"({"alg":"EdDSA","kid":1})", "jws.header"},
        HeaderCase{R"({"alg":"EdDSA","kid":null})", "jws.header"},
        HeaderCase{R"({"alg":"EdDSA","typ":["JWT"]})", "jws.header"},
        // alg
        HeaderCase{"{}", "jws.alg_missing"}, HeaderCase{R"({"kid":"EdDSA"})", "jws.alg_missing"},
        HeaderCase{R"({"ALG":"EdDSA"})", "jws.alg_missing"}, HeaderCase{R"({"alg":["EdDSA"]})", "jws.alg_not_allowed"},
        HeaderCase{R"({"alg":null})", "jws.alg_not_allowed"},
        HeaderCase{R"({"alg":"EdDSA\u0000"})", "jws.alg_not_allowed"},
        // extensions
        HeaderCase{R"({"alg":"EdDSA","crit":["exp"],"exp":1})", "jws.crit"},
        HeaderCase{R"({"alg":"EdDSA","crit":[]})", "jws.crit"},
        HeaderCase{R"({"alg":"EdDSA","crit":null})", "jws.crit"},
        HeaderCase{R"({"alg":"EdDSA","crit":["b64"],"b64":false})", "jws.crit"},
        HeaderCase{R"({"alg":"EdDSA","crit":["alg"]})", "jws.crit"},
        HeaderCase{R"({"alg":"EdDSA","b64":false})", "jws.b64"}, HeaderCase{R"({"alg":"EdDSA","b64":true})", "jws.b64"},
        HeaderCase{R"({"alg":"EdDSA","b64":null})", "jws.b64"},
        // keys
        HeaderCase{R"({"alg":"EdDSA","kid":"EdDSA","jwk":{"kty":"OKP"}})", "jws.header_key"},
        HeaderCase{R"({"alg":"EdDSA","jwk":null})", "jws.header_key"},
        HeaderCase{R"({"alg":"EdDSA","jku":"https://evil.example/jwks"})", "jws.header_key"},
        HeaderCase{R"({"alg":"EdDSA","x5u":"https://evil.example/cert"})", "jws.header_key"},
        HeaderCase{R"({"alg":"EdDSA","x5c":["AAAA"]})", "jws.header_key"},
        HeaderCase{R"({"alg":"EdDSA","\u006awk":{}})", "jws.header_key"},
        // kid
        HeaderCase{R"({"alg":"EdDSA","kid":"eddsa"})", "jws.kid_unknown"},
        HeaderCase{R"({"alg":"EdDSA","kid":""})", "jws.kid_unknown"},
        HeaderCase{R"({"alg":"EdDSA","kid":"EdDSA "})", "jws.kid_unknown"},
        HeaderCase{R"({"alg":"EdDSA","kid":"../../dev/null"})", "jws.kid_unknown"},
        HeaderCase{R"({"alg":"EdDSA","kid":"RS256"})", "jws.alg_key_mismatch"}));

TEST_P(JwsHeader, IsJudged) {
  EXPECT_EQ(verdict(token(signer(Alg::eddsa), GetParam().text)), GetParam().check) << GetParam().text;
}

TEST(Jws, KeyInTheHeaderIsNeverUsed) {
  const SigningKey attacker = SigningKey::generate(Alg::eddsa);
  Object head{{"alg", "EdDSA"}, {"jwk", attacker.public_jwk()}};
  EXPECT_EQ(verdict(token(attacker, base::json::dump(head))), "jws.header_key");
}

// ---- choice of the key ----

TEST(Jws, WithoutKidExactlyOneKeyMayFit) {
  const SigningKey& key = signer(Alg::es256);
  const std::string bare = token(key, R"({"alg":"ES256"})");
  EXPECT_EQ(verdict(bare), "ok") << "one of five keys fits";
  const SigningKey other = SigningKey::generate(Alg::es256);
  EXPECT_EQ(verdict(bare, key_set({key.public_jwk(), other.public_jwk()})), "jws.key_ambiguous");
  EXPECT_EQ(verdict(bare, key_set({key.public_jwk(), key.public_jwk()})), "jws.key_ambiguous");
  EXPECT_EQ(verdict(bare, key_set({with(key.public_jwk(), {{"kid", nullptr}}), jwk(Alg::rs256, "r")})), "ok");
  EXPECT_EQ(verdict(bare, key_set({other.public_jwk()})), "jws.signature");
  EXPECT_EQ(verdict(bare, key_set({jwk(Alg::rs256, "r")})), "jws.alg_key_mismatch");
  EXPECT_EQ(verdict(bare, KeySet()), "jws.alg_key_mismatch");
}

TEST(Jws, WithKidNoOtherKeyIsTried) {
  const SigningKey& key = signer(Alg::es256);
  const std::string named = token(key, header("ES256", "a"));
  EXPECT_EQ(verdict(named, key_set({with(key.public_jwk(), {{"kid", "a"}})})), "ok");
  EXPECT_EQ(verdict(named, key_set({with(key.public_jwk(), {{"kid", "b"}})})), "jws.kid_unknown");
  EXPECT_EQ(verdict(named, key_set({with(key.public_jwk(), {{"kid", nullptr}})})), "jws.kid_unknown");
  EXPECT_EQ(verdict(named, KeySet()), "jws.kid_unknown");
  EXPECT_EQ(verdict(token(key, header("ES256", "")), key_set({with(key.public_jwk(), {{"kid", nullptr}})})),
            "jws.kid_unknown");
}

TEST(Jws, KeysOfOneNameAreToldApartByTypeOrTried) {
  const SigningKey& key = signer(Alg::es256);
  const std::string named = token(key, header("ES256", "a"));
  const auto mine = with(key.public_jwk(), {{"kid", "a"}});
  EXPECT_EQ(verdict(named, key_set({jwk(Alg::rs256, "a"), jwk(Alg::eddsa, "a"), mine})), "ok");
  EXPECT_EQ(verdict(named, key_set({jwk(Alg::rs256, "a"), jwk(Alg::eddsa, "a")})), "jws.alg_key_mismatch");
  std::vector<Value> many;
  for (int i = 0; i < 3; ++i) many.push_back(with(SigningKey::generate(Alg::es256).public_jwk(), {{"kid", "a"}}));
  EXPECT_EQ(verdict(named, key_set(many)), "jws.signature");
  many.push_back(mine);
  EXPECT_EQ(verdict(named, key_set(many)), "ok");
  many.push_back(with(SigningKey::generate(Alg::es256).public_jwk(), {{"kid", "a"}}));
  EXPECT_EQ(verdict(named, key_set(many)), "jws.key_ambiguous");
}

TEST(Jws, PeekKidOnlyReads) {
  EXPECT_EQ(peek_kid(good(Alg::es256)), "ES256");
  EXPECT_EQ(peek_kid(base::base64url_encode(R"({"kid":"x"})") + ".e30.AA"), "x");
  EXPECT_EQ(peek_kid(token(signer(Alg::eddsa), R"({"alg":"EdDSA"})")), std::nullopt);
  for (const char* text : {"", "a.b.c", "..", "e30.e30.AA", "eyJraWQiOjF9.e30.AA"})
    EXPECT_EQ(peek_kid(text), std::nullopt) << text;
  EXPECT_EQ(peek_kid(std::string(100'000, 'a')), std::nullopt);
}

TEST(Jws, LeavesNothingInTheErrorQueueOfTheThread) {
  EXPECT_EQ(verdict(with_signature(good(Alg::rs256), [](auto& s) { s[40] = static_cast<char>(s[40] ^ 1); })),
            "jws.signature");
  EXPECT_EQ(refusal(PublicKey::from_jwk(with(jwk(Alg::es256, "a"), {{"x", jwk(Alg::es256, "a").string_or("y")}}))),
            "jwk.point");
  EXPECT_EQ(ERR_peek_error(), 0UL);
  // Nor is anything taken away that was there before.
  ERR_raise(ERR_LIB_USER, 42);
  EXPECT_EQ(verdict(with_signature(good(Alg::rs256), [](auto& s) { s[40] = static_cast<char>(s[40] ^ 1); })),
            "jws.signature");
  EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), 42);
  EXPECT_EQ(ERR_get_error(), 0UL);
}

TEST(Jws, AKeyVerifiesOnlyWhatItAllows) {
  const std::string text = "message";
  for (const Alg of_key : all_algs) {
    const auto key = PublicKey::from_jwk(signer(of_key).public_jwk());
    ASSERT_TRUE(key.ok());
    const std::string signature = testing::raw_signature(signer(of_key), text, of_key);
    for (const Alg asked : all_algs)
      EXPECT_EQ(key->verify(asked, text, signature), asked == of_key) << to_string(asked);
  }
}

TEST(Jws, OneKeySetServesManyThreads) {
  std::vector<std::string> tokens;
  for (const Alg alg : all_algs) tokens.push_back(good(alg));
  const KeySet keys = all_keys();
  std::atomic<int> verified = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i)
        for (const std::string& compact : tokens) verified += verify_jws(compact, keys).ok() ? 1 : 0;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(verified, 4 * 10 * 5);
}

// ---- hashes of OpenID Connect and PKCE ----

TEST(Pkce, Rfc7636AppendixB) {
  EXPECT_EQ(pkce_s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

TEST(HalfHash, FollowsTheAlgorithm) {
  // OpenID Connect Core, the c_hash of appendix A.4.
  const std::string_view code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
  for (const Alg alg : {Alg::rs256, Alg::ps256, Alg::es256}) EXPECT_EQ(half_hash(alg, code), "LDktKdoQak3Pk0cnXxCltA");
  EXPECT_EQ(half_hash(Alg::es384, code), base::base64url_encode(sha384(code).substr(0, 24)));
  EXPECT_EQ(half_hash(Alg::eddsa, code), base::base64url_encode(sha512(code).substr(0, 32)));
}

}  // namespace
}  // namespace daypass::crypto
