// HTTP as values: requests that have one meaning only, responses that are safe by default, RFC 9457 problems.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace daypass::net {

using boost::asio::awaitable;

/// Names and values in the order they came; duplicates kept.
using Pairs = std::vector<std::pair<std::string, std::string>>;

/// A request as a handler gets it. The server has checked: HTTP/1.1, one Host, one framing, a canonical path, no
/// duplicate of a header that has one value (host, content-type, content-length, authorization, cookie, origin, …).
struct HttpRequest {
  std::string method;  ///< "GET", …; upper case as sent
  std::string target;  ///< as sent: never log it, the query may hold codes
  std::string path;    ///< percent-decoded once; see canonical_path
  Pairs query;         ///< decoded
  Pairs headers;       ///< names in lower case, values trimmed
  std::string body;
  std::string peer;                       ///< "192.0.2.7:5432" or "unix"
  std::string peer_ip;                    ///< address alone; empty for unix
  std::optional<std::uint32_t> peer_uid;  ///< unix sockets only
  bool over_tls = false;
  std::string request_id;  ///< made by the server, safe to show

  /// First value of a header; `name` in lower case.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
  /// The query's value of `name`, nullopt when it is not there. Error: "http.query_duplicate".
  [[nodiscard]] base::Result<std::optional<std::string>> query_one(std::string_view name) const;
  /// Same, but it must be there. Errors: "http.query_missing", "http.query_duplicate".
  [[nodiscard]] base::Result<std::string> query_required(std::string_view name) const;
  /// The cookie's value (RFC 6265 section 4.2); nullopt when it is absent, or there twice (somebody tossed one in).
  [[nodiscard]] std::optional<std::string> cookie(std::string_view name) const;
  /// The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1), else nullopt.
  [[nodiscard]] std::optional<std::string_view> bearer() const noexcept;
  /// Media type of content-type without parameters, lower case; empty when absent.
  [[nodiscard]] std::string media_type() const;
  /// The body as a form. Errors: "http.content_type" and those of parse_form.
  [[nodiscard]] base::Result<Pairs> form() const;
  /// The body as JSON. Errors: "http.content_type" and those of json::parse.
  [[nodiscard]] base::Result<base::json::Value> json() const;
};

/// Writes the body of a streamed response piece by piece (chunked). Error: "net.closed" when the client has gone.
class HttpBodyWriter {
 public:
  virtual ~HttpBodyWriter() = default;
  virtual awaitable<base::Status> write(std::string_view piece) = 0;
  /// False once the client is known to have gone or the server drains: return soon then.
  [[nodiscard]] virtual bool wanted() const noexcept = 0;
};

struct HttpResponse;

/// `Set-Cookie` with HttpOnly, Path and SameSite always on.
struct Cookie {
  Cookie(std::string n, std::string v) : name(std::move(n)), value(std::move(v)) {}
  std::string name;   ///< a token; "__Host-…" needs secure and path "/"
  std::string value;  ///< cookie-octets (RFC 6265 section 4.1.1): base64url is fine
  std::string path = "/";
  bool secure = true;
  bool strict = false;                   ///< SameSite=Strict instead of Lax
  std::optional<base::Seconds> max_age;  ///< nullopt: until the browser closes; 0 deletes
};

/// The strict default of html(): own scripts, styles, images and requests; no frames, no base, forms to itself.
inline constexpr std::string_view kStrictCsp =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src "
    "'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A response. Unless set by the handler the server adds cache-control: no-store, x-content-type-options: nosniff,
/// referrer-policy: no-referrer and a content-security-policy that allows nothing; always content-length, date and
/// x-request-id. Header values with CR, LF or NUL turn it into a 500.
struct HttpResponse {
  HttpResponse() = default;
  explicit HttpResponse(int code) : status(code) {}

  int status = 200;
  Pairs headers;  ///< names in lower case; without content-type, content-length, connection, date
  std::string content_type;
  std::string body;
  /// When set, it writes the body instead of `body`; the connection closes afterwards.
  std::function<awaitable<void>(HttpBodyWriter&)> stream;

  /// Sets or replaces.
  void set_header(std::string_view name, std::string value);
  void add_cookie(const Cookie& cookie);

  static HttpResponse json(int status, const base::json::Value& value);
  static HttpResponse text(int status, std::string body);
  /// RFC 9457: {type, title, status, detail, check, hint, request_id}; the status is status_of(error.code).
  static HttpResponse problem(const base::Error& error, std::string_view request_id);
  /// Same with another status (405, 413, …).
  static HttpResponse problem(int status, const base::Error& error, std::string_view request_id);
  /// 303 See Other by default. `location` is checked for control characters only: where to is the caller's decision.
  static HttpResponse redirect(std::string location, int status = 303);
  static HttpResponse html(int status, std::string body, std::string_view csp = kStrictCsp);
};

using HttpHandler = std::function<awaitable<HttpResponse>(HttpRequest)>;

/// HTTP status of an error code: 400, 401, 403, 404, 409, 410, 429, 500, 503, 504.
int status_of(base::Code code) noexcept;
/// "Not Found", …; "" when unknown.
std::string_view reason_of(int status) noexcept;

/// Percent-decodes an absolute path once. Refused ("http.path"): no leading slash, a bad or needless second reading
/// (%2F, %5C, %00, `\`), control characters, bytes that are not UTF-8, empty segments (a trailing slash too, except
/// "/"),
/// "." and "..".
base::Result<std::string> canonical_path(std::string_view raw);
/// Pairs of a query (without "?") or a form body: "+" and %XX decoded, at most `most` pairs, UTF-8 without NUL.
/// Errors: "http.encoding", "http.too_many_fields".
base::Result<Pairs> parse_query(std::string_view raw, std::size_t most = 128);
/// application/x-www-form-urlencoded, strict: as parse_query, and each name once. Adds "http.form_duplicate".
base::Result<Pairs> parse_form(std::string_view body, std::size_t most = 128);
/// First value of `name` or nullptr.
const std::string* find(const Pairs& pairs, std::string_view name) noexcept;

/// Percent-encodes everything but RFC 3986 unreserved characters.
std::string percent_encode(std::string_view text);
/// "a=b&c=d" from pairs: for query strings and form bodies.
std::string encode_query(const Pairs& pairs);
/// `text` safe inside HTML text and quoted attributes.
std::string html_escape(std::string_view text);
/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7).
std::string http_date(base::WallTime time);

}  // namespace daypass::net
