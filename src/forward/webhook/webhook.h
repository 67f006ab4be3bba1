// Receivers over HTTP: POST of JSON lines, signed.
#pragma once

#include "forward/forward.h"
#include "net/http_client.h"

namespace daypass::forward::webhook {

/// `clock` and `fetcher` outlive the driver and what it makes.
std::unique_ptr<Driver> make_webhook_driver(const base::Clock& clock, net::HttpFetcher& fetcher, SecretSource secrets);

/// The signature of Standard Webhooks: "v1," and the base64 of HMAC-SHA-256 over "<id>.<timestamp>.<body>". A secret
/// that begins with "whsec_" is base64 behind it; any other is the key as it is. Error: "forward.secret".
base::Result<std::string> signature(const base::Secret& secret, std::string_view id, std::string_view timestamp,
                                    std::string_view body);

}  // namespace daypass::forward::webhook
