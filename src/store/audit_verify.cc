#include "store/audit_verify.h"

#include <algorithm>

#include "base/encoding.h"
#include "store/audit_log.h"
#include "tlog/tree.h"

namespace daypass::store {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t page_size = 512;

Error broken(std::string check, std::string message) {
  return {Code::internal, std::move(check), std::move(message),
          "keep a copy of the store as it is, and compare with the last root that was kept elsewhere"};
}

}  // namespace

Result<AuditReport> verify_audit(Reader& reader, const core::TenantId& tenant) {
  DP_TRY(const auto head, reader.audit_head(tenant));
  const auto& [size, root] = head;
  tlog::Frontier frontier;
  while (frontier.size() < size) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(page_size, size - frontier.size()));
    DP_TRY(const auto page, reader.audit(tenant, frontier.size(), most));
    if (page.empty())
      return broken("audit.gap", "record " + std::to_string(frontier.size()) +
                                     " of the audit log is missing: the log's head counts " + std::to_string(size));
    for (const std::string& bytes : page) {
      DP_TRY(const tlog::Hash hash, hash_of_record(tenant, frontier.size(), bytes));
      frontier.append(hash);
    }
  }
  if (frontier.root() != root)
    return broken("audit.root",
                  "the " + std::to_string(size) + " records of the audit log give another root than its head");
  DP_TRY(const auto beyond, reader.audit(tenant, size, 1));
  if (!beyond.empty())
    return broken("audit.gap", "record " + std::to_string(size) +
                                   " of the audit log is beyond its head, which counts " + std::to_string(size));
  return AuditReport{size, base::hex_encode(root)};
}

}  // namespace daypass::store
