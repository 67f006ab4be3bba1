#include "crypto/seal.h"

#include <set>

#include "crypto/test_support.h"

namespace daypass::crypto {
namespace {

using base::Secret;
using testing::refusal;

class Seal : public ::testing::Test {
 protected:
  Sealer make(char fill) { return Sealer::make(Secret(std::string(32, fill)), entropy_).value(); }
  base::SeededEntropy entropy_{7};
  Sealer sealer_ = make('k');
};

TEST_F(Seal, OpensWhatItSealed) {
  for (const std::string& text :
       {std::string(), std::string("p"), std::string("zero\0inside", 11), std::string(100'000, 'x')}) {
    const std::string blob = sealer_.seal(Secret(text), "intent/1");
    EXPECT_EQ(blob.size(), 1 + 12 + text.size() + 16);
    const auto opened = sealer_.open(blob, "intent/1");
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(opened->reveal(), text);
    if (text.size() > 4) EXPECT_EQ(blob.find(text), std::string::npos);
  }
}

TEST_F(Seal, NoTwoBlobsAreAlike) {
  std::set<std::string> nonces;
  for (int i = 0; i < 100; ++i) nonces.insert(sealer_.seal(Secret("same"), "same").substr(1, 12));
  EXPECT_EQ(nonces.size(), 100U);
}

TEST_F(Seal, RefusesEveryChangedByte) {
  const std::string blob = sealer_.seal(Secret("a password"), "intent/1");
  for (std::size_t i = 0; i < blob.size(); ++i) {
    for (const int bit : {1, 128}) {
      std::string changed = blob;
      changed[i] = static_cast<char>(changed[i] ^ bit);
      EXPECT_EQ(refusal(sealer_.open(changed, "intent/1")), i == 0 ? "seal.shape" : "seal.tag") << "byte " << i;
    }
  }
}

TEST_F(Seal, RefusesOtherKeysPurposesAndLengths) {
  const std::string blob = sealer_.seal(Secret("a password"), "intent/1");
  EXPECT_EQ(refusal(sealer_.open(blob, "intent/2")), "seal.tag");
  EXPECT_EQ(refusal(sealer_.open(blob, "")), "seal.tag");
  EXPECT_EQ(refusal(make('l').open(blob, "intent/1")), "seal.tag");
  EXPECT_EQ(refusal(sealer_.open(blob.substr(0, blob.size() - 1), "intent/1")), "seal.tag");
  EXPECT_EQ(refusal(sealer_.open(blob + "x", "intent/1")), "seal.tag");
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{28}})
    EXPECT_EQ(refusal(sealer_.open(blob.substr(0, size), "intent/1")), "seal.shape");
  // The version is part of what is authenticated, so it can't be moved into the purpose.
  EXPECT_EQ(refusal(sealer_.open(blob, std::string_view("\x01intent/1", 9))), "seal.tag");
}

TEST_F(Seal, WantsAKeyOf32Bytes) {
  for (const std::size_t size : {0U, 16U, 31U, 33U})
    EXPECT_EQ(refusal(Sealer::make(Secret(std::string(size, 'k')), entropy_)), "seal.key_size");
}

TEST_F(Seal, DerivesKeysThatDependOnLabelAndKey) {
  const Secret a = sealer_.derive("tenant/a");
  EXPECT_EQ(a.size(), 32U);
  EXPECT_TRUE(a.equals(sealer_.derive("tenant/a").reveal()));
  EXPECT_FALSE(a.equals(sealer_.derive("tenant/b").reveal()));
  EXPECT_FALSE(a.equals(make('l').derive("tenant/a").reveal()));
  EXPECT_FALSE(a.equals(std::string(32, 'k')));
  // A blob of one tenant does not open under the key of another.
  const Sealer tenant_a = Sealer::make(sealer_.derive("tenant/a"), entropy_).value();
  const Sealer tenant_b = Sealer::make(sealer_.derive("tenant/b"), entropy_).value();
  EXPECT_EQ(refusal(tenant_b.open(tenant_a.seal(Secret("x"), "p"), "p")), "seal.tag");
}

// What is in stores must open in later releases: a blob and a derived key, computed by other means than this code.
TEST_F(Seal, FormatIsStable) {
  const Sealer sealer = Sealer::make(Secret(std::string(32, '\0')), entropy_).value();
  const std::string blob = *base::hex_decode("01000102030405060708090a0bfbae5020658938d4bd8ff5e50c26e79fb684454291a9");
  const auto opened = sealer.open(blob, "purpose");
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->reveal(), "secret");
  EXPECT_EQ(base::hex_encode(sealer.derive("tenant/a").reveal()),
            "ff6c85a48989102bfa7056dda36d293b73dd4197d465bc835ca1025cefb0be80");
}

}  // namespace
}  // namespace daypass::crypto
