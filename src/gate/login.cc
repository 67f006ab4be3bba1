// From the first byte to being let in: what the client must prove, within limits of size and time.
#include "base/encoding.h"
#include "gate/impl.h"
#include "net/ask.h"
#include "wire/postgres/build.h"
#include "wire/postgres/parse.h"

namespace daypass::gate {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

Refusal refusal_of(const Error& e) {
  std::string state = "58000";
  switch (e.code) {
    case Code::denied: state = "42501"; break;
    case Code::unauthenticated: state = "28P01"; break;
    case Code::exhausted: state = "53300"; break;
    case Code::ended: state = "57P01"; break;
    case Code::unavailable:
    case Code::timeout: state = "57P03"; break;
    case Code::invalid: state = std::string(pg::startup_sqlstate(e)); break;
    case Code::not_found:
    case Code::conflict:
    case Code::internal: break;
  }
  return {std::move(state), e.message, e.hint};
}

}  // namespace

Session::Session(PostgresGate::Impl& gate, net::StreamPtr client)
    : gate_(gate), io_(client->context()), client_(std::move(client)), address_(client_->peer_ip()), peer_(client_->peer()), wake_(io_) {}

Session::~Session() { gate_.gone(address_); }

awaitable<void> Session::live(std::shared_ptr<Session> self) {
  co_await self->serve();
  self->finish();
}

awaitable<void> Session::refuse(Refusal refusal) {
  if (client_ == nullptr || !client_->is_open()) co_return;
  std::string text;
  pg::append_error_response(text, {.severity = "FATAL", .sqlstate = refusal.sqlstate, .message = refusal.message, .hint = refusal.hint});
  net::Deadline deadline(*client_, std::chrono::seconds(2));
  (void)co_await client_->write_all(text);
  (void)client_->shutdown();
}

awaitable<Result<std::optional<pg::StartupMessage>>> Session::read_startup() {
  using Channel = pg::StartupReader::Channel;
  std::optional<pg::StartupReader> reader;
  reader.emplace(Channel::plain);
  char buffer[1024];
  // A ClientHello without SSLRequest: its bytes must stay in the socket for the handshake.
  const auto peeked = co_await client_->peek(std::span(buffer).first(1));
  if (!peeked.ok()) co_return peeked.error();
  if (*peeked == 0) co_return std::optional<pg::StartupMessage>();
  const auto secure = [this](Result<net::StreamPtr> upgraded) -> Status {
    if (!upgraded.ok()) return std::move(upgraded).error();
    client_ = std::move(*upgraded);
    tls_ = true;
    return {};
  };
  if (buffer[0] == 0x16) {
    auto upgraded = co_await net::accept_tls(std::move(client_), gate_.options.tls, gate_.options.login_time);
    if (Status s = secure(std::move(upgraded)); !s.ok()) co_return s.error();
    // RFC 7301 by PostgreSQL's rule: direct TLS must name the protocol, or another service's client could be led here.
    if (client_->tls_info() == nullptr || client_->tls_info()->alpn != "postgresql")
      co_return Error{Code::invalid, "startup.alpn", "direct TLS needs the ALPN protocol postgresql"};
    reader.emplace(Channel::tls);
  }
  net::Deadline deadline(*client_, gate_.options.login_time);
  for (;;) {
    const auto got = co_await client_->read_some(buffer);
    if (!got.ok()) co_return got.error();
    if (*got == 0) co_return std::optional<pg::StartupMessage>();
    std::string_view in(buffer, *got);
    while (!in.empty()) {
      auto read = reader->next(in);
      if (!read.ok()) co_return read.error();
      in.remove_prefix(read->bytes);
      if (!read->packet) break;
      if (std::holds_alternative<pg::SslRequest>(*read->packet)) {
        deadline.clear();
        const std::string stuffed(in);
        auto upgraded = co_await net::upgrade_tls(std::move(client_), gate_.options.tls, "S", stuffed, gate_.options.login_time);
        if (Status s = secure(std::move(upgraded)); !s.ok()) co_return s.error();
        co_return co_await read_startup_in_tls();
      }
      if (std::holds_alternative<pg::GssEncRequest>(*read->packet)) {
        const std::string_view no = "N";
        const Status answered = co_await client_->write_all(no);
        if (!answered.ok()) co_return answered.error();
        continue;
      }
      if (auto* request = std::get_if<pg::CancelRequest>(&*read->packet)) {
        co_await cancel(std::move(*request));
        co_return std::optional<pg::StartupMessage>();
      }
      if (auto* startup = std::get_if<pg::StartupMessage>(&*read->packet)) {
        login_input_.assign(in);
        co_return std::optional(std::move(*startup));
      }
      co_return Error{Code::invalid, "startup.layout", "that is no way to begin"};
    }
  }
}

