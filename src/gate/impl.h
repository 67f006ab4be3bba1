// The gate's inside, shared by its sessions: limits, the register of live connections, tombstones, cancel keys.
#pragma once

#include <atomic>
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
  std::string mock_secret;             ///< for user names that do not exist
  std::string end_point;               ///< tls-server-end-point of our certificate
  std::atomic<bool> draining{false};

  // The register. Locked when a connection comes, goes or is cut; never while it works.
  mutable std::mutex mutex;
  std::condition_variable emptied;
  std::size_t open = 0;
  std::unordered_map<std::string, std::size_t> per_address;
  std::unordered_map<engine::GrantId, std::vector<std::weak_ptr<Session>>> by_grant;
  std::unordered_map<engine::GrantId, std::pair<std::string, base::MonoTime>> tombstones;
  struct CancelEntry {
    std::string key;
    std::weak_ptr<Session> session;
  };
  std::unordered_map<std::uint32_t, CancelEntry> cancel_keys;
  std::unordered_map<std::string, std::pair<base::MonoTime, int>> cancel_rate;

  void accept(net::StreamPtr stream);
  /// False (with the sentence) when the grant was cut before the session got here.
  bool enrol(const engine::GrantId& grant, const std::shared_ptr<Session>& session, std::string& sentence);
  void leave(const engine::GrantId& grant, const Session* session);
  /// A fresh (pid, key) for the client; ours, never the server's.
  std::pair<std::uint32_t, std::string> make_cancel_key(const std::shared_ptr<Session>& session);
  void forget_cancel_key(std::uint32_t pid);
  std::shared_ptr<Session> find_cancel(const std::string& address, const pg::CancelRequest& request);
  void gone(const std::string& address);
  [[nodiscard]] base::Result<net::TlsClientContext> client_tls(const target::Upstream& upstream);

  std::mutex tls_mutex;
  std::map<std::string, std::pair<base::MonoTime, net::TlsClientContext>> tls_contexts;
};

/// Connects and, where the target wants it, shakes hands. For logins and for cancel requests.
awaitable<base::Result<net::StreamPtr>> open_upstream(PostgresGate::Impl& gate, net::io_context& io, const target::Upstream& to);

}  // namespace daypass::gate
