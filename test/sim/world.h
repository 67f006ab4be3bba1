// One simulated world: a virtual clock, an event queue, the ports' models, and an engine that can die at any verb and
// be born again over what is durable. A seed makes all of it. Owns time and the engine's life; the rules are the
// oracle's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "engine/engine.h"
#include "forward/forward.h"
#include "sim/faults.h"
#include "sim/model_gate.h"
#include "sim/model_idp.h"
#include "sim/model_signals.h"
#include "sim/model_store.h"
#include "sim/model_target.h"
#include "sim/model_workers.h"
#include "sim/oracle.h"

namespace daypass::sim {

using base::Millis;
using base::MonoTime;
using base::WallTime;

/// A guard taken away, so that a checker must speak. `name` is what `--mutant` takes.
enum class Mutant {
  none,
  commits_late,  ///< the store answers before anything is durable
  gate_ignores_cut,
  gate_ignores_lease,
  gate_reopens,   ///< the gate lets clients in by an old admission
  verify_blind,   ///< "absent" without looking
  list_blind,     ///< reconciliation sees nothing
  revoke_sweeps,  ///< revocation takes look-alikes along
  audit_forgets,
  audit_rewrites,
  wrong_door,        ///< the gate presents another person's credential
  hasty_clock,       ///< the engine's clocks run ahead of the world's
  frozen_clock,      ///< the engine's boot clock stands still
  two_hands,         ///< the workers do each job twice
  lost_job,          ///< the workers drop revocations
  lost_answer,       ///< the workers drop results of provisioning
  undying_login,     ///< the store keeps login sessions that were removed
  late_validity,     ///< the target is told a later end than the grant's
  gate_dawdles,      ///< the gate knows that a lease is over, and does nothing about it
  idp_generous,      ///< the identity provider says that everybody is in the group "data"
  store_revives,     ///< the store hands out grants that are being revoked as active ones
  store_hides,       ///< the store leaves each third grant out of its lists of those that are open
  idp_indulgent,     ///< the identity provider says that all is well, whether or not it is there
  freeze_forgotten,  ///< the store answers that a freeze is recorded, and keeps none
  target_sulks,      ///< the targets make no account any more, though all faults are over
  cut_needs_store,   ///< nothing is cut while the store begins no transaction
};
constexpr std::size_t mutant_count = 26;
std::string_view to_string(Mutant mutant) noexcept;
std::optional<Mutant> mutant_from(std::string_view name) noexcept;

struct Settings {
  std::uint64_t seed = 1;
  Mutant mutant = Mutant::none;
  bool history = false;  ///< keep a readable record of what happened
  /// The process dies at this verb or effect, counted from the world's beginning (0: never).
  std::uint64_t crash_at = 0;
  /// Steady small delays instead of random ones: for exhaustive runs.
  bool steady = false;
};

/// A store of files in the place of the one in memory: it tells that one of each commit, so that the checkers' books
/// are kept as ever (test/chaos).
class Durable {
 public:
  virtual ~Durable() = default;
  /// At each start of the process; throws Crash where it dies meanwhile.
  virtual store::Store& open() = 0;
  /// The process dies: nothing that its store does from here on has an effect.
  virtual void cut() = 0;
  /// It is dead, and its store may go.
  virtual void lose() = 0;
};

class World final : public base::Clock {
 public:
  explicit World(Settings settings);
  ~World() override;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // -- time ----------------------------------------------------------------------------------------------------------
  [[nodiscard]] const engine::Vault& vault() const { return *vault_; }
  [[nodiscard]] WallTime wall() const override;  ///< as the process sees it
  [[nodiscard]] MonoTime mono() const override;
  [[nodiscard]] MonoTime now() const { return now_; }
  [[nodiscard]] WallTime true_wall() const {
    return epoch_ + std::chrono::duration_cast<Millis>(now_.time_since_epoch());
  }
  /// The planted account that no store ever heard of may be removed from here on.
  [[nodiscard]] WallTime orphan_until() const { return epoch_ + std::chrono::hours(1) + std::chrono::minutes(8); }
  [[nodiscard]] Millis wall_offset() const { return wall_offset_; }
  [[nodiscard]] MonoTime turn_began() const { return turn_began_; }
  void set_wall_offset(Millis offset);
  void suspend(Millis how_long);
  /// Lives on until then, or until a checker speaks.
  void run_for(Millis how_long);

