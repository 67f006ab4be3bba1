// Expressions of policy JSON.
#include <algorithm>
#include <deque>

#include "base/encoding.h"
#include "cedar/evaluate.h"
#include "cedar/lexer.h"
#include "cedar/policy_json_impl.h"
#include "cedar/print.h"

namespace daypass::cedar {

namespace json = base::json;

namespace {

struct Operator {
  std::string_view key;
  Op op;
};
constexpr Operator two_sided[] = {
    {"&&", Op::and_},          {"||", Op::or_},       {"+", Op::add},  {"-", Op::sub},         {"*", Op::mul},
    {"==", Op::equal},         {"!=", Op::not_equal}, {"<", Op::less}, {"<=", Op::less_equal}, {">", Op::greater},
    {">=", Op::greater_equal}, {"in", Op::in}};
constexpr std::string_view other_keys[] = {"Value", "Var",          "!",   "neg",   ".", "has", "like",
                                           "is",    "if-then-else", "Set", "Record"};

const Operator* two_sided_of(std::string_view key) noexcept {
  const auto* found = std::ranges::find(two_sided, key, &Operator::key);
  return found == std::end(two_sided) ? nullptr : found;
}

bool is_chain(Op op) noexcept {
  return op == Op::and_ || op == Op::or_ || op == Op::add || op == Op::sub || op == Op::mul;
}

}  // namespace

PolicyJsonReader::Expr PolicyJsonReader::expr(const json::Value& json, const JsonPath& at, std::size_t depth) {
  if (depth > max_nesting) return too_deep(at);
  const json::Object* node = object(json, at, "an expression");
  if (node == nullptr) return std::nullopt;
  if (node->size() != 1)
    return wrong(at, "an expression has one member, not " + std::to_string(node->size()),
                 "its key is the operator, like {\"Value\": 1} or {\"==\": {\"left\": …, \"right\": …}}");
  const auto& [key, inner] = *node->begin();
  const JsonPath below = at.member(key);
  if (const Operator* op = two_sided_of(key)) return two_sides(op->op, inner, below, depth);
  if (key == "Value") return value(inner, below, depth);
  if (key == "Var") return variable(inner, below);
  if (key == "Slot")
    return wrong(below, "a slot can't stand in a condition", "slots belong in a template's head", "cedar.template");
  if (key == "!") return one_side(Op::not_, inner, below, depth);
  if (key == "neg") return one_side(Op::negate, inner, below, depth);
  if (key == ".") return get_attr(inner, below, depth);
  if (key == "has") return has(inner, below, depth);
  if (key == "like") return like(inner, below, depth);
  if (key == "is") return is(inner, below, depth);
  if (key == "if-then-else") return conditional(inner, below, depth);
  if (key == "Set") return set_of(inner, below, depth);
  if (key == "Record") return record(inner, below, depth);
  const FunctionInfo* function = find_function(key);
  if (function == nullptr) return unknown(key, at);
  return is_extension(function->function) ? extension(*function, inner, below, depth)
                                          : method(*function, inner, below, depth);
}

PolicyJsonReader::Expr PolicyJsonReader::unknown(const std::string& key, const JsonPath& at) {
  std::vector<std::string_view> known(std::begin(other_keys), std::end(other_keys));
  for (const FunctionInfo& f : functions()) known.push_back(f.name);
  const std::string near = key.size() > 64 ? "" : base::nearest(key, known);
  return wrong(at, "there is no operator or function " + brief(key),
               near.empty() ? "" : "did you mean \"" + near + "\"?", "cedar.unknown_function");
}

PolicyJsonReader::Expr PolicyJsonReader::variable(const json::Value& json, const JsonPath& at) {
  static constexpr std::pair<std::string_view, Op> variables[] = {
      {"principal", Op::principal}, {"action", Op::action}, {"resource", Op::resource}, {"context", Op::context}};
  if (json.as_string() != nullptr)
    for (const auto& [name, op] : variables)
      if (*json.as_string() == name) return tree_.add(op, {}, {});
  return wrong(at, "a variable is \"principal\", \"action\", \"resource\" or \"context\"");
}

// `a && b && c` leans to the left: the whole way down the same operator is one node, as it is in text.
PolicyJsonReader::Expr PolicyJsonReader::two_sides(Op op, const json::Value& json, const JsonPath& at,
                                                   std::size_t depth) {
  struct Step {
    const json::Value* inner;
    const JsonPath* at;
  };
  std::deque<JsonPath> paths;
  std::vector<Step> steps{{&json, &at}};
  while (true) {
    const Step& here = steps.back();
    if (object(*here.inner, *here.at, "an operator with two sides", {"left", "right"}) == nullptr ||
        needed(*here.inner, *here.at, "left") == nullptr || needed(*here.inner, *here.at, "right") == nullptr)
      return std::nullopt;
    const json::Object* left = here.inner->find("left")->as_object();
    if (!is_chain(op) || left == nullptr || left->size() != 1) break;
    const auto& [key, inner] = *left->begin();
    const Operator* same = two_sided_of(key);
    if (same == nullptr || same->op != op) break;
    const JsonPath& side = paths.emplace_back(here.at->member("left"));
    steps.push_back({&inner, &paths.emplace_back(side.member(key))});
  }
  std::vector<ExprId> kids;
  const Expr first = expr(*steps.back().inner->find("left"), steps.back().at->member("left"), depth + 1);
  if (!first) return std::nullopt;
  kids.push_back(*first);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const Expr right = expr(*step->inner->find("right"), step->at->member("right"), depth + 1);
    if (!right) return std::nullopt;
    kids.push_back(*right);
  }
  return built(tree_.add(op, {}, kids), at);
}

