// Runs a policy's code. Only whether it errs is told here; the reference evaluator says what and where when it is
// asked.
#include <algorithm>

#include "cedar/compile_impl.h"
#include "cedar/evaluate.h"

namespace daypass::cedar {

Slot Slot::of(const Value& value) noexcept {
  Slot out;
  const auto& inner = value.inner_;
  switch (inner.index()) {
    case 0:
      out.number = *std::get_if<bool>(&inner) ? 1 : 0;
      break;
    case 1:
      out.kind = std::get_if<1>(&inner)->kind;
      out.number = std::get_if<1>(&inner)->number;
      break;
    case 2:
      out.kind = Value::Kind::string;
      out.text = std::get_if<2>(&inner)->get();
      break;
    case 3:
      out.kind = Value::Kind::entity;
      out.uid = std::get_if<3>(&inner)->get();
      break;
    case 4:
      out.kind = Value::Kind::set;
      out.set = std::get_if<4>(&inner)->get();
      break;
    case 5:
      out.kind = Value::Kind::record;
      out.record = std::get_if<5>(&inner)->get();
      break;
    default:
      out.kind = Value::Kind::ipaddr;
      out.address = std::get_if<6>(&inner)->get();
      break;
  }
  return out;
}

Value Slot::borrow() const {
  const auto lent = [](const auto* pointer) {
    using T = std::remove_pointer_t<decltype(pointer)>;
    return Value(Value::Inner(std::shared_ptr<T>(std::shared_ptr<void>(), pointer)));
  };
  switch (kind) {
    case Value::Kind::boolean:
      return Value::boolean(number != 0);
    case Value::Kind::string:
      return lent(text);
    case Value::Kind::entity:
      return lent(uid);
    case Value::Kind::set:
      return lent(set);
    case Value::Kind::record:
      return lent(record);
    case Value::Kind::ipaddr:
      return lent(address);
    default:
      return Value(Value::Inner(Value::Scalar{kind, number}));
  }
}

bool Slot::equals(const Slot& other) const noexcept {
  if (kind != other.kind) return false;
  switch (kind) {
    case Value::Kind::string:
      return text == other.text || *text == *other.text;
    case Value::Kind::entity:
      return uid == other.uid || *uid == *other.uid;
    case Value::Kind::set:
      return set == other.set || *set == *other.set;
    case Value::Kind::record:
      return record == other.record || *record == *other.record;
    case Value::Kind::ipaddr:
      return *address == *other.address;
    default:
      return number == other.number;
  }
}

/// One run of one policy's code. Operations return false when they err.
class Machine {
 public:
  Machine(const Program& program, Scratch::Parts& scratch, const Entities& entities)
      : program_(program), scratch_(scratch), entities_(entities), top_(scratch.stack.data()) {}

  Outcome run(const Instruction* code) {
    for (const Instruction* at = code;;) {
      const Instruction& now = *at++;
      bool good = true;
      switch (now.opcode) {
        case Opcode::constant:
          *++top_ = program_.constants_[now.a];
          break;
        case Opcode::variable:
          *++top_ = scratch_.variables[static_cast<std::size_t>(now.variable)];
          break;
        case Opcode::attribute: {
          const Value* found = attribute(now);
          if (found == nullptr) return Outcome::erred;
          *++top_ = Slot::of(*found);
          break;
        }
        case Opcode::attribute_is: {
          const Value* found = attribute(now);
          if (found == nullptr) return Outcome::erred;
          *++top_ = Slot::of(Slot::of(*found).equals(program_.constants_[now.b]));
          break;
        }
        case Opcode::has_variable:
          *++top_ = Slot::of(attribute(now) != nullptr);
          break;
        case Opcode::within:
          *++top_ = Slot::of(scratch_.probe.within(place(now), now.a));
          break;
        case Opcode::is_uid:
          *++top_ = Slot::of(scratch_.probe.is(place(now), now.a));
          break;
        case Opcode::equal_constant:
          *top_ = Slot::of(top_->equals(program_.constants_[now.b]));
          break;
        case Opcode::jump:
          at = code + now.b;
          break;
        case Opcode::jump_unless:
          if (!is_bool(*top_)) return Outcome::erred;
          if ((top_--)->number == 0) at = code + now.b;
          break;
        case Opcode::and_:
        case Opcode::or_:
          if (!is_bool(*top_)) return Outcome::erred;
          if ((top_->number != 0) == (now.opcode == Opcode::or_))
            at = code + now.b;
          else
            --top_;
          break;
        case Opcode::is_jump:
          if (top_->kind != Value::Kind::entity) return Outcome::erred;
          if (top_->uid->type == *program_.names_[now.a]) break;
          *top_ = Slot::of(false);
          at = code + now.b;
          break;
        case Opcode::check_bool:
          good = is_bool(*top_);
          break;
        case Opcode::raise:
          return Outcome::erred;
        case Opcode::when:
        case Opcode::unless:
          if (!is_bool(*top_)) return Outcome::erred;
          if (((top_--)->number != 0) == (now.opcode == Opcode::unless)) return Outcome::no;
          break;
        case Opcode::done:
          return Outcome::yes;
        default:
          good = operation(now);
          break;
      }
      if (!good) return Outcome::erred;
    }
  }

