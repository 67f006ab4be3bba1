// The generator's policies.
#include "cedar/validate_generator_impl.h"

namespace daypass::cedar::testing {

const Generator::Entity* Generator::find(const std::string& full) const {
  const auto found = std::ranges::find_if(entities_, [&](const Entity& entity) { return entity.full() == full; });
  return found == entities_.end() ? nullptr : &*found;
}

std::string Generator::word() {
  return pick(strings);
}

std::string Generator::access(const std::string& base, const std::string& attribute) {
  return is_type_name(attribute) && chance(85) ? base + "." + attribute : base + "[" + quote(attribute) + "]";
}

// What can be read without a test, and what could be with one: the latter as the test's own text.
void Generator::paths(const std::string& text, const GenType& type, std::size_t depth, std::vector<Path>& safe,
                      std::vector<Path>& optional) {
  safe.push_back({text, type});
  if (depth == 0) return;
  const GenType* shape = &type;
  if (type.kind == G::entity) {
    const Entity* entity = find(type.name);
    if (entity == nullptr) return;
    shape = &entity->shape;
    if (!entity->tags.empty()) optional.push_back({text + ".hasTag(\"t\")", type});
  }
  for (const auto& [name, member] : shape->attributes) {
    if (member.second)
      paths(access(text, name), member.first, depth - 1, safe, optional);
    else
      optional.push_back({text + " has " + written_name(name), type});
  }
}

std::vector<Generator::Path> Generator::known_paths() {
  std::vector<Path> safe;
  std::vector<Path> optional;
  paths("principal", entity_type(principal_), 3, safe, optional);
  paths("resource", entity_type(resource_), 3, safe, optional);
  paths("context", action_->context, 3, safe, optional);
  safe.insert(safe.end(), learned_.begin(), learned_.end());
  return safe;
}

std::string Generator::entity_literal(const std::string& type) {
  const Entity* entity = find(type);
  if (entity != nullptr && !entity->choices.empty() && !chance(10)) return type + "::" + quote(pick(entity->choices));
  return type + "::" + quote(chance(90) ? "x" : word());
}

std::string Generator::literal(const GenType& type) {
  switch (type.kind) {
    case G::boolean:
      return chance(50) ? "true" : "false";
    case G::number:
      return std::to_string(static_cast<int>(below(10)) - 3);
    case G::text:
      return quote(chance(80) ? "x" : word());
    case G::decimal:
      return chance(93) ? "decimal(\"1.5\")" : "decimal(\"1\")";
    case G::ip:
      if (chance(2)) return "ip(" + leaf(plain(G::text)) + ")";
      return chance(93) ? "ip(\"10.0.0.1\")" : "ip(\"zz\")";
    case G::datetime:
      return chance(93) ? "datetime(\"2024-01-01\")" : "datetime(\"x\")";
    case G::duration:
      return chance(93) ? "duration(\"1h\")" : "duration(\"h\")";
    case G::entity:
      return entity_literal(type.name);
    case G::set: {
      std::string out = "[" + literal(type.element[0]);
      if (chance(40)) out += ", " + literal(type.element[0]);
      return chance(96) ? out + "]" : "[]";
    }
    case G::record:
      break;
  }
  std::string out = "{";
  for (const auto& [name, member] : type.attributes)
    if (member.second || chance(30))
      out += (out == "{" ? "" : ", ") + written_name(name) + ": " + literal(member.first);
  return out + "}";
}

std::string Generator::leaf(const GenType& type) {
  std::vector<std::string> fitting;
  for (const Path& path : known_paths())
    if (equal(path.type, type)) fitting.push_back(path.text);
  if (!fitting.empty() && chance(90)) return pick(fitting);
  return literal(type);
}

std::string Generator::number(std::size_t depth) {
  const GenType self = plain(G::number);
  switch (below(5)) {
    case 0:
      return "(" + expr(self, depth - 1) + (chance(50) ? " + " : " * ") + expr(self, depth - 1) + ")";
    case 1:
      return "(" + expr(self, depth - 1) + " - " + expr(self, depth - 1) + " - " + expr(self, depth - 1) + ")";
    case 2:
      return "(-" + expr(self, depth - 1) + ")";
    case 3:
      return expr(plain(G::duration), depth - 1) + (chance(50) ? ".toHours()" : ".toMilliseconds()");
    default:
      return leaf(self);
  }
}

// An expression of the type, or of another one now and then.
std::string Generator::expr(const GenType& wanted, std::size_t depth) {
  const GenType type = chance(2) ? this->type(1) : wanted;
  if (depth == 0) return leaf(type);
  if (chance(8))
    return "(if " + boolean(depth - 1) + " then " + expr(type, depth - 1) + " else " + expr(type, depth - 1) + ")";
  switch (type.kind) {
    case G::boolean:
      return boolean(depth);
    case G::number:
      return number(depth);
    case G::datetime:
      if (chance(30)) return expr(type, depth - 1) + ".offset(" + expr(plain(G::duration), depth - 1) + ")";
      return chance(20) ? expr(type, depth - 1) + ".toDate()" : leaf(type);
    case G::duration:
      if (chance(20)) return expr(plain(G::datetime), depth - 1) + ".toTime()";
      if (chance(20))
        return expr(plain(G::datetime), depth - 1) + ".durationSince(" + expr(plain(G::datetime), depth - 1) + ")";
      return leaf(type);
    case G::set:
      return chance(40) ? "[" + expr(type.element[0], depth - 1) + "]" : leaf(type);
    case G::record:
      if (chance(30)) {
        std::string out = "{";
        for (const auto& [name, member] : type.attributes)
          out += (out == "{" ? "" : ", ") + written_name(name) + ": " + expr(member.first, depth - 1);
        return out + "}";
      }
      return leaf(type);
    default:
      return leaf(type);
  }
}

// `test && body`, the body written with what the test shows to be there.
std::string Generator::guarded(std::size_t depth) {
  std::vector<Path> safe;
  std::vector<Path> optional;
  paths("principal", entity_type(principal_), 2, safe, optional);
  paths("resource", entity_type(resource_), 2, safe, optional);
  paths("context", action_->context, 2, safe, optional);
  for (const Path& path : std::vector<Path>(learned_)) paths(path.text, path.type, 1, safe, optional);
  if (optional.empty()) return boolean(depth - 1);
  const Path test = pick(optional);
  const std::size_t before = learned_.size();
  if (test.text.ends_with(")")) {
    const std::string base = test.text.substr(0, test.text.size() - 12);
    const Entity* entity = find(test.type.name);
    const std::string tag = chance(90) ? "\"t\"" : "\"u\"";
    if (entity != nullptr && !entity->tags.empty())
      learned_.push_back({base + ".getTag(" + tag + ")", entity->tags[0]});
  } else {
    const std::size_t has = test.text.rfind(" has ");
    const std::string base = test.text.substr(0, has);
    const Entity* entity = test.type.kind == G::entity ? find(test.type.name) : nullptr;
    const GenType& shape = entity != nullptr ? entity->shape : test.type;
    for (const auto& [name, member] : shape.attributes)
      if (written_name(name) == test.text.substr(has + 5)) learned_.push_back({access(base, name), member.first});
  }
  std::string body = boolean(depth - 1);
  if (learned_.size() > before && chance(80))
    body = expr(plain(G::boolean), 0) + " || " + leaf(learned_.back().type) + " == " + learned_.back().text;
  if (!chance(15)) learned_.resize(before);  // else it is used where nobody has tested for it
  switch (below(6)) {
    case 0:
      return "(if " + test.text + " then " + (body.find("||") == std::string::npos ? body : "(" + body + ")") +
             " else " + leaf(plain(G::boolean)) + ")";
    case 1:
      return "(!(" + test.text + ") || (" + body + "))";
    case 2:
      return "((" + leaf(plain(G::boolean)) + " && " + test.text + ") && (" + body + "))";
    case 3:
      return "((" + test.text + " || " + test.text + ") && (" + body + "))";
    default:
      return "(" + test.text + " && (" + body + "))";
  }
}

std::string Generator::boolean(std::size_t depth) {
  if (depth == 0) return leaf(plain(G::boolean));
  const auto pair = [&](const GenType& type, const std::string& op) {
    return "(" + expr(type, depth - 1) + op + expr(type, depth - 1) + ")";
  };
  const auto paths_here = known_paths();
  switch (below(20)) {
    case 0:
      return pair(plain(G::boolean), " && ");
    case 1:
      return pair(plain(G::boolean), " || ");
    case 2:
      return "(" + boolean(depth - 1) + " && " + boolean(depth - 1) + " && " + boolean(depth - 1) + ")";
    case 3:
      return "(!" + expr(plain(G::boolean), depth - 1) + ")";
    case 4:
      return pair(pick(paths_here).type, chance(70) ? " == " : " != ");
    case 5: {
      static const std::vector<std::string> operators = {" < ", " <= ", " > ", " >= "};
      static constexpr G::Kind ordered[] = {G::number, G::number, G::datetime, G::duration, G::decimal};
      return pair(plain(ordered[below(chance(95) ? 4 : 5)]), pick(operators));
    }
    case 6: {
      const std::string left =
          chance(15) ? "action" : leaf(entity_type(chance(50) ? principal_ : pick(entities_).full()));
      const std::string target = chance(15) ? pick(actions_).uid() : entity_literal(pick(entities_).full());
      const std::string other = chance(80) ? target : chance(50) ? pick(actions_).uid() : leaf(entity_type(resource_));
      return "(" + left + " in " + (chance(50) ? target : "[" + target + ", " + other + "]") + ")";
    }
    case 7: {
      const Path& path = pick(paths_here);
      std::string names = written_name(pick(attribute_names));
      if (names.front() != '"')
        while (chance(35)) names += "." + std::string(chance(50) ? "a" : chance(50) ? "owner" : "b");
      return "(" + path.text + " has " + names + ")";
    }
    case 8:
      return "(" + expr(plain(G::text), depth - 1) + " like " + quote(chance(80) ? "a*" : "pаy") + ")";
    case 9: {
      const std::string type = chance(95) ? pick(entities_).full() : chance(50) ? "Nope" : "Action";
      return "(" + leaf(entity_type(pick(entities_).full())) + " is " + type +
             (chance(30) ? " in " + entity_literal(pick(entities_).full()) : "") + ")";
    }
    case 10: {
      const GenType element = type(0);
      return expr(set_of(element), depth - 1) + ".contains(" + expr(element, depth - 1) + ")";
    }
    case 11: {
      const GenType set = set_of(type(0));
      if (chance(30)) return expr(set, depth - 1) + ".isEmpty()";
      return expr(set, depth - 1) + (chance(50) ? ".containsAll(" : ".containsAny(") + expr(set, depth - 1) + ")";
    }
    case 12: {
      if (chance(50)) return expr(plain(G::ip), depth - 1) + (chance(90) ? ".isLoopback()" : ".isIpv4(1)");
      return expr(plain(G::decimal), depth - 1) + ".lessThan(" + expr(plain(G::decimal), depth - 1) + ")";
    }
    case 13:
      return "(" + leaf(plain(G::text)) + " == " + leaf(plain(G::text)) + ")";
    default:
      return guarded(depth);
  }
}

std::string Generator::scope(const char* variable, const std::vector<std::size_t>& types) {
  std::string out = variable;
  const std::string type = types.empty() || chance(4) ? pick(entities_).full() : entities_[pick(types)].full();
  (*variable == 'p' ? principal_ : resource_) = type;
  // Mostly a type that it can be in.
  const Entity* known = find(type);
  const std::string group = chance(15)               ? pick(entities_).full()
                            : known->parents.empty() ? type
                                                     : entities_[pick(known->parents)].full();
  switch (below(9)) {
    case 0:
      return out + " == " + entity_literal(type);
    case 1:
      return out + " in " + entity_literal(group);
    case 2:
      return out + " is " + type + " in " + entity_literal(group);
    case 3:
      return out;
    default:
      return out + " is " + type;
  }
}

std::string Generator::action_scope() {
  switch (below(6)) {
    case 0:
      return "action";
    case 1:
      return "action in " + (action_->parents.empty() || chance(10) ? chance(90) ? *action_ : pick(actions_)
                                                                    : actions_[pick(action_->parents)])
                                .uid();
    case 2:
      return "action in [" + action_->uid() + (chance(50) ? ", " + pick(actions_).uid() : "") + "]";
    case 3:
      return chance(20) ? "action == Action::\"nope\"" : chance(10) ? "action in []" : "action == " + action_->uid();
    default:
      return "action == " + action_->uid();
  }
}

std::string Generator::policy() {
  action_ = &pick(actions_);
  for (int again = 0; action_->principals.empty() && again < 4; ++again) action_ = &pick(actions_);
  learned_.clear();
  std::string out = chance(70) ? "permit(" : "forbid(";
  out += scope("principal", action_->principals) + ", " + action_scope() + ", ";
  out += scope("resource", action_->resources) + ")";
  for (std::size_t n = below(3); n > 0; --n)
    out += (chance(75) ? " when { " : " unless { ") + boolean(1 + below(3)) + " }";
  return out + ";\n";
}

std::string Generator::policies() {
  std::string out;
  for (std::size_t n = 1 + below(3); n > 0; --n) out += policy();
  return out;
}

}  // namespace daypass::cedar::testing
