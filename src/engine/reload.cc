// Applying a tenant's folder: judge everything first, store it, swap one pointer, decide live grants again.
#include <algorithm>
#include <set>

#include "engine/turn.h"

namespace daypass::engine {

using core::GrantState;

std::shared_ptr<const Tenant> Engine::tenant(const core::TenantId& id) {
  return impl_->tenant(id);
}

namespace {

// Grants in flight need their target as it was: revocation must reach the server where the account lives.
Status refuse_lost_targets(Turn& turn, const core::TenantSpec& before, const core::TenantSpec& after, Applied& out) {
  for (const auto& one : before.targets) {
    const core::TargetId& target = one.id;
    store::Selector there = of_tenant(after.tenant);
    there.target = target;
    DP_TRY(const std::size_t count, turn.tx.count(there));
    if (count == 0) continue;
    const core::TargetSpec* was = before.target(target);
    const core::TargetSpec* is = after.target(target);
    const auto moved = [&](std::string_view key) {
      const json::Value* a = was->settings.find(key);
      const json::Value* b = is->settings.find(key);
      return (a == nullptr) != (b == nullptr) || (a != nullptr && !(*a == *b));
    };
    if (is != nullptr && (was == nullptr || !(moved("host") || moved("port") || moved("database")))) continue;
    out.problems.push_back({"tenant.toml", 0, 0,
                            "target " + target.str() + (is == nullptr ? " is removed" : " moves to another server") +
                                " while " + std::to_string(count) + " of its grants are not closed",
                            "end them first: daypass grants ls, daypass grants end ID"});
  }
  return {};
}

std::vector<core::RoleSpec> roles_of(const core::TenantSpec& spec, const core::TargetId& target) {
  std::vector<core::RoleSpec> out;
  for (const auto& role : spec.roles)
    if (core::target_of(role.id) == target) out.push_back(role);
  return out;
}

// Which servers a tenant's targets are on, by each name that is known of them: where they are reached, and what the
// server says of itself. Two tenants never share one: an account of the one would be a neighbour of the other's.
using Servers = std::vector<std::pair<core::TargetId, std::string>>;

std::string address_of(const core::TargetId& id, const target::Target& target) {
  const target::Upstream upstream = target.upstream("", base::Secret());
  return core::kind_of(id) + " " + upstream.host + ":" + std::to_string(upstream.port);
}

/// Of "<tenant>\n<target>".
std::string tenant_in(const std::string& body) {
  return body.substr(0, body.find('\n'));
}

Status refuse_shared_servers(Turn& turn, const Tenant& world, const Servers& servers, Applied& out) {
  for (const auto& [target, name] : servers) {
    DP_TRY(const auto owner, turn.tx.get(system_tenant, doc_server, name, turn.now));
    if (!owner || tenant_in(owner->body) == world.spec.tenant.str()) continue;
    out.problems.push_back({"tenant.toml", 0, 0, "target " + target.str() + " is on a server that is taken already",
                            "a server belongs to one tenant alone; use another one, or ask the operator"});
  }
  return {};
}

Status claim_servers(Turn& turn, const core::TenantId& tenant, const Servers& servers) {
  for (const auto& [target, name] : servers)
    DP_CHECK(turn.put_document(system_tenant, doc_server, name, tenant.str() + "\n" + target.str(), {}));
  // Those that it has left are free again; not one that could not be asked today who it is.
  const auto silent = [&](std::string_view target) {
    return std::ranges::count_if(servers, [&](const auto& server) { return server.first.str() == target; }) == 1;
  };
  std::string after;
  for (;;) {
    DP_TRY(const auto page, turn.tx.list(system_tenant, doc_server, "", after, 500, turn.now));
    for (const auto& document : page) {
      const bool used = std::ranges::any_of(servers, [&](const auto& server) { return server.second == document.key; });
      if (tenant_in(document.body) != tenant.str() || used) continue;
      if (silent(std::string_view(document.body).substr(std::min(tenant.str().size() + 1, document.body.size()))))
        continue;
      DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(system_tenant, doc_server, document.key));
    }
    if (page.size() < 500) return {};
    after = page.back().key;
  }
}

// Asks each target whether its roles may be given. A target that can't be reached is a warning: the driver asks again
// before it makes an account.
void check_targets(const Tenant& tenant, Applied& out, Servers& servers) {
  for (const auto& [id, target] : tenant.targets) {
    servers.emplace_back(id, address_of(id, *target));
    if (const auto identity = target->server_identity(std::chrono::seconds(5)); identity.ok())
      servers.emplace_back(id, core::kind_of(id) + " " + *identity);
    const auto findings = target->check(roles_of(tenant.spec, id), std::chrono::seconds(5));
    if (!findings.ok() && findings.error().code == Code::denied) {
      out.problems.push_back(
          {"tenant.toml", 0, 0, "target " + id.str() + ": " + findings.error().message, findings.error().hint});
      continue;
    }
    if (!findings.ok()) {
      out.warnings.push_back(id.str() + " could not be checked: " + findings.error().message);
      continue;
    }
    for (const auto& finding : *findings) {
      if (finding.grade == target::Finding::Grade::ok) continue;
      const std::string text = id.str() + ": " + finding.subject + ": " + finding.message;
      if (finding.grade == target::Finding::Grade::fail)
        out.problems.push_back({"tenant.toml", 0, 0, text, finding.fix});
      else
        out.warnings.push_back(text);
    }
  }
}

}  // namespace

