// A full disk, a locked store, damaged rows, a tampered log: what the store says, and that it goes on afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "store/audit_verify.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/sqlite_store.h"
#include "test/conformance/store_files.h"
#include "test/conformance/store_samples.h"
#include "tlog/tree.h"

namespace daypass::store::sqlite {
namespace {

using namespace conformance;
using testing::HasSubstr;

base::Status put_one(Store& store, std::string key, std::string body = "{}") {
  return store.transact([&](Tx& tx) -> base::Status {
    Document document = make_document(north, "k", key, body);
    DP_CHECK(tx.put(document, std::nullopt));
    core::AuditEvent event = make_event(north, "put");
    return tx.append_audit(event);
  });
}
std::size_t count(Store& store) {
  return must(must(store.snapshot())->list(north, "k", "", "", 100'000, at(0))).size();
}

class SqliteFaults : public testing::Test {
 protected:
  void open(const Options& options = {}) {
    store_.reset();
    store_ = must(SqliteStore::open(path_, options));
  }
  /// On a connection that Daypass knows nothing of.
  void by_hand(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  /// Whole, and as many records as documents: nothing was half done.
  void expect_whole(std::size_t documents) {
    EXPECT_EQ(count(*store_), documents);
    EXPECT_EQ(must(verify_audit(*must(store_->snapshot()), north)).records, documents);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.path("store.db");
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(SqliteFaults, AFullStoreSaysSoAndRecovers) {
  Options options;
  options.most_pages = 100;
  open(options);
  std::size_t stored = 0;
  base::Status status;
  while ((status = put_one(*store_, "fill " + std::to_string(stored), std::string(5000, 'x'))).ok()) ++stored;
  EXPECT_EQ(status.error().check, "store.full");
  EXPECT_EQ(status.error().code, base::Code::unavailable);
  EXPECT_FALSE(status.error().hint.empty());
  EXPECT_GT(stored, 10U);
  expect_whole(stored);
  EXPECT_EQ(check_of(put_one(*store_, "more", std::string(5000, 'x'))), "store.full");

  // Swallowing the error does not save the rest: whatever was done before it must not be half of a change.
  EXPECT_EQ(check_of(store_->transact([&](Tx& tx) -> base::Status {
              DP_TRY(const bool removed, tx.remove(north, "k", "fill 0"));
              EXPECT_TRUE(removed);
              Document document = make_document(north, "k", "too large", std::string(1'000'000, 'x'));
              EXPECT_EQ(check_of(tx.nested([&] { return tx.put(document, std::nullopt); })), "store.full");
              EXPECT_EQ(check_of(tx.remove(north, "k", "fill 1")), "store.full");
              EXPECT_EQ(check_of(tx.get(north, "k", "fill 1", at(0))), "store.full");
              return {};
            })),
            "store.full");
  expect_whole(stored);

  // Nor does giving another reason hide it.
  EXPECT_EQ(check_of(store_->transact([&](Tx& tx) -> base::Status {
              Document document = make_document(north, "k", "too large", std::string(1'000'000, 'x'));
              if (tx.put(document, std::nullopt).ok()) return {};
              return base::Error{base::Code::denied, "test.other", "something else"};
            })),
            "store.full");

  // Room again: the next try succeeds on the same connection.
  must(store_->transact([&](Tx& tx) -> base::Status {
    for (int i = 0; i < 4; ++i) DP_CHECK(tx.remove(north, "k", "fill " + std::to_string(i)));
    return {};
  }));
  must(put_one(*store_, "more", std::string(5000, 'x')));
  EXPECT_EQ(count(*store_), stored - 3);
}

/// While it lives no file of this process grows beyond `bytes`: a write that the disk refuses.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limited{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limited);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(SqliteFaults, ACommitThatTheDiskRefusesLeavesTheStoreUsable) {
  open();
  for (std::size_t i = 0; i < 5; ++i) must(put_one(*store_, std::to_string(i)));
  const auto wal = static_cast<rlim_t>(std::filesystem::file_size(path_ + "-wal"));
  // At the first byte of the transaction's frames, between two of them, and within one.
  for (const rlim_t room : {0U, 1000U, 4096U, 4120U, 9000U}) {
    const FileSizeLimit limit(wal + room);
    bool ran = false;
    const auto refused = store_->transact([&](Tx& tx) -> base::Status {
      Document document = make_document(north, "k", "refused", std::string(40'000, 'x'));
      DP_CHECK(tx.put(document, std::nullopt));
      core::AuditEvent event = make_event(north, "refused");
      DP_CHECK(tx.append_audit(event));
      ran = true;
      return {};
    });
    EXPECT_TRUE(ran) << "the commit fails, not a statement";
    EXPECT_EQ(check_of(refused), "store.full") << room;
    expect_whole(5);
  }
  must(put_one(*store_, "5", std::string(40'000, 'x')));
  expect_whole(6);
  open();
  expect_whole(6);
}

TEST_F(SqliteFaults, AFailedCheckpointLosesNothing) {
  open();
  for (std::size_t i = 0; i < 10; ++i) must(put_one(*store_, std::to_string(i), std::string(40'000, 'x')));
  {
    const FileSizeLimit limit(static_cast<rlim_t>(std::filesystem::file_size(path_)) + 50'000);
    EXPECT_EQ(check_of(store_->checkpoint()), "store.full");
    expect_whole(10);
  }
  const auto done = must(store_->checkpoint());
  EXPECT_EQ(done.moved, done.frames);
  expect_whole(10);
}

/// The steps on a file system of 1 MiB that really runs full. 0: all well, 77: not permitted here, else the failed
/// step.
int on_a_full_tmpfs(const std::string& folder) {
  if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) return 77;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m") != 0) return 77;
  auto store = SqliteStore::open(folder + "/store.db");
  if (!store.ok()) return 1;
  std::size_t stored = 0;
  base::Status status;
  while ((status = put_one(**store, "fill " + std::to_string(stored), std::string(20'000, 'x'))).ok()) ++stored;
  if (status.error().check != "store.full" || stored < 10) return 2;
  if (count(**store) != stored) return 3;
  if (must(verify_audit(*must((*store)->snapshot()), north)).records != stored) return 4;
  // A checkpoint needs room of its own here; whether it gets it or not, the store stays whole.
  static_cast<void>((*store)->checkpoint());
  if (count(**store) != stored) return 5;
  if (mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=4m") != 0) return 6;
  if (!put_one(**store, "more", std::string(20'000, 'x')).ok()) return 7;
  if (must(verify_audit(*must((*store)->snapshot()), north)).records != stored + 1) return 8;
  store->reset();
  store = SqliteStore::open(folder + "/store.db");
  if (!store.ok() || count(**store) != stored + 1) return 9;
  return 0;
}

TEST_F(SqliteFaults, ADiskThatRunsFull) {
  const std::string folder = folder_.path("disk");
  std::filesystem::create_directory(folder);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(on_a_full_tmpfs(folder));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "mounting a tmpfs is not permitted here";
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the step that failed";
}

TEST_F(SqliteFaults, AnotherProgramsLockIsWaitedForAndThenReported) {
  Options options;
  options.busy_timeout = base::Millis(20);
  open(options);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(check_of(put_one(*store_, "k")), "store.busy");
  EXPECT_EQ(count(*store_), 0U) << "readers go on";
  ASSERT_EQ(sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  must(put_one(*store_, "k"));
  expect_whole(1);
}

TEST_F(SqliteFaults, ATransactionThatFailedHoldsNoLock) {
  open();
  EXPECT_THROW(static_cast<void>(store_->transact([](Tx&) -> base::Status { throw std::out_of_range("on purpose"); })),
               std::out_of_range);
  by_hand("BEGIN IMMEDIATE; COMMIT");
  EXPECT_FALSE(
      store_->transact([](Tx&) -> base::Status { return base::Error{base::Code::denied, "test.failed", "on purpose"}; })
          .ok());
  by_hand("BEGIN IMMEDIATE; COMMIT");
}

TEST_F(SqliteFaults, ADamagedGrantIsNamedAndNeverGuessed) {
  open();
  core::Grant a = make_grant(north, 1);
  core::Grant b = make_grant(south, 1);
  must(store_->transact([&](Tx& tx) -> base::Status {
    DP_CHECK(tx.save_grant(a));
    return tx.save_grant(b);
  }));
  const auto load = [&] { return must(store_->snapshot())->load_grant(a.id); };
  // South's grant in north's row: as if north's operator had copied it.
  by_hand("UPDATE grants SET body = (SELECT body FROM grants WHERE tenant = 'south') WHERE tenant = 'north'");
  ASSERT_EQ(check_of(load()), "store.corrupt");
  EXPECT_THAT(load().error().message, HasSubstr(a.id.str()));
  EXPECT_EQ(check_of(must(store_->snapshot())->grants({})), "store.corrupt");
  for (const char* body : {"x''", "x'7b7d'", "x'ff'"}) {
    by_hand(std::string("UPDATE grants SET body = ") + body + " WHERE tenant = 'north'");
    EXPECT_EQ(check_of(load()), "store.corrupt") << body;
  }
  EXPECT_EQ(must(must(store_->snapshot())->load_grant(b.id)), b);
  by_hand("UPDATE grants SET version = 2 WHERE tenant = 'south'");
  EXPECT_EQ(check_of(must(store_->snapshot())->load_grant(b.id)), "store.corrupt");
}

TEST_F(SqliteFaults, ADamagedPageIsReported) {
  open();
  for (int i = 0; i < 200; ++i) must(put_one(*store_, std::to_string(i), std::string(2000, 'x')));
  store_.reset();
  {
    // Everything behind the schema's first pages.
    const std::string noise(4096, '\xa5');
    std::FILE* file = std::fopen(path_.c_str(), "r+b");
    ASSERT_NE(file, nullptr);
    for (long page = 30; page < 60; ++page) {
      std::fseek(file, page * 4096, SEEK_SET);
      std::fwrite(noise.data(), 1, noise.size(), file);
    }
    std::fclose(file);
  }
  open();
  const auto listed = must(store_->snapshot())->list(north, "k", "", "", 1000, at(0));
  EXPECT_EQ(check_of(listed), "store.corrupt");
  EXPECT_EQ(check_of(must(store_->snapshot())->audit_head(north)), "ok") << "other readers go on";
}

class SqliteTampering : public SqliteFaults {
 protected:
  void SetUp() override {
    open();
    must(store_->transact([&](Tx& tx) -> base::Status {
      for (int i = 0; i < 20; ++i)
        for (const auto& tenant : {north, south}) {
          core::AuditEvent event = make_event(tenant, "event " + std::to_string(i));
          DP_CHECK(tx.append_audit(event));
        }
      return {};
    }));
    ASSERT_EQ(verdict(), "ok");
  }
  void tamper(const std::string& sql) {
    by_hand("DROP TRIGGER IF EXISTS audit_is_never_changed; DROP TRIGGER IF EXISTS audit_is_never_dropped; " + sql);
  }
  std::string verdict() { return check_of(verify_audit(*must(store_->snapshot()), north)); }
  std::string message() { return verify_audit(*must(store_->snapshot()), north).error().message; }
};

TEST_F(SqliteTampering, AChangedRecordIsNamed) {
  tamper(
      "UPDATE audit SET leaf = CAST(replace(CAST(leaf AS TEXT), 'ok', 'no') AS BLOB) WHERE seq = 7 AND tenant = "
      "'north'");
  EXPECT_EQ(verdict(), "audit.leaf");
  EXPECT_THAT(message(), HasSubstr("record 7 "));
  EXPECT_EQ(check_of(must(store_->snapshot())->audit(north, 0, 7)), "ok");
  EXPECT_EQ(check_of(must(store_->snapshot())->audit(north, 0, 8)), "audit.leaf");
  EXPECT_EQ(check_of(must(store_->snapshot())->audit(north, 8, 8)), "ok");
  EXPECT_EQ(check_of(verify_audit(*must(store_->snapshot()), south)), "ok")
      << "one tenant's log says nothing of another's";
}

TEST_F(SqliteTampering, EveryFlippedByteIsNamed) {
  const std::string leaf = must(must(store_->snapshot())->audit(north, 7, 1)).at(0);
  tamper("");
  const auto db = must(Connection::open(path_, Connection::Mode::write, base::Millis(1000)));
  for (std::size_t i = 0; i < leaf.size(); i += 3) {
    std::string flipped = leaf;
    flipped[i] ^= static_cast<char>(1U << (i % 8));
    Query change(*db, "UPDATE audit SET leaf = ? WHERE tenant = 'north' AND seq = 7");
    must(change.blob(flipped).run());
    ASSERT_EQ(verdict(), "audit.leaf") << i;
  }
}

TEST_F(SqliteTampering, AHashThatIsNoneIsNotHandedOut) {
  tamper("UPDATE audit SET hash = substr(hash, 2) WHERE tenant = 'north' AND seq = 7");
  EXPECT_EQ(check_of(must(store_->snapshot())->leaf_hashes(north, 7, 1)), "audit.leaf");
  EXPECT_EQ(verdict(), "audit.leaf");
}

TEST_F(SqliteTampering, AChangedRecordWithItsHashGivesAnotherRoot) {
  core::AuditEvent event = make_event(north, "event 7");
  event.seq = 7;
  event.actor = "somebody else";
  const std::string leaf = core::canonical(event);
  tamper("");
  const auto db = must(Connection::open(path_, Connection::Mode::write, base::Millis(1000)));
  {
    Query change(*db, "UPDATE audit SET leaf = ?, hash = ? WHERE tenant = 'north' AND seq = 7");
    must(change.blob(leaf).blob(tlog::leaf_hash(leaf)).run());
  }
  EXPECT_EQ(verdict(), "audit.root");
}

TEST_F(SqliteTampering, ADroppedRecordIsNamed) {
  tamper("DELETE FROM audit WHERE tenant = 'north' AND seq = 7");
  for (const std::uint64_t from : {0U, 5U, 7U})
    EXPECT_EQ(check_of(must(store_->snapshot())->audit(north, from, 9)), "audit.gap");
  EXPECT_EQ(check_of(must(store_->snapshot())->leaf_hashes(north, 5, 9)), "audit.gap");
  EXPECT_EQ(check_of(must(store_->snapshot())->audit(north, 0, 7)), "ok");
  EXPECT_EQ(verdict(), "audit.gap");
  EXPECT_THAT(message(), HasSubstr("record 7 "));
}

TEST_F(SqliteTampering, ADroppedRecordWithTheRestMovedUpIsNamed) {
  tamper(
      "DELETE FROM audit WHERE tenant = 'north' AND seq = 7;"
      "UPDATE audit SET seq = -seq WHERE tenant = 'north' AND seq > 7;"
      "UPDATE audit SET seq = -seq - 1 WHERE tenant = 'north' AND seq < 0");
  EXPECT_EQ(verdict(), "audit.gap");
  EXPECT_THAT(message(), HasSubstr("record 7 "));
}

TEST_F(SqliteTampering, ReorderedRecordsAreNamed) {
  tamper(
      "UPDATE audit SET seq = 99 WHERE tenant = 'north' AND seq = 3;"
      "UPDATE audit SET seq = 3 WHERE tenant = 'north' AND seq = 7;"
      "UPDATE audit SET seq = 7 WHERE tenant = 'north' AND seq = 99");
  EXPECT_EQ(verdict(), "audit.gap");
  EXPECT_THAT(message(), HasSubstr("record 3 "));
}

TEST_F(SqliteTampering, ACutTailIsNamed) {
  tamper("DELETE FROM audit WHERE tenant = 'north' AND seq >= 15");
  EXPECT_EQ(verdict(), "audit.gap");
  EXPECT_THAT(message(), HasSubstr("record 15 "));
}

TEST_F(SqliteTampering, AnotherTenantsRecordIsNamed) {
  tamper(
      "UPDATE audit SET (leaf, hash) = (SELECT leaf, hash FROM audit WHERE tenant = 'south' AND seq = 7)"
      " WHERE tenant = 'north' AND seq = 7");
  EXPECT_EQ(verdict(), "audit.leaf");
  EXPECT_THAT(message(), HasSubstr("record 7 "));
}

TEST_F(SqliteTampering, AHeadSetBackIsNamedAndNothingIsAppendedToIt) {
  const auto db = must(Connection::open(path_, Connection::Mode::write, base::Millis(1000)));
  tlog::Frontier frontier;
  for (const auto& leaf : must(must(store_->snapshot())->audit(north, 0, 12))) frontier.append(tlog::leaf_hash(leaf));
  {
    Query change(*db, "UPDATE audit_heads SET frontier = ? WHERE tenant = 'north'");
    must(change.blob(frontier.serialise()).run());
  }
  EXPECT_EQ(verdict(), "audit.gap");
  EXPECT_THAT(message(), HasSubstr("record 12 "));
  EXPECT_EQ(check_of(put_one(*store_, "k")), "audit.gap");
  EXPECT_EQ(count(*store_), 0U);
  by_hand("DELETE FROM audit_heads WHERE tenant = 'north'");
  EXPECT_EQ(verdict(), "audit.gap");
  EXPECT_EQ(check_of(put_one(*store_, "k")), "audit.gap");
  by_hand("INSERT INTO audit_heads VALUES ('north', x'00')");
  EXPECT_EQ(verdict(), "tlog.frontier");
  EXPECT_EQ(check_of(put_one(*store_, "k")), "tlog.frontier");
}

TEST_F(SqliteTampering, TheStoreItselfRefusesToChangeTheLog) {
  const auto db = must(Connection::open(path_, Connection::Mode::write, base::Millis(1000)));
  // Whoever has not even the means to see that it would be the same record.
  EXPECT_EQ(check_of(db->run("UPDATE audit SET leaf = leaf WHERE seq = 1")), "store.sql");
  EXPECT_EQ(check_of(store_->transact([](Tx& tx) { return tx.rewrite_audit(north, 1, "{}"); })), "audit.record");
  const auto again = must(Connection::open(path_, Connection::Mode::write, base::Millis(1000)));
  EXPECT_EQ(check_of(again->run("DELETE FROM audit WHERE seq = 1")), "store.constraint");
  must(again->run("BEGIN IMMEDIATE"));
  must(migrate(*again));
  EXPECT_EQ(check_of(again->run("UPDATE audit SET leaf = x'00' WHERE seq = 1")), "store.constraint");
  EXPECT_EQ(check_of(again->run("UPDATE audit SET hash = x'00' WHERE seq = 1")), "store.constraint");
  must(again->run("UPDATE audit SET leaf = leaf WHERE seq = 1"));
  again->rollback();
  EXPECT_EQ(verdict(), "ok");
}

TEST(SqliteErrors, EveryCodeHasAMeaning) {
  EXPECT_EQ(error_of(SQLITE_FULL, 0, "").check, "store.full");
  EXPECT_EQ(error_of(SQLITE_IOERR_WRITE, ENOSPC, "").check, "store.full");
  EXPECT_EQ(error_of(SQLITE_IOERR_SHMSIZE, EDQUOT, "").check, "store.full");
  EXPECT_EQ(error_of(SQLITE_IOERR_WRITE, EIO, "").check, "store.io");
  EXPECT_EQ(error_of(SQLITE_IOERR_FSYNC, EIO, "").check, "store.io");
  EXPECT_EQ(error_of(SQLITE_BUSY, 0, "").check, "store.busy");
  EXPECT_EQ(error_of(SQLITE_BUSY_SNAPSHOT, 0, "").check, "store.busy");
  EXPECT_EQ(error_of(SQLITE_CORRUPT_INDEX, 0, "").check, "store.corrupt");
  EXPECT_EQ(error_of(SQLITE_NOTADB, 0, "").check, "store.corrupt");
  EXPECT_EQ(error_of(SQLITE_READONLY, 0, "").check, "store.open");
  EXPECT_EQ(error_of(SQLITE_CANTOPEN, ENOENT, "").check, "store.open");
  EXPECT_EQ(error_of(SQLITE_TOOBIG, 0, "").check, "store.too_big");
  EXPECT_EQ(error_of(SQLITE_CONSTRAINT_CHECK, 0, "").check, "store.constraint");
  EXPECT_EQ(error_of(SQLITE_ERROR, 0, "").check, "store.sql");
  EXPECT_THROW(static_cast<void>(error_of(SQLITE_NOMEM, 0, "")), std::bad_alloc);
}

}  // namespace
}  // namespace daypass::store::sqlite
