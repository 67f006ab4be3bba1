// The shape Daypass decides with: N policies that map a group to a role, one of which fits, for one request. What the
// index gains and what the code gains stand apart: reference, reference on the index's candidates, compiled.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "base/json.h"
#include "cedar/cedar.h"

namespace daypass::cedar {
namespace {

std::string role_mapping(std::int64_t policies) {
  std::string text;
  for (std::int64_t i = 0; i < policies; ++i) {
    const std::string n = std::to_string(i);
    text += "@id(\"map-" + n + "\") @duration(\"1h\")\npermit(principal in Group::\"okta/team-" + n +
            "\", action == Action::\"assume\", resource == Role::\"pg/db-" + n + "/reader\")\n" +
            "when { context.mfa && principal.department == \"data\" };\n";
  }
  return text;
}

ParseOptions large() {
  ParseOptions options;
  options.ids_from_annotation = true;
  options.max_bytes = std::size_t{64} << 20U;
  return options;
}

PolicySet parsed(std::int64_t policies) {
  return PolicySet::parse(role_mapping(policies), "roles.cedar", large()).value();
}

std::vector<Entity> facts(std::int64_t which) {
  const std::string n = std::to_string(which);
  return {{{"User", "alice"}, {{"department", Value::string("data")}}, {{"Group", "okta/team-" + n}}, {}},
          {{"Group", "okta/team-" + n}, {}, {{"Group", "okta/all"}}, {}},
          {{"Role", "pg/db-" + n + "/reader"}, {{"env", Value::string("prod")}}, {}, {}}};
}

Request asked(std::int64_t which) {
  return {{"User", "alice"},
          {"Action", "assume"},
          {"Role", "pg/db-" + std::to_string(which) + "/reader"},
          {{"mfa", Value::boolean(true)}, {"reason", Value::string("ticket 42")}}};
}

/// The world that a benchmark decides in, made once for each number of policies.
struct World {
  explicit World(std::int64_t policies)
      : compiled(CompiledPolicies::compile(parsed(policies))),
        entities(Entities::build(facts(policies / 2)).value()),
        request(asked(policies / 2)) {}
  std::shared_ptr<const CompiledPolicies> compiled;
  Entities entities;
  Request request;
};
const World& world(std::int64_t policies) {
  static std::map<std::int64_t, World> worlds;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  return worlds.try_emplace(policies, policies).first->second;
}

void must_allow(benchmark::State& state, Decision decision) {
  if (decision != Decision::allow) state.SkipWithError("denied");
}

void reference(benchmark::State& state) {
  const World& in = world(state.range(0));
  for (auto _ : state) {
    const Answer answer = authorize(in.compiled->policies(), in.entities, in.request);
    must_allow(state, answer.decision);
    benchmark::DoNotOptimize(answer.reasons.data());
  }
}
BENCHMARK(reference)->Arg(1)->Arg(10)->Arg(1000)->Arg(100'000);

// What indexing is worth without the code: the reference evaluates what the index lets through.
void reference_on_index(benchmark::State& state) {
  const World& in = world(state.range(0));
  Scratch scratch;
  for (auto _ : state) {
    const auto all = in.compiled->policies().policies();
    std::size_t satisfied = 0;
    for (const std::uint32_t policy : candidates(*in.compiled, in.entities, in.request, scratch))
      satisfied += explain(all[policy], in.entities, in.request).satisfied ? 1U : 0U;
    must_allow(state, satisfied == 1 ? Decision::allow : Decision::deny);
  }
}
BENCHMARK(reference_on_index)->Arg(1)->Arg(10)->Arg(1000)->Arg(100'000);

// The request parsed, the entities built, the result by index.
void decided(benchmark::State& state) {
  const World& in = world(state.range(0));
  Scratch scratch;
  for (auto _ : state) must_allow(state, decide(*in.compiled, in.entities, in.request, scratch).decision);
}
BENCHMARK(decided)->Arg(1)->Arg(10)->Arg(1000)->Arg(100'000);

// 316 groups by 316 roles: every group and every role is named 316 times.
void decided_in_a_grid(benchmark::State& state) {
  std::string text;
  for (int group = 0; group < 316; ++group)
    for (int role = 0; role < 316; ++role)
      text += "permit(principal in Group::\"okta/team-" + std::to_string(group) + "\", action == Action::\"assume\", " +
              "resource == Role::\"pg/db-" + std::to_string(role) + "/reader\") when { context.mfa };\n";
  const auto compiled = CompiledPolicies::compile(PolicySet::parse(text, "grid.cedar", large()).value());
  const Entities entities = Entities::build(facts(150)).value();
  const Request request = asked(150);
  Scratch scratch;
  for (auto _ : state) must_allow(state, decide(*compiled, entities, request, scratch).decision);
}
BENCHMARK(decided_in_a_grid);

// decided() with names: the whole Answer.
void answered(benchmark::State& state) {
  const World& in = world(state.range(0));
  for (auto _ : state) {
    const Answer answer = authorize(*in.compiled, in.entities, in.request);
    must_allow(state, answer.decision);
    benchmark::DoNotOptimize(answer.reasons.data());
  }
}
BENCHMARK(answered)->Arg(1)->Arg(10)->Arg(1000)->Arg(100'000);

// What a second thread adds to the rate, beside what it adds to arithmetic that shares nothing: two processors of a
// virtual machine may be one core. Medians over interleaved rounds of a tenth of a second.
using Work = std::function<void()>;
double rate(int threads, const std::function<Work()>& make) {
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> done = 0;
  const auto begin = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> running;
    for (int i = 0; i < threads; ++i)
      running.emplace_back([&] {
        const Work work = make();
        std::uint64_t count = 0;
        for (; !stop.load(std::memory_order_relaxed); ++count) work();
        done += count;
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop = true;
  }
  return static_cast<double>(done) / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
void second_thread(benchmark::State& state) {
  const World& in = world(state.range(0));
  const std::pair<const char*, std::function<Work()>> kinds[] = {
      {"decided",
       [&in]() -> Work {
         return [&in, scratch = std::make_shared<Scratch>()] {
           benchmark::DoNotOptimize(decide(*in.compiled, in.entities, in.request, *scratch).decision);
         };
       }},
      {"answered",
       [&in]() -> Work {
         return [&in] { benchmark::DoNotOptimize(authorize(*in.compiled, in.entities, in.request).decision); };
       }},
      {"arithmetic", []() -> Work {
         return [] {
           std::uint64_t x = 1;
           for (int i = 0; i < 200; ++i) benchmark::DoNotOptimize(x = x * 6364136223846793005U + 1);
         };
       }}};
  std::map<std::string, std::vector<double>> gains;
  for (auto _ : state)
    for (int round = 0; round < 15; ++round)
      for (const auto& [name, make] : kinds) {
        const double one = rate(1, make);
        gains[name].push_back(rate(2, make) / one);
      }
  for (auto& [name, all] : gains) {
    std::ranges::nth_element(all, all.begin() + 7);
    state.counters[name] = all[7];
  }
}
BENCHMARK(second_thread)->Arg(1000)->Arg(100'000)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

// The context comes as JSON text.
void answered_from_json(benchmark::State& state) {
  const World& in = world(state.range(0));
  const std::string context = base::json::dump(record_to_json(in.request.context));
  for (auto _ : state) {
    Request request{in.request.principal, in.request.action, in.request.resource, {}};
    request.context = record_from_json_text(context).value();
    const Answer answer = authorize(*in.compiled, in.entities, request);
    must_allow(state, answer.decision);
    benchmark::DoNotOptimize(answer.reasons.data());
  }
}
BENCHMARK(answered_from_json)->Arg(1)->Arg(10)->Arg(1000)->Arg(100'000);

// And the three entities are built for it: all that a decision of the official engine through npm does.
void answered_from_json_with_entities(benchmark::State& state) {
  const World& in = world(state.range(0));
  const std::string context = base::json::dump(record_to_json(in.request.context));
  const std::vector<Entity> three = facts(state.range(0) / 2);
  for (auto _ : state) {
    const Entities entities = Entities::build(three).value();
    Request request{in.request.principal, in.request.action, in.request.resource, {}};
    request.context = record_from_json_text(context).value();
    const Answer answer = authorize(*in.compiled, entities, request);
    must_allow(state, answer.decision);
    benchmark::DoNotOptimize(answer.reasons.data());
  }
}
BENCHMARK(answered_from_json_with_entities)->Arg(1)->Arg(10)->Arg(1000)->Arg(100'000);

void build_entities(benchmark::State& state) {
  const std::vector<Entity> three = facts(0);
  for (auto _ : state) benchmark::DoNotOptimize(Entities::build(three).value().size());
}
BENCHMARK(build_entities);

void parse_policies(benchmark::State& state) {
  const std::string text = role_mapping(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(PolicySet::parse(text, "roles.cedar", large()).value().size());
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(parse_policies)->Arg(1)->Arg(1000)->Arg(100'000)->Unit(benchmark::kMillisecond);

// Text to what decides; freeing it is not counted.
void load(benchmark::State& state) {
  const std::string text = role_mapping(state.range(0));
  for (auto _ : state) {
    auto compiled = CompiledPolicies::compile(PolicySet::parse(text, "roles.cedar", large()).value());
    benchmark::DoNotOptimize(compiled.get());
    state.PauseTiming();
    compiled.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(load)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace daypass::cedar
