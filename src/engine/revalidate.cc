// Asking after those who are signed in, where their provider gave a refresh token: every few minutes, one or two of a
// provider at a time, in the order in which they are due. What the provider says to one question is one transaction:
// the token that takes the old one's place, and what follows for the login. While nobody can be asked, nothing new is
// given.
#include <algorithm>

#include "engine/turn.h"

namespace daypass::engine {
namespace {

/// A sign-in that waits for the same threads must not wait long for a provider that is silent.
constexpr base::Millis ask_budget = std::chrono::seconds(8);
constexpr base::Millis shortest_wait = std::chrono::seconds(5);
/// After a restart what is overdue is asked soon, and not in the same moment.
constexpr base::Millis overdue_within = std::chrono::seconds(20);
constexpr base::Millis default_every = std::chrono::minutes(5);

std::string purpose(const core::TenantId& tenant, const core::SessionId& session) {
  return std::string(doc_refresh) + " " + tenant.str() + "/" + session.str();
}

base::Millis up_to(base::Entropy& entropy, base::Millis most) {
  std::uint32_t r = 0;
  entropy.fill({reinterpret_cast<std::uint8_t*>(&r), sizeof r});
  return base::Millis(static_cast<std::int64_t>(r) * most.count() / UINT32_MAX);
}

/// Never later than `every`, and spread: those who signed in together are not asked after together for ever.
base::Millis soon(base::Entropy& entropy, base::Millis every) {
  return every - up_to(entropy, every / 10);
}

base::Millis wait_after(unsigned failures, base::Millis every) {
  return std::min(every, shortest_wait * (1U << std::min(failures - 1, 8U)));
}

/// Of the provider, and not of one person's answer.
bool nobody_answers(const Error& e) {
  return e.code == Code::unavailable || e.code == Code::timeout;
}

}  // namespace

Status Engine::Impl::keep_refresh(Turn& turn, const LoginSession& s, const base::Secret& refresh) {
  const core::TenantId& tenant_id = s.who.tenant;
  DP_TRY(std::string sealed, p.vault.seal(tenant_id, refresh, purpose(tenant_id, s.id)));
  return turn.put_document(tenant_id, doc_refresh, s.id.str(), std::move(sealed), s.ends_at);
}

base::Millis Engine::Impl::revalidate_every(const core::Identity& who) const {
  const auto world = tenant(who.tenant);
  const core::IdpSpec* spec = world == nullptr ? nullptr : world->spec.idp(who.idp);
  return spec == nullptr ? default_every : spec->revalidate;
}

void Engine::Impl::watch_validity(const LoginSession& s, bool restart) {
  if (!s.revalidation) return;
  const WallTime t = now();
  WallTime due = s.revalidation->checked_at + soon(p.entropy, s.revalidation->every);
  if (restart && due <= t) due = t + up_to(p.entropy, std::min(overdue_within, s.revalidation->every));
  ask_at(s, due);
}

void Engine::Impl::ask_at(const LoginSession& s, WallTime due) {
  renewing[s.id].due = due;
  timers.emplace(due, Timer{.kind = Timer::Kind::revalidate,
                            .grant = {},
                            .tenant = s.who.tenant,
                            .session = s.id,
                            .done = {},
                            .retry = {}});
}

void Engine::Impl::revalidation_due(const core::SessionId& id, WallTime due) {
  const auto it = renewing.find(id);
  if (it == renewing.end() || it->second.due != due || it->second.waiting || it->second.asked) return;
  const auto s = session(id);
  if (!s || !s->revalidation) return;
  it->second.waiting = true;
  const ProviderKey provider{s->who.tenant, s->who.idp};
  asking[provider].due.push_back(id);
  ask_next(provider);
}

void Engine::Impl::ask_next(const ProviderKey& provider) {
  const auto it = asking.find(provider);
  if (it == asking.end()) return;
  Asking& lane = it->second;
  while (!lane.due.empty() && lane.in_flight < (lane.failures == 0 ? 2U : 1U)) {
    const WallTime t = now();
    if (t < lane.not_before) {
      if (lane.wakes_at == lane.not_before) return;
      lane.wakes_at = lane.not_before;
      Event wake;
      wake.again = true;
      wake.run = [this, provider](Turn& turn) -> Status {
        turn.after.emplace_back([this, provider] { ask_next(provider); });
        return {};
      };
      timers.emplace(lane.not_before, Timer{.kind = Timer::Kind::retry,
                                            .grant = {},
                                            .tenant = {},
                                            .session = {},
                                            .done = {},
                                            .retry = std::make_shared<Event>(std::move(wake))});
      return;
    }
    const core::SessionId id = lane.due.front();
    lane.due.pop_front();
    const auto next = renewing.find(id);
    if (next == renewing.end() || !next->second.waiting) continue;
    ask(provider, id);
  }
  if (lane.due.empty() && lane.in_flight == 0 && lane.failures == 0) asking.erase(it);
}

void Engine::Impl::ask(const ProviderKey& provider, const core::SessionId& id) {
  Renewing& r = renewing[id];
  r.waiting = false;
  r.asked = true;
  r.asked_at = now();
  ++asking[provider].in_flight;
  const auto answered = [this, provider, id](std::shared_ptr<idp::Renewed> answer) {
    Event event;
    event.again = true;  // the token that was used up is worth nothing: this must be written down
    event.actor = provider.second;
    event.run = [this, provider, id, answer](Turn& turn) { return revalidated(turn, provider, id, *answer); };
    event.failed = [this, provider, id](const Error& e) {
      p.log.error("what an identity provider said of a login could not be recorded", {{"check", e.check}});
      answered_for(provider, id, e);
    };
    inbox.push_always(std::move(event));
  };
  const auto world = tenant(provider.first);
  const auto driver =
      world == nullptr || !world->idps.contains(provider.second) ? nullptr : world->idps.at(provider.second);
  p.workers.run(
      Workers::Pool::idp, provider.first,
      [this, tenant_id = provider.first, id, driver, answered] {
        auto answer = std::make_shared<idp::Renewed>();
        try {
          *answer = ask_provider(tenant_id, id, driver.get());
        } catch (const std::exception& e) {
          p.log.error("a driver threw", {{"what", e.what()}});
          answer->who = Error{Code::internal, "driver.exception", "the driver failed in an unforeseen way"};
        }
        answered(std::move(answer));
      },
      [answered](Error e) {
        auto answer = std::make_shared<idp::Renewed>();
        answer->who = std::move(e);
        answered(std::move(answer));
      });
}

idp::Renewed Engine::Impl::ask_provider(const core::TenantId& tenant_id, const core::SessionId& id,
                                        idp::IdentityProvider* driver) const {
  auto kept = [&]() -> Result<base::Secret> {
    if (driver == nullptr)
      return Error{Code::not_found, "idp.unknown", "the identity provider is not configured any more", "daypass login"};
    DP_TRY(const auto reader, p.store.snapshot());
    DP_TRY(const auto document, reader->get(tenant_id, doc_refresh, id.str(), now()));
    if (!document)
      return Error{Code::not_found, "idp.no_renewal", "there is nothing to ask the identity provider with",
                   "daypass login"};
    return p.vault.open(tenant_id, document->body, purpose(tenant_id, id));
  }();
  if (!kept.ok()) return {{}, std::move(kept).error()};
  return driver->renew(*kept, ask_budget);
}

Status Engine::Impl::revalidated(Turn& turn, const ProviderKey& provider, const core::SessionId& id,
                                 const idp::Renewed& answer) {
  auto s = session(id);
  Revalidated outcome;
  std::optional<Error> unknown, over;
  std::optional<core::Identity> who;
  if (answer.who.ok())
    who = *answer.who;
  else
    (answer.who.error().code == Code::ended ? over : unknown) = answer.who.error();
  const auto then = [&] {
    turn.after.emplace_back([this, provider, id, outcome, unknown] { answered_for(provider, id, unknown, outcome); });
  };
  // It ended meanwhile: nothing is kept of what was said.
  if (!s || s->ends_at <= turn.now || logged_out.contains(id) || !s->revalidation) {
    unknown.reset();
    outcome.state = Revalidated::State::ended;
    then();
    return {};
  }
  if (who) {
    auto renewed = replace_person(turn, *s, *std::move(who));
    if (renewed.ok()) {
      outcome.state = renewed->changed ? Revalidated::State::changed : Revalidated::State::unchanged;
      outcome.grants_ended = renewed->grants_ended;
    } else if (renewed.error().check == "login.subject") {
      unknown = renewed.error();
    } else if (renewed.error().code == Code::denied) {
      over = renewed.error();  // their directory would refuse the sign-in
    } else {
      return std::move(renewed).error();
    }
  }
  if (over) {
    outcome.state = Revalidated::State::ended;
    outcome.why = over->message;
    DP_CHECK(
        turn.audit(provider.first, "login.revoked", id.str(), "ok", {{"check", over->check}, {"why", over->message}}));
    SessionEnded ended;
    DP_CHECK(end_session(turn, provider.first, id, core::EndReason::signal, provider.second, &ended));
    outcome.grants_ended = static_cast<std::size_t>(ended.grants);
    then();
    return {};
  }
  if (!answer.refresh.empty()) DP_CHECK(keep_refresh(turn, *s, answer.refresh));
  Revalidation& v = *s->revalidation;
  v.every = revalidate_every(s->who);
  if (!unknown) {
    if (v.stale_since)
      DP_CHECK(turn.audit(provider.first, "login.confirmed", id.str(), "ok",
                          {{"stale_since", base::to_rfc3339(*v.stale_since)}}));
    // As of the question, not of when its answer could be written down.
    const auto r = renewing.find(id);
    v = Revalidation{v.every, r == renewing.end() ? v.checked_at : r->second.asked_at, {}, {}};
  } else if (!v.stale_since && unknown->check != "engine.busy") {
    v.stale_since = turn.now;
    v.why = unknown->message;
    DP_CHECK(turn.audit(provider.first, "login.stale", id.str(), "failed",
                        {{"check", unknown->check}, {"why", unknown->message}}));
  }
  DP_CHECK(keep_session(turn, *s));
  then();
  return {};
}

void Engine::Impl::answered_for(const ProviderKey& provider, const core::SessionId& id, std::optional<Error> unknown,
                                const Revalidated& outcome) {
  Asking& lane = asking[provider];
  if (lane.in_flight > 0) --lane.in_flight;
  const bool busy = unknown && unknown->check == "engine.busy";
  if (!unknown) {
    lane.failures = 0;
    lane.not_before = {};
  } else if (nobody_answers(*unknown)) {
    ++lane.failures;
    lane.not_before = now() + wait_after(lane.failures, std::chrono::minutes(1));
  }
  const bool ended = outcome.state == Revalidated::State::ended;
  // Not those that could not be asked for our own sake, nor those that nobody needed to ask any more.
  auto& count = unknown ? metrics.revalidations_failed : ended ? metrics.revalidations_over : metrics.revalidations_ok;
  if (!busy && !(ended && outcome.why.empty())) count.fetch_add(1, std::memory_order_relaxed);
  if (unknown)
    p.log.warn("an identity provider could not be asked after a login", {{"tenant", provider.first.str()},
                                                                         {"idp", provider.second},
                                                                         {"check", unknown->check},
                                                                         {"why", unknown->message}});
  const auto it = renewing.find(id);
  if (it != renewing.end()) {
    Renewing& r = it->second;
    r.asked = false;
    auto askers = std::exchange(r.askers, {});
    if (const auto s = session(id); s && s->revalidation) {
      r.failures = unknown ? r.failures + 1 : 0;
      const base::Millis every = s->revalidation->every;
      ask_at(*s, now() + soon(p.entropy, unknown ? wait_after(r.failures, every) : every));
    } else {
      renewing.erase(it);
    }
    for (auto& done : askers) {
      if (unknown)
        done(Error{Code::unavailable, "login.stale",
                   "the identity provider " + provider.second + " could not be asked: " + unknown->message,
                   unknown->hint});
      else
        done(outcome);
    }
  }
  ask_next(provider);
}

void Engine::revalidate(core::TenantId tenant, core::SessionId id, Done<Revalidated> done) {
  Impl& impl = *impl_;
  auto answer = std::make_shared<Done<Revalidated>>(std::move(done));
  Impl::Event event;
  event.failed = [answer](const Error& e) {
    if (*answer) std::exchange(*answer, nullptr)(e);
  };
  event.run = [&impl, tenant, id, answer](Turn& turn) -> Status {
    const auto s = impl.session(id);
    if (!s || s->who.tenant != tenant)
      return Error{Code::not_found, "session.unknown", "there is no such login session, or it has ended",
                   "daypass sessions ls shows those that there are"};
    if (!s->revalidation)
      return Error{Code::conflict, "session.no_refresh",
                   "the identity provider gave no refresh token for this login, so it can't be asked",
                   "ask for one with the scope offline_access; daypass sessions end ends the login"};
    turn.after.emplace_back([&impl, id, answer, provider = Impl::ProviderKey{tenant, s->who.idp}] {
      Impl::Renewing& r = impl.renewing[id];
      r.askers.push_back([answer](Result<Revalidated> result) {
        if (*answer) std::exchange(*answer, nullptr)(std::move(result));
      });
      // What is under way answers this one too.
      if (!r.asked) impl.ask(provider, id);
    });
    return {};
  };
  impl.post(std::move(event));
}

std::optional<Error> Engine::Impl::stale(Turn& turn, const LoginSession& s) {
  if (!s.revalidation) return std::nullopt;
  const Revalidation& v = *s.revalidation;
  const ProviderKey provider{s.who.tenant, s.who.idp};
  const auto lane = asking.find(provider);
  const base::Millis age = turn.now - v.checked_at;
  // Also one that waits for its turn while its provider answers nobody, and one that nobody has asked after for long.
  const bool waits_in_vain = lane != asking.end() && lane->second.failures > 1 && age >= v.every;
  if (!v.stale_since && !waits_in_vain && age < 2 * v.every) return std::nullopt;
  // Somebody wants to work: next in line, where that makes sense.
  turn.after.emplace_back([this, provider, id = s.id] {
    const auto r = renewing.find(id);
    if (r == renewing.end() || r->second.asked || now() - r->second.asked_at < shortest_wait) return;
    Asking& of = asking[provider];
    if (now() < of.not_before) return;
    std::erase(of.due, id);
    of.due.push_front(id);
    r->second.waiting = true;
    ask_next(provider);
  });
  WallTime until{};
  for (const auto& id : grant_book.of(of_session(s.who.tenant, s.id)))
    if (const Grant* grant = grant_book.find(id); grant->state == core::GrantState::active)
      until = std::max(until, grant->ends_at);
  return Error{Code::unavailable, "login.stale",
               "the identity provider " + s.who.idp + " can't be asked since " +
                   base::to_rfc3339(v.stale_since.value_or(v.checked_at)) + " whether this login may go on" +
                   (v.why.empty() ? "" : " (" + v.why + ")"),
               (until > WallTime{} ? "open connections go on until " + base::to_rfc3339(until) + "; " : std::string()) +
                   "try again when it answers"};
}

}  // namespace daypass::engine
