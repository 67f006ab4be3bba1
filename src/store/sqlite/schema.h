// The tables, and how a store written by an older release becomes one of this release.
#pragma once

#include "base/result.h"
#include "store/sqlite/connection.h"

namespace daypass::store::sqlite {

/// The newest schema that this program knows.
int newest_schema() noexcept;

/// Refuses a database of another program, before anything is written. Errors: "store.foreign", "store.corrupt".
base::Status check_is_ours(Connection& connection);

/// Brings the schema up to date; requires an open write transaction. Errors: "store.schema_newer" (a newer release
/// wrote it), "store.corrupt".
base::Status migrate(Connection& connection);

}  // namespace daypass::store::sqlite
