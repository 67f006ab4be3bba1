#include "crypto/digest.h"

#include <openssl/evp.h>

#include "crypto/evp.h"

namespace daypass::crypto {
namespace {

const EVP_MD* fetch_md(const char* name) {
  const EVP_MD* md = EVP_MD_fetch(nullptr, name, nullptr);
  DP_ASSERT(md != nullptr);
  return md;
}

std::string digest(const EVP_MD* md, std::string_view data) {
  // One context per thread: making one costs as much as hashing a Merkle node.
  thread_local const MdCtxPtr context(EVP_MD_CTX_new());
  DP_ASSERT(context != nullptr);
  std::string out(static_cast<std::size_t>(EVP_MD_get_size(md)), '\0');
  unsigned size = 0;
  DP_ASSERT(EVP_DigestInit_ex2(context.get(), md, nullptr) == 1 &&
            EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1 &&
            EVP_DigestFinal_ex(context.get(), bytes(out), &size) == 1 && size == out.size());
  return out;
}

}  // namespace

const EVP_MD* md_sha256() {
  static const EVP_MD* const md = fetch_md("SHA256");
  return md;
}
const EVP_MD* md_sha384() {
  static const EVP_MD* const md = fetch_md("SHA384");
  return md;
}
const EVP_MD* md_sha512() {
  static const EVP_MD* const md = fetch_md("SHA512");
  return md;
}

std::string sha256(std::string_view data) {
  return digest(md_sha256(), data);
}
std::string sha384(std::string_view data) {
  return digest(md_sha384(), data);
}
std::string sha512(std::string_view data) {
  return digest(md_sha512(), data);
}

std::string hmac_sha256(std::string_view key, std::string_view data) {
  static EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  DP_ASSERT(hmac != nullptr);
  const std::unique_ptr<EVP_MAC_CTX, Free<EVP_MAC_CTX_free>> context(EVP_MAC_CTX_new(hmac));
  DP_ASSERT(context != nullptr);
  char name[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_END};
  // A null pointer would mean "the key as before"; the empty key is a key.
  const unsigned char empty = 0;
  const unsigned char* key_bytes = key.empty() ? &empty : bytes(key);
  std::string out(32, '\0');
  std::size_t size = 0;
  DP_ASSERT(EVP_MAC_init(context.get(), key_bytes, key.size(), params) == 1 &&
            EVP_MAC_update(context.get(), bytes(data), data.size()) == 1 &&
            EVP_MAC_final(context.get(), bytes(out), &size, out.size()) == 1 && size == out.size());
  return out;
}

}  // namespace daypass::crypto
