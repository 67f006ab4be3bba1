// Schema text to a raw schema: recursive descent over the policy language's tokens, every error it can tell apart.
#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "cedar/lexer.h"
#include "cedar/schema_raw.h"

namespace daypass::cedar {
namespace {

constexpr std::string_view declarations = "`namespace`, `entity`, `action` or `type`";

class SchemaParser {
 public:
  SchemaParser(SchemaProblems& problems, std::vector<Lexeme> tokens)
      : problems_(problems), tokens_(std::move(tokens)) {}

  RawSchema schema();

 private:
  // Tokens.
  [[nodiscard]] Token peek(std::size_t ahead = 0) const noexcept {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)].token;
  }
  [[nodiscard]] Span span() const noexcept { return tokens_[at_].span; }
  [[nodiscard]] std::string_view word(std::size_t ahead = 0) const noexcept {
    return problems_.source().slice(tokens_[std::min(at_ + ahead, tokens_.size() - 1)].span);
  }
  [[nodiscard]] bool at_end() const noexcept { return peek() == Token::end; }
  [[nodiscard]] bool is_word(std::string_view text) const noexcept {
    return peek() == Token::identifier && word() == text;
  }
  Span take() noexcept {
    if (at_end()) return span();
    if (peek() == Token::left_brace) ++open_braces_;
    if (peek() == Token::right_brace && open_braces_ > 0) --open_braces_;
    return tokens_[at_++].span;
  }
  bool take_if(Token token) noexcept { return peek() == token && (take(), true); }
  bool take_word(std::string_view text) noexcept { return is_word(text) && (take(), true); }
  bool expect(Token token, std::string_view what) { return take_if(token) || unexpected(what); }
  // `?` is no token of policies, so the lexer calls it bad.
  bool take_question() noexcept { return peek() == Token::bad && word() == "?" && (take(), true); }
  [[nodiscard]] Span since(Span begin) const noexcept {
    return {begin.begin, at_ == 0 ? begin.end : tokens_[at_ - 1].span.end};
  }
  bool unexpected(std::string_view expected, std::string hint = {});
  void resume(bool inside_namespace) noexcept;

  // Parts.
  std::optional<std::string> identifier(std::string_view what);
  std::optional<std::string> string();
  std::optional<std::string> name(std::string_view what) {
    return peek() == Token::string ? string() : identifier(what);
  }
  std::optional<std::string> path(std::string_view what);
  bool annotations(RawAnnotations& out);
  void declare_name(const std::string& name, Span at);

  // Declarations.
  bool declaration(RawNamespace& into);
  bool name_space(RawSchema& schema, RawAnnotations annotations);
  bool entity(RawNamespace& into, const RawAnnotations& annotations);
  bool entity_body(RawEntity& entity);
  bool choices(RawEntity& entity);
  bool action(RawNamespace& into, const RawAnnotations& annotations, Span begin);
  bool action_parents(RawAction& action);
  std::optional<RawActionName> action_name();
  bool applies_to(RawAction& action);
  bool applies_part(RawAppliesTo& out, std::set<std::string_view>& seen);
  bool common(RawNamespace& into, const RawAnnotations& annotations);
  bool types(std::vector<RawName>& out);

  // Types.
  std::optional<RawType> type();
  std::optional<RawType> record();
  bool attribute(RawType& record);

  SchemaProblems& problems_;
  std::vector<Lexeme> tokens_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t open_braces_ = 0;
};

std::string shortened(std::string_view text) {
  if (text.size() <= 40) return std::string(text);
  std::size_t n = 40;
  while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0U) == 0x80U) --n;
  return std::string(text.substr(0, n)) + "…";
}

bool SchemaParser::unexpected(std::string_view expected, std::string hint) {
  if (peek() == Token::bad && word() != "?") return false;  // reported by the lexer
  const std::string found = at_end() ? "the end of the text" : "`" + shortened(word()) + "`";
  problems_.report(span(), "cedar.syntax", "expected " + std::string(expected) + ", found " + found, std::move(hint));
  return false;
}

// Behind the next `;`, but never out of the namespace.
void SchemaParser::resume(bool inside_namespace) noexcept {
  const std::size_t around = inside_namespace ? 1 : 0;
  while (!at_end()) {
    if (inside_namespace && peek() == Token::right_brace && open_braces_ <= around) return;
    const bool last = peek() == Token::semicolon;
    take();
    if (last) break;
  }
  open_braces_ = around;
}

