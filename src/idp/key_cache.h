// The keys that a provider signs with: fetched again when an unknown one signs, not too often, last good on failure.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "crypto/jose.h"
#include "idp/cached.h"
#include "idp/fetch.h"

namespace daypass::idp {

/// Safe from any thread. Fetches are single-flight and at most one in 10 s when keys are there already.
class KeyCache {
 public:
  using Ptr = std::shared_ptr<const crypto::KeySet>;
  KeyCache(const base::Clock& clock, Cached<crypto::KeySet>::Load load);

  /// Keys to verify a token whose header names `kid`: fetched again when it is unknown, at most once in 10 s, and not
  /// for a kid that was looked for and not found half a minute ago. Fresh for 10 minutes, usable for a day. Errors:
  /// those of the load.
  base::Result<Ptr> get(const std::optional<std::string>& kid, base::MonoTime deadline);
  /// Keys fetched after `seen`, for a signature that did not fit under a name that did; `seen` again when it is too
  /// soon.
  base::Result<Ptr> newer(const Ptr& seen, base::MonoTime deadline);
  /// Fetches (unless that was done a moment ago) and says how the last fetch ended.
  base::Status refresh(base::MonoTime deadline) { return keys_.refresh(deadline); }

 private:
  bool unknown_lately(const std::string& kid);
  void note_unknown(const std::string& kid);

  const base::Clock& clock_;
  Cached<crypto::KeySet> keys_;
  std::mutex unknown_mutex_;
  std::map<std::string, base::MonoTime> unknown_;  // kid → until when it is not asked for again
};

/// Fetches a JWK Set with at least one key that can verify. Errors: "jwks.*".
base::Result<crypto::KeySet> fetch_keys(const Fetch& fetch, const std::string& url, const Reach& reach,
                                        base::Millis timeout);

}  // namespace daypass::idp
