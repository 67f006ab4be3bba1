// What is known of one provider in one tenant: its discovery document and its keys, shared by every login there.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "core/spec.h"
#include "crypto/jose.h"
#include "idp/cached.h"
#include "idp/fetch.h"
#include "idp/key_cache.h"
#include "idp/oidc/discovery.h"

namespace daypass::idp::oidc {

/// Safe from any thread. Fetches are single-flight, each kind at most once in 10 s when something is there already.
class Metadata {
 public:
  using DiscoveryPtr = std::shared_ptr<const Discovery>;
  using KeysPtr = KeyCache::Ptr;

  Metadata(const base::Clock& clock, const base::Log& log, Fetch fetch, core::TenantId tenant, std::string issuer,
           Reach reach);

  /// Fresh for an hour, usable for a day when the provider does not answer. Errors: "discovery.*".
  base::Result<DiscoveryPtr> discovery(base::MonoTime deadline);

  /// As KeyCache has them. Errors: "jwks.*", "discovery.*".
  base::Result<KeysPtr> keys(const std::optional<std::string>& kid, base::MonoTime deadline) {
    return keys_.get(kid, deadline);
  }
  base::Result<KeysPtr> newer_keys(const KeysPtr& seen, base::MonoTime deadline) { return keys_.newer(seen, deadline); }

  /// Asks the provider for both. The first error, even while the last good ones still serve.
  base::Status probe(base::MonoTime deadline);

 private:
  base::Result<Discovery> load_discovery(base::MonoTime deadline);
  base::Result<crypto::KeySet> load_keys(base::MonoTime deadline);
  base::Error noted(base::Error error) const;

  const base::Clock& clock_;
  const base::Log& log_;
  Fetch fetch_;
  core::TenantId tenant_;
  std::string issuer_;
  Reach reach_;
  Cached<Discovery> discovery_;
  KeyCache keys_;
};

/// The Metadata of each (tenant, issuer), alive as long as a provider uses it, so that a reload keeps what is known.
class MetadataShelf {
 public:
  MetadataShelf(const base::Clock& clock, const base::Log& log, Fetch fetch)
      : clock_(clock), log_(log), fetch_(std::move(fetch)) {}
  std::shared_ptr<Metadata> of(const core::TenantId& tenant, const core::IdpSpec& spec);

 private:
  const base::Clock& clock_;
  const base::Log& log_;
  Fetch fetch_;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Metadata>> shelf_;
};

}  // namespace daypass::idp::oidc
