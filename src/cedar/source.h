// A text before it is read: whether it may be, where its lines begin, and what to say of it as one error.
// Internal: policies and schemas share it.
#pragma once

#include <memory>

#include "cedar/policy.h"

namespace daypass::cedar {

std::shared_ptr<Source> make_source(std::string_view text, std::string file);

/// Whether the text is small enough and UTF-8; what is wrong is added to `found` ("cedar.too_large", "cedar.utf8").
/// `what` names it ("a schema"), `smaller` is the hint for one that is too large.
bool readable(std::string_view text, const std::string& file, std::size_t max_bytes, const std::string& what,
              const std::string& smaller, std::vector<Diagnostic>& found);

/// The first of at least one, with its place, and how many more there are.
base::Error error_of(const std::vector<Diagnostic>& found);

}  // namespace daypass::cedar
