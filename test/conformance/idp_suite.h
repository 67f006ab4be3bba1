// The suite that every identity-provider driver passes. A driver brings a Harness, and a line in idp_test.cc.
#pragma once

#include <gtest/gtest.h>

#include <barrier>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/identity.h"
#include "idp/idp.h"

namespace daypass::idp::conformance {

/// One relying party and the provider that it trusts, in the hands of a test.
class Harness {
 public:
  virtual ~Harness() = default;
  virtual IdentityProvider& provider() = 0;
  [[nodiscard]] virtual LoginStart start() const = 0;
  /// An honest person signs in there: what the browser brings back.
  virtual Callback sign_in(const std::string& authorization_url) = 0;
  /// Who that person is, as the provider says it.
  [[nodiscard]] virtual std::string subject() const = 0;

  /// A promise that the provider, the browser or somebody between them can break.
  struct Attack {
    std::string name;
    std::function<void()> before;                       ///< breaks the provider; may be empty
    std::function<void(Callback&, Begun&)> on_the_way;  ///< breaks the answer; may be empty
    std::string check;                                  ///< of the error that must follow
  };
  virtual std::vector<Attack> attacks() = 0;

  /// From now on the provider's documents and keys are out of reach (its sign-in still works); `timeout`: too slow.
  virtual void lose_metadata(bool timeout) = 0;
  /// From now on nothing of the provider answers.
  virtual void lose_everything(bool timeout) = 0;
  virtual void restore() = 0;
  /// The provider signs with a new key, published unless it is to be an unknown one.
  virtual void new_key(bool published) = 0;
  virtual void pass(base::Millis time) = 0;
  [[nodiscard]] virtual int key_fetches() = 0;
  /// Texts that no Identity, claim or error may hold: tokens, codes, secrets.
  [[nodiscard]] virtual std::vector<std::string> secrets() const = 0;
};

struct Driver {
  std::string name;
  std::function<std::unique_ptr<Harness>()> make;
  friend void PrintTo(const Driver& driver, std::ostream* out) { *out << driver.name; }
};

constexpr base::Millis budget = std::chrono::seconds(20);

class IdpSuite : public testing::TestWithParam<Driver> {
 protected:
  IdpSuite() : harness_(GetParam().make()) {}
  Harness& harness() { return *harness_; }
  void renew() {
    harness_ = GetParam().make();
    used_.clear();
  }

  base::Result<Finished> login() {
    DP_TRY(const Begun begun, harness_->provider().begin(harness_->start(), budget));
    return finish(harness_->sign_in(begun.authorization_url), begun.pending);
  }
  /// With what the engine's transaction adds: a mark that is used is used for ever.
  base::Result<Finished> finish(const Callback& callback, const base::json::Value& pending) {
    auto finished = harness_->provider().finish(callback, pending, budget);
    if (!finished.ok()) return finished;
    const std::lock_guard lock(mutex_);
    for (const auto& mark : finished->once)
      if (!used_.insert(mark.key).second)
        return base::Error{base::Code::denied, "login.replayed", "this answer was used already"};
    return finished;
  }
  std::string check() {
    const auto result = login();
    return result.ok() ? std::string() : result.error().check;
  }

 private:
  std::unique_ptr<Harness> harness_;
  std::mutex mutex_;
  std::set<std::string> used_;
};

TEST_P(IdpSuite, AnHonestLoginNamesThePersonTheSameWayEachTime) {
  const auto first = login();
  ASSERT_TRUE(first.ok()) << first.error().check << ": " << first.error().message;
  EXPECT_EQ(first->identity.subject, harness().subject());
  EXPECT_FALSE(first->identity.idp.empty());
  EXPECT_FALSE(first->identity.tenant.empty());
  EXPECT_FALSE(first->identity.display.empty());
  const auto second = login();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->identity, first->identity);
}

TEST_P(IdpSuite, AnIdentityHoldsNoToken) {
  const auto result = login();
  ASSERT_TRUE(result.ok());
  const std::string all = base::json::dump(core::to_json(result->identity)) + base::json::dump(result->claims);
  for (const auto& secret : harness().secrets()) EXPECT_EQ(all.find(secret), std::string::npos);
}

