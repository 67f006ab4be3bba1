#include "cedar/schema_resolve.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/encoding.h"

namespace daypass::cedar {
namespace {

using Kind = RawType::Kind;

constexpr std::size_t max_ancestor_pairs = 5'000'000;

struct Builtin {
  std::string_view name;
  TypeId type;
};
constexpr Builtin builtins[] = {
    {"Bool", TypeTable::boolean},      {"Long", TypeTable::long_},    {"String", TypeTable::string},
    {"decimal", TypeTable::decimal},   {"ipaddr", TypeTable::ipaddr}, {"datetime", TypeTable::datetime},
    {"duration", TypeTable::duration},
};
constexpr std::size_t first_extension = 3;

const Builtin* builtin(std::string_view name) {
  const auto* found = std::ranges::find(builtins, name, &Builtin::name);
  return found == std::end(builtins) ? nullptr : found;
}

std::string qualified(const std::string& space, const std::string& name) {
  return space.empty() ? name : space + "::" + name;
}

std::string action_text(const EntityUid& uid) {
  return uid.to_string();
}

// Where a name may lead, by what stands where it is used.
enum class Wanted { common, entity, either };

struct Common {
  const RawCommon* raw = nullptr;
  const RawNamespace* space = nullptr;
  TypeId type = TypeTable::never;
  std::size_t waits_for = 0;     // how many common types it names that are not resolved yet
  std::vector<Common*> waiting;  // who names it
  bool done = false;
};

class Resolver {
 public:
  Resolver(Schema::Data& data, SchemaProblems& problems, SchemaProblems& warnings, const SchemaOptions& options)
      : data_(data), problems_(problems), warnings_(warnings), options_(options) {}

  void run() {
    declare();
    if (!problems_.empty()) return;
    shadowing();
    resolve_commons();
    entities();
    entity_ancestors();
    actions();
    action_ancestors();
  }

 private:
  struct Target {
    Common* common = nullptr;
    TypeId builtin = TypeTable::never;
    std::string entity;
  };

  void wrong(Span at, std::string check, std::string message, std::string hint = {}) {
    problems_.report(at, std::move(check), std::move(message), std::move(hint));
  }
  void declare();
  void declare_types(const RawNamespace& space);
  void declare_actions(const RawNamespace& space);
  void too_many(std::size_t count, std::string_view what);
  void shadowing();
  void warn_of_hiding(const RawNamespace& space);
  std::optional<Target> find(const std::string& name, const RawNamespace& space, Wanted wanted, Span at);
  std::optional<Target> look_up(const std::string& full, Wanted wanted);
  void collect(const RawType& type, Common& into);
  void resolve_commons();
  TypeId convert(const RawType& type, const RawNamespace& space);
  TypeId convert_record(const RawType& type, const RawNamespace& space);
  TypeId convert_bounded(const RawType& type, const RawNamespace& space);
  TypeId record_only(const RawType& type, const RawNamespace& space, const std::string& whose);
  std::optional<std::string> entity_reference(const RawName& name, const RawNamespace& space);
  void entities();
  void entity_ancestors();
  void actions();
  void action(const RawAction& raw, const RawNamespace& space);
  void action_ancestors();

