// RFC 7520, the JOSE cookbook: examples that others made, to the byte. Skipped where the corpus is not at hand.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "crypto/jose.h"
#include "crypto/test_support.h"

namespace daypass::crypto {
namespace {

namespace fs = std::filesystem;
using base::json::Value;
using testing::json;
using testing::key_set;
using testing::refusal;

constexpr int examples = 15;

class JoseCorpus : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    // The tests run in the root of the repository (see CMakeLists.txt); the corpus lies beside it.
    const char* place = std::getenv("DAYPASS_CORPUS");
    const fs::path archive = fs::absolute(place != nullptr ? place : "../shared/corpus") / "jose.tar.gz";
    if (!fs::exists(archive)) return;
    std::string folder = (fs::temp_directory_path() / "daypass-jose-XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    const std::string command = "tar -xzf '" + archive.string() + "' -C '" + folder + "'";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  static void TearDownTestSuite() {
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  void SetUp() override {
    if (folder_.empty()) GTEST_SKIP() << "jose.tar.gz (" << examples << " examples) is not there; set DAYPASS_CORPUS";
  }
  static Value read(const char* name) {
    std::ifstream file(folder_ / "jose" / name);
    std::stringstream text;
    text << file.rdbuf();
    return json(text.str());
  }
  static Value public_part(Value jwk) {
    for (const char* name : {"d", "p", "q", "dp", "dq", "qi"}) jwk.as_object()->erase(name);
    return jwk;
  }
  static inline fs::path folder_;
};

TEST_F(JoseCorpus, IsWhole) {
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) files += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, examples);
}

TEST_F(JoseCorpus, Keys) {
  EXPECT_EQ(refusal(PublicKey::from_jwk(read("jwk/3_1.ec_public_key.json"))), "jwk.crv") << "P-521";
  EXPECT_EQ(refusal(PublicKey::from_jwk(read("jwk/3_2.ec_private_key.json"))), "jwk.private");
  EXPECT_EQ(refusal(PublicKey::from_jwk(read("jwk/3_3.rsa_public_key.json"))), "ok");
  EXPECT_EQ(refusal(PublicKey::from_jwk(read("jwk/3_4.rsa_private_key.json"))), "jwk.private");
  EXPECT_EQ(refusal(PublicKey::from_jwk(read("jwk/3_5.symmetric_key_mac_computation.json"))), "jwk.private");
  EXPECT_EQ(refusal(PublicKey::from_jwk(read("jwk/3_6.symmetric_key_encryption.json"))), "jwk.private");
}

TEST_F(JoseCorpus, SignaturesThatFit) {
  for (const char* name : {"jws/4_1.rsa_v15_signature.json", "curve25519/jws.json"}) {
    const Value example = read(name);
    const KeySet keys = key_set({public_part(*example.pointer("/input/key"))});
    const std::string compact = *example.pointer("/output/compact")->as_string();
    const auto verified = verify_jws(compact, keys);
    ASSERT_TRUE(verified.ok()) << name << " " << verified.error().check;
    EXPECT_EQ(verified->payload, *example.pointer("/input/payload")->as_string());
    EXPECT_EQ(verified->header, *example.pointer("/signing/protected"));
    // Every character of the payload and signature matters.
    for (std::size_t i = compact.find('.') + 1; i < compact.size(); ++i) {
      if (compact[i] == '.') continue;
      std::string tampered = compact;
      tampered[i] = tampered[i] == 'A' ? 'B' : 'A';
      EXPECT_THAT((std::array<std::string, 2>{"jws.signature", "jws.base64url"}),
                  ::testing::Contains(refusal(verify_jws(tampered, keys))))
          << i;
    }
  }
}

TEST_F(JoseCorpus, AlgorithmsAndFormsThatAreNotTaken) {
  const Value pss = read("jws/4_2.rsa-pss_signature.json");
  const KeySet rsa = key_set({public_part(*pss.pointer("/input/key"))});
  EXPECT_EQ(refusal(verify_jws(*pss.pointer("/output/compact")->as_string(), rsa)), "jws.alg_not_allowed") << "PS384";
  for (const char* name :
       {"jws/4_3.ecdsa_signature.json", "jws/4_4.hmac-sha2_integrity_protection.json",
        "jws/4_5.signature_with_detached_content.json", "jws/4_6.protecting_specific_header_fields.json",
        "jws/4_7.protecting_content_only.json", "jws/4_8.multiple_signatures.json"}) {
    const Value example = read(name);
    const Value* compact = example.pointer("/output/compact");
    const Value* general = example.pointer("/output/json");
    ASSERT_TRUE(compact != nullptr || general != nullptr) << name;
    if (compact != nullptr) {
      const bool detached = std::string_view(name).find("detached") != std::string_view::npos;
      EXPECT_EQ(refusal(verify_jws(*compact->as_string(), rsa)), detached ? "jws.shape" : "jws.alg_not_allowed")
          << name;
    }
    if (general != nullptr)
      EXPECT_EQ(refusal(verify_jws(base::json::dump(*general), rsa)).substr(0, 4), "jws.") << name;
  }
}

}  // namespace
}  // namespace daypass::crypto
