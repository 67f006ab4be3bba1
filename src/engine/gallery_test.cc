// The policies that docs/policies.md shows: each compiles under the tenant's schema without a word, each decides its
// cases as its file says, and the page shows the very text.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/config.h"
#include "engine/decide.h"
#include "engine/test_support.h"

namespace daypass::engine {
namespace {

namespace fs = std::filesystem;
namespace json = base::json;

// Tests run from the top folder.
std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<fs::path> gallery() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator("examples/policies"))
    if (entry.path().extension() == ".cedar") out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

Compiled compiled(const fs::path& policy) {
  auto spec =
      config::parse_tenant(core::TenantId("default"), {{"tenant.toml", slurp("examples/policies/tenant.toml")},
                                                       {"policies/" + policy.filename().string(), slurp(policy)}});
  for (const auto& problem : spec.problems) ADD_FAILURE() << problem.render();
  return compile(std::move(spec.value), test::catalog());
}

base::WallTime time_or(const json::Value& value, std::string_view key, base::WallTime fallback) {
  const auto parsed = base::parse_rfc3339(value.string_or(key));
  return parsed.ok() ? *parsed : fallback;
}

std::set<std::string> strings(const json::Value* list) {
  std::set<std::string> out;
  if (list != nullptr && list->as_array() != nullptr)
    for (const auto& item : *list->as_array()) out.insert(*item.as_string());
  return out;
}

core::Identity who_asks(const json::Value& who, base::WallTime now) {
  core::Identity out = test::person("corp", "ann", strings(who.find("groups")));
  out.auth_time = time_or(who, "auth_time", now);
  for (const auto& method : strings(who.find("amr"))) out.amr.push_back(method);
  if (who.string_or("kind") == "agent") out.kind = core::PrincipalKind::agent;
  if (!who.string_or("acting_for").empty()) out.acting_for = who.string_or("acting_for");
  if (const json::Value* attributes = who.find("attributes"))
    for (const auto& [name, value] : *attributes->as_object())
      out.attributes.emplace(name, value.as_array() != nullptr ? core::AttributeValue(strings(&value))
                                                               : core::AttributeValue(*value.as_string()));
  return out;
}

bool allowed(const Tenant& tenant, const json::Value& one) {
  const base::WallTime now = time_or(one, "at", base::parse_rfc3339("2026-03-03T12:00:00Z").value());
  const core::Identity who = who_asks(*one.find("who"), now);
  core::AccessRequest request;
  request.reason = one.string_or("reason");
  if (!one.string_or("for").empty()) request.wanted_duration = base::parse_duration(one.string_or("for")).value();
  if (one.bool_or("administer", false)) return may_administer(tenant, who, request, now);
  const core::RoleId role = core::parse_role(one.string_or("role")).value();
  request.target = core::target_of(role);
  request.roles = {role};
  return decide(tenant, who, request, now).verdict == core::Verdict::allow;
}

TEST(Gallery, EachPolicyFitsTheSchemaWithoutAWord) {
  ASSERT_EQ(gallery().size(), 6U);
  for (const auto& policy : gallery()) {
    const Compiled c = compiled(policy);
    for (const auto& problem : c.problems) ADD_FAILURE() << problem.render();
    for (const auto& warning : c.warnings) ADD_FAILURE() << warning.render();
  }
}

TEST(Gallery, EachPolicyDecidesItsCases) {
  for (const auto& policy : gallery()) {
    const Compiled c = compiled(policy);
    ASSERT_NE(c.tenant, nullptr) << policy;
    const auto cases = json::parse(slurp(fs::path(policy).replace_extension(".json")));
    ASSERT_TRUE(cases.ok()) << policy << ": " << cases.error().message;
    std::size_t allows = 0, denies = 0;
    for (const auto& one : *cases->as_array()) {
      const bool expected = one.string_or("expect") == "allow";
      EXPECT_EQ(allowed(*c.tenant, one), expected) << policy << ": " << one.string_or("why");
      ++(expected ? allows : denies);
    }
    EXPECT_GT(allows, 0U) << policy;
    EXPECT_GT(denies, 1U) << policy;
  }
}

TEST(Gallery, ThePageShowsTheFilesAndNothingElse) {
  const std::string page = slurp("docs/policies.md");
  std::size_t shown = 0;
  for (std::size_t at = page.find("```cedar\n"); at != std::string::npos; at = page.find("```cedar\n", at + 1)) ++shown;
  EXPECT_EQ(shown, gallery().size());
  for (const auto& policy : gallery()) {
    EXPECT_NE(page.find("```cedar\n" + slurp(policy) + "```\n"), std::string::npos) << policy << " is not on the page";
    EXPECT_NE(page.find("examples/policies/" + policy.filename().string()), std::string::npos) << policy;
  }
}

TEST(Examples, TheTenantFitsItsSchemaWithoutAWord) {
  auto files = config::read_folder("examples/tenant");
  ASSERT_TRUE(files.ok()) << files.error().message;
  auto spec = config::parse_tenant(core::TenantId("default"), *files);
  ASSERT_TRUE(spec.ok());
  const Compiled c = compile(std::move(spec.value), test::catalog());
  for (const auto& problem : c.problems) ADD_FAILURE() << problem.render();
  for (const auto& warning : c.warnings) ADD_FAILURE() << warning.render();
}

}  // namespace
}  // namespace daypass::engine
