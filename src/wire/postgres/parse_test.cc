#include "wire/postgres/parse.h"

#include <gtest/gtest.h>

#include "wire/postgres/build.h"
#include "wire/postgres/message.h"
#include "wire/postgres/tag.h"
#include "wire/postgres/test_bytes.h"

namespace daypass::wire::postgres {
namespace {

using namespace std::string_literals;
using bytes::message;
using bytes::u32;
using bytes::z;

// The body of the one message that `build` appends; checks type and length word.
template <class Build>
std::string body_of(char type, Build build) {
  std::string out = "kept";
  build(out);
  EXPECT_EQ(out.substr(0, 4), "kept");
  out = out.substr(4);
  EXPECT_EQ(out, message(type, std::string_view(out).substr(5)));
  return out.substr(5);
}

template <class T>
std::string check_of(const base::Result<T>& result) {
  return result.ok() ? "accepted" : result.error().check;
}

TEST(Sasl, InitialResponseThereAndBack) {
  const std::string body =
      body_of('p', [](std::string& out) { append_sasl_initial_response(out, "SCRAM-SHA-256", "n,,n=,r=abc"); });
  const auto got = parse_sasl_initial_response(body);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->mechanism, "SCRAM-SHA-256");
  EXPECT_EQ(got->response, "n,,n=,r=abc");
  EXPECT_EQ(parse_sasl_response(body_of('p', [](std::string& out) { append_sasl_response(out, "c=biws"); })).value(),
            "c=biws");
}

TEST(Sasl, HostileMessages) {
  const std::string name = z("SCRAM-SHA-256");
  for (const std::string& body :
       {""s, "x"s, "\0"s, name, name + "\0\0\0"s, name + u32(0), name + u32(0xffffffff), name + u32(4) + "abc",
        name + u32(2) + "abc", "\0"s + u32(1) + "a", z(std::string(65, 'M')) + u32(1) + "a", name + u32(3) + "a\0b"s,
        name + u32(0x7fffffff) + "a"}) {
    EXPECT_EQ(check_of(parse_sasl_initial_response(body)), "sasl.initial") << testing::PrintToString(body);
  }
  EXPECT_EQ(check_of(parse_sasl_response("")), "sasl.response");
  EXPECT_EQ(check_of(parse_sasl_response("a\0"s)), "sasl.response");
  EXPECT_EQ(check_of(parse_sasl_response(std::string(8193, 'a'))), "sasl.response");
}

TEST(Authentication, ThereAndBack) {
  using Kind = Authentication::Kind;
  EXPECT_EQ(parse_authentication(body_of('R', append_authentication_ok))->kind, Kind::ok);
  const std::string list =
      body_of('R', [](std::string& out) { append_authentication_sasl(out, {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}); });
  const auto sasl = parse_authentication(list);
  EXPECT_EQ(sasl->kind, Kind::sasl);
  EXPECT_EQ(sasl->mechanisms, (std::vector<std::string_view>{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}));
  const std::string more = body_of('R', [](std::string& out) { append_authentication_sasl_continue(out, "r=1"); });
  EXPECT_EQ(parse_authentication(more)->kind, Kind::sasl_continue);
  EXPECT_EQ(parse_authentication(more)->data, "r=1");
  const std::string end = body_of('R', [](std::string& out) { append_authentication_sasl_final(out, "v=1"); });
  EXPECT_EQ(parse_authentication(end)->kind, Kind::sasl_final);
  EXPECT_EQ(parse_authentication(u32(3))->kind, Kind::cleartext);
  EXPECT_EQ(parse_authentication(u32(5) + "salt")->kind, Kind::md5);
  EXPECT_EQ(parse_authentication(u32(7))->kind, Kind::other);
  EXPECT_EQ(parse_authentication(u32(99))->kind, Kind::other);
}

TEST(Authentication, HostileMessages) {
  std::string many = u32(10);
  for (int i = 0; i < 17; ++i) many += z("M");
  for (const std::string& body :
       {""s, "\0\0\0"s, u32(0) + "x", u32(3) + "x", u32(5) + "sal", u32(5) + "salty", u32(10), u32(10) + "\0"s,
        u32(10) + "SCRAM", u32(10) + z("SCRAM"), u32(10) + z("A") + "\0x"s, many + "\0"s, u32(11), u32(12) + "a\0"s}) {
    EXPECT_EQ(check_of(parse_authentication(body)), "authentication.body") << testing::PrintToString(body);
  }
}

TEST(ServerBodies, ThereAndBack) {
  const std::string key = body_of('K', [](std::string& out) { append_backend_key_data(out, 0xfffffffe, "\0\1\2\3"s); });
  EXPECT_EQ(parse_backend_key(key)->pid, 0xfffffffeU);
  EXPECT_EQ(parse_backend_key(key)->key, "\0\1\2\3"s);
  const std::string status = body_of('S', [](std::string& out) { append_parameter_status(out, "TimeZone", "UTC"); });
  EXPECT_EQ(parse_parameter_status(status)->name, "TimeZone");
  EXPECT_EQ(parse_parameter_status(status)->value, "UTC");
  for (const auto state : {TransactionState::idle, TransactionState::open, TransactionState::failed}) {
    EXPECT_EQ(*parse_ready_for_query(body_of('Z', [&](std::string& out) { append_ready_for_query(out, state); })),
              state);
  }
  const std::vector<std::string> options = {"_pq_.a", "_pq_.b"};
  const std::string offer = body_of('v', [&](std::string& out) { append_negotiate_protocol_version(out, options); });
  const auto negotiate = parse_negotiate_protocol_version(offer);
  EXPECT_EQ(negotiate->newest, 0x00030000U);
  EXPECT_EQ(negotiate->unknown_options, (std::vector<std::string_view>{"_pq_.a", "_pq_.b"}));
}

TEST(ServerBodies, HostileMessages) {
  for (const std::string& body : {""s, u32(1), u32(1) + "abc", u32(1) + std::string(257, 'k')})
    EXPECT_EQ(check_of(parse_backend_key(body)), "message.body");
  for (const std::string& body : {""s, "a"s, z("a"), z("a") + "b", z("a") + z("b") + "c", "\0\0"s})
    EXPECT_EQ(check_of(parse_parameter_status(body)), "message.body");
  for (const std::string& body : {""s, "X"s, "II"s, "\0"s})
    EXPECT_EQ(check_of(parse_ready_for_query(body)), "message.body");
  for (const std::string& body : {""s, u32(1), u32(0x30000) + u32(1), u32(0x30000) + u32(0xffffffff),
                                  u32(0x30000) + u32(0) + "x", u32(0x30000) + u32(2) + z("a")})
    EXPECT_EQ(check_of(parse_negotiate_protocol_version(body)), "message.body");
}

TEST(Notice, ThereAndBackAndCut) {
  const std::string body = body_of('E', [](std::string& out) {
    append_error_response(out, {.severity = "FATAL",
                                .sqlstate = "57P01",
                                .message = "grant g1 ended: expired",
                                .detail = "opened at noon",
                                .hint = "daypass connect"});
  });
  const ServerNotice notice = parse_notice(body);
  EXPECT_TRUE(notice.fatal());
  EXPECT_EQ(notice.sqlstate, "57P01");
  EXPECT_EQ(notice.message, "grant g1 ended: expired");
  EXPECT_EQ(notice.detail, "opened at noon");
  EXPECT_EQ(notice.hint, "daypass connect");
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    const ServerNotice part = parse_notice(std::string_view(body).substr(0, cut));
    EXPECT_TRUE(part.sqlstate.empty() || part.sqlstate == "57P01");
  }
  // A translated severity doesn't hide a FATAL, in whichever order they stand.
  EXPECT_TRUE(parse_notice("S" + z("FATALE") + "V" + z("FATAL") + "\0"s).fatal());
  EXPECT_TRUE(parse_notice("V" + z("FATAL") + "S" + z("FATALE") + "\0"s).fatal());
  EXPECT_EQ(parse_notice("C" + z("4260") + "\0"s).sqlstate, "");
  EXPECT_EQ(parse_notice("C" + z("4260!") + "\0"s).sqlstate, "");
  EXPECT_EQ(body_of('N',
                    [](std::string& out) {
                      append_notice_response(out, {.severity = "NOTICE", .sqlstate = "00000", .message = ""});
                    }),
            "S" + z("NOTICE") + "V" + z("NOTICE") + "C" + z("00000") + "M\0\0"s);
}

