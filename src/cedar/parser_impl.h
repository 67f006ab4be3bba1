// The parser's state and its rules, one function each. Included by the parser's own files only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cedar/lexer.h"
#include "cedar/parser.h"
#include "cedar/policy.h"

namespace daypass::cedar {

/// A rule returns nullopt (or false) after a syntax error: the policy is lost and reading resumes behind the next `;`.
/// What is wrong but does not confuse the grammar is reported and read over.
class Parser {
 public:
  struct Options {
    std::size_t max_diagnostics = 1;
    bool templates = false;  ///< slots in a policy's head are no error
  };
  Parser(std::shared_ptr<const Source> source, std::vector<Lexeme> tokens, const Options& options,
         std::vector<Diagnostic>& diagnostics)
      : source_(std::move(source)),
        tokens_(std::move(tokens)),
        max_diagnostics_(options.max_diagnostics),
        templates_(options.templates),
        diagnostics_(diagnostics) {}

  [[nodiscard]] bool at_end() const noexcept { return peek() == Token::end; }
  /// One policy; nullptr after a syntax error.
  std::shared_ptr<const Policy::Data> policy();
  /// Behind the next semicolon.
  void resume() noexcept;
  /// `Path::"id"`.
  std::optional<EntityUid> entity_uid();
  void report(Span span, std::string check, std::string message, std::string hint = {});

 private:
  // Tokens.
  [[nodiscard]] Token peek(std::size_t ahead = 0) const noexcept;
  [[nodiscard]] Span span() const noexcept { return tokens_[at_].span; }
  [[nodiscard]] std::string_view word(std::size_t ahead = 0) const noexcept;
  [[nodiscard]] bool is_word(std::string_view word) const noexcept;
  Span take() noexcept;
  bool take_if(Token token) noexcept;
  bool take_word(std::string_view word) noexcept;
  bool expect(Token token, std::string_view what);
  /// Span from `begin` to the last token taken.
  [[nodiscard]] Span since(Span begin) const noexcept;
  /// Reports `expected …, found …` at the next token. Always false.
  bool unexpected(std::string_view expected, std::string hint = {});
  bool syntax(Span at, std::string message, std::string hint = {});
  bool too_deep(Span at);

  // Policies.
  bool annotations(Policy::Data& data);
  bool effect(Policy::Data& data);
  bool scope(Policy::Data& data);
  bool scope_test(std::string_view variable, ScopeTest& test);
  bool scope_is(std::string_view variable, ScopeTest& test);
  bool scope_operand(std::string_view variable, ScopeTest& test, bool list_allowed);
  bool scope_list(std::string_view variable, ScopeTest& test);
  bool scope_slot(std::string_view variable, ScopeTest& test);
  bool conditions(Policy::Data& data);

  // Names and strings.
  /// An identifier that may stand as a name; reserved ones are reported.
  std::optional<std::string> name(std::string_view what);
  std::optional<std::string> path(std::string_view what);
  void check_name(std::string_view name, Span span);
  std::optional<std::string> string();

  // Expressions.
  std::optional<ExprId> expression();
  std::optional<ExprId> conditional();
  std::optional<ExprId> chain(Token token, Op op, std::optional<ExprId> (Parser::*operand)());
  std::optional<ExprId> disjunction();
  std::optional<ExprId> conjunction();
  std::optional<ExprId> relation();
  std::optional<ExprId> comparison(ExprId left, Op op, Span begin);
  std::optional<ExprId> has(ExprId left, Span begin);
  std::optional<ExprId> like(ExprId left, Span begin);
  std::optional<ExprId> is(ExprId left, Span begin);
  bool relation_follows() const noexcept;
  std::optional<ExprId> sum();
  std::optional<ExprId> product();
  std::optional<ExprId> unary();
  std::optional<ExprId> negative_number(Span begin);
  std::optional<ExprId> member();
  std::optional<ExprId> dot(ExprId receiver, Span begin);
  std::optional<ExprId> method(ExprId receiver, const std::string& name, Span at, Span begin);
  std::optional<ExprId> index(ExprId receiver, Span begin);
  std::optional<ExprId> primary();
  std::optional<ExprId> integer();
  std::optional<ExprId> named();
  std::optional<ExprId> variable(std::string_view name, Span span);
  std::optional<ExprId> function(const std::string& name, Span span);
  std::optional<ExprId> set();
  std::optional<ExprId> record();
  std::optional<ExprId> parenthesised();
  /// Comma-separated expressions up to `close`, which is taken; a trailing comma is allowed.
  bool list(Token close, std::string_view what, std::vector<ExprId>& out);
  /// The new node, or nullopt with "cedar.too_deep" reported.
  std::optional<ExprId> built(std::optional<ExprId> e, Span at);
  /// Stands in for what was reported as wrong.
  ExprId placeholder(Span at) { return tree_.add_literal(at, Value()); }

  std::shared_ptr<const Source> source_;
  std::vector<Lexeme> tokens_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t max_diagnostics_;
  bool templates_;
  std::vector<Diagnostic>& diagnostics_;
  ExprTree tree_;
};

}  // namespace daypass::cedar
