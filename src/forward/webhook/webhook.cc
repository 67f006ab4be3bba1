#include "forward/webhook/webhook.h"

#include "base/encoding.h"
#include "crypto/digest.h"
#include "forward/format.h"

namespace daypass::forward::webhook {

using base::Code;
using base::Error;
using base::Result;
using base::Secret;
using base::Status;

namespace {

/// Shorter ones could be guessed from one message (Standard Webhooks, "Signature scheme", asks for 24 bytes).
constexpr std::size_t least_key = 24;

Error bad_secret(std::string why) {
  return {Code::invalid, "forward.secret", std::move(why), "make one with: openssl rand -base64 32"};
}

class Webhook final : public Receiver {
 public:
  Webhook(const base::Clock& clock, net::HttpFetcher& fetcher, SecretSource secrets, core::TenantId tenant,
          core::ForwardSpec spec)
      : clock_(clock),
        fetcher_(fetcher),
        secrets_(std::move(secrets)),
        tenant_(std::move(tenant)),
        spec_(std::move(spec)) {}

  Status deliver(const Batch& batch, Millis budget) override {
    net::HttpFetch fetch("POST", spec_.url);
    for (const auto& record : batch.records) {
      DP_TRY(const std::string line, line_of(record, spec_.format));
      fetch.body += line + "\n";
    }
    // The same for the same records however often they are sent, so that a receiver can drop what it has.
    const std::string id =
        "msg_" +
        base::hex_encode(crypto::sha256(tenant_.str() + "\n" + std::to_string(batch.first) + "\n" + fetch.body))
            .substr(0, 32);
    const std::string timestamp =
        std::to_string(std::chrono::floor<std::chrono::seconds>(clock_.wall()).time_since_epoch().count());
    std::string signatures;
    for (const auto& reference : spec_.secrets) {
      DP_TRY(const Secret secret, read({reference}));
      DP_TRY(const std::string one, signature(secret, id, timestamp, fetch.body));
      signatures += (signatures.empty() ? "" : " ") + one;
    }
    fetch.headers = {{"content-type", "application/x-ndjson"},
                     {"webhook-id", id},
                     {"webhook-timestamp", timestamp},
                     {"webhook-signature", signatures}};
    if (!spec_.authorization.ref.empty()) {
      DP_TRY(Secret token, read(spec_.authorization));
      fetch.authorization = net::authorization_of(std::move(token));
    }
    fetch.timeout = budget;
    fetch.connect_timeout = std::min<Millis>(budget, std::chrono::seconds(5));
    fetch.max_bytes = std::size_t{64} << 10U;
    fetch.ca_file = spec_.ca_file;
    fetch.egress.private_hosts = spec_.allowed_hosts;
    fetch.egress.allow_loopback = spec_.at_loopback();
    fetch.egress.allow_loopback_http = spec_.at_loopback() && spec_.url.starts_with("http:");
    const auto reply = fetcher_.fetch(fetch);
    if (!reply.ok())
      return Error{reply.error().code == Code::timeout ? Code::timeout : Code::unavailable, "forward.unreachable",
                   "the receiver can't be reached: " + reply.error().message + " (" + reply.error().check + ")",
                   reply.error().hint};
    if (reply->status >= 200 && reply->status < 300) return {};
    return Error{Code::unavailable, "forward.refused", "the receiver answered " + std::to_string(reply->status),
                 "its own log says more"};
  }

 private:
  /// Without the end of line that files have.
  Result<Secret> read(const core::SecretRef& reference) const {
    auto secret = secrets_(tenant_, reference);
    if (!secret.ok()) return bad_secret("a secret of the receiver can't be read: " + secret.error().message);
    std::string_view text = secret->reveal();
    while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
    return Secret(std::string(text));
  }

  const base::Clock& clock_;
  net::HttpFetcher& fetcher_;
  const SecretSource secrets_;
  const core::TenantId tenant_;
  const core::ForwardSpec spec_;
};

class WebhookDriver final : public Driver {
 public:
  WebhookDriver(const base::Clock& clock, net::HttpFetcher& fetcher, SecretSource secrets)
      : clock_(clock), fetcher_(fetcher), secrets_(std::move(secrets)) {}

  [[nodiscard]] Status validate(const core::ForwardSpec& spec) const override {
    if (spec.secrets.empty())
      return Error{Code::invalid, "forward.secret", "a webhook without a secret can't be told from a forgery",
                   "give secrets = [\"tenant:NAME\"]"};
    return {};
  }
  Result<std::shared_ptr<Receiver>> make(const core::TenantId& tenant, const core::ForwardSpec& spec) override {
    return std::shared_ptr<Receiver>(std::make_shared<Webhook>(clock_, fetcher_, secrets_, tenant, spec));
  }

 private:
  const base::Clock& clock_;
  net::HttpFetcher& fetcher_;
  const SecretSource secrets_;
};

}  // namespace

Result<std::string> signature(const Secret& secret, std::string_view id, std::string_view timestamp,
                              std::string_view body) {
  constexpr std::string_view prefix = "whsec_";
  std::string_view text = secret.reveal();
  Secret decoded;
  if (text.starts_with(prefix)) {
    auto bytes = base::base64_decode(text.substr(prefix.size()));
    if (!bytes) return bad_secret("a secret that begins with whsec_ must be base64 behind it");
    decoded = Secret::take(std::move(*bytes));
    text = decoded.reveal();
  }
  if (text.size() < least_key) return bad_secret("the secret has fewer than 24 bytes");
  std::string what(id);
  what.append(".").append(timestamp).append(".").append(body);
  return "v1," + base::base64_encode(crypto::hmac_sha256(text, what));
}

std::unique_ptr<Driver> make_webhook_driver(const base::Clock& clock, net::HttpFetcher& fetcher, SecretSource secrets) {
  return std::make_unique<WebhookDriver>(clock, fetcher, std::move(secrets));
}

}  // namespace daypass::forward::webhook
