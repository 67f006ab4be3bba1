#include "engine/decide.h"

#include <algorithm>

#include "engine/flip.h"
#include "engine/question.h"

namespace daypass::engine {
namespace {

using base::Code;
using base::Error;
using core::Decision;
using core::RoleDecision;
using core::Verdict;
namespace json = base::json;

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const auto& item : list) out += (out.empty() ? "" : ", ") + item;
  return out;
}

// The caps of role and target bound each offer; the target's defaults stand in where annotations are silent.
core::Offer offer_of(const Tenant& tenant, const std::string& policy, const core::RoleSpec& role) {
  const core::TargetSpec* target = tenant.spec.target(core::target_of(role.id));
  const core::DefaultLimits defaults = target == nullptr ? core::DefaultLimits{} : target->limits;
  core::Offer offer{policy, defaults.duration, defaults.idle, defaults.connections};
  if (const auto it = tenant.limits.find(policy); it != tenant.limits.end()) {
    offer.duration = it->second.duration.value_or(offer.duration);
    offer.idle = it->second.idle.value_or(offer.idle);
    offer.connections = it->second.connections.value_or(offer.connections);
  }
  if (role.duration_cap) offer.duration = std::min(offer.duration, *role.duration_cap);
  return offer;
}

// A refused person learns which permits speak of the role, and what would make them fit; not their text.
void suggest(const Question& question, const core::RoleSpec& role, RoleDecision& out) {
  using Part = cedar::ExplainedPart;
  const cedar::Request ask = question.ask(role.id);
  for (const auto& policy : question.tenant.policies.policies()) {
    if (policy.effect() != cedar::Effect::permit) continue;
    // Most policies speak of other roles: those are not worth an account.
    if (!cedar::holds(policy.resource(), question.entities, ask.resource) ||
        !cedar::holds(policy.action(), question.entities, ask.action))
      continue;
    const cedar::Explanation e = cedar::explain(policy, question.entities, ask);
    const auto failed = [&](Part::Kind kind) {
      return std::any_of(e.parts.begin(), e.parts.end(),
                         [&](const Part& p) { return p.kind == kind && p.outcome != Part::Outcome::held; });
    };
    out.policies.push_back(policy.id());
    if (!out.ask.empty()) continue;
    const cedar::ScopeTest& scope = policy.principal();
    if (failed(Part::Kind::principal) && scope.kind == cedar::ScopeTest::Kind::in && !scope.entities.empty())
      out.ask = "ask for membership in " + scope.entities.front().to_string() + " (policy " + policy.id() + ")";
    else
      out.ask = "ask an administrator about policy " + policy.id() + ", whose conditions did not hold";
  }
  if (!out.policies.empty()) out.why = "policy " + joined(out.policies) + " gives it, but does not apply to you";
}

RoleDecision decide_role(const Question& question, const core::RoleSpec& role) {
  const cedar::Answer answer = cedar::authorize(*question.tenant.compiled, question.entities, question.ask(role.id));
  RoleDecision out;
  out.role = role.id;
  for (const auto& error : answer.errors) out.erred.push_back(error.policy);
  if (!answer.erred_forbids.empty()) {
    // Cedar skips what it can't evaluate; a prohibition that can't be evaluated must still prohibit.
    out.policies = answer.erred_forbids;
    out.why = "forbidden: policy " + joined(out.policies) + " could not be evaluated";
    return out;
  }
  if (answer.decision == cedar::Decision::deny) {
    out.policies = answer.satisfied_forbids;
    out.why = out.policies.empty() ? "no policy permits it" : "forbidden by policy " + joined(out.policies);
    if (out.policies.empty()) suggest(question, role, out);
    return out;
  }
  out.verdict = Verdict::allow;
  out.policies = answer.satisfied_permits;
  for (const auto& policy : out.policies) out.offers.push_back(offer_of(question.tenant, policy, role));
  out.why = "permitted by policy " + joined(out.policies);
  return out;
}

Decision refuse(Decision decision, std::string why) {
  decision.verdict = Verdict::deny;
  decision.why = std::move(why);
  return decision;
}

}  // namespace

std::vector<RoleDecision> decide_all(const Tenant& tenant, const core::Identity& who,
                                     const core::AccessRequest& request, base::WallTime now) {
  const Question question(tenant, who, request, now);
  std::vector<RoleDecision> out;
  for (const auto& role : tenant.spec.roles) out.push_back(decide_role(question, role));
  return out;
}

