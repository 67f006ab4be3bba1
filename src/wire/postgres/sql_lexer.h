// PostgreSQL's lexical rules, as far as one must know where literals, comments and statements begin and end.
// Source: PostgreSQL documentation, "Lexical Structure"; scan.l for the corners.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace daypass::wire::postgres {

struct SqlToken {
  enum class Kind : unsigned char {
    word,        ///< keyword or identifier
    identifier,  ///< "…" or U&"…"
    literal,     ///< '…' with any prefix (E, N, B, X, U&), or $tag$…$tag$
    number,
    comment,  ///< also nested
    semicolon,
    other,  ///< one character
    end,
  };
  Kind kind = Kind::end;
  std::size_t begin = 0;
  std::size_t end = 0;
  /// False: it ran into the end of the text, or (literals) a backslash stands before a quote, so that where it ends
  /// depends on standard_conforming_strings. What follows can't be trusted to be what it looks like.
  bool sure = true;
};

class SqlLexer {
 public:
  explicit SqlLexer(std::string_view sql) : sql_(sql) {}
  /// White space is skipped. At the end: Kind::end, again and again.
  SqlToken next() noexcept;

 private:
  SqlToken quoted(std::size_t begin, std::size_t quote, bool backslash) noexcept;
  SqlToken dollar_or_other() noexcept;
  SqlToken comment() noexcept;
  SqlToken word_or_prefixed() noexcept;
  [[nodiscard]] char peek(std::size_t ahead) const noexcept {
    return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0';
  }

  std::string_view sql_;
  std::size_t at_ = 0;
};

/// Same letters, ASCII case aside. `lower` must be lower case.
[[nodiscard]] bool is_word(std::string_view text, std::string_view lower) noexcept;

/// Where the statements of `sql` begin (offsets, ascending, the first 0): the server runs each as one. A piece of
/// nothing but white space and comments belongs to a neighbour. Semicolons in parentheses (CREATE RULE) and in BEGIN
/// ATOMIC … END bodies don't separate. {0} when there is but one.
std::vector<std::size_t> split_statements(std::string_view sql);

}  // namespace daypass::wire::postgres
