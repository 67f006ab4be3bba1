// A person changes while they are signed in: what a verifier says of them now takes the place of what it said before,
// in memory and in the store, and every live grant of the login is decided again. One way for whoever brings the news.
#include <algorithm>

#include "engine/turn.h"

namespace daypass::engine {
namespace {

/// What is different, by name. Values are the person's, and stay out of the audit log.
json::Array differences(const core::Identity& before, const core::Identity& after) {
  json::Array out;
  const auto note = [&](bool same, std::string_view name) {
    if (!same) out.emplace_back(name);
  };
  note(before.display == after.display, "display");
  note(before.groups == after.groups, "groups");
  std::set<std::string> names;
  for (const auto* one : {&before.attributes, &after.attributes})
    for (const auto& [name, value] : *one) names.insert(name);
  for (const auto& name : names) {
    const auto a = before.attributes.find(name), b = after.attributes.find(name);
    const bool in_both = a != before.attributes.end() && b != after.attributes.end();
    note(in_both && a->second == b->second, "attributes." + name);
  }
  note(before.kind == after.kind && before.acting_for == after.acting_for, "kind");
  note(before.auth_time == after.auth_time, "auth_time");
  note(before.acr == after.acr && before.amr == after.amr, "acr");
  note(before.idp_sessions == after.idp_sessions, "idp_sessions");
  note(before.not_after == after.not_after, "not_after");
  return out;
}

}  // namespace

Result<Renewal> Engine::Impl::replace_person(Turn& turn, LoginSession& s, core::Identity who) {
  if (who.tenant != s.who.tenant || who.idp != s.who.idp || who.subject != s.who.subject)
    return Error{Code::unauthenticated, "login.subject",
                 "the identity provider speaks of another person than the one who signed in"};
  // What the provider's directory says of them counts now as it did at the sign-in.
  DP_CHECK(consult_directory(turn, who));
  Renewal out;
  const json::Array changes = differences(s.who, who);
  if (changes.empty()) return out;
  out.changed = true;
  s.who = std::move(who);
  // Only ever earlier: a login lasts as long as was said when it began, or less.
  if (s.who.not_after) s.ends_at = std::min(s.ends_at, *s.who.not_after);
  const auto world = tenant(s.who.tenant);
  DP_TRY(const auto grants, giving(turn, of_session(s.who.tenant, s.id)));
  if (world == nullptr)
    DP_CHECK(turn.end(grants, core::EndReason::policy, "tenant.unknown"));
  else
    DP_CHECK(redecide(turn, *world, grants, &s.who, s.ends_at, &out.grants_ended));
  json::Object facts{{"principal", s.who.principal()},
                     {"changed", changes},
                     {"grants_ended", out.grants_ended},
                     {"ends_at", base::to_rfc3339(s.ends_at)}};
  if (std::ranges::find(changes, json::Value("groups")) != changes.end()) {
    json::Array groups;
    for (const auto& group : s.who.groups) groups.emplace_back(group);
    facts.set("groups", std::move(groups));
  }
  DP_CHECK(turn.audit(s.who.tenant, "login.renewed", s.id.str(), "ok", std::move(facts)));
  return out;
}

Status Engine::Impl::keep_session(Turn& turn, const LoginSession& s) {
  DP_CHECK(turn.put_document(s.who.tenant, doc_session, s.id.str(), session_body(s), s.ends_at));
  // Whoever asks behind this must see it.
  turn.last = true;
  turn.after.emplace_back([this, s] {
    bool earlier = false;
    {
      const std::unique_lock lock(shared);
      const auto it = sessions.find(s.id);
      if (it == sessions.end()) return;
      earlier = s.ends_at < it->second.ends_at;
      metrics.sessions_stale += (s.is_stale() ? 1 : 0) - (it->second.is_stale() ? 1 : 0);
      it->second = s;
    }
    if (earlier) watch_end(s);
  });
  return {};
}

Result<Renewal> Engine::Impl::renew_session(Turn& turn, const core::SessionId& id, core::Identity who) {
  auto s = session(id);
  if (!s || s->ends_at <= turn.now || logged_out.contains(id))
    return Error{Code::not_found, "session.unknown", "there is no such login session, or it has ended"};
  DP_TRY(const Renewal out, replace_person(turn, *s, std::move(who)));
  if (out.changed) DP_CHECK(keep_session(turn, *s));
  return out;
}

void Engine::renew(core::TenantId tenant, core::SessionId session, core::Identity who, std::string actor,
                   Done<Renewal> done) {
  Impl& impl = *impl_;
  impl.call<Renewal>(std::move(done), [&impl, tenant, session, who, actor](Turn& turn) -> Result<Renewal> {
    turn.actor = actor;
    const auto known = impl.session(session);
    if (!known || known->who.tenant != tenant)
      return Error{Code::not_found, "session.unknown", "there is no such login session, or it has ended"};
    return impl.renew_session(turn, session, who);
  });
}

}  // namespace daypass::engine
