// Policy JSON to policies. What is taken, and which members are looked over, is as the official engine has it.
#include <algorithm>

#include "base/encoding.h"
#include "cedar/policy_json.h"
#include "cedar/policy_json_impl.h"
#include "cedar/print.h"
#include "cedar/source.h"

namespace daypass::cedar {

using base::Error;
using base::Result;
namespace json = base::json;

namespace {

bool is_action_uid(const EntityUid& uid) noexcept {
  return uid.type == "Action" || uid.type.ends_with("::Action");
}

}  // namespace

// RFC 6901 section 3.
std::string JsonPath::pointer() const {
  std::vector<std::string> parts;
  for (const JsonPath* at = this; at->up != nullptr; at = at->up) {
    std::string part = "/";
    if (at->key.data() == nullptr) {
      part += std::to_string(at->index);
    } else {
      for (const char c : at->key) {
        if (c == '~')
          part += "~0";
        else if (c == '/')
          part += "~1";
        else
          part += c;
      }
    }
    parts.push_back(std::move(part));
  }
  std::string out;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) out += *part;
  return out;
}

std::string brief(std::string_view text) {
  if (text.size() <= 64) return quote(text);
  std::size_t n = 64;
  while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0U) == 0x80U) --n;
  return quote(std::string(text.substr(0, n)) + "…");
}

std::nullopt_t PolicyJsonReader::wrong(const JsonPath& at, const std::string& message, std::string hint,
                                       std::string check) {
  if (found_.size() < std::max<std::size_t>(options_.max_diagnostics, 1)) {
    const std::string pointer = at.pointer();
    found_.push_back({source_->file, 1, 1, std::move(check),
                      (pointer.empty() ? "the document" : pointer) + ": " + message, std::move(hint), 1});
  }
  return std::nullopt;
}

const json::Object* PolicyJsonReader::object(const json::Value& json, const JsonPath& at, std::string_view what) {
  if (const auto* out = json.as_object()) return out;
  wrong(at, std::string(what) + " is an object, not " + std::string(json.type_name()));
  return nullptr;
}

const json::Object* PolicyJsonReader::object(const json::Value& json, const JsonPath& at, std::string_view what,
                                             std::initializer_list<std::string_view> known) {
  const json::Object* out = object(json, at, what);
  if (out == nullptr) return nullptr;
  for (const auto& [key, member] : *out) {
    if (std::ranges::find(known, key) != known.end()) continue;
    const std::string near = key.size() > 64 ? "" : base::nearest(key, known);
    wrong(at, std::string(what) + " has no member " + brief(key), near.empty() ? "" : "did you mean \"" + near + "\"?");
    return nullptr;
  }
  return out;
}

const json::Value* PolicyJsonReader::needed(const json::Value& json, const JsonPath& at, std::string_view key) {
  const json::Value* out = json.find(key);
  if (out == nullptr) wrong(at, "the member \"" + std::string(key) + "\" is missing");
  return out;
}

const std::string* PolicyJsonReader::text(const json::Value& owner, const JsonPath& at, std::string_view key) {
  const json::Value* out = needed(owner, at, key);
  if (out == nullptr) return nullptr;
  if (out->as_string() == nullptr) wrong(at.member(key), "a string is needed, not " + std::string(out->type_name()));
  return out->as_string();
}

// Sets.

Result<PolicySet> PolicyJsonReader::document(const json::Value& json, std::vector<Diagnostic>* diagnostics) {
  PolicySet out;
  const JsonPath root;
  const bool is_set = json.find("staticPolicies") != nullptr || json.find("templates") != nullptr ||
                      json.find("templateLinks") != nullptr;
  if (is_set) {
    set(json, root, out);
  } else if (auto data = policy(json, root)) {
    const auto named = data->annotations.find("id");
    const bool by_annotation = options_.ids_from_annotation && named != data->annotations.end();
    add(Policy(by_annotation ? named->second : "policy0", std::move(data)), root, out);
  }
  if (!found_.empty()) {
    Error error = error_of(found_);
    if (diagnostics != nullptr)
      diagnostics->insert(diagnostics->end(), std::make_move_iterator(found_.begin()),
                          std::make_move_iterator(found_.end()));
    return error;
  }
  // All policies share the source, whose text is complete only now.
  source_->line_starts.push_back(0);
  for (std::size_t i = 0; i < source_->text.size(); ++i)
    if (source_->text[i] == '\n') source_->line_starts.push_back(static_cast<std::uint32_t>(i + 1));
  return out;
}

