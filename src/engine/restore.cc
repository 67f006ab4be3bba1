// A store that was set back. What it remembers was true once: logins that have ended since, accounts that it never
// heard of, grants that were extended. So nothing is given and nothing taken away on its word until the operator has
// seen what differs and says so.
#include <algorithm>

#include "engine/turn.h"

namespace daypass::engine {
namespace {

constexpr auto looks_every = std::chrono::minutes(1);
constexpr auto list_budget = std::chrono::seconds(20);
constexpr std::size_t page = 1000;
/// Who is signed in or on the way to it, and with what.
constexpr std::string_view of_logins[] = {doc_session, doc_token,     doc_credential, doc_pending, doc_code,
                                          doc_device,  doc_user_code, doc_refresh,    doc_unasked};

/// Deletes every document of these kinds; how many sessions were among them.
Result<std::size_t> forget_logins(Turn& turn, const core::TenantId& tenant) {
  std::size_t sessions = 0;
  for (const auto kind : of_logins)
    for (;;) {
      // From the first again each time: what was there is gone. Expired ones are not listed, and are nothing.
      DP_TRY(const auto documents, turn.tx.list(tenant, kind, "", "", page, turn.now));
      for (const auto& document : documents) {
        DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(tenant, kind, document.key));
      }
      if (kind == doc_session) sessions += documents.size();
      if (documents.size() < page) break;
    }
  return sessions;
}

}  // namespace

Error Engine::Impl::quarantine_error() const {
  return {Code::unavailable, "store.quarantine",
          "the store was restored from a backup: nothing is given and nothing taken away until the operator has looked",
          "daypass admin restore, on the server's own socket, shows what differs"};
}

Status Engine::Impl::look_for_a_restore(store::Tx& tx, WallTime now_) {
  std::string why;
  std::vector<Restore::Log> logs;
  if (p.restored) why = "the server was started with --restored";
  if (p.seen && p.seen->instance == p.instance) {
    for (const auto& [tenant_id, size] : p.seen->log_sizes) {
      DP_TRY(const auto head, tx.audit_head(tenant_id));
      if (head.first < size) logs.push_back({tenant_id, head.first, size});
    }
    if (!logs.empty())
      why = "the log of tenant " + logs[0].tenant.str() + " has " + std::to_string(logs[0].records) +
            " records, and had " + std::to_string(logs[0].seen) + " at " + base::to_rfc3339(p.seen->at);
  }
  DP_TRY(const auto before, tx.get(system_tenant, doc_restore, "current", now_));
  if (why.empty() && !before) return {};
  WallTime since = now_;
  if (!before) {
    store::Document document{system_tenant,
                             std::string(doc_restore),
                             "current",
                             0,
                             json::dump(json::Object{{"v", 1}, {"since", base::to_rfc3339(now_)}, {"why", why}}),
                             {}};
    DP_CHECK(tx.put(document, 0));
  } else if (const auto body = json::parse(before->body); body.ok()) {
    if (const auto noted = base::parse_rfc3339(body->string_or("since")); noted.ok()) since = *noted;
    if (why.empty()) why = body->string_or("why");
  }
  const std::lock_guard lock(restore_mutex);
  restore = Restore{.since = since, .why = std::move(why), .logs = std::move(logs), .targets = {}};
  return {};
}

