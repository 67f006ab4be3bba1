// What needs no server: settings, names, marks, handles.
#include "target/postgres/postgres.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/grant.h"
#include "target/postgres/installer.h"
#include "target/postgres/names.h"
#include "target/postgres/postgres_target.h"
#include "target/postgres/resolve.h"

namespace daypass::target::postgres {
namespace {

core::TargetSpec spec(std::initializer_list<base::json::Member> more = {}) {
  core::TargetSpec out;
  out.id = core::TargetId("pg/orders");
  out.settings = {
      {"host", "db.internal"}, {"database", "orders"}, {"admin_user", "daypass"}, {"admin_password", "env:PW"}};
  for (const auto& [key, value] : more)
    if (value.is_null())
      out.settings.erase(key);
    else
      out.settings.set(key, value);
  return out;
}

core::RoleSpec role(std::initializer_list<base::json::Member> settings) {
  core::RoleSpec out;
  out.id = core::RoleId("pg/orders/reader");
  out.settings = settings;
  return out;
}

const core::GrantId grant{core::TenantId("default"), "gr_abcdefghijklmnopqrstuvwxyz"};

TEST(PgSettings, DefaultsAreTheSafeOnes) {
  const auto parsed = parse_target(spec());
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(parsed->tls);
  EXPECT_EQ(parsed->port, 5432);
  EXPECT_EQ(parsed->maintenance_database, "orders");
}

TEST(PgSettings, WrongOnesAreRefusedByName) {
  const std::vector<std::pair<core::TargetSpec, std::string>> cases{
      {spec({{"hsot", "x"}}), "unknown key \"hsot\""},
      {spec({{"host", nullptr}}), "host is missing"},
      {spec({{"host", 5}}), "host must be a string, not integer"},
      {spec({{"host", "a\nb"}}), "control character"},
      {spec({{"database", ""}}), "database is empty"},
      {spec({{"database", std::string(64, 'x')}}), "at most 63 bytes"},
      {spec({{"port", 0}}), "port must be"},
      {spec({{"port", "5432"}}), "port must be"},
      {spec({{"admin_user", "pg_monitor"}}), "no name that may be used"},
      {spec({{"admin_password", "hunter2"}}), "must be a reference"},
      {spec({{"admin_password", nullptr}}), "admin_password is missing"},
      {spec({{"admin_cert", "/c.pem"}}), "go together"},
      {spec({{"gate_key", "/k.pem"}}), "go together"},
      {spec({{"tls", "off"}}), "tls must be"},
      {spec({{"tls", "loopback"}}), "is neither"},
      {spec({{"tls", "loopback"}, {"host", "128.0.0.1"}}), "is neither"},
      {spec({{"tls", "loopback"}, {"host", "::2"}}), "is neither"},
      {spec({{"host", "/run/postgresql"}}), "a unix socket has no TLS"},
      {spec({{"broker", "none"}}), "broker must be"},
      {spec({{"broker", true}}), "broker must be a string"},
  };
  for (const auto& [wrong, words] : cases) {
    const auto parsed = parse_target(wrong);
    ASSERT_FALSE(parsed.ok()) << words;
    EXPECT_EQ(parsed.error().check, "target.setting");
    EXPECT_NE(parsed.error().message.find(words), std::string::npos) << parsed.error().message;
    EXPECT_EQ(parsed.error().message.find("hunter2"), std::string::npos);
  }
  EXPECT_EQ(parse_target(spec({{"prot", 1}})).error().hint, "did you mean \"port\"?");
}

TEST(PgSettings, TheLoginsOwnRightsUnlessFunctionsAreSaid) {
  EXPECT_FALSE(parse_target(spec())->functions);
  EXPECT_FALSE(parse_target(spec({{"broker", "login"}}))->functions);
  EXPECT_TRUE(parse_target(spec({{"broker", "functions"}}))->functions);
}

TEST(PgSettings, NoTlsOnlyWhereNoNetworkIs) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost", "/run/postgresql"}) {
    const auto parsed = parse_target(spec({{"host", host}, {"tls", "loopback"}}));
    ASSERT_TRUE(parsed.ok()) << host;
    EXPECT_FALSE(parsed->tls);
  }
}

