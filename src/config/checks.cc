#include "config/checks.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/json.h"
#include "config/config.h"

namespace daypass::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}

template <class Allowed>
bool all_of(std::string_view text, Allowed allowed) {
  return std::all_of(text.begin(), text.end(), allowed);
}

bool is_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || text.front() == '0' || !all_of(text, is_digit)) return false;
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value <= 65535;
}

Verdict no_longer_than(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::nullopt;
  return Complaint{"has " + std::to_string(text.size()) + " bytes, more than " + std::to_string(most), {}};
}

Verdict between_1_and(std::string_view text, std::size_t most) {
  if (text.empty()) return Complaint{"is empty", {}};
  return no_longer_than(text, most);
}

// TLS everywhere, but for what never leaves this machine.
Verdict safe_scheme(const Url& url, std::string_view text) {
  if (url.scheme == "https" || is_loopback(url.host)) return std::nullopt;
  return Complaint{"must begin with https://, because " + shown(url.host) + " is not this machine, not " + shown(text),
                   {}};
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

std::string clip(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0U) == 0x80U) --bytes;
  return std::string(text.substr(0, bytes)) + "…";
}

std::string shown(std::string_view text) {
  return base::json::quote(clip(text, 80));
}

bool has_control(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_dns_name(std::string_view text) noexcept {
  if (text.empty() || text.size() > 253) return false;
  std::string_view last;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('.', begin), text.size());
    last = text.substr(begin, end - begin);
    if (last.empty() || last.size() > 63 || last.front() == '-' || last.back() == '-') return false;
    if (!all_of(last, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; })) return false;
    begin = end + 1;
  }
  return !all_of(last, is_digit);
}

bool is_ipv6(std::string_view text) noexcept {
  if (text.size() > 45 || text.find('\0') != std::string_view::npos) return false;
  std::array<char, 46> zero_ended{};
  std::memcpy(zero_ended.data(), text.data(), text.size());
  in6_addr six{};
  return inet_pton(AF_INET6, zero_ended.data(), &six) == 1;
}

bool is_ip(std::string_view text) noexcept {
  if (is_ipv6(text)) return true;
  if (text.size() > 15 || text.find('\0') != std::string_view::npos) return false;
  std::array<char, 16> zero_ended{};
  std::memcpy(zero_ended.data(), text.data(), text.size());
  in_addr four{};
  return inet_pton(AF_INET, zero_ended.data(), &four) == 1;
}

bool is_wildcard(std::string_view ip) noexcept {
  if (ip == "0.0.0.0") return true;
  // Every spelling of the unspecified IPv6 address is zeros and colons, and nothing else is.
  return is_ipv6(ip) && ip.find_first_not_of("0:") == std::string_view::npos;
}

bool is_loopback(std::string_view host) noexcept {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") return true;
  if (is_ipv6(host)) {
    // ::1 in any spelling: zeros and colons, then a 1 that ends its group.
    return host.back() == '1' && host.substr(0, host.size() - 1).find_first_not_of("0:") == std::string_view::npos;
  }
  return is_ip(host) && host.starts_with("127.");
}

std::optional<Url> split_url(std::string_view text) noexcept {
  if (text.size() > 2048 || !all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '\\' && c != '"'; }))
    return {};
  Url out;
  for (const std::string_view scheme : {"https", "http"})
    if (text.starts_with(scheme) && text.substr(scheme.size()).starts_with("://")) {
      out.scheme = scheme;
      break;
    }
  if (out.scheme.empty()) return {};
  text.remove_prefix(out.scheme.size() + 3);
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  std::string_view authority = text.substr(0, end);
  out.rest = text.substr(end);
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return {};
    out.host = authority.substr(1, close - 1);
    if (!is_ipv6(out.host)) return {};
    authority.remove_prefix(close + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    out.host = authority.substr(0, colon);
    if (!is_dns_name(out.host) && (!is_ip(out.host) || is_ipv6(out.host))) return {};
    authority.remove_prefix(colon);
  }
  if (!authority.empty()) {
    out.port = authority.substr(1);
    if (authority.front() != ':' || !is_port(out.port)) return {};
  }
  return out;
}

