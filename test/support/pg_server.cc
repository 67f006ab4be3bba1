#include "pg_server.h"  // by its own folder: the benchmarks have no include path to test/

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <random>
#include <stdexcept>

#include "base/encoding.h"
#include "base/entropy.h"

namespace daypass::test {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Error;

Error failure(std::string message) {
  return {Code::internal, "test.pg_server", std::move(message)};
}

std::string read_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

base::Status write_text(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary | std::ios::app);
  out << text;
  out.flush();
  if (!out) return failure("can't write " + file.string());
  return {};
}

/// Who the server runs as: ourselves, or postgres when we are root.
struct User {
  uid_t uid;
  gid_t gid;
};
base::Result<User> server_user() {
  if (geteuid() != 0) return User{geteuid(), getegid()};
  const passwd* entry = getpwnam("postgres");
  if (entry == nullptr) return failure("running as root, and there is no user postgres to run the server as");
  return User{entry->pw_uid, entry->pw_gid};
}

base::Status give_to(const fs::path& tree, const User& user) {
  if (geteuid() != 0) return {};
  std::error_code ec;
  bool good = lchown(tree.c_str(), user.uid, user.gid) == 0;
  if (fs::is_directory(tree, ec))
    for (auto it = fs::recursive_directory_iterator(tree, ec); !ec && it != fs::recursive_directory_iterator();
         it.increment(ec))
      good = lchown(it->path().c_str(), user.uid, user.gid) == 0 && good;
  if (!good || ec) return failure("can't hand " + tree.string() + " to the server's user");
  return {};
}

/// Starts a program as `user`, its output appended to `log`; it dies with the thread that started it.
base::Result<pid_t> spawn(const std::vector<std::string>& arguments, const User& user, const fs::path& log) {
  std::vector<char*> argv;
  for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const std::string log_name = log.string();
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return failure("fork failed");
  if (pid > 0) return pid;
  // Child: only async-signal-safe calls from here on, other threads may hold locks.
  const int out = open(log_name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (in >= 0) dup2(in, 0);
  if (out >= 0) {
    dup2(out, 1);
    dup2(out, 2);
  }
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  setpgid(0, 0);  // a terminal's interrupt must not reach the server before the tests have ended
  if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(user.gid) != 0 || setuid(user.uid) != 0)) _exit(126);
  if (chdir("/") != 0) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (getppid() != parent) _exit(126);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

bool wait_success(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Below those that outgoing connections get: one of them may have the port when the server starts, or starts again.
base::Result<std::uint16_t> free_port() {
  int above = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> above;
  std::random_device entropy;
  std::uniform_int_distribution<int> any(10240, std::max(above, 20480) - 1);
  for (int tries = 0; tries < 1000; ++tries) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto port = static_cast<std::uint16_t>(any(entropy));
    address.sin_port = htons(port);
    const bool good = fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (fd >= 0) close(fd);
    if (good) return port;
  }
  return failure("no free port on 127.0.0.1");
}

/// The build folder (it has CMake's cache), or the folder of this binary.
fs::path cache_folder() {
  std::error_code ec;
  const fs::path self = fs::read_symlink("/proc/self/exe", ec).parent_path();
  for (fs::path at = self; at != at.root_path() && !at.empty(); at = at.parent_path())
    if (fs::exists(at / "CMakeCache.txt", ec)) return at;
  return self;
}

fs::path temporary_root() {
  const char* dir = std::getenv("TMPDIR");
  return dir != nullptr && *dir == '/' ? fs::path(dir) : fs::path("/tmp");
}

/// A folder that the server's user may enter; others may pass through it to the socket.
base::Result<fs::path> make_folder(const User& user) {
  std::string name = (temporary_root() / ("daypass-pg-" + std::to_string(getpid()) + "-XXXXXX")).string();
  if (mkdtemp(name.data()) == nullptr) return failure("can't make " + name);
  if (chmod(name.c_str(), 0711) != 0) return failure("can't open up " + name);
  const fs::path made = name;
  DP_CHECK(give_to(made, user));
  return made;
}

/// Removes folders of test runs that were killed: their process is gone, so their server went with it.
void sweep() {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(temporary_root(), ec)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("daypass-pg-")) continue;
    const long pid = std::strtol(name.c_str() + 11, nullptr, 10);
    if (pid > 0 && kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), ec);
  }
}

