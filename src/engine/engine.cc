#include "engine/engine.h"

#include <algorithm>
#include <iterator>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "engine/turn.h"
#include "store/audit_leaf.h"

namespace daypass::engine {

using core::GrantState;

namespace {

/// Stands in where the store does not even begin a transaction: what takes access away must run all the same. Reads
/// what can be read, takes every write and keeps none; whoever uses it knows that the commit has failed. What can't be
/// read is an error and not "nothing there": nobody's access ends because its record was not seen.
class Unkept final : public store::Tx {
 public:
  explicit Unkept(store::Store& store) : reader_(store.snapshot()) {}

  Result<std::optional<Grant>> load_grant(const GrantId& id) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->load_grant(id);
  }
  Result<std::vector<Grant>> grants(const store::Selector& s) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->grants(s);
  }
  Result<std::vector<store::Outline>> outline(const store::Selector& s, store::By order,
                                              const store::Outline* behind) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->outline(s, order, behind);
  }
  Result<std::size_t> count(const store::Selector& s) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->count(s);
  }
  Result<std::optional<store::Document>> get(const core::TenantId& tenant, std::string_view kind, std::string_view key,
                                             WallTime now) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->get(tenant, kind, key, now);
  }
  Result<std::vector<store::Document>> list(const core::TenantId& tenant, std::string_view kind,
                                            std::string_view prefix, std::string_view behind, std::size_t limit,
                                            WallTime now) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->list(tenant, kind, prefix, behind, limit, now);
  }
  Result<std::vector<std::string>> audit(const core::TenantId& tenant, std::uint64_t from, std::size_t limit) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->audit(tenant, from, limit);
  }
  Result<std::vector<tlog::Hash>> leaf_hashes(const core::TenantId& tenant, std::uint64_t from,
                                              std::size_t limit) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->leaf_hashes(tenant, from, limit);
  }
  Result<std::pair<std::uint64_t, std::string>> audit_head(const core::TenantId& tenant) override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->audit_head(tenant);
  }
  Result<std::vector<core::Intent>> open_intents() override {
    if (!reader_.ok()) return reader_.error();
    return (*reader_)->open_intents();
  }
  Status save_grant(Grant& grant) override { return ++grant.version, Status(); }
  Status open_intent(const core::Intent&) override { return {}; }
  Status settle_intent(const GrantId&, std::uint32_t) override { return {}; }
  Status append_audit(core::AuditEvent&) override { return {}; }
  Status rewrite_audit(const core::TenantId&, std::uint64_t, std::string_view) override { return {}; }
  Result<bool> remove_closed(const GrantId&) override { return true; }
  Status put(store::Document& document, std::optional<std::uint64_t>) override { return ++document.version, Status(); }
  Result<bool> remove(const core::TenantId&, std::string_view, std::string_view) override { return true; }
  Result<bool> use_once(const core::TenantId&, std::string_view, WallTime, WallTime) override { return true; }
  Result<std::size_t> erase_tenant(const core::TenantId&, std::size_t) override { return std::size_t{0}; }
  Status nested(const std::function<Status()>& fn) override { return fn(); }

 private:
  Result<std::unique_ptr<store::Reader>> reader_;
};

}  // namespace

// ---------------------------------------------------------------------------------------------------------------- Turn

Result<Grant> Turn::grant(const GrantId& id) {
  if (const auto it = staged.find(id); it != staged.end()) return it->second;
  if (const auto it = batch.find(id); it != batch.end()) return it->second;
  if (const Grant* known = impl.grant_book.find(id)) return *known;
  DP_TRY(auto stored, tx.load_grant(id));
  if (!stored)
    return Error{Code::not_found, "grant.unknown", "there is no grant " + id.id, "daypass grants ls shows yours"};
  if (stored->state == GrantState::closed) return std::move(*stored);
  return impl.take_in(std::move(*stored));
}

Result<std::vector<GrantId>> Turn::open_grants(const store::Selector& whose) {
  // Where the store can't even be read, those in memory must do: nobody has used the others.
  if (const Status taken = impl.take_in(*this, whose); !taken.ok() && !unkept) return taken.error();
  std::vector<GrantId> out = impl.grant_book.of(whose);
  for (const auto& [id, g] : batch)
    if (g.state != GrantState::closed && !impl.grant_book.contains(id) &&
        (!whose.tenant || *whose.tenant == id.tenant) && (!whose.session || *whose.session == g.session) &&
        (!whose.target || *whose.target == g.target) && (!whose.principal || *whose.principal == g.principal))
      out.push_back(id);
  return out;
}

Status Turn::apply(const GrantId& id, const core::GrantEvent& event) {
  return apply({Happening(id, event)});
}

Status Turn::apply(const std::vector<Happening>& events) {
  std::vector<core::Step> steps;
  steps.reserve(events.size());
  Status unread;
  for (const auto& [id, event] : events) {
    auto step = foresee(id, event);
    if (step.ok())
      steps.push_back(std::move(*step));
    else if (unread.ok())
      unread = step.error();  // it keeps none of the others alive
  }
  cut(steps);
  DP_CHECK(unread);
  for (auto& step : steps) DP_CHECK(keep_step(std::move(step)));
  return {};
}

