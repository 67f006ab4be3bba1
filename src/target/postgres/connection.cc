#include "target/postgres/connection.h"

#include <array>
#include <charconv>

#include "net/egress.h"
#include "target/postgres/resolve.h"
#include "target/postgres/statements.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Millis;
using base::Status;

/// The server's words, fit for a message: one line, printable, short.
std::string cleaned(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 300)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// Startup options win over what ALTER ROLE or ALTER DATABASE set for the admin login. search_path: nothing that a user
// made may be found in place of what is meant. The timeouts are for the case that our own deadline can't reach the
// server.
constexpr const char* startup_options =
    "-c search_path=pg_catalog,pg_temp -c statement_timeout=60s"
    " -c idle_in_transaction_session_timeout=30s -c standard_conforming_strings=on -c datestyle=ISO -c timezone=UTC"
    " -c default_transaction_isolation=read\\ committed -c default_transaction_read_only=off"
    " -c default_transaction_deferrable=off -c synchronous_commit=on -c jit=off -c plan_cache_mode=force_generic_plan"
    " -c row_security=off -c quote_all_identifiers=off -c client_min_messages=warning -c bytea_output=hex";

constexpr const char* nowhere = "/nonexistent";

/// Every parameter that the environment or a home folder could fill in is given here.
PGconn* start(const Login& login, const std::string& address) {
  const TargetSettings& s = *login.settings;
  const std::string port = std::to_string(s.port);
  std::string password(login.password.reveal());
  const std::string ca = s.ca_file.empty() ? system_ca_file : s.ca_file;
  const auto keys = std::to_array<const char*>({"host",
                                                "hostaddr",
                                                "port",
                                                "dbname",
                                                "user",
                                                "password",
                                                "application_name",
                                                "options",
                                                "client_encoding",
                                                "sslmode",
                                                "sslrootcert",
                                                "sslcert",
                                                "sslkey",
                                                "sslcrl",
                                                "sslcrldir",
                                                "ssl_min_protocol_version",
                                                "sslsni",
                                                "gssencmode",
                                                "krbsrvname",
                                                "passfile",
                                                "target_session_attrs",
                                                "channel_binding",
                                                "replication",
                                                "keepalives",
                                                "keepalives_idle",
                                                "keepalives_interval",
                                                "keepalives_count",
                                                "tcp_user_timeout",
                                                "requirepeer",
                                                "connect_timeout",
                                                "fallback_application_name",
                                                nullptr});
  const auto values = std::to_array<const char*>({s.host.c_str(),
                                                  address.c_str(),
                                                  port.c_str(),
                                                  login.database.c_str(),
                                                  s.admin_user.c_str(),
                                                  password.c_str(),
                                                  login.application.c_str(),
                                                  startup_options,
                                                  "UTF8",
                                                  s.tls ? "verify-full" : "disable",
                                                  ca.c_str(),
                                                  s.admin_cert.empty() ? nowhere : s.admin_cert.c_str(),
                                                  s.admin_key.empty() ? nowhere : s.admin_key.c_str(),
                                                  nowhere,
                                                  "",
                                                  "TLSv1.2",
                                                  "1",
                                                  "disable",
                                                  "",
                                                  nowhere,
                                                  "any",
                                                  "prefer",
                                                  "",
                                                  "1",
                                                  "10",
                                                  "5",
                                                  "3",
                                                  "20000",
                                                  "",
                                                  "0",
                                                  "daypass",
                                                  nullptr});
  static_assert(keys.size() == values.size());
  PGconn* conn = PQconnectStartParams(keys.data(), values.data(), 0);
  base::wipe(password.data(), password.size());
  return conn;
}

Error connect_error(const Login& login, std::string message, bool reached) {
  const std::string where = login.settings->host + ":" + std::to_string(login.settings->port);
  if (reached)
    return {Code::unavailable, "pg.login",
            "the admin login " + login.settings->admin_user + " at " + where + " was refused: " + cleaned(message),
            "daypass target check"};
  return {Code::unavailable, "pg.connect", "can't connect to " + where + ": " + cleaned(message), "is the server up?"};
}

