#include "wire/postgres/relations.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "wire/postgres/redact.h"
#include "wire/postgres/sql_lexer.h"

namespace daypass::wire::postgres {

namespace {

using Kind = SqlToken::Kind;

constexpr std::size_t deepest = 200;

template <std::size_t n>
bool one_of(std::string_view word, const std::array<std::string_view, n>& words) noexcept {
  return std::ranges::any_of(words, [&](std::string_view w) { return is_word(word, w); });
}

/// Words after which a comma no longer brings another table. All are reserved, so none of them is an alias.
constexpr std::array<std::string_view, 12> ends_list{"where", "group",  "order", "having", "limit",  "offset",
                                                     "fetch", "window", "for",   "union",  "except", "intersect"};
/// Reserved: none of them is a table where one is expected.
constexpr std::array<std::string_view, 14> reserved{"select", "from",  "where",  "group", "order",
                                                    "having", "limit", "offset", "union", "intersect",
                                                    "except", "on",    "join",   "as"};
/// FROM stands inside their parentheses and begins nothing.
constexpr std::array<std::string_view, 4> from_inside{"extract", "substring", "trim", "overlay"};

/// PostgreSQL's identifiers have 63 bytes; what is longer is cut at a character.
std::string clipped(std::string name) {
  constexpr std::size_t most = 63;
  if (name.size() <= most) return name;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0U) == 0x80U) --end;
  name.resize(end);
  return name;
}

/// What U&"…" writes as a backslash and four hex digits, or a backslash, a plus sign and six. nullopt: it is neither.
std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out += text[i++];
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == '\\') {
      out += '\\';
      i += 2;
      continue;
    }
    const bool wide = i + 1 < text.size() && text[i + 1] == '+';
    const std::size_t digits = wide ? 6 : 4;
    i += wide ? 2 : 1;
    if (i + digits > text.size()) return std::nullopt;
    std::uint32_t c = 0;
    const char* const end = text.data() + i + digits;
    if (std::from_chars(text.data() + i, end, c, 16).ptr != end) return std::nullopt;
    i += digits;
    // A pair of surrogates would be legal; nobody names a table so.
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return std::nullopt;
    base::append_utf8(out, c);
  }
  return out;
}

bool is_servers_own(std::string_view schema) noexcept {
  return schema == "information_schema" || schema.starts_with("pg_");
}

}  // namespace

/// Walks the tokens of a text once, with a stack of what each parenthesis is.
class RelationReader {
 public:
  RelationReader(std::string_view sql, Relations& out) : sql_(sql), out_(out) {
    SqlLexer lexer(sql);
    for (;;) {
      const SqlToken token = lexer.next();
      // Behind a token that may end elsewhere nothing is what it seems.
      if (!token.sure) {
        out_.whole_ = false;
        return;
      }
      if (token.kind == Kind::end) return;
      if (token.kind != Kind::comment) tokens_.push_back(token);
    }
  }

  void run() {
    while (at_ < tokens_.size()) {
      if (kind(at_) == Kind::semicolon) {
        ++at_;
        continue;
      }
      first_ = at_;
      if (begin_statement()) walk();
      to_statement_end();
    }
  }

 private:
  struct Level {
    std::size_t first = 0;           ///< its first token
    bool list = false;               ///< a comma brings another table
    bool expect = false;             ///< a table comes next
    bool plain = false;              ///< FROM is no keyword here
    bool takes_using = false;        ///< DELETE and MERGE: USING begins a list
    bool begun = false;              ///< its verb was there
    std::optional<Relation> target;  ///< of INSERT
    std::vector<std::string> ctes;   ///< names that are no tables here and below
    std::string cte;                 ///< the name that this body is given when it closes
  };

