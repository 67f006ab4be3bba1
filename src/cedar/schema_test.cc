#include "cedar/schema.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cedar/policy.h"
#include "cedar/test_support.h"

namespace daypass::cedar {
namespace {

using testing::json_of;

std::string check_of(std::string_view text) {
  const auto schema = Schema::parse(text, "s.cedarschema");
  return schema.ok() ? "" : schema.error().check;
}
std::string check_of_json(std::string_view text) {
  const auto schema = Schema::parse_json(text, "s.json");
  return schema.ok() ? "" : schema.error().check;
}

// Verdicts asked from the official engine.
TEST(Schema, TextThatIsTaken) {
  for (const std::string_view text : {
           "",
           "entity A {a: Long, a: String};",
           "entity A enum [\"a\",\"a\"];",
           "entity A {__cedar: Long};",
           "entity A {\"if\": Long};",
           "entity Long; entity B {x: Long};",
           "type ipaddr = String;",
           "entity Set; entity B {x: Set, y: Set<Set>};",
           "action a; entity A {x: Action};",
           "action \"a\" in [\"a b\"]; action \"a b\";",
           "entity A in A;",
           "entity A in B; entity B in A;",
           "namespace N { type T = Long; entity T; entity U {x: T}; }",
           "entity A = {x: Long} tags String;",
           "entity A {x: Long,} ;",
           "@a entity A;",
           "@if(\"x\") entity A;",
           "@x namespace N {}",
           "namespace A::B { entity C; } entity D {c: A::B::C};",
           "entity A tags Long; entity B = {} tags Set<A>;",
           "entity A {x?: Long}; // c",
           "entity A {x?:Long, y ? : Long};",
           "entity A in [];",
           "entity A,B {};",
           "action a,b;",
           "action a attributes {};",
           "namespace N { action a in Action::\"b\"; action b; }",
           "namespace N { action a in N::Action::\"b\"; action b; }",
           "entity A; action a appliesTo {principal: A, resource: A, context: {x: Long,},};",
           "entity A{x:Set<{a:Long}>};",
           "entity Bool; entity X {b: Bool, c: __cedar::Bool};",
           "entity User; namespace N { entity B {u: User}; type User2 = User; }",
           "entity A enum [\"x\"]; entity B in A;",
           "entity namespace; entity type; entity E {x: namespace, y: type};",
           "entity A {\"a\\n\\u{41}\": Long};",
           "namespace Action { entity A; }",
           "namespace N::Action { entity A; action b; }",
       })
    EXPECT_EQ(check_of(text), "") << text;
}

TEST(Schema, TextThatIsRefused) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"entity A, A;", "cedar.schema_duplicate"},
      {"entity A; entity A;", "cedar.schema_duplicate"},
      {"action a, a;", "cedar.schema_duplicate"},
      {"type T = Long; type T = Long;", "cedar.schema_duplicate"},
      {"namespace N {} namespace N {}", "cedar.schema_duplicate"},
      {"entity A enum [];", "cedar.syntax"},
      {"entity if;", "cedar.reserved"},
      {"entity in;", "cedar.reserved"},
      {"entity __cedar;", "cedar.reserved"},
      {"entity A {if: Long};", "cedar.reserved"},
      {"type Long = String;", "cedar.reserved"},
      {"type Boolean = Bool;", "cedar.reserved"},
      {"namespace N { type Set = Bool; }", "cedar.reserved"},
      {"entity Action;", "cedar.reserved"},
      {"entity A {x: Action};", "cedar.schema_unknown_type"},
      {"action a; entity A in Action;", "cedar.schema_unknown_type"},
      {"action a appliesTo {principal: [], resource: []};", "cedar.schema_applies_to"},
      {"entity A; action a appliesTo {principal: A};", "cedar.schema_applies_to"},
      {"entity A; action a appliesTo {principal: A, principal: A, resource: A};", "cedar.schema_applies_to"},
      {"entity A; action a appliesTo {principal: A, resource: A, context: A};", "cedar.schema_unknown_type"},
      {"type T = Long; entity A; action a appliesTo {principal: A, resource: A, context: T};",
       "cedar.schema_not_record"},
      {"action a in a;", "cedar.schema_cycle"},
      {"action a in b; action b in a;", "cedar.schema_cycle"},
      {"action a in [b];", "cedar.schema_unknown_action"},
      {"type A = B; type B = A;", "cedar.schema_cycle"},
      {"type A = Set<A>;", "cedar.schema_cycle"},
      {"type T = {a: T2}; type T2 = T;", "cedar.schema_cycle"},
      {"entity T; namespace N { entity T; }", "cedar.schema_shadows"},
      {"type T = Long; namespace N { entity T; }", "cedar.schema_shadows"},
      {"action a; namespace N { action a; }", "cedar.schema_shadows"},
      {"entity A {,};", "cedar.syntax"},
      {"@a(\"x\") @a(\"y\") entity A;", "cedar.duplicate_annotation"},
      {"namespace __cedar {entity A;}", "cedar.reserved"},
      {"namespace A::__cedar {entity A;}", "cedar.reserved"},
      {"entity A {y: __cedar::Foo};", "cedar.schema_unknown_type"},
      {"entity A {x: Boolean};", "cedar.schema_unknown_type"},
      {"entity A in [B,]; entity B;", "cedar.syntax"},
      {"action a appliesTo {};", "cedar.syntax"},
      {"namespace N { action a in Foo::\"b\"; action b; }", "cedar.schema_unknown_action"},
      {"entity A; ; ", "cedar.syntax"},
      {"entity A {\"\\*\": Long};", "cedar.escape"},
      {"entity A; action a appliesTo {principal: Action, resource: A};", "cedar.schema_unknown_type"},
      {"type C = A; entity A; action a appliesTo {principal: C, resource: A};", "cedar.schema_unknown_type"},
      {"type S = {a: Long}; entity A = S;", "cedar.syntax"},
      {"entity A;/*x*/", "cedar.syntax"},
      {"entity \u00c4;", "cedar.syntax"},
      {"action a in \"b\", c;", "cedar.syntax"},
      {"entity A", "cedar.syntax"},
      {"namespace N { entity A;", "cedar.syntax"},
      {"\xff", "cedar.utf8"},
  };
  for (const auto& [text, check] : cases) EXPECT_EQ(check_of(text), check) << text;
  std::vector<Diagnostic> found;
  ASSERT_FALSE(Schema::parse("entity A;\n// \u00e9 \xff\n", "s", {}, &found).ok());
  EXPECT_EQ(std::pair(found.at(0).line, found.at(0).column), std::pair(2U, 6U));
}

