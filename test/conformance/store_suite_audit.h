// Part of the store suite: the audit log. Included by store_suite.h.
#pragma once

#include "base/encoding.h"
#include "conformance/store_suite.h"
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
  EXPECT_EQ(must(verify_audit(*reader, north)).records, 2U);
  EXPECT_EQ(must(verify_audit(*reader, south)).records, 1U);
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

}  // namespace daypass::store::conformance
