#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config.h"

namespace daypass::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string minimal = "[server]\npublic_url = \"https://daypass.example\"\n";

std::vector<std::string> rendered(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const auto& p : problems) out.push_back(p.render());
  return out;
}
std::vector<std::string> problems_of(std::string_view text, const std::map<std::string, std::string>& env = {}) {
  return rendered(parse_server(text, "daypass.toml", env).problems);
}

TEST(Server, HasDefaults) {
  const auto parsed = parse_server(minimal, "daypass.toml");
  ASSERT_THAT(rendered(parsed.problems), IsEmpty());
  ServerConfig expected;
  expected.public_url = "https://daypass.example";
  expected.gate_public_host = "127.0.0.1";
  EXPECT_EQ(parsed.value, expected);
  EXPECT_EQ(parsed.value.api.str(), "127.0.0.1:8420");
}

TEST(Server, ReadsEveryKey) {
  const auto parsed = parse_server(R"(
[server]
data_dir = "data"
public_url = "https://daypass.example:8443"
threads = 3
[api]
listen = "[::]:8443"
cert = "a.pem"
key = "a.key"
[gate.postgres]
listen = "0.0.0.0:6432"
cert = "g.pem"
key = "g.key"
public_host = "db.daypass.example"
[log]
level = "debug"
[limits]
max_connections = 10
max_connections_per_address = 5
)",
                                   "daypass.toml");
  ASSERT_THAT(rendered(parsed.problems), IsEmpty());
  const ServerConfig& c = parsed.value;
  EXPECT_EQ(c.data_dir, "data");  // relative paths stay as written
  EXPECT_EQ(c.public_url, "https://daypass.example:8443");
  EXPECT_EQ(c.threads, 3U);
  EXPECT_EQ(c.api, (Listen{"::", 8443}));
  EXPECT_EQ(c.api.str(), "[::]:8443");
  EXPECT_EQ(c.api_cert + c.api_key + c.gate_cert + c.gate_key, "a.pema.keyg.pemg.key");
  EXPECT_EQ(c.gate_postgres, (Listen{"0.0.0.0", 6432}));
  EXPECT_EQ(c.gate_public_host, "db.daypass.example");
  EXPECT_EQ(c.log_level, "debug");
  EXPECT_EQ(c.max_connections, 10);
  EXPECT_EQ(c.max_connections_per_address, 5);
}

TEST(Server, EveryFieldCountsForEquality) {
  const auto base = parse_server(minimal, "f").value;
  for (const char* more : {"data_dir = \"x\"\n", "threads = 1\n", "[api]\nlisten = \"127.0.0.1:1\"\n",
                           "[gate.postgres]\nlisten = \"127.0.0.1:1\"\n", "[gate.postgres]\npublic_host = \"h\"\n",
                           "[log]\nlevel = \"warn\"\n", "[limits]\nmax_connections = 1000\n"}) {
    const auto other = parse_server(minimal + more, "f");
    ASSERT_TRUE(other.ok()) << more << other.problems[0].render();
    EXPECT_FALSE(other.value == base) << more;
  }
}

TEST(Server, ReportsEverythingInOneRun) {
  EXPECT_THAT(problems_of("[server]\ndatadir = \"x\"\nthreads = \"2\"\n[apis]\n[log]\nlevel = \"inof\"\n"
                          "[gate.postgres]\nlisten = 5\n[gate.mysql]\n"),
              ElementsAre("daypass.toml: there is no \"public_url\" in [server], add, for example, public_url = "
                          "\"https://daypass.example\"",
                          "daypass.toml:2: unknown key \"datadir\" in [server], did you mean \"data_dir\"?",
                          "daypass.toml:3: \"threads\" must be an integer, not a string",
                          "daypass.toml:4: unknown key \"apis\", did you mean \"api\"?",
                          "daypass.toml:6: \"level\" can't be \"inof\", did you mean \"info\"?",
                          "daypass.toml:8: \"listen\" must be a string, not an integer",
                          "daypass.toml:9: unknown key \"mysql\" in [gate], only this is known: postgres"));
}

