// The places in a tenant's settings that may name something outside of them: secrets, files, environment variables.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/spec.h"

namespace daypass::engine {

/// Calls `with` for each text of the spec that may be a reference.
void each_reference(const core::IdpSpec& idp, const std::function<void(const std::string&)>& with);
void each_reference(const core::TargetSpec& target, const std::function<void(const std::string&)>& with);
void each_reference(const core::ForwardSpec& forward, const std::function<void(const std::string&)>& with);

/// As hosts are compared: in lower case, a socket's folder as it is.
std::string canonical_host(std::string_view host);

}  // namespace daypass::engine
