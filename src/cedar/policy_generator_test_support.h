// Random policies, templates, links, entities and requests for tests that ask two engines: untyped, every construct,
// odd strings and numbers. Most of it evaluates to something; some of it errs.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cedar/value.h"

namespace daypass::cedar::testing {

class PolicyGenerator {
 public:
  explicit PolicyGenerator(std::uint64_t seed) : random_(seed) {}

  /// `permit(…) when { … };`, with slots when asked for.
  std::string policy(bool slots) {
    slotted_ = false;
    std::string out;
    if (chance(20)) out += "@a" + std::string(chance(50) ? "" : "(" + quote(odd()) + ")") + "\n";
    if (chance(10)) out += "@if(\"\") ";
    out += chance(65) ? "permit(" : "forbid(";
    out += scope("principal", slots) + ", " + action() + ", ";
    out += scope("resource", slots && !slotted_) + ")";
    for (std::size_t n = below(3); n > 0; --n) out += (chance(75) ? " when { " : " unless { ") + boolean(4) + " }";
    return out + ";";
  }

  std::string uid_json() {
    return R"({"type":")" + std::string(chance(60) ? "User" : pick({"Group", "N::Doc"})) + R"(","id":")" +
           pick({"a", "b", "g", "top"}) + "\"}";
  }
  std::string entities() {
    std::string out = "[";
    for (const auto* id : {"a", "b"})
      out += R"({"uid":{"type":"User","id":")" + std::string(id) + R"("},"parents":[{"type":"Group","id":")" +
             pick({"g", "top"}) + R"("}],"attrs":)" + record(2) + R"(,"tags":{"t":)" + value(1) + "}},";
    out += R"({"uid":{"type":"Group","id":"g"},"parents":[{"type":"Group","id":"top"}],"attrs":)" + record(1) + "},";
    out += R"({"uid":{"type":"N::Doc","id":"a"},"parents":[],"attrs":)" + record(2) + "}]";
    return out;
  }
  std::string request() {
    return R"({"principal":)" + uid_json() + R"(,"action":{"type":"Action","id":")" + pick({"view", "edit"}) +
           R"("},"resource":)" + uid_json() + R"(,"context":)" + record(2) + "}";
  }

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
  bool chance(unsigned percent) { return below(100) < percent; }
  std::string pick(std::initializer_list<std::string_view> from) {
    return std::string(*(from.begin() + below(from.size())));
  }

  /// A string's contents: letters, quotes, control characters, several scripts, what looks like an escape.
  std::string odd() {
    std::string out;
    for (std::size_t n = below(5); n > 0; --n)
      out += pick({"a", "b",  "x",          "*",      "\"",   "\\",   "\n",     "\t", "\r",       "'", "/", "~",
                   "é", "漢", "\U0001f600", "\u202e", "\x01", "\x7f", "\u0080", "{",  "__entity", "?", " "});
    return out;
  }

 private:
  std::string scope(const std::string& variable, bool slots) {
    const bool slot = slots && chance(70);
    slotted_ = slotted_ || slot;
    const std::string target = slot ? "?" + variable : entity();
    switch (slot ? 1 + below(3) : below(5)) {
      case 1:
        return variable + " == " + target;
      case 2:
        return variable + " in " + target;
      case 3:
        return variable + " is " + pick({"User", "Group", "N::Doc"}) + " in " + target;
      case 4:
        return variable + " is " + pick({"User", "N::Doc"});
      default:
        return variable;
    }
  }
  std::string action() {
    switch (below(5)) {
      case 0:
        return "action == Action::\"view\"";
      case 1:
        return "action in Action::\"view\"";
      case 2:
        return "action in [Action::\"view\", Action::\"edit\"]";
      case 3:
        return chance(20) ? "action in []" : "action";
      default:
        return "action";
    }
  }
  std::string entity() {
    return pick({"User", "User", "Group", "N::Doc"}) + "::" + quote(chance(90) ? pick({"a", "b", "g", "top"}) : odd());
  }
  std::string key() { return pick({"n", "m", "s", "b", "r", "e", "set", "if", "a b", "", "like"}); }
  std::string access(const std::string& base) {
    const auto name = key();
    const bool plain =
        name == "n" || name == "m" || name == "s" || name == "b" || name == "r" || name == "e" || name == "set";
    return plain ? base + "." + name : base + "[" + quote(name) + "]";
  }
  std::string path(std::size_t depth) {
    std::string out(pick({"principal", "resource", "context", "context", "context.r", "action"}));
    if (depth > 0 && chance(10)) out = "(" + any(depth - 1) + ")";
    for (std::size_t n = 1 + below(2); n > 0; --n) out = access(out);
    return out;
  }
  std::string integer() {
    if (chance(80)) return std::to_string(static_cast<int>(below(10)) - 3);
    return pick({"9007199254740991", "-9007199254740991", "1000000000000", "-(1)", "--1", "- 5"});
  }
  std::string boolean(std::size_t depth) {
    if (depth == 0) return pick({"true", "false", "context.b", "principal has n"});
    switch (below(16)) {
      case 0:
        return boolean(depth - 1) + " && " + factor(depth - 1);
      case 1:
        return "(" + boolean(depth - 1) + ") || " + factor(depth - 1) + " || " + factor(depth - 1);
      case 2:
        return "!" + std::string(chance(30) ? "!" : "") + "(" + boolean(depth - 1) + ")";
      case 3:
        return number(depth - 1) + pick({" < ", " <= ", " > ", " >= ", " == ", " != "}) + number(depth - 1);
      case 4:
        return "(" + any(depth - 1) + ") " + pick({"==", "!="}) + " (" + any(depth - 1) + ")";
      case 5:
        return text(depth - 1) + " like \"" + pattern() + "\"";
      case 6:
        return pick({"principal", "resource", "context", "context.r"}) + " has " + has_right();
      case 7:
        return pick({"principal", "resource", "context.e"}) + " in " +
               (chance(50) ? entity() : "[" + entity() + ", " + (chance(95) ? entity() : "1") + "]");
      case 8:
        return pick({"principal", "resource", "context.e"}) + " is " +
               pick({"User", "Group in Group::\"top\"", "User in Group::\"g\"", "N::Doc"});
      case 9:
        return set(depth - 1) + "." + pick({"contains", "containsAll", "containsAny"}) + "(" +
               (chance(50) ? set(depth - 1) : any(depth - 1)) + ")";
      case 10:
        return set(depth - 1) + ".isEmpty()";
      case 11:
        return pick({"principal", "resource"}) + ".hasTag(" + (chance(80) ? "\"t\"" : text(0)) + ")";
      case 12:
        return extension_test();
      case 13:
        return "if " + boolean(depth - 1) + " then " + boolean(depth - 1) + " else " + boolean(depth - 1);
      case 14:
        return "(" + path(depth - 1) + " has " + has_right() + ") == " + (chance(50) ? "true" : "false");
      default:
        return chance(50) ? "true" : path(depth - 1);
    }
  }
  std::string factor(std::size_t depth) { return "(" + boolean(depth) + ")"; }
  std::string has_right() {
    if (chance(40)) return quote(key());
    std::string out(pick({"n", "r", "s", "e"}));
    for (std::size_t n = below(3); n > 0; --n) out += "." + pick({"n", "r", "s"});
    return out;
  }
  std::string number(std::size_t depth) {
    if (depth == 0 || chance(40)) return chance(60) ? integer() : path(0);
    switch (below(6)) {
      case 0:
        return number(depth - 1) + " + " + number(depth - 1);
      case 1:
        return "(" + number(depth - 1) + ") - (" + number(depth - 1) + ")";
      case 2:
        return "(" + number(depth - 1) + ") * (" + number(depth - 1) + ")";
      case 3:
        return "-(" + number(depth - 1) + ")";
      case 4:
        return "duration(\"" + pick({"1h", "90m", "-1s", "1d2h3m4s5ms", "h"}) + "\").to" +
               pick({"Hours", "Seconds", "Milliseconds", "Days"}) + "()";
      default:
        return "(if " + boolean(depth - 1) + " then " + number(depth - 1) + " else " + number(depth - 1) + ")";
    }
  }
  std::string text(std::size_t depth) {
    if (depth > 0 && chance(20)) return "principal.getTag(\"t\")";
    return chance(60) ? quote(odd()) : path(0);
  }
  std::string pattern() {
    std::string out;
    for (std::size_t n = below(5); n > 0; --n)
      out += pick({"*", "\\*", "a", "b", "x", "\\\"", "\\\\", "é", "\\u{1F600}", "\\u{2a}", "漢", "\\0", "\\x2a"});
    return out;
  }
  std::string set(std::size_t depth) {
    if (chance(15)) return "context.set";
    std::string out = "[";
    for (std::size_t n = below(4); n > 0; --n)
      out += any(depth > 0 ? depth - 1 : 0) + (n > 1 || chance(30) ? ", " : "");
    return out + "]";
  }
  std::string any(std::size_t depth) {
    switch (below(depth == 0 ? 5 : 9)) {
      case 0:
        return integer();
      case 1:
        return quote(odd());
      case 2:
        return entity();
      case 3:
        return extension();
      case 4:
        return path(0);
      case 5:
        return set(depth - 1);
      case 6:
        return "{" + pick({"n", "\"a b\"", "\"if\"", "r"}) + ": " + any(depth - 1) +
               (chance(50) ? "" : ", s: " + any(depth - 1)) + "}";
      case 7:
        return number(depth - 1);
      default:
        return boolean(depth - 1);
    }
  }
  std::string extension() {
    return pick({"ip(\"10.0.0.1/8\")", "ip(\"::1\")", "ip(\"zz\")", "decimal(\"1.50\")", "decimal(\"1\")",
                 "datetime(\"2024-02-29T23:59:59.999+1400\")", "datetime(\"2024-01-01\")",
                 "datetime(\"1969-12-31\").toDate()", "duration(\"1h\")", "ip()", "ip(1, 2)"});
  }
  std::string extension_test() {
    return pick({"ip(\"10.0.0.1\").isInRange(ip(\"10.0.0.0/8\"))", "ip(\"::1\").isLoopback()",
                 "ip(\"1.2.3.4\").isIpv4(1)", "decimal(\"1.5\").lessThan(decimal(\"1.6\"))",
                 "datetime(\"2024-01-01\").offset(duration(\"1h\")) > datetime(\"2024-01-01\")",
                 "datetime(\"2024-01-01\").toTime() == duration(\"0s\")", "1.isIpv4()",
                 "context.s.greaterThan(decimal(\"1.0\"))"});
  }

  // Entity JSON.
  std::string value(std::size_t depth) {
    switch (below(depth == 0 ? 5 : 7)) {
      case 0:
        return std::to_string(static_cast<int>(below(10)) - 3);
      case 1:
        return base::json::quote(odd());
      case 2:
        return chance(50) ? "true" : "false";
      case 3:
        return R"({"__entity":)" + uid_json() + "}";
      case 4:
        return R"({"__extn":{"fn":"ip","arg":"10.0.0.1"}})";
      case 5:
        return "[" + value(depth - 1) + "," + value(depth - 1) + "]";
      default:
        return record(depth - 1);
    }
  }
  std::string record(std::size_t depth) {
    std::string out = R"({"n":1,"b":)" + std::string(chance(50) ? "true" : "false");
    if (chance(60)) out += R"(,"s":)" + base::json::quote(odd());
    if (chance(40)) out += R"(,"m":)" + value(depth > 0 ? depth - 1 : 0);
    if (chance(60)) out += R"(,"e":{"__entity":)" + uid_json() + "}";
    if (chance(50)) out += R"(,"set":[1,"a"])";
    if (chance(30)) out += R"(,"a b":2,"if":3,"":4)";
    if (depth > 0 && chance(70)) out += R"(,"r":)" + record(depth - 1);
    return out + "}";
  }

  std::mt19937_64 random_;
  bool slotted_ = false;
};

}  // namespace daypass::cedar::testing