TEST(Server, GivesThePlace) {
  const auto parsed = parse_server(minimal + "  threads = 999\n", "daypass.toml");
  ASSERT_EQ(parsed.problems.size(), 1U);
  EXPECT_EQ(parsed.problems[0], (Problem{"daypass.toml", 3, 13, "\"threads\" must be from 0 to 256, not 999", ""}));
}

TEST(Server, ASectionIsATable) {
  EXPECT_THAT(problems_of(minimal + "[[api]]\n"), ElementsAre(HasSubstr("\"api\" must be a table, not an array")));
  EXPECT_THAT(problems_of("gate = 1\n" + minimal), ElementsAre(HasSubstr("\"gate\" must be a table, not an integer")));
  EXPECT_THAT(problems_of("\"server.threads\" = 1\n" + minimal), ElementsAre(HasSubstr("unknown key")));
}

TEST(Server, ABrokenFileHidesNothingBehindGuesses) {
  EXPECT_THAT(problems_of("[server\n"), ElementsAre(HasSubstr("not valid TOML")));
}

TEST(Server, NoTokensInClear) {
  for (const char* address : {"0.0.0.0:80", "[::]:80", "192.0.2.7:80", "[2001:db8::1]:80"})
    EXPECT_THAT(problems_of(minimal + "[api]\nlisten = \"" + address + "\"\n"),
                ElementsAre(HasSubstr("login tokens would cross the network in clear")))
        << address;
  for (const char* address : {"127.0.0.1:80", "127.8.0.1:80", "[::1]:80", "127.0.0.1:0"})
    EXPECT_THAT(problems_of(minimal + "[api]\nlisten = \"" + address + "\"\n"), IsEmpty()) << address;
  EXPECT_THAT(problems_of(minimal + "[api]\nlisten = \"0.0.0.0:80\"\ncert = \"c\"\nkey = \"k\"\n"), IsEmpty());
  EXPECT_THAT(problems_of(minimal + "[api]\nlisten = \"0.0.0.0:80\"\ncert = \"c\"\n"),
              ElementsAre(HasSubstr("api.cert is set without api.key")));
}

TEST(Server, CertificatesComeInPairs) {
  EXPECT_THAT(problems_of(minimal + "[gate.postgres]\nkey = \"k\"\n"),
              ElementsAre("daypass.toml:4: gate.postgres.key is set without gate.postgres.cert, a certificate and its "
                          "key come together"));
  // What is wrong with the other half is said once.
  EXPECT_THAT(problems_of(minimal + "[api]\ncert = \"c\"\nkey = 3\n"),
              ElementsAre(HasSubstr("\"key\" must be a string")));
}

TEST(Server, PublicUrl) {
  const auto with = [](const std::string& url) { return problems_of("[server]\npublic_url = \"" + url + "\"\n"); };
  for (const char* good : {"https://daypass.example", "https://a-b.example:8443", "http://localhost:8420",
                           "http://127.0.0.1:8420", "http://[::1]:8420", "https://192.0.2.1", "https://[2001:db8::1]"})
    EXPECT_THAT(with(good), IsEmpty()) << good;
  EXPECT_THAT(with("http://daypass.example"), ElementsAre(HasSubstr("must begin with https://")));
  EXPECT_THAT(with("http://127.0.0.1.evil.example"), ElementsAre(HasSubstr("must begin with https://")));
  EXPECT_THAT(with("https://daypass.example/"),
              ElementsAre(HasSubstr("must not end with a slash, write https://daypass.example")));
  EXPECT_THAT(with("https://daypass.example/x"), ElementsAre(HasSubstr("scheme, host and port only")));
  EXPECT_THAT(with("https://daypass.example:443"), ElementsAre(HasSubstr("leave out :443")));
  for (const char* bad : {"",
                          "daypass.example",
                          "ftp://daypass.example",
                          "https://",
                          "https://Daypass.example",
                          "https://user@daypass.example",
                          "https://daypass.example:",
                          "https://daypass.example:0",
                          "https://daypass.example:65536",
                          "https://daypass.example:x",
                          "https://-a.example",
                          "https://a..b",
                          "https://127.1",
                          "https://[::1",
                          "https://[1.2.3.4]",
                          "https://::1",
                          "https://a b",
                          "https://a\\\\b",
                          "https://\\u00e4.example",
                          "https://a?x",
                          "https://a#x",
                          "https://127.0.0.1\\u0000",
                          "https://a_b.example"})
    EXPECT_EQ(with(bad).size(), 1U) << bad;
}

