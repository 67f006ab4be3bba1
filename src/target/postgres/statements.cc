#include "target/postgres/statements.h"

namespace daypass::target::postgres {

std::string dangerous_roles() {
  // pg_use_reserved_connections would let sessions take the slots that revocation needs.
  return "'pg_execute_server_program','pg_read_server_files','pg_write_server_files','pg_signal_backend',"
         "'pg_create_subscription','pg_use_reserved_connections','pg_database_owner','pg_checkpoint',"
         "'pg_signal_autovacuum_worker'";
}

namespace {

/// A guard: `value` where `good`, else 22P02 with `words` for the server's log. `row` is a text that depends on a row
/// or a parameter: such a cast is not folded at planning time, so it fails only when its branch is taken.
std::string guard(const std::string& good, const std::string& value, const std::string& words, const std::string& row) {
  return "CASE WHEN " + good + " THEN " + value + " ELSE ('daypass: " + words + "' || " + row + ")::int END";
}

constexpr const char* harmless_groups =
    "(SELECT count(*) FROM pg_roles WHERE rolname = ANY ($1) AND NOT (rolcanlogin OR rolsuper OR rolcreaterole OR"
    " rolcreatedb OR rolreplication OR rolbypassrls)) = cardinality($1)";

/// Pids of logins under way. The locks must be read before the activity, or a login could slip from the one to the
/// other between the two looks: the LATERAL call runs per row of a lock list that is complete by then.
std::string starting(int version) {
  return "(WITH l AS MATERIALIZED (SELECT pid FROM pg_lock_status() WHERE locktype = 'virtualxid' AND granted AND"
         " pid <> pg_backend_pid()) SELECT string_agg(l.pid::text, ',') AS pids FROM l LEFT JOIN LATERAL"
         " pg_stat_get_activity(l.pid) a ON true WHERE a.pid IS NULL" +
         // 18 lists them, without their role.
         std::string(version >= 180000
                         ? " OR (a.usesysid IS NULL AND coalesce(a.backend_type, 'client backend') = 'client backend')"
                         : "") +
         ")";
}

}  // namespace

std::string prepared_statements(int version, bool prepared_transactions) {
  std::string out;
  out += "PREPARE dp_lock(int, int) AS SELECT " +
         guard("pg_try_advisory_xact_lock($1, $2)", "1", "the account''s lock is taken, seen by ", "pg_backend_pid()") +
         ";\n";
  out +=
      "PREPARE dp_holder(int, int) AS SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
      " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND a.usename = current_user"
      " AND l.classid = ($1::bigint & 4294967295)::oid AND l.objid = ($2::bigint & 4294967295)::oid"
      " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());\n";
  out += "PREPARE dp_mine(text, text) AS SELECT " +
         guard("d.description = $2", "r.oid::bigint", "not this grant''s mark, left alone: ", "r.rolname") +
         " FROM pg_roles r LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass"
         " WHERE r.rolname = $1;\n";
  out += "PREPARE dp_group(text[]) AS SELECT " +
         guard(std::string(harmless_groups) +
                   " AND NOT EXISTS (SELECT 1 FROM pg_auth_members WHERE member IN (SELECT oid FROM pg_roles WHERE"
                   " rolname = ANY ($1)))",
               "1", "a group may not be used: ", "array_to_string($1, ', ')") +
         ";\n";
  out +=
      "PREPARE dp_group_deep(text[]) AS WITH RECURSIVE c(oid) AS ("
      " SELECT oid FROM pg_roles WHERE rolname = ANY ($1)"
      " UNION SELECT m.roleid FROM pg_auth_members m JOIN c ON m.member = c.oid) SELECT " +
      guard(std::string(harmless_groups) +
                " AND NOT EXISTS (SELECT 1 FROM c JOIN pg_roles r USING (oid) WHERE r.rolcanlogin OR r.rolsuper OR"
                " r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls OR r.rolname IN (" +
                dangerous_roles() +
                ")) AND NOT EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.admin_option AND m.member IN (SELECT oid"
                " FROM c))",
            "1", "a group may not be used: ", "array_to_string($1, ', ')") +
      ";\n";
  // What follows hangs on s, so it is looked at after the logins under way. The offset keeps s a step of its own.
  const std::string looked =
      "SELECT r.oid, s.pids, EXISTS (SELECT 1 FROM pg_stat_get_activity(NULL) a WHERE"
      " a.usesysid = r.oid AND coalesce(s.pids, '') >= ''), " +
      std::string(prepared_transactions ? "EXISTS (SELECT 1 FROM pg_prepared_xact() p WHERE p.ownerid = r.oid)"
                                        : "false") +
      ", EXISTS (SELECT 1 FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid"
      " AND d.classid <> 'pg_auth_members'::regclass), r.rolname FROM (SELECT pids FROM " +
      starting(version) + " x OFFSET 0) s LEFT JOIN pg_roles r ON r.rolname = ";
  out += "PREPARE dp_look(text) AS " + looked + "$1;\n";
  out += "PREPARE dp_looks(text[]) AS " + looked + "ANY ($1);\n";
  out +=
      "PREPARE dp_kill(oid) AS SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_get_activity(NULL) a"
      " WHERE a.usesysid = $1;\n";
  return out;
}

}  // namespace daypass::target::postgres
