// Text files become typed values here: daypass.toml (the server's) and a tenant's folder. Strict: an unknown key, a wrong
// type or a broken value is an error with file, line and a hint; all of them are reported in one run.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/spec.h"

namespace daypass::config {

/// One thing wrong in a file.
struct Problem {
  std::string file;
  std::size_t line = 0;    ///< 1-based; 0: the file as a whole
  std::size_t column = 0;
  std::string message;     ///< `unknown key "isuer"`
  std::string hint;        ///< `did you mean "issuer"?`
  /// `tenant.toml:14: unknown key "isuer", did you mean "issuer"?`
  [[nodiscard]] std::string render() const;
  bool operator==(const Problem&) const = default;
};

template <class T>
struct Parsed {
  T value;
  std::vector<Problem> problems;   ///< empty when the value may be used
  [[nodiscard]] bool ok() const noexcept { return problems.empty(); }
};

/// A listening address: "127.0.0.1:8420", "[::1]:8420", "0.0.0.0:6432". Port 0 asks for a free one.
struct Listen {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const Listen&) const = default;
};

/// daypass.toml.
struct ServerConfig {
  // [server]
  std::string data_dir;                ///< default /var/lib/daypass; holds store, keys, the operator's socket
  std::string public_url;              ///< what browsers and identity providers see, e.g. https://daypass.example
  unsigned threads = 0;                ///< io threads; 0 = one per core
  // [api]
  Listen api;                          ///< default 127.0.0.1:8420
  std::string api_cert, api_key;       ///< PEM files; required unless `api` is loopback
  // [gate.postgres]
  Listen gate_postgres;                ///< default 127.0.0.1:6432
  std::string gate_cert, gate_key;     ///< empty: a self-signed P-256 certificate is made in data_dir
  std::string gate_public_host;        ///< what clients connect to; default the listen host
  // [log]
  std::string log_level = "info";
  // [limits]
  int max_connections = 2000;
  int max_connections_per_address = 200;
};

/// Parses daypass.toml. `file` is only for messages. Relative paths stay as written.
Parsed<ServerConfig> parse_server(std::string_view text, std::string file);

/// Parses a tenant's folder: `files` maps names relative to the folder ("tenant.toml", "policies/read.cedar", several
/// *.toml allowed) to their text. Policies are only collected here; the Cedar parser judges them later.
Parsed<core::TenantSpec> parse_tenant(const core::TenantId& tenant, const std::map<std::string, std::string>& files);

/// The spec as the store keeps it, and back. Error: "tenant.shape".
base::json::Value to_json(const core::TenantSpec& spec);
base::Result<core::TenantSpec> tenant_from_json(const base::json::Value& value);

}  // namespace daypass::config
