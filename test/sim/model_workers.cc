#include "sim/model_workers.h"

#include "sim/world.h"

namespace daypass::sim {

namespace event = core::event;

void ModelWorkers::dispatch(engine::Job job) {
  world_.at_verb("dispatch");
  const core::GrantId grant = job.intent.grant;
  world_.say("workers: " + std::string(core::to_string(job.intent.kind)) + " #" + std::to_string(job.intent.seq) +
             " of " + grant.id);
  if (world_.settings.mutant == Mutant::two_hands && world_.dice.chance(300)) in_flight_.insert(grant);
  if (!in_flight_.insert(grant).second) world_.oracle.red("one hand", "two calls in flight for " + grant.id);
  world_.oracle.dispatched(job.intent);
  if (world_.settings.mutant == Mutant::lost_job && job.intent.kind == core::IntentKind::revoke) return;
  if (world_.settings.mutant == Mutant::late_validity) job.valid_until += std::chrono::minutes(10);
  auto shared = std::make_shared<engine::Job>(std::move(job));
  const std::uint64_t life = world_.life();
  world_.later(world_.delay(1, 200), [this, shared, life] { carry_out(shared, life); });
}

void ModelWorkers::carry_out(const std::shared_ptr<engine::Job>& job, std::uint64_t life) {
  // The process is gone. What it had sent may be on the wire still.
  if (life != world_.life() && !world_.dice.chance(400)) return;
  const core::IntentKind kind = job->intent.kind;
  const bool giving = kind == core::IntentKind::provision || kind == core::IntentKind::extend;
  world_.oracle.touching(job->intent);
  core::GrantEvent result = engine::carry_out(*job, *vault_, std::chrono::seconds(10));
  if (life != world_.life()) return;
  bool slow = false;
  const auto failed = [&](const std::string& check) { slow = check.find("timeout") != std::string::npos; };
  if (const auto* e = std::get_if<event::ProvisionFailed>(&result)) failed(e->check);
  if (const auto* e = std::get_if<event::ExtendFailed>(&result)) failed(e->check);
  if (const auto* e = std::get_if<event::RevokeTried>(&result)) failed(e->check);
  if (const auto* e = std::get_if<event::Verified>(&result)) failed(e->check);
  if (world_.settings.mutant == Mutant::lost_answer && giving && world_.dice.chance(500)) return;
  world_.in_process(slow ? world_.delay(5000, 10000) : world_.delay(1, 300), [this, job, result = std::move(result)] {
    in_flight_.erase(job->intent.grant);
    world_.engine()->finished(job->intent, result);
  });
}

void ModelWorkers::run(Pool pool, const core::TenantId&, std::move_only_function<void()> work,
                       std::move_only_function<void(base::Error)> refused) {
  world_.at_verb("run");
  if (!world_.settings.steady && world_.target_fault_per_mille > 0 && world_.dice.chance(5)) {
    refused(base::Error{base::Code::exhausted, "engine.busy", "the server has too much to do"});
    return;
  }
  auto task = std::make_shared<std::move_only_function<void()>>(std::move(work));
  world_.in_process(world_.delay(1, 100), [this, pool, task] {
    if (pool != Pool::revoke) return (*task)();
    // A listing is as old as its beginning.
    std::map<std::string, std::map<std::string, ModelAccount>> seen;
    for (const auto& [name, server] : world_.servers) seen.emplace(name, server.accounts);
    world_.in_process(world_.dice.chance(100) ? world_.delay(0, 15000) : world_.delay(0, 300),
                      [this, task, seen = std::move(seen)] {
                        for (auto& [name, server] : world_.servers) server.listing = &seen.at(name);
                        (*task)();
                        for (auto& [name, server] : world_.servers) server.listing = nullptr;
                      });
  });
}

}  // namespace daypass::sim
