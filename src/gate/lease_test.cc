// Ends by the clock, and what is written down of a session.
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/digest.h"
#include "gate/test_world.h"

namespace daypass::gate::test {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

/// The session looks at its clock when its lease is said anew.
void advance(World& w, base::Millis by, const engine::Lease& lease) {
  w.clock.advance(by);
  w.gate->update(w.access.grant, lease);
}

TEST(LeaseEnds, AbsoluteByItself) {
  World w;
  w.access.lease_for(base::Millis(1500), hours(1));
  Client client(w.conninfo());
  const Told told = client.await_end();
  EXPECT_EQ(told.sqlstate, "57P01");
  EXPECT_EQ(told.message, "grant gr_test ended: its time is up");
  const auto stats = w.access.wait_closed(1);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->why, "cut");
}

TEST(LeaseEnds, IdleByItselfThoughTheServerTalks) {
  World w;
  w.access.lease_for(hours(1), base::Millis(1500));
  Client client(w.conninfo("sslmode=require"));
  client.run("LISTEN news");
  std::atomic<bool> over = false;
  Thread news([&] {
    while (!over) w.pg.sql("NOTIFY news");
  });
  const Told told = client.await_end();
  over = true;
  EXPECT_EQ(told.sqlstate, "57P01");
  EXPECT_EQ(told.message, "grant gr_test ended: idle for too long");
}

TEST(LeaseEnds, ActivityOfAnyConnectionPutsIdlenessOff) {
  World w;
  const engine::Lease lease = w.access.lease(hours(10), seconds(600));
  w.access.lease_for(hours(10), seconds(600));
  Client busy(w.conninfo()), quiet(w.conninfo());
  for (int i = 0; i < 5; ++i) {
    advance(w, seconds(400), lease);
    EXPECT_EQ(busy.run("SELECT 1"), "1");
  }
  EXPECT_EQ(quiet.run("SELECT 1"), "1");
  EXPECT_GE(w.access.active_reports, 5);
  advance(w, seconds(601), lease);
  EXPECT_TRUE(busy.await_end().message.contains("idle"));
  EXPECT_TRUE(quiet.await_end().message.contains("idle"));
}

// The timer has not fired, but the time is over: nothing more goes upstream.
TEST(LeaseEnds, NoMessagePassesAfterTheEnd) {
  World w;
  w.pg.sql("DROP SEQUENCE IF EXISTS late; CREATE SEQUENCE late; GRANT USAGE ON SEQUENCE late TO dp_test");
  w.access.lease_for(seconds(3000), seconds(1000));
  Client client(w.conninfo());
  EXPECT_EQ(client.run("SELECT nextval('late')"), "1");
  w.clock.advance(seconds(1001));
  client.run("SELECT nextval('late')");
  EXPECT_FALSE(client.good());
  ASSERT_TRUE(w.access.wait_closed(1).has_value());
  EXPECT_EQ(w.pg.value("SELECT last_value FROM late"), "1");
}

