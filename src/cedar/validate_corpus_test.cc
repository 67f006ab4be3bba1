// The validator on the conformance corpus: what others' schemas and policies are worth, with the official engine's
// verdict.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>

#include "cedar/cedar.h"
#include "cedar/corpus_test_support.h"
#include "cedar/schema.h"
#include "cedar/schema_entities.h"
#include "cedar/validate.h"

namespace daypass::cedar {
namespace {

namespace json = base::json;
namespace fs = std::filesystem;
using namespace testing;

// Equal but for the order of members.
bool same(const json::Value& a, const json::Value& b) {
  if (const auto* object = a.as_object()) {
    const auto* other = b.as_object();
    return other != nullptr && object->size() == other->size() &&
           std::all_of(object->begin(), object->end(), [&](const json::Member& member) {
             const json::Value* found = other->find(member.key);
             return found != nullptr && same(member.value, *found);
           });
  }
  if (const auto* array = a.as_array()) {
    const auto* other = b.as_array();
    return other != nullptr && std::ranges::equal(*array, *other, same);
  }
  return a == b;
}

struct Tally {
  std::size_t cases = 0, valid = 0, json_schemas = 0, entities = 0, requests = 0, refused = 0;
  std::map<std::string, std::string> mismatches;  // by case, the first one

