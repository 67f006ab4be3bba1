// Outgoing plain connections, for the gate's upstreams.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "net/egress.h"
#include "net/stream.h"

namespace daypass::net {

/// Resolves `host` (name or address literal) off the io thread and tries its addresses in turn, all within `timeout`.
/// TCP_NODELAY and keep-alive are on. With `public_only`, addresses that are not of the internet (net/egress.h) are
/// left out, whatever name led there. Errors: "net.resolve", "net.connect", "net.timeout", "net.private".
awaitable<base::Result<StreamPtr>> connect_tcp(io_context& io, std::string host, std::uint16_t port,
                                               base::Millis timeout, bool public_only = false);

/// The same for an address that an outsider's settings name: what `policy` does not allow is left out. `secure`: TLS
/// follows. Error, besides those: "net.egress".
awaitable<base::Result<StreamPtr>> connect_guarded(io_context& io, std::string host, std::uint16_t port,
                                                   base::Millis timeout, EgressPolicy policy, bool secure);

/// Errors: "net.path_too_long", "net.connect", "net.timeout".
awaitable<base::Result<StreamPtr>> connect_unix(io_context& io, std::string path, base::Millis timeout);

}  // namespace daypass::net