TEST(Server, Loopback) {
  for (const char* yes : {"localhost", "127.0.0.1", "127.255.0.9", "::1", "[::1]", "0:0:0:0:0:0:0:1", "::0001"})
    EXPECT_TRUE(is_loopback(yes)) << yes;
  for (const char* no : {"", "::", "::11", "1::1", "::1:1", "128.0.0.1", "127.1", "127.0.0.1.example",
                         "localhost.example", "::ffff:127.0.0.1", "0.0.0.0", "[]", "10.0.0.1"})
    EXPECT_FALSE(is_loopback(no)) << no;
}

TEST(Server, Listen) {
  EXPECT_EQ(*parse_listen("[::1]:0"), (Listen{"::1", 0}));
  for (const char* bad : {"", ":80", "80", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                          "127.0.0.1:080", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "::1:80", "[127.0.0.1]:80",
                          "[::1]", "[::1%lo]:80", "01.2.3.4:80", "127.0.0.1:99999999999999999999"})
    EXPECT_EQ(parse_listen(bad).ok(), false) << bad;
  EXPECT_EQ(parse_listen("x").error().check, "config.listen");
  EXPECT_THAT(
      problems_of(minimal + "[api]\nlisten = \"localhost:1\"\n"),
      ElementsAre("daypass.toml:4: \"listen\" must be an address and a port, not \"localhost:1\", write it like "
                  "127.0.0.1:8420, [::1]:8420 or 0.0.0.0:8420"));
}

TEST(Server, TwoListenersNeedTwoPorts) {
  EXPECT_THAT(problems_of(minimal + "[gate.postgres]\nlisten = \"127.0.0.1:8420\"\n"),
              ElementsAre(HasSubstr("the API listens on 127.0.0.1:8420 already")));
  EXPECT_THAT(problems_of(minimal + "[api]\nlisten = \"127.0.0.1:0\"\n[gate.postgres]\nlisten = \"127.0.0.1:0\"\n"),
              IsEmpty());
}

TEST(Server, OneAddressGetsNoMoreThanAll) {
  EXPECT_THAT(problems_of(minimal + "[limits]\nmax_connections = 100\n"),
              ElementsAre("daypass.toml: max_connections_per_address (200) is more than max_connections (100)"));
}

TEST(Server, PublicHostFollowsTheListener) {
  const auto host = [](const std::string& more) { return parse_server(minimal + more, "f").value.gate_public_host; };
  EXPECT_EQ(host(""), "127.0.0.1");
  EXPECT_EQ(host("[gate.postgres]\nlisten = \"192.0.2.1:5432\"\n"), "192.0.2.1");
  EXPECT_EQ(host("[gate.postgres]\nlisten = \"0.0.0.0:5432\"\n"), "daypass.example");
  EXPECT_EQ(host("[gate.postgres]\nlisten = \"[::]:5432\"\n"), "daypass.example");
  EXPECT_EQ(host("[gate.postgres]\npublic_host = \"db\"\n"), "db");
  for (const char* bad : {"0.0.0.0", "db:5432", "https://db", ""})
    EXPECT_EQ(problems_of(minimal + "[gate.postgres]\npublic_host = \"" + bad + "\"\n").size(), 1U) << bad;
}

