#include "cedar/extension.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

namespace daypass::cedar::extension {
namespace {

using Wide = __int128;
constexpr std::int64_t day_ms = 86'400'000;

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

// Takes the digits at the front of `text`. A number of more than 30 significant digits is cut to a value that is out of
// every range here, so that leading zeros are free and nothing overflows.
std::optional<Wide> take_number(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  if (n == 0) return std::nullopt;
  std::string_view digits = text.substr(0, n);
  text.remove_prefix(n);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  Wide number = 0;
  for (const char c : digits.substr(0, 30)) number = number * 10 + (c - '0');
  return number;
}

std::optional<std::int64_t> narrow(Wide number) {
  if (number < std::numeric_limits<std::int64_t>::min() || number > std::numeric_limits<std::int64_t>::max())
    return std::nullopt;
  return static_cast<std::int64_t>(number);
}

// Exactly `count` digits at the front.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
  if (text.size() < count || !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(count), is_digit))
    return std::nullopt;
  int number = 0;
  for (const char c : text.substr(0, count)) number = number * 10 + (c - '0');
  text.remove_prefix(count);
  return number;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

bool read_v4(std::string_view text, IpAddr& out) {
  for (std::size_t i = 0; i < 4; ++i) {
    if (i > 0 && !take(text, '.')) return false;
    std::size_t n = 0;
    unsigned octet = 0;
    while (n < text.size() && n < 3 && is_digit(text[n])) octet = octet * 10 + static_cast<unsigned>(text[n++] - '0');
    if (n == 0 || octet > 255 || (n > 1 && text.front() == '0')) return false;
    out.bytes[i] = static_cast<std::uint8_t>(octet);
    text.remove_prefix(n);
  }
  return text.empty();
}

int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Groups separated by ':' until the end or a "::"; nullopt when malformed or more than eight.
std::optional<std::size_t> read_groups(std::string_view& text, std::array<std::uint16_t, 8>& groups) {
  std::size_t count = 0;
  while (!text.empty() && !text.starts_with("::")) {
    if (count > 0 && !take(text, ':')) return std::nullopt;
    if (count == 8) return std::nullopt;
    std::size_t n = 0;
    unsigned group = 0;
    while (n < text.size() && n < 4 && hex_digit(text[n]) >= 0)
      group = group * 16 + static_cast<unsigned>(hex_digit(text[n++]));
    if (n == 0) return std::nullopt;
    groups[count++] = static_cast<std::uint16_t>(group);
    text.remove_prefix(n);
  }
  return count;
}

bool read_v6(std::string_view text, IpAddr& out) {
  std::array<std::uint16_t, 8> head = {};
  std::array<std::uint16_t, 8> tail = {};
  const auto heads = read_groups(text, head);
  if (!heads) return false;
  if (text.empty()) {
    if (*heads != 8) return false;
  } else {
    text.remove_prefix(2);
    const auto tails = read_groups(text, tail);
    // "::" stands for one group at least.
    if (!tails || !text.empty() || *heads + *tails > 7) return false;
    std::copy_n(tail.begin(), *tails, head.begin() + static_cast<std::ptrdiff_t>(8 - *tails));
  }
  for (std::size_t i = 0; i < 8; ++i) {
    out.bytes[2 * i] = static_cast<std::uint8_t>(head[i] >> 8U);
    out.bytes[2 * i + 1] = static_cast<std::uint8_t>(head[i] & 0xffU);
  }
  return true;
}

std::array<std::uint8_t, 16> masked(const IpAddr& address, unsigned prefix) noexcept {
  auto bytes = address.bytes;
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned first = i * 8;
    if (first >= prefix)
      bytes[i] = 0;
    else if (first + 8 > prefix)
      bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xffU << (first + 8 - prefix)));
  }
  return bytes;
}

// The part after the seconds: `.SSS`? (Z | (+|-)hhmm).
bool read_fraction_and_offset(std::string_view text, int& millis, int& offset_minutes, std::string& why) {
  if (take(text, '.')) {
    const auto ms = take_digits(text, 3);
    if (!ms) {
      why = "milliseconds are three digits";
      return false;
    }
    millis = *ms;
  }
  if (text == "Z") return true;
  const bool minus = text.starts_with('-');
  if (!minus && !text.starts_with('+')) {
    why = "expected `Z` or an offset like +0100";
    return false;
  }
  text.remove_prefix(1);
  const auto hours = take_digits(text, 2);
  const auto minutes = hours ? take_digits(text, 2) : std::nullopt;
  if (!minutes || !text.empty()) {
    why = "an offset is a sign and four digits";
    return false;
  }
  if (*hours > 23 || *minutes > 59) {
    why = "the offset is out of range";
    return false;
  }
  offset_minutes = (*hours * 60 + *minutes) * (minus ? -1 : 1);
  return true;
}

}  // namespace

