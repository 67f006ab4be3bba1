// A store on files after SIGKILL at random instants, and after a power cut that left only a part of the log on the
// disk: every acknowledged transaction is there, whole and in order.
#include <gtest/gtest.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "conformance/store_files.h"
#include "conformance/store_samples.h"
#include "store/audit_verify.h"
#include "store/sqlite/sqlite_store.h"

namespace daypass::store::conformance {
namespace {

using sqlite::SqliteStore;

std::string key_of(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(8 - digits.size(), '0') + digits;
}

/// Transaction `number`: a grant with its intent, a document, an audit record, all of that number.
base::Status write_number(Tx& tx, std::uint64_t number) {
  core::Grant grant = make_grant(north, number);
  DP_CHECK(tx.save_grant(grant));
  DP_CHECK(tx.open_intent(make_intent(grant.id, 1)));
  Document document = make_document(north, "k", key_of(number), std::string(number * 37 % 6000, 'x'));
  DP_CHECK(tx.put(document, 0));
  core::AuditEvent event = make_event(north, key_of(number));
  DP_CHECK(tx.append_audit(event));
  if (event.seq == number) return {};
  return base::Error{base::Code::internal, "test.seq", "another number than expected"};
}

/// How many transactions are there; fails the test unless they are whole and the first ones.
std::uint64_t whole_transactions(Store& store) {
  const auto reader = must(store.snapshot());
  const std::uint64_t count = must(verify_audit(*reader, north)).records;
  const auto documents = must(reader->list(north, "k", "", "", 1'000'000, at(0)));
  EXPECT_EQ(documents.size(), count);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    EXPECT_EQ(documents[i].key, key_of(i));
    EXPECT_EQ(documents[i].body.size(), i * 37 % 6000);
  }
  EXPECT_EQ(must(reader->grants({})).size(), count);
  EXPECT_EQ(must(reader->open_intents()).size(), count);
  for (std::uint64_t i = 0; i < count; ++i)
    EXPECT_EQ(must(core::audit_from_canonical(must(reader->audit(north, i, 1)).at(0))).action, key_of(i));
  return count;
}

/// Writes until it is killed, `micros` after it opened the store, or after its first commit: the first catches the
/// store young, the second is sure to write however slow the machine is. Tells each commit by one byte.
[[noreturn]] void write_until_killed(const std::string& path, std::uint64_t number, long micros, bool after_first,
                                     int acknowledge) {
  std::signal(SIGALRM, [](int) { kill(getpid(), SIGKILL); });
  auto store = SqliteStore::open(path);
  if (!store.ok()) _exit(1);
  const itimerval timer{{0, 0}, {0, micros}};
  if (!after_first) setitimer(ITIMER_REAL, &timer, nullptr);
  for (const std::uint64_t first = number;; ++number) {
    if (!(*store)->transact([&](Tx& tx) { return write_number(tx, number); }).ok()) _exit(2);
    if (write(acknowledge, "c", 1) != 1) _exit(3);
    if (after_first && number == first) setitimer(ITIMER_REAL, &timer, nullptr);
    if (number % 5 == 0 && !(*store)->checkpoint().ok()) _exit(4);
  }
}

TEST(StoreCrash, EveryAcknowledgedTransactionSurvivesSigkill) {
  const TemporaryFolder folder;
  const std::string path = folder.path("store.db");
  std::mt19937 random(20'261'124);
  std::uint64_t acknowledged = 0;
  int killed_while_writing = 0;
  for (int round = 0; round < 25; ++round) {
    int channel[2];
    ASSERT_EQ(pipe(channel), 0);
    const long micros = 500 + static_cast<long>(random() % 30'000);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_until_killed(path, acknowledged, micros, round % 2 == 1, channel[1]);
    close(channel[1]);
    std::uint64_t commits = 0;
    char buffer[256];
    for (ssize_t n = 0; (n = read(channel[0], buffer, sizeof buffer)) > 0;) commits += static_cast<std::uint64_t>(n);
    close(channel[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended by itself: " << status;

    const std::uint64_t there = whole_transactions(*must(SqliteStore::open(path)));
    // One more than acknowledged may be there: it was committed, and killed before it could tell.
    ASSERT_GE(there, acknowledged + commits) << "round " << round;
    ASSERT_LE(there, acknowledged + commits + 1) << "round " << round;
    acknowledged = there;
    if (commits > 0) ++killed_while_writing;
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GE(killed_while_writing, 12) << "too few rounds wrote anything";
}

/// The store's files as a power cut would leave them: the log cut at `length`, or filled with zeros from there on.
void copy_cut(const std::string& from, const std::string& to, std::size_t length, bool zeros) {
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy_file(from + "-wal", to + "-wal", std::filesystem::copy_options::overwrite_existing);
  const auto whole = std::filesystem::file_size(to + "-wal");
  std::filesystem::resize_file(to + "-wal", length);
  if (zeros) std::filesystem::resize_file(to + "-wal", whole);
}

TEST(StoreCrash, APowerCutLeavesTheFirstTransactionsWhole) {
  const TemporaryFolder folder;
  const std::string path = folder.path("store.db");
  // From an empty log on, so that each length of it is some instant of the writing.
  must(SqliteStore::open(path));
  const auto store = must(SqliteStore::open(path));
  std::vector<std::uint64_t> ends;  // of each transaction in the log
  for (std::uint64_t number = 0; number < 12; ++number) {
    must(store->transact([&](Tx& tx) { return write_number(tx, number); }));
    ends.push_back(std::filesystem::file_size(path + "-wal"));
  }
  const std::uint64_t first = ends.front() / 4096 * 4096 / 2;
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const std::uint64_t length =
        round % 3 == 0 ? ends[random() % ends.size()] : first + random() % (ends.back() - first);
    const std::string copy = folder.path("copy" + std::to_string(round) + ".db");
    copy_cut(path, copy, length, round % 2 == 0);
    const auto reopened = SqliteStore::open(copy);
    ASSERT_TRUE(reopened.ok()) << reopened.error().message;
    const std::uint64_t there = whole_transactions(**reopened);
    const auto wanted =
        static_cast<std::uint64_t>(std::ranges::count_if(ends, [&](auto end) { return end <= length; }));
    ASSERT_EQ(there, wanted) << "log of " << length << " bytes";
    must((*reopened)->transact([&](Tx& tx) { return write_number(tx, there); }));
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace daypass::store::conformance
