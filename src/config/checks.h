// What a single string may be: URLs, hosts, paths, secret references, names. Pure; each check gives the rest of the
// sentence `"key" …` and what to write instead.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace daypass::config {

struct Complaint {
  std::string predicate;  ///< `must be an https URL, not "ftp://x"`
  std::string hint;
};
using Verdict = std::optional<Complaint>;
using Check = Verdict (*)(std::string_view);

/// At most `bytes` of `text`, cut between characters. Requires UTF-8.
std::string clip(std::string_view text, std::size_t bytes);
/// `text` quoted for a message, control characters escaped, at most 80 bytes of it.
std::string shown(std::string_view text);

inline constexpr std::size_t max_string_bytes = 4096;
/// A-Z as a-z; all else as it is.
std::string lower(std::string_view text);
/// True when there is a control character in it.
bool has_control(std::string_view text) noexcept;

/// "[a-z0-9.-]" labels (RFC 1123 section 2.1), lower case; a last label of digits only is an address in disguise.
bool is_dns_name(std::string_view text) noexcept;
bool is_ip(std::string_view text) noexcept;
bool is_ipv6(std::string_view text) noexcept;
/// 0.0.0.0 and ::.
bool is_wildcard(std::string_view ip) noexcept;

struct Url {
  std::string_view scheme;  ///< "http" or "https"
  std::string_view host;    ///< without brackets
  std::string_view port;    ///< empty: the scheme's own
  std::string_view rest;    ///< path, query and fragment: "" or what begins with / ? or #
};
/// nullopt unless it is http(s) in lower case, a lower-case host, no user information, printable ASCII throughout.
std::optional<Url> split_url(std::string_view text) noexcept;

namespace check {
Verdict any(std::string_view);
Verdict filled(std::string_view text);
Verdict display(std::string_view text);
Verdict description(std::string_view text);
Verdict path(std::string_view text);
Verdict absolute_path(std::string_view text);
Verdict public_url(std::string_view text);
Verdict public_host(std::string_view text);
Verdict issuer(std::string_view text);
/// Of security events: an issuer, whose keys its configuration names.
Verdict transmitter(std::string_view text);
Verdict audience(std::string_view text);
/// Of SAML: any URI of visible characters.
Verdict entity_id(std::string_view text);
/// An https URL or file:/path.
Verdict metadata(std::string_view text);
Verdict file_ref(std::string_view text);
/// SHA-256 in hexadecimal, with or without colons.
Verdict fingerprint(std::string_view text);
Verdict fetch_url(std::string_view text);
Verdict egress_host(std::string_view text);
Verdict idp_name(std::string_view text);
/// Of e-mail addresses, and nobody's who gives addresses to everybody.
Verdict mail_domain(std::string_view text);
Verdict client_id(std::string_view text);
Verdict scope(std::string_view text);
Verdict secret_ref(std::string_view text);
/// A bare claim name or a JSON Pointer (RFC 6901).
Verdict claim(std::string_view text);
Verdict claim_or_empty(std::string_view text);
/// Length only: RE2 compiles it later.
Verdict pattern(std::string_view text);
Verdict postgres_host(std::string_view text);
/// An identifier as PostgreSQL stores it: 1 to 63 bytes.
Verdict postgres_name(std::string_view text);
/// A role's name: not public, none or pg_…, which PostgreSQL keeps for itself.
Verdict postgres_role(std::string_view text);
}  // namespace check

/// An attribute that Cedar can name as principal.<name>: an identifier, no reserved word, none of `own`.
Verdict attribute_name(std::string_view name, std::span<const std::string_view> own);

}  // namespace daypass::config
