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
    case Code::denied:
      state = "42501";
      break;
    case Code::unauthenticated:
      state = "28P01";
      break;
    case Code::exhausted:
      state = "53300";
      break;
    case Code::ended:
      state = "57P01";
      break;
    case Code::unavailable:
    case Code::timeout:
      state = "57P03";
      break;
    case Code::invalid:
      state = std::string(pg::startup_sqlstate(e));
      break;
    case Code::not_found:
    case Code::conflict:
    case Code::internal:
      break;
  }
  return {std::move(state), e.message, e.hint};
}

}  // namespace

Session::Session(std::shared_ptr<PostgresGate::Impl> gate, net::StreamPtr client, bool spare)
    : owner_(std::move(gate)),
      gate_(*owner_),
      io_(client->context()),
      client_(std::move(client)),
      address_(client_->peer_ip()),
      peer_(client_->peer()),
      spare_(spare),
      login_until_(gate_.clock.mono() +
                   (spare ? std::min(gate_.options.spare_time, gate_.options.login_time) : gate_.options.login_time)) {}

Session::~Session() {
  // Only when the io threads went first: else finish() has done it.
  if (!left_) gate_.gone(this, address_, logging_in_, spare_);
}

awaitable<void> Session::live(std::shared_ptr<Session> self) {
  try {
    const bool in = co_await self->log_in();
    if (in) co_await self->relay();
  } catch (const std::exception& e) {
    // A bug or no memory. It ends here, and what was counted is given back like at any other end.
    self->gate_.log.error("a gate session threw", {{"what", e.what()}});
    self->end("error:exception");
  }
  self->finish();
}

// One deadline for all that comes before the proof, whatever the number of steps.
base::Millis Session::login_left() const {
  const auto left = std::chrono::ceil<base::Millis>(login_until_ - gate_.clock.mono());
  return std::max(left, base::Millis(0));
}

awaitable<Status> Session::send(std::string_view text) {
  writing_client_ = true;
  Status sent = co_await client_->write_all(text);
  writing_client_ = false;
  co_return sent;
}

awaitable<void> Session::refuse(Refusal refusal) {
  if (over_ || client_ == nullptr || !client_->is_open()) co_return;
  std::string text;
  pg::append_error_response(
      text, {.severity = "FATAL", .sqlstate = refusal.sqlstate, .message = refusal.message, .hint = refusal.hint});
  net::Deadline deadline(*client_, std::chrono::seconds(2));
  (void)co_await send(text);
}

// Hands the client's stream to the handshake and takes the secured one. A cut in between finds its descriptor.
awaitable<Status> Session::secure(net::StreamPtr plain, bool direct, std::string stuffed) {
  end_point_ = gate_.end_point();
  handshake_fd_ = plain->native_fd();
  const std::string_view yes = "S";
  auto upgraded = direct ? co_await net::accept_tls(std::move(plain), gate_.options.tls, login_left())
                         : co_await net::upgrade_tls(std::move(plain), gate_.options.tls, yes, stuffed, login_left());
  handshake_fd_ = -1;
  if (!upgraded.ok()) co_return std::move(upgraded).error();
  client_ = std::move(*upgraded);
  tls_ = true;
  if (!over_) co_return Status();
  client_->close();
  co_return Error{Code::ended, "gate.cut", sentence_};
}