Compiled Engine::Impl::compile_folder(const core::TenantId& tenant_id, const std::map<std::string, std::string>& files,
                                      const std::string& actor, const std::shared_ptr<const Tenant>& before) const {
  auto parsed = config::parse_tenant(tenant_id, files);
  if (parsed.ok() && actor != operator_actor) {
    const core::TenantSpec none{.tenant = tenant_id, .idps = {}, .targets = {}, .roles = {}, .policies = {}};
    confine(before == nullptr ? none : before->spec, parsed.value, parsed.problems);
  }
  if (!parsed.ok()) return Compiled{nullptr, std::move(parsed.problems), {}};
  return compile(std::move(parsed.value), p.catalog, before.get());
}

void Engine::apply(core::TenantId tenant_id, std::map<std::string, std::string> files, std::string actor, bool dry_run,
                   Done<Applied> done) {
  Impl& impl = *impl_;
  Applied out;
  auto parsed = config::parse_tenant(tenant_id, files);
  if (!parsed.ok()) {
    out.problems = std::move(parsed.problems);
    return done(std::move(out));
  }
  const auto before = impl.tenant(tenant_id);
  const core::TenantSpec old =
      before == nullptr ? core::TenantSpec{.tenant = tenant_id, .idps = {}, .targets = {}, .roles = {}, .policies = {}}
                        : before->spec;
  if (actor != operator_actor) impl.confine(old, parsed.value, out.problems);
  if (!out.problems.empty()) return done(std::move(out));
  out.plan = plan(old, parsed.value);
  parsed.value.version = old.version + 1;
  Compiled compiled = compile(std::move(parsed.value), impl.p.catalog, before.get());
  for (const auto& warning : compiled.warnings) out.warnings.push_back(warning.render());
  if (compiled.tenant == nullptr) {
    out.problems = std::move(compiled.problems);
    return done(std::move(out));
  }
  auto answer = std::make_shared<Done<Applied>>(std::move(done));
  auto shared_out = std::make_shared<Applied>(std::move(out));
  impl.p.workers.run(
      Workers::Pool::provision, tenant_id,
      [&impl, tenant_id, actor, dry_run, answer, shared_out, world = compiled.tenant, old] {
        auto servers = std::make_shared<Servers>();
        check_targets(*world, *shared_out, *servers);
        impl.call<Applied>(
            [answer](Result<Applied> r) { (*answer)(std::move(r)); },
            [&impl, tenant_id, actor, dry_run, shared_out, servers, world, old](Turn& turn) -> Result<Applied> {
              Applied result = *shared_out;
              if (!impl.serves(tenant_id)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
              DP_CHECK(refuse_lost_targets(turn, old, world->spec, result));
              DP_CHECK(refuse_shared_servers(turn, *world, *servers, result));
              DP_CHECK(refuse_unknown_secrets(turn, world->spec, result.problems));
              const auto now_there = impl.tenant(tenant_id);
              if ((now_there == nullptr ? 0 : now_there->spec.version) != old.version)
                return Error{Code::conflict, "apply.conflict", "somebody else applied at the same time",
                             "look at the plan again, then apply again"};
              result.version = old.version;
              if (dry_run || !result.problems.empty() || result.plan.empty()) return result;
              result.version = world->spec.version;
              turn.actor = actor;
              DP_CHECK(turn.put_document(tenant_id, doc_spec, "current", json::dump(config::to_json(world->spec)), {}));
              DP_CHECK(claim_servers(turn, tenant_id, *servers));
              DP_CHECK(impl.release_domains(turn, tenant_id, &world->spec));
              DP_CHECK(impl.observe_roles(turn, world->spec));
              json::Array changes;
              for (const auto& line : result.plan) changes.emplace_back(line);
              DP_CHECK(turn.audit(tenant_id, "tenant.applied", tenant_id.str(), "ok",
                                  {{"version", world->spec.version}, {"changes", std::move(changes)}}));
              DP_CHECK(impl.keep_forwards(turn, world->spec));
              DP_CHECK(impl.redecide_all(turn, world, &result.grants_ended));
              // Whoever asks behind this is answered by the new policies, which come into force after the commit.
              turn.last = true;
              turn.after.emplace_back([&impl, tenant_id, world] {
                {
                  const std::unique_lock lock(impl.shared);
                  Impl::TenantEntry& entry = impl.registry[tenant_id];
                  entry.world = world;
                  entry.empty = false;
                }
                impl.reconcile(tenant_id, world);
                impl.want_polls_of_sessions(tenant_id);
                impl.look_for_due_proofs(impl.now());
              });
              return result;
            });
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

Result<std::vector<GrantId>> Engine::Impl::giving(Turn& turn, const store::Selector& whose) const {
  DP_TRY(std::vector<GrantId> out, turn.open_grants(whose));
  std::erase_if(out, [&](const GrantId& id) {
    const Grant* grant = grant_book.find(id);
    return grant != nullptr && grant->state == GrantState::revoking;
  });
  return out;
}

Status Engine::Impl::redecide_all(Turn& turn, const std::shared_ptr<const Tenant>& world, std::size_t* ended) {
  DP_TRY(const auto grants, giving(turn, of_tenant(world->spec.tenant)));
  return redecide(turn, *world, grants, nullptr, WallTime::max(), ended);
}

Status Engine::Impl::redecide(Turn& turn, const Tenant& world, const std::vector<GrantId>& ids,
                              const core::Identity* who, WallTime not_after, std::size_t* ended) {
  std::vector<Turn::Happening> judged;
  std::vector<GrantId> lived;
  for (const auto& id : ids) {
    DP_TRY(const Grant grant, turn.grant(id));
    DP_TRY(auto event, judge(turn, world, grant, who, not_after));
    judged.emplace_back(id, std::move(event));
    if (grant.state != GrantState::revoking) lived.push_back(id);
  }
  DP_CHECK(turn.apply(judged));
  for (const auto& id : lived) {
    DP_TRY(const Grant after, turn.grant(id));
    if (after.state == GrantState::revoking) ++*ended;
  }
  return {};
}

Result<core::event::Redecided> Engine::Impl::judge(Turn& turn, const Tenant& world, const Grant& grant,
                                                   const core::Identity* who, WallTime not_after) {
  const GrantId& id = grant.id;
  core::event::Redecided event{{}, "", world.spec.version, {}, not_after};
  DP_TRY(const auto record, turn.tx.get(id.tenant, doc_decision, grant.decision_record, turn.now));
  auto facts = [&]() -> Result<Facts> {
    if (!record) return Error{Code::not_found, "decision.gone", "the decision record is gone"};
    DP_TRY(const base::Secret body,
           p.vault.open(id.tenant, record->body, "decision " + id.tenant.str() + "/" + grant.decision_record));
    DP_TRY(const json::Value value, json::parse(body.reveal()));
    return facts_from_json(value);
  }();
  if (!facts.ok()) {
    // Without the facts nothing can be said in its favour.
    event.note = facts.error().check;
  } else {
    const bool other_person = who != nullptr && !(*who == facts->who);
    if (other_person) facts->who = *who;
    // As it was asked then, but for the roles it got: those must all still be given.
    core::AccessRequest request = facts->request;
    request.roles = grant.roles;
    const core::Decision decision = decide(world, facts->who, request, facts->at);
    if (decision.verdict == core::Verdict::allow)
      event.offers = core::combine(grant.offers, decision.offers);
    else
      event.note = decision.why;
    // What later decides it again is the person of today, not the one of its opening.
    if (other_person && !event.offers.empty()) {
      event.decision_record = "dc_" + id.id.substr(3) + "_" + std::to_string(grant.version);
      DP_TRY(const std::string sealed,
             p.vault.seal(id.tenant, base::Secret(json::dump(facts_of(facts->who, facts->request, facts->at))),
                          "decision " + id.tenant.str() + "/" + event.decision_record));
      DP_CHECK(turn.put_document(id.tenant, doc_decision, event.decision_record, sealed, {}, 0));
    }
  }
  // The same limits as before: keep their names, so that nothing is recorded where nothing changed.
  const auto same = [](const core::Offer& a, const core::Offer& b) {
    return a.duration == b.duration && a.idle == b.idle && a.connections == b.connections;
  };
  if (std::equal(event.offers.begin(), event.offers.end(), grant.offers.begin(), grant.offers.end(), same))
    event.offers = grant.offers;
  return event;
}

void Engine::check_target(core::TenantId tenant_id, core::TargetId target_id, Done<std::vector<target::Finding>> done) {
  const auto world = impl_->tenant(tenant_id);
  const auto target = world == nullptr || !world->targets.contains(target_id) ? nullptr : world->targets.at(target_id);
  if (target == nullptr)
    return done(Error{Code::not_found, "target.unknown", "there is no target " + target_id.str(),
                      "daypass ls shows what there is"});
  auto answer = std::make_shared<Done<std::vector<target::Finding>>>(std::move(done));
  impl_->p.workers.run(
      Workers::Pool::provision, tenant_id,
      [answer, target, roles = roles_of(world->spec, target_id)] {
        (*answer)(target->check(roles, std::chrono::seconds(10)));
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

void Engine::probe_idp(core::TenantId tenant_id, std::string name, Done<std::string> done) {
  const auto world = impl_->tenant(tenant_id);
  const auto provider = world == nullptr || !world->idps.contains(name) ? nullptr : world->idps.at(name);
  if (provider == nullptr) return done(Error{Code::not_found, "idp.unknown", "there is no identity provider " + name});
  auto answer = std::make_shared<Done<std::string>>(std::move(done));
  impl_->p.workers.run(
      Workers::Pool::idp, tenant_id,
      [answer, provider, name, receiver = world->receivers.contains(name) ? world->receivers.at(name) : nullptr] {
        Status status = provider->probe(std::chrono::seconds(10));
        if (status.ok() && receiver != nullptr) status = receiver->probe(std::chrono::seconds(10));
        if (status.ok())
          (*answer)(name + " answers");
        else
          (*answer)(status.error());
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

}  // namespace daypass::engine
