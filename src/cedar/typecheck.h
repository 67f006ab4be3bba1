// The strict type checker for one policy in one request environment. Internal to the room.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cedar/expr.h"
#include "cedar/schema.h"
#include "cedar/schema_type.h"

namespace daypass::cedar {

/// Numbers for expressions such that two get the same exactly when they are written alike, up to notation: `a != b` is
/// `!(a == b)`, `a > b` is `!(a <= b)`, the members of a record have no order.
class ExprShapes {
 public:
  explicit ExprShapes(const ExprTree& tree);

  [[nodiscard]] std::uint32_t of(ExprId e) const noexcept { return shapes_[e]; }
  /// The shape of `on.name`, which need not be in the tree.
  std::uint32_t attribute(std::uint32_t on, std::string_view name);
  /// The shape of the string literal `text`.
  std::uint32_t text(std::string_view text);

 private:
  std::uint32_t intern(std::string key);
  std::uint32_t node(Op op, std::span<const std::uint32_t> kids, std::string_view extra = {});
  std::uint32_t shape(const ExprTree& tree, ExprId e);
  std::uint32_t path(const ExprTree& tree, ExprId e);
  std::uint32_t record(const ExprTree& tree, ExprId e);

  std::unordered_map<std::string, std::uint32_t> by_key_;
  std::vector<std::uint32_t> shapes_;
};

/// That an expression has an attribute or a tag.
struct Capability {
  std::uint32_t on = 0;    ///< shape
  std::uint32_t name = 0;  ///< shape of the attribute's or tag's name
  bool tag = false;
  auto operator<=>(const Capability&) const = default;
};
/// Sorted, each once.
using Capabilities = std::vector<Capability>;

struct RequestEnvironment {
  std::string_view principal;  ///< entity types
  std::string_view resource;
  const ActionInfo* action = nullptr;
};

struct TypeProblem {
  Span span;
  std::string check;
  std::string message;
  std::string hint;
  bool operator==(const TypeProblem&) const = default;
};

/// One conjunct of what makes a policy apply. The first three are its head.
struct PolicyTerm {
  ExprId expr = 0;
  bool negated = false;  ///< an `unless`
};

class TypeChecker {
 public:
  static constexpr TypeId unknown = UINT32_MAX;

  struct Answer {
    bool good = true;       ///< false: a problem was found in it
    TypeId type = unknown;  ///< may be known even when it is not good
    Capabilities learned;   ///< what holds where it is true
  };

  static constexpr std::size_t scope_terms = 3;

  /// All must outlive this. `types` lies over the schema's table.
  TypeChecker(const Schema& schema, TypeTable& types, const ExprTree& tree, ExprShapes& shapes)
      : schema_(schema), types_(types), tree_(tree), shapes_(shapes) {}

  /// The type of all terms joined by `&&`; problems are appended to `problems`.
  Answer check(const RequestEnvironment& environment, std::span<const PolicyTerm> terms,
               std::vector<TypeProblem>& problems);

  // What the last check saw, for whoever walks the policy after it.
  /// The type of a part, unknown when the part can't be reached.
  [[nodiscard]] TypeId type_of(ExprId e) const noexcept { return seen_[e]; }
  /// For && and ||: how many operands can be reached. For if: 1 only the first branch, 2 only the second, 3 both.
  [[nodiscard]] std::uint32_t reached(ExprId e) const noexcept { return reached_[e]; }
  /// How many terms can be reached.
  [[nodiscard]] std::size_t reached_terms() const noexcept { return reached_terms_; }

 private:
  // What an operand may be; bits.
  using Expected = std::uint32_t;
  using Hint = std::string (*)(TypeKind actual);
  enum : Expected {
    boolean = 1,
    long_ = 2,
    string = 4,
    entity = 8,
    record = 16,
    any_set = 32,
    entity_set = 64,
    decimal = 128,
    ipaddr = 256,
    datetime = 512,
    duration = 1024,
  };

  Answer check(const Capabilities& prior, ExprId e);
  Answer check_node(const Capabilities& prior, ExprId e);
  Answer expect(const Capabilities& prior, ExprId e, Expected expected, Hint hint = nullptr);
  Answer restrict(Answer actual, Span at, Expected expected, Hint hint);
  [[nodiscard]] bool fits(TypeId type, Expected expected) const noexcept;
  static std::string names_of(Expected expected);

  // The rules, in the file of logic.
  Answer both(const Answer& left, const Answer& right) const;
  Answer either(const Answer& left, const Answer& right) const;
  Answer all_of(const Capabilities& prior, ExprId e);
  Answer any_of(const Capabilities& prior, ExprId e);
  Answer branch(const Capabilities& prior, ExprId e);
  Answer negation(Answer operand) const;
  Answer variable(Op op);
  Answer literal(ExprId e);
  Answer set(const Capabilities& prior, ExprId e);
  Answer record_of(const Capabilities& prior, ExprId e);

  // The file of operators.
  Answer equality(const Capabilities& prior, ExprId e);
  Answer order(const Capabilities& prior, ExprId e);
  Answer arithmetic(const Capabilities& prior, ExprId e);
  Answer in(const Capabilities& prior, ExprId e, ExprId left, ExprId right);
  TypeId type_of_in(ExprId left, ExprId right, TypeId left_type, TypeId right_type);
  Answer is(const Capabilities& prior, ExprId e);
  Answer is_in(const Capabilities& prior, ExprId e);
  Answer has(const Capabilities& prior, ExprId e);
  Answer has_one(const Capabilities& prior, const Answer& on, std::uint32_t shape, const std::string& name);
  Answer get_attribute(const Capabilities& prior, ExprId e);
  Answer attribute_of(const Capabilities& prior, const Answer& on, std::uint32_t shape, const std::string& name,
                      Span at, ExprId base);
  Answer call(const Capabilities& prior, ExprId e);
  Answer set_method(const Capabilities& prior, ExprId e);
  Answer tag_method(const Capabilities& prior, ExprId e);
  Answer extension_call(const Capabilities& prior, ExprId e);
  bool constructor_argument(ExprId e);

  [[nodiscard]] const std::vector<AttributeType>* attributes(TypeId type) const noexcept;
  [[nodiscard]] const AttributeType* attribute(TypeId type, std::string_view name) const noexcept;
  [[nodiscard]] std::optional<TypeId> tags(TypeId type) const noexcept;
  /// The entity that a literal or the action variable stands for; nullptr for anything else.
  [[nodiscard]] const EntityUid* known_entity(ExprId e) const noexcept;
  [[nodiscard]] const Value* known_value(ExprId e) const noexcept;
  [[nodiscard]] bool action_type_in(std::string_view descendant, std::string_view ancestor) const noexcept;
  [[nodiscard]] std::string described(ExprId e, TypeId type) const;
  void problem(Span at, std::string check, std::string message, std::string hint = {});
  void incompatible(Span at, TypeId left, TypeId right, std::string_view where);
  /// Whether values of the two types may be compared.
  bool comparable(Span at, TypeId left, TypeId right, std::string_view where);

  const Schema& schema_;
  TypeTable& types_;
  const ExprTree& tree_;
  ExprShapes& shapes_;
  RequestEnvironment environment_;
  Value action_value_;
  std::vector<TypeProblem>* problems_ = nullptr;
  std::vector<TypeId> seen_;
  std::vector<std::uint32_t> reached_;
  std::size_t reached_terms_ = 0;
};

}  // namespace daypass::cedar