Status Turn::end(const std::vector<GrantId>& ids, core::EndReason reason, const std::string& note) {
  std::vector<Happening> events;
  events.reserve(ids.size());
  for (const auto& id : ids) events.emplace_back(id, core::event::End{reason, note});
  return apply(events);
}

Result<core::Step> Turn::foresee(const GrantId& id, const core::GrantEvent& event) {
  DP_TRY(const Grant before, grant(id));
  core::Step step = core::step(before, event, now);
  if (const auto lost = impl.dormant.lost.find(id);
      lost != impl.dormant.lost.end() && !staged.contains(id) && !batch.contains(id)) {
    step.effects.insert(step.effects.begin(), lost->second.begin(), lost->second.end());
    step.save = true;
  }
  return step;
}

void Turn::cut(const std::vector<core::Step>& steps) {
  // Cuts wait for nothing: they happen before the transaction that records them is on disk.
  std::vector<Cut> over;
  for (const auto& step : steps)
    for (const auto& effect : step.effects)
      if (const auto* cut = std::get_if<core::effect::Cut>(&effect)) {
        over.push_back({step.grant.id, cut->reason, sentence_of(step.grant, cut->reason, cut->note)});
        staged.insert_or_assign(step.grant.id, step.grant);
      }
  if (!over.empty()) impl.p.sessions.cut(std::move(over));
}

Status Turn::keep_step(core::Step step) {
  if (!step.save) {
    // Nothing durable changed; what did (activity) lives in memory.
    const GrantId id = step.grant.id;
    impl.grant_book.touch(id, step.grant.last_active);
    if (staged.contains(id) || batch.contains(id)) staged.insert_or_assign(id, std::move(step.grant));
    return {};
  }
  // Records before the grant, which remembers where those of its life stand.
  for (const auto& effect : step.effects)
    if (const auto* what = std::get_if<core::effect::Record>(&effect)) {
      json::Object facts = what->facts;
      facts.set("principal", step.grant.principal);
      facts.set("target", step.grant.target.str());
      DP_TRY(const std::uint64_t place,
             record(step.grant.id.tenant, what->action, step.grant.id.id, what->outcome, std::move(facts)));
      if (what->action == "grant.opened") step.grant.log.opened = place;
      if (what->action == "grant.ended") step.grant.log.ended = place;
      if (what->action == "grant.closed") step.grant.log.closed = place;
    }
  DP_CHECK(tx.save_grant(step.grant));
  for (const auto& effect : step.effects) {
    if (const auto* open = std::get_if<core::effect::OpenIntent>(&effect)) DP_CHECK(tx.open_intent(open->intent));
    if (const auto* settle = std::get_if<core::effect::SettleIntent>(&effect))
      DP_CHECK(tx.settle_intent(step.grant.id, settle->seq));
  }
  staged.insert_or_assign(step.grant.id, step.grant);
  saved.emplace_back(step.grant, std::move(step.effects));
  return {};
}

Status Turn::audit(const core::TenantId& tenant, std::string action, std::string object, std::string outcome,
                   json::Object facts) {
  DP_CHECK(record(tenant, std::move(action), std::move(object), std::move(outcome), std::move(facts)));
  return {};
}

Result<std::uint64_t> Turn::record(const core::TenantId& tenant, std::string action, std::string object,
                                   std::string outcome, json::Object facts) {
  core::AuditEvent event{
      0, now, tenant, actor, std::move(action), std::move(object), std::move(outcome), std::move(facts)};
  store::cover_persons(event, impl.p.entropy);
  impl.metrics.audit_appends.fetch_add(1, std::memory_order_relaxed);
  DP_CHECK(tx.append_audit(event));
  after.emplace_back([&grown = impl, tenant, at = now, size = event.seq + 1] {
    grown.audit_grew(tenant, at);
    grown.forward_grew(tenant, size, at);
  });
  return event.seq;
}

Status Turn::put_document(const core::TenantId& tenant, std::string_view kind, std::string key, std::string body,
                          std::optional<WallTime> expires_at, std::optional<std::uint64_t> expected) {
  store::Document document{tenant, std::string(kind), std::move(key), 0, std::move(body), expires_at};
  return tx.put(document, expected);
}

std::string sentence_of(const Grant& grant, core::EndReason reason, const std::string& note) {
  const std::string which = "grant " + grant.id.id + " on " + grant.target.str();
  switch (reason) {
    case core::EndReason::expired:
      return which + " ended: its time is up";
    case core::EndReason::idle:
      return which + " ended: idle for too long";
    case core::EndReason::logout:
      return which + " ended: you logged out";
    case core::EndReason::login_expired:
      return which + " ended: the login it belongs to has ended";
    case core::EndReason::signal:
      return which + " ended: the identity provider ended the session";
    case core::EndReason::policy:
      return which + " ended: policy no longer permits it" + (note.empty() ? "" : " (" + note + ")");
    case core::EndReason::admin:
      return which + " ended by " + (note.empty() ? "an administrator" : note);
    case core::EndReason::user:
      return which + " ended: you ended it";
    case core::EndReason::provision_failed:
      return which + " could not be provisioned";
    case core::EndReason::none:
      break;
  }
  return which + " ended";
}

