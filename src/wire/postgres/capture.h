// Statement text on its way into a record: bounded, well-formed UTF-8, without passwords.
#pragma once

#include <memory>
#include <string_view>

#include "wire/postgres/activity.h"

namespace daypass::wire::postgres {

/// `raw` ends at its first NUL and is cut to kTextMax bytes (at a character); `truncated`: more text follows on the
/// wire.
std::shared_ptr<const StatementText> capture_text(std::string_view raw, bool truncated);

/// [begin, end) of a captured text, white space at both ends taken off; the text itself when that is all of it.
std::shared_ptr<const StatementText> slice_text(const std::shared_ptr<const StatementText>& text, std::size_t begin,
                                                std::size_t end);

}  // namespace daypass::wire::postgres