 private:
  static bool is_bool(const Slot& slot) noexcept { return slot.kind == Value::Kind::boolean; }
  static ScopeIndex::Place place(const Instruction& now) noexcept {
    return static_cast<ScopeIndex::Place>(now.variable);
  }

  // nullptr when the variable has no such attribute, or is an entity that is not in the store.
  [[nodiscard]] const Value* attribute(const Instruction& now) const noexcept {
    return member(scratch_.attributes[static_cast<std::size_t>(now.variable)], *program_.names_[now.a]);
  }
  static const Value* member(const Record* of, const std::string& name) noexcept {
    if (of == nullptr) return nullptr;
    const auto found = of->find(name);
    return found == of->end() ? nullptr : &found->second;
  }
  // False when `of` has no attributes; `attributes` is nullptr for an entity that is not in the store.
  [[nodiscard]] bool attributes_of(const Slot& of, const Record*& attributes) const noexcept {
    if (of.kind == Value::Kind::record) {
      attributes = of.record;
      return true;
    }
    if (of.kind != Value::Kind::entity) return false;
    const Entity* entity = entities_.find(*of.uid);
    attributes = entity == nullptr ? nullptr : &entity->attrs;
    return true;
  }

  bool operation(const Instruction& now) {
    switch (now.opcode) {
      case Opcode::equal:
        --top_;
        *top_ = Slot::of(top_[0].equals(top_[1]));
        return true;
      case Opcode::less:
      case Opcode::less_equal:
      case Opcode::greater:
      case Opcode::greater_equal:
        return order(now.opcode);
      case Opcode::add:
      case Opcode::sub:
      case Opcode::mul:
        return arithmetic(now.opcode);
      case Opcode::not_:
        if (!is_bool(*top_)) return false;
        top_->number ^= 1;
        return true;
      case Opcode::negate: {
        std::int64_t number = 0;
        if (top_->kind != Value::Kind::integer || __builtin_sub_overflow(std::int64_t{0}, top_->number, &number))
          return false;
        top_->number = number;
        return true;
      }
      case Opcode::get: {
        const Record* attributes = nullptr;
        if (!attributes_of(*top_, attributes)) return false;
        const Value* found = member(attributes, *program_.names_[now.a]);
        if (found == nullptr) return false;
        *top_ = Slot::of(*found);
        return true;
      }
      case Opcode::has:
        return has(now);
      case Opcode::in:
        --top_;
        return in(top_[0], top_[1]);
      case Opcode::is:
        if (top_->kind != Value::Kind::entity) return false;
        *top_ = Slot::of(top_->uid->type == *program_.names_[now.a]);
        return true;
      case Opcode::like:
        if (top_->kind != Value::Kind::string) return false;
        *top_ = Slot::of(program_.patterns_[now.a]->matches(*top_->text));
        return true;
      case Opcode::call:
        return call(static_cast<Function>(now.a), now.b);
      case Opcode::set: {
        std::vector<Value> elements;
        elements.reserve(now.a);
        for (const Slot& slot : take(now.a)) elements.push_back(slot.borrow());
        return push_made(Value::set(std::move(elements)));
      }
      case Opcode::record: {
        Record members;
        const auto values = take(now.b);
        for (std::uint32_t i = 0; i < now.b; ++i)
          members.insert_or_assign(*program_.names_[now.a + i], values[i].borrow());
        return push_made(Value::record(std::move(members)));
      }
      default:
        return false;  // run() has the others
    }
  }

  // The topmost ones, lowest first; what is behind them stays readable until the next push.
  std::span<const Slot> take(std::uint32_t count) noexcept {
    top_ -= count;
    return {top_ + 1, count};
  }
  bool push_made(Value value) {
    *++top_ = Slot::of(value);
    const auto kind = top_->kind;
    if (kind == Value::Kind::set || kind == Value::Kind::record || kind == Value::Kind::ipaddr)
      scratch_.made.push_back(std::move(value));
    return true;
  }

