// The conformance corpus for the tests that run it: unpacked once.
#pragma once

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "cedar/corpus.h"

namespace daypass::cedar::testing {

namespace fs = std::filesystem;
namespace json = base::json;

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// What the tests need of the archive, unpacked for the lifetime of this.
class Corpus {
 public:
  Corpus() {
    const char* named = std::getenv("DAYPASS_CORPUS");
    const fs::path archive = fs::path(named != nullptr ? named : "../shared/corpus") / "cedar.tar.gz";
    if (!fs::exists(archive)) return;
    std::string folder = (fs::temp_directory_path() / "daypass-cedar-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) return;
    folder_ = folder;
    const std::string from = archive.string();
    std::vector<std::string> words{"tar",
                                   "-xzf",
                                   from,
                                   "-C",
                                   folder,
                                   "cedar/corpus-4.10",
                                   "cedar/tests",
                                   "cedar/sample-data",
                                   "cedar/go-results",
                                   "cedar/go-validate"};
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_t child = 0;
    int status = -1;
    if (posix_spawnp(&child, "tar", nullptr, nullptr, argv.data(), environ) == 0) waitpid(child, &status, 0);
    unpacked_ = status == 0;
  }
  Corpus(const Corpus&) = delete;
  Corpus& operator=(const Corpus&) = delete;
  ~Corpus() {
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

  [[nodiscard]] bool absent() const { return folder_.empty(); }
  [[nodiscard]] bool unpacked() const { return unpacked_; }
  [[nodiscard]] const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_;
  bool unpacked_ = false;
};

inline const Corpus& unpacked_corpus() {
  static const Corpus corpus;
  return corpus;
}

/// For run_corpus_case.
inline std::optional<std::string> read_if_there(const std::string& path) {
  if (!fs::is_regular_file(path)) return std::nullopt;
  return slurp(path);
}

}  // namespace daypass::cedar::testing
