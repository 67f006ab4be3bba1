#include "target/postgres/settings.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/encoding.h"
#include "target/postgres/names.h"

namespace daypass::target::postgres {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

constexpr std::array<std::string_view, 14> target_keys{"host",        "port",
                                                       "database",    "maintenance_database",
                                                       "admin_user",  "admin_password",
                                                       "admin_cert",  "admin_key",
                                                       "ca_file",     "tls",
                                                       "gate_cert",   "gate_key",
                                                       "public_only", "broker"};
constexpr std::array<std::string_view, 2> role_keys{"group", "creates"};

Error wrong(const std::string& where, std::string message, std::string hint = {}) {
  return {Code::invalid, "target.setting", where + ": " + std::move(message), std::move(hint)};
}

template <class Keys>
Status known_keys(const std::string& where, const base::json::Object& settings, const Keys& keys) {
  for (const auto& [key, value] : settings) {
    if (std::ranges::find(keys, key) != keys.end()) continue;
    const std::string near = base::nearest(key, keys);
    return wrong(where, "unknown key \"" + key + "\"", near.empty() ? "" : "did you mean \"" + near + "\"?");
  }
  return {};
}

/// The string under `key`; empty when it is missing.
Result<std::string> text(const std::string& where, const base::json::Object& settings, std::string_view key) {
  const auto* value = settings.find(key);
  if (value == nullptr) return std::string();
  const auto* string = value->as_string();
  if (string == nullptr)
    return wrong(where, std::string(key) + " must be a string, not " + std::string(value->type_name()));
  if (string->empty()) return wrong(where, std::string(key) + " is empty", "leave the key out or give it a value");
  if (std::ranges::any_of(*string, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return wrong(where, std::string(key) + " has a control character in it");
  return *string;
}

bool is_loopback(const std::string& host) {
  if (host.starts_with('/') || host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127U;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6) != 0;
}

Status check_identifier(const std::string& where, const char* key, const std::string& value) {
  if (is_identifier(value)) return {};
  return wrong(where, std::string(key) + " \"" + value + "\" is no name that may be used",
               "1 to 63 bytes, not public, none or pg_…");
}

Status pair(const std::string& where, const char* a, const std::string& first, const char* b,
            const std::string& second) {
  if (first.empty() == second.empty()) return {};
  return wrong(where, std::string(a) + " and " + b + " go together");
}

Status check_transport(const std::string& where, TargetSettings& out, const std::string& mode) {
  if (mode == "loopback") {
    if (!is_loopback(out.host))
      return wrong(where,
                   "tls = \"loopback\" is for unix sockets and loopback addresses, and \"" + out.host + "\" is neither",
                   "use tls = \"verify\"");
    out.tls = false;
    return {};
  }
  if (mode != "verify" && !mode.empty())
    return wrong(where, "tls must be \"verify\" or \"loopback\"",
                 "there is no way to leave the check out on a network");
  if (out.unix_socket()) return wrong(where, "a unix socket has no TLS", "use tls = \"loopback\"");
  return {};
}

}  // namespace

Result<TargetSettings> parse_target(const core::TargetSpec& spec) {
  const std::string& where = spec.id.str();
  const auto& settings = spec.settings;
  DP_CHECK(known_keys(where, settings, target_keys));
  TargetSettings out;
  DP_TRY(out.host, text(where, settings, "host"));
  if (out.host.empty()) return wrong(where, "host is missing");
  if (const auto* port = settings.find("port"); port != nullptr) {
    const auto* number = port->as_int();
    if (number == nullptr || *number < 1 || *number > 65535)
      return wrong(where, "port must be a number from 1 to 65535");
    out.port = static_cast<std::uint16_t>(*number);
  }
  DP_TRY(out.database, text(where, settings, "database"));
  if (out.database.empty()) return wrong(where, "database is missing");
  DP_TRY(out.maintenance_database, text(where, settings, "maintenance_database"));
  if (out.maintenance_database.empty()) out.maintenance_database = out.database;
  if (out.database.size() > 63 || out.maintenance_database.size() > 63)
    return wrong(where, "a database's name has at most 63 bytes");
  DP_TRY(out.admin_user, text(where, settings, "admin_user"));
  if (out.admin_user.empty()) return wrong(where, "admin_user is missing");
  DP_CHECK(check_identifier(where, "admin_user", out.admin_user));
  DP_TRY(out.admin_password.ref, text(where, settings, "admin_password"));
  if (!out.admin_password.ref.empty() && !out.admin_password.ref.starts_with("file:") &&
      !out.admin_password.ref.starts_with("env:") && !out.admin_password.ref.starts_with("tenant:"))
    return wrong(where, "admin_password must be a reference",
                 "write \"file:/path\", \"env:NAME\" or \"tenant:NAME\", never the password");
  DP_TRY(out.admin_cert, text(where, settings, "admin_cert"));
  DP_TRY(out.admin_key, text(where, settings, "admin_key"));
  DP_TRY(out.ca_file, text(where, settings, "ca_file"));
  DP_TRY(out.gate_cert, text(where, settings, "gate_cert"));
  DP_TRY(out.gate_key, text(where, settings, "gate_key"));
  DP_TRY(const std::string broker, text(where, settings, "broker"));
  if (!broker.empty() && broker != "login" && broker != "functions")
    return wrong(where, "broker must be \"login\" or \"functions\"",
                 "\"functions\": the admin login is confined, see daypass target installer");
  out.functions = broker == "functions";
  DP_TRY(const std::string mode, text(where, settings, "tls"));
  if (const auto* only = settings.find("public_only"); only != nullptr) {
    if (only->as_bool() == nullptr) return wrong(where, "public_only must be true or false");
    out.public_only = *only->as_bool();
    if (out.public_only && out.unix_socket())
      return wrong(where, "a unix socket is no address of the internet",
                   "the operator says which hosts of a private network a tenant may name: daypass tenants set");
  }
  DP_CHECK(pair(where, "admin_cert", out.admin_cert, "admin_key", out.admin_key));
  DP_CHECK(pair(where, "gate_cert", out.gate_cert, "gate_key", out.gate_key));
  DP_CHECK(check_transport(where, out, mode));
  if (out.admin_password.ref.empty() && out.admin_cert.empty() && !out.unix_socket())
    return wrong(where, "admin_password is missing", "or give admin_cert and admin_key");
  return out;
}

Result<RoleSettings> parse_role(const core::RoleSpec& role) {
  const std::string& where = role.id.str();
  DP_CHECK(known_keys(where, role.settings, role_keys));
  RoleSettings out;
  DP_TRY(out.group, text(where, role.settings, "group"));
  if (out.group.empty()) return wrong(where, "group is missing", "the NOLOGIN role whose rights this role gives");
  DP_CHECK(check_identifier(where, "group", out.group));
  DP_TRY(out.creates, text(where, role.settings, "creates"));
  if (out.creates.empty()) return out;
  DP_CHECK(check_identifier(where, "creates", out.creates));
  if (out.creates == out.group)
    return wrong(where, "creates must not be the group itself", "else every session owns what the others made");
  return out;
}

Result<Membership> membership_of(const std::vector<core::RoleSpec>& roles) {
  if (roles.empty()) return Error{Code::invalid, "target.setting", "an account needs at least one role"};
  std::set<std::string> groups;
  Membership out;
  for (const auto& role : roles) {
    DP_TRY(const RoleSettings settings, parse_role(role));
    groups.insert(settings.group);
    if (settings.creates.empty()) continue;
    if (!out.heir.empty() && out.heir != settings.creates)
      return Error{Code::invalid, "pg.creates_conflict",
                   "roles of one grant name two heirs, " + out.heir + " and " + settings.creates,
                   "take these roles in two grants, or give them one heir"};
    out.heir = settings.creates;
  }
  if (groups.contains(out.heir))
    return Error{Code::invalid, "pg.creates_conflict", out.heir + " is a group and an heir at once"};
  out.groups.assign(groups.begin(), groups.end());
  return out;
}

}  // namespace daypass::target::postgres
