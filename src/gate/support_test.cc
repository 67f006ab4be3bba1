#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "crypto/x509.h"
#include "gate/test_world.h"

namespace daypass::gate::test {

namespace {

net::TlsServerContext tls_context(const crypto::CertificateAndKey& pair) {
  auto made = net::TlsServerContext::make(pair.certificate_pem, pair.key_pem, {"postgresql"});
  return std::move(made).value();
}

crypto::CertificateAndKey new_pair() {
  const base::SystemClock clock;
  return crypto::self_signed({"localhost", "127.0.0.1"}, clock.wall() - std::chrono::hours(1),
                             clock.wall() + std::chrono::hours(24));
}

/// The account that a grant would have.
target::Upstream account(daypass::test::PgServer& pg) {
  static const bool made = [&pg] {
    pg.sql("CREATE ROLE dp_test LOGIN PASSWORD 'upstream secret'; GRANT CREATE ON SCHEMA public TO dp_test");
    return true;
  }();
  EXPECT_TRUE(made);
  target::Upstream upstream;
  upstream.host = "127.0.0.1";
  upstream.port = pg.port();
  upstream.database = "postgres";
  upstream.user = "dp_test";
  upstream.password = base::Secret("upstream secret");
  upstream.tls = false;
  return upstream;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

base::WallTime MovedClock::wall() const {
  return real_.wall() + base::Millis(offset_.load());
}
base::MonoTime MovedClock::mono() const {
  return real_.mono() + base::Millis(offset_.load());
}

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

FakeAccess::FakeAccess(const base::Clock& clock, base::Entropy& entropy)
    : grant{core::TenantId("default"), "gr_test"},
      clock_(clock),
      verifier_(crypto::make_verifier(base::Secret("open sesame"), 4096, entropy)) {
  lease_for(std::chrono::hours(1), std::chrono::hours(1));
}

engine::Lease FakeAccess::lease(base::Millis total, base::Millis idle) const {
  engine::Lease lease;
  lease.windows.push_back({clock_.mono() + total, idle});
  return lease;
}

void FakeAccess::lease_for(base::Millis total, base::Millis idle) {
  const std::lock_guard lock(mutex_);
  lease_ = lease(total, idle);
}

std::optional<engine::Verifier> FakeAccess::lookup(std::string_view user) {
  if (user != "dp-alice") return std::nullopt;
  return engine::Verifier{grant.tenant, core::CredentialId("dp-alice"), core::TargetId("pg/orders"), verifier_};
}

base::Result<engine::Admission> FakeAccess::answer() {
  const std::lock_guard lock(mutex_);
  if (refusal) return *refusal;
  const core::ConnectionId connection("cx_" + std::to_string(++admitted_));
  open_.insert(connection.str());
  meter_->last_active_ns = clock_.mono().time_since_epoch().count();
  changed_.notify_all();
  return engine::Admission{grant, connection, upstream(), lease_, meter_};
}

void FakeAccess::admit(const core::CredentialId& credential, std::string peer, engine::Done<engine::Admission> done) {
  EXPECT_EQ(credential.str(), "dp-alice");
  EXPECT_TRUE(peer.starts_with("127.0.0.1:")) << peer;
  {
    const std::lock_guard lock(mutex_);
    if (holding_) {
      held_.push_back(std::move(done));
      changed_.notify_all();
      return;
    }
  }
  done(answer());
}

void FakeAccess::closed(const engine::GrantId& g, const core::ConnectionId& connection, engine::ConnectionStats stats) {
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(g, grant);
  EXPECT_EQ(open_.erase(connection.str()), 1U) << "given back twice: " << connection.str();
  closed_.push_back(std::move(stats));
  changed_.notify_all();
}

void FakeAccess::hold() {
  const std::lock_guard lock(mutex_);
  holding_ = true;
}

std::size_t FakeAccess::release() {
  std::vector<engine::Done<engine::Admission>> held;
  {
    const std::lock_guard lock(mutex_);
    holding_ = false;
    held.swap(held_);
  }
  for (auto& done : held) done(answer());
  return held.size();
}

bool FakeAccess::wait_held(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return held_.size() >= count; });
}

bool FakeAccess::wait_admitted(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return admitted_ >= count; });
}

std::optional<engine::ConnectionStats> FakeAccess::wait_closed(std::size_t count) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [&] { return closed_.size() >= count; })) return std::nullopt;
  return closed_[count - 1];
}

std::size_t FakeAccess::admitted() {
  const std::lock_guard lock(mutex_);
  return admitted_;
}

