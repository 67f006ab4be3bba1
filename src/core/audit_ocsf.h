// An audit record as an event of the Open Cybersecurity Schema Framework (OCSF 1.3), for who collects many logs.
#pragma once

#include <string_view>
#include <vector>

#include "core/audit.h"

namespace daypass::core {

inline constexpr std::string_view ocsf_version = "1.3.0";

/// Identity and access management where the schema has a class for it, else a base event. `raw_data` is the canonical
/// record, so that what is collected can still be proven; `unmapped` holds the facts as they are.
base::json::Object to_ocsf(const AuditEvent& event, std::string_view product_version);

/// Every action that has a class, "signal.*" standing for all signals.
std::vector<std::string_view> ocsf_actions();

}  // namespace daypass::core
