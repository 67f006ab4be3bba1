#include "cedar/parser.h"

#include <algorithm>

#include "cedar/parser_impl.h"
#include "cedar/source.h"

namespace daypass::cedar {

using base::Code;
using base::Error;

namespace {

constexpr std::string_view template_hint = "link the template by writing the entity in the slot's place";

std::string shortened(std::string_view text) {
  if (text.size() <= 40) return std::string(text);
  std::size_t n = 40;
  while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0U) == 0x80U) --n;
  return std::string(text.substr(0, n)) + "…";
}

}  // namespace

// Tokens.

Token Parser::peek(std::size_t ahead) const noexcept {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)].token;
}
std::string_view Parser::word(std::size_t ahead) const noexcept {
  return source_->slice(tokens_[std::min(at_ + ahead, tokens_.size() - 1)].span);
}
bool Parser::is_word(std::string_view text) const noexcept {
  return peek() == Token::identifier && word() == text;
}
Span Parser::take() noexcept {
  return peek() == Token::end ? span() : tokens_[at_++].span;
}
bool Parser::take_if(Token token) noexcept {
  return peek() == token && (take(), true);
}
bool Parser::take_word(std::string_view text) noexcept {
  return is_word(text) && (take(), true);
}
bool Parser::expect(Token token, std::string_view what) {
  return take_if(token) || unexpected(what);
}
Span Parser::since(Span begin) const noexcept {
  return {begin.begin, at_ == 0 ? begin.end : tokens_[at_ - 1].span.end};
}

void Parser::report(Span span, std::string check, std::string message, std::string hint) {
  if (diagnostics_.size() >= max_diagnostics_) return;
  diagnostics_.push_back(source_->diagnose(span, std::move(check), std::move(message), std::move(hint)));
}

bool Parser::syntax(Span at, std::string message, std::string hint) {
  report(at, "cedar.syntax", std::move(message), std::move(hint));
  return false;
}

bool Parser::unexpected(std::string_view expected, std::string hint) {
  if (peek() == Token::bad) return false;  // reported by the lexer
  const std::string found = at_end() ? "the end of the text" : "`" + shortened(word()) + "`";
  return syntax(span(), "expected " + std::string(expected) + ", found " + found, std::move(hint));
}

bool Parser::too_deep(Span at) {
  report(at, "cedar.too_deep", "nested deeper than " + std::to_string(max_nesting), "split the policy");
  return false;
}

void Parser::resume() noexcept {
  while (!at_end() && peek() != Token::semicolon) take();
  take_if(Token::semicolon);
}

// Names and strings.

void Parser::check_name(std::string_view name, Span span) {
  if (is_reserved(name))
    report(span, "cedar.reserved", "`" + std::string(name) + "` is reserved and can't be a name",
           "as an attribute, write [\"" + std::string(name) + "\"]");
  else if (name == "__cedar")
    report(span, "cedar.reserved", "`__cedar` is reserved and can't be part of a name");
}

std::optional<std::string> Parser::name(std::string_view what) {
  if (peek() != Token::identifier) {
    unexpected(what);
    return std::nullopt;
  }
  const Span at = take();
  std::string out(source_->slice(at));
  check_name(out, at);
  return out;
}

std::optional<std::string> Parser::path(std::string_view what) {
  auto out = name(what);
  while (out && peek() == Token::colons && peek(1) == Token::identifier) {
    take();
    const auto part = name(what);
    *out += "::";
    *out += *part;
  }
  return out;
}

std::optional<std::string> Parser::string() {
  const Span at = take();
  const std::string_view literal = source_->slice(at);
  std::string why;
  std::size_t offset = 0;
  auto out = unescape(literal.substr(1, literal.size() - 2), why, offset);
  if (out) return out;
  const auto begin = at.begin + 1 + static_cast<std::uint32_t>(offset);
  report({begin, std::min(begin + 2, at.end)}, "cedar.escape", why,
         "escapes are \\n \\r \\t \\\\ \\0 \\' \\\" \\x41 and \\u{1F600}");
  return std::string();
}

std::optional<EntityUid> Parser::entity_uid() {
  EntityUid uid;
  auto type = path("an entity like Type::\"id\"");
  if (!type) return std::nullopt;
  if (!take_if(Token::colons)) {
    unexpected("`::` and the entity's id");
    return std::nullopt;
  }
  if (peek() != Token::string) {
    unexpected("the entity's id in double quotes");
    return std::nullopt;
  }
  uid.type = std::move(*type);
  uid.id = *string();
  return uid;
}

