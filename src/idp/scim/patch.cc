#include "idp/scim/patch.h"

#include <algorithm>

#include "idp/scim/limits.h"
#include "idp/scim/message.h"
#include "idp/scim/resource.h"

namespace daypass::idp::scim {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using What = Operation::What;

namespace {

Error bad_syntax(std::string why) {
  return {Code::invalid, "scim.syntax", std::move(why)};
}
Error no_target(const std::string& why) {
  return {Code::invalid, "scim.target", why};
}

/// A member whatever the case of its name: providers differ.
const json::Value* member(const json::Object& object, std::string_view name) {
  for (const auto& [key, value] : object)
    if (same_word(key, name)) return &value;
  return nullptr;
}

class Reader {
 public:
  Reader(Kind kind, std::size_t most_members) : kind_(kind), most_members_(most_members) {}

  Status operation(const json::Value& value) {
    const json::Object* object = value.as_object();
    if (object == nullptr) return bad_syntax("an operation must be an object");
    const json::Value* op = member(*object, "op");
    const json::Value* path = member(*object, "path");
    const json::Value* given = member(*object, "value");
    What what{};
    const std::string word = op == nullptr || op->as_string() == nullptr ? "" : *op->as_string();
    if (same_word(word, "add"))
      what = What::add;
    else if (same_word(word, "replace"))
      what = What::replace;
    else if (same_word(word, "remove"))
      what = What::remove;
    else
      return bad_syntax("\"op\" must be add, replace or remove");
    if (path != nullptr && !path->is_null()) {
      if (path->as_string() == nullptr) return bad_syntax("\"path\" must be a text");
      DP_TRY(Path read, parse_path(kind_, *path->as_string()));
      return one(what, std::move(read), given == nullptr ? json::Value() : *given);
    }
    if (what == What::remove) return no_target("an operation removes, and has no path");
    const json::Object* all = given == nullptr ? nullptr : given->as_object();
    if (all == nullptr) return bad_syntax("an operation without a path needs an object as its value");
    for (const auto& [name, each] : *all) {
      // Okta repeats the id, others the whole resource.
      if (same_word(name, "schemas") || same_word(name, "id") || same_word(name, "meta") || same_word(name, "groups"))
        continue;
      // Entra ID writes paths where names belong, brackets and all. A name that nobody knows is ignored as in a PUT.
      auto read = parse_path(kind_, name);
      if (!read.ok() && read.error().check == "scim.path") continue;
      if (!read.ok()) return std::move(read).error();
      DP_CHECK(one(what, std::move(*read), each));
    }
    return {};
  }
  Patch take() { return std::move(out_); }

 private:
  Status one(What what, Path path, json::Value value) {
    if (out_.operations.size() >= max_operations)
      return Error{Code::invalid, "scim.too_many",
                   "there are more than " + std::to_string(max_operations) + " operations in one request",
                   "send them in several"};
    if (!path.kept()) return {};
    if (kind_ == Kind::group && path.attribute != nullptr && path.attribute->name == "members")
      return members(what, path, value);
    if (what == What::remove && path.attribute != nullptr && path.attribute->name == "active")
      return Error{Code::invalid, "scim.value", "active can't be removed", "replace it by true or false"};
    out_.operations.push_back({what, std::move(path), std::move(value)});
    return {};
  }

  Status members(What what, const Path& path, const json::Value& value) {
    MembersChange& change = out_.members;
    std::vector<std::string> ids;
    if (path.where != nullptr) {
      const auto named = path.where->as_value();
      const std::string id = named && named->size() == 1 ? text_of(*named, "value") : "";
      if (id.empty()) return Error{Code::invalid, "scim.filter", "members are named by members[value eq \"id\"] only"};
      ids.push_back(id);
      // What else is said of a member is not kept.
      if (path.sub != nullptr) return {};
    } else if (path.sub != nullptr) {
      return Error{Code::invalid, "scim.path", "the parts of members can't be changed", "add and remove whole members"};
    } else {
      DP_TRY(ids, read_members(&value, most_members_));
    }
    // Without anybody named everybody is meant. Entra ID names those who go in the value, against the letter.
    if (path.where == nullptr && (what == What::replace || (what == What::remove && value.is_null()))) {
      change.cleared = true;
      change.said.clear();
    }
    for (auto& id : ids) change.said.insert_or_assign(std::move(id), what != What::remove);
    if (change.said.size() > most_members_)
      return Error{Code::invalid, "scim.too_many",
                   "more than " + std::to_string(most_members_) + " members change in one request",
                   "send them in several"};
    return {};
  }