base::Status init_db(const std::string& bin_dir, const fs::path& root, const User& user, const std::string& password) {
  const fs::path password_file = root / "password";
  DP_CHECK(write_text(password_file, password + "\n"));
  DP_CHECK(give_to(password_file, user));
  DP_TRY(const pid_t pid,
         spawn({bin_dir + "/initdb", "-D", (root / "data").string(), "-U", "postgres", "-A", "scram-sha-256",
                "--pwfile=" + password_file.string(), "--no-sync", "--wal-segsize=4", "-E", "UTF8", "--locale=C.UTF-8"},
               user, root / "log"));
  if (!wait_success(pid)) return failure("initdb failed: " + read_text(root / "log"));
  return {};
}

base::Status copy_tree(const fs::path& from, const fs::path& to) {
  std::error_code ec;
  fs::copy(from, to, fs::copy_options::recursive, ec);
  if (ec) return failure("can't copy " + from.string() + ": " + ec.message());
  fs::permissions(to, fs::perms::owner_all, ec);
  return {};
}

std::string template_name(const std::string& bin_dir) {
  struct stat info{};
  stat((bin_dir + "/postgres").c_str(), &info);
  std::string flat = bin_dir;
  std::ranges::replace(flat, '/', '-');
  return "pg-template" + flat + "-" + std::to_string(info.st_mtime) + "-" + std::to_string(geteuid());
}

