#include "net/tls.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <random>
#include <string>
#include <thread>

#include "net/listener.h"
#include "net/test_support.h"

namespace daypass::net {
namespace {

using base::Millis;
using base::Result;
using base::Status;
using testing_support::Loop;
using testing_support::make_identity;
using testing_support::TestIdentity;

constexpr Millis kTime{20'000};

const TestIdentity& identity() {
  static const TestIdentity made = make_identity({"DNS:db.example", "DNS:*.wild.example", "IP:127.0.0.1"});
  return made;
}

TlsServerContext server_context(std::vector<std::string> alpn = {}) {
  return TlsServerContext::make(identity().certificate_pem, identity().key(), std::move(alpn)).value();
}

TlsClientContext client_context(std::vector<std::string> alpn = {}) {
  TlsClientOptions options;
  options.ca_pem = identity().certificate_pem;
  options.alpn = std::move(alpn);
  return TlsClientContext::make(options).value();
}

struct Side {
  StreamPtr stream;
  std::string failed;
};

void keep(Result<StreamPtr> result, Side& side) {
  if (result)
    side.stream = std::move(result).value();
  else
    side.failed = result.error().check;
}

awaitable<void> be_server(StreamPtr stream, TlsServerContext context, Millis timeout, Side& side) {
  Result<StreamPtr> result = co_await accept_tls(std::move(stream), std::move(context), timeout);
  keep(std::move(result), side);
}

awaitable<void> be_client(StreamPtr stream, TlsClientContext context, std::string host, Side& side) {
  Result<StreamPtr> result = co_await connect_tls(std::move(stream), std::move(context), std::move(host), {}, kTime);
  keep(std::move(result), side);
}

/// A socket pair with TLS on it, or what went wrong on each side.
struct TlsPair {
  TlsPair(TlsServerContext server_rules, TlsClientContext client_rules, std::string host) {
    auto ends = stream_pair(loop.io());
    loop.add(be_server(std::move(ends->first), std::move(server_rules), kTime, server));
    loop.add(be_client(std::move(ends->second), std::move(client_rules), std::move(host), client));
    loop.run();
    loop.io().restart();
  }
  TlsPair() : TlsPair(server_context(), client_context(), "db.example") {}
  Loop loop;
  Side server;
  Side client;
};

std::string random_text(std::size_t size, unsigned seed) {
  std::mt19937 engine(seed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(engine());
  return out;
}

awaitable<void> read_all(Stream& stream, std::string& out, std::string& failed) {
  std::array<char, 3000> piece{};
  for (;;) {
    const Result<std::size_t> count = co_await stream.read_some(piece);
    if (!count) failed = count.error().check;
    if (!count || *count == 0) co_return;
    out.append(piece.data(), *count);
  }
}

awaitable<void> write_pieces(Stream& stream, std::string text, std::size_t piece, std::string& failed) {
  for (std::size_t at = 0; at < text.size(); at += piece) {
    const Status status = co_await stream.write_all(std::string_view(text).substr(at, piece));
    if (!status) failed = status.error().check;
  }
  (void)stream.shutdown();
}

TEST(TlsTest, BothDirectionsAtOnceWithBlockedWriters) {
  TlsPair pair;
  ASSERT_TRUE(pair.server.stream) << pair.server.failed;
  ASSERT_TRUE(pair.client.stream) << pair.client.failed;
  const std::string there = random_text(3'000'000, 1);
  const std::string back = random_text(2'000'000, 2);
  std::string at_server;
  std::string at_client;
  std::string failed;
  // Both write before anybody reads, so that each side reads while its own write is blocked.
  pair.loop.add(write_pieces(*pair.client.stream, there, 100'000, failed));
  pair.loop.add(write_pieces(*pair.server.stream, back, 70'000, failed));
  pair.loop.add(read_all(*pair.server.stream, at_server, failed));
  pair.loop.add(read_all(*pair.client.stream, at_client, failed));
  pair.loop.run();
  EXPECT_EQ(failed, "");
  EXPECT_TRUE(at_server == there);
  EXPECT_TRUE(at_client == back);
}

TEST(TlsTest, RecordsOfEverySizeInOneBurst) {
  TlsPair pair;
  ASSERT_TRUE(pair.client.stream);
  std::mt19937 engine(7);
  std::string sent;
  // Many records in the socket before the first read: reads then begin and end inside records.
  for (int i = 0; i < 120; ++i) {
    const std::string piece = random_text(1 + engine() % (i % 3 == 0 ? 40U : 1200U), 100U + static_cast<unsigned>(i));
    ASSERT_EQ(pair.client.stream->try_write(piece).count, piece.size());
    sent += piece;
  }
  (void)pair.client.stream->shutdown();
  std::string got;
  std::string failed;
  pair.loop.add(read_all(*pair.server.stream, got, failed));
  pair.loop.run();
  EXPECT_EQ(failed, "");
  EXPECT_TRUE(got == sent);
}

awaitable<void> mixed_reader(Stream& stream, std::string& out, std::string& failed) {
  // Awaited reads, tries and waits in turn must see one sequence of bytes.
  std::array<char, 97> piece{};
  for (int turn = 0;; ++turn) {
    if (turn % 3 == 0) {
      const Result<std::size_t> count = co_await stream.read_some(piece);
      if (!count) failed = count.error().check;
      if (!count || *count == 0) co_return;
      out.append(piece.data(), *count);
      continue;
    }
    if (turn % 3 == 1) {
      const Status ready = co_await stream.wait_readable();
      if (!ready) failed = ready.error().check;
      if (!ready) co_return;
    }
    const Attempt got = stream.try_read(piece);
    if (got.kind == Attempt::Kind::eof) co_return;
    if (got.kind == Attempt::Kind::error) {
      failed = "error";
      co_return;
    }
    out.append(piece.data(), got.count);
  }
}

TEST(TlsTest, ReadsOfAllKindsMix) {
  TlsPair pair;
  ASSERT_TRUE(pair.client.stream);
  const std::string text = random_text(400'000, 3);
  std::string got;
  std::string failed;
  pair.loop.add(mixed_reader(*pair.server.stream, got, failed));
  pair.loop.add(write_pieces(*pair.client.stream, text, 777, failed));
  pair.loop.run();
  EXPECT_EQ(failed, "");
  EXPECT_TRUE(got == text);
}

awaitable<void> offer_again(Stream& stream, std::string rest, std::size_t piece, std::string& failed) {
  while (!rest.empty()) {
    const Status ready = co_await stream.wait_writable();
    if (!ready) failed = ready.error().check;
    const Attempt sent = stream.try_write(std::string_view(rest).substr(0, piece));
    if (sent.kind == Attempt::Kind::error) failed = "error";
    if (!failed.empty()) co_return;
    rest.erase(0, sent.count);
  }
  (void)stream.shutdown();
}

TEST(TlsTest, RefusedBytesMayComeInOtherPieces) {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, std::size_t{16384}, std::size_t{1} << 20U}) {
    TlsPair pair;
    ASSERT_TRUE(pair.client.stream);
    const std::string text = random_text(1'500'000, 4);
    std::size_t sent = 0;
    for (;;) {
      const Attempt attempt = pair.client.stream->try_write(std::string_view(text).substr(sent, 50'000));
      ASSERT_NE(attempt.kind, Attempt::Kind::error);
      sent += attempt.count;
      if (attempt.blocked()) break;
    }
    ASSERT_LT(sent, text.size());
    EXPECT_TRUE(pair.client.stream->write_blocked());
    // In pieces of one byte only the beginning: the point is where the record was cut.
    const std::size_t more = piece == 1 ? 40'000 : text.size() - sent;
    const std::string whole = text.substr(0, sent + more);
    std::string got;
    std::string failed;
    pair.loop.add(offer_again(*pair.client.stream, text.substr(sent, more), piece, failed));
    pair.loop.add(read_all(*pair.server.stream, got, failed));
    pair.loop.run();
    EXPECT_EQ(failed, "");
    EXPECT_TRUE(got == whole) << piece;
    EXPECT_FALSE(pair.client.stream->write_blocked());
  }
}

TEST(TlsTest, InfoTellsWhatWasAgreed) {
  TlsPair pair(server_context({"postgresql", "http/1.1"}), client_context({"http/1.1", "postgresql"}), "db.example");
  ASSERT_TRUE(pair.server.stream) << pair.server.failed;
  const TlsInfo& info = *pair.server.stream->tls_info();
  EXPECT_EQ(info.sni, "db.example");
  EXPECT_EQ(info.alpn, "postgresql");
  EXPECT_EQ(info.version, "TLSv1.3");
  EXPECT_EQ(pair.client.stream->tls_info()->alpn, "postgresql");
  EXPECT_TRUE(pair.server.stream->peer_uid().has_value());
}

TEST(TlsTest, AlpnIsOptionalButNeverWrong) {
  TlsPair none(server_context({"postgresql"}), client_context(), "db.example");
  ASSERT_TRUE(none.server.stream) << none.server.failed;
  EXPECT_EQ(none.server.stream->tls_info()->alpn, "");
  TlsPair other(server_context({"postgresql"}), client_context({"h2"}), "db.example");
  EXPECT_EQ(other.server.failed, "tls.alpn_mismatch");
  EXPECT_EQ(other.client.failed, "tls.alpn_mismatch");
}

TEST(TlsTest, NamesAndAddressesAreVerified) {
  for (const char* good : {"db.example", "DB.example", "127.0.0.1", "one.wild.example"}) {
    TlsPair pair(server_context(), client_context(), good);
    EXPECT_TRUE(pair.client.stream) << good << " " << pair.client.failed;
  }
  for (const char* bad : {"other.example", "127.0.0.2", "::1", "wild.example", "a.b.wild.example"}) {
    TlsPair pair(server_context(), client_context(), bad);
    EXPECT_EQ(pair.client.failed, "tls.hostname") << bad;
    EXPECT_FALSE(pair.server.failed.empty()) << bad;
  }
  for (const std::string& bad : {std::string(), std::string(".example"), std::string("db.example\0.evil", 15)}) {
    TlsPair pair(server_context(), client_context(), bad);
    EXPECT_EQ(pair.client.failed, "tls.hostname");
  }
}

TEST(TlsTest, UntrustedChainIsRefused) {
  const TestIdentity stranger = make_identity({"DNS:db.example"});
  const auto context = TlsServerContext::make(stranger.certificate_pem, stranger.key(), {});
  TlsPair pair(*context, client_context(), "db.example");
  EXPECT_EQ(pair.client.failed, "tls.certificate");
  // Nor do the system's roots know it.
  const auto system = TlsClientContext::make(TlsClientOptions());
  ASSERT_TRUE(system.ok());
  TlsPair second(*context, *system, "db.example");
  EXPECT_EQ(second.client.failed, "tls.certificate");
}

TEST(TlsTest, CertificateCanBeReplacedWhileServing) {
  TlsServerContext context = server_context();
  const std::string before = context.leaf_pem();
  EXPECT_EQ(before, identity().certificate_pem);
  const TestIdentity fresh = make_identity({"DNS:db.example"});
  EXPECT_EQ(context.replace(fresh.certificate_pem, identity().key()).error().check, "tls.key_mismatch");
  EXPECT_EQ(context.leaf_pem(), before);
  ASSERT_TRUE(context.replace(fresh.certificate_pem, fresh.key()).ok());
  TlsPair pair(context, client_context(), "db.example");
  EXPECT_EQ(pair.client.failed, "tls.certificate");  // the old one is what this client trusts
}

TEST(TlsTest, BrokenMaterialIsNamed) {
  const TestIdentity& good = identity();
  EXPECT_EQ(TlsServerContext::make("no pem", good.key(), {}).error().check, "tls.certificate_pem");
  EXPECT_EQ(TlsServerContext::make(good.certificate_pem, base::Secret("no pem"), {}).error().check, "tls.key_pem");
  EXPECT_EQ(TlsServerContext::make(good.certificate_pem, make_identity({"DNS:x"}).key(), {}).error().check,
            "tls.key_mismatch");
  EXPECT_EQ(TlsServerContext::make(good.certificate_pem, good.key(), {""}).error().check, "tls.alpn");
  EXPECT_EQ(TlsServerContext::make(
                good.certificate_pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", good.key(), {})
                .error()
                .check,
            "tls.certificate_pem");
  TlsClientOptions options;
  options.ca_pem = "nothing";
  EXPECT_EQ(TlsClientContext::make(options).error().check, "tls.ca");
  options.ca_pem.clear();
  options.ca_file = "/nonexistent/ca.pem";
  EXPECT_EQ(TlsClientContext::make(options).error().check, "tls.ca");
  options.ca_pem = good.certificate_pem;
  EXPECT_EQ(TlsClientContext::make(options).error().check, "tls.ca");
}

awaitable<void> be_upgraded(StreamPtr stream, std::string buffered, Side& side, std::string& request) {
  std::array<char, 8> bytes{};
  const Status got = co_await read_exact(*stream, bytes);
  EXPECT_TRUE(got.ok());
  request.assign(bytes.data(), bytes.size());
  Result<StreamPtr> result = co_await upgrade_tls(std::move(stream), server_context(), "S", buffered, kTime);
  keep(std::move(result), side);
}

awaitable<void> ask_upgrade(StreamPtr stream, std::string first, Side& side) {
  const Status sent = co_await stream->write_all(first);
  EXPECT_TRUE(sent.ok());
  std::array<char, 1> consent{};
  const Status got = co_await read_exact(*stream, consent);
  if (!got) {
    side.failed = got.error().check;
    co_return;
  }
  EXPECT_EQ(consent[0], 'S');
  Result<StreamPtr> result = co_await connect_tls(std::move(stream), client_context(), "db.example", {}, kTime);
  keep(std::move(result), side);
}

struct UpgradeOutcome {
  Side server;
  Side client;
};

void run_upgrade(std::string first, std::string buffered, UpgradeOutcome& out) {
  Loop loop;
  std::string request;
  auto ends = stream_pair(loop.io());
  loop.add(be_upgraded(std::move(ends->first), std::move(buffered), out.server, request));
  loop.add(ask_upgrade(std::move(ends->second), std::move(first), out.client));
  loop.run();
  EXPECT_EQ(request, "SSLQuest");
  out.server.stream.reset();  // before the loop
  out.client.stream.reset();
}

TEST(TlsTest, UpgradeAfterPlainRequest) {
  UpgradeOutcome clean;
  run_upgrade("SSLQuest", "", clean);
  EXPECT_EQ(clean.server.failed, "");
  EXPECT_EQ(clean.client.failed, "");
}

TEST(TlsTest, UpgradeRefusesStuffedPlaintext) {
  UpgradeOutcome in_kernel;
  run_upgrade("SSLQuestINSERT", "", in_kernel);
  EXPECT_EQ(in_kernel.server.failed, "tls.stuffed_plaintext");
  EXPECT_FALSE(in_kernel.client.failed.empty());
  UpgradeOutcome in_buffer;
  run_upgrade("SSLQuest", "I", in_buffer);
  EXPECT_EQ(in_buffer.server.failed, "tls.stuffed_plaintext");
}

awaitable<void> peek_then_accept(StreamPtr stream, Side& side, char& first) {
  std::array<char, 1> byte{};
  const Result<std::size_t> count = co_await stream->peek(byte);
  EXPECT_TRUE(count.ok() && *count == 1);
  first = byte[0];
  Result<StreamPtr> result = co_await accept_tls(std::move(stream), server_context({"postgresql"}), kTime);
  keep(std::move(result), side);
}

TEST(TlsTest, DirectTlsAfterPeek) {
  Loop loop;
  auto ends = stream_pair(loop.io());
  Side server;
  Side client;
  char first = 0;
  loop.add(peek_then_accept(std::move(ends->first), server, first));
  loop.add(be_client(std::move(ends->second), client_context({"postgresql"}), "db.example", client));
  loop.run();
  EXPECT_EQ(first, 0x16);  // a TLS handshake record
  ASSERT_TRUE(server.stream) << server.failed;
  EXPECT_EQ(server.stream->tls_info()->alpn, "postgresql");
  EXPECT_TRUE(client.stream) << client.failed;
  server.stream.reset();
  client.stream.reset();
}

TEST(TlsTest, HandshakeEndsInTimeAndOnGarbage) {
  Loop loop;
  auto silent = stream_pair(loop.io());
  auto garbage = stream_pair(loop.io());
  auto gone = stream_pair(loop.io());
  Side slow;
  Side odd;
  Side left;
  loop.add(be_server(std::move(silent->first), server_context(), Millis(20), slow));
  loop.add(be_server(std::move(garbage->first), server_context(), kTime, odd));
  loop.add(be_server(std::move(gone->first), server_context(), kTime, left));
  EXPECT_TRUE(garbage->second->try_write("GET / HTTP/1.1\r\n\r\n").ok());
  gone->second->close();
  loop.run();
  EXPECT_EQ(slow.failed, "net.timeout");
  EXPECT_EQ(odd.failed, "tls.handshake");
  EXPECT_TRUE(left.failed == "tls.handshake" || left.failed == "net.reset") << left.failed;
}

TEST(TlsTest, TlsInsideTlsIsRefused) {
  TlsPair pair;
  Side inner;
  pair.loop.add(be_server(std::move(pair.server.stream), server_context(), kTime, inner));
  pair.loop.run();
  EXPECT_EQ(inner.failed, "tls.transport");
}

TEST(TlsTest, EndWithoutCloseNotifyIsTruncation) {
  TlsPair pair;
  ASSERT_TRUE(pair.server.stream);
  ASSERT_TRUE(pair.client.stream->try_write("half").ok());
  ::shutdown(pair.client.stream->native_fd(), SHUT_WR);  // an attacker's FIN
  std::string got;
  std::string failed;
  pair.loop.add(read_all(*pair.server.stream, got, failed));
  pair.loop.run();
  EXPECT_EQ(got, "half");
  EXPECT_EQ(failed, "net.truncated");
}

awaitable<void> close_soon(Stream& stream, void (Stream::*how)() noexcept) {
  co_await sleep_for(stream.context(), Millis(5));
  (stream.*how)();
}

TEST(TlsTest, CloseWakesReaderAndBlockedWriter) {
  for (auto how : {&Stream::close, &Stream::interrupt, &Stream::abort}) {
    TlsPair pair;
    ASSERT_TRUE(pair.server.stream);
    std::string got;
    std::string read_failed;
    std::string write_failed;
    pair.loop.add(read_all(*pair.server.stream, got, read_failed));
    pair.loop.add(write_pieces(*pair.server.stream, std::string(8 << 20, 'x'), 8 << 20, write_failed));
    pair.loop.add(close_soon(*pair.server.stream, how));
    pair.loop.run();
    EXPECT_EQ(read_failed, "net.closed");
    EXPECT_EQ(write_failed, "net.closed");
  }
}

/// A client on OpenSSL itself, for what our own client never does. Blocking, on its own thread.
class OddClient {
 public:
  explicit OddClient(int fd) : ctx_(SSL_CTX_new(TLS_client_method())), fd_(fd) {}
  ~OddClient() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    SSL_CTX_free(ctx_);
    ::close(fd_);
  }
  OddClient(const OddClient&) = delete;
  OddClient& operator=(const OddClient&) = delete;
  bool connect(int version, SSL_SESSION* offer = nullptr) {
    SSL_CTX_set_security_level(ctx_, 0);
    SSL_CTX_set_min_proto_version(ctx_, version);
    SSL_CTX_set_max_proto_version(ctx_, version);
    ssl_ = SSL_new(ctx_);
    SSL_set_fd(ssl_, fd_);
    if (offer != nullptr) SSL_set_session(ssl_, offer);
    return SSL_connect(ssl_) == 1;
  }
  SSL* ssl() { return ssl_; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  SSL_CTX* ctx_;
  SSL* ssl_ = nullptr;
  int fd_;
};

awaitable<void> echo(StreamPtr stream, std::string& failed) {
  Result<StreamPtr> secure = co_await accept_tls(std::move(stream), server_context(), kTime);
  if (!secure) {
    failed = secure.error().check;
    co_return;
  }
  StreamPtr own = std::move(secure).value();
  std::array<char, 256> piece{};
  for (;;) {
    const Result<std::size_t> count = co_await own->read_some(piece);
    if (!count) failed = count.error().check;
    if (!count || *count == 0) co_return;
    const Status sent = co_await own->write_all({piece.data(), *count});
    if (!sent) co_return;
  }
}

/// Lets `act` loose as a client against an echoing server; returns the server's error check.
std::string against_echo(const std::function<void(OddClient&)>& act) {
  Loop loop;
  auto ends = stream_pair(loop.io());
  const int fd = ::dup(ends->second->native_fd());
  ends->second->close();
  // OpenSSL in the client thread wants a blocking descriptor.
  ::fcntl(fd, F_SETFL, 0);
  std::string failed;
  loop.add(echo(std::move(ends->first), failed));
  std::thread client([&] {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    OddClient odd(fd);
    act(odd);
  });
  loop.run();
  client.join();
  return failed;
}

TEST(TlsTest, OldVersionsAreRefused) {
  const std::string failed = against_echo([](OddClient& client) { EXPECT_FALSE(client.connect(TLS1_1_VERSION)); });
  EXPECT_EQ(failed, "tls.handshake");
}

TEST(TlsTest, NoTicketsAndNoResumption) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SSL_SESSION* session = nullptr;
    (void)against_echo([&](OddClient& client) {
      ASSERT_TRUE(client.connect(version));
      char byte = 'x';
      ASSERT_EQ(SSL_write(client.ssl(), &byte, 1), 1);
      ASSERT_EQ(SSL_read(client.ssl(), &byte, 1), 1);  // a ticket would have come before the data
      session = SSL_get1_session(client.ssl());
      EXPECT_EQ(SSL_SESSION_has_ticket(session), 0);
      SSL_shutdown(client.ssl());
    });
    (void)against_echo([&](OddClient& client) {
      ASSERT_TRUE(client.connect(version, session));
      EXPECT_EQ(SSL_session_reused(client.ssl()), 0);
      SSL_shutdown(client.ssl());
    });
    SSL_SESSION_free(session);
  }
}

TEST(TlsTest, RenegotiationIsRefused) {
  (void)against_echo([](OddClient& client) {
    ASSERT_TRUE(client.connect(TLS1_2_VERSION));
    ASSERT_EQ(SSL_renegotiate(client.ssl()), 1);
    // The server answers with a no_renegotiation alert, which ends the attempt.
    EXPECT_NE(SSL_do_handshake(client.ssl()), 1);
  });
}

TEST(TlsTest, KeyUpdatesWorkAndAFloodIsRefused) {
  const auto update = [](OddClient& client, int times) {
    for (int i = 0; i < times; ++i) {
      if (SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1 || SSL_do_handshake(client.ssl()) != 1)
        return;
    }
  };
  const std::string fine = against_echo([&](OddClient& client) {
    ASSERT_TRUE(client.connect(TLS1_3_VERSION));
    update(client, 5);
    // Asking for an update makes the server write one while it reads.
    ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    char byte = 'x';
    ASSERT_EQ(SSL_write(client.ssl(), &byte, 1), 1);
    byte = 0;
    ASSERT_EQ(SSL_read(client.ssl(), &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
    SSL_shutdown(client.ssl());
  });
  EXPECT_EQ(fine, "");
  // In one burst, so that the server always finds more of them.
  const std::string flood = against_echo([&](OddClient& client) {
    ASSERT_TRUE(client.connect(TLS1_3_VERSION));
    BIO* const burst = BIO_new(BIO_s_mem());
    SSL_set0_wbio(client.ssl(), burst);
    update(client, 20'000);
    char* data = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(burst, &data));
    ASSERT_GT(size, 400'000U);
    (void)::send(client.fd(), data, size, MSG_NOSIGNAL);
    char byte = 0;
    EXPECT_LE(SSL_read(client.ssl(), &byte, 1), 0);
  });
  EXPECT_EQ(flood, "tls.record");
}

TEST(TlsTest, OverRealTcp) {
  IoThreads threads(2);
  testing_support::LogLines lines;
  auto listener = Listener::listen_tcp(threads, lines.log(), "127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  std::atomic<int> served = 0;
  std::atomic<int> failures = 0;
  (*listener)->start([&](StreamPtr stream) {
    struct Serve {
      static awaitable<void> run(StreamPtr plain, std::atomic<int>& count, std::atomic<int>& failed_count) {
        std::string failed;
        co_await echo(std::move(plain), failed);
        if (failed.empty())
          ++count;
        else
          ++failed_count;
      }
    };
    io_context& io = stream->context();
    spawn(io, Serve::run(std::move(stream), served, failures));
  });
  threads.start();
  for (int i = 0; i < 10; ++i) {
    testing_support::RawClient raw = testing_support::RawClient::tcp((*listener)->port());
    OddClient client(raw.release());
    ASSERT_TRUE(client.connect(TLS1_3_VERSION));
    ASSERT_EQ(SSL_write(client.ssl(), "hello", 5), 5);
    std::array<char, 8> back{};
    ASSERT_EQ(SSL_read(client.ssl(), back.data(), 8), 5);
    EXPECT_STREQ(back.data(), "hello");
    SSL_shutdown(client.ssl());
  }
  EXPECT_TRUE(testing_support::eventually([&] { return served + failures == 10; }));
  EXPECT_EQ(served, 10);
  (*listener)->stop();
  threads.stop();
}

}  // namespace
}  // namespace daypass::net
