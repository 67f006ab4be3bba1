#include "cedar/entities.h"

#include <algorithm>
#include <unordered_set>

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

// Ids count entities first, then uids that are only named as parents; those have no parents of their own.
using Graph = std::vector<std::vector<std::uint32_t>>;

struct Closure {
  Graph ancestors;
  std::size_t cycle_at = SIZE_MAX;
  bool too_many = false;
};

// Depth first without recursion: a chain of a million groups must not need a million stack frames.
class Closing {
 public:
  explicit Closing(const Graph& parents) : parents_(parents), state_(parents.size(), State::fresh) {
    out_.ancestors.resize(parents.size());
  }

  Closure run() && {
    for (std::uint32_t e = 0; e < parents_.size() && good(); ++e)
      if (state_[e] == State::fresh) visit(e);
    return std::move(out_);
  }

 private:
  enum class State : std::uint8_t { fresh, open, done };
  struct Frame {
    std::uint32_t entity;
    std::size_t next = 0;
  };

  [[nodiscard]] bool good() const { return out_.cycle_at == SIZE_MAX && !out_.too_many; }

  void visit(std::uint32_t root) {
    std::vector<Frame> stack{{root}};
    state_[root] = State::open;
    while (!stack.empty() && good()) {
      auto& [entity, next] = stack.back();
      if (next == parents_[entity].size()) {
        finish(entity);
        stack.pop_back();
        continue;
      }
      const std::uint32_t parent = parents_[entity][next++];
      if (parent >= parents_.size() || state_[parent] == State::done) continue;
      if (state_[parent] == State::open) {
        out_.cycle_at = parent;
        return;
      }
      state_[parent] = State::open;
      stack.push_back({parent});
    }
  }

  void finish(std::uint32_t entity) {
    auto& mine = out_.ancestors[entity];
    for (const std::uint32_t parent : parents_[entity]) {
      mine.push_back(parent);
      if (parent < parents_.size())
        mine.insert(mine.end(), out_.ancestors[parent].begin(), out_.ancestors[parent].end());
      // Counted before duplicates go: this bounds the work too.
      if (work_ + mine.size() > Entities::max_ancestors) {
        out_.too_many = true;
        return;
      }
    }
    work_ += mine.size();
    std::sort(mine.begin(), mine.end());
    mine.erase(std::unique(mine.begin(), mine.end()), mine.end());
    mine.shrink_to_fit();
    state_[entity] = State::done;
  }

  const Graph& parents_;
  std::vector<State> state_;
  Closure out_;
  std::size_t work_ = 0;
};

bool same(const Entity& a, const Entity& b) {
  const std::unordered_set<EntityUid> mine(a.parents.begin(), a.parents.end());
  const std::unordered_set<EntityUid> theirs(b.parents.begin(), b.parents.end());
  return a.attrs == b.attrs && a.tags == b.tags && mine == theirs;
}

bool is_action(const EntityUid& uid) noexcept {
  return uid.type == "Action" || uid.type.ends_with("::Action");
}

Error malformed(std::size_t index, std::string what) {
  return {Code::invalid, "cedar.entities_json", "entity " + std::to_string(index) + ": " + std::move(what),
          "an entity is {\"uid\": {…}, \"attrs\": {…}, \"parents\": […], \"tags\": {…}}"};
}

Result<Record> members_of(const json::Value& object, std::size_t index, std::string_view field) {
  if (object.as_object() == nullptr) return malformed(index, std::string(field) + " is no object");
  // Member by member: here `__entity` is an attribute name like any other, never an escape.
  Record record;
  for (const auto& [key, member] : *object.as_object()) {
    auto value = Value::from_json(member);
    if (!value.ok()) {
      Error error = std::move(value).error();
      error.message = "entity " + std::to_string(index) + ", " + std::string(field) + " " + quote(key.substr(0, 64)) +
                      ": " + error.message;
      return error;
    }
    record.emplace(key, std::move(*value));
  }
  return record;
}

