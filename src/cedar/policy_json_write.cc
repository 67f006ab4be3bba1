#include <span>

#include "cedar/policy_json.h"
#include "cedar/print.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

constexpr std::size_t max_repeated = 1'000'000;  // nodes that `has` paths repeat, of all policies written

std::string_view key_of(Op op) noexcept {
  switch (op) {
    case Op::and_:
      return "&&";
    case Op::or_:
      return "||";
    case Op::add:
      return "+";
    case Op::sub:
      return "-";
    case Op::mul:
      return "*";
    case Op::not_:
      return "!";
    case Op::negate:
      return "neg";
    case Op::equal:
      return "==";
    case Op::not_equal:
      return "!=";
    case Op::less:
      return "<";
    case Op::less_equal:
      return "<=";
    case Op::greater:
      return ">";
    case Op::greater_equal:
      return ">=";
    case Op::in:
      return "in";
    default:
      return "";
  }
}

json::Value tagged(std::string_view key, json::Value inner) {
  json::Object out;
  out.insert_new(std::string(key), std::move(inner));
  return out;
}
json::Value pair(std::string_view key, json::Value left, json::Value right) {
  json::Object inner;
  inner.insert_new("left", std::move(left));
  inner.insert_new("right", std::move(right));
  return tagged(key, std::move(inner));
}

json::Value scope_json(std::string_view variable, const ScopeTest& test) {
  json::Object out;
  const auto operand = [&](json::Object& into) {
    if (test.slot) {
      into.insert_new("slot", "?" + std::string(variable));
    } else if (test.listed && test.entities.size() != 1) {  // a list of one becomes that one, there as here
      json::Array list;
      for (const EntityUid& uid : test.entities) list.push_back(uid.to_json());
      into.insert_new("entities", std::move(list));
    } else {
      into.insert_new("entity", test.entities.front().to_json());
    }
  };
  switch (test.kind) {
    case ScopeTest::Kind::any:
      out.insert_new("op", "All");
      break;
    case ScopeTest::Kind::equal:
    case ScopeTest::Kind::in:
      out.insert_new("op", test.kind == ScopeTest::Kind::in ? "in" : "==");
      operand(out);
      break;
    case ScopeTest::Kind::is:
    case ScopeTest::Kind::is_in:
      out.insert_new("op", "is");
      out.insert_new("entity_type", test.type);
      if (test.kind == ScopeTest::Kind::is_in) {
        json::Object inner;
        operand(inner);
        out.insert_new("in", std::move(inner));
      }
      break;
  }
  return out;
}

class Writer {
 public:
  Result<json::Value> policy(const Policy& policy);

 private:
  json::Value expr(ExprId e, std::size_t depth);
  json::Value chain(ExprId e, std::size_t depth);
  json::Value has(ExprId e, std::size_t depth);
  json::Value like(ExprId e, std::size_t depth);
  json::Value call(ExprId e, std::size_t depth);
  json::Value list(std::span<const ExprId> kids, std::size_t depth);
  json::Value record(ExprId e, std::size_t depth);

  const ExprTree* tree_ = nullptr;
  std::size_t copying_ = 0;  // how many `has` paths are writing their left side again
  std::size_t repeated_ = 0;
  bool too_deep_ = false;
};