  void miss(const std::string& name, std::string what) { mismatches.try_emplace(name, std::move(what)); }
};

// What the official engine made of the same case, where the corpus has it; null elsewhere.
json::Value beside(const fs::path& case_file, const fs::path& top, const std::string& ending) {
  const std::string stem = case_file.stem().string();
  for (const fs::path& folder : {case_file.parent_path(), top / "go-results"}) {
    const fs::path path = folder / (stem + ending);
    if (!fs::exists(path)) continue;
    auto parsed = json::parse(slurp(path), corpus_limits);
    EXPECT_TRUE(parsed.ok()) << path;
    return parsed.ok() ? std::move(*parsed) : json::Value();
  }
  return {};
}

void check_json(const std::string& name, const Schema& schema, const json::Value& expected, Tally& tally) {
  ++tally.json_schemas;
  if (!same(schema.to_json(), expected)) tally.miss(name, "JSON schema: " + json::dump(schema.to_json()));
  auto again = Schema::parse_json(json::dump(expected), "json");
  if (!again.ok()) return tally.miss(name, "JSON schema not read: " + again.error().message);
  if (!same(again->to_json(), expected)) tally.miss(name, "JSON schema changed by reading");
  auto text = again->to_text();
  // The text has no spelling for some; those must say so.
  if (!text.ok() && text.error().check != "cedar.schema_unwritable") tally.miss(name, text.error().message);
  if (!text.ok()) return;
  auto from_text = Schema::parse(*text, "text");
  if (!from_text.ok()) return tally.miss(name, "written text not read: " + from_text.error().message);
  if (from_text->entity_types().size() != schema.entity_types().size() ||
      from_text->actions().size() != schema.actions().size())
    tally.miss(name, "written text means something else");
}

void check_entities(const std::string& name, const base::Result<Entities>& read, const json::Value& expected,
                    Tally& tally) {
  const json::Value* per_entity = expected.pointer("/entityValidation/perEntity");
  if (per_entity == nullptr) return;
  ++tally.entities;
  bool good = true;
  for (const auto& [uid, verdict] : *per_entity->as_object()) good = good && verdict.find("errors") == nullptr;
  if (read.ok() != good)
    tally.miss(name, std::string("entities should ") + (good ? "conform: " + read.error().message : "not conform"));
  tally.refused += good ? 0U : 1U;
}

void check_requests(const std::string& name, const Schema& schema, const json::Value& requests,
                    const json::Value& expected, Tally& tally) {
  const json::Value* verdicts = expected.find("requestValidation");
  if (verdicts == nullptr || requests.as_array() == nullptr) return;
  for (std::size_t i = 0; i < requests.as_array()->size(); ++i) {
    ++tally.requests;
    auto read = request_from_json((*requests.as_array())[i], schema);
    const bool good = (*verdicts->as_array())[i].bool_or("strict", false);
    if (read.ok() != good)
      tally.miss(name, "request " + std::to_string(i) + " should " +
                           (good ? "conform: " + read.error().message : std::string("not conform")));
    tally.refused += good ? 0U : 1U;
  }
}

void run_case(const fs::path& file, const fs::path& top, Tally& tally) {
  const std::string name = fs::relative(file, top).string();
  auto parsed = json::parse(slurp(file), corpus_limits);
  if (!parsed.ok() || parsed->find("requests") == nullptr) return;
  ++tally.cases;
  auto schema = Schema::parse(slurp(resolve(file, parsed->string_or("schema"), top)), "schema");
  if (!schema.ok()) return tally.miss(name, "schema: " + schema.error().message);
  auto policies = PolicySet::parse(slurp(resolve(file, parsed->string_or("policies"), top)), "policies");
  if (!policies.ok()) return tally.miss(name, "policies: " + policies.error().message);
  const bool expected = parsed->bool_or("shouldValidate", false);
  tally.valid += expected ? 1U : 0U;
  const ValidationResult result = validate(*policies, *schema);
  auto entities = json::parse(slurp(resolve(file, parsed->string_or("entities"), top)), corpus_limits);
  if (!entities.ok()) return tally.miss(name, "entities: " + entities.error().message);
  // A case is valid when its policies are and its entities conform; five of go-validate fail by the latter alone.
  const auto conforming = entities_from_json(*entities, *schema);
  if ((result.ok() && conforming.ok()) != expected)
    tally.miss(name, !expected      ? "should not validate"
                     : !result.ok() ? "should validate: " + result.errors.front().diagnostic.message
                                    : "entities should conform: " + conforming.error().message);
  const json::Value verdict = beside(file, top, ".validation.json");
  if (const json::Value* per_policy = verdict.pointer("/policyValidation/perPolicy"))
    for (const auto& [id, one] : *per_policy->as_object()) {
      const bool good = std::ranges::none_of(result.errors, [&](const ValidationProblem& p) { return p.policy == id; });
      if (good != one.bool_or("strict", false)) tally.miss(name, id + " should " + (good ? "not " : "") + "validate");
    }
  if (const auto json_schema = beside(file, top, ".cedarschema.json"); !json_schema.is_null())
    check_json(name, *schema, json_schema, tally);
  check_entities(name, conforming, verdict, tally);
  check_requests(name, *schema, *parsed->find("requests"), verdict, tally);
}

TEST(CedarValidateCorpus, EveryVerdict) {
  const Corpus& corpus = unpacked_corpus();
  if (corpus.absent()) GTEST_SKIP() << "cedar.tar.gz is not below DAYPASS_CORPUS: 2,007 validations not run";
  ASSERT_TRUE(corpus.unpacked());
  const fs::path top = corpus.folder() / "cedar";
  std::map<std::string, Tally> by_part;
  for (const std::string part : {"corpus-4.10", "tests", "go-validate"})
    for (const auto& entry : fs::recursive_directory_iterator(top / part)) {
      const std::string path = entry.path().string();
      if (path.ends_with(".json") && !path.ends_with(".entities.json") && !path.ends_with(".validation.json"))
        run_case(entry.path(), top, by_part[part]);
    }
  for (const auto& [part, tally] : by_part) {
    std::cout << part << ": " << tally.cases << " cases, " << tally.valid << " of them valid; " << tally.json_schemas
              << " JSON schemas, " << tally.entities << " entity files, " << tally.requests << " requests, "
              << tally.refused << " of the last two refused; " << tally.mismatches.size() << " cases failed\n";
    std::size_t shown = 0;
    for (const auto& [name, what] : tally.mismatches)
      if (++shown <= 20) ADD_FAILURE() << name << ": " << what;
    EXPECT_EQ(tally.mismatches.size(), 0U);
  }
  EXPECT_EQ(by_part["corpus-4.10"].cases, 1968U);
  EXPECT_EQ(by_part["corpus-4.10"].json_schemas, 1953U);
  EXPECT_EQ(by_part["tests"].cases, 14U);
  EXPECT_EQ(by_part["go-validate"].cases, 25U);
}

}  // namespace
}  // namespace daypass::cedar
