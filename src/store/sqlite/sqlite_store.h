// The store in one SQLite file: WAL, every commit on the disk when it returns, one owner, readers beside the writer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/time.h"
#include "store/store.h"

namespace daypass::store::sqlite {

struct Options {
  /// How long to wait for another program (a backup, sqlite3) to let go.
  base::Millis busy_timeout = std::chrono::seconds(5);
  /// Snapshot connections kept open for the next reader. More may be open at a time; those are closed after use.
  std::size_t idle_readers = 8;
  /// Largest size of the file in pages of 4 KiB; 0: SQLite's own limit (17 TB). Beyond it: "store.full".
  std::int64_t most_pages = 0;
  /// Bytes kept beside the store, in `<path>.reserve`, and given up when the disk is full; 0: none.
  std::uint64_t reserve = 0;
  /// With fewer bytes left on the file system than this, nothing that gives access is begun; 0: only when it is full.
  std::uint64_t min_free = 0;
};

/// How far the write-ahead log was moved into the database, in frames of 4 KiB.
struct Checkpoint {
  int frames = 0;  ///< in the log
  int moved = 0;   ///< of these, already in the database; fewer while an old snapshot is open
};

class SqliteStore final : public Store {
 public:
  /// Opens the store at `path` and makes it when it is missing (the folder must be there). From then on this object
  /// owns it:
  /// `<path>.lock` is held, and whoever owned it before writes nothing more.
  /// Errors: "store.in_use", "store.path", "store.permissions", "store.foreign", "store.schema_newer", "store.corrupt",
  /// "store.wal" (its file system can't share memory between processes), "store.busy", "store.full", "store.io".
  static base::Result<std::unique_ptr<SqliteStore>> open(const std::string& path, const Options& options = {});
  ~SqliteStore() override;

  /// As the port says; calls from several threads take turns.
  base::Status transact(const std::function<base::Status(Tx&)>& fn) override;
  /// The reader may outlive the store.
  base::Result<std::unique_ptr<Reader>> snapshot() override;
  base::Status sweep(base::WallTime now, std::size_t most) override;
  [[nodiscard]] Condition condition() const override;

  /// Looks at the files and the room that is left, and makes the reserve again where there is room for it. Call it
  /// twice a second, from any thread but the engine's.
  Condition watch();

  /// Moves the log into the database without stopping readers or the writer. Call it every few seconds, from any thread
  /// but the engine's: it waits for the disk. Without it the log grows to 64 MiB, and then commits do the work.
  base::Result<Checkpoint> checkpoint();
  base::Status scrub() override;

 private:
  struct Inner;
  explicit SqliteStore(std::unique_ptr<Inner> inner);
  base::Status write(const std::function<base::Status()>& work);
  base::Status try_write(const std::function<base::Status()>& work);

  std::unique_ptr<Inner> inner_;
};

}  // namespace daypass::store::sqlite
