// A PostgreSQL server set up as an operator should, the driver on it, and its clients.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "conformance/target_world.h"
#include "support/pg_server.h"
#include "target/postgres/installer.h"
#include "target/postgres/postgres.h"

namespace daypass::test {

/// By its own rights, as a superuser, or through installed functions and with no right of its own.
enum class AdminKind { limited, superuser, confined };
std::string to_string(AdminKind kind);

class PgWorld final : public TargetWorld {
 public:
  struct Options {
    AdminKind admin = AdminKind::limited;
    int max_prepared_transactions = 0;
    std::vector<std::string> hba;
    std::vector<std::string> settings;
    std::string maintenance_database;
  };
  explicit PgWorld(Options options);
  /// One of each kind for the whole binary. Superuser: prepared transactions are on.
  static PgWorld& limited();
  static PgWorld& superuser();
  static PgWorld& confined();
  static PgWorld& of(AdminKind kind);

  target::Target& target() override { return *target_; }
  std::vector<core::RoleSpec> roles() override { return {role("reader", "readers")}; }
  std::string instance() override { return instance_; }
  std::unique_ptr<TargetSession> login(const std::string& account, const std::string& password) override;
  void freeze() override { server->freeze(); }
  void thaw() override { server->thaw(); }
  void stop() override { server->stop(); }
  void start() override;

  /// What a DBA would run for this world: admin login, groups and heirs of the tests, both databases.
  target::postgres::Installation installation() const;
  /// Runs the parts as superuser. Throws when one does not work.
  void run_parts(const std::vector<target::postgres::Part>& parts);
  void install() { run_parts(target::postgres::install_parts(installation())); }

  /// A role spec with the driver's settings.
  static core::RoleSpec role(const std::string& name, const std::string& group, const std::string& heir = {});
  core::TargetSpec spec(std::uint16_t port = 0) const;
  /// A driver as another process would have it.
  std::unique_ptr<target::Driver> new_driver();
  /// `port`: of something in front of the server; 0: the server's own.
  std::shared_ptr<target::Target> new_target(std::uint16_t port = 0);
  /// Provisions an account with `roles`, as a new grant. Throws when that fails.
  struct Made {
    target::Account account;
    std::vector<core::RoleSpec> roles;
    std::string handle;
  };
  Made make(std::vector<core::RoleSpec> roles, target::Target* through = nullptr);
  Made make() { return make(roles()); }
  /// "" when it worked, else the check.
  std::string revoke(const Made& made);
  core::Presence look(const Made& made);
  /// A client as `account`.
  PgClient client(const std::string& account, const std::string& password = first_password,
                  const std::string& database = "orders", const std::string& more = {});
  std::string conninfo(const std::string& account, const std::string& password,
                       const std::string& database = "orders") const {
    return server->conninfo(account, password, database);
  }
  /// Everything of ours that is left: roles, sessions, prepared transactions.
  std::string leftovers(const std::string& account);
  [[nodiscard]] bool at_least(int major) { return server->version() >= major * 10000; }
  /// Waits until the query says "t".
  void await(const std::string& query, const std::string& database = "postgres");

  std::unique_ptr<PgServer> server;
  base::SystemEntropy entropy;
  base::Log log{clock, base::Level::debug, [this](std::string_view line) { keep(line); }};
  std::string log_text();

 private:
  void keep(std::string_view line);
  void make_admin();
  Options options_;
  std::string instance_ = "cnf001";
  std::unique_ptr<target::Driver> driver_;
  std::shared_ptr<target::Target> target_;
  std::mutex log_mutex_;
  std::string log_lines_;
};

}  // namespace daypass::test
