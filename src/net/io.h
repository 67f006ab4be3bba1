// Io threads: N threads with one io_context each. A connection and its upstream live and die on one of them, so no
// locks.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "base/time.h"

namespace boost::asio {
class io_context;
}

namespace daypass::net {

using boost::asio::awaitable;
using boost::asio::io_context;

/// Owns the io_contexts (concurrency hint 1) and the threads that run them. All signals are blocked on its threads, so
/// that main() alone handles them. Start, stop and destroy it from outside its threads.
class IoThreads {
 public:
  /// Makes `count` (at least 1) contexts; threads are called "<name>-<i>" (15 characters at most reach the kernel).
  explicit IoThreads(std::size_t count, std::string name = "io");
  /// Stops. Coroutines that are still suspended are destroyed here, on the calling thread.
  ~IoThreads();
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] io_context& at(std::size_t i) noexcept;
  /// Starts the threads; once.
  void start();
  /// Leaves work undone and joins the threads. Idempotent; afterwards nothing runs any more.
  void stop() noexcept;
  /// True on one of these threads.
  [[nodiscard]] bool on_io_thread() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs `task` on `io`, from any thread. `done` gets its exception (a bug) or nullptr, on the io thread; when `done` is
/// empty an exception ends the process, because nobody else would learn of it. Saves callers the cost of co_spawn.
void spawn(io_context& io, awaitable<void> task, std::function<void(std::exception_ptr)> done = {});

/// Runs `work` on `io` later, from any thread.
void post_to(io_context& io, std::function<void()> work);

/// Waits on the current io thread.
awaitable<void> sleep_for(io_context& io, base::Millis time);

/// A latch that a coroutine on one io thread waits for: the answer of the engine, a worker, or another coroutine.
/// Copies share the latch. wait() on the thread of `io` only, one waiter at a time; set() from any thread.
class Event {
 public:
  explicit Event(io_context& io);
  /// True once set; false when `timeout` passed first. Returns at once when set already.
  awaitable<bool> wait(base::Millis timeout);
  /// Idempotent.
  void set();
  /// Own thread: whether set() has arrived.
  [[nodiscard]] bool is_set() const noexcept;
  /// Own thread: makes it wait again.
  void reset() noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Calls back when its time has come, on the thread of `io`; everything about it belongs to that thread. Cheaper than a
/// coroutine that sleeps. Destroying it is silence.
class Alarm {
 public:
  Alarm(io_context& io, std::function<void()> ring);
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  /// From now on; replaces what was set. Moving the time forward costs a clock reading: the timer is armed again only
  /// when it fires too early.
  void set(base::Millis timeout);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace daypass::net
