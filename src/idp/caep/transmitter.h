// What is known of one transmitter: its configuration (SSF 1.0 section 7) and its keys.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "core/spec.h"
#include "idp/cached.h"
#include "idp/fetch.h"
#include "idp/key_cache.h"

namespace daypass::idp::caep {

constexpr std::size_t max_configuration_bytes = std::size_t{64} * 1024;

struct Configuration {
  std::string jwks_uri;
  std::vector<std::string> critical;  ///< critical_subject_members
};

/// Where the document lies: /.well-known/ssf-configuration goes between host and path (section 7.2).
std::string configuration_url(std::string_view transmitter);

/// Errors: "transmitter.syntax", "transmitter.shape", "transmitter.issuer" (not exactly ours), "transmitter.jwks_uri"
/// (missing, or no https URL).
base::Result<Configuration> parse_configuration(std::string_view text, const std::string& transmitter);

/// Safe from any thread. Fetches are single-flight, not too often, last good on failure.
class Transmitter {
 public:
  /// `spec` has signals.
  Transmitter(const base::Clock& clock, const base::Log& log, Fetch fetch, core::TenantId tenant,
              const core::IdpSpec& spec);

  /// Fresh for an hour, usable for a day. With a jwks_url of the tenant's settings there is nothing to fetch. Errors:
  /// "transmitter.*".
  base::Result<std::shared_ptr<const Configuration>> configuration(base::MonoTime deadline);
  KeyCache& keys() noexcept { return keys_; }
  base::Status probe(base::MonoTime deadline);

 private:
  base::Result<Configuration> load_configuration(base::MonoTime deadline);
  base::Result<crypto::KeySet> load_keys(base::MonoTime deadline);
  base::Error noted(base::Error error) const;

  const base::Clock& clock_;
  const base::Log& log_;
  Fetch fetch_;
  core::TenantId tenant_;
  std::string issuer_;
  Reach reach_;
  std::shared_ptr<const Configuration> given_;  ///< null: it is fetched
  Cached<Configuration> configuration_;
  KeyCache keys_;
};

}  // namespace daypass::idp::caep
