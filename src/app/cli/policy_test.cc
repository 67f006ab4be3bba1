// Cedar on files, from the command line: what is printed, where, and with which exit code.
#include "app/cli/test_support.h"
#include "cedar/schema.h"

namespace daypass::app::cli {
namespace {

using Args = std::vector<std::string>;
namespace fs = std::filesystem;
namespace json = base::json;

class Policy : public testing_support::User {
 protected:
  Policy() {
    policies = write("p.cedar",
                     "permit (principal, action == Action::\"read\", resource) when { principal.age >= 18 };\n"
                     "forbid (principal, action, resource) when { principal.blocked };\n"
                     "permit (principal == User::\"root\", action, resource);\n");
    entities = write("e.json", R"([{"uid": {"type": "User", "id": "ann"}, "attrs": {"age": 30}, "parents": []},
      {"uid": {"type": "User", "id": "kid"}, "attrs": {"age": 9, "blocked": false}, "parents": []}])");
    schema = write("s.cedarschema",
                   "entity User { age: Long, blocked?: Bool };\nentity Doc;\n"
                   "action read appliesTo { principal: User, resource: Doc, context: {} };\n");
  }
  std::string ask(const std::string& who) {
    return write(who + ".request.json",
                 R"({"principal": "User::\")" + who +
                     R"(\"", "action": "Action::\"read\"", "resource": {"type": "Doc", "id": "d"}, "context": {}})");
  }
  int authorize(const std::string& request, Args more = {}) {
    Args args{"policy", "authorize", "--policies", policies, "--entities", entities, "--request", request};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  std::string policies, entities, schema;
};

TEST_F(Policy, AuthorizePrintsDecisionReasonAndErrors) {
  EXPECT_EQ(authorize(ask("ann")), 0) << err;
  EXPECT_EQ(out, R"({"decision":"allow","reason":["policy0"],"errors":["policy1"]})"
                 "\n");
  EXPECT_NE(err.find("p.cedar:2:45: policy1 could not be evaluated:"), std::string::npos) << err;
  EXPECT_EQ(authorize(ask("kid")), 1);
  EXPECT_EQ(out, R"({"decision":"deny","reason":[],"errors":[]})"
                 "\n");
  EXPECT_EQ(err, "");
  EXPECT_EQ(authorize(ask("ann"), {"-o", "json"}), 0);
  EXPECT_EQ(document().string_or("decision"), "allow");
}

TEST_F(Policy, AuthorizeNamesPoliciesByAnnotationWhenAsked) {
  policies = write("named.cedar", "@id(\"everybody\") permit (principal, action, resource);\n");
  EXPECT_EQ(authorize(ask("ann")), 0);
  EXPECT_NE(out.find("[\"policy0\"]"), std::string::npos) << out;
  EXPECT_EQ(authorize(ask("ann"), {"--ids-by-annotation"}), 0);
  EXPECT_NE(out.find("[\"everybody\"]"), std::string::npos) << out;
}

TEST_F(Policy, AuthorizeWithASchemaChecksWhatItReads) {
  EXPECT_EQ(authorize(ask("kid"), {"--schema", schema}), 1) << err;
  const std::string odd =
      write("odd.json", R"({"principal": "Doc::\"d\"", "action": "Action::\"read\"", "resource": "Doc::\"d\""})");
  EXPECT_EQ(authorize(odd), 1) << "without a schema anything may ask";
  EXPECT_EQ(authorize(odd, {"--schema", schema}), 2);
  EXPECT_NE(err.find("(cedar.request_principal)"), std::string::npos) << err;
  entities = write("e.json", R"([{"uid": {"type": "User", "id": "ann"}, "attrs": {"age": "old"}, "parents": []}])");
  EXPECT_EQ(authorize(ask("ann"), {"--schema", schema}), 2);
  EXPECT_NE(err.find("(cedar.entity_attribute)"), std::string::npos) << err;
}

TEST_F(Policy, WhatCantBeReadIsExitTwoWithAPlace) {
  policies = write("p.cedar", "permit (principal, action resource);\n");
  EXPECT_EQ(authorize(ask("ann")), 2);
  EXPECT_NE(err.find("p.cedar:1:27:"), std::string::npos) << err;
  EXPECT_NE(err.find("^"), std::string::npos) << err;
  EXPECT_EQ(out, "");
  policies = write("p.cedar", "");
  entities = write("e.json", "[{]");
  EXPECT_EQ(authorize(ask("ann")), 2);
  EXPECT_NE(err.find("e.json"), std::string::npos) << err;
  entities = home;
  EXPECT_EQ(authorize(ask("ann")), 2);
  EXPECT_NE(err.find("is a folder"), std::string::npos) << err;
}

