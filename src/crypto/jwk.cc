// JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2): import, with everything decided here that a message
// must not decide later.
#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "crypto/jose_key.h"

namespace daypass::crypto {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::json::Array;
using base::json::Object;
using base::json::Value;

constexpr std::size_t max_kid = 1024;
constexpr int min_rsa_bits = 2048;
constexpr int max_rsa_bits = 8192;

Error refuse(std::string check, std::string message) {
  return {Code::invalid, std::move(check), std::move(message)};
}

/// The octets of a base64url member of at most `max` octets; nullopt when missing, of another type or not canonical.
std::optional<std::string> octets(const Object& jwk, std::string_view name, std::size_t max) {
  const Value* member = jwk.find(name);
  const std::string* text = member == nullptr ? nullptr : member->as_string();
  if (text == nullptr || text->size() > (max * 4 + 2) / 3) return std::nullopt;
  return base::base64url_decode(*text);
}

PkeyPtr key_from_params(const char* algorithm, OSSL_PARAM_BLD* builder) {
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
  DP_ASSERT(params != nullptr && context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1);
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) return nullptr;
  return PkeyPtr(key);
}

Result<void> import_rsa(const Object& jwk, PublicKey::Impl& out) {
  // RFC 7518 section 2, Base64urlUInt: the fewest octets, so a leading zero is another spelling.
  const auto n = octets(jwk, "n", max_rsa_bits / 8);
  if (!n || n->empty() || n->front() == '\0') return refuse("jwk.n", "modulus is missing, not canonical or too long");
  const auto e = octets(jwk, "e", 8);
  if (!e || e->empty() || e->front() == '\0')
    return refuse("jwk.e", "public exponent is missing, not canonical or longer than 64 bits");
  const BignumPtr modulus = bignum(*n);
  const BignumPtr exponent = bignum(*e);
  const int bits = BN_num_bits(modulus.get());
  if (bits < min_rsa_bits || bits > max_rsa_bits)
    return refuse("jwk.n", "RSA key of " + std::to_string(bits) + " bits; 2048 to 8192 are taken");
  if (!BN_is_odd(modulus.get())) return refuse("jwk.n", "even modulus");
  // With e = 1 the message is its own signature; with 3 flawed padding checks elsewhere have been forged against.
  if (!BN_is_odd(exponent.get()) || BN_num_bits(exponent.get()) <= 2)
    return refuse("jwk.e", "public exponent must be odd and greater than 3");

  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  DP_ASSERT(builder != nullptr && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) == 1 &&
            OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) == 1);
  out.pkey = key_from_params("RSA", builder.get());
  if (out.pkey == nullptr) return refuse("jwk.n", "not an RSA key");
  out.type = KeyType::rsa;
  out.signature_size = n->size();
  out.numbers = Object{{"kty", "RSA"}, {"n", base::base64url_encode(*n)}, {"e", base::base64url_encode(*e)}};
  return {};
}

Result<void> import_ec(const Object& jwk, PublicKey::Impl& out) {
  const Value* crv = jwk.find("crv");
  const std::string* curve = crv == nullptr ? nullptr : crv->as_string();
  if (curve == nullptr || (*curve != "P-256" && *curve != "P-384"))
    return refuse("jwk.crv", "curve is missing or none of P-256 and P-384");
  out.type = *curve == "P-256" ? KeyType::p256 : KeyType::p384;
  const std::size_t field = field_size(out.type);
  const auto x = octets(jwk, "x", field);
  const auto y = octets(jwk, "y", field);
  // RFC 7518 section 6.2.1.2: the full size of a coordinate, leading zeros and all.
  if (!x || !y || x->size() != field || y->size() != field)
    return refuse("jwk.point", "x and y must each have " + std::to_string(field) + " octets in base64url");

  const std::string point = "\x04" + *x + *y;
  const ParamBuilderPtr builder(OSSL_PARAM_BLD_new());
  const char* group = out.type == KeyType::p256 ? "prime256v1" : "secp384r1";
  DP_ASSERT(builder != nullptr &&
            OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
            OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 1);
  out.pkey = key_from_params("EC", builder.get());
  // Import refuses a point off the curve; the second look costs microseconds and does not lean on that.
  const PkeyCtxPtr check(out.pkey ? EVP_PKEY_CTX_new_from_pkey(nullptr, out.pkey.get(), nullptr) : nullptr);
  if (check == nullptr || EVP_PKEY_public_check(check.get()) != 1)
    return refuse("jwk.point", "x and y are not a point of " + *curve);
  out.signature_size = 2 * field;
  out.numbers =
      Object{{"kty", "EC"}, {"crv", *curve}, {"x", base::base64url_encode(*x)}, {"y", base::base64url_encode(*y)}};
  return {};
}

/// y of the eight points whose order divides 8, little-endian. For such a key anybody can make signatures.
constexpr std::array<std::string_view, 5> small_order_y = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

