// A target in memory: accounts and their sessions, calls that fail in every way a database does. It outlives the
// process under test. Owns the truth that the checkers compare with.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/faults.h"
#include "target/target.h"

namespace daypass::sim {

struct ModelAccount {
  std::string name;
  std::string mark;  ///< instance that made it; empty: not ours at all
  core::GrantId grant;
  base::WallTime valid_until{};
  bool login = true;
  std::set<std::string> sessions;  ///< connections of the gate that are logged in
  bool operator==(const ModelAccount&) const = default;
};

/// One server. Lives as long as the world.
class ModelServer {
 public:
  struct Hooks {
    /// What goes wrong with this call; the grant is empty for a listing.
    std::function<Fault(const char* call, const core::GrantId&)> fault = [](const char*, const core::GrantId&) {
      return Fault::none;
    };
    /// Does `fn` some while later, whatever becomes of the process.
    std::function<void(std::function<void()>)> later = [](const std::function<void()>&) {};
    /// True time: the target's clock is not ours.
    std::function<base::WallTime()> now;
    std::function<void(const ModelAccount&)> made = [](const ModelAccount&) {};
  };
  /// Guards taken away, for the mutants.
  struct Broken {
    bool verify_blind = false;   ///< says "absent" without looking
    bool list_blind = false;     ///< lists nothing
    bool sweeps_prefix = false;  ///< revoke takes the look-alikes along
  };
  Hooks hooks;
  Broken broken;
  std::string instance;
  std::map<std::string, ModelAccount> accounts;
  std::map<core::RoleId, std::vector<target::Object>> objects;  ///< that a role gives
  /// What a listing that began a while ago saw; null: now.
  const std::map<std::string, ModelAccount>* listing = nullptr;

  base::Result<std::string> provision(const target::Provision& wanted);
  base::Status revoke(const target::Account& account);
  base::Result<core::Presence> verify(const target::Account& account);
  base::Result<std::vector<target::Owned>> list_owned();
  base::Result<std::vector<target::Stranger>> list_strangers();
  base::Result<std::vector<target::Holdings>> holdings(const std::vector<core::RoleSpec>& roles);
  /// A client of the gate logs in with the account; false when the target refuses.
  bool log_in(const std::string& account, const std::string& connection);
  void log_out(const std::string& account, const std::string& connection);
  [[nodiscard]] const ModelAccount* find(const std::string& name) const;

 private:
  void make(const ModelAccount& account);
  void drop(const std::string& name, const core::GrantId& grant);
};

/// The driver's object: a handle on the server.
class ModelTarget final : public target::Target {
 public:
  explicit ModelTarget(ModelServer& server) : server_(server) {}
  [[nodiscard]] target::Caps caps() const override { return {true, true}; }
  base::Result<std::string> provision(const target::Provision& w, target::Millis) override {
    return server_.provision(w);
  }
  base::Status revoke(const target::Account& a, const std::vector<core::RoleSpec>&, std::string_view,
                      target::Millis) override {
    return server_.revoke(a);
  }
  base::Result<core::Presence> verify(const target::Account& a, std::string_view, target::Millis) override {
    return server_.verify(a);
  }
  base::Result<std::vector<target::Owned>> list_owned(target::Millis) override { return server_.list_owned(); }
  base::Result<std::vector<target::Stranger>> list_strangers(target::Millis) override {
    return server_.list_strangers();
  }
  base::Result<std::vector<target::Holdings>> holdings(const std::vector<core::RoleSpec>& roles,
                                                       target::Millis) override {
    return server_.holdings(roles);
  }
  base::Result<std::vector<target::Finding>> check(const std::vector<core::RoleSpec>&, target::Millis) override {
    return std::vector<target::Finding>();
  }
  base::Result<std::string> server_identity(target::Millis) override { return std::string("model"); }
  [[nodiscard]] target::Upstream upstream(const std::string& account, base::Secret password) const override;

 private:
  ModelServer& server_;
};

class ModelTargetDriver final : public target::Driver {
 public:
  explicit ModelTargetDriver(std::map<std::string, ModelServer>& servers) : servers_(servers) {}
  [[nodiscard]] std::string kind() const override { return "pg"; }
  [[nodiscard]] base::Status validate(const core::TargetSpec&, const std::vector<core::RoleSpec>&) const override {
    return {};
  }
  base::Result<std::shared_ptr<target::Target>> make(const core::TenantId&, const core::TargetSpec& spec) override;

 private:
  std::map<std::string, ModelServer>& servers_;
};

}  // namespace daypass::sim