TEST(PgSettings, RolesAndWhatTheyAddUpTo) {
  EXPECT_TRUE(parse_role(role({{"group", "readers"}})).ok());
  for (const auto& wrong :
       {role({}), role({{"group", ""}}), role({{"group", "pg_read_all_data"}}), role({{"group", "public"}}),
        role({{"group", "a"}, {"creates", "a"}}), role({{"group", std::string(64, 'g')}}),
        role({{"group", "a"}, {"grup", "b"}}), role({{"group", std::string("a\0b", 3)}}), role({{"group", "\xff"}})})
    EXPECT_EQ(parse_role(wrong).error().check, "target.setting");
  const auto sum =
      membership_of({role({{"group", "b"}}), role({{"group", "a"}, {"creates", "h"}}), role({{"group", "b"}})});
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(sum->groups, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sum->heir, "h");
  EXPECT_EQ(
      membership_of({role({{"group", "a"}, {"creates", "h"}}), role({{"group", "b"}, {"creates", "i"}})}).error().check,
      "pg.creates_conflict");
  EXPECT_EQ(membership_of({role({{"group", "h"}}), role({{"group", "b"}, {"creates", "h"}})}).error().check,
            "pg.creates_conflict");
  EXPECT_FALSE(membership_of({}).ok());
}

TEST(PgNames, AMarkBelongsToOneName) {
  const std::string name = core::account_name("abc123", grant);
  const std::string text = mark("abc123", grant);
  EXPECT_EQ(text, "daypass abc123 default/gr_abcdefghijklmnopqrstuvwxyz");
  EXPECT_LE(name.size(), 63U);
  ASSERT_TRUE(read_mark("abc123", name, text));
  EXPECT_EQ(*read_mark("abc123", name, text), grant);
  for (const auto& [role_name, comment] :
       std::vector<std::pair<std::string, std::string>>{{name + "x", text},
                                                        {"analyst", text},
                                                        {name, text + " "},
                                                        {name, " " + text},
                                                        {name, "daypass abc124 default/gr_abcdefghijklmnopqrstuvwxyz"},
                                                        {name, "daypass abc123 Default/gr_abcdefghijklmnopqrstuvwxyz"},
                                                        {name, "daypass abc123 default/gr_abcdefghijklmnopqrstuvwxy"},
                                                        {name, "daypass abc123 default"},
                                                        {name, ""},
                                                        {"dp_abc124_abcdefghijklmnopqrstuvwxyz", text}})
    EXPECT_FALSE(read_mark("abc123", role_name, comment)) << role_name << " / " << comment;
}

TEST(PgNames, LockKeysDifferAndStay) {
  EXPECT_EQ(lock_keys("dp_abc123_x"), lock_keys("dp_abc123_x"));
  EXPECT_NE(lock_keys("dp_abc123_x"), lock_keys("dp_abc123_y"));
  EXPECT_TRUE(is_instance("abc123"));
  for (const char* wrong : {"", "abc12", "abc1234", "ABC123", "abc_12", "abc-12"})
    EXPECT_FALSE(is_instance(wrong)) << wrong;
}

TEST(PgHandle, RoundTripAndDoubt) {
  const Handle handle{4711, Membership{{"a", "b"}, "h"}};
  const Handle back = Handle::parse(handle.text());
  EXPECT_EQ(back.oid, 4711);
  EXPECT_EQ(back.given, handle.given);
  for (const char* text : {"", "{", "[]", "{\"oid\":\"x\"}", "{\"oid\":-5}", "{\"oid\":4294967296}"}) {
    EXPECT_EQ(Handle::parse(text).oid, 0) << text;
    EXPECT_FALSE(Handle::parse(text).given) << text;
  }
  EXPECT_FALSE(Handle::parse(R"({"oid":1,"groups":["a"],"heir":"pg_evil"})").given);
}

