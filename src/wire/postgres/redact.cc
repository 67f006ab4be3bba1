#include "wire/postgres/redact.h"

#include <algorithm>
#include <array>
#include <vector>

#include "wire/postgres/sql_lexer.h"

namespace daypass::wire::postgres {

namespace {

using Kind = SqlToken::Kind;

constexpr std::string_view kPassword = "password";

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// True when `word` (lower case) stands in `text` so that its character number `pivot` is text[at].
bool stands(std::string_view text, std::size_t at, std::string_view word, std::size_t pivot) noexcept {
  return at >= pivot && is_word(text.substr(at - pivot, word.size()), word);
}

bool contains(std::string_view text, std::string_view word) noexcept {
  for (std::size_t i = 0; i + word.size() <= text.size(); ++i) {
    if (lower(text[i]) == word[0] && is_word(text.substr(i, word.size()), word)) return true;
  }
  return false;
}

bool is_uri_with_user(std::string_view literal) noexcept {
  const std::size_t scheme = literal.find("://");
  return scheme != std::string_view::npos && literal.find('@', scheme) != std::string_view::npos;
}

// Letters that are rare in SQL and sit inside the words looked for: most bytes cost one look-up.
constexpr std::array<bool, 256> kPivot = [] {
  std::array<bool, 256> t{};
  for (const char c : {'w', 'W', 'g', 'G', 'v', 'V', 'b', 'B', ':'}) t[static_cast<unsigned char>(c)] = true;
  return t;
}();

enum class Rule : unsigned char { uris, password_value, all };

struct Statement {
  std::string_view sql;
  std::vector<SqlToken> tokens;    // comments left out
  std::vector<SqlToken> comments;  // those that speak of a password: an old statement may be put out with them

  [[nodiscard]] std::string_view text(std::size_t i) const noexcept {
    return i < tokens.size() ? sql.substr(tokens[i].begin, tokens[i].end - tokens[i].begin) : std::string_view();
  }
  [[nodiscard]] bool word(std::size_t i, std::string_view lower_word) const noexcept {
    return i < tokens.size() && tokens[i].kind == Kind::word && is_word(text(i), lower_word);
  }
  [[nodiscard]] bool literal(std::size_t i) const noexcept {
    return i < tokens.size() && tokens[i].kind == Kind::literal;
  }
};

bool mentions_password(const Statement& s) noexcept {
  for (std::size_t i = 0; i < s.tokens.size(); ++i) {
    if (s.tokens[i].kind != Kind::other && contains(s.text(i), kPassword)) return true;
  }
  return false;
}

Rule rule_for(const Statement& s) noexcept {
  if (s.word(0, "create") || s.word(0, "alter")) {
    if (s.word(1, "user") && s.word(2, "mapping")) return Rule::all;
    if (s.word(1, "server") || s.word(1, "subscription")) return Rule::all;
    if (s.word(1, "foreign") && s.word(2, "data") && s.word(3, "wrapper")) return Rule::all;
    if (s.word(1, "role") || s.word(1, "user") || s.word(1, "group")) {
      for (std::size_t i = 2; i < s.tokens.size(); ++i) {
        // PASSWORD is followed by a literal or NULL; anything else is not the grammar we know.
        if (s.word(i, kPassword) && !s.literal(i + 1) && !s.word(i + 1, "null")) return Rule::all;
        // Neither is the word inside a literal or a quoted name part of it: ALTER ROLE r SET x = 'password=…'.
        if (!s.word(i, kPassword) && contains(s.text(i), kPassword)) return Rule::all;
      }
      return Rule::password_value;
    }
  }
  return mentions_password(s) ? Rule::all : Rule::uris;
}

// True when a word follows a literal without a space, as in 'it's': seldom SQL, often a quote that someone forgot to
// double.
bool is_botched(const SqlToken& literal, const SqlToken& next) noexcept {
  return literal.kind == Kind::literal && literal.end == next.begin &&
         (next.kind == Kind::word || next.kind == Kind::number || next.kind == Kind::identifier);
}

class Redactor {
 public:
  explicit Redactor(std::string_view sql) : sql_(sql), statement_{.sql = sql, .tokens = {}, .comments = {}} {}

