// What the policies of one tenant can speak of, as a Cedar schema: made from its attribute mappings, targets and roles,
// and equal to what decide.cc puts before Cedar.
#pragma once

#include <string>
#include <vector>

#include "cedar/schema.h"
#include "config/config.h"
#include "core/spec.h"

namespace daypass::engine {

struct TenantSchema {
  std::string text;      ///< Cedar schema text
  cedar::Schema schema;  ///< the same, read; declares nothing when there are problems
  /// One name with two types: an attribute that identity providers map, or that targets or roles have, otherwise.
  std::vector<config::Problem> problems;
};

/// An attribute may be missing unless it is certain to be there: of a person, unless every identity provider maps it as
/// required; of a target or role, unless each of them has it. `context.client_ip` may be missing: who explains a
/// decision has no address.
TenantSchema tenant_schema(const core::TenantSpec& spec);

}  // namespace daypass::engine
