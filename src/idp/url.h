// URLs as this room needs them: strict enough that what was checked is what will be fetched, and forms of OAuth.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace daypass::idp {

constexpr std::size_t max_url_bytes = 2048;

struct Url {
  bool https = false;
  std::string host;   ///< as written, lower case; "[::1]" keeps its brackets
  std::string port;   ///< empty when not written
  std::string path;   ///< with its leading "/", or empty
  std::string query;  ///< without "?"; empty when not there
  /// localhost, an address of 127.0.0.0/8 in its four decimal parts, or [::1].
  [[nodiscard]] bool loopback() const;
};

/// An absolute http or https URL of visible ASCII, without user information, fragment or backslash, host and port well
/// formed. nullopt on anything else: no repair, since two readers of a repaired URL may differ.
std::optional<Url> parse_url(std::string_view text);

/// https, or http to loopback when `loopback_http`.
bool acceptable(const Url& url, bool loopback_http);

/// application/x-www-form-urlencoded of one value: all but [A-Za-z0-9-._~] as %XX.
std::string form_encode(std::string_view text);
/// "a=b&c=d".
std::string form(const std::vector<std::pair<std::string_view, std::string_view>>& fields);

}  // namespace daypass::idp
