// The entity store a decision looks at: attributes, tags and the hierarchy, closed transitively when it is built.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cedar/uid_table.h"
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

  /// As `below->with(more)`, at the cost of `more` alone: for the few entities of one decision over many that stay.
  /// Shares `below`, which is itself no layer. Errors as build().
  static base::Result<Entities> build_over(std::shared_ptr<const Entities> below, std::vector<Entity> more);

  /// nullptr when it is not in the store.
  [[nodiscard]] const Entity* find(const EntityUid& uid) const noexcept;
  /// Cedar's `in`: true for the entity itself, even when it is not in the store, and for each ancestor.
  [[nodiscard]] bool is_in(const EntityUid& descendant, const EntityUid& ancestor) const noexcept;
  /// An entity as the compiled evaluator wants it: looked up once, with all it is in.
  struct Located {
    const Entity* entity = nullptr;            ///< nullptr when it is not in the store
    const Entities* layer = nullptr;           ///< where it was found
    std::span<const std::uint32_t> ancestors;  ///< numbers for the layer's uid_of() and hash_of(), without itself
  };
  /// `hash` is hash_uid(uid).
  [[nodiscard]] Located locate(const EntityUid& uid, std::uint64_t hash) const noexcept;
  [[nodiscard]] const EntityUid& uid_of(std::uint32_t number) const noexcept {
    return number < entities_.size() ? entities_[number].uid : named_[number - entities_.size()];
  }
  [[nodiscard]] std::uint64_t hash_of(std::uint32_t number) const noexcept { return index_.hash(number); }
  /// Of this layer alone; below() has the others.
  [[nodiscard]] std::span<const Entity> all() const noexcept { return entities_; }
  /// nullptr unless this came from build_over().
  [[nodiscard]] const Entities* below() const noexcept { return below_.get(); }
  /// Of all layers.
  [[nodiscard]] std::size_t size() const noexcept {
    return entities_.size() + (below_ == nullptr ? 0 : below_->entities_.size());
  }

  /// Cedar's entities JSON: an array of `{"uid", "attrs", "parents", "tags"?}`. Errors: "cedar.entities_json", those of
  /// Value::from_json and those of build().
  static base::Result<Entities> from_json(const base::json::Value& json);
  [[nodiscard]] base::json::Value to_json() const;

 private:
  [[nodiscard]] std::uint32_t number_of(const EntityUid& uid, std::uint64_t hash) const noexcept {
    return index_.find(hash, [&](std::uint32_t n) { return uid_of(n) == uid; });
  }
  std::uint32_t number_for(const EntityUid& uid);
  static base::Result<Entities> build_layer(std::vector<Entity> entities, std::shared_ptr<const Entities> below);

  // Numbers count every uid named: entities first, then mere parents, which have no ancestors.
  std::vector<Entity> entities_;
  std::vector<EntityUid> named_;
  HashIndex index_;
  struct Range {
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  std::vector<Range> ranges_;             // per entity, into ancestors_
  std::vector<std::uint32_t> ancestors_;  // each range sorted, without duplicates
  std::shared_ptr<const Entities> below_;
  friend class Closing;
};

}  // namespace daypass::cedar
