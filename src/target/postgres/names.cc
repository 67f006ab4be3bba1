#include "target/postgres/names.h"

#include <algorithm>
#include <cstring>

#include "base/encoding.h"
#include "core/grant.h"
#include "crypto/digest.h"

namespace daypass::target::postgres {

bool is_identifier(std::string_view name) noexcept {
  // NAMEDATALEN - 1: the server silently cuts longer names, and a cut name is another name.
  if (name.empty() || name.size() > 63 || !base::is_utf8(name)) return false;
  if (std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) return false;
  return name != "public" && name != "none" && !name.starts_with("pg_");
}

bool is_instance(std::string_view text) noexcept {
  return text.size() == 6 &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

std::string mark_prefix(std::string_view instance) {
  return "daypass " + std::string(instance) + " ";
}
std::string mark(std::string_view instance, const core::GrantId& grant) {
  return mark_prefix(instance) + grant.str();
}
std::string name_prefix(std::string_view instance) {
  return "dp_" + std::string(instance) + "_";
}

std::optional<core::GrantId> read_mark(std::string_view instance, std::string_view role, std::string_view comment) {
  const std::string prefix = mark_prefix(instance);
  if (!comment.starts_with(prefix)) return std::nullopt;
  comment.remove_prefix(prefix.size());
  const std::size_t slash = comment.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto tenant = core::parse_tenant(comment.substr(0, slash));
  if (!tenant.ok()) return std::nullopt;
  auto grant = core::parse_grant(*tenant, comment.substr(slash + 1));
  if (!grant.ok() || core::account_name(instance, *grant) != role) return std::nullopt;
  return std::move(grant).value();
}

std::pair<std::int32_t, std::int32_t> lock_keys(std::string_view account) {
  const std::string hash = crypto::sha256("daypass account " + std::string(account));
  std::int32_t first = 0;
  std::int32_t second = 0;
  std::memcpy(&first, hash.data(), sizeof first);
  std::memcpy(&second, hash.data() + sizeof first, sizeof second);
  return {first, second};
}

}  // namespace daypass::target::postgres
