#include "cedar/authorize.h"

#include "cedar/evaluate.h"

namespace daypass::cedar {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

// Scope tests cannot err, so the cheap ones may go first: the order is not seen from outside.
bool in_scope(const Policy& policy, const Evaluator& evaluator, const Request& request) noexcept {
  const auto cheap = [](const ScopeTest& test) {
    return test.kind == ScopeTest::Kind::equal || test.kind == ScopeTest::Kind::is;
  };
  const std::pair<const ScopeTest*, const EntityUid*> tests[] = {{&policy.resource(), &request.resource},
                                                                 {&policy.action(), &request.action},
                                                                 {&policy.principal(), &request.principal}};
  for (const bool first : {true, false})
    for (const auto& [test, uid] : tests)
      if (cheap(*test) == first && !evaluator.holds(*test, *uid)) return false;
  return true;
}

Result<EntityUid> read_uid(const json::Value& json, std::string_view field) {
  const json::Value* uid = json.find(field);
  if (uid == nullptr)
    return Error{Code::invalid, "cedar.request_json", "the request has no " + std::string(field),
                 "a request is {\"principal\", \"action\", \"resource\", \"context\"}"};
  if (const std::string* text = uid->as_string()) return parse_entity_uid(*text);
  return EntityUid::from_json(*uid);
}

}  // namespace

Holds conditions_hold(const Policy& policy, Evaluator& evaluator) {
  for (const Condition& condition : policy.conditions()) {
    bool value = false;
    if (!evaluator.evaluate_bool(policy.exprs(), condition.body, value)) return Holds::erred;
    if (value == condition.unless) return Holds::no;
  }
  return Holds::yes;
}

PolicyError error_of(const Policy& policy, const Evaluator::Failure& failure) {
  const auto place = policy.place(failure.span);
  return {policy.id(), failure.message, place.line, place.column};
}

std::string_view to_string(Decision decision) noexcept {
  return decision == Decision::allow ? "allow" : "deny";
}

json::Value Request::to_json() const {
  return json::Object{{"principal", principal.to_json()},
                      {"action", action.to_json()},
                      {"resource", resource.to_json()},
                      {"context", record_to_json(context)}};
}

Result<Request> Request::from_json(const json::Value& json) {
  Request out;
  DP_TRY(out.principal, read_uid(json, "principal"));
  DP_TRY(out.action, read_uid(json, "action"));
  DP_TRY(out.resource, read_uid(json, "resource"));
  if (const json::Value* context = json.find("context")) {
    DP_TRY(out.context, record_from_json(*context));
  }
  return out;
}

Answer authorize(const PolicySet& policies, const Entities& entities, const Request& request) {
  Answer answer;
  Evaluator evaluator(entities, request);
  for (const Policy& policy : policies.policies()) {
    const bool forbid = policy.effect() == Effect::forbid;
    if (!in_scope(policy, evaluator, request)) continue;
    switch (conditions_hold(policy, evaluator)) {
      case Holds::no:
        break;
      case Holds::yes:
        (forbid ? answer.satisfied_forbids : answer.satisfied_permits).push_back(policy.id());
        break;
      case Holds::erred:
        answer.errors.push_back(error_of(policy, evaluator.failure()));
        if (forbid) answer.erred_forbids.push_back(policy.id());
        break;
    }
  }
  const bool allow = answer.satisfied_forbids.empty() && !answer.satisfied_permits.empty();
  answer.decision = allow ? Decision::allow : Decision::deny;
  answer.reasons = allow ? answer.satisfied_permits : answer.satisfied_forbids;
  return answer;
}

}  // namespace daypass::cedar
