// Compact JWS (RFC 7515): refuse everything that is not needed, then verify with a key that was decided beforehand.
#include <algorithm>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "crypto/jose_key.h"

namespace daypass::crypto {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::json::Object;
using base::json::Value;

constexpr std::size_t max_header_bytes = 8192;
constexpr std::size_t max_tries = 4;

Error refuse(std::string check, std::string message, std::string hint = {}) {
  return {Code::invalid, std::move(check), std::move(message), std::move(hint)};
}
Error distrust(std::string check, std::string message, std::string hint = {}) {
  return {Code::unauthenticated, std::move(check), std::move(message), std::move(hint)};
}

struct Parts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
  std::string_view signed_text;  // header "." payload, as they came
};

Result<Parts> split(std::string_view compact) {
  if (compact.size() > max_jws_bytes)
    return refuse("jws.too_large", "token of " + std::to_string(compact.size()) + " bytes; at most " +
                                       std::to_string(max_jws_bytes) + " are read");
  const auto dots = std::ranges::count(compact, '.');
  if (dots == 4) return refuse("jws.shape", "an encrypted token (JWE) where a signed one belongs");
  if (dots != 2) return refuse("jws.shape", "a compact JWS has three parts between two dots");
  const std::size_t first = compact.find('.');
  const std::size_t second = compact.find('.', first + 1);
  Parts parts{compact.substr(0, first), compact.substr(first + 1, second - first - 1), compact.substr(second + 1),
              compact.substr(0, second)};
  // An empty payload is how detached content looks (RFC 7515 appendix F); nothing that we verify is empty. An empty
  // signature is left to the checks of algorithm and signature, whose refusal says more.
  if (parts.header.empty() || parts.payload.empty()) return refuse("jws.shape", "header or payload is empty");
  return parts;
}

Result<Value> parse_header(std::string_view encoded) {
  if (encoded.size() > max_header_bytes) return refuse("jws.header", "header is longer than 8192 characters");
  const auto text = base::base64url_decode(encoded);
  if (!text) return refuse("jws.base64url", "header is not canonical base64url");
  base::json::Limits limits;
  limits.bytes = max_header_bytes;
  limits.depth = 8;
  limits.nodes = 256;
  limits.members = 32;
  auto parsed = base::json::parse(*text, limits);
  if (!parsed.ok()) return refuse("jws.header", "header: " + parsed.error().message);
  if (parsed->as_object() == nullptr) return refuse("jws.header", "header is not a JSON object");
  for (const std::string_view name : {"kid", "typ", "cty"}) {
    const Value* member = parsed->find(name);
    if (member != nullptr && member->as_string() == nullptr)
      return refuse("jws.header", std::string(name) + " in the header is not a string");
  }
  return parsed;
}

Result<Alg> accepted_alg(const Object& header) {
  const Value* member = header.find("alg");
  if (member == nullptr) return refuse("jws.alg_missing", "header has no alg");
  const std::string* name = member->as_string();
  const std::optional<Alg> alg = name == nullptr ? std::nullopt : parse_alg(*name);
  if (!alg)
    return refuse("jws.alg_not_allowed", "alg of the header is none of RS256, PS256, ES256, ES384, EdDSA",
                  "configure the identity provider to sign with one of them");
  // RFC 7515 section 4.1.11: an extension that one does not understand makes the whole invalid, and none is understood.
  if (header.find("crit") != nullptr) return refuse("jws.crit", "header demands extensions (crit); none is supported");
  if (header.find("b64") != nullptr) return refuse("jws.b64", "unencoded payloads (b64, RFC 7797) are not supported");
  for (const std::string_view key : {"jwk", "jku", "x5u", "x5c"})
    if (header.find(key) != nullptr)
      return refuse("jws.header_key",
                    "header brings its own key (" + std::string(key) + "); keys come from the configured issuer only");
  return *alg;
}

/// The keys that this header may be verified with: one, or a few of the same name.
Result<std::vector<const PublicKey*>> candidates(const Object& header, Alg alg, const KeySet& keys) {
  const Value* kid_member = header.find("kid");
  std::vector<const PublicKey*> named;
  for (const PublicKey& key : keys.keys())
    if (kid_member == nullptr || key.kid() == *kid_member->as_string()) named.push_back(&key);
  // An empty kid names nothing; keys without a name must not be found by it.
  if (kid_member != nullptr && (named.empty() || kid_member->as_string()->empty()))
    return distrust("jws.kid_unknown", "no key of the issuer has the kid of this token",
                    "if the issuer has just changed its keys, its key set must be fetched again");
  std::erase_if(named, [&](const PublicKey* key) { return !key->allows(alg); });
  if (named.empty())
    return distrust("jws.alg_key_mismatch", "no key " + std::string(kid_member ? "of that kid" : "of the issuer") +
                                                " may verify " + std::string(to_string(alg)));
  if (named.size() > (kid_member == nullptr ? 1 : max_tries))
    return distrust("jws.key_ambiguous",
                    std::to_string(named.size()) + " keys fit this token and nothing says which one is meant",
                    "the issuer must put a kid into its tokens and give each key its own");
  return named;
}

}  // namespace

Result<VerifiedJws> verify_jws(std::string_view compact, const KeySet& keys) {
  DP_TRY(const Parts parts, split(compact));
  auto payload = base::base64url_decode(parts.payload);
  if (!payload) return refuse("jws.base64url", "payload is not canonical base64url");
  const auto signature = base::base64url_decode(parts.signature);
  if (!signature) return refuse("jws.base64url", "signature is not canonical base64url");
  DP_TRY(Value header, parse_header(parts.header));
  const Object& object = *header.as_object();
  DP_TRY(const Alg alg, accepted_alg(object));
  DP_TRY(const auto usable, candidates(object, alg, keys));
  const auto key =
      std::ranges::find_if(usable, [&](const PublicKey* k) { return k->verify(alg, parts.signed_text, *signature); });
  if (key == usable.end())
    return distrust("jws.signature", "signature does not fit the content and the key of the issuer");
  return VerifiedJws{std::move(header), std::move(*payload), (*key)->kid(), alg};
}

std::optional<std::string> peek_kid(std::string_view compact) {
  const auto parts = split(compact);
  if (!parts.ok()) return std::nullopt;
  const auto header = parse_header(parts->header);
  if (!header.ok()) return std::nullopt;
  const Value* kid = header->find("kid");
  return kid == nullptr ? std::nullopt : std::optional(*kid->as_string());
}

std::string pkce_s256(std::string_view verifier) {
  return base::base64url_encode(sha256(verifier));
}

std::string half_hash(Alg alg, std::string_view token) {
  const std::string hash = alg == Alg::eddsa ? sha512(token) : alg == Alg::es384 ? sha384(token) : sha256(token);
  return base::base64url_encode(std::string_view(hash).substr(0, hash.size() / 2));
}

}  // namespace daypass::crypto
