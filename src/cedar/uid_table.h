// From entity names to small numbers: one hash for the entity store and the policies' index, so that it is computed
// once per name and decision. Internal to the room.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "cedar/value.h"

namespace daypass::cedar {

/// Equal texts have equal hashes. Not for use where an attacker chooses many keys: lookups are bounded by table sizes.
inline std::uint64_t hash_text(std::string_view text, std::uint64_t seed) noexcept {
  const auto mix = [](std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
  };
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15ULL;
  constexpr std::uint64_t other = 0xd6e8feb86659fd93ULL;
  std::uint64_t h = mix(seed ^ text.size(), odd);
  const auto load = [&](std::size_t at, auto word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    return static_cast<std::uint64_t>(word);
  };
  const std::size_t n = text.size();
  if (n >= 8) {
    for (std::size_t at = 0; at + 8 < n; at += 8) h = mix(h ^ load(at, std::uint64_t{}), odd);
    return mix(h ^ load(n - 8, std::uint64_t{}), other);  // overlaps what came before, which does no harm
  }
  if (n >= 4) return mix(h ^ (load(0, std::uint32_t{}) << 32U | load(n - 4, std::uint32_t{})), other);
  if (n > 0) {
    const auto byte = [&](std::size_t at) { return static_cast<std::uint64_t>(static_cast<unsigned char>(text[at])); };
    return mix(h ^ (byte(0) | byte(n / 2) << 8U | byte(n - 1) << 16U), other);
  }
  return h;
}

inline std::uint64_t hash_uid(const EntityUid& uid) noexcept {
  return hash_text(uid.id, hash_text(uid.type, 0x2545f4914f6cdd1dULL));
}

/// Numbers from 0 in order of insertion, found by hash; who owns the keys compares them. Few keys are scanned, more are
/// hashed into a table at most half full.
class HashIndex {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;

  /// `same(n)` says whether key `n` is the one looked for.
  template <class Same>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Same same) const noexcept {
    if (slots_.empty()) {
      for (std::uint32_t n = 0; n < hashes_.size(); ++n)
        if (hashes_[n] == hash && same(n)) return n;
      return none;
    }
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      const std::uint32_t n = slots_[at];
      if (n == none) return none;
      if (hashes_[n] == hash && same(n)) return n;
    }
  }
  /// The number of a key that is not there yet.
  std::uint32_t add(std::uint64_t hash) {
    const auto n = static_cast<std::uint32_t>(hashes_.size());
    hashes_.push_back(hash);
    if (hashes_.size() > scanned && hashes_.size() * 2 > slots_.size())
      grow();
    else if (!slots_.empty())
      place(n);
    return n;
  }
  void reserve(std::size_t keys) { hashes_.reserve(keys); }
  [[nodiscard]] std::size_t size() const noexcept { return hashes_.size(); }
  [[nodiscard]] std::uint64_t hash(std::uint32_t n) const noexcept { return hashes_[n]; }

 private:
  static constexpr std::size_t scanned = 8;

  void place(std::uint32_t n) noexcept {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hashes_[n] & mask;
    while (slots_[at] != none) at = (at + 1) & mask;
    slots_[at] = n;
  }
  void grow() {
    slots_.assign(std::bit_ceil(hashes_.size() * 4), none);
    for (std::uint32_t n = 0; n < hashes_.size(); ++n) place(n);
  }

  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> slots_;
};

}  // namespace daypass::cedar
