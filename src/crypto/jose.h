// JOSE on OpenSSL EVP, the small part that federation needs: compact JWS with public keys, fixed algorithm per key.
// Refused by construction: `none`, symmetric algorithms, JWE, JSON serialisation, any `crit`, `b64`, keys in a header.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/entropy.h"
#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"

namespace daypass::crypto {

/// RFC 7518 section 3.1 and RFC 8037.
enum class Alg { rs256, ps256, es256, es384, eddsa };
std::string_view to_string(Alg alg) noexcept;  ///< "RS256", …, "EdDSA"
/// The algorithm of this name; "Ed25519" (RFC 9864) is another name of EdDSA. nullopt for every other, such as `none`.
std::optional<Alg> parse_alg(std::string_view name) noexcept;

/// One public key. Which algorithms it may verify is decided when it is imported: by its `alg` when it has one, else by
/// its type (RSA: RS256 and PS256; P-256: ES256; P-384: ES384; Ed25519: EdDSA). Immutable; safe from any thread.
class PublicKey {
 public:
  /// From a JWK (RFC 7517). RSA of 2048 to 8192 bits with an odd e above 3 and of 64 bits at most; EC and Ed25519
  /// points are checked to be on their curve, Ed25519 ones also not to be of small order. Errors: "jwk.kty", "jwk.alg",
  /// "jwk.kid", "jwk.use", "jwk.key_ops", "jwk.crv", "jwk.n", "jwk.e", "jwk.point", "jwk.private" (a private or
  /// symmetric key where a public one belongs).
  static base::Result<PublicKey> from_jwk(const base::json::Value& jwk);

  [[nodiscard]] const std::string& kid() const noexcept;  ///< empty when the key has none
  [[nodiscard]] bool allows(Alg alg) const noexcept;
  /// The key with its kid and alg, when it has them, and use=sig; no other member of the JWK it came from.
  [[nodiscard]] base::json::Value to_jwk() const;
  /// Verifies one signature over `message`; the length of ECDSA signatures (r||s) is checked, not read from it.
  [[nodiscard]] bool verify(Alg alg, std::string_view message, std::string_view signature) const;

  struct Impl;  // for this room's own files
  explicit PublicKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

/// A JWK Set. Keys that this verifier can't use (other types, `use: enc`, symmetric, malformed) are left out, counted.
class KeySet {
 public:
  static constexpr std::size_t max_bytes = std::size_t{256} * 1024;
  static constexpr std::size_t max_keys = 64;
  /// Errors: "jwks.too_large", "jwks.syntax", "jwks.shape", "jwks.too_many_keys".
  static base::Result<KeySet> parse(std::string_view json_text);
  [[nodiscard]] const std::vector<PublicKey>& keys() const noexcept { return keys_; }
  [[nodiscard]] std::size_t left_out() const noexcept { return left_out_; }
  /// Why the first left-out key was left out, as "keys[2]: jwk.use: …"; empty when none was.
  [[nodiscard]] const std::string& first_left_out() const noexcept { return first_left_out_; }
  [[nodiscard]] bool has_kid(std::string_view kid) const noexcept;

 private:
  std::vector<PublicKey> keys_;
  std::size_t left_out_ = 0;
  std::string first_left_out_;
};

/// A compact JWS whose signature has been verified. Only verify_jws makes one.
struct VerifiedJws {
  base::json::Value header;
  std::string payload;  ///< the decoded octets that were signed
  std::string kid;      ///< of the key that fits; empty when it has none
  Alg alg;
};

constexpr std::size_t max_jws_bytes = std::size_t{64} * 1024;

/// Verifies a compact JWS (RFC 7515 section 5.2) with a key of `keys`. The header's `kid` must name the key when it has
/// one (of up to four keys of that name that fit the algorithm each is tried); without `kid`, exactly one key of the
/// set may fit the algorithm. Shape is checked before header members, those before keys, keys before the signature.
/// Errors, each one check: "jws.too_large", "jws.shape", "jws.base64url", "jws.header", "jws.alg_missing",
/// "jws.alg_not_allowed", "jws.crit", "jws.b64", "jws.header_key" (jwk, jku, x5u, x5c in the header),
/// "jws.kid_unknown", "jws.key_ambiguous", "jws.alg_key_mismatch", "jws.signature".
base::Result<VerifiedJws> verify_jws(std::string_view compact, const KeySet& keys);

/// The `kid` of an unverified header, only to decide whether the JWKS is worth fetching again; nullopt when there is
/// none or it can't be read.
std::optional<std::string> peek_kid(std::string_view compact);

/// A private signing key of our own: client assertions (private_key_jwt) and the demo's identity provider.
class SigningKey {
 public:
  /// A fresh key: RSA-2048 for `rs256` and `ps256`, P-256, P-384 or Ed25519. Its kid is its thumbprint (RFC 7638).
  static SigningKey generate(Alg alg);
  /// From unencrypted PEM (PKCS#8; the older RSA and EC forms are read too). An empty `kid` means the thumbprint.
  /// Error: "key.pem".
  static base::Result<SigningKey> from_pem(const base::Secret& pem, Alg alg, std::string kid);
  [[nodiscard]] base::Secret to_pem() const;
  [[nodiscard]] Alg alg() const noexcept;
  [[nodiscard]] const std::string& kid() const noexcept;
  /// The public half as a JWK with kid, alg and use=sig.
  [[nodiscard]] base::json::Value public_jwk() const;
  /// Compact JWS over `payload` (JSON text), header {"alg","kid","typ"}; `typ` left out when empty.
  [[nodiscard]] std::string sign(std::string_view payload, std::string_view typ = "JWT") const;

  struct Impl;
  explicit SigningKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

/// PKCE S256 challenge of a verifier (RFC 7636 section 4.2).
std::string pkce_s256(std::string_view verifier);

/// Left half of the hash that belongs to `alg`, base64url: at_hash and c_hash (OpenID Connect Core 3.1.3.6).
/// EdDSA with Ed25519 uses SHA-512.
std::string half_hash(Alg alg, std::string_view token);

}  // namespace daypass::crypto
