#include "idp/scim/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "idp/scim/limits.h"
#include "idp/scim/resource.h"

namespace daypass::idp::scim {
namespace {

json::Object dana() {
  json::Object who = read_resource(Kind::user, json::parse(R"({
      "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
      "userName": "Dana.Díaz@corp.example", "externalId": "00u1AbC", "active": true,
      "name": {"givenName": "Dana", "familyName": "Díaz"},
      "emails": [{"value": "dana@corp.example", "type": "work", "primary": true}, {"value": "d@home.example", "type": "home"}],
      "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Data", "employeeNumber": "7x"}
    })")
                                                   .value())
                         .value();
  who.set("id", "su_1");
  return who;
}

testing::AssertionResult matches(std::string_view filter) {
  const auto parsed = Filter::parse(Kind::user, filter);
  if (!parsed.ok()) return testing::AssertionFailure() << parsed.error().check << ": " << parsed.error().message;
  return parsed->matches(dana()) ? testing::AssertionSuccess() : testing::AssertionFailure() << "no match";
}
std::string check_of(Kind kind, std::string_view filter) {
  const auto parsed = Filter::parse(kind, filter);
  return parsed.ok() ? "ok" : parsed.error().check;
}
std::string path_check(Kind kind, std::string_view path) {
  const auto parsed = parse_path(kind, path);
  return parsed.ok() ? "ok" : parsed.error().check;
}

TEST(ScimFilter, FindsWhomProvidersLookFor) {
  // Okta, Entra ID's probe and matching, its check of a reference.
  EXPECT_TRUE(matches(R"(userName eq "dana.Díaz@CORP.example")"));
  EXPECT_FALSE(matches(R"(userName eq "ca7b5b3c-0f4c-4b4e-9a54-0f0e1d2c3b4a")"));
  EXPECT_TRUE(matches(R"(externalId eq "00u1AbC")"));
  EXPECT_FALSE(matches(R"(externalId eq "00U1abc")")) << "identifiers are compared exactly";
  EXPECT_TRUE(matches(R"(emails[type eq "work"].value eq "DANA@corp.example")"));
  EXPECT_FALSE(matches(R"(emails[type eq "home"].value eq "dana@corp.example")"));
  EXPECT_TRUE(matches(R"(emails[type eq "work" and value co "@corp.example"])"));
  EXPECT_TRUE(matches(R"(emails eq "d@home.example")"));
  EXPECT_TRUE(matches(R"(emails.value ew "home.example")"));
  EXPECT_TRUE(matches(R"(id eq "su_1" and active eq true)"));
  EXPECT_TRUE(matches(R"(active eq "True")"));
  EXPECT_TRUE(matches(R"(urn:ietf:params:scim:schemas:core:2.0:User:userName sw "dana.")"));
  EXPECT_TRUE(matches(R"(urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "data")"));
}

TEST(ScimFilter, KnowsAndOrNotAndTheirOrder) {
  EXPECT_TRUE(matches(R"(userName eq "x" and id eq "y" or id eq "su_1")"));
  EXPECT_FALSE(matches(R"(id eq "su_1" and (userName eq "x" or id eq "y"))"));
  EXPECT_TRUE(matches(R"(not (userName eq "x") and id pr)"));
  EXPECT_TRUE(matches(R"(NAME.familyname PR AND not (displayName pr))"));
  EXPECT_TRUE(matches(R"(displayName eq null)"));
  EXPECT_FALSE(matches(R"(displayName ne null)"));
  EXPECT_TRUE(matches(R"(displayName ne "x")")) << "who has none has not this one";
  EXPECT_TRUE(matches(R"(userName ne "x")"));
  EXPECT_FALSE(matches(R"(emails.type ne "home")")) << "one of them is";
  EXPECT_TRUE(matches(R"(name.givenName eq "D\u0061na")"));
}

TEST(ScimFilter, RefusesWhatItDoesNotKnow) {
  for (const char* filter : {"",
                             " ",
                             "userName",
                             "userName eq",
                             "userName eq dana",
                             "userName eq \"dana",
                             "userName gt \"a\"",
                             "userName eq 1",
                             "password eq \"x\"",
                             "meta.lastModified gt \"2020\"",
                             "schemas eq \"x\"",
                             "groups eq \"x\"",
                             "nobody eq \"x\"",
                             "active co \"tru\"",
                             "active eq \"x\"",
                             "name eq \"Dana\"",
                             "name.nobody eq \"x\"",
                             "userName eq \"a\" or",
                             "(userName eq \"a\"",
                             "userName eq \"a\")",
                             "not userName eq \"a\"",
                             "emails[type eq \"work\"",
                             "emails[nobody eq \"x\"]",
                             "userName[value eq \"x\"]",
                             "emails[emails[type eq \"a\"]]",
                             "userName eq \"a\" x",
                             "userName co null",
                             "urn:somebody:else:User:x eq \"y\"",
                             "members eq \"x\"",
                             "userName eq \"\xff\""})
    EXPECT_EQ(check_of(Kind::user, filter), "scim.filter") << filter;
  EXPECT_EQ(check_of(Kind::group, R"(members eq "su_1")"), "ok");
  EXPECT_EQ(check_of(Kind::group, R"(displayName eq "x" and members[value eq "su_1"])"), "ok");
  EXPECT_EQ(check_of(Kind::group, R"(userName eq "x")"), "scim.filter");
}

