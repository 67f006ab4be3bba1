// The text forms of the extension types (decimal, ipaddr, datetime, duration), read and written. Internal to the room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cedar/value.h"

namespace daypass::cedar::extension {

// Each reader returns nullopt on anything but a well-formed value in range; `why` then says what is wrong.

/// `-?d+.d{1,4}`, in units of 1/10000.
std::optional<std::int64_t> read_decimal(std::string_view text, std::string& why);
/// `a.b.c.d` or RFC 4291 text without embedded v4, each with an optional `/prefix`; at most 43 bytes.
std::optional<IpAddr> read_ip(std::string_view text, std::string& why);
/// `YYYY-MM-DD`, or that with `Thh:mm:ss`, optional `.SSS`, then `Z` or `(+|-)hhmm`; milliseconds since 1970.
std::optional<std::int64_t> read_datetime(std::string_view text, std::string& why);
/// `-?` then at least one of `Nd Nh Nm Ns Nms` in that order; milliseconds.
std::optional<std::int64_t> read_duration(std::string_view text, std::string& why);

std::string write_decimal(std::int64_t ten_thousandths);
std::string write_ip(const IpAddr& address);
/// nullopt outside the years 0000 to 9999, which have no text form.
std::optional<std::string> write_datetime(std::int64_t unix_millis);
std::string write_duration(std::int64_t millis);

bool is_loopback(const IpAddr& address) noexcept;
bool is_multicast(const IpAddr& address) noexcept;
/// Whether every address of `inner`'s range lies in `outer`'s.
bool is_in_range(const IpAddr& inner, const IpAddr& outer) noexcept;
/// Midnight (UTC) at or before; nullopt when that is out of range.
std::optional<std::int64_t> to_date(std::int64_t unix_millis) noexcept;
/// Milliseconds since that midnight.
std::int64_t to_time(std::int64_t unix_millis) noexcept;

}  // namespace daypass::cedar::extension
