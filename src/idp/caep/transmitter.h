// What is known of one transmitter: its configuration (SSF 1.0 section 7) and its keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/spec.h"
#include "idp/published.h"

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

/// Errors: "transmitter.*", "jwks.*". With a jwks_url of the tenant's settings no configuration is fetched.
using Transmitter = Published<Configuration>;
/// Of a provider that has signals.
Transmitter::Source transmitter_of(const core::IdpSpec& spec);

}  // namespace daypass::idp::caep
