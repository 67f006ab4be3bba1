#include "net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <fstream>
#include <set>
#include <vector>

#include "net/test_support.h"

namespace daypass::net {
namespace {

using base::Result;
using base::Status;
using testing_support::eventually;
using testing_support::LogLines;
using testing_support::RawClient;
using testing_support::TempFolder;

awaitable<void> echo(StreamPtr stream) {
  std::array<char, 256> piece{};
  for (;;) {
    const Result<std::size_t> count = co_await stream->read_some(piece);
    if (!count || *count == 0) co_return;
    const Status sent = co_await stream->write_all({piece.data(), *count});
    if (!sent) co_return;
  }
}

/// Echoes, and notes on which io thread each connection came to life.
struct Echoer {
  explicit Echoer(std::size_t count) : threads(count) {}
  ~Echoer() { threads.stop(); }
  void start(Listener& listener) {
    listener.start([this](StreamPtr stream) {
      const std::lock_guard lock(mutex);
      if (!stream->context().get_executor().running_in_this_thread()) on_wrong_thread = true;
      contexts.insert(&stream->context());
      ++accepted;
      uid = stream->peer_uid();
      peer = stream->peer();
      io_context& io = stream->context();
      spawn(io, echo(std::move(stream)));
    });
  }
  LogLines lines;
  IoThreads threads;
  std::mutex mutex;
  std::set<io_context*> contexts;
  std::atomic<int> accepted = 0;
  std::atomic<bool> on_wrong_thread = false;
  std::optional<std::uint32_t> uid;
  std::string peer;
};

TEST(ListenerTest, AcceptsOnEveryThread) {
  for (const bool per_thread : {true, false}) {
    Echoer echoer(2);
    ListenOptions options;
    options.acceptor_per_thread = per_thread;
    auto listener = Listener::listen_tcp(echoer.threads, echoer.lines.log(), "127.0.0.1", 0, options);
    ASSERT_TRUE(listener.ok());
    EXPECT_NE((*listener)->port(), 0);
    EXPECT_EQ((*listener)->address(), "127.0.0.1:" + std::to_string((*listener)->port()));
    echoer.start(**listener);
    echoer.threads.start();
    std::vector<RawClient> clients;
    for (int i = 0; i < 64; ++i) {
      clients.push_back(RawClient::tcp((*listener)->port()));
      clients.back().send("x");
    }
    for (RawClient& client : clients) EXPECT_EQ(client.receive_until("x"), "x");
    EXPECT_EQ(echoer.accepted, 64);
    EXPECT_EQ(echoer.contexts.size(), 2U) << per_thread;
    EXPECT_FALSE(echoer.on_wrong_thread);
    EXPECT_EQ((*listener)->connections(), 64U);
    clients.clear();
    EXPECT_TRUE(eventually([&] { return (*listener)->connections() == 0; }));
  }
}

TEST(ListenerTest, PortInUseIsSaidEvenToTheSameUser) {
  Echoer echoer(2);
  for (const bool first_shares : {true, false}) {
    for (const bool second_shares : {true, false}) {
      ListenOptions first_options;
      first_options.acceptor_per_thread = first_shares;
      ListenOptions second_options;
      second_options.acceptor_per_thread = second_shares;
      auto first = Listener::listen_tcp(echoer.threads, echoer.lines.log(), "127.0.0.1", 0, first_options);
      ASSERT_TRUE(first.ok());
      auto second =
          Listener::listen_tcp(echoer.threads, echoer.lines.log(), "127.0.0.1", (*first)->port(), second_options);
      ASSERT_FALSE(second.ok());
      EXPECT_EQ(second.error().check, "net.address_in_use");
      EXPECT_EQ(second.error().code, base::Code::conflict);
      EXPECT_TRUE(second.error().hint.contains((*first)->address()));
      // Free again once the first has gone.
      const std::uint16_t port = (*first)->port();
      first->reset();
      auto third = Listener::listen_tcp(echoer.threads, echoer.lines.log(), "127.0.0.1", port, second_options);
      EXPECT_TRUE(third.ok());
    }
  }
}

TEST(ListenerTest, BadAddressesAreNamed) {
  Echoer echoer(1);
  EXPECT_EQ(Listener::listen_tcp(echoer.threads, echoer.lines.log(), "localhost", 0).error().check, "net.address");
  EXPECT_EQ(Listener::listen_tcp(echoer.threads, echoer.lines.log(), "192.0.2.1", 0).error().check,
            "net.address_not_here");
}

TEST(ListenerTest, StopRefusesAndKeepsWhatWasAccepted) {
  Echoer echoer(2);
  auto listener = Listener::listen_tcp(echoer.threads, echoer.lines.log(), "127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  const std::uint16_t port = (*listener)->port();
  echoer.start(**listener);
  echoer.threads.start();
  RawClient before = RawClient::tcp(port);
  before.send("a");
  EXPECT_EQ(before.receive_until("a"), "a");
  (*listener)->stop();
  (*listener)->stop();
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_NE(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  ::close(fd);
  before.send("b");
  EXPECT_EQ(before.receive_until("b"), "b");
}

TEST(ListenerTest, TooManyConnectionsAreRefusedWithAWord) {
  Echoer echoer(1);
  ListenOptions options;
  options.max_connections = 2;
  options.refusal = "full\n";
  auto listener = Listener::listen_tcp(echoer.threads, echoer.lines.log(), "127.0.0.1", 0, options);
  echoer.start(**listener);
  echoer.threads.start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(RawClient::tcp((*listener)->port()));
    clients.back().send("x");
    EXPECT_EQ(clients.back().receive_until("x"), "x");
  }
  RawClient third = RawClient::tcp((*listener)->port());
  EXPECT_EQ(third.receive_all(), "full\n");
  EXPECT_TRUE(echoer.lines.wait_for("too many"));
  clients.pop_back();
  EXPECT_TRUE(eventually([&] { return (*listener)->connections() == 1; }));
  RawClient fourth = RawClient::tcp((*listener)->port());
  fourth.send("y");
  EXPECT_EQ(fourth.receive_until("y"), "y");
}

TEST(ListenerTest, UnixSocketHasModePeerAndEnd) {
  TempFolder folder;
  const std::string path = folder / "s.sock";
  Echoer echoer(2);
  {
    auto listener = Listener::listen_unix(echoer.threads, echoer.lines.log(), path, 0600);
    ASSERT_TRUE(listener.ok()) << listener.error().message;
    struct stat found{};
    ASSERT_EQ(::stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0600U);
    echoer.start(**listener);
    echoer.threads.start();
    RawClient client = RawClient::unix_socket(path);
    client.send("x");
    EXPECT_EQ(client.receive_until("x"), "x");
    EXPECT_EQ(echoer.uid, ::getuid());
    EXPECT_EQ(echoer.peer, "unix");
    // Somebody listens: it is not taken away.
    auto second = Listener::listen_unix(echoer.threads, echoer.lines.log(), path, 0600);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().check, "net.address_in_use");
    EXPECT_TRUE(second.error().hint.contains(path));
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST(ListenerTest, StaleUnixSocketIsReplacedAndNothingElse) {
  TempFolder folder;
  Echoer echoer(1);
  const std::string path = folder / "stale.sock";
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof at.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  ::close(fd);  // as a crash leaves it
  EXPECT_TRUE(Listener::listen_unix(echoer.threads, echoer.lines.log(), path, 0600).ok());

  const std::string file = folder / "file";
  std::ofstream(file) << "precious";
  EXPECT_EQ(Listener::listen_unix(echoer.threads, echoer.lines.log(), file, 0600).error().check, "net.not_a_socket");
  EXPECT_EQ(::access(file.c_str(), F_OK), 0);
  EXPECT_EQ(Listener::listen_unix(echoer.threads, echoer.lines.log(), "/" + std::string(120, 'x'), 0600).error().check,
            "net.path_too_long");
}

TEST(ListenerTest, StopLeavesTheSocketOfASuccessor) {
  TempFolder folder;
  Echoer echoer(1);
  const std::string path = folder / "s.sock";
  auto first = Listener::listen_unix(echoer.threads, echoer.lines.log(), path, 0600);
  ASSERT_TRUE(first.ok());
  ASSERT_EQ(::unlink(path.c_str()), 0);
  auto second = Listener::listen_unix(echoer.threads, echoer.lines.log(), path, 0600);
  ASSERT_TRUE(second.ok());
  first->reset();
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

/// In a process of its own, because it lowers the limit of descriptors: 0 when all went well.
int run_out_of_descriptors() {
  constexpr int kClients = 12;
  constexpr std::size_t kRoom = 3;
  Echoer echoer(1);
  auto listener = Listener::listen_tcp(echoer.threads, echoer.lines.log(), "127.0.0.1", 0);
  if (!listener.ok()) return 2;
  echoer.start(**listener);
  echoer.threads.start();
  std::vector<RawClient> clients;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons((*listener)->port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < kClients; ++i) clients.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
  // Room for what is open and for three accepted connections, whatever was inherited. The hard limit stays: whoever has
  // no CAP_SYS_RESOURCE may not raise it, and the soft one is what counts.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 3;
  limit.rlim_cur = 256;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 3;
  std::vector<int> fillers;
  for (int fd = 0; (fd = ::dup(clients.front().fd())) >= 0;) fillers.push_back(fd);
  if (errno != EMFILE || fillers.size() < kRoom) return 3;
  for (std::size_t i = 0; i < kRoom; ++i) ::close(fillers[i]);
  for (RawClient& client : clients) {
    if (::connect(client.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return 4;
  }
  if (!echoer.lines.wait_for("can't accept", 3)) return 5;  // it goes on trying …
  if (echoer.accepted != static_cast<int>(kRoom)) return 6;
  if (echoer.lines.count("can't accept") > 8) return 7;  // … and rests in between
  for (RawClient& client : clients) {
    client.send("x");
    if (client.receive_until("x") != "x") return 8;
    ::shutdown(client.fd(), SHUT_WR);  // makes room for the next
  }
  return echoer.accepted == kClients ? 0 : 9;
}

TEST(ListenerDeathTest, FullDescriptorTableIsSurvived) {
#if __has_feature(undefined_behavior_sanitizer)
  GTEST_SKIP() << "UBSan looks at objects through a pipe: without descriptors it takes every one for broken";
#endif
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(::_exit(run_out_of_descriptors()), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace daypass::net
