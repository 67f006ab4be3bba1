// The tree-walking evaluator: the plain reference for what an expression means. Internal to the room.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cedar/authorize.h"
#include "cedar/entities.h"
#include "cedar/expr.h"
#include "cedar/value.h"

namespace daypass::cedar {

/// Whether it belongs to an extension type; those check their argument count when they are called, not when parsed.
bool is_extension(Function function) noexcept;
/// Errors: "cedar.arity", "cedar.type", "cedar.overflow" and those of the constructors.
base::Result<Value> call_extension(Function function, std::span<const Value> arguments);

enum class Holds : std::uint8_t { no, yes, erred };

/// Evaluates against one request. Recursion is as deep as the tree is high, at most max_nesting.
class Evaluator {
 public:
  struct Failure {
    std::string message;
    Span span;
  };

  /// All must outlive this.
  Evaluator(const Entities& entities, const Request& request);

  /// False on an error, which failure() then tells.
  [[nodiscard]] bool evaluate(const ExprTree& tree, ExprId e, Value& out);
  /// The same, and the value must be a bool.
  [[nodiscard]] bool evaluate_bool(const ExprTree& tree, ExprId e, bool& out);
  /// Cannot fail.
  [[nodiscard]] bool holds(const ScopeTest& test, const EntityUid& uid) const noexcept;
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

 private:
  bool logic(const ExprTree& tree, ExprId e, Value& out);
  bool branch(const ExprTree& tree, ExprId e, Value& out);
  bool arithmetic(const ExprTree& tree, ExprId e, Value& out);
  bool unary(const ExprTree& tree, ExprId e, Value& out);
  bool relation(const ExprTree& tree, ExprId e, Value& out);
  bool order(const ExprTree& tree, ExprId e, const Value& left, const Value& right, Value& out);
  bool in(const ExprTree& tree, ExprId e, const Value& left, const Value& right, Value& out);
  bool is(const ExprTree& tree, ExprId e, Value& out);
  bool has(const ExprTree& tree, ExprId e, Value& out);
  bool get_attr(const ExprTree& tree, ExprId e, Value& out);
  bool like(const ExprTree& tree, ExprId e, Value& out);
  bool call(const ExprTree& tree, ExprId e, Value& out);
  bool set_method(const ExprTree& tree, ExprId e, Value& out);
  bool tag_method(const ExprTree& tree, ExprId e, Value& out);
  bool set(const ExprTree& tree, ExprId e, Value& out);
  bool record(const ExprTree& tree, ExprId e, Value& out);
  /// The attributes of a record or entity; a missing entity gives nullptr in `attrs` and true.
  bool attributes(const ExprTree& tree, ExprId e, const Value& of, const Record*& attrs);
  bool fail(const ExprTree& tree, ExprId e, std::string message);
  bool type_error(const ExprTree& tree, ExprId e, std::string_view expected, const Value& got);

  const Entities& entities_;
  Value principal_, action_, resource_, context_;
  Failure failure_;
};

/// A policy's conditions in order, up to the first that does not hold or errs; evaluator.failure() then tells.
Holds conditions_hold(const Policy& policy, Evaluator& evaluator);
PolicyError error_of(const Policy& policy, const Evaluator::Failure& failure);

}  // namespace daypass::cedar
