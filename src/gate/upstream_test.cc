// A server of our own behind the gate, for what PostgreSQL can't be told to do: it notes how the gate wants to sign in.
#include <mutex>

#include "gate/test_world.h"
#include "net/tls.h"
#include "wire/postgres/build.h"

namespace daypass::gate::test {
namespace {

constexpr std::chrono::seconds kPatience(20);

class Server {
 public:
  Server(World& w, bool tls, bool plus) : w_(w), tls_(tls), plus_(plus), threads_(1, "server") {
    auto listener = net::Listener::listen_tcp(threads_, w.log, "127.0.0.1", 0);
    listener_ = std::move(listener).value();
    listener_->start([this](net::StreamPtr stream) {
      auto& io = stream->context();
      net::spawn(io, serve(std::move(stream)), [](std::exception_ptr thrown) { EXPECT_FALSE(thrown); });
    });
    threads_.start();
    w.access.upstream = [this, tls] {
      target::Upstream to;
      to.host = "127.0.0.1";
      to.port = listener_->port();
      to.database = "postgres";
      to.user = "dp_test";
      to.password = base::Secret("upstream secret");
      to.tls = tls;
      to.ca_file = w_.ca_file;
      to.server_name = "localhost";
      return to;
    };
  }
  ~Server() {
    listener_.reset();
    threads_.stop();
  }
  /// "SCRAM-SHA-256-PLUS p=tls-server-end-point"
  std::string asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  net::awaitable<void> serve(net::StreamPtr stream) {
    char buffer[1024];
    if (tls_) {
      (void)co_await stream->read_some(std::span(buffer).first(8));  // SSLRequest
      auto secured = co_await net::upgrade_tls(std::move(stream), w_.tls, "S", "", kPatience);
      EXPECT_TRUE(secured.ok());
      if (!secured.ok()) co_return;
      stream = std::move(*secured);
    }
    (void)co_await stream->read_some(buffer);  // StartupMessage
    std::string out;
    if (plus_)
      wire::postgres::append_authentication_sasl(out, {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"});
    else
      wire::postgres::append_authentication_sasl(out, {"SCRAM-SHA-256"});
    (void)co_await stream->write_all(out);
    const auto got = co_await stream->read_some(buffer);
    if (!got.ok() || *got < 10) co_return;
    // 'p', length, mechanism, NUL, length, client-first-message: its GS2 header ends at the first comma.
    const std::string_view body(buffer + 5, *got - 5);
    const std::string_view mechanism = body.substr(0, body.find('\0'));
    const std::string_view first = body.substr(mechanism.size() + 5);
    const std::lock_guard lock(mutex_);
    asked_ = std::string(mechanism) + " " + std::string(first.substr(0, first.find(',')));
  }

  World& w_;
  const bool tls_, plus_;
  net::IoThreads threads_;
  std::unique_ptr<net::Listener> listener_;
  std::mutex mutex_;
  std::string asked_;
};

TEST(Upstream, TheSignInIsBoundToTheServersCertificateWhereItCanBe) {
  struct Case {
    bool tls, plus;
    const char* asked;
  };
  for (const Case& c : {Case{true, true, "SCRAM-SHA-256-PLUS p=tls-server-end-point"},
                        // "you offered none": a server that did will know that somebody sits in between
                        Case{true, false, "SCRAM-SHA-256 y"}, Case{false, false, "SCRAM-SHA-256 n"},
                        Case{false, true, "SCRAM-SHA-256 n"}}) {
    World w;
    Server server(w, c.tls, c.plus);
    EXPECT_FALSE(Client(w.conninfo()).good());
    EXPECT_EQ(server.asked(), c.asked);
    w.stop();
  }
}

}  // namespace
}  // namespace daypass::gate::test
