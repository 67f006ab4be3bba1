// The suite that every Store driver passes. A driver's test includes this header in one file of its binary and names
// itself:
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreSuite, testing::Values(Driver{"sqlite", [] { return … }}));
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conformance/store_samples.h"
#include "store/store.h"

namespace daypass::store::conformance {

/// One storage, empty at first, that a test opens one or more times.
class Harness {
 public:
  virtual ~Harness() = default;
  /// Opens it; the Store of the call before is gone by then.
  virtual std::unique_ptr<Store> open() = 0;
  /// May snapshots be taken and read on other threads than the writer's?
  [[nodiscard]] virtual bool threads() const { return true; }
};

struct Driver {
  std::string name;
  std::function<std::unique_ptr<Harness>()> make;
  friend void PrintTo(const Driver& driver, std::ostream* out) { *out << driver.name; }
};

class StoreSuite : public testing::TestWithParam<Driver> {
 protected:
  StoreSuite() : harness_(GetParam().make()), store_(harness_->open()) {}

  Store& store() { return *store_; }
  void reopen() {
    store_.reset();
    store_ = harness_->open();
  }
  [[nodiscard]] bool threads() const { return harness_->threads(); }

  /// A transaction that must succeed.
  void commit(const std::function<base::Status(Tx&)>& fn) { must(store_->transact(fn)); }
  void save(core::Grant& grant) {
    commit([&](Tx& tx) { return tx.save_grant(grant); });
  }
  void put(Document document) {
    commit([&](Tx& tx) { return tx.put(document, std::nullopt); });
  }
  void append(core::AuditEvent event) {
    commit([&](Tx& tx) { return tx.append_audit(event); });
  }
  std::unique_ptr<Reader> look() { return must(store_->snapshot()); }
  std::optional<std::string> body(const core::TenantId& tenant, std::string_view kind, std::string_view key,
                                  base::WallTime now = at(0)) {
    const auto found = must(look()->get(tenant, kind, key, now));
    return found ? std::optional(found->body) : std::nullopt;
  }

 private:
  std::unique_ptr<Harness> harness_;
  std::unique_ptr<Store> store_;
};

}  // namespace daypass::store::conformance

#include "conformance/store_suite_audit.h"
#include "conformance/store_suite_documents.h"
#include "conformance/store_suite_grants.h"
#include "conformance/store_suite_transactions.h"
