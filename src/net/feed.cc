#include "net/feed.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <memory>

#include "net/connect.h"
#include "net/tls.h"

namespace daypass::net {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

using Steady = std::chrono::steady_clock;

/// A receiver that has read to the end closes. One that does not is not waited for longer than this.
constexpr base::Millis farewell = std::chrono::seconds(2);
constexpr std::size_t most_of_an_answer = std::size_t{64} << 10U;

struct Errand {
  FeedTarget to;
  std::string bytes;
  std::promise<Status> done;
};

/// Of what was sent, how much the other side's kernel has not confirmed yet; -1 when nobody knows.
int unconfirmed(const Stream& stream) {
  int left = -1;
  return stream.native_fd() >= 0 && ::ioctl(stream.native_fd(), SIOCOUTQ, &left) == 0 ? left : -1;
}

Error late(const FeedTarget& to) {
  return Error(Code::timeout, "net.timeout", to.host + " did not take everything in time");
}

awaitable<Status> feed(io_context& io, Errand& errand) {
  const FeedTarget& to = errand.to;
  const Steady::time_point end = Steady::now() + to.timeout;
  const auto left = [&] { return std::max(base::Millis(1), std::chrono::ceil<base::Millis>(end - Steady::now())); };
  Result<StreamPtr> connected = co_await connect_guarded(io, to.host, to.port, left(), to.egress, to.tls);
  if (!connected) co_return connected.error();
  StreamPtr stream = std::move(connected).value();
  if (to.tls) {
    TlsClientOptions options;
    options.ca_file = to.ca_file;
    Result<TlsClientContext> context = TlsClientContext::make(options);
    if (!context) co_return context.error();
    TlsClientContext trusted = std::move(context).value();
    Result<StreamPtr> secured = co_await connect_tls(std::move(stream), std::move(trusted), to.host, {}, left());
    if (!secured) co_return secured.error();
    stream = std::move(secured).value();
  }
  {
    Status written;
    const Deadline deadline(*stream, left());
    written = co_await stream->write_all(errand.bytes);
    if (deadline.expired()) co_return late(to);
    if (!written) co_return written.error();
  }
  if (const Status over = stream->shutdown(); !over) co_return over.error();
  // A refusal of TLS 1.3 (our certificate, or that there is none) comes behind the handshake, and a receiver that gave
  // up resets: both are learnt only by reading on.
  std::array<char, 1024> unwanted;
  const Deadline deadline(*stream, std::min(farewell, left()));
  for (std::size_t total = 0; total < most_of_an_answer;) {
    Result<std::size_t> count = co_await stream->read_some(unwanted);
    if (count && *count == 0) co_return Status();
    // Not every receiver says goodbye by TLS; it has closed in order all the same.
    if (!count && count.error().check == "net.truncated") co_return Status();
    if (!count && !deadline.expired()) co_return count.error();
    if (!count) break;
    total += *count;
  }
  if (unconfirmed(*stream) == 0) co_return Status();
  co_return Error(Code::timeout, "net.unacknowledged", to.host + " has not confirmed everything that was sent");
}

awaitable<void> run(io_context& io, std::shared_ptr<Errand> errand) {
  Status done = co_await feed(io, *errand);
  errand->done.set_value(std::move(done));
}

}  // namespace

Status TcpFeeder::send(const FeedTarget& to, std::string bytes) {
  DP_ASSERT(!threads_.on_io_thread());
  auto errand = std::make_shared<Errand>();
  errand->to = to;
  errand->bytes = std::move(bytes);
  std::future<Status> done = errand->done.get_future();
  io_context& io = threads_.at(std::hash<std::string>()(to.host) % threads_.size());
  spawn(io, run(io, std::move(errand)));
  try {
    // The deadlines are the errand's own; this one is for threads that do not run any more.
    if (done.wait_for(to.timeout + farewell) != std::future_status::ready) return late(to);
    return done.get();
  } catch (const std::future_error&) {
    return Error(Code::unavailable, "net.closed", "the server is stopping");
  }
}

}  // namespace daypass::net
