#include "cedar/typecheck.h"

#include <algorithm>

namespace daypass::cedar {
namespace {

using T = TypeTable;

Capabilities united(const Capabilities& a, const Capabilities& b) {
  if (a.empty()) return b;
  Capabilities out;
  out.reserve(a.size() + b.size());
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

Capabilities common(const Capabilities& a, const Capabilities& b) {
  Capabilities out;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

void append_number(std::string& key, std::uint32_t number) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    key += static_cast<char>(static_cast<unsigned char>(number >> shift));
}

}  // namespace

// Shapes.

ExprShapes::ExprShapes(const ExprTree& tree) {
  shapes_.reserve(tree.size());
  for (ExprId e = 0; e < tree.size(); ++e) shapes_.push_back(shape(tree, e));  // kids come before their parents
}

std::uint32_t ExprShapes::intern(std::string key) {
  return by_key_.try_emplace(std::move(key), static_cast<std::uint32_t>(by_key_.size())).first->second;
}

std::uint32_t ExprShapes::node(Op op, std::span<const std::uint32_t> kids, std::string_view extra) {
  std::string key(1, static_cast<char>(op));
  append_number(key, static_cast<std::uint32_t>(kids.size()));
  for (const std::uint32_t kid : kids) append_number(key, kid);
  key += extra;
  return intern(std::move(key));
}

std::uint32_t ExprShapes::attribute(std::uint32_t on, std::string_view name) {
  return node(Op::get_attr, std::span(&on, 1), name);
}

std::uint32_t ExprShapes::text(std::string_view text) {
  return node(Op::literal, {}, "s" + std::string(text));
}

std::uint32_t ExprShapes::path(const ExprTree& tree, ExprId e) {
  std::uint32_t on = shapes_[tree.kids(e)[0]];
  std::optional<std::uint32_t> out;
  for (const std::string& name : tree.names(e)) {
    const std::uint32_t step = node(Op::has, std::span(&on, 1), name);
    const std::uint32_t pair[] = {out.value_or(0), step};
    out = out ? node(Op::and_, pair) : step;
    on = attribute(on, name);
  }
  return *out;
}

std::uint32_t ExprShapes::record(const ExprTree& tree, ExprId e) {
  std::vector<std::pair<std::string_view, std::uint32_t>> members;
  for (std::size_t i = 0; i < tree.names(e).size(); ++i)
    members.emplace_back(tree.names(e)[i], shapes_[tree.kids(e)[i]]);
  std::sort(members.begin(), members.end());
  std::vector<std::uint32_t> kids;
  std::string names;
  for (const auto& [name, kid] : members) {
    append_number(names, static_cast<std::uint32_t>(name.size()));
    names += name;
    kids.push_back(kid);
  }
  return node(Op::record, kids, names);
}

std::uint32_t ExprShapes::shape(const ExprTree& tree, ExprId e) {
  std::vector<std::uint32_t> kids;
  for (const ExprId kid : tree.kids(e)) kids.push_back(shapes_[kid]);
  const auto negated = [&](Op op) {
    const std::uint32_t positive = node(op, kids);
    return node(Op::not_, std::span(&positive, 1));
  };
  switch (tree.op(e)) {
    case Op::literal: {
      const Value& value = tree.value(e);
      if (const std::string* plain = value.as_string()) return text(*plain);
      return node(Op::literal, {}, "v" + value.to_string());
    }
    case Op::not_equal:
      return negated(Op::equal);
    case Op::greater:
      return negated(Op::less_equal);
    case Op::greater_equal:
      return negated(Op::less);
    case Op::and_:
    case Op::or_:
    case Op::add:
    case Op::sub:
    case Op::mul: {
      std::uint32_t out = kids[0];
      for (std::size_t i = 1; i < kids.size(); ++i) {
        const std::uint32_t pair[] = {out, kids[i]};
        out = node(tree.op(e), pair);
      }
      return out;
    }
    case Op::has:
      return path(tree, e);
    case Op::record:
      return record(tree, e);
    case Op::get_attr:
      return attribute(kids[0], tree.names(e)[0]);
    case Op::is:
      return node(Op::is, kids, tree.names(e)[0]);
    case Op::is_in: {
      const std::uint32_t pair[] = {node(Op::is, std::span(kids).first(1), tree.names(e)[0]), node(Op::in, kids)};
      return node(Op::and_, pair);
    }
    case Op::like: {
      std::string segments;
      for (const std::string& segment : tree.pattern(e).segments) {
        append_number(segments, static_cast<std::uint32_t>(segment.size()));
        segments += segment;
      }
      return node(Op::like, kids, segments);
    }
    case Op::call:
      return node(Op::call, kids, std::string(1, static_cast<char>(tree.function(e))));
    default:
      return node(tree.op(e), kids);
  }
}

// Checking.

void TypeChecker::problem(Span at, std::string check, std::string message, std::string hint) {
  TypeProblem found{at, "cedar." + check, std::move(message), std::move(hint)};
  // What is looked at twice is told once.
  if (problems_->empty() || problems_->back() != found) problems_->push_back(std::move(found));
}

TypeChecker::Answer TypeChecker::check(const RequestEnvironment& environment, std::span<const PolicyTerm> terms,
                                       std::vector<TypeProblem>& problems) {
  environment_ = environment;
  action_value_ = Value::entity(environment.action->uid);
  problems_ = &problems;
  seen_.assign(tree_.size(), unknown);
  reached_.assign(tree_.size(), 0);
  reached_terms_ = 0;
  const auto one = [&](const Capabilities& prior, const PolicyTerm& term) {
    Answer out = expect(prior, term.expr, boolean);
    return term.negated ? negation(std::move(out)) : out;
  };
  // The head, from left to right.
  Answer head{true, T::true_, {}};
  while (reached_terms_ < std::min(scope_terms, terms.size()) && head.type != T::false_)
    head = both(head, one(head.learned, terms[reached_terms_++]));
  if (head.type == T::false_) return head;
  // The conditions group to the right: what one shows holds in those behind it, whatever went wrong before it.
  std::vector<Answer> conditions;
  Capabilities known = head.learned;
  while (reached_terms_ < terms.size() && (conditions.empty() || conditions.back().type != T::false_)) {
    conditions.push_back(one(known, terms[reached_terms_++]));
    known = united(known, conditions.back().learned);
  }
  if (conditions.empty()) return head;
  Answer out = std::move(conditions.back());
  for (std::size_t i = conditions.size() - 1; i > 0; --i) out = both(conditions[i - 1], out);
  return both(head, out);
}

TypeChecker::Answer TypeChecker::check(const Capabilities& prior, ExprId e) {
  Answer out = check_node(prior, e);
  if (!out.good) out.learned.clear();
  seen_[e] = out.type;
  return out;
}

TypeChecker::Answer TypeChecker::check_node(const Capabilities& prior, ExprId e) {
  switch (tree_.op(e)) {
    case Op::literal:
      return literal(e);
    case Op::principal:
    case Op::action:
    case Op::resource:
    case Op::context:
      return variable(tree_.op(e));
    case Op::if_then_else:
      return branch(prior, e);
    case Op::and_:
      return all_of(prior, e);
    case Op::or_:
      return any_of(prior, e);
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::negate:
      return arithmetic(prior, e);
    case Op::not_:
      return negation(expect(prior, tree_.kids(e)[0], boolean));
    case Op::equal:
      return equality(prior, e);
    case Op::not_equal:
      return negation(equality(prior, e));
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal:
      return order(prior, e);
    case Op::in:
      return in(prior, e, tree_.kids(e)[0], tree_.kids(e)[1]);
    case Op::has:
      return has(prior, e);
    case Op::like: {
      const Answer text = expect(prior, tree_.kids(e)[0], string, [](TypeKind actual) {
        return std::string(actual == TypeKind::entity ? "to test an entity's type, use `is`" : "");
      });
      return {text.good, T::boolean, {}};
    }
    case Op::is:
      return is(prior, e);
    case Op::is_in:
      return is_in(prior, e);
    case Op::get_attr:
      return get_attribute(prior, e);
    case Op::call:
      return call(prior, e);
    case Op::set:
      return set(prior, e);
    case Op::record:
      return record_of(prior, e);
  }
  return {false, unknown, {}};
}

bool TypeChecker::fits(TypeId type, Expected expected) const noexcept {
  switch (types_.kind(type)) {
    case TypeKind::never:
      return true;
    case TypeKind::true_:
    case TypeKind::false_:
    case TypeKind::boolean:
      return (expected & boolean) != 0;
    case TypeKind::long_:
      return (expected & long_) != 0;
    case TypeKind::string:
      return (expected & string) != 0;
    case TypeKind::decimal:
      return (expected & decimal) != 0;
    case TypeKind::ipaddr:
      return (expected & ipaddr) != 0;
    case TypeKind::datetime:
      return (expected & datetime) != 0;
    case TypeKind::duration:
      return (expected & duration) != 0;
    case TypeKind::entity:
      return (expected & entity) != 0;
    case TypeKind::record:
      return (expected & record) != 0;
    case TypeKind::set:
      return (expected & any_set) != 0 || ((expected & entity_set) != 0 && fits(types_.at(type).element, entity));
  }
  return false;
}

std::string TypeChecker::names_of(Expected expected) {
  static constexpr std::pair<Expected, std::string_view> names[] = {
      {boolean, "Bool"},
      {long_, "Long"},
      {string, "String"},
      {entity, "an entity"},
      {record, "a record"},
      {any_set, "a set"},
      {entity_set, "a set of entities"},
      {decimal, "decimal"},
      {ipaddr, "ipaddr"},
      {datetime, "datetime"},
      {duration, "duration"},
  };
  std::string out;
  for (const auto& [bit, name] : names)
    if ((expected & bit) != 0) out += (out.empty() ? "" : " or ") + std::string(name);
  return out;
}

TypeChecker::Answer TypeChecker::restrict(Answer actual, Span at, Expected expected, Hint hint) {
  if (actual.type == unknown) return {false, unknown, {}};
  if (fits(actual.type, expected)) return actual;
  problem(at, "unexpected_type", "expected " + names_of(expected) + ", found " + types_.to_string(actual.type),
          hint == nullptr ? "" : hint(types_.kind(actual.type)));
  return {false, unknown, {}};
}

TypeChecker::Answer TypeChecker::expect(const Capabilities& prior, ExprId e, Expected expected, Hint hint) {
  return restrict(check(prior, e), tree_.span(e), expected, hint);
}

// `left && right`, both already bools or unknown, left not false.
TypeChecker::Answer TypeChecker::both(const Answer& left, const Answer& right) const {
  Answer out{left.good && right.good, T::boolean, {}};
  if (left.type == unknown || right.type == unknown) {
    out.good = false;
    return out;
  }
  if (right.type == T::false_) {
    out.type = T::false_;
    return out;
  }
  if (right.type == T::true_)
    out.type = left.type;
  else if (left.type == T::true_)
    out.type = right.type;
  if (out.good) out.learned = united(left.learned, right.learned);
  return out;
}

TypeChecker::Answer TypeChecker::all_of(const Capabilities& prior, ExprId e) {
  const auto kids = tree_.kids(e);
  Answer out = expect(prior, kids[0], boolean);
  reached_[e] = 1;
  for (const ExprId kid : kids.subspan(1)) {
    if (out.type == T::false_) {
      out.learned.clear();
      break;
    }
    ++reached_[e];
    out = both(out, expect(united(prior, out.learned), kid, boolean));
  }
  return out;
}

// `left || right`, both already bools or unknown, left not true.
TypeChecker::Answer TypeChecker::either(const Answer& left, const Answer& right) const {
  Answer out{left.good && right.good, T::boolean, {}};
  if (left.type == unknown || right.type == unknown) {
    out.good = false;
    return out;
  }
  if (right.type == T::true_) {
    out.type = T::true_;
    out.learned = right.learned;
  } else if (right.type == T::false_) {
    out.type = left.type;
    out.learned = left.learned;
  } else if (left.type == T::false_) {
    out.type = right.type;
    out.learned = right.learned;
  } else {
    out.learned = common(left.learned, right.learned);
  }
  if (!out.good) out.learned.clear();
  return out;
}

TypeChecker::Answer TypeChecker::any_of(const Capabilities& prior, ExprId e) {
  const auto kids = tree_.kids(e);
  Answer out = expect(prior, kids[0], boolean);
  reached_[e] = 1;
  for (const ExprId kid : kids.subspan(1)) {
    if (out.type == T::true_) break;
    ++reached_[e];
    out = either(out, expect(prior, kid, boolean));
  }
  return out;
}

TypeChecker::Answer TypeChecker::branch(const Capabilities& prior, ExprId e) {
  const auto kids = tree_.kids(e);
  const Answer test = expect(prior, kids[0], boolean);
  const auto then = [&] {
    Answer out = check(united(prior, test.learned), kids[1]);
    if (out.good) out.learned = united(out.learned, test.learned);
    return out;
  };
  Answer out;
  if (test.type == T::true_) {
    reached_[e] = 1;
    out = then();
  } else if (test.type == T::false_) {
    reached_[e] = 2;
    out = check(prior, kids[2]);
  } else {
    reached_[e] = 3;
    const Answer yes = then();
    const Answer no = check(prior, kids[2]);
    out = {yes.good && no.good, unknown, {}};
    if (yes.type != unknown && no.type != unknown) {
      if (const auto joined = types_.join(yes.type, no.type))
        out.type = *joined;
      else
        incompatible(tree_.span(e), yes.type, no.type, "both branches of an `if` must have one type");
    }
    if (out.type == unknown) out.good = false;
    if (out.good) out.learned = common(yes.learned, no.learned);
  }
  out.good = out.good && test.good;
  return out;
}

TypeChecker::Answer TypeChecker::negation(Answer operand) const {
  operand.learned.clear();
  if (operand.type == unknown) return {false, T::boolean, {}};
  if (operand.type == T::true_)
    operand.type = T::false_;
  else if (operand.type == T::false_)
    operand.type = T::true_;
  return operand;
}

TypeChecker::Answer TypeChecker::variable(Op op) {
  if (op == Op::context) return {true, environment_.action->context, {}};
  const std::string_view name = op == Op::principal ? environment_.principal
                                : op == Op::action  ? std::string_view(environment_.action->uid.type)
                                                    : environment_.resource;
  return {true, types_.entity(name), {}};
}

TypeChecker::Answer TypeChecker::literal(ExprId e) {
  const Value& value = tree_.value(e);
  if (const bool* b = value.as_bool()) return {true, *b ? T::true_ : T::false_, {}};
  if (value.as_long() != nullptr) return {true, T::long_, {}};
  if (value.as_string() != nullptr) return {true, T::string, {}};
  const EntityUid* uid = value.as_entity();
  if (uid == nullptr) return {false, unknown, {}};
  // What is not declared has been reported for the policy as a whole.
  const bool declared =
      is_action_type(uid->type) ? schema_.action(*uid) != nullptr : schema_.entity_type(uid->type) != nullptr;
  if (!declared) return {false, unknown, {}};
  return {true, types_.entity(uid->type), {}};
}

TypeChecker::Answer TypeChecker::set(const Capabilities& prior, ExprId e) {
  if (tree_.kids(e).empty()) {
    problem(tree_.span(e), "empty_set", "an empty set has no element type", "for an empty set, use isEmpty()");
    return {false, unknown, {}};
  }
  Answer out;
  std::optional<TypeId> element = T::never;
  bool known = true;
  for (const ExprId kid : tree_.kids(e)) {
    const Answer one = check(prior, kid);
    out.good = out.good && one.good;
    known = known && one.type != unknown;
    if (!known || !element) continue;
    const TypeId before = *element;
    element = types_.join(before, one.type);
    if (!element) incompatible(tree_.span(e), before, one.type, "all elements of a set must have one type");
  }
  if (!known || !element) return {false, unknown, {}};
  out.type = types_.set(*element);
  return out;
}

TypeChecker::Answer TypeChecker::record_of(const Capabilities& prior, ExprId e) {
  Answer out;
  bool known = true;
  std::vector<AttributeType> members;
  for (std::size_t i = 0; i < tree_.kids(e).size(); ++i) {
    const Answer one = check(prior, tree_.kids(e)[i]);
    out.good = out.good && one.good;
    known = known && one.type != unknown;
    members.push_back({tree_.names(e)[i], one.type, true});
  }
  if (!known) return {false, unknown, {}};
  out.type = types_.record(std::move(members));
  return out;
}

}  // namespace daypass::cedar
