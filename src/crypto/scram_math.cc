#include "crypto/scram_math.h"

#include "crypto/digest.h"
#include "crypto/evp.h"

namespace daypass::crypto::scram {
namespace {

std::string exclusive_or(std::string_view a, std::string_view b) {
  DP_ASSERT(a.size() == b.size());
  std::string out(a);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>(out[i] ^ b[i]);
  return out;
}

}  // namespace

Keys derive_keys(const base::Secret& password, std::string_view salt, int iterations) {
  DP_ASSERT(iterations >= 1);
  const std::string_view text = password.reveal();
  std::string salted(32, '\0');
  DP_ASSERT(PKCS5_PBKDF2_HMAC(text.empty() ? "" : text.data(), static_cast<int>(text.size()), bytes(salt),
                              static_cast<int>(salt.size()), iterations, md_sha256(), static_cast<int>(salted.size()),
                              bytes(salted)) == 1);
  const auto salted_password = base::Secret::take(std::move(salted));
  Keys keys;
  keys.client_key = base::Secret::take(hmac_sha256(salted_password.reveal(), "Client Key"));
  keys.stored_key = sha256(keys.client_key.reveal());
  keys.server_key = hmac_sha256(salted_password.reveal(), "Server Key");
  return keys;
}

std::string client_proof(const Keys& keys, std::string_view auth_message) {
  return exclusive_or(keys.client_key.reveal(), hmac_sha256(keys.stored_key, auth_message));
}

std::string server_signature(std::string_view server_key, std::string_view auth_message) {
  return hmac_sha256(server_key, auth_message);
}

bool proof_fits(std::string_view proof, std::string_view stored_key, std::string_view auth_message) {
  // What comes out of the exclusive or is the client's key: whoever has it can log in.
  const auto client_key = base::Secret::take(exclusive_or(proof, hmac_sha256(stored_key, auth_message)));
  return base::equal_constant_time(sha256(client_key.reveal()), stored_key);
}

}  // namespace daypass::crypto::scram
