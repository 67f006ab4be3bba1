#include "crypto/seal.h"

#include <openssl/kdf.h>

#include <climits>

#include "crypto/evp.h"

namespace daypass::crypto {
namespace {

constexpr char version = 1;
constexpr std::size_t key_size = 32;
constexpr std::size_t nonce_size = 12;
constexpr std::size_t tag_size = 16;
constexpr std::size_t max_plain = std::size_t{16} * 1024 * 1024;

const EVP_CIPHER* aes_256_gcm() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  DP_ASSERT(cipher != nullptr);
  return cipher;
}

// The version is authenticated too: a later format must not be readable as this one.
std::string associated_data(std::string_view purpose) {
  DP_ASSERT(purpose.size() <= INT_MAX - 1);
  return std::string(1, version) + std::string(purpose);
}

}  // namespace

base::Result<Sealer> Sealer::make(base::Secret key, base::Entropy& entropy) {
  if (key.size() != key_size)
    return base::Error{base::Code::invalid, "seal.key_size",
                       "a sealing key has 32 bytes, this one has " + std::to_string(key.size()),
                       "make one with: head -c 32 /dev/urandom"};
  return Sealer(std::move(key), entropy);
}

std::string Sealer::seal(const base::Secret& plain, std::string_view purpose) const {
  const std::string_view in = plain.reveal();
  DP_ASSERT(in.size() <= max_plain);
  const std::string aad = associated_data(purpose);
  std::string blob(1 + nonce_size + in.size() + tag_size, '\0');
  blob[0] = version;
  unsigned char* const nonce = bytes(blob) + 1;
  unsigned char* const text = nonce + nonce_size;
  entropy_->fill({nonce, nonce_size});

  const CipherCtxPtr context(EVP_CIPHER_CTX_new());
  DP_ASSERT(context != nullptr);
  int size = 0;
  DP_ASSERT(EVP_EncryptInit_ex2(context.get(), aes_256_gcm(), bytes(key_.reveal()), nonce, nullptr) == 1 &&
            EVP_EncryptUpdate(context.get(), nullptr, &size, bytes(aad), static_cast<int>(aad.size())) == 1);
  if (!in.empty())
    DP_ASSERT(EVP_EncryptUpdate(context.get(), text, &size, bytes(in), static_cast<int>(in.size())) == 1);
  DP_ASSERT(EVP_EncryptFinal_ex(context.get(), text + in.size(), &size) == 1 && size == 0);
  DP_ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_size, text + in.size()) == 1);
  return blob;
}

base::Result<base::Secret> Sealer::open(std::string_view blob, std::string_view purpose) const {
  const ErrorQueueGuard guard;
  constexpr std::size_t overhead = 1 + nonce_size + tag_size;
  if (blob.size() < overhead || blob.size() > overhead + max_plain || purpose.size() > max_plain)
    return base::Error{base::Code::internal, "seal.shape", "sealed value has an impossible length"};
  if (blob[0] != version)
    return base::Error{base::Code::internal, "seal.shape", "sealed value has an unknown version",
                       "it was written by a newer daypass, or the store is damaged"};
  const std::string aad = associated_data(purpose);
  const std::string_view nonce = blob.substr(1, nonce_size);
  const std::string_view text = blob.substr(1 + nonce_size, blob.size() - overhead);
  std::string tag(blob.substr(blob.size() - tag_size));
  std::string plain(text.size(), '\0');

  const CipherCtxPtr context(EVP_CIPHER_CTX_new());
  DP_ASSERT(context != nullptr);
  int size = 0;
  unsigned char nothing = 0;
  DP_ASSERT(EVP_DecryptInit_ex2(context.get(), aes_256_gcm(), bytes(key_.reveal()), bytes(nonce), nullptr) == 1 &&
            EVP_DecryptUpdate(context.get(), nullptr, &size, bytes(aad), static_cast<int>(aad.size())) == 1);
  if (!text.empty())
    DP_ASSERT(EVP_DecryptUpdate(context.get(), bytes(plain), &size, bytes(text), static_cast<int>(text.size())) == 1);
  DP_ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_size, bytes(tag)) == 1);
  if (EVP_DecryptFinal_ex(context.get(), &nothing, &size) != 1) {
    base::wipe(plain.data(), plain.size());
    return base::Error{base::Code::internal, "seal.tag",
                       "sealed value does not open: another key, another purpose, or changed bytes",
                       "check that the sealing key is the one that this store was made with"};
  }
  return base::Secret::take(std::move(plain));
}

base::Secret Sealer::derive(std::string_view label) const {
  static EVP_KDF* const hkdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  DP_ASSERT(hkdf != nullptr);
  const std::unique_ptr<EVP_KDF_CTX, Free<EVP_KDF_CTX_free>> context(EVP_KDF_CTX_new(hkdf));
  DP_ASSERT(context != nullptr);
  // RFC 5869: the key is uniform already, so no salt; `info` keeps this use apart from any other HKDF of the same key.
  std::string info = "daypass seal v1 " + std::string(label);
  base::Secret key = key_.clone();
  char digest[] = "SHA256";
  const std::string_view in = key.reveal();
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, const_cast<char*>(in.data()), in.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_END,
  };
  std::string out(key_size, '\0');
  DP_ASSERT(EVP_KDF_derive(context.get(), bytes(out), out.size(), params) == 1);
  return base::Secret::take(std::move(out));
}

}  // namespace daypass::crypto
