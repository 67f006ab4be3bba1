// Shared by the generator's own files.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cedar/validate_generator.h"
#include "cedar/value.h"

namespace daypass::cedar::testing {

using G = GenType;

inline const std::vector<std::string> attribute_names = {"a",     "b", "name",  "level", "tags",
                                                         "in it", "x", "owner", "Set",   "é"};
inline const std::vector<std::string> strings = {"", "x", "a b", "*", "ä", "\u202e", "paypаl", "\n"};

inline GenType plain(G::Kind kind) {
  GenType out;
  out.kind = kind;
  return out;
}
inline GenType entity_type(std::string name) {
  GenType out = plain(G::entity);
  out.name = std::move(name);
  return out;
}
inline GenType set_of(GenType element) {
  GenType out = plain(G::set);
  out.element.push_back(std::move(element));
  return out;
}

inline std::string written_name(const std::string& name) {
  return is_type_name(name) ? name : quote(name);
}

inline bool equal(const GenType& a, const GenType& b) {
  if (a.kind != b.kind || a.name != b.name || a.attributes.size() != b.attributes.size()) return false;
  if (a.kind == G::set && !equal(a.element[0], b.element[0])) return false;
  return std::equal(a.attributes.begin(), a.attributes.end(), b.attributes.begin(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.second == y.second.second && equal(x.second.first, y.second.first);
  });
}

}  // namespace daypass::cedar::testing
