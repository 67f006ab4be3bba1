// The kill switch: whatever a session is doing, it ends at once, and is given back once.
#include <csignal>

#include "gate/test_world.h"

namespace daypass::gate::test {
namespace {

const std::string kSentence = "grant gr_test ended: an admin said so";

bool server_is(World& w, const std::string& condition) {
  return eventually([&] {
    return w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'dp_test' AND " + condition) == "1";
  });
}

void expect_told(const Told& told) {
  EXPECT_EQ(told.sqlstate, "57P01");
  EXPECT_EQ(told.message, kSentence);
}

void expect_cut(World& w, std::size_t count = 1) {
  const auto stats = w.access.wait_closed(count);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->why, "cut");
}

TEST(Cut, WhileIdleInClearAndInTls) {
  for (const std::string mode : {"sslmode=disable", "sslmode=require"}) {
    World w;
    Client client(w.conninfo(mode));
    ASSERT_TRUE(client.good()) << client.message();
    w.cut();
    expect_told(client.await_end());
    expect_cut(w);
  }
}

TEST(Cut, WhileTheServerSleeps) {
  World w;
  Client client(w.conninfo());
  client.send("SELECT pg_sleep(600)");
  ASSERT_TRUE(server_is(w, "wait_event = 'PgSleep'"));
  w.cut();
  expect_told(client.await_end());
  expect_cut(w);
  w.pg.sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'dp_test'");
}

TEST(Cut, InAnOpenTransactionThatIsRolledBack) {
  World w;
  Client client(w.conninfo("sslmode=require"));
  EXPECT_EQ(client.run("BEGIN; CREATE TABLE cut_half (a int)"), "");
  w.cut();
  expect_told(client.await_end());
  expect_cut(w);
  EXPECT_TRUE(
      eventually([&] { return w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'dp_test'") == "0"; }));
  EXPECT_EQ(w.pg.value("SELECT to_regclass('public.cut_half')"), "NULL");
}

TEST(Cut, WhileTheClientStreamsCopyIn) {
  World w;
  Client client(w.conninfo());
  client.run("CREATE TEMP TABLE t (a text)");
  client.run("COPY t FROM STDIN");
  const std::string row = std::string(1000, 'x') + "\n";
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(PQputCopyData(client.raw(), row.data(), static_cast<int>(row.size())), 1);
  w.cut();
  // It goes on sending until it notices.
  for (int i = 0; i < 1'000'000; ++i)
    if (PQputCopyData(client.raw(), row.data(), static_cast<int>(row.size())) != 1) break;
  PQputCopyEnd(client.raw(), nullptr);
  const Told told = client.await_end();
  EXPECT_FALSE(client.good());
  // The farewell may be lost when more arrives behind the close; the end may not.
  if (!told.sqlstate.empty()) expect_told(told);
  expect_cut(w);
}

TEST(Cut, WhileCopyInWaitsForMore) {
  for (const std::string mode : {"sslmode=disable", "sslmode=require"}) {
    World w;
    Client client(w.conninfo(mode));
    client.run("CREATE TEMP TABLE t (a text)");
    client.run("COPY t FROM STDIN");
    const std::string row = std::string(1000, 'x') + "\n";
    for (int i = 0; i < 2000; ++i) ASSERT_EQ(PQputCopyData(client.raw(), row.data(), static_cast<int>(row.size())), 1);
    ASSERT_EQ(PQflush(client.raw()), 0);
    w.cut();
    expect_cut(w);
    PQputCopyEnd(client.raw(), nullptr);
    expect_told(client.await_end());
  }
}

TEST(Cut, WhileTheClientReadsCopyOut) {
  World w;
  Client client(w.conninfo());
  client.send("COPY (SELECT repeat('x', 1000), generate_series(1, 100000000)) TO STDOUT");
  PQclear(PQgetResult(client.raw()));
  char* row = nullptr;
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_GT(PQgetCopyData(client.raw(), &row, 0), 0);
    PQfreemem(row);
  }
  w.cut();
  client.await_end();
  EXPECT_FALSE(client.good());
  expect_cut(w);
}

TEST(Cut, WhileTheClientDoesNotRead) {
  for (const std::string mode : {"sslmode=disable", "sslmode=require"}) {
    World w;
    Client client(w.conninfo(mode));
    client.send("SELECT repeat('x', 1000), generate_series(1, 100000000)");
    ASSERT_TRUE(server_is(w, "wait_event = 'ClientWrite'"));
    w.cut();
    expect_cut(w);  // without one byte more read by the client
  }
}

TEST(Cut, WhileTheServerProcessIsFrozen) {
  World w;
  Client client(w.conninfo());
  const auto pid = static_cast<pid_t>(std::stol(client.run("SELECT pg_backend_pid()")));
  daypass::test::PgServer::signal(pid, SIGSTOP);
  client.send("SELECT 1");
  w.cut();
  expect_told(client.await_end());
  expect_cut(w);
  daypass::test::PgServer::signal(pid, SIGCONT);
}

TEST(Cut, WhileTheUpstreamConnectIsPending) {
  const Hole deaf(true);
  World w;
  w.access.upstream = [&] {
    target::Upstream to;
    to.host = "127.0.0.1";
    to.port = deaf.port();
    to.database = "postgres";
    to.user = "dp_test";
    to.tls = false;
    return to;
  };
  PGconn* conn = PQconnectStart(w.conninfo().c_str());
  bool more = true;
  Thread drive([&] {
    while (more) {
      const auto now = PQconnectPoll(conn);
      if (now == PGRES_POLLING_FAILED || now == PGRES_POLLING_OK) break;
      eventually([] { return true; });
    }
  });
  ASSERT_TRUE(w.access.wait_admitted(1));
  w.cut();
  expect_cut(w);
  drive.join();
  EXPECT_TRUE(std::string(PQerrorMessage(conn)).contains(kSentence)) << PQerrorMessage(conn);
  PQfinish(conn);
}

TEST(Cut, WhileTheUpstreamHandshakeHangs) {
  const Hole silent(false);
  for (const bool tls : {true, false}) {
    World w;
    w.access.upstream = [&] {
      target::Upstream to;
      to.host = "127.0.0.1";
      to.port = silent.port();
      to.database = "postgres";
      to.user = "dp_test";
      to.tls = tls;
      to.ca_file = w.ca_file;
      return to;
    };
    std::string message;
    Thread connect([&] { message = Client(w.conninfo()).message(); });
    ASSERT_TRUE(w.access.wait_admitted(1));
    w.cut();
    expect_cut(w);
    connect.join();
    EXPECT_TRUE(message.contains(kSentence)) << message;
  }
}

// Let in, and cut before the gate had heard of it.
TEST(Cut, BetweenAdmissionAndEnrolment) {
  World w;
  w.access.hold();
  std::string message;
  Thread connect([&] { message = Client(w.conninfo()).message(); });
  ASSERT_TRUE(w.access.wait_held(1));
  w.cut();
  EXPECT_EQ(w.access.release(), 1U);
  connect.join();
  EXPECT_TRUE(message.contains(kSentence)) << message;
  expect_cut(w);
}

TEST(Cut, ReachesEverySessionOfTheGrantAndNoOther) {
  World w;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<Client>(w.conninfo()));
  w.gate->cut({{{w.access.grant.tenant, "gr_other"}, core::EndReason::admin, "not you"}});
  for (auto& client : clients) EXPECT_EQ(client->run("SELECT 1"), "1");
  const auto begin = std::chrono::steady_clock::now();
  // Two at once, each with a sentence of its own.
  w.gate->cut({{{w.access.grant.tenant, "gr_third"}, core::EndReason::admin, "nor you"},
               {w.access.grant, core::EndReason::admin, kSentence}});
  for (auto& client : clients) expect_told(client->await_end());
  // Milliseconds on a quiet machine; this one may be anything but.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  expect_cut(w, clients.size());
}

TEST(Drain, EndsWhatIsHalfwayThroughTls) {
  World w;
  const Raw half(w.gate->port());
  half.send(std::string_view("\0\0\0\x08\x04\xd2\x16\x2f", 8));
  ASSERT_EQ(half.receive(1), "S");
  const Raw silent(w.gate->port());
  ASSERT_TRUE(eventually([&] { return w.gate->connections() == 2; }));
  w.stop();
  EXPECT_EQ(half.receive_all(), "");
  EXPECT_TRUE(silent.receive_all().contains("57P01"));
}

TEST(Drain, LetsSessionsFinishAndRefusesNewOnes) {
  World w;
  auto client = std::make_unique<Client>(w.conninfo());
  ASSERT_TRUE(client->good());
  Thread drain([&] { w.gate->drain(kPatience); });
  ASSERT_TRUE(eventually([&] { return !Client(w.conninfo()).good(); }));
  EXPECT_EQ(client->run("SELECT 'still here'"), "still here");
  client.reset();
  drain.join();
  const auto stats = w.access.wait_closed(1);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->why, "client");
}

TEST(Drain, CutsWhatIsLeft) {
  World w;
  Client client(w.conninfo());
  w.stop();
  const Told told = client.await_end();
  EXPECT_EQ(told.sqlstate, "57P01");
  EXPECT_TRUE(told.message.contains("stopping")) << told.message;
}

// The engine's answer comes when the gate has given up on everything: still given back.
TEST(Drain, GivesBackAnAdmissionThatComesLate) {
  World w;
  w.access.hold();
  Thread connect([&] { EXPECT_FALSE(Client(w.conninfo()).good()); });
  ASSERT_TRUE(w.access.wait_held(1));
  w.gate->drain(base::Millis(0));
  EXPECT_EQ(w.access.release(), 1U);
  expect_cut(w);
}

}  // namespace
}  // namespace daypass::gate::test
