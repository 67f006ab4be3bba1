// The shapes that vendors document, each through a whole login with tokens signed by a test key; and beside each its
// tampered twins, refused for the right check. The files in testdata/ say which page they follow.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "idp/oidc/discovery.h"
#include "idp/oidc/oidc.h"
#include "idp/oidc/scripted_op.h"

namespace daypass::idp::oidc {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;
using std::chrono::seconds;
using testing::HandClock;
using testing::ScriptedOp;

constexpr const char* folder = "src/idp/oidc/testdata";

Value read(const std::filesystem::path& path) {
  std::ifstream in(path);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  auto value = base::json::parse(text);
  EXPECT_TRUE(value.ok()) << path << ": " << (value.ok() ? "" : value.error().message);
  return value.ok() ? *value : Value();
}

core::AttributeType type_from(const std::string& name) {
  if (name == "integer") return core::AttributeType::integer;
  if (name == "boolean") return core::AttributeType::boolean;
  if (name == "string_set") return core::AttributeType::string_set;
  EXPECT_EQ(name, "string");
  return core::AttributeType::string;
}

core::IdpSpec spec_from(const Value& v) {
  core::IdpSpec spec;
  spec.name = "corp";
  spec.issuer = v.string_or("issuer");
  spec.client_id = v.string_or("client_id");
  spec.client_secret.ref = "env:SECRET";
  spec.subject_from = v.string_or("subject_from");
  spec.display_from = v.string_or("display_from");
  spec.groups_from = v.string_or("groups_from");
  spec.groups_pattern = v.string_or("groups_pattern");
  spec.groups_required = v.bool_or("groups_required", false);
  spec.overage = v.string_or("overage") == "fetch" ? core::Overage::fetch : core::Overage::refuse;
  spec.overage_url = v.string_or("overage_url");
  if (const Value* scopes = v.find("scopes"))
    for (const auto& scope : *scopes->as_array()) spec.scopes.push_back(*scope.as_string());
  if (const Value* rules = v.find("attributes"))
    for (const auto& r : *rules->as_array())
      spec.attributes.push_back({r.string_or("attribute"), r.string_or("from"),
                                 type_from(r.string_or("type", "string")), r.bool_or("required", false),
                                 r.string_or("pattern")});
  return spec;
}

/// One login at a provider that sends these claims; "$nonce" and "$at_hash" stand for the right values.
base::Result<Finished> login(const core::IdpSpec& spec, const Object& claims, const Value* graph) {
  HandClock clock;
  base::SeededEntropy entropy(7);
  const base::Log log(clock, base::Level::error, base::log_to_nowhere());
  ScriptedOp op(clock, spec.issuer, spec.client_id, "secret");
  if (graph != nullptr) op.graph = *graph->as_object();
  op.edit_claims = [&](Object& signed_claims) {
    Object out = claims;
    for (const auto& [name, value] : claims)
      if (value == Value("$nonce") || value == Value("$at_hash")) out.set(name, *signed_claims.find(name));
    signed_claims = out;
  };
  const auto driver =
      make_oidc_driver(clock, entropy, log, op.fetch(), [](const core::TenantId&, const core::SecretRef&) {
        return base::Result<base::Secret>(base::Secret(std::string_view("secret")));
      });
  DP_TRY(const auto provider, driver->make(core::TenantId("default"), spec));
  DP_TRY(const auto begun, provider->begin({"https://dp.example/cb", false}, seconds(10)));
  return provider->finish(op.authorize(begun.authorization_url), begun.pending, seconds(10));
}

/// Every member of `expected` is compared; the first difference is said.
void expect_identity(const core::Identity& who, const Value& expected, const std::string& name) {
  for (const auto& [key, value] : *expected.as_object()) {
    Value got;
    if (key == "subject")
      got = who.subject;
    else if (key == "display")
      got = who.display;
    else if (key == "groups")
      got = Array(who.groups.begin(), who.groups.end());
    else if (key == "attributes")
      got = core::to_json(who.attributes);
    else if (key == "acr")
      got = who.acr;
    else if (key == "amr")
      got = Array(who.amr.begin(), who.amr.end());
    else if (key == "sid")
      got = who.idp_sessions.empty() ? "" : who.idp_sessions.front();
    else if (key == "auth_time")
      got = std::chrono::floor<seconds>(who.auth_time).time_since_epoch().count();
    else
      ADD_FAILURE() << name << ": unknown expectation " << key;
    if (key == "attributes") {
      ASSERT_NE(value.as_object(), nullptr);
      EXPECT_EQ(got.as_object()->size(), value.as_object()->size()) << name << ": " << base::json::dump(got);
      for (const auto& [attribute, wanted] : *value.as_object()) {
        ASSERT_NE(got.find(attribute), nullptr) << name << ": no attribute " << attribute;
        EXPECT_EQ(*got.find(attribute), wanted) << name << ": " << attribute;
      }
    } else {
      EXPECT_EQ(got, value) << name << ": " << key << " is " << base::json::dump(got);
    }
  }
  EXPECT_EQ(who.idp, "corp");
}

void expect_outcome(const base::Result<Finished>& result, const Value& expected, const std::string& name) {
  const std::string check = expected.string_or("check");
  if (!check.empty()) {
    ASSERT_FALSE(result.ok()) << name << ": let in, expected " << check;
    EXPECT_EQ(result.error().check, check) << name << ": " << result.error().message;
    return;
  }
  ASSERT_TRUE(result.ok()) << name << ": " << result.error().check << ": " << result.error().message;
  expect_identity(result->identity, expected, name);
}

Object tampered(Object claims, const Value& twin) {
  if (const Value* remove = twin.find("remove"))
    for (const auto& name : *remove->as_array()) {
      EXPECT_NE(claims.find(*name.as_string()), nullptr) << "a twin that removes nothing: " << twin.string_or("name");
      claims.erase(*name.as_string());
    }
  if (const Value* set = twin.find("set"))
    for (const auto& [name, value] : *set->as_object()) claims.set(name, value);
  return claims;
}

class Golden : public ::testing::TestWithParam<const char*> {};

TEST_P(Golden, ShapeAndTwins) {
  const Value file = read(std::filesystem::path(folder) / GetParam());
  ASSERT_NE(file.as_object(), nullptr);
  EXPECT_NE(file.string_or("source").find("https://"), std::string::npos) << "each file cites the page it follows";
  const core::IdpSpec spec = spec_from(*file.find("spec"));
  const Object& claims = *file.find("claims")->as_object();
  const Value* graph = file.find("graph");
  expect_outcome(login(spec, claims, graph), *file.find("expected"), GetParam());
  ASSERT_FALSE(file.find("twins")->as_array()->empty());
  for (const auto& twin : *file.find("twins")->as_array()) {
    const Value* expected = twin.find("expected");
    const Value* twin_graph = twin.find("graph") != nullptr ? twin.find("graph") : graph;
    expect_outcome(login(spec, tampered(claims, twin), twin_graph), expected != nullptr ? *expected : twin,
                   std::string(GetParam()) + ": " + twin.string_or("name"));
  }
}

/// What must never pass, whoever the vendor is.
TEST_P(Golden, CommonTwins) {
  const Value file = read(std::filesystem::path(folder) / GetParam());
  const core::IdpSpec spec = spec_from(*file.find("spec"));
  const Object& claims = *file.find("claims")->as_object();
  struct Twin {
    std::string claim;
    std::optional<Value> value;  // none: removed
    std::string check;
  };
  const std::vector<Twin> twins = {
      {"iss", std::nullopt, "id_token.iss"},
      {"iss", "https://evil.example", "id_token.iss"},
      {"iss", spec.issuer + "/", "id_token.iss"},
      {"aud", std::nullopt, "id_token.aud"},
      {"aud", "another-client", "id_token.aud"},
      {"aud", Array{}, "id_token.aud"},
      {"azp", "another-client", "id_token.azp"},
      {"exp", std::nullopt, "id_token.exp_missing"},
      {"exp", 1'799'999'900, "id_token.exp"},
      {"exp", "1800003590", "id_token.exp"},
      {"exp", 1800003590.5, "id_token.exp"},
      {"iat", std::nullopt, "id_token.iat_missing"},
      {"iat", 1'800'000'100, "id_token.iat"},
      {"iat", 1'799'000'000, "id_token.iat"},
      {"nbf", 1'800'000'100, "id_token.nbf"},
      {"nonce", std::nullopt, "id_token.nonce_missing"},
      {"nonce", "a-nonce-of-another-login", "id_token.nonce"},
      {"at_hash", "77QmUPtjPfzWtF2AnpK9RQ", "id_token.at_hash"},
      {"sub", std::nullopt, "id_token.sub"},
      {"sub", "", "id_token.sub"},
      {"sub", 42, "id_token.sub"},
      {"auth_time", 1'800'000'100, "id_token.auth_time"},
      {"session_expiry", 1'799'999'999, "id_token.session_expiry"},
  };
  for (const auto& twin : twins) {
    Object changed = claims;
    if (twin.value)
      changed.set(twin.claim, *twin.value);
    else
      changed.erase(twin.claim);
    const auto result = login(spec, changed, file.find("graph"));
    // A shape that is refused for its overage never comes to the checks that follow the mapping.
    const bool late = twin.claim == "session_expiry" && !file.find("expected")->string_or("check").empty();
    const std::string expected = late ? file.find("expected")->string_or("check") : twin.check;
    ASSERT_FALSE(result.ok()) << GetParam() << ": " << twin.claim;
    EXPECT_EQ(result.error().check, expected) << GetParam() << ": " << twin.claim << ": " << result.error().message;
  }
}

INSTANTIATE_TEST_SUITE_P(Vendors, Golden,
                         ::testing::Values("okta.json", "entra_groups.json", "entra_roles.json", "entra_overage.json",
                                           "entra_overage_fetch.json", "google.json", "keycloak.json", "adfs.json"),
                         [](const auto& info) {
                           const std::string name = info.param;
                           return name.substr(0, name.find('.'));
                         });

TEST(GoldenFiles, EachIsTested) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files += entry.path().extension() == ".json" ? 1 : 0;
  EXPECT_EQ(files, 8U + 1U) << "a golden file that no test reads";
}

TEST(GoldenDiscovery, VendorDocumentsAreTakenAsTheyAre) {
  const Value file = read(std::filesystem::path(folder) / "discovery.json");
  ASSERT_NE(file.as_array(), nullptr);
  EXPECT_EQ(file.as_array()->size(), 6U);
  for (const auto& entry : *file.as_array()) {
    const std::string issuer = entry.string_or("issuer");
    const auto result = parse_discovery(base::json::dump(*entry.find("document")), issuer);
    const std::string check = entry.string_or("check");
    EXPECT_EQ(result.ok() ? "" : result.error().check, check) << issuer;
    if (!result.ok()) continue;
    EXPECT_EQ(result->iss_parameter, entry.bool_or("iss_parameter", false)) << issuer;
    core::IdpSpec spec;
    spec.userinfo = true;
    EXPECT_TRUE(check_client(*result, spec).ok()) << issuer;
  }
}

}  // namespace
}  // namespace daypass::idp::oidc
