// The rules as data. Each statement yields (message, fix) rows, one per thing that is wrong, over two lists:
//   c(oid, name)  the group and every role it is in: membership gives their rights, and on 15 and older SET ROLE as
//   well w(oid, name)  the same and PUBLIC, for rights on objects
#include "target/postgres/group_rules.h"

#include "target/postgres/statements.h"

namespace daypass::target::postgres {
namespace {

using Grade = Finding::Grade;

std::string lists(const std::string& group) {
  return "WITH RECURSIVE c(oid, name) AS (SELECT oid, rolname::text FROM pg_roles WHERE rolname = " + group +
         " UNION SELECT r.oid, r.rolname::text FROM pg_auth_members m JOIN c ON m.member = c.oid"
         " JOIN pg_roles r ON r.oid = m.roleid),"
         " w(oid, name) AS (SELECT oid, quote_ident(name) FROM c UNION ALL SELECT 0::oid, 'PUBLIC') ";
}

/// An object's kind and name as GRANT and REVOKE want them.
std::string on_object(const std::string& catalog, const std::string& oid) {
  const std::string identity = "pg_identify_object('" + catalog + "'::regclass, " + oid + ", 0)";
  return "(SELECT CASE i.type WHEN 'view' THEN 'TABLE' WHEN 'materialized view' THEN 'TABLE' WHEN 'foreign table' THEN "
         "'TABLE'"
         " WHEN 'server' THEN 'FOREIGN SERVER' WHEN 'aggregate' THEN 'FUNCTION' WHEN 'foreign-data wrapper' THEN"
         " 'FOREIGN DATA WRAPPER' ELSE upper(i.type) END || ' ' || i.identity FROM " +
         identity + " i)";
}

/// A role attribute that no group role may have.
std::string attribute(const char* column, const char* words, const char* off) {
  return std::string("SELECT format('%s ") + words + "', r.rolname), format('ALTER ROLE %I " + off +
         ";', r.rolname) FROM c JOIN pg_roles r USING (oid) WHERE r." + column;
}

// Rights that an account gave on what it made, or a group on what it owns, are no sign of power: they end with the
// account, or are found by "owns". Counting them would let any session stop others by a GRANT on a temporary table.
constexpr const char* counts =
    "a.grantor NOT IN (SELECT oid FROM c) AND NOT EXISTS (SELECT 1 FROM pg_roles dp WHERE dp.oid = a.grantor AND"
    " starts_with(dp.rolname, 'dp_') AND starts_with(shobj_description(dp.oid, 'pg_authid'), 'daypass ')) AND ";

/// Rights on the objects of one catalog, held by a role in `holders`.
std::string rights(const std::string& catalog, const std::string& acl, const std::string& holders,
                   const std::string& where, const std::string& revoke = "REVOKE %s") {
  return "SELECT format('%s has %s on %s', h.name, a.privilege_type, o.who), format('" + revoke +
         " ON %s FROM %s;', a.privilege_type, o.who, h.name) FROM " + catalog + " t, LATERAL aclexplode(" + acl +
         ") a JOIN " + holders + " h ON h.oid = a.grantee, LATERAL (SELECT " + on_object(catalog, "t.oid") +
         " AS who) o WHERE " + counts + where;
}

std::string grant_options(int version) {
  const auto one = [](const std::string& catalog, const std::string& column) {
    return rights(catalog, "t." + column, "(SELECT oid, quote_ident(name) AS name FROM c)", "a.is_grantable",
                  "REVOKE GRANT OPTION FOR %s");
  };
  std::string out = one("pg_class", "relacl") + " UNION ALL " + one("pg_namespace", "nspacl") + " UNION ALL " +
                    one("pg_proc", "proacl") + " UNION ALL " + one("pg_type", "typacl") + " UNION ALL " +
                    one("pg_language", "lanacl") + " UNION ALL " + one("pg_foreign_data_wrapper", "fdwacl") +
                    " UNION ALL " + one("pg_foreign_server", "srvacl") + " UNION ALL " + one("pg_database", "datacl") +
                    " UNION ALL " + one("pg_tablespace", "spcacl") + " UNION ALL " +
                    one("pg_largeobject_metadata", "lomacl") +
                    " UNION ALL SELECT format('%s has %s on column %s of %s', c.name, a.privilege_type, t.attname,"
                    " t.attrelid::regclass), format('REVOKE GRANT OPTION FOR %s (%I) ON %s FROM %I;', a.privilege_type,"
                    " t.attname, t.attrelid::regclass, c.name) FROM pg_attribute t, LATERAL aclexplode(t.attacl) a"
                    " JOIN c ON c.oid = a.grantee WHERE " +
                    counts + "a.is_grantable";
  if (version >= 150000)
    out +=
        " UNION ALL SELECT format('%s may pass on %s on parameter %s', c.name, a.privilege_type, t.parname),"
        " format('REVOKE GRANT OPTION FOR %s ON PARAMETER %s FROM %I;', a.privilege_type, t.parname, c.name)"
        " FROM pg_parameter_acl t, LATERAL aclexplode(t.paracl) a JOIN c ON c.oid = a.grantee WHERE a.is_grantable";
  return out;
}

std::string on_databases(const std::string& privilege, bool own_too, bool by_public) {
  return "SELECT format('%s has " + privilege + " on database %s', w.name, d.datname), format('REVOKE " + privilege +
         " ON DATABASE %I FROM %s;', d.datname, w.name) FROM pg_database d,"
         " LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a JOIN w ON w.oid = a.grantee"
         " WHERE d.datallowconn AND a.privilege_type = '" +
         privilege + "' AND w.oid " + (by_public ? "=" : "<>") + " 0" +
         (own_too ? "" : " AND d.datname <> current_database()");
}

std::string in_schemas(bool by_public) {
  return rights("pg_namespace", "coalesce(t.nspacl, acldefault('n', t.nspowner))", "w",
                std::string("a.privilege_type = 'CREATE' AND h.oid ") + (by_public ? "=" : "<>") + " 0");
}

const char* const data_roles =
    "'pg_read_all_data','pg_write_all_data','pg_monitor','pg_read_all_settings','pg_read_all_stats','pg_stat_scan_"
    "tables',"
    "'pg_maintain'";

std::string predefined() {
  return "SELECT format('%s is in %s', mem.rolname, c.name), format('REVOKE %I FROM %I;', c.name, mem.rolname)"
         " FROM c JOIN pg_auth_members m ON m.roleid = c.oid JOIN c AS inner_c ON inner_c.oid = m.member"
         " JOIN pg_roles mem ON mem.oid = m.member WHERE ";
}

// Functions that the server, or an extension, keeps from PUBLIC at birth: pg_read_file, lo_export, dblink_connect_u, …
const char* const kept_functions =
    "SELECT format('%s may call %s, which is kept for superusers', w.name, p.oid::regprocedure),"
    " format('REVOKE EXECUTE ON FUNCTION %s FROM %s;', p.oid::regprocedure, w.name)"
    " FROM pg_init_privs i JOIN pg_proc p ON i.classoid = 'pg_proc'::regclass AND p.oid = i.objoid,"
    " LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a JOIN w ON w.oid = a.grantee"
    " WHERE NOT EXISTS (SELECT 1 FROM aclexplode(i.initprivs) g WHERE g.grantee IN (0, a.grantee))";

// What any member can leave on the group: settings of default privileges, and, where it can become the group (15 and
// older), large objects, temporary objects and prepared transactions. None of it gives power, so it must not be a way
// to stop accounts from being made; it is reported apart.
const char* const from_members =
    "(d.classid IN ('pg_default_acl'::regclass, 'pg_largeobject'::regclass)"
    " OR (d.classid = 'pg_class'::regclass AND EXISTS (SELECT 1 FROM pg_class x WHERE x.oid = d.objid AND"
    "  x.relpersistence = 't' AND db.datname = current_database()))"
    " OR (d.classid = 'pg_proc'::regclass AND EXISTS (SELECT 1 FROM pg_proc x JOIN pg_namespace n ON n.oid = "
    "x.pronamespace"
    "  WHERE x.oid = d.objid AND starts_with(n.nspname, 'pg_temp_') AND db.datname = current_database()))"
    " OR (d.classid = 'pg_type'::regclass AND EXISTS (SELECT 1 FROM pg_type x JOIN pg_namespace n ON n.oid = "
    "x.typnamespace"
    "  WHERE x.oid = d.objid AND starts_with(n.nspname, 'pg_temp_') AND db.datname = current_database())))";

std::string owned(bool left_by_members) {
  return std::string(
             "SELECT format('%s owns %s', c.name, CASE WHEN d.dbid = 0 OR db.datname = current_database()"
             " THEN coalesce(pg_describe_object(d.classid, d.objid, 0), 'something') ELSE 'something in database ' ||"
             " db.datname END), CASE WHEN d.classid = 'pg_largeobject'::regclass THEN format('SELECT lo_unlink(%s);', "
             "d.objid)"
             " ELSE format('REASSIGN OWNED BY %I TO <who shall own it>;', c.name) END"
             " FROM pg_shdepend d JOIN c ON d.refobjid = c.oid LEFT JOIN pg_database db ON db.oid = d.dbid"
             " WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND ") +
         (left_by_members ? "" : "NOT ") + from_members;
}

const char* const prepared =
    " UNION ALL SELECT format('%s owns the prepared transaction %L in database %s', p.owner, p.gid, p.database),"
    " format('ROLLBACK PREPARED %L; -- in database %s', p.gid, p.database) FROM pg_prepared_xacts p JOIN c ON c.name = "
    "p.owner";

}  // namespace

std::vector<Rule> group_rules(const std::string& quoted_group, bool creates, int version) {
  std::vector<Rule> out;
  const std::string with = lists(quoted_group);
  const auto add = [&](const char* name, Grade grade, const std::string& sql) {
    out.push_back({std::string("pg.group_role.") + name, grade, with + sql + " LIMIT 10"});
  };
  add("exists", Grade::fail,
      "SELECT 'there is no such role', format('CREATE ROLE %I NOLOGIN;', " + quoted_group +
          ") WHERE NOT EXISTS (SELECT 1 FROM c)");
  add("login", Grade::fail, attribute("rolcanlogin", "may log in", "NOLOGIN"));
  add("superuser", Grade::fail, attribute("rolsuper", "is a superuser", "NOSUPERUSER"));
  add("createrole", Grade::fail, attribute("rolcreaterole", "has CREATEROLE", "NOCREATEROLE"));
  add("createdb", Grade::fail, attribute("rolcreatedb", "has CREATEDB", "NOCREATEDB"));
  add("replication", Grade::fail, attribute("rolreplication", "has REPLICATION", "NOREPLICATION"));
  add("bypassrls", Grade::fail, attribute("rolbypassrls", "has BYPASSRLS", "NOBYPASSRLS"));
  add("predefined", Grade::fail,
      predefined() + "c.name IN (" + dangerous_roles() + ") OR (starts_with(c.name, 'pg_') AND c.name NOT IN (" +
          data_roles + "))");
  add("owns", Grade::fail, owned(false));
  add("left_behind", Grade::warn, owned(true) + prepared);
  add("admin_option", Grade::fail,
      "SELECT format('%s has the ADMIN OPTION on %s', c.name, r.rolname), format('REVOKE ADMIN OPTION FOR %I FROM %I;',"
      " r.rolname, c.name) FROM pg_auth_members m JOIN c ON c.oid = m.member JOIN pg_roles r ON r.oid = m.roleid"
      " WHERE m.admin_option");
  add("grant_option", Grade::fail, grant_options(version));
  add("create_schema", creates ? Grade::warn : Grade::fail, in_schemas(false));
  add("public_create", Grade::fail, in_schemas(true));
  add("create_database", Grade::fail, on_databases("CREATE", true, false));
  add("public_create_database", Grade::fail, on_databases("CREATE", true, true));
  add("connect", Grade::fail, on_databases("CONNECT", false, false));
  add("public_connect", Grade::fail, on_databases("CONNECT", false, true));
  // A session may put a trigger with a function of its own on the table, and who writes next runs that function: tried.
  add("trigger", Grade::fail, rights("pg_class", "t.relacl", "w", "a.privilege_type = 'TRIGGER'"));
  add("functions", Grade::fail, kept_functions);
  add("create_server", Grade::fail, rights("pg_foreign_data_wrapper", "t.fdwacl", "w", "true"));
  add("reads_passwords", Grade::fail,
      rights("pg_class", "t.relacl", "w",
             "a.privilege_type = 'SELECT' AND t.oid IN ('pg_authid'::regclass, 'pg_shadow'::regclass,"
             " 'pg_user_mapping'::regclass)"));
  if (version >= 150000) {
    const std::string parameters =
        "SELECT format('%s has %s on parameter %s', w.name, a.privilege_type, t.parname), format('REVOKE %s ON "
        "PARAMETER %s"
        " FROM %s;', a.privilege_type, t.parname, w.name) FROM pg_parameter_acl t, LATERAL aclexplode(t.paracl) a"
        " JOIN w ON w.oid = a.grantee WHERE a.privilege_type ";
    add("alter_system", Grade::fail, parameters + "= 'ALTER SYSTEM'");
    add("set_parameter", Grade::warn, parameters + "= 'SET'");
  }
  add("reads_all", Grade::warn, predefined() + "c.name IN (" + data_roles + ")");
  return out;
}

std::vector<Rule> heir_rules(const std::string& heir, const std::string& groups, const std::string& actor,
                             int version) {
  std::vector<Rule> out;
  const std::string with = "WITH RECURSIVE h AS (SELECT * FROM pg_roles WHERE rolname = " + heir +
                           "), c(oid) AS (SELECT oid FROM pg_roles WHERE rolname = ANY (" + groups +
                           ") UNION SELECT m.roleid FROM pg_auth_members m JOIN c ON m.member = c.oid) ";
  const auto add = [&](const char* name, const std::string& sql) {
    out.push_back({std::string("pg.heir.") + name, Grade::fail, with + sql + " LIMIT 10"});
  };
  add("exists", "SELECT 'there is no such role', format('CREATE ROLE %I NOLOGIN;', " + heir +
                    ") WHERE NOT EXISTS (SELECT 1 FROM h)");
  add("login", "SELECT 'it may log in', format('ALTER ROLE %I NOLOGIN;', rolname) FROM h WHERE rolcanlogin");
  add("attributes",
      "SELECT 'it has an attribute that would make what it owns dangerous', format('ALTER ROLE %I NOSUPERUSER "
      "NOCREATEROLE"
      " NOCREATEDB NOREPLICATION NOBYPASSRLS;', rolname) FROM h WHERE rolsuper OR rolcreaterole OR rolcreatedb OR"
      " rolreplication OR rolbypassrls");
  add("member",
      "SELECT format('it is in %s, and must be in nothing', r.rolname), format('REVOKE %I FROM %I;', r.rolname, "
      "h.rolname)"
      " FROM pg_auth_members m JOIN h ON h.oid = m.member JOIN pg_roles r ON r.oid = m.roleid");
  add("group",
      "SELECT 'the group is in it, so every session owns what the others made', format('REVOKE %I FROM <the group>;',"
      " h.rolname) FROM h JOIN c USING (oid)");
  add("admin", "SELECT format('%s may not act for it', " + actor + "), format('GRANT %I TO %I" +
                   (version >= 160000 ? " WITH INHERIT TRUE, SET TRUE" : "") + ";', rolname, " + actor +
                   ") FROM h WHERE NOT pg_has_role(" + actor + ", oid, 'USAGE')" +
                   (version >= 160000 ? " OR NOT pg_has_role(" + actor + ", oid, 'SET')" : ""));
  // Not for a superuser: it may give a table to anyone.
  add("create",
      "SELECT format('it may not create in schema %s', n.nspname), format('GRANT USAGE, CREATE ON SCHEMA %I TO %I;',"
      " n.nspname, h.rolname) FROM h, pg_namespace n WHERE NOT (has_schema_privilege(h.oid, n.oid, 'CREATE') AND"
      " has_schema_privilege(h.oid, n.oid, 'USAGE')) AND"
      " EXISTS (SELECT 1 FROM aclexplode(n.nspacl) a WHERE a.privilege_type = 'CREATE' AND a.grantee IN (SELECT oid "
      "FROM c))"
      " AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)");
  return out;
}

}  // namespace daypass::target::postgres
