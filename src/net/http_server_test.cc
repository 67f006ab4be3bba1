#include "net/http_server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <stdexcept>
#include <thread>

#include "net/test_support.h"

namespace daypass::net {
namespace {

using base::Millis;
using base::Status;
using base::json::Object;
using base::json::Value;
using testing_support::eventually;
using testing_support::LogLines;
using testing_support::RawClient;
using testing_support::TempFolder;

/// A server on loopback whose handler answers by path.
class Service {
 public:
  explicit Service(HttpLimits limits = {}, std::size_t thread_count = 2)
      : threads(thread_count), gate(threads.at(0)), server(handler(), limits, lines.log(), clock, entropy) {
    auto listener = Listener::listen_tcp(threads, lines.log(), "127.0.0.1", 0);
    port = (*listener)->port();
    server.serve(std::move(listener).value());
    threads.start();
  }

  [[nodiscard]] RawClient connect() const { return RawClient::tcp(port); }
  std::string ask(std::string_view request) const {
    RawClient client = connect();
    client.send(request);
    return client.receive_response();
  }

  LogLines lines;
  base::SystemClock clock;
  base::SeededEntropy entropy{1};
  IoThreads threads;
  Event gate;  // "/wait" answers when it is set; lives on thread 0
  std::atomic<int> waiting = 0;
  std::atomic<int> stream_ends = 0;
  std::uint16_t port = 0;
  HttpServer server;  // last: goes first

 private:
  HttpHandler handler() {
    return [this](HttpRequest request) { return handle(*this, std::move(request)); };
  }

  static awaitable<void> lines_of(Service& self, HttpBodyWriter& writer) {
    for (int i = 0; writer.wanted(); ++i) {
      const std::string line = "line " + std::to_string(i) + "\n";
      const Status status = co_await writer.write(line);
      if (!status) break;
      if (i == 2) co_return;
    }
    ++self.stream_ends;
  }
  static awaitable<void> endless(Service& self, HttpBodyWriter& writer) {
    const std::string piece(1000, '.');
    while (writer.wanted()) {
      const Status status = co_await writer.write(piece);
      if (!status) break;
    }
    ++self.stream_ends;
  }

