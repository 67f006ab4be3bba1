#include "store/sqlite/tx.h"

#include <sqlite3.h>

#include "base/encoding.h"
#include "base/json.h"
#include "store/audit_leaf.h"
#include "tlog/tree.h"

namespace daypass::store::sqlite {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

Error conflict(std::string message) {
  return {Code::conflict, "store.conflict", std::move(message), "read it again and repeat the change"};
}

/// The columns wake_at, wake_idle, settled.
void bind_wake(Query& query, const core::Grant& grant) {
  const core::Wake wake = core::wake_of(grant);
  query.time(wake.at).number(std::int64_t{wake.idle.count()}).number(std::int64_t{wake.settled ? 1 : 0});
}

bool breaks_uniqueness(const Query& query) {
  return query.constraint() == SQLITE_CONSTRAINT_UNIQUE || query.constraint() == SQLITE_CONSTRAINT_PRIMARYKEY;
}

}  // namespace

Status SqliteTx::save_grant(core::Grant& grant) {
  const std::uint64_t before = grant.version++;
  const std::string body = base::json::dump(core::to_json(grant));
  Status saved = before == 0 ? insert_grant(grant, body) : replace_grant(grant, body);
  if (!saved.ok()) grant.version = before;
  return saved;
}

Status SqliteTx::insert_grant(const core::Grant& grant, std::string_view body) {
  Query query(db_,
              "INSERT INTO grants (tenant, id, version, state, session, principal, target, opened_at, body, wake_at,"
              " wake_idle, settled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  query.text(grant.id.tenant.str()).text(grant.id.id).number(grant.version).text(core::to_string(grant.state));
  query.text(grant.session.str()).blob(grant.principal).text(grant.target.str()).time(grant.opened_at).blob(body);
  bind_wake(query, grant);
  Status done = query.run();
  if (!done.ok() && breaks_uniqueness(query)) return conflict("the grant " + grant.id.str() + " is there already");
  return done;
}

Status SqliteTx::replace_grant(const core::Grant& grant, std::string_view body) {
  {
    // Whose it is and where never changes: not naming it here leaves the indexes of it alone.
    Query query(db_,
                "UPDATE grants SET version = ?, state = ?, body = ?, wake_at = ?, wake_idle = ?, settled = ?"
                " WHERE tenant = ? AND id = ? AND version = ? AND session = ? AND principal = ? AND target = ?"
                " AND opened_at = ?");
    query.number(grant.version).text(core::to_string(grant.state)).blob(body);
    bind_wake(query, grant);
    query.text(grant.id.tenant.str()).text(grant.id.id).number(grant.version - 1);
    query.text(grant.session.str()).blob(grant.principal).text(grant.target.str()).time(grant.opened_at);
    DP_CHECK(query.run());
    if (db_.changes() != 0) return {};
  }
  Query query(
      db_,
      "UPDATE grants SET version = ?, state = ?, session = ?, principal = ?, target = ?, opened_at = ?, body = ?,"
      " wake_at = ?, wake_idle = ?, settled = ? WHERE tenant = ? AND id = ? AND version = ?");
  query.number(grant.version).text(core::to_string(grant.state)).text(grant.session.str()).blob(grant.principal);
  query.text(grant.target.str()).time(grant.opened_at).blob(body);
  bind_wake(query, grant);
  query.text(grant.id.tenant.str()).text(grant.id.id).number(grant.version - 1);
  DP_CHECK(query.run());
  if (db_.changes() == 0)
    return conflict("the grant " + grant.id.str() + " is not at version " + std::to_string(grant.version - 1));
  return {};
}

Status SqliteTx::open_intent(const core::Intent& intent) {
  Query query(db_,
              "INSERT INTO intents (tenant, grant_id, seq, kind, attempt, not_before, sealed_secret)"
              " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, grant_id) DO UPDATE SET seq = excluded.seq,"
              " kind = excluded.kind, attempt = excluded.attempt, not_before = excluded.not_before,"
              " sealed_secret = excluded.sealed_secret WHERE seq <= excluded.seq");
  query.text(intent.grant.tenant.str()).text(intent.grant.id).number(std::int64_t{intent.seq});
  query.text(core::to_string(intent.kind)).number(std::int64_t{intent.attempt}).time(intent.not_before);
  Status done = query.blob(intent.sealed_secret).run();
  if (!done.ok() && query.constraint() == SQLITE_CONSTRAINT_FOREIGNKEY)
    return Error{Code::internal, "store.no_grant",
                 "an intent for the grant " + intent.grant.str() + ", which is not stored"};
  DP_CHECK(done);
  if (db_.changes() == 0)
    return conflict("a later intent than " + std::to_string(intent.seq) + " is open for the grant " +
                    intent.grant.str());
  return {};
}

Status SqliteTx::settle_intent(const core::GrantId& grant, std::uint32_t seq) {
  Query query(db_, "DELETE FROM intents WHERE tenant = ? AND grant_id = ? AND seq = ?");
  return query.text(grant.tenant.str()).text(grant.id).number(std::int64_t{seq}).run();
}

Status SqliteTx::append_audit(core::AuditEvent& event) {
  DP_TRY(const std::string head, read_frontier(db_, event.tenant));
  tlog::Frontier frontier;
  if (!head.empty()) {
    DP_TRY(frontier, tlog::Frontier::parse(head));
  }
  event.seq = frontier.size();
  DP_TRY(const LogEntry entry, entry_of(event));
  frontier.append(entry.hash);
  Query record(db_, "INSERT INTO audit (tenant, seq, leaf, hash) VALUES (?, ?, ?, ?)");
  Status done = record.text(event.tenant.str()).number(event.seq).blob(entry.record).blob(entry.hash).run();
  if (!done.ok() && breaks_uniqueness(record))
    return Error{
        Code::internal, "audit.gap",
        "record " + std::to_string(event.seq) + " of the audit log is there already: its head is behind its records",
        "run daypass audit verify"};
  DP_CHECK(done);
  Query advance(db_,
                "INSERT INTO audit_heads (tenant, frontier) VALUES (?, ?)"
                " ON CONFLICT (tenant) DO UPDATE SET frontier = excluded.frontier");
  return advance.text(event.tenant.str()).blob(frontier.serialise()).run();
}

Status SqliteTx::rewrite_audit(const core::TenantId& tenant, std::uint64_t seq, std::string_view record) {
  DP_TRY(const std::string leaf, leaf_of(record));
  Query query(db_, "UPDATE audit SET leaf = ? WHERE tenant = ? AND seq = ? AND hash = ?");
  DP_CHECK(query.blob(record).text(tenant.str()).number(seq).blob(tlog::leaf_hash(leaf)).run());
  if (db_.changes() != 0) return {};
  return Error{Code::internal, "audit.leaf",
               "record " + std::to_string(seq) + " of the audit log is not there, or would become another one"};
}

Result<bool> SqliteTx::remove_closed(const core::GrantId& grant) {
  Query query(db_, "DELETE FROM grants WHERE tenant = ? AND id = ? AND state = 'closed'");
  DP_CHECK(query.text(grant.tenant.str()).text(grant.id).run());
  return db_.changes() != 0;
}

Status SqliteTx::put(Document& document, std::optional<std::uint64_t> expected) {
  // list() pages by "after this key", and nothing comes before the empty one.
  if (document.key.empty()) return Error{Code::invalid, "store.key", "a document needs a key"};
  std::uint64_t version = 0;
  {
    Query query(db_, "SELECT version FROM documents WHERE tenant = ? AND kind = ? AND key = ?");
    DP_TRY(const bool found, query.text(document.tenant.str()).text(document.kind).blob(document.key).row());
    if (found) version = static_cast<std::uint64_t>(query.number_at(0));
  }
  if (expected && *expected != version)
    return conflict("the " + document.kind + " is at version " + std::to_string(version) + ", not " +
                    std::to_string(*expected));
  Query query(db_,
              "INSERT INTO documents (tenant, kind, key, version, body, expires_at) VALUES (?, ?, ?, ?, ?, ?)"
              " ON CONFLICT (tenant, kind, key) DO UPDATE SET version = excluded.version, body = excluded.body,"
              " expires_at = excluded.expires_at");
  query.text(document.tenant.str()).text(document.kind).blob(document.key).number(version + 1);
  DP_CHECK(query.blob(document.body).time(document.expires_at).run());
  document.version = version + 1;
  return {};
}

Result<bool> SqliteTx::remove(const core::TenantId& tenant, std::string_view kind, std::string_view key) {
  Query query(db_, "DELETE FROM documents WHERE tenant = ? AND kind = ? AND key = ?");
  DP_CHECK(query.text(tenant.str()).text(kind).blob(key).run());
  return db_.changes() != 0;
}

Result<bool> SqliteTx::use_once(const core::TenantId& tenant, std::string_view key, base::WallTime until,
                                base::WallTime now) {
  // Whatever the key guards is over: saying yes would let it be used for ever, as there is nothing left to remember it
  // by.
  if (until <= now) return false;
  Query query(db_,
              "INSERT INTO used_keys (tenant, key, until) VALUES (?, ?, ?)"
              " ON CONFLICT (tenant, key) DO UPDATE SET until = excluded.until WHERE until <= ?");
  DP_CHECK(query.text(tenant.str()).blob(key).time(until).time(now).run());
  return db_.changes() != 0;
}

Result<std::size_t> SqliteTx::erase_tenant(const core::TenantId& tenant, std::size_t most) {
  {
    Query query(db_, "SELECT 1 FROM grants WHERE tenant = ? AND state <> 'closed' LIMIT 1");
    DP_TRY(const bool live, query.text(tenant.str()).row());
    if (live) return Error{Code::conflict, "store.live_grants", "the tenant has grants that are not closed"};
  }
  std::size_t gone = 0;
  for (const char* sql : {"DELETE FROM documents WHERE n IN (SELECT n FROM documents WHERE tenant = ? LIMIT ?)",
                          "DELETE FROM grants WHERE n IN (SELECT n FROM grants WHERE tenant = ? LIMIT ?)",
                          "DELETE FROM used_keys WHERE (tenant, key) IN"
                          " (SELECT tenant, key FROM used_keys WHERE tenant = ? LIMIT ?)"}) {
    if (gone == most) break;
    Query query(db_, sql);
    DP_CHECK(query.text(tenant.str()).number(most - gone).run());
    gone += static_cast<std::size_t>(db_.changes());
  }
  return gone;
}

void SqliteTx::undo_savepoint() {
  // After a failure of the store there may be no savepoint left; the transaction as a whole is undone then.
  if (db_.failure() || !db_.in_transaction()) return;
  [[maybe_unused]] const Status undone = db_.run("ROLLBACK TO nested; RELEASE nested");
}

Status SqliteTx::nested(const std::function<Status()>& fn) {
  DP_CHECK(db_.run("SAVEPOINT nested"));
  Status status;
  try {
    status = fn();
  } catch (...) {
    undo_savepoint();
    throw;
  }
  if (db_.failure()) return *db_.failure();
  if (status.ok()) return db_.run("RELEASE nested");
  undo_savepoint();
  // Undoing can fail, too, and then nothing of the transaction may be kept.
  if (db_.failure()) return *db_.failure();
  return status;
}

}  // namespace daypass::store::sqlite
