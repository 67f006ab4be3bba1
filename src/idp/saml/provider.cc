#include "idp/saml/provider.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "idp/printable.h"
#include "idp/saml/names.h"
#include "idp/url.h"

namespace daypass::idp::saml {

using base::Code;
using base::Error;
using base::MonoTime;
using base::Result;
using base::Secret;
using base::Status;
using base::json::Array;
using base::json::Object;
using base::json::Value;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Millis fetch_cap = seconds(10);
constexpr std::size_t max_fields = 16;
// Keys that a provider has withdrawn must go soon. cacheDuration has it fetched sooner, validUntil ends it.
constexpr Cached<IdpMetadata>::Policy metadata_policy{.fresh = minutes(60),
                                                      .usable = hours(24),
                                                      .between = seconds(10),
                                                      .first_retry = seconds(1),
                                                      .patience = Millis(0)};

/// The fields of the form that the browser posted.
struct Answer {
  std::string response, relay_state;
};

Result<Answer> read_answer(const Callback& callback) {
  if (!callback.posted)
    return Error{Code::invalid, "saml.not_posted", "a SAML answer comes as a posted form",
                 "set the identity provider to the HTTP-POST binding"};
  if (callback.query.size() > max_fields)
    return Error{Code::invalid, "saml.too_large", "the posted form has more than 16 fields"};
  std::optional<std::string> response;
  std::optional<std::string> relay;
  for (const auto& [name, value] : callback.query) {
    std::optional<std::string>* field = name == "SAMLResponse" ? &response : name == "RelayState" ? &relay : nullptr;
    if (field == nullptr) continue;
    if (*field) return Error{Code::invalid, "saml.duplicate_parameter", "the posted form has " + name + " twice"};
    *field = value;
  }
  if (!response) return Error{Code::invalid, "saml.no_response", "the posted form has no SAMLResponse"};
  return Answer{*std::move(response), std::move(relay).value_or("")};
}

/// Why a NameID is no name to keep somebody by; empty when it is one.
std::string unfit(const Assertion& assertion) {
  if (assertion.name_id.empty()) return "the assertion names nobody (no NameID)";
  if (assertion.name_id_format == transient_format)
    return "the NameID is transient: the same person has another one each time";
  if (assertion.name_id_format.ends_with(":emailAddress"))
    return "the NameID is an e-mail address, which changes hands";
  // Providers send addresses without saying so.
  if (assertion.name_id_format != persistent_format && assertion.name_id.find('@') != std::string::npos)
    return "the NameID looks like an e-mail address, which changes hands";
  return {};
}

/// SAML writes every value as text; an attribute that the tenant declared as a number or a truth is read as one, and
/// stays text, for the mapping to refuse, when it is none (XML Schema part 2, sections 3.2.2 and 3.3.13).
Value typed(Value claims, const core::IdpSpec& spec) {
  Object* object = claims.as_object();
  for (const auto& rule : spec.attributes) {
    const Value* value = object->find(rule.from);
    if (value == nullptr || value->as_string() == nullptr) continue;
    const std::string text = *value->as_string();  // a copy: set() below takes the place of it
    if (rule.type == core::AttributeType::boolean) {
      if (text == "true" || text == "1") object->set(rule.from, true);
      if (text == "false" || text == "0") object->set(rule.from, false);
    } else if (rule.type == core::AttributeType::integer) {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size()) object->set(rule.from, number);
    }
  }
  return claims;
}

std::string base_of(const std::string& redirect_uri) {
  constexpr std::string_view tail = "/callback";
  return redirect_uri.ends_with(tail) ? redirect_uri.substr(0, redirect_uri.size() - tail.size()) : std::string();
}

}  // namespace

std::string Shared::random_id() {
  return "_" + base::random_base32(entropy, 32);
}

std::string Shared::random_token() {
  return base::random_token(entropy, 32);
}

struct Provider::Pending {
  std::string relay_state, acs, sp_entity_id;
  std::optional<std::string> request_id;  ///< nullopt: nobody asked
  base::WallTime began{};
  bool force = false;
};

