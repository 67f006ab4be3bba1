#include "store/sqlite/schema.h"

#include <sqlite3.h>

#include <array>
#include <new>

#include "store/audit_leaf.h"

#ifndef DAYPASS_VERSION
#define DAYPASS_VERSION "unknown"
#endif

namespace daypass::store::sqlite {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

/// "Dayp", in the file's header: tells a store from any other SQLite database (`file` and PRAGMA application_id show
/// it).
constexpr std::int64_t application_id = 0x44617970;

// Names that this program makes are TEXT; what others chose (subjects, keys) and bodies are BLOB: compared byte by
// byte, free to hold NUL and bytes that are no UTF-8. Times are milliseconds since 1970, UTC.
constexpr const char* first = R"sql(
CREATE TABLE owner (only INTEGER PRIMARY KEY CHECK (only = 1), epoch INTEGER NOT NULL) STRICT;
INSERT INTO owner VALUES (1, 0);

-- The body is the whole grant; the columns are what is searched and compared.
CREATE TABLE grants (
  n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
  session TEXT NOT NULL, principal BLOB NOT NULL, target TEXT NOT NULL, opened_at INTEGER NOT NULL, body BLOB NOT NULL,
  UNIQUE (tenant, id)
) STRICT;
CREATE INDEX grants_by_session ON grants (session);
CREATE INDEX grants_by_principal ON grants (principal, opened_at);
CREATE INDEX grants_by_target ON grants (target, opened_at);
CREATE INDEX grants_by_tenant ON grants (tenant, opened_at);
-- Closed grants pile up for years; the living are few and asked for all the time.
CREATE INDEX live_grants ON grants (tenant, opened_at) WHERE state <> 'closed';
CREATE INDEX live_grants_by_principal ON grants (principal) WHERE state <> 'closed';
CREATE INDEX live_grants_by_target ON grants (target) WHERE state <> 'closed';

-- Only open intents are here: a settled one is a row less. At most one per grant.
CREATE TABLE intents (
  tenant TEXT NOT NULL, grant_id TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, attempt INTEGER NOT NULL,
  not_before INTEGER NOT NULL, sealed_secret BLOB NOT NULL,
  PRIMARY KEY (tenant, grant_id), FOREIGN KEY (tenant, grant_id) REFERENCES grants (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE documents (
  n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL,
  body BLOB NOT NULL, expires_at INTEGER,
  UNIQUE (tenant, kind, key)
) STRICT;
CREATE INDEX documents_that_expire ON documents (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE used_keys (
  tenant TEXT NOT NULL, key BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX used_keys_by_end ON used_keys (until);

-- leaf: the canonical bytes; hash: their RFC 6962 leaf hash, by which a changed record is found and named.
CREATE TABLE audit (
  tenant TEXT NOT NULL, seq INTEGER NOT NULL, leaf BLOB NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit_heads (tenant TEXT PRIMARY KEY, frontier BLOB NOT NULL) STRICT, WITHOUT ROWID;
-- No statement of this program changes a record. Should one ever try, it fails.
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'an audit record is never changed'); END;
CREATE TRIGGER audit_is_never_dropped BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'an audit record is never dropped'); END;
)sql";

// core::wake_of in columns. What an older release wrote says "at once": it is looked at after the next start. A row
// that is changed leaves the indexes of what never changes alone (tx.cc), so these four are what an open grant costs.
constexpr const char* outlines = R"sql(
ALTER TABLE grants ADD COLUMN wake_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN wake_idle INTEGER NOT NULL DEFAULT 0;
ALTER TABLE grants ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
UPDATE grants SET settled = 1 WHERE state = 'active' AND json_extract(CAST(body AS TEXT), '$.open') IS NULL;
CREATE INDEX open_grants ON grants (tenant, target, id, session, settled) WHERE state <> 'closed';
CREATE INDEX open_grants_by_session ON grants (session, tenant, target, id) WHERE state <> 'closed';
CREATE INDEX open_grants_by_end ON grants (wake_at, tenant, target, id) WHERE state <> 'closed';
CREATE INDEX open_grants_by_idleness ON grants (wake_idle, tenant, target, id) WHERE state <> 'closed';
DROP INDEX live_grants_by_target;
)sql";

// What a record says of a person can be erased; which record it is, never. The function is this program's own: to any
// other one the trigger refuses whatever it tries.
constexpr const char* erasure = R"sql(
DROP TRIGGER audit_is_never_changed;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
WHEN new.tenant IS NOT old.tenant OR new.seq IS NOT old.seq OR new.hash IS NOT old.hash
  OR NOT daypass_same_leaf(old.leaf, new.leaf) BEGIN
  SELECT RAISE(ABORT, 'an audit record is never changed'); END;
)sql";

/// Whether two records are one, some of which may be erased (store/audit_leaf.h).
void same_leaf(sqlite3_context* context, int count, sqlite3_value** values) noexcept {
  try {
    std::array<Result<std::string>, 2> leaves{std::string(), std::string()};
    DP_ASSERT(count == 2);
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const void* bytes = sqlite3_value_blob(values[i]);
      const int size = sqlite3_value_bytes(values[i]);
      leaves[i] =
          leaf_of(bytes == nullptr ? std::string_view()
                                   : std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size)));
    }
    sqlite3_result_int(context, leaves[0].ok() && leaves[1].ok() && *leaves[0] == *leaves[1] ? 1 : 0);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

struct Migration {
  const char* name;
  const char* sql;
};
/// In order; the schema's version is how many of them were applied. A released one is never edited.
constexpr std::array migrations{Migration{"first", first}, Migration{"outlines", outlines},
                                Migration{"erasure", erasure}};

}  // namespace

int newest_schema() noexcept {
  return static_cast<int>(migrations.size());
}

Status check_is_ours(Connection& connection) {
  DP_TRY(const std::int64_t id, connection.number("PRAGMA application_id", 0));
  if (id == application_id) return {};
  DP_TRY(const std::int64_t tables, connection.number("SELECT count(*) FROM sqlite_schema", 0));
  if (id == 0 && tables == 0) return {};
  return Error{Code::invalid, "store.foreign", "the file is a database of another program, not a Daypass store",
               "name another file for the store"};
}

Status migrate(Connection& connection) {
  DP_ASSERT(connection.in_transaction());
  if (sqlite3_create_function_v2(connection.raw(), "daypass_same_leaf", 2,
                                 SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nullptr, same_leaf, nullptr,
                                 nullptr, nullptr) != SQLITE_OK)
    throw std::bad_alloc();
  DP_CHECK(
      connection.run("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
                     "by_release TEXT NOT NULL) STRICT"));
  DP_TRY(const std::int64_t version, connection.number("SELECT coalesce(max(version), 0) FROM migrations", 0));
  if (version < 0 || version > newest_schema())
    return Error{Code::invalid, "store.schema_newer",
                 "the store was written by a newer release of Daypass (schema " + std::to_string(version) +
                     "; this one knows schemas up to " + std::to_string(newest_schema()) + ")",
                 "run the newer release, or restore a backup from before the upgrade"};
  for (auto i = static_cast<std::size_t>(version); i < migrations.size(); ++i) {
    DP_CHECK(connection.run(migrations[i].sql));
    Query note(connection, "INSERT INTO migrations VALUES (?, ?, ?)");
    DP_CHECK(note.number(static_cast<std::int64_t>(i + 1)).text(migrations[i].name).text(DAYPASS_VERSION).run());
  }
  return connection.run("PRAGMA application_id = 1147238768");
}

}  // namespace daypass::store::sqlite
