// Hostile claims: what a provider may put into an ID token, userinfo, a token answer or a list of groups. The first
// byte chooses the mapping; the rest is two JSON texts with a line end between them.
// parses: idp/oidc/claims.cc idp/oidc/token.cc idp/mapping.cc
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/encoding.h"
#include "idp/mapping.h"
#include "idp/oidc/claims.h"
#include "idp/oidc/renew.h"
#include "idp/oidc/token.h"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const core::IdpSpec spec = spec_of(data[0]);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t line = std::min(text.find('\n'), text.size());
  const std::string_view first = text.substr(0, line);
  const std::string_view second = text.substr(std::min(line + 1, text.size()));
  const daypass::base::WallTime now(daypass::base::Seconds(1'800'000'000));
  static const auto mappings = [] {
    std::vector<idp::Mapping> all;
    for (unsigned choice = 0; choice < 256; ++choice)
      all.push_back(idp::Mapping::compile(spec_of(static_cast<std::uint8_t>(choice))).value());
    return all;
  }();
  const idp::Mapping& mapping = mappings[data[0]];

  (void)oidc::parse_token_reply({200, "application/json", std::string(text)});
  (void)oidc::parse_token_reply({400, "application/json", std::string(text)});
  (void)oidc::parse_refresh_reply({200, "application/json", std::string(text)});
  if (const auto later = oidc::parse_refresh_reply({400, "application/json", std::string(text)});
      later.error().code == daypass::base::Code::ended)
    DP_ASSERT(later.error().check == "idp.over" && json::parse(text)->string_or("error") == "invalid_grant");
  if (const auto kept = oidc::read_sign_in(spec, daypass::base::Secret(text)); kept.ok())
    DP_ASSERT(!kept->refresh_token.empty());
  const auto groups = oidc::parse_groups_reply({200, "application/json", std::string(second)});

  auto claims = json::parse(first, {.bytes = 65536});
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