std::size_t FakeAccess::open() {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

namespace {

Told told_by(const PGresult* result) {
  const auto field = [&](int code) {
    const char* text = PQresultErrorField(result, code);
    return std::string(text == nullptr ? "" : text);
  };
  return {field(PG_DIAG_SQLSTATE), field(PG_DIAG_MESSAGE_PRIMARY), field(PG_DIAG_MESSAGE_HINT)};
}

}  // namespace

Client::Client(const std::string& conninfo) : conn_(PQconnectdb(conninfo.c_str())) {
  PQsetNoticeReceiver(
      conn_,
      [](void* self, const PGresult* result) { static_cast<Client*>(self)->notices_.push_back(told_by(result)); },
      this);
}

void Client::close() {
  if (conn_ != nullptr) PQfinish(conn_);
  conn_ = nullptr;
}

void Client::note(const PGresult* result) {
  if (PQresultStatus(result) != PGRES_FATAL_ERROR) return;
  // libpq's own "closed unexpectedly" has no SQLSTATE, and hides nothing that the server said.
  if (Told told = told_by(result); last_.sqlstate.empty() || !told.sqlstate.empty()) last_ = std::move(told);
}

std::string Client::run(const std::string& sql) {
  PGresult* result = PQexec(conn_, sql.c_str());
  note(result);
  std::string out;
  if (PQresultStatus(result) == PGRES_FATAL_ERROR)
    out = "!" + told_by(result).sqlstate;
  else if (PQntuples(result) > 0)
    out.assign(PQgetvalue(result, 0, 0), static_cast<std::size_t>(PQgetlength(result, 0, 0)));
  PQclear(result);
  return out;
}

Told Client::await_end() {
  const auto parse = [this] {
    while (PGnotify* heard = PQnotifies(conn_)) PQfreemem(heard);  // also makes libpq parse what has come
    while (PQtransactionStatus(conn_) == PQTRANS_ACTIVE && PQisBusy(conn_) == 0) {
      PGresult* result = PQgetResult(conn_);
      const ExecStatusType status = PQresultStatus(result);
      note(result);
      PQclear(result);
      if (status == PGRES_COPY_OUT || status == PGRES_COPY_IN || result == nullptr) break;
    }
  };
  for (;;) {
    pollfd wait{PQsocket(conn_), POLLIN, 0};
    if (wait.fd < 0) break;
    if (::poll(&wait, 1, static_cast<int>(base::Millis(kPatience).count())) != 1)
      return {"", "the connection did not end", ""};
    const bool more = PQconsumeInput(conn_) == 1;
    char* row = nullptr;
    while (PQgetCopyData(conn_, &row, 1) > 0) PQfreemem(row);
    parse();
    if (!more) break;
  }
  while (PGresult* result = PQgetResult(conn_)) {
    const ExecStatusType status = PQresultStatus(result);
    note(result);
    PQclear(result);
    if (status == PGRES_COPY_OUT || status == PGRES_COPY_IN) break;
  }
  if (last_.sqlstate.empty() && !notices_.empty()) return notices_.back();
  return last_;
}

Raw::Raw(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_in address = loopback(port);
  EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const timeval most{base::Seconds(kPatience).count(), 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
}

Raw::~Raw() {
  ::close(fd_);
}

void Raw::send(std::string_view bytes) const {
  (void)::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

std::string Raw::receive(std::size_t count) const {
  std::string got;
  char buffer[4096];
  while (got.size() < count) {
    const ssize_t n = ::recv(fd_, buffer, std::min(sizeof buffer, count - got.size()), 0);
    if (n < 0 && errno == EAGAIN) return got + "<no end>";
    if (n <= 0) break;
    got.append(buffer, static_cast<std::size_t>(n));
  }
  return got;
}

Hole::Hole(bool deaf) {
  fds_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fds_[0], reinterpret_cast<const sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(fds_[0], deaf ? 0 : 64), 0);
  ::getsockname(fds_[0], reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  // Until one stays half open: whoever comes behind it will too.
  for (int i = 0; deaf && i < 16; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    fds_.push_back(fd);
    (void)::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    pollfd wait{fd, POLLOUT, 0};
    if (::poll(&wait, 1, 100) == 0) break;
  }
}

Hole::~Hole() {
  for (const int fd : fds_) ::close(fd);
}

Folder::Folder() : path_((std::filesystem::temp_directory_path() / "daypass-gate-XXXXXX").string()) {
  EXPECT_NE(::mkdtemp(path_.data()), nullptr);
}
Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

base::Log::Sink Logged::sink() {
  return [this, shown = base::log_to_fd(2)](std::string_view line) {
    shown(line);
    const std::lock_guard lock(mutex_);
    text_ += line;
    changed_.notify_all();
  };
}

bool Logged::wait_for(std::string_view text) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return text_.contains(text); });
}

World::World(const Wishes& wishes)
    : pg(daypass::test::PgServer::shared()),
      log(clock, base::Level::error, logged.sink()),
      ca_file(folder / "ca.pem"),
      tls([this] {
        const auto pair = new_pair();
        std::ofstream(ca_file) << pair.certificate_pem;
        return tls_context(pair);
      }()),
      threads(2, "gate"),
      access(clock, entropy) {
  access.upstream = [this] { return account(pg); };
  PostgresGateOptions options(tls);
  options.login_time = std::chrono::seconds(60);  // the machine may be busy; tests of the limit set their own
  options.activity_folder = folder / "activity";
  if (wishes.options) wishes.options(options);
  gate = std::make_unique<PostgresGate>(threads, clock, entropy, log, std::move(options));
  gate->attach(access);
  gate->start(std::move(net::Listener::listen_tcp(threads, log, "127.0.0.1", 0)).value());
  threads.start();
}

World::~World() {
  stop();
}

void World::stop() {
  if (!gate) return;
  gate->drain(base::Millis(0));
  EXPECT_EQ(gate->connections(), 0U);
  EXPECT_EQ(access.open(), 0U) << "connections that were never given back";
  gate.reset();
  threads.stop();
}

std::string World::conninfo(const std::string& more) const {
  std::string out = "host=127.0.0.1 port=" + std::to_string(gate->port()) + " gssencmode=disable " + more;
  if (!more.contains("user=")) out += " user=dp-alice";
  if (!more.contains("password=")) out += " password='open sesame'";
  if (!more.contains("dbname=")) out += " dbname=postgres";
  return out;
}

}  // namespace daypass::gate::test
