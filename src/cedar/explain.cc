#include "cedar/authorize.h"
#include "cedar/evaluate.h"

namespace daypass::cedar {
namespace {

using Kind = ExplainedPart::Kind;
using Outcome = ExplainedPart::Outcome;

ExplainedPart part_at(const Policy& policy, Kind kind, Span span) {
  const auto place = policy.place(span);
  ExplainedPart part;
  part.kind = kind;
  part.text = std::string(policy.slice(span));
  part.line = place.line;
  part.column = place.column;
  return part;
}

ExplainedPart scope_part(const Policy& policy, const Evaluator& evaluator, Kind kind, const ScopeTest& test,
                         const EntityUid& uid) {
  ExplainedPart part = part_at(policy, kind, test.span);
  part.outcome = evaluator.holds(test, uid) ? Outcome::held : Outcome::failed;
  return part;
}

// The operands of a condition that is one conjunction, each by itself up to the one that decides.
std::vector<ExplainedPart> terms_of(const Policy& policy, Evaluator& evaluator, ExprId body) {
  std::vector<ExplainedPart> terms;
  const ExprTree& tree = policy.exprs();
  if (tree.op(body) != Op::and_) return terms;
  bool decided = false;
  for (const ExprId kid : tree.kids(body)) {
    ExplainedPart term = part_at(policy, Kind::term, tree.span(kid));
    bool value = false;
    if (decided) {
      term.outcome = Outcome::not_reached;
    } else if (evaluator.evaluate_bool(tree, kid, value)) {
      term.outcome = value ? Outcome::held : Outcome::failed;
    } else {
      term.outcome = Outcome::erred;
      term.error = evaluator.failure().message;
    }
    decided = decided || term.outcome != Outcome::held;
    terms.push_back(std::move(term));
  }
  return terms;
}

ExplainedPart condition_part(const Policy& policy, Evaluator& evaluator, const Condition& condition) {
  ExplainedPart part = part_at(policy, condition.unless ? Kind::unless : Kind::when, condition.span);
  bool value = false;
  if (!evaluator.evaluate_bool(policy.exprs(), condition.body, value)) {
    part.outcome = Outcome::erred;
    part.error = evaluator.failure().message;
  } else {
    part.outcome = value != condition.unless ? Outcome::held : Outcome::failed;
  }
  part.terms = terms_of(policy, evaluator, condition.body);
  return part;
}

}  // namespace

std::string_view to_string(Kind kind) noexcept {
  constexpr std::string_view names[] = {"principal", "action", "resource", "when", "unless", "term"};
  return names[static_cast<std::size_t>(kind)];
}

std::string_view to_string(Outcome outcome) noexcept {
  constexpr std::string_view names[] = {"held", "failed", "erred", "not_reached"};
  return names[static_cast<std::size_t>(outcome)];
}

Explanation explain(const Policy& policy, const Entities& entities, const Request& request) {
  Evaluator evaluator(entities, request);
  Explanation out;
  out.policy = policy.id();
  out.effect = policy.effect();
  out.parts.push_back(scope_part(policy, evaluator, Kind::principal, policy.principal(), request.principal));
  out.parts.push_back(scope_part(policy, evaluator, Kind::action, policy.action(), request.action));
  out.parts.push_back(scope_part(policy, evaluator, Kind::resource, policy.resource(), request.resource));
  for (const Condition& condition : policy.conditions())
    out.parts.push_back(condition_part(policy, evaluator, condition));
  out.satisfied = true;
  for (const ExplainedPart& part : out.parts) {
    if (part.outcome == Outcome::held) continue;
    out.satisfied = false;
    out.erred = part.outcome == Outcome::erred;
    break;
  }
  return out;
}

}  // namespace daypass::cedar
