// Offers: what each satisfied permit allows. Alternatives, never mixed, so that another permit never takes access away.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace daypass::core {

using base::Millis;
using base::WallTime;

/// One satisfied permit's limits.
struct Offer {
  std::string policy;  ///< id of the permit
  Millis duration{};
  Millis idle{};
  int connections = 0;
  bool operator==(const Offer&) const = default;
};
using Offers = std::vector<Offer>;

/// What a grant gets where a permit's annotations are silent, and the caps that a role or target sets.
struct DefaultLimits {
  Millis duration = std::chrono::hours(1);
  Millis idle = std::chrono::minutes(15);
  int connections = 4;
  bool operator==(const DefaultLimits&) const = default;
};

/// The longest duration any offer allows; 0 when there is none.
Millis longest(const Offers& offers);
/// The most connections that any offer still running at `age` allows; 0 when none is.
int most_connections(const Offers& offers, Millis age);

/// When a grant must end if nothing more happens: the latest instant at which some offer covers its age, its idleness
/// and its connections, and never later than `ends_at`. `opened_at` + duration bounds the age; `last_active` + idle
/// bounds the idleness. nullopt: no offer covers it even now.
std::optional<WallTime> deadline(const Offers& offers, WallTime opened_at, WallTime ends_at, WallTime last_active,
                                 int connections);
/// Whether `deadline` falls because of idleness rather than age: names the end reason.
bool ends_by_idleness(const Offers& offers, WallTime opened_at, WallTime ends_at, WallTime last_active,
                      int connections);

/// The offers of a grant that needs both `a` and `b` (two roles): each pair's smaller limits, dominated ones dropped.
Offers combine(const Offers& a, const Offers& b);

base::json::Value to_json(const Offers& offers);
base::Result<Offers> offers_from_json(const base::json::Value& value);

}  // namespace daypass::core
