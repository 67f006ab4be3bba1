// Tenants: made and deleted while everybody else works on. The registry is small and always in memory; what a tenant
// owns is compiled when it is needed first.
#include <algorithm>

#include "base/encoding.h"
#include "base/utf8.h"
#include "config/checks.h"
#include "engine/references.h"
#include "engine/turn.h"

namespace daypass::engine {
namespace {

constexpr std::size_t erased_at_once = 500;
constexpr std::size_t max_display = 100;

enum class State : std::uint8_t { active, deleting, deleted };
constexpr std::string_view words[] = {"active", "deleting", "deleted"};

constexpr std::size_t max_private_hosts = 200;

std::string registered(const TenantInfo& info, State state, std::string_view data_key) {
  json::Array hosts;
  for (const auto& host : info.private_hosts) hosts.emplace_back(host);
  return json::dump(json::Object{{"v", 1},
                                 {"state", words[static_cast<std::size_t>(state)]},
                                 {"display", info.display},
                                 {"created_at", base::to_rfc3339(info.created_at)},
                                 {"private_hosts", std::move(hosts)},
                                 {"data_key", base::base64_encode(data_key)}});
}

struct Registered {
  TenantInfo info;
  State state = State::active;
  std::string data_key;
};

Result<Registered> read_registered(const store::Document& document) {
  DP_TRY(const json::Value body, json::parse(document.body));
  Registered out;
  out.info.id = core::TenantId(document.key);
  out.info.display = body.string_or("display");
  DP_TRY(out.info.created_at, base::parse_rfc3339(body.string_or("created_at")));
  if (const json::Value* hosts = body.find("private_hosts"); hosts != nullptr && hosts->as_array() != nullptr)
    for (const auto& host : *hosts->as_array())
      if (host.as_string() != nullptr) out.info.private_hosts.push_back(*host.as_string());
  const auto word = std::ranges::find(words, body.string_or("state"));
  auto key = base::base64_decode(body.string_or("data_key"));
  if (word == std::end(words) || !key)
    return Error{Code::internal, "tenant.shape", "the record of tenant " + document.key + " is damaged"};
  out.state = static_cast<State>(word - std::begin(words));
  out.info.deleting = out.state == State::deleting;
  out.data_key = std::move(*key);
  return out;
}

Status check_display(const std::string& display) {
  if (display.empty() || display.size() > max_display || !base::is_utf8(display) || config::has_control(display))
    return Error{Code::invalid, "tenant.display", "the name to show is empty, longer than 100 bytes, or no text"};
  return {};
}

/// In lower case, each once.
Status tidy_hosts(std::vector<std::string>& hosts) {
  if (hosts.size() > max_private_hosts)
    return Error{Code::invalid, "tenant.private_host", "there are more than 200 private hosts"};
  for (auto& host : hosts) {
    if (const auto bad = config::check::postgres_host(host))
      return Error{Code::invalid, "tenant.private_host", "a private host " + bad->predicate,
                   "name it as the tenant will: db.internal, 10.0.0.7"};
    host = canonical_host(host);
  }
  std::ranges::sort(hosts);
  const auto twice = std::ranges::unique(hosts);
  hosts.erase(twice.begin(), twice.end());
  return {};
}

Error unknown() {
  return {Code::not_found, "tenant.unknown", "there is no such tenant", "daypass tenants ls shows what there is"};
}

}  // namespace

Status Engine::Impl::load_registry(store::Tx& tx, WallTime now_) {
  registry.clear();
  bool any = false;
  std::optional<Error> damage;
  for (std::string after;;) {
    DP_TRY(const auto documents, tx.list(system_tenant, doc_tenant, "", after, 1000, now_));
    for (const auto& document : documents) {
      any = true;
      const auto found = read_registered(document);
      if (found.ok() && found->state == State::deleted) continue;
      const Status added = found.ok() ? p.vault.add(found->info.id, found->data_key) : Status(found.error());
      if (!added.ok()) {
        // One that can't be read must not keep the others out; all of them, and it is the wrong master key.
        p.log.error("a tenant can't be read and is left out",
                    {{"tenant", document.key}, {"check", added.error().check}, {"why", added.error().message}});
        damage = added.error();
        continue;
      }
      registry.insert_or_assign(found->info.id, TenantEntry{found->info, nullptr, false});
    }
    if (documents.size() < 1000) break;
    after = documents.back().key;
  }
  if (registry.empty() && damage) return *damage;
  if (any) return {};
  // The first start: one tenant, for those who need no more. A store from before there was a registry has it already.
  TenantInfo first{core::TenantId("default"), "default", now_, false, 0};
  DP_TRY(const auto spec, tx.get(first.id, doc_spec, "current", now_));
  const std::string key = spec ? std::string() : p.vault.new_key(first.id);
  store::Document document{
      system_tenant, std::string(doc_tenant), first.id.str(), 0, registered(first, State::active, key), {}};
  DP_CHECK(tx.put(document, 0));
  DP_CHECK(p.vault.add(first.id, key));
  registry.insert_or_assign(first.id, TenantEntry{first, nullptr, false});
  return {};
}

std::shared_ptr<const Tenant> Engine::Impl::load(const core::TenantId& id, bool* nothing) const {
  const auto failed = [&](const Error& e) {
    p.log.error("tenant can't be loaded", {{"tenant", id.str()}, {"check", e.check}, {"why", e.message}});
    return nullptr;
  };
  auto reader = p.store.snapshot();
  if (!reader.ok()) return failed(reader.error());
  const auto document = (*reader)->get(id, doc_spec, "current", now());
  if (!document.ok()) return failed(document.error());
  if (!*document) {
    if (nothing != nullptr) *nothing = true;
    return nullptr;
  }
  const auto body = json::parse((*document)->body, config::spec_limits);
  if (!body.ok()) return failed(body.error());
  auto spec = config::tenant_from_json(*body);
  if (!spec.ok()) return failed(spec.error());
  Compiled compiled = compile(std::move(*spec), p.catalog, nullptr, Origin::stored);
  for (const auto& problem : compiled.warnings)
    p.log.warn("tenant: the next apply may be refused", {{"tenant", id.str()}, {"problem", problem.render()}});
  for (const auto& problem : compiled.problems)
    p.log.error("tenant can't be loaded", {{"tenant", id.str()}, {"problem", problem.render()}});
  return compiled.tenant;
}

std::shared_ptr<const Tenant> Engine::Impl::tenant(const core::TenantId& id) const {
  {
    const std::shared_lock lock(shared);
    const auto it = registry.find(id);
    if (it == registry.end() || it->second.empty) return nullptr;
    if (it->second.world != nullptr) return it->second.world;
  }
  // Twice at worst, when two ask at once; an apply meanwhile is what counts.
  bool nothing = false;
  const auto loaded = load(id, &nothing);
  const std::unique_lock lock(shared);
  const auto it = registry.find(id);
  if (it == registry.end()) return nullptr;
  if (it->second.world == nullptr) {
    it->second.world = loaded;
    it->second.empty = nothing;
  }
  return it->second.world;
}

bool Engine::Impl::serves(const core::TenantId& id) const {
  const std::shared_lock lock(shared);
  const auto it = registry.find(id);
  return it != registry.end() && !it->second.info.deleting;
}

bool Engine::serves(const core::TenantId& id) const {
  return impl_->serves(id);
}

std::vector<core::TenantId> Engine::Impl::deleting_tenants() const {
  std::vector<core::TenantId> out;
  const std::shared_lock lock(shared);
  for (const auto& [id, entry] : registry)
    if (entry.info.deleting) out.push_back(id);
  return out;
}

std::vector<TenantInfo> Engine::tenants() {
  std::vector<TenantInfo> out;
  const std::shared_lock lock(impl_->shared);
  for (const auto& [id, entry] : impl_->registry) out.push_back(entry.info);
  return out;
}

void Engine::create_tenant(core::TenantId id, std::string display, std::string actor, Done<TenantInfo> done) {
  Impl& impl = *impl_;
  if (display.empty()) display = id.str();
  if (auto good = check_display(display); !good.ok()) return done(std::move(good).error());
  impl.call<TenantInfo>(std::move(done), [&impl, id, display, actor](Turn& turn) -> Result<TenantInfo> {
    if (auto no_room = impl.refuse_short()) return *std::move(no_room);
    DP_TRY(const auto known, turn.tx.get(system_tenant, doc_tenant, id.str(), turn.now));
    if (known) {
      DP_TRY(const Registered before, read_registered(*known));
      if (before.state == State::deleted)
        // Whoever remembers the old one's links, names or tokens must not meet another tenant there.
        return Error{Code::conflict, "tenant.used_before",
                     "a tenant " + id.str() + " was deleted; its name is not given again", "choose another name"};
      return Error{Code::conflict, "tenant.exists", "there is a tenant " + id.str() + " already",
                   "daypass tenants ls shows what there is"};
    }
    turn.actor = actor;
    const TenantInfo info{id, display, turn.now, false, 0};
    const std::string key = impl.p.vault.new_key(id);
    DP_CHECK(turn.put_document(system_tenant, doc_tenant, id.str(), registered(info, State::active, key), {}, 0));
    DP_CHECK(turn.audit(id, "tenant.created", id.str(), "ok", {{"display", display}}));
    DP_CHECK(impl.p.vault.add(id, key));
    turn.last = true;  // who deletes it in the same breath must find it in the registry
    turn.after.emplace_back([&impl, info] {
      const std::unique_lock lock(impl.shared);
      impl.registry.insert_or_assign(info.id, Impl::TenantEntry{info, nullptr, false});
    });
    return info;
  });
}

void Engine::change_tenant(core::TenantId id, TenantChange change, std::string actor, Done<TenantInfo> done) {
  Impl& impl = *impl_;
  Status good = change.display ? check_display(*change.display) : Status();
  if (good.ok() && change.private_hosts) good = tidy_hosts(*change.private_hosts);
  if (!good.ok()) return done(std::move(good).error());
  impl.call<TenantInfo>(
      std::move(done), [&impl, id, change = std::move(change), actor](Turn& turn) -> Result<TenantInfo> {
        DP_TRY(const auto known, turn.tx.get(system_tenant, doc_tenant, id.str(), turn.now));
        if (!known) return unknown();
        DP_TRY(Registered found, read_registered(*known));
        if (found.state != State::active) return unknown();
        TenantInfo& info = found.info;
        if (change.display) info.display = *change.display;
        if (change.private_hosts) info.private_hosts = *change.private_hosts;
        turn.actor = actor;
        DP_CHECK(
            turn.put_document(system_tenant, doc_tenant, id.str(), registered(info, found.state, found.data_key), {}));
        json::Array hosts;
        for (const auto& host : info.private_hosts) hosts.emplace_back(host);
        DP_CHECK(turn.audit(id, "tenant.changed", id.str(), "ok",
                            {{"display", info.display}, {"private_hosts", std::move(hosts)}}));
        turn.last = true;
        turn.after.emplace_back([&impl, info] {
          const std::unique_lock lock(impl.shared);
          impl.registry[info.id].info = info;
        });
        return info;
      });
}

void Engine::delete_tenant(core::TenantId id, std::string actor, Done<TenantInfo> done) {
  Impl& impl = *impl_;
  impl.call<TenantInfo>(std::move(done), [&impl, id, actor](Turn& turn) -> Result<TenantInfo> {
    DP_TRY(const auto known, turn.tx.get(system_tenant, doc_tenant, id.str(), turn.now));
    if (!known) return unknown();
    DP_TRY(Registered found, read_registered(*known));
    if (found.state == State::deleted) return unknown();
    turn.actor = actor;
    const bool first = found.state == State::active;
    found.info.deleting = true;
    if (first) {
      DP_CHECK(turn.put_document(system_tenant, doc_tenant, id.str(),
                                 registered(found.info, State::deleting, found.data_key), {}));
      DP_CHECK(turn.audit(id, "tenant.deleting", id.str(), "ok", {}));
      // From here on nobody gets in: a sign-in under way ends in conclude(), which asks again.
      {
        const std::unique_lock lock(impl.shared);
        impl.registry[id].info.deleting = true;
      }
      std::vector<core::SessionId> sessions;
      {
        const std::shared_lock lock(impl.shared);
        for (const auto& [session, s] : impl.sessions)
          if (s.who.tenant == id) sessions.push_back(session);
      }
      DP_CHECK(impl.end_sessions(turn, id, sessions, core::EndReason::admin, actor, nullptr));
    }
    // Also those that no login answers for any more.
    DP_TRY(const auto left, turn.open_grants(of_tenant(id)));
    DP_CHECK(turn.end(left, core::EndReason::admin, actor));
    turn.last = true;
    turn.after.emplace_back([&impl, id] {
      impl.trials.forget(id);
      impl.forwards.erase(id);
      impl.forward_gauges();
      impl.post(impl.purge_event(id));
    });
    found.info.grants = left.size();
    return found.info;
  });
}

Engine::Impl::Event Engine::Impl::purge_event(core::TenantId id, bool forgotten) {
  Event event;
  event.again = true;
  event.run = [this, id, forgotten](Turn& turn) -> Status {
    if (grant_book.has(id)) return {};
    DP_TRY(const auto known, turn.tx.get(system_tenant, doc_tenant, id.str(), turn.now));
    if (!known) return {};
    DP_TRY(const Registered found, read_registered(*known));
    if (found.state != State::deleting) return {};
    const auto erased = turn.tx.erase_tenant(id, erased_at_once);
    // A grant that this very batch made: its end comes here again.
    if (!erased.ok() && erased.error().check == "store.live_grants") return {};
    DP_CHECK(erased);
    if (*erased > 0) {
      turn.after.emplace_back([this, id] { post(purge_event(id)); });
      return {};
    }
    if (!forgotten) {
      // What the gate wrote of its connections lies beside the store. Whether or not a file resists, the rest goes on.
      turn.after.emplace_back([this, id] {
        p.workers.run(
            Workers::Pool::revoke, id,
            [this, id] {
              p.sessions.forget(id);
              post(purge_event(id, true));
            },
            [](const Error&) {});
      });
      return {};
    }
    for (std::string after;;) {
      DP_TRY(const auto servers, turn.tx.list(system_tenant, doc_server, "", after, 500, turn.now));
      for (const auto& server : servers) {
        if (server.body.substr(0, server.body.find('\n')) != id.str()) continue;
        DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(system_tenant, doc_server, server.key));
      }
      if (servers.size() < 500) break;
      after = servers.back().key;
    }
    DP_CHECK(release_domains(turn, id, nullptr));
    // The name stays, so that it is never given again; the data key goes, and with it whatever a backup still holds.
    DP_CHECK(turn.put_document(system_tenant, doc_tenant, id.str(), registered(found.info, State::deleted, {}), {}));
    DP_CHECK(turn.audit(id, "tenant.deleted", id.str(), "ok", {}));
    turn.after.emplace_back([this, id] {
      p.vault.drop(id);
      const std::unique_lock lock(shared);
      registry.erase(id);
      freezes.erase(id);
    });
    return {};
  };
  return event;
}

}  // namespace daypass::engine
