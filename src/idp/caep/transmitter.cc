#include "idp/caep/transmitter.h"

#include <utility>

#include "base/json.h"
#include "idp/printable.h"
#include "idp/url.h"

namespace daypass::idp::caep {

using base::Code;
using base::Error;
using base::Millis;
using base::MonoTime;
using base::Result;
using base::Status;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

constexpr Millis fetch_cap = seconds(5);
constexpr std::size_t max_critical = 32;
constexpr Cached<Configuration>::Policy policy{
    .fresh = hours(1), .usable = hours(24), .between = seconds(10), .first_retry = seconds(1), .patience = Millis(0)};

Error bad(std::string check, std::string message) {
  return Error{Code::unavailable, "transmitter." + std::move(check),
               "transmitter's configuration: " + std::move(message),
               "compare signals.transmitter with its /.well-known/ssf-configuration"};
}

std::shared_ptr<const Configuration> given(const core::SignalsSpec& signals) {
  if (signals.jwks_url.empty()) return nullptr;
  return std::make_shared<const Configuration>(Configuration{signals.jwks_url, {}});
}

}  // namespace

std::string configuration_url(std::string_view transmitter) {
  const std::size_t host = transmitter.find("://") + 3;
  const std::size_t path = std::min(transmitter.find('/', host), transmitter.size());
  std::string_view rest = transmitter.substr(path);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  return std::string(transmitter.substr(0, path)) + "/.well-known/ssf-configuration" + std::string(rest);
}

Result<Configuration> parse_configuration(std::string_view text, const std::string& transmitter) {
  const auto parsed =
      base::json::parse(text, {.bytes = max_configuration_bytes, .depth = 8, .nodes = 2'000, .members = 128});
  if (!parsed.ok()) return bad("syntax", parsed.error().message);
  if (parsed->as_object() == nullptr) return bad("syntax", "it is no object");
  const base::json::Value* issuer = parsed->find("issuer");
  if (issuer == nullptr || issuer->as_string() == nullptr) return bad("issuer", "issuer is missing or no string");
  if (*issuer->as_string() != transmitter)
    return bad("issuer", "issuer is " + base::json::quote(printable(*issuer->as_string(), 200)) + ", expected " +
                             base::json::quote(transmitter));
  const auto self = parse_url(transmitter);
  const bool loopback_http = self && !self->https && self->loopback();
  Configuration out;
  out.jwks_uri = parsed->string_or("jwks_uri");
  const auto keys = parse_url(out.jwks_uri);
  if (!keys || !acceptable(*keys, loopback_http)) return bad("jwks_uri", "jwks_uri is missing or no https URL");
  if (const base::json::Value* critical = parsed->find("critical_subject_members")) {
    const auto* list = critical->as_array();
    if (list == nullptr || list->size() > max_critical)
      return bad("shape", "critical_subject_members is no list of at most 32 names");
    for (const auto& member : *list) {
      if (member.as_string() == nullptr) return bad("shape", "critical_subject_members holds more than names");
      out.critical.push_back(*member.as_string());
    }
  }
  return out;
}

Transmitter::Transmitter(const base::Clock& clock, const base::Log& log, Fetch fetch, core::TenantId tenant,
                         const core::IdpSpec& spec)
    : clock_(clock),
      log_(log),
      fetch_(std::move(fetch)),
      tenant_(std::move(tenant)),
      issuer_(spec.signals->transmitter),
      reach_(Reach::of(spec, spec.signals->jwks_url.empty() ? issuer_ : spec.signals->jwks_url)),
      given_(given(*spec.signals)),
      configuration_(clock, policy, no_answer_in_time("transmitter"),
                     [this](MonoTime deadline) { return load_configuration(deadline); }),
      keys_(clock, [this](MonoTime deadline) { return load_keys(deadline); }) {}

Error Transmitter::noted(Error error) const {
  log_.warn("transmitter of signals: nothing fetched",
            {{"tenant", tenant_.str()}, {"transmitter", issuer_}, {"check", error.check}, {"why", error.message}});
  return error;
}

Result<Configuration> Transmitter::load_configuration(MonoTime deadline) {
  Request request;
  request.url = configuration_url(issuer_);
  request.timeout = remaining(clock_, deadline, fetch_cap);
  request.max_bytes = max_configuration_bytes;
  reach_.apply(request);
  auto reply = fetch_ok(fetch_, request, "transmitter");
  if (!reply.ok()) return noted(std::move(reply).error());
  auto configuration = parse_configuration(reply->body, issuer_);
  if (!configuration.ok()) return noted(std::move(configuration).error());
  return configuration;
}

Result<crypto::KeySet> Transmitter::load_keys(MonoTime deadline) {
  DP_TRY(const auto known, configuration(deadline));
  auto keys = fetch_keys(fetch_, known->jwks_uri, reach_, remaining(clock_, deadline, fetch_cap));
  if (!keys.ok()) return noted(std::move(keys).error());
  return keys;
}

Result<std::shared_ptr<const Configuration>> Transmitter::configuration(MonoTime deadline) {
  if (given_ != nullptr) return given_;
  DP_TRY(auto got, configuration_.get(deadline, [](const Configuration&) { return true; }));
  return std::move(got.value);
}

Status Transmitter::probe(MonoTime deadline) {
  if (given_ == nullptr) DP_CHECK(configuration_.refresh(deadline));
  return keys_.refresh(deadline);
}

}  // namespace daypass::idp::caep
