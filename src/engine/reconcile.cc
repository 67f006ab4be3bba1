// Comparing targets with the store, at start and every few minutes: what we made and should be gone is removed; what we
// never heard of is reported, left alone until its own validity has passed, then removed.
#include <algorithm>

#include "engine/orphans.h"
#include "engine/turn.h"

namespace daypass::engine {

using core::GrantState;

namespace {

/// Of those that are there no more nothing is remembered: should one come back, its removal is recorded as at first.
Status forget_gone(Turn& turn, const core::TenantId& tenant, const core::TargetId& target,
                   const std::vector<target::Owned>& there) {
  const std::string prefix = orphan_key(target, "");
  std::set<std::string> keys;
  for (const auto& account : there) keys.insert(orphan_key(target, account.name));
  constexpr std::size_t page = 1000;
  for (std::string after = prefix;;) {
    DP_TRY(const auto tried, turn.tx.list(tenant, doc_orphan, prefix, after, page, turn.now));
    for (const auto& document : tried)
      if (!keys.contains(document.key)) {
        DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(tenant, doc_orphan, document.key));
      }
    if (tried.size() < page) return {};
    after = tried.back().key;
  }
}

}  // namespace

void Engine::Impl::reconcile_idle(std::size_t most) {
  std::vector<core::TenantId> next;
  {
    const std::shared_lock lock(shared);
    auto it = registry.upper_bound(reconciled_last);
    for (std::size_t looked = 0; looked < registry.size() && next.size() < most; ++looked, ++it) {
      if (it == registry.end()) it = registry.begin();
      if (it->second.world == nullptr && !it->second.empty) next.push_back(it->first);
    }
  }
  for (const auto& id : next) {
    reconcile(id, load(id));
    reconciled_last = id;
  }
}

std::set<core::TenantId> Engine::Impl::tenants_with_grants() const {
  std::set<core::TenantId> out = grant_book.tenants();
  if (dormant.count == 0) return out;
  std::vector<core::TenantId> all;
  {
    const std::shared_lock lock(shared);
    for (const auto& [id, entry] : registry) all.push_back(id);
  }
  const auto reader = p.store.snapshot();
  for (const auto& id : all) {
    store::Selector one = of_tenant(id);
    one.limit = 1;
    // One that can't be asked for is not left out.
    if (out.contains(id)) continue;
    const auto found = reader.ok() ? (*reader)->outline(one, store::By::place, nullptr)
                                   : Result<std::vector<store::Outline>>(reader.error());
    if (!found.ok() || !found->empty()) out.insert(id);
  }
  return out;
}

void Engine::Impl::reconcile(const core::TenantId& tenant_id, const std::shared_ptr<const Tenant>& world) {
  if (world == nullptr) return;
  for (const auto& [target_id, target] : world->targets) {
    const std::string key = tenant_id.str() + "/" + target_id.str();
    if (!reconciling.insert(key).second) continue;
    const auto done = [this, key, tenant_id, target_id, target](Result<Differences> listed) {
      auto found = std::make_shared<Result<Differences>>(std::move(listed));
      Event event;
      event.again = true;
      event.run = [this, key, tenant_id, target_id, target, found](Turn& turn) -> Status {
        if (found->ok()) DP_CHECK(forget_gone(turn, tenant_id, target_id, (*found)->extra));
        turn.after.emplace_back([this, key, tenant_id, target_id, target, found] {
          reconciling.erase(key);
          if (found->ok())
            compare(tenant_id, target_id, target, **found);
          else
            p.log.warn("target can't be compared with the store",
                       {{"tenant", tenant_id.str()}, {"target", target_id.str()}, {"check", found->error().check}});
        });
        return {};
      };
      post(std::move(event));
    };
    p.workers.run(
        Workers::Pool::revoke, tenant_id,
        [this, tenant_id, target_id, target, done] { look_at(tenant_id, target_id, target, done); },
        [done](Error e) { done(std::move(e)); });
  }
}

namespace {

/// The grants of a target by id, and whether the account must be there. A million of them are 30 MB.
class Open {
 public:
  /// In order. One of another size than every id has is not known here, and looked at in the store.
  void add(std::string_view id, bool settled) {
    if (id.size() != width) return;
    ids_ += id;
    settled_.push_back(settled);
  }
  [[nodiscard]] std::size_t size() const { return settled_.size(); }
  [[nodiscard]] std::string_view id(std::size_t i) const { return std::string_view(ids_).substr(i * width, width); }
  [[nodiscard]] bool settled(std::size_t i) const { return settled_[i]; }
  [[nodiscard]] bool knows(std::string_view wanted) const {
    std::size_t from = 0, to = size();
    while (from < to) {
      const std::size_t middle = from + (to - from) / 2;
      if (id(middle) < wanted)
        from = middle + 1;
      else
        to = middle;
    }
    return from < size() && id(from) == wanted;
  }

 private:
  static constexpr std::size_t width = 29;
  std::string ids_;
  std::vector<bool> settled_;
};

}  // namespace