PolicyJsonReader::Expr PolicyJsonReader::one_side(Op op, const json::Value& json, const JsonPath& at,
                                                  std::size_t depth) {
  if (object(json, at, "an operator with one side", {"arg"}) == nullptr) return std::nullopt;
  const json::Value* arg = needed(json, at, "arg");
  const Expr e = arg == nullptr ? std::nullopt : expr(*arg, at.member("arg"), depth + 1);
  if (!e) return std::nullopt;
  return built(tree_.add(op, {}, std::span(&*e, 1)), at);
}

PolicyJsonReader::Expr PolicyJsonReader::conditional(const json::Value& json, const JsonPath& at, std::size_t depth) {
  if (object(json, at, "if-then-else", {"if", "then", "else"}) == nullptr) return std::nullopt;
  std::vector<ExprId> kids;
  for (const std::string_view part : {"if", "then", "else"}) {
    const json::Value* one = needed(json, at, part);
    const Expr e = one == nullptr ? std::nullopt : expr(*one, at.member(part), depth + 1);
    if (!e) return std::nullopt;
    kids.push_back(*e);
  }
  return built(tree_.add(Op::if_then_else, {}, kids), at);
}

PolicyJsonReader::Expr PolicyJsonReader::left_of(const json::Value& json, const JsonPath& at, std::size_t depth) {
  const json::Value* left = needed(json, at, "left");
  if (left == nullptr) return std::nullopt;
  return expr(*left, at.member("left"), depth + 1);
}

PolicyJsonReader::Expr PolicyJsonReader::get_attr(const json::Value& json, const JsonPath& at, std::size_t depth) {
  if (object(json, at, "an attribute", {"left", "attr"}) == nullptr) return std::nullopt;
  const std::string* name = text(json, at, "attr");
  const Expr left = name == nullptr ? std::nullopt : left_of(json, at, depth);
  if (!left) return std::nullopt;
  return built(tree_.add_named(Op::get_attr, {}, std::span(&*left, 1), {*name}), at);
}

PolicyJsonReader::Expr PolicyJsonReader::has(const json::Value& json, const JsonPath& at, std::size_t depth) {
  // The one operator of which the official engine looks over unknown members.
  if (object(json, at, "has") == nullptr) return std::nullopt;
  const json::Value* attr = needed(json, at, "attr");
  if (attr == nullptr) return std::nullopt;
  std::vector<std::string> names;
  if (const std::string* one = attr->as_string()) names.push_back(*one);
  if (const json::Array* several = attr->as_array()) {
    if (several->size() > max_nesting) return too_deep(at.member("attr"));
    for (const json::Value& name : *several)
      if (name.as_string() != nullptr) names.push_back(*name.as_string());
    if (names.size() != several->size()) names.clear();
  }
  if (names.empty()) return wrong(at.member("attr"), "attr is a name or a list of names, at least one");
  const Expr left = left_of(json, at, depth);
  if (!left) return std::nullopt;
  // A path whose names need quotes is spelled out in text, and that must not nest too deep either.
  const bool plain = names.size() == 1 || std::ranges::all_of(names, is_plain_name);
  if (!plain && depth + tree_.height(*left) + names.size() > max_nesting) return too_deep(at);
  return built(tree_.add_named(Op::has, {}, std::span(&*left, 1), std::move(names)), at);
}

