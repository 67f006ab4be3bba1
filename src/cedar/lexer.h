// Text to tokens, and what names and string literals may be. Internal to the room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cedar/expr.h"

namespace daypass::cedar {

enum class Token : std::uint8_t {
  identifier,
  integer,
  string,
  slot,
  left_paren,
  right_paren,
  left_brace,
  right_brace,
  left_bracket,
  right_bracket,
  comma,
  semicolon,
  colon,
  colons,
  dot,
  at,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  assign,
  and_,
  or_,
  bang,
  plus,
  minus,
  star,
  slash,
  percent,
  bad,  ///< no token; already reported
  end,
};

struct Lexeme {
  Token token = Token::end;
  Span span;
};

struct LexError {
  Span span;
  std::string message;
  std::string hint;
};

/// All tokens, the last of them `end`. `text` must be UTF-8 and shorter than 4 GiB. What is no token becomes an error
/// and one `bad` token, and reading goes on.
std::vector<Lexeme> tokenize(std::string_view text, std::vector<LexError>& errors);

/// true false if then else in is like has: never a name.
bool is_reserved(std::string_view identifier) noexcept;

/// The contents of a string literal (quotes taken off), escapes resolved. nullopt with `why` and the byte offset of the
/// bad escape in `at`.
std::optional<std::string> unescape(std::string_view body, std::string& why, std::size_t& at);
/// The same for the right side of `like`: `*` is a wildcard however it was spelled, `\*` is a star.
std::optional<Pattern> unescape_pattern(std::string_view body, std::string& why, std::size_t& at);

}  // namespace daypass::cedar
