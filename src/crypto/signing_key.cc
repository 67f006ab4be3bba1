// Keys that sign: client assertions and the demo's identity provider. A broken machine aborts, bad PEM is an Error.
#include <openssl/rsa.h>

#include "base/encoding.h"
#include "crypto/jose_key.h"
#include "crypto/pem.h"

namespace daypass::crypto {

struct SigningKey::Impl {
  Alg alg;
  PkeyPtr pkey;
  PublicKey half;
};

namespace {

using base::Code;
using base::Error;
using base::Result;
using base::json::Object;
using base::json::Value;

std::string number(const EVP_PKEY* key, const char* name, std::size_t size = 0) {
  BIGNUM* raw = nullptr;
  DP_ASSERT(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const BignumPtr owner(raw);
  return base::base64url_encode(to_bytes(raw, size));
}

Object public_numbers(const EVP_PKEY* key, KeyType type) {
  switch (type) {
    case KeyType::rsa:
      return {{"kty", "RSA"}, {"n", number(key, OSSL_PKEY_PARAM_RSA_N)}, {"e", number(key, OSSL_PKEY_PARAM_RSA_E)}};
    case KeyType::p256:
    case KeyType::p384:
      return {{"kty", "EC"},
              {"crv", type == KeyType::p256 ? "P-256" : "P-384"},
              {"x", number(key, OSSL_PKEY_PARAM_EC_PUB_X, field_size(type))},
              {"y", number(key, OSSL_PKEY_PARAM_EC_PUB_Y, field_size(type))}};
    case KeyType::ed25519:
      break;
  }
  std::string x(32, '\0');
  std::size_t size = x.size();
  DP_ASSERT(EVP_PKEY_get_raw_public_key(key, bytes(x), &size) == 1 && size == x.size());
  return {{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", base::base64url_encode(x)}};
}

/// The public half goes through the same import as anybody's key: what we sign with must be what we would accept.
Result<PublicKey> public_half(const EVP_PKEY* key, KeyType type, Alg alg, std::string kid) {
  Object jwk = public_numbers(key, type);
  if (kid.empty()) kid = thumbprint(jwk);
  jwk.set("kid", std::move(kid));
  jwk.set("alg", to_string(alg));
  jwk.set("use", "sig");
  return PublicKey::from_jwk(jwk);
}

PkeyPtr fresh_key(Alg alg) {
  switch (alg) {
    case Alg::rs256:
    case Alg::ps256:
      return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}));
    case Alg::es256:
      return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    case Alg::es384:
      return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
    case Alg::eddsa:
      return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  }
  return nullptr;
}

}  // namespace

SigningKey SigningKey::generate(Alg alg) {
  const ErrorQueueGuard guard;
  PkeyPtr key = fresh_key(alg);
  DP_ASSERT(key != nullptr);
  const auto type = key_type(key.get());
  DP_ASSERT(type.has_value());
  auto half = public_half(key.get(), *type, alg, {});
  DP_ASSERT(half.ok());
  return SigningKey(std::make_shared<Impl>(Impl{alg, std::move(key), std::move(half).value()}));
}

Result<SigningKey> SigningKey::from_pem(const base::Secret& pem, Alg alg, std::string kid) {
  const ErrorQueueGuard guard;
  const auto refuse = [](std::string message) {
    return Error{Code::invalid, "key.pem", std::move(message), "make one with: openssl genpkey -algorithm ed25519"};
  };
  PkeyPtr key = private_key_from_pem(pem);
  if (key == nullptr) return refuse("not a private key in unencrypted PEM");
  const auto type = key_type(key.get());
  if (!type || !fits(*type, alg)) return refuse("the private key's type does not fit " + std::string(to_string(alg)));
  // A private key whose public half is of another key would sign what nobody can verify.
  const PkeyCtxPtr check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (*type != KeyType::ed25519 && (check == nullptr || EVP_PKEY_pairwise_check(check.get()) != 1))
    return refuse("private and public half of the key do not belong together");
  auto half = public_half(key.get(), *type, alg, std::move(kid));
  if (!half.ok()) return refuse(half.error().message);
  return SigningKey(std::make_shared<Impl>(Impl{alg, std::move(key), std::move(half).value()}));
}

base::Secret SigningKey::to_pem() const {
  return private_key_to_pem(impl_->pkey.get());
}
Alg SigningKey::alg() const noexcept {
  return impl_->alg;
}
const std::string& SigningKey::kid() const noexcept {
  return impl_->half.kid();
}
Value SigningKey::public_jwk() const {
  return impl_->half.to_jwk();
}

std::string SigningKey::sign(std::string_view payload, std::string_view typ) const {
  const ErrorQueueGuard guard;
  Object header{{"alg", to_string(impl_->alg)}, {"kid", kid()}};
  if (!typ.empty()) header.set("typ", typ);
  std::string token = base::base64url_encode(base::json::dump(header)) + "." + base::base64url_encode(payload);
  const MdCtxPtr context = start_sign(impl_->pkey.get(), impl_->alg);
  DP_ASSERT(context != nullptr);
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(impl_->pkey.get())), '\0');
  std::size_t size = signature.size();
  DP_ASSERT(EVP_DigestSign(context.get(), bytes(signature), &size, bytes(std::string_view(token)), token.size()) == 1);
  signature.resize(size);
  if (impl_->alg == Alg::es256) signature = ecdsa_der_to_raw(signature, field_size(KeyType::p256));
  if (impl_->alg == Alg::es384) signature = ecdsa_der_to_raw(signature, field_size(KeyType::p384));
  return token + "." + base::base64url_encode(signature);
}

}  // namespace daypass::crypto
