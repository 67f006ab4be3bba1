// What is only looked at: the marks of others, and what roles give. Over each kind of admin login.
#include <gtest/gtest.h>

#include <algorithm>

#include "conformance/target_postgres_world.h"

namespace daypass::test {
namespace {

class PgListing : public ::testing::TestWithParam<AdminKind> {
 protected:
  PgWorld& world = PgWorld::of(GetParam());
  PgServer& server = *world.server;

  /// "schema.table rw", in order.
  std::vector<std::string> given(const std::string& group, bool* all = nullptr) {
    const auto holdings = world.target().holdings({PgWorld::role("x", group)}, plenty);
    EXPECT_TRUE(holdings.ok()) << holdings.error().message;
    std::vector<std::string> out;
    if (!holdings.ok() || holdings->size() != 1) return out;
    if (all != nullptr) *all = holdings->front().all;
    for (const auto& o : holdings->front().objects)
      out.push_back(o.schema + "." + o.name + " " + (o.readable ? "r" : "") + (o.writable ? "w" : ""));
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Admin, PgListing,
                         ::testing::Values(AdminKind::limited, AdminKind::superuser, AdminKind::confined),
                         [](const auto& p) { return to_string(p.param); });

TEST_P(PgListing, StrangersCarryAMarkThatIsNotOurs) {
  const auto made = world.make();
  const std::string grant = "gr_" + std::string(26, 'q');
  const std::string theirs = "dp_other1_" + std::string(26, 'q');
  const auto role = [&](const std::string& name, const std::string& comment) {
    server.sql("CREATE ROLE \"" + name + "\"; COMMENT ON ROLE \"" + name + "\" IS '" + comment + "'");
  };
  role(theirs, "daypass other1 acme/" + grant);
  role("stranger_copy", "daypass " + world.instance() + " default/" + made.account.grant.id);
  role("stranger_scrap", "daypass other1 " + std::string(3000, 'x'));
  role("stranger_none", "daypass for the whole team");
  role("stranger; DROP ROLE x; --", "daypass");
  server.sql("ALTER ROLE \"" + theirs + "\" VALID UNTIL '2030-01-01 00:00:00+00'");
  const auto found = world.target().list_strangers(plenty);
  ASSERT_TRUE(found.ok()) << found.error().message;
  std::vector<std::string> told;
  for (const auto& s : *found) {
    // Other tests of this binary leave none, but a marked one of ours never is among them.
    EXPECT_NE(s.name, made.account.name);
    told.push_back(s.name + " " + s.instance + " " + s.tenant + "/" + s.grant);
  }
  const auto has = [&](const std::string& line) { return std::ranges::find(told, line) != told.end(); };
  EXPECT_TRUE(has(theirs + " other1 acme/" + grant));
  EXPECT_TRUE(has("stranger_copy " + world.instance() + " /")) << "a copied mark names no grant";
  EXPECT_TRUE(has("stranger_scrap other1 /"));
  for (const auto& line : told) EXPECT_FALSE(line.starts_with("stranger_none") || line.starts_with("stranger;"));
  const auto there = std::ranges::find(*found, theirs, &target::Stranger::name);
  ASSERT_NE(there, found->end());
  EXPECT_EQ(there->valid_until, base::parse_rfc3339("2030-01-01T00:00:00Z").value());
  // Whatever they are, nothing of ours lists them as its own.
  const auto owned = world.target().list_owned(plenty);
  ASSERT_TRUE(owned.ok());
  for (const auto& one : *owned) EXPECT_FALSE(one.name == theirs || one.name.starts_with("stranger"));
  server.sql("DROP ROLE \"" + theirs +
             "\"; DROP ROLE stranger_copy; DROP ROLE stranger_scrap; DROP ROLE stranger_none;"
             " DROP ROLE \"stranger; DROP ROLE x; --\"");
  EXPECT_EQ(world.revoke(made), "");
}

TEST_P(PgListing, HoldingsAreWhatAGroupReaches) {
  server.sql(R"sql(
CREATE ROLE shown; CREATE ROLE inner_group; GRANT inner_group TO shown;
CREATE SCHEMA shop; CREATE SCHEMA closed;
GRANT USAGE ON SCHEMA shop TO shown;
CREATE TABLE shop."Odd ""name" (a int, b int); GRANT SELECT ON shop."Odd ""name" TO shown;
CREATE TABLE shop.changed (a int); GRANT INSERT ON shop.changed TO shown;
CREATE TABLE shop.both (a int); GRANT SELECT, DELETE ON shop.both TO inner_group;
CREATE TABLE shop.columns (a int, b int); GRANT SELECT (a), UPDATE (b) ON shop.columns TO shown;
CREATE TABLE shop.everybody (a int); GRANT SELECT ON shop.everybody TO PUBLIC; GRANT SELECT ON shop.everybody TO shown;
CREATE TABLE shop.nobody (a int);
CREATE TABLE shop.referenced (a int); GRANT REFERENCES ON shop.referenced TO shown;
CREATE TABLE closed.hidden (a int); GRANT SELECT ON closed.hidden TO shown;
CREATE TABLE shop.parts (a int) PARTITION BY RANGE (a);
CREATE TABLE shop.part1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (1); GRANT SELECT ON shop.parts, shop.part1 TO shown;
CREATE VIEW shop.seen AS SELECT 1 AS a; GRANT SELECT ON shop.seen TO shown;
CREATE SEQUENCE shop.counter; GRANT USAGE, SELECT ON SEQUENCE shop.counter TO shown;
GRANT SELECT ON pg_catalog.pg_authid TO shown;
)sql",
             "orders");
  EXPECT_EQ(given("shown"), (std::vector<std::string>{"shop.Odd \"name r", "shop.both rw", "shop.changed w",
                                                      "shop.columns rw", "shop.parts r", "shop.seen r"}));
  const auto two = world.target().holdings({PgWorld::role("a", "shown"), PgWorld::role("b", "inner_group")}, plenty);
  ASSERT_TRUE(two.ok());
  ASSERT_EQ(two->size(), 2U);
  EXPECT_TRUE((*two)[1].objects.empty()) << "without USAGE on the schema nothing is reached";
  EXPECT_TRUE(given("no_such_group").empty());
  if (world.at_least(14)) {
    server.sql("GRANT pg_read_all_data TO inner_group", "orders");
    const auto all = given("shown");
    EXPECT_NE(std::ranges::find(all, "closed.hidden r"), all.end()) << "as the server itself would say";
    EXPECT_NE(std::ranges::find(all, "shop.nobody r"), all.end());
    server.sql("REVOKE pg_read_all_data FROM inner_group", "orders");
  }
  server.sql(
      "REVOKE SELECT ON pg_catalog.pg_authid FROM shown; DROP SCHEMA shop CASCADE; DROP SCHEMA closed CASCADE;"
      " DROP OWNED BY shown; DROP ROLE shown; DROP ROLE inner_group",
      "orders");
}

TEST_P(PgListing, HoldingsAreBounded) {
  server.sql(R"sql(
CREATE ROLE many; CREATE SCHEMA crowd; GRANT USAGE ON SCHEMA crowd TO many;
DO $$ BEGIN FOR i IN 1..1001 LOOP EXECUTE format('CREATE TABLE crowd.t%s ()', lpad(i::text, 4, '0')); END LOOP; END $$;
GRANT INSERT ON ALL TABLES IN SCHEMA crowd TO many;
)sql",
             "orders");
  bool all = true;
  EXPECT_EQ(given("many", &all).size(), target::most_holdings);
  EXPECT_FALSE(all);
  server.sql("DROP TABLE crowd.t1001", "orders");
  EXPECT_EQ(given("many", &all).size(), target::most_holdings);
  EXPECT_TRUE(all);
  server.sql("DROP SCHEMA crowd CASCADE; DROP ROLE many", "orders");
}

}  // namespace
}  // namespace daypass::test