// `{"x": …}` around the type of one attribute.
std::string with_type(std::string_view type) {
  return R"({"": {"entityTypes": {"A": {"shape": {"type": "Record", "attributes": {"x": )" + std::string(type) +
         R"(}}}, "B": {}}, "actions": {}}})";
}
std::string with(std::string_view members) {
  return R"({"": {"entityTypes": {"A": {}}, "actions": {}, )" + std::string(members) + "}}";
}
std::string with_action(std::string_view action) {
  return R"({"": {"entityTypes": {"A": {}}, "actions": {"b": {}, "a": )" + std::string(action) + "}}}";
}

TEST(Schema, JsonThatIsTaken) {
  for (const std::string_view type :
       {R"({"type": "Long"})", R"({"type": "Bool"})", R"({"type": "Boolean"})",
        R"({"type": "Long", "required": false})", R"({"type": "Long", "annotations": {"if": null}})",
        R"({"type": "Set", "element": {"type": "Long"}})",
        R"({"type": "Record", "attributes": {}, "additionalAttributes": false})", R"({"type": "Entity", "name": "B"})",
        R"({"type": "EntityOrCommon", "name": "Long"})", R"({"type": "Extension", "name": "ipaddr"})",
        R"({"type": "ipaddr"})", R"({"type": "__cedar::Long"})"})
    EXPECT_EQ(check_of_json(with_type(type)), "") << type;
  for (const std::string_view action :
       {R"({})", R"({"appliesTo": null, "memberOf": null, "attributes": null})",
        R"({"appliesTo": {"principalTypes": ["A"], "resourceTypes": []}})", R"({"memberOf": [{"id": "b"}]})",
        R"({"memberOf": [{"id": "b", "type": "Action"}, {"id": "b", "type": null}]})"})
    EXPECT_EQ(check_of_json(with_action(action)), "") << action;
  EXPECT_EQ(check_of_json("{}"), "");
  EXPECT_EQ(check_of_json(with(R"("commonTypes": {"T": {"type": "Long", "annotations": {"a": "b"}}})")), "");
}

