// Activity records on their way to disk: one writer thread, a bounded queue, a file per connection.
// Nobody on an io thread ever waits for a disk here; who finds the queue full stops reading its client.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/time.h"
#include "core/ids.h"

namespace daypass::gate {

class ActivityWriter {
 public:
  /// `folder` empty: records go nowhere, and every file's digest is empty.
  ActivityWriter(std::string folder, const base::Log& log);
  ~ActivityWriter();

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
  /// Called back on the writer's thread with the file's SHA-256 (hex; empty when nothing was written). Never refused.
  void close(const File& file, std::function<void(std::string digest)> done);

  /// A file that can't be written fails closed: `broken` is true until it can, and sessions take no new statements.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  struct Item {
    File file;
    std::string line;
    std::function<void(std::string)> done;
  };
  void serve();
  bool append(const File& file, const std::string& line);
  std::string digest_of(const File& file);

  static constexpr std::size_t queue_limit = 16384;
  std::string folder_;
  const base::Log& log_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Item> queue_;
  bool stopping_ = false;
  std::atomic<bool> broken_{false};
  std::unordered_map<std::string, int> files_;   ///< the writer thread's own
  std::thread thread_;
};

}  // namespace daypass::gate
