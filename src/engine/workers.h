// The worker pools: plain threads for plain blocking calls. Revocation has threads of its own, so that nothing which
// gives access can delay what takes it away; a peer that hangs holds at most half of a pool.
#pragma once

#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "engine/engine.h"

namespace daypass::engine {

/// Whether `result` tells that a target gave no answer: the check of a failed provision or extend ends in ".connect" or
/// ".timeout" (target.h says so of every driver).
bool unreached(const core::GrantEvent& result);

class WorkerPools final : public Workers {
 public:
  struct Sizes {
    /// Threads. Identity providers only make them wait, and a tenant whose own hang must find others left.
    unsigned revoke = 8, provision = 8, idp = 16, signal = 8, poll = 4, audit = 2, forward = 8;
    std::size_t queue = 4096;          ///< of wishes; revocations are never refused
    std::size_t queue_per_peer = 512;  ///< of one tenant's wishes
  };
  WorkerPools(const Vault& vault, const base::Clock& clock, const base::Log& log, Sizes sizes);
  ~WorkerPools() override;
  /// Where results go. Before start().
  void report_to(Engine& engine) {
    report_to(
        [&engine](const core::Intent& intent, core::GrantEvent result) { engine.finished(intent, std::move(result)); });
  }
  void report_to(std::function<void(const core::Intent&, core::GrantEvent)> report) { report_ = std::move(report); }
  void start();
  /// Refuses new wishes, finishes what runs, drops what waits (it is in the journal).
  void stop();

  void dispatch(Job job) override;
  void run(Pool pool, const core::TenantId& tenant, std::move_only_function<void()> work,
           std::move_only_function<void(base::Error)> refused) override;

 private:
  struct Task {
    std::move_only_function<void()> work;
    std::string tenant;  ///< empty: counts against nobody
    std::string peer;    ///< a target of the tenant; empty: none
    /// Not null: a revocation or a look that may be done together with others on its target.
    std::shared_ptr<Job> together = {};
  };
  using Jobs = std::vector<std::shared_ptr<Job>>;
  struct Lane {
    std::mutex mutex;
    std::condition_variable ready;
    std::deque<Task> waiting;
    std::map<std::string, unsigned> busy;  ///< threads by tenant, and by target
    unsigned of_tenant = 1, of_peer = 1;   ///< how many one may hold
    /// Tenants whose work took long the last time, or does now: together they hold no more than `of_slow`. An outage
    /// of one provider may be that of many tenants.
    std::set<std::string> slow;
    unsigned of_slow = 1;
    struct Running {
      std::string tenant;
      base::MonoTime since;
    };
    std::list<Running> running;
    unsigned threads = 0;
    bool stopping = false;
  };
  /// Per target: after 3 failures to reach it in a row, provisioning fails at once for 5 s instead of queueing up.
  struct Breaker {
    unsigned failures = 0;
    base::MonoTime open_until{};
  };
  void serve(Lane& lane);
  /// The task's job and those that wait and may be done together with it, taken out of the queue. With the lane's lock
  /// held.
  static Jobs gather(Lane& lane, const Task& task);
  void carry_out_together(const Jobs& jobs);
  /// `alone`: whatever waits beside it.
  Task task_for(std::shared_ptr<Job> job, bool alone);
  /// How many threads slow tenants hold. With the lane's lock held.
  unsigned held_by_slow(Lane& lane) const;
  bool push(Lane& lane, Task task, bool always);
  bool broken(const std::string& peer);
  void note(const std::string& peer, bool reached);

  const Vault& vault_;
  const base::Clock& clock_;
  const base::Log& log_;
  Sizes sizes_;
  std::function<void(const core::Intent&, core::GrantEvent)> report_;
  Lane lanes_[7];  ///< by Pool
  std::vector<std::thread> threads_;
  std::mutex breaker_mutex_;
  std::map<std::string, Breaker> breakers_;
};

}  // namespace daypass::engine
