// The reading half of the port, over any connection: a transaction and a snapshot answer alike.
#pragma once

#include "store/sqlite/connection.h"
#include "store/store.h"

namespace daypass::store::sqlite {

base::Result<std::optional<core::Grant>> load_grant(Connection& db, const core::GrantId& id);
base::Result<std::vector<core::Grant>> find_grants(Connection& db, const Selector& selector);
base::Result<std::vector<Outline>> outline_grants(Connection& db, const Selector& selector, By order,
                                                  const Outline* after);
base::Result<std::size_t> count_grants(Connection& db, const Selector& selector);
base::Result<std::optional<Document>> get_document(Connection& db, const core::TenantId& tenant, std::string_view kind,
                                                   std::string_view key, base::WallTime now);
base::Result<std::vector<Document>> list_documents(Connection& db, const core::TenantId& tenant, std::string_view kind,
                                                   std::string_view prefix, std::string_view after, std::size_t limit,
                                                   base::WallTime now);
base::Result<std::vector<std::string>> read_audit(Connection& db, const core::TenantId& tenant, std::uint64_t from,
                                                  std::size_t limit);
base::Result<std::vector<tlog::Hash>> read_leaf_hashes(Connection& db, const core::TenantId& tenant, std::uint64_t from,
                                                       std::size_t limit);
/// The stored frontier's bytes; empty when the tenant has no record.
base::Result<std::string> read_frontier(Connection& db, const core::TenantId& tenant);
base::Result<std::pair<std::uint64_t, std::string>> read_audit_head(Connection& db, const core::TenantId& tenant);
base::Result<std::vector<core::Intent>> read_open_intents(Connection& db);

/// The SQL for a selector. Exposed to the test that looks at its query plan.
std::string selector_sql(const Selector& selector);
std::string outline_sql(const Selector& selector, By order, bool behind);

/// Implements Reader's methods for `Port`, which is Reader or Tx.
template <class Port>
class Reads : public Port {
 public:
  explicit Reads(Connection& db) : db_(db) {}
  base::Result<std::optional<core::Grant>> load_grant(const core::GrantId& id) override {
    return sqlite::load_grant(db_, id);
  }
  base::Result<std::vector<core::Grant>> grants(const Selector& selector) override {
    return find_grants(db_, selector);
  }
  base::Result<std::vector<Outline>> outline(const Selector& selector, By order, const Outline* after) override {
    return outline_grants(db_, selector, order, after);
  }
  base::Result<std::size_t> count(const Selector& selector) override { return count_grants(db_, selector); }
  base::Result<std::optional<Document>> get(const core::TenantId& tenant, std::string_view kind, std::string_view key,
                                            base::WallTime now) override {
    return get_document(db_, tenant, kind, key, now);
  }
  base::Result<std::vector<Document>> list(const core::TenantId& tenant, std::string_view kind, std::string_view prefix,
                                           std::string_view after, std::size_t limit, base::WallTime now) override {
    return list_documents(db_, tenant, kind, prefix, after, limit, now);
  }
  base::Result<std::vector<std::string>> audit(const core::TenantId& tenant, std::uint64_t from,
                                               std::size_t limit) override {
    return read_audit(db_, tenant, from, limit);
  }
  base::Result<std::vector<tlog::Hash>> leaf_hashes(const core::TenantId& tenant, std::uint64_t from,
                                                    std::size_t limit) override {
    return read_leaf_hashes(db_, tenant, from, limit);
  }
  base::Result<std::pair<std::uint64_t, std::string>> audit_head(const core::TenantId& tenant) override {
    return read_audit_head(db_, tenant);
  }
  base::Result<std::vector<core::Intent>> open_intents() override { return read_open_intents(db_); }

 protected:
  Connection& db_;
};

}  // namespace daypass::store::sqlite
