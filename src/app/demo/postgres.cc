#include "app/demo/postgres.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "app/secrets.h"
#include "base/encoding.h"

namespace daypass::app::demo {

using base::Code;
using base::Error;
namespace fs = std::filesystem;

namespace {

/// Debian keeps each major version's programs in a folder of its own; the newest that is here.
std::string find_binaries() {
  std::string best;
  int newest = 0;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ec)) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (version > newest && fs::exists(entry.path() / "bin/initdb")) {
      newest = version;
      best = (entry.path() / "bin").string();
    }
  }
  return best;
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(fd);
  return bound ? ntohs(address.sin_port) : 0;
}

constexpr const char* schema = R"sql(
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, city text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, total numeric(10,2) NOT NULL, placed timestamptz NOT NULL);
INSERT INTO customers SELECT i, 'Customer ' || i, (ARRAY['Berlin','Lyon','Porto','Turku'])[1 + i % 4] FROM generate_series(1, 200) i;
INSERT INTO orders SELECT i, 1 + i % 200, 5 + i % 90, now() - i * interval '1 hour' FROM generate_series(1, 5000) i;
CREATE ROLE orders_reader NOLOGIN;
CREATE ROLE orders_writer NOLOGIN;
GRANT SELECT ON customers, orders TO orders_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders TO orders_writer;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
)sql";

}  // namespace

base::Result<std::vector<std::string>> DemoPostgres::query(const std::string& database, const std::string& sql) const {
  const std::string port = std::to_string(port_);
  const char* names[] = {"host",       "port",    "user", "password", "dbname", "connect_timeout",
                         "gssencmode", "sslmode", nullptr};
  const char* values[] = {"127.0.0.1", port.c_str(), "postgres", superuser_password_.c_str(), database.c_str(), "5",
                          "disable",   "disable",    nullptr};
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdbParams(names, values, 0), &PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK)
    return Error{Code::unavailable, "demo.postgres",
                 std::string("the demo's PostgreSQL: ") + PQerrorMessage(connection.get())};
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), sql.c_str()), &PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
    return Error{Code::internal, "demo.postgres",
                 std::string("the demo's PostgreSQL: ") + PQresultErrorMessage(result.get())};
  std::vector<std::string> out;
  for (int i = 0; i < PQntuples(result.get()); ++i) out.emplace_back(PQgetvalue(result.get(), i, 0));
  return out;
}

base::Result<std::unique_ptr<DemoPostgres>> DemoPostgres::start(const std::string& folder, const base::Clock& clock,
                                                                base::Entropy& entropy) {
  const std::string bin = find_binaries();
  if (bin.empty())
    return Error{Code::unavailable, "demo.postgres_missing", "PostgreSQL's server programs are not here",
                 "apt-get install postgresql-15, or make demo, which does it"};
  std::unique_ptr<DemoPostgres> pg(new DemoPostgres());
  pg->superuser_password_ = base::random_token(entropy, 24);
  pg->port_ = free_port();
  const std::string home = folder + "/postgres", data = home + "/data", password = home + "/superuser";
  fs::create_directory(home);
  DP_CHECK(write_private(password, pg->superuser_password_ + "\n"));
  Command command;
  command.directory = "/";
  command.deadline = std::chrono::seconds(60);
  command.env["LC_ALL"] = "C.UTF-8";
  if (::getuid() == 0) {
    // initdb and postgres refuse to run as root; Debian's package brings the user.
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr)
      return Error{Code::unavailable, "demo.postgres_missing", "the user postgres is not here",
                   "apt-get install postgresql-15"};
    command.as_user = {user->pw_uid, user->pw_gid};
    for (const auto& path : {home, password})
      if (::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0)
        return Error{Code::internal, "demo.postgres", path + " can't be given to the user postgres"};
  }
  command.args = {bin + "/initdb",        "-D",        data, "-U",   "postgres",        "-A", "scram-sha-256",
                  "--pwfile=" + password, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"};
  DP_TRY(const Outcome made, run(command, clock));
  if (made.exit_code != 0) return Error{Code::internal, "demo.postgres", "initdb failed: " + made.err.substr(0, 500)};
  command.args = {bin + "/postgres",
                  "-D",
                  data,
                  "-p",
                  std::to_string(pg->port_),
                  "-c",
                  "listen_addresses=127.0.0.1",
                  "-k",
                  home,
                  "-c",
                  "fsync=off",
                  "-c",
                  "log_min_messages=warning",
                  "-c",
                  "shared_buffers=32MB",
                  "-c",
                  "max_connections=60"};
  DP_TRY(Child child, Child::start(command, folder + "/postgres.log"));
  pg->server_ = std::make_unique<Child>(std::move(child));
  const base::MonoTime until = clock.mono() + std::chrono::seconds(30);
  for (;;) {
    if (pg->query("postgres", "SELECT 1").ok()) break;
    if (!pg->server_->alive() || clock.mono() > until)
      return Error{Code::internal, "demo.postgres",
                   "the demo's PostgreSQL does not start; see " + folder + "/postgres.log"};
    ::poll(nullptr, 0, 50);
  }
  const std::string admin_password = base::random_token(entropy, 24);
  pg->admin_password_file_ = folder + "/pg-admin-password";
  DP_CHECK(write_private(pg->admin_password_file_, admin_password + "\n"));
  DP_TRY(const auto version, pg->query("postgres", "SHOW server_version_num"));
  // From 16 on CREATEROLE alone gives no right to hand out a role that somebody else made.
  const bool needs_admin = std::stoi(version.at(0)) >= 160000;
  // The password is base64url: nothing in it needs quoting.
  for (const auto& [database, sql] : std::vector<std::pair<std::string, std::string>>{
           {"postgres", "CREATE DATABASE orders"},
           {"orders", schema},
           {"postgres", "CREATE ROLE daypass_admin LOGIN CREATEROLE PASSWORD '" + admin_password + "'"},
           {"postgres", "GRANT pg_signal_backend TO daypass_admin"},
           {"postgres",
            needs_admin ? "GRANT orders_reader, orders_writer TO daypass_admin WITH ADMIN OPTION" : "SELECT 1"},
           {"postgres",
            "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC; GRANT CONNECT ON DATABASE postgres, template1 "
            "TO daypass_admin"}}) {
    DP_TRY([[maybe_unused]] const auto done, pg->query(database, sql));
  }
  return pg;
}

}  // namespace daypass::app::demo
