#include "cedar/case_generator.h"

#include <utility>

namespace daypass::cedar::testing {

namespace json = base::json;

namespace {

// The members that entities, records and the context have, each with the kind its value mostly is of.
const std::vector<std::pair<std::string, int>> attributes = {
    {"b", 0}, {"n", 1}, {"m", 1},  {"s", 2}, {"odd key", 2}, {"e", 3}, {"owner", 3}, {"l", 4}, {"r", 5},
    {"d", 6}, {"i", 7}, {"ip", 7}, {"t", 8}, {"until", 8},   {"u", 9}, {"if", 1},    {"", 2},  {"é", 1}};
const std::vector<std::string> types = {"User", "Group", "Role", "A::B", "A::User"};
const std::vector<std::string> ids = {"a", "b", "c", "odd \"id\"", "", "é\n"};
const std::vector<std::string> actions = {"read", "write", "all"};
const std::vector<std::string> words = {"",        "a",      "ab",
                                        "aab",     "a*b",    "*",
                                        "\\",      "ä",      "\n",
                                        "\"",      "a b",    "\xf0\x9f\x8e\x89",
                                        "A",       "a\tb",   std::string(1, '\0'),
                                        "e\u0301", "\u202e", "b"};
const std::vector<std::string> patterns = {"*",  "a*",    "*b", "a*b", "\\*",      "a\\**",   "**",     "",
                                           "ab", "*a*b*", "ä*", "?",   "*\\u{e4}", "a\\x2ab", "\\u{2a}"};
// In policy text; the least one only with its sign.
const std::vector<std::string> numbers = {"0",
                                          "1",
                                          "2",
                                          "3",
                                          "-1",
                                          "7",
                                          "9223372036854775807",
                                          "-9223372036854775808",
                                          "-9223372036854775807",
                                          "4611686018427387904",
                                          "3037000500",
                                          "00012",
                                          "9223372036854775808"};
const std::vector<std::string> decimals = {"1.0",
                                           "0.0",
                                           "-0.0",
                                           "-0.0001",
                                           "1.5",
                                           "922337203685477.5807",
                                           "12.3456",
                                           "-1.5",
                                           "1.500",
                                           "0001.0",
                                           "-922337203685477.5808",
                                           "1",
                                           "1.",
                                           ".5",
                                           "1.00000",
                                           "922337203685477.5808",
                                           "+1.0",
                                           "1e1",
                                           " 1.0",
                                           "-.0"};
const std::vector<std::string> addresses = {"10.0.0.1",    "10.0.0.0/8", "10.0.0.1/24",     "127.0.0.1",
                                            "127.0.0.0/7", "0.0.0.0/0",  "224.0.0.1",       "::1",
                                            "::/0",        "ffff::/16",  "fe80::1/64",      "10.0.0.1/32",
                                            "2001:db8::",  "ff00::/8",   "::1/128",         "zz",
                                            "10.0.0.1/33", "10.0.0.01",  "10.0.0.1/08",     "::ffff:1.2.3.4",
                                            "1.2.3",       "10.0.0.1/",  "1:2:3:4:5:6:7:8", "::1/0"};
const std::vector<std::string> instants = {"2024-01-01",
                                           "1970-01-01",
                                           "1969-12-31",
                                           "2024-02-29",
                                           "0000-01-01",
                                           "9999-12-31",
                                           "1969-12-31T23:59:59.999Z",
                                           "2024-10-15T00:00:00Z",
                                           "2024-10-15T23:59:59.999+1400",
                                           "2024-10-15T00:00:00-2359",
                                           "2024-10-15T12:30:00.500+0000",
                                           "2024-10-15T12:30:00-0000",
                                           "0000-01-01T00:00:00+2359",
                                           "9999-12-31T23:59:59.999-2359",
                                           "2023-02-29",
                                           "2024-13-01",
                                           "2024-01-01T24:00:00Z",
                                           "2024-01-01T00:00:60Z",
                                           "2024-01-01T00:00:00",
                                           "2024-01-01T00:00:00+2400",
                                           "2024-01-01T00:00:00.5Z",
                                           "2024-1-1",
                                           "2024-01-01t00:00:00Z",
                                           "2024-01-01T00:00:00+0060"};
const std::vector<std::string> durations = {"0ms",
                                            "1h",
                                            "-1d",
                                            "1d2h3m4s5ms",
                                            "90m",
                                            "86400000ms",
                                            "-1ms",
                                            "1d1ms",
                                            "9223372036854775807ms",
                                            "-9223372036854775808ms",
                                            "106751991167d",
                                            "9223372036854775808ms",
                                            "1h1d",
                                            "1",
                                            "",
                                            "-",
                                            "1h1h",
                                            "+1h",
                                            "1.5h",
                                            "00001h"};

constexpr std::size_t good_decimals = 11, good_addresses = 15, good_instants = 14, good_durations = 11;

}  // namespace

std::string GeneratedCase::text() const {
  std::string out;
  for (const auto& policy : policies) out += policy;
  return out;
}

CaseGenerator::Kind CaseGenerator::kind() {
  return static_cast<Kind>(below(10));
}

EntityUid CaseGenerator::uid() {
  if (chance(8)) return {chance(90) ? "Action" : "A::Action", pick(actions)};
  return {pick(types), chance(85) ? ids[below(3)] : pick(ids)};
}

std::string CaseGenerator::word() {
  return chance(60) ? words[below(5)] : pick(words);
}

// As a string literal, with another spelling of some characters now and then.
std::string CaseGenerator::quoted(const std::string& text) {
  if (chance(85)) return quote(text);
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    static constexpr char digits[] = "0123456789abcdef";
    const std::string hex = {digits[byte >> 4U], digits[byte & 15U]};
    if (byte >= 0x80)
      out += c;
    else
      out += chance(50) ? "\\x" + hex : "\\u{" + std::string(below(4), '0') + hex + "}";
  }
  return out + "\"";
}

