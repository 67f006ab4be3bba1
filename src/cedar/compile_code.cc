// From expression trees to flat code. What needs no request is computed here; if it errs, the code errs when it gets
// there.
#include <algorithm>
#include <optional>

#include "cedar/compile_impl.h"
#include "cedar/evaluate.h"

namespace daypass::cedar {
namespace {

// Whether the operation gives the same whatever the request and the entities are, when its operands do.
bool is_pure(const ExprTree& tree, ExprId e) noexcept {
  switch (tree.op(e)) {
    case Op::principal:
    case Op::action:
    case Op::resource:
    case Op::context:
    case Op::in:
    case Op::is_in:
    case Op::has:       // of an entity
    case Op::get_attr:  // likewise
      return false;
    case Op::call:
      return tree.function(e) != Function::get_tag && tree.function(e) != Function::has_tag;
    default:
      return true;
  }
}

std::optional<Variable> variable_of(Op op) noexcept {
  switch (op) {
    case Op::principal:
      return Variable::principal;
    case Op::action:
      return Variable::action;
    case Op::resource:
      return Variable::resource;
    case Op::context:
      return Variable::context;
    default:
      return std::nullopt;
  }
}

}  // namespace

/// Writes one policy's code behind the others'. Recursion is as deep as the tree is high, at most max_nesting.
class CodeWriter {
 public:
  CodeWriter(Program& program, ScopeIndex& index) : out_(program), index_(index), evaluator_(nothing_, nobody_) {}

  void policy(const Policy& policy) {
    tree_ = &policy.exprs();
    begin_ = out_.code_.size();
    out_.units_.push_back({static_cast<std::uint32_t>(begin_), policy.effect() == Effect::forbid});
    constant_.assign(tree_->size(), false);
    for (ExprId e = 0; e < tree_->size(); ++e)
      constant_[e] =
          is_pure(*tree_, e) && std::ranges::all_of(tree_->kids(e), [&](ExprId kid) { return constant_[kid]; });
    for (const Condition& condition : policy.conditions()) test(condition.body, condition.unless);
    emit({.opcode = Opcode::done});
  }

 private:
  // `when { a && b }` is `when { a } when { b }`, and `unless { a || b }` likewise.
  void test(ExprId e, bool unless) {
    if (tree_->op(e) == (unless ? Op::or_ : Op::and_) && !constant_[e]) {
      for (const ExprId kid : tree_->kids(e)) test(kid, unless);
      return;
    }
    value(e);
    emit({.opcode = unless ? Opcode::unless : Opcode::when}, -1);
  }

  // Leaves one more value on the stack.
  void value(ExprId e) {
    if (constant_[e]) return folded(e);
    const Op op = tree_->op(e);
    if (const auto variable = variable_of(op)) {
      emit({.opcode = Opcode::variable, .variable = *variable}, 1);
      return;
    }
    switch (op) {
      case Op::if_then_else:
        return branch(e);
      case Op::and_:
      case Op::or_:
        return logic(e);
      case Op::add:
      case Op::sub:
      case Op::mul:
        return arithmetic(e);
      case Op::not_:
      case Op::negate:
        value(tree_->kids(e)[0]);
        return emit({.opcode = op == Op::not_ ? Opcode::not_ : Opcode::negate});
      case Op::equal:
      case Op::not_equal:
        equal(e);
        if (op == Op::not_equal) emit({.opcode = Opcode::not_});
        return;
      case Op::less:
        return pair(e, Opcode::less);
      case Op::less_equal:
        return pair(e, Opcode::less_equal);
      case Op::greater:
        return pair(e, Opcode::greater);
      case Op::greater_equal:
        return pair(e, Opcode::greater_equal);
      case Op::in:
        return in(e);
      case Op::is:
        value(tree_->kids(e)[0]);
        return emit({.opcode = Opcode::is, .a = name(tree_->names(e)[0])});
      case Op::is_in:
        return is_in(e);
      case Op::has:
        return has(e);
      case Op::get_attr:
        return get_attr(e);
      case Op::like:
        value(tree_->kids(e)[0]);
        out_.patterns_.push_back(&tree_->pattern(e));
        return emit({.opcode = Opcode::like, .a = static_cast<std::uint32_t>(out_.patterns_.size() - 1)});
      default:
        return gathered(e);
    }
  }

