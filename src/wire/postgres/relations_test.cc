#include "wire/postgres/relations.h"

#include <gtest/gtest.h>

#include "wire/postgres/capture.h"

namespace daypass::wire::postgres {
namespace {

/// "a:r public.b:rw", in order; "!" at the end when it is not whole.
std::string named(std::string_view sql) {
  Relations relations;
  relations.add(sql);
  std::string out;
  for (const auto& [relation, use] : relations.named())
    out += (out.empty() ? "" : " ") + (relation.schema.empty() ? "" : relation.schema + ".") + relation.name + ":" +
           (use.read ? "r" : "") + (use.written ? "w" : "");
  return out + (relations.whole() ? "" : "!");
}

struct Case {
  const char* sql;
  const char* names;
};
void expect(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(named(c.sql), c.names) << c.sql;
}

TEST(Relations, OfQueries) {
  expect({
      {"SELECT 1", ""},
      {"SELECT * FROM orders", "orders:r"},
      {"select a.x, b.y from Orders a, public.Stock as b where a.id = b.id", "orders:r public.stock:r"},
      {"SELECT * FROM a JOIN b ON f(a.x, b.y) LEFT JOIN c USING (id, kind), d", "a:r b:r c:r d:r"},
      {"SELECT * FROM a NATURAL FULL OUTER JOIN b CROSS JOIN c x", "a:r b:r c:r"},
      {"SELECT * FROM (a JOIN (b JOIN c ON true) ON true), d", "a:r b:r c:r d:r"},
      {"SELECT x, y FROM a WHERE b IN (1, 2) GROUP BY c, d HAVING e ORDER BY f, g LIMIT 1 OFFSET 2", "a:r"},
      {"SELECT (SELECT max(x) FROM a), y FROM b WHERE EXISTS (SELECT 1 FROM c, d)", "a:r b:r c:r d:r"},
      {"SELECT * FROM a UNION ALL SELECT * FROM b EXCEPT TABLE c", "a:r b:r c:r"},
      {"TABLE a", "a:r"},
      {"TABLE ONLY a", "a:r"},
      {"SELECT * FROM ONLY a, ONLY (b), LATERAL (SELECT * FROM c) x, LATERAL f(a.x) y, d *", "a:r b:r c:r d:r"},
      {"SELECT * FROM f(1, 2), g() WITH ORDINALITY AS t(a, b), ROWS FROM (h(), i()) x, a", "a:r"},
      {"SELECT * FROM a TABLESAMPLE system (10), b", "a:r b:r"},
      {"SELECT * FROM a AS x(p, q), b", "a:r b:r"},
      {"VALUES (1, 2), (3, 4)", ""},
      {"(SELECT * FROM a) UNION (SELECT * FROM b)", "a:r b:r"},
      {"SELECT * FROM a FOR UPDATE OF b, c", "a:r"},
      {"SELECT * FROM a; SELECT * FROM b;; TABLE c", "a:r b:r c:r"},
      {"SELECT * FROM db.sales.orders", "sales.orders:r"},
      {"SELECT * FROM one.two.three.four", ""},
      {"SELECT count(*) FROM a WHERE x = ANY ($1) AND y > $2", "a:r"},
      {"SELECT 1 INTO TEMP TABLE made FROM a", "a:r"},
      {"EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM a", "a:r"},
      {"explain analyze verbose update a set x = 1", "a:rw"},
      {"EXPLAIN (SELECT * FROM a)", "a:r"},
      {"PREPARE p (int, text) AS SELECT * FROM a WHERE x = $1", "a:r"},
      {"DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT * FROM a, b FOR UPDATE", "a:r b:r"},
      {"CREATE TEMP TABLE made AS SELECT * FROM a", "a:r"},
      {"CREATE OR REPLACE VIEW v (x) AS SELECT x FROM a", "a:r"},
      {"CREATE MATERIALIZED VIEW v AS SELECT x FROM a, b WITH NO DATA", "a:r b:r"},
  });
}

TEST(Relations, OfChanges) {
  expect({
      {"INSERT INTO a (x, y) VALUES (1, 2), (3, 4) RETURNING x, y", "a:rw"},
      {"INSERT INTO a SELECT * FROM b, c ON CONFLICT (id) DO UPDATE SET x = 1, y = excluded.y", "a:rw b:r c:r"},
      {"INSERT INTO a AS t TABLE b", "a:w b:r"},
      {"INSERT INTO a DEFAULT VALUES", "a:w"},
      {"UPDATE ONLY a t SET x = EXTRACT(year FROM d), y = b.y FROM b, c WHERE true", "a:rw b:r c:r"},
      {"UPDATE a SET (x, y) = (SELECT p, q FROM b) WHERE z IN (SELECT z FROM a)", "a:rw b:r"},
      {"DELETE FROM a USING b, c JOIN d USING (id) WHERE true", "a:rw b:r c:r d:r"},
      {"DELETE FROM ONLY a *", "a:rw"},
      {"MERGE INTO a t USING (SELECT * FROM b) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET x = 1, y = 2"
       " WHEN NOT MATCHED THEN INSERT (x) VALUES (s.x) WHEN NOT MATCHED BY SOURCE THEN DELETE",
       "a:rw b:r"},
      {"MERGE INTO a USING b ON true WHEN MATCHED THEN DO NOTHING", "a:rw b:r"},
      {"TRUNCATE TABLE a, ONLY public.b RESTART IDENTITY CASCADE", "a:w public.b:w"},
      {"COPY a (x, y) FROM STDIN", "a:w"},
      {"COPY public.a TO STDOUT WITH (FORMAT csv)", "public.a:r"},
      {"COPY (SELECT * FROM a JOIN b USING (id)) TO STDOUT", "a:r b:r"},
      {"LOCK TABLE a, b IN ACCESS SHARE MODE", "a:r b:r"},
  });
}

TEST(Relations, CtesAreNoTablesWhereTheyAreKnown) {
  expect({
      {"WITH x AS (SELECT * FROM a) SELECT * FROM x", "a:r"},
      {"WITH x (p, q) AS MATERIALIZED (SELECT * FROM a), y AS NOT MATERIALIZED (SELECT * FROM x, b) SELECT * FROM y, "
       "x, c",
       "a:r b:r c:r"},
      // In its own body the name is still the table.
      {"WITH orders AS (SELECT * FROM orders) SELECT * FROM orders", "orders:r"},
      {"WITH orders AS (SELECT 1) SELECT * FROM orders", ""},
      {"WITH orders AS (SELECT 1) SELECT * FROM public.orders", "public.orders:r"},
      {"WITH RECURSIVE t AS (SELECT 1 UNION SELECT n FROM t, a) SELECT * FROM t", "a:r"},
      // What is changed is a table, whatever a CTE is called.
      {"WITH orders AS (SELECT 1) INSERT INTO orders SELECT * FROM orders", "orders:w"},
      {"WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone", "a:rw b:w"},
      {"WITH x AS (SELECT 1) UPDATE a SET y = x.y FROM x", "a:rw"},
      {"WITH x AS (SELECT 1) DELETE FROM a USING x", "a:rw"},
      {"SELECT * FROM (WITH x AS (SELECT * FROM a) SELECT * FROM x) t, x", "a:r x:r"},
      {"SELECT * FROM (SELECT * FROM x) t; WITH x AS (SELECT 1) SELECT * FROM x; SELECT * FROM x", "x:r"},
      {"WITH \"X\" AS (SELECT 1) SELECT * FROM \"X\", X", "x:r"},
      {"WITH t AS (SELECT 1) SEARCH DEPTH FIRST BY a, b SET o, u AS (SELECT 2) SELECT * FROM t, u", ""},
  });
}

TEST(Relations, WhatOnlyLooksLikeOne) {
  expect({
      {"SELECT 'FROM a', E'\\' FROM b', $$ FROM c $$, $q$ FROM d $q$ FROM e -- FROM f\n/* FROM g /* FROM h */ */",
       "e:r"},
      {"SELECT extract(epoch FROM a), substring(b FROM 1 FOR 2), trim(both 'x' FROM c), overlay(d PLACING e FROM 3)",
       ""},
      {"SELECT extract(epoch FROM (SELECT max(x) FROM a))", "a:r"},
      {"SELECT * FROM a WHERE x IS DISTINCT FROM y AND z IS NOT DISTINCT FROM w", "a:r"},
      {"SELECT t.from, t.join, t.table, 1 AS from, 2 AS into, 3 AS update FROM a t", "a:r"},
      // Verbs that are columns or labels here: what is read is not taken for changed.
      {"SELECT delete FROM a", "a:r"},
      {"SELECT (x) delete FROM a", "a:r"},
      {"SELECT (x) update FROM a", "a:r"},
      {"SELECT insert INTO made FROM a", "a:r"},
      {"SELECT * FROM a set, b rows, c values", "a:r b:r c:r"},
      {"REVOKE SELECT ON a FROM bob", ""},
      {"GRANT UPDATE ON a TO bob", ""},
      {"FETCH 5 FROM cur", ""},
      {"SET search_path FROM CURRENT", ""},
      {"CREATE TABLE made (x int REFERENCES a ON DELETE CASCADE)", ""},
      {"CREATE TRIGGER t AFTER UPDATE ON a FROM b EXECUTE FUNCTION f()", ""},
      {"DO $$ BEGIN DELETE FROM a; END $$", ""},
      {"CALL f('a')", ""},
      {"BEGIN; COMMIT", ""},
      {"PREPARE TRANSACTION 'x'", ""},
      {"SELECT * FROM", ""},
      {"SELECT * FROM WHERE x", ""},
      {"SELECT * FROM 'a', 1, b", "b:r"},
      {"SELECT * FROM pg_catalog.pg_class, information_schema.tables, pg_temp.x, a", "a:r"},
      {")))) SELECT * FROM a", ""},
      {"SELECT * FROM a )))), b", "a:r b:r"},
  });
}

TEST(Relations, NamesAsTheServerReadsThem) {
  expect({
      {"SELECT * FROM \"Orders\", ORDERS, \"a\"\"b\", \"S p\" . \"t.u\"", "Orders:r a\"b:r orders:r S p.t.u:r"},
      {"SELECT * FROM U&\"d\\0061t\\+000061\", u&\"a\\\\b\"", "a\\b:r data:r"},
      {"SELECT * FROM U&\"d!0061ta\" UESCAPE '!', b", "b:r!"},
      {"SELECT * FROM U&\"\\00\", b", "b:r!"},
      {"SELECT * FROM \"\"", "!"},
      {"SELECT * FROM größe, \"Größe\", ЗАКАЗЫ", "Größe:r größe:r ЗАКАЗЫ:r"},
      {"SELECT * FROM/**/a/**/./**/b", "a.b:r"},
  });
  const std::string longest(63, 'a');
  EXPECT_EQ(named("SELECT * FROM " + longest + "bcd"), longest + ":r");
  EXPECT_EQ(named("SELECT * FROM " + std::string(62, 'a') + "ü"), std::string(62, 'a') + ":r");
}

TEST(Relations, WhatCantBeReadToItsEndIsSaid) {
  expect({
      {"SELECT * FROM a, \"b", "a:r!"},
      {"SELECT * FROM a WHERE x = 'unfinished FROM b", "a:r!"},
      {"SELECT * FROM a /* FROM b", "a:r!"},
      {"SELECT 'a\\' FROM b", "!"},
  });
  Relations cut;
  cut.add(*capture_text("SELECT * FROM a, b", true));
  EXPECT_FALSE(cut.whole());
  EXPECT_EQ(cut.named().size(), 2U);
  Relations hidden;
  hidden.add(*capture_text("SELECT 'password', 'x FROM secrets", false));
  EXPECT_FALSE(hidden.whole());
  EXPECT_EQ(named(std::string(500, '(') + "SELECT * FROM a"), "!");
}

TEST(Relations, AreBounded) {
  Relations relations;
  for (std::size_t i = 0; i < Relations::most; ++i) relations.add("TABLE t" + std::to_string(i));
  EXPECT_TRUE(relations.whole());
  relations.add("TABLE t0");
  EXPECT_TRUE(relations.whole()) << "known already";
  relations.add("TABLE another");
  EXPECT_FALSE(relations.whole());
  EXPECT_EQ(relations.named().size(), Relations::most);
}

TEST(Relations, WhichRecordsMakeUseOfRights) {
  const auto used = [](Record::Kind kind, Record::Outcome outcome, const char* state = "") {
    Record record;
    record.kind = kind;
    record.outcome = outcome;
    record.sqlstate = state;
    return exercises_rights(record);
  };
  using enum Record::Kind;
  using enum Record::Outcome;
  EXPECT_TRUE(used(query, ok));
  EXPECT_TRUE(used(execute, ok));
  EXPECT_TRUE(used(execute, suspended));
  EXPECT_TRUE(used(query, unknown)) << "cut while it ran";
  EXPECT_TRUE(used(query, failed, "23505")) << "a constraint is looked at behind the right";
  EXPECT_TRUE(used(query, failed, "57014"));
  EXPECT_FALSE(used(query, failed, "42501")) << "no permission";
  EXPECT_FALSE(used(query, failed, "42P01"));
  EXPECT_FALSE(used(execute, failed, "25P02"));
  EXPECT_FALSE(used(prepare, ok));
  EXPECT_FALSE(used(bind, ok));
  EXPECT_FALSE(used(call, ok));
}

}  // namespace
}  // namespace daypass::wire::postgres
