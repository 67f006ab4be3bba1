// Which domains a tenant has proven to be its own: they suggest an identity provider to whoever types an address there.
// Kept in the store, one owner for each; known in memory, so that a sign-in page asks nobody. Private to the room.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "engine/engine.h"

namespace daypass::engine {

/// Safe from any thread.
class Domains {
 public:
  /// A proof is looked for again a day later, and holds for a week while it is not found.
  static constexpr base::Seconds again_after{24 * 3600}, holds{7 * 24 * 3600}, retry_proven{3600}, retry_unproven{600};
  /// Lookups at one time, of one tenant.
  static constexpr std::size_t at_once = 64;

  using Key = std::pair<core::TenantId, std::string>;
  struct Proof {
    core::TenantId owner;
    base::WallTime at{};
  };
  struct Attempt {
    base::WallTime at{};
    std::string check, why;  ///< empty: found
    base::MonoTime mono{};   ///< the same moment, for what must not be asked twice in a row
  };

  /// Whose it is by a proof that holds.
  [[nodiscard]] std::optional<Proof> proof(const std::string& domain, base::WallTime now) const;
  [[nodiscard]] std::optional<Attempt> attempt(const Key& key) const;
  void prove(const std::string& domain, Proof proof);
  void note(const Key& key, Attempt attempt);
  void release(const core::TenantId& tenant, const std::string& domain);
  /// Those of the tenant, proven at some time.
  [[nodiscard]] std::vector<std::string> of(const core::TenantId& tenant) const;
  /// Of those listed and of those proven, which should be looked for by now; each tenant's.
  [[nodiscard]] std::map<core::TenantId, std::vector<std::string>> due(const std::set<Key>& listed,
                                                                       base::WallTime now) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Proof> proofs_;
  std::map<Key, Attempt> attempts_;
};

/// The domain of what somebody typed, an address or a domain; empty when it is neither. Of an address nothing else is
/// looked at.
std::string typed_domain(std::string_view typed);

}  // namespace daypass::engine
