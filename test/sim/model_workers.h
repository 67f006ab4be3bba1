// The worker pools: every call takes a while, results come in any order across grants, and what runs when the process
// dies may or may not still reach its target. Checks the engine's promise of one call at a time per grant.
#pragma once

#include <map>
#include <set>

#include "engine/engine.h"
#include "sim/model_target.h"

namespace daypass::sim {

class World;

class ModelWorkers final : public engine::Workers {
 public:
  explicit ModelWorkers(World& world) : world_(world) {}
  void give(const engine::Vault& vault) { vault_ = &vault; }
  void dispatch(engine::Job job) override;
  void run(Pool pool, const core::TenantId& tenant, std::move_only_function<void()> work,
           std::move_only_function<void(base::Error)> refused) override;
  void die() { in_flight_.clear(); }

 private:
  void carry_out(const std::shared_ptr<engine::Job>& job, std::uint64_t life);

  World& world_;
  const engine::Vault* vault_ = nullptr;
  std::set<core::GrantId> in_flight_;
};

}  // namespace daypass::sim
