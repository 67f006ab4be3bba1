// What the codec adds to a message on the hot path. `bytes_per_second` of the copies is what one thread can frame.
#include <benchmark/benchmark.h>

#include "wire/postgres/redact.h"
#include "wire/postgres/relay.h"
#include "wire/postgres/test_bytes.h"

namespace daypass::wire::postgres {
namespace {

using namespace bytes;

void drain(Tap& tap) {
  while (auto record = tap.records().pop()) benchmark::DoNotOptimize(record);
}

// One transaction of pgbench -S, simple protocol: request, answer, record.
void SimpleTransaction(benchmark::State& state) {
  Tap tap;
  const std::string in = query("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;");
  const std::string out = row_description() + data_row("42") + complete("SELECT 1") + ready();
  for (auto _ : state) {
    benchmark::DoNotOptimize(tap.client(in, {}));
    benchmark::DoNotOptimize(tap.server(out, {}));
    drain(tap);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SimpleTransaction);

// The same, prepared.
void PreparedTransaction(benchmark::State& state) {
  Tap tap;
  (void)tap.client(parse("P_0", "SELECT abalance FROM pgbench_accounts WHERE aid = $1") + sync(), {});
  (void)tap.server(parsed() + ready(), {});
  drain(tap);
  const std::string in = bind_portal("", "P_0") + describe('P', "") + execute("") + sync();
  const std::string out = bound() + row_description() + data_row("42") + complete("SELECT 1") + ready();
  for (auto _ : state) {
    benchmark::DoNotOptimize(tap.client(in, {}));
    benchmark::DoNotOptimize(tap.server(out, {}));
    drain(tap);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(PreparedTransaction);

void UnnamedExtendedTransaction(benchmark::State& state) {
  Tap tap;
  const std::string in = parse("", "SELECT abalance FROM pgbench_accounts WHERE aid = $1") + bind_portal("", "") +
                         describe('P', "") + execute("") + sync();
  const std::string out = parsed() + bound() + row_description() + data_row("42") + complete("SELECT 1") + ready();
  for (auto _ : state) {
    benchmark::DoNotOptimize(tap.client(in, {}));
    benchmark::DoNotOptimize(tap.server(out, {}));
    drain(tap);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(UnnamedExtendedTransaction);

// Framing alone, one message that is surfaced.
void FrameSync(benchmark::State& state) {
  ClientFramer framer(Phase::ready);
  const std::string in = sync();
  for (auto _ : state) benchmark::DoNotOptimize(framer.next(in));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(FrameSync);

// COPY rows of range(0) bytes, 128 KiB at a time as the gate drains them.
void CopyOut(benchmark::State& state) {
  ServerFramer framer(Phase::ready);
  const std::string row = copy_data(std::string(static_cast<std::size_t>(state.range(0)), 'x'));
  std::string in;
  while (in.size() < 128 * 1024) in += row;
  for (auto _ : state) benchmark::DoNotOptimize(framer.next(in));
  state.SetBytesProcessed(static_cast<std::int64_t>(in.size()) * state.iterations());
  state.SetItemsProcessed(static_cast<std::int64_t>(in.size() / row.size()) * state.iterations());
}
BENCHMARK(CopyOut)->Arg(96)->Arg(1024)->Arg(65536);

// COPY rows from the client through the tap, in the gate's small buffer.
void CopyIn(benchmark::State& state) {
  Tap tap;
  const std::string row = copy_data(std::string(static_cast<std::size_t>(state.range(0)), 'x'));
  std::string in;
  while (in.size() < 64 * 1024) in += row;
  constexpr std::size_t kBuffer = 2048;
  for (auto _ : state) {
    for (std::size_t at = 0; at < in.size(); at += kBuffer) {
      benchmark::DoNotOptimize(tap.client(std::string_view(in).substr(at, kBuffer), {}));
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(in.size()) * state.iterations());
}
BENCHMARK(CopyIn)->Arg(96)->Arg(1024);

void Prefilter(benchmark::State& state) {
  const std::string sql = "SELECT abalance FROM pgbench_accounts WHERE aid = 12345 AND bid BETWEEN 1 AND 5 ORDER BY 1";
  for (auto _ : state) benchmark::DoNotOptimize(may_hold_secret(sql));
  state.SetBytesProcessed(static_cast<std::int64_t>(sql.size()) * state.iterations());
}
BENCHMARK(Prefilter);

void RedactPassword(benchmark::State& state) {
  const std::string sql = "ALTER ROLE a WITH ENCRYPTED PASSWORD 'correct horse battery staple' VALID UNTIL 'infinity'";
  for (auto _ : state) benchmark::DoNotOptimize(redact(sql));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(RedactPassword);

}  // namespace
}  // namespace daypass::wire::postgres