// Policies.

std::shared_ptr<const Policy::Data> Parser::policy() {
  auto data = std::make_shared<Policy::Data>();
  tree_.clear();
  depth_ = 0;
  const Span begin = span();
  if (!annotations(*data) || !effect(*data) || !scope(*data) || !conditions(*data)) return nullptr;
  if (!expect(Token::semicolon, "`;` or another `when` or `unless`")) return nullptr;
  data->span = since(begin);
  data->exprs = tree_.take();
  data->source = source_;
  return data;
}

bool Parser::annotations(Policy::Data& data) {
  while (take_if(Token::at)) {
    if (peek() != Token::identifier) return unexpected("the annotation's name");
    const Span at = take();  // any identifier, reserved ones too
    std::string key(source_->slice(at));
    std::string value;
    if (take_if(Token::left_paren)) {
      if (peek() != Token::string) return unexpected("the annotation's value in double quotes");
      value = *string();
      if (!expect(Token::right_paren, "`)`")) return false;
    } else {
      data.bare_annotations.push_back(key);
    }
    if (data.annotations.contains(key)) {
      report(at, "cedar.duplicate_annotation", "the annotation @" + key + " is there twice");
      continue;
    }
    data.annotation_order.push_back(key);
    data.annotations.emplace(std::move(key), std::move(value));
  }
  return true;
}

bool Parser::effect(Policy::Data& data) {
  if (take_word("permit")) {
    data.effect = Effect::permit;
    return true;
  }
  if (take_word("forbid")) {
    data.effect = Effect::forbid;
    return true;
  }
  return unexpected("`permit` or `forbid`");
}

bool Parser::scope(Policy::Data& data) {
  if (!expect(Token::left_paren, "`(`")) return false;
  if (!scope_test("principal", data.principal) || !expect(Token::comma, "`,`")) return false;
  if (!scope_test("action", data.action) || !expect(Token::comma, "`,`")) return false;
  if (!scope_test("resource", data.resource)) return false;
  take_if(Token::comma);
  return expect(Token::right_paren, "`)`");
}

bool Parser::scope_test(std::string_view variable, ScopeTest& test) {
  const Span begin = span();
  if (!take_word(variable))
    return unexpected("`" + std::string(variable) + "`",
                      "a policy's head is (principal, action, resource), in that order");
  bool good = true;
  if (take_if(Token::equal)) {
    test.kind = ScopeTest::Kind::equal;
    good = scope_operand(variable, test, false);
  } else if (take_word("in")) {
    test.kind = ScopeTest::Kind::in;
    good = scope_operand(variable, test, variable == "action");
  } else if (is_word("is")) {
    good = scope_is(variable, test);
  } else if (peek() == Token::assign) {
    return unexpected("`==`", "`=` is no operator");
  } else if (peek() == Token::colon) {
    return unexpected("`is`", "write `" + std::string(variable) + " is Type`");
  } else if (peek() != Token::comma && peek() != Token::right_paren) {
    return unexpected("`==`, `in`, `is`, `,` or `)`", "other tests go into a `when` condition");
  }
  test.span = since(begin);
  return good;
}

bool Parser::scope_is(std::string_view variable, ScopeTest& test) {
  const Span at = take();
  if (variable == "action") return syntax(at, "`is` can't test the action here", "move it into a `when` condition");
  auto type = path("an entity type");
  if (!type) return false;
  test.kind = ScopeTest::Kind::is;
  test.type = std::move(*type);
  if (peek() == Token::colons) return unexpected("`,`, `)` or `in`", "for one entity, write == instead of is");
  if (!take_word("in")) return true;
  test.kind = ScopeTest::Kind::is_in;
  return scope_operand(variable, test, false);
}

bool Parser::scope_operand(std::string_view variable, ScopeTest& test, bool list_allowed) {
  std::size_t parens = 0;
  while (peek() == Token::left_paren) {
    if (++parens > max_nesting) return too_deep(span());
    take();
  }
  bool good = true;
  if (peek() == Token::left_bracket) {
    if (!list_allowed)
      return unexpected("one entity", variable == "action" ? "use `in` with a list" : "use `||` in `when`");
    good = scope_list(variable, test);
  } else if (peek() == Token::slot) {
    good = scope_slot(variable, test);
  } else {
    const Span begin = span();
    auto uid = entity_uid();
    if (!uid) return false;
    const bool action_type = uid->type == "Action" || uid->type.ends_with("::Action");
    if (variable == "action" && !action_type)
      report(since(begin), "cedar.action_type", "an action's type is Action, not " + uid->type,
             "write Action::\"…\" or Namespace::Action::\"…\"");
    test.entities.push_back(std::move(*uid));
  }
  for (; good && parens > 0; --parens) good = expect(Token::right_paren, "`)`");
  return good;
}

