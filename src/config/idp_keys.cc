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
  void (*fill_saml)(I&);
};

void groups_attribute(I& idp) {
  idp.groups_from = "groups";
}
// What AD FS and Entra ID call it.
void claims_attribute(I& idp, std::string_view name) {
  idp.groups_from = name;
}

void standard_scopes(I& idp) {
  idp.scopes = {"profile", "email"};
}

constexpr auto presets = std::to_array<Preset>({
    {"generic", [](I&) {}, [](I&) {}},
    // Okta sends `groups` only for this scope or a claim of that name in the authorization server.
    {"okta",
     [](I& i) {
       i.scopes.emplace_back("groups");
       i.groups_from = "groups";
     },
     groups_attribute},
    // Entra's `sub` differs per application; `oid` is the person in that directory. Groups are object ids.
    {"entra",
     [](I& i) {
       i.groups_from = "groups";
       i.subject_from = "oid";
     },
     // The NameID of Entra is the user principal name unless somebody changes it; the object id is always there.
     [](I& i) {
       claims_attribute(i, "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups");
       i.subject_from = "http://schemas.microsoft.com/identity/claims/objectidentifier";
     }},
    // Google's ID tokens hold no groups.
    {"google", [](I& i) { i.issuer = "https://accounts.google.com"; }, groups_attribute},
    // Keycloak's group mapper writes paths ("/data") unless told otherwise.
    {"keycloak",
     [](I& i) {
       i.groups_from = "groups";
       i.groups_pattern = "/?(.+)";
     },
     [](I& i) {
       i.groups_from = "member";
       i.groups_pattern = "/?(.+)";
     }},
    // AD FS puts its claim rules' output into the ID token only for this scope; one group comes as a plain string.
    {"adfs",
     [](I& i) {
       i.scopes.emplace_back("allatclaims");
       i.groups_from = "group";
     },
     [](I& i) { claims_attribute(i, "http://schemas.xmlsoap.org/claims/Group"); }},
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
  constexpr auto known = std::to_array<std::string_view>({"oidc", "saml"});
  if (*s != "saml") r.complain(node, "can't be " + shown(*s), did_you_mean(*s, known));
}

template <std::string core::SamlSpec::* Member, Check C>
void saml_text(Reader& r, const Node& node, I& out) {
  if (const auto* s = r.string(node, C)) out.saml.*Member = *s;
}

void idp_initiated(Reader& r, const Node& node, I& out) {
  boolean<&core::SamlSpec::idp_initiated>(r, node, out.saml);
}

template <std::vector<std::string> core::SamlSpec::* Member, Check C>
void saml_texts(Reader& r, const Node& node, I& out) {
  if (auto list = r.strings(node, C, 4)) out.saml.*Member = std::move(*list);
}

// As openssl prints it, or as everybody else writes it.
void fingerprints(Reader& r, const Node& node, I& out) {
  saml_texts<&core::SamlSpec::metadata_sha256, check::fingerprint>(r, node, out);
  for (std::string& text : out.saml.metadata_sha256) {
    std::erase(text, ':');
    for (char& c : text)
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
}

void name_id_format(Reader& r, const Node& node, I& out) {
  const std::string* s = r.string(node);
  if (s == nullptr) return;
  if (*s == "persistent")
    out.saml.name_id_format = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
  else if (*s == "unspecified")
    out.saml.name_id_format = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
  else if (*s == "none")
    out.saml.name_id_format.clear();
  else
    r.complain(node, "can't be " + shown(*s), "write \"persistent\", \"unspecified\" or \"none\"");
}

void scopes(Reader& r, const Node& node, I& out) {
  auto list = r.strings(node, check::scope, 32);
  if (!list) return;
  std::erase(*list, "openid");  // always sent
  out.scopes = std::move(*list);
}

void id_token_alg(Reader& r, const Node& node, I& out) {
  const std::string* s = r.string(node);
  if (s == nullptr) return;
  constexpr auto known = std::to_array<std::string_view>({"RS256", "PS256", "ES256", "ES384", "EdDSA"});
  out.id_token_alg = *s;
  if (std::find(known.begin(), known.end(), *s) == known.end())
    r.complain(node, "can't be " + shown(*s), did_you_mean(*s, known));
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
    {"protocol",
     "word",
     {"\"oidc\""},
     "\"oidc\"",
     protocol,
     "`oidc` (OpenID Connect) or `saml` (SAML 2.0). Each has keys that the other has not."},
    {"issuer", "URL", none, "\"https://sso.example.com\"", text<&I::issuer, check::entity_id>,
     "Exactly as in the provider's tokens. https, unless the host is loopback. Required, but for the preset `google`. "
     "For `saml`: the provider's entityID."},
    {"client_id", "string", none, "\"daypass\"", text<&I::client_id, check::client_id>,
     "The name under which Daypass is registered at the provider. Required, but for `saml`."},
    {"metadata", "URL or file", none, "\"file:/etc/daypass/corp.xml\"",
     saml_text<&core::SamlSpec::metadata, check::metadata>,
     "SAML, required: the provider's metadata, an https URL or a file. It is read again every hour, and at once when a "
     "signature fits none of its keys."},
    {"metadata_sha256",
     "strings",
     {"[]"},
     "[\"2f1c6e0a9d4b8c7f3e5a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60\"]",
     fingerprints,
     "SAML: SHA-256 fingerprints of the certificates that the provider signs with; others in its metadata are left "
     "out. "
     "With a URL, this or `metadata_signer` is required."},
    {"metadata_signer", "file", none, "\"file:/etc/daypass/federation.crt\"",
     saml_text<&core::SamlSpec::metadata_signer, check::file_ref>,
     "SAML: PEM certificate of whoever signs the metadata. Then it must be signed."},
    {"sp_keys",
     "secrets",
     {"[]"},
     "[\"file:/etc/daypass/sp.pem\"]",
     saml_texts<&core::SamlSpec::sp_keys, check::secret_ref>,
     "SAML: PEM files with a private key and its certificate, at most 4. The first signs requests and metadata, all "
     "decrypt: to change keys, add the new one at the end, publish, move it to the front, drop the old one."},
    {"sp_entity_id", "URI", none, "\"https://daypass.example/t/default/idp/corp/metadata\"",
     saml_text<&core::SamlSpec::sp_entity_id, check::entity_id>,
     "SAML: the name under which the provider knows us. Without it: the URL of our metadata, "
     "`<public_url>/t/<tenant>/idp/<name>/metadata`."},
    {"name_id_format",
     "word",
     {"\"persistent\""},
     "\"none\"",
     name_id_format,
     "SAML: which kind of name is asked for: `persistent`, `unspecified` or `none`."},
    {"idp_initiated",
     "boolean",
     {"false"},
     "true",
     idp_initiated,
     "SAML: also take sign-ins that begin at the provider, from a tile of its dashboard. A page then asks for the code "
     "of "
     "`daypass login --device` before anybody is signed in."},
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
    {"id_token_signed_response_alg", "word", none, "\"ES256\"", id_token_alg,
     "The one algorithm that ID tokens and logout tokens are signed with, as registered at the provider: `RS256`, "
     "`PS256`, `ES256`, `ES384` or `EdDSA`. Without it: what the provider's keys are for."},
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
     "The claim that names a person for ever. Never an e-mail address: those change hands. For `saml`: `NameID`, or an "
     "attribute's name."},
    {"display_from", "claim", none, "\"preferred_username\"", text<&I::display_from, check::claim>,
     "The claim shown to people; it decides nothing. Without it: `name`, then `email`, then the subject."},
    {"allowed_hosts",
     "strings",
     {"[]"},
     "[\"sso.corp.internal\"]",
     strings<&I::allowed_hosts, check::egress_host, 16>,
     "Hosts of this provider that may have a private address. Others must be on the internet."},
    {"domains",
     "strings",
     {"[]"},
     "[\"example.com\"]",
     strings<&I::domains, check::mail_domain, 32>,
     "Domains of e-mail addresses for which the sign-in page suggests this provider, exactly these, once each is "
     "proven "
     "to be the tenant's by DNS: `daypass idp domains` shows the record. One owner for each, over all tenants."},
    {"session_max",
     "duration",
     {"\"12h\""},
     "\"8h\"",
     duration<&I::session_max, minute_ms, 30 * day_ms>,
     "The longest that one sign-in lasts, 1m to 30d. Grants end with it."},
    {"revalidate",
     "duration",
     {"\"5m\""},
     "\"2m\"",
     duration<&I::revalidate, minute_ms, 60 * minute_ms>,
     "How often the provider is asked whether somebody who is signed in still may be, 1m to 1h. Only where it gave a "
     "refresh token, which the scope `offline_access` asks for."},
    {"consent",
     "boolean",
     {"false"},
     "true",
     boolean<&I::consent>,
     "Send `prompt=consent`. For providers that give a refresh token only after the person was asked."},
    {"attributes", "table", none, "{ department = \"department\" }", attributes,
     "What policies see as `principal.<name>`, see `[idp.attributes]`."},
    {"signals", "table", none,
     "{ transmitter = \"https://corp.okta.example\", audience = \"daypass\", push_tokens = "
     "[\"file:/etc/daypass/corp-push\"] }",
     read_signals, "Whose security events end sessions of this provider, see `[idp.signals]`."},
    {"scim", "table", none, "{ tokens = [\"file:/etc/daypass/corp.scim\"] }", read_scim,
     "Lets the provider tell Daypass of its people and groups (SCIM 2.0), see `[idp.scim]`."},
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
  const Entry* protocol = table.find("protocol");
  const bool saml = protocol != nullptr && protocol->value.kind == Node::Kind::string && protocol->value.text == "saml";
  if (saml) {
    out.subject_from = "NameID";
    out.saml.name_id_format = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
    out.client_auth = core::ClientAuth::none;
  } else {
    standard_scopes(out);
    out.subject_from = "sub";
  }
  const Entry* entry = table.find("preset");
  if (entry == nullptr || entry->value.kind != Node::Kind::string) return;
  for (const auto& p : presets)
    if (p.name == entry->value.text) (saml ? p.fill_saml : p.fill)(out);
}

constexpr auto oidc_only = std::to_array<std::string_view>({"client_id", "client_auth", "client_secret", "scopes",
                                                            "id_token_signed_response_alg", "overage", "overage_url",
                                                            "userinfo", "revalidate", "consent"});
constexpr auto saml_only = std::to_array<std::string_view>(
    {"metadata", "metadata_sha256", "metadata_signer", "sp_keys", "sp_entity_id", "name_id_format", "idp_initiated"});

void judge(Reader& r, const Node& table, const std::set<std::string_view>& seen, I& idp) {
  const auto at = [&](std::string_view key) {
    const Entry* entry = table.find(key);
    return entry == nullptr ? table.place : entry->value.place;
  };
  const bool saml = idp.protocol == "saml";
  const auto foreign = [&](std::span<const std::string_view> names, std::string_view of) {
    for (const std::string_view name : names)
      if (seen.contains(name))
        r.problem(at(name), r.where + " has a " + std::string(name) + ", which only " + std::string(of) + " has",
                  "leave it out, or see protocol");
  };
  foreign(saml ? std::span<const std::string_view>(oidc_only) : std::span<const std::string_view>(saml_only),
          saml ? "OpenID Connect" : "SAML");
  if (!saml && !seen.contains("client_id"))
    r.problem(table.place, r.where + " has no \"client_id\"", "add, for example, client_id = \"daypass\"");
  if (idp.issuer.empty() && !seen.contains("issuer"))
    r.problem(table.place, r.where + " has no \"issuer\"",
              saml ? "copy the entityID from the provider's metadata"
                   : "copy it from the provider's /.well-known/openid-configuration");
  if (idp.display.empty()) idp.display = idp.name;
  judge_scim(r, table, seen, idp);
  if (saml) {
    if (!seen.contains("metadata"))
      r.problem(table.place, r.where + " has no \"metadata\"",
                "download it from the provider and write \"file:/path\", or write its URL");
    else if (idp.saml.metadata.starts_with("https://") && !seen.contains("metadata_sha256") &&
             !seen.contains("metadata_signer"))
      r.problem(at("metadata"), r.where + " takes its metadata from a URL, and nothing vouches for it",
                "pin the signing certificate with metadata_sha256, or the metadata's signer with metadata_signer");
    return;
  }
  if (!idp.issuer.empty())
    if (auto bad = check::issuer(idp.issuer)) r.problem(at("issuer"), "\"issuer\" " + bad->predicate, bad->hint);
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
