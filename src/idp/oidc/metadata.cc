#include "idp/oidc/metadata.h"

#include <utility>

namespace daypass::idp::oidc {

std::shared_ptr<Metadata> MetadataShelf::of(const core::TenantId& tenant, const core::IdpSpec& spec) {
  // Trust is part of the key: what was fetched under other anchors is not taken over.
  std::string key = tenant.str() + '\n' + spec.issuer + '\n' + spec.ca_file;
  for (const auto& host : spec.allowed_hosts) key += '\n' + host;
  const std::lock_guard lock(mutex_);
  std::erase_if(shelf_, [](const auto& entry) { return entry.second.expired(); });
  auto& slot = shelf_[key];
  if (auto there = slot.lock()) return there;
  auto made = std::make_shared<Metadata>(clock_, log_, fetch_, tenant,
                                         Metadata::Source{.issuer = spec.issuer,
                                                          .url = discovery_url(spec.issuer),
                                                          .reach = Reach::of(spec, spec.issuer),
                                                          .family = "discovery",
                                                          .max_bytes = max_discovery_bytes,
                                                          .fetch_cap = std::chrono::seconds(10),
                                                          .parse = [issuer = spec.issuer](std::string_view text) {
                                                            return parse_discovery(text, issuer);
                                                          }});
  slot = made;
  return made;
}

}  // namespace daypass::idp::oidc
