// The gate's inside, shared by its sessions: limits, the register of live connections, tombstones, cancel keys.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "gate/activity.h"
#include "gate/session.h"
#include "net/listener.h"

namespace daypass::gate {

struct PostgresGate::Impl : std::enable_shared_from_this<PostgresGate::Impl> {
  Impl(net::IoThreads& t, const base::Clock& c, base::Entropy& e, const base::Log& l, PostgresGateOptions o);

  net::IoThreads& threads;
  const base::Clock& clock;
  base::Entropy& entropy;
  const base::Log& log;
  PostgresGateOptions options;
  engine::Access* access = nullptr;
  std::unique_ptr<net::Listener> listener;
  ActivityWriter activity;
  std::string mock_secret;  ///< for user names that do not exist
  std::atomic<bool> draining{false};

  // The register. Locked when a connection comes, logs in, goes or is cut; never while it works. Whoever holds the lock
  // must not own a session (weak_ptr::lock): as its last owner it would destroy it, and that takes the lock again.
  mutable std::mutex mutex;
  std::condition_variable emptied;
  std::size_t logging_in = 0;
  std::unordered_map<const Session*, std::weak_ptr<Session>> sessions;
  struct Guests {
    std::size_t regular = 0, spare = 0;
  };
  std::unordered_map<std::string, Guests> per_address;
  std::size_t open = 0, spare = 0;  ///< all, and those of them beyond the limits
  std::unordered_map<engine::GrantId, std::vector<const Session*>> by_grant;
  /// What the engine said of a grant lately: also for connections that were let in just before and aren't enrolled.
  struct Word {
    std::optional<std::string> cut;  ///< the sentence; a grant never comes back
    std::optional<engine::Lease> lease;
    base::MonoTime at{};
  };
  std::unordered_map<engine::GrantId, Word> words;
  std::deque<std::pair<base::MonoTime, engine::GrantId>> word_order;
  struct CancelEntry {
    std::string key;
    std::weak_ptr<Session> session;
  };
  std::unordered_map<std::uint32_t, CancelEntry> cancel_keys;
  std::unordered_map<std::string, std::pair<base::MonoTime, int>> cancel_rate;

  void accept(net::StreamPtr stream);
  /// False (with the sentence) when the grant was cut before the session got here. `lease`: replaced by a newer one.
  bool enrol(const engine::GrantId& grant, const Session* session, std::string& sentence, engine::Lease& lease);
  void leave(const engine::GrantId& grant, const Session* session);
  /// The word under the lock, fresh; old ones are forgotten.
  Word& word(const engine::GrantId& grant);
  /// Live sessions of a grant, under the lock, to be let go of without it.
  std::vector<std::shared_ptr<Session>> members(const engine::GrantId& grant) const;
  /// A fresh (pid, key) for the client; ours, never the server's.
  std::pair<std::uint32_t, std::string> make_cancel_key(const std::shared_ptr<Session>& session);
  void forget_cancel_key(std::uint32_t pid);
  std::shared_ptr<Session> find_cancel(const std::string& address, const pg::CancelRequest& request);
  void logged_in();
  void gone(const Session* session, const std::string& address, bool was_logging_in, bool was_spare);
  [[nodiscard]] base::Result<net::TlsClientContext> client_tls(const target::Upstream& upstream);
  /// tls-server-end-point of the certificate in use now (RFC 5929); empty when it has none.
  [[nodiscard]] std::string end_point();

  std::mutex tls_mutex;
  std::map<std::string, std::pair<base::MonoTime, net::TlsClientContext>> tls_contexts;
  std::pair<std::string, std::string> end_point_of;  ///< PEM text, and what follows from it
};

/// Connects and, where the target wants it, shakes hands. For logins and for cancel requests.
awaitable<base::Result<net::StreamPtr>> open_upstream(PostgresGate::Impl& gate, net::io_context& io,
                                                      const target::Upstream& to);
/// Everything but the password.
target::Upstream address_of(const target::Upstream& upstream);

}  // namespace daypass::gate
