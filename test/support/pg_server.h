// A private PostgreSQL for tests: own data folder, own port, own unix socket, gone at the end. Works for root (the
// server then runs as the user postgres, because initdb refuses root) and for an ordinary user.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace daypass::test {

struct PgOptions {
  bool fsync = false;
  int max_connections = 300;
  int max_prepared_transactions = 20;
  /// An initdb of its own: two servers from the cached template carry the same system identifier.
  bool fresh = false;
  /// Folder of initdb and postgres; default $DAYPASS_PG_BIN, then Debian's PostgreSQL 15.
  std::string bin_dir;
  /// PEM files; not empty: TLS is on. Copied, so any owner and mode will do.
  std::string tls_cert, tls_key, tls_ca;
  /// Lines for postgresql.conf, e.g. "log_statement = 'all'".
  std::vector<std::string> settings;
  /// Lines put before the default pg_hba.conf (scram-sha-256 for everyone, unix socket and 127.0.0.1).
  std::vector<std::string> hba;
};

/// Rows of text; NULL is "NULL".
using PgRows = std::vector<std::vector<std::string>>;

class PgServer {
 public:
  /// Starts a server and waits until it accepts logins. Error: "test.pg_server", with the end of the server's log.
  static base::Result<std::unique_ptr<PgServer>> start(PgOptions options = {});
  /// One server for the whole test binary, made at first use and removed when the process exits. Aborts when it can't
  /// start.
  static PgServer& shared();
  ~PgServer();
  PgServer(const PgServer&) = delete;
  PgServer& operator=(const PgServer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] const std::string& socket_dir() const noexcept { return socket_dir_; }
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return root_; }
  /// The bootstrap superuser, "postgres", and its password.
  [[nodiscard]] static std::string superuser() { return "postgres"; }
  [[nodiscard]] const std::string& superuser_password() const noexcept { return password_; }
  /// 150018 for 15.18.
  [[nodiscard]] int version();
  [[nodiscard]] pid_t postmaster() const noexcept { return postmaster_; }
  [[nodiscard]] std::string log_text() const;

  /// A libpq conninfo string; over 127.0.0.1 without TLS, or over the unix socket with `tcp` false.
  [[nodiscard]] std::string conninfo(std::string_view user, std::string_view password,
                                     std::string_view database = "postgres", bool tcp = true) const;

  /// Runs one or more statements as superuser; rows of the last one. Error: check = SQLSTATE ("" becomes "lost").
  base::Result<PgRows> try_sql(const std::string& text, const std::string& database = "postgres");
  /// The same for statements that must work: throws std::runtime_error when they do not.
  PgRows sql(const std::string& text, const std::string& database = "postgres");
  /// First field of the first row; "" when there is none.
  std::string value(const std::string& text, const std::string& database = "postgres");

  /// Immediate stop, as after a crash: recovery follows at the next start_again.
  void stop();
  /// Starts a stopped server on the same folder and port. Error: "test.pg_server".
  base::Status start_again();
  /// SIGSTOP and SIGCONT for the postmaster and every process of the cluster: connections stay open and nothing
  /// answers.
  void freeze();
  void thaw();
  /// SIGSTOP or SIGCONT for one server process.
  static void signal(pid_t pid, int number);

 private:
  PgServer() = default;
  base::Status prepare(const PgOptions& options);
  base::Status launch();
  [[nodiscard]] std::vector<pid_t> processes() const;

  std::filesystem::path root_;
  std::string socket_dir_;
  std::string bin_dir_;
  std::string password_;
  std::uint16_t port_ = 0;
  pid_t postmaster_ = -1;
  int version_ = 0;
};

/// A client connection for tests, blocking, under libpq's own rules. Values are text.
class PgClient {
 public:
  /// Error: check "lost" or the SQLSTATE when libpq knows one; the message is libpq's.
  static base::Result<PgClient> connect(const std::string& conninfo);
  PgClient(PgClient&& other) noexcept : conn_(other.conn_) { other.conn_ = nullptr; }
  PgClient& operator=(PgClient&& other) noexcept;
  ~PgClient();

  /// Error: check = SQLSTATE, "lost" when the connection is gone.
  base::Result<PgRows> run(const std::string& text);
  /// "" when it worked, else the SQLSTATE or "lost".
  std::string state_of(const std::string& text);
  /// Sends and does not wait.
  void send(const std::string& text);
  /// Waits until the server closes the connection or `timeout_ms` passes; true when it is closed.
  bool wait_closed(int timeout_ms);
  [[nodiscard]] int backend_pid() const;
  [[nodiscard]] int socket() const;
  /// The raw PGconn, for what this class does not do.
  [[nodiscard]] void* raw() const noexcept { return conn_; }

 private:
  explicit PgClient(void* conn) : conn_(conn) {}
  void* conn_;
};

}  // namespace daypass::test
