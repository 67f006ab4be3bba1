// Any bytes as policy text. What parses is decided and explained in a small fixed world, and must mean the same when
// its own text is parsed again, as JSON, and laid out by the formatter; what does not parse must say why.
// parses: cedar/lexer.cc cedar/parser.cc cedar/parser_expr.cc
#include <cstddef>
#include <string_view>

#include "cedar/fuzz_world.h"

namespace {

using namespace daypass::cedar;
using namespace daypass::cedar::fuzzing;

void check_policy(const Policy& policy) {
  const Explanation why = explain(policy, world(), request());
  if (policy.template_id() == nullptr) {
    const auto alone = PolicySet::parse(policy.text(), "again.cedar");
    require(alone.ok() && alone->size() == 1);
    const Answer again = authorize(*alone, world(), request());
    require((again.satisfied_permits.size() + again.satisfied_forbids.size() == 1) == why.satisfied);
    require((again.errors.size() == 1) == why.erred);
  }
  const ExprTree& tree = policy.exprs();
  for (ExprId e = 0; e < tree.size(); ++e) {
    if (tree.op(e) != Op::literal) continue;
    // A literal prints as text that reads back as the same literal; extension values are calls, not literals.
    const auto printed =
        PolicySet::parse("permit(principal,action,resource) when { " + tree.value(e).to_string() + " };", "p");
    require(printed.ok());
    const Policy& once = printed->policies().front();
    require(once.exprs().value(once.conditions().front().body) == tree.value(e));
  }
}

void check_format(std::string_view text, const PolicySet& set) {
  const auto laid_out = format_policies(text, "fuzz.cedar");
  require(laid_out.ok());
  const auto again = format_policies(*laid_out, "fuzz.cedar", {.max_bytes = std::size_t{64} << 20U});
  require(again.ok() && *again == *laid_out);
  const auto parsed =
      PolicySet::parse(*laid_out, "fuzz.cedar", {.templates = true, .max_bytes = std::size_t{64} << 20U});
  require(parsed.ok() && parsed->size() == set.size() && parsed->templates().size() == set.templates().size());
  require_same_answers(set, *parsed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto uid = parse_entity_uid(text); uid.ok()) require(parse_entity_uid(uid->to_string()).value() == *uid);

  std::vector<Diagnostic> diagnostics;
  auto set = PolicySet::parse(text, "fuzz.cedar", {.templates = true}, &diagnostics);
  require(set.ok() == diagnostics.empty());
  require_good(diagnostics, text);
  if (!set.ok()) return 0;
  require(PolicySet::parse(text, "fuzz.cedar").ok() == set->templates().empty());
  check_format(text, *set);

  for (std::size_t i = 0; i < set->templates().size(); ++i) {
    const Policy one = set->templates()[i];
    SlotValues slots;
    if (one.principal().slot) slots.emplace("?principal", EntityUid{"Group", "top"});
    if (one.resource().slot) slots.emplace("?resource", EntityUid{"Doc", "d"});
    require(set->link(one.id(), "link of " + one.id(), slots).ok());
    require(!explain(one, world(), request()).satisfied);
  }
  const Answer answer = authorize(*set, world(), request());
  std::size_t satisfied = 0;
  std::size_t erred = 0;
  for (const Policy& policy : set->policies()) {
    const Explanation why = explain(policy, world(), request());
    satisfied += why.satisfied ? 1U : 0U;
    erred += why.erred ? 1U : 0U;
    check_policy(policy);
  }
  require(satisfied == answer.satisfied_permits.size() + answer.satisfied_forbids.size());
  require(erred == answer.errors.size());
  require_round_trips(*set, false);
  return 0;
}
