#include "conformance/target_postgres_world.h"

#include <poll.h>

#include <stdexcept>

namespace daypass::test {
namespace {

class PgSession final : public TargetSession {
 public:
  explicit PgSession(PgClient client) : client_(std::move(client)) {}
  bool alive() override { return client_.run("SELECT count(*) FROM app.orders").ok(); }

 private:
  PgClient client_;
};

constexpr const char* admin_password = "the-admin-login-of-the-tests";

}  // namespace

PgWorld::PgWorld(Options options) : options_(std::move(options)) {
  PgOptions server_options;
  server_options.max_prepared_transactions = options_.max_prepared_transactions;
  server_options.hba = options_.hba;
  server_options.settings = options_.settings;
  auto started = PgServer::start(server_options);
  if (!started.ok()) throw std::runtime_error(started.error().message);
  server = std::move(started).value();
  for (const char* database : {"orders", "billing"}) server->sql(std::string("CREATE DATABASE ") + database);
  server->sql(
      "CREATE ROLE readers NOLOGIN; CREATE ROLE writers NOLOGIN; CREATE ROLE makers NOLOGIN; CREATE ROLE made NOLOGIN;"
      "REVOKE CONNECT ON DATABASE postgres, template1, orders, billing FROM PUBLIC;"
      "GRANT CONNECT ON DATABASE orders TO readers, writers, makers");
  make_admin();
  for (const char* database : {"postgres", "template1", "orders", "billing"})
    server->sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database);
  server->sql(
      "CREATE SCHEMA app; CREATE TABLE app.orders (id int PRIMARY KEY, item text);"
      "INSERT INTO app.orders SELECT i, 'item ' || i FROM generate_series(1, 1000) i;"
      "CREATE SCHEMA work;"
      "GRANT USAGE ON SCHEMA app TO readers, writers, makers; GRANT SELECT ON app.orders TO readers, writers, makers;"
      "GRANT INSERT, UPDATE, DELETE ON app.orders TO writers;"
      "GRANT USAGE, CREATE ON SCHEMA work TO makers, made",
      "orders");
  driver_ = new_driver();
  auto made = driver_->make(core::TenantId("default"), spec());
  if (!made.ok()) throw std::runtime_error(made.error().message);
  target_ = std::move(made).value();
}

void PgWorld::make_admin() {
  if (options_.admin == AdminKind::confined) {
    install();
    server->sql(std::string("ALTER ROLE dp_admin PASSWORD '") + admin_password + "'");
    return;
  }
  const bool super = options_.admin == AdminKind::superuser;
  server->sql(std::string("CREATE ROLE dp_admin LOGIN ") + (super ? "SUPERUSER" : "CREATEROLE") + " PASSWORD '" +
              admin_password + "'; GRANT made TO dp_admin; GRANT CONNECT ON DATABASE orders, billing TO dp_admin");
  if (!super) server->sql("GRANT pg_signal_backend TO dp_admin");
  if (server->version() >= 160000)
    server->sql(
        "GRANT readers, writers, makers TO dp_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;"
        "GRANT made TO dp_admin WITH INHERIT TRUE, SET TRUE");
}

target::postgres::Installation PgWorld::installation() const {
  target::postgres::Installation out;
  out.names = {instance_, "dp_admin"};
  out.home = options_.maintenance_database.empty() ? "orders" : options_.maintenance_database;
  out.databases = {"orders", "billing"};
  out.groups = {"readers", "writers", "makers"};
  out.heirs = {"made"};
  return out;
}

void PgWorld::run_parts(const std::vector<target::postgres::Part>& parts) {
  for (const auto& part : parts) server->sql(part.sql, part.database);
}

void PgWorld::start() {
  const auto started = server->start_again();
  if (!started.ok()) throw std::runtime_error(started.error().message);
}

PgWorld& PgWorld::limited() {
  static PgWorld world{Options{}};
  return world;
}

PgWorld& PgWorld::superuser() {
  static PgWorld world{[] {
    Options options;
    options.admin = AdminKind::superuser;
    options.max_prepared_transactions = 20;
    return options;
  }()};
  return world;
}

PgWorld& PgWorld::confined() {
  static PgWorld world{[] {
    Options options;
    options.admin = AdminKind::confined;
    return options;
  }()};
  return world;
}

PgWorld& PgWorld::of(AdminKind kind) {
  return kind == AdminKind::limited ? limited() : kind == AdminKind::superuser ? superuser() : confined();
}

