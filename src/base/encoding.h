// Text encodings, strict: one spelling for each value, anything else is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/entropy.h"

namespace daypass::base {

/// base64url without padding (RFC 7515 section 2).
std::string base64url_encode(std::string_view bytes);
/// Strict: no padding, no foreign characters, no spare bits set (RFC 4648 section 3.5). nullopt on anything else.
std::optional<std::string> base64url_decode(std::string_view text);

/// Standard base64 with padding (RFC 4648 section 4), as SCRAM uses it.
std::string base64_encode(std::string_view bytes);
/// Strict: padding required, no spare bits, no white space. nullopt on anything else.
std::optional<std::string> base64_decode(std::string_view text);

/// Lower-case hexadecimal.
std::string hex_encode(std::string_view bytes);
std::optional<std::string> hex_decode(std::string_view text);

/// `length` characters of [a-z2-7] (5 bits each) from `entropy`: for ids and user names that a person may have to type.
std::string random_base32(Entropy& entropy, std::size_t length);
/// base64url of `bytes` random bytes: for tokens.
std::string random_token(Entropy& entropy, std::size_t bytes);

/// True when `text` is well-formed UTF-8 (RFC 3629: no overlong form, no surrogate, at most U+10FFFF).
bool is_utf8(std::string_view text) noexcept;

/// The entry of `known` that is nearest to `word` when near enough to be a slip of the finger, else empty.
template <class Range>
std::string nearest(std::string_view word, const Range& known);
std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::string nearest(std::string_view word, const Range& known) {
  std::string best;
  std::size_t best_distance = word.size() / 3 + 1;
  for (const auto& candidate : known) {
    const std::size_t d = edit_distance(word, candidate);
    if (d <= best_distance && (best.empty() || d < best_distance)) {
      best_distance = d;
      best = std::string(candidate);
    }
  }
  return best;
}

}  // namespace daypass::base
