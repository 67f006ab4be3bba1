// What a tenant's administrators may name. They are not the server's: what they let it read must be theirs, and where
// they let it connect must be the internet or what the operator gave to their tenant. What is set already stays as it
// is, together with all that decides where it leads.
#include <algorithm>

#include "config/checks.h"
#include "engine/references.h"
#include "engine/turn.h"
#include "idp/url.h"

namespace daypass::engine {
namespace {

// What of the server's own a spec names: files and environment variables. What the tenant keeps here itself is its own.
using References = std::set<std::string>;
template <class Spec>
References references_of(const Spec& spec) {
  References out;
  each_reference(spec, [&](const std::string& text) {
    if (text.starts_with("file:") || text.starts_with("env:") || text.starts_with('/')) out.insert(text);
  });
  return out;
}

// A path below the tenant's own folder.
void judge_references(const References& references, const std::string& own, std::vector<config::Problem>& problems) {
  for (const auto& reference : references) {
    std::string_view path = reference;
    if (path.starts_with("file:")) path.remove_prefix(5);
    if (!own.empty() && path.starts_with(own) && path.find("/../") == std::string_view::npos && !path.ends_with("/.."))
      continue;
    problems.push_back({"tenant.toml", 0, 0,
                        "a reference to something of the server that is not the tenant's own: " + reference,
                        "put it below " + own + " on the server, or let the operator apply this over the socket"});
  }
}

bool contains(const std::vector<std::string>& hosts, std::string_view host) {
  return std::ranges::find(hosts, canonical_host(host)) != hosts.end();
}

// What the egress guard lets through for a provider are its `allowed_hosts`, and loopback where its own address is
// there.
void judge_hosts(const core::IdpSpec& idp, const std::vector<std::string>& private_hosts,
                 std::vector<config::Problem>& problems) {
  const auto refuse = [&](const std::string& host) {
    problems.push_back({"tenant.toml", 0, 0,
                        "idp " + idp.name + ": the tenant may not name " + host + ", a host of a private network",
                        "the operator lets it: daypass tenants set " + std::string("TENANT --private-host ") + host});
  };
  for (const auto& host : idp.allowed_hosts)
    if (!contains(private_hosts, host)) refuse(host);
  std::vector<const std::string*> addresses = {&idp.issuer, &idp.saml.metadata, &idp.overage_url};
  if (idp.signals)
    for (const auto* address : {&idp.signals->transmitter, &idp.signals->jwks_url, &idp.signals->poll_url})
      addresses.push_back(address);
  for (const auto* address : addresses) {
    const auto url = idp::parse_url(*address);
    if (!url || !url->loopback()) continue;
    const bool bracketed = url->host.starts_with('[');
    const std::string host = bracketed ? url->host.substr(1, url->host.size() - 2) : url->host;
    if (!contains(private_hosts, host)) refuse(host);
  }
}

void judge_hosts(const core::ForwardSpec& forward, const std::vector<std::string>& private_hosts,
                 std::vector<config::Problem>& problems) {
  const auto refuse = [&](const std::string& host) {
    problems.push_back(
        {"tenant.toml", 0, 0,
         "forward " + forward.name + ": the tenant may not name " + host + ", a host of a private network",
         "the operator lets it: daypass tenants set " + std::string("TENANT --private-host ") + host});
  };
  for (const auto& host : forward.allowed_hosts)
    if (!contains(private_hosts, host)) refuse(host);
  if (forward.at_loopback() && !contains(private_hosts, forward.host())) refuse(forward.host());
}

constexpr std::string_view public_only = "public_only";

json::Object without_reach(const core::TargetSpec& target) {
  json::Object out = target.settings;
  out.erase(public_only);
  return out;
}

}  // namespace

std::string canonical_host(std::string_view host) {
  return host.starts_with('/') ? std::string(host) : config::lower(host);
}

void each_reference(const core::IdpSpec& idp, const std::function<void(const std::string&)>& with) {
  for (const auto* text : {&idp.client_secret.ref, &idp.ca_file, &idp.saml.metadata, &idp.saml.metadata_signer})
    with(*text);
  for (const auto& key : idp.saml.sp_keys) with(key);
  for (const auto& token : idp.scim.tokens) with(token);
  if (!idp.signals) return;
  with(idp.signals->poll_token.ref);
  for (const auto& token : idp.signals->push_tokens) with(token);
}

void each_reference(const core::TargetSpec& target, const std::function<void(const std::string&)>& with) {
  // A host is no reference, also when it is a socket's folder.
  for (const auto& [key, value] : target.settings)
    if (key != "host" && value.as_string() != nullptr) with(*value.as_string());
}

void each_reference(const core::ForwardSpec& forward, const std::function<void(const std::string&)>& with) {
  for (const auto* text : {&forward.authorization.ref, &forward.ca_file}) with(*text);
  for (const auto& secret : forward.secrets) with(secret);
}

void Engine::Impl::confine(const core::TenantSpec& before, core::TenantSpec& after,
                           std::vector<config::Problem>& problems) const {
  const std::string own = p.secrets_folder.empty() ? "" : p.secrets_folder + "/" + after.tenant.str() + "/";
  std::vector<std::string> private_hosts;
  {
    const std::shared_lock lock(shared);
    if (const auto it = registry.find(after.tenant); it != registry.end())
      private_hosts = it->second.info.private_hosts;
  }
  for (const auto& idp : after.idps) {
    const core::IdpSpec* was = before.idp(idp.name);
    if (was != nullptr && *was == idp) continue;
    judge_references(references_of(idp), own, problems);
    judge_hosts(idp, private_hosts, problems);
  }
  for (const auto& forward : after.forwards) {
    const core::ForwardSpec* was = before.forward(forward.name);
    if (was != nullptr && *was == forward) continue;
    judge_references(references_of(forward), own, problems);
    judge_hosts(forward, private_hosts, problems);
  }
  for (auto& target : after.targets) {
    const core::TargetSpec* was = before.target(target.id);
    if (was != nullptr && without_reach(*was) == without_reach(target)) {
      // The file doesn't say how far the operator lets it reach, and can't.
      if (const json::Value* reach = was->settings.find(public_only))
        target.settings.set(std::string(public_only), *reach);
      continue;
    }
    judge_references(references_of(target), own, problems);
    const json::Value* host = target.settings.find("host");
    if (host == nullptr || host->as_string() == nullptr || contains(private_hosts, *host->as_string())) continue;
    target.settings.set(std::string(public_only), true);
  }
}

}  // namespace daypass::engine
