// The table of every operation, and the OpenAPI 3.1 document made of it.
#include "api/api.h"

namespace daypass::api {

namespace json = base::json;

const std::vector<Route>& route_table() {
  static const std::vector<Route> table{
      // sign-in
      {"GET",
       "/t/{tenant}/oauth/authorize",
       Need::nothing,
       &Api::authorize,
       "Begin a sign-in for the command line (authorization code with PKCE)",
       "",
       "",
       {"response_type", "client_id", "redirect_uri", "code_challenge", "code_challenge_method", "state", "idp",
        "hint"}},
      {"GET",
       "/t/{tenant}/idp/{idp}/callback",
       Need::nothing,
       &Api::callback,
       "Where an identity provider sends the browser back to",
       "",
       "",
       {"code", "state", "iss"}},
      {"POST", "/t/{tenant}/idp/{idp}/callback", Need::nothing, &Api::posted_callback,
       "Where a SAML identity provider has the browser post its answer (assertion consumer service)", "SamlForm", ""},
      {"GET", "/t/{tenant}/idp/{idp}/metadata", Need::nothing, &Api::idp_metadata,
       "Our SAML metadata for this identity provider", "", ""},
      {"POST", "/t/{tenant}/idp/{idp}/logout", Need::nothing, &Api::idp_logout,
       "Where an identity provider says that somebody has signed out: OpenID Connect Back-Channel Logout, SAML "
       "LogoutRequest",
       "LogoutForm", ""},
      {"GET",
       "/t/{tenant}/idp/{idp}/logout",
       Need::nothing,
       &Api::idp_logout,
       "The same by SAML's redirect binding; and where a provider sends the browser back to after a sign-out that "
       "began "
       "here (SAML LogoutResponse, also posted; the state of OpenID Connect RP-Initiated Logout)",
       "",
       "",
       {"SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "state"}},
      {"GET",
       "/t/{tenant}/logout",
       Need::nothing,
       &Api::provider_logout,
       "Send the browser to the identity provider to sign out there, with the handle of a logout (one use)",
       "",
       "",
       {"handle"}},
      {"POST", "/t/{tenant}/idp/{idp}/confirm", Need::nothing, &Api::confirm,
       "Confirm a sign-in that began at the identity provider, for a waiting device", "ConfirmForm", ""},
      {"POST", "/t/{tenant}/idp/{idp}/events", Need::nothing, &Api::push_event,
       "Where a transmitter pushes security events (RFC 8935): session-revoked, credential-change",
       "SecurityEventToken", ""},
      {"GET",
       "/t/{tenant}/idp/{idp}/test",
       Need::nothing,
       &Api::enter_test,
       "Where a browser begins a test of an identity provider",
       "",
       "",
       {"key", "go"}},
      {"POST", "/t/{tenant}/oauth/token", Need::nothing, &Api::token, "Redeem an authorization code or a device code",
       "TokenForm", "Token"},
      {"POST", "/t/{tenant}/oauth/device_authorization", Need::nothing, &Api::device_authorization,
       "Begin a sign-in on a machine without a browser (RFC 8628)", "", "DeviceAuthorization"},
      {"GET",
       "/t/{tenant}/device",
       Need::nothing,
       &Api::device_page,
       "The page where a device's code is typed",
       "",
       "",
       {"user_code"}},
      {"POST", "/t/{tenant}/device", Need::nothing, &Api::device_submit, "Sign in for a waiting device", "DeviceForm",
       ""},
      {"GET", "/.well-known/oauth-authorization-server/t/{tenant}", Need::nothing, &Api::metadata,
       "Authorization server metadata (RFC 8414)", "", "Metadata"},
      // what a provider tells us of its people (SCIM 2.0)
      {"GET",
       "/t/{tenant}/idp/{idp}/scim/v2/Users",
       Need::scim,
       &Api::scim,
       "Users of this provider, filtered and by pages (SCIM 2.0, RFC 7644)",
       "",
       "ScimList",
       {"filter", "startIndex", "count", "attributes", "excludedAttributes"}},
      {"POST", "/t/{tenant}/idp/{idp}/scim/v2/Users", Need::scim, &Api::scim, "Make a user", "ScimUser", "ScimUser"},
      {"GET",
       "/t/{tenant}/idp/{idp}/scim/v2/Users/{id}",
       Need::scim,
       &Api::scim,
       "One user",
       "",
       "ScimUser",
       {"attributes", "excludedAttributes"}},
      {"PUT", "/t/{tenant}/idp/{idp}/scim/v2/Users/{id}", Need::scim, &Api::scim, "Replace a user", "ScimUser",
       "ScimUser"},
      {"PATCH", "/t/{tenant}/idp/{idp}/scim/v2/Users/{id}", Need::scim, &Api::scim,
       "Change a user: all of the operations or none", "ScimPatch", "ScimUser"},
      {"DELETE", "/t/{tenant}/idp/{idp}/scim/v2/Users/{id}", Need::scim, &Api::scim,
       "Delete a user; its sign-ins end, and there are no new ones", "", ""},
      {"GET",
       "/t/{tenant}/idp/{idp}/scim/v2/Groups",
       Need::scim,
       &Api::scim,
       "Groups of this provider, filtered and by pages (SCIM 2.0, RFC 7644)",
       "",
       "ScimList",
       {"filter", "startIndex", "count", "attributes", "excludedAttributes"}},
      {"POST", "/t/{tenant}/idp/{idp}/scim/v2/Groups", Need::scim, &Api::scim, "Make a group", "ScimGroup",
       "ScimGroup"},
      {"GET",
       "/t/{tenant}/idp/{idp}/scim/v2/Groups/{id}",
       Need::scim,
       &Api::scim,
       "One group",
       "",
       "ScimGroup",
       {"attributes", "excludedAttributes"}},
      {"PUT", "/t/{tenant}/idp/{idp}/scim/v2/Groups/{id}", Need::scim, &Api::scim, "Replace a group", "ScimGroup",
       "ScimGroup"},
      {"PATCH", "/t/{tenant}/idp/{idp}/scim/v2/Groups/{id}", Need::scim, &Api::scim,
       "Change a group: all of the operations or none", "ScimPatch", ""},
      {"DELETE", "/t/{tenant}/idp/{idp}/scim/v2/Groups/{id}", Need::scim, &Api::scim, "Delete a group", "", ""},
      {"GET", "/t/{tenant}/idp/{idp}/scim/v2/ServiceProviderConfig", Need::scim, &Api::scim,
       "What this SCIM server can do", "", "ScimDocument"},
      {"GET", "/t/{tenant}/idp/{idp}/scim/v2/ResourceTypes", Need::scim, &Api::scim, "Users and groups", "",
       "ScimList"},
      {"GET", "/t/{tenant}/idp/{idp}/scim/v2/ResourceTypes/{id}", Need::scim, &Api::scim, "One of them", "",
       "ScimDocument"},
      {"GET", "/t/{tenant}/idp/{idp}/scim/v2/Schemas", Need::scim, &Api::scim, "Every attribute that is kept", "",
       "ScimList"},
      {"GET", "/t/{tenant}/idp/{idp}/scim/v2/Schemas/{id}", Need::scim, &Api::scim, "Those of one schema", "",
       "ScimDocument"},
      // one's own access
      {"GET", "/t/{tenant}/api/v1/session", Need::login, &Api::session, "Who is signed in, and until when", "",
       "Session"},
      {"DELETE", "/t/{tenant}/api/v1/session", Need::login, &Api::logout,
       "Log out: ends the login and every grant of it", "", "LoggedOut"},
      {"GET", "/t/{tenant}/api/v1/roles", Need::login, &Api::roles, "Every role, whether one may have it now, and why",
       "", "Roles"},
      {"GET",
       "/t/{tenant}/api/v1/explain",
       Need::login,
       &Api::explain,
       "Why or why not a role",
       "",
       "Explanation",
       {"role", "principal", "at"}},
      {"POST", "/t/{tenant}/api/v1/credentials", Need::login, &Api::issue_credential,
       "A user name and password for a gate; shown once", "WantCredential", "Credential"},
      {"GET",
       "/t/{tenant}/api/v1/grants",
       Need::login,
       &Api::grants,
       "Grants, newest first",
       "",
       "Grants",
       {"all", "closed", "overdue"}},
      {"GET", "/t/{tenant}/api/v1/grants/{id}", Need::login, &Api::grant, "One grant", "", "Grant"},
      {"POST", "/t/{tenant}/api/v1/grants/{id}/extend", Need::login, &Api::extend,
       "Extend a grant in place, within what policy allows", "Extend", "Grant"},
      {"POST", "/t/{tenant}/api/v1/grants/{id}/end", Need::login, &Api::end,
       "End a grant; answers when its account is proven gone (202: not yet)", "", "Grant"},
      {"GET", "/t/{tenant}/api/v1/grants/{id}/receipt", Need::login, &Api::grant_receipt,
       "Evidence, signed by Daypass itself, that a closed grant was created, cut and found absent", "", "Receipt"},
      // administration
      {"GET", "/t/{tenant}/api/v1/sessions", Need::administer, &Api::sessions, "Live login sessions", "", "Sessions"},
      {"POST", "/t/{tenant}/api/v1/sessions/{id}/end", Need::administer, &Api::end_session,
       "End a login session and every grant of it", "", "Ended"},
      {"POST", "/t/{tenant}/api/v1/sessions/{id}/revalidate", Need::administer, &Api::revalidate_session,
       "Ask the identity provider now whether a login session may go on", "", "Revalidated"},
      {"POST", "/t/{tenant}/api/v1/apply", Need::administer, &Api::apply,
       "Apply a tenant's folder, or show what it would change", "Apply", "Applied"},
      {"POST", "/t/{tenant}/api/v1/policy/simulate", Need::administer, &Api::simulate,
       "What recorded decisions would become under a tenant's folder", "Simulate", "Simulated"},
      {"GET", "/t/{tenant}/api/v1/policy/schema", Need::administer, &Api::policy_schema,
       "What the tenant's policies can speak of, as a Cedar schema", "", "PolicySchema"},
      {"GET", "/t/{tenant}/api/v1/targets", Need::administer, &Api::targets, "Targets and their roles", "", "Targets"},
      {"POST", "/t/{tenant}/api/v1/targets/{kind}/{name}/check", Need::administer, &Api::check_target,
       "Test a target's admin login, rights and group roles", "", "Findings"},
      {"GET", "/t/{tenant}/api/v1/idps", Need::administer, &Api::idps, "Identity providers", "", "Idps"},
      {"POST", "/t/{tenant}/api/v1/idps/{name}/probe", Need::administer, &Api::probe_idp,
       "Fetch an identity provider's metadata and keys", "", "Probe"},
      {"POST", "/t/{tenant}/api/v1/idps/{name}/test", Need::administer, &Api::begin_test,
       "Begin a sign-in at an identity provider of a tenant's folder, of which nothing is kept", "TestIdp", "IdpTest"},
      {"GET", "/t/{tenant}/api/v1/idps/{name}/test/{id}", Need::administer, &Api::idp_test,
       "What came of one's own test: claims, what they are mapped to, the roles that it would give", "", "IdpTest"},
      {"GET", "/t/{tenant}/api/v1/domains", Need::administer, &Api::domains,
       "Domains of identity providers, and the DNS records that prove them", "", "Domains"},
      {"POST", "/t/{tenant}/api/v1/domains/check", Need::administer, &Api::check_domains, "Look for these records now",
       "", "Domains"},
      {"GET",
       "/t/{tenant}/api/v1/audit",
       Need::administer,
       &Api::audit,
       "Audit records as the bytes that were hashed, with the log's size and root",
       "",
       "Audit",
       {"from", "limit"}},
      {"GET", "/t/{tenant}/api/v1/audit/checkpoint", Need::administer, &Api::audit_checkpoint,
       "The last signed checkpoint of the audit log (C2SP tlog-checkpoint), and the key that verifies it", "",
       "AuditCheckpoint"},
      {"POST", "/t/{tenant}/api/v1/audit/checkpoint", Need::administer, &Api::audit_checkpoint,
       "A signed checkpoint that covers every record: a new one, where the last one does not", "", "AuditCheckpoint"},
      {"GET", "/t/{tenant}/api/v1/audit/records/{index}/proof", Need::administer, &Api::audit_proof,
       "A record with the proof that it stands in the log of a signed checkpoint", "", "AuditProof"},
      {"GET",
       "/t/{tenant}/api/v1/audit/consistency",
       Need::administer,
       &Api::audit_consistency,
       "The proof that the log's first records, of which somebody keeps a checkpoint, are the beginning of the last "
       "checkpoint's",
       "",
       "AuditConsistency",
       {"from"}},
      {"GET", "/t/{tenant}/api/v1/audit/forwards", Need::administer, &Api::audit_forwards,
       "Who gets the audit records as they are written, and how far each is", "", "AuditForwards"},
      {"POST", "/t/{tenant}/api/v1/audit/forwards/{name}/retry", Need::administer, &Api::retry_forward,
       "Try a receiver of audit records now that took none", "", "AuditForward"},
      {"GET", "/t/{tenant}/api/v1/secrets", Need::administer, &Api::secrets,
       "The secrets that the tenant keeps here, by name; never what they are", "", "Secrets"},
      {"PUT", "/t/{tenant}/api/v1/secrets/{name}", Need::administer, &Api::set_secret,
       "Keep a secret, or replace it; settings name it \"tenant:NAME\"", "SetSecret", "Secret"},
      {"POST", "/t/{tenant}/api/v1/secrets/{name}/key", Need::administer, &Api::make_key,
       "Make a key pair that never leaves; its certificate is shown", "MakeKey", "Secret"},
      {"DELETE", "/t/{tenant}/api/v1/secrets/{name}", Need::administer, &Api::remove_secret,
       "Remove a secret that no setting names", "", "SecretRemoved"},
      {"POST", "/t/{tenant}/api/v1/persons/erase", Need::administer, &Api::erase_person,
       "Erase somebody who has gone from the log, whose root stays, and from the store", "ErasePerson", "PersonErased"},
      {"GET",
       "/t/{tenant}/api/v1/reports/unused",
       Need::administer,
       &Api::unused_rights,
       "What policies give and nobody used in so many days, with the policies to tighten",
       "",
       "UnusedRights",
       {"days"}},
      {"GET", "/t/{tenant}/api/v1/freeze", Need::administer, &Api::frozen, "Whether access is frozen, and why", "",
       "Freeze"},
      {"PUT", "/t/{tenant}/api/v1/freeze", Need::administer, &Api::freeze,
       "End every grant of the tenant and give nothing until it is thawed", "SetFreeze", "Freeze"},
      {"DELETE", "/t/{tenant}/api/v1/freeze", Need::administer, &Api::thaw,
       "Give access again; the operator's freeze is lifted by the operator", "", "Freeze"},
      // the operator, on the server's own socket
      {"GET", "/api/v1/restore", Need::operate, &Api::restored,
       "Whether a restored store waits to be confirmed, and what differs between it and the targets", "", "Restore"},
      {"POST", "/api/v1/restore/confirm", Need::operate, &Api::confirm_restore,
       "End every login of the restored store and go on with it", "ConfirmRestore", "RestoreConfirmed"},
      {"GET",
       "/api/v1/orphans",
       Need::operate,
       &Api::orphans,
       "Accounts on targets that nobody answers for, and those that carry another installation's mark",
       "",
       "Orphans",
       {"tenant"}},
      {"POST", "/api/v1/orphans/remove", Need::operate, &Api::remove_orphans,
       "Take away the orphans that are found, each recorded before and looked for afterwards", "RemoveOrphans",
       "Orphans"},
      {"GET", "/api/v1/freeze", Need::operate, &Api::frozen_all, "Whether access is frozen for all tenants, and why",
       "", "Freeze"},
      {"PUT", "/api/v1/freeze", Need::operate, &Api::freeze_all,
       "End every grant of every tenant and give nothing until it is thawed", "SetFreeze", "Freeze"},
      {"DELETE", "/api/v1/freeze", Need::operate, &Api::thaw_all,
       "Give access again, but for tenants that are frozen by themselves", "", "Freeze"},
      {"GET", "/api/v1/tenants", Need::operate, &Api::tenants, "Tenants by name, without what is in them", "",
       "Tenants"},
      {"POST", "/api/v1/tenants", Need::operate, &Api::create_tenant, "Make a tenant", "CreateTenant", "Tenant"},
      {"PATCH", "/api/v1/tenants/{id}", Need::operate, &Api::change_tenant,
       "Change what a tenant is called, and which hosts of a private network its administrators may name",
       "ChangeTenant", "Tenant"},
      {"DELETE", "/api/v1/tenants/{id}", Need::operate, &Api::delete_tenant,
       "Delete a tenant: ends and erases everything it has but its audit log (202: under way)", "", "TenantDeleting"},
      // the server
      {"GET", "/livez", Need::nothing, &Api::livez, "The process answers", "", ""},
      {"GET", "/readyz", Need::nothing, &Api::readyz, "Ready to give access", "", "", {"verbose"}},
      {"GET", "/metrics", Need::nothing, &Api::metrics, "Prometheus text exposition", "", ""},
      {"GET", "/api/v1/version", Need::nothing, &Api::version, "The server's version", "", "Version"},
      {"GET", "/api/v1/openapi.json", Need::nothing, &Api::openapi_document, "This document", "", "OpenApi"},
  };
  return table;
}

const std::vector<Route>& Api::routes() {
  return route_table();
}

namespace {

json::Value text() {
  return json::Object{{"type", "string"}};
}
json::Value time() {
  return json::Object{{"type", "string"}, {"format", "date-time"}};
}
json::Value number() {
  return json::Object{{"type", "integer"}};
}
json::Value flag() {
  return json::Object{{"type", "boolean"}};
}
json::Value list(json::Value of) {
  return json::Object{{"type", "array"}, {"items", std::move(of)}};
}
json::Value ref(std::string_view name) {
  return json::Object{{"$ref", "#/components/schemas/" + std::string(name)}};
}
json::Value any() {
  return json::Object{{"type", "object"}};
}
json::Value object(json::Object properties, std::initializer_list<std::string_view> required = {}) {
  json::Object out{{"type", "object"}, {"properties", std::move(properties)}};
  json::Array names;
  for (const auto name : required) names.emplace_back(name);
  if (!names.empty()) out.set("required", std::move(names));
  return out;
}

json::Object schemas() {
  json::Object s;
  s.set("Problem", object({{"type", text()},
                           {"title", text()},
                           {"status", number()},
                           {"detail", text()},
                           {"check", text()},
                           {"hint", text()},
                           {"request_id", text()}},
                          {"status", "detail", "check"}));
  s.set("TokenForm", object({{"grant_type", text()},
                             {"client_id", text()},
                             {"code", text()},
                             {"code_verifier", text()},
                             {"redirect_uri", text()},
                             {"device_code", text()}},
                            {"grant_type", "client_id"}));
  const json::Object tenant{{"id", text()},
                            {"display", text()},
                            {"created_at", time()},
                            {"state", json::Object{{"enum", json::Array{"active", "deleting"}}}},
                            {"private_hosts", list(text())}};
  s.set("Tenant", object(tenant, {"id", "display", "created_at", "state", "private_hosts"}));
  json::Object deleting = tenant;
  deleting.set("grants", number());
  s.set("TenantDeleting", object(std::move(deleting), {"id", "display", "created_at", "state", "grants"}));
  s.set("SetSecret", object({{"value", text()}}, {"value"}));
  s.set("MakeKey", object({{"kind", json::Object{{"enum", json::Array{"rsa"}}}}}, {"kind"}));
  s.set("SecretRemoved", object({{"removed", text()}}, {"removed"}));
  s.set("Secret", object({{"name", text()},
                          {"kind", json::Object{{"enum", json::Array{"secret", "key"}}}},
                          {"set_at", time()},
                          {"set_by", text()},
                          {"certificate", text()}},
                         {"name", "kind", "set_at"}));
  s.set("Secrets", object({{"secrets", list(ref("Secret"))}}, {"secrets"}));
  s.set("ChangeTenant", object({{"display", text()}, {"private_hosts", list(text())}}));
  s.set("Tenants", object({{"tenants", list(ref("Tenant"))}}, {"tenants"}));
  s.set("CreateTenant", object({{"id", text()}, {"display", text()}}, {"id"}));
  s.set("Restore", object({{"quarantined", flag()},
                           {"since", time()},
                           {"why", text()},
                           {"logs", list(object({{"tenant", text()}, {"records", number()}, {"seen", number()}}))},
                           {"targets", list(object({{"tenant", text()},
                                                    {"target", text()},
                                                    {"unreachable", text()},
                                                    {"differences", list(object({{"kind", text()},
                                                                                 {"account", text()},
                                                                                 {"grant", text()},
                                                                                 {"store_end", time()},
                                                                                 {"target_end", time()}}))}}))}},
                          {"quarantined"}));
  s.set("RemoveOrphans", object({{"tenant", text()}}));
  s.set("Orphans",
        object({{"orphans", number()},
                {"removed", number()},
                {"unreachable", number()},
                {"targets",
                 list(object(
                     {{"tenant", text()},
                      {"target", text()},
                      {"unreachable", text()},
                      {"accounts",
                       list(object({{"kind", json::Object{{"enum", json::Array{"unknown", "closed_grant", "copied_mark",
                                                                               "other_installation"}}}},
                                    {"account", text()},
                                    {"instance", text()},
                                    {"account_tenant", text()},
                                    {"grant", text()},
                                    {"valid_until", time()},
                                    {"removed", flag()},
                                    {"left", text()}},
                                   {"kind", "account", "instance"}))}},
                     {"tenant", "target", "accounts"}))}},
               {"orphans", "removed", "unreachable", "targets"}));
  const auto date = [] { return json::Object{{"type", "string"}, {"format", "date"}}; };
  s.set("UnusedRights",
        object(
            {{"days", number()},
             {"at", time()},
             {"roles", list(object({{"role", text()},
                                    {"state", json::Object{{"enum", json::Array{"used", "partly_used", "unused",
                                                                                "not_given", "too_early", "unclear"}}}},
                                    {"since", date()},
                                    {"grants", number()},
                                    {"connections", number()},
                                    {"last_given", date()},
                                    {"last_connected", date()},
                                    {"last_used", date()},
                                    {"objects", list(object({{"schema", text()},
                                                             {"name", text()},
                                                             {"readable", flag()},
                                                             {"writable", flag()},
                                                             {"unused", flag()},
                                                             {"last_read", date()},
                                                             {"last_written", date()}},
                                                            {"schema", "name", "readable", "writable", "unused"}))},
                                    {"more_objects", flag()},
                                    {"objects_unknown", text()},
                                    {"last_unread", date()},
                                    {"policies", list(object({{"id", text()},
                                                              {"file", text()},
                                                              {"line", number()},
                                                              {"to", text()},
                                                              {"conditions", flag()},
                                                              {"this_role_alone", flag()}},
                                                             {"id", "file", "line", "to", "conditions"}))},
                                    {"hint", text()}},
                                   {"role", "state", "since", "grants", "connections", "objects", "policies"}))}},
            {"days", "at", "roles"}));
  s.set("ErasePerson", object({{"person", text()}}, {"person"}));
  s.set("PersonErased", object({{"id", text()},
                                {"records", number()},
                                {"grants", number()},
                                {"decisions", number()},
                                {"notes", number()},
                                {"kept", number()},
                                {"scrubbed", flag()}},
                               {"id", "records", "grants", "decisions", "notes", "kept", "scrubbed"}));
  s.set("ConfirmRestore", any());
  s.set("RestoreConfirmed", object({{"quarantined", flag()}, {"logins_ended", number()}}, {"quarantined"}));
  s.set("AuditForward", object({{"name", text()},
                                {"kind", json::Object{{"enum", json::Array{"webhook", "syslog"}}}},
                                {"host", text()},
                                {"format", json::Object{{"enum", json::Array{"jsonl", "ocsf"}}}},
                                {"next", number()},
                                {"size", number()},
                                {"lag", number()},
                                {"behind_since", time()},
                                {"sent_at", time()},
                                {"failures", number()},
                                {"check", text()},
                                {"why", text()},
                                {"next_try", time()}},
                               {"name", "kind", "host", "format", "next", "size", "lag", "failures"}));
  s.set("AuditForwards", object({{"forwards", list(ref("AuditForward"))}}, {"forwards"}));
  s.set("SetFreeze", object({{"reason", text()}}, {"reason"}));
  s.set("Freeze", object({{"frozen", flag()},
                          {"since", time()},
                          {"by", text()},
                          {"reason", text()},
                          {"lifted_by", json::Object{{"enum", json::Array{"operator", "administrator"}}}},
                          {"grants_ended", number()}},
                         {"frozen"}));
  s.set("SamlForm", object({{"SAMLResponse", text()}, {"RelayState", text()}}, {"SAMLResponse"}));
  s.set("LogoutForm",
        object({{"logout_token", text()}, {"SAMLRequest", text()}, {"SAMLResponse", text()}, {"RelayState", text()}}));
  s.set("ConfirmForm", object({{"user_code", text()}}, {"user_code"}));
  s.set("SecurityEventToken", text());
  s.set("DeviceForm", object({{"user_code", text()}, {"idp", text()}}, {"user_code"}));
  s.set("Token", object({{"access_token", text()},
                         {"token_type", text()},
                         {"expires_in", number()},
                         {"session", text()},
                         {"principal", text()},
                         {"display", text()},
                         {"ends_at", time()}},
                        {"access_token", "token_type"}));
  s.set("DeviceAuthorization", object({{"device_code", text()},
                                       {"user_code", text()},
                                       {"verification_uri", text()},
                                       {"verification_uri_complete", text()},
                                       {"expires_in", number()},
                                       {"interval", number()}},
                                      {"device_code", "user_code", "verification_uri"}));
  s.set("Metadata", any());
  s.set("Session", object({{"id", text()},
                           {"tenant", text()},
                           {"principal", text()},
                           {"display", text()},
                           {"idp", text()},
                           {"groups", list(text())},
                           {"attributes", any()},
                           {"client", text()},
                           {"started_at", time()},
                           {"ends_at", time()},
                           {"checked_at", time()},
                           {"stale_since", time()},
                           {"administers", flag()},
                           {"frozen", text()}},
                          {"id", "principal", "ends_at"}));
  s.set("Sessions", object({{"sessions", list(ref("Session"))}}, {"sessions"}));
  s.set("LoggedOut",
        object({{"grants_ended", number()}, {"provider", text()}, {"provider_logout_url", text()}}, {"grants_ended"}));
  s.set("Ended", object({{"grants_ended", number()}}, {"grants_ended"}));
  s.set("Revalidated", object({{"state", json::Object{{"enum", json::Array{"unchanged", "changed", "ended"}}}},
                               {"grants_ended", number()},
                               {"why", text()}},
                              {"state", "grants_ended"}));
  s.set("Offer", object({{"policy", text()}, {"duration", text()}, {"idle", text()}, {"connections", number()}}));
  s.set("Role", object({{"role", text()},
                        {"target", text()},
                        {"verdict", json::Object{{"enum", json::Array{"allow", "deny"}}}},
                        {"why", text()},
                        {"ask", text()},
                        {"policies", list(text())},
                        {"erred", list(text())},
                        {"offers", list(ref("Offer"))},
                        {"elevated", flag()},
                        {"description", text()}},
                       {"role", "verdict", "why"}));
  s.set("Roles", object({{"roles", list(ref("Role"))}}, {"roles"}));
  s.set("Explanation", any());
  s.set("WantCredential",
        object({{"target", text()}, {"roles", list(text())}, {"for", text()}, {"reason", text()}}, {"target"}));
  s.set("Credential", object({{"user", text()},
                              {"password", text()},
                              {"target", text()},
                              {"roles", list(text())},
                              {"host", text()},
                              {"port", number()},
                              {"database", text()},
                              {"ca_pem", text()},
                              {"login_ends_at", time()},
                              {"offers", list(ref("Offer"))}},
                             {"user", "password", "target", "roles"}));
  s.set("Grant", object({{"id", text()},
                         {"principal", text()},
                         {"session", text()},
                         {"target", text()},
                         {"roles", list(text())},
                         {"state", json::Object{{"enum", json::Array{"provisioning", "active", "revoking", "closed"}}}},
                         {"account", text()},
                         {"connections", number()},
                         {"opened_at", time()},
                         {"ends_at", time()},
                         {"idle_end_at", time()},
                         {"ended_at", time()},
                         {"end_reason", text()},
                         {"end_note", text()},
                         {"overdue", flag()},
                         {"offers", list(ref("Offer"))}},
                        {"id", "state", "ends_at"}));
  s.set("Grants", object({{"grants", list(ref("Grant"))}}, {"grants"}));
  s.set("Extend", object({{"for", text()}}, {"for"}));
  s.set("Apply",
        object({{"files", json::Object{{"type", "object"}, {"additionalProperties", text()}}}, {"dry_run", flag()}},
               {"files"}));
  s.set("FileProblem", object({{"file", text()},
                               {"line", number()},
                               {"column", number()},
                               {"message", text()},
                               {"hint", text()},
                               {"text", text()}}));
  s.set("Applied", object({{"version", number()},
                           {"plan", list(text())},
                           {"problems", list(ref("FileProblem"))},
                           {"warnings", list(text())},
                           {"grants_ended", number()}},
                          {"version", "plan", "problems"}));
  s.set("TestIdp", object({{"files", json::Object{{"type", "object"}, {"additionalProperties", text()}}}}));
  s.set("IdpTest", object({{"id", text()},
                           {"idp", text()},
                           {"state", json::Object{{"enum", json::Array{"waiting", "passed", "failed"}}}},
                           {"url", text()},
                           {"redirect_uri", text()},
                           {"ends_at", time()},
                           {"error", object({{"check", text()}, {"message", text()}, {"hint", text()}})},
                           {"claims", any()},
                           {"identity", any()},
                           {"session_ends_at", time()},
                           {"roles", list(ref("Role"))},
                           {"administers", flag()},
                           {"warnings", list(text())}},
                          {"id", "idp", "state"}));
  s.set("Simulate", object({{"files", json::Object{{"type", "object"}, {"additionalProperties", text()}}}}, {"files"}));
  s.set("Shift", object({{"record", text()},
                         {"principal", text()},
                         {"at", time()},
                         {"role", text()},
                         {"verdict", json::Object{{"enum", json::Array{"allow", "deny"}}}},
                         {"policies", list(text())},
                         {"why", text()}},
                        {"record", "role", "verdict", "policies"}));
  s.set("Simulated", object({{"records", number()},
                             {"unreadable", number()},
                             {"complete", flag()},
                             {"newly_allowed", number()},
                             {"newly_denied", number()},
                             {"unchanged", number()},
                             {"shifts", list(ref("Shift"))},
                             {"unchanged_by", list(object({{"policies", text()}, {"decisions", number()}}))},
                             {"problems", list(ref("FileProblem"))},
                             {"warnings", list(text())}},
                            {"newly_allowed", "newly_denied", "unchanged", "problems"}));
  s.set("PolicySchema", object({{"text", text()}, {"schema", any()}}, {"text", "schema"}));
  s.set("Targets",
        object({{"targets", list(object({{"target", text()}, {"attributes", any()}, {"roles", list(text())}}))}},
               {"targets"}));
  s.set("Findings",
        object({{"ok", flag()},
                {"findings", list(object({{"grade", json::Object{{"enum", json::Array{"ok", "warn", "fail"}}}},
                                          {"check", text()},
                                          {"subject", text()},
                                          {"message", text()},
                                          {"fix", text()}}))}},
               {"ok", "findings"}));
  s.set(
      "Idps",
      object(
          {{"idps",
            list(object(
                {{"name", text()}, {"display", text()}, {"protocol", text()}, {"issuer", text()}, {"scim", flag()}}))}},
          {"idps"}));
  s.set("Domains",
        object({{"domains", list(object({{"domain", text()},
                                         {"idp", text()},
                                         {"state", json::Object{{"enum", json::Array{"proven", "unproven"}}}},
                                         {"record", text()},
                                         {"value", text()},
                                         {"proven_at", time()},
                                         {"holds_until", time()},
                                         {"looked_at", time()},
                                         {"why", text()}}))}},
               {"domains"}));
  s.set("Probe", object({{"ok", flag()}, {"message", text()}}, {"ok"}));
  const json::Object checkpoint{{"checkpoint", text()}, {"key", text()},  {"origin", text()},
                                {"size", number()},     {"root", text()}, {"at", time()}};
  s.set("Audit",
        object({{"size", number()}, {"root", text()}, {"records", list(text())}}, {"size", "root", "records"}));
  s.set("AuditCheckpoint", object(checkpoint, {"checkpoint", "key", "origin", "size", "root"}));
  json::Object consistency = checkpoint;
  consistency.set("from", number());
  consistency.set("path", list(text()));
  s.set("AuditConsistency", object(std::move(consistency), {"checkpoint", "key", "size", "from", "path"}));
  const json::Value records =
      list(object({{"index", number()}, {"record", text()}, {"path", list(text())}}, {"index", "record", "path"}));
  s.set("AuditProof", object({{"format", text()}, {"records", records}, {"checkpoint", text()}, {"key", text()}},
                             {"format", "records", "checkpoint"}));
  s.set("Receipt", object({{"format", text()},
                           {"statement", text()},
                           {"tenant", text()},
                           {"grant", text()},
                           {"principal", text()},
                           {"target", text()},
                           {"account", text()},
                           {"created_at", time()},
                           {"cut_at", time()},
                           {"end_reason", text()},
                           {"verified_absent_at", time()},
                           {"records", records},
                           {"checkpoint", text()},
                           {"key", text()}},
                          {"format", "statement", "grant", "records", "checkpoint"}));
  s.set("ScimUser", object({{"schemas", list(text())},
                            {"id", text()},
                            {"userName", text()},
                            {"externalId", text()},
                            {"displayName", text()},
                            {"name", any()},
                            {"emails", list(any())},
                            {"active", flag()},
                            {"meta", any()}},
                           {"userName"}));
  s.set("ScimGroup", object({{"schemas", list(text())},
                             {"id", text()},
                             {"displayName", text()},
                             {"externalId", text()},
                             {"members", list(object({{"value", text()}}))},
                             {"meta", any()}},
                            {"displayName"}));
  s.set("ScimPatch",
        object({{"schemas", list(text())},
                {"Operations", list(object({{"op", text()}, {"path", text()}, {"value", json::Object()}}, {"op"}))}},
               {"Operations"}));
  s.set("ScimList", object({{"schemas", list(text())},
                            {"totalResults", number()},
                            {"startIndex", number()},
                            {"itemsPerPage", number()},
                            {"Resources", list(any())}},
                           {"totalResults"}));
  s.set("ScimDocument", any());
  s.set("ScimError",
        object({{"schemas", list(text())}, {"status", text()}, {"scimType", text()}, {"detail", text()}}, {"status"}));
  s.set("Version", object({{"version", text()}}, {"version"}));
  s.set("OpenApi", any());
  return s;
}

json::Value content(std::string_view media, std::string_view schema) {
  return json::Object{{std::string(media), json::Object{{"schema", ref(schema)}}}};
}

json::Value operation(const Route& route) {
  json::Array parameters;
  for (std::size_t at = route.path.find('{'); at != std::string::npos; at = route.path.find('{', at + 1))
    parameters.push_back(json::Object{{"name", route.path.substr(at + 1, route.path.find('}', at) - at - 1)},
                                      {"in", "path"},
                                      {"required", true},
                                      {"schema", text()}});
  for (const auto& name : route.query)
    parameters.push_back(json::Object{{"name", name}, {"in", "query"}, {"schema", text()}});
  const bool scim = route.need == Need::scim;
  const std::string_view media = scim ? "application/scim+json" : "application/json";
  json::Object ok{{"description", "Done"}};
  if (!route.answer.empty()) ok.set("content", content(media, route.answer));
  const bool event = route.body == "SecurityEventToken";
  const bool created = route.answer == "Credential" || (scim && route.method == "POST");
  json::Object problem{{"description", "A problem (RFC 9457): the check that failed and what to do"},
                       {"content", content("application/problem+json", "Problem")}};
  if (scim)
    problem = {{"description", "An error (RFC 7644 section 3.12): what failed and what to do"},
               {"content", content(media, "ScimError")}};
  json::Object responses{{created                        ? "201"
                          : event                        ? "202"
                          : scim && route.answer.empty() ? "204"
                                                         : "200",
                          std::move(ok)},
                         {"default", std::move(problem)}};
  std::string id;
  for (const char c : route.method + route.path) id += (c == '/' || c == '{' || c == '}' || c == '.') ? '_' : c;
  json::Object out{{"operationId", std::move(id)}, {"summary", route.summary}, {"responses", std::move(responses)}};
  if (!parameters.empty()) out.set("parameters", std::move(parameters));
  if (!route.body.empty())
    out.set("requestBody",
            json::Object{{"required", true},
                         {"content", content(event                          ? "application/secevent+jwt"
                                             : route.body.ends_with("Form") ? "application/x-www-form-urlencoded"
                                                                            : media,
                                             route.body)}});
  if (route.need != Need::nothing) out.set("security", json::Array{json::Object{{"bearer", json::Array{}}}});
  if (scim) out.set("description", "Needs a token of the provider's [idp.scim] table; a login's is none.");
  if (route.need == Need::administer)
    out.set("description", "Needs Action::\"administer\" on the tenant, or the operator's socket.");
  return out;
}

}  // namespace

json::Value Api::openapi() {
  json::Object paths;
  for (const auto& route : routes()) {
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    json::Object item;
    if (const json::Value* old = paths.find(route.path)) item = *old->as_object();
    item.set(method, operation(route));
    paths.set(route.path, std::move(item));
  }
  return json::Object{
      {"openapi", "3.1.0"},
      {"info", json::Object{{"title", "Daypass"},
                            {"version", DAYPASS_VERSION},
                            {"license", json::Object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"paths", std::move(paths)},
      {"components",
       json::Object{{"securitySchemes", json::Object{{"bearer", json::Object{{"type", "http"}, {"scheme", "bearer"}}}}},
                    {"schemas", schemas()}}}};
}

}  // namespace daypass::api