bool PolicyJsonReader::pattern(const json::Value& json, const JsonPath& at, Pattern& out) {
  if (json.as_array() == nullptr) {
    wrong(at, "a pattern is an array, not " + std::string(json.type_name()),
          "its elements are \"Wildcard\" and {\"Literal\": \"…\"}");
    return false;
  }
  for (std::size_t i = 0; i < json.as_array()->size(); ++i) {
    const json::Value& one = (*json.as_array())[i];
    const json::Value* literal = one.find("Literal");
    const json::Value* wildcard = one.find("Wildcard");
    const bool alone = one.as_object() != nullptr && one.as_object()->size() == 1;
    const bool star = one.as_string() != nullptr ? *one.as_string() == "Wildcard"
                                                 : alone && wildcard != nullptr && wildcard->is_null();
    if (star) {
      out.segments.emplace_back();
    } else if (alone && literal != nullptr && literal->as_string() != nullptr) {
      out.segments.back() += *literal->as_string();
    } else {
      wrong(at.element(i), "an element of a pattern is \"Wildcard\" or {\"Literal\": \"…\"}");
      return false;
    }
  }
  return true;
}

PolicyJsonReader::Expr PolicyJsonReader::like(const json::Value& json, const JsonPath& at, std::size_t depth) {
  if (object(json, at, "like", {"left", "pattern"}) == nullptr) return std::nullopt;
  const json::Value* elements = needed(json, at, "pattern");
  Pattern read;
  if (elements == nullptr || !pattern(*elements, at.member("pattern"), read)) return std::nullopt;
  const Expr left = left_of(json, at, depth);
  if (!left) return std::nullopt;
  return built(tree_.add_like({}, *left, std::move(read)), at);
}

PolicyJsonReader::Expr PolicyJsonReader::is(const json::Value& json, const JsonPath& at, std::size_t depth) {
  std::string name;
  if (object(json, at, "is", {"left", "entity_type", "in"}) == nullptr || !type(json, at, name)) return std::nullopt;
  const Expr left = left_of(json, at, depth);
  if (!left) return std::nullopt;
  const json::Value* in = json.find("in");
  if (in == nullptr || in->is_null())
    return built(tree_.add_named(Op::is, {}, std::span(&*left, 1), {std::move(name)}), at);
  const Expr right = expr(*in, at.member("in"), depth + 1);
  if (!right) return std::nullopt;
  const ExprId kids[] = {*left, *right};
  return built(tree_.add_named(Op::is_in, {}, kids, {std::move(name)}), at);
}

bool PolicyJsonReader::list(const json::Value& json, const JsonPath& at, std::size_t depth, std::vector<ExprId>& out) {
  if (json.as_array() == nullptr) {
    wrong(at, "an array of expressions is needed, not " + std::string(json.type_name()));
    return false;
  }
  for (std::size_t i = 0; i < json.as_array()->size(); ++i) {
    const Expr e = expr((*json.as_array())[i], at.element(i), depth + 1);
    if (!e) return false;
    out.push_back(*e);
  }
  return true;
}

PolicyJsonReader::Expr PolicyJsonReader::set_of(const json::Value& json, const JsonPath& at, std::size_t depth) {
  std::vector<ExprId> kids;
  if (!list(json, at, depth, kids)) return std::nullopt;
  return built(tree_.add(Op::set, {}, kids), at);
}

PolicyJsonReader::Expr PolicyJsonReader::record(const json::Value& json, const JsonPath& at, std::size_t depth) {
  const json::Object* members = object(json, at, "a record");
  if (members == nullptr) return std::nullopt;
  std::vector<std::string> names;
  std::vector<ExprId> kids;
  for (const auto& [key, member] : *members) {
    const Expr e = expr(member, at.member(key), depth + 1);
    if (!e) return std::nullopt;
    names.push_back(key);
    kids.push_back(*e);
  }
  return built(tree_.add_named(Op::record, {}, kids, std::move(names)), at);
}

// `contains`, `hasTag` and their like are written as operators.
PolicyJsonReader::Expr PolicyJsonReader::method(const FunctionInfo& function, const json::Value& json,
                                                const JsonPath& at, std::size_t depth) {
  std::vector<ExprId> kids;
  const bool one = function.arity == 1;
  if ((one ? object(json, at, function.name, {"arg"}) : object(json, at, function.name, {"left", "right"})) == nullptr)
    return std::nullopt;
  for (const std::string_view side : {"arg", "left", "right"}) {
    if (one != (side == "arg")) continue;
    const json::Value* part = needed(json, at, side);
    const Expr e = part == nullptr ? std::nullopt : expr(*part, at.member(side), depth + 1);
    if (!e) return std::nullopt;
    kids.push_back(*e);
  }
  return call(function, kids, at);
}

