// `setup psql`: libpq's file formats, a file that belongs to the user, and what a login renews.
#include "app/cli/setup.h"

#include "app/cli/test_support.h"

namespace daypass::app::cli {
namespace {

using testing_support::fs::perms;

Service service(std::string name) {
  return {std::move(name), "pg/orders", {}, "localhost", "5433", "orders", "dp-1", "secret"};
}

TEST(Passfile, EscapesWhatLibpqWouldTakeForAnEnd) {
  EXPECT_EQ(passfile_escape(R"(a:b\c)"), R"(a\:b\\c)");
  Service s = service("pg/orders");
  s.host = "::1";
  s.password = R"(p:a\s)";
  EXPECT_EQ(passfile_line(s), "\\:\\:1:5433:orders:dp-1:p\\:a\\\\s\n");
}

TEST(ServiceFile, RefusesValuesThatALineCannotCarry) {
  const auto sections = [](const Service& s) { return service_sections({s}, "/home/x/pgpass", "/home/x/ca.pem"); };
  ASSERT_TRUE(sections(service("pg/orders")).ok());
  EXPECT_EQ(*sections(service("pg/orders")),
            "[pg/orders]\nhost=localhost\nport=5433\ndbname=orders\nuser=dp-1\npassfile=/home/x/pgpass\nsslrootcert=/"
            "home/x/ca.pem\nsslmode=verify-full\ngssencmode=disable\n");
  for (const std::string& bad : {std::string(), std::string("a\nsslmode=disable"), std::string("a\rb"),
                                 std::string(" a"), std::string("a "), std::string(1001, 'x')}) {
    Service s = service("pg/orders");
    s.database = bad;
    ASSERT_FALSE(sections(s).ok()) << bad;
    EXPECT_EQ(sections(s).error().check, "setup.value");
  }
  for (const char* bad : {"", "pg/or]ders", "pg/or\nders"}) EXPECT_FALSE(sections(service(bad)).ok()) << bad;
}

TEST(ServiceFile, TheBlockComesAndGoesWithoutATrace) {
  const std::vector<Service> services{service("pg/orders")};
  for (const std::string& text :
       std::vector<std::string>{"", "[mine]\nhost=x\n", "[mine]\nhost=x", "\r\n[mine]\r\nhost=x\r\n", "\n\n",
                                "# only a comment", "no line end\\"}) {
    const auto with = with_block(text, true, services, "[pg/orders]\nhost=a\n");
    ASSERT_TRUE(with.ok());
    EXPECT_TRUE(with->starts_with(text));
    const auto again = with_block(*with, true, services, "[pg/orders]\nhost=b\n");
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->size(), with->size());
    EXPECT_NE(again->find("host=b"), std::string::npos);
    EXPECT_EQ(*with_block(*again, true, services, "[pg/orders]\nhost=a\n"), *with);
    const auto without = without_block(*again);
    ASSERT_TRUE(without.ok());
    EXPECT_TRUE(without->found);
    EXPECT_FALSE(without->was_new);
    EXPECT_EQ(without->text, text);
  }
}

TEST(ServiceFile, WhatTheUserWroteBehindTheBlockStays) {
  const auto with = with_block("[mine]\nhost=x", true, {service("pg/orders")}, "[pg/orders]\n");
  const auto without = without_block(*with + "[later]\nhost=y\n");
  ASSERT_TRUE(without.ok());
  EXPECT_EQ(without->text, "[mine]\nhost=x\n[later]\nhost=y\n");
}

TEST(ServiceFile, RefusesADamagedBlockAndATakenName) {
  const std::string whole = *with_block("", true, {service("pg/orders")}, "[pg/orders]\n");
  const std::string begin = whole.substr(0, whole.find('\n') + 1), end = "# <<< daypass setup psql <<<\n";
  for (const std::string& text : {begin, end, whole + whole, begin + whole, whole + end}) {
    ASSERT_FALSE(without_block(text).ok()) << text;
    EXPECT_EQ(without_block(text).error().check, "setup.block_damaged");
    EXPECT_FALSE(with_block(text, true, {}, "").ok());
  }
  const auto taken = with_block("\n  [pg/orders] \nhost=mine\n", true, {service("pg/orders")}, "");
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().check, "setup.service_taken");
  EXPECT_NE(taken.error().message.find("line 2"), std::string::npos);
  EXPECT_TRUE(with_block("[pg/orders2]\n", true, {service("pg/orders")}, "").ok());
}

