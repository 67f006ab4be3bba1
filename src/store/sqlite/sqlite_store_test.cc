// What the store suite can't know: files, owners, settings, query plans. Faults and tampering have files of their own.
#include "store/sqlite/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "store/audit_leaf.h"
#include "store/audit_verify.h"
#include "store/sqlite/reads.h"
#include "store/sqlite/schema.h"
#include "test/conformance/store_files.h"
#include "test/conformance/store_samples.h"

namespace daypass::store::sqlite {
namespace {

using namespace conformance;
using testing::HasSubstr;

class SqliteFiles : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_.path("store.db");
  base::Result<std::unique_ptr<SqliteStore>> open(const Options& options = {}) {
    return SqliteStore::open(path_, options);
  }
};

base::Status put_one(Store& store, std::string key, std::string body = "{}") {
  return store.transact([&](Tx& tx) {
    Document document = make_document(north, "k", key, body);
    return tx.put(document, std::nullopt);
  });
}
std::size_t count(Store& store) {
  return must(must(store.snapshot())->list(north, "k", "", "", 10'000, at(0))).size();
}
/// Over a connection that Daypass knows nothing of.
void by_hand(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

TEST_F(SqliteFiles, ASecondOpenerIsRefusedAndToldWho) {
  auto first = must(open());
  const auto second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, base::Code::conflict);
  EXPECT_EQ(second.error().check, "store.in_use");
  EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(getpid())));
  EXPECT_FALSE(second.error().hint.empty());
  must(put_one(*first, "still works"));
  first.reset();
  EXPECT_EQ(count(*must(open())), 1U);
}

TEST_F(SqliteFiles, ASecondNameOfTheStoreIsTheSameStore) {
  const auto first = must(open());
  std::filesystem::create_symlink("store.db", folder_.path("other.db"));
  EXPECT_EQ(check_of(SqliteStore::open(folder_.path("other.db"))), "store.in_use");
  std::filesystem::create_directory_symlink(".", folder_.path("same"));
  EXPECT_EQ(check_of(SqliteStore::open(folder_.path("same/store.db"))), "store.in_use");
}

TEST_F(SqliteFiles, AnotherProcessHoldsItUntilItIsKilled) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto store = open();
    const char answer = store.ok() ? 'y' : 'n';
    static_cast<void>(write(ready[1], &answer, 1));
    pause();
    _exit(0);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  const auto refused = open();
  EXPECT_EQ(check_of(refused), "store.in_use");
  if (!refused.ok()) {
    EXPECT_THAT(refused.error().message, HasSubstr("process " + std::to_string(child)));
  }
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(check_of(open()), "ok");
  close(ready[0]);
  close(ready[1]);
}

TEST_F(SqliteFiles, AnOwnerThatWakesAfterATakeoverWritesNothing) {
  const auto old_owner = must(open());
  must(put_one(*old_owner, "before"));
  // What makes two owners possible: the lock file vanished (a cleaner, a restore, another host on a shared disk).
  std::filesystem::remove(path_ + ".lock");
  const auto new_owner = must(open());
  bool ran = false;
  const auto refused = old_owner->transact([&](Tx&) -> base::Status {
    ran = true;
    return {};
  });
  EXPECT_EQ(check_of(refused), "store.lost");
  EXPECT_FALSE(ran);
  EXPECT_EQ(check_of(old_owner->sweep(at(0), 10)), "store.lost");
  EXPECT_EQ(check_of(put_one(*old_owner, "again")), "store.lost");
  must(put_one(*new_owner, "after"));
  EXPECT_EQ(count(*new_owner), 2U);
}

TEST_F(SqliteFiles, ARemovedOrReplacedFileIsNoticed) {
  const auto store = must(open());
  must(put_one(*store, "before"));
  std::filesystem::rename(path_, folder_.path("moved.db"));
  EXPECT_EQ(check_of(put_one(*store, "into nothing")), "store.lost");
  std::ofstream(path_) << "something else";
  EXPECT_EQ(check_of(put_one(*store, "into nothing")), "store.lost");
  std::filesystem::remove(path_);
  std::filesystem::rename(folder_.path("moved.db"), path_);
  EXPECT_EQ(check_of(put_one(*store, "back again")), "ok");
}

TEST_F(SqliteFiles, AllFilesArePrivate) {
  const mode_t old_mask = umask(0);
  const auto store = must(open());
  must(put_one(*store, "k"));
  umask(old_mask);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path(""))) {
    struct stat found{};
    ASSERT_EQ(stat(entry.path().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U) << entry.path();
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("store.db", "store.db-wal", "store.db-shm", "store.db.lock"));
}