Failure from_result(const PGresult* result, std::size_t statement) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return {Failure::Kind::sql, state == nullptr ? "" : state, cleaned(words == nullptr ? "" : words), statement};
}

}  // namespace

base::Error to_error(const Failure& failure, std::string_view doing) {
  const std::string what = "can't " + std::string(doing) + ": ";
  switch (failure.kind) {
    case Failure::Kind::refused:
      return {Code::unavailable, "pg.connect", what + failure.message};
    case Failure::Kind::deadline:
      return {Code::timeout, "pg.timeout", what + "the server did not answer in time"};
    case Failure::Kind::lost:
      return {Code::timeout, "pg.connection_lost", what + "the connection was lost (" + failure.message + ")"};
    case Failure::Kind::sql:
      break;
  }
  const std::string told = what + failure.message + " (SQLSTATE " + failure.state + ")";
  if (failure.is(sqlstate::insufficient_privilege))
    return {Code::unavailable, "pg.admin_right", told, "daypass target check names the missing right"};
  if (failure.is(sqlstate::lock_not_available) || failure.is(sqlstate::deadlock) ||
      failure.is(sqlstate::query_canceled))
    return {Code::unavailable, "pg.locked", told, "something on the server holds a lock for long"};
  if (failure.state.starts_with("PD"))  // raised by installed functions, see installed.h
    return {Code::unavailable, "pg.broker.refused", told, "daypass target check names what is missing"};
  if (failure.is(sqlstate::undefined_function) || failure.is(sqlstate::undefined_schema))
    return {Code::unavailable, "pg.broker.installed", told, "daypass target installer writes what a DBA runs"};
  if (failure.state.starts_with("53"))
    return {Code::unavailable, "pg.resources", told, "the server is short of something"};
  return {Code::internal, "pg.sql", told};
}

std::int64_t Rows::number(int row, int column) const noexcept {
  const std::string_view text = at(row, column);
  std::int64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  return end.ec == std::errc() && end.ptr == text.data() + text.size() ? value : 0;
}

Connection::~Connection() {
  PQfinish(conn_);
}

base::Result<std::unique_ptr<Connection>> Connection::open(const Login& login, const Deadline& deadline) {
  std::vector<std::string> addresses{""};
  if (!login.settings->unix_socket()) {
    DP_TRY(addresses, resolve(login.settings->host, deadline));
    if (login.settings->public_only)
      std::erase_if(addresses, [](const auto& a) { return net::classify(a) != net::AddressClass::global; });
    if (addresses.empty())
      return Error{Code::denied, "pg.private", login.settings->host + " is no address of the internet",
                   "the operator says which hosts of a private network a tenant may name: daypass tenants set"};
    for (const auto& address : addresses)
      if (!login.settings->tls && !is_loopback_address(address))
        return Error{Code::unavailable, "pg.connect",
                     login.settings->host + " is " + address + ", which is not loopback", "use tls = \"verify\""};
  }
  Error last{Code::timeout, "pg.timeout", "no time left to connect"};
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // A silent address must not eat the time of those behind it.
    const Deadline share = deadline.within(deadline.left() / static_cast<int>(addresses.size() - i));
    PGconn* conn = start(login, addresses[i]);
    if (conn == nullptr) return Error{Code::internal, "pg.connect", "out of memory"};
    std::unique_ptr<Connection> made(new Connection(conn));
    PQsetNoticeReceiver(conn, [](void*, const PGresult*) {}, nullptr);
    const Status connected = made->connect(share);
    if (connected.ok()) {
      DP_CHECK(made->look_around(login, deadline));
      return made;
    }
    const bool reached = PQconnectionUsedPassword(conn) != 0 || PQconnectionNeedsPassword(conn) != 0;
    if (connected.error().code == Code::timeout)
      last = connected.error();
    else
      last = connect_error(login, PQerrorMessage(conn), reached);
    if (reached || deadline.passed()) break;
  }
  return last;
}

