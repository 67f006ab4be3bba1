#include "app/cli/idp_discover.h"

#include <algorithm>

#include "config/config.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;
namespace oidc = idp::oidc;
namespace saml = idp::saml;

namespace {

constexpr base::Millis fetch_time = std::chrono::seconds(15);

idp::Request request_to(const NewIdp& at, const std::string& url, std::size_t most) {
  core::IdpSpec spec;
  spec.ca_file = at.ca_file;
  spec.allowed_hosts = at.allowed_hosts;
  idp::Request request;
  request.url = url;
  request.timeout = fetch_time;
  request.max_bytes = most;
  idp::Reach::of(spec, url).apply(request);
  return request;
}

std::vector<std::string> strings(const json::Value& document, std::string_view key) {
  std::vector<std::string> out;
  for (const auto& item : items(document, key))
    if (item.as_string() != nullptr && out.size() < 64) out.push_back(*item.as_string());
  return out;
}

bool is_directory_id(std::string_view text) {
  return text.size() == 36 &&
         std::ranges::all_of(text, [](char c) { return c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

/// Whether `told` is another spelling of what was asked for, and not another provider.
bool same_issuer(const std::string& asked, const std::string& told) {
  if (told == asked || told == asked + "/" || told + "/" == asked) return true;
  constexpr std::string_view entra = "https://login.microsoftonline.com/", version = "/v2.0";
  const auto of_entra = [&](const std::string& s) { return s.starts_with(entra) && s.ends_with(version); };
  return of_entra(asked) && of_entra(told) && told.size() > entra.size() + version.size() &&
         is_directory_id(std::string_view(told).substr(entra.size(), told.size() - entra.size() - version.size()));
}

}  // namespace

Result<FoundOidc> discover(const idp::Fetch& fetch, const NewIdp& at) {
  DP_CHECK(oidc::check_issuer(at.issuer));
  DP_TRY(const idp::Reply reply,
         idp::fetch_ok(fetch, request_to(at, oidc::discovery_url(at.issuer), oidc::max_discovery_bytes), "discovery"));
  const auto document = json::parse(reply.body);
  const std::string told = document.ok() ? document->string_or("issuer") : "";
  FoundOidc out;
  DP_TRY(out.discovery, oidc::parse_discovery(reply.body, same_issuer(at.issuer, told) ? told : at.issuer));
  out.algorithms = strings(*document, "id_token_signing_alg_values_supported");
  out.scopes = strings(*document, "scopes_supported");
  out.backchannel_logout = document->bool_or("backchannel_logout_supported", false);
  return out;
}

core::ClientAuth client_auth_for(const oidc::Discovery& discovery) {
  const auto& offered = discovery.client_auth_methods;
  for (const auto method : {core::ClientAuth::basic, core::ClientAuth::post, core::ClientAuth::private_key_jwt})
    if (offered.empty() || std::ranges::find(offered, oidc::method_name(method)) != offered.end()) return method;
  return core::ClientAuth::basic;
}

Result<saml::IdpMetadata> read_metadata(const idp::Fetch& fetch, const base::Clock& clock, const NewIdp& at) {
  saml::MetadataWanted wanted;
  wanted.now = clock.wall();
  wanted.entity_id = at.issuer;
  wanted.trust.fingerprints = at.pins;
  if (at.metadata.starts_with("file:")) {
    wanted.loopback_http = true;
    DP_TRY(const std::string text, config::read_file(at.metadata.substr(5)));
    return saml::parse_metadata(text, wanted);
  }
  idp::Request request = request_to(at, at.metadata, saml::max_metadata_bytes);
  request.accept = "application/samlmetadata+xml, application/xml, text/xml";
  wanted.loopback_http = request.loopback_http;
  DP_TRY(const idp::Reply reply, idp::fetch_ok(fetch, request, "saml_metadata"));
  return saml::parse_metadata(reply.body, wanted);
}

}  // namespace daypass::app::cli
