#include "engine/audit_proof.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/ed25519.h"
#include "engine/audit_test_support.h"

namespace daypass::engine {
namespace {

using test::Signer;

namespace json = base::json;

core::AuditEvent event(std::uint64_t seq, std::string action, json::Object facts = {}, std::string object = "gr_a") {
  core::AuditEvent out;
  out.seq = seq;
  out.at = base::WallTime(base::Seconds(1'800'000'000 + static_cast<std::int64_t>(seq)));
  out.tenant = core::TenantId("north");
  out.actor = "corp/ann";
  out.action = std::move(action);
  out.object = std::move(object);
  out.outcome = "ok";
  out.facts = std::move(facts);
  return out;
}

/// A log in which one grant lives and dies.
class Receipts : public testing::Test {
 protected:
  Receipts() {
    const json::Object who{{"principal", "corp/ann"}, {"target", "pg/orders"}};
    json::Object ended = who, closed = who;
    ended.set("reason", "logout");
    closed.set("account", "dp_x_a");
    closed.set("verified", "absent");
    log = {event(0, "tenant.created"),           event(1, "grant.opened", who),    event(2, "grant.active", who),
           event(3, "grant.ended", ended),       event(4, "grant.closed", closed), event(5, "login.ended"),
           event(6, "grant.opened", who, "gr_b")};
  }
  AuditProof prove(const std::vector<std::uint64_t>& indexes) const {
    std::vector<tlog::Hash> leaves;
    for (const auto& e : log) leaves.push_back(tlog::leaf_hash(core::canonical(e)));
    AuditProof out{{}, signer.head(leaves.size(), tlog::root_of(leaves)), signer.key.text()};
    for (const auto i : indexes) out.records.push_back({i, core::canonical(log[i]), tlog::inclusion_proof(leaves, i)});
    return out;
  }
  std::string check_of(const json::Value& text) const {
    const auto shown = verify_proof(text, signer.key);
    return shown.ok() ? "ok" : shown.error().check;
  }
  std::string check_of_receipt(const std::vector<std::uint64_t>& indexes) const {
    const auto receipt = receipt_of(prove(indexes));
    return receipt.ok() ? "ok" : receipt.error().check;
  }

  Signer signer{"daypass/abc123/north"};
  std::vector<core::AuditEvent> log;
};

TEST_F(Receipts, SayWhatTheRecordsSayAndVerify) {
  const auto receipt = receipt_of(prove({1, 3, 4}));
  ASSERT_TRUE(receipt.ok()) << receipt.error().message;
  EXPECT_EQ(receipt->grant, "gr_a");
  EXPECT_EQ(receipt->principal, "corp/ann");
  EXPECT_EQ(receipt->target, "pg/orders");
  EXPECT_EQ(receipt->account, "dp_x_a");
  EXPECT_EQ(receipt->end_reason, "logout");
  EXPECT_EQ(receipt->created_at, log[1].at);
  EXPECT_EQ(receipt->cut_at, log[3].at);
  EXPECT_EQ(receipt->verified_absent_at, log[4].at);
  const json::Value text = to_json(*receipt);
  EXPECT_NE(text.string_or("statement").find("signed by Daypass itself"), std::string::npos);
  const auto shown = verify_proof(*json::parse(json::dump_pretty(text)), signer.key);
  ASSERT_TRUE(shown.ok()) << shown.error().check;
  EXPECT_EQ(shown->head.size, log.size());
  ASSERT_TRUE(shown->receipt.has_value());
  EXPECT_EQ(shown->receipt->verified_absent_at, log[4].at);
}

TEST_F(Receipts, EveryChangedByteIsFound) {
  for (const json::Value& document :
       {json::Value(to_json(*receipt_of(prove({1, 3, 4})))), json::Value(to_json(prove({2})))}) {
    const std::string text = json::dump(document);
    ASSERT_EQ(check_of(*json::parse(text)), "ok");
    for (std::size_t at = 0; at < text.size(); ++at)
      for (const char flip : {'\x01', '\x20', '\x80'}) {
        std::string changed = text;
        changed[at] ^= flip;
        const auto read = json::parse(changed);
        ASSERT_FALSE(read.ok() && check_of(*read) == "ok") << at << ": " << changed.substr(at > 20 ? at - 20 : 0, 40);
      }
  }
}

TEST_F(Receipts, AreOfOneGrantInOrder) {
  EXPECT_EQ(check_of_receipt({1, 3, 4}), "ok");
  for (const std::vector<std::uint64_t>& bad : std::vector<std::vector<std::uint64_t>>{
           {}, {1}, {1, 3}, {1, 3, 4, 5}, {3, 1, 4}, {1, 4, 3}, {6, 3, 4}, {2, 3, 4}, {1, 2, 4}, {1, 3, 5}})
    EXPECT_EQ(check_of_receipt(bad), "receipt.records") << testing::PrintToString(bad);
  log[4].facts.set("verified", "unknown");
  EXPECT_EQ(check_of_receipt({1, 3, 4}), "receipt.records");
  log[4].facts.set("verified", "absent");
  log[4].tenant = core::TenantId("south");
  EXPECT_EQ(check_of_receipt({1, 3, 4}), "receipt.records");
  log[4].tenant = core::TenantId("north");
  log[3].outcome = "failed";
  EXPECT_EQ(check_of_receipt({1, 3, 4}), "receipt.records");
}

TEST_F(Receipts, AreWorthNothingWithoutTheKey) {
  json::Object text = to_json(*receipt_of(prove({1, 3, 4})));
  const Signer other("daypass/abc123/north", 'x');
  EXPECT_EQ(verify_proof(text, other.key).error().check, "proof.key");
  // Whoever brings their own key has signed nothing with the trusted one.
  text.set("key", other.key.text());
  EXPECT_EQ(verify_proof(text, other.key).error().check, "note.unsigned");
  EXPECT_EQ(check_of(text), "proof.key");
}

TEST_F(Receipts, OtherWordsAreRefused) {
  const json::Object good = to_json(*receipt_of(prove({1, 3, 4})));
  for (const auto& [key, value] : good) {
    if (key == "records" || key == "checkpoint" || key == "key" || key == "format") continue;
    json::Object changed = good;
    changed.set(key, "2030-01-01T00:00:00.000Z");
    EXPECT_EQ(check_of(changed), "proof.words") << key;
  }
  json::Object more = good;
  more.set("and", "it was the butler");
  EXPECT_EQ(check_of(more), "proof.words");
  // A record may not stand for another, even where its path holds.
  AuditProof proof = prove({1, 3, 4});
  std::swap(proof.records[0].index, proof.records[1].index);
  EXPECT_EQ(check_of(to_json(proof)), "tlog.root");
}

TEST_F(Receipts, WhatIsNoneIsRefused) {
  for (const char* text :
       {"null", "{}", "[]", R"({"format":"daypass.audit-proof.v1"})",
        R"({"format":"daypass.audit-proof.v1","records":[]})", R"({"format":"daypass.audit-proof.v1","records":[{}]})",
        R"({"format":"daypass.audit-proof.v1","records":[{"index":0,"record":"","path":["AA=="]}]})",
        R"({"format":"daypass.audit-proof.v2","records":[{"index":0,"record":"","path":[]}]})"})
    EXPECT_EQ(check_of(*json::parse(text)), "proof.shape") << text;
}

}  // namespace
}  // namespace daypass::engine
