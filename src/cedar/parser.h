// Policy text to policies: a recursive descent over the tokens that reports every error it can tell apart. Internal.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cedar/policy.h"

namespace daypass::cedar {

struct ParsedText {
  std::vector<std::shared_ptr<const Policy::Data>> policies;  ///< those that parsed, in file order
};

/// `already` policies are in the set; what goes wrong is appended to `diagnostics`.
ParsedText parse_policies(std::string_view text, std::string file, const ParseOptions& options, std::size_t already,
                          std::vector<Diagnostic>& diagnostics);

}  // namespace daypass::cedar
