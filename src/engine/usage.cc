// Keeping what was given and used, and the report of what was not.
#include "engine/usage.h"

#include <algorithm>
#include <set>

#include "engine/turn.h"

namespace daypass::engine {
namespace {

constexpr std::size_t page = 500;
constexpr base::Millis look_for = std::chrono::seconds(40), look_at_one = std::chrono::seconds(10);

std::chrono::sys_days today(WallTime now) {
  return std::chrono::floor<std::chrono::days>(now);
}

/// Every one of a tenant's, in pages.
Status each(store::Reader& reader, const core::TenantId& tenant, WallTime now,
            const std::function<void(const store::Document&)>& fn) {
  std::string after;
  for (;;) {
    DP_TRY(const auto documents, reader.list(tenant, doc_usage, "", after, page, now));
    for (const auto& document : documents) fn(document);
    if (documents.size() < page) return {};
    after = documents.back().key;
  }
}

using Uses = std::map<core::RoleId, RoleUse>;

/// Behind what was noted comes what the store has.
Status add_stored(store::Reader& reader, const core::TenantId& tenant, WallTime now, Uses& uses) {
  return each(reader, tenant, now, [&](const store::Document& document) {
    if (auto stored = RoleUse::parse(document.body); stored.ok()) {
      auto& use = uses[core::RoleId(document.key)];
      stored->add(use);
      use = std::move(*stored);
    }
  });
}

/// Blocks on the targets: from a worker.
UnusedRights report_of(const Tenant& world, const Uses& uses, int days, WallTime now, const base::Clock& clock) {
  UnusedRights out{.days = days, .at = now, .roles = {}};
  const base::MonoTime until = clock.mono() + look_for;
  std::map<core::RoleId, Result<target::Holdings>> gives;
  for (const auto& [target_id, target] : world.targets) {
    std::vector<core::RoleSpec> roles;
    for (const auto& role : world.spec.roles)
      if (core::target_of(role.id) == target_id) roles.push_back(role);
    if (roles.empty()) continue;
    const auto left = std::chrono::duration_cast<base::Millis>(until - clock.mono());
    auto told = left.count() > 0
                    ? target->holdings(roles, std::min(left, look_at_one))
                    : Result<std::vector<target::Holdings>>(
                          Error{Code::timeout, "report.time", "there was no time left to ask " + target_id.str()});
    for (std::size_t i = 0; i < roles.size(); ++i)
      gives.insert_or_assign(roles[i].id, !told.ok() ? Result<target::Holdings>(told.error())
                                          : i < told->size()
                                              ? Result<target::Holdings>((*told)[i])
                                              : Error{Code::internal, "driver.answer", "the driver left it out"});
  }
  const Result<target::Holdings> nowhere = Error{Code::unavailable, "target.gone", "its target is not configured"};
  for (const auto& role : world.spec.roles) {
    const auto use = uses.find(role.id);
    const auto given = gives.find(role.id);
    RoleUse fresh;
    fresh.since = today(now);
    out.roles.push_back(judge_use(world, role.id, use == uses.end() ? fresh : use->second,
                                  given == gives.end() ? nowhere : given->second, days, now));
  }
  return out;
}

}  // namespace

void Engine::Impl::note_given(const core::TenantId& tenant_id, const std::vector<core::RoleId>& roles) {
  for (const auto& role : roles) usage[{tenant_id, role}].note_given(today(now()));
}

void Engine::Impl::note_used(const Grant& grant, const ConnectionStats& stats) {
  // Which of the grant's roles a statement needed nobody can say: all that came together are counted.
  for (const auto& role : grant.roles) usage[{grant.id.tenant, role}].note_connection(stats, today(now()));
}

Engine::Impl::Event Engine::Impl::usage_event() {
  Event event;
  event.again = true;
  event.run = [this, taken = std::optional<UsageBook>()](Turn& turn) mutable -> Status {
    // Once: a second try has what the first one took.
    if (!taken) taken = std::exchange(usage, {});
    for (const auto& [which, noted] : *taken) {
      const auto& [tenant_id, role] = which;
      const auto world = serves(tenant_id) ? tenant(tenant_id) : nullptr;
      if (world == nullptr || world->spec.role(role) == nullptr) continue;
      DP_TRY(const auto document, turn.tx.get(tenant_id, doc_usage, role.str(), turn.now));
      RoleUse use = noted;
      if (document) {
        if (auto stored = RoleUse::parse(document->body); stored.ok()) {
          stored->add(noted);
          use = std::move(*stored);
        } else {
          p.log.warn("the use of a role is counted anew",
                     {{"tenant", tenant_id.str()}, {"role", role.str()}, {"check", stored.error().check}});
        }
      }
      DP_CHECK(turn.put_document(tenant_id, doc_usage, role.str(), use.text(), {}));
    }
    return {};
  };
  return event;
}

Status Engine::Impl::observe_roles(Turn& turn, const core::TenantSpec& spec) {
  std::set<std::string> known;
  DP_CHECK(each(turn.tx, spec.tenant, turn.now, [&](const store::Document& d) { known.insert(d.key); }));
  for (const auto& role : spec.roles) {
    if (known.erase(role.id.str()) > 0) continue;
    RoleUse use;
    use.since = today(turn.now);
    DP_CHECK(turn.put_document(spec.tenant, doc_usage, role.id.str(), use.text(), {}));
  }
  // A role that comes back is a new one.
  for (const auto& key : known) DP_CHECK(turn.tx.remove(spec.tenant, doc_usage, key));
  return {};
}

void Engine::unused_rights(core::TenantId tenant_id, int days, Done<UnusedRights> done) {
  Impl& impl = *impl_;
  if (days < 1 || days > RoleUse::longest_report.count())
    return done(Error{Code::invalid, "report.days", "days must be a whole number from 1 to 3650"});
  using World = std::shared_ptr<const Tenant>;
  auto answer = std::make_shared<Done<UnusedRights>>(std::move(done));
  impl.call<World>(
      [&impl, tenant_id, days, answer](Result<World> begun) {
        if (!begun.ok()) return (*answer)(begun.error());
        // Both here, on the engine's thread: what moves from the one to the other is counted once.
        auto reader = impl.p.store.snapshot();
        if (!reader.ok()) return (*answer)(reader.error());
        auto uses = std::make_shared<Uses>();
        for (const auto& [which, use] : impl.usage)
          if (which.first == tenant_id) (*uses)[which.second] = use;
        impl.p.workers.run(
            Workers::Pool::provision, tenant_id,
            [&impl, tenant_id, days, answer, uses, world = *begun, now = impl.now(),
             stored = std::shared_ptr<store::Reader>(std::move(*reader))]() mutable {
              const Status read = add_stored(*stored, tenant_id, now, *uses);
              stored.reset();
              if (!read.ok()) return (*answer)(read.error());
              (*answer)(report_of(*world, *uses, days, now, impl.p.clock));
            },
            [answer](Error e) { (*answer)(std::move(e)); });
      },
      [&impl, tenant_id](Turn& turn) -> Result<World> {
        const auto world = impl.serves(tenant_id) ? impl.tenant(tenant_id) : nullptr;
        if (world == nullptr)
          return Error{Code::not_found, "tenant.unknown", "there is no such tenant, or nothing was applied yet"};
        // What was applied by an earlier version is observed from now on.
        DP_CHECK(impl.observe_roles(turn, world->spec));
        return world;
      });
}

}  // namespace daypass::engine
