// Text files become typed values here: daypass.toml (the server's) and a tenant's folder. Strict: an unknown key, a
// wrong type or a broken value is an error with file, line and a hint; all of them are reported in one run.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/spec.h"

namespace daypass::config {

/// One thing wrong in a file. Never holds the text of a secret.
struct Problem {
  std::string file;          ///< "environment" for what came from there
  std::size_t line = 0;      ///< 1-based; 0: the file as a whole
  std::size_t column = 0;    ///< 1-based, in code points
  std::string message;       ///< `unknown key "isuer"`
  std::string hint;          ///< `did you mean "issuer"?`
  std::string excerpt = {};  ///< the line itself and a caret below it, for policies; may be empty
  /// `tenant.toml:14: unknown key "isuer", did you mean "issuer"?`; with an excerpt the column too, then the excerpt,
  /// then the hint, a line each.
  [[nodiscard]] std::string render() const;
  bool operator==(const Problem&) const = default;
};

template <class T>
struct Parsed {
  T value;
  std::vector<Problem> problems;  ///< empty when the value may be used
  [[nodiscard]] bool ok() const noexcept { return problems.empty(); }
};

/// Bounds, checked before any work is done on what they bound.
inline constexpr std::size_t max_file_bytes = std::size_t{1} << 20U;
inline constexpr std::size_t max_files = 200;
inline constexpr std::size_t max_folder_bytes = std::size_t{16} << 20U;
/// Reporting stops there, and says so.
inline constexpr std::size_t max_problems = 500;

/// A listening address: "127.0.0.1:8420", "[::1]:8420", "0.0.0.0:6432". Port 0 asks for a free one.
struct Listen {
  std::string host;  ///< IPv4 or IPv6 literal, without brackets
  std::uint16_t port = 0;
  /// "127.0.0.1:8420", "[::1]:8420".
  [[nodiscard]] std::string str() const;
  bool operator==(const Listen&) const = default;
};

/// Error: "config.listen".
base::Result<Listen> parse_listen(std::string_view text);

/// True for 127.0.0.0/8, ::1 and the name "localhost" (RFC 6761 section 6.3); brackets around an IPv6 literal are
/// allowed.
bool is_loopback(std::string_view host) noexcept;

/// daypass.toml. The initial values are the defaults that the reference shows.
struct ServerConfig {
  // [server]
  std::string data_dir = "/var/lib/daypass";  ///< holds store, keys, the operator's socket
  std::string witness;                        ///< file; empty: witness.json in data_dir
  std::string public_url;  ///< what browsers and identity providers see, e.g. https://daypass.example
  unsigned threads = 0;    ///< io threads; 0 = one per core
  // [api]
  Listen api{"127.0.0.1", 8420};
  std::string api_cert, api_key;  ///< PEM files; required unless `api` is loopback
  // [gate.postgres]
  Listen gate_postgres{"127.0.0.1", 6432};
  std::string gate_cert, gate_key;  ///< empty: a self-signed P-256 certificate is made in data_dir
  /// What clients connect to. When it is not set: the listen host, or public_url's host where that is a wildcard.
  std::string gate_public_host;
  // [log]
  std::string log_level = "info";  ///< debug, info, warn, error
  // [store]
  int store_reserve_mib = 64;
  int store_min_free_mib = 128;
  // [limits]
  int max_connections = 2000;
  int max_connections_per_address = 200;
  bool operator==(const ServerConfig&) const = default;
};

/// Parses daypass.toml. `file` is only for messages. Relative paths stay as written. Each key may be overridden by
/// `env` (a copy of the process environment): DAYPASS_SECTION__KEY, two underscores for each dot. The rules that span
/// keys are judged on the outcome, so a file may leave to the environment what it needs.
Parsed<ServerConfig> parse_server(std::string_view text, std::string file,
                                  const std::map<std::string, std::string>& env = {});

/// Overrides keys of a finished config and judges all rules again. A name that begins with "DAYPASS" and holds two
/// underscores in a row but names no key is a problem; every other name is ignored. On a problem `config` is unchanged.
std::vector<Problem> apply_env(ServerConfig& config, const std::map<std::string, std::string>& env);

/// Parses a tenant's folder: `files` maps names relative to the folder ("tenant.toml", "policies/read.cedar", several
/// *.toml allowed) to their text. Policies are only collected here; the Cedar parser judges them later. A name with a
/// leading dot in any part, and a file that is neither TOML nor policy, is ignored; a policy or TOML file where nobody
/// would read it is a problem. `value.version` is 0: the store counts versions.
Parsed<core::TenantSpec> parse_tenant(const core::TenantId& tenant, const std::map<std::string, std::string>& files);

/// Reads what parse_tenant wants from a folder: *.toml and all of policies/. Follows symbolic links to files.
/// Errors: "config.folder", "config.file", "config.too_large", "config.too_many".
base::Result<std::map<std::string, std::string>> read_folder(const std::string& path);
/// One file of at most `max_file_bytes`. Errors: "config.file", "config.too_large".
base::Result<std::string> read_file(const std::string& path);

/// Attribute names that no mapping, target or role may take: what Daypass itself says about each.
std::span<const std::string_view> own_principal_attributes() noexcept;
std::span<const std::string_view> own_target_attributes() noexcept;
std::span<const std::string_view> own_role_attributes() noexcept;

/// The spec as the store keeps it ("v": 1, fixed order of members), and back. Strict: every member must be there, once,
/// with its type. Error: "tenant.shape".
base::json::Value to_json(const core::TenantSpec& spec);
base::Result<core::TenantSpec> tenant_from_json(const base::json::Value& value);
/// What a spec's JSON text may measure: for base::json::parse.
inline constexpr base::json::Limits spec_limits{std::size_t{64} << 20U, 32, 4'000'000, 1024};

/// One key as the reference shows it.
struct KeyInfo {
  std::string section;   ///< "[server]", "[[idp]]", "[idp.attributes]"
  std::string key;       ///< "data_dir"
  std::string type;      ///< "string", "integer", "duration", …
  std::string fallback;  ///< the default as TOML; empty: none
  bool required = false;
  std::string example;  ///< as TOML
  std::string meaning;
  std::string env;  ///< "DAYPASS_SERVER__DATA_DIR"; empty in a tenant's files
};
/// Every key there is, from the tables that the parsers themselves use.
std::vector<KeyInfo> reference();
/// The reference's tables as Markdown, one per section, in the order of reference().
std::vector<std::pair<std::string, std::string>> reference_tables();

}  // namespace daypass::config
