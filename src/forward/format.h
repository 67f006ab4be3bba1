// How a record looks outside: what `daypass audit export` writes and receivers get.
#pragma once

#include <string>

#include "base/result.h"
#include "core/spec.h"

namespace daypass::forward {

/// One line, without its end. Error: "forward.record" (it can't be read).
base::Result<std::string> line_of(const std::string& record, core::ForwardFormat format);

}  // namespace daypass::forward
