// Our validator against the official engine (npm @cedar-policy/cedar-wasm 4.10.0) on random schemas and policies.
// DAYPASS_CEDAR_ORACLE: the folder whose node_modules has the package; DAYPASS_ORACLE_CASES: how many schemas, default
// 300; DAYPASS_ORACLE_SEED: the first one's seed, the next have the following numbers; default from the system's
// entropy.
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <set>

#include "cedar/cedar.h"
#include "cedar/oracle_test_support.h"
#include "cedar/schema.h"
#include "cedar/schema_entities.h"
#include "cedar/validate.h"
#include "cedar/validate_generator.h"

namespace daypass::cedar {
namespace {

namespace json = base::json;
using namespace testing;

std::string kinds_of(const std::vector<ValidationProblem>& problems, const std::string& policy) {
  std::set<std::string> kinds;
  for (const ValidationProblem& one : problems)
    if (one.policy == policy) kinds.insert(one.diagnostic.check.substr(6));
  std::string out;
  for (const auto& kind : kinds) out += (out.empty() ? "" : ",") + kind;
  return out;
}

std::string kinds_of(const json::Value* by_policy, const std::string& policy) {
  const json::Value* list = by_policy == nullptr ? nullptr : by_policy->find(policy);
  std::string out;
  if (list != nullptr && list->as_array() != nullptr)
    for (const auto& kind : *list->as_array()) out += (out.empty() ? "" : ",") + *kind.as_string();
  return out;
}

struct Tally {
  std::size_t schemas = 0, good_schemas = 0, policies = 0, valid = 0, entities = 0, good_entities = 0, requests = 0,
              good_requests = 0, json_schemas = 0, good_json_schemas = 0, differences = 0;
  std::map<std::string, std::size_t> kinds;  // of what the official engine found, policies each

