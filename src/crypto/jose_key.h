// The inside of JOSE keys, shared by the files that import, verify and sign. Inside this room only.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/evp.h"
#include "crypto/jose.h"

namespace daypass::crypto {

constexpr std::array all_algs = {Alg::rs256, Alg::ps256, Alg::es256, Alg::es384, Alg::eddsa};

enum class KeyType { rsa, p256, p384, ed25519 };

/// Whether a key of this type can make signatures of this algorithm at all.
constexpr bool fits(KeyType type, Alg alg) noexcept {
  switch (alg) {
    case Alg::rs256:
    case Alg::ps256:
      return type == KeyType::rsa;
    case Alg::es256:
      return type == KeyType::p256;
    case Alg::es384:
      return type == KeyType::p384;
    case Alg::eddsa:
      return type == KeyType::ed25519;
  }
  return false;
}

/// Octets of r or s, and of a coordinate (RFC 7518 sections 3.4 and 6.2.1.2).
constexpr std::size_t field_size(KeyType type) noexcept {
  return type == KeyType::p384 ? 48 : 32;
}

/// Type and size of a key that OpenSSL read for us; nullopt for a kind that no algorithm of ours uses.
std::optional<KeyType> key_type(const EVP_PKEY* key);

/// A context ready to verify (or sign) with `alg`; nullptr when OpenSSL refuses the key.
MdCtxPtr start_verify(EVP_PKEY* key, Alg alg);
MdCtxPtr start_sign(EVP_PKEY* key, Alg alg);

/// ECDSA signatures: JOSE writes r and s in fixed length (RFC 7518 section 3.4), OpenSSL reads and writes DER.
/// Empty when r or s is zero, or `raw` is not two fields long.
std::string ecdsa_raw_to_der(std::string_view raw, std::size_t field);
std::string ecdsa_der_to_raw(std::string_view der, std::size_t field);

struct PublicKey::Impl {
  KeyType type = KeyType::rsa;
  std::optional<Alg> declared;  ///< the JWK's own `alg`
  std::string kid;
  std::size_t signature_size = 0;  ///< the one length that a signature of this key has
  base::json::Object numbers;      ///< the members that make the key: kty, crv, n, e, x, y
  PkeyPtr pkey;
  /// One started context for each algorithm that the key allows, else nullptr. Copied for every signature, which is
  /// much cheaper than starting from the key, and read only, so any thread may.
  std::array<MdCtxPtr, all_algs.size()> started;
};

/// RFC 7638, of the members in `numbers`.
std::string thumbprint(const base::json::Object& numbers);

}  // namespace daypass::crypto