  // -- events --------------------------------------------------------------------------------------------------------
  /// Whatever becomes of the process.
  void later(Millis delay, std::function<void()> what);
  /// Dies with the process.
  void in_process(Millis delay, std::move_only_function<void()> what);
  /// Does it now; the process may die of it.
  void act(const std::function<void()>& what);
  /// A delay: random, or small and steady.
  Millis delay(std::int64_t low_ms, std::int64_t high_ms);

  // -- the process ---------------------------------------------------------------------------------------------------
  [[nodiscard]] engine::Engine* engine() { return engine_.get(); }
  [[nodiscard]] std::uint64_t life() const { return life_; }
  void start();
  /// Dies now; starts again after `down_for`.
  void crash(Millis down_for);
  /// Counted at every verb and effect; throws Crash when its time has come.
  void at_verb(const char* verb);
  void crash_in(std::uint64_t verbs) { crash_countdown_ = verbs; }
  [[nodiscard]] std::uint64_t verbs() const { return verbs_; }
  /// Null: `store` itself is what survives. It must be there for as long as there is an engine.
  Durable* durable = nullptr;
  /// The engine is gone for good.
  void end() { engine_.reset(); }

  // -- faults --------------------------------------------------------------------------------------------------------
  int target_fault_per_mille = 0;
  /// The next call of that name on a target goes wrong in this way (scripted runs).
  std::optional<std::pair<std::string, Fault>> next_fault;
  void fail_commits(int how_many, std::string check);
  /// The next transactions do not even begin; `blind`: until one does, nothing is read either.
  void fail_begins(int how_many, std::string check, bool blind);
  /// The last one did not.
  [[nodiscard]] bool unbegun() const { return unbegun_; }
  void slow_commit(Millis how_long) { slow_ = how_long; }
  /// From here on nothing goes wrong any more.
  void calm();
  [[nodiscard]] bool is_calm() const { return calm_; }

  void say(std::string line);
  [[nodiscard]] const std::vector<std::string>& history() const { return history_; }

  Settings settings;
  Dice dice;
  Oracle oracle;
  ModelProvider provider;
  ModelStore store;
  std::shared_ptr<forward::Driver> receivers;  ///< of audit records; outlives each process
  std::map<std::string, ModelServer> servers;
  ModelGate gate;
  ModelWorkers workers;
  std::shared_ptr<ModelTransmitter> transmitter;        ///< of each provider that has signals; null: there is none
  std::map<std::string, std::vector<std::string>> dns;  ///< TXT records by name
  std::uint64_t events = 0;

 private:
  struct Scheduled {
    std::uint64_t life;  ///< 0: the world's
    std::move_only_function<void()> what;
  };
  void turn();
  void step();
  void prepare_servers();
  Fault choose_fault(const char* call, const core::GrantId& grant);
  std::string commit_fault();
  std::string begin_fault(bool writes);

  WallTime epoch_;
  MonoTime now_{};
  MonoTime turn_began_{};
  Millis wall_offset_{0};
  std::multimap<MonoTime, Scheduled> queue_;
  MonoTime engine_due_ = MonoTime::max();
  std::uint64_t life_ = 0;
  std::uint64_t verbs_ = 0;
  std::uint64_t crash_countdown_ = 0;
  int failing_commits_ = 0;
  std::string failing_check_;
  int failing_begins_ = 0;
  std::string unbegun_check_;
  bool blind_ = false, unbegun_ = false;
  Millis slow_{0};
  bool in_turn_ = false;
  bool calm_ = false;
  std::vector<std::string> history_;

  base::SeededEntropy entropy_;
  base::Log log_;
  std::shared_ptr<ModelIdpDriver> idp_;
  std::shared_ptr<ModelTargetDriver> target_driver_;
  std::optional<crypto::Sealer> sealer_;
  std::optional<engine::Vault> vault_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace daypass::sim
