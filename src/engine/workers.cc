#include "engine/workers.h"

#include <sys/prctl.h>

#include <algorithm>

#include "base/encoding.h"

namespace daypass::engine {

using base::Code;
using base::Error;
using core::IntentKind;
namespace event = core::event;

namespace {

constexpr base::Millis provision_budget = std::chrono::seconds(10), revoke_budget = std::chrono::seconds(20),
                       verify_budget = std::chrono::seconds(10), slow_after = std::chrono::seconds(1);

std::string told(const Error& e) {
  return e.check + ": " + e.message.substr(0, 300);
}

core::GrantEvent failure(const core::Intent& intent, const Error& e) {
  switch (intent.kind) {
    case IntentKind::provision:
      return event::ProvisionFailed{intent.seq, told(e)};
    case IntentKind::extend:
      return event::ExtendFailed{intent.seq, told(e)};
    case IntentKind::revoke:
      return event::RevokeTried{intent.seq, false, told(e)};
    case IntentKind::verify:
      return event::Verified{intent.seq, core::Presence::unknown, told(e)};
  }
  return event::Verified{intent.seq, core::Presence::unknown, told(e)};
}

}  // namespace

core::GrantEvent carry_out(const Job& job, const Vault& vault, base::Millis budget) {
  const core::Intent& intent = job.intent;
  if (job.target == nullptr) return failure(intent, {Code::unavailable, "target.gone", "the target is not configured"});
  switch (intent.kind) {
    case IntentKind::provision:
    case IntentKind::extend: {
      auto secret = vault.open(intent.grant.tenant, intent.sealed_secret, "grant " + intent.grant.str());
      if (!secret.ok()) return failure(intent, secret.error());
      target::Provision wanted{job.account, job.roles, std::move(*secret), job.valid_until, job.connections};
      auto handle = job.target->provision(wanted, budget);
      if (!handle.ok()) return failure(intent, handle.error());
      if (intent.kind == IntentKind::extend) return event::Extended{intent.seq};
      return event::Provisioned{intent.seq, std::move(*handle)};
    }
    case IntentKind::revoke: {
      const base::Status done = job.target->revoke(job.account, job.roles, job.handle, budget);
      if (!done.ok()) return failure(intent, done.error());
      return event::RevokeTried{intent.seq, true, {}};
    }
    case IntentKind::verify: {
      const auto seen = job.target->verify(job.account, job.handle, budget);
      if (!seen.ok()) return failure(intent, seen.error());
      return event::Verified{intent.seq, *seen, {}};
    }
  }
  return failure(intent, {Code::internal, "intent.kind", "an intent of no known kind"});
}

bool unreached(const core::GrantEvent& result) {
  const auto* provision = std::get_if<event::ProvisionFailed>(&result);
  const auto* extend = std::get_if<event::ExtendFailed>(&result);
  if (provision == nullptr && extend == nullptr) return false;
  const std::string_view told = provision != nullptr ? provision->check : extend->check;
  const std::string_view check = told.substr(0, told.find(": "));
  return check.ends_with(".connect") || check.ends_with(".timeout");
}

WorkerPools::WorkerPools(const Vault& vault, const base::Clock& clock, const base::Log& log, Sizes sizes)
    : vault_(vault), clock_(clock), log_(log), sizes_(sizes) {
  lanes_[static_cast<int>(Pool::idp)].threads = sizes.idp;
  lanes_[static_cast<int>(Pool::provision)].threads = sizes.provision;
  lanes_[static_cast<int>(Pool::revoke)].threads = sizes.revoke;
  lanes_[static_cast<int>(Pool::signal)].threads = sizes.signal;
  lanes_[static_cast<int>(Pool::poll)].threads = sizes.poll;
  lanes_[static_cast<int>(Pool::audit)].threads = sizes.audit;
  lanes_[static_cast<int>(Pool::forward)].threads = sizes.forward;
  for (auto& lane : lanes_) {
    // Two targets that hang leave their tenant threads, and a tenant that hangs leaves others theirs.
    lane.of_peer = std::max(1U, lane.threads / 4);
    lane.of_tenant = std::max(1U, lane.threads - lane.threads / 4);
    lane.of_slow = lane.threads;
  }
  // A tenant whose target hangs leaves others threads, and so do all such tenants together.
  lanes_[static_cast<int>(Pool::revoke)].of_slow = lanes_[static_cast<int>(Pool::revoke)].of_tenant;
  lanes_[static_cast<int>(Pool::idp)].of_tenant = std::max(1U, sizes.idp / 8);
  lanes_[static_cast<int>(Pool::idp)].of_slow = std::max(1U, sizes.idp / 2);
  // No sign-in stands in a signal's way, and no tenant's signals in another's.
  lanes_[static_cast<int>(Pool::signal)].of_tenant = std::max(1U, sizes.signal / 2);
  // Nobody waits for a poll, and a transmitter that hangs is one of a tenant's.
  lanes_[static_cast<int>(Pool::poll)].of_tenant = 1;
  // Reading a long log takes a while, and of a core, too: one tenant's leaves others room.
  lanes_[static_cast<int>(Pool::audit)].of_tenant = 1;
  // A receiver that hangs is waited for by one thread, and all that do so together by half of them.
  lanes_[static_cast<int>(Pool::forward)].of_tenant = 1;
  lanes_[static_cast<int>(Pool::forward)].of_slow = std::max(1U, sizes.forward / 2);
}

WorkerPools::~WorkerPools() {
  stop();
}

void WorkerPools::start() {
  constexpr const char* names[] = {"dp-idp",  "dp-provision", "dp-revoke", "dp-signal",
                                   "dp-poll", "dp-audit",     "dp-forward"};
  for (int i = 0; i < 7; ++i)
    for (unsigned n = 0; n < lanes_[i].threads; ++n)
      threads_.emplace_back([this, i, name = names[i]] {
        prctl(PR_SET_NAME, name);
        serve(lanes_[i]);
      });
}

void WorkerPools::stop() {
  for (auto& lane : lanes_) {
    {
      const std::lock_guard lock(lane.mutex);
      lane.stopping = true;
    }
    lane.ready.notify_all();
  }
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

bool WorkerPools::push(Lane& lane, Task task, bool always) {
  {
    const std::lock_guard lock(lane.mutex);
    if (lane.stopping) return false;
    if (!always) {
      const auto of_peer = std::ranges::count_if(lane.waiting, [&](const Task& t) { return t.tenant == task.tenant; });
      if (lane.waiting.size() >= sizes_.queue || static_cast<std::size_t>(of_peer) >= sizes_.queue_per_peer)
        return false;
    }
    lane.waiting.push_back(std::move(task));
  }
  lane.ready.notify_one();
  return true;
}

unsigned WorkerPools::held_by_slow(Lane& lane) const {
  const base::MonoTime now = clock_.mono();
  for (const auto& one : lane.running)
    if (now - one.since >= slow_after && !one.tenant.empty()) lane.slow.insert(one.tenant);
  return static_cast<unsigned>(
      std::ranges::count_if(lane.running, [&](const auto& one) { return lane.slow.contains(one.tenant); }));
}

void WorkerPools::serve(Lane& lane) {
  std::unique_lock lock(lane.mutex);
  for (;;) {
    const bool full_of_slow = held_by_slow(lane) >= lane.of_slow;
    // The oldest task whose peer does not hold its share of the pool already.
    const auto next = std::find_if(lane.waiting.begin(), lane.waiting.end(), [&](const Task& task) {
      const auto room = [&](const std::string& who, unsigned most) {
        const auto it = lane.busy.find(who);
        return who.empty() || it == lane.busy.end() || it->second < most;
      };
      return room(task.tenant, lane.of_tenant) && room(task.peer, lane.of_peer) &&
             !(full_of_slow && lane.slow.contains(task.tenant));
    });
    if (lane.stopping) return;
    if (next == lane.waiting.end()) {
      lane.ready.wait(lock);
      continue;
    }
    Task task = std::move(*next);
    lane.waiting.erase(next);
    const Jobs jobs = gather(lane, task);
    for (const auto* who : {&task.tenant, &task.peer})
      if (!who->empty()) ++lane.busy[*who];
    const auto running = lane.running.insert(lane.running.end(), {task.tenant, clock_.mono()});
    lock.unlock();
    try {
      if (jobs.size() > 1)
        carry_out_together(jobs);
      else
        task.work();
    } catch (const std::exception& e) {
      log_.error("a worker call threw", {{"what", e.what()}});
    }
    task.work = nullptr;
    lock.lock();
    if (clock_.mono() - running->since < slow_after)
      lane.slow.erase(task.tenant);
    else if (!task.tenant.empty())
      lane.slow.insert(task.tenant);
    lane.running.erase(running);
    for (const auto* who : {&task.tenant, &task.peer})
      if (!who->empty() && --lane.busy[*who] == 0) lane.busy.erase(*who);
    lane.ready.notify_one();
  }
}

WorkerPools::Jobs WorkerPools::gather(Lane& lane, const Task& task) {
  if (task.together == nullptr) return {};
  Jobs out{task.together};
  const std::size_t most = task.together->target->caps().at_once;
  std::erase_if(lane.waiting, [&](Task& other) {
    if (out.size() >= most || other.together == nullptr || other.peer != task.peer ||
        other.together->intent.kind != task.together->intent.kind || other.together->target != task.together->target)
      return false;
    out.push_back(std::move(other.together));
    return true;
  });
  return out;
}

void WorkerPools::carry_out_together(const Jobs& jobs) {
  std::vector<target::Leaving> many;
  for (const auto& job : jobs) many.push_back({job->account, job->roles, job->handle});
  target::Target& target = *jobs.front()->target;
  if (jobs.front()->intent.kind == IntentKind::verify) {
    std::vector<base::Result<core::Presence>> seen;
    try {
      seen = target.verify_all(many, verify_budget);
    } catch (const std::exception& e) {
      log_.error("a driver threw", {{"what", e.what()}});
    }
    const Error none{Code::internal, "driver.exception", "the driver failed in an unforeseen way"};
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const core::Intent& intent = jobs[i]->intent;
      const base::Result<core::Presence> one = i < seen.size() ? seen[i] : none;
      report_(intent, one.ok() ? event::Verified{intent.seq, *one, {}} : failure(intent, one.error()));
    }
    return;
  }
  std::set<std::size_t> gone;
  try {
    gone = target.revoke_together(many, revoke_budget);
  } catch (const std::exception& e) {
    log_.error("a driver threw", {{"what", e.what()}});
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const core::Intent& intent = jobs[i]->intent;
    if (gone.contains(i))
      report_(intent, event::RevokeTried{intent.seq, true, {}});
    else
      // One that is in use, or in somebody's way, keeps none of the others waiting.
      (void)push(lanes_[static_cast<int>(Pool::revoke)], task_for(jobs[i], true), true);
  }
}

bool WorkerPools::broken(const std::string& peer) {
  const std::lock_guard lock(breaker_mutex_);
  const auto it = breakers_.find(peer);
  return it != breakers_.end() && it->second.open_until > clock_.mono();
}

void WorkerPools::note(const std::string& peer, bool reached) {
  const std::lock_guard lock(breaker_mutex_);
  Breaker& breaker = breakers_[peer];
  breaker.failures = reached ? 0 : breaker.failures + 1;
  if (breaker.failures >= 3) breaker.open_until = clock_.mono() + std::chrono::seconds(5);
}

WorkerPools::Task WorkerPools::task_for(std::shared_ptr<Job> shared, bool alone) {
  const bool giving = shared->intent.kind == IntentKind::provision || shared->intent.kind == IntentKind::extend;
  const std::string peer = shared->intent.grant.tenant.str() + "/" + shared->target_id.str();
  const bool together = !giving && !alone && shared->target != nullptr && shared->target->caps().at_once > 1;
  return {[this, shared, peer, giving] {
            if (giving && broken(peer)) {
              report_(shared->intent, failure(shared->intent, {Code::unavailable, "target.down",
                                                               "the target could not be reached a moment ago"}));
              return;
            }
            const base::Millis budget = giving                                      ? provision_budget
                                        : shared->intent.kind == IntentKind::revoke ? revoke_budget
                                                                                    : verify_budget;
            core::GrantEvent result = [&]() -> core::GrantEvent {
              try {
                return carry_out(*shared, vault_, budget);
              } catch (const std::exception& e) {
                log_.error("a driver threw", {{"what", e.what()}});
                return failure(shared->intent,
                               {Code::internal, "driver.exception", "the driver failed in an unforeseen way"});
              }
            }();
            if (giving) note(peer, !unreached(result));
            report_(shared->intent, std::move(result));
          },
          shared->intent.grant.tenant.str(), peer, together ? shared : nullptr};
}

void WorkerPools::dispatch(Job job) {
  const bool giving = job.intent.kind == IntentKind::provision || job.intent.kind == IntentKind::extend;
  // The journal holds it: what is refused here because we stop is taken up at the next start.
  (void)push(lanes_[static_cast<int>(giving ? Pool::provision : Pool::revoke)],
             task_for(std::make_shared<Job>(std::move(job)), false), true);
}

void WorkerPools::run(Pool pool, const core::TenantId& tenant, std::move_only_function<void()> work,
                      std::move_only_function<void(Error)> refused) {
  Task task{std::move(work), tenant.str(), {}};
  if (!push(lanes_[static_cast<int>(pool)], std::move(task), false))
    refused(Error{Code::exhausted, "engine.busy", "the server has too much to do", "try again in a moment"});
}

}  // namespace daypass::engine