void Engine::Impl::quarantine() {
  p.log.error("the store was restored from a backup: nothing is given and nothing taken away",
              {{"why", restore->why}, {"next", "daypass admin restore"}});
  quarantined = true;
  timers.emplace(
      now(), Timer{.kind = Timer::Kind::restore, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
}

void Engine::Impl::look_at_targets(WallTime now_) {
  std::vector<core::TenantId> ids;
  {
    const std::shared_lock lock(shared);
    for (const auto& [id, entry] : registry) ids.push_back(id);
  }
  for (const auto& id : ids) {
    const auto world = tenant(id);
    if (world == nullptr) continue;
    for (const auto& [target_id, target] : world->targets) {
      if (!reconciling.insert(id.str() + "/" + target_id.str()).second) continue;
      const auto done = [this, id, target_id](Result<std::vector<target::Owned>> listed) {
        Event event;
        event.in_quarantine = true;
        event.run = [this, id, target_id, listed = std::move(listed)](Turn& turn) -> Status {
          reconciling.erase(id.str() + "/" + target_id.str());
          return note_differences(turn, id, target_id, listed);
        };
        post(std::move(event));
      };
      p.workers.run(
          Workers::Pool::revoke, id, [target, done] { done(target->list_owned(list_budget)); },
          [done](Error e) { done(std::move(e)); });
    }
  }
  timers.emplace(
      now_ + looks_every,
      Timer{.kind = Timer::Kind::restore, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
}

Status Engine::Impl::note_differences(Turn& turn, const core::TenantId& tenant_id, const core::TargetId& target_id,
                                      const Result<std::vector<target::Owned>>& listed) {
  Restore::Target out;
  if (!listed.ok()) {
    out.unreachable = listed.error().message;
  } else {
    store::Selector selector;
    selector.tenant = tenant_id;
    selector.target = target_id;
    DP_TRY(const auto known, turn.tx.grants(selector));
    std::unordered_set<std::string> there;
    for (const auto& account : *listed) {
      if (account.tenant != tenant_id.str()) continue;
      there.insert(account.name);
      DP_TRY(const auto grant, turn.tx.load_grant({tenant_id, account.grant}));
      const auto note = [&](Restore::Difference::Kind kind) {
        out.differences.push_back({kind, account.name, account.grant,
                                   grant ? std::optional(grant->ends_at) : std::nullopt, account.valid_until});
      };
      if (!grant)
        note(Restore::Difference::Kind::unknown_account);
      else if (grant->state == core::GrantState::closed)
        note(Restore::Difference::Kind::closed_grant);
      else if (account.valid_until && *account.valid_until > grant->ends_at + std::chrono::seconds(1))
        note(Restore::Difference::Kind::later_end);
    }
    for (const auto& grant : known)
      if (grant.state == core::GrantState::active && !there.contains(grant.account))
        out.differences.push_back(
            {Restore::Difference::Kind::account_gone, grant.account, grant.id.id, grant.ends_at, {}});
  }
  const std::lock_guard lock(restore_mutex);
  if (restore) restore->targets.insert_or_assign({tenant_id, target_id}, std::move(out));
  return {};
}

std::optional<Restore> Engine::restored() const {
  const std::lock_guard lock(impl_->restore_mutex);
  return impl_->restore;
}

void Engine::confirm_restore(std::string actor, Done<Confirmed> done) {
  Impl& impl = *impl_;
  auto answer = std::make_shared<Done<Confirmed>>(std::move(done));
  Impl::Event event;
  event.in_quarantine = true;
  event.failed = [answer](const Error& e) {
    if (*answer) std::exchange(*answer, nullptr)(e);
  };
  event.run = [&impl, actor, answer](Turn& turn) -> Status {
    if (!impl.quarantined) return Error{Code::conflict, "restore.none", "no restored store waits to be confirmed"};
    turn.actor = actor;
    Confirmed out;
    std::string why;
    {
      const std::lock_guard lock(impl.restore_mutex);
      why = impl.restore->why;
    }
    DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(system_tenant, doc_restore, "current"));
    for (const auto& [id, entry] : impl.registry) {
      // Some of them have ended since the backup, and nobody can say which: none comes back.
      DP_TRY(const std::size_t sessions, forget_logins(turn, id));
      out.logins_ended += sessions;
      DP_CHECK(turn.audit(id, "store.restored", id.str(), "ok",
                          {{"why", why}, {"logins_ended", static_cast<std::int64_t>(sessions)}}));
    }
    turn.last = true;
    turn.after.emplace_back([&impl, answer, out] {
      impl.quarantined = false;
      {
        const std::lock_guard lock(impl.restore_mutex);
        impl.restore.reset();
      }
      impl.bear_witness();
      // From here on as after any restart: a grant whose login is gone ends.
      const Status up = impl.take_up(impl.now());
      if (!up.ok())
        impl.p.log.error("what was open can't be taken up; restart the server", {{"check", up.error().check}});
      if (!*answer) return;
      if (up.ok())
        std::exchange(*answer, nullptr)(out);
      else
        std::exchange(*answer, nullptr)(up.error());
    });
    return {};
  };
  impl.post(std::move(event));
}

void Engine::Impl::bear_witness() {
  // In quarantine the store is not what should be remembered.
  if (!p.witness || quarantined) return;
  Witness seen{.instance = p.instance, .at = now(), .log_sizes = {}};
  auto reader = p.store.snapshot();
  if (!reader.ok()) return;
  std::vector<core::TenantId> ids{system_tenant};
  {
    const std::shared_lock lock(shared);
    for (const auto& [id, entry] : registry) ids.push_back(id);
  }
  for (const auto& id : ids)
    if (const auto head = (*reader)->audit_head(id); head.ok() && head->first > 0)
      seen.log_sizes.emplace(id, head->first);
  // A file, so not here: the engine waits for no disk but the store's.
  p.workers.run(
      Workers::Pool::provision, system_tenant, [this, seen = std::move(seen)] { p.witness(seen); },
      [](const Error&) {});
}

}  // namespace daypass::engine
