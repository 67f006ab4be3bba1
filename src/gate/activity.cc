#include "gate/activity.h"

#include <filesystem>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/encoding.h"

namespace daypass::gate {

std::string ActivityWriter::File::path() const {
  return grant.tenant.str() + "/" + grant.id + "/" + connection.str() + ".jsonl";
}

// The digest runs along with the writing, so it tells what was recorded, whatever the disk says later.
class ActivityWriter::Segment {
 public:
  explicit Segment(File f) : file(std::move(f)) {}
  ~Segment() {
    if (fd >= 0) ::close(fd);
  }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  };
  const File file;
  std::string lines;      ///< of this batch, not on disk yet
  std::size_t count = 0;  ///< how many they are
  int fd = -1;            ///< -1: not there yet, or put aside and opened again for the next line
  off_t size = 0;
  std::unique_ptr<EVP_MD_CTX, Free> hash;
  wire::postgres::Relations named;
  TextPtr read;  ///< last: what is prepared once and run often is read once
};

const wire::postgres::Relations& ActivityWriter::named(const SegmentPtr& segment) {
  return segment->named;
}

ActivityWriter::ActivityWriter(std::string folder, const base::Log& log, std::function<bool()> held)
    : folder_(std::move(folder)), log_(log), held_(std::move(held)) {
  if (folder_.empty()) return;
  ::mkdir(folder_.c_str(), 0700);
  thread_ = std::thread([this] {
    prctl(PR_SET_NAME, "dp-activity");
    serve();
  });
}

void ActivityWriter::forget(const core::TenantId& tenant) {
  if (!tenant.empty()) (void)remove(tenant, tenant.str());
}
base::Status ActivityWriter::forget(const core::GrantId& grant) {
  if (grant.tenant.empty() || grant.id.empty()) return {};
  {
    const std::lock_guard lock(forgotten_mutex_);
    forgotten_.push_back(grant);
    if (forgotten_.size() > most_forgotten) forgotten_.pop_front();
  }
  return remove(grant.tenant, grant.tenant.str() + "/" + grant.id);
}

// One at a time: where two walk through the same folder, what one of them was about to remove is gone, and it fails.
base::Status ActivityWriter::remove(const core::TenantId& tenant, const std::string& below) {
  if (folder_.empty()) return {};
  const std::lock_guard lock(removing_mutex_);
  std::error_code error;
  std::filesystem::remove_all(std::filesystem::path(folder_) / below, error);
  if (!error) return {};
  log_.error("activity records can't be removed",
             {{"tenant", tenant.str()}, {"folder", below}, {"why", error.message()}});
  return base::Error{base::Code::internal, "activity.files",
                     "the activity records of " + below + " can't be removed: " + error.message(),
                     "look at the permissions of the activity folder"};
}

ActivityWriter::~ActivityWriter() {
  stop();
}

void ActivityWriter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  if (thread_.joinable()) thread_.join();
}

ActivityWriter::SegmentPtr ActivityWriter::open(File file) {
  return std::make_shared<Segment>(std::move(file));
}

// The writer sleeps until the first line, then a little longer, so that it is woken once for many.
void ActivityWriter::push(std::unique_lock<std::mutex>& lock, Item item, bool hurry) {
  lines_ += item.done ? 0U : 1U;
  bytes_ += item.line.size();
  hurry = hurry || lines_ > most_lines / 4 || bytes_ > most_bytes / 4;
  queue_.push_back(std::move(item));
  const bool wake = std::exchange(parked_, false) || (hurry && !hurry_);
  hurry_ = hurry_ || hurry;
  lock.unlock();
  if (wake) ready_.notify_one();
}

bool ActivityWriter::write(const SegmentPtr& segment, std::string& line, TextPtr used) {
  if (!enabled()) return true;
  if (broken_) return false;
  std::unique_lock lock(mutex_);
  if (stopped_ || lines_ >= most_lines || bytes_ >= most_bytes) return false;
  Item item{segment, std::move(line), {}};
  if (used) item.used.push_back(std::move(used));
  push(lock, std::move(item), false);
  return true;
}

void ActivityWriter::write_last(const SegmentPtr& segment, std::string lines, std::vector<TextPtr> used) {
  if (!enabled()) return;
  std::unique_lock lock(mutex_);
  if (stopped_) {
    log_.error("activity records came after the end",
               {{"tenant", segment->file.grant.tenant.str()}, {"file", segment->file.path()}});
    return;
  }
  push(lock, {segment, std::move(lines), {}, std::move(used)}, false);
}

