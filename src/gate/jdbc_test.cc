// A client as strict as pgjdbc's SCRAM library, written from RFC 5802 and 7677, sharing no code with our own: what it
// would refuse, the gate must not send. It names no user ("n=*"), as pgjdbc does; the startup message has said it.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/x509.h"
#include "gate/test_world.h"
#include "net/connect.h"
#include "wire/postgres/build.h"
#include "wire/postgres/startup.h"

namespace daypass::gate::test {
namespace {

using namespace std::string_view_literals;

std::string hmac(std::string_view key, std::string_view text) {
  unsigned char out[32];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out, &size);
  return {reinterpret_cast<char*>(out), size};
}

std::string sha256(std::string_view text) {
  unsigned char out[32];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), out, &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<char*>(out), size};
}

struct Strict {
  std::uint16_t port;
  std::optional<net::TlsClientContext> tls;  ///< none: in clear
  std::string certificate_hash;              ///< of the server's, for -PLUS
  std::string gs2, mechanism, user = "*";
  std::string failed;  ///< what this client did not accept; empty: it is in
};

struct Message {
  char type = 0;
  std::string body;
};

net::awaitable<Message> next(net::Stream& stream) {
  char head[5];
  const auto got = co_await net::read_exact(stream, head);
  if (!got.ok()) co_return Message{};
  std::uint32_t size = 0;
  for (int i = 1; i < 5; ++i) size = size << 8U | static_cast<unsigned char>(head[i]);
  if (size < 4 || size > 65536) co_return Message{};
  Message message{head[0], std::string(size - 4, '\0')};
  if (size == 4) co_return message;
  const auto rest = co_await net::read_exact(stream, message.body);
  if (!rest.ok()) co_return Message{};
  co_return message;
}

// Attributes in their order, each exactly once and none besides.
std::optional<std::vector<std::string>> attributes(std::string_view text, std::string_view names) {
  std::vector<std::string> values;
  for (const char name : names) {
    if (!values.empty()) {
      if (!text.starts_with(',')) return std::nullopt;
      text.remove_prefix(1);
    }
    if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
    text.remove_prefix(2);
    values.emplace_back(text.substr(0, text.find(',')));
    text.remove_prefix(values.back().size());
  }
  if (!text.empty()) return std::nullopt;
  return values;
}

/// The body of AuthenticationSASL: names, each ended by NUL, and an empty one.
std::vector<std::string> mechanisms_of(std::string_view body) {
  std::vector<std::string> names;
  for (body.remove_prefix(4); !body.empty() && body.front() != '\0';) {
    names.emplace_back(body.substr(0, body.find('\0')));
    body.remove_prefix(std::min(names.back().size() + 1, body.size()));
  }
  if (body != "\0"sv) names.clear();
  return names;
}

bool is(const Message& message, char code) {
  return message.type == 'R' && message.body.starts_with(std::string_view("\0\0\0", 3)) && message.body[3] == code;
}

net::awaitable<void> log_in(Strict& s, net::io_context& io) {
  std::string host = "127.0.0.1", name = "localhost";
  auto connected = co_await net::connect_tcp(io, std::move(host), s.port, kPatience);
  s.failed = "connect";
  if (!connected.ok()) co_return;
  net::StreamPtr stream = std::move(*connected);
  if (s.tls) {
    const std::string_view ssl_request = "\0\0\0\x08\x04\xd2\x16\x2f"sv;
    (void)co_await stream->write_all(ssl_request);
    char answer[1];
    (void)co_await stream->read_some(answer);
    auto secured = co_await net::connect_tls(std::move(stream), *s.tls, std::move(name), "", kPatience);
    s.failed = "tls";
    if (!secured.ok()) co_return;
    stream = std::move(*secured);
  }
  // As pgjdbc begins.
  wire::postgres::StartupMessage begin;
  begin.settings = {
      {"client_encoding", "UTF8"}, {"DateStyle", "ISO"}, {"TimeZone", "UTC"}, {"extra_float_digits", "2"}};
  const std::string hello = wire::postgres::build_startup(begin, "dp-alice", "postgres");
  (void)co_await stream->write_all(hello);

  Message message = co_await next(*stream);
  s.failed = "mechanisms";
  if (!is(message, 10)) co_return;
  const auto offered = mechanisms_of(message.body);
  // -PLUS exactly where there is something to bind to.
  if ((std::ranges::find(offered, "SCRAM-SHA-256-PLUS") != offered.end()) != s.tls.has_value()) co_return;
  if (std::ranges::find(offered, s.mechanism) == offered.end()) co_return;

  const std::string nonce = "fyko+d2lbbFgONRv9qkxdawL", bare = "n=" + s.user + ",r=" + nonce;
  std::string out;
  wire::postgres::append_sasl_initial_response(out, s.mechanism, s.gs2 + bare);
  (void)co_await stream->write_all(out);
  message = co_await next(*stream);
  s.failed = "server-first: " + message.body;
  if (!is(message, 11)) co_return;
  const std::string server_first = message.body.substr(4);
  const auto first = attributes(server_first, "rsi");
  if (!first) co_return;
  const std::string& both = (*first)[0];
  const auto salt = base::base64_decode((*first)[1]);
  // RFC 5802: printable, and the client's own at the beginning, with something of the server's behind it.
  if (!both.starts_with(nonce) || both.size() < nonce.size() + 16) co_return;
  if (std::ranges::any_of(both, [](char c) { return c < '!' || c > '~' || c == ','; })) co_return;
  if (!salt || salt->size() < 16 || base::base64_encode(*salt) != (*first)[1]) co_return;
  const std::string& rounds = (*first)[2];
  if (rounds.empty() || rounds.size() > 6 || std::ranges::any_of(rounds, [](char c) { return c < '0' || c > '9'; }))
    co_return;
  s.failed = "too few iterations: " + rounds;
  if (std::stoi(rounds) < 4096) co_return;

  unsigned char salted[32];
  const std::string_view password = "open sesame";
  PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                    reinterpret_cast<const unsigned char*>(salt->data()), static_cast<int>(salt->size()),
                    std::stoi(rounds), EVP_sha256(), sizeof salted, salted);
  const std::string_view key(reinterpret_cast<const char*>(salted), sizeof salted);
  const bool plus = s.mechanism.ends_with("-PLUS");
  const std::string without = "c=" + base::base64_encode(s.gs2 + (plus ? s.certificate_hash : "")) + ",r=" + both;
  const std::string signed_text = bare + "," + server_first + "," + without;
  std::string proof = hmac(key, "Client Key");
  const std::string signature = hmac(sha256(proof), signed_text);
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ signature[i]);
  out.clear();
  wire::postgres::append_sasl_response(out, without + ",p=" + base::base64_encode(proof));
  (void)co_await stream->write_all(out);

  message = co_await next(*stream);
  s.failed = "server-final: " + message.body;
  if (!is(message, 12)) co_return;
  const auto final = attributes(std::string_view(message.body).substr(4), "v");
  if (!final || (*final)[0] != base::base64_encode(hmac(hmac(key, "Server Key"), signed_text))) co_return;
  message = co_await next(*stream);
  s.failed = "no AuthenticationOk";
  if (!is(message, 0) || message.body.size() != 4) co_return;
  do message = co_await next(*stream);
  while (message.type != 'Z' && message.type != 'E' && message.type != 0);
  s.failed = message.type == 'Z' ? "" : "no ReadyForQuery: " + message.body;
}

