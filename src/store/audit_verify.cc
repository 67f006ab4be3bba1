#include "store/audit_verify.h"

#include <algorithm>

#include "base/encoding.h"
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

Status check_record(const core::TenantId& tenant, std::uint64_t seq, std::string_view bytes) {
  const std::string name = "record " + std::to_string(seq);
  const auto event = core::audit_from_canonical(bytes);
  if (!event.ok())
    return broken("audit.leaf", name + " of the audit log is not what was appended: " + event.error().message);
  if (event->tenant != tenant) return broken("audit.leaf", name + " of the audit log belongs to another tenant");
  if (event->seq != seq)
    return broken("audit.gap",
                  name + " of the audit log is missing: record " + std::to_string(event->seq) + " is in its place");
  return {};
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
      DP_CHECK(check_record(tenant, frontier.size(), bytes));
      frontier.append(tlog::leaf_hash(bytes));
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
