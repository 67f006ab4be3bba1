// Host names become addresses under a deadline: getaddrinfo() itself may hang for as long as a resolver likes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "target/postgres/deadline.h"

namespace daypass::target::postgres {

/// Numeric addresses of `host`, in the resolver's order, at most 8. A numeric host is returned as it is.
/// Errors: unavailable "pg.resolve", timeout "pg.resolve".
base::Result<std::vector<std::string>> resolve(const std::string& host, const Deadline& deadline);

/// Lookups that nobody waits for any longer and that have no answer yet; ends the threads of those that have one.
std::size_t abandoned_lookups();

/// True for 127.0.0.0/8 and ::1 in numeric form.
[[nodiscard]] bool is_loopback_address(const std::string& address) noexcept;

}  // namespace daypass::target::postgres
