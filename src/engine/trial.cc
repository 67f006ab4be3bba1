#include "engine/trial.h"

#include <algorithm>

#include "base/encoding.h"
#include "engine/sign_in.h"
#include "engine/turn.h"

namespace daypass::engine {
namespace {

Error unknown_test() {
  return {Code::not_found, "idp_test.unknown", "this test is unknown, or began longer than 10 minutes ago",
          "start again with daypass idp test"};
}

}  // namespace

void Trials::drop_old(base::MonoTime now) {
  std::erase_if(entries_, [&](const Handle& e) { return e->until <= now; });
}

Result<Trials::Handle> Trials::open(Entry entry, base::MonoTime now) {
  const std::lock_guard lock(mutex_);
  drop_old(now);
  std::erase_if(entries_, [&](const Handle& e) {
    return e->tenant == entry.tenant && e->owner == entry.owner && e->idp == entry.idp;
  });
  const auto of_tenant = std::ranges::count_if(entries_, [&](const Handle& e) { return e->tenant == entry.tenant; });
  if (entries_.size() >= most || static_cast<std::size_t>(of_tenant) >= most_of_tenant)
    return Error{Code::exhausted, "idp_test.too_many", "too many tests of identity providers are under way",
                 "try again in 10 minutes"};
  entry.until = now + lifetime;
  entries_.push_back(std::make_shared<Entry>(std::move(entry)));
  return entries_.back();
}

void Trials::await(const Handle& entry, std::string key, std::string state, idp::Begun begun) {
  const std::lock_guard lock(mutex_);
  entry->key = std::move(key);
  entry->state = std::move(state);
  entry->begun = std::move(begun);
}

Result<TrialEntry> Trials::enter(const core::TenantId& tenant, const std::string& idp, const std::string& key,
                                 const std::optional<std::string>& browser, base::MonoTime now) {
  const std::lock_guard lock(mutex_);
  drop_old(now);
  const auto it = std::ranges::find_if(entries_, [&](const Handle& e) {
    return e->tenant == tenant && e->idp == idp && !e->state.empty() && base::equal_constant_time(e->key, key);
  });
  if (it == entries_.end()) return unknown_test();
  Entry& entry = **it;
  if (!browser) return TrialEntry{entry.actor, {}};
  if (entry.browser.empty()) entry.browser = *browser;
  if (!base::equal_constant_time(entry.browser, *browser))
    return Error{Code::denied, "login.browser", "the sign-in was begun in another browser",
                 "start again with daypass idp test, in one browser"};
  return TrialEntry{entry.actor, {entry.begun.authorization_url, entry.begun.form}};
}

Trials::Handle Trials::take(const core::TenantId& tenant, const std::string& state, base::MonoTime now) {
  const std::lock_guard lock(mutex_);
  drop_old(now);
  const auto it = std::ranges::find_if(
      entries_, [&](const Handle& e) { return e->tenant == tenant && !e->state.empty() && e->state == state; });
  if (it == entries_.end()) return nullptr;
  (*it)->state.clear();
  return *it;
}

void Trials::settle(const Handle& entry, const std::function<void(Trial&)>& how) {
  const std::lock_guard lock(mutex_);
  entry->key.clear();
  entry->state.clear();
  entry->begun = {};
  entry->world.reset();
  how(entry->trial);
}

Result<Trial> Trials::look(const core::TenantId& tenant, const std::string& idp, const std::string& id,
                           const std::string& owner, base::MonoTime now) {
  const std::lock_guard lock(mutex_);
  drop_old(now);
  for (const Handle& e : entries_)
    if (e->tenant == tenant && e->idp == idp && e->owner == owner && base::equal_constant_time(e->trial.id, id))
      return e->trial;
  return unknown_test();
}

void Trials::forget(const core::TenantId& tenant) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const Handle& e) { return e->tenant == tenant; });
}

void Trials::sweep(base::MonoTime now) {
  const std::lock_guard lock(mutex_);
  drop_old(now);
}

