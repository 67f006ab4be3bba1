// A promise to touch a target, written down before the target is touched and kept until its outcome is known.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "core/ids.h"

namespace daypass::core {

enum class IntentKind { provision, extend, revoke, verify };
std::string_view to_string(IntentKind kind) noexcept;

/// Identified by (grant, seq). At most one is open per grant; a newer one takes the place of an older one.
struct Intent {
  GrantId grant;
  std::uint32_t seq = 0;
  IntentKind kind = IntentKind::provision;
  std::uint32_t attempt = 0;    ///< how often a worker has tried already
  base::WallTime not_before{};  ///< backoff
  std::string sealed_secret;    ///< provision and extend: sealed before the account is made, so a retry meets it again
  bool operator==(const Intent&) const = default;
};

}  // namespace daypass::core