TEST(Schema, JsonThatIsRefused) {
  for (const std::string_view type : {R"({"type": "Long", "foo": 1})",
                                      R"({"type": "Long", "required": 1})",
                                      R"({"type": "Long", "annotations": {"a b": "b"}})",
                                      R"({"type": "Long", "name": "x"})",
                                      R"({"type": "Long", "element": {"type": "Long"}})",
                                      R"({"type": "Set"})",
                                      R"({"type": "Set", "element": {"type": "Long", "required": false}})",
                                      R"({"type": "Set", "element": {"type": "Long", "annotations": {}}})",
                                      R"({"type": "Record"})",
                                      R"({"type": "Record", "attributes": {}, "additionalAttributes": true})",
                                      R"({"type": "Entity"})",
                                      R"({"type": " B"})",
                                      R"({"type": "B B"})",
                                      R"({"type": "in"})",
                                      R"({"type": "Entity", "name": " B"})",
                                      R"({})",
                                      R"({"name": "B"})",
                                      R"("Long")",
                                      "null",
                                      R"({"type": null})",
                                      R"({"type": "Entity", "name": "B", "attributes": {}})",
                                      R"({"type": "String", "additionalAttributes": false})"})
    EXPECT_EQ(check_of_json(with_type(type)), "cedar.schema_json") << type;
  for (const std::string_view type :
       {R"({"type": "Entity", "name": "C"})", R"({"type": "Entity", "name": "__cedar::Long"})",
        R"({"type": "EntityOrCommon", "name": "Boolean"})", R"({"type": "Extension", "name": "foo"})",
        R"({"type": "Extension", "name": "a::b"})", R"({"type": "B"})", R"({"type": "Entity", "name": "Action"})"})
    EXPECT_EQ(check_of_json(with_type(type)), "cedar.schema_unknown_type") << type;
  for (const std::string_view action :
       {R"({"appliesTo": {"principalTypes": ["A"]}})", R"({"attributes": {}})",
        R"({"memberOf": [{"id": "b", "x": 1}]})", R"({"memberOf": ["b"]})", R"({"foo": 1})",
        R"({"appliesTo": {"principalTypes": [" A"], "resourceTypes": ["A"]}})", "null",
        R"({"appliesTo": {"principalTypes": ["A"], "resourceTypes": ["A"], "context": null}})"})
    EXPECT_EQ(check_of_json(with_action(action)), "cedar.schema_json") << action;
  EXPECT_EQ(check_of_json(with_action(R"({"memberOf": [{"id": "b", "type": "A"}]})")), "cedar.schema_unknown_action");
  for (const std::string_view text :
       {R"({"": {"actions": {}}})", R"({"": {"entityTypes": {}}})",
        R"({"": {"entityTypes": {}, "actions": {}, "x": 1}})", R"({"a b": {"entityTypes": {}, "actions": {}}})",
        R"({"__cedar": {"entityTypes": {}, "actions": {}}})",
        R"({"": {"entityTypes": {"A": {"enum": []}}, "actions": {}}})",
        R"({"": {"entityTypes": {"A": {"enum": ["a"], "memberOfTypes": []}}, "actions": {}}})",
        R"({"": {"entityTypes": {"A::B": {}}, "actions": {}}})", R"({"": {"entityTypes": {"A": null}, "actions": {}}})",
        R"({"": {"entityTypes": {}, "actions": {}, "annotations": {"a": "b"}}})", "[]"})
    EXPECT_EQ(check_of_json(text), "cedar.schema_json") << text;
  EXPECT_EQ(check_of_json(with(R"("commonTypes": {"Long": {"type": "Long"}})")), "cedar.reserved");
  EXPECT_EQ(check_of_json(with(R"("commonTypes": {"A": {"type": "EntityOrCommon", "name": "A"}})")),
            "cedar.schema_cycle");
  EXPECT_EQ(check_of_json(R"({"": {"entityTypes": {"A": {"shape": {"type": "Long"}}}, "actions": {}}})"),
            "cedar.schema_not_record");
  EXPECT_EQ(check_of_json(R"({"": {"entityTypes": {"A": {}, "A": {}}, "actions": {}}})"), "json.duplicate_key");
  EXPECT_EQ(check_of_json(R"({"": )"), "json.syntax");
}

