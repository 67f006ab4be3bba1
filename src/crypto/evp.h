// What the files of this room share about OpenSSL: owners for its objects, algorithms fetched once, a clean error
// queue. Not for other rooms: nothing above sees an OpenSSL type.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/assert.h"

namespace daypass::crypto {

template <auto Function>
struct Free {
  template <class T>
  void operator()(T* object) const noexcept {
    Function(object);
  }
};
using PkeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using PkeyCtxPtr = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using MdCtxPtr = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using CipherCtxPtr = std::unique_ptr<EVP_CIPHER_CTX, Free<EVP_CIPHER_CTX_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, Free<BN_free>>;
using BnCtxPtr = std::unique_ptr<BN_CTX, Free<BN_CTX_free>>;
using EcdsaSigPtr = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>>;
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Free<X509_free>>;
using ParamBuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>>;

inline const unsigned char* bytes(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}
inline unsigned char* bytes(std::string& text) noexcept {
  return reinterpret_cast<unsigned char*>(text.data());
}

/// OpenSSL reports into a queue of the thread, and TLS code on the same thread reads that queue to learn how its own
/// call went. So whatever this room's calls leave there is taken away again.
class ErrorQueueGuard {
 public:
  ErrorQueueGuard() { ERR_set_mark(); }
  ~ErrorQueueGuard() { ERR_pop_to_mark(); }
  ErrorQueueGuard(const ErrorQueueGuard&) = delete;
  ErrorQueueGuard& operator=(const ErrorQueueGuard&) = delete;
};

/// Fetched at first use and kept for the life of the process: OpenSSL 3.0 looks an algorithm up by name on every
/// implicit fetch, which costs more than hashing a small message.
const EVP_MD* md_sha256();
const EVP_MD* md_sha384();
const EVP_MD* md_sha512();

inline BignumPtr bignum(std::string_view big_endian) {
  BignumPtr number(BN_bin2bn(bytes(big_endian), static_cast<int>(big_endian.size()), nullptr));
  DP_ASSERT(number != nullptr);
  return number;
}

/// Big-endian; `size` 0 means as short as it goes.
inline std::string to_bytes(const BIGNUM* number, std::size_t size = 0) {
  if (size == 0) size = static_cast<std::size_t>(BN_num_bytes(number));
  std::string out(size, '\0');
  DP_ASSERT(BN_bn2binpad(number, bytes(out), static_cast<int>(size)) == static_cast<int>(size));
  return out;
}

}  // namespace daypass::crypto