TEST_F(Policy, ValidateTellsEverythingWithCaretAndHint) {
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema}), 1);
  EXPECT_EQ(out, "");
  EXPECT_NE(err.find("error: policy1: " + policies + ":2:"), std::string::npos) << err;
  policies = write("q.cedar",
                   "permit (principal, action == Action::\"read\", resource) when { principal.aeg >= 18 };\n"
                   "permit (principal, action == Action::\"raed\", resource);\n"
                   "permit (principal, action == Action::\"read\", resource) when { principal has nothing };\n");
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema}), 1);
  EXPECT_NE(err.find("    ^"), std::string::npos) << err;
  EXPECT_NE(err.find("hint: did you mean \"age\"?"), std::string::npos) << err;
  EXPECT_NE(err.find("did you mean Action::\"read\"?"), std::string::npos) << err;
  EXPECT_NE(err.find("warning: policy2:"), std::string::npos) << err;
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema, "-o", "json"}), 1);
  const auto doc = document();
  EXPECT_FALSE(doc.bool_or("ok", true));
  EXPECT_EQ(doc.find("warnings")->as_array()->size(), 2U) << "nothing has the attribute; no action is called so";
  EXPECT_EQ((*doc.find("errors")->as_array())[0].string_or("check"), "cedar.unknown_attribute");
  EXPECT_EQ((*doc.find("errors")->as_array())[0].int_or("line", 0), 1);
}

TEST_F(Policy, ValidateIsContentWithGoodPolicies) {
  policies =
      write("p.cedar", "permit (principal, action == Action::\"read\", resource) when { principal.age >= 18 };\n");
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema}), 0) << err;
  EXPECT_EQ(out, policies + ": ok, 1 policies\n");
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema, "--level", "1"}), 0) << err;
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema, "--level", "0"}), 1);
  EXPECT_NE(err.find("level"), std::string::npos) << err;
  policies = write("p.cedar", "permit (principal\nforbid (");
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema}), 1);
  schema = write("s.cedarschema", "entity User in [Grup];");
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema}), 2);
  EXPECT_NE(err.find("s.cedarschema:1:"), std::string::npos) << err;
}

TEST_F(Policy, TranslateGoesBothWays) {
  ASSERT_EQ(run({"policy", "translate", "schema", schema}), 0) << err;
  const std::string as_json = out;
  ASSERT_TRUE(json::parse(as_json).ok()) << as_json;
  const std::string file = write("s.json", as_json);
  ASSERT_EQ(run({"policy", "translate", "schema", file}), 0) << err;
  const std::string text = write("again.cedarschema", out);
  ASSERT_EQ(run({"policy", "translate", "schema", text, "--to", "json"}), 0) << err;
  EXPECT_EQ(out, as_json);
  ASSERT_EQ(run({"policy", "translate", "schema", text, "-o", "json"}), 0) << err;
  EXPECT_NE(document().pointer("/schema"), nullptr);
  ASSERT_EQ(run({"policy", "translate", "schema", file, "-o", "json"}), 0) << err;
  EXPECT_FALSE(document().string_or("text").empty());
  io.in = [] { return std::string("entity A;"); };
  ASSERT_EQ(run({"policy", "translate", "schema", "-"}), 0) << err;
  EXPECT_NE(out.find("\"A\""), std::string::npos);
  EXPECT_EQ(run({"policy", "translate", "schema", write("bad", "entity A { x: Y };")}), 2);
  EXPECT_EQ(run({"policy", "translate", "poem", schema}), 2);
}

TEST_F(Policy, PoliciesTranslateBothWaysAndMeanTheSame) {
  policies = write("t.cedar",
                   "@id(\"x\") permit (principal, action, resource) when { principal.age > 18 };\n"
                   "permit (principal == ?principal, action, resource);\n"
                   "forbid (principal, action, resource) unless { context has a.b };\n");
  ASSERT_EQ(run({"policy", "translate", "policies", policies}), 0) << err;
  const std::string as_json = out;
  const auto doc = json::parse(as_json);
  ASSERT_TRUE(doc.ok());
  EXPECT_NE(doc->pointer("/staticPolicies/policy2"), nullptr);
  EXPECT_NE(doc->pointer("/templates/policy1"), nullptr);
  ASSERT_EQ(run({"policy", "translate", "policies", write("t.json", as_json)}), 0) << err;
  EXPECT_EQ(out.find("// id"), std::string::npos) << "the order gives the same names: " << out;
  ASSERT_EQ(run({"policy", "translate", "policies", write("again.cedar", out)}), 0) << err;
  EXPECT_EQ(out, as_json);
  ASSERT_EQ(run({"policy", "translate", "policies", policies, "-o", "json"}), 0);
  EXPECT_NE(document().pointer("/policies/staticPolicies/policy0"), nullptr);
  ASSERT_EQ(run({"policy", "translate", "policies",
                 write("named.json", R"({"staticPolicies": {"mine": {"effect": "permit", "principal": {"op": "All"},
                   "action": {"op": "All"}, "resource": {"op": "All"}, "conditions": []}}})")}),
            0)
      << err;
  EXPECT_TRUE(out.starts_with("// id: \"mine\"\npermit ")) << out;
}

