// Our own login on the target, with a secret that the client never sees.
#include <algorithm>

#include "crypto/x509.h"
#include "gate/impl.h"
#include "net/connect.h"
#include "wire/postgres/build.h"

namespace daypass::gate {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr base::Millis connect_time = std::chrono::seconds(10);

Error unreachable(const Error& why) {
  return {Code::unavailable, "upstream.connect", "the database server can't be reached: " + why.message,
          "try again; daypass target check tells more"};
}

}  // namespace

target::Upstream address_of(const target::Upstream& upstream) {
  target::Upstream copy;
  copy.host = upstream.host;
  copy.port = upstream.port;
  copy.database = upstream.database;
  copy.user = upstream.user;
  copy.tls = upstream.tls;
  copy.ca_file = upstream.ca_file;
  copy.server_name = upstream.server_name;
  copy.public_only = upstream.public_only;
  copy.client_cert_file = upstream.client_cert_file;
  copy.client_key_file = upstream.client_key_file;
  return copy;
}

awaitable<Result<net::StreamPtr>> open_upstream(PostgresGate::Impl& gate, net::io_context& io,
                                                const target::Upstream& to) {
  const bool unix_socket = to.host.starts_with('/');
  std::string path = to.host + "/.s.PGSQL." + std::to_string(to.port);
  std::string host = to.host;
  auto connected = unix_socket ? co_await net::connect_unix(io, std::move(path), connect_time)
                               : co_await net::connect_tcp(io, std::move(host), to.port, connect_time, to.public_only);
  if (!connected.ok()) co_return unreachable(connected.error());
  net::StreamPtr stream = std::move(*connected);
  if (!to.tls || unix_socket) co_return std::move(stream);
  auto context = gate.client_tls(to);
  if (!context.ok()) co_return std::move(context).error();
  net::Deadline deadline(*stream, connect_time);
  std::string request;
  pg::append_ssl_request(request);
  const Status sent = co_await stream->write_all(request);
  if (!sent.ok()) co_return unreachable(sent.error());
  char answer[2];
  const auto got = co_await stream->read_some(answer);
  if (!got.ok()) co_return unreachable(got.error());
  if (*got == 0 || answer[0] != 'S')
    co_return Error{Code::unavailable, "upstream.no_tls", "the database server does not speak TLS",
                    "switch ssl on at the server, or set tls = \"loopback\" where it is on this host"};
  deadline.clear();
  const std::string extra(answer + 1, *got - 1);
  std::string name = to.server_name.empty() ? to.host : to.server_name;
  auto secured = co_await net::connect_tls(std::move(stream), *context, std::move(name), extra, connect_time);
  if (!secured.ok()) co_return unreachable(secured.error());
  co_return std::move(*secured);
}

namespace {

/// Reads until one whole login message of the server is there; keeps what lies behind it in `input`.
awaitable<Result<std::pair<char, std::string>>> next_message(net::Stream& stream, pg::ServerFramer& framer,
                                                             std::string& input) {
  for (;;) {
    while (!input.empty()) {
      const pg::Step step = framer.next(input, true);
      if (step.kind == pg::Step::Kind::fault) co_return framer.fault();
      std::optional<std::pair<char, std::string>> found;
      if (step.kind == pg::Step::Kind::message) found.emplace(step.message.type, std::string(step.message.head));
      input.erase(0, step.bytes);
      if (found) co_return std::move(*found);
      if (step.bytes == 0) break;
    }
    char buffer[4096];
    const auto got = co_await stream.read_some(buffer);
    if (!got.ok()) co_return got.error();
    if (*got == 0)
      co_return Error{Code::unavailable, "upstream.closed", "the database server closed the connection during login"};
    input.append(buffer, *got);
  }
}

/// The server's refusal in our words: its SQLSTATE is what counts.
Error refused(std::string_view body) {
  const pg::ServerNotice notice = pg::parse_notice(body);
  return {Code::unavailable, "upstream." + std::string(notice.sqlstate),
          "the database server refused the login: " + std::string(notice.message.substr(0, 200)),
          "try again; if it goes on, daypass target check tells more"};
}

}  // namespace

namespace {

/// A connection in the making: shared, because the session may stop waiting for it.
struct Opening {
  explicit Opening(net::io_context& io) : done(io) {}
  net::Event done;
  std::optional<Result<net::StreamPtr>> stream;
};

awaitable<void> open_into(std::shared_ptr<PostgresGate::Impl> gate, net::io_context& io, target::Upstream to,
                          std::shared_ptr<Opening> opening) {
  auto opened = co_await open_upstream(*gate, io, to);
  opening->stream.emplace(std::move(opened));
}

}  // namespace

