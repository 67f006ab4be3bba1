#include "crypto/ed25519.h"

#include "base/encoding.h"
#include "crypto/evp.h"
#include "crypto/jose.h"

namespace daypass::crypto {

namespace {

PkeyPtr private_key(const base::Secret& seed) {
  DP_ASSERT(seed.size() == ed25519_key_size);
  PkeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes(seed.reveal()), seed.size()));
  DP_ASSERT(key != nullptr);
  return key;
}

}  // namespace

std::string ed25519_public_key(const base::Secret& seed) {
  const ErrorQueueGuard guard;
  const PkeyPtr key = private_key(seed);
  std::string out(ed25519_key_size, '\0');
  std::size_t size = out.size();
  DP_ASSERT(EVP_PKEY_get_raw_public_key(key.get(), bytes(out), &size) == 1 && size == out.size());
  return out;
}

std::string ed25519_sign(const base::Secret& seed, std::string_view message) {
  const ErrorQueueGuard guard;
  const PkeyPtr key = private_key(seed);
  const MdCtxPtr context(EVP_MD_CTX_new());
  DP_ASSERT(context != nullptr && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  std::string out(ed25519_signature_size, '\0');
  std::size_t size = out.size();
  DP_ASSERT(EVP_DigestSign(context.get(), bytes(out), &size, bytes(message), message.size()) == 1 &&
            size == out.size());
  return out;
}

bool ed25519_verify(std::string_view public_key, std::string_view message, std::string_view signature) {
  if (public_key.size() != ed25519_key_size || signature.size() != ed25519_signature_size) return false;
  // Through the import that everybody's keys take, which looks at the point.
  const auto key = PublicKey::from_jwk(
      base::json::Object{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", base::base64url_encode(public_key)}});
  return key.ok() && key->verify(Alg::eddsa, message, signature);
}

}  // namespace daypass::crypto