TEST_F(SqliteFiles, AStoreThatOthersMayReadIsRefused) {
  must(open());
  for (const mode_t mode : {0644U, 0660U, 0604U}) {
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    const auto refused = open();
    EXPECT_EQ(check_of(refused), "store.permissions");
    EXPECT_THAT(refused.error().hint, HasSubstr("chmod 600 "));
  }
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  EXPECT_EQ(check_of(open()), "ok");
}

TEST_F(SqliteFiles, PathsThatAreNoFile) {
  std::filesystem::create_directory(folder_.path("folder"));
  std::filesystem::create_symlink("nowhere", folder_.path("dangling"));
  for (const std::string name : {"", "folder", "folder/", "missing/store.db", "dangling", "store.db/x"})
    EXPECT_EQ(check_of(SqliteStore::open(folder_.path(name))), "store.path") << name;
  EXPECT_EQ(check_of(SqliteStore::open("")), "store.path");
  EXPECT_EQ(check_of(SqliteStore::open(std::string("a\0b", 3))), "store.path");
  // A relative name that looks like a URI is a name.
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path(""));
  EXPECT_EQ(check_of(SqliteStore::open("file:x?mode=memory")), "ok");
  std::filesystem::current_path(here);
  EXPECT_TRUE(std::filesystem::exists(folder_.path("file:x?mode=memory")));
}

TEST_F(SqliteFiles, OtherPeoplesFilesAreLeftAlone) {
  by_hand(path_, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  const auto size = std::filesystem::file_size(path_);
  EXPECT_EQ(check_of(open()), "store.foreign");
  EXPECT_EQ(std::filesystem::file_size(path_), size);
  by_hand(path_, "INSERT INTO t VALUES (2)");

  std::ofstream(path_, std::ios::trunc) << "this is a text, not a database, and longer than a header: "
                                        << std::string(600, '.');
  EXPECT_EQ(check_of(open()), "store.corrupt");
}

TEST_F(SqliteFiles, ANewerSchemaIsRefusedAndLeftAsItIs) {
  must(open());
  const int newer = newest_schema() + 1;
  by_hand(path_, "INSERT INTO migrations VALUES (" + std::to_string(newer) + ", 'later', '9.9.9')");
  const auto refused = open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().check, "store.schema_newer");
  EXPECT_THAT(refused.error().message, HasSubstr("schema " + std::to_string(newer)));
  by_hand(path_, "DELETE FROM migrations WHERE name = 'later'");
  EXPECT_EQ(check_of(open()), "ok");
}

TEST_F(SqliteFiles, MigrationsRunOnceAndEveryOwnerIsCounted) {
  for (int i = 0; i < 3; ++i) must(put_one(*must(open()), std::to_string(i)));
  const auto db = must(Connection::open(path_, Connection::Mode::write, base::Millis(100)));
  EXPECT_EQ(must(db->number("SELECT count(*) FROM migrations", -1)), newest_schema());
  EXPECT_EQ(must(db->number("SELECT epoch FROM owner", -1)), 3);
  EXPECT_EQ(must(db->number("PRAGMA application_id", -1)), 0x44617970);
}

/// A store of before the outlines: what it has is found, says "at once" where nobody knows better, and is right again
/// as soon as it is written.
TEST_F(SqliteFiles, AStoreOfTheFirstSchemaGetsItsOutlines) {
  core::Grant quiet = make_grant(north, 1), busy = make_grant(north, 2), closed = make_grant(north, 3);
  quiet.state = core::GrantState::active;
  busy.state = core::GrantState::active;
  busy.open = core::IntentKind::extend;
  closed.state = core::GrantState::closed;
  {
    const auto store = must(open());
    must(store->transact([&](Tx& tx) -> base::Status {
      for (core::Grant* g : {&quiet, &busy, &closed}) DP_CHECK(tx.save_grant(*g));
      return {};
    }));
  }
  by_hand(path_,
          "DROP TRIGGER audit_is_never_changed; CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN"
          " SELECT RAISE(ABORT, 'an audit record is never changed'); END; DROP INDEX open_grants; DROP INDEX "
          "open_grants_by_session; DROP INDEX open_grants_by_end;"
          "DROP INDEX open_grants_by_idleness; ALTER TABLE grants DROP COLUMN wake_at;"
          "ALTER TABLE grants DROP COLUMN wake_idle; ALTER TABLE grants DROP COLUMN settled;"
          "CREATE INDEX live_grants_by_target ON grants (target) WHERE state <> 'closed';"
          "DELETE FROM migrations WHERE version > 1");
  const auto store = must(open());
  const auto lines = must(must(store->snapshot())->outline({}, By::end, nullptr));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].wake, (core::Wake{{}, {}, true}));
  EXPECT_EQ(lines[1].wake, core::Wake{});
  must(store->transact([&](Tx& tx) { return tx.save_grant(quiet); }));
  EXPECT_EQ(must(must(store->snapshot())->outline({}, By::end, nullptr)).back().wake, core::wake_of(quiet));
}