/// Empty when the client was content with the gate.
std::string jdbc(World& w, bool tls, const std::string& gs2, const std::string& mechanism, std::string user = "*",
                 const std::string& other_certificate = {}) {
  Strict s{w.gate->port(), {}, {}, gs2, mechanism, std::move(user), {}};
  if (tls) {
    net::TlsClientOptions options;
    options.ca_file = w.ca_file;
    s.tls.emplace(std::move(net::TlsClientContext::make(options)).value());
    // RFC 5929 section 4: SHA-256 over the certificate's DER, as its signature uses it.
    std::string pem = other_certificate.empty() ? w.tls.leaf_pem() : other_certificate;
    pem.erase(0, pem.find('\n') + 1);
    pem.erase(pem.find("-----END"));
    std::erase(pem, '\n');
    s.certificate_hash = sha256(base::base64_decode(pem).value());
  }
  net::IoThreads own(1, "client");
  std::atomic<bool> done = false;
  net::spawn(own.at(0), log_in(s, own.at(0)), [&](std::exception_ptr) { done = true; });
  own.start();
  EXPECT_TRUE(eventually([&] { return done.load(); }));
  own.stop();
  return s.failed;
}

TEST(Jdbc, InClear) {
  World w;
  EXPECT_EQ(jdbc(w, false, "n,,", "SCRAM-SHA-256"), "");
  EXPECT_EQ(jdbc(w, false, "n,,", "SCRAM-SHA-256", ""), "");
  // It could bind, and sees that the server offers no way to: without TLS that is no lie.
  EXPECT_EQ(jdbc(w, false, "y,,", "SCRAM-SHA-256"), "");
  // A name here means nothing: the startup message has said who it is.
  EXPECT_EQ(jdbc(w, false, "n,,", "SCRAM-SHA-256", "somebody=2Celse"), "");
}

TEST(Jdbc, OverTls) {
  World w;
  EXPECT_EQ(jdbc(w, true, "p=tls-server-end-point,,", "SCRAM-SHA-256-PLUS"), "");
  EXPECT_EQ(jdbc(w, true, "n,,", "SCRAM-SHA-256"), "");  // channelBinding=disable
}

TEST(Jdbc, WhatMustNotPass) {
  World w;
  const auto refused = [&](bool tls, const std::string& gs2, const std::string& mechanism,
                           const std::string& certificate = {}) {
    const std::string why = jdbc(w, tls, gs2, mechanism, "*", certificate);
    return why.starts_with("server-");
  };
  const auto other = crypto::self_signed({"localhost"}, w.clock.wall(), w.clock.wall() + std::chrono::hours(1));
  // Bound to another certificate: somebody sits in between.
  EXPECT_TRUE(refused(true, "p=tls-server-end-point,,", "SCRAM-SHA-256-PLUS", other.certificate_pem));
  EXPECT_TRUE(refused(true, "p=tls-unique,,", "SCRAM-SHA-256-PLUS"));
  EXPECT_TRUE(refused(true, "n,,", "SCRAM-SHA-256-PLUS"));
  EXPECT_TRUE(refused(true, "p=tls-server-end-point,,", "SCRAM-SHA-256"));
  // -PLUS was offered; who didn't see it was lied to on the way.
  EXPECT_TRUE(refused(true, "y,,", "SCRAM-SHA-256"));
  // An authorization identity is somebody else's name.
  EXPECT_TRUE(refused(false, "n,a=dp-mallory,", "SCRAM-SHA-256"));
  EXPECT_EQ(w.access.admitted(), 0U);
}

}  // namespace
}  // namespace daypass::gate::test