Status Connection::connect(const Deadline& deadline) {
  PostgresPollingStatusType state = PQstatus(conn_) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (state == PGRES_POLLING_FAILED) return Error{Code::unavailable, "pg.connect", "failed"};
    if (!wait(state == PGRES_POLLING_WRITING, deadline))
      return Error{Code::timeout, "pg.timeout", "the server did not answer a connection in time"};
    state = PQconnectPoll(conn_);
  }
  if (PQsetnonblocking(conn_, 1) != 0) return Error{Code::internal, "pg.connect", "can't make the socket non-blocking"};
  return {};
}

Status Connection::look_around(const Login& login, const Deadline& deadline) {
  facts_.version = PQserverVersion(conn_);
  facts_.database = login.database;
  if (facts_.version < 130000)
    return Error{Code::unavailable, "pg.version", "the server is older than PostgreSQL 13", "use a supported version"};
  const std::string ask =
      "SELECT pg_backend_pid(), (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())), "
      "pg_is_in_recovery(),"
      " r.rolsuper, r.rolcreaterole, r.rolsuper OR pg_has_role(current_user, 'pg_signal_backend', 'USAGE'),"
      " current_setting('max_prepared_transactions') FROM pg_roles r WHERE r.rolname = current_user;\n";
  std::string settings = "SET lock_timeout = " + std::to_string(login.lock_timeout.count()) + ";\n";
  if (facts_.version >= 140000) settings += "SET client_connection_check_interval = '1s';\n";
  const auto reply = run(ask + settings, deadline);
  if (!reply) return to_error(reply.error(), "look around on the server");
  const Rows& row = reply->front();
  if (row.size() != 1) return Error{Code::internal, "pg.sql", "the admin login is not in pg_roles"};
  facts_.pid = static_cast<int>(row.number(0, 0));
  facts_.started = row.text(0, 1);
  facts_.superuser = row.yes(0, 3);
  facts_.createrole = row.yes(0, 4) || facts_.superuser;
  facts_.may_signal = row.yes(0, 5);
  facts_.prepared_max = static_cast<int>(row.number(0, 6));
  if (row.yes(0, 2))
    return Error{Code::unavailable, "pg.standby", "the server is a standby: what it shows may be old",
                 "point the target at the primary"};
  if (facts_.pid != PQbackendPID(conn_))
    return Error{Code::unavailable, "pg.pooler", "a connection pooler sits between Daypass and the server",
                 "point the target at the server itself"};
  const auto system = run("SELECT system_identifier FROM pg_control_system()", deadline);
  if (system)
    facts_.system = system->front().text(0, 0);
  else if (!system.error().is(sqlstate::insufficient_privilege))
    return to_error(system.error(), "read the server's identity");
  const auto ready = run(prepared_statements(facts_.version, facts_.prepared_max > 0), deadline);
  if (!ready) return to_error(ready.error(), "prepare statements");
  return {};
}

Failure Connection::broken(Failure::Kind kind) const {
  return {kind, "", cleaned(PQerrorMessage(conn_)), 0};
}

