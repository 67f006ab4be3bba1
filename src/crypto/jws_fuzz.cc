// A compact JWS, and a key set when a line feed follows it: any bytes must be refused or verified, never more.
// parses: crypto/jws.cc
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "base/encoding.h"
#include "crypto/jose.h"
#include "crypto/test_vectors.h"

using namespace daypass::crypto;  // NOLINT: the fuzzer is this room's

namespace {

const KeySet& known_keys() {
  static const KeySet keys = [] {
    using daypass::base::json::Array;
    using daypass::base::json::Object;
    const Array list{
        Object{{"kty", "RSA"}, {"kid", "r"}, {"n", testing::other_rsa_n}, {"e", "AQAB"}},
        Object{{"kty", "EC"}, {"crv", "P-256"}, {"x", testing::rfc7515_a3_x}, {"y", testing::rfc7515_a3_y}},
        Object{
            {"kty", "EC"}, {"crv", "P-384"}, {"kid", "e"}, {"x", testing::other_p384_x}, {"y", testing::other_p384_y}},
        Object{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", testing::rfc8037_x}},
    };
    auto set = KeySet::parse(daypass::base::json::dump(Object{{"keys", list}}));
    DP_ASSERT(set.ok() && set->keys().size() == list.size());
    return std::move(set).value();
  }();
  return keys;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view token = input.substr(0, input.find('\n'));
  const auto kid = peek_kid(token);
  if (const auto verified = verify_jws(token, known_keys()); verified.ok()) {
    // Nobody here has the private keys: only the payloads that their owners signed may come out.
    DP_ASSERT(verified->payload == testing::rfc7515_payload || verified->payload == R"({"sub":"a"})" ||
              verified->payload == "Example of Ed25519 signing");
    DP_ASSERT(kid.value_or("") == verified->kid);
  }
  if (token.size() == size) return 0;
  const auto keys = KeySet::parse(input.substr(token.size() + 1));
  if (!keys.ok()) return 0;
  if (const auto verified = verify_jws(token, *keys); verified.ok()) {
    // What was verified is what the token says, to the byte.
    const std::size_t first = token.find('.');
    DP_ASSERT(token.substr(first + 1, token.rfind('.') - first - 1) ==
              daypass::base::base64url_encode(verified->payload));
    DP_ASSERT(verified->header.string_or("alg") == to_string(verified->alg) ||
              (verified->alg == Alg::eddsa && verified->header.string_or("alg") == "Ed25519"));
  }
  return 0;
}
