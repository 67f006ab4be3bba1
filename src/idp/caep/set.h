// Security event tokens (RFC 8417) as OpenID Shared Signals 1.0 has them, and the two events of CAEP 1.0 that end
// sessions. Pure: bytes, keys and expectations in; what the event is about, or the one check that failed, out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "crypto/jose.h"
#include "idp/signals.h"

namespace daypass::idp::caep {

struct Expect {
  std::string transmitter;     ///< the only `iss`, to the byte
  std::string audience;        ///< must be in `aud`
  std::string subject_issuer;  ///< the only `iss` of subjects
  bool people_by_sub = true;   ///< a subject's `sub` is what people are known by; else only sessions can be told apart
  bool opaque_is_person = false;
  std::vector<std::string> critical;  ///< members of complex subjects that must not be passed over
  base::WallTime now{};
};

constexpr base::Seconds leeway{30};  ///< for clocks that differ
/// A stream that was paused, or that nobody polled, tells late.
constexpr base::Seconds max_age{7 * 24 * 3600};

/// Errors: "jws.*" of crypto::verify_jws, then in this order
///   "set.typ"              not secevent+jwt
///   "set.syntax"           the payload is no JSON object
///   "set.iss", "set.aud"
///   "set.exp", "set.sub"   there, as they are in other tokens (SSF section 4.1.3)
///   "set.iat_missing", "set.iat"   in the future, or older than a week
///   "set.jti"
///   "set.events"           not one event
///   "set.event"            an event that is not as CAEP defines it
///   "set.subject"          none, malformed, or nobody whom we could know by it
///   "set.subject_format"   an e-mail address, a telephone number, …
///   "set.subject_iss"      somebody of another provider
///   "set.subject_critical" it narrows the subject down by what we can't tell apart, and must not be passed over
/// Events of other types are verified as far as jti and come back without anybody's end.
base::Result<SecurityEvent> verify_set(std::string_view token, const crypto::KeySet& keys, const Expect& expect);

/// The same behind the signature.
base::Result<SecurityEvent> read_set(const base::json::Value& header, std::string_view payload, const Expect& expect);

}  // namespace daypass::idp::caep
