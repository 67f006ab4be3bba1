// What an account leaves behind in one database: dropped, or handed to the role's heir.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "target/postgres/connection.h"

namespace daypass::target::postgres {

struct Leaver {
  std::string instance;
  std::string name;
  std::int64_t oid = 0;
  std::string heir;        ///< empty: everything is dropped
  bool heir_known = true;  ///< false: nobody knows the roles any more, so data is neither dropped nor handed over
};

/// Requires that the account can't log in, has no session, and that the connection's role may act for it.
/// Repeatable; works in small transactions, so that an account with very many objects can't exhaust the lock table.
/// Errors: conflict "pg.foreign_dependents" (something that others own depends on what would go), conflict
/// "pg.heir_unknown", conflict "pg.foreign_grants" (somebody gave the account rights on an object of theirs, and the
/// admin login may not take them back), and what to_error says.
base::Status clear_database(Connection& connection, const Leaver& leaver, const Deadline& deadline);

}  // namespace daypass::target::postgres