  bool order(Opcode opcode) noexcept {
    --top_;
    const Slot& left = top_[0];
    const Slot& right = top_[1];
    const bool ordered =
        left.kind == Value::Kind::integer || left.kind == Value::Kind::datetime || left.kind == Value::Kind::duration;
    if (!ordered || left.kind != right.kind) return false;
    const bool holds = opcode == Opcode::less         ? left.number < right.number
                       : opcode == Opcode::less_equal ? left.number <= right.number
                       : opcode == Opcode::greater    ? left.number > right.number
                                                      : left.number >= right.number;
    *top_ = Slot::of(holds);
    return true;
  }

  bool arithmetic(Opcode opcode) noexcept {
    --top_;
    if (top_[0].kind != Value::Kind::integer || top_[1].kind != Value::Kind::integer) return false;
    std::int64_t number = 0;
    const std::int64_t a = top_[0].number;
    const std::int64_t b = top_[1].number;
    const bool overflow = opcode == Opcode::add   ? __builtin_add_overflow(a, b, &number)
                          : opcode == Opcode::sub ? __builtin_sub_overflow(a, b, &number)
                                                  : __builtin_mul_overflow(a, b, &number);
    top_->number = number;
    return !overflow;
  }

  bool has(const Instruction& now) noexcept {
    for (std::uint32_t i = 0; i < now.b; ++i) {
      const Record* attributes = nullptr;
      if (!attributes_of(*top_, attributes)) return false;
      const Value* found = member(attributes, *program_.names_[now.a + i]);
      *top_ = found == nullptr ? Slot::of(false) : Slot::of(*found);
      if (found == nullptr) return true;
    }
    *top_ = Slot::of(true);
    return true;
  }

  // `left` is the top. One element that is no entity errs even when another one is a hit.
  bool in(Slot& left, const Slot& right) noexcept {
    if (left.kind != Value::Kind::entity) return false;
    if (right.kind == Value::Kind::entity) {
      left = Slot::of(entities_.is_in(*left.uid, *right.uid));
      return true;
    }
    if (right.kind != Value::Kind::set) return false;
    const auto& elements = *right.set;
    if (!std::ranges::all_of(elements, [](const Value& one) { return one.as_entity() != nullptr; })) return false;
    left = Slot::of(
        std::ranges::any_of(elements, [&](const Value& one) { return entities_.is_in(*left.uid, *one.as_entity()); }));
    return true;
  }

  bool call(Function function, std::uint32_t count) {
    const std::span<const Slot> arguments = take(count);
    switch (function) {
      case Function::contains:
      case Function::contains_all:
      case Function::contains_any:
      case Function::is_empty:
        return set_method(function, arguments);
      case Function::get_tag:
      case Function::has_tag:
        return tag_method(function, arguments);
      default:
        break;
    }
    std::vector<Value> values;
    values.reserve(count);
    for (const Slot& slot : arguments) values.push_back(slot.borrow());
    auto result = call_extension(function, values);
    return result.ok() && push_made(std::move(*result));
  }

  bool set_method(Function function, std::span<const Slot> arguments) {
    if (arguments[0].kind != Value::Kind::set) return false;
    const auto& set = *arguments[0].set;
    const auto holds = [&](const Value& element) { return std::ranges::binary_search(set, element); };
    bool out = false;
    if (function == Function::is_empty) {
      out = set.empty();
    } else if (function == Function::contains) {
      out = holds(arguments[1].borrow());
    } else {
      if (arguments[1].kind != Value::Kind::set) return false;
      const auto& other = *arguments[1].set;
      out = function == Function::contains_all ? std::ranges::all_of(other, holds) : std::ranges::any_of(other, holds);
    }
    *++top_ = Slot::of(out);
    return true;
  }

  bool tag_method(Function function, std::span<const Slot> arguments) noexcept {
    if (arguments[0].kind != Value::Kind::entity || arguments[1].kind != Value::Kind::string) return false;
    const Entity* entity = entities_.find(*arguments[0].uid);
    const Value* found = entity == nullptr ? nullptr : member(&entity->tags, *arguments[1].text);
    if (function == Function::get_tag && found == nullptr) return false;
    *++top_ = function == Function::has_tag ? Slot::of(found != nullptr) : Slot::of(*found);
    return true;
  }

  const Program& program_;
  Scratch::Parts& scratch_;
  const Entities& entities_;
  Slot* top_;  // the topmost value; the lowest slot holds none
};

Outcome Program::run(std::uint32_t policy, Scratch::Parts& scratch, const Entities& entities) const {
  const Outcome out = Machine(*this, scratch, entities).run(code_.data() + units_[policy].code);
  scratch.made.clear();
  return out;
}

}  // namespace daypass::cedar
