#include "target/postgres/installer.h"

#include <algorithm>

#include "base/encoding.h"
#include "target/postgres/names.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Status;
using Owner = Function::Owner;

constexpr const char* quote = "$daypass$";

Error wrong(const char* what, std::string message, std::string hint = {}) {
  return {Code::invalid, std::string("installer.") + what, std::move(message), std::move(hint)};
}

/// Names stand in dollar quotes and, databases, behind \connect, which takes some for a connection string.
bool plain(const std::string& name) {
  return !name.empty() && name.size() <= 63 && base::is_utf8(name) && name.find("$daypass") == std::string::npos &&
         std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_database(const std::string& name) {
  return plain(name) && name.find('=') == std::string::npos && !name.starts_with("postgres://") &&
         !name.starts_with("postgresql://");
}

void put(std::string& text, const std::string& key, const std::string& value) {
  for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; at += value.size())
    text.replace(at, key.size(), value);
}

std::string array(const std::vector<std::string>& texts) {
  std::string out = "ARRAY[";
  for (const auto& text : texts) out += (out.back() == '[' ? "" : ", ") + sql_literal(text);
  return out + "]::text[]";
}

/// @S@, @INSTANCE@ and the roles as in installed.cc; @LOGIN@ and @LOGIN_ROLE@: the login as a literal and as a name.
std::string filled(std::string text, const Installation& w) {
  put(text, "@S@", w.names.schema());
  put(text, "@INSTANCE@", w.names.instance);
  put(text, "@KEEPER@", w.names.keeper());
  put(text, "@CLEARER@", w.names.clearer());
  put(text, "@PROBER@", w.names.prober());
  put(text, "@VERSION@", std::to_string(installed_version));
  put(text, "@LONGEST@", std::to_string(w.longest.count()));
  put(text, "@CONNECTIONS@", std::to_string(w.connections));
  put(text, "@GROUPS@", array(w.groups));
  put(text, "@HEIRS@", array(w.heirs));
  put(text, "@LOGIN_ROLE@", sql_ident(w.names.login));
  put(text, "@LOGIN@", sql_literal(w.names.login));
  return text;
}

constexpr const char* begin = R"sql(BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL standard_conforming_strings = on;
SET LOCAL client_min_messages = warning;
DO $daypass$
BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    RAISE EXCEPTION 'daypass: run this as a superuser';
  END IF;
  IF current_setting('server_version_num')::int < 130000 THEN
    RAISE EXCEPTION 'daypass: PostgreSQL 13 or later is needed';
  END IF;
END
$daypass$;
)sql";

constexpr const char* roles = R"sql(
-- The login that Daypass holds: no attribute, member of nothing. An existing role is taken only if it is so already.
DO $daypass$
DECLARE
  v_role text;
BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = @LOGIN@ AND (rolsuper OR rolcreaterole OR rolcreatedb
             OR rolreplication OR rolbypassrls)) THEN
    RAISE EXCEPTION 'daypass: the role % exists and has attributes beyond LOGIN; take a name of its own', @LOGIN@;
  END IF;
  -- (An account that is being revoked may have been lent to it.)
  SELECT g.rolname INTO v_role FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member JOIN pg_roles g
    ON g.oid = m.roleid WHERE u.rolname = @LOGIN@ AND NOT starts_with(g.rolname::text, 'dp_@INSTANCE@_') LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'daypass: the role % is a member of %; take a name of its own', @LOGIN@, v_role;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = @LOGIN@) THEN
    CREATE ROLE @LOGIN_ROLE@;
  END IF;
  FOREACH v_role IN ARRAY ARRAY['@KEEPER@', '@CLEARER@', '@PROBER@'] LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = v_role) THEN
      EXECUTE format('CREATE ROLE %I', v_role);
    END IF;
  END LOOP;
END
$daypass$;
ALTER ROLE @LOGIN_ROLE@ LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;

-- The roles behind the functions: nobody can log in as one of them.
-- The keeper makes and drops accounts. CREATEROLE is the least that does it. On 16 and later that is power over the
-- roles that the keeper made, and over groups whose ADMIN OPTION it is given below. On 15 and older it is as good as the
-- server's own account on its machine, so there the bodies of the functions are all that confines it: read them.
ALTER ROLE @KEEPER@ NOLOGIN INHERIT NOSUPERUSER NOCREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL;
-- The clearer acts for an account that is shut, and for heirs; the prober, for the length of one call, for an account.
ALTER ROLE @CLEARER@ NOLOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL;
ALTER ROLE @PROBER@ NOLOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL;
COMMENT ON ROLE @KEEPER@ IS 'owns functions that make, alter and drop the accounts of daypass @INSTANCE@';
COMMENT ON ROLE @CLEARER@ IS 'owns the function that clears what accounts of daypass @INSTANCE@ own';
COMMENT ON ROLE @PROBER@ IS 'owns the function that ends hidden logins to accounts of daypass @INSTANCE@';