  Schema::Data& data_;
  SchemaProblems& problems_;
  SchemaProblems& warnings_;
  const SchemaOptions& options_;
  std::map<std::string, Common> commons_;
  std::map<std::string, const RawEntity*> entities_;
  std::map<EntityUid, const RawAction*> actions_;
  std::set<std::string> action_types_;
  std::vector<std::vector<std::uint32_t>> parents_;  // of entity types, by index
};

void Resolver::too_many(std::size_t count, std::string_view what) {
  if (count > options_.max_names)
    wrong({}, "cedar.too_many",
          std::to_string(count) + " " + std::string(what) + "; at most " + std::to_string(options_.max_names) +
              " are taken");
}

void Resolver::declare() {
  for (const RawNamespace& space : data_.raw.namespaces) {
    declare_types(space);
    declare_actions(space);
  }
  too_many(entities_.size(), "entity types");
  too_many(commons_.size(), "common types");
  too_many(actions_.size(), "actions");
}

void Resolver::declare_types(const RawNamespace& space) {
  const auto twice = [&](Span at, const std::string& name) {
    wrong(at, "cedar.schema_duplicate", "`" + name + "` is declared twice", "keep one of the two");
  };
  for (const RawCommon& common : space.commons) {
    const auto [at, fresh] = commons_.try_emplace(qualified(space.name, common.name));
    if (!fresh) twice(common.span, at->first);
    at->second.raw = &common;
    at->second.space = &space;
  }
  for (const RawEntity& entity : space.entities) {
    const auto [at, fresh] = entities_.try_emplace(qualified(space.name, entity.name), &entity);
    if (!fresh) twice(entity.span, at->first);
    if (entity.name == "Action")
      wrong(entity.span, "cedar.reserved", "`Action` is the type of actions and can't be declared");
  }
  warn_of_hiding(space);
}

void Resolver::declare_actions(const RawNamespace& space) {
  for (const RawAction& action : space.actions) {
    const EntityUid uid{qualified(space.name, "Action"), action.id};
    action_types_.insert(uid.type);
    if (!actions_.try_emplace(uid, &action).second)
      wrong(action.span, "cedar.schema_duplicate", action_text(uid) + " is declared twice", "keep one of the two");
  }
}

void Resolver::warn_of_hiding(const RawNamespace& space) {
  const auto hides_builtin = [&](const std::string& name, Span at) {
    if (builtin(name) != nullptr)
      warnings_.report(at, "cedar.schema_hides", "`" + name + "` hides the built-in type of that name",
                       "write __cedar::" + name + " for the built-in one");
  };
  std::set<std::string_view> names;
  for (const RawEntity& entity : space.entities) {
    names.insert(entity.name);
    hides_builtin(entity.name, entity.span);
  }
  for (const RawCommon& common : space.commons) {
    hides_builtin(common.name, common.span);
    if (names.contains(common.name))
      warnings_.report(common.span, "cedar.schema_hides", "`" + common.name + "` hides the entity type of that name",
                       "rename one of the two");
  }
}

// RFC 70 of the language: what stands outside all namespaces must not be hidden inside one.
void Resolver::shadowing() {
  std::set<std::string> types;
  std::set<std::string> action_ids;
  for (const RawNamespace& space : data_.raw.namespaces) {
    if (!space.name.empty()) continue;
    for (const RawCommon& common : space.commons) types.insert(common.name);
    for (const RawEntity& entity : space.entities) types.insert(entity.name);
    for (const RawAction& one : space.actions) action_ids.insert(one.id);
  }
  const auto check = [&](bool hides, Span at, const std::string& hider, const std::string& hidden) {
    if (hides)
      wrong(at, "cedar.schema_shadows", "`" + hider + "` hides `" + hidden + "`, which stands outside all namespaces",
            "rename one of the two");
  };
  for (const RawNamespace& space : data_.raw.namespaces) {
    if (space.name.empty()) continue;
    for (const RawCommon& common : space.commons)
      check(types.contains(common.name), common.span, qualified(space.name, common.name), common.name);
    for (const RawEntity& entity : space.entities)
      check(types.contains(entity.name), entity.span, qualified(space.name, entity.name), entity.name);
    for (const RawAction& one : space.actions)
      check(action_ids.contains(one.id), one.span, EntityUid{space.name + "::Action", one.id}.to_string(),
            EntityUid{"Action", one.id}.to_string());
  }
}

std::optional<Resolver::Target> Resolver::look_up(const std::string& full, Wanted wanted) {
  Target out;
  if (wanted != Wanted::entity) {
    if (const auto found = commons_.find(full); found != commons_.end()) {
      out.common = &found->second;
      return out;
    }
    if (full.starts_with("__cedar::"))
      if (const Builtin* one = builtin(std::string_view(full).substr(9))) {
        out.builtin = one->type;
        return out;
      }
  }
  if (wanted != Wanted::common && (entities_.contains(full) || action_types_.contains(full))) {
    out.entity = full;
    return out;
  }
  // A built-in type goes by its bare name unless somebody declared that.
  if (wanted != Wanted::entity && !entities_.contains(full))
    if (const Builtin* one = builtin(full)) {
      out.builtin = one->type;
      return out;
    }
  return std::nullopt;
}

std::optional<Resolver::Target> Resolver::find(const std::string& name, const RawNamespace& space, Wanted wanted,
                                               Span at) {
  if (!space.name.empty() && name.find("::") == std::string::npos)
    if (auto found = look_up(space.name + "::" + name, wanted)) return found;
  if (auto found = look_up(name, wanted)) return found;
  std::vector<std::string> known;
  const auto offer = [&](const std::string& full) {
    known.push_back(full);
    if (!space.name.empty() && full.starts_with(space.name + "::")) known.push_back(full.substr(space.name.size() + 2));
  };
  if (wanted != Wanted::entity) {
    for (const auto& [full, common] : commons_) offer(full);
    for (const Builtin& one : builtins) known.emplace_back(one.name);
  }
  if (wanted != Wanted::common)
    for (const auto& [full, entity] : entities_) offer(full);
  const std::string near = base::nearest(name, known);
  const std::string what = wanted == Wanted::common ? "common type" : wanted == Wanted::entity ? "entity type" : "type";
  wrong(at, "cedar.schema_unknown_type", "there is no " + what + " `" + name.substr(0, 128) + "`",
        near.empty() ? "declare it, or name the namespace it is in" : "did you mean `" + near + "`?");
  return std::nullopt;
}

// Which common types a type needs first.
void Resolver::collect(const RawType& type, Common& into) {
  if (type.kind == Kind::common || type.kind == Kind::entity_or_common) {
    const auto wanted = type.kind == Kind::common ? Wanted::common : Wanted::either;
    const auto found = find(type.name, *into.space, wanted, type.span);
    if (!found || found->common == nullptr) return;
    found->common->waiting.push_back(&into);
    ++into.waits_for;
  }
  for (const RawType& element : type.element) collect(element, into);
  for (const RawAttribute& attribute : type.attributes) collect(attribute.type, into);
}

void Resolver::resolve_commons() {
  for (auto& [name, common] : commons_) collect(common.raw->type, common);
  if (!problems_.empty()) return;
  std::vector<Common*> ready;
  for (auto& [name, common] : commons_)
    if (common.waits_for == 0) ready.push_back(&common);
  while (!ready.empty()) {
    Common& common = *ready.back();
    ready.pop_back();
    common.type = convert_bounded(common.raw->type, *common.space);
    common.done = true;
    for (Common* other : common.waiting)
      if (--other->waits_for == 0) ready.push_back(other);
  }
  for (const auto& [name, common] : commons_)
    if (!common.done) {
      wrong(common.raw->span, "cedar.schema_cycle",
            "the type `" + name + "` is defined by itself, or waits for one that is",
            "only entities may refer to each other in a circle");
      return;
    }
}

TypeId Resolver::convert_bounded(const RawType& type, const RawNamespace& space) {
  const TypeId out = convert(type, space);
  if (data_.types.at(out).height <= max_nesting) return out;
  wrong(type.span, "cedar.too_deep", "a type nested deeper than " + std::to_string(max_nesting),
        "use entities instead of records");
  return TypeTable::never;
}

TypeId Resolver::convert(const RawType& type, const RawNamespace& space) {
  switch (type.kind) {
    case Kind::boolean:
      return TypeTable::boolean;
    case Kind::long_:
      return TypeTable::long_;
    case Kind::string:
      return TypeTable::string;
    case Kind::extension: {
      const Builtin* one = builtin(type.name);
      if (one != nullptr && one >= builtins + first_extension) return one->type;
      wrong(type.span, "cedar.schema_unknown_type", "there is no extension type `" + type.name.substr(0, 128) + "`",
            "extension types are decimal, ipaddr, datetime and duration");
      return TypeTable::never;
    }
    case Kind::entity:
    case Kind::entity_or_common:
    case Kind::common: {
      const auto wanted = type.kind == Kind::entity   ? Wanted::entity
                          : type.kind == Kind::common ? Wanted::common
                                                      : Wanted::either;
      const auto found = find(type.name, space, wanted, type.span);
      if (!found) return TypeTable::never;
      if (found->common != nullptr) return found->common->type;
      return found->entity.empty() ? found->builtin : data_.types.entity(found->entity);
    }
    case Kind::set:
      return data_.types.set(convert(type.element.front(), space));
    case Kind::record:
      return convert_record(type, space);
  }
  return TypeTable::never;
}

TypeId Resolver::convert_record(const RawType& type, const RawNamespace& space) {
  std::vector<AttributeType> attributes;
  if (type.attributes.size() > options_.max_names)
    wrong(type.span, "cedar.too_many", "a record of more than " + std::to_string(options_.max_names) + " attributes");
  for (const RawAttribute& attribute : type.attributes)
    attributes.push_back({attribute.name, convert(attribute.type, space), attribute.required});
  return data_.types.record(std::move(attributes));
}

TypeId Resolver::record_only(const RawType& type, const RawNamespace& space, const std::string& whose) {
  const std::size_t before = problems_.count();
  const TypeId out = convert_bounded(type, space);
  if (problems_.count() == before && data_.types.kind(out) != TypeKind::record)
    wrong(type.span, "cedar.schema_not_record", whose + " is " + data_.types.to_string(out) + ", not a record");
  return out;
}

std::optional<std::string> Resolver::entity_reference(const RawName& name, const RawNamespace& space) {
  const auto found = find(name.name, space, Wanted::entity, name.span);
  if (!found) return std::nullopt;
  if (entities_.contains(found->entity)) return found->entity;
  wrong(name.span, "cedar.schema_unknown_type", "`" + name.name + "` is the type of actions and can't stand here");
  return std::nullopt;
}

void Resolver::entities() {
  // entities_ is sorted, so indexes are known at once.
  for (const auto& [full, raw] : entities_)
    data_.entity_index.emplace(full, static_cast<std::uint32_t>(data_.entity_index.size()));
  data_.entities.resize(entities_.size());
  parents_.resize(entities_.size());
  for (const RawNamespace& space : data_.raw.namespaces)
    for (const RawEntity& raw : space.entities) {
      const std::uint32_t index = data_.entity_index.at(qualified(space.name, raw.name));
      EntityTypeInfo& out = data_.entities[index];
      out.name = qualified(space.name, raw.name);
      out.attributes = record_only(raw.shape, space, "what `" + out.name + "` is made of");
      if (raw.tags) out.tags = convert_bounded(*raw.tags, space);
      out.enumerated = raw.enumerated;
      out.choices = raw.choices;
      std::sort(out.choices.begin(), out.choices.end());
      for (const RawName& parent : raw.parents)
        if (const auto named = entity_reference(parent, space))
          parents_[index].push_back(data_.entity_index.at(*named));
    }
}

void Resolver::entity_ancestors() {
  std::size_t pairs = 0;
  std::vector<std::uint32_t> seen_by(data_.entities.size(), UINT32_MAX);
  for (std::uint32_t e = 0; e < data_.entities.size(); ++e) {
    auto& out = data_.entities[e].ancestors;
    std::vector<std::uint32_t> todo = parents_[e];
    while (!todo.empty()) {
      const std::uint32_t next = todo.back();
      todo.pop_back();
      if (std::exchange(seen_by[next], e) == e) continue;
      out.push_back(next);
      pairs += 1 + parents_[next].size();
      todo.insert(todo.end(), parents_[next].begin(), parents_[next].end());
    }
    std::sort(out.begin(), out.end());
    if (pairs > max_ancestor_pairs)
      return wrong(
          {}, "cedar.too_many",
          "the entity types have more than " + std::to_string(max_ancestor_pairs) + " pairs of type and ancestor");
  }
}

void Resolver::actions() {
  for (const RawNamespace& space : data_.raw.namespaces)
    for (const RawAction& raw : space.actions)
      data_.action_index.emplace(EntityUid{qualified(space.name, "Action"), raw.id},
                                 static_cast<std::uint32_t>(data_.action_index.size()));
  for (const RawNamespace& space : data_.raw.namespaces)
    for (const RawAction& raw : space.actions) action(raw, space);
}

void Resolver::action(const RawAction& raw, const RawNamespace& space) {
  ActionInfo out;
  out.uid = {qualified(space.name, "Action"), raw.id};
  for (const RawActionName& parent : raw.parents.value_or(std::vector<RawActionName>())) {
    const std::string type = parent.type.value_or("Action");
    EntityUid uid{type, parent.id};
    auto found = data_.action_index.end();
    if (!space.name.empty() && type.find("::") == std::string::npos)
      found = data_.action_index.find(EntityUid{space.name + "::" + type, parent.id});
    if (found == data_.action_index.end()) found = data_.action_index.find(uid);
    if (found != data_.action_index.end()) {
      out.parents.push_back(found->second);
      continue;
    }
    std::vector<std::string> known;
    for (const auto& [other, index] : data_.action_index) known.push_back(other.id);
    std::sort(known.begin(), known.end());
    const std::string near = base::nearest(parent.id, known);
    wrong(parent.span, "cedar.schema_unknown_action", "there is no action " + uid.to_string(),
          near.empty() ? "declare it" : "did you mean " + quote(near) + "?");
  }
  out.context = data_.types.record({});
  if (raw.applies_to) {
    for (const RawName& name : raw.applies_to->principals)
      if (auto named = entity_reference(name, space)) out.principals.push_back(std::move(*named));
    for (const RawName& name : raw.applies_to->resources)
      if (auto named = entity_reference(name, space)) out.resources.push_back(std::move(*named));
    out.context = record_only(raw.applies_to->context, space, "the context of " + out.uid.to_string());
  }
  data_.actions.push_back(std::move(out));
}

void Resolver::action_ancestors() {
  if (!problems_.empty()) return;
  std::size_t pairs = 0;
  std::vector<std::uint32_t> seen_by(data_.actions.size(), UINT32_MAX);
  for (std::uint32_t a = 0; a < data_.actions.size(); ++a) {
    ActionInfo& out = data_.actions[a];
    std::vector<std::uint32_t> todo = out.parents;
    while (!todo.empty()) {
      const std::uint32_t next = todo.back();
      todo.pop_back();
      if (next == a)
        return wrong(actions_.at(out.uid)->span, "cedar.schema_cycle", out.uid.to_string() + " is in itself",
                     "action groups must not form a circle");
      if (std::exchange(seen_by[next], a) == a) continue;
      out.ancestors.push_back(next);
      pairs += 1 + data_.actions[next].parents.size();
      todo.insert(todo.end(), data_.actions[next].parents.begin(), data_.actions[next].parents.end());
    }
    std::sort(out.ancestors.begin(), out.ancestors.end());
    if (pairs > max_ancestor_pairs)
      return wrong({}, "cedar.too_many",
                   "the actions have more than " + std::to_string(max_ancestor_pairs) + " pairs of action and group");
  }
}

}  // namespace

void resolve_schema(Schema::Data& data, SchemaProblems& problems, SchemaProblems& warnings,
                    const SchemaOptions& options) {
  Resolver(data, problems, warnings, options).run();
}

}  // namespace daypass::cedar
