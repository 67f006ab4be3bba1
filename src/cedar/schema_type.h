// The types that a schema declares and the checker infers, interned: equal types have equal ids. Internal to the room.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cedar/value.h"

namespace daypass::cedar {

using TypeId = std::uint32_t;

enum class TypeKind : std::uint8_t {
  never,  ///< of no value: the join of nothing
  true_,
  false_,
  boolean,
  long_,
  string,
  decimal,
  ipaddr,
  datetime,
  duration,
  entity,
  set,
  record,
};

struct AttributeType {
  std::string name;
  TypeId type = 0;
  bool required = true;
  bool operator==(const AttributeType&) const = default;
};

/// One type. Records are closed: they have the attributes listed and no other.
struct TypeNode {
  TypeKind kind = TypeKind::never;
  std::uint16_t height = 1;
  TypeId element = 0;                     ///< set
  std::string name;                       ///< entity: its type name
  std::vector<AttributeType> attributes;  ///< record: sorted by name

  /// nullptr when there is none of that name.
  [[nodiscard]] const AttributeType* attribute(std::string_view wanted) const noexcept;
};

/// Types by id. A table may lie over another, which must outlive it and no longer change: ids of the one below stay
/// valid.
class TypeTable {
 public:
  // The kinds without parts have ids of their own.
  static constexpr TypeId never = 0, true_ = 1, false_ = 2, boolean = 3, long_ = 4, string = 5, decimal = 6, ipaddr = 7,
                          datetime = 8, duration = 9;

  TypeTable();
  explicit TypeTable(const TypeTable& below) : below_(&below), first_(below.size()) {}
  // The nodes of a table that lies over another refer to that one only by id, so moving is fine.

  [[nodiscard]] TypeId size() const noexcept { return first_ + static_cast<TypeId>(nodes_.size()); }
  [[nodiscard]] const TypeNode& at(TypeId type) const noexcept {
    return type < first_ ? below_->at(type) : nodes_[type - first_];
  }
  [[nodiscard]] TypeKind kind(TypeId type) const noexcept { return at(type).kind; }

  TypeId entity(std::string_view name);
  TypeId set(TypeId element);
  /// `attributes` in any order, names unique.
  TypeId record(std::vector<AttributeType> attributes);
  /// The strict least upper bound: equal types, or bools of different knowledge, also inside sets and records of the
  /// same attributes. nullopt when there is none.
  std::optional<TypeId> join(TypeId a, TypeId b);
  /// As in a schema: `Set<User>`, `{name: String, age?: Long}`; long ones are cut.
  [[nodiscard]] std::string to_string(TypeId type) const;

 private:
  [[nodiscard]] const TypeId* find(const std::string& key) const;
  TypeId intern(std::string key, TypeNode node);
  std::optional<TypeId> join_records(const TypeNode& a, const TypeNode& b);
  void print(TypeId type, std::string& out) const;

  const TypeTable* below_ = nullptr;
  TypeId first_ = 0;
  std::deque<TypeNode> nodes_;  // references stay valid while it grows
  std::unordered_map<std::string, TypeId> by_key_;
  std::unordered_map<std::uint64_t, std::optional<TypeId>> joins_;
};

}  // namespace daypass::cedar
