#include "net/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "net/http_server.h"
#include "net/test_support.h"

namespace daypass::net {
namespace {

using base::Code;
using base::Millis;
using base::Result;
using base::Secret;
using testing_support::LogLines;
using testing_support::RawClient;
using testing_support::RawServer;
using testing_support::TempFolder;

HttpFetch local(std::string method, std::uint16_t port, std::string path = "/") {
  HttpFetch fetch(std::move(method), "http://127.0.0.1:" + std::to_string(port) + path);
  fetch.egress.allow_loopback_http = true;
  fetch.timeout = Millis(20'000);
  return fetch;
}

/// Answers every request with these bytes, and keeps what was asked.
struct Canned {
  explicit Canned(std::string a)
      : answer(std::move(a)), server([this](RawClient& client) {
          std::string head = client.receive_until("\r\n\r\n");
          const std::lock_guard lock(mutex);
          asked = std::move(head);
          client.send(answer);
        }) {}
  std::string question() {
    const std::lock_guard lock(mutex);
    return asked;
  }
  std::string answer;
  std::mutex mutex;
  std::string asked;
  RawServer server;
};

std::string check_of(const HttpFetch& fetch) {
  HttpClient client;
  const Result<HttpReply> reply = client.fetch(fetch);
  return reply ? "status " + std::to_string(reply->status) : reply.error().check;
}

TEST(EgressTest, AddressesAreClassified) {
  const std::vector<std::pair<AddressClass, std::vector<const char*>>> table{
      {AddressClass::global,
       {"1.1.1.1", "9.9.9.9", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1",
        "64:ff9b::101:101", "::ffff:1.1.1.1"}},
      {AddressClass::loopback, {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}},
      {AddressClass::site,
       {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "fd12::1",
        "fc00::1", "::ffff:10.1.2.3"}},
      {AddressClass::forbidden,
       {"0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "::",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::1",
        "2001::1",
        "2001:db8::1",
        "::7f00:1",
        "100::1",
        "nonsense",
        "127.1",
        "0x7f000001",
        ""}}};
  for (const auto& [expected, literals] : table) {
    for (const char* literal : literals) EXPECT_EQ(classify(literal), expected) << literal;
  }
  const sockaddr unknown{};
  EXPECT_EQ(classify(&unknown, sizeof unknown), AddressClass::forbidden);
}

TEST(EgressTest, PolicyDecides) {
  const EgressPolicy strict;
  EXPECT_TRUE(may_connect(strict, AddressClass::global, "idp.example", true));
  EXPECT_FALSE(may_connect(strict, AddressClass::global, "idp.example", false));
  for (const auto kind : {AddressClass::loopback, AddressClass::site, AddressClass::forbidden})
    EXPECT_FALSE(may_connect(strict, kind, "idp.example", true));
  EgressPolicy open;
  open.allow_loopback = true;
  open.private_hosts = {"idp.corp"};
  EXPECT_TRUE(may_connect(open, AddressClass::loopback, "localhost", true));
  EXPECT_FALSE(may_connect(open, AddressClass::loopback, "localhost", false));
  EXPECT_TRUE(may_connect(open, AddressClass::site, "idp.corp", true));
  EXPECT_FALSE(may_connect(open, AddressClass::site, "idp.corp", false));
  EXPECT_FALSE(may_connect(open, AddressClass::site, "other.corp", true));
  EXPECT_FALSE(may_connect(open, AddressClass::forbidden, "idp.corp", true));
  EgressPolicy demo;
  demo.allow_loopback_http = true;
  EXPECT_TRUE(may_connect(demo, AddressClass::loopback, "localhost", false));
  EXPECT_FALSE(may_connect(demo, AddressClass::global, "idp.example", false));
}

TEST(HttpClientTest, FetchesAndKeepsHeaders) {
  Canned canned(
      "HTTP/1.1 201 Created\r\nX-One: a\r\nX-Two: b \r\nx-one: c\r\nContent-Type: application/json; x=y\r\n"
      "Content-Length: 2\r\n\r\nhi");
  HttpFetch fetch = local("GET", canned.server.port(), "/p?q=1");
  fetch.headers = {{"accept", "application/json"}, {"x-empty", ""}};
  HttpClient client("agent/1");
  const Result<HttpReply> reply = client.fetch(fetch);
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->status, 201);
  EXPECT_EQ(reply->body, "hi");
  EXPECT_EQ(reply->header("x-one"), "a");
  EXPECT_EQ(reply->header("x-two"), "b");
  EXPECT_EQ(reply->media_type(), "application/json");
  const std::string asked = canned.question();
  EXPECT_TRUE(asked.starts_with("GET /p?q=1 HTTP/1.1\r\n")) << asked;
  EXPECT_TRUE(asked.contains("User-Agent: agent/1\r\n"));
  EXPECT_TRUE(asked.contains("accept: application/json\r\n"));
  EXPECT_TRUE(asked.contains("x-empty:\r\n"));
  EXPECT_FALSE(asked.contains("Accept-Encoding"));
}

TEST(HttpClientTest, SendsSecretsAndBodies) {
  std::string got;
  std::mutex mutex;
  RawServer server([&](RawClient& client) {
    std::string all = client.receive_until("end");
    const std::lock_guard lock(mutex);
    got = std::move(all);
    client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  HttpFetch fetch = local("POST", server.port());
  fetch.secret_body = Secret("code=x&end");
  fetch.headers = {{"content-type", "application/x-www-form-urlencoded"}};
  fetch.basic.emplace("user", Secret("pass word"));
  EXPECT_EQ(check_of(fetch), "status 200");
  EXPECT_TRUE(got.contains("POST / HTTP/1.1\r\n"));
  EXPECT_TRUE(got.contains("Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n")) << got;
  EXPECT_TRUE(got.contains("Content-Length: 10\r\n"));
  EXPECT_FALSE(got.contains("Expect"));
  fetch.basic.reset();
  fetch.secret_body = Secret();
  fetch.body = "the end";
  fetch.method = "PUT";
  fetch.authorization = Secret("Bearer t0ken");
  EXPECT_EQ(check_of(fetch), "status 200");
  EXPECT_TRUE(got.contains("PUT / HTTP/1.1\r\n"));
  EXPECT_TRUE(got.contains("Authorization: Bearer t0ken\r\n"));
}

TEST(HttpClientTest, RedirectsAreReturnedAndNeverFollowed) {
  Canned elsewhere("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  Canned canned("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:" + std::to_string(elsewhere.server.port()) +
                "/\r\nContent-Length: 0\r\n\r\n");
  HttpClient client;
  const Result<HttpReply> reply = client.fetch(local("GET", canned.server.port()));
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->status, 302);
  EXPECT_TRUE(reply->header("location").has_value());
  EXPECT_EQ(elsewhere.server.accepted(), 0);
}

TEST(HttpClientTest, SizesAreCapped) {
  Canned announced("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 'x'));
  Canned chunked("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + std::string(5000, 'x') +
                 "\r\n0\r\n\r\n");
  Canned endless_header("HTTP/1.1 200 OK\r\n" + [] {
    std::string lines;
    for (int i = 0; i < 2000; ++i) lines += "x-header: " + std::string(50, 'y') + "\r\n";
    return lines;
  }() + "Content-Length: 0\r\n\r\n");
  for (Canned* canned : {&announced, &chunked}) {
    HttpFetch fetch = local("GET", canned->server.port());
    fetch.max_bytes = 4999;
    EXPECT_EQ(check_of(fetch), "http.too_large");
    fetch.max_bytes = 5000;
    EXPECT_EQ(check_of(fetch), "status 200");
  }
  EXPECT_EQ(check_of(local("GET", endless_header.server.port())), "http.too_large");
}

TEST(HttpClientTest, CompressedAnswersAreNotUnpacked) {
  Canned bomb("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc");
  HttpClient client;
  const Result<HttpReply> reply = client.fetch(local("GET", bomb.server.port()));
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->body, "abc");
}

TEST(HttpClientTest, EgressIsRefusedBeforeAnyConnection) {
  Canned canned("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const std::string port = std::to_string(canned.server.port());
  HttpFetch plain("GET", "http://127.0.0.1:" + port + "/");
  EXPECT_EQ(check_of(plain), "http.scheme");
  // Every spelling of this machine, by https (so that only the address is in the way).
  for (const char* host :
       {"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1", "0.0.0.0"}) {
    HttpFetch fetch("GET", "https://" + std::string(host) + ":" + port + "/");
    EXPECT_EQ(check_of(fetch), "http.egress") << host;
  }
  for (const char* host : {"169.254.169.254", "10.1.2.3", "192.168.0.1", "[fd00:ec2::254]", "[fe80::1]"}) {
    HttpFetch fetch("GET", "https://" + std::string(host) + "/");
    fetch.egress.allow_loopback = true;
    fetch.egress.allow_loopback_http = true;
    EXPECT_EQ(check_of(fetch), "http.egress") << host;
  }
  // Naming a host as private doesn't open link-local or loopback addresses.
  for (const char* host : {"169.254.169.254", "127.0.0.1"}) {
    HttpFetch fetch("GET", "https://" + std::string(host) + ":" + port + "/");
    fetch.egress.private_hosts = {host};
    EXPECT_EQ(check_of(fetch), "http.egress") << host;
  }
  // http is for loopback only, whatever else is allowed.
  HttpFetch http_site("GET", "http://10.1.2.3/");
  http_site.egress.allow_loopback_http = true;
  http_site.egress.private_hosts = {"10.1.2.3"};
  EXPECT_EQ(check_of(http_site), "http.egress");
  EXPECT_EQ(canned.server.accepted(), 0);
}

TEST(HttpClientTest, ProxiesFromTheEnvironmentAreIgnored) {
  Canned proxy("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy");
  Canned origin("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin");
  const std::string url = "http://127.0.0.1:" + std::to_string(proxy.server.port());
  ::setenv("http_proxy", url.c_str(), 1);
  ::setenv("all_proxy", url.c_str(), 1);
  HttpClient client;
  const Result<HttpReply> reply = client.fetch(local("GET", origin.server.port()));
  ::unsetenv("http_proxy");
  ::unsetenv("all_proxy");
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->body, "origin");
}

TEST(HttpClientTest, UrlsAreStrict) {
  for (const char* url : {"", "idp.example", "//idp.example", "https://", "https://user:pw@idp.example/",
                          "https://a b/", "https://idp.example/#f", "https://idp.example\\@evil/",
                          "https://idp.example:99999/", "https://idp.example/\r\nx"})
    EXPECT_EQ(check_of(HttpFetch("GET", url)), "http.url") << url;
  for (const char* url : {"ftp://idp.example/", "file:///etc/passwd", "gopher://idp.example/", "http://idp.example/"})
    EXPECT_EQ(check_of(HttpFetch("GET", url)), "http.scheme") << url;
}

TEST(HttpClientTest, RequestsCannotBeSplit) {
  HttpFetch fetch = local("GET", 1);
  fetch.headers = {{"x", "a\r\nb: c"}};
  EXPECT_EQ(check_of(fetch), "http.request");
  fetch.headers = {{"x: y\r\nz", "a"}};
  EXPECT_EQ(check_of(fetch), "http.request");
  fetch.headers.clear();
  fetch.method = "GET / HTTP/1.1\r\n";
  EXPECT_EQ(check_of(fetch), "http.request");
  fetch.method = "GET";
  fetch.authorization = Secret("Bearer a\r\nx: y");
  EXPECT_EQ(check_of(fetch), "http.request");
}

TEST(HttpClientTest, TimeIsLimited) {
  RawServer mute([](RawClient& client) { (void)client.receive_until("never"); });
  HttpFetch fetch = local("GET", mute.port());
  fetch.timeout = Millis(100);
  HttpClient client;
  const Result<HttpReply> reply = client.fetch(fetch);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().check, "http.timeout");
  EXPECT_EQ(reply.error().code, Code::timeout);
}

TEST(HttpClientTest, CanBeGivenUpFromAnotherThread) {
  std::atomic<bool> stop = false;
  RawServer mute([&](RawClient& client) {
    (void)client.receive_until("\r\n\r\n");
    stop = true;  // once the request is there, somebody shuts down
    (void)client.receive_until("never");
  });
  HttpFetch fetch = local("GET", mute.port());
  fetch.stop = &stop;
  EXPECT_EQ(check_of(fetch), "http.cancelled");
}

TEST(HttpClientTest, BrokenPeersAreNamed) {
  Canned empty("");
  Canned garbage("SSH-2.0-OpenSSH_9.2\r\n");
  Canned cut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  for (Canned* canned : {&empty, &garbage, &cut})
    EXPECT_EQ(check_of(local("GET", canned->server.port())), "http.protocol") << canned->answer;
  std::uint16_t closed_port = 0;
  {
    RawServer gone([](RawClient&) {});
    closed_port = gone.port();
  }
  EXPECT_EQ(check_of(local("GET", closed_port)), "http.connect");
  HttpFetch unknown("GET", "https://no..name/");
  const std::string check = check_of(unknown);
  EXPECT_TRUE(check == "http.resolve" || check == "http.url") << check;
}

awaitable<HttpResponse> hello(HttpRequest request) {
  co_return HttpResponse::text(200, request.over_tls ? "secure " + request.method : "plain " + request.method);
}

/// Our own server over TLS and on a unix socket.
struct Secure {
  explicit Secure(const std::vector<std::string>& names) : identity(testing_support::make_identity(names)) {
    auto context = TlsServerContext::make(identity.certificate_pem, identity.key(), {"http/1.1"});
    auto listener = Listener::listen_tcp(threads, lines.log(), "127.0.0.1", 0);
    port = (*listener)->port();
    server.serve_tls(std::move(listener).value(), *context);
    auto unix_listener = Listener::listen_unix(threads, lines.log(), folder / "s.sock", 0600);
    server.serve(std::move(unix_listener).value());
    threads.start();
  }
  HttpFetch fetch(const std::string& host) const {
    HttpFetch out("GET", "https://" + host + ":" + std::to_string(port) + "/");
    out.egress.allow_loopback = true;
    out.timeout = Millis(20'000);
    return out;
  }
  testing_support::TestIdentity identity;
  TempFolder folder;
  LogLines lines;
  base::SystemClock clock;
  base::SeededEntropy entropy{1};
  IoThreads threads{1};
  std::uint16_t port = 0;
  HttpServer server{hello, HttpLimits(), lines.log(), clock, entropy};
};

TEST(HttpClientTest, TlsIsVerifiedAlways) {
  Secure secure({"IP:127.0.0.1"});
  HttpFetch fetch = secure.fetch("127.0.0.1");
  EXPECT_EQ(check_of(fetch), "http.tls");  // the system doesn't know this authority
  fetch.ca_pem = secure.identity.certificate_pem;
  HttpClient client;
  const Result<HttpReply> reply = client.fetch(fetch);
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->body, "secure GET");
  HttpFetch by_name = secure.fetch("localhost");  // trusted, but made for another name
  by_name.ca_pem = secure.identity.certificate_pem;
  EXPECT_EQ(check_of(by_name), "http.tls");
  HttpFetch by_file = secure.fetch("127.0.0.1");
  by_file.ca_file = secure.folder / "ca.pem";
  EXPECT_EQ(check_of(by_file), "http.tls");  // no such file: not a reason to trust everybody
  std::ofstream(by_file.ca_file) << secure.identity.certificate_pem;
  EXPECT_EQ(check_of(by_file), "status 200");
  HttpFetch other_ca = secure.fetch("127.0.0.1");
  other_ca.ca_pem = testing_support::make_identity({"IP:127.0.0.1"}).certificate_pem;
  EXPECT_EQ(check_of(other_ca), "http.tls");
  RawServer plain([](RawClient& raw) {
    (void)raw.receive_until("\n");
    raw.send("HTTP/1.1 400 no\r\n\r\n");
  });
  HttpFetch no_tls("GET", "https://127.0.0.1:" + std::to_string(plain.port()) + "/");
  no_tls.egress.allow_loopback = true;
  EXPECT_EQ(check_of(no_tls), "http.tls");
}

TEST(HttpClientTest, ReachesUnixSockets) {
  Secure secure({"IP:127.0.0.1"});
  HttpFetch fetch("GET", "http://localhost/");
  fetch.unix_socket = secure.folder / "s.sock";
  HttpClient client;
  const Result<HttpReply> reply = client.fetch(fetch);
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->body, "plain GET");
  fetch.method = "HEAD";
  EXPECT_EQ(check_of(fetch), "status 200");
  fetch.unix_socket = secure.folder / "missing.sock";
  EXPECT_EQ(check_of(fetch), "http.connect");
}

TEST(HttpClientTest, ManyThreadsAtOnce) {
  Secure secure({"IP:127.0.0.1"});
  HttpClient client;
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 5; ++j) {
        HttpFetch fetch = secure.fetch("127.0.0.1");
        fetch.ca_pem = secure.identity.certificate_pem;
        const Result<HttpReply> reply = client.fetch(fetch);
        if (reply && reply->body == "secure GET") ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 20);
}

}  // namespace
}  // namespace daypass::net
