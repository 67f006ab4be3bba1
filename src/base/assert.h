// Invariants that stay on in release: a broken one aborts, because going on would hand out access on a false premise.
#pragma once

namespace daypass::base {
[[noreturn]] void assert_failed(const char* expression, const char* file, int line) noexcept;
}

#define DP_ASSERT(condition) \
  (static_cast<bool>(condition) ? void(0) : ::daypass::base::assert_failed(#condition, __FILE__, __LINE__))