void PolicyJsonReader::set(const json::Value& json, const JsonPath& at, PolicySet& out) {
  if (object(json, at, "a policy set", {"staticPolicies", "templates", "templateLinks"}) == nullptr) return;
  policies(json.find("staticPolicies"), at.member("staticPolicies"), false, out);
  policies(json.find("templates"), at.member("templates"), true, out);
  links(json.find("templateLinks"), at.member("templateLinks"), out);
}

bool PolicyJsonReader::room(const JsonPath& at, const PolicySet& out) {
  if (out.policies().size() + out.templates().size() < options_.max_policies) return true;
  wrong(at, "more than " + std::to_string(options_.max_policies) + " policies in one set", "", "cedar.too_many");
  return false;
}

void PolicyJsonReader::policies(const json::Value* json, const JsonPath& at, bool templates, PolicySet& out) {
  if (json == nullptr) return;
  const json::Object* members = object(*json, at, templates ? "templates" : "staticPolicies");
  if (members == nullptr) return;
  for (const auto& [id, one] : *members) {
    const JsonPath here = at.member(id);
    if (found_.size() >= std::max<std::size_t>(options_.max_diagnostics, 1) || !room(here, out)) return;
    auto data = policy(one, here);
    if (data == nullptr) continue;
    Policy read(id, std::move(data));
    if (templates && !read.is_template())
      wrong(here, "a template has a slot, this is a policy without", "move it to \"staticPolicies\"");
    else if (!templates && read.is_template())
      wrong(here, "this is a template: it has a slot", "move it to \"templates\" and link it", "cedar.template");
    else
      add(std::move(read), here, out);
  }
}

void PolicyJsonReader::add(Policy policy, const JsonPath& at, PolicySet& out) {
  const std::string id = policy.id();
  if (out.insert(std::move(policy)) != nullptr)
    wrong(at, "the policy id " + brief(id) + " is taken", "give each policy and template an id of its own",
          "cedar.duplicate_id");
}

void PolicyJsonReader::links(const json::Value* json, const JsonPath& at, PolicySet& out) {
  if (json == nullptr) return;
  if (json->as_array() == nullptr) {
    wrong(at, "templateLinks is an array, not " + std::string(json->type_name()));
    return;
  }
  for (std::size_t i = 0; i < json->as_array()->size(); ++i) {
    const JsonPath here = at.element(i);
    if (found_.size() >= std::max<std::size_t>(options_.max_diagnostics, 1) || !room(here, out)) return;
    one_link((*json->as_array())[i], here, out);
  }
}

void PolicyJsonReader::one_link(const json::Value& json, const JsonPath& at, PolicySet& out) {
  if (object(json, at, "a link", {"templateId", "newId", "values"}) == nullptr) return;
  const std::string* from = text(json, at, "templateId");
  const std::string* id = from == nullptr ? nullptr : text(json, at, "newId");
  const json::Value* values = id == nullptr ? nullptr : needed(json, at, "values");
  if (values == nullptr) return;
  const JsonPath below = at.member("values");
  const json::Object* members = object(*values, below, "values", {"?principal", "?resource"});
  if (members == nullptr) return;
  SlotValues slots;
  for (const auto& [slot, entity] : *members) {
    auto read = uid(entity, below.member(slot));
    if (!read) return;
    slots.emplace(slot, std::move(*read));
  }
  if (auto linked = out.link(*from, *id, slots); !linked.ok())
    wrong(at, linked.error().message, linked.error().hint, linked.error().check);
}

// Policies.