std::string CaseGenerator::extension(Kind kind, bool good_only) {
  const auto one = [&](const std::vector<std::string>& from, std::size_t good) {
    return good_only || chance(94) ? from[below(good)] : pick(from);
  };
  switch (kind) {
    case Kind::decimal:
      return one(decimals, good_decimals);
    case Kind::ip:
      return one(addresses, good_addresses);
    case Kind::datetime:
      return one(instants, good_instants);
    default:
      return one(durations, good_durations);
  }
}

// Between tokens: mostly one blank.
std::string CaseGenerator::space() {
  static const std::vector<std::string> odd = {"", "\n", "\t", "  ", " // a comment \"x\n", "\r\n"};
  return chance(94) ? " " : pick(odd);
}

std::string CaseGenerator::name(bool dotted) {
  const std::string& chosen = attributes[below(attributes.size())].first;
  if (!is_type_name(chosen)) return quoted(chosen);
  std::string out = chosen;
  if (!dotted) return chance(85) ? out : quoted(chosen);
  static const std::vector<std::string> inner = {"r", "e", "n", "s", "owner"};
  while (chance(40)) out += "." + pick(inner);
  return out;
}

std::string CaseGenerator::path(Kind wanted) {
  static const std::vector<std::string> roots = {"principal", "principal", "resource", "context", "context", "action"};
  std::string out = chance(92) ? pick(roots) : uid().to_string();
  while (chance(18)) out += chance(50) ? ".r" : chance(50) ? ".e" : ".owner";
  std::vector<std::string> fitting;
  for (const auto& [key, kind] : attributes)
    if (static_cast<Kind>(kind) == wanted) fitting.push_back(key);
  const std::string key = fitting.empty() || chance(3) ? attributes[below(attributes.size())].first : pick(fitting);
  if (chance(8) && out.front() != 'c') return out + ".getTag(" + quoted(key) + ")";
  return is_type_name(key) && chance(90) ? out + "." + key : out + "[" + quoted(key) + "]";
}

std::string CaseGenerator::literal(Kind wanted, std::size_t depth) {
  switch (wanted) {
    case Kind::boolean:
      return chance(50) ? "true" : "false";
    case Kind::number: {
      std::string out = chance(70) ? numbers[below(6)] : chance(96) ? numbers[below(12)] : pick(numbers);
      return out.front() == '-' && chance(70) ? "(" + out + ")" : out;
    }
    case Kind::text:
      return quoted(word());
    case Kind::entity:
      if (chance(40)) return chance(60) ? "principal" : chance(70) ? "resource" : "action";
      return uid().to_string();
    case Kind::set: {
      std::string out = "[";
      const Kind of = chance(70) ? Kind::number : kind();
      for (std::size_t n = below(4); n > 0; --n)
        out += (out == "[" ? "" : "," + space()) + (depth > 0 ? expr(chance(90) ? of : kind(), depth - 1)
                                                              : literal(of == Kind::set ? Kind::number : of, 0));
      return out + (chance(5) && out != "[" ? ",]" : "]");
    }
    case Kind::record: {
      std::string out = "{";
      for (std::size_t n = below(4); n > 0; --n) {
        const auto& [key, of] = attributes[below(attributes.size())];
        const auto inner = static_cast<Kind>(of);
        out += (out == "{" ? "" : "," + space()) + (is_type_name(key) && chance(60) ? key : quoted(key)) + ":" +
               space() +
               (depth > 0 ? expr(inner, depth - 1)
                          : literal(inner == Kind::record || inner == Kind::set ? Kind::number : inner, 0));
      }
      return out + "}";
    }
    case Kind::decimal:
      return "decimal(" + quoted(extension(wanted, false)) + ")";
    case Kind::ip:
      return "ip(" + quoted(extension(wanted, false)) + ")";
    case Kind::datetime:
      return "datetime(" + quoted(extension(wanted, false)) + ")";
    case Kind::duration:
      return "duration(" + quoted(extension(wanted, false)) + ")";
  }
  return "false";
}

