#include "engine/world.h"

#include <gtest/gtest.h>

#include "engine/test_support.h"

namespace daypass::engine {
namespace {

std::vector<config::Problem> problems(const std::string& policies) {
  return compile(test::spec(policies), test::catalog()).problems;
}

struct Bad {
  const char* policy;
  const char* says;
};

TEST(Compile, RefusesAnnotationsThatWouldNotLimit) {
  const std::string permit = "permit (principal, action == Action::\"assume\", resource);";
  for (const auto& [annotation, says] : std::initializer_list<Bad>{{"@duration(\"1 hour\")", "not a duration"},
                                                                   {"@duration(\"\")", "not a duration"},
                                                                   {"@duration(\"0s\")", "not a duration"},
                                                                   {"@idle(\"-5m\")", "not a duration"},
                                                                   {"@connections(\"0\")", "connections"},
                                                                   {"@connections(\"many\")", "connections"},
                                                                   {"@connections(\"1001\")", "connections"},
                                                                   {"@connections(\"99999999999\")", "connections"},
                                                                   {"@approvers(\"boss\")", "approvers"},
                                                                   {"@duraton(\"1h\")", "unknown annotation"},
                                                                   {"@Duration(\"1h\")", "unknown annotation"}}) {
    const auto found = problems(std::string("@id(\"p\") ") + annotation + " " + permit);
    ASSERT_EQ(found.size(), 1U) << annotation;
    EXPECT_NE(found[0].render().find(says), std::string::npos) << found[0].render();
    EXPECT_EQ(found[0].file, "policies/p.cedar");
    EXPECT_EQ(found[0].line, 1U);
  }
  EXPECT_TRUE(
      problems("@id(\"p\") @duration(\"90s\") @idle(\"1m\") @connections(\"1000\") @description(\"fine\") " + permit)
          .empty());
}

TEST(Compile, RefusesLimitsOnAForbid) {
  EXPECT_EQ(problems("@id(\"p\") @duration(\"1h\") forbid (principal, action, resource);").size(), 1U);
}

TEST(Compile, RefusesNamesThatDoNotExist) {
  for (const auto& [policy, says] : std::initializer_list<Bad>{
           {"permit (principal, action == Action::\"asume\", resource);", "asume"},
           {"permit (principal, action == Action::\"assume\", resource == Role::\"pg/orders/readr\");",
            "did you mean Role::\"pg/orders/reader\""},
           {"permit (principal, action == Action::\"assume\", resource in Target::\"pg/order\");", "pg/order"},
           {"permit (principal, action == Action::\"assume\", resource == Database::\"x\");", "can't be a resource"},
           {"permit (principal in Group::\"data\", action == Action::\"assume\", resource);", "identity provider"},
           {"permit (principal in Group::\"nobody/data\", action == Action::\"assume\", resource);",
            "identity provider"},
           {"permit (principal == Robot::\"x\", action == Action::\"assume\", resource);", "can't be a principal"}}) {
    const auto found = problems(policy);
    ASSERT_FALSE(found.empty()) << policy;
    EXPECT_NE(found[0].render().find(says), std::string::npos) << found[0].render();
  }
}

TEST(Compile, ReportsAllProblemsAndGivesNoTenant) {
  const Compiled c = compile(
      test::spec(
          "@duration(\"x\") permit (principal, action == Action::\"nothing\", resource == Role::\"pg/orders/none\");"),
      test::catalog());
  EXPECT_EQ(c.tenant, nullptr);
  EXPECT_EQ(c.problems.size(), 3U);
}

TEST(Compile, ReportsWhatIsNotCedar) {
  const auto found = problems("permit (principal, action, resource)\npermit");
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].file, "policies/p.cedar");
  EXPECT_GT(found[0].line, 0U);
}

TEST(Compile, RefusesUnknownKindsAndProtocols) {
  core::TenantSpec s = test::spec("");
  s.targets[0].id = core::TargetId("ora/orders");
  s.idps[0].protocol = "saml";
  const Compiled c = compile(s, test::catalog());
  EXPECT_EQ(c.tenant, nullptr);
  EXPECT_EQ(c.problems.size(), 2U);
}

TEST(Compile, KeepsObjectsWhoseSpecDidNotChange) {
  Catalog catalog = test::catalog();
  auto driver = std::make_shared<test::NoTargetDriver>();
  catalog.targets["pg"] = driver;
  const Compiled first = compile(test::spec(""), catalog);
  ASSERT_NE(first.tenant, nullptr);
  EXPECT_EQ(driver->made, 2);
  core::TenantSpec changed = test::spec("");
  changed.targets[1].settings.set("host", "elsewhere");
  const Compiled second = compile(changed, catalog, first.tenant.get());
  ASSERT_NE(second.tenant, nullptr);
  EXPECT_EQ(driver->made, 3);
  EXPECT_EQ(second.tenant->targets.at(core::TargetId("pg/orders")),
            first.tenant->targets.at(core::TargetId("pg/orders")));
  EXPECT_NE(second.tenant->targets.at(core::TargetId("pg/stock")),
            first.tenant->targets.at(core::TargetId("pg/stock")));
  EXPECT_EQ(second.tenant->idps.at("corp"), first.tenant->idps.at("corp"));
}

TEST(Plan, NamesEachChange) {
  const core::TenantSpec before = test::spec("x");
  core::TenantSpec after = test::spec("y");
  after.roles.pop_back();
  after.idps[0].display = "Corp";
  core::RoleSpec fresh;
  fresh.id = core::RoleId("pg/stock/writer");
  after.roles.push_back(fresh);
  const std::vector<std::string> wanted{"~ idp corp", "+ role pg/stock/writer", "- role pg/stock/reader",
                                        "~ policy file policies/p.cedar"};
  EXPECT_EQ(plan(before, after), wanted);
  EXPECT_TRUE(plan(before, before).empty());
}

}  // namespace
}  // namespace daypass::engine
