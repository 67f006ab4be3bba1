// Cached<T>: one value that is fetched when needed, by one thread at a time, not too often, and kept while a fetch
// fails.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/result.h"
#include "base/time.h"

namespace daypass::idp {

/// Safe from any thread. Others wait for a fetch under way, each no longer than its own deadline, and share its
/// outcome.
template <class T>
class Cached {
 public:
  using Ptr = std::shared_ptr<const T>;
  struct Policy {
    base::Millis fresh;        ///< used without asking again
    base::Millis usable;       ///< used when asking again fails (last good); longer than `fresh`
    base::Millis between;      ///< least time between two fetches while a value is there
    base::Millis first_retry;  ///< same while none is
    base::Millis patience;     ///< a caller waits so long for its turn when the value does not suffice
  };
  struct Got {
    Ptr value;
    bool just_fetched = false;  ///< a fetch ended well while this caller was here
  };
  using Load = std::function<base::Result<T>(base::MonoTime deadline)>;

  Cached(const base::Clock& clock, const Policy& policy, base::Error timed_out, Load load)
      : clock_(clock), policy_(policy), timed_out_(std::move(timed_out)), load_(std::move(load)) {}

  /// A fresh value that `suffices`, fetched if need be; else the best there is: a value that does not suffice (it was
  /// just fetched, or was so a moment ago), the last good one, or the error of the last fetch.
  base::Result<Got> get(base::MonoTime deadline, const std::function<bool(const T&)>& suffices) {
    std::unique_lock lock(mutex_);
    const std::uint64_t entered = attempts_;
    bool waited = false;
    for (;;) {
      const base::MonoTime now = clock_.mono();
      if (fresh(now) && suffices(*value_)) return Got{value_, attempts_ != entered && !last_error_};
      if (attempts_ != entered) return best(now, !last_error_);
      if (flying_) {
        if (!await(lock, deadline - now, entered))
          return usable(now) ? best(now, false) : base::Result<Got>(timed_out_);
        continue;
      }
      const base::MonoTime turn = next_turn(now);
      if (now < turn) {
        const auto wait = turn - now;
        if (!fresh(now) || waited || wait > policy_.patience || wait > deadline - now) return best(now, false);
        waited = true;
        await(lock, wait, entered);
        continue;
      }
      if (now >= deadline) return usable(now) ? best(now, false) : base::Result<Got>(timed_out_);
      fly(lock, now, deadline);
    }
  }

  /// Fetches (unless one was made a moment ago) and says how the last fetch ended.
  base::Status refresh(base::MonoTime deadline) {
    DP_CHECK(get(deadline, [](const T&) { return false; }));
    const std::lock_guard lock(mutex_);
    if (last_error_) return *last_error_;
    return {};
  }

 private:
  [[nodiscard]] bool fresh(base::MonoTime now) const { return value_ && now - fetched_ < policy_.fresh; }
  [[nodiscard]] bool usable(base::MonoTime now) const { return value_ && now - fetched_ < policy_.usable; }
  [[nodiscard]] base::MonoTime next_turn(base::MonoTime now) const {
    return started_ ? *started_ + (value_ ? policy_.between : policy_.first_retry) : now;
  }
  base::Result<Got> best(base::MonoTime now, bool just_fetched) const {
    if (usable(now)) return Got{value_, just_fetched};
    return last_error_.value_or(timed_out_);
  }
  /// False when the time was over first.
  bool await(std::unique_lock<std::mutex>& lock, base::MonoTime::duration most, std::uint64_t entered) {
    return ended_.wait_for(lock, most, [&] { return attempts_ != entered; });
  }
  void fly(std::unique_lock<std::mutex>& lock, base::MonoTime now, base::MonoTime deadline) {
    flying_ = true;
    started_ = now;
    // A load that throws must not leave the others waiting for ever.
    struct Landing {
      Cached& self;
      std::unique_lock<std::mutex>& lock;
      std::optional<base::Error> error;
      Ptr value;
      ~Landing() {
        if (!lock.owns_lock()) lock.lock();
        self.flying_ = false;
        ++self.attempts_;
        if (value) {
          self.value_ = std::move(value);
          self.fetched_ = *self.started_;  // as of the question, not of the answer
        }
        self.last_error_ = std::move(error);
        self.ended_.notify_all();
      }
    } landing{*this, lock, timed_out_, nullptr};
    lock.unlock();
    base::Result<T> loaded = load_(deadline);
    if (loaded.ok()) {
      landing.value = std::make_shared<const T>(std::move(loaded).value());
      landing.error.reset();
    } else {
      landing.error = std::move(loaded).error();
    }
  }

  const base::Clock& clock_;
  Policy policy_;
  base::Error timed_out_;
  Load load_;
  std::mutex mutex_;
  std::condition_variable ended_;
  Ptr value_;
  base::MonoTime fetched_{};
  std::optional<base::MonoTime> started_;
  std::optional<base::Error> last_error_;
  std::uint64_t attempts_ = 0;
  bool flying_ = false;
};

}  // namespace daypass::idp
