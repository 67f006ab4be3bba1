#include "idp/oidc/logout.h"

#include <algorithm>
#include <utility>

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::Result;
using base::json::Value;

namespace {

constexpr std::string_view event = "http://schemas.openid.net/event/backchannel-logout";
constexpr std::size_t max_name = 255;

Error failed(std::string check, std::string message) {
  return Error{Code::unauthenticated, "logout_token." + std::move(check), "logout token: " + std::move(message)};
}

/// The same check, of another token.
Error renamed(Error error) {
  constexpr std::string_view check = "id_token.";
  constexpr std::string_view word = "ID token: ";
  if (error.check.starts_with(check)) error.check = "logout_token." + error.check.substr(check.size());
  if (error.message.starts_with(word)) error.message = "logout token: " + error.message.substr(word.size());
  return error;
}

bool is_type(const Value& header) {
  const Value* typ = header.find("typ");
  if (typ == nullptr) return true;
  const std::string* text = typ->as_string();
  std::string lower = text == nullptr ? "?" : *text;
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower == "logout+jwt" || lower == "application/logout+jwt" || lower == "jwt";
}

/// A short visible text, or empty when the claim is not there.
Result<std::string> name_claim(const Value& claims, const std::string& name) {
  const Value* value = claims.find(name);
  if (value == nullptr) return std::string();
  const std::string* text = value->as_string();
  const bool good = text != nullptr && !text->empty() && text->size() <= max_name &&
                    std::ranges::all_of(*text, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!good) return failed(name, name + " is no short visible text");
  return *text;
}

}  // namespace

Result<LogoutToken> verify_logout_token(std::string_view token, const crypto::KeySet& keys, const Expect& expect) {
  DP_TRY(const auto jws, crypto::verify_jws(token, keys));
  if (auto status = check_alg(jws.alg, expect); !status.ok()) return renamed(std::move(status).error());
  if (!is_type(jws.header)) return failed("typ", "it is another kind of token");
  const auto parsed = base::json::parse(jws.payload);
  if (!parsed.ok() || parsed->as_object() == nullptr) return failed("syntax", "its payload is no JSON object");
  const Value& claims = *parsed;
  if (auto status = check_issued_for_us(claims, expect); !status.ok()) return renamed(std::move(status).error());
  // Section 2.4: what has a nonce is an ID token, made for a sign-in.
  if (claims.find("nonce") != nullptr) return failed("nonce", "it has a nonce, as only ID tokens have");
  const Value* events = claims.find("events");
  const Value* ours = events == nullptr ? nullptr : events->find(event);
  if (ours == nullptr || ours->as_object() == nullptr) return failed("events", "it is not about a logout");
  LogoutToken out;
  DP_TRY(out.jti, name_claim(claims, "jti"));
  if (out.jti.empty()) return failed("jti", "jti is missing");
  DP_TRY(out.sub, name_claim(claims, "sub"));
  DP_TRY(out.sid, name_claim(claims, "sid"));
  if (out.sub.empty() && out.sid.empty()) return failed("subject", "it names neither a person nor a session");
  out.issued_at = base::WallTime(base::Seconds(claims.int_or("iat", 0)));
  out.expires_at = base::WallTime(base::Seconds(claims.int_or("exp", 0)));
  return out;
}

}  // namespace daypass::idp::oidc