DO $daypass$
DECLARE
  v_role text;
  v_new boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
  -- Whoever may become one of these roles may do what it can: nobody but superusers.
  FOR v_role IN SELECT format('REVOKE %I FROM %I', g.rolname, u.rolname) FROM pg_auth_members m JOIN pg_roles g
      ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
      WHERE g.rolname IN ('@KEEPER@', '@CLEARER@', '@PROBER@') AND NOT u.rolsuper LOOP
    EXECUTE v_role;
  END LOOP;
  EXECUTE 'GRANT pg_signal_backend TO @KEEPER@' || CASE WHEN v_new THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
  FOREACH v_role IN ARRAY @GROUPS@ LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = v_role) THEN
      RAISE EXCEPTION 'daypass: there is no group role %', v_role USING HINT = format('CREATE ROLE %I NOLOGIN;', v_role);
    END IF;
    IF v_new THEN
      EXECUTE format('GRANT %I TO @KEEPER@ WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', v_role);
    END IF;
  END LOOP;
  FOREACH v_role IN ARRAY @HEIRS@ LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = v_role AND NOT (rolcanlogin OR rolsuper OR rolcreaterole
                   OR rolcreatedb OR rolreplication OR rolbypassrls)) THEN
      RAISE EXCEPTION 'daypass: the heir % is not there, or has an attribute', v_role
        USING HINT = format('CREATE ROLE %I NOLOGIN;', v_role);
    END IF;
    EXECUTE format('GRANT %I TO @CLEARER@', v_role) || CASE WHEN v_new THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
  END LOOP;
  -- What is no longer named: an heir at once; a group as soon as no account is in it by the keeper's grant.
  FOR v_role IN SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u
      ON u.oid = m.member WHERE u.rolname = '@CLEARER@' AND g.rolname::text <> ALL (@HEIRS@)
      AND NOT starts_with(g.rolname::text, 'dp_@INSTANCE@_') LOOP
    EXECUTE format('REVOKE %I FROM @CLEARER@', v_role);
  END LOOP;
  FOR v_role IN SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u
      ON u.oid = m.member WHERE u.rolname = '@KEEPER@' AND g.rolname::text <> ALL (@GROUPS@)
      AND g.rolname <> 'pg_signal_backend' AND NOT starts_with(g.rolname::text, 'dp_@INSTANCE@_') LOOP
    BEGIN
      EXECUTE format('REVOKE %I FROM @KEEPER@', v_role);
    EXCEPTION WHEN dependent_objects_still_exist THEN
      RAISE WARNING 'daypass: accounts are still in %; run this again when they have ended', v_role;
    END;
  END LOOP;
  -- Accounts that another login of this instance made: on 16 and later the keeper needs its ADMIN OPTION on each.
  IF v_new THEN
    FOR v_role IN SELECT r.rolname FROM pg_roles r WHERE starts_with(r.rolname::text, 'dp_@INSTANCE@_')
        AND starts_with(shobj_description(r.oid, 'pg_authid'), 'daypass @INSTANCE@ ')
        AND NOT pg_has_role('@KEEPER@', r.oid, 'MEMBER WITH ADMIN OPTION') LOOP
      EXECUTE format('GRANT %I TO @KEEPER@ WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', v_role);
    END LOOP;
  END IF;
END
$daypass$;
)sql";

constexpr const char* schema = R"sql(
-- The schema and its tables are the superuser's: the roles behind the functions read them and change nothing.
DO $daypass$
BEGIN
  IF EXISTS (SELECT 1 FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE n.nspname = '@S@'
             AND NOT r.rolsuper) THEN
    RAISE EXCEPTION 'daypass: a schema @S@ is there already, and is not a superuser''s';
  END IF;
END
$daypass$;
CREATE SCHEMA IF NOT EXISTS @S@;
CREATE TABLE IF NOT EXISTS @S@.heirs (name text PRIMARY KEY);
DELETE FROM @S@.heirs;
INSERT INTO @S@.heirs SELECT DISTINCT h FROM unnest(@HEIRS@) h;
DO $daypass$
DECLARE
  v_function text;
