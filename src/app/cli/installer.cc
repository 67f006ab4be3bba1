// The script with which a DBA confines the login that Daypass holds. Writes it; touches no server.
#include "target/postgres/installer.h"
#include "app/cli/commands.h"

namespace daypass::app::cli {

namespace pg = target::postgres;

namespace {

std::string heading_of(const pg::Installation& wanted, bool uninstall) {
  std::string out = "-- Daypass, instance " + wanted.names.instance + ": ";
  if (uninstall)
    return out + "takes away what the installer made, once no account is left. The login stays: DROP ROLE " +
           pg::sql_ident(wanted.names.login) + "; when nobody needs it.\n";
  out += "confines its login " + pg::sql_ident(wanted.names.login) + ", version " +
         std::to_string(pg::installed_version) +
         ".\n"
         "-- Read it, then run it as a superuser: psql -X -f THIS_FILE. Running it again upgrades, and what it names "
         "holds.\n"
         "-- The login has no password yet: \\password " +
         pg::sql_ident(wanted.names.login) +
         "\n"
         "-- Then, in the target's settings: broker = \"functions\"; daypass target check tells what is missing.\n";
  return out;
}

}  // namespace

int target_installer(Io& io, const Globals& g, const InstallerOptions& o) {
  pg::Installation wanted;
  wanted.names = {o.instance, o.login};
  wanted.home = o.home;
  wanted.databases = o.databases;
  wanted.groups = o.groups;
  wanted.heirs = o.heirs;
  wanted.connections = o.connections;
  const auto longest = base::parse_duration(o.longest);
  if (!longest.ok()) return (void)fail(io, g, longest.error(), "--longest"), int{Exit::usage};
  wanted.longest = std::chrono::floor<base::Seconds>(*longest);
  if (const auto good = pg::judge(wanted); !good.ok())
    return (void)fail(io, g, good.error(), "no script was written"), int{Exit::usage};
  const auto parts = o.uninstall ? pg::uninstall_parts(wanted) : pg::install_parts(wanted);
  if (g.json()) {
    base::json::Array out;
    for (const auto& part : parts) out.push_back(base::json::Object{{"database", part.database}, {"sql", part.sql}});
    print_json(io, {{"parts", std::move(out)}});
    return Exit::done;
  }
  io.out(pg::script_of(parts, heading_of(wanted, o.uninstall)));
  return Exit::done;
}

}  // namespace daypass::app::cli
