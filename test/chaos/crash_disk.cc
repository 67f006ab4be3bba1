#include "chaos/crash_disk.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>

#include "base/assert.h"

namespace daypass::chaos {

namespace {

constexpr std::uint64_t sector = 512;
constexpr int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

/// An open file of the store; the one of the VFS below lies right behind it.
struct CrashFile {
  sqlite3_file base{};
  CrashDisk* disk = nullptr;
  CrashDisk::Name* name = nullptr;
  std::shared_ptr<CrashDisk::Inode> inode;
  bool fresh = false;  ///< its first sync is one of its folder, too (as in SQLite's os_unix.c)
  sqlite3_file* under = nullptr;

  static CrashFile& of(sqlite3_file* file) { return *reinterpret_cast<CrashFile*>(file); }

  static int close(sqlite3_file* file) {
    CrashFile& f = of(file);
    const int code = f.under->pMethods->xClose(f.under);
    f.~CrashFile();
    return code;
  }
  static int read(sqlite3_file* file, void* to, int n, sqlite3_int64 at) {
    CrashFile& f = of(file);
    return f.disk->dead_ ? SQLITE_IOERR_READ : f.under->pMethods->xRead(f.under, to, n, at);
  }
  static int write(sqlite3_file* file, const void* from, int n, sqlite3_int64 at) {
    CrashFile& f = of(file);
    const auto power = f.disk->change("write");
    if (power == CrashDisk::Power::gone) return SQLITE_IOERR_WRITE;
    // When the power goes in the middle of it a part may have reached the disk, as of any write before it.
    f.inode->pending.push_back({false, static_cast<std::uint64_t>(at),
                                std::string(static_cast<const char*>(from), static_cast<std::size_t>(n))});
    return power == CrashDisk::Power::on ? f.under->pMethods->xWrite(f.under, from, n, at) : SQLITE_IOERR_WRITE;
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    CrashFile& f = of(file);
    const auto power = f.disk->change("truncate");
    if (power == CrashDisk::Power::gone) return SQLITE_IOERR_TRUNCATE;
    f.inode->pending.push_back({true, static_cast<std::uint64_t>(size), {}});
    return power == CrashDisk::Power::on ? f.under->pMethods->xTruncate(f.under, size) : SQLITE_IOERR_TRUNCATE;
  }
  /// The file below is never synced: this machine keeps its power, and the tests need not wait for its disk.
  static int sync(sqlite3_file* file, int) {
    CrashFile& f = of(file);
    const auto power = f.disk->change("sync");
    // It may have been through when the power went, and only its answer never came.
    if (power == CrashDisk::Power::gone || (power == CrashDisk::Power::goes && f.disk->dice_.chance(500)))
      return SQLITE_IOERR_FSYNC;
    f.disk->sync(*f.inode);
    if (f.fresh) f.disk->sync_folder();
    f.fresh = false;
    return power == CrashDisk::Power::on ? SQLITE_OK : SQLITE_IOERR_FSYNC;
  }
  static int size(sqlite3_file* file, sqlite3_int64* out) {
    CrashFile& f = of(file);
    return f.disk->dead_ ? SQLITE_IOERR_FSTAT : f.under->pMethods->xFileSize(f.under, out);
  }
  static int lock(sqlite3_file* file, int level) { return of(file).under->pMethods->xLock(of(file).under, level); }
  static int unlock(sqlite3_file* file, int level) { return of(file).under->pMethods->xUnlock(of(file).under, level); }
  static int reserved(sqlite3_file* file, int* out) {
    return of(file).under->pMethods->xCheckReservedLock(of(file).under, out);
  }
  static int control(sqlite3_file* file, int what, void* argument) {
    // Hints about the size would grow the file behind our back.
    if (what == SQLITE_FCNTL_SIZE_HINT || what == SQLITE_FCNTL_CHUNK_SIZE) return SQLITE_OK;
    return of(file).under->pMethods->xFileControl(of(file).under, what, argument);
  }
  static int sector_size(sqlite3_file* file) { return of(file).under->pMethods->xSectorSize(of(file).under); }
  /// What a write does not name stays as it was, whatever happens: the one promise of disks that SQLite rests on here.
  static int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }
  static int shm_map(sqlite3_file* file, int page, int bytes, int extend, void volatile** out) {
    return of(file).under->pMethods->xShmMap(of(file).under, page, bytes, extend, out);
  }
  static int shm_lock(sqlite3_file* file, int offset, int n, int flags) {
    return of(file).under->pMethods->xShmLock(of(file).under, offset, n, flags);
  }
  static void shm_barrier(sqlite3_file* file) { of(file).under->pMethods->xShmBarrier(of(file).under); }
  static int shm_unmap(sqlite3_file* file, int with_file) {
    return of(file).under->pMethods->xShmUnmap(of(file).under, with_file);
  }
};

namespace {

const sqlite3_io_methods methods{.iVersion = 2,
                                 .xClose = CrashFile::close,
                                 .xRead = CrashFile::read,
                                 .xWrite = CrashFile::write,
                                 .xTruncate = CrashFile::truncate,
                                 .xSync = CrashFile::sync,
                                 .xFileSize = CrashFile::size,
                                 .xLock = CrashFile::lock,
                                 .xUnlock = CrashFile::unlock,
                                 .xCheckReservedLock = CrashFile::reserved,
                                 .xFileControl = CrashFile::control,
                                 .xSectorSize = CrashFile::sector_size,
                                 .xDeviceCharacteristics = CrashFile::characteristics,
                                 .xShmMap = CrashFile::shm_map,
                                 .xShmLock = CrashFile::shm_lock,
                                 .xShmBarrier = CrashFile::shm_barrier,
                                 .xShmUnmap = CrashFile::shm_unmap,
                                 .xFetch = nullptr,
                                 .xUnfetch = nullptr};

}  // namespace

CrashDisk::CrashDisk(std::uint64_t seed) : under_(sqlite3_vfs_find(nullptr)), dice_(seed) {
  vfs_ = *under_;
  vfs_.szOsFile = static_cast<int>(sizeof(CrashFile)) + under_->szOsFile;
  vfs_.pNext = nullptr;
  vfs_.zName = "daypass-crash-disk";
  vfs_.pAppData = this;
  vfs_.xOpen = open_file;
  vfs_.xDelete = delete_file;
  // The rest knows nothing of the disk; it is asked through the VFS below, which its calls take for their own.
  vfs_.xAccess = [](sqlite3_vfs* v, const char* name, int flags, int* out) {
    sqlite3_vfs* u = static_cast<CrashDisk*>(v->pAppData)->under_;
    return u->xAccess(u, name, flags, out);
  };
  vfs_.xFullPathname = [](sqlite3_vfs* v, const char* name, int n, char* out) {
    sqlite3_vfs* u = static_cast<CrashDisk*>(v->pAppData)->under_;
    return u->xFullPathname(u, name, n, out);
  };
  DP_ASSERT(sqlite3_vfs_register(&vfs_, 1) == SQLITE_OK);
}

CrashDisk::~CrashDisk() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(under_, 1);
}

