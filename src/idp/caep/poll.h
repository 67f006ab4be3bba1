// Poll-based delivery (RFC 8936): what we ask, and what comes.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "idp/signals.h"

namespace daypass::idp::caep {

constexpr std::size_t max_events = 16;  ///< of one poll
constexpr std::size_t max_poll_bytes = std::size_t{2} << 20U;

/// The body of a poll that is answered at once (section 2.2), with what became of the tokens before.
std::string poll_request(const Acknowledged& before);

/// At most max_events of them; what is left out comes again, for nobody acknowledges it. Errors: "poll.syntax",
/// "poll.shape".
base::Result<Polled> parse_poll(std::string_view text);

}  // namespace daypass::idp::caep
