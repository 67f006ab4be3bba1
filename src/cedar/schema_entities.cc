#include "cedar/schema_entities.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/encoding.h"
#include "cedar/expr.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
namespace json = base::json;

namespace {

Error refuse(std::string check, std::string message, std::string hint = {}) {
  return {Code::invalid, "cedar." + check, std::move(message), std::move(hint)};
}

// Reading.

class TypedReader {
 public:
  explicit TypedReader(const TypeTable& types) : types_(types) {}

  Result<Value> read(const json::Value& json, TypeId type, std::size_t depth = 1) const;

 private:
  Result<Value> record(const json::Object& object, const TypeNode& type, std::size_t depth) const;
  static Result<Value> extension(const json::Value& json, TypeKind kind);

  const TypeTable& types_;
};

// The constructor may be left out, or just the escape around it.
Result<Value> TypedReader::extension(const json::Value& json, TypeKind kind) {
  if (const std::string* text = json.as_string()) {
    switch (kind) {
      case TypeKind::decimal:
        return Value::decimal(*text);
      case TypeKind::ipaddr:
        return Value::ipaddr(*text);
      case TypeKind::datetime:
        return Value::datetime_text(*text);
      default:
        return Value::duration_text(*text);
    }
  }
  const bool bare = json.as_object() != nullptr && json.find("__extn") == nullptr && json.find("fn") != nullptr &&
                    (json.find("arg") != nullptr || json.find("args") != nullptr);
  if (bare) return Value::from_json(json::Object{{"__extn", json}});
  return Value::from_json(json);
}

Result<Value> TypedReader::record(const json::Object& object, const TypeNode& type, std::size_t depth) const {
  Record out;
  for (const auto& [key, member] : object) {
    const AttributeType* attribute = type.attribute(key);
    if (attribute == nullptr) {
      std::vector<std::string> known;
      for (const AttributeType& a : type.attributes) known.push_back(a.name);
      const std::string near = base::nearest(key, known);
      return refuse("value_type", "the record has no attribute " + quote(key.substr(0, 64)) + " in the schema",
                    near.empty() ? "" : "did you mean " + quote(near) + "?");
    }
    DP_TRY(auto value, read(member, attribute->type, depth + 1));
    out.emplace(key, std::move(value));
  }
  return Value::record(std::move(out));
}

Result<Value> TypedReader::read(const json::Value& json, TypeId type, std::size_t depth) const {
  if (depth > max_nesting) return refuse("too_deep", "JSON value nested deeper than " + std::to_string(max_nesting));
  const TypeNode& node = types_.at(type);
  switch (node.kind) {
    case TypeKind::entity: {
      DP_TRY(auto uid, EntityUid::from_json(json));
      return Value::entity(std::move(uid));
    }
    case TypeKind::decimal:
    case TypeKind::ipaddr:
    case TypeKind::datetime:
    case TypeKind::duration:
      return extension(json, node.kind);
    case TypeKind::set:
      if (const auto* array = json.as_array()) {
        std::vector<Value> elements;
        for (const auto& item : *array) {
          DP_TRY(auto element, read(item, node.element, depth + 1));
          elements.push_back(std::move(element));
        }
        return Value::set(std::move(elements));
      }
      break;
    case TypeKind::record:
      if (const auto* object = json.as_object()) return record(*object, node, depth);
      break;
    default:
      break;
  }
  return Value::from_json(json);
}

// Conforming.

Status check_enum(const EntityUid& uid, const Schema& schema) {
  if (is_action_type(uid.type)) {
    if (schema.action(uid) == nullptr)
      return refuse("entity_action", uid.to_string() + " is not declared in the schema");
    return {};
  }
  const EntityTypeInfo* info = schema.entity_type(uid.type);
  if (info == nullptr || !info->enumerated || std::ranges::binary_search(info->choices, uid.id)) return {};
  const std::string near = base::nearest(uid.id, info->choices);
  return refuse("enum_id", quote(uid.id) + " is no " + uid.type,
                near.empty() ? "" : "did you mean " + quote(near) + "?");
}

Status check_value(const Value& value, TypeId type, const Schema& schema, std::size_t depth = 1);

Status check_record(const Record& record, const TypeNode& type, const Schema& schema, std::size_t depth) {
  for (const auto& [name, member] : record) {
    const AttributeType* attribute = type.attribute(name);
    if (attribute == nullptr)
      return refuse("value_type", "attribute " + quote(name) + " is not declared in the schema");
    if (auto status = check_value(member, attribute->type, schema, depth + 1); !status.ok()) {
      Error error = std::move(status).error();
      error.message = "attribute " + quote(name) + ": " + error.message;
      return error;
    }
  }
  for (const AttributeType& attribute : type.attributes)
    if (attribute.required && !record.contains(attribute.name))
      return refuse("value_type", "attribute " + quote(attribute.name) + " is missing");
  return {};
}

Status check_value(const Value& value, TypeId type, const Schema& schema, std::size_t depth) {
  using Kind = Value::Kind;
  const TypeNode& node = schema.types().at(type);
  if (depth > 2 * max_nesting) return refuse("too_deep", "value nested too deep");
  static constexpr std::pair<TypeKind, Kind> pairs[] = {
      {TypeKind::boolean, Kind::boolean},   {TypeKind::long_, Kind::integer}, {TypeKind::string, Kind::string},
      {TypeKind::decimal, Kind::decimal},   {TypeKind::ipaddr, Kind::ipaddr}, {TypeKind::datetime, Kind::datetime},
      {TypeKind::duration, Kind::duration}, {TypeKind::entity, Kind::entity}, {TypeKind::set, Kind::set},
      {TypeKind::record, Kind::record},
  };
  const auto* pair = std::ranges::find(pairs, node.kind, [](const auto& p) { return p.first; });
  const auto mismatch = [&] {
    return refuse("value_type",
                  "expected " + schema.types().to_string(type) + ", found " +
                      (value.as_entity() != nullptr ? value.as_entity()->to_string() : std::string(value.type_name())));
  };
  if (pair == std::end(pairs) || pair->second != value.kind()) return mismatch();
  if (const EntityUid* uid = value.as_entity()) {
    if (uid->type != node.name) return mismatch();
    return check_enum(*uid, schema);
  }
  if (const auto* elements = value.as_set())
    for (const Value& element : *elements) DP_CHECK(check_value(element, node.element, schema, depth + 1));
  if (const Record* record = value.as_record()) return check_record(*record, node, schema, depth);
  return {};
}

Error with_place(Error error, std::string check, const std::string& place) {
  error.message = place + ": " + error.message;
  if (error.check == "cedar.value_type") error.check = "cedar." + check;
  return error;
}

Status check_attributes(const Entity& entity, const EntityTypeInfo& info, const Schema& schema) {
  const TypeNode& type = schema.types().at(info.attributes);
  if (auto status = check_record(entity.attrs, type, schema, 1); !status.ok())
    return with_place(std::move(status).error(), "entity_attribute", entity.uid.to_string());
  for (const auto& [name, value] : entity.tags) {
    const std::string place = entity.uid.to_string() + ", tag " + quote(name);
    if (!info.tags) return refuse("entity_tag", place + ": " + info.name + " has no tags in the schema");
    if (auto status = check_value(value, *info.tags, schema); !status.ok())
      return with_place(std::move(status).error(), "entity_tag", place);
  }
  return {};
}

Status check_action(const Entity& entity, const Schema& schema) {
  if (schema.action(entity.uid) == nullptr)
    return refuse("entity_action", entity.uid.to_string() + " is not declared in the schema");
  if (entity.attrs.empty() && entity.tags.empty()) return {};
  return refuse("entity_action", entity.uid.to_string() + " has attributes or tags, which actions do not have");
}

Error unknown_type(const EntityUid& uid, const Schema& schema) {
  std::vector<std::string_view> known;
  for (const EntityTypeInfo& info : schema.entity_types()) known.push_back(info.name);
  const std::string near = base::nearest(uid.type, known);
  return refuse("entity_type", uid.to_string() + ": there is no entity type `" + uid.type + "` in the schema",
                near.empty() ? "" : "did you mean `" + near + "`?");
}

// The actions of `entities` must be in what the schema says they are in, directly or not.
Status check_action_groups(const std::vector<Entity>& entities, const Schema& schema) {
  std::map<EntityUid, const Entity*> actions;
  for (const Entity& entity : entities)
    if (is_action_type(entity.uid.type)) actions.emplace(entity.uid, &entity);
  for (const auto& [uid, entity] : actions) {
    std::set<EntityUid> above;
    std::vector<EntityUid> todo = entity->parents;
    while (!todo.empty()) {
      const EntityUid next = std::move(todo.back());
      todo.pop_back();
      if (!above.insert(next).second) continue;
      if (const auto found = actions.find(next); found != actions.end())
        todo.insert(todo.end(), found->second->parents.begin(), found->second->parents.end());
    }
    const ActionInfo& info = *schema.action(uid);
    std::set<EntityUid> declared;
    for (const std::uint32_t index : info.ancestors) declared.insert(schema.actions()[index].uid);
    if (above != declared)
      return refuse("entity_action", uid.to_string() + " is not in the same groups as in the schema",
                    "leave actions out; they come from the schema");
  }
  return {};
}

std::vector<Entity> action_entities(const Schema& schema) {
  std::vector<Entity> out;
  for (const ActionInfo& info : schema.actions()) {
    Entity entity;
    entity.uid = info.uid;
    for (const std::uint32_t parent : info.parents) entity.parents.push_back(schema.actions()[parent].uid);
    out.push_back(std::move(entity));
  }
  return out;
}

Result<Record> read_members(const json::Value& json, const std::string& place, const Schema& schema,
                            const std::function<std::optional<TypeId>(const std::string&)>& type_of) {
  if (json.as_object() == nullptr) return refuse("entities_json", place + "s are no object");
  Record out;
  const TypedReader reader(schema.types());
  for (const auto& [key, member] : *json.as_object()) {
    const auto type = type_of(key);
    auto value = type ? reader.read(member, *type) : Value::from_json(member);
    if (!value.ok())
      return with_place(std::move(value).error(), "entity_attribute", place + " " + quote(key.substr(0, 64)));
    out.emplace(key, std::move(*value));
  }
  return out;
}

Result<Entity> read_entity(const json::Value& json, const Schema& schema) {
  const json::Value* uid = json.find("uid");
  const json::Value* attrs = json.find("attrs");
  const json::Value* parents = json.find("parents");
  if (uid == nullptr || attrs == nullptr || parents == nullptr || parents->as_array() == nullptr)
    return refuse("entities_json", "an entity lacks uid, attrs or parents",
                  "an entity is {\"uid\": {…}, \"attrs\": {…}, \"parents\": […], \"tags\": {…}}");
  Entity out;
  DP_TRY(out.uid, EntityUid::from_json(*uid));
  const EntityTypeInfo* info = schema.entity_type(out.uid.type);
  if (info == nullptr && !is_action_type(out.uid.type)) return unknown_type(out.uid, schema);
  const std::string name = out.uid.to_string();
  DP_TRY(out.attrs, read_members(*attrs, name + ", attribute", schema, [&](const std::string& key) {
           const auto* found = info == nullptr ? nullptr : schema.types().at(info->attributes).attribute(key);
           return found == nullptr ? std::nullopt : std::optional(found->type);
         }));
  if (const json::Value* tags = json.find("tags")) {
    DP_TRY(out.tags, read_members(*tags, name + ", tag", schema,
                                  [&](const std::string&) { return info == nullptr ? std::nullopt : info->tags; }));
  }
  for (const auto& parent : *parents->as_array()) {
    DP_TRY(auto parent_uid, EntityUid::from_json(parent));
    out.parents.push_back(std::move(parent_uid));
  }
  return out;
}

}  // namespace