/// Puts a data folder in `root`, from the template that the build folder keeps (made when it is not there yet).
base::Result<std::string> fill(const std::string& bin_dir, const fs::path& root, const User& user, bool fresh) {
  base::SystemEntropy entropy;
  const std::string new_password = base::random_token(entropy, 18);
  const fs::path kept = cache_folder() / template_name(bin_dir);
  const int lock = open((kept.string() + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fresh || lock < 0 || flock(lock, LOCK_EX) != 0) {
    if (lock >= 0) close(lock);
    DP_CHECK(init_db(bin_dir, root, user, new_password));
    return new_password;
  }
  const auto under_lock = [&]() -> base::Result<std::string> {
    std::error_code ec;
    if (!fs::exists(kept, ec)) {
      DP_CHECK(init_db(bin_dir, root, user, new_password));
      const fs::path half = kept.string() + ".half";
      fs::remove_all(half, ec);
      fs::create_directory(half, ec);
      fs::permissions(half, fs::perms::owner_all, ec);
      DP_CHECK(copy_tree(root / "data", half / "data"));
      DP_CHECK(write_text(half / "password", new_password));
      fs::rename(half, kept, ec);
      if (ec) return failure("can't keep " + kept.string() + ": " + ec.message());
      return new_password;
    }
    DP_CHECK(copy_tree(kept / "data", root / "data"));
    DP_CHECK(give_to(root / "data", user));
    return read_text(kept / "password");
  };
  auto password = under_lock();
  close(lock);
  return password;
}

std::string quoted_value(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

}  // namespace

base::Result<std::unique_ptr<PgServer>> PgServer::start(PgOptions options) {
  std::unique_ptr<PgServer> server(new PgServer);
  DP_CHECK(server->prepare(options));
  DP_CHECK(server->launch());
  return server;
}

PgServer& PgServer::shared() {
  static const std::unique_ptr<PgServer> server = [] {
    auto started = start();
    if (!started.ok()) {
      std::fprintf(stderr, "%s\n", started.error().message.c_str());
      std::abort();
    }
    return std::move(started).value();
  }();
  return *server;
}

base::Status PgServer::prepare(const PgOptions& options) {
  static std::once_flag swept;
  std::call_once(swept, sweep);
  const char* from_env = std::getenv("DAYPASS_PG_BIN");
  bin_dir_ = !options.bin_dir.empty() ? options.bin_dir
             : from_env != nullptr    ? std::string(from_env)
                                      : std::string("/usr/lib/postgresql/15/bin");
  DP_TRY(const User user, server_user());
  DP_TRY(root_, make_folder(user));
  DP_TRY(password_, fill(bin_dir_, root_, user, options.fresh));
  DP_TRY(port_, free_port());
  socket_dir_ = root_.string();
  const fs::path data = root_ / "data";
  std::string conf =
      "\nlisten_addresses = '127.0.0.1'\nport = " + std::to_string(port_) +
      "\nunix_socket_directories = " + quoted_value(socket_dir_) +
      "\nmax_connections = " + std::to_string(options.max_connections) +
      "\nmax_prepared_transactions = " + std::to_string(options.max_prepared_transactions) +
      "\nfsync = " + (options.fsync ? "on" : "off") +
      "\nshared_buffers = '32MB'\npassword_encryption = 'scram-sha-256'\nautovacuum = on\n"
      "logging_collector = off\nlog_line_prefix = '%m [%p] %u@%d %e '\nclient_connection_check_interval = 0\n";
  // 13 has no client_connection_check_interval.
  if (read_text(data / "PG_VERSION").starts_with("13")) conf.erase(conf.find("client_connection_check_interval"));
  const auto place = [&](const std::string& source, const char* name, const char* setting) -> base::Status {
    if (source.empty()) return {};
    DP_CHECK(write_text(data / name, read_text(source)));
    if (chmod((data / name).c_str(), 0600) != 0) return failure("can't protect the server's key");
    conf += std::string(setting) + " = '" + name + "'\n";
    return {};
  };
  DP_CHECK(place(options.tls_cert, "server.crt", "ssl_cert_file"));
  DP_CHECK(place(options.tls_key, "server.key", "ssl_key_file"));
  DP_CHECK(place(options.tls_ca, "client-ca.crt", "ssl_ca_file"));
  if (!options.tls_cert.empty()) conf += "ssl = on\n";
  for (const auto& line : options.settings) conf += line + "\n";
  DP_CHECK(write_text(data / "postgresql.conf", conf));
  std::string hba;
  for (const auto& line : options.hba) hba += line + "\n";
  hba += "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n";
  std::error_code ec;
  fs::remove(data / "pg_hba.conf", ec);
  DP_CHECK(write_text(data / "pg_hba.conf", hba));
  return give_to(root_, user);
}

base::Status PgServer::launch() {
  DP_TRY(const User user, server_user());
  DP_TRY(postmaster_, spawn({bin_dir_ + "/postgres", "-D", (root_ / "data").string()}, user, root_ / "log"));
  const std::string probe = "host=127.0.0.1 connect_timeout=5 port=" + std::to_string(port_);
  for (int i = 0; i < 3000; ++i) {
    if (PQping(probe.c_str()) == PQPING_OK) return {};
    int status = 0;
    if (waitpid(postmaster_, &status, WNOHANG) == postmaster_) {
      postmaster_ = -1;
      return failure("the server did not start: " + log_text());
    }
    poll(nullptr, 0, 10);
  }
  return failure("the server did not answer within 30 s: " + log_text());
}

PgServer::~PgServer() {
  if (postmaster_ > 0) {
    thaw();
    stop();
  }
  std::error_code ec;
  if (!root_.empty()) fs::remove_all(root_, ec);
}

int PgServer::version() {
  if (version_ == 0) version_ = std::atoi(value("SHOW server_version_num").c_str());
  return version_;
}

std::string PgServer::log_text() const {
  return read_text(root_ / "log");
}

std::string PgServer::conninfo(std::string_view user, std::string_view password, std::string_view database,
                               bool tcp) const {
  return "host=" + (tcp ? std::string("127.0.0.1") : quoted_value(socket_dir_)) + " port=" + std::to_string(port_) +
         " user=" + quoted_value(user) + " password=" + quoted_value(password) + " dbname=" + quoted_value(database) +
         " sslmode=disable gssencmode=disable connect_timeout=20";
}

base::Result<PgRows> PgServer::try_sql(const std::string& text, const std::string& database) {
  DP_TRY(PgClient client, PgClient::connect(conninfo(superuser(), password_, database, false)));
  return client.run(text);
}

PgRows PgServer::sql(const std::string& text, const std::string& database) {
  auto rows = try_sql(text, database);
  if (!rows.ok()) throw std::runtime_error(rows.error().check + ": " + rows.error().message + " in: " + text);
  return std::move(rows).value();
}

std::string PgServer::value(const std::string& text, const std::string& database) {
  const PgRows rows = sql(text, database);
  return rows.empty() || rows.front().empty() ? std::string() : rows.front().front();
}

void PgServer::stop() {
  if (postmaster_ <= 0) return;
  kill(postmaster_, SIGQUIT);
  int status = 0;
  while (waitpid(postmaster_, &status, 0) < 0 && errno == EINTR) {
  }
  postmaster_ = -1;
}

base::Status PgServer::start_again() {
  return launch();
}

std::vector<pid_t> PgServer::processes() const {
  std::vector<pid_t> out{postmaster_};
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator("/proc", ec)) {
    const long pid = std::strtol(entry.path().filename().c_str(), nullptr, 10);
    if (pid <= 0) continue;
    const std::string stat_line = read_text(entry.path() / "stat");
    const std::size_t name_end = stat_line.rfind(')');
    if (name_end == std::string::npos || name_end + 4 > stat_line.size()) continue;
    if (std::strtol(stat_line.c_str() + name_end + 4, nullptr, 10) == postmaster_)
      out.push_back(static_cast<pid_t>(pid));
  }
  return out;
}

