// Security events that providers' transmitters push or let us poll (OpenID Shared Signals): each is recorded, together
// with the ends that it brings, before it is acknowledged.
#include <algorithm>

#include "engine/turn.h"

namespace daypass::engine {
namespace {

constexpr base::Millis push_budget = std::chrono::seconds(15), poll_budget = std::chrono::seconds(10),
                       round_budget = std::chrono::seconds(15);
constexpr base::Millis soon{250}, longest_pause = std::chrono::minutes(5);

/// Nobody learns from it whether the provider is there, or takes pushes.
Error nobody_known() {
  return {Code::unauthenticated, "signals.authorization", "nobody is known by this Authorization header",
          "the transmitter sends what signals.push_tokens refers to"};
}

bool passing(const Error& e) {
  return e.code == Code::unavailable || e.code == Code::timeout || e.code == Code::exhausted ||
         e.code == Code::internal;
}

std::shared_ptr<idp::SignalReceiver> receiver_of(const std::shared_ptr<const Tenant>& world, const std::string& idp) {
  if (world == nullptr) return nullptr;
  const auto it = world->receivers.find(idp);
  return it == world->receivers.end() ? nullptr : it->second;
}

void note_refused(const base::Log& log, const core::TenantId& tenant, const std::string& idp, const Error& e) {
  log.warn("a security event is refused",
           {{"tenant", tenant.str()}, {"idp", idp}, {"check", e.check}, {"why", e.message}});
}

void note_idle(const base::Log& log, const core::TenantId& tenant, const std::string& idp,
               const idp::SecurityEvent& event) {
  log.info("a security event that ends nothing",
           {{"tenant", tenant.str()}, {"idp", idp}, {"event", event.name}, {"jti", event.jti}});
}

/// Told twice is as good as told once: the answer to the first may have been lost.
bool told_before(const Result<SignalTaken>& r) {
  return !r.ok() && r.error().check == "signal.replayed";
}

}  // namespace

/// One poll, from its answer until each of its tokens is recorded or refused.
struct Engine::Impl::Round {
  PollKey key;
  std::shared_ptr<idp::SignalReceiver> receiver;  ///< who was told what is in `told`
  std::mutex mutex;
  std::size_t open = 1;  ///< tokens on their way to the store, and the one who sends them there
  idp::Acknowledged told;
  bool gone = false;  ///< there is nothing to poll any more
  bool news = false;  ///< something came that had not come before
  bool more = false;
  std::optional<Error> trouble;
};

namespace {

/// Runs on the engine's thread, once, whatever the store makes of the batch that it comes in: a store that is stuck
/// holds up no poll, for what a poll ends is cut before it is recorded.
Engine::Impl::Event once(std::move_only_function<void()> what) {
  Engine::Impl::Event event;
  event.again = true;
  event.run = [what = std::move(what)](Turn&) mutable -> Status {
    if (what) std::exchange(what, nullptr)();
    return {};
  };
  return event;
}

}  // namespace

void Engine::push_event(core::TenantId tenant, std::string idp, base::Secret authorization, std::string token,
                        Done<SignalTaken> done) {
  Impl& impl = *impl_;
  const auto receiver = receiver_of(impl.tenant(tenant), idp);
  if (receiver == nullptr) return done(nobody_known());
  auto answer = std::make_shared<Done<SignalTaken>>(std::move(done));
  impl.p.workers.run(
      Workers::Pool::signal, tenant,
      [&impl, tenant, idp, receiver, answer, authorization = std::move(authorization), token = std::move(token)] {
        const Status admitted = receiver->admit(authorization);
        if (!admitted.ok()) return (*answer)(admitted.error());
        auto event = receiver->verify(token, push_budget);
        if (!event.ok()) {
          note_refused(impl.p.log, tenant, idp, event.error());
          return (*answer)(std::move(event).error());
        }
        if (!event->over) {
          note_idle(impl.p.log, tenant, idp, *event);
          return (*answer)(SignalTaken{});
        }
        impl.call<SignalTaken>(
            [answer](Result<SignalTaken> r) {
              (*answer)(told_before(r) ? Result<SignalTaken>(SignalTaken{}) : std::move(r));
            },
            [&impl, tenant, idp, event = std::move(*event)](Turn& turn) {
              return take_signal(impl, turn, tenant, idp, *event.over, event.name);
            });
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

bool Engine::Impl::may_poll(const PollKey& key) const {
  const std::shared_lock lock(shared);
  const auto it = registry.find(key.first);
  if (it == registry.end() || it->second.info.deleting || it->second.empty) return false;
  if (it->second.world == nullptr) return true;  // nobody knows yet
  const auto receiver = it->second.world->receivers.find(key.second);
  return receiver != it->second.world->receivers.end() && receiver->second->polls_every().has_value();
}

void Engine::Impl::want_polls(const core::TenantId& tenant, const std::string& idp, WallTime until) {
  PollKey key{tenant, idp};
  if (p.catalog.signals == nullptr || !may_poll(key)) return;
  const auto [it, fresh] = pollers.try_emplace(key);
  it->second.wanted_until = std::max(it->second.wanted_until, until);
  if (fresh) poll_at(key, now());
}

void Engine::Impl::want_polls_of_sessions(const std::optional<core::TenantId>& tenant) {
  if (p.catalog.signals == nullptr) return;
  std::set<PollKey> keys;
  {
    const std::shared_lock lock(shared);
    for (const auto& [id, s] : sessions)
      if (!tenant || s.who.tenant == *tenant) keys.emplace(s.who.tenant, s.who.idp);
  }
  for (const auto& [of, idp] : keys) want_polls(of, idp, WallTime{});
}

void Engine::Impl::poll_at(const PollKey& key, WallTime at) {
  auto event = std::make_shared<Event>(once([this, key] { poll(key); }));
  timers.emplace(
      at,
      Timer{
          .kind = Timer::Kind::retry, .grant = {}, .tenant = {}, .session = {}, .done = {}, .retry = std::move(event)});
}

bool Engine::Impl::poll_wanted(const PollKey& key, Poller& poller) const {
  if (!may_poll(key)) return false;
  // What is recorded is acknowledged still, once the last login has ended.
  if (now() < poller.wanted_until || (!poller.told.empty() && poller.failures == 0)) return true;
  const std::shared_lock lock(shared);
  if (sessions.contains(poller.witness)) return true;
  const auto one = std::ranges::find_if(sessions, [&](const auto& item) {
    return item.second.who.tenant == key.first && item.second.who.idp == key.second;
  });
  if (one == sessions.end()) return false;
  poller.witness = one->first;
  return true;
}

void Engine::Impl::poll(const PollKey& key) {
  const auto it = pollers.find(key);
  if (it == pollers.end() || stopping) return;
  if (!poll_wanted(key, it->second)) {
    pollers.erase(it);
    return;
  }
  auto round = std::make_shared<Round>();
  round->key = key;
  round->told = it->second.told;
  round->receiver = it->second.told_to.lock();
  p.workers.run(
      Workers::Pool::poll, key.first, [this, round] { ask(round); },
      [this, round](Error e) {
        round->trouble = std::move(e);
        close(round);
      });
}

// On a worker. Each token is an event of its own in the store: one that can't be recorded holds no other up.
void Engine::Impl::ask(const std::shared_ptr<Round>& round) {
  const auto& [tenant_id, idp] = round->key;
  const MonoTime deadline = p.clock.mono() + round_budget;
  const auto receiver = receiver_of(tenant(tenant_id), idp);
  if (receiver == nullptr || !receiver->polls_every()) {
    round->gone = true;
    return close(round);
  }
  // Another transmitter has never heard of these.
  if (receiver != round->receiver) round->told = {};
  round->receiver = receiver;
  auto polled = receiver->poll(round->told, poll_budget);
  if (!polled.ok()) {
    round->trouble = std::move(polled).error();  // what was to be told is told at the next poll
    return close(round);
  }
  round->told = {};
  round->more = polled->more;
  for (const auto& [jti, token] : polled->tokens) {
    const auto left = std::chrono::floor<base::Millis>(deadline - p.clock.mono());
    auto event = receiver->verify(token, std::max(left, base::Millis(0)));
    if (event.ok() && event->jti != jti)
      event = Error{Code::invalid, "set.jti", "the token's jti is not the one that it is listed under"};
    if (event.ok() && event->over) {
      record(round, std::move(*event));
      continue;
    }
    const std::lock_guard lock(round->mutex);
    if (event.ok()) {
      note_idle(p.log, tenant_id, idp, *event);
      round->told.taken.push_back(jti);
    } else {
      note_refused(p.log, tenant_id, idp, event.error());
      if (passing(event.error()))
        round->trouble = event.error();
      else
        round->told.refused.emplace_back(jti, event.error());
    }
  }
  close(round);
}

void Engine::Impl::record(const std::shared_ptr<Round>& round, idp::SecurityEvent event) {
  {
    const std::lock_guard lock(round->mutex);
    ++round->open;
  }
  call<SignalTaken>(
      [this, round, jti = event.jti](Result<SignalTaken> r) {
        {
          const std::lock_guard lock(round->mutex);
          round->news = round->news || r.ok();
          if (r.ok() || told_before(r))
            round->told.taken.push_back(jti);
          else
            round->trouble = r.error();
        }
        close(round);
      },
      [this, of = round->key, event = std::move(event)](Turn& turn) {
        return take_signal(*this, turn, of.first, of.second, *event.over, event.name);
      });
}

void Engine::Impl::close(const std::shared_ptr<Round>& round) {
  {
    const std::lock_guard lock(round->mutex);
    if (--round->open != 0) return;
  }
  post(once([this, round] { settle(*round); }));
}

void Engine::Impl::settle(Round& round) {
  const auto it = pollers.find(round.key);
  if (it == pollers.end()) return;
  if (round.gone) {
    pollers.erase(it);
    return;
  }
  Poller& poller = it->second;
  poller.told = std::move(round.told);
  poller.told_to = round.receiver;
  poller.failures = round.trouble ? poller.failures + 1 : 0;
  const auto every = round.receiver == nullptr ? std::nullopt : round.receiver->polls_every();
  base::Millis pause = every.value_or(std::chrono::seconds(10));
  if (round.trouble) {
    for (int n = 1; n < poller.failures && pause < longest_pause; ++n) pause *= 2;
    pause = std::min(pause, longest_pause);
    p.log.warn("security events can't be polled", {{"tenant", round.key.first.str()},
                                                   {"idp", round.key.second},
                                                   {"check", round.trouble->check},
                                                   {"why", round.trouble->message},
                                                   {"again_in_ms", std::int64_t{pause.count()}}});
  } else if (round.news || round.more) {
    pause = soon;
  }
  // A quarter less at most: many that failed together don't come back together.
  std::uint8_t dice = 0;
  p.entropy.fill({&dice, 1});
  poll_at(round.key, now() + pause - pause * dice / 1024);
}

}  // namespace daypass::engine
