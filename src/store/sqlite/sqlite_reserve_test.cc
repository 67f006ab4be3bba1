// Room that is kept for the end of access, and files that are lost under a running server.
#include <gtest/gtest.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "store/audit_verify.h"
#include "store/sqlite/reserve.h"
#include "store/sqlite/sqlite_store.h"
#include "test/conformance/store_files.h"
#include "test/conformance/store_samples.h"

namespace daypass::store::sqlite {
namespace {

using namespace conformance;
namespace fs = std::filesystem;
constexpr std::uint64_t mib = 1U << 20U;

base::Status put_one(Store& store, const std::string& key, std::size_t size = 10) {
  return store.transact([&](Tx& tx) -> base::Status {
    Document document = make_document(north, "k", key, std::string(size, 'x'));
    DP_CHECK(tx.put(document, std::nullopt));
    core::AuditEvent event = make_event(north, "put");
    return tx.append_audit(event);
  });
}

class SqliteRoom : public testing::Test {
 protected:
  void open(std::uint64_t reserve = 0, std::uint64_t min_free = 0) {
    store_.reset();
    Options options;
    options.reserve = reserve;
    options.min_free = min_free;
    store_ = must(SqliteStore::open(path_, options));
  }
  /// Runs `steps` in a process whose `folder` is a file system of so many KiB of its own. They answer 0, or which
  /// failed.
  void on_tmpfs(int kib, const std::function<int(const std::string& folder)>& steps) {
    const std::string folder = folder_.path("disk");
    fs::create_directory(folder);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0 ||
          mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + std::to_string(kib) + "k").c_str()) != 0)
        _exit(77);
      _exit(steps(folder));
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << status;
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "mounting a tmpfs is not permitted here";
    EXPECT_EQ(WEXITSTATUS(status), 0) << "the step that failed";
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.path("store.db");
  std::unique_ptr<SqliteStore> store_;
};

