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
const ForwardSpec* TenantSpec::forward(std::string_view name) const noexcept {
  return find_in(forwards, [&](const ForwardSpec& f) { return f.name == name; });
}

std::string ForwardSpec::host() const {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string::npos) return {};
  std::string out = url.substr(scheme + 3);
  out = out.substr(0, out.find_first_of("/?#"));
  if (out.starts_with('[')) return out.substr(1, out.find(']') == std::string::npos ? 0 : out.find(']') - 1);
  return out.substr(0, out.find(':'));
}

bool ForwardSpec::at_loopback() const {
  const std::string at = host();
  if (at == "localhost") return true;
  if (at.find(':') != std::string::npos) return at.back() == '1' && at.find_first_not_of("0:") == at.size() - 1;
  // Four decimal parts: anything else is a name, wherever it leads.
  return at.starts_with("127.") && at.find_first_not_of("0123456789.") == std::string::npos &&
         std::count(at.begin(), at.end(), '.') == 3;
}

}  // namespace daypass::core
