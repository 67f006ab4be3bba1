// The conformance corpus from the command line: every case below a folder.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/cli/commands.h"
#include "app/cli/policy_files.h"
#include "cedar/corpus.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_corpus_files = 1'000'000;

// Sorted, so that two runs read alike. Links to folders are not followed.
Result<std::vector<fs::path>> json_files(const std::string& folder) {
  std::error_code error;
  const fs::path top = fs::absolute(folder, error).lexically_normal();
  std::vector<fs::path> out;
  fs::recursive_directory_iterator at(top, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (at->path().extension() != ".json" || !at->is_regular_file(error)) continue;
    if (out.size() == max_corpus_files)
      return Error{Code::invalid, "corpus.too_many", folder + " holds more than 1,000,000 JSON files",
                   "name a folder further down"};
    out.push_back(at->path());
  }
  if (error)
    return Error{Code::invalid, "corpus.folder", folder + ": " + error.message(), "name the folder that holds cases"};
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<std::string> read_if_there(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error) || fs::file_size(path, error) > max_policy_file_bytes || error)
    return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

struct Tally {
  std::int64_t passed = 0, failed = 0, requests = 0, real_cases = 0, real_requests = 0, schemas = 0, placeholders = 0;

  void add(const cedar::CorpusCase& one) {
    ++(one.mismatches.empty() ? passed : failed);
    const auto n = static_cast<std::int64_t>(one.requests);
    requests += n;
    real_cases += one.real_condition ? 1 : 0;
    real_requests += one.real_condition ? n : 0;
    schemas += one.json_schema ? 1 : 0;
    placeholders += static_cast<std::int64_t>(one.placeholders);
  }
};

}  // namespace

int policy_corpus(Io& io, const Globals& g, const std::string& folder) {
  const auto files = json_files(folder);
  if (!files.ok()) return wrong_files(io, g, files.error(), "no corpus");
  const fs::path top = fs::absolute(folder).lexically_normal();
  Tally tally;
  json::Array mismatches;
  for (const auto& file : *files) {
    const auto one = cedar::run_corpus_case(file.string(), read_if_there);
    if (!one) continue;
    tally.add(*one);
    const std::string name = file.lexically_relative(top).string();
    for (const auto& what : one->mismatches) {
      if (g.json())
        mismatches.push_back(json::Object{{"case", name}, {"what", what}});
      else
        io.out(name + ": " + what + "\n");
    }
  }
  if (tally.passed + tally.failed == 0)
    return wrong_files(
        io, g,
        {Code::invalid, "corpus.empty", folder + " holds no case file, that is, no *.json with \"requests\"",
         "unpack the corpus first: tar -xzf cedar.tar.gz"},
        "no corpus");
  if (g.json()) {
    print_json(io, {{"passed", tally.passed},
                    {"failed", tally.failed},
                    {"requests", tally.requests},
                    {"real_cases", tally.real_cases},
                    {"real_requests", tally.real_requests},
                    {"json_schemas", tally.schemas},
                    {"without_verdict", tally.placeholders},
                    {"mismatches", std::move(mismatches)}});
  } else {
    io.out("with a real condition: " + std::to_string(tally.real_cases) + " cases, " +
           std::to_string(tally.real_requests) + " of " + std::to_string(tally.requests) +
           " requests; JSON schemas compared: " + std::to_string(tally.schemas) +
           "; requests that carry no verdict: " + std::to_string(tally.placeholders) + "\n" +
           std::to_string(tally.passed) + " passed, " + std::to_string(tally.failed) + " failed\n");
  }
  return tally.failed == 0 ? Exit::done : Exit::failed;
}

}  // namespace daypass::app::cli
