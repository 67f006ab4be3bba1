// Checkpoints, proofs and receipts through the engine: when they are made, what is never signed, and that none of it
// stands in the way of a revocation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/ed25519.h"
#include "sim/steady.h"

namespace daypass::sim {
namespace {

using base::Result;
using std::chrono::minutes;
using std::chrono::seconds;

const core::TenantId tenant("default");

class Audited : public Steady {
 protected:
  Audited() : Steady(11) {}

  void SetUp() override {
    start_applied();
    ASSERT_NE(engine().tenant(tenant), nullptr);
  }

  Result<engine::AuditHead> last() {
    return ask<engine::AuditHead>([&](auto done) { engine().audit_checkpoint(tenant, std::move(done)); });
  }
  Result<engine::AuditHead> make() {
    return ask<engine::AuditHead>([&](auto done) { engine().checkpoint_audit(tenant, std::move(done)); });
  }
  Result<engine::AuditProof> prove(std::vector<std::uint64_t> indexes) {
    return ask<engine::AuditProof>(
        [&](auto done) { engine().prove_audit(tenant, std::move(indexes), std::move(done)); });
  }
  Result<engine::AuditConsistency> consistency(std::uint64_t from) {
    return ask<engine::AuditConsistency>([&](auto done) { engine().audit_consistency(tenant, from, std::move(done)); });
  }
  Result<engine::RevocationReceipt> receipt(const core::GrantId& id, std::optional<std::string> principal = {}) {
    return ask<engine::RevocationReceipt>([&](auto done) { engine().grant_receipt(id, principal, std::move(done)); });
  }
  std::uint64_t size() {
    return ask<std::pair<std::uint64_t, std::string>>([&](auto done) { engine().audit_head(tenant, std::move(done)); })
        ->first;
  }
  std::vector<std::string> records() {
    return *ask<std::vector<std::string>>([&](auto done) { engine().audit(tenant, 0, 100'000, std::move(done)); });
  }
  static tlog::NoteKey key_of(const engine::AuditHead& head) { return *tlog::NoteKey::parse(head.key); }
  static std::string verify(const engine::AuditHead& head) {
    const auto opened = tlog::open_checkpoint(head.checkpoint, key_of(head), crypto::ed25519_verify);
    if (!opened.ok()) return opened.error().check;
    return *opened == tlog::Checkpoint{head.origin, head.size, head.root} ? "ok" : "another head";
  }
  /// Signs in as `n` of the story's people and connects.
  core::Grant granted(std::size_t n) {
    story.sign_in(n);
    world.run_for(seconds(5));
    story.get_credential(n, "pg/orders", {}, {});
    world.run_for(Millis(100));
    story.connect(n);
    world.run_for(seconds(2));
    for (const auto& id : world.oracle.live_grants())
      if (world.store.grant(id)->session == story.people[n].session->id) return *world.store.grant(id);
    ADD_FAILURE() << "no grant";
    return {};
  }
  void end(const core::GrantId& id) {
    world.oracle.wants_end(id);
    (void)ask<core::Grant>(
        [&](auto done) { engine().end_grant(id, {}, core::EndReason::admin, "operator", std::move(done)); });
    world.run_for(seconds(5));
  }
};

TEST_F(Audited, ALogAtRestIsSignedAndNamesItsKey) {
  world.run_for(seconds(20));
  const auto head = last();
  ASSERT_TRUE(head.ok()) << check_of(head);
  EXPECT_EQ(head->size, size());
  EXPECT_EQ(verify(*head), "ok");
  EXPECT_EQ(head->origin, "daypass/sim001/default");
  const auto all = records();
  EXPECT_EQ(std::ranges::count_if(all,
                                  [&](const auto& r) {
                                    return r.find("audit.key_made") != std::string::npos &&
                                           r.find(head->key) != std::string::npos;
                                  }),
            1);
  // At rest nothing more is signed: what reconciling finds, and nothing else, is a reason to.
  const auto made = engine().metrics().checkpoints.load();
  world.run_for(minutes(10));
  EXPECT_LE(engine().metrics().checkpoints.load() - made, size() - head->size);
  EXPECT_EQ(engine().metrics().checkpoint_failures.load(), 0U);
}

TEST_F(Audited, ALogThatIsNeverAtRestIsSignedWithinAMinute) {
  world.run_for(seconds(20));
  const auto before = last();
  ASSERT_TRUE(before.ok()) << check_of(before);
  for (int i = 0; i < 45; ++i) {
    (void)ask<engine::SecretInfo>([&](auto done) {
      engine().set_secret(tenant, "busy", base::Secret("value " + std::to_string(i)), "operator", std::move(done));
    });
    world.run_for(seconds(1));
  }
  EXPECT_GT(last()->size, before->size);
}

TEST_F(Audited, OnDemandEveryRecordIsCovered) {
  EXPECT_EQ(check_of(last()), "audit.no_checkpoint");
  const auto first = make();
  ASSERT_TRUE(first.ok()) << check_of(first);
  EXPECT_EQ(first->size, size());
  EXPECT_EQ(verify(*first), "ok");
  const auto same = make();
  EXPECT_EQ(same->checkpoint, first->checkpoint) << "nothing new, nothing is signed";
  (void)granted(0);
  const auto second = make();
  EXPECT_EQ(second->size, size());
  EXPECT_EQ(second->key, first->key);
  EXPECT_EQ(
      ask<engine::AuditHead>([&](auto done) { engine().checkpoint_audit(core::TenantId("nobody"), std::move(done)); })
          .error()
          .check,
      "tenant.unknown");
}

TEST_F(Audited, EachRecordIsProven) {
  (void)granted(0);
  // Without a checkpoint one is made.
  const auto all = records();
  std::vector<std::uint64_t> indexes;
  for (std::uint64_t i = 0; i < all.size(); ++i) indexes.push_back(i);
  const auto proof = prove(indexes);
  ASSERT_TRUE(proof.ok()) << check_of(proof);
  const auto shown = engine::verify_proof(engine::to_json(*proof), *tlog::NoteKey::parse(proof->key));
  ASSERT_TRUE(shown.ok()) << check_of(shown);
  ASSERT_EQ(proof->records.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(proof->records[i].record, all[i]);
  EXPECT_EQ(check_of(prove({size()})), "audit.unknown_record");
  // One that came after the last checkpoint is covered by another.
  (void)granted(1);
  EXPECT_EQ(check_of(prove({size() - 1})), "ok");
}

TEST_F(Audited, AReceiptTellsOfCreationCutAndAbsence) {
  const core::Grant g = granted(0);
  EXPECT_EQ(check_of(receipt(g.id)), "receipt.not_closed");
  end(g.id);
  const auto r = receipt(g.id, "demo/ann");
  ASSERT_TRUE(r.ok()) << check_of(r);
  EXPECT_EQ(r->grant, g.id.id);
  EXPECT_EQ(r->principal, "demo/ann");
  EXPECT_EQ(r->account, g.account);
  EXPECT_EQ(r->end_reason, "admin");
  EXPECT_EQ(r->created_at, g.opened_at);
  EXPECT_LE(r->created_at, r->cut_at);
  EXPECT_LE(r->cut_at, r->verified_absent_at);
  const auto shown = engine::verify_proof(engine::to_json(*r), *tlog::NoteKey::parse(r->proof.key));
  EXPECT_TRUE(shown.ok() && shown->receipt) << check_of(shown);
  // Somebody else's is the same answer as none.
  EXPECT_EQ(check_of(receipt(g.id, "demo/bob")), "grant.unknown");
  EXPECT_EQ(check_of(receipt({tenant, "gr_" + std::string(26, 'a')})), "grant.unknown");
  EXPECT_EQ(check_of(receipt({core::TenantId("other"), g.id.id})), "tenant.unknown");
}

TEST_F(Audited, ARestartGoesOnFromWhatWasSigned) {
  (void)granted(0);
  const auto before = make();
  ASSERT_TRUE(before.ok());
  world.crash(seconds(1));
  world.run_for(seconds(30));
  const auto after = last();
  ASSERT_TRUE(after.ok()) << check_of(after);
  EXPECT_EQ(after->size, size()) << "what no checkpoint covered at the crash is covered without another record";
  EXPECT_EQ(after->key, before->key);
  const auto proof = consistency(before->size);
  ASSERT_TRUE(proof.ok()) << check_of(proof);
  EXPECT_TRUE(
      tlog::verify_consistency(before->size, before->root, proof->head.size, proof->head.root, proof->path).ok());
  EXPECT_EQ(check_of(consistency(size() + 1)), "audit.unknown_record");
  EXPECT_EQ(check_of(consistency(0)), "ok");
}

TEST_F(Audited, WhatIsStoredIsSignedOrNothing) {
  ASSERT_TRUE(make().ok());
  // A bit that flips between the hash and the disk.
  world.store.broken.rewrites_audit = true;
  const core::Grant g = granted(0);
  end(g.id);
  world.store.broken.rewrites_audit = false;
  const auto refused = make();
  EXPECT_TRUE(check_of(refused) == "audit.leaf" || check_of(refused) == "audit.root") << check_of(refused);
  const auto before = last();
  ASSERT_TRUE(before.ok()) << "the last good one stays";
  EXPECT_EQ(verify(*before), "ok");
  EXPECT_LT(before->size, size());
  EXPECT_GT(engine().metrics().checkpoint_failures.load(), 0U);
  // And it keeps nobody from losing their access.
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::closed);
}

TEST_F(Audited, ALogThatWasRewrittenWithItsHeadIsNotSignedAgain) {
  (void)granted(0);
  const auto good = make();
  world.store.rewrite(tenant, [](auto& log) {
    auto event = *core::audit_from_canonical(log[1]);
    event.actor = "nobody";
    log[1] = core::canonical(event);
  });
  EXPECT_EQ(check_of(prove({1})), "audit.tampered");
  EXPECT_EQ(check_of(prove({0})), "audit.tampered");
  EXPECT_EQ(check_of(consistency(2)), "audit.tampered");
  (void)granted(1);
  EXPECT_EQ(check_of(make()), "audit.root");
  EXPECT_EQ(last()->checkpoint, good->checkpoint);
}

TEST_F(Audited, ALogThatWasRolledBackIsNotSignedAgain) {
  (void)granted(0);
  const auto good = make();
  world.store.rewrite(tenant, [](auto& log) { log.pop_back(); });
  EXPECT_EQ(check_of(make()), "audit.rollback");
  EXPECT_EQ(last()->checkpoint, good->checkpoint);
}

TEST_F(Audited, ACheckpointThatWasTamperedWithIsNotContinued) {
  (void)granted(0);
  ASSERT_TRUE(make().ok());
  world.store.rewrite(tenant, "audit_checkpoint", "current", [](std::string& body) {
    auto value = *base::json::parse(body);
    std::string note = value.string_or("checkpoint");
    note[note.find('\n') + 1] = '9';
    value.as_object()->set("checkpoint", note);
    body = base::json::dump(value);
  });
  EXPECT_EQ(check_of(last()), "audit.tampered");
  EXPECT_EQ(check_of(make()), "audit.tampered");
}

TEST_F(Audited, AStoreThatRefusesDelaysASignatureAndNoRevocation) {
  const core::Grant g = granted(0);
  ASSERT_TRUE(make().ok());
  world.fail_commits(40, "store.full");
  world.oracle.wants_end(g.id);
  (void)ask<core::Grant>(
      [&](auto done) { engine().end_grant(g.id, {}, core::EndReason::admin, "operator", std::move(done)); });
  world.run_for(minutes(3));
  EXPECT_EQ(world.store.grant(g.id)->state, core::GrantState::closed);
  EXPECT_EQ(last()->size, size());
}

TEST_F(Audited, OfATenantThatIsBeingDeletedNothingIsKept) {
  const core::TenantId acme("acme");
  world.oracle.knows(acme);
  ASSERT_TRUE(
      ask<engine::TenantInfo>([&](auto done) { engine().create_tenant(acme, "", "operator", std::move(done)); }).ok());
  world.run_for(seconds(10));
  (void)ask<engine::TenantInfo>([&](auto done) { engine().delete_tenant(acme, "operator", std::move(done)); });
  EXPECT_EQ(check_of(ask<engine::AuditHead>([&](auto done) { engine().checkpoint_audit(acme, std::move(done)); })),
            "tenant.unknown");
  world.run_for(minutes(2));
  EXPECT_EQ(engine().metrics().checkpoint_failures.load(), 0U);
}

}  // namespace
}  // namespace daypass::sim
