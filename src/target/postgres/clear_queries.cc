#include "target/postgres/clear_queries.h"

namespace daypass::target::postgres {
namespace {

// What stands in every query: %OID% the account, %HEIR% the heir as an identifier in text, %HEIROID% its oid or 0.
// OWN(classid, objid): what the account owns in this database.
constexpr const char* own =
    "own AS (SELECT d.classid, d.objid FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = "
    "%OID%"
    " AND d.deptype = 'o' AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))";

/// Parts of other objects (an identity column's sequence, a range's constructor) and of extensions go with the whole.
std::string whole(const char* catalog, const char* oid) {
  return std::string(" AND NOT EXISTS (SELECT 1 FROM pg_depend i WHERE i.classid = '") + catalog +
         "'::regclass AND i.objid = " + oid + " AND i.objsubid = 0 AND i.deptype IN ('i', 'e'))";
}

/// Revokes what others hold on one object; the owner's own rights stay. `kind` is TABLE, SEQUENCE, …
std::string revokes(const char* kind, const char* name, const char* acl, bool from_public = true) {
  return std::string("coalesce((SELECT string_agg(DISTINCT format('REVOKE ALL ON ") + kind + " %s FROM %s CASCADE;', " +
         name + ", coalesce(quote_ident(g.rolname), 'PUBLIC')), '') FROM aclexplode(" + acl +
         ") a LEFT JOIN pg_roles g ON g.oid = a.grantee WHERE a.grantee <> %OID%" +
         (from_public ? " AND (a.grantee = 0 OR g.oid IS NOT NULL)" : " AND g.oid IS NOT NULL") + "), '')";
}

// An expression that a later INSERT evaluates as whoever inserts. Built-in functions alone make a trap: lo_export() or
// query_to_xml() in a DEFAULT waits for a superuser. Only what is immutable or on this list may stay.
std::string is_trap(const char* tree) {
  return std::string("EXISTS (SELECT 1 FROM regexp_matches(") + tree +
         "::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g') f JOIN pg_proc p ON p.oid = f[1]::oid"
         " WHERE p.provolatile <> 'i' AND NOT (p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN "
         "('nextval', 'now',"
         " 'random', 'gen_random_uuid', 'clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'date', "
         "'time',"
         " 'timetz', 'timestamp', 'timestamptz', 'timezone', 'date_trunc', 'extract', 'to_char', 'age')))";
}

std::string table_statements() {
  const std::string parts[] = {
      // The clone of a parent's trigger goes with the parent's.
      "(SELECT string_agg(format('DROP TRIGGER IF EXISTS %I ON %s;', t.tgname, r.name), '') FROM pg_trigger t WHERE"
      " t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgparentid = 0)",
      "(SELECT string_agg(format('DROP POLICY IF EXISTS %I ON %s;', p.polname, r.name), '') FROM pg_policy p"
      " WHERE p.polrelid = r.oid)",
      "(SELECT string_agg(format('DROP RULE IF EXISTS %I ON %s;', u.rulename, r.name), '') FROM pg_rewrite u"
      " WHERE u.ev_class = r.oid)",
      "(SELECT string_agg(format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT;', r.name, a.attname), '') FROM "
      "pg_attrdef d"
      " JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = r.oid AND "
      "a.attgenerated = ''"
      " AND " +
          is_trap("d.adbin") + ")",
      "(SELECT string_agg(format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE;', r.name, k.conname), '') FROM"
      " pg_constraint k WHERE k.conrelid = r.oid AND k.contype = 'c' AND k.coninhcount = 0 AND " +
          is_trap("k.conbin") + ")",
      "CASE WHEN r.forced THEN format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;', r.name) END",
      revokes("TABLE", "r.name",
              "(SELECT array_agg(x) FROM (SELECT unnest(r.acl) UNION SELECT unnest(a.attacl) FROM pg_attribute a"
              " WHERE a.attrelid = r.oid) u(x))"),
      "(SELECT string_agg(" + revokes("SEQUENCE", "s.oid::regclass", "s.relacl") +
          ", '') FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' WHERE d.classid = "
          "'pg_class'::regclass"
          " AND d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.deptype IN ('a', 'i'))",
      "format('ALTER TABLE %s OWNER TO %s;', r.name, %HEIR%)"};
  std::string out = "concat(";
  for (const auto& part : parts) out += (&part == parts ? "" : ", ") + part;
  return "SELECT " + out +
         ") FROM (SELECT c.oid, c.oid::regclass::text AS name, c.relacl AS acl, c.relforcerowsecurity AS forced FROM "
         "pg_class c"
         " WHERE c.relowner = %OID% AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'" +
         whole("pg_class", "c.oid") + " LIMIT 25) r";
}

/// Tables first: dropping code would take their defaults.
std::vector<std::string> hand_over() {
  const auto owner = [](const char* what, const char* name) {
    return std::string("format('ALTER ") + what + " %s OWNER TO %s;', " + name + ", %HEIR%)";
  };
  return {
      "SELECT concat(" + revokes("SCHEMA", "quote_ident(n.nspname)", "n.nspacl") + ", " +
          owner("SCHEMA", "quote_ident(n.nspname)") + ") FROM pg_namespace n WHERE n.nspowner = %OID%" +
          whole("pg_namespace", "n.oid") + " LIMIT 25",
      table_statements(),
      "SELECT concat(" + revokes("SEQUENCE", "c.oid::regclass", "c.relacl") + ", " +
          owner("SEQUENCE", "c.oid::regclass") +
          ") FROM pg_class c WHERE c.relowner = %OID% AND c.relkind = 'S' AND c.relpersistence <> 't' AND NOT EXISTS "
          "(SELECT 1"
          " FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjsubid > 0"
          " AND d.deptype IN ('a', 'i'))" +
          whole("pg_class", "c.oid") + " LIMIT 25",
      // Types of columns: dropping them would drop the columns. A domain's checks and default run as whoever inserts.
      "SELECT concat(CASE WHEN t.typtype = 'd' THEN concat((SELECT string_agg(format('ALTER DOMAIN %s DROP CONSTRAINT "
      "IF EXISTS"
      " %I CASCADE;', t.oid::regtype, k.conname), '') FROM pg_constraint k WHERE k.contypid = t.oid AND " +
          is_trap("k.conbin") + "), CASE WHEN t.typdefaultbin IS NOT NULL AND " + is_trap("t.typdefaultbin") +
          " THEN format('ALTER DOMAIN %s DROP DEFAULT;', t.oid::regtype) END) END, " +
          revokes("TYPE", "t.oid::regtype", "t.typacl", false) + ", " + owner("TYPE", "t.oid::regtype") +
          ") FROM pg_type t WHERE t.typowner = %OID% AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND EXISTS"
          " (SELECT 1 FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')))" +
          whole("pg_type", "t.oid") +
          " AND NOT EXISTS (SELECT 1 FROM pg_namespace n WHERE n.oid = t.typnamespace AND starts_with(n.nspname, "
          "'pg_temp_'))"
          " LIMIT 25",
      "SELECT format('ALTER COLLATION %s OWNER TO %s;', i.identity, %HEIR%) FROM pg_collation o,"
      " LATERAL pg_identify_object('pg_collation'::regclass, o.oid, 0) i WHERE o.collowner = %OID%" +
          whole("pg_collation", "o.oid") + " LIMIT 25",
      "SELECT concat(" + revokes("LARGE OBJECT", "l.oid", "l.lomacl") + ", " + owner("LARGE OBJECT", "l.oid") +
          ") FROM pg_largeobject_metadata l WHERE l.lomowner = %OID% LIMIT 200",
  };
}

/// `kinds` of relations, by name where the admin login may use the schema; DROP OWNED takes the others.
std::string drop_relations(const char* kinds) {
  return std::string(
             "SELECT format('DROP %s IF EXISTS %s CASCADE;', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN"
             " 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,"
             " c.oid::regclass) FROM pg_class c WHERE c.relowner = %OID% AND c.relkind IN (") +
         kinds +
         ") AND NOT c.relispartition AND has_schema_privilege(c.relnamespace, 'USAGE') AND NOT EXISTS (SELECT 1 FROM"
         " pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjsubid > 0 AND c.relkind "
         "= 'S'"
         " AND d.deptype IN ('a', 'i'))" +
         whole("pg_class", "c.oid") + " LIMIT 50";
}

std::vector<std::string> drop_code() {
  return {
      drop_relations("'v', 'm', 'f'"),
      "SELECT format('DROP ROUTINE IF EXISTS %s CASCADE;', p.oid::regprocedure) FROM pg_proc p WHERE p.proowner = %OID%"
      " AND has_schema_privilege(p.pronamespace, 'USAGE')" +
          whole("pg_proc", "p.oid") + " LIMIT 50"};
}

/// The owner of (classid, objid); NULL for what has none of its own. Triggers are left out: only the account itself
/// would have put its function on a table, and there it is the trap that has to go.
constexpr const char* owner_of =
    "CASE g.classid"
    " WHEN 'pg_class'::regclass THEN (SELECT relowner FROM pg_class WHERE oid = g.objid)"
    " WHEN 'pg_proc'::regclass THEN (SELECT proowner FROM pg_proc WHERE oid = g.objid)"
    " WHEN 'pg_type'::regclass THEN (SELECT typowner FROM pg_type WHERE oid = g.objid)"
    " WHEN 'pg_namespace'::regclass THEN (SELECT nspowner FROM pg_namespace WHERE oid = g.objid)"
    " WHEN 'pg_operator'::regclass THEN (SELECT oprowner FROM pg_operator WHERE oid = g.objid)"
    " WHEN 'pg_opclass'::regclass THEN (SELECT opcowner FROM pg_opclass WHERE oid = g.objid)"
    " WHEN 'pg_opfamily'::regclass THEN (SELECT opfowner FROM pg_opfamily WHERE oid = g.objid)"
    " WHEN 'pg_collation'::regclass THEN (SELECT collowner FROM pg_collation WHERE oid = g.objid)"
    " WHEN 'pg_conversion'::regclass THEN (SELECT conowner FROM pg_conversion WHERE oid = g.objid)"
    " WHEN 'pg_statistic_ext'::regclass THEN (SELECT stxowner FROM pg_statistic_ext WHERE oid = g.objid)"
    " WHEN 'pg_ts_config'::regclass THEN (SELECT cfgowner FROM pg_ts_config WHERE oid = g.objid)"
    " WHEN 'pg_ts_dict'::regclass THEN (SELECT dictowner FROM pg_ts_dict WHERE oid = g.objid)"
    " WHEN 'pg_foreign_server'::regclass THEN (SELECT srvowner FROM pg_foreign_server WHERE oid = g.objid)"
    " WHEN 'pg_foreign_data_wrapper'::regclass THEN (SELECT fdwowner FROM pg_foreign_data_wrapper WHERE oid = g.objid)"
    " WHEN 'pg_extension'::regclass THEN (SELECT extowner FROM pg_extension WHERE oid = g.objid)"
    " WHEN 'pg_language'::regclass THEN (SELECT lanowner FROM pg_language WHERE oid = g.objid)"
    " WHEN 'pg_event_trigger'::regclass THEN (SELECT evtowner FROM pg_event_trigger WHERE oid = g.objid)"
    " WHEN 'pg_publication'::regclass THEN (SELECT pubowner FROM pg_publication WHERE oid = g.objid)"
    " WHEN 'pg_attrdef'::regclass THEN (SELECT relowner FROM pg_attrdef x JOIN pg_class c ON c.oid = x.adrelid"
    "  WHERE x.oid = g.objid)"
    " WHEN 'pg_constraint'::regclass THEN (SELECT coalesce(c.relowner, t.typowner) FROM pg_constraint x LEFT JOIN "
    "pg_class c"
    "  ON c.oid = x.conrelid LEFT JOIN pg_type t ON t.oid = x.contypid WHERE x.oid = g.objid)"
    " WHEN 'pg_rewrite'::regclass THEN (SELECT relowner FROM pg_rewrite x JOIN pg_class c ON c.oid = x.ev_class"
    "  WHERE x.oid = g.objid)"
    " WHEN 'pg_policy'::regclass THEN (SELECT relowner FROM pg_policy x JOIN pg_class c ON c.oid = x.polrelid"
    "  WHERE x.oid = g.objid) END";

}  // namespace

std::string dependents_of_others(bool heir) {
  // With an heir the data stays, so what depends on it stays, too.
  const std::string goes =
      heir ? " WHERE NOT (classid IN ('pg_namespace'::regclass, 'pg_collation'::regclass, 'pg_largeobject'::regclass)"
             " OR (classid = 'pg_class'::regclass AND EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = objid AND"
             "  c.relkind IN ('r', 'p', 'S', 'c') AND c.relpersistence <> 't'))"
             " OR (classid = 'pg_type'::regclass AND EXISTS (SELECT 1 FROM pg_type t WHERE t.oid = objid AND"
             "  t.typtype IN ('e', 'd', 'r', 'c'))))"
           : "";
  return std::string("WITH RECURSIVE ") + own + ", gone(classid, objid) AS (SELECT classid, objid FROM own" + goes +
         " UNION SELECT d.classid, d.objid FROM pg_depend d JOIN gone g ON d.refclassid = g.classid AND d.refobjid = "
         "g.objid)"
         " SELECT pg_describe_object(g.classid, g.objid, 0) FROM gone g WHERE " +
         owner_of + " NOT IN (%OID%, %HEIROID%) LIMIT 5";
}

std::string data_of_account() {
  return "SELECT oid::regclass::text FROM pg_class WHERE relowner = %OID% AND relkind IN ('r', 'p', 'm', 'S') AND"
         " relpersistence <> 't' UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata"
         " WHERE lomowner = %OID% LIMIT 1";
}

std::vector<std::string> clearing_steps(bool heir) {
  std::vector<std::string> out;
  if (heir)
    out = hand_over();
  else
    out.push_back(drop_relations("'v', 'm', 'f', 'r', 'p', 'S'"));
  for (auto& query : drop_code()) out.push_back(std::move(query));
  if (!heir)
    out.emplace_back(
        "SELECT format('SELECT count(lo_unlink(o)) FROM unnest(%L::oid[]) o;', array_agg(oid)) FROM (SELECT oid"
        " FROM pg_largeobject_metadata WHERE lomowner = %OID% LIMIT 500) l HAVING count(*) > 0");
  return out;
}

std::string fellows(const std::string& actor) {
  return std::string("SELECT DISTINCT r.rolname, shobj_description(r.oid, 'pg_authid') FROM (SELECT ") + owner_of +
         " AS owner FROM pg_shdepend g WHERE g.refclassid = 'pg_authid'::regclass AND g.refobjid = %OID% AND"
         " g.deptype = 'a' AND g.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) o"
         " JOIN pg_roles r ON r.oid = o.owner WHERE NOT pg_has_role(" +
         actor + ", r.oid, 'USAGE')";
}

std::string grants_of_others() {
  return "SELECT DISTINCT pg_describe_object(classid, objid, 0) FROM pg_shdepend WHERE refclassid ="
         " 'pg_authid'::regclass AND refobjid = %OID% AND deptype = 'a' AND dbid IN (0, (SELECT oid FROM pg_database"
         " WHERE datname = current_database())) LIMIT 5";
}

}  // namespace daypass::target::postgres
