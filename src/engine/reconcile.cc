// Comparing targets with the store, at start and every few minutes: what we made and should be gone is removed; what we
// never heard of is reported, left alone until its own validity has passed, then removed.
#include <algorithm>

#include "engine/turn.h"

namespace daypass::engine {

using core::GrantState;

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

void Engine::Impl::reconcile(const core::TenantId& tenant_id, const std::shared_ptr<const Tenant>& world) {
  if (world == nullptr) return;
  for (const auto& [target_id, target] : world->targets) {
    const std::string key = tenant_id.str() + "/" + target_id.str();
    if (!reconciling.insert(key).second) continue;
    auto before = std::make_shared<Before>();
    for (const auto& [id, grant] : live) {
      if (id.tenant != tenant_id || grant.target != target_id) continue;
      before->live.insert(id.id);
      if (grant.state == GrantState::active && !grant.open) before->settled.insert(id.id);
    }
    const auto done = [this, key, tenant_id, target_id, target, before](Result<std::vector<target::Owned>> listed) {
      auto owned = std::make_shared<Result<std::vector<target::Owned>>>(std::move(listed));
      post({[this, key, tenant_id, target_id, target, before, owned](Turn& turn) -> Status {
              turn.after.emplace_back([this, key, tenant_id, target_id, target, before, owned] {
                reconciling.erase(key);
                if (owned->ok())
                  compare(tenant_id, target_id, target, *before, **owned);
                else
                  p.log.warn(
                      "target can't be compared with the store",
                      {{"tenant", tenant_id.str()}, {"target", target_id.str()}, {"check", owned->error().check}});
              });
              return {};
            },
            nullptr,
            {},
            "daypass",
            {},
            true});
    };
    p.workers.run(
        Workers::Pool::revoke, tenant_id, [target, done] { done(target->list_owned(std::chrono::seconds(20))); },
        [done](Error e) { done(std::move(e)); });
  }
}

void Engine::Impl::compare(const core::TenantId& tenant_id, const core::TargetId& target_id,
                           const std::shared_ptr<target::Target>& target, const Before& before,
                           const std::vector<target::Owned>& owned) {
  for (const auto& account : owned) {
    // An account of another tenant on this server is that tenant's business.
    if (account.tenant != tenant_id.str()) continue;
    const GrantId id{tenant_id, account.grant};
    // Live then or now: its own revocation takes care of it.
    if (live.contains(id) || before.live.contains(id.id)) continue;
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
      DP_CHECK(turn.audit(id.tenant, "orphan.removing", account.name, "ok",
                          {{"target", target_id.str()},
                           {"why", known ? "its grant is closed" : "unknown, and its own validity has passed"}}));
      turn.after.emplace_back([this, account, id, target_id, target] {
        p.workers.run(
            Workers::Pool::revoke, id.tenant,
            [this, account, id, target_id, target] {
              const Status gone = target->revoke({id, account.name}, {}, "", std::chrono::seconds(20));
              if (!gone.ok())
                p.log.error("orphan can't be removed", {{"tenant", id.tenant.str()},
                                                        {"account", account.name},
                                                        {"target", target_id.str()},
                                                        {"check", gone.error().check}});
            },
            [](const Error&) {});
      });
      return {};
    };
    event.again = true;
    post(std::move(event));
  }
  // The other way round: a grant that counts on an account which is not there is no grant.
  std::unordered_set<std::string> names;
  for (const auto& account : owned) names.insert(account.name);
  for (const auto& [id, grant] : live) {
    if (id.tenant != tenant_id || grant.target != target_id || grant.state != GrantState::active || grant.open)
      continue;
    if (names.contains(grant.account) || !before.settled.contains(id.id)) continue;
    post_grant(id, core::event::End{core::EndReason::signal, "its account is gone from the target"});
  }
}

}  // namespace daypass::engine