  // -- tokens --
  [[nodiscard]] Kind kind(std::size_t i) const noexcept { return i < tokens_.size() ? tokens_[i].kind : Kind::end; }
  [[nodiscard]] std::string_view text(std::size_t i) const noexcept {
    return i < tokens_.size() ? sql_.substr(tokens_[i].begin, tokens_[i].end - tokens_[i].begin) : std::string_view();
  }
  [[nodiscard]] bool word(std::size_t i, std::string_view lower) const noexcept {
    return kind(i) == Kind::word && is_word(text(i), lower);
  }
  [[nodiscard]] bool mark(std::size_t i, char c) const noexcept { return kind(i) == Kind::other && text(i)[0] == c; }
  [[nodiscard]] bool name_at(std::size_t i) const noexcept {
    return kind(i) == Kind::word || kind(i) == Kind::identifier;
  }
  /// The token before, within the statement.
  [[nodiscard]] bool before(std::size_t i, std::string_view lower) const noexcept {
    return i > first_ && word(i - 1, lower);
  }
  [[nodiscard]] bool mark_before(std::size_t i, char c) const noexcept { return i > first_ && mark(i - 1, c); }
  /// Behind the parenthesis that closes the one at `i`; the end when none does.
  [[nodiscard]] std::size_t behind(std::size_t i) const noexcept {
    std::size_t depth = 0;
    for (; i < tokens_.size(); ++i) {
      if (mark(i, '(')) ++depth;
      if (mark(i, ')') && --depth == 0) return i + 1;
    }
    return i;
  }
  /// The first such word that stands in no parentheses; the end of the statement when there is none.
  [[nodiscard]] std::size_t find(std::size_t i, std::string_view lower) const noexcept {
    for (std::size_t depth = 0; i < tokens_.size(); ++i) {
      if (mark(i, '(')) ++depth;
      if (mark(i, ')') && depth > 0) --depth;
      if (depth == 0 && (word(i, lower) || kind(i) == Kind::semicolon)) return i;
    }
    return i;
  }
  void to_statement_end() {
    for (std::size_t depth = 0; at_ < tokens_.size(); ++at_) {
      if (mark(at_, '(')) ++depth;
      if (mark(at_, ')') && depth > 0) --depth;
      if (kind(at_) == Kind::semicolon && depth == 0) return;
    }
  }

  // -- names --
  /// One part of a name. nullopt: it can't be read.
  std::optional<std::string> part(std::size_t i) const {
    std::string_view t = text(i);
    if (kind(i) == Kind::word) {
      std::string out(t);
      // Letters beyond ASCII stay: what the server does with them depends on its encoding, and is nothing for UTF-8.
      for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      return clipped(std::move(out));
    }
    const bool unicode = t.starts_with("U&") || t.starts_with("u&");
    t.remove_prefix(unicode ? 3 : 1);
    t.remove_suffix(1);
    std::string out;
    for (std::size_t k = 0; k < t.size(); ++k) {
      out += t[k];
      if (t[k] == '"') ++k;
    }
    if (unicode) {
      // With UESCAPE another character escapes.
      if (word(i + 1, "uescape")) return std::nullopt;
      auto plain = unescaped(out);
      if (!plain) return std::nullopt;
      out = std::move(*plain);
    }
    if (out.empty()) return std::nullopt;
    return clipped(std::move(out));
  }

  /// Reads "a", "a.b" or "a.b.c" at at_ and goes behind it.
  std::optional<Relation> name() {
    std::vector<std::optional<std::string>> parts;
    while (name_at(at_)) {
      parts.push_back(part(at_));
      ++at_;
      if (!mark(at_, '.') || !name_at(at_ + 1)) break;
      ++at_;
    }
    if (parts.empty() || parts.size() > 3) return std::nullopt;
    Relation out;
    if (!parts.back()) {
      out_.whole_ = false;
      return std::nullopt;
    }
    out.name = std::move(*parts.back());
    if (parts.size() > 1) {
      auto& schema = parts[parts.size() - 2];
      if (!schema) {
        out_.whole_ = false;
        return std::nullopt;
      }
      out.schema = std::move(*schema);
    }
    return out;
  }

  [[nodiscard]] bool is_cte(const std::string& name) const {
    return std::ranges::any_of(levels_,
                               [&](const Level& l) { return std::ranges::find(l.ctes, name) != l.ctes.end(); });
  }

  enum class Access : unsigned char { read, written, both };

  /// The table at at_. A CTE can be read only, and only by its bare name.
  void take(Access access) {
    const bool written = access != Access::read;
    while (word(at_, "only") || word(at_, "lateral")) ++at_;
    const bool wrapped = written && mark(at_, '(');  // UPDATE ONLY (t)
    if (wrapped) ++at_;
    if (!name_at(at_)) return;
    const auto found = name();
    if (wrapped && mark(at_, ')')) ++at_;
    if (!found) return;
    // A function in FROM.
    if (!written && mark(at_, '(')) return;
    if (!written && found->schema.empty() && is_cte(found->name)) return;
    out_.note(*found, written);
    if (access == Access::both) out_.note(*found, false);
    if (access == Access::written && !levels_.empty()) levels_.back().target = *found;
  }

  /// t [, t …] behind TRUNCATE or LOCK.
  void take_list(Access access) {
    if (word(at_, "table")) ++at_;
    for (;;) {
      take(access);
      if (mark(at_, '*')) ++at_;
      if (!mark(at_, ',')) return;
      ++at_;
    }
  }

