#include "idp/scim/resource.h"

#include <algorithm>

#include "base/encoding.h"
#include "idp/scim/limits.h"

namespace daypass::idp::scim {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

Error bad_value(std::string_view attribute, const std::string& why) {
  return {Code::invalid, "scim.value", std::string(attribute) + " " + why,
          "correct it in the attribute mapping of the provider"};
}
Error bad_syntax(std::string why) {
  return {Code::invalid, "scim.syntax", std::move(why)};
}

Result<json::Value> read_text(const Attribute& attribute, const json::Value& value) {
  const std::string* text = value.as_string();
  if (text == nullptr) return bad_value(attribute.name, "must be a text, not " + std::string(value.type_name()));
  const std::size_t most = attribute.unique || attribute.required ? max_name_bytes : max_text_bytes;
  if (text->size() > most) return bad_value(attribute.name, "has more than " + std::to_string(most) + " bytes");
  // JSON is UTF-8; what moves a terminal's cursor is no part of a name.
  if (std::ranges::any_of(*text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return bad_value(attribute.name, "holds control characters");
  return text->empty() ? json::Value() : value;
}

Result<json::Value> read_boolean(const Attribute& attribute, const json::Value& value) {
  if (value.as_bool() != nullptr) return value;
  // Entra ID writes "True" and "False" unless an option in its URL says otherwise.
  if (const auto* text = value.as_string()) {
    if (same_word(*text, "true")) return json::Value(true);
    if (same_word(*text, "false")) return json::Value(false);
  }
  return bad_value(attribute.name, "must be true or false");
}

Result<json::Value> read_parts(const Attribute& attribute, const json::Value& value) {
  const json::Object* object = value.as_object();
  if (object == nullptr) {
    // A text alone is its `value`.
    const Attribute* only = find(attribute.sub, "value");
    if (only == nullptr || value.as_string() == nullptr)
      return bad_value(attribute.name, "must be an object, not " + std::string(value.type_name()));
    DP_TRY(json::Value text, read_text(*only, value));
    if (text.is_null()) return text;
    return json::Value(json::Object{{std::string(only->name), std::move(text)}});
  }
  json::Object found;
  for (const auto& [name, part] : *object) {
    const Attribute* known = find(attribute.sub, name);
    if (known == nullptr) continue;
    DP_TRY(json::Value read, read_value(*known, part));
    if (!read.is_null() && !found.insert(std::string(known->name), std::move(read)))
      return bad_syntax(std::string(known->name) + " is there twice");
  }
  json::Object out;
  for (const auto& part : attribute.sub)
    if (const auto* read = found.find(part.name)) out.set(std::string(part.name), *read);
  return out.empty() ? json::Value() : json::Value(std::move(out));
}

Status read_into(json::Object& out, std::span<const Attribute> table, const json::Object& body) {
  for (const auto& [name, value] : body) {
    const Attribute* known = find(table, name);
    if (known == nullptr || known->name == "members") continue;
    if (out.find(known->name) != nullptr) return bad_syntax(std::string(known->name) + " is there twice");
    DP_TRY(json::Value read, read_value(*known, value));
    if (!read.is_null()) out.set(std::string(known->name), std::move(read));
  }
  return {};
}

json::Object in_order(std::span<const Attribute> table, const json::Object& from) {
  json::Object out;
  for (const auto& attribute : table) {
    const json::Value* value = from.find(attribute.name);
    if (value == nullptr) continue;
    json::Value kept = *value;
    if (const json::Object* parts = kept.as_object()) kept = in_order(attribute.sub, *parts);
    if (json::Array* list = kept.as_array())
      for (auto& one : *list)
        if (const json::Object* parts = one.as_object()) one = in_order(attribute.sub, *parts);
    out.insert_new(std::string(attribute.name), std::move(kept));
  }
  return out;
}

}  // namespace

Result<json::Value> read_value(const Attribute& attribute, const json::Value& value) {
  if (value.is_null()) return json::Value();
  if (attribute.many) {
    json::Array list;
    if (const json::Array* given = value.as_array()) {
      if (given->size() > max_values)
        return bad_value(attribute.name, "has more than " + std::to_string(max_values) + " values");
      for (const auto& one : *given) {
        DP_TRY(json::Value read, read_parts(attribute, one));
        if (!read.is_null() && std::ranges::find(list, read) == list.end()) list.push_back(std::move(read));
      }
    } else {
      DP_TRY(json::Value read, read_parts(attribute, value));
      if (!read.is_null()) list.push_back(std::move(read));
    }
    return list.empty() ? json::Value() : json::Value(std::move(list));
  }
  if (attribute.type == Type::complex) return read_parts(attribute, value);
  if (attribute.type == Type::boolean) return read_boolean(attribute, value);
  return read_text(attribute, value);
}

Result<json::Object> read_resource(Kind kind, const json::Value& body) {
  const json::Object* object = body.as_object();
  if (object == nullptr) return bad_syntax("the body must be a JSON object");
  const Schema& core = core_schema(kind);
  for (const auto& [name, value] : *object) {
    if (!same_word(name, "schemas")) continue;
    const json::Array* list = value.as_array();
    const bool ours = list != nullptr && std::ranges::any_of(*list, [&](const json::Value& one) {
                        return one.as_string() != nullptr && same_word(*one.as_string(), core.urn);
                      });
    if (!ours) return bad_syntax("\"schemas\" does not name " + std::string(core.urn));
  }
  json::Object out;
  DP_CHECK(read_into(out, core.attributes, *object));
  for (const auto& schema : schemas()) {
    if (schema.kind != kind || !schema.extension) continue;
    for (const auto& [name, value] : *object) {
      if (!same_word(name, schema.urn) || value.is_null()) continue;
      if (value.as_object() == nullptr) return bad_value(schema.urn, "must be an object");
      if (out.find(schema.urn) != nullptr) return bad_syntax(std::string(schema.urn) + " is there twice");
      json::Object inner;
      DP_CHECK(read_into(inner, schema.attributes, *value.as_object()));
      if (!inner.empty()) out.set(std::string(schema.urn), std::move(inner));
    }
  }
  DP_CHECK(judge(kind, out));
  return ordered(kind, out);
}

Result<std::vector<std::string>> read_members(const json::Value* members, std::size_t most) {
  std::vector<std::string> out;
  if (members == nullptr || members->is_null()) return out;
  const json::Array one{*members};
  const json::Array& list = members->as_array() != nullptr ? *members->as_array() : one;
  if (list.size() > most)
    return Error{Code::invalid, "scim.too_many",
                 "there are more than " + std::to_string(most) + " members in one request", "send them in several"};
  std::set<std::string> seen;
  for (const auto& member : list) {
    const std::string id = member.as_string() != nullptr ? *member.as_string() : member.string_or("value");
    if (id.empty() || id.size() > 64) return bad_value("members", "holds something that names no user by its id");
    if (same_word(member.string_or("type"), "Group"))
      return bad_value("members", "holds a group; groups hold users only");
    if (seen.insert(id).second) out.push_back(id);
  }
  return out;
}

Status judge(Kind kind, const json::Object& resource) {
  for (const auto& attribute : core_schema(kind).attributes)
    if (attribute.required && resource.find(attribute.name) == nullptr) return bad_value(attribute.name, "is missing");
  if (json::dump(resource).size() > max_resource_bytes)
    return Error{Code::invalid, "scim.value",
                 "all attributes together have more than " + std::to_string(max_resource_bytes) + " bytes",
                 "leave some out in the attribute mapping of the provider"};
  return {};
}

json::Object ordered(Kind kind, const json::Object& resource) {
  json::Object out = in_order(core_schema(kind).attributes, resource);
  for (const auto& schema : schemas()) {
    const auto* extension = schema.kind == kind && schema.extension ? resource.find(schema.urn) : nullptr;
    if (extension == nullptr || extension->as_object() == nullptr) continue;
    json::Object inner = in_order(schema.attributes, *extension->as_object());
    if (!inner.empty()) out.insert_new(std::string(schema.urn), std::move(inner));
  }
  return out;
}

std::string text_of(const json::Object& resource, std::string_view attribute) {
  const json::Value* value = resource.find(attribute);
  return value == nullptr || value->as_string() == nullptr ? std::string() : *value->as_string();
}

bool Projection::shows(std::string_view attribute) const {
  const std::string name = folded(attribute);
  return only.empty() ? !without.contains(name) : only.contains(name);
}

Result<Projection> Projection::parse(const std::optional<std::string>& attributes,
                                     const std::optional<std::string>& excluded) {
  const auto read = [](const std::optional<std::string>& list, std::set<std::string>& out) -> Status {
    if (!list) return {};
    if (list->size() > max_filter_bytes) return bad_value("attributes", "is too long a list");
    std::string_view left = *list;
    while (!left.empty()) {
      const std::size_t comma = std::min(left.find(','), left.size());
      std::string name = folded(left.substr(0, comma));
      left.remove_prefix(std::min(comma + 1, left.size()));
      while (name.starts_with(' ')) name.erase(0, 1);
      while (name.ends_with(' ')) name.pop_back();
      // The schema before a name says nothing that the name does not; a part of an attribute brings all of it.
      bool extension = false;
      for (const auto& schema : schemas()) {
        const std::string urn = folded(schema.urn);
        if (!name.starts_with(urn)) continue;
        if (schema.extension)
          name = urn;
        else if (name.starts_with(urn + ":"))
          name.erase(0, urn.size() + 1);
        extension = schema.extension;
        break;
      }
      if (!extension) name.resize(std::min(name.find('.'), name.size()));
      if (!name.empty()) out.insert(std::move(name));
    }
    return {};
  };
  Projection out;
  DP_CHECK(read(attributes, out.only));
  DP_CHECK(read(excluded, out.without));
  if (!out.only.empty() && !out.without.empty())
    return bad_value("attributes", "and excludedAttributes can't be asked for together");
  return out;
}

std::string location(Kind kind, std::string_view id, const std::string& base) {
  return base + (kind == Kind::user ? "/Users/" : "/Groups/") + std::string(id);
}

json::Object view(Kind kind, const json::Object& resource, const Meta& meta, const std::vector<std::string>* members,
                  const std::string& base, const Projection& projection) {
  const Schema& core = core_schema(kind);
  json::Array urns{core.urn};
  for (const auto& [name, value] : resource)
    if (name.starts_with("urn:")) urns.emplace_back(name);
  json::Object out{{"schemas", std::move(urns)}, {"id", meta.id}};
  for (const auto& [name, value] : resource)
    if (projection.shows(name)) out.set(name, value);
  if (members != nullptr && projection.shows("members")) {
    json::Array list;
    for (const auto& id : *members)
      list.push_back(json::Object{{"value", id}, {"$ref", location(Kind::user, id, base)}, {"type", "User"}});
    out.set("members", std::move(list));
  }
  if (projection.shows("meta"))
    out.set("meta", json::Object{{"resourceType", core.name},
                                 {"created", base::to_rfc3339(meta.created)},
                                 {"lastModified", base::to_rfc3339(meta.modified)},
                                 {"location", location(kind, meta.id, base)}});
  return out;
}

}  // namespace daypass::idp::scim