std::string CaseGenerator::leaf(Kind wanted) {
  return chance(55) ? path(wanted) : literal(wanted, 0);
}

std::string CaseGenerator::number(std::size_t depth) {
  static const std::vector<std::string> parts = {".toMilliseconds()", ".toSeconds()", ".toMinutes()", ".toHours()",
                                                 ".toDays()"};
  static const std::vector<std::string> operators = {"+", "-", "*"};
  switch (below(6)) {
    case 0:
    case 1:
      return "(" + expr(Kind::number, depth - 1) + space() + pick(operators) + " " + expr(Kind::number, depth - 1) +
             ")";
    case 2: {
      std::string out = "(" + expr(Kind::number, depth - 1);
      for (std::size_t n = 1 + below(3); n > 0; --n) out += " " + pick(operators) + " " + expr(Kind::number, depth - 1);
      return out + ")";
    }
    case 3:
      return "(" + std::string(1 + below(chance(90) ? 3 : 5), '-') + expr(Kind::number, depth - 1) + ")";
    case 4:
      return expr(Kind::duration, depth - 1) + pick(parts);
    default:
      return leaf(Kind::number);
  }
}

std::string CaseGenerator::relation(std::size_t depth) {
  static const std::vector<std::string> order = {"<", "<=", ">", ">="};
  static constexpr Kind ordered[] = {Kind::number, Kind::number, Kind::datetime, Kind::duration, Kind::text};
  if (chance(50)) {
    const Kind one = kind();
    return "(" + expr(one, depth - 1) + space() + (chance(70) ? "==" : "!=") + " " +
           expr(chance(95) ? one : kind(), depth - 1) + ")";
  }
  const Kind one = ordered[below(chance(97) ? 4 : 5)];
  return "(" + expr(one, depth - 1) + " " + pick(order) + space() + expr(one, depth - 1) + ")";
}

std::string CaseGenerator::test(std::size_t depth) {
  static const std::vector<std::string> ip_tests = {".isIpv4()", ".isIpv6()", ".isLoopback()", ".isMulticast()"};
  static const std::vector<std::string> decimal_tests = {".lessThan(", ".lessThanOrEqual(", ".greaterThan(",
                                                         ".greaterThanOrEqual("};
  switch (below(11)) {
    case 0: {
      std::string right = expr(Kind::entity, 0);
      if (chance(40)) {
        right = "[" + right;
        for (std::size_t n = below(3); n > 0; --n) right += ", " + (chance(96) ? expr(Kind::entity, 0) : leaf(kind()));
        right += "]";
      }
      return "(" + expr(Kind::entity, depth - 1) + " in " + right + ")";
    }
    case 1:
      return "(" + (chance(85) ? expr(chance(50) ? Kind::entity : Kind::record, depth - 1) : std::string("context")) +
             " has " + name(true) + ")";
    case 2:
      return "(" + expr(Kind::text, depth - 1) + " like \"" + pick(patterns) + "\")";
    case 3:
      return "(" + expr(Kind::entity, depth - 1) + " is " + (chance(90) ? pick(types) : std::string("Action")) +
             (chance(35) ? " in " + expr(Kind::entity, 0) : "") + ")";
    case 4:
      return expr(Kind::set, depth - 1) + ".contains(" + expr(chance(70) ? Kind::number : kind(), depth - 1) + ")";
    case 5:
      return expr(Kind::set, depth - 1) + (chance(50) ? ".containsAll(" : ".containsAny(") +
             expr(Kind::set, depth - 1) + ")";
    case 6:
      return expr(Kind::set, depth - 1) + ".isEmpty()";
    case 7:
      return expr(Kind::entity, depth - 1) + ".hasTag(" +
             (chance(85) ? quoted(attributes[below(attributes.size())].first) : expr(Kind::text, depth - 1)) + ")";
    case 8:
      return expr(Kind::ip, depth - 1) + pick(ip_tests);
    case 9:
      return expr(Kind::ip, depth - 1) + ".isInRange(" + expr(Kind::ip, depth - 1) + ")";
    default:
      return expr(Kind::decimal, depth - 1) + pick(decimal_tests) + expr(Kind::decimal, depth - 1) + ")";
  }
}

