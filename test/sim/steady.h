// A world where only that breaks which a test breaks, and how it is asked: the base of tests of single use cases.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "sim/story.h"

namespace daypass::sim {

class Steady : public ::testing::Test {
 protected:
  explicit Steady(std::uint64_t seed) : world{{.seed = seed, .steady = true}} {}
  World world;

  void TearDown() override {
    EXPECT_FALSE(world.oracle.failed()) << world.oracle.checker() << ": " << world.oracle.what();
  }
  engine::Engine& engine() { return *world.engine(); }
  /// Asks, and lets a second pass for the answer.
  template <class T, class Call>
  base::Result<T> ask(Call&& call) {
    auto answer = std::make_shared<std::optional<base::Result<T>>>();
    call([answer](base::Result<T> r) { answer->emplace(std::move(r)); });
    world.run_for(std::chrono::seconds(1));
    if (!*answer) return base::Error{base::Code::timeout, "test.no_answer", "no answer came"};
    return std::move(**answer);
  }
  /// "ok", or the check that refused.
  template <class T>
  static std::string check_of(const base::Result<T>& r) {
    return r.ok() ? "ok" : r.error().check;
  }
};

}  // namespace daypass::sim
