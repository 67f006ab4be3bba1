// Grants that lie in the store and are in nobody's memory: since the process started nothing has happened to them. They
// are taken in when their login, target, tenant or id is asked for, and before they are due.
#include <algorithm>

#include "engine/turn.h"

namespace daypass::engine {

using core::GrantState;

namespace {

/// While so many are on their way out already, the next are left where they are: nobody can use them there, and memory
/// and the targets have enough to do.
constexpr std::size_t most_revoking = 20'000;

}  // namespace

const Grant& Engine::Impl::take_in(Grant stored) {
  // A restart counts as activity, from the start on and not from when somebody asks for the grant.
  core::Step step = core::step(stored, core::event::Recovered{dormant.started_at}, now());
  const GrantId id = step.grant.id;
  if (step.save) dormant.lost.insert_or_assign(id, std::move(step.effects));
  grant_book.put(std::move(step.grant));
  if (dormant.count > 0) --dormant.count;
  const Grant& grant = *grant_book.find(id);
  schedule_tick(grant);
  const bool orphaned = !session(grant.session) && !owed_logouts.contains(grant.session);
  if (!grant.open && !dormant.lost.contains(id) && !orphaned) return grant;
  Event event;
  event.grant_event.emplace(id, core::event::Recovered{dormant.started_at});
  event.run = [this, id](Turn& turn) -> Status {
    // Its login ended while nobody ran: so does the grant.
    DP_TRY(const Grant g, turn.grant(id));
    if (!session(g.session) && !owed_logouts.contains(g.session))
      DP_CHECK(turn.apply(id, core::event::End{core::EndReason::login_expired, "restart"}));
    turn.after.emplace_back([this, id] {
      const Grant* open = grant_book.find(id);
      // The promise that was open when the last process died. A fresh one (End above) is on its way already.
      if (open == nullptr || !open->open || in_flight.contains(id) || pending_jobs.contains(id)) return;
      core::Intent intent{id, open->intent_seq, *open->open, open->attempt, {}, open->sealed_secret};
      schedule_intent(*open, intent, now());
    });
    return {};
  };
  post(std::move(event));
  return grant;
}

Status Engine::Impl::take_in(Turn& turn, const GrantId& id) {
  if (grant_book.contains(id) || turn.batch.contains(id) || turn.staged.contains(id)) return {};
  auto stored = turn.tx.load_grant(id);
  if (!stored.ok() && stored.error().check == "store.corrupt") {
    // It must not keep the others out. Its account dies by the validity that its target knows.
    p.log.error("a grant can't be read and is left out", {{"grant", id.str()}, {"why", stored.error().message}});
    return {};
  }
  DP_CHECK(stored);
  if (*stored && (*stored)->state != GrantState::closed) take_in(std::move(**stored));
  return {};
}

Status Engine::Impl::take_in(Turn& turn, store::Selector whose) {
  if (dormant.count == 0) return {};
  // A login that began here has all it has in memory; of one that is older all is taken in at once.
  const auto login = whose.session;
  if (login && !dormant.sessions.contains(*login)) return {};
  if (login) whose.target.reset();
  whose.limit = 1000;
  std::optional<store::Outline> last;
  for (;;) {
    DP_TRY(const auto page, turn.tx.outline(whose, store::By::place, last ? &*last : nullptr));
    for (const auto& one : page) DP_CHECK(take_in(turn, one.id));
    if (page.size() < whose.limit) break;
    last = page.back();
  }
  if (login) dormant.sessions.erase(*login);
  return {};
}

Result<bool> Engine::Impl::take_in_due(Turn& turn, store::By order, std::optional<store::Outline>& last) {
  store::Selector all;
  all.limit = p.page;
  const WallTime until = turn.now + p.look_ahead;
  DP_TRY(const auto page, turn.tx.outline(all, order, last ? &*last : nullptr));
  for (const auto& one : page) {
    const bool due = order == store::By::end ? one.wake.at <= until : one.wake.idle <= until - dormant.started_at;
    if (!due) return false;
    DP_CHECK(take_in(turn, one.id));
    // What has not changed since the start stays where it is in the order, and what has is in memory: none is missed.
    last = one;
  }
  return page.size() == all.limit;
}

void Engine::Impl::load_at(WallTime at) {
  timers.emplace(at,
                 Timer{.kind = Timer::Kind::load, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = {}});
}

Engine::Impl::Event Engine::Impl::load_event() {
  Event event;
  event.again = true;
  event.failed = [this](const Error& e) {
    p.log.error("grants that are due could not be read", {{"check", e.check}});
    load_at(now() + std::chrono::seconds(1));
  };
  event.run = [this](Turn& turn) -> Status {
    bool more = false, full = grant_book.revoking() >= most_revoking;
    if (!full) {
      // Those whose time is over before those that nobody uses.
      DP_TRY(more, take_in_due(turn, store::By::end, dormant.by_end));
      if (!more) {
        DP_TRY(more, take_in_due(turn, store::By::idleness, dormant.by_idleness));
      }
    }
    turn.after.emplace_back([this, more, full] {
      if (dormant.count == 0) return;
      load_at(more ? now() : now() + (full ? base::Millis(std::chrono::seconds(1)) : p.look_ahead / 2));
    });
    return {};
  };
  return event;
}

}  // namespace daypass::engine
