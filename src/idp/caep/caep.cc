#include "idp/caep/caep.h"

#include <algorithm>
#include <utility>

#include "crypto/digest.h"
#include "idp/caep/poll.h"
#include "idp/caep/set.h"
#include "idp/caep/transmitter.h"
#include "idp/url.h"
#include "net/http_client.h"

namespace daypass::idp::caep {

using base::Code;
using base::Error;
using base::MonoTime;
using base::Result;
using base::Secret;
using base::Status;

namespace {

constexpr std::size_t max_authorization = std::size_t{8} * 1024;

/// What is the same for everybody who runs in here.
struct Shared {
  const base::Clock& clock;
  const base::Log& log;
  Fetch fetch;
  SecretSource secrets;
};

/// Nothing is wrong with the token: it is to be told again.
Error later(Error error) {
  if (error.code != Code::timeout) error.code = Code::unavailable;
  return error;
}

class Receiver final : public SignalReceiver {
 public:
  Receiver(std::shared_ptr<Shared> shared, core::TenantId tenant, core::IdpSpec spec)
      : shared_(std::move(shared)),
        tenant_(std::move(tenant)),
        spec_(std::move(spec)),
        transmitter_(shared_->clock, shared_->log, shared_->fetch, tenant_, transmitter_of(spec_)) {}

  [[nodiscard]] Status admit(const Secret& authorization) const override;
  Result<SecurityEvent> verify(std::string_view token, Millis budget) override;
  [[nodiscard]] std::optional<Millis> polls_every() const override {
    if (settings().poll_url.empty()) return std::nullopt;
    return settings().poll_every;
  }
  Result<Polled> poll(const Acknowledged& before, Millis budget) override;
  Status probe(Millis budget) override { return transmitter_.probe(shared_->clock.mono() + budget); }

 private:
  [[nodiscard]] const core::SignalsSpec& settings() const { return *spec_.signals; }
  [[nodiscard]] Expect expectations() const;

  std::shared_ptr<Shared> shared_;
  core::TenantId tenant_;
  core::IdpSpec spec_;
  Transmitter transmitter_;
};

Status Receiver::admit(const Secret& authorization) const {
  bool known = false;
  for (const std::string& reference : settings().push_tokens) {
    const auto secret = shared_->secrets(tenant_, {reference});
    if (!secret.ok()) {
      // Where the server keeps things is no stranger's business.
      shared_->log.error("a push token can't be read", {{"tenant", tenant_.str()},
                                                        {"idp", spec_.name},
                                                        {"check", secret.error().check},
                                                        {"why", secret.error().message}});
      continue;
    }
    // Digests, so that lengths don't tell; all of them, so that it does not tell which.
    if (authorization.size() > max_authorization) continue;
    const std::string got = crypto::sha256(authorization.reveal());
    const bool whole = base::equal_constant_time(got, crypto::sha256(secret->reveal()));
    const bool token = base::equal_constant_time(got, crypto::sha256(net::authorization_of(secret->clone()).reveal()));
    known = known || whole || token;
  }
  if (known) return {};
  return Error{Code::unauthenticated, "signals.authorization", "nobody is known by this Authorization header",
               "the transmitter sends what signals.push_tokens refers to"};
}

Expect Receiver::expectations() const {
  Expect expect;
  expect.transmitter = settings().transmitter;
  expect.audience = settings().audience;
  expect.subject_issuer = settings().subject_issuer.empty() ? spec_.issuer : settings().subject_issuer;
  expect.people_by_sub = spec_.subject_from == (spec_.protocol == "saml" ? "NameID" : "sub");
  expect.opaque_is_person = settings().opaque_is_person;
  return expect;
}

Result<SecurityEvent> Receiver::verify(std::string_view token, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  if (token.size() > crypto::max_jws_bytes)
    return Error{Code::invalid, "jws.too_large", "the token is larger than 64 KiB"};
  Expect expect = expectations();
  const auto configuration = transmitter_.document(deadline);
  if (!configuration.ok()) return later(configuration.error());
  expect.critical = (*configuration)->critical;
  const auto keys = transmitter_.keys().get(crypto::peek_kid(token), deadline);
  if (!keys.ok()) return later(keys.error());
  expect.now = shared_->clock.wall();
  auto event = verify_set(token, **keys, expect);
  // A key may have changed without changing its name, or have none: then newer keys decide.
  const std::string check = event.ok() ? "" : event.error().check;
  if (check == "jws.signature" || check == "jws.alg_key_mismatch" || check == "jws.key_ambiguous") {
    const auto newer = transmitter_.keys().newer(*keys, deadline);
    if (!newer.ok()) return later(newer.error());
    if (*newer != *keys) event = verify_set(token, **newer, expect);
  }
  return event;
}

Result<Polled> Receiver::poll(const Acknowledged& before, Millis budget) {
  DP_TRY(Secret token, shared_->secrets(tenant_, settings().poll_token));
  Request request;
  request.method = "POST";
  request.url = settings().poll_url;
  request.content_type = "application/json";
  request.content_language = "en";  // of the descriptions in setErrs
  request.body = Secret::take(poll_request(before));
  request.authorization = net::authorization_of(std::move(token));
  request.timeout = budget;
  request.max_bytes = max_poll_bytes;
  Reach::of(spec_, settings().poll_url).apply(request);
  DP_TRY(const Reply reply, fetch_ok(shared_->fetch, request, "poll"));
  return parse_poll(reply.body);
}

Status check_url(std::string_view name, const std::string& text) {
  const auto url = parse_url(text);
  if (url && acceptable(*url, true)) return {};
  return Error{Code::invalid, "signals." + std::string(name), std::string(name) + " is no https URL"};
}

class CaepDriver final : public SignalDriver {
 public:
  explicit CaepDriver(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  Result<std::shared_ptr<SignalReceiver>> make(const core::TenantId& tenant, const core::IdpSpec& spec) override {
    const core::SignalsSpec& signals = *spec.signals;
    DP_CHECK(check_url("transmitter", signals.transmitter));
    if (!signals.jwks_url.empty()) DP_CHECK(check_url("jwks_url", signals.jwks_url));
    if (!signals.poll_url.empty()) DP_CHECK(check_url("poll_url", signals.poll_url));
    if (signals.audience.empty()) return Error{Code::invalid, "signals.audience", "audience is empty"};
    if (signals.push_tokens.empty() && signals.poll_url.empty())
      return Error{Code::invalid, "signals.delivery", "events are neither pushed nor polled",
                   "set push_tokens or poll_url"};
    return std::shared_ptr<SignalReceiver>(std::make_shared<Receiver>(shared_, tenant, spec));
  }

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<SignalDriver> make_signal_driver(const base::Clock& clock, const base::Log& log, Fetch fetch,
                                                 SecretSource secrets) {
  return std::make_unique<CaepDriver>(
      std::make_shared<Shared>(Shared{clock, log, std::move(fetch), std::move(secrets)}));
}

}  // namespace daypass::idp::caep
