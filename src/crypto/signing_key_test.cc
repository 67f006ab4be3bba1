#include <openssl/pem.h>

#include "crypto/jose.h"
#include "crypto/test_support.h"
#include "crypto/test_vectors.h"

namespace daypass::crypto {
namespace {

using base::Secret;
using testing::json;
using testing::key_set;
using testing::refusal;

class SigningAlg : public ::testing::TestWithParam<Alg> {};
INSTANTIATE_TEST_SUITE_P(SigningKey, SigningAlg, ::testing::ValuesIn(all_algs),
                         [](const auto& test) { return std::string(to_string(test.param)); });

TEST_P(SigningAlg, SignsWhatItsPublicHalfVerifies) {
  const SigningKey key = SigningKey::generate(GetParam());
  const KeySet keys = key_set({key.public_jwk()});
  ASSERT_EQ(keys.left_out(), 0U) << keys.first_left_out();
  // Several times: r and s are short now and then.
  for (int i = 0; i < (GetParam() == Alg::rs256 || GetParam() == Alg::ps256 ? 3 : 40); ++i) {
    const std::string payload = R"({"n":)" + std::to_string(i) + "}";
    const auto verified = verify_jws(key.sign(payload), keys);
    ASSERT_TRUE(verified.ok()) << verified.error().check;
    EXPECT_EQ(verified->payload, payload);
    EXPECT_EQ(verified->kid, key.kid());
    EXPECT_EQ(verified->alg, GetParam());
    EXPECT_EQ(verified->header, json(R"({"alg":")" + std::string(to_string(GetParam())) + R"(","kid":")" + key.kid() +
                                     R"(","typ":"JWT"})"));
  }
}

TEST_P(SigningAlg, KeepsItsKeyThroughPem) {
  const SigningKey key = SigningKey::generate(GetParam());
  const Secret pem = key.to_pem();
  EXPECT_TRUE(pem.reveal().starts_with("-----BEGIN PRIVATE KEY-----\n"));
  const auto again = SigningKey::from_pem(pem, GetParam(), "mine");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->kid(), "mine");
  EXPECT_EQ(again->alg(), GetParam());
  EXPECT_EQ(again->public_jwk(), testing::with(key.public_jwk(), {{"kid", "mine"}}));
  EXPECT_EQ(SigningKey::from_pem(pem, GetParam(), "")->kid(), key.kid());
  EXPECT_TRUE(verify_jws(again->sign("{}"), key_set({again->public_jwk()})).ok());
}

TEST_P(SigningAlg, KeepsThePrivatePartOutOfThePublicOne) {
  const auto jwk = SigningKey::generate(GetParam()).public_jwk();
  EXPECT_EQ(jwk.string_or("use"), "sig");
  EXPECT_EQ(jwk.string_or("alg"), to_string(GetParam()));
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) EXPECT_EQ(jwk.find(name), nullptr) << name;
}

TEST_P(SigningAlg, NoTwoKeysAreAlike) {
  EXPECT_NE(SigningKey::generate(GetParam()).kid(), SigningKey::generate(GetParam()).kid());
}

TEST(SigningKey, HeaderTypeIsOptional) {
  const SigningKey key = SigningKey::generate(Alg::eddsa);
  const KeySet keys = key_set({key.public_jwk()});
  EXPECT_EQ(verify_jws(key.sign("{}", "logout+jwt"), keys)->header.string_or("typ"), "logout+jwt");
  EXPECT_EQ(verify_jws(key.sign("{}", ""), keys)->header.find("typ"), nullptr);
}

// RFC 8037 appendix A: the private key in PKCS#8, its public half, thumbprint and deterministic signature.
TEST(SigningKey, Rfc8037Example) {
  const std::string der =
      *base::hex_decode("302e020100300506032b657004220420") + *base::base64url_decode(testing::rfc8037_d);
  const Secret pem("-----BEGIN PRIVATE KEY-----\n" + base::base64_encode(der) + "\n-----END PRIVATE KEY-----\n");
  const auto key = SigningKey::from_pem(pem, Alg::eddsa, "");
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(key->kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
  EXPECT_EQ(key->public_jwk().string_or("x"), testing::rfc8037_x);
  EXPECT_EQ(testing::token(*key, R"({"alg":"EdDSA"})", "Example of Ed25519 signing"), testing::rfc8037_a4_eddsa);
}

TEST(SigningKey, RefusesPemThatIsNoKeyForTheAlg) {
  const Secret p256 = SigningKey::generate(Alg::es256).to_pem();
  EXPECT_EQ(refusal(SigningKey::from_pem(p256, Alg::es384, "k")), "key.pem");
  EXPECT_EQ(refusal(SigningKey::from_pem(p256, Alg::rs256, "k")), "key.pem");
  EXPECT_EQ(refusal(SigningKey::from_pem(p256, Alg::eddsa, "k")), "key.pem");
  EXPECT_EQ(refusal(SigningKey::from_pem(p256, Alg::es256, std::string(2000, 'k'))), "key.pem");
  for (const std::string_view text :
       {std::string_view(), std::string_view("nonsense"), p256.reveal().substr(0, p256.size() / 2)})
    EXPECT_EQ(refusal(SigningKey::from_pem(Secret(text), Alg::es256, "k")), "key.pem");
  EXPECT_EQ(refusal(SigningKey::from_pem(Secret(std::string(100'000, '-')), Alg::es256, "k")), "key.pem");
}

TEST(SigningKey, RefusesWeakRsaAndLocksWithoutKey) {
  const PkeyPtr weak(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024}));
  EXPECT_EQ(refusal(SigningKey::from_pem(private_key_to_pem(weak.get()), Alg::rs256, "k")), "key.pem");
  // An encrypted file must not make the process ask at the terminal.
  const BioPtr out(BIO_new(BIO_s_mem()));
  const PkeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  ASSERT_EQ(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_256_cbc(), "pass", 4, nullptr, nullptr), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  EXPECT_EQ(
      refusal(SigningKey::from_pem(Secret(std::string_view(data, static_cast<std::size_t>(size))), Alg::eddsa, "k")),
      "key.pem");
}

}  // namespace
}  // namespace daypass::crypto
