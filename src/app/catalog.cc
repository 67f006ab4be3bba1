#include "app/catalog.h"

#include "forward/syslog/syslog.h"
#include "forward/webhook/webhook.h"
#include "idp/caep/caep.h"
#include "idp/oidc/oidc.h"
#include "idp/saml/saml.h"
#include "target/postgres/postgres.h"

namespace daypass::app {
idp::Fetch guarded(net::HttpFetcher& fetcher) {
  return [&fetcher](const idp::Request& r) -> base::Result<idp::Reply> {
    net::HttpFetch fetch(r.method, r.url);
    fetch.headers.emplace_back("accept", r.accept);
    if (!r.content_type.empty()) fetch.headers.emplace_back("content-type", r.content_type);
    if (!r.content_language.empty()) fetch.headers.emplace_back("content-language", r.content_language);
    fetch.secret_body = r.body.clone();
    fetch.authorization = r.authorization.clone();
    fetch.timeout = r.timeout;
    fetch.connect_timeout = std::min<base::Millis>(r.timeout, std::chrono::seconds(5));
    fetch.max_bytes = r.max_bytes;
    fetch.ca_file = r.ca_file;
    fetch.egress.private_hosts = r.allowed_hosts;
    fetch.egress.allow_loopback_http = r.loopback_http;
    fetch.egress.allow_loopback = r.loopback;
    DP_TRY(net::HttpReply reply, fetcher.fetch(fetch));
    return idp::Reply{reply.status, reply.media_type(), std::move(reply.body)};
  };
}

engine::Catalog make_catalog(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                             net::HttpFetcher& fetcher, net::Feeder& feeder, const idp::SecretSource& secrets,
                             const std::string& instance, const std::string& host) {
  engine::Catalog catalog;
  catalog.secrets = secrets;
  catalog.idps.emplace("oidc", idp::oidc::make_oidc_driver(clock, entropy, log, guarded(fetcher), secrets));
  catalog.idps.emplace("saml", idp::saml::make_saml_driver(clock, entropy, log, guarded(fetcher), secrets));
  catalog.targets.emplace("pg", target::postgres::make_postgres_driver(clock, entropy, log, secrets, instance));
  catalog.signals = idp::caep::make_signal_driver(clock, log, guarded(fetcher), secrets);
  catalog.webhooks = forward::webhook::make_webhook_driver(clock, fetcher, secrets);
  catalog.syslog = forward::syslog::make_syslog_driver(feeder, host);
  return catalog;
}

}  // namespace daypass::app
