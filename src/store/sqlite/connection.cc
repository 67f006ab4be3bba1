#include "store/sqlite/connection.h"

#include <sqlite3.h>

#include <cerrno>
#include <limits>
#include <new>

namespace daypass::store::sqlite {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

/// The disk refuses to take more: ENOSPC, a quota, or the file size limit.
bool is_full(int system_errno) {
  return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG;
}

}  // namespace

Error error_of(int code, int system_errno, std::string_view detail) {
  const std::string what =
      std::string(detail.empty() ? sqlite3_errstr(code) : detail) + " (SQLite " + std::to_string(code) + ")";
  const int primary = code & 0xff;
  // SQLite tells ENOSPC apart only when it writes pages; growing the shared index or hitting a quota is an I/O error to
  // it.
  if (primary == SQLITE_FULL || ((primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) && is_full(system_errno)))
    return {Code::unavailable, "store.full", "the disk that holds the store is full: " + what,
            "free space on the store's file system; what was not stored has not happened"};
  switch (primary) {
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_NOMEM) throw std::bad_alloc();
      return {Code::internal, "store.io", "reading or writing the store failed: " + what,
              "look for disk errors in the system log"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Code::unavailable, "store.busy", "another program holds the store locked: " + what,
              "close the program that has the store's files open, such as sqlite3 or a backup"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Code::internal, "store.corrupt", "the store is damaged: " + what,
              "keep a copy of its files and restore a backup"};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      return {Code::internal, "store.open", "the store can't be opened for writing: " + what,
              "check that its folder and files belong to the user that runs Daypass"};
    case SQLITE_TOOBIG:
      return {Code::invalid, "store.too_big", "a record is too large for the store: " + what};
    case SQLITE_CONSTRAINT:
      return {Code::internal, "store.constraint", "the store refuses a record: " + what};
    case SQLITE_NOMEM:
      throw std::bad_alloc();
    default:
      return {Code::internal, "store.sql", "the store refuses a statement: " + what};
  }
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Mode mode, base::Millis busy_timeout) {
  DP_ASSERT(path.starts_with('/') && sqlite3_threadsafe() != 0);
  errno = 0;
  sqlite3* db = nullptr;
  const int flags = (mode == Mode::write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX |
                    SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  if (db == nullptr) throw std::bad_alloc();
  std::unique_ptr<Connection> connection(new Connection(db));  // closes it, also after a failure
  if (code != SQLITE_OK) return connection->failed(code);
  DP_CHECK(connection->configure(mode, busy_timeout));
  return connection;
}

Status Connection::configure(Mode mode, base::Millis busy_timeout) {
  sqlite3_busy_timeout(db_, static_cast<int>(busy_timeout.count()));
  // Whoever edits the schema by other means must not make this process run SQL of theirs: no functions with side
  // effects from the schema, no views, no shadow tables written, no string literal that turns out to be a column.
  for (const auto& [option, value] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                      {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                                      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                                      {SQLITE_DBCONFIG_DQS_DML, 0},
                                      {SQLITE_DBCONFIG_DQS_DDL, 0},
                                      {SQLITE_DBCONFIG_ENABLE_FKEY, 1}})
    if (const int code = sqlite3_db_config(db_, option, value, nullptr); code != SQLITE_OK) return failed(code);
  sqlite3_limit(db_, SQLITE_LIMIT_ATTACHED, 0);
  // Temporary data stays in memory: it would carry records into files of its own.
  DP_CHECK(run("PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0"));
  if (mode == Mode::read) return run("PRAGMA query_only = ON");
  // FULL: a commit has reached the disk when it returns. Deleted rows are overwritten: some held sealed secrets.
  return run("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON");
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

Error Connection::failed(int code) {
  // Not sqlite3_system_errno: a COMMIT that fails does not set it.
  const int system_errno = errno;
  Error error = error_of(code, system_errno, sqlite3_errmsg(db_));
  if ((code & 0xff) != SQLITE_CONSTRAINT && !failure_) failure_ = error;
  return error;
}

Status Connection::run(const char* sql) {
  if (failure_) return *failure_;
  errno = 0;
  if (const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) return failed(code);
  return {};
}

Result<std::int64_t> Connection::number(const char* sql, std::int64_t otherwise) {
  Query query(*this, sql);
  DP_TRY(const bool found, query.row());
  return found ? query.number_at(0) : otherwise;
}

bool Connection::in_transaction() const noexcept {
  return sqlite3_get_autocommit(db_) == 0;
}
std::int64_t Connection::changes() const noexcept {
  return sqlite3_changes64(db_);
}

void Connection::rollback() noexcept {
  if (in_transaction()) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<sqlite3_stmt*> Connection::prepare(std::string_view sql) {
  if (const auto known = statements_.find(sql); known != statements_.end()) return known->second;
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return failed(code);
  statements_.emplace(sql, statement);
  return statement;
}

Query::Query(Connection& connection, std::string_view sql) : connection_(connection) {
  if (connection.failure()) {
    failed_ = connection.failure();
    return;
  }
  auto statement = connection.prepare(sql);
  if (!statement.ok()) {
    failed_ = std::move(statement).error();
    return;
  }
  DP_ASSERT(sqlite3_stmt_busy(*statement) == 0);
  statement_ = *statement;
}

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

void Query::bound(int code) {
  ++next_;
  if (code != SQLITE_OK && !failed_) failed_ = connection_.failed(code);
}

// The bytes are copied: what was bound may be a temporary. A null pointer would bind NULL, so the empty text is one,
// too.
Query& Query::text(std::string_view value) {
  if (failed_) return *this;
  bound(sqlite3_bind_text64(statement_, next_, value.empty() ? "" : value.data(), value.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
  return *this;
}

Query& Query::blob(std::string_view value) {
  if (failed_) return *this;
  bound(sqlite3_bind_blob64(statement_, next_, value.empty() ? "" : value.data(), value.size(), SQLITE_TRANSIENT));
  return *this;
}

Query& Query::number(std::int64_t value) {
  if (!failed_) bound(sqlite3_bind_int64(statement_, next_, value));
  return *this;
}

Query& Query::number(std::uint64_t value) {
  DP_ASSERT(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  return number(static_cast<std::int64_t>(value));
}

Query& Query::size(std::size_t value) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
  return number(static_cast<std::int64_t>(std::min(value, most)));
}

Query& Query::time(base::WallTime value) {
  return number(std::int64_t{value.time_since_epoch().count()});
}

Query& Query::time(const std::optional<base::WallTime>& value) {
  if (value) return time(*value);
  if (!failed_) bound(sqlite3_bind_null(statement_, next_));
  return *this;
}

Result<bool> Query::row() {
  if (failed_) return *failed_;
  DP_ASSERT(next_ == sqlite3_bind_parameter_count(statement_) + 1);
  errno = 0;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  if ((code & 0xff) == SQLITE_CONSTRAINT) constraint_ = code;
  failed_ = connection_.failed(code);
  return *failed_;
}

Status Query::run() {
  for (;;) {
    DP_TRY(const bool more, row());
    if (!more) return {};
  }
}

std::int64_t Query::number_at(int column) const noexcept {
  return sqlite3_column_int64(statement_, column);
}

std::string Query::bytes_at(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (bytes == nullptr && size > 0) throw std::bad_alloc();
  return bytes == nullptr ? std::string()
                          : std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

bool Query::null_at(int column) const noexcept {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

base::WallTime Query::time_at(int column) const noexcept {
  return base::WallTime(base::Millis(number_at(column)));
}

}  // namespace daypass::store::sqlite
