// Every decision of the conformance corpus: policies, entities and requests written by others, with the official
// engine's verdicts. Schemas are read where the entities need them; validate_corpus_test.cc runs the validator.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>

#include "cedar/cedar.h"
#include "cedar/corpus_test_support.h"
#include "cedar/schema_entities.h"

namespace daypass::cedar {
namespace {

namespace json = base::json;
namespace fs = std::filesystem;
using namespace testing;

std::vector<std::string> sorted(std::vector<std::string> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::string> ids_of(const json::Value* list) {
  std::vector<std::string> ids;
  if (list != nullptr && list->as_array() != nullptr)
    for (const auto& id : *list->as_array()) ids.push_back(id.as_string() == nullptr ? "?" : *id.as_string());
  return sorted(std::move(ids));
}

std::string joined(const std::vector<std::string>& ids) {
  std::string out;
  for (const auto& id : ids) out += (out.empty() ? "" : ",") + id;
  return "[" + out + "]";
}

bool has_real_condition(const PolicySet& policies) {
  for (const Policy& policy : policies.policies())
    for (const Condition& condition : policy.conditions())
      if (policy.exprs().op(condition.body) != Op::literal) return true;
  return false;
}

// Entities that leave the escapes out, so that only the schema says which strings are which entities or addresses.
constexpr std::string_view needs_schema[] = {"tests/example_use_cases/4d.json", "tests/example_use_cases/4e.json"};

struct Tally {
  std::size_t by_schema = 0, cases = 0, requests = 0, real_cases = 0, real_requests = 0, with_reasons = 0,
              with_errors = 0;
  std::map<std::string, std::string> mismatches;  // by case, the first one

  void miss(const std::string& name, std::string what) { mismatches.try_emplace(name, std::move(what)); }
};

struct Case {
  std::string name;
  json::Value file;
  PolicySet policies;
  std::map<std::string, PolicySet> forms;  // the same policies, gone through another form of writing
  Entities entities;
};

std::string expected_and_got(const json::Value& request, const Answer& answer) {
  std::vector<std::string> erred;
  for (const PolicyError& error : answer.errors) erred.push_back(error.policy);
  const std::string want = request.string_or("decision") + " " + joined(ids_of(request.find("reason"))) + " errors " +
                           joined(ids_of(request.find("errors")));
  const std::string got = std::string(to_string(answer.decision)) + " " + joined(sorted(answer.reasons)) + " errors " +
                          joined(sorted(std::move(erred)));
  return want == got ? "" : "expected " + want + ", got " + got;
}

void run_requests(const Case& one, Tally& tally) {
  const bool real = has_real_condition(one.policies);
  ++tally.cases;
  tally.real_cases += real ? 1U : 0U;
  const auto* requests = one.file.find("requests")->as_array();
  for (std::size_t i = 0; requests != nullptr && i < requests->size(); ++i) {
    const json::Value& expected = (*requests)[i];
    ++tally.requests;
    tally.real_requests += real ? 1U : 0U;
    auto request = Request::from_json(expected);
    if (!request.ok()) {
      tally.miss(one.name, "request not read: " + request.error().message);
      continue;
    }
    const Answer answer = authorize(one.policies, one.entities, *request);
    tally.with_reasons += answer.reasons.empty() ? 0U : 1U;
    tally.with_errors += answer.errors.empty() ? 0U : 1U;
    if (auto what = expected_and_got(expected, answer); !what.empty())
      tally.miss(one.name, "request " + std::to_string(i) + ": " + what);
    for (const auto& [form, policies] : one.forms)
      if (auto what = expected_and_got(expected, authorize(policies, one.entities, *request)); !what.empty())
        tally.miss(one.name, "request " + std::to_string(i) + ", policies as " + form + ": " + what);
    // explain() walks every policy on its own; it must see what authorize() saw.
    for (const Policy& policy : one.policies.policies()) {
      const Explanation why = explain(policy, one.entities, *request);
      const auto& satisfied = policy.effect() == Effect::permit ? answer.satisfied_permits : answer.satisfied_forbids;
      const bool erred = std::ranges::any_of(answer.errors, [&](const auto& e) { return e.policy == policy.id(); });
      if (why.satisfied != (std::ranges::find(satisfied, policy.id()) != satisfied.end()) || why.erred != erred)
        tally.miss(one.name, "explain disagrees about " + policy.id());
    }
  }
}

// Through policy JSON, and laid out by the formatter.
void write_forms(const std::string& text, Case& one, Tally& tally) {
  const auto written = policies_to_json(one.policies);
  auto read = written.ok() ? policies_from_json(*written, "p.json") : written.error();
  if (!read.ok()) return tally.miss(one.name, "policy JSON: " + read.error().message);
  one.forms.emplace("JSON", std::move(*read));
  const auto laid_out = format_policies(text, "f");
  auto again = laid_out.ok() ? PolicySet::parse(*laid_out, "f") : laid_out.error();
  if (!again.ok()) return tally.miss(one.name, "formatted policies: " + again.error().message);
  one.forms.emplace("laid out", std::move(*again));
}

void run_case(const fs::path& file, const fs::path& top, Tally& tally) {
  Case one;
  one.name = fs::relative(file, top).string();
  auto parsed = json::parse(slurp(file), corpus_limits);
  if (!parsed.ok() || parsed->find("requests") == nullptr) return;
  one.file = std::move(*parsed);
  const fs::path policy_file = resolve(file, one.file.string_or("policies"), top);
  const std::string text = slurp(policy_file);
  auto policies = PolicySet::parse(text, policy_file.filename().string());
  if (!policies.ok()) return tally.miss(one.name, "policies: " + policies.error().message);
  one.policies = std::move(*policies);
  write_forms(text, one, tally);
  auto entities_json = json::parse(slurp(resolve(file, one.file.string_or("entities"), top)), corpus_limits);
  if (!entities_json.ok()) return tally.miss(one.name, "entities: " + entities_json.error().message);
  const bool by_schema = std::ranges::find(needs_schema, one.name) != std::end(needs_schema);
  auto schema = Schema();
  if (by_schema) {
    auto read = Schema::parse(slurp(resolve(file, one.file.string_or("schema"), top)), "schema");
    if (!read.ok()) return tally.miss(one.name, "schema: " + read.error().message);
    schema = std::move(*read);
    ++tally.by_schema;
  }
  auto entities = by_schema ? entities_from_json(*entities_json, schema) : Entities::from_json(*entities_json);
  if (!entities.ok()) return tally.miss(one.name, "entities: " + entities.error().message);
  // What is written must read back the same.
  auto again = Entities::from_json(entities->to_json());
  if (!again.ok() || again->size() != entities->size() ||
      !std::ranges::all_of(entities->all(), [&](const Entity& e) { return again->find(e.uid)->attrs == e.attrs; }))
    tally.miss(one.name, "entities do not survive JSON");
  one.entities = std::move(*entities);
  run_requests(one, tally);
}

TEST(CedarCorpus, DecisionsReasonsAndErrors) {
  const Corpus& corpus = unpacked_corpus();
  if (corpus.absent()) GTEST_SKIP() << "cedar.tar.gz is not below DAYPASS_CORPUS: 1,982 cases not run";
  ASSERT_TRUE(corpus.unpacked());
  const fs::path top = corpus.folder() / "cedar";
  std::map<std::string, Tally> by_part;
  // go-validate has cases for the validator: its two requests carry placeholders (an allow without a reason).
  for (const std::string part : {"corpus-4.10", "tests"})
    for (const auto& entry : fs::recursive_directory_iterator(top / part)) {
      const fs::path& path = entry.path();
      if (path.extension() == ".json" && !path.string().ends_with(".entities.json")) run_case(path, top, by_part[part]);
    }
  for (auto& [part, tally] : by_part) {
    std::cout << part << ": " << tally.cases << " cases, " << tally.requests
              << " requests, of these with a real condition " << tally.real_cases << " cases, " << tally.real_requests
              << " requests; requests with reasons " << tally.with_reasons << ", with errors " << tally.with_errors
              << "; entities read by the schema " << tally.by_schema << " cases; " << tally.mismatches.size()
              << " cases failed\n";
    for (const auto& [name, what] : tally.mismatches) ADD_FAILURE() << name << ": " << what;
    EXPECT_EQ(tally.by_schema, part == "tests" ? std::size(needs_schema) : 0U);
  }
  EXPECT_EQ(by_part["corpus-4.10"].cases, 1968U);
  EXPECT_EQ(by_part["corpus-4.10"].requests, 15744U);
  EXPECT_EQ(by_part["tests"].cases, 14U);
  EXPECT_EQ(by_part["tests"].requests, 45U);
}

// The comparison itself can fail: every verdict of a real case, flipped, is noticed.
TEST(CedarCorpus, AFlippedVerdictIsNoticed) {
  const Corpus& corpus = unpacked_corpus();
  if (corpus.absent()) GTEST_SKIP() << "cedar.tar.gz is not below DAYPASS_CORPUS: 3 flips not run";
  ASSERT_TRUE(corpus.unpacked());
  const fs::path top = corpus.folder() / "cedar";
  const fs::path file = top / "tests/multi/2.json";
  const std::string original = slurp(file);
  const std::pair<std::string_view, std::string_view> flips[] = {
      {"\"allow\"", "\"deny\""}, {"\"policy0\"", "\"policy1\""}, {"\"errors\": []", "\"errors\": [\"policy0\"]"}};
  for (const auto& [from, to] : flips) {
    std::string changed = original;
    ASSERT_NE(changed.find(from), std::string::npos);
    changed.replace(changed.find(from), from.size(), to);
    std::ofstream(file, std::ios::binary) << changed;
    Tally tally;
    run_case(file, top, tally);
    EXPECT_EQ(tally.mismatches.size(), 1U) << from;
  }
  std::ofstream(file, std::ios::binary) << original;
}

}  // namespace
}  // namespace daypass::cedar
