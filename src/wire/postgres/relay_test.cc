#include "wire/postgres/relay.h"

#include <utility>

#include "wire/postgres/test_session.h"

namespace daypass::wire::postgres {
namespace {

using namespace bytes;

TEST(Tap, FullStopsBeforeTheMessageThatHasNoRoom) {
  ActivityLimits limits;
  limits.records = 4;
  Session s(limits);
  std::string in;
  for (int i = 0; i < 6; ++i) in += query("q" + std::to_string(i));
  const std::size_t each = in.size() / 6;
  auto passed = s.tap.client(in, at(1));
  EXPECT_EQ(passed.stop, Tap::Stop::full);
  EXPECT_EQ(passed.bytes, 4 * each);
  EXPECT_FALSE(s.tap.take_flush());  // the server answers simple queries by itself
  s.server(complete("A") + ready());
  EXPECT_TRUE(s.tap.records().full());  // the record waits to be popped
  EXPECT_EQ(s.tap.client(std::string_view(in).substr(passed.bytes), at(2)).bytes, 0U);
  EXPECT_EQ(s.records().size(), 1U);
  passed = s.tap.client(std::string_view(in).substr(passed.bytes), at(3));
  EXPECT_EQ(passed.bytes, each);
  EXPECT_EQ(passed.stop, Tap::Stop::full);
}

// A batch longer than the queue, without a Sync: the server may hold its answers back, so a Flush must fetch them.
TEST(Tap, ALongBatchWithoutSyncGoesOnByFlush) {
  ActivityLimits limits;
  limits.records = 16;
  Session s(limits);
  std::string in;
  for (int i = 0; i < 100; ++i) in += parse("", "q" + std::to_string(i)) + bind_portal("", "") + execute("");
  in += sync();
  std::size_t from = 0;
  std::size_t records = 0;
  int flushes = 0;
  std::string answers;  // what the server holds back
  ClientFramer framer(Phase::ready);
  for (;;) {
    const auto passed = s.tap.client(std::string_view(in).substr(from), at(1));
    std::string_view sent = std::string_view(in).substr(from, passed.bytes);
    from += passed.bytes;
    bool released = false;
    while (!sent.empty()) {
      const Step step = framer.next(sent);
      sent.remove_prefix(step.bytes);
      if (step.kind != Step::Kind::message) continue;
      if (step.message.type == 'P') answers += parsed();
      if (step.message.type == 'B') answers += bound();
      if (step.message.type == 'E') answers += complete("SELECT 1");
      if (step.message.type == 'S') {
        answers += ready();
        released = true;
      }
    }
    if (passed.stop == Tap::Stop::full && s.tap.take_flush()) {
      ++flushes;
      released = true;
      EXPECT_FALSE(s.tap.take_flush());  // once per stop
    }
    ASSERT_TRUE(released) << "stuck at " << from;
    s.server(std::exchange(answers, {}));
    records += s.records().size();
    if (passed.stop == Tap::Stop::none) break;
  }
  EXPECT_EQ(from, in.size());
  EXPECT_EQ(records, 100U);
  EXPECT_GT(flushes, 5);
}

// Parse without end and without Sync: the records must not wait for a ReadyForQuery that can't come.
TEST(Tap, AnEndlessBatchOfParseDoesNotStick) {
  ActivityLimits limits;
  limits.records = 16;
  Session s(limits);
  std::size_t records = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string in =
        parse("s" + std::to_string(i), "q") + bind_portal("p" + std::to_string(i), "s" + std::to_string(i));
    const auto passed = s.tap.client(in, at(1));
    ASSERT_EQ(passed.bytes, in.size()) << i;
    s.server(parsed() + bound());
    records += s.records().size();
  }
  EXPECT_GE(records, 350U);
}

TEST(Tap, CopyDataAndTerminatePassWhenFull) {
  ActivityLimits limits;
  limits.records = 1;
  Session s(limits);
  s.client(query("copy t from stdin")).server(copy_in_response());
  ASSERT_TRUE(s.tap.records().full());
  const std::string in = copy_data("abc") + copy_data("de") + copy_done() + query("next");
  const auto passed = s.tap.client(in, at(1));
  EXPECT_EQ(passed.stop, Tap::Stop::full);
  EXPECT_EQ(passed.bytes, in.size() - query("next").size());
  EXPECT_EQ(s.tap.client(terminate() + "rest", at(2)).stop, Tap::Stop::terminate);
}

TEST(Tap, FaultsForwardNothingOfTheBrokenMessage) {
  Session s;
  const std::string good = query("a");
  auto passed = s.tap.client(good + "p", at(1));
  EXPECT_EQ(passed.stop, Tap::Stop::fault);
  EXPECT_EQ(passed.bytes, good.size());
  EXPECT_EQ(s.tap.fault().check, "message.type");
  Session t;
  passed = t.tap.client(good + bind_portal(std::string(600, 'p'), ""), at(1));
  EXPECT_EQ(passed.stop, Tap::Stop::fault);
  EXPECT_EQ(passed.bytes, good.size());
  EXPECT_EQ(t.tap.fault().check, "message.name");
  Session u;
  passed = u.tap.server(message('K', u32(1) + "key!"), at(1));
  EXPECT_EQ(passed.stop, Tap::Stop::fault);
  EXPECT_EQ(passed.bytes, 0U);
}

TEST(Tap, ExecuteRecordsComeBeforeTheServerCanAct) {
  Session s;
  const std::string in = query("select 1");
  for (std::size_t i = 0; i + 1 < in.size(); ++i) {
    s.client(in.substr(i, 1));
    EXPECT_EQ(s.tap.records().in_flight(), 0U);
  }
  s.client(in.substr(in.size() - 1));
  EXPECT_EQ(s.tap.records().in_flight(), 1U);
}

// However both streams are cut, the records are the same.
TEST(Tap, EverySplitGivesTheSameRecords) {
  const std::string client = parse("s1", "select $1") + bind_portal("", "s1") + execute("") + sync() + query("a; b") +
                             parse("", "copy t from stdin") + bind_portal("", "") + execute("") + sync() +
                             copy_data("12345") + copy_done() + sync() + call(7) + query("alter role a password 'x'") +
                             terminate();
  const std::string server = parsed() + bound() + data_row("1") + complete("SELECT 1") + ready() + complete("A") +
                             error("22012") + ready() + parsed() + bound() + copy_in_response() + complete("COPY 1") +
                             ready() + function_response() + ready() + notice() + complete("ALTER ROLE") + ready();
  const auto run = [&](std::size_t client_step, std::size_t server_step) {
    Session s;
    for (std::size_t i = 0; i < client.size(); i += client_step) s.client(client.substr(i, client_step));
    for (std::size_t i = 0; i < server.size(); i += server_step) s.server(server.substr(i, server_step));
    return lines(s);
  };
  const Lines whole = run(client.size(), server.size());
  EXPECT_EQ(whole, (Lines{"execute ok [SELECT] rows=1 stmt=s1: select $1", "query ok [A]: a;", "query failed 22012: b",
                          "execute ok [COPY] rows=1 in=5: copy t from stdin", "call ok: (unknown)",
                          "query ok [ALTER ROLE]: alter role a password '<redacted>'"}));
  for (std::size_t step = 1; step < 40; ++step) {
    EXPECT_EQ(run(step, server.size()), whole) << step;
    EXPECT_EQ(run(client.size(), step), whole) << step;
    EXPECT_EQ(run(step, 41 - step), whole) << step;
  }
}

}  // namespace
}  // namespace daypass::wire::postgres