namespace check {

Verdict any(std::string_view) {
  return std::nullopt;
}
Verdict filled(std::string_view text) {
  return between_1_and(text, max_string_bytes);
}
Verdict display(std::string_view text) {
  return between_1_and(text, 100);
}
Verdict description(std::string_view text) {
  return no_longer_than(text, 500);
}
Verdict path(std::string_view text) {
  return between_1_and(text, max_string_bytes);
}

Verdict absolute_path(std::string_view text) {
  if (!text.starts_with('/'))
    return Complaint{"must be an absolute path, not " + shown(text),
                     "the server reads it, from wherever it was started; write it like /etc/daypass/ca.pem"};
  return std::nullopt;
}

Verdict public_url(std::string_view text) {
  const char* example = "write it like https://daypass.example";
  const auto url = split_url(text);
  if (!url) return Complaint{"must be an https URL, not " + shown(text), example};
  if (auto unsafe = safe_scheme(*url, text)) return unsafe;
  if (url->rest == "/")
    return Complaint{"must not end with a slash", "write " + std::string(text.substr(0, text.size() - 1))};
  if (!url->rest.empty()) return Complaint{"must be scheme, host and port only, not " + shown(text), example};
  // Browsers leave the default port out of an origin, and origins are compared.
  if (url->port == (url->scheme == "https" ? "443" : "80"))
    return Complaint{"must not name the default port", "leave out :" + std::string(url->port)};
  return std::nullopt;
}

Verdict public_host(std::string_view text) {
  if ((is_dns_name(text) || is_ip(text)) && !is_wildcard(text)) return std::nullopt;
  return Complaint{"must be a host name or an IP address, not " + shown(text),
                   "write it like db.daypass.example, without a port"};
}

Verdict issuer(std::string_view text) {
  const auto url = split_url(text);
  if (!url)
    return Complaint{"must be an https URL, not " + shown(text),
                     "copy \"issuer\" from the provider's /.well-known/openid-configuration"};
  if (auto unsafe = safe_scheme(*url, text)) return unsafe;
  // OpenID Connect Discovery 1.0 section 3: no query or fragment component.
  if (url->rest.find_first_of("?#") != std::string_view::npos)
    return Complaint{"must not hold a query or fragment", {}};
  if (url->rest.ends_with("/.well-known/openid-configuration"))
    return Complaint{"is the address of the discovery document, not the issuer",
                     "leave out /.well-known/openid-configuration"};
  return std::nullopt;
}

Verdict transmitter(std::string_view text) {
  const auto url = split_url(text);
  if (!url)
    return Complaint{"must be an https URL, not " + shown(text),
                     "copy \"issuer\" from the transmitter's /.well-known/ssf-configuration"};
  if (auto unsafe = safe_scheme(*url, text)) return unsafe;
  if (url->rest.find_first_of("?#") != std::string_view::npos)
    return Complaint{"must not hold a query or fragment", {}};
  if (url->rest.starts_with("/.well-known/"))
    return Complaint{"is the address of the configuration, not the issuer", "copy \"issuer\" from what is there"};
  return std::nullopt;
}

Verdict audience(std::string_view text) {
  if (auto bad = between_1_and(text, 1024)) return bad;
  if (all_of(text, [](char c) { return c > 0x20 && c < 0x7f; })) return std::nullopt;
  return Complaint{"must be visible ASCII without spaces", "copy \"aud\" from the stream's configuration"};
}

Verdict entity_id(std::string_view text) {
  const bool good = !text.empty() && text.size() <= 1024 && all_of(text, [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("\"<>\\^`{|}").find(c) == std::string_view::npos;
  });
  if (good) return std::nullopt;
  return Complaint{"must be a URI of at most 1024 visible characters, not " + shown(text), {}};
}

namespace {
/// "tenant:NAME", where it stands.
Verdict kept_here(std::string_view text) {
  if (!idp_name(text.substr(7))) return std::nullopt;
  return Complaint{"must name a secret of this tenant: 1 to 31 of a-z, 0-9 and -", "daypass secrets ls shows them"};
}
}  // namespace

Verdict file_ref(std::string_view text) {
  if (text.starts_with("tenant:")) return kept_here(text);
  if (text.starts_with("file:/") && text.size() > 6) return std::nullopt;
  return Complaint{"must name a file, not " + shown(text), "write it like \"file:/etc/daypass/corp.xml\""};
}

Verdict metadata(std::string_view text) {
  if (text.starts_with("file:") || text.starts_with("tenant:")) return file_ref(text);
  if (fetch_url(text))
    return Complaint{"must be an https URL or file:/path, not " + shown(text),
                     "the provider's administrator page shows the URL"};
  return std::nullopt;
}

Verdict fingerprint(std::string_view text) {
  std::size_t digits = 0;
  for (const char c : text) {
    if (c == ':') continue;
    if (!is_digit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F')) digits = 99;
    ++digits;
  }
  if (digits == 64) return std::nullopt;
  return Complaint{"must be a SHA-256 fingerprint, 64 digits of hexadecimal, not " + shown(text),
                   "openssl x509 -in idp.crt -noout -fingerprint -sha256"};
}

Verdict fetch_url(std::string_view text) {
  const auto url = split_url(text);
  if (!url || url->rest.find('#') != std::string_view::npos)
    return Complaint{"must be an https URL, not " + shown(text), {}};
  return safe_scheme(*url, text);
}

Verdict egress_host(std::string_view text) {
  if (is_dns_name(text) || is_ip(text)) return std::nullopt;
  return Complaint{"must list host names, not " + shown(text),
                   "lower case, without scheme and port, like sso.corp.internal"};
}

Verdict idp_name(std::string_view text) {
  const auto allowed = [](char c) { return is_lower(c) || is_digit(c) || c == '-'; };
  if (!text.empty() && text.size() <= 31 && text.front() != '-' && all_of(text, allowed)) return std::nullopt;
  return Complaint{"must be 1 to 31 of a-z, 0-9 and -, beginning with a letter or digit, not " + shown(text), {}};
}

Verdict mail_domain(std::string_view text) {
  // Anybody has an address there: none of them says which organisation somebody is from.
  constexpr auto everybodys = std::to_array<std::string_view>(
      {"126.com",      "163.com",        "aol.com",   "daum.net",       "duck.com",    "fastmail.com", "free.fr",
       "freenet.de",   "gmail.com",      "gmx.at",    "gmx.ch",         "gmx.com",     "gmx.de",       "gmx.net",
       "google.com",   "googlemail.com", "hey.com",   "hotmail.co.uk",  "hotmail.com", "hotmail.de",   "hotmail.fr",
       "icloud.com",   "libero.it",      "live.com",  "mac.com",        "mail.com",    "mail.ru",      "me.com",
       "msn.com",      "naver.com",      "orange.fr", "outlook.com",    "outlook.de",  "outlook.fr",   "pm.me",
       "proton.me",    "protonmail.com", "qq.com",    "rediffmail.com", "seznam.cz",   "t-online.de",  "tuta.com",
       "tutanota.com", "web.de",         "wp.pl",     "yahoo.co.jp",    "yahoo.co.uk", "yahoo.com",    "yahoo.de",
       "yahoo.fr",     "yandex.com",     "yandex.ru", "ymail.com",      "zoho.com"});
  if (!is_dns_name(text) || is_ip(text) || text.find('.') == std::string_view::npos)
    return Complaint{"must list domains, not " + shown(text), "lower case, without @, like example.com"};
  if (std::find(everybodys.begin(), everybodys.end(), text) != everybodys.end() || text.ends_with(".onmicrosoft.com"))
    return Complaint{"can't list " + shown(text) + ", where anybody may have an address",
                     "list domains that your organisation owns"};
  return std::nullopt;
}

Verdict client_id(std::string_view text) {
  if (auto bad = between_1_and(text, 255)) return bad;
  // RFC 6749 appendix A.1.
  if (all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; })) return std::nullopt;
  return Complaint{"must be printable ASCII", "copy it from the provider's application page"};
}

