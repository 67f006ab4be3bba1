#include "target/postgres/installed.h"

#include <utility>

#include "target/postgres/clear_queries.h"

namespace daypass::target::postgres {
namespace {

using Owner = Function::Owner;

// In the texts: @S@ the schema, @INSTANCE@, @KEEPER@, @CLEARER@ and @PROBER@ the roles (plain names that need no
// quotes), @LOGIN@ the confined login as a literal. No backslash anywhere, so that nobody's setting of
// standard_conforming_strings changes what a pattern means; IS NOT TRUE, so that NULL never passes a test.
// Every statement looks again (the functions are VOLATILE, and refuse to run on an old snapshot).

/// The account's name. Nobody passes a role's name to any function, so none outside the prefix can be meant.
constexpr const char* account_name = R"sql(
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'daypass: this must be called at READ COMMITTED' USING ERRCODE = 'PD009';
  END IF;
  IF (p_tenant COLLATE "C" ~ '^[a-z0-9][a-z0-9-]{0,30}$' AND octet_length(p_tenant) <= 31
      AND p_grant COLLATE "C" ~ '^gr_[a-z2-7]{26}$' AND octet_length(p_grant) = 29) IS NOT TRUE THEN
    RAISE EXCEPTION 'daypass: this is not a tenant and a grant' USING ERRCODE = 'PD001';
  END IF;
  RETURN 'dp_@INSTANCE@_' || substr(p_grant, 4);
END
)sql";

constexpr const char* account_oid = R"sql(
DECLARE
  v_name text := @S@.account_name(p_tenant, p_grant);
  v_role record;
BEGIN
  SELECT r.oid, shobj_description(r.oid, 'pg_authid') AS mark, r.rolsuper OR r.rolcreaterole OR r.rolcreatedb
         OR r.rolreplication OR r.rolbypassrls AS powerful INTO v_role FROM pg_roles r WHERE r.rolname = v_name;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF (v_role.mark COLLATE "C" = 'daypass @INSTANCE@ ' || p_tenant || '/' || p_grant) IS NOT TRUE THEN
    RAISE EXCEPTION 'daypass: % does not carry the mark of this grant', v_name USING ERRCODE = 'PD002';
  END IF;
  IF (v_role.powerful = false) IS NOT TRUE THEN
    RAISE EXCEPTION 'daypass: % has attributes that no account has', v_name USING ERRCODE = 'PD004';
  END IF;
  RETURN v_role.oid;
END
)sql";

constexpr const char* existing_oid = R"sql(
DECLARE
  v_oid oid := @S@.account_oid(p_tenant, p_grant);
BEGIN
  IF v_oid IS NULL THEN
    RAISE EXCEPTION 'daypass: there is no such account' USING ERRCODE = 'undefined_object';
  END IF;
  RETURN v_oid;
END
)sql";

constexpr const char* shut_oid = R"sql(
DECLARE
  v_oid oid := @S@.existing_oid(p_tenant, p_grant);
BEGIN
  IF (SELECT r.rolcanlogin FROM pg_roles r WHERE r.oid = v_oid) IS DISTINCT FROM false THEN
    RAISE EXCEPTION 'daypass: the account may still log in' USING ERRCODE = 'PD008';
  END IF;
  RETURN v_oid;
END
)sql";

constexpr const char* groups_fit = R"sql(
DECLARE
  v_bad text;
BEGIN
  SELECT g INTO v_bad FROM unnest(p_groups) g WHERE NOT EXISTS (SELECT 1 FROM pg_roles r WHERE r.rolname = g) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'daypass: there is no group role %', v_bad USING ERRCODE = 'PD006';
  END IF;
  WITH RECURSIVE c(oid, top) AS (
    SELECT r.oid, g FROM unnest(p_groups) g JOIN pg_roles r ON r.rolname = g
    UNION SELECT m.roleid, c.top FROM pg_auth_members m JOIN c ON m.member = c.oid)
  SELECT c.top INTO v_bad FROM c JOIN pg_roles r ON r.oid = c.oid
   WHERE r.rolcanlogin OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
      OR starts_with(r.rolname::text, 'daypass_@INSTANCE@_') OR starts_with(r.rolname::text, 'dp_@INSTANCE@_')
      OR (starts_with(r.rolname::text, 'pg_') AND r.rolname NOT IN ('pg_read_all_data', 'pg_write_all_data',
          'pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables', 'pg_maintain'))
      OR EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid AND m.admin_option) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'daypass: the group role % may not be given', v_bad USING ERRCODE = 'PD006';
  END IF;
