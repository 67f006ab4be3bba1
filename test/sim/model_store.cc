#include "sim/model_store.h"

#include <algorithm>

#include "base/encoding.h"
#include "store/audit_leaf.h"

namespace daypass::sim {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::WallTime;

namespace {

using Undo = std::function<void()>;

Error conflict(std::string message) {
  return {Code::conflict, "store.conflict", std::move(message)};
}

Error unwritten(const std::string& check) {
  return {check == "store.full" ? Code::unavailable : Code::internal, check, "the store can't be written"};
}

}  // namespace

// One transaction, applied in place with a list of how to take each change back.
class ModelTx final : public store::Tx {
 public:
  ModelTx(ModelStore& store, ModelStore::State& state) : store_(store), s_(state) {}

  void undo_to(std::size_t mark, std::size_t grants, std::size_t opened, std::size_t audit) {
    while (undo_.size() > mark) {
      undo_.back()();
      undo_.pop_back();
    }
    commit.grants.resize(grants, SavedGrant{});
    commit.opened.resize(opened);
    commit.audit.resize(audit);
  }
  void undo_all() { undo_to(0, 0, 0, 0); }

  Result<std::optional<core::Grant>> load_grant(const core::GrantId& id) override {
    verb("load_grant");
    const auto it = s_.grants.find(id);
    if (it == s_.grants.end()) return std::optional<core::Grant>();
    auto out = std::optional<core::Grant>(it->second);
    if (store_.broken.revives && out->state == core::GrantState::revoking) {
      out->state = core::GrantState::active;
      out->connections = 1;
    }
    return out;
  }
  Result<std::vector<core::Grant>> grants(const store::Selector& sel) override {
    verb("grants");
    std::vector<core::Grant> out;
    for (const auto& [id, g] : s_.grants) {
      if (!sel.include_closed && g.state == core::GrantState::closed) continue;
      if (sel.tenant && id.tenant != *sel.tenant) continue;
      if (sel.session && g.session != *sel.session) continue;
      if (sel.principal && g.principal != *sel.principal) continue;
      if (sel.target && g.target != *sel.target) continue;
      out.push_back(g);
    }
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.opened_at > b.opened_at; });
    if (out.size() > sel.limit) out.resize(sel.limit);
    return out;
  }
  Result<std::vector<store::Outline>> outline(const store::Selector& sel, store::By order,
                                              const store::Outline* after) override {
    verb("outline");
    const auto key = [&](const store::Outline& o) {
      const std::int64_t first = order == store::By::end        ? o.wake.at.time_since_epoch().count()
                                 : order == store::By::idleness ? o.wake.idle.count()
                                                                : 0;
      return std::tuple(first, o.id.tenant, o.target, o.id.id);
    };
    std::vector<store::Outline> out;
    for (const auto& [id, g] : s_.grants) {
      if (!matches(sel, g)) continue;
      // The mutant's: each third is nowhere to be found.
      if (store_.broken.hides && id.id.back() % 3 == 0) continue;
      store::Outline one{id, g.session, g.target, core::wake_of(g)};
      if (after == nullptr || key(one) > key(*after)) out.push_back(std::move(one));
    }
    std::ranges::sort(out, {}, key);
    if (out.size() > sel.limit) out.resize(sel.limit);
    return out;
  }
  Result<std::size_t> count(const store::Selector& sel) override {
    verb("count");
    return static_cast<std::size_t>(
        std::ranges::count_if(s_.grants, [&](const auto& item) { return matches(sel, item.second); }));
  }
  Result<std::optional<store::Document>> get(const core::TenantId& tenant, std::string_view kind, std::string_view key,
                                             WallTime now) override {
    verb("get");
    const auto it = s_.documents.find({tenant, std::string(kind), std::string(key)});
    if (it == s_.documents.end() || expired(it->second, now)) return std::optional<store::Document>();
    return std::optional<store::Document>(it->second);
  }
  Result<std::vector<store::Document>> list(const core::TenantId& tenant, std::string_view kind,
                                            std::string_view prefix, std::string_view after, std::size_t limit,
                                            WallTime now) override {
    verb("list");
    std::vector<store::Document> out;
    for (auto it = s_.documents.upper_bound({tenant, std::string(kind), std::string(after)}); it != s_.documents.end();
         ++it) {
      const auto& [t, k, key] = it->first;
      if (t != tenant || k != kind || out.size() >= limit) break;
      if (key.starts_with(prefix) && !expired(it->second, now)) out.push_back(it->second);
    }
    return out;
  }
  Result<std::vector<std::string>> audit(const core::TenantId& tenant, std::uint64_t from, std::size_t limit) override {
    verb("audit");
    std::vector<std::string> out;
    const auto it = s_.logs.find(tenant);
    if (it == s_.logs.end()) return out;
    for (std::size_t i = from; i < it->second.records.size() && out.size() < limit; ++i)
      out.push_back(it->second.records[i]);
    return out;
  }
  Result<std::vector<tlog::Hash>> leaf_hashes(const core::TenantId& tenant, std::uint64_t from,
                                              std::size_t limit) override {
    verb("leaf_hashes");
    std::vector<tlog::Hash> out;
    const auto it = s_.logs.find(tenant);
    if (it == s_.logs.end()) return out;
    for (std::size_t i = from; i < it->second.records.size() && out.size() < limit; ++i) {
      DP_TRY(const std::string leaf, store::leaf_of(it->second.records[i]));
      out.push_back(tlog::leaf_hash(leaf));
    }
    return out;
  }
  Result<std::pair<std::uint64_t, std::string>> audit_head(const core::TenantId& tenant) override {
    verb("audit_head");
    const auto it = s_.logs.find(tenant);
    if (it == s_.logs.end()) return std::pair<std::uint64_t, std::string>(0, tlog::empty_root());
    return std::pair<std::uint64_t, std::string>(it->second.frontier.size(), it->second.frontier.root());
  }
  Result<std::vector<core::Intent>> open_intents() override {
    verb("open_intents");
    std::vector<core::Intent> out;
    for (const auto& [id, intent] : s_.intents) out.push_back(intent);
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.not_before < b.not_before; });
    return out;
  }

  Status save_grant(core::Grant& grant) override {
    verb("save_grant");
    if (!base::is_utf8(base::json::dump(core::to_json(grant))))
      return Error{Code::invalid, "store.text", "a text in the grant is not UTF-8"};
    if (store_.saves_left && (*store_.saves_left)-- <= 0)
      return Error{Code::unavailable, "store.full", "the store can't be written"};
    const auto it = s_.grants.find(grant.id);
    if ((it == s_.grants.end() ? 0 : it->second.version) != grant.version) return conflict("grant " + grant.id.str());
    if (grant.state == core::GrantState::revoking && it != s_.grants.end() && it->second.state != grant.state)
      store_.hooks.end_saved(grant.id);
    ++grant.version;
    change(s_.grants, grant.id, grant);
    commit.grants.push_back({grant});
    return {};
  }
  Status open_intent(const core::Intent& intent) override {
    verb("open_intent");
    if (!s_.grants.contains(intent.grant)) return Error{Code::internal, "store.no_grant", "intent without a grant"};
    const auto it = s_.intents.find(intent.grant);
    if (it != s_.intents.end() && it->second.seq > intent.seq) return conflict("a later intent is open");
    change(s_.intents, intent.grant, intent);
    if (s_.promised.insert({intent.grant, intent.seq}).second)
      undo_.emplace_back([this, key = std::pair(intent.grant, intent.seq)] { s_.promised.erase(key); });
    commit.opened.push_back(intent);
    return {};
  }
  Status settle_intent(const core::GrantId& grant, std::uint32_t seq) override {
    verb("settle_intent");
    const auto it = s_.intents.find(grant);
    if (it != s_.intents.end() && it->second.seq == seq) drop(s_.intents, grant);
    return {};
  }
  Status append_audit(core::AuditEvent& event) override {
    verb("append_audit");
    ModelStore::Log& log = s_.logs[event.tenant];
    event.seq = log.frontier.size();
    DP_TRY(store::LogEntry entry, store::entry_of(event));
    if (store_.broken.forgets_audit && ++store_.appended_ % 3 == 0) return {};
    undo_.emplace_back([&log, before = log.frontier] {
      log.frontier = before;
      log.records.pop_back();
    });
    log.frontier.append(entry.hash);
    if (store_.broken.rewrites_audit && ++store_.appended_ % 7 == 0) entry.record[entry.record.size() / 2] ^= 1;
    log.records.push_back(std::move(entry.record));
    commit.audit.push_back(event);
    return {};
  }
  Status rewrite_audit(const core::TenantId& tenant, std::uint64_t seq, std::string_view record) override {
    verb("rewrite_audit");
    DP_TRY(const std::string leaf, store::leaf_of(record));
    ModelStore::Log& log = s_.logs[tenant];
    const auto before = seq < log.records.size() ? store::leaf_of(log.records[seq]) : std::string();
    if (!before.ok() || *before != leaf) return Error{Code::internal, "audit.leaf", "it would be another record"};
    undo_.emplace_back([&log, seq, was = log.records[seq]] { log.records[seq] = was; });
    log.records[seq] = std::string(record);
    return {};
  }
  Result<bool> remove_closed(const core::GrantId& grant) override {
    verb("remove_closed");
    const auto it = s_.grants.find(grant);
    if (it == s_.grants.end() || it->second.state != core::GrantState::closed) return false;
    drop(s_.grants, grant);
    return true;
  }
  Status put(store::Document& document, std::optional<std::uint64_t> expected) override {
    verb("put");
    if (document.key.empty()) return Error{Code::invalid, "store.key", "a document needs a key"};
    const ModelStore::DocumentKey key{document.tenant, document.kind, document.key};
    const auto it = s_.documents.find(key);
    const std::uint64_t there = it == s_.documents.end() ? 0 : it->second.version;
    if (expected && *expected != there) return conflict("document " + document.kind);
    document.version = there + 1;
    if (store_.broken.forgets_freezes && document.kind == "freeze") return {};
    change(s_.documents, key, document);
    return {};
  }
  Result<bool> remove(const core::TenantId& tenant, std::string_view kind, std::string_view key) override {
    verb("remove");
    const ModelStore::DocumentKey where{tenant, std::string(kind), std::string(key)};
    if (!s_.documents.contains(where)) return false;
    if (store_.broken.keeps_sessions && (kind == "session" || kind == "token")) return true;
    drop(s_.documents, where);
    return true;
  }
  Result<bool> use_once(const core::TenantId& tenant, std::string_view key, WallTime until, WallTime now) override {
    verb("use_once");
    const std::pair where{tenant, std::string(key)};
    if (until <= now) return false;
    const auto it = s_.used.find(where);
    if (it != s_.used.end() && it->second > now) return false;
    change(s_.used, where, until);
    return true;
  }
  Result<std::size_t> erase_tenant(const core::TenantId& tenant, std::size_t most) override {
    verb("erase_tenant");
    std::vector<core::GrantId> grants;
    for (const auto& [id, grant] : s_.grants) {
      if (id.tenant != tenant) continue;
      if (grant.state != core::GrantState::closed)
        return Error{Code::conflict, "store.live_grants", "the tenant has grants that are not closed"};
      grants.push_back(id);
    }
    std::vector<ModelStore::DocumentKey> documents;
    for (const auto& [key, document] : s_.documents)
      if (std::get<0>(key) == tenant) documents.push_back(key);
    std::vector<std::pair<core::TenantId, std::string>> used;
    for (const auto& [key, until] : s_.used)
      if (key.first == tenant) used.push_back(key);
    std::size_t gone = 0;
    for (const auto& key : documents)
      if (gone < most) drop(s_.documents, key), ++gone;
    for (const auto& id : grants)
      if (gone < most) drop(s_.grants, id), ++gone;
    for (const auto& key : used)
      if (gone < most) drop(s_.used, key), ++gone;
    return gone;
  }
  Status nested(const std::function<Status()>& fn) override {
    verb("nested");
    const std::size_t mark = undo_.size(), g = commit.grants.size(), o = commit.opened.size(), a = commit.audit.size();
    Status done = fn();
    store_.hooks.event_over();
    if (!done.ok()) undo_to(mark, g, o, a);
    return done;
  }

  [[nodiscard]] bool changed() const { return !undo_.empty(); }

  Commit commit;

 private:
  void verb(const char* name) { store_.hooks.at_verb(name); }
  /// Of those that are not closed.
  static bool matches(const store::Selector& sel, const core::Grant& g) {
    return g.state != core::GrantState::closed && (!sel.tenant || g.id.tenant == *sel.tenant) &&
           (!sel.session || g.session == *sel.session) && (!sel.principal || g.principal == *sel.principal) &&
           (!sel.target || g.target == *sel.target);
  }
  static bool expired(const store::Document& d, WallTime now) { return d.expires_at && *d.expires_at <= now; }
  template <class Map>
  void change(Map& map, const typename Map::key_type& key, const typename Map::mapped_type& value) {
    const auto it = map.find(key);
    if (it == map.end())
      undo_.emplace_back([&map, key] { map.erase(key); });
    else
      undo_.emplace_back([&map, key, before = it->second] { map.insert_or_assign(key, before); });
    map.insert_or_assign(key, value);
  }
  template <class Map>
  void drop(Map& map, const typename Map::key_type& key) {
    const auto it = map.find(key);
    undo_.emplace_back([&map, key, before = it->second] { map.insert_or_assign(key, before); });
    map.erase(it);
  }

  ModelStore& store_;
  ModelStore::State& s_;
  std::vector<Undo> undo_;
};

