// Accounts on targets that nobody answers for: found on demand, and taken away when the operator says so. What differs
// after a restore is shown by restore.cc; what reconciliation finds by itself it treats more gently (reconcile.cc).
#include <algorithm>
#include <deque>

#include "engine/orphans.h"
#include "engine/turn.h"

namespace daypass::engine {

using core::GrantState;
using Kind = Orphans::Account::Kind;

namespace {

constexpr auto look_for = std::chrono::seconds(30), fix_for = std::chrono::seconds(75);
constexpr auto strangers_budget = std::chrono::seconds(10);
constexpr base::Millis away_budget = std::chrono::seconds(20);
/// Targets at once, of all tenants: fewer than there are threads for revocations, which must not wait for this.
constexpr unsigned at_once = 4;
constexpr std::size_t page = 100;

Status seen_gone(const Result<core::Presence>& seen) {
  if (!seen.ok()) return seen.error();
  if (*seen == core::Presence::absent) return {};
  return Error{Code::unavailable, "orphan.present",
               *seen == core::Presence::present ? "it was taken away, and is still there"
                                                : "whether it is still there can't be seen now"};
}

/// Blocks: from a worker.
std::vector<Status> away(target::Target& target, const std::vector<target::Leaving>& accounts,
                         const base::Clock& clock) {
  std::vector<Status> out;
  const base::MonoTime until = clock.mono() + away_budget;
  const std::size_t step = std::max<std::size_t>(target.caps().at_once, 1);
  for (std::size_t from = 0; from < accounts.size(); from += step) {
    const std::vector<target::Leaving> some(
        accounts.begin() + static_cast<std::ptrdiff_t>(from),
        accounts.begin() + static_cast<std::ptrdiff_t>(std::min(from + step, accounts.size())));
    const auto left = [&] { return std::chrono::duration_cast<base::Millis>(until - clock.mono()); };
    std::vector<Status> told(some.size());
    std::set<std::size_t> gone;
    if (some.size() > 1 && left().count() > 0) gone = target.revoke_together(some, left());
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (gone.contains(i)) continue;
      told[i] = left().count() > 0
                    ? target.revoke(some[i].account, some[i].roles, some[i].handle, left())
                    : Status(Error{Code::timeout, "orphan.time", "there was not enough time for it; try again"});
    }
    const auto seen = target.verify_all(some, std::chrono::seconds(5));
    for (std::size_t i = 0; i < some.size(); ++i)
      out.push_back(!told[i].ok() ? told[i]
                    : i < seen.size()
                        ? seen_gone(seen[i])
                        : seen_gone(Error{Code::internal, "driver.answer", "the driver did not look at it"}));
  }
  return out;
}

}  // namespace

bool Engine::Impl::known_tenant(const core::TenantId& id) const {
  const std::shared_lock lock(shared);
  return registry.contains(id);
}

void Engine::Impl::take_away(const core::TenantId& log, const core::TargetId& target_id,
                             const std::shared_ptr<target::Target>& target, std::vector<target::Leaving> accounts,
                             std::string actor, Done<std::vector<Status>> done) {
  auto answer = std::make_shared<Done<std::vector<Status>>>(std::move(done));
  p.workers.run(
      Workers::Pool::revoke, log,
      [this, log, target_id, target, accounts = std::move(accounts), actor = std::move(actor), answer] {
        auto told = std::make_shared<std::vector<Status>>(away(*target, accounts, p.clock));
        Event event;
        event.again = true;
        event.run = [log, target_id, accounts, actor, told, answer](Turn& turn) -> Status {
          turn.actor = actor;
          for (std::size_t i = 0; i < accounts.size(); ++i)
            if ((*told)[i].ok()) {
              const target::Account& gone = accounts[i].account;
              DP_CHECK(turn.audit(log, "orphan.removed", gone.name, "ok",
                                  {{"target", target_id.str()}, {"grant", gone.grant.id}}));
              DP_TRY([[maybe_unused]] const bool tried,
                     turn.tx.remove(log, doc_orphan, orphan_key(target_id, gone.name)));
            }
          turn.after.emplace_back([told, answer] {
            if (*answer) std::exchange(*answer, nullptr)(*told);
          });
          return {};
        };
        post(std::move(event));
      },
      [answer](Error e) { (*answer)(std::move(e)); });
}

/// One search, from the question to the answer. All but what workers do happens on the engine's thread.
class Engine::Impl::OrphanHunt : public std::enable_shared_from_this<OrphanHunt> {
 public:
  OrphanHunt(Impl& impl, bool fix, std::string actor, Done<Orphans> done)
      : impl_(impl), fix_(fix), actor_(std::move(actor)), done_(std::move(done)), began_(impl.now()) {}

  void start(const std::vector<core::TenantId>& tenants) {
    for (const auto& id : tenants)
      todo_.push_back({[self = shared_from_this(), id] { self->open(id); },
                       [self = shared_from_this(), id] { self->unseen(id, {}, late()); }, false});
    next();
  }

