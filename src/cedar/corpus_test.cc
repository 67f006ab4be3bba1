// Every verdict of the conformance corpus: policies, entities, schemas and requests written by others, with what the
// official engine said of them.
#include "cedar/corpus.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>

#include "cedar/corpus_test_support.h"

namespace daypass::cedar {
namespace {

namespace fs = std::filesystem;
using namespace testing;

struct Tally {
  std::size_t cases = 0, valid = 0, real_cases = 0, requests = 0, real_requests = 0, with_reasons = 0, with_errors = 0,
              placeholders = 0, json_schemas = 0, entity_files = 0, checked_requests = 0, refused = 0;
  std::map<std::string, std::string> mismatches;  // by case, the first one
};

void run_case(const fs::path& path, const fs::path& top, Tally& tally) {
  const auto one = run_corpus_case(path.string(), read_if_there);
  if (!one) return;
  ++tally.cases;
  tally.valid += one->valid ? 1U : 0U;
  tally.real_cases += one->real_condition ? 1U : 0U;
  tally.requests += one->requests;
  tally.real_requests += one->real_condition ? one->requests : 0U;
  tally.with_reasons += one->with_reasons;
  tally.with_errors += one->with_errors;
  tally.placeholders += one->placeholders;
  tally.json_schemas += one->json_schema ? 1U : 0U;
  tally.entity_files += one->entity_files;
  tally.checked_requests += one->checked_requests;
  tally.refused += one->refused;
  if (!one->mismatches.empty()) tally.mismatches.emplace(fs::relative(path, top).string(), one->mismatches.front());
}

TEST(CedarCorpus, EveryVerdict) {
  const Corpus& corpus = unpacked_corpus();
  if (corpus.absent()) GTEST_SKIP() << "cedar.tar.gz is not below DAYPASS_CORPUS: 2,007 cases not run";
  ASSERT_TRUE(corpus.unpacked());
  const fs::path top = corpus.folder() / "cedar";
  std::map<std::string, Tally> by_part;
  for (const std::string part : {"corpus-4.10", "tests", "go-validate"})
    for (const auto& entry : fs::recursive_directory_iterator(top / part))
      if (entry.path().extension() == ".json") run_case(entry.path(), top, by_part[part]);
  for (const auto& [part, tally] : by_part) {
    std::cout << part << ": " << tally.cases << " cases, " << tally.valid << " of them valid, " << tally.requests
              << " requests; of these with a real condition " << tally.real_cases << " cases, " << tally.real_requests
              << " requests; requests with reasons " << tally.with_reasons << ", with errors " << tally.with_errors
              << "; " << tally.json_schemas << " JSON schemas, " << tally.entity_files << " entity files, "
              << tally.checked_requests << " requests by type, " << tally.refused << " of the last two refused; "
              << tally.mismatches.size() << " cases failed\n";
    std::size_t shown = 0;
    for (const auto& [name, what] : tally.mismatches)
      if (++shown <= 20) ADD_FAILURE() << name << ": " << what;
    EXPECT_EQ(tally.mismatches.size(), 0U);
  }
  EXPECT_EQ(by_part["corpus-4.10"].cases, 1968U);
  EXPECT_EQ(by_part["corpus-4.10"].requests, 15744U);
  EXPECT_EQ(by_part["corpus-4.10"].json_schemas, 1953U);
  EXPECT_EQ(by_part["tests"].cases, 14U);
  EXPECT_EQ(by_part["tests"].requests, 45U);
  EXPECT_EQ(by_part["go-validate"].cases, 25U);
  EXPECT_EQ(by_part["go-validate"].placeholders, 1U);
  EXPECT_EQ(by_part["corpus-4.10"].placeholders + by_part["tests"].placeholders, 0U);
}

// The comparison itself can fail: every kind of verdict of a case, flipped, is noticed.
TEST(CedarCorpus, AFlippedVerdictIsNoticed) {
  const Corpus& corpus = unpacked_corpus();
  if (corpus.absent()) GTEST_SKIP() << "cedar.tar.gz is not below DAYPASS_CORPUS: 7 flips not run";
  ASSERT_TRUE(corpus.unpacked());
  const fs::path top = corpus.folder() / "cedar";
  const struct {
    const char* file;
    std::string_view from, to;
  } flips[] = {{"tests/multi/2.json", "\"allow\"", "\"deny\""},
               {"tests/multi/2.json", "\"policy0\"", "\"policy1\""},
               {"tests/multi/2.json", "\"errors\": []", "\"errors\": [\"policy0\"]"},
               {"tests/multi/2.json", "\"shouldValidate\": true", "\"shouldValidate\": false"},
               {"go-validate/x/exp/schema/validate/testdata/all_pass.json", "[\"policy0\"]", "[]"},
               {"go-validate/x/exp/schema/validate/testdata/coverage_edges.json", "\"allow\"", "\"deny\""},
               {"go-validate/x/exp/schema/validate/testdata/coverage_edges.json", "\"errors\": []",
                "\"errors\": [\"policy5\"]"}};
  for (const auto& [name, from, to] : flips) {
    const fs::path file = top / name;
    const std::string original = slurp(file);
    std::string changed = original;
    ASSERT_NE(changed.find(from), std::string::npos) << name << " " << from;
    changed.replace(changed.find(from), from.size(), to);
    std::ofstream(file, std::ios::binary) << changed;
    Tally tally;
    run_case(file, top, tally);
    EXPECT_EQ(tally.mismatches.size(), 1U) << name << " " << from;
    std::ofstream(file, std::ios::binary) << original;
  }
}

std::optional<CorpusCase> run_files(const std::map<std::string, std::string>& files) {
  return run_corpus_case("/a/b/case.json", [&](const std::string& path) -> std::optional<std::string> {
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  });
}

const std::string one_case = R"({"policies": "p/x.cedar", "entities": "e.json", "schema": "s", "shouldValidate": true,
  "requests": [{"principal": {"type": "U", "id": "u"}, "action": {"type": "Action", "id": "a"},
                "resource": {"type": "U", "id": "u"}, "context": {}, "decision": "allow", "reason": ["policy0"],
                "errors": []}]})";
