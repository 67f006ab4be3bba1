#include "cedar/lexer.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "cedar/value.h"

namespace daypass::cedar {
namespace {

bool is_identifier_start(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
bool is_identifier_part(char c) noexcept {
  return is_identifier_start(c) || is_digit(c);
}

// Bytes of the white space character at the front (Unicode White_Space, as the official lexer has it), else 0.
std::size_t white_space(std::string_view text) noexcept {
  const auto c = static_cast<unsigned char>(text.front());
  if (c == ' ' || (c >= 9 && c <= 13)) return 1;
  if (c < 0x80) return 0;
  static constexpr std::string_view wide[] = {"\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
                                              "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
                                              "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  for (const auto space : wide)
    if (text.starts_with(space)) return space.size();
  return 0;
}

std::size_t utf8_length(char lead) noexcept {
  const auto c = static_cast<unsigned char>(lead);
  return c < 0x80 ? 1U : c < 0xe0 ? 2U : c < 0xf0 ? 3U : 4U;
}

int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct Punctuation {
  Token token = Token::bad;  // none begins with that character
  std::uint32_t length = 1;
};

// The longest token that begins with `c`, `next` behind it.
Punctuation punctuation(char c, char next) noexcept {
  const auto two = [&](char second, Token both, Token alone) {
    return next == second ? Punctuation{both, 2} : Punctuation{alone, 1};
  };
  switch (c) {
    case ':':
      return two(':', Token::colons, Token::colon);
    case '=':
      return two('=', Token::equal, Token::assign);
    case '!':
      return two('=', Token::not_equal, Token::bang);
    case '<':
      return two('=', Token::less_equal, Token::less);
    case '>':
      return two('=', Token::greater_equal, Token::greater);
    case '&':
      return two('&', Token::and_, Token::bad);
    case '|':
      return two('|', Token::or_, Token::bad);
    case '(':
      return {Token::left_paren};
    case ')':
      return {Token::right_paren};
    case '{':
      return {Token::left_brace};
    case '}':
      return {Token::right_brace};
    case '[':
      return {Token::left_bracket};
    case ']':
      return {Token::right_bracket};
    case ',':
      return {Token::comma};
    case ';':
      return {Token::semicolon};
    case '.':
      return {Token::dot};
    case '@':
      return {Token::at};
    case '+':
      return {Token::plus};
    case '-':
      return {Token::minus};
    case '*':
      return {Token::star};
    case '/':
      return {Token::slash};
    case '%':
      return {Token::percent};
    default:
      return {};
  }
}

struct Lexer {
  std::string_view text;
  std::vector<LexError>& errors;
  std::vector<Lexeme> out;
  std::size_t at = 0;

  [[nodiscard]] std::string_view rest() const { return text.substr(at); }
  [[nodiscard]] Span span(std::size_t begin) const {
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at)};
  }

  void skip_blank() {
    while (at < text.size()) {
      if (const std::size_t n = white_space(rest()); n > 0) {
        at += n;
        continue;
      }
      if (!rest().starts_with("//")) return;
      // A lone carriage return ends a comment too.
      at = std::min(text.find_first_of("\n\r", at), text.size());
    }
  }

  // From the opening quote; false when no quote closes it.
  bool string() {
    for (++at; at < text.size(); ++at) {
      if (text[at] == '"') {
        ++at;
        return true;
      }
      if (text[at] != '\\') continue;
      // A backslash takes the next character with it, but never a line end.
      if (++at == text.size() || text[at] == '\n') return false;
    }
    return false;
  }

  void bad(std::size_t begin, std::string message, std::string hint) {
    errors.push_back({span(begin), std::move(message), std::move(hint)});
    out.push_back({Token::bad, span(begin)});
  }

  void word(std::size_t begin, Token token, bool (*part)(char)) {
    while (at < text.size() && part(text[at])) ++at;
    out.push_back({token, span(begin)});
  }

  void next() {
    const std::size_t begin = at;
    const char c = text[at];
    if (is_identifier_start(c)) return word(begin, Token::identifier, is_identifier_part);
    if (is_digit(c)) return word(begin, Token::integer, is_digit);
    if (c == '"') {
      if (string()) {
        out.push_back({Token::string, span(begin)});
        return;
      }
      // The rest of the line is lost, not the rest of the file.
      at = std::min(text.find('\n', begin), text.size());
      return bad(begin, "this string is not closed", "end it with a double quote; a quote inside is written \\\"");
    }
    if (c == '?' && at + 1 < text.size() && is_identifier_start(text[at + 1])) {
      ++at;
      return word(begin, Token::slot, is_identifier_part);
    }
    if (const auto [token, length] = punctuation(c, at + 1 < text.size() ? text[at + 1] : '\0'); token != Token::bad) {
      at += length;
      out.push_back({token, span(begin)});
      return;
    }
    at += utf8_length(c);
    const std::string_view shown = text.substr(begin, at - begin);
    const bool printable = static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
    bad(begin, printable ? "`" + std::string(shown) + "` is no token here" : "a control character is no token here",
        c == '\''  ? "strings take double quotes"
        : c == '&' ? "did you mean `&&`?"
        : c == '|' ? "did you mean `||`?"
                   : "");
  }
};

// Reads the hexadecimal number of `\u{…}` behind the brace. Underscores may stand between digits.
std::optional<std::uint32_t> braced_number(std::string_view body, std::size_t& at) {
  std::uint32_t number = 0;
  int digits = 0;
  for (; at < body.size(); ++at) {
    const char c = body[at];
    if (c == '}') {
      ++at;
      const bool scalar = number <= 0x10ffff && (number < 0xd800 || number > 0xdfff);
      return digits > 0 && digits <= 6 && scalar ? std::optional(number) : std::nullopt;
    }
    if (c == '_' && digits > 0) continue;
    if (hex_digit(c) < 0 || ++digits > 6) return std::nullopt;
    number = number * 16 + static_cast<std::uint32_t>(hex_digit(c));
  }
  return std::nullopt;
}

// One escape, `at` on the character behind the backslash and then behind the escape.
std::optional<std::uint32_t> escape(std::string_view body, std::size_t& at) {
  const char c = at < body.size() ? body[at++] : ' ';
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case '0':
      return 0;
    case '\\':
    case '\'':
    case '"':
      return static_cast<std::uint32_t>(c);
    case 'x': {
      if (at + 2 > body.size()) return std::nullopt;
      const int high = hex_digit(body[at]);
      const int low = hex_digit(body[at + 1]);
      at += 2;
      if (high < 0 || high > 7 || low < 0) return std::nullopt;
      return static_cast<std::uint32_t>(high * 16 + low);
    }
    case 'u':
      if (at == body.size() || body[at++] != '{') return std::nullopt;
      return braced_number(body, at);
    default:
      return std::nullopt;
  }
}

// Calls literal(code point or raw bytes) and, where `star` allows, wildcard().
template <class Raw, class Escaped>
bool walk(std::string_view body, std::string& why, std::size_t& at, Raw raw, Escaped escaped) {
  for (std::size_t i = 0; i < body.size();) {
    at = i;
    if (body[i] == '\r') {
      why = "a bare carriage return in a string; write \\r";
      return false;
    }
    if (body[i] != '\\') {
      raw(body[i++]);
      continue;
    }
    if (!escaped(++i)) {
      why = "not an escape of Cedar strings";
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<Lexeme> tokenize(std::string_view text, std::vector<LexError>& errors) {
  Lexer lexer{text, errors, {}};
  for (lexer.skip_blank(); lexer.at < text.size(); lexer.skip_blank()) lexer.next();
  lexer.out.push_back({Token::end, lexer.span(text.size())});
  return std::move(lexer.out);
}

bool is_reserved(std::string_view identifier) noexcept {
  static constexpr std::string_view reserved[] = {"true", "false", "if", "then", "else", "in", "is", "like", "has"};
  return std::ranges::find(reserved, identifier) != std::end(reserved);
}

bool is_type_name(std::string_view text) noexcept {
  while (true) {
    std::size_t n = 0;
    while (n < text.size() && is_identifier_part(text[n])) ++n;
    const std::string_view part = text.substr(0, n);
    if (n == 0 || is_digit(part.front()) || is_reserved(part) || part == "__cedar") return false;
    if (n == text.size()) return true;
    if (!text.substr(n).starts_with("::")) return false;
    text.remove_prefix(n + 2);
  }
}

std::optional<std::string> unescape(std::string_view body, std::string& why, std::size_t& at) {
  if (body.find_first_of("\\\r") == std::string_view::npos) return std::string(body);
  std::string out;
  const bool good = walk(
      body, why, at, [&](char c) { out += c; },
      [&](std::size_t& i) {
        const auto c = escape(body, i);
        if (c) base::append_utf8(out, *c);
        return c.has_value();
      });
  return good ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<Pattern> unescape_pattern(std::string_view body, std::string& why, std::size_t& at) {
  Pattern pattern;
  const auto put = [&](std::uint32_t c) {
    // Also for an escaped code point: `\u{2a}` is a wildcard in the official engine, only `\*` is a star.
    if (c == '*')
      pattern.segments.emplace_back();
    else
      base::append_utf8(pattern.segments.back(), c);
  };
  const bool good = walk(
      body, why, at,
      [&](char c) {
        if (c == '*')
          pattern.segments.emplace_back();
        else
          pattern.segments.back() += c;
      },
      [&](std::size_t& i) {
        if (i < body.size() && body[i] == '*') {
          ++i;
          pattern.segments.back() += '*';
          return true;
        }
        const auto c = escape(body, i);
        if (c) put(*c);
        return c.has_value();
      });
  return good ? std::optional(std::move(pattern)) : std::nullopt;
}

}  // namespace daypass::cedar
