// Hostile claims: what a provider may put into an ID token, userinfo, a token answer or a list of groups. The first
// byte chooses the mapping; the rest is two JSON texts with a line end between them, and behind another one, maybe, a
// tenant's own mapping as JSON. With its top bit the texts are what this client says of itself at the token endpoint.
// parses: idp/oidc/claims.cc idp/oidc/token.cc idp/mapping.cc
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/encoding.h"
#include "base/entropy.h"
#include "crypto/jose.h"
#include "idp/mapping.h"
#include "idp/oidc/claims.h"
#include "idp/oidc/renew.h"
#include "idp/oidc/token.h"
#include "idp/test_support.h"

namespace idp = daypass::idp;
namespace oidc = daypass::idp::oidc;
namespace core = daypass::core;
namespace json = daypass::base::json;

namespace {

core::IdpSpec spec_of(std::uint8_t choice) {
  using core::AttributeType;
  core::IdpSpec spec;
  spec.name = "corp";
  spec.issuer = (choice & 1U) != 0 ? "https://login.microsoftonline.com/t/v2.0" : "https://id.example";
  spec.groups_from = (choice & 2U) != 0 ? "groups" : "/realm_access/roles";
  spec.groups_pattern = (choice & 4U) != 0 ? "/?(.+)" : "";
  spec.groups_required = (choice & 8U) != 0;
  spec.subject_from = (choice & 16U) != 0 ? "/oid" : "";
  spec.attributes = {{"s", "name", AttributeType::string, (choice & 32U) != 0, ""},
                     {"p", "email", AttributeType::string, false, "([^@]+)@.*"},
                     {"i", "level", AttributeType::integer, false, ""},
                     {"b", "/a/b/0", AttributeType::boolean, false, ""},
                     {"l", "https://corp.example/team", AttributeType::string_set, (choice & 64U) != 0, ""}};
  return spec;
}

void check_mapped(const idp::Mapped& mapped, const core::IdpSpec& spec) {
  DP_ASSERT(!mapped.subject.empty() && mapped.subject.size() <= 255);
  DP_ASSERT(!mapped.display.empty() && mapped.display.size() <= 256 && daypass::base::is_utf8(mapped.display));
  DP_ASSERT(mapped.groups.size() <= idp::max_set_entries && !mapped.groups.contains(""));
  if (spec.groups_required) DP_ASSERT(!mapped.groups.empty());
  for (const auto& rule : spec.attributes) {
    const auto at = mapped.attributes.find(rule.attribute);
    if (at == mapped.attributes.end()) {
      DP_ASSERT(!rule.required);
      continue;
    }
    // The variant's order is string, integer, boolean, set: the type is the rule's, whatever the claims say.
    const std::size_t index = at->second.index();
    DP_ASSERT(index == static_cast<std::size_t>(rule.type));
  }
}

/// `first` are the claims of a sign-in, `second` those of a later token.
void check_later(const core::IdpSpec& spec, const idp::Mapping& mapping, const json::Value& first,
                 std::string_view second) {
  const auto kept = oidc::read_sign_in(
      spec, oidc::keep_sign_in(spec, mapping.subject_claim(), daypass::base::Secret(std::string_view("t")), first, {}));
  DP_ASSERT(kept.ok() && kept->refresh_token.reveal() == "t");
  auto later = json::parse(second, {.bytes = 65536});
  if (!later.ok() || later->as_object() == nullptr) return;
  const auto claims = oidc::same_sign_in(*later, kept->claims, daypass::base::WallTime{});
  if (!claims.ok()) return;
  DP_ASSERT(claims->string_or("sub") == first.string_or("sub"));
  for (const char* name : {"auth_time", "sid"}) {
    const json::Value *now = claims->find(name), *then = first.find(name);
    DP_ASSERT(then == nullptr || (now != nullptr && *now == *then));
  }
}

/// What a tenant may write down as its mapping: {"groups_from", …, "rules": [{"attribute", "from", "type", …}]}.
core::IdpSpec spec_in(const json::Value& settings) {
  const auto truth = [](const json::Value& in, std::string_view name) {
    const json::Value* value = in.find(name);
    return value != nullptr && value->as_bool() != nullptr && *value->as_bool();
  };
  core::IdpSpec spec;
  spec.groups_from = settings.string_or("groups_from");
  spec.groups_pattern = settings.string_or("groups_pattern");
  spec.groups_required = truth(settings, "groups_required");
  spec.subject_from = settings.string_or("subject_from");
  spec.display_from = settings.string_or("display_from");
  const json::Value* rules = settings.find("rules");
  if (rules != nullptr && rules->as_array() != nullptr)
    for (const auto& rule : *rules->as_array())
      spec.attributes.push_back({rule.string_or("attribute"), rule.string_or("from"),
                                 static_cast<core::AttributeType>(rule.int_or("type", 0) & 3), truth(rule, "required"),
                                 rule.string_or("pattern")});
  return spec;
}

void check_own_mapping(const json::Value& settings, const json::Value& claims) {
  const core::IdpSpec spec = spec_in(settings);
  const auto mapping = idp::Mapping::compile(spec);
  const auto mapped = idp::map_claims(spec, claims);
  if (!mapped.ok()) {
    DP_ASSERT(mapped.error().check.starts_with("mapping.") && daypass::base::is_utf8(mapped.error().message));
    // A person is refused, or else the settings are: never one for the other.
    DP_ASSERT(mapped.error().code == (mapping.ok() ? daypass::base::Code::denied : daypass::base::Code::invalid));
    return;
  }
  DP_ASSERT(mapping.ok() && !mapping->groups_overage(claims));
  check_mapped(*mapped, spec);
}

/// Answers that are none, whatever they hold.
void check_refusals(const std::string& text) {
  const auto userinfo = oidc::parse_userinfo({302, "application/json", text}, "sub");
  DP_ASSERT(userinfo.error().check == "userinfo.status");
  DP_ASSERT(oidc::parse_userinfo({200, "application/jwt", text}, "sub").error().check == "userinfo.content_type");
  DP_ASSERT(oidc::parse_groups_reply({403, "application/json", text}).error().check == "overage.status");
  DP_ASSERT(oidc::parse_token_reply({200, "text/html", text}).error().check == "token_endpoint.content_type");
  // A broken server ends nobody's sign-in.
  DP_ASSERT(oidc::parse_refresh_reply({500, "application/json", text}).error().code != daypass::base::Code::ended);
}

/// A client's own key, and what it may sign.
struct ClientKey {
  daypass::base::Secret pem;
  daypass::crypto::KeySet published;
  std::vector<std::string> algs;

