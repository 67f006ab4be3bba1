// After a restart: who is signed in is known again, and every promise that was open is taken up (dormant.cc).
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

  const Status looked = impl.p.store.transact([&](store::Tx& tx) -> Status {
    DP_CHECK(impl.load_registry(tx, now));
    return impl.look_for_a_restore(tx, now);
  });
  if (!looked.ok()) return looked;
  if (impl.restore) {
    impl.quarantine();
    impl.recovered = true;
    return {};
  }
  return impl.take_up(now);
}

Status Engine::Impl::take_up(WallTime now) {
  Impl& impl = *this;
  impl.dormant.started_at = now;
  std::vector<core::TenantId> uncovered;
  const Status read = impl.p.store.transact([&](store::Tx& tx) -> Status {
    uncovered.clear();
    DP_CHECK(impl.load_domains(tx, now));
    DP_CHECK(impl.load_freezes(tx, now));
    for (const auto& [tenant, entry] : impl.registry) DP_CHECK(load_logins(impl, tx, tenant, now));
    impl.forwards.clear();
    for (const auto& [tenant, entry] : impl.registry) DP_CHECK(impl.load_forwards(tx, tenant, now));
    DP_TRY(impl.dormant.count, tx.count({}));
    for (const auto& [tenant, entry] : impl.registry) {
      // A log that can't be read must not keep the server from revoking.
      if (const auto open = Impl::audit_uncovered(tx, tenant, now); !open.ok() || *open) uncovered.push_back(tenant);
    }
    return {};
  });
  if (!read.ok()) return read;
  impl.metrics.sessions = static_cast<std::int64_t>(impl.sessions.size());

  for (const auto& [id, s] : impl.sessions) {
    impl.dormant.sessions.insert(id);
    impl.watch_end(s);
    impl.watch_validity(s, true);
    impl.metrics.sessions_stale += s.is_stale() ? 1 : 0;
  }
  // What works, what is due, and what was cut off in the middle is taken up in the turns that follow.
  if (impl.dormant.count > 0) impl.load_at(now);
  impl.refresh_gauges();
  impl.timers.emplace(
      now,
      Impl::Timer{
          .kind = Impl::Timer::Kind::reconcile, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
  impl.timers.emplace(
      now + std::chrono::minutes(1),
      Impl::Timer{.kind = Impl::Timer::Kind::sweep, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
  for (const auto& tenant : uncovered) impl.audit_grew(tenant, now);
  for (auto& [tenant, all] : impl.forwards)
    for (auto& [name, f] : all)
      if (f.next < f.size) impl.forward_at(tenant, name, f, now);
  impl.forward_gauges();
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
