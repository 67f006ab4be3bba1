#include "idp/oidc/metadata.h"

#include <algorithm>
#include <utility>

#include "idp/url.h"

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::Millis;
using base::MonoTime;
using base::Result;
using base::Status;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Millis fetch_cap = seconds(10);  // of one metadata fetch, however much time the login still has

constexpr Cached<Discovery>::Policy discovery_policy{
    .fresh = hours(1), .usable = hours(24), .between = seconds(10), .first_retry = seconds(1), .patience = Millis(0)};

}  // namespace

Metadata::Metadata(const base::Clock& clock, const base::Log& log, Fetch fetch, core::TenantId tenant,
                   std::string issuer, Reach reach)
    : clock_(clock),
      log_(log),
      fetch_(std::move(fetch)),
      tenant_(std::move(tenant)),
      issuer_(std::move(issuer)),
      reach_(std::move(reach)),
      discovery_(clock, discovery_policy, no_answer_in_time("discovery"),
                 [this](MonoTime deadline) { return load_discovery(deadline); }),
      keys_(clock, [this](MonoTime deadline) { return load_keys(deadline); }) {}

Error Metadata::noted(Error error) const {
  log_.warn("identity provider: metadata not fetched",
            {{"tenant", tenant_.str()}, {"issuer", issuer_}, {"check", error.check}, {"why", error.message}});
  return error;
}

Result<Discovery> Metadata::load_discovery(MonoTime deadline) {
  Request request;
  request.url = discovery_url(issuer_);
  request.timeout = remaining(clock_, deadline, fetch_cap);
  request.max_bytes = max_discovery_bytes;
  reach_.apply(request);
  auto reply = fetch_ok(fetch_, request, "discovery");
  if (!reply.ok()) return noted(std::move(reply).error());
  auto document = parse_discovery(reply->body, issuer_);
  if (!document.ok()) return noted(std::move(document).error());
  return document;
}

Result<crypto::KeySet> Metadata::load_keys(MonoTime deadline) {
  DP_TRY(const DiscoveryPtr document, discovery(deadline));
  auto keys = fetch_keys(fetch_, document->jwks_uri, reach_, remaining(clock_, deadline, fetch_cap));
  if (!keys.ok()) return noted(std::move(keys).error());
  return keys;
}

Result<Metadata::DiscoveryPtr> Metadata::discovery(MonoTime deadline) {
  DP_TRY(auto got, discovery_.get(deadline, [](const Discovery&) { return true; }));
  return std::move(got.value);
}

Status Metadata::probe(MonoTime deadline) {
  DP_CHECK(discovery_.refresh(deadline));
  return keys_.refresh(deadline);
}

std::shared_ptr<Metadata> MetadataShelf::of(const core::TenantId& tenant, const core::IdpSpec& spec) {
  // Trust is part of the key: what was fetched under other anchors is not taken over.
  std::string key = tenant.str() + '\n' + spec.issuer + '\n' + spec.ca_file;
  for (const auto& host : spec.allowed_hosts) key += '\n' + host;
  const std::lock_guard lock(mutex_);
  std::erase_if(shelf_, [](const auto& entry) { return entry.second.expired(); });
  auto& slot = shelf_[key];
  if (auto there = slot.lock()) return there;
  auto made = std::make_shared<Metadata>(clock_, log_, fetch_, tenant, spec.issuer, Reach::of(spec, spec.issuer));
  slot = made;
  return made;
}

}  // namespace daypass::idp::oidc
