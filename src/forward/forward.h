// Port: who takes a tenant's audit records elsewhere. Owns no queue and no cursor: a batch is given, and taken or not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/spec.h"

namespace daypass::forward {

using base::Millis;

/// Records of one tenant's log, one behind the other, each as the line that exports have.
struct Batch {
  core::TenantId tenant;
  std::uint64_t first = 0;  ///< number of the first
  std::vector<std::string> records;
};

class Receiver {
 public:
  virtual ~Receiver() = default;
  /// Sends all of it; ok only when the other side has it. Blocks up to `budget`; one call at a time. Errors:
  /// "forward.refused" (it answered, and not with success), "forward.unreachable", "forward.secret", "forward.record".
  virtual base::Status deliver(const Batch& batch, Millis budget) = 0;
};

/// Resolves a reference of a tenant; given by app/.
using SecretSource = std::function<base::Result<base::Secret>(const core::TenantId&, const core::SecretRef&)>;

class Driver {
 public:
  virtual ~Driver() = default;
  [[nodiscard]] virtual base::Status validate(const core::ForwardSpec& spec) const = 0;
  virtual base::Result<std::shared_ptr<Receiver>> make(const core::TenantId& tenant, const core::ForwardSpec& spec) = 0;
};

}  // namespace daypass::forward
