#include "cedar/print.h"

#include <algorithm>

#include "cedar/lexer.h"
#include "cedar/value.h"

namespace daypass::cedar {
namespace {

// How tightly a node binds, loosest first. What stands where something tighter is needed gets parentheses.
enum Level : std::uint8_t { conditional, disjunction, conjunction, relation, sum, product, unary, member };

std::string_view sign_of(Op op) noexcept {
  switch (op) {
    case Op::and_:
      return " && ";
    case Op::or_:
      return " || ";
    case Op::add:
      return " + ";
    case Op::sub:
      return " - ";
    case Op::mul:
      return " * ";
    case Op::equal:
      return " == ";
    case Op::not_equal:
      return " != ";
    case Op::less:
      return " < ";
    case Op::less_equal:
      return " <= ";
    case Op::greater:
      return " > ";
    case Op::greater_equal:
      return " >= ";
    case Op::in:
      return " in ";
    default:
      return "";
  }
}

std::string pattern_text(const Pattern& pattern) {
  std::string out = "\"";
  for (std::size_t i = 0; i < pattern.segments.size(); ++i) {
    if (i > 0) out += '*';
    const std::string quoted = quote(pattern.segments[i]);
    // Only a star itself is written as one: no escape of quote() has it.
    for (const char c : std::string_view(quoted).substr(1, quoted.size() - 2)) {
      if (c == '*') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

class Printer {
 public:
  Printer(const ExprTree& tree, ExprTree* placed, std::size_t limit, std::string& out)
      : tree_(tree), placed_(placed), limit_(limit), out_(out) {}

  void expr(ExprId e, Level needed);
  [[nodiscard]] bool within_limit() const noexcept { return out_.size() <= limit_; }
  [[nodiscard]] Span since(std::size_t begin) const noexcept {
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(out_.size())};
  }

 private:
  [[nodiscard]] Level level(ExprId e) const;
  [[nodiscard]] bool spelled_out(ExprId e) const;
  void node(ExprId e);
  void chain(ExprId e, Level operand);
  void has(ExprId e);
  void call(ExprId e);
  void access(std::string_view name);
  void list(std::span<const ExprId> kids, char open, char close);
  void record(ExprId e);

  const ExprTree& tree_;
  ExprTree* placed_;
  std::size_t limit_;
  std::string& out_;
};

// A path with a name that needs quotes.
bool Printer::spelled_out(ExprId e) const {
  const auto names = tree_.names(e);
  return names.size() > 1 && !std::ranges::all_of(names, is_plain_name);
}

Level Printer::level(ExprId e) const {
  switch (tree_.op(e)) {
    case Op::if_then_else:
      return conditional;
    case Op::or_:
      return disjunction;
    case Op::and_:
      return conjunction;
    case Op::has:
      return spelled_out(e) ? conjunction : relation;
    case Op::equal:
    case Op::not_equal:
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
    case Op::in:
    case Op::like:
    case Op::is:
    case Op::is_in:
      return relation;
    case Op::add:
    case Op::sub:
      return sum;
    case Op::mul:
      return product;
    case Op::not_:
    case Op::negate:
      return unary;
    case Op::literal: {
      const std::int64_t* number = tree_.value(e).as_long();
      return number != nullptr && *number < 0 ? unary : member;
    }
    default:
      return member;
  }
}

void Printer::expr(ExprId e, Level needed) {
  if (!within_limit()) return;
  const std::size_t begin = out_.size();
  const bool brackets = level(e) < needed;
  if (brackets) out_ += '(';
  node(e);
  if (brackets) out_ += ')';
  if (placed_ != nullptr) placed_->widen(e, since(begin));
}

void Printer::node(ExprId e) {
  const auto kids = tree_.kids(e);
  switch (tree_.op(e)) {
    case Op::literal:
      out_ += tree_.value(e).to_string();
      return;
    case Op::principal:
      out_ += "principal";
      return;
    case Op::action:
      out_ += "action";
      return;
    case Op::resource:
      out_ += "resource";
      return;
    case Op::context:
      out_ += "context";
      return;
    case Op::if_then_else:
      out_ += "if ";
      expr(kids[0], conditional);
      out_ += " then ";
      expr(kids[1], conditional);
      out_ += " else ";
      return expr(kids[2], conditional);
    case Op::or_:
      return chain(e, conjunction);
    case Op::and_:
      return chain(e, relation);
    case Op::add:
    case Op::sub:
      return chain(e, product);
    case Op::mul:
      return chain(e, unary);
    case Op::not_:
    case Op::negate: {
      const bool minus = tree_.op(e) == Op::negate;
      out_ += minus ? '-' : '!';
      // `-1` is a number, not the negation of one.
      const bool number = minus && tree_.op(kids[0]) == Op::literal && tree_.value(kids[0]).as_long() != nullptr;
      if (!number || level(kids[0]) < member) return expr(kids[0], member);
      const std::size_t begin = out_.size();
      out_ += '(';
      node(kids[0]);
      out_ += ')';
      if (placed_ != nullptr) placed_->widen(kids[0], since(begin));
      return;
    }
    case Op::equal:
    case Op::not_equal:
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
    case Op::in:
      return chain(e, sum);
    case Op::has:
      return has(e);
    case Op::like:
      expr(kids[0], sum);
      out_ += " like ";
      out_ += pattern_text(tree_.pattern(e));
      return;
    case Op::is:
    case Op::is_in:
      expr(kids[0], sum);
      out_ += " is ";
      out_ += tree_.names(e)[0];
      if (kids.size() < 2) return;
      out_ += " in ";
      return expr(kids[1], sum);
    case Op::get_attr:
      expr(kids[0], member);
      return access(tree_.names(e)[0]);
    case Op::call:
      return call(e);
    case Op::set:
      return list(kids, '[', ']');
    case Op::record:
      return record(e);
  }
}

void Printer::chain(ExprId e, Level operand) {
  const auto kids = tree_.kids(e);
  const Op op = tree_.op(e);
  for (std::size_t i = 0; i < kids.size() && within_limit(); ++i) {
    if (i > 0) out_ += sign_of(op);
    // `a + b - c` is a sum within a difference; only one of the same sign would be taken for part of this chain.
    const bool other_sum = i == 0 && operand == product && tree_.op(kids[0]) != op;
    expr(kids[i], other_sum ? sum : operand);
  }
}

void Printer::access(std::string_view name) {
  if (is_plain_name(name)) {
    out_ += '.';
    out_ += name;
    return;
  }
  out_ += '[';
  out_ += quote(name);
  out_ += ']';
}

void Printer::has(ExprId e) {
  const ExprId kid = tree_.kids(e)[0];
  const auto names = tree_.names(e);
  if (!spelled_out(e)) {
    expr(kid, sum);
    out_ += " has ";
    if (names.size() == 1 && !is_plain_name(names[0])) {
      out_ += quote(names[0]);
      return;
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i > 0) out_ += '.';
      out_ += names[i];
    }
    return;
  }
  for (std::size_t i = 0; i < names.size() && within_limit(); ++i) {
    if (i > 0) out_ += " && ";
    expr(kid, i == 0 ? sum : member);
    for (std::size_t j = 0; j < i; ++j) access(names[j]);
    out_ += " has ";
    out_ += is_plain_name(names[i]) ? names[i] : quote(names[i]);
  }
}

void Printer::call(ExprId e) {
  auto arguments = tree_.kids(e);
  const FunctionInfo& function = info(tree_.function(e));
  if (function.method) {
    expr(arguments[0], member);
    out_ += '.';
    arguments = arguments.subspan(1);
  }
  out_ += function.name;
  list(arguments, '(', ')');
}

void Printer::list(std::span<const ExprId> kids, char open, char close) {
  out_ += open;
  for (std::size_t i = 0; i < kids.size() && within_limit(); ++i) {
    if (i > 0) out_ += ", ";
    expr(kids[i], conditional);
  }
  out_ += close;
}

void Printer::record(ExprId e) {
  const auto kids = tree_.kids(e);
  const auto names = tree_.names(e);
  out_ += '{';
  for (std::size_t i = 0; i < kids.size() && within_limit(); ++i) {
    if (i > 0) out_ += ", ";
    out_ += is_plain_name(names[i]) ? names[i] : quote(names[i]);
    out_ += ": ";
    expr(kids[i], conditional);
  }
  out_ += '}';
}

void print_scope(std::string_view variable, const ScopeTest& test, std::string& out) {
  const auto operand = [&] {
    if (test.slot) {
      out += "?" + std::string(variable);
      return;
    }
    if (test.listed) out += '[';
    for (std::size_t i = 0; i < test.entities.size(); ++i) {
      if (i > 0) out += ", ";
      out += test.entities[i].to_string();
    }
    if (test.listed) out += ']';
  };
  out += variable;
  switch (test.kind) {
    case ScopeTest::Kind::any:
      return;
    case ScopeTest::Kind::equal:
      out += " == ";
      return operand();
    case ScopeTest::Kind::in:
      out += " in ";
      return operand();
    case ScopeTest::Kind::is:
      out += " is " + test.type;
      return;
    case ScopeTest::Kind::is_in:
      out += " is " + test.type + " in ";
      return operand();
  }
}

}  // namespace

bool is_plain_name(std::string_view name) noexcept {
  return name.find(':') == std::string_view::npos && is_type_name(name);
}

bool print_policy(const Policy& policy, Policy::Data* placed, std::size_t limit, std::string& out) {
  Printer printer(policy.exprs(), placed == nullptr ? nullptr : &placed->exprs, limit, out);
  const std::size_t begin = out.size();
  for (const std::string& key : policy.annotation_order()) {
    out += "@" + key;
    if (!policy.is_bare_annotation(key)) out += "(" + quote(*policy.annotation(key)) + ")";
    out += '\n';
  }
  out += to_string(policy.effect());
  const std::pair<const char*, const ScopeTest*> heads[] = {
      {"principal", &policy.principal()}, {"action", &policy.action()}, {"resource", &policy.resource()}};
  ScopeTest* places[] = {nullptr, nullptr, nullptr};
  if (placed != nullptr) {
    places[0] = &placed->principal;
    places[1] = &placed->action;
    places[2] = &placed->resource;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    out += i == 0 ? "(" : ", ";
    const std::size_t at = out.size();
    print_scope(heads[i].first, *heads[i].second, out);
    if (places[i] != nullptr) places[i]->span = printer.since(at);
  }
  out += ')';
  for (std::size_t i = 0; i < policy.conditions().size(); ++i) {
    out += '\n';
    const std::size_t at = out.size();
    out += policy.conditions()[i].unless ? "unless { " : "when { ";
    printer.expr(policy.conditions()[i].body, conditional);
    out += " }";
    if (placed != nullptr) placed->conditions[i].span = printer.since(at);
  }
  out += ';';
  if (placed != nullptr) placed->span = printer.since(begin);
  return printer.within_limit();
}

}  // namespace daypass::cedar
