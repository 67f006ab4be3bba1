// The statements that every connection has ready. Three of them are guards: they sit in front of the statements that change
// something, in the same transaction, and raise 22P02 when these must not run, so one round trip does both.
#pragma once

#include <string>

namespace daypass::target::postgres {

/// PREPAREs for a server of `version` (150018 for 15.18):
///   dp_lock(int, int)    guard: takes the account's advisory lock, or raises when another of our connections holds it.
///                        A lock held by anyone else is ignored: whoever can log in can take any advisory lock, and so could
///                        keep its own account from ever being revoked.
///   dp_mine(text, text)  guard: the role's oid when its comment is the given mark, no row when there is no such role;
///                        raises when the role is not ours.
///   dp_group(text[])     guard: raises unless all the groups exist and neither they nor a role they are in may log in,
///                        has an attribute, may administer a role or is one of the server's own roles that give too much.
///   dp_starting          pids of logins that are under way: they hold a transaction and are not in pg_stat_activity yet.
///                        One that passed the LOGIN test before our NOLOGIN was committed can only be seen here.
///   dp_look(text)        oid, sessions?, prepared transactions?, owned or granted objects? of the role; no row: absent
///   dp_kill(oid)         terminates the role's sessions; one row: how many there were
std::string prepared_statements(int version);

/// Names of predefined roles that give more than data, for SQL: 'pg_execute_server_program', …
std::string dangerous_roles();

}  // namespace daypass::target::postgres