TEST_P(IdpSuite, EachBrokenPromiseIsRefusedForItsOwnReason) {
  const std::size_t count = harness().attacks().size();
  ASSERT_GE(count, 8U);
  for (std::size_t i = 0; i < count; ++i) {
    renew();
    const auto attack = harness().attacks().at(i);
    if (attack.before) attack.before();
    auto begun = harness().provider().begin(harness().start(), budget);
    if (!begun.ok()) {
      EXPECT_EQ(begun.error().check, attack.check) << attack.name << ": " << begun.error().message;
      continue;
    }
    Callback callback = harness().sign_in(begun->authorization_url);
    if (attack.on_the_way) attack.on_the_way(callback, *begun);
    const auto result = finish(callback, begun->pending);
    ASSERT_FALSE(result.ok()) << attack.name << ": let in";
    EXPECT_EQ(result.error().check, attack.check) << attack.name << ": " << result.error().message;
    EXPECT_FALSE(result.error().message.empty());
    for (const auto& secret : harness().secrets())
      EXPECT_EQ((result.error().message + result.error().hint).find(secret), std::string::npos) << attack.name;
  }
}

TEST_P(IdpSuite, AnAnswerFinishesItsOwnLoginOnceAndNoOther) {
  const Begun mine = harness().provider().begin(harness().start(), budget).value();
  const Begun yours = harness().provider().begin(harness().start(), budget).value();
  EXPECT_NE(mine.state, yours.state);
  EXPECT_GE(mine.state.size(), 22U) << "at least 128 bits";
  const Callback answer = harness().sign_in(mine.authorization_url);
  EXPECT_FALSE(finish(answer, yours.pending).ok());
  EXPECT_TRUE(finish(answer, mine.pending).ok());
  EXPECT_FALSE(finish(answer, mine.pending).ok());
}

TEST_P(IdpSuite, AProviderThatIsAwayIsUnavailableAndASlowOneATimeout) {
  for (const bool timeout : {false, true}) {
    renew();
    harness().lose_everything(timeout);
    const auto begun = harness().provider().begin(harness().start(), budget);
    ASSERT_FALSE(begun.ok());
    EXPECT_EQ(begun.error().code, timeout ? base::Code::timeout : base::Code::unavailable);
    EXPECT_FALSE(harness().provider().probe(budget).ok());
    harness().restore();
    harness().pass(std::chrono::seconds(10));
    EXPECT_TRUE(harness().provider().probe(budget).ok());
    EXPECT_EQ(check(), "");
  }
}

TEST_P(IdpSuite, KnownKeysServeWhileTheProvidersDocumentsAreAway) {
  ASSERT_EQ(check(), "");
  for (const bool timeout : {false, true}) {
    harness().lose_metadata(timeout);
    harness().pass(std::chrono::hours(2));
    EXPECT_EQ(check(), "") << "last good";
    EXPECT_FALSE(harness().provider().probe(budget).ok()) << "and whoever asks is told";
    harness().restore();
    harness().pass(std::chrono::seconds(10));
    EXPECT_EQ(check(), "");
  }
}

TEST_P(IdpSuite, ANewKeyIsFoundAndAFloodOfUnknownOnesIsNotFetchedFor) {
  ASSERT_EQ(check(), "");
  harness().pass(std::chrono::seconds(10));
  harness().new_key(true);
  EXPECT_EQ(check(), "");
  harness().pass(std::chrono::seconds(10));
  const int before = harness().key_fetches();
  for (int i = 0; i < 100; ++i) {
    harness().new_key(false);
    EXPECT_NE(check(), "");
  }
  EXPECT_LE(harness().key_fetches(), before + 1);
  harness().pass(std::chrono::seconds(10));
  harness().new_key(true);
  EXPECT_EQ(check(), "");
}

TEST_P(IdpSuite, LoginsRunSideBySide) {
  constexpr int threads = 4;
  std::barrier together(threads);
  std::vector<std::future<int>> runs;
  for (int t = 0; t < threads; ++t)
    runs.push_back(std::async(std::launch::async, [&] {
      together.arrive_and_wait();
      int good = 0;
      for (int i = 0; i < 10; ++i) good += login().ok() ? 1 : 0;
      return good;
    }));
  for (auto& run : runs) EXPECT_EQ(run.get(), 10);
  EXPECT_EQ(harness().key_fetches(), 1);
}

}  // namespace daypass::idp::conformance
