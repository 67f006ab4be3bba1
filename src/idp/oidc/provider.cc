#include "idp/oidc/provider.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "crypto/jose.h"
#include "idp/oidc/claims.h"
#include "idp/oidc/logout.h"
#include "idp/oidc/renew.h"
#include "idp/oidc/verify.h"
#include "idp/printable.h"
#include "idp/url.h"

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::MonoTime;
using base::Result;
using base::Secret;
using base::Status;
using base::json::Object;
using base::json::Value;

namespace {

constexpr std::size_t max_callback_bytes = std::size_t{16} * 1024;
constexpr std::size_t max_callback_fields = 64;
constexpr std::size_t max_logout_hint = 1024;
constexpr std::size_t max_code = std::size_t{8} * 1024;
constexpr std::size_t token_bytes = 32;  // 256 bits for state, nonce and verifier each
constexpr Millis fetch_cap = std::chrono::seconds(15);

/// The parameters of an authorization response that decide something.
struct Answer {
  std::optional<std::string> iss, state, code, error, error_description;
};

/// RFC 6749 section 3.1: no parameter more than once. Two readers of a repeated one may take different ones.
Result<Answer> read_answer(const Callback& callback) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : callback.query) bytes += name.size() + value.size();
  if (bytes > max_callback_bytes || callback.query.size() > max_callback_fields)
    return Error{Code::invalid, "oidc.too_large", "the provider's answer is larger than 16 KiB or 64 parameters"};
  Answer answer;
  for (const auto& [name, value] : callback.query) {
    const auto same = [&](const auto& field) { return field.first == name; };
    if (std::ranges::count_if(callback.query, same) > 1)
      return Error{Code::invalid, "oidc.duplicate_parameter",
                   "the provider's answer has the parameter " + base::json::quote(printable(name, 40)) + " twice"};
    if (name == "iss") answer.iss = value;
    if (name == "state") answer.state = value;
    if (name == "code") answer.code = value;
    if (name == "error") answer.error = value;
    if (name == "error_description") answer.error_description = value;
  }
  return answer;
}

Error idp_error(const Answer& answer) {
  const std::string& code = *answer.error;
  Code kind = Code::invalid;
  std::string hint;
  if (code == "access_denied") {
    kind = Code::denied;
    hint = "the sign-in was cancelled, or the provider does not let this person use the application";
  } else if (code == "login_required" || code == "interaction_required" || code == "consent_required" ||
             code == "account_selection_required") {
    kind = Code::unauthenticated;
    hint = "sign in again";
  } else if (code == "temporarily_unavailable" || code == "server_error") {
    kind = Code::unavailable;
    hint = "try again later";
  }
  return Error{kind, "oidc.idp_error",
               "the identity provider refused: " + shown_oauth_error(code, answer.error_description.value_or("")),
               hint};
}

constexpr std::string_view offline = "offline_access";

/// Google knows no scope for refresh tokens, and refuses those that it does not know: a parameter asks for them there.
bool google_offline(const core::IdpSpec& spec) {
  return spec.issuer == "https://accounts.google.com" && std::ranges::find(spec.scopes, offline) != spec.scopes.end();
}

std::string scope(const core::IdpSpec& spec) {
  std::string out = "openid";
  std::vector<std::string> seen = {"openid"};
  if (google_offline(spec)) seen.emplace_back(offline);
  for (const auto& one : spec.scopes) {
    if (std::ranges::find(seen, one) != seen.end()) continue;
    seen.push_back(one);
    out += " " + one;
  }
  return out;
}

/// What tells the provider whom to sign out: Entra ID's own hint, else the name of the session there. Empty: neither.
std::string logout_hint(const Value& id_claims) {
  for (const char* claim : {"login_hint", "sid"}) {
    const std::string text = id_claims.string_or(claim);
    if (!text.empty() && text.size() <= max_logout_hint) return text;
  }
  return {};
}

