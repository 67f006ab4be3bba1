// The JSON form of a schema, read with the place of each part.
#include <algorithm>
#include <unordered_map>

#include "cedar/lexer.h"
#include "cedar/schema_raw.h"

namespace daypass::cedar {

namespace json = base::json;

namespace {

// Where each value of a JSON text stands. The text has been parsed already, so that walking it along the values can't
// go wrong.
class JsonPlaces {
 public:
  JsonPlaces(std::string_view text, const json::Value& root) : text_(text) { value(root); }

  [[nodiscard]] Span of(const json::Value& value) const {
    const auto found = spans_.find(&value);
    return found == spans_.end() ? Span{} : found->second;
  }

 private:
  void blank() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  void string() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    ++at_;
  }
  // Over one `,`, `:` or bracket with the white space around it.
  void mark() {
    blank();
    ++at_;
    blank();
  }

  void value(const json::Value& here) {
    blank();
    const auto begin = static_cast<std::uint32_t>(at_);
    if (const auto* object = here.as_object()) {
      mark();
      for (const auto& [key, inner] : *object) {
        if (text_[at_] == ',') mark();
        string();
        mark();
        value(inner);
        blank();
      }
      ++at_;
    } else if (const auto* array = here.as_array()) {
      mark();
      for (const auto& inner : *array) {
        if (text_[at_] == ',') mark();
        value(inner);
        blank();
      }
      ++at_;
    } else if (here.as_string() != nullptr) {
      string();
    } else {
      while (at_ < text_.size() && std::string_view(",]} \t\n\r").find(text_[at_]) == std::string_view::npos) ++at_;
    }
    spans_.emplace(&here, Span{begin, static_cast<std::uint32_t>(at_)});
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::unordered_map<const json::Value*, Span> spans_;
};

class JsonReader {
 public:
  JsonReader(SchemaProblems& problems, const json::Value& root)
      : problems_(problems), places_(problems.source().text, root) {}

  RawSchema schema(const json::Value& root);

 private:
  void wrong(const json::Value& at, std::string message, std::string hint = {},
             std::string check = "cedar.schema_json") {
    problems_.report(places_.of(at), std::move(check), std::move(message), std::move(hint));
  }
  /// The object, all of whose members are among `known`; else nullptr, reported.
  const json::Object* object(const json::Value& json, std::string_view what,
                             std::initializer_list<std::string_view> known);
  /// An object of any members.
  const json::Object* map(const json::Value& json, std::string_view what);
  const json::Array* array(const json::Value& json, std::string_view what);
  const json::Value* needed(const json::Value& json, std::string_view key, std::string_view what);
  std::string identifier(const json::Value& at, const std::string& text, std::string_view what);
  std::string path(const json::Value& json, std::string_view what);
  RawAnnotations annotations(const json::Value& owner);

  void name_space(const std::string& name, const json::Value& json, RawSchema& out);
  RawEntity entity(const std::string& name, const json::Value& json);
  RawAction action(const std::string& id, const json::Value& json);
  void action_parents(const json::Value& json, RawAction& out);
  void applies_to(const json::Value& json, RawAction& out);
  void names(const json::Value& json, std::string_view what, std::vector<RawName>& out);
  /// `extra`: members that the owner of the type takes for itself.
  RawType type(const json::Value& json, std::initializer_list<std::string_view> extra = {});
  void plain_type(const json::Value& json, const std::string& name, RawType& out);
  void record_type(const json::Value& json, RawType& out);