TEST_F(Policy, ALinkHasNoTextAndDecides) {
  policies =
      write("linked.json", R"({"templates": {"t": {"effect": "permit", "principal": {"op": "==", "slot": "?principal"},
      "action": {"op": "All"}, "resource": {"op": "All"}, "conditions": []}},
    "templateLinks": [{"templateId": "t", "newId": "for-ann", "values": {"?principal": {"__entity": {"type": "User", "id": "ann"}}}}]})");
  EXPECT_EQ(run({"policy", "translate", "policies", policies}), 1);
  EXPECT_NE(err.find("(policy.link)"), std::string::npos) << err;
  EXPECT_EQ(authorize(ask("ann")), 0) << err;
  EXPECT_EQ(out, R"({"decision":"allow","reason":["for-ann"],"errors":[]})"
                 "\n");
  EXPECT_EQ(authorize(ask("kid")), 1) << err;
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema}), 0) << err;
  policies = write("wrong.json",
                   R"({"staticPolicies": {"p": {"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"},
      "resource": {"op": "All"}, "conditions": [{"kind": "when", "body": {".": {"left": {"Var": "principal"}, "attr": "aeg"}}}]}}})");
  EXPECT_EQ(run({"policy", "validate", "--policies", policies, "--schema", schema}), 1);
  EXPECT_NE(err.find("did you mean \"age\"?"), std::string::npos) << err;
  EXPECT_NE(err.find("principal.aeg"), std::string::npos) << err;
}

TEST_F(Policy, FmtRewritesNamesAndLeavesAlone) {
  const std::string ugly = write("u.cedar", "permit(principal,action,resource);// why\n");
  EXPECT_EQ(run({"policy", "fmt", "--check", ugly}), 1) << err;
  EXPECT_EQ(out, ugly + "\n");
  EXPECT_EQ(read(ugly), "permit(principal,action,resource);// why\n") << "only asked";
  EXPECT_EQ(run({"policy", "fmt", ugly}), 0) << err;
  EXPECT_EQ(err, "formatted " + ugly + "\n");
  const std::string pretty = read(ugly);
  EXPECT_NE(pretty.find("permit (principal, action, resource); // why\n"), std::string::npos) << pretty;
  EXPECT_EQ(run({"policy", "fmt", "--check", ugly}), 0);
  EXPECT_EQ(out + err, "");
  const std::string broken = write("b.cedar", "permit (principal");
  EXPECT_EQ(run({"policy", "fmt", broken, ugly}), 2);
  EXPECT_NE(err.find("b.cedar:1:"), std::string::npos) << err;
  EXPECT_EQ(read(broken), "permit (principal");
  EXPECT_EQ(run({"policy", "fmt", "--check", ugly, "-o", "json"}), 0);
  EXPECT_TRUE(document().bool_or("ok", false));
  io.in = [] { return std::string("permit(principal,action,resource);"); };
  EXPECT_EQ(run({"policy", "fmt", "-"}), 0);
  EXPECT_EQ(out, "permit (principal, action, resource);\n");
}

TEST_F(Policy, TheExamplesAreLaidOutAsFmtDoes) {
  Args args{"policy", "fmt", "--check"};
  for (const char* folder : {"examples/policies", "examples/tenant/policies"})
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".cedar") args.push_back(entry.path().string());
  EXPECT_GT(args.size(), 10U);
  EXPECT_EQ(run(args), 0) << out << err;
}

