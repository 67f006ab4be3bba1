// The texts that tie a role to its grant: the mark in its comment, the lock that guards it, the names that may be used.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/ids.h"

namespace daypass::target::postgres {

/// A usable PostgreSQL identifier: 1 … 63 bytes of UTF-8 without control characters, not `public`, `none` or `pg_…`.
[[nodiscard]] bool is_identifier(std::string_view name) noexcept;

/// [a-z0-9]{6}
[[nodiscard]] bool is_instance(std::string_view text) noexcept;

/// "daypass <instance> <tenant>/<grant id>": all that the comment says, for everyone on the server can read it.
std::string mark(std::string_view instance, const core::GrantId& grant);
/// "daypass <instance> "
std::string mark_prefix(std::string_view instance);
/// "dp_<instance>_"
std::string name_prefix(std::string_view instance);

/// The grant that `comment` names, when the whole of it is our mark and `role` is the very name made for that grant.
/// A comment copied to another role, or a role that merely looks like ours, gives nullopt.
std::optional<core::GrantId> read_mark(std::string_view instance, std::string_view role, std::string_view comment);

/// The two keys of the advisory lock that serialises work on one account.
std::pair<std::int32_t, std::int32_t> lock_keys(std::string_view account);

}  // namespace daypass::target::postgres
