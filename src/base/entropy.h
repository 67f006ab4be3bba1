// Randomness as a port, so that a seed can make the whole world in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace daypass::base {

using Bytes = std::span<const std::uint8_t>;

class Entropy {
 public:
  virtual ~Entropy() = default;
  /// Fills `out` with uniform bytes. Never fails: no randomness means no going on.
  virtual void fill(std::span<std::uint8_t> out) = 0;
};

/// getrandom(2). Stateless, safe from any thread.
class SystemEntropy final : public Entropy {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

/// Reproducible bytes for tests and the simulator. Never given to anything that runs for real.
class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(std::uint64_t seed) : engine_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::mt19937_64 engine_;
};

}  // namespace daypass::base
