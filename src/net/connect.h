// Outgoing plain connections, for the gate's upstreams.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "net/stream.h"

namespace daypass::net {

/// Resolves `host` (name or address literal) off the io thread and tries its addresses in turn, all within `timeout`.
/// TCP_NODELAY and keep-alive are on. Errors: "net.resolve", "net.connect", "net.timeout".
awaitable<base::Result<StreamPtr>> connect_tcp(io_context& io, std::string host, std::uint16_t port,
                                               base::Millis timeout);

/// Errors: "net.path_too_long", "net.connect", "net.timeout".
awaitable<base::Result<StreamPtr>> connect_unix(io_context& io, std::string path, base::Millis timeout);

}  // namespace daypass::net
