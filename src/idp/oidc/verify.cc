#include "idp/oidc/verify.h"

#include <algorithm>
#include <utility>

#include "base/secret.h"
#include "idp/printable.h"

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::json::Array;
using base::json::Value;

namespace {

constexpr std::int64_t latest = 253'402'300'799;  // 9999-12-31T23:59:59Z: further numbers are no times, and overflow
constexpr std::size_t max_audiences = 32;
constexpr std::size_t max_sub = 255;

Error failed(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::unauthenticated, "id_token." + std::move(check), "ID token: " + std::move(message),
               std::move(hint)};
}

std::string quoted(std::string_view text) {
  return base::json::quote(printable(text, 200));
}

std::int64_t seconds(base::WallTime t) {
  return std::chrono::floor<base::Seconds>(t).time_since_epoch().count();
}

std::string when(std::int64_t second) {
  return base::to_rfc3339(base::WallTime(base::Seconds(second)));
}

/// A NumericDate (RFC 7519 section 2) of whole seconds; nullopt when the claim is missing.
Result<std::optional<std::int64_t>> time_claim(const Value& claims, const std::string& name, const std::string& check) {
  const Value* value = claims.find(name);
  if (value == nullptr) return std::optional<std::int64_t>{};
  const std::int64_t* number = value->as_int();
  if (number == nullptr)
    return failed(check, name + " must be whole seconds since 1970, and is " + std::string(value->type_name()));
  if (*number < 0 || *number > latest) return failed(check, name + " is no time: " + std::to_string(*number));
  return std::optional<std::int64_t>{*number};
}

Status check_typ(const Value& header) {
  const Value* typ = header.find("typ");
  if (typ == nullptr) return {};
  const std::string* text = typ->as_string();
  std::string lower = text == nullptr ? std::string() : *text;
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  // RFC 8725 section 3.11: an access token or a logout token of the same provider is no ID token.
  if (lower == "jwt" || lower == "application/jwt") return {};
  return failed("typ", "its type is " + (text == nullptr ? std::string(typ->type_name()) : quoted(*text)) + ", not JWT",
                "this is another kind of token, e.g. an access token; give the id_token");
}

Status check_iss(const Value& claims, const Expect& expect) {
  const Value* iss = claims.find("iss");
  const std::string* text = iss == nullptr ? nullptr : iss->as_string();
  if (text == nullptr) return failed("iss", "iss is missing or no string");
  if (*text == expect.issuer) return {};
  const bool slash = *text + "/" == expect.issuer || *text == expect.issuer + "/";
  return failed("iss", "iss is " + quoted(*text) + ", expected " + quoted(expect.issuer),
                slash ? "they differ in the trailing slash: set the issuer exactly as the provider spells it" : "");
}

Status check_aud(const Value& claims, const Expect& expect) {
  const Value* aud = claims.find("aud");
  if (aud == nullptr) return failed("aud", "aud is missing");
  bool ours = false;
  bool others = false;
  const auto see = [&](const std::string& one) { (one == expect.client_id ? ours : others) = true; };
  if (const std::string* one = aud->as_string()) {
    see(*one);
  } else if (const Array* many = aud->as_array()) {
    if (many->empty() || many->size() > max_audiences) return failed("aud", "aud is an empty or overlong list");
    for (const auto& entry : *many) {
      const std::string* text = entry.as_string();
      if (text == nullptr) return failed("aud", "aud holds " + std::string(entry.type_name()) + ", expected strings");
      see(*text);
    }
  } else {
    return failed("aud", "aud must be a string or a list of strings, and is " + std::string(aud->type_name()));
  }
  if (!ours)
    return failed("aud",
                  "aud does not name " + quoted(expect.client_id) +
                      (aud->as_string() != nullptr ? " but " + quoted(*aud->as_string()) : std::string()),
                  "the token was issued for another client of this provider");
  // OpenID Connect Core 3.1.3.7, steps 4 and 5: who else may use the token is trusted only when it was made for us.
  const Value* azp = claims.find("azp");
  if (azp == nullptr) {
    if (others) return failed("azp", "azp is missing, and aud names others besides " + quoted(expect.client_id));
    return {};
  }
  const std::string* party = azp->as_string();
  if (party == nullptr || *party != expect.client_id)
    return failed("azp", "azp is " + (party == nullptr ? std::string(azp->type_name()) : quoted(*party)) +
                             ", expected " + quoted(expect.client_id));
  return {};
}

Status check_times(const Value& claims, std::int64_t now) {
  DP_TRY(const auto exp, time_claim(claims, "exp", "exp"));
  if (!exp) return failed("exp_missing", "exp is missing");
  if (now >= *exp + leeway.count()) return failed("exp", "it expired at " + when(*exp) + ", and it is " + when(now));
  DP_TRY(const auto iat, time_claim(claims, "iat", "iat"));
  if (!iat) return failed("iat_missing", "iat is missing");
  if (*iat > now + leeway.count())
    return failed("iat", "it was issued at " + when(*iat) + ", and it is only " + when(now), "compare the clocks");
  if (*iat < now - max_token_age.count() - leeway.count())
    return failed("iat", "it was issued at " + when(*iat) + ", more than a day ago");
  DP_TRY(const auto nbf, time_claim(claims, "nbf", "nbf"));
  if (nbf && *nbf > now + leeway.count())
    return failed("nbf", "it is not valid before " + when(*nbf) + ", and it is " + when(now), "compare the clocks");
  return {};
}

