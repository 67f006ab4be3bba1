// Activity records on their way to disk: one writer thread, a bounded queue, a file per connection.
// Nobody on an io thread ever waits for a disk here; who finds the queue full stops reading its client.
#pragma once

#include <openssl/evp.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "core/ids.h"

namespace daypass::gate {

class ActivityWriter {
 public:
  /// `folder` empty: records go nowhere, and every file's digest is empty.
  ActivityWriter(std::string folder, const base::Log& log);
  ~ActivityWriter();
  ActivityWriter(const ActivityWriter&) = delete;
  ActivityWriter& operator=(const ActivityWriter&) = delete;

  struct File {
    core::GrantId grant;
    core::ConnectionId connection;
    /// "<tenant>/<grant>/<connection>.jsonl", below the folder.
    [[nodiscard]] std::string path() const;
  };
  [[nodiscard]] bool enabled() const noexcept { return !folder_.empty(); }
  /// False when there is no room: nothing was taken.
  [[nodiscard]] bool write(const File& file, std::string& line);
  /// The same for the end of a session, whatever the room: bounded by the tracker's own limits, and never refused.
  void write_last(const File& file, std::string lines);
  /// Called back on the writer's thread with the SHA-256 of all lines written (hex; empty when there were none). Never
  /// refused, and called exactly once: after stop() at once, on the caller's thread.
  void close(const File& file, std::function<void(std::string digest)> done);
  /// Writes what is queued, calls back, ends the thread. Idempotent. With a disk that takes nothing lines are lost, and
  /// the log says how many; callbacks are not.
  void stop();

  /// A file that can't be written fails closed: `broken` is true until it can, and sessions take no new statements.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  struct Item {
    File file;
    std::string line;
    std::function<void(std::string)> done;
  };
  /// One connection's file. The digest runs along, so it tells what was recorded, whatever the disk says later.
  struct Open {
    struct Free {
      void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    };
    int fd = -1;   ///< -1: put aside, opened again for the next line
    off_t size = 0;
    std::unique_ptr<EVP_MD_CTX, Free> hash;
  };
  void serve();
  bool handle(Item& item);
  void abandon(std::unique_lock<std::mutex>& lock);
  bool append(const File& file, const std::string& line);
  bool open_file(Open& open, const File& file);
  std::string digest_of(const File& file);
  void put_aside();
  void sync_retired();

  static constexpr std::size_t queue_limit = 16384;
  static constexpr std::size_t most_descriptors = 128;
  std::string folder_;
  const base::Log& log_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Item> queue_;
  bool stopping_ = false;
  bool stopped_ = false;
  std::atomic<bool> broken_{false};
  // The writer thread's own.
  std::unordered_map<std::string, Open> files_;
  std::size_t descriptors_ = 0;
  std::vector<int> retired_;             ///< of closed files, not yet synced: the disk is asked when nothing waits
  std::thread thread_;
};

}  // namespace daypass::gate
