// What importing, verifying and signing share: algorithm names, key types, started contexts, ECDSA signature forms.
#include "crypto/jose_key.h"

#include <openssl/rsa.h>

namespace daypass::crypto {
namespace {

/// RFC 7518 section 3.5: MGF1 with the same hash, and a salt exactly as long as the hash.
bool set_padding(EVP_PKEY_CTX* context, Alg alg) {
  if (alg == Alg::rs256) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  if (alg == Alg::ps256)
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, md_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
  return true;
}

/// Ed25519 hashes by itself; giving it a digest is an error.
const EVP_MD* digest_of(Alg alg) {
  if (alg == Alg::eddsa) return nullptr;
  return alg == Alg::es384 ? md_sha384() : md_sha256();
}

template <class Init>
MdCtxPtr start(Init init, EVP_PKEY* key, Alg alg) {
  MdCtxPtr context(EVP_MD_CTX_new());
  DP_ASSERT(context != nullptr);
  EVP_PKEY_CTX* inner = nullptr;
  if (init(context.get(), &inner, digest_of(alg), nullptr, key) != 1 || !set_padding(inner, alg)) return nullptr;
  return context;
}

}  // namespace

std::string_view to_string(Alg alg) noexcept {
  switch (alg) {
    case Alg::rs256:
      return "RS256";
    case Alg::ps256:
      return "PS256";
    case Alg::es256:
      return "ES256";
    case Alg::es384:
      return "ES384";
    case Alg::eddsa:
      return "EdDSA";
  }
  return {};
}

std::optional<Alg> parse_alg(std::string_view name) noexcept {
  for (const Alg alg : all_algs)
    if (to_string(alg) == name) return alg;
  // RFC 9864 gives the same signature a name of its own.
  if (name == "Ed25519") return Alg::eddsa;
  return std::nullopt;
}

std::optional<KeyType> key_type(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA")) return KeyType::rsa;
  if (EVP_PKEY_is_a(key, "ED25519")) return KeyType::ed25519;
  if (!EVP_PKEY_is_a(key, "EC")) return std::nullopt;
  char group[64] = {};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1) return std::nullopt;
  const std::string_view name(group, size);
  if (name == "prime256v1" || name == "P-256") return KeyType::p256;
  if (name == "secp384r1" || name == "P-384") return KeyType::p384;
  return std::nullopt;
}

MdCtxPtr start_verify(EVP_PKEY* key, Alg alg) {
  return start(EVP_DigestVerifyInit, key, alg);
}
MdCtxPtr start_sign(EVP_PKEY* key, Alg alg) {
  return start(EVP_DigestSignInit, key, alg);
}

std::string ecdsa_raw_to_der(std::string_view raw, std::size_t field) {
  if (raw.size() != 2 * field) return {};
  BignumPtr r = bignum(raw.substr(0, field));
  BignumPtr s = bignum(raw.substr(field));
  // Zero would make the equation hold for every message (CVE-2022-21449); refused before anybody computes with it.
  if (BN_is_zero(r.get()) || BN_is_zero(s.get())) return {};
  const EcdsaSigPtr signature(ECDSA_SIG_new());
  DP_ASSERT(signature != nullptr && ECDSA_SIG_set0(signature.get(), r.release(), s.release()) == 1);
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  DP_ASSERT(size > 0);
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

std::string ecdsa_der_to_raw(std::string_view der, std::size_t field) {
  const unsigned char* at = bytes(der);
  const EcdsaSigPtr signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  DP_ASSERT(signature != nullptr);
  return to_bytes(ECDSA_SIG_get0_r(signature.get()), field) + to_bytes(ECDSA_SIG_get0_s(signature.get()), field);
}

}  // namespace daypass::crypto
