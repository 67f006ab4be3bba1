// Audit records on their way to a tenant's receivers. Each has a cursor in the store; a worker reads a page behind it,
// sends it, and the cursor moves when the receiver has it. Nothing waits for a receiver, and one that is away costs a
// number: what it lacks stays in the log, where it is anyway.
#include "engine/turn.h"
#include "store/audit_log.h"

namespace daypass::engine {

namespace {

constexpr std::size_t page_records = 500, page_bytes = std::size_t{1} << 20U, read_at_once = 50;
constexpr base::Millis gather = std::chrono::milliseconds(200), budget = std::chrono::seconds(10),
                       first_pause = std::chrono::seconds(1), longest_pause = std::chrono::minutes(5),
                       no_room_pause = std::chrono::seconds(5);

std::string cursor_body(std::uint64_t next) {
  return json::dump(json::Object{{"v", 1}, {"next", next}});
}

Result<std::uint64_t> cursor_from(const store::Document& document) {
  DP_TRY(const json::Value body, json::parse(document.body));
  const std::int64_t next = body.int_or("next", -1);
  if (next < 0) return Error{Code::internal, "forward.shape", "the record of how far a receiver is, is damaged"};
  return static_cast<std::uint64_t>(next);
}

/// Longer each time, and not the same for all that failed together.
base::Millis pause_after(unsigned failures, const core::TenantId& tenant, const std::string& name) {
  base::Millis pause = first_pause;
  for (unsigned i = 1; i < failures && pause < longest_pause; ++i) pause *= 2;
  pause = std::min(pause, longest_pause);
  const auto spread = static_cast<std::int64_t>(std::hash<std::string>()(tenant.str() + "/" + name) % 200);
  return pause - pause * spread / 1000;
}

ForwardStatus status_of(const core::ForwardSpec& spec, const Engine::Impl::Forwarding& f, WallTime now) {
  ForwardStatus out{spec.name,   spec.is_syslog() ? "syslog" : "webhook",
                    spec.host(), spec.format == core::ForwardFormat::ocsf ? "ocsf" : "jsonl",
                    f.next,      f.size,
                    f.sent_at,   {},
                    f.failures,  f.check,
                    f.why,       {}};
  if (f.next < f.size) out.behind_since = f.behind_since;
  if (f.failures != 0 && f.not_before > now) out.next_try = f.not_before;
  return out;
}

}  // namespace

/// What a worker achieved.
struct Engine::Impl::Forwarded {
  std::uint64_t next = 0, size = 0;
  WallTime last{};  ///< when the last of them was written
};

Status Engine::Impl::load_forwards(store::Tx& tx, const core::TenantId& tenant_id, WallTime now_) {
  DP_TRY(const auto documents, tx.list(tenant_id, doc_forward, "", "", 100, now_));
  if (documents.empty()) return {};
  DP_TRY(const auto head, tx.audit_head(tenant_id));
  for (const auto& document : documents) {
    const auto next = cursor_from(document);
    if (!next.ok()) {
      p.log.error("a receiver of audit records is forgotten", {{"tenant", tenant_id.str()}, {"name", document.key}});
      continue;
    }
    Forwarding& f = forwards[tenant_id][document.key];
    f.next = *next;
    f.size = head.first;
    // Since when, its first page tells.
    if (f.next < f.size) f.behind_since = now_;
  }
  return {};
}

Status Engine::Impl::keep_forwards(Turn& turn, const core::TenantSpec& spec) {
  DP_TRY(const auto head, turn.tx.audit_head(spec.tenant));
  DP_TRY(const auto documents, turn.tx.list(spec.tenant, doc_forward, "", "", 100, turn.now));
  std::map<std::string, std::uint64_t> cursors;
  for (const auto& document : documents) {
    if (spec.forward(document.key) == nullptr) {
      DP_TRY([[maybe_unused]] const bool gone, turn.tx.remove(spec.tenant, doc_forward, document.key));
      continue;
    }
    // One that can't be read begins anew.
    cursors.emplace(document.key, cursor_from(document).ok() ? *cursor_from(document) : 0);
  }
  for (const auto& forward : spec.forwards) {
    if (cursors.contains(forward.name)) continue;
    const std::uint64_t first = forward.from_now ? head.first : 0;
    cursors.emplace(forward.name, first);
    DP_CHECK(turn.put_document(spec.tenant, doc_forward, forward.name, cursor_body(first), {}));
  }
  turn.after.emplace_back([this, tenant_id = spec.tenant, cursors = std::move(cursors), size = head.first] {
    auto& all = forwards[tenant_id];
    std::erase_if(all, [&](const auto& entry) { return !cursors.contains(entry.first); });
    for (const auto& [name, next] : cursors) {
      Forwarding& f = all[name];
      f.next = std::max(f.next, next);
      f.size = std::max(f.size, size);
      // What was wrong may be mended.
      f.failures = 0;
      f.not_before = {};
      f.check.clear();
      f.why.clear();
      if (f.next < f.size && f.behind_since == WallTime{}) f.behind_since = now();
      if (f.next < f.size) forward_at(tenant_id, name, f, now());
    }
    if (all.empty()) forwards.erase(tenant_id);
    forward_gauges();
  });
  return {};
}

void Engine::Impl::forward_grew(const core::TenantId& tenant_id, std::uint64_t size, WallTime at) {
  const auto it = forwards.find(tenant_id);
  if (it == forwards.end()) return;
  for (auto& [name, f] : it->second) {
    f.size = std::max(f.size, size);
    if (f.behind_since == WallTime{}) f.behind_since = at;
    // With each record: what it adds to the gauges, and no walk over the receivers of all tenants.
    metrics.forward_lag = std::max(metrics.forward_lag.load(), static_cast<std::int64_t>(f.size - f.next));
    if (metrics.forward_behind_since == 0) metrics.forward_behind_since = f.behind_since.time_since_epoch().count();
    forward_at(tenant_id, name, f, at + gather);
  }
}

void Engine::Impl::forward_at(const core::TenantId& tenant_id, const std::string& name, Forwarding& f, WallTime at) {
  if (f.running || f.timed) return;
  f.timed = true;
  timers.emplace(std::max(at, f.not_before), Timer{.kind = Timer::Kind::forward,
                                                   .grant = {},
                                                   .tenant = tenant_id,
                                                   .session = {},
                                                   .done = {},
                                                   .retry = {},
                                                   .name = name});
}

void Engine::Impl::forward_due(const core::TenantId& tenant_id, const std::string& name) {
  const auto it = forwards.find(tenant_id);
  if (it == forwards.end() || !it->second.contains(name)) return;
  Forwarding& f = it->second[name];
  f.timed = false;
  if (f.running || f.next >= f.size || stopping || !serves(tenant_id)) return;
  // Each page moves a cursor: not out of the room that is kept for the end of access.
  if (refuse_short(true)) return forward_at(tenant_id, name, f, now() + no_room_pause);
  f.running = true;
  p.workers.run(
      Workers::Pool::forward, tenant_id, [this, tenant_id, name, from = f.next] { send_page(tenant_id, name, from); },
      [this, tenant_id, name](const Error& e) { forwarded(tenant_id, name, e); });
}

// Worker.
void Engine::Impl::send_page(const core::TenantId& tenant_id, const std::string& name, std::uint64_t from) {
  const auto outcome = [&]() -> Result<Forwarded> {
    const auto world = tenant(tenant_id);
    if (world == nullptr || !world->receiving.contains(name))
      return Error{Code::not_found, "forward.gone", "the receiver is not configured, or can't be used"};
    forward::Batch batch{tenant_id, from, {}};
    Forwarded out;
    {
      // Let go of before anything is sent: a receiver that takes its time must not keep the store from tidying up.
      DP_TRY(const auto reader, p.store.snapshot());
      DP_TRY(const auto head, reader->audit_head(tenant_id));
      out.size = head.first;
      std::size_t bytes = 0;
      for (bool room = true; room && batch.records.size() < page_records;) {
        DP_TRY(auto some, reader->audit(tenant_id, from + batch.records.size(), read_at_once));
        room = some.size() == read_at_once;
        for (auto& record : some) {
          room = room && (bytes == 0 || bytes + record.size() <= page_bytes);
          if (bytes != 0 && bytes + record.size() > page_bytes) break;
          bytes += record.size();
          batch.records.push_back(std::move(record));
        }
      }
    }
    if (batch.records.empty()) return Error{Code::internal, "audit.gap", "the records behind the cursor are missing"};
    DP_CHECK(world->receiving.at(name)->deliver(batch, budget));
    out.next = from + batch.records.size();
    if (const auto last = core::audit_from_canonical(batch.records.back()); last.ok()) out.last = last->at;
    metrics.forwarded.fetch_add(batch.records.size(), std::memory_order_relaxed);
    return out;
  }();
  forwarded(tenant_id, name, outcome);
}

void Engine::Impl::forwarded(const core::TenantId& tenant_id, const std::string& name,
                             const Result<Forwarded>& outcome) {
  // From any thread. Tried until it is committed: the receiver has these, and must not get them again for nothing; nor
  // does it get more while the store takes no cursor.
  Event event;
  event.again = true;
  event.run = [this, tenant_id, name, outcome](Turn& turn) -> Status {
    if (outcome.ok()) {
      DP_TRY(const auto document, turn.tx.get(tenant_id, doc_forward, name, turn.now));
      // Removed meanwhile: there is nothing left to move.
      if (document) DP_CHECK(turn.put_document(tenant_id, doc_forward, name, cursor_body(outcome->next), {}));
    }
    turn.after.emplace_back([this, tenant_id, name, outcome] {
      const auto it = forwards.find(tenant_id);
      if (it == forwards.end() || !it->second.contains(name)) return;
      Forwarding& f = it->second[name];
      f.running = false;
      if (outcome.ok()) {
        if (f.failures != 0)
          p.log.info("a receiver of audit records takes them again", {{"tenant", tenant_id.str()}, {"name", name}});
        f.failures = 0;
        f.not_before = {};
        f.check.clear();
        f.why.clear();
        f.sent_at = now();
        f.next = std::max(f.next, outcome->next);
        f.size = std::max(f.size, outcome->size);
        f.behind_since = f.next < f.size ? outcome->last : WallTime{};
        if (f.next < f.size) forward_at(tenant_id, name, f, now());
      } else {
        const Error& e = outcome.error();
        metrics.forward_failures.fetch_add(1, std::memory_order_relaxed);
        if (f.failures++ == 0)
          p.log.warn("a receiver of audit records takes none",
                     {{"tenant", tenant_id.str()}, {"name", name}, {"check", e.check}, {"why", e.message}});
        f.check = e.check;
        f.why = e.message;
        f.not_before = now() + pause_after(f.failures, tenant_id, name);
        forward_at(tenant_id, name, f, f.not_before);
      }
      forward_gauges();
    });
    return {};
  };
  post(std::move(event));
}

void Engine::Impl::forward_gauges() {
  std::int64_t failing = 0, lag = 0;
  WallTime since{};
  for (const auto& [tenant_id, all] : forwards)
    for (const auto& [name, f] : all) {
      failing += f.failures != 0 ? 1 : 0;
      if (f.next >= f.size) continue;
      lag = std::max(lag, static_cast<std::int64_t>(f.size - f.next));
      if (since == WallTime{} || f.behind_since < since) since = f.behind_since;
    }
  metrics.forwards_failing = failing;
  metrics.forward_lag = lag;
  metrics.forward_behind_since = since.time_since_epoch().count();
}

void Engine::forwards(core::TenantId tenant_id, Done<std::vector<ForwardStatus>> done) {
  Impl& impl = *impl_;
  impl.call<std::vector<ForwardStatus>>(
      std::move(done), [&impl, tenant_id](Turn& turn) -> Result<std::vector<ForwardStatus>> {
        std::vector<ForwardStatus> out;
        const auto world = impl.tenant(tenant_id);
        if (world == nullptr) return out;
        const auto it = impl.forwards.find(tenant_id);
        for (const auto& spec : world->spec.forwards) {
          Impl::Forwarding none;
          const bool known = it != impl.forwards.end() && it->second.contains(spec.name);
          out.push_back(status_of(spec, known ? it->second.at(spec.name) : none, turn.now));
        }
        return out;
      });
}

void Engine::retry_forward(core::TenantId tenant_id, std::string name, Done<ForwardStatus> done) {
  Impl& impl = *impl_;
  impl.call<ForwardStatus>(std::move(done), [&impl, tenant_id, name](Turn& turn) -> Result<ForwardStatus> {
    const auto world = impl.tenant(tenant_id);
    const core::ForwardSpec* spec = world == nullptr ? nullptr : world->spec.forward(name);
    const auto it = impl.forwards.find(tenant_id);
    if (spec == nullptr || it == impl.forwards.end() || !it->second.contains(name))
      return Error{Code::not_found, "forward.unknown", "there is no receiver \"" + name.substr(0, 40) + "\" here",
                   "daypass audit forward ls shows them"};
    Impl::Forwarding& f = it->second[name];
    f.not_before = {};
    // The timer that waits finds nothing left to do.
    f.timed = false;
    if (f.next < f.size) impl.forward_at(tenant_id, name, f, turn.now);
    return status_of(*spec, f, turn.now);
  });
}

}  // namespace daypass::engine