  void differ(std::uint64_t seed, const std::string& what, const std::string& text) {
    if (++differences <= 12) ADD_FAILURE() << "seed " << seed << ": " << what << "\n" << text;
  }
};

bool said_no(const json::Value& answer, std::string_view key) {
  const json::Value* verdict = answer.find(key);
  return verdict != nullptr && !verdict->is_null();
}

// Whether the two agree on the schema; then `schema` is set when both take it.
bool agree_on_schema(std::uint64_t seed, const std::string& text, const json::Value& answer,
                     std::optional<Schema>& schema, Tally& tally) {
  ++tally.schemas;
  auto ours = Schema::parse(text, "s");
  if (ours.ok() == said_no(answer, "schema")) {
    tally.differ(seed,
                 ours.ok() ? "schema refused: " + answer.string_or("schema") : "schema taken: " + ours.error().message,
                 text);
    return false;
  }
  if (!ours.ok()) return false;
  ++tally.good_schemas;
  schema = std::move(*ours);
  auto again = Schema::parse_json(json::dump(*answer.find("json")), "j");
  if (!again.ok()) tally.differ(seed, "JSON not read: " + again.error().message, text);
  auto back = schema->to_text();
  if (back.ok() && !Schema::parse(*back, "b").ok()) tally.differ(seed, "written text not read", *back);
  return true;
}

// The official engine's own JSON, with one token changed.
void compare_json_schema(std::uint64_t seed, Generator& generator, const json::Value& good, Oracle& oracle,
                         Tally& tally) {
  const std::string text = generator.damaged(json::dump(good));
  const auto parsed = json::parse(text, corpus_limits);
  if (!parsed.ok() || parsed->as_object() == nullptr) return;
  ++tally.json_schemas;
  const json::Value answer = oracle.ask(json::Object{{"schema", *parsed}});
  if (answer.find("schema") == nullptr) return tally.differ(seed, "no answer: " + json::dump(answer), text);
  const auto ours = Schema::parse_json(text, "j");
  if (ours.ok() == said_no(answer, "schema"))
    return tally.differ(
        seed,
        ours.ok() ? "JSON schema refused: " + answer.string_or("schema") : "JSON schema taken: " + ours.error().message,
        text);
  tally.good_json_schemas += ours.ok() ? 1U : 0U;
}

void compare_policies(std::uint64_t seed, const Schema& schema, const std::string& schema_text, const std::string& text,
                      const json::Value& answer, Tally& tally) {
  auto policies = PolicySet::parse(text, "p");
  if (policies.ok() == said_no(answer, "policies"))
    return tally.differ(seed, "policies: " + (policies.ok() ? answer.string_or("policies") : policies.error().message),
                        text);
  if (!policies.ok()) return;
  const ValidationResult ours = validate(*policies, schema);
  for (const Policy& policy : policies->policies()) {
    ++tally.policies;
    const std::string errors = kinds_of(ours.errors, policy.id());
    const std::string theirs = kinds_of(answer.find("errors"), policy.id());
    tally.valid += theirs.empty() ? 1U : 0U;
    for (const auto& list : {answer.find("errors"), answer.find("warnings")})
      if (const json::Value* found = list->find(policy.id()))
        for (const auto& kind : *found->as_array()) ++tally.kinds[*kind.as_string()];
    const std::string warnings = kinds_of(ours.warnings, policy.id());
    const std::string their_warnings = kinds_of(answer.find("warnings"), policy.id());
    if (errors != theirs || warnings != their_warnings)
      tally.differ(
          seed,
          "official {" + theirs + "} warns {" + their_warnings + "}, ours {" + errors + "} warns {" + warnings + "}",
          schema_text + "\n" + std::string(policy.text()));
  }
}

void compare_data(std::uint64_t seed, const Schema& schema, const std::string& schema_text, const json::Value& question,
                  const json::Value& answer, Tally& tally) {
  ++tally.entities;
  const json::Value& entities = *question.find("entities");
  const auto ours = entities_from_json(entities, schema);
  tally.good_entities += ours.ok() ? 1U : 0U;
  if (ours.ok() == said_no(answer, "entities"))
    tally.differ(
        seed, "entities " + (ours.ok() ? "refused: " + answer.string_or("entities") : "taken: " + ours.error().message),
        schema_text + json::dump(entities));
  const auto& requests = *question.find("requests")->as_array();
  const auto* verdicts = answer.find("requests")->as_array();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ++tally.requests;
    const auto request = request_from_json(requests[i], schema);
    tally.good_requests += request.ok() ? 1U : 0U;
    if (request.ok() != (*verdicts)[i].is_null())
      tally.differ(
          seed,
          "request " + (request.ok() ? "refused: " + json::dump((*verdicts)[i]) : "taken: " + request.error().message),
          schema_text + json::dump(requests[i]));
  }
}

void run(std::uint64_t seed, Oracle& oracle, Tally& tally) {
  Generator generator(seed);
  const std::string good = generator.schema();
  const std::string schema_text = generator.chance(20) ? generator.damaged(good) : good;
  const std::string policies = generator.policies();
  auto entities = json::parse(generator.entities());
  auto requests = json::parse(generator.requests());
  ASSERT_TRUE(entities.ok() && requests.ok()) << seed;
  json::Object question{
      {"schema", schema_text}, {"policies", policies}, {"entities", *entities}, {"requests", *requests}};
  const json::Value answer = oracle.ask(question);
  if (answer.find("schema") == nullptr)
    return tally.differ(seed, "no answer: " + json::dump(answer), schema_text + policies);
  std::optional<Schema> schema;
  if (!agree_on_schema(seed, schema_text, answer, schema, tally)) return;
  compare_policies(seed, *schema, schema_text, policies, answer, tally);
  compare_data(seed, *schema, schema_text, question, answer, tally);
  compare_json_schema(seed, generator, *answer.find("json"), oracle, tally);
}

TEST(CedarOracle, RandomSchemasAndPolicies) {
  Oracle oracle;
  if (!oracle.running())
    GTEST_SKIP() << "@cedar-policy/cedar-wasm is not below DAYPASS_CEDAR_ORACLE: random validations not run";
  const std::size_t cases = oracle_cases(300);
  const std::uint64_t first = oracle_seed();
  Tally tally;
  for (std::size_t i = 0; i < cases; ++i) run(first + i, oracle, tally);
  std::cout << "seeds from " << first << ": " << tally.schemas << " schemas, " << tally.good_schemas
            << " of them good; " << tally.policies << " policies, " << tally.valid << " of them valid; "
            << tally.entities << " entity sets, " << tally.good_entities << " of them good; " << tally.requests
            << " requests, " << tally.good_requests << " of them good; " << tally.json_schemas
            << " damaged JSON schemas, " << tally.good_json_schemas << " of them still good; " << tally.differences
            << " differences\n";
  for (const auto& [kind, count] : tally.kinds) std::cout << "  " << kind << " " << count << "\n";
  EXPECT_EQ(tally.differences, 0U);
  EXPECT_GT(tally.policies, cases / 2);
}

}  // namespace
}  // namespace daypass::cedar
