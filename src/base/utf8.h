// UTF-8 one character at a time, for who repairs or unescapes text; encoding.h says whether a text is well-formed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace daypass::base {

/// The first character of a non-empty `text`: its bytes and whether it is well-formed. When not, `bytes` is the maximal
/// subpart (Unicode 15, section 3.9, D93b): what one replacement character stands for.
struct Utf8Step {
  std::size_t bytes = 1;
  bool good = false;
};
Utf8Step utf8_step(std::string_view text) noexcept;

/// Requires: a scalar value (at most U+10FFFF, no surrogate).
void append_utf8(std::string& out, std::uint32_t c);

}  // namespace daypass::base