  // -- statements --
  /// Goes to where a query or a change begins; false: there is nothing to walk through.
  bool begin_statement() {
    for (;;) {
      first_ = at_;
      if (word(at_, "explain")) {
        ++at_;
        if (mark(at_, '(') && !is_query(at_ + 1)) at_ = behind(at_);
        while (word(at_, "analyze") || word(at_, "verbose")) ++at_;
      } else if (word(at_, "prepare")) {
        at_ = find(at_, "as");
        if (!word(at_, "as")) return false;
        ++at_;
      } else if (word(at_, "declare")) {
        at_ = find(at_, "for");
        if (!word(at_, "for")) return false;
        ++at_;
      } else if (word(at_, "create")) {
        if (!creates_from_query()) return false;
        at_ = find(at_, "as");
        if (!word(at_, "as")) return false;
        ++at_;
      } else if (word(at_, "copy")) {
        return copy();
      } else if (word(at_, "truncate")) {
        ++at_;
        take_list(Access::written);
        return false;
      } else if (word(at_, "lock")) {
        ++at_;
        take_list(Access::read);
        return false;
      } else {
        return mark(at_, '(') || is_query(at_) || word(at_, "insert") || word(at_, "update") || word(at_, "delete") ||
               word(at_, "merge");
      }
    }
  }
  [[nodiscard]] bool is_query(std::size_t i) const noexcept {
    return word(i, "select") || word(i, "with") || word(i, "values") || word(i, "table");
  }
  [[nodiscard]] bool creates_from_query() const noexcept {
    for (std::size_t i = at_ + 1; i < at_ + 7; ++i)
      if (word(i, "table") || word(i, "view"))
        return true;
      else if (!word(i, "or") && !word(i, "replace") && !word(i, "temp") && !word(i, "temporary") &&
               !word(i, "unlogged") && !word(i, "global") && !word(i, "local") && !word(i, "recursive") &&
               !word(i, "materialized"))
        return false;
    return false;
  }
  bool copy() {
    ++at_;
    if (mark(at_, '(')) return true;
    if (word(at_, "binary") && name_at(at_ + 1) && !word(at_ + 1, "from") && !word(at_ + 1, "to")) ++at_;
    const auto found = name();
    if (mark(at_, '(')) at_ = behind(at_);
    if (found && (word(at_, "from") || word(at_, "to"))) out_.note(*found, word(at_, "from"));
    return false;
  }

  void walk() {
    levels_.assign(1, Level{.first = at_, .target = {}, .ctes = {}, .cte = {}});
    while (at_ < tokens_.size()) {
      if (kind(at_) == Kind::semicolon && levels_.size() == 1) return;
      if (levels_.size() > deepest) {
        out_.whole_ = false;
        return;
      }
      step();
    }
  }

  /// Handles the token at at_ and goes on, by one at least.
  void step() {
    Level& here = levels_.back();
    if (mark(at_, '(')) return open();
    if (mark(at_, ')')) return close();
    if (mark(at_, ',')) {
      here.expect = here.list;
      ++at_;
      // The next of WITH a AS (…), b AS (…).
      if (!here.list && in_with_) (void)begin_cte(at_);
      return;
    }
    if (!name_at(at_)) {
      here.expect = false;
      ++at_;
      return;
    }
    // A column or a label may be called like a keyword there.
    if (mark_before(at_, '.') || (before(at_, "as") && at_ != here.first)) {
      ++at_;
      return;
    }
    if (kind(at_) == Kind::word && at_ == here.first && is_query(at_)) here.expect = here.list = false;
    if (here.expect && !(kind(at_) == Kind::word && one_of(text(at_), reserved))) {
      here.expect = false;
      // ROWS FROM (f(), g()) has functions only.
      if (word(at_, "rows") && word(at_ + 1, "from") && mark(at_ + 2, '(')) {
        at_ = behind(at_ + 2);
        return;
      }
      while (word(at_, "only") || word(at_, "lateral")) ++at_;
      if (mark(at_, '(')) {
        levels_.back().expect = true;
        return;
      }
      if (!name_at(at_)) return;
      return take(Access::read);
    }
    if (kind(at_) != Kind::word) {
      ++at_;
      return;
    }
    keyword();
  }

  void open() {
    Level inner{.first = at_ + 1, .target = {}, .ctes = {}, .cte = std::exchange(next_cte_, {})};
    Level& here = levels_.back();
    if (here.expect) {
      // A query, or a join in parentheses.
      here.expect = false;
      inner.list = inner.expect = true;
    } else if (at_ > first_ && kind(at_ - 1) == Kind::word && one_of(text(at_ - 1), from_inside)) {
      inner.plain = true;
    }
    levels_.push_back(std::move(inner));
    ++at_;
  }

