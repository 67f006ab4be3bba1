// The statements that every connection has ready. Three of them are guards: they sit in front of the statements that
// change something, in the same transaction, and raise 22P02 when these must not run, so one round trip does both.
#pragma once

#include <string>

namespace daypass::target::postgres {

/// PREPAREs for a server of `version` (150018 for 15.18), with or without max_prepared_transactions:
///   dp_lock(int, int)      guard: takes the account's advisory lock, or raises when somebody holds it.
///   dp_holder(int, int)    how many of our own connections hold it. A lock held by anyone else is ignored: whoever can
///                          log in can take any advisory lock, and so could keep its own account from being revoked.
///   dp_mine(text, text)    guard: the role's oid when its comment is the given mark, no row when there is no such
///   role;
///                          raises when the role is not ours.
///   dp_group(text[])       guard: raises unless all the groups exist, can't log in, have no attribute and are in no
///                          role.
///   dp_group_deep(text[])  the same for groups that are in roles: these may not have such things either, nor ADMIN
///                          OPTION, nor be one of the server's own roles that give too much. Dearer, so apart.
///   dp_look(text)          one row: the role's oid (NULL: absent), the pids of logins under way ("7,9" or NULL), and
///                          whether there are sessions, prepared transactions, objects or rights. A login under way
///                          holds a transaction and is not in pg_stat_activity yet; one that passed the LOGIN test
///                          before our NOLOGIN was committed can only be seen so.
///   dp_kill(oid)           terminates the role's sessions; one row: how many there were
std::string prepared_statements(int version, bool prepared_transactions);

/// Names of predefined roles that give more than data, for SQL: 'pg_execute_server_program', …
std::string dangerous_roles();

}  // namespace daypass::target::postgres
