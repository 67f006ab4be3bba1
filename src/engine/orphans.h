// What reconciliation remembers of an orphan that it tries to take away. Private to the room.
#pragma once

#include <string>

#include "target/target.h"

namespace daypass::engine {

/// A document for each orphan whose removal is recorded ("orphan.removing") and not seen done: what can't be removed is
/// tried every few minutes, and recorded once. Its body says what it was tried for: when that changes it is recorded
/// anew.
inline constexpr std::string_view doc_orphan = "orphan";

/// Of all at one target; "" of the name: what their keys begin with.
inline std::string orphan_key(const core::TargetId& target, const std::string& account) {
  return target.str() + " " + account;
}

}  // namespace daypass::engine
