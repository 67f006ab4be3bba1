// Random policies, entities and requests that meet one another: a small vocabulary, mostly well typed, each step wrong
// now and then. For the tests and the fuzzer that ask two evaluators.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "cedar/cedar.h"

namespace daypass::cedar::testing {

class DecideGenerator {
 public:
  /// `below(n)` gives the next choice of n: by a seed or by a fuzzer's bytes.
  explicit DecideGenerator(std::function<std::size_t(std::size_t)> below) : below_(std::move(below)) {}

  /// Policy text.
  std::string policies();
  Entities entities();
  Request request();

 private:
  enum class Type { boolean, number, text, entity, set, record, decimal, ip, datetime, duration };
  static constexpr std::size_t types = 10;

  std::size_t below(std::size_t n) { return below_(n); }
  Type any_type() { return static_cast<Type>(below(types)); }
  bool chance(std::size_t percent) { return below(100) < percent; }
  std::string pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

  EntityUid uid();
  EntityUid action_uid();
  Value value(Type type, std::size_t depth);
  Record record(std::size_t depth);
  std::string scope(const std::string& variable);
  std::string action_scope();
  std::string policy();
  std::string expression(std::size_t depth, Type type);
  std::string boolean(std::size_t depth);
  std::string operand(std::size_t depth);
  std::string attribute(std::size_t depth, Type type);
  std::string constructor(Type type);
  std::string number(std::size_t depth);
  std::string extension_call(std::size_t depth);

  std::function<std::size_t(std::size_t)> below_;
};

// Few names are common, so that what is written about an entity often meets it.
inline EntityUid DecideGenerator::uid() {
  return {chance(70) ? pick({"User", "Group"}) : pick({"Doc", "A::B", "Action"}),
          chance(75) ? pick({"a", "b"}) : pick({"c", "d", "", "x \"y"})};
}
inline EntityUid DecideGenerator::action_uid() {
  return {chance(90) ? "Action" : "A::Action", pick({"a", "b", "c"})};
}

inline Value DecideGenerator::value(Type type, std::size_t depth) {
  switch (type) {
    case Type::boolean:
      return Value::boolean(chance(50));
    case Type::number: {
      constexpr std::int64_t numbers[] = {0, 1, -1, 2, 7, INT64_MAX, INT64_MIN};
      return Value::long_(numbers[below(7)]);
    }
    case Type::text:
      return Value::string(pick({"", "a", "ab", "xaby", "é", "n", "10.0.0.1"}));
    case Type::entity:
      return Value::entity(uid());
    case Type::set: {
      std::vector<Value> elements;
      for (std::size_t n = depth == 0 ? 0 : below(4); n > 0; --n) elements.push_back(value(any_type(), depth - 1));
      return Value::set(std::move(elements));
    }
    case Type::record:
      return Value::record(depth == 0 ? Record() : record(depth - 1));
    case Type::decimal:
      return Value::decimal_scaled(static_cast<std::int64_t>(below(4)) * 5000);
    case Type::ip:
      return Value::ipaddr(pick({"10.0.0.1", "10.0.0.0/8", "::1", "224.0.0.1"})).value();
    case Type::datetime: {
      constexpr std::int64_t instants[] = {0, 86'400'000, -1, INT64_MAX, INT64_MIN};
      return Value::datetime(instants[below(5)]);
    }
    default:
      return Value::duration(std::chrono::milliseconds(chance(80) ? 3'600'000 : INT64_MAX));
  }
}

inline Record DecideGenerator::record(std::size_t depth) {
  Record out;
  const std::vector<std::string> keys = {"b", "n", "s", "e", "set", "r", "d", "ip", "dt", "du", "if"};
  // Named in the order of the types, and mostly of that type.
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (chance(75)) out.insert_or_assign(keys[i], value(chance(90) ? static_cast<Type>(i % types) : any_type(), depth));
  return out;
}

inline Entities DecideGenerator::entities() {
  std::vector<Entity> all;
  std::vector<EntityUid> named;
  for (std::size_t n = below(9); n > 0; --n) {
    Entity one;
    one.uid = chance(85) ? uid() : action_uid();
    if (std::ranges::find(named, one.uid) != named.end()) continue;
    one.attrs = record(2);
    if (chance(50)) one.tags = record(1);
    named.push_back(one.uid);
    all.push_back(std::move(one));
  }
  // Parents come later in the list or are not in it: no cycles, and chains as long as the list.
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t n = below(3); n > 0; --n) {
      const EntityUid parent = i + 1 < all.size() && chance(80) ? all[i + 1 + below(all.size() - i - 1)].uid : uid();
      const bool above = std::find(named.begin(), named.begin() + static_cast<std::ptrdiff_t>(i) + 1, parent) ==
                         named.begin() + static_cast<std::ptrdiff_t>(i) + 1;
      const bool mixed = all[i].uid.type.ends_with("Action") && !parent.type.ends_with("Action");
      if (above && !mixed) all[i].parents.push_back(parent);
    }
  return Entities::build(std::move(all)).value();
}

