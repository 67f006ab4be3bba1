// `daypass doctor`: each check red for its own reason, with a way out.
#include "app/cli/test_support.h"

namespace daypass::app::cli {
namespace {

using testing_support::HttpRequest;
using testing_support::HttpResponse;

class Doctor : public testing_support::User {
 protected:
  Doctor() {
    usual_answers();
    log_in();
    server.on("GET /api/v1/version", R"({"version":")" DAYPASS_VERSION R"("})");
    server.on("GET /readyz", R"({"ready":true})");
    server.on(
        "GET /t/default/api/v1/idps",
        R"({"idps":[{"name":"demo","issuer":"https://idp.example"},{"name":"old","issuer":"https://old.example"}]})");
    server.on("POST /t/default/api/v1/idps/demo/probe", R"({"ok":true})");
    server.on("POST /t/default/api/v1/idps/old/probe", R"({"ok":true})");
    server.on("GET /t/default/api/v1/targets", R"({"targets":[{"target":"pg/orders"}]})");
    server.on(
        "POST /t/default/api/v1/targets/pg/orders/check",
        R"({"ok":true,"findings":[{"grade":"ok","check":"a","message":"m"},{"grade":"ok","check":"b","message":"m"}]})");
    server.on("GET /t/default/api/v1/audit",
              R"({"size":0,"root":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","records":[]})");
    using testing_support::fs::perms;
    write("bin/psql", "#!/bin/sh\necho 'psql (PostgreSQL) 15.0'\n", perms::owner_all);
    io.env["PATH"] = home + "/bin:/usr/bin:/bin";
  }
  /// The check of that name, wherever it is.
  static const base::json::Value* find(const base::json::Value& in, const std::string& name) {
    for (const auto& c : items(in, "checks")) {
      if (c.string_or("name") == name) return &c;
      if (const auto* inner = find(c, name)) return inner;
    }
    return nullptr;
  }
  std::string grade(const std::string& name) {
    seen = document();
    const auto* c = find(seen, name);
    return c == nullptr ? "absent" : c->string_or("grade");
  }
  std::string fix(const std::string& name) {
    const auto* c = find(seen, name);
    return c == nullptr ? "absent" : c->string_or("fix");
  }
  base::json::Value seen;
};

TEST_F(Doctor, AllIsWell) {
  ASSERT_EQ(run({"doctor", "-o", "json"}), 0) << out;
  EXPECT_TRUE(document().bool_or("ok", false));
  for (const char* name :
       {"address", "psql", "clock", "tls", "login", "version", "ready", "demo", "old", "pg/orders", "audit log"})
    EXPECT_EQ(grade(name), "pass") << name;
  ASSERT_EQ(run({"doctor"}), 0);
  EXPECT_NE(out.find("  pass  psql: psql (PostgreSQL) 15.0"), std::string::npos) << out;
  EXPECT_EQ(out.find("fix:"), std::string::npos) << out;
}

TEST_F(Doctor, AServerThatIsAwayIsTheOneFailure) {
  io.env["DAYPASS_SERVER"] = "http://127.0.0.1:1";
  EXPECT_EQ(run({"doctor", "-o", "json"}), 1);
  EXPECT_EQ(grade("reachable"), "fail");
  EXPECT_NE(fix("reachable"), "");
  EXPECT_EQ(grade("login"), "skip");
  EXPECT_EQ(grade("ready"), "absent");
}

TEST_F(Doctor, AClockThatIsOff) {
  // The server's clock stays; this machine's is another.
  testing_support::TestClock ours;
  io.clock = &ours;
  const struct {
    std::chrono::seconds off;
    const char* grade;
    int code;
  } cases[] = {{std::chrono::seconds(4), "pass", 0},
               {std::chrono::seconds(60), "warn", 0},
               {std::chrono::seconds(-60), "warn", 0},
               {std::chrono::minutes(20), "fail", 1}};
  for (const auto& c : cases) {
    ours.now = server.clock.now + c.off;
    EXPECT_EQ(run({"doctor", "-o", "json"}), c.code) << out;
    EXPECT_EQ(grade("clock"), c.grade) << c.off.count();
    EXPECT_EQ(fix("clock").empty(), std::string_view(c.grade) == "pass");
  }
}

TEST_F(Doctor, NoPsqlIsAWarning) {
  io.env["PATH"] = "/nowhere";
  EXPECT_EQ(run({"doctor", "-o", "json"}), 0);
  EXPECT_EQ(grade("psql"), "warn");
  EXPECT_EQ(fix("psql"), "apt-get install postgresql-client");
  using testing_support::fs::perms;
  write("bad/psql", "#!/bin/sh\nexit 1\n", perms::owner_all);
  io.env["PATH"] = home + "/bad";
  EXPECT_EQ(run({"doctor", "-o", "json"}), 0);
  EXPECT_EQ(grade("psql"), "warn");
}

TEST_F(Doctor, AnEndedLoginFails) {
  log_in(std::chrono::minutes(-12));
  EXPECT_EQ(run({"doctor", "-o", "json"}), 1);
  EXPECT_EQ(grade("login"), "fail");
  EXPECT_EQ(fix("login"), "daypass login");
  EXPECT_EQ(grade("the rest"), "skip");
}

TEST_F(Doctor, WhoDoesNotAdministerIsNotToldOfTheServer) {
  server.on("GET /t/default/api/v1/session",
            R"({"id":"ls_1","principal":"demo/dana","ends_at":"2026-03-01T13:00:00Z","administers":false})");
  EXPECT_EQ(run({"doctor", "-o", "json"}), 0);
  EXPECT_EQ(grade("the rest"), "skip");
  EXPECT_EQ(server.count("GET /t/default/api/v1/audit"), 0U);
}

TEST_F(Doctor, FailuresOfTheServerAreNestedAndCarryTheirFix) {
  server.on("POST /t/default/api/v1/idps/old/probe", [](const HttpRequest& r) {
    return HttpResponse::problem(
        {base::Code::unavailable, "http.connect", "https://old.example can't be reached", "check the network"},
        r.request_id);
  });
  server.on(
      "POST /t/default/api/v1/targets/pg/orders/check",
      R"({"ok":false,"findings":[{"grade":"ok","check":"a","message":"m"},{"grade":"fail","check":"admin.createrole","subject":"daypass_admin","message":"lacks CREATEROLE","fix":"ALTER ROLE daypass_admin CREATEROLE"}]})");
  server.on("GET /t/default/api/v1/audit", R"({"size":0,"root":"00","records":[]})");
  server.on("GET /readyz", R"({"ready":false,"why":"starting"})", 503);
  EXPECT_EQ(run({"doctor", "-o", "json"}), 1);
  for (const char* name :
       {"ready", "old", "identity providers", "admin.createrole", "pg/orders", "targets", "audit log", "server"})
    EXPECT_EQ(grade(name), "fail") << name;
  EXPECT_EQ(grade("demo"), "pass");
  EXPECT_EQ(grade("this machine"), "pass");
  EXPECT_EQ(fix("admin.createrole"), "ALTER ROLE daypass_admin CREATEROLE");
  EXPECT_EQ(run({"doctor"}), 1);
  EXPECT_NE(out.find("fail  admin.createrole: daypass_admin: lacks CREATEROLE\n"), std::string::npos) << out;
  EXPECT_NE(out.find("fix: ALTER ROLE daypass_admin CREATEROLE\n"), std::string::npos) << out;
}

TEST_F(Doctor, ServicesOfAnotherLoginAreAWarning) {
  ASSERT_EQ(run({"setup", "psql"}), 0) << err;
  EXPECT_EQ(run({"doctor", "-o", "json"}), 0);
  EXPECT_EQ(grade("psql services"), "pass");
  usual_answers("ls_2");
  EXPECT_EQ(run({"doctor", "-o", "json"}), 0);
  EXPECT_EQ(grade("psql services"), "warn");
  EXPECT_EQ(fix("psql services"), "daypass setup psql");
}

}  // namespace
}  // namespace daypass::app::cli
