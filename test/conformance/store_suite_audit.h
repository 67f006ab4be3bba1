// Part of the store suite: the audit log. Included by store_suite.h.
#pragma once

#include "base/encoding.h"
#include "conformance/store_suite.h"
#include "store/audit_leaf.h"
#include "store/audit_log.h"
#include "store/audit_verify.h"
#include "tlog/tree.h"

namespace daypass::store::conformance {

inline std::string root_of_records(const std::vector<std::string>& records) {
  std::vector<tlog::Hash> leaves;
  for (const auto& record : records) leaves.push_back(tlog::leaf_hash(record));
  return tlog::root_of(leaves);
}

TEST_P(StoreSuite, TheEmptyLogHasTheRootOfNothing) {
  const auto reader = look();
  EXPECT_EQ(must(reader->audit_head(north)), std::pair(std::uint64_t{0}, tlog::empty_root()));
  EXPECT_THAT(must(reader->audit(north, 0, 9)), testing::IsEmpty());
  EXPECT_EQ(must(verify_audit(*reader, north)), (AuditReport{0, base::hex_encode(tlog::empty_root())}));
}

TEST_P(StoreSuite, RecordsAreNumberedFromZeroAndHashedAsWritten) {
  std::vector<std::string> wanted;
  for (std::uint64_t i = 0; i < 20; ++i) {
    core::AuditEvent event = make_event(north, "event " + std::to_string(i));
    event.seq = 4711;  // the store's to give
    commit([&](Tx& tx) { return tx.append_audit(event); });
    EXPECT_EQ(event.seq, i);
    wanted.push_back(core::canonical(event));
    const auto reader = look();
    EXPECT_EQ(must(reader->audit_head(north)), std::pair(i + 1, root_of_records(wanted)));
    EXPECT_EQ(must(verify_audit(*reader, north)).records, i + 1);
  }
  reopen();
  const auto reader = look();
  EXPECT_EQ(must(reader->audit(north, 0, 100)), wanted);
  EXPECT_EQ(must(reader->audit(north, 18, 100)), std::vector(wanted.begin() + 18, wanted.end()));
  EXPECT_EQ(must(reader->audit(north, 5, 2)), std::vector(wanted.begin() + 5, wanted.begin() + 7));
  EXPECT_THAT(must(reader->audit(north, 20, 1)), testing::IsEmpty());
  EXPECT_THAT(must(reader->audit(north, ~std::uint64_t{0}, 1)), testing::IsEmpty());
  EXPECT_THAT(must(reader->audit(north, 0, 0)), testing::IsEmpty());
  EXPECT_EQ(must(verify_audit(*reader, north)), (AuditReport{20, base::hex_encode(root_of_records(wanted))}));
}

TEST_P(StoreSuite, ManyRecordsInOneTransaction) {
  commit([&](Tx& tx) -> base::Status {
    for (std::uint64_t i = 0; i < 1500; ++i) {
      core::AuditEvent event = make_event(i % 3 == 0 ? south : north, "event " + std::to_string(i));
      DP_CHECK(tx.append_audit(event));
    }
    return {};
  });
  const auto reader = look();
  EXPECT_EQ(must(verify_audit(*reader, north)).records, 1000U);
  EXPECT_EQ(must(verify_audit(*reader, south)).records, 500U);
  const auto records = must(reader->audit(north, 0, 10'000));
  EXPECT_EQ(must(reader->audit_head(north)).second, root_of_records(records));
}

TEST_P(StoreSuite, EachTenantHasALogOfItsOwn) {
  append(make_event(north, "north 0"));
  append(make_event(south, "south 0"));
  append(make_event(north, "north 1"));
  const auto reader = look();
  EXPECT_EQ(must(reader->audit_head(north)).first, 2U);
  EXPECT_EQ(must(reader->audit_head(south)).first, 1U);
  for (const auto& record : must(reader->audit(north, 0, 9))) {
    const auto event = must(core::audit_from_canonical(record));
    EXPECT_EQ(event.tenant, north);
    EXPECT_THAT(event.action, testing::StartsWith("north"));
  }
  EXPECT_THAT(must(reader->leaf_hashes(north, 0, 9)), testing::SizeIs(2));
  EXPECT_THAT(must(reader->leaf_hashes(south, 0, 9)), testing::SizeIs(1));
  EXPECT_EQ(must(verify_audit(*reader, north)).records, 2U);
  EXPECT_EQ(must(verify_audit(*reader, south)).records, 1U);
}

TEST_P(StoreSuite, LeafHashesAreThoseOfTheRecords) {
  base::SystemEntropy entropy;
  std::vector<tlog::Hash> leaves;
  for (int i = 0; i < 5; ++i) {
    core::AuditEvent event = make_event(north, "event " + std::to_string(i));
    event.facts = {{"principal", "corp/somebody"}};
    if (i % 2 == 1) cover_persons(event, entropy);
    commit([&](Tx& tx) {
      const auto done = tx.append_audit(event);
      EXPECT_EQ(must(tx.leaf_hashes(north, event.seq, 1)).at(0), tlog::leaf_hash(leaf_of(event)));
      return done;
    });
    leaves.push_back(tlog::leaf_hash(leaf_of(event)));
  }
  const auto reader = look();
  EXPECT_EQ(must(reader->leaf_hashes(north, 0, 9)), leaves);
  EXPECT_THAT(must(reader->leaf_hashes(north, 1, 2)), testing::ElementsAre(leaves[1], leaves[2]));
  EXPECT_THAT(must(reader->leaf_hashes(north, 5, 9)), testing::IsEmpty());
  EXPECT_THAT(must(reader->leaf_hashes(north, ~std::uint64_t{0}, 9)), testing::IsEmpty());
  EXPECT_EQ(tlog::root_of(leaves), must(reader->audit_head(north)).second);
}

TEST_P(StoreSuite, ARolledBackRecordLeavesNoTrace) {
  append(make_event(north, "event 0"));
  const auto before = must(look()->audit_head(north));
  EXPECT_FALSE(store()
                   .transact([&](Tx& tx) -> base::Status {
                     core::AuditEvent event = make_event(north, "undone");
                     DP_CHECK(tx.append_audit(event));
                     EXPECT_EQ(must(tx.audit_head(north)).first, 2U);
                     return base::Error{base::Code::denied, "test.failed", "on purpose"};
                   })
                   .ok());
  EXPECT_EQ(must(look()->audit_head(north)), before);
  append(make_event(north, "event 1"));
  const auto reader = look();
  EXPECT_EQ(must(core::audit_from_canonical(must(reader->audit(north, 1, 1)).at(0))).action, "event 1");
  EXPECT_EQ(must(verify_audit(*reader, north)).records, 2U);
}

TEST_P(StoreSuite, ARecordThatCouldNotBeReadBackIsRefused) {
  core::AuditEvent event = make_event(north);
  base::json::Value deep;
  for (int i = 0; i < 100; ++i) deep = base::json::Array{deep};
  event.facts = {{"deep", deep}};
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.append_audit(event); })), "audit.record");
  EXPECT_EQ(must(look()->audit_head(north)).first, 0U);
  event = make_event(north);
  event.object = std::string("nul \0 and \x7f \xc3\xbc \xff\xfe", 17);
  append(event);
  EXPECT_EQ(must(verify_audit(*look(), north)).records, 1U);
}