bool Parser::scope_list(std::string_view variable, ScopeTest& test) {
  take();
  test.listed = true;
  while (peek() != Token::right_bracket) {
    if (!scope_operand(variable, test, false)) return false;
    if (peek() != Token::right_bracket && !expect(Token::comma, "`,` or `]`")) return false;
  }
  take();
  return true;
}

bool Parser::scope_slot(std::string_view variable, ScopeTest& test) {
  const Span at = take();
  const std::string_view slot = source_->slice(at);
  if (variable == "action" || slot.substr(1) != variable)
    return syntax(at, "`" + shortened(slot) + "` can't stand here",
                  variable == "action" ? "an action has no slot" : "the slot here is ?" + std::string(variable));
  test.slot = true;
  if (templates_) return true;
  report(at, "cedar.template", "`" + std::string(slot) + "` makes this a template, and templates are not taken here",
         std::string(template_hint));
  return true;
}

bool Parser::conditions(Policy::Data& data) {
  while (is_word("when") || is_word("unless")) {
    Condition condition;
    condition.unless = is_word("unless");
    const Span begin = take();
    if (!expect(Token::left_brace, "`{`")) return false;
    if (peek() == Token::right_brace) return syntax(since(begin), "this condition is empty");
    const auto body = expression();
    if (!body || !expect(Token::right_brace, "`}`")) return false;
    condition.body = *body;
    condition.span = since(begin);
    data.conditions.push_back(condition);
  }
  return true;
}

// The whole text.

namespace {

bool is_policy_text(std::string_view text, const std::string& file, const ParseOptions& options,
                    std::vector<Diagnostic>& diagnostics) {
  return readable(text, file, options.max_bytes, "a policy text", "split it into several files", diagnostics);
}

}  // namespace

ParsedText parse_policies(std::string_view text, std::string file, const ParseOptions& options, std::size_t already,
                          std::vector<Diagnostic>& diagnostics) {
  ParsedText out;
  if (!is_policy_text(text, file, options, diagnostics)) return out;
  const std::shared_ptr<const Source> source = make_source(text, std::move(file));
  std::vector<LexError> lex_errors;
  auto tokens = tokenize(source->text, lex_errors);
  const std::size_t before = diagnostics.size();
  // At least one, or nobody would learn that there was an error.
  const std::size_t most = std::max<std::size_t>(options.max_diagnostics, 1);
  Parser parser(source, std::move(tokens), {most, options.templates}, diagnostics);
  for (auto& error : lex_errors)
    parser.report(error.span, "cedar.syntax", std::move(error.message), std::move(error.hint));
  while (!parser.at_end() && diagnostics.size() < most) {
    if (already + out.policies.size() >= options.max_policies) {
      diagnostics.push_back({source->file, 1, 1, "cedar.too_many",
                             "more than " + std::to_string(options.max_policies) + " policies in one set", "", 1});
      break;
    }
    if (auto data = parser.policy())
      out.policies.push_back(std::move(data));
    else
      parser.resume();
  }
  std::stable_sort(diagnostics.begin() + static_cast<std::ptrdiff_t>(before), diagnostics.end(),
                   [](const Diagnostic& a, const Diagnostic& b) {
                     return std::pair(a.line, a.column) < std::pair(b.line, b.column);
                   });
  return out;
}

base::Result<EntityUid> parse_entity_uid(std::string_view text) {
  std::vector<Diagnostic> diagnostics;
  if (is_policy_text(text, "", {}, diagnostics)) {
    const std::shared_ptr<const Source> source = make_source(text, "");
    std::vector<LexError> lex_errors;
    auto tokens = tokenize(source->text, lex_errors);
    Parser parser(source, std::move(tokens), {}, diagnostics);
    for (auto& error : lex_errors) parser.report(error.span, "cedar.syntax", std::move(error.message));
    auto uid = parser.entity_uid();
    if (uid && parser.at_end() && diagnostics.empty()) return std::move(*uid);
  }
  return Error{
      Code::invalid, "cedar.entity_uid",
      "not an entity: " + quote(shortened(text)) + (diagnostics.empty() ? "" : ": " + diagnostics.front().message),
      "an entity is Type::\"id\""};
}

}  // namespace daypass::cedar