TEST(Schema, AllErrorsOfOneRunWithPlaceAndHint) {
  const std::string_view text =
      "entity Usr in [Grop] {age: Lng};\nentity Group;\naction view appliesTo {\n"
      "  principal: Usr, resource: Docc};\nentity Doc;\n";
  std::vector<Diagnostic> found;
  ASSERT_FALSE(Schema::parse(text, "s.cedarschema", {}, &found).ok());
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(render(found[0], text),
            "s.cedarschema:1:16: there is no entity type `Grop`\n  entity Usr in [Grop] {age: Lng};\n"
            "                 ^^^^\n  hint: did you mean `Group`?\n");
  EXPECT_EQ(found[1].message, "there is no type `Lng`");
  EXPECT_EQ(found[1].hint, "did you mean `Long`?");
  EXPECT_EQ(found[2].line, 4U);
  EXPECT_EQ(found[2].hint, "did you mean `Doc`?");
}

TEST(Schema, SyntaxErrorsDoNotHideEachOther) {
  const std::string_view text =
      "entity A { x Long };\nnamespace N {\n  entity B { y: };\n  entity C;\n}\naction;\nentity D;";
  std::vector<Diagnostic> found;
  ASSERT_FALSE(Schema::parse(text, "s", {}, &found).ok());
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].line, 1U);
  EXPECT_EQ(found[1].line, 3U);
  EXPECT_EQ(found[2].line, 6U);
}

TEST(Schema, JsonErrorsHaveTheirPlace) {
  const std::string_view text =
      "{\"\": {\n \"entityTypes\": {\n  \"User\": {\"memberOfTypes\": [\"Grp\"]},\n  \"Group\": {\"x\": 1}\n"
      " },\n \"actions\": {}\n}}";
  std::vector<Diagnostic> found;
  ASSERT_FALSE(Schema::parse_json(text, "s.json", {}, &found).ok());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(std::pair(found[0].line, found[0].column), std::pair(4U, 18U));
  std::string good(text);
  good.replace(good.find("{\"x\": 1}"), 8, "{}");
  found.clear();
  ASSERT_FALSE(Schema::parse_json(good, "s.json", {}, &found).ok());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(std::pair(found[0].line, found[0].column), std::pair(3U, 30U));
  EXPECT_EQ(found[0].hint, "did you mean `Group`?");
}

constexpr std::string_view whole = R"(@x("1")
@y
namespace N {
  @t
  type T = {
    @a
    b?: Long
  };

  @e
  entity E in [E] = {
    a: Set<T>
  } tags T;

  entity F enum ["a", "b"];

  @q
  action "y y" in [Action::"z2"] appliesTo {
    principal: [E],
    resource: [E, F],
    context: T
  };

  action "z2";
}
)";

TEST(Schema, WrittenTextIsReadTheSame) {
  const auto schema = Schema::parse(whole, "s");
  ASSERT_TRUE(schema.ok());
  EXPECT_EQ(*schema->to_text(), whole);
}

TEST(Schema, JsonBothWays) {
  const auto expected = json_of(
      R"json({"N": {"commonTypes": {"T": {"type": "Record", "attributes": {"b": {"type": "EntityOrCommon",
      "name": "Long", "annotations": {"a": ""}, "required": false}}, "annotations": {"t": ""}}}, "entityTypes": {"E":
      {"memberOfTypes": ["E"], "shape": {"type": "Record", "attributes": {"a": {"type": "Set", "element": {"type": "EntityOrCommon",
      "name": "T"}}}}, "tags": {"type": "EntityOrCommon", "name": "T"}, "annotations": {"e": ""}}, "F": {"enum": ["a", "b"]}},
      "actions": {"y y": {"appliesTo": {"resourceTypes": ["E", "F"], "principalTypes": ["E"], "context": {"type": "T"}},
      "memberOf": [{"id": "z2", "type": "Action"}], "annotations": {"q": ""}}, "z2": {"appliesTo": {"resourceTypes": [],
      "principalTypes": []}}}, "annotations": {"x": "1", "y": ""}}})json");
  const auto schema = Schema::parse(whole, "s");
  ASSERT_TRUE(schema.ok());
  EXPECT_EQ(base::json::dump(schema->to_json()), base::json::dump(expected));
  const auto again = Schema::parse_json(base::json::dump(expected), "j");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(base::json::dump(again->to_json()), base::json::dump(expected));
  EXPECT_EQ(*again->to_text(), whole);
}