std::shared_ptr<const Policy::Data> PolicyJsonReader::policy(const json::Value& json, const JsonPath& at) {
  auto data = std::make_shared<Policy::Data>();
  tree_ = ExprTree();
  if (!read_policy(json, at, *data)) return nullptr;
  data->exprs = std::move(tree_);
  data->source = source_;
  if (!source_->text.empty()) source_->text += "\n\n";
  const std::size_t limit = std::min<std::size_t>(options_.max_bytes, UINT32_MAX / 2);
  if (print_policy(Policy("", data), data.get(), limit, source_->text)) return data;
  wrong(at, "as text the policies have more than " + std::to_string(limit) + " bytes", "split them into several files",
        "cedar.too_large");
  return nullptr;
}

bool PolicyJsonReader::read_policy(const json::Value& json, const JsonPath& at, Policy::Data& data) {
  if (object(json, at, "a policy", {"effect", "principal", "action", "resource", "conditions", "annotations"}) ==
      nullptr)
    return false;
  const std::string* effect = text(json, at, "effect");
  if (effect == nullptr) return false;
  if (*effect != "permit" && *effect != "forbid") {
    wrong(at.member("effect"), "an effect is \"permit\" or \"forbid\", not " + brief(*effect));
    return false;
  }
  data.effect = *effect == "permit" ? Effect::permit : Effect::forbid;
  const std::pair<std::string_view, ScopeTest*> tests[] = {
      {"principal", &data.principal}, {"action", &data.action}, {"resource", &data.resource}};
  for (const auto& [variable, test] : tests) {
    const json::Value* part = needed(json, at, variable);
    if (part == nullptr || !scope(*part, at.member(variable), variable, *test)) return false;
  }
  if (const json::Value* all = json.find("annotations"))
    if (!annotations(*all, at.member("annotations"), data)) return false;
  const json::Value* conditions = needed(json, at, "conditions");
  if (conditions == nullptr) return false;
  const JsonPath below = at.member("conditions");
  if (conditions->as_array() == nullptr) {
    wrong(below, "conditions are an array, not " + std::string(conditions->type_name()));
    return false;
  }
  for (std::size_t i = 0; i < conditions->as_array()->size(); ++i)
    if (!condition((*conditions->as_array())[i], below.element(i), data)) return false;
  return true;
}

bool PolicyJsonReader::annotations(const json::Value& json, const JsonPath& at, Policy::Data& data) {
  const json::Object* members = object(json, at, "annotations");
  if (members == nullptr) return false;
  for (const auto& [key, member] : *members) {
    // Reserved words may be keys; that is the only difference to a name.
    const bool good = is_plain_name("a" + key) && !(key.empty() || (key.front() >= '0' && key.front() <= '9'));
    if (!good) {
      wrong(at, brief(key) + " is no annotation's name", "a name is letters, digits and _, and no digit first");
      return false;
    }
    if (!member.is_null() && member.as_string() == nullptr) {
      wrong(at.member(key), "an annotation's value is a string or null, not " + std::string(member.type_name()));
      return false;
    }
    if (member.is_null()) data.bare_annotations.push_back(key);
    data.annotation_order.push_back(key);
    data.annotations.emplace(key, member.is_null() ? std::string() : *member.as_string());
  }
  return true;
}

bool PolicyJsonReader::condition(const json::Value& json, const JsonPath& at, Policy::Data& data) {
  if (object(json, at, "a condition", {"kind", "body"}) == nullptr) return false;
  const std::string* kind = text(json, at, "kind");
  if (kind == nullptr) return false;
  if (*kind != "when" && *kind != "unless") {
    wrong(at.member("kind"), "a condition's kind is \"when\" or \"unless\", not " + brief(*kind));
    return false;
  }
  const json::Value* body = needed(json, at, "body");
  if (body == nullptr) return false;
  const Expr e = expr(*body, at.member("body"), 1);
  if (!e) return false;
  data.conditions.push_back({*kind == "unless", *e, {}});
  return true;
}

std::optional<EntityUid> PolicyJsonReader::uid(const json::Value& json, const JsonPath& at) {
  auto out = EntityUid::from_json(json);
  if (out.ok()) return std::move(*out);
  return wrong(at, out.error().message, out.error().hint, out.error().check);
}

