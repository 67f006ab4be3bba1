#include "cedar/compile.h"

#include "cedar/compile_impl.h"
#include "cedar/evaluate.h"

namespace daypass::cedar {

CompiledPolicies::CompiledPolicies(PolicySet policies)
    : policies_(std::move(policies)), index_(std::make_unique<ScopeIndex>()) {
  program_ = std::make_unique<const Program>(policies_, *index_);
  index_->build(policies_);
}
CompiledPolicies::~CompiledPolicies() = default;

std::shared_ptr<const CompiledPolicies> CompiledPolicies::compile(PolicySet policies) {
  return std::shared_ptr<const CompiledPolicies>(new CompiledPolicies(std::move(policies)));
}

Scratch::Scratch() : parts_(std::make_unique<Parts>()) {}
Scratch::~Scratch() = default;

namespace {

void prepare(const CompiledPolicies& policies, const Entities& entities, const Request& request,
             Scratch::Parts& scratch) {
  policies.index().probe(entities, request, scratch.probe);
  const EntityUid* uids[] = {&request.principal, &request.action, &request.resource};
  for (std::size_t i = 0; i < 3; ++i) {
    const Entity* entity = scratch.probe.located[i].entity;
    scratch.variables[i] = Slot::of(*uids[i]);
    scratch.attributes[i] = entity == nullptr ? nullptr : &entity->attrs;
  }
  scratch.variables[3] = Slot::of(request.context);
  scratch.attributes[3] = &request.context;
  if (scratch.stack.size() <= policies.program().stack_size())
    scratch.stack.resize(policies.program().stack_size() + 1);
  scratch.made.clear();  // of a decision that was cut short
  scratch.permits.clear();
  scratch.forbids.clear();
  scratch.erred.clear();
}

}  // namespace

Decided decide(const CompiledPolicies& policies, const Entities& entities, const Request& request, Scratch& scratch,
               Thoroughness thoroughness) {
  auto& parts = scratch.parts();
  prepare(policies, entities, request, parts);
  const Program& program = policies.program();
  Decided out;
  const auto run = [&](std::uint32_t policy) {
    const bool forbid = program.forbids(policy);
    const Outcome outcome = program.run(policy, parts, entities);
    if (outcome == Outcome::yes) (forbid ? parts.forbids : parts.permits).push_back(policy);
    if (outcome != Outcome::erred) return outcome == Outcome::yes;
    parts.erred.push_back(policy);
    out.forbid_erred = out.forbid_erred || forbid;
    return false;
  };
  if (thoroughness == Thoroughness::complete) {
    for (const std::uint32_t policy : parts.probe.fitting) run(policy);
  } else {
    for (const bool forbid : {true, false}) {
      if (!parts.forbids.empty()) break;
      for (const std::uint32_t policy : parts.probe.fitting)
        if (program.forbids(policy) == forbid && run(policy)) break;
    }
  }
  out.decision = parts.forbids.empty() && !parts.permits.empty() ? Decision::allow : Decision::deny;
  out.permits = parts.permits;
  out.forbids = parts.forbids;
  out.erred = parts.erred;
  return out;
}

Answer render(const Decided& decided, const CompiledPolicies& policies, const Entities& entities,
              const Request& request) {
  const auto all = policies.policies().policies();
  const auto ids = [&](std::span<const std::uint32_t> which) {
    std::vector<std::string> out;
    out.reserve(which.size());
    for (const std::uint32_t policy : which) out.push_back(all[policy].id());
    return out;
  };
  Answer answer;
  answer.decision = decided.decision;
  answer.satisfied_permits = ids(decided.permits);
  answer.satisfied_forbids = ids(decided.forbids);
  answer.reasons = decided.decision == Decision::allow ? answer.satisfied_permits : answer.satisfied_forbids;
  if (decided.erred.empty()) return answer;
  // What the code does not keep: the reference evaluates the policy again and tells.
  Evaluator evaluator(entities, request);
  for (const std::uint32_t policy : decided.erred) {
    const bool erred = conditions_hold(all[policy], evaluator) == Holds::erred;
    DP_ASSERT(erred);
    answer.errors.push_back(error_of(all[policy], evaluator.failure()));
    if (all[policy].effect() == Effect::forbid) answer.erred_forbids.push_back(all[policy].id());
  }
  return answer;
}

Answer authorize(const CompiledPolicies& policies, const Entities& entities, const Request& request) {
  thread_local Scratch scratch;
  return render(decide(policies, entities, request, scratch), policies, entities, request);
}

std::span<const std::uint32_t> candidates(const CompiledPolicies& policies, const Entities& entities,
                                          const Request& request, Scratch& scratch) {
  policies.index().probe(entities, request, scratch.parts().probe);
  return scratch.parts().probe.fitting;
}

}  // namespace daypass::cedar
