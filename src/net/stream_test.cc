#include "net/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>
#include <thread>

#include "net/connect.h"
#include "net/io.h"
#include "net/test_support.h"

namespace daypass::net {
namespace {

using base::Millis;
using base::Result;
using base::Status;
using testing_support::eventually;
using testing_support::Loop;
using testing_support::RawClient;
using testing_support::RawServer;

struct Pair {
  explicit Pair(io_context& io) {
    auto made = stream_pair(io);
    left = std::move(made->first);
    right = std::move(made->second);
  }
  StreamPtr left;
  StreamPtr right;
};

awaitable<void> read_into(Stream& stream, std::string& out, std::string& failed) {
  std::array<char, 64> piece{};
  for (;;) {
    const Result<std::size_t> count = co_await stream.read_some(piece);
    if (!count) {
      failed = count.error().check;
      co_return;
    }
    if (*count == 0) co_return;
    out.append(piece.data(), *count);
  }
}

awaitable<void> write_text(Stream& stream, std::string text, std::string& failed, bool end) {
  const Status status = co_await stream.write_all(text);
  if (!status) failed = status.error().check;
  if (end) (void)stream.shutdown();
}

awaitable<void> close_after(Stream& stream, Millis time, void (Stream::*how)() noexcept) {
  co_await sleep_for(stream.context(), time);
  (stream.*how)();
}

TEST(IoThreadsTest, RunsWorkOnNamedThreadsAndStopsTwice) {
  IoThreads threads(2, "lane");
  EXPECT_FALSE(threads.on_io_thread());
  threads.start();
  std::array<std::string, 2> names;
  std::atomic<int> done = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    post_to(threads.at(i), [&, i] {
      std::array<char, 16> name{};
      pthread_getname_np(pthread_self(), name.data(), name.size());
      names[i] = threads.on_io_thread() ? name.data() : "elsewhere";
      ++done;
    });
  }
  EXPECT_TRUE(eventually([&] { return done == 2; }));
  threads.stop();
  threads.stop();
  EXPECT_EQ(names[0], "lane-0");
  EXPECT_EQ(names[1], "lane-1");
}

awaitable<void> wait_event(Event event, Millis timeout, int& outcome) {
  const bool set = co_await event.wait(timeout);
  outcome = set ? 1 : 0;
}

TEST(EventTest, WakesFromAnotherThreadAndTimesOut) {
  Loop loop;
  Event event(loop.io());
  Event never(loop.io());
  int woken = -1;
  int late = -1;
  loop.add(wait_event(event, Millis(60'000), woken));
  loop.add(wait_event(never, Millis(1), late));
  std::thread other([event]() mutable { event.set(); });
  loop.run();
  other.join();
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(late, 0);
}

TEST(EventTest, SetBeforeWaitIsNotLost) {
  Loop loop;
  Event event(loop.io());
  event.set();
  int outcome = -1;
  loop.add(wait_event(event, Millis(60'000), outcome));
  loop.run();
  EXPECT_EQ(outcome, 1);
}

// Set, put off, brought forward, set again from its own call, and silent once it is gone.
TEST(AlarmTest, RingsWhenItsTimeHasCome) {
  io_context io;
  const auto begun = std::chrono::steady_clock::now();
  int rung = 0;
  std::optional<Alarm> again;
  again.emplace(io, [&] {
    if (++rung < 3)
      again->set(Millis(1));
    else
      again.reset();  // from inside its own call
  });
  again->set(Millis(60'000));
  again->set(Millis(1));
  int late = 0;
  Alarm put_off(io, [&] { ++late; });
  put_off.set(Millis(1));
  put_off.set(Millis(30));
  {
    Alarm silent(io, [] { ADD_FAILURE() << "it is gone"; });
    silent.set(Millis(1));
  }
  io.run();
  EXPECT_EQ(rung, 3);
  EXPECT_EQ(late, 1);
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, Millis(30));
  EXPECT_LT(took, Millis(50'000));
}

TEST(StreamTest, CarriesBytesAndTheEnd) {
  Loop loop;
  Pair pair(loop.io());
  std::string text;
  std::string read_failed;
  std::string write_failed;
  const std::string big(1 << 20, 'x');  // more than a socket buffer: write_all has to wait
  loop.add(write_text(*pair.left, big, write_failed, true));
  loop.add(read_into(*pair.right, text, read_failed));
  loop.run();
  EXPECT_EQ(text.size(), big.size());
  EXPECT_EQ(read_failed, "");
  EXPECT_EQ(write_failed, "");
}

TEST(StreamTest, NonBlockingCallsTellApart) {
  Loop loop;
  Pair pair(loop.io());
  std::array<char, 16> piece{};
  EXPECT_TRUE(pair.left->try_read(piece).blocked());
  EXPECT_EQ(pair.right->try_write("abc", "def").count, 6U);
  const Attempt got = pair.left->try_read(piece);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(std::string(piece.data(), got.count), "abcdef");
  EXPECT_TRUE(pair.left->try_write("").ok());
  const std::string block(65536, 'y');
  Attempt last;
  do last = pair.right->try_write(block);
  while (last.ok());
  EXPECT_TRUE(last.blocked());
  EXPECT_FALSE(pair.right->write_blocked());
  (void)pair.left->shutdown();
  EXPECT_EQ(pair.right->try_read(piece).kind, Attempt::Kind::eof);
  pair.left->close();
  EXPECT_FALSE(pair.left->is_open());
  EXPECT_EQ(pair.left->native_fd(), -1);
  EXPECT_EQ(pair.left->try_read(piece).kind, Attempt::Kind::error);
  EXPECT_EQ(pair.right->try_write("z").kind, Attempt::Kind::error);  // and no SIGPIPE
}

TEST(StreamTest, CloseAndInterruptWakeReaderAndWriter) {
  for (auto how : {&Stream::close, &Stream::interrupt, &Stream::abort}) {
    Loop loop;
    Pair pair(loop.io());
    std::string text;
    std::string read_failed;
    std::string write_failed;
    loop.add(read_into(*pair.left, text, read_failed));
    loop.add(write_text(*pair.left, std::string(8 << 20, 'x'), write_failed, false));
    loop.add(close_after(*pair.left, Millis(5), how));
    loop.run();
    EXPECT_EQ(read_failed, "net.closed");
    EXPECT_EQ(write_failed, "net.closed");
  }
}

TEST(StreamTest, AfterInterruptOnlyTryCallsWork) {
  Loop loop;
  Pair pair(loop.io());
  pair.left->interrupt();
  std::string text;
  std::string failed;
  loop.add(read_into(*pair.left, text, failed));
  loop.run();
  EXPECT_EQ(failed, "net.closed");
  EXPECT_TRUE(pair.left->try_write("farewell").ok());
}

TEST(StreamTest, DeadlineInterruptsAndMovesForward) {
  Loop loop;
  Pair pair(loop.io());
  Deadline deadline(*pair.left, Millis(60'000));
  deadline.set(Millis(120'000));
  deadline.set(Millis(5));  // earlier than armed
  std::string text;
  std::string failed;
  loop.add(read_into(*pair.left, text, failed));
  loop.run();
  EXPECT_EQ(failed, "net.closed");
  EXPECT_TRUE(deadline.expired());
}

TEST(StreamTest, ClearedDeadlineDoesNothing) {
  Loop loop;
  Pair pair(loop.io());
  Deadline deadline(*pair.left, Millis(1));
  deadline.clear();
  loop.run();
  EXPECT_FALSE(deadline.expired());
}

TEST(StreamTest, UnixPeerIsKnownByUid) {
  Loop loop;
  Pair pair(loop.io());
  ASSERT_TRUE(pair.left->peer_uid().has_value());
  EXPECT_EQ(*pair.left->peer_uid(), ::getuid());
  EXPECT_EQ(pair.left->peer(), "unix");
  EXPECT_EQ(pair.left->peer_ip(), "");
}

awaitable<void> connect_and_ask(io_context& io, std::string host, std::uint16_t port, Millis timeout,
                                std::string& outcome) {
  Result<StreamPtr> stream = co_await connect_tcp(io, host, port, timeout);
  if (!stream) {
    outcome = stream.error().check;
    co_return;
  }
  StreamPtr connected = std::move(stream).value();
  EXPECT_EQ(connected->peer(), "127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(connected->peer_ip(), "127.0.0.1");
  EXPECT_FALSE(connected->peer_uid().has_value());
  const Status sent = co_await connected->write_all("ping");
  EXPECT_TRUE(sent.ok());
  std::array<char, 4> answer{};
  const Status got = co_await read_exact(*connected, answer);
  outcome = got ? std::string(answer.data(), answer.size()) : got.error().check;
}

TEST(ConnectTest, ReachesByLiteralAndByName) {
  RawServer server([](RawClient& client) {
    if (client.receive_until("ping") == "ping") client.send("pong");
  });
  for (const char* host : {"127.0.0.1", "localhost"}) {
    Loop loop;
    std::string outcome;
    loop.add(connect_and_ask(loop.io(), host, server.port(), Millis(20'000), outcome));
    loop.run();
    EXPECT_EQ(outcome, "pong") << host;
  }
}

TEST(ConnectTest, SaysWhatFailed) {
  std::uint16_t closed_port = 0;
  {
    RawServer server([](RawClient&) {});
    closed_port = server.port();
  }
  Loop loop;
  std::string refused;
  std::string unknown;
  std::string empty;
  std::string path;
  loop.add(connect_and_ask(loop.io(), "127.0.0.1", closed_port, Millis(20'000), refused));
  loop.add(connect_and_ask(loop.io(), "no..name", 1, Millis(20'000), unknown));  // malformed: asks nobody
  loop.add(connect_and_ask(loop.io(), "", 1, Millis(20'000), empty));
  loop.run();
  EXPECT_EQ(refused, "net.connect");
  EXPECT_EQ(unknown, "net.resolve");
  EXPECT_EQ(empty, "net.resolve");
}

TEST(ConnectTest, GivesUpInTime) {
  // A listener with a full backlog leaves further handshakes unanswered.
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(fd, 0), 0);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  const std::uint16_t port = ntohs(at.sin_port);
  std::vector<RawClient> fill;
  fill.push_back(RawClient::tcp(port));
  Loop loop;
  std::string outcome;
  loop.add(connect_and_ask(loop.io(), "127.0.0.1", port, Millis(50), outcome));
  loop.run();
  EXPECT_EQ(outcome, "net.timeout");
  ::close(fd);
}

awaitable<void> connect_path(io_context& io, std::string path, std::string& outcome) {
  Result<StreamPtr> stream = co_await connect_unix(io, path, Millis(20'000));
  outcome = stream ? "connected" : stream.error().check;
}

TEST(ConnectTest, UnixPaths) {
  Loop loop;
  std::string missing;
  std::string too_long;
  loop.add(connect_path(loop.io(), "/nonexistent/daypass.sock", missing));
  loop.add(connect_path(loop.io(), "/" + std::string(200, 'x'), too_long));
  loop.run();
  EXPECT_EQ(missing, "net.connect");
  EXPECT_EQ(too_long, "net.path_too_long");
}

}  // namespace
}  // namespace daypass::net