  static awaitable<HttpResponse> handle(Service& self, HttpRequest request) {
    if (request.path == "/throw") throw std::runtime_error("secret detail");
    if (request.path == "/throw-odd") throw 7;
    if (request.path == "/bad-header") {
      HttpResponse response;
      response.set_header("x-a", "b\r\nset-cookie: c=d");
      co_return response;
    }
    if (request.path == "/empty") co_return HttpResponse(204);
    if (request.path == "/html") co_return HttpResponse::html(200, "<p>hi</p>");
    if (request.path == "/big") co_return HttpResponse::text(200, std::string(3 << 20, 'b'));
    if (request.path == "/wait") {
      ++self.waiting;
      const bool set = co_await self.gate.wait(Millis(20'000));
      co_return HttpResponse::text(200, set ? "waited" : "gave up");
    }
    if (request.path == "/lines" || request.path == "/endless") {
      HttpResponse response;
      response.content_type = "text/plain";
      const bool finite = request.path == "/lines";
      response.stream = [&self, finite](HttpBodyWriter& writer) {
        return finite ? lines_of(self, writer) : endless(self, writer);
      };
      co_return response;
    }
    Object out{{"method", request.method},
               {"path", request.path},
               {"body", request.body},
               {"peer_ip", request.peer_ip},
               {"tls", request.over_tls}};
    if (request.peer_uid) out.set("uid", std::int64_t{*request.peer_uid});
    co_return HttpResponse::json(200, Value(std::move(out)));
  }
};

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";

TEST(HttpServerTest, AnswersWithSafeHeaders) {
  Service service;
  const std::string answer = service.ask(kGet);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  for (const char* header : {"cache-control: no-store\r\n", "x-content-type-options: nosniff\r\n",
                             "referrer-policy: no-referrer\r\n", "content-security-policy: default-src 'none'",
                             "content-type: application/json\r\n", "x-request-id: ", "date: "})
    EXPECT_TRUE(answer.contains(header)) << header;
  EXPECT_FALSE(answer.contains("connection: close"));
  EXPECT_TRUE(answer.contains(R"("peer_ip":"127.0.0.1","tls":false})")) << answer;
  EXPECT_TRUE(service.ask("GET /html HTTP/1.1\r\nHost: h\r\n\r\n").contains("frame-ancestors 'none'"));
}

TEST(HttpServerTest, KeepsAliveAndPipelines) {
  Service service;
  RawClient client = service.connect();
  for (int i = 0; i < 3; ++i) {
    client.send(kGet);
    EXPECT_TRUE(client.receive_response().starts_with("HTTP/1.1 200"));
  }
  client.send(std::string(kGet) +
              "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabGET /last HTTP/1.1\r\nHost: h\r\n"
              "Connection: close\r\n\r\n");
  EXPECT_TRUE(client.receive_response().contains(R"("path":"/x")"));
  EXPECT_TRUE(client.receive_response().contains(R"("path":"/p","body":"ab")"));
  const std::string last = client.receive_all();
  EXPECT_TRUE(last.contains(R"("path":"/last")"));
  EXPECT_TRUE(last.contains("connection: close\r\n"));
  EXPECT_EQ(service.server.requests(), 6U);
}

TEST(HttpServerTest, ByteByByte) {
  Service service;
  RawClient client = service.connect();
  const std::string_view request =
      "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  for (const char c : request) client.send(std::string_view(&c, 1));
  EXPECT_TRUE(client.receive_response().contains(R"("body":"abcde")"));
}

TEST(HttpServerTest, HeadHasLengthAndNoBody) {
  Service service;
  RawClient client = service.connect();
  client.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string head = client.receive_until("\r\n\r\n");
  EXPECT_TRUE(head.contains("content-length: "));
  EXPECT_FALSE(head.contains("content-length: 0\r\n"));
  client.send("GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string empty = client.receive_until("\r\n\r\n");
  EXPECT_TRUE(empty.starts_with("HTTP/1.1 204 No Content\r\n")) << empty;  // and not a body of the HEAD
  EXPECT_FALSE(empty.contains("content-length"));
}

TEST(HttpServerTest, BigAnswersArriveWhole) {
  Service service;
  const std::string answer = service.ask("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, std::size_t{3} << 20U);
}

TEST(HttpServerTest, RefusalsCloseAndSayWhy) {
  HttpLimits limits;
  limits.header_bytes = 512;
  limits.body_bytes = 100;
  Service service(limits);
  const std::vector<std::pair<std::string, std::string>> table{
      {"nonsense\r\n\r\n", "HTTP/1.1 400"},
      {"GET /../etc HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(1000, 'x') + "\r\n\r\n", "HTTP/1.1 431"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'x'), "HTTP/1.1 413"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501"}};
  for (const auto& [request, expected] : table) {
    RawClient client = service.connect();
    client.send(request);
    client.end_sending();
    const std::string answer = client.receive_all();
    EXPECT_TRUE(answer.starts_with(expected)) << request << " -> " << answer;
    EXPECT_TRUE(answer.contains("application/problem+json"));
    EXPECT_TRUE(answer.contains("connection: close"));
    EXPECT_FALSE(answer.contains("<reset>"));
  }
  EXPECT_EQ(service.lines.count(R"("path":"/../etc")"), 0U);
}

TEST(HttpServerTest, ALateBodyIsSwallowedSoThatTheRefusalArrives) {
  HttpLimits limits;
  limits.body_bytes = 1000;
  Service service(limits);
  RawClient client = service.connect();
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n");
  client.send(std::string(900'000, 'x'));
  client.end_sending();
  const std::string answer = client.receive_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413")) << answer;
}

TEST(HttpServerTest, ExpectContinue) {
  Service service;
  RawClient client = service.connect();
  client.send("POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_TRUE(client.receive_response().contains(R"("body":"abc")"));
  // Too large: refused at once, without asking for the body.
  client.send("POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
  EXPECT_TRUE(client.receive_response().starts_with("HTTP/1.1 413"));
}

TEST(HttpServerTest, SlowClientsAreCut) {
  HttpLimits limits;
  limits.header_time = Millis(30);
  limits.body_time = Millis(30);
  limits.idle_time = Millis(30);
  limits.linger_time = Millis(30);
  Service service(limits);
  RawClient header = service.connect();
  header.send("GET / HTTP/1.1\r\nHos");
  EXPECT_TRUE(header.receive_all().starts_with("HTTP/1.1 408"));
  RawClient body = service.connect();
  body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
  EXPECT_TRUE(body.receive_all().starts_with("HTTP/1.1 408"));
  RawClient silent = service.connect();
  EXPECT_EQ(silent.receive_all(), "");
  RawClient idle = service.connect();
  idle.send(kGet);
  EXPECT_TRUE(idle.receive_response().starts_with("HTTP/1.1 200"));
  EXPECT_EQ(idle.receive_all(), "");
}

TEST(HttpServerTest, DrippingDoesNotExtendTheDeadline) {
  HttpLimits limits;
  limits.header_time = Millis(100);
  Service service(limits);
  RawClient client = service.connect();
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<bool> cut = false;
  std::thread drip([&] {
    client.send("GET / HTTP/1.1\r\nX: ");
    while (!cut) {
      client.send("a");
      std::this_thread::yield();
      if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(20)) break;
    }
  });
  const std::string answer = client.receive_all();
  cut = true;
  drip.join();
  // A reset may eat the answer, because the client never stops sending; the cut is what counts.
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 4") || answer.contains("<reset>")) << answer;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
}

TEST(HttpServerTest, AClientThatReadsNothingIsCut) {
  HttpLimits limits;
  limits.write_time = Millis(50);
  Service service(limits);
  RawClient client = service.connect();
  client.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return service.stream_ends == 1; }));
  EXPECT_TRUE(eventually([&] { return service.server.connections() == 0; }));
}

TEST(HttpServerTest, HandlerFailuresStopHere) {
  Service service;
  for (const char* path : {"/throw", "/throw-odd", "/bad-header"}) {
    RawClient client = service.connect();
    client.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string answer = client.receive_response();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 500")) << answer;
    EXPECT_TRUE(answer.contains(R"("check":"http.internal")"));
    EXPECT_FALSE(answer.contains("secret detail"));
    EXPECT_FALSE(answer.contains("set-cookie"));
    client.send(kGet);
    EXPECT_TRUE(client.receive_response().starts_with("HTTP/1.1 200"));
  }
  EXPECT_EQ(service.lines.count("http handler failed"), 3U);
  EXPECT_EQ(service.lines.count("secret detail"), 1U);
}

TEST(HttpServerTest, StreamsInChunks) {
  Service service;
  RawClient client = service.connect();
  client.send("GET /lines HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string answer = client.receive_all();
  EXPECT_TRUE(answer.contains("transfer-encoding: chunked\r\n"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\n7\r\nline 0\n\r\n7\r\nline 1\n\r\n7\r\nline 2\n\r\n0\r\n\r\n")) << answer;
}

TEST(HttpServerTest, TooManyConnectionsGet503) {
  HttpLimits limits;
  limits.connections = 1;
  Service service(limits);
  RawClient first = service.connect();
  first.send(kGet);
  EXPECT_TRUE(first.receive_response().starts_with("HTTP/1.1 200"));
  RawClient second = service.connect();
  EXPECT_TRUE(second.receive_all().starts_with("HTTP/1.1 503"));
}

TEST(HttpServerTest, DrainFinishesWhatIsInFlight) {
  Service service({}, 1);
  RawClient idle = service.connect();
  idle.send(kGet);
  EXPECT_TRUE(idle.receive_response().starts_with("HTTP/1.1 200"));
  RawClient busy = service.connect();
  busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return service.waiting == 1; }));
  std::atomic<bool> clean = false;
  std::thread drain([&] { clean = service.server.drain(Millis(20'000)); });
  EXPECT_EQ(idle.receive_all(), "");  // cut at once
  service.gate.set();
  const std::string answer = busy.receive_all();
  EXPECT_TRUE(answer.contains("waited"));
  EXPECT_TRUE(answer.contains("connection: close"));
  drain.join();
  EXPECT_TRUE(clean);
}

TEST(HttpServerTest, DrainResetsWhatNeverEnds) {
  Service service;
  RawClient client = service.connect();
  client.send("GET /x HTTP/1.1\r\nHos");
  ASSERT_TRUE(eventually([&] { return service.server.connections() == 1; }));
  EXPECT_TRUE(eventually([&] {
    const bool clean = service.server.drain(Millis(1));
    return clean || service.server.connections() == 0;
  }));
  EXPECT_EQ(service.server.connections(), 0U);
}

TEST(HttpServerTest, OverTlsAndUnixSocket) {
  Service service;
  TempFolder folder;
  const std::string path = folder / "api.sock";
  auto local = Listener::listen_unix(service.threads, service.lines.log(), path, 0600);
  ASSERT_TRUE(local.ok());
  service.server.serve(std::move(local).value());
  RawClient client = RawClient::unix_socket(path);
  client.send(kGet);
  EXPECT_TRUE(client.receive_response().contains("\"uid\":" + std::to_string(::getuid())));

  const auto identity = testing_support::make_identity({"IP:127.0.0.1"});
  auto context = TlsServerContext::make(identity.certificate_pem, identity.key(), {"http/1.1"});
  auto secure = Listener::listen_tcp(service.threads, service.lines.log(), "127.0.0.1", 0);
  const std::uint16_t port = (*secure)->port();
  service.server.serve_tls(std::move(secure).value(), *context);
  RawClient plain = RawClient::tcp(port);
  plain.send(kGet);  // no TLS: the handshake fails and nothing is answered in plain text
  const std::string answer = plain.receive_all();
  EXPECT_FALSE(answer.contains("HTTP/1.1"));
}

}  // namespace
}  // namespace daypass::net
