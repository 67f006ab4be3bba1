// The queries that find what an account has in one database, and the statements that rid it of that. Asked by the admin
// login itself, or from inside an installed function: the same texts, so that both clear alike.
// What stands in them: %OID% the account's oid, %HEIR% the heir as an SQL expression that yields its quoted name,
// %HEIROID% its oid, or 0.
#pragma once

#include <string>
#include <vector>

namespace daypass::target::postgres {

/// One row: something that only an heir may decide about (a table, a sequence, a large object), by name.
std::string data_of_account();
/// Up to five objects of others that would fall with what the account owns.
std::string dependents_of_others(bool heir);
/// Queries in their order; each yields rows of statements, a batch at a time, and is asked until it yields none.
std::vector<std::string> clearing_steps(bool heir);
/// Roles, with their comments, whose grants to the account must be taken back on their behalf and that `actor` (an SQL
/// expression, a role's name) can't act for.
std::string fellows(const std::string& actor);
/// Up to five objects on which the account still has rights that others gave it.
std::string grants_of_others();

}  // namespace daypass::target::postgres