  void folded(ExprId e) {
    if (const auto at = constant(e))
      emit({.opcode = Opcode::constant, .a = *at}, 1);
    else
      emit({.opcode = Opcode::raise}, 1);
  }

  // The number of the constant, or nullopt when computing it errs.
  std::optional<std::uint32_t> constant(ExprId e) {
    if (tree_->op(e) == Op::literal) {
      out_.constants_.push_back(Slot::of(tree_->value(e)));
    } else {
      Value made;
      if (!evaluator_.evaluate(*tree_, e, made)) return std::nullopt;
      out_.constants_.push_back(Slot::of(made));
      out_.made_.push_back(std::move(made));
    }
    return static_cast<std::uint32_t>(out_.constants_.size() - 1);
  }

  void branch(ExprId e) {
    const auto kids = tree_->kids(e);
    value(kids[0]);
    const std::size_t to_else = emit_jump(Opcode::jump_unless, -1);
    value(kids[1]);
    const std::size_t to_end = emit_jump(Opcode::jump, -1);  // the other branch finds the stack without the value
    land(to_else);
    value(kids[2]);
    land(to_end);
  }

  void logic(ExprId e) {
    const auto kids = tree_->kids(e);
    const Opcode opcode = tree_->op(e) == Op::and_ ? Opcode::and_ : Opcode::or_;
    std::vector<std::size_t> out;
    for (const ExprId kid : kids.first(kids.size() - 1)) {
      value(kid);
      out.push_back(emit_jump(opcode, -1));
    }
    value(kids.back());
    emit({.opcode = Opcode::check_bool});
    for (const std::size_t jump : out) land(jump);
  }

  void arithmetic(ExprId e) {
    const auto kids = tree_->kids(e);
    const Op op = tree_->op(e);
    value(kids[0]);
    for (const ExprId kid : kids.subspan(1)) {
      value(kid);
      emit({.opcode = op == Op::add ? Opcode::add : op == Op::sub ? Opcode::sub : Opcode::mul}, -1);
    }
  }

  void pair(ExprId e, Opcode opcode) {
    value(tree_->kids(e)[0]);
    value(tree_->kids(e)[1]);
    emit({.opcode = opcode}, -1);
  }

  void equal(ExprId e) {
    auto kids = tree_->kids(e);
    const bool left = constant_[kids[0]];
    if (!left && !constant_[kids[1]]) return pair(e, Opcode::equal);
    const ExprId other = kids[left ? 1 : 0];
    const auto at = constant(kids[left ? 0 : 1]);
    // An operand that errs makes the comparison err, whatever the other one does.
    if (!at) return emit({.opcode = Opcode::raise}, 1);
    const Slot& to = out_.constants_[*at];
    const auto variable = variable_of(tree_->op(other));
    if (variable && *variable != Variable::context && to.kind == Value::Kind::entity)
      return emit({.opcode = Opcode::is_uid, .variable = *variable, .a = index_.intern(*to.uid)}, 1);
    if (const auto of = attribute_owner(other))
      return emit({.opcode = Opcode::attribute_is, .variable = *of, .a = name(tree_->names(other)[0]), .b = *at}, 1);
    value(other);
    emit({.opcode = Opcode::equal_constant, .b = *at});
  }

  // The variable when `e` is `variable.attribute`.
  [[nodiscard]] std::optional<Variable> attribute_owner(ExprId e) const {
    return tree_->op(e) == Op::get_attr ? variable_of(tree_->op(tree_->kids(e)[0])) : std::nullopt;
  }