const std::string one_schema = R"(entity U; action a appliesTo {principal: U, resource: U};)";

TEST(CedarCorpus, FilesAreFoundAboveNearestFirstElseBesideTheCase) {
  const auto above = run_files({{"/a/b/case.json", one_case},
                                {"/a/p/x.cedar", "permit (principal, action, resource);"},
                                {"/p/x.cedar", "nothing"},
                                {"/e.json", "[]"},
                                {"/a/b/s", one_schema}});
  ASSERT_TRUE(above);
  EXPECT_TRUE(above->mismatches.empty()) << above->mismatches.front();
  EXPECT_EQ(above->requests, 1U);
  EXPECT_FALSE(above->real_condition);
  const auto beside = run_files({{"/a/b/case.json", one_case},
                                 {"/a/b/x.cedar", "permit (principal, action, resource) when { 1 == 1 };"},
                                 {"/a/b/e.json", "[]"},
                                 {"/a/b/s", one_schema}});
  ASSERT_TRUE(beside);
  EXPECT_TRUE(beside->mismatches.empty()) << beside->mismatches.front();
  EXPECT_TRUE(beside->real_condition);
}

TEST(CedarCorpus, WhatIsMissingOrDamagedIsAMismatchAndWhatIsNoCaseIsNone) {
  EXPECT_FALSE(run_files({}));
  EXPECT_FALSE(run_files({{"/a/b/case.json", R"({"uid": 1})"}}));
  EXPECT_FALSE(run_files({{"/a/b/case.json", "not JSON"}}));
  for (const std::string text : {R"({"requests": )", R"({"requests": 7})", R"({"requests": []})"}) {
    const auto found = run_files({{"/a/b/case.json", text}});
    ASSERT_TRUE(found) << text;
    EXPECT_FALSE(found->mismatches.empty()) << text;
  }
}

}  // namespace
}  // namespace daypass::cedar