awaitable<Result<std::optional<pg::StartupMessage>>> Session::read_startup() {
  using Channel = pg::StartupReader::Channel;
  std::optional<pg::StartupReader> reader;
  reader.emplace(Channel::plain);
  char buffer[1024];
  std::optional<net::Deadline> deadline;
  deadline.emplace(*client_, login_left());
  // A ClientHello without SSLRequest: its bytes must stay in the socket for the handshake.
  const auto peeked = co_await client_->peek(std::span(buffer).first(1));
  if (!peeked.ok()) co_return peeked.error();
  if (*peeked == 0) co_return std::optional<pg::StartupMessage>();
  if (buffer[0] == 0x16) {
    deadline.reset();
    const Status secured = co_await secure(std::move(client_), true, {});
    if (!secured.ok()) co_return secured.error();
    // RFC 7301 by PostgreSQL's rule: direct TLS must name the protocol, or another service's client could be led here.
    if (client_->tls_info() == nullptr || client_->tls_info()->alpn != "postgresql")
      co_return Error{Code::invalid, "startup.alpn", "direct TLS needs the ALPN protocol postgresql"};
    co_return co_await read_startup_in_tls();
  }
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
        deadline.reset();
        const Status secured = co_await secure(std::move(client_), false, std::string(in));
        if (!secured.ok()) co_return secured.error();
        co_return co_await read_startup_in_tls();
      }
      if (std::holds_alternative<pg::GssEncRequest>(*read->packet)) {
        const std::string_view no = "N";
        const Status answered = co_await send(no);
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
  net::Deadline deadline(*client_, login_left());
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
  const bool plus_offered = tls_ && !end_point_.empty();
  if (plus_offered)
    pg::append_authentication_sasl(out, {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"});
  else
    pg::append_authentication_sasl(out, {"SCRAM-SHA-256"});
  Status sent = co_await send(out);
  if (!sent.ok()) co_return sent.error();

  const auto initial_body = co_await read_password_message();
  if (!initial_body.ok()) co_return initial_body.error();
  const auto initial = pg::parse_sasl_initial_response(*initial_body);
  if (!initial.ok()) co_return initial.error();
  const bool plus = initial->mechanism == "SCRAM-SHA-256-PLUS";
  if ((!plus && initial->mechanism != "SCRAM-SHA-256") || (plus && !plus_offered))
    co_return Error{Code::invalid, "sasl.mechanism", "that mechanism was not offered"};
  crypto::ScramServer scram(std::move(verifier), mock, plus_offered ? end_point_ : "", plus, plus_offered,
                            gate_.entropy);
  const auto first = scram.first(initial->response);
  if (!first.ok()) co_return first.error();
  out.clear();
  pg::append_authentication_sasl_continue(out, *first);
  sent = co_await send(out);
  if (!sent.ok()) co_return sent.error();

  const auto response_body = co_await read_password_message();
  if (!response_body.ok()) co_return response_body.error();
  const auto response = pg::parse_sasl_response(*response_body);
  if (!response.ok()) co_return response.error();
  const auto final = scram.final(*response);
  if (!final.ok()) {
    if (final.error().check != "scram.proof") co_return final.error();
    co_return Error{Code::unauthenticated, "gate.password",
                    "password authentication failed for user \"" + user +
                        "\": the password is wrong, or the login it belongs to has ended",
                    "daypass login, then daypass creds TARGET (or daypass connect TARGET)"};
  }
  out.clear();
  pg::append_authentication_sasl_final(out, *final);
  sent = co_await send(out);
  if (!sent.ok()) co_return sent.error();
  co_return std::move(*found);
}

// Asks the engine; from a good answer on this connection is counted, and finish() gives it back.
awaitable<Result<engine::Admission>> Session::admission(core::CredentialId credential) {
  std::move_only_function<void(engine::Done<engine::Admission>)> ask =
      [access = gate_.access, id = std::move(credential), peer = peer_](engine::Done<engine::Admission> done) {
        access->admit(id, peer, std::move(done));
      };
  // An answer that comes when nobody waits any more is a connection that was counted: it must be given back.
  std::function<void(Result<engine::Admission>)> late = [access = gate_.access](Result<engine::Admission> r) {
    if (!r.ok()) return;
    engine::ConnectionStats stats;
    stats.why = "late";
    access->closed(r->grant, r->connection, std::move(stats));
  };
  auto admitted = co_await net::ask<engine::Admission>(io_, std::move(ask), std::chrono::seconds(30), std::move(late));
  if (!admitted.ok()) co_return admitted;
  grant_ = admitted->grant;
  connection_ = admitted->connection;
  lease_ = admitted->lease;
  meter_ = admitted->meter;
  if (over_) co_return Error{Code::ended, "gate.cut", sentence_};
  if (!gate_.enrol(*grant_, this, sentence_, lease_)) {
    why_ = "cut";
    co_return Error{Code::ended, "gate.cut", sentence_, "connect again for a new grant"};
  }
  co_return admitted;
}

std::optional<Refusal> Session::wrong_database(const pg::StartupMessage& startup, const std::string& pinned,
                                               const core::TargetId& target) const {
  const std::string asked = startup.database.value_or("");
  // Absent, or what libpq puts there by itself (the user's name), means: the one there is.
  if (asked.empty() || asked == pinned || asked == startup.user || asked == target.str()) return std::nullopt;
  return Refusal{
      "3D000", "this credential is for database \"" + pinned + "\" of " + target.str() + ", not for \"" + asked + "\"",
      "connect to database " + pinned};
}

awaitable<bool> Session::log_in() {
  auto read = co_await read_startup();
  if (!read.ok()) {
    // Who speaks no PostgreSQL gets no lecture; who does, gets the reason.
    if (read.error().code == Code::invalid) co_await refuse(refusal_of(read.error()));
    co_return false;
  }
  if (!*read || over_) co_return false;
  const pg::StartupMessage startup = std::move(**read);
  const bool local = peer_ == "unix" || address_.starts_with("127.") || address_ == "::1";
  if (spare_) {
    Refusal full{"53300", "too many connections to the Daypass gate", "close some, or try again in a moment"};
    co_await refuse(std::move(full));
    co_return false;
  }
  if (!tls_ && !local) {
    Refusal clear{"28000", "the Daypass gate speaks TLS only", "set sslmode=verify-full"};
    co_await refuse(std::move(clear));
    co_return false;
  }
  std::optional<net::Deadline> deadline;
  deadline.emplace(*client_, login_left());
  if (startup.needs_negotiation()) {
    std::string out;
    pg::append_negotiate_protocol_version(out, startup.protocol_options);
    const Status sent = co_await send(out);
    if (!sent.ok()) co_return false;
  }
  const auto verifier = co_await authenticate(startup.user);
  deadline.reset();
  if (!verifier.ok()) {
    const Code code = verifier.error().code;
    if (code == Code::invalid || code == Code::unauthenticated) co_await refuse(refusal_of(verifier.error()));
    co_return false;
  }
  logging_in_ = false;
  gate_.logged_in();
  std::string().swap(end_point_);

  auto admitted = co_await admission(verifier->credential);
  if (!admitted.ok()) {
    co_await refuse(refusal_of(admitted.error()));
    co_return false;
  }
  if (auto wrong = wrong_database(startup, admitted->upstream.database, verifier->target)) {
    why_ = "error:database";
    co_await refuse(std::move(*wrong));
    co_return false;
  }
  auto greeting = co_await log_in_upstream(startup, *admitted);
  admitted->upstream.password = base::Secret();
  if (over_) co_return false;
  if (!greeting.ok()) {
    why_ = "error:" + greeting.error().check;
    gate_.log.warn("upstream login failed",
                   {{"tenant", grant_->tenant.str()}, {"grant", grant_->id}, {"check", greeting.error().check}});
    co_await refuse(refusal_of(greeting.error()));
    co_return false;
  }
  std::string out;
  pg::append_authentication_ok(out);
  out += *greeting;
  net::Deadline sending(*client_, gate_.options.login_time);
  const Status sent = co_await send(out);
  co_return sent.ok() && !over_;
}

awaitable<void> Session::cancel(pg::CancelRequest request) {
  // Weak: a session must not outlive its end because somebody wants to cancel it.
  const std::weak_ptr<Session> weak = gate_.find_cancel(address_, request);
  // The target's key lives on the other session's thread.
  using Answer = std::move_only_function<void(Result<CancelTarget>)>;
  std::move_only_function<void(Answer)> fetch = [weak](Answer done) {
    const Error ended{Code::ended, "cancel.ended", "the session has ended"};
    const auto session = weak.lock();
    if (session == nullptr) return done(ended);
    auto shared = std::make_shared<Answer>(std::move(done));
    auto& io = session->context();
    net::post_to(io, [session, shared, ended] {
      auto target = session->cancel_target();
      if (target)
        (*shared)(std::move(*target));
      else
        (*shared)(ended);
    });
  };
  auto target = co_await net::ask<CancelTarget>(io_, std::move(fetch), std::chrono::seconds(5));
  if (!target.ok() || over_) co_return;
  auto opened = co_await open_upstream(gate_, io_, target->upstream);
  if (!opened.ok() || over_) co_return;
  {
    // Ended meanwhile? Then the server may have given that process number to somebody else.
    const auto session = weak.lock();
    if (session == nullptr || session->ended()) co_return;
  }
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
  copy.upstream = address_of(cancel_->upstream);
  copy.pid = cancel_->pid;
  copy.key = cancel_->key;
  return copy;
}

}  // namespace daypass::gate
