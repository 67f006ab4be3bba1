// The generator's entities and requests.
#include "base/json.h"
#include "cedar/validate_generator_impl.h"

namespace daypass::cedar::testing {

namespace json = base::json;

std::string Generator::uid_json(const std::string& type) {
  const Entity* entity = find(type);
  const std::string id = entity != nullptr && !entity->choices.empty() && !chance(8)
                             ? pick(entity->choices)
                             : std::string(chance(70) ? "x" : "y");
  json::Value out = json::Object{{"type", type}, {"id", id}};
  if (chance(40)) out = json::Object{{"__entity", std::move(out)}};
  return json::dump(out);
}

// A value of the type as JSON, of another one now and then.
std::string Generator::value(const GenType& wanted, std::size_t depth) {
  const GenType type = chance(2) ? this->type(1) : wanted;
  const auto extension = [&](std::string_view function, std::string_view argument) -> std::string {
    json::Value call = json::Object{{"fn", function}, {"arg", chance(96) ? argument : "zz"}};
    if (chance(40)) return json::dump(*call.find("arg"));
    if (chance(60)) call = json::Object{{"__extn", std::move(call)}};
    return json::dump(call);
  };
  switch (type.kind) {
    case G::boolean:
      return chance(50) ? "true" : "false";
    case G::number:
      return chance(98) ? std::to_string(below(100)) : chance(50) ? "1.5" : "null";
    case G::text:
      return json::quote(pick(strings));
    case G::decimal:
      return extension("decimal", "1.5");
    case G::ip:
      return extension("ip", "10.0.0.0/8");
    case G::datetime:
      return extension("datetime", "2024-01-01");
    case G::duration:
      return extension("duration", "1h");
    case G::entity:
      return uid_json(chance(97) ? type.name : chance(50) ? pick(entities_).full() : "Action");
    case G::set: {
      std::string out = "[";
      for (std::size_t n = below(3); n > 0; --n)
        out += (out == "[" ? "" : ",") + value(type.element[0], depth == 0 ? 0 : depth - 1);
      return out + "]";
    }
    case G::record:
      return members(type);
  }
  return "null";
}

std::string Generator::members(const GenType& record) {
  std::string out = "{";
  const auto add = [&](const std::string& name, const GenType& type) {
    out += (out == "{" ? "" : ",") + json::quote(name) + ":" + value(type, 2);
  };
  for (const auto& [name, member] : record.attributes)
    if (chance(member.second ? 97 : 50)) add(name, member.first);
  if (chance(2) && !record.attributes.contains("extra")) add("extra", plain(G::number));
  return out + "}";
}

std::string Generator::entities() {
  std::string out = "[";
  std::size_t n = 0;
  for (const Entity& entity : entities_) {
    if (chance(40)) continue;
    std::string parents;
    for (const std::size_t parent : entity.parents)
      if (chance(60)) parents += (parents.empty() ? "" : ",") + uid_json(entities_[parent].full());
    if (chance(3)) parents = uid_json(pick(entities_).full());
    // Ids of their own, so that there are neither duplicates nor circles to speak of.
    const std::string id = entity.choices.empty() ? "e" + std::to_string(n++) : entity.choices[below(2)];
    const std::string type = chance(98) ? entity.full() : "Nope";
    out += (out == "[" ? "" : ",") + std::string("{\"uid\":") +
           json::dump(json::Object{{"type", type}, {"id", chance(97) ? id : "q"}}) +
           ",\"attrs\":" + members(entity.shape) + ",\"parents\":[" + parents + "]";
    if (!entity.tags.empty() ? chance(50) : chance(2))
      out += ",\"tags\":{\"t\":" + value(entity.tags.empty() ? plain(G::number) : entity.tags[0], 2) + "}";
    out += "}";
  }
  if (chance(15)) {
    const Action& action = pick(actions_);
    std::string parents;
    for (const std::size_t parent : action.parents) {
      const Action& above = actions_[parent];
      parents += (parents.empty() ? "" : ",") +
                 json::dump(json::Object{{"type", (above.space.empty() ? "" : above.space + "::") + "Action"},
                                         {"id", above.id}});
    }
    const std::string uid = json::dump(
        json::Object{{"type", (action.space.empty() ? "" : action.space + "::") + "Action"}, {"id", action.id}});
    out += (out == "[" ? "" : ",") + std::string("{\"uid\":") + uid + ",\"attrs\":{},\"parents\":[" + parents + "]}";
  }
  return out + "]";
}

std::string Generator::requests() {
  std::string out = "[";
  for (std::size_t n = 2; n > 0; --n) {
    const Action& action = pick(actions_);
    const auto entity = [&](const std::vector<std::size_t>& types) {
      const std::string type = types.empty() || chance(5) ? pick(entities_).full() : entities_[pick(types)].full();
      const Entity* known = find(type);
      const std::string id = known->choices.empty() || chance(5) ? "q" : pick(known->choices);
      return json::dump(json::Object{{"type", chance(98) ? type : "Nope"}, {"id", id}});
    };
    const std::string uid =
        json::dump(json::Object{{"type", (action.space.empty() ? "" : action.space + "::") + "Action"},
                                {"id", chance(97) ? action.id : "nope"}});
    out += (out == "[" ? "" : ",") + std::string("{\"principal\":") + entity(action.principals) + ",\"action\":" + uid +
           ",\"resource\":" + entity(action.resources) + ",\"context\":" + members(action.context) + "}";
  }
  return out + "]";
}

}  // namespace daypass::cedar::testing