TEST_P(StoreSuite, FactsThatNoBundleCouldHoldGiveWayToTheirDigest) {
  core::AuditEvent event = make_event(north);
  event.facts = {{"much", std::string(tlog::max_entry, 'x')}};
  append(event);
  const auto records = must(look()->audit(north, 0, 1));
  ASSERT_LE(records.at(0).size(), tlog::max_entry);
  const auto kept = must(core::audit_from_canonical(records[0]));
  EXPECT_EQ(kept.action, event.action);
  EXPECT_EQ(base::json::Value(kept.facts).pointer("/left_out/bytes")->as_int()[0],
            static_cast<std::int64_t>(base::json::dump(event.facts).size()));
  // The largest that fits stays as it is.
  event.facts = {{"much", ""}};
  event.seq = 1;
  event.facts = {{"much", std::string(tlog::max_entry - core::canonical(event).size(), 'y')}};
  append(event);
  EXPECT_EQ(must(look()->audit(north, 1, 1)).at(0).size(), tlog::max_entry);
  event = make_event(north);
  event.object = std::string(tlog::max_entry, 'x');
  EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return tx.append_audit(event); })), "audit.record");
}

TEST_P(StoreSuite, APersonIsErasedAndTheLogStaysWhatItIs) {
  base::SystemEntropy entropy;
  core::AuditEvent event = make_event(north, "grant.ended");
  event.actor = "corp/admin";
  event.facts = {{"principal", "corp/somebody"}, {"note", "by corp/admin"}, {"target", "pg/orders"}};
  cover_persons(event, entropy);
  append(make_event(north, "event 0"));
  commit([&](Tx& tx) { return tx.append_audit(event); });
  append(make_event(north, "event 2"));
  const auto head = must(look()->audit_head(north));
  EXPECT_EQ(must(core::audit_from_canonical(must(look()->audit(north, 1, 1)).at(0))), event);
  for (const std::string cover : {"facts.principal", "actor", "facts.note"}) {
    erase_covered(event, {cover});
    commit([&](Tx& tx) { return tx.rewrite_audit(north, 1, core::canonical(event)); });
    reopen();
    EXPECT_EQ(must(core::audit_from_canonical(must(look()->audit(north, 1, 1)).at(0))), event);
    EXPECT_EQ(must(look()->audit_head(north)), head);
    EXPECT_EQ(must(look()->leaf_hashes(north, 1, 1)).at(0), tlog::leaf_hash(leaf_of(event)));
    EXPECT_EQ(must(verify_audit(*look(), north)).records, 3U);
  }
  EXPECT_THAT(must(look()->audit(north, 1, 1)).at(0), testing::Not(testing::HasSubstr("corp/")));

  // Nothing else than that.
  const auto refused = [&](std::uint64_t seq, const core::AuditEvent& e) {
    return check_of(store().transact([&](Tx& tx) { return tx.rewrite_audit(north, seq, core::canonical(e)); }));
  };
  core::AuditEvent other = event;
  other.outcome = "failed";
  EXPECT_EQ(refused(1, other), "audit.leaf");
  EXPECT_EQ(refused(2, event), "audit.leaf");
  EXPECT_EQ(refused(3, event), "audit.leaf");
  other = event;
  other.covers.at("facts.note").digest[0] ^= 1;
  EXPECT_EQ(refused(1, other), "audit.leaf");
  other = event;
  other.covers.erase("facts.note");
  EXPECT_EQ(refused(1, other), "audit.leaf");
  EXPECT_EQ(must(verify_audit(*look(), north)).records, 3U);
}

