#include "core/spec.h"

#include <algorithm>

namespace daypass::core {
namespace {
template <class List, class Match>
auto find_in(const List& list, Match match) -> const typename List::value_type* {
  const auto it = std::find_if(list.begin(), list.end(), match);
  return it == list.end() ? nullptr : &*it;
}
}  // namespace

const IdpSpec* TenantSpec::idp(std::string_view name) const noexcept {
  return find_in(idps, [&](const IdpSpec& i) { return i.name == name; });
}
const TargetSpec* TenantSpec::target(const TargetId& id) const noexcept {
  return find_in(targets, [&](const TargetSpec& t) { return t.id == id; });
}
const RoleSpec* TenantSpec::role(const RoleId& id) const noexcept {
  return find_in(roles, [&](const RoleSpec& r) { return r.id == id; });
}

}  // namespace daypass::core