CrashDisk::Power CrashDisk::change(const char* what) {
  if (dead_) return Power::gone;
  if (of_syncs_ && std::string_view(what) != "sync") return Power::on;
  if (countdown_ == 0 || --countdown_ != 0) return Power::on;
  ++tally_.during[what];
  cut();
  return Power::goes;
}

void CrashDisk::cut() {
  if (dead_) return;
  dead_ = true;
  countdown_ = 0;
  ++tally_.cuts;
}

void CrashDisk::sync(Inode& inode) {
  if (broken.swallows_sync) return;
  for (const Change& one : inode.pending) apply(inode.safe, one);
  inode.pending.clear();
}

/// Of all its names: a folder is synced as a whole.
void CrashDisk::sync_folder() {
  if (broken.forgets_names) return;
  for (auto& [path, name] : names_) name.safe = name.seen;
}

int CrashDisk::open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  CrashDisk& disk = *static_cast<CrashDisk*>(vfs->pAppData);
  file->pMethods = nullptr;
  if (disk.dead_) return SQLITE_CANTOPEN;
  // Temporary files are in memory (`temp_store`); any other kind would be news.
  DP_ASSERT(name != nullptr && (flags & (journals | SQLITE_OPEN_MAIN_DB)) != 0);
  const bool there = std::filesystem::exists(name);
  if (!there && (flags & SQLITE_OPEN_CREATE) != 0 && disk.change("create") != Power::on) return SQLITE_CANTOPEN;
  auto* under = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + sizeof(CrashFile));
  under->pMethods = nullptr;
  if (const int code = disk.under_->xOpen(disk.under_, name, under, flags, out_flags); code != SQLITE_OK) {
    if (under->pMethods != nullptr) under->pMethods->xClose(under);
    return code;
  }
  auto* f = new (file) CrashFile;
  f->base.pMethods = &methods;
  f->disk = &disk;
  f->under = under;
  f->name = &disk.names_[name];
  f->fresh = !there && (flags & journals) != 0;
  if (f->name->seen == nullptr) {
    f->name->seen = std::make_shared<Inode>();
    // One that was there already was made safe by whoever made it: the store's own file is, before SQLite sees it.
    if (there) f->name->seen->safe = content_of(name), f->name->safe = f->name->seen;
  }
  f->inode = f->name->seen;
  return SQLITE_OK;
}

