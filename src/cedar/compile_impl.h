// The compiled form of conditions: 16-byte values, instructions, and what one decision works in. Internal to the room.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cedar/compile.h"
#include "cedar/index.h"

namespace daypass::cedar {

/// A value that owns nothing: what it points to is held by the policies, the entities, the request or Scratch::made.
struct Slot {
  union {
    std::int64_t number = 0;  ///< bool (0, 1), long, decimal, datetime, duration
    const std::string* text;
    const EntityUid* uid;
    const std::vector<Value>* set;
    const Record* record;
    const IpAddr* address;
  };
  Value::Kind kind = Value::Kind::boolean;

  static Slot of(const Value& value) noexcept;
  static Slot of(bool value) noexcept {
    Slot out;
    out.number = value ? 1 : 0;
    return out;
  }
  static Slot of(std::int64_t value) noexcept {
    Slot out;
    out.number = value;
    out.kind = Value::Kind::integer;
    return out;
  }
  static Slot of(const EntityUid& uid) noexcept {
    Slot out;
    out.uid = &uid;
    out.kind = Value::Kind::entity;
    return out;
  }
  static Slot of(const Record& record) noexcept {
    Slot out;
    out.record = &record;
    out.kind = Value::Kind::record;
    return out;
  }
  /// As a Value that shares nothing and counts nothing; must not outlive what this points to.
  [[nodiscard]] Value borrow() const;
  [[nodiscard]] bool equals(const Slot& other) const noexcept;
};
static_assert(sizeof(Slot) == 16);

/// Values wait on a stack; an instruction takes its operands from the top and puts its result there.
enum class Opcode : std::uint8_t {
  constant,      // push constants[a]
  variable,      // push the variable
  attribute,     // push the variable's attribute names[a]
  attribute_is,  // push: that attribute == constants[b]
  has_variable,  // push: the variable has names[a]
  within,        // push: the variable in the uid numbered a
  is_uid,        // push: the variable == the uid numbered a
  get,           // attribute names[a] of the top
  has,           // path names[a … a+b) of the top
  equal,
  equal_constant,  // top == constants[b]
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  is,       // type names[a]
  is_jump,  // of another type than names[a]: false instead of the top, go to b
  like,     // patterns[a]
  not_,
  negate,
  add,
  sub,
  mul,
  check_bool,
  jump,         // go to b
  jump_unless,  // take a bool; false: go to b
  and_,         // false on top: keep it and go to b; else take it
  or_,          // true on top: likewise
  set,          // of the a topmost
  record,       // of the b topmost, named names[a …)
  call,         // function a with the b topmost
  raise,        // always errs
  when,         // take a bool; false: the policy does not apply
  unless,       // true: likewise
  done,         // the policy applies
};

enum class Variable : std::uint8_t { principal, action, resource, context };

struct Instruction {
  Opcode opcode = Opcode::raise;
  Variable variable = Variable::principal;
  std::uint32_t a = 0;
  std::uint32_t b = 0;  // jumps: from the start of the policy's code
};

enum class Outcome : std::uint8_t { no, yes, erred };

/// All policies' conditions. Points into the policies it was made from.
class Program {
 public:
  /// Uids that conditions test variables against get their numbers from `index`.
  Program(const PolicySet& policies, ScopeIndex& index);

  /// Takes no longer than the policy's code is long. `run` has been prepared for the request.
  [[nodiscard]] Outcome run(std::uint32_t policy, Scratch::Parts& scratch, const Entities& entities) const;
  [[nodiscard]] bool forbids(std::uint32_t policy) const noexcept { return units_[policy].forbid; }
  [[nodiscard]] std::size_t stack_size() const noexcept { return stack_size_; }

 private:
  friend class CodeWriter;
  friend class Machine;
  struct Unit {
    std::uint32_t code = 0;
    bool forbid = false;
  };
  std::vector<Unit> units_;
  std::vector<Instruction> code_;
  std::vector<Slot> constants_;
  std::vector<const std::string*> names_;
  std::vector<const Pattern*> patterns_;
  std::vector<Value> made_;  // constants that no policy holds
  std::size_t stack_size_ = 0;
};

struct Scratch::Parts {
  ScopeIndex::Probe probe;
  Slot variables[4];
  const Record* attributes[4] = {};  ///< of the variables; nullptr when the entity is not in the store
  std::vector<Slot> stack;
  std::vector<Value> made;  ///< what this policy's code made on the way
  std::vector<std::uint32_t> permits, forbids, erred;
};

}  // namespace daypass::cedar
