// Bytes one way: what counts as taken, and where they may go. Real sockets on loopback.
#include "net/feed.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

namespace daypass::net {
namespace {

/// Accepts one connection on loopback and hands it to `with`, on a thread of its own.
class Peer {
 public:
  explicit Peer(std::function<void(int)> with) : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(listening_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(listening_, 4), 0);
    EXPECT_EQ(::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port = ntohs(at.sin_port);
    thread_ = std::thread([this, with = std::move(with)] {
      const int fd = ::accept(listening_, nullptr, nullptr);
      if (fd < 0) return;
      with(fd);
      ::close(fd);
    });
  }
  ~Peer() {
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  std::uint16_t port = 0;

 private:
  int listening_;
  std::thread thread_;
};

std::string read_all(int fd) {
  std::string out;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  return out;
}

class Feeds : public testing::Test {
 protected:
  void SetUp() override { threads.start(); }
  void TearDown() override { threads.stop(); }
  FeedTarget to(std::uint16_t port) {
    FeedTarget out;
    out.host = "127.0.0.1";
    out.port = port;
    out.tls = false;
    out.egress.allow_loopback_http = true;
    return out;
  }
  static std::string check_of(const base::Status& s) { return s.ok() ? "ok" : s.error().check; }
  IoThreads threads{1, "feed"};
  TcpFeeder feeder{threads};
};

TEST_F(Feeds, TakenIsWhatWasReadToTheEnd) {
  std::string got;
  const std::string bytes(300'000, 'x');
  {
    Peer peer([&](int fd) { got = read_all(fd); });
    EXPECT_EQ(check_of(feeder.send(to(peer.port), bytes)), "ok");
  }
  EXPECT_EQ(got, bytes);
}

TEST_F(Feeds, OneThatDoesNotCloseHasItWhenItsKernelSaysSo) {
  std::atomic<bool> over{false};
  Peer peer([&](int fd) {
    (void)read_all(fd);
    over.wait(false);
  });
  EXPECT_EQ(check_of(feeder.send(to(peer.port), "bytes")), "ok");
  over = true;
  over.notify_all();
}

TEST_F(Feeds, AResetIsNoReceipt) {
  Peer peer([](int fd) {
    char one = 0;
    (void)::read(fd, &one, 1);
    const linger hard{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  });
  EXPECT_EQ(check_of(feeder.send(to(peer.port), std::string(100'000, 'x'))), "net.reset");
}

TEST_F(Feeds, OneThatReadsNothingIsGivenUp) {
  std::atomic<bool> over{false};
  Peer peer([&](int) { over.wait(false); });
  FeedTarget slow = to(peer.port);
  slow.timeout = base::Millis(300);
  EXPECT_EQ(check_of(feeder.send(slow, std::string(std::size_t{32} << 20U, 'x'))), "net.timeout");
  over = true;
  over.notify_all();
}

TEST_F(Feeds, GoesOnlyWhereTheGuardLetsIt) {
  FeedTarget plain = to(9);
  for (const char* host : {"10.0.0.1", "169.254.169.254", "192.0.2.1", "::ffff:10.0.0.1", "0.0.0.0"}) {
    plain.host = host;
    EXPECT_EQ(check_of(feeder.send(plain, "x")), "net.egress") << host;
    FeedTarget secure = plain;
    secure.tls = true;
    if (std::string(host) != "192.0.2.1") EXPECT_EQ(check_of(feeder.send(secure, "x")), "net.egress") << host;
  }
  plain.host = "127.0.0.1";
  plain.egress.allow_loopback_http = false;
  EXPECT_EQ(check_of(feeder.send(plain, "x")), "net.egress");
  // Not even a private host gets it in the clear.
  plain.host = "10.0.0.1";
  plain.egress.private_hosts = {"10.0.0.1"};
  EXPECT_EQ(check_of(feeder.send(plain, "x")), "net.egress");
  int closed = 0;
  {
    Peer peer([](int) {});
    closed = peer.port;
    FeedTarget secure = to(peer.port);
    secure.tls = true;
    secure.egress.allow_loopback = true;
    secure.timeout = base::Millis(2000);
    EXPECT_NE(check_of(feeder.send(secure, "x")), "ok") << "nobody there speaks TLS";
  }
  EXPECT_EQ(check_of(feeder.send(to(static_cast<std::uint16_t>(closed)), "x")), "net.connect");
}

}  // namespace
}  // namespace daypass::net