int CrashDisk::delete_file(sqlite3_vfs* vfs, const char* path, int with_folder) {
  CrashDisk& disk = *static_cast<CrashDisk*>(vfs->pAppData);
  if (disk.change("delete") != Power::on) return SQLITE_IOERR_DELETE;
  const int code = disk.under_->xDelete(disk.under_, path, 0);
  if (code != SQLITE_OK) return code;
  disk.names_[path].seen = nullptr;
  if (with_folder != 0) disk.sync_folder();
  return SQLITE_OK;
}

void CrashDisk::apply(std::string& content, const Change& one) {
  if (one.truncates) return content.resize(one.at);
  if (content.size() < one.at + one.bytes.size()) content.resize(one.at + one.bytes.size());
  std::ranges::copy(one.bytes, content.begin() + static_cast<std::ptrdiff_t>(one.at));
}

/// Some of its sectors.
void CrashDisk::tear(std::string& content, const Change& one) {
  for (std::uint64_t from = one.at; from < one.at + one.bytes.size();) {
    const std::uint64_t to = std::min(one.at + one.bytes.size(), (from / sector + 1) * sector);
    if (dice_.chance(500)) apply(content, {false, from, one.bytes.substr(from - one.at, to - from)});
    from = to;
  }
}

std::string CrashDisk::survivor(const Inode& inode) {
  std::string out = inode.safe;
  const auto& pending = inode.pending;
  tally_.pending += pending.size();
  // All of it, nothing, the first so many with the last one torn, or whatever each one's luck is.
  const auto kind = dice_.between(0, 5);
  const auto prefix = static_cast<std::size_t>(dice_.between(0, static_cast<std::int64_t>(pending.size())));
  for (std::size_t i = 0; i < pending.size(); ++i) {
    const Change& one = pending[i];
    const bool keep = kind == 0 || (kind == 2 && i < prefix) || (kind >= 3 && dice_.chance(500));
    const bool torn = !one.truncates && ((kind == 2 && i == prefix) || (kind >= 4 && dice_.chance(400)));
    if (torn) {
      tear(out, one);
      ++tally_.torn;
    } else if (keep) {
      apply(out, one);
      ++tally_.kept;
    } else {
      ++tally_.lost;
      // The file may have grown though its new bytes are not there: zeros, or what the disk held there before.
      const std::uint64_t end = one.at + one.bytes.size();
      if (!one.truncates && end > out.size() && dice_.chance(300)) {
        const std::size_t before = out.size();
        out.resize(end);
        if (dice_.chance(500))
          for (std::size_t at = before; at < end; ++at) out[at] = static_cast<char>(dice_.next());
      }
    }
  }
  return out;
}

void CrashDisk::restore() {
  DP_ASSERT(dead_);
  for (auto& [path, name] : names_) {
    // The folder may know of a change already, or not yet.
    const std::shared_ptr<Inode> inode = name.seen == name.safe || dice_.chance(500) ? name.seen : name.safe;
    if (inode != name.seen) ++tally_.names;
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    name = {};
    if (inode == nullptr) continue;
    name.seen = std::make_shared<Inode>();
    name.seen->safe = survivor(*inode);
    name.safe = name.seen;
    std::ofstream file(path, std::ios::binary);
    file.write(name.seen->safe.data(), static_cast<std::streamsize>(name.seen->safe.size()));
    file.close();
    DP_ASSERT(file.good());
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    // The shared index is only a cache of the log; it may have stayed as it was, or not.
    if (dice_.chance(500)) std::filesystem::remove(path + "-shm", ignored);
  }
  std::erase_if(names_, [](const auto& item) { return item.second.seen == nullptr; });
  dead_ = false;
}

CrashDisk::Tally& CrashDisk::Tally::operator+=(const Tally& other) {
  cuts += other.cuts;
  pending += other.pending;
  lost += other.lost;
  torn += other.torn;
  kept += other.kept;
  names += other.names;
  for (const auto& [what, n] : other.during) during[what] += n;
  return *this;
}

}  // namespace daypass::chaos
