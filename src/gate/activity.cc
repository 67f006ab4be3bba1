#include "gate/activity.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/encoding.h"
#include "crypto/digest.h"

namespace daypass::gate {

std::string ActivityWriter::File::path() const { return grant.tenant.str() + "/" + grant.id + "/" + connection.str() + ".jsonl"; }

ActivityWriter::ActivityWriter(std::string folder, const base::Log& log)
    : folder_(std::move(folder)), log_(log) {
  if (folder_.empty()) return;
  ::mkdir(folder_.c_str(), 0700);
  thread_ = std::thread([this] {
    prctl(PR_SET_NAME, "dp-activity");
    serve();
  });
}

ActivityWriter::~ActivityWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (const auto& [path, fd] : files_) ::close(fd);
}

bool ActivityWriter::write(const File& file, std::string& line) {
  if (!enabled()) return true;
  if (broken_) return false;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= queue_limit) return false;
    queue_.push_back({file, std::move(line), {}});
  }
  ready_.notify_one();
  return true;
}

void ActivityWriter::write_last(const File& file, std::string lines) {
  if (!enabled()) return;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({file, std::move(lines), {}});
  }
  ready_.notify_one();
}

void ActivityWriter::close(const File& file, std::function<void(std::string)> done) {
  if (!enabled()) return done({});
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({file, {}, std::move(done)});
  }
  ready_.notify_one();
}

void ActivityWriter::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Item item = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    if (item.done) {
      item.done(digest_of(item.file));
    } else if (!append(item.file, item.line)) {
      if (!broken_.exchange(true)) log_.error("activity records can't be written; sessions take no new statements", {{"errno", errno}});
      // The record is not lost: it goes to the front again, and is tried until the disk takes it or we stop.
      lock.lock();
      queue_.push_front(std::move(item));
      if (ready_.wait_for(lock, std::chrono::milliseconds(500), [this] { return stopping_; })) return;
      continue;
    } else if (broken_.exchange(false)) {
      log_.info("activity records can be written again");
    }
    lock.lock();
  }
}

bool ActivityWriter::append(const File& file, const std::string& line) {
  const std::string path = file.path();
  auto it = files_.find(path);
  if (it == files_.end()) {
    const std::string tenant = folder_ + "/" + file.grant.tenant.str(), grant = tenant + "/" + file.grant.id;
    ::mkdir(tenant.c_str(), 0700);
    ::mkdir(grant.c_str(), 0700);
    const int fd = ::open((folder_ + "/" + path).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return false;
    it = files_.emplace(path, fd).first;
  }
  std::string_view left = line;
  const off_t before = ::lseek(it->second, 0, SEEK_END);
  while (!left.empty()) {
    const ssize_t n = ::write(it->second, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      // Half a line would spoil the file for good.
      if (::ftruncate(it->second, before) != 0) log_.error("an activity file has a torn line", {{"file", path}});
      return false;
    }
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string ActivityWriter::digest_of(const File& file) {
  const auto it = files_.find(file.path());
  if (it == files_.end()) return {};
  const int fd = it->second;
  files_.erase(it);
  std::string text;
  char buffer[65536];
  ::lseek(fd, 0, SEEK_SET);
  for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(n));
  ::fdatasync(fd);
  ::close(fd);
  return base::hex_encode(crypto::sha256(text));
}

}  // namespace daypass::gate
