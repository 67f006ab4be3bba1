// The parser's expression rules, from loosest to tightest binding.
#include <charconv>
#include <set>

#include "base/encoding.h"
#include "cedar/evaluate.h"
#include "cedar/parser_impl.h"

namespace daypass::cedar {
namespace {

constexpr std::uint64_t most_positive = INT64_MAX;
constexpr std::string_view has_hint = "after `has` come names joined by dots, or one string";

std::optional<Op> comparison_of(Token token, std::string_view word) {
  switch (token) {
    case Token::equal:
      return Op::equal;
    case Token::not_equal:
      return Op::not_equal;
    case Token::less:
      return Op::less;
    case Token::less_equal:
      return Op::less_equal;
    case Token::greater:
      return Op::greater;
    case Token::greater_equal:
      return Op::greater_equal;
    case Token::identifier:
      return word == "in" ? std::optional(Op::in) : std::nullopt;
    default:
      return std::nullopt;
  }
}

std::vector<std::string_view> names_of(bool methods) {
  std::vector<std::string_view> out;
  for (const FunctionInfo& f : functions())
    if (f.method == methods) out.push_back(f.name);
  return out;
}

std::string did_you_mean(std::string_view name, bool method) {
  const std::string near = base::nearest(name, names_of(method));
  return near.empty() ? "" : "did you mean `" + near + "`?";
}

// nullopt: does not even fit uint64.
std::optional<std::uint64_t> magnitude(std::string_view digits) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<ExprId> Parser::built(std::optional<ExprId> e, Span at) {
  if (!e) too_deep(at);
  return e;
}

std::optional<ExprId> Parser::expression() {
  // Every way to nest passes here, so this is what bounds the recursion of the whole parser.
  if (depth_ == max_nesting) {
    too_deep(span());
    return std::nullopt;
  }
  ++depth_;
  const auto e = is_word("if") && peek(1) != Token::colons ? conditional() : disjunction();
  --depth_;
  return e;
}

std::optional<ExprId> Parser::conditional() {
  const Span begin = take();
  const auto guard = expression();
  if (!guard) return std::nullopt;
  if (!take_word("then")) {
    unexpected("`then`");
    return std::nullopt;
  }
  const auto yes = expression();
  if (!yes) return std::nullopt;
  if (!take_word("else")) {
    unexpected("`else`");
    return std::nullopt;
  }
  const auto no = expression();
  if (!no) return std::nullopt;
  const ExprId kids[] = {*guard, *yes, *no};
  return built(tree_.add(Op::if_then_else, since(begin), kids), begin);
}

std::optional<ExprId> Parser::chain(Token token, Op op, std::optional<ExprId> (Parser::*operand)()) {
  const Span begin = span();
  const auto first = (this->*operand)();
  if (!first || peek() != token) return first;
  std::vector<ExprId> kids{*first};
  while (take_if(token)) {
    const auto next = (this->*operand)();
    if (!next) return std::nullopt;
    kids.push_back(*next);
  }
  return built(tree_.add(op, since(begin), kids), begin);
}

std::optional<ExprId> Parser::disjunction() {
  return chain(Token::or_, Op::or_, &Parser::conjunction);
}
std::optional<ExprId> Parser::conjunction() {
  return chain(Token::and_, Op::and_, &Parser::relation);
}

bool Parser::relation_follows() const noexcept {
  return comparison_of(peek(), word()) || is_word("has") || is_word("like") || is_word("is");
}

std::optional<ExprId> Parser::relation() {
  const Span begin = span();
  auto left = sum();
  if (!left) return std::nullopt;
  if (peek() == Token::assign) {
    unexpected("an operator", "`=` is no operator; to compare, write `==`");
    return std::nullopt;
  }
  if (!relation_follows()) return left;
  const auto op = comparison_of(peek(), word());
  const std::string_view keyword = word();
  take();
  const auto e = op                  ? comparison(*left, *op, begin)
                 : keyword == "has"  ? has(*left, begin)
                 : keyword == "like" ? like(*left, begin)
                                     : is(*left, begin);
  if (!e || !relation_follows()) return e;
  syntax(span(), "`" + std::string(word()) + "` after another comparison", "put one of the two in parentheses");
  return std::nullopt;
}

std::optional<ExprId> Parser::comparison(ExprId left, Op op, Span begin) {
  const auto right = sum();
  if (!right) return std::nullopt;
  const ExprId kids[] = {left, *right};
  return built(tree_.add(op, since(begin), kids), begin);
}

std::optional<ExprId> Parser::has(ExprId left, Span begin) {
  std::vector<std::string> names;
  if (peek() == Token::string) {
    names.push_back(*string());
    if (peek() == Token::dot) {
      unexpected("no path after a string", std::string(has_hint));
      return std::nullopt;
    }
  } else {
    do {
      auto part = name("an attribute's name");
      if (!part) return std::nullopt;
      names.push_back(std::move(*part));
    } while (take_if(Token::dot));
  }
  if (names.size() > max_nesting) {
    too_deep(begin);
    return std::nullopt;
  }
  return built(tree_.add_named(Op::has, since(begin), std::span(&left, 1), std::move(names)), begin);
}

std::optional<ExprId> Parser::like(ExprId left, Span begin) {
  if (peek() != Token::string) {
    unexpected("a pattern in double quotes", "the right side of `like` is always written out");
    return std::nullopt;
  }
  const Span at = take();
  const std::string_view literal = source_->slice(at);
  std::string why;
  std::size_t offset = 0;
  auto pattern = unescape_pattern(literal.substr(1, literal.size() - 2), why, offset);
  if (!pattern) {
    const auto from = at.begin + 1 + static_cast<std::uint32_t>(offset);
    report({from, std::min(from + 2, at.end)}, "cedar.escape", why, "a star itself is written \\*");
    pattern.emplace();
  }
  return built(tree_.add_like(since(begin), left, std::move(*pattern)), begin);
}

std::optional<ExprId> Parser::is(ExprId left, Span begin) {
  std::vector<std::string> type(1);
  auto name = path("an entity type");
  if (!name) return std::nullopt;
  type[0] = std::move(*name);
  if (peek() == Token::colons) {
    unexpected("an entity type", "for one entity, write == instead of is");
    return std::nullopt;
  }
  if (!take_word("in"))
    return built(tree_.add_named(Op::is, since(begin), std::span(&left, 1), std::move(type)), begin);
  const auto right = sum();
  if (!right) return std::nullopt;
  const ExprId kids[] = {left, *right};
  return built(tree_.add_named(Op::is_in, since(begin), kids, std::move(type)), begin);
}

std::optional<ExprId> Parser::sum() {
  const Span begin = span();
  auto e = product();
  while (e && (peek() == Token::plus || peek() == Token::minus)) {
    const bool minus = peek() == Token::minus;
    std::vector<ExprId> kids{*e};
    while (take_if(minus ? Token::minus : Token::plus)) {
      const auto next = product();
      if (!next) return std::nullopt;
      kids.push_back(*next);
    }
    e = built(tree_.add(minus ? Op::sub : Op::add, since(begin), kids), begin);
  }
  return e;
}

std::optional<ExprId> Parser::product() {
  const auto e = chain(Token::star, Op::mul, &Parser::unary);
  if (!e || (peek() != Token::slash && peek() != Token::percent)) return e;
  syntax(span(), "Cedar has no " + std::string(peek() == Token::slash ? "division" : "remainder"));
  return std::nullopt;
}

std::optional<ExprId> Parser::unary() {
  const Span begin = span();
  const Token sign = peek();
  if (sign != Token::bang && sign != Token::minus) return member();
  std::vector<Span> signs;
  while (peek() == sign) {
    if (signs.size() == 4) {
      syntax(span(), "more than four `" + std::string(word()) + "` in a row");
      return std::nullopt;
    }
    signs.push_back(take());
  }
  std::optional<ExprId> e;
  // A minus in front of a bare number is part of it: that is how -9223372036854775808 can be written at all.
  const Token behind = peek(1);
  const bool bare =
      peek() == Token::integer && behind != Token::dot && behind != Token::left_bracket && behind != Token::left_paren;
  if (sign == Token::minus && bare) {
    e = negative_number(signs.back());
    signs.pop_back();
  } else {
    e = member();
  }
  for (; e && !signs.empty(); signs.pop_back())
    e = built(tree_.add(sign == Token::bang ? Op::not_ : Op::negate, since(signs.back()), std::span(&*e, 1)), begin);
  return e;
}

std::optional<ExprId> Parser::negative_number(Span begin) {
  const Span at = take();
  const auto number = magnitude(source_->slice(at));
  if (number && *number <= most_positive + 1)
    return tree_.add_literal(since(begin), Value::long_(static_cast<std::int64_t>(0 - *number)));
  report(at, "cedar.integer", "this number is too large",
         "integers go from -9223372036854775808 to 9223372036854775807");
  return placeholder(at);
}

std::optional<ExprId> Parser::integer() {
  const Span at = take();
  const auto number = magnitude(source_->slice(at));
  if (number && *number <= most_positive)
    return tree_.add_literal(at, Value::long_(static_cast<std::int64_t>(*number)));
  report(at, "cedar.integer", "this number is too large",
         "integers go from -9223372036854775808 to 9223372036854775807");
  return placeholder(at);
}

std::optional<ExprId> Parser::member() {
  const Span begin = span();
  auto e = primary();
  while (e) {
    if (peek() == Token::dot) {
      e = dot(*e, begin);
      continue;
    }
    if (peek() == Token::left_bracket) {
      e = index(*e, begin);
      continue;
    }
    if (peek() != Token::left_paren) break;
    syntax(span(), "only functions and methods can be called");
    return std::nullopt;
  }
  return e;
}

std::optional<ExprId> Parser::dot(ExprId receiver, Span begin) {
  take();
  const Span at = span();
  auto attribute = name("an attribute or a method");
  if (!attribute) return std::nullopt;
  if (peek() == Token::left_paren) return method(receiver, *attribute, at, begin);
  std::vector<std::string> names(1);
  names[0] = std::move(*attribute);
  return built(tree_.add_named(Op::get_attr, since(begin), std::span(&receiver, 1), std::move(names)), begin);
}

std::optional<ExprId> Parser::index(ExprId receiver, Span begin) {
  take();
  if (peek() != Token::string) {
    unexpected("an attribute's name in double quotes");
    return std::nullopt;
  }
  std::vector<std::string> names(1);
  names[0] = *string();
  if (!expect(Token::right_bracket, "`]`")) return std::nullopt;
  return built(tree_.add_named(Op::get_attr, since(begin), std::span(&receiver, 1), std::move(names)), begin);
}

std::optional<ExprId> Parser::method(ExprId receiver, const std::string& name, Span at, Span begin) {
  take();
  std::vector<ExprId> arguments{receiver};
  if (!list(Token::right_paren, "an argument or `)`", arguments)) return std::nullopt;
  const FunctionInfo* f = find_function(name);
  if (f == nullptr || !f->method) {
    // A reserved name has been reported already.
    if (f != nullptr)
      report(at, "cedar.unknown_function", "`" + name + "` is a function, not a method", "write " + name + "(…)");
    else if (!is_reserved(name) && name != "__cedar")
      report(at, "cedar.unknown_function", "there is no method `" + name + "`", did_you_mean(name, true));
    return placeholder(at);
  }
  // Methods of extension types check this when they run, as the official engine has it.
  if (!is_extension(f->function) && arguments.size() != f->arity) {
    report(at, "cedar.arity",
           "`" + name + "` takes " + std::to_string(f->arity - 1) + " argument" + (f->arity == 2 ? "" : "s") +
               ", not " + std::to_string(arguments.size() - 1));
    return placeholder(at);
  }
  return built(tree_.add_call(f->function, since(begin), arguments), begin);
}

std::optional<ExprId> Parser::primary() {
  const Span at = span();
  switch (peek()) {
    case Token::string:
      return tree_.add_literal(at, Value::string(*string()));
    case Token::integer:
      return integer();
    case Token::left_paren:
      return parenthesised();
    case Token::left_bracket:
      return set();
    case Token::left_brace:
      return record();
    case Token::identifier:
      return named();
    case Token::slot:
      report(at, "cedar.template", "a slot can't stand in a condition", "slots belong in a template's head");
      take();
      return placeholder(at);
    default:
      unexpected("an expression");
      return std::nullopt;
  }
}

std::optional<ExprId> Parser::parenthesised() {
  const Span begin = take();
  const auto e = expression();
  if (!e || !expect(Token::right_paren, "`)`")) return std::nullopt;
  tree_.widen(*e, since(begin));
  return e;
}

std::optional<ExprId> Parser::named() {
  const Span begin = span();
  const bool qualified = peek(1) == Token::colons;
  const bool called = peek(1) == Token::left_paren;
  if (!qualified && !called && (is_word("true") || is_word("false"))) {
    const bool value = is_word("true");
    return tree_.add_literal(take(), Value::boolean(value));
  }
  if (!qualified && is_word("if")) {
    syntax(begin, "`if` needs parentheses here", "write (if … then … else …)");
    return std::nullopt;
  }
  auto name = path("a name");
  if (!name) return std::nullopt;
  if (peek() == Token::left_paren) return function(*name, since(begin));
  if (peek() != Token::colons) return variable(*name, since(begin));
  take();
  if (peek() != Token::string) {
    unexpected("the entity's id in double quotes");
    return std::nullopt;
  }
  EntityUid uid;
  uid.type = std::move(*name);
  uid.id = *string();
  return tree_.add_literal(since(begin), Value::entity(std::move(uid)));
}

std::optional<ExprId> Parser::variable(std::string_view name, Span at) {
  static constexpr std::pair<std::string_view, Op> variables[] = {
      {"principal", Op::principal}, {"action", Op::action}, {"resource", Op::resource}, {"context", Op::context}};
  for (const auto& [spelling, op] : variables)
    if (spelling == name) return tree_.add(op, at, {});
  // A reserved name has been reported already.
  if (is_reserved(name) || name == "__cedar") return placeholder(at);
  std::vector<std::string_view> known;
  for (const auto& [spelling, op] : variables) known.push_back(spelling);
  const std::string near = base::nearest(name, known);
  report(at, "cedar.unknown_variable", "there is no variable `" + std::string(name) + "`",
         near.empty() ? "variables are principal, action, resource and context; text takes double quotes"
                      : "did you mean `" + near + "`?");
  return placeholder(at);
}

std::optional<ExprId> Parser::function(const std::string& name, Span at) {
  take();
  std::vector<ExprId> arguments;
  if (!list(Token::right_paren, "an argument or `)`", arguments)) return std::nullopt;
  const FunctionInfo* f = find_function(name);
  if (f != nullptr && !f->method) return built(tree_.add_call(f->function, since(at), arguments), at);
  if (f != nullptr)
    report(at, "cedar.unknown_function", "`" + name + "` is a method, not a function", "write ….`" + name + "(…)`");
  else if (!is_reserved(name) && name != "__cedar")
    report(at, "cedar.unknown_function", "there is no function `" + name + "`", did_you_mean(name, false));
  return placeholder(at);
}

bool Parser::list(Token close, std::string_view what, std::vector<ExprId>& out) {
  while (peek() != close) {
    if (at_end()) return unexpected(what);
    const auto e = expression();
    if (!e) return false;
    out.push_back(*e);
    if (peek() != close && !expect(Token::comma, close == Token::right_paren ? "`,` or `)`" : "`,` or `]`"))
      return false;
  }
  take();
  return true;
}

std::optional<ExprId> Parser::set() {
  const Span begin = take();
  std::vector<ExprId> elements;
  if (!list(Token::right_bracket, "an element or `]`", elements)) return std::nullopt;
  return built(tree_.add(Op::set, since(begin), elements), begin);
}

std::optional<ExprId> Parser::record() {
  const Span begin = take();
  std::vector<std::string> names;
  std::vector<ExprId> members;
  std::set<std::string, std::less<>> seen;
  while (peek() != Token::right_brace) {
    const Span at = span();
    auto key = peek() == Token::string ? string() : name("an attribute's name or `}`");
    if (!key || !expect(Token::colon, "`:`")) return std::nullopt;
    if (!seen.insert(*key).second) report(at, "cedar.duplicate_key", "the record has " + quote(*key) + " twice");
    const auto member = expression();
    if (!member) return std::nullopt;
    names.push_back(std::move(*key));
    members.push_back(*member);
    if (peek() != Token::right_brace && !expect(Token::comma, "`,` or `}`")) return std::nullopt;
  }
  take();
  return built(tree_.add_named(Op::record, since(begin), members, std::move(names)), begin);
}

}  // namespace daypass::cedar
