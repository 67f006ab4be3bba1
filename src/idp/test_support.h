// For tests alone: a clock in the hand, and forms read back.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <string_view>

#include "base/time.h"

namespace daypass::idp::testing {

/// A clock that stands still until it is told.
class HandClock final : public base::Clock {
 public:
  explicit HandClock(base::WallTime start = base::WallTime(base::Seconds(1'800'000'000))) : start_(start) {}
  [[nodiscard]] base::WallTime wall() const override { return start_ + passed(); }
  [[nodiscard]] base::MonoTime mono() const override { return base::MonoTime(std::chrono::hours(1)) + passed(); }
  void advance(base::Millis by) { passed_ += by.count(); }

 private:
  [[nodiscard]] base::Millis passed() const { return base::Millis(passed_.load()); }
  base::WallTime start_;
  std::atomic<std::int64_t> passed_{0};
};

inline std::string form_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

inline std::map<std::string, std::string> form_fields(std::string_view text) {
  std::map<std::string, std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view field = text.substr(0, end);
    const std::size_t equals = std::min(field.find('='), field.size());
    out[form_decode(field.substr(0, equals))] = form_decode(field.substr(std::min(equals + 1, field.size())));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace daypass::idp::testing
