// `daypass setup psql`: services and passwords for clients that know libpq and nothing of Daypass.
//
// One marked block in ~/.pg_service.conf is all that is touched of what belongs to the user; the rest are files of our
// own in the state folder (0600): pgpass, gate-ca.pem, and psql.json, from which the others are written.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli/client.h"
#include "base/result.h"

namespace daypass::app::cli {

/// One section of the service file: a target ("pg/orders": what one may have that is not elevated) or one role
/// ("pg/orders/reader"). The credential opens a grant only when somebody connects, and dies with its login.
struct Service {
  std::string name;
  std::string target;
  std::vector<std::string> roles;  ///< empty: all permitted ones that are not elevated
  std::string host, port, database, user, password;
  bool operator==(const Service&) const = default;
};

/// libpq's escaping in a password file: backslash before ':' and '\'.
std::string passfile_escape(std::string_view text);
/// A line of a password file.
std::string passfile_line(const Service& service);
/// The sections. libpq knows no quoting there: a value that a line can't carry is error "setup.value".
base::Result<std::string> service_sections(const std::vector<Service>& services, const std::string& passfile,
                                           const std::string& ca_file);

/// `text` with our block added at the end, or put in the place of the one that is there. `existed`: whether there was a
/// file; the block remembers that, so that without_block() gives back the very bytes.
/// Errors: "setup.block_damaged" (markers that don't pair), "setup.service_taken" (a section of that name outside the
/// block).
base::Result<std::string> with_block(std::string_view text, bool existed, const std::vector<Service>& services,
                                     std::string_view sections);
struct Without {
  std::string text;
  bool found = false;
  bool was_new = false;  ///< we made the file
};
/// Error: "setup.block_damaged".
base::Result<Without> without_block(std::string_view text);

struct SetupDone {
  std::vector<Service> services;
  std::vector<std::string> skipped;  ///< "pg/orders/writer: why"
  std::string service_file, passfile;
};
/// Asks for what is missing and writes the files. A credential of the same login is kept, so a second run changes
/// nothing.
base::Result<SetupDone> refresh_psql(Io& io, Client& client);
/// Whether `setup psql` was run for this server and tenant and not undone.
bool psql_is_set_up(const Io& io, const Place& place);
/// The login session that the credentials belong to; nullopt when nothing is set up.
std::optional<std::string> psql_session(const Io& io);

}  // namespace daypass::app::cli