/// RFC 8032 section 5.1.3, without taking the root: y below p, and x^2 = (y^2 - 1) / (d y^2 + 1) a square. OpenSSL 3.0
/// takes any 32 octets as an Ed25519 key and finds out at the first signature.
bool is_ed25519_point(std::string encoded) {
  encoded.back() = static_cast<char>(encoded.back() & 0x7f);
  if (std::ranges::find(small_order_y, base::hex_encode(encoded)) != small_order_y.end()) return false;
  const BignumPtr y(BN_lebin2bn(bytes(std::string_view(encoded)), static_cast<int>(encoded.size()), nullptr));
  const BignumPtr p(BN_new());
  const BignumPtr d(BN_new());
  const BignumPtr u(BN_new());
  const BignumPtr v(BN_new());
  const BnCtxPtr context(BN_CTX_new());
  DP_ASSERT(y && p && d && u && v && context);
  // p = 2^255 - 19; d = -121665/121666.
  DP_ASSERT(BN_set_bit(p.get(), 255) == 1 && BN_sub_word(p.get(), 19) == 1);
  if (BN_cmp(y.get(), p.get()) >= 0) return false;
  DP_ASSERT(BN_set_word(v.get(), 121666) == 1 && BN_mod_inverse(d.get(), v.get(), p.get(), context.get()) != nullptr &&
            BN_mul_word(d.get(), 121665) == 1 && BN_nnmod(d.get(), d.get(), p.get(), context.get()) == 1 &&
            BN_sub(d.get(), p.get(), d.get()) == 1);
  DP_ASSERT(BN_mod_sqr(u.get(), y.get(), p.get(), context.get()) == 1 &&
            BN_mod_mul(v.get(), u.get(), d.get(), p.get(), context.get()) == 1 && BN_add_word(v.get(), 1) == 1 &&
            BN_sub_word(u.get(), 1) == 1);
  // u/v is a square exactly when u*v is.
  DP_ASSERT(BN_mod_mul(u.get(), u.get(), v.get(), p.get(), context.get()) == 1);
  return BN_kronecker(u.get(), p.get(), context.get()) == 1;
}

Result<void> import_okp(const Object& jwk, PublicKey::Impl& out) {
  const Value* crv = jwk.find("crv");
  const std::string* curve = crv == nullptr ? nullptr : crv->as_string();
  if (curve == nullptr || *curve != "Ed25519") return refuse("jwk.crv", "curve is missing or not Ed25519");
  const auto x = octets(jwk, "x", 32);
  if (!x || x->size() != 32) return refuse("jwk.point", "x must have 32 octets in base64url");
  if (!is_ed25519_point(*x)) return refuse("jwk.point", "x is not a point of Ed25519 that a key may be");
  out.pkey.reset(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, bytes(*x), x->size()));
  if (out.pkey == nullptr) return refuse("jwk.point", "not an Ed25519 key");
  out.type = KeyType::ed25519;
  out.signature_size = 64;
  out.numbers = Object{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", base::base64url_encode(*x)}};
  return {};
}

Result<void> check_purpose(const Object& jwk) {
  if (const Value* use = jwk.find("use")) {
    if (use->as_string() == nullptr || *use->as_string() != "sig")
      return refuse("jwk.use", "key is not for signatures");
  }
  if (const Value* ops = jwk.find("key_ops")) {
    const Array* list = ops->as_array();
    if (list == nullptr || list->size() > 16) return refuse("jwk.key_ops", "key_ops is not a short list");
    bool verifies = false;
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string* op = (*list)[i].as_string();
      // RFC 7517 section 4.3: strings, none twice.
      if (op == nullptr || std::find(list->begin(), list->begin() + static_cast<std::ptrdiff_t>(i), (*list)[i]) !=
                               list->begin() + static_cast<std::ptrdiff_t>(i))
        return refuse("jwk.key_ops", "key_ops is not a list of different strings");
      verifies |= *op == "verify";
    }
    if (!verifies) return refuse("jwk.key_ops", "key_ops does not hold verify");
  }
  return {};
}

Result<void> import_names(const Object& jwk, PublicKey::Impl& out) {
  if (const Value* kid = jwk.find("kid")) {
    const std::string* text = kid->as_string();
    if (text == nullptr || text->empty() || text->size() > max_kid)
      return refuse("jwk.kid", "kid is not a string of 1 to 1024 bytes");
    out.kid = *text;
  }
  if (const Value* alg = jwk.find("alg")) {
    const std::string* text = alg->as_string();
    out.declared = text == nullptr ? std::nullopt : parse_alg(*text);
    if (!out.declared) return refuse("jwk.alg", "alg is none of RS256, PS256, ES256, ES384, EdDSA");
    if (!fits(out.type, *out.declared)) return refuse("jwk.alg", "alg " + *text + " does not fit the type of the key");
  }
  return {};
}

}  // namespace

