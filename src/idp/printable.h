// Text of strangers made safe to show: in messages, logs and pages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace daypass::idp {

/// `text` without control, direction and invalid characters, cut to `max_bytes` at a character: for people to read.
std::string printable(std::string_view text, std::size_t max_bytes);

}  // namespace daypass::idp
