// What an account leaves behind in one database: dropped, or handed to the role's heir.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "core/ids.h"
#include "target/postgres/connection.h"

namespace daypass::target::postgres {

struct Leaver {
  std::string instance;
  std::string name;
  core::GrantId grant;
  std::int64_t oid = 0;
  std::string heir;        ///< empty: everything is dropped
  bool heir_known = true;  ///< false: nobody knows the roles any more, so data is neither dropped nor handed over
};

/// Requires that the account can't log in, has no session, and that the connection's role may act for it.
/// Repeatable; works in small transactions, so that an account with very many objects can't exhaust the lock table.
/// Done by the connection's own role: the other way is clear() of installed.h.
/// Errors: conflict "pg.foreign_dependents" (something that others own depends on what would go), conflict
/// "pg.heir_unknown", conflict "pg.foreign_grants" (somebody gave the account rights on an object of theirs, and the
/// admin login may not take them back), and what to_error says.
base::Status clear_database(Connection& connection, const Leaver& leaver, const Deadline& deadline);

// What both ways say.
base::Error heir_missing(const Connection& connection, const Leaver& leaver);
base::Error heir_unknown(const Connection& connection, const Leaver& leaver, const std::string& object);
base::Error foreign_dependents(const Connection& connection, const Leaver& leaver, const std::string& objects);
base::Error foreign_grants(const Connection& connection, const Leaver& leaver, const std::string& objects);
base::Error clear_stuck(const Connection& connection, const Leaver& leaver);
base::Error clear_failed(const Connection& connection, const Leaver& leaver, const Failure& failure);

}  // namespace daypass::target::postgres