void PgServer::freeze() {
  // The postmaster first, so that nothing is born while the others are stopped.
  kill(postmaster_, SIGSTOP);
  for (const pid_t pid : processes()) kill(pid, SIGSTOP);
}

void PgServer::thaw() {
  for (const pid_t pid : processes()) kill(pid, SIGCONT);
}

void PgServer::signal(pid_t pid, int number) {
  kill(pid, number);
}

// ---- client ----

namespace {
PGconn* as_conn(void* raw) {
  return static_cast<PGconn*>(raw);
}

std::string state_from(PGconn* conn, const PGresult* result) {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  if (state != nullptr) return state;
  return PQstatus(conn) == CONNECTION_OK ? "none" : "lost";
}

PgRows rows_from(const PGresult* result) {
  PgRows rows;
  for (int r = 0; r < PQntuples(result); ++r) {
    auto& row = rows.emplace_back();
    for (int c = 0; c < PQnfields(result); ++c)
      row.emplace_back(PQgetisnull(result, r, c) != 0 ? "NULL" : PQgetvalue(result, r, c));
  }
  return rows;
}
}  // namespace

base::Result<PgClient> PgClient::connect(const std::string& conninfo) {
  PGconn* conn = PQconnectdb(conninfo.c_str());
  PQsetNoticeReceiver(conn, [](void*, const PGresult*) {}, nullptr);
  if (PQstatus(conn) == CONNECTION_OK) return PgClient(conn);
  std::string message = PQerrorMessage(conn);
  PQfinish(conn);
  return Error{Code::unavailable, "lost", std::move(message)};
}

PgClient& PgClient::operator=(PgClient&& other) noexcept {
  if (this != &other) {
    if (conn_ != nullptr) PQfinish(as_conn(conn_));
    conn_ = other.conn_;
    other.conn_ = nullptr;
  }
  return *this;
}

PgClient::~PgClient() {
  if (conn_ != nullptr) PQfinish(as_conn(conn_));
}

base::Result<PgRows> PgClient::run(const std::string& text) {
  PGresult* result = PQexec(as_conn(conn_), text.c_str());
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY ||
      status == PGRES_COPY_OUT || status == PGRES_COPY_IN) {
    PgRows rows = rows_from(result);
    PQclear(result);
    return rows;
  }
  Error error{Code::internal, state_from(as_conn(conn_), result), PQerrorMessage(as_conn(conn_))};
  PQclear(result);
  return error;
}

std::string PgClient::state_of(const std::string& text) {
  const auto result = run(text);
  return result.ok() ? std::string() : result.error().check;
}

void PgClient::send(const std::string& text) {
  PQsendQuery(as_conn(conn_), text.c_str());
}

bool PgClient::wait_closed(int timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (PQstatus(as_conn(conn_)) == CONNECTION_OK) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    pollfd fd{PQsocket(as_conn(conn_)), POLLIN, 0};
    if (poll(&fd, 1, static_cast<int>(left)) <= 0) continue;
    char* copied = nullptr;
    while (PQgetCopyData(as_conn(conn_), &copied, 1) > 0) PQfreemem(copied);
    if (PQconsumeInput(as_conn(conn_)) == 0) return true;
    while (PQisBusy(as_conn(conn_)) == 0) {
      PGresult* result = PQgetResult(as_conn(conn_));
      if (result == nullptr) break;
      const bool copying = PQresultStatus(result) == PGRES_COPY_OUT;
      PQclear(result);
      if (copying) break;
    }
  }
  return true;
}

int PgClient::backend_pid() const {
  return PQbackendPID(as_conn(conn_));
}
int PgClient::socket() const {
  return PQsocket(as_conn(conn_));
}

}  // namespace daypass::test