// -------------------------------------------------------------------------------------------------------------- Engine

Engine::Engine(Ports ports) : impl_(std::make_unique<Impl>(std::move(ports))) {
  impl_->mock_secret = impl_->p.vault.master().derive("scram mock").reveal();
}
Engine::~Engine() = default;

const Metrics& Engine::metrics() const noexcept {
  return impl_->metrics;
}

Health Engine::health() {
  Health h;
  h.store_ok = impl_->store_ok;
  h.clock_ok = impl_->clock_ok;
  h.store = impl_->p.store.condition();
  h.ready = impl_->recovered && !impl_->stopping && !impl_->quarantined && h.store_ok && h.clock_ok && !h.store.low &&
            !h.store.lost;
  if (!impl_->recovered)
    h.why = "starting: open work of the last run is being taken up";
  else if (impl_->stopping)
    h.why = "stopping";
  else if (impl_->quarantined)
    h.why = "the store was restored from a backup: nothing is given or taken away until the operator confirms it";
  else if (h.store.lost)
    h.why = "the store is lost: " + h.store.why + "; nothing is given, and what ends is not written down";
  else if (h.store.low)
    h.why = h.store.why + "; no new access is given, revocation goes on";
  else if (!h.store_ok)
    h.why = "the store can't be written: no new access is given, revocation goes on";
  else if (!h.clock_ok)
    h.why = "the wall clock stepped and the boot clock does not confirm it: no new access is given";
  return h;
}

std::optional<Error> Engine::Impl::refuse_short(bool of_reserve_only) const {
  const store::Condition c = p.store.condition();
  if (c.lost)
    return Error{Code::unavailable, "access.store_lost", "the store is lost: " + c.why,
                 "the operator looks at the store's files, restores a backup where they are gone, and starts anew"};
  if (of_reserve_only ? !c.reserve_used : !c.low) return std::nullopt;
  return Error{Code::unavailable, "access.no_room", c.why + "; nothing new is given, and what ends still ends",
               "the operator frees space on the store's file system"};
}

base::MonoTime Engine::turn(std::chrono::nanoseconds wait) {
  return impl_->turn(wait);
}

void Engine::run() {
  const auto idle = [this] { return impl_->inbox.size() == 0 && impl_->held.empty() && impl_->reports.empty(); };
  while (!(impl_->stopping && idle())) impl_->turn(impl_->p.turn_wait);
}
void Engine::stop() {
  impl_->stopping = true;
  impl_->post(impl_->usage_event());
  Impl::Event nothing;
  nothing.run = [](Turn&) -> Status { return {}; };
  nothing.failed = [](const Error&) {};
  impl_->post(std::move(nothing));
}

void Engine::audit(core::TenantId tenant, std::uint64_t from, std::size_t limit, Done<std::vector<std::string>> done) {
  impl_->call<std::vector<std::string>>(
      std::move(done), [tenant, from, limit](Turn& turn) { return turn.tx.audit(tenant, from, limit); }, true);
}
void Engine::audit_head(core::TenantId tenant, Done<std::pair<std::uint64_t, std::string>> done) {
  impl_->call<std::pair<std::uint64_t, std::string>>(
      std::move(done), [tenant](Turn& turn) { return turn.tx.audit_head(tenant); }, true);
}

void Engine::finished(const core::Intent& intent, core::GrantEvent event) {
  Impl::Event e;
  e.grant_event.emplace(intent.grant, std::move(event));
  e.freed = intent.grant;
  e.report = true;
  impl_->post(std::move(e));
}

// ---------------------------------------------------------------------------------------------------------------- Impl

std::optional<LoginSession> Engine::Impl::session(const core::SessionId& id) const {
  const std::shared_lock lock(shared);
  const auto it = sessions.find(id);
  if (it == sessions.end()) return std::nullopt;
  return it->second;
}
std::shared_ptr<const Credential> Engine::Impl::credential(const core::CredentialId& id) const {
  const std::shared_lock lock(shared);
  const auto it = credentials.find(id);
  return it == credentials.end() ? nullptr : it->second;
}

void Engine::Impl::post(Event event) {
  if (quarantined && !event.in_quarantine) {
    if (event.failed) event.failed(quarantine_error());
    return;
  }
  // What ends or reports must find room always; new wishes are refused when the queue is full.
  if (event.grant_event || !event.failed) {
    inbox.push_always(std::move(event));
    return;
  }
  if (!inbox.try_push(event))
    event.failed(Error{Code::exhausted, "engine.busy", "the server has too much to do", "try again in a moment"});
}

