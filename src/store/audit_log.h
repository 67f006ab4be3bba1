// What every driver's audit log shares: the bytes of a record, the tiles above the records, and the second look that a
// head needs before anybody signs it.
#pragma once

#include <functional>
#include <string>

#include "store/store.h"
#include "tlog/tiles.h"

namespace daypass::store {

/// Documents of a tenant: its signing key, the last checkpoint, the tiles of level 1 and up (key: their path).
inline constexpr std::string_view doc_audit_key = "audit_key", doc_audit_checkpoint = "audit_checkpoint",
                                  doc_audit_tile = "audit_tile";

/// The leaf hash of these bytes, if they are record `seq` of the tenant. Errors: "audit.leaf", "audit.gap", naming the
/// record.
base::Result<tlog::Hash> hash_of_record(const core::TenantId& tenant, std::uint64_t seq, std::string_view bytes);

/// The tiles of a log, out of its records and its documents. `reader` outlives it. Errors: those of the reader,
/// "audit.tile" (one is missing).
tlog::ReadTile audit_tiles(Reader& reader, const core::TenantId& tenant);
/// Adds to the tile documents what grew. Error: "audit.tile" (a tile is not as it was when the growth began).
base::Status keep_tiles(Tx& tx, const core::TenantId& tenant, const tlog::GrowingTiles& grown);

struct AuditAdvance {
  tlog::Frontier frontier;  ///< of the whole log
  tlog::GrowingTiles grown;
};
/// Reads the records behind `from` back from the store, hashes each anew and compares the root with the stored head:
/// what was written, not what was meant. Snapshots are let go of every 16,384 records. `stop` is asked for between
/// pages. Errors: those of verify_audit, "audit.rollback" (the log is shorter than `from`), "audit.stopped".
base::Result<AuditAdvance> advance_audit(Store& store, const core::TenantId& tenant, tlog::Frontier from,
                                         const std::function<bool()>& stop);

}  // namespace daypass::store
