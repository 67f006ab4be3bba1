#include "idp/oidc/discovery.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "idp/printable.h"
#include "idp/url.h"

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::json::Value;

namespace {

constexpr std::size_t max_list = 256;

Error bad(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::invalid, "discovery." + std::move(check), "discovery document: " + std::move(message),
               std::move(hint)};
}

std::string quoted(std::string_view text) {
  return base::json::quote(printable(text, 200));
}

struct Strings {
  bool there = false;
  std::vector<std::string> values;
  [[nodiscard]] bool has(std::string_view one) const { return std::ranges::find(values, one) != values.end(); }
  /// Nothing said, or said to be offered.
  [[nodiscard]] bool allows(std::string_view one) const { return !there || has(one); }
};

Result<Strings> strings(const Value& document, std::string_view name) {
  const Value* value = document.find(name);
  if (value == nullptr) return Strings{};
  const auto* list = value->as_array();
  if (list == nullptr || list->size() > max_list)
    return bad("shape", std::string(name) + " must be a list of at most 256 strings");
  Strings out{true, {}};
  for (const auto& entry : *list) {
    const std::string* text = entry.as_string();
    if (text == nullptr) return bad("shape", std::string(name) + " must hold strings only");
    out.values.push_back(*text);
  }
  return out;
}

Result<bool> flag(const Value& document, std::string_view name) {
  const Value* value = document.find(name);
  if (value == nullptr) return false;
  if (const bool* truth = value->as_bool()) return *truth;
  return bad("shape", std::string(name) + " must be true or false");
}

Result<std::string> endpoint(const Value& document, std::string_view name, bool loopback_http, bool required) {
  const Value* value = document.find(name);
  if (value == nullptr) {
    if (required) return bad("endpoint", std::string(name) + " is missing");
    return std::string();
  }
  const std::string* text = value->as_string();
  const auto url = text == nullptr ? std::nullopt : parse_url(*text);
  if (!url || !acceptable(*url, loopback_http))
    return bad("endpoint", std::string(name) + " is no https URL: " +
                               (text == nullptr ? std::string(value->type_name()) : quoted(*text)));
  return *text;
}

Status check_offers(const Value& document) {
  DP_TRY(const auto response_types, strings(document, "response_types_supported"));
  if (!response_types.allows("code"))
    return bad("response_types", "response_types_supported has no \"code\"",
               "let the client use the authorization code flow");
  DP_TRY(const auto modes, strings(document, "response_modes_supported"));
  if (!modes.allows("query")) return bad("response_modes", "response_modes_supported has no \"query\"");
  DP_TRY(const auto grants, strings(document, "grant_types_supported"));
  if (!grants.allows("authorization_code"))
    return bad("grant_types", "grant_types_supported has no \"authorization_code\"");
  DP_TRY(const auto pkce, strings(document, "code_challenge_methods_supported"));
  if (!pkce.allows("S256"))
    return bad("pkce", "code_challenge_methods_supported has no \"S256\"", "switch PKCE with S256 on at the provider");
  DP_TRY(const auto algs, strings(document, "id_token_signing_alg_values_supported"));
  constexpr std::array<std::string_view, 6> ours = {"RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"};
  if (algs.there && std::ranges::none_of(ours, [&](std::string_view alg) { return algs.has(alg); }))
    return bad("alg", "id_token_signing_alg_values_supported has none of RS256, PS256, ES256, ES384, EdDSA",
               "let the provider sign ID tokens with a public key");
  DP_TRY(const bool par, flag(document, "require_pushed_authorization_requests"));
  if (par)
    return bad("par_required", "the provider takes pushed authorization requests only, which are not supported",
               "let this client send plain authorization requests");
  return {};
}

}  // namespace

Status check_issuer(const std::string& issuer) {
  const auto bad_issuer = [&](const std::string& why) {
    return Error{Code::invalid, "idp.issuer", "issuer " + quoted(issuer) + " " + why,
                 "copy it from the provider's /.well-known/openid-configuration"};
  };
  if (issuer.find('{') != std::string::npos)
    return Error{Code::invalid, "idp.issuer_template", "issuer " + quoted(issuer) + " is a template for many tenants",
                 "put your own directory's id in the place of {tenantid}"};
  const auto url = parse_url(issuer);
  if (!url) return bad_issuer("is no https URL");
  if (!acceptable(*url, true)) return bad_issuer("must be https (http is for loopback only)");
  // Discovery 3: no query, no fragment (parse_url refuses fragments).
  if (issuer.find('?') != std::string::npos) return bad_issuer("must have no query");
  // Entra ID's shared endpoints answer for every directory of the world; whoever owns one would be let in.
  for (const std::string_view shared : {"/common/", "/organizations/", "/consumers/"})
    if (url->host.starts_with("login.") && (url->path + "/").find(shared) != std::string::npos)
      return Error{Code::invalid, "idp.issuer_template", "issuer " + quoted(issuer) + " stands for every directory",
                   "configure your own: https://login.microsoftonline.com/<directory id>/v2.0"};
  return {};
}

