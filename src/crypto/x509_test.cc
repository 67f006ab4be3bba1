#include "crypto/x509.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/digest.h"
#include "crypto/test_support.h"
#include "crypto/xml_signature.h"

namespace daypass::crypto {
namespace {

using testing::refusal;

base::WallTime at(const char* text) {
  return *base::parse_rfc3339(text);
}

X509Ptr parse(const std::string& pem) {
  const BioPtr in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return X509Ptr(PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr));
}

CertificateAndKey make(const std::vector<std::string>& names) {
  return self_signed(names, at("2026-11-24T00:00:00Z"), at("2036-11-24T00:00:00Z"));
}

/// What a TLS client that trusts just this certificate would say on `when`, for `name`: 0 is X509_V_OK.
int verify(X509* certificate, const std::string& name, bool ip, const char* when) {
  using StorePtr = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
  using StoreCtxPtr = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>>;
  const StorePtr store(X509_STORE_new());
  EXPECT_EQ(X509_STORE_add_cert(store.get(), certificate), 1);
  const StoreCtxPtr context(X509_STORE_CTX_new());
  EXPECT_EQ(X509_STORE_CTX_init(context.get(), store.get(), certificate, nullptr), 1);
  EXPECT_EQ(X509_STORE_CTX_set_default(context.get(), "ssl_server"), 1);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  if (ip)
    EXPECT_EQ(X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str()), 1);
  else
    EXPECT_EQ(X509_VERIFY_PARAM_set1_host(param, name.c_str(), name.size()), 1);
  X509_VERIFY_PARAM_set_time(param, std::chrono::floor<std::chrono::seconds>(at(when)).time_since_epoch().count());
  X509_verify_cert(context.get());
  return X509_STORE_CTX_get_error(context.get());
}

TEST(SelfSigned, AnRsaPairServesSaml) {
  const CertificateAndKey made =
      self_signed_rsa("daypass acme saml-2026", at("2026-11-24T00:00:00Z"), at("2036-11-24T00:00:00Z"));
  const auto pair = xml::KeyPair::from_pem(base::Secret(made.certificate_pem + std::string(made.key_pem.reveal())));
  ASSERT_TRUE(pair.ok()) << pair.error().message;
  const X509Ptr certificate = parse(made.certificate_pem);
  EXPECT_EQ(EVP_PKEY_get_bits(X509_get0_pubkey(certificate.get())), 3072);
}