 private:
  using TargetPtr = std::shared_ptr<target::Target>;
  using World = std::shared_ptr<const Tenant>;
  struct Step {
    std::function<void()> run;
    std::function<void()> too_late;
    bool fixing;
  };

  static std::string late() { return "there was no time left to look; name one tenant (--tenant)"; }

  void next() {
    while (running_ < at_once && !todo_.empty()) {
      const Step step = std::move(todo_.front());
      todo_.pop_front();
      if (impl_.now() - began_ > (step.fixing ? fix_for : look_for)) {
        step.too_late();
        continue;
      }
      ++running_;
      step.run();
    }
    if (running_ > 0 || !todo_.empty() || !done_) return;
    for (auto& target : found_.targets)
      std::erase_if(target.accounts, [](const Orphans::Account& a) { return a.name.empty(); });
    std::ranges::sort(found_.targets, [](const auto& a, const auto& b) {
      return std::tie(a.tenant, a.target) < std::tie(b.tenant, b.target);
    });
    std::exchange(done_, nullptr)(std::move(found_));
  }
  void over() {
    --running_;
    next();
  }
  void unseen(const core::TenantId& tenant, const core::TargetId& target, std::string why) {
    found_.targets.push_back({tenant, target, std::move(why), {}});
  }
  /// From any thread: `what` in a turn of the engine.
  void in_turn(std::function<void(Turn&)> what) {
    Event event;
    event.in_quarantine = true;
    event.run = [self = shared_from_this(), what = std::move(what)](Turn& turn) -> Status {
      what(turn);
      return {};
    };
    impl_.post(std::move(event));
  }

  /// Which targets a tenant has. Reading and compiling its settings takes its time: not here.
  void open(const core::TenantId& id) {
    const auto self = shared_from_this();
    impl_.p.workers.run(
        Workers::Pool::provision, id,
        [self, id] {
          World world;
          bool nothing = false;
          {
            const std::shared_lock lock(self->impl_.shared);
            const auto it = self->impl_.registry.find(id);
            if (it != self->impl_.registry.end()) world = it->second.world, nothing = it->second.empty;
          }
          if (world == nullptr && !nothing) world = self->impl_.load(id, &nothing);
          self->in_turn([self, id, world, nothing](Turn&) {
            if (world == nullptr && !nothing) self->unseen(id, {}, "the tenant's settings can't be read");
            if (world != nullptr)
              for (const auto& [target_id, target] : world->targets) self->want_look(id, target_id, target, world);
            self->over();
          });
        },
        [self, id](const Error& e) {
          self->in_turn([self, id, e](Turn&) {
            self->unseen(id, {}, e.message);
            self->over();
          });
        });
  }

  void want_look(const core::TenantId& id, const core::TargetId& target_id, const TargetPtr& target,
                 const World& world) {
    todo_.push_back(
        {[self = shared_from_this(), id, target_id, target, world] { self->look(id, target_id, target, world); },
         [self = shared_from_this(), id, target_id] { self->unseen(id, target_id, late()); }, false});
  }

  void look(const core::TenantId& id, const core::TargetId& target_id, const TargetPtr& target, const World& world) {
    const auto self = shared_from_this();
    impl_.look_at(id, target_id, target, [self, id, target_id, target, world](Result<Differences> differ) {
      // Of another installation, or of nobody: apart, so that what takes away never sees them.
      Result<std::vector<target::Stranger>> strangers = std::vector<target::Stranger>();
      if (differ.ok()) strangers = target->list_strangers(strangers_budget);
      self->in_turn([self, id, target_id, target, world, differ, strangers](Turn& turn) {
        self->saw(turn, id, target_id, target, world, differ, strangers);
        self->over();
      });
    });
  }

