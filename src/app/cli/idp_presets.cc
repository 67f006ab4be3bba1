#include "app/cli/idp_presets.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "config/checks.h"

namespace daypass::app::cli {

namespace json = base::json;

namespace {

std::string without_slash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}
bool is_url(std::string_view text) {
  return text.starts_with("https://") || text.starts_with("http://");
}
bool is_place(std::string_view text) {
  return is_url(text) || text.starts_with("file:") || text.find('/') != std::string_view::npos ||
         text.ends_with(".xml");
}

std::string as_typed(const std::string& typed) {
  return typed;
}
std::string okta_issuer(const std::string& typed) {
  // The slash at the end is never Okta's.
  return is_url(typed) ? without_slash(typed) : "https://" + without_slash(typed);
}
std::string entra_issuer(const std::string& typed) {
  return is_url(typed) ? typed : "https://login.microsoftonline.com/" + typed + "/v2.0";
}
std::string google_issuer(const std::string&) {
  return "https://accounts.google.com";
}
std::string keycloak_issuer(const std::string& typed) {
  return without_slash(typed);
}
std::string adfs_issuer(const std::string& typed) {
  return is_url(typed) ? typed : "https://" + typed + "/adfs";
}

std::string entra_metadata(const std::string& typed) {
  if (is_place(typed)) return typed;
  return "https://login.microsoftonline.com/" + typed + "/federationmetadata/2007-06/federationmetadata.xml";
}
std::string keycloak_metadata(const std::string& typed) {
  if (!is_url(typed) || typed.ends_with(".xml") || typed.find("/protocol/") != std::string::npos) return typed;
  return without_slash(typed) + "/protocol/saml/descriptor";
}
std::string adfs_metadata(const std::string& typed) {
  return is_place(typed) ? typed : "https://" + typed + "/FederationMetadata/2007-06/FederationMetadata.xml";
}

constexpr std::string_view metadata_place = "Its SAML metadata: an https URL, or a file";

constexpr auto presets = std::to_array<IdpPreset>({
    {"okta", "Okta", "Your Okta domain (example.okta.com), or the issuer of a custom authorization server",
     metadata_place, okta_issuer, as_typed,
     "Applications, Create App Integration, OIDC, Web Application. Sign On: a groups claim \"groups\" for the ID "
     "token.",
     "Applications, Create App Integration, SAML 2.0. Name ID format: Persistent; Application username: something that "
     "never changes hands; a group attribute statement \"groups\"."},
    {"entra", "Microsoft Entra ID", "Your directory (tenant) ID",
     "Your directory (tenant) ID, or its SAML metadata: an https URL, or a file", entra_issuer, entra_metadata,
     "App registrations, New registration, single tenant, redirect URI of the type Web. Token configuration: a groups "
     "claim and auth_time for the ID token.",
     "Enterprise applications, New application, not in the gallery; Single sign-on, SAML. Group claim: groups assigned "
     "to the application, source attribute Group ID."},
    {"google", "Google Workspace", "", metadata_place, google_issuer, as_typed,
     "Cloud console: APIs & Services, Credentials, OAuth client ID of the type Web application.",
     "Admin console: Apps, Web and mobile apps, Add custom SAML app. Name ID format: PERSISTENT; Name ID: something "
     "that never changes hands; group membership as the app attribute \"groups\"; User access: on."},
    {"keycloak", "Keycloak", "The realm's URL (https://sso.example.com/realms/corp)",
     "The realm's URL, or its SAML metadata: an https URL, or a file", keycloak_issuer, keycloak_metadata,
     "Clients, Create client, OpenID Connect, client authentication on, standard flow only. A mapper \"Group "
     "Membership\", claim name \"groups\", into the ID token.",
     "Clients, Create client, SAML; the client ID is our entity ID. Name ID format persistent, Force POST binding on, "
     "sign documents and assertions, a mapper \"Group list\" with the attribute \"member\"."},
    {"adfs", "AD FS", "The AD FS host (adfs.example.com)",
     "The AD FS host, or its SAML metadata: an https URL, or a file", adfs_issuer, adfs_metadata,
     "Application Groups, server application accessing a web API, both with the same identifier; permit openid, "
     "profile "
     "and allatclaims.",
     "Relying Party Trusts, Add Relying Party Trust, claims aware. Rules: a Name ID of the format Persistent "
     "Identifier "
     "from something that never changes hands, Token-Groups as Group."},
    {"generic", "any other", "The issuer's URL", metadata_place, as_typed, as_typed,
     "A confidential client with the authorization code flow and PKCE (S256).",
     "A service provider whose assertions are signed and hold a persistent NameID."},
});

/// Lines of TOML; values are quoted here and nowhere else.
class Toml {
 public:
  Toml& comment(std::string_view text) {
    // A comment is one line, whatever stands in it.
    for (std::size_t from = 0; from < text.size();) {
      std::size_t end = text.size() - from <= 100 ? text.size() : text.rfind(' ', from + 100);
      if (end == std::string_view::npos || end <= from) end = text.size();
      out_ += "# " + std::string(text.substr(from, end - from)) + "\n";
      from = end + 1;
    }
    return *this;
  }
  Toml& line(std::string_view text) {
    out_ += std::string(text) + "\n";
    return *this;
  }
  Toml& set(std::string_view key, std::string_view value) {
    if (!value.empty()) out_ += std::string(key) + " = " + json::quote(value) + "\n";
    return *this;
  }
  /// A line for each where there are several: fingerprints are long.
  Toml& set(std::string_view key, const std::vector<std::string>& values) {
    if (values.empty()) return *this;
    out_ += std::string(key) + " = [";
    for (const auto& value : values)
      out_ += (values.size() == 1 ? "" : "\n  ") + json::quote(value) + (values.size() == 1 ? "" : ",");
    out_ += values.size() == 1 ? "]\n" : "\n]\n";
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

bool knows(const NewIdp& idp, std::string_view scope) {
  return idp.scopes.empty() || std::ranges::find(idp.scopes, scope) != idp.scopes.end();
}

/// RE2 that fits this text alone.
std::string literally(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '.' ? "\\." : std::string(1, c);
  return out;
}

void oidc_traps(Toml& t, const NewIdp& idp) {
  if (idp.preset == "okta") {
    t.line("").comment(
        "Groups: the application needs a groups claim named \"groups\" for the ID token, with a filter that lets those "
        "through that policies name. At most 100 come.");
    if (idp.issuer.find("/oauth2/") != std::string::npos)
      t.comment(
          "This is a custom authorization server: it has access policies of its own, and the claim \"groups\" is added "
          "there (Security, API, Claims).");
    if (!knows(idp, "groups")) {
      t.comment("It says that it has no scope \"groups\", so none is asked for: the claim must come with any scope.");
      t.line(R"(scopes = ["profile", "email"])");
    }
  } else if (idp.preset == "entra") {
    t.line("").comment(
        "Who it is: the object id (oid), which the preset takes. The sub that Entra sends differs in each "
        "application.");
    t.comment(
        "Groups come as object ids: policies name Group::\"" + idp.name +
        "/<object id>\". Above 200 the token holds none, and says so: such a sign-in is refused. To fetch them from "
        "Microsoft Graph instead (permission User.Read) take the next three lines.");
    t.comment(R"(scopes = ["profile", "email", "User.Read"])");
    t.comment("overage = \"fetch\"");
    t.comment("overage_url = \"https://graph.microsoft.com/v1.0/me/getMemberObjects\"");
    t.comment("The optional claim auth_time must be added to ID tokens where policies ask for a fresh sign-in.");
  } else if (idp.preset == "google") {
    t.line("").comment(
        "Google signs everybody in who has a Google account: the attribute \"domain\" below lets in whom your "
        "Workspace "
        "owns, and nobody else.");
    t.comment(
        "Its ID tokens hold no groups, so no policy can be written on them here: write them on attributes, or set "
        "Google "
        "up with SAML.");
  } else if (idp.preset == "keycloak") {
    t.line("").comment(
        "Groups: the client needs the mapper \"Group Membership\" with the claim name \"groups\", added to the ID "
        "token. "
        "Paths lose their first slash by the preset: /data is Group::\"" +
        idp.name + "/data\".");
    t.comment("Realm roles instead: groups = { from = \"/realm_access/roles\" }, and their mapper into the ID token.");
  } else if (idp.preset == "adfs") {
    t.line("").comment(
        "According to Microsoft, custom claims such as groups come into the ID token only with "
        "response_mode=form_post, which Daypass does not use: where groups matter, set AD FS up with SAML.");
  } else {
    t.line("").comment("Groups, if it sends any: groups = \"groups\", or whatever its claim is called.");
  }
}

void saml_traps(Toml& t, const NewIdp& idp) {
  if (idp.preset == "entra") {
    t.line("").comment(
        "Who it is: the object id, which the preset takes; the NameID of Entra may be a name that changes hands.");
    t.comment(
        "Groups come as object ids: policies name Group::\"" + idp.name +
        "/<object id>\". Above 150 there are none in the assertion, and the sign-in is refused: let Entra send the "
        "groups assigned to the application.");
  } else if (idp.preset == "adfs") {
    t.line("").comment(
        "Who it is: the NameID. AD FS sends none without a claim rule; issue a Persistent Identifier from the "
        "objectGUID "
        "or the SID, never from the e-mail address or the UPN.");
    t.comment("Groups: a rule that sends Token-Groups - Unqualified Names as Group, where the preset looks.");
    t.comment("The token-signing certificate rolls over by itself: list the next one too before it does.");
  } else if (idp.preset == "keycloak") {
    t.line("").comment(
        "Groups: the mapper \"Group list\" with the attribute \"member\". Paths lose their first slash by the preset.");
  } else if (idp.preset == "okta" || idp.preset == "google") {
    t.line("").comment(
        "Who it is: the persistent NameID, which must come from something that never changes hands; an e-mail address "
        "is "
        "refused.");
    t.comment("Groups: the attribute \"groups\"; only those come that are listed or let through there.");
  } else {
    t.line("").comment(
        "Who it is: the NameID, if it is persistent. An attribute that names a person for ever instead: subject = "
        "\"<attribute>\", name_id_format = \"none\".");
    t.comment("Groups, if it sends any: groups = \"<attribute>\".");
  }
}

void attributes(Toml& t, const NewIdp& idp) {
  t.line("").comment("What policies see as principal.<name>. daypass idp test " + idp.name +
                     " shows the claims that there are.");
  t.line("[idp.attributes]");
  if (idp.preset == "google" && idp.protocol == "oidc") {
    t.line("domain = { from = \"hd\", required = true, pattern = " + json::quote(literally(idp.domain)) + " }");
    t.line("email = \"email\"");
    t.line(R"(email_verified = { from = "email_verified", type = "bool" })");
  } else if (idp.preset == "entra" && idp.protocol == "oidc") {
    t.line("username = \"preferred_username\"");
    t.comment("App roles: roles = { from = \"roles\", type = \"set\" }");
  } else if (idp.protocol == "oidc") {
    t.line("email = \"email\"");
  }
}

}  // namespace

std::span<const IdpPreset> idp_presets() noexcept {
  return presets;
}

const IdpPreset* idp_preset(std::string_view name) noexcept {
  const auto at = std::ranges::find(presets, name, &IdpPreset::name);
  return at == presets.end() ? nullptr : &*at;
}

std::vector<std::pair<std::string, std::string>> to_register(const NewIdp& idp) {
  if (idp.protocol == "saml")
    return {{"Entity ID (audience)", idp.url + "/metadata"},
            {"ACS URL (HTTP-POST)", idp.url + "/callback"},
            {"Single logout URL", idp.url + "/logout"},
            {"Our metadata, once applied", idp.url + "/metadata"}};
  return {{"Redirect URI", idp.url + "/callback"}, {"Back-channel logout URI", idp.url + "/logout"}};
}

std::string toml_of(const NewIdp& idp) {
  const IdpPreset& preset = *idp_preset(idp.preset);
  const bool saml = idp.protocol == "saml";
  Toml t;
  t.comment((idp.preset == "generic" ? std::string("An identity provider") : std::string(preset.title)) + " by " +
            (saml ? "SAML 2.0" : "OpenID Connect") + ". Written by daypass idp add, and yours to change.");
  t.comment("At the provider: " + std::string(saml ? preset.at_saml : preset.at_oidc));
  for (const auto& [what, value] : to_register(idp)) t.comment(what + ": " + value);
  t.line("").line("[[idp]]").set("name", idp.name).set("display", idp.display);
  if (idp.preset != "generic") t.set("preset", idp.preset);
  if (saml) t.set("protocol", idp.protocol);
  if (saml || idp.preset != "google") t.set("issuer", idp.issuer);
  if (saml) {
    t.set("metadata", idp.metadata).set("metadata_sha256", idp.pins);
    if (!idp.sp_key.empty()) t.set("sp_keys", std::vector{idp.sp_key});
  } else {
    constexpr std::string_view auths[] = {"basic", "post", "private_key_jwt", "none"};
    t.set("client_id", idp.client_id);
    if (idp.client_auth != core::ClientAuth::basic) t.set("client_auth", auths[static_cast<int>(idp.client_auth)]);
    t.set("client_secret", idp.client_secret);
  }
  t.set("ca_file", idp.ca_file).set("allowed_hosts", idp.allowed_hosts);
  saml ? saml_traps(t, idp) : oidc_traps(t, idp);
  attributes(t, idp);
  return t.take();
}

}  // namespace daypass::app::cli