END
)sql";

/// Takes the account out of every role but those given, and everybody but the keeper out of the account. What somebody
/// else granted (16 and later) falls only with the role itself: such a membership is counted, not fought for.
constexpr const char* strip_but = R"sql(
DECLARE
  v_statements text[];
  v_statement text;
BEGIN
  SELECT array_agg(format('REVOKE %I FROM %I', g.rolname, u.rolname)) INTO v_statements
    FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
   WHERE (m.member = p_oid AND g.rolname::text <> ALL (p_keep)) OR (m.roleid = p_oid AND u.rolname <> '@KEEPER@');
  FOREACH v_statement IN ARRAY coalesce(v_statements, '{}') LOOP
    BEGIN
      EXECUTE v_statement;
    EXCEPTION WHEN insufficient_privilege OR dependent_objects_still_exist THEN
      NULL;
    END;
  END LOOP;
  RETURN (SELECT count(*) FROM pg_auth_members m WHERE m.member = p_oid AND m.roleid NOT IN
    (SELECT r.oid FROM pg_roles r WHERE r.rolname::text = ANY (p_keep)));
END
)sql";

constexpr const char* provision = R"sql(
DECLARE
  v_name text := @S@.account_name(p_tenant, p_grant);
  v_oid oid := @S@.account_oid(p_tenant, p_grant);
  v_settings record;
  v_bad text;
  v_options text;
  v_how text := CASE WHEN current_setting('server_version_num')::int >= 160000
                     THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
  v_group text;
BEGIN
  SELECT * INTO STRICT v_settings FROM @S@.settings;
  IF (p_verifier COLLATE "C" ~ ('^SCRAM-SHA-256[$][0-9]{1,4}:[A-Za-z0-9+/]{22}==[$][A-Za-z0-9+/]{43}=:'
                                || '[A-Za-z0-9+/]{43}=$')) IS NOT TRUE THEN
    RAISE EXCEPTION 'daypass: this is no SCRAM verifier' USING ERRCODE = 'PD001';
  END IF;
  IF (isfinite(p_until) AND p_until <= clock_timestamp() + v_settings.longest) IS NOT TRUE THEN
    RAISE EXCEPTION 'daypass: an account may live for % at most', v_settings.longest USING ERRCODE = 'PD007';
  END IF;
  IF (p_connections BETWEEN 1 AND v_settings.connections) IS NOT TRUE THEN
    RAISE EXCEPTION 'daypass: an account may have % connections at most', v_settings.connections
      USING ERRCODE = 'PD007';
  END IF;
  IF (array_ndims(p_groups) = 1 AND cardinality(p_groups) BETWEEN 1 AND 100
      AND array_position(p_groups, NULL::text) IS NULL) IS NOT TRUE THEN
    RAISE EXCEPTION 'daypass: this is no list of groups' USING ERRCODE = 'PD001';
  END IF;
  SELECT g INTO v_bad FROM unnest(p_groups) g
   WHERE NOT EXISTS (SELECT 1 FROM @S@.groups a WHERE a.name COLLATE "C" = g) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'daypass: the group role % is not on the list', v_bad USING ERRCODE = 'PD005';
  END IF;
  PERFORM @S@.groups_fit(p_groups);
  v_options := format(' PASSWORD %L VALID UNTIL %L CONNECTION LIMIT %s', p_verifier, p_until, p_connections);
  IF v_oid IS NULL THEN
    EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT NOREPLICATION NOBYPASSRLS',
                   v_name) || v_options;
    EXECUTE format('COMMENT ON ROLE %I IS %L', v_name, 'daypass @INSTANCE@ ' || p_tenant || '/' || p_grant);
    v_oid := @S@.existing_oid(p_tenant, p_grant);
  ELSE
    IF (SELECT r.rolcanlogin FROM pg_roles r WHERE r.oid = v_oid) IS NOT TRUE THEN
      RAISE EXCEPTION 'daypass: % is being revoked', v_name USING ERRCODE = 'PD003';
    END IF;
    EXECUTE format('ALTER ROLE %I', v_name) || v_options;
    PERFORM @S@.strip_but(v_oid, p_groups);
  END IF;
  FOR v_group IN SELECT DISTINCT g FROM unnest(p_groups) g WHERE NOT EXISTS (SELECT 1 FROM pg_auth_members m
      JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = v_oid AND r.rolname = g) LOOP
    EXECUTE format('GRANT %I TO %I', v_group, v_name) || v_how;
  END LOOP;
  RETURN v_oid;