  void saw(Turn& turn, const core::TenantId& id, const core::TargetId& target_id, const TargetPtr& target,
           const World& world, const Result<Differences>& differ,
           const Result<std::vector<target::Stranger>>& strangers) {
    if (!differ.ok()) return unseen(id, target_id, differ.error().message);
    if (!strangers.ok()) return unseen(id, target_id, strangers.error().message);
    Orphans::Target out{id, target_id, {}, {}};
    std::vector<target::Owned> extra = differ->extra;
    extra.insert(extra.end(), differ->homeless.begin(), differ->homeless.end());
    for (const auto& account : extra) {
      const auto known = turn.tx.load_grant({core::TenantId(account.tenant), account.grant});
      if (!known.ok()) return unseen(id, target_id, known.error().message);
      // Opened since the look at the store; or seen from another target of the same server, where it is told.
      if (*known && (*known)->state != GrantState::closed) continue;
      if (*known && (*known)->target != target_id && world->targets.contains((*known)->target)) continue;
      out.accounts.push_back({*known ? Kind::closed : Kind::unknown,
                              account.name,
                              account.tenant,
                              account.grant,
                              impl_.p.instance,
                              account.valid_until,
                              false,
                              {}});
    }
    for (const auto& account : *strangers)
      out.accounts.push_back({account.instance == impl_.p.instance ? Kind::misfit : Kind::other_mark,
                              account.name,
                              account.tenant,
                              account.grant,
                              account.instance,
                              account.valid_until,
                              false,
                              {}});
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < out.accounts.size(); ++i)
      if (out.accounts[i].is_orphan()) places.push_back(i);
    found_.targets.push_back(std::move(out));
    if (!fix_) return;
    for (std::size_t from = 0; from < places.size(); from += page)
      want_removal(found_.targets.size() - 1,
                   {places.begin() + static_cast<std::ptrdiff_t>(from),
                    places.begin() + static_cast<std::ptrdiff_t>(std::min(from + page, places.size()))},
                   target, world);
  }

  void want_removal(std::size_t where, const std::vector<std::size_t>& places, const TargetPtr& target,
                    const World& world) {
    todo_.push_back(
        {[self = shared_from_this(), where, places, target, world] { self->remove(where, places, target, world); },
         [self = shared_from_this(), where, places] {
           self->left(where, places, "there was no time left to remove it; try again");
         },
         true});
  }
  void left(std::size_t where, const std::vector<std::size_t>& places, const std::string& why) {
    for (const std::size_t i : places) found_.targets[where].accounts[i].left = why;
  }

  void remove(std::size_t where, const std::vector<std::size_t>& places, const TargetPtr& target, const World& world) {
    const auto self = shared_from_this();
    Event event;
    event.failed = [self, where, places](const Error& e) {
      self->left(where, places, e.message);
      self->over();
    };
    event.run = [self, where, places, target, world](Turn& turn) -> Status {
      turn.actor = self->actor_;
      auto& there = self->found_.targets[where];
      std::vector<target::Leaving> leaving;
      std::vector<std::size_t> going;
      for (const std::size_t i : places) {
        Orphans::Account& account = there.accounts[i];
        const GrantId id{core::TenantId(account.tenant), account.grant};
        DP_TRY(const auto known, turn.tx.load_grant(id));
        if (known && known->state != GrantState::closed) {
          account.name.clear();  // somebody answers for it now
          continue;
        }
        DP_CHECK(turn.audit(there.tenant, "orphan.removing", account.name, "ok",
                            {{"target", there.target.str()},
                             {"grant", account.grant},
                             {"why", known ? "its grant is closed" : "the store never heard of it"}}));
        target::Leaving one{{id, account.name}, {}, known ? known->handle : ""};
        if (known)
          for (const auto& role : known->roles)
            if (const auto* spec = world->spec.role(role)) one.roles.push_back(*spec);
        leaving.push_back(std::move(one));
        going.push_back(i);
      }
      turn.after.emplace_back([self, where, target, leaving = std::move(leaving), going = std::move(going)] {
        const auto& t = self->found_.targets[where];
        if (leaving.empty()) return self->over();
        self->impl_.take_away(t.tenant, t.target, target, leaving, self->actor_,
                              [self, where, going](const Result<std::vector<Status>>& done) {
                                self->in_turn([self, where, going, done](Turn&) {
                                  auto& accounts = self->found_.targets[where].accounts;
                                  for (std::size_t i = 0; i < going.size(); ++i) {
                                    const Status gone = done.ok() ? (*done)[i] : Status(done.error());
                                    accounts[going[i]].removed = gone.ok();
                                    if (!gone.ok()) accounts[going[i]].left = gone.error().message;
                                  }
                                  self->over();
                                });
                              });
      });
      return {};
    };
    impl_.post(std::move(event));
  }

  Impl& impl_;
  const bool fix_;
  const std::string actor_;
  Done<Orphans> done_;
  const WallTime began_;
  Orphans found_;
  std::deque<Step> todo_;
  unsigned running_ = 0;
};

void Engine::orphans(std::optional<core::TenantId> tenant, bool fix, std::string actor, Done<Orphans> done) {
  Impl& impl = *impl_;
  if (fix && impl.quarantined) return done(impl.quarantine_error());
  auto answer = std::make_shared<Done<Orphans>>(std::move(done));
  Impl::Event event;
  event.in_quarantine = true;
  event.failed = [answer](const Error& e) {
    if (*answer) std::exchange(*answer, nullptr)(e);
  };
  event.run = [&impl, tenant, fix, actor, answer](Turn& turn) -> Status {
    std::vector<core::TenantId> ids;
    {
      const std::shared_lock lock(impl.shared);
      for (const auto& [id, entry] : impl.registry)
        if (!tenant || id == *tenant) ids.push_back(id);
    }
    if (tenant && ids.empty()) return Error{Code::not_found, "tenant.unknown", "there is no such tenant"};
    turn.after.emplace_back([&impl, fix, actor, answer, ids] {
      std::make_shared<Impl::OrphanHunt>(impl, fix, actor, std::exchange(*answer, nullptr))->start(ids);
    });
    return {};
  };
  impl.post(std::move(event));
}

}  // namespace daypass::engine