TEST(LeaseEnds, UpdateLengthensAndShortens) {
  World w;
  w.access.lease_for(seconds(1000), hours(20));
  Client client(w.conninfo());
  const engine::Lease longer = w.access.lease(seconds(10'000), hours(20));
  advance(w, seconds(0), longer);
  EXPECT_EQ(client.run("SELECT 1"), "1");  // said before this was asked, so known before it was answered
  advance(w, seconds(5000), longer);
  EXPECT_EQ(client.run("SELECT 1"), "1");
  w.gate->update(w.access.grant, w.access.lease(seconds(-1), hours(20)));
  EXPECT_EQ(client.await_end().message, "grant gr_test ended: its time is up");
}

TEST(LeaseEnds, UpdateBetweenAdmissionAndEnrolmentCounts) {
  World w;
  w.access.hold();
  Thread connect([&] {
    Client client(w.conninfo());
    client.await_end();
    EXPECT_FALSE(client.good());
  });
  ASSERT_TRUE(w.access.wait_held(1));
  w.gate->update(w.access.grant, w.access.lease(seconds(-1), hours(1)));
  w.access.release();
  const auto stats = w.access.wait_closed(1);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->why, "cut");
}

TEST(LeaseEnds, ALeaseWithoutWindowsAllowsNothing) {
  World w;
  Client client(w.conninfo());
  w.gate->update(w.access.grant, engine::Lease{});
  EXPECT_EQ(client.await_end().sqlstate, "57P01");
}

TEST(Records, SegmentDigestAndCounts) {
  World w;
  {
    Client client(w.conninfo());
    client.run("SELECT 1; SELECT 2");
    client.run("SELECT 1/0");
    client.run("ALTER ROLE dp_test PASSWORD 'hunter2'; ALTER ROLE dp_test PASSWORD 'upstream secret'");
    const char* values[] = {"a bind value"};
    PQclear(PQexecParams(client.raw(), "SELECT $1::text", 1, nullptr, values, nullptr, nullptr, 0));
  }
  const auto stats = w.access.wait_closed(1);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->statements, 6U);
  EXPECT_GT(stats->bytes_in, 0U);
  EXPECT_GT(stats->bytes_out, 0U);
  EXPECT_EQ(stats->segment, "activity/default/gr_test/cx_1.jsonl");
  const std::string file = w.folder / stats->segment, text = read_text(file);
  EXPECT_EQ(stats->segment_digest, base::hex_encode(crypto::sha256(text)));
  struct stat info{};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  std::vector<base::json::Value> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(base::json::parse(line).value());
  ASSERT_EQ(lines.size(), 6U);
  for (const auto& line : lines) {
    const std::string at = *line.find("at")->as_string();
    EXPECT_EQ(base::to_rfc3339(base::parse_rfc3339(at).value()), at);
    EXPECT_LT(w.clock.wall() - base::parse_rfc3339(at).value(), std::chrono::minutes(5)) << at;
  }
  EXPECT_TRUE(text.contains("\"sqlstate\":\"22012\"")) << text;
  EXPECT_TRUE(text.contains("SELECT $1::text"));
  EXPECT_FALSE(text.contains("hunter2"));
  EXPECT_FALSE(text.contains("a bind value"));
}

TEST(Records, ACutStatementIsWrittenDown) {
  World w;
  Client client(w.conninfo());
  client.send("SELECT pg_sleep(600)");
  ASSERT_TRUE(eventually(
      [&] { return w.pg.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"; }));
  w.cut();
  const auto stats = w.access.wait_closed(1);
  ASSERT_TRUE(stats.has_value());
  EXPECT_TRUE(read_text(w.folder / stats->segment).contains("\"outcome\":\"unknown\""));
  w.pg.sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'dp_test'");
}

// Records that can't be written stop statements, never a cut; and none is lost.
TEST(Records, ABrokenDiskFailsClosed) {
  Wishes wishes;
  wishes.options = [](PostgresGateOptions& o) { std::ofstream(o.activity_folder) << "no folder"; };
  World w(wishes);
  w.pg.sql("DROP SEQUENCE IF EXISTS blocked; CREATE SEQUENCE blocked; GRANT USAGE ON SEQUENCE blocked TO dp_test");
  Client client(w.conninfo()), doomed(w.conninfo());
  // What is on its way when it breaks may pass. Once the writer knows, the session holds.
  EXPECT_EQ(client.run("SELECT nextval('blocked')"), "1");
  ASSERT_TRUE(w.logged.wait_for("activity records can't be written"));
  client.send("SELECT nextval('blocked')");
  pollfd answer{.fd = PQsocket(client.raw()), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&answer, 1, 1000), 0) << "a statement passed that can't be recorded";
  EXPECT_EQ(w.pg.value("SELECT last_value FROM blocked"), "1");
  std::filesystem::remove(w.folder / "activity");
  ASSERT_EQ(::mkdir((w.folder / "activity").c_str(), 0700), 0);
  PGresult* result = PQgetResult(client.raw());
  EXPECT_STREQ(PQgetvalue(result, 0, 0), "2");
  PQclear(result);
  while ((result = PQgetResult(client.raw())) != nullptr) PQclear(result);
  w.cut();
  EXPECT_EQ(client.await_end().sqlstate, "57P01");
  EXPECT_EQ(doomed.await_end().sqlstate, "57P01");
  ASSERT_TRUE(w.access.wait_closed(2).has_value());
  const std::string text = read_text(w.folder / "activity/default/gr_test/cx_1.jsonl");
  EXPECT_EQ(std::ranges::count(text, '\n'), 2);
}

TEST(Records, CutWorksWithABrokenDisk) {
  Wishes wishes;
  wishes.options = [](PostgresGateOptions& o) { std::ofstream(o.activity_folder) << "no folder"; };
  World w(wishes);
  Client client(w.conninfo());
  client.run("SELECT 1");
  w.cut();
  EXPECT_EQ(client.await_end().sqlstate, "57P01");
  // Given back at the latest when the gate stops: World checks it.
}

}  // namespace
}  // namespace daypass::gate::test
