#include "net/http_parser.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "net/http_chunks.h"

namespace daypass::net {

namespace http = boost::beast::http;
using base::Code;
using base::Error;
using BeastView = boost::beast::string_view;
using ErrorCode = boost::beast::error_code;

namespace {

// Headers with one value. Two of them are read differently by different programs; so they are refused.
constexpr std::array<std::string_view, 18> kSingle{
    "authorization",  "content-encoding",    "content-length", "content-type", "cookie",
    "expect",         "forwarded",           "host",           "if-match",     "if-none-match",
    "origin",         "proxy-authorization", "range",          "referer",      "sec-fetch-mode",
    "sec-fetch-site", "transfer-encoding",   "user-agent"};

std::string_view view(BeastView text) {
  return {text.data(), text.size()};
}

bool is_host(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(".-_:[]").contains(c);
  });
}

Error invalid(std::string check, std::string message, std::string hint = {}) {
  return Error(Code::invalid, std::move(check), std::move(message), std::move(hint));
}

HttpRefusal too_large_header() {
  return {431, invalid("http.header_too_large", "the request line and headers are too large or too many",
                       "send fewer or shorter headers")};
}

HttpRefusal too_large_body() {
  return {413, invalid("http.body_too_large", "the body of the request is too large", "send less at once")};
}

}  // namespace

class RequestParser::Impl final : public http::basic_parser<true> {
 public:
  explicit Impl(const HttpLimits& limits) : limits_(limits), chunks_(limits.body_bytes, limits.header_bytes) {
    eager(false);  // Beast parses the header; the body is ours
    header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    body_limit(limits.body_bytes);
  }

  std::size_t feed(std::string_view bytes, std::optional<HttpRefusal>& refusal) {
    return header_done_ ? feed_body(bytes, refusal) : feed_header(bytes, refusal);
  }

  [[nodiscard]] bool header_done() const noexcept { return header_done_; }
  [[nodiscard]] bool done() const noexcept { return done_; }
  [[nodiscard]] bool expects_continue() const noexcept { return expects_continue_; }
  HttpRequest& request() noexcept { return request_; }

 private:
  static HttpRefusal judge(const ErrorCode& code) {
    if (code == http::error::header_limit) return too_large_header();
    if (code == http::error::body_limit) return too_large_body();
    if (code == http::error::bad_content_length || code == http::error::multiple_content_length ||
        code == http::error::bad_transfer_encoding)
      return {400,
              invalid("http.framing", "content-length and transfer-encoding contradict each other or are malformed")};
    return {400, invalid("http.syntax", "the request is not valid HTTP/1.1")};
  }

  std::size_t feed_header(std::string_view bytes, std::optional<HttpRefusal>& refusal) {
    // Beast's own limit counts from the first field that is not complete, so the sum is kept here.
    bytes = bytes.substr(0, limits_.header_bytes - header_seen_);
    ErrorCode code;
    const std::size_t taken = put(boost::asio::const_buffer(bytes.data(), bytes.size()), code);
    header_seen_ += taken;
    if (refusal_) {
      refusal = std::move(refusal_);
    } else if (code && code != http::error::need_more) {
      refusal = judge(code);
    } else if (!header_done_ && header_seen_ + (bytes.size() - taken) >= limits_.header_bytes) {
      refusal = too_large_header();
    }
    return taken;
  }

  std::size_t feed_body(std::string_view bytes, std::optional<HttpRefusal>& refusal) {
    if (!chunked_) {
      const std::size_t taken = std::min(body_left_, bytes.size());
      request_.body.append(bytes.substr(0, taken));
      body_left_ -= taken;
      done_ = body_left_ == 0;
      return taken;
    }
    std::size_t taken = 0;
    switch (chunks_.feed(bytes, request_.body, taken)) {
      case ChunkDecoder::Verdict::more:
        break;
      case ChunkDecoder::Verdict::done:
        done_ = true;
        break;
      case ChunkDecoder::Verdict::malformed:
        refusal = HttpRefusal(400, invalid("http.framing", "the chunks of the body are malformed"));
        break;
      case ChunkDecoder::Verdict::body_too_large:
        refusal = too_large_body();
        break;
      case ChunkDecoder::Verdict::overhead_too_large:
        refusal = too_large_header();
        break;
    }
    return taken;
  }

  void refuse(HttpRefusal refusal, ErrorCode& code) {
    refusal_ = std::move(refusal);
    code = http::error::bad_value;  // any will do: it only stops Beast
  }