std::string to_string(AdminKind kind) {
  return kind == AdminKind::limited ? "limited" : kind == AdminKind::superuser ? "superuser" : "confined";
}

core::RoleSpec PgWorld::role(const std::string& name, const std::string& group, const std::string& heir) {
  core::RoleSpec out;
  out.id = core::RoleId("pg/orders/" + name);
  out.settings.set("group", group);
  if (!heir.empty()) out.settings.set("creates", heir);
  return out;
}

core::TargetSpec PgWorld::spec(std::uint16_t port) const {
  core::TargetSpec out;
  out.id = core::TargetId("pg/orders");
  out.settings.set("host", "127.0.0.1");
  out.settings.set("port", std::int64_t{port == 0 ? server->port() : port});
  out.settings.set("database", "orders");
  out.settings.set("admin_user", "dp_admin");
  out.settings.set("admin_password", "env:ADMIN");
  out.settings.set("tls", "loopback");
  if (options_.admin == AdminKind::confined) out.settings.set("broker", "functions");
  if (!options_.maintenance_database.empty()) out.settings.set("maintenance_database", options_.maintenance_database);
  return out;
}

std::unique_ptr<target::Driver> PgWorld::new_driver() {
  return target::postgres::make_postgres_driver(
      clock, entropy, log,
      [](const core::TenantId&, const core::SecretRef&) -> base::Result<base::Secret> {
        return base::Secret(admin_password);
      },
      instance_);
}

std::shared_ptr<target::Target> PgWorld::new_target(std::uint16_t port) {
  auto made = new_driver()->make(core::TenantId("default"), spec(port));
  if (!made.ok()) throw std::runtime_error(made.error().message);
  return std::move(made).value();
}

std::unique_ptr<TargetSession> PgWorld::login(const std::string& account, const std::string& password) {
  auto client = PgClient::connect(conninfo(account, password));
  if (!client.ok()) return nullptr;
  return std::make_unique<PgSession>(std::move(client).value());
}

PgClient PgWorld::client(const std::string& account, const std::string& password, const std::string& database,
                         const std::string& more) {
  auto client = PgClient::connect(conninfo(account, password, database) + more);
  if (!client.ok()) throw std::runtime_error(client.error().message);
  return std::move(client).value();
}

PgWorld::Made PgWorld::make(std::vector<core::RoleSpec> roles, target::Target* through) {
  Made out{new_account(), std::move(roles), ""};
  auto request = wanted(out.account);
  request.roles = out.roles;
  auto made = (through == nullptr ? target() : *through).provision(request, plenty);
  if (!made.ok()) throw std::runtime_error(made.error().check + ": " + made.error().message);
  out.handle = std::move(made).value();
  return out;
}

std::string PgWorld::revoke(const Made& made) {
  const auto done = target().revoke(made.account, made.roles, made.handle, plenty);
  return done.ok() ? "" : done.error().check + ": " + done.error().message;
}

core::Presence PgWorld::look(const Made& made) {
  const auto seen = target().verify(made.account, made.handle, plenty);
  return seen.ok() ? *seen : core::Presence::unknown;
}

void PgWorld::await(const std::string& query, const std::string& database) {
  auto client =
      PgClient::connect(server->conninfo(PgServer::superuser(), server->superuser_password(), database, false));
  for (int i = 0; i < 3000; ++i) {
    const auto rows = client.value().run(query);
    if (rows.ok() && !rows->empty() && rows->front().front() == "t") return;
    poll(nullptr, 0, 5);
  }
  throw std::runtime_error("never came true: " + query);
}

std::string PgWorld::leftovers(const std::string& account) {
  return server->value(
      "SELECT concat((SELECT 'role ' FROM pg_roles WHERE rolname = '" + account +
      "'), (SELECT string_agg('session ' || pid, ' ') FROM pg_stat_activity WHERE usename = '" + account +
      "'), (SELECT string_agg('prepared ' || gid, ' ') FROM pg_prepared_xacts WHERE owner = '" + account + "'))");
}

void PgWorld::keep(std::string_view line) {
  const std::lock_guard lock(log_mutex_);
  log_lines_.append(line);
  log_lines_ += '\n';
}

std::string PgWorld::log_text() {
  const std::lock_guard lock(log_mutex_);
  return log_lines_;
}

}  // namespace daypass::test