TEST_P(StoreSuite, OnlyAClosedGrantIsRemoved) {
  core::Grant grant = make_grant(north, 1);
  commit([&](Tx& tx) { return tx.save_grant(grant); });
  bool gone = true;
  const auto remove = [&](const core::GrantId& id) {
    commit([&](Tx& tx) -> base::Status {
      DP_TRY(gone, tx.remove_closed(id));
      return {};
    });
  };
  remove(grant.id);
  EXPECT_FALSE(gone);
  grant.state = core::GrantState::closed;
  commit([&](Tx& tx) { return tx.save_grant(grant); });
  remove({south, grant.id.id});
  EXPECT_FALSE(gone);
  remove(grant.id);
  EXPECT_TRUE(gone);
  EXPECT_FALSE(must(look()->load_grant(grant.id)));
}

inline const auto never = [] { return false; };

TEST_P(StoreSuite, ALogIsReadBackAndItsTilesGrowWithIt) {
  tlog::Frontier frontier;
  for (const std::uint64_t size : {1U, 255U, 256U, 257U, 700U, 1500U}) {
    commit([&](Tx& tx) -> base::Status {
      for (std::uint64_t i = must(tx.audit_head(north)).first; i < size; ++i) {
        core::AuditEvent event = make_event(north, "event " + std::to_string(i));
        DP_CHECK(tx.append_audit(event));
      }
      return {};
    });
    const AuditAdvance advance = must(advance_audit(store(), north, frontier, never));
    EXPECT_EQ(advance.frontier.size(), size);
    EXPECT_EQ(advance.frontier.root(), must(look()->audit_head(north)).second);
    commit([&](Tx& tx) { return keep_tiles(tx, north, advance.grown); });
    if (!advance.grown.growth().empty())
      EXPECT_EQ(check_of(store().transact([&](Tx& tx) { return keep_tiles(tx, north, advance.grown); })), "audit.tile");
    frontier = advance.frontier;
    reopen();
    const auto reader = look();
    tlog::TiledTree tree(size, audit_tiles(*reader, north));
    EXPECT_EQ(must(tree.root()), frontier.root());
    for (std::uint64_t i = 0; i < size; i += 53)
      EXPECT_TRUE(tlog::verify_inclusion(tlog::leaf_hash(must(reader->audit(north, i, 1)).at(0)), i, size,
                                         must(tree.inclusion_proof(i)), frontier.root())
                      .ok())
          << i;
  }
  // Nothing new: nothing is read, and nothing grows.
  const AuditAdvance again = must(advance_audit(store(), north, frontier, never));
  EXPECT_EQ(again.frontier, frontier);
  EXPECT_THAT(again.grown.growth(), testing::IsEmpty());
  const auto reader = look();
  EXPECT_EQ(audit_tiles(*reader, south)({1, 0, 1}).error().check, "audit.tile");
  EXPECT_EQ(audit_tiles(*reader, north)({1, 0, 6}).error().check, "audit.tile");
  EXPECT_EQ(audit_tiles(*reader, north)({0, 5, 221}).error().check, "audit.gap");
}

TEST_P(StoreSuite, ALogIsNotContinuedFromWhatItNeverWas) {
  for (int i = 0; i < 20; ++i) append(make_event(north, "event " + std::to_string(i)));
  const auto frontier_of = [](const std::vector<std::string>& records) {
    tlog::Frontier out;
    for (const auto& record : records) out.append(tlog::leaf_hash(record));
    return out;
  };
  auto records = must(look()->audit(north, 0, 20));
  for (const std::size_t n : {0U, 7U, 19U, 20U})
    EXPECT_EQ(
        check_of(advance_audit(
            store(), north, frontier_of({records.begin(), records.begin() + static_cast<std::ptrdiff_t>(n)}), never)),
        "ok");
  for (const std::size_t n : {7U, 19U, 20U}) {
    std::vector<std::string> other(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(n));
    other[3] += ' ';
    EXPECT_EQ(check_of(advance_audit(store(), north, frontier_of(other), never)), "audit.root") << n;
  }
  records.push_back("a record that was there once");
  EXPECT_EQ(check_of(advance_audit(store(), north, frontier_of(records), never)), "audit.rollback");
  EXPECT_EQ(check_of(advance_audit(store(), north, {}, [] { return true; })), "audit.stopped");
  EXPECT_EQ(check_of(advance_audit(store(), south, {}, never)), "ok");
}

}  // namespace daypass::store::conformance
