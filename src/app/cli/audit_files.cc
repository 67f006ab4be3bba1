#include "app/cli/audit_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

#include "core/audit.h"
#include "crypto/ed25519.h"
#include "store/audit_leaf.h"
#include "tlog/tiles.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
namespace fs = std::filesystem;

namespace {

Error bad(std::string check, std::string why) {
  return {Code::invalid, std::move(check), std::move(why), "keep both as they are, and compare with another copy"};
}
Error bad_file(const std::string& file, const std::string& why = "can't be read") {
  return {Code::invalid, "audit.file", file + " " + why,
          "daypass audit export and daypass audit checkpoint make such files"};
}

std::string count(std::uint64_t n) {
  return std::to_string(n);
}

/// At most `most` bytes.
Result<std::string> read_small(const std::string& file, std::size_t most) {
  std::ifstream in(file, std::ios::binary);
  std::string out(most + 1, '\0');
  in.read(out.data(), static_cast<std::streamsize>(out.size()));
  if (in.bad() || !in.eof()) return bad_file(file, in.is_open() && !in.bad() ? "is too large" : "can't be read");
  out.resize(static_cast<std::size_t>(in.gcount()));
  return out;
}

Result<core::AuditEvent> check_record(const std::string& bytes, std::uint64_t seq,
                                      std::optional<core::TenantId>& tenant) {
  auto event = core::audit_from_canonical(bytes);
  if (!event.ok()) return bad("audit.leaf", "record " + count(seq) + " is damaged");
  if (event->seq != seq)
    return bad("audit.gap", "record " + count(seq) + " says that it is number " + count(event->seq));
  if (!tenant) tenant = event->tenant;
  if (*tenant != event->tenant)
    return bad("audit.leaf", "record " + count(seq) + " is of the tenant " + event->tenant.str() +
                                 ", those before of " + tenant->str());
  return event;
}

/// Anybody can leave a value out without another leaf: what the log itself says of erasures is counted beside it.
void count_erased(const core::AuditEvent& event, LogVerdict& out) {
  out.erased += std::ranges::any_of(event.covers, [](const auto& c) { return !c.second.digest.empty(); }) ? 1U : 0U;
  if (event.action == "person.erasing")
    out.accounted +=
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, base::json::Value(event.facts).int_or("records", 0)));
}

/// The heads are sorted. Compares those of the frontier's size.
Status compare_heads(const tlog::Frontier& frontier, const std::vector<KnownHead>& heads, std::size_t& next) {
  for (; next < heads.size() && heads[next].head.size == frontier.size(); ++next)
    if (heads[next].head.root != frontier.root())
      return bad("audit.fork", "the first " + count(frontier.size()) + " records give another root than " +
                                   heads[next].from + " signs: they are not what they were then");
  return {};
}

Status one_history(const std::vector<KnownHead>& heads) {
  for (std::size_t i = 1; i < heads.size(); ++i) {
    const auto &a = heads[i - 1], &b = heads[i];
    if (a.head.origin != b.head.origin)
      return bad("audit.fork", a.from + " is of the log " + a.head.origin + ", " + b.from + " of " + b.head.origin);
    if (a.head.size == b.head.size && a.head.root != b.head.root)
      return bad("audit.fork", a.from + " and " + b.from + " sign two different logs of " + count(a.head.size) +
                                   " records: the log was forked");
  }
  return {};
}

/// Records of a folder of tiles, bundle by bundle.
class Bundles {
 public:
  explicit Bundles(std::string folder) : folder_(std::move(folder)) {}
  Result<std::optional<std::string>> next() {
    if (at_ == records_.size()) {
      if (records_.size() < tlog::tile_width && read_any_) return std::optional<std::string>();
      DP_CHECK(read());
      if (records_.empty()) return std::optional<std::string>();
    }
    return std::optional(std::move(records_[at_++]));
  }

 private:
  /// A full bundle where there is one, else the widest partial one.
  Status read() {
    at_ = 0;
    records_.clear();
    read_any_ = true;
    std::string path = folder_ + "/" + tlog::bundle_path(index_, tlog::tile_width);
    unsigned width = tlog::tile_width;
    std::error_code failed;
    if (!fs::exists(path, failed)) {
      for (width = tlog::tile_width - 1; width > 0; --width) {
        path = folder_ + "/" + tlog::bundle_path(index_, width);
        if (fs::exists(path, failed)) break;
      }
      if (width == 0) return {};
    }
    DP_TRY(const std::string bytes, read_small(path, tlog::tile_width * (2 + tlog::max_entry)));
    DP_TRY(records_, tlog::parse_bundle(bytes, width));
    ++index_;
    return {};
  }

  std::string folder_;
  std::uint64_t index_ = 0;
  std::vector<std::string> records_;
  std::size_t at_ = 0;
  bool read_any_ = false;
};

