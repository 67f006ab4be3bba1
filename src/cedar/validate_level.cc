// Levels: how many entities the evaluation of a policy may have to follow, one from the other.
#include <algorithm>

#include "cedar/validate_impl.h"

namespace daypass::cedar {
namespace {

class LevelChecker {
 public:
  LevelChecker(const LevelCheck& what, std::vector<TypeProblem>& problems)
      : what_(what), tree_(what.policy.tree), types_(what.schema.types()), problems_(problems) {}

  void walk(ExprId e);

 private:
  void wrong(ExprId e, std::string check, std::string message, std::string hint) {
    problems_.push_back({tree_.span(e), "cedar." + check, std::move(message), std::move(hint)});
  }
  /// Reports when looking at an entity that is `steps` away goes too far.
  void look(ExprId e, std::uint32_t steps) {
    if (steps >= what_.max_level)
      wrong(e, "level",
            "this looks " + std::to_string(steps + 1) + " entities far; allowed are " + std::to_string(what_.max_level),
            "copy what is needed into an attribute of the nearer entity, or raise the level");
  }
  [[nodiscard]] bool is_entity(ExprId e) const { return kind(what_.checker.type_of(e)) == TypeKind::entity; }
  [[nodiscard]] TypeKind kind(TypeId type) const {
    return type == TypeChecker::unknown ? TypeKind::never : what_.types.kind(type);
  }
  std::uint32_t steps_to(ExprId e, std::vector<std::string_view> path);
  std::uint32_t steps_to_member(ExprId e, std::vector<std::string_view> path);
  void walk_has(ExprId e);
  void walk_kids(ExprId e, std::size_t count);

  const LevelCheck& what_;
  const ExprTree& tree_;
  const TypeTable& types_;
  std::vector<TypeProblem>& problems_;
};

// How many steps from the request the entity is that `e` gives, or that is in the record `e` at `path` (its last name
// first).
std::uint32_t LevelChecker::steps_to(ExprId e, std::vector<std::string_view> path) {
  const auto kids = tree_.kids(e);
  switch (tree_.op(e)) {
    case Op::literal: {
      const EntityUid* uid = tree_.value(e).as_entity();
      // The request's own action is at hand, however it is spelled.
      if (uid != nullptr && *uid != what_.action)
        wrong(e, "level_literal", "a policy with a level can't look into an entity that is written out",
              "start from principal, action, resource or context");
      return 0;
    }
    case Op::if_then_else: {
      walk(kids[0]);
      const std::uint32_t reached = what_.checker.reached(e);
      const std::uint32_t yes = (reached & 1U) != 0 ? steps_to(kids[1], path) : 0;
      const std::uint32_t no = (reached & 2U) != 0 ? steps_to(kids[2], std::move(path)) : 0;
      return std::max(yes, no);
    }
    case Op::get_attr:
      if (is_entity(kids[0])) return steps_to(kids[0], std::move(path)) + 1;
      path.push_back(tree_.names(e)[0]);
      return steps_to(kids[0], std::move(path));
    case Op::call: {
      if (tree_.function(e) != Function::get_tag) return 0;
      const std::uint32_t steps = steps_to(kids[0], std::move(path));
      walk(kids[1]);
      return steps + 1;
    }
    case Op::record:
      return steps_to_member(e, std::move(path));
    default:
      return 0;
  }
}

std::uint32_t LevelChecker::steps_to_member(ExprId e, std::vector<std::string_view> path) {
  if (path.empty()) return 0;
  const std::string_view wanted = path.back();
  path.pop_back();
  std::uint32_t steps = 0;
  for (std::size_t i = 0; i < tree_.kids(e).size(); ++i) {
    if (tree_.names(e)[i] == wanted)
      steps = steps_to(tree_.kids(e)[i], path);
    else
      walk(tree_.kids(e)[i]);
  }
  return steps;
}

void LevelChecker::walk_kids(ExprId e, std::size_t count) {
  for (const ExprId kid : tree_.kids(e).first(count)) walk(kid);
}

void LevelChecker::walk_has(ExprId e) {
  const ExprId base = tree_.kids(e)[0];
  TypeId type = what_.checker.type_of(base);
  std::uint32_t steps = 0;
  if (kind(type) == TypeKind::entity)
    steps = steps_to(base, {});
  else
    walk(base);
  bool from_record = kind(type) != TypeKind::entity;
  std::vector<std::string_view> path;  // names since the last entity, for what a record literal holds
  for (std::uint32_t i = 0; i < what_.checker.reached(e); ++i) {
    const std::string& name = tree_.names(e)[i];
    const AttributeType* found = nullptr;
    if (kind(type) == TypeKind::entity) {
      if (from_record && !path.empty()) {
        std::reverse(path.begin(), path.end());
        steps = steps_to(base, path);
        path.clear();
        from_record = false;
      }
      look(e, steps);
      const EntityTypeInfo* info = what_.schema.entity_type(what_.types.at(type).name);
      found = info == nullptr ? nullptr : types_.at(info->attributes).attribute(name);
      ++steps;
    } else if (kind(type) == TypeKind::record) {
      found = what_.types.at(type).attribute(name);
      if (from_record) path.push_back(name);
    }
    if (found == nullptr) return;
    type = found->type;
  }
}

void LevelChecker::walk(ExprId e) {
  const auto kids = tree_.kids(e);
  const std::uint32_t reached = what_.checker.reached(e);
  switch (tree_.op(e)) {
    case Op::and_:
    case Op::or_:
      return walk_kids(e, std::min<std::size_t>(reached, kids.size()));
    case Op::if_then_else:
      walk(kids[0]);
      if ((reached & 1U) != 0) walk(kids[1]);
      if ((reached & 2U) != 0) walk(kids[2]);
      return;
    case Op::is_in:
      if (reached < 2) return walk(kids[0]);
      look(e, steps_to(kids[0], {}));
      return walk(kids[1]);
    case Op::in:
      look(e, steps_to(kids[0], {}));
      return walk(kids[1]);
    case Op::has:
      return walk_has(e);
    case Op::get_attr:
      if (!is_entity(kids[0])) return walk(kids[0]);
      return look(e, steps_to(kids[0], {}));
    case Op::call:
      if (tree_.function(e) == Function::has_tag || tree_.function(e) == Function::get_tag) {
        look(e, steps_to(kids[0], {}));
        return walk(kids[1]);
      }
      return walk_kids(e, kids.size());
    default:
      return walk_kids(e, kids.size());
  }
}

}  // namespace

void check_level(const LevelCheck& what, std::vector<TypeProblem>& problems) {
  LevelChecker checker(what, problems);
  const std::size_t count = what.checker.reached_terms();
  for (std::size_t i = 0; i < count; ++i) checker.walk(what.policy.terms[i].expr);
}

}  // namespace daypass::cedar
