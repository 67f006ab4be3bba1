// SQLite's C API made safe to hold: a connection with its settings and prepared statements, one running query, and the
// translation of result codes. Knows nothing of grants.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace daypass::store::sqlite {

/// One database connection, for one thread at a time (SQLITE_OPEN_NOMUTEX).
class Connection {
 public:
  enum class Mode { write, read };
  /// `path` must be absolute: SQLite would take "file:…" for a URI. The file must exist. Errors: as `failed`.
  static base::Result<std::unique_ptr<Connection>> open(const std::string& path, Mode mode, base::Millis busy_timeout);

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// Statements of this program's own text, without parameters or rows.
  base::Status run(const char* sql);
  /// The first column of the first row, or `otherwise` when there is no row.
  base::Result<std::int64_t> number(const char* sql, std::int64_t otherwise);

  [[nodiscard]] bool in_transaction() const noexcept;
  /// Rows that the last INSERT, UPDATE or DELETE touched.
  [[nodiscard]] std::int64_t changes() const noexcept;

  /// The first failure that was more than a broken constraint. It sticks until forgotten, and every query fails with
  /// it: SQLite may have rolled the transaction back by then, and what came after would be committed one by one.
  [[nodiscard]] const std::optional<base::Error>& failure() const noexcept { return failure_; }
  void forget_failure() noexcept { failure_.reset(); }
  /// Ends the open transaction, if there is one, without keeping anything.
  void rollback() noexcept;

  [[nodiscard]] sqlite3* raw() const noexcept { return db_; }

 private:
  friend class Query;
  explicit Connection(sqlite3* db) : db_(db) {}
  base::Status configure(Mode mode, base::Millis busy_timeout);
  /// Translates a result code; remembers it as the failure unless it is a constraint's.
  base::Error failed(int code);
  base::Result<sqlite3_stmt*> prepare(std::string_view sql);

  sqlite3* db_;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
  std::optional<base::Error> failure_;
};

/// One run of a prepared statement: bind in the order of the question marks, then step. Ends when it goes out of scope.
/// A statement may not run twice at the same time.
class Query {
 public:
  Query(Connection& connection, std::string_view sql);
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  Query& text(std::string_view value);
  Query& blob(std::string_view value);
  Query& number(std::int64_t value);
  Query& number(std::uint64_t value);
  Query& size(std::size_t value);  ///< as a LIMIT: the largest one stands for anything beyond
  Query& time(base::WallTime value);
  Query& time(const std::optional<base::WallTime>& value);  ///< nullopt: NULL

  /// True when there is a row, false at the end. Errors: "store.full", "store.io", "store.busy", "store.corrupt",
  /// "store.constraint", …
  base::Result<bool> row();
  /// Runs to the end.
  base::Status run();
  /// The constraint that the last row() or run() broke: SQLITE_CONSTRAINT_…, else 0.
  [[nodiscard]] int constraint() const noexcept { return constraint_; }

  // Columns of the row, from 0.
  [[nodiscard]] std::int64_t number_at(int column) const noexcept;
  [[nodiscard]] std::string bytes_at(int column) const;
  [[nodiscard]] bool null_at(int column) const noexcept;
  [[nodiscard]] base::WallTime time_at(int column) const noexcept;

 private:
  void bound(int code);

  Connection& connection_;
  sqlite3_stmt* statement_ = nullptr;
  std::optional<base::Error> failed_;
  int next_ = 1;
  int constraint_ = 0;
};

/// What a result code means to whoever runs Daypass. `system_errno`: as the failed call left it.
base::Error error_of(int code, int system_errno, std::string_view detail);

}  // namespace daypass::store::sqlite