/// A page of outlines is read from an index in its order: of a million grants none is looked at that is not asked for.
TEST_F(SqliteFiles, OutlinesAreReadFromAnIndexInItsOrder) {
  must(open());
  const auto db = must(Connection::open(path_, Connection::Mode::read, base::Millis(100)));
  for (const By order : {By::place, By::end, By::idleness})
    for (unsigned bits = 0; bits < 8; ++bits) {
      Selector s;
      if ((bits & 1U) != 0) s.tenant = north;
      if ((bits & 2U) != 0) s.session = core::SessionId("ls_a");
      if ((bits & 4U) != 0) s.target = core::TargetId("pg/orders");
      if (order != By::place && bits != 0) continue;       // due ones are asked for of all
      if ((bits & 4U) != 0 && (bits & 3U) == 0) continue;  // nor does a target without its tenant mean anything
      for (const bool behind : {false, true}) {
        const std::string sql = outline_sql(s, order, behind);
        Query plan(*db, "EXPLAIN QUERY PLAN " + sql);
        for (auto n = std::ranges::count(sql, '?'); n > 0; --n) plan.number(std::int64_t{1});
        std::string text;
        while (must(plan.row())) text += plan.bytes_at(3) + "\n";
        // What one login has is few, and may be sorted.
        if ((bits & 2U) == 0) {
          EXPECT_EQ(text.find("TEMP B-TREE"), std::string::npos) << sql << "\n" << text;
        }
        EXPECT_NE(text.find("INDEX open_grants"), std::string::npos) << sql << "\n" << text;
        if ((bits & 2U) != 0) {
          EXPECT_NE(text.find("open_grants_by_session (session=?"), std::string::npos) << text;
        }
      }
    }
}

TEST_F(SqliteFiles, SettingsAreOn) {
  const auto store = must(open());
  const auto writer = must(Connection::open(path_, Connection::Mode::write, base::Millis(100)));
  const auto reader = must(Connection::open(path_, Connection::Mode::read, base::Millis(100)));
  for (Connection* db : {writer.get(), reader.get()}) {
    EXPECT_EQ(must(db->number("PRAGMA foreign_keys", -1)), 1);
    EXPECT_EQ(must(db->number("PRAGMA trusted_schema", -1)), 0);
    EXPECT_EQ(must(db->number("PRAGMA temp_store", -1)), 2);
    Query mode(*db, "PRAGMA journal_mode");
    ASSERT_TRUE(must(mode.row()));
    EXPECT_EQ(mode.bytes_at(0), "wal");
  }
  EXPECT_EQ(must(writer->number("PRAGMA synchronous", -1)), 2) << "FULL";
  EXPECT_EQ(must(writer->number("PRAGMA secure_delete", -1)), 1);
  EXPECT_FALSE(reader->run("DELETE FROM documents").ok());
  EXPECT_FALSE(writer->run("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = ''").ok()) << "defensive";
}

/// Byte by byte in every file of the store.
bool anywhere(const std::string& path, std::string_view text) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::ifstream in(path + suffix, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    if (bytes.find(text) != std::string::npos) return true;
  }
  return false;
}

TEST_F(SqliteFiles, WhatWasErasedIsInNoFileAnyMore) {
  const auto store = must(open());
  core::AuditEvent event = make_event(north);
  event.actor = "corp/whoever-wants-to-go";
  base::SystemEntropy entropy;
  cover_persons(event, entropy);
  core::Grant grant = make_grant(north, 1);
  grant.principal = event.actor;
  grant.state = core::GrantState::closed;
  must(store->transact([&](Tx& tx) -> base::Status {
    // Beside others, on pages that stay.
    for (int i = 0; i < 100; ++i) {
      core::AuditEvent other = make_event(north, "event");
      DP_CHECK(tx.append_audit(other));
    }
    DP_CHECK(tx.append_audit(event));
    return tx.save_grant(grant);
  }));
  must(put_one(*store, "k", event.actor));
  EXPECT_TRUE(anywhere(path_, event.actor));
  must(store->transact([&](Tx& tx) -> base::Status {
    core::AuditEvent less = event;
    erase_covered(less, {"actor"});
    DP_CHECK(tx.rewrite_audit(north, event.seq, core::canonical(less)));
    DP_TRY([[maybe_unused]] const bool gone, tx.remove_closed(grant.id));
    DP_TRY([[maybe_unused]] const bool too, tx.remove(north, "k", "k"));
    return {};
  }));
  EXPECT_TRUE(anywhere(path_, event.actor)) << "still in the log";
  {
    const auto reader = must(store->snapshot());
    must(put_one(*store, "after", "what the snapshot does not see"));
    EXPECT_EQ(check_of(store->scrub()), "store.busy") << "somebody still reads it";
  }
  must(store->scrub());
  EXPECT_FALSE(anywhere(path_, event.actor));
  EXPECT_FALSE(store->watch().lost) << "it was we who emptied the log";
  must(put_one(*store, "later"));
  EXPECT_EQ(check_of(verify_audit(*must(store->snapshot()), north)), "ok");
}

