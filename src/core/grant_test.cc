#include "core/grant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

namespace daypass::core {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const WallTime t0{std::chrono::sys_days(std::chrono::year(2026) / 11 / 24)};

Identity ann() {
  Identity who;
  who.tenant = TenantId("default");
  who.idp = "corp";
  who.subject = "ann";
  return who;
}

Decision allowed(Offers offers) {
  Decision d;
  d.verdict = Verdict::allow;
  RoleDecision role;
  role.role = RoleId("pg/orders/reader");
  role.verdict = Verdict::allow;
  role.offers = offers;
  d.roles = {role};
  d.offers = std::move(offers);
  d.policy_version = 3;
  d.record = "dc_1";
  return d;
}

const Offers two{{"long", minutes(20), minutes(5), 2}, {"wide", minutes(8), minutes(7), 4}};

Step opened(std::optional<Millis> wanted = {}, WallTime not_after = t0 + hours(12)) {
  return open_grant(GrantId{TenantId("default"), "gr_" + std::string(26, 'a')}, SessionId("ls_1"), ann(),
                    TargetId("pg/orders"), allowed(two), wanted, not_after, "dp_abc123_x", "sealed", t0);
}

template <class T>
const T* find(const Step& s) {
  for (const auto& e : s.effects)
    if (const auto* found = std::get_if<T>(&e)) return found;
  return nullptr;
}
std::size_t records(const Step& s) {
  return static_cast<std::size_t>(std::count_if(
      s.effects.begin(), s.effects.end(), [](const Effect& e) { return std::holds_alternative<effect::Record>(e); }));
}

Grant provisioning() {
  return opened().grant;
}
Grant active() {
  return step(provisioning(), event::Provisioned{1, "{}"}, t0 + seconds(1)).grant;
}
Grant extending() {
  return step(step(active(), event::Redecided{{{"long", minutes(10), minutes(5), 2}}, "", 4}, t0 + seconds(2)).grant,
              event::Tick{}, t0 + seconds(2))
      .grant;
}
Grant revoking() {
  return step(active(), event::End{EndReason::admin, "operator"}, t0 + seconds(3)).grant;
}
Grant verifying() {
  return step(revoking(), event::RevokeTried{2, true, {}}, t0 + seconds(4)).grant;
}
Grant closed() {
  return step(verifying(), event::Verified{3, Presence::absent, {}}, t0 + seconds(5)).grant;
}

TEST(OpenGrant, BeginsWithItsIntentAndItsRecord) {
  const Step s = opened();
  EXPECT_EQ(s.grant.state, GrantState::provisioning);
  EXPECT_TRUE(s.save);
  EXPECT_EQ(records(s), 1U);
  const auto* intent = find<effect::OpenIntent>(s);
  ASSERT_NE(intent, nullptr);
  EXPECT_EQ(intent->intent.kind, IntentKind::provision);
  EXPECT_EQ(intent->intent.seq, 1U);
  EXPECT_EQ(intent->intent.sealed_secret, "sealed");
  EXPECT_EQ(s.grant.ends_at, t0 + minutes(20)) << "the longest offer";
  EXPECT_EQ(s.grant.principal, "corp/ann");
}

TEST(OpenGrant, IsCutToWhatWasWantedAndToTheLogin) {
  EXPECT_EQ(opened(minutes(3)).grant.ends_at, t0 + minutes(3));
  EXPECT_EQ(opened(hours(9)).grant.ends_at, t0 + minutes(20));
  EXPECT_EQ(opened({}, t0 + minutes(2)).grant.ends_at, t0 + minutes(2));
}

// What each event makes of each state. "-" means that nothing changes.
struct Cell {
  const char* event;
  std::function<GrantEvent()> make;
  const char *provisioning, *active, *revoking, *verifying, *closed;
};

TEST(Step, Table) {
  const WallTime now = t0 + minutes(1);
  const std::vector<Cell> table{
      {"Provisioned 1", [] { return event::Provisioned{1, "h"}; }, "active", "-", "-", "-", "-"},
      {"Provisioned 9", [] { return event::Provisioned{9, "h"}; }, "-", "-", "-", "-", "-"},
      {"ProvisionFailed 1", [] { return event::ProvisionFailed{1, "pg.connect"}; }, "revoking", "-", "-", "-", "-"},
      {"ProvisionFailed 9", [] { return event::ProvisionFailed{9, "pg.connect"}; }, "-", "-", "-", "-", "-"},
      {"Extended 1", [] { return event::Extended{1}; }, "-", "-", "-", "-", "-"},
      {"ExtendFailed 1", [] { return event::ExtendFailed{1, "x"}; }, "-", "-", "-", "-", "-"},
      {"ExtendGranted",
       [] { return event::ExtendGranted{{{"more", hours(1), minutes(5), 2}}, t0 + minutes(40), "dc_2", 4}; }, "-",
       "active", "-", "-", "-"},
      {"ExtendGranted, none", [] { return event::ExtendGranted{{}, t0 + minutes(40), "dc_2", 4}; }, "-", "-", "-", "-",
       "-"},
      {"ExtendGranted, shorter", [] { return event::ExtendGranted{two, t0 + minutes(5), "dc_2", 4}; }, "-", "-", "-",
       "-", "-"},
      {"ConnectionOpened", [] { return event::ConnectionOpened{ConnectionId("cx_1"), "10.0.0.1:1"}; }, "-", "active",
       "-", "-", "-"},
      {"ConnectionClosed", [] { return event::ConnectionClosed{ConnectionId("cx_1"), "client"}; }, "-", "-", "-", "-",
       "-"},
      {"Redecided, same", [] { return event::Redecided{two, "", 3}; }, "-", "-", "-", "-", "-"},
      {"Redecided, less", [] { return event::Redecided{{{"long", minutes(10), minutes(5), 2}}, "", 4}; },
       "provisioning", "active", "-", "-", "-"},
      {"Redecided, none", [] { return event::Redecided{{}, "forbidden", 4}; }, "revoking", "revoking", "-", "-", "-"},
      {"Redecided, other facts", [] { return event::Redecided{two, "", 3, "dc_2"}; }, "provisioning", "active", "-",
       "-", "-"},
      {"Redecided, not after", [] { return event::Redecided{two, "", 3, "", t0 + minutes(4)}; }, "provisioning",
       "active", "-", "-", "-"},
      {"End", [] { return event::End{EndReason::user, ""}; }, "revoking", "revoking", "-", "-", "-"},
      {"RevokeTried 2 ok", [] { return event::RevokeTried{2, true, ""}; }, "-", "-", "revoking", "-", "-"},
      {"RevokeTried 2 failed", [] { return event::RevokeTried{2, false, "x"}; }, "-", "-", "revoking", "-", "-"},
      {"RevokeTried 0", [] { return event::RevokeTried{0, true, ""}; }, "-", "-", "-", "-", "-"},
      {"Verified 3 absent", [] { return event::Verified{3, Presence::absent, ""}; }, "-", "-", "-", "closed", "-"},
      {"Verified 3 present", [] { return event::Verified{3, Presence::present, ""}; }, "-", "-", "-", "revoking", "-"},
      {"Verified 3 unknown", [] { return event::Verified{3, Presence::unknown, "x"}; }, "-", "-", "-", "revoking", "-"},
      {"Verified 2 absent", [] { return event::Verified{2, Presence::absent, ""}; }, "-", "-", "-", "-", "-"},
      {"Tick", [] { return event::Tick{}; }, "-", "-", "-", "-", "-"},
      {"Activity", [] { return event::Activity{t0 + seconds(30)}; }, "-", "-", "-", "-", "-"},
      {"Recovered", [] { return event::Recovered{t0}; }, "-", "-", "-", "-", "-"},
  };
  for (const auto& row : table) {
    const std::pair<Grant, const char*> cells[] = {{provisioning(), row.provisioning},
                                                   {active(), row.active},
                                                   {revoking(), row.revoking},
                                                   {verifying(), row.verifying},
                                                   {closed(), row.closed}};
    for (const auto& [before, wanted] : cells) {
      const Step s = step(before, row.make(), now);
      const std::string where = std::string(row.event) + " in " + std::string(to_string(before.state));
      if (std::string_view(wanted) == "-") {
        EXPECT_FALSE(s.save) << where;
        EXPECT_TRUE(s.effects.empty()) << where;
        EXPECT_EQ(s.grant.state, before.state) << where;
        EXPECT_EQ(s.grant.ends_at, before.ends_at) << where;
        EXPECT_EQ(s.grant.open, before.open) << where;
      } else {
        EXPECT_TRUE(s.save) << where;
        EXPECT_EQ(to_string(s.grant.state), wanted) << where;
      }
    }
  }
}

TEST(Step, EveryEndCutsRecordsAndRevokes) {
  const Step s = step(active(), event::End{EndReason::logout, "corp/ann"}, t0 + minutes(1));
  ASSERT_NE(find<effect::Cut>(s), nullptr);
  EXPECT_EQ(find<effect::Cut>(s)->reason, EndReason::logout);
  ASSERT_NE(find<effect::OpenIntent>(s), nullptr);
  EXPECT_EQ(find<effect::OpenIntent>(s)->intent.kind, IntentKind::revoke);
  EXPECT_TRUE(find<effect::OpenIntent>(s)->intent.sealed_secret.empty()) << "taking away needs no secret";
  ASSERT_NE(find<effect::Record>(s), nullptr);
  EXPECT_EQ(find<effect::Record>(s)->action, "grant.ended");
  EXPECT_EQ(s.grant.revoking_since, t0 + minutes(1));
  EXPECT_EQ(s.grant.end_reason, EndReason::logout);
}

TEST(Step, LateSuccessOfAProvisionDoesNotBringItBack) {
  const Grant ended = step(provisioning(), event::End{EndReason::admin, ""}, t0 + seconds(1)).grant;
  const Step late = step(ended, event::Provisioned{1, "h"}, t0 + seconds(2));
  EXPECT_EQ(late.grant.state, GrantState::revoking);
  EXPECT_FALSE(late.save);
}

TEST(Step, AShorterEndReachesAnAccountInTheMaking) {
  const Step s = step(provisioning(), event::Redecided{{{"long", minutes(2), minutes(5), 2}}, "", 4}, t0 + seconds(1));
  EXPECT_EQ(s.grant.ends_at, t0 + minutes(2));
  ASSERT_NE(find<effect::OpenIntent>(s), nullptr) << "the provision under way carries the later end";
  EXPECT_EQ(find<effect::OpenIntent>(s)->intent.kind, IntentKind::provision);
  EXPECT_EQ(find<effect::OpenIntent>(s)->intent.seq, 2U);
  EXPECT_FALSE(step(s.grant, event::Provisioned{1, "h"}, t0 + seconds(2)).save) << "its result is stale";
  EXPECT_EQ(step(s.grant, event::Provisioned{2, "h"}, t0 + seconds(2)).grant.state, GrantState::active);
}

TEST(Step, TheLoginsEndBoundsTheGrantsAndTheTargetIsTold) {
  const Grant g = active();
  const Step s = step(g, event::Redecided{g.offers, "", g.policy_version, "dc_2", t0 + minutes(4)}, t0 + seconds(9));
  EXPECT_EQ(s.grant.ends_at, t0 + minutes(4));
  EXPECT_EQ(s.grant.decision_record, "dc_2") << "what later decides it again";
  ASSERT_NE(find<effect::OpenIntent>(s), nullptr);
  EXPECT_EQ(find<effect::OpenIntent>(s)->intent.kind, IntentKind::extend);
  EXPECT_NE(find<effect::UpdateLease>(s), nullptr);
  const Step later =
      step(s.grant, event::Redecided{g.offers, "", g.policy_version, "", t0 + minutes(50)}, t0 + seconds(9));
  EXPECT_FALSE(later.save) << "never longer again";
}

TEST(Step, AShorterEndReachesALiveAccount) {
  const Grant g = extending();
  EXPECT_EQ(g.open, IntentKind::extend);
  EXPECT_EQ(g.ends_at, t0 + minutes(10));
  const Step failed = step(g, event::ExtendFailed{g.intent_seq, "pg.timeout"}, t0 + seconds(9));
  ASSERT_NE(find<effect::OpenIntent>(failed), nullptr) << "it must be told";
  EXPECT_EQ(records(failed), 1U) << "once in the log";
  EXPECT_EQ(records(step(failed.grant, event::ExtendFailed{failed.grant.intent_seq, "pg.timeout"}, t0 + seconds(9))),
            0U);
  EXPECT_EQ(find<effect::OpenIntent>(failed)->intent.not_before, t0 + seconds(9) + backoff(1));
  EXPECT_FALSE(step(failed.grant, event::Extended{failed.grant.intent_seq}, t0 + seconds(10)).grant.open.has_value());
}

TEST(Step, ExtensionStopsAtWhatTheOffersCover) {
  const Step s = step(active(), event::ExtendGranted{{{"more", minutes(30), minutes(5), 2}}, t0 + hours(5), "dc_2", 4},
                      t0 + minutes(1));
  EXPECT_EQ(s.grant.ends_at, t0 + minutes(30));
  EXPECT_EQ(s.grant.decision_record, "dc_2");
  EXPECT_NE(find<effect::UpdateLease>(s), nullptr);
}

TEST(Step, RevocationNeverGivesUp) {
  Grant g = revoking();
  WallTime now = t0 + minutes(1);
  for (std::uint32_t i = 1; i <= 200; ++i) {
    const Step s = step(g, event::RevokeTried{g.intent_seq, false, "pg.connect"}, now);
    ASSERT_NE(find<effect::OpenIntent>(s), nullptr);
    EXPECT_EQ(find<effect::OpenIntent>(s)->intent.kind, IntentKind::revoke);
    EXPECT_EQ(find<effect::OpenIntent>(s)->intent.attempt, i);
    EXPECT_LE(find<effect::OpenIntent>(s)->intent.not_before, now + seconds(60));
    now += seconds(60);
    g = s.grant;
  }
}

TEST(Step, ClosedHoldsNoSecret) {
  EXPECT_TRUE(closed().sealed_secret.empty());
  EXPECT_FALSE(closed().open.has_value());
}

TEST(Tick, EndsByIdlenessOrAgeAndSaysWhich) {
  const Grant g = active();  // last active at 1 s; "wide" gives 7 min of idleness until minute 8
  EXPECT_FALSE(step(g, event::Tick{}, t0 + seconds(1) + minutes(7) - milliseconds(1)).save);
  const Step idle = step(g, event::Tick{}, t0 + seconds(1) + minutes(7));
  EXPECT_EQ(idle.grant.end_reason, EndReason::idle);
  Grant busy = g;
  for (int m = 1; m < 20; ++m) {
    busy = step(busy, event::Activity{t0 + minutes(m)}, t0 + minutes(m)).grant;
    EXPECT_FALSE(step(busy, event::Tick{}, t0 + minutes(m)).save) << m;
  }
  const Step aged = step(busy, event::Tick{}, t0 + minutes(20));
  EXPECT_EQ(aged.grant.end_reason, EndReason::expired);
}

TEST(Tick, ConnectionsThatNoOfferCoversEndIt) {
  Grant g = active();
  g.connections = 3;  // only "wide" covers three, until minute 8
  EXPECT_FALSE(step(g, event::Tick{}, t0 + minutes(7)).save);
  g.last_active = t0 + minutes(8);
  EXPECT_TRUE(step(g, event::Tick{}, t0 + minutes(8)).save);
  g.connections = 5;
  EXPECT_TRUE(step(g, event::Tick{}, t0 + seconds(2)).save) << "no offer covers five";
  EXPECT_EQ(next_tick(g), WallTime{}) << "at once";
}

TEST(Activity, NeverLiesInTheFuture) {
  const Grant g = step(active(), event::Activity{t0 + hours(3)}, t0 + minutes(2)).grant;
  EXPECT_EQ(g.last_active, t0 + minutes(2));
  EXPECT_EQ(step(g, event::Activity{t0}, t0 + minutes(3)).grant.last_active, t0 + minutes(2)) << "nor goes back";
}

TEST(Admits, CountsOneMoreThanThereAre) {
  Grant g = active();
  EXPECT_FALSE(admits(provisioning(), t0));
  EXPECT_FALSE(admits(revoking(), t0));
  g.connections = 3;
  EXPECT_TRUE(admits(g, t0 + minutes(1)));
  EXPECT_FALSE(admits(g, t0 + minutes(8))) << "the offer with four connections is over";
  g.connections = 4;
  EXPECT_FALSE(admits(g, t0 + minutes(1)));
}

TEST(Recovered, LosesItsConnectionsAndCountsAsActivityFromTheStartOn) {
  Grant g = active();
  g.connections = 2;
  const Step s = step(g, event::Recovered{t0 + minutes(4)}, t0 + minutes(6));
  EXPECT_EQ(s.grant.connections, 0);
  EXPECT_EQ(s.grant.last_active, t0 + minutes(4)) << "not from when somebody asked for it";
  EXPECT_EQ(records(s), 1U);
  EXPECT_EQ(s.grant.ends_at, g.ends_at);
  const Step again = step(s.grant, event::Recovered{t0 + minutes(4)}, t0 + minutes(7));
  EXPECT_FALSE(again.save);
  EXPECT_EQ(again.grant.last_active, t0 + minutes(4));
  EXPECT_EQ(step(g, event::Recovered{t0 + hours(9)}, t0 + minutes(6)).grant.last_active, t0 + minutes(6));
}

// What is known of a grant in the store must not let it sleep past its time, whenever the process starts.
TEST(Wake, IsNeverLaterThanTheGrantIsDue) {
  std::mt19937 random(7);
  const auto upto = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  int quiet = 0;
  for (int round = 0; round < 20'000; ++round) {
    Grant g = active();
    g.offers.clear();
    for (int i = upto(3); i >= 0; --i) g.offers.push_back({"p", seconds(upto(900)), seconds(upto(300)), upto(3)});
    g.ends_at = t0 + seconds(upto(900));
    g.last_active = t0 + seconds(upto(500));
    const Wake wake = wake_of(g);
    ASSERT_TRUE(wake.settled);
    const WallTime started = g.last_active + seconds(upto(500));
    const Grant after = step(g, event::Recovered{started}, started + seconds(upto(50))).grant;
    const auto due = next_tick(after);
    ASSERT_TRUE(due.has_value());
    ASSERT_LE(std::min(wake.at, started + wake.idle), *due);
    // With one offer, and by far the most grants have one, it is the very time.
    if (g.offers.size() != 1) continue;
    ASSERT_EQ(std::min(wake.at, started + wake.idle), *due);
    ++quiet;
  }
  EXPECT_GT(quiet, 1000);
}

TEST(Wake, IsAtOnceWhereSomethingWasCutOff) {
  EXPECT_EQ(wake_of(provisioning()), Wake{});
  EXPECT_EQ(wake_of(revoking()), Wake{});
  Grant g = active();
  g.connections = 1;
  EXPECT_EQ(wake_of(g), (Wake{{}, {}, true}));
  g.connections = 0;
  g.open = IntentKind::extend;
  EXPECT_EQ(wake_of(g), Wake{});
}

TEST(Backoff, IsCappedAtAMinute) {
  EXPECT_EQ(backoff(0), Millis(0));
  EXPECT_EQ(backoff(1), milliseconds(500));
  EXPECT_EQ(backoff(2), seconds(1));
  for (std::uint32_t n = 1; n < 100; ++n) EXPECT_LE(backoff(n), seconds(60)) << n;
  EXPECT_EQ(backoff(8), seconds(60));
  EXPECT_EQ(backoff(UINT32_MAX), seconds(60));
}

TEST(AccountName, FitsPostgresAndNamesTheGrant) {
  const std::string name = account_name("abc123", provisioning().id);
  EXPECT_EQ(name, "dp_abc123_" + std::string(26, 'a'));
  EXPECT_LE(name.size(), 63U);
}

TEST(GrantJson, ReadsBackWhatItWrote) {
  Grant odd = extending();
  odd.end_note = "üñ\"\\";
  odd.sealed_secret = std::string("\x00\xff\x01", 3);
  for (const Grant& g : {provisioning(), active(), odd, revoking(), verifying(), closed()}) {
    const auto back = grant_from_json(to_json(g));
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(*back, g);
    const auto text = base::json::parse(base::json::dump(to_json(g)));
    ASSERT_TRUE(text.ok());
    EXPECT_EQ(*grant_from_json(*text), g);
  }
}

TEST(GrantJson, RefusesWhatIsDamaged) {
  for (const char* member : {"v", "tenant", "id", "target", "roles", "offers", "state", "end_reason", "opened_at",
                             "ends_at", "last_active"}) {
    base::json::Value v = to_json(active());
    v.as_object()->erase(member);
    EXPECT_FALSE(grant_from_json(v).ok()) << member;
    v.as_object()->set(member, true);
    EXPECT_FALSE(grant_from_json(v).ok()) << member;
  }
}

// -- properties over random lives
// ---------------------------------------------------------------------------------------

class RandomLives : public ::testing::Test {
 protected:
  std::mt19937 rng{12345};
  int pick(int n) { return static_cast<int>(rng() % static_cast<unsigned>(n)); }
  Offers offers() {
    Offers out;
    for (int i = pick(3); i >= 0; --i)
      out.push_back({"p" + std::to_string(i), minutes(1 + pick(40)), minutes(1 + pick(10)), 1 + pick(4)});
    return out;
  }
  GrantEvent any(const Grant& g, WallTime now) {
    const std::uint32_t seq = pick(4) == 0 ? static_cast<std::uint32_t>(pick(6)) : g.intent_seq;
    switch (pick(14)) {
      case 0:
        return event::Provisioned{seq, "h"};
      case 1:
        return event::ProvisionFailed{seq, "x"};
      case 2:
        return event::ExtendGranted{pick(5) == 0 ? Offers{} : offers(), now + minutes(pick(60)), "dc_2", 4};
      case 3:
        return event::Extended{seq};
      case 4:
        return event::ExtendFailed{seq, "x"};
      case 5:
        return event::ConnectionOpened{ConnectionId("cx_1"), "p"};
      case 6:
        return event::ConnectionClosed{ConnectionId("cx_1"), "client"};
      case 7:
        return event::Activity{now + seconds(pick(600) - 500)};
      case 8:
        return event::Redecided{pick(6) == 0 ? Offers{} : combine(g.offers, offers()), "n", 5};
      case 9:
        return event::End{static_cast<EndReason>(1 + pick(9)), "n"};
      case 10:
        return event::RevokeTried{seq, pick(2) == 0, "x"};
      case 11:
        return event::Verified{seq, static_cast<Presence>(pick(3)), "x"};
      case 12:
        return event::Tick{};
      default:
        return event::Recovered{};
    }
  }
};

TEST_F(RandomLives, KeepTheLaw) {
  int closings = 0, extensions = 0;
  for (int life = 0; life < 3000; ++life) {
    Grant g = opened().grant;
    WallTime now = t0;
    for (int i = 0; i < 40; ++i) {
      now += seconds(pick(90));
      const GrantEvent e = any(g, now);
      const Step s = step(g, e, now);
      const Grant& after = s.grant;
      ASSERT_TRUE(step(g, e, now).grant == after) << "a function of its arguments";
      if (after.ends_at > g.ends_at) {
        ++extensions;
        ASSERT_TRUE(std::holds_alternative<event::ExtendGranted>(e)) << "only an extension lengthens";
        ASSERT_LE(after.ends_at, g.opened_at + longest(after.offers));
      }
      ASSERT_GE(static_cast<int>(after.state), static_cast<int>(g.state)) << "no way back";
      if (after.state == GrantState::closed && g.state != GrantState::closed) {
        ++closings;
        const auto* seen = std::get_if<event::Verified>(&e);
        ASSERT_TRUE(seen != nullptr && seen->presence == Presence::absent && g.state == GrantState::revoking);
      }
      if (g.state != GrantState::revoking && after.state == GrantState::revoking)
        ASSERT_NE(find<effect::Cut>(s), nullptr) << "every end cuts";
      if (after.state == GrantState::revoking)
        ASSERT_TRUE(after.open == IntentKind::revoke || after.open == IntentKind::verify) << "somebody is at it";
      if (after.state == GrantState::closed) ASSERT_FALSE(after.open.has_value());
      if (after.state == GrantState::provisioning) ASSERT_EQ(after.open, IntentKind::provision);
      if (const auto* open = find<effect::OpenIntent>(s)) {
        ASSERT_TRUE(s.save);
        ASSERT_GT(after.intent_seq, g.intent_seq);
        ASSERT_TRUE(open->intent.seq > g.intent_seq);
      }
      if (!s.save) {
        ASSERT_TRUE(s.effects.empty());
        Grant same = after;
        same.last_active = g.last_active;
        ASSERT_TRUE(same == g) << "nothing durable changes without a save";
      }
      ASSERT_EQ(after.session, g.session);
      ASSERT_EQ(after.roles, g.roles);
      ASSERT_GE(after.connections, 0);
      ASSERT_LE(after.last_active, now);
      g = after;
    }
  }
  EXPECT_GT(closings, 100);
  EXPECT_GT(extensions, 100);
}

TEST_F(RandomLives, NoTickComesAfterTheEnd) {
  for (int i = 0; i < 5000; ++i) {
    Grant g = active();
    g.offers = offers();
    g.connections = pick(5);
    g.ends_at = g.opened_at + seconds(1 + pick(3000));
    g.last_active = g.opened_at + seconds(pick(3000));
    const auto tick = next_tick(g);
    ASSERT_TRUE(tick.has_value());
    ASSERT_LE(*tick, g.ends_at);
    ASSERT_TRUE(step(g, event::Tick{}, *tick).save) << "at its tick it ends";
    if (*tick > WallTime{}) ASSERT_FALSE(step(g, event::Tick{}, *tick - milliseconds(1)).save) << "and not before";
  }
}

}  // namespace
}  // namespace daypass::core
