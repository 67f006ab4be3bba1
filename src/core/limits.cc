#include "core/limits.h"

#include <algorithm>

namespace daypass::core {

using base::Code;
using base::Error;
namespace json = base::json;

Millis longest(const Offers& offers) {
  Millis most{0};
  for (const auto& offer : offers) most = std::max(most, offer.duration);
  return most;
}

int most_connections(const Offers& offers, Millis age) {
  int most = 0;
  for (const auto& offer : offers)
    if (age < offer.duration) most = std::max(most, offer.connections);
  return most;
}

std::optional<WallTime> deadline(const Offers& offers, WallTime opened_at, WallTime ends_at, WallTime last_active,
                                 int connections) {
  std::optional<WallTime> latest;
  for (const auto& offer : offers) {
    if (connections > offer.connections) continue;
    const WallTime end = std::min({opened_at + offer.duration, last_active + offer.idle, ends_at});
    if (!latest || end > *latest) latest = end;
  }
  return latest;
}

bool ends_by_idleness(const Offers& offers, WallTime opened_at, WallTime ends_at, WallTime last_active,
                      int connections) {
  const auto with = deadline(offers, opened_at, ends_at, last_active, connections);
  // Were the user busy right up to the end, would it come later? Then idleness is what ends it.
  const auto without = deadline(offers, opened_at, ends_at, ends_at, connections);
  return with && without && *with < *without;
}

Offers combine(const Offers& a, const Offers& b) {
  Offers all;
  for (const auto& x : a)
    for (const auto& y : b)
      all.push_back({x.policy == y.policy ? x.policy : x.policy + "+" + y.policy, std::min(x.duration, y.duration),
                     std::min(x.idle, y.idle), std::min(x.connections, y.connections)});
  const auto covers = [](const Offer& x, const Offer& y) {
    return x.duration >= y.duration && x.idle >= y.idle && x.connections >= y.connections;
  };
  Offers kept;
  for (const auto& candidate : all) {
    if (std::any_of(kept.begin(), kept.end(), [&](const Offer& k) { return covers(k, candidate); })) continue;
    std::erase_if(kept, [&](const Offer& k) { return covers(candidate, k); });
    kept.push_back(candidate);
  }
  return kept;
}

json::Value to_json(const Offers& offers) {
  json::Array out;
  for (const auto& offer : offers)
    out.push_back(json::Object{{"policy", offer.policy},
                               {"duration_ms", std::int64_t{offer.duration.count()}},
                               {"idle_ms", std::int64_t{offer.idle.count()}},
                               {"connections", offer.connections}});
  return out;
}

base::Result<Offers> offers_from_json(const json::Value& value) {
  const json::Array* array = value.as_array();
  if (array == nullptr) return Error{Code::internal, "offers.shape", "stored offers are not an array"};
  Offers out;
  for (const auto& item : *array)
    out.push_back({item.string_or("policy"), Millis(item.int_or("duration_ms", 0)), Millis(item.int_or("idle_ms", 0)),
                   static_cast<int>(item.int_or("connections", 0))});
  return out;
}

}  // namespace daypass::core
