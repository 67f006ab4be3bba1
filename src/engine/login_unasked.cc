// A sign-in that began at the provider ("IdP-initiated"): nobody here asked for it, so a stranger could have put it
// into this browser. What it says is verified whole and used up, and then nothing happens until the person in front of
// the browser types the code that their own terminal shows.
#include "base/encoding.h"
#include "engine/sign_in.h"

namespace daypass::engine {
namespace {

constexpr base::Seconds confirm_for{300};

/// Of a verified sign-in, what is kept until it is confirmed.
json::Value to_record(const std::string& idp, const std::string& issuer, const idp::Finished& verified, WallTime now) {
  return json::Object{{"v", 1},
                      {"idp", idp},
                      {"issuer", issuer},
                      {"identity", core::to_json(verified.identity)},
                      {"logout", verified.logout},
                      {"issued_at", base::to_rfc3339(verified.issued_at)},
                      {"arrived", base::to_rfc3339(now)}};
}

struct Kept {
  idp::Finished verified;
  WallTime arrived;
};
Result<Kept> from_record(const json::Value& record) {
  const json::Value* identity = record.find("identity");
  const json::Value* logout = record.find("logout");
  if (identity == nullptr || logout == nullptr)
    return Error{Code::internal, "login.shape", "a stored sign-in is damaged"};
  DP_TRY(core::Identity who, core::identity_from_json(*identity));
  Kept out{{std::move(who), {}}, {}};
  out.verified.logout = *logout;
  DP_TRY(out.verified.issued_at, base::parse_rfc3339(record.string_or("issued_at")));
  DP_TRY(out.arrived, base::parse_rfc3339(record.string_or("arrived")));
  return out;
}

}  // namespace

void finish_unasked(Engine::Impl& impl, FinishLogin what, Error not_begun,
                    std::shared_ptr<Done<LoginFinished>> answer) {
  const auto world = impl.tenant(what.tenant);
  const core::IdpSpec* spec = world == nullptr ? nullptr : world->spec.idp(what.idp);
  const auto provider = provider_of(impl, what.tenant, what.idp);
  if (spec == nullptr || provider == nullptr || !what.callback.posted) return (*answer)(std::move(not_begun));
  if (!provider->takes_unasked()) {
    not_begun.hint +=
        "; sign-ins that begin at the identity provider are taken only where its settings here have idp_initiated = "
        "true";
    return (*answer)(std::move(not_begun));
  }
  impl.p.workers.run(
      Workers::Pool::idp, what.tenant,
      [&impl, what, answer, provider, issuer = spec->issuer] {
        auto finished = provider->finish_unasked(what.callback, what.redirect_uri, idp_budget);
        if (!finished.ok()) {
          // Not in the audit log: strangers could fill it.
          impl.metrics.logins_failed.fetch_add(1, std::memory_order_relaxed);
          impl.p.log.warn("a sign-in that began at the identity provider is refused",
                          {{"tenant", what.tenant.str()},
                           {"idp", what.idp},
                           {"check", finished.error().check},
                           {"why", finished.error().message}});
          return (*answer)(std::move(finished).error());
        }
        impl.call<LoginFinished>(
            [answer](Result<LoginFinished> r) { (*answer)(std::move(r)); },
            [&impl, what, issuer, verified = std::move(*finished)](Turn& turn) -> Result<LoginFinished> {
              if (!impl.serves(what.tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
              DP_CHECK(use_up(turn, what.tenant, verified));
              LoginFinished out;
              out.display = verified.identity.display;
              out.principal = verified.identity.principal();
              out.confirm = base::random_token(impl.p.entropy, 32);
              DP_CHECK(put_sealed(impl, turn, what.tenant, doc_unasked, hash_key(out.confirm),
                                  to_record(what.idp, issuer, verified, turn.now), turn.now + confirm_for));
              turn.actor = verified.identity.principal();
              DP_CHECK(turn.audit(what.tenant, "login.offered", what.idp, "ok", {{"address", what.client_address}}));
              return out;
            });
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

void Engine::confirm_login(ConfirmLogin what, Done<LoginFinished> done) {
  Impl& impl = *impl_;
  auto answer = std::make_shared<Done<LoginFinished>>(std::move(done));
  const auto fail = [&impl, what, answer](Error e) {
    impl.metrics.logins_failed.fetch_add(1, std::memory_order_relaxed);
    if (e.check == "login.confirm") return (*answer)(std::move(e));  // as of a sign-in that nobody began
    record_failed(impl, what.tenant, what.idp, what.client_address, e, answer);
  };
  impl.call<Kept>(
      [&impl, what, answer, fail](Result<Kept> kept) {
        if (!kept.ok()) return fail(std::move(kept).error());
        const auto world = impl.tenant(what.tenant);
        const core::IdpSpec* spec = world == nullptr ? nullptr : world->spec.idp(what.idp);
        if (spec == nullptr) return fail({Code::not_found, "idp.unknown", "there is no such identity provider here"});
        const json::Object then{{"kind", "device"}, {"user_code", tidy_user_code(what.user_code)}};
        impl.call<LoginFinished>(
            [answer, fail](Result<LoginFinished> r) {
              if (!r.ok()) return fail(r.error());
              (*answer)(std::move(r));
            },
            [&impl, what, then, kept = std::move(*kept), session_max = spec->session_max](Turn& turn) {
              const FinishLogin by{what.tenant, what.idp, {}, {}, what.client_address};
              return conclude(impl, turn, by, then, kept.verified, session_max, kept.arrived);
            });
      },
      [&impl, what](Turn& turn) -> Result<Kept> {
        turn.keep = true;  // used up, whatever else is wrong
        DP_TRY(const auto record, take_sealed(impl, turn, what.tenant, doc_unasked, hash_key(what.handle)));
        if (!record)
          return Error{
              Code::invalid, "login.confirm",
              "no sign-in waits in this browser to be confirmed: there was none, it was used already, or it is "
              "older than 5 minutes",
              "start again at the identity provider"};
        // What was verified under settings that have changed since is not.
        const auto world = impl.tenant(what.tenant);
        const core::IdpSpec* spec = world == nullptr ? nullptr : world->spec.idp(what.idp);
        const auto provider = provider_of(impl, what.tenant, what.idp);
        if (spec == nullptr || provider == nullptr || record->string_or("idp") != what.idp ||
            record->string_or("issuer") != spec->issuer || !provider->takes_unasked())
          return Error{Code::denied, "login.mix_up",
                       "this sign-in came from another identity provider, or its settings have changed since",
                       "start again at the identity provider"};
        return from_record(*record);
      });
}

}  // namespace daypass::engine
