#include "cedar/validate.h"

#include <algorithm>

#include "base/encoding.h"
#include "cedar/typecheck.h"
#include "cedar/validate_impl.h"

namespace daypass::cedar {
namespace {

constexpr std::size_t max_environments = 1'000'000;

// The scope test of one variable as an expression. Heights stay far below the limit, so that add() can't fail.
ExprId scope_expr(ExprTree& tree, Op variable, const ScopeTest& test) {
  const ExprId self = *tree.add(variable, test.span, {});
  const auto entity = [&](const EntityUid& uid) { return tree.add_literal(test.span, Value::entity(uid)); };
  const auto pair = [&](Op op, ExprId right) {
    const ExprId kids[] = {self, right};
    return *tree.add(op, test.span, kids);
  };
  const auto whole = [&] { return tree.add_literal(test.span, Value::boolean(true)); };
  switch (test.kind) {
    case ScopeTest::Kind::any:
      return whole();
    case ScopeTest::Kind::equal:
      // A slot takes whatever fits.
      return test.entities.empty() ? whole() : pair(Op::equal, entity(test.entities.front()));
    case ScopeTest::Kind::in: {
      if (variable != Op::action) return test.entities.empty() ? whole() : pair(Op::in, entity(test.entities.front()));
      std::vector<ExprId> targets;
      for (const EntityUid& uid : test.entities) targets.push_back(entity(uid));
      return pair(Op::in, *tree.add(Op::set, test.span, targets));
    }
    case ScopeTest::Kind::is:
      return *tree.add_named(Op::is, test.span, std::span(&self, 1), {test.type});
    case ScopeTest::Kind::is_in: {
      if (test.entities.empty()) return *tree.add_named(Op::is, test.span, std::span(&self, 1), {test.type});
      const ExprId kids[] = {self, entity(test.entities.front())};
      return *tree.add_named(Op::is_in, test.span, kids, {test.type});
    }
  }
  return whole();
}

class PolicyValidator {
 public:
  PolicyValidator(const Schema& schema, TypeTable& types, const Policy& policy, const ValidateOptions& options)
      : schema_(schema), types_(types), policy_(policy), options_(options), policy_terms_(terms_of(policy)) {}

  void run() {
    literals();
    applies();
    environments();
    check_strings(policy_terms_, warnings_);
  }
  /// A link: only what its slots hold. The rest is its template's.
  void run_link() {
    for (const auto& [slot, uid] : policy_.slots())
      entity_type((slot == "?principal" ? policy_.principal() : policy_.resource()).span, uid.type);
    applies();
  }
  [[nodiscard]] std::vector<TypeProblem>& errors() { return errors_; }
  [[nodiscard]] std::vector<TypeProblem>& warnings() { return warnings_; }

 private:
  void wrong(Span at, std::string check, std::string message, std::string hint = {}) {
    errors_.push_back({at, "cedar." + check, std::move(message), std::move(hint)});
  }
  void literals();
  void entity_type(Span at, const std::string& type);
  void action(Span at, const EntityUid& uid);
  void enumerated(Span at, const EntityUid& uid);
  void applies();
  [[nodiscard]] bool scope_allows(const ScopeTest& test, const std::string& type) const;
  [[nodiscard]] std::vector<const ActionInfo*> scope_actions() const;
  [[nodiscard]] std::string where_it_applies() const;
  [[nodiscard]] Span head() const { return {policy_.principal().span.begin, policy_.resource().span.end}; }
  void environments();
  void environment(TypeChecker& checker, const RequestEnvironment& environment, bool& possible);