void Engine::Impl::look_at(const core::TenantId& tenant_id, const core::TargetId& target_id,
                           const std::shared_ptr<target::Target>& target, Done<Differences> done) {
  auto open = std::make_shared<Open>();
  auto found = std::make_shared<Differences>();
  const Status read = [&]() -> Status {
    DP_TRY(const auto reader, p.store.snapshot());
    store::Selector here = of_tenant(tenant_id);
    here.target = target_id;
    here.limit = 10'000;
    std::optional<store::Outline> last;
    for (;;) {
      DP_TRY(const auto page, reader->outline(here, store::By::place, last ? &*last : nullptr));
      for (const auto& one : page) {
        open->add(one.id.id, one.wake.settled);
        if (!session(one.session)) found->orphaned.push_back(one.id);
      }
      if (page.size() < here.limit) return {};
      last = page.back();
    }
  }();
  if (!read.ok()) return done(read.error());
  auto answer = std::make_shared<Done<Differences>>(std::move(done));
  // A call of its own: the listing is not older than what was read here.
  p.workers.run(
      Workers::Pool::revoke, tenant_id,
      [this, tenant_id, target, open, found, answer] {
        auto listed = target->list_owned(std::chrono::seconds(20));
        if (!listed.ok()) return (*answer)(std::move(listed).error());
        std::unordered_set<std::string_view> names;
        for (auto& account : *listed) {
          names.insert(account.name);
          // An account of another tenant on this server is that tenant's business; of an open grant, its revocation's.
          if (account.tenant == tenant_id.str() && !open->knows(account.grant)) found->extra.push_back(account);
          if (!account.tenant.empty() && !known_tenant(core::TenantId(account.tenant)))
            found->homeless.push_back(account);
        }
        for (std::size_t i = 0; i < open->size(); ++i) {
          const GrantId id{tenant_id, std::string(open->id(i))};
          if (open->settled(i) && !names.contains(core::account_name(p.instance, id))) found->missing.push_back(id);
        }
        (*answer)(std::move(*found));
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

void Engine::Impl::compare(const core::TenantId& tenant_id, const core::TargetId& target_id,
                           const std::shared_ptr<target::Target>& target, const Differences& found) {
  for (const auto& account : found.extra)
    if (!grant_book.contains({tenant_id, account.grant})) remove_extra(target_id, target, account);
  // The other way round: a grant that counts on an account which is not there is no grant.
  for (const auto& id : found.missing) {
    Event event;
    event.again = true;
    event.run = [this, id](Turn& turn) -> Status {
      DP_TRY(const Grant grant, turn.grant(id));
      if (grant.state != GrantState::active || grant.open || grant.account != core::account_name(p.instance, id))
        return {};
      return turn.apply(id, core::event::End{core::EndReason::signal, "its account is gone from the target"});
    };
    post(std::move(event));
  }
  // Nor is one whose login can't be found, whatever became of that.
  for (const auto& id : found.orphaned) {
    Event event;
    event.again = true;
    event.run = [this, id](Turn& turn) -> Status {
      DP_TRY(const Grant grant, turn.grant(id));
      if (session(grant.session) || owed_logouts.contains(grant.session)) return {};
      return turn.apply(id, core::event::End{core::EndReason::login_expired, "restart"});
    };
    post(std::move(event));
  }
}

void Engine::Impl::remove_extra(const core::TargetId& target_id, const std::shared_ptr<target::Target>& target,
                                const target::Owned& account) {
  const GrantId id{core::TenantId(account.tenant), account.grant};
  Event event;
  event.run = [this, account, id, target_id, target](Turn& turn) -> Status {
    DP_TRY(const auto known, turn.tx.load_grant(id));
    if (known && known->state != GrantState::closed) return {};
    const bool expired = account.valid_until && *account.valid_until <= turn.now;
    if (!known) {
      DP_TRY(const bool first,
             turn.tx.use_once(id.tenant, "orphan " + account.name, turn.now + std::chrono::hours(24), turn.now));
      if (first) {
        metrics.orphans_detected.fetch_add(1, std::memory_order_relaxed);
        DP_CHECK(turn.audit(id.tenant, "orphan.found", account.name, "ok",
                            {{"target", target_id.str()}, {"grant", account.grant}}));
        p.log.error("an account that this store never heard of; was the store restored or cloned?",
                    {{"tenant", id.tenant.str()}, {"target", target_id.str()}, {"account", account.name}});
      }
      if (!expired) return {};
    }
    const std::string why = known ? "its grant is closed" : "unknown, and its own validity has passed";
    const std::string key = orphan_key(target_id, account.name);
    const std::string tried = json::dump(json::Object{
        {"v", 1}, {"why", why}, {"until", account.valid_until ? base::to_rfc3339(*account.valid_until) : ""}});
    DP_TRY(const auto before, turn.tx.get(id.tenant, doc_orphan, key, turn.now));
    if (!before || before->body != tried) {
      DP_CHECK(
          turn.audit(id.tenant, "orphan.removing", account.name, "ok", {{"target", target_id.str()}, {"why", why}}));
      DP_CHECK(turn.put_document(id.tenant, doc_orphan, key, tried, {}));
    }
    turn.after.emplace_back([this, account, id, target_id, target] {
      take_away(id.tenant, target_id, target, {{{id, account.name}, {}, ""}}, "daypass",
                [this, account, id, target_id](const Result<std::vector<Status>>& done) {
                  const Status gone = done.ok() ? done->front() : Status(done.error());
                  if (!gone.ok())
                    p.log.error("orphan can't be removed", {{"tenant", id.tenant.str()},
                                                            {"account", account.name},
                                                            {"target", target_id.str()},
                                                            {"check", gone.error().check}});
                });
    });
    return {};
  };
  event.again = true;
  post(std::move(event));
}

}  // namespace daypass::engine
