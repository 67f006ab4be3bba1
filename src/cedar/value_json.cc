// The entity JSON format of values. What counts as an escape, and what is then a plain record, is as the official
// engine has it: an object with the one key `__entity` or `__extn` whose value has the right shape.
#include <array>

#include "cedar/evaluate.h"
#include "cedar/expr.h"
#include "cedar/extension.h"
#include "cedar/lexer.h"
#include "cedar/value.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

json::Value extn(std::string_view function, std::string argument) {
  return json::Object{{"__extn", json::Object{{"fn", function}, {"arg", std::move(argument)}}}};
}

// Far instants have no text; the format spells them as an offset from 1970.
json::Value far_datetime(std::int64_t unix_millis) {
  return json::Object{
      {"__extn", json::Object{{"fn", "offset"},
                              {"args", json::Array{extn("datetime", "1970-01-01"),
                                                   extn("duration", extension::write_duration(unix_millis))}}}}};
}

Result<Value> read(const json::Value& json, std::size_t depth);

Result<Value> read_call(const std::string& name, std::span<const json::Value> arguments, std::size_t depth) {
  if (!is_type_name(name))
    return Error{Code::invalid, "cedar.json_value", "`__extn` names no function: " + quote(name.substr(0, 64))};
  const FunctionInfo* function = find_function(name);
  if (function == nullptr || !is_extension(function->function))
    return Error{Code::invalid, "cedar.json_value", "there is no extension function `" + name.substr(0, 64) + "`"};
  std::vector<Value> values;
  for (const auto& argument : arguments) {
    DP_TRY(auto value, read(argument, depth));
    values.push_back(std::move(value));
  }
  return call_extension(function->function, values);
}

// Whether it has a type and an id, both text.
bool is_type_and_id(const json::Value* json) {
  const json::Value* type = json == nullptr ? nullptr : json->find("type");
  const json::Value* id = json == nullptr ? nullptr : json->find("id");
  return type != nullptr && id != nullptr && type->as_string() != nullptr && id->as_string() != nullptr;
}

// Whatever else it has is looked over.
Result<EntityUid> uid_of_type_and_id(const json::Value& json) {
  const std::string& type = *json.find("type")->as_string();
  if (!is_type_name(type))
    return Error{Code::invalid, "cedar.entity_uid", "not an entity type: " + quote(type.substr(0, 64)),
                 "a type is identifiers joined by `::`, without white space or reserved words"};
  return EntityUid{type, *json.find("id")->as_string()};
}

// nullopt: not an escape after all.
std::optional<Result<Value>> read_escape(const json::Object& object, std::size_t depth) {
  if (object.size() != 1) return std::nullopt;
  const auto& [key, inner] = *object.begin();
  if (key == "__expr" && inner.as_string() != nullptr)
    return Error{Code::invalid, "cedar.json_value", "the `__expr` escape is no longer part of Cedar"};
  if (inner.as_object() == nullptr) return std::nullopt;
  if (key == "__entity") {
    if (!is_type_and_id(&inner)) return std::nullopt;
    auto uid = uid_of_type_and_id(inner);
    if (!uid.ok()) return std::move(uid).error();
    return Value::entity(std::move(*uid));
  }
  if (key != "__extn") return std::nullopt;
  const json::Value* fn = inner.find("fn");
  if (fn == nullptr || fn->as_string() == nullptr) return std::nullopt;
  if (const json::Value* arg = inner.find("arg")) return read_call(*fn->as_string(), std::span(arg, 1), depth + 1);
  const json::Value* args = inner.find("args");
  if (args == nullptr || args->as_array() == nullptr) return std::nullopt;
  return read_call(*fn->as_string(), *args->as_array(), depth + 1);
}

Result<Record> read_record(const json::Object& object, std::size_t depth) {
  Record record;
  for (const auto& [key, member] : object) {
    DP_TRY(auto value, read(member, depth + 1));
    record.emplace(key, std::move(value));
  }
  return record;
}

