// Accounts per second: the driver against the same SQL sent by hand, on one private server in one run. With
//   --benchmark_enable_random_interleaving=true --benchmark_repetitions=9
// the routes take turns, and only their ratios mean anything. DAYPASS_BENCH_FSYNC=1: durable commits.
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "../test/support/pg_server.cc"  // NOLINT(bugprone-suspicious-include): no library of its own
#include "base/encoding.h"
#include "core/grant.h"
#include "crypto/scram.h"
#include "target/postgres/postgres.h"

namespace daypass::target::postgres {
namespace {

constexpr const char* admin_password = "the-admin-login-of-the-bench";
constexpr auto budget = std::chrono::seconds(30);

struct World {
  World() {
    test::PgOptions options;
    options.fsync = std::getenv("DAYPASS_BENCH_FSYNC") != nullptr;
    server = std::move(test::PgServer::start(options)).value();
    server->sql(std::string("CREATE ROLE dp_admin LOGIN SUPERUSER PASSWORD '") + admin_password +
                "'; CREATE ROLE readers NOLOGIN");
    server->sql("CREATE DATABASE orders");
    server->sql(
        "REVOKE CONNECT ON DATABASE postgres, template1, orders FROM PUBLIC; GRANT CONNECT ON DATABASE orders TO "
        "readers");
    server->sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "orders");
    core::TargetSpec spec;
    spec.id = core::TargetId("pg/orders");
    spec.settings = {{"host", "127.0.0.1"},       {"port", std::int64_t{server->port()}},
                     {"database", "orders"},      {"admin_user", "dp_admin"},
                     {"admin_password", "env:X"}, {"tls", "loopback"}};
    core::RoleSpec role;
    role.id = core::RoleId("pg/orders/reader");
    role.settings = {{"group", "readers"}};
    roles = {role};
    driver = make_postgres_driver(
        clock, entropy, log,
        [](const core::TenantId&, const core::SecretRef&) -> base::Result<base::Secret> {
          return base::Secret(admin_password);
        },
        "bench1");
    target = std::move(driver->make(core::TenantId("default"), spec)).value();
  }
  static World& get() {
    static World world;
    return world;
  }
  test::PgClient connect() {
    return std::move(test::PgClient::connect(server->conninfo("dp_admin", admin_password, "orders"))).value();
  }

  base::SystemClock clock;
  base::SystemEntropy entropy;
  base::Log log{clock, base::Level::error, base::log_to_nowhere()};
  std::unique_ptr<test::PgServer> server;
  std::unique_ptr<Driver> driver;
  std::shared_ptr<Target> target;
  std::vector<core::RoleSpec> roles;
};

void must(benchmark::State& state, test::PgClient& client, const std::string& sql) {
  if (const auto done = client.run(sql); !done.ok()) state.SkipWithError(done.error().message.c_str());
}

std::string create(World& world, const std::string& name, const base::Secret& password) {
  return "CREATE ROLE " + name + " LOGIN PASSWORD '" + crypto::make_verifier(password, 1, world.entropy).to_text() +
         "' VALID UNTIL '2099-01-01' CONNECTION LIMIT 6 IN ROLE readers";
}

/// CREATE ROLE and DROP ROLE and nothing else: the floor, and no revocation.
void bare_sql(benchmark::State& state) {
  World& world = World::get();
  auto client = world.connect();
  for (auto _ : state) {
    const base::Secret password(base::random_token(world.entropy, 24));
    const std::string name = "bare_" + base::random_base32(world.entropy, 20);
    must(state, client, create(world, name, password));
    must(state, client, "DROP ROLE " + name);
  }
  state.SetItemsProcessed(state.iterations());
}

/// What a careful script does, statement by statement: mark it; later shut it, look, terminate, drop.
void careful_sql(benchmark::State& state) {
  World& world = World::get();
  auto client = world.connect();
  for (auto _ : state) {
    const base::Secret password(base::random_token(world.entropy, 24));
    const std::string name = "care_" + base::random_base32(world.entropy, 20);
    must(state, client, "BEGIN");
    must(state, client, create(world, name, password));
    must(state, client, "COMMENT ON ROLE " + name + " IS 'mine'");
    must(state, client, "COMMIT");
    must(state, client, "ALTER ROLE " + name + " NOLOGIN");
    must(state, client, "REVOKE readers FROM " + name);
    must(state, client, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + name + "'");
    must(state, client, "SELECT count(*) FROM pg_shdepend WHERE refobjid = '" + name + "'::regrole");
    must(state, client, "DROP ROLE " + name);
  }
  state.SetItemsProcessed(state.iterations());
}

void driver(benchmark::State& state) {
  World& world = World::get();
  for (auto _ : state) {
    Provision wanted;
    wanted.account.grant = core::new_grant_id(core::TenantId("default"), world.entropy);
    wanted.account.name = core::account_name("bench1", wanted.account.grant);
    wanted.roles = world.roles;
    wanted.password = base::Secret(base::random_token(world.entropy, 24));
    wanted.valid_until = world.clock.wall() + std::chrono::hours(1);
    wanted.connections = 4;
    const auto made = world.target->provision(wanted, budget);
    if (!made.ok()) {
      state.SkipWithError(made.error().message.c_str());
      break;
    }
    if (const auto gone = world.target->revoke(wanted.account, world.roles, *made, budget); !gone.ok())
      state.SkipWithError(gone.error().message.c_str());
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(bare_sql)->UseRealTime()->Threads(1)->Threads(4);
BENCHMARK(careful_sql)->UseRealTime()->Threads(1)->Threads(4);
BENCHMARK(driver)->UseRealTime()->Threads(1)->Threads(4);

}  // namespace
}  // namespace daypass::target::postgres