void Engine::Impl::post_grant(GrantId id, core::GrantEvent event, std::string actor) {
  Event e;
  e.grant_event.emplace(std::move(id), std::move(event));
  e.actor = std::move(actor);
  post(std::move(e));
}

namespace {

/// How much of what somebody waits for or tells us, and of what workers have done, one batch takes: a login that comes
/// while thousands of revocations report waits for the batch that is under way and for its own. What is bounded in the
/// inbox must not pile up outside it; reports are not, and whoever waits does not wait for them to be read.
constexpr std::size_t most_asked = 256, most_done = 64, read_ahead = 4096;

}  // namespace

MonoTime Engine::Impl::turn(std::chrono::nanoseconds wait) {
  const auto read = [this] {
    last_mono = p.clock.mono();
    const WallTime t = time.read(p.clock.wall(), last_mono);
    last_now_ms = t.time_since_epoch().count();
    return t;
  };
  if (!timers.empty()) {
    const auto until = timers.begin()->first - read();
    wait = std::clamp<std::chrono::nanoseconds>(until, std::chrono::nanoseconds(0), wait);
  }
  metrics.rounds.fetch_add(1, std::memory_order_relaxed);
  if (!held.empty() || !reports.empty()) wait = std::chrono::nanoseconds(0);
  if (held.size() < read_ahead)
    for (auto& event : inbox.pop_batch(read_ahead, wait)) (event.report ? reports : held).push_back(std::move(event));
  std::vector<Event> events;
  const auto take = [&](std::deque<Event>& from, std::size_t most) {
    const auto end = from.begin() + static_cast<std::ptrdiff_t>(std::min(most, from.size()));
    events.insert(events.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(end));
    from.erase(from.begin(), end);
  };
  take(held, most_asked);
  take(reports, most_done);
  const WallTime now = read();
  if (clock_ok.exchange(time.trusted()) != time.trusted())
    p.log.error(time.trusted() ? "clock agrees again" : "clock stepped; nothing is issued",
                {{"skew_ms", std::int64_t{time.skew().count()}}});
  fire_timers(now, events);
  // A hand is free when the worker is back, whatever the store makes of the result.
  for (auto& event : events)
    if (event.freed) free_hand(*std::exchange(event.freed, std::nullopt));
  if (!events.empty()) {
    metrics.turns.fetch_add(1, std::memory_order_relaxed);
    pay_owed(events);
    logged_out.clear();
    Batch batch;
    bool ran = false;
    const auto started = p.clock.mono();
    const Status committed_ = p.store.transact([&](store::Tx& tx) -> Status {
      // Use cases consume what they captured, so a batch runs once; the single writer meets no conflict to retry for.
      if (ran) return Error{Code::internal, "store.busy", "a transaction was repeated"};
      ran = true;
      return run_batch(events, tx, now, batch);
    });
    metrics.audit_us_sum.fetch_add(static_cast<std::uint64_t>((p.clock.mono() - started).count() / 1000),
                                   std::memory_order_relaxed);
    if (store_ok.exchange(committed_.ok()) != committed_.ok())
      p.log.error(committed_.ok() ? "store is writable again" : "store can't be written; nothing new is issued",
                  {{"check", committed_.ok() ? "" : committed_.error().check}});
    if (committed_.ok()) {
      committed(batch, now);
    } else {
      run_unkept(events, now, batch);
      commit_failed(events, committed_.error(), batch);
    }
  }
  if (!held.empty() || !reports.empty()) return last_mono;
  return timers.empty() ? MonoTime::max() : to_mono(timers.begin()->first);
}

namespace {

/// How much of the last work a store may lose to a backup without its being noticed.
constexpr auto witness_lags = std::chrono::seconds(2);

// These are about one change; every other error of the store ends the transaction.
bool of_one_event(const Error& e) {
  return !e.check.starts_with("store.") || e.check == "store.conflict" || e.check == "store.key" ||
         e.check == "store.no_grant";
}

bool ends_at_most_its_own(const std::optional<std::pair<GrantId, core::GrantEvent>>& what) {
  return what && (std::holds_alternative<core::event::Tick>(what->second) ||
                  std::holds_alternative<core::event::End>(what->second));
}

}  // namespace

void Engine::Impl::pay_owed(std::vector<Event>& events) {
  std::vector<Event> first;
  for (const auto& [id, owed] : owed_ends) {
    Event event;
    event.grant_event.emplace(id, core::event::End{owed.reason, owed.note});
    event.actor = owed.actor;
    first.push_back(std::move(event));
  }
  for (const auto& [id, owed] : owed_logouts) {
    Event event;
    event.run = [this, id, tenant = owed.session.who.tenant, reason = owed.reason, actor = owed.actor](Turn& turn) {
      return end_session(turn, tenant, id, reason, actor, nullptr);
    };
    first.push_back(std::move(event));
  }
  std::ranges::move(owed_events, std::back_inserter(first));
  owed_events.clear();
  events.insert(events.begin(), std::make_move_iterator(first.begin()), std::make_move_iterator(first.end()));
}