END
)sql";

constexpr const char* shut = R"sql(
DECLARE
  v_oid oid := @S@.existing_oid(p_tenant, p_grant);
BEGIN
  EXECUTE format('ALTER ROLE %I NOLOGIN VALID UNTIL %L', @S@.account_name(p_tenant, p_grant),
                 '1970-01-01 00:00:00+00');
  RETURN v_oid;
END
)sql";

constexpr const char* strip = R"sql(
BEGIN
  RETURN @S@.strip_but(@S@.shut_oid(p_tenant, p_grant), '{}');
END
)sql";

// Before the account is shut, too: a session of it may hold the row that shutting must change.
constexpr const char* end_sessions = R"sql(
DECLARE
  v_oid oid := @S@.existing_oid(p_tenant, p_grant);
BEGIN
  RETURN (SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_get_activity(NULL) a WHERE a.usesysid = v_oid);
END
)sql";

// The role is gone, and its mark with it: all that can be told of such a session is that nobody is its user.
constexpr const char* end_orphans = R"sql(
BEGIN
  RETURN (SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_get_activity(NULL) a WHERE a.usesysid = p_oid
          AND p_oid >= 16384 AND NOT EXISTS (SELECT 1 FROM pg_roles r WHERE r.oid = p_oid));
END
)sql";

constexpr const char* terminate = R"sql(
BEGIN
  RETURN pg_terminate_backend(p_pid);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN false;
END
)sql";

// A login that is not listed yet: whose it is can't be seen, but the server knows. The prober is a member of this one
// account, and of what that is in, which is nothing; so the server lets it end these processes and no others. Its
// membership is never committed.
constexpr const char* end_login = R"sql(
DECLARE
  v_oid oid := @S@.shut_oid(p_tenant, p_grant);
  v_name text := @S@.account_name(p_tenant, p_grant);
  v_ended boolean;
BEGIN
  IF EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = v_oid) THEN
    RAISE EXCEPTION 'daypass: % is still in another role', v_name USING ERRCODE = 'PD008';
  END IF;
  EXECUTE format('GRANT %I TO @PROBER@', v_name) || CASE WHEN current_setting('server_version_num')::int >= 160000
    THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
  v_ended := @S@.terminate(p_pid);
  EXECUTE format('REVOKE %I FROM @PROBER@', v_name);
  RETURN v_ended;
END
)sql";

// ROLLBACK PREPARED is for its owner, and for no function: so the login may become the account, stripped of all else,
// where there is such a transaction. The membership goes with the role.
constexpr const char* lend = R"sql(
DECLARE
  v_oid oid := @S@.existing_oid(p_tenant, p_grant);
  v_name text := @S@.account_name(p_tenant, p_grant);
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_prepared_xact() p WHERE p.ownerid = v_oid) THEN
    RAISE EXCEPTION 'daypass: % has no prepared transaction', v_name USING ERRCODE = 'PD008';
  END IF;
  IF @S@.strip_but(v_oid, '{}') > 0 THEN
    RAISE EXCEPTION 'daypass: % is still in another role', v_name USING ERRCODE = 'PD008';
  END IF;
  EXECUTE format('GRANT %I TO %I', v_name, @LOGIN@) || CASE WHEN current_setting('server_version_num')::int >= 160000
    THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
