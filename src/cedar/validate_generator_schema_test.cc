// The generator's schemas.
#include "cedar/validate_generator_impl.h"

namespace daypass::cedar::testing {

GenType Generator::type(std::size_t depth) {
  if (depth > 0 && chance(15)) return set_of(type(depth - 1));
  if (depth > 0 && chance(15)) return record_type(depth - 1);
  if (!entities_.empty() && chance(35)) return entity_type(pick(entities_).full());
  if (!commons_.empty() && chance(10)) return pick(commons_).second;
  static constexpr G::Kind kinds[] = {G::boolean, G::number, G::number,   G::text,    G::text,
                                      G::decimal, G::ip,     G::datetime, G::duration};
  return plain(kinds[below(std::size(kinds))]);
}

GenType Generator::record_type(std::size_t depth) {
  GenType out = plain(G::record);
  for (std::size_t n = below(4); n > 0; --n) {
    GenType inner = type(depth);
    out.attributes[pick(attribute_names)] = {std::move(inner), chance(60)};
  }
  return out;
}

std::string Generator::name_in(const Entity& entity, const std::string& space) {
  return entity.space == space && chance(70) ? entity.name : entity.full();
}

std::string Generator::written(const GenType& type, const std::string& space) {
  for (const auto& [name, common] : commons_)
    if (equal(type, common) && chance(60))
      return common_space_ == space || common_space_.empty() ? name : common_space_ + "::" + name;
  const std::string prefix = chance(10) ? "__cedar::" : "";
  switch (type.kind) {
    case G::boolean:
      return prefix + "Bool";
    case G::number:
      return prefix + "Long";
    case G::text:
      return prefix + "String";
    case G::decimal:
      return prefix + "decimal";
    case G::ip:
      return prefix + "ipaddr";
    case G::datetime:
      return prefix + "datetime";
    case G::duration:
      return prefix + "duration";
    case G::entity: {
      const Entity* entity = find(type.name);
      return entity == nullptr ? type.name : name_in(*entity, space);
    }
    case G::set:
      return "Set<" + written(type.element[0], space) + ">";
    case G::record:
      break;
  }
  std::string out = "{";
  for (const auto& [name, member] : type.attributes)
    out += (out == "{" ? "" : ", ") + note() + written_name(name) + (member.second ? ": " : "?: ") +
           written(member.first, space);
  return out + (type.attributes.empty() || chance(70) ? "}" : ",}");
}

std::string Generator::note() {
  return chance(5) ? "@doc(\"d\") " : chance(3) ? "@if " : "";
}

std::string Generator::declaration(const Entity& entity) {
  std::string out = note() + "entity " + entity.name;
  if (!entity.choices.empty()) {
    out += " enum [";
    for (std::size_t i = 0; i < entity.choices.size(); ++i) out += (i == 0 ? "" : ", ") + quote(entity.choices[i]);
    return out + "];\n";
  }
  if (!entity.parents.empty()) {
    out += " in [";
    for (std::size_t i = 0; i < entity.parents.size(); ++i)
      out += (i == 0 ? "" : ", ") + name_in(entities_[entity.parents[i]], entity.space);
    out += "]";
  }
  if (!entity.shape.attributes.empty()) {
    // Attributes are written out here, never named.
    std::string shape;
    for (const auto& [name, member] : entity.shape.attributes)
      shape += (shape.empty() ? "" : ", ") + written_name(name) + (member.second ? ": " : "?: ") +
               written(member.first, entity.space);
    out += (chance(50) ? " = {" : " {") + shape + "}";
  }
  if (!entity.tags.empty()) out += " tags " + written(entity.tags[0], entity.space);
  return out + ";\n";
}

std::string Generator::declaration(const Action& action) {
  std::string out = note() + "action " + (is_type_name(action.id) && chance(50) ? action.id : quote(action.id));
  if (!action.parents.empty()) {
    out += " in [";
    for (std::size_t i = 0; i < action.parents.size(); ++i) {
      const Action& parent = actions_[action.parents[i]];
      out += (i == 0 ? "" : ", ") + (parent.space == action.space && chance(60) ? quote(parent.id) : parent.uid());
    }
    out += "]";
  }
  if (action.principals.empty()) return out + ";\n";
  const auto list = [&](const std::vector<std::size_t>& types) {
    std::string names;
    for (const std::size_t type : types) names += (names.empty() ? "" : ", ") + name_in(entities_[type], action.space);
    return types.size() == 1 && chance(50) ? names : "[" + names + "]";
  };
  out += " appliesTo {principal: " + list(action.principals) + ", resource: " + list(action.resources);
  if (!action.context.attributes.empty() || chance(30)) out += ", context: " + written(action.context, action.space);
  return out + "};\n";
}

std::string Generator::schema() {
  static const std::vector<std::string> type_names = {"User", "Group", "Doc", "Role", "Set", "Team", "datetime"};
  std::vector<std::string> spaces{""};
  if (chance(50)) spaces.emplace_back("N");
  if (chance(20)) spaces.emplace_back("N::M");
  if (chance(30)) spaces.erase(spaces.begin());
  if (spaces.empty()) spaces.emplace_back("");
  std::vector<std::string> names = type_names;
  std::shuffle(names.begin(), names.end(), random_);
  if (!chance(5)) std::erase(names, "datetime");
  for (std::size_t n = 2 + below(4); n > 0; --n) {
    Entity entity;
    entity.space = pick(spaces);
    entity.name = names.back();
    names.pop_back();
    entities_.push_back(std::move(entity));
  }
  common_space_ = pick(spaces);
  for (std::size_t n = below(3); n > 0; --n) {
    GenType common = type(2);
    commons_.emplace_back("T" + std::to_string(n), std::move(common));
  }
  for (Entity& entity : entities_) {
    if (chance(12)) {
      entity.choices = {"x", "y"};
      continue;
    }
    entity.shape = record_type(2);
    if (chance(35)) entity.tags.push_back(type(1));
    for (std::size_t n = below(3); n > 0; --n) entity.parents.push_back(below(entities_.size()));
  }
  static const std::vector<std::string> ids = {"view", "edit", "all", "a b", "x"};
  for (std::size_t n = 1 + below(4); n > 0; --n) {
    Action action;
    action.space = pick(spaces);
    action.id = ids[n - 1];
    for (std::size_t p = actions_.empty() ? 0 : below(3); p > 0; --p) action.parents.push_back(below(actions_.size()));
    if (chance(85)) {
      for (std::size_t p = 1 + below(2); p > 0; --p) action.principals.push_back(below(entities_.size()));
      for (std::size_t p = 1 + below(2); p > 0; --p) action.resources.push_back(below(entities_.size()));
      action.context = chance(70) ? record_type(2) : plain(G::record);
    } else {
      action.context = plain(G::record);
    }
    actions_.push_back(std::move(action));
  }
  std::string out;
  for (const std::string& space : spaces) {
    std::string body;
    if (space == common_space_) {
      // Named by others only from here on, lest they be defined by themselves.
      std::vector<std::pair<std::string, GenType>> all;
      std::swap(all, commons_);
      for (auto& common : all) {
        body += note() + "type " + common.first + " = " + written(common.second, space) + ";\n";
        commons_.push_back(common);
      }
    }
    for (const Entity& entity : entities_)
      if (entity.space == space) body += declaration(entity);
    for (const Action& action : actions_)
      if (action.space == space) body += declaration(action);
    out += space.empty() ? body : note() + "namespace " + space + " {\n" + body + "}\n";
  }
  return out;
}

std::string Generator::damaged(const std::string& text) {
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t n = 1;
    const auto in_word = [&](std::size_t at) {
      const auto c = static_cast<unsigned char>(text[at]);
      return c >= 0x80 || std::isalnum(c) != 0;
    };
    if (in_word(i))
      while (i + n < text.size() && in_word(i + n)) ++n;
    tokens.push_back(text.substr(i, n));
    i += n;
  }
  if (tokens.empty()) return text;
  const std::size_t at = below(tokens.size());
  switch (below(3)) {
    case 0:
      tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(at));
      break;
    case 1:
      tokens.insert(tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens[at]);
      break;
    default:
      tokens[at] = pick(tokens);
  }
  std::string out;
  for (const std::string& token : tokens) out += token;
  return out;
}

}  // namespace daypass::cedar::testing
