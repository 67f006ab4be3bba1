#include "cedar/format.h"

#include <algorithm>

#include "cedar/layout.h"
#include "cedar/lexer.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;

namespace {

using Id = Layout::Id;

// What stands between two tokens: white space and comments. `before` is false at the start of the text.
void read_gap(std::string_view gap, bool before, Word* previous, Word& next) {
  std::size_t line_ends = 0;
  for (std::size_t i = 0; i < gap.size();) {
    if (!gap.substr(i).starts_with("//")) {
      // `\r\n` is one line end.
      const bool end = gap[i] == '\n' || (gap[i] == '\r' && !gap.substr(i).starts_with("\r\n"));
      line_ends += end ? 1U : 0U;
      ++i;
      continue;
    }
    std::size_t end = std::min(gap.find_first_of("\n\r", i), gap.size());
    std::string_view text = gap.substr(i, end - i);
    i = end;
    while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
    if (before && line_ends == 0 && next.leading.empty() && previous->trailing.empty())
      previous->trailing = text;
    else
      next.leading.push_back({text, line_ends > 1});
    line_ends = 0;
  }
  next.blank_before = line_ends > 1;
}

std::vector<Word> words_of(std::string_view text, const std::vector<Lexeme>& tokens) {
  std::vector<Word> words(tokens.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Span span = tokens[i].span;
    words[i].text = text.substr(span.begin, span.end - span.begin);
    read_gap(text.substr(at, span.begin - at), i > 0, i > 0 ? &words[i - 1] : nullptr, words[i]);
    at = span.end;
  }
  return words;
}

/// Walks the tokens of a text that parses, along the grammar; nothing can be out of place.
class Formatter {
 public:
  Formatter(const std::vector<Lexeme>& tokens, std::vector<Word>& words, Layout& layout)
      : tokens_(tokens), words_(words), layout_(layout) {}

  Id text();

 private:
  [[nodiscard]] Token peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)].token;
  }
  [[nodiscard]] bool is_word(std::string_view word) const {
    return peek() == Token::identifier && words_[at_].text == word;
  }
  Id take() { return layout_.word(at_++); }
  Id space() { return layout_.space(); }

  Id policy();
  Id scope();
  Id scope_test();
  Id scope_operand();
  Id condition();
  Id path();
  Id expr();
  Id chain(Token first, Token second, bool nested, Id (Formatter::*operand)());
  Id conditional();
  Id disjunction() { return chain(Token::or_, Token::or_, false, &Formatter::conjunction); }
  Id conjunction() { return chain(Token::and_, Token::and_, false, &Formatter::relation); }
  Id relation();
  Id sum() { return chain(Token::plus, Token::minus, true, &Formatter::product); }
  Id product() { return chain(Token::star, Token::star, true, &Formatter::unary); }
  Id unary();
  Id member();
  Id access();
  Id primary();
  /// From an opening to its closing bracket. `line` stands inside them.
  Id bracketed(Id line_before, Id line_after, Id (Formatter::*item)());
  Id record_member();

  const std::vector<Lexeme>& tokens_;
  std::vector<Word>& words_;
  Layout& layout_;
  std::size_t at_ = 0;
};

Id Formatter::text() {
  std::vector<Id> parts;
  while (true) {
    Word& first = words_[at_];
    first.starts_part = true;
    const bool end = peek() == Token::end;
    if (!parts.empty() && !end) {
      if (first.leading.empty())
        first.blank_before = true;
      else
        first.leading.front().blank_before = true;
    }
    if (end) {
      first.blank_before = false;
      parts.push_back(take());
      return layout_.all(std::move(parts));
    }
    parts.push_back(policy());
  }
}

Id Formatter::policy() {
  std::vector<Id> parts;
  while (peek() == Token::at) {
    parts.push_back(take());
    parts.push_back(take());
    if (peek() == Token::left_paren)
      for (int i = 0; i < 3; ++i) parts.push_back(take());
    parts.push_back(layout_.hard_line());
  }
  parts.push_back(take());
  parts.push_back(space());
  parts.push_back(scope());
  while (is_word("when") || is_word("unless")) {
    parts.push_back(layout_.hard_line());
    parts.push_back(condition());
  }
  parts.push_back(take());
  return layout_.all(std::move(parts));
}

// On one line when nothing is tested, else a line for each.
Id Formatter::scope() {
  const bool open = peek(2) == Token::comma && peek(4) == Token::comma;
  const bool bare = open && (peek(6) == Token::right_paren || peek(6) == Token::comma);
  const auto line = [&](bool blank) {
    if (!bare) return layout_.hard_line();
    return blank ? layout_.line() : layout_.soft_line();
  };
  std::vector<Id> parts{take()};
  std::vector<Id> inner{line(false)};
  for (int i = 0; i < 3; ++i) {
    if (i > 0) inner.push_back(line(true));
    inner.push_back(scope_test());
    if (i < 2) inner.push_back(take());
  }
  if (peek() == Token::comma) {
    if (words_[at_].leading.empty() && words_[at_].trailing.empty())
      ++at_;
    else
      inner.push_back(take());
  }
  parts.push_back(layout_.nest(layout_.all(std::move(inner))));
  parts.push_back(line(false));
  parts.push_back(take());
  return layout_.group(layout_.all(std::move(parts)));
}

