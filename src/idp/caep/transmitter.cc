#include "idp/caep/transmitter.h"

#include <utility>

#include "base/json.h"
#include "idp/printable.h"
#include "idp/url.h"

namespace daypass::idp::caep {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t max_critical = 32;

Error bad(std::string check, std::string message) {
  return Error{Code::unavailable, "transmitter." + std::move(check),
               "transmitter's configuration: " + std::move(message),
               "compare signals.transmitter with its /.well-known/ssf-configuration"};
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

Transmitter::Source transmitter_of(const core::IdpSpec& spec) {
  const core::SignalsSpec& signals = *spec.signals;
  const bool given = !signals.jwks_url.empty();
  Transmitter::Source out{
      .issuer = signals.transmitter,
      .url = configuration_url(signals.transmitter),
      .reach = Reach::of(spec, given ? signals.jwks_url : signals.transmitter),
      .family = "transmitter",
      .max_bytes = max_configuration_bytes,
      .fetch_cap = std::chrono::seconds(5),
      .parse = [issuer = signals.transmitter](std::string_view text) { return parse_configuration(text, issuer); }};
  if (given) out.given = std::make_shared<const Configuration>(Configuration{signals.jwks_url, {}});
  return out;
}

}  // namespace daypass::idp::caep
