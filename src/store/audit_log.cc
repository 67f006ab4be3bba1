#include "store/audit_log.h"

#include <algorithm>

#include "store/audit_leaf.h"

namespace daypass::store {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t page_size = 512;
constexpr int pages_of_a_snapshot = 32;

Error broken(std::string check, std::string message) {
  return {Code::internal, std::move(check), std::move(message),
          "keep a copy of the store as it is, and compare with the last checkpoint that was kept elsewhere"};
}

std::string count(std::uint64_t n) {
  return std::to_string(n);
}

/// A tile's document goes by its path, whatever its width is by now.
std::string tile_key(unsigned level, std::uint64_t index) {
  return tlog::tile_path({level, index});
}

Result<std::string> leaf_tile(Reader& reader, const core::TenantId& tenant, const tlog::Tile& tile) {
  DP_TRY(const auto hashes, reader.leaf_hashes(tenant, tile.index * tlog::tile_width, tile.width));
  if (hashes.size() != tile.width)
    return broken("audit.gap", "records of the audit log are missing behind record " +
                                   count(tile.index * tlog::tile_width + hashes.size()));
  std::string out;
  for (const tlog::Hash& hash : hashes) out += hash;
  return out;
}

}  // namespace

Result<tlog::Hash> hash_of_record(const core::TenantId& tenant, std::uint64_t seq, std::string_view bytes) {
  const std::string name = "record " + count(seq);
  const auto event = core::audit_from_canonical(bytes);
  if (!event.ok())
    return broken("audit.leaf", name + " of the audit log is not what was appended: " + event.error().message);
  if (event->tenant != tenant) return broken("audit.leaf", name + " of the audit log belongs to another tenant");
  if (event->seq != seq)
    return broken("audit.gap", name + " of the audit log is missing: record " + count(event->seq) + " is in its place");
  return tlog::leaf_hash(leaf_of(*event));
}

tlog::ReadTile audit_tiles(Reader& reader, const core::TenantId& tenant) {
  return [&reader, tenant](const tlog::Tile& tile) -> Result<std::string> {
    if (tile.level == 0) return leaf_tile(reader, tenant, tile);
    DP_TRY(const auto document, reader.get(tenant, doc_audit_tile, tile_key(tile.level, tile.index), base::WallTime{}));
    const std::size_t wanted = tile.width * tlog::hash_size;
    if (!document || document->body.size() < wanted)
      return broken("audit.tile", tlog::tile_path(tile) + " of the audit log is missing");
    return document->body.substr(0, wanted);
  };
}

Status keep_tiles(Tx& tx, const core::TenantId& tenant, const tlog::GrowingTiles& grown) {
  for (const auto& [key, growth] : grown.growth()) {
    const std::string name = tile_key(key.first, key.second);
    DP_TRY(const auto before, tx.get(tenant, doc_audit_tile, name, base::WallTime{}));
    Document document{tenant, std::string(doc_audit_tile), name, 0, before ? before->body : std::string(), {}};
    if (document.body.size() != growth.from * tlog::hash_size)
      return broken("audit.tile", name + " of the audit log is not as it was");
    document.body += growth.hashes;
    DP_CHECK(tx.put(document, before ? before->version : 0));
  }
  return {};
}

Result<AuditAdvance> advance_audit(Store& store, const core::TenantId& tenant, tlog::Frontier from,
                                   const std::function<bool()>& stop) {
  AuditAdvance out{std::move(from), {}};
  const auto sink = out.grown.sink();
  tlog::Frontier& frontier = out.frontier;
  for (;;) {
    DP_TRY(const auto reader, store.snapshot());
    DP_TRY(const auto head, reader->audit_head(tenant));
    const auto& [size, root] = head;
    if (size < frontier.size())
      return broken("audit.rollback", "the audit log has " + count(size) + " records, fewer than the " +
                                          count(frontier.size()) + " that are signed");
    for (int page = 0; page < pages_of_a_snapshot && frontier.size() < size; ++page) {
      if (stop()) return Error{Code::unavailable, "audit.stopped", "the server is stopping"};
      const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(page_size, size - frontier.size()));
      DP_TRY(const auto records, reader->audit(tenant, frontier.size(), most));
      if (records.empty())
        return broken("audit.gap", "record " + count(frontier.size()) + " of the audit log is missing");
      for (const auto& bytes : records) {
        DP_TRY(const tlog::Hash hash, hash_of_record(tenant, frontier.size(), bytes));
        frontier.append(hash, sink);
      }
    }
    if (frontier.size() < size) continue;
    if (frontier.root() != root)
      return broken("audit.root", "the " + count(size) + " records of the audit log give another root than its head");
    return out;
  }
}

}  // namespace daypass::store
