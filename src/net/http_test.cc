#include "net/http.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "net/http_parser.h"

namespace daypass::net {
namespace {

using base::Code;
using base::Error;
using base::WallTime;

TEST(HttpPathTest, CanonicalFormsPass) {
  EXPECT_EQ(*canonical_path("/"), "/");
  EXPECT_EQ(*canonical_path("/t/default/grants"), "/t/default/grants");
  EXPECT_EQ(*canonical_path("/a%20b/c%2Dd"), "/a b/c-d");
  EXPECT_EQ(*canonical_path("/%C3%A4"), "/\xC3\xA4");
  EXPECT_EQ(*canonical_path("/%252e%252e"), "/%2e%2e");  // decoded once, and only once
  EXPECT_EQ(*canonical_path("/..."), "/...");
  EXPECT_EQ(*canonical_path("/a+b"), "/a+b");
}

TEST(HttpPathTest, EverythingAmbiguousIsRefused) {
  for (const char* bad :
       {"",       "a",       "*",     "http://host/", "/a/",       "//",     "/a//b",  "/.",     "/..",
        "/a/./b", "/a/../b", "/%2e",  "/%2E%2e",      "/a/%2e./b", "/a%2Fb", "/a%2fb", "/a%5Cb", "/a\\b",
        "/a%00b", "/a%0Ab",  "/a%7F", "/a%",          "/a%2",      "/a%zz",  "/%ff",   "/%C0%AF"}) {
    const auto result = canonical_path(bad);
    ASSERT_FALSE(result.ok()) << bad;
    EXPECT_EQ(result.error().check, "http.path") << bad;
  }
}

TEST(HttpQueryTest, PairsInOrderWithDuplicates) {
  EXPECT_EQ(*parse_query("a=1&b=x+y%26&a=2&c&&=v"),
            (Pairs{{"a", "1"}, {"b", "x y&"}, {"a", "2"}, {"c", ""}, {"", "v"}}));
  EXPECT_EQ(parse_query("a=%zz").error().check, "http.encoding");
  EXPECT_EQ(parse_query("a=%00").error().check, "http.encoding");
  EXPECT_EQ(parse_query("a=%ff").error().check, "http.encoding");
  std::string many;
  for (int i = 0; i < 129; ++i) many += "a=1&";
  EXPECT_EQ(parse_query(many).error().check, "http.too_many_fields");
}

TEST(HttpQueryTest, OneMeansOne) {
  HttpRequest request;
  request.query = {{"code", "x"}, {"state", "1"}, {"state", "2"}};
  EXPECT_EQ(**request.query_one("code"), "x");
  EXPECT_FALSE(request.query_one("iss")->has_value());
  EXPECT_EQ(request.query_one("state").error().check, "http.query_duplicate");
  EXPECT_EQ(request.query_required("iss").error().check, "http.query_missing");
  EXPECT_EQ(*request.query_required("code"), "x");
}

TEST(HttpFormTest, StrictAndUnique) {
  EXPECT_EQ(*parse_form("a=1&b=%C3%A4"), (Pairs{{"a", "1"}, {"b", "\xC3\xA4"}}));
  EXPECT_EQ(parse_form("a=1&a=2").error().check, "http.form_duplicate");
  HttpRequest request;
  request.body = "a=1";
  EXPECT_EQ(request.form().error().check, "http.content_type");
  request.headers = {{"content-type", "Application/X-WWW-Form-Urlencoded; charset=utf-8"}};
  EXPECT_EQ(*request.form(), (Pairs{{"a", "1"}}));
}

TEST(HttpRequestTest, CookiesThatAreTossedInCountAsNone) {
  HttpRequest request;
  EXPECT_FALSE(request.cookie("s").has_value());
  request.headers = {{"cookie", "a=1; s=token; ss=other"}};
  EXPECT_EQ(request.cookie("s"), "token");
  request.headers = {{"cookie", "s=evil; s=token"}};
  EXPECT_FALSE(request.cookie("s").has_value());
}

TEST(HttpRequestTest, BearerTokens) {
  HttpRequest request;
  EXPECT_FALSE(request.bearer().has_value());
  request.headers = {{"authorization", "bEaReR  abc-._~+/="}};
  EXPECT_EQ(request.bearer(), "abc-._~+/=");
  for (const char* bad : {"Basic abc", "Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearerabc"}) {
    request.headers = {{"authorization", bad}};
    EXPECT_FALSE(request.bearer().has_value()) << bad;
  }
}

TEST(HttpRequestTest, JsonNeedsItsType) {
  HttpRequest request;
  request.body = R"({"a":1})";
  EXPECT_EQ(request.json().error().check, "http.content_type");
  request.headers = {{"content-type", "application/json"}};
  EXPECT_EQ(request.json()->int_or("a", 0), 1);
  request.headers = {{"content-type", "application/scim+json; charset=utf-8"}};
  EXPECT_TRUE(request.json().ok());
  request.headers = {{"content-type", "text/plain"}};  // what a foreign page may send without asking
  EXPECT_FALSE(request.json().ok());
}

TEST(HttpResponseTest, ProblemsCarryTheCheck) {
  const Error error(Code::denied, "policy.no_permit", "no policy permits this", "ask for it");
  const HttpResponse response = HttpResponse::problem(error, "id-7");
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(response.body,
            R"({"type":"urn:daypass:error:denied","title":"Denied","status":403,"detail":"no policy permits this",)"
            R"("check":"policy.no_permit","hint":"ask for it","request_id":"id-7"})");
  const HttpResponse unauthenticated = HttpResponse::problem(Error(Code::unauthenticated, "a.b", "no"), "i");
  EXPECT_EQ(*find(unauthenticated.headers, "www-authenticate"), "Bearer");
}

TEST(HttpResponseTest, StatusOfEveryCode) {
  EXPECT_EQ(status_of(Code::invalid), 400);
  EXPECT_EQ(status_of(Code::unauthenticated), 401);
  EXPECT_EQ(status_of(Code::denied), 403);
  EXPECT_EQ(status_of(Code::not_found), 404);
  EXPECT_EQ(status_of(Code::conflict), 409);
  EXPECT_EQ(status_of(Code::unavailable), 503);
  EXPECT_EQ(status_of(Code::timeout), 504);
  EXPECT_EQ(status_of(Code::exhausted), 429);
  EXPECT_EQ(status_of(Code::ended), 410);
  EXPECT_EQ(status_of(Code::internal), 500);
}

TEST(HttpResponseTest, CookiesAreSafeOrNotMade) {
  HttpResponse response;
  Cookie cookie("__Host-s", "abc");
  cookie.max_age = base::Seconds(60);
  response.add_cookie(cookie);
  EXPECT_EQ(*find(response.headers, "set-cookie"), "__Host-s=abc; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60");
  EXPECT_THROW(response.add_cookie(Cookie("s", "a;b")), std::invalid_argument);
  EXPECT_THROW(response.add_cookie(Cookie("s", "a\r\nx: y")), std::invalid_argument);
  cookie.secure = false;
  EXPECT_THROW(response.add_cookie(cookie), std::invalid_argument);
  EXPECT_THROW(HttpResponse::redirect("/a\r\nset-cookie: x=y"), std::invalid_argument);
}

TEST(HttpTextTest, EscapesAndDates) {
  EXPECT_EQ(percent_encode("a b/ä~"), "a%20b%2F%C3%A4~");
  EXPECT_EQ(encode_query({{"a b", "&"}, {"c", ""}}), "a%20b=%26&c=");
  EXPECT_EQ(html_escape("<a href=\"x\" id='y'>&"), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;");
  EXPECT_EQ(http_date(WallTime(base::Seconds(784111777))), "Sun, 06 Nov 1994 08:49:37 GMT");
}

struct Parsed {
  std::optional<HttpRefusal> refusal;
  std::optional<HttpRequest> request;
  std::size_t consumed = 0;
};

/// Feeds `text` in pieces as the server does.
Parsed parse(std::string_view text, std::size_t piece, const HttpLimits& limits = {}) {
  Parsed out;
  RequestParser parser(limits);
  std::string buffer;
  for (std::size_t at = 0; at < text.size() && !out.refusal && !parser.done(); at += piece) {
    buffer += text.substr(at, piece);
    std::size_t taken = 1;
    while (taken > 0 && !buffer.empty() && !parser.done() && !out.refusal) {
      taken = parser.feed(buffer, out.refusal);
      buffer.erase(0, taken);
      out.consumed += taken;
    }
  }
  if (parser.done()) out.request = parser.take();
  return out;
}

std::string check_of(std::string_view text, const HttpLimits& limits = {}) {
  const Parsed parsed = parse(text, text.size(), limits);
  return parsed.refusal   ? std::to_string(parsed.refusal->status) + " " + parsed.refusal->error.check
         : parsed.request ? "done"
                          : "waiting";
}

constexpr std::string_view kPost =
    "POST /t/x?a=1&b=%20 HTTP/1.1\r\nHost: h:1\r\nContent-Type: text/plain\r\nX-One:  two words \r\n"
    "Content-Length: 11\r\n\r\nhello\r\nyou!";
constexpr std::string_view kChunked =
    "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nAuthorization: late\r\n\r\n";

// An assertion of Beast's chunk parser stopped the process when the tail of this came in pieces.
constexpr std::string_view kEmptyChunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

TEST(RequestParserTest, SplitAtEveryByte) {
  for (const std::string_view text : {kPost, kChunked, kEmptyChunked}) {
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      RequestParser parser{HttpLimits()};
      std::optional<HttpRefusal> refusal;
      std::string buffer;
      for (const std::string_view part : {text.substr(0, cut), text.substr(cut)}) {
        buffer += part;
        std::size_t taken = 1;
        while (taken > 0 && !buffer.empty() && !parser.done()) {
          taken = parser.feed(buffer, refusal);
          buffer.erase(0, taken);
        }
        ASSERT_FALSE(refusal.has_value()) << cut;
      }
      ASSERT_TRUE(parser.done()) << cut;
      EXPECT_EQ(buffer, "") << cut;
      const HttpRequest request = parser.take();
      EXPECT_EQ(request.method, "POST");
      if (text == kPost) {
        EXPECT_EQ(request.path, "/t/x");
        EXPECT_EQ(request.query, (Pairs{{"a", "1"}, {"b", " "}}));
        EXPECT_EQ(request.header("x-one"), "two words");
        EXPECT_EQ(request.body, "hello\r\nyou!");
      } else {
        EXPECT_EQ(request.body, text == kChunked ? "hello world" : "");
        EXPECT_FALSE(request.header("authorization").has_value()) << "a trailer became a header";
      }
    }
    EXPECT_TRUE(parse(text, 1).request.has_value());
  }
}

TEST(RequestParserTest, PipelinedRequestsStayApart) {
  const std::string two = std::string(kPost) + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
  EXPECT_EQ(parse(two, two.size()).consumed, kPost.size());
}

TEST(RequestParserTest, AmbiguousFramingIsRefused) {
  const auto with = [](std::string headers) { return "POST / HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n"; };
  EXPECT_EQ(check_of(with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Content-Length: 3\r\nContent-Length: 3\r\n")), "400 http.header_duplicate");
  EXPECT_EQ(check_of(with("Content-Length: 3\r\nContent-Length: 4\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Content-Length: 3, 3\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Content-Length: +3\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Content-Length: -1\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Content-Length: 0x3\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Content-Length:\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Content-Length: 99999999999999999999999\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Transfer-Encoding: gzip\r\n")), "501 http.framing");
  EXPECT_EQ(check_of(with("Transfer-Encoding: gzip, chunked\r\n")), "501 http.framing");
  EXPECT_EQ(check_of(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), "400 http.framing");
  EXPECT_EQ(check_of(with("Transfer-Encoding : chunked\r\n")), "400 http.syntax");
  for (const char* bad : {"zz\r\n",
                          "\r\n",
                          ";x\r\n",
                          "-1\r\n",
                          "+1\r\n",
                          "0x1\r\n",
                          " 1\r\n",
                          "1 \r\n",
                          "1\n",
                          "1\rx",
                          "1;a\nb\r\n",
                          "1;\x01\r\n",
                          "1\r\nabc",
                          "1\r\na\n",
                          "1\r\na\r0",
                          "1234567890abcdef\r\n",
                          "0\r\n\rx",
                          "0\r\nA: b\n\r\n",
                          "0\r\nA\x01\r\n",
                          "0\r\n\n"})
    EXPECT_EQ(check_of(with("Transfer-Encoding: chunked\r\n") + bad), "400 http.framing") << bad;
}

TEST(RequestParserTest, RequestLineAndHostAreStrict) {
  EXPECT_EQ(check_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "done");
  EXPECT_EQ(check_of("GET / HTTP/1.0\r\nHost: h\r\n\r\n"), "505 http.version");
  EXPECT_EQ(check_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), "400 http.syntax");
  EXPECT_EQ(check_of("GET /\r\n\r\n"), "400 http.syntax");
  EXPECT_EQ(check_of("\x16\x03\x01\x02"), "400 http.syntax");  // TLS on a plain port
  EXPECT_EQ(check_of("GET / HTTP/1.1\r\n\r\n"), "400 http.host");
  EXPECT_EQ(check_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "400 http.header_duplicate");
  EXPECT_EQ(check_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), "400 http.host");
  EXPECT_EQ(check_of("GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"), "400 http.path");
  EXPECT_EQ(check_of("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), "400 http.path");
  EXPECT_EQ(check_of("GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n"), "400 http.path");
  EXPECT_EQ(check_of("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"), "400 http.path");
  EXPECT_EQ(check_of("GET /?a=%zz HTTP/1.1\r\nHost: h\r\n\r\n"), "400 http.encoding");
  EXPECT_EQ(check_of("GET / HTTP/1.1\r\nHost: h\r\nX: a\x01z\r\n\r\n"), "400 http.syntax");
  EXPECT_EQ(check_of(std::string("GET / HTTP/1.1\r\nHost: h\r\nX: a\0z\r\n\r\n", 35)), "400 http.syntax");
  EXPECT_EQ(check_of("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\nauthorization: b\r\n\r\n"),
            "400 http.header_duplicate");
  EXPECT_EQ(check_of("GET / HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n"), "417 http.expectation");
}

TEST(RequestParserTest, SizesAreBoundedToTheByte) {
  HttpLimits limits;
  limits.header_bytes = 200;
  limits.header_count = 5;
  limits.body_bytes = 10;
  const auto sized = [](std::size_t size) {
    std::string text = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    return text + std::string(size - text.size() - 4, 'x') + "\r\n\r\n";
  };
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{10'000}}) {
    EXPECT_TRUE(parse(sized(200), piece, limits).request.has_value()) << piece;
    const Parsed large = parse(sized(201), piece, limits);
    ASSERT_TRUE(large.refusal.has_value()) << piece;
    EXPECT_EQ(large.refusal->error.check, "http.header_too_large");
    EXPECT_EQ(large.refusal->status, 431);
    // A line that never ends, and small lines without end.
    EXPECT_TRUE(parse(std::string(5000, 'G'), piece, limits).refusal.has_value());
    std::string lines = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 100; ++i) lines += "a: b\r\n";
    EXPECT_EQ(parse(lines, piece, limits).refusal->error.check, "http.header_too_large");
  }
  EXPECT_EQ(check_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789", limits), "done");
  EXPECT_EQ(check_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", limits), "413 http.body_too_large");
  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(check_of(chunked + "6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n", limits), "done");
  EXPECT_EQ(check_of(chunked + "6\r\n012345\r\n5\r\n", limits), "413 http.body_too_large");
  EXPECT_EQ(check_of(chunked + "6;" + std::string(300, 'x'), limits), "431 http.header_too_large");
  EXPECT_EQ(check_of(chunked + "0\r\nA: " + std::string(300, 'x'), limits), "431 http.header_too_large");
}

}  // namespace
}  // namespace daypass::net
