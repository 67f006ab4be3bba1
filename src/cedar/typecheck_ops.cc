// The type checker's rules for operators, methods and functions.
#include <algorithm>

#include "base/encoding.h"
#include "cedar/evaluate.h"
#include "cedar/typecheck.h"

namespace daypass::cedar {
namespace {

using T = TypeTable;

bool knows(const Capabilities& all, const Capability& one) noexcept {
  return std::binary_search(all.begin(), all.end(), one);
}

Capabilities united(const Capabilities& a, const Capabilities& b) {
  if (a.empty()) return b;
  Capabilities out;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

std::string set_receiver_hint(TypeKind actual) {
  return actual == TypeKind::entity   ? "to test an entity's groups, use `in`"
         : actual == TypeKind::record ? "to test for an attribute, use `has`"
         : actual == TypeKind::string ? "to test a part of a text, use `like`"
                                      : "";
}

}  // namespace

// What is known of a part.

const std::vector<AttributeType>* TypeChecker::attributes(TypeId type) const noexcept {
  const TypeNode& node = types_.at(type);
  if (node.kind == TypeKind::record) return &node.attributes;
  const EntityTypeInfo* info = node.kind == TypeKind::entity ? schema_.entity_type(node.name) : nullptr;
  return info == nullptr ? nullptr : &types_.at(info->attributes).attributes;
}

const AttributeType* TypeChecker::attribute(TypeId type, std::string_view name) const noexcept {
  const TypeNode& node = types_.at(type);
  if (node.kind == TypeKind::record) return node.attribute(name);
  const EntityTypeInfo* info = node.kind == TypeKind::entity ? schema_.entity_type(node.name) : nullptr;
  return info == nullptr ? nullptr : types_.at(info->attributes).attribute(name);
}

std::optional<TypeId> TypeChecker::tags(TypeId type) const noexcept {
  const TypeNode& node = types_.at(type);
  const EntityTypeInfo* info = node.kind == TypeKind::entity ? schema_.entity_type(node.name) : nullptr;
  return info == nullptr ? std::nullopt : info->tags;
}

const Value* TypeChecker::known_value(ExprId e) const noexcept {
  if (tree_.op(e) == Op::action) return &action_value_;
  // The language's own engine takes `&&` and `||` of boolean literals for the literal that they come to, and of nothing
  // else (not `!`, not `==`, not `if`).
  if (const Op op = tree_.op(e); op == Op::and_ || op == Op::or_) {
    static const Value yes = Value::boolean(true), no = Value::boolean(false);
    bool all = true, any = false;
    for (const ExprId kid : tree_.kids(e)) {
      const Value* value = known_value(kid);
      const bool* truth = value == nullptr ? nullptr : value->as_bool();
      if (truth == nullptr) return nullptr;
      all = all && *truth;
      any = any || *truth;
    }
    return (op == Op::and_ ? all : any) ? &yes : &no;
  }
  return tree_.op(e) == Op::literal ? &tree_.value(e) : nullptr;
}

const EntityUid* TypeChecker::known_entity(ExprId e) const noexcept {
  const Value* value = known_value(e);
  return value == nullptr ? nullptr : value->as_entity();
}

bool TypeChecker::action_type_in(std::string_view descendant, std::string_view ancestor) const noexcept {
  if (!is_action_type(ancestor)) return false;
  return std::ranges::any_of(schema_.actions(), [&](const ActionInfo& action) {
    return action.uid.type == descendant && std::ranges::any_of(action.ancestors, [&](std::uint32_t above) {
             return schema_.actions()[above].uid.type == ancestor;
           });
  });
}

std::string TypeChecker::described(ExprId e, TypeId type) const {
  switch (tree_.op(e)) {
    case Op::principal:
      return "principal";
    case Op::action:
      return "action";
    case Op::resource:
      return "resource";
    case Op::context:
      return "context";
    default:
      return "a value of type " + types_.to_string(type);
  }
}

void TypeChecker::incompatible(Span at, TypeId left, TypeId right, std::string_view where) {
  problem(at, "incompatible_types",
          "the types " + types_.to_string(left) + " and " + types_.to_string(right) + " do not go together",
          std::string(where));
}

bool TypeChecker::comparable(Span at, TypeId left, TypeId right, std::string_view where) {
  if (left == unknown || right == unknown || types_.join(left, right)) return true;
  incompatible(at, left, right, where);
  return false;
}

// Operators.

TypeChecker::Answer TypeChecker::equality(const Capabilities& prior, ExprId e) {
  const ExprId left = tree_.kids(e)[0];
  const ExprId right = tree_.kids(e)[1];
  const Answer a = check(prior, left);
  const Answer b = check(prior, right);
  Answer out{a.good && b.good, T::boolean, {}};
  const auto entity_of = [&](TypeId type) { return type != unknown && types_.kind(type) == TypeKind::entity; };
  if (entity_of(a.type) && entity_of(b.type) && a.type != b.type) {
    out.type = T::false_;
    return out;
  }
  const Value* x = known_value(left);
  const Value* y = known_value(right);
  if (x != nullptr && y != nullptr) {
    out.type = *x == *y ? T::true_ : T::false_;
    return out;
  }
  if (!comparable(tree_.span(e), a.type, b.type, "values of different types are never equal")) out.good = false;
  return out;
}

TypeChecker::Answer TypeChecker::order(const Capabilities& prior, ExprId e) {
  const Answer a = check(prior, tree_.kids(e)[0]);
  const Answer b = check(prior, tree_.kids(e)[1]);
  Answer out{a.good && b.good, T::boolean, {}};
  if (a.type == unknown || b.type == unknown) {
    out.good = false;
    return out;
  }
  const auto ordered = [](TypeId type) { return type == T::long_ || type == T::datetime || type == T::duration; };
  if (a.type == b.type && ordered(a.type)) return out;
  out.good = false;
  const auto expected = [&](std::size_t kid, const std::string& wanted, TypeId found) {
    problem(tree_.span(tree_.kids(e)[kid]), "unexpected_type",
            "expected " + wanted + ", found " + types_.to_string(found),
            found == T::decimal ? "decimals are compared with lessThan(…) and its like" : "");
  };
  if (ordered(a.type)) {
    expected(1, types_.to_string(a.type), b.type);
  } else if (ordered(b.type)) {
    expected(0, types_.to_string(b.type), a.type);
  } else {
    expected(0, "Long, datetime or duration", a.type);
    expected(1, "Long, datetime or duration", b.type);
  }
  return out;
}

TypeChecker::Answer TypeChecker::arithmetic(const Capabilities& prior, ExprId e) {
  const Hint adding = [](TypeKind actual) {
    return std::string(actual == TypeKind::string ? "Cedar can't join texts; to test a part of one, use `like`" : "");
  };
  Answer out{true, T::long_, {}};
  for (const ExprId kid : tree_.kids(e)) {
    const Answer one = expect(prior, kid, long_, tree_.op(e) == Op::add ? adding : nullptr);
    out.good = out.good && one.good;
  }
  return out;
}

TypeId TypeChecker::type_of_in(ExprId left, ExprId right, TypeId left_type, TypeId right_type) {
  std::vector<const EntityUid*> targets;
  if (const EntityUid* one = known_entity(right)) {
    targets.push_back(one);
  } else if (tree_.op(right) == Op::set) {
    for (const ExprId kid : tree_.kids(right)) targets.push_back(known_entity(kid));
  }
  const bool all_known =
      !targets.empty() && std::ranges::none_of(targets, [](const auto* target) { return target == nullptr; });
  const EntityUid* self = known_entity(left);
  if (self != nullptr && all_known && is_action_type(self->type)) {
    // The schema knows all actions and what they are in.
    const ActionInfo* action = schema_.action(*self);
    const bool inside = std::ranges::any_of(targets, [&](const EntityUid* target) {
      const ActionInfo* group = schema_.action(*target);
      return action != nullptr && group != nullptr && schema_.action_in(*action, *group);
    });
    return inside ? T::true_ : T::false_;
  }
  const TypeNode& target = types_.at(right_type);
  const TypeNode& above = target.kind == TypeKind::set ? types_.at(target.element) : target;
  const TypeNode& below = types_.at(left_type);
  if (below.kind != TypeKind::entity || above.kind != TypeKind::entity) return T::boolean;
  return schema_.may_be_in(below.name, above.name) || action_type_in(below.name, above.name) ? T::boolean : T::false_;
}

TypeChecker::Answer TypeChecker::in(const Capabilities& prior, ExprId e, ExprId left, ExprId right) {
  const Answer a =
      expect(prior, left, entity, [](TypeKind) { return std::string("to look into a set, use contains(…)"); });
  const Answer b = expect(prior, right, entity | entity_set, [](TypeKind actual) {
    return std::string(actual == TypeKind::set      ? "to look into a set, use contains(…)"
                       : actual == TypeKind::string ? "to test a part of a text, use `like`"
                                                    : "");
  });
  (void)e;
  if (!a.good || !b.good) return {false, T::boolean, {}};
  return {true, type_of_in(left, right, a.type, b.type), {}};
}

TypeChecker::Answer TypeChecker::is(const Capabilities& prior, ExprId e) {
  const Answer a = expect(prior, tree_.kids(e)[0], entity,
                          [](TypeKind) { return std::string("`is` tests the type of entities only"); });
  if (a.type == unknown) return {false, T::boolean, {}};
  return {a.good, types_.at(a.type).name == tree_.names(e)[0] ? T::true_ : T::false_, {}};
}

TypeChecker::Answer TypeChecker::is_in(const Capabilities& prior, ExprId e) {
  const Answer type = is(prior, e);
  reached_[e] = type.type == T::false_ ? 1 : 2;
  if (type.type == T::false_) return type;
  return both(type, in(prior, e, tree_.kids(e)[0], tree_.kids(e)[1]));
}

// Attributes.

TypeChecker::Answer TypeChecker::has(const Capabilities& prior, ExprId e) {
  const Hint hint = [](TypeKind actual) {
    return std::string(actual == TypeKind::set      ? "to look into a set, use contains(…)"
                       : actual == TypeKind::string ? "to test a part of a text, use `like`"
                                                    : "");
  };
  // `a has b.c` is `a has b && a.b has c`, and is checked so: each step with what the ones before have shown.
  const ExprId base = tree_.kids(e)[0];
  const auto names = tree_.names(e);
  const Answer first = expect(prior, base, entity | record, hint);
  Answer out{true, T::true_, {}};
  Answer on = first;
  std::uint32_t shape = shapes_.of(base);
  for (std::size_t i = 0; i < names.size() && out.type != T::false_; ++i) {
    const Capabilities known = united(prior, out.learned);
    const auto step_into = [&](std::size_t name) {
      if (on.type != unknown)
        on = restrict(attribute_of(known, on, shape, names[name], tree_.span(e), base), tree_.span(e), entity | record,
                      hint);
      shape = shapes_.attribute(shape, names[name]);
    };
    if (i > 0 && out.good) {
      step_into(i - 1);
    } else {
      // After a mistake nothing is known any more, so the way starts anew.
      on = first;
      shape = shapes_.of(base);
      for (std::size_t name = 0; name < i; ++name) step_into(name);
    }
    Answer step = on.type == unknown ? Answer{false, T::boolean, {}} : has_one(known, on, shape, names[i]);
    if (!step.good) step.learned.clear();
    out = i == 0 ? step : both(out, step);
    ++reached_[e];
  }
  return out;
}

TypeChecker::Answer TypeChecker::has_one(const Capabilities& prior, const Answer& on, std::uint32_t shape,
                                         const std::string& name) {
  const AttributeType* found = attribute(on.type, name);
  if (found == nullptr) return {on.good, T::false_, {}};
  const Capability this_one{shape, shapes_.text(name), false};
  // An entity need not exist, so that even a required attribute may be missing.
  const bool certain = knows(prior, this_one) || (found->required && types_.kind(on.type) == TypeKind::record);
  return {on.good, certain ? T::true_ : T::boolean, {this_one}};
}

TypeChecker::Answer TypeChecker::get_attribute(const Capabilities& prior, ExprId e) {
  const ExprId base = tree_.kids(e)[0];
  const Answer on = expect(prior, base, entity | record);
  if (on.type == unknown) return {false, unknown, {}};
  return attribute_of(prior, on, shapes_.of(base), tree_.names(e)[0], tree_.span(e), base);
}

TypeChecker::Answer TypeChecker::attribute_of(const Capabilities& prior, const Answer& on, std::uint32_t shape,
                                              const std::string& name, Span at, ExprId base) {
  const AttributeType* found = attribute(on.type, name);
  const std::string whose = described(base, on.type);
  if (found == nullptr) {
    std::vector<std::string> known;
    if (const auto* all = attributes(on.type))
      for (const AttributeType& a : *all) known.push_back(a.name);
    const std::string near = base::nearest(name, known);
    std::string list;
    for (std::size_t i = 0; near.empty() && i < known.size() && i < 8; ++i) list += (i == 0 ? "" : ", ") + known[i];
    problem(at, "unknown_attribute", whose + " has no attribute " + quote(name),
            !near.empty()  ? "did you mean " + quote(near) + "?"
            : list.empty() ? "type " + types_.to_string(on.type) + " has no attributes"
                           : "type " + types_.at(on.type).name + " has: " + list);
    return {false, unknown, {}};
  }
  Answer out{on.good, found->type, {}};
  if (found->required || knows(prior, {shape, shapes_.text(name), false})) return out;
  problem(at, "optional_attribute", "the attribute " + quote(name) + " of " + whose + " is optional",
          "test for it first: … has " + (is_type_name(name) ? name : quote(name)) + " && …");
  out.good = false;
  return out;
}

// Calls.

TypeChecker::Answer TypeChecker::call(const Capabilities& prior, ExprId e) {
  switch (tree_.function(e)) {
    case Function::contains:
    case Function::contains_all:
    case Function::contains_any:
    case Function::is_empty:
      return set_method(prior, e);
    case Function::get_tag:
    case Function::has_tag:
      return tag_method(prior, e);
    default:
      return extension_call(prior, e);
  }
}

TypeChecker::Answer TypeChecker::set_method(const Capabilities& prior, ExprId e) {
  const auto kids = tree_.kids(e);
  const Function function = tree_.function(e);
  if (function == Function::is_empty) {
    const Answer a = expect(prior, kids[0], any_set, [](TypeKind actual) {
      return std::string(actual == TypeKind::string ? "to test for an empty text, use == \"\"" : "");
    });
    return {a.good, T::boolean, {}};
  }
  const Answer a = expect(prior, kids[0], any_set, set_receiver_hint);
  if (function == Function::contains) {
    const Answer b = check(prior, kids[1]);
    const TypeId element = a.type == unknown ? unknown : types_.at(a.type).element;
    const bool fine = comparable(tree_.span(e), element, b.type, "the set can't hold a value of that type");
    return {a.good && b.good && fine, T::boolean, {}};
  }
  const Answer b =
      expect(prior, kids[1], any_set, [](TypeKind) { return std::string("to look for one value, use contains(…)"); });
  const bool fine = comparable(tree_.span(e), a.type, b.type, "the sets have no element in common");
  return {a.good && b.good && fine, T::boolean, {}};
}

TypeChecker::Answer TypeChecker::tag_method(const Capabilities& prior, ExprId e) {
  const auto kids = tree_.kids(e);
  const Answer a = expect(prior, kids[0], entity);
  const Answer b = expect(prior, kids[1], string);
  if (a.type == unknown) return {false, unknown, {}};
  const bool good = a.good && b.good;
  const Capability this_one{shapes_.of(kids[0]), shapes_.of(kids[1]), true};
  const auto type = tags(a.type);
  const std::string& whose = types_.at(a.type).name;
  if (tree_.function(e) == Function::has_tag) {
    const TypeId known = !type ? T::false_ : knows(prior, this_one) ? T::true_ : T::boolean;
    return {good, known, {this_one}};
  }
  if (!knows(prior, this_one)) {
    problem(tree_.span(e), "unsafe_tag", whose + " may lack this tag", "test for it first: ….hasTag(…) && …");
    return {false, unknown, {}};
  }
  if (!type) {
    problem(tree_.span(e), "no_tags", whose + " has no tags", "declare them in the schema: entity … tags Type");
    return {false, unknown, {}};
  }
  return {good, *type, {}};
}

namespace {

struct Signature {
  TypeId result;
  TypeId arguments[2];
};

Signature signature(Function function) {
  switch (function) {
    case Function::decimal:
      return {T::decimal, {T::string}};
    case Function::decimal_less:
    case Function::decimal_less_equal:
    case Function::decimal_greater:
    case Function::decimal_greater_equal:
      return {T::boolean, {T::decimal, T::decimal}};
    case Function::ip:
      return {T::ipaddr, {T::string}};
    case Function::is_ipv4:
    case Function::is_ipv6:
    case Function::is_loopback:
    case Function::is_multicast:
      return {T::boolean, {T::ipaddr}};
    case Function::is_in_range:
      return {T::boolean, {T::ipaddr, T::ipaddr}};
    case Function::datetime:
      return {T::datetime, {T::string}};
    case Function::offset:
      return {T::datetime, {T::datetime, T::duration}};
    case Function::duration_since:
      return {T::duration, {T::datetime, T::datetime}};
    case Function::to_date:
      return {T::datetime, {T::datetime}};
    case Function::to_time:
      return {T::duration, {T::datetime}};
    case Function::duration:
      return {T::duration, {T::string}};
    default:  // toMilliseconds and its like
      return {T::long_, {T::duration}};
  }
}

bool is_constructor(Function function) {
  return function == Function::decimal || function == Function::ip || function == Function::datetime ||
         function == Function::duration;
}

}  // namespace

// Constructors take literals only, so that what they make is known to be well formed.
bool TypeChecker::constructor_argument(ExprId e) {
  const auto kids = tree_.kids(e);
  bool good = true;
  const Value* first = kids.empty() || tree_.op(kids[0]) != Op::literal ? nullptr : &tree_.value(kids[0]);
  if (first != nullptr && first->as_string() != nullptr) {
    const auto made = call_extension(tree_.function(e), std::span(first, 1));
    if (!made.ok()) {
      problem(tree_.span(e), "bad_literal", made.error().message, made.error().hint);
      good = false;
    }
  }
  if (std::ranges::any_of(kids, [&](ExprId kid) { return tree_.op(kid) != Op::literal; })) {
    problem(tree_.span(e), "not_literal", "`" + std::string(info(tree_.function(e)).name) + "` takes a literal only",
            "let the attribute or the context hold the value itself");
    good = false;
  }
  return good;
}

TypeChecker::Answer TypeChecker::extension_call(const Capabilities& prior, ExprId e) {
  const Function function = tree_.function(e);
  const auto kids = tree_.kids(e);
  const Signature wanted = signature(function);
  const FunctionInfo& about = info(function);
  bool good = kids.size() == about.arity;
  if (!good)
    problem(tree_.span(e), "wrong_arity",
            "`" + std::string(about.name) + "` takes " + std::to_string(about.arity) + " argument" +
                (about.arity == 1 ? "" : "s") + (about.method ? " with the one before the dot" : "") + ", not " +
                std::to_string(kids.size()));
  if (is_constructor(function) && !constructor_argument(e)) good = false;
  Answer out{good, wanted.result, {}};
  static constexpr Expected masks[] = {0, 0, 0, boolean, long_, string, decimal, ipaddr, datetime, duration};
  for (std::size_t i = 0; i < kids.size(); ++i) {
    const Answer one = good ? expect(prior, kids[i], masks[wanted.arguments[i]]) : check(prior, kids[i]);
    out.good = out.good && one.good;
  }
  return out;
}

}  // namespace daypass::cedar
