// Audit records on their way to receivers, in a world where only those break.
#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <string>

#include "core/audit.h"
#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const core::TenantId tenant("default");

/// Takes what comes, or does not.
struct Inbox final : forward::Receiver {
  bool away = false;
  std::size_t calls = 0, largest = 0;
  std::vector<std::string> got;
  std::function<void()> taken;  ///< when it has a page
  base::Status deliver(const forward::Batch& batch, Millis) override {
    ++calls;
    if (away) return base::Error{base::Code::timeout, "forward.unreachable", "it is away"};
    EXPECT_EQ(core::audit_from_canonical(batch.records.front())->seq, batch.first);
    largest = std::max(largest, batch.records.size());
    for (const auto& record : batch.records) got.push_back(record);
    if (taken) taken();
    return {};
  }
  /// The numbers of what came, in the order in which it came.
  [[nodiscard]] std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> out;
    for (const auto& record : got) out.push_back(core::audit_from_canonical(record)->seq);
    return out;
  }
};

/// Receivers by name, that outlive what the engine makes of its settings.
struct Inboxes final : forward::Driver {
  std::map<std::string, std::shared_ptr<Inbox>> by_name;
  [[nodiscard]] base::Status validate(const core::ForwardSpec&) const override { return {}; }
  Result<std::shared_ptr<forward::Receiver>> make(const core::TenantId&, const core::ForwardSpec& spec) override {
    auto& inbox = by_name[spec.name];
    if (inbox == nullptr) inbox = std::make_shared<Inbox>();
    return std::shared_ptr<forward::Receiver>(inbox);
  }
};

std::vector<std::uint64_t> up_to(std::uint64_t size, std::uint64_t from = 0) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t i = from; i < size; ++i) out.push_back(i);
  return out;
}

class Forwarding : public Steady {
 protected:
  Forwarding() : Steady(31) { world.receivers = inboxes; }
  std::shared_ptr<Inboxes> inboxes = std::make_shared<Inboxes>();

  void SetUp() override {
    world.start();
    world.run_for(seconds(1));
  }
  static std::string table(const std::string& name, const std::string& more = "") {
    return "[[forward]]\nname = \"" + name + "\"\nurl = \"https://" + name +
           ".example/\"\nsecrets = [\"env:SIGNING\"]\n" + more + "\n";
  }
  void apply(const std::string& forwards) {
    auto files = PolicyText::files(0);
    files["forward.toml"] = forwards;
    world.oracle.wants_policy(0);
    const auto applied =
        ask<engine::Applied>([&](auto done) { engine().apply(tenant, files, "operator", false, std::move(done)); });
    ASSERT_TRUE(applied.ok()) << check_of(applied);
    for (const auto& problem : applied->problems) ADD_FAILURE() << problem.render();
    world.oracle.policy_applied(0);
  }
  Inbox& inbox(const std::string& name = "siem") { return *inboxes->by_name.at(name); }
  std::uint64_t size() {
    return ask<std::pair<std::uint64_t, std::string>>([&](auto done) { engine().audit_head(tenant, std::move(done)); })
        ->first;
  }
  engine::ForwardStatus status(const std::string& name = "siem") {
    const auto all =
        ask<std::vector<engine::ForwardStatus>>([&](auto done) { engine().forwards(tenant, std::move(done)); });
    for (const auto& one : *all)
      if (one.name == name) return one;
    return {};
  }
  void events(int n) {
    for (int i = 0; i < n; ++i)
      ASSERT_TRUE(ask<engine::SecretInfo>([&](auto done) {
                    engine().set_secret(tenant, "s" + std::to_string(i % 20), base::Secret("value"), "operator",
                                        std::move(done));
                  }).ok());
  }
};

TEST_F(Forwarding, EveryRecordComesOnceAndInOrder) {
  events(3);
  apply(table("siem"));
  events(20);
  world.run_for(seconds(5));
  EXPECT_EQ(inbox().numbers(), up_to(size()));
  const auto log = ask<std::vector<std::string>>([&](auto done) { engine().audit(tenant, 0, 1000, std::move(done)); });
  EXPECT_EQ(inbox().got, *log) << "to the byte";
  EXPECT_EQ(status().next, size());
  EXPECT_FALSE(status().behind_since);
  EXPECT_EQ(engine().metrics().forward_lag, 0);
  EXPECT_EQ(engine().metrics().forward_behind_since, 0);
  // A restart sends nothing again.
  world.crash(seconds(3));
  world.run_for(minutes(10));
  EXPECT_EQ(inbox().numbers(), up_to(size()));
}

TEST_F(Forwarding, OneThatIsAwayForADayLacksNothingAfterwards) {
  apply(table("siem"));
  world.run_for(seconds(5));
  inbox().away = true;
  const std::size_t before = inbox().calls;
  events(700);
  EXPECT_EQ(engine().metrics().forwards_failing, 1);
  world.run_for(hours(24));
  // Five minutes apart at most, a fifth less at least.
  EXPECT_GT(inbox().calls - before, 24U * 12U - 3U);
  EXPECT_LT(inbox().calls - before, 24U * 15U + 20U);
  const auto late = status();
  EXPECT_EQ(late.check, "forward.unreachable");
  EXPECT_GT(late.size - late.next, 700U - 1U);
  ASSERT_TRUE(late.behind_since && late.next_try);
  EXPECT_GT(engine().metrics().forward_lag, 699);
  EXPECT_EQ(engine().metrics().forward_behind_since, late.behind_since->time_since_epoch().count());
  inbox().away = false;
  world.run_for(minutes(6));
  EXPECT_EQ(inbox().numbers(), up_to(size()));
  EXPECT_EQ(inbox().largest, 500U) << "in pages";
  EXPECT_EQ(engine().metrics().forwards_failing, 0);
  EXPECT_EQ(engine().metrics().forward_lag, 0);
  EXPECT_EQ(status().failures, 0U);
}