Outcome<void> Connection::wait(bool for_write, const Deadline& deadline) {
  for (;;) {
    const auto left = deadline.left();
    if (left == Millis(0)) return std::unexpected(broken(Failure::Kind::deadline));
    const short events = static_cast<short>(for_write ? POLLIN | POLLOUT : POLLIN);
    pollfd fd{PQsocket(conn_), events, 0};
    const int ready = poll(&fd, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    if (ready > 0) return {};
    // A clock that stands still (a simulated one) must not make us wait twice.
    if (ready == 0 && left <= Millis(60'000)) return std::unexpected(broken(Failure::Kind::deadline));
  }
}

Outcome<void> Connection::send(const std::string& sql, const Deadline& deadline) {
  if (PQstatus(conn_) != CONNECTION_OK) return std::unexpected(broken(Failure::Kind::refused));
  if (PQsendQuery(conn_, sql.c_str()) == 0) return std::unexpected(broken(Failure::Kind::lost));
  for (;;) {
    const int pending = PQflush(conn_);
    if (pending == 0) return {};
    if (pending < 0) return std::unexpected(broken(Failure::Kind::lost));
    if (auto ready = wait(true, deadline); !ready) return ready;
    if (PQconsumeInput(conn_) == 0) return std::unexpected(broken(Failure::Kind::lost));
  }
}

Outcome<PGresult*> Connection::next(const Deadline& deadline) {
  while (PQisBusy(conn_) != 0) {
    if (auto ready = wait(false, deadline); !ready) return std::unexpected(ready.error());
    if (PQconsumeInput(conn_) == 0) return std::unexpected(broken(Failure::Kind::lost));
  }
  return PQgetResult(conn_);
}

Outcome<Reply> Connection::exchange(const std::string& sql, const Deadline& deadline) {
  if (auto sent = send(sql, deadline); !sent) return std::unexpected(sent.error());
  Reply reply;
  std::expected<void, Failure> verdict;
  for (;;) {
    const auto result = next(deadline);
    if (!result) return std::unexpected(result.error());
    if (*result == nullptr) break;
    Rows rows(*result);
    switch (PQresultStatus(*result)) {
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
      case PGRES_EMPTY_QUERY:
        reply.push_back(std::move(rows));
        break;
      case PGRES_FATAL_ERROR:
        if (verdict) verdict = std::unexpected(from_result(*result, reply.size()));
        break;
      default:  // COPY and the like: nothing that we send asks for it
        spoil();
        return std::unexpected(Failure{Failure::Kind::lost, "", "unexpected answer", reply.size()});
    }
  }
  // A FATAL ends the session: an SQLSTATE came, and still nobody knows whether a COMMIT before it was heard.
  if (PQstatus(conn_) != CONNECTION_OK) {
    Failure lost = verdict ? broken(Failure::Kind::lost) : verdict.error();
    lost.kind = Failure::Kind::lost;
    return std::unexpected(std::move(lost));
  }
  if (!verdict) return std::unexpected(verdict.error());
  return reply;
}

Outcome<Reply> Connection::run(const std::string& sql, const Deadline& deadline) {
  auto reply = exchange(sql, deadline);
  if (!reply && reply.error().unknown()) {
    spoil();
    return reply;
  }
  if (!reply && PQtransactionStatus(conn_) != PQTRANS_IDLE && !exchange("ROLLBACK", deadline)) spoil();
  return reply;
}

bool Connection::usable() {
  if (spoiled_ || PQstatus(conn_) != CONNECTION_OK || PQtransactionStatus(conn_) != PQTRANS_IDLE) return false;
  // Nothing is due on an idle connection. What comes is the server's farewell, or so rare that a new connection is
  // cheaper.
  pollfd fd{PQsocket(conn_), POLLIN, 0};
  return poll(&fd, 1, 0) == 0;
}

std::string Connection::ident(std::string_view name) const {
  char* quoted = PQescapeIdentifier(conn_, name.data(), name.size());
  DP_ASSERT(quoted != nullptr);  // only out of memory or broken UTF-8, and names are checked before they come here
  std::string out = quoted;
  PQfreemem(quoted);
  return out;
}

std::string Connection::literal(std::string_view text) const {
  char* quoted = PQescapeLiteral(conn_, text.data(), text.size());
  DP_ASSERT(quoted != nullptr);
  std::string out = quoted;
  PQfreemem(quoted);
  return out;
}

std::string Connection::array(const std::vector<std::string>& texts) const {
  std::string out = "ARRAY[";
  for (const auto& text : texts) out += (out.back() == '[' ? "" : ",") + literal(text);
  return out + "]::text[]";
}

}  // namespace daypass::target::postgres
