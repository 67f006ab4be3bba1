#include "store/sqlite/sqlite_store.h"

#include <sqlite3.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

#include "store/sqlite/connection.h"
#include "store/sqlite/files.h"
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
  DP_CHECK(writer.run("PRAGMA wal_autocheckpoint = 16384; PRAGMA journal_size_limit = 67108864"));
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

Error lost(std::string why) {
  return {Code::conflict, "store.lost", "this process no longer owns the store: " + std::move(why),
          "stop it; it writes nothing more"};
}

}  // namespace

struct SqliteStore::Inner {
  // In the order of opening: the connections are closed before the lock is let go.
  std::string path;
  std::unique_ptr<OwnerLock> lock;
  FileIdentity identity;
  std::unique_ptr<Connection> writer;
  std::int64_t epoch = 0;
  std::shared_ptr<ReaderPool> readers;

  std::mutex writing;
  std::atomic<std::thread::id> writing_thread;  ///< who holds `writing`

  std::mutex checkpointing;
  std::unique_ptr<Connection> checkpointer;

  /// Starts a write transaction, unless somebody else owns the store by now.
  Status begin() {
    writer->rollback();
    writer->forget_failure();
    // A file put in the place of ours (a restored backup) has owners of its own; ours has no name any more.
    if (identity_of(path) != identity) return lost("its file was removed or replaced");
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

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, const Options& options) {
  auto inner = std::make_unique<Inner>();
  DP_TRY(inner->path, canonical_path(path));
  DP_TRY(inner->lock, OwnerLock::take(inner->path));
  DP_CHECK(prepare_file(inner->path));
  DP_TRY(inner->writer, Connection::open(inner->path, Connection::Mode::write, options.busy_timeout));
  inner->identity = identity_of(inner->path);
  DP_CHECK(check_is_ours(*inner->writer));
  DP_CHECK(start_log(*inner->writer, options));
  DP_TRY(inner->epoch, take_over(*inner->writer));
  DP_TRY(inner->checkpointer, Connection::open(inner->path, Connection::Mode::write, options.busy_timeout));
  inner->readers = std::make_shared<ReaderPool>(inner->path, options);
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(inner)));
}

/// `work` inside a write transaction, by whoever's turn it is.
Status SqliteStore::write(const std::function<Status()>& work) {
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
  const std::lock_guard lock(inner_->checkpointing);
  Checkpoint out;
  errno = 0;
  sqlite3* db = inner_->checkpointer->raw();
  const int code = sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_PASSIVE, &out.frames, &out.moved);
  // Busy: the writer is at the same work just now.
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return error_of(code, errno, sqlite3_errmsg(db));
  return out;
}

}  // namespace daypass::store::sqlite
