#include "store/sqlite/sqlite_store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <thread>

#include "store/sqlite/connection.h"
#include "store/sqlite/files.h"
#include "store/sqlite/reserve.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/tx.h"

namespace daypass::store::sqlite {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

/// Snapshot connections. Shared by the store and its snapshots, so that either may go first.
class ReaderPool {
 public:
  ReaderPool(std::string path, const Options& options) : path_(std::move(path)), options_(options) {}

  Result<std::unique_ptr<Connection>> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
    }
    return Connection::open(path_, Connection::Mode::read, options_.busy_timeout);
  }

  void give_back(std::unique_ptr<Connection> connection) {
    connection->rollback();
    // One that failed once is not trusted with another reader.
    if (connection->failure() || connection->in_transaction()) return;
    const std::lock_guard lock(mutex_);
    if (idle_.size() < options_.idle_readers) idle_.push_back(std::move(connection));
  }

 private:
  const std::string path_;
  const Options options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

class Snapshot final : public Reads<Reader> {
 public:
  Snapshot(std::unique_ptr<Connection> connection, std::shared_ptr<ReaderPool> pool)
      : Reads(*connection), connection_(std::move(connection)), pool_(std::move(pool)) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  ~Snapshot() override { pool_->give_back(std::move(connection_)); }

 private:
  std::unique_ptr<Connection> connection_;
  std::shared_ptr<ReaderPool> pool_;
};

constexpr std::int64_t most_log_kept = 67'108'864;  ///< what a log that is begun anew keeps of its length

constexpr int scrub_patience_ms = 20;

constexpr const char* read_epoch = "SELECT epoch FROM owner";

Status start_log(Connection& writer, const Options& options) {
  {
    Query query(writer, "PRAGMA journal_mode = WAL");
    DP_TRY(const bool answered, query.row());
    if (!answered || query.bytes_at(0) != "wal")
      return Error{Code::invalid, "store.wal", "the store's file system can't hold its write-ahead log",
                   "put the store on a local file system"};
  }
  // checkpoint() does this work on another connection; the writer does it only when nobody calls that.
  DP_CHECK(writer.run("PRAGMA wal_autocheckpoint = 16384"));
  DP_CHECK(writer.run(("PRAGMA journal_size_limit = " + std::to_string(most_log_kept)).c_str()));
  if (options.most_pages == 0) return {};
  const std::string limit = "PRAGMA max_page_count = " + std::to_string(options.most_pages);
  return writer.run(limit.c_str());
}

/// Brings the schema up to date and takes the store over: the epoch counts its owners.
Result<std::int64_t> take_over(Connection& writer) {
  DP_CHECK(writer.run("BEGIN IMMEDIATE"));
  DP_CHECK(migrate(writer));
  DP_CHECK(writer.run("UPDATE owner SET epoch = epoch + 1"));
  DP_TRY(const std::int64_t epoch, writer.number(read_epoch, 0));
  DP_CHECK(writer.run("COMMIT"));
  return epoch;
}

std::int64_t size_of(const std::string& file) noexcept {
  struct stat found{};
  return stat(file.c_str(), &found) == 0 ? std::int64_t{found.st_size} : -1;
}

/// One of the store's files as it was opened, and how long it has been: neither ever becomes shorter by itself, but for
/// a log that is begun anew.
struct Watched {
  std::string path, what;
  FileIdentity identity = {};
  std::int64_t size = 0;  ///< at least
};

Error lost(std::string why) {
  return {Code::unavailable, "store.lost", "this process no longer owns the store: " + std::move(why),
          "stop it; it writes nothing more"};
}

}  // namespace

struct SqliteStore::Inner {
  Inner(std::string store, const Options& o)
      : path(std::move(store)),
        options(o),
        folder(std::filesystem::path(path).parent_path()),
        reserve(path, o.reserve) {}

  // In the order of opening: the connections are closed before the lock is let go.
  const std::string path;
  const Options options;
  const std::string folder;
  std::unique_ptr<OwnerLock> lock;
  std::unique_ptr<Connection> writer;
  std::int64_t epoch = 0;
  std::shared_ptr<ReaderPool> readers;

  std::mutex writing;
  std::atomic<std::thread::id> writing_thread;  ///< who holds `writing`

  std::mutex checkpointing;
  std::unique_ptr<Connection> checkpointer;

  std::mutex watching;  ///< guards what follows, and is held while a disk is asked
  Condition condition;
  Reserve reserve;
  Watched database, log, lock_file;
  std::atomic<bool> is_lost{false};

  mutable std::mutex telling;  ///< taken last
  Condition told;              ///< the condition, for whoever asks
  void tell() {
    const std::lock_guard guard(telling);
    told = condition;
  }

