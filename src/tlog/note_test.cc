#include "tlog/note.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/ed25519.h"

namespace daypass::tlog {
namespace {

using testing::ElementsAre;

// The note and the key that the documentation of Go's golang.org/x/mod/sumdb/note shows.
constexpr const char* neumann_key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
constexpr const char* neumann_text =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
constexpr const char* neumann_signature =
    "\xe2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJn"
    "AM=\n";

/// Whoever signs in these tests.
struct Signer {
  explicit Signer(const std::string& name, char fill = 's') : seed(std::string(32, fill)) {
    key = {name, crypto::ed25519_public_key(seed)};
  }
  std::string sign(std::string_view text) const {
    return sign_note(text, key, [this](std::string_view message) { return crypto::ed25519_sign(seed, message); });
  }
  base::Secret seed;
  NoteKey key;
};

std::string check_of(std::string_view note, const NoteKey& key) {
  const auto opened = open_note(note, key, crypto::ed25519_verify);
  return opened.ok() ? "ok" : opened.error().check;
}

TEST(Note, OfSomebodyElseOpens) {
  const auto key = NoteKey::parse(neumann_key);
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(key->text(), neumann_key);
  EXPECT_EQ(key->id(), 0xc74f20a3U);
  const auto text = open_note(std::string(neumann_text) + "\n" + neumann_signature, *key, crypto::ed25519_verify);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(*text, neumann_text);
}

TEST(Note, HeadOfGosChecksumDatabaseOpens) {
  // The signature in the example of C2SP's tlog-checkpoint is one that sum.golang.org made, under its own first line.
  const auto key = NoteKey::parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8");
  ASSERT_TRUE(key.ok()) << key.error().message;
  const std::string note =
      "go.sum database tree\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\xe2\x80\x94 sum.golang.org "
      "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
  const auto text = open_note(note, *key, crypto::ed25519_verify);
  ASSERT_TRUE(text.ok()) << text.error().message;
  const auto head = parse_checkpoint(*text);
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(head->size, 20'852'163U);
  // Its key is not named as the log, so it is no checkpoint that we would take.
  EXPECT_EQ(open_checkpoint(note, *key, crypto::ed25519_verify).error().check, "checkpoint.origin");
}

TEST(Note, EveryChangedBitIsRefused) {
  const Signer signer("example.com/log");
  const std::string note = signer.sign("example.com/log\n7\nsomething\n");
  ASSERT_EQ(check_of(note, signer.key), "ok");
  for (std::size_t at = 0; at < note.size(); ++at)
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string changed = note;
      changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ 1U << bit);
      ASSERT_NE(check_of(changed, signer.key), "ok") << at << "." << bit;
    }
  for (std::size_t n = 0; n < note.size(); ++n) ASSERT_NE(check_of(note.substr(0, n), signer.key), "ok") << n;
  EXPECT_NE(check_of(note + "\n", signer.key), "ok");
  EXPECT_NE(check_of("\n" + note, signer.key), "ok");
}

TEST(Note, OtherSignaturesAreIgnoredAndABadOneOfOursIsNot) {
  const Signer ours("example.com/log"), witness("witness.example", 'w'), same_name("example.com/log", 'x');
  const std::string text = "a text\n\nwith a blank line\n";
  const std::string note = ours.sign(text);
  const std::string cosignature = witness.sign(text).substr(text.size() + 1);
  EXPECT_EQ(check_of(note + cosignature, ours.key), "ok");
  EXPECT_EQ(check_of(note + cosignature, witness.key), "ok");
  EXPECT_EQ(*open_note(note + cosignature, witness.key, crypto::ed25519_verify), text);
  EXPECT_EQ(check_of(note, witness.key), "note.unsigned");
  EXPECT_EQ(check_of(note, same_name.key), "note.unsigned");
  // The right name and id over another text: not one signature to skip, but a note to refuse.
  const std::string lie = ours.sign("another text\n").substr(std::string("another text\n\n").size());
  EXPECT_EQ(check_of(note + lie, ours.key), "note.signature");
  EXPECT_EQ(check_of(text + "\n" + lie + cosignature, ours.key), "note.signature");
}

TEST(Note, LimitsAndShape) {
  const Signer signer("example.com/log");
  const std::string note = signer.sign("text\n");
  const std::string line = note.substr(6);
  EXPECT_EQ(check_of(
                note +
                    [&] {
                      std::string many;
                      for (int i = 0; i < 99; ++i) many += line;
                      return many;
                    }(),
                signer.key),
            "ok");
  std::string too_many = note;
  for (int i = 0; i < 100; ++i) too_many += line;
  EXPECT_EQ(check_of(too_many, signer.key), "note.shape");
  EXPECT_EQ(check_of(std::string(max_note, 'x') + "\n\n" + line, signer.key), "note.shape");
  for (const std::string& bad :
       {std::string(), std::string("text\n"), std::string("text\n\n"), "text\r\n\n" + line, "te\tt\n\n" + line,
        "te\xffxt\n\n" + line, std::string("text\n\n- example.com/log AAAAAAA=\n"),
        std::string("text\n\n\xe2\x80\x94 example.com/log\n"), std::string("text\n\n\xe2\x80\x94 a+b AAAAAAA=\n"),
        std::string("text\n\n\xe2\x80\x94 ab AAAA\n"), std::string("text\n\n\xe2\x80\x94 ab AAAAAAB=\n"),
        note + "trailing\n"})
    EXPECT_EQ(check_of(bad, signer.key), "note.shape") << bad;
}