Provider::Provider(std::shared_ptr<Shared> shared, core::TenantId tenant, core::IdpSpec spec, Mapping mapping)
    : shared_(std::move(shared)),
      tenant_(std::move(tenant)),
      spec_(std::move(spec)),
      mapping_(std::move(mapping)),
      metadata_(shared_->clock, metadata_policy, no_answer_in_time("saml_metadata"),
                [this](MonoTime deadline) { return load(deadline); }) {}

Result<IdpMetadata> Provider::load(MonoTime deadline) {
  MetadataWanted wanted;
  wanted.entity_id = spec_.issuer;
  wanted.now = shared_->clock.wall();
  wanted.trust.fingerprints = spec_.saml.metadata_sha256;
  const auto noted = [&](Error error) {
    shared_->log.warn(
        "identity provider: metadata not read",
        {{"tenant", tenant_.str()}, {"issuer", spec_.issuer}, {"check", error.check}, {"why", error.message}});
    return error;
  };
  const auto read = [&](const std::string& ref) { return shared_->secrets(tenant_, core::SecretRef{ref}); };
  if (!spec_.saml.metadata_signer.empty()) {
    DP_TRY(const Secret pem, read(spec_.saml.metadata_signer));
    DP_TRY(auto signer, Certificate::from_pem(pem.reveal()));
    wanted.trust.signers.push_back(std::move(signer));
  }
  std::string text;
  if (!spec_.saml.metadata_by_url()) {
    auto file = read(spec_.saml.metadata);
    if (!file.ok()) return noted(std::move(file).error());
    text = file->reveal();
    wanted.loopback_http = true;  // whoever wrote the file decides where it leads
  } else {
    const Reach reach = Reach::of(spec_, spec_.saml.metadata);
    wanted.loopback_http = reach.loopback_http;
    Request request;
    request.url = spec_.saml.metadata;
    request.accept = "application/samlmetadata+xml, application/xml, text/xml";
    request.timeout = remaining(shared_->clock, deadline, fetch_cap);
    request.max_bytes = max_metadata_bytes;
    reach.apply(request);
    auto reply = fetch_ok(shared_->fetch, request, "saml_metadata");
    if (!reply.ok()) return noted(std::move(reply).error());
    text = std::move(reply->body);
  }
  auto parsed = parse_metadata(text, wanted);
  if (!parsed.ok()) return noted(std::move(parsed).error());
  parsed->read_at = shared_->clock.mono();
  return parsed;
}

Result<Provider::MetadataPtr> Provider::metadata(MonoTime deadline) {
  const base::WallTime now = shared_->clock.wall();
  const auto current = [now](const IdpMetadata& m) { return !m.valid_until || now < *m.valid_until; };
  // Past its cacheDuration it is asked for again, and goes on being good while that fails.
  const auto suffices = [&, mono = shared_->clock.mono()](const IdpMetadata& m) {
    return current(m) && (!m.cache_duration || mono < m.read_at + *m.cache_duration);
  };
  DP_TRY(auto got, metadata_.get(deadline, suffices));
  if (!current(*got.value))
    return Error{Code::unavailable, "saml_metadata.expired",
                 "the identity provider's metadata was valid until " + base::to_rfc3339(*got.value->valid_until),
                 "it could not be fetched again; daypass doctor tells why"};
  return got.value;
}

Result<Provider::MetadataPtr> Provider::newer_metadata(const MetadataPtr& seen, MonoTime deadline) {
  DP_TRY(auto got, metadata_.get(deadline, [&](const IdpMetadata& m) { return &m != seen.get(); }));
  return got.value;
}

Result<std::vector<KeyPair>> Provider::keys() const {
  std::vector<KeyPair> out;
  for (const auto& ref : spec_.saml.sp_keys) {
    DP_TRY(const Secret pem, shared_->secrets(tenant_, core::SecretRef{ref}));
    DP_TRY(auto key, KeyPair::from_pem(pem));
    out.push_back(std::move(key));
  }
  return out;
}

std::string Provider::entity_id(const std::string& base) const {
  return spec_.saml.sp_entity_id.empty() ? base + "/metadata" : spec_.saml.sp_entity_id;
}

