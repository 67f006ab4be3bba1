#include "forward/format.h"

#include "core/audit_ocsf.h"

#ifndef DAYPASS_VERSION
#define DAYPASS_VERSION "unknown"
#endif

namespace daypass::forward {

base::Result<std::string> line_of(const std::string& record, core::ForwardFormat format) {
  if (format == core::ForwardFormat::jsonl) return record;
  const auto event = core::audit_from_canonical(record);
  if (!event.ok()) return base::Error{base::Code::internal, "forward.record", event.error().message};
  return base::json::dump(core::to_ocsf(*event, DAYPASS_VERSION));
}

}  // namespace daypass::forward