TEST(NoteKey, HasOneSpelling) {
  const Signer signer("example.com/log");
  const std::string good = signer.key.text();
  ASSERT_EQ(*NoteKey::parse(good), signer.key);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] ^= 1;
    EXPECT_FALSE(NoteKey::parse(changed).ok()) << changed;
  }
  const std::string key = "+AW9uZW9uZW9uZW9uZW9uZW9uZW9uZW9uZW9uZW9uZW9u";
  for (const std::string& bad :
       {std::string(), std::string("a"), std::string("a+b"), "+00000000" + key, "a b+00000000" + key,
        "a\xe3\x80\x80"
        "b+00000000" +
            key,
        "a+0000000" + key, good + "\n", good + "=", good.substr(0, good.size() - 4),
        std::string("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")})
    EXPECT_EQ(NoteKey::parse(bad).error().check, "note.key") << bad;
}

TEST(CheckpointText, HasOneSpelling) {
  const Checkpoint head{"example.com/log", 42, leaf_hash("x")};
  const std::string text = checkpoint_text(head);
  ASSERT_EQ(*parse_checkpoint(text), head);
  EXPECT_EQ(*parse_checkpoint(text + "an extension\n"), head);
  const std::string root = base::base64_encode(head.root);
  for (const std::string& bad : {std::string(), std::string("a\n"), "a\n1\n" + root, "\n1\n" + root + "\n",
                                 "a\n01\n" + root + "\n", "a\n-1\n" + root + "\n", "a\n\n" + root + "\n",
                                 "a\n1 \n" + root + "\n", "a\n18446744073709551616\n" + root + "\n",
                                 "a\n9000000000000000000\n" + root + "\n", "a\n1\n" + root.substr(4) + "\n",
                                 "a\n1\n" + root + "\n\n", "a\n1\n" + root + "\nx\n\n", "a\n1\n" + root + "\nx"})
    EXPECT_EQ(parse_checkpoint(bad).error().check, "checkpoint.shape") << bad;
}

TEST(RecordProof, IsATextThatVerifies) {
  const Signer signer("example.com/log"), other("example.com/other");
  std::vector<Hash> leaves;
  for (int i = 0; i < 20; ++i) leaves.push_back(leaf_hash("record " + std::to_string(i)));
  const Checkpoint head{signer.key.name, leaves.size(), root_of(leaves)};
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const RecordProof proof{i, inclusion_proof(leaves, i), signer.sign(checkpoint_text(head))};
    const auto read = parse_proof(proof_text(proof));
    ASSERT_TRUE(read.ok()) << read.error().message;
    ASSERT_EQ(*read, proof);
    const auto verified = verify_record("record " + std::to_string(i), *read, signer.key, crypto::ed25519_verify);
    ASSERT_TRUE(verified.ok());
    EXPECT_EQ(*verified, head);
    EXPECT_FALSE(verify_record("another record", *read, signer.key, crypto::ed25519_verify).ok());
    EXPECT_FALSE(verify_record("record " + std::to_string(i), *read, other.key, crypto::ed25519_verify).ok());
  }
  const RecordProof one{7, inclusion_proof(leaves, 7), signer.sign(checkpoint_text(head))};
  const std::string text = proof_text(one);
  EXPECT_TRUE(text.starts_with("c2sp.org/tlog-proof@v1\nindex 7\n"));
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] ^= 1;
    const auto read = parse_proof(changed);
    EXPECT_FALSE(read.ok() && verify_record("record 7", *read, signer.key, crypto::ed25519_verify).ok()) << at;
  }
  // Extra data is nobody's word, and skipped.
  const std::string with_extra = "c2sp.org/tlog-proof@v1\nextra aGk=\n" + text.substr(text.find("index"));
  EXPECT_EQ(*parse_proof(with_extra), one);
  for (const std::string& bad :
       {std::string(), std::string("c2sp.org/tlog-proof@v2\nindex 7\n\n"),
        std::string("c2sp.org/tlog-proof@v1\nindex 07\n\n"), std::string("c2sp.org/tlog-proof@v1\nindex 7\n"),
        std::string("c2sp.org/tlog-proof@v1\nindex 7\nabc\n\n")})
    EXPECT_EQ(parse_proof(bad).error().check, "tlog.proof_text") << bad;
}

}  // namespace
}  // namespace daypass::tlog
