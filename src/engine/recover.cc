// After a restart: what the store remembers becomes live again, and every promise that was open is taken up.
#include <algorithm>

#include "engine/turn.h"

namespace daypass::engine {

namespace {

constexpr std::size_t page = 1000;

/// Every document of a kind, in pages.
Status each(store::Reader& reader, const core::TenantId& tenant, std::string_view kind, WallTime now,
            const std::function<void(const store::Document&)>& fn) {
  std::string after;
  for (;;) {
    DP_TRY(const auto documents, reader.list(tenant, kind, "", after, page, now));
    for (const auto& document : documents) fn(document);
    if (documents.size() < page) return {};
    after = documents.back().key;
  }
}

// Who is signed in, and with what: it must be known before anybody asks.
Status load_logins(Engine::Impl& impl, store::Tx& tx, const core::TenantId& tenant, WallTime now) {
  DP_CHECK(each(tx, tenant, doc_session, now, [&](const store::Document& d) {
    if (auto s = session_from(d); s.ok())
      impl.sessions.insert_or_assign(s->id, std::move(*s));
    else
      impl.p.log.error("a login session can't be read", {{"check", s.error().check}});
  }));
  DP_CHECK(each(tx, tenant, doc_token, now, [&](const store::Document& d) {
    if (auto body = json::parse(d.body); body.ok())
      impl.tokens.insert_or_assign(d.key, core::SessionId(body->string_or("session")));
  }));
  DP_CHECK(each(tx, tenant, doc_credential, now, [&](const store::Document& d) {
    if (auto c = credential_from(d); c.ok()) impl.credentials.insert_or_assign((*c)->id, *c);
  }));
  return {};
}

}  // namespace

Status Engine::recover() {
  Impl& impl = *impl_;
  WallTime high_water{};
  std::vector<core::TenantId> ids;
  const Status loaded = impl.p.store.transact([&](store::Tx& tx) -> Status {
    DP_TRY(const auto mark, tx.get(system_tenant, doc_clock, "high_water", WallTime{}));
    if (mark) {
      DP_TRY(high_water, base::parse_rfc3339(mark->body));
    }
    return {};
  });
  if (!loaded.ok()) return loaded;
  impl.last_mono = impl.p.clock.mono();
  impl.time.start(impl.p.clock.wall(), impl.last_mono, high_water);
  const WallTime now = impl.time.read(impl.p.clock.wall(), impl.last_mono);
  impl.last_now_ms = now.time_since_epoch().count();
  impl.clock_ok = impl.time.trusted();

  std::vector<Grant> grants;
  std::vector<core::TenantId> uncovered;
  const Status read = impl.p.store.transact([&](store::Tx& tx) -> Status {
    grants.clear();
    uncovered.clear();
    DP_CHECK(impl.load_registry(tx, now));
    DP_CHECK(impl.load_domains(tx, now));
    for (const auto& [tenant, entry] : impl.registry) DP_CHECK(load_logins(impl, tx, tenant, now));
    for (const auto& [tenant, entry] : impl.registry) {
      // A log that can't be read must not keep the server from revoking.
      if (const auto open = Impl::audit_uncovered(tx, tenant, now); !open.ok() || *open) uncovered.push_back(tenant);
    }
    store::Selector all;
    DP_TRY(grants, tx.grants(all));
    return {};
  });
  if (!read.ok()) return read;
  impl.metrics.sessions = static_cast<std::int64_t>(impl.sessions.size());

  for (const auto& [id, s] : impl.sessions) {
    impl.watch_end(s);
    impl.watch_validity(s, true);
    impl.metrics.sessions_stale += s.is_stale() ? 1 : 0;
  }
  for (const auto& grant : grants) {
    Grant& known = impl.live.insert_or_assign(grant.id, grant).first->second;
    // A restart counts as activity from here on, not from when the store takes Recovered: other news of the grant may
    // be taken first, and would end it as idle.
    known.last_active = std::max(known.last_active, now);
    Impl::Event event;
    event.grant_event.emplace(grant.id, core::event::Recovered{});
    event.run = [&impl, id = grant.id](Turn& turn) -> Status {
      // Its login ended while nobody ran: so does the grant.
      DP_TRY(const Grant g, turn.grant(id));
      if (!impl.session(g.session))
        DP_CHECK(turn.apply(id, core::event::End{core::EndReason::login_expired, "restart"}));
      turn.after.emplace_back([&impl, id] {
        const auto it = impl.live.find(id);
        if (it == impl.live.end()) return;
        it->second.last_active = std::max(it->second.last_active, impl.now());
        impl.schedule_tick(it->second);
        const Grant& open = it->second;
        // The promise that was open when the last process died. A fresh one (End above) is on its way already.
        if (!open.open || impl.in_flight.contains(id) || impl.pending_jobs.contains(id)) return;
        core::Intent intent{id, open.intent_seq, *open.open, open.attempt, {}, open.sealed_secret};
        impl.schedule_intent(open, intent, impl.now());
      });
      return {};
    };
    impl.post(std::move(event));
  }
  impl.timers.emplace(
      now,
      Impl::Timer{
          .kind = Impl::Timer::Kind::reconcile, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
  impl.timers.emplace(
      now + std::chrono::minutes(1),
      Impl::Timer{.kind = Impl::Timer::Kind::sweep, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
  for (const auto& tenant : uncovered) impl.audit_grew(tenant, now);
  impl.want_polls_of_sessions({});
  if (impl.p.txt)
    impl.timers.emplace(
        now + std::chrono::minutes(1),
        Impl::Timer{
            .kind = Impl::Timer::Kind::domains, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
  impl.recovered = true;
  return {};
}

}  // namespace daypass::engine
