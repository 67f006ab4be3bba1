#include "target/postgres/installation.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "target/postgres/group.h"

namespace daypass::target::postgres {
namespace {

using base::Result;
using Grade = Finding::Grade;
using Findings = std::vector<Finding>;

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// As pg_proc has it: "search_path=pg_catalog, pg_temp".
std::set<std::string> expected_settings(int version) {
  std::set<std::string> out;
  for (const auto& [key, value] : fixed_settings(version)) out.insert(lower(key + "=" + value));
  return out;
}

std::string owner_of(const Installed& names, const Function& f) {
  switch (f.owner) {
    case Function::Owner::keeper:
      return names.keeper();
    case Function::Owner::clearer:
      return names.clearer();
    case Function::Owner::prober:
      return names.prober();
    case Function::Owner::installer:
      break;
  }
  return "";
}

class Examination {
 public:
  Examination(const Installed& names, std::string fix, const Deadline& deadline)
      : names_(names), fix_(std::move(fix)), deadline_(deadline) {}

  /// The login and the roles behind the functions: none may do more than it has to.
  base::Status roles(Connection& c) {
    const std::string login = c.literal(names_.login);
    const auto reply = c.run(
        "SELECT concat_ws(', ', CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,"
        " CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN"
        " rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN rolinherit THEN 'INHERIT' END,"
        " (SELECT string_agg('member of ' || g.rolname, ', ') FROM pg_auth_members m JOIN pg_roles g ON g.oid = "
        "m.roleid"
        "  WHERE m.member = r.oid AND NOT starts_with(g.rolname::text, 'dp_" +
            names_.instance + "_'))) FROM pg_roles r WHERE rolname = " + login +
            ";\nSELECT r.rolname, r.rolcanlogin OR r.rolsuper OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls OR"
            " (r.rolcreaterole AND r.rolname <> '" +
            names_.keeper() + "'), r.rolname = '" + names_.keeper() +
            "' AND NOT (r.rolcreaterole AND pg_has_role(r.oid, 'pg_signal_backend', 'USAGE')) FROM pg_roles r WHERE"
            " r.rolname IN ('" +
            names_.keeper() + "', '" + names_.clearer() + "', '" + names_.prober() +
            "');\nSELECT u.rolname, g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles "
            "u"
            " ON u.oid = m.member WHERE g.rolname IN ('" +
            names_.keeper() + "', '" + names_.clearer() + "', '" + names_.prober() + "') AND NOT u.rolsuper",
        deadline_);
    if (!reply) return to_error(reply.error(), "look at the confined login");
    const Rows& login_row = (*reply)[0];
    if (login_row.size() == 1 && !login_row.at(0, 0).empty())
      add(Grade::fail, "login", names_.login, "has more than a confined login may have: " + login_row.text(0, 0),
          "take a login of its own; the installer makes it");
    const Rows& behind = (*reply)[1];
    if (behind.size() != 3)
      add(Grade::fail, "installed", names_.schema(), "roles of the installation are missing", fix_);
    for (int i = 0; i < behind.size(); ++i) {
      if (behind.yes(i, 1)) add(Grade::fail, "roles", behind.text(i, 0), "has attributes that it must not have", fix_);
      if (behind.yes(i, 2)) add(Grade::fail, "roles", behind.text(i, 0), "lacks CREATEROLE or pg_signal_backend", fix_);
    }
    const Rows& members = (*reply)[2];
    for (int i = 0; i < members.size(); ++i)
      add(Grade::fail, "roles", members.text(i, 1), members.text(i, 0) + " is a member of it, and so has its power",
          "REVOKE " + c.ident(members.at(i, 1)) + " FROM " + c.ident(members.at(i, 0)) + ";");
    return {};
  }