Decision decide(const Tenant& tenant, const core::Identity& who, const core::AccessRequest& request,
                base::WallTime now) {
  Decision decision;
  decision.policy_version = tenant.spec.version;
  if (tenant.spec.target(request.target) == nullptr)
    return refuse(std::move(decision), "there is no target " + request.target.str());
  const Question question(tenant, who, request, now);
  const bool named = !request.roles.empty();
  for (const auto& role : tenant.spec.roles) {
    if (core::target_of(role.id) != request.target) continue;
    const bool asked = std::find(request.roles.begin(), request.roles.end(), role.id) != request.roles.end();
    if (named ? !asked : role.elevated) continue;
    decision.roles.push_back(decide_role(question, role));
  }
  if (named && decision.roles.size() < request.roles.size()) {
    for (const auto& role : request.roles)
      if (tenant.spec.role(role) == nullptr || core::target_of(role) != request.target)
        return refuse(std::move(decision), "there is no role " + role.str() + " on " + request.target.str());
    return refuse(std::move(decision), "a role is named twice");
  }
  if (named) {
    // Everything that was named, or nothing: half of what somebody asked for is a surprise.
    for (const auto& role : decision.roles)
      if (role.verdict != Verdict::allow) {
        std::string why = role.role.str() + ": " + role.why;
        decision.ask = role.ask;
        return refuse(std::move(decision), std::move(why));
      }
  } else {
    const auto allowed = [](const RoleDecision& r) { return r.verdict == Verdict::allow; };
    if (std::none_of(decision.roles.begin(), decision.roles.end(), allowed)) {
      std::string why =
          decision.roles.empty() ? request.target.str() + " has no role that is given without naming it" : "";
      for (const auto& role : decision.roles)
        if (decision.ask.empty()) decision.ask = role.ask;
      for (const auto& role : decision.roles) why += (why.empty() ? "" : "; ") + role.role.str() + ": " + role.why;
      return refuse(std::move(decision), std::move(why));
    }
    std::erase_if(decision.roles, [&](const RoleDecision& r) { return !allowed(r); });
  }
  decision.verdict = Verdict::allow;
  decision.offers = decision.roles.front().offers;
  for (std::size_t i = 1; i < decision.roles.size(); ++i)
    decision.offers = core::combine(decision.offers, decision.roles[i].offers);
  std::vector<std::string> policies;
  for (const auto& role : decision.roles)
    for (const auto& policy : role.policies)
      if (std::find(policies.begin(), policies.end(), policy) == policies.end()) policies.push_back(policy);
  decision.why = "permitted by policy " + joined(policies);
  return decision;
}

bool may_administer(const Tenant& tenant, const core::Identity& who, const core::AccessRequest& request,
                    base::WallTime now) {
  const Question question(tenant, who, request, now);
  const cedar::Request ask{
      question.principal, {"Action", "administer"}, {"Tenant", tenant.spec.tenant.str()}, question.context};
  const cedar::Answer answer = cedar::authorize(*tenant.compiled, question.entities, ask);
  return allows(answer);
}

namespace {

json::Value part_to_json(const cedar::ExplainedPart& part, bool full) {
  json::Object out{{"part", cedar::to_string(part.kind)}, {"outcome", cedar::to_string(part.outcome)}};
  if (!full) return out;
  out.set("text", part.text);
  out.set("line", std::int64_t{part.line});
  out.set("column", std::int64_t{part.column});
  if (!part.error.empty()) out.set("error", part.error);
  if (part.terms.size() > 1) {
    json::Array terms;
    for (const auto& term : part.terms) terms.push_back(part_to_json(term, full));
    out.set("terms", std::move(terms));
  }
  return out;
}

}  // namespace

