// The receiver of OpenID Shared Signals: events of CAEP, pushed (RFC 8935) or polled (RFC 8936).
#pragma once

#include <memory>

#include "base/log.h"
#include "base/time.h"
#include "idp/fetch.h"
#include "idp/signals.h"

namespace daypass::idp::caep {

/// `clock` and `log` outlive it and the receivers that it made.
///
/// make() errors: "signals.transmitter", "signals.jwks_url", "signals.poll_url" (no https URL; http is for loopback
/// alone), "signals.audience", "signals.delivery" (neither push nor poll).
std::unique_ptr<SignalDriver> make_signal_driver(const base::Clock& clock, const base::Log& log, Fetch fetch,
                                                 SecretSource secrets);

}  // namespace daypass::idp::caep
