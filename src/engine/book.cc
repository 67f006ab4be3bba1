#include "engine/book.h"

#include <algorithm>
#include <iterator>

namespace daypass::engine {

using core::Grant;
using core::GrantId;
using core::GrantState;

const Grant* Book::find(const GrantId& id) const {
  const auto it = grants_.find(id);
  return it == grants_.end() ? nullptr : &it->second.grant;
}

void Book::count(const Grant& grant, int by) {
  connections_ += by * grant.connections;
  if (grant.state == GrantState::active) active_ += static_cast<std::size_t>(by);
  if (grant.state != GrantState::revoking) return;
  const base::WallTime since = grant.revoking_since.value_or(base::WallTime{});
  if (by > 0)
    revoking_.insert(since);
  else
    revoking_.erase(revoking_.find(since));
}

void Book::put(Grant grant) {
  DP_ASSERT(grant.state != GrantState::closed);
  count(grant, 1);
  const auto [it, first] = grants_.try_emplace(grant.id);
  Entry& entry = it->second;
  if (!first) {
    DP_ASSERT(entry.grant.session == grant.session && entry.grant.target == grant.target);
    count(entry.grant, -1);
    entry.grant = std::move(grant);
    return;
  }
  entry.grant = std::move(grant);
  List& mine = by_session_[entry.grant.session];
  entry.in_session = mine.size();
  mine.push_back(&entry);
  List& there = by_target_[{entry.grant.id.tenant, entry.grant.target}];
  entry.on_target = there.size();
  there.push_back(&entry);
}

/// The last one takes its place: a list of a million loses one as fast as a list of two.
void Book::leave(List& list, std::size_t Entry::* place, const Entry& entry) {
  Entry* last = list.back();
  last->*place = entry.*place;
  list[entry.*place] = last;
  list.pop_back();
}

bool Book::erase(const GrantId& id) {
  const auto it = grants_.find(id);
  if (it == grants_.end()) return false;
  const Entry& entry = it->second;
  count(entry.grant, -1);
  const auto mine = by_session_.find(entry.grant.session);
  leave(mine->second, &Entry::in_session, entry);
  if (mine->second.empty()) by_session_.erase(mine);
  const auto there = by_target_.find({entry.grant.id.tenant, entry.grant.target});
  leave(there->second, &Entry::on_target, entry);
  if (there->second.empty()) by_target_.erase(there);
  grants_.erase(it);
  return true;
}

void Book::touch(const GrantId& id, base::WallTime last_active) {
  if (const auto it = grants_.find(id); it != grants_.end()) it->second.grant.last_active = last_active;
}

std::vector<GrantId> Book::of(const store::Selector& whose) const {
  std::vector<GrantId> out;
  const auto take = [&](const Grant& g) {
    if ((!whose.tenant || *whose.tenant == g.id.tenant) && (!whose.session || *whose.session == g.session) &&
        (!whose.principal || *whose.principal == g.principal) && (!whose.target || *whose.target == g.target))
      out.push_back(g.id);
  };
  if (whose.session) {
    if (const auto mine = by_session_.find(*whose.session); mine != by_session_.end())
      for (const Entry* entry : mine->second) take(entry->grant);
  } else if (whose.tenant) {
    // Targets have names, so that none comes before the empty one.
    for (auto it = by_target_.lower_bound({*whose.tenant, whose.target.value_or(core::TargetId())});
         it != by_target_.end() && it->first.first == *whose.tenant &&
         (!whose.target || it->first.second == *whose.target);
         ++it)
      for (const Entry* entry : it->second) take(entry->grant);
  } else {
    for (const auto& [place, list] : by_target_)
      for (const Entry* entry : list) take(entry->grant);
  }
  return out;
}

std::set<core::TenantId> Book::tenants() const {
  std::set<core::TenantId> out;
  for (const auto& [place, list] : by_target_) out.insert(place.first);
  return out;
}

bool Book::has(const core::TenantId& tenant) const {
  const auto it = by_target_.lower_bound({tenant, core::TargetId()});
  return it != by_target_.end() && it->first.first == tenant;
}

std::size_t Book::revoking_since_before(base::WallTime then) const {
  return static_cast<std::size_t>(std::distance(revoking_.begin(), revoking_.lower_bound(then)));
}

}  // namespace daypass::engine
