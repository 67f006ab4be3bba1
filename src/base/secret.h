// Secret: bytes that are zeroed when they go, cannot be copied by accident, printed, logged or compared in variable
// time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace daypass::base {

/// Overwrites memory in a way the compiler may not drop.
void wipe(void* data, std::size_t size) noexcept;

/// True when both are equal; takes the same time wherever they differ. Lengths are not secret.
[[nodiscard]] bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

/// Move-only owner of secret bytes. There is no operator<<, no formatter and no operator==, on purpose.
class Secret {
 public:
  Secret() = default;
  /// Copies `bytes`; the caller's own copy stays the caller's to wipe.
  explicit Secret(std::string_view bytes) : bytes_(bytes.begin(), bytes.end()) {}
  /// Takes the string's content and wipes the string.
  static Secret take(std::string&& text);

  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) {}
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(bytes_.data(), bytes_.size()); }

  /// The bytes, for the one call that needs them. Do not keep the view.
  [[nodiscard]] std::string_view reveal() const noexcept { return {bytes_.data(), bytes_.size()}; }
  [[nodiscard]] Secret clone() const { return Secret(reveal()); }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool equals(std::string_view other) const noexcept { return equal_constant_time(reveal(), other); }

 private:
  std::vector<char> bytes_;
};

}  // namespace daypass::base