awaitable<Result<std::optional<pg::StartupMessage>>> Session::read_startup_in_tls() {
  pg::StartupReader reader(pg::StartupReader::Channel::tls);
  net::Deadline deadline(*client_, gate_.options.login_time);
  char buffer[1024];
  for (;;) {
    const auto got = co_await client_->read_some(buffer);
    if (!got.ok()) co_return got.error();
    if (*got == 0) co_return std::optional<pg::StartupMessage>();
    std::string_view in(buffer, *got);
    auto read = reader.next(in);
    if (!read.ok()) co_return read.error();
    in.remove_prefix(read->bytes);
    if (!read->packet) continue;
    if (auto* request = std::get_if<pg::CancelRequest>(&*read->packet)) {
      co_await cancel(std::move(*request));
      co_return std::optional<pg::StartupMessage>();
    }
    if (auto* startup = std::get_if<pg::StartupMessage>(&*read->packet)) {
      login_input_.assign(in);
      co_return std::optional(std::move(*startup));
    }
    co_return Error{Code::invalid, "startup.repeated", "that was asked already"};
  }
}

awaitable<Result<std::string>> Session::read_password_message() {
  pg::ClientFramer framer(pg::Phase::login);
  for (;;) {
    while (!login_input_.empty()) {
      const pg::Step step = framer.next(login_input_, true);
      if (step.kind == pg::Step::Kind::fault) co_return framer.fault();
      std::optional<std::string> body;
      if (step.kind == pg::Step::Kind::message) body.emplace(step.message.head);
      login_input_.erase(0, step.bytes);
      if (body) co_return std::move(*body);
      if (step.bytes == 0) break;
    }
    char buffer[1024];
    const auto got = co_await client_->read_some(buffer);
    if (!got.ok()) co_return got.error();
    if (*got == 0) co_return Error{Code::unavailable, "client.gone", "the client has gone"};
    login_input_.append(buffer, *got);
  }
}

