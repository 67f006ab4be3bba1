// The entity store a decision looks at: attributes, tags and the hierarchy, closed transitively when it is built.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cedar/value.h"

namespace daypass::cedar {

struct Entity {
  EntityUid uid;
  Record attrs;
  std::vector<EntityUid> parents;  ///< direct or not; need not be in the store themselves
  Record tags;
};

/// Immutable once built; safe to read from any thread.
class Entities {
 public:
  /// The most entities in one store, and the most (entity, ancestor) pairs looked at while closing it.
  static constexpr std::size_t max_entities = 1'000'000;
  static constexpr std::size_t max_ancestors = 50'000'000;

  Entities() = default;
  /// The same uid twice is fine when both are equal in everything. Errors: "cedar.entity_duplicate" (two different
  /// ones), "cedar.entity_cycle", "cedar.action_parent" (an action's parents are actions), "cedar.entities_too_many".
  static base::Result<Entities> build(std::vector<Entity> entities);
  /// This store and `more`, closed anew. Errors as build().
  [[nodiscard]] base::Result<Entities> with(std::vector<Entity> more) const;

  /// nullptr when it is not in the store.
  [[nodiscard]] const Entity* find(const EntityUid& uid) const noexcept;
  /// Cedar's `in`: true for the entity itself, even when it is not in the store, and for each ancestor.
  [[nodiscard]] bool is_in(const EntityUid& descendant, const EntityUid& ancestor) const noexcept;
  [[nodiscard]] std::span<const Entity> all() const noexcept { return entities_; }
  [[nodiscard]] std::size_t size() const noexcept { return entities_.size(); }

  /// Cedar's entities JSON: an array of `{"uid", "attrs", "parents", "tags"?}`. Errors: "cedar.entities_json", those of
  /// Value::from_json and those of build().
  static base::Result<Entities> from_json(const base::json::Value& json);
  [[nodiscard]] base::json::Value to_json() const;

 private:
  std::vector<Entity> entities_;
  std::unordered_map<EntityUid, std::uint32_t> ids_;   // every uid named: entities first, then mere parents
  std::vector<std::vector<std::uint32_t>> ancestors_;  // per entity: sorted ids
};

}  // namespace daypass::cedar
