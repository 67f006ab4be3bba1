// Any bytes as policy JSON. What is read is decided, written as text and as JSON, and must mean the same read again;
// what is not read must say why.
// parses: cedar/policy_json_read.cc cedar/policy_json_expr.cc
#include <cstddef>
#include <string_view>

#include "cedar/fuzz_world.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace daypass::cedar;
  using namespace daypass::cedar::fuzzing;
  namespace json = daypass::base::json;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto document = json::parse(text, {.depth = 1100});
  if (!document.ok()) return 0;
  std::vector<Diagnostic> diagnostics;
  const auto set = policies_from_json(*document, "fuzz.json", {.templates = true}, &diagnostics);
  require(set.ok() == diagnostics.empty());
  require_good(diagnostics, text);
  if (!set.ok()) return 0;
  // Every part of a policy stands in the text that it was given.
  for (const Policy& policy : set->policies()) {
    require(!policy.text().empty() && policy.text().back() == ';');
    for (ExprId e = 0; e < policy.exprs().size(); ++e) {
      const Span span = policy.exprs().span(e);
      require(span.begin < span.end && span.end <= policy.source().text.size());
    }
    (void)explain(policy, world(), request());
  }
  require_round_trips(*set, true);
  return 0;
}