  void close() {
    if (levels_.size() > 1) {
      std::string cte = std::move(levels_.back().cte);
      levels_.pop_back();
      // In its own body it was not known yet.
      in_with_ = !cte.empty();
      if (in_with_) levels_.back().ctes.push_back(std::move(cte));
    }
    ++at_;
  }

  /// `i`: where the name of a CTE may stand. True: it does, and at_ is where its body opens.
  bool begin_cte(std::size_t i) {
    if (!name_at(i)) return false;
    const auto called = part(i);
    std::size_t body = i + 1;
    if (mark(body, '(')) body = behind(body);
    if (!word(body, "as")) return false;
    ++body;
    if (word(body, "not")) ++body;
    if (word(body, "materialized")) ++body;
    if (!mark(body, '(') || !called) return false;
    if (recursive_) levels_.back().ctes.push_back(*called);
    next_cte_ = *called;
    at_ = body;
    return true;
  }

  /// Whether the word at `i` is the verb of its level; as a column or a label it may stand anywhere else.
  bool begins(std::size_t i) {
    Level& here = levels_.back();
    return !here.begun && (i == here.first || (word(here.first, "with") && mark_before(i, ')')));
  }

  void keyword() {
    Level& here = levels_.back();
    const std::size_t i = at_++;
    if ((word(i, "insert") || word(i, "merge") || word(i, "delete")) && begins(i)) {
      here.begun = true;
      changing(i);
    } else if (word(i, "update") && begins(i)) {
      here.begun = true;
      take(Access::both);  // which rows it changes is read as well
    } else if (word(i, "with")) {
      recursive_ = word(at_, "recursive");
      (void)begin_cte(recursive_ ? at_ + 1 : at_);
    } else if (word(i, "select") || word(i, "values")) {
      here.begun = true;
      here.list = here.expect = false;
    } else if (word(i, "table")) {
      // SELECT … INTO [TEMP] TABLE makes one.
      if (!before(i, "into") && !before(i, "temp") && !before(i, "temporary") && !before(i, "unlogged"))
        take(Access::read);
    } else if (word(i, "from")) {
      if (here.plain || before(i, "distinct")) return;
      here.list = here.expect = true;
    } else if (word(i, "join")) {
      here.list = here.expect = true;
    } else if (word(i, "using")) {
      if (std::exchange(here.takes_using, false)) here.list = here.expect = true;
    } else if (word(i, "returning") || (word(i, "conflict") && before(i, "on"))) {
      // Both read the table that is inserted into.
      if (here.target) out_.note(*here.target, false);
      here.list = here.expect = false;
    } else if (one_of(text(i), ends_list) || (word(i, "set") && before(i, "update"))) {
      here.list = here.expect = false;
    }
  }

  /// INSERT INTO t, MERGE INTO t [USING …], DELETE FROM t [USING …]; at_ is behind the verb.
  void changing(std::size_t verb) {
    if (!word(at_, word(verb, "delete") ? "from" : "into")) return;
    ++at_;
    levels_.back().takes_using = !word(verb, "insert");
    take(word(verb, "insert") ? Access::written : Access::both);
  }

  std::string_view sql_;
  Relations& out_;
  std::vector<SqlToken> tokens_;
  std::size_t at_ = 0;
  std::size_t first_ = 0;  ///< of the statement
  std::vector<Level> levels_;
  std::string next_cte_;    ///< of the body that opens next
  bool recursive_ = false;  ///< the last WITH
  bool in_with_ = false;    ///< what closed last was the body of a CTE
};

void Relations::note(Relation relation, bool written) {
  if (is_servers_own(relation.schema)) return;
  auto it = named_.find(relation);
  if (it == named_.end()) {
    if (named_.size() >= most) {
      whole_ = false;
      return;
    }
    it = named_.emplace(std::move(relation), Use{}).first;
  }
  (written ? it->second.written : it->second.read) = true;
}

void Relations::add(std::string_view sql) {
  RelationReader(sql, *this).run();
}

void Relations::add(const StatementText& text) {
  // What is hidden up to the end may have been more than a literal.
  if (text.truncated || (text.redacted && text.sql.ends_with(kRedacted))) whole_ = false;
  add(text.sql);
}

bool exercises_rights(const Record& record) noexcept {
  if (record.kind != Record::Kind::query && record.kind != Record::Kind::execute) return false;
  if (record.outcome != Record::Outcome::failed) return true;
  // Wrong names, no permission, bad syntax; a transaction, statement or cursor that is not what it should be.
  const std::string_view what = std::string_view(record.sqlstate).substr(0, 2);
  return what != "42" && what != "25" && what != "26" && what != "34" && what != "3F" && what != "0A" && what != "08";
}

}  // namespace daypass::wire::postgres
