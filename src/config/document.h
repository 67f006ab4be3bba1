// A TOML text as a tree of plain values, each with its place. The one door to the TOML library; bounds come first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace daypass::config {

struct Place {
  std::size_t line = 0;  ///< 1-based; 0: unknown
  std::size_t column = 0;
  auto operator<=>(const Place&) const = default;
};

struct Entry;

struct Node {
  enum class Kind { string, integer, number, boolean, date, array, table };
  Kind kind = Kind::table;
  Place place;
  std::string text;  ///< of a string
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<Node> items;     ///< of an array
  std::vector<Entry> entries;  ///< of a table, in the order of the text, keys unique

  [[nodiscard]] const Entry* find(std::string_view key) const noexcept;
};

/// "a string", "an integer", …: for messages.
std::string_view to_string(Node::Kind kind) noexcept;

struct Entry {
  std::string key;
  Place place;  ///< of the key
  Node value;
};

inline constexpr std::size_t max_depth = 12;       ///< tables and arrays inside each other; no key needs more than 4
inline constexpr std::size_t max_nodes = 100'000;  ///< values of one file

/// Parses one TOML 1.0 text. On a problem (a syntax error stops the parser, so there is one) the table is empty.
Parsed<Node> parse_toml(std::string_view text, const std::string& file);

}  // namespace daypass::config
