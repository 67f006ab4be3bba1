// Sample records, and how tests unwrap results: for the store suite and for the drivers' own tests.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "store/store.h"

namespace daypass::store::conformance {

/// The value, or an exception that fails the test with the error's words.
template <class T>
T must(base::Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().check + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

/// "ok", or the check that failed.
template <class T>
std::string check_of(const base::Result<T>& result) {
  return result.ok() ? "ok" : result.error().check;
}

inline base::WallTime at(std::int64_t seconds) {
  return base::WallTime(base::Seconds(1'800'000'000 + seconds));
}
inline const core::TenantId north("north");
inline const core::TenantId south("south");

/// A valid grant id for each number.
inline core::GrantId grant_id(const core::TenantId& tenant, std::uint64_t number) {
  std::string id = "gr_";
  for (int i = 0; i < 26; ++i, number /= 26) id += static_cast<char>('a' + number % 26);
  return {tenant, id};
}

inline core::Grant make_grant(const core::TenantId& tenant, std::uint64_t number) {
  core::Grant g;
  g.id = grant_id(tenant, number);
  g.session = core::SessionId("ls_" + std::to_string(number));
  g.principal = "corp/person " + std::to_string(number);
  g.target = core::TargetId("pg/orders");
  g.roles = {core::RoleId("pg/orders/reader")};
  g.offers = {{"policy0", std::chrono::hours(1), std::chrono::minutes(10), 3}};
  g.opened_at = at(static_cast<std::int64_t>(number));
  g.ends_at = g.opened_at + std::chrono::hours(1);
  g.last_active = g.opened_at;
  g.account = "dp_x_" + g.id.id;
  return g;
}

inline core::Intent make_intent(const core::GrantId& grant, std::uint32_t seq, std::int64_t not_before = 0) {
  return {grant, seq, core::IntentKind::revoke, 0, at(not_before), {}};
}

inline Document make_document(const core::TenantId& tenant, std::string kind, std::string key,
                              std::string body = "{}") {
  return {tenant, std::move(kind), std::move(key), 0, std::move(body), {}};
}

inline core::AuditEvent make_event(const core::TenantId& tenant, std::string action = "grant.opened") {
  core::AuditEvent event;
  event.at = at(1);
  event.tenant = tenant;
  event.actor = "corp/8f3a";
  event.action = std::move(action);
  event.object = "pg/orders";
  event.outcome = "ok";
  event.facts = {{"roles", base::json::Array{"pg/orders/reader"}}, {"attempt", 3}};
  return event;
}

inline std::vector<std::string> keys_of(const std::vector<Document>& documents) {
  std::vector<std::string> out;
  for (const auto& d : documents) out.push_back(d.key);
  return out;
}

}  // namespace daypass::store::conformance
