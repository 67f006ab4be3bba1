// Distinct strong types for every name and number that must not be mixed up.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace daypass::base {

/// A string with a meaning. Two ids of different tags never compare, convert or assign.
template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string value) : value_(std::move(value)) {}
  [[nodiscard]] const std::string& str() const noexcept { return value_; }
  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }
  auto operator<=>(const Id&) const = default;

 private:
  std::string value_;
};

}  // namespace daypass::base

template <class Tag>
struct std::hash<daypass::base::Id<Tag>> {
  std::size_t operator()(const daypass::base::Id<Tag>& id) const noexcept { return std::hash<std::string>()(id.str()); }
};
