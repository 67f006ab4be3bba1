// The data key of each tenant: made with the tenant, kept wrapped by the master key (envelope encryption), destroyed
// with the tenant, and with it everything that was sealed for it.
#pragma once

#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>

#include "base/entropy.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/ids.h"
#include "crypto/seal.h"

namespace daypass::engine {

/// Safe from any thread.
class Vault {
 public:
  /// `master` and `entropy` outlive it.
  Vault(const crypto::Sealer& master, base::Entropy& entropy) : master_(master), entropy_(entropy) {}

  /// A fresh data key, wrapped for `tenant`: to be stored, and given to add() when that is committed.
  [[nodiscard]] std::string new_key(const core::TenantId& tenant) const;
  /// `wrapped` empty: the tenant is older than data keys, and what is sealed for it is under the master key.
  /// Errors: those of Sealer::open, when the master key is another one.
  base::Status add(const core::TenantId& tenant, std::string_view wrapped);
  void drop(const core::TenantId& tenant);
  /// Of the installation itself; no tenant's.
  [[nodiscard]] const crypto::Sealer& master() const noexcept { return master_; }

  /// Errors: "tenant.unknown" (it has no key here), "seal.*".
  [[nodiscard]] base::Result<std::string> seal(const core::TenantId& tenant, const base::Secret& plain,
                                               std::string_view purpose) const;
  [[nodiscard]] base::Result<base::Secret> open(const core::TenantId& tenant, std::string_view blob,
                                                std::string_view purpose) const;
  /// A name for `text` by which it can be found and from which nobody without the tenant's key can tell it:
  /// hexadecimal.
  [[nodiscard]] base::Result<std::string> fingerprint(const core::TenantId& tenant, std::string_view purpose,
                                                      std::string_view text) const;

 private:
  [[nodiscard]] std::shared_ptr<const crypto::Sealer> of(const core::TenantId& tenant) const;

  const crypto::Sealer& master_;
  base::Entropy& entropy_;
  mutable std::shared_mutex mutex_;
  std::map<core::TenantId, std::shared_ptr<const crypto::Sealer>> keys_;
};

}  // namespace daypass::engine