BEGIN
  FOR v_function IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = '@S@'::regnamespace LOOP
    EXECUTE 'DROP FUNCTION ' || v_function;
  END LOOP;
END
$daypass$;
)sql";

constexpr const char* home_tables = R"sql(
CREATE TABLE IF NOT EXISTS @S@.settings (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  version integer NOT NULL, longest interval NOT NULL, connections integer NOT NULL);
DELETE FROM @S@.settings;
INSERT INTO @S@.settings VALUES (true, @VERSION@, make_interval(secs => @LONGEST@), @CONNECTIONS@);
CREATE TABLE IF NOT EXISTS @S@.groups (name text PRIMARY KEY);
DELETE FROM @S@.groups;
INSERT INTO @S@.groups SELECT DISTINCT g FROM unnest(@GROUPS@) g;
)sql";

// Whatever ALTER DEFAULT PRIVILEGES or an earlier hand gave to whomever is taken back first.
constexpr const char* rights = R"sql(
DO $daypass$
DECLARE
  v_statement text;
  v_new boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
  FOR v_statement IN
    SELECT format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', p.oid::regprocedure,
                  coalesce(quote_ident(g.rolname), 'PUBLIC')) FROM pg_proc p,
      LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a LEFT JOIN pg_roles g ON g.oid = a.grantee
      WHERE p.pronamespace = '@S@'::regnamespace AND a.grantee <> p.proowner
    UNION ALL SELECT format('REVOKE ALL ON TABLE %s FROM %s CASCADE', c.oid::regclass,
                            coalesce(quote_ident(g.rolname), 'PUBLIC')) FROM pg_class c,
      LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
      WHERE c.relnamespace = '@S@'::regnamespace AND c.relkind = 'r' AND a.grantee <> c.relowner
    UNION ALL SELECT format('REVOKE ALL ON SCHEMA @S@ FROM %s CASCADE', coalesce(quote_ident(g.rolname), 'PUBLIC'))
      FROM pg_namespace n, LATERAL aclexplode(n.nspacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
      WHERE n.nspname = '@S@' AND a.grantee <> n.nspowner
  LOOP
    EXECUTE v_statement;
  END LOOP;
  IF v_new THEN
    FOR v_statement IN SELECT format('ALTER FUNCTION %s SET createrole_self_grant = %L', p.oid::regprocedure, '')
        FROM pg_proc p WHERE p.pronamespace = '@S@'::regnamespace LOOP
      EXECUTE v_statement;
    END LOOP;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), @LOGIN@);
END
$daypass$;
GRANT USAGE ON SCHEMA @S@ TO @LOGIN_ROLE@, @KEEPER@, @CLEARER@, @PROBER@;
GRANT SELECT ON ALL TABLES IN SCHEMA @S@ TO @LOGIN_ROLE@, @KEEPER@, @CLEARER@;
)sql";

std::string create(const Installation& w, const Function& f) {
  const std::string name = w.names.schema() + "." + f.name;
  const std::string signature = name + "(" + f.types + ")";
  const std::string owner = f.owner == Owner::keeper    ? w.names.keeper()
                            : f.owner == Owner::clearer ? w.names.clearer()
                            : f.owner == Owner::prober  ? w.names.prober()
                                                        : "";
  std::string out = "\nCREATE FUNCTION " + name + "(" + f.arguments + ") RETURNS " + f.returns +
                    "\nLANGUAGE plpgsql VOLATILE SECURITY " + (owner.empty() ? "INVOKER" : "DEFINER");
  for (const auto& [key, value] : fixed_settings(0)) out += " SET " + key + " = " + value;
  out += "\nAS " + std::string(quote) + f.body + quote + ";\n";
  if (!owner.empty()) out += "ALTER FUNCTION " + signature + " OWNER TO " + owner + ";\n";
  return out;
}

std::string grants(const Installation& w, bool home) {
  std::string out;
  for (const auto& f : functions_of(w.names)) {
    if (!home && !f.everywhere) continue;
    out += "GRANT EXECUTE ON FUNCTION " + w.names.schema() + "." + f.name + "(" + f.types + ") TO " +
           (f.for_login ? sql_ident(w.names.login) : w.names.keeper() + ", " + w.names.clearer()) + ";\n";
  }
  return out;
}