Result<Begun> Provider::begin(const LoginStart& start, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  const auto redirect = parse_url(start.redirect_uri);
  const std::string base = base_of(start.redirect_uri);
  if (!redirect || !acceptable(*redirect, true) || base.empty())
    return Error{Code::invalid, "saml.redirect_uri", "the callback is no https URL (http is for loopback only)",
                 "set the public URL of the server to an https address"};
  DP_TRY(const auto metadata, this->metadata(deadline));
  DP_TRY(const auto keys, this->keys());
  if (metadata->wants_signed_requests && keys.empty())
    return Error{Code::invalid, "saml.sp_key_missing",
                 "the identity provider wants signed requests, and there is no key to sign with",
                 "set sp_keys, and give it the metadata at " + base + "/metadata"};
  const Endpoint* endpoint = metadata->sign_on_by(redirect_binding);
  if (endpoint == nullptr) endpoint = metadata->sign_on_by(post_binding);
  DP_ASSERT(endpoint != nullptr);

  const ServiceProvider sp{entity_id(base), start.redirect_uri, base + "/logout", keys};
  SignInRequest request;
  request.id = shared_->random_id();
  request.now = shared_->clock.wall();
  request.destination = endpoint->location;
  request.name_id_format = spec_.saml.name_id_format;
  request.force = start.force;
  Begun begun;
  begun.state = shared_->random_token();
  Carried carried = sign_in(sp, request, *endpoint, begun.state);
  begun.authorization_url = std::move(carried.url);
  begun.form = std::move(carried.form);
  begun.pending = Object{{"v", 1},
                         {"idp", spec_.name},
                         {"issuer", spec_.issuer},
                         {"relay_state", begun.state},
                         {"request_id", request.id},
                         {"acs", start.redirect_uri},
                         {"sp_entity_id", sp.entity_id},
                         {"began", request.now.time_since_epoch().count()},
                         {"force", start.force}};
  return begun;
}

Result<Provider::Pending> Provider::read_pending(const Value& pending) const {
  const auto refuse = [](std::string why) {
    return Error{Code::unauthenticated, "saml.pending", std::move(why), "sign in again"};
  };
  if (pending.int_or("v", 0) != 1) return refuse("this login is not one that was begun here");
  if (pending.string_or("idp") != spec_.name || pending.string_or("issuer") != spec_.issuer)
    return refuse("this login was begun with another identity provider, or with other settings of this one");
  Pending out;
  out.relay_state = pending.string_or("relay_state");
  out.request_id = pending.string_or("request_id");
  out.acs = pending.string_or("acs");
  out.sp_entity_id = pending.string_or("sp_entity_id");
  out.began = base::WallTime(Millis(pending.int_or("began", 0)));
  out.force = pending.bool_or("force", false);
  if (out.relay_state.empty() || out.request_id->empty() || out.acs.empty() || out.sp_entity_id.empty() ||
      out.sp_entity_id != entity_id(base_of(out.acs)))
    return refuse("this login's record is incomplete, or the settings have changed since");
  return out;
}

Result<Assertion> Provider::verify(const std::string& xml, const Pending& pending, MonoTime deadline) {
  DP_TRY(auto metadata, this->metadata(deadline));
  DP_TRY(const auto keys, this->keys());
  Expected expected;
  expected.issuer = spec_.issuer;
  expected.keys = metadata->signing;
  expected.sp_entity_id = pending.sp_entity_id;
  expected.acs = pending.acs;
  expected.request_id = pending.request_id;
  expected.decryption = keys;
  expected.now = shared_->clock.wall();
  auto assertion = verify_response(xml, expected);
  // A key may be newer than what is known of the provider.
  if (!assertion.ok() && assertion.error().check == "xmldsig.signature") {
    DP_TRY(auto newer, newer_metadata(metadata, deadline));
    if (newer != metadata) {
      expected.keys = newer->signing;
      assertion = verify_response(xml, expected);
    }
  }
  return assertion;
}