TEST(ScimFilter, IsBounded) {
  std::string deep, many = "id pr";
  for (std::size_t i = 0; i < max_filter_depth; ++i) deep += "(";
  const std::string closed(max_filter_depth, ')');
  EXPECT_EQ(check_of(Kind::user, deep + "id pr" + closed), "ok");
  EXPECT_EQ(check_of(Kind::user, "(" + deep + "id pr" + closed + ")"), "scim.filter");
  for (std::size_t i = 1; i < max_filter_terms; ++i) many += " or id pr";
  EXPECT_EQ(check_of(Kind::user, many), "ok");
  EXPECT_EQ(check_of(Kind::user, many + " or id pr"), "scim.filter");
  EXPECT_EQ(check_of(Kind::user, "id eq \"" + std::string(max_filter_bytes, 'x') + "\""), "scim.filter");
}

TEST(ScimFilter, TellsWhatMustBeEqual) {
  const auto filter = Filter::parse(Kind::user, R"(userName eq "x" and active eq true)").value();
  EXPECT_EQ(filter.must_equal("userName"), "x");
  EXPECT_EQ(filter.must_equal("id"), std::nullopt);
  for (const char* open : {R"(userName eq "x" or id eq "y")", R"(not (userName eq "x"))", R"(userName ne "x")",
                           R"(userName sw "x")", R"(userName eq null)"})
    EXPECT_EQ(Filter::parse(Kind::user, open).value().must_equal("userName"), std::nullopt) << open;
  EXPECT_TRUE(Filter::parse(Kind::group, R"(id eq "g" and members eq "u")").value().mentions("members"));
}

TEST(ScimPath, IsAnAttributeOrAPartOrSomeValues) {
  const auto path = parse_path(Kind::user, R"(emails[type eq "work"].value)");
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(path->attribute->name, "emails");
  EXPECT_EQ(path->sub->name, "value");
  EXPECT_EQ(path->where->as_value(), (json::Object{{"type", "work"}}));
  EXPECT_EQ(parse_path(Kind::user, "NAME.FamilyName").value().sub->name, "familyName");
  EXPECT_EQ(parse_path(Kind::user, std::string(enterprise_urn) + ":department").value().attribute->name, "department");
  EXPECT_EQ(parse_path(Kind::user, std::string(enterprise_urn)).value().attribute, nullptr);
  EXPECT_EQ(parse_path(Kind::user, std::string(user_urn) + ":active").value().attribute->name, "active");
  // Heard and forgotten.
  for (const std::string& forgotten :
       {std::string("title"), std::string(R"(addresses[type eq "work"].streetAddress)"), std::string("password"),
        std::string(enterprise_urn) + ":manager", std::string("urn:okta:custom:1.0:User:shoe")})
    EXPECT_FALSE(parse_path(Kind::user, forgotten).value().kept()) << forgotten;
}

TEST(ScimPath, RefusesASlipOfTheFinger) {
  for (const char* path :
       {"", "actve", "name.nobody", "emails[", "emails[]", "emails[type eq \"work\"]value", "emails[type eq \"work\"].",
        "emails x", "active.x", "userName[type eq \"x\"]", "urn:ietf:params:scim:schemas:core:2.0:User", "members"})
    EXPECT_THAT(path_check(Kind::user, path), testing::AnyOf("scim.path", "scim.filter")) << path;
  EXPECT_EQ(path_check(Kind::user, "id"), "scim.mutability");
  EXPECT_EQ(path_check(Kind::user, "meta.created"), "scim.mutability");
  EXPECT_EQ(path_check(Kind::user, "groups"), "scim.mutability");
}

TEST(ScimPath, OfASubjectIsOneText) {
  for (const std::string& good : {std::string("externalId"), std::string("userName"), std::string("name.formatted"),
                                  std::string(enterprise_urn) + ":employeeNumber"})
    EXPECT_TRUE(parse_subject_path(good).ok()) << good;
  for (const char* bad : {"", "emails", "emails.value", "active", "name", "id", "title", "nobody", "urn:x:y:z"})
    EXPECT_EQ(parse_subject_path(bad).error().check, "scim.subject") << bad;
}

}  // namespace
}  // namespace daypass::idp::scim