json::Value Writer::expr(ExprId e, std::size_t depth) {
  repeated_ += copying_ > 0 ? 1U : 0U;
  too_deep_ = too_deep_ || depth > max_json_nesting;
  if (too_deep_ || repeated_ > max_repeated) return nullptr;
  const auto kids = tree_->kids(e);
  const std::size_t below = depth + 2;
  switch (tree_->op(e)) {
    case Op::literal:
      return tagged("Value", tree_->value(e).to_json());
    case Op::principal:
      return tagged("Var", "principal");
    case Op::action:
      return tagged("Var", "action");
    case Op::resource:
      return tagged("Var", "resource");
    case Op::context:
      return tagged("Var", "context");
    case Op::if_then_else: {
      json::Object inner;
      inner.insert_new("if", expr(kids[0], below));
      inner.insert_new("then", expr(kids[1], below));
      inner.insert_new("else", expr(kids[2], below));
      return tagged("if-then-else", std::move(inner));
    }
    case Op::not_:
    case Op::negate: {
      json::Object inner;
      inner.insert_new("arg", expr(kids[0], below));
      return tagged(key_of(tree_->op(e)), std::move(inner));
    }
    case Op::has:
      return has(e, depth);
    case Op::like:
      return like(e, depth);
    case Op::is:
    case Op::is_in: {
      json::Object inner;
      inner.insert_new("left", expr(kids[0], below));
      inner.insert_new("entity_type", tree_->names(e)[0]);
      if (kids.size() > 1) inner.insert_new("in", expr(kids[1], below));
      return tagged("is", std::move(inner));
    }
    case Op::get_attr: {
      json::Object inner;
      inner.insert_new("left", expr(kids[0], below));
      inner.insert_new("attr", tree_->names(e)[0]);
      return tagged(".", std::move(inner));
    }
    case Op::call:
      return call(e, depth);
    case Op::set:
      return tagged("Set", list(kids, below));
    case Op::record:
      return record(e, depth);
    default:
      return chain(e, depth);
  }
}

// Operators take two sides; a longer chain leans to the left.
json::Value Writer::chain(ExprId e, std::size_t depth) {
  const auto kids = tree_->kids(e);
  const std::size_t first = depth + 2 * (kids.size() - 1);
  too_deep_ = too_deep_ || first > max_json_nesting;
  if (too_deep_) return nullptr;
  json::Value out = expr(kids[0], first);
  for (std::size_t i = 1; i < kids.size(); ++i)
    out = pair(key_of(tree_->op(e)), std::move(out), expr(kids[i], first - 2 * (i - 1)));
  return out;
}

// A path is written as the official engine does for text: `x has a && x.a has b`.
json::Value Writer::has(ExprId e, std::size_t depth) {
  const ExprId kid = tree_->kids(e)[0];
  const auto names = tree_->names(e);
  const std::size_t first = depth + 2 * (names.size() - 1);
  json::Value out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::size_t here = i == 0 ? first : first - 2 * (i - 1);
    copying_ += i > 0 ? 1U : 0U;
    json::Value left = expr(kid, here + 2 * (i + 1));
    copying_ -= i > 0 ? 1U : 0U;
    for (std::size_t j = 0; j < i; ++j) {
      json::Object inner;
      inner.insert_new("left", std::move(left));
      inner.insert_new("attr", names[j]);
      left = tagged(".", std::move(inner));
    }
    json::Object inner;
    inner.insert_new("left", std::move(left));
    inner.insert_new("attr", names[i]);
    json::Value one = tagged("has", std::move(inner));
    out = i == 0 ? std::move(one) : pair("&&", std::move(out), std::move(one));
    if (too_deep_ || repeated_ > max_repeated) return nullptr;
  }
  return out;
}

json::Value Writer::like(ExprId e, std::size_t depth) {
  json::Array elements;
  const Pattern& pattern = tree_->pattern(e);
  for (std::size_t i = 0; i < pattern.segments.size(); ++i) {
    if (i > 0) elements.emplace_back("Wildcard");
    // One element a code point.
    const std::string_view segment = pattern.segments[i];
    for (std::size_t at = 0; at < segment.size();) {
      std::size_t n = 1;
      while (at + n < segment.size() && (static_cast<unsigned char>(segment[at + n]) & 0xc0U) == 0x80U) ++n;
      elements.push_back(tagged("Literal", segment.substr(at, n)));
      at += n;
    }
  }
  json::Object inner;
  inner.insert_new("left", expr(tree_->kids(e)[0], depth + 2));
  inner.insert_new("pattern", std::move(elements));
  return tagged("like", std::move(inner));
}