Status check_nonce(const Value& claims, const Expect& expect) {
  const Value* nonce = claims.find("nonce");
  const std::string* text = nonce == nullptr ? nullptr : nonce->as_string();
  if (nonce != nullptr && text == nullptr)
    return failed("nonce", "nonce must be a string, and is " + std::string(nonce->type_name()));
  if (!expect.nonce) return {};
  // An empty expectation would be met by an empty claim; it is a bug of the caller and never a match.
  if (text == nullptr) return failed("nonce_missing", "nonce is missing");
  if (expect.nonce->empty() || !base::equal_constant_time(*text, *expect.nonce))
    return failed("nonce", "nonce is not the one that this login sent",
                  "the answer belongs to another login, or is used a second time: sign in again");
  return {};
}

Status check_at_hash(const Value& claims, const Expect& expect, crypto::Alg alg) {
  const Value* hash = claims.find("at_hash");
  if (hash == nullptr) return {};
  const std::string* text = hash->as_string();
  if (text == nullptr) return failed("at_hash", "at_hash must be a string, and is " + std::string(hash->type_name()));
  if (expect.access_token && !base::equal_constant_time(*text, crypto::half_hash(alg, *expect.access_token)))
    return failed("at_hash", "at_hash does not fit the access token that came with it");
  return {};
}

Status check_sub(const Value& claims) {
  const Value* sub = claims.find("sub");
  const std::string* text = sub == nullptr ? nullptr : sub->as_string();
  if (text == nullptr) return failed("sub", "sub is missing or no string");
  const bool ascii = std::ranges::all_of(*text, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (text->empty() || text->size() > max_sub || !ascii)
    return failed("sub", "sub must be 1 to 255 printable ASCII characters");
  return {};
}

Status check_auth_time(const Value& claims, const Expect& expect, std::int64_t now) {
  DP_TRY(const auto at, time_claim(claims, "auth_time", "auth_time"));
  if (!at) {
    if (expect.max_age) return failed("auth_time", "auth_time is missing, and max_age was asked for");
    return {};
  }
  if (*at > now + leeway.count()) return failed("auth_time", "auth_time is in the future: " + when(*at));
  if (expect.max_age) {
    const auto age = std::chrono::floor<base::Seconds>(*expect.max_age).count();
    if (*at + age + leeway.count() < now)
      return failed("auth_time", "the person signed in at " + when(*at) + ", too long ago");
  }
  if (expect.authenticated_since && *at + leeway.count() < seconds(*expect.authenticated_since))
    return failed("auth_time", "a fresh sign-in was asked for, and the person signed in at " + when(*at));
  return {};
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(space);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

}  // namespace

Status check_alg(crypto::Alg alg, const Expect& expect) {
  if (!expect.alg || *expect.alg == alg) return {};
  return failed("alg",
                "it is signed with " + std::string(crypto::to_string(alg)) + ", expected " +
                    std::string(crypto::to_string(*expect.alg)),
                "id_token_signed_response_alg must be what the provider has registered for this client");
}

Status check_issued_for_us(const Value& claims, const Expect& expect) {
  DP_CHECK(check_iss(claims, expect));
  DP_CHECK(check_aud(claims, expect));
  return check_times(claims, seconds(expect.now));
}

Result<Value> verify_id_token(std::string_view token, const crypto::KeySet& keys, const Expect& expect) {
  DP_TRY(const auto jws, crypto::verify_jws(token, keys));
  DP_CHECK(check_alg(jws.alg, expect));
  DP_CHECK(check_typ(jws.header));
  auto parsed = base::json::parse(jws.payload, {.bytes = crypto::max_jws_bytes});
  if (!parsed.ok() || parsed->as_object() == nullptr)
    return failed("syntax", "its payload is not a JSON object" + (parsed.ok() ? "" : ": " + parsed.error().message));
  const Value& claims = *parsed;
  const std::int64_t now = seconds(expect.now);
  DP_CHECK(check_issued_for_us(claims, expect));
  DP_CHECK(check_nonce(claims, expect));
  DP_CHECK(check_at_hash(claims, expect, jws.alg));
  DP_CHECK(check_sub(claims));
  DP_CHECK(check_auth_time(claims, expect, now));
  return std::move(parsed).value();
}

Result<std::string> run_verify(const VerifyCommand& command, const base::Clock& clock) {
  DP_TRY(const auto keys, crypto::KeySet::parse(command.jwks));
  Expect expect;
  expect.issuer = command.issuer;
  expect.client_id = command.audience;
  expect.nonce = command.nonce;
  expect.now = command.now.value_or(clock.wall());
  DP_TRY(const auto claims, verify_id_token(trimmed(command.token), keys, expect));
  return base::json::dump_pretty(claims);
}

Result<std::string> run_jose_verify(std::string_view jwks, std::string_view token) {
  DP_TRY(const auto keys, crypto::KeySet::parse(jwks));
  DP_TRY(auto jws, crypto::verify_jws(trimmed(token), keys));
  return std::move(jws.payload);
}

}  // namespace daypass::idp::oidc
