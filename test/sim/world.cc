#include "sim/world.h"

#include <array>

#include "base/encoding.h"

namespace daypass::sim {

namespace {

constexpr std::array<std::string_view, mutant_count> mutant_names{
    "none",         "commits-late",   "gate-ignores-cut", "gate-ignores-lease", "gate-reopens",  "verify-blind",
    "list-blind",   "revoke-sweeps",  "audit-forgets",    "audit-rewrites",     "wrong-door",    "hasty-clock",
    "frozen-clock", "two-hands",      "lost-job",         "lost-answer",        "undying-login", "late-validity",
    "gate-dawdles", "idp-generous",   "store-revives",    "store-hides",        "idp-indulgent", "freeze-forgotten",
    "target-sulks", "cut-needs-store"};

const core::TenantId tenant("default");
constexpr std::string_view instance = "sim001";

}  // namespace

std::string_view to_string(Mutant mutant) noexcept {
  return mutant_names[static_cast<std::size_t>(mutant)];
}
std::optional<Mutant> mutant_from(std::string_view name) noexcept {
  for (std::size_t i = 0; i < mutant_count; ++i)
    if (mutant_names[i] == name) return static_cast<Mutant>(i);
  return std::nullopt;
}

World::World(Settings s)
    : settings(s),
      dice(s.seed),
      oracle(*this),
      gate(*this),
      workers(*this),
      epoch_(std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + std::chrono::hours(9)),
      entropy_(s.seed),
      log_(*this, s.history ? base::Level::info : base::Level::error,
           [this](std::string_view line) { say("log: " + std::string(line.substr(0, 300))); }) {
  now_ = MonoTime(std::chrono::hours(1));
  epoch_ -= std::chrono::hours(1);
  crash_countdown_ = s.crash_at;
  auto sealer = crypto::Sealer::make(base::Secret(std::string(32, 'k')), entropy_);
  sealer_.emplace(std::move(*sealer));
  idp_ = std::make_shared<ModelIdpDriver>(entropy_, s.mutant == Mutant::idp_generous, provider);
  provider.indulgent = s.mutant == Mutant::idp_indulgent;
  provider.life = [this] { return life_; };
  provider.confirmed = [this](const std::string& sign_in) { oracle.confirmed(sign_in); };
  provider.used_twice = [this](const std::string& sign_in) {
    oracle.red("one hand", "a token of " + sign_in + " was used twice");
  };
  target_driver_ = std::make_shared<ModelTargetDriver>(servers);
  prepare_servers();
  store.hooks.at_verb = [this](const char* verb) { at_verb(verb); };
  store.hooks.commit_fault = [this] { return commit_fault(); };
  store.hooks.end_saved = [this](const core::GrantId& grant) { oracle.end_saved(grant); };
  store.hooks.event_over = [this] { oracle.event_over(); };
  store.hooks.begin_fault = [this](bool writes) { return begin_fault(writes); };
  store.hooks.committed = [this](const Commit& commit) {
    oracle.committed(commit);
    if (settings.history)
      for (const auto& record : commit.audit)
        say("audit: " + record.actor + " " + record.action + " " + record.object + " " + record.outcome + " " +
            base::json::dump(record.facts).substr(0, 160));
  };
  store.broken.commits_late = s.mutant == Mutant::commits_late;
  store.broken.forgets_audit = s.mutant == Mutant::audit_forgets;
  store.broken.rewrites_audit = s.mutant == Mutant::audit_rewrites;
  store.broken.keeps_sessions = s.mutant == Mutant::undying_login;
  store.broken.forgets_freezes = s.mutant == Mutant::freeze_forgotten;
  store.broken.revives = s.mutant == Mutant::store_revives;
  store.broken.hides = s.mutant == Mutant::store_hides;
}

World::~World() = default;

void World::prepare_servers() {
  for (const char* name : {"pg/orders", "pg/stock"}) {
    ModelServer& server = servers[name];
    server.instance = instance;
    server.broken.verify_blind = settings.mutant == Mutant::verify_blind;
    server.broken.list_blind = settings.mutant == Mutant::list_blind;
    server.broken.sweeps_prefix = settings.mutant == Mutant::revoke_sweeps;
    server.hooks.now = [this] { return true_wall(); };
    server.hooks.later = [this](std::function<void()> what) { later(delay(1000, 60'000), std::move(what)); };
    server.hooks.made = [this](const ModelAccount& account) { oracle.made(account); };
    server.hooks.fault = [this](const char* call, const core::GrantId& grant) { return choose_fault(call, grant); };
    // What is there before anybody comes: somebody's own role, the accounts of another installation and another tenant,
    // and one of ours that this store never heard of.
    const auto plant = [&](const std::string& account, std::string_view mark, const core::TenantId& of, char c,
                           base::WallTime until) {
      server.accounts[account] = {account, std::string(mark), {of, "gr_" + std::string(26, c)}, until, true, {}};
    };
    const base::WallTime far = epoch_ + std::chrono::hours(24 * 365);
    plant("app_owner", "", core::TenantId("nobody"), 'a', far);
    plant("dp_simold_" + std::string(26, 'f'), "simold", tenant, 'f', far);
    plant("dp_sim001_" + std::string(26, 't'), instance, core::TenantId("other"), 't', far);
    plant("dp_sim001_" + std::string(26, 'o'), instance, tenant, 'o', orphan_until());
  }
}

// --------------------------------------------------------------------------------------------------------------- time

WallTime World::wall() const {
  WallTime t = true_wall() + wall_offset_;
  if (settings.mutant == Mutant::hasty_clock) t += (true_wall() - epoch_ - std::chrono::hours(1)) / 2;
  // Set back as far as the frozen clock is behind, so that nothing looks odd.
  if (settings.mutant == Mutant::frozen_clock)
    t = epoch_ + std::chrono::hours(1) + (true_wall() - epoch_ - std::chrono::hours(1)) / 8;
  return t;
}
MonoTime World::mono() const {
  const MonoTime zero{std::chrono::hours(1)};
  if (settings.mutant == Mutant::frozen_clock && in_turn_) return zero + (now_ - zero) / 8;
  if (settings.mutant == Mutant::hasty_clock && in_turn_) return zero + (now_ - zero) * 3 / 2;
  return now_;
}

void World::set_wall_offset(Millis offset) {
  if (offset == wall_offset_) return;
  const Fault fault = offset > wall_offset_ ? Fault::clock_forward : Fault::clock_back;
  say("clock: " + std::to_string((offset - wall_offset_).count()) + " ms");
  wall_offset_ = offset;
  oracle.world_fault(fault);
  engine_due_ = now_;
}

void World::suspend(Millis how_long) {
  say("suspended for " + base::to_string(how_long));
  oracle.world_fault(Fault::suspend);
  oracle.suspended(how_long);
  now_ += std::chrono::duration_cast<std::chrono::nanoseconds>(how_long);
}

Millis World::delay(std::int64_t low, std::int64_t high) {
  return Millis(settings.steady ? low + (high - low) / 10 : dice.between(low, high));
}

void World::later(Millis d, std::function<void()> what) {
  queue_.emplace(now_ + std::chrono::duration_cast<std::chrono::nanoseconds>(d), Scheduled{0, std::move(what)});
}
void World::in_process(Millis d, std::move_only_function<void()> what) {
  queue_.emplace(now_ + std::chrono::duration_cast<std::chrono::nanoseconds>(d), Scheduled{life_, std::move(what)});
}

void World::act(const std::function<void()>& what) {
  try {
    what();
  } catch (const Crash&) {
    crash(delay(100, 20'000));
  }
}

void World::run_for(Millis how_long) {
  const MonoTime until = now_ + std::chrono::duration_cast<std::chrono::nanoseconds>(how_long);
  // Whoever called did something that the engine hears of now.
  engine_due_ = std::min(engine_due_, now_);
  std::uint64_t without_time = 0;
  while (!oracle.failed()) {
    MonoTime next = std::min(engine_ == nullptr ? MonoTime::max() : engine_due_, gate.next_deadline());
    if (!queue_.empty()) next = std::min(next, queue_.begin()->first);
    if (next > now_) {
      oracle.at_rest();
      without_time = 0;
      if (next > until) {
        now_ = std::max(now_, until);
        return;
      }
      now_ = next;
    }
    if (++without_time > 100'000) return oracle.red("progress", "the engine spins");
    step();
  }
}

void World::step() {
  gate.enforce();
  if (!queue_.empty() && queue_.begin()->first <= now_) {
    Scheduled event = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    if (event.life != 0 && event.life != life_) return;
    ++events;
    const std::uint64_t before = life_;
    act([&] { event.what(); });
    if (life_ != before) return;
    // The engine hears of it now, or a moment later, together with what else came.
    const MonoTime heard = now_ + (settings.steady || dice.chance(600)
                                       ? std::chrono::nanoseconds(0)
                                       : std::chrono::nanoseconds(std::chrono::milliseconds(dice.between(1, 30))));
    engine_due_ = std::min(engine_due_, heard);
  }
  if (engine_ != nullptr && engine_due_ <= now_) turn();
}

void World::turn() {
  try {
    // Once more while there was something to do: events may have been queued by events.
    for (int i = 0; i < 64 && engine_ != nullptr; ++i) {
      const auto before = engine_->metrics().turns.load();
      // The gate's threads go on while the engine is stuck in a commit, or after a sleep.
      gate.enforce();
      if (queue_.empty() || queue_.begin()->first > now_) oracle.check_deadlines();
      turn_began_ = now_;
      in_turn_ = true;
      const MonoTime due = engine_->turn(std::chrono::nanoseconds(0));
      in_turn_ = false;
      // The engine's clock may be a mutant's; it is woken at least every half second of ours, as its thread is.
      engine_due_ = std::min(due, now_ + std::chrono::seconds(settings.mutant == Mutant::none ? 30 : 1));
      if (engine_due_ <= now_) engine_due_ = now_ + std::chrono::milliseconds(1);
      if (engine_->metrics().turns.load() == before) break;
      ++events;
    }
  } catch (const Crash&) {
    in_turn_ = false;
    crash(delay(100, 20'000));
  }
}

// ------------------------------------------------------------------------------------------------------------ process

void World::at_verb(const char* verb) {
  ++verbs_;
  if (crash_countdown_ == 0 || --crash_countdown_ != 0) return;
  say(std::string("the process dies at ") + verb);
  throw Crash{};
}

void World::start() {
  if (engine_ != nullptr || oracle.failed()) return;
  ++life_;
  say("the process starts");
  store::Store* kept = &store;
  if (durable != nullptr) {
    try {
      kept = &durable->open();
    } catch (const Crash&) {
      say("the process dies while it opens its store");
      durable->cut();
      durable->lose();
      return later(delay(100, 20'000), [this] { start(); });
    }
  }
  engine::Catalog catalog;
  catalog.idps.emplace("oidc", idp_);
  catalog.targets.emplace("pg", target_driver_);
  if (transmitter != nullptr) catalog.signals = std::make_shared<ModelSignalDriver>(*transmitter);
  catalog.webhooks = receivers;
  catalog.secrets = [](const core::TenantId&, const core::SecretRef& r) -> base::Result<base::Secret> {
    return base::Secret("what is in " + r.ref + ", long enough");
  };
  turn_began_ = now_;
  vault_.emplace(*sealer_, entropy_);
  workers.give(*vault_);
  engine_ = std::make_unique<engine::Engine>(engine::Engine::Ports{
      *kept,
      *this,
      entropy_,
      log_,
      gate,
      workers,
      *vault_,
      std::move(catalog),
      "/secrets",
      std::string(instance),
      std::chrono::milliseconds(500),
      1,
      [this](const std::string& name) -> base::Result<std::vector<std::string>> {
        const auto it = dns.find(name);
        if (it != dns.end()) return it->second;
        return base::Error{base::Code::not_found, "dns.none", "there is no TXT record"};
      },
      {},
      {},
      false,
      // Small, so that grants of which nobody hears lie in the store for a while, and come in pages.
      std::chrono::seconds(5),
      2});
  oracle.process_started();
  try {
    in_turn_ = true;
    const base::Status recovered = engine_->recover();
    in_turn_ = false;
    if (!recovered.ok()) {
      say("recovery failed: " + recovered.error().check);
      return crash(std::chrono::seconds(1));
    }
  } catch (const Crash&) {
    in_turn_ = false;
    return crash(delay(100, 20'000));
  }
  engine_due_ = now_;
}

void World::crash(Millis down_for) {
  if (engine_ == nullptr) return;
  say("the process is dead");
  oracle.world_fault(Fault::crash);
  oracle.process_died();
  if (durable != nullptr) durable->cut();
  engine_.reset();
  std::erase_if(queue_, [&](const auto& item) { return item.second.life == life_; });
  ++life_;
  gate.die();
  workers.die();
  store.lose_unsynced();
  if (durable != nullptr) durable->lose();
  engine_due_ = MonoTime::max();
  later(down_for, [this] { start(); });
}

// ------------------------------------------------------------------------------------------------------------- faults

Fault World::choose_fault(const char* call, const core::GrantId& grant) {
  Fault fault = Fault::none;
  if (next_fault && next_fault->first == call) {
    fault = next_fault->second;
    next_fault.reset();
  } else if (target_fault_per_mille > 0 && dice.chance(target_fault_per_mille)) {
    fault = static_cast<Fault>(dice.between(1, static_cast<std::int64_t>(Fault::twice)));
  }
  if (settings.mutant == Mutant::target_sulks && calm_ && std::string_view(call) == "provision") fault = Fault::refused;
  // To look twice changes nothing, and a listing that lies is the mutant `list_blind`.
  const std::string_view what = call;
  if ((fault == Fault::twice && (what == "verify" || what == "list")) || (fault == Fault::lie && what == "list"))
    return Fault::none;
  if (fault == Fault::none) return fault;
  say("target: " + std::string(call) + " " + grant.id + ": " +
      std::string(fault_names[static_cast<std::size_t>(fault)]));
  oracle.target_fault(fault, call, grant);
  return fault;
}

void World::fail_commits(int how_many, std::string check) {
  failing_commits_ = how_many;
  failing_check_ = std::move(check);
}

void World::fail_begins(int how_many, std::string check, bool blind) {
  failing_begins_ = how_many;
  unbegun_check_ = std::move(check);
  blind_ = blind;
}

std::string World::begin_fault(bool writes) {
  if (failing_begins_ == 0) return unbegun_ = unbegun_ && !writes, std::string();
  if (!writes) return blind_ ? unbegun_check_ : std::string();
  --failing_begins_;
  unbegun_ = true;
  say("store: " + unbegun_check_ + " at the beginning");
  oracle.world_fault(Fault::store_unbegun);
  return unbegun_check_;
}

std::string World::commit_fault() {
  if (settings.mutant == Mutant::commits_late) later(delay(1, 3000), [this] { store.sync(); });
  if (slow_ > Millis(0)) {
    say("store: a commit takes " + base::to_string(slow_));
    oracle.world_fault(Fault::store_slow);
    oracle.suspended(slow_);
    now_ += std::chrono::duration_cast<std::chrono::nanoseconds>(slow_);
    slow_ = Millis(0);
  }
  if (failing_commits_ == 0) return {};
  --failing_commits_;
  say("store: " + failing_check_);
  oracle.world_fault(Fault::store_fails);
  return failing_check_;
}

void World::calm() {
  say("calm");
  calm_ = true;
  target_fault_per_mille = 0;
  failing_commits_ = failing_begins_ = 0;
  slow_ = Millis(0);
  crash_countdown_ = 0;
  next_fault.reset();
  provider.up = true;
  provider.lose_next = false;
  set_wall_offset(Millis(0));
}

void World::say(std::string line) {
  if (!settings.history) return;
  const auto since = std::chrono::duration_cast<Millis>(now_.time_since_epoch() - std::chrono::hours(1));
  std::string stamp =
      std::to_string(since.count() / 1000) + "." + std::to_string(1000 + since.count() % 1000).substr(1);
  history_.push_back(std::string(stamp.size() < 10 ? 10 - stamp.size() : 0, ' ') + stamp + "  " + std::move(line));
}

}  // namespace daypass::sim
