// Credentials and connections: what the gate asks. A connection opens or joins a grant just in time, decided anew.
#include <algorithm>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "engine/question.h"
#include "engine/turn.h"

namespace daypass::engine {

using core::GrantState;

namespace {

constexpr std::size_t credentials_per_session = 200;

Error login_ended() {
  return {Code::unauthenticated, "login.ended", "the login this credential belongs to has ended", "daypass login"};
}

json::Array names_of(const std::vector<core::RoleId>& roles) {
  json::Array out;
  for (const auto& role : roles) out.emplace_back(role.str());
  return out;
}

std::string to_body(const Credential& c) {
  json::Object out{{"v", 1},
                   {"session", c.session.str()},
                   {"target", c.target.str()},
                   {"roles", names_of(c.roles)},
                   {"reason", c.reason},
                   {"verifier", c.verifier.to_text()}};
  if (c.wanted) out.set("wanted_ms", std::int64_t{c.wanted->count()});
  return json::dump(std::move(out));
}

}  // namespace

Result<std::shared_ptr<const Credential>> credential_from(const store::Document& document) {
  DP_TRY(const json::Value body, json::parse(document.body));
  auto c = std::make_shared<Credential>();
  c->tenant = document.tenant;
  c->id = core::CredentialId(document.key);
  c->session = core::SessionId(body.string_or("session"));
  DP_TRY(c->target, core::parse_target(body.string_or("target")));
  if (const json::Value* roles = body.find("roles"); roles != nullptr && roles->as_array() != nullptr)
    for (const auto& role : *roles->as_array())
      if (role.as_string() != nullptr) c->roles.emplace_back(*role.as_string());
  c->reason = body.string_or("reason");
  DP_TRY(c->verifier, crypto::ScramVerifier::parse(body.string_or("verifier")));
  if (const auto wanted = body.int_or("wanted_ms", -1); wanted >= 0) c->wanted = base::Millis(wanted);
  return std::shared_ptr<const Credential>(std::move(c));
}

void Engine::issue_credential(LoginSession session, WantCredential want, Done<CredentialIssued> done) {
  Impl& impl = *impl_;
  const auto world = impl.tenant(session.who.tenant);
  if (world == nullptr) return done(Error{Code::not_found, "tenant.unknown", "there is no such tenant"});
  if (world->spec.target(want.target) == nullptr)
    return done(Error{Code::not_found, "target.unknown", "there is no target " + want.target.str(),
                      "daypass ls shows what there is"});
  // The password is hashed here, on the caller's thread: thousands of rounds would hold everybody else up in the
  // engine.
  auto issued = std::make_shared<CredentialIssued>();
  issued->user = core::new_credential_id(impl.p.entropy);
  issued->password = base::Secret::take(base::random_token(impl.p.entropy, 24));
  auto credential = std::make_shared<Credential>();
  credential->tenant = session.who.tenant;
  credential->id = issued->user;
  credential->session = session.id;
  credential->target = want.target;
  credential->roles = want.roles;
  credential->wanted = want.wanted;
  credential->reason = want.reason;
  credential->verifier = crypto::make_verifier(issued->password, impl.p.scram_rounds, impl.p.entropy);
  impl.call<CredentialIssued>(
      std::move(done), [&impl, session, want, issued, credential](Turn& turn) -> Result<CredentialIssued> {
        const auto alive = impl.session(session.id);
        if (!alive || alive->ends_at <= turn.now) return login_ended();
        if (auto frozen = impl.refuse_frozen(session.who.tenant)) return *std::move(frozen);
        if (auto no_room = impl.refuse_short()) return *std::move(no_room);
        if (auto stale = impl.stale(turn, *alive)) {
          turn.keep = true;
          return *std::move(stale);
        }
        const auto tenant = impl.tenant(session.who.tenant);
        if (tenant == nullptr) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
        turn.actor = session.who.principal();
        core::AccessRequest request{want.target, want.roles, want.reason, want.wanted, want.client_address};
        const core::Decision decision = decide(*tenant, alive->who, request, turn.now);
        if (decision.verdict != core::Verdict::allow) {
          impl.metrics.denials.fetch_add(1, std::memory_order_relaxed);
          turn.keep = true;
          DP_CHECK(impl.keep_refusal(turn, alive->who, request));
          DP_CHECK(turn.audit(
              session.who.tenant, "access.denied", want.target.str(), "denied",
              {{"roles", names_of(want.roles)}, {"why", decision.why}, {"policy_version", decision.policy_version}}));
          return Error{Code::denied, "policy.denied", decision.why, decision.ask};
        }
        std::size_t mine = 0;
        {
          const std::shared_lock lock(impl.shared);
          for (const auto& [id, c] : impl.credentials) mine += c->session == session.id ? 1U : 0U;
        }
        if (mine >= credentials_per_session)
          return Error{Code::exhausted, "credential.too_many",
                       "this login has " + std::to_string(mine) + " credentials already",
                       "daypass logout, then daypass login"};
        DP_CHECK(turn.put_document(session.who.tenant, doc_credential, issued->user.str(), to_body(*credential),
                                   alive->ends_at, 0));
        DP_CHECK(turn.audit(
            session.who.tenant, "credential.issued", issued->user.str(), "ok",
            {{"target", want.target.str()}, {"roles", names_of(want.roles)}, {"session", session.id.str()}}));
        turn.after.emplace_back([&impl, credential] {
          const std::unique_lock lock(impl.shared);
          impl.credentials.insert_or_assign(credential->id, credential);
        });
        issued->target = want.target;
        for (const auto& role : decision.roles) issued->roles.push_back(role.role);
        issued->offers = decision.offers;
        issued->login_ends_at = alive->ends_at;
        if (const auto it = tenant->targets.find(want.target); it != tenant->targets.end())
          issued->database = it->second->upstream("", base::Secret()).database;
        return std::move(*issued);
      });
}

std::optional<Verifier> Engine::lookup(std::string_view user) {
  const auto c = impl_->credential(core::CredentialId(std::string(user)));
  if (c == nullptr || !impl_->session(c->session)) return std::nullopt;
  return Verifier{c->tenant, c->id, c->target, c->verifier};
}

void Engine::admit(const core::CredentialId& credential, std::string peer, Done<Admission> done) {
  Impl& impl = *impl_;
  auto answer = std::make_shared<Done<Admission>>(std::move(done));
  Impl::Event event;
  event.failed = [answer](const Error& e) {
    if (*answer) std::exchange(*answer, nullptr)(e);
  };
  event.run = [&impl, credential, peer = std::move(peer), answer](Turn& turn) {
    return impl.admit(turn, credential, peer, answer);
  };
  impl.post(std::move(event));
}

namespace {

// Lets one client in under an active grant: counted and recorded first, answered after the commit.
Status open_connection(Engine::Impl& impl, Turn& turn, const Grant& grant, const std::string& peer,
                       const std::shared_ptr<Done<Admission>>& done) {
  const core::ConnectionId connection = core::new_connection_id(impl.p.entropy);
  DP_CHECK(turn.apply(grant.id, core::event::ConnectionOpened{connection, peer}));
  turn.after.emplace_back([&impl, id = grant.id, connection, done] {
    const auto refuse = [&](Error e) {
      if (*done) std::exchange(*done, nullptr)(std::move(e));
    };
    const Grant* known = impl.grant_book.find(id);
    if (known == nullptr || known->state != GrantState::active)
      return refuse(Error{Code::ended, "grant.ended", "the grant ended"});
    const Grant& g = *known;
    const auto world = impl.tenant(id.tenant);
    const auto target = world == nullptr ? std::shared_ptr<target::Target>()
                                         : (world->targets.contains(g.target) ? world->targets.at(g.target) : nullptr);
    auto secret = impl.p.vault.open(id.tenant, g.sealed_secret, "grant " + id.str());
    if (target == nullptr || !secret.ok()) {
      impl.post_grant(id, core::event::ConnectionClosed{connection, "refused"});
      return refuse(
          Error{Code::unavailable, "target.gone", "target " + g.target.str() + " is not configured any more"});
    }
    auto& meter = impl.meters[id];
    if (meter == nullptr) meter = std::make_shared<GrantMeter>();
    meter->last_active_ns = impl.p.clock.mono().time_since_epoch().count();
    Admission admission{id, connection, target->upstream(g.account, std::move(*secret)), impl.lease_of(g), meter};
    if (*done) std::exchange(*done, nullptr)(std::move(admission));
  });
  return {};
}

Error full(const Grant& grant, WallTime now) {
  const int most = core::most_connections(grant.offers, now - grant.opened_at);
  return {Code::exhausted, "grant.connections",
          "all " + std::to_string(most) + " connections of grant " + grant.id.id + " are in use",
          "close one; policy sets the number (@connections)"};
}

}  // namespace

Status Engine::Impl::keep_refusal(Turn& turn, const core::Identity& who, const core::AccessRequest& request) {
  // What does not exist is refused under any policy, and could be named in endless ways.
  const auto world = tenant(who.tenant);
  if (world == nullptr ||
      std::ranges::any_of(request.roles, [&](const core::RoleId& r) { return world->spec.role(r) == nullptr; }))
    return {};
  std::string what = who.principal() + "\n" + request.target.str();
  for (const auto& role : request.roles) what += "\n" + role.str();
  const std::string key = "dn_" + base::hex_encode(crypto::sha256(what)).substr(0, 32);
  DP_TRY(const std::string sealed, p.vault.seal(who.tenant, base::Secret(json::dump(facts_of(who, request, turn.now))),
                                                "decision " + who.tenant.str() + "/" + key));
  return turn.put_document(who.tenant, doc_decision, key, sealed, turn.now + std::chrono::days(30));
}

Status Engine::Impl::admit(Turn& turn, const core::CredentialId& credential_id, const std::string& peer,
                           std::shared_ptr<Done<Admission>> done) {
  const auto c = credential(credential_id);
  const auto s = c == nullptr ? std::nullopt : session(c->session);
  if (!s || s->ends_at <= turn.now) return login_ended();
  const auto world = tenant(c->tenant);
  if (world == nullptr) return Error{Code::unavailable, "tenant.unknown", "the tenant is not configured"};
  turn.actor = s->who.principal();
  // Before anything is decided that would be written down: attempts must not use up the room that is left.
  if (auto no_room = refuse_short(true)) return *std::move(no_room);

  core::AccessRequest request{c->target, c->roles, c->reason, c->wanted, address_of(peer)};
  core::Decision decision = decide(*world, s->who, request, turn.now);
  const auto deny = [&](Error error) -> Status {
    metrics.denials.fetch_add(1, std::memory_order_relaxed);
    DP_CHECK(
        turn.audit(c->tenant, "access.denied", c->target.str(), "denied",
                   {{"roles", names_of(c->roles)}, {"why", error.message}, {"check", error.check}, {"peer", peer}}));
    turn.after.emplace_back([done, error] {
      if (*done) std::exchange(*done, nullptr)(error);
    });
    return {};
  };
  if (auto cold = refuse_frozen(c->tenant)) return deny(*std::move(cold));
  if (decision.verdict != core::Verdict::allow) {
    DP_CHECK(keep_refusal(turn, s->who, request));
    return deny({Code::denied, "policy.denied", decision.why, decision.ask});
  }

  std::vector<core::RoleId> roles;
  for (const auto& role : decision.roles) roles.push_back(role.role);
  std::sort(roles.begin(), roles.end());
  store::Selector mine = of_session(c->tenant, s->id);
  mine.target = c->target;
  std::optional<Grant> existing;
  DP_TRY(const auto all_mine, turn.open_grants(mine));
  for (const auto& id : all_mine) {
    // What earlier events of this batch made of it is what counts.
    DP_TRY(Grant g, turn.grant(id));
    if (g.roles == roles && (g.state == GrantState::provisioning || g.state == GrantState::active))
      existing = std::move(g);
  }

  if (existing) {
    // A grant at its end is ended first; then this connection asks like everybody else.
    DP_CHECK(turn.apply(existing->id, core::event::Tick{}));
    DP_TRY(existing, turn.grant(existing->id));
  }
  if (existing && existing->state == GrantState::active) {
    if (!core::admits(*existing, turn.now)) return deny(full(*existing, turn.now));
    return open_connection(*this, turn, *existing, peer, done);
  }
  if (existing && existing->state == GrantState::provisioning) {
    turn.after.emplace_back(
        [this, id = existing->id, credential_id, peer, done] { waiters[id].push_back({credential_id, peer, done}); });
    return {};
  }
  if (auto why = stale(turn, *s)) return deny(*std::move(why));
  if (auto no_room = refuse_short()) return *std::move(no_room);
  if (!time.trusted())
    return Error{Code::unavailable, "clock.untrusted",
                 "the server's clock stepped; no new access is given until it is confirmed"};

  const GrantId id = core::new_grant_id(c->tenant, p.entropy);
  decision.record = "dc_" + id.id.substr(3);
  const std::string facts = json::dump(facts_of(s->who, request, turn.now));
  DP_TRY(const std::string record,
         p.vault.seal(c->tenant, base::Secret(facts), "decision " + c->tenant.str() + "/" + decision.record));
  DP_CHECK(turn.put_document(c->tenant, doc_decision, decision.record, record, {}, 0));
  const base::Secret password = base::Secret::take(base::random_token(p.entropy, 24));
  DP_TRY(std::string sealed, p.vault.seal(c->tenant, password, "grant " + id.str()));
  core::Step step = core::open_grant(id, s->id, s->who, c->target, decision, c->wanted, s->ends_at,
                                     core::account_name(p.instance, id), std::move(sealed), turn.now);
  DP_CHECK(turn.keep_step(std::move(step)));
  metrics.grants_opened.fetch_add(1, std::memory_order_relaxed);
  turn.after.emplace_back([this, id, credential_id, peer, done, roles = std::move(roles)] {
    waiters[id].push_back({credential_id, peer, done});
    note_given(id.tenant, roles);
  });
  return {};
}

void Engine::Impl::wake_waiters(const Grant& grant) {
  const auto it = waiters.find(grant.id);
  if (it == waiters.end()) return;
  auto list = std::move(it->second);
  waiters.erase(it);
  for (auto& waiter : list) {
    if (grant.state == GrantState::active) {
      // Through admit again: the world may have changed while the account was being made.
      Event event;
      event.failed = [done = waiter.done](const Error& e) {
        if (*done) std::exchange(*done, nullptr)(e);
      };
      event.run = [this, waiter, id = grant.id](Turn& turn) -> Status {
        // Whoever has waited for it all along was not idle, however long the store took to write it down.
        if (const Status noted = turn.apply(id, core::event::Activity{turn.now});
            !noted.ok() && noted.error().code != Code::not_found)
          return noted;
        return admit(turn, waiter.credential, waiter.peer, waiter.done);
      };
      post(std::move(event));
      continue;
    }
    Error error{Code::ended, "grant.ended", sentence_of(grant, grant.end_reason, grant.end_note)};
    if (grant.end_reason == core::EndReason::provision_failed)
      error = {Code::unavailable, "target.provision_failed",
               "no account could be made on " + grant.target.str() + ": " + grant.end_note,
               "daypass target check " + grant.target.str()};
    if (*waiter.done) std::exchange(*waiter.done, nullptr)(std::move(error));
  }
}

void Engine::closed(const GrantId& grant, const core::ConnectionId& connection, ConnectionStats stats) {
  Impl& impl = *impl_;
  Impl::Event event;
  event.grant_event.emplace(grant, core::event::ConnectionClosed{connection, stats.why});
  event.run = [&impl, grant, connection, stats = std::move(stats)](Turn& turn) -> Status {
    if (const auto whose = turn.grant(grant); whose.ok())
      turn.after.emplace_back([&impl, whose = *whose, stats] { impl.note_used(whose, stats); });
    if (stats.statements == 0 && stats.segment_digest.empty()) return {};
    return turn.audit(grant.tenant, "connection.activity", grant.id, "ok",
                      {{"connection", connection.str()},
                       {"statements", stats.statements},
                       {"bytes_in", stats.bytes_in},
                       {"bytes_out", stats.bytes_out},
                       {"segment", stats.segment},
                       {"sha256", stats.segment_digest}});
  };
  impl.post(std::move(event));
}

void Engine::active(const GrantId& grant, base::MonoTime at) {
  Impl& impl = *impl_;
  const WallTime wall = impl.now() - std::chrono::duration_cast<base::Millis>(impl.p.clock.mono() - at);
  impl.post_grant(grant, core::event::Activity{wall});
}

}  // namespace daypass::engine
