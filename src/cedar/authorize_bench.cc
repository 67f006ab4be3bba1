// The shape Daypass decides with: N policies that map a group to a role, one of which fits, for one request.
#include <benchmark/benchmark.h>

#include <string>

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

PolicySet parsed(std::int64_t policies) {
  ParseOptions options;
  options.ids_from_annotation = true;
  options.max_bytes = std::size_t{64} << 20U;
  return PolicySet::parse(role_mapping(policies), "roles.cedar", options).value();
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

void authorize_one(benchmark::State& state) {
  const PolicySet policies = parsed(state.range(0));
  const Entities entities = Entities::build(facts(state.range(0) / 2)).value();
  const Request request = asked(state.range(0) / 2);
  for (auto _ : state) {
    const Answer answer = authorize(policies, entities, request);
    if (answer.decision != Decision::allow) state.SkipWithError("denied");
    benchmark::DoNotOptimize(answer.reasons.data());
  }
}
BENCHMARK(authorize_one)->Arg(1)->Arg(10)->Arg(1000);

void build_entities(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Entities::build(facts(0)).value().size());
}
BENCHMARK(build_entities);

void parse_policies(benchmark::State& state) {
  const std::string text = role_mapping(state.range(0));
  ParseOptions options;
  options.max_bytes = text.size();
  for (auto _ : state) benchmark::DoNotOptimize(PolicySet::parse(text, "roles.cedar", options).value().size());
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(parse_policies)->Arg(1)->Arg(10)->Arg(1000);

}  // namespace
}  // namespace daypass::cedar