Status Engine::Impl::run_event(Event& event, Turn& turn, std::optional<core::Step> foreseen) {
  if (foreseen) {
    if (foreseen->save) turn.staged.insert_or_assign(foreseen->grant.id, foreseen->grant);
    DP_CHECK(turn.keep_step(*std::move(foreseen)));
  } else if (event.grant_event) {
    // A grant that is gone has nothing left to happen to it.
    if (Status s = turn.apply(event.grant_event->first, event.grant_event->second);
        !s.ok() && s.error().code != Code::not_found)
      return s;
  }
  return event.run ? event.run(turn) : Status{};
}

Engine::Impl::Ahead Engine::Impl::cut_ahead(const std::vector<Event>& events, std::size_t from, store::Tx& tx,
                                            WallTime now_, const Batch& batch) {
  Ahead out;
  std::set<GrantId> seen;
  Turn turn{*this, tx, now_, {}, batch.staged, {}, {}, {}, false, false, batch.unkept};
  for (out.to = from; out.to < events.size(); ++out.to) {
    const auto& what = events[out.to].grant_event;
    if (!ends_at_most_its_own(what) || !seen.insert(what->first).second) break;
    auto step = turn.foresee(what->first, what->second);
    if (!step.ok()) continue;  // told in its turn
    out.places.push_back(out.to);
    out.steps.push_back(*std::move(step));
  }
  turn.cut(out.steps);
  return out;
}

Status Engine::Impl::run_batch(std::vector<Event>& events, store::Tx& tx, WallTime now_, Batch& batch) {
  Ahead ahead;
  for (std::size_t i = 0; i < events.size(); ++i) {
    Event& event = events[i];
    batch.ran = i + 1;
    if (i >= ahead.to && ends_at_most_its_own(event.grant_event)) ahead = cut_ahead(events, i, tx, now_, batch);
    std::optional<core::Step> foreseen;
    if (ahead.next < ahead.places.size() && ahead.places[ahead.next] == i)
      foreseen = std::move(ahead.steps[ahead.next++]);
    Turn turn{*this, tx, now_, event.actor, batch.staged, {}, {}, {}, false, false, batch.unkept};
    const Status kept = tx.nested([&] { return run_event(event, turn, std::move(foreseen)); });
    if (!kept.ok()) {
      // What was cut stays cut, so its end is owed if the rest of the batch does not commit.
      for (const auto& [id, grant] : turn.staged) batch.actors.try_emplace(id, turn.actor);
      if (!of_one_event(kept.error())) {
        for (auto& [id, grant] : turn.staged) batch.staged.insert_or_assign(id, std::move(grant));
        for (; ahead.next < ahead.places.size(); ++ahead.next) {
          Grant& grant = ahead.steps[ahead.next].grant;
          batch.actors.try_emplace(grant.id, events[ahead.places[ahead.next]].actor);
          batch.staged.insert_or_assign(grant.id, std::move(grant));
        }
        return kept;
      }
      if (event.grant_event)
        p.log.error("an event of a grant could not be recorded",
                    {{"grant", event.grant_event->first.str()}, {"check", kept.error().check}});
      // Answered after the commit; should that fail, it is answered with the store's error instead.
      batch.after.emplace_back([&event, error = kept.error()] {
        if (event.failed) event.failed(error);
      });
      continue;
    }
    for (const auto& [id, grant] : turn.staged) batch.actors.insert_or_assign(id, turn.actor);
    for (auto& [id, grant] : turn.staged) batch.staged.insert_or_assign(id, std::move(grant));
    for (auto& item : turn.saved) batch.saved.push_back(std::move(item));
    for (auto& item : turn.after) batch.after.push_back(std::move(item));
    if (turn.last) {
      const auto rest = events.begin() + static_cast<std::ptrdiff_t>(i) + 1;
      // Each to where it came from: reports ahead of those who ask would make them wait.
      const auto told = std::stable_partition(rest, events.end(), [](const Event& e) { return !e.report; });
      held.insert(held.begin(), std::make_move_iterator(rest), std::make_move_iterator(told));
      batch.put_back = static_cast<std::size_t>(events.end() - told);
      reports.insert(reports.begin(), std::make_move_iterator(told), std::make_move_iterator(events.end()));
      events.erase(rest, events.end());
      break;
    }
  }
  // Not on the word of a clock that nothing confirms: a restart would be stuck with it.
  if (now_ - high_water_saved > std::chrono::minutes(1) && time.confirmed()) {
    store::Document document{system_tenant, std::string(doc_clock), "high_water", 0, base::to_rfc3339(now_), {}};
    DP_CHECK(tx.put(document, std::nullopt));
    batch.after.emplace_back([this, now_] { high_water_saved = now_; });
  }
  return {};
}