TEST(Build, ANulInContentDoesNotBreakTheFraming) {
  const std::string body = body_of('E', [](std::string& out) {
    append_error_response(out, {.sqlstate = "57P01", .message = "a\0Hinjected"s, .hint = "h"});
  });
  EXPECT_EQ(parse_notice(body).message, "a");
  EXPECT_EQ(parse_notice(body).hint, "h");
}

TEST(Build, RequestsToTheServer) {
  std::string out;
  append_ssl_request(out);
  append_cancel_request(out, 7, "key!");
  append_flush(out);
  append_terminate(out);
  EXPECT_EQ(out,
            bytes::first(80877103, "") + bytes::first(80877102, u32(7) + "key!") + bytes::flush() + bytes::terminate());
}

TEST(ClientBodies, ParseBindExecuteAndNames) {
  const std::string parse = bytes::parse("s1", "select 1").substr(5);
  EXPECT_EQ(parse_parse(parse, true)->statement, "s1");
  EXPECT_EQ(parse_parse(parse, true)->text, "select 1");
  EXPECT_FALSE(parse_parse(parse, true)->truncated);
  EXPECT_TRUE(parse_parse(z("s1") + "select", false)->truncated);
  EXPECT_TRUE(parse_parse(z("") + z(std::string(kTextMax + 1, 'x')), true)->truncated);
  EXPECT_EQ(check_of(parse_parse(z("s1") + "select", true)), "message.body");
  EXPECT_EQ(check_of(parse_parse(std::string(300, 'n'), false)), "message.name");
  EXPECT_EQ(check_of(parse_parse(z(std::string(256, 'n')) + z("x"), true)), "message.name");

  EXPECT_EQ(parse_bind(bytes::bind_portal("p", "s").substr(5))->portal, "p");
  EXPECT_EQ(parse_bind(bytes::bind_portal("p", "s").substr(5))->statement, "s");
  EXPECT_EQ(check_of(parse_bind(std::string(512, 'p'))), "message.name");
  EXPECT_EQ(check_of(parse_bind(z("p") + std::string(300, 's'))), "message.name");

  EXPECT_EQ(parse_execute(bytes::execute("p", 5).substr(5))->max_rows, 5U);
  EXPECT_EQ(parse_execute(bytes::execute("p", 0xffffffff).substr(5))->max_rows, 0U);
  EXPECT_EQ(check_of(parse_execute(z("p") + "abc")), "message.body");
  EXPECT_EQ(check_of(parse_execute(z("p") + u32(0) + "x")), "message.body");
  EXPECT_EQ(check_of(parse_execute("pppp")), "message.name");

  EXPECT_EQ(parse_named("S" + z("x"))->name, "x");
  EXPECT_EQ(parse_named("P" + z(""))->what, 'P');
  EXPECT_EQ(check_of(parse_named("X" + z("x"))), "message.body");
  EXPECT_EQ(check_of(parse_named("S" + z("x") + "y")), "message.body");
  EXPECT_EQ(check_of(parse_named("Sx")), "message.name");
}

