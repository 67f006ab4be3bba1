// A server under ptrace, that can be killed at any system call of chosen threads. Owns the traced process. Everything
// but the chosen threads runs at full speed; those stop at each call from a mark on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "chaos/verbs.h"

namespace daypass::chaos {

/// The name of a system call, "read"; its number where the table has none.
std::string syscall_name(std::uint64_t number);

/// Where the process is to die: at call `number` (from 1) of all calls that the threads named in `threads` make from
/// the mark on, in the order in which they make them. Calls that only wait for another thread of the process are not
/// counted: how many there are is chance, and they leave nothing behind. 0: nowhere, only count.
struct Plan {
  std::set<std::string> threads;
  std::uint64_t number = 0;
  bool after = false;   ///< when the call has returned, instead of before it begins
  std::string opening;  ///< not empty: the mark is the first opening of a file whose path ends so (by any thread)
};

/// One call that was counted.
struct Point {
  std::uint64_t number = 0;
  std::string thread, call, file, verb;
};

class Tracer {
 public:
  /// `told` gets lines: "ready PID", "armed", "at …" for each call while only counting, "killed …", "exit CODE".
  Tracer(std::vector<std::string> command, std::function<void(const std::string&)> told);
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  /// Starts the process, stopped at its first instruction until `go`. False: tracing is not permitted here (errno).
  bool start(const Plan* from_the_start);
  /// The mark: from when "armed" was told.
  void arm(Plan plan);
  /// Threads run freely again; tells "count N".
  void disarm();
  void signal(int number) const;
  /// Handles whatever the kernel reports, without waiting. False: the process is gone.
  bool serve();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  struct Thread {
    bool stepped = false;  ///< stops at each call
    bool wanted = false;   ///< an interrupt is under way, after which it is stepped
    bool counted = false;  ///< the call it is in was counted
    Point point;
  };
  void stopped(pid_t tid, int status);
  void at_call(pid_t tid, Thread& thread);
  void resume(pid_t tid, const Thread& thread, int with_signal = 0) const;
  void die(const Point& point, const char* when);
  [[nodiscard]] bool chosen(pid_t tid) const;
  [[nodiscard]] std::string name_of(pid_t tid) const;
  void tell_if_armed();

  std::vector<std::string> command_;
  std::function<void(const std::string&)> told_;
  Verbs verbs_;
  pid_t pid_ = 0;
  std::map<pid_t, Thread> threads_;
  Plan plan_;
  bool armed_ = false, arming_ = false, marked_ = false, killed_ = false;
  std::uint64_t count_ = 0;
};

}  // namespace daypass::chaos
