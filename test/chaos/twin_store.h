// The real SQLite store on a disk that loses power, in the place of the simulator's store in memory. Each commit that
// it acknowledges is done over in the one in memory, which so stays what must be there; after each power failure both
// are compared to the last record.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "chaos/crash_disk.h"
#include "sim/world.h"
#include "store/sqlite/sqlite_store.h"

namespace daypass::chaos {

/// What one transaction changed, to be done once more.
using Deeds = std::vector<std::function<base::Status(store::Tx&)>>;
/// Of documents, for each tenant.
using Kinds = std::set<std::pair<core::TenantId, std::string>>;

class TwinStore final : public store::Store, public sim::Durable {
 public:
  /// `path`: of the store's file, in a folder that is there. From then on `world` runs on this.
  TwinStore(sim::World& world, std::string path, std::uint64_t seed);
  TwinStore(const TwinStore&) = delete;
  TwinStore& operator=(const TwinStore&) = delete;
  ~TwinStore() override;

  base::Status transact(const std::function<base::Status(store::Tx&)>& fn) override;
  base::Result<std::unique_ptr<store::Reader>> snapshot() override;
  base::Status sweep(base::WallTime now, std::size_t most) override;

  store::Store& open() override;
  void cut() override;
  void lose() override;

  /// A mutant: says that it is done before it commits.
  bool answers_early = false;
  CrashDisk disk;
  std::uint64_t commits = 0;    ///< acknowledged
  std::uint64_t reopened = 0;   ///< compared after a failure
  std::uint64_t unheard = 0;    ///< not acknowledged when the power went, and there afterwards
  std::uint64_t forgotten = 0;  ///< not acknowledged, and gone

 private:
  /// The process dies when the disk has.
  void alive() const;
  void verb(const char* name);
  void do_over(const Deeds& deeds);
  /// Sets the next failure, or none when all is calm.
  void tempt();
  void make();
  /// Empty, or what one has and the other has not.
  std::string difference();
  [[nodiscard]] std::string difference_of_logs(store::Reader& real, store::Reader& wanted) const;
  void compare();

  sim::World& world_;
  std::string path_;
  sim::Dice dice_;
  sim::ModelStore::Hooks hooks_;
  std::unique_ptr<store::sqlite::SqliteStore> real_;
  Deeds unsettled_;                                                  ///< of a transaction that the power cut off
  Kinds kinds_;                                                      ///< that were ever there, or may be
  std::optional<std::pair<base::WallTime, std::size_t>> cut_sweep_;  ///< a sweep that the power cut off
  bool first_ = true;
  std::optional<base::MonoTime> quiet_until_;
};

}  // namespace daypass::chaos
