#include "store/audit_verify.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "tlog/tree.h"

namespace daypass::store {
namespace {

using base::Result;

const core::TenantId north("north");

/// A log in memory that hands out whatever it was made to hold.
class PlainLog final : public Reader {
 public:
  explicit PlainLog(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) records.push_back(record(i, north));
    keep_head();
  }
  static std::string record(std::uint64_t seq, const core::TenantId& tenant) {
    core::AuditEvent event;
    event.seq = seq;
    event.tenant = tenant;
    event.action = "event " + std::to_string(seq);
    return core::canonical(event);
  }
  void keep_head() {
    std::vector<tlog::Hash> leaves;
    for (const auto& r : records) leaves.push_back(tlog::leaf_hash(r));
    head = {records.size(), tlog::root_of(leaves)};
  }

  Result<std::vector<std::string>> audit(const core::TenantId&, std::uint64_t from, std::size_t limit) override {
    const std::size_t begin = std::min<std::size_t>(from, records.size());
    const std::size_t end = std::min(records.size(), begin + limit);
    return std::vector(records.begin() + static_cast<std::ptrdiff_t>(begin),
                       records.begin() + static_cast<std::ptrdiff_t>(end));
  }
  Result<std::vector<tlog::Hash>> leaf_hashes(const core::TenantId&, std::uint64_t, std::size_t) override {
    return unused();
  }
  Result<std::pair<std::uint64_t, std::string>> audit_head(const core::TenantId&) override { return head; }

  Result<std::optional<core::Grant>> load_grant(const core::GrantId&) override { return unused(); }
  Result<std::vector<core::Grant>> grants(const Selector&) override { return unused(); }
  Result<std::vector<Outline>> outline(const Selector&, By, const Outline*) override { return unused(); }
  Result<std::size_t> count(const Selector&) override { return unused(); }
  Result<std::optional<Document>> get(const core::TenantId&, std::string_view, std::string_view,
                                      base::WallTime) override {
    return unused();
  }
  Result<std::vector<Document>> list(const core::TenantId&, std::string_view, std::string_view, std::string_view,
                                     std::size_t, base::WallTime) override {
    return unused();
  }
  Result<std::vector<core::Intent>> open_intents() override { return unused(); }

  std::vector<std::string> records;
  std::pair<std::uint64_t, std::string> head;

 private:
  static base::Error unused() { return {base::Code::internal, "test.unused", "not part of a log"}; }
};

std::string verdict(PlainLog& log) {
  const auto report = verify_audit(log, north);
  return report.ok() ? "ok" : report.error().check;
}
std::string message(PlainLog& log) {
  return verify_audit(log, north).error().message;
}

TEST(AuditVerify, AWholeLogIsFoundWhole) {
  for (const std::size_t count : {0U, 1U, 2U, 511U, 512U, 513U, 1300U}) {
    PlainLog log(count);
    const auto report = verify_audit(log, north);
    ASSERT_TRUE(report.ok()) << count << ": " << report.error().message;
    EXPECT_EQ(report->records, count);
    EXPECT_EQ(report->root_hex, base::hex_encode(log.head.second));
  }
}

TEST(AuditVerify, EveryChangedByteIsFound) {
  const PlainLog good(5);
  for (std::size_t i = 0; i < good.records.size(); ++i)
    for (std::size_t at = 0; at < good.records[i].size(); ++at)
      for (const char flip : {'\x01', '\x20', '\x80'}) {
        PlainLog log = good;
        log.records[i][at] ^= flip;
        ASSERT_NE(verdict(log), "ok") << "byte " << at << " of record " << i;
      }
}

TEST(AuditVerify, ADroppedRecordIsNamed) {
  for (std::size_t i = 0; i < 9; ++i) {
    PlainLog log(10);
    log.records.erase(log.records.begin() + static_cast<std::ptrdiff_t>(i));
    ASSERT_EQ(verdict(log), "audit.gap");
    EXPECT_TRUE(message(log).starts_with("record " + std::to_string(i) + " of")) << message(log);
  }
}

TEST(AuditVerify, ACutTailIsNamed) {
  for (const std::size_t left : {0U, 1U, 9U, 512U, 599U}) {
    PlainLog log(600);
    log.records.resize(left);
    ASSERT_EQ(verdict(log), "audit.gap");
    EXPECT_TRUE(message(log).starts_with("record " + std::to_string(left) + " of")) << message(log);
  }
}

TEST(AuditVerify, ReorderedRecordsAreNamed) {
  PlainLog log(10);
  std::swap(log.records[3], log.records[7]);
  ASSERT_EQ(verdict(log), "audit.gap");
  EXPECT_TRUE(message(log).starts_with("record 3 of")) << message(log);
}

TEST(AuditVerify, ARecordBeyondTheHeadIsNamed) {
  PlainLog log(10);
  log.records.push_back(PlainLog::record(10, north));
  ASSERT_EQ(verdict(log), "audit.gap");
  EXPECT_TRUE(message(log).starts_with("record 10 of")) << message(log);
}

TEST(AuditVerify, ARewrittenRecordGivesAnotherRoot) {
  PlainLog log(10);
  core::AuditEvent event;
  event.seq = 4;
  event.tenant = north;
  event.action = "nothing happened";
  log.records[4] = core::canonical(event);
  EXPECT_EQ(verdict(log), "audit.root");
  PlainLog other_head(10);
  other_head.head.second[0] ^= 1;
  EXPECT_EQ(verdict(other_head), "audit.root");
}

TEST(AuditVerify, ARecordOfAnotherTenantIsNamed) {
  PlainLog log(10);
  log.records[4] = PlainLog::record(4, core::TenantId("south"));
  log.keep_head();  // even where the head agrees
  ASSERT_EQ(verdict(log), "audit.leaf");
  EXPECT_TRUE(message(log).starts_with("record 4 of")) << message(log);
}

TEST(AuditVerify, WhatIsNoRecordIsNamedEvenWhereTheHeadAgrees) {
  for (const std::string bytes : {"", "{}", "not a record"}) {
    PlainLog log(10);
    log.records[6] = bytes;
    log.keep_head();
    ASSERT_EQ(verdict(log), "audit.leaf");
    EXPECT_TRUE(message(log).starts_with("record 6 of")) << message(log);
  }
}

TEST(AuditVerify, AHeadThatClaimsTooMuchEndsAtTheFirstMissingRecord) {
  PlainLog log(10);
  log.head.first = std::uint64_t{1} << 61U;
  EXPECT_EQ(verdict(log), "audit.gap");
}

}  // namespace
}  // namespace daypass::store