TEST(CommandTag, Table) {
  struct Case {
    const char* tag;
    const char* command;
    std::optional<std::uint64_t> rows;
  };
  for (const Case& c : {Case{"INSERT 0 5", "INSERT", 5},
                        {"INSERT 16384 1", "INSERT", 1},
                        {"SELECT 3", "SELECT", 3},
                        {"COPY 12", "COPY", 12},
                        {"UPDATE 0", "UPDATE", 0},
                        {"MERGE 7", "MERGE", 7},
                        {"FETCH 1", "FETCH", 1},
                        {"MOVE 2", "MOVE", 2},
                        {"CREATE TABLE", "CREATE TABLE", {}},
                        {"BEGIN", "BEGIN", {}},
                        {"COPY", "COPY", {}},
                        {"", "", {}},
                        {" 5", " 5", {}},
                        {"X ", "X ", {}},
                        {"SELECT -1", "SELECT -1", {}},
                        {"SELECT 99999999999999999999", "SELECT 99999999999999999999", {}},
                        {"SELECT 18446744073709551615", "SELECT", 18446744073709551615ULL},
                        {"5", "5", {}},
                        {"INSERT 5", "INSERT", 5}}) {
    EXPECT_EQ(parse_command_tag(z(c.tag)).command, c.command) << c.tag;
    EXPECT_EQ(parse_command_tag(z(c.tag)).rows, c.rows) << c.tag;
    EXPECT_EQ(parse_command_tag(c.tag).command, c.command) << c.tag;
  }
  EXPECT_EQ(parse_command_tag(std::string(200, 'x')).command.size(), 64U);
}

}  // namespace
}  // namespace daypass::wire::postgres