void ActivityWriter::close(const SegmentPtr& segment, std::function<void(std::string)> done) {
  if (!enabled()) return done({});
  std::unique_lock lock(mutex_);
  if (stopped_) {
    lock.unlock();
    return done({});
  }
  push(lock, {segment, {}, std::move(done)}, true);
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
    parked_ = queue_.empty();
    ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    parked_ = false;
    if (queue_.empty()) break;
    ready_.wait_for(lock, gather, [this] { return stopping_ || hurry_; });
    hurry_ = false;
    std::deque<Item> batch;
    batch.swap(queue_);
    lock.unlock();
    handle(batch);
    lock.lock();
  }
  stopped_ = true;
  lock.unlock();
  if (lost_ != 0) log_.error("activity records were lost at the end", {{"items", lost_}});
  put_aside();
}

// One write for all that a connection has in the batch; a file's order is that of its lines.
void ActivityWriter::handle(std::deque<Item>& batch) {
  std::vector<SegmentPtr> touched;
  while (!batch.empty()) {
    Item item = std::move(batch.front());
    batch.pop_front();
    Segment& segment = *item.segment;
    if (item.done) {
      flush(item.segment);
      item.done(digest_of(item.segment));
      continue;
    }
    if (segment.count++ == 0) touched.push_back(item.segment);
    for (auto& text : item.used) {
      if (text == segment.read) continue;
      segment.named.add(*text);
      segment.read = std::move(text);
    }
    if (segment.lines.empty())
      segment.lines = std::move(item.line);
    else
      segment.lines += item.line;
  }
  for (const SegmentPtr& segment : touched) flush(segment);
}

// The lines are not lost: they are tried until the disk takes them or we stop. Connections are given back all the same.
void ActivityWriter::flush(const SegmentPtr& segment) {
  if (segment->count == 0) return;
  while (!gave_up_) {
    if (append(segment)) {
      if (broken_.exchange(false)) log_.info("activity records can be written again");
      break;
    }
    const int why = errno;
    if (!broken_.exchange(true))
      log_.error("activity records can't be written; sessions take no new statements", {{"errno", std::int64_t{why}}});
    std::unique_lock lock(mutex_);
    gave_up_ = ready_.wait_for(lock, std::chrono::milliseconds(500), [this] { return stopping_; });
  }
  if (gave_up_) lost_ += static_cast<std::int64_t>(segment->count);
  const std::lock_guard lock(mutex_);
  lines_ -= std::exchange(segment->count, 0);
  bytes_ -= segment->lines.size();
  std::string().swap(segment->lines);
}

// True without a descriptor: of a grant that was forgotten while its lines waited, nothing comes back.
bool ActivityWriter::open_file(const SegmentPtr& segment) {
  if (segment->fd >= 0) return true;
  if (open_.size() >= most_descriptors) put_aside();
  const std::lock_guard lock(forgotten_mutex_);
  if (std::ranges::find(forgotten_, segment->file.grant) != forgotten_.end()) return true;
  const File& file = segment->file;
  const std::string tenant = folder_ + "/" + file.grant.tenant.str(), grant = tenant + "/" + file.grant.id;
  ::mkdir(tenant.c_str(), 0700);
  ::mkdir(grant.c_str(), 0700);
  const std::string path = folder_ + "/" + file.path();
  segment->fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (segment->fd < 0) return false;
  open_.push_back(segment);
  return true;
}

bool ActivityWriter::append(const SegmentPtr& segment) {
  Segment& to = *segment;
  if (to.hash == nullptr) {
    to.hash.reset(EVP_MD_CTX_new());
    EVP_DigestInit_ex(to.hash.get(), EVP_sha256(), nullptr);
  }
  if (held_ && held_()) {
    errno = ENOSPC;
    return false;
  }
  if (!open_file(segment)) return false;
  if (to.fd < 0) return true;
  std::string_view left = to.lines;
  while (!left.empty()) {
    const ssize_t n = ::write(to.fd, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int why = n < 0 ? errno : ENOSPC;
      // Half a line would spoil the file for good.
      if (::ftruncate(to.fd, to.size) != 0)
        log_.error("an activity file has a torn line",
                   {{"tenant", to.file.grant.tenant.str()}, {"file", to.file.path()}});
      errno = why;
      return false;
    }
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  to.size += static_cast<off_t>(to.lines.size());
  EVP_DigestUpdate(to.hash.get(), to.lines.data(), to.lines.size());
  return true;
}

std::string ActivityWriter::digest_of(const SegmentPtr& segment) {
  if (segment->fd >= 0) {
    retired_.push_back(std::exchange(segment->fd, -1));
    std::erase(open_, segment);
    if (retired_.size() >= most_descriptors) sync_retired();
  }
  if (segment->size == 0) return {};
  std::string raw(32, '\0');
  EVP_DigestFinal_ex(segment->hash.get(), reinterpret_cast<unsigned char*>(raw.data()), nullptr);
  return base::hex_encode(raw);
}

// Quiet sessions need no descriptor: a thousand of them must not use up the process's.
void ActivityWriter::put_aside() {
  for (const SegmentPtr& segment : open_) retired_.push_back(std::exchange(segment->fd, -1));
  open_.clear();
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
