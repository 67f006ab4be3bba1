#include "idp/url.h"

#include <algorithm>

namespace daypass::idp {
namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool hex(char c) {
  return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// Visible ASCII without the characters that RFC 3986 gives no place, and that browsers and libraries read differently.
bool plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return c > 0x20 && c < 0x7f && std::string_view("\"<>\\^`{|}#").find(c) == std::string_view::npos;
  });
}

bool host_ok(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.front() == '[')
    return host.size() > 3 && host.back() == ']' &&
           std::ranges::all_of(host.substr(1, host.size() - 2), [](char c) { return hex(c) || c == ':' || c == '.'; });
  if (host.front() == '.' || host.find("..") != std::string_view::npos) return false;
  return std::ranges::all_of(host, [](char c) { return letter(c) || digit(c) || c == '-' || c == '.'; });
}

bool port_ok(std::string_view port) {
  if (port.empty() || port.size() > 5 || !std::ranges::all_of(port, digit) || port.front() == '0') return false;
  return std::stoul(std::string(port)) <= 65535;
}

}  // namespace

bool Url::loopback() const {
  if (host == "localhost" || host == "[::1]") return true;
  if (!host.starts_with("127.")) return false;
  std::string_view rest = host;
  int parts = 0;
  for (; !rest.empty() && parts < 4; ++parts) {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, end);
    // No leading zero: some readers take it for octal.
    if (part.empty() || part.size() > 3 || !std::ranges::all_of(part, digit) || (part.size() > 1 && part[0] == '0') ||
        std::stoi(std::string(part)) > 255)
      return false;
    if (end == rest.size()) return parts == 3;
    rest.remove_prefix(end + 1);
  }
  return false;
}

std::optional<Url> parse_url(std::string_view text) {
  if (text.size() > max_url_bytes || !plain(text)) return std::nullopt;
  Url url;
  if (text.starts_with("https://")) {
    url.https = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, end);
  text.remove_prefix(end);
  if (authority.find('@') != std::string_view::npos) return std::nullopt;
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    url.port = authority.substr(colon + 1);
    if (!port_ok(url.port)) return std::nullopt;
    authority = authority.substr(0, colon);
  }
  if (!host_ok(authority)) return std::nullopt;
  url.host = authority;
  std::ranges::transform(url.host, url.host.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const std::size_t question = std::min(text.find('?'), text.size());
  url.path = text.substr(0, question);
  if (question < text.size()) url.query = text.substr(question + 1);
  return url;
}

bool acceptable(const Url& url, bool loopback_http) {
  return url.https || (loopback_http && url.loopback());
}

std::string form_encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (letter(c) || digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += digits[byte >> 4U];
      out += digits[byte & 15U];
    }
  }
  return out;
}

std::string form(const std::vector<std::pair<std::string_view, std::string_view>>& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out += '&';
    out += form_encode(name);
    out += '=';
    out += form_encode(value);
  }
  return out;
}

}  // namespace daypass::idp
