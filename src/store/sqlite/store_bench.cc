// What a commit, a group of commits and a read cost on the disk that the bench runs on (TMPDIR chooses it).
#include <benchmark/benchmark.h>

#include "../test/conformance/store_files.h"
#include "../test/conformance/store_samples.h"
#include "store/audit_verify.h"
#include "store/sqlite/sqlite_store.h"

namespace daypass::store::sqlite {
namespace {

using namespace conformance;

struct Fixture {
  TemporaryFolder folder;
  std::unique_ptr<SqliteStore> store = must(SqliteStore::open(folder.path("store.db")));
  std::uint64_t next = 0;
};

/// What the engine writes for one event: the grant's new state, its intent, one audit record.
base::Status one_event(Tx& tx, std::uint64_t number) {
  core::Grant grant = make_grant(north, number);
  DP_CHECK(tx.save_grant(grant));
  DP_CHECK(tx.open_intent(make_intent(grant.id, 1)));
  core::AuditEvent event = make_event(north);
  return tx.append_audit(event);
}

void OneRowTransaction(benchmark::State& state) {
  Fixture f;
  Document document = make_document(north, "k", "key", std::string(200, 'x'));
  for (auto _ : state) must(f.store->transact([&](Tx& tx) { return tx.put(document, std::nullopt); }));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(OneRowTransaction)->UseRealTime();

void OneEventPerTransaction(benchmark::State& state) {
  Fixture f;
  for (auto _ : state) must(f.store->transact([&](Tx& tx) { return one_event(tx, f.next++); }));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(OneEventPerTransaction)->UseRealTime();

/// As the engine does it: a batch in one transaction, each event under a savepoint.
void GroupCommit(benchmark::State& state) {
  Fixture f;
  for (auto _ : state)
    must(f.store->transact([&](Tx& tx) -> base::Status {
      for (std::int64_t i = 0; i < state.range(0); ++i) DP_CHECK(tx.nested([&] { return one_event(tx, f.next++); }));
      return {};
    }));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(GroupCommit)->Arg(8)->Arg(64)->Arg(512)->UseRealTime();

void fill(Fixture& f, std::uint64_t count) {
  must(f.store->transact([&](Tx& tx) -> base::Status {
    for (std::uint64_t i = 0; i < count; ++i) {
      DP_CHECK(one_event(tx, i));
      Document document = make_document(north, "k", std::to_string(i), std::string(200, 'x'));
      DP_CHECK(tx.put(document, 0));
    }
    return {};
  }));
}

void PointReadOfADocument(benchmark::State& state) {
  Fixture f;
  fill(f, 10'000);
  const auto reader = must(f.store->snapshot());
  for (auto _ : state)
    benchmark::DoNotOptimize(must(reader->get(north, "k", std::to_string(f.next++ * 7919 % 10'000), at(0))));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(PointReadOfADocument);

void PointReadOfAGrant(benchmark::State& state) {
  Fixture f;
  fill(f, 10'000);
  const auto reader = must(f.store->snapshot());
  for (auto _ : state) benchmark::DoNotOptimize(must(reader->load_grant(grant_id(north, f.next++ * 7919 % 10'000))));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(PointReadOfAGrant);

void SnapshotAndOneRead(benchmark::State& state) {
  Fixture f;
  fill(f, 10'000);
  for (auto _ : state)
    benchmark::DoNotOptimize(
        must(must(f.store->snapshot())->get(north, "k", std::to_string(f.next++ * 7919 % 10'000), at(0))));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SnapshotAndOneRead);

void VerifyAuditRecord(benchmark::State& state) {
  Fixture f;
  fill(f, 10'000);
  const auto reader = must(f.store->snapshot());
  for (auto _ : state) benchmark::DoNotOptimize(must(verify_audit(*reader, north)));
  state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(VerifyAuditRecord)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace daypass::store::sqlite
