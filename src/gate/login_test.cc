// Who gets in, who does not and what they read, and what strangers can do to the door.
#include <fstream>

#include "crypto/scram.h"
#include "crypto/x509.h"
#include "gate/impl.h"
#include "gate/test_world.h"
#include "net/connect.h"
#include "wire/postgres/build.h"
#include "wire/postgres/startup.h"

namespace daypass::gate::test {
namespace {

using base::Code;
using base::Error;
using namespace std::string_view_literals;

constexpr std::string_view kSslRequest = "\0\0\0\x08\x04\xd2\x16\x2f"sv;

std::string refused(const World& w, const std::string& more) {
  const Client client(w.conninfo(more));
  EXPECT_FALSE(client.good());
  return client.message();
}

TEST(Login, EveryWayIn) {
  World w;
  const std::string verify = "sslmode=verify-full sslrootcert=" + w.ca_file;
  for (const std::string& mode : {std::string("sslmode=disable"), std::string("sslmode=prefer"), verify,
                                  verify + " channel_binding=require", verify + " ssl_min_protocol_version=TLSv1.3",
                                  std::string("sslmode=require ssl_max_protocol_version=TLSv1.2")}) {
    Client client(w.conninfo(mode));
    ASSERT_TRUE(client.good()) << mode << ": " << client.message();
    EXPECT_EQ(client.run("SELECT current_user"), "dp_test");
  }
  EXPECT_FALSE(
      Client(w.conninfo("sslmode=require ssl_max_protocol_version=TLSv1.1 ssl_min_protocol_version=TLSv1")).good());
}

// A reload replaces the certificate; what a client binds to is the one it was shown.
TEST(Login, ChannelBindingAfterTheCertificateWasReplaced) {
  World w;
  const auto pair = crypto::self_signed({"localhost"}, w.clock.wall() - std::chrono::hours(1),
                                        w.clock.wall() + std::chrono::hours(1));
  ASSERT_TRUE(w.tls.replace(pair.certificate_pem, pair.key_pem).ok());
  Client client(w.conninfo("sslmode=require channel_binding=require"));
  EXPECT_TRUE(client.good()) << client.message();
}

TEST(Login, WrongPasswordAndUnknownNameGetTheSameAnswer) {
  World w;
  for (const std::string mode : {"sslmode=disable", "sslmode=require channel_binding=require"}) {
    const std::string wrong = refused(w, mode + " password=nonsense");
    const std::string unknown = refused(w, mode + " user=dp-mallory");
    EXPECT_TRUE(wrong.contains("password authentication failed for user \"dp-alice\"")) << wrong;
    EXPECT_TRUE(unknown.contains("password authentication failed for user \"dp-mallory\"")) << unknown;
    EXPECT_TRUE(wrong.contains("daypass login")) << wrong;
    EXPECT_TRUE(unknown.contains("daypass login")) << unknown;
  }
  EXPECT_EQ(w.access.admitted(), 0U);
}

TEST(Login, RefusalsBySqlstate) {
  World w;
  const auto state_for = [&](Code code) {
    w.access.refusal = Error{code, "test.refusal", "the reason in words", "what to do"};
    Raw raw(w.gate->port());  // libpq keeps no SQLSTATE of a failed login; its verbose message does
    PGconn* conn = PQconnectStart(w.conninfo().c_str());
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    for (auto now = PGRES_POLLING_WRITING; now != PGRES_POLLING_FAILED && now != PGRES_POLLING_OK;)
      now = PQconnectPoll(conn);
    std::string message = PQerrorMessage(conn);
    PQfinish(conn);
    EXPECT_TRUE(message.contains("the reason in words") && message.contains("what to do")) << message;
    const std::size_t at = message.find("FATAL:  ");
    return at == std::string::npos ? message : message.substr(at + 8, 5);
  };
  EXPECT_EQ(state_for(Code::denied), "42501");
  EXPECT_EQ(state_for(Code::unauthenticated), "28P01");
  EXPECT_EQ(state_for(Code::exhausted), "53300");
  EXPECT_EQ(state_for(Code::unavailable), "57P03");
  EXPECT_EQ(state_for(Code::timeout), "57P03");
  EXPECT_EQ(state_for(Code::ended), "57P01");
}

TEST(Login, DatabaseIsPinned) {
  World w;
  const std::string message = refused(w, "dbname=template1");
  EXPECT_TRUE(message.contains("database \"postgres\" of pg/orders, not for \"template1\"")) << message;
  ASSERT_TRUE(w.access.wait_closed(1).has_value());
  for (const std::string name : {"dbname=pg/orders", "dbname=dp-alice", "dbname=postgres"}) {
    Client client(w.conninfo(name));
    EXPECT_EQ(client.run("SELECT current_database()"), "postgres") << name;
  }
}

TEST(Login, StartupParameters) {
  World w;
  Client client(w.conninfo("application_name=reports options='-c statement_timeout=77s'"));
  EXPECT_EQ(client.run("SHOW application_name"), "reports");
  EXPECT_EQ(client.run("SHOW statement_timeout"), "77s");
  EXPECT_STREQ(PQparameterStatus(client.raw(), "application_name"), "reports");
  EXPECT_TRUE(refused(w, "replication=database").contains("replication"));
  EXPECT_FALSE(Client(w.conninfo("options='-c role=postgres'")).good());
}

TEST(Login, UpstreamTroubleIsTold) {
  World w;
  const auto upstream = w.access.upstream;
  w.access.upstream = [&] {
    auto to = upstream();
    to.password = base::Secret("stale");
    return to;
  };
  EXPECT_TRUE(refused(w, "").contains("refused the login"));
  w.access.upstream = [&] {
    auto to = upstream();
    to.port = 1;
    return to;
  };
  EXPECT_TRUE(refused(w, "").contains("can't be reached"));
  w.access.upstream = [&] {
    auto to = upstream();
    to.tls = true;
    return to;
  };
  EXPECT_TRUE(refused(w, "").contains("does not speak TLS"));
  const auto stats = w.access.wait_closed(3);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->why, "error:upstream.no_tls");
}

TEST(Login, UpstreamOverTlsIsVerified) {
  World w;
  const auto pair = crypto::self_signed({"localhost"}, w.clock.wall() - std::chrono::hours(1),
                                        w.clock.wall() + std::chrono::hours(1));
  daypass::test::PgOptions options;
  options.tls_cert = w.folder / "server.crt";
  options.tls_key = w.folder / "server.key";
  std::ofstream(options.tls_cert) << pair.certificate_pem;
  std::ofstream(options.tls_key) << pair.key_pem.reveal();
  auto server = daypass::test::PgServer::start(options);
  ASSERT_TRUE(server.ok()) << server.error().message;
  daypass::test::PgServer& pg = **server;
  pg.sql("CREATE ROLE dp_tls LOGIN PASSWORD 'upstream secret'");
  std::string ca = options.tls_cert, name = "localhost";
  w.access.upstream = [&] {
    target::Upstream to;
    to.host = "127.0.0.1";
    to.port = pg.port();
    to.database = "postgres";
    to.user = "dp_tls";
    to.password = base::Secret("upstream secret");
    to.tls = true;
    to.ca_file = ca;
    to.server_name = name;
    return to;
  };
  {
    Client client(w.conninfo("sslmode=require"));
    ASSERT_TRUE(client.good()) << client.message();
    EXPECT_EQ(client.run("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t");
  }
  name = "another.example";
  EXPECT_TRUE(refused(w, "").contains("another name"));
  name = "localhost";
  ca = w.ca_file;
  EXPECT_TRUE(refused(w, "").contains("not trusted"));
  w.stop();
}

TEST(Door, LimitsPerAddressAndInAll) {
  for (const bool per_address : {true, false}) {
    Wishes wishes;
    wishes.options = [&](PostgresGateOptions& o) {
      (per_address ? o.max_per_address : o.max_connections) = 2;
      o.max_logging_in = 2;
    };
    World w(wishes);
    auto one = std::make_unique<Client>(w.conninfo());
    const Client two(w.conninfo());
    ASSERT_TRUE(one->good() && two.good());
    EXPECT_TRUE(refused(w, "").contains("too many connections"));
    EXPECT_TRUE(refused(w, "sslmode=require").contains("too many connections"));
    one.reset();
    ASSERT_TRUE(eventually([&] { return w.gate->connections() == 1; }));
    EXPECT_TRUE(Client(w.conninfo()).good());
  }
}

TEST(Door, ConnectionsThatProveNothingAreFew) {
  Wishes wishes;
  wishes.options = [](PostgresGateOptions& o) { o.max_logging_in = 1; };
  World w(wishes);
  const Client in(w.conninfo());
  ASSERT_TRUE(in.good());
  {
    const Raw silent(w.gate->port());
    ASSERT_TRUE(eventually([&] { return w.gate->connections() == 2; }));
    EXPECT_TRUE(refused(w, "").contains("too many connections"));
    ASSERT_TRUE(eventually([&] { return w.gate->connections() == 2; }));
  }
  ASSERT_TRUE(eventually([&] { return w.gate->connections() == 1; }));
  EXPECT_TRUE(Client(w.conninfo()).good());
}

bool cancels(const Client& client) {
  PGcancel* const cancel = PQgetCancel(client.raw());
  char why[256];
  const bool sent = PQcancel(cancel, why, sizeof why) == 1;
  PQfreeCancel(cancel);
  return sent;
}

// Who has used up all connections must still be able to stop what they run.
TEST(Door, CancelsHaveRoomOfTheirOwn) {
  for (const int limit : {0, 1, 2}) {
    Wishes wishes;
    wishes.options = [&](PostgresGateOptions& o) {
      if (limit == 0) o.max_per_address = 1;
      if (limit == 1) o.max_connections = 1;
      if (limit == 2) o.max_logging_in = 1;
    };
    World w(wishes);
    Client busy(w.conninfo());
    ASSERT_TRUE(busy.good());
    std::optional<Raw> silent;
    if (limit == 2) silent.emplace(w.gate->port());
    ASSERT_TRUE(eventually([&] { return w.gate->connections() == (limit == 2 ? 2U : 1U); }));
    busy.send("SELECT pg_sleep(600)");
    ASSERT_TRUE(eventually(
        [&] { return w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"; }));
    EXPECT_TRUE(cancels(busy));
    PGresult* result = PQgetResult(busy.raw());
    EXPECT_STREQ(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014") << limit;
    PQclear(result);
  }
}

// That room is small: one address doesn't fill it for all, and silence fills it for a moment, not for good.
TEST(Door, TheRoomForCancelsIsSmallAndShort) {
  for (const bool patient : {true, false}) {
    Wishes wishes;
    wishes.options = [&](PostgresGateOptions& o) {
      o.max_connections = 1;
      o.max_spare_per_address = 2;
      o.spare_time = patient ? base::Millis(60'000) : base::Millis(300);
    };
    World w(wishes);
    Client in(w.conninfo());
    ASSERT_TRUE(in.good());
    if (patient) {
      const Raw one(w.gate->port()), two(w.gate->port());
      ASSERT_TRUE(eventually([&] { return w.gate->connections() == 3; }));
      EXPECT_TRUE(Raw(w.gate->port()).receive_all().contains("53300"));
    } else {
      EXPECT_EQ(Raw(w.gate->port()).receive_all(), "");
    }
    ASSERT_TRUE(eventually([&] { return w.gate->connections() == 1; }));
    EXPECT_TRUE(refused(w, "").contains("too many connections"));
    EXPECT_EQ(in.run("SELECT 1"), "1");
  }
}

// Somebody from afar, on a connection that is not. Its other end speaks through `near`.
class FarStream final : public net::Stream {
 public:
  FarStream(net::StreamPtr near, std::string ip) : near_(std::move(near)), ip_(std::move(ip)), peer_(ip_ + ":5000") {}
  net::awaitable<base::Result<std::size_t>> read_some(std::span<char> b) override { return near_->read_some(b); }
  net::awaitable<base::Result<std::size_t>> peek(std::span<char> b) override { return near_->peek(b); }
  net::awaitable<base::Status> write_all(std::string_view data) override { return near_->write_all(data); }
  net::Attempt try_read(std::span<char> b) noexcept override { return near_->try_read(b); }
  net::Attempt try_write(std::string_view data) noexcept override { return near_->try_write(data); }
  net::Attempt try_write(std::string_view a, std::string_view b) noexcept override { return near_->try_write(a, b); }
  [[nodiscard]] bool write_blocked() const noexcept override { return near_->write_blocked(); }
  net::awaitable<base::Status> wait_readable() override { return near_->wait_readable(); }
  net::awaitable<base::Status> wait_writable() override { return near_->wait_writable(); }
  base::Status shutdown() noexcept override { return near_->shutdown(); }
  void interrupt() noexcept override { near_->interrupt(); }
  void close() noexcept override { near_->close(); }
  void abort() noexcept override { near_->abort(); }
  [[nodiscard]] bool is_open() const noexcept override { return near_->is_open(); }
  [[nodiscard]] const std::string& peer() const noexcept override { return peer_; }
  [[nodiscard]] const std::string& peer_ip() const noexcept override { return ip_; }
  [[nodiscard]] std::optional<std::uint32_t> peer_uid() const noexcept override { return near_->peer_uid(); }
  [[nodiscard]] int native_fd() const noexcept override { return near_->native_fd(); }
  [[nodiscard]] const net::TlsInfo* tls_info() const noexcept override { return near_->tls_info(); }
  [[nodiscard]] net::io_context& context() const noexcept override { return near_->context(); }

 private:
  net::StreamPtr near_;
  std::string ip_, peer_;
};

net::awaitable<void> greet(net::StreamPtr stream, std::string hello, std::string& heard) {
  (void)co_await stream->write_all(hello);
  char buffer[1024];
  const auto got = co_await stream->read_some(buffer);
  if (got.ok()) heard.assign(buffer, *got);
}

// A password exchange in clear is for one's own machine alone: whoever asks for one from elsewhere is turned away
// before it begins.
TEST(Door, NoClearTextFromAfar) {
  World w;
  for (const auto& [ip, in] : {std::pair<std::string, bool>{"127.0.0.1", true},
                               {"127.9.9.9", true},
                               {"::1", true},
                               {"192.0.2.7", false},
                               {"10.0.0.1", false},
                               {"2001:db8::7", false},
                               {"", false},
                               {"::127.0.0.1", false},
                               {"12.7.0.1", false},
                               {"fe80::1", false}}) {
    net::IoThreads own(1, "far");
    auto impl = std::make_shared<PostgresGate::Impl>(own, w.clock, w.entropy, w.log, PostgresGateOptions(w.tls));
    impl->access = &w.access;
    auto pair = std::move(net::stream_pair(own.at(0))).value();
    std::string heard;
    std::atomic<bool> done = false;
    net::post_to(own.at(0), [&] {
      impl->accept(std::make_unique<FarStream>(std::move(pair.first), ip));
      const std::string hello = wire::postgres::build_startup({}, "dp-alice", "postgres");
      net::spawn(own.at(0), greet(std::move(pair.second), hello, heard), [&](std::exception_ptr) { done = true; });
    });
    own.start();
    ASSERT_TRUE(eventually([&] { return done.load(); }));
    own.stop();
    EXPECT_EQ(heard.contains("SCRAM-SHA-256"), in) << ip;
    EXPECT_EQ(heard.contains("speaks TLS only") && heard.contains("28000"), !in) << ip;
    impl->activity.stop();
  }
  EXPECT_EQ(w.access.admitted(), 0U);
}

// One deadline from the first moment: silence before the first byte, within TLS, between messages, and dripping.
TEST(Door, SilenceIsEnded) {
  Wishes wishes;
  wishes.options = [](PostgresGateOptions& o) { o.login_time = base::Millis(300); };
  World w(wishes);
  EXPECT_EQ(Raw(w.gate->port()).receive_all(), "");
  const Raw half(w.gate->port());
  half.send(kSslRequest);
  EXPECT_EQ(half.receive_all(), "S");
  const Raw drip(w.gate->port());
  drip.send("\0\0\0\x40"sv);
  EXPECT_EQ(drip.receive_all(), "");
  const Raw scram(w.gate->port());
  scram.send(wire::postgres::build_startup({}, "dp-alice", "postgres"));
  EXPECT_TRUE(scram.receive_all().contains("SCRAM-SHA-256"));
  EXPECT_TRUE(eventually([&] { return w.gate->connections() == 0; }));
}

TEST(Door, Garbage) {
  World w;
  const std::string_view garbage[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n"sv,
                                      "\x40\0\0\0\0\x03\0\0"sv,
                                      "\0\0\0\0\0\0\0\0"sv,
                                      "\xff\xff\xff\xff\xff\xff\xff\xff"sv,
                                      "\0\0\0\x08\0\x03\0\0"sv,
                                      "\0\0\0\x0c\0\x02\0\0user"sv,
                                      "\0\0\0\x09\0\x03\0\0\0"sv,
                                      "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2"sv,
                                      "\x16neither TLS nor anything else"sv,
                                      "\x16"sv};
  for (const auto bytes : garbage) {
    const Raw raw(w.gate->port());
    raw.send(bytes);
    if (bytes.size() > 1) EXPECT_FALSE(raw.receive_all().contains("<no end>"));
  }
  // Behind SSLRequest, before it was answered: what an attacker would slip under the encryption (CVE-2021-23214).
  const Raw stuffed(w.gate->port());
  stuffed.send(std::string(kSslRequest) + wire::postgres::build_startup({}, "dp-alice", "postgres"));
  EXPECT_FALSE(stuffed.receive_all().starts_with("S"));
  // No encryption by GSSAPI, but the question is fine; the same question twice is not.
  const Raw gss(w.gate->port());
  gss.send("\0\0\0\x08\x04\xd2\x16\x30"sv);
  EXPECT_EQ(gss.receive(1), "N");
  gss.send("\0\0\0\x08\x04\xd2\x16\x30"sv);
  EXPECT_TRUE(gss.receive_all().contains("FATAL"));
  // A password message of 1 GB, and one that is none.
  for (const auto bytes : {"p\x40\0\0\0"sv, "Q\0\0\0\x0dSELECT 1\0"sv, "p\0\0\0\x04"sv, "p\0\0\0\x0bplain\0\0"sv}) {
    const Raw login(w.gate->port());
    login.send(wire::postgres::build_startup({}, "dp-alice", "postgres"));
    login.send(bytes);
    EXPECT_TRUE(login.receive_all().contains("FATAL"));
  }
  EXPECT_TRUE(eventually([&] { return w.gate->connections() == 0; }));
  EXPECT_EQ(w.access.admitted(), 0U);
  Client client(w.conninfo());
  EXPECT_EQ(client.run("SELECT 1"), "1");
}

TEST(Door, ClientsThatVanish) {
  World w;
  const std::string hello = wire::postgres::build_startup({}, "dp-alice", "postgres");
  for (std::size_t n = 0; n < hello.size(); n += 3) Raw(w.gate->port()).send(hello.substr(0, n));
  {
    Raw(w.gate->port()).send(kSslRequest);
  }
  // While the engine thinks about it.
  w.access.hold();
  {
    PGconn* conn = PQconnectStart(w.conninfo().c_str());
    std::atomic<bool> enough = false;
    Thread drive([&] {
      while (!enough) PQconnectPoll(conn);
    });
    EXPECT_TRUE(w.access.wait_held(1));
    enough = true;
    drive.join();
    PQfinish(conn);
  }
  EXPECT_EQ(w.access.release(), 1U);
  ASSERT_TRUE(w.access.wait_closed(1).has_value());
  // In the middle of a statement: the server's process goes as well.
  {
    Client client(w.conninfo());
    client.send("SELECT 1 FROM generate_series(1, 10)");
    client.close();
  }
  const auto stats = w.access.wait_closed(2);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->why, "client");
  EXPECT_TRUE(eventually([&] { return w.gate->connections() == 0; }));
  EXPECT_TRUE(
      eventually([&] { return w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'dp_test'") == "0"; }));
}

// ---- A client of our own over TLS, for what libpq does not do.

struct Talk {
  net::TlsClientContext tls;
  std::uint16_t port;
  std::string first;      ///< before TLS; empty: direct TLS
  std::string mechanism;  ///< of the SASL exchange
  bool lie = false;       ///< say "you offered no -PLUS" though it was offered
  std::string got;
};

net::awaitable<void> talk(Talk& t, net::io_context& io, base::Entropy& entropy) {
  std::string host = "127.0.0.1";
  auto plain = co_await net::connect_tcp(io, std::move(host), t.port, kPatience);
  if (!plain.ok()) co_return;
  char buffer[1024];
  if (!t.first.empty()) {
    (void)co_await (*plain)->write_all(t.first);
    (void)co_await (*plain)->read_some(std::span(buffer).first(1));
  }
  std::string name = "localhost";
  auto secured = co_await net::connect_tls(std::move(*plain), t.tls, std::move(name), "", kPatience);
  if (!secured.ok()) {
    t.got = secured.error().check;
    co_return;
  }
  net::Stream& stream = **secured;
  const std::string hello = wire::postgres::build_startup({}, "dp-alice", "postgres");
  (void)co_await stream.write_all(hello);
  auto count = co_await stream.read_some(buffer);
  if (!count.ok()) co_return;
  t.got.assign(buffer, *count);
  // 'y': the client can bind but believes that the server can't; 'n': it can't.
  crypto::ScramClient scram(base::Secret("open sesame"), t.lie ? "a binding" : "", false, entropy);
  std::string out;
  wire::postgres::append_sasl_initial_response(out, t.mechanism, scram.first());
  (void)co_await stream.write_all(out);
  count = co_await stream.read_some(buffer);
  if (count.ok()) t.got.append(buffer, *count);
}

std::string outcome(World& w, const std::string& first, std::vector<std::string> alpn, const std::string& mechanism,
                    bool lie = false) {
  net::TlsClientOptions options;
  options.ca_file = w.ca_file;
  options.alpn = std::move(alpn);
  Talk t{std::move(net::TlsClientContext::make(options)).value(), w.gate->port(), first, mechanism, lie, {}};
  net::IoThreads own(1, "client");
  std::atomic<bool> done = false;
  net::spawn(own.at(0), talk(t, own.at(0), w.entropy), [&](std::exception_ptr) { done = true; });
  own.start();
  EXPECT_TRUE(eventually([&] { return done.load(); }));
  own.stop();
  return t.got;
}

TEST(Door, DirectTlsNeedsTheProtocolsName) {
  World w;
  EXPECT_TRUE(outcome(w, "", {"postgresql"}, "SCRAM-SHA-256").contains("r="));
  EXPECT_TRUE(outcome(w, "", {}, "SCRAM-SHA-256").contains("ALPN"));
  EXPECT_EQ(outcome(w, "", {"http/1.1"}, "SCRAM-SHA-256"), "tls.alpn_mismatch");
}

TEST(Door, DowngradeOfChannelBindingIsSeen) {
  World w;
  const std::string ssl(kSslRequest);
  EXPECT_TRUE(outcome(w, ssl, {}, "SCRAM-SHA-256").contains("r="));
  EXPECT_TRUE(outcome(w, ssl, {}, "SCRAM-SHA-256", true).contains("FATAL"));
  EXPECT_TRUE(outcome(w, ssl, {}, "SCRAM-SHA-1").contains("FATAL"));
}

}  // namespace
}  // namespace daypass::gate::test
