// The PostgreSQL gate: clients that know nothing of Daypass come in here with a credential and leave when access ends.
// Knows bytes, never judges: who may come in is asked of engine::Access, who must go is told through engine::Sessions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/entropy.h"
#include "base/log.h"
#include "engine/ports.h"
#include "net/io.h"
#include "net/listener.h"
#include "net/tls.h"

namespace daypass::gate {

struct PostgresGateOptions {
  explicit PostgresGateOptions(net::TlsServerContext context) : tls(std::move(context)) {}
  net::TlsServerContext tls;  ///< ALPN "postgresql"
  std::size_t max_connections = 2000;
  std::size_t max_per_address = 200;
  std::size_t max_logging_in = 0;  ///< connections that have proven nothing yet; 0: half of max_connections
  /// Beyond the limits above a connection may still ask for a cancellation, or be told why it is turned away: this many
  /// at once, and of them this many from one address. Else who has used up all connections could not stop what runs.
  std::size_t max_spare = 64;
  std::size_t max_spare_per_address = 4;
  base::Millis spare_time = std::chrono::seconds(5);   ///< for all that such a connection may do before the request
  base::Millis login_time = std::chrono::seconds(15);  ///< from the connection to the end of authentication
  std::string activity_folder;                         ///< empty: no activity records
  std::function<bool()> activity_held;                 ///< see ActivityWriter; any thread
};

class PostgresGate final : public engine::Sessions {
 public:
  PostgresGate(net::IoThreads& threads, const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
               PostgresGateOptions options);
  ~PostgresGate() override;

  /// Who is asked. Before start(); outlives the gate.
  void attach(engine::Access& access);
  void start(std::unique_ptr<net::Listener> listener);
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Stops accepting, waits until sessions have gone or `patience` has passed, then cuts what is left, also what is
  /// still logging in. Returns when activity records are on disk and Access::closed was called for each session that
  /// has gone; a login that still waits for Access is given back with its answer, so Access goes after the io threads.
  /// Not on an io thread. Call it before the gate or its Access is destroyed.
  void drain(base::Millis patience);
  [[nodiscard]] std::size_t connections() const noexcept;

  // engine::Sessions; any thread
  void cut(std::vector<engine::Cut> grants) override;
  void forget(const core::TenantId& tenant) override;
  base::Status forget(const engine::GrantId& grant) override;
  void update(const engine::GrantId& grant, const engine::Lease& lease) override;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace daypass::gate