std::string part(const Installation& w, bool home) {
  std::string out = begin;
  if (home) out += roles;
  out += schema;
  if (home) out += home_tables;
  out = filled(out, w);
  for (const auto& f : functions_of(w.names))
    if (home || f.everywhere) out += create(w, f);
  out += filled(rights, w) + grants(w, home);
  // A group that may not be given is told now, and not when somebody needs it.
  if (home && !w.groups.empty()) out += "SELECT " + w.names.schema() + ".groups_fit(" + array(w.groups) + ");\n";
  return out + "COMMIT;\n";
}

constexpr const char* drop_here = R"sql(
DROP SCHEMA IF EXISTS @S@ CASCADE;
DO $daypass$
BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = @LOGIN@) THEN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', current_database(), @LOGIN@);
  END IF;
END
$daypass$;
)sql";

constexpr const char* drop_roles = R"sql(
DO $daypass$
DECLARE
  v_role text;
BEGIN
  SELECT r.rolname INTO v_role FROM pg_roles r WHERE starts_with(r.rolname::text, 'dp_@INSTANCE@_')
    AND starts_with(shobj_description(r.oid, 'pg_authid'), 'daypass @INSTANCE@ ') LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'daypass: the account % is still there; end its grant first', v_role;
  END IF;
  FOREACH v_role IN ARRAY ARRAY['@KEEPER@', '@CLEARER@', '@PROBER@'] LOOP
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = v_role) THEN
      EXECUTE format('DROP OWNED BY %I', v_role);
      EXECUTE format('DROP ROLE %I', v_role);
    END IF;
  END LOOP;
END
$daypass$;
)sql";

std::vector<std::string> databases_of(const Installation& w) {
  std::vector<std::string> out{w.home};
  for (const auto& database : w.databases)
    if (std::ranges::find(out, database) == out.end()) out.push_back(database);
  return out;
}

}  // namespace

Status judge(const Installation& w) {
  if (!is_instance(w.names.instance))
    return wrong("instance", "an instance is six characters of a-z and 0-9", "it stands in <data_dir>/instance");
  const auto role = [&](const char* what, const std::string& name) -> Status {
    if (is_identifier(name) && plain(name) && !name.starts_with(w.names.schema()) && !name.starts_with("dp_"))
      return {};
    return wrong(what, "\"" + name + "\" is no name that may be used here",
                 "1 to 63 bytes; not public, none, pg_…, dp_… or " + w.names.schema() + "…");
  };
  DP_CHECK(role("login", w.names.login));
  for (const auto& group : w.groups) {
    DP_CHECK(role("group", group));
    if (group == w.names.login) return wrong("group", "the login itself is no group");
  }
  for (const auto& heir : w.heirs) {
    DP_CHECK(role("heir", heir));
    if (heir == w.names.login || std::ranges::find(w.groups, heir) != w.groups.end())
      return wrong("heir", "\"" + heir + "\" is a group or the login", "an heir is a role of its own, see \"creates\"");
  }
  if (w.groups.empty()) return wrong("group", "no group role is named", "--group NAME, for each that may be given");
  for (const auto& database : databases_of(w))
    if (!is_database(database))
      return wrong("database", "\"" + database + "\" is no database that a script can connect to",
                   "1 to 63 bytes, without = and control characters");
  if (w.longest < std::chrono::minutes(1) || w.longest > std::chrono::days(30))
    return wrong("longest", "an account's longest life is 1 minute to 30 days");
  if (w.connections < 1 || w.connections > 100'000) return wrong("connections", "1 to 100000 connections");
  return {};
}

std::vector<Part> install_parts(const Installation& wanted) {
  std::vector<Part> out;
  for (const auto& database : databases_of(wanted)) out.push_back({database, part(wanted, database == wanted.home)});
  return out;
}

std::vector<Part> uninstall_parts(const Installation& wanted) {
  std::vector<Part> out;
  const auto databases = databases_of(wanted);
  // The roles last: they must own nothing anywhere by then.
  for (auto it = databases.rbegin(); it != databases.rend(); ++it)
    out.push_back(
        {*it, filled(std::string(begin) + drop_here + (*it == wanted.home ? drop_roles : ""), wanted) + "COMMIT;\n"});
  return out;
}

std::string script_of(const std::vector<Part>& parts, const std::string& heading) {
  std::string out = heading + "\\set ON_ERROR_STOP on\n";
  for (const auto& one : parts) out += "\n\\connect " + sql_ident(one.database) + "\n\\encoding UTF8\n" + one.sql;
  return out;
}

}  // namespace daypass::target::postgres
