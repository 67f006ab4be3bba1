#include "engine/vault.h"

#include <mutex>

#include "base/assert.h"
#include "base/encoding.h"
#include "crypto/digest.h"

namespace daypass::engine {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t key_bytes = 32;

std::string purpose_of(const core::TenantId& tenant) {
  return "data key " + tenant.str();
}

Error no_key() {
  return {Code::not_found, "tenant.unknown", "there is no such tenant here"};
}

}  // namespace

std::string Vault::new_key(const core::TenantId& tenant) const {
  std::string bytes(key_bytes, '\0');
  entropy_.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  return master_.seal(base::Secret::take(std::move(bytes)), purpose_of(tenant));
}

Status Vault::add(const core::TenantId& tenant, std::string_view wrapped) {
  if (wrapped.empty()) {
    const std::unique_lock lock(mutex_);
    keys_.insert_or_assign(tenant, std::shared_ptr<const crypto::Sealer>(std::shared_ptr<void>(), &master_));
    return {};
  }
  DP_TRY(auto key, master_.open(wrapped, purpose_of(tenant)));
  DP_TRY(auto sealer, crypto::Sealer::make(std::move(key), entropy_));
  const std::unique_lock lock(mutex_);
  keys_.insert_or_assign(tenant, std::make_shared<const crypto::Sealer>(std::move(sealer)));
  return {};
}

void Vault::drop(const core::TenantId& tenant) {
  const std::unique_lock lock(mutex_);
  keys_.erase(tenant);
}

std::shared_ptr<const crypto::Sealer> Vault::of(const core::TenantId& tenant) const {
  const std::shared_lock lock(mutex_);
  const auto it = keys_.find(tenant);
  return it == keys_.end() ? nullptr : it->second;
}

Result<std::string> Vault::seal(const core::TenantId& tenant, const base::Secret& plain,
                                std::string_view purpose) const {
  const auto sealer = of(tenant);
  if (sealer == nullptr) return no_key();
  return sealer->seal(plain, purpose);
}

Result<base::Secret> Vault::open(const core::TenantId& tenant, std::string_view blob, std::string_view purpose) const {
  const auto sealer = of(tenant);
  if (sealer == nullptr) return no_key();
  return sealer->open(blob, purpose);
}

Result<std::string> Vault::fingerprint(const core::TenantId& tenant, std::string_view purpose,
                                       std::string_view text) const {
  const auto sealer = of(tenant);
  if (sealer == nullptr) return no_key();
  // Tenants from before data keys share the master key.
  const base::Secret key = sealer->derive("fingerprint " + tenant.str() + " " + std::string(purpose));
  return base::hex_encode(crypto::hmac_sha256(key.reveal(), text));
}

}  // namespace daypass::engine
