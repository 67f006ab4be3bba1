// RequestParser: bytes of one HTTP/1.1 request in, an HttpRequest with one meaning out. Knows no socket, so it is
// fuzzed.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "net/http.h"
#include "net/http_server.h"

namespace daypass::net {

/// Why a request is refused, and by which status; the connection can't go on after it.
struct HttpRefusal {
  HttpRefusal(int s, base::Error e) : status(s), error(std::move(e)) {}
  int status;
  base::Error error;
};

/// For one request; make a new one for the next. Private to the room.
class RequestParser {
 public:
  explicit RequestParser(const HttpLimits& limits);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// Offers all bytes that are not consumed yet, at least one; returns how many it took. The rest is to be offered
  /// again with more behind it (or belongs to the next request, when done()). Refusals: 400, 413, 417, 431, 501, 505
  /// with checks "http.syntax", "http.path", "http.encoding", "http.host", "http.framing", "http.header_duplicate",
  /// "http.header_too_large", "http.body_too_large", "http.expectation", "http.version", ….
  std::size_t feed(std::string_view bytes, std::optional<HttpRefusal>& refusal);

  [[nodiscard]] bool header_done() const noexcept;
  [[nodiscard]] bool done() const noexcept;
  /// The client waits for 100 Continue before it sends the body (RFC 9110 section 10.1.1).
  [[nodiscard]] bool expects_continue() const noexcept;
  [[nodiscard]] bool keep_alive() const noexcept;
  /// Once done().
  [[nodiscard]] HttpRequest take();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace daypass::net