  Redacted run() {
    SqlLexer lexer(sql_);
    for (;;) {
      const SqlToken token = lexer.next();
      const std::vector<SqlToken>& tokens = statement_.tokens;
      if (!token.sure || (!tokens.empty() && is_botched(tokens.back(), token))) {
        give_up(token.begin);
        break;
      }
      if (token.kind == Kind::end || token.kind == Kind::semicolon) {
        settle();
        statement_.tokens.clear();
        statement_.comments.clear();
        if (token.kind == Kind::end) break;
      } else if (token.kind != Kind::comment) {
        statement_.tokens.push_back(token);
      } else if (contains(sql_.substr(token.begin, token.end - token.begin), kPassword)) {
        statement_.comments.push_back(token);
      }
    }
    return assemble();
  }

 private:
  struct Range {
    std::size_t begin;
    std::size_t end;
  };

  // Decides on the literals of a statement that has come to its end.
  void settle() {
    const Statement& s = statement_;
    const Rule rule = rule_for(s);
    bool secret = false;  // the literal at hand continues a secret one
    std::size_t comment = 0;
    const auto comments_before = [&](std::size_t offset) {
      for (; comment < s.comments.size() && s.comments[comment].begin < offset; ++comment) {
        hidden_.push_back({s.comments[comment].begin, s.comments[comment].end});
      }
    };
    for (std::size_t i = 0; i < s.tokens.size(); ++i) {
      comments_before(s.tokens[i].begin);
      if (!s.literal(i)) {
        secret = rule == Rule::password_value && s.word(i, kPassword);
        continue;
      }
      // 'a' <newline> 'b' is one literal to the server.
      if (secret || rule == Rule::all || is_uri_with_user(s.text(i))) {
        hidden_.push_back({s.tokens[i].begin, s.tokens[i].end});
        secret = true;
      }
    }
    comments_before(sql_.size());
  }

  // From `at` on nothing is what it seems to be, and what led there may be a secret with a quote in it: hides
  // everything from the first literal of the statement on, or from the first secret already found.
  void give_up(std::size_t at) {
    for (const SqlToken& token : statement_.tokens) {
      if (token.kind == Kind::literal) at = std::min(at, token.begin);
    }
    for (const SqlToken& token : statement_.comments) at = std::min(at, token.begin);
    if (!hidden_.empty()) at = std::min(at, hidden_.front().begin);
    hidden_.assign(1, {at, sql_.size()});
  }

  Redacted assemble() const {
    Redacted out;
    std::size_t copied = 0;
    for (const Range& range : hidden_) {
      out.text.append(sql_.substr(copied, range.begin - copied)).append(kRedacted);
      copied = range.end;
    }
    out.text.append(sql_.substr(copied));
    out.changed = !hidden_.empty();
    return out;
  }

  std::string_view sql_;
  Statement statement_;
  std::vector<Range> hidden_;  // in order
};

}  // namespace

bool may_hold_secret(std::string_view sql) noexcept {
  for (std::size_t i = 0; i < sql.size(); ++i) {
    if (!kPivot[static_cast<unsigned char>(sql[i])]) continue;
    switch (lower(sql[i])) {
      case 'w':
        if (stands(sql, i, "password", 4) || stands(sql, i, "wrapper", 0)) return true;
        break;
      case 'g':
        if (stands(sql, i, "mapping", 6)) return true;
        break;
      case 'v':
        if (stands(sql, i, "server", 3)) return true;
        break;
      case 'b':
        if (stands(sql, i, "subscription", 2)) return true;
        break;
      default:
        if (sql.substr(i, 3) == "://") return true;
        break;
    }
  }
  return false;
}

Redacted redact(std::string_view sql) {
  if (!may_hold_secret(sql)) return {.text = std::string(sql), .changed = false};
  return Redactor(sql).run();
}

}  // namespace daypass::wire::postgres