Id Formatter::scope_test() {
  std::vector<Id> parts{take()};
  if (is_word("is")) {
    parts.push_back(space());
    parts.push_back(take());
    parts.push_back(space());
    parts.push_back(path());
    if (!is_word("in")) return layout_.all(std::move(parts));
    std::vector<Id> inner{layout_.line(), take(), space(), scope_operand()};
    parts.push_back(layout_.nest(layout_.all(std::move(inner))));
    return layout_.group(layout_.all(std::move(parts)));
  }
  if (peek() != Token::equal && !is_word("in")) return parts[0];
  parts.push_back(space());
  parts.push_back(take());
  const bool glued = peek() == Token::left_bracket || peek() == Token::left_paren;
  std::vector<Id> inner{glued ? space() : layout_.line(), scope_operand()};
  const Id operand = layout_.all(std::move(inner));
  parts.push_back(glued ? operand : layout_.nest(operand));
  return layout_.group(layout_.all(std::move(parts)));
}

Id Formatter::scope_operand() {
  if (peek() == Token::slot) return take();
  if (peek() == Token::left_bracket)
    return bracketed(layout_.soft_line(), layout_.soft_line(), &Formatter::scope_operand);
  if (peek() != Token::left_paren) return path();
  // Any number of them, without recursion.
  std::vector<Id> parts;
  std::size_t depth = 0;
  for (; peek() == Token::left_paren; ++depth) parts.push_back(take());
  parts.push_back(scope_operand());
  for (; depth > 0; --depth) parts.push_back(take());
  return layout_.all(std::move(parts));
}

// On one line, else the braces on a line of their own, else a block.
Id Formatter::condition() {
  std::vector<Id> parts{take(), layout_.line()};
  std::vector<Id> block{take()};
  std::vector<Id> inner{layout_.line(), expr()};
  block.push_back(layout_.nest(layout_.all(std::move(inner))));
  block.push_back(layout_.line());
  block.push_back(take());
  parts.push_back(layout_.group(layout_.all(std::move(block))));
  return layout_.group(layout_.all(std::move(parts)));
}

// A name, perhaps with an entity's id at its end.
Id Formatter::path() {
  std::vector<Id> parts{take()};
  while (peek() == Token::colons) {
    parts.push_back(take());
    parts.push_back(take());
  }
  return layout_.all(std::move(parts));
}

Id Formatter::expr() {
  return is_word("if") && peek(1) != Token::colons ? conditional() : disjunction();
}

Id Formatter::conditional() {
  std::vector<Id> parts;
  for (int i = 0; i < 3; ++i) {
    if (i > 0) parts.push_back(layout_.line());
    parts.push_back(take());
    std::vector<Id> inner{layout_.line(), expr()};
    parts.push_back(layout_.nest(layout_.all(std::move(inner))));
  }
  return layout_.group(layout_.all(std::move(parts)));
}

// Lines end behind operators.
Id Formatter::chain(Token first, Token second, bool nested, Id (Formatter::*operand)()) {
  const Id left = (this->*operand)();
  if (peek() != first && peek() != second) return left;
  std::vector<Id> parts;
  while (peek() == first || peek() == second) {
    parts.push_back(space());
    parts.push_back(take());
    parts.push_back(layout_.line());
    parts.push_back((this->*operand)());
  }
  const Id rest = layout_.all(std::move(parts));
  std::vector<Id> both{left, nested ? layout_.nest(rest) : rest};
  return layout_.group(layout_.all(std::move(both)));
}

Id Formatter::relation() {
  std::vector<Id> parts{sum()};
  const Token op = peek();
  const bool compared = op == Token::equal || op == Token::not_equal || op == Token::less || op == Token::less_equal ||
                        op == Token::greater || op == Token::greater_equal;
  if (is_word("has") || is_word("like") || is_word("is")) {
    const bool type = is_word("is");
    parts.push_back(space());
    parts.push_back(take());
    parts.push_back(space());
    parts.push_back(path());
    while (peek() == Token::dot) {  // has a.b.c
      parts.push_back(take());
      parts.push_back(take());
    }
    if (!type || !is_word("in")) return layout_.all(std::move(parts));
  } else if (!compared && !is_word("in")) {
    return parts[0];
  }
  parts.push_back(space());
  parts.push_back(take());
  const bool glued = peek() == Token::left_brace || peek() == Token::left_bracket || peek() == Token::left_paren;
  std::vector<Id> inner{glued ? space() : layout_.line(), sum()};
  const Id right = layout_.all(std::move(inner));
  parts.push_back(glued ? right : layout_.nest(right));
  return layout_.group(layout_.all(std::move(parts)));
}

