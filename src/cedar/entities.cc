#include "cedar/entities.h"

#include <algorithm>
#include <unordered_set>

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

// Depth first without recursion: a chain of a million groups must not need a million stack frames.
class Closing {
 public:
  /// The parents of entity `e` are parents[begins[e]] up to begins[e + 1].
  Closing(Entities& store, const std::vector<std::uint32_t>& begins, const std::vector<std::uint32_t>& parents)
      : store_(store), begins_(begins), parents_(parents), state_(begins.size() - 1, State::fresh) {}

  /// False when there is a cycle or too much.
  bool run() {
    for (std::uint32_t e = 0; e < state_.size() && good(); ++e)
      if (state_[e] == State::fresh) visit(e);
    return good();
  }
  std::size_t cycle_at = SIZE_MAX;
  bool too_many = false;

 private:
  enum class State : std::uint8_t { fresh, open, done };
  struct Frame {
    std::uint32_t entity;
    std::uint32_t next;
  };

  [[nodiscard]] bool good() const { return cycle_at == SIZE_MAX && !too_many; }

  void visit(std::uint32_t root) {
    stack_.assign(1, {root, begins_[root]});
    state_[root] = State::open;
    while (!stack_.empty() && good()) {
      auto& [entity, next] = stack_.back();
      if (next == begins_[entity + 1]) {
        finish(entity);
        stack_.pop_back();
        continue;
      }
      const std::uint32_t parent = parents_[next++];
      if (parent >= state_.size() || state_[parent] == State::done) continue;
      if (state_[parent] == State::open) {
        cycle_at = parent;
        return;
      }
      state_[parent] = State::open;
      stack_.push_back({parent, begins_[parent]});
    }
  }

  void finish(std::uint32_t entity) {
    mine_.clear();
    for (std::uint32_t at = begins_[entity]; at < begins_[entity + 1]; ++at) {
      const std::uint32_t parent = parents_[at];
      mine_.push_back(parent);
      if (parent < state_.size()) {
        const auto [begin, size] = store_.ranges_[parent];
        const auto first = store_.ancestors_.begin() + static_cast<std::ptrdiff_t>(begin);
        mine_.insert(mine_.end(), first, first + static_cast<std::ptrdiff_t>(size));
      }
      // Counted before duplicates go: this bounds the work too.
      if (work_ + mine_.size() > Entities::max_ancestors) {
        too_many = true;
        return;
      }
    }
    work_ += mine_.size();
    std::sort(mine_.begin(), mine_.end());
    mine_.erase(std::unique(mine_.begin(), mine_.end()), mine_.end());
    store_.ranges_[entity] = {store_.ancestors_.size(), mine_.size()};
    store_.ancestors_.insert(store_.ancestors_.end(), mine_.begin(), mine_.end());
    state_[entity] = State::done;
  }

  Entities& store_;
  const std::vector<std::uint32_t>& begins_;
  const std::vector<std::uint32_t>& parents_;
  std::vector<State> state_;
  std::vector<Frame> stack_;
  std::vector<std::uint32_t> mine_;
  std::size_t work_ = 0;
};