Status check_entity(const Entity& entity, const Schema& schema) {
  if (is_action_type(entity.uid.type)) return check_action(entity, schema);
  const EntityTypeInfo* info = schema.entity_type(entity.uid.type);
  if (info == nullptr) return unknown_type(entity.uid, schema);
  DP_CHECK(check_enum(entity.uid, schema));
  DP_CHECK(check_attributes(entity, *info, schema));
  for (const EntityUid& parent : entity.parents) {
    const bool allowed = std::ranges::any_of(
        info->ancestors, [&](std::uint32_t above) { return schema.entity_types()[above].name == parent.type; });
    if (!allowed)
      return refuse("entity_parent", entity.uid.to_string() + " can't be in " + parent.to_string() +
                                         ": the schema does not put " + info->name + " in " + parent.type);
    DP_CHECK(check_enum(parent, schema));
  }
  return {};
}

Result<Entities> entities_from_json(const json::Value& json, const Schema& schema) {
  const auto* array = json.as_array();
  if (array == nullptr) return refuse("entities_json", "entities are a JSON array");
  std::vector<Entity> entities;
  for (const auto& item : *array) {
    DP_TRY(auto entity, read_entity(item, schema));
    DP_CHECK(check_entity(entity, schema));
    entities.push_back(std::move(entity));
  }
  DP_CHECK(check_action_groups(entities, schema));
  // Now they are what the schema says.
  std::erase_if(entities, [](const Entity& entity) { return is_action_type(entity.uid.type); });
  auto actions = action_entities(schema);
  std::move(actions.begin(), actions.end(), std::back_inserter(entities));
  return Entities::build(std::move(entities));
}

