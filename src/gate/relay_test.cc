// What passes between a client and its server: everything, in order, at the pace of the slower one.
#include <poll.h>
#include <sys/socket.h>

#include "gate/test_world.h"

namespace daypass::gate::test {
namespace {

const std::string kTls = "sslmode=require";

TEST(Relay, StatementsErrorsAndNotices) {
  World w;
  Client client(w.conninfo());
  EXPECT_EQ(client.run("SELECT 1; SELECT 2"), "2");
  EXPECT_EQ(client.run("SELECT 1/0"), "!22012");
  EXPECT_EQ(client.run("BEGIN; SELECT nonsense"), "!42703");
  EXPECT_EQ(client.run("SELECT 1"), "!25P02");
  EXPECT_EQ(client.run("ROLLBACK"), "");
  client.run("DO $$ BEGIN RAISE NOTICE 'careful'; END $$");
  ASSERT_FALSE(client.notices().empty());
  EXPECT_EQ(client.notices().back().message, "careful");
  EXPECT_EQ(client.run(""), "");
}

TEST(Relay, BigValuesBothWays) {
  World w;
  for (const std::string& mode : {std::string("sslmode=disable"), kTls}) {
    Client client(w.conninfo(mode));
    EXPECT_EQ(client.run("SELECT repeat('x', 20000000)").size(), 20'000'000U);
    const std::string text(20'000'000, 'y');
    const char* values[] = {text.c_str()};
    PGresult* result = PQexecParams(client.raw(), "SELECT length($1::text)", 1, nullptr, values, nullptr, nullptr, 0);
    EXPECT_STREQ(PQgetvalue(result, 0, 0), "20000000");
    PQclear(result);
  }
}

TEST(Relay, CopyBothWays64Mb) {
  World w;
  for (const std::string& mode : {std::string("sslmode=disable"), kTls}) {
    Client client(w.conninfo(mode));
    client.run("CREATE TEMP TABLE t (n int, a text)");
    client.run("COPY t FROM STDIN");
    for (int i = 0; i < 65'536; ++i) {
      const std::string row = std::to_string(i) + "\t" + std::string(1024, static_cast<char>('a' + i % 26)) + "\n";
      ASSERT_EQ(PQputCopyData(client.raw(), row.data(), static_cast<int>(row.size())), 1);
    }
    ASSERT_EQ(PQputCopyEnd(client.raw(), nullptr), 1);
    PGresult* result = PQgetResult(client.raw());
    EXPECT_STREQ(PQcmdTuples(result), "65536");
    PQclear(result);
    while ((result = PQgetResult(client.raw())) != nullptr) PQclear(result);
    EXPECT_EQ(client.run("SELECT count(*) FROM t WHERE a = repeat(chr(97 + n % 26), 1024)"), "65536");

    client.run("COPY t TO STDOUT");
    char* row = nullptr;
    int rows = 0;
    for (int size = 0; (size = PQgetCopyData(client.raw(), &row, 0)) > 0; ++rows) {
      const std::string expected =
          std::to_string(rows) + "\t" + std::string(1024, static_cast<char>('a' + rows % 26)) + "\n";
      ASSERT_EQ(std::string_view(row, static_cast<std::size_t>(size)), expected);
      PQfreemem(row);
    }
    EXPECT_EQ(rows, 65'536);
    while ((result = PQgetResult(client.raw())) != nullptr) PQclear(result);
    EXPECT_EQ(client.run("SELECT 1"), "1");
  }
}

TEST(Relay, CopyThatFailsOnTheWay) {
  World w;
  Client client(w.conninfo());
  client.run("CREATE TEMP TABLE t (n int)");
  client.run("COPY t FROM STDIN");
  const std::string row = "no number\n";
  for (int i = 0; i < 100'000; ++i) ASSERT_EQ(PQputCopyData(client.raw(), row.data(), static_cast<int>(row.size())), 1);
  PQputCopyEnd(client.raw(), nullptr);
  PGresult* result = PQgetResult(client.raw());
  EXPECT_STREQ(PQresultErrorField(result, PG_DIAG_SQLSTATE), "22P02");
  PQclear(result);
  while ((result = PQgetResult(client.raw())) != nullptr) PQclear(result);
  EXPECT_EQ(client.run("SELECT count(*) FROM t"), "0");
}

// More messages than the records have room for, and neither Sync nor Flush among them: the gate must ask for answers
// itself, or both would wait for ever.
TEST(Relay, PipelineLongerThanTheRecords) {
  World w;
  Client client(w.conninfo());
  PGconn* const conn = client.raw();
  ASSERT_EQ(PQenterPipelineMode(conn), 1);
  ASSERT_EQ(PQsetnonblocking(conn, 1), 0);
  constexpr int kQueries = 2000;
  int asked = 0, answered = 0;
  bool synced = false;
  while (!synced) {
    // Non-blocking, as libpq's documentation wants it: read whenever something is there.
    if (asked < kQueries) {
      const std::string n = std::to_string(asked);
      const char* values[] = {n.c_str()};
      ASSERT_EQ(PQsendQueryParams(conn, "SELECT $1::int", 1, nullptr, values, nullptr, nullptr, 0), 1);
      if (++asked == kQueries) ASSERT_EQ(PQpipelineSync(conn), 1);
    }
    const int unsent = PQflush(conn);
    pollfd wait{PQsocket(conn), static_cast<short>(POLLIN | (unsent != 0 ? POLLOUT : 0)), 0};
    ASSERT_GE(::poll(&wait, 1, asked < kQueries ? 0 : 60'000), asked < kQueries ? 0 : 1) << answered << " of " << asked;
    if ((wait.revents & POLLIN) != 0) ASSERT_EQ(PQconsumeInput(conn), 1) << client.message();
    while (!synced && PQisBusy(conn) == 0) {
      PGresult* result = PQgetResult(conn);
      if (result == nullptr && answered == asked && asked < kQueries) break;
      if (result == nullptr) continue;  // between two results
      if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
        synced = true;
      else
        ASSERT_EQ(PQgetvalue(result, 0, 0), std::to_string(answered++));
      PQclear(result);
    }
  }
  EXPECT_EQ(answered, kQueries);
  client.close();
  const auto stats = w.access.wait_closed(1);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->statements, static_cast<std::uint64_t>(kQueries));
}

TEST(Relay, ListenAndNotify) {
  World w;
  Client listener(w.conninfo());
  Client speaker(w.conninfo(kTls));
  listener.run("LISTEN news");
  speaker.run("NOTIFY news, 'hello'");
  PGnotify* heard = nullptr;
  ASSERT_TRUE(eventually([&] {
    PQconsumeInput(listener.raw());
    heard = PQnotifies(listener.raw());
    return heard != nullptr;
  }));
  EXPECT_STREQ(heard->extra, "hello");
  PQfreemem(heard);
}

bool cancels(PGcancel* cancel) {
  char why[256];
  return PQcancel(cancel, why, sizeof why) == 1;
}

TEST(Relay, CancelReachesTheRightStatement) {
  World w;
  Client victim(w.conninfo(kTls)), bystander(w.conninfo());
  victim.send("SELECT pg_sleep(600)");
  bystander.send("SELECT pg_sleep(600)");
  ASSERT_TRUE(eventually(
      [&] { return w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "2"; }));
  PGcancel* cancel = PQgetCancel(victim.raw());
  ASSERT_TRUE(cancels(cancel));
  PGresult* result = PQgetResult(victim.raw());
  EXPECT_STREQ(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
  PQclear(result);
  EXPECT_EQ(PQgetResult(victim.raw()), nullptr);
  EXPECT_EQ(w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "1");
  // The key the client got is none of the server's.
  const std::string real = w.pg.value("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
  EXPECT_NE(std::to_string(PQbackendPID(bystander.raw())), real);
  // The right number with a wrong key does nothing, nor does the key of a session that has ended.
  const auto pid = static_cast<std::uint32_t>(PQbackendPID(bystander.raw()));
  std::string forged("\0\0\0\x10\x04\xd2\x16\x2e", 8);
  for (int shift = 24; shift >= 0; shift -= 8)
    forged.push_back(static_cast<char>((pid >> static_cast<unsigned>(shift)) & 0xffU));
  forged += std::string(4, '\x55');
  const Raw raw(w.gate->port());
  raw.send(forged);
  EXPECT_EQ(raw.receive_all(), "");
  victim.close();
  ASSERT_TRUE(w.access.wait_closed(1).has_value());
  cancels(cancel);
  PQfreeCancel(cancel);
  EXPECT_EQ(w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "1");
  cancel = PQgetCancel(bystander.raw());
  ASSERT_TRUE(cancels(cancel));
  PQfreeCancel(cancel);
  result = PQgetResult(bystander.raw());
  EXPECT_STREQ(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
  PQclear(result);
}

TEST(Relay, ASlowReaderSlowsItsServer) {
  World w;
  for (const std::string& mode : {std::string("sslmode=disable"), kTls}) {
    Client client(w.conninfo(mode));
    Client other(w.conninfo(mode));
    client.send("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 60000)) TO STDOUT");
    ASSERT_TRUE(eventually(
        [&] { return w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'") == "1"; }));
    EXPECT_EQ(other.run("SELECT 'not held up'"), "not held up");
    PQclear(PQgetResult(client.raw()));
    std::size_t bytes = 0;
    char* row = nullptr;
    for (int size = 0; (size = PQgetCopyData(client.raw(), &row, 0)) > 0; bytes += static_cast<std::size_t>(size))
      PQfreemem(row);
    EXPECT_EQ(bytes, 60'000U * 1001U);
  }
}

TEST(Relay, ManyAtOnce) {
  World w;
  constexpr int kEach = 30, kThreads = 4;
  std::vector<Thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&w, t] {
      std::vector<std::unique_ptr<Client>> clients;
      for (int i = 0; i < kEach; ++i)
        clients.push_back(std::make_unique<Client>(w.conninfo(i % 3 == 0 ? kTls : "sslmode=disable")));
      for (int i = 0; i < kEach; ++i)
        clients[static_cast<std::size_t>(i)]->send("SELECT " + std::to_string(t * 1000 + i));
      for (int i = 0; i < kEach; ++i) {
        PGconn* const conn = clients[static_cast<std::size_t>(i)]->raw();
        PGresult* result = PQgetResult(conn);
        EXPECT_EQ(std::string(PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : PQerrorMessage(conn)),
                  std::to_string(t * 1000 + i));
        PQclear(result);
      }
    });
  threads.clear();
  ASSERT_TRUE(w.access.wait_closed(kEach * kThreads).has_value());
  EXPECT_EQ(w.access.open(), 0U);
}

TEST(Relay, TheServersEndIsTheClientsEnd) {
  World w;
  Client client(w.conninfo());
  const std::string pid = client.run("SELECT pg_backend_pid()");
  w.pg.sql("SELECT pg_terminate_backend(" + pid + ")");
  const Told told = client.await_end();
  EXPECT_EQ(told.sqlstate, "57P01");  // the server's own words
  EXPECT_TRUE(told.message.contains("administrator")) << told.message;
  const auto stats = w.access.wait_closed(1);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->why, "upstream");
}

TEST(Relay, BrokenMessagesEndTheSession) {
  World w;
  for (const std::string_view bytes : {std::string_view("Q\xff\xff\xff\xff", 5), std::string_view("~\0\0\0\x04", 5),
                                       std::string_view("p\0\0\0\x08word", 9), std::string_view("Q\0\0\0\x01", 5)}) {
    Client client(w.conninfo());
    ASSERT_TRUE(client.good());
    (void)::send(PQsocket(client.raw()), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    EXPECT_EQ(client.await_end().sqlstate, "08P01");
  }
  // A statement of 1 GB that never comes: nothing is kept of it, and the client may go.
  Client client(w.conninfo());
  const std::string_view huge(
      "Q\x3f\xff\xff\xff"
      "SELECT",
      11);
  (void)::send(PQsocket(client.raw()), huge.data(), huge.size(), MSG_NOSIGNAL);
  ASSERT_EQ(::shutdown(PQsocket(client.raw()), SHUT_WR), 0);
  client.await_end();
  EXPECT_TRUE(w.access.wait_closed(5).has_value());
}

}  // namespace
}  // namespace daypass::gate::test