/// Graph's list of all memberships is a function that is posted to; anything else is a plain resource.
bool posted(const std::string& url) {
  const auto parsed = parse_url(url);
  return parsed && (parsed->path.ends_with("/getMemberObjects") || parsed->path.ends_with("/getMemberGroups"));
}

/// What to do about a refusal whose check does not say it: most are the provider's to mend, not the tenant's.
Error advised(Error error) {
  if (!error.hint.empty()) return error;
  const std::string_view check = error.check;
  if (check.starts_with("discovery."))
    error.hint =
        "check issuer; if it is right, tell whoever runs the provider what its /.well-known/openid-configuration says";
  else if (check.starts_with("jwks."))
    error.hint = "tell whoever runs the provider: the keys at its jwks_uri are at fault";
  else if (check == "jws.signature")
    error.hint = "the provider must publish the key that it signs with; if it does, somebody has changed the token";
  else if (check.starts_with("oidc."))
    error.hint = "start again with daypass login; if it happens again, tell whoever runs Daypass";
  else
    error.hint = "tell whoever runs the provider which check failed: it sent this, and must send something else";
  return error;
}

template <class T>
Result<T> advised(Result<T> result) {
  if (result.ok()) return result;
  return advised(std::move(result).error());
}

Secret bearer(const Secret& access_token) {
  return Secret::take("Bearer " + std::string(access_token.reveal()));
}

}  // namespace

struct Provider::Pending {
  std::string state, nonce, redirect_uri;
  Secret verifier;
  base::WallTime began{};
  bool force = false;
};

Provider::Provider(std::shared_ptr<Shared> shared, core::TenantId tenant, core::IdpSpec spec, Mapping mapping)
    : shared_(std::move(shared)),
      tenant_(std::move(tenant)),
      spec_(std::move(spec)),
      mapping_(std::move(mapping)),
      metadata_(shared_->shelf.of(tenant_, spec_)) {}

Result<Begun> Provider::begin(const LoginStart& start, Millis budget) {
  return advised(begin_checked(start, budget));
}
Result<Finished> Provider::finish(const Callback& callback, const Value& pending, Millis budget) {
  return advised(finish_checked(callback, pending, budget));
}
Result<SignedOut> Provider::signed_out(const LogoutMessage& message, Millis budget) {
  return advised(signed_out_checked(message, budget));
}

Result<Begun> Provider::begin_checked(const LoginStart& start, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  const auto redirect = parse_url(start.redirect_uri);
  if (!redirect || !acceptable(*redirect, true))
    return Error{Code::invalid, "oidc.redirect_uri", "the redirect URI is no https URL (http is for loopback only)",
                 "set the public URL of the server to an https address"};
  DP_TRY(const auto discovery, metadata_->document(deadline));
  DP_CHECK(check_client(*discovery, spec_));

  const std::string state = base::random_token(shared_->entropy, token_bytes);
  const std::string nonce = base::random_token(shared_->entropy, token_bytes);
  const std::string verifier =
      base::random_token(shared_->entropy, token_bytes);  // 43 characters: RFC 7636 section 4.1
  const std::string scopes = scope(spec_);
  const std::string challenge = crypto::pkce_s256(verifier);
  std::vector<std::pair<std::string_view, std::string_view>> fields = {{"response_type", "code"},
                                                                       {"client_id", spec_.client_id},
                                                                       {"redirect_uri", start.redirect_uri},
                                                                       {"scope", scopes},
                                                                       {"state", state},
                                                                       {"nonce", nonce},
                                                                       {"code_challenge", challenge},
                                                                       {"code_challenge_method", "S256"}};
  if (google_offline(spec_)) fields.emplace_back("access_type", "offline");
  if (start.force || spec_.consent)
    fields.emplace_back("prompt", !spec_.consent ? "login" : start.force ? "login consent" : "consent");
  // RFC 6749 section 3.1: a query that the endpoint has of its own is kept.
  const std::string& endpoint = discovery->authorization_endpoint;
  Begun begun;
  begun.authorization_url = endpoint + (endpoint.find('?') == std::string::npos ? '?' : '&') + form(fields);
  begun.state = state;
  begun.pending = Object{{"v", 1},
                         {"idp", spec_.name},
                         {"issuer", spec_.issuer},
                         {"client_id", spec_.client_id},
                         {"redirect_uri", start.redirect_uri},
                         {"state", state},
                         {"nonce", nonce},
                         {"verifier", verifier},
                         {"began", shared_->clock.wall().time_since_epoch().count()},
                         {"force", start.force}};
  return begun;
}