Verdict scope(std::string_view text) {
  // RFC 6749 section 3.3.
  const auto allowed = [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; };
  if (!text.empty() && text.size() <= 200 && all_of(text, allowed)) return std::nullopt;
  return Complaint{"must list single scopes, not " + shown(text), "write it like [\"profile\", \"email\"]"};
}

Verdict secret_ref(std::string_view text) {
  // Whatever stands here may be the secret itself: no message shows it.
  if (text.starts_with("tenant:")) return kept_here(text);
  if (text.starts_with("file:")) {
    if (text.substr(5).starts_with('/')) return std::nullopt;
    return Complaint{"must name a file by its absolute path", "write it like \"file:/etc/daypass/secret\""};
  }
  if (text.starts_with("env:")) {
    const std::string_view name = text.substr(4);
    const bool good = !name.empty() && name.size() <= 128 && !is_digit(name.front()) &&
                      all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
    if (good) return std::nullopt;
    return Complaint{"must name an environment variable", "write it like \"env:DAYPASS_CLIENT_SECRET\""};
  }
  return Complaint{
      "must say where the secret is, not what it is",
      "put it into a file that only the server can read and write \"file:/etc/daypass/secret\" (or \"env:NAME\"), or "
      "keep it here: daypass secrets set NAME, and \"tenant:NAME\""};
}

