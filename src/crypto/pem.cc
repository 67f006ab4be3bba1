#include "crypto/pem.h"

#include <openssl/pem.h>

namespace daypass::crypto {

int no_passphrase(char*, int, int, void*) noexcept {
  return -1;
}

base::Secret private_key_to_pem(const EVP_PKEY* key) {
  // This kind of memory BIO clears what it frees or outgrows.
  const BioPtr out(BIO_new(BIO_s_secmem()));
  DP_ASSERT(out != nullptr &&
            PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return base::Secret(std::string_view(data, static_cast<std::size_t>(size)));
}

PkeyPtr private_key_from_pem(const base::Secret& pem) {
  const ErrorQueueGuard guard;
  const std::string_view text = pem.reveal();
  if (text.empty() || text.size() > std::size_t{64} * 1024) return nullptr;
  const BioPtr in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  DP_ASSERT(in != nullptr);
  return PkeyPtr(PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr));
}

}  // namespace daypass::crypto
