// What is known of one provider in one tenant: its discovery document and its keys, shared by every login there.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/log.h"
#include "base/time.h"
#include "core/spec.h"
#include "idp/oidc/discovery.h"
#include "idp/published.h"

namespace daypass::idp::oidc {

/// Errors: "discovery.*", "jwks.*".
using Metadata = Published<Discovery>;

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
