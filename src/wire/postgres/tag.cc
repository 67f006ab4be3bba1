#include "wire/postgres/tag.h"

#include <charconv>

namespace daypass::wire::postgres {

namespace {

// The number that `text` ends with after a space, which is then cut off; nullopt leaves `text` as it is.
std::optional<std::uint64_t> cut_number(std::string_view& text) noexcept {
  const std::size_t space = text.rfind(' ');
  if (space == std::string_view::npos || space == 0) return std::nullopt;
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + space + 1, end, value);
  if (error != std::errc{} || stop != end || space + 1 == text.size()) return std::nullopt;
  text = text.substr(0, space);
  return value;
}

}  // namespace

CommandTag parse_command_tag(std::string_view body) noexcept {
  CommandTag tag;
  tag.command = body.substr(0, body.find('\0'));
  tag.rows = cut_number(tag.command);
  // INSERT says the object id of a lone row (0 since PostgreSQL 12) before the count.
  if (tag.rows && tag.command.starts_with("INSERT ")) cut_number(tag.command);
  tag.command = tag.command.substr(0, 64);
  return tag;
}

}  // namespace daypass::wire::postgres
