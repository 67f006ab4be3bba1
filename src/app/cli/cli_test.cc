// The command line: what is understood, what is answered, exit codes, one JSON document each time.
#include "app/cli/cli.h"

#include <set>

#include "app/cli/test_support.h"
#include "base/encoding.h"

namespace daypass::app::cli {
namespace {

using base::Code;
using testing_support::HttpRequest;
using testing_support::HttpResponse;
using Args = std::vector<std::string>;

class Cli : public testing_support::User {
 protected:
  Cli() {
    usual_answers();
    log_in();
    const std::string grant =
        R"({"id":"gr_1","principal":"demo/dana","session":"ls_1","target":"pg/orders","roles":["pg/orders/reader"],"state":"closed","account":"dp_x","connections":1,"ends_at":"2026-03-01T12:30:00Z","end_reason":"user"})";
    const std::string api = " /t/default/api/v1";
    server.on("DELETE" + api + "/session", R"({"grants_ended":2})");
    server.on(
        "GET" + api + "/explain",
        R"({"principal":"demo/dana","role":"pg/orders/reader","verdict":"allow","why":"permitted","policies":[{"policy":"p","effect":"permit","outcome":"held","parts":[{"part":"principal","text":"x","outcome":"held"}]}]})");
    server.on("GET" + api + "/grants", R"({"grants":[)" + grant + "]}");
    server.on("GET" + api + "/grants/gr_1", grant);
    server.on("POST" + api + "/grants/gr_1/extend", grant);
    server.on("POST" + api + "/grants/gr_1/end", grant);
    server.on(
        "GET" + api + "/sessions",
        R"({"sessions":[{"id":"ls_1","principal":"demo/dana","display":"Dana","client":"cli","started_at":"2026-03-01T11:00:00Z","ends_at":"2026-03-01T13:00:00Z"}]})");
    server.on("POST" + api + "/sessions/ls_1/end", R"({"grants_ended":1})");
    server.on("POST" + api + "/sessions/ls_1/revalidate", R"({"state":"changed","grants_ended":1})");
    server.on("POST" + api + "/apply",
              R"({"version":3,"plan":["role pg/orders/reader: new"],"problems":[],"warnings":["w"],"grants_ended":0})");
    server.on(
        "POST" + api + "/policy/simulate",
        R"({"records":2,"unreadable":0,"complete":true,"newly_allowed":0,"newly_denied":0,"unchanged":2,"shifts":[],"unchanged_by":[{"policies":"p","decisions":2}],"problems":[],"warnings":[]})");
    server.on("GET" + api + "/policy/schema",
              R"({"text":"entity User;\n","schema":{"":{"entityTypes":{"User":{}},"actions":{}}}})");
    server.on("GET" + api + "/targets", R"({"targets":[{"target":"pg/orders","roles":[]}]})");
    server.on(
        "POST" + api + "/targets/pg/orders/check",
        R"({"ok":true,"findings":[{"grade":"ok","check":"admin.login","subject":"","message":"works","fix":""}]})");
    server.on("GET" + api + "/idps", R"({"idps":[{"name":"demo","issuer":"http://127.0.0.1:1"}]})");
    server.on("POST" + api + "/idps/demo/probe", R"({"ok":true,"message":"demo answers"})");
    server.on(
        "POST" + api + "/idps/corp/test",
        R"({"id":"t1","idp":"corp","state":"waiting","url":"http://127.0.0.1:1/x","redirect_uri":"http://y/cb"})");
    server.on(
        "GET" + api + "/idps/corp/test/t1",
        R"({"id":"t1","idp":"corp","state":"passed","claims":{"sub":"dana"},"identity":{"principal":"corp/dana"}})");
    for (const char* what : {"GET", "POST"})
      server.on(
          what + api + (what[0] == 'G' ? "/domains" : "/domains/check"),
          R"({"domains":[{"domain":"example.com","idp":"corp","state":"proven","record":"_daypass-challenge.example.com","value":"daypass-domain=x","holds_until":"2026-03-08T12:00:00Z"}]})");
    // The root of a tree without leaves (RFC 6962 section 2.1).
    server.on("GET" + api + "/audit",
              R"({"size":0,"root":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","records":[]})");
    server.on("POST" + api + "/audit/checkpoint",
              R"({"checkpoint":"a\n0\nx\n\n","key":"a+00000000+x","origin":"a","size":0,"root":"00"})");
    for (const char* what : {"/audit/records/0/proof", "/grants/gr_1/receipt"})
      server.on("GET" + api + what,
                R"({"format":"x","records":[{"index":0,"record":"{}","path":[]}],"checkpoint":""})");
    server.on("GET /api/v1/version", R"({"version":")" DAYPASS_VERSION R"("})");
    server.on("GET /readyz", R"({"ready":true})");
    folder = home + "/tenant";
    write("tenant/tenant.toml", "# nothing\n");
    config = write("daypass.toml", "[server]\ndata_dir = \"/tmp/x\"\npublic_url = \"http://127.0.0.1:8420\"\n");
  }
  /// Every command that ends by itself and needs no key material.
  [[nodiscard]] std::vector<Args> commands() const {
    return {{"status"},
            {"ls"},
            {"ls", "--all"},
            {"creds", "pg/orders"},
            {"creds", "pg/orders", "--role", "reader", "--role", "writer", "--for", "10m", "--reason", "why"},
            {"setup", "psql"},
            {"setup", "psql", "--undo"},
            {"grants", "ls", "-a", "--closed", "--overdue"},
            {"grants", "show", "gr_1"},
            {"grants", "extend", "gr_1", "--for", "30m"},
            {"grants", "end", "gr_1"},
            {"sessions", "ls"},
            {"sessions", "end", "ls_1"},
            {"sessions", "revalidate", "ls_1"},
            {"policy", "explain", "pg/orders/reader"},
            {"policy", "explain", "demo/sam", "pg/orders/reader", "--at", "2026-03-01T00:00:00Z"},
            {"policy", "simulate", folder},
            {"policy", "schema"},
            {"apply", folder, "--dry-run"},
            {"apply", folder, "--yes"},
            {"target", "check", "pg/orders"},
            {"idp", "test", "corp", "--no-browser"},
            {"idp", "test", "corp", "--dir", folder, "--no-browser"},
            {"idp", "domains"},
            {"idp", "domains", "--check"},
            {"audit", "tail", "-n", "5"},
            {"audit", "export"},
            {"audit", "export", "--format", "ocsf"},
            {"audit", "checkpoint"},
            {"audit", "key"},
            {"audit", "prove", "0"},
            {"audit", "prove", "0", "--format", "tlog-proof"},
            {"grants", "receipt", "gr_1"},
            {"audit", "verify"},
            {"doctor"},
            {"version"},
            {"help"},
            {"help", "exit-codes"},
            {"help", "grants", "ls"},
            {"server", "config", "check", "--config", config},
            {"logout"}};
  }
  static Args json_of(Args args) {
    args.insert(args.end(), {"-o", "json"});
    return args;
  }
  static std::string joined(const Args& args) {
    std::string out;
    for (const auto& a : args) out += " " + a;
    return out;
  }
  std::string folder, config;
};

TEST_F(Cli, EveryCommandSucceedsWithOneJsonDocument) {
  for (const auto& args : commands()) {
    SCOPED_TRACE(joined(args));
    EXPECT_EQ(run(json_of(args)), 0) << err;
    EXPECT_EQ(document().find("error"), nullptr);
  }
}

TEST_F(Cli, EveryCommandFailsWithOneJsonDocument) {
  server.always([](const HttpRequest& request) {
    return HttpResponse::problem({Code::denied, "policy.denied", "policy says no", "ask somebody"}, request.request_id);
  });
  std::size_t asked = 0;
  for (const auto& args : commands()) {
    if (args[0] == "version" || args[0] == "help" || args[0] == "server" || args.back() == "--undo") continue;
    SCOPED_TRACE(joined(args));
    const int code = run(json_of(args));
    const auto doc = document();
    ++asked;
    if (args[0] == "doctor") {
      EXPECT_EQ(code, 1);
      EXPECT_FALSE(doc.bool_or("ok", true));
      continue;
    }
    EXPECT_EQ(code, Exit::denied);
    ASSERT_NE(doc.find("error"), nullptr) << out;
    EXPECT_EQ(doc.find("error")->string_or("check"), "policy.denied");
    EXPECT_EQ(doc.find("error")->string_or("code"), "denied");
    EXPECT_FALSE(doc.find("error")->string_or("request_id").empty());
  }
  EXPECT_GT(asked, 20U);
}

TEST_F(Cli, WhatNeedsNoServerFailsWithOneJsonDocumentToo) {
  const std::string bad = write("bad.toml", "[server]\ndata_dirr = 1\n"), none = home + "/none";
  const struct {
    Args args;
    int code;
  } cases[] = {{{"server", "config", "check", "--config", bad}, 2},
               {{"server", "config", "check", "--config", none}, 2},
               {{"server", "run", "--config", bad}, 2},
               {{"server", "run", "--config", none}, 2},
               {{"oidc", "verify", "--jwks", none, "--issuer", "https://a", "--audience", "b", "x"}, 1},
               {{"jose", "verify", "--jwks", none, "x"}, 1},
               {{"audit", "verify", "--file", none}, 1},
               {{"audit", "verify", "--file", none, "--root", "00"}, 1},
               {{"audit", "verify", "--log", none, "--checkpoint", none, "--key", none}, 1},
               {{"audit", "verify", "--receipt", none, "--key", none}, 1},
               {{"audit", "verify", "--receipt", none}, 1},
               {{"audit", "verify", "--quick"}, 1},
               {{"audit", "export", "--format", "tiles"}, 1},
               {{"apply", none}, 1},
               {{"policy", "simulate", none}, 2},
               {{"policy", "schema", none}, 2},
               {{"policy", "corpus", none}, 2},
               {{"policy", "authorize", "--policies", none, "--entities", none, "--request", none}, 2},
               {{"policy", "validate", "--policies", none, "--schema", none}, 2},
               {{"policy", "translate", "schema", none}, 2},
               {{"policy", "fmt", none}, 2},
               {{"policy", "authorize"}, 2},
               {{"help", "nothing"}, 6},
               {{"connect", "kafka/x"}, 1},
               {{}, 2},
               {{"grants"}, 2},
               {{"lss"}, 2},
               {{"ls", "--al"}, 2},
               {{"connect"}, 2},
               {{"-o", "yaml", "ls"}, 2},
               {{"login", "--server", "http://127.0.0.1:1"}, 7}};
  for (const auto& c : cases) {
    SCOPED_TRACE(joined(c.args));
    EXPECT_EQ(run(json_of(c.args)), c.code) << err;
    const auto doc = document();
    EXPECT_TRUE(doc.find("error") != nullptr || !doc.bool_or("ok", true)) << out;
  }
}

// Whatever stands at that address: no crash, no success that is none.
TEST_F(Cli, AStrangerAtTheServersAddressIsNoSuccess) {
  const HttpResponse strangers[] = {HttpResponse::html(200, "<h1>It works!</h1>"),
                                    HttpResponse::json(200, base::json::Array{}),
                                    HttpResponse::text(502, "bad gateway")};
  for (const auto& stranger : strangers) {
    server.always([&stranger](const HttpRequest&) { return stranger; });
    for (const auto& args : commands()) {
      if (args[0] == "version" || args[0] == "help" || args[0] == "server" || args.back() == "--undo") continue;
      SCOPED_TRACE(joined(args));
      EXPECT_NE(run(json_of(args)), 0);
      (void)document();
    }
  }
  // An object that holds nothing: the command may shrug, it may not fall over.
  server.always([](const HttpRequest&) { return HttpResponse::json(200, base::json::Object{}); });
  for (const auto& args : commands())
    for (const auto& a : {args, json_of(args)}) (void)run(a);
}

TEST_F(Cli, ExitCodesFollowTheServersAnswer) {
  const struct {
    int status;
    int code;
  } cases[] = {{400, 1}, {401, 4}, {403, 3}, {404, 6}, {409, 1}, {410, 8},
               {422, 1}, {429, 1}, {500, 1}, {503, 7}, {504, 7}, {507, 1}};
  for (const auto& c : cases) {
    server.on("GET /t/default/api/v1/roles", R"({"detail":"no","check":"x.y"})", c.status);
    EXPECT_EQ(run({"ls"}), c.code) << c.status;
  }
  io.env["DAYPASS_SERVER"] = "http://127.0.0.1:1";
  EXPECT_EQ(run({"ls"}), Exit::login_needed) << "the login is looked at before anything is dialled";
}

TEST_F(Cli, AnEndedLoginIsSaidAndNothingIsDialled) {
  log_in(std::chrono::minutes(-12));
  EXPECT_EQ(run({"ls"}), Exit::login_needed);
  EXPECT_EQ(
      err,
      "daypass: roles can't be listed\n  why:     the login ended 12m ago (login.ended)\n  do:      daypass login\n");
  EXPECT_EQ(server.count(""), 0U);
}

TEST_F(Cli, AnErrorIsFourLines) {
  server.on("GET /t/default/api/v1/roles", [](const HttpRequest& request) {
    return HttpResponse::problem({Code::denied, "policy.denied", "no permit matches", "daypass ls --all"},
                                 request.request_id);
  });
  EXPECT_EQ(run({"ls"}), Exit::denied);
  EXPECT_EQ(out, "");
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 4) << err;
  EXPECT_TRUE(
      err.starts_with("daypass: roles can't be listed\n  why:     no permit matches (policy.denied)\n  do:      "
                      "daypass ls --all\n  request: "))
      << err;
}

TEST_F(Cli, ASlipOfTheFingerIsRecognised) {
  const struct {
    Args args;
    std::string says;
  } cases[] = {{{"conect", "pg/orders"}, "did you mean daypass connect?"},
               {{"grants", "lst"}, "did you mean daypass grants ls?"},
               {{"-o", "json", "--server", "http://x", "loign"}, "did you mean daypass login?"},
               {{"ls", "--al"}, "did you mean --all?"},
               {{"connect", "pg/orders", "--rol", "x"}, "did you mean --role?"},
               {{"ls", "--serevr=x"}, "did you mean --server?"},
               {{"xyzzy"}, "daypass has no command xyzzy"},
               {{"grants", "show"}, "daypass grants show --help"},
               {{"ls", "-o", "yaml"}, "daypass ls --help"}};
  for (const auto& c : cases) {
    EXPECT_EQ(run(c.args), Exit::usage) << joined(c.args);
    EXPECT_NE(err.find(c.says), std::string::npos) << joined(c.args) << ": " << err;
  }
}

TEST_F(Cli, ABareNameIsAQuestion) {
  EXPECT_EQ(run({}), Exit::usage);
  EXPECT_EQ(out, "");
  EXPECT_NE(err.find("Usage: daypass"), std::string::npos) << err;
  EXPECT_EQ(run({"grants"}), Exit::usage);
  EXPECT_NE(err.find("extend"), std::string::npos) << err;
  EXPECT_EQ(err.find("doctor"), std::string::npos) << err;
}

TEST_F(Cli, HelpIsDataAndNamesItsCommand) {
  for (const auto& command : command_tree()) {
    Args args;
    for (std::size_t from = 0; from != std::string::npos;) {
      const std::size_t end = command.name.find(' ', from);
      args.push_back(command.name.substr(from, end == std::string::npos ? end : end - from));
      from = end == std::string::npos ? end : end + 1;
    }
    args.erase(args.begin());
    args.push_back("--help");
    EXPECT_EQ(run(args), 0) << command.name;
    EXPECT_NE(out.find("Usage: " + command.name), std::string::npos) << out;
    EXPECT_EQ(err, "");
  }
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_EQ(out, std::string("daypass ") + DAYPASS_VERSION + "\n");
}

TEST_F(Cli, LaterSourcesOfTheAddressWin) {
  const auto place = [this](const Globals& g = {}) {
    const Place p = find_place(io, g);
    return p.server + "|" + p.tenant + "|" + p.origin;
  };
  io.env.erase("DAYPASS_SERVER");
  testing_support::fs::remove_all(home + "/.local");
  EXPECT_EQ(place(), "http://127.0.0.1:8420|default|the built-in default");
  write(".config/daypass/config.toml", "server = \"https://one.example/\"\ntenant = \"t1\"\n");
  EXPECT_EQ(place(), "https://one.example|t1|the user's config.toml");
  log_in();
  EXPECT_EQ(place(), server.url() + "|default|the last login");
  io.env["DAYPASS_SERVER"] = "https://two.example";
  io.env["DAYPASS_TENANT"] = "t2";
  EXPECT_EQ(place(), "https://two.example|t2|DAYPASS_SERVER");
  Globals flags;
  flags.server = "https://three.example";
  flags.tenant = "t3";
  EXPECT_EQ(place(flags), "https://three.example|t3|--server");
}

TEST_F(Cli, TokensCrossNoNetworkInClear) {
  io.env["DAYPASS_SERVER"] = "http://192.0.2.1:8420";
  EXPECT_EQ(run({"login", "--no-browser"}), Exit::failed);
  EXPECT_NE(err.find("(http."), std::string::npos) << err;
}

TEST_F(Cli, CredentialsInEveryForm) {
  server.on(
      "POST /t/default/api/v1/credentials",
      R"({"user":"dp-1","password":"p@ss/w","database":"or ders'","host":"localhost","port":5433,"roles":["pg/orders/reader"],"login_ends_at":"2026-03-01T13:00:00Z"})",
      201);
  ASSERT_EQ(run({"creds", "pg/orders", "--format", "url"}), 0) << err;
  EXPECT_EQ(out, "postgresql://dp-1:p%40ss%2Fw@localhost:5433/or%20ders%27?sslmode=require\n");
  ASSERT_EQ(run({"creds", "pg/orders", "--format", "env"}), 0) << err;
  EXPECT_NE(out.find("PGDATABASE='or ders'\\'''\nPGUSER=dp-1\nPGPASSWORD='p@ss/w'\n"), std::string::npos) << out;
  ASSERT_EQ(run({"creds", "pg/orders", "--format", "json"}), 0) << err;
  EXPECT_EQ(document().string_or("password"), "p@ss/w");
  server.on("POST /t/default/api/v1/credentials", "{}", 403);
  EXPECT_EQ(run({"creds", "pg/orders", "--format", "json"}), Exit::denied);
  EXPECT_NE(document().find("error"), nullptr);
}

TEST_F(Cli, ConnectHandsPsqlAPasswordFileThatNobodyElseHas) {
  using testing_support::fs::perms;
  write("bin/psql",
        "#!/bin/sh\n{ cat \"$PGPASSFILE\"; cat \"$PGSSLROOTCERT\"; echo \"$PGSSLMODE $PGHOST $PGPORT $PGDATABASE "
        "$PGUSER ${PGPASSWORD:-none} $PGPASSFILE\"; echo \"$@\"; } > " +
            home + "/seen\nexit 42\n",
        perms::owner_all);
  io.env["PATH"] = home + "/bin:/usr/bin:/bin";
  io.env["PGPASSWORD"] = "of-another-server";
  EXPECT_EQ(run({"connect", "pg/orders", "--", "-c", "select 1"}), 42) << err;
  const std::string seen = read(home + "/seen");
  EXPECT_NE(seen.find("*:*:*:dp-1:pass\\:word\\\\1\n-----BEGIN CERTIFICATE-----\nverify-full localhost 5433 orders "
                      "dp-1 none /proc/self/fd/"),
            std::string::npos)
      << seen;
  EXPECT_NE(seen.find("-c select 1\n"), std::string::npos) << seen;
}

TEST_F(Cli, ARoleIsOneWordWhereverItStands) {
  using testing_support::fs::perms;
  write("bin/psql", "#!/bin/sh\necho \"$@\" > " + home + "/seen\n", perms::owner_all);
  io.env["PATH"] = home + "/bin:/usr/bin:/bin";
  std::string body;
  server.on("POST /t/default/api/v1/credentials", [&body](const HttpRequest& request) {
    body = request.body;
    return HttpResponse::json(201, base::json::Object{{"user", "u"}, {"password", "p"}});
  });
  const Args forms[] = {{"connect", "pg/orders", "--role", "reader", "--role", "writer", "--", "-X", "-c", "select"},
                        {"connect", "--role", "reader", "--role", "writer", "pg/orders", "--", "-X", "-c", "select"},
                        {"connect", "--role=reader", "pg/orders", "--role=writer", "--", "-X", "-c", "select"}};
  for (const auto& args : forms) {
    EXPECT_EQ(run(args), 0) << err;
    EXPECT_EQ(read(home + "/seen"), "-X -c select\n");
    EXPECT_EQ(body, R"({"target":"pg/orders","roles":["reader","writer"]})");
  }
}

TEST_F(Cli, ConnectWithoutPsqlAsksForNoCredential) {
  io.env["PATH"] = home;
  EXPECT_EQ(run({"connect", "pg/orders"}), Exit::not_found);
  EXPECT_NE(err.find("postgresql-client"), std::string::npos) << err;
  EXPECT_EQ(server.count(""), 0U);
}

TEST_F(Cli, ApplyWithoutATerminalNeedsYes) {
  EXPECT_EQ(run({"apply", folder}), Exit::failed);
  EXPECT_NE(err.find("--yes"), std::string::npos) << err;
  EXPECT_EQ(server.count("POST /t/default/api/v1/apply"), 1U) << "the plan alone";
  io.in_is_tty = true;
  io.in = [] { return std::string("n\n"); };
  EXPECT_EQ(run({"apply", folder}), Exit::failed);
  EXPECT_EQ(server.count("POST /t/default/api/v1/apply"), 2U);
  io.in = [] { return std::string("y\n"); };
  EXPECT_EQ(run({"apply", folder}), 0) << err;
  EXPECT_EQ(server.count("POST /t/default/api/v1/apply"), 4U);
}

TEST_F(Cli, ProblemsOfAFolderAreShownAndNothingIsApplied) {
  server.on(
      "POST /t/default/api/v1/apply",
      R"({"version":3,"plan":[],"problems":[{"text":"tenant.toml:3:1: unknown key"}],"warnings":[],"grants_ended":0})",
      422);
  EXPECT_EQ(run({"apply", folder, "--yes"}), Exit::usage);
  EXPECT_NE(err.find("tenant.toml:3:1: unknown key\n"), std::string::npos) << err;
  EXPECT_EQ(server.count("POST /t/default/api/v1/apply"), 1U);
}

TEST_F(Cli, SimulateSaysWhoWouldGainAndLoseAndExitsOne) {
  server.on(
      "POST /t/default/api/v1/policy/simulate",
      R"({"records":9,"unreadable":1,"complete":false,"newly_allowed":1,"newly_denied":1,"unchanged":7,"shifts":[{"record":"dc_1","principal":"corp/ann","at":"2026-03-01T12:00:00Z","role":"pg/orders/reader","verdict":"deny","policies":["night","freeze"],"why":"w"},{"record":"dn_2","principal":"corp/bob","at":"2026-03-01T13:00:00Z","role":"pg/orders/writer","verdict":"allow","policies":["all"],"why":"w"}],"unchanged_by":[{"policies":"data-read","decisions":7}],"problems":[],"warnings":["policies/p.cedar:1:1: never applies"]})");
  EXPECT_EQ(run({"policy", "simulate", folder}), Exit::failed);
  EXPECT_EQ(out,
            "newly denied   2026-03-01T12:00:00Z  corp/ann  pg/orders/reader  (night, freeze)\n"
            "newly allowed  2026-03-01T13:00:00Z  corp/bob  pg/orders/writer  (all)\n"
            "unchanged      7 by data-read\n"
            "1 newly allowed, 1 newly denied, 7 unchanged\n");
  EXPECT_NE(err.find("warning: policies/p.cedar:1:1: never applies\n"), std::string::npos) << err;
  EXPECT_NE(err.find("1 decision records can't be read"), std::string::npos) << err;
  EXPECT_NE(err.find("more records than were replayed (9)"), std::string::npos) << err;
  EXPECT_EQ(run({"policy", "simulate", folder, "-o", "json"}), Exit::failed);
  EXPECT_EQ(document().int_or("newly_denied", 0), 1);
  server.on(
      "POST /t/default/api/v1/policy/simulate",
      R"({"newly_allowed":0,"newly_denied":0,"unchanged":0,"problems":[{"text":"policies/p.cedar:3:9: x"}],"warnings":[]})",
      422);
  EXPECT_EQ(run({"policy", "simulate", folder}), Exit::usage);
  EXPECT_NE(err.find("policies/p.cedar:3:9: x\n"), std::string::npos) << err;
  EXPECT_EQ(out, "");
}

TEST_F(Cli, ExplainShowsWhatWouldTurnIt) {
  server.on(
      "GET /t/default/api/v1/explain",
      R"({"principal":"demo/sam","role":"pg/orders/reader","verdict":"deny","why":"no policy permits it","ask":"ask for more","policies":[{"policy":"p","effect":"permit","outcome":"not satisfied","place":"policies/p.cedar:1","parts":[{"part":"when","text":"when { a && b && c }","outcome":"failed","terms":[{"part":"term","text":"a","outcome":"held"},{"part":"term","text":"b","outcome":"failed"},{"part":"term","text":"c","outcome":"not_reached"}]}]}],"flip":{"verdict":"allow","changes":[{"fact":"context.mfa","now":"false","would_be":"true"}]}})");
  ASSERT_EQ(run({"policy", "explain", "pg/orders/reader"}), 0) << err;
  EXPECT_EQ(out,
            "demo/sam may not have pg/orders/reader: no policy permits it\nask for more\n\n"
            "permit p (not satisfied)  policies/p.cedar:1\n"
            "  ✗ when  when { a && b && c }\n"
            "      ✓ term  a\n      ✗ term  b\n      · term  c\n\n"
            "It would be allowed with:\n  context.mfa: true (now false)\n");
}

TEST_F(Cli, ADamagedAuditLogIsExitOne) {
  server.on("GET /t/default/api/v1/audit", R"({"size":2,"root":"00","records":["{}","{}"]})");
  EXPECT_EQ(run({"audit", "verify"}), Exit::failed);
  EXPECT_NE(err.find("audit.leaf"), std::string::npos) << err;
  server.on("GET /t/default/api/v1/audit", R"({"size":0,"root":"00","records":[]})");
  EXPECT_EQ(run({"audit", "verify"}), Exit::failed);
  EXPECT_NE(err.find("audit.root"), std::string::npos) << err;
}

TEST_F(Cli, AnExportOfAnySizeIsRead) {
  std::string big;
  for (int i = 0; i < 30'000; ++i) big += "{\"not\":\"a record, and there are more than a mebibyte of them\"}\n";
  EXPECT_EQ(run({"audit", "verify", "--file", write("log", big), "--root", "00"}), Exit::failed);
  EXPECT_NE(err.find("record 0 is damaged"), std::string::npos) << err;
}

TEST_F(Cli, AnInstallerIsWrittenAndNothingIsAsked) {
  EXPECT_EQ(run({"target", "installer", "--instance", "k3v9qz", "--login", "daypass broker", "--home", "orders",
                 "--database", "billing", "--group", "orders_read", "--group", "orders_write", "--longest", "8h"}),
            Exit::done)
      << err;
  for (const char* part : {"\\set ON_ERROR_STOP on", "\\connect \"orders\"", "\\connect \"billing\"",
                           "CREATE SCHEMA IF NOT EXISTS daypass_k3v9qz", "ARRAY['orders_read', 'orders_write']",
                           "make_interval(secs => 28800)", "\\password \"daypass broker\""})
    EXPECT_NE(out.find(part), std::string::npos) << part;
  EXPECT_EQ(run({"target", "installer", "--instance", "k3v9qz", "--login", "daypass", "--home", "orders", "--group",
                 "orders_read", "--uninstall"}),
            Exit::done);
  EXPECT_NE(out.find("DROP SCHEMA IF EXISTS daypass_k3v9qz"), std::string::npos);
  EXPECT_EQ(out.find("CREATE SCHEMA"), std::string::npos);
  for (const auto& [option, value, check] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"--instance", "K3", "installer.instance"},
           {"--login", "pg_monitor", "installer.login"},
           {"--heir", "orders_read", "installer.heir"},
           {"--database", "a=b", "installer.database"},
           {"--longest", "31d", "installer.longest"},
           {"--longest", "soon", "duration.syntax"},
           {"--connections", "0", "installer.connections"}}) {
    std::vector<std::string> words{"target", "installer", "--group", "orders_read", option, value};
    for (const auto& [name, good] : {std::pair{"--instance", "k3v9qz"}, {"--login", "daypass"}, {"--home", "orders"}})
      if (option != name) words.insert(words.end(), {name, good});
    EXPECT_EQ(run(words), Exit::usage) << option;
    EXPECT_NE(err.find(check), std::string::npos) << err;
    EXPECT_EQ(out, "") << "no half of a script";
  }
}

TEST_F(Cli, AReportSaysWhatNobodyUsedAndWhichPolicyToTighten) {
  server.on("GET /t/default/api/v1/reports/unused", R"json({"days":30,"at":"2026-03-01T12:00:00Z","roles":[
{"role":"pg/orders/writer","state":"not_given","since":"2025-12-01","grants":0,"connections":0,"objects":[],"policies":[{"id":"w","file":"p.cedar","line":3,"to":"","conditions":true,"this_role_alone":true}],"hint":"take out w (p.cedar:3)"},
{"role":"pg/orders/reader","state":"partly_used","since":"2025-12-01","grants":2,"connections":5,"last_used":"2026-02-28","objects":[{"schema":"s","name":"t","readable":true,"writable":true,"unused":true},{"schema":"s","name":"u","readable":true,"writable":false,"unused":false}],"more_objects":true,"policies":[]},
{"role":"pg/orders/all","state":"used","since":"2025-12-01","grants":1,"connections":1,"objects":[],"policies":[]}]})json");
  EXPECT_EQ(run({"report", "unused"}), 0) << err;
  EXPECT_EQ(out,
            "pg/orders/writer: nobody took it in 30 days\n  0 grants and 0 connections since 2025-12-01\n"
            "  policy w (p.cedar:3) gives it to everybody, under conditions\n  -> take out w (p.cedar:3)\n"
            "pg/orders/reader: 1 of 2 objects not used in 30 days\n"
            "  2 grants and 5 connections since 2025-12-01, last on 2026-02-28\n"
            "  not used: s.t (read, write)\n  and more than are listed\n");
  EXPECT_NE(err.find("3 roles, 2 shown"), std::string::npos) << err;
  EXPECT_EQ(run({"report", "unused", "-o", "name", "--all"}), 0);
  EXPECT_EQ(out, "pg/orders/writer\npg/orders/reader\npg/orders/all\n");
  EXPECT_EQ(run({"report", "unused", "-o", "json"}), 0);
  EXPECT_EQ(document().int_or("days", 0), 30);
  EXPECT_EQ(run({"report", "unused", "--days", "0"}), Exit::usage);
  EXPECT_EQ(run({"report", "unused", "--days", "3651"}), Exit::usage);
}