Status ModelStore::transact(const std::function<Status(store::Tx&)>& fn) {
  if (broken.commits_late && !split_) {
    live_ = durable_;
    split_ = true;
  }
  if (const std::string check = hooks.begin_fault(true); !check.empty()) return unwritten(check);
  ModelTx tx(*this, current());
  try {
    hooks.at_verb("begin");
    Status done = fn(tx);
    if (done.ok())
      if (const std::string check = hooks.commit_fault(); !check.empty() && (tx.changed() || check != "store.full"))
        done = unwritten(check);
    if (!done.ok()) {
      tx.undo_all();
      return done;
    }
    hooks.at_verb("commit");
  } catch (...) {
    tx.undo_all();
    throw;
  }
  hooks.committed(tx.commit);
  // Durable; the process may die before it learns of it.
  hooks.at_verb("committed");
  return {};
}

namespace {

// Holds its own transaction handle over the state; the simulator is one thread, so "unchanging" needs no copy.
class ModelSnapshot final : public store::Reader {
 public:
  explicit ModelSnapshot(std::unique_ptr<store::Tx> tx) : tx_(std::move(tx)) {}
  Result<std::optional<core::Grant>> load_grant(const core::GrantId& id) override { return tx_->load_grant(id); }
  Result<std::vector<core::Grant>> grants(const store::Selector& s) override { return tx_->grants(s); }
  Result<std::vector<store::Outline>> outline(const store::Selector& s, store::By order,
                                              const store::Outline* after) override {
    return tx_->outline(s, order, after);
  }
  Result<std::size_t> count(const store::Selector& s) override { return tx_->count(s); }
  Result<std::optional<store::Document>> get(const core::TenantId& t, std::string_view kind, std::string_view key,
                                             WallTime now) override {
    return tx_->get(t, kind, key, now);
  }
  Result<std::vector<store::Document>> list(const core::TenantId& t, std::string_view kind, std::string_view prefix,
                                            std::string_view after, std::size_t limit, WallTime now) override {
    return tx_->list(t, kind, prefix, after, limit, now);
  }
  Result<std::vector<std::string>> audit(const core::TenantId& t, std::uint64_t from, std::size_t limit) override {
    return tx_->audit(t, from, limit);
  }
  Result<std::vector<tlog::Hash>> leaf_hashes(const core::TenantId& t, std::uint64_t from, std::size_t limit) override {
    return tx_->leaf_hashes(t, from, limit);
  }
  Result<std::pair<std::uint64_t, std::string>> audit_head(const core::TenantId& t) override {
    return tx_->audit_head(t);
  }
  Result<std::vector<core::Intent>> open_intents() override { return tx_->open_intents(); }

