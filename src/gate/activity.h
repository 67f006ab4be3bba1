// Activity records on their way to disk: one writer thread, a bounded queue, a file per connection.
// Nobody on an io thread ever waits for a disk here; who finds the queue full stops reading its client.
#pragma once

#include <openssl/evp.h>
#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "core/ids.h"
#include "wire/postgres/relations.h"

namespace daypass::gate {

class ActivityWriter {
 public:
  /// `folder` empty: records go nowhere, and every file's digest is empty.
  /// While `held` says so nothing is written, as if the disk took nothing: what room there is belongs to others.
  ActivityWriter(std::string folder, const base::Log& log, std::function<bool()> held = {});
  ~ActivityWriter();
  ActivityWriter(const ActivityWriter&) = delete;
  ActivityWriter& operator=(const ActivityWriter&) = delete;

  struct File {
    core::GrantId grant;
    core::ConnectionId connection;
    /// "<tenant>/<grant>/<connection>.jsonl", below the folder.
    [[nodiscard]] std::string path() const;
  };
  /// One connection's file, as its session holds it. The inside belongs to the writer's thread.
  class Segment;
  using SegmentPtr = std::shared_ptr<Segment>;
  /// Of a statement that made use of rights: the tables that it names are noted beside its line, on the writer's
  /// thread. No longer than its line is.
  using TextPtr = std::shared_ptr<const wire::postgres::StatementText>;

  [[nodiscard]] bool enabled() const noexcept { return !folder_.empty(); }
  /// Removes the files of a tenant whose connections are all over.
  void forget(const core::TenantId& tenant);
  /// The same of one grant; what still waits to be written of it is dropped. Error: "activity.files".
  base::Status forget(const core::GrantId& grant);
  /// Touches no disk: the file comes into being with its first line.
  [[nodiscard]] static SegmentPtr open(File file);
  /// False when there is no room: nothing was taken.
  [[nodiscard]] bool write(const SegmentPtr& segment, std::string& line, TextPtr used = {});
  /// The same for the end of a session, whatever the room: bounded by the tracker's own limits, and never refused.
  void write_last(const SegmentPtr& segment, std::string lines, std::vector<TextPtr> used = {});
  /// Called back on the writer's thread with the SHA-256 of all lines written (hex; empty when there were none). Never
  /// refused, and called exactly once: after stop() at once, on the caller's thread.
  void close(const SegmentPtr& segment, std::function<void(std::string digest)> done);
  /// The tables that its statements named; only where close() calls back.
  [[nodiscard]] static const wire::postgres::Relations& named(const SegmentPtr& segment);
  /// Writes what is queued, calls back, ends the thread. Idempotent. With a disk that takes nothing lines are lost, and
  /// the log says how many; callbacks are not.
  void stop();

  /// A file that can't be written fails closed: `broken` is true until it can, and sessions take no new statements.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

  // Bounds of what waits for the disk: refused beyond.
  static constexpr std::size_t most_lines = 16384;
  static constexpr std::size_t most_bytes = std::size_t{32} << 20U;
  /// How long the first line of a batch waits for company: a thread woken per statement costs more than the statement.
  static constexpr auto gather = std::chrono::milliseconds(50);

 private:
  struct Item {
    SegmentPtr segment;
    std::string line;
    std::function<void(std::string)> done;
    std::vector<TextPtr> used = {};
  };
  base::Status remove(const core::TenantId& tenant, const std::string& below);
  void push(std::unique_lock<std::mutex>& lock, Item item, bool hurry);
  void serve();
  void handle(std::deque<Item>& batch);
  void flush(const SegmentPtr& segment);
  bool append(const SegmentPtr& segment);
  bool open_file(const SegmentPtr& segment);
  std::string digest_of(const SegmentPtr& segment);
  void put_aside();
  void sync_retired();

  static constexpr std::size_t most_descriptors = 128, most_forgotten = 4096;
  std::string folder_;
  const base::Log& log_;
  const std::function<bool()> held_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Item> queue_;
  std::size_t lines_ = 0, bytes_ = 0;  ///< queued, or taken by the writer and not on disk yet
  bool parked_ = false;                ///< the writer waits for the first line
  bool hurry_ = false;                 ///< somebody waits for what is queued
  bool stopping_ = false;
  bool stopped_ = false;
  std::mutex removing_mutex_;
  std::mutex forgotten_mutex_;           ///< held while a file comes into being
  std::deque<core::GrantId> forgotten_;  ///< the newest ones: no line waits longer than it takes to forget so many more
  std::atomic<bool> broken_{false};
  // The writer thread's own.
  std::vector<SegmentPtr> open_;  ///< those with a descriptor
  std::vector<int> retired_;      ///< of closed files, not yet synced: the disk is asked when nothing waits
  std::int64_t lost_ = 0;
  bool gave_up_ = false;
  std::thread thread_;
};

}  // namespace daypass::gate
