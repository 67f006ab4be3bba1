// The formulas of RFC 5802 section 3, apart from the messages, so that both ends and the tests use the same ones.
// Inside this room only.
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"
#include "crypto/scram.h"

namespace daypass::crypto::scram {

/// What both ends derive from a password. 32 raw bytes each.
struct Keys {
  base::Secret client_key;
  std::string stored_key;  ///< H(client_key)
  std::string server_key;
};

/// Hi() of the RFC is PBKDF2 with HMAC-SHA-256; `iterations` >= 1.
Keys derive_keys(const base::Secret& password, std::string_view salt, int iterations);

std::string client_proof(const Keys& keys, std::string_view auth_message);
std::string server_signature(std::string_view server_key, std::string_view auth_message);
/// Whether `proof` was made by someone who knows the password behind `stored_key`. Constant time.
bool proof_fits(std::string_view proof, std::string_view stored_key, std::string_view auth_message);

}  // namespace daypass::crypto::scram
