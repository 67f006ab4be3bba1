#include <algorithm>

#include "config/tenant_keys.h"

namespace daypass::config {
namespace {

using I = core::IdpSpec;
using M = core::MappingRule;

// What a preset writes where the file is silent. Only defaults: every key stays the file's to set.
struct Preset {
  std::string_view name;
  void (*fill)(I&);
};

void standard_scopes(I& idp) {
  idp.scopes = {"profile", "email"};
}

constexpr auto presets = std::to_array<Preset>({
    {"generic", [](I&) {}},
    // Okta sends `groups` only for this scope or a claim of that name in the authorization server.
    {"okta",
     [](I& i) {
       i.scopes.emplace_back("groups");
       i.groups_from = "groups";
     }},
    // Entra's `sub` differs per application; `oid` is the person in that directory. Groups are object ids.
    {"entra",
     [](I& i) {
       i.groups_from = "groups";
       i.subject_from = "oid";
     }},
    // Google's ID tokens hold no groups.
    {"google", [](I& i) { i.issuer = "https://accounts.google.com"; }},
    // Keycloak's group mapper writes paths ("/data") unless told otherwise.
    {"keycloak",
     [](I& i) {
       i.groups_from = "groups";
       i.groups_pattern = "/?(.+)";
     }},
    // AD FS puts its claim rules' output into the ID token only for this scope; one group comes as a plain string.
    {"adfs",
     [](I& i) {
       i.scopes.emplace_back("allatclaims");
       i.groups_from = "group";
     }},
});

void preset(Reader& r, const Node& node, I&) {
  const std::string* name = r.string(node);
  if (name == nullptr) return;
  std::vector<std::string_view> known;
  for (const auto& p : presets) known.push_back(p.name);
  if (std::find(known.begin(), known.end(), *name) == known.end())
    r.complain(node, "can't be " + shown(*name), did_you_mean(*name, known));
}

void protocol(Reader& r, const Node& node, I& out) {
  const std::string* s = r.string(node);
  if (s == nullptr || *s == "oidc") return;
  out.protocol = *s;
  constexpr auto known = std::to_array<std::string_view>({"oidc"});
  if (*s == "saml")
    r.complain(node, "can't be \"saml\" yet: Daypass speaks OpenID Connect only",
               "write \"oidc\" and the provider's OpenID Connect issuer");
  else
    r.complain(node, "can't be " + shown(*s), did_you_mean(*s, known));
}

void scopes(Reader& r, const Node& node, I& out) {
  auto list = r.strings(node, check::scope, 32);
  if (!list) return;
  std::erase(*list, "openid");  // always sent
  out.scopes = std::move(*list);
}

void groups(Reader& r, const Node& node, I& out) {
  if (node.kind == Node::Kind::table) {
    const std::string outer = std::exchange(r.where, "\"groups\" of " + r.where);
    out.groups_pattern.clear();
    read_table(r, node, group_keys(), out);
    r.where = outer;
  } else if (node.kind != Node::Kind::string) {
    r.wrong_type(node, "a claim's name or a table");
  } else if (const auto* from = r.string(node, check::claim_or_empty)) {
    out.groups_from = *from;
    out.groups_pattern.clear();
  }
}

void attributes(Reader& r, const Node& node, I& out) {
  if (!r.table(node)) return;
  if (node.entries.size() > max_attributes) {
    r.complain(node, "has more than " + std::to_string(max_attributes) + " entries");
    return;
  }
  for (const auto& [name, place, value] : node.entries) {
    r.subject = shown(name);
    if (auto bad = attribute_name(name, own_principal_attributes())) {
      r.problem(place, r.subject + " " + bad->predicate, bad->hint);
      continue;
    }
    M rule;
    rule.attribute = name;
    if (value.kind == Node::Kind::table) {
      const std::string outer = std::exchange(r.where, "attribute " + shown(name) + " of " + r.where);
      read_table(r, value, mapping_keys(), rule);
      r.where = outer;
      if (!rule.pattern.empty() && rule.type != core::AttributeType::string &&
          rule.type != core::AttributeType::string_set)
        r.problem(value.place, "attribute " + shown(name) + " has a pattern, which fits only strings and sets", {});
    } else if (value.kind != Node::Kind::string) {
      r.wrong_type(value, "a claim's name or a table");
      continue;
    } else if (const auto* from = r.string(value, check::claim)) {
      rule.from = *from;
    }
    out.attributes.push_back(std::move(rule));
  }
}

constexpr auto keys = std::to_array<Key<I>>({
    {"name", "name", required, "\"corp\"", text<&I::name, check::idp_name>,
     "1 to 31 of a-z, 0-9 and -. Part of every user's identity and of `Group::\"<name>/<group>\"` in policies: "
     "to change it is to have other users."},
    {"display", "string", none, "\"Example Corp\"", text<&I::display, check::display>,
     "What the login page calls it. Without it: the name."},
    {"preset",
     "word",
     {"\"generic\""},
     "\"okta\"",
     preset,
     "`okta`, `entra`, `google`, `keycloak`, `adfs` or `generic`: defaults that fit the product, see below."},
    {"protocol", "word", {"\"oidc\""}, "\"oidc\"", protocol, "`oidc`. (`saml` does not exist yet.)"},
    {"issuer", "URL", none, "\"https://sso.example.com\"", text<&I::issuer, check::issuer>,
     "Exactly as in the provider's tokens. https, unless the host is loopback. Required, but for the preset `google`."},
    {"client_id", "string", required, "\"daypass\"", text<&I::client_id, check::client_id>,
     "The name under which Daypass is registered at the provider."},
    {"client_auth",
     "word",
     {"\"basic\""},
     "\"post\"",
     choice<&I::client_auth, client_auths>,
     "How Daypass authenticates to the token endpoint: `basic`, `post`, `private_key_jwt` or `none`."},
    {"client_secret", "secret", none, "\"file:/etc/daypass/corp.secret\"", secret<&I::client_secret>,
     "Where the client secret (for `private_key_jwt`: the PEM private key) is. Required, but for `client_auth = "
     "\"none\"`."},
    {"scopes",
     "strings",
     {"[\"profile\", \"email\"]"},
     "[\"profile\", \"email\", \"groups\"]",
     scopes,
     "What is asked for beside `openid`, which is always sent. Presets may add to the default."},
    {"groups", "claim or table", none, "\"groups\"", groups,
     "The claim that holds the groups: a name, or a JSON Pointer when it begins with /. A table says more, see below. "
     "`\"\"`: no groups."},
    {"overage",
     "word",
     {"\"refuse\""},
     "\"refuse\"",
     choice<&I::overage, overages>,
     "When the provider says that there are too many groups for a token: `refuse` the login, or `fetch` them from "
     "`overage_url`."},
    {"overage_url", "URL", none, "\"https://graph.microsoft.com/v1.0/me/getMemberObjects\"",
     text<&I::overage_url, check::fetch_url>,
     "Where `overage = \"fetch\"` asks, with the user's access token; the answer holds all groups at once. What a "
     "token says about this is never followed."},
    {"userinfo",
     "boolean",
     {"false"},
     "true",
     boolean<&I::userinfo>,
     "Also ask the userinfo endpoint, and map its claims with the token's."},
    {"ca_file", "path", none, "\"/etc/daypass/corp-ca.pem\"", text<&I::ca_file, check::absolute_path>,
     "PEM file of trust anchors for this provider. Without it: the system's."},
    {"subject",
     "claim",
     {"\"sub\""},
     "\"oid\"",
     text<&I::subject_from, check::claim>,
     "The claim that names a person for ever. Never an e-mail address: those change hands."},
    {"display_from", "claim", none, "\"preferred_username\"", text<&I::display_from, check::claim>,
     "The claim shown to people; it decides nothing. Without it: `name`, then `email`, then the subject."},
    {"allowed_hosts",
     "strings",
     {"[]"},
     "[\"sso.corp.internal\"]",
     strings<&I::allowed_hosts, check::egress_host, 16>,
     "Hosts of this provider that may have a private address. Others must be on the internet."},
    {"session_max",
     "duration",
     {"\"12h\""},
     "\"8h\"",
     duration<&I::session_max, minute_ms, 30 * day_ms>,
     "The longest that one sign-in lasts, 1m to 30d. Grants end with it."},
    {"attributes", "table", none, "{ department = \"department\" }", attributes,
     "What policies see as `principal.<name>`, see `[idp.attributes]`."},
});

constexpr auto group_table = std::to_array<Key<I>>({
    {"from", "claim", required, "\"/realm_access/roles\"", text<&I::groups_from, check::claim>,
     "The claim: a name, or a JSON Pointer when it begins with /."},
    {"pattern", "pattern", none, "\"daypass-(.+)\"", text<&I::groups_pattern, check::pattern>,
     "RE2, matched against the whole of each group, with at most one capture. What does not match is left out; "
     "with a capture, the captured part is the group's name. At most 256 bytes."},
    {"required",
     "boolean",
     {"false"},
     "true",
     boolean<&I::groups_required>,
     "Refuse a login without the claim, or without any group left."},
});

constexpr auto mapping_table = std::to_array<Key<M>>({
    {"from", "claim", required, "\"/address/country\"", text<&M::from, check::claim>,
     "The claim: a name, or a JSON Pointer when it begins with /."},
    {"type",
     "word",
     {"\"string\""},
     "\"set\"",
     choice<&M::type, attribute_types>,
     "`string`, `long`, `bool` or `set` (of strings). A claim of another type refuses the login; it is never taken for "
     "empty."},
    {"required", "boolean", {"false"}, "true", boolean<&M::required>, "Refuse a login without it."},
    {"pattern", "pattern", none, "\"team-(.+)\"", text<&M::pattern, check::pattern>,
     "As for groups. For strings and sets only."},
});

// The preset comes first, wherever it stands: what the file says overrides it.
void fill_defaults(const Node& table, I& out) {
  standard_scopes(out);
  out.subject_from = "sub";
  const Entry* entry = table.find("preset");
  if (entry == nullptr || entry->value.kind != Node::Kind::string) return;
  for (const auto& p : presets)
    if (p.name == entry->value.text) p.fill(out);
}

void judge(Reader& r, const Node& table, const std::set<std::string_view>& seen, I& idp) {
  const auto at = [&](std::string_view key) {
    const Entry* entry = table.find(key);
    return entry == nullptr ? table.place : entry->value.place;
  };
  if (idp.issuer.empty() && !seen.contains("issuer"))
    r.problem(table.place, r.where + " has no \"issuer\"",
              "copy it from the provider's /.well-known/openid-configuration");
  if (idp.client_auth == core::ClientAuth::none && seen.contains("client_secret"))
    r.problem(at("client_secret"), r.where + " has a client_secret that client_auth = \"none\" never uses",
              "drop one of them");
  if (idp.client_auth != core::ClientAuth::none && !seen.contains("client_secret"))
    r.problem(table.place, r.where + " has no \"client_secret\"",
              "write \"file:/etc/daypass/secret\", or client_auth = \"none\" if the provider gave you none");
  if (idp.overage == core::Overage::fetch && !seen.contains("overage_url"))
    r.problem(at("overage"), r.where + " fetches groups but has no \"overage_url\"", "say where to ask");
  if (idp.overage == core::Overage::fetch && (idp.groups_from.empty() || idp.groups_from.starts_with('/')))
    r.problem(at("overage"), r.where + " fetches groups but maps them from no single claim", "add groups = \"groups\"");
  if (idp.overage != core::Overage::fetch && seen.contains("overage_url"))
    r.problem(at("overage_url"), r.where + " has an overage_url that is never asked", "add overage = \"fetch\"");
  // One application for all of Entra's customers would let each of them assert its own users here.
  for (const std::string_view many : {"/common/", "/organizations/", "/consumers/", "/{tenantid}/"})
    if (idp.issuer.starts_with("https://login.microsoftonline.com") &&
        (idp.issuer + "/").find(many) != std::string::npos)
      r.problem(at("issuer"), "the issuer stands for every Entra tenant, not for yours",
                "write https://login.microsoftonline.com/<tenant id>/v2.0");
  if (idp.display.empty()) idp.display = idp.name;
}

}  // namespace

std::span<const std::string_view> own_principal_attributes() noexcept {
  static constexpr auto names = std::to_array<std::string_view>(
      {"groups", "idp", "subject", "display", "kind", "tenant", "acting_for", "auth_time", "acr", "amr"});
  return names;
}

std::span<const Key<core::IdpSpec>> idp_keys() noexcept {
  return keys;
}
std::span<const Key<core::IdpSpec>> group_keys() noexcept {
  return group_table;
}
std::span<const Key<core::MappingRule>> mapping_keys() noexcept {
  return mapping_table;
}

core::IdpSpec read_idp(Reader& r, const Node& table) {
  core::IdpSpec out;
  fill_defaults(table, out);
  r.where = "[[idp]]";
  if (const Entry* name = table.find("name"); name != nullptr && name->value.kind == Node::Kind::string)
    r.where += " " + shown(name->value.text);
  const auto seen = read_table(r, table, idp_keys(), out);
  judge(r, table, seen, out);
  return out;
}

}  // namespace daypass::config