Result<Provider::Pending> Provider::read_pending(const Value& pending) const {
  const auto refuse = [](std::string why) {
    return Error{Code::unauthenticated, "oidc.pending", std::move(why), "sign in again"};
  };
  if (pending.int_or("v", 0) != 1) return refuse("this login is not one that was begun here");
  // Another provider's pending login, or one begun before the settings changed, must not be finished here.
  if (pending.string_or("idp") != spec_.name || pending.string_or("issuer") != spec_.issuer ||
      pending.string_or("client_id") != spec_.client_id)
    return refuse("this login was begun with another identity provider, or with other settings of this one");
  Pending out;
  out.state = pending.string_or("state");
  out.nonce = pending.string_or("nonce");
  out.redirect_uri = pending.string_or("redirect_uri");
  out.verifier = Secret(pending.string_or("verifier"));
  out.began = base::WallTime(Millis(pending.int_or("began", 0)));
  out.force = pending.bool_or("force", false);
  if (out.state.empty() || out.nonce.empty() || out.verifier.empty() || out.redirect_uri.empty())
    return refuse("this login's record is incomplete");
  return out;
}

Result<Finished> Provider::finish_checked(const Callback& callback, const Value& pending_value, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  DP_TRY(const Pending pending, read_pending(pending_value));
  DP_TRY(const Answer answer, read_answer(callback));
  // RFC 9207 section 2.4: compare before anything else, error answers included.
  if (answer.iss && *answer.iss != spec_.issuer)
    return Error{Code::unauthenticated, "oidc.iss",
                 "the answer comes from the issuer " + base::json::quote(printable(*answer.iss, 200)) + ", expected " +
                     base::json::quote(spec_.issuer),
                 "sign in again; if it happens again, tell whoever runs Daypass"};
  if (!answer.state)
    return Error{Code::unauthenticated, "oidc.state_missing", "the answer has no state", "sign in again"};
  if (!base::equal_constant_time(*answer.state, pending.state))
    return Error{Code::unauthenticated, "oidc.state", "the answer belongs to another login", "sign in again"};
  DP_TRY(const auto discovery, metadata_->document(deadline));
  if (!answer.iss && discovery->iss_parameter)
    return Error{Code::unauthenticated, "oidc.iss_missing", "the answer does not say which issuer it comes from (iss)",
                 "the provider's metadata promises it: authorization_response_iss_parameter_supported"};
  if (answer.error) return idp_error(answer);
  const bool visible = answer.code && std::ranges::all_of(*answer.code, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!visible || answer.code->empty() || answer.code->size() > max_code)
    return Error{Code::invalid, "oidc.code", "the answer has no usable code", "sign in again"};

  DP_CHECK(check_client(*discovery, spec_));
  DP_TRY(const Tokens tokens, exchange(*discovery, *answer.code, pending, deadline));
  Expect expect;
  expect.nonce = pending.nonce;
  if (pending.force) expect.authenticated_since = pending.began;
  DP_TRY(const Value id_claims, verify(tokens, std::move(expect), deadline));
  DP_TRY(const Value more, userinfo(*discovery, tokens, id_claims, deadline));
  DP_TRY(Value claims, all_claims(tokens, id_claims, more, deadline));
  if (callback.verified) callback.verified(claims);
  DP_TRY(Mapped mapped, mapping_.map(claims));
  DP_TRY(core::Identity identity, make_identity(tenant_, spec_, id_claims, std::move(mapped), shared_->clock.wall()));
  Finished out{std::move(identity), std::move(claims)};
  out.issued_at = base::WallTime(base::Seconds(id_claims.int_or("iat", 0)));
  if (!discovery->end_session_endpoint.empty())
    out.logout = Object{{"v", 1}, {"issuer", spec_.issuer}, {"hint", logout_hint(id_claims)}};
  if (!tokens.refresh_token.empty())
    out.refresh = keep_sign_in(spec_, mapping_.subject_claim(), tokens.refresh_token, id_claims, more);
  return out;
}

