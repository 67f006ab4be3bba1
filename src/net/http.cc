#include "net/http.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "base/encoding.h"

namespace daypass::net {

using base::Code;
using base::Error;
using base::Result;
using base::json::Object;
using base::json::Value;

namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
  return out;
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_alnum(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_control(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// Decodes %XX once; nullopt on a bad one.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

Error path_error(std::string why) {
  return Error(Code::invalid, "http.path", "the path of the URL " + std::move(why), "use the plain form of the path");
}

std::string_view media_type_of(std::string_view content_type) noexcept {
  return trim(content_type.substr(0, content_type.find(';')));
}

std::string_view title_of(Code code) noexcept {
  switch (code) {
    case Code::invalid:
      return "Invalid request";
    case Code::unauthenticated:
      return "Not signed in";
    case Code::denied:
      return "Denied";
    case Code::not_found:
      return "Not found";
    case Code::conflict:
      return "Conflict";
    case Code::unavailable:
      return "Unavailable";
    case Code::timeout:
      return "Timed out";
    case Code::exhausted:
      return "Limit reached";
    case Code::ended:
      return "Access ended";
    case Code::internal:
      return "Internal error";
  }
  return "Internal error";
}

bool is_token(std::string_view text) noexcept {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) { return is_alnum(c) || kMarks.contains(c); });
}

// RFC 6265 section 4.1.1
bool is_cookie_value(std::string_view text) noexcept {
  return std::ranges::all_of(
      text, [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\'; });
}

}  // namespace

const std::string* find(const Pairs& pairs, std::string_view name) noexcept {
  const auto at = std::ranges::find(pairs, name, [](const auto& pair) { return std::string_view(pair.first); });
  return at == pairs.end() ? nullptr : &at->second;
}

std::optional<std::string_view> HttpRequest::header(std::string_view name) const noexcept {
  const std::string* const value = find(headers, name);
  if (value == nullptr) return std::nullopt;
  return std::string_view(*value);
}

Result<std::optional<std::string>> HttpRequest::query_one(std::string_view name) const {
  std::optional<std::string> found;
  for (const auto& [key, value] : query) {
    if (key != name) continue;
    if (found)
      return Error(Code::invalid, "http.query_duplicate", "the query has " + std::string(name) + " more than once",
                   "give it once");
    found = value;
  }
  return found;
}

Result<std::string> HttpRequest::query_required(std::string_view name) const {
  DP_TRY(std::optional<std::string> found, query_one(name));
  if (!found) return Error(Code::invalid, "http.query_missing", "the query lacks " + std::string(name));
  return *std::move(found);
}

std::optional<std::string> HttpRequest::cookie(std::string_view name) const {
  const std::optional<std::string_view> all = header("cookie");
  std::optional<std::string> found;
  std::string_view rest = all.value_or(std::string_view());
  while (!rest.empty()) {
    const std::size_t end = rest.find(';');
    const std::string_view pair = trim(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    if (found) return std::nullopt;
    found = std::string(pair.substr(equals + 1));
  }
  return found;
}

std::optional<std::string_view> HttpRequest::bearer() const noexcept {
  const std::optional<std::string_view> value = header("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (!value || value->size() <= kScheme.size()) return std::nullopt;
  if (!std::ranges::equal(value->substr(0, kScheme.size()), kScheme, {}, [](char c) { return lower(c); }))
    return std::nullopt;
  const std::string_view token = trim(value->substr(kScheme.size()));
  constexpr std::string_view kMarks = "-._~+/=";
  const bool good = std::ranges::all_of(token, [&](char c) { return is_alnum(c) || kMarks.contains(c); });
  if (token.empty() || !good) return std::nullopt;
  return token;
}

std::string HttpRequest::media_type() const {
  return lower(media_type_of(header("content-type").value_or("")));
}

Result<Pairs> HttpRequest::form() const {
  if (media_type() != "application/x-www-form-urlencoded")
    return Error(Code::invalid, "http.content_type", "the body must be a form",
                 "send content-type application/x-www-form-urlencoded");
  return parse_form(body);
}

Result<Value> HttpRequest::json() const {
  const std::string type = media_type();
  if (type != "application/json" && !(type.starts_with("application/") && type.ends_with("+json")))
    return Error(Code::invalid, "http.content_type", "the body must be JSON", "send content-type application/json");
  base::json::Limits limits;
  limits.bytes = std::max<std::size_t>(limits.bytes, body.size());  // the server has limited the body already
  return base::json::parse(body, limits);
}

void HttpResponse::set_header(std::string_view name, std::string value) {
  for (auto& [key, old] : headers) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  headers.emplace_back(name, std::move(value));
}

void HttpResponse::add_cookie(const Cookie& cookie) {
  const bool host_only = cookie.name.starts_with("__Host-");
  if (!is_token(cookie.name) || !is_cookie_value(cookie.value) || !cookie.path.starts_with('/') ||
      !is_cookie_value(cookie.path) || (host_only && (!cookie.secure || cookie.path != "/")))
    throw std::invalid_argument("malformed cookie " + cookie.name);
  std::string line = cookie.name + "=" + cookie.value + "; Path=" + cookie.path + "; HttpOnly; SameSite=";
  line += cookie.strict ? "Strict" : "Lax";
  if (cookie.secure) line += "; Secure";
  if (cookie.max_age) line += "; Max-Age=" + std::to_string(cookie.max_age->count());
  headers.emplace_back("set-cookie", std::move(line));
}

HttpResponse HttpResponse::json(int status, const Value& value) {
  HttpResponse response(status);
  response.content_type = "application/json";
  response.body = base::json::dump(value);
  return response;
}

HttpResponse HttpResponse::text(int status, std::string body) {
  HttpResponse response(status);
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(body);
  return response;
}

HttpResponse HttpResponse::problem(const Error& error, std::string_view request_id) {
  return problem(status_of(error.code), error, request_id);
}

HttpResponse HttpResponse::problem(int status, const Error& error, std::string_view request_id) {
  Object members{{"type", "urn:daypass:error:" + std::string(to_string(error.code))},
                 {"title", title_of(error.code)},
                 {"status", status},
                 {"detail", error.message},
                 {"check", error.check}};
  if (!error.hint.empty()) members.set("hint", error.hint);
  members.set("request_id", request_id);
  HttpResponse response = json(status, Value(std::move(members)));
  response.content_type = "application/problem+json";
  // RFC 9110 section 15.5.2: a 401 names the way to authenticate.
  if (status == 401) response.set_header("www-authenticate", "Bearer");
  return response;
}

HttpResponse HttpResponse::redirect(std::string location, int status) {
  if (location.empty() || std::ranges::any_of(location, [](char c) { return is_control(c) || c == ' '; }))
    throw std::invalid_argument("malformed location of a redirect");
  HttpResponse response(status);
  response.set_header("location", std::move(location));
  return response;
}

HttpResponse HttpResponse::html(int status, std::string body, std::string_view csp) {
  HttpResponse response(status);
  response.content_type = "text/html; charset=utf-8";
  response.body = std::move(body);
  response.set_header("content-security-policy", std::string(csp));
  response.set_header("x-frame-options", "DENY");
  response.set_header("cross-origin-opener-policy", "same-origin");
  response.set_header("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()");
  return response;
}

int status_of(Code code) noexcept {
  switch (code) {
    case Code::invalid:
      return 400;
    case Code::unauthenticated:
      return 401;
    case Code::denied:
      return 403;
    case Code::not_found:
      return 404;
    case Code::conflict:
      return 409;
    case Code::unavailable:
      return 503;
    case Code::timeout:
      return 504;
    case Code::exhausted:
      return 429;
    case Code::ended:
      return 410;
    case Code::internal:
      return 500;
  }
  return 500;
}

std::string_view reason_of(int status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "";
  }
}

Result<std::string> canonical_path(std::string_view raw) {
  if (!raw.starts_with('/')) return path_error("does not begin with a slash");
  std::string out;
  out.reserve(raw.size());
  std::string_view rest = raw;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::optional<std::string> segment = percent_decode(rest.substr(0, end), false);
    rest.remove_prefix(end);
    if (!segment) return path_error("has a malformed percent-encoding");
    if (segment->empty() && raw.size() > 1) return path_error("has an empty segment");
    if (*segment == "." || *segment == "..") return path_error("has a dot segment");
    // A slash can only come from %2F here: a handler would take one segment for two.
    if (segment->contains('/') || segment->contains('\\'))
      return path_error("has a slash or backslash inside a segment");
    if (std::ranges::any_of(*segment, is_control)) return path_error("has control characters");
    if (!base::is_utf8(*segment)) return path_error("is not UTF-8");
    out += '/';
    out += *segment;
  }
  return out;
}

Result<Pairs> parse_query(std::string_view raw, std::size_t most) {
  Pairs out;
  while (!raw.empty()) {
    const std::size_t end = std::min(raw.find('&'), raw.size());
    const std::string_view piece = raw.substr(0, end);
    raw.remove_prefix(std::min(end + 1, raw.size()));
    if (piece.empty()) continue;
    if (out.size() >= most)
      return Error(Code::invalid, "http.too_many_fields", "the query or form has too many fields",
                   "send at most " + std::to_string(most));
    const std::size_t equals = piece.find('=');
    std::optional<std::string> name = percent_decode(piece.substr(0, equals), true);
    std::optional<std::string> value =
        percent_decode(equals == std::string_view::npos ? std::string_view() : piece.substr(equals + 1), true);
    if (!name || !value || name->contains('\0') || value->contains('\0') || !base::is_utf8(*name) ||
        !base::is_utf8(*value))
      return Error(Code::invalid, "http.encoding", "the query or form has a malformed percent-encoding",
                   "encode values as UTF-8 and then by percent-encoding");
    out.emplace_back(*std::move(name), *std::move(value));
  }
  return out;
}

Result<Pairs> parse_form(std::string_view body, std::size_t most) {
  DP_TRY(Pairs pairs, parse_query(body, most));
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (pairs[i].first == pairs[j].first)
        return Error(Code::invalid, "http.form_duplicate", "the form has a field more than once",
                     "send each field once");
    }
  }
  return pairs;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return out;
}

std::string encode_query(const Pairs& pairs) {
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    out += percent_encode(name) + "=" + percent_encode(value);
  }
  return out;
}

std::string html_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string http_date(base::WallTime time) {
  constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<base::Seconds>(time - day));
  const auto two = [](auto number) {
    const auto n = static_cast<unsigned>(number);
    return std::string{static_cast<char>('0' + n / 10 % 10), static_cast<char>('0' + n % 10)};
  };
  return std::string(kDays[std::chrono::weekday(day).c_encoding()]) + ", " + two(static_cast<unsigned>(date.day())) +
         " " + kMonths[static_cast<unsigned>(date.month()) - 1] + " " + std::to_string(static_cast<int>(date.year())) +
         " " + two(clock.hours().count()) + ":" + two(clock.minutes().count()) + ":" + two(clock.seconds().count()) +
         " GMT";
}

}  // namespace daypass::net
