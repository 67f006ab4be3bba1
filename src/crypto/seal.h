// Sealing: secrets at rest under a key of the tenant (AES-256-GCM). What it is for is bound in as associated data.
#pragma once

#include <string>
#include <string_view>

#include "base/entropy.h"
#include "base/result.h"
#include "base/secret.h"

namespace daypass::crypto {

/// Seals under one 32-byte key. Blob: version byte 1 | 12-byte random nonce | ciphertext | 16-byte tag.
/// Random nonces bound one key to 2^32 seals (NIST SP 800-38D section 8.3); derive() gives each tenant a key of its
/// own. Safe from any thread when the Entropy is; the Entropy must outlive it.
class Sealer {
 public:
  /// Error: "seal.key_size" unless `key` has 32 bytes.
  static base::Result<Sealer> make(base::Secret key, base::Entropy& entropy);
  /// `plain` has at most 16 MiB. `purpose` is bound in as associated data and not stored.
  [[nodiscard]] std::string seal(const base::Secret& plain, std::string_view purpose) const;
  /// Errors: "seal.shape", "seal.tag" (wrong key, wrong purpose or changed bytes).
  [[nodiscard]] base::Result<base::Secret> open(std::string_view blob, std::string_view purpose) const;
  /// A key of its own for `label` (HKDF-SHA256): per tenant, per use.
  [[nodiscard]] base::Secret derive(std::string_view label) const;

 private:
  Sealer(base::Secret key, base::Entropy& entropy) : key_(std::move(key)), entropy_(&entropy) {}
  base::Secret key_;
  base::Entropy* entropy_;
};

}  // namespace daypass::crypto