END
)sql";

// What the clearer may do for an account is in clear(), which asks for one that is shut.
constexpr const char* release = R"sql(
DECLARE
  v_oid oid := @S@.existing_oid(p_tenant, p_grant);
BEGIN
  EXECUTE format('GRANT %I TO @CLEARER@', @S@.account_name(p_tenant, p_grant))
    || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
END
)sql";

constexpr const char* remove = R"sql(
DECLARE
  v_oid oid := @S@.shut_oid(p_tenant, p_grant);
BEGIN
  EXECUTE format('DROP ROLE %I', @S@.account_name(p_tenant, p_grant));
END
)sql";

// One batch per call, so that an account with very many objects can't exhaust the lock table: `did` names the batch and
// is NULL when all is gone; `kept` is what others gave the account and only they can take back.
constexpr const char* clear_head = R"sql(
DECLARE
  v_oid oid := @S@.shut_oid(p_tenant, p_grant);
  v_heir oid := 0;
  v_query text;
  v_statements text[];
  v_statement text;
  v_list text;
BEGIN
  IF p_known IS NULL THEN
    RAISE EXCEPTION 'daypass: is it known who inherits, or not?' USING ERRCODE = 'PD001';
  END IF;
  IF EXISTS (SELECT 1 FROM pg_stat_get_activity(NULL) a WHERE a.usesysid = v_oid) THEN
    RAISE EXCEPTION 'daypass: the account has sessions' USING ERRCODE = 'PD008';
  END IF;
  IF p_heir IS NOT NULL THEN
    IF NOT EXISTS (SELECT 1 FROM @S@.heirs h WHERE h.name COLLATE "C" = p_heir) THEN
      RAISE EXCEPTION 'daypass: the heir % is not on the list', p_heir USING ERRCODE = 'PD005';
    END IF;
    SELECT r.oid INTO v_heir FROM pg_roles r WHERE r.rolname = p_heir AND NOT (r.rolcanlogin OR r.rolsuper
      OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls);
    IF NOT FOUND THEN
      RAISE EXCEPTION 'daypass: the heir % is not there, or may not inherit', p_heir USING ERRCODE = 'PD006';
    END IF;
  END IF;
)sql";

constexpr const char* clear_tail = R"sql(
  EXECUTE format('DROP OWNED BY %I CASCADE', @S@.account_name(p_tenant, p_grant));
  EXECUTE replace('SELECT string_agg(q.s, '', '') FROM (' || @FOREIGN_GRANTS@ || ') q(s)', '%OID%', v_oid::text)
    INTO kept;
END
)sql";

void put(std::string& text, const std::string& key, const std::string& value) {
  for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos; at += value.size())
    text.replace(at, key.size(), value);
}

/// `query` as an expression with its values filled in. Oids are digits; the heir is quoted by the server.
std::string filled(const std::string& query) {
  return "replace(replace(replace(" + sql_literal(query) +
         ", '%OID%', v_oid::text), '%HEIROID%', v_heir::text), '%HEIR%', format('quote_ident(%L)', p_heir))";
}

/// A list in one text, from a query of one column.
std::string listed(const std::string& query) {
  return "    EXECUTE 'SELECT string_agg(q.s, '', '') FROM (' || " + filled(query) + " || ') q(s)' INTO v_list;\n";
}

std::string steps(bool heir) {
  std::string out = "    v_list := NULL;\n" + listed(dependents_of_others(heir)) +
                    "    IF v_list IS NOT NULL THEN\n      RAISE EXCEPTION '%', v_list USING ERRCODE = 'PD011';\n"
                    "    END IF;\n    FOREACH v_query IN ARRAY ARRAY[\n";
  bool first = true;
  for (const auto& query : clearing_steps(heir)) {
    out += (first ? "      " : ",\n      ") + filled(query);
    first = false;
  }
  return out +
         "] LOOP\n"
         "      EXECUTE 'SELECT array_agg(q.s) FROM (' || v_query || ') q(s)' INTO v_statements;\n"
         "      CONTINUE WHEN v_statements IS NULL;\n"
         "      FOREACH v_statement IN ARRAY v_statements LOOP\n        EXECUTE v_statement;\n      END LOOP;\n"
         "      did := md5(v_statements::text);\n      RETURN;\n    END LOOP;\n";
}