std::optional<std::string> SchemaParser::identifier(std::string_view what) {
  if (peek() != Token::identifier) {
    unexpected(what);
    return std::nullopt;
  }
  const Span at = take();
  std::string out(problems_.source().slice(at));
  if (is_reserved(out)) problems_.report(at, "cedar.reserved", "`" + out + "` is reserved and can't be a name");
  return out;
}

std::optional<std::string> SchemaParser::string() {
  const Span at = take();
  const std::string_view literal = problems_.source().slice(at);
  std::string why;
  std::size_t offset = 0;
  auto out = unescape(literal.substr(1, literal.size() - 2), why, offset);
  if (out) return out;
  const auto begin = at.begin + 1 + static_cast<std::uint32_t>(offset);
  problems_.report({begin, std::min(begin + 2, at.end)}, "cedar.escape", why,
                   "escapes are \\n \\r \\t \\\\ \\0 \\' \\\" \\x41 and \\u{1F600}");
  return std::string();
}

std::optional<std::string> SchemaParser::path(std::string_view what) {
  auto out = identifier(what);
  while (out && peek() == Token::colons && peek(1) == Token::identifier) {
    take();
    const auto part = identifier(what);
    *out += "::";
    *out += *part;
  }
  return out;
}

bool SchemaParser::annotations(RawAnnotations& out) {
  while (take_if(Token::at)) {
    if (peek() != Token::identifier) return unexpected("the annotation's name");
    const Span at = take();  // any identifier, reserved ones too
    std::string key(problems_.source().slice(at));
    std::string value;
    if (take_if(Token::left_paren)) {
      if (peek() != Token::string) return unexpected("the annotation's value in double quotes");
      value = *string();
      if (!expect(Token::right_paren, "`)`")) return false;
    }
    if (!out.emplace(key, std::move(value)).second)
      problems_.report(at, "cedar.duplicate_annotation", "the annotation @" + key + " is there twice");
  }
  return true;
}

void SchemaParser::declare_name(const std::string& name, Span at) {
  if (name == "__cedar" || name.starts_with("__cedar::") || name.ends_with("::__cedar") ||
      name.find("::__cedar::") != std::string::npos)
    problems_.report(at, "cedar.reserved", "`__cedar` is reserved and can't be part of a name");
}

RawSchema SchemaParser::schema() {
  RawSchema out;
  RawNamespace free;
  while (!at_end() && !problems_.full()) {
    const std::size_t begin = at_;
    RawAnnotations notes;
    bool good = annotations(notes);
    if (good && is_word("namespace")) {
      good = name_space(out, std::move(notes));
    } else if (good) {
      at_ = begin;  // no brace was taken
      good = declaration(free);
    }
    if (!good) resume(false);
    open_braces_ = 0;
  }
  if (!free.entities.empty() || !free.actions.empty() || !free.commons.empty())
    out.namespaces.insert(out.namespaces.begin(), std::move(free));
  return out;
}

bool SchemaParser::name_space(RawSchema& schema, RawAnnotations notes) {
  RawNamespace out;
  out.span = take();
  out.annotations = std::move(notes);
  const Span at = span();
  auto named = path("the namespace's name");
  if (!named) return false;
  declare_name(*named, since(at));
  out.span = since(at);
  out.name = std::move(*named);
  if (!expect(Token::left_brace, "`{`")) return false;
  while (peek() != Token::right_brace) {
    if (at_end()) return unexpected("`}` at the end of the namespace");
    if (problems_.full()) return true;
    if (is_word("namespace"))
      return unexpected("`entity`, `action`, `type` or `}`", "namespaces do not nest; write A::B");
    if (!declaration(out)) resume(true);
  }
  take();
  if (std::ranges::find(schema.namespaces, out.name, &RawNamespace::name) != schema.namespaces.end())
    problems_.report(out.span, "cedar.schema_duplicate", "the namespace `" + out.name + "` is there twice",
                     "put its declarations into one block");
  else
    schema.namespaces.push_back(std::move(out));
  return true;
}

bool SchemaParser::declaration(RawNamespace& into) {
  RawAnnotations notes;
  if (!annotations(notes)) return false;
  const Span begin = span();
  if (take_word("entity")) return entity(into, notes);
  if (take_word("action")) return action(into, notes, begin);
  if (take_word("type")) return common(into, notes);
  return unexpected(declarations);
}