TEST_F(Policy, SchemaOfAFolderFitsItsPolicies) {
  ASSERT_EQ(run({"policy", "schema", "examples/tenant"}), 0) << err;
  EXPECT_NE(out.find("  clearance?: Long,\n"), std::string::npos) << out;
  const std::string text = write("t.cedarschema", out);
  for (const char* name : {"groups", "guards", "teams"}) {
    EXPECT_EQ(run({"policy", "validate", "--policies", std::string("examples/tenant/policies/") + name + ".cedar",
                   "--schema", text}),
              0)
        << err;
  }
  ASSERT_EQ(run({"policy", "schema", "examples/tenant", "--json"}), 0) << err;
  EXPECT_TRUE(cedar::Schema::parse_json(out, "out").ok());
  ASSERT_EQ(run({"policy", "schema", "examples/tenant", "-o", "json"}), 0);
  EXPECT_NE(document().find("schema"), nullptr);
  write("odd/tenant.toml", "[[idp]]\nname = \"corp\"\n");
  EXPECT_EQ(run({"policy", "schema", home + "/odd"}), 2);
  EXPECT_NE(err.find("tenant.toml:1"), std::string::npos) << err;
}

// A corpus of three cases: one whose condition is real, one without, and what is no case.
class Corpus : public Policy {
 protected:
  Corpus() {
    const auto one = [&](const std::string& name, const std::string& policy, const std::string& decision) {
      write("corpus/" + name + ".cedar", policy);
      write("corpus/" + name + ".json",
            R"({"policies": "x/)" + name +
                R"(.cedar", "entities": "e.entities.json", "schema": "s", "shouldValidate": true,
  "requests": [{"principal": {"type": "U", "id": "u"}, "action": {"type": "Action", "id": "a"},
    "resource": {"type": "U", "id": "u"}, "context": {}, )" +
                decision + "}]}");
    };
    write("corpus/e.entities.json", "[]");
    write("corpus/s", "entity U; action a appliesTo {principal: U, resource: U};");
    one("plain", "permit (principal, action, resource);",
        R"("decision": "allow", "reason": ["policy0"], "errors": [])");
    one("real", "permit (principal, action, resource) when { 9223372036854775807 + 1 == 0 };",
        R"("decision": "deny", "reason": [], "errors": ["policy0"])");
    folder = home + "/corpus";
  }
  void flip(const std::string& name, const std::string& from, const std::string& to) {
    std::string text = read(folder + "/" + name);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << name << ": " << from;
    write("corpus/" + name, text.replace(at, from.size(), to));
  }
  std::string folder;
};

TEST_F(Corpus, CountsWhatPassedAndTheRealConditionsApart) {
  EXPECT_EQ(run({"policy", "corpus", folder}), 0) << out << err;
  EXPECT_TRUE(out.ends_with("\n2 passed, 0 failed\n")) << out;
  EXPECT_NE(out.find("with a real condition: 1 cases, 1 of 2 requests"), std::string::npos) << out;
  EXPECT_EQ(run({"policy", "corpus", folder, "-o", "json"}), 0);
  const auto doc = document();
  EXPECT_EQ(doc.int_or("passed", 0), 2);
  EXPECT_EQ(doc.int_or("real_requests", 0), 1);
}

TEST_F(Corpus, EachKindOfFlippedVerdictFailsAndIsNamed) {
  const struct {
    const char *file, *from, *to;
  } flips[] = {{"plain.json", "\"allow\"", "\"deny\""}, {"plain.json", "[\"policy0\"]", "[\"policy1\"]"},
               {"plain.json", "[\"policy0\"]", "[]"},   {"real.json", "\"deny\"", "\"allow\""},
               {"real.json", "[\"policy0\"]", "[]"},    {"plain.json", "\"errors\": []", "\"errors\": [\"policy0\"]"},
               {"plain.json", "true", "false"}};
  for (const auto& [file, from, to] : flips) {
    const std::string before = read(folder + "/" + file);
    flip(file, from, to);
    EXPECT_EQ(run({"policy", "corpus", folder}), 1) << file << from;
    EXPECT_NE(out.find(std::string(file) + ": "), std::string::npos) << out;
    EXPECT_TRUE(out.ends_with("1 passed, 1 failed\n")) << out;
    write(std::string("corpus/") + file, before);
  }
  EXPECT_EQ(run({"policy", "corpus", folder}), 0) << out;
}

TEST_F(Corpus, JsonSchemasAndVerdictsOfAFolderAboveAreCompared) {
  write("go-results/plain.cedarschema.json", R"({"": {"entityTypes": {"V": {}}, "actions": {}}})");
  EXPECT_EQ(run({"policy", "corpus", folder}), 1);
  EXPECT_NE(out.find("plain.json: JSON schema"), std::string::npos) << out;
}

TEST_F(Corpus, NothingToRunIsNoSuccess) {
  write("empty/x.json", "{}");
  EXPECT_EQ(run({"policy", "corpus", home + "/empty"}), 2);
  EXPECT_NE(err.find("(corpus.empty)"), std::string::npos) << err;
}

}  // namespace
}  // namespace daypass::app::cli