std::string CaseGenerator::boolean(std::size_t depth) {
  switch (below(10)) {
    case 0:
    case 1: {
      const char* const op = chance(50) ? " && " : " || ";
      std::string out = "(" + expr(Kind::boolean, depth - 1);
      for (std::size_t n = 1 + below(3); n > 0; --n) out += op + expr(Kind::boolean, depth - 1);
      return out + ")";
    }
    case 2:
      return "(" + std::string(1 + below(chance(92) ? 4 : 6), '!') + expr(Kind::boolean, depth - 1) + ")";
    case 3: {
      const std::string where = path(static_cast<Kind>(attributes[below(attributes.size())].second));
      const std::size_t dot = where.rfind('.');
      if (dot == std::string::npos || where.back() == ')' || where.back() == '"') return leaf(Kind::boolean);
      return "(" + where.substr(0, dot) + " has " + where.substr(dot + 1) + " && " + expr(Kind::boolean, depth - 1) +
             ")";
    }
    case 4:
    case 5:
    case 6:
      return relation(depth);
    default:
      return test(depth);
  }
}

// An expression of the kind, or of another one now and then.
std::string CaseGenerator::expr(Kind wanted, std::size_t depth) {
  const Kind one = chance(3) ? kind() : wanted;
  if (depth == 0) return leaf(one);
  if (chance(6))
    return "(if " + expr(Kind::boolean, depth - 1) + " then " + expr(one, depth - 1) + " else " + expr(one, depth - 1) +
           ")";
  if (chance(3)) return "(" + expr(one, depth - 1) + ")";
  switch (one) {
    case Kind::boolean:
      return boolean(depth);
    case Kind::number:
      return number(depth);
    case Kind::datetime:
      if (chance(25)) return expr(one, depth - 1) + ".offset(" + expr(Kind::duration, depth - 1) + ")";
      return chance(25) ? expr(one, depth - 1) + ".toDate()" : leaf(one);
    case Kind::duration:
      if (chance(20)) return expr(Kind::datetime, depth - 1) + ".toTime()";
      if (chance(20))
        return expr(Kind::datetime, depth - 1) + ".durationSince(" + expr(Kind::datetime, depth - 1) + ")";
      return leaf(one);
    case Kind::set:
    case Kind::record:
      return chance(60) ? literal(one, depth) : leaf(one);
    default:
      return leaf(one);
  }
}

std::string CaseGenerator::entity_scope(const char* variable, bool slot) {
  const std::string who = variable;
  const std::string of = slot ? "?" + who : uid().to_string();
  switch (slot ? below(3) : below(14)) {
    case 0:
      return who + " ==" + space() + of;
    case 1:
      return who + " in " + of;
    case 2:
      return who + " is " + pick(types) + " in " + of;
    case 3:
      return who + " is " + pick(types);
    default:
      return who;
  }
}

std::string CaseGenerator::action_scope() {
  const auto one = [&] { return EntityUid{"Action", pick(actions)}.to_string(); };
  switch (below(6)) {
    case 0:
      return "action == " + one();
    case 1:
      return "action in " + one();
    case 2: {
      std::string out = "action in [";
      for (std::size_t n = below(4); n > 0; --n) out += (out.back() == '[' ? "" : ", ") + one();
      return out + "]";
    }
    default:
      return "action";
  }
}

std::string CaseGenerator::policy(bool slots, GeneratedCase::Link* link) {
  std::string out;
  static const std::vector<std::string> keys = {"id", "note", "if", "duration"};
  if (chance(15)) out += "@" + pick(keys) + (chance(80) ? "(" + quoted(word()) + ")" : "") + space();
  out += (chance(75) ? "permit" : "forbid") + space() + "(";
  const bool of_principal = slots && (chance(50));
  const bool of_resource = slots && (!of_principal || chance(50));
  out += entity_scope("principal", of_principal) + "," + space() + action_scope() + "," + space() +
         entity_scope("resource", of_resource) + ")";
  if (link != nullptr) {
    if (of_principal) link->principal = uid();
    if (of_resource) link->resource = uid();
  }
  for (std::size_t n = below(3); n > 0; --n) {
    const std::string body = expr(Kind::boolean, 1 + below(4));
    out += space() + (chance(75) ? "when" : "unless") + space() + "{" + space() + body + space() + "}";
  }
  return out + ";" + (chance(90) ? "\n" : space());
}

