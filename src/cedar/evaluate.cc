#include "cedar/evaluate.h"

#include <algorithm>
#include <array>

namespace daypass::cedar {

Evaluator::Evaluator(const Entities& entities, const Request& request)
    : entities_(entities),
      principal_(Value::entity(request.principal)),
      action_(Value::entity(request.action)),
      resource_(Value::entity(request.resource)),
      context_(Value::record(request.context)) {}

bool Evaluator::fail(const ExprTree& tree, ExprId e, std::string message) {
  failure_ = {std::move(message), tree.span(e)};
  return false;
}

bool Evaluator::type_error(const ExprTree& tree, ExprId e, std::string_view expected, const Value& got) {
  return fail(tree, e, "type error: expected " + std::string(expected) + ", got " + std::string(got.type_name()));
}

bool Evaluator::evaluate_bool(const ExprTree& tree, ExprId e, bool& out) {
  Value value;
  if (!evaluate(tree, e, value)) return false;
  if (const bool* b = value.as_bool()) {
    out = *b;
    return true;
  }
  return type_error(tree, e, "bool", value);
}

// Every case is a function of its own: what one frame of the recursion costs is then only what that case needs.
bool Evaluator::evaluate(const ExprTree& tree, ExprId e, Value& out) {
  switch (tree.op(e)) {
    case Op::literal:
      out = tree.value(e);
      return true;
    case Op::principal:
      out = principal_;
      return true;
    case Op::action:
      out = action_;
      return true;
    case Op::resource:
      out = resource_;
      return true;
    case Op::context:
      out = context_;
      return true;
    case Op::if_then_else:
      return branch(tree, e, out);
    case Op::and_:
    case Op::or_:
      return logic(tree, e, out);
    case Op::add:
    case Op::sub:
    case Op::mul:
      return arithmetic(tree, e, out);
    case Op::not_:
    case Op::negate:
      return unary(tree, e, out);
    case Op::equal:
    case Op::not_equal:
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
    case Op::in:
      return relation(tree, e, out);
    case Op::has:
      return has(tree, e, out);
    case Op::like:
      return like(tree, e, out);
    case Op::is:
    case Op::is_in:
      return is(tree, e, out);
    case Op::get_attr:
      return get_attr(tree, e, out);
    case Op::call:
      return call(tree, e, out);
    case Op::set:
      return set(tree, e, out);
    case Op::record:
      return record(tree, e, out);
  }
  return fail(tree, e, "no such operation");
}

bool Evaluator::branch(const ExprTree& tree, ExprId e, Value& out) {
  const auto kids = tree.kids(e);
  bool guard = false;
  if (!evaluate_bool(tree, kids[0], guard)) return false;
  return evaluate(tree, kids[guard ? 1 : 2], out);
}

bool Evaluator::logic(const ExprTree& tree, ExprId e, Value& out) {
  const bool decides = tree.op(e) == Op::or_;
  for (const ExprId kid : tree.kids(e)) {
    bool b = false;
    if (!evaluate_bool(tree, kid, b)) return false;
    if (b == decides) {
      out = Value::boolean(decides);
      return true;
    }
  }
  out = Value::boolean(!decides);
  return true;
}

bool Evaluator::arithmetic(const ExprTree& tree, ExprId e, Value& out) {
  const auto kids = tree.kids(e);
  Value left;
  if (!evaluate(tree, kids[0], left)) return false;
  for (std::size_t i = 1; i < kids.size(); ++i) {
    Value right;
    if (!evaluate(tree, kids[i], right)) return false;
    const std::int64_t* a = left.as_long();
    const std::int64_t* b = right.as_long();
    if (a == nullptr) return type_error(tree, kids[i - 1], "long", left);
    if (b == nullptr) return type_error(tree, kids[i], "long", right);
    std::int64_t number = 0;
    bool overflow = false;
    switch (tree.op(e)) {
      case Op::add:
        overflow = __builtin_add_overflow(*a, *b, &number);
        break;
      case Op::sub:
        overflow = __builtin_sub_overflow(*a, *b, &number);
        break;
      default:
        overflow = __builtin_mul_overflow(*a, *b, &number);
        break;
    }
    if (overflow) return fail(tree, e, "integer overflow with " + std::to_string(*a) + " and " + std::to_string(*b));
    left = Value::long_(number);
  }
  out = std::move(left);
  return true;
}

bool Evaluator::unary(const ExprTree& tree, ExprId e, Value& out) {
  const ExprId kid = tree.kids(e)[0];
  if (!evaluate(tree, kid, out)) return false;
  if (tree.op(e) == Op::not_) {
    const bool* b = out.as_bool();
    if (b == nullptr) return type_error(tree, kid, "bool", out);
    out = Value::boolean(!*b);
    return true;
  }
  const std::int64_t* a = out.as_long();
  if (a == nullptr) return type_error(tree, kid, "long", out);
  std::int64_t number = 0;
  if (__builtin_sub_overflow(std::int64_t{0}, *a, &number))
    return fail(tree, e, "integer overflow when negating " + std::to_string(*a));
  out = Value::long_(number);
  return true;
}

bool Evaluator::relation(const ExprTree& tree, ExprId e, Value& out) {
  const auto kids = tree.kids(e);
  Value left;
  Value right;
  if (!evaluate(tree, kids[0], left) || !evaluate(tree, kids[1], right)) return false;
  switch (tree.op(e)) {
    case Op::equal:
      out = Value::boolean(left == right);
      return true;
    case Op::not_equal:
      out = Value::boolean(left != right);
      return true;
    case Op::in:
      return in(tree, e, left, right, out);
    default:
      return order(tree, e, left, right, out);
  }
}

bool Evaluator::order(const ExprTree& tree, ExprId e, const Value& left, const Value& right, Value& out) {
  const auto number = [](const Value& value) {
    if (const auto* n = value.as_long()) return n;
    if (const auto* n = value.as_datetime()) return n;
    return value.as_duration();
  };
  const std::int64_t* a = number(left);
  const std::int64_t* b = number(right);
  const auto kids = tree.kids(e);
  if (a == nullptr) return type_error(tree, kids[0], "long, datetime or duration", left);
  if (b == nullptr) return type_error(tree, kids[1], left.type_name(), right);
  if (left.kind() != right.kind()) return type_error(tree, kids[1], left.type_name(), right);
  switch (tree.op(e)) {
    case Op::less:
      out = Value::boolean(*a < *b);
      return true;
    case Op::less_equal:
      out = Value::boolean(*a <= *b);
      return true;
    case Op::greater:
      out = Value::boolean(*a > *b);
      return true;
    default:
      out = Value::boolean(*a >= *b);
      return true;
  }
}

bool Evaluator::in(const ExprTree& tree, ExprId e, const Value& left, const Value& right, Value& out) {
  const EntityUid* uid = left.as_entity();
  const ExprId right_kid = tree.kids(e)[1];
  if (uid == nullptr) return type_error(tree, tree.kids(e)[0], "entity", left);
  if (const EntityUid* ancestor = right.as_entity()) {
    out = Value::boolean(entities_.is_in(*uid, *ancestor));
    return true;
  }
  const std::vector<Value>* elements = right.as_set();
  if (elements == nullptr) return type_error(tree, right_kid, "entity or set of entities", right);
  // One element that is no entity is an error even when another one is a hit.
  for (const Value& element : *elements)
    if (element.as_entity() == nullptr) return type_error(tree, right_kid, "set of entities, all elements", element);
  out = Value::boolean(std::ranges::any_of(
      *elements, [&](const Value& element) { return entities_.is_in(*uid, *element.as_entity()); }));
  return true;
}

bool Evaluator::is(const ExprTree& tree, ExprId e, Value& out) {
  const auto kids = tree.kids(e);
  Value left;
  if (!evaluate(tree, kids[0], left)) return false;
  const EntityUid* uid = left.as_entity();
  if (uid == nullptr) return type_error(tree, kids[0], "entity", left);
  const bool same = uid->type == tree.names(e)[0];
  // `a is T in b` is `a is T && a in b`: b is not looked at when the type is another.
  if (!same || tree.op(e) == Op::is) {
    out = Value::boolean(same);
    return true;
  }
  Value right;
  return evaluate(tree, kids[1], right) && in(tree, e, left, right, out);
}

bool Evaluator::attributes(const ExprTree& tree, ExprId e, const Value& of, const Record*& attrs) {
  attrs = of.as_record();
  if (attrs != nullptr) return true;
  const EntityUid* uid = of.as_entity();
  if (uid == nullptr) return type_error(tree, e, "record or entity", of);
  const Entity* entity = entities_.find(*uid);
  attrs = entity == nullptr ? nullptr : &entity->attrs;
  return true;
}

bool Evaluator::has(const ExprTree& tree, ExprId e, Value& out) {
  const ExprId kid = tree.kids(e)[0];
  Value at;
  if (!evaluate(tree, kid, at)) return false;
  // `a has x.y` is `a has x && a.x has y`.
  for (const std::string& name : tree.names(e)) {
    const Record* attrs = nullptr;
    if (!attributes(tree, kid, at, attrs)) return false;
    const auto found = attrs == nullptr ? Record::const_iterator() : attrs->find(name);
    if (attrs == nullptr || found == attrs->end()) {
      out = Value::boolean(false);
      return true;
    }
    // A copy first: assigning frees the record that `found` points into.
    Value next = found->second;
    at = std::move(next);
  }
  out = Value::boolean(true);
  return true;
}

bool Evaluator::get_attr(const ExprTree& tree, ExprId e, Value& out) {
  const ExprId kid = tree.kids(e)[0];
  const std::string& name = tree.names(e)[0];
  Value of;
  if (!evaluate(tree, kid, of)) return false;
  const Record* attrs = nullptr;
  if (!attributes(tree, kid, of, attrs)) return false;
  if (attrs == nullptr) return fail(tree, kid, "entity " + of.to_string() + " does not exist");
  const auto found = attrs->find(name);
  if (found == attrs->end())
    return fail(tree, e,
                (of.as_entity() != nullptr ? of.to_string() : "the record") + " has no attribute " + quote(name));
  out = found->second;
  return true;
}

bool Evaluator::like(const ExprTree& tree, ExprId e, Value& out) {
  const ExprId kid = tree.kids(e)[0];
  Value text;
  if (!evaluate(tree, kid, text)) return false;
  const std::string* s = text.as_string();
  if (s == nullptr) return type_error(tree, kid, "string", text);
  out = Value::boolean(tree.pattern(e).matches(*s));
  return true;
}

bool Evaluator::call(const ExprTree& tree, ExprId e, Value& out) {
  switch (tree.function(e)) {
    case Function::contains:
    case Function::contains_all:
    case Function::contains_any:
    case Function::is_empty:
      return set_method(tree, e, out);
    case Function::get_tag:
    case Function::has_tag:
      return tag_method(tree, e, out);
    default:
      break;
  }
  std::vector<Value> arguments(tree.kids(e).size());
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (!evaluate(tree, tree.kids(e)[i], arguments[i])) return false;
  auto result = call_extension(tree.function(e), arguments);
  if (!result.ok()) return fail(tree, e, result.error().message);
  out = std::move(*result);
  return true;
}

bool Evaluator::set_method(const ExprTree& tree, ExprId e, Value& out) {
  const auto kids = tree.kids(e);
  const Function function = tree.function(e);
  Value left;
  Value right;
  if (!evaluate(tree, kids[0], left)) return false;
  if (kids.size() > 1 && !evaluate(tree, kids[1], right)) return false;
  const auto* set = left.as_set();
  if (set == nullptr) return type_error(tree, kids[0], "set", left);
  if (function == Function::is_empty) {
    out = Value::boolean(set->empty());
    return true;
  }
  if (function == Function::contains) {
    out = Value::boolean(left.contains(right));
    return true;
  }
  const auto* other = right.as_set();
  if (other == nullptr) return type_error(tree, kids[1], "set", right);
  const auto has = [&](const Value& element) { return left.contains(element); };
  out = Value::boolean(function == Function::contains_all ? std::ranges::all_of(*other, has)
                                                          : std::ranges::any_of(*other, has));
  return true;
}

bool Evaluator::tag_method(const ExprTree& tree, ExprId e, Value& out) {
  const auto kids = tree.kids(e);
  Value of;
  Value key;
  if (!evaluate(tree, kids[0], of) || !evaluate(tree, kids[1], key)) return false;
  const EntityUid* uid = of.as_entity();
  if (uid == nullptr) return type_error(tree, kids[0], "entity", of);
  const std::string* name = key.as_string();
  if (name == nullptr) return type_error(tree, kids[1], "string", key);
  const Entity* entity = entities_.find(*uid);
  const bool there = entity != nullptr && entity->tags.contains(*name);
  if (tree.function(e) == Function::has_tag) {
    out = Value::boolean(there);
    return true;
  }
  if (entity == nullptr) return fail(tree, kids[0], "entity " + uid->to_string() + " does not exist");
  if (!there) return fail(tree, e, uid->to_string() + " has no tag " + quote(*name));
  out = entity->tags.find(*name)->second;
  return true;
}

bool Evaluator::set(const ExprTree& tree, ExprId e, Value& out) {
  std::vector<Value> elements(tree.kids(e).size());
  for (std::size_t i = 0; i < elements.size(); ++i)
    if (!evaluate(tree, tree.kids(e)[i], elements[i])) return false;
  out = Value::set(std::move(elements));
  return true;
}

bool Evaluator::record(const ExprTree& tree, ExprId e, Value& out) {
  const auto kids = tree.kids(e);
  Record members;
  for (std::size_t i = 0; i < kids.size(); ++i)
    if (!evaluate(tree, kids[i], members[tree.names(e)[i]])) return false;
  out = Value::record(std::move(members));
  return true;
}

bool Evaluator::holds(const ScopeTest& test, const EntityUid& uid) const noexcept {
  return cedar::holds(test, entities_, uid);
}

bool holds(const ScopeTest& test, const Entities& entities, const EntityUid& uid) noexcept {
  if (test.slot) return false;  // a template by itself applies to nothing
  const auto in = [&](const EntityUid& ancestor) { return entities.is_in(uid, ancestor); };
  switch (test.kind) {
    case ScopeTest::Kind::any:
      return true;
    case ScopeTest::Kind::equal:
      return uid == test.entities.front();
    case ScopeTest::Kind::is:
      return uid.type == test.type;
    case ScopeTest::Kind::in:
      return std::ranges::any_of(test.entities, in);
    case ScopeTest::Kind::is_in:
      return uid.type == test.type && in(test.entities.front());
  }
  return false;
}

}  // namespace daypass::cedar