  void on_request_impl(http::verb, BeastView method, BeastView target, int version, ErrorCode& code) override {
    if (version != 11) {
      refuse({505, invalid("http.version", "only HTTP/1.1 is served")}, code);
      return;
    }
    request_.method = view(method);
    request_.target = view(target);
    const bool plain = std::ranges::all_of(request_.target, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
    if (!plain) refuse({400, invalid("http.path", "the target of the request has foreign characters")}, code);
  }

  void on_response_impl(int, BeastView, int, ErrorCode&) override {}

  void on_field_impl(http::field, BeastView name, BeastView value, ErrorCode& code) override {
    if (request_.headers.size() >= limits_.header_count) {
      refuse(too_large_header(), code);
      return;
    }
    std::string key(view(name));
    for (char& c : key) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    const bool clean = std::ranges::none_of(
        view(value), [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
    if (!clean) {
      refuse({400, invalid("http.syntax", "a header has control characters")}, code);
      return;
    }
    if (std::ranges::find(kSingle, key) != kSingle.end() && find(request_.headers, key) != nullptr) {
      refuse({400, invalid("http.header_duplicate", "the header " + key + " is there more than once", "send it once")},
             code);
      return;
    }
    request_.headers.emplace_back(std::move(key), std::string(view(value)));
  }

  void on_header_impl(ErrorCode& code) override {
    header_done_ = true;
    if (std::optional<HttpRefusal> refusal = check_header()) {
      refuse(*std::move(refusal), code);
      return;
    }
    chunked_ = chunked();
    body_left_ = chunked_ ? 0 : static_cast<std::size_t>(content_length().value_or(0));
    done_ = !chunked_ && body_left_ == 0;
    // What is announced is not yet there: only a modest part is set aside for it.
    request_.body.reserve(std::min<std::size_t>(body_left_, 65536));
  }

  std::optional<HttpRefusal> check_header() {
    const std::string* const host = find(request_.headers, "host");
    // RFC 9112 section 3.2
    if (host == nullptr || !is_host(*host))
      return HttpRefusal(400, invalid("http.host", "the host header is missing or malformed"));
    if (const std::string* length = find(request_.headers, "content-length")) {
      const bool digits = !length->empty() && length->size() <= 18 &&
                          std::ranges::all_of(*length, [](char c) { return c >= '0' && c <= '9'; });
      if (!digits) return HttpRefusal(400, invalid("http.framing", "the content-length is not one number"));
    }
    if (const std::string* encoding = find(request_.headers, "transfer-encoding")) {
      if (!boost::beast::iequals(*encoding, "chunked"))
        return HttpRefusal(501, invalid("http.framing", "no transfer-encoding but chunked is understood"));
    }
    if (const std::string* expect = find(request_.headers, "expect")) {
      if (!boost::beast::iequals(*expect, "100-continue"))
        return HttpRefusal(417, invalid("http.expectation", "no expectation but 100-continue is understood"));
      expects_continue_ = true;
    }
    const std::string_view target = request_.target;
    const std::size_t mark = std::min(target.find('?'), target.size());
    base::Result<std::string> path = canonical_path(target.substr(0, mark));
    if (!path) return HttpRefusal(400, path.error());
    base::Result<Pairs> query = parse_query(target.substr(std::min(mark + 1, target.size())));
    if (!query) return HttpRefusal(400, query.error());
    request_.path = std::move(path).value();
    request_.query = std::move(query).value();
    return std::nullopt;
  }

  // Never called: put() is not called again after the header.
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
  std::size_t on_body_impl(BeastView, ErrorCode&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, BeastView, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView, ErrorCode&) override { return 0; }
  void on_finish_impl(ErrorCode&) override {}

  const HttpLimits limits_;
  HttpRequest request_;
  std::optional<HttpRefusal> refusal_;
  ChunkDecoder chunks_;
  std::size_t header_seen_ = 0;
  std::size_t body_left_ = 0;  // by content-length
  bool chunked_ = false;
  bool done_ = false;
  bool header_done_ = false;
  bool expects_continue_ = false;
};

RequestParser::RequestParser(const HttpLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view bytes, std::optional<HttpRefusal>& refusal) {
  return impl_->feed(bytes, refusal);
}
bool RequestParser::header_done() const noexcept {
  return impl_->header_done();
}
bool RequestParser::done() const noexcept {
  return impl_->done();
}
bool RequestParser::expects_continue() const noexcept {
  return impl_->expects_continue();
}
bool RequestParser::keep_alive() const noexcept {
  return impl_->is_header_done() && impl_->keep_alive();
}
HttpRequest RequestParser::take() {
  return std::move(impl_->request());
}

}  // namespace daypass::net