class SetupPsql : public testing_support::User {
 protected:
  SetupPsql() {
    usual_answers();
    log_in();
  }
  [[nodiscard]] std::string own(const std::string& name) const { return home + "/.local/state/daypass/" + name; }
  std::string service_file = home + "/.pg_service.conf";
};

TEST_F(SetupPsql, WritesASectionForTheTargetAndEachRoleOneMayHave) {
  ASSERT_EQ(run({"setup", "psql", "-o", "json"}), 0) << err;
  const auto doc = document();
  std::vector<std::string> names;
  for (const auto& s : items(doc, "services")) names.push_back(s.string_or("service"));
  EXPECT_EQ(names, (std::vector<std::string>{"pg/orders", "pg/orders/reader", "pg/orders/writer"}));
  const std::string file = read(service_file);
  EXPECT_NE(file.find("\n[pg/orders/writer]\nhost=localhost\nport=5433\ndbname=orders\nuser=dp-3\npassfile=" +
                      own("pgpass") + "\n"),
            std::string::npos)
      << file;
  EXPECT_EQ(file.find("pass:"), std::string::npos) << "a password is not for this file";
  EXPECT_NE(read(own("pgpass")).find("localhost:5433:orders:dp-3:pass\\:word\\\\3\n"), std::string::npos);
  for (const auto& path : {service_file, own("pgpass"), own("gate-ca.pem"), own("psql.json")})
    EXPECT_EQ(mode(path), 0600U) << path;
}

TEST_F(SetupPsql, ASecondRunChangesNothingAndAsksForNothing) {
  ASSERT_EQ(run({"setup", "psql"}), 0) << err;
  const std::string file = read(service_file), passes = read(own("pgpass"));
  const auto asked = server.count("POST /t/default/api/v1/credentials");
  ASSERT_EQ(run({"setup", "psql"}), 0) << err;
  EXPECT_EQ(read(service_file), file);
  EXPECT_EQ(read(own("pgpass")), passes);
  EXPECT_EQ(server.count("POST /t/default/api/v1/credentials"), asked);
}

TEST_F(SetupPsql, AnotherLoginGetsOtherCredentialsAndOnlyTheRolesOfToday) {
  ASSERT_EQ(run({"setup", "psql"}), 0) << err;
  usual_answers("ls_2");
  server.on("GET /t/default/api/v1/roles",
            R"({"roles":[{"role":"pg/orders/reader","target":"pg/orders","verdict":"allow"}]})");
  ASSERT_EQ(run({"setup", "psql", "-o", "name"}), 0) << err;
  EXPECT_EQ(out, "pg/orders\npg/orders/reader\n");
  EXPECT_EQ(read(service_file).find("writer"), std::string::npos);
  EXPECT_EQ(read(own("pgpass")).find("dp-3"), std::string::npos);
}

