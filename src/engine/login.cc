// Sign-in: pending logins, sessions, tokens, devices, logout.
#include <algorithm>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "engine/sign_in.h"

namespace daypass::engine {
namespace {

constexpr base::Seconds pending_for{600}, code_for{60}, device_for{600}, device_interval{5};

/// A person types it: no letter that reads like a digit, no vowel that makes words (RFC 8628 section 6.1).
std::string new_user_code(base::Entropy& entropy) {
  constexpr std::string_view alphabet = "BCDFGHJKLMNPQRSTVWXZ";
  std::string code;
  while (code.size() < 9) {
    std::uint8_t byte = 0;
    entropy.fill({&byte, 1});
    if (byte >= 240) continue;  // a multiple of 20: no letter is likelier than another
    if (code.size() == 4) code += '-';
    code += alphabet[byte % alphabet.size()];
  }
  return code;
}

}  // namespace

std::string hash_key(std::string_view secret) {
  return base::hex_encode(crypto::sha256(secret));
}

std::string seal_purpose(const core::TenantId& tenant, std::string_view kind, const std::string& key) {
  return std::string(kind) + " " + tenant.str() + "/" + key;
}

std::string tidy_user_code(std::string_view typed) {
  std::string code;
  for (const char c : typed.substr(0, 32)) {
    if (c >= 'a' && c <= 'z')
      code += static_cast<char>(c - 'a' + 'A');
    else if (c >= 'A' && c <= 'Z')
      code += c;
    if (code.size() == 4) code += '-';
  }
  return code;
}

Result<std::optional<store::Document>> take(Turn& turn, const core::TenantId& tenant, std::string_view kind,
                                            const std::string& key) {
  DP_TRY(auto found, turn.tx.get(tenant, kind, key, turn.now));
  if (found) {
    DP_TRY([[maybe_unused]] const bool removed, turn.tx.remove(tenant, kind, key));
  }
  return found;
}

Result<std::optional<json::Value>> take_sealed(Engine::Impl& impl, Turn& turn, const core::TenantId& tenant,
                                               std::string_view kind, const std::string& key) {
  DP_TRY(const auto document, take(turn, tenant, kind, key));
  if (!document) return std::optional<json::Value>();
  DP_TRY(const base::Secret body, impl.p.vault.open(tenant, document->body, seal_purpose(tenant, kind, key)));
  DP_TRY(json::Value value, json::parse(body.reveal()));
  return std::optional(std::move(value));
}

Status put_sealed(Engine::Impl& impl, Turn& turn, const core::TenantId& tenant, std::string_view kind,
                  const std::string& key, const json::Value& value, WallTime expires_at) {
  DP_TRY(std::string sealed,
         impl.p.vault.seal(tenant, base::Secret(json::dump(value)), seal_purpose(tenant, kind, key)));
  return turn.put_document(tenant, kind, key, std::move(sealed), expires_at, 0);
}

std::shared_ptr<idp::IdentityProvider> provider_of(Engine::Impl& impl, const core::TenantId& tenant,
                                                   const std::string& idp) {
  const auto world = impl.tenant(tenant);
  return world == nullptr || !world->idps.contains(idp) ? nullptr : world->idps.at(idp);
}

std::string session_body(const LoginSession& s) {
  json::Object out{{"v", 1},
                   {"identity", core::to_json(s.who)},
                   {"started_at", base::to_rfc3339(s.started_at)},
                   {"ends_at", base::to_rfc3339(s.ends_at)},
                   {"client", s.client}};
  if (const auto& v = s.revalidation) {
    json::Object asked{{"every_ms", std::int64_t{v->every.count()}}, {"checked_at", base::to_rfc3339(v->checked_at)}};
    if (v->stale_since) {
      asked.set("stale_since", base::to_rfc3339(*v->stale_since));
      asked.set("why", v->why);
    }
    out.set("revalidation", std::move(asked));
  }
  return json::dump(std::move(out));
}

Result<LoginSession> session_from(const store::Document& document) {
  DP_TRY(const json::Value body, json::parse(document.body));
  const json::Value* identity = body.find("identity");
  if (identity == nullptr) return Error{Code::internal, "session.shape", "a stored login session is damaged"};
  LoginSession s;
  s.id = core::SessionId(document.key);
  DP_TRY(s.who, core::identity_from_json(*identity));
  DP_TRY(s.started_at, base::parse_rfc3339(body.string_or("started_at")));
  DP_TRY(s.ends_at, base::parse_rfc3339(body.string_or("ends_at")));
  s.client = body.string_or("client");
  if (const json::Value* asked = body.find("revalidation")) {
    Revalidation& v = s.revalidation.emplace();
    v.every = base::Millis(asked->int_or("every_ms", 0));
    if (v.every <= base::Millis(0)) return Error{Code::internal, "session.shape", "a stored login session is damaged"};
    DP_TRY(v.checked_at, base::parse_rfc3339(asked->string_or("checked_at")));
    if (asked->find("stale_since") != nullptr) {
      DP_TRY(v.stale_since, base::parse_rfc3339(asked->string_or("stale_since")));
    }
    v.why = asked->string_or("why");
  }
  return s;
}

void Engine::begin_login(BeginLogin what, Done<LoginBegun> done) {
  Impl& impl = *impl_;
  const auto world = impl.tenant(what.tenant);
  const auto provider = world == nullptr || !world->idps.contains(what.idp) ? nullptr : world->idps.at(what.idp);
  if (provider == nullptr)
    return done(
        Error{Code::not_found, "idp.unknown", "there is no identity provider \"" + what.idp.substr(0, 40) + "\" here"});
  // Anybody may ask for this, and each asks for a record.
  if (auto no_room = impl.refuse_short()) return done(*std::move(no_room));
  auto answer = std::make_shared<Done<LoginBegun>>(std::move(done));
  impl.p.workers.run(
      Workers::Pool::idp, what.tenant,
      [&impl, what, provider, answer] {
        auto begun = provider->begin({what.redirect_uri, what.force}, idp_budget);
        if (!begun.ok()) return (*answer)(std::move(begun).error());
        impl.call<LoginBegun>(
            [answer](Result<LoginBegun> r) { (*answer)(std::move(r)); },
            [&impl, what, begun = std::move(*begun)](Turn& turn) -> Result<LoginBegun> {
              const std::string key = hash_key(begun.state);
              const std::string body = json::dump(json::Object{{"v", 1},
                                                               {"idp", what.idp},
                                                               {"browser", hash_key(what.browser)},
                                                               {"pending", begun.pending},
                                                               {"then", what.then}});
              if (!impl.serves(what.tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
              DP_TRY(std::string sealed,
                     impl.p.vault.seal(what.tenant, base::Secret(body), seal_purpose(what.tenant, doc_pending, key)));
              DP_CHECK(turn.put_document(what.tenant, doc_pending, key, std::move(sealed), turn.now + pending_for, 0));
              turn.after.emplace_back(
                  [&impl, what, until = turn.now + pending_for] { impl.want_polls(what.tenant, what.idp, until); });
              return LoginBegun{begun.authorization_url, begun.form};
            });
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

namespace {

/// Keyed, so that who has signed out is not told by what is kept of it.
Result<std::string> tombstone_of(const Vault& vault, const core::TenantId& tenant, const std::string& idp,
                                 std::string_view what, const std::string& name) {
  DP_TRY(const std::string hash, vault.fingerprint(tenant, "signed out " + std::string(what), name));
  return idp + " " + std::string(what) + " " + hash;
}

constexpr base::Seconds clocks_differ{30};

/// A provider said that this person, or this very session of theirs, has signed out: what was signed in before that
/// does not become a login any more, however long its answer was on the way. Where the provider does not say when the
/// person signed in, it was not later than its answer came here.
Status refuse_signed_out(Turn& turn, const core::TenantId& tenant, const idp::Finished& verified, WallTime arrived) {
  const core::Identity& who = verified.identity;
  const WallTime signed_in =
      who.auth_time > WallTime{} ? who.auth_time : std::min(verified.issued_at, arrived - clocks_differ);
  std::vector<std::pair<std::string_view, std::string>> stones = {{"subject", who.subject}};
  for (const auto& session : who.idp_sessions) {
    stones.emplace_back("session", session + "\n" + who.subject);
    stones.emplace_back("session", session + "\n");
  }
  for (const auto& [what, name] : stones) {
    DP_TRY(const std::string key, tombstone_of(turn.impl.p.vault, tenant, who.idp, what, name));
    DP_TRY(const auto stone, turn.tx.get(tenant, doc_tombstone, key, turn.now));
    if (!stone) continue;
    DP_TRY(const WallTime at, base::parse_rfc3339(stone->body));
    if (signed_in <= at)
      return Error{Code::denied, "login.signed_out", "the identity provider has ended this sign-in meanwhile",
                   "daypass login"};
  }
  return {};
}

}  // namespace

Status use_up(Turn& turn, const core::TenantId& tenant, const idp::Finished& verified) {
  for (const auto& [key, until] : verified.once) {
    DP_TRY(const bool first, turn.tx.use_once(tenant, verified.identity.idp + " " + key, until, turn.now));
    if (!first)
      return Error{Code::denied, "login.replayed", "this answer of the identity provider was used already",
                   "sign in again"};
  }
  return {};
}

void record_failed(Engine::Impl& impl, const core::TenantId& tenant, const std::string& idp, const std::string& address,
                   const Error& why, const std::shared_ptr<Done<LoginFinished>>& answer) {
  impl.call<LoginFinished>([answer](Result<LoginFinished> r) { (*answer)(std::move(r)); },
                           [tenant, idp, address, why](Turn& turn) -> Result<LoginFinished> {
                             // What is left is for what ends access; whoever failed is told all the same.
                             if (turn.impl.refuse_short(true)) return why;
                             turn.keep = true;
                             DP_CHECK(turn.audit(tenant, "login.failed", idp, "failed",
                                                 {{"check", why.check}, {"why", why.message}, {"address", address}}));
                             return why;
                           });
}

Result<WallTime> accept_identity(Turn& turn, const core::TenantId& tenant, const idp::Finished& verified,
                                 base::Millis session_max, WallTime arrived) {
  DP_CHECK(use_up(turn, tenant, verified));
  DP_CHECK(refuse_signed_out(turn, tenant, verified, arrived));
  WallTime ends_at = turn.now + session_max;
  if (verified.identity.not_after) ends_at = std::min(ends_at, *verified.identity.not_after);
  if (ends_at <= turn.now)
    return Error{Code::denied, "login.not_after", "the identity provider says this sign-in is over already"};
  return ends_at;
}

Result<LoginFinished> conclude(Engine::Impl& impl, Turn& turn, const FinishLogin& what, const json::Value& then,
                               const idp::Finished& verified, base::Millis session_max, WallTime arrived) {
  core::Identity who = verified.identity;
  if (auto no_room = impl.refuse_short()) return *std::move(no_room);
  if (!impl.serves(what.tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
  LoginSession s;
  s.id = core::new_session_id(impl.p.entropy);
  s.started_at = turn.now;
  DP_TRY(s.ends_at, accept_identity(turn, what.tenant, verified, session_max, arrived));
  DP_CHECK(impl.consult_directory(turn, who));
  s.who = who;
  s.client = then.string_or("kind") == "device" ? "device" : "cli";
  turn.actor = who.principal();
  LoginFinished finished;
  finished.display = who.display;
  if (then.string_or("kind") == "device") {
    const std::string user_code = then.string_or("user_code");
    DP_TRY(auto index, take(turn, what.tenant, doc_user_code, user_code));
    if (!index)
      return Error{Code::invalid, "device.user_code", "this code has ended or was used",
                   "start again with daypass login --device"};
    DP_TRY(auto device, turn.tx.get(what.tenant, doc_device, index->body, turn.now));
    if (!device)
      return Error{Code::invalid, "device.expired", "this code has ended", "start again with daypass login --device"};
    DP_TRY(json::Value body, json::parse(device->body));
    body.as_object()->set("session", s.id.str());
    device->body = json::dump(body);
    DP_CHECK(turn.tx.put(*device, device->version));
  } else {
    const std::string code = base::random_token(impl.p.entropy, 32);
    const std::string redirect = then.string_or("redirect_uri");
    DP_CHECK(turn.put_document(
        what.tenant, doc_code, hash_key(code),
        json::dump(json::Object{
            {"session", s.id.str()}, {"challenge", then.string_or("challenge")}, {"redirect_uri", redirect}}),
        turn.now + code_for, 0));
    finished.redirect = redirect + "?code=" + code + "&state=" + then.string_or("state");
  }
  if (!verified.refresh.empty()) {
    s.revalidation = Revalidation{impl.revalidate_every(who), turn.now, {}, {}};
    DP_CHECK(impl.keep_refresh(turn, s, verified.refresh));
  }
  DP_CHECK(turn.put_document(what.tenant, doc_session, s.id.str(), session_body(s), s.ends_at, 0));
  if (!verified.logout.is_null())
    DP_CHECK(put_sealed(impl, turn, what.tenant, doc_provider_logout, s.id.str(), verified.logout, s.ends_at));
  json::Array groups;
  for (const auto& group : who.groups) groups.emplace_back(group);
  DP_CHECK(turn.audit(what.tenant, "login.finished", s.id.str(), "ok",
                      {{"idp", what.idp},
                       {"client", s.client},
                       {"address", what.client_address},
                       {"groups", std::move(groups)},
                       {"ends_at", base::to_rfc3339(s.ends_at)}}));
  // A logout signal behind this must find the session.
  turn.last = true;
  turn.after.emplace_back([&impl, s] {
    const std::unique_lock lock(impl.shared);
    impl.sessions.insert_or_assign(s.id, s);
    impl.metrics.sessions = static_cast<std::int64_t>(impl.sessions.size());
    impl.watch_end(s);
    impl.watch_validity(s);
  });
  turn.after.emplace_back([&impl, tenant = what.tenant, idp = what.idp] { impl.want_polls(tenant, idp, WallTime{}); });
  impl.metrics.logins_ok.fetch_add(1, std::memory_order_relaxed);
  return finished;
}

namespace {

/// As well as it is known of a login: when its person signed in at the provider, at the earliest.
WallTime signed_in(const LoginSession& s) {
  constexpr base::Seconds on_the_way{60};  // from the provider's answer to our session
  return s.who.auth_time > WallTime{} ? s.who.auth_time : s.started_at - on_the_way;
}

}  // namespace

Result<SignalTaken> take_signal(Engine::Impl& impl, Turn& turn, const core::TenantId& tenant, const std::string& idp,
                                const idp::SignedOut& signal, const std::string& name) {
  turn.actor = idp;
  if (!impl.serves(tenant)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
  for (const auto& [key, until] : signal.once) {
    DP_TRY(const bool first, turn.tx.use_once(tenant, idp + " " + key, until, turn.now));
    if (!first)
      return Error{Code::invalid, "signal.replayed", "this logout was told already", "nothing: it has had its effect"};
  }
  // Tombstones first: a sign-in under way comes to conclude() behind this.
  std::vector<std::pair<std::string_view, std::string>> stones;
  for (const auto& session : signal.idp_sessions) stones.emplace_back("session", session + "\n" + signal.subject);
  if (stones.empty()) stones.emplace_back("subject", signal.subject);
  for (const auto& [what, whom] : stones) {
    DP_TRY(const std::string key, tombstone_of(impl.p.vault, tenant, idp, what, whom));
    WallTime at = signal.at;
    DP_TRY(const auto known, turn.tx.get(tenant, doc_tombstone, key, turn.now));
    if (known)
      if (const auto before = base::parse_rfc3339(known->body); before.ok()) at = std::max(at, *before);
    DP_CHECK(turn.put_document(tenant, doc_tombstone, key, base::to_rfc3339(at), turn.now + std::chrono::hours(24)));
  }
  SignalTaken out{0, signal.answer_url, signal.answer_form};
  DP_TRY(out.sessions_ended, impl.end_sessions(turn, tenant, core::EndReason::signal, idp, [&](const LoginSession& s) {
    const core::Identity& who = s.who;
    if (who.idp != idp || (!signal.subject.empty() && who.subject != signal.subject)) return false;
    if (signal.told_late && signed_in(s) > signal.at + clocks_differ) return false;
    return signal.idp_sessions.empty() ||
           std::ranges::find_first_of(signal.idp_sessions, who.idp_sessions) != signal.idp_sessions.end();
  }));
  DP_CHECK(turn.audit(tenant, "signal." + name, idp, "ok", {{"sessions_ended", out.sessions_ended}}));
  return out;
}

void Engine::finish_login(FinishLogin what, Done<LoginFinished> done) {
  Impl& impl = *impl_;
  if (const std::string state = what.callback.state(); !state.empty())
    if (auto test = impl.trials.take(what.tenant, hash_key(state), impl.p.clock.mono()))
      return impl.finish_trial(std::move(test), std::move(what), std::move(done));
  auto answer = std::make_shared<Done<LoginFinished>>(std::move(done));
  const auto fail = [&impl, what, answer](Error e) {
    impl.metrics.logins_failed.fetch_add(1, std::memory_order_relaxed);
    // Of a sign-in that nobody began there is nothing to keep for ever: strangers could fill the log with it.
    if (e.check == "login.state") return finish_unasked(impl, what, e, answer);
    record_failed(impl, what.tenant, what.idp, what.client_address, e, answer);
  };
  const std::string state = what.callback.state();
  if (state.empty())
    return fail({Code::invalid, "login.state", "the answer carries no state, or more than one",
                 "start again with daypass login"});
  struct Pending {
    json::Value pending, then;
    WallTime arrived;
  };
  impl.call<Pending>(
      [&impl, what, answer, fail](Result<Pending> taken) {
        if (!taken.ok()) return fail(taken.error());
        const auto world = impl.tenant(what.tenant);
        const auto provider = world == nullptr || !world->idps.contains(what.idp) ? nullptr : world->idps.at(what.idp);
        if (provider == nullptr)
          return fail({Code::not_found, "idp.unknown", "there is no such identity provider here"});
        const base::Millis session_max = world->spec.idp(what.idp)->session_max;
        impl.p.workers.run(
            Workers::Pool::idp, what.tenant,
            [&impl, what, answer, fail, provider, session_max, taken = std::move(*taken)] {
              auto finished = provider->finish(what.callback, taken.pending, idp_budget);
              if (!finished.ok()) return fail(finished.error());
              impl.call<LoginFinished>(
                  [answer, fail](Result<LoginFinished> r) {
                    if (!r.ok()) return fail(r.error());
                    (*answer)(std::move(r));
                  },
                  [&impl, what, then = taken.then, arrived = taken.arrived, verified = std::move(*finished),
                   session_max](Turn& turn) {
                    return conclude(impl, turn, what, then, verified, session_max, arrived);
                  });
            },
            fail);
      },
      [&impl, what, state](Turn& turn) -> Result<Pending> {
        const Error unknown{Code::invalid, "login.state",
                            "this sign-in is unknown, was used already, or took longer than 10 minutes",
                            "start again with daypass login"};
        const std::string key = hash_key(state);
        DP_TRY(auto document, take(turn, what.tenant, doc_pending, key));
        if (!document) return unknown;
        DP_TRY(const base::Secret body,
               impl.p.vault.open(what.tenant, document->body, seal_purpose(what.tenant, doc_pending, key)));
        DP_TRY(const json::Value pending, json::parse(body.reveal()));
        // The one-use deletion stays whatever is wrong with the rest: a second try with the same state finds nothing.
        turn.keep = true;
        if (pending.string_or("idp") != what.idp)
          return Error{Code::invalid, "login.mix_up",
                       "the answer came to another identity provider's address than the one asked",
                       "start again with daypass login; if it happens again, tell whoever runs Daypass"};
        if (!base::equal_constant_time(pending.string_or("browser"), hash_key(what.browser)))
          return Error{Code::denied, "login.browser", "the sign-in was begun in another browser",
                       "start again with daypass login, in one browser"};
        return Pending{*pending.find("pending"), *pending.find("then"), turn.now};
      });
}

void Engine::logout_signal(core::TenantId tenant, std::string idp, idp::LogoutMessage message, Done<SignalTaken> done) {
  Impl& impl = *impl_;
  const auto world = impl.tenant(tenant);
  const auto provider = world == nullptr || !world->idps.contains(idp) ? nullptr : world->idps.at(idp);
  if (provider == nullptr)
    return done(Error{Code::not_found, "idp.unknown", "there is no such identity provider here"});
  auto answer = std::make_shared<Done<SignalTaken>>(std::move(done));
  impl.p.workers.run(
      Workers::Pool::signal, tenant,
      [&impl, tenant, idp, message, provider, answer] {
        auto verified = provider->signed_out(message, idp_budget);
        if (!verified.ok()) {
          impl.p.log.warn("a logout signal is refused", {{"tenant", tenant.str()},
                                                         {"idp", idp},
                                                         {"check", verified.error().check},
                                                         {"why", verified.error().message}});
          return (*answer)(std::move(verified).error());
        }
        impl.call<SignalTaken>([answer](Result<SignalTaken> r) { (*answer)(std::move(r)); },
                               [&impl, tenant, idp, signal = std::move(*verified)](Turn& turn) {
                                 return take_signal(impl, turn, tenant, idp, signal, "logout");
                               });
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

void Engine::describe_to_idp(core::TenantId tenant, std::string idp, std::string base, Done<std::string> xml) {
  const auto world = impl_->tenant(tenant);
  const auto provider = world == nullptr || !world->idps.contains(idp) ? nullptr : world->idps.at(idp);
  if (provider == nullptr) return xml(Error{Code::not_found, "idp.unknown", "there is no such identity provider here"});
  auto answer = std::make_shared<Done<std::string>>(std::move(xml));
  impl_->p.workers.run(
      Workers::Pool::idp, tenant, [provider, base, answer] { (*answer)(provider->describe(base)); },
      [answer](Error e) { (*answer)(std::move(e)); });
}

Result<Token> Engine::Impl::issue_token(Turn& turn, const LoginSession& s) {
  std::string token = "dpt_" + base::random_token(p.entropy, 32);
  const std::string key = hash_key(token);
  DP_CHECK(
      turn.put_document(s.who.tenant, doc_token, key, json::dump(json::Object{{"session", s.id.str()}}), s.ends_at, 0));
  turn.after.emplace_back([this, key, id = s.id] {
    const std::unique_lock lock(shared);
    tokens.insert_or_assign(key, id);
  });
  return Token{base::Secret::take(std::move(token)), s};
}

void Engine::redeem_code(core::TenantId tenant, std::string code, std::string pkce_verifier, std::string redirect_uri,
                         Done<Token> done) {
  Impl& impl = *impl_;
  impl.call<Token>(std::move(done), [&impl, tenant, code, pkce_verifier, redirect_uri](Turn& turn) -> Result<Token> {
    DP_TRY(auto document, take(turn, tenant, doc_code, hash_key(code)));
    if (!document)
      return Error{Code::unauthenticated, "token.code", "the code is unknown, used or older than a minute",
                   "daypass login"};
    turn.keep = true;  // used, whatever else is wrong
    DP_TRY(const json::Value body, json::parse(document->body));
    if (!base::equal_constant_time(crypto::pkce_s256(pkce_verifier), body.string_or("challenge")))
      return Error{Code::unauthenticated, "token.pkce", "the PKCE verifier does not fit the code", "daypass login"};
    if (redirect_uri != body.string_or("redirect_uri"))
      return Error{Code::unauthenticated, "token.redirect_uri", "the redirect URI is not the one the code was sent to",
                   "daypass login"};
    const auto s = impl.session(core::SessionId(body.string_or("session")));
    if (!s) return Error{Code::unauthenticated, "token.session", "the login has ended", "daypass login"};
    return impl.issue_token(turn, *s);
  });
}

void Engine::start_device(core::TenantId tenant, Done<DeviceStarted> done) {
  Impl& impl = *impl_;
  impl.call<DeviceStarted>(std::move(done), [&impl, tenant](Turn& turn) -> Result<DeviceStarted> {
    if (auto no_room = impl.refuse_short()) return *std::move(no_room);
    DeviceStarted out{base::random_token(impl.p.entropy, 32), new_user_code(impl.p.entropy), device_for,
                      device_interval};
    const std::string key = hash_key(out.device_code);
    DP_CHECK(turn.put_document(tenant, doc_device, key, json::dump(json::Object{{"user_code", out.user_code}}),
                               turn.now + device_for, 0));
    DP_CHECK(turn.put_document(tenant, doc_user_code, out.user_code, key, turn.now + device_for, 0));
    return out;
  });
}

void Engine::find_device(core::TenantId tenant, std::string user_code, Done<bool> done) {
  impl_->call<bool>(std::move(done), [tenant, user_code](Turn& turn) -> Result<bool> {
    DP_TRY(auto found, turn.tx.get(tenant, doc_user_code, tidy_user_code(user_code), turn.now));
    if (!found)
      return Error{Code::invalid, "device.user_code", "no sign-in waits for this code",
                   "compare it with what daypass login --device shows"};
    return true;
  });
}

void Engine::poll_device(core::TenantId tenant, std::string device_code, Done<Token> done) {
  Impl& impl = *impl_;
  impl.call<Token>(std::move(done), [&impl, tenant, device_code](Turn& turn) -> Result<Token> {
    const std::string key = hash_key(device_code);
    DP_TRY(auto device, turn.tx.get(tenant, doc_device, key, turn.now));
    if (!device)
      return Error{Code::unauthenticated, "device.expired", "the device code is unknown, used or has ended",
                   "daypass login --device"};
    DP_TRY(json::Value body, json::parse(device->body));
    const std::string session = body.string_or("session");
    if (session.empty()) {
      // RFC 8628 section 3.5: who polls faster than told is told so.
      const auto last = base::parse_rfc3339(body.string_or("polled_at"));
      const bool fast = last.ok() && turn.now - *last < device_interval - std::chrono::milliseconds(500);
      body.as_object()->set("polled_at", base::to_rfc3339(turn.now));
      device->body = json::dump(body);
      DP_CHECK(turn.tx.put(*device, device->version));
      turn.keep = true;
      if (fast) return Error{Code::unauthenticated, "device.slow_down", "polled faster than every 5 seconds"};
      return Error{Code::unauthenticated, "device.pending", "nobody has signed in with the code yet"};
    }
    DP_TRY([[maybe_unused]] const bool removed, turn.tx.remove(tenant, doc_device, key));
    const auto s = impl.session(core::SessionId(session));
    if (!s) return Error{Code::unauthenticated, "token.session", "the login has ended", "daypass login --device"};
    return impl.issue_token(turn, *s);
  });
}

Result<LoginSession> Engine::authenticate(const core::TenantId& tenant, std::string_view token) {
  const Error unknown{Code::unauthenticated, "token.unknown", "the login has ended or never was", "daypass login"};
  const std::string key = hash_key(token);
  const std::shared_lock lock(impl_->shared);
  const auto it = impl_->tokens.find(key);
  if (it == impl_->tokens.end()) return unknown;
  const auto s = impl_->sessions.find(it->second);
  if (s == impl_->sessions.end() || s->second.who.tenant != tenant) return unknown;
  if (s->second.ends_at <= impl_->now())
    return Error{Code::unauthenticated, "login.ended", "the login ended at " + base::to_rfc3339(s->second.ends_at),
                 "daypass login"};
  return s->second;
}

std::vector<LoginSession> Engine::login_sessions(const core::TenantId& tenant) {
  std::vector<LoginSession> out;
  const std::shared_lock lock(impl_->shared);
  for (const auto& [id, s] : impl_->sessions)
    if (s.who.tenant == tenant) out.push_back(s);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.started_at > b.started_at; });
  return out;
}

void Engine::Impl::watch_end(const LoginSession& s) {
  timers.emplace(s.ends_at, Timer{.kind = Timer::Kind::session_end,
                                  .grant = {},
                                  .tenant = s.who.tenant,
                                  .session = s.id,
                                  .done = {},
                                  .retry = {}});
}

Result<int> Engine::Impl::end_sessions(Turn& turn, const core::TenantId& tenant, core::EndReason reason,
                                       const std::string& actor,
                                       const std::function<bool(const LoginSession&)>& whose) {
  std::vector<core::SessionId> over;
  {
    const std::shared_lock lock(shared);
    for (const auto& [id, s] : sessions)
      if (s.who.tenant == tenant && whose(s)) over.push_back(id);
  }
  DP_CHECK(end_sessions(turn, tenant, over, reason, actor, nullptr));
  return static_cast<int>(over.size());
}

Status Engine::Impl::end_sessions(Turn& turn, const core::TenantId& tenant_id, const std::vector<core::SessionId>& ids,
                                  core::EndReason reason, const std::string& actor, SessionEnded* ended) {
  std::vector<LoginSession> over;
  std::unordered_set<core::SessionId> dead;
  for (const auto& id : ids) {
    auto s = session(id);
    // Said before, and the store did not take it: it is owed.
    if (const auto owed = owed_logouts.find(id); !s && owed != owed_logouts.end()) s = owed->second.session;
    if (!s || s->who.tenant != tenant_id || logged_out.contains(id)) continue;
    owed_logouts.insert_or_assign(id, OwedLogout{*s, reason, actor});
    dead.insert(id);
    over.push_back(*std::move(s));
  }
  if (over.empty()) return {};
  turn.actor = actor;
  // Credentials and tokens stop in memory before anything is written: no new connection slips through.
  {
    const std::unique_lock lock(shared);
    for (const auto& s : over) {
      metrics.sessions_stale -= s.is_stale() && sessions.contains(s.id) ? 1 : 0;
      sessions.erase(s.id);
    }
    metrics.sessions = static_cast<std::int64_t>(sessions.size());
    std::erase_if(tokens, [&](const auto& item) { return dead.contains(item.second); });
  }
  // From here on the logins stay dead in memory. Until the store has taken that, they are owed: first in every batch.
  std::vector<GrantId> grants;
  Status unread;
  for (const auto& s : over) {
    const auto of_one = turn.open_grants(of_session(tenant_id, s.id));
    if (of_one.ok())
      grants.insert(grants.end(), of_one->begin(), of_one->end());
    else if (unread.ok())
      unread = of_one.error();  // it keeps none of the others alive
  }
  DP_CHECK(turn.end(grants, reason, actor));
  DP_CHECK(unread);
  if (ended != nullptr) ended->grants += static_cast<int>(grants.size());
  for (const auto& s : over) DP_CHECK(erase_session(turn, s, reason, ended));
  return {};
}

Status Engine::Impl::end_session(Turn& turn, const core::TenantId& tenant_id, const core::SessionId& id,
                                 core::EndReason reason, const std::string& actor, SessionEnded* ended) {
  return end_sessions(turn, tenant_id, std::vector{id}, reason, actor, ended);
}

Status Engine::Impl::erase_session(Turn& turn, const LoginSession& s, core::EndReason reason, SessionEnded* ended) {
  const core::TenantId& tenant_id = s.who.tenant;
  const core::SessionId& id = s.id;
  DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(tenant_id, doc_session, id.str()));
  DP_TRY(auto at_provider, take(turn, tenant_id, doc_provider_logout, id.str()));
  if (ended != nullptr && at_provider) ended->provider_logout = std::move(at_provider->body);
  DP_TRY([[maybe_unused]] const bool forgotten, turn.tx.remove(tenant_id, doc_refresh, id.str()));
  std::vector<core::CredentialId> mine;
  {
    const std::shared_lock lock(shared);
    for (const auto& [cid, c] : credentials)
      if (c->session == id) mine.push_back(cid);
  }
  for (const auto& cid : mine) {
    DP_TRY([[maybe_unused]] const bool removed, turn.tx.remove(tenant_id, doc_credential, cid.str()));
  }
  DP_CHECK(turn.audit(tenant_id, "login.ended", id.str(), "ok",
                      {{"reason", core::to_string(reason)}, {"principal", s.who.principal()}}));
  logged_out.insert(id);
  turn.after.emplace_back([this, id, mine] {
    owed_logouts.erase(id);
    // One that is being asked after is let go when the answer is here.
    if (const auto r = renewing.find(id); r != renewing.end() && !r->second.asked) renewing.erase(r);
    const std::unique_lock lock(shared);
    for (const auto& cid : mine) credentials.erase(cid);
  });
  return {};
}

}  // namespace daypass::engine
