// CommandComplete tags: "INSERT 0 5", "SELECT 3", "COPY 12", "CREATE TABLE".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace daypass::wire::postgres {

struct CommandTag {
  std::string_view command;           ///< "INSERT", "CREATE TABLE"; a view into the tag, at most 64 bytes
  std::optional<std::uint64_t> rows;  ///< the last word when it is a number
};

/// `body` is the message's body (with or without its NUL). Never fails: anything odd is all command, no rows.
CommandTag parse_command_tag(std::string_view body) noexcept;

}  // namespace daypass::wire::postgres