Id Formatter::unary() {
  std::vector<Id> parts;
  while (peek() == Token::bang || peek() == Token::minus) parts.push_back(take());
  if (parts.empty()) return member();
  parts.push_back(member());
  return layout_.all(std::move(parts));
}

// A short chain stays together and lets its arguments break; a longer one breaks before its dots.
Id Formatter::member() {
  std::vector<Id> parts{primary()};
  std::vector<Id> steps;
  while (peek() == Token::dot || peek() == Token::left_bracket || peek() == Token::left_paren)
    steps.push_back(access());
  if (steps.empty()) return parts[0];
  if (steps.size() <= 3) {
    parts.insert(parts.end(), steps.begin(), steps.end());
    return layout_.all(std::move(parts));
  }
  parts.push_back(steps.front());
  std::vector<Id> inner;
  for (std::size_t i = 1; i < steps.size(); ++i) {
    inner.push_back(layout_.soft_line());
    inner.push_back(steps[i]);
  }
  parts.push_back(layout_.nest(layout_.all(std::move(inner))));
  return layout_.group(layout_.all(std::move(parts)));
}

Id Formatter::access() {
  std::vector<Id> parts;
  if (peek() == Token::left_bracket) {
    for (int i = 0; i < 3; ++i) parts.push_back(take());
    return layout_.all(std::move(parts));
  }
  if (peek() == Token::dot) {
    parts.push_back(take());
    parts.push_back(take());
  }
  if (peek() == Token::left_paren)
    parts.push_back(bracketed(layout_.soft_line(), layout_.soft_line(), &Formatter::expr));
  return layout_.all(std::move(parts));
}

Id Formatter::primary() {
  switch (peek()) {
    case Token::left_paren:
    case Token::left_bracket:
      return bracketed(layout_.soft_line(), layout_.soft_line(), &Formatter::expr);
    case Token::left_brace:
      return bracketed(layout_.line(), layout_.line(), &Formatter::record_member);
    case Token::identifier:
      return path();
    default:
      return take();
  }
}

Id Formatter::record_member() {
  std::vector<Id> parts{take(), take(), space(), expr()};
  return layout_.all(std::move(parts));
}

Id Formatter::bracketed(Id line_before, Id line_after, Id (Formatter::*item)()) {
  const auto closes = [&] {
    return peek() == Token::right_paren || peek() == Token::right_bracket || peek() == Token::right_brace;
  };
  std::vector<Id> parts{take()};
  if (closes()) {
    parts.push_back(take());
    return layout_.all(std::move(parts));
  }
  std::vector<Id> inner{line_before};
  while (!closes()) {
    inner.push_back((this->*item)());
    if (peek() != Token::comma) continue;
    const std::size_t comma = at_++;
    const bool bare = words_[comma].leading.empty() && words_[comma].trailing.empty();
    if (!closes() || !bare) inner.push_back(layout_.word(comma));
    if (!closes()) inner.push_back(layout_.line());
  }
  parts.push_back(layout_.nest(layout_.all(std::move(inner))));
  parts.push_back(line_after);
  parts.push_back(take());
  return layout_.group(layout_.all(std::move(parts)));
}

// Tokens, without the commas that the formatter takes out, and comments, each as its text.
std::vector<std::string_view> contents(std::string_view text) {
  std::vector<LexError> errors;
  const auto tokens = tokenize(text, errors);
  const auto words = words_of(text, tokens);
  std::vector<std::string_view> out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (const Comment& comment : words[i].leading) out.push_back(comment.text);
    const Token next = tokens[std::min(i + 1, tokens.size() - 1)].token;
    const bool closes = next == Token::right_paren || next == Token::right_bracket || next == Token::right_brace;
    if (tokens[i].token != Token::comma || !closes) out.push_back(words[i].text);
    if (!words[i].trailing.empty()) out.push_back(words[i].trailing);
  }
  return out;
}

}  // namespace

Result<std::string> format_policies(std::string_view text, std::string file, const FormatOptions& options,
                                    std::vector<Diagnostic>* diagnostics) {
  const ParseOptions parse{.templates = true, .max_bytes = options.max_bytes};
  DP_CHECK(PolicySet::parse(text, std::move(file), parse, diagnostics));
  std::vector<LexError> none;
  const auto tokens = tokenize(text, none);
  auto words = words_of(text, tokens);
  Layout layout(words);
  Formatter formatter(tokens, words, layout);
  const Id root = formatter.text();
  std::string out = layout.write(root, options.width, options.indent);
  // A formatter must not change what a policy means, whatever else it gets wrong.
  if (contents(out) == contents(text)) return out;
  return Error{Code::internal, "cedar.format",
               "the formatter would have changed the policies; they are left as they are",
               "please report this with the text"};
}

}  // namespace daypass::cedar