std::optional<std::int64_t> read_decimal(std::string_view text, std::string& why) {
  const bool minus = take(text, '-');
  const auto whole = take_number(text);
  if (!whole || !take(text, '.')) {
    why = "expected digits, a point and one to four digits";
    return std::nullopt;
  }
  const std::size_t places = text.size();
  if (places == 0 || !std::all_of(text.begin(), text.end(), is_digit)) {
    why = "expected digits, a point and one to four digits";
    return std::nullopt;
  }
  if (places > 4) {
    why = "more than four digits after the point";
    return std::nullopt;
  }
  Wide fraction = *take_number(text);
  for (std::size_t i = places; i < 4; ++i) fraction *= 10;
  const auto number = *whole * 10'000 + fraction;
  const auto value = narrow(minus ? -number : number);
  if (!value) why = "out of range";
  return value;
}

std::optional<IpAddr> read_ip(std::string_view text, std::string& why) {
  // Before any work: 43 is the longest an IPv6 range can be.
  if (text.size() > 43) {
    why = "too long for an address";
    return std::nullopt;
  }
  IpAddr out;
  out.v6 = text.find(':') != std::string_view::npos;
  if (out.v6 && text.find('.') != std::string_view::npos) {
    why = "IPv4 embedded in IPv6 is not accepted";
    return std::nullopt;
  }
  const std::size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  if (!(out.v6 ? read_v6(address, out) : read_v4(address, out))) {
    why = "not an address";
    return std::nullopt;
  }
  const unsigned most = out.v6 ? 128 : 32;
  out.prefix = static_cast<std::uint8_t>(most);
  if (slash == std::string_view::npos) return out;
  std::string_view prefix = text.substr(slash + 1);
  const bool leading_zero = prefix.size() > 1 && prefix.front() == '0';
  const auto bits = prefix.size() <= 3 ? take_number(prefix) : std::nullopt;
  if (!bits || !prefix.empty() || leading_zero || *bits > most) {
    why = fmt::format("the prefix is a number from 0 to {} without leading zeros", most);
    return std::nullopt;
  }
  out.prefix = static_cast<std::uint8_t>(*bits);
  return out;
}

std::optional<std::int64_t> read_datetime(std::string_view text, std::string& why) {
  using std::chrono::day, std::chrono::month, std::chrono::year, std::chrono::year_month_day, std::chrono::sys_days;
  const auto y = take_digits(text, 4);
  const auto m = y && take(text, '-') ? take_digits(text, 2) : std::nullopt;
  const auto d = m && take(text, '-') ? take_digits(text, 2) : std::nullopt;
  if (!d) {
    why = "expected a date like 2026-11-24";
    return std::nullopt;
  }
  const year_month_day date(year{*y}, month{static_cast<unsigned>(*m)}, day{static_cast<unsigned>(*d)});
  if (!date.ok()) {
    why = "no such date";
    return std::nullopt;
  }
  const std::int64_t midnight = std::int64_t{sys_days(date).time_since_epoch().count()} * day_ms;
  if (text.empty()) return midnight;
  const auto hour = take(text, 'T') ? take_digits(text, 2) : std::nullopt;
  const auto minute = hour && take(text, ':') ? take_digits(text, 2) : std::nullopt;
  const auto second = minute && take(text, ':') ? take_digits(text, 2) : std::nullopt;
  if (!second) {
    why = "expected a time like T15:31:41Z";
    return std::nullopt;
  }
  if (*hour > 23 || *minute > 59 || *second > 59) {
    why = "no such time";
    return std::nullopt;
  }
  int millis = 0;
  int offset_minutes = 0;
  if (!read_fraction_and_offset(text, millis, offset_minutes, why)) return std::nullopt;
  return midnight + ((*hour * 60 + *minute - offset_minutes) * 60 + *second) * std::int64_t{1000} + millis;
}

