// The grants that are in memory, and which of them belong to whom: what happens to one login, or on one target, looks
// at those alone. Counts as it goes, so that a gauge never walks. Owned by the engine thread.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "core/grant.h"
#include "store/store.h"

namespace daypass::engine {

class Book {
 public:
  Book() = default;
  Book(const Book&) = delete;
  Book& operator=(const Book&) = delete;

  /// Null when it is not here. Good until the grant is put or erased.
  [[nodiscard]] const core::Grant* find(const core::GrantId& id) const;
  [[nodiscard]] bool contains(const core::GrantId& id) const { return find(id) != nullptr; }
  /// Takes the place of one of the same id. Requires: it is not closed, and of the same session and target as before.
  void put(core::Grant grant);
  /// False when it was not here.
  bool erase(const core::GrantId& id);
  /// What is not worth a write: somebody was at work then.
  void touch(const core::GrantId& id, base::WallTime last_active);

  /// Those that match, in an order that only depends on what was put and erased before; `limit` and `include_closed`
  /// mean nothing. Walks over the session's, else over the target's or the tenant's, else over all.
  [[nodiscard]] std::vector<core::GrantId> of(const store::Selector& whose) const;
  [[nodiscard]] std::set<core::TenantId> tenants() const;
  [[nodiscard]] bool has(const core::TenantId& tenant) const;

  [[nodiscard]] std::size_t size() const { return grants_.size(); }
  [[nodiscard]] std::size_t active() const { return active_; }
  [[nodiscard]] std::size_t revoking() const { return revoking_.size(); }
  [[nodiscard]] std::int64_t connections() const { return connections_; }
  /// How many have been in revocation since before `then`; walks over these.
  [[nodiscard]] std::size_t revoking_since_before(base::WallTime then) const;

 private:
  struct Entry {
    core::Grant grant;
    std::size_t in_session = 0, on_target = 0;  ///< its places in the lists
  };
  using List = std::vector<Entry*>;
  using Place = std::pair<core::TenantId, core::TargetId>;
  void count(const core::Grant& grant, int by);
  static void leave(List& list, std::size_t Entry::* place, const Entry& entry);

  std::unordered_map<core::GrantId, Entry> grants_;
  std::unordered_map<core::SessionId, List> by_session_;
  std::map<Place, List> by_target_;
  std::multiset<base::WallTime> revoking_;
  std::size_t active_ = 0;
  std::int64_t connections_ = 0;
};

}  // namespace daypass::engine
