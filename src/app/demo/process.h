// Child processes with captured output and a deadline.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace daypass::app::demo {

struct Command {
  std::vector<std::string> args;                     ///< args[0] is a path
  std::map<std::string, std::string> env;            ///< added to, or replacing, the inherited ones
  std::optional<std::pair<uid_t, gid_t>> as_user;    ///< to drop root
  std::string directory;                             ///< empty: the parent's
  base::Millis deadline = std::chrono::seconds(30);  ///< then it is killed
  const std::atomic<bool>* stop = nullptr;           ///< set by another thread: the child is killed, run() fails
  /// Called with all of stderr so far whenever more arrives; for children that say where to go.
  std::function<void(const std::string&)> on_stderr;
};

struct Outcome {
  int exit_code = -1;    ///< 128 + signal when it was killed
  std::string out, err;  ///< at most 1 MiB each
  bool timed_out = false;
};

/// Runs to the end. Errors: "process.start", "process.stopped".
base::Result<Outcome> run(const Command& command, const base::Clock& clock);

/// A child that goes on beside us, output to a file; ended (SIGINT, then SIGKILL) by the destructor.
class Child {
 public:
  static base::Result<Child> start(const Command& command, const std::string& log_file);
  Child(Child&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  Child& operator=(Child&&) = delete;
  ~Child();
  [[nodiscard]] bool alive() const;

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  mutable pid_t pid_;
};

}  // namespace daypass::app::demo
