#include "core/audit.h"

namespace daypass::core {

using base::Code;
using base::Error;
namespace json = base::json;

std::string canonical(const AuditEvent& event) {
  return json::dump(json::Object{{"v", 1},
                                 {"seq", event.seq},
                                 {"at", base::to_rfc3339(event.at)},
                                 {"tenant", event.tenant.str()},
                                 {"actor", event.actor},
                                 {"action", event.action},
                                 {"object", event.object},
                                 {"outcome", event.outcome},
                                 {"facts", event.facts}});
}

base::Result<AuditEvent> audit_from_canonical(std::string_view bytes) {
  const auto damaged = [](std::string why) {
    return Error{Code::internal, "audit.record", "an audit record is damaged: " + why};
  };
  const auto parsed = json::parse(bytes);
  if (!parsed.ok()) return damaged(parsed.error().message);
  AuditEvent event;
  const std::int64_t seq = parsed->int_or("seq", -1);
  if (parsed->int_or("v", 0) != 1 || seq < 0) return damaged("version or seq");
  event.seq = static_cast<std::uint64_t>(seq);
  const auto at = base::parse_rfc3339(parsed->string_or("at"));
  if (!at.ok()) return damaged("time");
  event.at = *at;
  event.tenant = TenantId(parsed->string_or("tenant"));
  event.actor = parsed->string_or("actor");
  event.action = parsed->string_or("action");
  event.object = parsed->string_or("object");
  event.outcome = parsed->string_or("outcome");
  const json::Value* facts = parsed->find("facts");
  if (facts == nullptr || facts->as_object() == nullptr) return damaged("facts");
  event.facts = *facts->as_object();
  // One record, one spelling: anything else was not written by canonical().
  if (canonical(event) != bytes) return damaged("not in canonical form");
  return event;
}

}  // namespace daypass::core