// A host that doesn't answer must not hold up a cut: the session waits for an event, and leaves the attempt behind.
awaitable<Result<net::StreamPtr>> Session::reach_upstream(const target::Upstream& upstream) {
  auto opening = std::make_shared<Opening>(io_);
  reached_ = opening->done;
  net::spawn(io_, open_into(owner_, io_, address_of(upstream), opening),
             [opening](std::exception_ptr) { opening->done.set(); });
  (void)co_await opening->done.wait(3 * connect_time);
  reached_.reset();
  if (over_) co_return Error{Code::ended, "gate.cut", sentence_};
  if (!opening->stream) co_return unreachable({Code::timeout, "net.timeout", "no answer in time"});
  co_return std::move(*opening->stream);
}

awaitable<Result<std::string>> Session::log_in_upstream(const pg::StartupMessage& startup,
                                                        const engine::Admission& admission) {
  auto opened = co_await reach_upstream(admission.upstream);
  if (!opened.ok()) co_return std::move(opened).error();
  upstream_ = std::move(*opened);
  net::Deadline deadline(*upstream_, connect_time);
  const std::string hello = pg::build_startup(startup, admission.upstream.user, admission.upstream.database);
  const Status sent = co_await upstream_->write_all(hello);
  if (!sent.ok()) co_return unreachable(sent.error());

  pg::ServerFramer framer(pg::Phase::login);
  std::string input, reply, to_client;
  std::optional<crypto::ScramClient> scram;
  bool verified = false, authenticated = false;
  const auto odd = [](const std::string& what) {
    return Error{Code::unavailable, "upstream.protocol", "the database server " + what};
  };
  for (;;) {
    auto next = co_await next_message(*upstream_, framer, input);
    if (over_) co_return Error{Code::ended, "gate.cut", sentence_};
    if (!next.ok()) co_return std::move(next).error();
    const auto& [type, body] = *next;
    if (type == 'E') co_return refused(body);
    if (type == 'N') continue;
    if (type == 'R') {
      const auto auth = pg::parse_authentication(body);
      if (!auth.ok()) co_return auth.error();
      using Kind = pg::Authentication::Kind;
      reply.clear();
      switch (auth->kind) {
        case Kind::sasl: {
          const auto offers = [&](std::string_view m) {
            return std::ranges::find(auth->mechanisms, m) != auth->mechanisms.end();
          };
          // Bound to the certificate, the exchange is worth nothing to whoever sits between us and the server. A
          // certificate that can't be bound to (Ed25519) leaves the name in it and the chain, which were checked.
          const auto binding = crypto::server_end_point(upstream_->peer_certificate_pem());
          const bool plus = binding.ok() && offers("SCRAM-SHA-256-PLUS");
          if ((!plus && !offers("SCRAM-SHA-256")) || scram) co_return odd("offers no SCRAM-SHA-256");
          scram.emplace(admission.upstream.password, binding.ok() ? *binding : "", plus, gate_.entropy);
          pg::append_sasl_initial_response(reply, plus ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256", scram->first());
          break;
        }
        case Kind::sasl_continue: {
          if (!scram) co_return odd("answered out of order");
          auto final = scram->final(auth->data);
          if (!final.ok()) co_return std::move(final).error();
          pg::append_sasl_response(reply, *final);
          break;
        }
        case Kind::sasl_final: {
          if (!scram) co_return odd("answered out of order");
          if (Status known = scram->verify(auth->data); !known.ok()) co_return known.error();
          verified = true;
          break;
        }
        case Kind::ok:
          // A server that lets us in without proving that it knows the account's secret is not the one we provisioned.
          if (!verified) co_return odd("asked for no password (pg_hba.conf must say scram-sha-256 for these roles)");
          authenticated = true;
          break;
        default:
          co_return odd("asks for another authentication than SCRAM-SHA-256");
      }
      if (!reply.empty()) {
        const Status answered = co_await upstream_->write_all(reply);
        if (!answered.ok()) co_return unreachable(answered.error());
      }
      continue;
    }
    if (!authenticated) co_return odd("spoke out of order");
    if (type == 'S') {
      const auto status = pg::parse_parameter_status(body);
      if (!status.ok()) co_return status.error();
      pg::append_parameter_status(to_client, status->name, status->value);
    } else if (type == 'K') {
      auto key = pg::parse_backend_key(body);
      if (!key.ok()) co_return key.error();
      CancelTarget target;
      target.upstream = address_of(admission.upstream);
      target.pid = key->pid;
      target.key = std::move(key->key);
      cancel_.emplace(std::move(target));
      // The client gets a key of ours: the server's own never leaves.
      auto [pid, ours] = gate_.make_cancel_key(shared_from_this());
      cancel_pid_ = pid;
      pg::append_backend_key_data(to_client, pid, ours);
    } else if (type == 'Z') {
      const auto state = pg::parse_ready_for_query(body);
      if (!state.ok()) co_return state.error();
      if (!input.empty()) early_ = std::move(input);
      pg::append_ready_for_query(to_client, *state);
      co_return std::move(to_client);
    }
  }
}

}  // namespace daypass::gate
