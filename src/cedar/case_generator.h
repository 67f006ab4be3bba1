// Random policy sets, entities and requests for the tests that ask two evaluators: mostly well typed, each step wrong
// now and then, with the odd strings, numbers at the edge and times near midnight that evaluators get wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cedar/value.h"

namespace daypass::cedar::testing {

struct GeneratedCase {
  struct Link {
    std::size_t of = 0;  ///< template
    std::string id;
    std::optional<EntityUid> principal, resource;
  };
  std::vector<std::string> policies;   ///< one text each
  std::vector<std::string> templates;  ///< one text each
  std::vector<Link> links;
  base::json::Array entities;
  base::json::Array requests;

  /// The static policies as one text.
  [[nodiscard]] std::string text() const;
};

class CaseGenerator {
 public:
  explicit CaseGenerator(std::uint64_t seed) : random_(seed) {}
  GeneratedCase next();
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  enum class Kind : std::uint8_t { boolean, number, text, entity, set, record, decimal, ip, datetime, duration };

  Kind kind();
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  EntityUid uid();
  std::string word();
  std::string quoted(const std::string& text);
  std::string extension(Kind kind, bool good_only);

  // Policies.
  std::string policy(bool slots, GeneratedCase::Link* link);
  std::string entity_scope(const char* variable, bool slot);
  std::string action_scope();
  std::string space();
  std::string expr(Kind kind, std::size_t depth);
  std::string leaf(Kind kind);
  std::string path(Kind kind);
  std::string literal(Kind kind, std::size_t depth);
  std::string boolean(std::size_t depth);
  std::string relation(std::size_t depth);
  std::string test(std::size_t depth);
  std::string number(std::size_t depth);
  std::string name(bool dotted);

  // Data.
  base::json::Value value(Kind kind, std::size_t depth);
  base::json::Object members(std::size_t depth);
  base::json::Array store();
  base::json::Value request();

  std::mt19937_64 random_;
  bool odd_ = false;  // the data may be such as no engine takes
};

}  // namespace daypass::cedar::testing