json::Value Writer::call(ExprId e, std::size_t depth) {
  const auto kids = tree_->kids(e);
  const FunctionInfo& function = info(tree_->function(e));
  switch (function.function) {
    case Function::contains:
    case Function::contains_all:
    case Function::contains_any:
    case Function::get_tag:
    case Function::has_tag:
      return pair(function.name, expr(kids[0], depth + 2), expr(kids[1], depth + 2));
    case Function::is_empty: {
      json::Object inner;
      inner.insert_new("arg", expr(kids[0], depth + 2));
      return tagged(function.name, std::move(inner));
    }
    default:
      return tagged(function.name, list(kids, depth + 2));
  }
}

json::Value Writer::list(std::span<const ExprId> kids, std::size_t depth) {
  json::Array out;
  out.reserve(kids.size());
  for (const ExprId kid : kids) out.push_back(expr(kid, depth));
  return out;
}

json::Value Writer::record(ExprId e, std::size_t depth) {
  json::Object members;
  const auto kids = tree_->kids(e);
  for (std::size_t i = 0; i < kids.size(); ++i) members.insert_new(tree_->names(e)[i], expr(kids[i], depth + 2));
  return tagged("Record", std::move(members));
}

Result<json::Value> Writer::policy(const Policy& policy) {
  tree_ = &policy.exprs();
  json::Object out;
  out.insert_new("effect", to_string(policy.effect()));
  out.insert_new("principal", scope_json("principal", policy.principal()));
  out.insert_new("action", scope_json("action", policy.action()));
  out.insert_new("resource", scope_json("resource", policy.resource()));
  json::Array conditions;
  for (const Condition& condition : policy.conditions()) {
    json::Object one;
    one.insert_new("kind", condition.unless ? "unless" : "when");
    one.insert_new("body", expr(condition.body, 4));
    conditions.push_back(std::move(one));
  }
  if (too_deep_)
    return Error{
        Code::invalid, "cedar.too_deep",
        "as JSON the policy " + quote(policy.id()) + " would nest deeper than " + std::to_string(max_json_nesting),
        "split its longest chain of operators with parentheses"};
  if (repeated_ > max_repeated)
    return Error{Code::invalid, "cedar.too_large",
                 "as JSON the `has` paths of the policy " + quote(policy.id()) + " repeat more than " +
                     std::to_string(max_repeated) + " parts",
                 "test shorter paths"};
  out.insert_new("conditions", std::move(conditions));
  if (policy.annotations().empty()) return json::Value(std::move(out));
  json::Object annotations;
  for (const std::string& key : policy.annotation_order())
    annotations.insert_new(key, policy.is_bare_annotation(key) ? json::Value() : json::Value(*policy.annotation(key)));
  out.insert_new("annotations", std::move(annotations));
  return json::Value(std::move(out));
}

}  // namespace

Result<json::Value> policy_to_json(const Policy& policy) {
  return Writer().policy(policy);
}

Result<json::Value> policies_to_json(const PolicySet& policies) {
  Writer writer;
  json::Object statics;
  json::Object templates;
  json::Array links;
  for (const Policy& policy : policies.policies()) {
    if (const std::string* id = policy.template_id()) {
      json::Object values;
      for (const auto& [slot, uid] : policy.slots()) values.insert_new(slot, uid.to_json());
      links.push_back(json::Object{{"templateId", *id}, {"newId", policy.id()}, {"values", std::move(values)}});
      continue;
    }
    DP_TRY(auto one, writer.policy(policy));
    statics.insert_new(policy.id(), std::move(one));
  }
  for (const Policy& policy : policies.templates()) {
    DP_TRY(auto one, writer.policy(policy));
    templates.insert_new(policy.id(), std::move(one));
  }
  json::Object out;
  out.insert_new("staticPolicies", std::move(statics));
  out.insert_new("templates", std::move(templates));
  out.insert_new("templateLinks", std::move(links));
  return json::Value(std::move(out));
}

std::string policy_to_text(const Policy& policy) {
  std::string out;
  // What was read had a bound; its canonical text has one in proportion.
  (void)print_policy(policy, nullptr, SIZE_MAX, out);
  return out;
}

}  // namespace daypass::cedar
