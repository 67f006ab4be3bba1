// The only file that names drivers: what this binary can sign in with and give access to.
#pragma once

#include "base/log.h"
#include "engine/world.h"
#include "idp/fetch.h"
#include "net/feed.h"
#include "net/http_client.h"

namespace daypass::app {

/// Binds an identity provider's only way out to the egress-guarded client, which outlives it.
idp::Fetch guarded(net::HttpFetcher& fetcher);

/// `fetcher`, `feeder`, `clock`, `entropy` and `log` outlive the catalog. `host`: who we are in syslog messages.
engine::Catalog make_catalog(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                             net::HttpFetcher& fetcher, net::Feeder& feeder, const idp::SecretSource& secrets,
                             const std::string& instance, const std::string& host);

}  // namespace daypass::app
