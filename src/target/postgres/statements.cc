#include "target/postgres/statements.h"

namespace daypass::target::postgres {

std::string dangerous_roles() {
  // pg_use_reserved_connections would let sessions take the slots that revocation needs.
  return "'pg_execute_server_program','pg_read_server_files','pg_write_server_files','pg_signal_backend',"
         "'pg_create_subscription','pg_use_reserved_connections','pg_database_owner','pg_checkpoint',"
         "'pg_signal_autovacuum_worker'";
}

std::string prepared_statements(int version) {
  std::string out;
  // A CASE whose branch depends on a row is not folded at planning time, so the cast fails only when the branch is taken;
  // its text is what the server's log will show.
  out +=
      "PREPARE dp_lock(int, int) AS SELECT CASE WHEN pg_try_advisory_xact_lock($1, $2) OR NOT EXISTS ("
      " SELECT 1 FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
      " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND a.usename = current_user"
      " AND l.classid = ($1::bigint & 4294967295)::oid AND l.objid = ($2::bigint & 4294967295)::oid"
      " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
      " THEN 1 ELSE ('daypass: the account is being worked on, seen by ' || pg_backend_pid())::int END;\n";
  out +=
      "PREPARE dp_mine(text, text) AS SELECT CASE WHEN shobj_description(r.oid, 'pg_authid') = $2 THEN r.oid"
      " ELSE ('daypass: does not carry this grant''s mark, left alone: ' || r.rolname)::int::oid END"
      " FROM pg_roles r WHERE r.rolname = $1;\n";
  out +=
      "PREPARE dp_group(text[]) AS WITH RECURSIVE c(oid) AS ("
      " SELECT oid FROM pg_roles WHERE rolname = ANY ($1)"
      " UNION SELECT m.roleid FROM pg_auth_members m JOIN c ON m.member = c.oid)"
      " SELECT CASE WHEN (SELECT count(*) FROM pg_roles WHERE rolname = ANY ($1)) = cardinality($1)"
      " AND NOT EXISTS (SELECT 1 FROM c JOIN pg_roles r USING (oid) WHERE r.rolcanlogin OR r.rolsuper OR r.rolcreaterole"
      "  OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls OR r.rolname IN (" +
      dangerous_roles() +
      "))"
      " AND NOT EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.admin_option AND m.member IN (SELECT oid FROM c))"
      " THEN 1 ELSE ('daypass: a group may not be used: ' || array_to_string($1, ', '))::int END;\n";
  // The locks must be read before the activity, or a login could slip from the one to the other between the two looks:
  // the LATERAL call runs per row of a lock list that is complete by then. 18 lists logins under way, without their role.
  out +=
      "PREPARE dp_starting AS WITH l AS MATERIALIZED (SELECT DISTINCT pid FROM pg_locks"
      " WHERE locktype = 'virtualxid' AND granted AND pid <> pg_backend_pid())"
      " SELECT l.pid FROM l LEFT JOIN LATERAL pg_stat_get_activity(l.pid) a ON true WHERE a.pid IS NULL" +
      std::string(version >= 180000
                      ? " OR (a.usesysid IS NULL AND coalesce(a.backend_type, 'client backend') = 'client backend')"
                      : "") +
      ";\n";
  out +=
      "PREPARE dp_look(text) AS SELECT r.oid,"
      " EXISTS (SELECT 1 FROM pg_stat_get_activity(NULL) a WHERE a.usesysid = r.oid),"
      " EXISTS (SELECT 1 FROM pg_prepared_xact() p WHERE p.ownerid = r.oid),"
      " EXISTS (SELECT 1 FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid"
      "  AND d.classid <> 'pg_auth_members'::regclass)"
      " FROM pg_roles r WHERE r.rolname = $1;\n";
  out +=
      "PREPARE dp_kill(oid) AS SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_get_activity(NULL) a"
      " WHERE a.usesysid = $1;\n";
  return out;
}

}  // namespace daypass::target::postgres
