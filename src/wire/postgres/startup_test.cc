#include "wire/postgres/startup.h"

#include <gtest/gtest.h>

#include "wire/postgres/build.h"
#include "wire/postgres/test_bytes.h"

namespace daypass::wire::postgres {
namespace {

using namespace std::string_literals;
using bytes::first;
using bytes::startup;
using bytes::u32;
using bytes::z;

constexpr std::uint32_t k30 = 0x00030000;

StartupMessage accepted(std::string_view packet) {
  auto got = parse_first_packet(packet);
  EXPECT_TRUE(got.ok()) << (got.ok() ? "" : got.error().check + ": " + got.error().message);
  if (!got.ok() || !std::holds_alternative<StartupMessage>(*got)) {
    ADD_FAILURE() << "not a StartupMessage";
    return {};
  }
  return std::get<StartupMessage>(*got);
}

std::string refused(std::string_view packet) {
  const auto got = parse_first_packet(packet);
  return got.ok() ? "accepted" : got.error().check;
}

std::string with_options(std::string_view options) {
  return startup({{"user", "u"}, {"options", options}});
}

TEST(Startup, TakesUserDatabaseAndSettingsApart) {
  const StartupMessage m = accepted(
      startup({{"user", "dp-k3"}, {"database", "orders"}, {"application_name", "psql"}, {"client_encoding", "UTF8"}}));
  EXPECT_EQ(m.user, "dp-k3");
  EXPECT_EQ(m.database, "orders");
  EXPECT_EQ(m.settings, (std::vector<Setting>{{"application_name", "psql"}, {"client_encoding", "UTF8"}}));
  EXPECT_FALSE(m.needs_negotiation());
  EXPECT_EQ(accepted(startup({{"user", "u"}})).database, std::nullopt);
  EXPECT_EQ(accepted(startup({{"user", "u"}, {"database", ""}})).database, std::nullopt);
}

TEST(Startup, NewerMinorsAndProtocolOptionsAreNegotiated) {
  const StartupMessage m = accepted(startup({{"user", "u"}, {"_pq_.test", "1"}, {"_pq_.x", ""}}, k30 + 2));
  EXPECT_EQ(m.minor, 2);
  EXPECT_TRUE(m.needs_negotiation());
  EXPECT_EQ(m.protocol_options, (std::vector<std::string>{"_pq_.test", "_pq_.x"}));
  EXPECT_TRUE(m.settings.empty());
  EXPECT_TRUE(accepted(startup({{"user", "u"}}, k30 + 9999)).needs_negotiation());
  EXPECT_TRUE(accepted(startup({{"user", "u"}, {"_pq_.x", "1"}})).needs_negotiation());
}

TEST(Startup, OtherRequests) {
  EXPECT_TRUE(std::holds_alternative<SslRequest>(*parse_first_packet(first(80877103, ""))));
  EXPECT_TRUE(std::holds_alternative<GssEncRequest>(*parse_first_packet(first(80877104, ""))));
  const auto cancel = [](std::string_view key) {
    return std::get<CancelRequest>(*parse_first_packet(first(80877102, u32(42) + std::string(key))));
  };
  EXPECT_EQ(cancel("\0\1\2\3"s), (CancelRequest{42, "\0\1\2\3"s}));
  EXPECT_EQ(cancel(std::string(256, 'k')).key.size(), 256U);
  EXPECT_EQ(refused(first(80877102, u32(42))), "startup.cancel");
  EXPECT_EQ(refused(first(80877102, "ab")), "startup.cancel");
  EXPECT_EQ(refused(first(80877102, u32(42) + std::string(257, 'k'))), "startup.cancel");
  EXPECT_EQ(refused(first(80877103, "x")), "startup.length");
}

// PostgreSQL's parse_bool takes every case and every unambiguous abbreviation; "database" is apart. None may pass, and
// neither may the values that mean "no" nor the ones the server would refuse: nothing is to be gained from them.
TEST(Startup, ReplicationIsRefusedInEverySpelling) {
  const char* const values[] = {"true",     "TRUE",     "True",  "tru", "tr",       "t",      "T",   "yes",
                                "YES",      "ye",       "y",     "Y",   "on",       "ON",     "On",  "1",
                                "database", "DATABASE", "false", "f",   "no",       "n",      "off", "of",
                                "0",        "",         " true", "2",   "physical", "logical"};
  for (const char* value : values) {
    EXPECT_EQ(refused(startup({{"user", "u"}, {"replication", value}})), "startup.replication") << value;
    EXPECT_EQ(refused(startup({{"replication", value}, {"user", "u"}})), "startup.replication") << value;
    EXPECT_EQ(refused(startup({{"user", "u"}, {"REPLICATION", value}})), "startup.replication") << value;
    EXPECT_EQ(refused(startup({{"user", "u"}, {"Replication", value}})), "startup.replication") << value;
  }
  for (const char* options :
       {"-c replication=true", "-creplication=database", "--replication=on", "-c  Replication=1", "--REPLICATION=t",
        "-c search_path=a -c replication=yes", "-c\treplication=1", "-c repl\\ication=on", "\\-\\c replication=on",
        "--re\\plication=true", "-c\n\nreplication=true"}) {
    EXPECT_EQ(refused(with_options(options)), "startup.replication") << options;
  }
}

TEST(Startup, IdentityAndStartOnlySettingsAreRefused) {
  for (const char* name :
       {"role", "ROLE", "session_authorization", "Session_Authorization", "is_superuser", "local_preload_libraries",
        "session_preload_libraries", "ignore_system_indexes", "post_auth_delay", "pre_auth_delay",
        "jit_debugging_support", "jit_profiling_support", "log_connections", "log_disconnections"}) {
    EXPECT_EQ(refused(startup({{"user", "u"}, {name, "x"}})), "startup.forbidden") << name;
    for (const std::string prefix : {"-c ", "-c", "--"}) {
      EXPECT_EQ(refused(with_options(prefix + name + "=x")), "startup.forbidden") << prefix << name;
    }
  }
  // The server reads a dash in the name of an option as an underscore.
  EXPECT_EQ(refused(with_options("--session-authorization=x")), "startup.forbidden");
  EXPECT_EQ(refused(with_options("-c session-authorization=x")), "startup.forbidden");
}

TEST(Startup, OptionsBecomeSettingsOfTheirOwn) {
  const auto settings = [](std::string_view options) { return accepted(with_options(options)).settings; };
  using Settings = std::vector<Setting>;
  EXPECT_EQ(settings(""), Settings{});
  EXPECT_EQ(settings("  \t\n"), Settings{});
  EXPECT_EQ(settings("-c geqo=off"), (Settings{{"geqo", "off"}}));
  EXPECT_EQ(settings(" -cgeqo=off   --statement-timeout=5min "),
            (Settings{{"geqo", "off"}, {"statement_timeout", "5min"}}));
  EXPECT_EQ(settings("-c search_path=a,\\ b\\\\c"), (Settings{{"search_path", "a, b\\c"}}));
  EXPECT_EQ(settings("-c my.var=a=b"), (Settings{{"my.var", "a=b"}}));
  EXPECT_EQ(settings("-c a=1 -c b=2 -c A=3"), (Settings{{"b", "2"}, {"A", "3"}}));
  EXPECT_EQ(settings("-c a="), (Settings{{"a", ""}}));
}

// Settings out of `options` go upstream as parameters: they must not turn into the user, the database or an extension.
TEST(Startup, OptionsCannotSmuggleFieldsOfThePacket) {
  for (const char* name : {"user", "USER", "database", "Database", "options", "_pq_.x", "_PQ_.x"}) {
    for (const std::string prefix : {"-c ", "-c", "--"}) {
      EXPECT_EQ(refused(with_options(prefix + name + "=postgres")), "startup.parameter") << prefix << name;
    }
  }
  EXPECT_EQ(refused(with_options("--us\\er=postgres")), "startup.parameter");
}

TEST(Startup, OptionsThatAreNotSettingsAreRefused) {
  for (const char* options : {"-c",
                              "-c geqo",
                              "--geqo",
                              "--",
                              "-",
                              "geqo=off",
                              "-e",
                              "-P",
                              "-O",
                              "-f s",
                              "-W 5",
                              "-B 16",
                              "-d 5",
                              "-s",
                              "-ec geqo=off",
                              "-D /tmp",
                              "-p x",
                              "-r f",
                              "-S 64",
                              "-t pl",
                              "-v 3",
                              "-N 5",
                              "-c -c geqo=off",
                              "-h x",
                              "-l"}) {
    EXPECT_EQ(refused(with_options(options)), "startup.options") << options;
  }
  EXPECT_EQ(refused(with_options("-c =1")), "startup.parameter");
  EXPECT_EQ(refused(with_options("--=1")), "startup.parameter");
  EXPECT_EQ(refused(with_options("-c a'b=1")), "startup.parameter");
  std::string many;
  for (int i = 0; i < 65; ++i) many += "-c a=1 ";
  EXPECT_EQ(refused(with_options(many)), "startup.options");
}

// The server applies `options` before the other parameters, wherever it stands in the packet.
TEST(Startup, ParametersWinOverOptions) {
  const StartupMessage m =
      accepted(startup({{"TimeZone", "UTC"}, {"user", "u"}, {"options", "-c timezone=X -c geqo=on"}}));
  EXPECT_EQ(m.settings, (std::vector<Setting>{{"geqo", "on"}, {"TimeZone", "UTC"}}));
}

TEST(Startup, HostilePackets) {
  const std::string long_name(64, 'n');
  struct Case {
    std::string packet;
    const char* check;
  };
  std::string many;
  for (int i = 0; i < 65; ++i) many += z("a" + std::to_string(i)) + z("1");
  const std::vector<Case> cases = {
      {"", "startup.length"},
      {"\0\0\0"s, "startup.length"},
      {u32(4), "startup.length"},
      {u32(7) + "\0\3\0"s, "startup.length"},
      {u32(0x7fffffff) + u32(k30), "startup.length"},
      {u32(0xffffffff) + u32(k30), "startup.length"},
      {u32(10'001) + u32(k30), "startup.length"},
      {u32(100) + u32(k30), "startup.length"},
      {u32(8) + u32(k30) + "x", "startup.length"},
      {first(0x00020000, ""), "startup.protocol"},
      {first(0x00040000, "\0"s), "startup.protocol"},
      {first(0, "\0"s), "startup.protocol"},
      {first(0xffffffff, "\0"s), "startup.protocol"},
      {first(80877105, ""), "startup.protocol"},
      {first(k30, ""), "startup.layout"},
      {first(k30, "user"), "startup.layout"},
      {first(k30, z("user")), "startup.layout"},
      {first(k30, z("user") + "u"), "startup.layout"},
      {first(k30, z("user") + z("u")), "startup.layout"},
      {first(k30, z("user") + z("u") + "\0\0"s), "startup.layout"},
      {first(k30, z("user") + z("u") + "\0x"s), "startup.layout"},
      {first(k30, z("user") + z("u") + "\0" + z("role") + z("postgres") + "\0"), "startup.layout"},
      {first(k30, "\0"s), "startup.user"},
      {startup({{"database", "d"}}), "startup.user"},
      {startup({{"user", ""}}), "startup.user"},
      {startup({{"user", long_name}}), "startup.user"},
      {startup({{"user", "a\nb"}}), "startup.user"},
      {startup({{"user", "a\x7f"}}), "startup.user"},
      {startup({{"user", "\xff"}}), "startup.user"},
      {startup({{"user", "u"}, {"database", long_name}}), "startup.database"},
      {startup({{"user", "u"}, {"database", "a\x1b[0m"}}), "startup.database"},
      {startup({{"user", "u"}, {"user", "v"}}), "startup.duplicate"},
      {startup({{"user", "u"}, {"USER", "v"}}), "startup.duplicate"},
      {startup({{"user", "u"}, {"geqo", "on"}, {"GEQO", "off"}}), "startup.duplicate"},
      {startup({{"user", "u"}, {"options", ""}, {"options", "-c role=x"}}), "startup.duplicate"},
      {startup({{"user", "u"}, {"Database", "x"}}), "startup.parameter"},
      {startup({{"user", "u"}, {"OPTIONS", "-c role=x"}}), "startup.parameter"},
      {startup({{"user", "u"}, {"a b", "x"}}), "startup.parameter"},
      {startup({{"user", "u"}, {"role ", "x"}}), "startup.parameter"},
      {startup({{"user", "u"}, {long_name, "x"}}), "startup.parameter"},
      {first(k30, z("user") + z("u") + many + "\0"s), "startup.parameter"},
  };
  for (const Case& c : cases) EXPECT_EQ(refused(c.packet), c.check) << testing::PrintToString(c.packet);
}

TEST(Startup, SqlStates) {
  const auto state = [](std::string_view packet) { return startup_sqlstate(parse_first_packet(packet).error()); };
  EXPECT_EQ(state(first(0x00020000, "")), "0A000");
  EXPECT_EQ(state(startup({{"user", ""}})), "28000");
  EXPECT_EQ(state(startup({{"user", "u"}, {"replication", "1"}})), "42501");
  EXPECT_EQ(state(startup({{"user", "u"}, {"role", "x"}})), "42501");
  EXPECT_EQ(state(with_options("-e")), "42501");
  EXPECT_EQ(state(first(k30, "")), "08P01");
}

TEST(StartupReader, EverySplitGivesTheSamePacket) {
  const std::vector<std::string> packets = {startup({{"user", "u"}, {"database", "d"}, {"options", "-c geqo=off"}}),
                                            first(80877103, ""), first(80877104, ""), first(80877102, u32(1) + "key!")};
  for (const std::string& packet : packets) {
    const auto whole = parse_first_packet(packet);
    for (std::size_t cut = 1; cut < packet.size(); ++cut) {
      StartupReader reader(StartupReader::Channel::plain);
      auto read = reader.next(std::string_view(packet).substr(0, cut));
      ASSERT_TRUE(read.ok()) << cut;
      EXPECT_FALSE(read->packet) << cut;
      EXPECT_EQ(read->bytes, cut);
      read = reader.next(std::string_view(packet).substr(cut));
      ASSERT_TRUE(read.ok()) << cut;
      ASSERT_TRUE(read->packet) << cut;
      EXPECT_EQ(read->bytes, packet.size() - cut);
      EXPECT_EQ(*read->packet, *whole);
    }
  }
}

TEST(StartupReader, LeavesWhatFollowsAStartupMessage) {
  const std::string packet = startup({{"user", "u"}});
  StartupReader reader(StartupReader::Channel::plain);
  const auto read = reader.next(packet + "more");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->bytes, packet.size());
  EXPECT_TRUE(std::holds_alternative<StartupMessage>(*read->packet));
}

// CVE-2021-23214: what came in the clear behind SSLRequest must not be read as if it had come inside TLS.
TEST(StartupReader, RefusesBytesBehindAnEncryptionRequest) {
  for (const std::uint32_t code : {80877103U, 80877104U}) {
    StartupReader reader(StartupReader::Channel::plain);
    const auto read = reader.next(first(code, "") + startup({{"user", "u"}}));
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().check, "startup.buffered");
  }
}

TEST(StartupReader, EachRequestOnceAndNoneInsideTls) {
  StartupReader reader(StartupReader::Channel::plain);
  ASSERT_TRUE(reader.next(first(80877104, "")).ok());
  ASSERT_TRUE(reader.next(first(80877103, "")).ok());
  EXPECT_EQ(reader.next(first(80877103, "")).error().check, "startup.repeated");
  for (const std::uint32_t code : {80877103U, 80877104U}) {
    StartupReader inside(StartupReader::Channel::tls);
    EXPECT_EQ(inside.next(first(code, "")).error().check, "startup.repeated");
  }
}

TEST(StartupReader, SeesDirectTlsAtTheVeryStartOnly) {
  StartupReader reader(StartupReader::Channel::plain);
  auto read = reader.next("\x16\x03\x01");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->bytes, 0U);
  EXPECT_TRUE(std::holds_alternative<DirectTls>(*read->packet));
  StartupReader asked(StartupReader::Channel::plain);
  ASSERT_TRUE(asked.next(first(80877103, "")).ok());
  EXPECT_EQ(asked.next("\x16\x03\x01").error().check, "startup.length");
  StartupReader inside(StartupReader::Channel::tls);
  EXPECT_EQ(inside.next("\x16\x03\x01").error().check, "startup.length");
}

TEST(StartupReader, RefusesStrangersByTheFirstByteAndLengthsBeforeReading) {
  for (const std::string_view stranger : {"GET / HTTP/1.1\r\n", "G", "SSH-2.0-x", "\x80", "\xff\xff\xff\xff"}) {
    StartupReader reader(StartupReader::Channel::plain);
    EXPECT_EQ(reader.next(stranger).error().check, "startup.length") << stranger;
  }
  StartupReader reader(StartupReader::Channel::plain);
  EXPECT_EQ(reader.next(u32(10'001)).error().check, "startup.length");
  StartupReader small(StartupReader::Channel::plain);
  EXPECT_EQ(small.next(u32(7)).error().check, "startup.length");
}

TEST(BuildStartup, PinsUserAndDatabaseAndForcesSettings) {
  const StartupMessage client = accepted(startup({{"user", "dp-k3"},
                                                  {"database", "postgres"},
                                                  {"options", "-c geqo=off -c search_path=x"},
                                                  {"_pq_.x", "1"},
                                                  {"application_name", "psql"}},
                                                 k30 + 2));
  const std::vector<Setting> forced = {{"SEARCH_PATH", "pg_catalog"}};
  const std::string packet = build_startup(client, "dp_eph", "orders", forced);
  EXPECT_EQ(packet, startup({{"user", "dp_eph"},
                             {"database", "orders"},
                             {"geqo", "off"},
                             {"application_name", "psql"},
                             {"SEARCH_PATH", "pg_catalog"}}));
  const StartupMessage again = accepted(packet);
  EXPECT_EQ(again.user, "dp_eph");
  EXPECT_EQ(again.database, "orders");
  EXPECT_FALSE(again.needs_negotiation());
}

}  // namespace
}  // namespace daypass::wire::postgres
