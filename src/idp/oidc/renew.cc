#include "idp/oidc/renew.h"

#include <array>
#include <optional>
#include <utility>

#include "idp/oidc/claims.h"
#include "idp/oidc/provider.h"

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::MonoTime;
using base::Result;
using base::Secret;
using base::json::Object;
using base::json::Value;

namespace {

constexpr Millis fetch_cap = std::chrono::seconds(15);
constexpr base::Seconds clocks_differ{300};  ///< a provider that repeats an old token is found out after that

/// How and when the person signed in: a later token may be silent about it, and may not contradict it.
constexpr std::array<std::string_view, 5> of_the_sign_in = {"nonce", "auth_time", "acr", "amr", "sid"};

Error other(std::string check, std::string message) {
  return Error{Code::unauthenticated, "id_token." + std::move(check), "ID token: " + std::move(message)};
}

/// The token, which is visible ASCII, and a line of JSON: nothing that is not wiped holds a copy of the token.
Secret written(const core::IdpSpec& spec, const Secret& refresh_token, Value claims) {
  const std::string facts = base::json::dump(
      Object{{"v", 1}, {"issuer", spec.issuer}, {"client_id", spec.client_id}, {"claims", std::move(claims)}});
  std::string text;
  text.reserve(refresh_token.size() + 1 + facts.size());
  text += refresh_token.reveal();
  text += '\n';
  text += facts;
  return Secret::take(std::move(text));
}

/// When both have it, it must be the same.
bool differs(const Value& claims, const Value& before, std::string_view name) {
  const Value* now = claims.find(name);
  const Value* then = before.find(name);
  return now != nullptr && then != nullptr && !(*now == *then);
}

}  // namespace

Secret keep_sign_in(const core::IdpSpec& spec, std::string_view subject_claim, const Secret& refresh_token,
                    const Value& id_claims, const Value& userinfo) {
  Object claims;
  for (const auto& [name, value] : *id_claims.as_object())
    if (tokens_own(name, subject_claim) || (!userinfo.is_null() && userinfo.find(name) == nullptr))
      claims.set(name, value);
  return written(spec, refresh_token, std::move(claims));
}

Result<SignIn> read_sign_in(const core::IdpSpec& spec, const Secret& kept) {
  const std::string_view text = kept.reveal();
  const std::size_t line = text.find('\n');
  const auto facts = base::json::parse(line == std::string_view::npos ? "" : text.substr(line + 1));
  const Value* claims = facts.ok() ? facts->find("claims") : nullptr;
  if (line == 0 || claims == nullptr || claims->as_object() == nullptr || facts->int_or("v", 0) != 1)
    return Error{Code::internal, "oidc.refresh", "what was kept of the sign-in can't be read", "daypass login"};
  if (facts->string_or("issuer") != spec.issuer || facts->string_or("client_id") != spec.client_id)
    return Error{Code::invalid, "oidc.refresh",
                 "the settings of this identity provider have changed since the person signed in", "daypass login"};
  return SignIn{Secret(text.substr(0, line)), *claims};
}

Result<Value> same_sign_in(Value claims, const Value& before, base::WallTime asked_at) {
  // OpenID Connect Core 12.2. The issuer and the audience are the configured ones, as they were at the sign-in.
  if (claims.string_or("sub") != before.string_or("sub"))
    return other("sub", "it speaks of another person than the one who signed in");
  // It should have none; a nonce that we never sent belongs to somebody else's sign-in.
  if (claims.find("nonce") != nullptr && claims.string_or("nonce") != before.string_or("nonce"))
    return other("nonce", "nonce is not that of the sign-in");
  if (differs(claims, before, "auth_time")) return other("auth_time", "auth_time is not that of the sign-in");
  if (differs(claims, before, "sid")) return other("sid", "it is of another session than the sign-in");
  const base::WallTime issued{base::Seconds(claims.int_or("iat", 0))};
  if (claims.int_or("iat", 0) < before.int_or("iat", 0))
    return other("iat", "it is older than the one that it takes the place of");
  if (issued + clocks_differ < asked_at)
    return other("iat", "it was issued at " + base::to_rfc3339(issued) + ", long before it was asked for");
  // A time that the sign-in did not tell is not learnt later: nobody can say what it is the time of.
  Object* object = claims.as_object();
  if (before.find("auth_time") == nullptr) object->erase("auth_time");
  for (const auto name : of_the_sign_in)
    if (const Value* then = before.find(name); then != nullptr && object->find(name) == nullptr)
      object->set(std::string(name), *then);
  return claims;
}

Result<Tokens> Provider::use_refresh_token(const Discovery& discovery, const Secret& token, MonoTime deadline) {
  DP_TRY(const Secret secret, client_secret());
  DP_TRY(Request request, refresh_request(discovery, spec_, secret, token, shared_->clock.wall(), shared_->entropy));
  request.timeout = remaining(shared_->clock, deadline, fetch_cap);
  Reach::of(spec_, spec_.issuer).apply(request);
  DP_TRY(Reply reply, fetch_any(shared_->fetch, request, "token_endpoint"));
  return parse_refresh_reply(std::move(reply));
}

Renewed Provider::renew(const Secret& kept, Millis budget) {
  const MonoTime deadline = shared_->clock.mono() + budget;
  Renewed out;
  out.who = [&]() -> Result<std::optional<core::Identity>> {
    DP_TRY(const SignIn before, read_sign_in(spec_, kept));
    DP_TRY(const auto discovery, metadata_->document(deadline));
    DP_CHECK(check_client(*discovery, spec_));
    const base::WallTime asked_at = shared_->clock.wall();
    DP_TRY(const Tokens tokens, use_refresh_token(*discovery, before.refresh_token, deadline));
    const Secret& next = tokens.refresh_token.empty() ? before.refresh_token : tokens.refresh_token;
    // From here on the old one may be worth nothing, whatever comes of the rest.
    if (!tokens.refresh_token.empty()) out.refresh = written(spec_, next, before.claims);
    if (tokens.id_token.empty() && !spec_.userinfo) return std::optional<core::Identity>{};
    Value id_claims = before.claims;
    if (!tokens.id_token.empty()) {
      DP_TRY(Value claims, verify(tokens, Expect{}, deadline));
      DP_TRY(id_claims, same_sign_in(std::move(claims), before.claims, asked_at));
    }
    DP_TRY(const Value more, userinfo(*discovery, tokens, id_claims, deadline));
    DP_TRY(const Value claims, all_claims(tokens, id_claims, more, deadline));
    auto mapped = mapping_.map(claims);
    // What a sign-in would be refused for ends one.
    if (!mapped.ok()) {
      Error refused = std::move(mapped).error();
      refused.code = Code::ended;
      return refused;
    }
    DP_TRY(core::Identity who,
           make_identity(tenant_, spec_, id_claims, std::move(mapped).value(), shared_->clock.wall()));
    out.refresh = keep_sign_in(spec_, mapping_.subject_claim(), next, id_claims, more);
    return std::optional<core::Identity>(std::move(who));
  }();
  return out;
}

}  // namespace daypass::idp::oidc