inline Request DecideGenerator::request() {
  EntityUid action = chance(90) ? action_uid() : uid();
  return {uid(), std::move(action), uid(), record(2)};
}

inline std::string DecideGenerator::policies() {
  std::string out;
  // Now and then many, so that every name is common.
  for (std::size_t n = below(100) >= 95 ? 120 : below(8) + 1; n > 0; --n) out += policy();
  return out;
}

inline std::string DecideGenerator::policy() {
  std::string out = chance(70) ? "permit(" : "forbid(";
  out += scope("principal") + ", " + action_scope() + ", " + scope("resource") + ")";
  for (std::size_t n = below(3); n > 0; --n)
    out += (chance(70) ? "\nwhen { " : "\nunless { ") + expression(below(4) + 1, Type::boolean) + " }";
  return out + ";\n";
}

inline std::string DecideGenerator::scope(const std::string& variable) {
  const std::string type = pick({"User", "Group", "Doc", "A::B"});
  switch (below(9)) {
    case 0:
      return variable + " == " + uid().to_string();
    case 1:
      return variable + " is " + type;
    case 2:
      return variable + " is " + type + " in " + uid().to_string();
    case 3:
    case 4:
      return variable + " in " + uid().to_string();
    default:
      return variable;
  }
}

inline std::string DecideGenerator::action_scope() {
  switch (below(6)) {
    case 0:
      return "action == " + action_uid().to_string();
    case 1:
      return "action in " + action_uid().to_string();
    case 2: {
      std::string list;
      for (std::size_t n = below(4); n > 0; --n) list += action_uid().to_string() + (n > 1 ? ", " : "");
      return "action in [" + list + "]";
    }
    default:
      return "action";
  }
}

inline std::string DecideGenerator::attribute(std::size_t depth, Type type) {
  const std::vector<std::string> names = {"b", "n", "s", "e", "set", "r", "d", "ip", "dt", "du"};
  const std::string of =
      depth > 0 && chance(20) ? operand(depth - 1) : pick({"principal", "resource", "context", "action", "context.r"});
  const std::string key = names[chance(92) ? static_cast<std::size_t>(type) : below(names.size())];
  if (chance(10)) return of + ".getTag(\"" + key + "\")";
  return chance(10) ? of + "[\"" + key + "\"]" : of + "." + key;
}

inline std::string DecideGenerator::constructor(Type type) {
  switch (type) {
    case Type::decimal:
      return "decimal(\"" + pick({"1.0", "0.5", "-0.5", "922337203685477.5807", "1"}) + "\")";
    case Type::ip:
      return "ip(\"" + pick({"10.0.0.1", "10.0.0.0/8", "::1", "127.0.0.1", "224.0.0.1/4", "zz"}) + "\")";
    case Type::datetime:
      return "datetime(\"" + pick({"1970-01-01", "1970-01-02", "1969-12-31T23:59:59Z", "1970"}) + "\")";
    default:
      return "duration(\"" + pick({"1h", "1d", "-1ms", "9223372036854775807ms", "1x"}) + "\")";
  }
}

inline std::string DecideGenerator::number(std::size_t depth) {
  if (depth > 0 && chance(40)) {
    const std::string op = pick({" + ", " - ", " * "});
    return "(" + expression(depth - 1, Type::number) + op + expression(depth - 1, Type::number) +
           (chance(20) ? op + expression(depth - 1, Type::number) : "") + ")";
  }
  if (depth > 0 && chance(10)) return "(-(" + operand(depth - 1) + "))";
  if (depth > 0 && chance(10))
    return expression(depth - 1, Type::duration) + "." + pick({"toDays", "toSeconds", "toMilliseconds"}) + "()";
  return pick({"0", "1", "2", "7", "(-1)", "9223372036854775807", "(-9223372036854775808)"});
}

inline std::string DecideGenerator::operand(std::size_t depth) {
  return expression(depth, any_type());
}

