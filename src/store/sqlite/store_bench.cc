// What a commit, a group of commits and a read cost on the disk that the bench runs on (TMPDIR chooses it).
#include <benchmark/benchmark.h>

#include "../test/conformance/store_files.h"
#include "../test/conformance/store_samples.h"
#include "base/entropy.h"
#include "store/audit_leaf.h"
#include "store/audit_log.h"
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

/// Audit records alone, a batch in one durable transaction; who acts stands in the leaf as a digest, as the engine has
/// it.
void AuditAppend(benchmark::State& state) {
  Fixture f;
  base::SeededEntropy salts(1);
  for (auto _ : state)
    must(f.store->transact([&](Tx& tx) -> base::Status {
      for (std::int64_t i = 0; i < state.range(0); ++i)
        DP_CHECK(tx.nested([&] {
          core::AuditEvent event = make_event(north);
          cover_persons(event, salts);
          return tx.append_audit(event);
        }));
      return {};
    }));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(AuditAppend)->Arg(1)->Arg(64)->Arg(256)->UseRealTime();

/// A log of a million records with its tiles, made once.
struct MillionRecords : Fixture {
  static constexpr std::uint64_t size = 1'000'000;
  MillionRecords() {
    for (std::uint64_t done = 0; done < size; done += 10'000)
      must(store->transact([&](Tx& tx) -> base::Status {
        for (int i = 0; i < 10'000; ++i) {
          core::AuditEvent event = make_event(north);
          DP_CHECK(tx.append_audit(event));
        }
        return {};
      }));
    const auto advance = must(advance_audit(*store, north, {}, [] { return false; }));
    must(store->transact([&](Tx& tx) { return keep_tiles(tx, north, advance.grown); }));
    root = advance.frontier.root();
  }
  static MillionRecords& get() {
    static MillionRecords all;
    return all;
  }
  std::string root;
};

/// As the server gives it out: a snapshot, the proof, the record, and a look whether it holds.
void ProofInAMillionRecords(benchmark::State& state) {
  MillionRecords& all = MillionRecords::get();
  std::uint64_t n = 0;
  for (auto _ : state) {
    const std::uint64_t index = n++ * 611'953 % MillionRecords::size;
    const auto reader = must(all.store->snapshot());
    tlog::TiledTree tree(MillionRecords::size, audit_tiles(*reader, north));
    const auto path = must(tree.inclusion_proof(index));
    const auto records = must(reader->audit(north, index, 1));
    must(tlog::verify_inclusion(tlog::leaf_hash(records.at(0)), index, MillionRecords::size, path, all.root));
  }
}
BENCHMARK(ProofInAMillionRecords)->Unit(benchmark::kMillisecond);

void ConsistencyInAMillionRecords(benchmark::State& state) {
  MillionRecords& all = MillionRecords::get();
  std::uint64_t n = 0;
  for (auto _ : state) {
    const auto reader = must(all.store->snapshot());
    tlog::TiledTree tree(MillionRecords::size, audit_tiles(*reader, north));
    benchmark::DoNotOptimize(must(tree.consistency_proof(n++ * 611'953 % MillionRecords::size)));
  }
}
BENCHMARK(ConsistencyInAMillionRecords)->Unit(benchmark::kMillisecond);

/// What a checkpoint reads back and hashes: 10,000 records behind the last one.
void ReadBackForACheckpoint(benchmark::State& state) {
  Fixture f;
  fill(f, 10'000);
  for (auto _ : state) benchmark::DoNotOptimize(must(advance_audit(*f.store, north, {}, [] { return false; })));
  state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(ReadBackForACheckpoint)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace daypass::store::sqlite