bool PolicyJsonReader::type(const json::Value& owner, const JsonPath& at, std::string& out) {
  const std::string* name = text(owner, at, "entity_type");
  if (name == nullptr) return false;
  if (!is_type_name(*name)) {
    wrong(at.member("entity_type"), "not an entity type: " + brief(*name),
          "a type is identifiers joined by `::`, without white space or reserved words");
    return false;
  }
  out = *name;
  return true;
}

bool PolicyJsonReader::scope(const json::Value& json, const JsonPath& at, std::string_view variable, ScopeTest& test) {
  if (object(json, at, "a scope test") == nullptr) return false;
  const std::string* op = text(json, at, "op");
  if (op == nullptr) return false;
  if (*op == "All" || *op == "all") return true;
  if (*op == "==") {
    test.kind = ScopeTest::Kind::equal;
    return operand(json, at, variable, test);
  }
  if (*op == "in") {
    test.kind = ScopeTest::Kind::in;
    const json::Value* several = json.find("entities");
    if (variable == "action" && json.find("entity") == nullptr && several != nullptr)
      return entities(*several, at.member("entities"), test);
    return operand(json, at, variable, test);
  }
  if (*op != "is" || variable == "action") {
    wrong(at.member("op"), "no test of the " + std::string(variable) + ": " + brief(*op),
          variable == "action" ? "tests are All, == and in" : "tests are All, ==, in and is");
    return false;
  }
  test.kind = ScopeTest::Kind::is;
  if (object(json, at, "an `is` test", {"op", "entity_type", "in"}) == nullptr || !type(json, at, test.type))
    return false;
  const json::Value* in = json.find("in");
  if (in == nullptr || in->is_null()) return true;
  test.kind = ScopeTest::Kind::is_in;
  const JsonPath below = at.member("in");
  return object(*in, below, "an `in` test") != nullptr && operand(*in, below, variable, test);
}

bool PolicyJsonReader::operand(const json::Value& json, const JsonPath& at, std::string_view variable,
                               ScopeTest& test) {
  if (const json::Value* entity = json.find("entity")) {
    auto read = uid(*entity, at.member("entity"));
    if (!read) return false;
    if (variable == "action" && !is_action_uid(*read)) {
      wrong(at.member("entity"), "an action's type is Action, not " + read->type, "write Action or Namespace::Action",
            "cedar.action_type");
      return false;
    }
    test.entities.push_back(std::move(*read));
    return true;
  }
  const json::Value* slot = variable == "action" ? nullptr : json.find("slot");
  if (slot == nullptr || slot->as_string() == nullptr) {
    wrong(at,
          variable == "action" ? "the member \"entity\" is missing" : "the member \"entity\" (or \"slot\") is missing");
    return false;
  }
  const std::string& name = *slot->as_string();
  // Below `is` the official engine takes either name for the slot of this place.
  const bool known = name == "?principal" || name == "?resource";
  if (!known || (test.kind != ScopeTest::Kind::is_in && name.substr(1) != variable)) {
    wrong(at.member("slot"), "no slot of this place: " + brief(name), "the slot here is ?" + std::string(variable));
    return false;
  }
  test.slot = true;
  if (options_.templates) return true;
  wrong(at.member("slot"), "a slot makes this a template, and templates are not taken here",
        "link the template by writing the entity in the slot's place", "cedar.template");
  return false;
}

bool PolicyJsonReader::entities(const json::Value& json, const JsonPath& at, ScopeTest& test) {
  test.listed = true;
  if (json.as_array() == nullptr) {
    wrong(at, "entities are an array, not " + std::string(json.type_name()));
    return false;
  }
  for (std::size_t i = 0; i < json.as_array()->size(); ++i) {
    auto read = uid((*json.as_array())[i], at.element(i));
    if (!read) return false;
    if (!is_action_uid(*read)) {
      wrong(at.element(i), "an action's type is Action, not " + read->type, "write Action or Namespace::Action",
            "cedar.action_type");
      return false;
    }
    test.entities.push_back(std::move(*read));
  }
  return true;
}

Result<PolicySet> policies_from_json(const json::Value& json, std::string file, const ParseOptions& options,
                                     std::vector<Diagnostic>* diagnostics) {
  return PolicyJsonReader(std::move(file), options).document(json, diagnostics);
}

}  // namespace daypass::cedar
