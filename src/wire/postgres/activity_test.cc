#include "wire/postgres/activity.h"

#include "wire/postgres/test_session.h"

namespace daypass::wire::postgres {
namespace {

using namespace bytes;
using Kind = Record::Kind;

TEST(Activity, SimpleQuery) {
  Session s;
  s.client(query("select * from t")).server(row_description() + data_row("a") + data_row("b"));
  EXPECT_EQ(s.tap.records().in_flight(), 1U);
  s.server(complete("SELECT 2") + ready());
  const Record r = s.only();
  EXPECT_EQ(line(r), "query ok [SELECT] rows=2: select * from t");
  EXPECT_EQ(r.started, at(1));
  EXPECT_EQ(r.finished, at(3));
  EXPECT_FALSE(r.in_transaction);
  EXPECT_FALSE(r.text->truncated);
  EXPECT_EQ(s.tap.records().in_flight(), 0U);
  EXPECT_EQ(s.tap.records().transaction(), TransactionState::idle);
}

TEST(Activity, FailedAndEmptyQueries) {
  Session s;
  s.client(query("selec 1")).server(error("42601") + ready());
  s.client(query("")).server(empty_query() + ready());
  EXPECT_EQ(lines(s), (Lines{"query failed 42601: selec 1", "query ok: "}));
}

TEST(Activity, TransactionStateBeforeTheStatement) {
  Session s;
  s.client(query("begin")).server(complete("BEGIN") + ready('T'));
  s.client(query("select 1")).server(complete("SELECT 1") + ready('T'));
  s.client(query("x")).server(error("42601") + ready('E'));
  EXPECT_EQ(s.tap.records().transaction(), TransactionState::failed);
  s.client(query("rollback")).server(complete("ROLLBACK") + ready());
  const auto all = s.records();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_FALSE(all[0].in_transaction);
  EXPECT_TRUE(all[1].in_transaction);
  EXPECT_TRUE(all[2].in_transaction);
  EXPECT_TRUE(all[3].in_transaction);
}

TEST(Activity, MultiStatementQueryHasARecordEach) {
  Session s;
  s.client(query("insert into t values (';'); /* ; */ select 1;; update t set a = 2;"));
  s.server(complete("INSERT 0 1")).server(row_description() + data_row("1") + complete("SELECT 1"));
  s.server(complete("UPDATE 5") + ready());
  const auto all = s.records();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(line(all[0]), "query ok [INSERT] rows=1: insert into t values (';');");
  EXPECT_EQ(line(all[1]), "query ok [SELECT] rows=1: /* ; */ select 1;");
  EXPECT_EQ(line(all[2]), "query ok [UPDATE] rows=5: ; update t set a = 2;");
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(all[i].part, i);
  EXPECT_EQ(all[0].message, all[2].message);
  EXPECT_EQ(all[1].started, all[0].finished);
}

TEST(Activity, MultiStatementFailureKeepsTheTextThatWasNotRun) {
  Session s;
  s.client(query("a; b; c; d")).server(complete("A") + error("22012") + ready());
  EXPECT_EQ(lines(s), (Lines{"query ok [A]: a;", "query failed 22012 skipped=2: b; c; d"}));
  s.client(query("a; b")).server(error("42601") + ready());
  EXPECT_EQ(lines(s), (Lines{"query failed 42601 skipped=1: a; b"}));
}

// Where our reading of the text and the server's differ, every byte of it still is in some record.
TEST(Activity, NoTextIsLostWhenStatementCountsDiffer) {
  Session s;
  s.client(query("a; b; c")).server(complete("A") + ready());
  EXPECT_EQ(lines(s), (Lines{"query ok [A]: a; b; c"}));
  s.client(query("a; b")).server(complete("A") + complete("B") + complete("C") + ready());
  EXPECT_EQ(lines(s), (Lines{"query ok [A]: a;", "query ok [B]: b", "query ok [C]: b"}));
}

TEST(Activity, AQueryOfManyStatementsIsBounded) {
  ActivityLimits limits;
  limits.records = 16;
  Session s(limits);
  std::string sql;
  std::string answers;
  for (int i = 0; i < 1000; ++i) {
    sql += "x;";
    answers += complete("UPDATE 1");
  }
  s.client(query(sql)).server(answers + ready());
  const auto all = s.records();
  EXPECT_LE(all.size(), 16U);
  std::uint64_t statements = 0;
  std::uint64_t rows = 0;
  std::string text;
  for (const Record& r : all) {
    statements += r.statements;
    rows += *r.rows;
    text += r.text->sql;
  }
  EXPECT_EQ(statements, 1000U);
  EXPECT_EQ(rows, 1000U);
  EXPECT_EQ(text, sql);
}

TEST(Activity, LongTextIsCut) {
  Session s;
  s.client(query(std::string(10 * kTextMax, 'x'))).server(complete("SELECT 0") + ready());
  s.client(parse("", std::string(10 * kTextMax, 'y')) + bind_portal("", "") + execute("") + sync());
  s.server(parsed() + bound() + complete("SELECT 0") + ready());
  const auto all = s.records();
  ASSERT_EQ(all.size(), 2U);
  for (const Record& r : all) {
    EXPECT_EQ(r.text->sql.size(), kTextMax);
    EXPECT_TRUE(r.text->truncated);
  }
}

TEST(Activity, PasswordsNeverReachARecord) {
  Session s;
  s.client(query("select 1; alter role a password 'hunter2'; select 'kept'"));
  s.server(complete("SELECT 1") + complete("ALTER ROLE") + complete("SELECT 1") + ready());
  s.client(parse("p", "alter role a password 'hunter2'") + sync()).server(parsed() + ready());
  EXPECT_EQ(
      lines(s),
      (Lines{"query ok [SELECT] rows=1: select 1;", "query ok [ALTER ROLE]: alter role a password '<redacted>';",
             "query ok [SELECT] rows=1: select 'kept'", "prepare ok stmt=p: alter role a password '<redacted>'"}));
}

TEST(Activity, ExtendedQueryUnnamed) {
  Session s;
  s.client(parse("", "select $1") + bind_portal("", "") + describe('P', "") + execute("") + sync());
  s.server(parsed() + bound() + row_description() + data_row("x") + complete("SELECT 1") + ready());
  const Record r = s.only();
  EXPECT_EQ(line(r), "execute ok [SELECT] rows=1: select $1");
  EXPECT_EQ(r.started, at(1));
  EXPECT_EQ(r.finished, at(2));
}

TEST(Activity, PreparedOnceRunManyTimes) {
  Session s;
  s.client(parse("s1", "select $1") + describe('S', "s1") + sync());
  s.server(parsed() + message('t', u16(0)) + row_description() + ready());
  EXPECT_EQ(lines(s), (Lines{"prepare ok stmt=s1: select $1"}));
  for (int i = 0; i < 3; ++i) {
    s.client(bind_portal("", "s1") + execute("") + sync()).server(bound() + complete("SELECT 1") + ready());
    EXPECT_EQ(lines(s), (Lines{"execute ok [SELECT] rows=1 stmt=s1: select $1"}));
  }
}

TEST(Activity, BindWithoutExecuteIsTold) {
  Session s;
  s.client(parse("s1", "select leak()") + bind_portal("p", "s1") + sync()).server(parsed() + bound() + ready());
  EXPECT_EQ(lines(s), (Lines{"prepare ok stmt=s1: select leak()", "bind ok stmt=s1 portal=p: select leak()"}));
  // Bound again before it was run, and closed before it was run.
  s.client(bind_portal("", "s1") + bind_portal("", "s1") + execute("") + sync());
  s.server(bound() + bound() + complete("SELECT 1") + ready());
  EXPECT_EQ(lines(s), (Lines{"bind ok stmt=s1: select leak()", "execute ok [SELECT] rows=1 stmt=s1: select leak()"}));
  s.client(bind_portal("q", "s1") + close('P', "q") + sync()).server(bound() + closed() + ready());
  EXPECT_EQ(lines(s), (Lines{"bind ok stmt=s1 portal=q: select leak()"}));
}

TEST(Activity, PortalIsFetchedInSteps) {
  Session s;
  s.client(query("begin")).server(complete("BEGIN") + ready('T'));
  s.records();
  s.client(parse("", "select * from big") + bind_portal("c", "") + execute("c", 100) + sync());
  s.server(parsed() + bound() + suspended() + ready('T'));
  s.client(execute("c", 100) + sync()).server(complete("SELECT 7") + ready('T'));
  EXPECT_EQ(lines(s), (Lines{"execute suspended rows=100 portal=c: select * from big",
                             "execute ok [SELECT] rows=7 portal=c: select * from big"}));
  // The end of the transaction takes portals away.
  s.client(query("commit")).server(complete("COMMIT") + ready());
  s.records();
  s.client(execute("c") + sync()).server(error("34000") + ready());
  EXPECT_EQ(lines(s), (Lines{"execute failed 34000 portal=c: (unknown)"}));
}

TEST(Activity, FailuresInABatchSayWhereAndSkipTheRest) {
  Session s;
  s.client(parse("", "selec") + bind_portal("", "") + describe('P', "") + execute("") + sync())
      .server(error("42601") + ready());
  EXPECT_EQ(lines(s), (Lines{"prepare failed 42601 skipped=1: selec"}));
  s.client(parse("", "select $1::int") + bind_portal("", "") + execute("") + sync())
      .server(parsed() + error("22P02") + ready());
  EXPECT_EQ(lines(s), (Lines{"bind failed 22P02 skipped=1: select $1::int"}));
  s.client(parse("", "select 1/0") + bind_portal("", "") + execute("") + sync())
      .server(parsed() + bound() + error("22012") + ready());
  EXPECT_EQ(lines(s), (Lines{"execute failed 22012: select 1/0"}));
  s.client(describe('S', "none") + sync()).server(error("26000") + ready());
  EXPECT_EQ(lines(s), (Lines{"describe failed 26000 stmt=none: (unknown)"}));
  s.client(bind_portal("", "none") + execute("") + sync()).server(error("26000") + ready());
  EXPECT_EQ(lines(s), (Lines{"bind failed 26000 skipped=1 stmt=none: (unknown)"}));
}

TEST(Activity, MessagesThatComeAfterTheFailureAreSkippedToo) {
  Session s;
  s.client(parse("", "a") + bind_portal("", "") + execute("")).server(parsed() + bound() + error("22012"));
  EXPECT_EQ(s.records().size(), 0U);  // it is told when it is known how many were skipped
  s.client(parse("", "b") + bind_portal("", "") + execute("") + query("c") + execute("") + sync());
  s.client(parse("", "d") + bind_portal("", "") + execute("") + sync());
  s.server(ready() + parsed() + bound() + complete("D") + ready());
  EXPECT_EQ(lines(s), (Lines{"execute failed 22012 skipped=3: a", "execute ok [D]: d"}));
}

// A Parse that fails leaves the name with its old text; the server decides, not the order of sending.
TEST(Activity, AFailedParseDoesNotChangeWhatANameMeans) {
  Session s;
  s.client(parse("s1", "select 'old'") + sync()).server(parsed() + ready());
  s.records();
  s.client(parse("s1", "drop table t") + sync() + bind_portal("", "s1") + execute("") + sync());
  s.server(error("42P05") + ready() + bound() + complete("SELECT 1") + ready());
  EXPECT_EQ(lines(s),
            (Lines{"prepare failed 42P05 stmt=s1: drop table t", "execute ok [SELECT] rows=1 stmt=s1: select 'old'"}));
}

TEST(Activity, NamesCountUpTo63BytesAsOnTheServer) {
  Session s;
  const std::string long_name(63, 'n');
  s.client(parse(long_name + "abc", "select 1") + sync()).server(parsed() + ready());
  s.records();
  s.client(bind_portal("", long_name + "xyz") + execute("") + sync()).server(bound() + complete("SELECT 1") + ready());
  EXPECT_EQ(text_of(s.only()), "select 1");
}

TEST(Activity, DeallocateMakesNamesUnknown) {
  for (const char* tag : {"DEALLOCATE", "DEALLOCATE ALL", "DISCARD ALL"}) {
    Session s;
    s.client(parse("s1", "select 1") + sync()).server(parsed() + ready());
    s.client(query("whatever")).server(complete(tag) + ready());
    s.records();
    s.client(bind_portal("", "s1") + execute("") + sync()).server(bound() + complete("SELECT 1") + ready());
    EXPECT_EQ(lines(s), (Lines{"execute ok [SELECT] rows=1 stmt=s1: (unknown)"})) << tag;
  }
}

TEST(Activity, CloseForgetsAndASimpleQueryTakesTheUnnamedAway) {
  Session s;
  s.client(parse("s1", "select 1") + parse("", "select 2") + sync()).server(parsed() + parsed() + ready());
  s.client(close('S', "s1") + query("select 3")).server(closed() + complete("SELECT 1") + ready());
  s.records();
  s.client(bind_portal("", "") + sync()).server(error("26000") + ready());
  EXPECT_EQ(lines(s), (Lines{"bind failed 26000: (unknown)"}));
  s.client(bind_portal("", "s1") + sync()).server(error("26000") + ready());
  EXPECT_EQ(lines(s), (Lines{"bind failed 26000 stmt=s1: (unknown)"}));
}

TEST(Activity, RemembersABoundedNumberOfStatements) {
  ActivityLimits limits;
  limits.statements = 3;
  Session s(limits);
  for (const std::string name : {"a", "b", "c"})
    s.client(parse(name, "text " + name) + sync()).server(parsed() + ready());
  s.client(bind_portal("", "a") + execute("") + sync())
      .server(bound() + complete("X") + ready());  // a is used: b is the oldest
  s.client(parse("d", "text d") + sync()).server(parsed() + ready());
  s.records();
  for (const std::string name : {"a", "b", "c", "d"}) {
    s.client(bind_portal("", name) + execute("") + sync()).server(bound() + complete("X") + ready());
  }
  EXPECT_EQ(lines(s), (Lines{"execute ok [X] stmt=a: text a", "execute ok [X] stmt=b: (unknown)",
                             "execute ok [X] stmt=c: text c", "execute ok [X] stmt=d: text d"}));
}

TEST(Activity, RemembersABoundedNumberOfBytesAndPortals) {
  ActivityLimits limits;
  limits.statement_bytes = 10'000;
  limits.portals = 2;
  Session s(limits);
  for (int i = 0; i < 50; ++i) {
    s.client(parse("s" + std::to_string(i), std::string(2000, 'x')) + sync()).server(parsed() + ready());
    s.records();
    EXPECT_LE(s.tap.records().memory(), 30'000U);
  }
  s.client(query("begin")).server(complete("BEGIN") + ready('T'));
  s.records();
  for (const std::string portal : {"p1", "p2", "p3"}) s.client(bind_portal(portal, "s49")).server(bound());
  s.client(execute("p3") + execute("p1") + sync()).server(complete("X") + complete("X") + ready('T'));
  const auto all = s.records();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].kind, Kind::bind);  // p3 found no room, so it is told at once
  EXPECT_NE(all[0].text, nullptr);
  EXPECT_EQ(all[1].text, nullptr);
  EXPECT_NE(all[2].text, nullptr);
  EXPECT_EQ(all[3].kind, Kind::bind);  // p2 was never run
}

TEST(Activity, PipelinesSettleInOrder) {
  Session s;
  s.client(query("a") + query("b") + parse("", "c") + bind_portal("", "") + execute("") + sync() + query("d"));
  EXPECT_EQ(s.tap.records().in_flight(), 7U);
  s.server(complete("A") + ready() + error("22012") + ready() + parsed() + bound());
  s.server(complete("C") + ready() + complete("D") + ready());
  EXPECT_EQ(lines(s), (Lines{"query ok [A]: a", "query failed 22012: b", "execute ok [C]: c", "query ok [D]: d"}));
}

TEST(Activity, NoticesAndNotificationsAreNotAnswers) {
  Session s;
  s.client(query("a")).server(notice() + message('A', u32(1) + z("c") + z("")) + message('S', z("x") + z("y")));
  EXPECT_EQ(s.records().size(), 0U);
  EXPECT_EQ(s.tap.records().in_flight(), 1U);
  s.server(complete("A") + ready());
  EXPECT_EQ(lines(s), (Lines{"query ok [A]: a"}));
}

TEST(Activity, CopyInAndOutSimple) {
  Session s;
  s.client(query("copy t from stdin")).server(copy_in_response());
  s.client(copy_data("12345") + copy_data("678") + copy_done()).server(complete("COPY 2") + ready());
  s.client(query("copy t to stdout"));
  s.server(copy_out_response() + copy_data("123") + copy_data("4") + message('c', "") + complete("COPY 2") + ready());
  s.client(query("copy t from stdin")).server(copy_in_response());
  s.client(copy_data("zz") + copy_fail("changed my mind")).server(error("57014") + ready());
  s.client(query("select 1")).server(complete("SELECT 1") + ready());
  EXPECT_EQ(lines(s),
            (Lines{"query ok [COPY] rows=2 in=8: copy t from stdin", "query ok [COPY] rows=2 out=4: copy t to stdout",
                   "query failed 57014 in=2: copy t from stdin", "query ok [SELECT] rows=1: select 1"}));
}

TEST(Activity, CopyAmongOtherStatementsOfAQuery) {
  Session s;
  s.client(query("a; copy t from stdin; b")).server(complete("A") + copy_in_response());
  s.client(copy_data("12345") + copy_done()).server(complete("COPY 1") + complete("B") + ready());
  EXPECT_EQ(lines(s),
            (Lines{"query ok [A]: a;", "query ok [COPY] rows=1 in=5: copy t from stdin;", "query ok [B]: b"}));
}

// libpq sends Sync with the Execute of a COPY, which the server passes over, and another behind CopyDone.
TEST(Activity, CopyInByTheExtendedProtocol) {
  Session s;
  const std::string start =
      parse("", "copy t from stdin") + bind_portal("", "") + describe('P', "") + execute("") + sync();
  const std::string started = parsed() + bound() + no_data() + copy_in_response();
  s.client(start).server(started);
  s.client(copy_data("123") + copy_done() + sync()).server(complete("COPY 1") + ready());
  EXPECT_EQ(s.tap.records().in_flight(), 0U);
  EXPECT_EQ(lines(s), (Lines{"execute ok [COPY] rows=1 in=3: copy t from stdin"}));

  // The same when the server fails while it reads: the first Sync may or may not have been passed over.
  s.client(start).server(started);
  s.client(copy_data("123")).server(error("22P04"));
  s.client(copy_data("456") + copy_done() + sync()).server(ready());
  EXPECT_EQ(s.tap.records().in_flight(), 0U);
  EXPECT_EQ(lines(s), (Lines{"execute failed 22P04 in=3: copy t from stdin"}));
  s.client(query("bad")).server(error("42601") + ready());
  s.client(query("good")).server(complete("GOOD") + ready());
  EXPECT_EQ(lines(s), (Lines{"query failed 42601: bad", "query ok [GOOD]: good"}));
  EXPECT_EQ(s.tap.records().in_flight(), 0U);

  // All of it sent blindly in one go.
  s.client(start + copy_data("12") + copy_done() + sync() + query("next"));
  s.server(started + complete("COPY 1") + ready() + complete("NEXT") + ready());
  EXPECT_EQ(lines(s), (Lines{"execute ok [COPY] rows=1 in=2: copy t from stdin", "query ok [NEXT]: next"}));
  EXPECT_EQ(s.tap.records().in_flight(), 0U);
}

TEST(Activity, StrayCopyMessagesAndSyncsDoNotGrowTheQueue) {
  Session s;
  std::string stray;
  for (int i = 0; i < 10'000; ++i) stray += copy_done() + copy_data("x") + copy_fail("x");
  s.client(stray);
  EXPECT_EQ(s.tap.records().in_flight(), 0U);
  s.client(query("copy t from stdin") + stray);
  EXPECT_LE(s.tap.records().in_flight(), 2U);
  s.server(copy_in_response());
  std::string syncs;
  for (int i = 0; i < 10'000; ++i) syncs += sync();
  Session t;
  t.client(query("copy t from stdin")).server(copy_in_response());
  t.client(syncs);
  EXPECT_LE(t.tap.records().in_flight(), 2U);
  t.client(copy_done()).server(complete("COPY 0") + ready());
  EXPECT_EQ(t.tap.records().in_flight(), 0U);
}

TEST(Activity, FunctionCall) {
  Session s;
  s.client(call(1598)).server(function_response() + ready());
  s.client(call(7)).server(error("42883") + ready());
  const auto all = s.records();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(line(all[0]), "call ok: (unknown)");
  EXPECT_EQ(all[0].function_oid, 1598U);
  EXPECT_EQ(line(all[1]), "call failed 42883: (unknown)");
  EXPECT_EQ(s.tap.records().in_flight(), 0U);
}

TEST(Activity, ACommitThatFailsAtSync) {
  Session s;
  s.client(parse("", "insert into t") + bind_portal("", "") + execute("") + sync());
  s.server(parsed() + bound() + complete("INSERT 0 1") + error("23503") + ready());
  EXPECT_EQ(lines(s), (Lines{"execute ok [INSERT] rows=1: insert into t", "sync failed 23503: (unknown)"}));
}

TEST(Activity, ACutSessionLeavesNothingUntold) {
  Session s;
  s.client(parse("", "select pg_sleep(100)") + bind_portal("", "") + execute("") + sync() + query("next"));
  s.tap.records().close(at(50));
  auto all = s.records();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(line(all[0]), "execute unknown: select pg_sleep(100)");
  EXPECT_EQ(all[0].finished, at(50));
  EXPECT_EQ(line(all[1]), "query unknown: next");

  Session t;
  t.client(query("a; select pg_sleep(100); c")).server(complete("A"));
  t.tap.records().close(at(50));
  EXPECT_EQ(lines(t), (Lines{"query ok [A]: a;", "query unknown: select pg_sleep(100); c"}));

  Session u;
  u.client(parse("s", "never run") + sync());
  u.tap.records().close(at(50));
  EXPECT_EQ(lines(u), (Lines{"prepare unknown stmt=s: never run"}));

  Session v;
  v.client(parse("", "a") + bind_portal("", "") + execute("")).server(parsed() + bound() + error("22012"));
  v.tap.records().close(at(50));
  EXPECT_EQ(lines(v), (Lines{"execute failed 22012: a"}));
}

TEST(Activity, FatalErrorOfTheServer) {
  Session s;
  s.client(query("select pg_sleep(100)")).server(error("57P01", "FATAL"));
  EXPECT_EQ(s.tap.server_fatal(), "57P01");
  s.tap.records().close(at(9));
  EXPECT_EQ(lines(s), (Lines{"query failed 57P01: select pg_sleep(100)"}));
  Session idle;
  idle.server(error("57P01", "FATAL"));
  EXPECT_EQ(idle.records().size(), 0U);
}

// A server that answers what nobody asked changes nothing.
TEST(Activity, UnaskedAnswersAreIgnored) {
  Session s;
  for (int i = 0; i < 1000; ++i) {
    s.server(parsed() + bound() + closed() + no_data() + row_description() + complete("X") + suspended() +
             empty_query() + function_response() + error("22012") + copy_in_response() + copy_out_response() + ready());
  }
  EXPECT_EQ(s.records().size(), 0U);
  s.client(query("a"));
  std::string again;
  for (int i = 0; i < 1000; ++i) again += error("22012");
  s.server(again + complete("A") + ready());
  EXPECT_EQ(lines(s), (Lines{"query failed 22012: a"}));
}

}  // namespace
}  // namespace daypass::wire::postgres
