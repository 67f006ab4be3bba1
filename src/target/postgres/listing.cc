// What is only looked at: accounts that are not ours to touch, and what roles give.
#include "target/postgres/names.h"
#include "target/postgres/postgres_target.h"

namespace daypass::target::postgres {
namespace {

using base::Result;

constexpr int most_strangers = 1000;

/// The tables that a group reaches, by itself or through the groups it is in: what the server itself would say to its
/// members. Partitions are reached through their table. What everybody may do takes no role.
std::string holdings_of(const Connection& c, const std::vector<std::string>& groups) {
  return "SELECT n.nspname, t.relname, bool_or(g.readable), bool_or(g.writable) FROM pg_class t"
         " JOIN pg_namespace n ON n.oid = t.relnamespace CROSS JOIN LATERAL (SELECT"
         " has_any_column_privilege(r.oid, t.oid, 'SELECT') AND NOT has_any_column_privilege('public', t.oid, 'SELECT')"
         " AS readable, (has_table_privilege(r.oid, t.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') OR"
         " has_any_column_privilege(r.oid, t.oid, 'INSERT, UPDATE')) AND NOT"
         " (has_table_privilege('public', t.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') OR"
         " has_any_column_privilege('public', t.oid, 'INSERT, UPDATE')) AS writable"
         " FROM pg_roles r WHERE r.rolname = ANY (" +
         c.array(groups) +
         ") AND has_schema_privilege(r.oid, n.oid, 'USAGE')) g"
         " WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT t.relispartition AND NOT starts_with(n.nspname, 'pg_')"
         " AND n.nspname <> 'information_schema' AND (g.readable OR g.writable) GROUP BY 1, 2 ORDER BY 1, 2 LIMIT " +
         std::to_string(most_holdings + 1);
}

}  // namespace

Result<std::vector<Stranger>> PostgresTarget::list_strangers(Millis budget) {
  const Deadline deadline(clock_, budget);
  DP_TRY(const auto reply,
         ask(
             [&](const Connection&) {
               // Whoever owns a role writes its comment, so it may be long and anything.
               return "SELECT rolname, left(comment, 200), CASE WHEN isfinite(rolvaliduntil) THEN (extract(epoch FROM"
                      " rolvaliduntil) * 1000)::bigint END FROM (SELECT *, shobj_description(oid, 'pg_authid') AS"
                      " comment FROM pg_roles) r WHERE comment COLLATE \"C\" ~ '^daypass [a-z0-9]{6} '"
                      " ORDER BY rolname LIMIT " +
                      std::to_string(most_strangers);
             },
             deadline));
  if (!reply) return to_error(reply.error(), "list accounts of others");
  const Rows& rows = reply->front();
  std::vector<Stranger> out;
  for (int i = 0; i < rows.size(); ++i) {
    Stranger one{rows.text(i, 0), rows.text(i, 1).substr(8, 6), {}, {}, {}};
    const auto grant = read_mark(one.instance, one.name, rows.at(i, 1));
    if (grant && one.instance == instance_) continue;
    if (grant) {
      one.tenant = grant->tenant.str();
      one.grant = grant->id;
    }
    if (!rows.null(i, 2)) one.valid_until = base::WallTime(Millis(rows.number(i, 2)));
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::vector<Holdings>> PostgresTarget::holdings(const std::vector<core::RoleSpec>& roles, Millis budget) {
  const Deadline deadline(clock_, budget);
  // Tables are of the database that sessions come to, which need not be the one that accounts are made from.
  DP_TRY(const auto connection, pool_.open(settings_.database, "report", deadline));
  std::vector<Holdings> out;
  for (const auto& role : roles) {
    DP_TRY(const Membership membership, membership_of({role}));
    const auto reply = connection->run(holdings_of(*connection, membership.groups), deadline);
    if (!reply) return to_error(reply.error(), "look at what role " + role.id.str() + " gives");
    const Rows& rows = reply->front();
    Holdings& mine = out.emplace_back();
    mine.all = static_cast<std::size_t>(rows.size()) <= most_holdings;
    for (int i = 0; i < rows.size() && mine.objects.size() < most_holdings; ++i)
      mine.objects.push_back({rows.text(i, 0), rows.text(i, 1), rows.yes(i, 2), rows.yes(i, 3)});
  }
  return out;
}

}  // namespace daypass::target::postgres
