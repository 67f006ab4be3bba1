#include "crypto/ed25519.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace daypass::crypto {
namespace {

std::string bytes_of(std::string_view hex) {
  return *base::hex_decode(hex);
}

struct Vector {
  const char *seed, *public_key, *message, *signature;
};
// RFC 8032 section 7.1, the first three.
constexpr Vector vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
     "5514"
     "1438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
     "00d"
     "291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
     "027"
     "beceea1ec40a"},
};

TEST(Ed25519, KnownAnswers) {
  for (const Vector& v : vectors) {
    const base::Secret seed(bytes_of(v.seed));
    EXPECT_EQ(ed25519_public_key(seed), bytes_of(v.public_key));
    EXPECT_EQ(ed25519_sign(seed, bytes_of(v.message)), bytes_of(v.signature));
    EXPECT_TRUE(ed25519_verify(bytes_of(v.public_key), bytes_of(v.message), bytes_of(v.signature)));
  }
}

TEST(Ed25519, EveryChangedBitIsRefused) {
  const Vector& v = vectors[2];
  const std::string key = bytes_of(v.public_key), message = bytes_of(v.message), signature = bytes_of(v.signature);
  const auto flipped = [](std::string text, std::size_t bit) {
    text[bit / 8] = static_cast<char>(static_cast<unsigned char>(text[bit / 8]) ^ 1U << bit % 8);
    return text;
  };
  for (std::size_t bit = 0; bit < 8 * signature.size(); ++bit)
    EXPECT_FALSE(ed25519_verify(key, message, flipped(signature, bit))) << bit;
  for (std::size_t bit = 0; bit < 8 * key.size(); ++bit)
    EXPECT_FALSE(ed25519_verify(flipped(key, bit), message, signature)) << bit;
  for (std::size_t bit = 0; bit < 8 * message.size(); ++bit)
    EXPECT_FALSE(ed25519_verify(key, flipped(message, bit), signature)) << bit;
}

TEST(Ed25519, RefusesOtherSizesAndKeysOfSmallOrder) {
  const Vector& v = vectors[0];
  const std::string key = bytes_of(v.public_key), signature = bytes_of(v.signature);
  EXPECT_FALSE(ed25519_verify(key, "", signature + '\0'));
  EXPECT_FALSE(ed25519_verify(key, "", signature.substr(1)));
  EXPECT_FALSE(ed25519_verify(key, "", ""));
  EXPECT_FALSE(ed25519_verify(key.substr(1), "", signature));
  EXPECT_FALSE(ed25519_verify("", "", signature));
  // The neutral element verifies a signature of zeroes over anything, where nobody looks.
  std::string neutral(32, '\0');
  neutral[0] = 1;
  std::string zero(64, '\0');
  zero[0] = 1;
  EXPECT_FALSE(ed25519_verify(neutral, "anything", zero));
}

}  // namespace
}  // namespace daypass::crypto