Result<PublicKey> PublicKey::from_jwk(const Value& jwk) {
  const ErrorQueueGuard guard;
  const Object* object = jwk.as_object();
  if (object == nullptr) return refuse("jwk.kty", "a key is a JSON object");
  const std::string kty = jwk.string_or("kty");
  // First of all: a private key that arrives here has been published, a symmetric one would let the verifier sign.
  for (const std::string_view name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
    if (object->find(name) != nullptr)
      return refuse("jwk.private", "private or symmetric key where a public one belongs");
  if (kty == "oct") return refuse("jwk.private", "symmetric key where a public one belongs");

  auto impl = std::make_shared<Impl>();
  if (kty != "RSA" && kty != "EC" && kty != "OKP") return refuse("jwk.kty", "kty is none of RSA, EC, OKP");
  DP_CHECK(check_purpose(*object));
  DP_CHECK(kty == "RSA"  ? import_rsa(*object, *impl)
           : kty == "EC" ? import_ec(*object, *impl)
                         : import_okp(*object, *impl));
  DP_CHECK(import_names(*object, *impl));
  for (const Alg alg : all_algs) {
    if (!fits(impl->type, alg) || (impl->declared && *impl->declared != alg)) continue;
    auto& started = impl->started[static_cast<std::size_t>(alg)];
    started = start_verify(impl->pkey.get(), alg);
    if (started == nullptr) return refuse("jwk.kty", "the key can't be used for " + std::string(to_string(alg)));
  }
  return PublicKey(std::move(impl));
}

const std::string& PublicKey::kid() const noexcept {
  return impl_->kid;
}

bool PublicKey::allows(Alg alg) const noexcept {
  return impl_->started[static_cast<std::size_t>(alg)] != nullptr;
}

Value PublicKey::to_jwk() const {
  Object jwk = impl_->numbers;
  if (!impl_->kid.empty()) jwk.set("kid", impl_->kid);
  if (impl_->declared) jwk.set("alg", to_string(*impl_->declared));
  jwk.set("use", "sig");
  return jwk;
}

bool PublicKey::verify(Alg alg, std::string_view message, std::string_view signature) const {
  if (!allows(alg) || signature.size() != impl_->signature_size) return false;
  const ErrorQueueGuard guard;
  std::string der;
  if (alg == Alg::es256 || alg == Alg::es384) {
    der = ecdsa_raw_to_der(signature, field_size(impl_->type));
    if (der.empty()) return false;
    signature = der;
  }
  const MdCtxPtr context(EVP_MD_CTX_new());
  DP_ASSERT(context != nullptr &&
            EVP_MD_CTX_copy_ex(context.get(), impl_->started[static_cast<std::size_t>(alg)].get()) == 1);
  return EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(message), message.size()) == 1;
}

Result<KeySet> KeySet::parse(std::string_view json_text) {
  if (json_text.size() > max_bytes)
    return refuse("jwks.too_large", "key set of " + std::to_string(json_text.size()) + " bytes; at most " +
                                        std::to_string(max_bytes) + " are read");
  base::json::Limits limits;
  limits.bytes = max_bytes;
  limits.depth = 8;
  limits.nodes = 8192;
  limits.members = 64;
  const auto parsed = base::json::parse(json_text, limits);
  if (!parsed.ok()) return refuse("jwks.syntax", "key set: " + parsed.error().message);
  const Value* list = parsed->find("keys");
  const Array* keys = list == nullptr ? nullptr : list->as_array();
  if (keys == nullptr) return refuse("jwks.shape", "a key set is a JSON object with a list named keys");
  if (keys->size() > max_keys)
    return refuse("jwks.too_many_keys", "key set of " + std::to_string(keys->size()) + " keys; at most " +
                                            std::to_string(max_keys) + " are taken");
  KeySet set;
  for (std::size_t i = 0; i < keys->size(); ++i) {
    auto key = PublicKey::from_jwk((*keys)[i]);
    if (key.ok()) {
      set.keys_.push_back(std::move(key).value());
      continue;
    }
    // RFC 7517 section 5: keys of kinds that one does not understand are ignored, and here, counted.
    if (set.left_out_++ == 0)
      set.first_left_out_ = "keys[" + std::to_string(i) + "]: " + key.error().check + ": " + key.error().message;
  }
  return set;
}

bool KeySet::has_kid(std::string_view kid) const noexcept {
  return !kid.empty() && std::ranges::any_of(keys_, [&](const PublicKey& key) { return key.kid() == kid; });
}

std::string thumbprint(const Object& numbers) {
  // RFC 7638 section 3.2: the members in lexicographic order, no white space.
  std::vector<base::json::Member> members(numbers.begin(), numbers.end());
  std::ranges::sort(members, {}, &base::json::Member::key);
  Object sorted;
  for (auto& [key, value] : members) sorted.insert_new(std::move(key), std::move(value));
  return base::base64url_encode(sha256(base::json::dump(sorted)));
}

}  // namespace daypass::crypto
