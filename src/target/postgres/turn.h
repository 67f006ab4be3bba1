// Work on one account is one at a time within a process.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

#include "base/result.h"
#include "target/postgres/deadline.h"

namespace daypass::target::postgres {

class Turns {
 public:
  /// The right to work on one account, until it goes out of scope.
  class Turn {
   public:
    Turn(Turns& turns, std::string account) : turns_(&turns), account_(std::move(account)) {}
    Turn(Turn&& other) noexcept : turns_(other.turns_), account_(std::move(other.account_)) { other.turns_ = nullptr; }
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ == nullptr) return;
      {
        const std::lock_guard lock(turns_->mutex_);
        turns_->busy_.erase(account_);
      }
      turns_->over_.notify_all();
    }

   private:
    Turns* turns_;
    std::string account_;
  };

  /// Error: unavailable "pg.account_busy" when another call keeps the account until the deadline.
  base::Result<Turn> take(const std::string& account, const Deadline& deadline) {
    std::unique_lock lock(mutex_);
    if (!over_.wait_for(lock, deadline.left(), [&] { return !busy_.contains(account); }))
      return base::Error{base::Code::unavailable, "pg.account_busy", "another call is working on " + account,
                         "try again"};
    busy_.insert(account);
    return Turn(*this, account);
  }

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  std::set<std::string> busy_;
};

}  // namespace daypass::target::postgres
