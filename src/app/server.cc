#include "app/server.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "api/api.h"
#include "app/catalog.h"
#include "app/secrets.h"
#include "app/witness.h"
#include "engine/workers.h"
#include "gate/postgres_gate.h"
#include "net/dns.h"
#include "net/http_server.h"
#include "net/io.h"
#include "net/tls.h"
#include "store/sqlite/sqlite_store.h"

namespace daypass::app {

using base::Code;
using base::Error;

// In order of construction; taken down in reverse. The engine asks the gate to cut, the gate asks the engine to admit:
// that circle is closed by attach(), after both are there.
struct Server::Impl {
  Impl(const config::ServerConfig& c, DataKeys k, std::unique_ptr<store::sqlite::SqliteStore> s, crypto::Sealer seal,
       net::TlsServerContext gate_tls, std::optional<engine::Witness> seen, bool restored, const base::Clock& clk,
       base::Entropy& ent, const base::Log& l)
      : config(c),
        keys(std::move(k)),
        store(std::move(s)),
        sealer(std::move(seal)),
        clock(clk),
        entropy(ent),
        vault(sealer, entropy),
        log(l),
        threads(c.threads == 0 ? std::max(1U, std::thread::hardware_concurrency()) : c.threads),
        feeder(threads),
        gate_context(gate_tls),
        gate(threads, clock, entropy, log, gate_options(c, gate_tls, *store)),
        workers(vault, clock, log, {}),
        engine(engine::Engine::Ports{
            *store, clock, entropy, log, gate, workers, vault,
            make_catalog(clock, entropy, log, client, feeder, secrets(), keys.instance, own_host(c)),
            c.data_dir + "/secrets", keys.instance, std::chrono::milliseconds(500), 4096, net::txt_records,
            std::move(seen), witness_to(witness_path(c)), restored}) {
    gate.attach(engine);
    workers.report_to(engine);
  }

  // Also the way out of a start that failed half way.
  ~Impl() { drain(std::chrono::seconds(0)); }
  void drain(base::Millis patience);

  /// "tenant:NAME" from the store, all else from files and the environment.
  idp::SecretSource secrets() {
    return [this](const core::TenantId& tenant, const core::SecretRef& ref) -> base::Result<base::Secret> {
      if (!ref.ref.starts_with("tenant:")) return resolve_secret(ref);
      return engine::open_secret(*store, vault, tenant, ref.ref.substr(7), clock.wall());
    };
  }
  /// The host of the public URL; where that is not known yet, this machine's name.
  static std::string own_host(const config::ServerConfig& c) {
    const std::size_t scheme = c.public_url.find("://");
    if (scheme != std::string::npos) {
      const std::string rest = c.public_url.substr(scheme + 3);
      return rest.substr(0, rest.find_first_of(":/"));
    }
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string("-");
  }
  static std::string witness_path(const config::ServerConfig& c) {
    return c.witness.empty() ? c.data_dir + "/witness.json" : c.witness;
  }
  std::function<void(const engine::Witness&)> witness_to(std::string path) {
    return [this, path = std::move(path)](const engine::Witness& witness) {
      // One at a time, and never an older one over a newer.
      const std::lock_guard lock(witness_mutex);
      if (witness.at < witnessed) return;
      if (const auto kept = write_witness(path, witness); !kept.ok())
        log.error("the witness can't be written: a restored store would not be noticed",
                  {{"check", kept.error().check}, {"why", kept.error().message}});
      else
        witnessed = witness.at;
    };
  }
  static gate::PostgresGateOptions gate_options(const config::ServerConfig& c, const net::TlsServerContext& tls,
                                                const store::Store& store) {
    gate::PostgresGateOptions options(tls);
    options.max_connections = static_cast<std::size_t>(c.max_connections);
    options.max_per_address = static_cast<std::size_t>(c.max_connections_per_address);
    options.activity_folder = c.data_dir + "/activity";
    // On the same disk: statements must not use up what is kept for the end of access.
    options.activity_held = [&store] { return store.condition().reserve_used; };
    return options;
  }

