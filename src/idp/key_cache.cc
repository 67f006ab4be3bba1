#include "idp/key_cache.h"

#include <utility>

namespace daypass::idp {

using base::Code;
using base::Error;
using base::Millis;
using base::MonoTime;
using base::Result;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Millis unknown_kept = seconds(30);
constexpr std::size_t unknown_most = 256;
constexpr std::size_t kid_most = 512;  // longer ones are looked up, not remembered

// Keys that a provider has withdrawn must go soon, so they are fresh for minutes only.
constexpr Cached<crypto::KeySet>::Policy policy{.fresh = minutes(10),
                                                .usable = hours(24),
                                                .between = seconds(10),
                                                .first_retry = seconds(1),
                                                .patience = seconds(2)};

}  // namespace

KeyCache::KeyCache(const base::Clock& clock, Cached<crypto::KeySet>::Load load)
    : clock_(clock), keys_(clock, policy, no_answer_in_time("jwks"), std::move(load)) {}

bool KeyCache::unknown_lately(const std::string& kid) {
  const std::lock_guard lock(unknown_mutex_);
  const auto at = unknown_.find(kid);
  if (at == unknown_.end()) return false;
  if (clock_.mono() < at->second) return true;
  unknown_.erase(at);
  return false;
}

void KeyCache::note_unknown(const std::string& kid) {
  if (kid.size() > kid_most) return;
  const std::lock_guard lock(unknown_mutex_);
  const MonoTime now = clock_.mono();
  std::erase_if(unknown_, [&](const auto& entry) { return entry.second <= now; });
  // Full of living entries is a flood; the least time between fetches bounds it anyway.
  if (unknown_.size() < unknown_most) unknown_[kid] = now + unknown_kept;
}

Result<KeyCache::Ptr> KeyCache::get(const std::optional<std::string>& kid, MonoTime deadline) {
  const bool given_up = kid && unknown_lately(*kid);
  DP_TRY(auto got,
         keys_.get(deadline, [&](const crypto::KeySet& set) { return !kid || given_up || set.has_kid(*kid); }));
  if (kid && got.just_fetched && !got.value->has_kid(*kid)) note_unknown(*kid);
  return std::move(got.value);
}

Result<KeyCache::Ptr> KeyCache::newer(const Ptr& seen, MonoTime deadline) {
  DP_TRY(auto got, keys_.get(deadline, [&](const crypto::KeySet& set) { return &set != seen.get(); }));
  return std::move(got.value);
}

Result<crypto::KeySet> fetch_keys(const Fetch& fetch, const std::string& url, const Reach& reach, Millis timeout) {
  Request request;
  request.url = url;
  request.timeout = timeout;
  request.max_bytes = crypto::KeySet::max_bytes;
  reach.apply(request);
  DP_TRY(const Reply reply, fetch_ok(fetch, request, "jwks"));
  DP_TRY(auto keys, crypto::KeySet::parse(reply.body));
  if (keys.keys().empty())
    return Error{Code::unavailable, "jwks.no_keys", "the provider's key set has no key that can verify a token",
                 keys.first_left_out()};
  return keys;
}

}  // namespace daypass::idp