/// Those that never had their turn, as no transaction began, it broke in the middle, or they came behind a reload that
/// is not kept: the ends among them cut, and their targets are told, as if the commit alone had failed. One by one:
/// what can't be read ends the one that wanted to, and not those behind it.
void Engine::Impl::run_unkept(std::vector<Event>& events, WallTime now_, Batch& batch) {
  // What was held back behind one of these waits no longer: the one is first in the next batch again, so that nothing
  // behind it would ever have its turn while the store refuses.
  std::ranges::move(held, std::back_inserter(events));
  held.clear();
  const auto told = reports.begin() + static_cast<std::ptrdiff_t>(batch.put_back);
  events.insert(events.end(), std::make_move_iterator(reports.begin()), std::make_move_iterator(told));
  reports.erase(reports.begin(), told);
  Unkept nothing(p.store);
  batch.unkept = true;
  for (std::size_t i = batch.ran; i < events.size(); ++i) {
    std::vector<Event> alone;
    alone.push_back(std::move(events[i]));
    [[maybe_unused]] const Status unkept = run_batch(alone, nothing, now_, batch);
    events[i] = std::move(alone.front());
  }
}

void Engine::Impl::commit_failed(std::vector<Event>& events, const Error& why, const Batch& batch) {
  // Cuts are made already. Targets are told as well, unrecorded: taking away waits for nothing. What must happen is
  // queued again and recorded when the store takes it.
  const WallTime t = now();
  for (const auto& [id, grant] : batch.staged) {
    if (grant.state != GrantState::revoking || grant.open != core::IntentKind::revoke) continue;
    const Grant* before = grant_book.find(id);
    // One that was never committed was never given.
    if (before == nullptr || before->state == GrantState::revoking) continue;
    const auto actor = batch.actors.find(id);
    const auto [owed, first] = owed_ends.try_emplace(
        id, OwedEnd{grant.end_reason, grant.end_note, actor == batch.actors.end() ? "daypass" : actor->second, t});
    if (!first && (in_flight.contains(id) || t - owed->second.tried < std::chrono::seconds(5))) continue;
    owed->second.tried = t;
    dispatch(job_for(grant, core::Intent{id, 0, core::IntentKind::revoke, 0, {}, {}}));
  }
  const WallTime again = t + std::chrono::milliseconds(500);
  const auto retry_later = [&](Event event) {
    timers.emplace(again, Timer{.kind = Timer::Kind::retry,
                                .grant = {},
                                .tenant = {},
                                .session = {},
                                .done = {},
                                .retry = std::make_shared<Event>(std::move(event))});
  };
  for (auto& event : events) {
    if (event.grant_event) {
      // Nobody is let in to an account that is not written down, nor kept waiting until it can be.
      if (event.report)
        if (const auto waiting = waiters.extract(event.grant_event->first); !waiting.empty())
          for (auto& waiter : waiting.mapped())
            if (*waiter.done) std::exchange(*waiter.done, nullptr)(why);
      retry_later(std::move(event));
    } else if (event.again)
      owed_events.push_back(std::move(event));
    else if (event.failed)
      event.failed(why);
  }
  // What is owed wakes us too.
  if (!owed_ends.empty() || !owed_logouts.empty() || !owed_events.empty()) {
    Event nothing;
    nothing.run = [](Turn&) -> Status { return {}; };
    retry_later(std::move(nothing));
  }
}

void Engine::Impl::committed(Batch& batch, WallTime now_) {
  owed_ends.clear();
  // Memory first, whole: answers and effects must see what the batch made of the world, not half of it.
  std::vector<Grant> closed_now;
  for (const auto& [grant, effects] : batch.saved) {
    if (grant.state == GrantState::closed) {
      if (grant_book.erase(grant.id)) closed_now.push_back(grant);
      meters.erase(grant.id);
      dormant.lost.erase(grant.id);
      pending_jobs.erase(grant.id);
      last_failure.erase(grant.id);
      tick_at.erase(grant.id);
    } else {
      grant_book.put(grant);
      dormant.lost.erase(grant.id);
    }
  }
  for (auto& fn : batch.after) fn();
  for (const auto& [grant, effects] : batch.saved) after_save(grant, effects, now_);
  for (const auto& grant : closed_now) closed_for_good(grant, now_);
  if (p.witness && !std::exchange(witness_due, true))
    timers.emplace(
        now_ + witness_lags,
        Timer{.kind = Timer::Kind::witness, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
  refresh_gauges();
}

void Engine::Impl::after_save(const Grant& grant, const std::vector<core::Effect>& effects, WallTime now_) {
  const Grant* current = grant_book.find(grant.id);
  if (current != nullptr) schedule_tick(*current);
  for (const auto& effect : effects) {
    if (const auto* open = std::get_if<core::effect::OpenIntent>(&effect)) {
      // Unless the same batch has put another in its place.
      if (current != nullptr && current->open && current->intent_seq == open->intent.seq)
        schedule_intent(*current, open->intent, now_);
    }
    if (std::holds_alternative<core::effect::UpdateLease>(effect) && current != nullptr)
      p.sessions.update(grant.id, lease_of(*current));
    if (std::holds_alternative<core::effect::Cut>(effect)) metrics.revocations.fetch_add(1, std::memory_order_relaxed);
  }
  if (grant.state != GrantState::provisioning) wake_waiters(grant);
}

void Engine::Impl::closed_for_good(const Grant& grant, WallTime now_) {
  if (grant.revoking_since) {
    const auto took = now_ - *grant.revoking_since;
    constexpr std::int64_t bounds[] = {10, 50, 100, 500, 1000, 5000, 30000};
    std::size_t i = 0;
    while (i < 7 && took.count() > bounds[i]) ++i;
    metrics.revocation_buckets[i].fetch_add(1, std::memory_order_relaxed);
    metrics.revocation_us_sum.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)) * 1000,
                                        std::memory_order_relaxed);
  }
  if (!serves(grant.id.tenant)) post(purge_event(grant.id.tenant));
  const auto it = closing.find(grant.id);
  if (it == closing.end()) return;
  auto list = std::move(it->second);
  closing.erase(it);
  for (auto& done : list)
    if (*done) std::exchange(*done, nullptr)(grant);
}

