// The writing half of the port: what a transaction may do. SqliteStore opens and closes the transaction around it.
#pragma once

#include "store/sqlite/reads.h"

namespace daypass::store::sqlite {

class SqliteTx final : public Reads<Tx> {
 public:
  using Reads::Reads;
  base::Status save_grant(core::Grant& grant) override;
  base::Status open_intent(const core::Intent& intent) override;
  base::Status settle_intent(const core::GrantId& grant, std::uint32_t seq) override;
  base::Status append_audit(core::AuditEvent& event) override;
  base::Status rewrite_audit(const core::TenantId& tenant, std::uint64_t seq, std::string_view record) override;
  base::Result<bool> remove_closed(const core::GrantId& grant) override;
  base::Status put(Document& document, std::optional<std::uint64_t> expected) override;
  base::Result<bool> remove(const core::TenantId& tenant, std::string_view kind, std::string_view key) override;
  base::Result<bool> use_once(const core::TenantId& tenant, std::string_view key, base::WallTime until,
                              base::WallTime now) override;
  base::Result<std::size_t> erase_tenant(const core::TenantId& tenant, std::size_t most) override;
  base::Status nested(const std::function<base::Status()>& fn) override;

 private:
  base::Status insert_grant(const core::Grant& grant, std::string_view body);
  base::Status replace_grant(const core::Grant& grant, std::string_view body);
  void undo_savepoint();
};

}  // namespace daypass::store::sqlite
