// Private keys to and from PEM, without ever asking at a terminal for a passphrase. Inside this room only.
#pragma once

#include "base/secret.h"
#include "crypto/evp.h"

namespace daypass::crypto {

/// For OpenSSL's PEM readers, which would otherwise open the terminal and wait: an encrypted file is a failure.
int no_passphrase(char* buffer, int size, int writing, void* user) noexcept;

/// Unencrypted PKCS#8.
base::Secret private_key_to_pem(const EVP_PKEY* key);

/// nullptr when `pem` is not one unencrypted private key, or is larger than 64 KiB.
PkeyPtr private_key_from_pem(const base::Secret& pem);

}  // namespace daypass::crypto