  /// The functions of one database; false in `there` when there are none.
  Result<bool> functions(Connection& c, bool home) {
    const std::string schema = c.literal(names_.schema());
    const auto reply = c.run(
        "SELECT p.proname, encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'), r.rolname, p.prosecdef, "
        "lower(array_to_string(p.proconfig, ';')), r.rolsuper,"
        " has_function_privilege(p.oid, 'EXECUTE'), (SELECT string_agg(coalesce(g.rolname, 'PUBLIC'), ', ') FROM"
        " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a LEFT JOIN pg_roles g ON g.oid = a.grantee WHERE"
        " a.grantee <> p.proowner AND (g.rolname IS NULL OR g.rolname NOT IN (" +
            c.literal(names_.login) + ", '" + names_.keeper() + "', '" + names_.clearer() +
            "'))) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner"
            " WHERE n.nspname = " +
            schema +
            ";\nSELECT r.rolsuper, has_schema_privilege(n.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE') FROM"
            " pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE n.nspname = " +
            schema,
        deadline_);
    if (!reply) return to_error(reply.error(), "look at the installed functions");
    const std::string where = names_.schema() + " in database " + c.facts().database;
    const Rows& ns = (*reply)[1];
    if (ns.size() == 0 || !ns.yes(0, 1)) {
      add(Grade::fail, "installed", where, "the functions that the login works through are not installed", fix_);
      return false;
    }
    if (!ns.yes(0, 0) || ns.yes(0, 2))
      add(Grade::fail, "installed", where, "the schema is not a superuser's alone, so its functions are not either",
          fix_);
    compare(c, (*reply)[0], where, home);
    return true;
  }

  base::Status settings(Connection& c) {
    const auto reply = c.run("SELECT version, longest, connections FROM " + names_.schema() + ".settings", deadline_);
    if (!reply) return to_error(reply.error(), "read the installation's settings");
    const Rows& row = reply->front();
    if (row.size() != 1) {
      add(Grade::fail, "version", names_.schema(), "its settings are missing", fix_);
      return {};
    }
    const std::string found = row.text(0, 0);
    if (found != std::to_string(installed_version))
      add(Grade::fail, "version", names_.schema(),
          "version " + found + " is installed, and this Daypass needs " + std::to_string(installed_version), fix_);
    else
      add(Grade::ok, "", names_.schema(),
          "version " + found + "; accounts live for " + row.text(0, 1) + " at most, with " + row.text(0, 2) +
              " connections",
          "");
    return {};
  }

  base::Status lists(Connection& home, Connection& there, const std::vector<Membership>& wanted) {
    for (const auto& group : groups_in(wanted)) {
      DP_TRY(const bool listed, on_list(home, "groups", group));
      if (!listed) add(Grade::fail, "group", group, "is not on the list of groups that accounts may be put into", fix_);
      DP_TRY(auto admin, examine_group_admin(home, group, home.literal(names_.keeper()) + "::name", deadline_));
      for (auto& finding : admin) {
        finding.check = "pg.broker.group_admin";
        out.push_back(std::move(finding));
      }
    }
    for (const auto& membership : wanted) {
      if (membership.heir.empty()) continue;
      for (Connection* c : {&home, &there}) {
        DP_TRY(const bool listed, on_list(*c, "heirs", membership.heir));
        if (!listed)
          add(Grade::fail, "heir", membership.heir, "is not on the list of heirs in database " + c->facts().database,
              fix_);
        if (&home == &there) break;
      }
      DP_TRY(auto heir, examine_heir(there, membership, there.literal(names_.clearer()) + "::name", deadline_));
      for (auto& finding : heir) out.push_back(std::move(finding));
    }
    return {};
  }

  Findings out;

 private:
  void add(Grade grade, const std::string& check, std::string subject, std::string message, std::string fix) {
    out.push_back({grade, check.empty() ? "pg.broker" : "pg.broker." + check, std::move(subject), std::move(message),
                   std::move(fix)});
  }

  Result<bool> on_list(Connection& c, const char* list, const std::string& name) {
    const auto reply =
        c.run("SELECT EXISTS (SELECT 1 FROM " + names_.schema() + "." + list + " WHERE name = " + c.literal(name) + ")",
              deadline_);
    if (!reply) return to_error(reply.error(), "read the installation's lists");
    return reply->front().yes(0, 0);
  }