  Kind kind_;
  std::size_t most_members_;
  Patch out_;
};

// -- carrying out --------------------------------------------------------------------------------------------------

void set_or_erase(json::Object& object, std::string_view name, json::Value value) {
  if (value.is_null())
    object.erase(name);
  else
    object.set(std::string(name), std::move(value));
}

/// The parts of `change` over those of `value`.
json::Object merged(json::Object value, const json::Object& change) {
  for (const auto& [name, part] : change) value.set(name, part);
  return value;
}

/// One attribute in the object that holds it.
class Change {
 public:
  Change(json::Object& holder, const Operation& op) : holder_(holder), op_(op), attribute_(*op.path.attribute) {}

  Status carry_out() {
    if (attribute_.many) return op_.path.where == nullptr && op_.path.sub == nullptr ? whole_list() : some_values();
    if (op_.path.sub != nullptr) return part();
    if (op_.what == What::remove) {
      holder_.erase(attribute_.name);
      return {};
    }
    DP_TRY(json::Value value, read_value(attribute_, op_.value));
    const json::Value* old = holder_.find(attribute_.name);
    // RFC 7644 section 3.5.2.3: parts that are not named stay.
    if (attribute_.type == Type::complex && old != nullptr && value.as_object() != nullptr)
      value = merged(*old->as_object(), *value.as_object());
    if (value.is_null() && attribute_.name == "active")
      return Error{Code::invalid, "scim.value", "active must be true or false"};
    set_or_erase(holder_, attribute_.name, std::move(value));
    return {};
  }

 private:
  /// Null where it is removed.
  Result<json::Value> new_part() const {
    if (op_.what == What::remove) return json::Value();
    return read_value(*op_.path.sub, op_.value);
  }
  Status part() {
    DP_TRY(json::Value value, new_part());
    json::Object parts;
    if (const json::Value* old = holder_.find(attribute_.name)) parts = *old->as_object();
    set_or_erase(parts, op_.path.sub->name, std::move(value));
    set_or_erase(holder_, attribute_.name, parts.empty() ? json::Value() : json::Value(std::move(parts)));
    return {};
  }
  [[nodiscard]] json::Array list() const {
    const json::Value* old = holder_.find(attribute_.name);
    return old == nullptr ? json::Array() : *old->as_array();
  }
  Status keep(json::Array list) {
    json::Array whole;
    for (auto& one : list) {
      // What has lost its value, or came to be without one, is none.
      if (one.find("value") != nullptr && std::ranges::find(whole, one) == whole.end()) whole.push_back(std::move(one));
    }
    if (whole.size() > max_values)
      return Error{Code::invalid, "scim.value",
                   std::string(attribute_.name) + " has more than " + std::to_string(max_values) + " values"};
    set_or_erase(holder_, attribute_.name, whole.empty() ? json::Value() : json::Value(std::move(whole)));
    return {};
  }
  Status whole_list() {
    DP_TRY(const json::Value read, read_value(attribute_, op_.value));
    const json::Array given = read.is_null() ? json::Array() : *read.as_array();
    json::Array all = op_.what == What::replace ? json::Array() : list();
    if (op_.what == What::remove) {
      // Named in the value: these alone. Else all of them.
      if (given.empty()) return keep({});
      std::erase_if(all, [&](const json::Value& one) {
        return std::ranges::any_of(given, [&](const json::Value& gone) {
          return gone.find("value") != nullptr && one.string_or("value") == gone.string_or("value");
        });
      });
    } else {
      all.insert(all.end(), given.begin(), given.end());
    }
    return keep(std::move(all));
  }
  Status some_values() {
    json::Array all = list();
    const Filter* where = op_.path.where.get();
    const Attribute* sub = op_.path.sub;
    Attribute one = attribute_;
    one.many = false;
    json::Object change;
    if (sub != nullptr) {
      DP_TRY(json::Value value, new_part());
      if (!value.is_null()) change.set(std::string(sub->name), std::move(value));
    } else if (op_.what != What::remove) {
      DP_TRY(const json::Value value, read_value(one, op_.value));
      if (value.as_object() != nullptr) change = *value.as_object();
    }
    bool any = false;
    json::Array out;
    for (auto& element : all) {
      if (where != nullptr && !where->matches_value(*element.as_object())) {
        out.push_back(std::move(element));
        continue;
      }
      any = true;
      json::Object value = *element.as_object();
      if (sub != nullptr && change.empty())
        value.erase(sub->name);
      else if (sub == nullptr && op_.what == What::remove)
        continue;
      else
        value = merged(std::move(value), change);
      out.emplace_back(std::move(value));
    }
    if (!any && op_.what != What::remove && !change.empty()) {
      // RFC 7644 would have it fail; Entra ID means that the value is made: emails[type eq "work"].value.
      const auto made = where == nullptr ? std::optional(json::Object()) : where->as_value();
      if (!made) return no_target("no value of " + std::string(attribute_.name) + " fits the path");
      // What stands in brackets is kept like any other value, so it must be one.
      DP_TRY(const json::Value start, read_value(one, json::Value(*made)));
      out.emplace_back(merged(start.is_null() ? json::Object() : *start.as_object(), change));
    }
    return keep(std::move(out));
  }

