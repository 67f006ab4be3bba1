// What an operator wrote about a PostgreSQL target and its roles, as typed values. Strict: an unknown key is an error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/spec.h"

namespace daypass::target::postgres {

struct TargetSettings {
  std::string host;
  std::uint16_t port = 5432;
  std::string database;
  std::string maintenance_database;
  std::string admin_user;
  core::SecretRef admin_password;  ///< empty: certificate login
  std::string admin_cert, admin_key;
  std::string ca_file;  ///< empty: the system's
  std::string gate_cert, gate_key;
  bool tls = true;
  bool functions = false;    ///< the admin login is confined and works through installed functions
  bool public_only = false;  ///< the host must be an address of the internet, whatever its name leads to
  [[nodiscard]] bool unix_socket() const noexcept { return host.starts_with('/'); }
};

struct RoleSettings {
  std::string group;
  std::string creates;  ///< empty: what a session made is dropped
};

/// What one account gets: the groups of all its roles, and the one role that inherits its tables.
struct Membership {
  std::vector<std::string> groups;  ///< sorted, unique, not empty
  std::string heir;                 ///< empty: none
  bool operator==(const Membership&) const = default;
  auto operator<=>(const Membership&) const = default;
};

/// Where the system keeps its trust anchors; libpq of PostgreSQL 15 can't be told to use OpenSSL's own.
inline constexpr const char* system_ca_file = "/etc/ssl/certs/ca-certificates.crt";

/// Errors: "target.setting", with the key and a hint.
base::Result<TargetSettings> parse_target(const core::TargetSpec& spec);
base::Result<RoleSettings> parse_role(const core::RoleSpec& role);
/// Errors: "target.setting"; "pg.creates_conflict" when two roles name different heirs.
base::Result<Membership> membership_of(const std::vector<core::RoleSpec>& roles);

}  // namespace daypass::target::postgres