 private:
  std::unique_ptr<store::Tx> tx_;
};

}  // namespace

Result<std::unique_ptr<store::Reader>> ModelStore::snapshot() {
  if (const std::string check = hooks.begin_fault(false); !check.empty()) return unwritten(check);
  return std::unique_ptr<store::Reader>(std::make_unique<ModelSnapshot>(std::make_unique<ModelTx>(*this, current())));
}

Status ModelStore::sweep(WallTime now, std::size_t most) {
  if (const std::string check = hooks.begin_fault(true); !check.empty()) return unwritten(check);
  hooks.at_verb("sweep");
  State& s = current();
  std::size_t n = 0;
  for (auto it = s.documents.begin(); it != s.documents.end() && n < most;) {
    const bool gone = it->second.expires_at && *it->second.expires_at <= now;
    it = gone ? s.documents.erase(it) : std::next(it);
    n += gone ? 1U : 0U;
  }
  for (auto it = s.used.begin(); it != s.used.end() && n < most;) {
    const bool gone = it->second <= now;
    it = gone ? s.used.erase(it) : std::next(it);
    n += gone ? 1U : 0U;
  }
  return {};
}

void ModelStore::rewrite(const core::TenantId& tenant,
                         const std::function<void(std::vector<std::string>& records)>& how) {
  Log& log = current().logs.at(tenant);
  how(log.records);
  log.frontier = {};
  for (const auto& record : log.records) log.frontier.append(tlog::leaf_hash(record));
}

void ModelStore::rewrite(const core::TenantId& tenant, const std::string& kind, const std::string& key,
                         const std::function<void(std::string& body)>& how) {
  how(current().documents.at({tenant, kind, key}).body);
}

void ModelStore::lose_unsynced() {
  if (!split_) return;
  live_ = State{};
  split_ = false;
}

void ModelStore::sync() {
  if (split_) durable_ = live_;
}

std::vector<core::TenantId> ModelStore::logged() const {
  std::vector<core::TenantId> out;
  for (const auto& [tenant, log] : durable_.logs) out.push_back(tenant);
  return out;
}

const core::Grant* ModelStore::grant(const core::GrantId& id) const {
  const State& s = split_ ? live_ : durable_;
  const auto it = s.grants.find(id);
  return it == s.grants.end() ? nullptr : &it->second;
}

}  // namespace daypass::sim
