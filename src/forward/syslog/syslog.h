// Receivers of syslog: RFC 5424 messages, each behind its length.
#pragma once

#include "forward/forward.h"
#include "net/feed.h"

namespace daypass::forward::syslog {

/// `feeder` outlives the driver and what it makes. `host`: who we are in every message.
std::unique_ptr<Driver> make_syslog_driver(net::Feeder& feeder, std::string host);

/// One message (RFC 5424), behind its length in bytes (RFC 5425 section 4.3, RFC 6587 section 3.4.1). Error:
/// "forward.record".
base::Result<std::string> frame(const std::string& record, core::ForwardFormat format, std::string_view host);

}  // namespace daypass::forward::syslog
