// What a tenant owns, as its operator wrote it: identity providers, targets, roles, policies. Plain values.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/secret.h"
#include "core/identity.h"
#include "core/limits.h"

namespace daypass::core {

/// A secret by reference, "file:/etc/daypass/idp-secret", "env:NAME" or "tenant:NAME" (kept here, sealed): the text
/// itself never enters a document.
struct SecretRef {
  std::string ref;
  bool operator==(const SecretRef&) const = default;
};

enum class AttributeType { string, integer, boolean, string_set };

/// One mapped attribute of an identity provider (federation.md: missing, null, string, list and object are distinct).
struct MappingRule {
  std::string attribute;  ///< name that policies see: principal.<attribute>
  std::string from;       ///< JSON Pointer into the claims, or a bare claim name
  AttributeType type = AttributeType::string;
  bool required = false;
  std::string pattern;  ///< anchored RE2 with at most one capture; empty: the value as it is
  bool operator==(const MappingRule&) const = default;
};

enum class ClientAuth { basic, post, private_key_jwt, none };
enum class Overage { refuse, fetch };

/// What only a provider of the protocol "saml" has.
struct SamlSpec {
  std::string metadata;                      ///< an https URL, "file:/path" or "tenant:NAME"
  std::vector<std::string> metadata_sha256;  ///< of the provider's signing certificates, lower-case hex: for a URL
  std::string metadata_signer;       ///< "file:/path" or "tenant:NAME" of the PEM certificate that signs the metadata
  std::string sp_entity_id;          ///< empty: the URL of our own metadata
  std::vector<std::string> sp_keys;  ///< secret references: PEM, key and certificate; the first signs, all decrypt
  std::string name_id_format;        ///< asked for; empty: none
  bool idp_initiated = false;        ///< sign-ins that began at the provider are taken, and confirmed by the person
  /// Fetched, and trusted for its certificates or its signer; else given by whoever wrote the settings.
  [[nodiscard]] bool metadata_by_url() const { return metadata.starts_with("http"); }
  bool operator==(const SamlSpec&) const = default;
};

/// Whose security events a provider's people are told about, and how they come (OpenID Shared Signals).
struct SignalsSpec {
  std::string transmitter;               ///< the events' `iss`, exactly
  std::string audience;                  ///< must be in their `aud`
  std::vector<std::string> push_tokens;  ///< secret references: what it may send in its Authorization header
  std::string poll_url;                  ///< empty: nothing is polled
  SecretRef poll_token;
  Millis poll_every = std::chrono::seconds(10);
  std::string jwks_url;           ///< of a transmitter without /.well-known/ssf-configuration
  std::string subject_issuer;     ///< the `iss` of subjects; empty: the provider's issuer
  bool opaque_is_person = false;  ///< what a subject of the format "opaque" names; else a session
  bool operator==(const SignalsSpec&) const = default;
};

/// How a provider tells us of its people and groups (SCIM 2.0). Without tokens it does not.
struct ScimSpec {
  std::vector<std::string> tokens;          ///< secret references: what it presents; two while they are changed
  std::string subject_from = "externalId";  ///< the SCIM attribute that sign-ins have as their subject
  bool groups = false;  ///< a sign-in's groups are those it was put into; claims say nothing of them
  bool operator==(const ScimSpec&) const = default;
};

struct IdpSpec {
  std::string name;  ///< [a-z0-9-]
  std::string display;
  std::string protocol = "oidc";
  std::string issuer;  ///< exactly as in the tokens; of SAML: the entityID
  std::string client_id;
  ClientAuth client_auth = ClientAuth::basic;
  SecretRef client_secret;          ///< or the PEM key of private_key_jwt
  std::vector<std::string> scopes;  ///< "openid" is always sent
  std::string id_token_alg;         ///< as JOSE spells it; empty: what the issuer's keys are for
  std::vector<MappingRule> attributes;
  std::string groups_from;     ///< JSON Pointer or claim name; empty: no groups
  std::string groups_pattern;  ///< anchored RE2 with at most one capture, over each group
  bool groups_required = false;
  Overage overage = Overage::refuse;
  std::string overage_url;  ///< for fetch: built by the tenant, never taken from a token
  bool userinfo = false;
  std::string ca_file;                     ///< PEM trust anchors in place of the system's; empty: the system's
  std::string subject_from;                ///< default "sub"; Entra: "/oid"
  std::string display_from;                ///< default "name", then "email", then the subject
  std::vector<std::string> allowed_hosts;  ///< private addresses that egress may reach for this provider
  Millis session_max = std::chrono::hours(12);
  Millis revalidate = std::chrono::minutes(5);  ///< how often a refresh token is used to ask after somebody
  bool consent = false;                         ///< prompt=consent: some give a refresh token only then
  std::vector<std::string> domains;  ///< of e-mail addresses, for which the sign-in page suggests it once proven
  SamlSpec saml;
  std::optional<SignalsSpec> signals;
  ScimSpec scim;
  bool operator==(const IdpSpec&) const = default;
};

struct TargetSpec {
  TargetId id;
  base::json::Object settings;  ///< the driver's own keys (pg: host, database, admin_user, tls, ca_file, …)
  Attributes attributes;        ///< env, team, sensitivity, …: resource.target.<name> in policies
  DefaultLimits limits;         ///< where a permit's annotations are silent
  bool operator==(const TargetSpec&) const = default;
};

struct RoleSpec {
  RoleId id;
  base::json::Object settings;  ///< the driver's own keys (pg: group, creates)
  Attributes attributes;        ///< resource.<name> in policies
  bool elevated = false;        ///< only when named explicitly
  std::optional<Millis> duration_cap;
  std::string description;
  bool operator==(const RoleSpec&) const = default;
};

enum class ForwardFormat { jsonl, ocsf };

/// Somebody who gets the tenant's audit records as they are written.
struct ForwardSpec {
  std::string name;  ///< [a-z0-9-]
  std::string url;   ///< https://…: a webhook; tls://host:port or tcp://host:port: syslog
  ForwardFormat format = ForwardFormat::jsonl;
  std::vector<std::string> secrets;        ///< of a webhook, references: each signs, two while they are changed
  SecretRef authorization;                 ///< of a webhook: what its Authorization header says
  std::string ca_file;                     ///< PEM trust anchors in place of the system's; empty: the system's
  std::vector<std::string> allowed_hosts;  ///< private addresses that egress may reach for it
  bool from_now = false;                   ///< begins with the records behind its making, not with the first
  [[nodiscard]] bool is_syslog() const { return url.starts_with("tls:") || url.starts_with("tcp:"); }
  /// Its host alone, without brackets; empty when there is none.
  [[nodiscard]] std::string host() const;
  /// Its address is localhost, of 127.0.0.0/8, or ::1: only then may it be reached there.
  [[nodiscard]] bool at_loopback() const;
  bool operator==(const ForwardSpec&) const = default;
};

struct PolicyFile {
  std::string file;
  std::string text;
  bool operator==(const PolicyFile&) const = default;
};

struct TenantSpec {
  TenantId tenant;
  std::int64_t version = 0;
  std::vector<IdpSpec> idps;
  std::vector<TargetSpec> targets;
  std::vector<RoleSpec> roles;
  std::vector<PolicyFile> policies;
  std::vector<ForwardSpec> forwards = {};

  [[nodiscard]] const ForwardSpec* forward(std::string_view name) const noexcept;
  [[nodiscard]] const IdpSpec* idp(std::string_view name) const noexcept;
  [[nodiscard]] const TargetSpec* target(const TargetId& id) const noexcept;
  [[nodiscard]] const RoleSpec* role(const RoleId& id) const noexcept;
  bool operator==(const TenantSpec&) const = default;
};

}  // namespace daypass::core
