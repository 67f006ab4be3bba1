// HttpClient: blocking, egress-guarded HTTP for the identity-provider pool and the CLI. Certificates are always
// verified.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "net/egress.h"
#include "net/http.h"

namespace daypass::net {

struct BasicAuth {
  BasicAuth(std::string u, base::Secret p) : user(std::move(u)), password(std::move(p)) {}
  std::string user;       ///< used as it is: RFC 6749 section 2.3.1 wants it form-encoded first
  base::Secret password;  ///< same
};

/// The value of the Authorization header that a configured secret stands for: with a space in it the whole of it, else
/// a bearer token (RFC 6750 section 2.1).
base::Secret authorization_of(base::Secret secret);

/// One exchange. Move-only, because it may hold secrets.
struct HttpFetch {
  HttpFetch() = default;
  HttpFetch(std::string m, std::string u) : method(std::move(m)), url(std::move(u)) {}

  std::string method = "GET";
  std::string url;  ///< absolute, without user information
  Pairs headers;
  std::string body;
  base::Secret secret_body;    ///< instead of `body`, for forms that carry a secret or a code
  base::Secret authorization;  ///< value of the Authorization header, e.g. "Bearer …"
  std::optional<BasicAuth> basic;
  base::Millis timeout{10'000};         ///< for all of it
  base::Millis connect_timeout{5'000};  ///< for name, connection and handshake
  std::size_t max_bytes = 1 << 20;      ///< of the reply's body
  std::string ca_file;                  ///< trust this PEM file instead of the system's roots
  std::string ca_pem;                   ///< same, as text
  std::string unix_socket;              ///< connect there instead; http is then allowed
  EgressPolicy egress;
  const std::atomic<bool>* stop = nullptr;  ///< set by another thread to give up, within about a second
};

struct HttpReply {
  int status = 0;
  Pairs headers;  ///< names in lower case; of the final response
  std::string body;

  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
  [[nodiscard]] std::string media_type() const;
};

/// Port, so that tests of identity providers can answer without a socket.
class HttpFetcher {
 public:
  virtual ~HttpFetcher() = default;
  /// Any HTTP status is a reply; a redirect (3xx) is returned, never followed.
  /// Errors: "http.url", "http.scheme", "http.egress", "http.resolve", "http.connect", "http.tls", "http.timeout",
  /// "http.too_large", "http.protocol", "http.cancelled", "http.request" (malformed method or header).
  virtual base::Result<HttpReply> fetch(const HttpFetch& request) = 0;
};

/// On libcurl; a new connection for each fetch. Safe from any number of threads.
class HttpClient final : public HttpFetcher {
 public:
  explicit HttpClient(std::string user_agent = "daypass");
  base::Result<HttpReply> fetch(const HttpFetch& request) override;

 private:
  std::string user_agent_;
};

}  // namespace daypass::net
