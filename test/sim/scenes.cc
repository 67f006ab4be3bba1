// Scenes: one move of a grant with one fault on its way. Chance alone brings some of these together once in a thousand
// worlds; a random story plays a few of them between its other deeds, drawn evenly from the whole table.
#include "sim/story.h"

namespace daypass::sim {

using base::Millis;
using core::EndReason;

namespace {

const core::TenantId tenant("default");

struct Spot {
  const char* target;
  std::vector<std::string> roles;
};
// Three grants that one person may have beside each other.
const std::vector<Spot>& spots() {
  static const std::vector<Spot> all{
      {"pg/orders", {"pg/orders/reader"}}, {"pg/orders", {"pg/orders/writer"}}, {"pg/stock", {"pg/stock/reader"}}};
  return all;
}

bool of_the_world(Fault fault) {
  return fault >= Fault::crash;
}

}  // namespace

// A running process, a policy that permits, a login that lasts.
bool Story::ready(std::size_t n) {
  for (int i = 0; i < 4 && world_.engine() == nullptr; ++i) world_.run_for(std::chrono::seconds(16));
  world_.set_wall_offset(Millis(0));
  if (variant_ != 0 && variant_ != 5) {
    apply(0);
    world_.run_for(Millis(400));
  }
  if (world_.engine() == nullptr) return false;
  if (people[n].token.empty() || !world_.engine()->authenticate(tenant, people[n].token).ok()) {
    sign_in(n);
    world_.run_for(Millis(4600));
  }
  return world_.engine() != nullptr && people[n].session && !world_.oracle.failed();
}

std::optional<core::GrantId> Story::grant_at(std::size_t n, std::size_t spot) const {
  for (const auto& id : world_.oracle.live_grants()) {
    const core::Grant* g = world_.store.grant(id);
    if (g != nullptr && people[n].session && g->session == people[n].session->id &&
        g->roles.front().str() == spots()[spot].roles.front())
      return id;
  }
  return std::nullopt;
}

// Asks for a credential for the spot and connects with it: joins the grant there, or opens one.
void Story::take(std::size_t n, std::size_t spot, Millis wanted) {
  const std::size_t before = people[n].credentials.size();
  get_credential(n, spots()[spot].target, spots()[spot].roles, wanted);
  world_.run_for(Millis(35));
  if (people[n].credentials.size() > before) world_.gate.connect(people[n].credentials.back());
}

void Story::give_back(const std::optional<core::GrantId>& grant) {
  if (!grant || world_.engine() == nullptr) return;
  world_.oracle.wants_end(*grant);
  world_.act([&] {
    world_.engine()->end_grant(*grant, {}, EndReason::admin, "operator",
                               [this, id = *grant](const base::Result<core::Grant>& r) {
                                 if (!r.ok()) world_.oracle.end_refused(id, r.error().check);
                               });
  });
}

void Story::lengthen(const std::optional<core::GrantId>& grant, std::size_t n, Millis by) {
  if (!grant || world_.engine() == nullptr || !people[n].session) return;
  world_.act([&] {
    world_.engine()->extend_grant(*people[n].session, *grant, by, "10.0.0.7", [this](base::Result<core::Grant> r) {
      world_.say(r.ok() ? "extended" : "not extended: " + r.error().check);
    });
  });
}

void Story::strike(Fault fault) {
  switch (fault) {
    case Fault::crash:
      world_.crash(Millis(world_.dice.between(50, 3000)));
      break;
    case Fault::store_fails:
      world_.fail_commits(static_cast<int>(world_.dice.between(1, 2)),
                          world_.dice.chance(500) ? "store.full" : "store.io");
      break;
    case Fault::store_unbegun:
      world_.fail_begins(static_cast<int>(world_.dice.between(1, 2)),
                         world_.dice.chance(500) ? "store.full" : "store.io", world_.dice.chance(500));
      break;
    case Fault::store_slow:
      world_.slow_commit(Millis(world_.dice.between(100, 20'000)));
      break;
    // Within what is believed, mostly: beyond it nothing is given that could be met.
    case Fault::clock_forward:
      world_.set_wall_offset(Millis(world_.dice.chance(800) ? world_.dice.between(500, 25'000) : 7'200'000));
      break;
    case Fault::clock_back:
      world_.set_wall_offset(-Millis(world_.dice.chance(800) ? world_.dice.between(500, 25'000) : 7'200'000));
      break;
    case Fault::suspend:
      world_.suspend(Millis(world_.dice.between(1000, 40'000)));
      break;
    default:
      break;
  }
}

void Story::scene(Move move, Fault fault) {
  const std::size_t n = world_.dice.chance(500) ? 0 : 2;
  if (!ready(n)) return;
  world_.say("scene: " + std::string(move_names[static_cast<std::size_t>(move)]) + ", " +
             std::string(fault_names[static_cast<std::size_t>(fault)]));
  // Nothing else in the way.
  const int rate = std::exchange(world_.target_fault_per_mille, 0);
  const auto spot = static_cast<std::size_t>(world_.dice.between(0, 2));
  if (move == Move::open || move == Move::activate || move == Move::fail)
    scene_of_beginning(move, fault, n, spot);
  else
    scene_of_life(move, fault, n, spot);
  world_.run_for(world_.delay(300, 3000));
  world_.target_fault_per_mille = rate;
  world_.next_fault.reset();
  if (world_.dice.chance(700)) world_.set_wall_offset(Millis(0));
}

void Story::scene_of_beginning(Move move, Fault fault, std::size_t n, std::size_t spot) {
  const Millis wanted(world_.dice.between(60'000, 240'000));
  if (const auto there = grant_at(n, spot)) {
    give_back(there);
    world_.run_for(Millis(400));
  }
  if (of_the_world(fault)) {
    if (move == Move::fail) world_.next_fault.emplace("provision", Fault::refused);
    if (move == Move::open) strike(fault);
    for (int i = 0; i < 4 && world_.engine() == nullptr; ++i) world_.run_for(Millis(1000));
    take(n, spot, wanted);
    world_.run_for(Millis(36));
    if (move != Move::open) strike(fault);
    return world_.run_for(Millis(1500));
  }
  const bool harmless = fault == Fault::lie || fault == Fault::twice;
  if (move == Move::fail || (move == Move::activate && harmless)) {
    world_.next_fault.emplace("provision", fault);
    take(n, spot, wanted);
    world_.run_for(Millis(move == Move::fail && harmless ? 150 : 700));
    if (move == Move::fail) give_back(grant_at(n, spot));
    return;
  }
  // The server has trouble with another grant while this one's account is being made.
  const std::size_t beside = spot == 1 ? 0 : 1, mine = spot == 2 ? 0 : spot;
  if (grant_at(n, mine)) give_back(grant_at(n, mine));
  if (!grant_at(n, beside)) take(n, beside, wanted);
  world_.run_for(Millis(700));
  world_.next_fault.emplace("revoke", fault);
  const auto other = grant_at(n, beside);
  get_credential(n, spots()[mine].target, spots()[mine].roles, wanted);
  world_.run_for(Millis(35));
  give_back(other);
  if (move == Move::open) world_.run_for(Millis(250));
  if (!people[n].credentials.empty()) world_.gate.connect(people[n].credentials.back());
  world_.run_for(Millis(600));
}

void Story::scene_of_life(Move move, Fault fault, std::size_t n, std::size_t spot) {
  const bool world = of_the_world(fault);
  const bool at_revocation = move == Move::retry || move == Move::close;
  const bool with_account =
      !world && (fault == Fault::lie || fault == Fault::twice) && !(at_revocation && fault == Fault::lie);
  if (with_account && grant_at(n, spot)) {
    give_back(grant_at(n, spot));
    world_.run_for(Millis(700));
  }
  if (with_account) world_.next_fault.emplace("provision", fault);
  if (!grant_at(n, spot)) take(n, spot, Millis(world_.dice.between(60'000, 120'000)));
  world_.run_for(Millis(600));
  if (!grant_at(n, spot)) return;
  if (at_revocation) {
    // A revocation that fails once, and the world's trouble before it is tried again.
    if (world || with_account) {
      if (move == Move::retry) world_.next_fault.emplace("revoke", Fault::refused);
    } else {
      world_.next_fault.emplace("revoke", fault);
    }
    give_back(grant_at(n, spot));
    world_.run_for(Millis(36));
    if (world) strike(fault);
    return world_.run_for(Millis(1500));
  }
  if (!world && !with_account) {
    // To the target an extension is a provision of what is there already.
    world_.next_fault.emplace("provision", fault);
    lengthen(grant_at(n, spot), n, Millis(world_.dice.between(130'000, 180'000)));
    world_.run_for(Millis(260));
  }
  if (world) strike(fault);
  for (int i = 0; i < 4 && world_.engine() == nullptr; ++i) world_.run_for(Millis(1000));
  // Asked twice: what the store refused is not repeated by itself.
  for (int i = 0; i < 2; ++i) {
    if (move == Move::extend) lengthen(grant_at(n, spot), n, Millis(world_.dice.between(190'000, 400'000)));
    if (move == Move::shrink) apply(world_.dice.chance(500) ? 1 : variant_ == 5 ? 0 : 5);
    if (move == Move::end) give_back(grant_at(n, spot));
    world_.run_for(Millis(move == Move::shrink ? 300 : 60));
    if (fault != Fault::store_fails && fault != Fault::store_unbegun) return;
  }
}

}  // namespace daypass::sim
