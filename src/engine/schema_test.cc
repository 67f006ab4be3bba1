// The tenant's schema and what decisions are made on must say the same.
#include "engine/schema.h"

#include <gtest/gtest.h>

#include <set>

#include "base/entropy.h"
#include "cedar/schema_entities.h"
#include "engine/question.h"
#include "engine/test_support.h"

namespace daypass::engine {
namespace {

using core::AttributeType;

// Three identity providers that agree in part: `dept` is certain, `level` and `team` are not, `projects` only at one.
core::TenantSpec rich_spec() {
  core::TenantSpec s = test::spec("");
  s.idps.emplace_back().name = "third";
  s.idps[0].attributes = {{"dept", "d", AttributeType::string, true, ""},
                          {"level", "l", AttributeType::integer, true, ""},
                          {"projects", "p", AttributeType::string_set, true, ""}};
  s.idps[1].attributes = {{"dept", "d", AttributeType::string, true, ""},
                          {"level", "l", AttributeType::integer, false, ""},
                          {"active", "a", AttributeType::boolean, false, ""}};
  s.idps[2].attributes = {{"dept", "d", AttributeType::string, true, ""},
                          {"level", "l", AttributeType::integer, true, ""}};
  s.targets[0].attributes = {{"env", std::string("prod")}, {"tier", std::int64_t{1}}};
  s.targets[1].attributes = {{"env", std::string("test")}, {"owners", std::set<std::string>{"a", "b"}}};
  s.roles[0].attributes = {{"team", std::string("sales")}, {"audited", true}};
  return s;
}

std::shared_ptr<const Tenant> rich_tenant() {
  const Compiled compiled = compile(rich_spec(), test::catalog());
  for (const auto& problem : compiled.problems) ADD_FAILURE() << problem.render();
  return compiled.tenant;
}

std::uint32_t one_of(base::Entropy& entropy, std::uint32_t n) {
  std::uint8_t bytes[4];
  entropy.fill(bytes);
  return (std::uint32_t{bytes[0]} | std::uint32_t{bytes[1]} << 8U | std::uint32_t{bytes[2]} << 16U |
          std::uint32_t{bytes[3]} << 24U) %
         n;
}

// As a mapping would make it (idp/mapping.h): what is required is there, the rest may be.
core::Identity somebody(const core::TenantSpec& spec, base::Entropy& entropy) {
  const core::IdpSpec& idp = spec.idps[one_of(entropy, 3)];
  core::Identity who = test::person(idp.name, "s" + std::to_string(one_of(entropy, 9)), {});
  for (const auto& rule : idp.attributes) {
    if (!rule.required && one_of(entropy, 2) == 0) continue;
    switch (rule.type) {
      case AttributeType::string:
        who.attributes.emplace(rule.attribute, std::string("text"));
        break;
      case AttributeType::integer:
        who.attributes.emplace(rule.attribute, std::int64_t{one_of(entropy, 9)});
        break;
      case AttributeType::boolean:
        who.attributes.emplace(rule.attribute, one_of(entropy, 2) == 0);
        break;
      case AttributeType::string_set:
        who.attributes.emplace(rule.attribute, std::set<std::string>{"x"});
        break;
    }
  }
  for (const char* group : {"data", "ops"})
    if (one_of(entropy, 2) == 0) who.groups.insert(group);
  who.kind = static_cast<core::PrincipalKind>(one_of(entropy, 3));
  if (one_of(entropy, 2) == 0) who.acting_for = "corp/ann";
  if (one_of(entropy, 2) == 0) who.amr = {"pwd", "otp"};
  who.auth_time = base::WallTime(std::chrono::seconds(one_of(entropy, 2'000'000'000)));
  return who;
}

core::AccessRequest something(base::Entropy& entropy) {
  core::AccessRequest r;
  r.target = core::TargetId("pg/orders");
  if (one_of(entropy, 2) == 0) r.reason = "why";
  if (one_of(entropy, 2) == 0) r.wanted_duration = std::chrono::minutes(one_of(entropy, 600));
  const char* addresses[] = {"10.0.0.7", "2001:db8::1", "", "no address"};
  r.client_address = addresses[one_of(entropy, 4)];
  return r;
}

TEST(TenantSchema, EveryDecisionsFactsConform) {
  const auto t = rich_tenant();
  base::SeededEntropy entropy{11};
  std::set<std::string> seen;
  const auto note = [&seen](const std::string& type, const cedar::Record& record) {
    for (const auto& [name, value] : record) seen.insert(type + "." + name);
  };
  for (int i = 0; i < 500; ++i) {
    const core::Identity who = somebody(t->spec, entropy);
    const base::WallTime now{std::chrono::milliseconds(one_of(entropy, 4'000'000'000))};
    const Question question(*t, who, something(entropy), now);
    for (const cedar::Entities* layer = &question.entities; layer != nullptr; layer = layer->below())
      for (const auto& entity : layer->all()) {
        const auto status = cedar::check_entity(entity, t->schema);
        ASSERT_TRUE(status.ok()) << status.error().message;
        note(entity.uid.type, entity.attrs);
      }
    for (const auto& role : t->spec.roles) {
      const auto status = cedar::check_request(question.ask(role.id), t->schema);
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
    note("Context", question.context);
    const cedar::Request administer{
        question.principal, {"Action", "administer"}, {"Tenant", "default"}, question.context};
    const auto status = cedar::check_request(administer, t->schema);
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  // And nothing is declared that never comes.
  for (const auto& type : t->schema.entity_types()) {
    const auto json = t->schema.to_json();
    const auto* attributes =
        json.pointer("/" + json.as_object()->begin()->key + "/entityTypes/" + type.name + "/shape/attributes");
    if (attributes == nullptr || attributes->as_object() == nullptr) continue;
    for (const auto& [name, value] : *attributes->as_object())
      EXPECT_TRUE(seen.contains(type.name + "." + name)) << type.name << "." << name;
  }
  for (const char* name :
       {"acr", "amr", "auth_time", "client_ip", "mfa", "reason", "requested_duration", "time", "weekday"})
    EXPECT_TRUE(seen.contains(std::string("Context.") + name)) << name;
  EXPECT_GT(seen.size(), 20U);
}

TEST(TenantSchema, WhatIsCertainIsRequired) {
  const TenantSchema schema = tenant_schema(rich_spec());
  for (const char* line :
       {"  dept: String,\n", "  level?: Long,\n", "  projects?: Set<String>,\n", "  active?: Bool,\n",
        "  env: String,\n", "  tier?: Long,\n", "  owners?: Set<String>,\n", "  team: String,\n", "  audited?: Bool,\n",
        "  groups: Set<String>,\n", "  client_ip?: ipaddr,\n"})
    EXPECT_NE(schema.text.find(line), std::string::npos) << line << schema.text;
}

TEST(TenantSchema, OneNameHasOneType) {
  core::TenantSpec s = rich_spec();
  s.idps[1].attributes[0].type = AttributeType::integer;
  s.idps[2].attributes[0].type = AttributeType::integer;
  s.roles[1].attributes = {{"team", std::int64_t{3}}};
  s.targets[1].attributes["env"] = false;
  const Compiled c = compile(s, test::catalog());
  EXPECT_EQ(c.tenant, nullptr);
  ASSERT_EQ(c.problems.size(), 3U);
  EXPECT_EQ(
      c.problems[0].render(),
      "tenant.toml: attribute dept of principal is a String in idp corp and a Long in idp partner, give it one type, "
      "or two names");
  EXPECT_NE(c.problems[1].message.find("env"), std::string::npos);
  EXPECT_NE(c.problems[2].message.find("team"), std::string::npos);
}

TEST(TenantSchema, AnEmptyTenantHasOneToo) {
  core::TenantSpec s;
  s.tenant = core::TenantId("default");
  const TenantSchema schema = tenant_schema(s);
  EXPECT_TRUE(schema.problems.empty());
  EXPECT_EQ(schema.schema.entity_types().size(), 5U);
  EXPECT_EQ(schema.schema.actions().size(), 2U);
}

std::vector<config::Problem> problems(const std::string& policies, Origin origin = Origin::applied) {
  return compile(test::spec(policies), test::catalog(), nullptr, origin).problems;
}

TEST(CompileTypes, ASlipIsToldWithPlaceCaretAndHint) {
  const auto found = problems(
      "@id(\"p\")\npermit (principal, action == Action::\"assume\", resource)\nwhen { principal has level && "
      "principal.levl > 2 };");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].render(),
            "policies/p.cedar:3:31: policy p: principal has no attribute \"levl\"\n"
            "  when { principal has level && principal.levl > 2 };\n"
            "                                ^^^^^^^^^^^^^^\n"
            "  hint: did you mean \"level\"?");
}

TEST(CompileTypes, WhatMayBeMissingMustBeAskedFor) {
  const auto found =
      problems("permit (principal, action == Action::\"assume\", resource) when { principal.level > 2 };");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].render().find("has level"), std::string::npos) << found[0].render();
  EXPECT_TRUE(problems("permit (principal, action == Action::\"assume\", resource) when { principal has level && "
                       "principal.level > 2 };")
                  .empty());
  EXPECT_TRUE(
      problems("permit (principal, action == Action::\"assume\", resource) when { resource.target.env == \"prod\" };")
          .empty());
}

TEST(CompileTypes, AllProblemsOfAllFilesInOneRun) {
  core::TenantSpec s = test::spec(
      "permit (principal, action == Action::\"assume\", resource) when { principal.a };\n"
      "@duration(\"x\") permit (principal, action == Action::\"asume\", resource == Role::\"pg/orders/none\");");
  s.policies.push_back({"policies/q.cedar", "permit (principal, action, resource) when { context.tme == 1 };"});
  const Compiled c = compile(s, test::catalog());
  EXPECT_EQ(c.tenant, nullptr);
  std::string all;
  for (const auto& p : c.problems) all += p.render() + "\n";
  EXPECT_EQ(c.problems.size(), 5U) << all;
}

TEST(CompileTypes, APolicyThatCanNeverApplyIsAWarning) {
  const Compiled c =
      compile(test::spec("permit (principal, action == Action::\"assume\", resource) when { principal has nothing };"),
              test::catalog());
  ASSERT_NE(c.tenant, nullptr);
  ASSERT_EQ(c.warnings.size(), 1U);
  EXPECT_NE(c.warnings[0].render().find("policies/p.cedar:1:"), std::string::npos) << c.warnings[0].render();
}

TEST(CompileTypes, WhatIsInForceIsLoadedAndWarnedOf) {
  const std::string text = "permit (principal, action == Action::\"assume\", resource) when { principal.nothing };";
  EXPECT_FALSE(problems(text).empty());
  const Compiled c = compile(test::spec(text), test::catalog(), nullptr, Origin::stored);
  ASSERT_NE(c.tenant, nullptr);
  EXPECT_EQ(c.warnings.size(), 1U);
  EXPECT_FALSE(problems("permit (principal, action, resource", Origin::stored).empty()) << "what is no policy is none";
}

}  // namespace
}  // namespace daypass::engine