TEST_F(Cli, OrphansAreForTheOperatorsSocket) {
  EXPECT_EQ(run({"admin", "orphans"}), Exit::failed);
  EXPECT_NE(err.find("over the socket"), std::string::npos) << err;
}

// docs/reference/cli.md: "### `daypass grants ls`", then a table whose first column is `--option`.
TEST_F(Cli, TheReferenceNamesEveryCommandAndOption) {
  const std::string text = read("docs/reference/cli.md");
  ASSERT_FALSE(text.empty()) << "run from the top folder";
  std::map<std::string, std::set<std::string>> documented;
  std::set<std::string> with_example;
  std::string command;
  bool in_code = false;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    const std::string line = text.substr(from, end - from);
    from = end + 1;
    if (line.starts_with("```")) in_code = !in_code;
    if (in_code && line.starts_with("$ " + command)) with_example.insert(command);
    if (!in_code && line.starts_with("#"))
      command = line.starts_with("### `daypass") ? line.substr(5, line.rfind('`') - 5) : "";
    if (!in_code && line.starts_with("### `daypass")) documented[command];
    if (command.empty() || !line.starts_with("| `")) continue;
    const std::string first = line.substr(2, line.find(" |", 2) - 2);
    for (std::size_t at = first.find('`'); at != std::string::npos;) {
      const std::size_t close = first.find('`', at + 1);
      documented[command].insert(first.substr(at + 1, close - at - 1));
      at = first.find('`', close + 1);
    }
  }
  std::map<std::string, std::set<std::string>> real;
  for (const auto& c : command_tree()) {
    if (!c.runs && c.name != "daypass") continue;
    auto& options = real[c.name];
    for (const auto& o : c.options)
      if (c.name == "daypass" || (o != "--help" && o != "-h" && o != "--help-all")) options.insert(o);
    EXPECT_TRUE(with_example.contains(c.name)) << c.name << " has no example";
  }
  EXPECT_EQ(documented, real);
}

}  // namespace
}  // namespace daypass::app::cli