std::string discovery_url(std::string_view issuer) {
  if (issuer.ends_with('/')) issuer.remove_suffix(1);
  return std::string(issuer) + "/.well-known/openid-configuration";
}

Result<Discovery> parse_discovery(std::string_view text, const std::string& issuer) {
  auto parsed = base::json::parse(text, {.bytes = max_discovery_bytes, .depth = 16, .nodes = 20'000, .members = 512});
  if (!parsed.ok()) return bad("syntax", parsed.error().message);
  const Value& document = *parsed;
  if (document.as_object() == nullptr)
    return bad("syntax", "it is " + std::string(document.type_name()) + ", not an object");

  const Value* iss = document.find("issuer");
  const std::string* name = iss == nullptr ? nullptr : iss->as_string();
  if (name == nullptr) return bad("issuer", "issuer is missing or no string");
  if (*name != issuer && name->find('{') != std::string::npos)
    return bad("issuer_template", "issuer is the template " + quoted(*name) + ", which stands for every tenant",
               "configure the issuer of your own tenant");
  if (*name != issuer)
    return bad("issuer", "issuer is " + quoted(*name) + ", expected " + quoted(issuer),
               "set issuer exactly as the provider spells it, with or without the trailing slash");

  const auto url = parse_url(issuer);
  const bool loopback_http = url && !url->https && url->loopback();
  Discovery out;
  out.issuer = issuer;
  DP_TRY(out.authorization_endpoint, endpoint(document, "authorization_endpoint", loopback_http, true));
  DP_TRY(out.token_endpoint, endpoint(document, "token_endpoint", loopback_http, true));
  DP_TRY(out.jwks_uri, endpoint(document, "jwks_uri", loopback_http, true));
  DP_TRY(out.userinfo_endpoint, endpoint(document, "userinfo_endpoint", loopback_http, false));
  DP_TRY(out.end_session_endpoint, endpoint(document, "end_session_endpoint", loopback_http, false));
  DP_CHECK(check_offers(document));
  DP_TRY(out.iss_parameter, flag(document, "authorization_response_iss_parameter_supported"));
  DP_TRY(auto methods, strings(document, "token_endpoint_auth_methods_supported"));
  out.client_auth_methods = std::move(methods.values);
  DP_TRY(auto algs, strings(document, "token_endpoint_auth_signing_alg_values_supported"));
  out.client_auth_algs = std::move(algs.values);
  return out;
}

std::string_view method_name(core::ClientAuth method) noexcept {
  switch (method) {
    case core::ClientAuth::basic:
      return "client_secret_basic";
    case core::ClientAuth::post:
      return "client_secret_post";
    case core::ClientAuth::private_key_jwt:
      return "private_key_jwt";
    case core::ClientAuth::none:
      return "none";
  }
  return "";
}

Status check_client(const Discovery& discovery, const core::IdpSpec& spec) {
  const auto& offered = discovery.client_auth_methods;
  const std::string_view wanted = method_name(spec.client_auth);
  // Providers with public clients often leave "none" out of the list, so its absence says nothing.
  if (spec.client_auth != core::ClientAuth::none && !offered.empty() &&
      std::ranges::find(offered, wanted) == offered.end()) {
    std::string list;
    for (const auto& method : offered)
      if (list.size() < 200) list += (list.empty() ? "" : ", ") + printable(method, 40);
    return Error{Code::invalid, "discovery.client_auth",
                 "the provider's token endpoint does not take " + std::string(wanted), "it takes: " + list};
  }
  if (spec.userinfo && discovery.userinfo_endpoint.empty())
    return Error{Code::invalid, "discovery.userinfo",
                 "userinfo is configured, and the provider has no userinfo_endpoint",
                 "set userinfo = false, and let the provider put the claims into the ID token"};
  return {};
}

}  // namespace daypass::idp::oidc
