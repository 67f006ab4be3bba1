// One libpq connection under deadlines. Nothing here can hang: sockets are non-blocking and every wait is a poll().
// What failed is told apart by what the server may have done: said no, never heard of it, or nobody knows.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "target/postgres/deadline.h"
#include "target/postgres/settings.h"

namespace daypass::target::postgres {

struct Failure {
  enum class Kind {
    refused,   ///< no connection came about, or it was closed before anything was sent: nothing happened
    sql,       ///< the server answered with an SQLSTATE: the transaction is undone
    deadline,  ///< no answer in time: unknown
    lost,      ///< the connection broke after something was sent: unknown
  };
  Kind kind = Kind::lost;
  std::string state;          ///< SQLSTATE where the server gave one
  std::string message;        ///< the server's words, cut and cleaned; nobody decides by them
  std::size_t statement = 0;  ///< which of the statements sent, from 0
  [[nodiscard]] bool unknown() const noexcept { return kind == Kind::deadline || kind == Kind::lost; }
  [[nodiscard]] bool is(std::string_view sqlstate) const noexcept { return kind == Kind::sql && state == sqlstate; }
};

template <class T>
using Outcome = std::expected<T, Failure>;

/// `doing` is "make the account": the start of the message. Codes: timeout for what is unknown, unavailable else.
base::Error to_error(const Failure& failure, std::string_view doing);

/// SQLSTATEs that decide something here.
namespace sqlstate {
inline constexpr std::string_view duplicate_object = "42710";
inline constexpr std::string_view undefined_object = "42704";
inline constexpr std::string_view unique_violation = "23505";
inline constexpr std::string_view insufficient_privilege = "42501";
inline constexpr std::string_view bad_text = "22P02";  ///< our guards raise it, see statements.h
inline constexpr std::string_view dependent_objects = "2BP01";
inline constexpr std::string_view lock_not_available = "55P03";
inline constexpr std::string_view deadlock = "40P01";
inline constexpr std::string_view internal_error = "XX000";  ///< "tuple concurrently updated"
inline constexpr std::string_view undefined_database = "3D000";
inline constexpr std::string_view query_canceled = "57014";
inline constexpr std::string_view undefined_function = "42883";
inline constexpr std::string_view undefined_schema = "3F000";
}  // namespace sqlstate

/// Rows of one statement, as text.
class Rows {
 public:
  explicit Rows(PGresult* result) : result_(result, &PQclear) {}
  [[nodiscard]] int size() const noexcept { return PQntuples(result_.get()); }
  [[nodiscard]] bool null(int row, int column) const noexcept { return PQgetisnull(result_.get(), row, column) != 0; }
  [[nodiscard]] std::string_view at(int row, int column) const noexcept {
    return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
  }
  [[nodiscard]] std::string text(int row, int column) const { return std::string(at(row, column)); }
  [[nodiscard]] bool yes(int row, int column) const noexcept { return at(row, column) == "t"; }
  /// 0 for NULL and for what is no number.
  [[nodiscard]] std::int64_t number(int row, int column) const noexcept;

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};
/// One entry per statement.
using Reply = std::vector<Rows>;

/// Where and how to log in; `password` is resolved anew for each connection.
struct Login {
  const TargetSettings* settings = nullptr;
  std::string database;
  std::string application;  ///< application_name, at most 63 bytes
  base::Millis lock_timeout = std::chrono::seconds(1);
  base::Secret password;
};

class Connection {
 public:
  /// What the server said about itself and us when the connection was made.
  struct Facts {
    int pid = 0;
    std::string started;  ///< backend_start as the server writes it: with `pid` it names this one process
    int version = 0;      ///< 150018
    bool superuser = false;
    bool createrole = false;
    bool may_signal = false;  ///< superuser or member of pg_signal_backend
    int prepared_max = 0;     ///< max_prepared_transactions
    std::string database;
    std::string system;  ///< the cluster's own identifier; empty when the admin login may not read it
  };

  /// Logs in, refuses standbys and poolers, prepares the statements of statements.h.
  /// Errors: "pg.resolve", "pg.connect", "pg.admin_login", "pg.standby", "pg.pooler", "pg.version".
  static base::Result<std::unique_ptr<Connection>> open(const Login& login, const Deadline& deadline);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Sends `sql` as one simple query. Without BEGIN its statements are one transaction. After a failure an open
  /// transaction is rolled back; after an unknown outcome the connection is of no more use.
  Outcome<Reply> run(const std::string& sql, const Deadline& deadline);

  /// "name" and 'text', quoted by the server's rules. Requires UTF-8 without NUL.
  [[nodiscard]] std::string ident(std::string_view name) const;
  [[nodiscard]] std::string literal(std::string_view text) const;
  /// ARRAY['a','b']::text[]
  [[nodiscard]] std::string array(const std::vector<std::string>& texts) const;

  [[nodiscard]] const Facts& facts() const noexcept { return facts_; }
  /// Idle, unbroken and nothing unexpected has come in.
  [[nodiscard]] bool usable();
  /// Takes it out of use: its session state is not what the next one expects.
  void spoil() noexcept { spoiled_ = true; }

 private:
  explicit Connection(PGconn* conn) : conn_(conn) {}
  base::Status connect(const Deadline& deadline);
  base::Status look_around(const Login& login, const Deadline& deadline);
  Outcome<Reply> exchange(const std::string& sql, const Deadline& deadline);
  Outcome<void> send(const std::string& sql, const Deadline& deadline);
  /// The next result, nullptr when the query is over.
  Outcome<PGresult*> next(const Deadline& deadline);
  Outcome<void> wait(bool for_write, const Deadline& deadline);
  [[nodiscard]] Failure broken(Failure::Kind kind) const;

  PGconn* conn_;
  Facts facts_;
  bool spoiled_ = false;
};

}  // namespace daypass::target::postgres
