// What this room's tests share: refusals by name, tokens with any header and a valid signature, fixed entropy.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "base/entropy.h"
#include "crypto/jose_key.h"
#include "crypto/pem.h"

namespace daypass::crypto::testing {

/// The check that refused, or "ok".
template <class T>
std::string refusal(const base::Result<T>& result) {
  return result.ok() ? "ok" : result.error().check;
}

inline base::json::Value json(std::string_view text) {
  auto parsed = base::json::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? *parsed : base::json::Value();
}

inline KeySet key_set(const std::vector<base::json::Value>& jwks) {
  auto set = KeySet::parse(base::json::dump(base::json::Object{{"keys", base::json::Array(jwks)}}));
  EXPECT_TRUE(set.ok()) << (set.ok() ? "" : set.error().message);
  return set.ok() ? std::move(set).value() : KeySet();
}

/// The JWK with members set (or, where null, removed).
inline base::json::Value with(const base::json::Value& jwk, std::initializer_list<base::json::Member> changes) {
  base::json::Object object = *jwk.as_object();
  for (const auto& [key, value] : changes) {
    if (value.is_null())
      object.erase(key);
    else
      object.set(key, value);
  }
  return object;
}

/// The signature of `message` as JOSE writes it; `alg` may be any that the key's type can do.
inline std::string raw_signature(const SigningKey& key, std::string_view message, Alg alg) {
  const PkeyPtr pkey = private_key_from_pem(key.to_pem());
  const MdCtxPtr context = start_sign(pkey.get(), alg);
  std::string out(static_cast<std::size_t>(EVP_PKEY_get_size(pkey.get())), '\0');
  std::size_t size = out.size();
  EXPECT_EQ(EVP_DigestSign(context.get(), bytes(out), &size, bytes(message), message.size()), 1);
  out.resize(size);
  if (alg == Alg::es256) return ecdsa_der_to_raw(out, 32);
  if (alg == Alg::es384) return ecdsa_der_to_raw(out, 48);
  return out;
}

/// A token with this very header text and a signature that fits it, so that a refusal can only be for the header.
inline std::string token(const SigningKey& key, std::string_view header, std::string_view payload = R"({"sub":"a"})") {
  const std::string text = base::base64url_encode(header) + "." + base::base64url_encode(payload);
  return text + "." + base::base64url_encode(raw_signature(key, text, key.alg()));
}

/// Hands out the bytes it was given, once.
class FixedEntropy final : public base::Entropy {
 public:
  explicit FixedEntropy(std::string bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::uint8_t> out) override {
    DP_ASSERT(out.size() <= bytes_.size());
    std::copy_n(bytes_.begin(), out.size(), out.begin());
    bytes_.erase(0, out.size());
  }

 private:
  std::string bytes_;
};

}  // namespace daypass::crypto::testing