inline std::string DecideGenerator::extension_call(std::size_t depth) {
  const auto of = [&](Type type) { return expression(depth, type); };
  switch (below(6)) {
    case 0:
      return of(Type::ip) + "." + pick({"isIpv4", "isIpv6", "isLoopback", "isMulticast"}) + "()";
    case 1:
      return of(Type::ip) + ".isInRange(" + of(Type::ip) + ")";
    case 2:
      return of(Type::decimal) + "." + pick({"lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"}) +
             "(" + of(Type::decimal) + ")";
    case 3:
      return of(Type::datetime) + ".offset(" + of(Type::duration) + ") " + pick({"==", "<", ">="}) + " " +
             of(Type::datetime);
    case 4:
      return of(Type::datetime) + ".durationSince(" + of(Type::datetime) + ") <= " + of(Type::duration);
    default:
      return of(Type::datetime) + "." + pick({"toDate() == ", "toTime() < "}) + of(Type::datetime);
  }
}

inline std::string DecideGenerator::boolean(std::size_t depth) {
  if (depth == 0) return pick({"true", "false", "context.b", "principal.b", "(principal has n)", "(context has r.n)"});
  const auto part = [&](Type type) { return expression(depth - 1, type); };
  switch (below(16)) {
    case 0:
    case 1:
      return "(" + part(Type::boolean) + pick({" && ", " || "}) + part(Type::boolean) + ")";
    case 2:
      return "(" + part(Type::boolean) + " && " + part(Type::boolean) + " && " + part(Type::boolean) + ")";
    case 3:
      return "!" + part(Type::boolean);
    case 4: {
      const auto type = any_type();
      return "(" + part(type) + pick({" == ", " != "}) + part(type) + ")";
    }
    case 5:
      return "(" + pick({"principal", "resource", "action", "context.e"}) + pick({" == ", " != ", " in "}) +
             uid().to_string() + ")";
    case 6: {
      const Type type = chance(60) ? Type::number : chance(50) ? Type::datetime : Type::duration;
      return "(" + part(type) + pick({" < ", " <= ", " > ", " >= "}) + part(type) + ")";
    }
    case 7:
      return "(" + part(Type::entity) + " in " + (chance(50) ? part(Type::entity) : part(Type::set)) + ")";
    case 8:
      return "(" + operand(depth - 1) + " has " + pick({"n", "r.n", "e.r.n", "s", "\"if\"", "e.e"}) + ")";
    case 9:
      return "(" + part(Type::text) + " like " + pick({"\"*a*\"", "\"a*\"", "\"*\"", "\"\"", "\"é\"", "\"\\*\""}) + ")";
    case 10:
      return "(" + part(Type::entity) + " is " + pick({"User", "Doc", "A::B"}) +
             (chance(50) ? " in " + part(chance(60) ? Type::entity : Type::set) : "") + ")";
    case 11:
      return part(Type::set) + pick({".contains(", ".containsAll(", ".containsAny("}) +
             (chance(50) ? operand(depth - 1) : part(Type::set)) + ")";
    case 12:
      return part(Type::set) + ".isEmpty()";
    case 13:
      return part(Type::entity) + ".hasTag(" + (chance(70) ? "\"n\"" : part(Type::text)) + ")";
    case 14:
      return "(" + extension_call(depth - 1) + ")";
    default:
      return attribute(depth, Type::boolean);
  }
}

// Always something that a member or an operator may follow.
inline std::string DecideGenerator::expression(std::size_t depth, Type type) {
  if (chance(4)) type = any_type();
  if (depth > 0 && chance(5))
    return "(if " + expression(depth - 1, Type::boolean) + " then " + expression(depth - 1, type) + " else " +
           expression(depth - 1, type) + ")";
  if (type != Type::boolean && chance(40)) return attribute(depth, type);
  switch (type) {
    case Type::boolean:
      return boolean(depth);
    case Type::number:
      return number(depth);
    case Type::text:
      return pick({"\"\"", "\"a\"", "\"ab\"", "\"xaby\"", "\"é\"", "\"n\""});
    case Type::entity:
      return chance(50) ? pick({"principal", "resource", "action"}) : uid().to_string();
    case Type::set: {
      std::string list;
      const auto of = static_cast<Type>(chance(50) ? static_cast<std::size_t>(Type::entity) : below(types));
      for (std::size_t n = below(4); n > 0; --n)
        list += (depth == 0 ? uid().to_string() : expression(depth - 1, of)) + (n > 1 ? ", " : "");
      return "[" + list + "]";
    }
    case Type::record:
      if (depth == 0 || chance(40)) return "context";
      return "{n: " + expression(depth - 1, Type::number) + ", e: " + expression(depth - 1, Type::entity) + "}";
    default:
      return constructor(type);
  }
}

}  // namespace daypass::cedar::testing
