#include "base/entropy.h"

#include <sys/random.h>

#include <cerrno>

#include "base/assert.h"

namespace daypass::base {

void SystemEntropy::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t n = getrandom(out.data(), out.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    DP_ASSERT(n > 0);
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

void SeededEntropy::fill(std::span<std::uint8_t> out) {
  for (auto& byte : out) byte = static_cast<std::uint8_t>(engine_());
}

}  // namespace daypass::base
