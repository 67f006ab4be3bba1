#include "idp/scim/resource.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "idp/scim/limits.h"
#include "idp/scim/message.h"
#include "idp/scim/query.h"

namespace daypass::idp::scim {
namespace {

base::Result<json::Object> read(Kind kind, std::string_view text) {
  return read_resource(kind, json::parse(text).value());
}
std::string check_of(Kind kind, std::string_view text) {
  const auto got = read(kind, text);
  return got.ok() ? "ok" : got.error().check;
}

// As Okta creates a user: a password when it syncs them, empty texts, groups that are not the client's.
constexpr std::string_view okta = R"({
  "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
  "userName": "dana@corp.example", "name": {"givenName": "Dana", "familyName": "Diaz", "middleName": ""},
  "emails": [{"primary": true, "value": "dana@corp.example", "type": "work"}],
  "displayName": "Dana Diaz", "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7", "groups": [],
  "password": "1mz050nq", "active": true})";
// As Entra ID does: booleans as texts, two schemas, a meta of its own, parts that are not kept.
constexpr std::string_view entra = R"({
  "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
  "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "userName": "dana@corp.example", "active": "True",
  "displayName": "Dana Diaz", "title": "Engineer",
  "emails": [{"primary": "True", "type": "work", "value": "dana@corp.example"}],
  "meta": {"resourceType": "User"}, "name": {"formatted": "Dana Diaz", "familyName": "Diaz", "givenName": "Dana"},
  "roles": [], "addresses": [{"type": "work", "streetAddress": "1 Road"}],
  "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Data", "manager": "26118915"}})";

TEST(ScimResource, IsReadAsOktaSendsIt) {
  EXPECT_EQ(json::dump(read(Kind::user, okta).value()),
            R"({"userName":"dana@corp.example","externalId":"00ujl29u0le5T6Aj10h7","displayName":"Dana Diaz",)"
            R"("name":{"familyName":"Diaz","givenName":"Dana"},)"
            R"("emails":[{"value":"dana@corp.example","type":"work","primary":true}],"active":true})");
}

TEST(ScimResource, IsReadAsEntraSendsIt) {
  EXPECT_EQ(json::dump(read(Kind::user, entra).value()),
            R"({"userName":"dana@corp.example","externalId":"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",)"
            R"("displayName":"Dana Diaz","name":{"formatted":"Dana Diaz","familyName":"Diaz","givenName":"Dana"},)"
            R"("emails":[{"value":"dana@corp.example","type":"work","primary":true}],"active":true,)"
            R"("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Data"}})");
  EXPECT_EQ(json::dump(read(Kind::group, R"({
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group",
                "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
    "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159", "displayName": "data", "meta": {"resourceType": "Group"}})")
                           .value()),
            R"({"displayName":"data","externalId":"8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159"})");
}

TEST(ScimResource, NamesHaveNoCaseAndAreThereOnce) {
  EXPECT_EQ(json::dump(read(Kind::user, R"({"USERNAME":"a","Active":"FALSE"})").value()),
            R"({"userName":"a","active":false})");
  EXPECT_EQ(check_of(Kind::user, R"({"userName":"a","username":"b"})"), "scim.syntax");
  EXPECT_EQ(check_of(Kind::user, R"({"userName":"a","name":{"givenName":"a","givenname":"b"}})"), "scim.syntax");
  EXPECT_EQ(check_of(Kind::user, R"({"userName":"a","active":true,"ACTIVE":false})"), "scim.syntax");
}

TEST(ScimResource, RefusesWhatIsOfAnotherType) {
  EXPECT_EQ(check_of(Kind::user, R"([])"), "scim.syntax");
  EXPECT_EQ(check_of(Kind::user, R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"userName":"a"})"),
            "scim.syntax");
  EXPECT_EQ(check_of(Kind::user, R"({"schemas":"x","userName":"a"})"), "scim.syntax");
  for (const char* body :
       {R"({})", R"({"userName":""})", R"({"userName":null})", R"({"userName":7})", R"({"userName":["a"]})",
        R"({"userName":"a","active":"yes"})", R"({"userName":"a","active":1})", R"({"userName":"a","name":"Dana"})",
        R"({"userName":"a","name":["Dana"]})", R"({"userName":"a","emails":7})", R"({"userName":"a","emails":[[]]})",
        R"({"userName":"a\u0007"})", R"({"userName":"a","externalId":{"a":"b"}})",
        R"({"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":"x"})"})
    EXPECT_EQ(check_of(Kind::user, body), "scim.value") << body;
  const std::string most(max_name_bytes, 'n');
  EXPECT_EQ(check_of(Kind::user, R"({"userName":")" + most + "\"}"), "ok");
  EXPECT_EQ(check_of(Kind::user, R"({"userName":")" + most + "n\"}"), "scim.value");
  std::string emails = R"({"value":"0"})";
  for (std::size_t i = 1; i <= max_values; ++i) emails += R"(,{"value":")" + std::to_string(i) + "\"}";
  EXPECT_EQ(check_of(Kind::user, R"({"userName":"a","emails":[)" + emails + "]}"), "scim.value");
}

