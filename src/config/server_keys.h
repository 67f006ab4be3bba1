// The keys of daypass.toml.
#pragma once

#include <span>

#include "config/reader.h"

namespace daypass::config {

/// Names are dotted paths: "gate.postgres.listen".
std::span<const Key<ServerConfig>> server_keys() noexcept;
/// "gate.postgres.listen" → "DAYPASS_GATE__POSTGRES__LISTEN".
std::string env_name(std::string_view key);

}  // namespace daypass::config
