// The server: everything wired together, constructors taking references, and taken down in reverse.
#pragma once

#include <memory>
#include <string>

#include "base/log.h"
#include "config/config.h"
#include "engine/engine.h"
#include "net/http_client.h"

namespace daypass::app {

class Server {
 public:
  /// Opens the data folder, recovers, listens. `restored`: the store is a backup (engine/restore.cc). Errors: those of
  /// the parts, with what to do.
  static base::Result<std::unique_ptr<Server>> start(const config::ServerConfig& config, const base::Clock& clock,
                                                     base::Entropy& entropy, const base::Log& log,
                                                     bool restored = false);
  /// Drains: no new work, live connections get `patience`, then are cut. Grants stay; the next start takes them up.
  ~Server();
  void drain(base::Millis patience);

  [[nodiscard]] engine::Engine& engine() noexcept;
  [[nodiscard]] std::uint16_t api_port() const noexcept;
  [[nodiscard]] std::uint16_t gate_port() const noexcept;
  [[nodiscard]] const std::string& gate_ca_pem() const noexcept;
  [[nodiscard]] const std::string& public_url() const noexcept;
  /// The operator's socket in the data folder.
  [[nodiscard]] const std::string& socket_path() const noexcept;
  /// Applies a tenant's folder as the operator and waits. The result may hold problems.
  base::Result<engine::Applied> apply(const std::string& tenant, std::map<std::string, std::string> files,
                                      bool dry_run);
  /// Reads certificates again. Live sessions go on.
  base::Status reload(const config::ServerConfig& config);

  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace daypass::app
