// The script that a DBA reads and runs as a superuser, so that the login that Daypass holds is confined: it may call
// the functions of installed.h and do nothing else. Running it again upgrades; what it names is what holds afterwards.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "target/postgres/installed.h"

namespace daypass::target::postgres {

struct Installation {
  Installed names;
  std::string home;                    ///< the database where the driver works (maintenance_database)
  std::vector<std::string> databases;  ///< all in which accounts may leave something; `home` need not be repeated
  std::vector<std::string> groups;     ///< that accounts may be made members of
  std::vector<std::string> heirs;      ///< that may inherit what accounts made
  base::Seconds longest = std::chrono::hours(24);  ///< no account is made to live longer, counted from each call
  int connections = 102;                           ///< nor with more; the driver asks for two beyond the grant's own
};

/// SQL for one database, to be run by a superuser.
struct Part {
  std::string database;
  std::string sql;  ///< one transaction, without psql's own commands
};

/// Error: invalid "installer.<what>": an instance, name, lifetime or number that can't be.
base::Status judge(const Installation& wanted);
/// Both require a judged installation. The first part is that of the home.
std::vector<Part> install_parts(const Installation& wanted);
std::vector<Part> uninstall_parts(const Installation& wanted);
/// The parts as one script for psql.
std::string script_of(const std::vector<Part>& parts, const std::string& heading);

}  // namespace daypass::target::postgres