  /// The disk took no more: what is kept for this moment is given up now, not when somebody looks next.
  void ran_out() {
    const std::lock_guard guard(watching);
    if (reserve.wanted() == 0) return;
    condition.low = condition.reserve_used = true;
    condition.reserved = 0;
    reserve.give_up();
    if (!condition.lost) condition.why = no_reserve();
    tell();
  }
  /// Moving the log into the database makes that longer first: from the reserve it is done only where it can be
  /// finished.
  bool may_move_log() {
    {
      const std::lock_guard guard(telling);
      if (!told.reserve_used) return true;
    }
    const std::int64_t length = size_of(path + "-wal");
    return length >= 0 && static_cast<std::uint64_t>(length) < free_bytes(folder).value_or(0);
  }
  ~Inner() {
    // SQLite would do the same when the last connection is closed.
    if (!writer || may_move_log()) return;
    for (Connection* c : {writer.get(), checkpointer.get()})
      if (c != nullptr) sqlite3_db_config(c->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;
  static std::string no_reserve() {
    return "the disk that holds the store is full: what ends access is written into the room that was kept for it";
  }
  /// Who finds one of the files changed writes nothing more, whatever is there later: what was committed may be gone.
  void give_up_as_lost(std::string why) {
    if (!condition.lost) condition.why = std::move(why);
    condition.lost = true;
    tell();
    is_lost = true;
  }
  void look_at_files();
  void look_at_room();

  /// Starts a write transaction, unless somebody else owns the store by now.
  Status begin() {
    writer->rollback();
    writer->forget_failure();
    if (is_lost) {
      const std::lock_guard guard(telling);
      return lost(told.why);
    }
    // A file put in the place of ours (a restored backup) has owners of its own; ours has no name any more.
    if (identity_of(path) != database.identity) return lost("its file was removed or replaced");
    DP_CHECK(writer->run("BEGIN IMMEDIATE"));
    // Compared under the write lock: until this transaction ends nobody can take over.
    DP_TRY(const std::int64_t now, writer->number(read_epoch, 0));
    if (now == epoch) return {};
    writer->rollback();
    return lost("another one took it over");
  }
};

SqliteStore::SqliteStore(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
SqliteStore::~SqliteStore() = default;

void SqliteStore::Inner::look_at_files() {
  for (Watched* file : {&database, &log, &lock_file}) {
    if (identity_of(file->path) != file->identity) return give_up_as_lost(file->what + " was removed or replaced");
    const std::int64_t size = size_of(file->path);
    if (file != &lock_file && size < file->size) {
      bool cut = true;
      if (file == &log) {
        // Another program may have emptied it by the book, after moving all of it into the database.
        int frames = 0;
        const std::lock_guard turn(checkpointing);
        constexpr std::int64_t header = 32, frame = 4096 + 24;
        cut = sqlite3_wal_checkpoint_v2(checkpointer->raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, nullptr) !=
                  SQLITE_OK ||
              (frames > 0 && size_of(file->path) < header + frames * frame);
      }
      if (cut) return give_up_as_lost(file->what + " was cut short");
      file->size = 0;
    }
    file->size = std::max(file->size, file == &log ? std::min(size, most_log_kept) : size);
  }
}

void SqliteStore::Inner::look_at_room() {
  const std::uint64_t left = free_bytes(folder).value_or(0);
  condition.free = left;
  if (!reserve.still_there() && left >= reserve.wanted() + options.min_free)
    // One that can't be made is said below.
    if (const Status made = reserve.make(); made.ok()) condition.free = free_bytes(folder).value_or(0);
  condition.reserved = reserve.size();
  condition.reserve_used = reserve.wanted() != 0 && reserve.size() == 0;
  // A little more before it is enough again: neither answer should last for one record only.
  const std::uint64_t enough = condition.low ? options.min_free + options.min_free / 8 : options.min_free;
  condition.low = condition.reserve_used || condition.free < enough;
  if (condition.lost) return;
  if (condition.reserve_used)
    condition.why = no_reserve();
  else if (condition.low)
    condition.why = "the disk that holds the store is nearly full: " + std::to_string(condition.free >> 20U) +
                    " MiB are left, " + std::to_string(options.min_free >> 20U) + " are wanted";
  else
    condition.why.clear();
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, const Options& options) {
  DP_TRY(const std::string whole, canonical_path(path));
  const auto start = [&]() -> Result<std::unique_ptr<Inner>> {
    auto inner = std::make_unique<Inner>(whole, options);
    DP_TRY(inner->lock, OwnerLock::take(whole));
    DP_CHECK(prepare_file(whole));
    DP_TRY(inner->writer, Connection::open(whole, Connection::Mode::write, options.busy_timeout));
    inner->database = {whole, "its file", identity_of(whole)};
    DP_CHECK(check_is_ours(*inner->writer));
    DP_CHECK(start_log(*inner->writer, options));
    DP_TRY(inner->epoch, take_over(*inner->writer));
    DP_TRY(inner->checkpointer, Connection::open(whole, Connection::Mode::write, options.busy_timeout));
    inner->readers = std::make_shared<ReaderPool>(whole, options);
    inner->log = {whole + "-wal", "its write-ahead log", identity_of(whole + "-wal")};
    inner->lock_file = {whole + ".lock", "its lock", identity_of(whole + ".lock")};
    return inner;
  };
  auto inner = start();
  // What is kept for this moment: a server that can't start on a full disk ends nobody's access.
  if (!inner.ok() && inner.error().check == "store.full" && Reserve(whole, options.reserve).give_up()) inner = start();
  if (!inner.ok()) return std::move(inner).error();
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(*inner)));
  store->watch();
  return store;
}

Condition SqliteStore::watch() {
  const std::lock_guard guard(inner_->watching);
  if (!inner_->condition.lost) inner_->look_at_files();
  inner_->look_at_room();
  inner_->tell();
  return inner_->condition;
}

Condition SqliteStore::condition() const {
  const std::lock_guard guard(inner_->telling);
  return inner_->told;
}

Status SqliteStore::write(const std::function<Status()>& work) {
  Status done = try_write(work);
  if (!done.ok() && done.error().check == "store.full") inner_->ran_out();
  return done;
}

/// `work` inside a write transaction, by whoever's turn it is.
Status SqliteStore::try_write(const std::function<Status()>& work) {
  Inner& in = *inner_;
  DP_ASSERT(in.writing_thread.load() != std::this_thread::get_id());  // transact within transact would wait for itself
  const std::lock_guard turn(in.writing);
  struct Mark {
    std::atomic<std::thread::id>& holder;
    explicit Mark(std::atomic<std::thread::id>& h) : holder(h) { holder = std::this_thread::get_id(); }
    ~Mark() { holder = std::thread::id(); }
  } const mark(in.writing_thread);

  DP_CHECK(in.begin());
  Status status;
  try {
    status = work();
  } catch (...) {
    in.writer->rollback();
    throw;
  }
  // What the store itself reports counts, whatever `work` made of it.
  if (in.writer->failure()) status = *in.writer->failure();
  if (status.ok()) status = in.writer->run("COMMIT");
  in.writer->rollback();  // also after a COMMIT that failed: it leaves the transaction open
  return status;
}

Status SqliteStore::transact(const std::function<Status(Tx&)>& fn) {
  return write([&]() -> Status {
    SqliteTx tx(*inner_->writer);
    return fn(tx);
  });
}

Result<std::unique_ptr<Reader>> SqliteStore::snapshot() {
  DP_TRY(auto connection, inner_->readers->take());
  DP_CHECK(connection->run("BEGIN DEFERRED"));
  // The first read fixes what the snapshot sees: now, not whenever its user reads first.
  DP_TRY([[maybe_unused]] const std::int64_t epoch, connection->number(read_epoch, 0));
  return std::unique_ptr<Reader>(std::make_unique<Snapshot>(std::move(connection), inner_->readers));
}

Status SqliteStore::sweep(base::WallTime now, std::size_t most) {
  return write([&]() -> Status {
    Connection& db = *inner_->writer;
    {
      Query query(db, "DELETE FROM documents WHERE n IN (SELECT n FROM documents WHERE expires_at <= ? LIMIT ?)");
      DP_CHECK(query.time(now).size(most).run());
    }
    const std::size_t left = most - static_cast<std::size_t>(db.changes());
    Query query(
        db,
        "DELETE FROM used_keys WHERE (tenant, key) IN (SELECT tenant, key FROM used_keys WHERE until <= ? LIMIT ?)");
    return query.time(now).size(left).run();
  });
}

Result<Checkpoint> SqliteStore::checkpoint() {
  auto done = [&]() -> Result<Checkpoint> {
    const std::lock_guard lock(inner_->checkpointing);
    Checkpoint out;
    if (!inner_->may_move_log()) return out;
    errno = 0;
    sqlite3* db = inner_->checkpointer->raw();
    const int code = sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_PASSIVE, &out.frames, &out.moved);
    // Busy: the writer is at the same work just now.
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return error_of(code, errno, sqlite3_errmsg(db));
    return out;
  }();
  // A log that can't be moved only grows.
  if (!done.ok() && done.error().check == "store.full") inner_->ran_out();
  return done;
}