std::optional<std::int64_t> read_duration(std::string_view text, std::string& why) {
  struct Unit {
    std::string_view name;
    std::int64_t millis;
  };
  static constexpr Unit units[] = {{"d", day_ms}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};
  constexpr std::string_view shape = "expected something like 1d2h30m5s250ms, units in that order";
  const bool minus = take(text, '-');
  if (text.empty()) {
    why = shape;
    return std::nullopt;
  }
  Wide total = 0;
  std::size_t next = 0;
  while (!text.empty()) {
    const auto number = take_number(text);
    const std::string_view name = text.substr(0, text.starts_with("ms") ? 2 : 1);
    while (number && next < std::size(units) && units[next].name != name) ++next;
    if (!number || next == std::size(units)) {
      why = shape;
      return std::nullopt;
    }
    total += *number * units[next++].millis;
    text.remove_prefix(name.size());
  }
  const auto value = narrow(minus ? -total : total);
  if (!value) why = "out of range";
  return value;
}

std::string write_decimal(std::int64_t ten_thousandths) {
  const bool minus = ten_thousandths < 0;
  const std::uint64_t size =
      minus ? 0 - static_cast<std::uint64_t>(ten_thousandths) : static_cast<std::uint64_t>(ten_thousandths);
  std::string out = fmt::format("{}{}.{:04}", minus ? "-" : "", size / 10'000, size % 10'000);
  while (out.back() == '0' && out[out.size() - 2] != '.') out.pop_back();
  return out;
}

std::string write_ip(const IpAddr& address) {
  std::string out;
  if (!address.v6) {
    const auto& b = address.bytes;
    out = fmt::format("{}.{}.{}.{}", b[0], b[1], b[2], b[3]);
  } else {
    std::array<unsigned, 8> groups = {};
    for (std::size_t i = 0; i < 8; ++i)
      groups[i] = static_cast<unsigned>(address.bytes[2 * i]) << 8U | address.bytes[2 * i + 1];
    // RFC 5952 section 4.2: the longest run of two or more zero groups, the first of equals.
    std::size_t best = 8, best_length = 1;
    for (std::size_t i = 0; i < 8; ++i) {
      std::size_t n = 0;
      while (i + n < 8 && groups[i + n] == 0) ++n;
      if (n > best_length) {
        best = i;
        best_length = n;
      }
    }
    for (std::size_t i = 0; i < 8; ++i) {
      if (i == best) {
        out += "::";
        i += best_length - 1;
        continue;
      }
      if (!out.empty() && out.back() != ':') out += ':';
      out += fmt::format("{:x}", groups[i]);
    }
  }
  if (address.prefix != (address.v6 ? 128 : 32)) out += fmt::format("/{}", address.prefix);
  return out;
}

std::optional<std::string> write_datetime(std::int64_t unix_millis) {
  using std::chrono::days, std::chrono::sys_days, std::chrono::year_month_day;
  const auto midnight = to_date(unix_millis);
  // 0000-01-01 and 9999-12-31 in days since 1970.
  if (!midnight || *midnight / day_ms < -719'528 || *midnight / day_ms > 2'932'896) return std::nullopt;
  const year_month_day date(sys_days(days(static_cast<int>(*midnight / day_ms))));
  const std::int64_t time = to_time(unix_millis);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                time / 3'600'000, time / 60'000 % 60, time / 1000 % 60);
  if (time % 1000 != 0) out += fmt::format(".{:03}", time % 1000);
  return out + "Z";
}

std::string write_duration(std::int64_t millis) {
  return fmt::format("{}ms", millis);
}

bool is_loopback(const IpAddr& address) noexcept {
  IpAddr loopback{address.v6, static_cast<std::uint8_t>(address.v6 ? 128 : 8), {}};
  if (address.v6)
    loopback.bytes[15] = 1;
  else
    loopback.bytes[0] = 127;
  return is_in_range(address, loopback);
}

bool is_multicast(const IpAddr& address) noexcept {
  IpAddr multicast{address.v6, static_cast<std::uint8_t>(address.v6 ? 8 : 4), {}};
  multicast.bytes[0] = address.v6 ? 0xff : 0xe0;
  return is_in_range(address, multicast);
}

bool is_in_range(const IpAddr& inner, const IpAddr& outer) noexcept {
  return inner.v6 == outer.v6 && inner.prefix >= outer.prefix &&
         masked(inner, outer.prefix) == masked(outer, outer.prefix);
}

std::int64_t to_time(std::int64_t unix_millis) noexcept {
  const std::int64_t rest = unix_millis % day_ms;
  return rest < 0 ? rest + day_ms : rest;
}

std::optional<std::int64_t> to_date(std::int64_t unix_millis) noexcept {
  std::int64_t midnight = 0;
  if (__builtin_sub_overflow(unix_millis, to_time(unix_millis), &midnight)) return std::nullopt;
  return midnight;
}

}  // namespace daypass::cedar::extension