TEST(ScimResource, MembersAreIdsEachOnce) {
  const auto members = [](std::string_view text) {
    const auto value = json::parse(text).value();
    return read_members(&value, 3);
  };
  EXPECT_THAT(members(R"([{"value":"su_1","display":"x"},{"value":"su_2","$ref":null},{"value":"su_1"}])").value(),
              testing::ElementsAre("su_1", "su_2"));
  EXPECT_THAT(members(R"({"value":"su_1"})").value(), testing::ElementsAre("su_1"));
  EXPECT_THAT(members("null").value(), testing::IsEmpty());
  EXPECT_THAT(members("[]").value(), testing::IsEmpty());
  EXPECT_EQ(members(R"([{"value":"g","type":"Group"}])").error().check, "scim.value");
  EXPECT_EQ(members(R"([{"display":"x"}])").error().check, "scim.value");
  EXPECT_EQ(members(R"([7])").error().check, "scim.value");
  EXPECT_EQ(members(R"(["a","b","c","d"])").error().check, "scim.too_many");
}

TEST(ScimResource, IsAnsweredWithItsMetadata) {
  const json::Object who = read(Kind::user, entra).value();
  const Meta meta{"su_1", base::parse_rfc3339("2026-11-29T12:00:00Z").value(),
                  base::parse_rfc3339("2026-11-29T13:00:00Z").value()};
  const auto shown = [&](std::optional<std::string> only, std::optional<std::string> without) {
    return json::dump(
        view(Kind::user, who, meta, nullptr, "https://d.example/scim/v2", Projection::parse(only, without).value()));
  };
  const std::string all = shown({}, {});
  EXPECT_THAT(all, testing::StartsWith(
                       R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:User",)"
                       R"("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"id":"su_1","userName":)"));
  EXPECT_THAT(all, testing::EndsWith(R"("meta":{"resourceType":"User","created":"2026-11-29T12:00:00Z","lastModified":)"
                                     R"("2026-11-29T13:00:00Z","location":"https://d.example/scim/v2/Users/su_1"}})"));
  EXPECT_THAT(shown("id", {}), testing::EndsWith(R"("id":"su_1"})"));
  EXPECT_THAT(shown("USERNAME, name.familyName", {}),
              testing::EndsWith(R"("id":"su_1","userName":"dana@corp.example","name":{"formatted":"Dana Diaz",)"
                                R"("familyName":"Diaz","givenName":"Dana"}})"));
  EXPECT_THAT(shown({}, "emails,meta,urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"),
              testing::EndsWith(R"("active":true})"));
  EXPECT_FALSE(Projection::parse("a", "b").ok());

  const std::vector<std::string> members{"su_1"};
  EXPECT_THAT(
      json::dump(view(Kind::group, json::Object{{"displayName", "data"}}, meta, &members, "https://d.example", {})),
      testing::HasSubstr(R"("members":[{"value":"su_1","$ref":"https://d.example/Users/su_1","type":"User"}])"));
}

TEST(ScimQuery, IsAPageThatIsBounded) {
  const auto parsed =
      Query::parse(Kind::user, {{"filter", "userName eq \"a\""}, {"startIndex", "0"}, {"count", "5000"}}).value();
  EXPECT_TRUE(parsed.filter.has_value());
  EXPECT_EQ(parsed.start, 1U);
  EXPECT_EQ(parsed.count, max_page);
  EXPECT_EQ(Query::parse(Kind::user, {{"count", "-1"}, {"sortBy", "userName"}}).value().count, 0U);
  EXPECT_EQ(Query::parse(Kind::user, {}).value().count, 100U);
  for (const char* bad : {"", "x", "1x", "9999999999", "1.5", "--1"})
    EXPECT_EQ(Query::parse(Kind::user, {{"count", bad}}).error().check, "scim.value") << bad;
  EXPECT_EQ(Query::parse(Kind::user, {{"count", "1"}, {"count", "2"}}).error().check, "scim.value");
  EXPECT_EQ(Query::parse(Kind::user, {{"filter", "x"}}).error().check, "scim.filter");
}

TEST(ScimMessage, ErrorsSayWhatToDo) {
  EXPECT_EQ(json::dump(error_response(
                {base::Code::conflict, "scim.uniqueness", "another user has it", "delete that one"}, 409, "ab-1")),
            R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness",)"
            R"("detail":"another user has it; delete that one [scim.uniqueness, request ab-1]"})");
  EXPECT_EQ(scim_type("json.syntax"), "invalidSyntax");
  EXPECT_EQ(scim_type("scim.token"), "");
}

TEST(ScimSchema, DescribesWhatIsKept) {
  const auto all = schemas_document("https://d.example", "");
  EXPECT_EQ(all.int_or("totalResults", 0), 3);
  EXPECT_EQ(schemas_document("x", user_urn).string_or("name"), "User");
  EXPECT_TRUE(schemas_document("x", "urn:x").is_null());
  EXPECT_EQ(resource_types_document("x", "Group").string_or("endpoint"), "/Groups");
  EXPECT_TRUE(provider_document("x").pointer("/patch/supported")->as_bool());
}

}  // namespace
}  // namespace daypass::idp::scim
