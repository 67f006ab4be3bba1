// Accounts that nobody answers for, in a world where only that breaks which a test breaks.
#include <gmock/gmock.h>

#include <algorithm>
#include <string>

#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using engine::Orphans;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const core::TenantId tenant("default");
const std::string unknown = "dp_sim001_" + std::string(26, 'o'), other = "dp_simold_" + std::string(26, 'f'),
                  homeless = "dp_sim001_" + std::string(26, 't');

class OrphanSearch : public Steady {
 protected:
  OrphanSearch() : Steady(11) {}

  void SetUp() override { start_applied(); }
  Result<Orphans> search(bool fix = false, std::optional<core::TenantId> of = {}) {
    if (fix) world.oracle.fixing_orphans();
    return ask<Orphans>([&](auto done) { engine().orphans(of, fix, "operator", std::move(done)); });
  }
  /// "name kind", with what became of it.
  static std::vector<std::string> at(const Result<Orphans>& found, const std::string& target) {
    std::vector<std::string> out;
    if (!found.ok()) return {check_of(found)};
    for (const auto& t : found->targets) {
      if (t.target.str() != target) continue;
      if (!t.unreachable.empty()) out.push_back("unreachable: " + t.unreachable);
      for (const auto& a : t.accounts)
        out.push_back(a.name + " " + std::to_string(static_cast<int>(a.kind)) + (a.removed ? " removed" : "") +
                      (a.left.empty() ? "" : " left: " + a.left));
    }
    return out;
  }
  std::vector<std::string> recorded(const std::string& action) {
    std::vector<std::string> out;
    const auto reader = world.store.snapshot();
    const auto records = (*reader)->audit(tenant, 0, 10'000);
    for (const auto& record : *records) {
      const auto parsed = base::json::parse(record);
      if (parsed.ok() && parsed->string_or("action") == action)
        out.push_back(parsed->string_or("actor") + " " + parsed->string_or("object"));
    }
    return out;
  }
  ModelServer& orders() { return world.servers.at("pg/orders"); }
  core::Grant granted() {
    work(0);
    return *world.store.grant(world.oracle.live_grants().at(0));
  }
  /// Made by a process that this store knows nothing of any more: its grant is closed, and it is there.
  core::Grant left_behind() {
    const core::GrantId id = granted().id;
    world.oracle.wants_end(id);
    EXPECT_TRUE(ask<core::Grant>([&](auto done) {
                  engine().end_grant(id, {}, core::EndReason::admin, "operator", std::move(done));
                }).ok());
    world.run_for(seconds(10));
    const core::Grant closed = *world.store.grant(id);
    EXPECT_EQ(closed.state, core::GrantState::closed);
    plant(closed, world.orphan_until());
    return closed;
  }
  void plant(const core::Grant& grant, base::WallTime until) {
    orders().accounts[grant.account] = {grant.account, "sim001", grant.id, until, true, {}};
  }
};

TEST_F(OrphanSearch, ListsWhatNobodyAnswersForAndTouchesNothing) {
  const core::Grant grant = granted();
  const auto before = orders().accounts;
  const auto found = search();
  ASSERT_TRUE(found.ok()) << check_of(found);
  EXPECT_THAT(at(found, "pg/orders"), UnorderedElementsAre(unknown + " 0", homeless + " 0", other + " 3"));
  EXPECT_EQ(found->targets.size(), 2U);
  EXPECT_EQ(orders().accounts, before);
  EXPECT_TRUE(before.contains(grant.account)) << "and an open grant's account is none";
  EXPECT_EQ(check_of(search(false, core::TenantId("nobody"))), "tenant.unknown");
  EXPECT_EQ(search(false, tenant)->targets.size(), 2U);
}

TEST_F(OrphanSearch, TakesAwayWhatIsOursRecordsItBeforeAndLooksAfterwards) {
  const core::Grant closed = left_behind();
  const core::Grant open = granted();
  ASSERT_NE(open.id, closed.id);
  EXPECT_THAT(at(search(), "pg/orders"),
              UnorderedElementsAre(unknown + " 0", homeless + " 0", closed.account + " 1", other + " 3"));
  EXPECT_THAT(recorded("orphan.removed"), IsEmpty());
  const auto fixed = search(true);
  EXPECT_THAT(at(fixed, "pg/orders"), UnorderedElementsAre(unknown + " 0 removed", homeless + " 0 removed",
                                                           closed.account + " 1 removed", other + " 3"));
  EXPECT_FALSE(orders().accounts.contains(unknown) || orders().accounts.contains(closed.account));
  EXPECT_TRUE(orders().accounts.contains(open.account) && orders().accounts.contains(other) &&
              orders().accounts.contains("app_owner"));
  EXPECT_THAT(recorded("orphan.removing"), ::testing::Contains("operator " + closed.account));
  EXPECT_THAT(recorded("orphan.removed"), ::testing::Contains("operator " + closed.account));
  EXPECT_THAT(at(search(), "pg/orders"), ElementsAre(other + " 3"));
}

TEST_F(OrphanSearch, WhatIsNotProvenGoneIsLeft) {
  orders().hooks.fault = [](const char* call, const core::GrantId&) {
    return std::string_view(call) == "revoke" ? Fault::lie : Fault::none;
  };
  const auto fixed = search(true, tenant);
  EXPECT_THAT(at(fixed, "pg/orders"),
              ::testing::Contains(HasSubstr(unknown + " 0 left: it was taken away, and is still")));
  EXPECT_THAT(recorded("orphan.removing"), ::testing::Contains("operator " + unknown));
  // The other target does as it is told.
  EXPECT_THAT(at(fixed, "pg/stock"), ::testing::Contains(unknown + " 0 removed"));
}

TEST_F(OrphanSearch, ATargetThatDoesNotAnswerIsSaid) {
  orders().hooks.fault = [](const char*, const core::GrantId&) { return Fault::refused; };
  const auto found = search(true);
  EXPECT_THAT(at(found, "pg/orders"), ElementsAre(HasSubstr("unreachable: ")));
  EXPECT_TRUE(orders().accounts.contains(unknown));
  EXPECT_THAT(at(found, "pg/stock"), ::testing::Contains(unknown + " 0 removed"));
}

TEST_F(OrphanSearch, NothingIsTakenAwayThatIsNotRecorded) {
  // It was looked for while the store still took everything.
  orders().hooks.fault = [this](const char* call, const core::GrantId&) {
    if (std::string_view(call) == "list") world.fail_commits(1'000'000, "store.full");
    return Fault::none;
  };
  const auto fixed = search(true, tenant);
  orders().hooks.fault = [](const char*, const core::GrantId&) { return Fault::none; };
  world.fail_commits(0, "");
  EXPECT_TRUE(orders().accounts.contains(unknown));
  EXPECT_THAT(at(fixed, "pg/orders"), ::testing::Contains(HasSubstr(unknown + " 0 left: ")));
  world.run_for(seconds(5));
  EXPECT_TRUE(orders().accounts.contains(unknown)) << "nor later";
}

// Nobody asks for it here: reconciliation finds it, and tries again every few minutes.
TEST_F(OrphanSearch, WhatCanNotBeTakenAwayIsRecordedOnceUntilItGoesOrChanges) {
  const core::Grant closed = left_behind();
  const auto times = [&](const std::string& action) {
    const auto all = recorded(action);
    return std::count(all.begin(), all.end(), "daypass " + closed.account);
  };
  int tries = 0;
  bool stuck = true;
  orders().hooks.fault = [&](const char* call, const core::GrantId& id) {
    if (std::string_view(call) != "revoke" || id != closed.id) return Fault::none;
    ++tries;
    EXPECT_GT(times("orphan.removing"), times("orphan.removed")) << "recorded before it is tried";
    return stuck ? Fault::refused : Fault::none;
  };
  const auto passes = [&] { world.run_for(std::chrono::minutes(10)); };
  passes();
  EXPECT_GE(tries, 3);
  EXPECT_EQ(times("orphan.removing"), 1);
  world.crash(seconds(1));
  passes();
  EXPECT_GE(tries, 6) << "a restart tries it again";
  EXPECT_EQ(times("orphan.removing"), 1);
  plant(closed, world.orphan_until() + std::chrono::hours(1));
  passes();
  EXPECT_EQ(times("orphan.removing"), 2) << "it is another one now";
  EXPECT_EQ(times("orphan.removed"), 0);
  stuck = false;
  for (int i = 0; i < 600 && times("orphan.removed") == 0; ++i) world.run_for(seconds(1));
  EXPECT_EQ(times("orphan.removing"), 2);
  EXPECT_EQ(times("orphan.removed"), 1);
  EXPECT_FALSE(orders().accounts.contains(closed.account));
  plant(closed, world.orphan_until() + std::chrono::hours(1));
  passes();
  EXPECT_EQ(times("orphan.removing"), 3) << "it came back, before anybody looked again";
  EXPECT_EQ(times("orphan.removed"), 2);
  // It comes back, and goes before it could be taken away.
  stuck = true;
  plant(closed, world.orphan_until() + std::chrono::hours(1));
  passes();
  EXPECT_EQ(times("orphan.removing"), 4);
  orders().accounts.erase(closed.account);
  passes();
  plant(closed, world.orphan_until() + std::chrono::hours(1));
  passes();
  EXPECT_EQ(times("orphan.removing"), 5) << "nothing is remembered of what is not there";
}

}  // namespace
}  // namespace daypass::sim