awaitable<Result<engine::Verifier>> Session::authenticate(const std::string& user) {
  auto found = gate_.access->lookup(user);
  // A name that does not exist meets the same exchange, with a salt that stays the same and a proof that never fits.
  const bool mock = !found;
  crypto::ScramVerifier verifier = mock ? crypto::mock_verifier(gate_.mock_secret, user, 4096) : found->scram;
  std::string out;
  if (tls_ && !gate_.end_point.empty()) pg::append_authentication_sasl(out, {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"});
  else pg::append_authentication_sasl(out, {"SCRAM-SHA-256"});
  const bool plus_offered = tls_ && !gate_.end_point.empty();
  Status sent = co_await client_->write_all(out);
  if (!sent.ok()) co_return sent.error();

  const auto initial_body = co_await read_password_message();
  if (!initial_body.ok()) co_return initial_body.error();
  const auto initial = pg::parse_sasl_initial_response(*initial_body);
  if (!initial.ok()) co_return initial.error();
  const bool plus = initial->mechanism == "SCRAM-SHA-256-PLUS";
  if ((!plus && initial->mechanism != "SCRAM-SHA-256") || (plus && !plus_offered))
    co_return Error{Code::invalid, "sasl.mechanism", "that mechanism was not offered"};
  crypto::ScramServer scram(std::move(verifier), mock, tls_ ? gate_.end_point : "", plus, plus_offered, gate_.entropy);
  const auto first = scram.first(initial->response);
  if (!first.ok()) co_return first.error();
  out.clear();
  pg::append_authentication_sasl_continue(out, *first);
  sent = co_await client_->write_all(out);
  if (!sent.ok()) co_return sent.error();

  const auto response_body = co_await read_password_message();
  if (!response_body.ok()) co_return response_body.error();
  const auto response = pg::parse_sasl_response(*response_body);
  if (!response.ok()) co_return response.error();
  const auto final = scram.final(*response);
  if (!final.ok()) {
    if (final.error().check != "scram.proof") co_return final.error();
    co_return Error{Code::unauthenticated, "gate.password",
                    "password authentication failed for user \"" + user + "\": the password is wrong, or the login it belongs to has ended",
                    "daypass login, then daypass creds TARGET (or daypass connect TARGET)"};
  }
  out.clear();
  pg::append_authentication_sasl_final(out, *final);
  sent = co_await client_->write_all(out);
  if (!sent.ok()) co_return sent.error();
  co_return std::move(*found);
}

awaitable<void> Session::serve() {
  auto read = co_await read_startup();
  if (!read.ok()) {
    // Who speaks no PostgreSQL gets no lecture; who does, gets the reason.
    if (read.error().code == Code::invalid && client_ != nullptr) co_await refuse(refusal_of(read.error()));
    co_return;
  }
  if (!*read) co_return;
  const pg::StartupMessage startup = std::move(**read);
  const bool local = address_.empty() || address_.starts_with("127.") || address_ == "::1";
  if (!tls_ && !local) {
    Refusal clear{"28000", "the Daypass gate speaks TLS only", "set sslmode=verify-full"};
    co_await refuse(std::move(clear));
    co_return;
  }
  if (startup.needs_negotiation()) {
    std::string out;
    pg::append_negotiate_protocol_version(out, startup.protocol_options);
    const Status sent = co_await client_->write_all(out);
    if (!sent.ok()) co_return;
  }
  std::optional<net::Deadline> deadline;
  deadline.emplace(*client_, gate_.options.login_time);
  const auto verifier = co_await authenticate(startup.user);
  if (!verifier.ok()) {
    deadline.reset();
    if (verifier.error().code == Code::invalid || verifier.error().code == Code::unauthenticated) co_await refuse(refusal_of(verifier.error()));
    co_return;
  }
  deadline.reset();

  std::move_only_function<void(engine::Done<engine::Admission>)> ask = [this, id = verifier->credential](engine::Done<engine::Admission> done) {
    gate_.access->admit(id, peer_, std::move(done));
  };
  // An answer that comes when nobody waits any more is a connection that was counted: it must be given back.
  std::function<void(Result<engine::Admission>)> late = [access = gate_.access](Result<engine::Admission> r) {
    if (!r.ok()) return;
    engine::ConnectionStats stats;
    stats.why = "late";
    access->closed(r->grant, r->connection, std::move(stats));
  };
  auto admitted = co_await net::ask<engine::Admission>(io_, std::move(ask), std::chrono::seconds(30), std::move(late));
  if (!admitted.ok()) {
    co_await refuse(refusal_of(admitted.error()));
    co_return;
  }
  grant_ = admitted->grant;
  connection_ = admitted->connection;
  lease_ = admitted->lease;
  meter_ = admitted->meter;
  if (!gate_.enrol(*grant_, shared_from_this(), sentence_)) {
    why_ = "cut";
    Refusal ended{"57P01", sentence_, "connect again for a new grant"};
    co_await refuse(std::move(ended));
    co_return;
  }
  const std::string& pinned = admitted->upstream.database;
  const std::string asked = startup.database.value_or("");
  if (!asked.empty() && asked != pinned && asked != startup.user && asked != verifier->target.str()) {
    why_ = "error:database";
    Refusal wrong{"3D000", "this credential is for database \"" + pinned + "\" of " + verifier->target.str() + ", not for \"" + asked + "\"", "connect to database " + pinned};
    co_await refuse(std::move(wrong));
    co_return;
  }
  auto greeting = co_await log_in_upstream(startup, *admitted);
  admitted->upstream.password = base::Secret();
  if (over_) co_return;
  if (!greeting.ok()) {
    why_ = "error:" + greeting.error().check;
    gate_.log.warn("upstream login failed", {{"grant", grant_->id}, {"check", greeting.error().check}});
    co_await refuse(refusal_of(greeting.error()));
    co_return;
  }
  std::string out;
  pg::append_authentication_ok(out);
  out += *greeting;
  {
    net::Deadline sending(*client_, gate_.options.login_time);
    const Status sent = co_await client_->write_all(out);
    if (!sent.ok()) {
      why_ = "client";
      co_return;
    }
  }
  co_await relay();
}

awaitable<void> Session::cancel(pg::CancelRequest request) {
  const auto session = gate_.find_cancel(address_, request);
  if (session == nullptr) co_return;
  // The target's key lives on the other session's thread.
  std::move_only_function<void(std::move_only_function<void(Result<CancelTarget>)>)> fetch = [session](std::move_only_function<void(Result<CancelTarget>)> done) {
    auto shared = std::make_shared<std::move_only_function<void(Result<CancelTarget>)>>(std::move(done));
    net::post_to(session->context(), [session, shared] {
      auto target = session->cancel_target();
      if (target) (*shared)(std::move(*target));
      else (*shared)(Error{Code::ended, "cancel.ended", "the session has ended"});
    });
  };
  auto target = co_await net::ask<CancelTarget>(io_, std::move(fetch), std::chrono::seconds(5));
  if (!target.ok()) co_return;
  auto opened = co_await open_upstream(gate_, io_, target->upstream);
  // Ended meanwhile? Then the server may have given that process number to somebody else.
  if (!opened.ok() || session->ended()) co_return;
  std::string out;
  pg::append_cancel_request(out, target->pid, target->key);
  net::Deadline deadline(**opened, std::chrono::seconds(5));
  const Status sent = co_await (*opened)->write_all(out);
  if (!sent.ok()) co_return;
  // The server closes once it has acted on it; the client's connection ends then too, as it expects.
  char buffer[16];
  (void)co_await (*opened)->read_some(buffer);
}

std::optional<CancelTarget> Session::cancel_target() const {
  if (over_ || !cancel_) return std::nullopt;
  CancelTarget copy;
  copy.upstream.host = cancel_->upstream.host;
  copy.upstream.port = cancel_->upstream.port;
  copy.upstream.tls = cancel_->upstream.tls;
  copy.upstream.ca_file = cancel_->upstream.ca_file;
  copy.upstream.server_name = cancel_->upstream.server_name;
  copy.upstream.client_cert_file = cancel_->upstream.client_cert_file;
  copy.upstream.client_key_file = cancel_->upstream.client_key_file;
  copy.pid = cancel_->pid;
  copy.key = cancel_->key;
  return copy;
}

}  // namespace daypass::gate
