#include "idp/scim/patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "idp/scim/limits.h"
#include "idp/scim/resource.h"

namespace daypass::idp::scim {
namespace {

constexpr std::string_view dana = R"({"userName":"dana@corp.example","externalId":"00u1","displayName":"Dana",)"
                                  R"("name":{"familyName":"Diaz","givenName":"Dana"},)"
                                  R"("emails":[{"value":"dana@corp.example","type":"work","primary":true},)"
                                  R"({"value":"d@home.example","type":"home"}],"active":true})";

base::Result<Patch> parsed(Kind kind, const std::string& operations) {
  return parse_patch(
      kind,
      json::parse(R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":)" + operations + "}")
          .value(),
      1000);
}
/// What becomes of Dana, or the check that refused it.
std::string after(const std::string& operations) {
  const auto patch = parsed(Kind::user, operations);
  if (!patch.ok()) return patch.error().check;
  const auto changed = apply(Kind::user, *json::parse(dana).value().as_object(), *patch);
  return changed.ok() ? json::dump(*changed) : changed.error().check;
}
std::string with(const std::string& from, const std::string& to) {
  std::string text(dana);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}
MembersChange members(const std::string& operations) {
  const auto patch = parsed(Kind::group, operations);
  EXPECT_TRUE(patch.ok()) << patch.error().message;
  return patch.ok() ? patch->members : MembersChange{};
}
std::string group_check(const std::string& operations) {
  const auto patch = parsed(Kind::group, operations);
  return patch.ok() ? "ok" : patch.error().check;
}

TEST(ScimPatch, DeactivatesAsOktaAndEntraSayIt) {
  const std::string inactive = with(R"("active":true)", R"("active":false)");
  EXPECT_EQ(after(R"([{"op":"replace","value":{"active":false}}])"), inactive);
  EXPECT_EQ(after(R"([{"op":"Replace","path":"active","value":"False"}])"), inactive);
  EXPECT_EQ(after(R"([{"op":"Replace","path":"active","value":false}])"), inactive);
  EXPECT_EQ(after(R"([{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:active","value":"false"}])"),
            inactive);
  // Beside what is not kept.
  EXPECT_EQ(after(R"([{"op":"Add","path":"title","value":"Engineer"},{"op":"Replace","path":"active","value":"False"},
                      {"op":"Add","path":"addresses[type eq \"work\"].locality","value":"Town"}])"),
            inactive);
  EXPECT_EQ(after(R"([{"op":"replace","value":{"active":true}}])"), dana);
}

TEST(ScimPatch, DoesNotTakeASlipForADeactivation) {
  EXPECT_EQ(after(R"([{"op":"replace","path":"actve","value":false}])"), "scim.path");
  EXPECT_EQ(after(R"([{"op":"replace","path":"active","value":"no"}])"), "scim.value");
  EXPECT_EQ(after(R"([{"op":"replace","path":"active","value":null}])"), "scim.value");
  EXPECT_EQ(after(R"([{"op":"replace","path":"active"}])"), "scim.value");
  EXPECT_EQ(after(R"([{"op":"remove","path":"active"}])"), "scim.value");
}

TEST(ScimPatch, SetsValuesOfListsAsEntraDoes) {
  EXPECT_EQ(after(R"([{"op":"Replace","path":"emails[type eq \"work\"].value","value":"dd@corp.example"}])"),
            with(R"("dana@corp.example","type")", R"("dd@corp.example","type")"));
  // Where there is none yet, it is made.
  EXPECT_EQ(after(R"([{"op":"Add","path":"emails[type eq \"other\"].value","value":"o@corp.example"}])"),
            with(R"("type":"home"}])", R"("type":"home"},{"value":"o@corp.example","type":"other"}])"));
  EXPECT_EQ(after(R"([{"op":"replace","path":"emails[type ne \"work\" and type ne \"home\"].value","value":"x"}])"),
            "scim.target");
  EXPECT_EQ(after(R"([{"op":"remove","path":"emails[type eq \"home\"]"}])"),
            with(R"(,{"value":"d@home.example","type":"home"})", ""));
  EXPECT_EQ(after(R"([{"op":"remove","path":"emails[type eq \"home\"].value"}])"),
            with(R"(,{"value":"d@home.example","type":"home"})", ""));
  EXPECT_EQ(after(R"([{"op":"remove","path":"emails","value":[{"value":"d@home.example"}]}])"),
            with(R"(,{"value":"d@home.example","type":"home"})", ""));
  EXPECT_EQ(
      after(
          R"([{"op":"replace","path":"emails","value":[{"value":"n@corp.example"}]},{"op":"remove","path":"displayName"}])"),
      R"({"userName":"dana@corp.example","externalId":"00u1","name":{"familyName":"Diaz","givenName":"Dana"},)"
      R"("emails":[{"value":"n@corp.example"}],"active":true})");
}