void Engine::Impl::schedule_tick(const Grant& grant) {
  const auto due = core::next_tick(grant);
  if (!due) return;
  const auto it = tick_at.find(grant.id);
  if (it != tick_at.end() && it->second <= *due) return;
  tick_at.insert_or_assign(grant.id, *due);
  timers.emplace(
      *due,
      Timer{.kind = Timer::Kind::grant_tick, .grant = grant.id, .tenant = {}, .session = {}, .done = {}, .retry = {}});
}

void Engine::Impl::schedule_intent(const Grant& grant, const core::Intent& intent, WallTime now_) {
  Job job = job_for(grant, intent);
  if (intent.not_before <= now_) {
    pending_jobs.erase(grant.id);
    dispatch(std::move(job));
    return;
  }
  pending_jobs.insert_or_assign(grant.id, std::move(job));
  timers.emplace(intent.not_before, Timer{.kind = Timer::Kind::intent,
                                          .grant = grant.id,
                                          .seq = intent.seq,
                                          .tenant = {},
                                          .session = {},
                                          .done = {},
                                          .retry = {}});
}

Job Engine::Impl::job_for(const Grant& grant, const core::Intent& intent) {
  Job job;
  job.intent = intent;
  job.account = {grant.id, grant.account};
  job.target_id = grant.target;
  job.valid_until = grant.ends_at;
  job.handle = grant.handle;
  for (const auto& offer : grant.offers) job.connections = std::max(job.connections, offer.connections);
  const auto world = tenant(grant.id.tenant);
  for (const auto& role : grant.roles) {
    const core::RoleSpec* spec = world == nullptr ? nullptr : world->spec.role(role);
    if (spec != nullptr)
      job.roles.push_back(*spec);
    else
      job.roles.push_back(
          core::RoleSpec{.id = role, .settings = {}, .attributes = {}, .duration_cap = {}, .description = {}});
  }
  if (world != nullptr)
    if (const auto it = world->targets.find(grant.target); it != world->targets.end()) job.target = it->second;
  return job;
}

void Engine::Impl::dispatch(Job job) {
  const auto [it, free] = in_flight.try_emplace(job.intent.grant, std::nullopt);
  if (!free) {
    it->second = std::move(job);  // the newest intent is the one that counts
    return;
  }
  p.workers.dispatch(std::move(job));
}

void Engine::Impl::free_hand(const GrantId& id) {
  const auto it = in_flight.find(id);
  if (it == in_flight.end()) return;
  std::optional<Job> next = std::move(it->second);
  in_flight.erase(it);
  if (next) dispatch(std::move(*next));
}

