#include "idp/oidc/token.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "crypto/jose.h"
#include "idp/url.h"

namespace daypass::idp::oidc {

using base::Code;
using base::Error;
using base::Result;
using base::Secret;
using base::json::Object;
using base::json::Value;
using core::ClientAuth;

namespace {

constexpr base::Seconds assertion_life{60};
constexpr std::size_t max_token = std::size_t{64} * 1024;

/// The first algorithm that fits the key; for RSA the one that the provider takes.
Result<crypto::SigningKey> client_key(const Secret& pem, const std::vector<std::string>& taken) {
  using crypto::Alg;
  const auto takes = [&](Alg alg) {
    return taken.empty() || std::ranges::find(taken, crypto::to_string(alg)) != taken.end();
  };
  std::optional<Error> why;
  bool fits = false;
  for (const Alg alg : {Alg::es256, Alg::eddsa, Alg::es384, Alg::ps256, Alg::rs256}) {
    // An RSA key fits both; RS256 is what providers take when they do not say.
    if (alg == Alg::ps256 && taken.empty()) continue;
    auto key = crypto::SigningKey::from_pem(pem, alg, "");
    if (key.ok() && takes(alg)) return key;
    fits = fits || key.ok();
    if (!key.ok()) why = std::move(key).error();
  }
  if (fits)
    return Error{Code::invalid, "token_endpoint.client_key",
                 "the provider does not take client assertions signed with this kind of key",
                 "make a key of another kind, and register its public half"};
  return Error{Code::invalid, "token_endpoint.client_key", "the client's private key is unusable: " + why->message,
               why->hint};
}

/// RFC 7523 section 3. The audience is the issuer, and nothing else: an assertion that names a token endpoint can be
/// made to name an attacker's (CVE-2025-27370).
std::string assertion_claims(const std::string& issuer, const std::string& client_id, base::WallTime now,
                             base::Entropy& entropy) {
  const std::int64_t second = std::chrono::floor<base::Seconds>(now).time_since_epoch().count();
  return base::json::dump(Object{{"iss", client_id},
                                 {"sub", client_id},
                                 {"aud", issuer},
                                 {"jti", base::random_token(entropy, 16)},
                                 {"iat", second},
                                 {"exp", second + assertion_life.count()}});
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
Secret basic(const std::string& client_id, const Secret& secret) {
  std::string pair = form_encode(client_id) + ":" + form_encode(secret.reveal());
  std::string value = "Basic " + base::base64_encode(pair);
  base::wipe(pair.data(), pair.size());
  return Secret::take(std::move(value));
}

bool is_json(const std::string& media_type) {
  return media_type == "application/json";
}

const std::string* string_member(const Value& value, std::string_view name) {
  const Value* member = value.find(name);
  return member == nullptr ? nullptr : member->as_string();
}

/// What the endpoint was asked with.
enum class Asked : std::uint8_t { code, refresh };

Error refused(const Reply& reply, const Value& body, Asked asked) {
  const std::string* code = string_member(body, "error");
  const std::string* description = string_member(body, "error_description");
  const std::string shown = shown_oauth_error(*code, description == nullptr ? "" : *description);
  std::string hint;
  Code kind = Code::unavailable;
  if (*code == "invalid_grant" && asked == Asked::refresh) {
    // A broken server may say anything; a refusal is a 4xx.
    if (reply.status >= 400 && reply.status < 500)
      return Error{Code::ended, "idp.over", "the identity provider has ended it: " + shown};
  } else if (*code == "invalid_grant") {
    kind = Code::unauthenticated;
    hint = "the code was used before or is too old: sign in again";
  } else if (*code == "invalid_client" || *code == "unauthorized_client") {
    hint = "check client_id, client_secret and client_auth of this identity provider";
  } else if (reply.status < 500) {
    kind = Code::invalid;
  }
  return Error{kind, "token_endpoint.refused", "the provider's token endpoint refused: " + shown, std::move(hint)};
}

Error malformed(std::string check, std::string message, std::string hint = {}) {
  return Error{Code::unavailable, "token_endpoint." + std::move(check),
               "the provider's token endpoint " + std::move(message), std::move(hint)};
}

/// RFC 6749 appendix A: a token is of visible characters.
bool token(const std::string* text) {
  return text != nullptr && !text->empty() && text->size() <= max_token &&
         std::ranges::all_of(*text, [](char c) { return c > 0x20 && c < 0x7f; });
}

Result<Tokens> read_tokens(const Reply& reply, Asked asked) {
  if (reply.status == 200 && !is_json(reply.media_type))
    return malformed("content_type", "answered no application/json");
  auto body = base::json::parse(reply.body, {.bytes = max_token_reply_bytes, .depth = 8, .nodes = 512, .members = 64});
  const bool object = body.ok() && body->as_object() != nullptr;
  if (reply.status != 200) {
    const bool says = object && string_member(*body, "error") != nullptr;
    if (says) return refused(reply, *body, asked);
    return malformed("status", "answered HTTP " + std::to_string(reply.status),
                     reply.status / 100 == 3 ? "redirects are not followed" : "");
  }
  if (!object) return malformed("syntax", "answered no JSON object" + (body.ok() ? "" : ": " + body.error().message));
  // RFC 6749 section 5.1: the type is compared without regard to case.
  const std::string* type = string_member(*body, "token_type");
  if (type == nullptr) return malformed("shape", "answered without token_type");
  std::string lower = *type;
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (lower != "bearer") return malformed("token_type", "answered with a token_type that is not Bearer");
  const std::string* access = string_member(*body, "access_token");
  if (!token(access)) return malformed("access_token", "answered without a usable access_token");
  Tokens out{{}, Secret(*access)};
  // Those that give none may say so with nothing.
  if (const Value* refresh = body->find("refresh_token");
      refresh != nullptr && !refresh->is_null() && *refresh != Value("")) {
    if (!token(refresh->as_string())) return malformed("refresh_token", "answered with an unusable refresh_token");
    out.refresh_token = Secret(*refresh->as_string());
  }
  const Value* id = body->find("id_token");
  if (id == nullptr && asked == Asked::refresh) return out;
  if (id == nullptr || id->as_string() == nullptr || id->as_string()->empty())
    return Error{Code::unavailable, "token_endpoint.id_token_missing",
                 "the provider's token endpoint answered without an id_token",
                 "the client must be allowed the scope openid"};
  out.id_token = *id->as_string();
  return out;
}

}  // namespace

std::string shown_oauth_error(std::string_view code, std::string_view description) {
  std::string out;
  for (const char c : code) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool fine = letter || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    if (fine && out.size() < 64) out += c;
  }
  if (out.empty()) out = "unspecified";
  std::string text;
  for (const char c : description) {
    if (c >= 0x20 && c < 0x7f && text.size() < 200) text += c;
  }
  return text.empty() ? out : out + " (" + text + ")";
}

namespace {

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

Result<Request> client_request(const Discovery& discovery, const core::IdpSpec& spec, const Secret& secret,
                               Fields fields, base::WallTime now, base::Entropy& entropy) {
  Request request;
  request.method = "POST";
  request.url = discovery.token_endpoint;
  request.content_type = "application/x-www-form-urlencoded";
  request.max_bytes = max_token_reply_bytes;
  std::string assertion;
  switch (spec.client_auth) {
    case ClientAuth::basic:
      request.authorization = basic(spec.client_id, secret);
      break;
    case ClientAuth::post:
      fields.emplace_back("client_id", spec.client_id);
      fields.emplace_back("client_secret", secret.reveal());
      break;
    case ClientAuth::private_key_jwt: {
      DP_TRY(const auto key, client_key(secret, discovery.client_auth_algs));
      assertion = key.sign(assertion_claims(discovery.issuer, spec.client_id, now, entropy));
      fields.emplace_back("client_id", spec.client_id);
      fields.emplace_back("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
      fields.emplace_back("client_assertion", assertion);
      break;
    }
    case ClientAuth::none:
      fields.emplace_back("client_id", spec.client_id);
      break;
  }
  request.body = Secret::take(form(fields));
  return request;
}

Result<Tokens> read_and_wipe(Reply reply, Asked asked) {
  auto tokens = read_tokens(reply, asked);
  base::wipe(reply.body.data(), reply.body.size());
  return tokens;
}

}  // namespace

Result<Request> token_request(const Discovery& discovery, const core::IdpSpec& spec, const Secret& secret,
                              const CodeGrant& grant, base::WallTime now, base::Entropy& entropy) {
  return client_request(discovery, spec, secret,
                        {{"grant_type", "authorization_code"},
                         {"code", grant.code.reveal()},
                         {"redirect_uri", grant.redirect_uri},
                         {"code_verifier", grant.verifier.reveal()}},
                        now, entropy);
}

Result<Request> refresh_request(const Discovery& discovery, const core::IdpSpec& spec, const Secret& secret,
                                const Secret& refresh_token, base::WallTime now, base::Entropy& entropy) {
  return client_request(discovery, spec, secret,
                        {{"grant_type", "refresh_token"}, {"refresh_token", refresh_token.reveal()}}, now, entropy);
}

Result<Tokens> parse_token_reply(Reply reply) {
  return read_and_wipe(std::move(reply), Asked::code);
}

Result<Tokens> parse_refresh_reply(Reply reply) {
  return read_and_wipe(std::move(reply), Asked::refresh);
}

Result<Value> client_key_jwk(const Secret& pem) {
  DP_TRY(const auto key, client_key(pem, {}));
  return key.public_jwk();
}

}  // namespace daypass::idp::oidc
