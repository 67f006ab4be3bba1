#include "idp/oidc/claims.h"

#include <gtest/gtest.h>

namespace daypass::idp::oidc {
namespace {

using base::json::Array;
using base::json::Object;
using base::json::Value;

const base::WallTime now{base::Seconds(1'800'000'000)};

std::string userinfo_outcome(int status, std::string media_type, const std::string& body) {
  const auto result = parse_userinfo({status, std::move(media_type), body}, "alice");
  return result.ok() ? "" : result.error().check;
}

TEST(Userinfo, IsJsonOfTheSamePerson) {
  EXPECT_EQ(userinfo_outcome(200, "application/json", R"({"sub":"alice","x":1})"), "");
  EXPECT_EQ(userinfo_outcome(200, "application/json", R"({"sub":"mallory"})"), "userinfo.sub");
  EXPECT_EQ(userinfo_outcome(200, "application/json", R"({"sub":["alice"]})"), "userinfo.sub");
  EXPECT_EQ(userinfo_outcome(200, "application/json", R"({"name":"alice"})"), "userinfo.sub");
  EXPECT_EQ(userinfo_outcome(200, "application/jwt", "e30.e30.e30"), "userinfo.content_type");
  EXPECT_EQ(userinfo_outcome(200, "", R"({"sub":"alice"})"), "userinfo.content_type");
  EXPECT_EQ(userinfo_outcome(200, "application/json", R"({"sub":"alice","sub":"alice"})"), "userinfo.syntax");
  EXPECT_EQ(userinfo_outcome(200, "application/json", "[]"), "userinfo.syntax");
  EXPECT_EQ(userinfo_outcome(401, "application/json", R"({"sub":"alice"})"), "userinfo.status");
}

TEST(MergeUserinfo, TheTokenWinsAndKeepsWhatIsItsOwn) {
  const Object token{{"sub", "alice"}, {"groups", Array{"a"}}};
  const Object userinfo{{"sub", "alice"}, {"groups", Array{"admin"}}, {"email", "a@example.com"},
                        {"acr", "mfa"},   {"amr", Array{"mfa"}},      {"auth_time", 5},
                        {"sid", "s"},     {"oid", "other"},           {"tid", "other"},
                        {"nonce", "n"},   {"session_expiry", 5},      {"employee", "e-9"}};
  const Value merged = merge_userinfo(token, userinfo, "employee");
  const Object expected{{"sub", "alice"}, {"groups", Array{"a"}}, {"email", "a@example.com"}};
  EXPECT_EQ(merged, Value(expected));
}

TEST(MergeUserinfo, ReferencesOfBothAreKept) {
  const Object token{{"sub", "alice"}, {"_claim_names", Object{{"x", "src1"}}}};
  const Object userinfo{{"sub", "alice"}, {"_claim_names", Object{{"groups", "src2"}}}};
  core::IdpSpec spec;
  spec.groups_from = "groups";
  EXPECT_EQ(map_claims(spec, merge_userinfo(token, userinfo, "sub")).error().check, "mapping.overage");
  EXPECT_EQ(map_claims(spec, merge_userinfo(Object{{"sub", "alice"}}, userinfo, "sub")).error().check,
            "mapping.overage");
  const Object broken{{"sub", "alice"}, {"_claim_names", 7}};
  EXPECT_EQ(map_claims(spec, merge_userinfo(token, broken, "sub")).error().check, "mapping.overage");
  EXPECT_EQ(map_claims(spec, merge_userinfo(broken, userinfo, "sub")).error().check, "mapping.overage");
  EXPECT_EQ(
      map_claims(spec, merge_userinfo(Object{{"sub", "alice"}}, Object{{"hasgroups", true}}, "sub")).error().check,
      "mapping.overage");
}

TEST(GroupsReply, IsOneWholeListOfIds) {
  const auto outcome = [](int status, const std::string& body) {
    const auto result = parse_groups_reply({status, "application/json", body});
    return result.ok() ? "ok " + std::to_string(result->size()) : result.error().check;
  };
  EXPECT_EQ(outcome(200, R"({"@odata.context":"x","value":["a","b"]})"), "ok 2");
  EXPECT_EQ(outcome(200, R"({"value":[]})"), "ok 0");
  EXPECT_EQ(outcome(200, R"({"value":["a"],"@odata.nextLink":"https://graph.example/next"})"), "overage.paged");
  EXPECT_EQ(outcome(200, R"({"value":[{"id":"a"}]})"), "overage.shape");
  EXPECT_EQ(outcome(200, R"({"value":[""]})"), "overage.shape");
  EXPECT_EQ(outcome(200, R"({"value":"a"})"), "overage.shape");
  EXPECT_EQ(outcome(200, R"({})"), "overage.shape");
  EXPECT_EQ(outcome(200, R"([])"), "overage.syntax");
  EXPECT_EQ(outcome(403, R"({"value":["a"]})"), "overage.status");
  std::string many = "\"a\"";
  for (std::size_t i = 0; i < max_list_entries; ++i) many += ",\"a\"";
  EXPECT_EQ(outcome(200, "{\"value\":[" + many + "]}"), "overage.shape");
}

TEST(CheckDirectory, TidIsTheIssuers) {
  const std::string issuer = "https://login.microsoftonline.com/8b5c1f64/v2.0";
  EXPECT_TRUE(check_directory(Object{{"tid", "8b5c1f64"}}, issuer).ok());
  EXPECT_TRUE(check_directory(Object{{"tid", "8b5c1f64"}}, "https://sts.windows.net/8b5c1f64/").ok());
  EXPECT_TRUE(check_directory(Object{}, issuer).ok());
  for (const Value& tid : std::initializer_list<Value>{"8b5c1f65", "8b5c", "v2.0/", "", "/", 7, nullptr})
    EXPECT_EQ(check_directory(Object{{"tid", tid}}, issuer).error().check, "id_token.tid") << base::json::dump(tid);
  // Elsewhere the name means nothing.
  EXPECT_TRUE(check_directory(Object{{"tid", "x"}}, "https://id.example/t").ok());
}

base::Result<core::Identity> identity(const Object& claims) {
  core::IdpSpec spec;
  spec.name = "corp";
  Mapped mapped;
  mapped.subject = "alice";
  mapped.display = "Alice";
  mapped.groups = {"a"};
  return make_identity(core::TenantId("default"), spec, claims, mapped, now);
}

TEST(MakeIdentity, TakesTheFactsOfTheSignIn) {
  const auto who = identity({{"auth_time", 1'799'999'000},
                             {"acr", "urn:mfa"},
                             {"amr", Array{"pwd", "otp"}},
                             {"sid", "s-1"},
                             {"session_expiry", 1'800'003'600}})
                       .value();
  EXPECT_EQ(who.principal(), "corp/alice");
  EXPECT_EQ(who.tenant.str(), "default");
  EXPECT_EQ(who.kind, core::PrincipalKind::person);
  EXPECT_EQ(who.auth_time, base::WallTime(base::Seconds(1'799'999'000)));
  EXPECT_EQ(who.acr, "urn:mfa");
  EXPECT_EQ(who.amr, (std::vector<std::string>{"pwd", "otp"}));
  EXPECT_EQ(who.idp_sessions, std::vector<std::string>{"s-1"});
  EXPECT_EQ(who.not_after, base::WallTime(base::Seconds(1'800'003'600)));
  EXPECT_EQ(who.groups, std::set<std::string>{"a"});
}

TEST(MakeIdentity, UnknownIsNotFresh) {
  const auto who = identity({{"iat", 1'800'000'000}}).value();
  EXPECT_EQ(who.auth_time, base::WallTime{});
  EXPECT_EQ(who.acr, "");
  EXPECT_TRUE(who.amr.empty());
  EXPECT_TRUE(who.idp_sessions.empty());
  EXPECT_FALSE(who.not_after);
  EXPECT_EQ(identity({{"amr", "pwd"}})->amr, std::vector<std::string>{"pwd"});
}

TEST(MakeIdentity, MalformedFactsAreRefused) {
  Array many;
  for (int i = 0; i < 33; ++i) many.emplace_back("x");
  const std::vector<std::pair<std::string, Value>> cases = {{"acr", 1},
                                                            {"acr", ""},
                                                            {"acr", std::string(256, 'a')},
                                                            {"acr", nullptr},
                                                            {"amr", 1},
                                                            {"amr", Array{1}},
                                                            {"amr", Array{""}},
                                                            {"amr", many},
                                                            {"amr", nullptr},
                                                            {"amr", ""},
                                                            {"sid", Array{"s"}},
                                                            {"sid", ""},
                                                            {"session_expiry", "soon"},
                                                            {"session_expiry", 1'800'000'000},
                                                            {"session_expiry", -1},
                                                            {"session_expiry", INT64_MAX},
                                                            {"session_expiry", 1.9e9}};
  for (const auto& [name, value] : cases) {
    const auto who = identity({{name, value}});
    ASSERT_FALSE(who.ok()) << name << " " << base::json::dump(value);
    EXPECT_EQ(who.error().check, "id_token." + name) << base::json::dump(value);
  }
}

}  // namespace
}  // namespace daypass::idp::oidc
