// How often roles were given and which of their tables were named, by the day: what a report of unused rights is made
// of. One small document per tenant and role; nothing in it tells of a person. Pure but for its document.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace daypass::engine {

struct RoleUse {
  using Day = std::chrono::sys_days;
  /// Tables kept. Of more, those that nobody named for longer than any report looks back go first.
  static constexpr std::size_t most_named = 500;
  static constexpr auto longest_report = std::chrono::days(3650);

  Day since{};
  std::uint64_t grants = 0, connections = 0;
  std::optional<Day> given, connected;  ///< last
  std::optional<Day> unread;            ///< last day of which the names are not whole
  struct Last {
    std::optional<Day> read, written;
    bool operator==(const Last&) const = default;
  };
  std::map<std::pair<std::string, std::string>, Last> named;  ///< by schema ("": named without one) and name
  bool operator==(const RoleUse&) const = default;

  void note_given(Day today);
  void note_connection(const ConnectionStats& stats, Day today);
  /// Adds what was noted since; `since` stays the older one's.
  void add(const RoleUse& newer);

  [[nodiscard]] std::string text() const;
  /// Error: "usage.shape".
  static Result<RoleUse> parse(std::string_view text);

 private:
  void keep(const std::pair<std::string, std::string>& key, const Last& last, Day today);
};

/// Not in the store yet.
using UsageBook = std::map<std::pair<core::TenantId, core::RoleId>, RoleUse>;

/// What a report says of one role. `gives`: what its target says that it gives.
UnusedRights::Role judge_use(const Tenant& tenant, const core::RoleId& role, const RoleUse& use,
                             const Result<target::Holdings>& gives, int days, base::WallTime now);

/// The permits that may give a role, by their heads: conditions are not looked at.
std::vector<UnusedRights::Policy> giving_policies(const Tenant& tenant, const core::RoleId& role);

}  // namespace daypass::engine