std::string clear_body() {
  std::string out = clear_head;
  out += "  IF NOT p_known THEN\n" + listed(data_of_account()) +
         "    IF v_list IS NOT NULL THEN\n      RAISE EXCEPTION '%', v_list USING ERRCODE = 'PD010';\n"
         "    END IF;\n  END IF;\n";
  out += "  IF p_heir IS NULL THEN\n" + steps(false) + "  ELSE\n" + steps(true) + "  END IF;";
  std::string tail = clear_tail;
  put(tail, "@FOREIGN_GRANTS@", sql_literal(grants_of_others()));
  return out + tail;
}

}  // namespace

std::string sql_literal(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

std::string sql_ident(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::vector<std::pair<std::string, std::string>> fixed_settings(int version) {
  // search_path: nothing that a caller or an account made is found in place of what is meant. The others: a caller's
  // settings change neither what texts mean nor, on 16 and later, who becomes a member of a new account.
  std::vector<std::pair<std::string, std::string>> out{{"search_path", "pg_catalog, pg_temp"},
                                                       {"standard_conforming_strings", "on"},
                                                       {"quote_all_identifiers", "off"},
                                                       {"datestyle", "ISO"},
                                                       {"timezone", "UTC"}};
  if (version >= 160000) out.emplace_back("createrole_self_grant", "");
  return out;
}

std::vector<Function> functions_of(const Installed& names) {
  const std::string of_grant = "p_tenant text, p_grant text";
  const std::string two = "text, text";
  std::vector<Function> out{
      {"account_name", of_grant, two, "text", Owner::installer, false, true, account_name},
      {"account_oid", of_grant, two, "oid", Owner::installer, false, true, account_oid},
      {"existing_oid", of_grant, two, "oid", Owner::installer, false, true, existing_oid},
      {"shut_oid", of_grant, two, "oid", Owner::installer, false, true, shut_oid},
      {"groups_fit", "p_groups text[]", "text[]", "void", Owner::installer, false, false, groups_fit},
      {"strip_but", "p_oid oid, p_keep text[]", "oid, text[]", "bigint", Owner::installer, false, false, strip_but},
      {"provision", of_grant + ", p_verifier text, p_until timestamptz, p_connections integer, p_groups text[]",
       "text, text, text, timestamp with time zone, integer, text[]", "oid", Owner::keeper, true, false, provision},
      {"shut", of_grant, two, "oid", Owner::keeper, true, false, shut},
      {"strip", of_grant, two, "bigint", Owner::keeper, true, false, strip},
      {"end_sessions", of_grant, two, "bigint", Owner::keeper, true, false, end_sessions},
      {"end_orphans", "p_oid oid", "oid", "bigint", Owner::keeper, true, false, end_orphans},
      {"terminate", "p_pid integer", "integer", "boolean", Owner::prober, false, false, terminate},
      {"end_login", of_grant + ", p_pid integer", "text, text, integer", "boolean", Owner::keeper, true, false,
       end_login},
      {"lend", of_grant, two, "void", Owner::keeper, true, false, lend},
      {"release", of_grant, two, "void", Owner::keeper, true, false, release},
      {"remove", of_grant, two, "void", Owner::keeper, true, false, remove},
      {"clear", of_grant + ", p_heir text, p_known boolean, OUT did text, OUT kept text", "text, text, text, boolean",
       "record", Owner::clearer, true, true, clear_body()},
  };
  for (auto& one : out) {
    put(one.body, "@S@", names.schema());
    put(one.body, "@INSTANCE@", names.instance);
    put(one.body, "@KEEPER@", names.keeper());
    put(one.body, "@CLEARER@", names.clearer());
    put(one.body, "@PROBER@", names.prober());
    put(one.body, "@LOGIN@", sql_literal(names.login));
  }
  return out;
}

}  // namespace daypass::target::postgres
