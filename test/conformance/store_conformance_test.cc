// The SQLite driver passes the store suite.
#include "conformance/store_files.h"
#include "conformance/store_suite.h"
#include "store/sqlite/sqlite_store.h"

namespace daypass::store::conformance {
namespace {

class SqliteHarness final : public Harness {
 public:
  std::unique_ptr<Store> open() override { return must(sqlite::SqliteStore::open(folder_.path("store.db"))); }

 private:
  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreSuite,
                         testing::Values(Driver{"sqlite", [] { return std::make_unique<SqliteHarness>(); }}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace daypass::store::conformance
