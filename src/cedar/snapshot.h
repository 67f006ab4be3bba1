// One immutable thing that many threads read and one replaces now and then: policies in force.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace daypass::cedar {

/// Holds the current T and swaps it whole. What a reader got stays good, unchanged, until the reader looks again: a
/// decision never sees half of a reload.
template <class T>
class Published {
 public:
  explicit Published(std::shared_ptr<const T> first) : current_(std::move(first)) {}
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  /// In force for every read that begins after this returns. Any thread.
  void publish(std::shared_ptr<const T> next) {
    const std::lock_guard lock(mutex_);
    current_.swap(next);
    version_.fetch_add(1, std::memory_order_release);
  }

  /// One reader's place: one thread at a time. Keeps alive what it read last; must not outlive the Published.
  class Reader {
   public:
    explicit Reader(const Published& from) : from_(from) {}
    /// One atomic load, no lock and no shared counter as long as nothing new was published; valid until the next call.
    const T& current() {
      if (const auto now = from_.version_.load(std::memory_order_acquire); now != seen_) refresh();
      return *held_;
    }

   private:
    void refresh() {
      const std::lock_guard lock(from_.mutex_);
      held_ = from_.current_;
      seen_ = from_.version_.load(std::memory_order_relaxed);
    }

    const Published& from_;
    std::shared_ptr<const T> held_;
    std::uint64_t seen_ = 0;  // versions begin at 1
  };

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> current_;
  std::atomic<std::uint64_t> version_{1};
};

}  // namespace daypass::cedar