Result<LogoutBegun> Provider::begin_logout(const Value& login, const std::string& base, Millis budget) {
  DP_TRY(const auto discovery, metadata_->document(shared_->clock.mono() + budget));
  const std::string& endpoint = discovery->end_session_endpoint;
  if (endpoint.empty() || login.int_or("v", 0) != 1 || login.string_or("issuer") != spec_.issuer)
    return Error{Code::not_found, "idp.no_logout", "the identity provider offers no sign-out any more",
                 "sign out there yourself"};
  // RP-Initiated Logout 1.0 section 2. There is no id_token_hint: tokens are not kept. Providers ask the person then.
  const std::string state = base::random_token(shared_->entropy, token_bytes);
  const std::string back = base + "/logout";
  const std::string hint = login.string_or("hint");
  std::vector<std::pair<std::string_view, std::string_view>> fields = {
      {"client_id", spec_.client_id}, {"post_logout_redirect_uri", back}, {"state", state}};
  if (!hint.empty()) fields.emplace_back("logout_hint", hint);
  LogoutBegun begun;
  begun.url = endpoint + (endpoint.find('?') == std::string::npos ? '?' : '&') + form(fields);
  begun.key = state;
  return begun;
}

Result<LogoutAnswer> Provider::logout_answer(const LogoutMessage& message, Millis budget) {
  static_cast<void>(budget);  // nothing is asked
  LogoutAnswer out;
  for (const auto& [name, value] : message.fields) {
    if (name != "state") continue;
    if (!out.key.empty())
      return Error{Code::invalid, "oidc.duplicate_parameter",
                   "the provider's answer has the parameter \"state\" twice"};
    out.key = value;
  }
  if (message.posted || out.key.empty()) return Error{Code::invalid, "oidc.state_missing", "the answer has no state"};
  return out;
}

Result<SignedOut> Provider::signed_out_checked(const LogoutMessage& message, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  if (!message.posted || message.fields.size() != 1 || message.fields.front().first != "logout_token")
    return Error{Code::invalid, "logout_token.missing", "a back-channel logout is one posted logout_token"};
  const std::string& token = message.fields.front().second;
  Expect expect;
  expect.issuer = spec_.issuer;
  expect.client_id = spec_.client_id;
  expect.alg = crypto::parse_alg(spec_.id_token_alg);
  DP_TRY(auto keys, metadata_->keys().get(crypto::peek_kid(token), deadline));
  expect.now = shared_->clock.wall();
  DP_TRY(const LogoutToken logout, verify_logout_token(token, *keys, expect));
  // Subjects are kept under another claim than sub where the tenant says so: then only sessions can be told apart.
  const bool by_sub = mapping_.subject_claim() == "sub";
  if (!by_sub && logout.sid.empty())
    return Error{Code::invalid, "logout_token.sub",
                 "people of this provider are not known by sub, and it names no session (sid)",
                 "let the provider send sid, or map the subject from sub"};
  SignedOut out;
  if (by_sub) out.subject = logout.sub;
  if (!logout.sid.empty()) out.idp_sessions.push_back(logout.sid);
  // Whole seconds: it was some time in that one.
  out.at = logout.issued_at + base::Seconds(1) - Millis(1);
  out.once.push_back({"logout " + base::hex_encode(crypto::sha256(logout.jti)), logout.expires_at + 2 * leeway});
  return out;
}

Request Provider::request_to(std::string url, MonoTime deadline) const {
  Request request;
  request.url = std::move(url);
  request.timeout = remaining(shared_->clock, deadline, fetch_cap);
  Reach::of(spec_, spec_.issuer).apply(request);
  return request;
}

