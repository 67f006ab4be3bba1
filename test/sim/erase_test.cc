// Somebody who has gone is erased, in a world where only that breaks which a test breaks: what is said of them goes,
// what happened stays.
#include <gtest/gtest.h>

#include <string>

#include "sim/steady.h"
#include "store/audit_verify.h"

namespace daypass::sim {
namespace {

using base::Result;
using engine::PersonErased;

const core::TenantId tenant("default");

class Erasing : public Steady {
 protected:
  Erasing() : Steady(17) {}
  void SetUp() override { start_applied(); }

  Result<PersonErased> erase(const std::string& person) {
    return ask<PersonErased>([&](auto done) { engine().erase_person(tenant, person, "demo/admin", std::move(done)); });
  }
  /// Works, and is called as the log calls them.
  std::string works(std::size_t n) {
    work(n);
    const auto session = story.people[n].session;
    return session ? session->who.principal() : std::string();
  }
  void leaves(std::size_t n) {
    story.log_out(n, core::EndReason::logout);
    world.run_for(std::chrono::seconds(30));
  }
  std::vector<core::AuditEvent> log() {
    std::vector<core::AuditEvent> out;
    const auto reader = world.store.snapshot();
    for (const auto& record : *(*reader)->audit(tenant, 0, 10'000)) out.push_back(*core::audit_from_canonical(record));
    return out;
  }
  std::size_t naming(const std::string& person) {
    std::size_t out = 0;
    for (const auto& event : log()) out += core::names(event, person) ? 1U : 0U;
    return out;
  }
  std::string root() { return (*world.store.snapshot())->audit_head(tenant)->second; }
};

TEST_F(Erasing, WhatIsSaidOfThemGoesAndTheLogStaysWhole) {
  const std::string gone = works(0), stays = works(1);
  ASSERT_FALSE(gone.empty());
  ASSERT_NE(gone, stays);
  leaves(0);
  const auto before = log();
  const std::size_t others = naming(stays);
  ASSERT_GT(naming(gone), 5U);
  const auto done = erase(gone);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_GT(done->records, 5U);
  EXPECT_EQ(done->grants, 1U);
  EXPECT_GE(done->decisions, 1U);
  EXPECT_EQ(done->kept, 0U);
  EXPECT_TRUE(done->scrubbed);

  EXPECT_EQ(naming(gone), 0U);
  EXPECT_EQ(naming(stays), others) << "of nobody else";
  const auto after = log();
  ASSERT_EQ(after.size(), before.size() + 2) << "that it began, and that it is done";
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].action, before[i].action) << "what happened stays";
    EXPECT_EQ(after[i].object, before[i].object);
    EXPECT_EQ(after[i].at, before[i].at);
  }
  EXPECT_EQ(after[before.size()].action, "person.erasing");
  EXPECT_EQ(after.back().action, "person.erased");
  EXPECT_EQ(after.back().object, done->id);
  EXPECT_EQ(after.back().actor, "demo/admin");
  // Against the head that grew with what was appended: not one leaf is another.
  EXPECT_TRUE(store::verify_audit(**world.store.snapshot(), tenant).ok());
  store::Selector theirs;
  theirs.principal = gone;
  theirs.include_closed = true;
  EXPECT_TRUE((*world.store.snapshot())->grants(theirs)->empty());
  EXPECT_EQ(world.gate.forgotten.size(), 1U) << "and the activity of their connections";