  ClientKey(daypass::crypto::Alg alg, std::vector<std::string> fitting)
      : pem(daypass::crypto::SigningKey::generate(alg).to_pem()), algs(std::move(fitting)) {
    json::Value jwk = oidc::client_key_jwk(pem).value();
    if (algs.size() > 1) jwk.as_object()->erase("alg");
    published = daypass::crypto::KeySet::parse(json::dump(json::Object{{"keys", json::Array{jwk}}})).value();
  }
};

constexpr daypass::base::WallTime now(daypass::base::Seconds(1'800'000'000));

/// The assertion says who and to whom, signed with what the provider takes; else there is none.
void check_assertion(const ClientKey& key, const std::vector<std::string>& taken, const std::string& id,
                     const daypass::base::Secret& refresh_token) {
  daypass::base::SeededEntropy entropy(1);
  oidc::Discovery discovery;
  discovery.issuer = "https://id.example";
  discovery.client_auth_algs = taken;
  core::IdpSpec spec;
  spec.client_id = id;
  spec.client_auth = core::ClientAuth::private_key_jwt;
  const auto asked = oidc::refresh_request(discovery, spec, key.pem, refresh_token, now, entropy);
  DP_ASSERT(asked.ok() == (taken.empty() || std::ranges::find_first_of(taken, key.algs) != taken.end()));
  if (!asked.ok()) {
    DP_ASSERT(asked.error().check == "token_endpoint.client_key");
    return;
  }
  auto fields = idp::testing::form_fields(asked->body.reveal());
  DP_ASSERT(fields["grant_type"] == "refresh_token" && fields["refresh_token"] == refresh_token.reveal());
  const auto assertion = daypass::crypto::verify_jws(fields["client_assertion"], key.published);
  DP_ASSERT(assertion.ok());
  const std::string_view alg = daypass::crypto::to_string(assertion->alg);
  DP_ASSERT(std::ranges::find(taken.empty() ? key.algs : taken, alg) != (taken.empty() ? key.algs : taken).end());
  const auto claims = json::parse(assertion->payload);
  DP_ASSERT(claims.ok() && fields["client_id"] == id && claims->string_or("iss") == id);
  DP_ASSERT(claims->string_or("sub") == id && claims->string_or("aud") == discovery.issuer);
  DP_ASSERT(claims->int_or("iat", 0) == 1'800'000'000 && claims->int_or("exp", 0) == 1'800'000'060);
}

/// Keys take their time: the slow kinds are tried once, and a quick one with what one first byte stands before.
void check_keys(std::uint8_t choice, const std::string& id, std::string_view secret, const json::Value& settings) {
  using daypass::crypto::Alg;
  const daypass::base::Secret text(secret);
  static const ClientKey quick = [&] {
    const ClientKey keys[] = {{Alg::rs256, {"RS256", "PS256"}}, {Alg::eddsa, {"EdDSA"}}, {Alg::es384, {"ES384"}}};
    for (const ClientKey& key : keys)
      for (const std::vector<std::string>& taken : {std::vector<std::string>(), {"PS256"}, {"RS256", "EdDSA"}})
        check_assertion(key, taken, "client", text);
    return ClientKey(Alg::es256, {"ES256"});
  }();
  if (choice == 128 && daypass::base::is_utf8(id)) {
    std::vector<std::string> taken;
    const json::Value* algs = settings.find("client_auth_algs");
    if (algs != nullptr && algs->as_array() != nullptr)
      for (const auto& alg : *algs->as_array()) taken.push_back(alg.as_string() == nullptr ? "" : *alg.as_string());
    check_assertion(quick, taken, id, text);
  }
  // Another byte takes the text for a key.
  if (choice != 129 || secret.find("PRIVATE KEY") != std::string_view::npos) return;
  DP_ASSERT(oidc::client_key_jwk(text).error().check == "token_endpoint.client_key");
}

/// With `id` and `secret` whatever they are, the endpoint reads back what was said.
void check_client(const std::string& id, std::string_view secret) {
  using core::ClientAuth;
  daypass::base::SeededEntropy entropy(1);
  oidc::Discovery discovery;
  discovery.token_endpoint = "https://id.example/token";
  core::IdpSpec spec;
  spec.client_id = id;
  const daypass::base::Secret text(secret);
  const oidc::CodeGrant grant{daypass::base::Secret(secret), daypass::base::Secret(id),
                              "https://daypass.example/callback"};
  for (const ClientAuth method : {ClientAuth::basic, ClientAuth::post, ClientAuth::none}) {
    spec.client_auth = method;
    const auto asked = oidc::token_request(discovery, spec, text, grant, now, entropy);
    DP_ASSERT(asked.ok() && asked->url == discovery.token_endpoint);
    auto fields = idp::testing::form_fields(asked->body.reveal());
    DP_ASSERT(fields["grant_type"] == "authorization_code" && fields["code"] == secret);
    DP_ASSERT(fields["code_verifier"] == id && fields["redirect_uri"] == grant.redirect_uri);
    DP_ASSERT(method == ClientAuth::basic ? !fields.contains("client_id") : fields["client_id"] == id);
    DP_ASSERT(method == ClientAuth::post ? fields["client_secret"] == secret : !fields.contains("client_secret"));
    DP_ASSERT(asked->authorization.empty() == (method != ClientAuth::basic));
    if (method != ClientAuth::basic) continue;
    const auto pair = daypass::base::base64_decode(asked->authorization.reveal().substr(6)).value();
    const std::size_t colon = pair.find(':');
    DP_ASSERT(idp::testing::form_decode(pair.substr(0, colon)) == id);
    DP_ASSERT(idp::testing::form_decode(pair.substr(colon + 1)) == secret);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const core::IdpSpec spec = spec_of(data[0]);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t line = std::min(text.find('\n'), text.size());
  const std::string_view first = text.substr(0, line);
  const std::string_view rest = text.substr(std::min(line + 1, text.size()));
  const std::string_view second = rest.substr(0, rest.find('\n'));
  const std::string_view settings = rest.substr(std::min(second.size() + 1, rest.size()));
  static const auto mappings = [] {
    std::vector<idp::Mapping> all;
    for (unsigned choice = 0; choice < 128; ++choice)
      all.push_back(idp::Mapping::compile(spec_of(static_cast<std::uint8_t>(choice))).value());
    return all;
  }();
  const idp::Mapping& mapping = mappings[data[0] & 127U];

  (void)oidc::parse_token_reply({200, "application/json", std::string(text)});
  (void)oidc::parse_token_reply({400, "application/json", std::string(text)});
  (void)oidc::parse_refresh_reply({200, "application/json", std::string(text)});
  if (const auto later = oidc::parse_refresh_reply({400, "application/json", std::string(text)});
      later.error().code == daypass::base::Code::ended)
    DP_ASSERT(later.error().check == "idp.over" && json::parse(text)->string_or("error") == "invalid_grant");
  if (const auto kept = oidc::read_sign_in(spec, daypass::base::Secret(text)); kept.ok())
    DP_ASSERT(!kept->refresh_token.empty());
  const auto groups = oidc::parse_groups_reply({200, "application/json", std::string(second)});

  check_refusals(std::string(second));
  const auto settled = json::parse(settings, {.bytes = 65536});
  if ((data[0] & 128U) != 0) {
    check_client(std::string(first), second);
    check_keys(data[0], std::string(first), second, settled.ok() ? *settled : json::Value());
    return 0;
  }

  auto claims = json::parse(first, {.bytes = 65536});
  if (claims.ok() && settled.ok()) check_own_mapping(*settled, *claims);
  if (!claims.ok() || claims->as_object() == nullptr) return 0;
  if (const auto userinfo =
          oidc::parse_userinfo({200, "application/json", std::string(second)}, claims->string_or("sub"));
      userinfo.ok()) {
    const json::Value merged = oidc::merge_userinfo(*claims, *userinfo, mapping.subject_claim());
    for (const auto& [key, value] : *claims->as_object())
      if (key != "_claim_names" && key != "_claim_sources") DP_ASSERT(*merged.find(key) == value);
    // Userinfo can add an overage, and take one away only by holding the groups themselves.
    const json::Value* held = merged.find((data[0] & 2U) != 0 ? "groups" : "realm_access");
    if (held != nullptr && (data[0] & 2U) == 0) held = held->find("roles");
    if (mapping.groups_overage(*claims)) DP_ASSERT(held != nullptr || mapping.groups_overage(merged));
  }
  check_later(spec, mapping, *claims, second);
  const auto mapped = mapping.map(*claims);
  if (mapping.groups_overage(*claims)) {
    DP_ASSERT(!mapped.ok());
    // A malformed list of references may name anything, so it is not mended by fetching the groups.
    const json::Value* names = claims->find("_claim_names");
    const bool readable = names == nullptr || names->as_object() != nullptr;
    if (groups.ok() && readable && !mapping.groups_claim().empty())
      DP_ASSERT(!mapping.groups_overage(idp::with_fetched_groups(*claims, mapping.groups_claim(), *groups)));
  }
  (void)oidc::check_directory(*claims, spec.issuer);
  if (!mapped.ok()) {
    DP_ASSERT(mapped.error().check.starts_with("mapping."));
    return 0;
  }
  check_mapped(*mapped, spec);
  if (const auto who = oidc::make_identity(core::TenantId("t"), spec, *claims, *mapped, now); who.ok()) {
    DP_ASSERT(who->subject == mapped->subject);
    if (who->not_after) DP_ASSERT(*who->not_after > now);
    DP_ASSERT(core::identity_from_json(core::to_json(*who)).ok());
  }
  return 0;
}
