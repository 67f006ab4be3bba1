// Entropy for several threads: a seeded source is no more than a generator, and logins come from all of a pool.
#pragma once

#include <mutex>

#include "base/entropy.h"

namespace daypass::idp {

class LockedEntropy final : public base::Entropy {
 public:
  explicit LockedEntropy(base::Entropy& inner) : inner_(inner) {}
  void fill(std::span<std::uint8_t> out) override {
    const std::lock_guard lock(mutex_);
    inner_.fill(out);
  }

 private:
  std::mutex mutex_;
  base::Entropy& inner_;
};

}  // namespace daypass::idp