TEST_F(SetupPsql, UndoGivesBackTheVeryBytesAndTheMode) {
  const std::string text = "[mine]\nhost=x";
  write(".pg_service.conf", text, perms::owner_read | perms::owner_write | perms::group_read);
  ASSERT_EQ(run({"setup", "psql"}), 0) << err;
  EXPECT_EQ(mode(service_file), 0640U);
  EXPECT_NE(read(service_file), text);
  ASSERT_EQ(run({"setup", "psql", "--undo", "-o", "json"}), 0) << err;
  EXPECT_TRUE(document().bool_or("undone", false));
  EXPECT_EQ(read(service_file), text);
  EXPECT_EQ(mode(service_file), 0640U);
  for (const auto& name : {"pgpass", "gate-ca.pem", "psql.json"})
    EXPECT_FALSE(testing_support::fs::exists(own(name))) << name;
  ASSERT_EQ(run({"setup", "psql", "--undo", "-o", "json"}), 0) << "twice is fine";
  EXPECT_FALSE(document().bool_or("undone", true));
}

TEST_F(SetupPsql, UndoNeedsNoServerAndRemovesAFileThatWasNotThere) {
  ASSERT_EQ(run({"setup", "psql"}), 0) << err;
  io.env["DAYPASS_SERVER"] = "http://127.0.0.1:1";
  ASSERT_EQ(run({"setup", "psql", "--undo"}), 0) << err;
  EXPECT_FALSE(testing_support::fs::exists(service_file));
}

TEST_F(SetupPsql, RefusesWhatIsNotItsOwn) {
  const auto check = [&] {
    EXPECT_EQ(run({"setup", "psql", "-o", "json"}), 1);
    return document().find("error")->string_or("check");
  };
  io.env["PGSERVICEFILE"] = "/etc/elsewhere.conf";
  EXPECT_EQ(check(), "setup.service_file");
  io.env["PGSERVICEFILE"] = service_file;
  const std::string real = write("dotfiles/pg_service.conf", "[mine]\n");
  testing_support::fs::create_symlink(real, service_file);
  EXPECT_EQ(check(), "setup.not_a_file");
  testing_support::fs::remove(service_file);
  const std::string taken = "[pg/orders]\nhost=mine\n";
  write(".pg_service.conf", taken);
  EXPECT_EQ(check(), "setup.service_taken");
  EXPECT_EQ(read(service_file), taken);
  EXPECT_EQ(read(real), "[mine]\n");
  EXPECT_FALSE(testing_support::fs::exists(own("pgpass"))) << "nothing is left behind by a refusal";
}

TEST_F(SetupPsql, AServerThatAnswersWithALineEndWritesNoOption) {
  server.on(
      "POST /t/default/api/v1/credentials",
      R"({"user":"dp-1","password":"p","database":"orders\nsslmode=disable","host":"localhost","port":5433,"ca_pem":"x"})",
      201);
  EXPECT_EQ(run({"setup", "psql"}), 1);
  EXPECT_FALSE(testing_support::fs::exists(service_file));
}

TEST_F(SetupPsql, NeedsALogin) {
  log_in(std::chrono::minutes(-12));
  EXPECT_EQ(run({"setup", "psql"}), Exit::login_needed);
  EXPECT_NE(err.find("the login ended 12m ago"), std::string::npos) << err;
}

TEST_F(SetupPsql, ARoleThatIsRefusedIsLeftOutAndSaid) {
  server.on("POST /t/default/api/v1/credentials", [](const testing_support::HttpRequest& request) {
    if (request.body.find("writer") != std::string::npos)
      return testing_support::HttpResponse::problem({base::Code::denied, "policy.denied", "a reason is needed"}, "");
    return testing_support::HttpResponse::json(201, base::json::Object{{"user", "dp-1"},
                                                                       {"password", "p"},
                                                                       {"database", "orders"},
                                                                       {"host", "localhost"},
                                                                       {"port", 5433},
                                                                       {"ca_pem", "x"}});
  });
  ASSERT_EQ(run({"setup", "psql", "-o", "name"}), 0) << err;
  EXPECT_EQ(out, "pg/orders\npg/orders/reader\n");
  EXPECT_NE(err.find("left out: pg/orders/writer: a reason is needed"), std::string::npos) << err;
}

}  // namespace
}  // namespace daypass::app::cli