Result<Value> read(const json::Value& json, std::size_t depth) {
  if (depth > max_nesting)
    return Error{Code::invalid, "cedar.too_deep", "JSON value nested deeper than " + std::to_string(max_nesting)};
  if (const bool* b = json.as_bool()) return Value::boolean(*b);
  if (const auto* i = json.as_int()) return Value::long_(*i);
  if (const auto* s = json.as_string()) return Value::string(*s);
  if (const auto* array = json.as_array()) {
    std::vector<Value> elements;
    for (const auto& item : *array) {
      DP_TRY(auto element, read(item, depth + 1));
      elements.push_back(std::move(element));
    }
    return Value::set(std::move(elements));
  }
  if (const auto* object = json.as_object()) {
    if (auto escape = read_escape(*object, depth)) return std::move(*escape);
    DP_TRY(auto record, read_record(*object, depth));
    return Value::record(std::move(record));
  }
  if (json.is_null())
    return Error{Code::invalid, "cedar.json_value", "null is no Cedar value", "leave the attribute out"};
  return Error{Code::invalid, "cedar.json_value", "a number that is not a 64-bit integer is no Cedar value",
               "write it as {\"__extn\": {\"fn\": \"decimal\", \"arg\": \"1.5\"}}"};
}

}  // namespace

json::Value EntityUid::to_json() const {
  return json::Object{{"type", type}, {"id", id}};
}

Result<EntityUid> EntityUid::from_json(const json::Value& json) {
  const json::Value* inner = json.find("__entity");
  const json::Value& plain = is_type_and_id(inner) ? *inner : json;
  if (!is_type_and_id(&plain))
    return Error{Code::invalid, "cedar.entity_uid", "an entity is {\"type\": \"…\", \"id\": \"…\"}"};
  return uid_of_type_and_id(plain);
}

json::Value Value::to_json() const {
  switch (kind()) {
    case Kind::boolean:
      return *as_bool();
    case Kind::integer:
      return *as_long();
    case Kind::string:
      return *as_string();
    case Kind::entity:
      return json::Object{{"__entity", as_entity()->to_json()}};
    case Kind::decimal:
      return extn("decimal", extension::write_decimal(*as_decimal()));
    case Kind::ipaddr:
      return extn("ip", extension::write_ip(*as_ipaddr()));
    case Kind::duration:
      return extn("duration", extension::write_duration(*as_duration()));
    case Kind::datetime: {
      auto text = extension::write_datetime(*as_datetime());
      return text ? extn("datetime", std::move(*text)) : far_datetime(*as_datetime());
    }
    case Kind::set: {
      json::Array array;
      for (const Value& element : *as_set()) array.push_back(element.to_json());
      return array;
    }
    case Kind::record:
      return record_to_json(*as_record());
  }
  return nullptr;
}

Result<Value> Value::from_json(const json::Value& json) {
  return read(json, 1);
}

Result<Record> record_from_json(const json::Value& json) {
  // Straight into the record that is wanted: every request brings a context.
  const json::Object* object = json.as_object();
  if (object != nullptr && !read_escape(*object, 1)) return read_record(*object, 1);
  DP_TRY(auto value, Value::from_json(json));
  return Error{Code::invalid, "cedar.json_value", "expected a record, not a " + std::string(value.type_name())};
}

Result<Record> record_from_json_text(std::string_view text, const json::Limits& limits) {
  Record record;
  const auto add = [&record](std::string key, const json::Value& member) -> Result<void> {
    DP_TRY(auto value, read(member, 2));
    if (record.contains(key))
      return Error{Code::invalid, "json.duplicate_key", "JSON: duplicate key " + quote(key.substr(0, 64))};
    record.emplace(std::move(key), std::move(value));
    return {};
  };
  // A lone member may be an escape, and with it all of this no record: it waits for a second one.
  std::optional<json::Member> lone;
  DP_CHECK(json::parse_members(text, limits, [&](std::string key, json::Value member) -> Result<void> {
    if (record.empty() && !lone && key.starts_with("__")) {
      lone = json::Member{std::move(key), std::move(member)};
      return {};
    }
    if (lone) {
      DP_CHECK(add(std::move(lone->key), lone->value));
      lone.reset();
    }
    return add(std::move(key), member);
  }));
  if (!lone) return record;
  json::Object object;
  object.insert_new(std::move(lone->key), std::move(lone->value));
  return record_from_json(object);
}

json::Value record_to_json(const Record& record) {
  json::Object object;
  for (const auto& [key, value] : record) object.insert_new(key, value.to_json());
  // The format has no spelling for a record that looks like an escape. Read back, it must not become an entity that
  // nobody named, so it is written as the one form that every reader refuses.
  if (object.size() == 1 && read_escape(object, 1))
    return json::Object{{"__expr", "a record that looks like an escape"}};
  return object;
}

}  // namespace daypass::cedar