  json::Object& holder_;
  const Operation& op_;
  const Attribute& attribute_;
};

}  // namespace

Result<Patch> parse_patch(Kind kind, const json::Value& body, std::size_t most_members) {
  const json::Object* object = body.as_object();
  if (object == nullptr) return bad_syntax("the body must be a JSON object");
  if (const json::Value* urns = member(*object, "schemas")) {
    const json::Array* list = urns->as_array();
    const bool ours = list != nullptr && std::ranges::any_of(*list, [](const json::Value& one) {
                        return one.as_string() != nullptr && same_word(*one.as_string(), patch_urn);
                      });
    if (!ours) return bad_syntax("\"schemas\" does not name " + std::string(patch_urn));
  }
  const json::Value* operations = member(*object, "Operations");
  if (operations == nullptr || operations->as_array() == nullptr || operations->as_array()->empty())
    return bad_syntax("\"Operations\" must be a list of operations");
  if (operations->as_array()->size() > max_operations)
    return Error{Code::invalid, "scim.too_many",
                 "there are more than " + std::to_string(max_operations) + " operations in one request",
                 "send them in several"};
  Reader reader(kind, most_members);
  for (const auto& operation : *operations->as_array()) DP_CHECK(reader.operation(operation));
  return reader.take();
}

Result<json::Object> apply(Kind kind, json::Object resource, const Patch& patch) {
  for (const auto& op : patch.operations) {
    json::Object* holder = &resource;
    json::Object extension;
    if (op.path.schema->extension) {
      if (const json::Value* old = resource.find(op.path.schema->urn)) extension = *old->as_object();
      holder = &extension;
    }
    if (op.path.attribute != nullptr) {
      DP_CHECK(Change(*holder, op).carry_out());
    } else if (op.what == What::remove) {
      extension = {};
    } else {
      // The extension as a whole: each of its attributes by itself.
      if (op.value.as_object() == nullptr)
        return Error{Code::invalid, "scim.value", std::string(op.path.schema->urn) + " must be an object"};
      for (const auto& [name, value] : *op.value.as_object()) {
        Operation each{op.what, op.path, value};
        each.path.attribute = find(op.path.schema->attributes, name);
        if (each.path.attribute != nullptr) DP_CHECK(Change(*holder, each).carry_out());
      }
    }
    if (op.path.schema->extension) {
      json::Value whole = extension.empty() ? json::Value() : json::Value(std::move(extension));
      set_or_erase(resource, op.path.schema->urn, std::move(whole));
    }
  }
  DP_CHECK(judge(kind, resource));
  return ordered(kind, resource);
}

}  // namespace daypass::idp::scim
