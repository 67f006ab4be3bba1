// The gate as the engine knows it: connections with leases that end on the boot clock, cuts and updates that arrive a
// little later, in order. Owns the connections.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/ports.h"

namespace daypass::sim {

class World;

struct ModelConnection {
  core::ConnectionId id;
  core::GrantId grant;
  core::CredentialId credential;
  std::string server;  ///< "pg/orders"
  std::string account;
  engine::Lease lease;
  std::shared_ptr<engine::GrantMeter> meter;
  base::MonoTime opened{};
  bool logged_in = false;  ///< upstream; until then it is half open
};

class ModelGate final : public engine::Sessions {
 public:
  explicit ModelGate(World& world) : world_(world) {}

  void cut(std::vector<engine::Cut> grants) override;
  void forget(const core::TenantId&) override {}
  base::Status forget(const core::GrantId& grant) override {
    if (keeps_files) return base::Error{base::Code::internal, "activity.files", "it can't be removed"};
    forgotten.insert(grant);
    return {};
  }
  std::set<core::GrantId> forgotten;
  bool keeps_files = false;  ///< what is to be forgotten can't be
  void update(const core::GrantId& grant, const engine::Lease& lease) override;

  /// A client connects with the credential; what becomes of it shows in connections().
  void connect(const core::CredentialId& credential);
  /// A client sends something, or goes away. False when there is no such connection (any more).
  bool message(const std::string& connection);
  bool hang_up(const std::string& connection);
  /// Closes what its own lease has ended.
  void enforce();
  [[nodiscard]] base::MonoTime next_deadline() const;
  /// The process died, and every socket with it.
  void die();
  [[nodiscard]] const std::map<std::string, ModelConnection>& connections() const { return connections_; }
  std::size_t admitted = 0, refused = 0;
  std::vector<std::size_t> cuts;                ///< how many grants each had
  std::map<std::string, std::size_t> refusals;  ///< by check
  std::vector<engine::NamedObject> names;       ///< what the statements of every connection name

 private:
  void post(std::move_only_function<void()> what);
  void let_in(const core::CredentialId& credential, const std::string& server, engine::Admission admission);
  void close(const std::string& connection, std::string why);

  World& world_;
  std::map<std::string, ModelConnection> connections_;
  std::map<core::CredentialId, ModelConnection> remembered_;  ///< for the mutant that reopens
  base::MonoTime last_post_{};
};

}  // namespace daypass::sim
