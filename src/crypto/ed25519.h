// Ed25519 (RFC 8032) over plain messages: for the signatures of notes, which are no JWS.
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"

namespace daypass::crypto {

inline constexpr std::size_t ed25519_key_size = 32;
inline constexpr std::size_t ed25519_signature_size = 64;

/// 32 bytes. `seed` is the private key of RFC 8032, 32 random bytes.
std::string ed25519_public_key(const base::Secret& seed);
/// 64 bytes.
std::string ed25519_sign(const base::Secret& seed, std::string_view message);
/// False for a public key that is no point of the curve or of small order, too.
bool ed25519_verify(std::string_view public_key, std::string_view message, std::string_view signature);

}  // namespace daypass::crypto
