// Freezing: nothing new is given and all there was ends, of one tenant or of all. For the hour in which nobody knows
// yet what is wrong, so it holds at once and needs neither the store nor a provider nor a target to do so.
#include "base/encoding.h"
#include "config/checks.h"
#include "engine/turn.h"

namespace daypass::engine {
namespace {

constexpr std::size_t max_why = 200;

/// A tenant's own is among what it has; the one for all is among what belongs to none.
const core::TenantId& home_of(const std::optional<core::TenantId>& where) {
  return where ? *where : system_tenant;
}

std::string body_of(const Freeze& f) {
  return json::dump(json::Object{
      {"v", 1}, {"at", base::to_rfc3339(f.at)}, {"by", f.by}, {"why", f.why}, {"by_operator", f.by_operator}});
}

Result<Freeze> freeze_from(const store::Document& document) {
  DP_TRY(const json::Value body, json::parse(document.body));
  Freeze out;
  DP_TRY(out.at, base::parse_rfc3339(body.string_or("at")));
  out.by = body.string_or("by");
  out.why = body.string_or("why");
  out.by_operator = body.bool_or("by_operator", true);
  return out;
}

Error none_there(const std::optional<core::TenantId>& where) {
  return {Code::not_found, "freeze.none",
          where ? "tenant " + where->str() + " is not frozen by itself" : "nothing is frozen for all tenants",
          "daypass status says whether access is frozen"};
}

}  // namespace

std::optional<Freeze> Engine::Impl::frozen(const core::TenantId& tenant_id) const {
  const std::shared_lock lock(shared);
  if (const auto all = freezes.find(system_tenant); all != freezes.end()) return all->second;
  const auto own = freezes.find(tenant_id);
  return own == freezes.end() ? std::nullopt : std::optional(own->second);
}

std::optional<Error> Engine::Impl::refuse_frozen(const core::TenantId& tenant_id) const {
  const auto f = frozen(tenant_id);
  if (!f) return std::nullopt;
  return Error{Code::denied, "access.frozen", "access is frozen since " + base::to_rfc3339(f->at) + ": " + f->why,
               "nothing is given until " + std::string(f->by_operator ? "the operator" : "an administrator") +
                   " thaws it (daypass thaw)"};
}

Status Engine::Impl::load_freezes(store::Tx& tx, WallTime now_) {
  freezes.clear();
  std::vector<core::TenantId> homes{system_tenant};
  for (const auto& [id, entry] : registry) homes.push_back(id);
  for (const auto& home : homes) {
    DP_TRY(const auto document, tx.get(home, doc_freeze, "current", now_));
    if (!document) continue;
    // One that can't be read is one all the same.
    auto read = freeze_from(*document);
    freezes.insert_or_assign(
        home, read.ok() ? std::move(*read)
                        : Freeze{.at = now_, .by = "daypass", .why = "its record is damaged", .by_operator = true});
  }
  return {};
}

Result<Frozen> Engine::Impl::freeze(Turn& turn, const std::optional<core::TenantId>& where, Freeze wanted) {
  if (where && !serves(*where)) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
  const core::TenantId& home = home_of(where);
  turn.actor = wanted.by;  // who asks, also where an earlier freeze stays as it is
  wanted.at = turn.now;
  {
    // In force from here on, whatever the store makes of it.
    const std::unique_lock lock(shared);
    const auto [it, first] = freezes.try_emplace(home, wanted);
    // Said again by an administrator, the operator's stays the operator's.
    if (!first && it->second.by_operator && !wanted.by_operator)
      wanted = it->second;
    else if (!first)
      it->second.by = wanted.by, it->second.why = wanted.why, it->second.by_operator = wanted.by_operator,
      wanted.at = it->second.at;
  }
  const std::string note = wanted.by + ", who froze all access: " + wanted.why;
  // What is in memory first: reading takes its time, and what only the store has nobody uses.
  DP_CHECK(turn.end(grant_book.of(of_tenant(where)), core::EndReason::admin, note));
  DP_TRY(const auto ids, giving(turn, of_tenant(where)));
  DP_CHECK(turn.end(ids, core::EndReason::admin, note));
  DP_CHECK(turn.put_document(home, doc_freeze, "current", body_of(wanted), {}));
  DP_CHECK(record_freeze(turn, where, "access.frozen", {{"why", wanted.why}}));
  return Frozen{wanted, ids.size()};
}

Status Engine::Impl::record_freeze(Turn& turn, const std::optional<core::TenantId>& where, const std::string& action,
                                   const json::Object& facts) {
  std::vector<core::TenantId> whose;
  {
    const std::shared_lock lock(shared);
    for (const auto& [id, entry] : registry)
      if (!where || id == *where) whose.push_back(id);
  }
  json::Object all = facts;
  all.set("scope", where ? "tenant" : "all");
  for (const auto& id : whose) DP_CHECK(turn.audit(id, action, id.str(), "ok", all));
  return {};
}

void Engine::freeze(std::optional<core::TenantId> where, std::string why, std::string actor, Done<Frozen> done) {
  Impl& impl = *impl_;
  if (why.empty() || why.size() > max_why || !base::is_utf8(why) || config::has_control(why))
    return done(Error{Code::invalid, "freeze.reason", "the reason is empty, longer than 200 bytes, or no text",
                      "say in a few words why: whoever is cut off reads it"});
  if (impl.quarantined) return done(impl.quarantine_error());
  auto answer = std::make_shared<Done<Frozen>>(std::move(done));
  const auto tell = [answer](Result<Frozen> r) {
    if (*answer) std::exchange(*answer, nullptr)(std::move(r));
  };
  const Freeze wanted{.at = {}, .by = actor, .why = std::move(why), .by_operator = actor == operator_actor};
  Impl::Event event;
  event.again = true;
  event.failed = [tell](const Error& e) { tell(e); };
  event.run = [&impl, where, wanted, tell, tries = 0](Turn& turn) mutable -> Status {
    // Here a second time, the store refused the first: it holds all the same, and whoever asked waits no longer.
    if (++tries == 2)
      tell(Error{Code::unavailable, "freeze.unrecorded",
                 "access is frozen and everything is cut, but the store can't be written",
                 "it is written down as soon as the store takes it; until then a restart would forget it"});
    DP_TRY(Frozen frozen, impl.freeze(turn, where, wanted));
    turn.after.emplace_back([tell, frozen = std::move(frozen)]() mutable { tell(std::move(frozen)); });
    return {};
  };
  // A full queue is no reason to leave access as it is.
  impl.inbox.push_always(std::move(event));
}

void Engine::thaw(std::optional<core::TenantId> where, std::string actor, Done<void> done) {
  Impl& impl = *impl_;
  impl.call<void>(std::move(done), [&impl, where, actor](Turn& turn) -> Status {
    const core::TenantId& home = home_of(where);
    DP_TRY(const auto document, turn.tx.get(home, doc_freeze, "current", turn.now));
    if (!document) return none_there(where);
    {
      const std::shared_lock lock(impl.shared);
      const auto it = impl.freezes.find(home);
      if (it != impl.freezes.end() && it->second.by_operator && actor != operator_actor)
        return Error{Code::denied, "freeze.operator", "the operator froze it: " + it->second.why,
                     "the operator thaws it, on the server's own socket"};
    }
    turn.actor = actor;
    DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(home, doc_freeze, "current"));
    DP_CHECK(impl.record_freeze(turn, where, "access.thawed", {}));
    turn.last = true;  // who asks behind it finds it lifted
    turn.after.emplace_back([&impl, home] {
      const std::unique_lock lock(impl.shared);
      impl.freezes.erase(home);
    });
    return {};
  });
}

std::optional<Freeze> Engine::frozen(const core::TenantId& tenant) const {
  return impl_->frozen(tenant);
}

std::optional<Freeze> Engine::frozen() const {
  const std::shared_lock lock(impl_->shared);
  const auto all = impl_->freezes.find(system_tenant);
  return all == impl_->freezes.end() ? std::nullopt : std::optional(all->second);
}

std::size_t Engine::tenants_frozen() const {
  const std::shared_lock lock(impl_->shared);
  return impl_->freezes.size() - impl_->freezes.count(system_tenant);
}

}  // namespace daypass::engine