  // Once more there is nothing left to do.
  EXPECT_EQ(check_of(erase(gone)), "person.unknown");
}

TEST_F(Erasing, WhoIsHereIsNotErased) {
  const std::string person = works(0);
  const std::size_t said = naming(person);
  EXPECT_EQ(check_of(erase(person)), "person.signed_in");
  // Out, but the account is not proven gone.
  bool away = true;
  world.servers.at("pg/orders").hooks.fault = [&away](const char*, const core::GrantId&) {
    return away ? Fault::refused : Fault::none;
  };
  story.log_out(0, core::EndReason::logout);
  world.run_for(std::chrono::seconds(5));
  EXPECT_EQ(check_of(erase(person)), "person.has_access");
  EXPECT_GE(naming(person), said);
  away = false;
  world.run_for(std::chrono::seconds(120));
  EXPECT_EQ(check_of(erase(person)), "ok");
}

TEST_F(Erasing, AnAdministratorGoesFromWhatTheyDidToOthers) {
  const std::string person = works(0);
  const auto grant = world.oracle.live_grants().at(0);
  world.oracle.wants_end(grant);
  const auto ended = ask<core::Grant>(
      [&](auto done) { engine().end_grant(grant, {}, core::EndReason::admin, "demo/boss", std::move(done)); });
  ASSERT_TRUE(ended.ok());
  world.run_for(std::chrono::seconds(30));
  ASSERT_GE(naming("demo/boss"), 1U);
  const std::size_t theirs = naming(person);
  const auto done = erase("demo/boss");
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(naming("demo/boss"), 0U);
  EXPECT_EQ(done->notes, 1U);
  EXPECT_EQ(world.store.grant(grant)->end_note, "") << "nor in what is kept of the grant";
  EXPECT_EQ(naming(person), theirs) << "whose grant it was stays";
  EXPECT_EQ(done->grants, 0U);
  EXPECT_TRUE(store::verify_audit(**world.store.snapshot(), tenant).ok());
}

TEST_F(Erasing, WhatLiesBesideTheStoreGoesFirst) {
  const std::string person = works(0);
  leaves(0);
  world.gate.keeps_files = true;
  EXPECT_EQ(check_of(erase(person)), "activity.files");
  store::Selector theirs;
  theirs.principal = person;
  theirs.include_closed = true;
  EXPECT_EQ((*world.store.snapshot())->grants(theirs)->size(), 1U) << "it says that there is something left";
  world.gate.keeps_files = false;
  EXPECT_EQ(check_of(erase(person)), "ok");
  EXPECT_EQ(world.gate.forgotten.size(), 1U);
}

TEST_F(Erasing, OneAtATime) {
  const std::string one = works(0), two = works(1);
  leaves(0);
  leaves(1);
  std::vector<std::string> answers;
  for (const auto& who : {one, two})
    engine().erase_person(tenant, who, "demo/admin",
                          [&](const Result<PersonErased>& r) { answers.push_back(check_of(r)); });
  world.run_for(std::chrono::seconds(2));
  EXPECT_EQ(answers, (std::vector<std::string>{"person.busy", "ok"}));
  EXPECT_EQ(check_of(erase(two)), "ok");
}

TEST_F(Erasing, WhoseFreezeHoldsIsNotErased) {
  const std::string person = works(0);
  leaves(0);
  world.oracle.freezing();
  ASSERT_TRUE(ask<engine::Frozen>([&](auto done) { engine().freeze(tenant, "drill", person, std::move(done)); }).ok());
  EXPECT_EQ(check_of(erase(person)), "person.froze");
  ASSERT_TRUE(ask<void>([&](auto done) { engine().thaw(tenant, person, std::move(done)); }).ok());
  EXPECT_EQ(check_of(erase(person)), "ok");
}

TEST_F(Erasing, ACrashInTheMiddleLeavesAWholeLogAndItGoesOn) {
  const std::string person = works(0);
  leaves(0);
  bool answered = false;
  engine().erase_person(tenant, person, "demo/admin", [&](const Result<PersonErased>&) { answered = true; });
  world.crash(std::chrono::seconds(1));
  world.run_for(std::chrono::seconds(5));
  EXPECT_FALSE(answered);
  EXPECT_TRUE(store::verify_audit(**world.store.snapshot(), tenant).ok());
  EXPECT_EQ(check_of(erase(person)), "ok");
  EXPECT_EQ(naming(person), 0U);
}

TEST_F(Erasing, APersonHasAName) {
  for (const std::string& bad : {std::string(), std::string("operator"), std::string("demo/\x1b[2J"),
                                 std::string("demo/\xff"), "demo/" + std::string(3000, 'x')})
    EXPECT_EQ(check_of(erase(bad)), "person.name") << bad.substr(0, 20);
  const std::size_t size = log().size();
  EXPECT_EQ(check_of(erase("demo/nobody")), "person.unknown");
  EXPECT_EQ(log().size(), size) << "who was asked for stands nowhere";
}

}  // namespace
}  // namespace daypass::sim