TEST_F(Forwarding, NobodyWaitsForAnother) {
  apply(table("siem") + table("archive"));
  world.run_for(seconds(5));
  inbox("siem").away = true;
  events(10);
  world.run_for(seconds(2));
  EXPECT_EQ(inbox("archive").numbers(), up_to(size()));
  EXPECT_LT(status("siem").next, size());
}

TEST_F(Forwarding, WhatWasSentIsWrittenDownThoughTheStoreRefusesAtFirst) {
  apply(table("siem"));
  world.run_for(seconds(5));
  inbox().taken = [this] { world.fail_commits(1'000'000, "store.io"); };
  events(1);
  world.run_for(seconds(2));
  const std::size_t calls = inbox().calls;
  EXPECT_EQ(
      check_of(ask<engine::ForwardStatus>([&](auto done) { engine().retry_forward(tenant, "siem", std::move(done)); })),
      "store.io");
  world.run_for(minutes(2));
  EXPECT_EQ(inbox().calls, calls) << "no more, and not again, while it takes no cursor";
  inbox().taken = nullptr;
  world.fail_commits(0, "");
  world.run_for(seconds(5));
  events(1);
  world.run_for(seconds(5));
  EXPECT_EQ(inbox().numbers(), up_to(size()));
  EXPECT_EQ(status().next, size());
}

TEST_F(Forwarding, WhatWasSentAndNotWrittenDownIsSentAgain) {
  apply(table("siem"));
  world.run_for(seconds(5));
  const std::uint64_t known = size();
  ASSERT_EQ(inbox().got.size(), known);
  // The page leaves, and the store takes no cursor until the process dies.
  inbox().taken = [this] { world.fail_commits(1'000'000, "store.io"); };
  events(1);
  world.run_for(seconds(2));
  inbox().taken = nullptr;
  ASSERT_EQ(inbox().numbers(), up_to(known + 1));
  world.crash(seconds(1));
  world.fail_commits(0, "");
  world.run_for(minutes(1));
  // At least once, never with a gap, and what is doubled is at the seam.
  std::vector<std::uint64_t> expected = up_to(known + 1);
  for (const auto n : up_to(size(), known)) expected.push_back(n);
  EXPECT_EQ(inbox().numbers(), expected);
}

TEST_F(Forwarding, BeginsWhereItIsSaidAndForgetsWhatIsRemoved) {
  events(5);
  const std::uint64_t before = size();
  apply(table("siem", "from = \"now\""));
  events(2);
  world.run_for(seconds(5));
  EXPECT_EQ(inbox().numbers(), up_to(size(), before + 1)) << "behind the record of its own making";
  // The same name goes on where it was, whatever else changes.
  inbox().away = true;
  apply(table("siem", "format = \"ocsf\""));
  world.crash(seconds(1));
  world.run_for(seconds(10));
  inbox().away = false;
  world.run_for(minutes(1));
  EXPECT_EQ(inbox().numbers(), up_to(size(), before + 1));
  apply("");
  events(3);
  world.run_for(seconds(5));
  const std::size_t had = inbox().got.size();
  EXPECT_EQ(engine().metrics().forward_lag, 0);
  world.crash(seconds(1));
  world.run_for(minutes(1));
  EXPECT_EQ(inbox().got.size(), had);
  apply(table("siem"));
  world.run_for(seconds(5));
  EXPECT_EQ(inbox().got.size(), had + size()) << "from the first, as it is new";
}

TEST_F(Forwarding, ARetryIsTriedNow) {
  apply(table("siem"));
  world.run_for(seconds(5));
  inbox().away = true;
  events(1);
  world.run_for(hours(2));
  inbox().away = false;
  EXPECT_EQ(check_of(ask<engine::ForwardStatus>(
                [&](auto done) { engine().retry_forward(tenant, "nobody", std::move(done)); })),
            "forward.unknown");
  EXPECT_EQ(
      check_of(ask<engine::ForwardStatus>([&](auto done) { engine().retry_forward(tenant, "siem", std::move(done)); })),
      "ok");
  world.run_for(seconds(2));
  EXPECT_EQ(inbox().numbers(), up_to(size()));
}

TEST_F(Forwarding, TakesNoneOfTheRoomThatIsKept) {
  apply(table("siem"));
  world.run_for(seconds(5));
  inbox().away = true;
  events(1);
  const std::size_t calls = inbox().calls;
  ASSERT_GT(calls, 0U);
  world.store.room.low = world.store.room.reserve_used = true;
  inbox().away = false;
  world.run_for(minutes(5));
  EXPECT_EQ(inbox().calls, calls) << "each page would move a cursor";
  world.store.room = {};
  world.run_for(seconds(10));
  EXPECT_EQ(inbox().numbers(), up_to(size()));
}

TEST_F(Forwarding, ADeletedTenantSendsNothing) {
  apply(table("siem"));
  world.run_for(seconds(5));
  inbox().away = true;
  events(3);
  ASSERT_TRUE(
      ask<engine::TenantInfo>([&](auto done) { engine().delete_tenant(tenant, "operator", std::move(done)); }).ok());
  const std::size_t calls = inbox().calls;
  world.run_for(minutes(20));
  EXPECT_EQ(inbox().calls, calls);
  EXPECT_EQ(engine().metrics().forward_lag, 0);
  EXPECT_EQ(engine().metrics().forwards_failing, 0);
}

}  // namespace
}  // namespace daypass::sim