int fill_and_go_on(const std::string& folder) {
  const std::string path = folder + "/store.db";
  Options options;
  options.reserve = 2 * mib;
  auto opened = SqliteStore::open(path, options);
  if (!opened.ok()) return 1;
  SqliteStore& store = **opened;
  if (store.condition().low || store.condition().reserved != 2 * mib || fs::file_size(path + ".reserve") != 2 * mib)
    return 2;
  std::size_t stored = 0;
  base::Status status;
  while ((status = put_one(store, "fill " + std::to_string(stored), 20'000)).ok()) ++stored;
  if (status.error().check != "store.full" || stored < 10) return 3;
  // Told before anybody looks.
  const Condition full = store.condition();
  if (!full.low || !full.reserve_used || full.lost || full.why.empty()) return 4;
  if (fs::exists(path + ".reserve")) return 5;
  for (int i = 0; i < 20; ++i)
    if (!put_one(store, "end " + std::to_string(i), 4000).ok()) return 6;
  if (!store.watch().low) return 7;
  // Killed and started on the full disk, it still can write: what is left is not taken back for a reserve.
  opened->reset();
  opened = SqliteStore::open(path, options);
  if (!opened.ok()) return 8;
  if (!(*opened)->condition().low || !put_one(**opened, "after", 4000).ok()) return 9;
  if (mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=16m") != 0) return 10;
  const Condition better = (*opened)->watch();
  if (better.low || better.reserve_used || !better.why.empty() || better.reserved != 2 * mib) return 11;
  if (must(verify_audit(*must((*opened)->snapshot()), north)).records != stored + 21) return 12;
  return 0;
}

TEST_F(SqliteRoom, AFullDiskLeavesRoomForWhatEndsAccess) {
  on_tmpfs(8192, fill_and_go_on);
}

int start_on_a_full_disk(const std::string& folder) {
  const std::string path = folder + "/store.db";
  Options options;
  options.reserve = mib;
  auto opened = SqliteStore::open(path, options);
  if (!opened.ok() || !put_one(**opened, "one").ok()) return 1;
  opened->reset();
  // Another program takes all that is left.
  Reserve hog(folder + "/hog", free_bytes(folder).value_or(0));
  if (!hog.make().ok() || free_bytes(folder) != 0) return 2;
  opened = SqliteStore::open(path, options);
  if (!opened.ok()) return 3;
  if (!(*opened)->condition().reserve_used || !put_one(**opened, "two").ok()) return 4;
  return 0;
}

TEST_F(SqliteRoom, AServerStartsOnAFullDisk) {
  on_tmpfs(4096, start_on_a_full_disk);
}

int refuse_before(const std::string& folder) {
  Options options;
  options.reserve = mib;
  options.min_free = 4 * mib;
  auto opened = SqliteStore::open(folder + "/store.db", options);
  if (!opened.ok() || (*opened)->condition().low) return 1;
  Reserve hog(folder + "/hog", free_bytes(folder).value_or(0) - 3 * mib);
  if (!hog.make().ok()) return 2;
  const Condition low = (*opened)->watch();
  // Low, and all of the reserve is there still.
  if (!low.low || low.reserve_used || low.reserved != mib || low.free > 4 * mib || low.why.empty()) return 3;
  if (!put_one(**opened, "one").ok()) return 4;
  // Just enough is not enough yet: neither answer should last for one record only.
  hog.give_up();
  Reserve hog2(folder + "/hog", free_bytes(folder).value_or(0) - 4 * mib - 100'000);
  if (!hog2.make().ok() || !(*opened)->watch().low) return 5;
  hog2.give_up();
  if ((*opened)->watch().low) return 6;
  // There is room for the reserve, and not for what is wanted beside it: it is left to what ends access.
  fs::remove(folder + "/store.db.reserve");
  Reserve hog3(folder + "/hog", free_bytes(folder).value_or(0) - 3 * mib);
  if (!hog3.make().ok() || (*opened)->watch().reserved != 0 || fs::exists(folder + "/store.db.reserve")) return 7;
  return 0;
}

TEST_F(SqliteRoom, ThereIsAThresholdBeforeTheDiskIsFull) {
  on_tmpfs(12'288, refuse_before);
}

TEST_F(SqliteRoom, AReserveThatIsTakenAwayIsMadeAgain) {
  open(mib);
  fs::resize_file(path_ + ".reserve", 0);
  fs::resize_file(path_ + ".reserve", mib);  // a hole keeps nothing
  const auto kept = [&] {
    struct stat found{};
    return stat((path_ + ".reserve").c_str(), &found) == 0 ? static_cast<std::uint64_t>(found.st_blocks) * 512 : 0;
  };
  ASSERT_LT(kept(), mib);
  EXPECT_EQ(store_->watch().reserved, mib);
  EXPECT_GE(kept(), mib);
  Reserve again(path_, mib);
  ASSERT_TRUE(again.make().ok());
  EXPECT_TRUE(again.still_there());
  fs::remove(path_ + ".reserve");
  EXPECT_FALSE(again.still_there());
  EXPECT_EQ(store_->watch().reserved, mib);
  EXPECT_TRUE(fs::exists(path_ + ".reserve"));
}

TEST_F(SqliteRoom, AStoreThatIsLostUnderTheServerIsNoticed) {
  const std::string wal = path_ + "-wal", lock = path_ + ".lock";
  const std::vector<std::pair<std::string, std::function<void()>>> harms = {
      {"its file was removed or replaced", [&] { fs::remove(path_); }},
      {"its file was removed or replaced",
       [&] {
         fs::copy_file(path_, path_ + ".copy");
         fs::rename(path_ + ".copy", path_);
       }},
      {"its file was cut short", [&] { fs::resize_file(path_, 8192); }},
      {"its file was cut short", [&] { fs::resize_file(path_, 0); }},
      {"its write-ahead log was removed or replaced", [&] { fs::remove(wal); }},
      {"its write-ahead log was cut short", [&] { fs::resize_file(wal, 0); }},
      {"its write-ahead log was cut short", [&] { fs::resize_file(wal, 9000); }},
      {"its lock was removed or replaced", [&] { fs::remove(lock); }},
  };
  for (const auto& [what, harm] : harms) {
    for (const char* end : {"", "-wal", "-shm", ".lock"}) fs::remove(path_ + end);
    open();
    for (int i = 0; i < 30; ++i) must(put_one(*store_, std::to_string(i), 3000));
    must(store_->checkpoint());
    for (int i = 30; i < 40; ++i) must(put_one(*store_, std::to_string(i), 3000));
    ASSERT_FALSE(store_->watch().lost) << what;
    harm();
    const Condition seen = store_->watch();
    EXPECT_TRUE(seen.lost) << what;
    EXPECT_EQ(seen.why, what);
    EXPECT_EQ(check_of(put_one(*store_, "more")), "store.lost") << what;
  }
}

TEST_F(SqliteRoom, WhatIsPutBackIsNotBelieved) {
  open();
  must(put_one(*store_, "one"));
  fs::rename(path_, path_ + ".kept");
  ASSERT_TRUE(store_->watch().lost);
  fs::rename(path_ + ".kept", path_);
  EXPECT_TRUE(store_->watch().lost) << "what was committed meanwhile may be gone";
  EXPECT_EQ(check_of(put_one(*store_, "more")), "store.lost");
}

TEST_F(SqliteRoom, NothingThatBelongsToItsLifeIsTakenForALoss) {
  open();
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 10; ++i)
      must(put_one(*store_, std::to_string(i), 1000U * static_cast<unsigned>(round % 7 + 1)));
    ASSERT_FALSE(store_->watch().lost) << round;
    if (round % 3 == 0) must(store_->checkpoint());
    if (round % 5 == 0)
      must(store_->transact([](Tx& tx) -> base::Status {
        for (int i = 0; i < 10; ++i) DP_CHECK(tx.remove(north, "k", std::to_string(i)));
        return {};
      }));
    ASSERT_FALSE(store_->watch().lost) << round;
    if (round % 4 == 0) {
      // As a backup does that moves the log first.
      sqlite3* other = nullptr;
      ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
      EXPECT_EQ(sqlite3_exec(other, "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr), SQLITE_OK);
      sqlite3_close(other);
      EXPECT_EQ(fs::file_size(path_ + "-wal"), 0U);
    }
    ASSERT_FALSE(store_->watch().lost) << round;
  }
  must(put_one(*store_, "more"));
}

}  // namespace
}  // namespace daypass::store::sqlite
