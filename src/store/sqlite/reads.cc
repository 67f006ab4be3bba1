#include "store/sqlite/reads.h"

#include <array>

#include "base/json.h"
#include "store/audit_leaf.h"
#include "tlog/tree.h"

namespace daypass::store::sqlite {

using base::Code;
using base::Error;
using base::Result;

namespace {

Error damaged(std::string what) {
  return {Code::internal, "store.corrupt", std::move(what), "keep a copy of the store's files and restore a backup"};
}

/// The row's columns are tenant, id, version, body.
Result<core::Grant> grant_of(const Query& row) {
  const core::GrantId id{core::TenantId(row.bytes_at(0)), row.bytes_at(1)};
  const auto body = base::json::parse(row.bytes_at(3));
  if (!body.ok()) return damaged("the stored grant " + id.str() + " can't be read: " + body.error().message);
  auto grant = core::grant_from_json(*body);
  if (!grant.ok()) return damaged("the stored grant " + id.str() + " can't be read: " + grant.error().message);
  // A body in another grant's row would let one tenant act on another's grant.
  if (grant->id != id || grant->version != static_cast<std::uint64_t>(row.number_at(2)))
    return damaged("the stored grant " + id.str() + " is not the one that its row names");
  return grant;
}

/// The row's columns are key, version, body, expires_at.
Document document_of(const Query& row, const core::TenantId& tenant, std::string_view kind) {
  Document out{
      tenant, std::string(kind), row.bytes_at(0), static_cast<std::uint64_t>(row.number_at(1)), row.bytes_at(2), {}};
  if (!row.null_at(3)) out.expires_at = row.time_at(3);
  return out;
}

/// The first byte string behind all that begin with `prefix`; nullopt when there is none.
std::optional<std::string> behind(std::string_view prefix) {
  std::string out(prefix);
  while (!out.empty() && out.back() == '\xff') out.pop_back();
  if (out.empty()) return std::nullopt;
  out.back() = static_cast<char>(static_cast<unsigned char>(out.back()) + 1);
  return out;
}

Result<core::IntentKind> intent_kind_of(std::string_view text) {
  using enum core::IntentKind;
  for (const core::IntentKind kind : {provision, extend, revoke, verify})
    if (core::to_string(kind) == text) return kind;
  return damaged("a stored intent is of no known kind");
}

Error audit_error(std::string check, std::string message) {
  return {Code::internal, std::move(check), std::move(message),
          "keep a copy of the store as it is, and compare with the last root that was kept elsewhere"};
}

}  // namespace

Result<std::optional<core::Grant>> load_grant(Connection& db, const core::GrantId& id) {
  Query query(db, "SELECT tenant, id, version, body FROM grants WHERE tenant = ? AND id = ?");
  DP_TRY(const bool found, query.text(id.tenant.str()).text(id.id).row());
  if (!found) return std::optional<core::Grant>();
  DP_TRY(auto grant, grant_of(query));
  return std::optional(std::move(grant));
}

namespace {

std::string where(const Selector& selector) {
  std::string sql;
  if (selector.tenant) sql += " AND tenant = ?";
  if (selector.session) sql += " AND session = ?";
  if (selector.principal) sql += " AND principal = ?";
  if (selector.target) sql += " AND target = ?";
  return sql;
}

void bind(Query& query, const Selector& selector) {
  if (selector.tenant) query.text(selector.tenant->str());
  if (selector.session) query.text(selector.session->str());
  if (selector.principal) query.blob(*selector.principal);
  if (selector.target) query.text(selector.target->str());
}

// Spelled as in the partial indexes, or they are not used.
constexpr const char* open_only = " AND state <> 'closed'";

}  // namespace

std::string selector_sql(const Selector& selector) {
  return "SELECT tenant, id, version, body FROM grants WHERE true" + where(selector) +
         (selector.include_closed ? "" : open_only) + " ORDER BY opened_at DESC, tenant, id LIMIT ?";
}

std::string outline_sql(const Selector& selector, By order, bool behind) {
  const std::string place = order == By::place ? "tenant, target, id"
                            : order == By::end ? "wake_at, tenant, target, id"
                                               : "wake_idle, tenant, target, id";
  std::string sql = "SELECT tenant, id, session, target, wake_at, wake_idle, settled FROM grants WHERE true" +
                    where(selector) + open_only;
  if (behind) sql += " AND (" + place + ") > (" + (order == By::place ? "" : "?, ") + "?, ?, ?)";
  return sql + " ORDER BY " + place + " LIMIT ?";
}

Result<std::vector<Outline>> outline_grants(Connection& db, const Selector& selector, By order, const Outline* after) {
  Query query(db, outline_sql(selector, order, after != nullptr));
  bind(query, selector);
  if (after != nullptr) {
    if (order == By::end) query.time(after->wake.at);
    if (order == By::idleness) query.number(std::int64_t{after->wake.idle.count()});
    query.text(after->id.tenant.str()).text(after->target.str()).text(after->id.id);
  }
  query.size(selector.limit);
  std::vector<Outline> out;
  for (;;) {
    DP_TRY(const bool more, query.row());
    if (!more) return out;
    out.push_back({{core::TenantId(query.bytes_at(0)), query.bytes_at(1)},
                   core::SessionId(query.bytes_at(2)),
                   core::TargetId(query.bytes_at(3)),
                   {query.time_at(4), base::Millis(query.number_at(5)), query.number_at(6) != 0}});
  }
}

Result<std::size_t> count_grants(Connection& db, const Selector& selector) {
  Query query(db, "SELECT count(*) FROM grants WHERE true" + where(selector) + open_only);
  bind(query, selector);
  DP_TRY([[maybe_unused]] const bool found, query.row());
  return static_cast<std::size_t>(query.number_at(0));
}

Result<std::vector<core::Grant>> find_grants(Connection& db, const Selector& selector) {
  Query query(db, selector_sql(selector));
  bind(query, selector);
  query.size(selector.limit);
  std::vector<core::Grant> out;
  for (;;) {
    DP_TRY(const bool more, query.row());
    if (!more) return out;
    DP_TRY(auto grant, grant_of(query));
    out.push_back(std::move(grant));
  }
}

Result<std::optional<Document>> get_document(Connection& db, const core::TenantId& tenant, std::string_view kind,
                                             std::string_view key, base::WallTime now) {
  Query query(db,
              "SELECT key, version, body, expires_at FROM documents WHERE tenant = ? AND kind = ? AND key = ?"
              " AND (expires_at IS NULL OR expires_at > ?)");
  DP_TRY(const bool found, query.text(tenant.str()).text(kind).blob(key).time(now).row());
  if (!found) return std::optional<Document>();
  return std::optional(document_of(query, tenant, kind));
}

Result<std::vector<Document>> list_documents(Connection& db, const core::TenantId& tenant, std::string_view kind,
                                             std::string_view prefix, std::string_view after, std::size_t limit,
                                             base::WallTime now) {
  // `after` is empty for the first page, and the empty key would be a key: from the prefix on, then.
  const bool from_prefix = after < prefix || after.empty();
  const auto end = behind(prefix);
  std::string sql = "SELECT key, version, body, expires_at FROM documents WHERE tenant = ? AND kind = ? AND key ";
  sql += from_prefix ? ">= ?" : "> ?";
  if (end) sql += " AND key < ?";
  sql += " AND (expires_at IS NULL OR expires_at > ?) ORDER BY key LIMIT ?";
  Query query(db, sql);
  query.text(tenant.str()).text(kind).blob(from_prefix ? prefix : after);
  if (end) query.blob(*end);
  query.time(now).size(limit);
  std::vector<Document> out;
  for (;;) {
    DP_TRY(const bool more, query.row());
    if (!more) return out;
    out.push_back(document_of(query, tenant, kind));
  }
}

namespace {

/// `from_row` makes one element of a row (seq, leaf, hash).
template <class T, class F>
Result<std::vector<T>> log_rows(Connection& db, const core::TenantId& tenant, std::uint64_t from, std::size_t limit,
                                const F& from_row) {
  std::vector<T> out;
  if (from > tlog::max_size) return out;
  Query query(db, "SELECT seq, leaf, hash FROM audit WHERE tenant = ? AND seq >= ? ORDER BY seq LIMIT ?");
  query.text(tenant.str()).number(from).size(limit);
  for (;;) {
    DP_TRY(const bool more, query.row());
    if (!more) return out;
    const std::uint64_t expected = from + out.size();
    const auto seq = static_cast<std::uint64_t>(query.number_at(0));
    if (seq != expected)
      return audit_error("audit.gap", "record " + std::to_string(expected) +
                                          " of the audit log is missing: the next one there is record " +
                                          std::to_string(seq));
    DP_TRY(T one, from_row(query, seq));
    out.push_back(std::move(one));
  }
}

/// What covers nothing, or nothing that is still there, is its own leaf (store/audit_leaf.h) and need not be parsed.
bool gives(std::string_view record, const std::string& hash) {
  if (tlog::leaf_hash(record) == hash) return true;
  const auto leaf = leaf_of(record);
  return leaf.ok() && tlog::leaf_hash(*leaf) == hash;
}

}  // namespace

Result<std::vector<std::string>> read_audit(Connection& db, const core::TenantId& tenant, std::uint64_t from,
                                            std::size_t limit) {
  return log_rows<std::string>(db, tenant, from, limit, [](Query& query, std::uint64_t seq) -> Result<std::string> {
    std::string record = query.bytes_at(1);
    if (!gives(record, query.bytes_at(2)))
      return audit_error("audit.leaf", "record " + std::to_string(seq) +
                                           " of the audit log is not what was appended: its bytes give another hash");
    return record;
  });
}

Result<std::vector<tlog::Hash>> read_leaf_hashes(Connection& db, const core::TenantId& tenant, std::uint64_t from,
                                                 std::size_t limit) {
  return log_rows<tlog::Hash>(db, tenant, from, limit, [](Query& query, std::uint64_t seq) -> Result<tlog::Hash> {
    std::string hash = query.bytes_at(2);
    if (hash.size() != tlog::hash_size)
      return audit_error("audit.leaf", "the hash of record " + std::to_string(seq) + " of the audit log is not one");
    return hash;
  });
}

Result<std::string> read_frontier(Connection& db, const core::TenantId& tenant) {
  Query query(db, "SELECT frontier FROM audit_heads WHERE tenant = ?");
  DP_TRY(const bool found, query.text(tenant.str()).row());
  return found ? query.bytes_at(0) : std::string();
}

Result<std::pair<std::uint64_t, std::string>> read_audit_head(Connection& db, const core::TenantId& tenant) {
  DP_TRY(const std::string bytes, read_frontier(db, tenant));
  if (bytes.empty()) return std::pair(std::uint64_t{0}, tlog::empty_root());
  DP_TRY(const auto frontier, tlog::Frontier::parse(bytes));
  return std::pair(frontier.size(), frontier.root());
}

Result<std::vector<core::Intent>> read_open_intents(Connection& db) {
  Query query(db,
              "SELECT tenant, grant_id, seq, kind, attempt, not_before, sealed_secret FROM intents"
              " ORDER BY not_before, tenant, grant_id");
  std::vector<core::Intent> out;
  for (;;) {
    DP_TRY(const bool more, query.row());
    if (!more) return out;
    core::Intent intent;
    intent.grant = {core::TenantId(query.bytes_at(0)), query.bytes_at(1)};
    intent.seq = static_cast<std::uint32_t>(query.number_at(2));
    DP_TRY(intent.kind, intent_kind_of(query.bytes_at(3)));
    intent.attempt = static_cast<std::uint32_t>(query.number_at(4));
    intent.not_before = query.time_at(5);
    intent.sealed_secret = query.bytes_at(6);
    out.push_back(std::move(intent));
  }
}

}  // namespace daypass::store::sqlite