  config::ServerConfig config;
  DataKeys keys;
  std::unique_ptr<store::sqlite::SqliteStore> store;
  crypto::Sealer sealer;
  const base::Clock& clock;
  base::Entropy& entropy;
  engine::Vault vault;
  const base::Log& log;
  std::mutex witness_mutex;
  base::WallTime witnessed{};
  net::HttpClient client;
  net::IoThreads threads;
  net::TcpFeeder feeder;
  net::TlsServerContext gate_context;
  gate::PostgresGate gate;
  engine::WorkerPools workers;
  engine::Engine engine;
  std::unique_ptr<api::Api> api;
  std::unique_ptr<net::HttpServer> http;
  std::thread engine_thread;
  std::uint16_t api_port = 0;
  std::string public_url;
  std::string socket_path;

  // Moves SQLite's log along, so that commits never pay for it.
  std::thread checkpointer;
  // Looks at the store's files and at the room on its disk; of its own, as a checkpoint may wait for that disk.
  std::thread watcher;
  void watch_store();
  std::mutex mutex;
  std::condition_variable stop_wanted;
  bool stopping = false;
  std::atomic<bool> drained{false};
};

void Server::Impl::drain(base::Millis patience) {
  if (drained.exchange(true)) return;
  if (http) http->drain(std::min<base::Millis>(patience, std::chrono::seconds(5)));
  gate.drain(patience);
  engine.stop();
  if (engine_thread.joinable()) engine_thread.join();
  workers.stop();
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  stop_wanted.notify_all();
  if (checkpointer.joinable()) checkpointer.join();
  if (watcher.joinable()) watcher.join();
  http.reset();
  threads.stop();
}
void Server::Impl::watch_store() {
  store::Condition before = store->condition();
  std::unique_lock lock(mutex);
  do {
    lock.unlock();
    const store::Condition now = store->watch();
    if (now.lost && !before.lost)
      log.error("the store is lost; nothing is given, and what ends is not written down", {{"why", now.why}});
    else if (!now.lost && now.low != before.low)
      log.error(now.low ? "room for the store runs out; nothing new is given" : "there is room for the store again",
                {{"why", now.why}, {"free", now.free}, {"reserved", now.reserved}});
    else if (!now.lost && now.reserve_used != before.reserve_used)
      log.error(now.reserve_used ? "the room that was kept for the end of access is in use"
                                 : "room is kept for the end of access again",
                {{"why", now.why}, {"free", now.free}, {"reserved", now.reserved}});
    before = now;
    lock.lock();
  } while (!stop_wanted.wait_for(lock, std::chrono::milliseconds(500), [this] { return stopping; }));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

namespace {

std::string host_of(const config::ServerConfig& config) {
  if (!config.gate_public_host.empty()) return config.gate_public_host;
  if (config.gate_postgres.host != "0.0.0.0" && config.gate_postgres.host != "::") return config.gate_postgres.host;
  // The wildcard is no address to connect to; the public URL's host is the best there is.
  std::string host = config.public_url.substr(config.public_url.find("://") + 3);
  return host.substr(0, host.rfind(':'));
}

}  // namespace

base::Result<std::unique_ptr<Server>> Server::start(const config::ServerConfig& config, const base::Clock& clock,
                                                    base::Entropy& entropy, const base::Log& log, bool restored) {
  const std::string gate_host = host_of(config);
  DP_TRY(DataKeys keys, open_data_keys(config.data_dir, gate_host, clock, entropy));
  if (!config.gate_cert.empty()) {
    DP_TRY(keys.gate_certificate, config::read_file(config.gate_cert));
    DP_TRY(keys.gate_key, resolve_secret({"file:" + config.gate_key}));
  }
  store::sqlite::Options store_options;
  store_options.reserve = static_cast<std::uint64_t>(config.store_reserve_mib) << 20U;
  store_options.min_free = static_cast<std::uint64_t>(config.store_min_free_mib) << 20U;
  DP_TRY(auto store, store::sqlite::SqliteStore::open(config.data_dir + "/daypass.db", store_options));
  if (const store::Condition room = store->condition(); room.low)
    log.error("room for the store runs out; nothing new is given",
              {{"why", room.why}, {"free", room.free}, {"reserved", room.reserved}});
  DP_TRY(auto seen, read_witness(Impl::witness_path(config)));
  DP_TRY(auto sealer, crypto::Sealer::make(keys.master.clone(), entropy));
  DP_TRY(auto gate_tls, net::TlsServerContext::make(keys.gate_certificate, keys.gate_key, {"postgresql"}));

  auto impl = std::make_unique<Impl>(config, std::move(keys), std::move(store), std::move(sealer), std::move(gate_tls),
                                     std::move(seen), restored, clock, entropy, log);
  Impl& s = *impl;
  s.socket_path = config.data_dir + "/daypass.sock";
  // Listening comes before recovery: a port in use is found before anything is touched.
  DP_TRY(auto api_listener, net::Listener::listen_tcp(s.threads, log, config.api.host, config.api.port));
  DP_TRY(auto gate_listener,
         net::Listener::listen_tcp(s.threads, log, config.gate_postgres.host, config.gate_postgres.port));
  DP_TRY(auto operator_listener, net::Listener::listen_unix(s.threads, log, s.socket_path, 0600));
  s.api_port = api_listener->port();
  s.public_url =
      config.public_url.empty() ? "http://" + config::Listen{config.api.host, s.api_port}.str() : config.public_url;

  s.workers.start();
  DP_CHECK(s.engine.recover());
  s.engine_thread = std::thread([&s] {
    prctl(PR_SET_NAME, "dp-engine");
    s.engine.run();
  });
  s.checkpointer = std::thread([&s] {
    prctl(PR_SET_NAME, "dp-checkpoint");
    std::unique_lock lock(s.mutex);
    while (!s.stop_wanted.wait_for(lock, std::chrono::seconds(5), [&s] { return s.stopping; })) {
      lock.unlock();
      if (const auto done = s.store->checkpoint(); !done.ok())
        s.log.warn("checkpoint failed", {{"check", done.error().check}});
      lock.lock();
    }
  });
  s.watcher = std::thread([&s] { s.watch_store(); });

  api::Options options;
  options.public_url = s.public_url;
  options.operator_uid = ::getuid();
  options.gates.push_back({"pg", gate_host, gate_listener->port(), s.keys.gate_certificate});
  s.api = std::make_unique<api::Api>(s.engine, clock, entropy, log, std::move(options));
  net::HttpLimits limits;
  limits.body_bytes = std::size_t{4} << 20U;
  s.http = std::make_unique<net::HttpServer>(s.api->handler(), limits, log, clock, entropy);
  s.gate.start(std::move(gate_listener));
  if (config.api_cert.empty()) {
    s.http->serve(std::move(api_listener));
  } else {
    DP_TRY(const std::string certificate, config::read_file(config.api_cert));
    DP_TRY(const base::Secret key, resolve_secret({"file:" + config.api_key}));
    DP_TRY(auto tls, net::TlsServerContext::make(certificate, key, {"http/1.1"}));
    s.http->serve_tls(std::move(api_listener), std::move(tls));
  }
  s.http->serve(std::move(operator_listener));
  s.threads.start();
  log.info("listening", {{"api", s.public_url},
                         {"gate", config::Listen{config.gate_postgres.host, s.gate.port()}.str()},
                         {"operator", s.socket_path}});
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::~Server() = default;
void Server::drain(base::Millis patience) {
  impl_->drain(patience);
}

engine::Engine& Server::engine() noexcept {
  return impl_->engine;
}
std::uint16_t Server::api_port() const noexcept {
  return impl_->api_port;
}
std::uint16_t Server::gate_port() const noexcept {
  return impl_->gate.port();
}
const std::string& Server::gate_ca_pem() const noexcept {
  return impl_->keys.gate_certificate;
}
const std::string& Server::public_url() const noexcept {
  return impl_->public_url;
}
const std::string& Server::socket_path() const noexcept {
  return impl_->socket_path;
}

base::Result<engine::Applied> Server::apply(const std::string& tenant, std::map<std::string, std::string> files,
                                            bool dry_run) {
  DP_TRY(core::TenantId id, core::parse_tenant(tenant));
  auto promise = std::make_shared<std::promise<base::Result<engine::Applied>>>();
  auto answer = promise->get_future();
  impl_->engine.apply(std::move(id), std::move(files), "operator", dry_run,
                      [promise](base::Result<engine::Applied> r) { promise->set_value(std::move(r)); });
  return answer.get();
}

base::Status Server::reload(const config::ServerConfig& config) {
  Impl& s = *impl_;
  if (!config.gate_cert.empty()) {
    DP_TRY(const std::string certificate, config::read_file(config.gate_cert));
    DP_TRY(const base::Secret key, resolve_secret({"file:" + config.gate_key}));
    DP_CHECK(s.gate_context.replace(certificate, key));
  }
  return {};
}

}  // namespace daypass::app