TEST(Schema, WhatTheTextCannotSay) {
  const auto check = [](std::string_view text) {
    const auto schema = Schema::parse_json(text, "j");
    EXPECT_TRUE(schema.ok());
    const auto written = schema->to_text();
    return written.ok() ? "" : written.error().check;
  };
  EXPECT_EQ(check(R"({"": {"commonTypes": {"T": {"type": "Record", "attributes": {}}},
                            "entityTypes": {"A": {"shape": {"type": "T"}}}, "actions": {}}})"),
            "cedar.schema_unwritable");
  EXPECT_EQ(check(R"({"N": {"commonTypes": {"T": {"type": "Long"}}, "entityTypes": {"T": {}}, "actions": {}}})"),
            "cedar.schema_unwritable");
  EXPECT_EQ(check(R"({"": {"commonTypes": {"T": {"type": "Long"}}, "entityTypes": {"T": {}}, "actions": {}}})"), "");
}

TEST(Schema, ResolvesNames) {
  const auto schema = Schema::parse(
      "entity User in Team {boss?: User, at: datetime} tags Set<String>; entity Team in Org; entity Org;\n"
      "action all; action read in all;\n"
      "namespace N { type Long2 = Long; entity D {n: Long2, u: User, s: __cedar::String}; action view in "
      "[Action::\"read\", edit] appliesTo {principal: User, resource: D, context: {n?: Long2}}; action edit; }",
      "s");
  ASSERT_TRUE(schema.ok()) << schema.error().message;
  const auto& types = schema->types();
  const EntityTypeInfo* user = schema->entity_type("User");
  ASSERT_NE(user, nullptr);
  EXPECT_EQ(types.to_string(user->attributes), "{at: datetime, boss?: User}");
  EXPECT_EQ(types.to_string(*user->tags), "Set<String>");
  EXPECT_TRUE(schema->may_be_in("User", "Org"));
  EXPECT_FALSE(schema->may_be_in("Org", "User"));
  EXPECT_EQ(types.to_string(schema->entity_type("N::D")->attributes), "{n: Long, s: String, u: User}");
  EXPECT_EQ(schema->entity_type("D"), nullptr);
  const ActionInfo* view = schema->action({"N::Action", "view"});
  ASSERT_NE(view, nullptr);
  EXPECT_EQ(view->principals, std::vector<std::string>{"User"});
  EXPECT_EQ(types.to_string(view->context), "{n?: Long}");
  EXPECT_TRUE(schema->action_in(*view, *schema->action({"Action", "all"})));
  EXPECT_FALSE(schema->action_in(*schema->action({"Action", "all"}), *view));
}

TEST(Schema, HidingIsTold) {
  const auto schema = Schema::parse("namespace N { entity T; type T = Long; entity ipaddr; }", "s");
  ASSERT_TRUE(schema.ok());
  ASSERT_EQ(schema->warnings().size(), 2U);
  EXPECT_EQ(schema->warnings()[0].check, "cedar.schema_hides");
}

TEST(Schema, BombsAreRefused) {
  std::string deep = "entity A {x: ";
  for (int i = 0; i < 300; ++i) deep += "Set<";
  deep += "Long";
  for (int i = 0; i < 300; ++i) deep += ">";
  EXPECT_EQ(check_of(deep + "};"), "cedar.too_deep");
  // Each type holds the one before twice: 2^200 members, were they written out.
  std::string laughs = "type T0 = {a: Long};\n";
  for (int i = 1; i < 200; ++i)
    laughs +=
        "type T" + std::to_string(i) + " = {a: T" + std::to_string(i - 1) + ", b: T" + std::to_string(i - 1) + "};\n";
  EXPECT_EQ(check_of(laughs), "");
  for (int i = 200; i < 400; ++i)
    laughs +=
        "type T" + std::to_string(i) + " = {a: T" + std::to_string(i - 1) + ", b: T" + std::to_string(i - 1) + "};\n";
  EXPECT_EQ(check_of(laughs), "cedar.too_deep");
  std::string chain = "type T0 = Long;\n";
  for (int i = 1; i < 5000; ++i) chain += "type T" + std::to_string(i) + " = T" + std::to_string(i - 1) + ";\n";
  EXPECT_EQ(check_of(chain), "");
  std::string many;
  for (int i = 0; i < 10001; ++i) many += "entity E" + std::to_string(i) + ";\n";
  EXPECT_EQ(check_of(many), "cedar.too_many");
  EXPECT_EQ(check_of(std::string(5U << 20U, ' ')), "cedar.too_large");
  EXPECT_EQ(check_of_json(std::string(2000, '[')), "json.too_deep");
}

}  // namespace
}  // namespace daypass::cedar