namespace {

bool same(const Entity& a, const Entity& b) {
  const std::unordered_set<EntityUid> mine(a.parents.begin(), a.parents.end());
  const std::unordered_set<EntityUid> theirs(b.parents.begin(), b.parents.end());
  return a.attrs == b.attrs && a.tags == b.tags && mine == theirs;
}

bool is_action(const EntityUid& uid) noexcept {
  return uid.type == "Action" || uid.type.ends_with("::Action");
}

Error too_many_pairs() {
  return {Code::exhausted, "cedar.entities_too_many",
          "the hierarchy has more than " + std::to_string(Entities::max_ancestors) + " pairs of entity and ancestor"};
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
  return build_layer(std::move(entities), nullptr);
}

Result<Entities> Entities::build_over(std::shared_ptr<const Entities> below, std::vector<Entity> more) {
  DP_ASSERT(below != nullptr && below->below_ == nullptr);
  for (const Entity& entity : more) {
    const std::uint32_t known = below->number_of(entity.uid, hash_uid(entity.uid));
    // Somebody below is in it: what it is in itself would be missing there.
    if (known != HashIndex::none && known >= below->entities_.size() && !entity.parents.empty())
      return below->with(std::move(more));
  }
  return build_layer(std::move(more), std::move(below));
}

std::uint32_t Entities::number_for(const EntityUid& uid) {
  const std::uint64_t hash = hash_uid(uid);
  if (const std::uint32_t known = number_of(uid, hash); known != HashIndex::none) return known;
  named_.push_back(uid);
  return index_.add(hash);
}

Result<Entities> Entities::build_layer(std::vector<Entity> entities, std::shared_ptr<const Entities> below) {
  if (entities.size() > max_entities)
    return Error{Code::exhausted, "cedar.entities_too_many",
                 std::to_string(entities.size()) + " entities; at most " + std::to_string(max_entities) + " are taken"};
  Entities out;
  out.below_ = std::move(below);
  out.entities_.reserve(entities.size());
  out.index_.reserve(entities.size());
  std::size_t links = 0;
  for (Entity& entity : entities) {
    const std::uint64_t hash = hash_uid(entity.uid);
    const Entity* known = out.locate(entity.uid, hash).entity;
    if (known == nullptr) {
      links += entity.parents.size();
      out.index_.add(hash);
      out.entities_.push_back(std::move(entity));
      out.ranges_.emplace_back();
    } else if (!same(*known, entity)) {
      return Error{Code::invalid, "cedar.entity_duplicate",
                   "two different entities are named " + entity.uid.to_string()};
    }
  }
  if (links > max_ancestors) return too_many_pairs();
  std::vector<std::uint32_t> begins{0};
  std::vector<std::uint32_t> parents;
  begins.reserve(out.entities_.size() + 1);
  parents.reserve(links);
  for (const Entity& entity : out.entities_) {
    const EntityUid& uid = entity.uid;
    for (const EntityUid& parent : entity.parents) {
      if (is_action(uid) && !is_action(parent))
        return Error{
            Code::invalid, "cedar.action_parent",
            "the action " + uid.to_string() + " has the parent " + parent.to_string() + ", which is no action"};
      parents.push_back(out.number_for(parent));
      if (out.below_ == nullptr) continue;
      const Located under = out.below_->locate(parent, hash_uid(parent));
      for (const std::uint32_t ancestor : under.ancestors)
        parents.push_back(out.number_for(out.below_->uid_of(ancestor)));
      if (parents.size() > max_ancestors) return too_many_pairs();
    }
    begins.push_back(static_cast<std::uint32_t>(parents.size()));
  }
  Closing closing(out, begins, parents);
  if (closing.run()) return out;
  if (closing.too_many) return too_many_pairs();
  return Error{Code::invalid, "cedar.entity_cycle",
               out.entities_[closing.cycle_at].uid.to_string() + " is an ancestor of itself"};
}

Result<Entities> Entities::with(std::vector<Entity> more) const {
  std::vector<Entity> all = entities_;
  if (below_ != nullptr) all.insert(all.end(), below_->entities_.begin(), below_->entities_.end());
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return build(std::move(all));
}

const Entity* Entities::find(const EntityUid& uid) const noexcept {
  return locate(uid, hash_uid(uid)).entity;
}

Entities::Located Entities::locate(const EntityUid& uid, std::uint64_t hash) const noexcept {
  const std::uint32_t number = number_of(uid, hash);
  if (number >= entities_.size()) return below_ == nullptr ? Located() : below_->locate(uid, hash);
  const auto [begin, size] = ranges_[number];
  return {&entities_[number], this, std::span(ancestors_).subspan(begin, size)};
}

bool Entities::is_in(const EntityUid& descendant, const EntityUid& ancestor) const noexcept {
  if (descendant == ancestor) return true;
  const Located at = locate(descendant, hash_uid(descendant));
  if (at.ancestors.empty()) return false;
  const std::uint32_t to = at.layer->number_of(ancestor, hash_uid(ancestor));
  return to != HashIndex::none && std::ranges::binary_search(at.ancestors, to);
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
  const auto write = [&](const Entity& entity) {
    json::Array parents;
    for (const EntityUid& parent : entity.parents) parents.push_back(parent.to_json());
    json::Object object{
        {"uid", entity.uid.to_json()}, {"attrs", members_to_json(entity.attrs)}, {"parents", std::move(parents)}};
    if (!entity.tags.empty()) object.set("tags", members_to_json(entity.tags));
    array.push_back(std::move(object));
  };
  if (below_ != nullptr) std::ranges::for_each(below_->entities_, write);
  std::ranges::for_each(entities_, write);
  return array;
}

}  // namespace daypass::cedar