TEST_F(SqliteFiles, NoQueryWalksThroughAllGrants) {
  const auto store = must(open());
  const auto db = must(Connection::open(path_, Connection::Mode::read, base::Millis(100)));
  for (unsigned bits = 0; bits < 32; ++bits) {
    Selector s;
    if ((bits & 1U) != 0) s.tenant = north;
    if ((bits & 2U) != 0) s.session = core::SessionId("s");
    if ((bits & 4U) != 0) s.principal = "p";
    if ((bits & 8U) != 0) s.target = core::TargetId("pg/t");
    s.include_closed = (bits & 16U) != 0;
    if (bits == 16) continue;  // asks for all there is
    Query plan(*db, "EXPLAIN QUERY PLAN " + selector_sql(s));
    for (unsigned field = 1; field < 16; field <<= 1U)
      if ((bits & field) != 0) plan.text("x");
    plan.number(std::int64_t{10});
    std::string text;
    while (must(plan.row())) text += plan.bytes_at(3) + "\n";
    EXPECT_TRUE(text.find("SEARCH grants") != std::string::npos ||
                text.find("SCAN grants USING INDEX live_") != std::string::npos)
        << bits << ": " << text;
  }
}

TEST_F(SqliteFiles, ACheckpointEmptiesTheLogUnlessASnapshotNeedsIt) {
  const auto store = must(open());
  must(put_one(*store, "a", std::string(100'000, 'a')));
  const auto all = must(store->checkpoint());
  EXPECT_GT(all.frames, 20);
  EXPECT_EQ(all.moved, all.frames);
  {
    const auto old = must(store->snapshot());
    must(put_one(*store, "b", std::string(100'000, 'b')));
    must(put_one(*store, "a", std::string(100'000, 'c')));
    const auto some = must(store->checkpoint());
    EXPECT_LT(some.moved, some.frames);
    EXPECT_EQ(must(old->get(north, "k", "a", at(0)))->body, std::string(100'000, 'a'));
  }
  const auto rest = must(store->checkpoint());
  EXPECT_EQ(rest.moved, rest.frames);
}

TEST_F(SqliteFiles, ASnapshotMayOutliveTheStore) {
  auto store = must(open());
  must(put_one(*store, "k", "old"));
  auto snapshot = must(store->snapshot());
  store.reset();
  EXPECT_EQ(must(snapshot->get(north, "k", "k", at(0)))->body, "old");
  EXPECT_EQ(check_of(open()), "ok") << "the lock is the store's, not the snapshot's";
}

TEST_F(SqliteFiles, MoreSnapshotsThanThePoolKeeps) {
  Options options;
  options.idle_readers = 2;
  const auto store = must(open(options));
  for (int round = 0; round < 3; ++round) {
    must(put_one(*store, std::to_string(round)));
    std::vector<std::unique_ptr<Reader>> open_at_once;
    for (int i = 0; i < 10; ++i) open_at_once.push_back(must(store->snapshot()));
    for (const auto& reader : open_at_once)
      EXPECT_EQ(must(reader->list(north, "k", "", "", 99, at(0))).size(), static_cast<std::size_t>(round + 1));
  }
}

TEST_F(SqliteFiles, WritersOnTwoThreadsTakeTurns) {
  const auto store = must(open());
  must(put_one(*store, "counter", "0"));
  const auto count_up = [&] {
    for (int i = 0; i < 50; ++i)
      must(store->transact([&](Tx& tx) -> base::Status {
        DP_TRY(auto document, tx.get(north, "k", "counter", at(0)));
        const std::uint64_t version = document->version;
        document->body = std::to_string(std::stoi(document->body) + 1);
        return tx.put(*document, version);
      }));
  };
  std::thread other(count_up);
  count_up();
  other.join();
  EXPECT_EQ(must(must(store->snapshot())->get(north, "k", "counter", at(0)))->body, "100");
}

TEST_F(SqliteFiles, TransactWithinTransactIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto store = must(open());
  EXPECT_DEATH(static_cast<void>(store->transact([&](Tx&) { return put_one(*store, "inner"); })), "invariant broken");
}

}  // namespace
}  // namespace daypass::store::sqlite
