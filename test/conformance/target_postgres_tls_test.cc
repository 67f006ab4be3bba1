// The admin connection on a network: the certificate and the name in it are checked, always.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "conformance/store_files.h"
#include "conformance/target_postgres_world.h"
#include "crypto/x509.h"

namespace daypass::test {
namespace {

class PgTls : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<store::conformance::TemporaryFolder>();
    write("server", {"localhost"});
    write("stranger", {"localhost"});
    write("othername", {"db.example"});
    server_ = start("server");
    misnamed_ = start("othername");
  }
  static void TearDownTestSuite() {
    server_.reset();
    misnamed_.reset();
    folder_.reset();
  }
  static void write(const std::string& name, const std::vector<std::string>& names) {
    base::SystemEntropy entropy;
    const auto now = base::SystemClock().wall();
    const auto made = crypto::self_signed(names, now - std::chrono::hours(1), now + std::chrono::hours(24));
    std::ofstream(folder_->path(name + ".crt")) << made.certificate_pem;
    std::ofstream(folder_->path(name + ".key")) << made.key_pem.reveal();
  }
  static std::unique_ptr<PgServer> start(const std::string& certificate) {
    PgOptions options;
    options.tls_cert = folder_->path(certificate + ".crt");
    options.tls_key = folder_->path(certificate + ".key");
    options.hba = {"hostssl all all 127.0.0.1/32 scram-sha-256", "hostnossl all all all reject"};
    auto server = PgServer::start(options);
    if (!server.ok()) throw std::runtime_error(server.error().message);
    (*server)->sql(
        "CREATE ROLE dp_admin LOGIN CREATEROLE PASSWORD 'tls-admin-password'; GRANT pg_signal_backend TO dp_admin");
    return std::move(server).value();
  }
  base::Result<std::string> identity(PgServer& server, const std::string& ca,
                                     std::initializer_list<base::json::Member> more) {
    core::TargetSpec spec;
    spec.id = core::TargetId("pg/orders");
    spec.settings = {{"host", "localhost"},
                     {"port", std::int64_t{server.port()}},
                     {"database", "postgres"},
                     {"admin_user", "dp_admin"},
                     {"admin_password", "env:X"}};
    if (!ca.empty()) spec.settings.set("ca_file", folder_->path(ca + ".crt"));
    for (const auto& [key, value] : more) spec.settings.set(key, value);
    const auto driver = target::postgres::make_postgres_driver(
        clock_, entropy_, log_,
        [](const core::TenantId&, const core::SecretRef&) -> base::Result<base::Secret> {
          return base::Secret("tls-admin-password");
        },
        "tls001");
    auto made = driver->make(core::TenantId("default"), spec);
    if (!made.ok()) return std::move(made).error();
    return (*made)->server_identity(plenty);
  }

  base::SystemClock clock_;
  base::SystemEntropy entropy_;
  base::Log log_{clock_, base::Level::error, base::log_to_nowhere()};
  static inline std::unique_ptr<store::conformance::TemporaryFolder> folder_;
  static inline std::unique_ptr<PgServer> server_, misnamed_;
};

TEST_F(PgTls, ATrustedCertificateWithTheRightNameIsAccepted) {
  const auto seen = identity(*server_, "server", {});
  ASSERT_TRUE(seen.ok()) << seen.error().message;
  EXPECT_TRUE(seen->starts_with("postgresql:"));
}

TEST_F(PgTls, AnUntrustedOneIsRefused) {
  EXPECT_EQ(identity(*server_, "stranger", {}).error().check, "pg.connect");
  EXPECT_EQ(identity(*server_, "", {}).error().check, "pg.connect") << "the system's anchors do not know it";
}

TEST_F(PgTls, AnotherNameIsRefused) {
  EXPECT_EQ(identity(*misnamed_, "othername", {}).error().check, "pg.connect");
  EXPECT_EQ(identity(*server_, "server", {{"host", "127.0.0.1"}}).error().check, "pg.connect");
}

TEST_F(PgTls, AServerWithoutTlsIsRefused) {
  EXPECT_EQ(identity(*PgWorld::limited().server, "server", {}).error().check, "pg.connect");
}

TEST_F(PgTls, TheEnvironmentDecidesNothing) {
  ::setenv("PGSSLMODE", "disable", 1);
  ::setenv("PGOPTIONS", "-c search_path=evil", 1);
  ::setenv("PGPASSWORD", "wrong", 1);
  ::setenv("PGHOSTADDR", "192.0.2.1", 1);
  EXPECT_TRUE(identity(*server_, "server", {}).ok());
  EXPECT_FALSE(identity(*server_, "stranger", {}).ok());
  for (const char* name : {"PGSSLMODE", "PGOPTIONS", "PGPASSWORD", "PGHOSTADDR"}) ::unsetenv(name);
}

}  // namespace
}  // namespace daypass::test