TEST(ServerEnv, OverridesEveryKey) {
  const std::map<std::string, std::string> env{{"DAYPASS_SERVER__DATA_DIR", "d"},
                                               {"DAYPASS_SERVER__WITNESS", "/w"},
                                               {"DAYPASS_SERVER__PUBLIC_URL", "https://other.example"},
                                               {"DAYPASS_SERVER__THREADS", "4"},
                                               {"DAYPASS_API__LISTEN", "0.0.0.0:1"},
                                               {"DAYPASS_API__CERT", "ac"},
                                               {"DAYPASS_API__KEY", "ak"},
                                               {"DAYPASS_GATE__POSTGRES__LISTEN", "0.0.0.0:2"},
                                               {"DAYPASS_GATE__POSTGRES__CERT", "gc"},
                                               {"DAYPASS_GATE__POSTGRES__KEY", "gk"},
                                               {"DAYPASS_GATE__POSTGRES__PUBLIC_HOST", "h"},
                                               {"DAYPASS_LOG__LEVEL", "error"},
                                               {"DAYPASS_STORE__RESERVE_MIB", "5"},
                                               {"DAYPASS_STORE__MIN_FREE_MIB", "3"},
                                               {"DAYPASS_LIMITS__MAX_CONNECTIONS", "7"},
                                               {"DAYPASS_LIMITS__MAX_CONNECTIONS_PER_ADDRESS", "6"}};
  for (const auto& key : reference())
    if (!key.env.empty()) EXPECT_TRUE(env.contains(key.env)) << key.env;
  const ServerConfig expected{
      "d", "/w", "https://other.example", 4, {"0.0.0.0", 1}, "ac", "ak", {"0.0.0.0", 2}, "gc", "gk", "h", "error", 5, 3,
      7,   6};
  const auto parsed = parse_server("", "daypass.toml", env);
  EXPECT_THAT(rendered(parsed.problems), IsEmpty());
  EXPECT_EQ(parsed.value, expected);
  ServerConfig applied = parse_server(minimal, "f").value;
  EXPECT_THAT(rendered(apply_env(applied, env)), IsEmpty());
  EXPECT_EQ(applied, expected);
}

TEST(ServerEnv, IsAsStrictAsTheFile) {
  EXPECT_THAT(
      problems_of(minimal, {{"DAYPASS_SERVER__TREADS", "1"},
                            {"DAYPASS_LIMITS__MAX_CONNECTIONS", "1x"},
                            {"DAYPASS_LOG__LEVEL", "loud"},
                            {"DAYPASS__LOG", "x"}}),
      ElementsAre("environment: DAYPASS_LIMITS__MAX_CONNECTIONS must be an integer, not a string",
                  "environment: DAYPASS_LOG__LEVEL can't be \"loud\", known are: debug, info, warn, error",
                  "environment: \"DAYPASS_SERVER__TREADS\" names no key, did you mean \"DAYPASS_SERVER__THREADS\"?",
                  "environment: \"DAYPASS__LOG\" names no key"));
  for (const char* bad : {"", " 1", "+1", "1 ", "0x1", "99999999999999999999"})
    EXPECT_EQ(problems_of(minimal, {{"DAYPASS_SERVER__THREADS", bad}}).size(), 1U) << bad;
  EXPECT_EQ(problems_of(minimal, {{"DAYPASS_SERVER__DATA_DIR", "a\nb"}}).size(), 1U);
}

TEST(ServerEnv, IgnoresWhatIsNotOurs) {
  EXPECT_THAT(problems_of(minimal, {{"PATH", "/"}, {"DAYPASS_HOME", "x"}, {"MY__DAYPASS", "x"}}), IsEmpty());
}

TEST(ServerEnv, MayGiveWhatTheFileLacks) {
  const std::string open = minimal + "[api]\nlisten = \"0.0.0.0:443\"\n";
  EXPECT_EQ(problems_of(open).size(), 1U);
  EXPECT_THAT(problems_of(open, {{"DAYPASS_API__CERT", "c"}, {"DAYPASS_API__KEY", "k"}}), IsEmpty());
  EXPECT_THAT(problems_of("", {{"DAYPASS_SERVER__PUBLIC_URL", "https://a.example"}}), IsEmpty());
}

TEST(ServerEnv, RulesHoldAfterwards) {
  ServerConfig config = parse_server(minimal, "f").value;
  const ServerConfig before = config;
  EXPECT_THAT(rendered(apply_env(config, {{"DAYPASS_API__LISTEN", "0.0.0.0:80"}})),
              ElementsAre(HasSubstr("environment: the API may not listen on 0.0.0.0:80 without TLS")));
  EXPECT_EQ(config, before);
  EXPECT_THAT(apply_env(config, {{"DAYPASS_GATE__POSTGRES__LISTEN", "192.0.2.1:1"}}), IsEmpty());
  EXPECT_EQ(config.gate_public_host, "192.0.2.1");
}

}  // namespace
}  // namespace daypass::config