TEST(ScimPatch, WithoutAPathNamesArePathsToo) {
  const std::string enterprise =
      R"("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Data"}})";
  EXPECT_EQ(
      after(
          R"([{"op":"replace","value":{"name.givenName":"Dan","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department":"Data"}}])"),
      with(R"("givenName":"Dana"})", R"("givenName":"Dan"})").substr(0, dana.size() - 2) + "," + enterprise);
  EXPECT_EQ(
      after(
          R"([{"op":"add","value":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Data","manager":"x"}}}])"),
      std::string(dana.substr(0, dana.size() - 1)) + "," + enterprise);
  EXPECT_EQ(after(R"([{"op":"replace","value":{"id":"su_1","schemas":[],"meta":{},"nobody":1}}])"), dana);
  EXPECT_EQ(after(R"([{"op":"replace","value":{"name":{"middleName":"M"}}}])"),
            with(R"("givenName":"Dana"})", R"("givenName":"Dana","middleName":"M"})"));
}

TEST(ScimPatch, IsAllOrNothing) {
  EXPECT_EQ(after(R"([{"op":"replace","path":"active","value":false},{"op":"remove","path":"userName"}])"),
            "scim.value");
  EXPECT_EQ(after(R"([{"op":"replace","path":"userName","value":""}])"), "scim.value");
}

TEST(ScimPatch, RefusesWhatIsNone) {
  for (const char* body : {"[]", "{}", R"([7])", R"([{}])", R"([{"op":"move","path":"active"}])", R"([{"op":"add"}])",
                           R"([{"op":"replace","value":[]}])", R"([{"op":"add","path":7,"value":1}])"})
    EXPECT_EQ(after(body), "scim.syntax") << body;
  EXPECT_EQ(after(R"([{"op":"remove"}])"), "scim.target");
  EXPECT_EQ(after(R"([{"op":"replace","path":"id","value":"x"}])"), "scim.mutability");
  EXPECT_EQ(after(R"([{"op":"replace","path":"emails[type xx \"a\"].value","value":"x"}])"), "scim.filter");
  EXPECT_EQ(after(R"([{"op":"add","path":"emails[type eq \"ot\u007fher\"].value","value":"o@corp.example"}])"),
            "scim.value")
      << "what stands in brackets would be kept, too";
  EXPECT_EQ(parse_patch(Kind::user, json::parse(R"({"schemas":["urn:x"],"Operations":[{"op":"add"}]})").value(), 9)
                .error()
                .check,
            "scim.syntax");
  std::string many = R"([{"op":"replace","path":"active","value":true})";
  for (std::size_t i = 0; i < max_operations; ++i) many += R"(,{"op":"replace","path":"active","value":true})";
  EXPECT_EQ(after(many + "]"), "scim.too_many");
}

TEST(ScimPatch, MembersComeAndGo) {
  using Said = std::map<std::string, bool>;
  // Okta.
  EXPECT_EQ(
      members(
          R"([{"op":"add","path":"members","value":[{"value":"a","display":"x"}]},{"op":"remove","path":"members[value eq \"b\"]"}])")
          .said,
      (Said{{"a", true}, {"b", false}}));
  const auto replaced = members(R"([{"op":"replace","path":"members","value":[{"value":"a"}]}])");
  EXPECT_TRUE(replaced.cleared);
  EXPECT_EQ(replaced.said, (Said{{"a", true}}));
  // Entra ID: who goes is named in the value.
  const auto removed = members(R"([{"op":"Remove","path":"members","value":[{"$ref":null,"value":"a"}]}])");
  EXPECT_FALSE(removed.cleared);
  EXPECT_EQ(removed.said, (Said{{"a", false}}));
  // By the letter: all of them.
  EXPECT_TRUE(members(R"([{"op":"remove","path":"members"}])").cleared);
  // In the order in which they stand.
  EXPECT_EQ(
      members(
          R"([{"op":"add","path":"members","value":[{"value":"a"}]},{"op":"remove","path":"members[value eq \"a\"]"}])")
          .said,
      (Said{{"a", false}}));
  EXPECT_EQ(members(R"([{"op":"replace","value":{"id":"sg_1","displayName":"x"}}])").empty(), true);
  EXPECT_EQ(members(R"([{"op":"Add","value":{"members":[{"value":"a"}]}}])").said, (Said{{"a", true}}));
  EXPECT_EQ(group_check(R"([{"op":"remove","path":"members[display eq \"a\"]"}])"), "scim.filter");
  EXPECT_EQ(group_check(R"([{"op":"remove","path":"members[value sw \"a\"]"}])"), "scim.filter");
  EXPECT_EQ(group_check(R"([{"op":"remove","path":"members[value eq \"a\" or value eq \"b\"]"}])"), "scim.filter");
  EXPECT_EQ(group_check(R"([{"op":"replace","path":"members.value","value":"a"}])"), "scim.path");
  EXPECT_EQ(group_check(R"([{"op":"add","path":"members","value":[{"value":"g","type":"Group"}]}])"), "scim.value");
}

}  // namespace
}  // namespace daypass::idp::scim