Result<Entity> read_entity(const json::Value& json, std::size_t index) {
  const json::Value* uid = json.find("uid");
  const json::Value* attrs = json.find("attrs");
  const json::Value* parents = json.find("parents");
  if (uid == nullptr || attrs == nullptr || parents == nullptr)
    return malformed(index, "uid, attrs and parents are all needed");
  if (parents->as_array() == nullptr) return malformed(index, "parents is no array");
  Entity entity;
  DP_TRY(entity.uid, EntityUid::from_json(*uid));
  DP_TRY(entity.attrs, members_of(*attrs, index, "attribute"));
  if (const json::Value* tags = json.find("tags")) {
    DP_TRY(entity.tags, members_of(*tags, index, "tag"));
  }
  for (const auto& parent : *parents->as_array()) {
    DP_TRY(auto parent_uid, EntityUid::from_json(parent));
    entity.parents.push_back(std::move(parent_uid));
  }
  return entity;
}

json::Value members_to_json(const Record& record) {
  json::Object object;
  for (const auto& [key, value] : record) object.insert_new(key, value.to_json());
  return object;
}

}  // namespace

Result<Entities> Entities::build(std::vector<Entity> entities) {
  if (entities.size() > max_entities)
    return Error{Code::exhausted, "cedar.entities_too_many",
                 std::to_string(entities.size()) + " entities; at most " + std::to_string(max_entities) + " are taken"};
  Entities out;
  out.entities_.reserve(entities.size());
  for (Entity& entity : entities) {
    const auto [at, fresh] = out.ids_.try_emplace(entity.uid, static_cast<std::uint32_t>(out.entities_.size()));
    if (fresh) {
      out.entities_.push_back(std::move(entity));
      continue;
    }
    if (!same(out.entities_[at->second], entity))
      return Error{Code::invalid, "cedar.entity_duplicate",
                   "two different entities are named " + entity.uid.to_string()};
  }
  Graph parents(out.entities_.size());
  for (std::size_t e = 0; e < parents.size(); ++e) {
    const EntityUid& uid = out.entities_[e].uid;
    for (const EntityUid& parent : out.entities_[e].parents) {
      if (is_action(uid) && !is_action(parent))
        return Error{
            Code::invalid, "cedar.action_parent",
            "the action " + uid.to_string() + " has the parent " + parent.to_string() + ", which is no action"};
      parents[e].push_back(out.ids_.try_emplace(parent, static_cast<std::uint32_t>(out.ids_.size())).first->second);
    }
  }
  Closure closure = Closing(parents).run();
  if (closure.cycle_at != SIZE_MAX)
    return Error{Code::invalid, "cedar.entity_cycle",
                 out.entities_[closure.cycle_at].uid.to_string() + " is an ancestor of itself"};
  if (closure.too_many)
    return Error{Code::exhausted, "cedar.entities_too_many",
                 "the hierarchy has more than " + std::to_string(max_ancestors) + " pairs of entity and ancestor"};
  out.ancestors_ = std::move(closure.ancestors);
  return out;
}

Result<Entities> Entities::with(std::vector<Entity> more) const {
  std::vector<Entity> all = entities_;
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return build(std::move(all));
}

const Entity* Entities::find(const EntityUid& uid) const noexcept {
  const auto found = ids_.find(uid);
  return found == ids_.end() || found->second >= entities_.size() ? nullptr : &entities_[found->second];
}

bool Entities::is_in(const EntityUid& descendant, const EntityUid& ancestor) const noexcept {
  if (descendant == ancestor) return true;
  const auto from = ids_.find(descendant);
  if (from == ids_.end() || from->second >= entities_.size()) return false;
  const auto& ancestors = ancestors_[from->second];
  if (ancestors.empty()) return false;
  const auto to = ids_.find(ancestor);
  return to != ids_.end() && std::binary_search(ancestors.begin(), ancestors.end(), to->second);
}

Result<Entities> Entities::from_json(const json::Value& json) {
  const auto* array = json.as_array();
  if (array == nullptr) return Error{Code::invalid, "cedar.entities_json", "entities are a JSON array"};
  std::vector<Entity> entities;
  for (std::size_t i = 0; i < array->size(); ++i) {
    DP_TRY(auto entity, read_entity((*array)[i], i));
    entities.push_back(std::move(entity));
  }
  return build(std::move(entities));
}

json::Value Entities::to_json() const {
  json::Array array;
  for (const Entity& entity : entities_) {
    json::Array parents;
    for (const EntityUid& parent : entity.parents) parents.push_back(parent.to_json());
    json::Object object{
        {"uid", entity.uid.to_json()}, {"attrs", members_to_json(entity.attrs)}, {"parents", std::move(parents)}};
    if (!entity.tags.empty()) object.set("tags", members_to_json(entity.tags));
    array.push_back(std::move(object));
  }
  return array;
}

}  // namespace daypass::cedar
