#include "base/time.h"

#include <ctime>

#include <array>
#include <cstdio>

namespace daypass::base {
namespace {

std::chrono::nanoseconds read(clockid_t id) {
  timespec ts{};
  DP_ASSERT(clock_gettime(id, &ts) == 0);
  return std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec);
}

// Reads exactly `n` decimal digits at the front of `text` and drops them; -1 when they are not there.
int take_digits(std::string_view& text, std::size_t n) {
  if (text.size() < n) return -1;
  int value = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(n);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

Error time_error(std::string_view text) {
  return {Code::invalid, "time.syntax", "\"" + std::string(text.substr(0, 40)) + "\" is not an RFC 3339 time",
          "write it like 2026-11-24T15:31:41Z"};
}

struct Unit {
  std::string_view name;
  Millis size;
};
constexpr std::array<Unit, 5> units{{{"d", std::chrono::hours(24)},
                                     {"h", std::chrono::hours(1)},
                                     {"m", std::chrono::minutes(1)},
                                     {"s", std::chrono::seconds(1)},
                                     {"ms", Millis(1)}}};

}  // namespace

WallTime SystemClock::wall() const {
  return WallTime(std::chrono::duration_cast<Millis>(read(CLOCK_REALTIME)));
}
MonoTime SystemClock::mono() const {
  return MonoTime(read(CLOCK_BOOTTIME));
}

std::string to_rfc3339(WallTime t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day ymd(day);
  const std::chrono::hh_mm_ss hms(t - day);
  std::array<char, 48> out{};
  int n = std::snprintf(out.data(), out.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(ymd.year()),
                        static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()),
                        static_cast<int>(hms.hours().count()), static_cast<int>(hms.minutes().count()),
                        static_cast<int>(hms.seconds().count()));
  std::string text(out.data(), static_cast<std::size_t>(n));
  if (const auto ms = hms.subseconds().count(); ms != 0) {
    n = std::snprintf(out.data(), out.size(), ".%03d", static_cast<int>(ms));
    text.append(out.data(), static_cast<std::size_t>(n));
  }
  return text + "Z";
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const std::string_view whole = text;
  const int year = take_digits(text, 4);
  if (year < 0 || !take(text, '-')) return time_error(whole);
  const int month = take_digits(text, 2);
  if (month < 0 || !take(text, '-')) return time_error(whole);
  const int day = take_digits(text, 2);
  if (day < 0 || !(take(text, 'T') || take(text, 't') || take(text, ' '))) return time_error(whole);
  const int hour = take_digits(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':')) return time_error(whole);
  const int minute = take_digits(text, 2);
  if (minute < 0 || minute > 59 || !take(text, ':')) return time_error(whole);
  const int second = take_digits(text, 2);
  if (second < 0 || second > 59) return time_error(whole);
  int millis = 0;
  if (take(text, '.')) {
    int digits = 0;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      if (digits < 3) millis = millis * 10 + (text.front() - '0');
      ++digits;
      text.remove_prefix(1);
    }
    if (digits == 0 || digits > 9) return time_error(whole);
    for (; digits < 3; ++digits) millis *= 10;
  }
  int offset_minutes = 0;
  if (!(take(text, 'Z') || take(text, 'z'))) {
    const bool west = !text.empty() && text.front() == '-';
    if (!(take(text, '+') || take(text, '-'))) return time_error(whole);
    const int oh = take_digits(text, 2);
    if (oh < 0 || oh > 23 || !take(text, ':')) return time_error(whole);
    const int om = take_digits(text, 2);
    if (om < 0 || om > 59) return time_error(whole);
    offset_minutes = (oh * 60 + om) * (west ? -1 : 1);
  }
  const std::chrono::year_month_day ymd(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                        std::chrono::day(static_cast<unsigned>(day)));
  if (!text.empty() || !ymd.ok()) return time_error(whole);
  return WallTime(std::chrono::sys_days(ymd)) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second) + Millis(millis) - std::chrono::minutes(offset_minutes);
}

Result<Millis> parse_duration(std::string_view text) {
  const Error bad{Code::invalid, "duration.syntax", "\"" + std::string(text.substr(0, 40)) + "\" is not a duration",
                  "write it like 1h30m, 10m or 90s"};
  if (text.empty() || text.size() > 40) return bad;
  Millis total{0};
  std::size_t next_unit = 0;
  while (!text.empty()) {
    std::int64_t number = 0;
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
      if (digits == 12) return bad;
      number = number * 10 + (text[digits] - '0');
      ++digits;
    }
    if (digits == 0) return bad;
    text.remove_prefix(digits);
    std::size_t letters = 0;
    while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
    const std::string_view name = text.substr(0, letters);
    std::size_t i = next_unit;
    while (i < units.size() && units[i].name != name) ++i;
    if (i == units.size()) return bad;
    constexpr Millis longest = std::chrono::hours(24 * 3650);
    if (number > longest / units[i].size) return bad;
    total += number * units[i].size;
    if (total > longest) return bad;
    next_unit = i + 1;
    text.remove_prefix(letters);
  }
  return total;
}

std::string to_string(Millis d) {
  if (d <= Millis(0)) return "0s";
  std::string out;
  for (const auto& unit : units) {
    const auto n = d / unit.size;
    if (n == 0) continue;
    out += std::to_string(n);
    out += unit.name;
    d -= n * unit.size;
  }
  return out;
}

}  // namespace daypass::base