Result<core::Identity> Provider::identity_of(const Assertion& assertion, Mapped mapped) const {
  core::Identity who;
  who.tenant = tenant_;
  who.idp = spec_.name;
  who.subject = std::move(mapped.subject);
  who.display = std::move(mapped.display);
  who.attributes = std::move(mapped.attributes);
  who.groups = std::move(mapped.groups);
  who.auth_time = assertion.authn_instant;
  who.acr = assertion.authn_context;
  who.idp_sessions = assertion.session_indexes;
  who.not_after = assertion.session_not_on_or_after;
  return who;
}

Result<Finished> Provider::finish(const Callback& callback, const Value& pending_value, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  DP_TRY(const Pending pending, read_pending(pending_value));
  DP_TRY(const Answer answer, read_answer(callback));
  if (!base::equal_constant_time(answer.relay_state, pending.relay_state))
    return Error{Code::unauthenticated, "saml.relay_state", "the answer belongs to another login", "sign in again"};
  DP_TRY(const std::string xml, decode_response(answer.response));
  DP_TRY(const Assertion assertion, verify(xml, pending, deadline));
  if (callback.verified) callback.verified(typed(assertion.claims(), spec_));
  if (pending.force && assertion.authn_instant + clock_skew < pending.began)
    return Error{
        Code::denied, "saml.stale_login",
        "a fresh sign-in was asked for, and the person signed in at " + base::to_rfc3339(assertion.authn_instant)};
  return finished(assertion, deadline);
}

Result<Finished> Provider::finish_unasked(const Callback& callback, const std::string& redirect_uri, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  if (!spec_.saml.idp_initiated)
    return Error{Code::denied, "idp.unasked", "sign-ins that begin at this identity provider are not taken",
                 "set idp_initiated = true, or start with daypass login"};
  // saml-profiles section 4.1.5: RelayState may be whatever the provider likes. Nothing here goes where it says.
  DP_TRY(const Answer answer, read_answer(callback));
  DP_TRY(const std::string xml, decode_response(answer.response));
  Pending nobody;
  nobody.acs = redirect_uri;
  nobody.sp_entity_id = entity_id(base_of(redirect_uri));
  DP_TRY(const Assertion assertion, verify(xml, nobody, deadline));
  return finished(assertion, deadline);
}

Result<Finished> Provider::finished(const Assertion& assertion, MonoTime deadline) {
  if (mapping_.subject_claim() == "NameID")
    if (std::string why = unfit(assertion); !why.empty())
      return Error{Code::denied, "saml.name_id", why,
                   "set the identity provider to send a persistent NameID, or set subject to an attribute that names a "
                   "person for ever"};
  const Value claims = typed(assertion.claims(), spec_);
  DP_TRY(Mapped mapped, mapping_.map(claims));
  DP_TRY(core::Identity identity, identity_of(assertion, std::move(mapped)));
  Finished out{std::move(identity), claims};
  out.issued_at = assertion.authn_instant;
  out.once.push_back({"saml-assertion " + base::hex_encode(crypto::sha256(assertion.issuer + '\0' + assertion.id)),
                      assertion.not_on_or_after + 2 * clock_skew});
  DP_TRY(const auto metadata, this->metadata(deadline));
  // A request to sign out is signed, and names somebody.
  if (metadata->logout.empty() || spec_.saml.sp_keys.empty() || assertion.name_id.empty()) return out;
  out.logout = Object{{"v", 1},
                      {"issuer", spec_.issuer},
                      {"name_id", assertion.name_id},
                      {"format", assertion.name_id_format},
                      {"name_qualifier", assertion.name_qualifier},
                      {"sp_name_qualifier", assertion.sp_name_qualifier},
                      {"sessions", Array(assertion.session_indexes.begin(), assertion.session_indexes.end())}};
  return out;
}