Verdict claim(std::string_view text) {
  if (auto bad = between_1_and(text, 256)) return bad;
  if (text.front() != '/') return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1')))
      return Complaint{"is not a JSON Pointer: " + shown(text), "in a pointer, write ~0 for ~ and ~1 for /"};
  return std::nullopt;
}

Verdict claim_or_empty(std::string_view text) {
  return text.empty() ? std::nullopt : claim(text);
}
Verdict pattern(std::string_view text) {
  return between_1_and(text, 256);
}

Verdict postgres_host(std::string_view text) {
  if (text.starts_with('/') || is_ip(text) || is_dns_name(lower(text))) return std::nullopt;
  return Complaint{"must be a host name, an IP address or the folder of a unix socket, not " + shown(text),
                   "the port has a key of its own"};
}

Verdict postgres_name(std::string_view text) {
  return between_1_and(text, 63);
}

Verdict postgres_role(std::string_view text) {
  if (auto bad = postgres_name(text)) return bad;
  if (text != "public" && text != "none" && !text.starts_with("pg_")) return std::nullopt;
  return Complaint{"can't be " + shown(text) + ": PostgreSQL keeps that name for itself", {}};
}

}  // namespace check

Verdict attribute_name(std::string_view name, std::span<const std::string_view> own) {
  constexpr std::array<std::string_view, 9> words{"true", "false", "if", "then", "else", "in", "is", "like", "has"};
  const bool identifier = !name.empty() && name.size() <= 64 && !is_digit(name.front()) &&
                          all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
  if (!identifier)
    return Complaint{"can't be an attribute: policies could not name it",
                     "use letters, digits and _, beginning with a letter, at most 64"};
  if (std::find(words.begin(), words.end(), name) != words.end() || name.find("__cedar") != std::string_view::npos)
    return Complaint{"can't be an attribute: it is a word of the policy language", "choose another name"};
  if (std::find(own.begin(), own.end(), name) != own.end())
    return Complaint{"can't be an attribute: Daypass itself says what it is", "choose another name"};
  return std::nullopt;
}

}  // namespace daypass::config
