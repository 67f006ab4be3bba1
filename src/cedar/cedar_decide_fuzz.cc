// Two evaluators, one truth. The bytes make policies, entities and requests (by the tests' generator), or are policy
// text themselves; reference and compiled must say the same in every field.
// parses: cedar/evaluate.cc cedar/compile.cc cedar/compile_code.cc cedar/compile_run.cc
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "cedar/compile_compare.h"
#include "cedar/decide_generator.h"

namespace {

using namespace daypass::cedar;

/// Choices from bytes; all zero when they are used up, which ends every expression soon.
struct Choices {
  const std::uint8_t* data;
  std::size_t left;
  std::size_t operator()(std::size_t n) {
    if (left == 0) return 0;
    --left;
    return *data++ % n;
  }
};

void compare(const PolicySet& policies, const Entities& entities, const Request& request) {
  const auto compiled = CompiledPolicies::compile(policies);
  const Answer reference = authorize(policies, entities, request);
  const std::string difference = testing::disagreement(*compiled, reference, entities, request);
  if (difference.empty()) return;
  for (const Policy& policy : policies.policies())
    std::fprintf(stderr, "%.*s\n", static_cast<int>(policy.text().size()), policy.text().data());
  std::fprintf(stderr, "%s\n", difference.c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool text = (data[0] & 1U) != 0;
  // Text needs a world of its own to meet; a seed's worth of bytes makes it.
  const std::size_t world = text ? std::min<std::size_t>(size - 1, 64) : size - 1;
  testing::DecideGenerator generator(Choices{data + 1, world});
  const Entities entities = generator.entities();
  const Request request = generator.request();
  const std::string written =
      text ? std::string(reinterpret_cast<const char*>(data) + 1 + world, size - 1 - world) : generator.policies();
  const auto policies = PolicySet::parse(written, "fuzz.cedar");
  if (!policies.ok() && !text) {
    std::fprintf(stderr, "the generator wrote what does not parse: %s\n%s\n", policies.error().message.c_str(),
                 written.c_str());
    std::abort();
  }
  if (policies.ok()) compare(*policies, entities, request);
  return 0;
}