Status check_request(const Request& request, const Schema& schema) {
  const auto known = [&](const EntityUid& uid, std::string_view part) -> Status {
    if (schema.entity_type(uid.type) == nullptr) {
      Error error = unknown_type(uid, schema);
      error.check = "cedar.request_" + std::string(part);
      return error;
    }
    return check_enum(uid, schema);
  };
  DP_CHECK(known(request.principal, "principal"));
  DP_CHECK(known(request.resource, "resource"));
  const ActionInfo* action = schema.action(request.action);
  if (action == nullptr) return refuse("request_action", request.action.to_string() + " is not declared in the schema");
  const auto taken = [&](const EntityUid& uid, const std::vector<std::string>& types, std::string_view part) -> Status {
    if (std::ranges::find(types, uid.type) != types.end()) return {};
    std::string list;
    for (std::size_t i = 0; i < types.size() && i < 8; ++i) list += (i == 0 ? "" : ", ") + types[i];
    return refuse("request_" + std::string(part),
                  request.action.to_string() + " takes no " + std::string(part) + " of type " + uid.type,
                  list.empty() ? "it takes none" : "it takes " + list);
  };
  DP_CHECK(taken(request.principal, action->principals, "principal"));
  DP_CHECK(taken(request.resource, action->resources, "resource"));
  if (auto status = check_record(request.context, schema.types().at(action->context), schema, 1); !status.ok())
    return with_place(std::move(status).error(), "request_context", "context of " + request.action.to_string());
  return {};
}

Result<Request> request_from_json(const json::Value& json, const Schema& schema) {
  json::Value bare = json;
  if (auto* object = bare.as_object()) object->set("context", json::Object());
  DP_TRY(auto out, Request::from_json(bare));
  const ActionInfo* action = schema.action(out.action);
  const json::Value* context = json.find("context");
  if (action != nullptr && context != nullptr) {
    const TypedReader reader(schema.types());
    auto value = reader.read(*context, action->context);
    if (!value.ok())
      return with_place(std::move(value).error(), "request_context", "context of " + out.action.to_string());
    if (value->as_record() == nullptr) return refuse("request_context", "the context is no record");
    out.context = *value->as_record();
  }
  DP_CHECK(check_request(out, schema));
  return out;
}

}  // namespace daypass::cedar
