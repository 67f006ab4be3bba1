#include "app/demo/stage.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "app/secrets.h"

namespace daypass::app::demo {

using base::Code;
using base::Error;
namespace fs = std::filesystem;

namespace {

std::map<std::string, std::string> tenant_files(const Stage& stage) {
  const std::string tenant =
      "# The demo's tenant: one identity provider, one target, two roles.\n"
      "[[idp]]\n"
      "name = \"demo\"\n"
      "display = \"the demo's identity provider\"\n"
      "issuer = \"" +
      stage.idp->issuer() +
      "\"\n"
      "client_id = \"" +
      DemoIdp::client_id() +
      "\"\n"
      "client_secret = \"file:" +
      stage.folder +
      "/idp-client-secret\"\n"
      "groups = \"groups\"\n"
      "[idp.attributes]\n"
      "department = \"department\"\n"
      "\n"
      "[[target]]\n"
      "name = \"pg/orders\"\n"
      "host = \"127.0.0.1\"\n"
      "port = " +
      std::to_string(stage.postgres->port()) +
      "\n"
      "database = \"orders\"\n"
      "admin_user = \"daypass_admin\"\n"
      "admin_password = \"file:" +
      stage.postgres->admin_password_file() +
      "\"\n"
      "tls = \"loopback\"\n"
      "[target.attributes]\n"
      "env = \"demo\"\n"
      "\n"
      "[[role]]\n"
      "name = \"pg/orders/reader\"\n"
      "group = \"orders_reader\"\n"
      "description = \"read customers and orders\"\n"
      "[role.attributes]\n"
      "team = \"data\"\n"
      "\n"
      "[[role]]\n"
      "name = \"pg/orders/writer\"\n"
      "group = \"orders_writer\"\n"
      "elevated = true\n"
      "description = \"change customers and orders\"\n"
      "[role.attributes]\n"
      "team = \"data\"\n";
  const std::string policies =
      "// Who may assume which role, and for how long.\n"
      "@id(\"data-read\") @duration(\"1h\") @idle(\"10m\") @connections(\"3\")\n"
      "permit(principal in Group::\"demo/data\", action == Action::\"assume\", resource == "
      "Role::\"pg/orders/reader\");\n"
      "\n"
      "@id(\"data-write\") @duration(\"15m\") @idle(\"5m\") @connections(\"1\")\n"
      "permit(principal in Group::\"demo/data\", action == Action::\"assume\", resource == "
      "Role::\"pg/orders/writer\")\n"
      "when { principal has department && principal.department == resource.team };\n";
  return {{"tenant.toml", tenant}, {"policies/orders.cedar", policies}};
}

}  // namespace

base::Result<std::unique_ptr<Stage>> Stage::set(const base::Clock& clock, base::Entropy& entropy, const base::Log& log,
                                                bool fixed_port, bool keep) {
  std::unique_ptr<Stage> stage(new Stage());
  stage->keep_ = keep;
  std::string pattern = (fs::temp_directory_path() / "daypass-demo-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    return Error{Code::internal, "demo.folder", pattern + ": " + std::strerror(errno)};
  stage->folder = pattern;
  // PostgreSQL runs as another user when we are root, and has to pass through; every file inside is closed to it.
  ::chmod(pattern.c_str(), 0711);

  stage->threads_ = std::make_unique<net::IoThreads>(1, "demo-idp");
  stage->idp = std::make_unique<DemoIdp>(*stage->threads_, clock, entropy, log);
  DP_CHECK(stage->idp->start());
  stage->threads_->start();
  DP_CHECK(write_private(stage->folder + "/idp-client-secret", stage->idp->client_secret() + "\n"));
  DP_TRY(stage->postgres, DemoPostgres::start(stage->folder, clock, entropy));

  config::ServerConfig config;
  config.data_dir = stage->folder + "/data";
  config.threads = 2;
  config.api = {"127.0.0.1", static_cast<std::uint16_t>(fixed_port ? 8420 : 0)};
  config.gate_postgres = {"127.0.0.1", 0};
  config.gate_public_host = "localhost";
  auto server = Server::start(config, clock, entropy, log);
  if (!server.ok() && fixed_port && server.error().check == "net.address_in_use") {
    config.api.port = 0;
    server = Server::start(config, clock, entropy, log);
  }
  if (!server.ok()) return std::move(server).error();
  stage->server = std::move(*server);
  const auto files = tenant_files(*stage);
  DP_TRY(const engine::Applied applied, stage->server->apply("default", files, false));
  if (!applied.problems.empty())
    return Error{Code::internal, "demo.tenant", "the demo's tenant is refused: " + applied.problems.front().render()};
  // Left for whoever wants to look at it or apply a change.
  fs::create_directories(stage->folder + "/tenant/policies");
  for (const auto& [name, text] : files) DP_CHECK(write_private(stage->folder + "/tenant/" + name, text));
  return stage;
}

Stage::~Stage() {
  if (server) server->drain(std::chrono::seconds(1));
  server.reset();
  postgres.reset();
  if (idp) idp->stop();
  if (threads_) threads_->stop();
  idp.reset();
  std::error_code ec;
  if (!keep_ && !folder.empty()) fs::remove_all(folder, ec);
}

}  // namespace daypass::app::demo
