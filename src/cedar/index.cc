#include "cedar/index.h"

#include <algorithm>
#include <cstring>

namespace daypass::cedar {
namespace {

constexpr std::uint64_t type_seed = 0x8ebc6af09c88c6e3ULL;
// From how many policies of one uid on a pair is worth a lookup for each principal and resource that the request is in.
constexpr std::size_t many = 4;

std::uint64_t pair_key(std::uint32_t first, std::uint32_t second) noexcept {
  return std::uint64_t{first} << 32U | second;
}
std::uint64_t hash_key(std::uint64_t key) noexcept {
  key *= 0x9e3779b97f4a7c15ULL;
  return key ^ key >> 32U;
}

// Hashes were equal, so the texts nearly always are: words at a time, without a call.
bool same(const std::string& a, const std::string& b) noexcept {
  const std::size_t n = a.size();
  if (n != b.size()) return false;
  const auto differ = [&](std::size_t at, auto word) {
    auto other = word;
    std::memcpy(&word, a.data() + at, sizeof word);
    std::memcpy(&other, b.data() + at, sizeof other);
    return word != other;
  };
  if (n >= 8) {
    for (std::size_t at = 0; at + 8 < n; at += 8)
      if (differ(at, std::uint64_t{})) return false;
    return !differ(n - 8, std::uint64_t{});
  }
  if (n >= 4) return !differ(0, std::uint32_t{}) && !differ(n - 4, std::uint32_t{});
  for (std::size_t at = 0; at < n; ++at)
    if (a[at] != b[at]) return false;
  return true;
}

std::uint8_t bit_for(const ScopeTest& test, unsigned place) noexcept {
  return static_cast<std::uint8_t>((test.kind == ScopeTest::Kind::equal ? 1U : 8U) << place);
}

}  // namespace

std::uint32_t ScopeIndex::find(const EntityUid& uid, std::uint64_t hash) const noexcept {
  return uids_.find(
      hash, [&](std::uint32_t n) { return same(uid_names_[n]->id, uid.id) && same(uid_names_[n]->type, uid.type); });
}

std::uint32_t ScopeIndex::find_type(const std::string& type, std::uint64_t hash) const noexcept {
  return types_.find(hash, [&](std::uint32_t n) { return *type_names_[n] == type; });
}

std::uint32_t ScopeIndex::intern(const EntityUid& uid) {
  const std::uint64_t hash = hash_uid(uid);
  if (const std::uint32_t known = find(uid, hash); known != none) return known;
  uid_names_.push_back(&uid);
  return uids_.add(hash);
}

std::uint32_t ScopeIndex::intern_type(const std::string& type) {
  const std::uint64_t hash = hash_text(type, type_seed);
  if (const std::uint32_t known = find_type(type, hash); known != none) return known;
  type_names_.push_back(&type);
  return types_.add(hash);
}

std::uint32_t ScopeIndex::find_pair(std::uint64_t key) const noexcept {
  return pairs_.find(hash_key(key), [&](std::uint32_t n) { return pair_keys_[n] == key; });
}

std::uint32_t ScopeIndex::intern_pair(std::uint64_t key) {
  if (const std::uint32_t known = find_pair(key); known != none) return known;
  pair_keys_.push_back(key);
  return pairs_.add(hash_key(key));
}

ScopeIndex::Test ScopeIndex::test_of(const ScopeTest& test) {
  Test out;
  if (test.kind == ScopeTest::Kind::is || test.kind == ScopeTest::Kind::is_in) out.type = intern_type(test.type);
  if (!test.entities.empty()) out.uid = intern(test.entities.front());
  return out;
}

ScopeIndex::Row ScopeIndex::row_of(const Policy& policy, std::uint32_t number) {
  Row row;
  row.policy = number;
  row.principal = test_of(policy.principal());
  row.resource = test_of(policy.resource());
  row.bits[principal] = bit_for(policy.principal(), principal);
  row.bits[action] = bit_for(policy.action(), action);
  row.bits[resource] = bit_for(policy.resource(), resource);
  row.action_count = any_action;
  if (policy.action().kind == ScopeTest::Kind::any) return row;
  row.first_action = static_cast<std::uint32_t>(actions_.size());
  for (const EntityUid& uid : policy.action().entities) actions_.push_back(intern(uid));
  const auto mine = actions_.begin() + row.first_action;
  std::sort(mine, actions_.end());
  actions_.erase(std::unique(mine, actions_.end()), actions_.end());
  row.action_count = static_cast<std::uint32_t>(actions_.size()) - row.first_action;
  return row;
}

void ScopeIndex::Buckets::fill(std::size_t numbers, std::vector<std::pair<std::uint32_t, Row>> keyed) {
  begins.assign(numbers + 1, 0);
  for (const auto& [number, row] : keyed) ++begins[number + 1];
  for (std::size_t n = 0; n < numbers; ++n) begins[n + 1] += begins[n];
  std::vector<std::uint32_t> next(begins.begin(), begins.end() - 1);
  rows.resize(keyed.size());
  for (const auto& [number, row] : keyed) rows[next[number]++] = row;
}

void ScopeIndex::build(const PolicySet& policies) {
  std::vector<Row> rows;
  rows.reserve(policies.size());
  for (const Policy& policy : policies.policies()) {
    const Row row = row_of(policy, static_cast<std::uint32_t>(rows.size()));
    rows.push_back(row);
  }
  // How many policies name each uid in each place: the rarer, the more selective.
  std::array<std::vector<std::uint32_t>, 3> named;
  for (auto& counts : named) counts.resize(uids_.size());
  const auto actions = [&](const Row& row) {
    return row.action_count == any_action ? std::span<const std::uint32_t>()
                                          : std::span(actions_).subspan(row.first_action, row.action_count);
  };
  for (const Row& row : rows) {
    if (row.principal.uid != none) ++named[principal][row.principal.uid];
    if (row.resource.uid != none) ++named[resource][row.resource.uid];
    for (const std::uint32_t uid : actions(row)) ++named[action][uid];
  }
  std::array<std::vector<std::pair<std::uint32_t, Row>>, 3> by_uid;
  std::array<std::vector<std::pair<std::uint32_t, Row>>, 3> by_type;
  std::vector<std::pair<std::uint32_t, Row>> by_pair;
  for (const Row& row : rows) {
    if (row.action_count == 0) continue;  // `action in []` fits nothing
    std::size_t fewest = SIZE_MAX;
    Place best = action;
    for (const Place place : {principal, resource}) {
      const std::uint32_t uid = (place == principal ? row.principal : row.resource).uid;
      if (uid == none || named[place][uid] >= fewest) continue;
      fewest = named[place][uid];
      best = place;
    }
    std::size_t by_action = 0;
    for (const std::uint32_t uid : actions(row)) by_action += named[action][uid];
    const bool both = row.principal.uid != none && row.resource.uid != none;
    if (both && std::min(by_action > 0 ? by_action : SIZE_MAX, fewest) > many) {
      by_pair.emplace_back(intern_pair(pair_key(row.principal.uid, row.resource.uid)), row);
    } else if (by_action > 0 && by_action < fewest) {
      for (const std::uint32_t uid : actions(row)) by_uid[action].emplace_back(uid, row);
    } else if (fewest != SIZE_MAX) {
      by_uid[best].emplace_back((best == principal ? row.principal : row.resource).uid, row);
    } else if (row.principal.type != none) {
      by_type[principal].emplace_back(row.principal.type, row);
    } else if (row.resource.type != none) {
      by_type[resource].emplace_back(row.resource.type, row);
    } else {
      always_.push_back(row);
    }
  }
  for (const Place place : {principal, action, resource}) {
    by_uid_[place].fill(uids_.size(), std::move(by_uid[place]));
    by_type_[place].fill(types_.size(), std::move(by_type[place]));
  }
  by_pair_.fill(pairs_.size(), std::move(by_pair));
}

void ScopeIndex::Probe::begin(std::size_t uids) {
  if (++epoch_ == 0) {  // four thousand million requests later: no old mark may look new
    marks_.assign(marks_.size(), {});
    epoch_ = 1;
  }
  if (marks_.size() < uids) marks_.resize(uids);
  fitting.clear();
}

void ScopeIndex::Probe::mark(std::uint32_t uid, unsigned bits) noexcept {
  Mark& mark = marks_[uid];
  mark.bits = mark.epoch == epoch_ ? mark.bits | bits : bits;
  mark.epoch = epoch_;
}

void ScopeIndex::probe(const Entities& entities, const Request& request, Probe& out) const {
  out.begin(uids_.size());
  const std::array<const EntityUid*, 3> uids = {&request.principal, &request.action, &request.resource};
  for (const Place place : {principal, action, resource}) {
    const std::uint64_t hash = hash_uid(*uids[place]);
    auto& met = out.met_[place];
    met.clear();
    out.located[place] = entities.locate(*uids[place], hash);
    if (const std::uint32_t self = find(*uids[place], hash); self != none) {
      out.mark(self, 9U << place);
      met.push_back(self);
    }
    for (const std::uint32_t ancestor : out.located[place].ancestors) {
      const Entities& layer = *out.located[place].layer;
      const std::uint32_t uid = find(layer.uid_of(ancestor), layer.hash_of(ancestor));
      if (uid == none) continue;
      out.mark(uid, 8U << place);
      met.push_back(uid);
    }
    out.types_[place] =
        types_.size() == 0 ? none : find_type(uids[place]->type, hash_text(uids[place]->type, type_seed));
  }
  for (const Place place : {principal, action, resource}) {
    for (const std::uint32_t uid : out.met_[place]) collect(by_uid_[place].of(uid), out);
    if (out.types_[place] != none) collect(by_type_[place].of(out.types_[place]), out);
  }
  if (pairs_.size() > 0)
    for (const std::uint32_t who : out.met_[principal])
      for (const std::uint32_t what : out.met_[resource])
        if (const std::uint32_t pair = find_pair(pair_key(who, what)); pair != none) collect(by_pair_.of(pair), out);
  collect(always_, out);
  // An action list may have been met twice.
  if (out.fitting.size() < 2) return;
  std::sort(out.fitting.begin(), out.fitting.end());
  out.fitting.erase(std::unique(out.fitting.begin(), out.fitting.end()), out.fitting.end());
}

bool ScopeIndex::fits(const Row& row, const Probe& probe) const noexcept {
  const auto holds = [&](Place place, const Test& test) {
    return (test.uid == none || probe.marked(test.uid, row.bits[place])) &&
           (test.type == none || test.type == probe.types_[place]);
  };
  if (!holds(resource, row.resource) || !holds(principal, row.principal)) return false;
  if (row.action_count == any_action) return true;
  for (std::uint32_t i = 0; i < row.action_count; ++i)
    if (probe.marked(actions_[row.first_action + i], row.bits[action])) return true;
  return false;
}

void ScopeIndex::collect(std::span<const Row> rows, Probe& probe) const {
  for (const Row& row : rows)
    if (fits(row, probe)) probe.fitting.push_back(row.policy);
}

}  // namespace daypass::cedar
