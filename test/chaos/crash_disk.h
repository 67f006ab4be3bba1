// A disk that can lose its power, under SQLite: a VFS over the default one that knows of each file what has reached the
// disk and what is only in the page cache. When the power goes, everything since the last sync of a file is kept, lost
// or torn, sector by sector, and so are names of files that no sync of their folder has made safe.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/faults.h"

namespace daypass::chaos {

/// Registers itself as SQLite's default VFS while it lives. One at a time, and one thread at a time.
class CrashDisk {
 public:
  /// Guards taken away, for the mutants.
  struct Broken {
    bool swallows_sync = false;  ///< says "synced", and nothing is
    bool forgets_names = false;  ///< a sync of the folder makes no name safe
  };
  explicit CrashDisk(std::uint64_t seed);
  CrashDisk(const CrashDisk&) = delete;
  CrashDisk& operator=(const CrashDisk&) = delete;
  ~CrashDisk();

  /// The power goes at the n-th change from now (of syncs alone: at the n-th of those): while it is under way, or
  /// before it begins. 0: it stays.
  void fail_in(std::uint64_t changes, bool of_syncs = false) {
    countdown_ = changes;
    of_syncs_ = of_syncs;
  }
  /// The power goes now. From here on every call fails and changes nothing.
  void cut();
  [[nodiscard]] bool dead() const { return dead_; }
  /// The power is back: the files become what the disk has kept of them. Every file must have been closed.
  void restore();

  Broken broken;
  struct Tally {
    std::uint64_t cuts = 0;     ///< power failures
    std::uint64_t pending = 0;  ///< changes that were not synced when the power went
    std::uint64_t lost = 0, torn = 0, kept = 0;
    std::uint64_t names = 0;                      ///< that a failure changed
    std::map<std::string, std::uint64_t> during;  ///< failures by the change that they came in
    Tally& operator+=(const Tally& other);
  };
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  friend struct CrashFile;
  struct Change {
    bool truncates = false;
    std::uint64_t at = 0;  ///< of a truncation: the new size
    std::string bytes;
  };
  struct Inode {
    std::string safe;  ///< what is on the disk
    std::vector<Change> pending;
  };
  struct Name {
    std::shared_ptr<Inode> seen, safe;  ///< null: there is none
  };

  static int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags);
  static int delete_file(sqlite3_vfs* vfs, const char* name, int with_folder);
  enum class Power { on, goes, gone };
  /// Counts a change and says whether it finds power.
  Power change(const char* what);
  void sync(Inode& inode);
  void sync_folder();
  static void apply(std::string& content, const Change& change);
  /// What of a file is there when the power is back.
  std::string survivor(const Inode& inode);
  void tear(std::string& content, const Change& change);

  sqlite3_vfs vfs_{};
  sqlite3_vfs* under_;
  sim::Dice dice_;
  std::map<std::string, Name> names_;
  std::uint64_t countdown_ = 0;
  bool of_syncs_ = false;
  bool dead_ = false;
  Tally tally_;
};

}  // namespace daypass::chaos