  void compare(Connection& c, const Rows& rows, const std::string& where, bool home) {
    std::map<std::string, int> found;
    for (int i = 0; i < rows.size(); ++i) found[rows.text(i, 0)] = i;
    const auto settings = expected_settings(c.facts().version);
    std::string missing;
    std::string altered;
    for (const auto& f : functions_of(names_)) {
      if (!home && !f.everywhere) continue;
      const auto at = found.find(f.name);
      if (at == found.end()) {
        missing += (missing.empty() ? "" : ", ") + f.name;
        continue;
      }
      const int i = at->second;
      const std::string owner = owner_of(names_, f);
      std::set<std::string> fixed;
      std::string rest = rows.text(i, 4) + ";";
      for (std::size_t end = 0; (end = rest.find(';')) != std::string::npos; rest.erase(0, end + 1))
        fixed.insert(rest.substr(0, end));
      const bool same = rows.at(i, 1) == base::hex_encode(crypto::sha256(f.body)) && fixed == settings &&
                        rows.yes(i, 3) == !owner.empty() && (owner.empty() ? rows.yes(i, 5) : rows.at(i, 2) == owner);
      if (!same) altered += (altered.empty() ? "" : ", ") + f.name;
      if (f.for_login && !rows.yes(i, 6))
        add(Grade::fail, "execute", where, names_.login + " may not call " + f.name, fix_);
      if (!rows.null(i, 7)) add(Grade::fail, "execute", where, f.name + " may be called by " + rows.text(i, 7), fix_);
      found.erase(at);
    }
    for (const auto& [name, row] : found)
      if (home || std::ranges::none_of(functions_of(names_), [&](const auto& f) { return f.name == name; }))
        altered += (altered.empty() ? "" : ", ") + name;
    if (!missing.empty()) add(Grade::fail, "functions", where, "functions are missing: " + missing, fix_);
    if (!altered.empty())
      add(Grade::fail, "functions", where, "functions are not those of this Daypass: " + altered, fix_);
  }

  const Installed& names_;
  std::string fix_;
  const Deadline& deadline_;
};

/// Groups and heirs that the script has to name: those that are wanted and those that are listed already, perhaps for
/// another target on this server.
struct Named {
  std::set<std::string> groups, heirs;
};

Result<Named> named(Connection& c, const Installed& names, const std::vector<Membership>& wanted,
                    const Deadline& deadline) {
  Named out{groups_in(wanted), {}};
  for (const auto& membership : wanted)
    if (!membership.heir.empty()) out.heirs.insert(membership.heir);
  const auto there = c.run(
      "SELECT count(*) = 2 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE"
      " n.nspname = '" +
          names.schema() +
          "' AND c.relname IN ('groups', 'heirs') AND has_schema_privilege(n.oid, 'USAGE') AND"
          " has_table_privilege(c.oid, 'SELECT')",
      deadline);
  if (!there) return to_error(there.error(), "look for the installation");
  if (!there->front().yes(0, 0)) return out;
  const auto lists =
      c.run("SELECT name FROM " + names.schema() + ".groups;\nSELECT name FROM " + names.schema() + ".heirs", deadline);
  if (!lists) return to_error(lists.error(), "read the installation's lists");
  for (int i = 0; i < (*lists)[0].size(); ++i) out.groups.insert((*lists)[0].text(i, 0));
  for (int i = 0; i < (*lists)[1].size(); ++i) out.heirs.insert((*lists)[1].text(i, 0));
  return out;
}

/// The command that writes the script a DBA runs.
std::string installer_command(const Installed& names, const TargetSettings& settings, const Named& lists) {
  const auto word = [](const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
  };
  std::string out = "daypass target installer --instance " + names.instance + " --login " + word(names.login) +
                    " --home " + word(settings.maintenance_database);
  if (settings.database != settings.maintenance_database) out += " --database " + word(settings.database);
  for (const auto& group : lists.groups) out += " --group " + word(group);
  for (const auto& heir : lists.heirs) out += " --heir " + word(heir);
  return out + " > install.sql, and as a superuser: psql -X -f install.sql";
}

}  // namespace

Result<Findings> examine_installation(Connection& home, Connection& there, const Installed& names,
                                      const TargetSettings& settings, const std::vector<Membership>& wanted,
                                      const Deadline& deadline) {
  DP_TRY(const Named lists, named(home, names, wanted, deadline));
  Examination e(names, installer_command(names, settings, lists), deadline);
  DP_CHECK(e.roles(home));
  DP_TRY(bool installed, e.functions(home, true));
  if (&home != &there) {
    DP_TRY(const bool there_too, e.functions(there, false));
    installed = installed && there_too;
  }
  for (auto& finding : examine_prepared(home)) e.out.push_back(std::move(finding));
  // Without the tables there is nothing more to ask.
  const bool broken = std::ranges::any_of(e.out, [](const auto& f) { return f.check == "pg.broker.installed"; });
  if (!installed || broken) return std::move(e.out);
  DP_CHECK(e.settings(home));
  DP_CHECK(e.lists(home, there, wanted));
  return std::move(e.out);
}

}  // namespace daypass::target::postgres
