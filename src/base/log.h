// Structured logging: one JSON object per line. Fields are named by the caller; a Secret has no way in.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/time.h"

namespace daypass::base {

enum class Level { debug, info, warn, error };

/// Writes {"ts":…,"level":…,"msg":…, fields…} with one write per line. Safe from any thread.
class Log {
 public:
  using Sink = std::function<void(std::string_view line)>;
  Log(const Clock& clock, Level least, Sink sink) : clock_(clock), least_(least), sink_(std::move(sink)) {}

  [[nodiscard]] bool enabled(Level level) const noexcept { return level >= least_; }
  void write(Level level, std::string_view message, std::initializer_list<json::Member> fields = {}) const;
  void debug(std::string_view m, std::initializer_list<json::Member> f = {}) const { write(Level::debug, m, f); }
  void info(std::string_view m, std::initializer_list<json::Member> f = {}) const { write(Level::info, m, f); }
  void warn(std::string_view m, std::initializer_list<json::Member> f = {}) const { write(Level::warn, m, f); }
  void error(std::string_view m, std::initializer_list<json::Member> f = {}) const { write(Level::error, m, f); }

 private:
  const Clock& clock_;
  Level least_;
  Sink sink_;
};

/// One write(2) to the descriptor per line.
Log::Sink log_to_fd(int fd);
/// Drops everything: for tests.
Log::Sink log_to_nowhere();

}  // namespace daypass::base