  SchemaProblems& problems_;
  JsonPlaces places_;
};

const json::Object* JsonReader::map(const json::Value& json, std::string_view what) {
  if (const auto* out = json.as_object()) return out;
  wrong(json, std::string(what) + " is no object");
  return nullptr;
}

const json::Object* JsonReader::object(const json::Value& json, std::string_view what,
                                       std::initializer_list<std::string_view> known) {
  const auto* out = map(json, what);
  if (out == nullptr) return nullptr;
  for (const auto& [key, value] : *out) {
    if (std::ranges::find(known, key) != known.end()) continue;
    std::string list;
    for (const auto name : known) list += (list.empty() ? "" : ", ") + std::string(name);
    wrong(value, std::string(what) + " has no member " + quote(key.substr(0, 64)), "known here: " + list);
  }
  return out;
}

const json::Array* JsonReader::array(const json::Value& json, std::string_view what) {
  if (const auto* out = json.as_array()) return out;
  wrong(json, std::string(what) + " is no array");
  return nullptr;
}

const json::Value* JsonReader::needed(const json::Value& json, std::string_view key, std::string_view what) {
  const auto* out = json.find(key);
  if (out == nullptr) wrong(json, std::string(what) + " has no `" + std::string(key) + "`");
  return out;
}

std::string JsonReader::identifier(const json::Value& at, const std::string& text, std::string_view what) {
  if (!is_type_name(text) || text.find(':') != std::string::npos)
    wrong(at, quote(text.substr(0, 64)) + " can't be the name of " + std::string(what),
          "a name is letters, digits and _, and no reserved word");
  return text;
}

// A reference: `__cedar` may be part of it.
std::string JsonReader::path(const json::Value& json, std::string_view what) {
  const std::string* text = json.as_string();
  if (text == nullptr) {
    wrong(json, std::string(what) + " is no string");
    return {};
  }
  std::string_view rest = *text;
  if (rest.starts_with("__cedar::")) rest.remove_prefix(9);
  if (!is_type_name(rest))
    wrong(json, quote(text->substr(0, 64)) + " is no type name",
          "a type name is identifiers joined by `::`, without white space or reserved words");
  return *text;
}

RawAnnotations JsonReader::annotations(const json::Value& owner) {
  RawAnnotations out;
  const auto* notes = owner.find("annotations");
  const auto* object = notes == nullptr ? nullptr : map(*notes, "`annotations`");
  if (object == nullptr) return out;
  for (const auto& [key, value] : *object) {
    const std::string* text = value.as_string();
    // Reserved words may be annotations, so only the shape is looked at.
    if (!is_type_name("x" + key) || key.empty() || (key.front() >= '0' && key.front() <= '9') ||
        key.find(':') != std::string::npos)
      wrong(value, quote(key.substr(0, 64)) + " can't be the name of an annotation");
    else if (text == nullptr && !value.is_null())
      wrong(value, "an annotation's value is a string or null");
    out.emplace(key, text == nullptr ? std::string() : *text);
  }
  return out;
}

RawSchema JsonReader::schema(const json::Value& root) {
  RawSchema out;
  if (const auto* spaces = map(root, "a schema"))
    for (const auto& [name, space] : *spaces) name_space(name, space, out);
  return out;
}

void JsonReader::name_space(const std::string& name, const json::Value& json, RawSchema& schema) {
  const auto* members = object(json, "a namespace", {"commonTypes", "entityTypes", "actions", "annotations"});
  if (members == nullptr) return;
  RawNamespace out;
  out.name = name;
  out.span = places_.of(json);
  if (!name.empty() && !is_type_name(name))
    wrong(json, quote(name.substr(0, 64)) + " can't be the name of a namespace",
          "a name is identifiers joined by `::`, without white space, reserved words or `__cedar`");
  out.annotations = annotations(json);
  if (name.empty() && json.find("annotations") != nullptr)
    wrong(*json.find("annotations"), "there is no namespace here that could have annotations");
  if (const auto* commons = json.find("commonTypes"))
    if (const auto* all = map(*commons, "`commonTypes`"))
      for (const auto& [key, value] : *all) {
        if (is_schema_keyword(key))
          wrong(value, "`" + key + "` is a built-in type and can't be declared", "", "cedar.reserved");
        out.commons.push_back(
            {identifier(value, key, "a type"), type(value, {"annotations"}), annotations(value), places_.of(value)});
      }
  if (const auto* entities = needed(json, "entityTypes", "the namespace"))
    if (const auto* all = map(*entities, "`entityTypes`"))
      for (const auto& [key, value] : *all) out.entities.push_back(entity(identifier(value, key, "a type"), value));
  if (const auto* actions = needed(json, "actions", "the namespace"))
    if (const auto* all = map(*actions, "`actions`"))
      for (const auto& [key, value] : *all) out.actions.push_back(action(key, value));
  schema.namespaces.push_back(std::move(out));
}

RawEntity JsonReader::entity(const std::string& name, const json::Value& json) {
  RawEntity out;
  out.name = name;
  out.span = places_.of(json);
  out.shape.span = out.span;
  if (json.find("enum") != nullptr) {
    out.enumerated = true;
    if (object(json, "an entity type with `enum`", {"enum", "annotations"}) == nullptr) return out;
    out.annotations = annotations(json);
    const auto* choices = array(*json.find("enum"), "`enum`");
    if (choices == nullptr) return out;
    if (choices->empty()) wrong(*json.find("enum"), "`enum` lists no id");
    for (const auto& choice : *choices) {
      if (choice.as_string() == nullptr) wrong(choice, "an entity's id is a string");
      out.choices.push_back(choice.as_string() == nullptr ? "" : *choice.as_string());
    }
    return out;
  }
  if (object(json, "an entity type", {"memberOfTypes", "shape", "tags", "enum", "annotations"}) == nullptr) return out;
  out.annotations = annotations(json);
  if (const auto* parents = json.find("memberOfTypes")) names(*parents, "`memberOfTypes`", out.parents);
  if (const auto* shape = json.find("shape")) out.shape = type(*shape);
  if (const auto* tags = json.find("tags")) out.tags = type(*tags);
  return out;
}

void JsonReader::names(const json::Value& json, std::string_view what, std::vector<RawName>& out) {
  if (const auto* all = array(json, what))
    for (const auto& one : *all) out.push_back({path(one, "an entity type"), places_.of(one)});
}

RawAction JsonReader::action(const std::string& id, const json::Value& json) {
  RawAction out;
  out.id = id;
  out.span = places_.of(json);
  if (object(json, "an action", {"attributes", "appliesTo", "memberOf", "annotations"}) == nullptr) return out;
  out.annotations = annotations(json);
  const auto present = [&](std::string_view key) {
    const auto* value = json.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  };
  if (const auto* attributes = present("attributes")) wrong(*attributes, "actions have no attributes");
  if (const auto* parents = present("memberOf")) action_parents(*parents, out);
  if (const auto* applies = present("appliesTo")) applies_to(*applies, out);
  return out;
}

void JsonReader::action_parents(const json::Value& json, RawAction& out) {
  out.parents.emplace();
  const auto* all = array(json, "`memberOf`");
  if (all == nullptr) return;
  for (const auto& one : *all) {
    if (object(one, "an action's name", {"id", "type"}) == nullptr) continue;
    const auto* id = needed(one, "id", "an action's name");
    if (id == nullptr) continue;
    RawActionName name;
    name.span = places_.of(one);
    if (id->as_string() == nullptr) wrong(*id, "an action's id is a string");
    name.id = id->as_string() == nullptr ? "" : *id->as_string();
    if (const auto* type_name = one.find("type"); type_name != nullptr && !type_name->is_null())
      name.type = path(*type_name, "an action's type");
    out.parents->push_back(std::move(name));
  }
}

void JsonReader::applies_to(const json::Value& json, RawAction& out) {
  out.applies_to.emplace();
  out.applies_to->context.span = places_.of(json);
  if (object(json, "`appliesTo`", {"principalTypes", "resourceTypes", "context"}) == nullptr) return;
  if (const auto* types = needed(json, "principalTypes", "`appliesTo`"))
    names(*types, "`principalTypes`", out.applies_to->principals);
  if (const auto* types = needed(json, "resourceTypes", "`appliesTo`"))
    names(*types, "`resourceTypes`", out.applies_to->resources);
  if (const auto* context = json.find("context")) out.applies_to->context = type(*context);
}

RawType JsonReader::type(const json::Value& json, std::initializer_list<std::string_view> extra) {
  RawType out;
  out.span = places_.of(json);
  const auto* members = map(json, "a type");
  const auto* named = members == nullptr ? nullptr : needed(json, "type", "a type");
  if (named == nullptr) return out;
  if (named->as_string() == nullptr) {
    wrong(*named, "`type` is a string");
    return out;
  }
  const std::string& name = *named->as_string();
  std::vector<std::string_view> known(extra);
  known.emplace_back("type");
  if (name == "Set") known.emplace_back("element");
  if (name == "Entity" || name == "EntityOrCommon" || name == "Extension") known.emplace_back("name");
  if (name == "Record") known.insert(known.end(), {"attributes", "additionalAttributes"});
  for (const auto& [key, value] : *members)
    if (std::ranges::find(known, key) == known.end())
      wrong(value, "the type " + quote(name.substr(0, 64)) + " has no member " + quote(key.substr(0, 64)));
  plain_type(json, name, out);
  return out;
}

void JsonReader::plain_type(const json::Value& json, const std::string& name, RawType& out) {
  using Kind = RawType::Kind;
  static constexpr std::pair<std::string_view, Kind> kinds[] = {
      {"Boolean", Kind::boolean}, {"Long", Kind::long_},
      {"String", Kind::string},   {"Extension", Kind::extension},
      {"Entity", Kind::entity},   {"EntityOrCommon", Kind::entity_or_common},
      {"Set", Kind::set},         {"Record", Kind::record},
  };
  const auto* found = std::ranges::find(kinds, name, [](const auto& pair) { return pair.first; });
  out.kind = found == std::end(kinds) ? Kind::common : found->second;
  switch (out.kind) {
    case Kind::common:
      out.name = path(*json.find("type"), "a type");
      break;
    case Kind::extension:
    case Kind::entity:
    case Kind::entity_or_common:
      if (const auto* named = needed(json, "name", "the type")) out.name = path(*named, "a type");
      break;
    case Kind::set:
      if (const auto* element = needed(json, "element", "a set"))
        out.element.push_back(type(*element));
      else
        out.element.emplace_back();
      break;
    case Kind::record:
      record_type(json, out);
      break;
    default:
      break;
  }
}

void JsonReader::record_type(const json::Value& json, RawType& out) {
  if (const auto* open = json.find("additionalAttributes")) {
    if (open->as_bool() == nullptr)
      wrong(*open, "`additionalAttributes` is true or false");
    else if (*open->as_bool())
      wrong(*open, "records with additional attributes are not supported", "list them all");
  }
  const auto* attributes = needed(json, "attributes", "a record");
  const auto* all = attributes == nullptr ? nullptr : map(*attributes, "`attributes`");
  if (all == nullptr) return;
  for (const auto& [name, value] : *all) {
    RawAttribute attribute;
    attribute.name = name;
    attribute.span = places_.of(value);
    attribute.type = type(value, {"required", "annotations"});
    attribute.annotations = annotations(value);
    if (const auto* required = value.find("required")) {
      if (required->as_bool() == nullptr)
        wrong(*required, "`required` is true or false");
      else
        attribute.required = *required->as_bool();
    }
    out.attributes.push_back(std::move(attribute));
  }
}

// The byte offset that the JSON parser's message ends with, where it does.
Span place_in(std::string_view message, std::size_t size) {
  std::size_t digits = message.size();
  while (digits > 0 && message[digits - 1] >= '0' && message[digits - 1] <= '9') --digits;
  std::size_t offset = 0;
  for (const char c : message.substr(digits)) offset = std::min(offset * 10 + static_cast<std::size_t>(c - '0'), size);
  return {static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(std::min(offset + 1, size))};
}

}  // namespace

RawSchema read_schema_json(SchemaProblems& problems, const SchemaOptions& options) {
  const std::string& text = problems.source().text;
  const json::Limits limits{
      .bytes = options.max_bytes, .depth = 2 * max_nesting + 16, .nodes = 1'000'000, .members = 4096};
  const auto parsed = json::parse(text, limits);
  if (!parsed.ok()) {
    problems.report(place_in(parsed.error().message, text.size()), parsed.error().check, parsed.error().message,
                    parsed.error().hint);
    return {};
  }
  return JsonReader(problems, *parsed).schema(*parsed);
}

}  // namespace daypass::cedar