Result<Secret> Provider::client_secret() const {
  if (spec_.client_auth == core::ClientAuth::none) return Secret();
  return shared_->secrets(tenant_, spec_.client_secret);
}

Result<Tokens> Provider::exchange(const Discovery& discovery, const std::string& code, const Pending& pending,
                                  MonoTime deadline) {
  DP_TRY(const Secret secret, client_secret());
  const CodeGrant grant{Secret(code), pending.verifier.clone(), pending.redirect_uri};
  DP_TRY(Request request, token_request(discovery, spec_, secret, grant, shared_->clock.wall(), shared_->entropy));
  request.timeout = remaining(shared_->clock, deadline, fetch_cap);
  Reach::of(spec_, spec_.issuer).apply(request);
  DP_TRY(Reply reply, fetch_any(shared_->fetch, request, "token_endpoint"));
  return parse_token_reply(std::move(reply));
}

Result<Value> Provider::verify(const Tokens& tokens, Expect expect, MonoTime deadline) {
  expect.issuer = spec_.issuer;
  expect.client_id = spec_.client_id;
  expect.alg = crypto::parse_alg(spec_.id_token_alg);
  expect.access_token = tokens.access_token.reveal();
  DP_TRY(auto keys, metadata_->keys().get(crypto::peek_kid(tokens.id_token), deadline));
  expect.now = shared_->clock.wall();
  auto claims = verify_id_token(tokens.id_token, *keys, expect);
  // A key may have changed without changing its name, or have none: then newer keys decide, fetched no more often than
  // for an unknown name.
  const std::string check = claims.ok() ? "" : claims.error().check;
  if (check == "jws.signature" || check == "jws.alg_key_mismatch" || check == "jws.key_ambiguous") {
    DP_TRY(auto newer, metadata_->keys().newer(keys, deadline));
    if (newer != keys) claims = verify_id_token(tokens.id_token, *newer, expect);
  }
  if (claims.ok()) DP_CHECK(check_directory(*claims, spec_.issuer));
  return claims;
}

Result<Value> Provider::userinfo(const Discovery& discovery, const Tokens& tokens, const Value& id_claims,
                                 MonoTime deadline) {
  if (!spec_.userinfo) return Value();
  Request request = request_to(discovery.userinfo_endpoint, deadline);
  request.authorization = bearer(tokens.access_token);
  request.max_bytes = max_userinfo_bytes;
  DP_TRY(const Reply reply, fetch_any(shared_->fetch, request, "userinfo"));
  return parse_userinfo(reply, id_claims.string_or("sub"));
}

Result<Value> Provider::all_claims(const Tokens& tokens, const Value& id_claims, const Value& userinfo,
                                   MonoTime deadline) {
  Value claims = merge_userinfo(id_claims, userinfo, mapping_.subject_claim());
  if (spec_.overage != core::Overage::fetch || !mapping_.groups_overage(claims)) return claims;
  // The address is the tenant's own. The one in the token is never read: whoever shapes a token would choose whom we
  // send an access token to (federation notes, CVE row 29).
  Request request = request_to(spec_.overage_url, deadline);
  request.authorization = bearer(tokens.access_token);
  request.max_bytes = max_groups_bytes;
  if (posted(spec_.overage_url)) {
    request.method = "POST";
    request.content_type = "application/json";
    // Security groups only: no more than the token's own claim would have held.
    request.body = Secret(std::string_view(R"({"securityEnabledOnly":true})"));
  }
  DP_TRY(const Reply reply, fetch_any(shared_->fetch, request, "overage"));
  DP_TRY(auto groups, parse_groups_reply(reply));
  return with_fetched_groups(std::move(claims), mapping_.groups_claim(), std::move(groups));
}

Status Provider::probe(Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  DP_CHECK(metadata_->probe(deadline));
  DP_TRY(const auto discovery, metadata_->document(deadline));
  DP_CHECK(check_client(*discovery, spec_));
  DP_CHECK(client_secret());
  return {};
}

}  // namespace daypass::idp::oidc
