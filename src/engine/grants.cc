// What one may have, and what becomes of a grant on request: list, explain, extend, end, wait until it is gone.
#include <algorithm>

#include "engine/turn.h"

namespace daypass::engine {

using core::GrantState;

Result<std::vector<core::RoleDecision>> Engine::list_roles(const LoginSession& session, core::AccessRequest request) {
  const auto world = impl_->tenant(session.who.tenant);
  if (world == nullptr) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
  return decide_all(*world, session.who, request, impl_->now());
}

Result<json::Value> Engine::explain_role(const LoginSession* caller, const core::TenantId& tenant,
                                         const std::string& principal, const core::RoleId& role, bool full,
                                         std::optional<WallTime> at) {
  const auto world = impl_->tenant(tenant);
  if (world == nullptr) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
  if (world->spec.role(role) == nullptr)
    return Error{Code::not_found, "role.unknown", "there is no role " + role.str(), "daypass ls shows what there is"};
  std::optional<core::Identity> who;
  if (principal.empty() && caller != nullptr) who = caller->who;
  // A short name will do where only one person carries it.
  for (const auto& s : login_sessions(tenant))
    if (!who && (s.who.principal() == principal || s.who.subject == principal || s.who.display == principal))
      who = s.who;
  if (!who)
    return Error{Code::not_found, "principal.unknown", "nobody called " + principal + " is signed in",
                 "attributes are known while a login lasts; ask them to run daypass login"};
  core::AccessRequest request;
  request.target = core::target_of(role);
  request.roles = {role};
  return explain(*world, *who, request, role, at.value_or(impl_->now()), full);
}

bool Engine::administers(const LoginSession& session, const std::string& client_address) {
  const auto world = impl_->tenant(session.who.tenant);
  core::AccessRequest request;
  request.client_address = client_address;
  return world != nullptr && may_administer(*world, session.who, request, impl_->now());
}

void Engine::list_grants(store::Selector selector, Done<std::vector<Grant>> done) {
  impl_->call<std::vector<Grant>>(std::move(done), [this, selector](Turn& turn) -> Result<std::vector<Grant>> {
    DP_TRY(auto list, turn.tx.grants(selector));
    // Memory knows of activity that was not worth a write.
    for (auto& grant : list)
      if (const Grant* known = impl_->grant_book.find(grant.id)) grant = *known;
    return list;
  });
}

namespace {

Result<Grant> owned_grant(Turn& turn, const GrantId& id, const std::optional<core::SessionId>& owner) {
  DP_TRY(Grant grant, turn.grant(id));
  // Somebody else's is the same answer as none.
  if (owner && grant.session != *owner)
    return Error{Code::not_found, "grant.unknown", "there is no grant " + id.id, "daypass grants ls shows yours"};
  return grant;
}

}  // namespace

void Engine::extend_grant(LoginSession session, GrantId id, base::Millis by, std::string client_address,
                          Done<Grant> done) {
  Impl& impl = *impl_;
  // Bounded before it is added to a time.
  by = std::clamp<base::Millis>(by, base::Millis(0), std::chrono::hours(24 * 3650));
  impl.call<Grant>(std::move(done), [&impl, session, id, by, client_address](Turn& turn) -> Result<Grant> {
    turn.actor = session.who.principal();
    DP_TRY(const Grant grant, owned_grant(turn, id, session.id));
    if (grant.state != GrantState::active)
      return Error{Code::ended, "grant.not_active",
                   "grant " + id.id + " is " + std::string(core::to_string(grant.state)),
                   "connect again for a new one"};
    if (!impl.time.trusted())
      return Error{Code::unavailable, "clock.untrusted",
                   "the server's clock stepped; nothing is extended until it is confirmed"};
    if (auto no_room = impl.refuse_short()) return *std::move(no_room);
    const auto alive = impl.session(session.id);
    const auto world = impl.tenant(session.who.tenant);
    if (!alive || world == nullptr || alive->ends_at <= turn.now)
      return Error{Code::unauthenticated, "login.ended", "the login has ended", "daypass login"};
    if (auto stale = impl.stale(turn, *alive)) {
      turn.keep = true;
      return *std::move(stale);
    }
    core::AccessRequest request{grant.target, grant.roles, "extend", by, client_address};
    core::Decision decision = decide(*world, alive->who, request, turn.now);
    if (decision.verdict != core::Verdict::allow) {
      turn.keep = true;
      DP_CHECK(turn.audit(id.tenant, "access.denied", id.id, "denied", {{"why", decision.why}, {"what", "extend"}}));
      return Error{Code::denied, "policy.denied", decision.why, decision.ask};
    }
    const WallTime cap = std::min(grant.opened_at + core::longest(decision.offers), alive->ends_at);
    const WallTime wanted = std::min(turn.now + by, cap);
    if (wanted <= grant.ends_at)
      return Error{Code::invalid, "grant.cap",
                   "grant " + id.id + " lasts until " + base::to_rfc3339(grant.ends_at) + " already" +
                       (cap <= grant.ends_at ? ", the most that policy allows" : ""),
                   cap <= grant.ends_at ? "connect again when it has ended" : "ask for more with --for"};
    // A record of its own: what later decides this grant again is what this extension was decided on.
    decision.record = "dc_" + id.id.substr(3) + "_" + std::to_string(grant.version);
    DP_TRY(const std::string sealed,
           impl.p.vault.seal(id.tenant, base::Secret(json::dump(facts_of(alive->who, request, turn.now))),
                             "decision " + id.tenant.str() + "/" + decision.record));
    DP_CHECK(turn.put_document(id.tenant, doc_decision, decision.record, sealed, {}, 0));
    DP_CHECK(
        turn.apply(id, core::event::ExtendGranted{decision.offers, wanted, decision.record, decision.policy_version}));
    return turn.grant(id);
  });
}

void Engine::end_grant(GrantId id, std::optional<core::SessionId> owner, core::EndReason reason, std::string actor,
                       Done<Grant> done) {
  impl_->call<Grant>(std::move(done), [id, owner, reason, actor](Turn& turn) -> Result<Grant> {
    DP_TRY(const Grant grant, owned_grant(turn, id, owner));
    turn.actor = actor;
    DP_CHECK(turn.apply(id, core::event::End{reason, actor}));
    return turn.grant(id);
  });
}

void Engine::wait_closed(GrantId id, base::Millis budget, Done<Grant> done) {
  Impl& impl = *impl_;
  auto answer = std::make_shared<Done<Grant>>(std::move(done));
  Impl::Event event;
  event.failed = [answer](const Error& e) {
    if (*answer) std::exchange(*answer, nullptr)(e);
  };
  event.run = [&impl, id, budget, answer](Turn& turn) -> Status {
    DP_TRY(const Grant grant, turn.grant(id));
    turn.after.emplace_back(
        [&impl, id, budget, answer, closed = grant.state == GrantState::closed, grant, now = turn.now] {
          if (closed) return std::exchange(*answer, nullptr)(grant);
          impl.closing[id].push_back(answer);
          impl.timers.emplace(now + budget, Impl::Timer{.kind = Impl::Timer::Kind::closing_timeout,
                                                        .grant = id,
                                                        .tenant = {},
                                                        .session = {},
                                                        .done = answer,
                                                        .retry = {}});
        });
    return {};
  };
  impl.post(std::move(event));
}

}  // namespace daypass::engine