bool SchemaParser::entity(RawNamespace& into, const RawAnnotations& notes) {
  std::vector<RawName> names;
  do {
    const Span at = span();
    auto one = identifier("the entity type's name");
    if (!one) return false;
    declare_name(*one, at);
    names.push_back({std::move(*one), at});
  } while (take_if(Token::comma));
  RawEntity out;
  if (take_word("enum")) {
    if (!choices(out)) return false;
  } else if (!entity_body(out)) {
    return false;
  }
  out.annotations = notes;
  if (!expect(Token::semicolon, "`;`")) return false;
  for (RawName& named : names) {
    out.name = std::move(named.name);
    out.span = named.span;
    into.entities.push_back(out);
  }
  return true;
}

bool SchemaParser::entity_body(RawEntity& out) {
  if (take_word("in") && !types(out.parents)) return false;
  out.shape.span = span();
  const bool equals = take_if(Token::assign);
  if (peek() == Token::left_brace) {
    auto shape = record();
    if (!shape) return false;
    out.shape = std::move(*shape);
  } else if (equals) {
    return unexpected("`{`", "an entity's attributes are written out, not named");
  }
  if (take_word("tags")) {
    out.tags = type();
    if (!out.tags) return false;
  }
  return true;
}

bool SchemaParser::choices(RawEntity& out) {
  out.enumerated = true;
  if (!expect(Token::left_bracket, "`[`")) return false;
  do {
    if (peek() != Token::string) return unexpected("an entity's id in double quotes");
    out.choices.push_back(*string());
  } while (take_if(Token::comma));
  return expect(Token::right_bracket, "`,` or `]`");
}

bool SchemaParser::types(std::vector<RawName>& out) {
  const auto one = [&] {
    const Span at = span();
    auto named = path("an entity type");
    if (named) out.push_back({std::move(*named), since(at)});
    return named.has_value();
  };
  if (!take_if(Token::left_bracket)) return one();
  if (take_if(Token::right_bracket)) return true;
  do {
    if (!one()) return false;
  } while (take_if(Token::comma));
  return expect(Token::right_bracket, "`,` or `]`");
}

bool SchemaParser::action(RawNamespace& into, const RawAnnotations& notes, Span begin) {
  std::vector<RawName> names;
  do {
    const Span at = span();
    auto one = name("the action's name");
    if (!one) return false;
    names.push_back({std::move(*one), at});
  } while (take_if(Token::comma));
  RawAction out;
  out.annotations = notes;
  if (take_word("in") && !action_parents(out)) return false;
  out.applies_to.emplace();
  out.applies_to->context.span = begin;
  if (take_word("appliesTo") && !applies_to(out)) return false;
  // Once there were attributes of actions; the empty list is still taken.
  if (take_word("attributes") && (!expect(Token::left_brace, "`{`") || !expect(Token::right_brace, "`}`")))
    return false;
  if (!expect(Token::semicolon, "`;`")) return false;
  for (RawName& named : names) {
    out.id = std::move(named.name);
    out.span = named.span;
    into.actions.push_back(out);
  }
  return true;
}

std::optional<RawActionName> SchemaParser::action_name() {
  RawActionName out;
  const Span at = span();
  if (peek() == Token::string) {
    out.id = *string();
  } else {
    auto named = path("an action");
    if (!named) return std::nullopt;
    if (take_if(Token::colons)) {
      if (peek() != Token::string) {
        unexpected("the action's id in double quotes");
        return std::nullopt;
      }
      out.type = std::move(*named);
      out.id = *string();
    } else if (named->find("::") != std::string::npos) {
      unexpected("`::` and the action's id in double quotes");
      return std::nullopt;
    } else {
      out.id = std::move(*named);
    }
  }
  out.span = since(at);
  return out;
}

bool SchemaParser::action_parents(RawAction& out) {
  out.parents.emplace();
  const bool list = take_if(Token::left_bracket);
  do {
    auto one = action_name();
    if (!one) return false;
    out.parents->push_back(std::move(*one));
  } while (list && take_if(Token::comma));
  return !list || expect(Token::right_bracket, "`,` or `]`");
}

