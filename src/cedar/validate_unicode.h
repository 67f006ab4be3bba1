// Which scripts characters are of, and which of them names may have. Internal to the room.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace daypass::cedar::unicode {

struct ScriptRange {
  std::uint32_t first;  ///< up to the next one's first
  std::uint16_t set;
};
std::span<const ScriptRange> scripts() noexcept;
/// The numbers of the scripts in a set, sorted; "" stands for all scripts there are.
std::string_view script_set(std::uint16_t index) noexcept;
std::span<const std::uint32_t> allowed() noexcept;

}  // namespace daypass::cedar::unicode
