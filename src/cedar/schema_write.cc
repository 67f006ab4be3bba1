// A raw schema in either format.
#include <algorithm>
#include <set>

#include "cedar/lexer.h"
#include "cedar/schema_raw.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

using Kind = RawType::Kind;

// JSON.

json::Value json_of(const RawAnnotations& annotations) {
  json::Object out;
  for (const auto& [key, value] : annotations) out.insert_new(key, value);
  return out;
}

json::Object json_of(const RawType& type);

json::Value attributes_json(const RawType& record) {
  json::Object out;
  for (const RawAttribute& attribute : record.attributes) {
    json::Object one = json_of(attribute.type);
    if (!attribute.annotations.empty()) one.set("annotations", json_of(attribute.annotations));
    if (!attribute.required) one.set("required", false);
    out.insert_new(attribute.name, std::move(one));
  }
  return out;
}

json::Object json_of(const RawType& type) {
  switch (type.kind) {
    case Kind::boolean:
      return {{"type", "Boolean"}};
    case Kind::long_:
      return {{"type", "Long"}};
    case Kind::string:
      return {{"type", "String"}};
    case Kind::extension:
      return {{"type", "Extension"}, {"name", type.name}};
    case Kind::entity:
      return {{"type", "Entity"}, {"name", type.name}};
    case Kind::entity_or_common:
      return {{"type", "EntityOrCommon"}, {"name", type.name}};
    case Kind::common:
      return {{"type", type.name}};
    case Kind::set:
      return {{"type", "Set"}, {"element", json_of(type.element.front())}};
    case Kind::record:
      return {{"type", "Record"}, {"attributes", attributes_json(type)}};
  }
  return {};
}

json::Value json_of(const std::vector<RawName>& names) {
  json::Array out;
  for (const RawName& name : names) out.emplace_back(name.name);
  return out;
}

json::Value json_of(const RawEntity& entity) {
  json::Object out;
  if (entity.enumerated) {
    json::Array choices;
    for (const auto& choice : entity.choices) choices.emplace_back(choice);
    out.set("enum", std::move(choices));
  } else {
    if (!entity.parents.empty()) out.set("memberOfTypes", json_of(entity.parents));
    if (!entity.shape.is_empty_record()) out.set("shape", json_of(entity.shape));
    if (entity.tags) out.set("tags", json_of(*entity.tags));
  }
  if (!entity.annotations.empty()) out.set("annotations", json_of(entity.annotations));
  return out;
}

json::Value json_of(const RawAction& action) {
  json::Object out;
  if (action.applies_to) {
    json::Object applies{{"resourceTypes", json_of(action.applies_to->resources)},
                         {"principalTypes", json_of(action.applies_to->principals)}};
    if (!action.applies_to->context.is_empty_record()) applies.set("context", json_of(action.applies_to->context));
    out.set("appliesTo", std::move(applies));
  }
  if (action.parents) {
    json::Array parents;
    for (const RawActionName& parent : *action.parents) {
      json::Object one{{"id", parent.id}};
      if (parent.type) one.set("type", *parent.type);
      parents.emplace_back(std::move(one));
    }
    out.set("memberOf", std::move(parents));
  }
  if (!action.annotations.empty()) out.set("annotations", json_of(action.annotations));
  return out;
}

// Text.

std::string indented(std::size_t depth) {
  return std::string(2 * depth, ' ');
}

std::string name_text(const std::string& name) {
  return is_type_name(name) && name.find(':') == std::string::npos ? name : quote(name);
}

void write(const RawAnnotations& annotations, std::size_t depth, std::string& out) {
  for (const auto& [key, value] : annotations)
    out += indented(depth) + "@" + key + (value.empty() ? "" : "(" + quote(value) + ")") + "\n";
}

void write(const RawType& type, std::size_t depth, std::string& out) {
  switch (type.kind) {
    case Kind::boolean:
      out += "__cedar::Bool";
      return;
    case Kind::long_:
      out += "__cedar::Long";
      return;
    case Kind::string:
      out += "__cedar::String";
      return;
    case Kind::extension:
      out += "__cedar::" + type.name;
      return;
    case Kind::entity:
    case Kind::entity_or_common:
    case Kind::common:
      out += type.name;
      return;
    case Kind::set:
      out += "Set<";
      write(type.element.front(), depth, out);
      out += ">";
      return;
    case Kind::record:
      break;
  }
  out += "{";
  for (const RawAttribute& attribute : type.attributes) {
    out += &attribute == &type.attributes.front() ? "\n" : ",\n";
    write(attribute.annotations, depth + 1, out);
    out += indented(depth + 1) + name_text(attribute.name) + (attribute.required ? ": " : "?: ");
    write(attribute.type, depth + 1, out);
  }
  if (!type.attributes.empty()) out += "\n" + indented(depth);
  out += "}";
}

std::string list_of(const std::vector<RawName>& names) {
  std::string out;
  for (const RawName& name : names) out += (out.empty() ? "" : ", ") + name.name;
  return "[" + out + "]";
}