bool SchemaParser::applies_part(RawAppliesTo& out, std::set<std::string_view>& seen) {
  const Span at = span();
  const std::string_view part = word();
  if (!is_word("principal") && !is_word("resource") && !is_word("context"))
    return unexpected("`principal`, `resource` or `context`");
  take();
  if (!expect(Token::colon, "`:`")) return false;
  if (!seen.insert(part).second)
    problems_.report(at, "cedar.schema_applies_to", "`" + std::string(part) + "` is there twice");
  if (part == "context") {
    if (peek() == Token::left_brace) {
      auto read = record();
      if (!read) return false;
      out.context = std::move(*read);
      return true;
    }
    const Span begin = span();
    auto named = path("a record or the name of a common type");
    if (!named) return false;
    out.context = RawType();
    out.context.kind = RawType::Kind::common;
    out.context.name = std::move(*named);
    out.context.span = since(begin);
    return true;
  }
  std::vector<RawName> read;
  if (!types(read)) return false;
  if (read.empty())
    problems_.report(at, "cedar.schema_applies_to", "`" + std::string(part) + "` lists no entity type",
                     "leave appliesTo out when the action only groups others");
  (part == "principal" ? out.principals : out.resources) = std::move(read);
  return true;
}

bool SchemaParser::applies_to(RawAction& out) {
  const Span begin = tokens_[at_ - 1].span;
  if (!expect(Token::left_brace, "`{`")) return false;
  std::set<std::string_view> seen;
  do {
    if (!applies_part(*out.applies_to, seen)) return false;
    if (peek() != Token::right_brace && peek() != Token::comma) return unexpected("`,` or `}`");
    take_if(Token::comma);
  } while (peek() != Token::right_brace);
  take();
  for (const std::string_view needed : {"principal", "resource"})
    if (!seen.contains(needed))
      problems_.report(begin, "cedar.schema_applies_to", "appliesTo has no `" + std::string(needed) + "`",
                       "write `" + std::string(needed) + ": [Type]`");
  return true;
}

bool SchemaParser::common(RawNamespace& into, const RawAnnotations& notes) {
  RawCommon out;
  out.annotations = notes;
  out.span = span();
  auto named = identifier("the type's name");
  if (!named) return false;
  declare_name(*named, out.span);
  if (is_schema_keyword(*named))
    problems_.report(out.span, "cedar.reserved", "`" + *named + "` is a built-in type and can't be declared");
  out.name = std::move(*named);
  if (!expect(Token::assign, "`=`")) return false;
  auto body = type();
  if (!body) return false;
  out.type = std::move(*body);
  if (!expect(Token::semicolon, "`;`")) return false;
  into.commons.push_back(std::move(out));
  return true;
}

std::optional<RawType> SchemaParser::type() {
  if (depth_ == max_nesting) {
    problems_.report(span(), "cedar.too_deep", "types nested deeper than " + std::to_string(max_nesting),
                     "name the inner ones with `type`");
    return std::nullopt;
  }
  const Span begin = span();
  if (peek() == Token::left_brace) {
    ++depth_;
    auto out = record();
    --depth_;
    return out;
  }
  RawType out;
  if (is_word("Set") && peek(1) == Token::less) {
    take();
    take();
    ++depth_;
    auto element = type();
    --depth_;
    if (!element || !expect(Token::greater, "`>`")) return std::nullopt;
    out.kind = RawType::Kind::set;
    out.element.push_back(std::move(*element));
  } else {
    auto named = path("a type");
    if (!named) return std::nullopt;
    out.kind = RawType::Kind::entity_or_common;
    out.name = std::move(*named);
  }
  out.span = since(begin);
  return out;
}

std::optional<RawType> SchemaParser::record() {
  RawType out;
  const Span begin = take();
  while (peek() != Token::right_brace) {
    if (!attribute(out)) return std::nullopt;
    if (peek() != Token::right_brace && !expect(Token::comma, "`,` or `}`")) return std::nullopt;
  }
  take();
  out.span = since(begin);
  return out;
}

bool SchemaParser::attribute(RawType& into) {
  RawAttribute out;
  if (!annotations(out.annotations)) return false;
  out.span = span();
  auto named = name("an attribute's name");
  if (!named) return false;
  out.name = std::move(*named);
  out.required = !take_question();
  if (!expect(Token::colon, "`:`")) return false;
  auto body = type();
  if (!body) return false;
  out.type = std::move(*body);
  into.attributes.push_back(std::move(out));
  return true;
}

}  // namespace

RawSchema read_schema_text(SchemaProblems& problems) {
  std::vector<LexError> lex_errors;
  auto tokens = tokenize(problems.source().text, lex_errors);
  for (auto& error : lex_errors)
    if (problems.source().slice(error.span) != "?")
      problems.report(error.span, "cedar.syntax", std::move(error.message), std::move(error.hint));
  return SchemaParser(problems, std::move(tokens)).schema();
}

}  // namespace daypass::cedar