// Rows that were deleted or replaced are overwritten where they were (secure_delete), but older copies of their pages
// stand in the write-ahead log until it is emptied.
Status SqliteStore::scrub() {
  auto done = [&]() -> Status {
    const std::lock_guard lock(inner_->checkpointing);
    if (!inner_->may_move_log())
      return Error{Code::unavailable, "store.full", Inner::no_reserve(), "free space on the store's file system"};
    sqlite3* db = inner_->checkpointer->raw();
    errno = 0;
    // All of it is moved while the writer goes on; emptying the log holds the writer up, so it is tried only where
    // nobody reads what is in it.
    int frames = 0, moved = 0;
    int code = sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
    if (code == SQLITE_OK && moved < frames) code = SQLITE_BUSY;
    if (code == SQLITE_OK) {
      sqlite3_busy_timeout(db, scrub_patience_ms);
      errno = 0;
      code = sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
      sqlite3_busy_timeout(db, static_cast<int>(inner_->options.busy_timeout.count()));
    }
    if (code != SQLITE_OK) return error_of(code, errno, code == SQLITE_BUSY ? "it is being read" : sqlite3_errmsg(db));
    return {};
  }();
  if (!done.ok() && done.error().check == "store.full") inner_->ran_out();
  return done;
}

}  // namespace daypass::store::sqlite
