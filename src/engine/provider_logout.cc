// Logout. Our own session, grants and connections end first, whatever the provider is like. What signing out there
// needs was sealed at sign-in; a handle, good once and for five minutes, lets a browser carry it there.
#include "base/encoding.h"
#include "engine/sign_in.h"

namespace daypass::engine {
namespace {

constexpr base::Seconds handle_for{300}, answer_for{600};

std::string answer_key(const std::string& idp, const std::string& key) {
  return hash_key(idp + "\n" + key);
}

/// What the sign-in left, under a new key that only the answer to the logout holds.
Result<std::string> hand_over(Engine::Impl& impl, Turn& turn, const LoginSession& s, const std::string& sealed) {
  DP_TRY(const base::Secret body,
         impl.p.vault.open(s.who.tenant, sealed, seal_purpose(s.who.tenant, doc_provider_logout, s.id.str())));
  DP_TRY(json::Value login, json::parse(body.reveal()));
  std::string handle = base::random_token(impl.p.entropy, 32);
  const json::Object record{{"v", 1},
                            {"idp", s.who.idp},
                            {"session", s.id.str()},
                            {"principal", s.who.principal()},
                            {"login", std::move(login)}};
  DP_CHECK(put_sealed(impl, turn, s.who.tenant, doc_logout_handle, hash_key(handle), record, turn.now + handle_for));
  return handle;
}

}  // namespace

void Engine::logout(core::TenantId tenant, core::SessionId session, core::EndReason reason, std::string actor,
                    Done<LoggedOut> done) {
  Impl& impl = *impl_;
  impl.call<LoggedOut>(std::move(done), [&impl, tenant, session, reason, actor](Turn& turn) -> Result<LoggedOut> {
    const auto s = impl.session(session);
    Impl::SessionEnded ended;
    DP_CHECK(impl.end_session(turn, tenant, session, reason, actor, &ended));
    LoggedOut out;
    out.grants_ended = ended.grants;
    if (!s || ended.provider_logout.empty() || reason != core::EndReason::logout) return out;
    auto handle = hand_over(impl, turn, *s, ended.provider_logout);
    // The login is over all the same.
    if (!handle.ok()) {
      impl.p.log.warn("a logout can't be carried to the identity provider",
                      {{"tenant", tenant.str()}, {"idp", s->who.idp}, {"check", handle.error().check}});
      return out;
    }
    out.idp = s->who.idp;
    out.handle = std::move(*handle);
    return out;
  });
}

void Engine::begin_provider_logout(core::TenantId tenant, std::string handle, std::string tenant_url,
                                   Done<LoginBegun> done) {
  Impl& impl = *impl_;
  auto answer = std::make_shared<Done<LoginBegun>>(std::move(done));
  impl.call<json::Value>(
      [&impl, tenant, tenant_url, answer](Result<json::Value> record) {
        if (!record.ok()) return (*answer)(std::move(record).error());
        const std::string idp = record->string_or("idp");
        const auto provider = provider_of(impl, tenant, idp);
        if (provider == nullptr)
          return (*answer)(Error{Code::not_found, "idp.unknown", "that identity provider is not here any more",
                                 "sign out there yourself"});
        impl.p.workers.run(
            Workers::Pool::idp, tenant,
            [&impl, tenant, tenant_url, answer, provider, idp, record = std::move(*record)] {
              auto begun = provider->begin_logout(*record.find("login"), tenant_url + "/idp/" + idp, idp_budget);
              if (!begun.ok()) return (*answer)(std::move(begun).error());
              impl.call<LoginBegun>(
                  [answer](Result<LoginBegun> r) { (*answer)(std::move(r)); },
                  [tenant, idp, begun = std::move(*begun), session = record.string_or("session"),
                   principal = record.string_or("principal")](Turn& turn) -> Result<LoginBegun> {
                    DP_CHECK(turn.put_document(tenant, doc_logout, answer_key(idp, begun.key),
                                               json::dump(json::Object{{"session", session}, {"principal", principal}}),
                                               turn.now + answer_for, 0));
                    return LoginBegun{begun.url, begun.form};
                  });
            },
            [answer](Error e) { (*answer)(std::move(e)); });
      },
      [&impl, tenant, handle](Turn& turn) -> Result<json::Value> {
        turn.keep = true;  // used up, whatever else is wrong
        DP_TRY(auto record, take_sealed(impl, turn, tenant, doc_logout_handle, hash_key(handle)));
        if (!record || record->find("login") == nullptr)
          return Error{Code::not_found, "logout.handle",
                       "this sign-out is unknown, was used already, or is older than 5 minutes",
                       "your Daypass login has ended; sign out at the identity provider yourself"};
        return std::move(*record);
      });
}

void Engine::finish_provider_logout(core::TenantId tenant, std::string idp, idp::LogoutMessage message,
                                    Done<ProviderLogout> done) {
  Impl& impl = *impl_;
  const auto provider = provider_of(impl, tenant, idp);
  if (provider == nullptr)
    return done(Error{Code::not_found, "idp.unknown", "there is no such identity provider here"});
  auto answer = std::make_shared<Done<ProviderLogout>>(std::move(done));
  impl.p.workers.run(
      Workers::Pool::idp, tenant,
      [&impl, tenant, idp, message, provider, answer] {
        auto verified = provider->logout_answer(message, idp_budget);
        if (!verified.ok()) {
          impl.p.log.warn("an answer to a sign-out is refused", {{"tenant", tenant.str()},
                                                                 {"idp", idp},
                                                                 {"check", verified.error().check},
                                                                 {"why", verified.error().message}});
          return (*answer)(std::move(verified).error());
        }
        impl.call<ProviderLogout>(
            [answer](Result<ProviderLogout> r) { (*answer)(std::move(r)); },
            [tenant, idp, said = std::move(*verified)](Turn& turn) -> Result<ProviderLogout> {
              DP_TRY(const auto asked, take(turn, tenant, doc_logout, answer_key(idp, said.key)));
              if (!asked)
                return Error{
                    Code::invalid, "logout.state",
                    "this answers no sign-out that waits here: nobody asked for it, it was told already, or it "
                    "took longer than 10 minutes"};
              DP_TRY(const json::Value record, json::parse(asked->body));
              turn.actor = record.string_or("principal");
              using idp::LogoutOutcome;
              const char* outcome = said.outcome == LogoutOutcome::signed_out ? "ok"
                                    : said.outcome == LogoutOutcome::partly   ? "partly"
                                    : said.outcome == LogoutOutcome::refused  ? "refused"
                                                                              : "unsaid";
              DP_CHECK(turn.audit(tenant, "logout.provider", record.string_or("session"), outcome, {{"idp", idp}}));
              return ProviderLogout{said.outcome, said.why};
            });
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

}  // namespace daypass::engine
