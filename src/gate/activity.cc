#include "gate/activity.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/encoding.h"

namespace daypass::gate {

std::string ActivityWriter::File::path() const {
  return grant.tenant.str() + "/" + grant.id + "/" + connection.str() + ".jsonl";
}

ActivityWriter::ActivityWriter(std::string folder, const base::Log& log) : folder_(std::move(folder)), log_(log) {
  if (folder_.empty()) return;
  ::mkdir(folder_.c_str(), 0700);
  thread_ = std::thread([this] {
    prctl(PR_SET_NAME, "dp-activity");
    serve();
  });
}

ActivityWriter::~ActivityWriter() { stop(); }

void ActivityWriter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool ActivityWriter::write(const File& file, std::string& line) {
  if (!enabled()) return true;
  if (broken_) return false;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || queue_.size() >= queue_limit) return false;
    queue_.push_back({file, std::move(line), {}});
  }
  ready_.notify_one();
  return true;
}

void ActivityWriter::write_last(const File& file, std::string lines) {
  if (!enabled()) return;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return log_.error("activity records came after the end", {{"file", file.path()}});
    queue_.push_back({file, std::move(lines), {}});
  }
  ready_.notify_one();
}

void ActivityWriter::close(const File& file, std::function<void(std::string)> done) {
  if (!enabled()) return done({});
  {
    std::unique_lock lock(mutex_);
    if (stopped_) {
      lock.unlock();
      return done({});
    }
    queue_.push_back({file, {}, std::move(done)});
  }
  ready_.notify_one();
}

void ActivityWriter::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (queue_.empty() && !retired_.empty()) {
      lock.unlock();
      sync_retired();
      lock.lock();
      continue;
    }
    ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) break;
    Item item = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const bool good = handle(item);
    lock.lock();
    if (good) continue;
    // The record is not lost: it goes to the front again, and is tried until the disk takes it or we stop.
    queue_.push_front(std::move(item));
    if (ready_.wait_for(lock, std::chrono::milliseconds(500), [this] { return stopping_; })) {
      abandon(lock);
      break;
    }
  }
  stopped_ = true;
  lock.unlock();
  put_aside();
}

// We stop, and the disk takes nothing. Connections are given back all the same.
void ActivityWriter::abandon(std::unique_lock<std::mutex>& lock) {
  std::int64_t lost = 0;
  while (!queue_.empty()) {
    Item item = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    if (item.done) item.done(digest_of(item.file));
    else ++lost;
    lock.lock();
  }
  log_.error("activity records were lost at the end", {{"items", lost}});
}

bool ActivityWriter::handle(Item& item) {
  if (item.done) {
    item.done(digest_of(item.file));
    return true;
  }
  if (append(item.file, item.line)) {
    if (broken_.exchange(false)) log_.info("activity records can be written again");
    return true;
  }
  const int why = errno;
  if (!broken_.exchange(true))
    log_.error("activity records can't be written; sessions take no new statements", {{"errno", std::int64_t{why}}});
  return false;
}

bool ActivityWriter::open_file(Open& open, const File& file) {
  if (open.fd >= 0) return true;
  if (descriptors_ >= most_descriptors) put_aside();
  const std::string tenant = folder_ + "/" + file.grant.tenant.str(), grant = tenant + "/" + file.grant.id;
  ::mkdir(tenant.c_str(), 0700);
  ::mkdir(grant.c_str(), 0700);
  const std::string path = folder_ + "/" + file.path();
  open.fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (open.fd < 0) return false;
  ++descriptors_;
  return true;
}

bool ActivityWriter::append(const File& file, const std::string& line) {
  Open& open = files_[file.path()];
  if (open.hash == nullptr) {
    open.hash.reset(EVP_MD_CTX_new());
    EVP_DigestInit_ex(open.hash.get(), EVP_sha256(), nullptr);
  }
  if (!open_file(open, file)) return false;
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t n = ::write(open.fd, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int why = n < 0 ? errno : ENOSPC;
      // Half a line would spoil the file for good.
      if (::ftruncate(open.fd, open.size) != 0) log_.error("an activity file has a torn line", {{"file", file.path()}});
      errno = why;
      return false;
    }
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  open.size += static_cast<off_t>(line.size());
  EVP_DigestUpdate(open.hash.get(), line.data(), line.size());
  return true;
}

std::string ActivityWriter::digest_of(const File& file) {
  const auto it = files_.find(file.path());
  if (it == files_.end()) return {};
  Open open = std::move(it->second);
  files_.erase(it);
  if (open.fd >= 0) {
    --descriptors_;
    retired_.push_back(open.fd);
    if (retired_.size() >= most_descriptors) sync_retired();
  }
  if (open.size == 0) return {};
  std::string raw(32, '\0');
  EVP_DigestFinal_ex(open.hash.get(), reinterpret_cast<unsigned char*>(raw.data()), nullptr);
  return base::hex_encode(raw);
}

// Quiet sessions need no descriptor: a thousand of them must not use up the process's.
void ActivityWriter::put_aside() {
  for (auto& [path, open] : files_)
    if (open.fd >= 0) retired_.push_back(std::exchange(open.fd, -1));
  descriptors_ = 0;
  sync_retired();
}

void ActivityWriter::sync_retired() {
  for (const int fd : retired_) {
    if (::fdatasync(fd) != 0) log_.warn("an activity file could not be synced", {{"errno", std::int64_t{errno}}});
    ::close(fd);
  }
  retired_.clear();
}

}  // namespace daypass::gate
