// The demo's private PostgreSQL: Debian's binaries, own data folder, own port, unprivileged user; nothing else is
// touched.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/demo/process.h"
#include "base/entropy.h"

namespace daypass::app::demo {

class DemoPostgres {
 public:
  /// initdb, start, an `orders` database with group roles and an admin login. Errors: "demo.postgres_missing",
  /// "demo.postgres".
  static base::Result<std::unique_ptr<DemoPostgres>> start(const std::string& folder, const base::Clock& clock,
                                                           base::Entropy& entropy);
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// File with the admin login's password, for tenant.toml.
  [[nodiscard]] const std::string& admin_password_file() const noexcept { return admin_password_file_; }
  /// First column of a query's rows as superuser, over a connection of its own. Error: "demo.postgres".
  base::Result<std::vector<std::string>> query(const std::string& database, const std::string& sql) const;

 private:
  DemoPostgres() = default;
  std::uint16_t port_ = 0;
  std::string superuser_password_, admin_password_file_;
  std::unique_ptr<Child> server_;
};

}  // namespace daypass::app::demo
