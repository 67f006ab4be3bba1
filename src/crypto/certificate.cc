// X.509 certificates and key pairs as SAML uses them: carriers of keys.
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/encoding.h"
#include "crypto/certificate_impl.h"
#include "crypto/digest.h"
#include "crypto/pem.h"

namespace daypass::crypto::xml {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t max_der = std::size_t{16} * 1024;
constexpr std::size_t max_pem = std::size_t{64} * 1024;

std::optional<KeyKind> kind_of(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    const int bits = EVP_PKEY_get_bits(key);
    BIGNUM* e = nullptr;
    if (bits < 2048 || bits > 8192 || EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1) return std::nullopt;
    const BignumPtr owner(e);
    if (!BN_is_odd(e) || BN_num_bits(e) <= 2 || BN_num_bits(e) > 64) return std::nullopt;
    return KeyKind{.rsa = true, .field = 0};
  }
  if (EVP_PKEY_is_a(key, "EC") != 1) return std::nullopt;
  char group[32] = {};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1) return std::nullopt;
  const std::string_view name(group, size);
  if (name == "prime256v1") return KeyKind{.rsa = false, .field = 32};
  if (name == "secp384r1") return KeyKind{.rsa = false, .field = 48};
  if (name == "secp521r1") return KeyKind{.rsa = false, .field = 66};
  return std::nullopt;
}

Result<Certificate> made_of(X509Ptr x509) {
  auto impl = std::make_shared<Certificate::Impl>();
  unsigned char* der = nullptr;
  const int size = i2d_X509(x509.get(), &der);
  DP_ASSERT(size > 0);
  impl->der.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  impl->sha256 = base::hex_encode(sha256(impl->der));
  impl->key.reset(X509_get_pubkey(x509.get()));
  const auto kind = impl->key == nullptr ? std::nullopt : kind_of(impl->key.get());
  if (!kind)
    return Error{Code::invalid, "x509.key",
                 "the certificate's key is neither RSA of 2048 to 8192 bits nor P-256, P-384 or P-521"};
  impl->kind = *kind;
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(x509.get()), &end) == 1)
    impl->not_after = base::WallTime(std::chrono::seconds(timegm(&end)));
  return Certificate(std::move(impl));
}

X509Ptr read_pem(std::string_view pem) {
  if (pem.empty() || pem.size() > max_pem) return nullptr;
  const BioPtr in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  DP_ASSERT(in != nullptr);
  return X509Ptr(PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr));
}

}  // namespace

Result<Certificate> Certificate::from_base64(std::string_view text) {
  const ErrorQueueGuard guard;
  const auto der = text.size() > 2 * max_der ? std::nullopt : base64_with_white_space(text);
  if (!der || der->empty())
    return Error{Code::invalid, "x509.base64", "a certificate that is not base64, or too large"};
  const unsigned char* at = bytes(std::string_view(*der));
  X509Ptr x509(d2i_X509(nullptr, &at, static_cast<long>(der->size())));
  if (x509 == nullptr || at != bytes(std::string_view(*der)) + der->size())
    return Error{Code::invalid, "x509.der", "not an X.509 certificate"};
  return made_of(std::move(x509));
}

Result<Certificate> Certificate::from_pem(std::string_view pem) {
  const ErrorQueueGuard guard;
  X509Ptr x509 = read_pem(pem);
  if (x509 == nullptr)
    return Error{Code::invalid, "x509.pem", "not a PEM certificate", "the file must hold -----BEGIN CERTIFICATE-----"};
  return made_of(std::move(x509));
}

std::string Certificate::to_base64() const {
  return base::base64_encode(impl_->der);
}
const std::string& Certificate::sha256() const {
  return impl_->sha256;
}
base::WallTime Certificate::not_after() const {
  return impl_->not_after;
}

Result<KeyPair> KeyPair::from_pem(const base::Secret& pem) {
  const ErrorQueueGuard guard;
  const char* make =
      "make one with: openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj /CN=daypass -keyout sp.pem -out "
      "sp.crt && cat sp.crt >> sp.pem";
  PkeyPtr key = private_key_from_pem(pem);
  if (key == nullptr) return Error{Code::invalid, "key.pem", "no private key in unencrypted PEM", make};
  X509Ptr x509 = read_pem(pem.reveal());
  if (x509 == nullptr) return Error{Code::invalid, "x509.pem", "no PEM certificate beside the private key", make};
  if (X509_check_private_key(x509.get(), key.get()) != 1)
    return Error{Code::invalid, "key.pair", "the certificate is not of this private key", make};
  // The check above compares public halves; a private one of another key would fail where nobody expects it.
  const PkeyCtxPtr pair(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (pair == nullptr || EVP_PKEY_pairwise_check(pair.get()) != 1)
    return Error{Code::invalid, "key.pair", "private and public half of the key do not belong together", make};
  DP_TRY(auto certificate, made_of(std::move(x509)));
  return KeyPair(std::make_shared<Impl>(Impl{std::move(key), std::move(certificate)}));
}

Result<KeyPair> KeyPair::for_decryption(const base::Secret& pem) {
  const ErrorQueueGuard guard;
  PkeyPtr key = private_key_from_pem(pem);
  if (key == nullptr) return Error{Code::invalid, "key.pem", "no private key in unencrypted PEM"};
  X509Ptr x509(X509_new());
  DP_ASSERT(x509 != nullptr);
  if (X509_set_pubkey(x509.get(), key.get()) != 1 || X509_sign(x509.get(), key.get(), md_sha256()) <= 0)
    return Error{Code::invalid, "x509.key", "a private key of a kind that is not taken"};
  DP_TRY(auto certificate, made_of(std::move(x509)));
  return KeyPair(std::make_shared<Impl>(Impl{std::move(key), std::move(certificate)}));
}

const Certificate& KeyPair::certificate() const noexcept {
  return impl_->certificate;
}
bool KeyPair::is_rsa() const noexcept {
  return impl_->certificate.impl().kind.rsa;
}

std::string_view KeyPair::algorithm() const noexcept {
  return is_rsa() ? "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
                  : "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
}

std::string KeyPair::sign(std::string_view octets) const {
  const ErrorQueueGuard guard;
  const MdCtxPtr context(EVP_MD_CTX_new());
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(impl_->key.get())), '\0');
  std::size_t size = signature.size();
  DP_ASSERT(context != nullptr &&
            EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, impl_->key.get(), nullptr) == 1 &&
            EVP_DigestSign(context.get(), bytes(signature), &size, bytes(octets), octets.size()) == 1);
  signature.resize(size);
  return is_rsa() ? signature : ecdsa_der_to_raw(signature, impl_->certificate.impl().kind.field);
}

}  // namespace daypass::crypto::xml