TEST(PgResolve, NumericAndUnknown) {
  const base::SystemClock clock;
  const Deadline deadline(clock, std::chrono::seconds(5));
  EXPECT_EQ(resolve("127.0.0.1", deadline).value(), std::vector<std::string>{"127.0.0.1"});
  EXPECT_EQ(resolve("::1", deadline).value(), std::vector<std::string>{"::1"});
  const auto local = resolve("localhost", deadline);
  ASSERT_TRUE(local.ok());
  for (const auto& address : *local) EXPECT_TRUE(is_loopback_address(address)) << address;
  EXPECT_EQ(resolve("no such host", deadline).error().check, "pg.resolve");
  EXPECT_FALSE(is_loopback_address("10.0.0.1"));
}

// More than are kept of those that nobody waits for.
TEST(PgResolve, WhoDoesNotWaitLeavesTheResolverWhole) {
  const base::SystemClock clock;
  const Deadline none(clock, std::chrono::milliseconds(0));
  for (int i = 0; i < 100; ++i) {
    const auto found = resolve("localhost", none);
    if (!found.ok()) {
      EXPECT_EQ(found.error().check, "pg.resolve");
    }
  }
  // Those still on their way make room when they are answered, and not before.
  const Deadline patient(clock, std::chrono::seconds(30));
  auto found = resolve("localhost", patient);
  while (!found.ok() && !patient.passed()) {
    std::this_thread::yield();
    found = resolve("localhost", patient);
  }
  EXPECT_TRUE(found.ok());
  while (abandoned_lookups() != 0 && !patient.passed()) std::this_thread::yield();
  EXPECT_EQ(abandoned_lookups(), 0U);
}

Installation installation() {
  Installation out;
  out.names = {"abc123", "daypass"};
  out.home = "orders";
  out.groups = {"readers"};
  return out;
}

TEST(PgInstaller, WhatCannotBeIsRefused) {
  EXPECT_TRUE(judge(installation()).ok());
  const auto refused = [](auto change) {
    Installation wanted = installation();
    change(wanted);
    const auto verdict = judge(wanted);
    return verdict.ok() ? "" : verdict.error().check;
  };
  for (const char* name : {"", "Abc123", "abc12", "abc1234", "abc'; "})
    EXPECT_EQ(refused([&](auto& w) { w.names.instance = name; }), "installer.instance") << name;
  const std::vector<std::string> no_roles{"",
                                          "public",
                                          "none",
                                          "pg_monitor",
                                          "dp_abc123_x",
                                          "daypass_abc123_keeper",
                                          "daypass_abc123",
                                          "two\nlines",
                                          "$daypass$; DROP ROLE postgres; --",
                                          std::string(64, 'x'),
                                          "\xff",
                                          std::string("a\0b", 3)};
  for (const auto& name : no_roles) {
    EXPECT_EQ(refused([&](auto& w) { w.names.login = name; }), "installer.login") << name;
    EXPECT_EQ(refused([&](auto& w) { w.groups.push_back(name); }), "installer.group") << name;
    EXPECT_EQ(refused([&](auto& w) { w.heirs.push_back(name); }), "installer.heir") << name;
  }
  EXPECT_EQ(refused([](auto& w) { w.groups.clear(); }), "installer.group");
  EXPECT_EQ(refused([](auto& w) { w.groups = {"daypass"}; }), "installer.group");
  EXPECT_EQ(refused([](auto& w) { w.heirs = {"readers"}; }), "installer.heir");
  EXPECT_EQ(refused([](auto& w) { w.heirs = {"daypass"}; }), "installer.heir");
  for (const char* name : {"", "a=b", "postgresql://x", "two\nlines", "$daypass$"}) {
    EXPECT_EQ(refused([&](auto& w) { w.home = name; }), "installer.database") << name;
    EXPECT_EQ(refused([&](auto& w) { w.databases = {name}; }), "installer.database") << name;
  }
  EXPECT_EQ(refused([](auto& w) { w.longest = std::chrono::seconds(59); }), "installer.longest");
  EXPECT_EQ(refused([](auto& w) { w.longest = std::chrono::hours(24 * 31); }), "installer.longest");
  EXPECT_EQ(refused([](auto& w) { w.connections = 0; }), "installer.connections");
}

