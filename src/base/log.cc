#include "base/log.h"

#include <unistd.h>

#include <cerrno>

namespace daypass::base {

void Log::write(Level level, std::string_view message, std::initializer_list<json::Member> fields) const {
  if (!enabled(level)) return;
  constexpr std::string_view names[] = {"debug", "info", "warn", "error"};
  json::Object line;
  line.set("ts", to_rfc3339(clock_.wall()));
  line.set("level", names[static_cast<int>(level)]);
  line.set("msg", message);
  for (const auto& [key, value] : fields) line.set(key, value);
  sink_(json::dump(json::Value(std::move(line))) + "\n");
}

Log::Sink log_to_fd(int fd) {
  return [fd](std::string_view line) {
    while (!line.empty()) {
      const ssize_t n = ::write(fd, line.data(), line.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;  // nowhere left to say it
      line.remove_prefix(static_cast<std::size_t>(n));
    }
  };
}

Log::Sink log_to_nowhere() {
  return [](std::string_view) {};
}

}  // namespace daypass::base
