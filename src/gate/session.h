// One client and its upstream, from the first byte to the last. Lives and dies on one io thread: no locks.
//
//   login.cc    what the client must prove, and how it gets in     upstream.cc  our own login on the target
//   relay.cc    both directions, the lease, the cut                postgres_gate.cc  the listener and the register
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "crypto/scram.h"
#include "gate/activity.h"
#include "gate/postgres_gate.h"
#include "net/stream.h"
#include "wire/postgres/relay.h"
#include "wire/postgres/startup.h"

namespace daypass::gate {

namespace pg = wire::postgres;
using net::awaitable;

/// What a client reads when it is turned away.
struct Refusal {
  std::string sqlstate, message, hint;
};

/// A server's way to be cancelled, and how to get there.
struct CancelTarget {
  target::Upstream upstream;  ///< without the password
  std::uint32_t pid = 0;
  std::string key;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  /// `spare`: beyond the limits, so it may ask for a cancellation and for nothing else.
  Session(std::shared_ptr<PostgresGate::Impl> gate, net::StreamPtr client, bool spare);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// The whole life.
  static awaitable<void> live(std::shared_ptr<Session> self);

  // From other threads, through net::post on context():
  void cut(const std::string& sentence);
  /// Its first half: the client is told and its stream ended, and nothing of it goes to the server. cut() follows soon.
  void begin_cut(const std::string& sentence);
  void update(const engine::Lease& lease);

  [[nodiscard]] net::io_context& context() const noexcept { return io_; }
  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  /// On the session's thread; nullopt once it has ended.
  [[nodiscard]] std::optional<CancelTarget> cancel_target() const;
  /// Any thread.
  [[nodiscard]] bool ended() const noexcept;

 private:
  // login.cc
  /// True when both sides are logged in. Its frame, with all that only the login needs, goes before the relay begins.
  awaitable<bool> log_in();
  awaitable<base::Result<engine::Admission>> admission(core::CredentialId credential);
  [[nodiscard]] std::optional<Refusal> wrong_database(const pg::StartupMessage& startup, const std::string& pinned,
                                                      const core::TargetId& target) const;
  awaitable<base::Status> secure(net::StreamPtr plain, bool direct, std::string stuffed);
  [[nodiscard]] base::Millis login_left() const;
  awaitable<base::Status> send(std::string_view text);
  awaitable<base::Result<std::optional<pg::StartupMessage>>> read_startup();
  awaitable<base::Result<std::optional<pg::StartupMessage>>> read_startup_in_tls();
  awaitable<base::Result<engine::Verifier>> authenticate(const std::string& user);
  awaitable<base::Result<std::string>> read_password_message();
  awaitable<void> refuse(Refusal refusal);
  awaitable<void> cancel(pg::CancelRequest request);
  // upstream.cc
  awaitable<base::Result<net::StreamPtr>> reach_upstream(const target::Upstream& upstream);
  awaitable<base::Result<std::string>> log_in_upstream(const pg::StartupMessage& startup,
                                                       const engine::Admission& admission);
  // relay.cc
  awaitable<void> relay();
  awaitable<void> client_to_server();
  awaitable<void> server_to_client();
  void watch_lease();
  void threw(const std::string& where);
  awaitable<void> wait_for_room(bool full);
  bool flush_records();
  ActivityWriter::TextPtr used_text(const pg::Record& record);
  bool lapsed(base::MonoTime now);
  void stop_client(std::string why);
  void end(std::string why);
  void say_goodbye(const std::string& sqlstate, const std::string& sentence);
  void finish();
  void give_back();

  const std::shared_ptr<PostgresGate::Impl> owner_;  ///< a session may outlive the PostgresGate
  PostgresGate::Impl& gate_;
  net::io_context& io_;
  net::StreamPtr client_, upstream_;
  std::string address_, peer_;
  bool tls_ = false;
  bool logging_in_ = true;  ///< as the register counts it
  const bool spare_;
  bool left_ = false;      ///< taken out of the register
  int handshake_fd_ = -1;  ///< the client's, while the TLS handshake has its stream
  base::MonoTime login_until_{};
  std::string end_point_;    ///< of the certificate that the client was shown
  std::string login_input_;  ///< bytes read beyond the last login message of the client
  std::string early_;        ///< the same of the server, behind its first ReadyForQuery

  std::optional<engine::GrantId> grant_;  ///< from the admission on
  core::ConnectionId connection_;
  engine::Lease lease_;
  std::shared_ptr<engine::GrantMeter> meter_;
  std::optional<net::Alarm> lease_alarm_;  ///< while it relays
  std::optional<net::Event> room_;         ///< client_to_server waits for room in the records
  std::optional<net::Event> reached_;      ///< log_in_upstream waits for its connection
  std::optional<CancelTarget> cancel_;
  std::uint32_t cancel_pid_ = 0;
  std::unique_ptr<pg::Tap> tap_;
  int loops_ = 0;                         ///< 1 while client_to_server runs
  std::optional<net::Event> loops_done_;  ///< once the relay waits for that
  std::atomic<bool> over_{false};
  bool ended_ = false;           ///< end() has been here: both sides are closed
  bool writing_client_ = false;  ///< a write is suspended half way: no message of ours may follow
  bool writing_upstream_ = false;
  ActivityWriter::SegmentPtr segment_;  ///< from the first record on
  std::string held_line_;               ///< a record that found no room on its way to disk
  ActivityWriter::TextPtr held_text_;   ///< of its statement, when that made use of rights
  bool unread_ = false;                 ///< a statement was run whose text is not known
  std::string why_;
  std::string sentence_;  ///< why it was cut, for who is still logging in
  base::MonoTime reported_{};
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0, statements_ = 0;
};

}  // namespace daypass::gate
