#include "wire/postgres/sql_lexer.h"

#include <algorithm>

namespace daypass::wire::postgres {

namespace {

bool is_space(char c) noexcept {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
bool begins_word(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool in_word(char c) noexcept {
  return begins_word(c) || is_digit(c) || c == '$';
}
char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Follows the words of one statement far enough to know whether a semicolon ends it.
class StatementShape {
 public:
  void feed(std::string_view word) noexcept {
    ++words_;
    if (words_ == 1) create_ = is_word(word, "create");
    if (words_ <= 4 && (is_word(word, "function") || is_word(word, "procedure"))) routine_ = create_;
    if (routine_ && is_word(word, "atomic") && after_begin_) {
      ++depth_;
    } else if (depth_ > 0 && is_word(word, "case")) {
      ++depth_;
    } else if (depth_ > 0 && is_word(word, "end")) {
      --depth_;
    }
    after_begin_ = is_word(word, "begin");
  }
  void feed(char c) noexcept {
    after_begin_ = false;
    if (c == '(') ++parens_;
    if (c == ')' && parens_ > 0) --parens_;
  }
  [[nodiscard]] bool ends() const noexcept { return parens_ == 0 && depth_ == 0; }

 private:
  std::size_t words_ = 0;
  std::size_t parens_ = 0;
  std::size_t depth_ = 0;
  bool create_ = false;
  bool routine_ = false;
  bool after_begin_ = false;
};

}  // namespace

bool is_word(std::string_view text, std::string_view lower_word) noexcept {
  return std::equal(text.begin(), text.end(), lower_word.begin(), lower_word.end(),
                    [](char a, char b) { return lower(a) == b; });
}

SqlToken SqlLexer::quoted(std::size_t begin, std::size_t quote, bool backslash) noexcept {
  const char mark = sql_[quote];
  SqlToken token{.kind = mark == '\'' ? SqlToken::Kind::literal : SqlToken::Kind::identifier,
                 .begin = begin,
                 .end = sql_.size(),
                 .sure = true};
  std::size_t i = quote + 1;
  for (; i < sql_.size(); ++i) {
    const char c = sql_[i];
    if (c == '\\' && mark == '\'') {
      if (backslash) {
        ++i;  // whatever it is, it doesn't end the literal
      } else if (i + 1 < sql_.size() && sql_[i + 1] == mark) {
        token.sure = false;
      }
      continue;
    }
    if (c != mark) continue;
    if (i + 1 < sql_.size() && sql_[i + 1] == mark) {
      ++i;
      continue;
    }
    token.end = at_ = i + 1;
    return token;
  }
  at_ = sql_.size();
  token.sure = false;
  return token;
}

SqlToken SqlLexer::dollar_or_other() noexcept {
  const std::size_t begin = at_;
  std::size_t i = at_ + 1;
  if (i < sql_.size() && begins_word(sql_[i])) {
    while (i < sql_.size() && in_word(sql_[i]) && sql_[i] != '$') ++i;
  }
  if (i >= sql_.size() || sql_[i] != '$') {
    ++at_;
    return {.kind = SqlToken::Kind::other, .begin = begin, .end = at_, .sure = true};
  }
  const std::string_view tag = sql_.substr(begin, i + 1 - begin);
  const std::size_t close = sql_.find(tag, i + 1);
  at_ = close == std::string_view::npos ? sql_.size() : close + tag.size();
  return {.kind = SqlToken::Kind::literal, .begin = begin, .end = at_, .sure = close != std::string_view::npos};
}

SqlToken SqlLexer::comment() noexcept {
  SqlToken token{.kind = SqlToken::Kind::comment, .begin = at_, .end = 0, .sure = true};
  if (sql_[at_] == '-') {
    const std::size_t line = sql_.find_first_of("\r\n", at_);
    at_ = line == std::string_view::npos ? sql_.size() : line;
  } else {
    std::size_t depth = 0;
    do {
      if (peek(0) == '/' && peek(1) == '*') {
        ++depth;
        at_ += 2;
      } else if (peek(0) == '*' && peek(1) == '/') {
        --depth;
        at_ += 2;
      } else {
        ++at_;
      }
    } while (depth > 0 && at_ < sql_.size());
    token.sure = depth == 0;
  }
  token.end = at_;
  return token;
}

SqlToken SqlLexer::word_or_prefixed() noexcept {
  const std::size_t begin = at_;
  const char first = lower(sql_[at_]);
  if (peek(1) == '\'' && (first == 'e' || first == 'n' || first == 'b' || first == 'x')) {
    return quoted(begin, begin + 1, first == 'e');
  }
  if (first == 'u' && peek(1) == '&' && (peek(2) == '\'' || peek(2) == '"')) return quoted(begin, begin + 2, false);
  while (at_ < sql_.size() && in_word(sql_[at_])) ++at_;
  return {.kind = SqlToken::Kind::word, .begin = begin, .end = at_, .sure = true};
}

SqlToken SqlLexer::next() noexcept {
  while (at_ < sql_.size() && is_space(sql_[at_])) ++at_;
  if (at_ >= sql_.size()) return {.kind = SqlToken::Kind::end, .begin = sql_.size(), .end = sql_.size(), .sure = true};
  const char c = sql_[at_];
  if (begins_word(c)) return word_or_prefixed();
  if (c == '\'' || c == '"') return quoted(at_, at_, false);
  if ((c == '-' && peek(1) == '-') || (c == '/' && peek(1) == '*')) return comment();
  if (c == '$') return dollar_or_other();
  const std::size_t begin = at_++;
  if (is_digit(c)) {
    while (at_ < sql_.size() && (is_digit(sql_[at_]) || sql_[at_] == '.')) ++at_;
    return {.kind = SqlToken::Kind::number, .begin = begin, .end = at_, .sure = true};
  }
  const auto kind = c == ';' ? SqlToken::Kind::semicolon : SqlToken::Kind::other;
  return {.kind = kind, .begin = begin, .end = at_, .sure = true};
}

std::vector<std::size_t> split_statements(std::string_view sql) {
  std::vector<std::size_t> starts = {0};
  SqlLexer lexer(sql);
  StatementShape shape;
  bool substance = false;  // the piece at hand is more than white space and comments
  std::size_t cut = 0;     // behind the semicolon that ended the last piece; 0: none
  for (;;) {
    const SqlToken token = lexer.next();
    if (token.kind == SqlToken::Kind::end) return starts;
    if (token.kind == SqlToken::Kind::comment) continue;
    if (token.kind == SqlToken::Kind::semicolon) {
      if (!shape.ends()) continue;
      if (substance) cut = token.end;
      substance = false;
      shape = StatementShape();
      continue;
    }
    if (!substance && cut != 0) starts.push_back(cut);
    substance = true;
    if (token.kind == SqlToken::Kind::word) {
      shape.feed(sql.substr(token.begin, token.end - token.begin));
    } else {
      shape.feed(sql[token.begin]);
    }
  }
}

}  // namespace daypass::wire::postgres
