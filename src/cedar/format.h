// The formatter: one layout for every policy text, comments kept.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cedar/policy.h"

namespace daypass::cedar {

struct FormatOptions {
  std::size_t width = 80;  ///< code points a line should have at most; strings and comments are never split
  std::size_t indent = 2;  ///< spaces per level; levels beyond half the width are not indented further
  std::size_t max_bytes = std::size_t{1} << 20U;  ///< of the text
};

/// The policies and templates laid out anew: the same tokens (but for commas before a closing bracket) and comments in
/// the same order, lines ended by `\n`. What it returns it leaves alone when formatted again. A text that does not
/// parse is refused with the errors of PolicySet::parse.
base::Result<std::string> format_policies(std::string_view text, std::string file, const FormatOptions& options = {},
                                          std::vector<Diagnostic>* diagnostics = nullptr);

}  // namespace daypass::cedar
