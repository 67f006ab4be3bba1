// SAML on files, without a server: would this Response be believed, and what does it say?
#include "app/cli/commands.h"
#include "app/cli/policy_files.h"
#include "app/secrets.h"
#include "base/encoding.h"
#include "idp/saml/logout.h"
#include "idp/saml/metadata.h"
#include "idp/saml/response.h"

namespace daypass::app::cli {

using base::Error;
using base::Result;
namespace json = base::json;
namespace saml = idp::saml;

namespace {

json::Object to_json(const saml::Assertion& a) {
  json::Object attributes;
  for (const auto& attribute : a.attributes) attributes.set(attribute.name, json::Array(attribute.values));
  json::Object out{{"issuer", a.issuer},
                   {"name_id", a.name_id},
                   {"name_id_format", a.name_id_format},
                   {"session_indexes", json::Array(a.session_indexes.begin(), a.session_indexes.end())},
                   {"authn_instant", base::to_rfc3339(a.authn_instant)},
                   {"authn_context", a.authn_context},
                   {"not_after", json::Value()},
                   {"assertion_id", a.id},
                   {"attributes", std::move(attributes)}};
  if (a.session_not_on_or_after) out.set("not_after", base::to_rfc3339(*a.session_not_on_or_after));
  return out;
}

json::Object to_json(const Error& error) {
  return {{"check", error.check}, {"message", error.message}, {"hint", error.hint}};
}

/// What every response of a run is held against.
struct Against {
  saml::IdpMetadata metadata;
  std::vector<saml::KeyPair> keys;
  saml::Expected expected;
};

Result<Against> against(Io& io, const SamlVerify& what) {
  Against out;
  DP_TRY(out.expected.now, base::parse_rfc3339(what.now));
  DP_TRY(const std::string text, read_text(io, what.metadata));
  saml::MetadataWanted wanted;
  wanted.now = out.expected.now;
  wanted.loopback_http = true;
  DP_TRY(out.metadata, saml::parse_metadata(text, wanted));
  if (!what.sp_key.empty()) {
    DP_TRY(const base::Secret pem, resolve_secret(core::SecretRef{"file:" + what.sp_key}));
    DP_TRY(auto key, saml::KeyPair::for_decryption(pem));
    out.keys.push_back(std::move(key));
  }
  out.expected.issuer = out.metadata.entity_id;
  out.expected.sp_entity_id = what.sp_entity_id;
  out.expected.acs = what.acs;
  if (!what.request_id.empty()) out.expected.request_id = what.request_id;
  return out;
}

/// As the browser posts it, or as it stands in a file.
bool is_xml(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string_view::npos && text[first] == '<';
}

Result<saml::Assertion> verify(std::string_view response, const Against& all) {
  saml::Expected expected = all.expected;
  expected.keys = all.metadata.signing;
  expected.decryption = all.keys;
  if (is_xml(response)) return saml::verify_response(response, expected);
  DP_TRY(const std::string xml, saml::decode_response(response));
  return saml::verify_response(xml, expected);
}

/// A LogoutResponse: as it is posted, or as the query of the redirect binding.
Result<json::Object> verify_logout(std::string_view text, const SamlVerify& what, const Against& all) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  idp::LogoutMessage message;
  message.posted = text.find("SAMLResponse=") == std::string_view::npos && text.find('&') == std::string_view::npos;
  if (message.posted)
    message.fields = {{"SAMLResponse", is_xml(text) ? base::base64_encode(text) : std::string(text)}};
  else
    message.raw_query = text;
  DP_TRY(const saml::LogoutResponse response, saml::verify_logout_response(message, {.issuer = all.expected.issuer,
                                                                                     .keys = all.metadata.signing,
                                                                                     .destination = what.slo,
                                                                                     .now = all.expected.now}));
  // As the server does: what nobody asked for is worth nothing.
  if (response.in_response_to != what.request_id)
    return Error{base::Code::invalid, "logout.state", "this answers another request than --request-id names"};
  const char* outcome = response.outcome == idp::LogoutOutcome::signed_out ? "signed_out"
                        : response.outcome == idp::LogoutOutcome::partly   ? "partly"
                                                                           : "refused";
  return json::Object{{"in_response_to", response.in_response_to}, {"outcome", outcome}, {"why", response.why}};
}

// One JSON line for each on stdin, answered before the next is read: {"response": "<base64>"}.
int verify_batch(Io& io, const Against& all) {
  json::Limits limits;
  limits.bytes = std::size_t{17} << 20U;
  while (const auto line = io.line()) {
    if (line->empty()) continue;
    const auto parsed = json::parse(*line, limits);
    const std::string response = parsed.ok() ? parsed->string_or("response") : std::string();
    const auto assertion = verify(response, all);
    io.out(json::dump(assertion.ok() ? json::Value(to_json(*assertion))
                                     : json::Value(json::Object{{"error", to_json(assertion.error())}})) +
           "\n");
  }
  return Exit::done;
}

}  // namespace

int saml_verify(Io& io, const Globals& g, const SamlVerify& what) {
  if (what.slo.empty() && (what.acs.empty() || what.sp_entity_id.empty()))
    return wrong_files(io, g,
                       Error{base::Code::invalid, "saml.options", "nothing says where the message came to",
                             "--sp-entity-id and --acs for a Response, --slo for a LogoutResponse"},
                       "can't begin");
  const auto all = against(io, what);
  if (!all.ok()) return wrong_files(io, g, all.error(), "can't begin");
  if (what.batch) return verify_batch(io, *all);
  const auto text = read_text(io, what.response);
  if (!text.ok()) return wrong_files(io, g, text.error(), "can't begin");
  const auto read = [&]() -> Result<json::Object> {
    if (!what.slo.empty()) return verify_logout(*text, what, *all);
    DP_TRY(const auto assertion, verify(*text, *all));
    return to_json(assertion);
  }();
  if (read.ok()) {
    io.out(json::dump_pretty(*read));
    return Exit::done;
  }
  (void)fail(io, g, read.error(), "not believed");
  return Exit::failed;
}

}  // namespace daypass::app::cli