namespace {

/// Keeps how it ended, in the log without a word of what the provider said, and tells whoever waits.
void end_trial(Engine::Impl& impl, const Trials::Handle& entry, const std::string& address, Error why,
               json::Value claims, std::move_only_function<void()> then) {
  auto told = std::make_shared<std::move_only_function<void()>>(std::move(then));
  impl.call<bool>(
      [&impl, entry, why, claims, told](Result<bool> written) {
        impl.trials.settle(entry, [&](Trial& t) {
          t.state = Trial::State::failed;
          t.error = written.ok() ? why : written.error();
          t.claims = claims;
        });
        (*told)();
      },
      [&impl, entry, address, why](Turn& turn) -> Result<bool> {
        if (!impl.serves(entry->tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
        turn.actor = entry->actor;
        DP_CHECK(turn.audit(entry->tenant, "idp.tested", entry->idp, "failed",
                            {{"check", why.check}, {"address", address}}));
        return true;
      });
}

}  // namespace

void Engine::begin_trial(BeginTrial what, Done<Trial> done) {
  Impl& impl = *impl_;
  auto world = impl.tenant(what.tenant);
  Trial out;
  if (what.files) {
    Compiled compiled = impl.compile_folder(what.tenant, *what.files, what.actor, world);
    for (const auto& warning : compiled.warnings) out.warnings.push_back(warning.render());
    out.problems = std::move(compiled.problems);
    world = std::move(compiled.tenant);
    if (world == nullptr) return done(std::move(out));
  }
  const auto provider = world == nullptr || !world->idps.contains(what.idp) ? nullptr : world->idps.at(what.idp);
  if (provider == nullptr)
    return done(Error{Code::not_found, "idp.unknown",
                      "there is no identity provider \"" + what.idp.substr(0, 40) + "\"",
                      what.files ? "the folder has none of that name; daypass idp add writes one"
                                 : "none of that name is applied; --dir DIR tests one of a folder"});
  out.id = base::random_token(impl.p.entropy, 32);
  out.key = base::random_token(impl.p.entropy, 32);
  out.ends_at = impl.now() + Trials::lifetime;
  Trials::Entry entry{what.tenant, what.idp, what.owner, what.actor, world, {}, {}, {}, {}, {}, out};
  auto opened = impl.trials.open(std::move(entry), impl.p.clock.mono());
  if (!opened.ok()) return done(std::move(opened).error());
  auto answer = std::make_shared<Done<Trial>>(std::move(done));
  impl.p.workers.run(
      Workers::Pool::idp, what.tenant,
      [&impl, what, provider, answer, entry = *opened, id = out.id, key = out.key] {
        auto begun = provider->begin({what.redirect_uri, false}, idp_budget);
        const auto told = [&impl, what, answer, id] {
          (*answer)(impl.trials.look(what.tenant, what.idp, id, what.owner, impl.p.clock.mono()));
        };
        if (!begun.ok()) return end_trial(impl, entry, "", std::move(begun).error(), {}, told);
        const std::string state = hash_key(begun->state);
        impl.trials.await(entry, hash_key(key), state, std::move(*begun));
        told();
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

Result<TrialEntry> Engine::enter_trial(const core::TenantId& tenant, const std::string& idp, std::string_view key,
                                       const std::optional<std::string>& browser) {
  return impl_->trials.enter(tenant, idp, hash_key(key), browser ? std::optional(hash_key(*browser)) : std::nullopt,
                             impl_->p.clock.mono());
}

Result<Trial> Engine::trial(const core::TenantId& tenant, const std::string& idp, const std::string& id,
                            const std::string& owner) {
  return impl_->trials.look(tenant, idp, id, owner, impl_->p.clock.mono());
}

void Engine::Impl::finish_trial(Trials::Handle entry, FinishLogin what, Done<LoginFinished> done) {
  auto answer = std::make_shared<Done<LoginFinished>>(std::move(done));
  // The browser learns that it is over; what came of it is for whoever began it.
  const auto over = [answer] { (*answer)(LoginFinished{.redirect = {}, .display = {}, .test = true}); };
  const auto fail = [this, entry, over, address = what.client_address](Error e, json::Value claims) {
    end_trial(*this, entry, address, std::move(e), std::move(claims), over);
  };
  if (entry->idp != what.idp)
    return fail(
        {Code::invalid, "login.mix_up", "the answer came to another identity provider's address than the one asked"},
        {});
  if (!base::equal_constant_time(entry->browser, hash_key(what.browser)))
    return fail({Code::denied, "login.browser", "the answer came from another browser than the one that was sent there",
                 "start again with daypass idp test, in one browser"},
                {});
  const auto provider = entry->world->idps.at(entry->idp);
  p.workers.run(
      Workers::Pool::idp, entry->tenant,
      [this, entry, what, provider, fail, over, arrived = now()] {
        json::Value claims;
        idp::Callback callback = what.callback;
        callback.verified = [&claims](const json::Value& verified) { claims = verified; };
        auto done_there = provider->finish(callback, entry->begun.pending, idp_budget);
        if (!done_there.ok()) return fail(done_there.error(), std::move(claims));
        // What it gave to ask after the person with is forgotten here.
        const auto finished = std::make_shared<const idp::Finished>(std::move(*done_there));
        const auto who = std::make_shared<core::Identity>(finished->identity);
        call<WallTime>(
            [this, entry, fail, over, finished, who, address = what.client_address](Result<WallTime> ends_at) {
              if (!ends_at.ok()) return fail(ends_at.error(), finished->claims);
              const auto world = entry->world;
              core::AccessRequest request;
              request.client_address = address;
              auto roles = decide_all(*world, *who, request, now());
              const bool administers = may_administer(*world, *who, request, now());
              trials.settle(entry, [&](Trial& t) {
                t.state = Trial::State::passed;
                t.claims = finished->claims;
                t.who = *who;
                t.session_ends_at = *ends_at;
                t.roles = std::move(roles);
                t.administers = administers;
              });
              over();
            },
            [this, entry, what, arrived, finished, who](Turn& turn) -> Result<WallTime> {
              if (!serves(entry->tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
              DP_TRY(const WallTime ends_at, accept_identity(turn, entry->tenant, *finished,
                                                             entry->world->spec.idp(entry->idp)->session_max, arrived));
              DP_CHECK(consult_directory(turn, *who));
              turn.actor = entry->actor;
              DP_CHECK(turn.audit(entry->tenant, "idp.tested", entry->idp, "ok", {{"address", what.client_address}}));
              return ends_at;
            });
      },
      [fail](Error e) { fail(std::move(e), {}); });
}

}  // namespace daypass::engine