json::Value explain(const Tenant& tenant, const core::Identity& who, const core::AccessRequest& request,
                    const core::RoleId& role, base::WallTime now, bool full) {
  const Question question(tenant, who, request, now);
  const core::RoleSpec* spec = tenant.spec.role(role);
  DP_ASSERT(spec != nullptr);
  const RoleDecision decision = decide_role(question, *spec);
  const cedar::Request ask = question.ask(role);
  json::Array policies;
  for (const auto& policy : tenant.policies.policies()) {
    const cedar::Explanation e = cedar::explain(policy, question.entities, ask);
    const auto scope_held = [](const cedar::ExplainedPart& p) {
      using Kind = cedar::ExplainedPart::Kind;
      return (p.kind != Kind::action && p.kind != Kind::resource) || p.outcome == cedar::ExplainedPart::Outcome::held;
    };
    // A policy about another role or action has nothing to say here.
    if (!std::all_of(e.parts.begin(), e.parts.end(), scope_held)) continue;
    json::Object out{{"policy", e.policy},
                     {"effect", cedar::to_string(e.effect)},
                     {"outcome", e.erred       ? "erred"
                                 : e.satisfied ? "satisfied"
                                               : "not satisfied"}};
    if (full) out.set("place", policy.file() + ":" + std::to_string(policy.line()));
    json::Array parts;
    for (const auto& part : e.parts) parts.push_back(part_to_json(part, full));
    out.set("parts", std::move(parts));
    policies.push_back(std::move(out));
  }
  json::Object out{{"principal", who.principal()},
                   {"role", role.str()},
                   {"verdict", decision.verdict == Verdict::allow ? "allow" : "deny"},
                   {"why", decision.why},
                   {"policy_version", tenant.spec.version},
                   {"offers", core::to_json(decision.offers)},
                   {"policies", std::move(policies)}};
  json::Array deciding;
  // A refusal also names the permits that did not apply: those are among `policies`, they decided nothing.
  const bool by_forbid = decision.verdict != Verdict::allow;
  for (const auto& id : decision.policies)
    if (const auto* policy = tenant.policies.find(id);
        policy != nullptr && (policy->effect() == cedar::Effect::forbid) == by_forbid)
      deciding.emplace_back(id);
  out.set("deciding", std::move(deciding));
  if (!decision.ask.empty()) out.set("ask", decision.ask);
  if (!full) return out;
  out.set("context", json::Value(ask.to_json()));
  json::Array changes;
  for (const auto& change : smallest_flip(tenant, who, request, role, now))
    changes.push_back(json::Object{{"fact", change.fact}, {"now", change.now}, {"would_be", change.would_be}});
  if (!changes.empty())
    out.set("flip", json::Object{{"verdict", decision.verdict == Verdict::allow ? "deny" : "allow"},
                                 {"changes", std::move(changes)}});
  return out;
}

json::Value facts_of(const core::Identity& who, const core::AccessRequest& request, base::WallTime at) {
  json::Array roles;
  for (const auto& role : request.roles) roles.emplace_back(role.str());
  json::Object asked{{"target", request.target.str()},
                     {"roles", std::move(roles)},
                     {"reason", request.reason},
                     {"client_address", request.client_address}};
  if (request.wanted_duration) asked.set("wanted_ms", std::int64_t{request.wanted_duration->count()});
  return json::Object{
      {"v", 1}, {"identity", core::to_json(who)}, {"request", std::move(asked)}, {"at", base::to_rfc3339(at)}};
}

base::Result<Facts> facts_from_json(const json::Value& value) {
  const Error damaged{Code::internal, "facts.shape", "a stored decision record is damaged"};
  const json::Value* identity = value.find("identity");
  const json::Value* asked = value.find("request");
  if (value.int_or("v", 0) != 1 || identity == nullptr || asked == nullptr) return damaged;
  Facts facts;
  DP_TRY(facts.who, core::identity_from_json(*identity));
  DP_TRY(facts.request.target, core::parse_target(asked->string_or("target")));
  const json::Value* roles = asked->find("roles");
  if (roles == nullptr || roles->as_array() == nullptr) return damaged;
  for (const auto& role : *roles->as_array()) {
    if (role.as_string() == nullptr) return damaged;
    DP_TRY(core::RoleId id, core::parse_role(*role.as_string()));
    facts.request.roles.push_back(std::move(id));
  }
  facts.request.reason = asked->string_or("reason");
  facts.request.client_address = asked->string_or("client_address");
  if (const std::int64_t wanted = asked->int_or("wanted_ms", -1); wanted >= 0)
    facts.request.wanted_duration = core::Millis(wanted);
  DP_TRY(facts.at, base::parse_rfc3339(value.string_or("at")));
  return facts;
}

}  // namespace daypass::engine