  void in(ExprId e) {
    const auto kids = tree_->kids(e);
    const auto variable = variable_of(tree_->op(kids[0]));
    if (variable && *variable != Variable::context && tree_->op(kids[1]) == Op::literal)
      if (const EntityUid* uid = tree_->value(kids[1]).as_entity())
        return emit({.opcode = Opcode::within, .variable = *variable, .a = index_.intern(*uid)}, 1);
    pair(e, Opcode::in);
  }

  void is_in(ExprId e) {
    const auto kids = tree_->kids(e);
    value(kids[0]);
    const std::size_t jump = emit_jump(Opcode::is_jump, 0, name(tree_->names(e)[0]));
    value(kids[1]);
    emit({.opcode = Opcode::in}, -1);
    land(jump);
  }

  void has(ExprId e) {
    const ExprId kid = tree_->kids(e)[0];
    const auto path = tree_->names(e);
    const auto variable = variable_of(tree_->op(kid));
    if (variable && path.size() == 1)
      return emit({.opcode = Opcode::has_variable, .variable = *variable, .a = name(path[0])}, 1);
    value(kid);
    const std::uint32_t first = name(path[0]);
    for (const std::string& more : path.subspan(1)) name(more);
    emit({.opcode = Opcode::has, .a = first, .b = static_cast<std::uint32_t>(path.size())});
  }

  void get_attr(ExprId e) {
    const std::uint32_t wanted = name(tree_->names(e)[0]);
    if (const auto of = attribute_owner(e)) return emit({.opcode = Opcode::attribute, .variable = *of, .a = wanted}, 1);
    value(tree_->kids(e)[0]);
    emit({.opcode = Opcode::get, .a = wanted});
  }

  // Calls, sets and records: any number of operands, one result.
  void gathered(ExprId e) {
    const auto kids = tree_->kids(e);
    const auto count = static_cast<std::uint32_t>(kids.size());
    for (const ExprId kid : kids) value(kid);
    const int change = 1 - static_cast<int>(count);
    if (tree_->op(e) == Op::set) return emit({.opcode = Opcode::set, .a = count}, change);
    if (tree_->op(e) == Op::call)
      return emit({.opcode = Opcode::call, .a = static_cast<std::uint32_t>(tree_->function(e)), .b = count}, change);
    const auto first = static_cast<std::uint32_t>(out_.names_.size());
    for (const std::string& key : tree_->names(e)) name(key);
    emit({.opcode = Opcode::record, .a = first, .b = count}, change);
  }

  std::uint32_t name(const std::string& text) {
    out_.names_.push_back(&text);
    return static_cast<std::uint32_t>(out_.names_.size() - 1);
  }

  // `change`: how much the stack grows.
  void emit(Instruction instruction, int change = 0) {
    out_.code_.push_back(instruction);
    depth_ += change;
    out_.stack_size_ = std::max(out_.stack_size_, static_cast<std::size_t>(depth_));
  }
  std::size_t emit_jump(Opcode opcode, int change, std::uint32_t a = 0) {
    emit({.opcode = opcode, .a = a}, change);
    return out_.code_.size() - 1;
  }
  void land(std::size_t jump) { out_.code_[jump].b = static_cast<std::uint32_t>(out_.code_.size() - begin_); }

  Program& out_;
  ScopeIndex& index_;
  const Entities nothing_;
  const Request nobody_;
  Evaluator evaluator_;  // for what is_pure
  const ExprTree* tree_ = nullptr;
  std::size_t begin_ = 0;
  int depth_ = 0;
  std::vector<bool> constant_;
};

Program::Program(const PolicySet& policies, ScopeIndex& index) {
  units_.reserve(policies.size());
  CodeWriter writer(*this, index);
  for (const Policy& policy : policies.policies()) writer.policy(policy);
}

}  // namespace daypass::cedar
