#include "core/audit_ocsf.h"

namespace daypass::core {

namespace json = base::json;

namespace {

// Class and activity numbers are the schema's (category 3, Identity & Access Management).
constexpr int base_event = 0, account_change = 3001, authentication = 3002, entity_management = 3004,
              user_access = 3005, group_management = 3006;
constexpr int other = 99;

struct Mapping {
  std::string_view action;
  int class_uid;
  int activity_id;
};
constexpr Mapping mappings[] = {
    {"login.finished", authentication, 1},
    {"login.failed", authentication, 1},
    {"login.offered", authentication, other},
    {"login.confirmed", authentication, other},
    {"login.renewed", authentication, other},
    {"login.stale", authentication, other},
    {"login.revoked", authentication, other},
    {"login.ended", authentication, 2},
    {"logout.provider", authentication, 2},
    {"signal.*", authentication, other},
    {"access.denied", user_access, 1},
    {"credential.issued", user_access, other},
    {"grant.opened", user_access, 1},
    {"grant.active", user_access, 1},
    {"grant.extended", user_access, other},
    {"grant.extend_retry", user_access, other},
    {"grant.redecided", user_access, other},
    {"grant.ended", user_access, 2},
    {"grant.revoke_retry", user_access, 2},
    {"grant.closed", user_access, 2},
    {"scim.user_created", account_change, 1},
    {"scim.user_activated", account_change, 2},
    {"scim.user_deactivated", account_change, 5},
    {"scim.user_deleted", account_change, 6},
    {"scim.user_updated", account_change, other},
    {"scim.group_created", group_management, 6},
    {"scim.group_deleted", group_management, 5},
    {"scim.group_updated", group_management, other},
    {"tenant.created", entity_management, 1},
    {"tenant.changed", entity_management, 3},
    {"tenant.applied", entity_management, 3},
    {"tenant.deleting", entity_management, 4},
    {"tenant.deleted", entity_management, 4},
    {"secret.set", entity_management, 1},
    {"secret.replaced", entity_management, 3},
    {"secret.removed", entity_management, 4},
    {"audit.key_made", entity_management, 1},
    {"domain.proven", entity_management, 3},
    {"domain.lapsed", entity_management, 3},
    {"idp.tested", entity_management, 2},
    {"person.erasing", entity_management, 4},
    {"person.erased", entity_management, 4},
    {"orphan.found", entity_management, 2},
    {"orphan.removing", entity_management, 4},
    {"orphan.removed", entity_management, 4},
    {"connection.opened", base_event, other},
    {"connection.closed", base_event, other},
    {"connection.lost", base_event, other},
    {"connection.activity", base_event, other},
};

Mapping mapping_of(std::string_view action) {
  for (const Mapping& m : mappings)
    if (m.action == action || (m.action.ends_with(".*") && action.starts_with(m.action.substr(0, m.action.size() - 1))))
      return m;
  return {action, base_event, other};
}

constexpr const char* erased = "erased";

/// Who stood there was erased (store/audit_leaf.h).
bool erased_here(const AuditEvent& event, const std::string& name) {
  const auto it = event.covers.find(name);
  return it != event.covers.end() && !it->second.digest.empty();
}

json::Object user_of(const AuditEvent& event, const json::Value& facts) {
  if (erased_here(event, std::string(covered_fact) + "principal")) return {{"uid", erased}, {"name", erased}};
  const std::string principal =
      facts.string_or("principal", event.actor.find('/') == std::string::npos ? "" : event.actor);
  if (principal.empty() && erased_here(event, std::string(covered_actor))) return {{"uid", erased}, {"name", erased}};
  // The schema wants a user where there is none yet, such as of a sign-in that failed.
  if (principal.empty()) return {{"name", "unknown"}};
  return {{"uid", principal}, {"name", principal}};
}

void add_class(json::Object& out, const AuditEvent& event, const Mapping& m, const json::Value& facts) {
  switch (m.class_uid) {
    case authentication:
      out.set("user", user_of(event, facts));
      out.set("service", json::Object{{"name", "Daypass"}});
      if (event.object.starts_with("ls_")) out.set("session", json::Object{{"uid", event.object}});
      break;
    case user_access: {
      out.set("user", user_of(event, facts));
      const json::Value* roles = facts.find("roles");
      if (roles != nullptr && roles->as_array() != nullptr) out.set("privileges", *roles);
      const std::string target = facts.string_or("target", event.object);
      out.set("resources", json::Array{json::Object{{"uid", target}, {"name", target}}});
      break;
    }
    case account_change:
      out.set("user", json::Object{{"uid", event.object}});
      break;
    case group_management:
      out.set("group", json::Object{{"uid", event.object}});
      break;
    case entity_management:
      out.set("entity", json::Object{{"uid", event.object}, {"type", event.action.substr(0, event.action.find('.'))}});
      break;
    default:
      break;
  }
}

}  // namespace

json::Object to_ocsf(const AuditEvent& event, std::string_view product_version) {
  const Mapping m = mapping_of(event.action);
  const bool good = event.outcome == "ok";
  const json::Value facts(event.facts);
  json::Object out{
      {"metadata",
       json::Object{
           {"version", ocsf_version},
           {"product", json::Object{{"name", "Daypass"}, {"vendor_name", "Daypass"}, {"version", product_version}}},
           {"log_name", "audit"},
           {"tenant_uid", event.tenant.str()},
           {"uid", event.tenant.str() + "/" + std::to_string(event.seq)},
           {"sequence", event.seq},
           {"event_code", event.action}}},
      {"time", static_cast<std::int64_t>(event.at.time_since_epoch().count())},
      {"category_uid", m.class_uid / 1000},
      {"class_uid", m.class_uid},
      {"activity_id", m.activity_id},
      {"type_uid", m.class_uid * 100 + m.activity_id},
      {"severity_id", good ? 1 : 3},
      {"status_id", good ? 1 : 2},
      {"status", event.outcome},
      {"message", event.action + " " + event.object}};
  if (m.activity_id == other) out.set("activity_name", event.action);
  if (const std::string why = facts.string_or("why"); !why.empty()) out.set("status_detail", why);
  if (const std::string check = facts.string_or("check"); !check.empty()) out.set("status_code", check);
  const std::string actor = erased_here(event, std::string(covered_actor)) ? erased : event.actor;
  out.set("actor", actor == "daypass" ? json::Object{{"app_name", "daypass"}}
                                      : json::Object{{"user", json::Object{{"uid", actor}}}});
  add_class(out, event, m, facts);
  out.set("unmapped", facts);
  out.set("raw_data", canonical(event));
  return out;
}

std::vector<std::string_view> ocsf_actions() {
  std::vector<std::string_view> out;
  for (const Mapping& m : mappings) out.push_back(m.action);
  return out;
}

}  // namespace daypass::core