json::Value CaseGenerator::value(Kind wanted, std::size_t depth) {
  const Kind one = chance(4) ? kind() : wanted;
  switch (one) {
    case Kind::boolean:
      return chance(50);
    case Kind::number: {
      static constexpr std::int64_t edges[] = {0, 1, 2, 3, -1, 7, 9007199254740991, -9007199254740991, 3037000500};
      return !odd_ || chance(90) ? json::Value(edges[below(std::size(edges))])
             : chance(50)        ? json::Value(1.5)
                                 : json::Value(nullptr);
    }
    case Kind::text:
      return word();
    case Kind::entity: {
      const EntityUid whom = uid();
      return json::Object{{"__entity", whom.to_json()}};
    }
    case Kind::set: {
      json::Array out;
      const Kind of = chance(75) ? Kind::number : kind();
      if (depth > 0)
        for (std::size_t n = below(4); n > 0; --n) out.push_back(value(of, depth - 1));
      return out;
    }
    case Kind::record:
      return depth > 0 ? members(depth - 1) : json::Object{};
    default: {
      static const std::vector<std::string> functions = {"decimal", "ip", "datetime", "duration"};
      return json::Object{
          {"__extn",
           json::Object{{"fn", functions[static_cast<std::size_t>(one) - static_cast<std::size_t>(Kind::decimal)]},
                        {"arg", extension(one, !odd_)}}}};
    }
  }
}

json::Object CaseGenerator::members(std::size_t depth) {
  json::Object out;
  for (const auto& [key, of] : attributes)
    if (chance(depth == 0 ? 20 : 50)) out.insert(key, value(static_cast<Kind>(of), depth));
  return out;
}

// Parents mostly come later in the list, so that circles are rare.
json::Array CaseGenerator::store() {
  json::Array out;
  std::vector<EntityUid> all;
  for (const auto& type : types)
    for (const auto& id : ids)
      if (chance(22)) all.push_back({type, id});
  for (std::size_t i = 0; i < all.size(); ++i) {
    json::Array parents;
    for (std::size_t n = below(4); n > 0; --n) {
      const EntityUid parent =
          i + 1 < all.size() && chance(80) ? all[i + 1 + below(all.size() - i - 1)] : EntityUid{pick(types), "absent"};
      parents.push_back((!odd_ || chance(90) ? parent : pick(all)).to_json());
    }
    json::Object one{{"uid", all[i].to_json()}, {"attrs", members(2)}, {"parents", std::move(parents)}};
    if (chance(40)) one.insert("tags", members(1));
    out.push_back(std::move(one));
  }
  for (const auto& id : actions) {
    if (!chance(50)) continue;
    json::Array parents;
    if (id != "all" && chance(60)) parents.push_back(EntityUid{"Action", "all"}.to_json());
    out.push_back(json::Object{{"uid", EntityUid{"Action", id}.to_json()},
                               {"attrs", chance(80) ? json::Object{} : members(1)},
                               {"parents", std::move(parents)}});
  }
  return out;
}

json::Value CaseGenerator::request() {
  const EntityUid action{"Action", pick(actions)};
  return json::Object{{"principal", uid().to_json()},
                      {"action", (chance(97) ? action : uid()).to_json()},
                      {"resource", uid().to_json()},
                      {"context", members(2)}};
}

GeneratedCase CaseGenerator::next() {
  GeneratedCase out;
  for (std::size_t n = 1 + below(6); n > 0; --n) out.policies.push_back(policy(false, nullptr));
  if (chance(40)) {
    for (std::size_t n = 1 + below(2); n > 0; --n) {
      GeneratedCase::Link shape;
      out.templates.push_back(policy(true, &shape));
      for (std::size_t links = below(3); links > 0; --links) {
        GeneratedCase::Link link{out.templates.size() - 1,
                                 (chance(90) ? "link" : "odd \"link\"\n") + std::to_string(out.links.size()),
                                 {},
                                 {}};
        if (shape.principal) link.principal = uid();
        if (shape.resource) link.resource = uid();
        out.links.push_back(std::move(link));
      }
    }
  }
  odd_ = chance(8);
  out.entities = store();
  for (std::size_t n = 8; n > 0; --n) out.requests.push_back(request());
  return out;
}

}  // namespace daypass::cedar::testing
