// The simulator in the tests: every event at every crash point for one and two grants, some hundred random worlds, and
// each checker shown to be able to speak.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "sim/story.h"

namespace daypass::sim {
namespace {

using core::EndReason;

std::string told(const World& world) {
  std::string out;
  const auto& lines = world.history();
  for (std::size_t i = lines.size() < 60 ? 0 : lines.size() - 60; i < lines.size(); ++i) out += lines[i] + "\n";
  return out;
}

/// What happens to the grant of the first person, in words and in deeds.
struct Deed {
  const char* name;
  std::function<void(Story&, World&)> what;
};

const std::vector<Deed>& deeds() {
  static const std::vector<Deed> all{
      {"nothing", [](Story&, World&) {}},
      {"hang up", [](Story& s, World&) { s.hang_up(); }},
      {"connect again", [](Story& s, World&) { s.connect(0); }},
      {"talk", [](Story& s, World&) { s.talk(); }},
      {"extend", [](Story& s, World&) { s.extend(0); }},
      {"end by user", [](Story& s, World&) { s.end_grant(EndReason::user); }},
      {"end by admin", [](Story& s, World&) { s.end_grant(EndReason::admin); }},
      {"log out", [](Story& s, World&) { s.log_out(0, EndReason::logout); }},
      {"log out twice", [](Story& s, World&) { s.log_out(0, EndReason::logout), s.log_out(0, EndReason::logout); }},
      {"the provider has ended it", [](Story& s, World&) { s.end_at_provider(0), s.revalidate(0), s.connect(0); }},
      {"the person has changed",
       [](Story& s, World&) { s.move(0, true), s.connect(0), s.revalidate(0), s.connect(0); }},
      {"the provider's answer is lost",
       [](Story& s, World& w) { w.provider.lose_next = true, s.revalidate(0), w.run_for(std::chrono::seconds(30)); }},
      {"asked after while the store breaks",
       [](Story& s, World& w) { w.fail_commits(3, "store.io"), s.move(0, true), s.revalidate(0), s.connect(0); }},
      {"policy shrinks", [](Story& s, World&) { s.apply(1); }},
      {"policy forbids", [](Story& s, World&) { s.apply(3); }},
      {"policy fails to evaluate", [](Story& s, World&) { s.apply(4); }},
      {"connect, and end in the same moment",
       [](Story& s, World&) { s.connect(0), s.end_grant(EndReason::admin), s.connect(0); }},
      {"the store is full", [](Story& s, World& w) { w.fail_commits(3, "store.full"), s.end_grant(EndReason::admin); }},
      {"the store does not begin",
       [](Story& s, World& w) { w.fail_begins(3, "store.io", true), s.end_grant(EndReason::admin); }},
      {"the store does not begin at logout",
       [](Story& s, World& w) { w.fail_begins(3, "store.full", false), s.log_out(0, EndReason::logout); }},
      {"the store breaks at logout",
       [](Story& s, World& w) { w.fail_commits(2, "store.io"), s.log_out(0, EndReason::logout); }},
      {"the store is slow", [](Story& s, World& w) { w.slow_commit(std::chrono::seconds(40)), s.extend(0); }},
      {"time passes: idle", [](Story&, World& w) { w.run_for(std::chrono::minutes(8)); }},
      {"time passes: age",
       [](Story& s, World& w) {
         for (int i = 0; i < 7; ++i) w.run_for(std::chrono::minutes(1)), s.talk();
       }},
      {"time passes: login", [](Story&, World& w) { w.run_for(std::chrono::minutes(17)); }},
      {"the clock leaps", [](Story&, World& w) { w.set_wall_offset(std::chrono::hours(2)); }},
      {"the clock is set back", [](Story&, World& w) { w.set_wall_offset(-std::chrono::hours(2)); }},
      {"sleep", [](Story&, World& w) { w.suspend(std::chrono::minutes(10)); }},
  };
  return all;
}

struct Script {
  std::uint64_t crash_at = 0;  ///< 0: never
  std::size_t grants = 1;
  bool while_provisioning = false;  ///< the deed comes while the account is being made
  std::string call;                 ///< of the target, that goes wrong once
  Fault fault = Fault::none;
};

/// One scripted life: people at work, one deed, then calm. Returns the number of verbs, for the next crash point.
std::uint64_t live(const Deed& deed, const Script& script, bool history = false) {
  World world({.seed = 7, .history = history, .steady = true});
  Story story(world);
  story.people.resize(2);
  story.refreshing = 1000;
  world.start();
  story.apply(0);
  world.run_for(std::chrono::seconds(2));
  for (std::size_t n = 0; n < script.grants; ++n) story.sign_in(n);
  world.run_for(std::chrono::seconds(5));
  for (std::size_t n = 0; n < script.grants; ++n) story.get_credential(n, "pg/orders", {}, std::chrono::minutes(6));
  world.run_for(std::chrono::milliseconds(500));
  // To the target an extension is a provision of what is there already.
  const bool later = script.call == "extend";
  if (script.fault != Fault::none && !later) world.next_fault.emplace(script.call, script.fault);
  const std::uint64_t before = world.verbs();
  world.crash_in(script.crash_at);
  for (std::size_t n = 0; n < script.grants; ++n) story.connect(n);
  world.run_for(script.while_provisioning ? std::chrono::milliseconds(15) : std::chrono::milliseconds(2000));
  if (later) world.next_fault.emplace("provision", script.fault);
  deed.what(story, world);
  world.run_for(std::chrono::seconds(2));
  const std::uint64_t verbs = world.verbs() - before;
  story.wind_up();
  if (world.oracle.failed() && !history) return live(deed, script, true);
  EXPECT_FALSE(world.oracle.failed()) << deed.name << ", crash at " << script.crash_at << ", " << script.grants
                                      << " grants, " << script.call << " "
                                      << fault_names[static_cast<std::size_t>(script.fault)] << ": RED "
                                      << world.oracle.checker() << ": " << world.oracle.what() << "\n"
                                      << told(world);
  return verbs;
}

// Every crash point takes minutes: the tests take every `stride`-th, DAYPASS_SIM_ALL=1 takes them all.
void every_crash_point(std::size_t grants, bool while_provisioning, std::uint64_t stride) {
  if (std::getenv("DAYPASS_SIM_ALL") != nullptr) stride = 1;
  for (const auto& deed : deeds()) {
    Script script;
    script.grants = grants;
    script.while_provisioning = while_provisioning;
    const std::uint64_t verbs = live(deed, script);
    ASSERT_GT(verbs, 10U) << deed.name;
    for (script.crash_at = 1; script.crash_at <= verbs + 1 && !::testing::Test::HasFailure(); script.crash_at += stride)
      live(deed, script);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Exhaustive, OneGrantEveryEventEveryCrashPoint) {
  every_crash_point(1, false, 3);
}
TEST(Exhaustive, OneGrantEveryEventWhileItsAccountIsMade) {
  every_crash_point(1, true, 4);
}
TEST(Exhaustive, TwoGrantsEveryEventEveryCrashPoint) {
  every_crash_point(2, false, 9);
}

TEST(Exhaustive, EveryFaultOfEveryCallWithEveryEvent) {
  for (const char* call : {"provision", "extend", "revoke", "verify", "list"})
    for (int f = 1; f <= static_cast<int>(Fault::twice); ++f)
      for (const auto& deed : deeds()) {
        Script script;
        script.call = call;
        script.fault = static_cast<Fault>(f);
        live(deed, script);
        if (HasFailure()) return;
      }
}

TEST(Random, SomeHundredWorldsAreGreen) {
  constexpr std::uint64_t seeds = 400;
  std::size_t admitted = 0;
  std::vector<std::uint64_t> events;
  Table table{};
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Outcome outcome = play({.seed = seed});
    ASSERT_TRUE(outcome.checker.empty()) << "seed " << seed << ": RED " << outcome.checker << ": " << outcome.what;
    admitted += outcome.admitted;
    events.push_back(outcome.events);
    for (std::size_t m = 0; m < move_count; ++m)
      for (std::size_t f = 0; f < fault_count; ++f) table[m][f] += outcome.table[m][f];
  }
  // Green because nothing happens would be worth nothing.
  EXPECT_GT(admitted, 4 * seeds);
  std::sort(events.begin(), events.end());
  EXPECT_GE(events[seeds / 2], 60U);
  for (std::size_t m = 0; m < move_count; ++m)
    for (std::size_t f = 1; f < fault_count; ++f)
      EXPECT_GT(table[m][f], 0U) << move_names[m] << " never met " << fault_names[f];
}

TEST(Random, ASeedIsAWorld) {
  for (const std::uint64_t seed : {3ULL, 11ULL, 42ULL}) {
    const Outcome a = play({.seed = seed, .history = true}), b = play({.seed = seed, .history = true}),
                  c = play({.seed = seed});
    EXPECT_EQ(a.history, b.history) << seed;
    EXPECT_EQ(a.events, c.events) << "keeping a record must change nothing, seed " << seed;
    EXPECT_FALSE(a.history.empty());
  }
}

struct Spoken {
  Mutant mutant;
  const char* checker;
  std::vector<std::string> others = {};  ///< that the same gap may turn red first, in another world
};
void PrintTo(const Spoken& s, std::ostream* out) {
  *out << to_string(s.mutant) << ": " << s.checker;
}
class EachChecker : public ::testing::TestWithParam<Spoken> {};

TEST_P(EachChecker, SpeaksWhenItsGuardIsGone) {
  const Spoken& wanted = GetParam();
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const Outcome outcome = play({.seed = seed, .mutant = wanted.mutant});
    if (outcome.checker == wanted.checker) return;
    if (outcome.checker.empty()) continue;
    ASSERT_NE(std::find(wanted.others.begin(), wanted.others.end(), outcome.checker), wanted.others.end())
        << "seed " << seed << ": " << outcome.checker << ": " << outcome.what;
  }
  ADD_FAILURE() << to_string(wanted.mutant) << " passed for 300 seeds";
}

INSTANTIATE_TEST_SUITE_P(
    Mutants, EachChecker,
    ::testing::Values(
        Spoken{Mutant::commits_late, "intent first"}, Spoken{Mutant::gate_ignores_cut, "after the end"},
        Spoken{Mutant::gate_ignores_lease, "deadline"}, Spoken{Mutant::gate_reopens, "after the end"},
        Spoken{Mutant::verify_blind, "closed means absent"}, Spoken{Mutant::list_blind, "eventually", {"never early"}},
        Spoken{Mutant::list_blind, "never early", {"eventually"}},
        Spoken{Mutant::revoke_sweeps, "touches only its own"}, Spoken{Mutant::audit_forgets, "one record per change"},
        Spoken{Mutant::audit_rewrites, "audit log"}, Spoken{Mutant::wrong_door, "crossing", {"useful again"}},
        Spoken{Mutant::hasty_clock, "never early", {"touches only its own"}}, Spoken{Mutant::frozen_clock, "time"},
        Spoken{Mutant::two_hands, "one hand"}, Spoken{Mutant::lost_job, "eventually"},
        Spoken{Mutant::lost_answer, "answered once", {"eventually", "useful again"}},
        Spoken{Mutant::undying_login, "after the end"}, Spoken{Mutant::late_validity, "deadline"},
        Spoken{Mutant::gate_dawdles, "progress", {"deadline"}}, Spoken{Mutant::idp_generous, "policy"},
        Spoken{Mutant::store_revives, "law"}, Spoken{Mutant::store_hides, "eventually"},
        Spoken{Mutant::idp_indulgent, "asked after"}, Spoken{Mutant::freeze_forgotten, "frozen", {"never early"}},
        Spoken{Mutant::target_sulks, "useful again"}, Spoken{Mutant::cut_needs_store, "cut first"}),
    [](const auto& info) {
      std::string name = std::string(to_string(info.param.mutant)) + "_" + info.param.checker;
      for (char& c : name)
        if (c == '-' || c == ' ') c = '_';
      return name;
    });

}  // namespace
}  // namespace daypass::sim