class Lines {
 public:
  explicit Lines(const std::string& file) : file_(file), in_(file, std::ios::binary), line_(tlog::max_entry + 2) {}
  [[nodiscard]] bool good() const { return in_.good(); }
  Result<std::optional<std::string>> next() {
    in_.getline(line_.data(), static_cast<std::streamsize>(line_.size()));
    if (in_.eof() && in_.gcount() == 0) return std::optional<std::string>();
    if (in_.fail()) return bad_file(file_, in_.bad() ? "can't be read" : "has a line that is longer than any record");
    // gcount() counts the newline, too, where there was one.
    const auto read = static_cast<std::size_t>(in_.gcount()) - (in_.eof() ? 0U : 1U);
    return std::optional(std::string(line_.data(), read));
  }

 private:
  std::string file_;
  std::ifstream in_;
  std::vector<char> line_;
};

Status write_file(const std::string& folder, const std::string& name, std::string_view bytes) {
  const fs::path path = fs::path(folder) / name;
  std::error_code failed;
  fs::create_directories(path.parent_path(), failed);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (failed || !out) return bad_file(path.string(), "can't be written");
  return {};
}

}  // namespace

Result<LogVerdict> verify_records(const NextRecord& next, std::vector<KnownHead> heads) {
  std::ranges::stable_sort(heads, {}, [](const KnownHead& h) { return h.head.size; });
  DP_CHECK(one_history(heads));
  tlog::Frontier frontier;
  LogVerdict out;
  std::optional<core::TenantId> tenant;
  std::size_t at = 0;
  DP_CHECK(compare_heads(frontier, heads, at));
  for (;;) {
    DP_TRY(const auto record, next());
    if (!record) break;
    DP_TRY(const core::AuditEvent event, check_record(*record, frontier.size(), tenant));
    frontier.append(tlog::leaf_hash(store::leaf_of(event)));
    count_erased(event, out);
    DP_CHECK(compare_heads(frontier, heads, at));
  }
  if (at < heads.size())
    return bad("audit.rollback", "there are only " + count(frontier.size()) + " of the " +
                                     count(heads.back().head.size) + " records that " + heads.back().from + " signs");
  out.records = frontier.size();
  out.root = frontier.root();
  out.covered = heads.empty() ? 0 : heads.back().head.size;
  return out;
}

Result<NextRecord> open_log(const std::string& path) {
  std::error_code failed;
  if (fs::is_directory(path, failed)) {
    if (!fs::is_directory(path + "/tile/entries", failed)) return bad_file(path, "has no tile/entries");
    auto bundles = std::make_shared<Bundles>(path);
    return NextRecord([bundles] { return bundles->next(); });
  }
  auto lines = std::make_shared<Lines>(path);
  if (!lines->good()) return bad_file(path);
  return NextRecord([lines] { return lines->next(); });
}

Result<tlog::NoteKey> read_note_key(const std::string& text_or_file) {
  auto key = tlog::NoteKey::parse(text_or_file);
  std::error_code failed;
  if (key.ok() || !fs::is_regular_file(text_or_file, failed)) return key;
  DP_TRY(std::string text, read_small(text_or_file, 4096));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return tlog::NoteKey::parse(text);
}

Result<KnownHead> read_checkpoint(const std::string& file, const tlog::NoteKey& key) {
  DP_TRY(const std::string note, read_small(file, tlog::max_note));
  DP_TRY(tlog::Checkpoint head, tlog::open_checkpoint(note, key, crypto::ed25519_verify));
  return KnownHead{std::move(head), file};
}

Status write_tiles(const std::string& folder, const NextRecord& next, const std::string& checkpoint,
                   std::uint64_t size) {
  tlog::Frontier frontier;
  tlog::GrowingTiles grown;
  const auto sink = grown.sink();
  while (frontier.size() < size) {
    const std::uint64_t index = frontier.size() / tlog::tile_width;
    const unsigned width = tlog::width_of(size, 0, index);
    std::string bundle, tile;
    for (unsigned i = 0; i < width; ++i) {
      DP_TRY(const auto record, next());
      if (!record)
        return bad("audit.gap",
                   "there are only " + count(frontier.size()) + " of the checkpoint's " + count(size) + " records");
      const auto leaf = store::leaf_of(*record);
      if (!leaf.ok()) return bad("audit.leaf", "record " + count(frontier.size()) + " is damaged");
      if (leaf->size() > tlog::max_entry) return bad("audit.leaf", "record " + count(frontier.size()) + " is too long");
      const tlog::Hash hash = tlog::leaf_hash(*leaf);
      bundle += tlog::bundle_entry(*leaf);
      tile += hash;
      frontier.append(hash, sink);
    }
    DP_CHECK(write_file(folder, tlog::bundle_path(index, width), bundle));
    DP_CHECK(write_file(folder, tlog::tile_path({0, index, width}), tile));
  }
  for (const auto& [key, growth] : grown.growth())
    DP_CHECK(write_file(folder, tlog::tile_path({key.first, key.second, tlog::width_of(size, key.first, key.second)}),
                        growth.hashes));
  // Last: a checkpoint promises that the tiles of its size are there.
  return write_file(folder, "checkpoint", checkpoint);
}

}  // namespace daypass::app::cli
