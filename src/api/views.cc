#include "api/views.h"

namespace daypass::api {

namespace json = base::json;

namespace {
json::Array strings(const std::vector<std::string>& list) {
  json::Array out;
  for (const auto& s : list) out.emplace_back(s);
  return out;
}
json::Array names(const std::vector<core::RoleId>& roles) {
  json::Array out;
  for (const auto& role : roles) out.emplace_back(role.str());
  return out;
}
}  // namespace

json::Value view(const engine::Revalidated& answer) {
  constexpr std::string_view states[] = {"unchanged", "changed", "ended"};
  json::Object out{{"state", states[static_cast<std::size_t>(answer.state)]}, {"grants_ended", answer.grants_ended}};
  if (!answer.why.empty()) out.set("why", answer.why);
  return out;
}

json::Value view(const engine::LoginSession& s) {
  json::Array groups(s.who.groups.begin(), s.who.groups.end());
  json::Object out{{"id", s.id.str()},
                   {"tenant", s.who.tenant.str()},
                   {"principal", s.who.principal()},
                   {"display", s.who.display},
                   {"idp", s.who.idp},
                   {"groups", std::move(groups)},
                   {"attributes", core::to_json(s.who.attributes)},
                   {"client", s.client},
                   {"started_at", base::to_rfc3339(s.started_at)},
                   {"ends_at", base::to_rfc3339(s.ends_at)}};
  if (s.revalidation) out.set("checked_at", base::to_rfc3339(s.revalidation->checked_at));
  if (s.is_stale()) out.set("stale_since", base::to_rfc3339(*s.revalidation->stale_since));
  return out;
}

json::Value view(const core::Offers& offers) {
  json::Array out;
  for (const auto& o : offers)
    out.push_back(json::Object{{"policy", o.policy},
                               {"duration", base::to_string(o.duration)},
                               {"idle", base::to_string(o.idle)},
                               {"connections", o.connections}});
  return out;
}

json::Value view(const core::Grant& g, base::WallTime now) {
  json::Object out{{"id", g.id.id},
                   {"principal", g.principal},
                   {"session", g.session.str()},
                   {"target", g.target.str()},
                   {"roles", names(g.roles)},
                   {"state", core::to_string(g.state)},
                   {"account", g.account},
                   {"connections", g.connections},
                   {"opened_at", base::to_rfc3339(g.opened_at)},
                   {"ends_at", base::to_rfc3339(g.ends_at)},
                   {"offers", view(g.offers)}};
  if (const auto due = core::next_tick(g)) out.set("idle_end_at", base::to_rfc3339(*due));
  if (g.end_reason != core::EndReason::none) {
    out.set("end_reason", core::to_string(g.end_reason));
    out.set("end_note", g.end_note);
  }
  if (g.revoking_since) out.set("ended_at", base::to_rfc3339(*g.revoking_since));
  out.set("overdue",
          g.state == core::GrantState::revoking && g.revoking_since && now - *g.revoking_since > core::overdue_after);
  return out;
}

json::Value view(const core::RoleDecision& d, const core::RoleSpec* spec) {
  const bool allowed = d.verdict == core::Verdict::allow;
  json::Object out{
      {"role", d.role.str()}, {"target", core::target_of(d.role).str()}, {"verdict", allowed ? "allow" : "deny"},
      {"why", d.why},         {"policies", strings(d.policies)},         {"offers", view(d.offers)}};
  if (!d.ask.empty()) out.set("ask", d.ask);
  if (!d.erred.empty()) out.set("erred", strings(d.erred));
  if (spec != nullptr) {
    out.set("elevated", spec->elevated);
    if (!spec->description.empty()) out.set("description", spec->description);
  }
  return out;
}

json::Value view(const target::Finding& f) {
  constexpr std::string_view grades[] = {"ok", "warn", "fail"};
  return json::Object{{"grade", grades[static_cast<int>(f.grade)]},
                      {"check", f.check},
                      {"subject", f.subject},
                      {"message", f.message},
                      {"fix", f.fix}};
}

namespace {
json::Array view(const std::vector<config::Problem>& list) {
  json::Array out;
  for (const auto& p : list)
    out.push_back(json::Object{{"file", p.file},
                               {"line", p.line},
                               {"column", p.column},
                               {"message", p.message},
                               {"hint", p.hint},
                               {"text", p.render()}});
  return out;
}
}  // namespace

json::Value view(const engine::Simulated& s) {
  json::Array shifts, unchanged_by;
  for (const auto& one : s.shifts)
    shifts.push_back(json::Object{{"record", one.record},
                                  {"principal", one.principal},
                                  {"at", base::to_rfc3339(one.at)},
                                  {"role", one.role.str()},
                                  {"verdict", one.allowed ? "allow" : "deny"},
                                  {"policies", strings(one.policies)},
                                  {"why", one.why}});
  const auto count = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  for (const auto& [policies, n] : s.unchanged_by)
    unchanged_by.push_back(json::Object{{"policies", policies}, {"decisions", count(n)}});
  return json::Object{{"records", count(s.records)},
                      {"unreadable", count(s.unreadable)},
                      {"complete", s.complete},
                      {"newly_allowed", count(s.newly_allowed)},
                      {"newly_denied", count(s.newly_denied)},
                      {"unchanged", count(s.unchanged)},
                      {"shifts", std::move(shifts)},
                      {"unchanged_by", std::move(unchanged_by)},
                      {"problems", view(s.problems)},
                      {"warnings", strings(s.warnings)}};
}

json::Value view(const engine::Applied& a) {
  return json::Object{{"version", a.version},
                      {"plan", strings(a.plan)},
                      {"problems", view(a.problems)},
                      {"warnings", strings(a.warnings)},
                      {"grants_ended", static_cast<std::int64_t>(a.grants_ended)}};
}

json::Value view(const engine::Trial& t) {
  constexpr std::string_view states[] = {"waiting", "passed", "failed"};
  json::Object out{{"id", t.id},
                   {"state", states[static_cast<int>(t.state)]},
                   {"ends_at", base::to_rfc3339(t.ends_at)},
                   {"warnings", strings(t.warnings)}};
  if (!t.problems.empty()) out.set("problems", view(t.problems));
  if (t.error)
    out.set("error", json::Object{{"check", t.error->check}, {"message", t.error->message}, {"hint", t.error->hint}});
  if (!t.claims.is_null()) out.set("claims", t.claims);
  if (t.state != engine::Trial::State::passed) return out;
  json::Object who{{"principal", t.who.principal()},
                   {"display", t.who.display},
                   {"groups", json::Array(t.who.groups.begin(), t.who.groups.end())},
                   {"attributes", core::to_json(t.who.attributes)},
                   {"acr", t.who.acr},
                   {"amr", strings(t.who.amr)}};
  if (t.who.auth_time > base::WallTime{}) who.set("auth_time", base::to_rfc3339(t.who.auth_time));
  out.set("identity", std::move(who));
  out.set("session_ends_at", base::to_rfc3339(t.session_ends_at));
  json::Array roles;
  for (const auto& role : t.roles) roles.push_back(view(role, nullptr));
  out.set("roles", std::move(roles));
  out.set("administers", t.administers);
  return out;
}

json::Value view(const std::vector<engine::DomainInfo>& domains) {
  json::Array out;
  for (const auto& d : domains) {
    json::Object one{{"domain", d.domain},
                     {"idp", d.idp},
                     {"state", d.proven_at ? "proven" : "unproven"},
                     {"record", d.name},
                     {"value", d.value}};
    if (d.proven_at) one.set("proven_at", base::to_rfc3339(*d.proven_at));
    if (d.holds_until) one.set("holds_until", base::to_rfc3339(*d.holds_until));
    if (d.looked_at) one.set("looked_at", base::to_rfc3339(*d.looked_at));
    if (!d.why.empty()) one.set("why", d.why);
    out.push_back(std::move(one));
  }
  return json::Object{{"domains", std::move(out)}};
}

}  // namespace daypass::api
