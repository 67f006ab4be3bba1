// Enveloped XML signatures (XML Signature 1.1) of the one shape that SAML uses, and the octets that they cover.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/xml.h"

namespace daypass::crypto::xml {

/// A public key with the certificate it came in. Nothing of the certificate but its key decides: in SAML the metadata
/// is what vouches for it. Immutable; safe from any thread.
class Certificate {
 public:
  /// DER as base64 with any white space, as X509Certificate holds it. RSA of 2048 to 8192 bits, P-256, P-384 or P-521.
  /// Errors: "x509.base64", "x509.der", "x509.key".
  static base::Result<Certificate> from_base64(std::string_view text);
  /// The first certificate of a PEM file. Errors: "x509.pem", "x509.key".
  static base::Result<Certificate> from_pem(std::string_view pem);

  [[nodiscard]] std::string to_base64() const;      ///< of the DER, without line breaks
  [[nodiscard]] const std::string& sha256() const;  ///< of the DER, lower-case hex
  [[nodiscard]] base::WallTime not_after() const;
  bool operator==(const Certificate& other) const { return sha256() == other.sha256(); }

  struct Impl;
  explicit Certificate(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

/// A private key with its certificate: what a SAML service provider signs and decrypts with.
class KeyPair {
 public:
  /// One PEM text with an unencrypted private key and its certificate, in either order. Errors: "key.pem", "x509.pem",
  /// "x509.key", "key.pair" (they do not belong together).
  static base::Result<KeyPair> from_pem(const base::Secret& pem);
  /// A private key alone, to decrypt with: its certificate is made up and nobody's. Errors: "key.pem", "x509.key".
  static base::Result<KeyPair> for_decryption(const base::Secret& pem);
  [[nodiscard]] const Certificate& certificate() const noexcept;
  [[nodiscard]] bool is_rsa() const noexcept;
  /// RSA PKCS#1 v1.5 or ECDSA (r||s), with SHA-256.
  [[nodiscard]] std::string sign(std::string_view octets) const;
  /// The URI of what sign() does (RFC 6931).
  [[nodiscard]] std::string_view algorithm() const noexcept;

  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  explicit KeyPair(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Verifies a detached signature over `octets`, as SAML's redirect binding has it: RSA or ECDSA (r||s) with SHA-256,
/// SHA-384 or SHA-512. Errors: "xmldsig.algorithm", "xmldsig.signature".
base::Status verify_octets(std::string_view algorithm, std::string_view octets, std::string_view signature,
                           std::span<const Certificate> keys);

/// The Signature that is a direct child of `element`; nullptr when it has none.
const Element* signature_of(const Element& element);

/// Verifies the Signature in `element` with one of `keys` and returns exactly the octets that were digested: `element`
/// in exclusive canonical form without that Signature. Whoever wants to know what was signed parses those octets.
///
/// One SignedInfo, one Reference, to the ID of `element`, which no other element of the document has;
/// enveloped-signature and exclusive canonicalization and nothing else; RSA or ECDSA with SHA-256, -384 or -512.
/// KeyInfo is not looked at. Errors: "xmldsig.missing", "xmldsig.shape", "xmldsig.id", "xmldsig.reference",
/// "xmldsig.transform", "xmldsig.algorithm", "xmldsig.digest", "xmldsig.signature".
base::Result<std::string> verify_enveloped(const Document& document, const Element& element,
                                           std::span<const Certificate> keys);

/// Puts an enveloped signature of `key` into `octets`, one element in exclusive canonical form whose attribute ID is
/// `id`, just before byte `at`. The caller vouches for the form.
std::string sign_enveloped(const KeyPair& key, std::string_view octets, std::string_view id, std::size_t at);

}  // namespace daypass::crypto::xml