  const Schema& schema_;
  TypeTable& types_;
  const Policy& policy_;
  const ValidateOptions& options_;
  PolicyTerms policy_terms_;
  std::vector<TypeProblem> errors_;
  std::vector<TypeProblem> warnings_;
  std::vector<TypeProblem> far_;
};

void PolicyValidator::entity_type(Span at, const std::string& type) {
  if (is_action_type(type) || schema_.entity_type(type) != nullptr) return;
  std::vector<std::string_view> known;
  for (const EntityTypeInfo& info : schema_.entity_types()) known.push_back(info.name);
  const std::string near = base::nearest(type, known);
  wrong(at, "unknown_entity_type", "there is no entity type `" + type + "`",
        near.empty() ? "the schema must declare it" : "did you mean `" + near + "`?");
}

void PolicyValidator::action(Span at, const EntityUid& uid) {
  if (!is_action_type(uid.type) || schema_.action(uid) != nullptr) return;
  std::vector<std::string> known;
  for (const ActionInfo& info : schema_.actions()) known.push_back(info.uid.to_string());
  const std::string near = base::nearest(uid.to_string(), known);
  wrong(at, "unknown_action", "there is no action " + uid.to_string(),
        near.empty() ? "the schema must declare it" : "did you mean " + near + "?");
}

void PolicyValidator::enumerated(Span at, const EntityUid& uid) {
  const EntityTypeInfo* info = is_action_type(uid.type) ? nullptr : schema_.entity_type(uid.type);
  if (info == nullptr || !info->enumerated || std::ranges::binary_search(info->choices, uid.id)) return;
  const std::string near = base::nearest(uid.id, info->choices);
  std::string list;
  for (std::size_t i = 0; i < info->choices.size() && i < 8; ++i)
    list += (i == 0 ? "" : ", ") + quote(info->choices[i]);
  wrong(at, "bad_enum_id", quote(uid.id) + " is no " + uid.type,
        near.empty() ? "there are only " + list : "did you mean " + quote(near) + "?");
}

// Every entity and type that the policy names must be known.
void PolicyValidator::literals() {
  const ExprTree& tree = policy_terms_.tree;
  for (ExprId e = 0; e < tree.size(); ++e) {
    if (tree.op(e) == Op::is || tree.op(e) == Op::is_in) entity_type(tree.span(e), tree.names(e)[0]);
    const EntityUid* uid = tree.op(e) == Op::literal ? tree.value(e).as_entity() : nullptr;
    if (uid == nullptr) continue;
    entity_type(tree.span(e), uid->type);
    action(tree.span(e), *uid);
    enumerated(tree.span(e), *uid);
  }
}

bool PolicyValidator::scope_allows(const ScopeTest& test, const std::string& type) const {
  switch (test.kind) {
    case ScopeTest::Kind::any:
      return true;
    case ScopeTest::Kind::equal:
      return test.entities.empty() || test.entities.front().type == type;
    case ScopeTest::Kind::in:
      return test.entities.empty() || schema_.may_be_in(type, test.entities.front().type);
    case ScopeTest::Kind::is:
      return test.type == type;
    case ScopeTest::Kind::is_in:
      return test.type == type && (test.entities.empty() || schema_.may_be_in(type, test.entities.front().type));
  }
  return false;
}

std::vector<const ActionInfo*> PolicyValidator::scope_actions() const {
  const ScopeTest& test = policy_.action();
  std::vector<const ActionInfo*> named;
  for (const EntityUid& uid : test.entities) {
    const ActionInfo* info = schema_.action(uid);
    // One unknown action spoils the list, as the official engine has it.
    if (info == nullptr) return {};
    named.push_back(info);
  }
  if (test.kind == ScopeTest::Kind::equal) return named;
  std::vector<const ActionInfo*> out;
  for (const ActionInfo& info : schema_.actions())
    if (test.kind == ScopeTest::Kind::any ||
        std::ranges::any_of(named, [&](const ActionInfo* group) { return schema_.action_in(info, *group); }))
      out.push_back(&info);
  return out;
}

std::string PolicyValidator::where_it_applies() const {
  const auto actions = scope_actions();
  if (actions.size() != 1) return "";
  const auto listed = [](const std::vector<std::string>& types) {
    std::string out;
    for (std::size_t i = 0; i < types.size() && i < 6; ++i) out += (i == 0 ? "" : ", ") + types[i];
    return out.empty() ? "nothing" : out;
  };
  return actions.front()->uid.to_string() + " takes principals " + listed(actions.front()->principals) +
         " and resources " + listed(actions.front()->resources);
}

void PolicyValidator::applies() {
  const bool some = std::ranges::any_of(scope_actions(), [&](const ActionInfo* info) {
    const auto one_of = [&](const std::vector<std::string>& types, const ScopeTest& test) {
      return std::ranges::any_of(types, [&](const std::string& type) { return scope_allows(test, type); });
    };
    return one_of(info->principals, policy_.principal()) && one_of(info->resources, policy_.resource());
  });
  if (some) return;
  wrong(head(), "never_applies", "no action of the schema takes such a principal and such a resource",
        where_it_applies());
}

void PolicyValidator::environment(TypeChecker& checker, const RequestEnvironment& environment, bool& possible) {
  std::vector<TypeProblem> found;
  const auto answer = checker.check(environment, policy_terms_.terms, found);
  possible = possible || answer.type != TypeTable::false_;
  for (TypeProblem& one : found)
    if (std::ranges::find(errors_, one) == errors_.end() && errors_.size() < options_.max_problems)
      errors_.push_back(std::move(one));
  if (!options_.max_level || !errors_.empty()) return;
  std::vector<TypeProblem> far;
  check_level({schema_, types_, checker, policy_terms_, environment.action->uid, *options_.max_level}, far);
  for (TypeProblem& one : far)
    if (std::ranges::find(far_, one) == far_.end()) far_.push_back(std::move(one));
}

void PolicyValidator::environments() {
  ExprShapes shapes(policy_terms_.tree);
  TypeChecker checker(schema_, types_, policy_terms_.tree, shapes);
  // Where the scope rules an action out, the rest is not looked at; so most environments need no walk at all.
  const auto in_scope = scope_actions();
  // A list with an error in it rules nothing out.
  const ScopeTest& test = policy_.action();
  const bool bad_list = test.kind == ScopeTest::Kind::in &&
                        (test.entities.empty() || std::ranges::any_of(test.entities, [&](const EntityUid& uid) {
                           return schema_.action(uid) == nullptr || uid.type != test.entities.front().type;
                         }));
  bool possible = false;
  std::size_t count = 0;
  for (const ActionInfo& info : schema_.actions()) {
    if (!bad_list && std::ranges::find(in_scope, &info) == in_scope.end()) continue;
    for (const std::string& principal : info.principals)
      for (const std::string& resource : info.resources) {
        if (++count > max_environments)
          return wrong(policy_.principal().span, "too_many",
                       "more than " + std::to_string(max_environments) + " pairs of principal and resource type",
                       "name the action, or the types, in the policy's head");
        environment(checker, {principal, resource, &info}, possible);
      }
  }
  // What the level check found counts only where nothing else is wrong.
  if (errors_.empty()) errors_ = std::move(far_);
  if (!possible)
    warnings_.push_back({head(), "cedar.impossible", "this policy can never apply",
                         "under the schema its conditions are always false"});
}

Diagnostic diagnostic_of(const Policy& policy, TypeProblem problem) {
  return policy.source().diagnose(problem.span, std::move(problem.check), std::move(problem.message),
                                  std::move(problem.hint));
}

void append(const Policy& policy, std::vector<TypeProblem>& found, std::size_t most,
            std::vector<ValidationProblem>& out) {
  std::stable_sort(found.begin(), found.end(),
                   [](const TypeProblem& a, const TypeProblem& b) { return a.span.begin < b.span.begin; });
  for (std::size_t i = 0; i < found.size() && out.size() < most; ++i) {
    if (i > 0 && found[i] == found[i - 1]) continue;
    out.push_back({policy.id(), diagnostic_of(policy, found[i])});
  }
}

}  // namespace

PolicyTerms terms_of(const Policy& policy) {
  PolicyTerms out{policy.exprs(), {}};
  out.terms.push_back({scope_expr(out.tree, Op::principal, policy.principal()), false});
  out.terms.push_back({scope_expr(out.tree, Op::action, policy.action()), false});
  out.terms.push_back({scope_expr(out.tree, Op::resource, policy.resource()), false});
  for (const Condition& condition : policy.conditions()) out.terms.push_back({condition.body, condition.unless});
  return out;
}

ValidationResult validate(const PolicySet& policies, const Schema& schema, const ValidateOptions& options) {
  ValidationResult out;
  TypeTable types(schema.types());
  const auto check = [&](const Policy& policy) {
    PolicyValidator one(schema, types, policy, options);
    if (policy.template_id() != nullptr)
      one.run_link();
    else
      one.run();
    append(policy, one.errors(), options.max_problems, out.errors);
    append(policy, one.warnings(), options.max_problems, out.warnings);
  };
  for (const Policy& policy : policies.templates()) check(policy);
  for (const Policy& policy : policies.policies()) check(policy);
  return out;
}

}  // namespace daypass::cedar