void write(const RawEntity& entity, std::size_t depth, std::string& out) {
  write(entity.annotations, depth, out);
  out += indented(depth) + "entity " + entity.name;
  if (entity.enumerated) {
    out += " enum [";
    for (const auto& choice : entity.choices) out += (&choice == &entity.choices.front() ? "" : ", ") + quote(choice);
    out += "]";
  } else {
    if (!entity.parents.empty()) out += " in " + list_of(entity.parents);
    if (!entity.shape.is_empty_record()) {
      out += " = ";
      write(entity.shape, depth, out);
    }
    if (entity.tags) {
      out += " tags ";
      write(*entity.tags, depth, out);
    }
  }
  out += ";\n";
}

void write(const RawAction& action, std::size_t depth, std::string& out) {
  write(action.annotations, depth, out);
  out += indented(depth) + "action " + quote(action.id);
  if (action.parents && !action.parents->empty()) {
    out += " in [";
    for (const RawActionName& parent : *action.parents)
      out +=
          (&parent == &action.parents->front() ? "" : ", ") + parent.type.value_or("Action") + "::" + quote(parent.id);
    out += "]";
  }
  // With one list empty it applies to nothing, which the text says by leaving both out.
  if (action.applies_to && !action.applies_to->principals.empty() && !action.applies_to->resources.empty()) {
    const std::string inner = indented(depth + 1);
    out += " appliesTo {\n" + inner + "principal: " + list_of(action.applies_to->principals) + ",\n" + inner +
           "resource: " + list_of(action.applies_to->resources) + ",\n" + inner + "context: ";
    write(action.applies_to->context, depth + 1, out);
    out += "\n" + indented(depth) + "}";
  }
  out += ";\n";
}

void write(const RawNamespace& space, std::string& out) {
  const std::size_t depth = space.name.empty() ? 0 : 1;
  bool first = true;
  const auto gap = [&] { out += std::exchange(first, false) ? "" : "\n"; };
  for (const RawCommon& common : space.commons) {
    gap();
    write(common.annotations, depth, out);
    out += indented(depth) + "type " + common.name + " = ";
    write(common.type, depth, out);
    out += ";\n";
  }
  for (const RawEntity& entity : space.entities) {
    gap();
    write(entity, depth, out);
  }
  for (const RawAction& action : space.actions) {
    gap();
    write(action, depth, out);
  }
}

// What the text can't say.

void collect_entity_references(const RawType& type, std::set<std::string>& out) {
  if (type.kind == Kind::entity) out.insert(type.name);
  for (const RawType& element : type.element) collect_entity_references(element, out);
  for (const RawAttribute& attribute : type.attributes) collect_entity_references(attribute.type, out);
}

Error unwritable(const std::string& what, std::string hint) {
  return {Code::invalid, "cedar.schema_unwritable", what + " has no spelling in schema text", std::move(hint)};
}

base::Status writable(const RawNamespace& space) {
  std::set<std::string> references;
  std::set<std::string> commons;
  for (const RawCommon& common : space.commons) {
    commons.insert(common.name);
    collect_entity_references(common.type, references);
  }
  for (const RawAction& action : space.actions)
    if (action.applies_to) collect_entity_references(action.applies_to->context, references);
  for (const RawEntity& entity : space.entities) {
    collect_entity_references(entity.shape, references);
    if (entity.tags) collect_entity_references(*entity.tags, references);
    if (entity.shape.kind != Kind::record)
      return unwritable("the entity type `" + entity.name + "`, whose attributes are a named type,",
                        "write the record out");
  }
  for (const RawEntity& entity : space.entities)
    if (commons.contains(entity.name) && (!space.name.empty() || references.contains(entity.name)))
      return unwritable("a reference to the entity type `" + entity.name + "` past the common type of the same name",
                        "rename one of the two");
  return {};
}

}  // namespace

json::Value write_schema_json(const RawSchema& schema) {
  json::Object out;
  for (const RawNamespace& space : schema.namespaces) {
    json::Object one;
    if (!space.commons.empty()) {
      json::Object commons;
      for (const RawCommon& common : space.commons) {
        json::Object type = json_of(common.type);
        if (!common.annotations.empty()) type.set("annotations", json_of(common.annotations));
        commons.insert_new(common.name, std::move(type));
      }
      one.set("commonTypes", std::move(commons));
    }
    json::Object entities;
    for (const RawEntity& entity : space.entities) entities.insert_new(entity.name, json_of(entity));
    one.set("entityTypes", std::move(entities));
    json::Object actions;
    for (const RawAction& action : space.actions) actions.insert_new(action.id, json_of(action));
    one.set("actions", std::move(actions));
    if (!space.annotations.empty()) one.set("annotations", json_of(space.annotations));
    out.insert_new(space.name, std::move(one));
  }
  return out;
}

Result<std::string> write_schema_text(const RawSchema& schema) {
  std::string out;
  for (const RawNamespace& space : schema.namespaces) {
    DP_CHECK(writable(space));
    if (!out.empty()) out += "\n";
    write(space.annotations, 0, out);
    if (!space.name.empty()) out += "namespace " + space.name + " {\n";
    write(space, out);
    if (!space.name.empty()) out += "}\n";
  }
  return out;
}

}  // namespace daypass::cedar
