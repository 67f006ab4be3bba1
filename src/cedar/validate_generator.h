// Random schemas and policies for the tests that ask two validators: mostly well typed, each step wrong now and then.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace daypass::cedar::testing {

/// What the generator knows of a type, so that it can write expressions of it.
struct GenType {
  enum Kind { boolean, number, text, decimal, ip, datetime, duration, entity, set, record };
  Kind kind = boolean;
  std::string name;                                            ///< entity
  std::vector<GenType> element;                                ///< set
  std::map<std::string, std::pair<GenType, bool>> attributes;  ///< record: type and whether required
};

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  /// Schema text. Fills what policies() draws from.
  std::string schema();
  /// `text` with one token taken out, doubled or exchanged.
  std::string damaged(const std::string& text);
  std::string policies();
  /// Entities JSON for the schema, mostly conforming.
  std::string entities();
  /// Requests as a JSON array, mostly conforming.
  std::string requests();

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  struct Entity {
    std::string space, name;  // name without its namespace
    GenType shape;
    std::vector<GenType> tags;  // one or none
    std::vector<std::string> choices;
    std::vector<std::size_t> parents;
    [[nodiscard]] std::string full() const { return space.empty() ? name : space + "::" + name; }
  };
  struct Action {
    std::string space, id;
    std::vector<std::size_t> principals, resources;  // entities
    GenType context;
    std::vector<std::size_t> parents;
    [[nodiscard]] std::string uid() const { return (space.empty() ? "" : space + "::") + "Action::\"" + id + "\""; }
  };
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

  // Schemas.
  GenType type(std::size_t depth);
  GenType record_type(std::size_t depth);
  std::string written(const GenType& type, const std::string& space);
  std::string declaration(const Entity& entity);
  std::string declaration(const Action& action);
  std::string name_in(const Entity& entity, const std::string& space);
  std::string note();

  // Policies.
  std::string policy();
  std::string scope(const char* variable, const std::vector<std::size_t>& types);
  std::string action_scope();
  std::string entity_literal(const std::string& type);
  const Entity* find(const std::string& full) const;
  struct Path {
    std::string text;
    GenType type;
  };
  void paths(const std::string& text, const GenType& type, std::size_t depth, std::vector<Path>& safe,
             std::vector<Path>& optional);
  std::vector<Path> known_paths();
  std::string expr(const GenType& type, std::size_t depth);
  std::string boolean(std::size_t depth);
  std::string guarded(std::size_t depth);
  std::string leaf(const GenType& type);
  std::string literal(const GenType& type);
  std::string number(std::size_t depth);
  std::string access(const std::string& base, const std::string& attribute);
  std::string word();

  // Entities.
  std::string value(const GenType& type, std::size_t depth);
  std::string members(const GenType& record);
  std::string uid_json(const std::string& type);

  std::mt19937_64 random_;
  std::vector<Entity> entities_;
  std::vector<Action> actions_;
  std::vector<std::pair<std::string, GenType>> commons_;  // in the first namespace
  std::string common_space_;
  // Of the policy that is being written.
  std::string principal_, resource_;
  const Action* action_ = nullptr;
  std::vector<Path> learned_;
};

}  // namespace daypass::cedar::testing