TEST(SelfSigned, IsItsOwnTrustAnchorForItsNamesAndTimes) {
  const CertificateAndKey made = make({"gate.example.com", "localhost", "127.0.0.1", "::1"});
  const X509Ptr certificate = parse(made.certificate_pem);
  ASSERT_NE(certificate, nullptr);
  const char* now = "2027-01-01T00:00:00Z";
  EXPECT_EQ(verify(certificate.get(), "gate.example.com", false, now), X509_V_OK);
  EXPECT_EQ(verify(certificate.get(), "localhost", false, now), X509_V_OK);
  EXPECT_EQ(verify(certificate.get(), "127.0.0.1", true, now), X509_V_OK);
  EXPECT_EQ(verify(certificate.get(), "::1", true, now), X509_V_OK);
  EXPECT_EQ(verify(certificate.get(), "other.example.com", false, now), X509_V_ERR_HOSTNAME_MISMATCH);
  EXPECT_EQ(verify(certificate.get(), "127.0.0.2", true, now), X509_V_ERR_IP_ADDRESS_MISMATCH);
  EXPECT_EQ(verify(certificate.get(), "localhost", false, "2026-11-23T23:59:59Z"), X509_V_ERR_CERT_NOT_YET_VALID);
  EXPECT_EQ(verify(certificate.get(), "localhost", false, "2036-11-24T00:00:01Z"), X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST(SelfSigned, IsAP256LeafAndNoCa) {
  const CertificateAndKey made = make({"localhost"});
  const X509Ptr certificate = parse(made.certificate_pem);
  EXPECT_EQ(X509_check_ca(certificate.get()), 0);
  EXPECT_EQ(key_type(X509_get0_pubkey(certificate.get())), KeyType::p256);
  const PkeyPtr key = private_key_from_pem(made.key_pem);
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(X509_check_private_key(certificate.get(), key.get()), 1);
  EXPECT_EQ(ASN1_INTEGER_cmp(X509_get0_serialNumber(certificate.get()),
                             X509_get0_serialNumber(parse(make({"localhost"}).certificate_pem).get())) == 0,
            false);
  EXPECT_EQ(made.certificate_pem.find("PRIVATE"), std::string::npos);
}

TEST(SelfSigned, ACommaMakesNoSecondName) {
  const CertificateAndKey made = make({"a.example,DNS:b.example", "plain.example"});
  const X509Ptr certificate = parse(made.certificate_pem);
  EXPECT_EQ(verify(certificate.get(), "b.example", false, "2027-01-01T00:00:00Z"), X509_V_ERR_HOSTNAME_MISMATCH);
  EXPECT_EQ(verify(certificate.get(), "plain.example", false, "2027-01-01T00:00:00Z"), X509_V_OK);
}

TEST(SelfSigned, LeavesOutNamesThatNobodyCanAskFor) {
  const CertificateAndKey made = make({"",
                                       "b\xc3\xbc"
                                       "cher.example",
                                       std::string(254, 'a'), "ok.example"});
  const X509Ptr certificate = parse(made.certificate_pem);
  EXPECT_EQ(verify(certificate.get(), "ok.example", false, "2027-01-01T00:00:00Z"), X509_V_OK);
  char common[128] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, common, sizeof common);
  EXPECT_STREQ(common, "ok.example");
}

std::string certificate_signed_with(EVP_PKEY* key, const EVP_MD* md) {
  const X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key);
  EXPECT_GT(X509_sign(certificate.get(), key, md), 0);
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string der_of(const std::string& pem) {
  const X509Ptr certificate = parse(pem);
  const BioPtr out(BIO_new(BIO_s_mem()));
  i2d_X509_bio(out.get(), certificate.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

// RFC 5929 section 4.1.
TEST(ServerEndPoint, UsesTheHashOfTheSignature) {
  const std::string own = make({"localhost"}).certificate_pem;
  EXPECT_EQ(server_end_point(own).value(), sha256(der_of(own)));
  const PkeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
  const std::string with_384 = certificate_signed_with(key.get(), EVP_sha384());
  EXPECT_EQ(server_end_point(with_384).value(), sha384(der_of(with_384)));
  const std::string with_512 = certificate_signed_with(key.get(), EVP_sha512());
  EXPECT_EQ(server_end_point(with_512).value(), sha512(der_of(with_512)));
  const std::string with_sha1 = certificate_signed_with(key.get(), EVP_sha1());
  EXPECT_EQ(server_end_point(with_sha1).value(), sha256(der_of(with_sha1)));
}

TEST(ServerEndPoint, RefusesWhatHasNone) {
  const PkeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  EXPECT_EQ(refusal(server_end_point(certificate_signed_with(key.get(), nullptr))), "x509.no_digest");
  const CertificateAndKey made = make({"localhost"});
  EXPECT_EQ(refusal(server_end_point("")), "x509.pem");
  EXPECT_EQ(refusal(server_end_point("nonsense")), "x509.pem");
  EXPECT_EQ(refusal(server_end_point(std::string(made.key_pem.reveal()))), "x509.pem");
  EXPECT_EQ(refusal(server_end_point(made.certificate_pem.substr(0, 300))), "x509.pem");
  EXPECT_EQ(refusal(server_end_point(std::string(300 * 1024, '\n') + made.certificate_pem)), "x509.pem");
  EXPECT_EQ(ERR_peek_error(), 0UL);
}

}  // namespace
}  // namespace daypass::crypto
