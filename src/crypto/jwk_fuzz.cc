// A JWK or a JWK Set. What is imported must be written back to a key that allows the same.
// parses: crypto/jwk.cc
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "crypto/jose.h"

using namespace daypass::crypto;  // NOLINT: the fuzzer is this room's

namespace {

void check(const PublicKey& key) {
  const auto jwk = key.to_jwk();
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) DP_ASSERT(jwk.find(name) == nullptr);
  const auto again = PublicKey::from_jwk(jwk);
  DP_ASSERT(again.ok() && again->to_jwk() == jwk && again->kid() == key.kid());
  bool any = false;
  for (const Alg alg : {Alg::rs256, Alg::ps256, Alg::es256, Alg::es384, Alg::eddsa}) {
    DP_ASSERT(again->allows(alg) == key.allows(alg));
    any |= key.allows(alg);
    // Signatures that no private key made, in every length that matters.
    for (const std::size_t size : {0U, 64U, 96U, 256U, 512U})
      DP_ASSERT(!key.verify(alg, "message", std::string(size, '\x01')));
  }
  DP_ASSERT(any);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto set = KeySet::parse(input); set.ok()) {
    DP_ASSERT(set->keys().size() <= KeySet::max_keys && (set->left_out() == 0) == set->first_left_out().empty());
    for (const PublicKey& key : set->keys()) check(key);
  }
  if (const auto value = daypass::base::json::parse(input); value.ok()) {
    if (const auto key = PublicKey::from_jwk(*value); key.ok()) check(*key);
  }
  return 0;
}
