// Hashes and MACs over OpenSSL EVP. Every function is total: OpenSSL refusing SHA-2 is a broken machine, no error.
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"

namespace daypass::crypto {

std::string sha256(std::string_view data);                             ///< 32 bytes
std::string sha384(std::string_view data);                             ///< 48 bytes
std::string sha512(std::string_view data);                             ///< 64 bytes
std::string hmac_sha256(std::string_view key, std::string_view data);  ///< 32 bytes

}  // namespace daypass::crypto
