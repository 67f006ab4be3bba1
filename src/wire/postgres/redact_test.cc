#include "wire/postgres/redact.h"

#include <gtest/gtest.h>

#include "wire/postgres/capture.h"
#include "wire/postgres/sql_lexer.h"
#include "wire/postgres/test_bytes.h"

namespace daypass::wire::postgres {
namespace {

using namespace std::string_literals;

TEST(Redact, TakesTheLiteralBehindPasswordOutOfRoleStatements) {
  struct Case {
    const char* sql;
    const char* clean;
  };
  for (const Case& c : {
           Case{"CREATE ROLE a LOGIN PASSWORD 'hunter2' VALID UNTIL '2026-01-01'",
                "CREATE ROLE a LOGIN PASSWORD '<redacted>' VALID UNTIL '2026-01-01'"},
           {"alter user a with encrypted password 'hunter2'", "alter user a with encrypted password '<redacted>'"},
           {"Create Group g Password\n\t'hunter2'", "Create Group g Password\n\t'<redacted>'"},
           {"ALTER ROLE a PASSWORD E'hun\\'ter2' IN ROLE b", "ALTER ROLE a PASSWORD '<redacted>' IN ROLE b"},
           {"ALTER ROLE a PASSWORD e'\\\\' CONNECTION LIMIT 5",
            "ALTER ROLE a PASSWORD '<redacted>' CONNECTION LIMIT 5"},
           {"ALTER ROLE a PASSWORD $$hunter2$$", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD $x$hun$$ter2$x$;", "ALTER ROLE a PASSWORD '<redacted>';"},
           {"ALTER ROLE a PASSWORD U&'hunter!0032' UESCAPE '!'", "ALTER ROLE a PASSWORD '<redacted>' UESCAPE '!'"},
           {"ALTER ROLE a PASSWORD N'hunter2'", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD 'hun''ter2'", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD 'hun'\n'ter2'", "ALTER ROLE a PASSWORD '<redacted>'\n'<redacted>'"},
           {"ALTER ROLE a PASSWORD 'hun' -- c\n 'ter2'", "ALTER ROLE a PASSWORD '<redacted>' -- c\n '<redacted>'"},
           {"ALTER ROLE a PASSWORD/*x*/'hunter2'", "ALTER ROLE a PASSWORD/*x*/'<redacted>'"},
           {"/* ; */ ALTER /*/**/*/ ROLE a PASSWORD 'hunter2'", "/* ; */ ALTER /*/**/*/ ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE \"a;b\" PASSWORD 'hunter2'", "ALTER ROLE \"a;b\" PASSWORD '<redacted>'"},
           {"ALTER USER a PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy'",
            "ALTER USER a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD NULL", "ALTER ROLE a PASSWORD NULL"},
           {"ALTER ROLE a VALID UNTIL 'infinity'", "ALTER ROLE a VALID UNTIL 'infinity'"},
           {"select 'x'; alter role a password 'hunter2'; select 'y'",
            "select 'x'; alter role a password '<redacted>'; select 'y'"},
       }) {
    EXPECT_EQ(redact(c.sql).text, c.clean);
    EXPECT_EQ(redact(c.sql).changed, std::string_view(c.sql) != c.clean) << c.sql;
  }
}

TEST(Redact, TakesAllLiteralsWhereOptionsOrConnectionStringsStand) {
  for (const std::string sql : {
           "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'bob', password 'hunter2')",
           "ALTER USER MAPPING FOR a SERVER s OPTIONS (SET passcode 'hunter2')",
           "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (key 'hunter2')",
           "ALTER SERVER s OPTIONS (ADD token 'hunter2')",
           "CREATE FOREIGN DATA WRAPPER w OPTIONS (token 'hunter2')",
           "CREATE SUBSCRIPTION s CONNECTION 'host=h passfile=hunter2' PUBLICATION p",
           "ALTER SUBSCRIPTION s CONNECTION $$host=h key=hunter2$$",
           "SELECT dblink_connect('c', 'host=h password=hunter2')",
           "SELECT dblink_connect('postgresql://bob:hunter2@h/db')",
           "SELECT E'POSTGRES://bob:hunter2@h'",
           "ALTER SYSTEM SET primary_conninfo = 'host=h password=hunter2'",
           "UPDATE users SET password = 'hunter2' WHERE id = 5",
           "UPDATE users SET password_hash = crypt('hunter2', gen_salt('bf'))",
           "INSERT INTO users (\"Password\") VALUES ('hunter2')",
           "DO $$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''hunter2'''; END $$",
           "CREATE FUNCTION f() RETURNS void LANGUAGE plpython3u AS $f$ plpy.execute(\"ALTER ROLE a PASSWORD "
           "'hunter2'\") $f$",
           "ALTER ROLE a SET app.dsn = 'password=hunter2'",
           "ALTER ROLE a PASSWORD + 'hunter2'",
           "PREPARE p AS ALTER ROLE a PASSWORD 'hunter2'",
           "EXPLAIN ALTER ROLE a PASSWORD 'hunter2'",
           "SELECT 1 /* ALTER ROLE a PASSWORD 'hunter2' */",
           "SELECT 1 -- ALTER ROLE a PASSWORD 'hunter2'\n + 2",
       }) {
    const Redacted clean = redact(sql);
    EXPECT_EQ(clean.text.find("hunter2"), std::string::npos) << clean.text;
    EXPECT_TRUE(clean.changed) << sql;
  }
}

// Text cut at the capture limit, or text that reads in two ways by standard_conforming_strings.
TEST(Redact, InDoubtTakesEverythingToTheEnd) {
  struct Case {
    const char* sql;
    const char* clean;
  };
  for (const Case& c : {
           Case{"ALTER ROLE a PASSWORD 'hunt", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD $x$hunt$x", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD E'hunt\\'", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD 'hun\\'ter2'", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"SELECT 'a\\'; ALTER ROLE a PASSWORD ''hunter2'", "SELECT '<redacted>'"},
           {"ALTER ROLE a PASSWORD 'it's hunter2'", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD 'hun'ter2'x'", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"ALTER ROLE a PASSWORD 'hun';ter2'", "ALTER ROLE a PASSWORD '<redacted>'"},
           {"SELECT 1; ALTER ROLE a VALID UNTIL 'x' PASSWORD 'hun' ter2'",
            "SELECT 1; ALTER ROLE a VALID UNTIL '<redacted>'"},
           {"ALTER ROLE a /* open PASSWORD 'hunter2'", "ALTER ROLE a '<redacted>'"},
           {"ALTER ROLE \"a PASSWORD 'hunter2'", "ALTER ROLE '<redacted>'"},
       }) {
    EXPECT_EQ(redact(c.sql).text, c.clean);
    EXPECT_TRUE(redact(c.sql).changed);
  }
  // Cut anywhere, no piece of the secret longer than the cut allows survives: none at all.
  const std::string sql = "CREATE USER a PASSWORD 'hunter2' VALID UNTIL 'x'; ALTER ROLE b PASSWORD $$hunter2$$";
  for (std::size_t cut = 0; cut <= sql.size(); ++cut) {
    EXPECT_EQ(redact(sql.substr(0, cut)).text.find("hu"), std::string::npos) << cut;
  }
}

TEST(Redact, LeavesEverythingElseAlone) {
  for (const std::string sql :
       {"", "SELECT 1", "SELECT 'a' || \"b\" || $$c$$", "select * from t where name = 'o''brien' -- x",
        "COPY t FROM PROGRAM 'curl x'", "SELECT 'a\\'", "select 'unterminated", "SELECT $1, $2",
        "SELECT 'http://example.org/'", "SELECT a.server, b.mapping FROM t WHERE x = 'kept'", "SELECT 'me@example.org'",
        "SET search_path = 'a'", "CREATE ROLE a", "DROP SERVER s", "COMMENT ON SUBSCRIPTION s IS 'kept'"}) {
    EXPECT_EQ(redact(sql).text, sql);
    EXPECT_FALSE(redact(sql).changed) << sql;
  }
}

TEST(Redact, PrefilterSeesEveryWordInAnyCase) {
  for (const char* sql : {"password", "PASSWORD", "xPassWordx", "user mapping", "MAPPING", "server", "SeRvEr",
                          "subscription", "SUBSCRIPTION", "wrapper", "Wrapper", "a://b"}) {
    EXPECT_TRUE(may_hold_secret(sql)) << sql;
    EXPECT_TRUE(may_hold_secret("select 1; "s + sql + " ...")) << sql;
  }
  for (const char* sql : {"", "passwor", "assword", "passw", "w", "g", "v", "b", ":", "mappin", "serve", "erver",
                          "subscriptio", "wrappe", "//x", ":/ /", "select a::text"}) {
    EXPECT_FALSE(may_hold_secret(sql)) << sql;
  }
}

std::vector<std::string> pieces(const std::string& sql) {
  std::vector<std::string> out;
  const std::vector<std::size_t> starts = split_statements(sql);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::size_t end = i + 1 < starts.size() ? starts[i + 1] : sql.size();
    out.push_back(sql.substr(starts[i], end - starts[i]));
  }
  return out;
}

TEST(SplitStatements, AsTheServerCountsThem) {
  using P = std::vector<std::string>;
  EXPECT_EQ(pieces("a"), P{"a"});
  EXPECT_EQ(pieces(""), P{""});
  EXPECT_EQ(pieces(";;"), P{";;"});
  EXPECT_EQ(pieces("a;"), P{"a;"});
  EXPECT_EQ(pieces("a; b"), (P{"a;", " b"}));
  EXPECT_EQ(pieces("a; -- end\n"), P{"a; -- end\n"});
  EXPECT_EQ(pieces(";a;;b;;"), (P{";a;", ";b;;"}));
  EXPECT_EQ(pieces("/* ; */ a; /* ; */ b"), (P{"/* ; */ a;", " /* ; */ b"}));
  EXPECT_EQ(pieces("a ';' ; b \";\" ; c $$;$$ ; d $x$;$$;$x$"),
            (P{"a ';' ;", " b \";\" ;", " c $$;$$ ;", " d $x$;$$;$x$"}));
  EXPECT_EQ(pieces("create rule r as on x do (a; b); c"), (P{"create rule r as on x do (a; b);", " c"}));
  const std::string body =
      "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END;";
  EXPECT_EQ(pieces(body + " x"), (P{body, " x"}));
  EXPECT_EQ(pieces("BEGIN; SELECT 1; END; x"), (P{"BEGIN;", " SELECT 1;", " END;", " x"}));
  EXPECT_EQ(pieces("a E'\\';' ; b"), (P{"a E'\\';' ;", " b"}));
}

TEST(Capture, CutsAtCharactersAndStaysUtf8) {
  const std::string e_acute = "\xc3\xa9";
  std::string sql(kTextMax - 1, 'x');
  auto text = capture_text(sql + e_acute + "y", true);
  EXPECT_EQ(text->sql, sql);
  EXPECT_TRUE(text->truncated);
  EXPECT_EQ(capture_text("select '\xff\xc3' \xe2\x82", false)->sql, "select '\?\?' \?\?");
  EXPECT_EQ(capture_text("select '\xe2\x82\xac'", false)->sql, "select '\xe2\x82\xac'");
  EXPECT_EQ(capture_text("a\0b"s, true)->sql, "a");
  EXPECT_FALSE(capture_text("a\0b"s, true)->truncated);
  text = capture_text("alter role a password 'x'", false);
  EXPECT_TRUE(text->redacted);
}

}  // namespace
}  // namespace daypass::wire::postgres
