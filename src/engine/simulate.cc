#include "engine/simulate.h"

#include <algorithm>
#include <set>

#include "engine/turn.h"

namespace daypass::engine {
namespace {

struct Verdict {
  bool allowed = false;
  std::vector<std::string> by;  // the deciding policies; none when no policy permits it
  std::string why;
};

Verdict verdict_on(const Tenant* tenant, const Facts& facts, const core::RoleId& role) {
  if (tenant == nullptr) return {false, {}, "no policies are in force"};
  core::AccessRequest request = facts.request;
  request.target = core::target_of(role);
  request.roles = {role};
  const core::Decision decision = decide(*tenant, facts.who, request, facts.at);
  Verdict out{decision.verdict == core::Verdict::allow, {}, decision.why};
  if (decision.roles.empty()) return out;
  // A refusal also names the permits that did not apply; those decided nothing.
  const cedar::Effect effect = out.allowed ? cedar::Effect::permit : cedar::Effect::forbid;
  for (const auto& id : decision.roles.front().policies)
    if (const auto* policy = tenant->policies.find(id); policy != nullptr && policy->effect() == effect)
      out.by.push_back(id);
  return out;
}

void roles_on(const Tenant* tenant, const core::TargetId& target, std::set<core::RoleId>& out) {
  if (tenant == nullptr) return;
  for (const auto& role : tenant->spec.roles)
    if (core::target_of(role.id) == target && !role.elevated) out.insert(role.id);
}

std::string label(const std::vector<std::string>& policies) {
  std::string out;
  for (const auto& id : policies) out += (out.empty() ? "" : ", ") + id;
  return out.empty() ? "no policy" : out;
}

// Every record of the tenant, in the order of their keys.
Status replay_all(store::Reader& reader, const core::TenantId& tenant, WallTime now, const Vault& vault,
                  const Replay& replay, Simulated& out) {
  constexpr std::size_t page = 500;
  std::string after;
  for (;;) {
    DP_TRY(const auto documents, reader.list(tenant, doc_decision, "", after, page, now));
    if (documents.empty()) break;
    after = documents.back().key;
    for (const auto& d : documents) {
      if (out.records + out.unreadable == Simulated::max_records) {
        out.complete = false;
        return {};
      }
      const auto facts = [&]() -> Result<Facts> {
        DP_TRY(const base::Secret body, vault.open(tenant, d.body, "decision " + tenant.str() + "/" + d.key));
        DP_TRY(const json::Value value, json::parse(body.reveal()));
        return facts_from_json(value);
      }();
      if (!facts.ok()) {
        ++out.unreadable;
        continue;
      }
      ++out.records;
      replay.add(d.key, *facts, out);
    }
  }
  return {};
}

}  // namespace

void Replay::add(const std::string& record, const Facts& facts, Simulated& out) const {
  std::set<core::RoleId> roles(facts.request.roles.begin(), facts.request.roles.end());
  if (roles.empty()) {
    roles_on(before_, facts.request.target, roles);
    roles_on(&after_, facts.request.target, roles);
  }
  for (const auto& role : roles) {
    const Verdict was = verdict_on(before_, facts, role);
    Verdict is = verdict_on(&after_, facts, role);
    if (was.allowed == is.allowed) {
      ++out.unchanged;
      ++out.unchanged_by[label(is.by)];
      continue;
    }
    ++(is.allowed ? out.newly_allowed : out.newly_denied);
    if (out.shifts.size() == Simulated::max_shifts) continue;
    out.shifts.push_back({record, facts.who.principal(), facts.at, role, is.allowed,
                          is.by.empty() ? was.by : std::move(is.by), std::move(is.why)});
  }
}

void Engine::simulate(core::TenantId tenant_id, std::map<std::string, std::string> files, std::string actor,
                      Done<Simulated> done) {
  Impl& impl = *impl_;
  Simulated out;
  const auto before = impl.tenant(tenant_id);
  Compiled compiled = impl.compile_folder(tenant_id, files, actor, before);
  for (const auto& warning : compiled.warnings) out.warnings.push_back(warning.render());
  if (compiled.tenant == nullptr) {
    out.problems = std::move(compiled.problems);
    return done(std::move(out));
  }
  auto answer = std::make_shared<Done<Simulated>>(std::move(done));
  impl.p.workers.run(
      Workers::Pool::provision, tenant_id,
      [&impl, tenant_id, answer, before, after = compiled.tenant, out = std::move(out)]() mutable {
        const auto finish = [&]() -> Result<Simulated> {
          DP_TRY(const auto reader, impl.p.store.snapshot());
          DP_CHECK(replay_all(*reader, tenant_id, impl.now(), impl.p.vault, Replay(before.get(), *after), out));
          std::ranges::stable_sort(out.shifts, {}, &Shift::at);
          return std::move(out);
        };
        (*answer)(finish());
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

}  // namespace daypass::engine