TEST(PgInstaller, EveryPlaceholderIsFilledAndEveryFunctionFixed) {
  Installation wanted = installation();
  wanted.heirs = {"made"};
  wanted.databases = {"orders", "billing", "billing"};
  const auto parts = install_parts(wanted);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].database, "orders");
  EXPECT_EQ(parts[1].database, "billing");
  for (const auto& all : {parts, uninstall_parts(wanted)})
    for (const auto& part : all) {
      for (const char* left : {"@S@", "@INSTANCE@", "@KEEPER@", "@CLEARER@", "@PROBER@", "@LOGIN", "@GROUPS@",
                               "@HEIRS@", "@VERSION@", "@LONGEST@", "@CONNECTIONS@", "@FOREIGN"})
        EXPECT_EQ(part.sql.find(left), std::string::npos) << left;
      EXPECT_TRUE(part.sql.starts_with("BEGIN;")) << "all or nothing";
      EXPECT_TRUE(part.sql.ends_with("COMMIT;\n"));
    }
  // Where accounts only leave things, nothing can make them.
  EXPECT_EQ(parts[1].sql.find("CREATE ROLE"), std::string::npos);
  EXPECT_EQ(parts[1].sql.find("CREATEROLE TO"), std::string::npos);
  for (const auto& f : functions_of(wanted.names)) {
    // A backslash would mean what the caller's standard_conforming_strings says.
    EXPECT_EQ(f.body.find('\\'), std::string::npos) << f.name;
    EXPECT_EQ(f.body.find("$daypass$"), std::string::npos) << f.name;
    if (f.for_login) {
      EXPECT_NE(f.owner, Function::Owner::installer) << f.name;
    }
  }
  EXPECT_EQ(sql_literal("it's"), "'it''s'");
  EXPECT_EQ(sql_ident("a\"b"), "\"a\"\"b\"");
  EXPECT_NE(script_of(parts, "").find("\\connect \"billing\""), std::string::npos);
}

TEST(PgDriver, ValidatesWithoutAServer) {
  base::SystemClock clock;
  base::SystemEntropy entropy;
  base::Log log(clock, base::Level::error, base::log_to_nowhere());
  const auto driver = make_postgres_driver(
      clock, entropy, log,
      [](const core::TenantId&, const core::SecretRef& ref) -> base::Result<base::Secret> {
        if (ref.ref == "env:PW") return base::Secret("secret");
        return base::Error{base::Code::invalid, "secret.missing", ref.ref + " is not set"};
      },
      "abc123");
  EXPECT_EQ(driver->kind(), "pg");
  EXPECT_TRUE(driver->validate(spec(), {role({{"group", "readers"}})}).ok());
  EXPECT_FALSE(driver->validate(spec(), {role({{"group", "daypass"}})}).ok()) << "the admin login as a group";
  EXPECT_EQ(driver->make(core::TenantId("default"), spec({{"admin_password", "env:NO"}})).error().check,
            "secret.missing");
  const auto made = driver->make(core::TenantId("default"), spec({{"gate_cert", "/c"}, {"gate_key", "/k"}}));
  ASSERT_TRUE(made.ok());
  const Upstream upstream = (*made)->upstream("dp_abc123_x", base::Secret("pw"));
  EXPECT_EQ(upstream.host, "db.internal");
  EXPECT_EQ(upstream.server_name, "db.internal");
  EXPECT_EQ(upstream.database, "orders");
  EXPECT_TRUE(upstream.tls);
  EXPECT_EQ(upstream.client_cert_file, "/c");
}

}  // namespace
}  // namespace daypass::target::postgres
