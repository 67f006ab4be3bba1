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
  Story story{world};

  /// Up, with the first of the story's settings.
  void start_applied() {
    world.start();
    story.apply(0);
    world.run_for(std::chrono::seconds(2));
  }
  /// The `n`th person signs in and is connected to the target "pg/orders".
  void work(std::size_t n) {
    story.sign_in(n);
    world.run_for(std::chrono::seconds(5));
    story.get_credential(n, "pg/orders", {});
    world.run_for(Millis(200));
    story.connect(n);
    world.run_for(std::chrono::seconds(2));
  }
  /// What the `n`th person is told who asks for a credential of "pg/orders".
  std::string credential(std::size_t n) {
    const auto& session = story.people[n].session;
    return check_of(ask<engine::CredentialIssued>([&](auto done) {
      engine().issue_credential(*session, {core::TargetId("pg/orders"), {}, {}, "to work", "10.0.0.7"},
                                std::move(done));
    }));
  }
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