Result<LogoutBegun> Provider::begin_logout(const Value& login, const std::string& base, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  const Value* sessions = login.find("sessions");
  if (login.int_or("v", 0) != 1 || login.string_or("issuer") != spec_.issuer || sessions == nullptr ||
      sessions->as_array() == nullptr)
    return Error{Code::unavailable, "saml.logout_settings",
                 "the settings of this identity provider have changed since the sign-in", "sign out there yourself"};
  DP_TRY(const auto metadata, this->metadata(deadline));
  DP_TRY(const auto keys, this->keys());
  const Endpoint* endpoint = metadata->logout_by(redirect_binding);
  if (endpoint == nullptr) endpoint = metadata->logout_by(post_binding);
  if (endpoint == nullptr || keys.empty())
    return Error{Code::not_found, "idp.no_logout", "the identity provider offers no sign-out any more",
                 "sign out there yourself"};
  SignOutRequest request;
  request.id = shared_->random_id();
  request.now = shared_->clock.wall();
  request.who = {login.string_or("name_id"), login.string_or("format"), login.string_or("name_qualifier"),
                 login.string_or("sp_name_qualifier")};
  for (const auto& session : *sessions->as_array())
    if (session.as_string() != nullptr) request.session_indexes.push_back(*session.as_string());
  const ServiceProvider sp{entity_id(base), base + "/callback", base + "/logout", keys};
  Carried carried = sign_out(sp, request, *endpoint);
  return LogoutBegun{std::move(carried.url), std::move(carried.form), std::move(request.id)};
}

template <class Message>
Result<Message> Provider::verify_logout(Result<Message> (*verify)(const LogoutMessage&, const LogoutExpected&),
                                        const LogoutMessage& message, MonoTime deadline) {
  DP_TRY(const auto metadata, this->metadata(deadline));
  const auto verified = [&](const MetadataPtr& by) {
    return verify(message, {.issuer = spec_.issuer,
                            .keys = by->signing,
                            .destination = message.base + "/logout",
                            .now = shared_->clock.wall()});
  };
  auto read = verified(metadata);
  // A key may be newer than what is known of the provider.
  if (!read.ok() && read.error().check == "xmldsig.signature") {
    DP_TRY(const auto newer, newer_metadata(metadata, deadline));
    if (newer != metadata) read = verified(newer);
  }
  return read;
}

Result<LogoutAnswer> Provider::logout_answer(const LogoutMessage& message, Millis budget) {
  DP_TRY(LogoutResponse response, verify_logout(verify_logout_response, message, shared_->clock.mono() + budget));
  return LogoutAnswer{std::move(response.in_response_to), response.outcome, std::move(response.why)};
}

Result<SignedOut> Provider::signed_out(const LogoutMessage& message, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  DP_TRY(const LogoutRequest request, verify_logout(verify_logout_request, message, deadline));
  DP_TRY(const auto metadata, this->metadata(deadline));
  DP_TRY(const auto keys, this->keys());
  const bool by_name = mapping_.subject_claim() == "NameID";
  if (!by_name && request.session_indexes.empty())
    return Error{Code::invalid, "saml.logout_session",
                 "people of this provider are not known by NameID, and it names no session",
                 "let the provider send the SessionIndex, or take the NameID as the subject"};
  SignedOut out;
  if (by_name) out.subject = request.name_id;
  out.idp_sessions = request.session_indexes;
  out.at = request.issued_at;
  out.once.push_back({"saml-logout " + base::hex_encode(crypto::sha256(spec_.issuer + '\0' + request.id)),
                      shared_->clock.wall() + 2 * max_logout_age});
  const Endpoint* endpoint = metadata->logout_by(redirect_binding);
  if (endpoint == nullptr) endpoint = metadata->logout_by(post_binding);
  if (endpoint == nullptr) return out;
  const ServiceProvider sp{entity_id(message.base), message.base + "/callback", message.base + "/logout", keys};
  Carried answer =
      logout_reply(sp, {shared_->random_id(), shared_->clock.wall(), request.id}, *endpoint, request.relay_state);
  out.answer_url = std::move(answer.url);
  out.answer_form = std::move(answer.form);
  return out;
}

Result<std::string> Provider::describe(const std::string& base) const {
  DP_TRY(const auto keys, this->keys());
  const ServiceProvider sp{entity_id(base), base + "/callback", base + "/logout", keys};
  return saml::describe(sp, shared_->random_id(), shared_->clock.wall());
}

Status Provider::probe(Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  DP_CHECK(metadata_.refresh(deadline));
  DP_CHECK(metadata(deadline));
  DP_CHECK(keys());
  return {};
}

}  // namespace daypass::idp::saml