void Engine::Impl::fire_timers(WallTime now_, std::vector<Event>& events) {
  // Bounded per turn: a storm of expiries must leave the inbox its turn.
  for (int n = 0; n < 64 && !timers.empty() && timers.begin()->first <= now_; ++n) {
    Timer timer = std::move(timers.begin()->second);
    const WallTime due = timers.begin()->first;
    timers.erase(timers.begin());
    switch (timer.kind) {
      case Timer::Kind::grant_tick: {
        if (const auto it = tick_at.find(timer.grant); it != tick_at.end() && it->second == due) tick_at.erase(it);
        const Grant* grant = grant_book.find(timer.grant);
        if (grant == nullptr) break;
        // The gate's meter knows of messages that no activity report has carried here yet.
        if (const auto meter = meters.find(timer.grant); meter != meters.end()) {
          const MonoTime seen{std::chrono::nanoseconds(meter->second->last_active_ns.load(std::memory_order_relaxed))};
          const WallTime at = now_ - std::chrono::duration_cast<base::Millis>(p.clock.mono() - seen);
          grant_book.touch(timer.grant, std::max(grant->last_active, std::min(at, now_)));
        }
        Event event;
        event.grant_event.emplace(timer.grant, core::event::Tick{});
        event.run = [this, id = timer.grant](Turn& turn) -> Status {
          turn.after.emplace_back([this, id] {
            if (const Grant* found = grant_book.find(id)) schedule_tick(*found);
          });
          return {};
        };
        events.push_back(std::move(event));
        break;
      }
      case Timer::Kind::intent: {
        const auto it = pending_jobs.find(timer.grant);
        if (it == pending_jobs.end() || it->second.intent.seq != timer.seq) break;
        Job job = std::move(it->second);
        pending_jobs.erase(it);
        // The world may have been reloaded since: take the target as it is configured now.
        if (const Grant* grant = grant_book.find(timer.grant)) job = job_for(*grant, job.intent);
        dispatch(std::move(job));
        break;
      }
      case Timer::Kind::session_end: {
        Event event;
        event.run = [this, timer](Turn& turn) -> Status {
          const auto s = session(timer.session);
          if (!s || s->ends_at > turn.now) return {};
          return end_session(turn, timer.tenant, timer.session, core::EndReason::login_expired, "daypass", nullptr);
        };
        // Tried again when the store refuses: a login that is over must not come back.
        event.failed = [this, timer](const Error&) { timers.emplace(now() + std::chrono::seconds(1), timer); };
        events.push_back(std::move(event));
        break;
      }
      case Timer::Kind::revalidate:
        revalidation_due(timer.session, due);
        break;
      case Timer::Kind::closing_timeout:
        if (*timer.done)
          std::exchange(*timer.done,
                        nullptr)(Error{Code::timeout, "grant.not_closed_yet", "the grant is still being revoked",
                                       "daypass grants show " + timer.grant.id});
        break;
      case Timer::Kind::reconcile: {
        std::set<core::TenantId> ids = tenants_with_grants();
        {
          const std::shared_lock lock(shared);
          for (const auto& [id, entry] : registry)
            if (entry.world != nullptr) ids.insert(id);
        }
        for (const auto& id : ids) reconcile(id, tenant(id));
        reconcile_idle(10);
        for (const auto& id : deleting_tenants()) post(purge_event(id));
        timers.emplace(now_ + std::chrono::minutes(3), std::move(timer));
        break;
      }
      case Timer::Kind::sweep:
        if (const Status swept = p.store.sweep(now_, 1000); !swept.ok())
          p.log.warn("sweep failed", {{"check", swept.error().check}});
        trials.sweep(p.clock.mono());
        if (!usage.empty()) events.push_back(usage_event());
        timers.emplace(now_ + std::chrono::minutes(1), std::move(timer));
        break;
      case Timer::Kind::domains:
        look_for_due_proofs(now_);
        timers.emplace(now_ + std::chrono::minutes(1), std::move(timer));
        break;
      case Timer::Kind::witness:
        witness_due = false;
        bear_witness();
        break;
      case Timer::Kind::restore:
        if (quarantined) look_at_targets(now_);
        break;
      case Timer::Kind::load:
        events.push_back(load_event());
        break;
      case Timer::Kind::checkpoint:
        checkpoint_due(timer.tenant, now_);
        break;
      case Timer::Kind::forward:
        forward_due(timer.tenant, timer.name);
        break;
      case Timer::Kind::retry:
        events.push_back(std::move(*timer.retry));
        break;
    }
  }
}

MonoTime Engine::Impl::to_mono(WallTime t) const {
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(t - now());
  // From the same reading as now(): a store that took its time must not make a deadline later.
  return last_mono + left;
}

Lease Engine::Impl::lease_of(const Grant& grant) const {
  Lease lease;
  lease.ends_at_wall = grant.ends_at;
  for (const auto& offer : grant.offers) {
    if (grant.connections > offer.connections) continue;
    lease.windows.push_back({to_mono(std::min(grant.opened_at + offer.duration, grant.ends_at)), offer.idle});
  }
  return lease;
}

MonoTime Lease::deadline(MonoTime last_active) const noexcept {
  MonoTime latest{};
  for (const auto& window : windows)
    latest = std::max(
        latest,
        std::min(window.ends_at, last_active + std::chrono::duration_cast<std::chrono::nanoseconds>(window.idle)));
  return latest;
}

void Engine::Impl::refresh_gauges() {
  // What is dormant was active when it was written last; what was not is taken in within the first turns.
  metrics.grants_active = static_cast<std::int64_t>(grant_book.active() + dormant.count);
  metrics.grants_in_memory = static_cast<std::int64_t>(grant_book.size());
  metrics.grants_revoking = static_cast<std::int64_t>(grant_book.revoking());
  metrics.connections = grant_book.connections();
  const WallTime t = now();
  // Exact while few are being revoked; a walk over all that a dead target holds up belongs to the second hand.
  if (grant_book.revoking() > 10'000 && t - gauges_at < std::chrono::seconds(1)) return;
  gauges_at = t;
  metrics.revocations_overdue = static_cast<std::int64_t>(grant_book.revoking_since_before(t - core::overdue_after));
}

}  // namespace daypass::engine