PolicyJsonReader::Expr PolicyJsonReader::extension(const FunctionInfo& function, const json::Value& json,
                                                   const JsonPath& at, std::size_t depth) {
  std::vector<ExprId> arguments;
  if (!list(json, at, depth, arguments)) return std::nullopt;
  return call(function, arguments, at);
}

// How many arguments there are is told when it is called; but a method without a receiver has no text.
PolicyJsonReader::Expr PolicyJsonReader::call(const FunctionInfo& function, const std::vector<ExprId>& arguments,
                                              const JsonPath& at) {
  if (function.method && arguments.empty())
    return wrong(at, "the method `" + std::string(function.name) + "` needs a receiver",
                 "it is the first of its arguments", "cedar.arity");
  return built(tree_.add_call(function.function, {}, arguments), at);
}

// Values: as in entity JSON, but extension functions are calls, which run when the policy does.

std::optional<PolicyJsonReader::Expr> PolicyJsonReader::escape(const json::Object& object, const JsonPath& at,
                                                               std::size_t depth) {
  if (object.size() != 1) return std::nullopt;
  const auto& [key, inner] = *object.begin();
  if (key == "__expr" && inner.as_string() != nullptr)
    return Expr(wrong(at, "the `__expr` escape is no longer part of Cedar",
                      "entities are {\"__entity\": …}, extension values {\"__extn\": …}"));
  const JsonPath below = at.member(key);
  const auto string_at = [&](std::string_view name) {
    const json::Value* member = inner.find(name);
    return member == nullptr ? nullptr : member->as_string();
  };
  if (key == "__entity" && string_at("type") != nullptr && string_at("id") != nullptr) {
    // Only type and id count here, even beside an `__entity` within.
    const json::Object plain{{"type", *string_at("type")}, {"id", *string_at("id")}};
    auto read = uid(plain, below);
    if (!read) return Expr();
    return Expr(tree_.add_literal({}, Value::entity(std::move(*read))));
  }
  const std::string* name = key == "__extn" ? string_at("fn") : nullptr;
  const json::Value* arg = inner.find("arg");
  const json::Value* args = inner.find("args");
  if (name == nullptr || (arg == nullptr && (args == nullptr || args->as_array() == nullptr))) return std::nullopt;
  const FunctionInfo* function = find_function(*name);
  if (function == nullptr || !is_extension(function->function))
    return Expr(
        wrong(below.member("fn"), "there is no extension function " + brief(*name), "", "cedar.unknown_function"));
  std::vector<ExprId> arguments;
  const std::size_t count = arg != nullptr ? 1 : args->as_array()->size();
  const JsonPath many = below.member("args");
  for (std::size_t i = 0; i < count; ++i) {
    const Expr e = arg != nullptr ? value(*arg, below.member("arg"), depth + 1)
                                  : value((*args->as_array())[i], many.element(i), depth + 1);
    if (!e) return Expr();
    arguments.push_back(*e);
  }
  return call(*function, arguments, below);
}

PolicyJsonReader::Expr PolicyJsonReader::value(const json::Value& json, const JsonPath& at, std::size_t depth) {
  if (depth > max_nesting) return too_deep(at);
  if (const bool* b = json.as_bool()) return tree_.add_literal({}, Value::boolean(*b));
  if (const auto* i = json.as_int()) return tree_.add_literal({}, Value::long_(*i));
  if (const auto* s = json.as_string()) return tree_.add_literal({}, Value::string(*s));
  if (json.is_null()) return wrong(at, "null is no Cedar value");
  std::vector<ExprId> kids;
  if (const auto* array = json.as_array()) {
    for (std::size_t i = 0; i < array->size(); ++i) {
      const Expr e = value((*array)[i], at.element(i), depth + 1);
      if (!e) return std::nullopt;
      kids.push_back(*e);
    }
    return built(tree_.add(Op::set, {}, kids), at);
  }
  const json::Object* members = json.as_object();
  if (members == nullptr)
    return wrong(at, "a number that is not a 64-bit integer is no Cedar value",
                 "write it as {\"__extn\": {\"fn\": \"decimal\", \"arg\": \"1.5\"}}");
  if (auto escaped = escape(*members, at, depth)) return *escaped;
  std::vector<std::string> names;
  for (const auto& [key, member] : *members) {
    const Expr e = value(member, at.member(key), depth + 1);
    if (!e) return std::nullopt;
    names.push_back(key);
    kids.push_back(*e);
  }
  return built(tree_.add_named(Op::record, {}, kids, std::move(names)), at);
}

}  // namespace daypass::cedar
