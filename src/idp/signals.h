// Port: security events that a provider's transmitter tells (OpenID Shared Signals). Verifies each, or returns the one
// check that failed; what becomes of it is not its business.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/spec.h"
#include "idp/idp.h"

namespace daypass::idp {

/// A security event token (SET, RFC 8417), proven to be the transmitter's and for us.
struct SecurityEvent {
  std::string jti;
  std::string name;               ///< "session_revoked", "credential_change", "verification", …: for the log
  std::optional<SignedOut> over;  ///< whose sessions it ends; none: it is acknowledged, and that is all
};

/// The answer to a poll (RFC 8936). Nothing in it is verified yet.
struct Polled {
  std::vector<std::pair<std::string, std::string>> tokens;  ///< by the jti that the transmitter gives
  bool more = false;
};

/// What became of the tokens of the poll before.
struct Acknowledged {
  std::vector<std::string> taken;
  std::vector<std::pair<std::string, base::Error>> refused;
  [[nodiscard]] bool empty() const noexcept { return taken.empty() && refused.empty(); }
};

/// Safe from any thread.
class SignalReceiver {
 public:
  virtual ~SignalReceiver() = default;
  /// Whether a push comes from who may push: `authorization` is that header as it came, empty when there was none.
  /// Error: "signals.authorization", the same for everything.
  [[nodiscard]] virtual base::Status admit(const base::Secret& authorization) const = 0;
  /// Errors: "set.*", "jws.*"; and, when it can be told again later, those of fetching keys (Code::unavailable,
  /// ::timeout).
  virtual base::Result<SecurityEvent> verify(std::string_view token, Millis budget) = 0;
  /// Time between two polls; nullopt: it is never polled.
  [[nodiscard]] virtual std::optional<Millis> polls_every() const = 0;
  /// Asks once and tells what became of the tokens before. Errors: "poll.*", those of reading the secret.
  virtual base::Result<Polled> poll(const Acknowledged& before, Millis budget) = 0;
  /// Fetches the transmitter's configuration and keys.
  virtual base::Status probe(Millis budget) = 0;
};

/// "invalid_request", …: what RFC 8935 section 2.4 calls an error of SignalReceiver.
std::string_view set_error_name(const base::Error& error);

class SignalDriver {
 public:
  virtual ~SignalDriver() = default;
  /// Of a provider that has `signals`. Errors: "signals.*".
  virtual base::Result<std::shared_ptr<SignalReceiver>> make(const core::TenantId& tenant,
                                                             const core::IdpSpec& spec) = 0;
};

}  // namespace daypass::idp
